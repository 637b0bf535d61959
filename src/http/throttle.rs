//! Wrong drain passwords: how many an address may send before its responses are delayed.
//!
//! A right password is always accepted, regardless of earlier requests from its address. Any Heroku user can
//! add a drain to our address with a wrong password, and logplex then sends it from the same addresses as the
//! good batches. Blocking those addresses would allow a stranger to cut off logplex. So the throttle is
//! consulted only after a password was wrong: it delays the response and closes the connection.

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

/// Counts the wrong passwords of each client address.
#[derive(Debug)]
pub(super) struct Throttle {
    limiter: RateLimiter<ClientAddr, Buckets, Mono, NoOpMiddleware<Nanos>>,
    /// Wrong passwords over the limit since the last log line.
    over_limit: AtomicU64,
    /// `mono` milliseconds.
    swept_at: AtomicU64,
    /// The same; `u64::MAX` before the first.
    logged_at: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Mono(Clock);

/// The state of each client address, up to a limit. All further addresses share one bucket.
#[derive(Debug, Default)]
struct Buckets {
    clients: DashMapStateStore<ClientAddr>,
}

impl Throttle {
    pub(super) fn new(clock: Clock) -> Self {
        let burst = NonZeroU32::new(limits::WRONG_PASSWORDS.0).expect("a constant above zero");
        let quota = Quota::with_period(limits::WRONG_PASSWORDS.1).expect("a constant above zero");
        let limiter = RateLimiter::new(quota.allow_burst(burst), Buckets::default(), Mono(clock));
        Self {
            limiter,
            over_limit: AtomicU64::new(0),
            swept_at: AtomicU64::new(0),
            logged_at: AtomicU64::new(u64::MAX),
        }
    }

    /// Counts a wrong password.
    ///
    /// # Errors
    /// There were too many. After this time the next one is allowed.
    pub(super) fn count(&self, client: ClientAddr) -> Result<(), Duration> {
        let now = self.limiter.clock().now();
        if is_due(&self.swept_at, now, limits::WRONG_PASSWORDS_SWEPT_EVERY) {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&client).map_err(|not_until| {
            let count = self.over_limit.fetch_add(1, Ordering::Relaxed) + 1;
            if is_due(&self.logged_at, now, limits::WRONG_PASSWORDS_REPORT_EVERY) {
                self.over_limit.store(0, Ordering::Relaxed);
                warn!(caller = %client, count, "too many failed logins; delaying responses");
            }
            not_until.wait_time_from(now)
        })
    }
}

/// Whether `span` has passed since it was last due; true for only one of several threads.
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

impl StateStore for Buckets {
    type Key = ClientAddr;

    fn measure_and_replace<T, F, E>(&self, client: &ClientAddr, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let has_bucket = self.clients.len() < limits::WRONG_CALLERS_MAX || self.clients.contains_key(client);
        self.clients.measure_and_replace(if has_bucket { client } else { &ClientAddr::Overflow }, f)
    }
}

impl ShrinkableKeyedStateStore<ClientAddr> for Buckets {
    fn retain_recent(&self, drop_below: Nanos) {
        self.clients.retain_recent(drop_below);
    }

    fn shrink_to_fit(&self) {
        self.clients.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.clients.len()
    }

    fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::Throttle;
    use crate::clock::Clock;
    use crate::http::client_addr::ClientAddr;
    use dynowarden_core::limits;

    fn client(number: u32) -> ClientAddr {
        ClientAddr::V4(Ipv4Addr::from_bits(number))
    }

    #[tokio::test(start_paused = true)]
    async fn each_client_has_a_budget_that_refills() {
        let throttle = Throttle::new(Clock::system());
        let (burst, period) = limits::WRONG_PASSWORDS;
        for _ in 0..burst {
            assert_eq!(throttle.count(client(1)), Ok(()));
        }
        let wait = throttle.count(client(1)).expect_err("one too many");
        assert!(!wait.is_zero() && wait <= period, "{wait:?}");
        assert_eq!(throttle.count(client(2)), Ok(()), "another client has its own");
        tokio::time::advance(period).await;
        assert_eq!(throttle.count(client(1)), Ok(()));
        assert!(throttle.count(client(1)).is_err());
        tokio::time::advance(period * burst).await;
        for _ in 0..burst {
            assert_eq!(throttle.count(client(1)), Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn clients_are_bounded_and_forgotten() {
        let throttle = Throttle::new(Clock::system());
        let most = u32::try_from(limits::WRONG_CALLERS_MAX).expect("a small number");
        for number in 0..most {
            assert_eq!(throttle.count(client(number)), Ok(()));
        }
        let (burst, period) = limits::WRONG_PASSWORDS;
        for number in 0..burst {
            assert_eq!(throttle.count(client(most + number)), Ok(()));
        }
        assert!(throttle.count(client(most + burst)).is_err(), "further clients share one bucket");
        assert_eq!(throttle.count(client(0)), Ok(()), "a client keeps its bucket");
        assert_eq!(throttle.limiter.len(), limits::WRONG_CALLERS_MAX + 1);
        tokio::time::advance(limits::WRONG_PASSWORDS_SWEPT_EVERY + period * burst).await;
        assert_eq!(throttle.count(client(most)), Ok(()));
        assert_eq!(throttle.limiter.len(), 1);
    }
}
