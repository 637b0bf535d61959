//! Every route: its passwords and its responses.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};

use super::{
    Harness, PEER, basic, figure, frame, harness, harness_with_queue, next, r14, request, settings, text,
};
use crate::driver::Command;
use crate::http::reply;
use dynowarden_core::engine::status::{AppStatus, PauseStatus};
use dynowarden_core::event::Fact;
use dynowarden_core::ident::AppId;
use dynowarden_core::limits;
use dynowarden_core::record::hold::Hold;
use dynowarden_core::record::{Action, Decision, Evidence, MANUAL, Record, Scope};

/// Two apps, the second with a password of its own.
async fn two_apps() -> Harness {
    harness(&settings(&[("acme", "drain"), ("blog", "own")])).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("packed");
    encoder.finish().expect("packed")
}

#[tokio::test]
async fn a_drain_accepts_its_own_password_only() {
    let harness = two_apps().await;
    for (path, authorization, expect) in [
        ("POST /logs/acme", Some(basic("drain")), 204),
        ("POST /logs/acme?x=y", Some(basic("drain")), 204),
        ("POST /logs/blog", Some(basic("own")), 204),
        ("POST /logs/acme", Some(basic("drain-old")), 204),
        ("POST /logs/blog", Some(basic("own-old")), 204),
        ("POST /logs/blog", Some(basic("drain-old")), 401),
        ("POST /logs/acme", Some(basic("-old")), 401),
        ("POST /logs/blog", Some(basic("drain")), 401),
        ("POST /logs/acme", Some(basic("own")), 401),
        ("POST /logs/acme", Some(basic("wrong")), 401),
        ("POST /logs/acme", Some(basic("")), 401),
        ("POST /logs/acme", Some("Bearer drain".to_owned()), 401),
        ("POST /logs/acme", Some(basic("admin")), 401),
        ("POST /logs/acme", None, 401),
        ("POST /logs/none", Some(basic("drain")), 404),
        ("POST /logs/none", Some(basic("own")), 404),
        ("POST /logs/none", Some(basic("wrong")), 401),
        ("POST /logs/none", None, 401),
        ("POST /logs/ACME", Some(basic("drain")), 404),
        ("POST /logs/acme/", Some(basic("drain")), 404),
        ("POST /logs/", Some(basic("drain")), 404),
        ("POST /logs/%61cme", Some(basic("drain")), 404),
    ] {
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        let response = harness.service.ask(PEER, request(path, &headers, r14("run.1"))).await;
        assert_eq!(response.status().as_u16(), expect, "{path} {authorization:?}");
        let challenged = response.headers().contains_key(WWW_AUTHENTICATE);
        assert_eq!(challenged, expect == 401, "{path} {authorization:?}");
        let closes = response.headers().get(CONNECTION).is_some();
        assert_eq!(closes, expect != 204, "{path} {authorization:?}");
        let body = text(response).await;
        assert_eq!(body.is_empty(), expect == 204, "{body}");
    }
}

#[tokio::test]
async fn without_a_name_the_drain_token_identifies_the_app() {
    let harness = two_apps().await;
    for (token, password, expect) in [
        (Some("d.acme"), "drain", 204),
        (Some("d.blog"), "own", 204),
        (Some("d.blog"), "drain", 401),
        (Some("d.other"), "drain", 404),
        (Some("not a token"), "drain", 404),
        (Some("d.other"), "wrong", 401),
        (None, "drain", 404),
        (None, "wrong", 401),
    ] {
        let authorization = basic(password);
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(token.map(|token| ("logplex-drain-token", token)));
        let response = harness.service.ask(PEER, request("POST /logs", &headers, "")).await;
        assert_eq!(response.status().as_u16(), expect, "{token:?} {password}");
    }
    // One app needs no token.
    let single = super::harness(&settings(&[("acme", "drain")])).await;
    let response =
        single.service.ask(PEER, request("POST /logs", &[("authorization", &basic("drain"))], "")).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn good_frames_count_alongside_bad_ones() {
    let mut harness = two_apps().await;
    let body = [
        r14("web.2"),
        "7 garbage".to_owned(),
        frame("app", "web.1", "Error R14 (Memory quota exceeded)"),
        r14("worker.1"),
        r14("web.1"),
        "99 half a frame".to_owned(),
    ]
    .concat();
    let response = harness
        .service
        .ask(PEER, request("POST /logs/acme", &[("authorization", &basic("drain"))], body))
        .await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let Ok(Command::Events { app, events, .. }) = harness.commands.try_recv() else { panic!("no events") };
    assert_eq!(app, AppId(0));
    let dynos: Vec<_> = events.iter().map(|event| event.fact.dyno().expect("a dyno").to_string()).collect();
    // The engine records that it leaves the worker alone.
    assert_eq!(dynos, ["web.2", "worker.1", "web.1"]);
    assert!(events.iter().all(|event| matches!(event.fact, Fact::Error { .. })));
    for (name, expect) in [
        (r#"batches_total{app="acme"}"#, 1.0),
        (r#"frames_total{app="acme"}"#, 6.0),
        (r#"bad_frames_total{app="acme",kind="header"}"#, 1.0),
        (r#"bad_frames_total{app="acme",kind="cut"}"#, 1.0),
        (r#"events_total{app="acme",kind="R14"}"#, 2.0),
        (r#"left_alone_events_total{app="acme"}"#, 1.0),
    ] {
        assert_eq!(figure(&harness, name).await, Some(expect), "{name}");
    }
}

#[tokio::test]
async fn garbage_is_acknowledged() {
    let mut harness = two_apps().await;
    for body in [&b"garbage"[..], b"12345678901234567890 x", b"\0\xff\xfe", b"5 ", b"{}"] {
        let body = body.to_vec();
        let request = request("POST /logs/acme", &[("authorization", &basic("drain"))], body);
        assert_eq!(harness.service.ask(PEER, request).await.status(), StatusCode::NO_CONTENT);
    }
    assert!(harness.commands.try_recv().is_err());
}

#[tokio::test]
async fn a_repeated_frame_counts_once() {
    let mut harness = two_apps().await;
    let authorization = basic("drain");
    let headers = [
        ("authorization", authorization.as_str()),
        ("logplex-frame-id", "f1"),
        ("logplex-drain-token", "d.acme"),
    ];
    for _ in 0..3 {
        let response = harness.service.ask(PEER, request("POST /logs/acme", &headers, r14("web.1"))).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    }
    assert!(harness.commands.try_recv().is_ok() && harness.commands.try_recv().is_err());
    assert_eq!(figure(&harness, r#"frames_total{app="acme"}"#).await, Some(1.0));
    assert_eq!(figure(&harness, r#"batches_total{app="acme"}"#).await, Some(1.0));
    assert_eq!(figure(&harness, r#"repeated_batches_total{app="acme"}"#).await, Some(2.0));
}

#[tokio::test]
async fn a_full_queue_answers_503_and_the_retry_counts() {
    let mut harness = harness_with_queue(&settings(&[("acme", "drain")]), 1).await;
    let authorization = basic("drain");
    let headers = |id| [("authorization", authorization.as_str()), ("logplex-frame-id", id)];
    let first = harness.service.ask(PEER, request("POST /logs/acme", &headers("f1"), r14("web.1"))).await;
    assert_eq!(first.status(), StatusCode::NO_CONTENT);
    let second = harness.service.ask(PEER, request("POST /logs/acme", &headers("f2"), r14("web.2"))).await;
    assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(second.headers().contains_key(RETRY_AFTER));
    // A batch without events needs no place in the queue.
    let silent = harness.service.ask(PEER, request("POST /logs/acme", &headers("f3"), "")).await;
    assert_eq!(silent.status(), StatusCode::NO_CONTENT);
    harness.commands.try_recv().expect("the first batch");
    let again = harness.service.ask(PEER, request("POST /logs/acme", &headers("f2"), r14("web.2"))).await;
    assert_eq!(again.status(), StatusCode::NO_CONTENT);
    harness.commands.try_recv().expect("the second batch");
    assert_eq!(figure(&harness, r#"refused_requests_total{reason="queue_full"}"#).await, Some(1.0));
    assert_eq!(figure(&harness, r#"frames_total{app="acme"}"#).await, Some(2.0));
}

#[tokio::test]
async fn bodies_are_limited_before_and_after_decompression() {
    let mut harness = two_apps().await;
    let bomb = gzip(&vec![b'x'; 1 << 20]);
    assert!(bomb.len() < 4096);
    let packed = gzip(r14("web.1").as_bytes());
    let cut = gzip([r14("web.2"), frame("app", "web.1", &"0123456789abcdef".repeat(99))].concat().as_bytes());
    for (encoding, body, expect) in [
        (None, vec![b'x'; 4097], 413),
        (None, vec![b'x'; 4096], 204),
        (Some("identity"), r14("web.1").into_bytes(), 204),
        (Some("gzip"), packed, 204),
        (Some("gzip"), bomb, 413),
        (Some("gzip"), b"no gzip at all".to_vec(), 204),
        (Some("gzip"), cut[..cut.len() - 9].to_vec(), 204),
        (Some("br"), r14("web.1").into_bytes(), 415),
        (Some("deflate"), Vec::new(), 415),
        (Some("gzip, gzip"), Vec::new(), 415),
    ] {
        let authorization = basic("drain");
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(encoding.map(|encoding| ("content-encoding", encoding)));
        let response = harness.service.ask(PEER, request("POST /logs/acme", &headers, body)).await;
        assert_eq!(response.status().as_u16(), expect, "{encoding:?}");
    }
    let mut reported = 0;
    while let Ok(command) = harness.commands.try_recv() {
        // The bomb is reported to people.
        reported += usize::from(matches!(command, Command::Events { .. }));
    }
    assert_eq!(reported, 3, "plain, packed, and the good part of the broken one");
    assert_eq!(figure(&harness, r#"bad_frames_total{app="acme",kind="packing"}"#).await, Some(2.0));
}

#[tokio::test]
async fn a_wrong_method_gets_the_allowed_ones() {
    let harness = two_apps().await;
    for (line, expect, allow) in [
        ("GET /logs/acme", 405, Some("POST")),
        ("PUT /logs", 405, Some("POST")),
        ("GET /hooks/restart/acme", 405, Some("POST")),
        ("GET /api/v1/pause", 405, Some("POST")),
        ("POST /healthz", 405, Some("GET, HEAD")),
        ("DELETE /metrics", 405, Some("GET, HEAD")),
        ("HEAD /healthz", 200, None),
        ("GET /nowhere", 404, None),
        ("GET /logs/acme/x", 404, None),
        ("POST /hooks/restart/", 404, None),
        ("GET /../etc/passwd", 404, None),
    ] {
        let response = harness.service.ask(PEER, request(line, &[], "")).await;
        assert_eq!(response.status().as_u16(), expect, "{line}");
        let sent = response.headers().get(ALLOW).map(|allow| allow.to_str().expect("text"));
        assert_eq!(sent, allow, "{line}");
    }
}

#[tokio::test]
async fn readiness_reports_problems() {
    let harness = two_apps().await;
    let ask = |line| harness.service.ask(PEER, request(line, &[], ""));
    assert_eq!(text(ask("GET /healthz").await).await, "alive\n");
    let response = ask("GET /readyz").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(text(response).await, "starting: not up yet\n");
    harness.readiness.started();
    let response = ask("GET /readyz").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(response).await, "ready\n");
}

#[tokio::test]
async fn admin_routes_require_the_admin_password() {
    let harness = two_apps().await;
    let mut closed = settings(&[("acme", "drain")]);
    closed.admin_password = None;
    let closed = super::harness(&closed).await;
    for line in ["GET /metrics", "POST /api/v1/pause", "POST /api/v1/resume"] {
        for (authorization, expect) in [
            (None, 401),
            (Some(basic("drain")), 401),
            (Some(basic("hook")), 401),
            (Some("Bearer drain".to_owned()), 401),
            (Some("Bearer ".to_owned()), 401),
        ] {
            let headers: Vec<_> =
                authorization.iter().map(|value| ("authorization", value.as_str())).collect();
            let response = harness.service.ask(PEER, request(line, &headers, "{}")).await;
            assert_eq!(response.status().as_u16(), expect, "{line} {authorization:?}");
            assert!(response.headers().contains_key(WWW_AUTHENTICATE));
            let response = closed.service.ask(PEER, request(line, &headers, "{}")).await;
            assert_eq!(response.status().as_u16(), 404, "{line} {authorization:?}");
        }
    }
    for authorization in [basic("admin"), "Bearer admin".to_owned()] {
        let headers = [("authorization", authorization.as_str())];
        let response = harness.service.ask(PEER, request("GET /metrics", &headers, "")).await;
        assert_eq!(response.status(), StatusCode::OK);
        let content_type = response.headers().get(CONTENT_TYPE).expect("a type");
        assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    }
}

#[tokio::test]
async fn a_pause_and_its_end_reach_the_engine() {
    let mut harness = two_apps().await;
    let json = ("content-type", "application/json; charset=utf-8");
    let admin = [("authorization", "Bearer admin"), json];
    let order = r#"{"app":"blog","for":"2h","reason":"Black Friday"}"#;
    let asked = harness.service.ask(PEER, request("POST /api/v1/pause", &admin, order));
    let (response, command) = tokio::join!(asked, async {
        let Some(Command::Pause { app, pause, kept }) = next(&mut harness.commands).await else {
            panic!("no pause")
        };
        kept.send(()).expect("the handler waits until the pause is saved");
        (app, pause)
    });
    assert_eq!(response.status(), StatusCode::OK);
    let answer: serde_json::Value = serde_json::from_str(&text(response).await).expect("JSON");
    assert_eq!((&answer["app"], &answer["paused"]), (&"blog".into(), &true.into()));
    let (app, pause) = command;
    assert_eq!((app, &*pause.reason), (Some(AppId(1)), "Black Friday"));
    assert_eq!(answer["until"], pause.until.to_string());
    let by = "from 203.0.113.1 through the API";
    assert_eq!((pause.by.as_deref(), &answer["asked_by"]), (Some(by), &by.into()));

    for body in ["", "{}", r#"{"app":null}"#] {
        let asked = harness.service.ask(PEER, request("POST /api/v1/resume", &admin, body));
        let (response, ()) = tokio::join!(asked, async {
            let Some(Command::Resume { app: None, kept }) = next(&mut harness.commands).await else {
                panic!("no end: {body}")
            };
            kept.send(()).expect("the handler waits until the end is saved");
        });
        assert_eq!(response.status(), StatusCode::OK, "{body}");
    }
    // A pause of all apps still holds for each of them.
    let asked = harness.service.ask(PEER, request("POST /api/v1/resume", &admin, r#"{"app":"blog"}"#));
    let (response, ()) = tokio::join!(asked, async {
        let Some(Command::Resume { app: Some(AppId(1)), kept }) = next(&mut harness.commands).await else {
            panic!("no end")
        };
        kept.send(()).expect("the handler waits until the end is saved");
        let Some(Command::Status { answer }) = next(&mut harness.commands).await else {
            panic!("no question")
        };
        let paused = Some(PauseStatus { until: pause.until, reason: "a launch".into(), by: pause.by });
        answer.send(vec![AppStatus { app: AppId(1), dynos: Vec::new(), paused }]).expect("the handler waits");
    });
    let answer: serde_json::Value = serde_json::from_str(&text(response).await).expect("JSON");
    assert_eq!((&answer["paused"], &answer["reason"]), (&true.into(), &"a launch".into()));
    for (body, expect) in [
        (r#"{"for":"2h","app":"none"}"#, 404),
        (r#"{"for":"soon"}"#, 400),
        (r#"{"app":"blog"}"#, 400),
        (r#"{"for":"2h","until":"x"}"#, 400),
        ("[]", 400),
        ("nonsense", 400),
    ] {
        let response = harness.service.ask(PEER, request("POST /api/v1/pause", &admin, body)).await;
        assert_eq!(response.status().as_u16(), expect, "{body}");
        assert!(text(response).await.starts_with(r#"{"error":"#), "{body}");
    }
    while let Ok(command) = harness.commands.try_recv() {
        assert!(matches!(command, Command::Publish(_)), "{command:?}");
    }
    // A form of another site can send no JSON.
    for content_type in ["text/plain", "application/x-www-form-urlencoded"] {
        let headers = [("authorization", "Bearer admin"), ("content-type", content_type)];
        let response = harness.service.ask(PEER, request("POST /api/v1/resume", &headers, "{}")).await;
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type:?}");
    }
    let cross_site = [("authorization", "Bearer admin"), ("sec-fetch-site", "cross-site"), json];
    let response = harness.service.ask(PEER, request("POST /api/v1/resume", &cross_site, "{}")).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_hook_sends_the_order_and_returns_the_decisions() {
    let mut harness = two_apps().await;
    let service = harness.service.clone();
    let engine = tokio::spawn(async move {
        let mut orders = Vec::new();
        while let Some(command) = next(&mut harness.commands).await {
            let Command::Order { app, dyno, answer, forced: false, .. } = command else {
                panic!("no order: {command:?}")
            };
            let decision = Decision {
                at: "2026-01-02T03:04:05Z".parse().expect("a time"),
                app,
                dyno: dyno.clone().or_else(|| "web.1".parse().ok()),
                rule: MANUAL.into(),
                action: Action::Hold(Hold::UnderWay),
                evidence: Evidence::default(),
                attempt_id: None,
            };
            answer.send(vec![decision]).expect("the handler waits");
            orders.push((app, dyno.map(|dyno| dyno.to_string())));
        }
        orders
    });
    for (path, headers, body, expect) in [
        ("POST /hooks/restart/acme?key=hook", &[][..], "", 202),
        ("POST /hooks/restart/blog", &[("authorization", "Bearer hook")], r#"{"dyno":"web.2"}"#, 202),
        ("POST /hooks/restart/blog", &[("authorization", "Bearer wrong")], "", 401),
        ("POST /hooks/restart/blog?key=wrong", &[], "", 401),
        ("POST /hooks/restart/blog", &[], "", 401),
        ("POST /hooks/restart/none", &[], "", 401),
        ("POST /hooks/restart/none?key=hook", &[], "", 404),
        ("POST /hooks/restart/acme?key=hook", &[], "nonsense", 400),
        ("POST /hooks/restart/acme?key=hook", &[], r#"{"dyno":"web"}"#, 400),
    ] {
        let response = service.ask(PEER, request(path, headers, body)).await;
        assert_eq!(response.status().as_u16(), expect, "{path} {headers:?}");
        if expect == 202 {
            let answer: serde_json::Value = serde_json::from_str(&text(response).await).expect("JSON");
            assert_eq!(answer["decisions"][0]["decision"], "hold");
            assert_eq!(answer["decisions"][0]["rule"], MANUAL);
            assert_eq!(answer["decisions"][0]["code"], "under_way");
        }
    }
    drop((service, harness.service));
    let orders = engine.await.expect("no panic");
    assert_eq!(orders, [(AppId(0), None), (AppId(1), Some("web.2".to_owned()))]);

    let mut closed = settings(&[("acme", "drain")]);
    closed.hook_key = None;
    let closed = super::harness(&closed).await;
    let response = closed.service.ask(PEER, request("POST /hooks/restart/acme?key=hook", &[], "")).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_act_of_an_admin_is_recorded() {
    let mut harness = two_apps().await;
    let service = harness.service.clone();
    let engine = tokio::spawn(async move {
        let mut acts = Vec::new();
        while let Some(command) = harness.commands.recv().await {
            match command {
                Command::Order { answer, .. } => answer.send(Vec::new()).expect("the handler waits"),
                Command::Pause { kept, .. } | Command::Resume { kept, .. } => {
                    kept.send(()).expect("the handler waits");
                }
                Command::Publish(record) => {
                    let Record::Notice(notice) = *record else { panic!("{record:?}") };
                    acts.push((notice.scope, notice.what.label(), notice.what.to_string()));
                }
                other => panic!("{other:?}"),
            }
        }
        acts
    });
    let admin = basic("admin");
    let json = [("authorization", admin.as_str()), ("content-type", "application/json")];
    let pause = r#"{"app":"acme","for":"2h","reason":"a launch"}"#;
    for (line, headers, body, expect) in [
        ("POST /api/v1/pause", &json[..], pause, 200),
        ("POST /api/v1/pause", &json[..], r#"{"for":"2h"}"#, 200),
        ("POST /api/v1/pause", &json[..], r#"{"app":"none","for":"2h"}"#, 404),
        ("POST /hooks/restart/acme?key=hook", &[], r#"{"dyno":"web.1"}"#, 202),
        ("POST /hooks/restart/acme?key=wrong", &[], r#"{"dyno":"web.1"}"#, 401),
    ] {
        let response = service.ask(PEER, request(line, headers, body)).await;
        assert_eq!(response.status().as_u16(), expect, "{line} {body}");
    }
    drop((service, harness.service));
    let acts = engine.await.expect("no panic");
    let [of_app, of_all, hook] = &*acts else { panic!("{acts:?}") };
    assert_eq!((of_app.0, of_app.1), (Scope::App(AppId(0)), "pause"));
    assert!(of_app.2.ends_with("(a launch), by \"drain\" from 203.0.113.1 through the API"), "{}", of_app.2);
    assert_eq!((of_all.0, of_all.1), (Scope::Account, "pause"));
    assert_eq!((hook.0, hook.1), (Scope::App(AppId(0)), "manual_restart"));
    let text = "restart of web.1 requested: no dyno to restart, from 203.0.113.1 through the hook";
    assert_eq!(hook.2, text);
}

#[tokio::test]
async fn a_hook_answers_503_at_shutdown() {
    let harness = two_apps().await;
    drop(harness.commands);
    let response = harness.service.ask(PEER, request("POST /hooks/restart/acme?key=hook", &[], "")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}

/// Sends one request from `peer`, and returns its status and whether the response is delayed.
async fn try_password(
    harness: &Harness,
    peer: [u8; 4],
    line: &str,
    authorization: Option<&str>,
) -> (u16, bool) {
    let headers: Vec<_> = authorization.iter().map(|value| ("authorization", *value)).collect();
    let response = harness.service.ask(peer.into(), request(line, &headers, "")).await;
    let is_delayed = reply::is_delayed(&response);
    assert_eq!(response.headers().contains_key(RETRY_AFTER), response.status() == 429);
    // A delayed client must open a new connection for each try.
    assert!(!is_delayed || response.headers().get(CONNECTION).is_some());
    (response.status().as_u16(), is_delayed)
}

#[tokio::test(start_paused = true)]
async fn only_wrong_passwords_are_delayed() {
    let mut harness = two_apps().await;
    // A driver that is gone answers at once, and no time passes.
    harness.commands.close();
    let (burst, period) = limits::WRONG_PASSWORDS;
    for (last, (line, right, accepted)) in (1_u8..).zip([
        ("POST /logs/acme", basic("drain"), 204),
        ("POST /logs/none", basic("drain"), 404),
        ("POST /logs", basic("drain"), 404),
    ]) {
        let (us, others) = ([198, 51, 100, last], [203, 0, 113, last]);
        for _ in 0..2 * burst {
            assert_eq!(try_password(&harness, us, line, None).await, (401, false), "{line}");
        }
        let wrong = |number| basic(&format!("guess-{number}"));
        for number in 0..burst {
            assert_eq!(try_password(&harness, us, line, Some(&wrong(number))).await, (401, false), "{line}");
        }
        for number in 0..burst {
            assert_eq!(try_password(&harness, us, line, Some(&wrong(number))).await, (401, true), "{line}");
            assert_eq!(try_password(&harness, us, line, Some(&right)).await, (accepted, false), "{line}");
        }
        assert_eq!(try_password(&harness, others, line, Some(&wrong(0))).await, (401, false), "{line}");
        tokio::time::advance(period).await;
        assert_eq!(try_password(&harness, us, line, Some(&wrong(0))).await, (401, false), "{line}");
        assert_eq!(try_password(&harness, us, line, Some(&wrong(0))).await, (401, true), "{line}");
    }
    let throttled = figure(&harness, r#"refused_requests_total{reason="throttled"}"#).await;
    assert_eq!(throttled, Some(3.0 * f64::from(burst + 1)));
}

#[tokio::test(start_paused = true)]
async fn too_many_wrong_secrets_lock_their_address_out() {
    let harness = two_apps().await;
    let (max, span) = limits::GUESSES;
    for (last, (line, right, accepted)) in (1_u8..).zip([
        ("GET /metrics", basic("admin"), 200),
        ("GET /assets/none", "Bearer admin".to_owned(), 404),
        ("POST /pause", basic("admin"), 403),
        ("POST /hooks/restart/none", "Bearer hook".to_owned(), 404),
    ]) {
        let (us, others) = ([198, 51, 100, last], [203, 0, 113, last]);
        // A request without a password does not count: browsers send it first.
        for _ in 0..2 * max {
            assert_eq!(try_password(&harness, us, line, None).await, (401, false), "{line}");
        }
        let wrong =
            |number| right.replace(right.split(' ').next_back().unwrap_or_default(), "Z3Vlc3M6") + number;
        for _ in 0..max {
            assert_eq!(try_password(&harness, us, line, Some(&wrong("eA=="))).await, (401, false), "{line}");
        }
        // Not even the right one is compared, whatever the route.
        for shown in [&wrong("eA=="), &right] {
            assert_eq!(try_password(&harness, us, line, Some(shown)).await, (429, true), "{line}");
        }
        assert_eq!(try_password(&harness, us, "GET /metrics", Some(&basic("admin"))).await, (429, true));
        let drain = try_password(&harness, us, "POST /logs/acme", Some(&basic("drain"))).await;
        assert_eq!(drain, (204, false), "logplex is never locked out");
        assert_eq!(try_password(&harness, others, line, Some(&right)).await, (accepted, false), "{line}");
        tokio::time::advance(span).await;
        assert_eq!(try_password(&harness, us, line, Some(&right)).await, (accepted, false), "{line}");
    }
}

#[tokio::test]
async fn every_documented_metric_exists_from_the_start() {
    let harness = two_apps().await;
    for name in [
        r#"api_rate_limit_remaining"#,
        r#"api_requests_total{call="delete_dyno",outcome="ok"}"#,
        r#"bad_frames_total{app="acme",kind="header"}"#,
        r#"batches_total{app="acme"}"#,
        r#"decisions_total{app="acme",decision="restart",reason="rule"}"#,
        r#"drain_last_batch_seconds{app="blog"}"#,
        r#"dynos{app="acme"}"#,
        r#"events_total{app="acme",kind="R14"}"#,
        r#"frames_total{app="acme"}"#,
        r#"restart_seconds_count{app="acme"}"#,
        r#"restarts_total{app="acme",process_type="web",outcome="accepted"}"#,
    ] {
        assert!(figure(&harness, name).await.is_some(), "{name}");
    }
    let scrape = request(
        "GET /metrics",
        &[("authorization", "Bearer admin"), ("accept", "application/openmetrics-text; version=1.0.0")],
        "",
    );
    let page = text(harness.service.ask(PEER, scrape).await).await;
    assert!(page.ends_with("# EOF\n") && page.contains("# TYPE dynowarden_frames counter"), "{page}");
}
