//! Where one request ends and the next begins: protection against request smuggling.
//!
//! A proxy in front reads the same octets. If it sees another end of a request than hyper does, a client can
//! hide a second request in a body. hyper accepts some ambiguous heads: a length together with chunks, a
//! repeated length, lines that end without CR. So all octets pass this reader first, which accepts only the
//! strict form of RFC 9112. It copies only a line that arrives in pieces, and skips bodies.
//!
//! hyper reads chunks. A request with chunks is the last one of its connection, so nothing after it can
//! become a request.

use dynowarden_core::limits;

/// Reads the octets of one connection, head by head.
#[derive(Debug, Default)]
pub(super) struct Framing {
    /// An incomplete line.
    line: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    Head(Head),
    /// In a body with this many octets left.
    Body(u64),
    /// No other request may follow.
    Ended,
}

/// The lines of a head so far.
#[derive(Debug, Default)]
struct Head {
    bytes: usize,
    has_host: bool,
    has_request_line: bool,
    /// `Content-Length`.
    length: Option<u64>,
    /// `Transfer-Encoding: chunked`.
    is_chunked: bool,
}

/// An ambiguous or invalid line.
#[derive(Debug)]
struct Ambiguous;

impl Default for State {
    fn default() -> Self {
        Self::Head(Head::default())
    }
}

impl Framing {
    /// Reads what has arrived.
    ///
    /// # Errors
    /// The number of octets before an ambiguous line. Nothing is read after that.
    pub(super) fn read(&mut self, octets: &[u8]) -> Result<(), usize> {
        let mut at = 0;
        while at < octets.len() {
            match &mut self.state {
                State::Ended => return Ok(()),
                State::Body(left) => {
                    let skipped = (*left).min((octets.len() - at) as u64);
                    *left -= skipped;
                    if *left == 0 {
                        self.state = State::default();
                    }
                    at += usize::try_from(skipped).unwrap_or(octets.len() - at);
                }
                State::Head(head) => {
                    let rest = &octets[at..];
                    let Some(end) = memchr::memchr(b'\n', rest) else {
                        return self.keep(rest).map_err(|Ambiguous| at);
                    };
                    let piece = &rest[..=end];
                    let result = if self.line.is_empty() {
                        head.read(piece)
                    } else {
                        self.line.extend_from_slice(piece);
                        let result = head.read(&self.line);
                        self.line.clear();
                        result
                    };
                    match result {
                        Ok(None) => {}
                        Ok(Some(next)) => self.state = next,
                        Err(Ambiguous) => {
                            self.state = State::Ended;
                            return Err(at);
                        }
                    }
                    at += piece.len();
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, piece: &[u8]) -> Result<(), Ambiguous> {
        if self.line.len() + piece.len() > READ_BYTES_MAX {
            *self = Self { line: Vec::new(), state: State::Ended };
            return Err(Ambiguous);
        }
        self.line.extend_from_slice(piece);
        Ok(())
    }
}

/// Far more than hyper accepts, so that hyper answers with 431, which a client understands.
const READ_BYTES_MAX: usize = 4 * limits::HEAD_BYTES_MAX;

impl Head {
    /// Reads one line with its end, and returns the state after the head once the head is complete.
    fn read(&mut self, line: &[u8]) -> Result<Option<State>, Ambiguous> {
        self.bytes += line.len();
        if self.bytes > READ_BYTES_MAX {
            return Err(Ambiguous);
        }
        let line = line.strip_suffix(b"\r\n").ok_or(Ambiguous)?;
        match line.first() {
            // Empty lines before a request are ignored (RFC 9112, 2.2).
            None if !self.has_request_line => {}
            None if self.is_chunked => return Ok(Some(State::Ended)),
            None => {
                return Ok(Some(
                    self.length.filter(|length| *length > 0).map_or_else(State::default, State::Body),
                ));
            }
            Some(_) if !self.has_request_line => self.has_request_line = true,
            // Readers disagree on whether a folded line continues the one before.
            Some(b' ' | b'\t') => return Err(Ambiguous),
            Some(_) => self.read_field(line)?,
        }
        Ok(None)
    }

    fn read_field(&mut self, line: &[u8]) -> Result<(), Ambiguous> {
        let colon = memchr::memchr(b':', line).ok_or(Ambiguous)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.last().is_none_or(u8::is_ascii_whitespace) {
            return Err(Ambiguous);
        }
        let has_end = self.is_chunked || self.length.is_some();
        if name.eq_ignore_ascii_case(b"content-length") {
            let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(value).ok().filter(|_| is_number && !has_end);
            self.length = Some(number.and_then(|number| number.parse().ok()).ok_or(Ambiguous)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if has_end || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Ambiguous);
            }
            self.is_chunked = true;
        } else if name.eq_ignore_ascii_case(b"host") && std::mem::replace(&mut self.has_host, true) {
            return Err(Ambiguous);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::{Framing, READ_BYTES_MAX};

    /// How many octets pass before a refusal, if they arrive in pieces of this size.
    fn refused_at(octets: &[u8], piece: usize) -> Option<usize> {
        let mut framing = Framing::default();
        let mut passed = 0;
        for piece in octets.chunks(piece.max(1)) {
            match framing.read(piece) {
                Ok(()) => passed += piece.len(),
                Err(at) => return Some(passed + at),
            }
        }
        None
    }

    #[test]
    fn an_ambiguous_request_is_refused() {
        for (octets, is_fine) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", true),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na\nbPOST / HTTP/1.1\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nContent-Length:\t3 \r\n\r\na\nb", true),
            ("POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nTRANSFER-ENCODING: Chunked\r\n\r\n0\n\nanything\n at all", true),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\nGET / HTTP/1.1\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nContent-Length : 3\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nTransfer-Encoding:\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nTransfer-Encoding\r\n: chunked\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nX: y\r\n folded: z\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nX: y\r\n\tfolded: z\r\n\r\n", false),
            ("POST / HTTP/1.1\r\n Content-Length: 3\r\n\r\n", false),
            ("POST / HTTP/1.1\r\n: nameless\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nX: y\nContent-Length: 3\r\n\r\n", false),
            ("POST / HTTP/1.1\nX: y\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nX: y\r\n\n", false),
            ("\nGET / HTTP/1.1\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n", false),
        ] {
            for piece in [1, 2, 7, octets.len()] {
                assert_eq!(refused_at(octets.as_bytes(), piece).is_none(), is_fine, "{octets:?} by {piece}");
            }
        }
    }

    #[test]
    fn a_head_has_a_maximum_length() {
        for piece in [&b"aaaa"[..], b"a: b\r\n"] {
            let mut framing = Framing::default();
            let is_refused = (0..READ_BYTES_MAX).any(|_| {
                assert!(framing.line.len() <= READ_BYTES_MAX);
                framing.read(piece).is_err()
            });
            assert!(is_refused && framing.line.is_empty());
            assert_eq!(framing.read(piece), Ok(()), "nothing is read after a refusal");
        }
    }

    proptest! {
        /// The size of the pieces only changes how much of a bad line passes.
        #[test]
        fn the_size_of_pieces_does_not_matter(
            lines in prop::collection::vec(prop::sample::select(vec![
                "GET / HTTP/1.1\r\n", "\r\n", "\n", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n",
                "abc", " x: y\r\n", "Host: x\r\n", "X: y\r\n", "0\r\n",
            ]), 0..12),
            piece in 1..40_usize,
            tail in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let octets = [lines.concat().into_bytes(), tail].concat();
            let whole = refused_at(&octets, octets.len().max(1));
            let pieces = refused_at(&octets, piece);
            assert_eq!(whole.is_some(), pieces.is_some(), "{octets:?}");
            assert!(pieces >= whole, "{octets:?}");
        }
    }
}
