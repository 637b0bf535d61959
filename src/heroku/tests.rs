//! The client against a scripted peer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Answered, ClientError, Heroku};
use crate::config::settings::HerokuSettings;
use crate::metrics::Metrics;
use dynowarden_core::api::{ApiError, DeleteResult};
use dynowarden_core::ident::{AppName, DynoName, ProcessType};

/// Answers connections in turn: with the given bytes, by closing, or never.
struct Peer {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
enum Say {
    Bytes(String),
    Hang,
    Hangup,
}

fn say(status: &str, headers: &str, body: &str) -> Say {
    Say::Bytes(format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    ))
}

impl Peer {
    async fn listen(script: impl Into<VecDeque<Say>>) -> Self {
        let mut script: VecDeque<Say> = script.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Some(next) = script.pop_front() {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut head = Vec::new();
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    let byte = stream.read_u8().await.expect("a head");
                    head.push(byte);
                }
                seen.lock().expect("no panic").push(String::from_utf8(head).expect("text"));
                match next {
                    Say::Bytes(bytes) => {
                        stream.write_all(bytes.as_bytes()).await.expect("written");
                        stream.shutdown().await.expect("closed");
                    }
                    Say::Hang => held.push(stream),
                    Say::Hangup => drop(stream),
                }
            }
            std::future::pending::<()>().await;
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no panic").clone()
    }
}

fn client(address: &str, timeout: Duration) -> Heroku {
    let settings = HerokuSettings {
        api_key: Some(SecretString::from("HRKU-s3cret")),
        api_url: address.to_owned(),
        request_timeout: timeout,
    };
    Heroku::new(&settings, Arc::new(Metrics::new([]))).expect("a client")
}

fn names() -> (AppName, DynoName, Vec<ProcessType>) {
    ("acme".parse().expect("an app"), "web.2".parse().expect("a dyno"), vec!["web".parse().expect("a type")])
}

fn dyno_json(name: &str) -> serde_json::Value {
    let process_type = name.split('.').next().expect("a type");
    json!({"id": format!("id-{name}"), "name": name, "type": process_type, "state": "up",
        "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:25Z",
        "release": {"version": 7}})
}

fn missing() -> Say {
    say("404 Not Found", "", r#"{"id":"not_found","message":"Couldn't find that dyno.","resource":"dyno"}"#)
}

fn of_two() -> Say {
    say("200 OK", "", r#"[{"type":"web","quantity":2,"size":"Standard-1X"}]"#)
}

fn features(preboot: bool) -> Say {
    say("200 OK", "", &json!([{"name": "preboot", "enabled": preboot}]).to_string())
}

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn an_inspection_reads_all_pages_and_then_the_dyno_by_name() {
    let first = json!([dyno_json("web.1"), dyno_json("run.77")]).to_string();
    let second = json!([dyno_json("web.2"), dyno_json("worker.1")]).to_string();
    let peer = Peer::listen([
        say("206 Partial Content", "Next-Range: ]web.1..; max=2\r\nRateLimit-Remaining: 4001\r\n", &first),
        say("200 OK", "RateLimit-Remaining: 4000\r\n", &second),
        of_two(),
        features(false),
        say("200 OK", "RateLimit-Remaining: 3999\r\n", &dyno_json("web.2").to_string()),
    ])
    .await;
    let (app, dyno, listed) = names();
    let Answered { value, tokens_remaining } =
        client(&peer.address, LONG).inspect(&app, &listed, Some(&dyno)).await;
    let view = value.expect("a view");
    let formation: Vec<String> = view.formation.iter().map(|seen| seen.name.to_string()).collect();
    assert_eq!(formation, ["web.1", "web.2"]);
    assert_eq!(view.dyno.map(|seen| seen.name), Some(dyno));
    assert_eq!(tokens_remaining, Some(3999));

    let heads = peer.heads();
    assert!(heads[0].starts_with("GET /apps/acme/dynos HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(heads[1].to_lowercase().contains("\r\nrange: ]web.1..; max=2\r\n"), "{}", heads[1]);
    assert!(heads[2].starts_with("GET /apps/acme/formation HTTP/1.1\r\n"), "{}", heads[2]);
    assert!(heads[3].starts_with("GET /apps/acme/features HTTP/1.1\r\n"), "{}", heads[3]);
    assert!(heads[4].starts_with("GET /apps/acme/dynos/web.2 HTTP/1.1\r\n"), "{}", heads[4]);
    for head in heads {
        let head = head.to_lowercase();
        assert!(head.contains("\r\nauthorization: bearer hrku-s3cret\r\n"), "{head}");
        assert!(head.contains("\r\naccept: application/vnd.heroku+json; version=3\r\n"), "{head}");
        assert!(head.contains("\r\nuser-agent: dynowarden/"), "{head}");
    }
}

#[tokio::test]
async fn every_answer_to_an_inspection_has_one_meaning() {
    let throttled = |seconds| ApiError::Throttled { wait: Some(Duration::from_secs(seconds)) };
    let own = |id: &str| json!({"id": id, "message": "So."}).to_string();
    let (id, message) = (|id: &str| id.to_owned(), "So.".to_owned());
    let forbidden = |status, word| ApiError::Forbidden { status, id: id(word), message: message.clone() };
    let refused = |status, word| ApiError::Refused { status, id: id(word), message: message.clone() };
    for (status, headers, body, expect) in [
        ("401 Unauthorized", "", own("unauthorized"), ApiError::Unauthorized),
        ("403 Forbidden", "", own("suspended"), forbidden(403, "suspended")),
        ("402 Payment Required", "", own("delinquent"), forbidden(402, "delinquent")),
        ("404 Not Found", "", own("not_found"), ApiError::NoSuchApp),
        ("409 Conflict", "", own("conflict"), refused(409, "conflict")),
        ("422 Unprocessable", "", own("x"), refused(422, "x")),
        ("429 Too Many", "", own("rate_limit"), ApiError::Throttled { wait: None }),
        ("429 Too Many", "Retry-After: 7\r\n", own("rate_limit"), throttled(7)),
        ("429 Too Many", "Retry-After: 99999999999\r\n", own("rate_limit"), throttled(3600)),
        ("429 Too Many", "Retry-After: soon\r\n", own("rate_limit"), ApiError::Throttled { wait: None }),
    ] {
        let peer = Peer::listen([say(status, headers, &body)]).await;
        let (app, dyno, listed) = names();
        let answered = client(&peer.address, LONG).inspect(&app, &listed, Some(&dyno)).await;
        assert_eq!(answered.value, Err(expect), "{status}");
    }
    for (status, body, expect) in [
        ("503 Service Unavailable", "", "unreachable"),
        ("500 Internal Server Error", "{}", "unreachable"),
        ("200 OK", "<html>all is well</html>", "garbled"),
        ("200 OK", "{}", "garbled"),
        ("200 OK", r#"[{"type":"web"}]"#, "garbled"),
        ("206 Partial Content", "[]", "garbled"),
        ("301 Moved", "", "garbled"),
        ("302 Found", "<html>Sign in</html>", "garbled"),
        ("401 Unauthorized", "", "garbled"),
        ("403 Forbidden", "<html>Blocked</html>", "garbled"),
        ("404 Not Found", "<html>", "garbled"),
        ("407 Proxy Authentication Required", "", "garbled"),
        ("429 Too Many", "slow down", "garbled"),
    ] {
        let peer = Peer::listen([say(status, "", body)]).await;
        let (app, _, listed) = names();
        let error = client(&peer.address, LONG).inspect(&app, &listed, None).await.value.expect_err(status);
        assert_eq!(error.label(), expect, "{status} {body}: {error}");
    }
}

#[tokio::test]
async fn a_missing_dyno_is_none_and_another_one_is_garbled() {
    let (app, dyno, listed) = names();
    let list = json!([dyno_json("web.1")]).to_string();
    let script = [say("200 OK", "", &list), of_two(), say("200 OK", "", &list), features(false)];
    let peer = Peer::listen(script.into_iter().chain([missing()]).collect::<Vec<_>>()).await;
    let view = client(&peer.address, LONG).inspect(&app, &listed, Some(&dyno)).await.value.expect("a view");
    assert_eq!((view.dyno, view.formation.len()), (None, 1));

    let peer = Peer::listen([
        missing(),
        say("200 OK", "", &dyno_json("web.1").to_string()),
        say("200 OK", "", &dyno_json("web.2").to_string()),
    ])
    .await;
    let heroku = client(&peer.address, LONG);
    assert_eq!(heroku.poll(&app, &dyno).await.value, Ok(None));
    assert!(matches!(heroku.poll(&app, &dyno).await.value, Err(ApiError::Garbled { .. })));
    assert!(heroku.poll(&app, &dyno).await.value.is_ok_and(|seen| seen.is_some()));
}

#[tokio::test]
async fn the_formation_and_the_features_are_asked_now_and_then() {
    let list = |names: &[&str]| {
        let dynos: Vec<_> = names.iter().map(|name| dyno_json(name)).collect();
        say("200 OK", "", &json!(dynos).to_string())
    };
    let both = list(&["web.1", "web.2"]);
    let one = say("200 OK", "", &dyno_json("web.2").to_string());
    let no_answer = say("403 Forbidden", "", r#"{"id":"forbidden","message":"No."}"#);
    let peer = Peer::listen([
        // A list with a one-off dyno that nothing but the quantity shows.
        list(&["web.1", "web.2", "web.4321"]),
        of_two(),
        features(true),
        one.clone(),
        both.clone(),
        one.clone(),
        // Half a list, which stays half: nothing is concluded from it.
        list(&["web.2"]),
        of_two(),
        list(&["web.2"]),
        one.clone(),
        // Half a list once.
        list(&["web.2"]),
        of_two(),
        both.clone(),
        one.clone(),
        // The formation is not shown: the list alone is believed, and the question waits.
        list(&["web.2"]),
        no_answer,
        one.clone(),
        list(&["web.2"]),
        one,
    ])
    .await;
    let (app, dyno, listed) = names();
    let heroku = client(&peer.address, LONG);
    let look = || async { heroku.inspect(&app, &listed, Some(&dyno)).await.value };
    let view = look().await.expect("a view");
    let one_off = view.formation.iter().filter(|seen| seen.is_one_off).map(|seen| seen.name.index());
    assert_eq!((one_off.collect::<Vec<_>>(), view.quantity, view.preboot), (vec![4321], Some(2), true));
    let view = look().await.expect("a view");
    assert_eq!((view.quantity, view.preboot), (Some(2), true));
    assert!(matches!(look().await, Err(ApiError::Garbled { .. })));
    assert_eq!(look().await.expect("a view").formation.len(), 2);
    for _ in 0..2 {
        let view = look().await.expect("a view");
        assert_eq!((view.formation.len(), view.quantity, view.preboot), (1, None, true));
    }
    assert_eq!(peer.heads().len(), 19);
}

#[tokio::test]
async fn features_without_an_answer_count_as_off() {
    let list = say("200 OK", "", &json!([dyno_json("web.1"), dyno_json("web.2")]).to_string());
    let one = say("200 OK", "", &dyno_json("web.2").to_string());
    let down = say("503 Service Unavailable", "", "<html>");
    let peer = Peer::listen([
        list.clone(),
        of_two(),
        down.clone(),
        one.clone(),
        // They are asked for again with the next inspection.
        list.clone(),
        features(true),
        one,
        // If the API itself is away, the others have no answer either.
        down,
    ])
    .await;
    let (app, dyno, listed) = names();
    let heroku = client(&peer.address, LONG);
    let look = || async { heroku.inspect(&app, &listed, Some(&dyno)).await.value };
    assert!(!look().await.expect("a view").preboot);
    assert!(look().await.expect("a view").preboot);
    assert!(matches!(look().await, Err(ApiError::Unreachable { .. })));
}

#[tokio::test]
async fn every_answer_to_a_delete_has_one_meaning() {
    let own = |status: &str, id: &str| say(status, "", &json!({"id": id, "message": "So."}).to_string());
    for (said, expect) in [
        (say("202 Accepted", "", "{}"), "accepted"),
        (say("200 OK", "", ""), "accepted"),
        (say("200 OK", "", "<html>Sign in</html>"), "lost"),
        (own("404 Not Found", "not_found"), "gone"),
        (say("404 Not Found", "", "{}"), "lost"),
        (say("302 Found", "Location: /\r\n", ""), "lost"),
        (say("500 Internal Server Error", "", ""), "lost"),
        (say("503 Service Unavailable", "", "<html>"), "lost"),
        (own("503 Service Unavailable", "service_unavailable"), "unreachable"),
        (own("401 Unauthorized", "unauthorized"), "unauthorized"),
        (own("403 Forbidden", "forbidden"), "forbidden"),
        (say("403 Forbidden", "", ""), "lost"),
        (own("409 Conflict", "conflict"), "refused"),
        (own("429 Too Many", "rate_limit"), "throttled"),
        // The head says yes, and the rest never comes.
        (Say::Bytes("HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\n{".to_owned()), "lost"),
        (Say::Hangup, "lost"),
        (Say::Hang, "lost"),
        (Say::Bytes("SSH-2.0-OpenSSH\r\n".to_owned()), "lost"),
    ] {
        let peer = Peer::listen([said]).await;
        let (app, dyno, _) = names();
        let timeout = if expect == "lost" { SHORT } else { LONG };
        let deletion = client(&peer.address, timeout).delete(&app, &dyno).await.value;
        let word = match &deletion {
            DeleteResult::Accepted => "accepted",
            DeleteResult::Gone => "gone",
            DeleteResult::Lost { .. } => "lost",
            DeleteResult::Refused(error) => error.label(),
        };
        assert_eq!(word, expect, "{deletion:?}");
        assert!(!format!("{deletion:?}").contains("s3cret"), "{deletion:?}");
        let heads = peer.heads();
        assert_eq!(heads.len(), 1, "asked once, whatever comes back");
        assert!(heads[0].starts_with("DELETE /apps/acme/dynos/web.2 HTTP/1.1\r\n"), "{}", heads[0]);
    }
}

#[tokio::test]
async fn a_delete_that_never_left_is_not_lost() {
    // A port that was free a moment ago.
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        format!("http://{}", listener.local_addr().expect("an address"))
    };
    let (app, dyno, _) = names();
    let heroku = client(&address, LONG);
    let deletion = heroku.delete(&app, &dyno).await.value;
    assert!(matches!(&deletion, DeleteResult::Refused(ApiError::Unreachable { .. })), "{deletion:?}");
    let polled = heroku.poll(&app, &dyno).await.value;
    assert!(matches!(&polled, Err(ApiError::Unreachable { .. })), "{polled:?}");
    assert!(!format!("{heroku:?}").contains("s3cret"), "{heroku:?}");
}

#[tokio::test]
async fn an_answer_that_hangs_or_never_ends_is_cut_off() {
    let (app, _, listed) = names();
    let peer = Peer::listen([Say::Hang]).await;
    let error = client(&peer.address, SHORT).inspect(&app, &listed, None).await.value.expect_err("blind");
    assert_eq!(error, ApiError::Unreachable { what: "no response within 300ms".to_owned() });

    let huge = format!("[{}]", " ".repeat(dynowarden_core::limits::API_BODY_BYTES_MAX));
    let peer = Peer::listen([say("200 OK", "", &huge)]).await;
    let error = client(&peer.address, LONG).inspect(&app, &listed, None).await.value.expect_err("blind");
    assert_eq!(error.label(), "garbled");

    let page = say("206 Partial Content", "Next-Range: ]a..\r\n", "[]");
    let peer = Peer::listen(vec![page; dynowarden_core::limits::API_PAGES_MAX + 1]).await;
    let error = client(&peer.address, LONG).inspect(&app, &listed, None).await.value.expect_err("blind");
    assert_eq!(error.label(), "garbled");
    assert_eq!(peer.heads().len(), dynowarden_core::limits::API_PAGES_MAX);
}

#[tokio::test]
async fn a_drain_is_registered_by_its_url() {
    let drain = json!({"addon": null, "id": "1", "token": "d.1", "url": "https://x"}).to_string();
    let peer = Peer::listen([say("201 Created", "", &drain)]).await;
    let (app, _, _) = names();
    let url = SecretString::from("https://u:p@dyno.example/logs/acme");
    let created = client(&peer.address, LONG).create_drain(&app, &url).await.value.expect("a drain");
    assert_eq!(created.token.as_str(), "d.1");
    let heads = peer.heads();
    assert!(heads[0].starts_with("POST /apps/acme/log-drains HTTP/1.1\r\n"), "{}", heads[0]);
}

#[test]
fn wrong_client_settings_are_reported() {
    let settings = |key: Option<&str>, url: &str| HerokuSettings {
        api_key: key.map(SecretString::from),
        api_url: url.to_owned(),
        request_timeout: LONG,
    };
    let new = |key, url| Heroku::new(&settings(key, url), Arc::new(Metrics::new([])));
    assert!(matches!(new(None, "https://api.heroku.com"), Err(ClientError::NoToken)));
    assert!(matches!(new(Some("a\nb"), "https://api.heroku.com"), Err(ClientError::Token)));
    assert!(matches!(new(Some("a"), "api.heroku.com"), Err(ClientError::Url)));
    assert!(new(Some("a"), "http://127.0.0.1:1").is_ok());
}
