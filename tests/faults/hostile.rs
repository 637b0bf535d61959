//! A drain whose password is in the wrong hands, and strangers, do their worst at once: another app's
//! errors must become restarts as fast as ever.

#![expect(clippy::disallowed_methods, reason = "attackers run on threads of their own, by the real clock")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use heroku_sim::sender::Chaos;
use http::Method;
use serde_json::Value;

use crate::bench::{Bench, Broken, Row, app, bounds, pause, web};
use support::client;
use support::daemon::DRAIN_PASSWORD;
use support::process::usage;

/// From an R14 of the other app to its DELETE.
const DELETE_WITHIN: Duration = Duration::from_secs(2);

/// For all answers of `/healthz` but one in a hundred: the attackers use the same processors.
const HEALTH_WITHIN: Duration = Duration::from_millis(100);

/// Each errs once: an error that is back soon after a restart is left alone for longer and longer.
const WEBS: u32 = 30;

/// From a DELETE until the dyno is back and has settled.
const SETTLED_WITHIN: Duration = Duration::from_secs(20);

const RSS_KIB_MAX: u64 = 200 * 1024;

/// The attacks, which end together.
struct Attack {
    address: String,
    is_over: AtomicBool,
    requests: AtomicU64,
}

pub(crate) async fn drain(seed: u64, span: Duration) -> Result<Vec<Row>, Broken> {
    let mut bench = Bench::begin_with(seed, bounds(), Chaos::default()).await;
    let process_type = "web".parse().map_err(|error| format!("{error}"))?;
    let scaled =
        bench.heroku.with(|platform, now| platform.world.scale(&app("acme"), &process_type, WEBS, now));
    scaled.map_err(|error| format!("{error:?}"))?;
    // Only the dyno whose turn it is errs.
    bench.start();
    let pid = bench.daemon().id();
    let before = usage(pid).ok_or("the daemon is gone")?;
    let address = bench.daemon().url.trim_start_matches("http://").to_owned();
    let attack = Arc::new(Attack { address, is_over: AtomicBool::new(false), requests: AtomicU64::new(0) });
    let parts: [fn(&Attack); 6] = [gzip, names, bodies, places, heads, unread];
    let threads: Vec<JoinHandle<()>> = parts
        .map(|part| {
            let attack = Arc::clone(&attack);
            std::thread::spawn(move || part(&attack))
        })
        .into();
    let asked = Arc::clone(&attack);
    let health = std::thread::spawn(move || ask_health(&asked));
    let watched = restarts_go_on(&mut bench, pid, span).await;
    attack.is_over.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().map_err(|_| "an attacker panicked")?;
    }
    let mut health = health.join().map_err(|_| "the health check panicked")?;
    let (slowest, rss_kib) = watched?;
    health.sort_unstable();
    let usual = health.get(health.len() * 99 / 100).copied().ok_or("no health check")?;
    let worst = health.last().copied().unwrap_or_default();
    if usual > HEALTH_WITHIN {
        return Err(format!("hostile drain: /healthz took {usual:?}, and {worst:?} at worst"));
    }
    if rss_kib > RSS_KIB_MAX {
        return Err(format!("hostile drain: {} MiB", rss_kib / 1024));
    }
    let after = usage(pid).ok_or("hostile drain: the daemon is gone")?;
    let row = bench.row("hostile drain");
    row.times = 1;
    row.struck = attack.requests.load(Ordering::Relaxed);
    row.recovery = slowest;
    row.usage = Some((before, after));
    row.notes.insert(format!("/healthz {} ms at 99 %, {} ms at worst", usual.as_millis(), worst.as_millis()));
    row.notes.insert(format!("{} MiB at most", rss_kib / 1024));
    if row.struck == 0 {
        return Err("hostile drain: no attack arrived, so it proves nothing".to_owned());
    }
    bench.fail_if_broken("hostile drain")?;
    Ok(bench.rows)
}

/// Makes one dyno after the other err, and returns the longest time until its DELETE and the largest memory.
async fn restarts_go_on(bench: &mut Bench, pid: u32, span: Duration) -> Result<(Duration, u64), Broken> {
    let began = tokio::time::Instant::now();
    let (mut slowest, mut rss_kib) = (Duration::ZERO, 0);
    // The dynos are old enough, and the attacks have begun.
    pause(bounds().cooldown + Duration::from_secs(2)).await;
    for index in 1..=WEBS {
        if began.elapsed() > span + bounds().cooldown {
            break;
        }
        let (acme, dyno, since) = (app("acme"), web(index), bench.heroku.now());
        let path = format!("/apps/acme/dynos/web.{index}");
        let emitted = tokio::time::Instant::now();
        bench.heroku.emit_r14(&acme, &dyno);
        loop {
            let is_deleted = bench.heroku.see(|platform, _| {
                platform.calls().any(|call| {
                    call.at >= since && call.method == Method::DELETE && call.path.contains(&path)
                })
            });
            rss_kib = rss_kib.max(usage(pid).ok_or("hostile drain: the daemon is gone")?.rss_kib);
            if is_deleted {
                break;
            }
            if emitted.elapsed() > DELETE_WITHIN {
                let lines = bench.daemon().lines();
                let of_acme = lines.iter().rev().filter(|line| line["app"] == "acme").take(5);
                let log: Vec<String> = of_acme.map(ToString::to_string).collect();
                let text = format!("hostile drain: no DELETE of web.{index} within {DELETE_WITHIN:?}");
                return Err(format!("{text}\n{}", log.join("\n")));
            }
            pause(Duration::from_millis(5)).await;
        }
        slowest = slowest.max(emitted.elapsed());
        bench.fail_if_broken("hostile drain")?;
        await_settled(bench).await?;
    }
    Ok((slowest, rss_kib))
}

/// Waits until no restart of the app is under way, so that the next error does not have to wait for it.
async fn await_settled(bench: &Bench) -> Result<(), Broken> {
    let began = tokio::time::Instant::now();
    loop {
        let page = client::read(&bench.daemon().url, "/api/v1/dynos?app=acme");
        let page: Option<Value> = page.and_then(|page| serde_json::from_str(&page).ok());
        let dynos = page.as_ref().and_then(|page| page["dynos"].as_array());
        let is_under_way = |dyno: &Value| {
            matches!(dyno["state"].as_str(), Some("waiting" | "restarting" | "booting" | "settling"))
        };
        if dynos.is_some_and(|dynos| !dynos.iter().any(is_under_way)) {
            return Ok(());
        }
        if began.elapsed() > SETTLED_WITHIN {
            return Err(format!("hostile drain: not settled within {SETTLED_WITHIN:?}"));
        }
        pause(Duration::from_millis(50)).await;
    }
}

impl Attack {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    fn send(&self, octets: &[u8]) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.set_write_timeout(Some(Duration::from_secs(5))).ok()?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        stream.write_all(octets).ok()?;
        Some(stream)
    }

    /// Sends a request, and waits for the response.
    fn ask(&self, octets: &[u8]) {
        if let Some(mut stream) = self.send(octets) {
            let _closed = stream.read(&mut [0; 64]);
        }
    }

    /// Keeps so many connections that have sent this, for a few seconds at a time.
    fn hold(&self, connections: usize, octets: &[u8]) {
        while self.goes_on() {
            let held: Vec<_> =
                (0..connections).take_while(|_| self.goes_on()).filter_map(|_| self.send(octets)).collect();
            let until = Instant::now() + Duration::from_secs(3);
            while self.goes_on() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(20));
            }
            drop(held);
        }
    }
}

/// A batch of one app, with a declared length.
fn batch(more: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let password = BASE64_STANDARD.encode(format!("drain:{DRAIN_PASSWORD}"));
    let head = format!(
        "POST /logs/blog HTTP/1.1\r\nHost: warden\r\nAuthorization: Basic {password}\r\n{more}\
         Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

const GZIP: &str = "Content-Encoding: gzip\r\n";
const BODY_BYTES: usize = 4 * 1024 * 1024;

/// Blocks that hold nothing.
fn gzip(attack: &Attack) {
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let blocks = [0x02, 0x08, 0x20, 0x80, 0x00].into_iter().cycle();
    let body: Vec<u8> = header.into_iter().chain(blocks).take(BODY_BYTES).collect();
    let request = batch(GZIP, body.len(), &body);
    while attack.goes_on() {
        attack.ask(&request);
    }
}

/// Batches of thousands of new dynos.
fn names(attack: &Attack) {
    for number in (0_u64..).take_while(|_| attack.goes_on()) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        for index in number * 24_000 + 1..=(number + 1) * 24_000 {
            let line = format!(
                "<45>1 2026-01-02T03:04:05Z host heroku web.{index} - source=web.{index} dyno=heroku.1.0f \
                 sample#memory_total=300MB sample#memory_quota=512MB\n"
            );
            write!(encoder, "{} {line}", line.len()).expect("a vector takes all");
        }
        let body = encoder.finish().expect("a vector takes all");
        attack.ask(&batch(GZIP, body.len(), &body));
    }
}

/// Whole bodies without their last octet.
fn bodies(attack: &Attack) {
    attack.hold(150, &batch("", BODY_BYTES, &vec![b'x'; BODY_BYTES - 1]));
}

/// The start of a body on each of many connections.
fn places(attack: &Attack) {
    attack.hold(300, &batch("", 100_000, b"100 <45>1"));
}

/// Heads of strangers that do not end.
fn heads(attack: &Attack) {
    attack.hold(300, format!("GET / HTTP/1.1\r\nHost: warden\r\nX: {}", "y".repeat(15_900)).as_bytes());
}

/// Requests whose responses are never read.
fn unread(attack: &Attack) {
    attack.hold(50, "GET /nowhere HTTP/1.1\r\nHost: warden\r\n\r\n".repeat(1000).as_bytes());
}

/// How long each answer of `/healthz` took.
fn ask_health(attack: &Attack) -> Vec<Duration> {
    let mut took = Vec::new();
    while attack.goes_on() {
        let began = Instant::now();
        let stream = attack.send(b"GET /healthz HTTP/1.1\r\nHost: warden\r\nConnection: close\r\n\r\n");
        let answered = stream.is_some_and(|mut stream| {
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).is_ok() && answer.ends_with(b" 200")
        });
        took.push(if answered { began.elapsed() } else { Duration::from_secs(60) });
        std::thread::sleep(Duration::from_millis(20));
    }
    took
}
