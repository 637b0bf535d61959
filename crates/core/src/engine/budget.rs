//! `max_restarts`: at most so many restarts of one dyno in any span of such a length.
//!
//! A plain GCRA limiter for `3/2h` lets three through at once and then one more every 40 minutes: five
//! within two hours. Users read it as "never more than three in any two hours", so each dyno has as many
//! slots as the rate allows, used in turn, and governor gives each slot one cell in the whole span: the
//! fourth restart meets the slot of the first and passes only when that one is a full span ago.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::policy::Rate;

/// What all dynos have used of their `max_restarts`.
#[derive(Debug, Default)]
pub struct RestartBudget {
    clock: EngineClock,
    limiters: HashMap<Duration, SlotLimiter>,
    slots_made: u64,
}

/// One dyno's slots.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    serials: Vec<u64>,
    next: usize,
}

type SlotLimiter = RateLimiter<u64, DashMapStateStore<u64>, EngineClock, NoOpMiddleware<Nanos>>;

// === impl RestartBudget ===

impl RestartBudget {
    /// Uses one restart of the dyno with these `slots`, if one is left at `now`, on the engine's clock.
    pub fn take(&mut self, slots: &mut Slots, rate: Rate, now: Duration) -> bool {
        self.take_at(slots, rate, EPOCH.saturating_add(now))
    }

    /// Whether a restart is left at `now`.
    pub fn has_one(&mut self, slots: &mut Slots, rate: Rate, now: Duration) -> bool {
        let is_taken = self.take(slots, rate, now);
        if is_taken {
            self.refund(slots);
        }
        is_taken
    }

    /// Counts a restart that was made `age` before `now`. It counts where no slot is free, too: one that was
    /// made under a larger rate, or after others whose times a wrong clock wrote down. It takes the slot that
    /// has been in use longest, for it will count for longer.
    pub fn count(&mut self, slots: &mut Slots, rate: Rate, age: Duration, now: Duration) {
        let at = EPOCH.saturating_add(now).saturating_sub(age);
        if !self.take_at(slots, rate, at) {
            self.renew(slots, slots.next);
            self.take_at(slots, rate, at);
        }
    }

    /// Gives back what the last [`take`](Self::take) used: the restart was not made.
    pub fn refund(&mut self, slots: &mut Slots) {
        let last = slots.next.checked_sub(1).unwrap_or(slots.serials.len().saturating_sub(1));
        self.renew(slots, last);
        slots.next = last;
    }

    /// A cell is given only by a slot that is full again, and a slot never used is just that.
    fn renew(&mut self, slots: &mut Slots, place: usize) {
        if let Some(serial) = slots.serials.get_mut(place) {
            self.slots_made += 1;
            *serial = self.slots_made;
        }
    }

    /// Forgets slots that are full again.
    pub fn prune(&mut self, now: Duration) {
        self.clock.set(EPOCH.saturating_add(now));
        for limiter in self.limiters.values() {
            limiter.retain_recent();
        }
    }

    fn take_at(&mut self, slots: &mut Slots, rate: Rate, at: Duration) -> bool {
        let count = rate.count.get() as usize;
        if slots.serials.len() != count {
            slots.serials.resize_with(count, || {
                self.slots_made += 1;
                self.slots_made
            });
            slots.next %= count;
        }
        self.clock.set(at);
        let limiter = self.limiters.entry(rate.per).or_insert_with(|| {
            let quota = Quota::with_period(rate.per)
                .expect("settings refuse a rate over no time")
                .allow_burst(NonZeroU32::MIN);
            RateLimiter::new(quota, DashMapStateStore::default(), self.clock.clone())
        });
        let fits = limiter.check_key(&slots.serials[slots.next]).is_ok();
        if fits {
            slots.next = (slots.next + 1) % count;
        }
        fits
    }
}

/// Where the engine's time zero lies on governor's clock: far enough from its own zero for every restart
/// that the store remembers to have a time.
const EPOCH: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// governor's clock, set by the engine before every question.
#[derive(Clone, Debug, Default)]
struct EngineClock {
    nanos: Arc<AtomicU64>,
}

impl EngineClock {
    fn set(&self, at: Duration) {
        self.nanos.store(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Clock for EngineClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.nanos.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::num::NonZeroU32;
    use std::time::Duration;

    use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

    use super::{RestartBudget, Slots};
    use crate::policy::Rate;

    fn rate(count: u32, secs: u64) -> Rate {
        Rate { count: NonZeroU32::new(count).expect("a count"), per: Duration::from_secs(secs) }
    }

    #[test]
    fn the_fourth_within_two_hours_waits_for_the_first_to_be_two_hours_ago() {
        let (mut budget, mut slots, rate) = (RestartBudget::default(), Slots::default(), rate(3, 7200));
        let mut at = |mins: u64| budget.take(&mut slots, rate, Duration::from_secs(mins * 60));
        assert!(at(0) && at(50) && at(100));
        assert!(!at(110) && !at(119));
        assert!(at(120));
        assert!(!at(169));
        assert!(at(170));
    }

    /// Found by the simulation: the restart before had a time written down by a clock that was minutes ahead,
    /// so it seemed to fill the slot still, and the new one went uncounted.
    #[test]
    fn a_restart_that_was_made_counts_where_no_slot_is_free() {
        let (mut budget, mut slots, rate) = (RestartBudget::default(), Slots::default(), rate(1, 2248));
        let at = Duration::from_secs;
        budget.count(&mut slots, rate, at(2163), Duration::ZERO);
        budget.count(&mut slots, rate, Duration::ZERO, Duration::ZERO);
        assert!(!budget.take(&mut slots, rate, at(1145)));
        assert!(!budget.take(&mut slots, rate, at(2247)));
        assert!(budget.take(&mut slots, rate, at(2248)));
    }

    #[test]
    fn what_was_restored_counts() {
        let (mut budget, mut slots, rate) = (RestartBudget::default(), Slots::default(), rate(2, 7200));
        budget.count(&mut slots, rate, Duration::from_secs(7000), Duration::ZERO);
        budget.count(&mut slots, rate, Duration::from_secs(100), Duration::ZERO);
        assert!(!budget.take(&mut slots, rate, Duration::from_secs(199)));
        assert!(budget.take(&mut slots, rate, Duration::from_secs(200)));
    }

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Take(u64),
        Refund,
        Prune,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![4 => (0_u64..60).prop_map(Op::Take), 1 => Just(Op::Refund), 1 => Just(Op::Prune)]
    }

    proptest! {
        /// Restarts in any span of `per` are at most `count`, and none is refused without need: the
        /// slots agree with a list of all restarts, refunds and prunings in between.
        #[test]
        fn slots_agree_with_a_list_of_restarts(
            count in 1_u32..5,
            ops in prop::collection::vec(op(), 1..200),
            offset in any::<u32>(),
        ) {
            let (mut budget, mut slots) = (RestartBudget::default(), Slots::default());
            let rate = rate(count, 100);
            let mut list: VecDeque<u64> = VecDeque::new();
            let mut refundable = false;
            let mut now = u64::from(offset);
            for op in ops {
                match op {
                    Op::Take(wait) => {
                        now += wait;
                        let fits = list.iter().filter(|at| **at + 100 > now).count() < count as usize;
                        assert_eq!(budget.take(&mut slots, rate, Duration::from_secs(now)), fits);
                        if fits {
                            list.push_back(now);
                        }
                        refundable = fits;
                    }
                    Op::Refund if refundable => {
                        budget.refund(&mut slots);
                        list.pop_back();
                        refundable = false;
                    }
                    Op::Refund => {}
                    Op::Prune => budget.prune(Duration::from_secs(now)),
                }
            }
        }
    }
}
