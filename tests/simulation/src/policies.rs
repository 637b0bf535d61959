//! One app over weeks, under one policy: dynos on the memory curves, Heroku's daily restarts, and the real
//! engine with what it learns over days. Calls of the API and the store succeed at once, so that only the
//! policy makes a difference.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use dynowarden_core::api::{DeleteResult, DynoInfo, FormationInfo};
use dynowarden_core::codes::Code;
use dynowarden_core::days::history::AppHistory;
use dynowarden_core::days::pack::Hour;
use dynowarden_core::days::seen::Seen;
use dynowarden_core::days::step::{STEPS_PER_HOUR, Step, step_of};
use dynowarden_core::detect::sign::Sign;
use dynowarden_core::engine::known::known;
use dynowarden_core::engine::{Effect, Engine, Input};
use dynowarden_core::event::{Change, DynoState, Event, Fact, Megabytes};
use dynowarden_core::ident::{AppId, DynoName, DynoRef};
use dynowarden_core::policy::{AppPlan, Trigger};
use dynowarden_core::record::{Record, RestartResult};
use dynowarden_core::time::{Now, earlier, later, since};
use heroku_sim::curve::{Curve, Kind, SAMPLE_SECONDS, Shape, poisson, uniform};
use heroku_sim::rng::Chance;

use crate::scenario::{secs, web};

/// What a policy cost one app, after the first days, in which it is learned.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    pub dyno_days: f64,
    pub requests: f64,
    /// All restarts, Heroku's included.
    pub restarts: f64,
    /// By dynowarden.
    pub ours: f64,
    /// Requests served over the quota.
    pub slow: f64,
    /// Requests that a dyno would have had while it was out.
    pub hit: f64,
    pub minutes_over: f64,
    /// The shortest time between a restart by a rule on uptime and the restart of that dyno before it.
    pub shortest_cycle: Option<Duration>,
}

/// An app: the same for every policy.
#[derive(Clone, Debug)]
pub struct App {
    shape: Shape,
    webs: u32,
    boot: Duration,
    /// Requests a second of the whole app, for each sample.
    rate: Vec<f64>,
    /// Of a request, so that an app with little traffic counts as much as one with a lot.
    weight: f64,
    seed: u64,
}

/// The world of one run.
struct World {
    app: App,
    chance: Chance,
    cost: Cost,
    dynos: Vec<Dyno>,
    engine: Option<Engine>,
    history: AppHistory,
    plan: AppPlan,
    start: Timestamp,
    now: Timestamp,
    /// Restarts so far, which number the processes.
    processes: u32,
}

struct Dyno {
    name: DynoName,
    curve: Curve,
    info: DynoInfo,
    started: Timestamp,
    /// When Heroku restarts it.
    cycles_at: Timestamp,
    /// Requests of the present five minutes.
    requests: u32,
    /// By a rule on uptime, if it was asked for.
    is_by_age: bool,
}

const APP: AppId = AppId(0);

/// Days of a run, and those at its start that do not count.
pub const DAYS: u64 = 17;
pub const LEARNED_DAYS: u64 = 3;

const TICK: Duration = Duration::from_secs(SAMPLE_SECONDS as u64);
const TICKS_PER_DAY: usize = 86_400 / SAMPLE_SECONDS as usize;

/// The longest life: until the last moment of Heroku's daily restart.
const LIFE_TICKS: usize = TICKS_PER_DAY * 28 / 24;

const QUOTA_HUNDREDTHS: f64 = 51_200.0;

/// How much lower than the peak of an app's traffic its trough is: 5 to 40 % of the peak are left.
const DEPTH: (f64, f64) = (0.6, 0.95);

/// Heroku kills a process at twice its quota.
const KILL: f64 = 2.0;

// === impl App ===

impl App {
    /// An app of this kind for so many days. A leak goes over the quota after about these hours, from and to.
    pub fn draw(kind: Kind, breach_hours: (f64, f64), days: u64, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let length = (days as usize + 2) * TICKS_PER_DAY;
        let mut rate = heroku_sim::curve::traffic_with(DEPTH, &mut chance, length, 0.0);
        let weekend = uniform(&mut chance, 0.3, 0.9);
        for (tick, rate) in rate.iter_mut().enumerate() {
            if matches!(tick / TICKS_PER_DAY % 7, 5 | 6) {
                *rate *= weekend;
            }
        }
        let mean = rate.iter().sum::<f64>() / rate.len() as f64;
        Self {
            weight: 1.0 / mean,
            shape: Shape::draw(kind, breach_hours, &mut chance),
            webs: 1 + chance.below(10) as u32,
            boot: chance.span(secs(15), secs(60)),
            rate,
            seed: chance.draw(),
        }
    }

    /// Runs it under Heroku alone, or under the plan as well.
    pub fn run(&self, plan: &AppPlan, days: u64, is_watched: bool) -> Cost {
        // A Monday.
        let start: Timestamp = "2026-03-02T00:00:00Z".parse().expect("a time");
        let mut world = World {
            app: self.clone(),
            chance: Chance::new(self.seed),
            cost: Cost::default(),
            dynos: Vec::new(),
            engine: is_watched.then(|| Engine::new(vec![plan.clone()], self.seed)),
            history: AppHistory::default(),
            plan: plan.clone(),
            start,
            now: start,
            processes: 0,
        };
        world.open();
        for tick in 0..days as usize * TICKS_PER_DAY {
            world.now = later(start, TICK * tick as u32);
            world.tick(tick);
        }
        world.cost
    }
}

// === impl World ===

impl World {
    /// The dynos at the start, at different ages.
    fn open(&mut self) {
        for index in 1..=self.app.webs {
            let name = DynoName::new(web(), index);
            let age = self.chance.span(Duration::ZERO, secs(20 * 3600));
            let info = self.instance(&name, earlier(self.start, age));
            let mut dyno = Dyno {
                name,
                curve: Curve { memory: Vec::new(), requests: Vec::new() },
                started: self.start,
                cycles_at: later(self.start, secs(24 * 3600).saturating_sub(age)),
                requests: 0,
                info: DynoInfo { state: DynoState::Up, ..info },
                is_by_age: false,
            };
            dyno.curve = self.life(0);
            self.dynos.push(dyno);
        }
    }

    fn instance(&mut self, name: &DynoName, at: Timestamp) -> DynoInfo {
        self.processes += 1;
        DynoInfo {
            name: name.clone(),
            is_one_off: false,
            process_type: web(),
            id: format!("i{}", self.processes).parse().expect("an id"),
            created_at: at,
            updated_at: at,
            state: DynoState::Starting,
            release: Some(1),
        }
    }

    /// The life of a process that starts at a tick.
    fn life(&mut self, tick: usize) -> Curve {
        let end = (tick + LIFE_TICKS).min(self.app.rate.len());
        let share = f64::from(self.app.webs);
        let rate = self.app.rate[tick.min(end)..end].iter().map(|rate| rate / share).collect();
        self.app.shape.live(rate, &mut self.chance)
    }

    fn is_counted(&self) -> bool {
        since(self.start, self.now) >= secs(LEARNED_DAYS * 86_400)
    }

    fn mono(&self) -> Now {
        Now { mono: since(self.start, self.now), wall: self.now }
    }

    fn tick(&mut self, tick: usize) {
        self.wake();
        let mut events = Vec::new();
        for place in 0..self.dynos.len() {
            self.boot(place, &mut events);
            if self.dynos[place].cycles_at <= self.now && self.dynos[place].info.state == DynoState::Up {
                self.platform_restart(place, Sign::Cycling, &mut events);
            }
            self.sample(place, tick, &mut events);
        }
        if !events.is_empty() {
            self.input(Input::Events { app: APP, events });
        }
        if tick.is_multiple_of(3) {
            self.tell_ages();
        }
        if tick % 15 == 14 {
            self.note_requests();
        }
        if tick.is_multiple_of(TICKS_PER_DAY / 24) && self.engine.is_some() {
            self.history.forget_before(earlier(self.now, secs(14 * 86_400)));
            let (days, _) = known(&self.history, &self.plan);
            self.input(Input::Days { app: APP, days });
        }
    }

    fn see(&mut self, place: usize, seen: &Seen<'_>, at: Timestamp) {
        let index = self.dynos[place].name.index();
        self.history.add(Some(DynoRef { process_type: "web", index }), seen, at);
    }

    /// A process that has started is up.
    fn boot(&mut self, place: usize, events: &mut Vec<Event>) {
        let dyno = &mut self.dynos[place];
        let up_at = later(dyno.started, self.app.boot);
        if dyno.info.state != DynoState::Starting || up_at > self.now {
            return;
        }
        dyno.info.state = DynoState::Up;
        dyno.info.updated_at = up_at;
        let change = Change::to(DynoState::Up);
        events.push(Event { at: up_at, fact: Fact::Life { dyno: dyno.name.clone(), change } });
        self.see(place, &Seen::Sign(Sign::State(DynoState::Up)), up_at);
    }

    /// A restart that Heroku makes.
    fn platform_restart(&mut self, place: usize, why: Sign, events: &mut Vec<Event>) {
        self.see(place, &Seen::Sign(why), self.now);
        let dyno = self.dynos[place].name.clone();
        for change in [Change::Leaving, Change::to(DynoState::Starting)] {
            events.push(Event { at: self.now, fact: Fact::Life { dyno: dyno.clone(), change } });
        }
        self.replace(place);
    }

    fn replace(&mut self, place: usize) {
        let tick = (since(self.start, self.now).as_secs() / u64::from(SAMPLE_SECONDS)) as usize;
        self.see(place, &Seen::Sign(Sign::State(DynoState::Starting)), self.now);
        let curve = self.life(tick);
        let info = self.instance(&self.dynos[place].name.clone(), self.now);
        let extra = self.chance.span(Duration::ZERO, secs(216 * 60));
        if self.is_counted() {
            self.cost.restarts += 1.0;
        }
        let dyno = &mut self.dynos[place];
        (dyno.curve, dyno.info, dyno.started) = (curve, info, self.now);
        dyno.cycles_at = later(self.now, secs(86_400) + extra);
    }

    /// Twenty seconds of a dyno: its requests, its memory, and the lines about them.
    fn sample(&mut self, place: usize, tick: usize, events: &mut Vec<Event>) {
        let is_counted = self.is_counted();
        let rate = self.app.rate[tick] / f64::from(self.app.webs) * f64::from(SAMPLE_SECONDS);
        if is_counted {
            self.cost.dyno_days += 1.0 / TICKS_PER_DAY as f64;
            self.cost.requests += rate * self.app.weight;
        }
        let dyno = &mut self.dynos[place];
        if dyno.info.state != DynoState::Up {
            if is_counted {
                self.cost.hit += rate * self.app.weight;
            }
            return;
        }
        dyno.requests += poisson(&mut self.chance, rate);
        let age = (since(dyno.started, self.now).as_secs() / u64::from(SAMPLE_SECONDS)) as usize;
        let Some(share) = dyno.curve.memory.get(age).or(dyno.curve.memory.last()).copied() else { return };
        if share > 1.0 && is_counted {
            self.cost.slow += rate * self.app.weight;
            self.cost.minutes_over += f64::from(SAMPLE_SECONDS) / 60.0;
        }
        let total = Megabytes { hundredths: (share * QUOTA_HUNDREDTHS) as u64 };
        let quota = Megabytes { hundredths: QUOTA_HUNDREDTHS as u64 };
        let (name, instance) = (dyno.name.clone(), dyno.info.id);
        let at = self.now;
        self.see(place, &Seen::Sample { instance, total, quota }, at);
        let sample = Fact::Sample { dyno: name.clone(), instance, total, quota, swap: None };
        events.push(Event { at, fact: sample });
        if share > 1.0 {
            self.see(place, &Seen::Error(Code::R14), at);
            events.push(Event { at, fact: Fact::Error { code: Code::R14, dyno: Some(name) } });
        }
        if share > KILL {
            self.platform_restart(place, Sign::Killed, events);
        }
    }

    fn tell_ages(&mut self) {
        let has_rule = self.plan.rules.iter().any(|rule| matches!(rule.trigger, Trigger::Uptime { .. }));
        if has_rule {
            let dynos = self.dynos.iter().map(|dyno| (dyno.name.clone(), Some(dyno.started))).collect();
            self.input(Input::Ages { app: APP, dynos });
        }
    }

    /// The requests of the last five minutes go into the series.
    fn note_requests(&mut self) {
        let index = step_of(self.now);
        for dyno in &mut self.dynos {
            let mut hour = Hour::default();
            let requests = std::mem::take(&mut dyno.requests);
            hour[index.rem_euclid(STEPS_PER_HOUR) as usize] = Some(Step { requests, ..Step::default() });
            let named = DynoRef { process_type: "web", index: dyno.name.index() };
            self.history.add_hour(Some(named), index.div_euclid(STEPS_PER_HOUR), &hour);
        }
    }

    /// Wakes the engine at every deadline until now.
    fn wake(&mut self) {
        let now = self.now;
        while let Some(at) = self.engine.as_ref().and_then(Engine::next_deadline) {
            let at = later(self.start, at);
            if at > now {
                break;
            }
            self.now = at.max(earlier(now, TICK));
            for place in 0..self.dynos.len() {
                let mut events = Vec::new();
                self.boot(place, &mut events);
                if !events.is_empty() {
                    self.input(Input::Events { app: APP, events });
                }
            }
            self.input(Input::Wake);
        }
        self.now = now;
    }

    fn input(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.mono();
            let Some(engine) = &mut self.engine else { return };
            for effect in engine.handle(input, now) {
                inputs.extend(self.carry_out(effect));
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        let find = |name: &DynoName| self.dynos.iter().position(|dyno| dyno.name == *name);
        Some(match effect {
            Effect::Claim { attempt_id, decision, seen, .. } => {
                let by_age = |rule: &str| {
                    let rule = self.plan.rules.iter().find(|known| &*known.name == rule);
                    rule.is_some_and(|rule| matches!(rule.trigger, Trigger::Uptime { .. }))
                };
                let is_by_age = decision.is_some_and(|decision| by_age(&decision.rule));
                if let Some(place) = find(&seen.name) {
                    self.dynos[place].is_by_age = is_by_age;
                }
                Input::Claimed { attempt_id, answer: Ok(()) }
            }
            Effect::Delete { attempt_id, dyno, .. } => {
                let place = find(&dyno).expect("dynos stay");
                let age = since(self.dynos[place].started, self.now);
                if std::mem::take(&mut self.dynos[place].is_by_age) {
                    let shortest = self.cost.shortest_cycle.map_or(age, |shortest| shortest.min(age));
                    self.cost.shortest_cycle = Some(shortest);
                }
                self.see(place, &Seen::Sign(Sign::Restarting), self.now);
                self.replace(place);
                Input::Deleted { attempt_id, answer: DeleteResult::Accepted }
            }
            Effect::Inspect { attempt_id, dyno, .. } => {
                let formation: Vec<DynoInfo> = self.dynos.iter().map(|dyno| dyno.info.clone()).collect();
                let dyno = dyno.and_then(|name| find(&name)).map(|place| formation[place].clone());
                let quantity = Some(self.app.webs);
                let answer = Ok(FormationInfo { dyno, formation, quantity, ..FormationInfo::default() });
                Input::Inspected { attempt_id, answer }
            }
            Effect::Poll { attempt_id, dyno, .. } => {
                let answer = Ok(find(&dyno).map(|place| self.dynos[place].info.clone()));
                Input::Polled { attempt_id, answer }
            }
            Effect::Record(Record::Outcome(outcome)) => {
                if self.is_counted() && matches!(outcome.result, RestartResult::Accepted { .. }) {
                    self.cost.ours += 1.0;
                }
                return None;
            }
            Effect::Answer { .. } | Effect::CountAcrossReplicas(_) | Effect::Record(_) => return None,
        })
    }
}

impl Cost {
    pub fn add(&mut self, other: &Self) {
        let shortest = [self.shortest_cycle, other.shortest_cycle].into_iter().flatten().min();
        *self = Self {
            dyno_days: self.dyno_days + other.dyno_days,
            requests: self.requests + other.requests,
            restarts: self.restarts + other.restarts,
            ours: self.ours + other.ours,
            slow: self.slow + other.slow,
            hit: self.hit + other.hit,
            minutes_over: self.minutes_over + other.minutes_over,
            shortest_cycle: shortest,
        };
    }

    /// A figure a dyno-day.
    pub fn a_day(&self, figure: f64) -> f64 {
        figure / self.dyno_days.max(f64::MIN_POSITIVE)
    }

    /// Requests among 100,000.
    pub fn of_requests(&self, figure: f64) -> f64 {
        figure * 100_000.0 / self.requests.max(f64::MIN_POSITIVE)
    }
}
