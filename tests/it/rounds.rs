//! End to end: which app's batches arrive, and what is reported when none do.

use std::time::Duration;

use dynowarden_core::event::DynoState;
use heroku_sim::fault::{Fault, FaultRule, PathRule, Times};
use heroku_sim::line::LogLine;
use heroku_sim::platform::Rights;
use heroku_sim::server::{RawPost, SimHeroku};
use http::Method;

use support::client::get;
use support::daemon::{DRAIN_PASSWORD, Daemon, PATIENCE, eventually};
use support::fixtures::{app, await_restart_of, basic, drain_to, dyno, frame, heroku_with, post, r14};

/// A drain to nowhere, registered before the daemon starts; returns its token.
fn add_drain(heroku: &SimHeroku, name: &str) -> String {
    let url = format!("http://u:p@127.0.0.1:1/logs/{name}");
    heroku.add_drain(&app(name), &url).expect("an app").token.to_string()
}

/// Posts an R14 of a dyno on `/logs` with the drain's token; returns the status and `Retry-After`.
async fn post_r14(heroku: &SimHeroku, daemon: &Daemon, token: &str, name: &str) -> (u16, Option<String>) {
    let post = RawPost {
        body: r14(heroku, name).into(),
        headers: vec![("Logplex-Drain-Token".to_owned(), token.to_owned())],
        url: SimHeroku::drain_url(&format!("{}/logs", daemon.url), "logplex", DRAIN_PASSWORD),
    };
    let answer = heroku.post(post).await.expect("an answer");
    let retry = answer.headers.get("retry-after").map(|value| value.to_str().expect("text").to_owned());
    (answer.status.as_u16(), retry)
}

#[track_caller]
fn await_page(daemon: &Daemon, path: &str, wanted: &str) {
    eventually(wanted, || get(daemon, path).contains(wanted).then_some(()));
}

fn await_notice(daemon: &Daemon, app_name: &str, label: &str, text: &str) {
    daemon.await_line(|line| {
        line["app"] == app_name
            && line["notice"] == label
            && line["message"].as_str().is_some_and(|message| message.contains(text))
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_without_an_app_name_belongs_to_the_app_of_its_drain() {
    let heroku = heroku_with(&["acme", "other"], 2).await;
    let tokens = [add_drain(&heroku, "acme"), add_drain(&heroku, "other")];
    let daemon = Daemon::start(&heroku.api_url(), &[("HEROKU_APP", "acme,other")]);
    assert_eq!(post_r14(&heroku, &daemon, &tokens[1], "web.2").await.0, 204);
    await_restart_of(&heroku, "other", "web.2").await;
    assert_eq!(post_r14(&heroku, &daemon, "d.unknown", "web.1").await.0, 404);
    assert_eq!(post_r14(&heroku, &daemon, "", "web.1").await.0, 404);
    assert_eq!(heroku.deletes().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_drain_is_asked_to_retry_until_all_drains_are_listed() {
    let heroku = heroku_with(&["acme", "other"], 2).await;
    let known = add_drain(&heroku, "acme");
    let hidden = add_drain(&heroku, "other");
    heroku.add_fault(FaultRule::always(Method::GET, "/other/log-drains", Fault::Status(503)));
    let daemon = Daemon::start(&heroku.api_url(), &[("HEROKU_APP", "acme,other")]);
    assert_eq!(post_r14(&heroku, &daemon, &known, "web.1").await.0, 204);
    let (status, retry) = post_r14(&heroku, &daemon, &hidden, "web.1").await;
    assert_eq!((status, retry.as_deref()), (503, Some("2")));
    assert!(get(&daemon, "/metrics").contains("reason=\"drains_unlisted\"} 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_drain_is_reported_and_so_is_its_recovery() {
    let heroku = heroku_with(&["acme"], 2).await;
    let daemon = Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_DRAIN__SILENT_AFTER", "2s")]);
    drain_to(&heroku, &daemon.url, &app("acme"));
    heroku.emit(LogLine::app(app("acme"), "web.1", "hello", heroku.now()));
    await_notice(&daemon, "acme", "drain_silent", "while 2 of its dynos are up");
    await_page(&daemon, "/metrics", "dynowarden_drain_silent{app=\"acme\"} 1");
    await_page(&daemon, "/readyz", "ready; drains: 1 silent or missing\n");
    heroku.emit(LogLine::app(app("acme"), "web.1", "again", heroku.now()));
    await_notice(&daemon, "acme", "recovered", "logs arrive from its drain again");
    await_page(&daemon, "/metrics", "dynowarden_notices_total{app=\"acme\",kind=\"drain_silent\"} 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_drain_is_reported() {
    let heroku = heroku_with(&["acme"], 2).await;
    let daemon = Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_DRAIN__SILENT_AFTER", "1s")]);
    await_notice(&daemon, "acme", "drain_silent", "no drain of this app points here");
    assert!(heroku.deletes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_reported_and_ends_readiness() {
    let heroku = heroku_with(&["acme"], 2).await;
    heroku.with(|platform, _| platform.tokens = [("token-of-the-tests".to_owned(), Rights::Write)].into());
    let daemon = Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_DRAIN__SILENT_AFTER", "1s")]);
    await_page(&daemon, "/metrics", "dynowarden_token_accepted 1");
    heroku.with(|platform, _| platform.tokens = [("another".to_owned(), Rights::Write)].into());
    drain_to(&heroku, &daemon.url, &app("acme"));
    heroku.emit(LogLine::app(app("acme"), "web.1", "hello", heroku.now()));
    await_notice(&daemon, "account", "failure", "rejects the API token");
    await_page(&daemon, "/metrics", "dynowarden_token_accepted 0");
    await_page(&daemon, "/readyz", "503 Service Unavailable");
    await_page(&daemon, "/readyz", "token: Heroku rejects HEROKU_API_KEY");
    assert!(!format!("{:?}", daemon.lines()).contains("token-of-the-tests"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_lines_are_counted_for_the_drain_that_lost_them() {
    let heroku = heroku_with(&["acme"], 2).await;
    let own = add_drain(&heroku, "acme");
    let daemon = Daemon::start(&heroku.api_url(), &[]);
    let l10 =
        |text: String| frame("logplex", &format!("Error L10 (output buffer overflow): {text}"), heroku.now());
    let body = [
        l10("1 messages dropped since 2026-01-02T03:04:05.678+00:00.".to_owned()),
        l10(format!("drain '{own}' dropped 20 messages since 2026-01-02T03:04:05.678+00:00.")),
        l10("drain 'd.other' dropped 300 messages since 2026-01-02T03:04:05.678+00:00.".to_owned()),
    ]
    .concat();
    let headers = [basic(DRAIN_PASSWORD), vec![("Logplex-Drain-Token".to_owned(), own)]].concat();
    assert_eq!(post(&heroku, format!("{}/logs/acme", daemon.url), headers, body).await, 204);
    let page = get(&daemon, "/metrics");
    for line in ["lost_messages_total{app=\"acme\"} 21", "other_drains_lost_messages_total{app=\"acme\"} 300"]
    {
        assert!(page.contains(line), "{line} is not in {page}");
    }
    await_notice(&daemon, "acme", "failure", "logplex lost 21 lines");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_whose_api_calls_hang_delays_no_other_app() {
    let heroku = heroku_with(&["hung", "acme"], 2).await;
    heroku.add_fault(FaultRule {
        fault: Fault::HangBefore,
        method: None,
        path: PathRule::Contains("/apps/hung".to_owned()),
        times: Times::Always,
    });
    let daemon = Daemon::start(&heroku.api_url(), &[("HEROKU_APP", "hung,acme")]);
    drain_to(&heroku, &daemon.url, &app("hung"));
    drain_to(&heroku, &daemon.url, &app("acme"));
    heroku.emit_r14(&app("hung"), &dyno("web.1"));
    let hung = |call: &heroku_sim::platform::RecordedCall| call.path == "/apps/hung/dynos";
    heroku.await_call(hung, PATIENCE).await.expect("a look that hangs");
    heroku.emit_r14(&app("acme"), &dyno("web.1"));
    // The hanging call times out after 10 s.
    tokio::time::timeout(Duration::from_secs(8), await_restart_of(&heroku, "acme", "web.1"))
        .await
        .expect("in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_apps_start_and_restart_within_the_api_quota() {
    let names: Vec<String> = (0..200).map(|place| format!("app-{place}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let heroku = heroku_with(&names, 20).await;
    let tokens: Vec<String> = names.iter().map(|name| add_drain(&heroku, name)).collect();
    let daemon = Daemon::start(&heroku.api_url(), &[("HEROKU_APP", &names.join(","))]);
    // Right after startup, before all drains can have been listed.
    assert_eq!(post_r14(&heroku, &daemon, &tokens[137], "web.7").await.0, 204);
    await_restart_of(&heroku, "app-137", "web.7").await;
    for place in [0, 57, 199] {
        assert_eq!(post_r14(&heroku, &daemon, &tokens[place], "web.20").await.0, 204);
    }
    for place in [0, 57, 199] {
        await_restart_of(&heroku, names[place], "web.20").await;
    }
    let last_sight = |call: &heroku_sim::platform::RecordedCall| call.path == "/apps/app-199";
    heroku.await_call(last_sight, PATIENCE).await.expect("every app is seen");
    let calls = heroku.calls();
    let count = |fits: &dyn Fn(&str) -> bool| calls.iter().filter(|call| fits(&call.path)).count();
    assert_eq!(count(&|path| path.ends_with("/log-drains")), 200);
    // Querying the account's limit is free.
    assert_eq!(count(&|path| path == "/account/rate-limits"), 1);
    // Each inspection asks about dynos, and the first one of an app about its formation and its features.
    let of_restarts =
        |path: &str| ["/dynos", "/formation", "/features"].iter().any(|part| path.contains(part));
    let rounds = count(&|path| path.starts_with("/apps/") && !of_restarts(path));
    assert_eq!(rounds + 1 + count(&of_restarts), calls.len());
    assert!(rounds <= 400, "at most two calls for each app, of the account's 4,500: {rounds}");
    let up = heroku.see(|platform, _| {
        let of_app =
            |name: &&str| platform.world.dynos(&app(name)).filter(|d| d.state != DynoState::Up).count();
        names.iter().map(of_app).sum::<usize>()
    });
    assert!(up <= 4, "only the four are out");
    assert_eq!(heroku.deletes().len(), 4);
}
