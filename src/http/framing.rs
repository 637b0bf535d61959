//! Where one request ends and the next begins: protection against request smuggling.
//!
//! A proxy in front reads the same octets. If it sees another end of a request than hyper does, a client can
//! hide a second request in a body. hyper accepts some ambiguous heads: a length together with chunks, a
//! repeated length, lines that end without CR. So all octets pass this reader first, which accepts only the
//! strict form of RFC 9112. It copies only the start of a line that arrives in pieces, and skips bodies.
//!
//! hyper reads chunks. A request with chunks is the last one of its connection, so nothing after it can
//! become a request.

use dynowarden_core::limits;

/// Reads the octets of one connection, head by head.
#[derive(Debug, Default)]
pub(super) struct Framing {
    /// An incomplete line.
    line: Option<Box<Line>>,
    state: State,
}

/// A line that arrives in pieces: what must be known of it, and its start. hyper keeps the whole of it.
#[derive(Debug)]
struct Line {
    start: [u8; LINE_KEPT_BYTES],
    length: usize,
    /// The octet before the present one.
    last: u8,
    /// Whether the name before the first colon ends as it must; none before the colon.
    is_name_fine: Option<bool>,
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
                    let result = match self.line.take() {
                        None => head.read(piece),
                        Some(mut line) => {
                            line.push(piece);
                            head.read_line(&line)
                        }
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
        let line = self.line.get_or_insert_default();
        line.push(piece);
        if line.length > READ_BYTES_MAX {
            *self = Self { line: None, state: State::Ended };
            return Err(Ambiguous);
        }
        Ok(())
    }
}

impl Default for Line {
    fn default() -> Self {
        Self { start: [0; LINE_KEPT_BYTES], length: 0, last: 0, is_name_fine: None }
    }
}

impl Line {
    fn push(&mut self, piece: &[u8]) {
        if self.is_name_fine.is_none()
            && let Some(colon) = memchr::memchr(b':', piece)
        {
            let before =
                if colon > 0 { Some(piece[colon - 1]) } else { (self.length > 0).then_some(self.last) };
            self.is_name_fine = Some(before.is_some_and(|octet| !octet.is_ascii_whitespace()));
        }
        let kept = piece.len().min(LINE_KEPT_BYTES.saturating_sub(self.length));
        if kept > 0 {
            self.start[self.length..self.length + kept].copy_from_slice(&piece[..kept]);
        }
        self.length += piece.len();
        // The octet before the newline that ends the line, or before the next piece.
        let before_end =
            if piece.ends_with(b"\n") { piece.len().checked_sub(2) } else { piece.len().checked_sub(1) };
        if let Some(before_end) = before_end {
            self.last = piece[before_end];
        }
    }
}

/// Octets of a line that are kept: more than any valid line of a field that says where a request ends.
const LINE_KEPT_BYTES: usize = 128;

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

    /// Reads a line that has arrived in pieces; see [`Head::read`].
    fn read_line(&mut self, line: &Line) -> Result<Option<State>, Ambiguous> {
        if line.length <= LINE_KEPT_BYTES {
            return self.read(&line.start[..line.length]);
        }
        self.bytes += line.length;
        if self.bytes > READ_BYTES_MAX || line.last != b'\r' {
            return Err(Ambiguous);
        }
        if !self.has_request_line {
            self.has_request_line = true;
            return Ok(None);
        }
        let is_folded = matches!(line.start[0], b' ' | b'\t');
        if is_folded || line.is_name_fine != Some(true) {
            return Err(Ambiguous);
        }
        match memchr::memchr(b':', &line.start) {
            Some(colon) => self.read_long_field(&line.start[..colon]).map(|()| None),
            // No name that matters is that long.
            None => Ok(None),
        }
    }

    /// Reads a field of which only the name is known, because the line is long.
    fn read_long_field(&mut self, name: &[u8]) -> Result<(), Ambiguous> {
        let says_end = [&b"content-length"[..], b"transfer-encoding"];
        if says_end.iter().any(|end| name.eq_ignore_ascii_case(end)) {
            return Err(Ambiguous);
        }
        if name.eq_ignore_ascii_case(b"host") && std::mem::replace(&mut self.has_host, true) {
            return Err(Ambiguous);
        }
        Ok(())
    }

    fn read_field(&mut self, line: &[u8]) -> Result<(), Ambiguous> {
        let colon = memchr::memchr(b':', line).ok_or(Ambiguous)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.last().is_none_or(u8::is_ascii_whitespace) {
            return Err(Ambiguous);
        }
        if line.len() + 2 > LINE_KEPT_BYTES {
            return self.read_long_field(name);
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
    fn a_long_line_is_read_like_a_short_one() {
        let long = "y".repeat(300);
        for (line, is_fine) in [
            (format!("X: {long}\r\n"), true),
            (format!("{long}: x\r\n"), true),
            (format!("X: {long}\n"), false),
            (format!("{long}\r\n"), false),
            (format!("{long} : x\r\n"), false),
            (format!(": {long}\r\n"), false),
            (format!(" X: {long}\r\n"), false),
            (format!("Host: {long}\r\n"), true),
            (format!("Host: {long}\r\nHost: x\r\n"), false),
            (format!("Content-Length: {}3\r\n", "0".repeat(300)), false),
            (format!("Transfer-Encoding: {}chunked\r\n", " ".repeat(300)), false),
        ] {
            let octets = format!("GET /{long} HTTP/1.1\r\n{line}\r\n");
            for piece in [1, 2, 7, 127, 128, 129, octets.len()] {
                let is_read = refused_at(octets.as_bytes(), piece).is_none();
                assert_eq!(is_read, is_fine, "{line:?} by {piece}");
            }
        }
    }

    #[test]
    fn a_head_has_a_maximum_length() {
        for piece in [&b"aaaa"[..], b"a: b\r\n"] {
            let mut framing = Framing::default();
            let is_refused = (0..READ_BYTES_MAX).any(|_| framing.read(piece).is_err());
            assert!(is_refused && framing.line.is_none());
            assert_eq!(framing.read(piece), Ok(()), "nothing is read after a refusal");
        }
    }

    const LONG: &str = "Content-Length:                                                                  \
                                                                                                      3\r\n";

    proptest! {
        /// The size of the pieces only changes how much of a bad line passes.
        #[test]
        fn the_size_of_pieces_does_not_matter(
            lines in prop::collection::vec(prop::sample::select(vec![
                "GET / HTTP/1.1\r\n", "\r\n", "\n", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n",
                "abc", " x: y\r\n", "Host: x\r\n", "X: y\r\n", "0\r\n", LONG,
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
