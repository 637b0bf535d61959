//! `dynowarden demo`: the real daemon alongside a simulated Heroku in the same process.
//!
//! Both sides use real HTTP on loopback. Only time runs faster, on one clock for both, so a leak that takes
//! an hour can be watched in minutes.

mod people;
mod story;

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cli::DemoArgs;
use crate::clock::Clock;
use crate::commands::columns;
use crate::commands::demo::story::Story;
use crate::commands::serve::cancel_on_signal;
use crate::config::settings::Settings;
use crate::config::{self, Needs, Sources};
use crate::daemon::{self, Running};
use crate::telemetry;
use crate::terminal::Colour;
use dynowarden_core::ident::AppName;
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

    open_shop(&heroku, &url)?;
    let settings = settings(&heroku.api_url(), &format!("http://{}/", mailbox.local_addr()?))?;
    let names: Vec<AppName> = settings.apps.iter().map(|app| app.plan.name.clone()).collect();
    say_where(&url, &heroku.api_url(), args)?;

    let shutdown = CancellationToken::new();
    cancel_on_signal(shutdown.clone())?;
    let Running { handle, ended } = daemon::start(settings, listener, clock, shutdown.clone()).await?;
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

/// A small shop: one app that leaks, one that a restart cannot help, one that crashes, one with deploys.
const SHOP: [&str; 4] = ["acme-shop", "acme-search", "acme-blog", "acme-pay"];

/// Opens only this machine's loopback; a demo without an account has no better secret.
const PASSWORD: &str = "demo";

fn open_shop(heroku: &SimHeroku, url: &str) -> anyhow::Result<()> {
    let leak = |from_mb, mb_per_min| Behaviour::Leak { from_mb, mb_per_min };
    let boot = Duration::from_secs(12);
    let plan = |behaviour| DynoPlan { behaviour, boot, ..DynoPlan::default() };
    let plans = [
        (3, plan(leak(330, 4))),
        (2, plan(Behaviour::Plateau { permille: 1180 })),
        (2, DynoPlan { crash_after: Some(Duration::from_secs(800)), ..plan(leak(250, 4)) }),
        (2, plan(Behaviour::Steady { mb: 240 })),
    ];
    for (name, (webs, plan)) in SHOP.into_iter().zip(plans) {
        let name: AppName = name.parse().context("the shop's names are names")?;
        let mut spec = AppSpec::new(name.clone(), webs);
        spec.formations.iter_mut().for_each(|formation| formation.plan = plan);
        spec.metrics = true;
        spec.router_every = Some(Duration::from_millis(600));
        spec.swaps = true;
        // The leak is about to exceed its quota: a demo should not begin with a long wait. From then on it
        // takes three quarters of an hour, which is slow enough for `max_restarts`.
        spec.uptime = Duration::from_secs(44 * 60);
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

/// One app of the shop is given up early, so that even a short demo shows it.
const SETTINGS: &str = r#"
[[app]]
name = "acme-search"
[app.policy]
give_up_after = 1

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
         {leaks} leaks, {plateau} needs more than its quota, {crashes} crashes, {deploys} is deployed.\n\
         \"heroku\" lines come from the platform, \"message\" lines are notifications, everything else is \
         what dynowarden does, and why.\n",
        args.speed,
        args.seed
    )
}

/// Deploys the healthy app, soon and then about once an hour of its time.
async fn deploy_now_and_then(heroku: SimHeroku, clock: Clock, shutdown: CancellationToken) -> SimHeroku {
    let app: AppName = SHOP[3].parse().expect("the shop's names are names");
    let mut wait = Duration::from_secs(6 * 60);
    while shutdown.run_until_cancelled(tokio::time::sleep(clock.real(wait))).await.is_some() {
        wait = Duration::from_secs(3600);
        // A user who experiments with the API may have removed the app.
        let _missing = heroku.with(|platform, now| platform.world.deploy(&app, Rollout::AtOnce, now));
    }
    heroku
}
