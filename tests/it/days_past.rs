//! What the days before say, in `check`, in the engine and in messages: the real binary with a past.

#![expect(clippy::disallowed_methods, reason = "the binary that is tested has the real clock")]

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use support::daemon::{Daemon, command};
use support::fixtures::{acme, await_restart, basic, deleted, drain_to, frame, heroku, post};

const DAY: i64 = 86_400;

/// The present hour, counted from the epoch. The quiet hours of [`past`] begin twelve hours from it.
fn hour_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3600)
}

/// Lines of `web.1` of the last three days in batches of some hours. It levels out at 110 % of its quota,
/// and Heroku restarts it every day at the start of the last full hour, which is one of the busiest.
fn past(now: Timestamp) -> Vec<Vec<u8>> {
    let now_hour = hour_of(now);
    let first = (now_hour - 71) * 3600;
    let steps: Vec<i64> = (first..now.as_second() - 300).step_by(300).collect();
    let batch = |steps: &[i64]| {
        let mut body = Vec::new();
        for &second in steps {
            let at = |offset: i64| Timestamp::from_second(second + offset).expect("a time");
            let hour = second.div_euclid(3600) - now_hour;
            let process = (second - (now_hour - 1) * 3600).div_euclid(DAY);
            if hour.rem_euclid(24) == 23 && second % 3600 == 0 {
                for text in
                    ["Cycling", "State changed from up to starting", "State changed from starting to up"]
                {
                    body.extend(frame("web.1", text, at(0)));
                }
            }
            let text = format!(
                "source=web.1 dyno=heroku.1.00000000-0000-4000-8000-{:012} sample#memory_total=563.20MB \
                 sample#memory_quota=512.00MB",
                process.rem_euclid(1000)
            );
            for sample in 0..10 {
                body.extend(frame("web.1", &text, at(30 + 20 * sample)));
            }
            let is_quiet = (hour - 12).rem_euclid(24) < 3;
            for request in 0..if is_quiet {
                1
            } else if (hour + 1).rem_euclid(24) < 2 {
                9
            } else {
                5
            } {
                body.extend(frame("router", ROUTER, at(40 + request)));
            }
        }
        body
    };
    steps.chunks(48).map(batch).collect()
}

const ROUTER: &str = "at=info method=GET path=\"/\" host=a.example request_id=1 fwd=\"192.0.2.1\" dyno=web.1 \
                      connect=0ms service=20ms status=200 bytes=9 protocol=https";

#[tokio::test(flavor = "multi_thread")]
async fn a_known_plateau_is_given_up_after_its_first_useless_restart() {
    let heroku = heroku(1).await;
    // The rule on uptime only shows when the past was read: its quiet hours are half a day away.
    let rules = "[{name = 'memory', on = ['R14'], count = 1, within = '5m', do = 'restart'}, \
                 {name = 'cycle', on = ['uptime'], above = '30m', window = ['quiet'], do = 'restart'}]";
    let env = [
        ("DYNOWARDEN_RULE", rules),
        ("DYNOWARDEN_POLICY__MIN_UPTIME", "1s"),
        ("DYNOWARDEN_POLICY__COOLDOWN", "1s"),
    ];
    let daemon = Daemon::start(&heroku.api_url(), &env);
    let url = format!("{}/logs/acme", daemon.url);
    let send = async |body: Vec<u8>| {
        assert_eq!(post(&heroku, url.clone(), basic("drain-secret"), body).await, 204);
    };
    for batch in past(Timestamp::now()) {
        send(batch).await;
    }
    tokio::task::block_in_place(|| daemon.await_decision("web.1", "hold", "outside_window"));
    drain_to(&heroku, &daemon.url, &acme());
    let gave_up = |line: &Value| line.to_string().contains("gave up on this dyno");
    for _ in 0..60 {
        send(frame("web.1", "Error R14 (Memory quota exceeded)", Timestamp::now())).await;
        if daemon.lines().iter().any(gave_up) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    await_restart(&heroku, "web.1").await;
    let line = tokio::task::block_in_place(|| daemon.await_line(gave_up)).to_string();
    assert!(line.contains("the last restart did not help"), "{line}");
    assert!(line.contains("Its memory levels out above its quota, which no restart changes"), "{line}");
    // It still errs, and is left alone.
    let left_alone = |line: &Value| line["decision"] == "hold" && line["code"] == "given_up";
    for _ in 0..60 {
        send(frame("web.1", "Error R14 (Memory quota exceeded)", Timestamp::now())).await;
        if daemon.lines().iter().any(left_alone) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    tokio::task::block_in_place(|| daemon.await_line(left_alone));
    assert_eq!(deleted(&heroku), ["DELETE /apps/acme/dynos/web.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_a_quiet_cycle_would_save() {
    let heroku = heroku(1).await;
    let dir = tempfile::tempdir().expect("a directory");
    let database = format!("sqlite://{}", dir.path().join("days.db").display());
    let daemon = Daemon::start(&heroku.api_url(), &[("DATABASE_URL", &database)]);
    let now = Timestamp::now();
    for batch in past(now) {
        let url = format!("{}/logs/acme", daemon.url);
        assert_eq!(post(&heroku, url, basic("drain-secret"), batch).await, 204);
    }
    let (status, _) = tokio::task::block_in_place(|| daemon.terminate());
    assert!(status.success());
    let check = |rule: Option<&str>| {
        let env = [
            ("DATABASE_URL", database.as_str()),
            ("DRAIN_PASSWORD", "drain-secret"),
            ("HEROKU_API_KEY", "token-of-the-tests"),
            ("HEROKU_API_URL", &heroku.api_url()),
            ("HEROKU_APP", "acme"),
        ];
        let mut command = command();
        command.arg("check").envs(env).envs(rule.map(|rule| ("DYNOWARDEN_RULE", rule)));
        let output = tokio::task::block_in_place(|| command.output().expect("the binary runs"));
        String::from_utf8(output.stdout).expect("text")
    };
    let said = check(None);
    let restarts =
        said.lines().find(|line| line.contains("Heroku restarted dynos")).unwrap_or_else(|| panic!("{said}"));
    let quiet = |offset: i64| format!("{:02}:00", (hour_of(now) + 12 + offset).rem_euclid(24));
    for part in [
        "acme formation: Heroku restarted dynos 3 times in 3 days, 3 of them in the busiest 8 hours of the day",
        &format!("from {} to {} UTC, when there are 89% fewer requests", quiet(0), quiet(3)),
    ] {
        assert!(restarts.contains(part), "{part}: {restarts}");
    }
    let quiet_cycle =
        "[{name = 'cycle', on = ['uptime'], above = '16h', window = ['quiet'], do = 'restart'}]";
    let said = check(Some(quiet_cycle));
    assert!(!said.contains("Heroku restarted dynos") && said.contains("acme app"), "{said}");
}
