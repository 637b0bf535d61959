//! A thousand days of the whole system, each from another seed: nothing that was promised may be broken.

#[path = "support/trial/mod.rs"]
mod trial;

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::trial::Failure;
use crate::trial::figures::Figures;

#[test]
fn a_thousand_days_keep_every_promise() {
    let figures = match days(SEEDS) {
        Ok(figures) => figures,
        Err(failure) => {
            let failure = trial::run(failure.seed, DAY, true).expect_err("it fails again");
            panic!("{failure}");
        }
    };
    println!("{figures}");
    // A simulation in which nothing goes wrong proves nothing.
    for kind in FAULTS {
        assert!(figures.faults.get(kind).is_some_and(|count| *count > 0), "no {kind} in {figures}");
    }
    for label in HOLDS {
        assert!(figures.holds.get(label).is_some_and(|count| *count > 0), "no {label} in {figures}");
    }
    for kind in DONE {
        assert!(figures.done.get(kind).is_some_and(|count| *count > 0), "no {kind} in {figures}");
    }
    assert!(figures.done["restarts"] > 10 * SEEDS, "{figures}");
}

#[test]
fn a_seed_is_the_same_day_again() {
    let day = || trial::run(7, DAY, true).map(|(_, timeline)| timeline).map_err(|failure| failure.what);
    let timeline = day();
    assert!(timeline.as_ref().is_ok_and(|timeline| timeline.len() > 100));
    assert!(timeline == day());
}

/// Runs so many days on all cores.
fn days(seeds: u64) -> Result<Figures, Box<Failure>> {
    let next = AtomicU64::new(1);
    let work = || {
        let mut figures = Figures::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > seeds {
                return Ok(figures);
            }
            match trial::run(seed, DAY, false) {
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

const SEEDS: u64 = 1000;

const DAY: Duration = Duration::from_secs(24 * 3600);

const FAULTS: [&str; 42] = [
    "429",
    "429_with_time",
    "5xx",
    "5xx_after",
    "batch_again",
    "batch_answer_lost",
    "batch_refused",
    "break_after",
    "break_before",
    "claim_unanswered",
    "clock_jump",
    "crash",
    "cut_json",
    "deploy",
    "forbidden",
    "hang_after",
    "hang_before",
    "html",
    "idle",
    "kill",
    "killed_call_arrives",
    "killed_call_lost",
    "kill_between_claim_and_delete",
    "late",
    "lines_delayed",
    "lines_lost",
    "lines_out_of_order",
    "lines_twice",
    "missing_field",
    "preboot",
    "refused",
    "restart_by_person",
    "scale",
    "slow",
    "slow_after",
    "slow_before",
    "store_away",
    "tokens_short",
    "two_nodes",
    "unauthorized",
    "unknown_state",
    "wrong_type",
];

const HOLDS: [&str; 24] = [
    "api_reserve",
    "claimed_elsewhere",
    "clock_ahead",
    "cooling_down",
    "deploying",
    "forbidden",
    "formation_failed",
    "formation_out",
    "garbled",
    "given_up",
    "gone",
    "max_restarts",
    "not_listed",
    "not_up",
    "outside_window",
    "paused",
    "platform_acts",
    "queued",
    "releasing",
    "stale",
    "store_away",
    "superseded",
    "throttled",
    "too_young",
];

const DONE: [&str; 20] = [
    "accepted",
    "back",
    "back_late",
    "claims_adopted",
    "dry_runs",
    "frames_known",
    "give_ups",
    "gone",
    "lives",
    "not_back",
    "notify_decisions",
    "orders_answered",
    "orders_decisions",
    "pauses",
    "peeks",
    "races_lost",
    "refused",
    "restarts",
    "unanswered",
    "withdrawn",
];
