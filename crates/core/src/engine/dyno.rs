//! One dyno: what is known of it, and the attempt at a restart that is under way, if one is.
//!
//! The states of an attempt and the transitions between them are drawn in docs/states.md; the edges of
//! that drawing are the methods of [`Attempt`].

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::DynoInfo;
use crate::codes::Code;
use crate::engine::budget::Slots;
use crate::engine::counts::{Hits, MemoryTrend};
use crate::event::{Change, DynoState};
use crate::ident::AppId;
use crate::limits;
use crate::record::{AttemptId, Decision, Hold, MemoryReading};
use crate::time::since;

/// Which dyno: its app, its formation's place in `process_types`, its place in the formation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct DynoKey {
    pub app: AppId,
    pub formation: u16,
    pub index: u32,
}

/// What the engine knows of one dyno.
#[derive(Debug, Default)]
pub(super) struct Dyno {
    pub attempt: Option<Attempt>,
    pub given_up: Option<GivenUp>,
    /// One for each rule, made when the first line counts.
    pub hits: Vec<Hits>,
    pub last_restart: Option<LastRestart>,
    pub memory: Option<MemoryReading>,
    /// The last thing that the platform said about its life, by the time in the lines.
    pub life: Option<(Change, Timestamp)>,
    /// The instance that the API showed last.
    pub seen: Option<DynoInfo>,
    /// Its place among the dynos in the order of their silence: `touched`, as it was within
    /// [`limits::QUIET_STEP`].
    pub placed: Duration,
    pub slots: Slots,
    /// When something was last heard of it, on the engine's clock.
    pub touched: Duration,
    /// One for each rule, made when the first sample counts.
    pub trends: Vec<MemoryTrend>,
}

/// The last restart that the API accepted.
#[derive(Clone, Debug)]
pub(super) struct LastRestart {
    /// By the time of day, for records.
    pub accepted_at: Timestamp,
    /// Since when the new instance has been up, by the platform's clock, once it is.
    pub back_at: Option<Timestamp>,
    /// When the cool-down ends, on the engine's clock.
    pub cool_at: Duration,
    /// Until when `max_restarts` counts it, on the engine's clock.
    pub counts_until: Duration,
    /// Whether people were told that it did not help.
    pub told_no_help: bool,
    /// The attempt, once the new instance is up and as long as nothing was told of its memory.
    pub unread: Option<AttemptId>,
}

/// A dyno that is left alone after too many restarts.
#[derive(Clone, Debug)]
pub(super) struct GivenUp {
    /// On the engine's clock.
    pub until: Duration,
    /// By the time of day, for records.
    pub until_at: Timestamp,
    /// The release that it was given up under; another one ends it.
    pub release: Option<u64>,
    /// When the API is next asked whether there is another release.
    pub look_again: Duration,
    /// How many releases of the app had been announced at the last look.
    pub releases_heard: u64,
}

/// One attempt at a restart, from the error to the settled new dyno.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// Whether it was begun by a process that died; nothing more is sent for it.
    pub is_resumed: bool,
    pub attempt_id: AttemptId,
    pub cause: Cause,
    pub phase: Phase,
    /// When it entered the queue.
    pub since: Duration,
    /// Whether its decision to restart is on record.
    pub decided: bool,
    /// That decision, until it is.
    pub draft: Option<Box<Decision>>,
    /// DELETEs sent.
    pub deletes: u32,
    /// Looks that failed in a row.
    pub failed_inspections: u32,
    /// Waits in a row, for the back-off.
    pub waits: u32,
    /// A DELETE of which nobody knows yet whether it was carried out.
    pub unresolved: Option<Unresolved>,
    /// Whether it has used up one of the dyno's `max_restarts`.
    pub spent: bool,
    /// The instance to be replaced, from the look before.
    pub target: Option<DynoInfo>,
    /// How many dynos its formation had at that look.
    pub formation: usize,
    /// When it is due, if it waits for time.
    pub due: Option<Duration>,
    /// What it waits for, once that is on record.
    pub waiting_for: Option<Hold>,
}

/// A DELETE without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unresolved {
    /// When it was sent.
    pub sent: Duration,
    /// When it became known that no answer will come; until a while after that it may yet be carried out.
    pub lost: Duration,
}

/// Who asked, and on what grounds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cause {
    pub rule: Arc<str>,
    pub code: Option<Code>,
    pub lines: u32,
    /// The time in the last line; none for a person's order.
    pub error_at: Option<Timestamp>,
}

impl Cause {
    pub fn is_manual(&self) -> bool {
        self.error_at.is_none()
    }
}

/// Where an attempt stands, in the order of its life.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    /// Waiting for a place among the `max_concurrent`.
    Queued,
    /// The API has been asked for the dyno and its formation.
    Inspecting,
    /// Something outside is in the way; it looks again later.
    Waiting,
    /// The store has been asked for the claim.
    Claiming,
    /// The DELETE is on its way.
    Restarting { sent: Duration },
    /// The DELETE's answer was lost, and the dyno is watched.
    Unconfirmed { sent: Duration, polls: u32, asking: bool },
    /// The API accepted; the new instance is awaited.
    Booting { accepted: Duration, polls: u32, asking: bool },
    /// The new instance is up and is given its time to settle.
    Settling,
    /// The new instance did not come up in time; it is still watched.
    Failed { accepted: Duration, asking: bool },
}

impl Phase {
    /// Whether nothing has been sent and nobody has been asked anything, so that the attempt can be dropped
    /// at once. One that waits for an answer is judged again when it comes: a look then finds its own
    /// attempt and no later one, and a claim that was given is given back.
    pub fn can_be_dropped(&self) -> bool {
        matches!(self, Self::Queued | Self::Waiting)
    }
}

impl Attempt {
    pub fn queue(attempt_id: AttemptId, cause: Cause, now: Duration) -> Self {
        Self {
            is_resumed: false,
            attempt_id,
            cause,
            phase: Phase::Queued,
            since: now,
            decided: false,
            draft: None,
            deletes: 0,
            failed_inspections: 0,
            waits: 0,
            unresolved: None,
            spent: false,
            target: None,
            formation: 0,
            due: None,
            waiting_for: None,
        }
    }

    /// Takes over the watch from a process that died.
    pub fn resume_unconfirmed(&mut self, target: DynoInfo, now: Duration) {
        assert!(matches!(self.phase, Phase::Queued), "adopt: from {:?}", self.phase);
        self.is_resumed = true;
        self.decided = true;
        self.deletes = 1;
        self.target = Some(target);
        self.unresolved = Some(Unresolved { sent: now, lost: now });
        self.phase = Phase::Unconfirmed { sent: now, polls: 0, asking: false };
    }

    /// Whether the dyno may be out because of us, so that it counts against `max_concurrent`.
    pub fn may_be_out(&self) -> bool {
        self.unresolved.is_some() || !matches!(self.phase, Phase::Queued | Phase::Inspecting | Phase::Waiting)
    }

    pub fn inspect(&mut self) {
        assert!(
            matches!(self.phase, Phase::Queued | Phase::Waiting | Phase::Unconfirmed { .. }),
            "look: from {:?}",
            self.phase
        );
        self.phase = Phase::Inspecting;
    }

    pub fn wait(&mut self) {
        assert!(
            matches!(
                self.phase,
                Phase::Queued
                    | Phase::Inspecting
                    | Phase::Waiting
                    | Phase::Claiming
                    | Phase::Restarting { .. }
                    | Phase::Unconfirmed { .. }
            ),
            "wait: from {:?}",
            self.phase
        );
        self.phase = Phase::Waiting;
        self.waits += 1;
    }

    pub fn claim(&mut self, target: DynoInfo, formation: usize) {
        assert!(matches!(self.phase, Phase::Inspecting), "claim: from {:?}", self.phase);
        self.phase = Phase::Claiming;
        self.target = Some(target);
        self.formation = formation;
    }

    pub fn restart(&mut self, now: Duration) {
        assert!(matches!(self.phase, Phase::Claiming), "restart: from {:?}", self.phase);
        self.phase = Phase::Restarting { sent: now };
        self.deletes += 1;
    }

    pub fn lose_answer(&mut self, unresolved: Unresolved) {
        assert!(
            matches!(
                self.phase,
                Phase::Restarting { .. }
                    | Phase::Inspecting
                    | Phase::Waiting
                    | Phase::Claiming
                    | Phase::Unconfirmed { .. }
            ),
            "doubt: from {:?}",
            self.phase
        );
        self.phase = Phase::Unconfirmed { sent: unresolved.sent, polls: 0, asking: false };
        self.unresolved = Some(unresolved);
    }

    pub fn boot(&mut self, accepted: Duration) {
        assert!(
            matches!(self.phase, Phase::Restarting { .. } | Phase::Unconfirmed { .. } | Phase::Inspecting),
            "boot: from {:?}",
            self.phase
        );
        assert!(self.deletes > 0, "boot: nothing was sent");
        self.phase = Phase::Booting { accepted, polls: 0, asking: false };
        self.unresolved = None;
    }

    /// The API is being asked for the dyno.
    pub fn ask(&mut self) {
        match &mut self.phase {
            Phase::Unconfirmed { asking, polls, .. } | Phase::Booting { asking, polls, .. } => {
                *asking = true;
                *polls += 1;
            }
            Phase::Failed { asking, .. } => *asking = true,
            phase => panic!("ask: from {phase:?}"),
        }
    }

    /// An answer came; false when none was expected.
    pub fn answered(&mut self) -> bool {
        match &mut self.phase {
            Phase::Unconfirmed { asking, .. }
            | Phase::Booting { asking, .. }
            | Phase::Failed { asking, .. } => std::mem::take(asking),
            _ => false,
        }
    }

    pub fn settle(&mut self) {
        assert!(
            matches!(self.phase, Phase::Booting { .. } | Phase::Failed { .. }),
            "settle: from {:?}",
            self.phase
        );
        self.phase = Phase::Settling;
    }

    pub fn fail(&mut self) {
        let Phase::Booting { accepted, .. } = self.phase else { panic!("fail: from {:?}", self.phase) };
        self.phase = Phase::Failed { accepted, asking: false };
    }
}

impl LastRestart {
    /// Notes that memory was told at `at`; gives the attempt if that is the first of the new instance.
    pub fn read(&mut self, at: Timestamp) -> Option<AttemptId> {
        // The old process may speak beside the new one, and no line says for certain which of them did.
        let is_alone = self.back_at.is_some_and(|back| since(back, at) >= limits::OLD_PROCESS_MAX);
        if is_alone { self.unread.take() } else { None }
    }
}

impl Dyno {
    /// Notes what the platform says of the dyno's life; lines come out of order.
    pub fn live(&mut self, change: Change, at: Timestamp) {
        if self.life.is_none_or(|(_, last)| last <= at) {
            // The old process's end is told after the new one is up, and says nothing about that one.
            if change != Change::Exited {
                self.life = Some((change, at));
            }
        }
    }

    /// Whether the platform said, after the error of `error_at` or within `recently` before it, that it
    /// is replacing the process, and has not yet said that the new one is up.
    pub fn platform_acts(&self, error_at: Timestamp, recently: Duration) -> bool {
        let Some((change, at)) = self.life else { return false };
        match change {
            Change::Leaving | Change::Starting => at >= error_at || since(at, error_at) < recently,
            Change::State(DynoState::Up) => at > error_at,
            Change::State(_) => at >= error_at || since(at, error_at) < recently,
            Change::Exited => false,
        }
    }

    /// Begins to count anew: what was counted belongs to an instance that is gone.
    pub fn forget_errors(&mut self) {
        self.hits.iter_mut().for_each(Hits::clear);
        self.trends.iter_mut().for_each(MemoryTrend::clear);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{Attempt, Cause, Dyno, Phase};
    use crate::event::{Change, DynoState};
    use crate::record::AttemptId;

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
    fn lines_say_when_the_platform_is_at_it() {
        let up = Change::State(DynoState::Up);
        let crashed = Change::State(DynoState::Crashed);
        acts(&[], 0, false);
        acts(&[(Change::Leaving, 5)], 0, true);
        acts(&[(Change::Leaving, 0), (Change::Starting, 2)], 5, true);
        acts(&[(Change::Leaving, 0), (Change::Starting, 2), (up, 9)], 5, true);
        acts(&[(Change::Leaving, 0), (Change::Starting, 2), (up, 9)], 30, false);
        acts(&[(Change::Leaving, 0), (up, 9), (Change::Exited, 10)], 30, false);
        // Out of order: the line that came last is not the one that was written last.
        acts(&[(up, 9), (Change::Leaving, 0)], 30, false);
        acts(&[(crashed, 0)], 10, true);
        // The line that would have ended it was lost.
        acts(&[(Change::Leaving, 0)], 180, false);
    }

    #[test]
    #[should_panic(expected = "restart: from Queued")]
    fn nothing_is_restarted_without_a_claim() {
        let cause = Cause { rule: "r".into(), code: None, lines: 0, error_at: None };
        Attempt::queue(AttemptId(1), cause, Duration::ZERO).restart(Duration::ZERO);
    }

    #[test]
    fn what_was_sent_cannot_be_dropped() {
        let sent = Duration::ZERO;
        assert!(Phase::Waiting.can_be_dropped());
        assert!(!Phase::Inspecting.can_be_dropped(), "its answer would find another attempt");
        assert!(!Phase::Claiming.can_be_dropped(), "nobody would give the claim back");
        assert!(!Phase::Restarting { sent }.can_be_dropped());
        assert!(!Phase::Unconfirmed { sent, polls: 0, asking: false }.can_be_dropped());
    }
}
