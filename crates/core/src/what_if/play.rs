//! One policy on one app's log: the daemon's engine against dynos that live borrowed lives.
//!
//! Time moves in slots. In each slot every dyno has the log's own requests and the memory of its donor; what
//! a line would have shown of it goes to the engine, which decides as it does in the daemon. The platform
//! cycles a dyno a day after its start and kills it at twice its quota, and crashes and releases happen as
//! they did.

mod world;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use jiff::Timestamp;

use crate::codes::Code;
use crate::days::life::Ended;
use crate::engine::days::{AppDays, Breaches};
use crate::engine::{Engine, Input};
use crate::event::{Change, DynoState, Event, Fact};
use crate::ident::AppId;
use crate::policy::{AppPlan, MemoryBound, Rule, Trigger};
use crate::what_if::dyno::{Dyno, Past};
use crate::what_if::log::{App, Open, Outside, Segment};
use crate::what_if::policies::Candidate;
use crate::what_if::sample::Sampled;
use crate::what_if::slots::{self, SLOT_SECONDS, SLOTS_PER_MINUTE};

/// What a policy would have done, in sums.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) restarts: u64,
    pub(super) over_ms: i64,
    pub(super) slots: u64,
    pub(super) requests: f64,
    /// Requests to a dyno above its quota.
    pub(super) slow: f64,
    /// Requests to a dyno that is out.
    pub(super) hit: f64,
}

const SLOT_MS: i64 = SLOT_SECONDS * 1000;

/// Plays `candidate` on all of the app's log.
pub(super) fn play(app: &App, candidate: &Candidate, sampled: &Sampled) -> Sums {
    let plan = AppPlan { dry_run: false, rules: candidate.rules.clone(), ..app.plan.clone() };
    let mut sums = Sums::default();
    let mut pasts: Vec<Past> = app.formations.iter().map(|_| Past::default()).collect();
    for (number, segment) in app.segments.iter().enumerate() {
        let mut play = Play {
            app,
            plan: &plan,
            sampled,
            segment: *segment,
            number,
            engine: Engine::new(vec![plan.clone()], SEED),
            watch: Watch::new(&plan.rules, candidate.is_none()),
            dynos: dynos_of(app, segment),
            pending: BinaryHeap::new(),
            events: Vec::new(),
            breaches: Vec::new(),
            news: None,
            pasts: std::mem::take(&mut pasts),
            sums,
            mono_ms: 0,
        };
        play.run();
        (sums, pasts) = (play.sums, play.pasts);
    }
    sums
}

/// Each engine has one app.
const ONLY: AppId = AppId(0);

/// Any constant will do: a play is repeatable.
const SEED: u64 = 14;

fn dynos_of<'a>(app: &'a App, segment: &Segment) -> Vec<Dyno<'a>> {
    let mut dynos: Vec<Dyno<'a>> = Vec::new();
    for (place, formation) in app.formations.iter().enumerate() {
        for stay in formation.stays.iter().filter(|stay| segment.has(stay)) {
            match dynos.iter_mut().find(|dyno| dyno.name == stay.dyno) {
                Some(dyno) => dyno.stays.push_back(stay),
                None => dynos.push(Dyno::new(place, stay)),
            }
        }
    }
    dynos
}

/// What the rules can notice.
struct Watch {
    /// Nothing is noticed at all.
    is_blind: bool,
    /// The lowest limit on memory, as a share.
    lowest: Option<f32>,
    /// The limit of the rule on uptime, whose window is the quiet hours.
    uptime: Option<i64>,
}

impl Watch {
    fn new(rules: &[Rule], is_blind: bool) -> Self {
        let limits = rules.iter().filter_map(|rule| match rule.trigger {
            Trigger::Memory { above: MemoryBound::OfQuota { permille }, .. } => Some(permille),
            _ => None,
        });
        let uptime = rules.iter().find_map(|rule| match rule.trigger {
            Trigger::Uptime { above } => Some(above.as_millis() as i64),
            _ => None,
        });
        Self { is_blind, lowest: limits.min().map(|permille| permille as f32 / 1000.0), uptime }
    }
}

struct Play<'a> {
    app: &'a App,
    plan: &'a AppPlan,
    sampled: &'a Sampled,
    segment: Segment,
    /// The place of the segment.
    number: usize,
    engine: Engine,
    watch: Watch,
    dynos: Vec<Dyno<'a>>,
    /// Lines about a dyno's life that are still to come: when, of which dyno, and of its which process.
    pending: BinaryHeap<Reverse<(i64, usize, u64, bool)>>,
    /// The events of the present slot.
    events: Vec<Event>,
    breaches: Vec<Breaches>,
    /// What the engine is told before its next input.
    news: Option<AppDays>,
    pasts: Vec<Past>,
    sums: Sums,
    mono_ms: i64,
}

// === impl Play ===

impl Play<'_> {
    fn run(&mut self) {
        self.learn(0);
        for slot in self.segment.from..self.segment.until {
            let at = (slot - self.segment.from) * SLOT_MS;
            self.advance(at);
            let mut is_anyone_there = false;
            for place in 0..self.dynos.len() {
                is_anyone_there |= self.slot(place, slot, at);
            }
            self.sums.slots += u64::from(is_anyone_there);
            if !self.events.is_empty() {
                let events = std::mem::take(&mut self.events);
                self.pass(Input::Events { app: ONLY, events }, at);
            }
            if slot % SLOTS_PER_MINUTE == 0 {
                self.look_at_ages(at);
            }
        }
        let end = (self.segment.until - self.segment.from) * SLOT_MS;
        for place in 0..self.dynos.len() {
            self.end(place, Ended::Lost, end);
        }
    }

    fn wall(&self, at: i64) -> Timestamp {
        let start = slots::start_of(self.segment.from);
        crate::time::later(start, Duration::from_millis(at.max(0) as u64))
    }

    /// Does what is due until `end`, each at its time.
    fn advance(&mut self, end: i64) {
        loop {
            let wake = self.engine.next_deadline().map(|due| due.as_millis() as i64 + 1);
            let line = self.pending.peek().map(|Reverse((at, ..))| *at);
            match (wake.filter(|at| *at <= end), line.filter(|at| *at <= end)) {
                (wake, Some(line)) if wake.is_none_or(|wake| line <= wake) => self.line(),
                (Some(wake), _) => self.pass(Input::Wake, wake.max(self.mono_ms)),
                _ => break,
            }
        }
        self.mono_ms = self.mono_ms.max(end);
    }

    /// Reads the next line about a dyno's life.
    fn line(&mut self) {
        let Some(Reverse((at, place, number, is_up))) = self.pending.pop() else { return };
        let dyno = &self.dynos[place];
        if dyno.process.as_ref().is_none_or(|process| process.number != number) {
            return;
        }
        let state = if is_up { DynoState::Up } else { DynoState::Starting };
        let life = |change| Event { at: self.wall(at), fact: Fact::Life { dyno: dyno.name.clone(), change } };
        let events = if is_up {
            vec![life(Change::to(state))]
        } else {
            vec![life(Change::Leaving), life(Change::to(state))]
        };
        self.pass(Input::Events { app: ONLY, events }, at.max(self.mono_ms));
    }

    /// One dyno in one slot; returns whether it is there.
    fn slot(&mut self, place: usize, slot: i64, at: i64) -> bool {
        self.come_and_go(place, slot, at);
        let dyno = &mut self.dynos[place];
        let Some(process) = &mut dyno.process else { return false };
        let formation = &self.app.formations[dyno.formation];
        let rate = formation.rates[self.number][(slot - self.segment.from) as usize];
        dyno.counted_until = at + SLOT_MS;
        let served_ms = (at + SLOT_MS - process.up_at).clamp(0, SLOT_MS);
        let served = f64::from(rate) * served_ms as f64 / SLOT_MS as f64;
        self.sums.requests += f64::from(rate);
        self.sums.hit += f64::from(rate) - served;
        if served_ms == 0 {
            return true;
        }
        process.clock += if formation.by_requests { served } else { served_ms as f64 / SLOT_MS as f64 };
        let share =
            formation.donors[process.donor].read(&mut process.cursor, process.clock, dyno.stays[0].quota);
        process.share = share;
        process.over_slots = if share > 1.0 { process.over_slots + 1 } else { 0 };
        if process.over_slots > 0 {
            self.sums.slow += served;
            self.sums.over_ms += served_ms;
        }
        if process.over_slots > 0 && process.breached_at.is_none() {
            process.breached_at = Some(at);
            self.learn(at);
        }
        if share >= KILLED_AT {
            self.restart(place, Ended::Kill, at);
        } else {
            self.show(place, at);
        }
        true
    }

    /// Lets the dyno come and go as it did, whatever the policy.
    fn come_and_go(&mut self, place: usize, slot: i64, at: i64) {
        let dyno = &mut self.dynos[place];
        let Some(stay) = dyno.stays.front().copied() else { return };
        if slot < stay.from {
            return;
        }
        if slot >= stay.until {
            self.end(place, Ended::Down, at);
            let dyno = &mut self.dynos[place];
            dyno.process = None;
            dyno.stays.pop_front();
            return self.come_and_go(place, slot, at);
        }
        if dyno.process.is_none() {
            dyno.process = Some(self.sampled.first(stay, (self.number, place), at));
            dyno.outside = stay.outside.iter().copied().collect();
            return;
        }
        while let Some((_, outside)) = self.dynos[place].outside.pop_front_if(|(due, _)| *due <= slot) {
            if outside == Outside::Release {
                self.events.push(Event { at: self.wall(at), fact: Fact::Release { version: None } });
            }
            let ended = if outside == Outside::Release { Ended::Release } else { Ended::Crash };
            self.restart(place, ended, at);
        }
        if self.dynos[place].process.as_ref().is_some_and(|process| process.cycles_at <= at) {
            self.restart(place, Ended::Cycle, at);
        }
    }

    /// What lines would show of the dyno.
    fn show(&mut self, place: usize, at: i64) {
        if self.watch.is_blind {
            return;
        }
        let (wall, open) = (self.wall(at), self.open(at).policy);
        let dyno = &mut self.dynos[place];
        let Some(process) = &mut dyno.process else { return };
        // Outside its windows the engine only refuses, but it still judges the last restart.
        if !open && at - process.start > JUDGED_MS {
            return;
        }
        let is_high = self.watch.lowest.is_some_and(|lowest| process.share >= lowest);
        // The first reading below the limit ends what the ones above it began.
        if is_high || (process.was_high && self.watch.lowest.is_some()) {
            let fact = process.sample(&dyno.name, dyno.stays[0].quota);
            self.events.push(Event { at: wall, fact });
        }
        process.was_high = is_high;
        // An error that goes on is no news; it stays fresh for more than a minute.
        if process.over_slots % OVER_EACH == 1 {
            let fact = Fact::Error { code: Code::R14, dyno: Some(dyno.name.clone()) };
            self.events.push(Event { at: wall, fact });
        }
    }

    fn open(&self, at: i64) -> Open {
        let minutes = &self.app.open[self.number];
        minutes.get((at / 60_000) as usize).copied().unwrap_or_default()
    }

    /// Ends a process and begins the next one.
    fn restart(&mut self, place: usize, ended: Ended, at: i64) {
        let boot_ms = self.app.boot_ms;
        self.end(place, ended, at);
        let dyno = &mut self.dynos[place];
        dyno.processes += 1;
        let formation = &self.app.formations[dyno.formation];
        let start = slots::start_of(self.segment.from).as_second() + at / 1000;
        let process = self.sampled.next(formation, (dyno, (self.number, place)), start, (at, boot_ms));
        let number = process.number;
        dyno.process = Some(process);
        // The rest of the slot was counted as served. A reading above the quota is of the time before it, so
        // that time stays.
        let out_ms = (at + boot_ms).min(dyno.counted_until) - at;
        if out_ms > 0 {
            let rates = &formation.rates[self.number];
            let rate = f64::from(rates.get((at / SLOT_MS) as usize).copied().unwrap_or_default());
            self.sums.hit += rate * out_ms as f64 / SLOT_MS as f64;
        }
        if !matches!(ended, Ended::Release) {
            self.sums.restarts += 1;
        }
        if !self.watch.is_blind {
            self.pending.push(Reverse((at, place, number, false)));
            self.pending.push(Reverse((at + boot_ms, place, number, true)));
        }
        self.learn(at);
    }

    /// Remembers a life that is over.
    fn end(&mut self, place: usize, ended: Ended, at: i64) {
        let dyno = &self.dynos[place];
        if let Some(process) = &dyno.process {
            let life = process.life(dyno, ended, |at| self.wall(at), at);
            self.pasts[dyno.formation].push(life, &self.plan.rules);
        }
    }
}

/// Of the slots above the quota in a row, the first of so many is shown to the engine: one a minute.
const OVER_EACH: u32 = 3;

/// Until when the engine judges a restart by the errors after it, from the start on.
const JUDGED_MS: i64 = 600_000;

/// R15, as a share of the quota: the platform kills the dyno.
const KILLED_AT: f32 = 2.0;
