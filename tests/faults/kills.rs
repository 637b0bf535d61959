//! SIGTERM and SIGKILL at random moments, repeatedly, while every dyno errs.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::bench::{Bench, Broken, DYNOS, RECOVERY_MAX, Row, bounds, pause, web, without_postgres};
use support::judge::Bounds;
use support::process::usage;
use support::store::postgres_database;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    Kill,
    Terminate,
}

/// Ends the daemon `lives` times on one store, each time at a random moment.
pub(crate) async fn run(end: End, seed: u64, lives: u32) -> Result<Vec<Row>, Broken> {
    let name = match end {
        End::Kill => "kill -9",
        End::Terminate => "SIGTERM",
    };
    let bench = Bench::begin(seed, bounds()).await;
    run_on(bench, name, (end, lives)).await
}

/// Kills one of three replicas on one PostgreSQL at a random moment, again and again.
pub(crate) async fn run_replicas(seed: u64, lives: u32) -> Result<Vec<Row>, Broken> {
    let name = "kill -9 of one of three replicas";
    let Some(bench) = replicas(seed, bounds()).await else { return Ok(vec![without_postgres(name)]) };
    run_on(bench, name, (End::Kill, lives)).await
}

/// The same while no restart helps.
pub(crate) async fn run_replicas_to_the_give_up(seed: u64, lives: u32) -> Result<Vec<Row>, Broken> {
    let name = "kill -9 of one of three replicas, no restart helps";
    let bounds = Bounds { give_up_after: Some(GIVE_UP_AFTER), ..bounds() };
    let Some(mut bench) = replicas(seed, bounds).await else { return Ok(vec![without_postgres(name)]) };
    run_to_the_end(&mut bench, name, GIVE_UP_AFTER, lives).await?;
    Ok(bench.rows)
}

/// None without a PostgreSQL.
async fn replicas(seed: u64, bounds: Bounds) -> Option<Bench> {
    std::env::var_os("DYNOWARDEN_TEST_POSTGRES")?;
    let mut bench = Bench::begin(seed, bounds).await;
    bench.env.push(("DATABASE_URL".to_owned(), postgres_database().await));
    bench.replicas = 3;
    Some(bench)
}

async fn run_on(mut bench: Bench, name: &str, (end, lives): (End, u32)) -> Result<Vec<Row>, Broken> {
    bench.warm_up().await?;
    let (errors, deletes, restarts) = bench.counts();
    let longest = end_lives(&mut bench, end, lives).await?;
    let ended = bench.heroku.now();
    bench.start();
    let recovery = bench.await_restarts(ended, name).await?;
    let warm = usage(bench.daemon().id()).ok_or("the daemon is gone")?;
    bench.conclude(warm).await?;
    let now = bench.counts();
    let row = bench.row(name);
    (row.times, row.struck) = (lives, u64::from(lives));
    (row.errors, row.deletes, row.restarts) = (now.0 - errors, now.1 - deletes, now.2 - restarts);
    row.recovery = recovery;
    if end == End::Terminate {
        row.notes.insert(format!("exit code 0 each time, after {} ms at most", longest.as_millis()));
    }
    Ok(bench.rows)
}

/// Kills with few restarts allowed. In the end every dyno has had all of its restarts or is left alone for
/// those that may have happened, and none has had more.
pub(crate) async fn run_to_the_last_restart(most: usize, seed: u64, lives: u32) -> Result<Vec<Row>, Broken> {
    let mut bounds = bounds();
    bounds.max_restarts.0 = most;
    let mut bench = Bench::begin(seed, bounds).await;
    run_to_the_end(&mut bench, &format!("kill -9, at most {most} restarts"), most, lives).await?;
    Ok(bench.rows)
}

async fn run_to_the_end(bench: &mut Bench, name: &str, most: usize, lives: u32) -> Result<(), Broken> {
    bench.start();
    bench.storm(true);
    end_lives(bench, End::Kill, lives).await?;
    bench.start();
    let began = Instant::now();
    while !DYNOS.iter().all(|&(app, dyno)| is_over(bench, app, dyno, most)) {
        bench.fail_if_broken(name)?;
        if began.elapsed() > RECOVERY_MAX {
            return Err(format!("{name}: some dynos are neither restarted nor given up"));
        }
        pause(Duration::from_millis(500)).await;
    }
    // No dyno may be restarted any more: the judge would report it.
    pause(bounds().cooldown * 2).await;
    bench.fail_if_broken(name)?;
    let (errors, deletes, restarts) = bench.counts();
    if restarts * 2 < (most * DYNOS.len()) as u64 {
        return Err(format!("{name}: only {restarts} restarts were made"));
    }
    let row = bench.row(name);
    (row.times, row.struck) = (lives, u64::from(lives));
    (row.errors, row.deletes, row.restarts) = (errors, deletes, restarts);
    row.notes.insert(format!("of {} allowed, and none more", most * DYNOS.len()));
    Ok(())
}

/// Kills while no restart helps. Each dyno is given up after the restarts that may be tried, whatever was
/// forgotten at a kill.
pub(crate) async fn run_to_the_give_up(seed: u64, lives: u32) -> Result<Vec<Row>, Broken> {
    let bounds = Bounds { give_up_after: Some(GIVE_UP_AFTER), ..bounds() };
    let mut bench = Bench::begin(seed, bounds).await;
    run_to_the_end(&mut bench, "kill -9, no restart helps", GIVE_UP_AFTER, lives).await?;
    Ok(bench.rows)
}

/// The default of `give_up_after`.
const GIVE_UP_AFTER: usize = 3;

/// Whether a dyno has had its restarts, or the daemon has reported that it is left alone.
fn is_over(bench: &Bench, app: &str, index: u32, most: usize) -> bool {
    let dyno = web(index);
    let is_given_up = |line: &Value| {
        line["app"] == app
            && line["dyno"] == *dyno.to_string()
            && ["given_up", "max_restarts"].iter().any(|code| line["code"] == *code)
    };
    let restarts = bench.judge().restarts_of(&crate::bench::app(app), &dyno);
    restarts == most || bench.daemons().iter().any(|daemon| daemon.lines().iter().any(is_given_up))
}

/// Returns the longest time that an orderly end took.
async fn end_lives(bench: &mut Bench, end: End, lives: u32) -> Result<Duration, Broken> {
    let mut longest = Duration::ZERO;
    for life in 1..=lives {
        // Long enough for a restart from the first line to the settled dyno, and often cut short.
        pause(bench.chance.span(Duration::ZERO, Duration::from_millis(2500))).await;
        bench.fail_if_broken(&format!("life {life}"))?;
        let daemon = bench.take_daemon();
        match end {
            End::Kill => daemon.kill(),
            End::Terminate => {
                let (status, took) = daemon.terminate();
                if !status.success() || took > TERMINATION_MAX {
                    return Err(format!("life {life}: SIGTERM ended in {status} after {took:?}"));
                }
                longest = longest.max(took);
            }
        }
        if life < lives {
            bench.start();
        }
    }
    Ok(longest)
}

/// Heroku waits 30 s before it kills.
const TERMINATION_MAX: Duration = Duration::from_secs(20);
