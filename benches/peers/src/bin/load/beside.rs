//! Requests per second and their times, compared with a bare server, in alternating rounds: disturbances of
//! the machine affect both.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::client::{self, Batches, DRAIN_PASSWORD, Load, Tally};
use crate::corpus::Corpus;
use crate::figures::{Spread, percentile};
use crate::platform::Platform;
use crate::server::Server;

const CONNECTIONS: usize = 16;
const COUNTED: Duration = Duration::from_millis(2500);
const WARM_UP: Duration = Duration::from_millis(300);

/// Frames per batch; the last size fills the 100 KiB at which logplex splits.
pub const SIZES: [(&str, usize); 3] = [("5 frames", 5), ("100 frames", 100), ("full", usize::MAX)];

/// Frames of the corpus: three megabytes for every batch size, more than the caches near the core.
const FRAMES: usize = 10_000;

pub const SEED: u64 = 14;

/// The servers have a processor of their own; the load runs on the other one.
const ON_SERVER_CPU: [&str; 3] = ["taskset", "-c", "0"];

struct Round {
    per_second: f64,
    p50: f64,
    p99: f64,
    cpu_micros: f64,
}

/// One kind of server, running, and its rounds.
struct Contender {
    name: &'static str,
    server: Server,
    rounds: Vec<Round>,
}

/// Measures the maximum rate of each server, or with `paced` half of the bare one's rate.
pub async fn run(bare: &Path, daemon: &Path, paced: bool) -> anyhow::Result<()> {
    let platform = Platform::start(20).await?;
    // A load generator that sleeps while it waits must be woken, which on a virtual machine costs the server
    // more than its response: only the slower server would pay for that.
    let awake = tokio::spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    for (size, batch_frames) in SIZES {
        let batches = Arc::new(batches(SEED, batch_frames));
        let octets = batches.bodies.iter().map(Vec::len).sum::<usize>() / batches.bodies.len();
        println!("\n{size}: {} frames, {:.1} KiB on average\n", batches.frames, octets as f64 / 1024.0);
        let mut contenders = contenders(bare, daemon, &platform)?;
        let mut pace = None;
        if paced {
            let found = round(&contenders[0].server, &batches, None).await?;
            pace = Some((found.per_second / 2.0) as u32);
            println!("at {} requests a second", found.per_second as u32 / 2);
        }
        for _ in 0..rounds() {
            for contender in &mut contenders {
                let round = round(&contender.server, &batches, pace).await?;
                contender.rounds.push(round);
            }
        }
        report(size, &contenders);
    }
    awake.abort();
    Ok(())
}

fn contenders(bare: &Path, daemon: &Path, platform: &Platform) -> anyhow::Result<Vec<Contender>> {
    let with =
        |statistics| Server::start(daemon, &["serve"], &settings(platform, statistics), &ON_SERVER_CPU);
    let contender = |name, server| Contender { name, server, rounds: Vec::new() };
    Ok(vec![
        contender("bare hyper", Server::start(bare, &[], &[], &ON_SERVER_CPU)?),
        contender("dynowarden", with(false)?),
        contender("with statistics", with(true)?),
    ])
}

/// Batches of so many frames, with today's date: what is long past is not counted.
pub fn batches(seed: u64, batch_frames: usize) -> Batches {
    let corpus = Corpus::cut(seed, FRAMES, batch_frames);
    let frames = FRAMES / corpus.batches.len();
    let today = Timestamp::now().strftime("%Y-%m-%dT").to_string();
    let dated = |body: Vec<u8>| {
        let text = String::from_utf8(body).expect("the corpus is UTF-8");
        text.replace("2026-03-10T", &today).into_bytes()
    };
    Batches { bodies: corpus.batches.into_iter().map(dated).collect(), frames }
}

/// The settings of a daemon that watches `acme`.
pub fn settings(platform: &Platform, statistics: bool) -> Vec<(&'static str, String)> {
    daemon_env(platform, "acme", &[("DYNOWARDEN_DRAIN__STATISTICS", statistics.to_string())])
}

/// Five, unless `LOAD_ROUNDS` is set.
fn rounds() -> usize {
    std::env::var("LOAD_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5)
}

/// The environment of a daemon that watches these apps, with every costly feature on.
pub fn daemon_env(
    platform: &Platform,
    apps: &str,
    more: &[(&'static str, String)],
) -> Vec<(&'static str, String)> {
    let mut env = vec![
        ("HEROKU_API_URL", format!("http://{}", platform.address)),
        ("HEROKU_API_KEY", "a-token".into()),
        ("HEROKU_APP", apps.into()),
        ("DRAIN_PASSWORD", DRAIN_PASSWORD.into()),
        ("ADMIN_PASSWORD", "admin-secret".into()),
        ("DYNOWARDEN_LISTEN", "127.0.0.1".into()),
        ("PORT", "0".into()),
        ("LOG_FORMAT", "json".into()),
    ];
    env.extend_from_slice(more);
    env
}

async fn round(server: &Server, batches: &Arc<Batches>, pace: Option<u32>) -> anyhow::Result<Round> {
    let load = Load {
        address: server.address,
        app: "acme".into(),
        batches: batches.clone(),
        connections: CONNECTIONS,
        pace,
        warm_up: WARM_UP,
        counted: COUNTED,
    };
    let mut cpu = Vec::new();
    let Tally { mut latencies, span } = client::run(&load, || cpu.push(server.cpu())).await?;
    let answered = latencies.len() as f64;
    let micros = |nanos: u32| f64::from(nanos) / 1000.0;
    Ok(Round {
        per_second: answered / span.as_secs_f64(),
        p50: micros(percentile(&mut latencies, 0.5)),
        p99: micros(percentile(&mut latencies, 0.99)),
        cpu_micros: (cpu[1] - cpu[0]).as_secs_f64() * 1e6 / answered,
    })
}

fn report(size: &str, contenders: &[Contender]) {
    println!(
        "| batch | server | requests/s | of bare | p50 µs | p99 µs | of bare | CPU µs/request | of bare |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let bare = &contenders[0].rounds;
    for Contender { name, rounds, .. } in contenders {
        let spread = |of: fn(&Round) -> f64| Spread::of(rounds.iter().map(of));
        // Round by round, because both servers of a round had the same disturbances.
        let ratio = |of: fn(&Round) -> f64| {
            Spread::of(rounds.iter().zip(bare).map(|(round, bare)| of(round) / of(bare)))
        };
        println!(
            "| {size} | {name} | {} | {:.2} | {:.0} | {:.0} | {:.2} | {:.1} | {:.2} |",
            spread(|round| round.per_second),
            ratio(|round| round.per_second),
            spread(|round| round.p50),
            spread(|round| round.p99),
            ratio(|round| round.p99),
            spread(|round| round.cpu_micros),
            ratio(|round| round.cpu_micros),
        );
    }
}
