//! Wrong passwords: how many an address may send before its responses are delayed.
//!
//! A right password is always accepted, regardless of what its address sent before. Any Heroku user can add a
//! drain to our address with a wrong password, and logplex then sends it from the same addresses as the good
//! batches. Blocking those addresses would let a stranger cut off logplex. So the throttle is consulted only
//! after a password has been compared, and it only costs time: the response to a wrong password is delayed,
//! and its connection is closed.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};
use governor::{Quota, RateLimiter};
use tracing::warn;

use crate::clock::Clock;
use crate::http::client_addr::ClientAddr;
use dynowarden_core::limits;

/// Counts the wrong passwords of each caller.
#[derive(Debug)]
pub(super) struct Throttle {
    limiter: RateLimiter<ClientAddr, Places, Mono, NoOpMiddleware<Nanos>>,
    /// Those beyond the budget since the log was last told.
    beyond: AtomicU64,
    /// `mono` milliseconds.
    swept_at: AtomicU64,
    /// The same; none yet is the end of time.
    told_at: AtomicU64,
}

/// The program's clock as governor reads one.
#[derive(Clone, Copy, Debug)]
struct Mono(Clock);

/// What is kept of each caller. When all places are taken, those who have none share one.
#[derive(Debug, Default)]
struct Places {
    callers: DashMapStateStore<ClientAddr>,
}

impl Throttle {
    pub(super) fn new(clock: Clock) -> Self {
        let burst = NonZeroU32::new(limits::WRONG_PASSWORDS.0).expect("a constant above nought");
        let quota = Quota::with_period(limits::WRONG_PASSWORDS.1).expect("a constant above nought");
        let limiter = RateLimiter::new(quota.allow_burst(burst), Places::default(), Mono(clock));
        Self {
            limiter,
            beyond: AtomicU64::new(0),
            swept_at: AtomicU64::new(0),
            told_at: AtomicU64::new(u64::MAX),
        }
    }

    /// Counts a wrong password.
    ///
    /// # Errors
    /// It is one too many; after so long the next is not.
    pub(super) fn count(&self, caller: ClientAddr) -> Result<(), Duration> {
        let now = self.limiter.clock().now();
        if is_due(&self.swept_at, now, limits::WRONG_PASSWORDS_SWEPT_EVERY) {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&caller).map_err(|not_until| {
            let beyond = self.beyond.fetch_add(1, Ordering::Relaxed) + 1;
            if is_due(&self.told_at, now, limits::WRONG_PASSWORDS_TOLD_EVERY) {
                self.beyond.store(0, Ordering::Relaxed);
                warn!(%caller, count = beyond, "too many failed logins; delaying responses");
            }
            not_until.wait_time_from(now)
        })
    }
}

/// Whether `span` has passed since it last had; for one of all who ask at a time.
fn is_due(last: &AtomicU64, now: Nanos, span: Duration) -> bool {
    let millis = now.as_u64() / 1_000_000;
    let was = last.load(Ordering::Relaxed);
    let is_first = was == u64::MAX;
    let has_passed = u128::from(millis.saturating_sub(was)) >= span.as_millis();
    (is_first || has_passed)
        && last.compare_exchange(was, millis, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

impl governor::clock::Clock for Mono {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.now().mono)
    }
}

impl StateStore for Places {
    type Key = ClientAddr;

    fn measure_and_replace<T, F, E>(&self, caller: &ClientAddr, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let has_place = self.callers.len() < limits::WRONG_CALLERS_MAX || self.callers.contains_key(caller);
        self.callers.measure_and_replace(if has_place { caller } else { &ClientAddr::Overflow }, f)
    }
}

impl ShrinkableKeyedStateStore<ClientAddr> for Places {
    fn retain_recent(&self, drop_below: Nanos) {
        self.callers.retain_recent(drop_below);
    }

    fn shrink_to_fit(&self) {
        self.callers.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.callers.len()
    }

    fn is_empty(&self) -> bool {
        self.callers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::Throttle;
    use crate::clock::Clock;
    use crate::http::client_addr::ClientAddr;
    use dynowarden_core::limits;

    fn caller(number: u32) -> ClientAddr {
        ClientAddr::V4(Ipv4Addr::from_bits(number))
    }

    #[tokio::test(start_paused = true)]
    async fn each_caller_has_a_budget_that_comes_back() {
        let throttle = Throttle::new(Clock::system());
        let (burst, period) = limits::WRONG_PASSWORDS;
        for _ in 0..burst {
            assert_eq!(throttle.count(caller(1)), Ok(()));
        }
        let wait = throttle.count(caller(1)).expect_err("one too many");
        assert!(!wait.is_zero() && wait <= period, "{wait:?}");
        assert_eq!(throttle.count(caller(2)), Ok(()), "the other caller's is untouched");
        tokio::time::advance(period).await;
        assert_eq!(throttle.count(caller(1)), Ok(()));
        assert!(throttle.count(caller(1)).is_err());
        tokio::time::advance(period * burst).await;
        for _ in 0..burst {
            assert_eq!(throttle.count(caller(1)), Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_are_so_many_and_are_forgotten() {
        let throttle = Throttle::new(Clock::system());
        let most = u32::try_from(limits::WRONG_CALLERS_MAX).expect("a number of callers");
        for number in 0..most {
            assert_eq!(throttle.count(caller(number)), Ok(()));
        }
        let (burst, period) = limits::WRONG_PASSWORDS;
        for number in 0..burst {
            assert_eq!(throttle.count(caller(most + number)), Ok(()));
        }
        assert!(throttle.count(caller(most + burst)).is_err(), "those without a place share one");
        assert_eq!(throttle.count(caller(0)), Ok(()), "who has a place keeps it");
        assert_eq!(throttle.limiter.len(), limits::WRONG_CALLERS_MAX + 1);
        tokio::time::advance(limits::WRONG_PASSWORDS_SWEPT_EVERY + period * burst).await;
        assert_eq!(throttle.count(caller(most)), Ok(()));
        assert_eq!(throttle.limiter.len(), 1);
    }
}
