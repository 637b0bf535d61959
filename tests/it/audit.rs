//! What admins do, on the real binary: the log line, the row, the notice and the metric.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use heroku_sim::server::SimHeroku;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};

use support::client::{get, metric, read, request};
use support::daemon::{Daemon, HOOK_KEY, eventually};
use support::fixtures::heroku;

fn paused(daemon: &Daemon) -> Option<f64> {
    metric(&get(daemon, "/metrics"), "dynowarden_paused")
}

fn act(daemon: &Daemon, notice: &str) -> Value {
    daemon.await_line(|line| line["notice"] == notice)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_paused_an_app_is_shown_also_after_a_restart() {
    let heroku: SimHeroku = heroku(1).await;
    let dir = tempfile::tempdir().expect("a directory");
    let database = format!("sqlite://{}", dir.path().join("record.db").display());
    let settings = [("DATABASE_URL", &*database)];
    let by = "from 127.0.0.1 through the API";
    let shown = |daemon: &Daemon| {
        let answer = read(&daemon.url, "/api/v1/dynos").expect("an answer");
        let state: serde_json::Result<Value> = serde_json::from_str(&answer);
        state.expect("JSON")["apps"][0]["paused"]["asked_by"].clone()
    };
    for is_first in [true, false] {
        let daemon = Daemon::start(&heroku.api_url(), &settings);
        if is_first {
            let pause = r#"{"for":"2h","reason":"<b>a launch"}"#;
            assert_eq!(request(&daemon, "POST /api/v1/pause", pause).0, 200);
        }
        assert_eq!(shown(&daemon), by);
        let page = get(&daemon, "/");
        assert!(page.contains(&format!("requested {by}: &lt;b&gt;a launch")), "{page}");
        daemon.terminate();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_of_admins_leave_a_line_a_row_and_a_notice() {
    let heroku: SimHeroku = heroku(1).await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("record.db");
    let database = format!("sqlite://{}", file.display());
    let daemon = Daemon::start(&heroku.api_url(), &[("DATABASE_URL", &database)]);
    assert_eq!(paused(&daemon), Some(0.0));
    let pause = r#"{"app":"acme","for":"2h","reason":"a launch"}"#;
    assert_eq!(request(&daemon, "POST /api/v1/pause", pause).0, 200);
    let line = act(&daemon, "pause");
    assert_eq!(
        (&line["app"], &line["address"], &line["through"]),
        (&"acme".into(), &"127.0.0.1".into(), &"the API".into())
    );
    assert!(line["message"].as_str().is_some_and(|text| text.contains("(a launch)")), "{line}");
    assert_eq!(paused(&daemon), Some(1.0));
    assert_eq!(request(&daemon, "POST /api/v1/resume", r#"{"app":"acme"}"#).0, 200);
    act(&daemon, "resume");
    assert_eq!(paused(&daemon), Some(0.0));
    let mut stream = TcpStream::connect(daemon.url.trim_start_matches("http://")).expect("a connection");
    let body = r#"{"dyno":"web.1"}"#;
    let head =
        format!("POST /hooks/restart/acme?key={HOOK_KEY} HTTP/1.1\r\nHost: warden\r\nConnection: close");
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    let line = act(&daemon, "manual_restart");
    assert_eq!((&line["dyno"], &line["through"]), (&"web.1".into(), &"the hook".into()));
    eventually("the metric of the notices", || {
        let page = get(&daemon, "/metrics");
        let count = metric(&page, "dynowarden_notices_total{app=\"acme\",kind=\"pause\"}");
        count.or_else(|| page.contains("kind=\"pause\"} 1").then_some(1.0))
    });
    let (status, _) = daemon.terminate();
    assert!(status.success());
    let mut database = SqliteConnectOptions::new().filename(&file).connect().await.expect("the database");
    let rows = sqlx::query("SELECT app, dyno, kind, text FROM dynowarden_notices ORDER BY id")
        .fetch_all(&mut database);
    let rows: Vec<(String, Option<String>, String, String)> = rows
        .await
        .expect("rows")
        .iter()
        .map(|row| (row.get("app"), row.get("dyno"), row.get("kind"), row.get("text")))
        .filter(|(_, _, kind, _): &(String, Option<String>, String, String)| kind != "failure")
        .collect();
    let kinds: Vec<&str> = rows.iter().map(|(_, _, kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["pause", "resume", "manual_restart"], "{rows:?}");
    assert!(
        rows.iter().all(|(app, _, _, text)| app == "acme" && text.contains("from 127.0.0.1")),
        "{rows:?}"
    );
    assert_eq!(rows[2].1.as_deref(), Some("web.1"));
}
