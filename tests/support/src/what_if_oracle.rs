//! The oracle of `replay --what-if`: figures that are numbers within their bounds, one recommended policy
//! whose settings are read as what they are called, and refusals that name what is missing.

use std::fmt::Write as _;
use std::path::Path;

use dynowarden::commands::replay::ReplayError;
use dynowarden::config::{self, Needs, Sources};
use dynowarden_core::what_if::policies::candidates;
use dynowarden_core::what_if::{Missing, Refusal};
use jiff::Timestamp;

use crate::json::{self, Json};
use crate::replay_oracle;

/// Four octets an event: what is said of which dyno, how much later, and a number in it. Lines are in any
/// order within some days, so that most inputs are long enough to be compared.
pub fn check_what_if(octets: &[u8]) {
    let (mut log, mut second) = (String::new(), 0_i64);
    for event in octets.chunks_exact(4) {
        let &[kind, index, step, value] = event else { continue };
        // By samples, or by hours.
        second += i64::from(step as i8) * if kind & 0x80 == 0 { 20 } else { 1800 };
        let within = second.rem_euclid(DAYS * 86_400);
        // A clock that is years off.
        let years = if kind & 0x7f == 0x7f { i64::from(value) * 31_536_000 } else { 0 };
        let Ok(at) = Timestamp::from_second(START + within + years) else { continue };
        let at = at.to_string().replace('Z', "+00:00");
        let dyno = ["web.1", "web.2", "web.1", "worker.1"][usize::from(index % 4)];
        let process = index >> 4;
        let text = match kind & 0x0f {
            0..=4 => format!(
                "source={dyno} dyno=heroku.1.p{process} sample#memory_total={}.50MB \
                 sample#memory_quota=512.00MB",
                u32::from(value) * 5
            ),
            5 => format!("Process running mem={}M({}.0%)", u32::from(value) * 6, u32::from(value)),
            6 => "Error R14 (Memory quota exceeded)".to_owned(),
            7 => "Error R15 (Memory quota vastly exceeded)".to_owned(),
            place => SIGNS[usize::from(place - 8)].to_owned(),
        };
        for _ in 0..=kind >> 4 & 3 {
            let _ = writeln!(log, "{at} heroku[{dyno}]: {text}");
        }
        for _ in 0..kind >> 6 & 1 {
            let _ = writeln!(
                log,
                "{at} heroku[router]: at=info method=GET path=\"/\" dyno={dyno} service=8ms status=200"
            );
        }
    }
    check_compared(log.as_bytes());
}

const DAYS: i64 = 4;

/// 2026-01-02 in UTC.
const START: i64 = 1_767_312_000;

const SIGNS: [&str; 8] = [
    "Cycling",
    "Restarting",
    "Starting process with command `bin/web`",
    "State changed from starting to up",
    "State changed from up to crashed",
    "State changed from up to starting",
    "State changed from up to down",
    "Stopping all processes with SIGTERM",
];

/// Compares policies on a file.
pub fn check_compared(file: &[u8]) {
    let (out, result) = replay_oracle::run(file, true);
    match result {
        Ok(()) => check_rows(&out),
        Err(error) => {
            assert_eq!(out, "", "rows beside {error}");
            if let ReplayError::WhatIf(refusal) = error {
                check_refusal(&refusal);
            }
        }
    }
}

fn check_refusal(refusal: &Refusal) {
    let text = refusal.to_string();
    match *refusal {
        Refusal::TooLittle(missing) => {
            let Missing { hours, lives } = missing;
            assert!(missing != Missing::default() && hours <= 72 && lives <= 4, "{missing:?}");
            assert_eq!(text.contains(&format!(" {hours} h more")), hours > 0, "{text}");
            assert_eq!(text.contains("life more") || text.contains("lives more"), lives > 0, "{text}");
        }
        Refusal::TooLarge => assert!(text.contains("--app"), "{text}"),
    }
}

fn check_rows(out: &str) {
    let rows: Vec<Json> =
        out.lines().map(|line| json::read(line.as_bytes()).expect("an object a line").0).collect();
    assert!((2..=24).contains(&rows.len()), "{out}");
    let mut recommended = 0;
    for row in &rows {
        let policy = text(row, "policy").expect("a policy has a name");
        let of = |key| bounds(row.members(key).first().unwrap_or_else(|| panic!("no {key} in {out}")));
        of("restarts_per_week");
        of("minutes_over_quota_per_day");
        assert!(of("requests_hit_per_100k") <= 100_000.0, "{row:?}");
        let is_it = row.members("recommended") == [&Json::Bool(true)];
        recommended += u32::from(is_it);
        let toml = text(row, "toml");
        assert_eq!(toml.is_some(), is_it, "{row:?}");
        if let Some(toml) = toml {
            check_settings(policy, toml);
        }
    }
    assert_eq!(recommended, 1, "{out}");
}

/// Checks a figure, and returns its upper bound.
fn bounds(figure: &Json) -> f64 {
    let number = |key| match figure.members(key)[..] {
        [Json::Number(digits)] => digits.parse::<f64>().expect("a number"),
        _ => panic!("no {key} in {figure:?}"),
    };
    let (low, value, high) = (number("low"), number("value"), number("high"));
    assert!(0.0 <= low && low <= value && value <= high && high.is_finite(), "{figure:?}");
    high
}

fn check_settings(policy: &str, toml: &str) {
    let read_file = |_: &Path| Ok(toml.to_owned());
    let sources = Sources { config: Some(Path::new("t.toml")), env: &[], read_file: &read_file };
    let settings = config::load(&sources, Needs::Nothing).expect("settings that are accepted");
    let plan = settings.plan_for(&"acme".parse().expect("a name"));
    let known = candidates(true, true).into_iter().find(|candidate| candidate.name == policy);
    assert_eq!(Some(plan.rules), known.map(|known| known.rules), "{policy}");
}

fn text<'r>(row: &'r Json, key: &str) -> Option<&'r str> {
    row.members(key).first().and_then(|value| value.text())
}
