//! The account's API calls: one budget for all apps, shared with the account's other users.
//!
//! Heroku counts calls per account in a bucket of 4,500 that refills at 75 a minute, and reports the rest in
//! every response (heroku.md §5). Between responses the level is estimated here.
//! A restart may use all but a few calls. Waiting leaves a fifth to others, and all waiting together uses
//! less than what flows back.

use std::time::Duration;

use crate::limits::{
    API_TOKENS_MAX, API_TOKENS_PER_MINUTE, API_TOKENS_RESERVE, API_TOKENS_RESERVE_OF_RESTARTS,
    WAITING_CALLS_BURST, WAITING_CALLS_PER_MINUTE,
};

/// An estimate of the account's remaining calls.
#[derive(Clone, Copy, Debug)]
pub struct ApiQuota {
    account: Bucket,
    waiting: Bucket,
}

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A step that a restart cannot do without. It leaves the one call of the DELETE.
    Restart,
    /// Another look at an attempt that waits, of which the next may be the last.
    DecisiveLook,
    /// Another look at an attempt that waits for something unknown.
    Wait,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Thousandths, so that a refill of 75 a minute loses nothing to rounding.
    thousandths: u64,
    at: Duration,
    max: u32,
    per_minute: u32,
}

// === impl ApiQuota ===

impl ApiQuota {
    /// Full buckets, before any response.
    pub fn full() -> Self {
        Self {
            account: Bucket::full(API_TOKENS_MAX, API_TOKENS_PER_MINUTE),
            waiting: Bucket::full(WAITING_CALLS_BURST, WAITING_CALLS_PER_MINUTE),
        }
    }

    pub fn remaining(&self, now: Duration) -> u32 {
        u32::try_from(self.account.level(now) / 1000).unwrap_or(API_TOKENS_MAX)
    }

    /// Sets the level that a response reported.
    pub fn reported(&mut self, remaining: u32, now: Duration) {
        let thousandths = u64::from(remaining.min(API_TOKENS_MAX)) * 1000;
        self.account = Bucket { thousandths, at: now, ..self.account };
    }

    /// Uses `calls`, unless that would touch a reserve.
    ///
    /// # Errors
    /// The time until they can be used.
    pub fn take(&mut self, calls: u32, purpose: Purpose, now: Duration) -> Result<(), Duration> {
        let reserve = match purpose {
            Purpose::Restart | Purpose::DecisiveLook => API_TOKENS_RESERVE_OF_RESTARTS + CALLS_OF_A_DELETE,
            Purpose::Wait => API_TOKENS_RESERVE,
        };
        let mut waiting = self.waiting;
        if purpose != Purpose::Restart {
            waiting.take(calls, 0, now)?;
        }
        self.account.take(calls, reserve, now)?;
        self.waiting = waiting;
        Ok(())
    }

    /// Uses the call of a DELETE. Others may have used the account since the inspection.
    ///
    /// # Errors
    /// The time until a restart can begin anew.
    pub fn take_delete(&mut self, now: Duration) -> Result<(), Duration> {
        self.account.take(CALLS_OF_A_DELETE, API_TOKENS_RESERVE_OF_RESTARTS, now).map_err(|least| {
            let anew = self.account.clone().take(CALLS_OF_A_RESTART, API_TOKENS_RESERVE_OF_RESTARTS, now);
            anew.err().unwrap_or(least)
        })
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
}

const CALLS_OF_A_DELETE: u32 = 1;

/// The list of dynos and the dyno itself.
pub(super) const CALLS_OF_AN_INSPECTION: u32 = 2;

/// An inspection and a DELETE.
pub(super) const CALLS_OF_A_RESTART: u32 = CALLS_OF_AN_INSPECTION + CALLS_OF_A_DELETE;

// === impl Bucket ===

impl Bucket {
    fn full(max: u32, per_minute: u32) -> Self {
        Self { thousandths: u64::from(max) * 1000, at: Duration::ZERO, max, per_minute }
    }

    fn take(&mut self, calls: u32, reserve: u32, now: Duration) -> Result<(), Duration> {
        let level = self.level(now);
        let needed = u64::from(reserve + calls) * 1000;
        if level < needed {
            let micros = (needed - level) * 60_000 / u64::from(self.per_minute);
            return Err(Duration::from_micros(micros).max(Duration::from_millis(1)));
        }
        *self = Self { thousandths: level - u64::from(calls) * 1000, at: now, ..*self };
        Ok(())
    }

    fn level(&self, now: Duration) -> u64 {
        let millis = u64::try_from(now.saturating_sub(self.at).as_millis()).unwrap_or(u64::MAX);
        let refill = millis.saturating_mul(u64::from(self.per_minute)) / 60;
        self.thousandths.saturating_add(refill).min(u64::from(self.max) * 1000)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{prop, proptest};

    use super::{ApiQuota, Purpose};
    use crate::limits::{
        API_TOKENS_PER_MINUTE, API_TOKENS_RESERVE, API_TOKENS_RESERVE_OF_RESTARTS, WAITING_CALLS_BURST,
        WAITING_CALLS_PER_MINUTE,
    };

    #[test]
    fn waiting_leaves_a_fifth_of_the_calls_and_a_restart_ten() {
        let mut tokens = ApiQuota::full();
        tokens.reported(API_TOKENS_RESERVE + 2, Duration::ZERO);
        assert_eq!(tokens.take(2, Purpose::Wait, Duration::ZERO), Ok(()));
        let wait = tokens.take(3, Purpose::Wait, Duration::ZERO).expect_err("the reserve is touched");
        assert_eq!(wait, Duration::from_millis(3 * 60_000 / u64::from(API_TOKENS_PER_MINUTE)));
        assert_eq!(tokens.take(3, Purpose::Wait, wait), Ok(()));
        assert_eq!(tokens.take(3, Purpose::DecisiveLook, wait), Ok(()));
        tokens.reported(API_TOKENS_RESERVE_OF_RESTARTS + 3, wait);
        assert_eq!(tokens.take(2, Purpose::Restart, wait), Ok(()));
        assert!(tokens.take(1, Purpose::Restart, wait).is_err());
        assert_eq!(tokens.take_delete(wait), Ok(()));
        let anew = tokens.take_delete(wait).expect_err("the last ten are left alone");
        assert_eq!(anew, Duration::from_millis(3 * 60_000 / u64::from(API_TOKENS_PER_MINUTE)));
        assert_eq!(tokens.take(2, Purpose::Restart, wait + anew), Ok(()));
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
        /// Calls made in a span are at most those above the reserve plus the refill, and those of waiting
        /// attempts are at most what their own bucket allows.
        #[test]
        fn calls_never_exceed_the_buckets(
            reported in 0_u32..6000,
            gaps in prop::collection::vec((0_u64..30_000, 0_usize..3), 1..300),
        ) {
            let mut tokens = ApiQuota::full();
            tokens.reported(reported, Duration::ZERO);
            let (mut now, mut made, mut waiting) = (Duration::ZERO, 0_u64, 0_u64);
            for (gap, purpose) in gaps {
                now += Duration::from_millis(gap);
                let purpose = [Purpose::Restart, Purpose::DecisiveLook, Purpose::Wait][purpose];
                let calls = u64::from(tokens.take(2, purpose, now).is_ok()) * 2;
                made += calls;
                let back = now.as_millis() as u64 * u64::from(API_TOKENS_PER_MINUTE) / 60_000;
                let above = reported.saturating_sub(API_TOKENS_RESERVE_OF_RESTARTS);
                assert!(made <= u64::from(above) + back + 1);
                if purpose != Purpose::Restart {
                    waiting += calls;
                    let back = now.as_millis() as u64 * u64::from(WAITING_CALLS_PER_MINUTE) / 60_000;
                    assert!(waiting <= u64::from(WAITING_CALLS_BURST) + back + 1);
                }
            }
        }
    }
}
