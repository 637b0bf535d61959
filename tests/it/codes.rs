//! End to end: every platform code, runtime memory, and the resulting metrics and log lines.

use std::time::Duration;

use dynowarden_core::time::earlier;
use heroku_sim::line::{Dialect, LogLine};
use heroku_sim::server::SimHeroku;
use jiff::Timestamp;

use support::client;
use support::daemon::{DRAIN_PASSWORD, Daemon, eventually};
use support::fixtures::{self, acme, frame, heroku};

async fn post(heroku: &SimHeroku, daemon: &Daemon, body: Vec<u8>) {
    let url = SimHeroku::drain_url(&format!("{}/logs/acme", daemon.url), "logplex", DRAIN_PASSWORD);
    assert_eq!(fixtures::post(heroku, url, Vec::new(), body).await, 204);
}

const RULES: &str = r#"[
    {name="slow",on=["H12","H13"],count=3,within="1m",do="restart"},
    {name="down",on=["H10","H80","L10","L11","R15"],do="notify"},
    {name="memory",on=["memory"],above="90%",for="40s",do="restart"}]"#;

fn h12(dyno: &str, tail: &str) -> String {
    format!(
        r#"at=error code=H12 desc="Request timeout" method=GET path="/a?dyno=web.9 code=H13" host=acme.example request_id=1 fwd="1.2.3.4" dyno={dyno} connect=0ms service=30000ms status=503 bytes=0 protocol={tail}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn router_errors_of_both_generations_restart_their_dyno() {
    let heroku = heroku(3).await;
    let daemon = Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_RULE", RULES)]);
    let at = heroku.now();
    let lines = ["https", "http1.1 tls=true tls_version=tls1.3", "https"];
    // The same text by an app counts for nothing, and R14 is in no rule.
    let forged = LogLine::app(acme(), "web.1", h12("web.1", "https"), at).frames(Dialect::Logplex).concat();
    let mut body = [forged.clone(), forged.clone(), forged, frame("web.3", "Error R14 (x)", at)].concat();
    // Lines count by their times, because a batch may come twice.
    for (millis, tail) in (1..).zip(lines) {
        body.extend(frame("router", &h12("web.2", tail), earlier(at, Duration::from_millis(millis))));
    }
    body.extend(frame("router", &h12("", "https"), at));
    post(&heroku, &daemon, body).await;
    fixtures::await_restart(&heroku, "web.2").await;
    let decision = daemon.await_decision("web.2", "restart", "rule");
    assert_eq!(decision["rule"], "slow");
    assert_eq!((heroku.deletes().len(), daemon.decisions().len()), (1, 1));
    assert!(
        client::get(&daemon, "/metrics").contains("dynowarden_events_total{app=\"acme\",kind=\"H12\"} 4")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notify_rule_reports_and_restarts_nothing() {
    let heroku = heroku(1).await;
    let daemon = Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_RULE", RULES)]);
    let h10 = r#"at=error code=H10 desc="App crashed" method=GET path="/" host=x request_id=1 fwd="1.2.3.4" dyno= connect= service= status=503 bytes= protocol=https"#;
    post(&heroku, &daemon, frame("router", h10, heroku.now())).await;
    let notified = daemon.await_line(|line| line["decision"] == "notify");
    assert_eq!((&notified["rule"], &notified["dyno"]), (&"down".into(), &"-".into()));
    let h80 = r#"at=info code=H80 desc="Maintenance mode" method=GET path="/" host=x request_id=1 fwd="1.2.3.4" dyno= connect= service= status=503 bytes= protocol=https"#;
    let lost = "Error L10 (output buffer overflow): 7 messages dropped since 2022-04-13T19:41:45+00:00.";
    for (procid, text, code) in [("router", h80, "H80"), ("logplex", lost, "L10")] {
        post(&heroku, &daemon, frame(procid, text, heroku.now())).await;
        daemon.await_line(|line| {
            line["decision"] == "notify" && line["reason"].as_str().is_some_and(|said| said.contains(code))
        });
    }
    post(&heroku, &daemon, frame("web.1", "Error R15 (Memory quota vastly exceeded)", heroku.now())).await;
    daemon.await_line(|line| line["decision"] == "notify" && line["dyno"] == "web.1");
    assert!(heroku.deletes().is_empty());
}

#[test]
fn a_restart_rule_for_a_code_without_a_dyno_is_rejected_at_startup() {
    for (code, reason) in
        [("H10", "names no dyno"), ("L10", "names no dyno"), ("H90", "platform codes such as")]
    {
        let rule = format!(r#"[{{name="x",on=["{code}"],do="restart"}}]"#);
        let (exit, said) = support::daemon::run(&["serve"], &[("DYNOWARDEN_RULE", &rule)]);
        assert_eq!(exit, Some(2), "{said}");
        assert!(said.contains(code) && said.contains(reason), "{said}");
    }
}

fn sample(dyno: &str, instance: &str, mb: u32, at: Timestamp) -> Vec<u8> {
    let text = format!(
        "source={dyno} dyno=heroku.261104379.{instance} sample#memory_total={mb}.00MB sample#memory_rss=1.00MB \
         sample#memory_quota=512.00MB"
    );
    frame(dyno, &text, at)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_rule_restarts_and_ignores_the_old_instance() {
    let heroku = heroku(2).await;
    let daemon = Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_RULE", RULES)]);
    let now = heroku.now();
    let ago = |seconds| earlier(now, Duration::from_secs(seconds));
    let mut body = Vec::new();
    for seconds in [80, 60, 40, 20, 0] {
        // web.1: an old instance is swollen, the new one is healthy. web.2: swollen all the time.
        body.extend(sample("web.1", "cd817c77-old", 500, ago(seconds)));
        body.extend(sample("web.1", "0b5e8a11-new", 100, ago(seconds)));
        body.extend(sample("web.2", "9f1d2c33-one", 480, ago(seconds)));
        // Unreadable lines, and those with another dyno's name, mean nothing.
        for odd in ["-5.00MB", "NaNMB", "99999999999999999999MB", "", "1e9MB", "480.00KB"] {
            let text = format!(
                "source=web.1 dyno=heroku.1.x sample#memory_total={odd} sample#memory_quota=512.00MB"
            );
            body.extend(frame("web.1", &text, ago(seconds)));
        }
        body.extend(frame(
            "web.1",
            "source=web.2 dyno=heroku.1.x sample#memory_total=600.00MB sample#memory_quota=512.00MB",
            ago(seconds),
        ));
    }
    post(&heroku, &daemon, body).await;
    fixtures::await_restart(&heroku, "web.2").await;
    let decision = daemon.await_decision("web.2", "restart", "rule");
    assert_eq!(decision["rule"], "memory");
    assert_eq!(heroku.deletes().len(), 1);
    let page = client::get(&daemon, "/metrics");
    assert!(page.contains("dynowarden_events_total{app=\"acme\",kind=\"sample\"} 15"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_forged_dyno_names_are_bounded_and_counted() {
    let heroku = heroku(2).await;
    let daemon = Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_POLICY__SETTLE", "0s")]);
    let at = heroku.now();
    let series = |page: &str| page.lines().filter(|line| !line.starts_with('#')).count();
    let before = series(&client::get(&daemon, "/metrics"));
    let r14 = |index: u32| frame(&format!("web.{index}"), "Error R14 (Memory quota exceeded)", at);
    post(&heroku, &daemon, (1001..=2000).flat_map(r14).collect()).await;
    post(&heroku, &daemon, r14(2)).await;
    // However many there are, the real one is noticed, and no nonexistent dyno is restarted.
    daemon.await_line(|line| line["code"] == "queue_full");
    daemon.await_line(|line| line["code"] == "gone");
    assert!(heroku.deletes().iter().all(|call| call.path.ends_with("/web.2")));
    let page = client::get(&daemon, "/metrics");
    assert!(page.contains("dynowarden_events_total{app=\"acme\",kind=\"R14\"} 1001"), "{page}");
    let made = series(&page).saturating_sub(before);
    assert!(made < 30, "names make no series: {made} in {page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_logs_nothing_and_a_decision_logs_one_line() {
    let heroku = heroku(1).await;
    let daemon = Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_DRY_RUN", "true")]);
    let text = "at=info method=GET path=\"/\" host=x request_id=1 fwd=\"1.2.3.4\" dyno=web.1 connect=0ms service=3ms status=200 bytes=6 protocol=https";
    for _ in 0..50 {
        post(&heroku, &daemon, frame("router", text, heroku.now())).await;
    }
    let before = daemon.lines().len();
    post(&heroku, &daemon, frame("web.1", "Error R14 (Memory quota exceeded)", heroku.now())).await;
    daemon.await_decision("web.1", "restart", "dry_run");
    assert!(before <= 3, "{:#?}", daemon.lines());
    assert_eq!(daemon.lines().iter().filter(|line| line["decision"].is_string()).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_metric_is_exported_at_startup() {
    let heroku = heroku(1).await;
    let daemon = Daemon::start(&heroku.api_url(), &[]);
    let page = client::get(&daemon, "/metrics");
    for name in [
        "batches_total",
        "frames_total",
        "bad_frames_total",
        "events_total",
        "decisions_total",
        "restarts_total",
        "restart_seconds_count",
        "api_requests_total",
        "api_rate_limit_remaining",
        "dynos",
        "drain_last_batch_seconds",
        "drain_silent",
        "lost_messages_total",
        "other_drains_lost_messages_total",
        "token_accepted",
        "api_away",
        "app_hidden",
        "platform_red",
        "store_away",
        "store_dropped_rows_total",
        "store_unwritten_rows",
    ] {
        let name = format!("dynowarden_{name}");
        let has_line = page.lines().any(|line| {
            line.strip_prefix(&name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
        });
        assert!(has_line, "{name} is not in {page}");
    }
    post(&heroku, &daemon, frame("web.1", "Process running mem=300M(58.5%)", heroku.now())).await;
    eventually("a watched dyno", || {
        client::get(&daemon, "/metrics").contains("dynowarden_dynos{app=\"acme\"} 1").then_some(())
    });
}
