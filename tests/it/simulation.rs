//! Simulated days of the whole system, each from another seed: no promise may be broken.
//!
//! As many as an unoptimised build runs in half a minute. `dynowarden-simulation` runs any number.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dynowarden_simulation::Failure;
use dynowarden_simulation::figures::Figures;

#[test]
fn simulated_days_break_no_invariant() {
    let figures = match days(SEEDS) {
        Ok(figures) => figures,
        Err(failure) => {
            let failure = dynowarden_simulation::run(failure.seed, DAY, true).expect_err("it fails again");
            panic!("{failure}");
        }
    };
    println!("{figures}");
    assert!(figures.done["restarts"] > 5 * SEEDS, "{figures}");
}

#[test]
fn figures_name_the_faults_that_never_happened() {
    let mut figures = Figures::default();
    assert!(figures.missing().contains(&"break_after"));
    figures.fault("break_after");
    assert!(!figures.missing().contains(&"break_after"));
}

#[test]
fn one_seed_gives_the_same_day_twice() {
    let day = || {
        dynowarden_simulation::run(7, DAY, true).map(|(_, timeline)| timeline).map_err(|failure| failure.what)
    };
    let timeline = day();
    assert!(timeline.as_ref().is_ok_and(|timeline| timeline.len() > 100));
    assert!(timeline == day());
}

fn days(seeds: u64) -> Result<Figures, Box<Failure>> {
    let next = AtomicU64::new(1);
    let work = || {
        let mut figures = Figures::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > seeds {
                return Ok(figures);
            }
            match dynowarden_simulation::run(seed, DAY, false) {
                Ok((part, _)) => figures.add(&part),
                Err(failure) => {
                    next.store(seeds + 1, Ordering::Relaxed);
                    return Err(failure);
                }
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let parts = workers.into_iter().map(|worker| worker.join().expect("a worker ends"));
        parts.collect::<Result<Vec<Figures>, _>>().map(|parts| {
            let mut figures = Figures::default();
            parts.iter().for_each(|part| figures.add(part));
            figures
        })
    })
}

const SEEDS: u64 = 12;

const DAY: Duration = Duration::from_secs(24 * 3600);
