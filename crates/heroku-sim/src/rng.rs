//! Seeded chance: the source of all randomness in the simulation.
//!
//! Written out rather than taken from a crate because the sequence must never change: a seed that once found
//! a bug must find it again after any upgrade.

use std::time::Duration;

/// A SplitMix64 sequence (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The sequence of `seed`; any seed works, including 0.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns an independent sequence, so that draws from one do not affect the other.
    pub fn split(&mut self) -> Self {
        Self { state: self.draw() }
    }

    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The upper half of the product: uniform to within bound / 2^64, which is negligible.
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// A span from `from` up to but not including `to`, to the microsecond; `from` if that range is empty.
    pub fn span(&mut self, from: Duration, to: Duration) -> Duration {
        let room = to.saturating_sub(from).as_micros();
        from + Duration::from_micros(self.below(u64::try_from(room).unwrap_or(u64::MAX)))
    }

    /// True in `permille` of a thousand draws.
    pub fn hits(&mut self, permille: u32) -> bool {
        // No draw for "never": disabling a fault must not shift the rest of the sequence.
        permille > 0 && self.below(1000) < u64::from(permille)
    }

    /// One of `choices`; none if there are none.
    pub fn pick<'c, T>(&mut self, choices: &'c [T]) -> Option<&'c T> {
        choices.get(self.below(choices.len() as u64) as usize)
    }

    /// A version 4 UUID.
    pub fn uuid(&mut self) -> String {
        let (high, low) = (self.draw(), self.draw());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            (low >> 48) & 0x3fff | 0x8000,
            low & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Chance;

    #[test]
    fn the_sequence_matches_the_published_one() {
        // The reference outputs for seed 1234567, as the algorithm's C source gives them.
        let mut chance = Chance::new(1_234_567);
        assert_eq!(chance.draw(), 6_457_827_717_110_365_317);
        assert_eq!(chance.draw(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn draws_stay_inside_their_bounds() {
        let mut chance = Chance::new(0);
        let (from, to) = (Duration::from_millis(20), Duration::from_millis(22));
        let mut seen = [0u32; 3];
        for _ in 0..3000 {
            seen[chance.below(3) as usize] += 1;
            assert!((from..to).contains(&chance.span(from, to)));
        }
        assert!(seen.iter().all(|&count| count > 900), "{seen:?}");
        assert_eq!(chance.span(to, from), to);
        assert_eq!(chance.below(0), 0);
        assert_eq!(chance.pick::<u8>(&[]), None);
        assert!(!chance.hits(0));
        assert!(chance.hits(1000));
    }

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        let mut chance = Chance::new(7);
        for _ in 0..100 {
            let uuid = chance.uuid();
            let dashes: Vec<usize> = uuid.match_indices('-').map(|(at, _)| at).collect();
            assert_eq!((uuid.len(), dashes), (36, vec![8, 13, 18, 23]), "{uuid}");
            assert_eq!(&uuid[14..15], "4", "{uuid}");
            assert!("89ab".contains(&uuid[19..20]), "{uuid}");
        }
    }
}
