//! A day of the whole system in simulated time: on one side the simulated Heroku, on the other the real
//! engine and the real reader of batches, and between them a network, a store, people and faults. Everything
//! is drawn from one seed.

#![forbid(unsafe_code)]

mod all_rules;
pub mod api_faults;
mod daemon;
pub mod drains;
pub mod figures;
pub mod hostile;
mod inspection;
pub mod invariants;
pub mod lights;
pub mod liveness;
pub mod measured;
mod notifier;
mod page;
pub mod policies;
pub mod policy_figures;
pub mod promises;
pub mod scenario;
pub mod senders;
pub mod slow_dynos;
pub mod store;
pub mod suspects;
pub mod weeks;
pub mod what_if;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZero;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use dynowarden_core::engine::claim::ClaimRefusal;
use dynowarden_core::engine::restore::RestoredPause;
use dynowarden_core::engine::{Input, OrderId};
use dynowarden_core::event::{DynoState, Megabytes};
use dynowarden_core::health::watchdog;
use dynowarden_core::ident::{AppId, AppName, DynoName};
use dynowarden_core::record::AttemptId;
use dynowarden_core::time::{later, since};
use heroku_sim::dyno::DynoPlan;
use heroku_sim::line::LogLine;
use heroku_sim::logplex::Logplex;
use heroku_sim::operations::Rollout;
use heroku_sim::platform::Platform;
use heroku_sim::rng::Chance;
use heroku_sim::sender::{Outcome, Post};
use heroku_sim::status_page::Light;
use heroku_sim::world::World;

use crate::api_faults::{Flight, Want};
use crate::daemon::Daemon;
use crate::drains::{drain_url, proxy_url, target_of};
use crate::figures::{Figures, Timeline};
use crate::invariants::{Clock, Invariants};
use crate::liveness::{Liveness, Trouble};
use crate::notifier::Notifier;
use crate::page::PageCondition;
use crate::scenario::{ApiCondition, Event, Scenario, secs};
use crate::senders::{Sender, Senders};
use crate::store::{Store, Write};

pub struct Simulation {
    agenda: BTreeMap<(Timestamp, u64), Due>,
    chance: Chance,
    daemon: Option<Daemon>,
    drawn: u64,
    figures: Figures,
    flights: HashMap<u64, Flight>,
    invariants: Invariants,
    is_page_away: bool,
    life: u32,
    logplex: Logplex,
    /// Only where messages are measured.
    notifier: Option<Notifier>,
    now: Timestamp,
    orders: u64,
    platform: Platform,
    scenario: Scenario,
    skew: SignedDuration,
    store: Store,
    timeline: Timeline,
    liveness: Liveness,
    api_condition: ApiCondition,
}

enum Due {
    Answered(u64),
    Arrives(u64),
    Broken(u64),
    ClaimAnswered {
        life: u32,
        attempt_id: AttemptId,
        answer: Result<(), ClaimRefusal>,
    },
    ClaimWritten {
        life: u32,
        row: Box<store::Row>,
        /// The last restart before.
        did_not_help: bool,
    },
    Event(Event),
    /// A request reaches the status page.
    PageAsked {
        life: u32,
        condition: PageCondition,
    },
    /// The answer of the status page, or none.
    PageRead {
        life: u32,
        is_red: Option<bool>,
    },
    Posted(Box<Post>),
    Posting(Box<Post>),
    Written {
        life: u32,
        write: Write,
    },
}

#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub at: Timestamp,
    pub app: Option<usize>,
    pub what: String,
    /// The kinds of hostility of the day.
    pub kinds: Vec<&'static str>,
    pub timeline: Vec<String>,
}

/// Which days to simulate.
#[derive(Clone, Copy, Debug)]
pub struct Days<'k> {
    pub length: Duration,
    /// The kind of hostility that occurs on each of them; the others occur as the seed says.
    pub kind: Option<&'k str>,
    /// Every app has every kind of rule.
    pub all_rules: bool,
}

/// Runs the day of a seed.
///
/// # Errors
/// The first broken promise.
pub fn run(seed: u64, days: Days<'_>, with_timeline: bool) -> Result<(Figures, Vec<String>), Box<Failure>> {
    let mut simulation = Simulation::new(seed, days, with_timeline);
    match simulation.run() {
        Ok(()) => {
            simulation.figures.seeds = 1;
            simulation.figures.simulated = since(simulation.scenario.start, simulation.now);
            simulation.figures.longest_wait = simulation.liveness.longest;
            let timeline = simulation.timeline.of(None).map(str::to_owned).collect();
            Ok((simulation.figures, timeline))
        }
        Err((app, what)) => {
            let timeline = simulation.timeline.of(app).map(str::to_owned).collect();
            let kinds = simulation.scenario.kinds;
            Err(Box::new(Failure { seed, at: simulation.now, app, what, kinds, timeline }))
        }
    }
}

/// Runs the days of all seeds, on every core, and returns the totals of those that passed.
///
/// `failed` receives each failure, and returns whether to continue.
pub fn run_all(seeds: Range<u64>, days: Days<'_>, failed: impl Fn(&Failure) -> bool + Sync) -> Figures {
    let next = AtomicU64::new(seeds.start);
    let figures = Mutex::new(Figures::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            match run(seed, days, false) {
                Ok((part, _)) => figures.lock().expect("no thread panics").add(&part),
                Err(failure) if failed(&failure) => {}
                Err(_) => next.store(seeds.end, Ordering::Relaxed),
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    figures.into_inner().expect("no thread panicked")
}

/// What went wrong, and in which app.
type Wrong = (Option<usize>, String);

fn in_app(app: usize) -> impl FnOnce(String) -> Wrong {
    move |what| (Some(app), what)
}

impl Simulation {
    fn new(seed: u64, days: Days<'_>, with_timeline: bool) -> Self {
        let mut chance = Chance::new(seed);
        let mut scenario = Scenario::draw(&mut chance, days);
        if days.all_rules {
            all_rules::add(&mut scenario, seed);
        }
        Self::of(scenario, chance, with_timeline)
    }

    fn of(scenario: Scenario, mut chance: Chance, with_timeline: bool) -> Self {
        let start = scenario.start;
        let mut world = World::new(chance.draw(), start);
        let mut senders = Senders::default();
        for (index, app) in scenario.apps.iter().enumerate() {
            world.add_app(app.spec.clone(), start);
            for (dyno, plan) in &app.dynos {
                world.set_plan(&app.spec.name, dyno.clone(), *plan).expect("it was added");
            }
            let url = if app.drains.is_hidden { proxy_url(index) } else { drain_url(index) };
            let drain = world.add_drain(&app.spec.name, &url, start).expect("added");
            senders.created(drain.token, Some(index));
        }
        let platform = Platform::new(world, chance.draw(), start);
        let mut figures = Figures::default();
        scenario.count(&mut figures);
        let mut logplex = Logplex::new(scenario.drain, chance.draw());
        logplex.sync(&platform.world);
        let plans = scenario.apps.iter().map(|app| app.plan.clone()).collect();
        let mut simulation = Self {
            agenda: BTreeMap::new(),
            chance,
            daemon: None,
            drawn: 0,
            figures,
            flights: HashMap::new(),
            invariants: Invariants::new(plans, senders),
            is_page_away: false,
            life: 0,
            logplex,
            notifier: None,
            now: start,
            orders: 0,
            platform,
            skew: SignedDuration::ZERO,
            store: Store::default(),
            timeline: Timeline::new(start, with_timeline),
            liveness: Liveness::default(),
            api_condition: ApiCondition::Fair,
            scenario,
        };
        for (at, event) in std::mem::take(&mut simulation.scenario.events) {
            simulation.plan_at(at, Due::Event(event));
        }
        simulation.plan_at(start, Due::Event(Event::Start));
        simulation
    }

    fn run(&mut self) -> Result<(), Wrong> {
        while let Some(at) = self.next_at().filter(|at| *at <= self.scenario.end) {
            self.now = at.max(self.now);
            self.step()?;
        }
        self.now = self.scenario.end;
        self.at_rest()
    }

    fn next_at(&self) -> Option<Timestamp> {
        let agenda = self.agenda.first_key_value().map(|((at, _), _)| *at);
        let wake = self.daemon.as_ref().and_then(Daemon::wakes_at);
        let look = self.daemon.as_ref().and_then(Daemon::looks_at);
        let list = self.daemon.as_ref().and_then(|daemon| daemon.lists_at(self.now));
        let notifier = self.notifier.as_ref().and_then(Notifier::wakes_at);
        [agenda, wake, list, look, notifier, self.platform.world.next_event_at(), self.logplex.next_poll_at()]
            .into_iter()
            .flatten()
            .min()
    }

    fn step(&mut self) -> Result<(), Wrong> {
        self.advance_world();
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let due = entry.remove();
            self.happen(due)?;
            self.advance_world();
        }
        while let Some(post) = self.logplex.poll(self.now) {
            let span = self.chance.span(Duration::from_millis(2), Duration::from_millis(120));
            self.plan_in(span, Due::Posting(Box::new(post)));
        }
        if let Some(notifier) = &mut self.notifier {
            notifier.wake(self.now);
        }
        if self.daemon.as_ref().and_then(Daemon::wakes_at).is_some_and(|at| at <= self.now) {
            self.input(Input::Wake)?;
        }
        if self.daemon.as_ref().and_then(|daemon| daemon.lists_at(self.now)).is_some_and(|at| at <= self.now)
        {
            self.list_drains();
        }
        if self.daemon.as_ref().and_then(Daemon::looks_at).is_some_and(|at| at <= self.now) {
            self.watch(watchdog::Input::Heard(Vec::new()));
        }
        Ok(())
    }

    /// Advances the world, and passes its lines to logplex.
    fn advance_world(&mut self) {
        self.invariants.settle(&self.platform.world, self.now);
        for line in self.platform.world.advance(self.now) {
            self.note_line(&line);
            self.logplex.push(&line, self.now);
        }
    }

    fn note_line(&mut self, line: &LogLine) {
        let Some(app) = self.scenario.apps.iter().position(|app| app.spec.name == line.app) else { return };
        if line.text.starts_with(b"Error R15") {
            self.figures.did("killed", 1);
        }
        if line.text.starts_with(b"Error R14")
            && let (Some(instance), Ok(dyno)) = (&line.instance, line.procid.parse::<DynoName>())
        {
            let micros = line.at.as_microsecond();
            let at = Timestamp::from_microsecond(micros).expect("it was one");
            self.invariants.error_line(app, dyno, *instance, at);
        }
        if line.text.starts_with(b"source=")
            && let Ok(dyno) = line.procid.parse::<DynoName>()
        {
            let text = String::from_utf8_lossy(&line.text);
            let value = |key: &str| {
                let (number, _) = text.split_once(key)?.1.split_once("MB")?;
                let megabytes: f64 = number.parse().expect("a number");
                Some(Megabytes { hundredths: (megabytes * 100.0) as u64 })
            };
            if let (Some(total), Some(quota)) = (value("sample#memory_total="), value("sample#memory_quota="))
            {
                self.invariants.sample_line((app, dyno), line.instance, (total, quota), line.at);
            }
        }
        let is_sample = line.text.starts_with(b"source=") || line.text.starts_with(b"at=");
        if !is_sample {
            let text = || {
                let text = String::from_utf8_lossy(&line.text);
                format!("       {}[{}]: {text}", line.source, line.procid)
            };
            self.timeline.note(Some(app), text, self.now);
        }
    }

    fn happen(&mut self, due: Due) -> Result<(), Wrong> {
        match due {
            Due::Answered(id) => self.answered(id),
            Due::Arrives(id) => self.arrives(id),
            Due::Broken(id) => self.broken(id),
            Due::ClaimAnswered { life, attempt_id, answer } => self.claim_answered(life, attempt_id, answer),
            Due::ClaimWritten { life, row, did_not_help } => {
                if self.is_alive(life) {
                    self.claim_written(*row, did_not_help);
                }
                Ok(())
            }
            Due::Event(event) => self.apply(event),
            Due::PageAsked { life, condition } => {
                self.page_asked(life, condition);
                Ok(())
            }
            Due::PageRead { life, is_red } => self.page_read(life, is_red),
            Due::Posted(post) => {
                self.logplex.answered(&post.lane, Outcome::Status(204), self.now);
                Ok(())
            }
            Due::Posting(post) => self.posting(post),
            Due::Written { life, write } => {
                if self.is_alive(life) {
                    self.store.write(write);
                }
                Ok(())
            }
        }
    }

    /// A batch reaches the daemon, or does not.
    fn posting(&mut self, post: Box<Post>) -> Result<(), Wrong> {
        if self.daemon.as_ref().is_none_or(Daemon::is_stopping) {
            self.figures.fault("batch_refused");
            self.logplex.answered(&post.lane, Outcome::Unconnected, self.now);
            return Ok(());
        }
        let app = target_of(&post.url);
        self.figures.did("batches", 1);
        if post.attempt > 1 {
            self.figures.fault("batch_again");
        }
        if self.scenario.apps[app].drains.is_bare
            && self.invariants.senders.of(app, post.token.as_ref()) == Sender::Own
        {
            let bare = Post { token: None, ..(*post).clone() };
            self.take_batch(app, &bare)?;
        } else {
            self.take_batch(app, &post)?;
        }
        if self.chance.hits(10) {
            self.figures.fault("batch_answer_lost");
            self.logplex.answered(&post.lane, Outcome::Failed, self.now);
        } else {
            self.plan_in(Duration::from_millis(5), Due::Posted(post));
        }
        Ok(())
    }

    fn apply(&mut self, event: Event) -> Result<(), Wrong> {
        self.timeline.note(None, || format!("EVENT  {event:?}"), self.now);
        let now = self.now;
        match event {
            Event::Clock(skew) => {
                if !skew.is_zero() {
                    self.figures.fault("clock_jump");
                }
                self.skew = skew;
                self.excuse_clock();
            }
            Event::Crash { app, dyno } => {
                if self.platform.world.crash(&self.app_name(app), &dyno, now).is_ok() {
                    self.figures.fault("crash");
                }
            }
            Event::Deploy { app, rollout } => {
                self.figures.fault("deploy");
                self.invariants.promises.released(app, now);
                let _version = self.platform.world.deploy(&self.app_name(app), rollout, now);
            }
            Event::Fix { app } => {
                self.figures.fault("fixing_release");
                self.fix(app);
            }
            Event::ForeignDrain { stranger, app } => self.add_foreign_drain(stranger, app),
            Event::CrossDrain { from, to } => {
                self.figures.fault("cross_drain");
                self.add_drain(from, &drain_url(to));
            }
            Event::CrossDrainEnds { from, to } => self.remove_drain(from, &drain_url(to)),
            Event::SecondDrain { app } => {
                self.figures.fault("second_drain");
                self.add_drain(app, &drain_url(app));
            }
            // The older of two with the same URL.
            Event::FirstDrainEnds { app } => {
                let url =
                    if self.scenario.apps[app].drains.is_hidden { proxy_url(app) } else { drain_url(app) };
                self.remove_drain(app, &url);
            }
            Event::ForeignDrainEnds { stranger } => {
                let name = &self.scenario.strangers[stranger].spec.name;
                let url = self.platform.world.app(name.as_str()).and_then(|app| app.drains.first());
                if let Some(url) = url.map(|drain| drain.url.clone()) {
                    let _known = self.platform.world.remove_drain(name, &url);
                    self.logplex.sync(&self.platform.world);
                }
            }
            Event::Heal => return self.heal(),
            Event::Hungry { calls_left } => {
                let bucket = &mut self.platform.bucket;
                if bucket.remaining(now) > u64::from(calls_left) {
                    bucket.set(calls_left, now);
                }
            }
            Event::Idle { app, dyno } => {
                if self.platform.world.idle(&self.app_name(app), &dyno, now).is_ok() {
                    self.figures.fault("idle");
                }
            }
            Event::Kill => self.kill(),
            Event::Order { app, dyno } => return self.order(app, dyno),
            Event::PageAway(is_away) => self.is_page_away = is_away,
            Event::DaysTold => return self.tell_days(),
            Event::OtherUsers { tokens_left } => {
                self.figures.fault("tokens_short");
                self.platform.bucket.set(tokens_left, now);
            }
            Event::Pause { app, span } => return self.pause(app, span),
            Event::Plan { app, dyno, plan } => {
                let _known = self.platform.world.set_plan(&self.app_name(app), dyno, plan);
            }
            Event::RestartByPerson { app, dyno } => {
                if self.platform.world.restart(&self.app_name(app), &dyno, now).is_ok() {
                    self.figures.fault("restart_by_person");
                }
            }
            Event::Rename { app, to, is_taken_over } => self.rename(app, to, is_taken_over),
            Event::Run { app, one_off } => {
                self.figures.fault("one_off");
                let _known = self.platform.world.run(&self.app_name(app), one_off, now);
            }
            Event::Resume { app } => {
                self.store.resume(app.map(app_id));
                self.invariants.resume(app);
                return self.input(Input::Resume { app: app.map(app_id) });
            }
            Event::Scale { app, process_type, quantity } => {
                self.figures.fault("scale");
                let policy = self.invariants.policy(app);
                let span = policy.boot_timeout + policy.settle + secs(60);
                self.liveness.scaled(app, process_type.clone(), span, now);
                let _known = self.platform.world.scale(&self.app_name(app), &process_type, quantity, now);
            }
            Event::Start => return self.start(),
            Event::StatusPage(light) => self.platform.apps_light = light,
            Event::Stop => self.stop(),
            Event::Stopped { life } => return self.stopped(life),
            Event::StoreAway(is_away) => {
                self.figures.fault("store_away");
                self.store.is_away = is_away;
                self.liveness.trouble(Trouble::Store, later(now, secs(90)));
            }
            Event::ApiCondition(api_condition) => {
                self.api_condition = api_condition;
                self.excuse_api();
            }
        }
        Ok(())
    }

    /// Makes a release in which nothing leaks.
    fn fix(&mut self, app: usize) {
        let (name, now) = (self.app_name(app), self.now);
        for formation in &self.scenario.apps[app].spec.formations {
            for index in 1..=32 {
                let dyno = DynoName::new(formation.process_type.clone(), index);
                let _known = self.platform.world.set_plan(&name, dyno, DynoPlan::default());
            }
        }
        self.invariants.promises.released(app, now);
        let _version = self.platform.world.deploy(&name, Rollout::AtOnce, now);
    }

    fn add_foreign_drain(&mut self, stranger: usize, app: usize) {
        let spec = self.scenario.strangers[stranger].spec.clone();
        let (name, now) = (spec.name.clone(), self.now);
        self.platform.world.add_app(spec, now);
        let added = self.platform.world.add_drain(&name, &drain_url(app), now).expect("the app was added");
        self.invariants.senders.created(added.token, None);
        self.logplex.sync(&self.platform.world);
    }

    /// A watched app gets another drain.
    fn add_drain(&mut self, app: usize, url: &str) {
        let name = self.app_name(app);
        let added = self.platform.world.add_drain(&name, url, self.now).expect("apps stay");
        self.invariants.senders.created(added.token, Some(app));
        self.logplex.sync(&self.platform.world);
    }

    fn remove_drain(&mut self, app: usize, url: &str) {
        let name = self.app_name(app);
        let _known = self.platform.world.remove_drain(&name, url);
        self.logplex.sync(&self.platform.world);
    }

    /// The app goes on under another name, and perhaps another app takes the old one, with a drain to here.
    fn rename(&mut self, app: usize, to: AppName, is_taken_over: bool) {
        self.figures.fault(if is_taken_over { "name_taken_over" } else { "renamed" });
        let (old, now) = (self.app_name(app), self.now);
        let world = &mut self.platform.world;
        if is_taken_over {
            world.take_over(&old, to.clone(), now).expect("it is renamed once a day");
            let drain = world.add_drain(&old, &drain_url(app), now).expect("the app was added");
            self.invariants.senders.created(drain.token, None);
        } else {
            world.rename(&old, to.clone(), now).expect("it is renamed once a day");
        }
        self.scenario.apps[app].spec.name = to.clone();
        self.invariants.renamed(app, to);
        self.logplex.sync(&self.platform.world);
    }

    fn app_name(&self, app: usize) -> AppName {
        self.scenario.apps[app].spec.name.clone()
    }

    /// Whether the daemon of that life is still running.
    fn is_alive(&self, life: u32) -> bool {
        life == self.life && self.daemon.is_some()
    }

    fn excuse_clock(&mut self) {
        // Lines more than two minutes ahead of us, or 90 s behind, are not trusted.
        if self.skew.abs() > SignedDuration::from_secs(60) {
            self.liveness.trouble(Trouble::Clock, later(self.now, secs(90)));
        }
    }

    fn excuse_api(&mut self) {
        if self.api_condition != ApiCondition::Fair {
            self.liveness.trouble(Trouble::Api, later(self.now, secs(400)));
        }
    }

    fn order(&mut self, app: usize, dyno: Option<DynoName>) -> Result<(), Wrong> {
        self.orders += 1;
        self.figures.did("orders", 1);
        let forced = self.chance.hits(500);
        self.timeline.note(Some(app), || format!("ORDER  {dyno:?}, forced: {forced}"), self.now);
        self.input(Input::Order { order: OrderId(self.orders), app: app_id(app), dyno, forced, by: None })
    }

    fn pause(&mut self, app: Option<usize>, span: Duration) -> Result<(), Wrong> {
        if self.daemon.is_none() {
            return Ok(());
        }
        self.figures.did("pauses", 1);
        let until = later(self.clock().wall(), span);
        let pause = RestoredPause { app: app.map(app_id), until, reason: "a launch".into(), by: None };
        self.store.pause(pause.clone());
        self.invariants.pause(app, span, self.clock());
        self.input(Input::Pause { app: pause.app, until, reason: pause.reason, by: None })
    }

    /// No more faults, so everything has to come to rest.
    fn heal(&mut self) -> Result<(), Wrong> {
        let now = self.now;
        (self.api_condition, self.skew, self.store.is_away) =
            (ApiCondition::Fair, SignedDuration::ZERO, false);
        (self.platform.apps_light, self.is_page_away) = (Light::Green, false);
        self.agenda
            .retain(|_, due| !matches!(due, Due::Event(Event::Kill | Event::Stop | Event::ApiCondition(_))));
        for stranger in &self.scenario.strangers {
            let name = &stranger.spec.name;
            let urls = self.platform.world.app(name.as_str()).map(|app| app.drains.clone());
            for drain in urls.unwrap_or_default() {
                let _known = self.platform.world.remove_drain(name, &drain.url);
            }
        }
        self.logplex.sync(&self.platform.world);
        for app in &self.scenario.apps {
            let name = app.spec.name.clone();
            for formation in &app.spec.formations {
                for index in 1..=32 {
                    let dyno = DynoName::new(formation.process_type.clone(), index);
                    let known = self.platform.world.set_plan(&name, dyno.clone(), DynoPlan::default());
                    known.expect("apps stay");
                    let down = self.platform.world.dyno(&name, &dyno.to_string());
                    if down.is_some_and(|dyno| dyno.state != DynoState::Up) {
                        let _there = self.platform.world.restart(&name, &dyno, now);
                    }
                }
            }
        }
        if self.daemon.is_none() {
            return self.start();
        }
        Ok(())
    }

    /// After the rest, nothing waits.
    fn at_rest(&mut self) -> Result<(), Wrong> {
        let wrong = |what: String| Err((None, what));
        let Some(daemon) = &self.daemon else { return wrong("the daemon is down at the end".to_owned()) };
        if let Some(at) = daemon.wakes_at() {
            return wrong(format!("at the end the engine still waits for {at}"));
        }
        if daemon.attempts() > 0 {
            return wrong(format!("at the end {} attempts wait for nothing", daemon.attempts()));
        }
        let is_step = |flight: &Flight| !matches!(flight.want, Want::Drains { .. });
        if self.flights.values().any(|flight| flight.life == self.life && is_step(flight)) {
            return wrong("at the end calls are still on their way".to_owned());
        }
        if self.store.open_claims() > 0 {
            return wrong(format!("at the end {} claims are still open", self.store.open_claims()));
        }
        Ok(())
    }

    fn clock(&self) -> Clock {
        Clock { now: self.now, skew: self.skew }
    }

    fn plan_in(&mut self, span: Duration, due: Due) {
        self.plan_at(later(self.now, span), due);
    }

    fn plan_at(&mut self, at: Timestamp, due: Due) {
        self.drawn += 1;
        self.agenda.insert((at, self.drawn), due);
    }
}

fn app_id(app: usize) -> AppId {
    AppId(app as u32)
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, at, app, what, kinds, timeline } = self;
        let skipped = timeline.len().saturating_sub(TIMELINE_SHOWN);
        timeline.iter().skip(skipped).try_for_each(|line| writeln!(f, "{line}"))?;
        let app = app.map_or_else(String::new, |app| format!(", app-{app}"));
        writeln!(f, "seed {seed}, {at}{app}: {what} (a day of {kinds:?})")?;
        write!(f, "again: cargo run --release -p dynowarden-simulation -- --seed {seed} --timeline")
    }
}

/// Printed lines of a failed seed's timeline; the command prints all.
const TIMELINE_SHOWN: usize = 150;
