//! The HTTP server of the real binary: slow clients, wrong passwords, and TLS.

#![expect(clippy::disallowed_methods, reason = "what a peer waits for is measured by the clock on its wall")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use heroku_sim::server::SimHeroku;
use rustls::version::{TLS12, TLS13};

use support::client::{get, metric};
use support::daemon::{ADMIN_PASSWORD, DRAIN_PASSWORD, Daemon, HOOK_KEY, PATIENCE, eventually};
use support::fixtures::{await_restart, heroku, r14};
use support::tls::{Made, Peer};

fn authority(daemon: &Daemon) -> &str {
    daemon.url.trim_start_matches("http://")
}

/// A request with its lines and the length of its body.
fn request(line: &str, password: &str, more: &str, body: &str) -> String {
    let password = BASE64_STANDARD.encode(format!("anybody:{password}"));
    format!(
        "{line} HTTP/1.1\r\nHost: warden\r\nAuthorization: Basic {password}\r\n{more}Content-Length: {}\r\n\r\n\
         {body}",
        body.len()
    )
}

fn connect(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(authority(daemon)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// Sends a request on its own connection, and returns the response.
fn ask(daemon: &Daemon, request: &str) -> String {
    let mut stream = connect(daemon);
    stream.write_all(request.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes()).expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_requests_delay_no_client_and_close_within_30_seconds() {
    let heroku = heroku(1).await;
    let daemon = Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_DRAIN__MAX_CONNECTIONS", "256")]);
    let whole = request(
        "POST /logs/acme",
        DRAIN_PASSWORD,
        "",
        &String::from_utf8(r14(&heroku, "web.1")).expect("text"),
    );
    let began = Instant::now();
    let halves = [0, 1, 20, 60, whole.len() - 20, whole.len() - 1];
    let mut held: Vec<TcpStream> = (0..600)
        .map(|number| {
            let mut stream = connect(&daemon);
            // Some are closed to make room while this goes on.
            let _ = stream.write_all(&whole.as_bytes()[..halves[number % halves.len()]]);
            stream
        })
        .collect();
    let mut waits: Vec<Duration> = (0..9)
        .map(|_| {
            let asked = Instant::now();
            assert_eq!(status(&ask(&daemon, &request("POST /logs/acme", DRAIN_PASSWORD, "", ""))), "204");
            asked.elapsed()
        })
        .collect();
    waits.sort();
    assert!(waits[4] < Duration::from_secs(1), "{waits:?}");
    assert_eq!(status(&ask(&daemon, &whole)), "204");
    await_restart(&heroku, "web.1").await;
    for stream in &mut held {
        let left = Duration::from_secs(30).saturating_sub(began.elapsed());
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1)))).expect("a socket");
        let mut rest = Vec::new();
        // A reset is also an end; a read time-out is not.
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "after {:?}", began.elapsed());
        }
        let answer = String::from_utf8_lossy(&rest);
        assert!(rest.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    assert!(shown(&daemon, r#"dynowarden_refused_requests_total{reason="evicted"}"#) > 0.0);
    // Connections that were closed for it may still be ending.
    eventually("only the one that asks is there", || {
        (shown(&daemon, "dynowarden_connections") == 1.0).then_some(())
    });
}

/// The present value of a metric of `/metrics`.
fn shown(daemon: &Daemon, name: &str) -> f64 {
    metric(&get(daemon, "/metrics"), name).unwrap_or_default()
}

/// The results of wrong passwords from varying claimed addresses, until one is throttled.
fn guess(daemon: &Daemon, line: &str, forwarded: impl Fn(u32) -> String) -> Vec<String> {
    let mut statuses = Vec::new();
    for number in 0..200 {
        let more = format!("X-Forwarded-For: {}\r\n", forwarded(number));
        statuses.push(status(&ask(daemon, &request(line, &format!("guess-{number}"), &more, ""))).to_owned());
        if statuses.last().is_some_and(|status| status == "429") {
            break;
        }
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_are_counted_per_trusted_client_address() {
    let heroku = heroku(1).await;
    let changing = |number: u32| format!("198.51.100.{number}");
    let same_behind = |number: u32| format!("198.51.100.{number}, 203.0.113.9");
    let same_before = |number: u32| format!("203.0.113.9, 198.51.100.{number}");
    for (env, forwarded, is_one) in [
        // Untrusted clients may send any header.
        (&[][..], &changing as &dyn Fn(u32) -> String, true),
        (&[("DYNOWARDEN_TRUSTED_PROXIES", "10.0.0.0/8")], &changing, true),
        (&[("DYNOWARDEN_TRUSTED_PROXIES", "127.0.0.0/8")], &changing, false),
        (&[("DYNOWARDEN_TRUSTED_PROXIES", "127.0.0.0/8")], &same_behind, true),
        (&[("DYNOWARDEN_TRUSTED_PROXIES", "127.0.0.0/8")], &same_before, false),
        (&[("DYNO", "web.1")], &changing, false),
        (&[("DYNO", "web.1")], &same_behind, true),
        (&[("DYNO", "web.1")], &same_before, false),
    ] {
        let daemon = Daemon::start(&heroku.api_url(), env);
        let statuses = guess(&daemon, "GET /metrics", forwarded);
        assert_eq!(statuses[0], "401");
        assert_eq!(statuses.contains(&"429".to_owned()), is_one, "{env:?}: {statuses:?}");
        // An address that sent too many is locked out, whatever it sends.
        let more = format!("X-Forwarded-For: {}\r\n", forwarded(0));
        let right = ask(&daemon, &request("GET /metrics", ADMIN_PASSWORD, &more, ""));
        assert_eq!(status(&right), if is_one { "429" } else { "200" });
        assert_eq!(right.to_lowercase().contains("\r\nretry-after: "), is_one, "{right}");
        let callers = daemon.lines().iter().filter(|line| line["caller"].is_string()).count();
        assert_eq!(callers == 1, is_one, "{callers} lines: {:?}", daemon.lines());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn password_guessing_does_not_lock_logplex_out() {
    let heroku = heroku(1).await;
    let daemon = Daemon::start(&heroku.api_url(), &[]);
    let throttled = || shown(&daemon, r#"dynowarden_refused_requests_total{reason="throttled"}"#);
    // A foreign drain with a wrong password has one of logplex's addresses.
    eventually("one wrong password too many", || {
        let refused = ask(&daemon, &request("POST /logs/acme", "guess", "", ""));
        assert_eq!(status(&refused), "401", "never 429, which logplex repeats");
        (throttled() > 0.0).then_some(())
    });
    let body = String::from_utf8(r14(&heroku, "web.1")).expect("text");
    assert_eq!(status(&ask(&daemon, &request("POST /logs/acme", DRAIN_PASSWORD, "", &body))), "204");
    await_restart(&heroku, "web.1").await;
    let hook = format!("POST /hooks/restart/acme?key={HOOK_KEY}");
    assert_eq!(status(&ask(&daemon, &request(&hook, "x", "", r#"{"dyno":"web.9"}"#))), "202");
    let guessed = guess(&daemon, "POST /hooks/restart/acme?key=guess", |_| String::new());
    assert!(guessed.contains(&"429".to_owned()), "{guessed:?}");
    assert_eq!(status(&ask(&daemon, &request("POST /logs/acme", DRAIN_PASSWORD, "", ""))), "204");
}

// === TLS ===

/// A daemon with its own certificate, and the certificate's directory.
fn with_tls(heroku: &SimHeroku, made: &Made) -> (Daemon, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    put(&dir, made);
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let daemon =
        Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_TLS__CERT", &cert), ("DYNOWARDEN_TLS__KEY", &key)]);
    (daemon, dir)
}

fn put(dir: &tempfile::TempDir, made: &Made) {
    std::fs::write(dir.path().join("cert.pem"), &made.certificate).expect("room on the disk");
    std::fs::write(dir.path().join("key.pem"), &made.key).expect("room on the disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_and_forms_are_accepted_over_tls() {
    let heroku = heroku(1).await;
    let made = Made::new();
    let (daemon, _dir) = with_tls(&heroku, &made);
    daemon.await_line(|line| {
        line["message"].as_str().is_some_and(|said| said.contains("listening on https://"))
    });
    let body = String::from_utf8(r14(&heroku, "web.1")).expect("text");
    let mut peer = Peer::modern(authority(&daemon), &[&made]).expect("a handshake");
    assert_eq!(peer.protocol(), Some(&b"http/1.1"[..]));
    for _ in 0..3 {
        let answer = peer.ask(&request("POST /logs/acme", DRAIN_PASSWORD, "", &body)).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    }
    await_restart(&heroku, "web.1").await;
    let wrong = peer.ask(&request("POST /logs/acme", "wrong", "", &body)).expect("an answer");
    assert!(wrong.starts_with("HTTP/1.1 401 "), "{wrong}");
    // A form of the status page works as from a browser.
    let mut peer = Peer::modern(authority(&daemon), &[&made]).expect("a handshake");
    let page = peer.ask(&request("GET /", ADMIN_PASSWORD, "", "")).expect("a page");
    let token = page.split("name=\"token\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let form = format!("token={}&for=1h&reason=test", token.expect("a token"));
    for (origin, expect) in [("https://warden", "303"), ("https://evil.example", "403")] {
        let more = format!("Origin: {origin}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
        let mut peer = Peer::modern(authority(&daemon), &[&made]).expect("a handshake");
        let answer = peer.ask(&request("POST /pause", ADMIN_PASSWORD, &more, &form)).expect("an answer");
        assert_eq!(status(&answer), expect, "{origin}: {answer}");
    }
    let (status, took) = daemon.terminate();
    assert!(status.success() && took < Duration::from_secs(20), "{status} after {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_tls_1_2_or_newer_and_http_1_1_are_accepted() {
    let heroku = heroku(1).await;
    let made = Made::new();
    let (daemon, _dir) = with_tls(&heroku, &made);
    let address = authority(&daemon);
    for (versions, protocols, is_fine) in [
        (&[&TLS13][..], &["http/1.1"][..], true),
        (&[&TLS12], &["http/1.1"], true),
        (&[&TLS12], &[], true),
        (&[&TLS13], &["h2", "http/1.1"], true),
        (&[&TLS13], &["h2"], false),
    ] {
        let answer = Peer::connect(address, &[&made], versions, protocols)
            .and_then(|mut peer| peer.ask(&request("GET /healthz", "x", "", "")));
        assert_eq!(
            answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")),
            is_fine,
            "{versions:?} {protocols:?}"
        );
    }
    assert!(Peer::modern(address, &[&Made::new()]).is_err(), "another certificate");
    // A TLS 1.1 client with one old suite: record, handshake, version, random, suites, no compression.
    let mut old = b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x02".to_vec();
    old.extend([7; 32]);
    old.extend(b"\x00\x00\x02\x00\x2f\x01\x00");
    for (octets, answer) in [(&old[..], &b"\x15\x03"[..]), (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"")]
    {
        let mut stream = connect(&daemon);
        stream.write_all(octets).expect("written");
        let mut all = Vec::new();
        // A connection closed with unread octets may be reset.
        let _ = stream.read_to_end(&mut all);
        assert!(all.starts_with(answer) && all.len() < 16 && !all.starts_with(b"HTTP"), "{all:?}");
    }
    let mut peer = Peer::modern(address, &[&made]).expect("a handshake");
    let page = peer.ask(&request("GET /metrics", ADMIN_PASSWORD, "", "")).expect("a page");
    assert!(
        metric(&page, r#"dynowarden_refused_requests_total{reason="handshake_failed"}"#) >= Some(4.0),
        "{page}"
    );
    assert!(metric(&page, "dynowarden_tls_certificate_expiry_timestamp_seconds") > Some(2e9), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_loaded_and_a_broken_one_is_not() {
    let heroku = heroku(1).await;
    let made = [Made::new(), Made::new(), Made::new()];
    let (daemon, dir) = with_tls(&heroku, &made[0]);
    let address = authority(&daemon);
    let shows = |made: &Made| Peer::modern(address, &[made]).ok();
    let health = request("GET /healthz", "x", "", "");
    let mut first = shows(&made[0]).expect("the first certificate");
    assert!(first.ask(&health).expect("an answer").starts_with("HTTP/1.1 200 "));

    put(&dir, &made[1]);
    let mut second = eventually("the second certificate", || shows(&made[1]));
    assert!(shows(&made[0]).is_none());
    // Existing connections stay.
    assert!(first.ask(&health).expect("an answer").starts_with("HTTP/1.1 200 "));

    // One certificate and another's key: half of a renewal, or a mistake.
    std::fs::write(dir.path().join("cert.pem"), &made[2].certificate).expect("room on the disk");
    let says = |part: &str| {
        daemon.await_line(|line| line["message"].as_str().is_some_and(|said| said.contains(part)))
    };
    says("new certificate rejected; the old one stays in use");
    let ready = eventually("a remark", || {
        let ready = shows(&made[1])?.ask(&request("GET /readyz", "x", "", "")).expect("an answer");
        ready.contains("certificate: the new one cannot be used: the key does not belong").then_some(ready)
    });
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    assert!(shows(&made[1]).is_some() && shows(&made[2]).is_none());

    // A signal does not wait for the next check.
    std::fs::write(dir.path().join("key.pem"), &made[2].key).expect("room on the disk");
    daemon.signal("-HUP");
    let mut third = eventually("the third certificate", || shows(&made[2]));
    for peer in [&mut first, &mut second, &mut third] {
        assert!(peer.ask(&health).expect("an answer").starts_with("HTTP/1.1 200 "));
    }
    let page = third.ask(&request("GET /metrics", ADMIN_PASSWORD, "", "")).expect("a page");
    for (outcome, count) in [("replaced", 2.0), ("failed", 1.0)] {
        let name = format!(r#"dynowarden_tls_certificate_reads_total{{outcome="{outcome}"}}"#);
        assert_eq!(metric(&page, &name), Some(count), "{page}");
    }
    let ready = third.ask(&request("GET /readyz", "x", "", "")).expect("an answer");
    assert!(!ready.contains("certificate"), "{ready}");
    let said = format!("{:?}", daemon.lines());
    assert!(!said.contains("PRIVATE KEY") && !said.contains(made[2].key.lines().nth(1).expect("a line")));
}
