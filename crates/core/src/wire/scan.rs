//! Finds octets in short texts, eight at a time.
//!
//! `memchr` compares 32 octets at a time, but its setup takes longer than most fields of a line: splitting a
//! line with it took 35 ns, and takes 14 ns with these (`cargo bench --bench parse -- wire`, on a machine
//! where `floor` takes 43 ns). For long texts, `memchr` is faster.

use crate::hash;

/// Octets that [`spaces`] searches: one per bit of a `u64`. A platform line's header has about 60.
pub(crate) const BLOCK: usize = u64::BITS as usize;

const WORD: usize = size_of::<u64>();
const LOWS: u64 = repeat(0x7f);

/// The positions of the spaces, in order.
#[inline]
pub(crate) fn spaces(block: &[u8; BLOCK]) -> impl Iterator<Item = usize> {
    let (words, _) = block.as_chunks::<WORD>();
    let mut places = words.iter().enumerate().fold(0, |places, (index, word)| {
        let matches = matches(u64::from_le_bytes(*word), b' ');
        // This multiplication collects the eight high bits in the highest octet.
        let side_by_side = (matches >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        places | side_by_side << (index * WORD)
    });
    std::iter::from_fn(move || {
        let place = places.trailing_zeros() as usize;
        // Clears the lowest set bit.
        places &= places.wrapping_sub(1);
        (place < BLOCK).then_some(place)
    })
}

/// The position of the first octet that is one of `wanted`; the end of the text if there is none.
#[inline]
pub(crate) fn first<const N: usize>(text: &[u8], wanted: [u8; N]) -> usize {
    first_by(text, move |word| wanted.iter().fold(0, |found, octet| found | lowest_match(word, *octet)))
}

/// The end of a path's own part: its first `?`, `#` or `;`, or the end of the text.
#[inline]
pub(crate) fn path_end(text: &[u8]) -> usize {
    // `;` and `?` differ in one bit, which is 4.
    first_by(text, |word| lowest_match(word | repeat(4), b'?') | lowest_match(word, b'#'))
}

/// The position of the first octet in which `find` sets the high bit. It finds none in zeros.
#[inline(always)]
fn first_by(text: &[u8], find: impl Fn(u64) -> u64) -> usize {
    let in_word = |octets: &[u8; WORD]| find(u64::from_le_bytes(*octets));
    let mut rest = text;
    // Two words at a time: half of the branches.
    while let Some((words, behind)) = rest.split_first_chunk::<{ 2 * WORD }>() {
        let ([low, high], _) = words.as_chunks::<WORD>() else { break };
        let (low, high) = (in_word(low), in_word(high));
        if low | high != 0 {
            let place = if low != 0 { low.trailing_zeros() } else { high.trailing_zeros() + u64::BITS };
            return text.len() - rest.len() + place as usize / 8;
        }
        rest = behind;
    }
    text.len() - rest.len() + first_of_few(text, rest, find)
}

/// The same in `rest`, the last octets of `text`, of which there are less than sixteen. Apart, because few
/// searches come so far.
#[inline(never)]
fn first_of_few(text: &[u8], rest: &[u8], find: impl Fn(u64) -> u64) -> usize {
    let place = |found: u64| found.trailing_zeros() as usize / 8;
    if let Some(octets) = rest.first_chunk() {
        let found = find(u64::from_le_bytes(*octets));
        if found != 0 {
            return place(found);
        }
    }
    match text.last_chunk() {
        // The last word of the text overlaps octets of it that are none of them.
        Some(last) => match find(u64::from_le_bytes(*last)) {
            0 => rest.len(),
            found => rest.len() + place(found) - WORD,
        },
        // Behind its end are zeros.
        None => match find(hash::word(rest)) {
            0 => rest.len(),
            found => place(found),
        },
    }
}

/// Whether `octet` is among so many octets.
#[inline(always)]
pub(crate) fn contains<const N: usize>(octets: &[u8; N], octet: u8) -> bool {
    // Without a branch, so that the compiler compares sixteen octets at a time.
    octets.iter().fold(false, |found, other| found | (*other == octet))
}

/// Sets the high bit of each octet of `word` that equals `octet`, and no other bit.
fn matches(word: u64, octet: u8) -> u64 {
    // An octet is now 0 if it was `octet`. Adding to its low bits sets the high bit unless they are 0, and
    // cannot carry into the next.
    let word = word ^ repeat(octet);
    !(((word & LOWS) + LOWS) | word | LOWS)
}

/// Sets the high bit of the lowest octet of `word` that equals `octet`, and possibly of higher ones that do
/// not: this takes two steps less than [`matches()`].
#[inline]
pub(crate) fn lowest_match(word: u64, octet: u8) -> u64 {
    let word = word ^ repeat(octet);
    word.wrapping_sub(repeat(0x01)) & !word & repeat(0x80)
}

/// Does the same as [`lowest_match`] in two steps less, and may also find an octet that is not ASCII.
#[inline(always)]
pub(crate) fn lowest_match_or_odd(word: u64, octet: u8) -> u64 {
    (word ^ repeat(octet)).wrapping_sub(repeat(0x01)) & repeat(0x80)
}

const fn repeat(octet: u8) -> u64 {
    u64::from_ne_bytes([octet; WORD])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, proptest};

    use super::{first, path_end};

    proptest! {
        #[test]
        fn the_first_is_the_one_that_a_plain_search_finds(text in prop::collection::vec(b' '..b'&', 0..50)) {
            let plainly = |wanted: &[u8]| {
                text.iter().position(|octet| wanted.contains(octet)).unwrap_or(text.len())
            };
            assert_eq!(first(&text, [b'#']), plainly(b"#"), "{}", text.escape_ascii());
            assert_eq!(first(&text, [b'!', b'"']), plainly(b"!\""), "{}", text.escape_ascii());
            assert_eq!(path_end(&text), plainly(b"?#;"), "{}", text.escape_ascii());
            let path: Vec<u8> = text.iter().map(|octet| octet + 0x1a).collect();
            let place = path.iter().position(|octet| matches!(octet, b'?' | b';')).unwrap_or(path.len());
            assert_eq!(path_end(&path), place, "{}", path.escape_ascii());
            let rare: Vec<u8> = text.iter().map(|octet| if *octet < b'%' { 0xa3 } else { b'%' }).collect();
            let place = rare.iter().position(|octet| *octet == b'%').unwrap_or(rare.len());
            assert_eq!(first(&rare, [b'%']), place, "{}", rare.escape_ascii());
        }
    }
}
