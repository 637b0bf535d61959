//! Simulated days of the whole system, each from another seed: no promise may be broken.
//!
//! As many as an unoptimised build runs in half a minute, from other seeds than those of `net`, whose days
//! must also be the same each time. `dynowarden-simulation` runs any number.

use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use dynowarden_simulation::Days;
use dynowarden_simulation::figures::Figures;
use dynowarden_simulation::policy_figures::{self, Rules};
use dynowarden_simulation::slow_dynos;

#[test]
fn simulated_days_break_no_invariant() {
    let failed = Mutex::new(None);
    let figures = dynowarden_simulation::run_all(SEEDS, DAYS, |failure| {
        *failed.lock().expect("no thread panics") = Some(failure.seed);
        false
    });
    if let Some(seed) = failed.into_inner().expect("no thread panicked") {
        let failure = dynowarden_simulation::run(seed, DAYS, true).expect_err("it fails again");
        panic!("{failure}");
    }
    println!("{figures}");
    assert!(figures.done["restarts"] > 5 * figures.seeds, "{figures}");
}

/// A few days of a kind whose promise ordinary days hardly try: what makes the engine hold must occur.
#[track_caller]
fn days_of_a_kind_hold(kind: &str, reasons: &[&str]) {
    days_hold(Days { kind: Some(kind), ..DAYS }, reasons);
}

#[track_caller]
fn days_hold(days: Days<'_>, reasons: &[&str]) {
    let failed = Mutex::new(None);
    let figures = dynowarden_simulation::run_all(KIND_SEEDS, days, |failure| {
        *failed.lock().expect("no thread panics") = Some(failure.to_string());
        false
    });
    assert_eq!(failed.into_inner().expect("no thread panicked"), None);
    for reason in reasons {
        assert!(figures.holds.contains_key(reason), "{reason} never occurred: {figures}");
    }
}

#[test]
fn a_red_status_page_holds_restarts_and_a_green_or_unreadable_one_does_not() {
    days_of_a_kind_hold("status_page", &["platform_red"]);
}

#[test]
fn another_apps_errors_restart_nothing() {
    days_of_a_kind_hold("foreign_drains", &["foreign_drain"]);
}

#[test]
fn days_with_every_kind_of_rule_break_no_promise() {
    days_hold(Days { all_rules: true, ..DAYS }, &["outside_window", "quiet_unknown", "unproven"]);
}

/// One incident is told once, and again every four hours.
#[test]
fn storms_make_few_messages() {
    for (name, messages, failed) in dynowarden_simulation::measured::messages_of_storms() {
        let (_, most) = MOST_MESSAGES.iter().find(|(storm, _)| *storm == name).expect("a bound");
        println!("{name}: {messages} of at most {most} messages");
        assert!(messages <= *most, "{name}: {messages} messages");
        assert_eq!(failed, "", "{name}");
    }
}

/// `simulate --policies` measures this on many apps and weeks; so few of them vary more, so that the bounds
/// are wider here.
#[test]
fn rules_on_days_cost_little_and_save_much() {
    let (healthy, leaking) = policy_figures::measure_some(6, 6);
    let (platform, quiet) = (healthy.of(Rules::Platform), healthy.of(Rules::Quiet));
    let (today, proven) = (leaking.of(Rules::R14), leaking.of(Rules::Proven));
    assert!(platform.hit > 0.0 && quiet.hit <= 0.7 * platform.hit, "{quiet:?} {platform:?}");
    assert!(quiet.ours > 20.0 && quiet.restarts <= 1.15 * platform.restarts, "{quiet:?} {platform:?}");
    assert!(quiet.shortest_cycle.is_some_and(|age| age >= Duration::from_secs(16 * 3600)), "{quiet:?}");
    assert!(today.slow > 0.0 && proven.slow <= 0.35 * today.slow, "{proven:?} {today:?}");
    assert!(today.ours > 20.0 && proven.restarts <= 1.15 * today.restarts, "{proven:?} {today:?}");
    assert!(healthy.of(Rules::Proven).ours == 0.0, "no proof, no early restart");
}

#[test]
fn a_slow_dyno_is_found_and_no_other() {
    let (found, wrong) = slow_dynos::measure_some();
    assert!(found >= 0.95 && wrong <= 0.2, "{found} {wrong}");
}

#[test]
fn figures_name_the_faults_that_never_happened() {
    let mut figures = Figures::default();
    assert!(figures.missing().contains(&"break_after"));
    figures.fault("break_after");
    assert!(!figures.missing().contains(&"break_after"));
}

/// Messages in a night of eight hours with eight dynos. Three restarts of each dyno are reported one by one
/// before they are counted together; a dyno that fails is reported, and so is that it is back.
const MOST_MESSAGES: [(&str, u32); 15] = [
    ("8 dynos leak for 20 min", 40),
    ("8 dynos on a plateau", 16),
    ("API down", 6),
    ("API token revoked", 6),
    ("API garbled", 8),
    ("API throttles", 6),
    ("gateway pages", 6),
    ("half of the answers lost", 40),
    ("every restart ignored", 8),
    ("store away", 4),
    ("no API calls left", 44),
    ("clock three hours ahead", 6),
    ("one dyno crashed", 40),
    ("restless autoscaler", 40),
    ("dynos die settling", 90),
];

const SEEDS: Range<u64> = 14..26;

const KIND_SEEDS: Range<u64> = 1..4;

const DAYS: Days<'_> = Days { length: Duration::from_secs(24 * 3600), kind: None, all_rules: false };
