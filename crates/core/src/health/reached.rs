//! What requests to `public_url` showed.

use std::time::Duration;

use crate::ident::AppName;

/// What answered at `public_url`.
#[derive(Clone, Debug)]
pub struct WayIn {
    /// Of `GET /readyz`.
    pub ready: Result<Reply, Unreached>,
    /// Of an empty batch for each app that has a password.
    pub batches: Vec<(AppName, Result<u16, Unreached>)>,
    /// The time since each app's last batch, if the daemon could be asked.
    pub last_batches: Vec<(AppName, Option<Duration>)>,
}

/// A response, as far as it says who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub is_plain_text: bool,
    /// The first line of its body.
    pub line: String,
}

/// Why there was no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// The host's name has no address.
    Dns { what: String },
    /// No connection, or no answer on it.
    Network { what: String },
    /// The certificate is not trusted, or there is no TLS.
    Tls { what: String },
}
