//! Invariants across crashes and replicas, for any store: tests that SQLite and PostgreSQL share.

use std::time::Duration;

use dynowarden_core::time::earlier;
use heroku_sim::platform::{Platform, RecordedCall};
use heroku_sim::server::SimHeroku;
use http::Method;

use crate::daemon::{DRAIN_PASSWORD, Daemon};
use crate::fixtures::{acme, basic, deleted, dyno, heroku, post, r14};

/// Posts an R14 of a dyno to one daemon, as a batch of its own.
pub async fn err(heroku: &SimHeroku, daemon: &Daemon, name: &str) {
    let url = format!("{}/logs/acme", daemon.url);
    assert_eq!(post(heroku, url, basic(DRAIN_PASSWORD), r14(heroku, name)).await, 204);
}

/// Sets a dyno's start an hour back, so that only the store forbids a restart.
pub fn age(heroku: &SimHeroku, name: &str) {
    heroku
        .with(|platform, now| {
            platform.world.set_created_at(&acme(), &dyno(name), earlier(now, Duration::from_secs(3600)))
        })
        .expect("a dyno");
}

pub async fn a_cool_down_survives_a_kill(database: &str) {
    let heroku = heroku(1).await;
    let env = [("DATABASE_URL", database)];
    let first = Daemon::start(&heroku.api_url(), &env);
    err(&heroku, &first, "web.1").await;
    first.await_line(|line| line["outcome"] == "back");
    first.kill();
    age(&heroku, "web.1");
    let second = Daemon::start(&heroku.api_url(), &env);
    err(&heroku, &second, "web.1").await;
    // Cooling down; or still settling, if the kill came before the outcome of the first restart.
    second.await_line(|line| line["decision"] == "hold");
    assert_eq!(deleted(&heroku).len(), 1);
}

/// Kills and starts at random moments, while every dyno errs all the time: never two of one formation are
/// out, and no dyno is restarted twice within its cool-down.
pub async fn kills_at_any_moment_cause_no_forbidden_restart(database: &str, daemons: usize, rounds: u32) {
    let heroku = heroku(4).await;
    // A claim without a DELETE keeps the others waiting for that long.
    let env = [("DATABASE_URL", database), ("DYNOWARDEN_POLICY__BOOT_TIMEOUT", "1m")];
    let start = || Daemon::start(&heroku.api_url(), &env);
    let mut running: Vec<Daemon> = (0..daemons).map(|_| start()).collect();
    for round in 0..rounds {
        for (index, daemon) in (round as usize..).zip(&running) {
            err(&heroku, daemon, &format!("web.{}", index % 4 + 1)).await;
        }
        // The kill moves through the life of an attempt: before the inspection, after it, at the DELETE, and
        // while the new dyno boots.
        let wanted = heroku.calls().len() + round as usize % 5;
        let moment = |calls: usize| (calls >= wanted).then_some(());
        let _or_a_while = heroku.await_that(|platform| moment(platform.calls().count()), SOON).await;
        let victim = round as usize % daemons;
        // Only one process may hold an SQLite file, so the next starts when this one has ended.
        running.remove(victim).kill();
        running.insert(victim, start());
    }
    // The kills may have come before every DELETE, or have left a claim that keeps the others waiting.
    for _ in 0..TRIES_PAST_A_CLAIM {
        if !heroku.changes().is_empty() {
            break;
        }
        for (index, daemon) in (1..).zip(&running) {
            err(&heroku, daemon, &format!("web.{index}")).await;
        }
        let changed = |platform: &Platform| platform.calls().any(|call| call.method == Method::DELETE);
        let _or_a_while = heroku.await_that(|platform| changed(platform).then_some(()), SOON).await;
    }
    check(&heroku);
}

/// Tries of [`SOON`] each, together longer than a claim's minute.
const TRIES_PAST_A_CLAIM: u32 = 45;

/// How long a kill waits for its moment, which may never come: most dynos have had their restart by then.
const SOON: Duration = Duration::from_secs(2);

/// Checks the promises against the calls that the API received.
pub fn check(heroku: &SimHeroku) {
    let deletes: Vec<RecordedCall> = heroku.changes();
    let mut names: Vec<&str> = deletes.iter().map(|call| call.path.as_str()).collect();
    names.sort_unstable();
    let restarted = names.len();
    names.dedup();
    assert_eq!(restarted, names.len(), "a dyno was restarted twice within its cool-down: {deletes:#?}");
    for pair in deletes.windows(2) {
        let gap = pair[1].at.duration_since(pair[0].at);
        // Five seconds of boot in the simulated world, and one of settling.
        assert!(gap.as_secs() >= 5, "two were out at once: {pair:#?}");
    }
    assert!(!deletes.is_empty(), "nothing was restarted");
}
