//! An hour of realistic load on the real binary: `scripts/soak`, or for ten minutes `scripts/soak 10m`.
//!
//! Several apps log thousands of lines a second, their dynos leak and are restarted all the time, people
//! deploy and scale, logplex repeats and reorders, the API fails now and then, and clients read the page and
//! the metrics. Meanwhile the daemon's resources are sampled, and its promises and every leak are watched.
//! Any growth, broken promise or forgotten dyno ends it with exit code 1.

mod figures;
mod scene;
mod watch;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use heroku_sim::rng::Chance;
use heroku_sim::server::{SimHeroku, SimOptions};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::figures::{Sample, Samples};
use crate::watch::Watch;
use support::client::{metric, read};
use support::daemon::Daemon;
use support::judge::{Judge, Others};
use support::process::{cpu_seconds, usage};

/// An hour (or another duration) of realistic load on the real binary.
#[derive(Debug, Parser)]
struct Options {
    /// How long, such as 10m.
    #[arg(default_value = "1h", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// The random seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Lines a second, over all apps.
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u32).range(1..))]
    lines: u32,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let broken = runtime.block_on(async {
        let mut ended = signal(SignalKind::terminate()).expect("a signal");
        tokio::select! {
            broken = run(&options) => broken,
            _ = ended.recv() => vec!["ended from outside".to_owned()],
            _ = tokio::signal::ctrl_c() => vec!["ended from outside".to_owned()],
        }
    });
    for what in broken.iter().take(REPORTED_MAX) {
        println!("BROKEN: {what}");
    }
    if broken.is_empty() {
        println!("ok: no growth, every promise kept, every leak handled");
        return ExitCode::SUCCESS;
    }
    println!(
        "{} things broken; again with: scripts/soak {:?} --seed {}",
        broken.len(),
        options.duration,
        options.seed
    );
    ExitCode::FAILURE
}

async fn run(options: &Options) -> Vec<String> {
    let mut chance = Chance::new(options.seed);
    let sim = SimOptions {
        clock: scene::clock(),
        drains: scene::drains(),
        seed: chance.draw(),
        ..SimOptions::default()
    };
    let heroku = SimHeroku::start(sim).await.expect("loopback");
    let apps = scene::apps(options.lines);
    for app in &apps {
        scene::add(&heroku, app, &mut chance);
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("record.db");
    let database = format!("sqlite://{}", file.display());
    let names: Vec<&str> = apps.iter().map(|app| app.name.as_str()).collect();
    let names = names.join(",");
    let mut env = vec![("DATABASE_URL", database.as_str()), ("HEROKU_APP", names.as_str())];
    env.extend(scene::POLICY);
    let daemon = Daemon::start(&heroku.api_url(), &env);
    for app in &apps {
        support::fixtures::drain_to(&heroku, &daemon.url, &app.name);
    }
    scene::some_failures(&heroku);
    let rows = SqliteConnectOptions::new().filename(&file).read_only(true);
    let mut soak = Soak {
        daemon,
        heroku,
        judge: Judge::new(scene::BOUNDS, Others::Platform),
        lines_read: 0,
        refusals: BTreeMap::new(),
        rows,
        samples: Samples::default(),
        watch: Watch::default(),
    };
    soak.run(options.duration, &apps, &mut chance).await;
    let broken = soak.conclude(options.duration, scene::names(&apps));
    soak.heroku.shutdown().await;
    broken
}

struct Soak {
    daemon: Daemon,
    heroku: SimHeroku,
    judge: Judge,
    lines_read: usize,
    refusals: BTreeMap<String, u64>,
    rows: SqliteConnectOptions,
    samples: Samples,
    watch: Watch,
}

impl Soak {
    async fn run(&mut self, duration: Duration, apps: &[scene::App], chance: &mut Chance) {
        let began = Instant::now();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        let (mut next_sample, mut next_mischief) = (began + SAMPLE_EVERY, began + scene::MISCHIEF_EVERY);
        while began.elapsed() < duration {
            ticks.tick().await;
            self.read_log();
            self.heroku.see(|platform, now| {
                self.judge.look(platform);
                self.watch.look(platform, now);
            });
            if Instant::now() >= next_mischief {
                next_mischief += scene::MISCHIEF_EVERY;
                scene::mischief(&self.heroku, apps, chance);
            }
            if Instant::now() >= next_sample {
                next_sample += SAMPLE_EVERY;
                if let Some(sample) = self.sample(began.elapsed()).await {
                    self.samples.add(sample);
                } else {
                    self.judge.broken.push("the daemon could not be sampled".to_owned());
                    return;
                }
            }
        }
    }

    /// Notes the decisions in the daemon's log.
    fn read_log(&mut self) {
        let lines = self.daemon.lines_from(self.lines_read);
        self.lines_read += lines.len();
        let now = self.heroku.now();
        for line in lines {
            let text = |key: &str| line[key].as_str().unwrap_or_default();
            if text("decision") == "hold" {
                *self.refusals.entry(text("code").to_owned()).or_default() += 1;
                self.watch.refused(text("app"), text("dyno"), text("code"), now);
            }
            if text("level") == "ERROR" {
                self.judge.broken.push(format!("the daemon logged an error: {line}"));
            }
        }
    }

    async fn sample(&self, at: Duration) -> Option<Sample> {
        let url = self.daemon.url.clone();
        // As Prometheus and a person with the page open would.
        let (page, _home, _dynos) = tokio::task::block_in_place(|| {
            (read(&url, "/metrics"), read(&url, "/"), read(&url, "/api/v1/dynos"))
        });
        let page = page?;
        let mut connection = self.rows.connect().await.ok()?;
        let count =
            "SELECT (SELECT count(*) FROM dynowarden_decisions), (SELECT count(*) FROM dynowarden_restarts)";
        let row = sqlx::query(count).fetch_one(&mut connection).await.ok()?;
        let pid = self.daemon.id();
        Some(Sample {
            at,
            usage: usage(pid)?,
            cpu_seconds: cpu_seconds(&pid.to_string())?,
            own_cpu_seconds: cpu_seconds("self")?,
            frames: metric(&page, "dynowarden_frames_total")?,
            batches: metric(&page, "dynowarden_batches_total")?,
            dynos: metric(&page, "dynowarden_dynos")?,
            connections: metric(&page, "dynowarden_connections")?,
            tasks: metric(&page, "dynowarden_tasks")?,
            decisions: row.get(0),
            restarts: row.get(1),
        })
    }

    /// Prints the figures, and returns everything that was broken.
    fn conclude(&mut self, duration: Duration, names: u32) -> Vec<String> {
        let mut broken = std::mem::take(&mut self.judge.broken);
        broken.extend(self.watch.broken());
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak.tsv");
        std::fs::write(&path, self.samples.table()).expect("a file");
        println!("samples: {}", path.display());
        println!("restarts that took effect: {} of {} DELETEs", self.judge.restarts, self.judge.deleted);
        println!("refusals by reason: {:?}", self.refusals);
        println!("{}", self.watch);
        broken.extend(self.samples.conclude(duration, names));
        if self.judge.restarts == 0 {
            broken.push("nothing was restarted".to_owned());
        }
        broken
    }
}

/// How often the world is checked: a dyno boots in seconds.
const LOOK_EVERY: Duration = Duration::from_millis(200);

const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// Findings that are printed one by one.
const REPORTED_MAX: usize = 20;
