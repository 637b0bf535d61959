//! The endpoints that explain the growth of memory, and how sure that is.
//!
//! Growth is explained by the requests of each endpoint, which can only add to it; by all requests alike; and
//! by what grows without a leak: age, and the warming up of a process. An endpoint is named if its part is
//! far from chance and far ahead of the next one. Endpoints that are always called together are one to the
//! data, and are named together. Jobs, timers and leaks in every request leave no endpoint far ahead.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::days::evidence::counts::WINDOWS_PER_HOUR;
use crate::days::evidence::fit::{Fit, Sums};
use crate::days::evidence::growth_rows::{self, GrowthRow};
use crate::days::evidence::ledger::Ledger;
use crate::days::history::AppHistory;
use crate::days::life::Life;
use crate::limits;

/// An endpoint whose requests explain the growth of memory.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suspect {
    pub method: String,
    pub template: String,
    /// The part of the growth that it explains, from 0 to 1.
    pub share: f64,
    /// `strong` or `weak`.
    pub confidence: &'static str,
    /// What a request adds, for people.
    #[serde(skip)]
    pub kilobytes: u64,
}

/// Why no endpoint is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSuspect {
    #[error("requests are not counted by endpoint: drain.statistics or drain.evidence is off")]
    SwitchedOff,
    /// Of lines with both memory and requests.
    #[error("{0} h more of memory readings and router lines are needed")]
    Hours(u64),
    #[error(
        "the log has no memory readings below the quota; \
         `heroku labs:enable log-runtime-metrics` adds them"
    )]
    NoReadings,
    #[error("too few requests to tell endpoints apart")]
    FewRequests,
    #[error("memory does not grow")]
    NoGrowth,
    #[error("memory grows with time, not with requests; look at jobs, timers and caches")]
    WithTime,
    #[error("memory grows with requests, but no endpoint stands out")]
    WithRequests,
    #[error("no endpoint stands out")]
    NoneStandsOut,
}

impl NoSuspect {
    fn hours(missing: f64) -> Self {
        Self::Hours(missing.ceil().max(1.0) as u64)
    }
}

/// Endpoints of the fit, at most.
const ENDPOINTS: usize = 63;

/// Standard errors that a `strong` suspect is above nothing, and its lead over the next.
const STRONG_ERRORS: f64 = 4.0;
const STRONG_LEAD: f64 = 1.5;

/// The same for a `weak` one, which also explains this part of the growth.
const WEAK_ERRORS: f64 = 3.5;
const WEAK_SHARE: f64 = 0.3;

/// Columns that are tried to be left out: the surest.
const TRIED: usize = 5;

/// Suspects that are shown, at most.
const SUSPECTS_MAX: usize = 3;

/// The correlation of endpoints that are always called together, beyond what all requests have in common.
const TOGETHER: f64 = 0.95;

/// Rows for each column of the fit, at least.
const ROWS_LEAST: usize = 20;

/// Requests without which an endpoint is among all others.
const REQUESTS_LEAST: f64 = 50.0;

/// Requests at which a process has warmed up, for the two terms of warming up.
const WARM_REQUESTS: [f64; 2] = [100.0, 3000.0];

/// Columns besides the endpoints: all others, all requests, age and two terms of warming up.
const OTHERS: usize = 5;

/// An endpoint, or the mean of those that are always called together, in the fit.
#[derive(Clone, Debug, PartialEq)]
struct Column {
    numbers: Vec<u16>,
    /// Requests in all rows.
    requests: f64,
    /// Requests by row.
    by_row: Vec<f64>,
}

/// What a column explains.
#[derive(Clone, Copy, Debug)]
struct Part {
    column: usize,
    /// Its coefficient in standard errors.
    errors: f64,
    share: f64,
    megabytes: f64,
}

/// The suspects of a process type, the surest first.
///
/// # Errors
/// No endpoint is named.
pub fn suspects(history: &AppHistory, lives: &[Life], hours: f64) -> Result<Vec<Suspect>, NoSuspect> {
    if hours < limits::SUSPECTS_HOURS_MIN {
        return Err(NoSuspect::hours(limits::SUSPECTS_HOURS_MIN - hours));
    }
    if lives.iter().all(|life| life.last_reading.is_none()) {
        return Err(NoSuspect::NoReadings);
    }
    let of_life = |life: &Life| {
        let steps = history.dyno(&life.dyno).map(|steps| growth_rows::rows(life, steps, history.ledger()));
        steps.unwrap_or_default()
    };
    let rows: Vec<GrowthRow> = lives.iter().flat_map(of_life).collect();
    let windows: BTreeSet<i64> = rows.iter().flat_map(|row| [row.window, row.window + 1]).collect();
    // The boot of a life, and the window that a life ends in, have no row.
    let missing = limits::SUSPECTS_HOURS_MIN - HOURS_WITHOUT_ROWS - windows.len() as f64 / WINDOWS_PER_HOUR;
    if missing > 0.0 {
        return Err(NoSuspect::hours(missing));
    }
    judge(&rows, history.ledger())
}

/// Hours of a dozen that may be without rows: those around the boot.
const HOURS_WITHOUT_ROWS: f64 = 2.0;

fn judge(rows: &[GrowthRow], ledger: &Ledger) -> Result<Vec<Suspect>, NoSuspect> {
    if rows.len() < ROWS_LEAST {
        return Err(NoSuspect::hours((ROWS_LEAST - rows.len()) as f64 / WINDOWS_PER_HOUR));
    }
    let totals: Vec<f64> = rows.iter().map(|row| row.requests.iter().map(|(_, count)| count).sum()).collect();
    let columns = together(columns(rows), &totals);
    if columns.is_empty() {
        return Err(NoSuspect::FewRequests);
    }
    let sums = sums(rows, &columns, &totals);
    // Only age and warming up may also shrink.
    let is_free = |column| column >= columns.len() + 2;
    let Some(fit) = sums.solve(is_free) else { return Err(NoSuspect::NoneStandsOut) };
    let grown: f64 = rows.iter().map(|row| row.growth).sum();
    let explained: f64 =
        columns.iter().zip(&fit.coefficients).map(|(column, value)| value * column.requests).sum();
    let whole = grown.max(explained).max(f64::MIN_POSITIVE);
    let part = |(place, column): (usize, &Column)| {
        let (value, error) = (fit.coefficients[place], fit.errors[place]?);
        let share = (value * column.requests / whole).clamp(0.0, 1.0);
        (value > 0.0 && error > 0.0).then(|| Part {
            column: place,
            errors: value / error,
            share,
            megabytes: value,
        })
    };
    let mut parts: Vec<Part> = columns.iter().enumerate().filter_map(part).collect();
    parts.sort_by(|left, right| right.errors.total_cmp(&left.errors));
    parts.truncate(TRIED);
    for part in &mut parts {
        let Some(without) = sums.solve_without(|column| column == part.column, is_free) else {
            return Err(NoSuspect::NoneStandsOut);
        };
        part.errors = part.errors.min(worth(&fit, &without));
    }
    parts.sort_by(|left, right| right.errors.total_cmp(&left.errors));
    let suspects = named(&parts, &columns, ledger);
    if !suspects.is_empty() {
        return Ok(suspects);
    }
    if grown <= 0.0 {
        return Err(NoSuspect::NoGrowth);
    }
    // The columns of requests come before that of time.
    let time = columns.len() + 2;
    let mut amounts: Vec<f64> = columns.iter().map(|column| column.requests).collect();
    amounts.extend([0.0, totals.iter().sum(), rows.iter().map(|row| row.hours).sum()]);
    let carry = |columns: std::ops::Range<usize>| {
        let explained: f64 = columns.clone().map(|column| fit.coefficients[column] * amounts[column]).sum();
        let without = || sums.solve_without(|column| columns.contains(&column), is_free);
        explained >= CARRIED_LEAST * grown
            && without().is_some_and(|without| worth(&fit, &without) >= STRONG_ERRORS)
    };
    Err(if carry(time..time + 1) {
        NoSuspect::WithTime
    } else if carry(0..time) {
        NoSuspect::WithRequests
    } else {
        NoSuspect::NoneStandsOut
    })
}

/// The part of the growth that time, or requests, must explain to be named as what it grows with.
const CARRIED_LEAST: f64 = 0.5;

/// How much worse the growth is explained without a column, in standard errors. It is little where others can
/// take its place, above all the requests together.
fn worth(fit: &Fit, without: &Fit) -> f64 {
    let worth = (without.rest - fit.rest).max(0.0) / fit.variance;
    if worth.is_finite() { worth.sqrt() } else { 0.0 }
}

/// What may be said of the parts, of which the surest comes first.
fn named(parts: &[Part], columns: &[Column], ledger: &Ledger) -> Vec<Suspect> {
    let Some(first) = parts.first() else { return Vec::new() };
    let next = parts.get(1).map_or(0.0, |next| next.errors);
    let is_strong = first.errors >= STRONG_ERRORS
        && first.errors >= STRONG_LEAD * next
        && columns[first.column].numbers.len() <= 2;
    let shown: &[Part] = match is_strong {
        true => &parts[..1],
        false => {
            let is_weak = |part: &&Part| part.errors >= WEAK_ERRORS && part.share >= WEAK_SHARE;
            &parts[..parts.iter().take_while(is_weak).count()]
        }
    };
    let confidence = if is_strong { "strong" } else { "weak" };
    let each =
        shown.iter().flat_map(|part| columns[part.column].numbers.iter().map(move |number| (part, *number)));
    let suspect = |(part, number): (&Part, u16)| {
        let endpoint = ledger.endpoint(number)?;
        Some(Suspect {
            method: endpoint.method.word().to_owned(),
            template: endpoint.template.to_string(),
            share: (part.share * 100.0).round() / 100.0,
            confidence,
            kilobytes: (part.megabytes * 1000.0).round() as u64,
        })
    };
    each.filter_map(suspect).take(SUSPECTS_MAX).collect()
}

/// What the suspects mean, without a full stop; none without suspects.
pub fn sentence(suspects: &[Suspect]) -> Option<String> {
    let name = |suspect: &Suspect| format!("{} {}", suspect.method, suspect.template);
    let (first, others) = suspects.split_first()?;
    let part = match first.share {
        share if share >= 0.95 => "the growth of memory".to_owned(),
        share if share > 0.5 => "most of the growth of memory".to_owned(),
        share => format!("{:.0} % of the growth of memory", share * 100.0),
    };
    let size = format!("about {} KB each", first.kilobytes);
    Some(match (first.confidence, others) {
        ("strong", []) => format!("requests to {} explain {part}, {size}", name(first)),
        ("strong", [other, ..]) => format!(
            "requests to {} and {}, which are called together, explain {part}, {size}",
            name(first),
            name(other)
        ),
        _ => {
            let names: Vec<String> = suspects.iter().map(name).collect();
            format!("requests that may make memory grow: {}", names.join(", "))
        }
    })
}

/// The sentence at the start of a line.
pub fn capitalised(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The most used endpoints.
fn columns(rows: &[GrowthRow]) -> Vec<Column> {
    let mut columns: std::collections::BTreeMap<u16, Column> = std::collections::BTreeMap::new();
    for (place, row) in rows.iter().enumerate() {
        for (number, count) in row.requests.iter().filter(|(number, _)| *number != 0) {
            let column = columns.entry(*number).or_insert_with(|| Column {
                numbers: vec![*number],
                requests: 0.0,
                by_row: vec![0.0; rows.len()],
            });
            column.requests += count;
            column.by_row[place] += count;
        }
    }
    let mut columns: Vec<Column> =
        columns.into_values().filter(|column| column.requests >= REQUESTS_LEAST).collect();
    columns.sort_by(|left, right| right.requests.total_cmp(&left.requests));
    columns.truncate(ENDPOINTS);
    columns
}

/// Joins endpoints that are always called together.
fn together(columns: Vec<Column>, totals: &[f64]) -> Vec<Column> {
    let beyond: Vec<Vec<f64>> = columns.iter().map(|column| beyond(&column.by_row, totals)).collect();
    let mut joined: Vec<(usize, Column)> = Vec::new();
    for (place, column) in columns.into_iter().enumerate() {
        let is_twin =
            |known: &&mut (usize, Column)| correlation(&beyond[known.0], &beyond[place]) >= TOGETHER;
        match joined.iter_mut().find(is_twin) {
            Some((_, known)) => {
                known.numbers.extend(column.numbers);
                known.requests += column.requests;
                known.by_row.iter_mut().zip(&column.by_row).for_each(|(sum, count)| *sum += count);
            }
            None => joined.push((place, column)),
        }
    }
    // Each call of all of them is one.
    let mean = |(_, column): (usize, Column)| {
        let members = column.numbers.len() as f64;
        let by_row = column.by_row.iter().map(|sum| sum / members).collect();
        Column { requests: column.requests / members, by_row, ..column }
    };
    joined.into_iter().map(mean).collect()
}

/// What is left of `values` without the part that follows `totals`.
fn beyond(values: &[f64], totals: &[f64]) -> Vec<f64> {
    let count = values.len() as f64;
    let (mean, total) = (values.iter().sum::<f64>() / count, totals.iter().sum::<f64>() / count);
    let pairs = || values.iter().map(|value| value - mean).zip(totals.iter().map(|value| value - total));
    let square: f64 = pairs().map(|(_, total)| total * total).sum();
    let slope =
        if square > 0.0 { pairs().map(|(value, total)| value * total).sum::<f64>() / square } else { 0.0 };
    pairs().map(|(value, total)| value - slope * total).collect()
}

fn correlation(left: &[f64], right: &[f64]) -> f64 {
    let square = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
    let scale = (square(left) * square(right)).sqrt();
    let product: f64 = left.iter().zip(right).map(|(left, right)| left * right).sum();
    if scale > 0.0 { product / scale } else { 0.0 }
}

fn sums(rows: &[GrowthRow], columns: &[Column], totals: &[f64]) -> Sums {
    let count = columns.len();
    let mut sums = Sums::new(count + OTHERS);
    for (place, row) in rows.iter().enumerate() {
        let mut values: Vec<f64> = columns.iter().map(|column| column.by_row[place]).collect();
        let apart: f64 =
            columns.iter().zip(&values).map(|(column, value)| column.numbers.len() as f64 * value).sum();
        let warm = |scale: f64| (1.0 + row.served.1 / scale).ln() - (1.0 + row.served.0 / scale).ln();
        values.extend([(totals[place] - apart).max(0.0), totals[place], row.hours]);
        values.extend(WARM_REQUESTS.map(warm));
        values.push(row.growth);
        sums.add(&values);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::{NoSuspect, Suspect, capitalised, judge, sentence};
    use crate::days::evidence::counts::{Endpoint, WindowCounts};
    use crate::days::evidence::growth_rows::GrowthRow;
    use crate::days::evidence::ledger::Ledger;
    use crate::days::evidence::method::Method;

    fn ledger(templates: &[&str]) -> Ledger {
        let endpoint = |template: &&str| Endpoint { method: Method::Post, template: (*template).into() };
        let endpoints = templates.iter().map(endpoint).collect();
        let counts = (1..=templates.len() as u16).map(|number| (number, 1)).collect();
        let dynos = vec![("web.1".parse().expect("a dyno"), counts)];
        let mut ledger = Ledger::default();
        ledger.add(&WindowCounts { window: 0, endpoints, dynos });
        ledger
    }

    /// Rows with requests that wander, and a growth that follows from them.
    fn rows(requests: impl Fn(f64, f64) -> Vec<f64>, growth: impl Fn(&[f64]) -> f64) -> Vec<GrowthRow> {
        let mut draw: u64 = 3;
        let mut noise = || {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (draw >> 40) as f64 / f64::from(1 << 24) - 0.5
        };
        (0..200)
            .map(|window| {
                let counts = requests(noise(), noise());
                let growth = growth(&counts) + noise();
                let requests = (1..).zip(counts).collect();
                let served = (window as f64 * 100.0, window as f64 * 100.0 + 100.0);
                GrowthRow { window, growth, requests, hours: 0.5, served }
            })
            .collect()
    }

    /// Requests of two endpoints, each in its own way.
    fn wandering(noise: f64, other: f64) -> Vec<f64> {
        vec![50.0 + 40.0 * noise, 500.0 + 300.0 * other]
    }

    fn told(suspects: &[Suspect]) -> Vec<(&str, &str)> {
        suspects.iter().map(|suspect| (suspect.template.as_str(), suspect.confidence)).collect()
    }

    #[test]
    fn the_endpoint_that_leaks_is_named() {
        let ledger = ledger(&["/orders/:id/import", "/cart"]);
        let suspects = judge(&rows(wandering, |counts| counts[0] * 0.1), &ledger).expect("suspects");
        assert_eq!(told(&suspects), [("/orders/:id/import", "strong")]);
        assert!((80..=120).contains(&suspects[0].kilobytes) && suspects[0].share > 0.8, "{suspects:?}");
        let sentence = sentence(&suspects).expect("a sentence");
        assert!(sentence.starts_with("requests to POST /orders/:id/import explain "), "{sentence}");
        assert!(capitalised(&sentence).starts_with("Requests to "), "{sentence}");
    }

    #[test]
    fn endpoints_that_are_called_together_are_named_together() {
        let ledger = ledger(&["/import", "/import/done", "/cart"]);
        let both =
            |noise: f64, other: f64| vec![50.0 + 40.0 * noise, 50.0 + 40.0 * noise, 500.0 + 300.0 * other];
        let suspects = judge(&rows(both, |counts| counts[0] * 0.1), &ledger).expect("suspects");
        assert_eq!(told(&suspects), [("/import", "strong"), ("/import/done", "strong")]);
        let sentence = sentence(&suspects).expect("a sentence");
        assert!(
            sentence.contains("POST /import and POST /import/done, which are called together"),
            "{sentence}"
        );
    }

    #[test]
    fn why_none_is_named_is_told() {
        let ledger = ledger(&["/orders/:id/import", "/cart"]);
        let leak = |counts: &[f64]| counts[0] * 0.1;
        let why = |rows: &[GrowthRow]| judge(rows, &ledger).expect_err("none is named");
        assert_eq!(why(&rows(wandering, |_| 5.0)), NoSuspect::WithTime);
        assert_eq!(why(&rows(wandering, |counts| (counts[0] + counts[1]) * 0.05)), NoSuspect::WithRequests);
        assert_eq!(why(&rows(wandering, |_| -5.0)), NoSuspect::NoGrowth);
        assert_eq!(why(&rows(wandering, |_| 0.1)), NoSuspect::NoneStandsOut);
        assert_eq!(why(&rows(|_, _| Vec::new(), |_| 5.0)), NoSuspect::FewRequests);
        assert_eq!(why(&rows(|noise, _| vec![0.2 + noise * 0.1], |_| 5.0)), NoSuspect::FewRequests);
        assert_eq!(why(&rows(wandering, leak)[..10]), NoSuspect::Hours(5));
        assert_eq!(why(&[]), NoSuspect::Hours(10));
        assert_eq!(sentence(&[]), None);
        assert_eq!(
            NoSuspect::Hours(11).to_string(),
            "11 h more of memory readings and router lines are needed"
        );
    }
}
