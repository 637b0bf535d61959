//! Measured nights: calm worlds with one trouble each, under the default settings.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use dynowarden_core::codes::Code;
use dynowarden_core::ident::DynoName;
use dynowarden_core::policy::{Act, AppPlan, Policy, Rate, Rule, Trigger};
use dynowarden_core::time::later;
use heroku_sim::app::AppSpec;
use heroku_sim::dyno::{Behaviour, DynoPlan};
use heroku_sim::rng::Chance;

use crate::Simulation;
use crate::drains::DrainKind;
use crate::hostile::{Mishaps, leaks};
use crate::notifier::Notifier;
use crate::scenario::{ApiCondition, Event, Scenario, ScenarioApp, secs, web};

/// Everything that is measured, as text.
pub fn report() -> String {
    let mut text = String::new();
    let leaks = leaks_over_twelve_hours(&mut text);
    let calls = leaks.and_then(|()| calls_of_waiting_formations(&mut text));
    let messages = calls.and_then(|()| messages_in_a_night(&mut text));
    messages.expect("a string has room");
    text
}

fn leaks_over_twelve_hours(text: &mut String) -> std::fmt::Result {
    writeln!(text, "12 h, 4 web dynos of 512 MB; share: dyno time over the quota")?;
    writeln!(text, "{:<16} {:>8} {:>7} {:>9} | without", "", "restarts", "killed", "share")?;
    let behaviours = [5, 10, 20, 30, 60].map(|minutes| (format!("leak {minutes} min"), leaks::leak(minutes)));
    let plateaus = [1100, 1782]
        .map(|permille| (format!("plateau {} %", permille / 10), Behaviour::Plateau { permille }));
    for (name, behaviour) in behaviours.into_iter().chain(plateaus) {
        let with = Night::new(4, behaviour).run(12);
        let without = Night::new(4, behaviour).dry().run(12);
        writeln!(
            text,
            "{name:<16} {:>8} {:>7} {:>7.1} % | {:>7} killed {:>5.1} %",
            with.restarts, with.killed, with.percent_over, without.killed, without.percent_over
        )?;
    }
    Ok(())
}

fn calls_of_waiting_formations(text: &mut String) -> std::fmt::Result {
    let mut night = Night::new(2, Behaviour::Plateau { permille: 1100 });
    night.scenario.apps = (0..30).map(|index| app(index, 2, Behaviour::Plateau { permille: 1100 })).collect();
    for app in 0..30 {
        night.breaks(app, 2, 1);
    }
    let waiting = night.run(3);
    writeln!(
        text,
        "30 formations of two that wait for a crashed dyno, 3 h: {:.1} API calls a minute, \
        {} restarts",
        waiting.calls as f64 / 180.0,
        waiting.restarts
    )
}

fn messages_in_a_night(text: &mut String) -> std::fmt::Result {
    writeln!(text, "messages in a night of 8 h, 8 web dynos")?;
    for (name, night) in storms() {
        let Measured { restarts, messages, kinds, failed, .. } = night.run(8);
        writeln!(text, "{name:<26} {messages:>4} messages, {restarts:>4} restarts  {kinds}{failed}")?;
    }
    Ok(())
}

/// How many messages each storm makes in a night, and what promise it broke, if any.
pub fn messages_of_storms() -> Vec<(&'static str, u32, String)> {
    let measured = storms().into_iter().map(|(name, night)| (name, night.run(8)));
    measured.map(|(name, night)| (name, night.messages, night.failed)).collect()
}

fn storms() -> Vec<(&'static str, Night)> {
    let plateau = Behaviour::Plateau { permille: 1300 };
    let leak = leaks::leak(20);
    let all = |event: fn() -> Event| move |night: &mut Night| night.at(600, event());
    let storms: [Storm<'_>; 15] = [
        ("8 dynos leak for 20 min", leak, &|_| ()),
        ("8 dynos on a plateau", plateau, &|_| ()),
        ("API down", leak, &all(|| Event::ApiCondition(ApiCondition::Down))),
        ("API token revoked", leak, &all(|| Event::ApiCondition(ApiCondition::Unauthorized))),
        ("API garbled", leak, &all(|| Event::ApiCondition(ApiCondition::Garbled))),
        ("API throttles", leak, &all(|| Event::ApiCondition(ApiCondition::Throttled { retry_after: false }))),
        ("gateway pages", leak, &|night| night.scenario.mishaps.gateway = 1000),
        ("half of the answers lost", leak, &|night| {
            night.scenario.mishaps = Mishaps { late: 500, ..Mishaps::default() };
        }),
        ("every restart ignored", leak, &|night| night.scenario.mishaps.ignored = 1000),
        ("store away", leak, &all(|| Event::StoreAway(true))),
        ("no API calls left", leak, &|night| {
            (60..8 * 360).for_each(|tens| night.at(10 * tens, Event::Hungry { calls_left: 0 }));
        }),
        ("clock three hours ahead", leak, &all(|| Event::Clock(SignedDuration::from_hours(3)))),
        ("one dyno crashed", leak, &|night| night.breaks(0, 3, 600)),
        ("restless autoscaler", leak, &|night| {
            for step in 4..8 * 30 {
                let quantity = 8 + step as u32 % 2;
                night.at(120 * step, Event::Scale { app: 0, process_type: web(), quantity });
            }
        }),
        ("dynos die settling", leak, &|night| night.scenario.dies_settling = 1000),
    ];
    let night = |(name, behaviour, change): Storm<'_>| {
        let mut night = Night::new(8, behaviour);
        change(&mut night);
        (name, night)
    };
    storms.map(night).into()
}

/// A night's name, the memory of its dynos, and what happens in it.
type Storm<'s> = (&'static str, Behaviour, &'s dyn Fn(&mut Night));

struct Night {
    scenario: Scenario,
    start: Timestamp,
}

#[derive(Debug, Default)]
struct Measured {
    calls: u64,
    /// The promise that was broken, if one was.
    failed: String,
    killed: u64,
    kinds: String,
    messages: u32,
    percent_over: f64,
    restarts: u64,
}

impl Night {
    fn new(webs: u32, behaviour: Behaviour) -> Self {
        let start: Timestamp = "2026-03-05T20:00:00Z".parse().expect("a time");
        let scenario = Scenario::calm(vec![app(0, webs, behaviour)], start, Duration::ZERO);
        Self { scenario, start }
    }

    fn dry(mut self) -> Self {
        self.scenario.apps[0].plan.dry_run = true;
        self
    }

    fn at(&mut self, seconds: u64, event: Event) {
        self.scenario.events.push((later(self.start, secs(seconds)), event));
    }

    /// From then on, no boot of this dyno succeeds.
    fn breaks(&mut self, app: usize, index: u32, seconds: u64) {
        let dyno = DynoName::new(web(), index);
        let plan = DynoPlan { boot_failures: u32::MAX, ..DynoPlan::default() };
        self.at(seconds, Event::Plan { app, dyno: dyno.clone(), plan });
        self.at(seconds, Event::Crash { app, dyno });
    }

    fn run(mut self, hours: u64) -> Measured {
        let end = later(self.start, secs(hours * 3600));
        (self.scenario.end, self.scenario.heals_at) = (end, end);
        let mut simulation = Simulation::of(self.scenario, Chance::new(19), false);
        let plans: Vec<AppPlan> = simulation.scenario.apps.iter().map(|app| app.plan.clone()).collect();
        simulation.notifier = Some(Notifier::new(&plans, self.start));
        let mut share = Share::default();
        let mut failed = String::new();
        while let Some(at) = simulation.next_at().filter(|at| *at <= end) {
            share.look(&simulation, at);
            simulation.now = at.max(simulation.now);
            if let Err((_, what)) = simulation.step() {
                failed = format!(" ENDED after {:?}: {what}", at.duration_since(self.start));
                break;
            }
        }
        let done = |kind: &str| simulation.figures.done.get(kind).copied().unwrap_or_default();
        let sent = simulation.notifier.as_ref().map(|notifier| notifier.sent.clone()).unwrap_or_default();
        Measured {
            calls: done("calls"),
            failed,
            killed: done("killed"),
            kinds: sent.iter().map(|(kind, count)| format!("{kind} {count} ")).collect(),
            messages: sent.values().sum(),
            percent_over: 100.0 * share.over as f64 / share.looks.max(1) as f64,
            restarts: done("restarts"),
        }
    }
}

/// Looks at every dyno's memory every ten seconds.
#[derive(Default)]
struct Share {
    looked_at: Option<Timestamp>,
    looks: u64,
    over: u64,
}

impl Share {
    /// Looks as often as is due before `until`, while the world is as it is.
    fn look(&mut self, simulation: &Simulation, until: Timestamp) {
        let mut at = self.looked_at.unwrap_or(simulation.now);
        while at < until {
            for app in &simulation.scenario.apps {
                let world = &simulation.platform.world;
                for dyno in world.dynos(&app.spec.name) {
                    let used = world.decimegabytes(&app.spec.name, &dyno.name, at).unwrap_or_default();
                    self.looks += 1;
                    self.over += u64::from(used > u64::from(dyno.size.quota_mb) * 10);
                }
            }
            at = later(at, secs(10));
        }
        self.looked_at = Some(at);
    }
}

fn app(index: usize, webs: u32, behaviour: Behaviour) -> ScenarioApp {
    let mut spec = AppSpec::new(format!("app-{index}").parse().expect("a name"), webs);
    spec.formations[0].plan = DynoPlan { behaviour, ..DynoPlan::default() };
    let plan = plan(spec.name.as_str());
    ScenarioApp { spec, plan, drains: DrainKind::default(), dynos: Vec::new() }
}

/// The default settings of an app.
pub fn plan(name: &str) -> AppPlan {
    let number = |count| NonZeroU32::new(count).expect("not none");
    let policy = Policy {
        process_types: vec![web()],
        cooldown: secs(600),
        max_restarts: Rate { count: number(8), per: secs(7200) },
        give_up_after: number(3),
        give_up_for: secs(6 * 3600),
        max_concurrent: number(1),
        settle: secs(30),
        min_uptime: secs(180),
        boot_timeout: secs(180),
        window: Vec::new(),
    };
    let trigger = Trigger::Errors { codes: vec![Code::R14], count: number(1), within: secs(300) };
    let rules = vec![Rule {
        name: "memory-quota-exceeded".into(),
        trigger,
        act: Act::Restart,
        window: Vec::new(),
        proof: None,
    }];
    AppPlan { name: name.parse().expect("a name"), dry_run: false, policy, rules }
}
