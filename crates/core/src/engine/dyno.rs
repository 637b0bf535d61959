//! The engine's state of one dyno.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::DynoInfo;
use crate::engine::attempt::Attempt;
use crate::engine::counts::{Hits, MemoryTrend};
use crate::event::{Change, DynoState};
use crate::ident::AppId;
use crate::limits;
use crate::policy::verdict::RestartTimes;
use crate::record::{AttemptId, MemoryReading};
use crate::time::since;

/// Identifies a dyno: its app, its formation's place in `process_types`, its place in the formation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct DynoKey {
    pub app: AppId,
    pub formation: u16,
    pub index: u32,
}

#[derive(Debug, Default)]
pub(super) struct Dyno {
    pub attempt: Option<Attempt>,
    /// When its attempt is due, if that waits for time.
    pub due: Option<Duration>,
    pub given_up: Option<GivenUp>,
    /// One per rule, created when the first line counts.
    pub hits: Vec<Hits>,
    pub last_restart: Option<LastRestart>,
    pub memory: Option<MemoryReading>,
    /// The platform's last word on its life, by the time in the lines.
    pub life: Option<(Change, Timestamp)>,
    /// The instance that the API showed last.
    pub seen: Option<DynoInfo>,
    /// Its place in the order of silence: `touched`, as it was within [`limits::QUIET_STEP`].
    pub placed: Duration,
    /// Accepted restarts that `max_restarts` may still count, on the engine's clock.
    pub restarts: RestartTimes,
    /// Its last activity, on the engine's clock.
    pub touched: Duration,
    /// One per rule, created when the first sample counts.
    pub trends: Vec<MemoryTrend>,
}

/// The last restart that the API accepted.
#[derive(Clone, Debug)]
pub(super) struct LastRestart {
    /// By the wall clock, for records.
    pub accepted_at: Timestamp,
    /// When the new instance came up, by the platform's clock.
    pub back_at: Option<Timestamp>,
    /// The same on the engine's clock; negative for a restart of an earlier process.
    pub accepted: SignedDuration,
    /// Whether people were notified that it did not help.
    pub reported_no_help: bool,
    /// The attempt, once the new instance is up and until its memory is reported.
    pub unread: Option<AttemptId>,
}

/// A dyno that is left alone after too many restarts.
#[derive(Clone, Debug)]
pub(super) struct GivenUp {
    /// On the engine's clock.
    pub until: Duration,
    /// By the wall clock, for records.
    pub until_at: Timestamp,
    /// The release that it was given up under; another one ends the give-up.
    pub release: Option<u64>,
    /// When the API is next asked for another release.
    pub look_again: Duration,
    /// The app's announced releases at the last inspection.
    pub releases_seen: u64,
}

impl LastRestart {
    /// Notes a memory report at `at`; returns the attempt if it is the first of the new instance.
    pub(super) fn read(&mut self, at: Timestamp) -> Option<AttemptId> {
        // The old process may report alongside the new one, and no line says for certain which one it was.
        let is_alone = self.back_at.is_some_and(|back| since(back, at) >= limits::OLD_PROCESS_MAX);
        if is_alone { self.unread.take() } else { None }
    }
}

impl Dyno {
    /// Notes what the platform says of the dyno's life; lines come out of order.
    pub(super) fn live(&mut self, change: Change, at: Timestamp) {
        if self.life.is_none_or(|(_, last)| last <= at) {
            // The old process's exit is reported after the new one is up, and says nothing about that one.
            if change != Change::Exited {
                self.life = Some((change, at));
            }
        }
    }

    /// Whether the platform said, after `error_at` or within `recently` before it, that it is replacing the
    /// process, and has not yet said that the new one is up.
    pub(super) fn platform_acts(&self, error_at: Timestamp, recently: Duration) -> bool {
        let Some((change, at)) = self.life else { return false };
        match change {
            Change::Leaving | Change::Starting => at >= error_at || since(at, error_at) < recently,
            Change::State(DynoState::Up) => at > error_at,
            Change::State(_) => at >= error_at || since(at, error_at) < recently,
            Change::Exited => false,
        }
    }

    /// Resets the counts: they belong to an instance that is gone.
    pub(super) fn forget_errors(&mut self) {
        self.hits.iter_mut().for_each(Hits::clear);
        self.trends.iter_mut().for_each(MemoryTrend::clear);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::Dyno;
    use crate::event::{Change, DynoState};

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_750_000_000 + secs).expect("a time")
    }

    #[track_caller]
    fn acts(lines: &[(Change, i64)], error_secs: i64, expect: bool) {
        let mut dyno = Dyno::default();
        for (change, secs) in lines {
            dyno.live(*change, at(*secs));
        }
        assert_eq!(dyno.platform_acts(at(error_secs), Duration::from_secs(180)), expect, "{lines:?}");
    }

    #[test]
    fn lines_show_when_the_platform_is_acting() {
        let up = Change::State(DynoState::Up);
        let crashed = Change::State(DynoState::Crashed);
        acts(&[], 0, false);
        acts(&[(Change::Leaving, 5)], 0, true);
        acts(&[(Change::Leaving, 0), (Change::Starting, 2)], 5, true);
        acts(&[(Change::Leaving, 0), (Change::Starting, 2), (up, 9)], 5, true);
        acts(&[(Change::Leaving, 0), (Change::Starting, 2), (up, 9)], 30, false);
        acts(&[(Change::Leaving, 0), (up, 9), (Change::Exited, 10)], 30, false);
        // Out of order: the line that came last was not written last.
        acts(&[(up, 9), (Change::Leaving, 0)], 30, false);
        acts(&[(crashed, 0)], 10, true);
        // The line that would have ended it was lost.
        acts(&[(Change::Leaving, 0)], 180, false);
    }
}
