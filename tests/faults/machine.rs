//! Faults of the machine: descriptors, disk, locks and clocks.

use std::cell::RefCell;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};

use crate::bench::{Bench, Broken, Row, bounds, not_run, without_postgres};
use support::daemon;
use support::process::usage;
use support::proxy::{Mood, Proxy};
use support::store::postgres_database;

/// No descriptor is left: by a limit below the present number, and by connections up to the limit.
pub(crate) async fn descriptors(seed: u64, rounds: u32, span: Duration) -> Result<Vec<Row>, Broken> {
    let mut bench = Bench::begin(seed, bounds()).await;
    if !is_there("prlimit") {
        return Ok(vec![not_run("descriptors used up", "needs prlimit, of util-linux")]);
    }
    bench.warm_up().await?;
    let pid = bench.daemon().id();
    let warm = usage(pid).ok_or("the daemon is gone")?;
    let address = bench.daemon().url.trim_start_matches("http://").to_owned();
    for _ in 0..rounds {
        let begin = async |_: &Bench| limit_descriptors(pid, "3");
        let end = async |_: &Bench| limit_descriptors(pid, "1024");
        bench.strike("not one descriptor more", span, begin, is_deaf, end).await?;
        let crowd = RefCell::new(Vec::new());
        let begin = async |_: &Bench| {
            limit_descriptors(pid, "64");
            crowd.borrow_mut().extend((0..200).filter_map(|_| TcpStream::connect(&address).ok()));
        };
        let end = async |_: &Bench| {
            limit_descriptors(pid, "1024");
            crowd.borrow_mut().clear();
        };
        let is_full = |_: &Bench, _| usage(pid).map_or(0, |used| u64::from(used.descriptors >= 60));
        bench.strike("200 idle peers, 64 descriptors", span, begin, is_full, end).await?;
    }
    bench.conclude(warm).await?;
    Ok(bench.rows)
}

/// Whether new connections get no answer.
fn is_deaf(bench: &Bench, _lines: usize) -> u64 {
    use std::io::{Read as _, Write as _};
    let ask = || {
        let mut stream = TcpStream::connect(bench.daemon().url.trim_start_matches("http://"))?;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")?;
        stream.read_exact(&mut [0; 12])
    };
    u64::from(ask().is_err())
}

fn limit_descriptors(pid: u32, soft: &str) {
    let limit = format!("--nofile={soft}:");
    let done = Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).status();
    assert!(done.is_ok_and(|status| status.success()), "prlimit {limit} failed");
}

pub(crate) async fn full(seed: u64, rounds: u32, span: Duration) -> Result<Vec<Row>, Broken> {
    let mut bench = Bench::begin(seed, bounds()).await;
    // A small disk of its own, visible only to the daemon and through its /proc entry.
    let mount = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"];
    let directory = bench.directory.path().to_owned();
    let script = format!("mount -t tmpfs -o size=16m none '{}' && exec \"$@\"", directory.display());
    let tried = Command::new(mount[0]).args(&mount[1..]).args([script.as_str(), "sh", "true"]).output();
    if !tried.is_ok_and(|output| output.status.success()) {
        return Ok(vec![not_run("disk full", "needs a mount in a namespace of its own")]);
    }
    bench.launch = Box::new(move || {
        let launcher: Vec<&str> = mount.into_iter().chain([script.as_str(), "sh"]).collect();
        let mut command = daemon::command_by(&launcher);
        command.env("PATH", PATH);
        command
    });
    bench.warm_up().await?;
    let pid = bench.daemon().id();
    let warm = usage(pid).ok_or("the daemon is gone")?;
    let ballast = PathBuf::from(format!("/proc/{pid}/root{}/ballast", directory.display()));
    for _ in 0..rounds {
        let begin = async |_: &Bench| fill(&ballast);
        let end = async |_: &Bench| std::fs::remove_file(&ballast).expect("it was written");
        bench.strike("disk full", span, begin, store_away, end).await?;
    }
    bench.conclude(warm).await?;
    Ok(bench.rows)
}

/// Another process holds a lock on the store's file.
pub(crate) async fn locked(seed: u64, rounds: u32, span: Duration) -> Result<Vec<Row>, Broken> {
    let mut bench = Bench::begin(seed, bounds()).await;
    bench.warm_up().await?;
    let warm = usage(bench.daemon().id()).ok_or("the daemon is gone")?;
    let file = bench.directory.path().join("record.db");
    for _ in 0..rounds {
        let lock = RefCell::new(None);
        let begin = async |_: &Bench| {
            let taken = lock_record(&file).await;
            lock.replace(Some(taken));
        };
        let end = async |_: &Bench| drop(lock.take());
        bench.strike("record locked by another", span, begin, store_away, end).await?;
    }
    bench.conclude(warm).await?;
    Ok(bench.rows)
}

/// How often a dyno was left alone because the store did not answer.
fn store_away(bench: &Bench, lines: usize) -> u64 {
    bench.said("store_away", lines)
}

/// Fills the disk to the last octet.
fn fill(ballast: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(ballast).expect("a file");
    let piece = [0; 4096];
    while file.write_all(&piece).is_ok() {}
}

/// Holds the store's file until the connection is dropped.
async fn lock_record(file: &Path) -> SqliteConnection {
    let mut connection = SqliteConnectOptions::new().filename(file).connect().await.expect("the record");
    sqlx::raw_sql("PRAGMA busy_timeout = 5000; BEGIN EXCLUSIVE")
        .execute(&mut connection)
        .await
        .expect("the lock");
    connection
}

/// A PostgreSQL that is cut off, and one that accepts requests and never answers.
pub(crate) async fn away(seed: u64, rounds: u32, span: Duration) -> Result<Vec<Row>, Broken> {
    if std::env::var_os("DYNOWARDEN_TEST_POSTGRES").is_none() {
        return Ok(vec![without_postgres("PostgreSQL away")]);
    }
    let mut bench = Bench::begin(seed, bounds()).await;
    let database = postgres_database().await;
    let (head, rest) = database.split_once('@').expect("with a password");
    let (address, name) = rest.split_once('/').expect("a database");
    let proxy = Proxy::begin(vec![address.to_owned()]).await;
    bench.env.push(("DATABASE_URL".to_owned(), format!("{head}@{}/{name}", proxy.address)));
    bench.warm_up().await?;
    let warm = usage(bench.daemon().id()).ok_or("the daemon is gone")?;
    for _ in 0..rounds {
        for (fault, mood) in [("PostgreSQL cut off", Mood::Cut), ("PostgreSQL silent", Mood::Silent)] {
            let begin = async |_: &Bench| proxy.set(mood);
            let end = async |_: &Bench| proxy.set(Mood::Passing);
            bench.strike(fault, span, begin, store_away, end).await?;
        }
    }
    bench.conclude(warm).await?;
    Ok(bench.rows)
}

/// The daemon's clock jumps, while the platform's goes on.
pub(crate) async fn clock(seed: u64, rounds: u32, span: Duration) -> Result<Vec<Row>, Broken> {
    let Some(library) = fake_clock() else {
        return Ok(vec![not_run("clock jumps", "needs libfaketime, of Debian's package faketime")]);
    };
    let mut bench = Bench::begin(seed, bounds()).await;
    let shift = bench.directory.path().join("shift");
    set_clock(&shift, 0);
    let file = shift.clone();
    bench.launch = Box::new(move || {
        let mut command = daemon::command();
        command
            .env("LD_PRELOAD", &library)
            .env("FAKETIME_TIMESTAMP_FILE", &file)
            .env("FAKETIME_NO_CACHE", "1");
        command.env("FAKETIME_DISABLE_SHM", "1");
        // Programs wait by the other clock, which never jumps.
        command.env("DONT_FAKE_MONOTONIC", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command
    });
    bench.warm_up().await?;
    let warm = usage(bench.daemon().id()).ok_or("the daemon is gone")?;
    for _ in 0..rounds {
        for (fault, seconds) in [
            ("clock 1 h ahead, and back", 3600),
            ("clock 1 h behind, and back", -3600),
            ("clock 20 s ahead, and back", 20),
            ("clock 20 s behind, and back", -20),
            ("clock 30 days ahead, and back", 30 * 86_400),
        ] {
            let begin = async |_: &Bench| set_clock(&shift, seconds);
            let felt = |bench: &Bench, lines| shifted(bench, lines, seconds);
            let end = async |_: &Bench| set_clock(&shift, 0);
            bench.strike(fault, span, begin, felt, end).await?;
        }
    }
    bench.conclude(warm).await?;
    Ok(bench.rows)
}

/// The log lines whose time is off by about `seconds`.
fn shifted(bench: &Bench, lines: usize, seconds: i64) -> u64 {
    let now = bench.heroku.now();
    let is_shifted = |line: &Value| {
        let at = line["timestamp"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        at.is_some_and(|at| {
            let ahead = at.duration_since(now).as_secs();
            ahead.signum() == seconds.signum() && ahead.abs() > seconds.abs() / 2
        })
    };
    bench.daemon().lines_from(lines).iter().filter(|line| is_shifted(line)).count() as u64
}

/// Sets how many seconds the daemon's clock is off.
fn set_clock(shift: &Path, seconds: i64) {
    let next = shift.with_extension("next");
    std::fs::write(&next, format!("{seconds:+}\n")).expect("a file");
    std::fs::rename(&next, shift).expect("a file");
}

/// The library that fakes a program's clock.
fn fake_clock() -> Option<PathBuf> {
    let places = std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok).map(|entry| entry.path());
    places.map(|place| place.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Where a launcher finds its programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
