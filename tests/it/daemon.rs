//! End to end: the real binary over real HTTP, against the simulated Heroku.

use std::time::Duration;

use dynowarden_core::event::DynoState;
use heroku_sim::fault::{Fault, FaultRule};
use heroku_sim::line::LogLine;
use heroku_sim::server::SimHeroku;
use http::Method;

use support::daemon::{DRAIN_PASSWORD, Daemon, HOOK_KEY, REQUIRED};
use support::fixtures::{Headers, acme, await_restart, basic, deleted, drain_to, dyno, heroku, post, r14};

/// A daemon with a drain of `acme`.
fn drained(heroku: &SimHeroku, env: &[(&str, &str)]) -> Daemon {
    let daemon = Daemon::start(&heroku.api_url(), env);
    drain_to(heroku, &daemon.url, &acme());
    daemon
}

#[tokio::test(flavor = "multi_thread")]
async fn an_r14_restarts_only_its_dyno_and_logs_the_reason() {
    let heroku = heroku(3).await;
    let daemon = drained(&heroku, &[]);
    heroku.emit_r14(&acme(), &dyno("web.2"));
    await_restart(&heroku, "web.2").await;
    let decision = daemon.await_decision("web.2", "restart", "rule");
    assert!(decision["reason"].as_str().is_some_and(|reason| reason.contains("R14")), "{decision}");
    daemon.await_line(|line| line["outcome"] == "back");
    assert_eq!(deleted(&heroku), ["DELETE /apps/acme/dynos/web.2"]);
    // Before the restart, the dyno was inspected by its own name.
    let inspected =
        heroku.calls().iter().any(|call| call.method == Method::GET && call.path == "/apps/acme/dynos/web.2");
    assert!(inspected);
    let (status, took) = daemon.terminate();
    assert!(status.success() && took < Duration::from_secs(20), "{status} after {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_restart_waits_until_the_first_has_settled() {
    let heroku = heroku(2).await;
    let daemon = drained(&heroku, &[]);
    heroku.emit_r14(&acme(), &dyno("web.1"));
    heroku.emit_r14(&acme(), &dyno("web.2"));
    await_restart(&heroku, "web.1").await;
    daemon.await_decision("web.2", "hold", "queued");
    await_restart(&heroku, "web.2").await;
    let up = heroku.see(|platform, _| platform.world.dyno(&acme(), "web.1").map(|first| first.state));
    assert_eq!(up, Some(DynoState::Up));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_r14_printed_by_the_app_restarts_nothing() {
    let heroku = heroku(1).await;
    let daemon = drained(&heroku, &[]);
    let now = heroku.now();
    let frame = String::from_utf8(r14(&heroku, "web.1")).expect("text");
    for text in
        ["Error R14 (Memory quota exceeded)", "heroku[web.1]: Error R14 (Memory quota exceeded)", &frame]
    {
        heroku.emit(LogLine::app(acme(), "web.1", text, now));
    }
    // The real one comes last: once it is acted on, all before it have been read.
    heroku.emit_r14(&acme(), &dyno("web.1"));
    await_restart(&heroku, "web.1").await;
    daemon.await_decision("web.1", "restart", "rule");
    assert_eq!(daemon.decisions(), ["web.1 restart rule"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_batch_is_counted_once() {
    let heroku = heroku(1).await;
    let daemon = Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_DRY_RUN", "true")]);
    let mut headers = basic(DRAIN_PASSWORD);
    let frame_id = |id: &str| ("Logplex-Frame-Id".to_owned(), id.to_owned());
    headers.push(frame_id("adc10463-d0e2-45d8-8a48-572c607b7a66"));
    let body = r14(&heroku, "web.1");
    for _ in 0..3 {
        assert_eq!(
            post(&heroku, format!("{}/logs/acme", daemon.url), headers.clone(), body.clone()).await,
            204
        );
    }
    daemon.await_decision("web.1", "restart", "dry_run");
    headers.pop();
    headers.push(frame_id("another"));
    assert_eq!(post(&heroku, format!("{}/logs", daemon.url), headers, body).await, 204);
    daemon.await_decision("web.1", "hold", "cooling_down");
    assert_eq!(daemon.decisions(), ["web.1 restart dry_run", "web.1 hold cooling_down"]);
    assert!(deleted(&heroku).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_requests_get_the_status_for_what_is_wrong() {
    let heroku = heroku(1).await;
    let daemon = Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_DRAIN__MAX_BODY", "64KiB")]);
    let logs = || format!("{}/logs/acme", daemon.url);
    let good = r14(&heroku, "web.1");
    let half = good[..good.len() - 5].to_vec();
    let digits = b"12345678901234567890 <134>1 x".to_vec();
    let cases: [(String, Headers, Vec<u8>, u16); 8] = [
        (logs(), Headers::new(), good.clone(), 401),
        (logs(), basic("wrong"), good.clone(), 401),
        (logs(), basic(""), good.clone(), 401),
        (format!("{}/logs/nobody", daemon.url), basic(DRAIN_PASSWORD), good.clone(), 404),
        (logs(), basic(DRAIN_PASSWORD), vec![b'x'; 70_000], 413),
        (logs(), basic(DRAIN_PASSWORD), b"garbage\0\xff".to_vec(), 204),
        (logs(), basic(DRAIN_PASSWORD), half, 204),
        (logs(), basic(DRAIN_PASSWORD), digits, 204),
    ];
    for (url, headers, body, status) in cases {
        assert_eq!(post(&heroku, url.clone(), headers, body).await, status, "{url}");
    }
    assert!(daemon.decisions().is_empty() && heroku.calls().iter().all(|call| call.method == Method::GET));
    // A good frame next to a broken one counts.
    let mut mixed = b"7 <999>1 ".to_vec();
    mixed.extend(good);
    assert_eq!(post(&heroku, logs(), basic(DRAIN_PASSWORD), mixed).await, 204);
    await_restart(&heroku, "web.1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_delete_response_causes_no_second_restart() {
    let heroku = heroku(1).await;
    heroku.add_fault(FaultRule::once(Method::DELETE, "/dynos/web.1", Fault::BreakAfter));
    let daemon = drained(&heroku, &[]);
    heroku.emit_r14(&acme(), &dyno("web.1"));
    daemon.await_line(|line| line["outcome"] == "back");
    assert_eq!(deleted(&heroku), ["DELETE /apps/acme/dynos/web.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_was_not_carried_out_is_retried() {
    let heroku = heroku(1).await;
    heroku.add_fault(FaultRule::once(Method::DELETE, "/dynos/web.1", Fault::Status(503)));
    let daemon = drained(&heroku, &[]);
    heroku.emit_r14(&acme(), &dyno("web.1"));
    daemon.await_line(|line| line["outcome"] == "back");
    assert_eq!(deleted(&heroku).len(), 2);
    assert_eq!(daemon.decisions(), ["web.1 restart rule", "web.1 hold unreachable"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_api_response_restarts_nothing_and_is_logged() {
    for (fault, code) in [
        (Fault::Status(401), "unauthorized"),
        (Fault::Status(403), "forbidden"),
        (Fault::Status(404), "no_such_app"),
        (Fault::HangBefore, "unreachable"),
        (Fault::Status(500), "unreachable"),
        (Fault::WrongJson, "garbled"),
        (Fault::Html, "garbled"),
        (Fault::MissingField("state".to_owned()), "garbled"),
        (Fault::UnknownState("up".to_uppercase()), "not_up"),
    ] {
        let heroku = heroku(1).await;
        heroku.add_fault(FaultRule::always(Method::GET, "/dynos", fault.clone()));
        heroku.add_fault(FaultRule::always(Method::GET, "/dynos/web.1", fault));
        let daemon = drained(&heroku, &[("DYNOWARDEN_HEROKU__REQUEST_TIMEOUT", "300ms")]);
        heroku.emit_r14(&acme(), &dyno("web.1"));
        let hold = daemon.await_decision("web.1", "hold", code);
        assert!(!hold["reason"].as_str().unwrap_or_default().is_empty());
        assert!(deleted(&heroku).is_empty());
        let said = format!("{:?}", daemon.lines());
        assert!(
            !said.contains("token-of-the-tests") && !said.contains(DRAIN_PASSWORD),
            "a secret was logged"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hook_restarts_running_dynos_one_after_another() {
    let heroku = heroku(2).await;
    let daemon = drained(&heroku, &[]);
    let hook = |key: &str| format!("{}/hooks/restart/acme?key={key}", daemon.url);
    assert_eq!(post(&heroku, hook("wrong"), Headers::new(), "").await, 401);
    assert_eq!(post(&heroku, hook(HOOK_KEY), Headers::new(), "").await, 202);
    await_restart(&heroku, "web.1").await;
    await_restart(&heroku, "web.2").await;
    assert_eq!(deleted(&heroku), ["DELETE /apps/acme/dynos/web.1", "DELETE /apps/acme/dynos/web.2"]);
}

#[test]
fn all_wrong_settings_are_reported_at_once_with_exit_code_2() {
    let env = [("PORT", "eighty"), ("DYNOWARDEN_POLICY__COOLDOWN", "soon")];
    let (exit, said) = support::daemon::run(&["serve"], &env);
    assert_eq!(exit, Some(2), "{said}");
    for setting in [
        "PORT",
        "eighty",
        "DYNOWARDEN_POLICY__COOLDOWN",
        "soon",
        "HEROKU_API_KEY",
        "DRAIN_PASSWORD",
        "HEROKU_APP",
    ] {
        assert!(said.contains(setting), "{setting} is not in: {said}");
    }
}

#[test]
fn an_invalid_log_filter_is_a_wrong_setting() {
    let env = [&REQUIRED[..], &[("RUST_LOG", "dynowarden=loud")]].concat();
    let (exit, said) = support::daemon::run(&[], &env);
    assert_eq!(exit, Some(2), "{said}");
    for part in ["RUST_LOG (environment variable RUST_LOG)", "read \"dynowarden=loud\"", "allowed: a filter"]
    {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

#[test]
fn a_port_in_use_is_reported_in_one_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = taken.local_addr().expect("an address").port().to_string();
    let env = [&REQUIRED[..], &[("PORT", port.as_str())]].concat();
    let (exit, said) = support::daemon::run(&[], &env);
    assert_eq!(exit, Some(1));
    assert!(said.contains(&port) && said.contains("PORT"), "{said}");
}
