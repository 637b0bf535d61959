//! What-if against the truth: archives of apps under one policy, asked what another one would have done.

use std::fmt::Write as _;
use std::num::NonZero;
use std::sync::Mutex;

use dynowarden_core::policy::AppPlan;
use dynowarden_core::replay::archive::Entry;
use dynowarden_core::replay::roster::Roster;
use dynowarden_core::what_if::compare::Comparison;
use dynowarden_core::what_if::policies::{Candidate, candidates};
use dynowarden_core::what_if::{Refusal, WhatIf};
use heroku_sim::rng::Chance;
use heroku_sim::weeks::{AppWeeks, Leak};

use crate::measured;
use crate::weeks::{self, Truth};

/// An archive of some days under one policy, and the policies that are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub days: usize,
    pub under: &'static str,
    pub asked: &'static [&'static str],
}

/// The table of the research, with the policies that are offered.
pub const CASES: [Case; 5] = [
    Case {
        days: 14,
        under: "r14",
        asked: &["none", "r14", EARLY, "r14 + 90% for 3m", PROVEN, "r14 + quiet"],
    },
    Case { days: 14, under: "none", asked: &["none", "r14", EARLY, PROVEN, "r14 + quiet"] },
    Case { days: 7, under: "r14", asked: &["none", "r14", EARLY, PROVEN] },
    Case { days: 3, under: "r14", asked: &[EARLY] },
    Case { days: 3, under: "none", asked: &["r14"] },
];

const EARLY: &str = "r14 + 95% for 3m";
const PROVEN: &str = "r14 + 95% for 3m, proof 2 of 3";

/// Days before the archive begins.
const UNSEEN: usize = 3;

/// The restarts and the minutes over quota of one app: estimated, and as they were.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub restarts: (f64, f64),
    pub minutes: (f64, f64),
    pub hit: (f64, f64),
    /// Whether the truth lies within the bounds of the estimate of restarts.
    pub is_within: bool,
}

/// One app: its archive compared, and the truth of every policy that is asked for.
pub struct Asked {
    pub comparison: Comparison,
    pub pairs: Vec<Pair>,
    /// The recommended policy, estimated and as it was.
    pub recommended: (String, Pair),
}

/// An app that leaks, with its own number of dynos and pace.
pub fn app(days: usize, number: u64, requests: f64) -> AppWeeks {
    let mut chance = Chance::new(0x11f3 + number);
    let (low, high) = [(3.0, 6.0), (6.0, 12.0), (12.0, 20.0), (20.0, 40.0)][number as usize % 4];
    let dynos = 1 + chance.below(5) as u32;
    AppWeeks::new(Leak::Hours { low, high }, (days + UNSEEN, dynos, requests), &mut chance)
}

/// Asks what an app's archive says, and what is true, by the mean of some runs. None if it says too little.
pub fn ask(app: &AppWeeks, case: &Case, number: u64, runs: u64) -> Option<Asked> {
    let comparison = compare(app, case, number).ok()?;
    let of = |policy: &str| {
        let plan = plan(policy);
        let run = |seed| weeks::run(app, &plan, (UNSEEN, seed), &mut |_, _| ());
        let truth = Truth::mean(&(1..=runs).map(|seed| run(4 * number + seed)).collect::<Vec<_>>());
        pair(&comparison, policy, &truth)
    };
    let pairs = case.asked.iter().map(|policy| of(policy)).collect();
    let best = comparison.recommended().expect("one is recommended").policy.clone();
    let recommended = (best.clone(), of(&best));
    Some(Asked { comparison, pairs, recommended })
}

/// What the archive of an app under a policy says.
///
/// # Errors
/// It is too short.
pub fn compare(app: &AppWeeks, case: &Case, number: u64) -> Result<Comparison, Refusal> {
    let roster = Roster::new(Some("acme".parse().expect("a name")), Vec::new());
    let mut what_if = WhatIf::new(roster, |_| plan("r14"));
    weeks::run(app, &plan(case.under), (UNSEEN, 4 * number), &mut |line, at| {
        let entry = Entry { system: None, at: Ok(at), is_zone_unknown: false, line: *line };
        what_if.read(&entry).expect("a line that can be understood");
    });
    what_if.compare(&mut |_, _| ())
}

fn plan(policy: &str) -> AppPlan {
    let is_it = |candidate: &Candidate| candidate.name == policy;
    let candidate = candidates(true, true).into_iter().find(is_it).expect("a policy of this name");
    AppPlan { rules: candidate.rules, ..measured::plan("acme") }
}

fn pair(comparison: &Comparison, policy: &str, truth: &Truth) -> Pair {
    let row = comparison.row(policy).expect("a row of this name");
    let restarts = truth.restarts / truth.days * 7.0;
    let estimate = row.restarts_per_week;
    Pair {
        restarts: (estimate.value, restarts),
        minutes: (row.minutes_over_quota_per_day.value, truth.over_minutes / truth.days),
        hit: (row.requests_hit_per_100k.value, (truth.hit + truth.slow) / truth.requests * 1e5),
        is_within: (estimate.low..=estimate.high).contains(&restarts),
    }
}

impl Pair {
    /// How far the estimate of restarts is from the truth.
    pub fn error(&self) -> f64 {
        (self.restarts.0 - self.restarts.1) / self.restarts.1.max(1.0)
    }
}

/// The whole table with `apps` apps a case, case by case.
pub fn tables(apps: u64) -> impl Iterator<Item = String> {
    CASES.iter().map(move |case| {
        let mut text = String::new();
        table(case, apps, &mut text).expect("a string has room");
        text
    })
}

fn table(case: &Case, apps: u64, text: &mut String) -> std::fmt::Result {
    let asked = ask_all(case, apps);
    let (days, under, apps) = (case.days, case.under, asked.len());
    writeln!(text, "{days} days under {under}, {apps} apps of 1 to 5 dynos")?;
    for (place, policy) in case.asked.iter().enumerate() {
        row(policy, asked.iter().map(|asked| asked.pairs[place]), text)?;
    }
    row("the recommended one", asked.iter().map(|asked| asked.recommended.1), text)
}

fn row(policy: &str, pairs: impl Iterator<Item = Pair>, text: &mut String) -> std::fmt::Result {
    let pairs: Vec<Pair> = pairs.collect();
    let errors = || pairs.iter().map(Pair::error);
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / pairs.len() as f64;
    let off = quantile(pairs.iter().map(|pair| (pair.minutes.0 - pair.minutes.1).abs()), 0.5);
    let of_hit = quantile(pairs.iter().map(|pair| (pair.hit.0 / pair.hit.1 - 1.0).abs()), 0.5);
    writeln!(
        text,
        "  {policy:<32} restarts {:>6.1} a week; off by {:.3} (median) {:.3} (90 %), bias {:+.3}, {:>3.0} % \
         within bounds; {:>7.2} min a day, off by {off:.2}; hit {:>8.1}, off by {of_hit:.3}",
        mean(&mut pairs.iter().map(|pair| pair.restarts.1)),
        quantile(errors().map(f64::abs), 0.5),
        quantile(errors().map(f64::abs), 0.9),
        mean(&mut errors()),
        100.0 * mean(&mut pairs.iter().map(|pair| f64::from(u8::from(pair.is_within)))),
        mean(&mut pairs.iter().map(|pair| pair.minutes.1)),
        mean(&mut pairs.iter().map(|pair| pair.hit.1)),
    )
}

/// A part of the values is at most this.
pub fn quantile(values: impl Iterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    values.get((last * part).round() as usize).copied().unwrap_or(0.0)
}

/// All apps of a case, on all cores.
fn ask_all(case: &Case, apps: u64) -> Vec<Asked> {
    let (next, done) = (Mutex::new(0..apps), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let Some(number) = next.lock().expect("no thread panics").next() else { return };
            let asked = ask(&app(case.days, number, REQUESTS), case, number, RUNS);
            done.lock().expect("no thread panics").extend(asked.map(|asked| (number, asked)));
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let mut done = done.into_inner().expect("no thread panicked");
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, asked)| asked).collect()
}

/// Runs that the truth is the mean of: one alone has its own chances.
const RUNS: u64 = 3;

/// Requests a second to each dyno at the busiest time.
const REQUESTS: f64 = 0.15;
