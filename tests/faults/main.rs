//! Faults on the real binary, over real HTTP, against the simulated Heroku: `scripts/faults`.
//!
//! Every dyno errs all the time, so that at any moment a dyno is being inspected, claimed, restarted or
//! watched. Then a fault begins and ends. The simulated Heroku's view is checked against the promises
//! throughout. Afterwards restarts must continue, and the daemon must hold no more than before. Any failure
//! ends it with exit code 1 and the seed to run it again.

mod api;
mod bench;
mod hostile;
mod kills;
mod logplex;
mod machine;

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use clap::Parser;

use crate::bench::{Broken, Row, STOP};
use crate::kills::End;

/// Faults on the real binary against the simulated Heroku.
#[derive(Debug, Parser)]
struct Options {
    /// Less than a minute: every fault once, and ten kills of each kind.
    #[arg(long)]
    quick: bool,
    /// Only lanes whose name contains this: api, kill, term, last, useless, replicas, descriptors, store,
    /// away, clock, logplex, hostile.
    #[arg(long, default_value = "")]
    only: String,
    /// The random seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// How often everything is done.
#[derive(Clone, Copy)]
struct Dose {
    lives: u32,
    restarts: usize,
    rounds: u32,
    span: Duration,
}

type SenderId = (String, Box<dyn FnOnce() -> Run + Send>);
type Run = Pin<Box<dyn Future<Output = Result<Vec<Row>, Broken>>>>;

fn main() -> ExitCode {
    let options = Options::parse();
    let dose = match options.quick {
        true => Dose { lives: 10, restarts: 1, rounds: 1, span: Duration::from_secs(1) },
        false => Dose { lives: 250, restarts: 3, rounds: 8, span: Duration::from_secs(5) },
    };
    let began = Instant::now();
    std::thread::spawn(|| {
        runtime().block_on(async {
            let mut ended =
                tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).expect("a signal");
            tokio::select! {
                _ = ended.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            STOP.store(true, Ordering::Relaxed);
        });
    });
    let chosen = lanes(options.seed, dose).into_iter().filter(|(name, _)| name.contains(&options.only));
    let threads: Vec<_> = chosen.map(|(name, run)| (name, std::thread::spawn(move || live(run)))).collect();
    let (mut rows, mut broken) = (Vec::new(), Vec::new());
    for (name, thread) in threads {
        match thread.join() {
            Ok(Ok(measured)) => rows.extend(measured),
            Ok(Err(what)) => broken.push(format!("{name}: {what}")),
            Err(_) => broken.push(format!("{name}: panicked, see above")),
        }
    }
    print(rows);
    println!("\nseed {}, {} s", options.seed, began.elapsed().as_secs());
    for what in &broken {
        println!("BROKEN: {what}");
    }
    if !broken.is_empty() {
        let quick = if options.quick { " --quick" } else { "" };
        println!("again with: scripts/faults{quick} --seed {}", options.seed);
        return ExitCode::FAILURE;
    }
    println!("ok: every promise kept, restarts went on, nothing leaked");
    ExitCode::SUCCESS
}

/// The lanes that run in parallel, each with its own daemon and simulated Heroku.
fn lanes(seed: u64, dose: Dose) -> Vec<SenderId> {
    let Dose { lives, restarts, rounds, span } = dose;
    let mut lanes: Vec<SenderId> = (0..api::LANES)
        .map(|lane| -> SenderId {
            let seed = seed * 100 + lane as u64;
            (format!("api {lane}"), Box::new(move || Box::pin(api::run(lane, seed, rounds, span))))
        })
        .collect();
    let seed = seed * 100 + 50;
    lanes.extend([
        lane("kill", move || kills::run(End::Kill, seed, lives)),
        lane("term", move || kills::run(End::Terminate, seed + 1, lives)),
        lane("last", move || kills::run_to_the_last_restart(restarts, seed + 2, lives)),
        lane("useless", move || kills::run_to_the_give_up(seed + 10, lives)),
        lane("replicas", move || kills::run_replicas(seed + 11, lives)),
        lane("useless replicas", move || kills::run_replicas_to_the_give_up(seed + 12, lives)),
        lane("descriptors", move || machine::descriptors(seed + 3, rounds * 2, span)),
        lane("store full", move || machine::full(seed + 4, rounds * 2, span)),
        lane("store locked", move || machine::locked(seed + 8, rounds * 2, span)),
        lane("store away", move || machine::away(seed + 5, rounds * 2, span)),
        lane("clock", move || machine::clock(seed + 6, rounds, span)),
        lane("hostile", move || hostile::drain(seed + 9, span * rounds * 3)),
        lane("logplex", move || logplex::repeats(seed + 7, span * rounds * 5)),
    ]);
    lanes
}

fn lane<F>(name: &str, run: impl FnOnce() -> F + Send + 'static) -> SenderId
where
    F: Future<Output = Result<Vec<Row>, Broken>> + 'static,
{
    (name.to_owned(), Box::new(move || Box::pin(run())))
}

/// Runs a lane on its own thread: it may wait for a process, while its simulated Heroku goes on.
fn live(run: Box<dyn FnOnce() -> Run + Send>) -> Result<Vec<Row>, Broken> {
    runtime().block_on(run())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

fn print(rows: Vec<Row>) {
    println!(
        "| fault | times | felt | errors | DELETEs | restarts | until restarts went on | descriptors | threads | RSS, MiB | |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |");
    for row in bench::merge(rows).into_values() {
        let change = |of: fn(&support::process::Usage) -> u64| {
            row.usage.map_or(String::new(), |(before, after)| format!("{} → {}", of(&before), of(&after)))
        };
        let recovery = row.recovery.as_secs_f64();
        println!(
            "| {} | {} | {} | {} | {} | {} | {recovery:.1} s | {} | {} | {} | {} |",
            row.fault,
            row.times,
            row.struck,
            row.errors,
            row.deletes,
            row.restarts,
            change(|usage| usage.descriptors),
            change(|usage| usage.threads),
            change(|usage| usage.rss_kib / 1024),
            row.notes.into_iter().collect::<Vec<_>>().join(", "),
        );
    }
}
