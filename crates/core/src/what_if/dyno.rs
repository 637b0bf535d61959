//! A dyno of a play, and the process that runs in it. Times are in milliseconds of the segment.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::DynoInfo;
use crate::days::life::{Ended, Excess, Life};
use crate::event::{DynoState, Fact, Megabytes};
use crate::ident::{DynoName, InstanceId};
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

/// Lives that are remembered: more than any proof asks for, those that say nothing included.
const LIVES_MAX: usize = 32;

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
    pub(super) fn push(&mut self, life: Life) {
        if self.lives.len() == LIVES_MAX {
            self.lives.pop_front();
        }
        self.lives.push_back(life);
    }

    pub(super) fn lives(&self) -> Vec<Life> {
        self.lives.iter().cloned().collect()
    }
}
