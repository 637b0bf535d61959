//! The comparison: every policy with its figures, and the one to choose.

use serde::Serialize;

use crate::ident::AppName;
use crate::limits;
use crate::what_if::log::App;
use crate::what_if::play::{Sums, play};
use crate::what_if::policies::{Candidate, candidates};
use crate::what_if::sample::Sampled;
use crate::what_if::slots::SLOT_SECONDS;

/// All policies, those with the fewest requests hit first.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    pub rows: Vec<Row>,
    pub basis: Basis,
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    pub policy: String,
    /// Of all dynos, the platform's included.
    pub restarts_per_week: Figure,
    /// Of all dynos.
    pub minutes_over_quota_per_day: Figure,
    /// Requests to a dyno that was above its quota or out; the share of the time where the log has none.
    pub requests_hit_per_100k: Figure,
    pub recommended: bool,
    /// The settings of the recommended one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toml: Option<String>,
    /// Whether no other policy has both fewer restarts and fewer requests hit.
    #[serde(skip)]
    pub is_best_at_its_price: bool,
    /// The part of the requests hit that a dyno above its quota served.
    #[serde(skip)]
    pub slow_per_100k: f64,
}

/// The mean of all plays of a policy, the least and the greatest: how far it moves with the lives and the
/// chances that it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// What the comparison rests on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Basis {
    pub apps: Vec<AppName>,
    /// Apps whose log is too short, with what is missing.
    pub apps_left_out: Vec<(AppName, String)>,
    pub dynos: usize,
    pub lives: usize,
    pub days: f64,
    pub requests: f64,
    /// The longest time that a restarted dyno is taken to be out, in seconds.
    pub boot_seconds: f64,
    pub has_samples: bool,
    pub has_requests: bool,
    pub has_quiet: bool,
    /// Lines of dynos past the limit of a report.
    pub lines_dropped: u64,
    pub zone_unknown: bool,
}

/// A policy may have this much more harm than the best one to be chosen for its price.
const NEAR_BEST: f64 = 1.05;

pub(super) fn compare(apps: &[App], basis: Basis, progress: &mut dyn FnMut(u64, u64)) -> Comparison {
    let all = candidates(basis.has_samples, basis.has_quiet);
    let replicates = replicates(apps, all.len());
    let samples: Vec<Vec<Sampled>> = (0..=replicates)
        .map(|replicate| apps.iter().map(|app| Sampled::new(app, replicate)).collect())
        .collect();
    let total = all.len() as u64 * samples.len() as u64 * apps.len() as u64;
    let mut done = 0;
    let mut rows: Vec<Row> = Vec::new();
    for candidate in &all {
        let mut plays: Vec<[f64; 4]> = Vec::new();
        for sampled in &samples {
            let sums = apps.iter().zip(sampled).map(|(app, sampled)| {
                let sums = play(app, candidate, sampled);
                done += 1;
                progress(done, total);
                sums
            });
            plays.push(figures(&sums.collect::<Vec<_>>()));
        }
        rows.push(row(candidate, &plays));
    }
    recommend(&mut rows, &all);
    rows.sort_by(|left, right| {
        let key = |row: &Row| (row.requests_hit_per_100k.value, row.restarts_per_week.value);
        let (left, right) = (key(left), key(right));
        left.0.total_cmp(&right.0).then(left.1.total_cmp(&right.1))
    });
    Comparison { rows, basis }
}

/// How often each policy is played again: less often where there is much to play.
fn replicates(apps: &[App], policies: usize) -> u64 {
    let slots = |app: &App| -> u64 {
        let stays = app.formations.iter().flat_map(|formation| &formation.stays);
        stays.map(|stay| (stay.until - stay.from) as u64).sum()
    };
    let once = apps.iter().map(slots).sum::<u64>() * policies as u64;
    let affordable = limits::WHAT_IF_SLOTS_PLAYED_MAX / once.max(1);
    affordable.clamp(limits::WHAT_IF_REPLICATES_MIN, limits::WHAT_IF_REPLICATES_MAX)
}

/// Restarts a week, minutes over quota a day, and requests hit and slow in 100,000.
fn figures(apps: &[Sums]) -> [f64; 4] {
    let (mut restarts, mut minutes) = (0.0, 0.0);
    let (mut requests, mut hit, mut slow) = (0.0, 0.0, 0.0);
    for sums in apps {
        let days = (sums.slots as f64 * SLOT_SECONDS as f64 / 86_400.0).max(f64::MIN_POSITIVE);
        restarts += sums.restarts as f64 / days * 7.0;
        minutes += sums.over_ms as f64 / 60_000.0 / days;
        requests += sums.requests;
        hit += sums.hit + sums.slow;
        slow += sums.slow;
    }
    // A slot above the quota in which its dyno is restarted is both slow and hit.
    let share = |part: f64| if requests > 0.0 { (part / requests).clamp(0.0, 1.0) * 100_000.0 } else { 0.0 };
    [restarts, minutes.max(0.0), share(hit), share(slow)].map(hundredth)
}

/// To two places, as it is printed: what is compared is what is read.
fn hundredth(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn row(candidate: &Candidate, plays: &[[f64; 4]]) -> Row {
    let figure = |place: usize| {
        let values = || plays.iter().map(|play| play[place]);
        Figure {
            value: hundredth(values().sum::<f64>() / plays.len().max(1) as f64),
            low: values().fold(f64::INFINITY, f64::min),
            high: values().fold(0.0, f64::max),
        }
    };
    Row {
        policy: candidate.name.clone(),
        restarts_per_week: figure(0),
        minutes_over_quota_per_day: figure(1),
        requests_hit_per_100k: figure(2),
        recommended: false,
        toml: None,
        is_best_at_its_price: false,
        slow_per_100k: figure(3).value,
    }
}

/// Marks the policies that are best at their price, and the cheapest of those that are near the best.
fn recommend(rows: &mut [Row], all: &[Candidate]) {
    let price = |row: &Row| row.restarts_per_week.value;
    let harm = |row: &Row| row.requests_hit_per_100k.value;
    let known: Vec<(f64, f64)> = rows.iter().map(|row| (price(row), harm(row))).collect();
    for row in rows.iter_mut() {
        let own = (price(row), harm(row));
        let is_beaten = |other: &(f64, f64)| other.0 <= own.0 && other.1 <= own.1 && *other != own;
        row.is_best_at_its_price = !known.iter().any(is_beaten);
    }
    let best = known.iter().map(|(_, harm)| *harm).fold(f64::INFINITY, f64::min);
    let near = (0..rows.len()).filter(|place| known[*place].1 <= best * NEAR_BEST);
    // Where nothing else differs, the rule that restarts when a dyno does go over its quota costs nothing.
    let chosen = near.min_by(|left, right| {
        let restarts = known[*left].0.total_cmp(&known[*right].0);
        restarts.then(all[*left].is_none().cmp(&all[*right].is_none())).then(left.cmp(right))
    });
    if let Some(place) = chosen {
        rows[place].recommended = true;
        rows[place].toml = Some(all[place].toml());
    }
}

impl Comparison {
    /// The recommended policy.
    pub fn recommended(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.recommended)
    }

    pub fn row(&self, policy: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.policy == policy)
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, figures, recommend, row};
    use crate::what_if::play::Sums;
    use crate::what_if::policies::candidates;

    /// Restarts and requests hit of each policy; returns the chosen one and those best at their price.
    fn chosen(figures: &[(f64, f64)]) -> (String, Vec<usize>) {
        let all = &candidates(true, true)[..figures.len()];
        let rows =
            all.iter().zip(figures).map(|(one, (restarts, hit))| row(one, &[[*restarts, 0.0, *hit, 0.0]]));
        let mut rows: Vec<Row> = rows.collect();
        recommend(&mut rows, all);
        assert_eq!(rows.iter().filter(|row| row.recommended && row.toml.is_some()).count(), 1);
        let best = rows.iter().enumerate().filter(|(_, row)| row.is_best_at_its_price);
        let best = best.map(|(place, _)| place).collect();
        (rows.iter().find(|row| row.recommended).expect("one").policy.clone(), best)
    }

    #[test]
    fn the_cheapest_near_the_best_is_chosen() {
        let (policy, best) = chosen(&[(6.0, 900.0), (16.0, 100.0), (17.0, 96.0), (20.0, 95.0), (21.0, 95.0)]);
        assert_eq!((policy.as_str(), best), ("r14 + 85% for 3m, proof 2 of 3", vec![0, 1, 2, 3]));
        assert_eq!(chosen(&[(6.0, 900.0), (16.0, 99.0), (17.0, 95.0)]).0, "r14");
    }

    #[test]
    fn where_nothing_differs_the_rule_on_r14_stays() {
        assert_eq!(chosen(&[(6.0, 30.0), (6.0, 30.0), (6.0, 30.0)]).0, "r14");
        // Restarts that do not help cost something.
        assert_eq!(chosen(&[(6.0, 9000.0), (30.0, 9001.0)]).0, "none");
    }

    #[test]
    fn no_more_requests_are_hit_than_there_are() {
        let sums = Sums { slots: 100, requests: 100.0, slow: 95.0, hit: 10.0, ..Sums::default() };
        assert_eq!(figures(&[sums]), [0.0, 0.0, 100_000.0, 95_000.0]);
    }

    #[test]
    fn a_figure_lies_between_its_bounds() {
        let of = candidates(false, false);
        let row = row(&of[0], &[[5.0, 1.0, 2.0, 0.0], [6.0, 0.0, 2.0, 0.0]]);
        let figure = row.restarts_per_week;
        assert_eq!((figure.value, figure.low, figure.high), (5.5, 5.0, 6.0));
        assert!(row.minutes_over_quota_per_day.low < row.minutes_over_quota_per_day.value);
    }
}
