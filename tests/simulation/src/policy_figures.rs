//! What policies on days cost and save: many apps, the shipping engine, and bounds that must hold.

use std::fmt::Write as _;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use dynowarden_core::policy::{Act, AppPlan, MemoryBound, Proof, Rule, Trigger};
use heroku_sim::curve::{Kind, LEAKS};

use crate::measured;
use crate::policies::{App, Cost, DAYS};
use crate::scenario::secs;
use crate::slow_dynos;

/// A policy of rules that are in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Heroku alone.
    Platform,
    R14,
    /// And above 95 % for three minutes, where two of the last three lives breached.
    Proven,
    /// And from 16 h of age in the quiet hours.
    Quiet,
    QuietAndProven,
}

impl Rules {
    /// For apps that leak.
    const OF_LEAKS: [Self; 4] = [Self::Platform, Self::R14, Self::Proven, Self::QuietAndProven];

    /// For apps that do not: their R14 is none, so that rules on it change nothing.
    const OF_SOUND: [Self; 3] = [Self::Platform, Self::Proven, Self::Quiet];

    fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform only",
            Self::R14 => "R14",
            Self::Proven => "R14 + 95% proven",
            Self::Quiet => "R14 + quiet",
            Self::QuietAndProven => "R14 + quiet + proven",
        }
    }

    /// The default settings with the rules of the policy.
    pub fn plan(self) -> AppPlan {
        let rule = |name: &str, trigger| Rule {
            name: name.into(),
            trigger,
            act: Act::Restart,
            window: Vec::new(),
            proof: None,
        };
        let mut plan = measured::plan("acme");
        if matches!(self, Self::Proven | Self::QuietAndProven) {
            let above = MemoryBound::OfQuota { permille: 950 };
            let trigger = Trigger::Memory { above, lasting: secs(180) };
            let proof = Some(Proof { breached: 2, of: 3 });
            plan.rules.push(Rule { proof, ..rule("memory-high", trigger) });
        }
        if matches!(self, Self::Quiet | Self::QuietAndProven) {
            let window = vec!["quiet".parse().expect("a window")];
            plan.rules
                .push(Rule { window, ..rule("quiet-cycle", Trigger::Uptime { above: secs(16 * 3600) }) });
        }
        plan
    }
}

/// Apps of one kind, and what each policy costs them.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub costs: Vec<(Rules, Cost)>,
}

impl Row {
    pub fn of(&self, rules: Rules) -> &Cost {
        &self.costs.iter().find(|(known, _)| *known == rules).expect("every policy has a cost").1
    }
}

/// What an app can be: its name, its kinds and, for leaks, the hours until the quota.
type Class = (&'static str, &'static [Kind], (f64, f64));

/// The kinds that stay below their quota, apart from those that end by releases.
const HEALTHY: [Kind; 4] = [Kind::PlateauLow, Kind::LogSlow, Kind::HighWater, Kind::DailyLive];

const LEAKING: [Class; 4] = [
    ("leak, 3 to 6 h", &LEAKS, (3.0, 6.0)),
    ("leak, 6 to 12 h", &LEAKS, (6.0, 12.0)),
    ("leak, 12 to 20 h", &LEAKS, (12.0, 20.0)),
    ("leak, 20 to 40 h", &LEAKS, (20.0, 40.0)),
];

const SOUND: [Class; 2] =
    [("no leak", &HEALTHY, (1.0, 1.0)), ("plateau at 86 to 97%", &[Kind::PlateauHigh], (1.0, 1.0))];

/// Runs so many apps of each class under every policy, on every core.
pub fn measure(apps: u64, days: u64) -> Vec<Row> {
    let leaking = LEAKING.iter().map(|class| row(class, apps, days, &Rules::OF_LEAKS));
    leaking.chain(SOUND.iter().map(|class| row(class, apps, days, &Rules::OF_SOUND))).collect()
}

/// The healthy and the fast-leaking apps alone, under the policies that bounds are about.
pub fn measure_some(apps: u64, days: u64) -> (Row, Row) {
    let healthy = row(&SOUND[0], apps, days, &Rules::OF_SOUND);
    (healthy, row(&LEAKING[1], apps, days, &[Rules::R14, Rules::Proven]))
}

fn row((name, kinds, breach_hours): &Class, apps: u64, days: u64, policies: &[Rules]) -> Row {
    let work: Vec<(usize, u64)> =
        (0..policies.len()).flat_map(|policy| (0..apps).map(move |app| (policy, app))).collect();
    let next = AtomicUsize::new(0);
    let costs = Mutex::new(vec![Cost::default(); policies.len()]);
    let run = || {
        while let Some((policy, app)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            let kind = kinds[*app as usize % kinds.len()];
            let rules = policies[*policy];
            let cost = App::draw(kind, *breach_hours, days, 1000 + app).run(
                &rules.plan(),
                days,
                rules != Rules::Platform,
            );
            costs.lock().expect("no thread panics")[*policy].add(&cost);
        }
    };
    let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(run))));
    let costs = costs.into_inner().expect("no thread panicked");
    Row { name, costs: policies.iter().copied().zip(costs).collect() }
}

/// Bounds, each with what was measured and whether it holds.
pub fn bounds(rows: &[Row]) -> Vec<(String, bool)> {
    let row = |name: &str| rows.iter().find(|row| row.name == name).expect("a class of that name");
    let (healthy, plateau) = (row("no leak"), row("plateau at 86 to 97%"));
    let mut bounds = quiet_bounds(healthy);
    for sound in [healthy, plateau] {
        let ours = sound.of(Rules::Proven);
        let a_day = ours.a_day(ours.ours);
        bounds.push((
            format!("proven early restart, {}: {a_day:.3} restarts a dyno-day of at most 0.02", sound.name),
            a_day <= 0.02,
        ));
    }
    let (mut today, mut proven) = (Cost::default(), Cost::default());
    for (name, ..) in &LEAKING {
        today.add(row(name).of(Rules::R14));
        proven.add(row(name).of(Rules::Proven));
    }
    bounds.extend(proven_bounds("all leaks", &today, &proven));
    bounds
}

/// The quiet cycle on apps without leaks.
pub fn quiet_bounds(healthy: &Row) -> Vec<(String, bool)> {
    let (platform, quiet) = (healthy.of(Rules::Platform), healthy.of(Rules::Quiet));
    let (hit, restarts) = (quiet.hit / platform.hit, quiet.restarts / platform.restarts);
    let hours = quiet.shortest_cycle.map_or(f64::INFINITY, |age| age.as_secs_f64() / 3600.0);
    vec![
        (format!("quiet cycle: requests hit {hit:.2} × Heroku alone, of at most 0.50"), hit <= 0.5),
        (format!("quiet cycle: restarts {restarts:.3} × Heroku alone, of at most 1.08"), restarts <= 1.08),
        (format!("quiet cycle: no dyno younger than {hours:.1} h, of at least 16"), hours >= 16.0),
    ]
}

/// The proven early restart on apps that leak.
pub fn proven_bounds(name: &str, today: &Cost, proven: &Cost) -> Vec<(String, bool)> {
    let (slow, restarts) = (proven.slow / today.slow, proven.restarts / today.restarts);
    vec![
        (
            format!("proven early restart, {name}: slow requests {slow:.2} × R14 alone, of at most 0.25"),
            slow <= 0.25,
        ),
        (
            format!("proven early restart, {name}: restarts {restarts:.3} × R14 alone, of at most 1.10"),
            restarts <= 1.1,
        ),
    ]
}

/// Everything that is measured, as text, and whether all bounds hold.
pub fn report(apps: u64) -> (String, bool) {
    let rows = measure(apps, DAYS);
    let mut text =
        format!("{apps} apps a row, {DAYS} days, the first 3 not counted; requests among 100,000\n");
    for row in &rows {
        let _ = writeln!(
            text,
            "{:<22} {:<21} {:>8} {:>7} {:>8} {:>9} {:>7} {:>9}",
            row.name, "a dyno-day:", "restarts", "ours", "min over", "slow", "hit", "slow+hit"
        );
        for (rules, cost) in &row.costs {
            let (slow, hit) = (cost.of_requests(cost.slow), cost.of_requests(cost.hit));
            let _ = writeln!(
                text,
                "{:<22} {:<21} {:>8.2} {:>7.3} {:>8.2} {slow:>9.1} {hit:>7.1} {:>9.1}",
                "",
                rules.name(),
                cost.a_day(cost.restarts),
                cost.a_day(cost.ours),
                cost.a_day(cost.minutes_over),
                slow + hit
            );
        }
    }
    let (slow_text, slow_bounds) = slow_dynos::report();
    text.push_str(&slow_text);
    let bounds: Vec<(String, bool)> = bounds(&rows).into_iter().chain(slow_bounds).collect();
    for (bound, holds) in &bounds {
        let _ = writeln!(text, "{} {bound}", if *holds { "holds " } else { "MISSED" });
    }
    (text, bounds.iter().all(|(_, holds)| *holds))
}
