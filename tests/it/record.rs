//! The store across crashes, with the real binary on SQLite: `kill -9` breaks no promise.

use heroku_sim::fault::{Fault, FaultRule};
use http::Method;
use tempfile::TempDir;

use support::client::request;
use support::crashes::{age, err};
use support::daemon::{Daemon, REQUIRED};
use support::fixtures::{await_restart, deleted, heroku};

/// A file of its own, and its temporary directory.
fn file() -> (String, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    (format!("sqlite://{}/record.db", directory.path().display()), directory)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cool_down_survives_a_kill() {
    let (database, _directory) = file();
    support::crashes::a_cool_down_survives_a_kill(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_flight_at_a_kill_is_not_repeated() {
    let (database, _directory) = file();
    a_claim_left_open_is_looked_at(&database, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_lost_with_a_killed_daemon_is_not_repeated() {
    let (database, _directory) = file();
    a_claim_left_open_is_looked_at(&database, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_any_moment_cause_no_forbidden_restart() {
    let (database, _directory) = file();
    support::crashes::kills_at_any_moment_cause_no_forbidden_restart(&database, 1, 12).await;
}

/// A confirmed pause or resume holds at once, and across a crash.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_pause_or_resume_survives_a_kill() {
    let (database, _directory) = file();
    let heroku = heroku(1).await;
    let env = [("DATABASE_URL", database.as_str())];
    for _ in 0..4 {
        let daemon = Daemon::start(&heroku.api_url(), &env);
        say(&daemon, "pause", r#"{"app":"acme","for":"1h","reason":"first"}"#);
        say(&daemon, "resume", r#"{"app":"acme"}"#);
        say(&daemon, "pause", r#"{"app":"acme","for":"2h","reason":"a launch"}"#);
        daemon.kill();
        let daemon = Daemon::start(&heroku.api_url(), &env);
        err(&heroku, &daemon, "web.1").await;
        let hold = daemon.await_decision("web.1", "hold", "paused");
        assert!(hold["reason"].as_str().is_some_and(|said| said.contains("a launch")), "{hold}");
        say(&daemon, "resume", r#"{"app":"acme"}"#);
        daemon.kill();
    }
    let daemon = Daemon::start(&heroku.api_url(), &env);
    err(&heroku, &daemon, "web.1").await;
    await_restart(&heroku, "web.1").await;
}

/// Sends a request to the JSON API, and checks that it succeeded.
fn say(daemon: &Daemon, what: &str, body: &str) {
    let (status, _) = request(daemon, &format!("POST /api/v1/{what}"), body);
    assert_eq!(status, 200, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_file_exits_with_one_sentence() {
    let (database, _directory) = file();
    let heroku = heroku(1).await;
    let _first = Daemon::start(&heroku.api_url(), &[("DATABASE_URL", &database)]);
    let api_url = heroku.api_url();
    let own = [("HEROKU_API_URL", api_url.as_str()), ("DATABASE_URL", &database)];
    let (exit, said) = support::daemon::run(&[], &[&REQUIRED[..], &own].concat());
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("record.db"), "{said}");
    // A reader is not a second daemon.
    let (exit, said) = support::daemon::run(&["history"], &[("DATABASE_URL", &database)]);
    assert_eq!(exit, Some(0), "{said}");
}

/// A DELETE never gets a response, and its sender is killed while it waits. The next process inspects the
/// dyno and sends no second one.
async fn a_claim_left_open_is_looked_at(database: &str, is_done: bool) {
    let heroku = heroku(1).await;
    let fault = if is_done { Fault::HangAfter } else { Fault::HangBefore };
    heroku.add_fault(FaultRule::once(Method::DELETE, "/dynos/web.1", fault));
    let env = [("DATABASE_URL", database)];
    let first = Daemon::start(&heroku.api_url(), &env);
    err(&heroku, &first, "web.1").await;
    await_restart(&heroku, "web.1").await;
    first.kill();
    let second = Daemon::start(&heroku.api_url(), &env);
    if is_done {
        second.await_line(|line| line["outcome"] == "accepted");
        assert_eq!(deleted(&heroku).len(), 1);
        age(&heroku, "web.1");
        err(&heroku, &second, "web.1").await;
        second.await_line(|line| line["decision"] == "hold");
        assert_eq!(deleted(&heroku).len(), 1);
    } else {
        // It may still be carried out.
        err(&heroku, &second, "web.1").await;
        second.await_decision("web.1", "hold", "under_way");
        assert_eq!(deleted(&heroku).len(), 1);
    }
}
