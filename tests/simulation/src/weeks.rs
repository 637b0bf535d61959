//! Weeks of one app under one policy: the engine and the detection of the daemon, on the app's lines, with
//! what the days show learned from the same lines.
//!
//! Simpler than the days of [`crate::Simulation`], whose networks and faults are beside the point here: the
//! API answers at once, and every line arrives.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use dynowarden_core::api::{DeleteResult, DynoInfo, FormationInfo};
use dynowarden_core::days::history::AppHistory;
use dynowarden_core::days::seen::{self, Seen};
use dynowarden_core::days::{proof, report};
use dynowarden_core::detect;
use dynowarden_core::engine::days::{AppDays, Breaches};
use dynowarden_core::engine::{Effect, Engine, Input};
use dynowarden_core::event::{DynoState, Event};
use dynowarden_core::ident::{AppId, DynoName, DynoRef};
use dynowarden_core::policy::{AppPlan, Trigger};
use dynowarden_core::time::{Now, later};
use dynowarden_core::wire::line::Line;
use heroku_sim::rng::Chance;
use heroku_sim::weeks::{AppWeeks, Process, SAMPLES_PER_DAY};

use crate::scenario::web;

/// What really happened, in sums.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Truth {
    pub days: f64,
    pub restarts: f64,
    pub over_minutes: f64,
    pub requests: f64,
    pub slow: f64,
    pub hit: f64,
}

impl Truth {
    /// The mean of several runs: what happens once has its own chances.
    pub fn mean(runs: &[Self]) -> Self {
        let of = |part: fn(&Self) -> f64| runs.iter().map(part).sum::<f64>() / runs.len() as f64;
        Self {
            days: of(|run| run.days),
            restarts: of(|run| run.restarts),
            over_minutes: of(|run| run.over_minutes),
            requests: of(|run| run.requests),
            slow: of(|run| run.slow),
            hit: of(|run| run.hit),
        }
    }
}

/// Takes a line, and when it was written.
pub type Archive<'a> = &'a mut dyn FnMut(&Line<'_>, Timestamp);

/// Runs `app` from its start to its end under `plan`, and gives the lines after the first `unseen` days to
/// `archive`. The truth is of the days after them.
pub fn run(app: &AppWeeks, plan: &AppPlan, (unseen, seed): (usize, u64), archive: Archive<'_>) -> Truth {
    let mut chance = Chance::new(seed);
    let start = "2026-03-02T00:00:00Z".parse().expect("a time");
    let dynos = (1..=app.dynos).map(|index| LiveDyno::new(app, index, &mut chance)).collect();
    let mut weeks = Weeks {
        app,
        plan,
        start,
        engine: Engine::new(vec![plan.clone()], seed),
        dynos,
        pending: BinaryHeap::new(),
        history: AppHistory::default(),
        is_news: true,
        days: AppDays::default(),
        chance,
        truth: Truth::default(),
        archive,
        counts_from: unseen as i64 * 86_400_000,
        at: 0,
    };
    let samples = app.rates.len();
    (0..samples).for_each(|sample| weeks.sample(sample));
    Truth { days: samples as f64 / SAMPLES_PER_DAY as f64 - unseen as f64, ..weeks.truth }
}

const SAMPLE_MS: i64 = 20_000;

const ONLY: AppId = AppId(0);

struct LiveDyno {
    name: DynoName,
    process: Process,
    number: u64,
    start: i64,
    up_at: i64,
    cycles_at: i64,
    is_over: bool,
}

impl LiveDyno {
    fn new(app: &AppWeeks, index: u32, chance: &mut Chance) -> Self {
        let age = chance.below(20 * 3_600_000) as i64;
        let mut dyno = Self {
            name: DynoName::new(web(), index),
            process: app.process(chance),
            number: 0,
            start: -age,
            up_at: -age,
            cycles_at: 0,
            is_over: false,
        };
        dyno.cycles_at = -age + cycle(chance);
        dyno
    }

    fn as_ref(&self) -> DynoRef<'static> {
        DynoRef { process_type: "web", index: self.name.index() }
    }
}

/// The platform cycles a dyno a day after its start, and up to 216 minutes later.
fn cycle(chance: &mut Chance) -> i64 {
    86_400_000 + chance.below(216 * 60_000) as i64
}

struct Weeks<'a> {
    app: &'a AppWeeks,
    plan: &'a AppPlan,
    start: Timestamp,
    engine: Engine,
    dynos: Vec<LiveDyno>,
    /// Lines about boots that are still to come: when, whose, of which process.
    pending: BinaryHeap<Reverse<(i64, usize, u64, &'static str)>>,
    history: AppHistory,
    /// Whether a life began, ended or went over the quota.
    is_news: bool,
    days: AppDays,
    chance: Chance,
    truth: Truth,
    archive: Archive<'a>,
    counts_from: i64,
    at: i64,
}

impl Weeks<'_> {
    fn sample(&mut self, sample: usize) {
        let at = sample as i64 * SAMPLE_MS;
        self.advance(at);
        let rate = f64::from(self.app.rates[sample]);
        let up = self.dynos.iter().filter(|dyno| dyno.up_at <= at).count().max(1);
        for place in 0..self.dynos.len() {
            if self.dynos[place].cycles_at <= at {
                self.say(place, "Cycling", at);
                self.restart(place, at);
            }
            self.serve(place, (rate, up), at);
        }
        if sample.is_multiple_of(3) {
            self.learn(at);
            self.look_at_ages(at);
        }
    }

    /// One dyno in one slot.
    fn serve(&mut self, place: usize, (rate, up): (f64, usize), at: i64) {
        let counts = at >= self.counts_from;
        let dyno = &mut self.dynos[place];
        let share_of_all = rate / f64::from(self.app.dynos);
        if counts {
            self.truth.requests += share_of_all;
        }
        if dyno.up_at > at {
            return;
        }
        let requests = heroku_sim::curve::poisson(&mut self.chance, rate / up as f64);
        let share = self.app.step(&mut dyno.process, requests);
        let was_over = std::mem::replace(&mut dyno.is_over, share > 1.0);
        if dyno.is_over && counts {
            self.truth.slow += share_of_all;
            self.truth.over_minutes += SAMPLE_MS as f64 / 60_000.0;
        }
        self.is_news |= dyno.is_over && !was_over;
        let seen = dyno.as_ref();
        self.requests(seen, requests, at);
        let megabytes = share * 512.0;
        let number = self.dynos[place].number;
        let sample = format!(
            "source=web.{} dyno=heroku.1.p{number} sample#memory_total={megabytes:.2}MB \
             sample#memory_quota=512.00MB",
            seen.index
        );
        self.say(place, &sample, at);
        if share > 1.0 {
            let percent = share * 100.0;
            self.say(place, &format!("Process running mem={megabytes:.0}M({percent:.1}%)"), at);
            self.say(place, "Error R14 (Memory quota exceeded)", at);
        }
        if share >= 2.0 {
            self.say(place, "Error R15 (Memory quota vastly exceeded)", at);
            self.say(place, "Stopping process with SIGKILL", at);
            self.restart(place, at);
        }
    }

    fn requests(&mut self, dyno: DynoRef<'_>, requests: u32, at: i64) {
        let msg = format!("at=info method=GET path=\"/\" dyno=web.{} service=8ms status=200", dyno.index);
        let line = Line::shown(b"", b"heroku", b"router", msg.as_bytes());
        let wall = self.wall(at);
        let Some((dyno, request)) = seen::read(&line) else { return };
        for _ in 0..requests {
            self.history.add(dyno, &request, wall);
            if at >= self.counts_from {
                (self.archive)(&line, wall);
            }
        }
    }

    /// A line of the dyno manager: into the archive, the history and the engine.
    fn say(&mut self, place: usize, msg: &str, at: i64) {
        let name = self.dynos[place].name.to_string();
        let line = Line::shown(b"", b"heroku", name.as_bytes(), msg.as_bytes());
        let wall = self.wall(at);
        if at >= self.counts_from {
            (self.archive)(&line, wall);
        }
        let Some((dyno, seen)) = seen::read(&line) else { return };
        self.is_news |= matches!(seen, Seen::Sign(_));
        self.history.add(dyno, &seen, wall);
        let Ok(Some(fact)) = detect::fact(&line) else { return };
        let name = |dyno: DynoRef<'_>| Some(DynoName::new(web(), dyno.index));
        let Some(fact) = fact.name_dyno(name) else { return };
        self.pass(Input::Events { app: ONLY, events: vec![Event { at: wall, fact }] }, at);
    }

    fn restart(&mut self, place: usize, at: i64) {
        let boot = i64::from(self.app.boot_seconds) * 1000;
        if at >= self.counts_from {
            self.truth.restarts += 1.0;
            let rate = self.app.rates.get((at / SAMPLE_MS) as usize).copied().unwrap_or_default();
            let of_dyno = f64::from(rate) / f64::from(self.app.dynos);
            self.truth.hit += of_dyno * boot as f64 / SAMPLE_MS as f64;
        }
        let process = self.app.process(&mut self.chance);
        let cycles_at = at + cycle(&mut self.chance);
        let dyno = &mut self.dynos[place];
        dyno.number += 1;
        (dyno.process, dyno.start, dyno.up_at, dyno.cycles_at) = (process, at, at + boot, cycles_at);
        let number = dyno.number;
        for (later, msg) in [
            (0, "State changed from up to starting"),
            (1000, "Stopping all processes with SIGTERM"),
            (2000, "Starting process with command `bin/web`"),
            (boot, "State changed from starting to up"),
        ] {
            self.pending.push(Reverse((at + later, place, number, msg)));
        }
    }

    fn advance(&mut self, end: i64) {
        loop {
            let wake = self.engine.next_deadline().map(|due| due.as_millis() as i64 + 1);
            let line = self.pending.peek().map(|Reverse((at, ..))| *at);
            match (wake.filter(|at| *at <= end), line.filter(|at| *at <= end)) {
                (wake, Some(line)) if wake.is_none_or(|wake| line <= wake) => {
                    let Some(Reverse((at, place, number, msg))) = self.pending.pop() else { return };
                    if self.dynos[place].number == number {
                        self.say(place, msg, at.max(self.at));
                    }
                }
                (Some(wake), _) => self.pass(Input::Wake, wake.max(self.at)),
                _ => return,
            }
        }
    }

    /// What the daemon learns from its series: at once from a life, and once in a while from the traffic.
    fn learn(&mut self, at: i64) {
        let has_quiet = self.plan.rules.iter().any(|rule| matches!(rule.trigger, Trigger::Uptime { .. }));
        let is_due = has_quiet && at % (6 * 3_600_000) == 0;
        let needs = has_quiet || self.plan.rules.iter().any(|rule| rule.proof.is_some());
        if !needs || !(is_due || self.is_news) {
            return;
        }
        self.is_news = false;
        let mut days = self.days.clone();
        if is_due {
            days.quiet = report::quiet_hours(&self.history, &TimeZone::UTC);
            days.verdicts = report::verdicts(&self.history);
        }
        days.breaches.clear();
        for rule in &self.plan.rules {
            let (Some(proof), Trigger::Memory { above, .. }) = (rule.proof, &rule.trigger) else { continue };
            let lives = report::lives_of(&self.history, &web());
            let breached = proof::breached(&lives, &[], proof, *above);
            days.breaches.push(Breaches { process_type: web(), rule: Arc::clone(&rule.name), breached });
        }
        if days != self.days {
            self.days = days.clone();
            self.pass(Input::Days { app: ONLY, days }, at);
        }
    }

    fn look_at_ages(&mut self, at: i64) {
        if self.plan.rules.iter().any(|rule| matches!(rule.trigger, Trigger::Uptime { .. })) {
            let aged = self.dynos.iter().filter(|dyno| dyno.up_at <= at);
            let dynos = aged.map(|dyno| (dyno.name.clone(), Some(self.wall(dyno.start)))).collect();
            self.pass(Input::Ages { app: ONLY, dynos }, at);
        }
    }

    fn wall(&self, at: i64) -> Timestamp {
        // A week before the start is before every process.
        let week = 7 * 86_400_000;
        let before = dynowarden_core::time::earlier(self.start, Duration::from_millis(week as u64));
        later(before, Duration::from_millis((at + week).max(0) as u64))
    }

    fn pass(&mut self, input: Input, at: i64) {
        self.at = self.at.max(at);
        let now = Now { mono: Duration::from_millis(at.max(0) as u64), wall: self.wall(at) };
        let mut effects: VecDeque<Effect> = self.engine.handle(input, now).into();
        while let Some(effect) = effects.pop_front() {
            let answer = match effect {
                Effect::Claim { attempt_id, .. } => Input::Claimed { attempt_id, answer: Ok(()) },
                Effect::Delete { attempt_id, dyno, .. } => {
                    let place = self.dynos.iter().position(|known| known.name == dyno);
                    let answer = match place {
                        Some(place) => {
                            self.restart(place, at);
                            DeleteResult::Accepted
                        }
                        None => DeleteResult::Gone,
                    };
                    Input::Deleted { attempt_id, answer }
                }
                Effect::Inspect { attempt_id, dyno, .. } => {
                    let formation = self.dynos.iter().map(|dyno| self.info(dyno, at)).collect();
                    let dyno = dyno.and_then(|dyno| self.poll(&dyno, at));
                    let answer = FormationInfo { dyno, formation, ..FormationInfo::default() };
                    Input::Inspected { attempt_id, answer: Ok(answer) }
                }
                Effect::Poll { attempt_id, dyno, .. } => {
                    Input::Polled { attempt_id, answer: Ok(self.poll(&dyno, at)) }
                }
                Effect::Answer { .. } | Effect::CountAcrossReplicas(_) | Effect::Record(_) => continue,
            };
            effects.extend(self.engine.handle(answer, now));
        }
    }

    fn poll(&self, name: &DynoName, at: i64) -> Option<DynoInfo> {
        self.dynos.iter().find(|dyno| dyno.name == *name).map(|dyno| self.info(dyno, at))
    }

    fn info(&self, dyno: &LiveDyno, at: i64) -> DynoInfo {
        let is_up = dyno.up_at <= at;
        let (created_at, up_at) = (self.wall(dyno.start), self.wall(dyno.up_at));
        DynoInfo {
            name: dyno.name.clone(),
            is_one_off: false,
            process_type: web(),
            id: format!("p{}", dyno.number).parse().expect("an id"),
            created_at,
            updated_at: if is_up { up_at } else { created_at },
            state: if is_up { DynoState::Up } else { DynoState::Starting },
            release: Some(1),
        }
    }
}
