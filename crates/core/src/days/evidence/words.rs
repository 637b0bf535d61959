//! The words of a tree of templates, and a table that finds the place of each.

use crate::days::evidence::segments::Segment;
use crate::limits;

/// A word with a place of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: Box<[u8]>,
    pub(super) hash: u32,
    /// Its first octets, with zeros behind its end.
    first: u64,
}

/// The places of words, by the hash of the word and of the place above it; 0 for none. One that is taken is
/// followed by the next. There are a few hundred at most, so the longest search compares a few hundred.
#[derive(Clone, Debug)]
pub(super) struct Words(Box<[u16; WORD_PLACES]>);

/// More than twice as many as nodes.
const WORD_PLACES: usize = 1024;
const _: () = assert!(WORD_PLACES > 2 * limits::TEMPLATE_NODES_MAX);

// === impl Word ===

impl Word {
    pub(super) fn new(segment: &Segment<'_>) -> Self {
        let Segment { text, hash, first } = *segment;
        Self { text: text.into(), hash, first }
    }

    #[inline(always)]
    pub(super) fn is(&self, text: &Segment<'_>) -> bool {
        self.first == text.first
            && self.text.len() == text.text.len()
            && (text.text.len() <= size_of_val(&self.first) || *self.text == *text.text)
    }
}

// === impl Words ===

impl Default for Words {
    fn default() -> Self {
        Self(Box::new([0; WORD_PLACES]))
    }
}

impl Words {
    /// The places of words that may have this hash below `at`, in the order in which they came.
    #[inline(always)]
    pub(super) fn search(&self, at: u16, hash: u32) -> impl Iterator<Item = u16> {
        let mut next = Self::start(at, hash);
        std::iter::from_fn(move || {
            let place = self.0[next];
            next = (next + 1) % WORD_PLACES;
            (place != 0).then_some(place)
        })
    }

    pub(super) fn insert(&mut self, at: u16, hash: u32, place: u16) {
        let mut next = Self::start(at, hash);
        while self.0[next] != 0 {
            next = (next + 1) % WORD_PLACES;
        }
        self.0[next] = place;
    }

    /// The bytes that it takes.
    pub(super) fn bytes() -> usize {
        size_of::<[u16; WORD_PLACES]>()
    }

    fn start(at: u16, hash: u32) -> usize {
        (hash.wrapping_add(u32::from(at).wrapping_mul(0x9e37_79b9)) >> 16) as usize % WORD_PLACES
    }
}
