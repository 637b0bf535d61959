//! End to end: what counts as the API's word, and as the app's own log.

use heroku_sim::fault::{Fault, FaultRule};
use heroku_sim::server::SimHeroku;
use heroku_sim::status_page::Light;
use http::Method;

use support::client::get;
use support::daemon::{DRAIN_PASSWORD, Daemon, PATIENCE, eventually};
use support::fixtures::{
    acme, app, await_restart, await_restart_of, basic, drain_to, dyno, heroku, heroku_with, post, r14,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_proxy_is_not_the_apis_word() {
    for status in [302, 403, 404, 407, 429] {
        let heroku = heroku(2).await;
        let daemon = Daemon::start(&heroku.api_url(), &[]);
        drain_to(&heroku, &daemon.url, &acme());
        let page = || Fault::Gateway { status, passes_on: None };
        heroku.add_fault(FaultRule::once(Method::GET, "/dynos/web.1", page()));
        heroku.emit_r14(&acme(), &dyno("web.1"));
        let held = daemon.await_decision("web.1", "hold", "garbled");
        let reason = held["reason"].as_str().expect("text");
        assert!(reason.contains("is HEROKU_API_URL right? is there a proxy?"), "{reason}");
        assert!(heroku.deletes().is_empty(), "{status}");
        heroku.emit_r14(&acme(), &dyno("web.1"));
        await_restart(&heroku, "web.1").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_one_dyno_of_three_is_not_believed() {
    for items in [0, 1] {
        let heroku = heroku(3).await;
        let daemon = Daemon::start(&heroku.api_url(), &[]);
        drain_to(&heroku, &daemon.url, &acme());
        heroku.add_fault(FaultRule::always(Method::GET, "/dynos", Fault::Partial(items)));
        heroku.emit_r14(&acme(), &dyno("web.1"));
        daemon.await_decision("web.1", "hold", "garbled");
        assert!(heroku.deletes().is_empty(), "{items}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_red_status_page_holds_restarts() {
    let heroku = heroku(1).await;
    heroku.with(|platform, _| platform.apps_light = Light::Red);
    let page = format!("{}/api/v4/current-status", heroku.api_url());
    let daemon = Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_HEROKU__STATUS_URL", &page)]);
    drain_to(&heroku, &daemon.url, &acme());
    daemon.await_line(|line| {
        line["message"].as_str().is_some_and(|text| text.contains("shows its system Apps red"))
    });
    heroku.emit_r14(&acme(), &dyno("web.1"));
    daemon.await_decision("web.1", "hold", "platform_red");
    let page = eventually("the page says why", || {
        let page = get(&daemon, "/");
        page.contains(
            "<p class=\"verdict\">Restarts are off: Heroku's status page shows its system Apps red</p>",
        )
        .then_some(page)
    });
    assert!(page.contains("<p class=\"todo\">Nothing to do: restarts resume when"), "{page}");
    assert!(heroku.deletes().is_empty());
}

/// Posts an R14 of a dyno to `/logs/{app}` through the drain with this token, if any.
async fn post_r14(heroku: &SimHeroku, daemon: &Daemon, to: &str, token: Option<&str>, name: &str) {
    let token = token.map(|token| ("Logplex-Drain-Token".to_owned(), token.to_owned()));
    let headers = [basic(DRAIN_PASSWORD), token.into_iter().collect()].concat();
    let url = format!("{}/logs/{to}", daemon.url);
    assert_eq!(post(heroku, url, headers, r14(heroku, name)).await, 204);
}

fn drain_of(heroku: &SimHeroku, name: &str, url: &str) -> String {
    heroku.add_drain(&app(name), url).expect("an app").token.to_string()
}

/// The URL of the app's own drain: by its path and password. Nothing listens there, so that only the tests'
/// own batches arrive.
fn own_url(name: &str) -> String {
    SimHeroku::drain_url(&format!("http://127.0.0.1:1/logs/{name}"), "logplex", DRAIN_PASSWORD)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_apps_drain_restarts_nothing() {
    for name in ["beta", "unwatched"] {
        let heroku = heroku_with(&["acme", "beta", "unwatched"], 1).await;
        let daemon = Daemon::start(&heroku.api_url(), &[("HEROKU_APP", "acme,beta")]);
        let own = drain_of(&heroku, "acme", &own_url("acme"));
        // It has acme's URL, as if copied.
        let token = drain_of(&heroku, name, &own_url("acme"));
        post_r14(&heroku, &daemon, "acme", Some(&token), "web.1").await;
        let says = |line: &serde_json::Value, key: &str, text: &str| {
            line[key].as_str().is_some_and(|said| said.contains(text))
        };
        let held = daemon.await_line(|line| line["code"] == "foreign_drain" && says(line, "reason", &token));
        assert_eq!((&held["app"], &held["dyno"]), (&"acme".into(), &"web.1".into()));
        let told = daemon.await_line(|line| line["notice"] == "failure" && says(line, "message", &token));
        assert!(says(&told, "message", "heroku drains:remove"), "{told}");
        assert!(heroku.deletes().is_empty());
        post_r14(&heroku, &daemon, "acme", Some(&own), "web.1").await;
        await_restart_of(&heroku, "acme", "web.1").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_drain_counts_unless_a_list_says_otherwise() {
    // The API lists no drain that leads here: perhaps a proxy changes the URL.
    let heroku = heroku_with(&["acme", "beta"], 2).await;
    let daemon = Daemon::start(&heroku.api_url(), &[("HEROKU_APP", "acme,beta")]);
    drain_of(&heroku, "acme", "https://logs.example.com/");
    post_r14(&heroku, &daemon, "acme", Some("d.unknown"), "web.1").await;
    await_restart_of(&heroku, "acme", "web.1").await;
    // No list can be fetched.
    drain_of(&heroku, "beta", &own_url("beta"));
    heroku.add_fault(FaultRule::always(Method::GET, "/beta/log-drains", Fault::Status(403)));
    post_r14(&heroku, &daemon, "beta", Some("d.unknown"), "web.1").await;
    await_restart_of(&heroku, "beta", "web.1").await;
    // Space logging has no token.
    post_r14(&heroku, &daemon, "beta", None, "web.2").await;
    await_restart_of(&heroku, "beta", "web.2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_was_added_after_the_last_list_counts() {
    let heroku = heroku_with(&["acme"], 2).await;
    let daemon = Daemon::start(&heroku.api_url(), &[]);
    drain_of(&heroku, "acme", &own_url("acme"));
    heroku.await_call(|call| call.path == "/apps/acme/log-drains", PATIENCE).await.expect("a list");
    let token = drain_of(&heroku, "acme", &own_url("acme"));
    post_r14(&heroku, &daemon, "acme", Some(&token), "web.1").await;
    await_restart_of(&heroku, "acme", "web.1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_changes_nothing_and_another_app_with_the_name_is_held() {
    let heroku = heroku_with(&["acme"], 2).await;
    let own = drain_of(&heroku, "acme", &own_url("acme"));
    let daemon = Daemon::start(&heroku.api_url(), &[]);
    post_r14(&heroku, &daemon, "acme", Some(&own), "web.1").await;
    await_restart_of(&heroku, "acme", "web.1").await;
    daemon.await_line(|line| line["outcome"] == "back");
    heroku.with(|platform, now| {
        platform.world.take_over(&app("acme"), app("acme-old"), now).expect("the name is free");
    });
    // The new app got a drain with the old URL.
    let other = drain_of(&heroku, "acme", &own_url("acme"));
    post_r14(&heroku, &daemon, "acme", Some(&other), "web.2").await;
    daemon.await_decision("web.2", "hold", "other_app");
    daemon.await_line(|line| {
        line["notice"] == "failure"
            && line["message"].as_str().is_some_and(|text| text.contains("has the name acme now"))
    });
    post_r14(&heroku, &daemon, "acme", Some(&own), "web.2").await;
    await_restart_of(&heroku, "acme-old", "web.2").await;
    assert_eq!(heroku.deletes().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_took_over_the_name_while_the_daemon_was_down_is_held() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = format!("sqlite://{}", dir.path().join("x.db").display());
    let heroku = heroku_with(&["acme"], 2).await;
    let env = [("DATABASE_URL", file.as_str())];
    let daemon = Daemon::start(&heroku.api_url(), &env);
    heroku.await_call(|call| call.path == "/apps/acme", PATIENCE).await.expect("a look");
    post_r14(&heroku, &daemon, "acme", None, "web.1").await;
    await_restart_of(&heroku, "acme", "web.1").await;
    assert!(daemon.terminate().0.success());
    heroku.with(|platform, now| {
        platform.world.take_over(&app("acme"), app("acme-old"), now).expect("the name is free");
    });
    let daemon = Daemon::start(&heroku.api_url(), &env);
    // No token says whose line this is.
    post_r14(&heroku, &daemon, "acme", None, "web.2").await;
    daemon.await_decision("web.2", "hold", "other_app");
    daemon.await_line(|line| {
        line["message"].as_str().is_some_and(|text| text.contains("has the name acme now"))
    });
    assert_eq!(heroku.deletes().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_are_rejected_for_good_are_reported() {
    let heroku = heroku_with(&["acme"], 1).await;
    let daemon = Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_DRAIN__MAX_BODY", "2KiB")]);
    let send = async |path: &str, password: &str, body: Vec<u8>| {
        post(&heroku, format!("{}{path}", daemon.url), basic(password), body).await
    };
    let told = |text: &str| {
        daemon.await_line(|line| {
            line["notice"] == "failure" && line["message"].as_str().is_some_and(|said| said.contains(text))
        })
    };
    // Anyone can guess a path, but not the password.
    assert_eq!(send("/logs/guessed", "wrong", r14(&heroku, "web.1")).await, 401);
    assert_eq!(send("/logs/acme/guessed", "wrong", r14(&heroku, "web.1")).await, 404);
    for path in ["/logs/old-name", "/logs/acme/tail"] {
        for _ in 0..3 {
            assert_eq!(send(path, DRAIN_PASSWORD, r14(&heroku, "web.1")).await, 404);
        }
        told(&format!("1 batch for {path} was rejected (404)"));
    }
    assert_eq!(send("/logs/acme", DRAIN_PASSWORD, vec![b'x'; 4096]).await, 413);
    assert_eq!(told("rejected as too large (413)")["app"], "acme");
    let mut said = daemon.lines();
    said.retain(|line| line["notice"] == "failure");
    let said = format!("{said:?}");
    assert!(!said.contains("guessed") && !said.contains("3 batches"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_404_for_a_list_of_drains_proves_nothing() {
    let heroku = heroku_with(&["acme", "beta"], 1).await;
    let known = drain_of(&heroku, "acme", "https://logs.example.com/");
    let hidden = drain_of(&heroku, "beta", "https://logs.example.com/");
    let daemon = Daemon::start(&heroku.api_url(), &[("HEROKU_APP", "acme,beta")]);
    let send = async |token: &str| {
        let headers =
            [basic(DRAIN_PASSWORD), vec![("Logplex-Drain-Token".to_owned(), token.to_owned())]].concat();
        post(&heroku, format!("{}/logs", daemon.url), headers, r14(&heroku, "web.1")).await
    };
    assert_eq!((send(&known).await, send(&hidden).await), (204, 204));
    heroku.add_fault(FaultRule::always(Method::GET, "/beta/log-drains", Fault::Status(404)));
    assert_eq!(send("d.unknown").await, 503);
    // What was listed before is still known.
    assert_eq!((send(&known).await, send(&hidden).await), (204, 204));
}
