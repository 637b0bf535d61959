//! The status page over HTTP: its passwords, its forms and its streams.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, LOCATION};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::{Harness, PEER, basic, frame, harness, r14, request, settings, text};
use crate::driver::Command;
use crate::http::Service;
use crate::http::event_publisher;
use crate::http::forms::FormToken;
use crate::http::reply::ReplyBody;
use dynowarden_core::engine::Engine;
use dynowarden_core::ident::AppId;
use dynowarden_core::record::hold::Hold;
use dynowarden_core::record::{Action, Decision, Evidence, Notice, NoticeKind, Record, Scope};

/// A service whose idle engine answers with its status, and the other commands that it receives.
async fn with_engine() -> (Arc<Service>, tokio::sync::mpsc::UnboundedReceiver<Command>) {
    let settings = settings(&[("acme", "drain"), ("blog", "own")]);
    let plans = settings.apps.iter().map(|app| app.plan.clone()).collect();
    let Harness { service, mut commands, .. } = harness(&settings).await;
    let engine = Engine::new(plans, 1);
    let (others, seen) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(command) = commands.recv().await {
            match command {
                Command::Status { answer } => drop(answer.send(engine.status())),
                Command::Order { answer, app, dyno, forced, by } => {
                    drop(answer.send(Vec::new()));
                    let (answer, _) = tokio::sync::oneshot::channel();
                    let _ = others.send(Command::Order { answer, app, dyno, forced, by });
                }
                Command::Pause { app, pause, kept } => {
                    let _ = kept.send(());
                    let (kept, _) = tokio::sync::oneshot::channel();
                    let _ = others.send(Command::Pause { app, pause, kept });
                }
                Command::Resume { app, kept } => {
                    let _ = kept.send(());
                    let (kept, _) = tokio::sync::oneshot::channel();
                    let _ = others.send(Command::Resume { app, kept });
                }
                other => drop(others.send(other)),
            }
        }
    });
    (service, seen)
}

async fn get(service: &Service, path: &str, headers: &[(&str, &str)]) -> Response<ReplyBody> {
    let admin = basic("admin");
    let all: Vec<_> =
        [("authorization", admin.as_str())].into_iter().chain(headers.iter().copied()).collect();
    service.ask(PEER, request(&format!("GET {path}"), &all, "")).await
}

fn token(password: &str) -> String {
    FormToken::new(&SecretString::from(password)).as_str().to_owned()
}

#[tokio::test]
async fn only_admins_see_it() {
    let (service, _seen) = with_engine().await;
    let mut closed = settings(&[("acme", "drain")]);
    closed.admin_password = None;
    let closed = harness(&closed).await;
    for path in [
        "/",
        "/apps/acme",
        "/apps/acme/dynos/web.1",
        "/decisions",
        "/api/v1/dynos",
        "/api/v1/decisions",
        "/api/v1/events",
        "/assets/x.css",
    ] {
        for password in [None, Some(basic("drain")), Some("Bearer hook".to_owned())] {
            let headers: Vec<_> = password.iter().map(|shown| ("authorization", shown.as_str())).collect();
            let refused = service.ask(PEER, request(&format!("GET {path}"), &headers, "")).await;
            assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{path} {password:?}");
        }
        let refused = closed.service.ask(PEER, request(&format!("GET {path}"), &[], "")).await;
        assert_eq!(refused.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_page_has_its_policy_and_its_assets_are_cached_permanently() {
    let (service, _seen) = with_engine().await;
    let response = get(&service, "/", &[("accept-encoding", "gzip")]).await;
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers().clone();
    let policy = headers[CONTENT_SECURITY_POLICY].to_str().expect("text");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let sent = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert_eq!(
        (
            sent("x-content-type-options"),
            sent("referrer-policy"),
            sent("cache-control"),
            sent("content-encoding")
        ),
        ("nosniff", "no-referrer", "no-store", "gzip")
    );
    let page = text(get(&service, "/", &[]).await).await;
    let assets: Vec<_> =
        page.split('"').filter(|piece| piece.starts_with("/assets/")).map(str::to_owned).collect();
    assert_eq!(assets.len(), 3, "{page}");
    for path in assets {
        let asset = get(&service, &path, &[("accept-encoding", "gzip")]).await;
        assert_eq!((asset.status(), asset.headers().contains_key(CONTENT_ENCODING)), (StatusCode::OK, true));
        assert!(asset.headers()["cache-control"].to_str().expect("text").contains("immutable"));
        let tag = asset.headers()[ETAG].to_str().expect("text").to_owned();
        let again = get(&service, &path, &[("if-none-match", &tag)]).await;
        assert_eq!((again.status(), text(again).await.len()), (StatusCode::NOT_MODIFIED, 0));
    }
    assert_eq!(get(&service, "/assets/live.js", &[]).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(get(&service, "/apps/none", &[]).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(get(&service, "/apps/acme/dynos/web.9", &[]).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn only_our_own_forms_are_carried_out() {
    let (service, mut seen) = with_engine().await;
    let admin = basic("admin");
    let ours = token("admin");
    let post = async |path: &str, headers: &[(&str, &str)], body: String| {
        let all: Vec<_> =
            [("authorization", admin.as_str())].into_iter().chain(headers.iter().copied()).collect();
        service.ask(PEER, request(&format!("POST {path}"), &all, body)).await
    };
    for (path, headers, fields, expect) in [
        ("/pause", &[][..], format!("token={ours}&app=acme&for=2h&reason=x"), 303),
        ("/resume", &[("sec-fetch-site", "same-origin")], format!("token={ours}&app=acme"), 303),
        ("/restart", &[], format!("token={ours}&app=acme&dyno=web.1"), 303),
        ("/pause", &[], format!("token={ours}&for=2h"), 303),
        // Another site's page has the browser's password, but neither our token nor our origin.
        ("/restart", &[("sec-fetch-site", "cross-site")], format!("token={ours}&app=acme&dyno=web.1"), 403),
        ("/restart", &[("origin", "https://evil.example")], format!("token={ours}&app=acme&dyno=web.1"), 403),
        ("/restart", &[], "app=acme&dyno=web.1".to_owned(), 403),
        ("/restart", &[], format!("token={}&app=acme&dyno=web.1", token("other")), 403),
        ("/restart", &[], format!("token={ours}&app=none&dyno=web.1"), 404),
        ("/restart", &[], format!("token={ours}&app=acme&dyno=web"), 400),
        ("/restart", &[], format!("token={ours}&dyno=web.1"), 404),
        ("/pause", &[], format!("token={ours}&app=acme&for=forever"), 400),
    ] {
        let answer = post(path, headers, fields.clone()).await;
        assert_eq!(answer.status().as_u16(), expect, "{path} {headers:?} {fields}");
        let location = answer.headers().get(LOCATION).map(|to| to.to_str().expect("text").to_owned());
        assert_eq!(location.is_some(), expect == 303);
        // The status is answered after earlier commands.
        assert!(service.handle.status().await.is_ok());
        let mut commands = 0;
        while let Ok(command) = seen.try_recv() {
            commands += u32::from(!matches!(command, Command::Publish(_)));
        }
        assert_eq!(commands, u32::from(expect == 303), "{path} {headers:?} {fields}");
    }
    assert_eq!(service.ask(PEER, request("POST /pause", &[], format!("token={ours}"))).await.status(), 401);
    assert_eq!(get(&service, "/pause", &[]).await.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn queries_are_checked() {
    let (service, _seen) = with_engine().await;
    for (path, expect) in [
        ("/api/v1/dynos", 200),
        ("/api/v1/dynos?app=acme", 200),
        ("/api/v1/dynos?app=none", 404),
        ("/api/v1/decisions?app=acme&dyno=web.1&limit=5", 200),
        ("/api/v1/decisions?limit=0", 400),
        ("/api/v1/decisions?limit=%3Cb%3E", 400),
        ("/api/v1/decisions?cursor=x", 400),
        ("/api/v1/events?as=xml", 400),
        ("/decisions?cursor=x", 400),
        ("/decisions?kind=left", 400),
        ("/decisions?kind=all&app=acme&dyno=web.1&code=gone&since=24h", 200),
        ("/apps/acme?page=0", 200),
    ] {
        assert_eq!(get(&service, path, &[]).await.status().as_u16(), expect, "{path}");
    }
}

#[tokio::test]
async fn a_batch_shows_on_the_page() {
    let (service, _seen) = with_engine().await;
    let drain = basic("drain");
    let lines = r14("web.1") + &frame("heroku", "web.1", "an unknown platform line") + "17 broken";
    let posted = service.ask(PEER, request("POST /logs/acme", &[("authorization", &drain)], lines)).await;
    assert_eq!(posted.status(), StatusCode::NO_CONTENT);
    let dynos: serde_json::Value =
        serde_json::from_str(&text(get(&service, "/api/v1/dynos", &[]).await).await).expect("JSON");
    assert_eq!(dynos["apps"][0]["drain"]["batches"], 1, "{dynos}");
    assert_eq!(dynos["apps"][1]["drain"]["last_batch_seconds_ago"], serde_json::Value::Null, "{dynos}");
    let page = text(get(&service, "/", &[]).await).await;
    assert!(page.contains("Drain receiving") && page.contains("1 bad frames"), "{page}");
}

async fn next(body: &mut ReplyBody) -> Option<String> {
    let data = body.frame().await?.expect("infallible").into_data().expect("data");
    Some(String::from_utf8(data.to_vec()).expect("text"))
}

/// The events of a stream up to the first of that name.
async fn until(body: &mut ReplyBody, event: &str) -> String {
    let mut all = String::new();
    let patience = tokio::time::timeout(Duration::from_secs(60), async {
        while let Some(text) = next(body).await {
            all.push_str(&text);
            if text.contains(&format!("event: {event}\n")) {
                return true;
            }
        }
        false
    });
    assert_eq!(patience.await, Ok(true), "no {event} in {all}");
    all
}

#[tokio::test(start_paused = true)]
async fn streams_send_events_and_end_at_shutdown() {
    let (service, _seen) = with_engine().await;
    let shutdown = CancellationToken::new();
    let watching = tokio::spawn(event_publisher::run(service.clone(), shutdown.clone()));
    let mut json = get(&service, "/api/v1/events", &[]).await.into_body();
    let mut html = get(&service, "/api/v1/events?as=html&seen=0-0", &[]).await.into_body();
    assert!(until(&mut html, "rebuilt").await.contains("retry:"));
    let at = service.clock.now().wall;
    let decision = Decision {
        at,
        app: AppId(0),
        dyno: Some("web.1".parse().expect("a dyno")),
        rule: "line\nend".into(),
        action: Action::Hold(Hold::Paused { until: at, reason: "a\n\nevent: evil\r".into() }),
        evidence: Evidence::default(),
        attempt_id: None,
    };
    service.handle.broadcast(Record::Decision(decision));
    let sent = until(&mut json, "decision").await;
    assert!(sent.lines().all(|line| line != "event: evil"), "{sent}");
    let notice = Notice { at, scope: Scope::App(AppId(0)), dyno: None, what: NoticeKind::ApiRecovered };
    service.handle.broadcast(Record::Notice(notice));
    until(&mut json, "notice").await;
    assert!(until(&mut html, "said").await.contains("data: acme: the API answers again"));
    // The changed parts follow, and then nothing but heartbeats.
    assert!(until(&mut html, "part").await.contains("data: headline\n"));
    let quiet = tokio::time::timeout(Duration::from_secs(60), async {
        while let Some(text) = next(&mut html).await {
            if text == ":\n\n" {
                return;
            }
        }
    });
    assert!(quiet.await.is_ok(), "no heartbeat within a minute");
    shutdown.cancel();
    watching.await.expect("it ends");
    while next(&mut json).await.is_some() {}
    while next(&mut html).await.is_some() {}
    assert_eq!(get(&service, "/api/v1/events", &[]).await.status(), StatusCode::SERVICE_UNAVAILABLE);
}
