//! The daemon's resources: until it is ready, at rest, under load over time, and for 100,000 dynos.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::beside::daemon_env;
use crate::client::{self, Batches, Load, Sender};
use crate::corpus::Corpus;
use crate::figures::Spread;
use crate::platform::Platform;
use crate::server::Server;

const STARTS: usize = 10;
const BATCHES_PER_SECOND: u32 = 5000;
const SPAN: Duration = Duration::from_secs(40);
const APPS: u32 = 1000;
const DYNOS_PER_APP: u32 = 100;
const ROUNDS: u32 = 5;

pub async fn run(daemon: &Path) -> anyhow::Result<()> {
    let platform = Platform::start(20).await?;
    let size = std::fs::metadata(daemon)?.len() as f64 / f64::from(1 << 20);
    println!("\nthe binary: {size:.2} MiB");
    at_rest(daemon, &platform).await?;
    under_load(daemon, &platform).await?;
    many_dynos(daemon, &platform).await
}

pub async fn dynos(daemon: &Path) -> anyhow::Result<()> {
    many_dynos(daemon, &Platform::start(20).await?).await
}

async fn at_rest(daemon: &Path, platform: &Platform) -> anyhow::Result<()> {
    let (mut ready, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let server = Server::start(daemon, &["serve"], &daemon_env(platform, "acme", &[]), &[])?;
        ready.push(server.ready_after.as_secs_f64() * 1000.0);
        tokio::time::sleep(Duration::from_secs(1)).await;
        resident.push(server.resident());
    }
    println!(
        "start to ready: {:.1} ms; at rest {:.1} MiB resident ({STARTS} starts)",
        Spread::of(ready),
        Spread::of(resident)
    );
    Ok(())
}

async fn under_load(daemon: &Path, platform: &Platform) -> anyhow::Result<()> {
    for (words, batch_frames) in [("5 frames", 5), ("100 frames", 100)] {
        let server = Server::start(daemon, &["serve"], &daemon_env(platform, "acme", &[]), &[])?;
        let load = Load {
            address: server.address,
            app: "acme".into(),
            batches: Arc::new(Batches {
                bodies: Corpus::cut(14, 10_000, batch_frames).batches,
                frames: batch_frames,
            }),
            connections: 32,
            pace: Some(BATCHES_PER_SECOND),
            warm_up: Duration::ZERO,
            counted: SPAN,
        };
        let sending = tokio::spawn(async move { client::run(&load, || {}).await });
        println!("{BATCHES_PER_SECOND} batches/s of {words}, resident MiB:");
        for second in (10..=SPAN.as_secs()).step_by(10) {
            tokio::time::sleep(Duration::from_secs(10)).await;
            println!("    after {second} s  {:.1}", server.resident());
        }
        println!("    {:.0} batches/s answered", sending.await??.per_second());
    }
    Ok(())
}

/// Every dyno reports its memory, round after round, as with runtime metrics.
async fn many_dynos(daemon: &Path, platform: &Platform) -> anyhow::Result<()> {
    let apps: Vec<String> = (0..APPS).map(|app| format!("app-{app}")).collect();
    let server = Server::start(daemon, &["serve"], &daemon_env(platform, &apps.join(","), &[]), &[])?;
    println!("{APPS} apps, resident MiB: {:.1} before the first line", server.resident());
    for round in 1..=ROUNDS {
        for app in &apps {
            let mut sender = Sender::connect(server.address, app).await?;
            let lines: String = (1..=DYNOS_PER_APP).map(|index| sample(app, index, round)).collect();
            sender.post(lines.as_bytes(), DYNOS_PER_APP as usize).await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        println!("    {} dynos, {round} samples of each: {:.1}", APPS * DYNOS_PER_APP, server.resident());
    }
    Ok(())
}

fn sample(app: &str, index: u32, round: u32) -> String {
    let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00");
    let app = app.trim_start_matches("app-");
    let line = format!(
        "<134>1 {at} host heroku web.{index} - source=web.{index} dyno=heroku.{app}.{app:0>8}-4f8e-4e68-b42a-{index:012} \
         sample#memory_total={}.00MB sample#memory_rss=221.47MB sample#memory_cache=3.70MB sample#memory_swap=0.00MB \
         sample#memory_pgpgin=149293pages sample#memory_pgpgout=123257pages sample#memory_quota=512.00MB\n",
        200 + round
    );
    format!("{} {line}", line.len())
}
