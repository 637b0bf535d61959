//! Simulated days of the whole system, each from another seed: no promise may be broken.
//!
//! As many as an unoptimised build runs in half a minute, from other seeds than those of `net`, whose days
//! must also be the same each time. `dynowarden-simulation` runs any number.

use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use dynowarden_simulation::figures::Figures;

#[test]
fn simulated_days_break_no_invariant() {
    let failed = Mutex::new(None);
    let figures = dynowarden_simulation::run_all(SEEDS, DAY, |failure| {
        *failed.lock().expect("no thread panics") = Some(failure.seed);
        false
    });
    if let Some(seed) = failed.into_inner().expect("no thread panicked") {
        let failure = dynowarden_simulation::run(seed, DAY, true).expect_err("it fails again");
        panic!("{failure}");
    }
    println!("{figures}");
    assert!(figures.done["restarts"] > 5 * figures.seeds, "{figures}");
}

#[test]
fn figures_name_the_faults_that_never_happened() {
    let mut figures = Figures::default();
    assert!(figures.missing().contains(&"break_after"));
    figures.fault("break_after");
    assert!(!figures.missing().contains(&"break_after"));
}

const SEEDS: Range<u64> = 13..25;

const DAY: Duration = Duration::from_secs(24 * 3600);
