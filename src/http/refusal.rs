//! The reasons for rejected requests and connections, as `/metrics` counts them.

/// Why the HTTP server rejected a request or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Refusal {
    /// The bytes of bodies in flight, of all or of one app, are at their limit.
    BodiesFull,
    BodySlow,
    /// A connection was closed to make room for a new one.
    Evicted,
    /// A TLS handshake failed: plain HTTP, another version, or a peer that does not trust us.
    HandshakeFailed,
    HandshakeSlow,
    /// The head is invalid or ambiguous.
    HeadBroken,
    HeadSlow,
    /// Too many bytes or lines.
    HeadTooLarge,
    /// No descriptor, or no connection that could be evicted.
    NoRoom,
    /// A large body had to wait too long for its turn, or took too long to decompress.
    NoTurn,
    QueueFull,
    /// Too many wrong passwords from the same address.
    Throttled,
    TooLarge,
    Unauthorized,
    UnknownApp,
    /// An unsupported content encoding.
    UnknownEncoding,
    /// A path below `/logs` that no drain has.
    UnknownPath,
    /// An unknown drain, while not all drains are listed yet.
    Unlisted,
}

impl From<Refusal> for &'static str {
    /// The label of the metric.
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::BodiesFull => "bodies_full",
            Refusal::BodySlow => "body_slow",
            Refusal::Evicted => "evicted",
            Refusal::HandshakeFailed => "handshake_failed",
            Refusal::HandshakeSlow => "handshake_slow",
            Refusal::HeadBroken => "head_broken",
            Refusal::HeadSlow => "head_slow",
            Refusal::HeadTooLarge => "head_too_large",
            Refusal::NoRoom => "no_room",
            Refusal::NoTurn => "large_body",
            Refusal::QueueFull => "queue_full",
            Refusal::Throttled => "throttled",
            Refusal::TooLarge => "too_large",
            Refusal::Unauthorized => "unauthorized",
            Refusal::UnknownApp => "unknown_app",
            Refusal::UnknownEncoding => "unknown_encoding",
            Refusal::UnknownPath => "unknown_path",
            Refusal::Unlisted => "drains_unlisted",
        }
    }
}
