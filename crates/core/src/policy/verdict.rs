//! The one judge of cool-down, `max_restarts`, give-up and `max_concurrent`.
//!
//! The engine asks it about its own dynos. The store asks it about all replicas in the transaction of a
//! claim, so the two cannot disagree. All times are on one axis, from an origin of the caller's choice: the
//! engine's clock or the store's.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::SignedDuration;

use crate::limits;
use crate::policy::{Policy, Rate};

/// The part of a policy that the verdict depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// A dyno that is not up by then has failed. A DELETE without an answer may be carried out until then.
    pub boot_timeout: Duration,
    /// Per dyno, from an accepted restart to the next.
    pub cooldown: Duration,
    /// Dynos of one process type that may be out at once.
    pub max_concurrent: NonZeroU32,
    pub max_restarts: Rate,
    /// How long a new dyno must be up before the next one goes.
    pub settle: Duration,
}

/// The facts about one dyno and its formation. What the caller does not know or need is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct History<'h> {
    /// Accepted restarts of this dyno, in any order.
    pub accepted: &'h [SignedDuration],
    /// The end of another replica's claim on this dyno.
    pub claimed_until: Option<SignedDuration>,
    /// The restart from which the cool-down runs. A forced restart passes the cool-down, so its caller leaves
    /// this empty unless that restart was of the same process.
    pub cooling_from: Option<SignedDuration>,
    /// Restarts in a row, up to that one, that did not help. Each doubles the cool-down.
    pub useless: u32,
    pub given_up_until: Option<SignedDuration>,
    /// Other dynos of the process type that are out.
    pub others_out: usize,
}

/// Why a restart is not allowed now. The first reason in this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another replica holds a claim on the dyno.
    Claimed {
        until: SignedDuration,
    },
    GivenUp {
        until: SignedDuration,
    },
    CoolingDown {
        until: SignedDuration,
    },
    /// `max_restarts` is used up.
    MaxRestarts {
        /// When one of them no longer counts.
        until: SignedDuration,
    },
    /// `max_concurrent` dynos of the process type are out.
    FormationOut,
}

/// Judges whether a dyno may be restarted at `now`.
///
/// # Errors
/// The first reason against it.
pub fn verdict(history: &History<'_>, bounds: &Bounds, now: SignedDuration) -> Result<(), Refusal> {
    let in_force = |until: Option<SignedDuration>| until.filter(|until| *until > now);
    let cooldown = bounds.cooldown_after(history.useless);
    let cool_at = history.cooling_from.map(|from| after(from, cooldown));
    if let Some(until) = in_force(history.claimed_until) {
        Err(Refusal::Claimed { until })
    } else if let Some(until) = in_force(history.given_up_until) {
        Err(Refusal::GivenUp { until })
    } else if let Some(until) = in_force(cool_at) {
        Err(Refusal::CoolingDown { until })
    } else if let Some(until) = used_up_until(history.accepted, bounds.max_restarts, now) {
        Err(Refusal::MaxRestarts { until })
    } else if history.others_out >= bounds.max_concurrent.get() as usize {
        Err(Refusal::FormationOut)
    } else {
        Ok(())
    }
}

/// When no claim, cool-down, give-up or rate is in the way any more; none if none is at `now`.
pub fn earliest(history: &History<'_>, bounds: &Bounds, now: SignedDuration) -> Option<SignedDuration> {
    let mut at = now;
    while let Err(
        Refusal::Claimed { until }
        | Refusal::CoolingDown { until }
        | Refusal::GivenUp { until }
        | Refusal::MaxRestarts { until },
    ) = verdict(history, bounds, at)
    {
        at = until;
    }
    (at > now).then_some(at)
}

/// When a rate that is used up has a free place again; none if it has one at `now`.
///
/// Users read `3/2h` as "never more than three in any two hours", so every span of that length counts.
fn used_up_until(accepted: &[SignedDuration], rate: Rate, now: SignedDuration) -> Option<SignedDuration> {
    let ends = |at: &SignedDuration| after(*at, rate.per);
    let mut counted: Vec<SignedDuration> = accepted.iter().map(ends).filter(|end| *end > now).collect();
    let surplus = counted.len().checked_sub(rate.count.get() as usize)?;
    counted.sort_unstable();
    counted.get(surplus).copied()
}

fn after(at: SignedDuration, span: Duration) -> SignedDuration {
    SignedDuration::try_from(span).map_or(SignedDuration::MAX, |span| at.saturating_add(span))
}

impl Bounds {
    /// How long after a DELETE without an answer the dyno is not asked for again.
    pub fn lost_answer_wait(&self) -> Duration {
        self.boot_timeout.max(limits::LOST_ANSWER_WAIT_MIN)
    }

    /// The cool-down after that many restarts in a row that did not help: it doubles with each, up to
    /// [`limits::COOLDOWN_MAX`].
    pub fn cooldown_after(&self, useless: u32) -> Duration {
        let doubled = self.cooldown.saturating_mul(2_u32.saturating_pow(useless));
        doubled.min(limits::COOLDOWN_MAX.max(self.cooldown))
    }
}

impl From<&Policy> for Bounds {
    fn from(policy: &Policy) -> Self {
        Self {
            boot_timeout: policy.boot_timeout,
            cooldown: policy.cooldown,
            max_concurrent: policy.max_concurrent,
            max_restarts: policy.max_restarts,
            settle: policy.settle,
        }
    }
}

/// The accepted restarts of one dyno that `max_restarts` may still count.
#[derive(Clone, Debug, Default)]
pub struct RestartTimes {
    times: Vec<SignedDuration>,
}

impl RestartTimes {
    /// Adds a restart, and drops those that no longer count at `now`.
    pub fn add(&mut self, at: SignedDuration, rate: Rate, now: SignedDuration) {
        self.times.retain(|time| after(*time, rate.per) > now);
        self.times.push(at);
        // A larger number cannot change a verdict.
        while self.times.len() > rate.count.get() as usize {
            let oldest = (0..self.times.len()).min_by_key(|place| self.times[*place]);
            self.times.swap_remove(oldest.unwrap_or_default());
        }
    }

    /// Forgets all restarts, as after a release.
    pub fn clear(&mut self) {
        self.times.clear();
    }

    /// For [`History::accepted`].
    pub fn as_slice(&self) -> &[SignedDuration] {
        &self.times
    }

    /// Whether one of them still counts at `now`.
    pub fn count_at(&self, rate: Rate, now: SignedDuration) -> bool {
        self.times.iter().any(|at| after(*at, rate.per) > now)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use jiff::SignedDuration;
    use proptest::prelude::{any, prop, proptest};

    use super::{Bounds, History, Refusal, RestartTimes, earliest, verdict};
    use crate::policy::Rate;

    const fn minutes(count: i64) -> SignedDuration {
        SignedDuration::from_mins(count)
    }

    fn rate(count: u32, minutes: u64) -> Rate {
        Rate { count: NonZeroU32::new(count).expect("a count"), per: Duration::from_secs(minutes * 60) }
    }

    fn bounds(max_restarts: Rate) -> Bounds {
        Bounds {
            boot_timeout: Duration::from_secs(180),
            cooldown: Duration::from_secs(600),
            max_concurrent: NonZeroU32::new(2).expect("a count"),
            max_restarts,
            settle: Duration::ZERO,
        }
    }

    #[test]
    fn the_first_refusal_counts_and_ends_on_time() {
        let check = |history: History<'_>, now: i64, expect: Result<(), Refusal>| {
            assert_eq!(
                verdict(&history, &bounds(rate(3, 120)), minutes(now)),
                expect,
                "{history:?} at {now}"
            );
        };
        let at = Some(minutes(10));
        check(History::default(), 0, Ok(()));
        check(
            History { claimed_until: at, ..History::default() },
            9,
            Err(Refusal::Claimed { until: minutes(10) }),
        );
        check(History { claimed_until: at, ..History::default() }, 10, Ok(()));
        let cooling = History { cooling_from: at, given_up_until: Some(minutes(60)), ..History::default() };
        check(cooling, 19, Err(Refusal::GivenUp { until: minutes(60) }));
        check(
            History { given_up_until: None, ..cooling },
            19,
            Err(Refusal::CoolingDown { until: minutes(20) }),
        );
        check(History { given_up_until: None, ..cooling }, 20, Ok(()));
        check(cooling, 60, Ok(()));
        let doubled = History { cooling_from: at, useless: 2, ..History::default() };
        check(doubled, 49, Err(Refusal::CoolingDown { until: minutes(50) }));
        check(doubled, 50, Ok(()));
        let never = History { cooling_from: at, useless: u32::MAX, ..History::default() };
        check(never, 1449, Err(Refusal::CoolingDown { until: minutes(1450) }));
        let accepted = [minutes(20), minutes(0), minutes(10), minutes(30)];
        let used_up = History { accepted: &accepted, ..History::default() };
        check(used_up, 31, Err(Refusal::MaxRestarts { until: minutes(130) }));
        check(used_up, 130, Ok(()));
        check(History { others_out: 1, ..History::default() }, 0, Ok(()));
        check(History { others_out: 2, ..History::default() }, 0, Err(Refusal::FormationOut));
        assert_eq!(earliest(&cooling, &bounds(rate(3, 120)), minutes(11)), Some(minutes(60)));
        assert_eq!(earliest(&cooling, &bounds(rate(3, 120)), minutes(60)), None);
    }

    #[test]
    fn the_fourth_restart_waits_until_the_first_is_two_hours_old() {
        let bounds = bounds(rate(3, 120));
        let mut times = RestartTimes::default();
        let mut at = |now: i64| {
            let now = minutes(now);
            let history = History { accepted: times.as_slice(), ..History::default() };
            let goes = verdict(&history, &bounds, now).is_ok();
            if goes {
                times.add(now, bounds.max_restarts, now);
            }
            goes
        };
        assert!(at(0) && at(50) && at(100));
        assert!(!at(110) && !at(119));
        assert!(at(120));
        assert!(!at(169));
        assert!(at(170));
    }

    /// Found by the simulation: an earlier restart had a time written by a clock that was minutes ahead.
    #[test]
    fn a_restart_counts_although_the_rate_was_used_up() {
        let bounds = bounds(rate(1, 40));
        let mut times = RestartTimes::default();
        times.add(minutes(-36), bounds.max_restarts, minutes(0));
        times.add(minutes(0), bounds.max_restarts, minutes(0));
        let refused = |now: i64| {
            let history = History { accepted: times.as_slice(), ..History::default() };
            verdict(&history, &bounds, minutes(now)).is_err()
        };
        assert!(refused(20) && refused(39) && !refused(40));
    }

    proptest! {
        /// Restarts in any span of `per` are at most `count`, and none is refused without need.
        #[test]
        fn a_short_queue_agrees_with_a_list_of_all_restarts(
            count in 1_u32..5,
            waits in prop::collection::vec(0_i64..60, 1..200),
            offset in any::<u32>(),
        ) {
            let bounds = bounds(rate(count, 100));
            let (mut times, mut list) = (RestartTimes::default(), Vec::new());
            let mut now = i64::from(offset);
            for wait in waits {
                now += wait;
                let fits = list.iter().filter(|at| **at + 100 > now).count() < count as usize;
                let history = History { accepted: times.as_slice(), ..History::default() };
                assert_eq!(verdict(&history, &bounds, minutes(now)).is_ok(), fits);
                if fits {
                    times.add(minutes(now), bounds.max_restarts, minutes(now));
                    list.push(now);
                }
            }
        }
    }
}
