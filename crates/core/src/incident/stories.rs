//! Stories: records in the order in which the engine makes them, on a clock that only steps.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::{ApiError, DynoInfo};
use crate::days::verdict::Verdict;
use crate::event::{DynoState, Megabytes};
use crate::health::alert::HealthAlert;
use crate::ident::{AppId, DynoName, ProcessType};
use crate::incident::kind::Kind;
use crate::incident::message::Message;
use crate::incident::{Incidents, Input, Plan, WatchedApp};
use crate::record::hold::{AgeLimit, Hold};
use crate::record::{
    Action, AttemptId, Decision, Evidence, Measure, MemoryReading, Notice, NoticeKind, Outcome, Record,
    RestartResult, Scope,
};
use crate::time::{Now, earlier, later};
use crate::traffic::{Figures, Readings, Span};

/// A notifier's incidents, and the messages sent so far.
pub(crate) struct Story {
    incidents: Incidents,
    pub(crate) now: Now,
    pub(crate) messages: Vec<Message>,
    pub(crate) release: Option<u64>,
    traffic: Fixed,
}

/// The same traffic before every restart, and the same after it.
#[derive(Default)]
struct Fixed {
    before: Figures,
    after: Figures,
    /// When the traffic changes from before to after.
    turn: HashMap<DynoName, Duration>,
    suspects: Option<&'static str>,
}

impl Readings for Fixed {
    fn read(&self, _: AppId, dyno: &DynoName, span: Span) -> Option<Figures> {
        let is_after = self.turn.get(dyno).is_some_and(|turn| span.from >= *turn);
        Some(if is_after { self.after } else { self.before })
    }

    fn suspects(&self, app: AppId, process_type: &ProcessType) -> Option<String> {
        let is_known = app == AppId(0) && process_type.as_str() == "web";
        self.suspects.filter(|_| is_known).map(str::to_owned)
    }
}

pub(crate) fn web(index: u32) -> DynoName {
    DynoName::new("web".parse().expect("a type"), index)
}

pub(crate) fn memory(hundredths: u64, permille: u32) -> MemoryReading {
    MemoryReading { at: start(), used: Megabytes { hundredths }, permille }
}

fn start() -> Timestamp {
    "2026-03-04T05:06:07Z".parse().expect("a time")
}

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) fn minutes(count: u64) -> Duration {
    seconds(count * 60)
}

pub(crate) fn plan(apps: &[&str], on: &[Kind]) -> Plan {
    let app = |name: &&str| WatchedApp {
        name: name.parse().expect("a name"),
        is_reported: true,
        watch_for: minutes(5),
    };
    Plan {
        apps: apps.iter().map(app).collect(),
        digest: None,
        group: seconds(30),
        on: on.iter().copied().collect(),
        repeat: minutes(240),
        tag: 0xcafe,
        window: seconds(30),
    }
}

impl Story {
    /// Two apps, and the default kinds.
    pub(crate) fn new() -> Self {
        Self::of(plan(&["acme", "other"], &Kind::DEFAULT))
    }

    pub(crate) fn of(plan: Plan) -> Self {
        let now = Now { mono: minutes(60), wall: start() };
        let before = Figures {
            requests: 1200,
            errors: 51,
            timeouts: 14,
            p95: Some(Duration::from_millis(4270)),
            memory: Some(memory(64_600, 1262)),
        };
        let after = Figures {
            requests: 640,
            errors: 1,
            timeouts: 0,
            p95: Some(Duration::from_millis(180)),
            memory: Some(memory(21_000, 410)),
        };
        let traffic = Fixed { before, after, turn: HashMap::new(), suspects: None };
        Self { incidents: Incidents::new(plan, now), now, messages: Vec::new(), release: None, traffic }
    }

    /// What is known of the requests that make memory grow.
    #[cfg(test)]
    pub(crate) fn suspects(&mut self, sentence: &'static str) -> &mut Self {
        self.traffic.suspects = Some(sentence);
        self
    }

    /// Advances time, deadline by deadline.
    pub(crate) fn wait(&mut self, span: Duration) -> &mut Self {
        let end = self.now.after(span);
        for _ in 0..10_000 {
            let Some(due) = self.incidents.next_deadline().filter(|due| *due <= end.mono) else { break };
            let step = due.saturating_sub(self.now.mono);
            self.now = self.now.after(step);
            let before = self.messages.len();
            self.input(Input::Wake);
            let is_stuck = step.is_zero() && before == self.messages.len();
            assert!(
                !is_stuck || self.incidents.next_deadline().is_none_or(|next| next > due),
                "a deadline stays"
            );
        }
        self.now = end;
        self.input(Input::Wake)
    }

    pub(crate) fn input(&mut self, input: Input<'_>) -> &mut Self {
        self.messages.extend(self.incidents.handle(input, &self.traffic, self.now));
        self
    }

    #[cfg(test)]
    pub(crate) fn open_of(&self, app: AppId) -> usize {
        self.incidents.incidents.values().filter(|incident| incident.app == app).count()
    }

    /// R14 of a dyno, and the decision about it.
    pub(crate) fn r14(&mut self, index: u32, action: Action) -> &mut Self {
        let seen = self.release.map(|release| DynoInfo {
            name: web(index),
            is_one_off: false,
            process_type: "web".parse().expect("a type"),
            id: "01234567".parse().expect("an id"),
            created_at: earlier(self.now.wall, minutes(10)),
            updated_at: earlier(self.now.wall, minutes(10)),
            state: DynoState::Up,
            release: Some(release),
        });
        let evidence = Evidence {
            measure: Measure::Memory,
            code: Some("R14".parse().expect("a code")),
            line_at: Some(self.now.wall),
            lines: 1,
            memory: Some(memory(64_600, 1262)),
            seen,
            asked_by: None,
        };
        self.decide(Some(web(index)), "memory-quota-exceeded", action, evidence)
    }

    pub(crate) fn decide(
        &mut self,
        dyno: Option<DynoName>,
        rule: &str,
        action: Action,
        evidence: Evidence,
    ) -> &mut Self {
        let attempt_id = matches!(action, Action::Restart { .. }).then_some(AttemptId(1));
        let decision = Decision {
            at: self.now.wall,
            app: AppId(0),
            dyno,
            rule: rule.into(),
            action,
            evidence,
            attempt_id,
        };
        self.input(Input::Record(&Record::Decision(decision)))
    }

    pub(crate) fn restart(&mut self, index: u32) -> &mut Self {
        self.r14(index, Action::Restart { dry_run: false, formation: 3 })
    }

    pub(crate) fn outcome(&mut self, index: u32, result: RestartResult) -> &mut Self {
        if let RestartResult::Back { .. } = result {
            self.traffic.turn.insert(web(index), self.now.mono);
        }
        let outcome =
            Outcome { at: self.now.wall, app: AppId(0), dyno: web(index), attempt_id: AttemptId(1), result };
        self.input(Input::Record(&Record::Outcome(outcome)))
    }

    pub(crate) fn accepted(&mut self, index: u32) -> &mut Self {
        self.outcome(index, RestartResult::Accepted { answer_lost: false })
    }

    pub(crate) fn back(&mut self, index: u32, out_for: u64, late: bool) -> &mut Self {
        let id = "89abcdef".parse().expect("an id");
        self.outcome(
            index,
            RestartResult::Back {
                id,
                release: None,
                up_since: self.now.wall,
                out_for: seconds(out_for),
                late,
            },
        )
    }

    pub(crate) fn notice(&mut self, index: Option<u32>, what: NoticeKind) -> &mut Self {
        self.notice_of(AppId(0), index, what)
    }

    pub(crate) fn notice_of(&mut self, app: AppId, index: Option<u32>, what: NoticeKind) -> &mut Self {
        let notice = Notice { at: self.now.wall, scope: Scope::App(app), dyno: index.map(web), what };
        self.input(Input::Record(&Record::Notice(notice)))
    }

    pub(crate) fn not_back(&mut self, index: u32) -> &mut Self {
        let result = RestartResult::NotBack { state: Some(DynoState::Starting), waited: minutes(3) };
        self.outcome(index, result.clone());
        self.notice(Some(index), NoticeKind::RestartFailed(result))
    }

    pub(crate) fn give_up(&mut self, index: u32) -> &mut Self {
        let until = later(self.now.wall, minutes(360));
        self.r14(index, Action::Hold(Hold::GivenUp { until, useless: 3 }));
        self.notice(
            Some(index),
            NoticeKind::GaveUp { useless: 3, until, release: None, times: 1, verdict: Verdict::Unknown },
        )
    }

    pub(crate) fn error(&mut self, app: u32) -> &mut Self {
        self.notice_of(AppId(app), None, NoticeKind::ApiError(ApiError::Unauthorized))
    }

    #[cfg(test)]
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.incidents.next_deadline()
    }

    #[cfg(test)]
    pub(crate) fn forgotten(&self) -> u64 {
        self.incidents.forgotten()
    }

    pub(crate) fn queued(&mut self, index: u32, behind: u32) -> &mut Self {
        self.r14(index, Action::Hold(Hold::Queued { behind: web(behind) }))
    }

    /// The messages sent, one line each.
    #[cfg(test)]
    pub(crate) fn timeline(&self) -> Vec<String> {
        let line = |message: &Message| {
            let at = message.at.duration_since(start()).as_secs();
            format!("{at:>6}s {:>8} {:<15} {}", message.phase.word(), message.kind.word(), message.title)
        };
        self.messages.iter().map(line).collect()
    }
}

/// One message of every sort, by name.
pub fn messages() -> Vec<(&'static str, Message)> {
    let mut all = Vec::new();
    let mut keep = |name: &'static str, story: &Story| {
        all.push((name, story.messages.last().expect("a message was sent").clone()));
    };
    let mut story = Story::new();
    story.restart(1).wait(seconds(1)).accepted(1).wait(seconds(12)).back(1, 12, false).wait(minutes(1));
    keep("restart", &story);
    story.wait(minutes(10));
    keep("restart-helped", &story);
    story.wait(minutes(133)).restart(1).accepted(1).wait(seconds(40));
    keep("restart-again", &story);
    story.back(1, 40, false).wait(minutes(4)).notice(Some(1), NoticeKind::NoHelp { after: minutes(4) });
    story.wait(seconds(2));
    keep("no-help", &story);
    story.wait(minutes(10));
    keep("restart-did-not-help", &story);

    let mut story = Story::new();
    story.restart(1).queued(2, 1).queued(3, 1).wait(seconds(30));
    keep("restart-of-several", &story);
    story.accepted(1).wait(minutes(3)).not_back(1).wait(seconds(2));
    keep("failure", &story);
    story.wait(minutes(240));
    keep("failure-reminder", &story);
    story.back(1, 14_580, true).wait(seconds(30));
    keep("recovered", &story);

    let mut story = Story::new();
    story.give_up(2).wait(seconds(2));
    keep("give-up", &story);
    story.r14(4, Action::Restart { dry_run: true, formation: 1 }).wait(minutes(1));
    keep("dry-run", &story);
    story.error(0).wait(seconds(2));
    keep("api-unseen", &story);
    story.wait(minutes(12)).notice(None, NoticeKind::ApiRecovered);
    keep("api-seen-again", &story);
    let hidden = || NoticeKind::ApiError(ApiError::NoSuchApp);
    story.notice(None, hidden()).wait(seconds(5)).notice_of(AppId(1), None, hidden()).wait(seconds(30));
    keep("api-unseen-of-several", &story);
    story.notice(None, NoticeKind::Health(HealthAlert::DrainSilent { quiet_for: minutes(30), running: 2 }));
    story.wait(seconds(2));
    keep("drain-silent", &story);
    story.input(Input::NotifierDown { name: "ops", why: "it answered 404 Not Found" });
    story.wait(seconds(2));
    keep("notifier-down", &story);

    all.extend(other_messages());
    all
}

fn other_messages() -> Vec<(&'static str, Message)> {
    let mut all = Vec::new();
    let mut keep = |name: &'static str, story: &Story| {
        all.push((name, story.messages.last().expect("a message was sent").clone()));
    };
    let mut story = Story::new();
    story.input(Input::Release { app: AppId(0), version: Some(42) }).wait(minutes(9));
    story.queued(1, 2).wait(minutes(2)).queued(2, 1);
    keep("suspect-release", &story);

    let mut story = Story::of(Plan {
        digest: Some("09:00 Europe/Berlin".parse().expect("a time")),
        ..plan(&["acme", "other"], &[])
    });
    story
        .restart(1)
        .accepted(1)
        .back(1, 12, false)
        .queued(2, 1)
        .queued(3, 1)
        .give_up(2)
        .wait(minutes(24 * 60));
    keep("digest", &story);

    let mut story = Story::of(plan(&["acme"], &Kind::CHOICES));
    story
        .r14(1, Action::Hold(Hold::TooYoung { age: minutes(1), min: minutes(3), limit: AgeLimit::MinUptime }))
        .wait(seconds(30));
    keep("hold", &story);
    let evidence = Evidence { code: Some("H99".parse().expect("a code")), lines: 20, ..Evidence::default() };
    story.decide(None, "platform-errors", Action::Notify, evidence).wait(seconds(30));
    keep("notify", &story);
    all
}
