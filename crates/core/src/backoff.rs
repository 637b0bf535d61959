//! Delays that grow with every try and differ between callers.

use std::time::Duration;

/// A small seeded generator (SplitMix64): jitter needs no secrecy, but a replay needs the same jitter.
#[derive(Clone, Debug)]
pub struct Jitter {
    state: u64,
}

impl Jitter {
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// `base` doubled `tries` times, at most `max`; the upper half of it is random.
    pub fn delay(&mut self, base: Duration, tries: u32, max: Duration) -> Duration {
        let full = base.saturating_mul(1 << tries.min(16)).min(max);
        let half = full / 2;
        half + half.mul_f64(self.fraction())
    }

    /// A number in `0..1`.
    fn fraction(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // 53 bits are what an f64 holds exactly.
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{any, proptest};

    use super::Jitter;

    proptest! {
        #[test]
        fn delays_are_in_the_upper_half_of_their_step(seed in any::<u64>(), tries in 0_u32..100) {
            let (base, max) = (Duration::from_secs(1), Duration::from_secs(30));
            let step = base.saturating_mul(1 << tries.min(16)).min(max);
            let delay = Jitter::new(seed).delay(base, tries, max);
            assert!(delay >= step / 2 && delay <= step);
        }
    }

    #[test]
    fn one_seed_gives_the_same_delays() {
        let delays = |seed| {
            let mut jitter = Jitter::new(seed);
            (0..8).map(|tries| jitter.delay(Duration::from_secs(1), tries, Duration::MAX)).collect::<Vec<_>>()
        };
        assert_eq!(delays(7), delays(7));
        assert_ne!(delays(7), delays(8));
    }
}
