//! Rules on days, through the real binary against the simulated Heroku.

use jiff::{SignedDuration, Timestamp};

use support::daemon::{Daemon, run};
use support::fixtures::{await_restart, basic, deleted, frame, heroku, post};

const ROUTER: &str = "at=info method=GET path=\"/\" host=a.example request_id=1 fwd=\"192.0.2.1\" dyno=web.1 \
                      connect=0ms service=20ms status=200 bytes=9 protocol=https";

/// Variables that make this the only rule.
fn only(rule: &str) -> [(&str, &str); 1] {
    [("DYNOWARDEN_RULE", rule)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_cycle_waits_for_the_quiet_hours() {
    let heroku = heroku(1).await;
    let rule = "[{name = 'cycle', on = ['uptime'], above = '30m', window = ['quiet'], do = 'restart'}]";
    let daemon = Daemon::start(&heroku.api_url(), &only(rule));
    let url = format!("{}/logs/acme", daemon.url);
    let now = Timestamp::now();
    assert_eq!(post(&heroku, url.clone(), basic("drain-secret"), frame("router", ROUTER, now)).await, 204);
    tokio::task::block_in_place(|| daemon.await_decision("web.1", "hold", "quiet_unknown"));
    // Two days with the fewest requests in the three hours that begin with the present one.
    let hour_now = now.as_second().div_euclid(3600);
    let mut body = Vec::new();
    for second in (now.as_second() - 2 * 86_400..now.as_second()).step_by(300) {
        let is_quiet = (second.div_euclid(3600) - hour_now).rem_euclid(24) < 3;
        for request in 0..if is_quiet { 1 } else { 5 } {
            let at = Timestamp::from_second(second + request).expect("a time");
            body.extend(frame("router", ROUTER, at.min(now)));
        }
    }
    assert_eq!(post(&heroku, url, basic("drain-secret"), body).await, 204);
    await_restart(&heroku, "web.1").await;
    assert_eq!(deleted(&heroku), ["DELETE /apps/acme/dynos/web.1"]);
}

fn memory(megabytes: f64, at: Timestamp, instance: i64) -> Vec<u8> {
    let text = format!(
        "source=web.1 dyno=heroku.1.00000000-0000-4000-8000-{instance:012} \
         sample#memory_total={megabytes:.2}MB sample#memory_quota=512.00MB"
    );
    frame("web.1", &text, at)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_restart_needs_two_breaches() {
    let heroku = heroku(1).await;
    let rule =
        "[{name = 'high', on = ['memory'], above = '95%', for = '20s', proof = '2 of 3', do = 'restart'}]";
    let daemon = Daemon::start(&heroku.api_url(), &only(rule));
    let send = async |body: Vec<u8>| {
        let url = format!("{}/logs/acme", daemon.url);
        assert_eq!(post(&heroku, url, basic("drain-secret"), body).await, 204);
    };
    let now = Timestamp::now();
    let ago = |seconds: i64| now - SignedDuration::from_secs(seconds);
    send([memory(490.0, ago(40), 9), memory(490.0, ago(20), 9), memory(490.0, now, 9)].concat()).await;
    tokio::task::block_in_place(|| daemon.await_decision("web.1", "hold", "unproven"));
    let mut body = Vec::new();
    for life in 0..2 {
        let start = 20_000 - life * 8000;
        body.extend(frame("web.1", "Restarting", ago(start)));
        body.extend(frame("web.1", "State changed from up to starting", ago(start)));
        body.extend(frame("web.1", "State changed from starting to up", ago(start - 5)));
        for minute in 0..120 {
            let megabytes = 300.0 + 2.0 * minute as f64;
            body.extend(memory(megabytes, ago(start - 60 * minute - 20), life));
            if megabytes > 512.0 {
                let r14 = "Error R14 (Memory quota exceeded)";
                body.extend(frame("web.1", r14, ago(start - 60 * minute - 20)));
            }
        }
    }
    body.extend(frame("web.1", "Restarting", ago(4000)));
    body.extend(frame("web.1", "State changed from up to starting", ago(4000)));
    body.extend(frame("web.1", "State changed from starting to up", ago(3990)));
    send(body).await;
    // Samples go on, and once the lives are read one of them is acted upon.
    let restarted = |line: &serde_json::Value| line["dyno"] == "web.1" && line["decision"] == "restart";
    for _ in 0..60 {
        let now = Timestamp::now();
        let before = now - SignedDuration::from_secs(21);
        send([memory(490.0, before, 10), memory(490.0, now, 10)].concat()).await;
        if daemon.lines().iter().any(restarted) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    tokio::task::block_in_place(|| daemon.await_line(restarted));
}

#[test]
fn keys_of_other_kinds_of_rules_are_refused() {
    for (rule, part) in [
        ("on = ['R14'], proof = '2 of 3', do = 'restart'", "only memory and swap use it"),
        ("on = ['uptime'], above = '16h', proof = '2 of 3', do = 'restart'", "only memory and swap use it"),
        ("on = ['uptime'], above = '95%', do = 'restart'", "a duration such as"),
        ("on = ['uptime'], do = 'restart'", "above is missing"),
        ("on = ['uptime'], above = '16h', for = '3m', do = 'restart'", "not allowed in a rule on uptime"),
        ("on = ['slower_than_peers'], above = '16h', do = 'notify'", "a multiple such as 1.5x"),
        ("on = ['slower_than_peers'], above = '1x', do = 'notify'", "from 1.1x to 100x"),
        ("on = ['swap'], above = '2x', do = 'notify'", "a percentage of the quota"),
        ("on = ['memory'], above = '95%', proof = '4 of 3', do = 'notify'", "the first not above the second"),
        ("on = ['memory'], above = '95%', proof = '2', do = 'notify'", "the first not above the second"),
        ("on = ['memory'], above = '95%', window = ['quite'], do = 'notify'", "or \"quiet\""),
    ] {
        let text = format!("[{{name = 'r', {rule}}}]");
        let (code, stderr) = run(&["history"], &[("DYNOWARDEN_RULE", &text), ("DATABASE_URL", "memory")]);
        assert_eq!(code, Some(2), "{rule}: {stderr}");
        assert!(stderr.contains(part), "{rule}: {stderr}");
    }
}
