//! `dynowarden replay`: the order of lines, what a log shows and does not show, zones, and what restarts
//! would have been worth.

use std::fmt::Write as _;

use proptest::prelude::{Just, Strategy as _, proptest};

use crate::replay::{gzipped, json, replay};

const R14: &str = "Error R14 (Memory quota exceeded)";

fn at(secs: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_750_000_000 + secs).expect("a time")
}

/// Lines of `heroku logs` at these seconds.
fn log(lines: &[(i64, &str)]) -> String {
    lines.iter().fold(String::new(), |mut text, (secs, line)| {
        writeln!(text, "{} {line}", at(*secs)).expect("a string takes everything");
        text
    })
}

/// An hour over quota.
fn hour() -> Vec<String> {
    let pair = |secs: i64| {
        let at = at(secs);
        [
            format!("{at} heroku[web.1]: Process running mem=571M(111.6%)"),
            format!("{at} heroku[web.1]: {R14}"),
        ]
    };
    (0..3600).step_by(21).flat_map(pair).collect()
}

fn text(lines: &[String]) -> String {
    lines.join("\n") + "\n"
}

#[test]
fn an_archive_is_read_in_order_of_time() {
    let hour = hour();
    let expect = json("-", text(&hour).as_bytes());
    assert!(expect.iter().filter(|decision| decision["decision"] == "restart").count() >= 2);
    let backward: Vec<_> = hour.iter().rev().cloned().collect();
    assert_eq!(json("-", text(&backward).as_bytes()), expect);
    assert_eq!(json("-", &gzipped(text(&backward).as_bytes())), expect);
    for page in [6, 40] {
        let pages: Vec<_> = hour.chunks(page).rev().flatten().cloned().collect();
        assert_eq!(json("-", text(&pages).as_bytes()), expect, "pages of {page}, newest first");
        let pages: Vec<_> = hour.chunks(page).flat_map(|page| page.iter().rev()).cloned().collect();
        let read = json("-", text(&pages).as_bytes());
        if page == 40 {
            assert_eq!(read, expect, "pages of {page}, each newest first");
        }
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (older, newer) = backward.split_at(backward.len() / 2);
    let paths = ["a.log", "b.log.gz"].map(|name| dir.path().join(name));
    std::fs::write(&paths[0], text(older)).expect("room on the disk");
    std::fs::write(&paths[1], gzipped(text(newer).as_bytes())).expect("room on the disk");
    for [first, second] in [[0, 1], [1, 0]] {
        let line = format!("{} {}", paths[first].display(), paths[second].display());
        assert_eq!(json(&line, b""), expect);
    }
}

/// Logplex has several nodes, whose clocks differ.
#[test]
fn jitter_is_no_reversal() {
    let log = log(&[
        (0, "app[web.1]: hello"),
        (100, "heroku[web.1]: State changed from up to starting"),
        (99, "heroku[web.1]: State changed from starting to up"),
        (400, "heroku[web.1]: Error R14 (Memory quota exceeded)"),
    ]);
    let decisions = json("-", log.as_bytes());
    assert_eq!(decisions.len(), 1);
    assert_eq!(decisions[0]["decision"], "restart", "the dyno is up: {}", decisions[0]);
}

proptest! {
    #[test]
    fn lines_in_any_order_lead_to_the_same_decisions(
        (lines, mixed) in proptest::collection::vec(
            proptest::sample::select(vec![
                "heroku[web.1]: Error R14 (Memory quota exceeded)",
                "heroku[web.2]: Error R14 (Memory quota exceeded)",
                "heroku[web.1]: State changed from up to starting",
                "heroku[web.1]: State changed from starting to up",
                "app[web.2]: hello",
            ]),
            2..40,
        ).prop_flat_map(|lines| {
            let lines: Vec<_> = (0..).zip(lines).map(|(place, line)| (place * 70, line)).collect();
            (Just(lines.clone()), Just(lines).prop_shuffle())
        }),
    ) {
        assert_eq!(json("-", log(&mixed).as_bytes()), json("-", log(&lines).as_bytes()));
    }
}

const ONLY: &str = "the only dyno of its type";

#[track_caller]
fn check_only(lines: &[(i64, &str)], expect: bool) {
    let log = log(lines);
    let text = replay("-", "", log.as_bytes()).out;
    assert_eq!(text.contains(ONLY), expect, "{text}");
    let decisions = json("-", log.as_bytes());
    let restart = decisions.iter().find(|decision| decision["decision"] == "restart").expect("a restart");
    assert_eq!(restart.to_string().contains(ONLY), expect, "{restart}");
}

#[test]
fn the_only_dyno_is_one_where_the_log_proves_it() {
    let r14 = (1000, "heroku[web.1]: Error R14 (Memory quota exceeded)");
    let to_one = (0, "app[api]: Scaled to web@1:Standard-1X by user a@example.com");
    check_only(&[r14], false);
    check_only(&[to_one, r14], true);
    check_only(&[to_one, (5, "heroku[web.4321]: Starting process with command `bash`"), r14], true);
    check_only(&[(0, "app[api]: Scaled to web@4:Standard-1X by user a@example.com"), r14], false);
    check_only(&[(0, "heroku[api]: Scale to web=2, worker=1 by a@example.com"), r14], false);
    check_only(&[to_one, r14, (2000, "app[api]: Scaled to web@2:Standard-1X by user a@example.com")], false);
    check_only(&[to_one, (5, "app[web.2]: hello"), r14], false);
    check_only(&[to_one, r14, (2000, "app[web.2]: hello")], false);
    check_only(
        &[to_one, (5, "heroku[router]: at=info method=GET path=\"/\" dyno=web.2 status=200"), r14],
        false,
    );
    check_only(&[(5, "app[web.1]: Scaled to web@1:Standard-1X by user a@example.com"), r14], false);
    check_only(&[(0, "app[api]: Scaled to worker@1:Standard-1X by user a@example.com"), r14], false);
    let request = "heroku[router]: at=info method=GET path=\"/\" dyno=web.1 status=200";
    let mut requests: Vec<_> = (0..30).map(|second| (second, request)).collect();
    requests.push(r14);
    check_only(&requests, true);
    check_only(&requests[20..], false);
    // What a formation was before it was scaled, no line says.
    check_only(&[r14, (2000, "app[api]: Scaled to web@1:Standard-1X by user a@example.com")], false);
    // A search for errors finds no dyno without any.
    let error = "heroku[router]: at=error code=H12 desc=\"Request timeout\" path=\"/\" dyno=web.1 status=503";
    let mut errors: Vec<_> = (0..30).map(|second| (second, error)).collect();
    errors.push(r14);
    check_only(&errors, false);
}

#[test]
fn a_later_line_shows_that_a_dyno_was_starting() {
    let crashed = "heroku[web.1]: State changed from starting to crashed";
    let r14 = "heroku[web.1]: Error R14 (Memory quota exceeded)";
    let check = |lines: &[(i64, &str)], expect: &str| {
        let decisions = json("-", log(lines).as_bytes());
        assert_eq!(decisions[0]["code"], expect, "{lines:?}");
    };
    check(&[(0, r14), (7, crashed)], "not_up");
    check(&[(0, r14), (40, "heroku[web.1]: State changed from starting to up")], "not_up");
    check(&[(0, r14), (7, "heroku[web.1]: State changed from up to crashed")], "rule");
    check(&[(0, r14), (900, crashed)], "rule");
    check(&[(0, r14), (7, "heroku[web.2]: State changed from starting to crashed")], "rule");
    // A relocated dyno is leaving.
    check(&[(0, "heroku[web.1]: Relocating dyno to a new server"), (8, r14)], "platform_acts");
}

#[test]
fn a_one_off_dyno_has_no_place_in_a_formation() {
    let log = log(&[(0, "heroku[web.4321]: Error R14 (Memory quota exceeded)")]);
    let ran = replay("-", "", log.as_bytes());
    assert!(ran.out.contains("0 dynos of 1 app\n0 restarts, 0 holds"), "{}", ran.out);
    assert!(ran.out.contains("web: 1 error (1 R14), not restarted: one-off dynos never are"), "{}", ran.out);
}

#[test]
fn times_without_a_zone_are_not_called_utc() {
    let log = format!("Oct 16 02:37:11 acme heroku/web.1: {R14}\n");
    let ran = replay("-", "", log.as_bytes());
    assert!(ran.out.starts_with("2025-10-16 02:37:11  acme"), "{}", ran.out);
    assert!(!ran.out.contains("11Z") && ran.out.contains("--zone names it"), "{}", ran.out);
    assert!(!ran.out.contains("Windows"), "{}", ran.out);
    let ran = replay("-", "[policy]\nwindow = [\"00:00-06:00\"]", log.as_bytes());
    assert!(ran.out.contains("Windows were judged as if it were UTC."), "{}", ran.out);
    assert_eq!(json("-", log.as_bytes())[0]["at"], "2025-10-16T02:37:11");

    for (zone, at) in [
        ("America/New_York", "2025-10-16T06:37:11Z"),
        ("UTC", "2025-10-16T02:37:11Z"),
        ("+02:00", "2025-10-16T00:37:11Z"),
        ("-08:00", "2025-10-16T10:37:11Z"),
    ] {
        assert_eq!(json(&format!("--zone {zone} -"), log.as_bytes())[0]["at"], at, "{zone}");
    }
    let out = replay("--zone Europe/Berlin -", "[policy]\nwindow = [\"00:00-06:00\"]", log.as_bytes()).out;
    assert!(out.starts_with("2025-10-16 00:37:11Z") && !out.contains("zone"), "{out}");
    // A zone in the line is the line's.
    let log = format!("2025-10-16T02:37:11+02:00 heroku[web.1]: {R14}\n");
    assert_eq!(json("--zone America/New_York -", log.as_bytes())[0]["at"], "2025-10-16T00:37:11Z");
}

#[test]
fn the_summary_says_what_restarts_would_have_been_worth() {
    let mut lines = vec![
        (0, "heroku[web.1]: State changed from starting to up"),
        (10, "heroku[worker.1]: Error R14 (Memory quota exceeded)"),
        (11, "heroku[web.1]: Error R12 (Exit timeout)"),
        (12, "app[web.1]: our own R14 page, R14"),
        (13, "app[web.1]: PR14 and R140"),
    ];
    lines.extend(
        (7200..10_800).step_by(20).map(|secs| (secs, "heroku[web.1]: Error R14 (Memory quota exceeded)")),
    );
    let out = replay("-", "", log(&lines).as_bytes()).out;
    for part in [
        "worker: 1 error (1 R14), not restarted: policy.process_types is [\"web\"]",
        "web: 1 error (1 R12), not restarted: no rule covers that",
        "1 line printed by the app only mentions R14",
        "Over quota: 60 min as it was",
    ] {
        assert!(out.contains(part), "{part:?} is not in {out}");
    }
}
