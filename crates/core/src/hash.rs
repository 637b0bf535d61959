//! Quick hashes for tables that are searched for each line or each dyno of a batch.
//!
//! Their keys come from outside, so collisions may be chosen on purpose. Two things keep that from being a
//! way to slow the daemon down:
//!
//! - [`Keyed`] has a secret start and a secret factor, different for each table and drawn by the standard
//!   library's [`RandomState`]. Without them, keys that collide cannot be computed, and no answer shows a
//!   hash. Its tables have limits besides.
//! - [`Quick`] has no secret, and is for tables with a limit of a few hundred entries: the longest search
//!   compares a few hundred keys.
//!
//! An entry counts only if its key is equal, whatever its hash is. No hash is stored.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

/// The state of a small table's hash.
pub type Quick = BuildHasherDefault<Mix>;

/// The state of a table's hash with a secret.
#[derive(Clone, Copy)]
pub struct Keyed {
    start: u64,
    factor: u64,
}

/// A multiplication for each eight octets, whose two halves are folded, as in wyhash.
#[derive(Clone, Copy)]
pub struct Mix {
    state: u64,
    factor: u64,
}

/// Eight octets of a text, or as many as it has; zeros behind its end.
#[inline(always)]
pub(crate) fn word(text: &[u8]) -> u64 {
    if let Some(octets) = text.first_chunk() {
        return u64::from_le_bytes(*octets);
    }
    // Two halves that overlap are equal there.
    match (text.first_chunk(), text.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            u64::from(first) | u64::from(last) << ((text.len() - 4) * 8)
        }
        _ => text.iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet)),
    }
}

// === impl Keyed ===

impl Default for Keyed {
    fn default() -> Self {
        let random = RandomState::new();
        // A factor of few ones or few zeros mixes badly, so it differs from a good one in its middle.
        let factor = FACTOR ^ (random.hash_one(1) & 0x0000_ffff_ffff_0000);
        Self { start: random.hash_one(0), factor }
    }
}

// The secret never reaches a log.
impl std::fmt::Debug for Keyed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyed").finish_non_exhaustive()
    }
}

impl BuildHasher for Keyed {
    type Hasher = Mix;

    #[inline(always)]
    fn build_hasher(&self) -> Mix {
        Mix { state: self.start, factor: self.factor }
    }
}

// === impl Mix ===

/// Odd, with about as many ones as zeros.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Mix {
    #[inline(always)]
    pub(crate) fn add(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(self.factor);
        self.state = product as u64 ^ (product >> 64) as u64;
    }
}

impl Default for Mix {
    #[inline(always)]
    fn default() -> Self {
        Self { state: 0xcbf2_9ce4_8422_2325, factor: FACTOR }
    }
}

impl std::fmt::Debug for Mix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mix").finish_non_exhaustive()
    }
}

impl Hasher for Mix {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        bytes.chunks(8).for_each(|octets| self.add(word(octets)));
        // `"a"` and `"a\0"` are different.
        self.add(bytes.len() as u64);
    }

    // What ends a text: `write` has added its length.
    #[inline]
    fn write_u8(&mut self, number: u8) {
        self.state = self.state.rotate_left(8) ^ u64::from(number);
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.add(number.into());
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.add(number);
    }

    #[inline]
    fn write_isize(&mut self, number: isize) {
        self.add(number as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher as _, Hash};

    use super::{Keyed, Quick, word};

    fn hash(key: impl Hash) -> u64 {
        Quick::default().hash_one(key)
    }

    #[test]
    fn a_word_is_up_to_eight_octets() {
        let text = b"abcdefghij";
        for length in 0..=text.len() {
            let expect = (0..length.min(8)).fold(0, |sum, place| sum | u64::from(text[place]) << (8 * place));
            assert_eq!(word(&text[..length]), expect, "{length}");
        }
    }

    #[test]
    fn keys_that_are_nearly_equal_are_spread() {
        let texts = ["", "\0", "a", "a\0", "web", "webs", "worker", "workers1", "workers12", "1workers"];
        let mut all: HashSet<u64> = texts.iter().map(hash).collect();
        all.extend((1..1000_u32).map(|index| hash(("web", index))));
        assert_eq!(all.len(), texts.len() + 999);
        // A table of 128 places uses the lowest seven bits.
        let places: HashSet<u64> = (1..=100_u32).map(|index| hash(("web", index)) % 128).collect();
        assert!(places.len() > 55, "{}", places.len());
        // Its tags are the highest seven.
        let tags: HashSet<u64> = (1..=100_u32).map(|index| hash(("web", index)) >> 57).collect();
        assert!(tags.len() > 55, "{}", tags.len());
    }

    #[test]
    fn a_secret_is_different_for_each_table() {
        let (one, other) = (Keyed::default(), Keyed::default());
        let same = (1..=100_u32).filter(|index| one.hash_one(index) == other.hash_one(index)).count();
        assert_eq!(same, 0);
        assert_eq!(one.hash_one(("web", 1_u32)), one.hash_one(("web", 1_u32)));
        assert_eq!(format!("{one:?}"), "Keyed { .. }");
        let places: HashSet<u64> = (1..=100_u32).map(|index| one.hash_one(("web", index)) % 128).collect();
        assert!(places.len() > 40, "{}", places.len());
    }
}
