//! A dyno of a play, and the process that runs in it. Times are in milliseconds of the segment.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::DynoInfo;
use crate::days::life::{Ended, Excess, Life};
use crate::days::proof;
use crate::event::{DynoState, Fact, Megabytes};
use crate::ident::{DynoName, InstanceId};
use crate::limits;
use crate::policy::{Rule, Trigger};
use crate::time::earlier;
use crate::what_if::donor::Cursor;
use crate::what_if::log::{Outside, Stay};

#[derive(Debug)]
pub(super) struct Dyno<'a> {
    pub(super) name: DynoName,
    /// The place of its formation.
    pub(super) formation: usize,
    /// The present stay and those to come.
    pub(super) stays: VecDeque<&'a Stay>,
    /// Restarts of this stay that are still to come, whatever the policy.
    pub(super) outside: VecDeque<(i64, Outside)>,
    pub(super) process: Option<Process>,
    /// Processes so far, besides the first of each stay.
    pub(super) processes: u64,
    /// Until when its requests are counted.
    pub(super) counted_until: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Process {
    /// Tells it from the others of its dyno.
    pub(super) number: u64,
    /// May be before the segment.
    pub(super) start: i64,
    pub(super) up_at: i64,
    /// When the platform cycles it.
    pub(super) cycles_at: i64,
    pub(super) donor: usize,
    pub(super) cursor: Cursor,
    /// Requests since its start, or slots.
    pub(super) clock: f64,
    /// Its memory as a share of its quota.
    pub(super) share: f32,
    /// Slots in a row above its quota.
    pub(super) over_slots: u32,
    /// Whether its last sample was above the lowest limit.
    pub(super) was_high: bool,
    pub(super) breached_at: Option<i64>,
}

/// The last lives of a formation, in the order of their ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    lives: VecDeque<Life>,
}

/// Lives that are remembered: as many as any proof asks for.
const LIVES_MAX: usize = limits::PROOF_LIVES_MAX as usize;

/// A quota for logs that name none, in tenths of a megabyte.
const QUOTA_ASSUMED: u32 = 5120;

// === impl Dyno ===

impl<'a> Dyno<'a> {
    pub(super) fn new(formation: usize, stay: &'a Stay) -> Self {
        Self {
            name: stay.dyno.clone(),
            formation,
            stays: VecDeque::from([stay]),
            outside: VecDeque::new(),
            process: None,
            processes: 0,
            counted_until: 0,
        }
    }

    /// The dyno as the API would show it; `wall` converts a time of the segment.
    pub(super) fn shown(
        &self,
        wall: impl Fn(i64) -> Timestamp,
        (now, at): (Timestamp, i64),
    ) -> Option<DynoInfo> {
        let process = self.process.as_ref()?;
        let is_up = process.up_at <= at;
        let created_at = process.began(now, at);
        Some(DynoInfo {
            name: self.name.clone(),
            is_one_off: false,
            process_type: self.name.process_type().clone(),
            id: process.instance(),
            created_at,
            updated_at: if is_up { wall(process.up_at).max(created_at) } else { created_at },
            state: if is_up { DynoState::Up } else { DynoState::Starting },
            release: Some(0),
        })
    }
}

// === impl Process ===

impl Process {
    /// When it began, which may be before the segment; `at` is `now`.
    pub(super) fn began(&self, now: Timestamp, at: i64) -> Timestamp {
        earlier(now, Duration::from_millis((at - self.start).max(0) as u64))
    }

    fn instance(&self) -> InstanceId {
        format!("p{}", self.number).parse().expect("a letter and 20 digits at most are an id")
    }

    /// Its sample on this dyno.
    pub(super) fn sample(&self, dyno: &DynoName, quota: u32) -> Fact {
        let quota = u64::from(if quota > 0 { quota } else { QUOTA_ASSUMED }) * 10;
        Fact::Sample {
            dyno: dyno.clone(),
            instance: self.instance(),
            total: Megabytes { hundredths: (f64::from(self.share) * quota as f64).max(0.0) as u64 },
            quota: Megabytes { hundredths: quota },
            swap: None,
        }
    }

    /// Its life until `at`, as far as a proof looks at it.
    pub(super) fn life(
        &self,
        dyno: &Dyno<'_>,
        ended: Ended,
        wall: impl Fn(i64) -> Timestamp,
        at: i64,
    ) -> Life {
        let quota = dyno.stays.front().map_or(0, |stay| stay.quota);
        let quota = if quota > 0 { quota } else { QUOTA_ASSUMED };
        let reading = (f64::from(self.share) * f64::from(quota)) as u32;
        Life {
            dyno: dyno.name.clone(),
            start: self.began(wall(at), at),
            is_start_known: true,
            end: wall(at),
            ended,
            release: 0,
            quota,
            breached_at: self.breached_at.map(wall),
            excess: Excess::None,
            highest: reading,
            last_reading: Some(reading),
            growth: None,
            is_muddled: false,
            helped: None,
        }
    }
}

// === impl Past ===

impl Past {
    /// Remembers a life, if it says something to one of `rules`. A rule that is proven ends most lives early,
    /// and those must not push out its proof.
    pub(super) fn push(&mut self, life: Life, rules: &[Rule]) {
        let says_something = |rule: &Rule| match rule.trigger {
            Trigger::Memory { above, .. } => rule.proof.is_some() && proof::outcome(&life, above).is_some(),
            _ => false,
        };
        if !rules.iter().any(says_something) {
            return;
        }
        if self.lives.len() == LIVES_MAX {
            self.lives.pop_front();
        }
        self.lives.push_back(life);
    }

    pub(super) fn lives(&self) -> Vec<Life> {
        self.lives.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Cursor, Dyno, Past, Process};
    use crate::days::life::Ended;
    use crate::days::proof;
    use crate::policy::{Rule, Trigger};
    use crate::what_if::log::Stay;
    use crate::what_if::policies::candidates;

    #[test]
    fn a_proof_outlives_the_restarts_that_it_allows() {
        let is_proven = |rule: &Rule| rule.proof.is_some();
        let candidate = candidates(true, true).into_iter().find(|one| one.rules.iter().any(is_proven));
        let rules = candidate.expect("a policy with a proof").rules;
        let rule = rules.iter().find(|rule| is_proven(rule)).expect("a rule with a proof");
        let (Trigger::Memory { above, .. }, Some(of)) = (&rule.trigger, rule.proof) else {
            panic!("{rule:?}")
        };
        let stay = Stay {
            dyno: "web.1".parse().expect("a dyno"),
            from: 0,
            until: 1,
            first: 0,
            is_start_known: true,
            cycled_at: None,
            quota: 5120,
            outside: Vec::new(),
        };
        let dyno = Dyno::new(0, &stay);
        let mut past = Past::default();
        let mut push = |share: f32, ended, at: i64| {
            let process = Process {
                number: 1,
                start: at - 3_600_000,
                up_at: at - 3_600_000,
                cycles_at: i64::MAX,
                donor: 0,
                cursor: Cursor::default(),
                clock: 0.0,
                share,
                over_slots: 0,
                was_high: false,
                breached_at: (share > 1.0).then_some(at),
            };
            let wall = |at: i64| Timestamp::from_millisecond(1_767_225_600_000 + at).expect("a time");
            past.push(process.life(&dyno, ended, wall, at), &rules);
            proof::breached(&past.lives(), &[], of, *above)
        };
        let hour = |hour: i64| hour * 3_600_000;
        assert_eq!((1..=2).map(|at| push(1.01, Ended::Restart, hour(at))).last(), Some(2));
        assert_eq!((3..=200).map(|at| push(0.99, Ended::Restart, hour(at))).last(), Some(2));
        // Lives that end without a breach count against it.
        assert_eq!((201..=202).map(|at| push(0.5, Ended::Cycle, hour(at))).last(), Some(1));
    }
}
