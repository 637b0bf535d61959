//! `dynowarden demo`: the daemon that ships, beside a simulated Heroku in the same process.
//!
//! Both ends speak real HTTP on loopback; only time runs faster, on one clock for both, so a leak that
//! takes an hour can be watched in minutes.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::cli::DemoArgs;
use crate::commands::serve::cancel_on_signal;
use crate::config::settings::Settings;
use crate::config::{self, Needs, Sources};
use crate::daemon::{self, Running};
use crate::engine::record::{Hold, Record, Verdict};
use crate::ident::{AppId, AppName, DynoName};
use crate::shell::clock::Clock;
use crate::shell::telemetry;
use crate::sim::app::AppSpec;
use crate::sim::clock::WorldClock;
use crate::sim::dyno::{Behaviour, DynoPlan};
use crate::sim::line::{LogLine, Source};
use crate::sim::operations::Rollout;
use crate::sim::server::{SimHeroku, SimOptions};

/// Runs the demo until its time is over, or SIGTERM or SIGINT.
///
/// # Errors
/// It cannot start, or broke.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    // The story is told on standard output; the daemon's own log would only tell it twice.
    telemetry::begin(None, Some(&std::env::var("RUST_LOG").unwrap_or_else(|_| "error".to_owned())))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(play(args))
}

async fn play(args: &DemoArgs) -> anyhow::Result<()> {
    let clock = Clock::scaled(args.speed);
    let world_clock = WorldClock::new(args.speed, move || clock.now().wall);
    let options =
        SimOptions { clock: world_clock, port: args.api_port, seed: args.seed, ..SimOptions::default() };
    let heroku = SimHeroku::start(options)
        .await
        .with_context(|| format!("the simulated Platform API cannot have port {}", args.api_port))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port))
        .await
        .with_context(|| format!("the daemon cannot have port {}: choose another with --port", args.port))?;
    let url = format!("http://{}", listener.local_addr()?);

    open_shop(&heroku, &url)?;
    let settings = settings(&heroku.api_url())?;
    let names: Vec<AppName> = settings.apps.iter().map(|app| app.plan.name.clone()).collect();
    say_where(&url, &heroku.api_url(), args)?;

    let shutdown = CancellationToken::new();
    cancel_on_signal(shutdown.clone())?;
    let Running { handle, ended } = daemon::start(settings, listener, clock, shutdown.clone()).await?;
    let story = tokio::spawn(tell(heroku.lines(), handle.records(), names));
    let deploys = tokio::spawn(deploy_now_and_then(heroku, clock, shutdown.clone()));
    let time_is_up = async {
        match args.duration {
            Some(span) => tokio::time::sleep(span).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = time_is_up => shutdown.cancel(),
        () = shutdown.cancelled() => {}
    }
    let result = ended.await.context("the daemon broke")?;
    story.abort();
    let heroku = deploys.await.context("the simulated Heroku broke")?;
    heroku.shutdown().await;
    result
}

/// A small shop: one app that leaks, one that a restart cannot help, one that crashes, one that is well.
const SHOP: [&str; 4] = ["acme-shop", "acme-search", "acme-blog", "acme-pay"];

/// Opens nothing but this machine's loopback; a demo that asks for no account has no better secret.
const PASSWORD: &str = "demo";

fn open_shop(heroku: &SimHeroku, url: &str) -> anyhow::Result<()> {
    let leak = |from_mb, mb_per_min| Behaviour::Leak { from_mb, mb_per_min };
    let boot = Duration::from_secs(12);
    let plan = |behaviour| DynoPlan { behaviour, boot, ..DynoPlan::default() };
    let plans = [
        (3, plan(leak(330, 6))),
        (2, plan(Behaviour::Plateau { permille: 1180 })),
        (2, DynoPlan { crash_after: Some(Duration::from_secs(2400)), ..plan(leak(250, 4)) }),
        (2, plan(Behaviour::Steady { mb: 240 })),
    ];
    for (name, (webs, plan)) in SHOP.into_iter().zip(plans) {
        let name: AppName = name.parse().context("the shop's names are names")?;
        let mut spec = AppSpec::new(name.clone(), webs);
        spec.formations.iter_mut().for_each(|formation| formation.plan = plan);
        spec.metrics = true;
        spec.router_every = Some(Duration::from_secs(3));
        // The leak is about to be over its quota: nobody waits half an hour for a demo to begin.
        spec.uptime = Duration::from_secs(29 * 60);
        heroku.add_app(spec);
        heroku.add_drain(&name, &SimHeroku::drain_url(&format!("{url}/logs/{name}"), "logplex", PASSWORD))?;
    }
    Ok(())
}

/// The settings of the daemon, read by the code that reads a user's.
fn settings(api_url: &str) -> anyhow::Result<Settings> {
    let pairs = [
        ("HEROKU_API_URL", api_url),
        ("HEROKU_API_KEY", PASSWORD),
        ("HEROKU_APP", &SHOP.join(",")),
        ("DRAIN_PASSWORD", PASSWORD),
        ("ADMIN_PASSWORD", &format!("{PASSWORD}-admin")),
        ("HOOK_KEY", &format!("{PASSWORD}-hook")),
        ("DATABASE_URL", "memory"),
    ];
    let env: Vec<(OsString, OsString)> =
        pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    let no_file = |_: &std::path::Path| Err(io::Error::from(io::ErrorKind::NotFound));
    let settings = config::load(&Sources { config: None, env: &env, read_file: &no_file }, Needs::Serving)?;
    Ok(Settings { listen: IpAddr::V4(Ipv4Addr::LOCALHOST), ..settings })
}

fn say_where(url: &str, api_url: &str, args: &DemoArgs) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let authority = url.trim_start_matches("http://");
    writeln!(out, "status page   http://admin:{PASSWORD}-admin@{authority}/")?;
    writeln!(out, "daemon        {url}   (drains: POST {url}/logs/{{app}}, password {PASSWORD})")?;
    writeln!(out, "Platform API  {api_url}   (HEROKU_HOST={api_url} heroku ps -a {}, any token)", SHOP[0])?;
    writeln!(out, "time runs {} times as fast as yours; seed {}", args.speed, args.seed)?;
    writeln!(out)?;
    out.flush()
}

/// Tells the story line by line, until the demo ends.
async fn tell(mut lines: Receiver<LogLine>, mut records: Receiver<Record>, apps: Vec<AppName>) {
    let mut refusals = Refusals::default();
    loop {
        let line = tokio::select! {
            line = lines.recv() => match line {
                Ok(line) => platform_line(&line),
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return,
            },
            record = records.recv() => match record {
                Ok(record) if refusals.repeats(&record) => None,
                Ok(record) => Some(record_line(&record, &apps)),
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return,
            },
        };
        if let Some(line) = line
            && writeln!(io::stdout().lock(), "{line}").is_err()
        {
            // Nobody reads any more, as after `| head`.
            return;
        }
    }
}

/// What the platform says that is worth telling: errors and changes of state, not each sample.
fn platform_line(line: &LogLine) -> Option<String> {
    let text = String::from_utf8_lossy(&line.text);
    let is_news =
        text.starts_with("Error R") || text.starts_with("State changed") || text.starts_with("Release v");
    let is_platform = matches!(line.source, Source::Heroku) || line.procid == "api";
    (is_news && is_platform)
        .then(|| told(line.at, line.app.as_str(), &line.procid, "heroku", text.trim_end()))
}

/// The last refusal of each dyno: the same one comes with every R14, and who watches has read it.
#[derive(Default)]
struct Refusals(HashMap<(AppId, DynoName), &'static str>);

impl Refusals {
    fn repeats(&mut self, record: &Record) -> bool {
        let Record::Decision(decision) = record else { return false };
        let Some(dyno) = &decision.dyno else { return false };
        let place = (decision.app, dyno.clone());
        match &decision.verdict {
            Verdict::Hold(Hold::UnderWay) => true,
            Verdict::Hold(hold) => self.0.insert(place, hold.label()) == Some(hold.label()),
            Verdict::Notify | Verdict::Restart { .. } => {
                self.0.remove(&place);
                false
            }
        }
    }
}

fn record_line(record: &Record, apps: &[AppName]) -> String {
    let app = |app: AppId| apps.get(app.0 as usize).map_or("?", AppName::as_str);
    let name = |dyno: Option<String>| dyno.unwrap_or_default();
    match record {
        Record::Decision(decision) => {
            let dyno = name(decision.dyno.as_ref().map(ToString::to_string));
            told(decision.at, app(decision.app), &dyno, decision.verdict.word(), &decision.reason())
        }
        Record::Notice(notice) => {
            let dyno = name(notice.dyno.as_ref().map(ToString::to_string));
            told(notice.at, app(notice.app), &dyno, "tell", &notice.what.to_string())
        }
        Record::Outcome(outcome) => {
            let (label, text) = (outcome.result.label(), outcome.result.to_string());
            told(outcome.at, app(outcome.app), &outcome.dyno.to_string(), label, &text)
        }
    }
}

fn told(at: Timestamp, app: &str, dyno: &str, who: &str, text: &str) -> String {
    format!("{}  {app:<12} {dyno:<7} {who:<9} {text}", at.strftime("%H:%M:%S"))
}

/// Somebody deploys the app that is well, about once an hour of its time.
async fn deploy_now_and_then(heroku: SimHeroku, clock: Clock, shutdown: CancellationToken) -> SimHeroku {
    let app: AppName = SHOP[3].parse().expect("the shop's names are names");
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return heroku,
            () = tokio::time::sleep(clock.real(Duration::from_secs(3600))) => {
                // The app may have been taken away by whoever plays with the API.
                let _missing = heroku.with(|platform, now| platform.world.deploy(&app, Rollout::AtOnce, now));
            }
        }
    }
}
