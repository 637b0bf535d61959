//! The segments of a path, found and hashed eight octets at a time.

use crate::days::evidence::shape::Shape;
use crate::hash::{self, Mix};
use crate::wire::scan;

/// The segments of a path, without its query.
#[derive(Clone, Debug)]
pub(super) struct Segments<'p> {
    rest: &'p [u8],
}

/// A text between slashes, which is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment<'p> {
    pub(super) text: &'p [u8],
    /// Texts with equal hashes are compared.
    pub(super) hash: u32,
    /// Its first octets, with zeros behind its end.
    pub(super) first: u64,
}

/// The segments of `path`.
pub(super) fn segments(path: &[u8]) -> Segments<'_> {
    of_bare(without_query(path))
}

/// The segments of a path without a query.
#[inline(always)]
pub(super) fn of_bare(path: &[u8]) -> Segments<'_> {
    Segments { rest: path }
}

/// A path without its query, its fragment and its parameters.
#[inline]
pub(super) fn without_query(path: &[u8]) -> &[u8] {
    &path[..scan::path_end(path)]
}

const WORD: usize = size_of::<u64>();

#[inline(always)]
fn finish(mut mix: Mix, length: usize) -> u32 {
    use std::hash::Hasher as _;
    mix.add(length as u64);
    mix.finish() as u32
}

// === impl Segments ===

impl Segments<'_> {
    /// Whether there is another segment.
    pub(super) fn has_more(&self) -> bool {
        self.rest.iter().any(|octet| *octet != b'/')
    }
}

impl<'p> Iterator for Segments<'p> {
    type Item = Segment<'p>;

    #[inline(always)]
    fn next(&mut self) -> Option<Segment<'p>> {
        let mut path = self.rest;
        let first = loop {
            let word = hash::word(path);
            if word as u8 != b'/' {
                break word;
            }
            path = path.get(1..)?;
        };
        if path.is_empty() {
            return None;
        }
        let (mut mix, mut length, mut word) = (Mix::default(), 0, first);
        let mut own = u64::MAX;
        loop {
            let slash = scan::lowest_match(word, b'/');
            if slash != 0 {
                let octets = slash.trailing_zeros() as usize / 8;
                // Less than eight.
                let mask = (1 << (8 * octets)) - 1;
                if length == 0 {
                    own = mask;
                }
                if octets > 0 {
                    mix.add(word & mask);
                }
                length += octets;
                break;
            }
            mix.add(word);
            length += WORD;
            if length >= path.len() {
                length = path.len();
                break;
            }
            word = hash::word(&path[length..]);
        }
        let (text, rest) = path.split_at(length);
        self.rest = rest;
        Some(Segment { text, hash: finish(mix, length), first: first & own })
    }
}

// === impl Segment ===

impl Segment<'_> {
    /// Whether it may be a word of a route: none begins with a digit.
    #[inline]
    pub(super) fn may_be_word(&self) -> bool {
        !(self.first as u8).is_ascii_digit()
    }

    #[inline]
    pub(super) fn shape(&self) -> Shape {
        if self.is_short_number() { Shape::Id } else { Shape::of(self.text) }
    }

    /// Whether it has at most eight octets, all of them digits.
    #[inline]
    fn is_short_number(&self) -> bool {
        if self.text.len() > WORD {
            return false;
        }
        let own = u64::MAX >> (8 * (WORD - self.text.len()));
        let digits = self.first ^ (ZEROS & own);
        // A digit is at most 9 now, and has no high bit then either.
        (((digits & !HIGHS) + (MARGIN & own)) | digits) & HIGHS == 0
    }
}

const ZEROS: u64 = u64::from_ne_bytes([b'0'; WORD]);
const MARGIN: u64 = u64::from_ne_bytes([0x7f - 9; WORD]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; WORD]);

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

    use super::{Segment, WORD, finish, segments};
    use crate::days::evidence::shape::Shape;
    use crate::hash::{self, Mix};

    /// The texts of the segments, found octet by octet.
    fn plainly(path: &[u8]) -> Vec<&[u8]> {
        let end = path.iter().position(|octet| matches!(octet, b'?' | b'#' | b';')).unwrap_or(path.len());
        path[..end].split(|octet| *octet == b'/').filter(|segment| !segment.is_empty()).collect()
    }

    /// The hash of a text, as in its segment.
    fn hash_of(text: &[u8]) -> u32 {
        let mut mix = Mix::default();
        text.chunks(WORD).for_each(|octets| mix.add(hash::word(octets)));
        finish(mix, text.len())
    }

    #[track_caller]
    fn check(path: &[u8]) {
        let read: Vec<Segment<'_>> = segments(path).collect();
        let texts: Vec<&[u8]> = read.iter().map(|segment| segment.text).collect();
        assert_eq!(texts, plainly(path), "{}", path.escape_ascii());
        let mut rest = segments(path);
        for (place, segment) in read.iter().enumerate() {
            rest.next();
            assert_eq!(rest.has_more(), place + 1 < read.len(), "{}", path.escape_ascii());
            assert_eq!(segment.hash, hash_of(segment.text), "{}", path.escape_ascii());
            let shape = Shape::of(segment.text);
            assert_eq!(segment.shape(), shape, "{}", segment.text.escape_ascii());
            assert!(segment.may_be_word() || shape != Shape::Word, "{}", segment.text.escape_ascii());
        }
    }

    #[test]
    fn segments_are_between_slashes() {
        for path in [
            "",
            "/",
            "//",
            "/a",
            "a/b",
            "/orders/12345/items",
            "/orders//12345678/",
            "/12345678",
            "/123456789",
            "/1234567a",
            "/1234567\u{ba}",
            "/12:4",
            "/12/4",
            "/exactly8/andmore9x/sixteen_octets_x/seventeen_octets_",
            "/a?b/c",
            "/a;b/c",
            "/a#b/c",
            "/a\0/a",
            "/0f8fad5b-d9cb-469f-a165-70867728950e/lines",
        ] {
            check(path.as_bytes());
        }
        assert_ne!(hash_of(b"a"), hash_of(b"a\0"));
    }

    fn octets() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(
            prop_oneof!["[/0-9a-zA-Z._-]".prop_map(|text| text.as_bytes()[0]), any::<u8>()],
            0..60,
        )
    }

    proptest! {
        #[test]
        fn any_path_has_the_segments_that_a_plain_search_finds(path in octets()) {
            check(&path);
        }

        #[test]
        fn any_path_of_digits_has_ids(path in "(/[0-9]{1,20}[a-z]?){0,5}") {
            check(path.as_bytes());
        }
    }
}
