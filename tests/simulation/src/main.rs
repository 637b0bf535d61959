//! Runs simulated days of the whole system: `cargo run --release -p dynowarden-simulation -- --seeds 10000`.
//!
//! `--from N` starts with another seed, `--seed N` runs a single one, `--timeline` prints what happened in
//! it, `--hours N` sets the length of a day, `--kind NAME` makes a kind of hostility occur. `--figures`
//! measures calm nights with one trouble each, `--policies 8` what rules on days save, over 17 days of eight
//! apps a row, `--suspects RUNS` how often the endpoint that leaks is named, `--what-if N` compares what-if
//! with the truth on N apps a case.

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use clap::Parser;
use dynowarden_simulation::Days;

/// Simulated days of the whole system.
#[derive(Debug, Parser)]
struct Options {
    /// How many days.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Run only this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// The length of a day in hours.
    #[arg(long, default_value_t = 24)]
    hours: u64,
    /// A kind of hostility that occurs on every day, such as `status_page`.
    #[arg(long)]
    kind: Option<String>,
    /// Give every app every kind of rule: memory with proof, swap, uptime in quiet hours, slow dynos.
    #[arg(long)]
    all_rules: bool,
    /// Print the timeline of one seed.
    #[arg(long)]
    timeline: bool,
    /// Measure leaks, waiting formations and storms instead.
    #[arg(long)]
    figures: bool,
    /// Measure rules on days with this many apps a row instead, and fail if a bound is missed.
    #[arg(long, value_name = "APPS")]
    policies: Option<u64>,
    /// Measure how often the endpoint that leaks is named instead, with this many runs a cell.
    #[arg(long, value_name = "RUNS")]
    suspects: Option<u64>,
    /// Compare what-if with the truth on so many apps a case instead.
    #[arg(long)]
    what_if: Option<u64>,
    /// Continue after a failed seed, and print only each failure.
    #[arg(long)]
    all: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let days = Days {
        length: Duration::from_secs(options.hours * 3600),
        kind: options.kind.as_deref(),
        all_rules: options.all_rules,
    };
    if options.figures {
        print!("{}", dynowarden_simulation::measured::report());
        return ExitCode::SUCCESS;
    }
    if let Some(apps) = options.policies {
        let (text, is_well) = dynowarden_simulation::policy_figures::report(apps);
        print!("{text}");
        return if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if let Some(runs) = options.suspects {
        print!("{}", dynowarden_simulation::suspects::report(runs));
        return ExitCode::SUCCESS;
    }
    if let Some(apps) = options.what_if {
        dynowarden_simulation::what_if::tables(apps).for_each(|table| print!("{table}"));
        return ExitCode::SUCCESS;
    }
    if let Some(seed) = options.seed {
        return match dynowarden_simulation::run(seed, days, options.timeline) {
            Ok((figures, timeline)) => {
                timeline.iter().for_each(|line| println!("{line}"));
                println!("{figures}");
                ExitCode::SUCCESS
            }
            Err(_) => {
                let failure = dynowarden_simulation::run(seed, days, true).expect_err("it fails again");
                if options.timeline {
                    failure.timeline.iter().for_each(|line| println!("{line}"));
                }
                println!("{failure}");
                ExitCode::FAILURE
            }
        };
    }
    let seeds = options.from..options.from + options.seeds;
    let failures = Mutex::new(Vec::new());
    let figures = dynowarden_simulation::run_all(seeds, days, |failure| {
        println!("seed {}: {} {:?}", failure.seed, failure.what, failure.kinds);
        failures.lock().expect("no thread panics").push(failure.seed);
        options.all
    });
    println!("{figures}");
    let failures = failures.into_inner().expect("no thread panicked");
    if let Some(seed) = failures.iter().min() {
        if !options.all {
            let failure = dynowarden_simulation::run(*seed, days, true).expect_err("it fails again");
            println!("{failure}");
        }
        println!("{} seeds failed, the first is {seed}", failures.len());
        return ExitCode::FAILURE;
    }
    if figures.seeds >= 1000 && !figures.missing().is_empty() {
        println!("never happened: {}", figures.missing().join(", "));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
