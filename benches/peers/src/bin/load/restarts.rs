//! From the POST of an R14 to the DELETE of its dyno, while other batches arrive.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use jiff::Timestamp;

use crate::beside::daemon_env;
use crate::client::{self, Batches, Load, Sender};
use crate::corpus::Corpus;
use crate::figures::{Spread, histogram, percentile};
use crate::platform::Platform;
use crate::server::Server;

const APPS: u32 = 20;
const DYNOS_PER_APP: u32 = 20;
const BATCHES_PER_SECOND: u32 = 5000;
const CONNECTIONS: usize = 32;
const ON_SERVER_CPU: [&str; 3] = ["taskset", "-c", "0"];
const FRAMES: usize = 10_000;
const SEED: u64 = 14;

/// Between two errors: each of the 400 dynos errs once.
const ERROR_EVERY: Duration = Duration::from_millis(50);

/// How long a DELETE is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Frames around one R14, and the number of tries.
const HAYSTACK: usize = 1_000_000;
const NEEDLES: u32 = 10;

pub async fn run(daemon: &Path) -> anyhow::Result<()> {
    for (words, batch_frames) in [("5 frames", 5), ("100 frames", 100)] {
        for database in ["sqlite://dynowarden.db", "memory"] {
            let platform = Platform::start(DYNOS_PER_APP).await?;
            let server = start(daemon, &platform, database)?;
            let load = load(&server, batch_frames);
            println!("\n{BATCHES_PER_SECOND} batches/s of {words}, {database}");
            measure(&server, &platform, &load).await?;
        }
    }
    Ok(())
}

fn start(daemon: &Path, platform: &Platform, database: &str) -> anyhow::Result<Server> {
    let apps: Vec<String> = (0..APPS).map(|app| format!("app-{app}")).collect();
    let more = [
        ("DATABASE_URL", database.to_owned()),
        ("DYNOWARDEN_POLICY__MAX_CONCURRENT", DYNOS_PER_APP.to_string()),
        ("DYNOWARDEN_POLICY__SETTLE", "1s".into()),
    ];
    let env = daemon_env(platform, &format!("acme,{}", apps.join(",")), &more);
    Server::start(daemon, &["serve"], &env, &ON_SERVER_CPU)
}

fn load(server: &Server, batch_frames: usize) -> Load {
    let bodies = Corpus::cut(SEED, FRAMES, batch_frames).batches;
    Load {
        address: server.address,
        app: "acme".into(),
        batches: Arc::new(Batches { bodies, frames: batch_frames }),
        connections: CONNECTIONS,
        pace: Some(BATCHES_PER_SECOND),
        warm_up: Duration::from_secs(1),
        counted: ERROR_EVERY * APPS * DYNOS_PER_APP + Duration::from_secs(1),
    }
}

async fn measure(server: &Server, platform: &Platform, load: &Load) -> anyhow::Result<()> {
    let background = load.clone();
    let resident_before = server.resident();
    let background = tokio::spawn(async move { client::run(&background, || {}).await });
    tokio::time::sleep(load.warm_up).await;
    let mut sent = Vec::new();
    let mut resident = Vec::new();
    let mut timer = tokio::time::interval(ERROR_EVERY);
    for dyno in 1..=DYNOS_PER_APP {
        for app in 0..APPS {
            timer.tick().await;
            let app = format!("app-{app}");
            let mut sender = Sender::connect(server.address, &app).await?;
            let dyno = format!("web.{dyno}");
            let at = Instant::now();
            sender.post(error(&dyno).as_bytes(), 1).await?;
            sent.push((app, dyno, at));
        }
        resident.push(server.resident());
    }
    let tally = background.await??;
    let mut waits = Vec::new();
    for (app, dyno, at) in &sent {
        let deleted = wait_for(platform, app, dyno).await?;
        waits.push(u32::try_from((deleted - *at).as_nanos()).unwrap_or(u32::MAX));
    }
    println!("background: {:.0} batches/s answered", tally.per_second());
    println!("resident: {resident_before:.1} MiB before, {:.1} MiB under the load", Spread::of(resident));
    let mut sorted = waits.clone();
    let millis = |nanos: u32| f64::from(nanos) / 1e6;
    let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| millis(percentile(&mut sorted, share)));
    let most = millis(sorted.last().copied().unwrap_or(0));
    println!(
        "POST to DELETE, {} errors: p50 {p50:.2} ms, p90 {p90:.2} ms, p99 {p99:.2} ms, most {most:.2} ms",
        waits.len()
    );
    histogram(&waits);
    Ok(())
}

/// One error among a million frames, over HTTP, repeatedly.
pub async fn needles(daemon: &Path) -> anyhow::Result<()> {
    let platform = Platform::start(DYNOS_PER_APP).await?;
    let server = start(daemon, &platform, "memory")?;
    let mut bodies = Corpus::new(SEED, FRAMES).batches;
    bodies.iter_mut().for_each(|body| *body = harmless(body));
    let mut frames = 0;
    for needle in 0..NEEDLES {
        let app = format!("app-{needle}");
        let mut sender = Sender::connect(server.address, &app).await?;
        // A different place each time; the others are spread evenly.
        let place = HAYSTACK / NEEDLES as usize * needle as usize;
        let (mut here, mut is_hidden) = (0, false);
        for body in bodies.iter().cycle() {
            if here >= HAYSTACK {
                break;
            }
            let in_body = FRAMES / bodies.len();
            if here >= place && !is_hidden {
                sender.post(&[body, error("web.7").as_bytes()].concat(), in_body + 1).await?;
                is_hidden = true;
            } else {
                sender.post(body, in_body).await?;
            }
            here += in_body;
        }
        frames += here;
        wait_for(&platform, &app, "web.7").await?;
    }
    println!(
        "\n{NEEDLES} errors, each among {} frames: every one led to its DELETE",
        frames / NEEDLES as usize
    );
    Ok(())
}

/// The same octets, with every `Error R14` replaced.
fn harmless(body: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(body).replace("Error R14", "Error_R14").into_bytes()
}

fn error(dyno: &str) -> String {
    let at = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00");
    let line = format!("<134>1 {at} host heroku {dyno} - Error R14 (Memory quota exceeded)\n");
    format!("{} {line}", line.len())
}

async fn wait_for(platform: &Platform, app: &str, dyno: &str) -> anyhow::Result<Instant> {
    let began = Instant::now();
    loop {
        if let Some(at) = platform.deleted(app, dyno) {
            return Ok(at);
        }
        if began.elapsed() > PATIENCE {
            bail!("{dyno} of {app} was not restarted");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
