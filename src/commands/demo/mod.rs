//! `dynowarden demo`: the real daemon alongside a simulated Heroku in the same process.
//!
//! Both sides use real HTTP on loopback. Only time runs faster, on one clock for both, so a leak that takes
//! an hour can be watched in minutes.

mod past;
mod people;
mod story;

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cli::DemoArgs;
use crate::clock::Clock;
use crate::commands::columns;
use crate::commands::demo::past::Past;
use crate::commands::demo::story::Story;
use crate::commands::serve::cancel_on_signal;
use crate::config::settings::Settings;
use crate::config::{self, Needs, Sources};
use crate::daemon::{self, Running};
use crate::store::series::HourRow;
use crate::telemetry;
use crate::terminal::Colour;
use dynowarden_core::detect::sign::Sign;
use dynowarden_core::ident::{AppName, ProcessType};
use dynowarden_core::limits;
use heroku_sim::app::AppSpec;
use heroku_sim::clock::WorldClock;
use heroku_sim::dyno::{Behaviour, DynoPlan};
use heroku_sim::operations::Rollout;
use heroku_sim::server::{SimHeroku, SimOptions};

/// Runs the demo until its time is over, or SIGTERM or SIGINT.
///
/// # Errors
/// It cannot start, or fails.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    // The story is printed on standard output; the daemon's own log would only repeat it.
    telemetry::begin(None, Some(&std::env::var("RUST_LOG").unwrap_or_else(|_| "error".to_owned())))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(play(args))
}

async fn play(args: &DemoArgs) -> anyhow::Result<()> {
    let clock = Clock::scaled(args.speed);
    let began = clock.now().wall;
    let world_clock = WorldClock::new(args.speed, move || clock.now().wall);
    let options =
        SimOptions { clock: world_clock, port: args.api_port, seed: args.seed, ..SimOptions::default() };
    let heroku = SimHeroku::start(options).await.with_context(|| {
        format!(
            "the simulated Platform API cannot use port {}: choose another with --api-port",
            args.api_port
        )
    })?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port))
        .await
        .with_context(|| format!("the daemon cannot use port {}: choose another with --port", args.port))?;
    let url = format!("http://{}", listener.local_addr()?);

    let mailbox = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .context("the demo's receiver of messages cannot listen on any port")?;

    let past = past_of_shop(began)?;
    open_shop(&heroku, &url)?;
    let settings = settings(&heroku.api_url(), &format!("http://{}/", mailbox.local_addr()?))?;
    let names: Vec<AppName> = settings.apps.iter().map(|app| app.plan.name.clone()).collect();
    say_where(&url, &heroku.api_url(), args)?;

    let shutdown = CancellationToken::new();
    cancel_on_signal(shutdown.clone())?;
    let Running { handle, ended } =
        daemon::start_with_past(settings, listener, (clock, shutdown.clone()), &past).await?;
    let (sender, letters) = mpsc::channel(limits::QUEUED_MESSAGES_MAX);
    let people = tokio::spawn(people::receive(mailbox, sender));
    let (lines, records) = (heroku.lines(), handle.records());
    let stopped = shutdown.clone();
    let story = tokio::spawn(async move {
        let mut story = Story::new(names, columns(Colour::on(&io::stdout())));
        stopped.run_until_cancelled(story.print(lines, records, letters)).await;
        story
    });
    let deploys = tokio::spawn(deploy_now_and_then(heroku, clock, shutdown.clone()));
    let time = tokio::time::sleep(args.duration.unwrap_or(Duration::MAX));
    shutdown.run_until_cancelled(time).await;
    shutdown.cancel();
    let result = ended.await.context("the daemon failed")?;
    people.abort();
    let heroku = deploys.await.context("the simulated Heroku failed")?;
    heroku.shutdown().await;
    let story = story.await.context("printing the story failed")?;
    // The reader may be gone, as after `| head`.
    let _closed = writeln!(io::stdout().lock(), "\n{}", story.ending());
    result
}

/// When the healthy app is deployed, after its restarts in the quiet hours.
const DEPLOY_AFTER: Duration = Duration::from_secs(10 * 60);

/// What the new code leaks: over its quota in five minutes.
const LEAK_OF_DEPLOY: Behaviour = Behaviour::Leak { from_mb: 300, mb_per_min: 45 };

/// Three days before the demo, in which all this was the same.
fn past_of_shop(now: Timestamp) -> anyhow::Result<Vec<HourRow>> {
    let day = 24 * 60;
    let sound = Past {
        webs: 2,
        from_mb: 240.0,
        mb_per_min: 0.0,
        life_min: day,
        age_min: OLD_UPTIME_MIN,
        ended_by: Sign::Cycling,
    };
    let leak = Past { webs: 3, from_mb: 330.0, mb_per_min: 4.0, life_min: 48, ..sound };
    let pasts = [
        Past { age_min: UPTIME_MIN, ended_by: Sign::Restarting, ..leak },
        Past { from_mb: 604.0, age_min: UPTIME_MIN, ..sound },
        Past { age_min: UPTIME_MIN, ..sound },
        sound,
    ];
    let web: ProcessType = "web".parse().context("web is a process type")?;
    let mut rows = Vec::new();
    for (name, past) in SHOP.into_iter().zip(pasts) {
        rows.extend(past::rows(&name.parse().context("the shop's names are names")?, &web, &past, now));
    }
    Ok(rows)
}

/// Minutes since the dynos began. The leak is about to exceed its quota: a demo should not begin with a long
/// wait. From then on it takes three quarters of an hour, which is slow enough for `max_restarts`.
const UPTIME_MIN: i64 = 44;

/// Those of the healthy app soon reach the age of the rule: the demo begins with the quiet hours, and the
/// first restarts of the others come before.
const OLD_UPTIME_MIN: i64 = 16 * 60 - 6;

/// A small shop: one app that leaks, one that a restart cannot help, one that crashes, one that is restarted
/// in its quiet hours and then gets a release that leaks.
const SHOP: [&str; 4] = ["acme-shop", "acme-search", "acme-blog", "acme-pay"];

/// Opens only this machine's loopback; a demo without an account has no better secret.
const PASSWORD: &str = "demo";

/// How long a dyno takes to boot.
const BOOT: Duration = Duration::from_secs(12);

const STEADY: Behaviour = Behaviour::Steady { mb: 240 };

fn open_shop(heroku: &SimHeroku, url: &str) -> anyhow::Result<()> {
    let leak = |from_mb, mb_per_min| Behaviour::Leak { from_mb, mb_per_min };
    let plan = |behaviour| DynoPlan { behaviour, boot: BOOT, ..DynoPlan::default() };
    let plans = [
        (3, plan(leak(330, 4))),
        (2, plan(Behaviour::Plateau { permille: 1180 })),
        (2, DynoPlan { crash_after: Some(Duration::from_secs(800)), ..plan(leak(250, 4)) }),
        (2, plan(STEADY)),
    ];
    for (name, (webs, plan)) in SHOP.into_iter().zip(plans) {
        let name: AppName = name.parse().context("the shop's names are names")?;
        let mut spec = AppSpec::new(name.clone(), webs);
        spec.formations.iter_mut().for_each(|formation| formation.plan = plan);
        spec.metrics = true;
        spec.router_every = Some(Duration::from_millis(600));
        spec.swaps = true;
        let minutes = if name.as_str() == SHOP[3] { OLD_UPTIME_MIN } else { UPTIME_MIN };
        spec.uptime = Duration::from_secs(minutes.unsigned_abs() * 60);
        spec.warm_for = spec.uptime;
        heroku.add_app(spec);
        heroku.add_drain(&name, &SimHeroku::drain_url(&format!("{url}/logs/{name}"), "logplex", PASSWORD))?;
    }
    Ok(())
}

/// The daemon's settings, read by the same code as a user's.
fn settings(api_url: &str, mailbox: &str) -> anyhow::Result<Settings> {
    let pairs = [
        ("HEROKU_API_URL", api_url),
        ("HEROKU_API_KEY", PASSWORD),
        ("HEROKU_APP", &SHOP.join(",")),
        ("DRAIN_PASSWORD", PASSWORD),
        ("ADMIN_PASSWORD", &format!("{PASSWORD}-admin")),
        ("HOOK_KEY", &format!("{PASSWORD}-hook")),
        ("DATABASE_URL", "memory"),
        ("PEOPLE", mailbox),
    ];
    let env = pairs.map(|(name, value)| (name.into(), value.into()));
    let read_file = |_: &Path| Ok(SETTINGS.to_owned());
    let settings = config::load(&Sources { config: None, env: &env, read_file: &read_file }, Needs::Serving)?;
    Ok(Settings { listen: IpAddr::V4(Ipv4Addr::LOCALHOST), ..settings })
}

/// The default rule, and one for the quiet hours.
const SETTINGS: &str = r#"
[[rule]]
name = "memory-quota-exceeded"
on = ["R14"]
count = 1
within = "5m"
do = "restart"

[[rule]]
name = "quiet-cycle"
on = ["uptime"]
above = "16h"
window = ["quiet"]
do = "restart"

[[notify]]
type = "webhook"
name = "people"
url_env = "PEOPLE"
"#;

fn say_where(url: &str, api_url: &str, args: &DemoArgs) -> io::Result<()> {
    let authority = url.trim_start_matches("http://");
    let [leaks, plateau, crashes, deploys] = SHOP;
    writeln!(
        io::stdout().lock(),
        "status page   http://admin:{PASSWORD}-admin@{authority}/\n\
         daemon        {url}   (drains: POST {url}/logs/{{app}}, password {PASSWORD})\n\
         Platform API  {api_url}   (HEROKU_HOST={api_url} HEROKU_API_KEY=any heroku ps -a {leaks})\n\
         simulated time runs {}x as fast as real time; seed {}\n\
         \n\
         {leaks} leaks, {plateau} needs more than its quota, {crashes} crashes, {deploys} is restarted in \
         its quiet hours and then gets a release that leaks.\n\
         Three days before are in the store: see {url}/apps/{leaks}/types/web.\n\
         \"heroku\" lines come from the platform, \"message\" lines are notifications, everything else is \
         what dynowarden does, and why.\n",
        args.speed,
        args.seed
    )
}

/// Deploys the healthy app: a release that leaks, then one that does not, and so on once an hour of its time.
async fn deploy_now_and_then(heroku: SimHeroku, clock: Clock, shutdown: CancellationToken) -> SimHeroku {
    let app: AppName = SHOP[3].parse().expect("the shop's names are names");
    let mut wait = DEPLOY_AFTER;
    let mut leaks = true;
    while shutdown.run_until_cancelled(tokio::time::sleep(clock.real(wait))).await.is_some() {
        wait = Duration::from_secs(3600);
        let behaviour = if leaks { LEAK_OF_DEPLOY } else { STEADY };
        leaks = !leaks;
        // A user who experiments with the API may have removed the app.
        heroku.with(|platform, now| {
            for dyno in (1..=2).filter_map(|index| format!("web.{index}").parse().ok()) {
                let plan = DynoPlan { behaviour, boot: BOOT, ..DynoPlan::default() };
                let _missing = platform.world.set_plan(&app, dyno, plan);
            }
            let _missing = platform.world.deploy(&app, Rollout::AtOnce, now);
        });
    }
    heroku
}
