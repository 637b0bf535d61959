//! docs/openapi.json against the real responses of the real binary.

use std::io::{BufRead, Read};

use serde_json::{Value, json};

use support::client::request;
use support::daemon::Daemon;
use support::fixtures::{acme, drain_to, dyno, heroku};

fn openapi() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("the file")).expect("JSON")
}

#[track_caller]
fn holds(openapi: &Value, schema: &Value, value: &Value) {
    if let Err(problem) = support::schema::check(openapi, schema, value, "$") {
        panic!("{problem}\nin {value:#}");
    }
}

fn answer(daemon: &Daemon, line: &str, body: &str) -> (u16, Value) {
    let (status, mut reader) = request(daemon, line, body);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("a body");
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}")))
}

#[test]
fn the_documented_examples_match_their_schemas() {
    let openapi = openapi();
    let mut seen = 0;
    for operations in openapi["paths"].as_object().expect("paths").values() {
        for operation in operations.as_object().expect("operations").values() {
            let answers = operation["responses"].as_object().expect("responses").values();
            for described in answers.chain([&operation["requestBody"]]) {
                let json = &described["content"]["application/json"];
                if json.is_object() {
                    holds(&openapi, &json["schema"], &json["example"]);
                    seen += 1;
                }
            }
            let stream = &operation["responses"]["200"]["content"]["text/event-stream"];
            if let Some(text) = stream["example"].as_str() {
                seen += events(&openapi, &stream["x-events"], text).len();
            }
        }
    }
    assert!(seen >= 12, "{seen}");
    let wrong = json!({"at": "noon", "ready": true, "apps": [], "dynos": []});
    let dynos = json!({"$ref": "#/components/schemas/Dynos"});
    assert!(
        support::schema::check(&openapi, &dynos, &wrong, "$")
            .is_err_and(|problem| problem.contains("no time"))
    );
    let more = json!({"at": "2026-01-02T03:04:05Z", "ready": true, "apps": [], "dynos": [], "x": 1});
    assert!(
        support::schema::check(&openapi, &dynos, &more, "$")
            .is_err_and(|problem| problem.contains("not described"))
    );
}

/// The names of the events in a stream's text; each event is checked against its schema.
fn events(openapi: &Value, schemas: &Value, text: &str) -> Vec<String> {
    let (mut names, mut name) = (Vec::new(), String::new());
    for line in text.lines() {
        if let Some(event) = line.strip_prefix("event: ") {
            name = event.to_owned();
        } else if let Some(data) = line.strip_prefix("data: ") {
            holds(openapi, &schemas[&name], &serde_json::from_str(data).expect("JSON"));
            names.push(name.clone());
        }
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_responses_match_the_document() {
    let openapi = openapi();
    let of = |path: &str, operation: &str| openapi["paths"][path][operation]["responses"]["200"].clone();
    let schema =
        |path: &str, operation: &str| of(path, operation)["content"]["application/json"]["schema"].clone();
    let heroku = heroku(2).await;
    let daemon = Daemon::start(&heroku.api_url(), &[]);
    drain_to(&heroku, &daemon.url, &acme());

    let (status, mut stream) = request(&daemon, "GET /api/v1/events", "");
    assert_eq!(status, 200);
    heroku.emit_r14(&acme(), &dyno("web.2"));
    let text = tokio::task::block_in_place(|| until_back_and_shown(&mut stream));
    let events =
        events(&openapi, &of("/api/v1/events", "get")["content"]["text/event-stream"]["x-events"], &text);
    for wanted in ["decision", "outcome", "status"] {
        assert!(events.iter().any(|event| event == wanted), "{wanted}: {events:?}");
    }

    let order = json!({"app": "acme", "for": "2h", "reason": "a \"test\"\n<b>"}).to_string();
    for (line, path, operation, body) in [
        ("POST /api/v1/pause", "/api/v1/pause", "post", order.as_str()),
        ("GET /api/v1/dynos", "/api/v1/dynos", "get", ""),
        ("GET /api/v1/decisions?app=acme&dyno=web.2&limit=2", "/api/v1/decisions", "get", ""),
        ("GET /api/v1/report", "/api/v1/report", "get", ""),
        ("GET /api/v1/series?app=acme&dyno=web.2&since=3h", "/api/v1/series", "get", ""),
        ("POST /api/v1/resume", "/api/v1/resume", "post", r#"{"app":"acme"}"#),
    ] {
        let (status, value) = tokio::task::block_in_place(|| answer(&daemon, line, body));
        assert_eq!(status, 200, "{line}: {value}");
        holds(&openapi, &schema(path, operation), &value);
    }
    let dynos = tokio::task::block_in_place(|| answer(&daemon, "GET /api/v1/dynos?app=acme", "")).1;
    assert_eq!(dynos["dynos"][0]["dyno"], "web.2", "{dynos}");
    let wrong = tokio::task::block_in_place(|| answer(&daemon, "GET /api/v1/decisions?limit=x", ""));
    assert_eq!(wrong.0, 400);
    holds(&openapi, &json!({"$ref": "#/components/schemas/Error"}), &wrong.1);
}

/// Reads a stream until a restart is over and a later state has been sent. Chunk sizes are on lines of their
/// own, and split no event's line.
fn until_back_and_shown(stream: &mut impl BufRead) -> String {
    let (mut text, mut back) = (String::new(), false);
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).expect("the stream goes on") > 0, "it ended: {text}");
        back |= line.contains(r#""result":"back""#);
        // Heartbeats keep an idle stream going, so only their number can end the wait.
        assert!(text.lines().count() < 2000, "the restart is never over: {text}");
        let shown = back && line.starts_with("event: status");
        text.push_str(&line);
        if shown {
            stream.read_line(&mut text).expect("its data");
            return text;
        }
    }
}
