//! The account's API calls: one budget for all apps; a fifth is reserved for the account's other users.
//!
//! Heroku counts calls per account in a bucket of 4,500 that refills at 75 a minute, and reports the rest in
//! every response (heroku.md §5). Between responses the level is estimated here.

use std::time::Duration;

use crate::limits::{API_TOKENS_MAX, API_TOKENS_PER_MINUTE, API_TOKENS_RESERVE};

/// An estimate of the account's remaining calls.
#[derive(Clone, Copy, Debug)]
pub struct ApiQuota {
    /// Thousandths, so that a refill of 75 a minute loses nothing to rounding.
    thousandths: u64,
    at: Duration,
}

impl ApiQuota {
    /// A full bucket, before any response.
    pub fn full() -> Self {
        Self { thousandths: u64::from(API_TOKENS_MAX) * 1000, at: Duration::ZERO }
    }

    pub fn remaining(&self, now: Duration) -> u32 {
        u32::try_from(self.level(now) / 1000).unwrap_or(API_TOKENS_MAX)
    }

    /// Sets the level that a response reported.
    pub fn reported(&mut self, remaining: u32, now: Duration) {
        *self = Self { thousandths: u64::from(remaining.min(API_TOKENS_MAX)) * 1000, at: now };
    }

    /// Uses `calls`, unless that would touch the reserve.
    ///
    /// # Errors
    /// The time until they can be used.
    pub fn take(&mut self, calls: u32, now: Duration) -> Result<(), Duration> {
        let level = self.level(now);
        let needed = u64::from(API_TOKENS_RESERVE + calls) * 1000;
        if level < needed {
            let micros = (needed - level) * 60_000 / u64::from(API_TOKENS_PER_MINUTE);
            return Err(Duration::from_micros(micros).max(Duration::from_millis(1)));
        }
        *self = Self { thousandths: level - u64::from(calls) * 1000, at: now };
        Ok(())
    }

    /// How much slower than usual to poll while calls are short: 1 normally, up to 8 near the reserve.
    pub fn slowdown(&self, now: Duration) -> u32 {
        match self.remaining(now) / API_TOKENS_RESERVE {
            0 => 8,
            1 => 4,
            2 => 2,
            _ => 1,
        }
    }

    fn level(&self, now: Duration) -> u64 {
        let millis = u64::try_from(now.saturating_sub(self.at).as_millis()).unwrap_or(u64::MAX);
        let refill = millis.saturating_mul(u64::from(API_TOKENS_PER_MINUTE)) / 60;
        self.thousandths.saturating_add(refill).min(u64::from(API_TOKENS_MAX) * 1000)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{prop, proptest};

    use super::ApiQuota;
    use crate::limits::{API_TOKENS_PER_MINUTE, API_TOKENS_RESERVE};

    #[test]
    fn a_fifth_of_the_calls_is_reserved() {
        let mut tokens = ApiQuota::full();
        tokens.reported(API_TOKENS_RESERVE + 2, Duration::ZERO);
        assert_eq!(tokens.take(2, Duration::ZERO), Ok(()));
        let wait = tokens.take(3, Duration::ZERO).expect_err("the reserve is touched");
        assert_eq!(wait, Duration::from_millis(3 * 60_000 / u64::from(API_TOKENS_PER_MINUTE)));
        assert_eq!(tokens.take(3, wait), Ok(()));
    }

    #[test]
    fn polling_slows_down_as_calls_run_short() {
        let mut tokens = ApiQuota::full();
        let mut at = |remaining| {
            tokens.reported(remaining, Duration::ZERO);
            tokens.slowdown(Duration::ZERO)
        };
        assert_eq!([at(4500), at(2600), at(1000), at(899)], [1, 2, 4, 8]);
    }

    proptest! {
        /// Calls made in a span are at most those above the reserve plus the refill.
        #[test]
        fn calls_never_exceed_the_bucket(
            reported in 0_u32..6000,
            gaps in prop::collection::vec(0_u64..30_000, 1..300),
        ) {
            let mut tokens = ApiQuota::full();
            tokens.reported(reported, Duration::ZERO);
            let (mut now, mut made) = (Duration::ZERO, 0_u64);
            for gap in gaps {
                now += Duration::from_millis(gap);
                made += u64::from(tokens.take(2, now).is_ok()) * 2;
                let back = now.as_millis() as u64 * u64::from(API_TOKENS_PER_MINUTE) / 60_000;
                assert!(made <= u64::from(reported.saturating_sub(API_TOKENS_RESERVE)) + back + 1);
            }
        }
    }
}
