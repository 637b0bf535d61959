//! A thousand days of the whole system, each of another seed: nothing that was promised may be broken.

#[path = "support/trial/mod.rs"]
mod trial;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::trial::figures::Figures;

#[test]
fn a_thousand_days_keep_every_promise() {
    let seeds: u64 = std::env::var("SIMULATED_DAYS").ok().and_then(|text| text.parse().ok()).unwrap_or(1000);
    let next = AtomicU64::new(1);
    let run = || {
        let mut figures = Figures::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > seeds {
                return Ok(figures);
            }
            figures.add(&trial::run(seed, DAY, false)?.0);
        }
    };
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let mut figures = Figures::default();
    let failure = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(run)).collect();
        let mut failure = None;
        for worker in workers {
            match worker.join().expect("a worker ends") {
                Ok(part) => figures.add(&part),
                Err(broken) => failure = failure.or(Some(broken)),
            }
        }
        failure
    });
    if let Some(failure) = failure {
        let failure = trial::run(failure.seed, DAY, true).expect_err("it fails again");
        panic!("{failure}");
    }
    println!("{figures}");
}

const DAY: Duration = Duration::from_secs(24 * 3600);
