//! Connections: octets on the wire, deadlines and shutdown.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Harness, PEER, basic, figure, harness, r14, settings};
use crate::certificate;
use crate::driver::Command;
use crate::http::connection;
use crate::http::connection_state::ConnectionState;
use crate::http::listener;
use crate::http::tls::Tls;
use dynowarden_core::limits;

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

struct Server {
    harness: Harness,
    address: std::net::SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

async fn server(connections_max: usize) -> Server {
    server_with(connections_max, None).await
}

async fn server_with(connections_max: usize, tls: Option<Tls>) -> Server {
    let mut settings = settings(&[("acme", "drain")]);
    settings.drain.connections_max = connections_max;
    let harness = harness(&settings).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(listener::serve(listener, tls, harness.service.clone(), shutdown.clone()));
    Server { harness, address, shutdown, task }
}

/// A connection without a socket, so that paused time controls it.
fn connected(harness: &Harness) -> (DuplexStream, JoinHandle<()>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let state = Arc::new(ConnectionState::new());
    let task = tokio::spawn(connection::serve(
        (theirs, PEER),
        harness.service.clone(),
        state,
        CancellationToken::new(),
    ));
    (ours, task)
}

/// Reads one response: its head, and a body of the length in `Content-Length`.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.expect("readable") == 0 {
            return String::from_utf8(head).expect("text");
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    let length = head
        .to_lowercase()
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.split("\r\n").next().expect("a line").parse().expect("a number"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("a body");
    head + &String::from_utf8(body).expect("text")
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> String {
    stream.write_all(request.as_bytes()).await.expect("written");
    answer(stream).await
}

async fn is_closed(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    matches!(stream.read(&mut [0; 16]).await, Ok(0) | Err(_))
}

fn batch(password: &str, extra: &str, body: &str) -> String {
    format!(
        "POST /logs/acme HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Length: {}\r\n{extra}\r\n{body}",
        basic(password),
        body.len()
    )
}

#[tokio::test]
async fn batches_follow_one_another_on_one_connection() {
    let mut server = server(8).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    for dyno in ["web.1", "web.2"] {
        let answer = ask(&mut stream, &batch("drain", "", &r14(dyno))).await;
        assert!(answer.starts_with("HTTP/1.1 204 No Content\r\n"), "{answer}");
        let answer = answer.to_lowercase();
        assert!(!answer.contains("content-length") && !answer.contains("transfer-encoding"), "{answer}");
        assert!(matches!(server.harness.commands.recv().await, Some(Command::Events { .. })));
    }
}

/// What a connection remembers of its last batch opens nothing for another one.
#[tokio::test]
async fn each_batch_of_a_connection_is_checked() {
    let server = server(8).await;
    let good = batch("drain", "", "");
    for (other, status) in [
        (batch("drein", "", ""), "401 Unauthorized"),
        (batch("drain2", "", ""), "401 Unauthorized"),
        (good.replace("/logs/acme", "/logs/acne"), "404 Not Found"),
        (good.replace("Authorization", "X-Authorization"), "401 Unauthorized"),
        (good.clone(), "204 No Content"),
    ] {
        let mut stream = TcpStream::connect(server.address).await.expect("connected");
        for _ in 0..2 {
            let answer = ask(&mut stream, &good).await;
            assert!(answer.starts_with("HTTP/1.1 204 No Content\r\n"), "{answer}");
        }
        let answer = ask(&mut stream, &other).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{other}: {answer}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_before_the_body_is_read() {
    let server = server(8).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let request = format!(
        "POST /logs/acme HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n\
         Content-Length: 4000\r\nExpect: 100-continue\r\n\r\n",
        basic("wrong")
    );
    let refused = ask(&mut stream, &request).await;
    assert!(refused.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{refused}");
    assert!(refused.to_lowercase().contains("\r\nwww-authenticate: basic realm="), "{refused}");
    assert!(refused.to_lowercase().contains("\r\nconnection: close\r\n"), "{refused}");
    assert!(is_closed(&mut stream).await);

    // With the right password the server asks for the body.
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let good = ask(&mut stream, &request.replace(&basic("wrong"), &basic("drain"))).await;
    assert!(good.starts_with("HTTP/1.1 100 Continue\r\n"), "{good}");
}

#[tokio::test]
async fn a_refusal_can_be_read_while_the_body_is_still_arriving() {
    let server = server(8).await;
    for (password, status) in [("wrong", "401"), ("drain", "413")] {
        let stream = TcpStream::connect(server.address).await.expect("connected");
        let (mut reader, mut writer) = stream.into_split();
        let body = "x".repeat(8 * 1024 * 1024);
        let request = batch(password, "", &body);
        let sender = tokio::spawn(async move { writer.write_all(request.as_bytes()).await });
        let refused = answer(&mut reader).await;
        assert!(refused.starts_with(&format!("HTTP/1.1 {status} ")), "{refused}");
        let _ = sender.await.expect("no panic");
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_client_disconnects_and_takes_no_body() {
    let server = server(8).await;
    let head = format!("GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n", basic("admin"));
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let answer = ask(&mut stream, &format!("{head}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    stream.shutdown().await.expect("hung up");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("the end");
    for (more, body) in [("Content-Length: 38", "{\"app\":"), ("Transfer-Encoding: chunked", "9\r\n{\"app")] {
        let octets = format!("{head}{more}\r\n\r\n{body}");
        // A stream that was opened would not end.
        let answer = tokio::time::timeout(Duration::from_secs(10), exchange(&server, &octets)).await;
        let answer = answer.expect("an answer that ends");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{more}: {answer}");
    }
}

/// With unread octets a disconnect goes unnoticed until the next write.
#[tokio::test(start_paused = true)]
async fn a_stream_whose_client_is_gone_ends_with_the_next_heartbeat() {
    let harness = harness(&settings(&[("acme", "drain")])).await;
    let (mut stream, served) = connected(&harness);
    let request =
        format!("GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n\r\nGET", basic("admin"));
    let answer = ask(&mut stream, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    drop(stream);
    let gone = Instant::now();
    harness.service.admin_ui.as_ref().expect("a page").streams.send_heartbeat();
    served.await.expect("no panic");
    assert!(gone.elapsed() < limits::STREAM_BEAT, "something else ended it, after {:?}", gone.elapsed());
}

#[tokio::test]
async fn the_limit_counts_all_chunks() {
    let server = server(8).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let request = format!(
        "POST /logs/acme HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        basic("drain"),
        chunk.repeat(5)
    );
    let refused = ask(&mut stream, &request).await;
    assert!(refused.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{refused}");
}

/// Sends all octets, and returns everything that comes back.
async fn exchange(server: &Server, octets: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    // The server may have refused and closed before the end.
    let _ = stream.write_all(octets.as_bytes()).await;
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    String::from_utf8(all).expect("text")
}

/// A request that an attacker hides behind another one.
const SMUGGLED: &str = "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin\r\n\r\n";

#[tokio::test]
async fn ambiguous_requests_are_refused() {
    let server = server(64).await;
    let shapes = [
        // Two lengths, or one that not every reader accepts.
        "Content-Length: 3\r\nContent-Length: 90\r\n",
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3, 90\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 3 \u{b}\r\n",
        "Content-Length: 3;\r\n",
        "Content-Length: \r\n",
        "Content-Length: 18446744073709551619\r\n",
        // A length and chunks, in either order.
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: identity\r\n",
        // Codings that only some readers take for chunks.
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding:\r\n",
        // Names and lines that readers split differently.
        "Content-Length : 3\r\n",
        "Content-Length\t: 3\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Content-Length: 3\r\n",
        "X: y\r\n Content-Length: 3\r\n",
        "X: y\r\n\tTransfer-Encoding: chunked\r\n",
        "X: y\nContent-Length: 3\r\n",
        "X: y\rContent-Length: 3\r\n",
        "X: y\0\r\nContent-Length: 3\r\n",
        "Content-Length: 3\n",
        "Content-Length\r\n",
        ": 3\r\n",
        "Host: y\r\n",
    ];
    for headers in shapes {
        for body in ["abc", "0\r\n\r\n", ""] {
            let request = format!(
                "POST /logs/acme HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n{headers}\r\n{body}{SMUGGLED}",
                basic("drain")
            );
            let all = exchange(&server, &request).await;
            assert!(all.starts_with("HTTP/1.1 400 "), "{headers:?}: {all}");
            assert!(
                !all.contains("dynowarden_") && all.matches("HTTP/1.1 ").count() == 1,
                "{headers:?}: {all}"
            );
        }
    }
    let refused = figure(&server.harness, r#"refused_requests_total{reason="head_broken"}"#).await;
    assert_eq!(refused, Some(3.0 * shapes.len() as f64));
}

#[tokio::test]
async fn invalid_heads_are_refused() {
    let server = server(64).await;
    for (head, expect) in [
        ("GET /healthz HTTP/1.1\nHost: x\n\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\n\n", "400"),
        ("\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ("GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ("GET /healthz  HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1 \r\nHost: x\r\n\r\n", "400"),
        (" GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ("GET /healthz\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.2\r\nHost: x\r\n\r\n", "400"),
        ("GET /healthz HTTP/3.0\r\nHost: x\r\n\r\n", "400"),
        // A peer that speaks HTTP/2 at once understands no answer of HTTP/1.1.
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\nH\u{e4}: y\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\nX Y: z\r\n\r\n", "400"),
        ("POST /logs/acme HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
        ("\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200"),
        ("GET /healthz HTTP/1.0\r\n\r\n", "200"),
        ("GET http://x/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200"),
    ] {
        let all = exchange(&server, head).await;
        assert_eq!(all.split(' ').nth(1).unwrap_or_default(), expect, "{head:?}: {all}");
    }
}

#[tokio::test]
async fn nothing_after_chunks_is_a_request() {
    let server = server(64).await;
    for (chunks, expect) in [
        ("0\r\n\r\n", "204"),
        ("3\r\nabc\r\n0\r\n\r\n", "204"),
        ("3;name=value\r\nabc\r\n0\r\n\r\n", "204"),
        ("0\r\nTrailer: x\r\n\r\n", "204"),
        ("3\nabc\n0\n\n", "400"),
        ("3\r\nabcd\r\n0\r\n\r\n", "400"),
        ("3\r\nabc0\r\n\r\n", "400"),
        ("3;name=\nvalue\r\nabc\r\n0\r\n\r\n", "400"),
        ("0x3\r\nabc\r\n0\r\n\r\n", "400"),
        ("+3\r\nabc\r\n0\r\n\r\n", "400"),
        (" 3\r\nabc\r\n0\r\n\r\n", "400"),
        ("-1\r\nabc\r\n0\r\n\r\n", "400"),
        ("3 3\r\nabc\r\n0\r\n\r\n", "400"),
        ("\r\nabc\r\n0\r\n\r\n", "400"),
        ("fffffffffffffffff\r\nabc\r\n0\r\n\r\n", "400"),
    ] {
        let request = format!(
            "POST /logs/acme HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nTransfer-Encoding: chunked\r\n\r\n\
             {chunks}{SMUGGLED}",
            basic("drain")
        );
        let all = exchange(&server, &request).await;
        assert_eq!(all.split(' ').nth(1), Some(expect), "{chunks:?}: {all}");
        assert!(all.to_lowercase().contains("\r\nconnection: close\r\n"), "{chunks:?}: {all}");
        assert!(!all.contains("dynowarden_") && all.matches("HTTP/1.1 ").count() == 1, "{chunks:?}: {all}");
    }
}

#[tokio::test]
async fn heads_are_limited() {
    let server = server(8).await;
    for head in [
        format!("GET /healthz HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(limits::HEAD_BYTES_MAX)),
        format!("GET /healthz HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(limits::HEADERS_MAX + 1)),
    ] {
        let mut stream = TcpStream::connect(server.address).await.expect("connected");
        let refused = ask(&mut stream, &head).await;
        assert!(refused.starts_with("HTTP/1.1 431 "), "{refused}");
    }
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    assert!(ask(&mut stream, "nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    for (reason, count) in [("head_too_large", 2.0), ("head_broken", 1.0)] {
        let name = format!(r#"refused_requests_total{{reason="{reason}"}}"#);
        assert_eq!(figure(&server.harness, &name).await, Some(count), "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_outlasts_the_router_and_then_ends() {
    let harness = harness(&settings(&[("acme", "drain")])).await;
    let (mut stream, task) = connected(&harness);
    for _ in 0..3 {
        assert!(ask(&mut stream, HEALTH).await.starts_with("HTTP/1.1 200 OK\r\n"));
        tokio::time::sleep(limits::KEEP_ALIVE_IDLE - Duration::from_secs(1)).await;
    }
    assert!(ask(&mut stream, HEALTH).await.starts_with("HTTP/1.1 200 OK\r\n"));
    let since = Instant::now();
    assert!(is_closed(&mut stream).await);
    let lasted = since.elapsed();
    assert!((338..=342).contains(&lasted.as_secs()), "{lasted:?}");
    task.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_half_open_request_is_closed_within_half_a_minute() {
    let harness = harness(&settings(&[("acme", "drain")])).await;
    for (first, half) in [("", ""), ("", "POST /logs/acme HT"), (HEALTH, "POST /logs/acme HT")] {
        let (mut stream, task) = connected(&harness);
        if !first.is_empty() {
            ask(&mut stream, first).await;
            tokio::time::sleep(Duration::from_secs(100)).await;
        }
        // A byte now and then does not help.
        stream.write_all(half.as_bytes()).await.expect("written");
        let since = Instant::now();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let drip = tokio::spawn(async move {
            while !half.is_empty() && writer.write_all(b"T").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            writer
        });
        assert!(is_closed(&mut reader).await);
        assert!(since.elapsed() < Duration::from_secs(30), "{half:?}: {:?}", since.elapsed());
        drop(reader);
        drip.await.expect("no panic");
        task.await.expect("no panic");
    }
    assert_eq!(figure(&harness, r#"refused_requests_total{reason="head_slow"}"#).await, Some(3.0));
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_times_out() {
    let harness = harness(&settings(&[("acme", "drain")])).await;
    let (mut stream, _task) = connected(&harness);
    let request = batch("drain", "", &r14("web.1"));
    let since = Instant::now();
    let slow = ask(&mut stream, &request[..request.len() - 1]).await;
    assert!(slow.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{slow}");
    assert_eq!(since.elapsed().as_secs(), limits::BODY_READ.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_disconnected() {
    let harness = harness(&settings(&[("acme", "drain")])).await;
    let (ours, theirs) = tokio::io::duplex(128);
    let state = Arc::new(ConnectionState::new());
    let task = tokio::spawn(connection::serve(
        (theirs, PEER),
        harness.service.clone(),
        state,
        CancellationToken::new(),
    ));
    let (_reader, mut writer) = tokio::io::split(ours);
    let since = Instant::now();
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin\r\n\r\n";
    writer.write_all(request).await.expect("written");
    task.await.expect("no panic");
    // The driver of this service does not answer, either.
    let expect = limits::METRICS_STATUS_WAIT + limits::WRITE_STALL;
    assert_eq!(since.elapsed().as_secs(), expect.as_secs());
}

#[tokio::test(start_paused = true)]
async fn one_wrong_password_too_many_is_delayed_and_closes_the_connection() {
    let harness = harness(&settings(&[("acme", "drain")])).await;
    for _ in 0..limits::WRONG_PASSWORDS.0 {
        let (mut stream, _task) = connected(&harness);
        let since = Instant::now();
        assert!(ask(&mut stream, &batch("wrong", "", "")).await.starts_with("HTTP/1.1 401 "));
        assert_eq!(since.elapsed(), Duration::ZERO);
    }
    let (mut stream, _task) = connected(&harness);
    let since = Instant::now();
    assert!(ask(&mut stream, &batch("wrong", "", "")).await.starts_with("HTTP/1.1 401 "));
    assert_eq!(since.elapsed(), limits::WRONG_PASSWORD_HOLD);
    assert!(is_closed(&mut stream).await);
    let (mut stream, _task) = connected(&harness);
    let since = Instant::now();
    assert!(ask(&mut stream, &batch("drain", "", "")).await.starts_with("HTTP/1.1 204 "));
    assert_eq!(since.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_half_open_handshake_is_closed() {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let identity =
        certificate::read(&key.cert.pem(), &key.signing_key.serialize_pem()).expect("a certificate");
    for octets in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let server = server_with(8, Some(Tls::new(&identity))).await;
        let mut stream = TcpStream::connect(server.address).await.expect("connected");
        stream.write_all(octets).await.expect("written");
        let since = Instant::now();
        assert!(is_closed(&mut stream).await);
        let lasted = since.elapsed();
        assert!(lasted <= limits::HANDSHAKE + Duration::from_secs(1), "{lasted:?}");
        let slow = figure(&server.harness, r#"refused_requests_total{reason="handshake_slow"}"#).await;
        assert_eq!(slow, Some(1.0));
    }
}

#[tokio::test]
async fn at_the_limit_the_longest_waiting_is_evicted() {
    let server = server(3).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(server.address).await.expect("connected");
        ask(&mut stream, HEALTH).await;
        waiting.push(stream);
    }
    let mut newcomer = TcpStream::connect(server.address).await.expect("connected");
    assert!(ask(&mut newcomer, HEALTH).await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(is_closed(&mut waiting[0]).await);
    assert!(ask(&mut waiting[1], HEALTH).await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(figure(&server.harness, r#"refused_requests_total{reason="evicted"}"#).await, Some(1.0));
}

#[tokio::test]
async fn half_open_requests_do_not_block_new_connections() {
    let mut server = server(32).await;
    let mut half_open = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(server.address).await.expect("connected");
        // The oldest of them may be closed by now.
        let _ = stream.write_all(b"POST /logs/acme HTTP/1.1\r\nHost:").await;
        half_open.push(stream);
    }
    let mut newcomer = TcpStream::connect(server.address).await.expect("connected");
    let answered = ask(&mut newcomer, &batch("drain", "", &r14("web.1"))).await;
    assert!(answered.starts_with("HTTP/1.1 204 No Content\r\n"), "{answered}");
    assert!(server.harness.commands.recv().await.is_some());
}

#[tokio::test]
async fn requests_sent_together_are_answered_in_order() {
    let server = server(8).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let both = format!("{HEALTH}GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(ask(&mut stream, &both).await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 404 Not Found\r\n"));
}

#[tokio::test]
async fn shutdown_answers_what_is_in_flight_and_closes_what_is_idle() {
    let mut server = server(8).await;
    let mut idle = TcpStream::connect(server.address).await.expect("connected");
    ask(&mut idle, HEALTH).await;
    let mut busy = TcpStream::connect(server.address).await.expect("connected");
    let hook = "POST /hooks/restart/acme?key=hook HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    busy.write_all(hook.as_bytes()).await.expect("written");
    let Some(Command::Order { answer: order, .. }) = server.harness.commands.recv().await else {
        panic!("no order")
    };

    server.shutdown.cancel();
    assert!(is_closed(&mut idle).await);
    order.send(Vec::new()).expect("the handler waits");
    let answered = answer(&mut busy).await;
    assert!(answered.starts_with("HTTP/1.1 202 Accepted\r\n"), "{answered}");
    server.task.await.expect("no panic");
    assert!(TcpStream::connect(server.address).await.is_err());
}
