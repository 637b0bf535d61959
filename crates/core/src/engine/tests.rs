//! The engine against a scripted API: each test compares a timeline.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::{ApiError, ClaimRefusal, DeleteResult, DynoInfo, FormationInfo};
use crate::codes::Code;
use crate::engine::restore::{OpenClaim, RestoredGiveUp, RestoredPause, RestoredRestart, RestoredState};
use crate::engine::{Effect, Engine, Input, OrderId};
use crate::event::{Change, DynoState, Event, Fact, Megabytes};
use crate::ident::{AppId, DynoName};
use crate::policy::{Act, AppPlan, MemoryBound, Policy, Rate, Rule, Trigger};
use crate::record::{AttemptId, MemoryAfterRestart, Record};
use crate::time::{Now, earlier, later};

const APP: AppId = AppId(0);

/// What the scripted API does with the next DELETE, or the next look.
#[derive(Clone, Debug)]
enum Fault {
    Claim(ClaimRefusal),
    DeleteLost {
        done: bool,
    },
    DeleteRefused(ApiError),
    /// The answer to the next effect of this kind comes only with [`Bench::answer`].
    Hang(&'static str),
    Inspect(ApiError),
    Poll(ApiError),
}

struct Bench {
    api: Vec<DynoInfo>,
    boot: Duration,
    deletes: Vec<String>,
    effects_of_orders: Vec<String>,
    engine: Engine,
    faults: VecDeque<Fault>,
    /// Times of errors that another replica received.
    errors_elsewhere: Vec<Timestamp>,
    hanging: VecDeque<Effect>,
    instances: u32,
    now: Now,
    timeline: Vec<String>,
}

fn policy() -> Policy {
    Policy {
        process_types: vec!["web".parse().expect("a type")],
        cooldown: mins(10),
        max_restarts: Rate { count: NonZeroU32::new(3).expect("a count"), per: mins(120) },
        give_up_for: mins(360),
        max_concurrent: NonZeroU32::MIN,
        settle: secs(30),
        min_uptime: mins(3),
        boot_timeout: mins(3),
        window: Vec::new(),
    }
}

fn rule(count: u32, act: Act) -> Rule {
    let trigger = Trigger::Errors {
        codes: vec![Code::R14],
        count: NonZeroU32::new(count).expect("a count"),
        within: mins(5),
    };
    Rule { name: "r14".into(), trigger, act }
}

fn plan() -> AppPlan {
    AppPlan {
        name: "acme".parse().expect("an app"),
        dry_run: false,
        policy: policy(),
        rules: vec![rule(1, Act::Restart)],
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn mins(mins: u64) -> Duration {
    secs(mins * 60)
}

fn dyno(name: &str) -> DynoName {
    name.parse().expect("a dyno")
}

impl Bench {
    /// An app with this many web dynos, all up for a day.
    fn new(plan: AppPlan, webs: u32) -> Self {
        let wall: Timestamp = "2026-03-01T00:00:00Z".parse().expect("a time");
        let mut bench = Self {
            api: Vec::new(),
            boot: secs(8),
            deletes: Vec::new(),
            effects_of_orders: Vec::new(),
            engine: Engine::new(vec![plan], 1),
            faults: VecDeque::new(),
            errors_elsewhere: Vec::new(),
            hanging: VecDeque::new(),
            instances: 0,
            now: Now { mono: Duration::ZERO, wall },
            timeline: Vec::new(),
        };
        for index in 1..=webs {
            let seen = bench.instance(&format!("web.{index}"), earlier(wall, mins(24 * 60)), DynoState::Up);
            bench.api.push(seen);
        }
        bench
    }

    fn instance(&mut self, name: &str, at: Timestamp, state: DynoState) -> DynoInfo {
        self.instances += 1;
        let name = dyno(name);
        DynoInfo {
            process_type: name.process_type().clone(),
            name,
            is_one_off: false,
            id: format!("i{}", self.instances).parse().expect("an id"),
            created_at: at,
            updated_at: at,
            state,
            release: Some(7),
        }
    }

    fn dyno_mut(&mut self, name: &str) -> &mut DynoInfo {
        let name = dyno(name);
        self.api.iter_mut().find(|seen| seen.name == name).expect("a dyno of that name")
    }

    fn replace(&mut self, name: &str) {
        let wall = self.now.wall;
        let fresh = self.instance(name, wall, DynoState::Starting);
        *self.dyno_mut(name) = fresh;
    }

    /// Marks dynos up that have booted by now.
    fn let_boot(&mut self) {
        let (wall, boot) = (self.now.wall, self.boot);
        for seen in &mut self.api {
            if seen.state == DynoState::Starting && later(seen.created_at, boot) <= wall {
                seen.state = DynoState::Up;
                seen.updated_at = later(seen.created_at, boot);
            }
        }
    }

    fn take_fault<T>(&mut self, matching: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        let found = matching(self.faults.front()?)?;
        self.faults.pop_front();
        Some(found)
    }

    fn input(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for effect in self.engine.handle(input, self.now) {
                inputs.extend(self.carry_out(effect));
            }
        }
    }

    /// Answers the oldest hanging effect, with the present state.
    fn answer(&mut self) {
        let effect = self.hanging.pop_front().expect("something hangs");
        if let Some(input) = self.carry_out(effect) {
            self.input(input);
        }
    }

    /// The answer to the oldest hanging DELETE is lost; it was not carried out.
    fn lose(&mut self) {
        let Some(Effect::Delete { attempt_id, .. }) = self.hanging.pop_front() else {
            panic!("no DELETE hangs")
        };
        self.input(Input::Deleted {
            attempt_id,
            answer: DeleteResult::Lost { what: "timed out".to_owned() },
        });
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        self.let_boot();
        let kind = match &effect {
            Effect::Claim { .. } => "claim",
            Effect::Delete { .. } => "delete",
            Effect::Inspect { .. } => "look",
            _ => "other",
        };
        let hangs = self.take_fault(|fault| matches!(fault, Fault::Hang(of) if *of == kind).then_some(()));
        if hangs.is_some() {
            self.hanging.push_back(effect);
            return None;
        }
        let find = |api: &[DynoInfo], name: &DynoName| api.iter().find(|seen| seen.name == *name).cloned();
        Some(match effect {
            Effect::Answer { decisions, .. } => {
                let words = decisions.iter().map(|decision| {
                    let dyno = decision.dyno.as_ref().map_or("-".to_owned(), ToString::to_string);
                    format!("{dyno} {} {}", decision.action.word(), decision.reason_label())
                });
                self.effects_of_orders.extend(words);
                return None;
            }
            Effect::Claim { attempt_id, .. } => {
                let refusal = self.take_fault(|fault| match fault {
                    Fault::Claim(refusal) => Some(refusal.clone()),
                    _ => None,
                });
                Input::Claimed { attempt_id, answer: refusal.map_or(Ok(()), Err) }
            }
            Effect::Delete { attempt_id, dyno, .. } => {
                Input::Deleted { attempt_id, answer: self.delete(&dyno, attempt_id) }
            }
            Effect::Inspect { attempt_id, dyno, .. } => {
                let error = self.take_fault(|fault| match fault {
                    Fault::Inspect(error) => Some(error.clone()),
                    _ => None,
                });
                let view = FormationInfo {
                    dyno: dyno.and_then(|name| find(&self.api, &name)),
                    formation: self.api.clone(),
                    ..FormationInfo::default()
                };
                Input::Inspected { attempt_id, answer: error.map_or(Ok(view), Err) }
            }
            Effect::Poll { attempt_id, dyno, .. } => {
                let error = self.take_fault(|fault| match fault {
                    Fault::Poll(error) => Some(error.clone()),
                    _ => None,
                });
                Input::Polled { attempt_id, answer: error.map_or(Ok(find(&self.api, &dyno)), Err) }
            }
            Effect::Record(record) => {
                self.note(&record);
                return None;
            }
            Effect::CountAcrossReplicas(hit) => {
                let at = hit.at;
                let times = std::mem::take(&mut self.errors_elsewhere);
                Input::CountedAcrossReplicas { hit, times: times.into_iter().chain([at]).collect() }
            }
        })
    }

    fn delete(&mut self, name: &DynoName, _ticket: AttemptId) -> DeleteResult {
        let text = name.to_string();
        self.deletes.push(format!("{} {text}", self.clock()));
        let fault = self.take_fault(|fault| match fault {
            Fault::DeleteLost { .. } | Fault::DeleteRefused(_) => Some(fault.clone()),
            _ => None,
        });
        match fault {
            Some(Fault::DeleteRefused(error)) => return DeleteResult::Refused(error),
            Some(Fault::DeleteLost { done }) => {
                if done {
                    self.replace(&text);
                }
                return DeleteResult::Lost { what: "timed out".to_owned() };
            }
            _ => {}
        }
        if !self.api.iter().any(|seen| seen.name == *name) {
            return DeleteResult::Gone;
        }
        self.replace(&text);
        DeleteResult::Accepted
    }

    fn clock(&self) -> String {
        let secs = self.now.mono.as_secs();
        format!("{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
    }

    fn note(&mut self, record: &Record) {
        let line = match record {
            Record::MemoryAfterRestart(MemoryAfterRestart { dyno, memory, .. }) => format!("{dyno} {memory}"),
            Record::Decision(decision) => {
                let dyno = decision.dyno.as_ref().map_or("-".to_owned(), ToString::to_string);
                assert!(!decision.reason().is_empty());
                format!("{dyno} {} {}", decision.action.word(), decision.reason_label())
            }
            Record::Notice(notice) => format!("notice {}", notice.what.label()),
            Record::Outcome(outcome) => format!("{} {}", outcome.dyno, outcome.result.label()),
        };
        self.timeline.push(format!("{} {line}", self.clock()));
    }

    fn events(&mut self, facts: Vec<Fact>) {
        let at = self.now.wall;
        let events = facts.into_iter().map(|fact| Event { at, fact }).collect();
        self.input(Input::Events { app: APP, events });
    }

    fn r14(&mut self, name: &str) {
        self.events(vec![Fact::Error { code: Code::R14, dyno: Some(dyno(name)) }]);
    }

    fn life(&mut self, name: &str, change: Change) {
        self.events(vec![Fact::Life { dyno: dyno(name), change }]);
    }

    /// Advances time, stopping at every deadline.
    fn pass(&mut self, span: Duration) {
        let end = self.now.mono + span;
        for _ in 0..10_000 {
            match self.engine.next_deadline() {
                Some(at) if at <= end => {
                    let step = at.saturating_sub(self.now.mono);
                    self.now = self.now.after(step);
                    self.input(Input::Wake);
                }
                _ => {
                    self.now = self.now.after(end - self.now.mono);
                    return;
                }
            }
        }
        panic!("the engine is never at rest: {:#?}", self.timeline);
    }

    #[track_caller]
    fn expect(&self, lines: &[&str]) {
        assert_eq!(self.timeline, lines);
    }
}

#[test]
fn an_r14_restarts_its_dyno_until_it_has_settled() {
    let mut bench = Bench::new(plan(), 2);
    bench.r14("web.2");
    assert_eq!(bench.deletes, ["00:00:00 web.2"]);
    bench.pass(mins(2));
    bench.expect(&["00:00:00 web.2 restart rule", "00:00:00 web.2 accepted", "00:00:10 web.2 back"]);
    assert_eq!(bench.engine.next_deadline(), None);
}

#[test]
fn memory_after_a_restart_is_recorded_once_the_old_process_is_gone() {
    let mut bench = Bench::new(plan(), 2);
    let memory_line = |hundredths| Fact::Memory {
        dyno: dyno("web.2"),
        used: Megabytes { hundredths },
        permille: u32::try_from(hundredths / 10).expect("small"),
    };
    bench.events(vec![memory_line(1000)]);
    bench.r14("web.2");
    bench.pass(secs(35));
    bench.events(vec![memory_line(2000)]);
    bench.pass(secs(10));
    bench.events(vec![memory_line(3000), memory_line(4000)]);
    bench.expect(&[
        "00:00:00 web.2 restart rule",
        "00:00:00 web.2 accepted",
        "00:00:10 web.2 back",
        "00:00:45 web.2 30MB (30.0% of its quota)",
    ]);
}

#[test]
fn the_next_dyno_is_restarted_when_the_last_has_settled() {
    let mut bench = Bench::new(plan(), 3);
    bench.r14("web.1");
    bench.r14("web.2");
    bench.r14("web.3");
    bench.pass(mins(3));
    assert_eq!(bench.deletes.len(), 3, "{:#?}", bench.timeline);
    let at: Vec<&str> = bench.deletes.iter().map(|line| &line[..8]).collect();
    assert!(at[1] >= "00:00:38" && at[1] <= "00:00:45", "{at:?}");
    assert!(at[2] >= "00:01:16" && at[2] <= "00:01:30", "{at:?}");
}

#[test]
fn a_dyno_that_was_replaced_while_it_waited_leaves_the_queue() {
    let mut bench = Bench::new(plan(), 2);
    bench.r14("web.1");
    bench.r14("web.2");
    bench.pass(secs(20));
    bench.replace("web.2");
    bench.pass(mins(3));
    assert_eq!(bench.deletes, ["00:00:00 web.1"]);
    assert!(
        bench
            .timeline
            .iter()
            .any(|line| line.ends_with("web.2 hold not_up") || line.ends_with("web.2 hold superseded"))
    );
}

#[test]
fn no_dyno_is_restarted_while_the_platform_has_one_out() {
    for state in [DynoState::Crashed, DynoState::Starting, DynoState::Down, DynoState::Idle, DynoState::Other]
    {
        let mut bench = Bench::new(plan(), 3);
        bench.boot = mins(60);
        bench.dyno_mut("web.3").state = state;
        bench.dyno_mut("web.3").created_at = bench.now.wall;
        bench.r14("web.1");
        bench.pass(mins(1));
        assert!(bench.deletes.is_empty(), "{state:?}");
        bench.expect(&["00:00:00 web.1 hold formation_out"]);
        let up_at = bench.now.wall;
        let third = bench.dyno_mut("web.3");
        (third.state, third.updated_at) = (DynoState::Up, up_at);
        bench.pass(mins(2));
        assert_eq!(bench.deletes.len(), 1, "{state:?}");
        assert!(bench.deletes[0].as_str() >= "00:01:30", "{:?}", bench.deletes);
    }
}

/// A settling dyno is waited for to the second, not until the next regular inspection.
#[test]
fn the_next_dyno_is_restarted_as_soon_as_the_others_have_settled() {
    for (allowed, ages, expect) in [
        (1, [20, 86_400], "00:00:11"),
        (1, [20, 13], "00:00:18"),
        (2, [20, 13], "00:00:11"),
        (2, [20, 86_400], "00:00:00"),
    ] {
        let mut plan = plan();
        plan.policy.max_concurrent = NonZeroU32::new(allowed).expect("a count");
        let mut bench = Bench::new(plan, 3);
        for (name, age) in ["web.2", "web.3"].into_iter().zip(ages) {
            let up_at = earlier(bench.now.wall, secs(age));
            bench.dyno_mut(name).updated_at = up_at;
        }
        bench.r14("web.1");
        bench.pass(mins(1));
        assert_eq!(bench.deletes, [format!("{expect} web.1")], "{allowed} {ages:?}");
    }
}

#[test]
fn an_error_that_grew_old_in_the_queue_is_dropped() {
    let mut bench = Bench::new(plan(), 2);
    bench.dyno_mut("web.2").state = DynoState::Crashed;
    bench.r14("web.1");
    bench.pass(mins(6));
    let stale = bench.timeline.last().expect("a line");
    assert!(stale.ends_with("web.1 hold stale"), "{stale}");
    assert_eq!(bench.engine.next_deadline(), None);
}

#[test]
fn the_cool_down_runs_from_the_accepted_restart() {
    let mut bench = Bench::new(plan(), 1);
    bench.r14("web.1");
    bench.pass(mins(9));
    bench.r14("web.1");
    bench.pass(mins(1));
    bench.r14("web.1");
    assert_eq!(bench.deletes, ["00:00:00 web.1", "00:10:00 web.1"]);
    assert!(bench.timeline.contains(&"00:09:00 web.1 hold cooling_down".to_owned()));
}

#[test]
fn a_refused_attempt_starts_no_cool_down() {
    let mut bench = Bench::new(plan(), 1);
    bench
        .faults
        .push_back(Fault::DeleteRefused(ApiError::Refused { status: 422, id: "invalid_params".to_owned() }));
    bench.r14("web.1");
    bench.pass(secs(21));
    bench.r14("web.1");
    assert_eq!(bench.deletes, ["00:00:00 web.1", "00:00:21 web.1"]);
    bench.expect(&[
        "00:00:00 web.1 restart rule",
        "00:00:00 notice failure",
        "00:00:00 web.1 refused",
        "00:00:21 web.1 restart rule",
        "00:00:21 web.1 accepted",
    ]);
}

#[test]
fn a_dyno_over_max_restarts_is_given_up_until_a_release() {
    let mut bench = Bench::new(plan(), 1);
    for _ in 0..3 {
        bench.r14("web.1");
        bench.pass(mins(15));
    }
    bench.r14("web.1");
    bench.pass(mins(15));
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 3);
    assert_eq!(
        bench.timeline[bench.timeline.len() - 3..],
        ["00:45:00 web.1 hold max_restarts", "00:45:00 notice give_up", "01:00:00 web.1 hold given_up",]
    );
    // Another release, known only from the API.
    bench.pass(mins(60));
    bench.dyno_mut("web.1").release = Some(8);
    bench.events(vec![Fact::Release { version: Some(8) }]);
    bench.pass(mins(4));
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 4, "{:#?}", bench.timeline);
}

#[test]
fn a_give_up_ends_with_time() {
    let mut bench = Bench::new(plan(), 1);
    for _ in 0..4 {
        bench.r14("web.1");
        bench.pass(mins(15));
    }
    bench.pass(mins(6 * 60));
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 4);
}

#[test]
fn after_a_lost_answer_a_carried_out_restart_is_not_repeated() {
    let mut bench = Bench::new(plan(), 1);
    bench.faults.push_back(Fault::DeleteLost { done: true });
    bench.r14("web.1");
    bench.pass(mins(2));
    assert_eq!(bench.deletes, ["00:00:00 web.1"]);
    assert!(bench.timeline.iter().any(|line| line.ends_with("web.1 accepted")), "{:#?}", bench.timeline);
    assert!(bench.timeline.iter().any(|line| line.ends_with("web.1 back")));
}

#[test]
fn a_lost_request_is_repeated_only_for_the_old_instance() {
    let mut bench = Bench::new(plan(), 1);
    bench.faults.push_back(Fault::DeleteLost { done: false });
    bench.r14("web.1");
    bench.pass(mins(2));
    assert_eq!(bench.deletes.len(), 2, "{:#?}", bench.timeline);
    assert_eq!(bench.deletes[1], "00:00:05 web.1", "as soon as it cannot be on its way any more");
    // One decision, however often it is requested.
    assert_eq!(bench.timeline.iter().filter(|line| line.contains("restart rule")).count(), 1);
}

#[test]
fn a_restart_that_is_never_answered_ends_and_is_reported() {
    let mut bench = Bench::new(plan(), 1);
    bench.faults.extend((0..3).map(|_| Fault::DeleteLost { done: false }));
    bench.r14("web.1");
    bench.pass(mins(4));
    assert_eq!(bench.deletes.len(), 3);
    let last: Vec<&str> = bench.timeline.iter().rev().take(2).map(|line| &line[9..]).collect();
    assert_eq!(last, ["web.1 unanswered", "notice failure"]);
    // Nothing was spent.
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 4);
}

#[test]
fn a_dyno_that_does_not_come_back_holds_the_others() {
    let mut bench = Bench::new(plan(), 2);
    bench.boot = mins(30);
    bench.r14("web.1");
    bench.pass(mins(4));
    bench.r14("web.2");
    bench.pass(mins(1));
    assert_eq!(bench.deletes.len(), 1);
    bench.expect(&[
        "00:00:00 web.1 restart rule",
        "00:00:00 web.1 accepted",
        "00:03:00 web.1 not_back",
        "00:03:00 notice failure",
        "00:04:00 web.2 hold formation_failed",
    ]);
    bench.boot = secs(1);
    for _ in 0..6 {
        bench.r14("web.2");
        bench.pass(secs(30));
    }
    assert_eq!(bench.deletes.len(), 2, "{:#?}", bench.timeline);
    assert!(bench.timeline.iter().any(|line| line.ends_with("web.1 back_late")));
}

#[test]
fn young_dynos_and_old_errors_are_left_alone() {
    let mut bench = Bench::new(plan(), 1);
    let young = earlier(bench.now.wall, mins(2));
    (bench.dyno_mut("web.1").created_at, bench.dyno_mut("web.1").updated_at) = (young, young);
    bench.r14("web.1");
    let old = Event {
        at: earlier(bench.now.wall, mins(6)),
        fact: Fact::Error { code: Code::R14, dyno: Some(dyno("web.1")) },
    };
    bench.input(Input::Events { app: APP, events: vec![old.clone()] });
    let of_the_one_before = Event { at: earlier(bench.now.wall, mins(3)), ..old.clone() };
    bench.input(Input::Events { app: APP, events: vec![of_the_one_before] });
    let ahead = Event { at: later(bench.now.wall, mins(3)), ..old };
    bench.input(Input::Events { app: APP, events: vec![ahead.clone(), ahead] });
    bench.expect(&[
        "00:00:00 web.1 hold too_young",
        "00:00:00 web.1 hold stale",
        "00:00:00 web.1 hold superseded",
        "00:00:00 notice failure",
        "00:00:00 web.1 hold clock_ahead",
        "00:00:00 web.1 hold clock_ahead",
    ]);
    assert!(bench.deletes.is_empty());
}

#[test]
fn dynos_that_are_not_up_are_left_to_the_platform() {
    for state in [DynoState::Crashed, DynoState::Down, DynoState::Idle, DynoState::Other] {
        let mut bench = Bench::new(plan(), 1);
        bench.dyno_mut("web.1").state = state;
        bench.r14("web.1");
        bench.expect(&["00:00:00 web.1 hold not_up"]);
    }
}

#[test]
fn platform_lines_cancel_a_restart() {
    let mut bench = Bench::new(plan(), 2);
    bench.r14("web.1");
    bench.r14("web.2");
    bench.pass(secs(5));
    bench.life("web.2", Change::Leaving);
    bench.pass(secs(1));
    bench.r14("web.2");
    bench.expect(&[
        "00:00:00 web.1 restart rule",
        "00:00:00 web.1 accepted",
        "00:00:00 web.2 hold queued",
        "00:00:05 web.2 hold platform_acts",
        "00:00:06 web.2 hold platform_acts",
    ]);
}

#[test]
fn r15_is_left_to_the_platform() {
    let mut bench = Bench::new(plan(), 1);
    bench.events(vec![Fact::Error { code: Code::R15, dyno: Some(dyno("web.1")) }]);
    bench.r14("web.1");
    bench.expect(&["00:00:00 web.1 hold platform_acts"]);
}

#[test]
fn two_releases_at_once_are_waited_out() {
    let mut bench = Bench::new(plan(), 2);
    let (wall, hour_ago) = (bench.now.wall, earlier(bench.now.wall, mins(60)));
    let second = bench.dyno_mut("web.2");
    (second.release, second.created_at, second.updated_at) =
        (Some(8), earlier(wall, mins(1)), earlier(wall, mins(1)));
    bench.r14("web.1");
    bench.pass(mins(2));
    assert!(bench.deletes.is_empty());
    bench.expect(&["00:00:00 web.1 hold deploying"]);
    // They run alongside each other for longer than any preboot lasts.
    let second = bench.dyno_mut("web.2");
    (second.created_at, second.updated_at) = (hour_ago, hour_ago);
    bench.pass(mins(1));
    assert_eq!(bench.deletes.len(), 1);
}

#[test]
fn an_announced_release_is_waited_for() {
    let mut bench = Bench::new(plan(), 1);
    bench.events(vec![Fact::Release { version: None }]);
    bench.pass(secs(30));
    bench.r14("web.1");
    bench.pass(mins(3));
    assert_eq!(bench.deletes, ["00:03:00 web.1"]);
    assert_eq!(bench.timeline[0], "00:00:30 web.1 hold releasing");
}

#[test]
fn a_restart_that_does_not_help_is_reported_once() {
    let mut bench = Bench::new(plan(), 1);
    bench.r14("web.1");
    for _ in 0..20 {
        bench.pass(secs(21));
        bench.r14("web.1");
    }
    let notices: Vec<&String> = bench.timeline.iter().filter(|line| line.contains("notice")).collect();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].ends_with("notice no_help") && notices[0].as_str() > "00:03:00", "{notices:?}");
}

#[test]
fn a_token_without_rights_stops_restarts_and_is_reported_once() {
    let mut bench = Bench::new(plan(), 1);
    for _ in 0..3 {
        bench.faults.push_back(Fault::Inspect(ApiError::Unauthorized));
        bench.r14("web.1");
        bench.pass(secs(21));
    }
    bench.r14("web.1");
    bench.expect(&[
        "00:00:00 notice failure",
        "00:00:00 web.1 hold unauthorized",
        "00:00:21 web.1 hold unauthorized",
        "00:00:42 web.1 hold unauthorized",
        "00:01:03 notice recovered",
        "00:01:03 web.1 restart rule",
        "00:01:03 web.1 accepted",
    ]);
}

#[test]
fn a_failed_inspection_is_retried_a_few_times() {
    let away = || Fault::Inspect(ApiError::Unreachable { what: "timed out".to_owned() });
    let mut bench = Bench::new(plan(), 1);
    bench.faults.extend([away(), away()]);
    bench.r14("web.1");
    bench.pass(secs(30));
    assert_eq!(bench.deletes.len(), 1);
    let mut bench = Bench::new(plan(), 1);
    bench.faults.extend([away(), away(), away()]);
    bench.r14("web.1");
    bench.pass(mins(10));
    assert!(bench.deletes.is_empty());
    assert!(bench.timeline.last().expect("a line").ends_with("web.1 hold unreachable"));
    assert_eq!(bench.engine.next_deadline(), None);
}

#[test]
fn a_throttled_account_is_waited_for() {
    let mut bench = Bench::new(plan(), 1);
    bench.faults.push_back(Fault::Inspect(ApiError::Throttled { wait: Some(secs(40)) }));
    bench.r14("web.1");
    bench.pass(mins(1));
    bench.expect(&[
        "00:00:00 web.1 hold throttled",
        "00:00:40 web.1 restart rule",
        "00:00:40 web.1 accepted",
        "00:00:50 web.1 back",
    ]);
}

#[test]
fn the_reserve_of_api_calls_is_not_used() {
    let mut bench = Bench::new(plan(), 1);
    bench.input(Input::ApiQuota { remaining: 900 });
    bench.r14("web.1");
    bench.pass(secs(10));
    assert_eq!(bench.deletes, ["00:00:02 web.1"]);
    assert_eq!(bench.timeline[0], "00:00:00 web.1 hold api_reserve");
}

#[test]
fn a_better_quota_report_is_used_at_once() {
    let mut bench = Bench::new(plan(), 1);
    bench.input(Input::ApiQuota { remaining: 0 });
    bench.r14("web.1");
    bench.pass(secs(5));
    assert!(bench.deletes.is_empty() && bench.engine.waits_for_calls());
    bench.input(Input::ApiQuota { remaining: 902 });
    assert!(bench.deletes.is_empty() && bench.engine.waits_for_calls(), "the reserve is left alone");
    bench.input(Input::ApiQuota { remaining: 903 });
    assert_eq!(bench.deletes, ["00:00:05 web.1"]);
    // The inspections after it also wait for calls.
    bench.input(Input::ApiQuota { remaining: 0 });
    bench.pass(secs(1));
    assert!(bench.engine.waits_for_calls());
    bench.pass(secs(10));
    bench.input(Input::ApiQuota { remaining: 2000 });
    assert!(bench.timeline.last().is_some_and(|line| line == "00:00:16 web.1 back"), "{:?}", bench.timeline);
    assert!(!bench.engine.waits_for_calls());
}

#[test]
fn a_dry_run_decides_and_sends_nothing() {
    let mut bench = Bench::new(AppPlan { dry_run: true, ..plan() }, 2);
    bench.r14("web.1");
    bench.pass(mins(5));
    bench.r14("web.1");
    bench.expect(&["00:00:00 web.1 restart dry_run", "00:05:00 web.1 hold cooling_down"]);
    assert!(bench.deletes.is_empty());
}

#[test]
fn a_refused_claim_holds() {
    for (refusal, label) in [
        (ClaimRefusal::StoreAway, "store_away"),
        (ClaimRefusal::Elsewhere { until: Timestamp::UNIX_EPOCH }, "claimed_elsewhere"),
        (ClaimRefusal::FormationOut { dyno: dyno("web.2") }, "formation_out"),
        (ClaimRefusal::MaxRestarts, "max_restarts"),
    ] {
        let mut bench = Bench::new(plan(), 1);
        bench.faults.push_back(Fault::Claim(refusal));
        bench.r14("web.1");
        assert!(bench.deletes.is_empty());
        assert!(bench.timeline[0].ends_with(label), "{:?}", bench.timeline);
    }
}

#[test]
fn a_manual_restart_of_an_app_takes_its_dynos_in_turn() {
    let mut bench = Bench::new(plan(), 3);
    bench.dyno_mut("web.3").state = DynoState::Crashed;
    bench.input(Input::Order { order: OrderId(1), app: APP, dyno: None });
    assert_eq!(bench.effects_of_orders, ["web.1 restart rule", "web.2 restart rule"]);
    // A crashed dyno is out, so no other is restarted until it is back.
    assert!(bench.deletes.is_empty());
    let day_ago = earlier(bench.now.wall, mins(60));
    let third = bench.dyno_mut("web.3");
    (third.state, third.updated_at) = (DynoState::Up, day_ago);
    bench.pass(mins(3));
    assert_eq!(bench.deletes.len(), 2, "{:#?}", bench.timeline);
}

#[test]
fn a_manual_restart_passes_only_the_cool_down() {
    let mut bench = Bench::new(plan(), 1);
    let one = |bench: &mut Bench, name: &str| {
        bench.input(Input::Order { order: OrderId(1), app: APP, dyno: Some(dyno(name)) });
        bench.effects_of_orders.pop().expect("an answer")
    };
    assert_eq!(one(&mut bench, "web.1"), "web.1 restart rule");
    assert_eq!(one(&mut bench, "web.1"), "web.1 hold under_way");
    assert_eq!(one(&mut bench, "worker.1"), "worker.1 hold not_listed");
    assert_eq!(one(&mut bench, "web.9"), "web.9 hold gone");
    bench.pass(mins(1));
    assert_eq!(one(&mut bench, "web.1"), "web.1 hold too_young");
    bench.pass(mins(4));
    assert_eq!(one(&mut bench, "web.1"), "web.1 restart rule");
    bench.pass(mins(5));
    assert_eq!(one(&mut bench, "web.1"), "web.1 restart rule");
    bench.pass(mins(5));
    assert_eq!(one(&mut bench, "web.1"), "web.1 hold max_restarts", "and a person is notified at once");
    assert_eq!(one(&mut bench, "web.1"), "web.1 hold given_up");
    // The API could show another release by now, and does not.
    bench.pass(mins(15));
    assert_eq!(one(&mut bench, "web.1"), "web.1 hold given_up");
    assert_eq!(bench.deletes.len(), 3, "max_restarts holds for a person too");
    bench.faults.push_back(Fault::Inspect(ApiError::Unauthorized));
    assert_eq!(one(&mut bench, "web.1"), "web.1 hold unauthorized");
}

#[test]
fn a_pause_holds_until_it_ends_or_is_lifted() {
    let mut bench = Bench::new(plan(), 1);
    let until = later(bench.now.wall, mins(30));
    bench.input(Input::Pause { app: None, until, reason: "a launch".into() });
    bench.r14("web.1");
    bench.input(Input::Resume { app: Some(APP) });
    bench.r14("web.1");
    bench.pass(mins(30));
    bench.r14("web.1");
    bench.pass(mins(20));
    bench.input(Input::Pause {
        app: Some(APP),
        until: later(bench.now.wall, mins(30)),
        reason: "again".into(),
    });
    bench.r14("web.1");
    bench.input(Input::Resume { app: None });
    bench.r14("web.1");
    assert_eq!(bench.deletes, ["00:30:00 web.1", "00:50:00 web.1"]);
    assert_eq!(bench.timeline.iter().filter(|line| line.ends_with("hold paused")).count(), 3);
}

#[test]
fn a_rule_fires_only_at_its_count() {
    let mut bench = Bench::new(AppPlan { rules: vec![rule(3, Act::Restart)], ..plan() }, 1);
    bench.r14("web.1");
    bench.pass(secs(21));
    bench.r14("web.1");
    bench.r14("web.1");
    assert!(bench.timeline.is_empty());
    bench.pass(secs(21));
    bench.r14("web.1");
    assert_eq!(bench.deletes, ["00:00:42 web.1"]);
}

#[test]
fn a_notify_rule_never_restarts() {
    let mut bench = Bench::new(AppPlan { rules: vec![rule(1, Act::Notify)], ..plan() }, 1);
    bench.r14("web.1");
    bench.expect(&["00:00:00 web.1 notify rule"]);
}

/// L10 arrives as a loss with its number of messages; a rule sees it as a code like any other.
#[test]
fn a_rule_can_act_on_lost_messages() {
    let trigger = Trigger::Errors {
        codes: vec![Code::L10],
        count: NonZeroU32::new(2).expect("a count"),
        within: mins(5),
    };
    let rule = Rule { name: "lost".into(), trigger, act: Act::Notify };
    let mut bench = Bench::new(AppPlan { rules: vec![rule], ..plan() }, 1);
    bench.events(vec![Fact::Loss { drain: None, messages: 7 }]);
    assert!(bench.timeline.is_empty());
    bench.pass(mins(1));
    bench.events(vec![Fact::Loss { drain: None, messages: 1 }]);
    bench.expect(&["00:01:00 - notify rule"]);
}

#[test]
fn a_memory_rule_restarts_before_any_r14() {
    let trigger = Trigger::Memory { above: MemoryBound::OfQuota { permille: 950 }, lasting: secs(60) };
    let rule = Rule { name: "memory".into(), trigger, act: Act::Restart };
    let mut bench = Bench::new(AppPlan { rules: vec![rule], ..plan() }, 1);
    for _ in 0..4 {
        bench.events(vec![Fact::Sample {
            dyno: dyno("web.1"),
            instance: "old".parse().expect("an id"),
            total: Megabytes { hundredths: 50_000 },
            quota: Megabytes { hundredths: 51_200 },
        }]);
        bench.pass(secs(20));
    }
    assert_eq!(bench.deletes, ["00:01:00 web.1"]);
}

#[test]
fn dynos_of_unlisted_types_are_ignored() {
    let mut bench = Bench::new(plan(), 1);
    bench.r14("worker.1");
    bench.r14("run.1234");
    assert!(bench.timeline.is_empty());
    assert_eq!(bench.engine.dynos_watched(), 0);
}

#[test]
fn max_concurrent_allows_two_dynos_out() {
    let mut plan = plan();
    plan.policy.max_concurrent = NonZeroU32::new(2).expect("a count");
    let mut bench = Bench::new(plan, 4);
    for index in 1..=4 {
        bench.r14(&format!("web.{index}"));
    }
    assert_eq!(bench.deletes.len(), 2);
    bench.pass(mins(2));
    assert_eq!(bench.deletes.len(), 4);
}

#[test]
fn a_restart_that_cannot_be_polled_counts_as_failed_until_it_is_seen() {
    let mut bench = Bench::new(plan(), 2);
    bench.faults.extend((0..60).map(|_| Fault::Poll(ApiError::Unreachable { what: "reset".to_owned() })));
    bench.r14("web.1");
    bench.pass(mins(4));
    bench.r14("web.2");
    assert_eq!(bench.deletes.len(), 1);
    assert_eq!(
        bench.timeline[2..],
        ["00:03:00 web.1 not_back", "00:03:00 notice failure", "00:04:00 web.2 hold formation_failed"]
    );
    bench.faults.clear();
    bench.pass(mins(2));
    assert_eq!(bench.deletes.len(), 2);
}

#[test]
fn an_unverifiable_restart_counts_as_carried_out() {
    let mut bench = Bench::new(plan(), 1);
    bench.faults.push_back(Fault::DeleteLost { done: false });
    bench.faults.extend((0..60).map(|_| Fault::Poll(ApiError::Unreachable { what: "reset".to_owned() })));
    bench.r14("web.1");
    bench.pass(mins(4));
    bench.faults.clear();
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 1);
    assert!(bench.timeline.last().expect("a line").ends_with("under_way"));
    // Found by the simulation: it was counted in memory only, and a process after a kill did not know of it.
    assert!(bench.timeline.iter().any(|line| line.ends_with("accepted")), "{:#?}", bench.timeline);
    // The old instance runs on. A cool-down after that became certain it may be retried.
    bench.pass(mins(10));
    assert!(bench.timeline.last().expect("a line").ends_with("unanswered"), "its claim has an end");
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 2, "{:#?}", bench.timeline);
}

#[test]
fn stored_limits_apply_to_the_next_process() {
    let wall = Bench::new(plan(), 1).now.wall;
    let restart = |mins_ago| RestoredRestart {
        app: APP,
        dyno: dyno("web.1"),
        accepted_at: earlier(wall, mins(mins_ago)),
    };
    // A cool-down continues.
    let mut bench = Bench::new(plan(), 1);
    bench.input(Input::Restore(RestoredState { restarts: vec![restart(9)], ..RestoredState::default() }));
    bench.r14("web.1");
    bench.pass(secs(61));
    bench.r14("web.1");
    assert_eq!(bench.deletes, ["00:01:01 web.1"]);
    // So does max_restarts.
    let mut bench = Bench::new(plan(), 1);
    let restarts = vec![restart(110), restart(60), restart(30)];
    bench.input(Input::Restore(RestoredState { restarts, ..RestoredState::default() }));
    bench.r14("web.1");
    assert_eq!(bench.timeline[0], "00:00:00 web.1 hold max_restarts");
    // A given-up dyno stays given up, and is inspected in case there was a release in the meantime.
    let mut bench = Bench::new(plan(), 1);
    let given_up = vec![RestoredGiveUp {
        app: APP,
        dyno: dyno("web.1"),
        until: later(wall, mins(60)),
        release: Some(7),
    }];
    bench.input(Input::Restore(RestoredState { given_up: given_up.clone(), ..RestoredState::default() }));
    bench.r14("web.1");
    assert_eq!(bench.timeline, ["00:00:00 web.1 hold given_up"]);
    bench.pass(mins(60));
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 1);
    let pauses = vec![RestoredPause { app: None, until: later(wall, mins(5)), reason: "launch".into() }];
    let mut bench = Bench::new(plan(), 1);
    bench.input(Input::Restore(RestoredState { pauses, ..RestoredState::default() }));
    bench.r14("web.1");
    bench.input(Input::Pauses(Vec::new()));
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 1);
}

#[test]
fn a_dead_processs_claim_is_polled_and_not_repeated() {
    // It had been carried out.
    let mut bench = Bench::new(plan(), 2);
    let target = bench.api[0].clone();
    let claim = OpenClaim { attempt_id: AttemptId(5), app: APP, target, rule: "r14".into() };
    let past = RestoredState { claims: vec![claim], ..RestoredState::default() };
    bench.replace("web.1");
    bench.input(Input::Restore(past.clone()));
    bench.r14("web.2");
    bench.pass(mins(2));
    assert_eq!(bench.deletes.len(), 1);
    assert!(
        bench.deletes[0].ends_with("web.2") && bench.deletes[0].as_str() > "00:00:30",
        "{:?}",
        bench.deletes
    );
    assert!(bench.timeline.contains(&"00:00:00 web.1 accepted".to_owned()), "{:#?}", bench.timeline);
    bench.pass(mins(5));
    bench.r14("web.1");
    assert!(bench.timeline.last().expect("a line").ends_with("cooling_down"));
    // It had not.
    let mut bench = Bench::new(plan(), 2);
    bench.input(Input::Restore(past));
    bench.pass(secs(20));
    assert!(bench.deletes.is_empty());
    assert!(bench.timeline.iter().any(|line| line.ends_with("web.1 unanswered")), "{:#?}", bench.timeline);
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 1);
}

#[test]
fn a_rule_counts_errors_of_other_replicas() {
    let mut bench = Bench::new(AppPlan { rules: vec![rule(3, Act::Restart)], ..plan() }, 1);
    bench.errors_elsewhere = vec![earlier(bench.now.wall, secs(42)), earlier(bench.now.wall, secs(21))];
    bench.r14("web.1");
    assert_eq!(bench.deletes, ["00:00:00 web.1"]);
}

#[test]
fn a_request_that_may_be_late_is_not_repeated() {
    let mut bench = Bench::new(plan(), 1);
    bench.faults.push_back(Fault::Hang("delete"));
    bench.r14("web.1");
    bench.pass(secs(10));
    bench.lose();
    // The loss counts, not the sending: the request may still be on its way for seconds.
    bench.pass(secs(4));
    assert!(bench.deletes.is_empty(), "{:?}", bench.deletes);
    bench.pass(secs(10));
    assert_eq!(bench.deletes.len(), 1);
}

#[test]
fn a_dyno_that_is_gone_after_a_lost_answer_counts_as_restarted() {
    let mut bench = Bench::new(plan(), 1);
    bench.faults.push_back(Fault::DeleteLost { done: true });
    bench.r14("web.1");
    bench.api.clear();
    bench.pass(mins(1));
    assert!(bench.timeline.last().expect("a line").ends_with("web.1 gone"), "{:#?}", bench.timeline);
    let back_at = earlier(bench.now.wall, secs(50));
    let seen = bench.instance("web.1", back_at, DynoState::Up);
    bench.api.push(seen);
    bench.pass(mins(5));
    bench.r14("web.1");
    assert!(bench.timeline.last().expect("a line").ends_with("cooling_down"), "{:#?}", bench.timeline);
}

#[test]
fn an_error_takes_no_right_from_a_manual_restart() {
    let mut bench = Bench::new(plan(), 2);
    bench.r14("web.2");
    bench.pass(mins(5));
    bench.boot = secs(60);
    bench.r14("web.1");
    bench.input(Input::Order { order: OrderId(1), app: APP, dyno: Some(dyno("web.2")) });
    assert_eq!(bench.effects_of_orders, ["web.2 restart rule"]);
    // Only a person can make it wait for its turn in its cool-down; it errs in the meantime.
    bench.pass(secs(21));
    bench.r14("web.2");
    bench.pass(mins(3));
    assert_eq!(bench.deletes.len(), 3, "{:#?}", bench.timeline);
}

#[test]
fn news_during_a_claim_is_respected() {
    let inputs: [fn(&mut Bench); 2] = [
        |bench| bench.life("web.1", Change::Leaving),
        |bench| {
            let until = later(bench.now.wall, mins(30));
            bench.input(Input::Pause { app: None, until, reason: "a launch".into() });
        },
    ];
    for (input, label) in inputs.into_iter().zip(["platform_acts", "paused"]) {
        let mut bench = Bench::new(plan(), 1);
        bench.faults.push_back(Fault::Hang("claim"));
        bench.r14("web.1");
        input(&mut bench);
        assert!(bench.timeline.is_empty(), "the claim would never be returned: {:#?}", bench.timeline);
        bench.answer();
        bench.expect(&["00:00:00 web.1 withdrawn", &format!("00:00:00 web.1 hold {label}")]);
        assert!(bench.deletes.is_empty());
        assert_eq!(bench.engine.attempts(), 0);
    }
}

#[test]
fn a_late_inspection_does_not_answer_a_later_one() {
    let mut bench = Bench::new(plan(), 1);
    bench.faults.extend([Fault::DeleteLost { done: false }, Fault::Hang("look"), Fault::Hang("look")]);
    bench.r14("web.1");
    bench.pass(secs(15));
    assert_eq!(bench.hanging.len(), 1, "it looks again before it asks again");
    bench.life("web.1", Change::Leaving);
    bench.pass(mins(5));
    assert_eq!(bench.hanging.len(), 1, "and has one question open at a time");
    bench.answer();
    assert_eq!(bench.deletes.len(), 1);
}

#[test]
fn max_restarts_counts_from_the_acceptance() {
    let mut plan = plan();
    plan.policy.max_restarts = Rate { count: NonZeroU32::MIN, per: mins(20) };
    let mut bench = Bench::new(plan, 1);
    bench.faults.push_back(Fault::Hang("claim"));
    bench.r14("web.1");
    bench.pass(secs(5));
    bench.answer();
    bench.pass(mins(20) - secs(3));
    bench.r14("web.1");
    assert_eq!(bench.deletes, ["00:00:05 web.1"]);
    assert!(bench.timeline.contains(&"00:20:02 web.1 hold max_restarts".to_owned()), "{:#?}", bench.timeline);
}

#[test]
fn a_clock_that_is_ahead_does_not_make_dynos_older() {
    let mut bench = Bench::new(plan(), 2);
    let platform = bench.now.wall;
    let young = earlier(platform, secs(10));
    (bench.dyno_mut("web.2").created_at, bench.dyno_mut("web.2").updated_at) = (young, young);
    bench.now.wall = later(platform, mins(3));
    let r14 = Fact::Error { code: Code::R14, dyno: Some(dyno("web.1")) };
    bench.input(Input::Events { app: APP, events: vec![Event { at: platform, fact: r14 }] });
    // By our clock web.2 has been up for three minutes, by the platform's for ten seconds.
    bench.expect(&["00:00:00 web.1 hold formation_out"]);
    bench.input(Input::Order { order: OrderId(1), app: APP, dyno: Some(dyno("web.2")) });
    assert_eq!(bench.effects_of_orders, ["web.2 hold too_young"]);
}

#[test]
fn a_time_cut_to_the_second_counts_as_its_end() {
    let mut bench = Bench::new(plan(), 1);
    let up_at = earlier(bench.now.wall, mins(3));
    (bench.dyno_mut("web.1").created_at, bench.dyno_mut("web.1").updated_at) = (up_at, up_at);
    bench.pass(Duration::from_millis(900));
    bench.r14("web.1");
    bench.expect(&["00:00:00 web.1 hold too_young"]);
    bench.pass(Duration::from_millis(100));
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 1);
}

#[test]
fn a_failed_restart_holds_its_whole_type() {
    let mut plan = plan();
    plan.policy.max_concurrent = NonZeroU32::new(3).expect("a count");
    let mut bench = Bench::new(plan, 4);
    bench.boot = mins(30);
    bench.r14("web.1");
    bench.pass(mins(4));
    bench.r14("web.2");
    bench.r14("web.3");
    bench.pass(mins(1));
    assert_eq!(bench.deletes.len(), 1, "{:#?}", bench.timeline);
    let held: Vec<&str> = bench.timeline[4..].iter().map(|line| &line[9..]).collect();
    assert_eq!(held, ["web.2 hold formation_failed", "web.3 hold formation_failed"]);
    bench.boot = secs(1);
    for _ in 0..4 {
        bench.r14("web.2");
        bench.pass(secs(30));
    }
    assert_eq!(bench.deletes.len(), 3, "{:#?}", bench.timeline);
}
