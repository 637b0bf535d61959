//! Notifiers against receivers that fail, throttle, hang and lie.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{NotifierHandle, RetryPolicy, start_at, test_all};
use crate::clock::Clock;
use crate::config::settings::Settings;
use crate::config::{self, Needs, Sources};
use crate::traffic::TrafficBook;
use dynowarden_core::api::ApiError;
use dynowarden_core::days::verdict::Verdict;
use dynowarden_core::health::alert::HealthAlert;
use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::limits;
use dynowarden_core::record::{Notice, NoticeKind, Record, Scope};

#[derive(Clone, Debug)]
enum Reply {
    Answer(u16, &'static str),
    Hang,
    Wait(&'static str),
}

/// A receiver: plays its replies in order, then repeats a default.
struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    got: Mutex<Vec<(HeaderMap, Bytes)>>,
    replies: Mutex<VecDeque<Reply>>,
    usual: Mutex<Reply>,
    changed: Notify,
}

impl Receiver {
    async fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State {
            got: Mutex::default(),
            replies: Mutex::new(replies.into_iter().collect()),
            usual: Mutex::new(Reply::Answer(200, "ok")),
            changed: Notify::new(),
        });
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                let service = service_fn(move |request| answer(state.clone(), request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { address, state, task }
    }

    fn url(&self) -> String {
        format!("http://{}/services/canary", self.address)
    }

    fn usually(&self, reply: Reply) {
        *self.state.usual.lock().expect("no test panicked in here") = reply;
    }

    fn bodies(&self) -> Vec<Value> {
        let got = self.state.got.lock().expect("no test panicked in here");
        got.iter().map(|(_, body)| serde_json::from_slice(body).expect("JSON")).collect()
    }

    fn heads(&self) -> Vec<HeaderMap> {
        let got = self.state.got.lock().expect("no test panicked in here");
        got.iter().map(|(head, _)| head.clone()).collect()
    }

    async fn requests(&self, count: usize) {
        eventually(&self.state.changed, || self.bodies().len() >= count).await;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    state: Arc<State>,
    request: http::Request<hyper::body::Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let reply = {
        let mut replies = state.replies.lock().expect("no test panicked in here");
        replies.pop_front().unwrap_or_else(|| state.usual.lock().expect("no test panicked in here").clone())
    };
    state.got.lock().expect("no test panicked in here").push((head.headers, body));
    state.changed.notify_waiters();
    let (status, wait, text) = match reply {
        Reply::Answer(status, text) => (status, None, text),
        Reply::Wait(seconds) => (429, Some(seconds), "rate_limited"),
        Reply::Hang => std::future::pending().await,
    };
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    if let Some(wait) = wait {
        response.headers_mut().insert("retry-after", wait.parse().expect("a value"));
    }
    Ok(response)
}

/// Waits for a condition, and fails after a long time.
async fn eventually(changed: &Notify, is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            // Some changes do not notify, so the condition is checked again soon.
            let _ = tokio::time::timeout(Duration::from_millis(20), changed.notified()).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it never came to be");
}

async fn soon(is_so: impl Fn() -> bool) {
    eventually(&Notify::new(), is_so).await;
}

fn settings(notifiers: &str) -> Settings {
    let text = format!("[[app]]\nname = 'acme'\n{notifiers}");
    let read_file = |path: &Path| match path.to_str() {
        Some("dynowarden.toml") => Ok(text.clone()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let sources = Sources { config: None, env: &[], read_file: &read_file };
    config::load(&sources, Needs::Nothing).unwrap_or_else(|problems| panic!("{problems}"))
}

fn webhook(name: &str, receiver: &Receiver) -> String {
    format!(
        "[[notify]]\ntype = 'webhook'\nname = '{name}'\nurl = '{}'\nsecret = 'a secret'\n\
         group = '0s'\n",
        receiver.url()
    )
}

const QUICK: RetryPolicy = RetryPolicy {
    timeout: Duration::from_millis(300),
    wait_min: Duration::from_millis(5),
    wait_max: Duration::from_millis(20),
};

struct Running {
    notices: NotifierHandle,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

fn run(notifiers: &str) -> Running {
    let book = Arc::new(TrafficBook::new(true, 1));
    let (notices, notifying) =
        start_at(QUICK, &settings(notifiers), book, (Clock::system(), 7)).expect("the settings are right");
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(notifying.run(shutdown.clone()));
    Running { notices, shutdown, task }
}

impl Running {
    /// A loud message, which is sent at once.
    fn give_up(&self, index: u32) {
        self.notices.record(&give_up(index));
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.task.await.expect("it ends in order");
    }
}

fn give_up(index: u32) -> Record {
    let at = Clock::system().now().wall;
    Record::Notice(Notice {
        at,
        scope: Scope::App(AppId(0)),
        dyno: Some(DynoName::new("web".parse().expect("a type"), index)),
        what: NoticeKind::GaveUp {
            verdict: Verdict::Unknown,
            useless: 3,
            release: None,
            times: 1,
            until: at + Duration::from_secs(3600),
        },
    })
}

#[tokio::test]
async fn a_message_arrives_signed() {
    let receiver = Receiver::new([]).await;
    let running = run(&webhook("pager", &receiver));
    running.give_up(1);
    receiver.requests(1).await;
    let (head, body) = receiver.state.got.lock().expect("no test panicked in here")[0].clone();
    let signature = head["x-dynowarden-signature"].to_str().expect("ASCII");
    let (time, code) = signature.split_once(",v1=").expect("two parts");
    let time = time.strip_prefix("t=").expect("a time");
    assert_eq!(head["x-dynowarden-timestamp"], time);
    let mut mac = Hmac::<Sha256>::new_from_slice(b"a secret").expect("a key");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(&body);
    let expect: String = mac.finalize().into_bytes().iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(code, expect);
    let body = &receiver.bodies()[0];
    assert_eq!(
        (&body["kind"], &body["app"], &body["dyno"]),
        (&"give_up".into(), &"acme".into(), &"web.1".into())
    );
    assert_eq!(head["idempotency-key"], body["id"].as_str().expect("a text"));
    soon(|| running.notices.figures()[0].delivered == 1).await;
    running.end().await;
}

#[tokio::test]
async fn a_failing_receiver_is_retried_with_the_same_id() {
    for replies in
        [vec![Reply::Answer(500, ""), Reply::Answer(408, "")], vec![Reply::Hang, Reply::Answer(503, "")]]
    {
        let receiver = Receiver::new(replies).await;
        let running = run(&webhook("pager", &receiver));
        running.give_up(1);
        soon(|| running.notices.figures()[0].delivered == 1).await;
        let ids: Vec<Value> = receiver.bodies().iter().map(|body| body["id"].clone()).collect();
        assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        let figures = &running.notices.figures()[0];
        assert_eq!((figures.failed, figures.dropped, figures.is_down), (0, 0, false));
        running.end().await;
    }
}

#[tokio::test]
async fn retry_after_of_a_receiver_is_respected() {
    let receiver = Receiver::new([Reply::Wait("1")]).await;
    let running = run(&webhook("pager", &receiver));
    let began = Clock::system();
    running.give_up(1);
    receiver.requests(2).await;
    assert!(began.now().mono >= Duration::from_secs(1));
    running.end().await;
}

#[tokio::test]
async fn a_refusal_is_not_retried_and_is_reported_through_the_others() {
    let (refusing, other) = (Receiver::new([]).await, Receiver::new([]).await);
    refusing.usually(Reply::Answer(404, "no_service"));
    let slack =
        format!("[[notify]]\ntype = 'slack'\nname = 'channel'\nurl = '{}'\ngroup = '0s'\n", refusing.url());
    let running = run(&format!("{slack}{}", webhook("pager", &other)));
    running.give_up(1);
    other.requests(2).await;
    let kinds: Vec<Value> = other.bodies().iter().map(|body| body["kind"].clone()).collect();
    assert_eq!(kinds, ["give_up", "failure"]);
    assert_eq!(other.bodies()[1]["title"], "the notifier channel is not delivering");
    assert_eq!(refusing.bodies().len(), 1);
    let trouble = running.notices.trouble().expect("one is down");
    assert_eq!(trouble, "channel is not delivering: it answered 404 Not Found: no_service");
    let figures = running.notices.figures();
    assert_eq!((figures[0].failed, figures[0].is_down, figures[1].is_down), (1, true, false));

    refusing.usually(Reply::Answer(200, "ok"));
    running.give_up(2);
    soon(|| running.notices.trouble().is_none()).await;
    let has_title = |title: &str| {
        other.bodies().iter().any(|body| body["title"].as_str().is_some_and(|text| text.starts_with(title)))
    };
    soon(|| has_title("the notifier channel works again")).await;
    running.end().await;
}

#[tokio::test]
async fn an_error_in_a_200_counts_as_a_failure() {
    let receiver = Receiver::new([]).await;
    receiver.usually(Reply::Answer(200, "invalid_payload"));
    let running = run(&format!("[[notify]]\ntype = 'slack'\nurl = '{}'\n", receiver.url()));
    running.give_up(1);
    soon(|| running.notices.figures()[0].failed == 1).await;
    let trouble = running.notices.trouble().expect("it is down");
    assert!(
        trouble.ends_with("it answered 200, but reported invalid_payload") && !trouble.contains("canary")
    );
    running.end().await;
}

#[tokio::test]
async fn a_hanging_receiver_delays_no_other_and_loses_the_oldest() {
    let (hanging, other) = (Receiver::new([]).await, Receiver::new([]).await);
    hanging.usually(Reply::Hang);
    let running = run(&format!("{}{}", webhook("hanging", &hanging), webhook("other", &other)));
    let count = limits::QUEUED_MESSAGES_MAX + 10;
    for index in 1..=count {
        running.give_up(u32::try_from(index).expect("a small number"));
        soon(|| running.notices.figures()[1].delivered >= index as u64).await;
    }
    let figures = running.notices.figures();
    assert!(figures[0].dropped > 0 && figures[0].delivered == 0, "{figures:?}");
    assert!(figures[0].waiting <= limits::QUEUED_MESSAGES_MAX + 1);
    assert_eq!((figures[1].dropped, figures[1].failed), (0, 0));
    soon(|| running.notices.trouble().is_some()).await;
    assert!(running.notices.trouble().is_some_and(|text| text.contains("no response within")));
    assert_eq!(running.notices.figures()[0].missed, 0);
    running.end().await;
}

#[tokio::test]
async fn an_unreachable_receiver_is_reported_without_its_address() {
    let receiver = Receiver::new([]).await;
    let settings = webhook("gone", &receiver);
    receiver.task.abort();
    drop(receiver);
    let running = run(&settings);
    running.give_up(1);
    soon(|| running.notices.trouble().is_some()).await;
    let trouble = running.notices.trouble().expect("it is down");
    assert!(trouble.starts_with("gone is not delivering: ") && !trouble.contains("canary"), "{trouble}");
    running.end().await;
}

#[tokio::test]
async fn held_back_messages_are_delivered_at_shutdown() {
    let receiver = Receiver::new([Reply::Answer(500, "")]).await;
    let on = "on = ['recovered', 'give_up']";
    let running =
        run(&format!("[[notify]]\ntype = 'webhook'\nurl = '{}'\ngroup = '1h'\n{on}\n", receiver.url()));
    running.give_up(1);
    // The failed first try waits; the shutdown cuts the wait short.
    receiver.requests(1).await;
    running.end().await;
    assert_eq!(receiver.bodies().len(), 2);
}

#[tokio::test]
async fn a_test_message_shows_which_notifier_works() {
    let (good, bad) = (Receiver::new([]).await, Receiver::new([]).await);
    bad.usually(Reply::Answer(403, "invalid_token"));
    let settings =
        settings(&format!("[[notify]]\ntype = 'slack'\nurl = '{}'\n{}", good.url(), webhook("pager", &bad)));
    let results = test_all(&settings, Clock::system().now()).await;
    let shown: Vec<String> = results.iter().map(|(name, result)| format!("{name}: {result:?}")).collect();
    assert_eq!(shown, ["slack: Ok(())", "pager: Err(Undelivered(\"it answered 403 Forbidden\"))"]);
    assert!(good.bodies()[0].to_string().contains("test message from dynowarden"));
    assert!(good.heads()[0].get("x-dynowarden-signature").is_none());
    assert_eq!(bad.heads()[0]["x-dynowarden-kind"], "test");
}

/// One incident in every sort of receiver: one id, and a pager that is called once and then called off.
#[tokio::test]
async fn every_receiver_gets_one_incident_in_its_own_form() {
    let receivers = [
        Receiver::new([]).await,
        Receiver::new([]).await,
        Receiver::new([]).await,
        Receiver::new([]).await,
        Receiver::new([]).await,
    ];
    let [webhook, slack, pager, teams, discord] = &receivers;
    // Teams answers 202, Discord 204 and PagerDuty 202, each with a body of its own or none.
    teams.usually(Reply::Answer(202, ""));
    discord.usually(Reply::Answer(204, ""));
    pager.usually(Reply::Answer(202, "{\"status\":\"success\"}"));
    let of = |word: &str, receiver: &Receiver, more: &str| {
        format!("[[notify]]\ntype = '{word}'\nurl = '{}'\ngroup = '0s'\n{more}\n", receiver.url())
    };
    let running = run(&[
        of("webhook", webhook, ""),
        of("slack", slack, ""),
        of("pagerduty", pager, "secret = '0123456789abcdef0123456789abcdef'\non = ['failure', 'restart']"),
        of("teams", teams, ""),
        of("discord", discord, ""),
    ]
    .concat());
    let at = Clock::system().now().wall;
    let notice = |what| Record::Notice(Notice { at, scope: Scope::Account, dyno: None, what });
    running.notices.record(&notice(NoticeKind::Health(HealthAlert::ApiAway {
        error: ApiError::Unreachable { what: "no response".into() },
    })));
    for receiver in &receivers {
        receiver.requests(1).await;
    }
    let id = webhook.bodies()[0]["incident"].as_str().expect("an id").to_owned();
    let alert = &pager.bodies()[0];
    assert_eq!((&alert["event_action"], &alert["dedup_key"]), (&"trigger".into(), &id.clone().into()));
    assert_eq!(alert["routing_key"], "0123456789abcdef0123456789abcdef");
    assert_eq!(alert["payload"]["severity"], "critical");
    assert_eq!(alert["payload"]["summary"], webhook.bodies()[0]["title"]);
    assert_eq!(teams.bodies()[0]["attachments"][0]["content"]["type"], "AdaptiveCard");
    assert_eq!(discord.bodies()[0]["embeds"][0]["footer"]["text"], format!("incident {id}"));
    for receiver in [slack, teams] {
        assert!(receiver.bodies()[0].to_string().contains(&id), "{id}");
    }

    running.notices.record(&notice(NoticeKind::Health(HealthAlert::ApiRecovered)));
    pager.requests(2).await;
    let resolved = &pager.bodies()[1];
    assert_eq!((&resolved["event_action"], &resolved["dedup_key"]), (&"resolve".into(), &id.into()));
    running.end().await;
    assert_eq!(pager.bodies().len(), 2, "a pager gets no quiet message");
}

#[tokio::test]
async fn a_test_of_a_pager_leaves_no_alert_open() {
    let pager = Receiver::new([]).await;
    let text = format!(
        "[[notify]]\ntype = 'pagerduty'\nurl = '{}'\nsecret = '0123456789abcdef0123456789abcdef'\n",
        pager.url()
    );
    let results = test_all(&settings(&text), Clock::system().now()).await;
    assert_eq!(results[0].1, Ok(()));
    let actions: Vec<Value> = pager.bodies().iter().map(|event| event["event_action"].clone()).collect();
    assert_eq!(actions, ["trigger", "resolve"]);
    assert_eq!(pager.bodies()[0]["dedup_key"], pager.bodies()[1]["dedup_key"]);
}

#[tokio::test]
async fn without_notifiers_records_are_ignored() {
    let running = run("");
    running.give_up(1);
    assert_eq!((running.notices.trouble(), running.notices.figures().len()), (None, 0));
    NotifierHandle::none().record(&give_up(1));
    running.end().await;
}
