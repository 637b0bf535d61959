//! The engine under any sequence of inputs: it never panics, and its effects keep its promises.
//!
//! Shared by the property test and by the fuzzer. Every four octets are one event: time passes, clocks jump,
//! lines come, answers come, late, twice or for unknown attempt ids.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use dynowarden_core::api::{ApiError, DeleteResult, DynoInfo, FormationInfo};
use dynowarden_core::codes::Code;
use dynowarden_core::engine::claim::ClaimRefusal;
use dynowarden_core::engine::foreign::Foreign;
use dynowarden_core::engine::restore::{
    OpenClaim, RestoredGiveUp, RestoredPause, RestoredRestart, RestoredState,
};
use dynowarden_core::engine::{Effect, Engine, Input, OrderId};
use dynowarden_core::event::{Change, DynoState, Event, Fact, Megabytes};
use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::limits;
use dynowarden_core::policy::{Act, AppPlan, MemoryBound, Policy, Rate, Rule, Trigger};
use dynowarden_core::record::usefulness::Usefulness;
use dynowarden_core::record::{Action, AttemptId, Decision, Record, RestartResult};
use dynowarden_core::time::{Now, earlier, later};

/// One event: its kind, and three octets of details.
pub type Op = [u8; 4];

/// Runs any octets as events.
pub fn check_octets(octets: &[u8]) -> usize {
    check(octets.as_chunks::<4>().0)
}

/// Runs all events on an engine, and checks its promises after every step; returns the number of requested
/// restarts.
pub fn check(ops: &[Op]) -> usize {
    let mut bench = Bench::new();
    for op in ops {
        bench.happen(*op);
    }
    bench.deletes
}

/// An effect of the engine that is not answered yet.
#[derive(Clone, Debug)]
enum Open {
    Claim { key: Key, is_forced: bool },
    Delete { key: Key },
    Inspect { key: Option<Key> },
    Poll { key: Key },
}

type Key = (AppId, DynoName);

/// The progress of an attempt, as seen here.
#[derive(Clone, Debug, Default)]
struct Steps {
    inspected: bool,
    claimed: bool,
    decided: bool,
    is_forced: bool,
    /// The decision to be written with the claim.
    draft: Option<Box<Decision>>,
    /// Other dynos of the formation that were out at the last inspection.
    others_out: BTreeSet<DynoName>,
}

struct Bench {
    engine: Engine,
    mono: Duration,
    wall: Timestamp,
    open: BTreeMap<AttemptId, Open>,
    steps: HashMap<AttemptId, Steps>,
    accepted: HashMap<Key, Vec<Duration>>,
    /// The times of the lines that can make a rule fire.
    heard: HashSet<(Key, Timestamp)>,
    /// Dynos with a DELETE that are not known to be back.
    out: BTreeSet<DynoName>,
    /// Restarts whose dyno is up, and whose memory has not been reported yet.
    back: BTreeSet<AttemptId>,
    instances: u32,
    orders: u64,
    deletes: usize,
    /// Until when the status page is red.
    red_until: Duration,
}

fn plan(name: &str, dry_run: bool) -> AppPlan {
    let count = |count| NonZeroU32::new(count).expect("a count");
    AppPlan {
        name: name.parse().expect("a name"),
        dry_run,
        policy: Policy {
            process_types: vec!["web".parse().expect("a type")],
            cooldown: Duration::from_secs(600),
            max_restarts: Rate { count: count(2), per: Duration::from_secs(3600) },
            give_up_after: count(2),
            give_up_for: Duration::from_secs(7200),
            max_concurrent: count(2),
            settle: Duration::from_secs(30),
            min_uptime: Duration::from_secs(60),
            boot_timeout: Duration::from_secs(180),
            window: Vec::new(),
        },
        rules: vec![
            Rule {
                name: "r14".into(),
                trigger: Trigger::Errors {
                    codes: vec![Code::R14],
                    count: count(1),
                    within: Duration::from_secs(300),
                },
                act: Act::Restart,
                window: Vec::new(),
                proof: None,
            },
            Rule {
                name: "memory".into(),
                trigger: Trigger::Memory {
                    above: MemoryBound::OfQuota { permille: 900 },
                    lasting: Duration::from_secs(40),
                },
                act: Act::Restart,
                window: Vec::new(),
                proof: None,
            },
        ],
    }
}

impl Bench {
    fn new() -> Self {
        Self {
            engine: Engine::new(vec![plan("acme", false), plan("dry", true)], 1),
            mono: Duration::ZERO,
            wall: "2026-03-01T00:00:00Z".parse().expect("a time"),
            open: BTreeMap::new(),
            steps: HashMap::new(),
            accepted: HashMap::new(),
            heard: HashSet::new(),
            out: BTreeSet::new(),
            back: BTreeSet::new(),
            instances: 0,
            orders: 0,
            deletes: 0,
            red_until: Duration::ZERO,
        }
    }

    fn happen(&mut self, [what, a, b, c]: Op) {
        let key = key(a);
        match what % 16 {
            0 => self.pass(Duration::from_millis(u64::from(b) * 40)),
            1 => self.pass(Duration::from_secs(u64::from(b) * 4)),
            // Past a deadline, like a machine that slept.
            2 => {
                self.step(Duration::from_secs(u64::from(b) * 16));
                self.input(Input::Wake);
            }
            3 => {
                let jump = SignedDuration::from_secs(i64::from(b as i8) * 8);
                self.wall = self.wall.checked_add(jump).expect("some years around 2026");
                self.input(Input::Wake);
            }
            4..=6 => {
                let at = SignedDuration::from_secs(i64::from(c as i8) * 4);
                let at = if c % 2 == 0 { self.wall } else { self.wall.checked_add(at).expect("a time") };
                let fact = self.fact(key.1.clone(), b);
                if c % 32 == 31 {
                    // Another app's lines: a restart because of them would have no line that was heard.
                    let origin = Foreign::Drain { token: "d.other".parse().expect("a token") };
                    let events = vec![Event { at, fact }];
                    return self.input(Input::ForeignEvents { app: key.0, events, origin });
                }
                if matches!(fact, Fact::Error { code: Code::R14, .. } | Fact::Sample { .. }) {
                    self.heard.insert((key.clone(), at));
                }
                self.input(Input::Events { app: key.0, events: vec![Event { at, fact }] });
            }
            7..=11 => {
                let nth = usize::from(a) % self.open.len().max(1);
                if let Some(attempt_id) = self.open.keys().nth(nth).copied() {
                    self.answer(attempt_id, b, c);
                }
            }
            12 => self.answer_out_of_turn(AttemptId(u64::from(b % 40)), a, c),
            13 => self.by_person(key, b, c),
            14 if b >= 250 => {
                let is_red = b % 2 == 0;
                self.red_until =
                    self.mono + if is_red { limits::PLATFORM_RED_COUNTS } else { Duration::ZERO };
                self.input(Input::PlatformStatus { is_red });
            }
            14 => self.input(Input::ApiQuota { remaining: u32::from(b) * 16 }),
            _ => self.restore(key, b, c),
        }
        assert!(self.engine.attempts() <= self.engine.dynos_watched());
        assert!(self.engine.dynos_watched() <= 8, "two apps of four dynos");
    }

    fn fact(&mut self, dyno: DynoName, b: u8) -> Fact {
        let life = |change| Fact::Life { dyno: dyno.clone(), change };
        let total = Megabytes { hundredths: 50_000 };
        let quota = Megabytes { hundredths: 51_200 };
        let from = [None, Some(DynoState::Up), Some(DynoState::Starting), Some(DynoState::Crashed)];
        let from = from[usize::from(b / 16) % 4];
        match b % 16 {
            0 => life(Change::Leaving),
            1 => life(Change::Starting),
            2 => life(Change::Exited),
            3 => life(Change::State { from, to: DynoState::Up }),
            4 => life(Change::State { from, to: DynoState::Crashed }),
            5 => Fact::Release { version: None },
            6 => Fact::Scale { types: vec!["web".parse().expect("a type")] },
            7 => Fact::Error { code: Code::R15, dyno: Some(dyno) },
            8 => Fact::Memory { dyno, used: total, permille: 977 },
            9 | 10 => Fact::Sample { dyno, instance: "i0".parse().expect("an id"), total, quota, swap: None },
            11 => Fact::Error { code: Code::R14, dyno: None },
            _ => Fact::Error { code: Code::R14, dyno: Some(dyno) },
        }
    }

    fn by_person(&mut self, (app, dyno): Key, b: u8, c: u8) {
        let until = later(self.wall, Duration::from_secs(u64::from(c) * 30));
        match b % 8 {
            0 => self.input(Input::Pause { app: Some(app), until, reason: "a".into(), by: None }),
            1 => self.input(Input::Pause { app: None, until, reason: "b".into(), by: None }),
            2 => self.input(Input::Resume { app: Some(app) }),
            3 => self.input(Input::Resume { app: None }),
            4 => self.input(Input::Pauses(vec![RestoredPause {
                app: None,
                until,
                reason: "c".into(),
                by: None,
            }])),
            _ => {
                self.orders += 1;
                let dyno = (!c.is_multiple_of(3)).then_some(dyno);
                self.input(Input::Order { order: OrderId(self.orders), app, dyno, forced: true, by: None });
            }
        }
    }

    /// A restart as the store knows it.
    fn restarted(&self, (app, dyno): Key, c: u8) -> RestoredRestart {
        let at = earlier(self.wall, Duration::from_secs(u64::from(c) * 20));
        RestoredRestart {
            app,
            dyno,
            accepted_at: at,
            back_at: (c.is_multiple_of(2)).then_some(at),
            rule: Some("r14".into()),
            is_forced: c.is_multiple_of(5),
            usefulness: match c % 4 {
                0 => Usefulness::Useless,
                1 => Usefulness::NeverHappened,
                _ => Usefulness::Unknown,
            },
            release: Some(7),
        }
    }

    fn restore(&mut self, (app, dyno): Key, b: u8, c: u8) {
        let at = earlier(self.wall, Duration::from_secs(u64::from(c) * 20));
        let mut past = RestoredState::default();
        if b.is_multiple_of(2) {
            past.restarts.push(self.restarted((app, dyno.clone()), c));
        }
        if b.is_multiple_of(3) {
            let until = later(self.wall, Duration::from_secs(u64::from(c) * 20));
            // Some are over.
            let at = earlier(until, Duration::from_secs(6 * 60 * 60));
            let until = earlier(until, Duration::from_secs(u64::from(b) * 20));
            let (dyno, release) = (dyno.clone(), Some(7));
            past.given_up.push(RestoredGiveUp { app, dyno, at, until, release, times: 1 });
        }
        // Adopted claims have unused attempt ids.
        if b.is_multiple_of(4) && self.engine.attempts() == 0 && self.open.is_empty() {
            let attempt_id =
                AttemptId(self.steps.keys().map(|attempt_id| attempt_id.0).max().unwrap_or(0) + 1);
            let target = self.seen(&dyno, c, 0);
            past.claims.push(OpenClaim {
                attempt_id,
                app,
                target,
                rule: "r14".into(),
                is_forced: false,
                accepted_at: c.is_multiple_of(2).then_some(at),
            });
            self.steps.insert(attempt_id, Steps::default());
        }
        self.input(Input::Restore(past));
    }

    fn seen(&mut self, dyno: &DynoName, b: u8, c: u8) -> DynoInfo {
        self.instances += u32::from(b.is_multiple_of(4));
        let at = earlier(self.wall, Duration::from_secs(u64::from(c) * 8));
        let states = [DynoState::Starting, DynoState::Crashed, DynoState::Down, DynoState::Other];
        DynoInfo {
            name: dyno.clone(),
            is_one_off: false,
            process_type: dyno.process_type().clone(),
            id: format!("i{}", self.instances).parse().expect("an id"),
            created_at: at,
            updated_at: at,
            state: states.get(usize::from(b / 8)).copied().unwrap_or(DynoState::Up),
            release: Some(u64::from(7 + b % 2)),
        }
    }

    fn error(b: u8) -> ApiError {
        match b % 7 {
            0 => ApiError::Forbidden { status: 403, id: "forbidden".to_owned(), message: String::new() },
            1 => ApiError::Garbled { what: "html".to_owned() },
            2 => ApiError::NoSuchApp,
            3 => ApiError::Refused { status: 422, id: "invalid_params".to_owned(), message: String::new() },
            4 => ApiError::Throttled { wait: Some(Duration::from_secs(u64::from(b) * 9)) },
            5 => ApiError::Unauthorized,
            _ => ApiError::Unreachable { what: "reset".to_owned() },
        }
    }

    fn answer(&mut self, attempt_id: AttemptId, b: u8, c: u8) {
        let Some(open) = self.open.remove(&attempt_id) else { return };
        match open {
            Open::Inspect { key } => {
                let answer = if b % 8 == 7 { Err(Self::error(c)) } else { Ok(self.view(key.as_ref(), b, c)) };
                let seen = answer.as_ref().ok().and_then(|view| view.dyno.as_ref());
                let steps = self.steps.entry(attempt_id).or_default();
                steps.inspected = seen.is_some_and(|seen| seen.state == DynoState::Up);
                steps.claimed = false;
                let formation = answer.as_ref().map(|view| view.formation.as_slice()).unwrap_or_default();
                let settled_by = earlier(self.wall, plan("acme", false).policy.settle);
                let broken_by = earlier(self.wall, plan("acme", false).policy.boot_timeout);
                let is_out = |seen: &&DynoInfo| match seen.state {
                    DynoState::Up => seen.updated_at > settled_by,
                    // The others no longer wait for one that is out for so long.
                    _ => seen.updated_at >= broken_by,
                };
                let out: BTreeSet<_> =
                    formation.iter().filter(is_out).map(|seen| seen.name.clone()).collect();
                if answer.is_ok() && key.is_some_and(|(app, _)| app == AppId(0)) {
                    // Dynos that have settled or are gone by this inspection are no longer out, whatever
                    // others have seen.
                    self.steps
                        .values_mut()
                        .for_each(|steps| steps.others_out.retain(|dyno| out.contains(dyno)));
                }
                self.steps.entry(attempt_id).or_default().others_out = out;
                self.input(Input::Inspected { attempt_id, answer });
            }
            Open::Poll { key } => {
                let answer = match b % 8 {
                    7 => Err(Self::error(c)),
                    6 => Ok(None),
                    _ => Ok(Some(self.seen(&key.1, b, c))),
                };
                self.input(Input::Polled { attempt_id, answer });
            }
            Open::Claim { key, is_forced } => {
                let until = later(self.wall, Duration::from_secs(60));
                let answer = match b % 12 {
                    // A replica has restarted it, and this one may not know.
                    8 => Err(ClaimRefusal::Elsewhere {
                        until: if c.is_multiple_of(3) { self.wall } else { until },
                        restarts: if c.is_multiple_of(2) { vec![self.restarted(key, c)] } else { Vec::new() },
                    }),
                    9 => Err(ClaimRefusal::FormationOut { dyno: "web.2".parse().expect("a dyno") }),
                    10 => Err(ClaimRefusal::MaxRestarts { until }),
                    11 => Err(ClaimRefusal::StoreAway),
                    _ => Ok(()),
                };
                let steps = self.steps.entry(attempt_id).or_default();
                (steps.claimed, steps.is_forced) = (answer.is_ok(), is_forced);
                self.input(Input::Claimed { attempt_id, answer });
            }
            Open::Delete { key } => {
                let answer = match b % 8 {
                    5 => DeleteResult::Gone,
                    6 => DeleteResult::Lost { what: "reset".to_owned() },
                    7 => DeleteResult::Refused(Self::error(c)),
                    _ => DeleteResult::Accepted,
                };
                if answer == DeleteResult::Accepted {
                    self.accepted.entry(key).or_default().push(self.mono);
                }
                self.input(Input::Deleted { attempt_id, answer });
            }
        }
    }

    fn view(&mut self, key: Option<&Key>, b: u8, c: u8) -> FormationInfo {
        let dyno = key.filter(|_| b % 8 != 6).map(|(_, dyno)| self.seen(dyno, b, c));
        let mut formation: Vec<DynoInfo> = dyno.iter().cloned().collect();
        for index in 0..c % 4 {
            let name = self::key(index * 2).1;
            if formation.iter().all(|seen| seen.name != name) {
                formation.push(self.seen(&name, 63 + (b & 64), 255 - c));
            }
        }
        FormationInfo { dyno, formation, ..FormationInfo::default() }
    }

    /// An unexpected answer: of another kind than the open question, or to none at all.
    fn answer_out_of_turn(&mut self, attempt_id: AttemptId, a: u8, c: u8) {
        let open = self.open.get(&attempt_id).cloned();
        match a % 4 {
            0 if !matches!(open, Some(Open::Inspect { .. })) => {
                let view = self.view(None, a, c);
                self.input(Input::Inspected { attempt_id, answer: Ok(view) });
            }
            1 if !matches!(open, Some(Open::Poll { .. })) => {
                self.input(Input::Polled { attempt_id, answer: Ok(None) });
            }
            2 if !matches!(open, Some(Open::Claim { .. })) => {
                self.input(Input::Claimed { attempt_id, answer: Ok(()) });
            }
            3 if !matches!(open, Some(Open::Delete { .. })) => {
                self.input(Input::Deleted { attempt_id, answer: DeleteResult::Accepted });
            }
            _ => {}
        }
    }

    fn step(&mut self, span: Duration) {
        self.mono += span;
        self.wall = later(self.wall, span);
    }

    /// Advances time, stopping at deadlines as the contract requires.
    fn pass(&mut self, span: Duration) {
        let end = self.mono + span;
        let mut rounds = 0;
        while let Some(at) = self.engine.next_deadline().filter(|at| *at <= end) {
            self.step(at.saturating_sub(self.mono));
            self.input(Input::Wake);
            rounds += 1;
            assert!(rounds < 20_000, "the engine never sleeps");
        }
        self.step(end.saturating_sub(self.mono));
    }

    fn input(&mut self, input: Input) {
        let now = Now { mono: self.mono, wall: self.wall };
        for effect in self.engine.handle(input, now) {
            self.hold(effect);
        }
        assert!(self.engine.next_deadline().is_none_or(|at| at > self.mono), "a deadline was left behind");
    }

    fn asks(&mut self, attempt_id: AttemptId, open: Open) {
        let before = self.open.insert(attempt_id, open);
        assert!(before.is_none(), "two questions of one attempt are open: {before:?}");
    }

    fn hold(&mut self, effect: Effect) {
        match effect {
            Effect::Answer { decisions, .. } => assert!(decisions.len() <= 4),
            Effect::Claim { attempt_id, app, seen, is_forced, decision, .. } => {
                let steps = self.steps.entry(attempt_id).or_default();
                assert!(steps.inspected, "a claim without a look");
                assert!(self.mono >= self.red_until, "a claim while the platform is red");
                assert_eq!(decision.is_none(), steps.decided, "the reason goes with the claim, once");
                steps.draft = decision;
                assert_eq!(app, AppId(0), "a claim on {} in a dry run", seen.name);
                self.asks(attempt_id, Open::Claim { key: (app, seen.name), is_forced });
            }
            Effect::Delete { attempt_id, app, dyno } => self.hold_delete(attempt_id, (app, dyno)),
            Effect::Inspect { attempt_id, app, dyno } => {
                self.asks(attempt_id, Open::Inspect { key: dyno.map(|dyno| (app, dyno)) });
            }
            Effect::Poll { attempt_id, app, dyno } => self.asks(attempt_id, Open::Poll { key: (app, dyno) }),
            Effect::Record(Record::Decision(decision)) => self.hold_decision(&decision),
            Effect::Record(Record::Outcome(outcome)) => match outcome.result {
                RestartResult::Accepted { .. } | RestartResult::NoHelp { .. } => {}
                RestartResult::Back { .. } => {
                    self.out.remove(&outcome.dyno);
                    self.back.insert(outcome.attempt_id);
                }
                // What did not come back is judged by what the API shows.
                RestartResult::DownAgain { .. }
                | RestartResult::Gone
                | RestartResult::Ignored { .. }
                | RestartResult::NotBack { .. }
                | RestartResult::Refused(_)
                | RestartResult::Unanswered { .. }
                | RestartResult::Withdrawn => {
                    self.out.remove(&outcome.dyno);
                }
            },
            Effect::Record(Record::MemoryAfterRestart(reading)) => {
                assert!(
                    self.back.remove(&reading.attempt_id),
                    "memory after no restart, or twice: {reading:?}"
                );
            }
            Effect::Record(Record::Notice(_)) | Effect::CountAcrossReplicas(_) => {}
        }
    }

    fn hold_decision(&mut self, decision: &Decision) {
        assert!(!decision.reason().is_empty() && !decision.reason_label().is_empty());
        let Action::Restart { .. } = decision.action else { return };
        if let Some(attempt_id) = decision.attempt_id {
            let steps = self.steps.entry(attempt_id).or_default();
            assert!(!std::mem::replace(&mut steps.decided, true), "decided twice");
            if let Some(draft) = steps.draft.take() {
                assert_eq!(*draft, *decision, "the record has another decision than was written");
            }
        }
        let dyno = decision.dyno.clone().expect("a restart is one of a dyno");
        let Some(line_at) = decision.evidence.line_at else { return };
        assert!(self.heard.contains(&((decision.app, dyno), line_at)), "nobody said that at {line_at}");
        let seen = decision.evidence.seen.as_ref().expect("no restart without a look");
        assert_eq!(seen.state, DynoState::Up);
        let up_since = seen.created_at.max(seen.updated_at);
        let min_uptime = plan("acme", false).policy.min_uptime;
        assert!(up_since <= earlier(line_at, min_uptime), "up since {up_since}, and the error of {line_at}");
    }

    fn hold_delete(&mut self, attempt_id: AttemptId, key: Key) {
        assert_eq!(key.0, AppId(0), "the other app is a dry run");
        let steps = self.steps.entry(attempt_id).or_default();
        assert!(steps.inspected && steps.claimed && steps.decided, "{steps:?}");
        let is_forced = steps.is_forced;
        (steps.inspected, steps.claimed) = (false, false);
        let policy = plan("acme", false).policy;
        let others = self.out.union(&steps.others_out).filter(|other| **other != key.1).count();
        assert!(others < policy.max_concurrent.get() as usize, "{others} others are out");
        self.out.insert(key.1.clone());
        let accepted = self.accepted.entry(key.clone()).or_default();
        if let Some(last) = accepted.last()
            && !is_forced
        {
            assert!(self.mono - *last >= policy.cooldown, "inside the cool-down");
        }
        let recent = accepted.iter().filter(|at| self.mono - **at < policy.max_restarts.per).count();
        assert!(is_forced || recent < policy.max_restarts.count.get() as usize, "past max_restarts");
        self.deletes += 1;
        self.asks(attempt_id, Open::Delete { key });
    }
}

fn key(a: u8) -> Key {
    let dyno = DynoName::new("web".parse().expect("a type"), u32::from(a / 2 % 4) + 1);
    (AppId(u32::from(a % 8 == 7)), dyno)
}
