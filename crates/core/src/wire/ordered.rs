//! Key-value text read key by key, in the order in which its writer always puts them.
//!
//! [`logfmt`](crate::wire::logfmt) compares each key of a text with each wanted one. Here one comparison is
//! enough for a key, and values that nothing needs are passed over. A text in another form is no error: it is
//! none, and `logfmt` reads it.
//!
//! Where this reads a text to its end, `logfmt` would find exactly these pairs, each of them once: a word
//! ends at the first space and does not begin with a quote, and a quoted text has no escapes and ends at a
//! quote with a space behind it, or with nothing.

use crate::wire::scan;

const UUID: usize = 36;

/// A place in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ordered<'b> {
    rest: &'b [u8],
}

impl<'b> Ordered<'b> {
    pub(crate) fn new(text: &'b [u8]) -> Self {
        Self { rest: text }
    }

    pub(crate) fn is_at_end(self) -> bool {
        self.rest.is_empty()
    }

    #[inline(always)]
    pub(crate) fn is(self, text: &[u8]) -> bool {
        self.rest == text
    }

    /// Passes over a fixed text.
    #[inline(always)]
    pub(crate) fn tag(&mut self, tag: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(tag)?;
        Some(())
    }

    /// The text up to the next space, or to the end.
    #[inline(always)]
    pub(crate) fn word(&mut self) -> Option<&'b [u8]> {
        self.take(self.word_length()?)
    }

    /// A word of a few octets, whose number is nearly always the same: compared one by one, it is guessed by
    /// the processor, which goes on with the next key in the meantime.
    #[inline(always)]
    pub(crate) fn short_word(&mut self) -> Option<&'b [u8]> {
        if self.rest.first() == Some(&b'"') {
            return None;
        }
        let length = self.rest.iter().position(|octet| *octet == b' ').unwrap_or(self.rest.len());
        self.take(length)
    }

    /// The text up to the closing quote; the opening one was part of a tag.
    #[inline(always)]
    pub(crate) fn quoted(&mut self) -> Option<&'b [u8]> {
        let text = self.take(scan::first(self.rest, [b'"', b'\\']))?;
        match self.rest {
            [b'"', b' ', ..] | [b'"'] => self.rest = &self.rest[1..],
            _ => return None,
        }
        Some(text)
    }

    /// A word as long as a uuid.
    #[inline(always)]
    pub(crate) fn uuid(&mut self) -> Option<&'b [u8]> {
        let uuid: &[u8; UUID] = self.rest.first_chunk()?;
        let is_word = uuid[0] != b'"' && !scan::contains(uuid, b' ');
        if !is_word || !matches!(self.rest.get(UUID), None | Some(b' ')) {
            return None;
        }
        self.take(UUID)
    }

    #[inline(always)]
    pub(crate) fn digits(&mut self) -> Option<&'b [u8]> {
        self.take(self.rest.iter().take_while(|octet| octet.is_ascii_digit()).count())
    }

    /// The text between `before` and this place.
    pub(crate) fn since(self, before: Self) -> &'b [u8] {
        &before.rest[..before.rest.len() - self.rest.len()]
    }

    #[inline(always)]
    fn take(&mut self, octets: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(octets)?;
        self.rest = rest;
        Some(taken)
    }

    #[inline(always)]
    fn word_length(self) -> Option<usize> {
        // Most values are this short.
        if self.rest.first() == Some(&b'"') {
            return None;
        }
        let in_word = |octets: &[u8; 8]| scan::lowest_match(u64::from_le_bytes(*octets), b' ');
        if let Some(octets) = self.rest.first_chunk::<16>() {
            let (first, second) = octets.split_first_chunk()?;
            match (in_word(first), in_word(second.first_chunk()?)) {
                (0, 0) => {}
                (0, found) => return Some(8 + found.trailing_zeros() as usize / 8),
                (found, _) => return Some(found.trailing_zeros() as usize / 8),
            }
        }
        Some(scan::first(self.rest, [b' ']))
    }
}
