//! Lines that are false, missing or out of place: what they would decide is unknown, never a guess.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use dynowarden_core::days::history::AppHistory;
use dynowarden_core::days::proof;
use dynowarden_core::days::report::{self, Surroundings, TypeReport};
use dynowarden_core::days::seen::Seen;
use dynowarden_core::days::verdict::Verdict;
use dynowarden_core::detect::request::Request;
use dynowarden_core::detect::sign::Sign;
use dynowarden_core::event::{DynoState, Megabytes};
use dynowarden_core::ident::{DynoRef, InstanceId};
use dynowarden_core::limits;
use dynowarden_core::policy::{MemoryBound, Proof};

const WEB_1: DynoRef<'static> = DynoRef { process_type: "web", index: 1 };
const START: i64 = 1_767_225_600;
const DAY: i64 = 86_400;
const DAYS: i64 = 4;

/// One line of the platform about `web.1`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Entry {
    Began,
    Memory { instance: i64, tenths: u64, quota: u64 },
    Request,
}

/// Four days of a dyno that leaks half of its quota a day, restarted by a person at 09:00, with fewer
/// requests from 03:00 to 06:00.
fn leak() -> Vec<(i64, Entry)> {
    let mut lines = Vec::new();
    for second in (0..DAYS * DAY).step_by(60) {
        let age = (second - 9 * 3600).rem_euclid(DAY);
        if age == 0 {
            lines.push((second, Entry::Began));
        }
        let tenths = 2000 + (2560 * age / DAY) as u64;
        lines.push((second + 10, Entry::Memory { instance: (second - age) / DAY, tenths, quota: 5120 }));
        let is_quiet = (3..6).contains(&(second % DAY / 3600));
        if !is_quiet || second % 600 == 0 {
            lines.push((second + 30, Entry::Request));
        }
    }
    lines
}

fn history(lines: &[(i64, Entry)]) -> AppHistory {
    let mut history = AppHistory::default();
    for (second, entry) in lines {
        let at = Timestamp::from_second(START + second).expect("a time");
        let mut add = |seen: &Seen<'_>| history.add(Some(WEB_1), seen, at);
        match *entry {
            Entry::Began => {
                for sign in [Sign::Restarting, Sign::Starting, Sign::State(DynoState::Up)] {
                    add(&Seen::Sign(sign));
                }
            }
            Entry::Memory { instance, tenths, quota } => {
                let instance: InstanceId = format!("i{instance}").parse().expect("an id");
                let size = |tenths: u64| Megabytes { hundredths: tenths.saturating_mul(10) };
                add(&Seen::Sample { instance, total: size(tenths), quota: size(quota) });
            }
            Entry::Request => {
                let request = Request {
                    dyno: WEB_1,
                    status: Some(200),
                    service_ms: Some(9),
                    code: None,
                    method: Some(b"GET"),
                    path: Some(b"/"),
                };
                add(&Seen::Request(request));
            }
        }
    }
    history
}

fn report(lines: &[(i64, Entry)]) -> TypeReport {
    let around = Surroundings { counts_requests: true, zone: TimeZone::UTC, sizes: None, tenancy: None };
    let mut reports = report::reports(&"acme".parse().expect("a name"), &history(lines), &around);
    assert_eq!(reports.len(), 1);
    reports.remove(0)
}

/// The same lines, each with its memory changed.
fn with_memory(change: impl Fn(i64, u64) -> Vec<Entry>) -> Vec<(i64, Entry)> {
    let lines = leak().into_iter().flat_map(|(second, entry)| match entry {
        Entry::Memory { tenths, .. } => {
            change(second, tenths).into_iter().map(|entry| (second, entry)).collect()
        }
        other => vec![(second, other)],
    });
    lines.collect()
}

#[track_caller]
fn check_unknown(lines: &[(i64, Entry)]) {
    let report = report(lines);
    assert_eq!(report.verdict, Verdict::Unknown, "{report:?}");
    assert!(report.unknown_because.as_deref().is_some_and(|why| !why.is_empty()), "{report:?}");
    assert!(report.hours_to_quota.is_empty() && report.right_size.is_none(), "{report:?}");
}

#[test]
fn true_lines_are_judged() {
    let report = report(&leak());
    assert_eq!(report.verdict, Verdict::Leaks, "{report:?}");
    assert!(report.growth_percent_per_day.is_some_and(|growth| (growth - 50.0).abs() < 3.0), "{report:?}");
    let quiet = report.quiet_hours.expect("a day was heard");
    assert_eq!((&*quiet.from, &*quiet.to), ("03:00", "06:00"));
}

#[test]
fn impossible_readings_are_none() {
    for (tenths, quota) in [(0, 5120), (5120 * 30, 5120), (u64::MAX, 5120), (3000, 0), (3000, u64::MAX)] {
        let lines = with_memory(|second, _| vec![Entry::Memory { instance: second / DAY, tenths, quota }]);
        check_unknown(&lines);
    }
}

/// Readings that jump up and down within minutes are no memory of one process.
#[test]
fn jumping_memory_is_unknown() {
    let lines = with_memory(|second, _| {
        let tenths = if second / 60 % 2 == 0 { 500 } else { 4800 };
        vec![Entry::Memory { instance: (second - 9 * 3600).div_euclid(DAY), tenths, quota: 5120 }]
    });
    check_unknown(&lines);
    assert_eq!(report(&lines).growth_percent_per_day, None);
}

/// Memory that shrinks all the time is no leak, and nothing goes over the quota.
#[test]
fn memory_that_goes_backwards_is_no_leak() {
    let lines = with_memory(|second, tenths| {
        vec![Entry::Memory {
            instance: (second - 9 * 3600).div_euclid(DAY),
            tenths: 6560 - tenths,
            quota: 5120,
        }]
    });
    let report = report(&lines);
    assert_eq!(report.verdict, Verdict::LevelsOutBelow, "{report:?}");
    assert!(report.hours_to_quota.is_empty() && report.right_size.is_none());
}

#[test]
fn lines_in_reverse_order_of_time_say_the_same_or_nothing() {
    let mut lines = leak();
    lines.reverse();
    let report = report(&lines);
    assert!(matches!(report.verdict, Verdict::Unknown | Verdict::Leaks), "{report:?}");
    assert_eq!(report.quiet_hours.map(|hours| hours.from).as_deref(), Some("03:00"));
}

/// A dyno whose size changes every few hours has no life that could be judged.
#[test]
fn a_quota_that_changes_ends_what_was_known() {
    let lines = with_memory(|second, tenths| {
        let quota = if second / (5 * 3600) % 2 == 0 { 5120 } else { 10_240 };
        vec![Entry::Memory { instance: (second - 9 * 3600).div_euclid(DAY), tenths, quota }]
    });
    check_unknown(&lines);
}

#[test]
fn two_instances_under_one_name_are_unknown() {
    let lines = with_memory(|second, tenths| {
        let of = |instance, tenths| Entry::Memory { instance, tenths, quota: 5120 };
        let process = (second - 9 * 3600).div_euclid(DAY);
        vec![of(process, tenths), of(process + 100, 900)]
    });
    check_unknown(&lines);
}

/// Of a dyno that is silent for hours, nothing is known of what happened in them.
#[test]
fn gaps_of_hours_are_unknown() {
    let lines: Vec<_> = leak().into_iter().filter(|(second, _)| second / 3600 % 8 < 3).collect();
    check_unknown(&lines);
}

#[test]
fn a_clock_that_jumps_is_bounded_and_decides_nothing() {
    let mut lines = leak();
    let days = 400;
    for (place, line) in lines.iter_mut().enumerate() {
        // Every other hour is from another year.
        if place / 120 % 2 == 1 {
            line.0 += days * DAY * (1 + place as i64 / 120 % 3);
        }
    }
    let report = report(&lines);
    assert_eq!(report.verdict, Verdict::Unknown, "{report:?}");
    let steps = history(&lines).dyno(&"web.1".parse().expect("a dyno")).map_or(0, |steps| steps.len());
    assert!(steps <= limits::SERIES_STEPS_MAX, "{steps}");
}

/// A drain that is silent at night says nothing about the night.
#[test]
fn a_silent_night_is_no_quiet_night() {
    for silent in [2..7, 0..2, 22..24] {
        let lines: Vec<_> =
            leak().into_iter().filter(|(second, _)| !silent.contains(&(second % DAY / 3600))).collect();
        assert_eq!(report(&lines).quiet_hours, None, "{silent:?}");
    }
}

#[test]
fn an_app_without_router_lines_has_no_quiet_hours() {
    let lines: Vec<_> = leak().into_iter().filter(|(_, entry)| *entry != Entry::Request).collect();
    let report = report(&lines);
    assert_eq!((report.quiet_hours, report.verdict), (None, Verdict::Leaks));
}

/// What is false proves nothing: none of it makes a breach that a rule would act on.
#[test]
fn false_lines_prove_no_breach() {
    let (proof, above) = (Proof { breached: 1, of: 3 }, MemoryBound::OfQuota { permille: 950 });
    let impossible = with_memory(|second, _| {
        vec![Entry::Memory { instance: second / DAY, tenths: 5120 * 30, quota: 5120 }]
    });
    let single = with_memory(|second, tenths| {
        let tenths = if second % 7200 < 60 { 5300 } else { tenths };
        vec![Entry::Memory { instance: (second - 9 * 3600).div_euclid(DAY), tenths, quota: 5120 }]
    });
    for lines in [impossible, single, leak()] {
        let history = history(&lines);
        let types: BTreeSet<_> = history.process_types().into_iter().cloned().collect();
        for process_type in types {
            let lives = report::lives_of(&history, &process_type);
            assert_eq!(proof::breached(&lives, &history.releases(), proof, above), 0, "{lives:?}");
        }
    }
}
