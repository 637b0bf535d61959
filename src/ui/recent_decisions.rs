//! The last decisions with their outcomes, for the status page. The store has the whole history.

use std::collections::VecDeque;
use std::sync::Arc;

use dynowarden_core::ident::AppName;
use dynowarden_core::limits;
use dynowarden_core::record::view::{DecisionView, MemoryView, OutcomeView};
use dynowarden_core::record::{Action, AttemptId, Decision, MANUAL, MemoryAfterRestart, Outcome};

#[derive(Clone, Debug, Default)]
pub struct RecentDecisions {
    /// Oldest first.
    entries: VecDeque<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Shared with the pages that are being written.
    view: Arc<DecisionView>,
    attempt_id: Option<AttemptId>,
}

impl RecentDecisions {
    /// Adds a decision. A repetition of the last one about that dyno is counted with it.
    pub fn add(&mut self, decision: &Decision, app: &AppName) {
        let view = DecisionView::new(decision, app);
        // Only the newest are searched: an older one was interrupted by other decisions.
        let recent = self.entries.iter_mut().rev().take(FOLD_REACH);
        let last = recent
            .filter(|entry| {
                let of = |view: &DecisionView| (view.app.clone(), view.dyno.clone(), view.rule.clone());
                of(&entry.view) == of(&view)
            })
            .take(1)
            // A person asked each time, and each has an answer.
            .find(|entry| view.rule != MANUAL && entry.view.repeats(&view));
        if let Some(entry) = last {
            let before = Arc::make_mut(&mut entry.view);
            before.count = before.count.saturating_add(1);
            before.last_at = view.at;
            before.reason = view.reason;
            return;
        }
        // A refusal while a restart is under way carries the id of that attempt, which is not its own.
        let attempt_id = decision.attempt_id.filter(|_| matches!(decision.action, Action::Restart { .. }));
        self.push(view, attempt_id);
    }

    /// Adds the decisions of earlier processes, newest first as the store returns them.
    pub fn restore(&mut self, past: impl IntoIterator<Item = DecisionView, IntoIter: DoubleEndedIterator>) {
        for view in past.into_iter().rev() {
            self.push(view, None);
        }
    }

    /// Adds the outcome of a restart.
    pub fn add_outcome(&mut self, outcome: &Outcome) {
        if let Some(view) = self.of(outcome.attempt_id) {
            let before = view.outcome.take().unwrap_or_default();
            // As in the store: a later result adds to what is known of the restart.
            let after = OutcomeView::new(outcome);
            view.outcome = Some(OutcomeView {
                out_for_seconds: after.out_for_seconds.or(before.out_for_seconds),
                instance: after.instance.or(before.instance),
                new_instance: after.new_instance.or(before.new_instance),
                memory: after.memory.or(before.memory),
                ..after
            });
        }
    }

    /// Notes a restarted dyno's memory, shown next to the reading that led to the restart.
    pub fn memory_after_restart(&mut self, reading: &MemoryAfterRestart) {
        if let Some(DecisionView { outcome: Some(outcome), .. }) = self.of(reading.attempt_id) {
            outcome.memory = Some(MemoryView::new(&reading.memory));
        }
    }

    fn of(&mut self, attempt_id: AttemptId) -> Option<&mut DecisionView> {
        let entry = self.entries.iter_mut().rev().find(|entry| entry.attempt_id == Some(attempt_id))?;
        Some(Arc::make_mut(&mut entry.view))
    }

    /// Returns all of them, newest first.
    pub fn views(&self) -> impl Iterator<Item = &Arc<DecisionView>> {
        self.entries.iter().rev().map(|entry| &entry.view)
    }

    fn push(&mut self, view: DecisionView, attempt_id: Option<AttemptId>) {
        if self.entries.len() >= limits::RECENT_DECISIONS_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { view: Arc::new(view), attempt_id });
    }
}

/// How many decisions back a repetition is searched for: more than the dynos that fail at one time.
const FOLD_REACH: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::RecentDecisions;
    use dynowarden_core::event::Megabytes;
    use dynowarden_core::ident::{AppId, AppName};
    use dynowarden_core::limits;
    use dynowarden_core::record::hold::Hold;
    use dynowarden_core::record::{
        Action, AttemptId, Decision, Evidence, MemoryAfterRestart, MemoryReading, Outcome, RestartResult,
    };
    use dynowarden_core::time::later;

    fn at(seconds: u64) -> Timestamp {
        later("2026-01-02T00:00:00Z".parse().expect("a time"), Duration::from_secs(seconds))
    }

    fn decide(
        recent_decisions: &mut RecentDecisions,
        second: u64,
        dyno: &str,
        action: Action,
        attempt_id: Option<AttemptId>,
    ) {
        let decision = Decision {
            at: at(second),
            app: AppId(0),
            dyno: Some(dyno.parse().expect("a dyno")),
            rule: "r".into(),
            action,
            evidence: Evidence::default(),
            attempt_id,
        };
        recent_decisions.add(&decision, &acme());
    }

    fn acme() -> AppName {
        "acme".parse().expect("an app")
    }

    #[test]
    fn a_restart_that_did_not_help_was_out_as_long_as_before() {
        let mut recent_decisions = RecentDecisions::default();
        let id = AttemptId(4);
        decide(&mut recent_decisions, 1, "web.1", Action::Restart { dry_run: false, formation: 2 }, Some(id));
        let back = RestartResult::Back {
            id: "89abcdef".parse().expect("an id"),
            release: None,
            up_since: at(9),
            out_for: Duration::from_secs(8),
            late: false,
        };
        for result in [back, RestartResult::NoHelp { after: Duration::from_secs(3) }] {
            let dyno = "web.1".parse().expect("a dyno");
            recent_decisions.add_outcome(&Outcome {
                at: at(10),
                app: AppId(0),
                dyno,
                attempt_id: id,
                result,
            });
        }
        let outcome = recent_decisions.views().next().and_then(|view| view.outcome.clone()).expect("one");
        assert_eq!((outcome.result.as_ref(), outcome.out_for_seconds), ("no_help", Some(8.0)));
        assert_eq!(outcome.new_instance.as_deref(), Some("89abcdef"));
    }

    #[test]
    fn repeated_refusals_are_counted_and_others_are_separate() {
        let mut recent_decisions = RecentDecisions::default();
        for (second, dyno, hold) in [
            (1, "web.1", Hold::UnderWay),
            (2, "web.2", Hold::UnderWay),
            (3, "web.1", Hold::UnderWay),
            (4, "web.1", Hold::Gone),
            (5, "web.1", Hold::UnderWay),
        ] {
            decide(&mut recent_decisions, second, dyno, Action::Hold(hold), None);
        }
        let shown: Vec<_> = recent_decisions
            .views()
            .map(|view| (view.dyno.clone().unwrap_or_default(), view.code.clone(), view.count))
            .collect();
        let expect = [
            ("web.1", "under_way", 1),
            ("web.1", "gone", 1),
            ("web.2", "under_way", 1),
            ("web.1", "under_way", 2),
        ];
        assert_eq!(shown, expect.map(|(dyno, code, times)| (dyno.to_owned(), code.to_owned(), times)));
    }

    #[test]
    fn rules_are_folded_apart_and_a_persons_words_never() {
        let mut recent_decisions = RecentDecisions::default();
        for (second, rule) in [(1, "r"), (2, "by-hand"), (3, "by-hand"), (4, "other"), (5, "r")] {
            let decision = Decision {
                at: at(second),
                app: AppId(0),
                dyno: Some("web.1".parse().expect("a dyno")),
                rule: rule.into(),
                action: Action::Hold(Hold::UnderWay),
                evidence: Evidence::default(),
                attempt_id: None,
            };
            recent_decisions.add(&decision, &acme());
        }
        let shown: Vec<_> = recent_decisions.views().map(|view| (view.rule.clone(), view.count)).collect();
        let expect = [("other", 1), ("by-hand", 1), ("by-hand", 1), ("r", 2)];
        assert_eq!(shown, expect.map(|(rule, count)| (rule.to_owned(), count)));
    }

    #[test]
    fn a_restart_shows_its_result_and_the_memory_behind_it() {
        let mut recent_decisions = RecentDecisions::default();
        let restart = Action::Restart { dry_run: false, formation: 2 };
        decide(&mut recent_decisions, 1, "web.1", restart, Some(AttemptId(7)));
        decide(&mut recent_decisions, 2, "web.1", Action::Hold(Hold::UnderWay), Some(AttemptId(7)));
        let dyno: dynowarden_core::ident::DynoName = "web.1".parse().expect("a dyno");
        recent_decisions.add_outcome(&Outcome {
            at: at(10),
            app: AppId(0),
            dyno: dyno.clone(),
            attempt_id: AttemptId(7),
            result: RestartResult::Back {
                id: "i".parse().expect("an id"),
                release: None,
                up_since: at(10),
                out_for: Duration::from_secs(9),
                late: false,
            },
        });
        let memory = MemoryReading { at: at(50), used: Megabytes { hundredths: 100 }, permille: 10 };
        for attempt_id in [AttemptId(8), AttemptId(7)] {
            recent_decisions.memory_after_restart(&MemoryAfterRestart {
                app: AppId(0),
                dyno: dyno.clone(),
                attempt_id,
                memory,
            });
        }
        let views: Vec<_> = recent_decisions.views().collect();
        assert_eq!(views[0].outcome, None, "the refusal led to nothing");
        let result = views[1].outcome.as_ref().expect("a result");
        let after = result.memory.as_ref().expect("its memory");
        assert_eq!((&*result.result, after.at, after.used_mb), ("back", at(50), 1.0));
    }

    #[test]
    fn the_oldest_go_first() {
        let mut recent_decisions = RecentDecisions::default();
        for index in 1..=limits::RECENT_DECISIONS_MAX as u64 + 5 {
            decide(&mut recent_decisions, index, &format!("web.{index}"), Action::Notify, None);
        }
        assert_eq!(recent_decisions.views().count(), limits::RECENT_DECISIONS_MAX);
        assert_eq!(recent_decisions.views().last().and_then(|view| view.dyno.as_deref()), Some("web.6"));
    }
}
