//! Several real daemons on one PostgreSQL, in front of one simulated Heroku.
//!
//! `.ci/postgres run cargo test --test replicas`

use std::time::Duration;

use dynowarden_core::limits;
use heroku_sim::fault::{Fault, FaultRule};
use http::Method;

use support::crashes::err;
use support::daemon::{ADMIN_PASSWORD, Daemon};
use support::fixtures::{await_restart, basic, deleted, heroku, post};
use support::proxy::{Mood, Proxy};
use support::store::postgres_database as database;

fn replicas(heroku: &heroku_sim::server::SimHeroku, database: &str, env: &[(&str, &str)]) -> Vec<Daemon> {
    let mut env = env.to_vec();
    env.push(("DATABASE_URL", database));
    (0..3).map(|_| Daemon::start(&heroku.api_url(), &env)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_error_seen_by_all_replicas_causes_one_restart() {
    let heroku = heroku(2).await;
    let replicas = replicas(&heroku, &database().await, &[]);
    for replica in &replicas {
        err(&heroku, replica, "web.1").await;
    }
    await_restart(&heroku, "web.1").await;
    // The others see the first one's restart, and another dyno is restarted once that one has settled.
    err(&heroku, &replicas[2], "web.2").await;
    await_restart(&heroku, "web.2").await;
    assert_eq!(deleted(&heroku), ["DELETE /apps/acme/dynos/web.1", "DELETE /apps/acme/dynos/web.2"]);
    support::crashes::check(&heroku);
}

#[tokio::test(flavor = "multi_thread")]
async fn hits_are_counted_across_replicas() {
    let heroku = heroku(1).await;
    let rule = r#"[{name = "thrice", on = ["R14"], count = 3, within = "5m", do = "restart"}]"#;
    let replicas = replicas(&heroku, &database().await, &[("DYNOWARDEN_RULE", rule)]);
    for replica in &replicas {
        err(&heroku, replica, "web.1").await;
    }
    await_restart(&heroku, "web.1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_reaches_all_replicas() {
    let heroku = heroku(1).await;
    let replicas = replicas(&heroku, &database().await, &[]);
    let mut headers = basic(ADMIN_PASSWORD);
    headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    let url = format!("{}/api/v1/pause", replicas[0].url);
    let body = r#"{"app":"acme","for":"1h","reason":"a launch"}"#;
    assert_eq!(post(&heroku, url, headers, body).await, 200);
    // Set on one replica, and read by the others within two seconds; an earlier error is held here.
    tokio::time::sleep(limits::PAUSES_READ_EVERY * 2).await;
    for replica in &replicas {
        err(&heroku, replica, "web.1").await;
        replica.await_decision("web.1", "hold", "paused");
    }
    assert!(deleted(&heroku).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cool_down_survives_a_kill() {
    support::crashes::a_cool_down_survives_a_kill(&database().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_any_moment_cause_no_forbidden_restart() {
    support::crashes::kills_at_any_moment_cause_no_forbidden_restart(&database().await, 3, 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_claim_of_a_dead_replica_blocks_only_for_its_lease() {
    let heroku = heroku(1).await;
    heroku.add_fault(FaultRule::once(Method::DELETE, "/dynos/web.1", Fault::HangBefore));
    // The DELETE without an answer may be carried out for as long; no longer than the lease here.
    let settings = [("DYNOWARDEN_POLICY__BOOT_TIMEOUT", "1m")];
    let mut replicas = replicas(&heroku, &database().await, &settings);
    err(&heroku, &replicas[0], "web.1").await;
    await_restart(&heroku, "web.1").await;
    replicas.remove(0).kill();
    err(&heroku, &replicas[0], "web.1").await;
    replicas[0].await_decision("web.1", "hold", "claimed_elsewhere");
    // R14 repeats every 21 s; more often here, so that the measured time is the lease's.
    let lease = limits::CLAIM_LEASE.as_secs();
    for _ in 0..lease {
        err(&heroku, &replicas[1], "web.1").await;
        let again = |calls: usize| (calls == 2).then_some(());
        let within = Duration::from_secs(2);
        if heroku
            .await_that(|platform| again(platform.calls().filter(|c| c.is_change()).count()), within)
            .await
            .is_some()
        {
            return;
        }
    }
    panic!("no replica took over within {} s: {:?}", 2 * lease, replicas[1].lines());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_batches_are_accepted_and_nothing_is_restarted() {
    let heroku = heroku(1).await;
    let url = database().await;
    let (head, tail) = url.split_once('@').expect("a password");
    let (server, name) = tail.split_once('/').expect("a database");
    let proxy = Proxy::begin(vec![server.to_owned()]).await;
    let database = format!("{head}@{}/{name}", proxy.address);
    let daemon = Daemon::start(&heroku.api_url(), &[("DATABASE_URL", &database)]);
    proxy.set(Mood::Cut);
    err(&heroku, &daemon, "web.1").await;
    daemon.await_decision("web.1", "hold", "store_away");
    assert!(deleted(&heroku).is_empty());
    proxy.set(Mood::Passing);
    // It continues automatically, with the first error after that.
    daemon.await_line(|line| {
        line["message"].as_str().is_some_and(|text| text.contains("the database is available again"))
    });
    err(&heroku, &daemon, "web.1").await;
    await_restart(&heroku, "web.1").await;
    let said = format!("{:?}", daemon.lines());
    let password = head.rsplit_once(':').expect("a password").1;
    assert!(!said.contains(password), "the store's password was logged");
}
