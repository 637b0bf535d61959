//! Rules on days in a replay, where the log shows what they need.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::Value;

use super::replay::replay;

const START: i64 = 1_767_225_600;
const DAY: i64 = 86_400;

/// A log as `heroku logs` prints it.
#[derive(Default)]
struct Log(String);

impl Log {
    fn platform(&mut self, second: i64, dyno: &str, text: &str) {
        let at = Timestamp::from_second(START + second).expect("a time");
        let _ = writeln!(self.0, "{}+00:00 heroku[{dyno}]: {text}", at.strftime("%Y-%m-%dT%H:%M:%S.000000"));
    }

    fn request(&mut self, second: i64, dyno: &str, service_ms: u32) {
        let text = format!(
            "at=info method=GET path=\"/\" host=a.example request_id=1 fwd=\"192.0.2.1\" dyno={dyno} \
             connect=0ms service={service_ms}ms status=200 bytes=9 protocol=https"
        );
        self.platform(second, "router", &text);
    }

    fn restarted(&mut self, second: i64, dyno: &str, why: &str) {
        self.platform(second, dyno, why);
        self.platform(second + 1, dyno, "State changed from up to starting");
        self.platform(second + 8, dyno, "State changed from starting to up");
    }

    fn memory(&mut self, second: i64, dyno: &str, megabytes: f64) {
        let text = format!("source={dyno} sample#memory_total={megabytes:.2}MB sample#memory_quota=512.00MB");
        let text = text.replace(
            " sample#memory_total",
            " dyno=heroku.1.00000000-0000-4000-8000-000000000001 sample#memory_total",
        );
        self.platform(second, dyno, &text);
    }

    /// The decisions of a replay: the second, the dyno, the decision and its code.
    fn decisions(&self, toml: &str) -> Vec<(i64, String, String, String)> {
        let ran = replay("--app acme --format json -", toml, self.0.as_bytes());
        ran.result.expect("a log");
        let of = |line: &str| {
            let line: Value = serde_json::from_str(line).expect(line);
            let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            let at: Timestamp = text("at").parse().expect("a time");
            (at.as_second() - START, text("dyno"), text("decision"), text("code"))
        };
        ran.out.lines().filter(|line| line.contains("\"decision\"")).map(of).collect()
    }
}

const QUIET_CYCLE: &str =
    "[[rule]]\nname = 'cycle'\non = ['uptime']\nabove = '8h'\nwindow = ['quiet']\ndo = 'restart'\n";

#[test]
fn a_quiet_cycle_is_replayed_in_the_quiet_hours_once_they_are_known() {
    let mut log = Log::default();
    for second in (0..3 * DAY).step_by(300) {
        if second % DAY == 15 * 3600 {
            log.restarted(second, "web.1", "Cycling");
        }
        let is_quiet = (3..6).contains(&(second % DAY / 3600));
        for request in 0..if is_quiet { 1 } else { 6 } {
            log.request(second + 20 + request, "web.1", 20);
        }
    }
    let decisions = log.decisions(QUIET_CYCLE);
    let restarts: Vec<i64> = decisions.iter().filter(|of| of.2 == "restart").map(|of| of.0).collect();
    assert_eq!(restarts.len(), 2, "{decisions:?}");
    for (second, day) in restarts.iter().zip([1, 2]) {
        assert!((day * DAY + 3 * 3600..day * DAY + 3 * 3600 + 900).contains(second), "{decisions:?}");
    }
    assert!(decisions.iter().any(|of| of.0 < DAY && of.3 == "quiet_unknown"), "{decisions:?}");
    assert!(decisions.iter().any(|of| of.0 > DAY && of.3 == "outside_window"), "{decisions:?}");
}

#[test]
fn a_log_that_is_silent_at_night_restarts_nothing() {
    let mut log = Log::default();
    for second in (0..4 * DAY).step_by(300).filter(|second| !(2..7).contains(&(second % DAY / 3600))) {
        (0..6).for_each(|request| log.request(second + request, "web.1", 20));
    }
    let decisions = log.decisions(QUIET_CYCLE);
    assert!(!decisions.is_empty() && decisions.iter().all(|of| of.3 == "quiet_unknown"), "{decisions:?}");
}

#[test]
fn an_early_restart_is_replayed_after_two_breaches() {
    let mut log = Log::default();
    for life in 0..4 {
        let start = life * 4 * 3600;
        log.restarted(start, "web.1", "Restarting");
        for minute in 1..235 {
            let megabytes = 300.0 + minute as f64;
            log.memory(start + 60 * minute, "web.1", megabytes);
            if megabytes > 512.0 && life < 2 {
                log.platform(start + 60 * minute + 1, "web.1", "Error R14 (Memory quota exceeded)");
            }
        }
    }
    let toml = "[[rule]]\nname = 'high'\non = ['memory']\nabove = '95%'\nfor = '3m'\nproof = '2 of 3'\ndo = 'restart'\n";
    let decisions = log.decisions(toml);
    let first = decisions.iter().find(|of| of.2 == "restart").unwrap_or_else(|| panic!("{decisions:?}"));
    // In the third life, at 95 % of the quota.
    assert!((2 * 4 * 3600 + 186 * 60..2 * 4 * 3600 + 212 * 60).contains(&first.0), "{decisions:?}");
    assert!(decisions.iter().any(|of| of.0 < first.0 && of.3 == "unproven"), "{decisions:?}");
}

#[test]
fn a_slow_dyno_is_replayed_once() {
    let mut log = Log::default();
    for second in 0..3600 {
        for (index, dyno) in ["web.1", "web.2", "web.3"].into_iter().enumerate() {
            let is_slow = index == 1 && (1200..2000).contains(&second);
            log.request(second, dyno, if is_slow { 300 } else { 100 });
        }
    }
    let toml = "[[rule]]\nname = 'slow'\non = ['slower_than_peers']\nabove = '1.5x'\ndo = 'notify'\n";
    let decisions = log.decisions(toml);
    let [(second, dyno, decision, _)] = decisions.as_slice() else { panic!("{decisions:?}") };
    assert_eq!((dyno.as_str(), decision.as_str()), ("web.2", "notify"));
    assert!((1200 + 480..1200 + 720).contains(second), "{second}");
}

/// As live: former lives show that restarts cannot help, so one is enough.
#[test]
fn a_known_plateau_is_given_up_after_one_restart() {
    let mut log = Log::default();
    for second in (0..DAY).step_by(20) {
        if second % (6 * 3600) == 0 {
            log.restarted(second, "web.1", "Cycling");
        }
        if second % (6 * 3600) > 30 {
            log.memory(second, "web.1", 563.2);
            if second >= 18 * 3600 {
                log.platform(second + 1, "web.1", "Error R14 (Memory quota exceeded)");
            }
        }
    }
    let restarts = |toml: &str| {
        let decisions = log.decisions(toml);
        decisions.iter().filter(|of| of.2 == "restart").count()
    };
    assert_eq!(restarts(""), 1);
}
