//! The apps of the soak, their policy, and their events.

#![expect(
    clippy::disallowed_methods,
    reason = "a simulated Heroku that runs for real has a clock of its own"
)]

use std::time::Duration;

use dynowarden_core::ident::{AppName, DynoName};
use heroku_sim::app::{AppSpec, Chatter, Formation};
use heroku_sim::clock::WorldClock;
use heroku_sim::dyno::{Behaviour, DynoPlan};
use heroku_sim::fault::{Fault, FaultRule, PathRule, Times};
use heroku_sim::operations::Rollout;
use heroku_sim::rng::Chance;
use heroku_sim::sender::{Chaos, DrainPolicy};
use heroku_sim::server::SimHeroku;
use http::Method;
use jiff::Timestamp;

use support::judge::Bounds;

/// Ten times as fast as the default policy, because the dynos leak that much faster.
pub(crate) const POLICY: [(&str, &str); 7] = [
    ("DYNOWARDEN_POLICY__COOLDOWN", "1m"),
    ("DYNOWARDEN_POLICY__MIN_UPTIME", "30s"),
    ("DYNOWARDEN_POLICY__SETTLE", "3s"),
    ("DYNOWARDEN_POLICY__MAX_RESTARTS", "12/30m"),
    ("DYNOWARDEN_POLICY__GIVE_UP_FOR", "10m"),
    ("DYNOWARDEN_STORE__KEEP", "1h"),
    ("RUST_LOG", "info"),
];

/// The same for the judge.
pub(crate) const BOUNDS: Bounds = Bounds {
    cooldown: Duration::from_secs(60),
    min_uptime: Duration::from_secs(30),
    settle: Duration::from_secs(3),
    max_restarts: (12, Duration::from_secs(1800)),
    give_up_after: None,
};

pub(crate) struct App {
    pub name: AppName,
    pub webs: u32,
    lines: u32,
    metrics: bool,
    /// The first dynos, which stay above their quota whatever is done.
    hopeless: u32,
}

/// The apps, which share `lines` a second.
pub(crate) fn apps(lines: u32) -> Vec<App> {
    let app = |name: &str, webs, percent: u32, metrics, hopeless| App {
        name: name.parse().expect("a name"),
        webs,
        lines: (lines * percent / 100).max(1),
        metrics,
        hopeless,
    };
    vec![
        app("shop", 10, 50, true, 0),
        app("api", 10, 25, true, 0),
        app("blog", 8, 10, false, 0),
        app("admin", 4, 5, true, 0),
        app("plateau", 4, 5, false, 2),
        app("docs", 8, 5, false, 0),
    ]
}

/// A clock in steps of a twentieth of a second, so that lines come in batches as from a distant logplex.
pub(crate) fn clock() -> WorldClock {
    WorldClock::new(1.0, || {
        let micros = Timestamp::now().as_microsecond();
        Timestamp::from_microsecond(micros - micros % 50_000).expect("a time of this century")
    })
}

/// Two senders per drain, which repeat, reorder and delay some messages.
pub(crate) fn drains() -> DrainPolicy {
    let chaos = Chaos {
        delay_permille: 2,
        delay_max: Duration::from_secs(5),
        duplicate_permille: 10,
        lose_permille: 1,
        reorder_permille: 10,
    };
    DrainPolicy { chaos, nodes: 2, ..DrainPolicy::default() }
}

/// Adds an app: each of its web dynos leaks at its own rate, and is above its quota in two to eight minutes.
pub(crate) fn add(heroku: &SimHeroku, app: &App, chance: &mut Chance) {
    let mut spec = AppSpec::new(app.name.clone(), app.webs);
    spec.metrics = app.metrics;
    spec.router_every = Some(Duration::from_secs(5) / (app.lines * 4));
    spec.chatter = Some(Chatter { every: Duration::from_secs(5) / app.lines, forging: true });
    let mut worker = Formation::new("worker".parse().expect("a type"), 2);
    worker.plan.behaviour = Behaviour::Plateau { permille: 1200 };
    spec.formations.push(worker);
    heroku.add_app(spec);
    heroku.with(|platform, _| {
        for index in 1..=app.webs {
            let mb_per_min = 16 + u32::try_from(chance.below(48)).expect("below 48");
            let behaviour = match index <= app.hopeless {
                true => Behaviour::Plateau { permille: 1300 },
                false => Behaviour::Leak { from_mb: 384, mb_per_min },
            };
            let boot = chance.span(Duration::from_secs(2), Duration::from_secs(6));
            let plan = DynoPlan { behaviour, boot, linger: Duration::from_secs(2), ..DynoPlan::default() };
            platform.world.set_plan(&app.name, web(index), plan).expect("an app");
        }
    });
}

/// From now on, the API fails now and then.
pub(crate) fn some_failures(heroku: &SimHeroku) {
    for (fault, method, permille) in [
        (Fault::Status(503), Method::GET, 5),
        (Fault::Status(500), Method::DELETE, 10),
        (Fault::Slow(Duration::from_secs(2)), Method::GET, 10),
        (Fault::BreakAfter, Method::DELETE, 10),
        (Fault::BreakBefore, Method::DELETE, 10),
        (Fault::WrongJson, Method::GET, 5),
    ] {
        let path = PathRule::Contains("/dynos".to_owned());
        heroku.add_fault(FaultRule { fault, method: Some(method), path, times: Times::Permille(permille) });
    }
}

/// A random event in one of the apps.
pub(crate) fn mischief(heroku: &SimHeroku, apps: &[App], chance: &mut Chance) {
    let Some(app) = chance.pick(apps) else { return };
    let dyno = web(1 + u32::try_from(chance.below(u64::from(app.webs))).expect("as many as dynos"));
    let choice = chance.below(8);
    let more = u32::try_from(chance.below(u64::from(MORE_MAX) + 1)).expect("no more than that");
    heroku.with(|platform, now| {
        // A dyno that was scaled away cannot crash.
        let _done = match choice {
            0 => platform.world.deploy(&app.name, Rollout::AtOnce, now).map(|_version| ()),
            1 | 2 => platform.world.scale(&app.name, &"web".parse().expect("a type"), app.webs + more, now),
            3 => platform.world.restart(&app.name, &dyno, now),
            _ => platform.world.crash(&app.name, &dyno, now),
        };
    });
}

/// The largest number of added dynos.
const MORE_MAX: u32 = 2;

/// The largest possible number of web dyno names.
pub(crate) fn names(apps: &[App]) -> u32 {
    apps.iter().map(|app| app.webs + MORE_MAX).sum()
}

fn web(index: u32) -> DynoName {
    DynoName::new("web".parse().expect("a type"), index)
}

/// Between two events.
pub(crate) const MISCHIEF_EVERY: Duration = Duration::from_secs(60);
