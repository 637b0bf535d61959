//! The engine's state of one dyno.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::{ApiError, DynoInfo};
use crate::engine::attempt::Attempt;
use crate::engine::counts::{Hits, Instances, MemoryTrend};
use crate::event::{Change, DynoState};
use crate::ident::AppId;
use crate::limits;
use crate::policy::verdict::RestartTimes;
use crate::record::hold::Hold;
use crate::record::usefulness::Usefulness;
use crate::record::{AttemptId, MemoryReading};
use crate::time::{Now, since};

/// Identifies a dyno: its app, its formation's place in `process_types`, its place in the formation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct DynoKey {
    pub app: AppId,
    pub formation: u16,
    pub index: u32,
}

/// There may be a hundred thousand of these, so what most dynos never have is behind a pointer.
#[derive(Debug, Default)]
pub(super) struct Dyno {
    pub attempt: Option<Box<Attempt>>,
    /// What was last said of its age.
    pub age_told: Option<Box<AgeTold>>,
    /// When its attempt is due, if that waits for time.
    pub due: Option<Duration>,
    /// One per rule, created when the first line counts.
    pub hits: Vec<Hits>,
    /// The instances that sent samples of log-runtime-metrics.
    pub instances: Option<Box<Instances>>,
    pub memory: Option<MemoryReading>,
    /// The last sample of the newest instance.
    pub sample: Option<MemoryReading>,
    /// The platform's last word on its life, by the time in the lines.
    pub life: Option<(Change, Timestamp)>,
    /// The newest start of a process of it, by the platform's clock. Older errors are those of its
    /// predecessor.
    pub process_began: Option<Timestamp>,
    /// When lines last said that its process is being stopped, until one says that it has exited.
    pub stopping: Option<Timestamp>,
    /// Since when it has not been up, while it is not.
    pub down: Option<Down>,
    /// What the API answered to the last restart, if it refused.
    pub refused: Option<Box<Refused>>,
    pub restarts: Restarts,
    /// The errors that a restart rule fired for, since they last paused.
    pub spell: Option<Box<ErrorSpell>>,
    /// The instance that the API showed last.
    pub seen: Option<Box<DynoInfo>>,
    /// When it did, on the engine's clock.
    pub shown_at: Duration,
    /// Its place in the order of silence: `touched`, as it was within [`limits::QUIET_STEP`].
    pub placed: Duration,
    /// Its last activity, on the engine's clock.
    pub touched: Duration,
    /// One per rule, created when the first sample counts.
    pub trends: Vec<MemoryTrend>,
}

/// What was last said of a process's age.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AgeTold {
    Held(Hold),
    Notified { start: Option<Timestamp> },
}

/// The restarts of one dyno so far, and whether they helped.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    /// Accepted restarts that `max_restarts` may still count, on the engine's clock.
    pub accepted: RestartTimes,
    pub last: Option<Box<LastRestart>>,
    /// Restarts in a row that did not help.
    pub useless: u32,
    /// Give-ups in a row.
    pub give_ups: u32,
    /// When the last of them began, on the engine's clock.
    pub gave_up_at: Option<SignedDuration>,
    pub given_up: Option<Box<GivenUp>>,
    /// Restarts in a row after which the dyno did not err at once.
    pub often: Option<Often>,
    /// Whether people know how often it is restarted.
    pub is_often_reported: bool,
    /// The release that all of this belongs to; another one clears it.
    pub release: Option<u64>,
    /// The app's announced releases when the API last showed the dyno.
    pub releases_seen: u64,
    /// Whether a process has begun since that the API has not shown. It may run another release.
    pub is_unseen: bool,
}

/// How often a dyno is restarted that goes on to err.
#[derive(Clone, Copy, Debug)]
pub(super) struct Often {
    pub first: Timestamp,
    pub restarts: u32,
    /// Whether each of them is known to have helped.
    pub all_helped: bool,
}

/// The last restart that the API accepted.
#[derive(Clone, Debug)]
pub(super) struct LastRestart {
    /// The attempt, if this process began it.
    pub attempt_id: Option<AttemptId>,
    /// By the wall clock, for records.
    pub accepted_at: Timestamp,
    /// The acceptance by the platform's clock, as far as lines show it.
    pub began_at: Timestamp,
    /// When the new instance came up, by the platform's clock.
    pub back_at: Option<Timestamp>,
    /// The same on the engine's clock; negative for a restart of an earlier process.
    pub accepted: SignedDuration,
    /// Whether it helped.
    pub usefulness: Usefulness,
    /// How soon the error was back, if this process found that it did not help.
    pub useless_after: Option<Duration>,
    /// Whether a sample of the new instance was below the limit when the error should have been back.
    pub was_low: bool,
    /// The errors of that rule since, as long as they follow each other closely.
    pub errors: Option<ErrorRun>,
    /// The rule whose next error shows whether the restart helped; none if that is known, or if no error led
    /// to the restart.
    pub judged_by: Option<Arc<str>>,
    /// The attempt, once the new instance is up and until its memory is reported.
    pub unread: Option<AttemptId>,
}

/// Errors that follow each other closely, by the platform's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct ErrorRun {
    pub since: Timestamp,
    pub last: Timestamp,
}

/// A dyno that is left alone after restarts that did not help.
#[derive(Clone, Debug)]
pub(super) struct GivenUp {
    /// On the engine's clock.
    pub until: Duration,
    /// By the wall clock, for records.
    pub until_at: Timestamp,
    /// When the API is next asked for another release.
    pub look_again: Duration,
}

/// A dyno that is not up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Down {
    /// By the platform's clock.
    pub since: Timestamp,
    /// Whether people know that it is broken.
    pub is_reported: bool,
    /// Whether it was scaled away or stopped, and has not been started since.
    pub is_stopped: bool,
}

/// A refusal of the API, and how long it is not asked again.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub error: ApiError,
    pub tries: usize,
    /// On the engine's clock.
    pub at: Duration,
    pub until: Duration,
}

/// Errors of one dyno that follow each other, on the engine's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct ErrorSpell {
    pub since: Duration,
    pub last: Duration,
    /// When people were last notified that it is not restarted.
    pub reported: Option<Duration>,
}

impl GivenUp {
    /// Whether it holds at `now`, whose wall clock is the earlier one of ours and Heroku's. A give-up that is
    /// restored while our clock is behind would hold on the engine's clock for as long as that was wrong.
    pub(super) fn is_in_force(&self, now: Now) -> bool {
        now.mono < self.until && now.wall < self.until_at
    }
}

impl LastRestart {
    /// Notes an error that began at `began` and was last seen at `seen`. Returns since when errors have
    /// followed each other.
    pub(super) fn erred(&mut self, began: Timestamp, seen: Timestamp) -> Timestamp {
        let run = match self.errors {
            // A late line from long before them.
            Some(run) if since(seen, run.since) > limits::EVIDENCE_AGE_MAX => run,
            Some(run) if since(run.last, began) <= limits::EVIDENCE_AGE_MAX => {
                ErrorRun { since: run.since.min(began), last: run.last.max(seen) }
            }
            _ => ErrorRun { since: began, last: seen },
        };
        self.errors = Some(run);
        run.since
    }

    /// Notes a sample of the newest instance: below the quota two to three minutes after it came up, it has
    /// not erred again.
    pub(super) fn sampled(&mut self, memory: MemoryReading) {
        let Some(up_for) = self.back_at.map(|back| since(back, memory.at)) else { return };
        let is_late_enough = up_for >= limits::HELP_WITHIN - limits::EVIDENCE_AGE_MAX;
        self.was_low |= is_late_enough && up_for <= limits::HELP_WITHIN && memory.permille < 1000;
    }

    /// Notes a memory report at `at`; returns the attempt if it is the first of the new instance.
    pub(super) fn read(&mut self, at: Timestamp) -> Option<AttemptId> {
        // The old process may report alongside the new one, and no line says for certain which one it was.
        let is_alone = self.back_at.is_some_and(|back| since(back, at) >= limits::OLD_PROCESS_MAX);
        if is_alone { self.unread.take() } else { None }
    }
}

impl Dyno {
    pub(super) fn take_attempt(&mut self) -> Option<Attempt> {
        self.attempt.take().map(|attempt| *attempt)
    }

    /// Notes what the platform says of the dyno's life; lines come out of order. Returns whether it is news.
    pub(super) fn live(&mut self, change: Change, at: Timestamp) -> bool {
        match change {
            Change::Leaving => self.stopping = self.stopping.max(Some(at)),
            Change::Exited => self.stopping = self.stopping.filter(|since| *since > at),
            Change::Starting | Change::State { .. } => {}
        }
        // The old process's exit is reported after the new one is up, and says nothing about that one.
        let is_news = change != Change::Exited && self.life.is_none_or(|(_, last)| last <= at);
        if is_news {
            self.life = Some((change, at));
        }
        is_news
    }

    /// Whether an error may be of the process before the present one, which is stopped alongside it.
    pub(super) fn may_be_of_stopped(&self, error_at: Timestamp) -> bool {
        self.stopping.is_some_and(|at| at <= error_at && since(at, error_at) < limits::OLD_PROCESS_MAX)
    }

    /// Why the platform's lines, after `error_at` or within `recently` before it, show that it is replacing
    /// the process, and that the new one is not up yet.
    pub(super) fn platform_acts(&self, error_at: Timestamp, recently: Duration) -> Option<Hold> {
        let (change, at) = self.life?;
        let is_recent = at >= error_at || since(at, error_at) < recently;
        match change {
            Change::State { to: DynoState::Up, .. } => {
                (at > error_at).then_some(Hold::Superseded { created_at: at })
            }
            Change::Leaving => is_recent.then_some(Hold::PlatformActs),
            Change::Starting => is_recent.then_some(Hold::NotUp { state: DynoState::Starting }),
            Change::State { to: state, .. } => is_recent.then_some(Hold::NotUp { state }),
            Change::Exited => None,
        }
    }

    /// A new process began: errors before that belong to one that is gone.
    pub(super) fn process_begins(&mut self, at: Timestamp) {
        if self.process_began.is_none_or(|known| known < at) {
            self.process_began = Some(at);
            self.hits.iter_mut().for_each(|hits| hits.forget_before(at));
            self.trends.iter_mut().for_each(|trend| trend.forget_before(at));
        }
    }

    /// Notes what the API shows of it; none if it is gone.
    pub(super) fn show(&mut self, seen: Option<DynoInfo>, now: Duration) {
        self.seen = seen.map(Box::new);
        self.shown_at = now;
    }

    /// Whether the API has shown lately that it is a one-off dyno. It stays one until another process has its
    /// name; but one beyond the quantity may be of a formation that has grown.
    pub(super) fn is_one_off(&self, now: Duration) -> bool {
        let is_so = self.seen.as_ref().is_some_and(|seen| seen.is_one_off);
        is_so && !self.restarts.is_unseen && now.saturating_sub(self.shown_at) < limits::ONE_OFF_LOOK_EVERY
    }

    /// A line shows its process at work. Past the longest boot it is up, though the line about that was lost.
    pub(super) fn is_at_work(&mut self, at: Timestamp) {
        let is_newest = self.life.is_none_or(|(_, last)| last <= at);
        let has_booted = self.process_began.is_some_and(|began| since(began, at) > limits::BOOT_MAX);
        if is_newest && has_booted {
            self.down = None;
        }
    }

    /// Notes whether it was up at `at`, by the platform's clock.
    pub(super) fn is_in_state(&mut self, state: DynoState, at: Timestamp) {
        let is_stopped = state == DynoState::Down;
        match (state, &mut self.down) {
            (DynoState::Up, down) => *down = None,
            // The time before it was started again is none that it takes to boot.
            (DynoState::Starting, Some(down)) if down.is_stopped => {
                *down = Down { since: down.since.max(at), is_reported: false, is_stopped };
            }
            (_, Some(down)) => *down = Down { since: down.since.min(at), is_stopped, ..*down },
            (_, down) => *down = Some(Down { since: at, is_reported: false, is_stopped }),
        }
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

    /// Found by the simulation: a dyno whose line about being up was lost counted as broken as soon as it was
    /// replaced, and another went beside it.
    #[test]
    fn a_dyno_at_work_is_up_once_it_must_have_booted() {
        let mut dyno = Dyno::default();
        let starts = |dyno: &mut Dyno, secs| {
            dyno.live(Change::Starting, at(secs));
            dyno.process_begins(at(secs));
            dyno.is_in_state(DynoState::Starting, at(secs));
        };
        starts(&mut dyno, 0);
        dyno.is_at_work(at(180));
        assert!(dyno.down.is_some(), "it may still be booting");
        starts(&mut dyno, 100);
        dyno.is_at_work(at(281));
        assert!(dyno.down.is_none());
        starts(&mut dyno, 2000);
        dyno.is_at_work(at(1990));
        assert_eq!(dyno.down.map(|down| down.since), Some(at(2000)));
    }

    #[track_caller]
    fn acts(lines: &[(Change, i64)], error_secs: i64, expect: bool) {
        let mut dyno = Dyno::default();
        for (change, secs) in lines {
            dyno.live(*change, at(*secs));
        }
        let hold = dyno.platform_acts(at(error_secs), Duration::from_secs(180));
        assert_eq!(hold.is_some(), expect, "{lines:?}");
    }

    #[test]
    fn lines_show_when_the_platform_is_acting() {
        let up = Change::to(DynoState::Up);
        let crashed = Change::to(DynoState::Crashed);
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
