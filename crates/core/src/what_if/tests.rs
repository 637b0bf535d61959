//! Whatever the lines: no panic, and figures that are numbers.

use jiff::Timestamp;
use proptest::prelude::{ProptestConfig, any, prop, proptest};

use crate::ident::AppName;
use crate::policy::AppPlan;
use crate::replay::archive::Entry;
use crate::replay::roster::Roster;
use crate::what_if::compare::Comparison;
use crate::what_if::{Missing, Refusal, WhatIf};
use crate::wire::line::Line;

fn plan() -> AppPlan {
    let count = |count| std::num::NonZeroU32::new(count).expect("a count");
    let minutes = |minutes: u64| std::time::Duration::from_secs(minutes * 60);
    AppPlan {
        name: "acme".parse().expect("a name"),
        dry_run: false,
        policy: crate::policy::Policy {
            process_types: vec!["web".parse().expect("a type"), "api".parse().expect("a type")],
            cooldown: minutes(10),
            max_restarts: crate::policy::Rate { count: count(8), per: minutes(120) },
            give_up_after: count(3),
            give_up_for: minutes(360),
            max_concurrent: count(1),
            settle: minutes(1),
            min_uptime: minutes(3),
            boot_timeout: minutes(3),
            window: Vec::new(),
        },
        rules: Vec::new(),
    }
}

struct Log<'s> {
    what_if: WhatIf<'s>,
}

impl Log<'_> {
    fn new() -> Self {
        let roster = Roster::new("acme".parse::<AppName>().ok(), Vec::new());
        Self { what_if: WhatIf::new(roster, |_| plan()) }
    }

    fn say(&mut self, procid: &str, msg: &str, second: i64) {
        let line = Line::shown(b"", b"heroku", procid.as_bytes(), msg.as_bytes());
        let at = Timestamp::from_second(1_767_225_600 + second).expect("a time");
        let entry = Entry { system: None, at: Ok(at), is_zone_unknown: false, line };
        // A line that cannot be understood counts for nothing.
        let _understood = self.what_if.read(&entry);
    }

    fn sample(&mut self, procid: &str, share: f64, quota: f64, second: i64) {
        let total = share * quota;
        let msg = format!(
            "source={procid} dyno=heroku.1.p1 sample#memory_total={total:.2}MB \
             sample#memory_quota={quota:.2}MB"
        );
        self.say(procid, &msg, second);
    }
}

/// What must be true of any comparison.
fn check(compared: &Comparison) {
    assert_eq!(compared.rows.iter().filter(|row| row.recommended).count(), 1);
    for row in &compared.rows {
        for figure in [row.restarts_per_week, row.minutes_over_quota_per_day, row.requests_hit_per_100k] {
            assert!(figure.low.is_finite() && figure.high.is_finite() && figure.value.is_finite(), "{row:?}");
            assert!(
                0.0 <= figure.low && figure.low <= figure.value && figure.value <= figure.high,
                "{row:?}"
            );
        }
        assert!(row.requests_hit_per_100k.high <= 100_000.0, "{row:?}");
    }
}

const MESSAGES: [&str; 14] = [
    "Error R14 (Memory quota exceeded)",
    "Error R15 (Memory quota vastly exceeded)",
    "Process running mem=999M(195.1%)",
    "Cycling",
    "Restarting",
    "State changed from up to starting",
    "Starting process with command `bin/web`",
    "State changed from starting to up",
    "State changed from up to crashed",
    "State changed from up to down",
    "Stopping process with SIGKILL",
    "source=web.1 dyno=heroku.1.p2 sample#memory_total=1e9MB sample#memory_quota=512.00MB",
    "source=web.1 dyno=heroku.1.p3 sample#memory_total=511.00MB sample#memory_quota=0.00MB",
    "Error R",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    /// Lines in any order, of dynos that come and go, with the clock jumping years at times.
    #[test]
    fn any_lines_give_numbers_or_a_refusal(
        events in prop::collection::vec((0_i64..300_000, 0..MESSAGES.len(), 1..4_u32, any::<u8>()), 0..200),
        requests in 0_usize..2000,
        samples_every in 100_i64..4000,
    ) {
        let mut log = Log::new();
        for second in (0..280_000).step_by(samples_every as usize) {
            let growth = second as f64 / 70_000.0 % 1.3;
            log.sample(["web.1", "web.2", "api.1"][second as usize % 3], growth, 512.0, second);
        }
        for (second, message, index, odd) in events {
            let years = if odd > 250 { 4 * 365 * 86_400 } else { 0 };
            let procid = if odd % 7 == 0 { format!("api.{index}") } else { format!("web.{index}") };
            log.say(&procid, MESSAGES[message], second + years);
            if odd % 5 == 0 {
                log.sample(&procid, f64::from(odd) / 100.0, f64::from(odd) * 8.0, second + 7);
            }
        }
        for request in 0..requests as i64 {
            let msg = "at=info method=GET path=\"/\" dyno=web.1 service=8ms status=200";
            log.say("router", msg, request * 137);
        }
        match log.what_if.compare(&mut |done, total| assert!(done <= total)) {
            Ok(compared) => check(&compared),
            Err(refusal) => assert!(matches!(refusal, Refusal::TooLittle(_)), "{refusal}"),
        }
    }
}

#[test]
fn what_is_missing_is_spelled_out() {
    let check = |hours: f64, lives, expect: &str| assert_eq!(Missing::of(hours, lives).spelled(), expect);
    check(60.0, 9, "12 h more");
    check(71.2, 3, "1 h more, 1 life more");
    check(72.0, 0, "4 lives more");
    check(72.0, 4, "");
    let refused = Log::new().what_if.compare(&mut |_, _| ()).expect_err("there is nothing");
    assert!(refused.to_string().ends_with("72 h more, 4 lives more"), "{refused}");
}

#[test]
fn more_hours_than_can_be_held_are_refused() {
    let mut log = Log::new();
    log.what_if.room = 100;
    (0..101).for_each(|hour| log.sample("web.1", 0.5, 512.0, hour * 3600));
    assert_eq!(log.what_if.compare(&mut |_, _| ()), Err(Refusal::TooLarge));
}

/// A line a day makes a life of all the hours in between.
#[test]
fn lives_with_more_hours_than_can_be_held_are_refused() {
    let refusal = |room_for_lives| {
        let mut log = Log::new();
        log.what_if.room_for_lives = room_for_lives;
        (0..10).for_each(|day| log.say("web.1", "Error R14 (Memory quota exceeded)", day * 86_400));
        log.what_if.compare(&mut |_, _| ()).expect_err("one life is too few")
    };
    assert_eq!(refusal(100), Refusal::TooLarge);
    assert!(matches!(refusal(300), Refusal::TooLittle(_)));
}
