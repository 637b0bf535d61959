//! Key-value text read key by key, in the order in which its writer always puts them.
//!
//! [`logfmt`](crate::wire::logfmt) compares each key of a text with each wanted one. Here one comparison is
//! enough for a key, and values that nothing needs are passed over. A text in another form is no error: it is
//! none, and `logfmt` reads it.
//!
//! Where this reads a text to its end, `logfmt` would find exactly these pairs, each of them once: a word
//! ends at the first space and does not begin with a quote, and a quoted text ends at its first quote, which
//! has no backslash before it, and a space or nothing behind it.

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
        let Some(octets) = self.rest.first_chunk::<16>() else { return self.long_word() };
        let ([low, high], _) = octets.as_chunks::<8>() else { return None };
        let [low, high] = [low, high].map(|octets| u64::from_le_bytes(*octets));
        let length = match (scan::lowest_match(low, b' '), scan::lowest_match(high, b' ')) {
            (0, 0) => return self.long_word(),
            (0, space) => 8 + space.trailing_zeros() as usize / 8,
            (space, _) => space.trailing_zeros() as usize / 8,
        };
        if low as u8 == b'"' { None } else { self.take(length) }
    }

    /// The same, for a text that usually has more than sixteen octets.
    #[inline(always)]
    pub(crate) fn long_word(&mut self) -> Option<&'b [u8]> {
        if self.rest.first() == Some(&b'"') {
            return None;
        }
        self.take(scan::first(self.rest, [b' ']))
    }

    /// The words behind these tags, each of less than eight octets, and with a tag or a space behind it.
    ///
    /// All of them are in one block. If it has eight octets for each word, the compiler need not ask for each
    /// of them whether it is there.
    #[inline(always)]
    pub(crate) fn short_words<const BLOCK: usize, const N: usize>(
        &mut self,
        tags: [&[u8]; N],
    ) -> Option<[&'b [u8]; N]> {
        let block: &[u8; BLOCK] = self.rest.first_chunk()?;
        let (mut words, mut at) = ([&[][..]; N], 0);
        for (word, tag) in words.iter_mut().zip(tags) {
            let start = at + tag.len();
            if block.get(at..start)? != tag {
                return None;
            }
            let octets = u64::from_le_bytes(*block.get(start..)?.first_chunk()?);
            // Behind an octet that is not ASCII, there is no tag.
            let space = scan::lowest_match_or_odd(octets, b' ');
            if space == 0 || octets as u8 == b'"' {
                return None;
            }
            at = start + space.trailing_zeros() as usize / 8;
            *word = block.get(start..at)?;
        }
        self.rest = self.rest.get(at..)?;
        Some(words)
    }

    /// The text up to the closing quote. The opening one was part of a tag, and so is the closing one.
    #[inline(always)]
    pub(crate) fn quoted(&mut self) -> Option<&'b [u8]> {
        let text = self.take(scan::first(self.rest, [b'"']))?;
        // A quote behind a backslash closes nothing.
        if text.ends_with(b"\\") { None } else { Some(text) }
    }

    /// A word as long as a uuid.
    #[inline(always)]
    pub(crate) fn uuid(&mut self) -> Option<&'b [u8]> {
        let uuid: &[u8; UUID] = self.rest.first_chunk()?;
        if scan::contains(uuid, b' ') || !matches!(self.rest.get(UUID), None | Some(b' ')) {
            return None;
        }
        if uuid[0] == b'"' {
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
}
