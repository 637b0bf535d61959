//! The engine against a scripted API: each test compares a timeline.

mod days;
mod formation;
mod rows;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::{ApiError, DeleteResult, DynoInfo, FormationInfo};
use crate::codes::Code;
use crate::engine::claim::ClaimRefusal;
use crate::engine::foreign::Foreign;
use crate::engine::restore::{OpenClaim, RestoredGiveUp, RestoredPause, RestoredRestart, RestoredState};
use crate::engine::{Effect, Engine, Input, OrderId};
use crate::event::{Change, DynoState, Event, Fact, Megabytes};
use crate::ident::{AppId, DrainToken, DynoName};
use crate::limits;
use crate::policy::{Act, AppPlan, MemoryBound, Policy, Rate, Rule, Trigger};
use crate::record::usefulness::Usefulness;
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
    /// Accepted, and nothing happens.
    DeleteIgnored,
    /// Answered with 404, although the list shows the dyno.
    DeleteDenied,
    DeleteRefused(ApiError),
    /// The answer to the next effect of this kind comes only with [`Bench::answer`].
    Hang(&'static str),
    Inspect(ApiError),
    Poll(ApiError),
}

struct Bench {
    api: Vec<DynoInfo>,
    boot: Duration,
    /// API calls so far.
    calls: u64,
    deletes: Vec<String>,
    effects_of_orders: Vec<String>,
    engine: Engine,
    faults: VecDeque<Fault>,
    /// Times of errors that another replica received.
    errors_elsewhere: Vec<Timestamp>,
    hanging: VecDeque<Effect>,
    instances: u32,
    preboot: bool,
    quantity: Option<u32>,
    now: Now,
    timeline: Vec<String>,
}

fn policy() -> Policy {
    Policy {
        process_types: vec!["web".parse().expect("a type")],
        cooldown: mins(10),
        max_restarts: Rate { count: NonZeroU32::new(3).expect("a count"), per: mins(120) },
        give_up_after: NonZeroU32::MIN.saturating_add(2),
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
    Rule { name: "r14".into(), trigger, act, window: Vec::new(), proof: None }
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
            calls: 0,
            preboot: false,
            quantity: None,
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
        self.calls += match kind {
            "look" => 2,
            "delete" => 1,
            _ => u64::from(matches!(effect, Effect::Poll { .. })),
        };
        let find = |api: &[DynoInfo], name: &DynoName| api.iter().find(|seen| seen.name == *name).cloned();
        Some(match effect {
            Effect::Answer { decisions, .. } => {
                let words = decisions.iter().map(|decision| {
                    let dyno = decision.dyno.as_ref().map_or("-".to_owned(), ToString::to_string);
                    let by = decision.evidence.asked_by.as_deref().map(|by| format!(" {by}"));
                    let by = by.unwrap_or_default();
                    format!("{dyno} {} {}{by}", decision.action.word(), decision.reason_label())
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
                    preboot: self.preboot,
                    quantity: self.quantity,
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
            Fault::DeleteDenied
            | Fault::DeleteIgnored
            | Fault::DeleteLost { .. }
            | Fault::DeleteRefused(_) => Some(fault.clone()),
            _ => None,
        });
        match fault {
            Some(Fault::DeleteDenied) => return DeleteResult::Gone,
            Some(Fault::DeleteIgnored) => return DeleteResult::Accepted,
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
        "00:00:45 web.2 30 MB (30.0% of its quota)",
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
        bench.r14("web.1");
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

/// The looks between the refusals succeed, and prove nothing about restarts.
#[test]
fn a_token_that_may_not_restart_is_reported_once() {
    let mut bench = Bench::new(plan(), 1);
    let forbidden = ApiError::Forbidden { status: 403, id: "forbidden".to_owned(), message: "no".to_owned() };
    bench.faults.extend((0..3).map(|_| Fault::DeleteRefused(forbidden.clone())));
    let told = |bench: &Bench, what: &str| bench.timeline.iter().filter(|line| line.ends_with(what)).count();
    for (minutes, refused, recovered) in [(18, 3, 0), (30, 3, 1)] {
        for _ in 0..minutes * 3 {
            bench.r14("web.1");
            bench.pass(secs(20));
        }
        assert_eq!(told(&bench, "web.1 refused"), refused, "{:#?}", bench.timeline);
        // Of each restart that failed, and one of the token.
        let notices = (told(&bench, "notice failure"), told(&bench, "notice recovered"));
        assert_eq!(notices, (refused + 1, recovered), "{:#?}", bench.timeline);
    }
}

#[test]
fn a_refused_restart_is_tried_again_after_growing_waits() {
    let mut bench = Bench::new(plan(), 1);
    let refusal = ApiError::Refused { status: 409, id: "conflict".to_owned(), message: "busy".to_owned() };
    bench.faults.extend((0..5).map(|_| Fault::DeleteRefused(refusal.clone())));
    for _ in 0..425 {
        bench.r14("web.1");
        bench.pass(secs(20));
    }
    let expected = ["00:00:00", "00:01:00", "00:06:00", "00:21:00", "01:21:00", "02:21:00"];
    assert_eq!(bench.deletes, expected.map(|at| format!("{at} web.1")), "{:#?}", bench.timeline);
    assert!(bench.timeline.contains(&"00:00:20 web.1 hold refused".to_owned()));
    // An accepted restart ends that.
    assert!(bench.timeline.contains(&"02:21:00 web.1 accepted".to_owned()));
}

#[test]
fn an_api_that_shows_a_dyno_and_denies_it_is_asked_less_and_less() {
    let mut bench = Bench::new(plan(), 1);
    bench.faults.extend((0..3).map(|_| Fault::DeleteDenied));
    for _ in 0..80 {
        bench.r14("web.1");
        bench.pass(secs(20));
    }
    let expected = ["00:00:00", "00:01:00", "00:06:00", "00:21:00"];
    assert_eq!(bench.deletes, expected.map(|at| format!("{at} web.1")), "{:#?}", bench.timeline);
    assert!(bench.timeline.contains(&"00:00:00 web.1 gone".to_owned()));
    assert!(bench.timeline.contains(&"00:00:20 web.1 hold refused".to_owned()));
    assert!(bench.timeline.contains(&"00:15:00 notice not_restarted".to_owned()), "{:#?}", bench.timeline);
}

#[test]
fn three_quick_tries_follow_an_error_of_the_api() {
    let mut bench = Bench::new(plan(), 1);
    let away = ApiError::Unreachable { what: "500 internal_server_error".to_owned() };
    bench.faults.extend((0..4).map(|_| Fault::DeleteRefused(away.clone())));
    for _ in 0..5 {
        bench.r14("web.1");
        bench.pass(secs(20));
    }
    assert_eq!(bench.deletes.len(), 5, "{:#?}", bench.timeline);
    assert!(
        bench.deletes[2].as_str() < "00:00:15" && bench.deletes[3].as_str() >= "00:01:00",
        "{:?}",
        bench.deletes
    );
}

#[test]
fn max_restarts_is_a_rate_that_a_release_clears() {
    let mut bench = Bench::new(plan(), 1);
    for _ in 0..3 {
        bench.r14("web.1");
        bench.pass(mins(15));
    }
    bench.r14("web.1");
    bench.pass(mins(74));
    bench.r14("web.1");
    bench.pass(mins(1));
    bench.r14("web.1");
    bench.pass(mins(11));
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 4, "{:#?}", bench.timeline);
    assert_eq!(bench.deletes[3], "02:00:00 web.1");
    assert!(bench.timeline.contains(&"00:45:00 web.1 hold max_restarts".to_owned()));
    assert!(bench.timeline.last().is_some_and(|line| line.ends_with("hold max_restarts")));
    // Another release, announced and then shown by the API.
    bench.dyno_mut("web.1").release = Some(8);
    bench.events(vec![Fact::Release { version: Some(8) }]);
    bench.pass(mins(4));
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 5, "{:#?}", bench.timeline);
}

/// A dyno whose restarts do not help: over its quota again 46 s after it is up.
fn plateau(bench: &mut Bench, span: Duration) {
    let end = bench.now.mono + span;
    while bench.now.mono < end {
        let up_for = bench.now.wall.duration_since(bench.api[0].in_state_since());
        if bench.api[0].state == DynoState::Up && up_for >= jiff::SignedDuration::from_secs(36) {
            bench.r14("web.1");
        }
        bench.pass(secs(20));
        bench.let_boot();
    }
}

#[test]
fn a_plateau_is_given_up_after_three_useless_restarts_and_tried_once_more() {
    let mut bench = Bench::new(plan(), 1);
    plateau(&mut bench, mins(60 * 48));
    let minutes: Vec<u64> = bench
        .deletes
        .iter()
        .map(|line| {
            line[..2].parse::<u64>().expect("hours") * 60 + line[3..5].parse::<u64>().expect("minutes")
        })
        .collect();
    // Doubled cool-downs of 20 and 40 minutes; given up for 6, 12, 24 and 24 hours.
    assert_eq!(minutes.len(), 6, "{:?}", bench.deletes);
    let gaps: Vec<u64> = minutes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((20..=22).contains(&gaps[0]) && (40..=42).contains(&gaps[1]), "{gaps:?}");
    assert!((360..=364).contains(&gaps[2]) && (720..=724).contains(&gaps[3]), "{gaps:?}");
    assert!((1440..=1444).contains(&gaps[4]), "{gaps:?}");
    let told: Vec<&String> = bench.timeline.iter().filter(|line| line.ends_with("notice give_up")).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(!bench.timeline.iter().any(|line| line.contains("not_restarted")), "a give-up is intended");
}

/// Found by the simulation: the last process of the old release erred while the new one rolled out, and
/// people were told that the dyno is given up until the next release.
#[test]
fn a_dyno_is_not_given_up_while_a_release_rolls_out() {
    for is_released in [false, true] {
        let mut bench = Bench::new(plan(), 1);
        while bench.deletes.len() < 3 {
            plateau(&mut bench, mins(1));
        }
        if is_released {
            bench.events(vec![Fact::Release { version: Some(8) }]);
        }
        plateau(&mut bench, mins(3));
        let told = |bench: &Bench| {
            let count = |what: &str| bench.timeline.iter().filter(|line| line.ends_with(what)).count();
            (count("web.1 no_help"), count("notice give_up"))
        };
        let expect = (3, usize::from(!is_released));
        assert_eq!(told(&bench), expect, "{:#?}", bench.timeline);
        // The next look still shows the old release.
        let looks = bench.calls;
        plateau(&mut bench, mins(15));
        assert!(bench.calls > looks);
        assert_eq!(told(&bench), expect, "{:#?}", bench.timeline);
    }
}

#[test]
fn a_release_or_a_persons_word_ends_a_give_up() {
    let given_up = || {
        let mut bench = Bench::new(plan(), 1);
        plateau(&mut bench, mins(90));
        assert_eq!(bench.deletes.len(), 3, "{:#?}", bench.timeline);
        assert!(
            bench.timeline.last().is_some_and(|line| line.ends_with("hold given_up")),
            "{:?}",
            &bench.timeline[bench.timeline.len() - 9..]
        );
        bench
    };
    let mut bench = given_up();
    bench.dyno_mut("web.1").release = Some(8);
    bench.events(vec![Fact::Release { version: Some(8) }]);
    bench.pass(mins(4));
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 4, "{:#?}", bench.timeline);
    let mut bench = given_up();
    bench.input(Input::Order {
        order: OrderId(1),
        app: APP,
        dyno: Some(dyno("web.1")),
        forced: true,
        by: None,
    });
    assert_eq!(bench.deletes.len(), 4, "{:#?}", bench.timeline);
    // The counts start again: two more useless restarts change nothing.
    bench.pass(mins(11));
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 5, "{:#?}", bench.timeline);
}

#[test]
fn a_leak_that_restarts_help_is_restarted_all_night_and_reported_once() {
    let mut plan = plan();
    plan.policy.max_restarts = Rate { count: NonZeroU32::new(8).expect("a count"), per: mins(120) };
    let mut bench = Bench::new(plan, 1);
    for _ in 0..(8 * 180) {
        let up_for = bench.now.wall.duration_since(bench.api[0].in_state_since());
        if bench.api[0].state == DynoState::Up && up_for >= jiff::SignedDuration::from_mins(20) {
            bench.r14("web.1");
        }
        bench.pass(secs(20));
        bench.let_boot();
    }
    assert!((23..=25).contains(&bench.deletes.len()), "{:?}", bench.deletes);
    let told: Vec<&String> = bench.timeline.iter().filter(|line| line.contains("notice")).collect();
    assert!(matches!(told.as_slice(), [once] if once.ends_with("notice restart")), "{told:?}");
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
fn a_lost_request_is_not_repeated_before_the_boot_time_out() {
    let mut bench = Bench::new(plan(), 2);
    bench.faults.push_back(Fault::DeleteLost { done: false });
    for _ in 0..8 {
        bench.r14("web.1");
        bench.r14("web.2");
        bench.pass(secs(20));
    }
    // It may still be carried out, so nothing else of the formation is taken.
    assert_eq!(bench.deletes, ["00:00:00 web.1"], "{:#?}", bench.timeline);
    // Then the next one goes, and nothing was spent.
    bench.pass(mins(2));
    bench.r14("web.1");
    assert_eq!(bench.deletes[1..], ["00:03:00 web.2", "00:04:40 web.1"], "{:#?}", bench.timeline);
    assert!(bench.timeline.iter().any(|line| line.ends_with("web.1 unanswered")));
}

#[test]
fn a_late_effect_is_found_and_not_repeated() {
    for late in [12, 25, 100, 170] {
        let mut bench = Bench::new(plan(), 2);
        bench.faults.push_back(Fault::DeleteLost { done: false });
        bench.r14("web.1");
        for second in 0..240 {
            if second == late {
                bench.replace("web.1");
            }
            if second % 20 == 0 {
                bench.r14("web.1");
                bench.r14("web.2");
            }
            bench.pass(secs(1));
        }
        let of_1 = bench.deletes.iter().filter(|line| line.ends_with("web.1")).count();
        assert_eq!(of_1, 1, "{:?}", bench.deletes);
        assert!(bench.timeline.iter().any(|line| line.contains("web.1 back")), "{:#?}", bench.timeline);
        for line in bench.deletes.iter().filter(|line| line.ends_with("web.2")) {
            let at = line[3..5].parse::<u64>().expect("minutes") * 60
                + line[6..8].parse::<u64>().expect("seconds");
            assert!(at > late + 30, "web.1 had not settled: {line}");
        }
    }
}

#[test]
fn a_restart_that_fails_holds_the_others_until_a_dyno_of_the_type_has_booted() {
    let mut bench = Bench::new(plan(), 4);
    bench.boot = mins(300);
    bench.r14("web.1");
    bench.pass(mins(4));
    bench.r14("web.2");
    bench.pass(secs(80));
    assert_eq!(bench.deletes.len(), 1);
    bench.expect(&[
        "00:00:00 web.1 restart rule",
        "00:00:00 web.1 accepted",
        "00:03:00 web.1 not_back",
        "00:03:00 notice failure",
        "00:04:00 web.2 hold formation_failed",
    ]);
    // Heroku cycles web.3, which comes up: the release can boot.
    let wall = bench.now.wall;
    let fresh = bench.instance("web.3", wall, DynoState::Up);
    *bench.dyno_mut("web.3") = fresh;
    for _ in 0..6 {
        bench.r14("web.2");
        bench.pass(secs(20));
    }
    assert_eq!(bench.deletes.len(), 2, "{:#?}", bench.timeline);
}

#[test]
fn a_broken_dyno_is_reported_once_and_holds_nobody() {
    let mut bench = Bench::new(plan(), 10);
    let hours_ago = earlier(bench.now.wall, mins(180));
    let broken = bench.dyno_mut("web.10");
    (broken.state, broken.updated_at) = (DynoState::Crashed, hours_ago);
    for index in [1, 2] {
        bench.r14(&format!("web.{index}"));
        bench.pass(mins(1));
    }
    assert_eq!(bench.deletes.len(), 2, "{:#?}", bench.timeline);
    let told: Vec<&String> = bench.timeline.iter().filter(|line| line.contains("notice")).collect();
    assert_eq!(told, ["00:00:00 notice failure"]);
}

#[test]
fn the_last_dyno_up_and_half_a_formation_are_never_taken() {
    let held = |webs: u32, crashed: &[u32], expect: bool| {
        let mut bench = Bench::new(plan(), webs);
        let hours_ago = earlier(bench.now.wall, mins(180));
        for index in crashed {
            let broken = bench.dyno_mut(&format!("web.{index}"));
            (broken.state, broken.updated_at) = (DynoState::Crashed, hours_ago);
        }
        bench.r14("web.1");
        assert_eq!(
            bench.deletes.is_empty(),
            expect,
            "{webs} dynos, {crashed:?} crashed: {:#?}",
            bench.timeline
        );
        if expect {
            assert!(bench.timeline.last().is_some_and(|line| line.ends_with("hold formation_out")));
        }
    };
    held(2, &[2], true);
    held(3, &[2], false);
    held(3, &[2, 3], true);
    held(4, &[2], false);
    held(4, &[2, 3], true);
    held(5, &[2, 3], false);
    held(5, &[2, 3, 4], true);
}

#[test]
fn never_all_of_a_formation_is_taken() {
    let mut plan = plan();
    plan.policy.max_concurrent = NonZeroU32::new(2).expect("a count");
    let mut bench = Bench::new(plan.clone(), 2);
    bench.r14("web.1");
    bench.r14("web.2");
    assert_eq!(bench.deletes, ["00:00:00 web.1"], "{:#?}", bench.timeline);
    // A list that lacks dynos of the formation.
    plan.policy.max_concurrent = NonZeroU32::MIN;
    let mut bench = Bench::new(plan, 1);
    bench.quantity = Some(3);
    bench.r14("web.1");
    assert!(bench.deletes.is_empty(), "{:#?}", bench.timeline);
}

#[test]
fn a_dyno_that_crashes_while_it_settles_is_reported() {
    let mut bench = Bench::new(plan(), 3);
    bench.r14("web.1");
    bench.pass(secs(20));
    bench.dyno_mut("web.1").state = DynoState::Crashed;
    bench.life("web.1", Change::to(DynoState::Crashed));
    bench.pass(secs(1));
    let last: Vec<&str> = bench.timeline.iter().rev().take(2).map(|line| &line[9..]).collect();
    assert_eq!(last, ["notice failure", "web.1 down_again"]);
}

#[test]
fn an_accepted_restart_that_does_not_happen_is_called_that() {
    let mut bench = Bench::new(plan(), 2);
    bench.faults.push_back(Fault::DeleteIgnored);
    bench.r14("web.1");
    bench.pass(mins(4));
    assert!(bench.timeline.contains(&"00:03:00 web.1 ignored".to_owned()), "{:#?}", bench.timeline);
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 1, "its cool-down runs");
}

#[test]
fn one_off_dynos_are_neither_restarted_nor_counted() {
    let mut bench = Bench::new(plan(), 2);
    let (wall, young) = (bench.now.wall, earlier(bench.now.wall, secs(5)));
    let console = bench.instance("web.4321", young, DynoState::Starting);
    bench.api.push(DynoInfo { is_one_off: true, ..console });
    bench.r14("web.1");
    assert_eq!(bench.deletes, ["00:00:00 web.1"], "{:#?}", bench.timeline);
    let console = bench.dyno_mut("web.4321");
    (console.state, console.created_at, console.updated_at) =
        (DynoState::Up, earlier(wall, mins(60)), earlier(wall, mins(60)));
    bench.pass(mins(2));
    bench.r14("web.4321");
    assert!(bench.timeline.last().is_some_and(|line| line.ends_with("web.4321 hold one_off")));
}

#[test]
fn a_sample_below_the_limit_withdraws_an_error() {
    let mut bench = Bench::new(plan(), 2);
    bench.r14("web.1");
    bench.r14("web.2");
    bench.pass(secs(10));
    bench.events(vec![Fact::Memory {
        dyno: dyno("web.2"),
        used: Megabytes { hundredths: 20_000 },
        permille: 400,
    }]);
    bench.pass(secs(60));
    assert_eq!(bench.deletes, ["00:00:00 web.1"]);
    assert!(
        bench.timeline.last().is_some_and(|line| line.ends_with("web.2 hold recovered")),
        "{:#?}",
        bench.timeline
    );
}

#[test]
fn with_preboot_young_dynos_and_the_old_twins_errors_are_left_alone() {
    let mut bench = Bench::new(plan(), 1);
    bench.preboot = true;
    let young = earlier(bench.now.wall, secs(250));
    (bench.dyno_mut("web.1").created_at, bench.dyno_mut("web.1").updated_at) = (young, young);
    bench.r14("web.1");
    bench.expect(&["00:00:00 web.1 hold too_young"]);
    // Later, the metrics tell the twins apart.
    bench.pass(mins(2));
    let sample = |instance: &str, hundredths| Fact::Sample {
        dyno: dyno("web.1"),
        instance: instance.parse().expect("an id"),
        total: Megabytes { hundredths },
        quota: Megabytes { hundredths: 51_200 },
        swap: None,
    };
    bench.events(vec![sample("old", 60_000), sample("new", 20_000), sample("old", 60_000)]);
    bench.pass(secs(5));
    bench.r14("web.1");
    assert!(
        bench.timeline.last().is_some_and(|line| line.ends_with("hold recovered")),
        "{:#?}",
        bench.timeline
    );
    assert!(bench.deletes.is_empty());
}

#[test]
fn a_line_from_the_future_holds_for_no_longer_than_one_of_now() {
    // Found by the simulation: our clock was two and a half minutes behind, and a dyno that Heroku was
    // replacing was restarted.
    for (ahead, deletes) in [(mins(60), 1), (secs(150), 0)] {
        let mut bench = Bench::new(plan(), 1);
        let fact = Fact::Life { dyno: dyno("web.1"), change: Change::Leaving };
        let at = later(bench.now.wall, ahead);
        bench.input(Input::Events { app: APP, events: vec![Event { at, fact }] });
        bench.r14("web.1");
        assert_eq!(bench.deletes.len(), deletes, "{:#?}", bench.timeline);
        bench.pass(mins(3));
        bench.r14("web.1");
        assert_eq!(bench.deletes.len(), 1, "{:#?}", bench.timeline);
    }
}

#[test]
fn errors_of_an_earlier_process_do_not_count() {
    let mut bench = Bench::new(AppPlan { rules: vec![rule(3, Act::Restart)], ..plan() }, 1);
    bench.r14("web.1");
    bench.pass(secs(21));
    bench.r14("web.1");
    bench.pass(secs(5));
    // Heroku cycles it.
    bench.replace("web.1");
    bench.life("web.1", Change::Starting);
    bench.pass(secs(8));
    bench.life("web.1", Change::to(DynoState::Up));
    bench.pass(mins(3));
    bench.r14("web.1");
    bench.pass(secs(21));
    bench.r14("web.1");
    assert!(bench.deletes.is_empty(), "{:#?}", bench.timeline);
    bench.pass(secs(21));
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 1, "{:#?}", bench.timeline);
}

#[test]
fn announcements_that_never_end_postpone_a_restart_only_so_long() {
    let mut bench = Bench::new(plan(), 2);
    bench.events(vec![Fact::Scale { types: vec!["worker".parse().expect("a type")] }]);
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 1, "the workers were scaled");
    bench.pass(mins(5));
    for _ in 0..30 {
        bench.events(vec![Fact::Scale { types: vec!["web".parse().expect("a type")] }]);
        bench.r14("web.2");
        bench.pass(secs(20));
    }
    assert_eq!(bench.deletes.len(), 2, "{:#?}", bench.timeline);
    assert!(bench.deletes[1].as_str() <= "00:08:50 web.2", "{:?}", bench.deletes);
}

#[test]
fn a_dyno_that_errs_without_a_restart_is_reported_after_a_quarter_of_an_hour() {
    let mut bench = Bench::new(plan(), 2);
    bench.faults.extend((0..200).map(|_| Fault::Inspect(ApiError::Garbled { what: "html".to_owned() })));
    for _ in 0..60 {
        bench.r14("web.1");
        bench.pass(secs(20));
    }
    let told: Vec<&String> = bench.timeline.iter().filter(|line| line.ends_with("not_restarted")).collect();
    assert_eq!(told, ["00:15:00 notice not_restarted"]);
    // Not under a pause.
    let mut bench = Bench::new(plan(), 1);
    let until = later(bench.now.wall, mins(60));
    bench.input(Input::Pause { app: None, until, reason: "a launch".into(), by: None });
    for _ in 0..60 {
        bench.r14("web.1");
        bench.pass(secs(20));
    }
    assert!(!bench.timeline.iter().any(|line| line.ends_with("not_restarted")));
}

#[test]
fn waiting_formations_use_fewer_calls_than_flow_back() {
    let types: Vec<String> = (0..30).map(|index| format!("web{index}")).collect();
    let mut plan = plan();
    plan.policy.process_types = types.iter().map(|name| name.parse().expect("a type")).collect();
    let mut bench = Bench::new(plan, 0);
    for name in &types {
        for (index, state) in [(1, DynoState::Up), (2, DynoState::Up), (3, DynoState::Starting)] {
            let at = earlier(bench.now.wall, mins(60));
            let seen = bench.instance(&format!("{name}.{index}"), at, state);
            bench.api.push(seen);
        }
    }
    for minute in 0..10 {
        let before = bench.calls;
        for _ in 0..3 {
            let wall = bench.now.wall;
            // A dyno of each type keeps starting.
            bench
                .api
                .iter_mut()
                .filter(|seen| seen.name.index() == 3)
                .for_each(|seen| seen.updated_at = wall);
            for name in &types {
                bench.r14(&format!("{name}.1"));
            }
            bench.pass(secs(20));
        }
        let calls = bench.calls - before;
        assert!(minute == 0 || calls < 75, "{calls} in minute {minute}");
    }
}

#[test]
fn a_stop_hands_over_what_was_not_sent() {
    let mut bench = Bench::new(plan(), 2);
    bench.faults.push_back(Fault::Hang("claim"));
    bench.r14("web.1");
    bench.r14("web.2");
    let (effects, pending) = bench.engine.stop(bench.now);
    let [Effect::Record(Record::Outcome(outcome))] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(outcome.result.label(), "withdrawn");
    let named: Vec<String> = pending.iter().map(|pending| pending.dyno.to_string()).collect();
    assert_eq!(named, ["web.1", "web.2"]);
    let past = RestoredState { pending, ..RestoredState::default() };
    let mut next = Bench::new(plan(), 2);
    next.now.wall = later(bench.now.wall, secs(20));
    next.input(Input::Restore(past.clone()));
    next.pass(mins(1));
    assert_eq!(next.deletes, ["00:00:00 web.1", "00:00:40 web.2"], "{:#?}", next.timeline);
    // Or it has its row with the reason.
    let mut late = Bench::new(plan(), 2);
    late.now.wall = later(bench.now.wall, mins(10));
    late.input(Input::Restore(past));
    assert!(late.timeline.contains(&"00:00:00 web.1 hold stale".to_owned()), "{:#?}", late.timeline);
}

#[test]
fn a_restart_accepted_before_a_stop_is_judged_by_what_the_next_process_sees() {
    let mut bench = Bench::new(plan(), 2);
    let accepted_at = earlier(bench.now.wall, secs(20));
    let target = bench.api[0].clone();
    let back_at = earlier(bench.now.wall, secs(12));
    let fresh = bench.instance("web.1", back_at, DynoState::Up);
    *bench.dyno_mut("web.1") = fresh;
    let claim = OpenClaim {
        attempt_id: AttemptId(5),
        app: APP,
        target,
        rule: "r14".into(),
        is_forced: false,
        accepted_at: Some(accepted_at),
    };
    let restart = RestoredRestart {
        app: APP,
        dyno: dyno("web.1"),
        accepted_at,
        back_at: None,
        rule: Some("r14".into()),
        is_forced: false,
        usefulness: Usefulness::Unknown,
        release: Some(7),
    };
    let past = RestoredState { claims: vec![claim], restarts: vec![restart], ..RestoredState::default() };
    bench.input(Input::Restore(past));
    bench.expect(&["00:00:00 web.1 back"]);
    // The cool-down runs from the acceptance.
    bench.pass(mins(9) + secs(39));
    bench.r14("web.1");
    bench.pass(secs(1));
    bench.r14("web.1");
    assert_eq!(bench.deletes, ["00:09:40 web.1"], "{:#?}", bench.timeline);
}

/// Found by the simulation: a process that was away for long took a restart that it had yet to judge for one
/// of which nothing is known, and forgot those before that did not help.
#[test]
fn a_restart_that_is_still_watched_keeps_the_row_before_it() {
    let mut bench = Bench::new(plan(), 2);
    let target = bench.api[0].clone();
    let (wall, back_at) = (bench.now.wall, earlier(bench.now.wall, secs(90)));
    let fresh = bench.instance("web.1", back_at, DynoState::Up);
    *bench.dyno_mut("web.1") = fresh;
    let restart = |ago, back_at, usefulness| RestoredRestart {
        app: APP,
        dyno: dyno("web.1"),
        accepted_at: earlier(wall, ago),
        back_at,
        rule: Some("r14".into()),
        is_forced: false,
        usefulness,
        release: Some(7),
    };
    let before = restart(mins(60), Some(earlier(wall, mins(59))), Usefulness::Useless);
    let open = restart(mins(15), None, Usefulness::Unknown);
    let accepted_at = Some(open.accepted_at);
    let (attempt_id, rule) = (AttemptId(5), "r14".into());
    let claim = OpenClaim { attempt_id, app: APP, target, rule, is_forced: false, accepted_at };
    let restarts = vec![before, open];
    bench.input(Input::Restore(RestoredState { claims: vec![claim], restarts, ..RestoredState::default() }));
    for _ in 0..52 {
        bench.pass(secs(30));
        bench.r14("web.1");
    }
    assert!(bench.timeline.iter().any(|line| line.ends_with("web.1 no_help")), "{:#?}", bench.timeline);
    // Two in a row double the cool-down twice.
    assert_eq!(bench.deletes, ["00:25:00 web.1"], "{:#?}", bench.timeline);
}

/// Heroku replaces each new process, so that nothing shows whether the restarts help. People are told once
/// how often the dyno is restarted, and not that it helps.
#[test]
fn restarts_that_nothing_can_judge_are_counted_too() {
    let mut plan = plan();
    plan.policy.max_restarts.count = NonZeroU32::new(9).expect("a count");
    for delay in [secs(5), secs(60)] {
        let mut bench = Bench::new(plan.clone(), 1);
        for _ in 0..6 {
            bench.r14("web.1");
            bench.pass(secs(15) + delay);
            // It crashes, while it settles or later, and is replaced.
            bench.life("web.1", Change::to(DynoState::Crashed));
            bench.replace("web.1");
            bench.life("web.1", Change::Starting);
            bench.pass(mins(25));
        }
        let often = bench.timeline.iter().filter(|line| line.ends_with("notice restart")).count();
        assert_eq!((bench.deletes.len(), often), (6, 1), "{delay:?} {:#?}", bench.timeline);
    }
}

/// What a process that is being stopped still writes counts neither for a restart nor for a rule's count.
#[test]
fn errors_of_a_process_that_is_being_stopped_are_not_the_new_ones() {
    for (min_uptime, count, has_exited, is_restarted) in [
        (secs(1), 1, false, false),
        (secs(1), 1, true, true),
        (secs(1), 2, false, false),
        (secs(1), 2, true, true),
        (mins(3), 2, false, false),
    ] {
        let mut plan = plan();
        plan.policy.min_uptime = min_uptime;
        plan.rules = vec![rule(count, Act::Restart)];
        let mut bench = Bench::new(plan, 1);
        // A person restarts it: a new process boots while the old one is being stopped.
        bench.replace("web.1");
        bench.life("web.1", Change::Leaving);
        bench.life("web.1", Change::Starting);
        bench.pass(secs(8));
        bench.life("web.1", Change::to(DynoState::Up));
        bench.pass(secs(6));
        if has_exited {
            bench.life("web.1", Change::Exited);
        }
        bench.pass(secs(6));
        bench.r14("web.1");
        if count == 2 {
            // Its own, when it is old enough: the only one.
            bench.pass(min_uptime.max(secs(20)));
            bench.r14("web.1");
        }
        let case = format!("{min_uptime:?} {count} {has_exited} {:#?}", bench.timeline);
        assert_eq!(bench.deletes.len(), usize::from(is_restarted), "{case}");
    }
}

#[test]
fn young_dynos_and_old_errors_are_left_alone() {
    let mut bench = Bench::new(plan(), 1);
    let young = earlier(bench.now.wall, mins(1));
    (bench.dyno_mut("web.1").created_at, bench.dyno_mut("web.1").updated_at) = (young, young);
    bench.r14("web.1");
    let old = Event {
        at: earlier(bench.now.wall, secs(91)),
        fact: Fact::Error { code: Code::R14, dyno: Some(dyno("web.1")) },
    };
    bench.input(Input::Events { app: APP, events: vec![old.clone()] });
    let of_the_one_before = Event { at: earlier(bench.now.wall, secs(80)), ..old.clone() };
    bench.input(Input::Events { app: APP, events: vec![of_the_one_before] });
    let ahead = Event { at: later(bench.now.wall, mins(3)), ..old };
    bench.input(Input::Events { app: APP, events: vec![ahead.clone(), ahead] });
    bench.expect(&[
        "00:00:00 web.1 hold too_young",
        "00:00:00 notice failure",
        "00:00:00 web.1 hold stale",
        "00:00:00 notice recovered",
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
        let since = earlier(bench.now.wall, mins(1));
        let dyno = bench.dyno_mut("web.1");
        (dyno.state, dyno.updated_at) = (state, since);
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
fn another_apps_lines_are_held_and_change_nothing() {
    let token: DrainToken = "d.other".parse().expect("a token");
    for (origin, label) in [(Foreign::Drain { token }, "foreign_drain"), (Foreign::OtherApp, "other_app")] {
        let mut bench = Bench::new(plan(), 1);
        let at = bench.now.wall;
        let facts = [
            Fact::Life { dyno: dyno("web.1"), change: Change::Leaving },
            Fact::Error { code: Code::R14, dyno: Some(dyno("web.1")) },
            Fact::Release { version: Some(8) },
        ];
        let events = facts.into_iter().map(|fact| Event { at, fact }).collect();
        bench.input(Input::ForeignEvents { app: APP, events, origin: origin.clone() });
        bench.expect(&[&format!("00:00:00 web.1 hold {label}")]);
        assert!(bench.deletes.is_empty());
        // Its own lines still count.
        bench.r14("web.1");
        assert_eq!(bench.deletes.len(), 1, "{label}");
    }
}

#[test]
fn a_red_status_page_holds_restarts_until_it_is_green_or_no_longer_read() {
    for (input, span) in
        [(Some(Input::PlatformStatus { is_red: false }), secs(1)), (None, limits::PLATFORM_RED_COUNTS)]
    {
        let mut bench = Bench::new(plan(), 1);
        bench.input(Input::PlatformStatus { is_red: true });
        bench.r14("web.1");
        bench.input(Input::Order {
            order: OrderId(1),
            app: APP,
            dyno: Some(dyno("web.1")),
            forced: true,
            by: None,
        });
        bench.expect(&["00:00:00 web.1 hold platform_red", "00:00:00 web.1 hold platform_red"]);
        bench.pass(span - secs(1));
        bench.r14("web.1");
        assert!(bench.deletes.is_empty());
        input.into_iter().for_each(|input| bench.input(input));
        bench.pass(secs(1));
        bench.r14("web.1");
        assert_eq!(bench.deletes.len(), 1);
    }
}

#[test]
fn two_releases_at_once_are_waited_out() {
    let mut bench = Bench::new(plan(), 2);
    let (wall, hour_ago) = (bench.now.wall, earlier(bench.now.wall, mins(60)));
    let second = bench.dyno_mut("web.2");
    (second.release, second.created_at, second.updated_at) =
        (Some(8), earlier(wall, mins(1)), earlier(wall, mins(1)));
    for _ in 0..6 {
        bench.r14("web.1");
        bench.pass(secs(20));
    }
    assert!(bench.deletes.is_empty());
    assert!(
        bench.timeline.iter().all(|line| line.ends_with("web.1 hold deploying")),
        "{:#?}",
        bench.timeline
    );
    // They run alongside each other for longer than any preboot lasts.
    let second = bench.dyno_mut("web.2");
    (second.created_at, second.updated_at) = (hour_ago, hour_ago);
    bench.r14("web.1");
    bench.pass(mins(1));
    assert_eq!(bench.deletes.len(), 1);
}

#[test]
fn an_announced_release_is_waited_for() {
    let mut bench = Bench::new(plan(), 1);
    bench.events(vec![Fact::Release { version: None }]);
    bench.pass(secs(30));
    for _ in 0..8 {
        bench.r14("web.1");
        bench.pass(secs(20));
    }
    assert_eq!(bench.deletes, ["00:03:00 web.1"]);
    assert_eq!(bench.timeline[0], "00:00:30 web.1 hold releasing");
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
        "00:00:00 notice failure",
        "00:00:00 web.1 hold throttled",
        "00:00:40 notice recovered",
        "00:00:40 web.1 restart rule",
        "00:00:40 web.1 accepted",
        "00:00:50 web.1 back",
    ]);
}

#[test]
fn a_restart_goes_down_to_ten_calls() {
    let mut bench = Bench::new(plan(), 1);
    bench.input(Input::ApiQuota { remaining: 600 });
    bench.r14("web.1");
    assert_eq!(bench.deletes, ["00:00:00 web.1"]);
    let mut bench = Bench::new(plan(), 1);
    bench.input(Input::ApiQuota { remaining: 10 });
    bench.r14("web.1");
    bench.pass(secs(10));
    assert_eq!(bench.deletes, ["00:00:02 web.1"]);
    assert_eq!(bench.timeline[..2], ["00:00:00 notice failure", "00:00:00 web.1 hold api_reserve"]);
}

#[test]
fn a_delete_leaves_ten_calls_whatever_others_used_since_the_inspection() {
    let mut bench = Bench::new(plan(), 1);
    bench.input(Input::ApiQuota { remaining: 13 });
    bench.faults.push_back(Fault::Hang("look"));
    bench.r14("web.1");
    bench.input(Input::ApiQuota { remaining: 10 });
    bench.answer();
    bench.expect(&["00:00:00 notice failure", "00:00:00 web.1 hold api_reserve"]);
    assert!(bench.deletes.is_empty() && bench.engine.waits_for_calls());
    bench.pass(secs(3));
    assert_eq!(bench.deletes, ["00:00:02 web.1"], "as soon as a whole restart has its calls");
}

#[test]
fn a_better_quota_report_is_used_at_once() {
    let mut bench = Bench::new(plan(), 1);
    bench.input(Input::ApiQuota { remaining: 0 });
    bench.r14("web.1");
    bench.pass(secs(5));
    assert!(bench.deletes.is_empty() && bench.engine.waits_for_calls());
    bench.input(Input::ApiQuota { remaining: 11 });
    assert!(bench.deletes.is_empty() && bench.engine.waits_for_calls(), "the reserve is left alone");
    bench.input(Input::ApiQuota { remaining: 13 });
    assert_eq!(bench.deletes, ["00:00:05 web.1"]);
    // The inspections after it also wait for calls.
    bench.input(Input::ApiQuota { remaining: 0 });
    bench.pass(secs(2));
    assert!(bench.engine.waits_for_calls());
    bench.input(Input::ApiQuota { remaining: 2000 });
    assert!(!bench.engine.waits_for_calls());
}

#[test]
fn a_few_calls_are_not_calls_left_again() {
    let mut bench = Bench::new(plan(), 1);
    for remaining in [0, 13, 99, 5, 60, 0] {
        bench.input(Input::ApiQuota { remaining });
    }
    bench.expect(&["00:00:00 notice failure"]);
    bench.input(Input::ApiQuota { remaining: 100 });
    bench.expect(&["00:00:00 notice failure", "00:00:00 notice recovered"]);
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
        (ClaimRefusal::Elsewhere { until: Timestamp::UNIX_EPOCH, restarts: Vec::new() }, "claimed_elsewhere"),
        (ClaimRefusal::FormationOut { dyno: dyno("web.2") }, "formation_out"),
        (ClaimRefusal::MaxRestarts { until: later(Timestamp::UNIX_EPOCH, mins(1)) }, "max_restarts"),
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
    let wall = bench.now.wall;
    let third = bench.dyno_mut("web.3");
    (third.state, third.updated_at) = (DynoState::Crashed, wall);
    bench.input(Input::Order { order: OrderId(1), app: APP, dyno: None, forced: true, by: None });
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
fn the_record_says_who_asked() {
    let mut bench = Bench::new(plan(), 2);
    for name in ["web.1", "web.1", "worker.1"] {
        let by = Some("by \"alice\"".into());
        bench.input(Input::Order { order: OrderId(1), app: APP, dyno: Some(dyno(name)), forced: true, by });
    }
    let expect = ["web.1 restart rule", "web.1 hold under_way", "worker.1 hold not_listed"];
    assert_eq!(bench.effects_of_orders, expect.map(|text| format!("{text} by \"alice\"")));
}

#[test]
fn a_restart_of_a_large_formation_drops_none_of_its_dynos() {
    let mut bench = Bench::new(plan(), 150);
    bench.boot = secs(40);
    bench.input(Input::Order { order: OrderId(1), app: APP, dyno: None, forced: true, by: None });
    bench.pass(mins(60 * 5));
    assert_eq!(bench.deletes.len(), 150, "{:?}", bench.timeline.last());
}

#[test]
fn a_persons_word_passes_the_limits_and_a_scripts_does_not() {
    let mut bench = Bench::new(plan(), 1);
    let one = |bench: &mut Bench, name: &str, forced: bool| {
        bench.input(Input::Order { order: OrderId(1), app: APP, dyno: Some(dyno(name)), forced, by: None });
        bench.effects_of_orders.pop().expect("an answer")
    };
    assert_eq!(one(&mut bench, "web.1", false), "web.1 restart rule");
    assert_eq!(one(&mut bench, "web.1", true), "web.1 hold under_way");
    assert_eq!(one(&mut bench, "worker.1", true), "worker.1 hold not_listed");
    assert_eq!(one(&mut bench, "web.9", true), "web.9 hold gone");
    bench.pass(mins(1));
    assert_eq!(one(&mut bench, "web.1", false), "web.1 hold too_young");
    bench.pass(mins(4));
    assert_eq!(one(&mut bench, "web.1", false), "web.1 hold cooling_down");
    for _ in 0..4 {
        assert_eq!(one(&mut bench, "web.1", true), "web.1 restart rule");
        bench.pass(mins(1));
    }
    assert_eq!(bench.deletes.len(), 5);
    // It starts the cool-down like any other.
    bench.r14("web.1");
    assert!(bench.timeline.last().is_some_and(|line| line.ends_with("hold cooling_down")));
    // Never a pause.
    let until = later(bench.now.wall, mins(30));
    bench.input(Input::Pause { app: None, until, reason: "a launch".into(), by: None });
    assert_eq!(one(&mut bench, "web.1", true), "web.1 hold paused");
    bench.input(Input::Resume { app: None });
    bench.faults.push_back(Fault::Inspect(ApiError::Unauthorized));
    assert_eq!(one(&mut bench, "web.1", true), "web.1 hold unauthorized");
}

#[test]
fn a_pause_holds_until_it_ends_or_is_lifted() {
    let mut bench = Bench::new(plan(), 1);
    let until = later(bench.now.wall, mins(30));
    bench.input(Input::Pause { app: None, until, reason: "a launch".into(), by: None });
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
        by: None,
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
    let rule = Rule { name: "lost".into(), trigger, act: Act::Notify, window: Vec::new(), proof: None };
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
    let rule = Rule { name: "memory".into(), trigger, act: Act::Restart, window: Vec::new(), proof: None };
    let mut bench = Bench::new(AppPlan { rules: vec![rule], ..plan() }, 1);
    for _ in 0..4 {
        bench.events(vec![Fact::Sample {
            dyno: dyno("web.1"),
            instance: "old".parse().expect("an id"),
            total: Megabytes { hundredths: 50_000 },
            quota: Megabytes { hundredths: 51_200 },
            swap: None,
        }]);
        bench.pass(secs(20));
    }
    assert_eq!(bench.deletes, ["00:01:00 web.1"]);
}

#[test]
fn dynos_of_unlisted_types_are_left_alone() {
    let mut bench = Bench::new(plan(), 1);
    bench.r14("run.1234");
    bench.r14("worker.1");
    bench.expect(&["00:00:00 worker.1 hold not_listed"]);
    assert_eq!(bench.engine.dynos_watched(), 0);
    // Invented types leave no more decisions than a Procfile has types.
    for index in 0..100 {
        bench.r14(&format!("invented{index}.1"));
    }
    assert_eq!(bench.timeline.len(), limits::UNLISTED_TYPES_MAX);
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
    assert_eq!(bench.timeline[2..], ["00:03:00 web.1 not_back", "00:03:00 notice failure"]);
    // An inspection of another dyno shows that it has booted.
    bench.r14("web.2");
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
    assert!(bench.timeline.last().expect("a line").ends_with("ignored"), "its claim has an end");
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
        back_at: None,
        rule: Some("r14".into()),
        is_forced: false,
        usefulness: Usefulness::Unknown,
        release: Some(7),
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
        at: wall,
        until: later(wall, mins(60)),
        release: Some(7),
        times: 1,
    }];
    bench.input(Input::Restore(RestoredState { given_up: given_up.clone(), ..RestoredState::default() }));
    bench.r14("web.1");
    assert_eq!(bench.timeline, ["00:00:00 web.1 hold given_up"]);
    bench.pass(mins(60));
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 1);
    let pauses =
        vec![RestoredPause { app: None, until: later(wall, mins(5)), reason: "launch".into(), by: None }];
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
    let (attempt_id, rule) = (AttemptId(5), "r14".into());
    let claim = OpenClaim { attempt_id, app: APP, target, rule, is_forced: false, accepted_at: None };
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
    bench.pass(secs(170));
    bench.r14("web.1");
    bench.r14("web.2");
    assert!(bench.deletes.is_empty(), "it may still be carried out");
    bench.pass(secs(10));
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
fn a_dyno_that_is_gone_after_a_lost_answer_counts_as_restarted() {
    let mut bench = Bench::new(plan(), 1);
    bench.faults.push_back(Fault::DeleteLost { done: true });
    bench.r14("web.1");
    bench.api.clear();
    bench.pass(mins(1));
    // The next process counts it as well.
    let (accepted, gone) = ("web.1 accepted", "web.1 gone");
    assert!(
        matches!(&bench.timeline[..], [.., a, g] if a.ends_with(accepted) && g.ends_with(gone)),
        "{:#?}",
        bench.timeline
    );
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
    bench.input(Input::Order {
        order: OrderId(1),
        app: APP,
        dyno: Some(dyno("web.2")),
        forced: true,
        by: None,
    });
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
            bench.input(Input::Pause { app: None, until, reason: "a launch".into(), by: None });
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
fn a_late_answer_finds_no_other_attempt() {
    let mut bench = Bench::new(plan(), 1);
    bench.faults.push_back(Fault::Hang("look"));
    bench.r14("web.1");
    bench.life("web.1", Change::Leaving);
    bench.pass(mins(5));
    assert_eq!(bench.hanging.len(), 1, "it has one question open at a time");
    bench.answer();
    assert!(bench.deletes.is_empty(), "{:#?}", bench.timeline);
    assert_eq!(bench.engine.attempts(), 0);
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
    bench.now.wall = later(platform, secs(80));
    let r14 = Fact::Error { code: Code::R14, dyno: Some(dyno("web.1")) };
    bench.input(Input::Events { app: APP, events: vec![Event { at: platform, fact: r14 }] });
    // By our clock web.2 has been up for a minute and a half, by the platform's for ten seconds.
    bench.expect(&["00:00:00 web.1 hold formation_out"]);
    bench.input(Input::Order {
        order: OrderId(1),
        app: APP,
        dyno: Some(dyno("web.2")),
        forced: false,
        by: None,
    });
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
    for _ in 0..6 {
        bench.r14("web.2");
        bench.r14("web.3");
        bench.pass(secs(20));
    }
    assert_eq!(bench.deletes.len(), 3, "{:#?}", bench.timeline);
}
