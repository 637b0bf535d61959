//! Series in the store, through the real binary: over HTTP, after a kill, and by `dynowarden report`.

#![expect(clippy::disallowed_methods, reason = "the binary that is tested has the real clock")]

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use support::client::{get, json};
use support::daemon::{Daemon, report};
use support::fixtures::{basic, frame, heroku, post};

const DAY: i64 = 86_400;

/// An instance that begins every day.
fn instance(at: Timestamp) -> String {
    format!("00000000-0000-4000-8000-{:012}", at.as_second() / DAY)
}

/// Five minutes of `web.1`: restarted at 09:00 UTC, it leaks 160 MB a day; quiet from 03:00 to 06:00.
fn five_minutes(at: Timestamp) -> Vec<u8> {
    let second = at.as_second().rem_euclid(DAY);
    let age = (second - 9 * 3600).rem_euclid(DAY);
    let born = at - SignedDuration::from_secs(age);
    let mut body = Vec::new();
    if age < 300 {
        for text in ["Restarting", "State changed from up to starting", "State changed from starting to up"] {
            body.extend(frame("web.1", text, at));
        }
    }
    let memory = 250.0 + 160.0 * age as f64 / DAY as f64;
    let text = format!(
        "source=web.1 dyno=heroku.1.{} sample#memory_total={memory:.2}MB sample#memory_quota=512.00MB",
        instance(born)
    );
    body.extend(frame("web.1", &text, at + SignedDuration::from_secs(30)));
    let requests = if (3..6).contains(&(second / 3600)) { 1 } else { 6 };
    for request in 0..requests {
        let text = "at=info method=GET path=\"/\" host=a.example request_id=1 fwd=\"192.0.2.1\" dyno=web.1 \
                    connect=0ms service=20ms status=200 bytes=9 protocol=https";
        body.extend(frame("router", text, at + SignedDuration::from_secs(40 + request)));
    }
    body
}

/// Batches of an hour each, of the last `days` until now.
fn batches(days: i64) -> (Timestamp, Vec<Vec<u8>>) {
    let now = Timestamp::now().as_second();
    let first = now.div_euclid(300) * 300 - days * DAY;
    let steps: Vec<i64> = (first..now - 300).step_by(300).collect();
    let at = |second: &i64| Timestamp::from_second(*second).expect("a time");
    let batch = |hour: &[i64]| hour.iter().flat_map(|second| five_minutes(at(second))).collect();
    (at(steps.last().expect("steps")), steps.chunks(12).map(batch).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn series_outlive_a_kill_and_make_a_report() {
    let heroku = heroku(1).await;
    let dir = tempfile::tempdir().expect("a directory");
    let database = format!("sqlite://{}", dir.path().join("days.db").display());
    let daemon = Daemon::start(&heroku.api_url(), &[("DATABASE_URL", &database)]);
    let (last, batches) = batches(4);
    for batch in batches {
        let url = format!("{}/logs/acme", daemon.url);
        assert_eq!(post(&heroku, url, basic("drain-secret"), batch).await, 204);
    }
    // What is asked for is written first; then nothing is lost.
    let before = tokio::task::block_in_place(|| json(&daemon, "/api/v1/series?app=acme&dyno=web.1&since=3d"));
    daemon.kill();
    let daemon = Daemon::start(&heroku.api_url(), &[("DATABASE_URL", &database)]);
    let after = tokio::task::block_in_place(|| json(&daemon, "/api/v1/series?app=acme&dyno=web.1&since=3d"));
    let points = |series: &Value| series["points"].as_array().expect("points").clone();
    assert!((862..=864).contains(&points(&after).len()), "{}", points(&after).len());
    assert_eq!(points(&before).last(), points(&after).last());
    let newest = points(&after).pop().expect("a point");
    assert_eq!(newest["at"].as_str().and_then(|at| at.parse::<Timestamp>().ok()), Some(last), "{newest}");
    assert!(newest["requests"].as_u64().is_some_and(|requests| requests > 0), "{newest}");
    assert_eq!((&after["app"], &after["step_seconds"]), (&"acme".into(), &300.into()));

    let reports = tokio::task::block_in_place(|| json(&daemon, "/api/v1/report?app=acme"));
    let [of_web] = reports.as_array().expect("reports").as_slice() else { panic!("{reports}") };
    check_report(of_web);
    assert_eq!(of_web["right_size"], Value::Null, "its own size lasts a day: {of_web}");
    for (range, part) in [("7d", "Leaks about 16"), ("24h", " 03:00 to 06:00 UTC.")] {
        let path = format!("/apps/acme/types/web?range={range}");
        let page = tokio::task::block_in_place(|| get(&daemon, &path));
        assert!(page.starts_with("HTTP/1.1 200 ") && page.contains(part), "{page}");
        assert!(page.len() < 60_000, "{} bytes", page.len());
        assert!(page.contains("<path class=\"line\""), "{page}");
    }
    let missing = tokio::task::block_in_place(|| get(&daemon, "/apps/acme/types/none"));
    assert!(missing.starts_with("HTTP/1.1 404 "), "{missing}");
    daemon.kill();

    let line = report(&["--format", "json"], &[("DATABASE_URL", &database)]);
    check_report(&serde_json::from_str(&line).expect("one object"));
    let text = report(&[], &[("DATABASE_URL", &database)]);
    assert!(text.starts_with("acme web: leaks memory"), "{text}");
    let size = std::fs::metadata(dir.path().join("days.db")).expect("a file").len();
    eprintln!("4 days of one dyno: {size} bytes with the rest of the store");
}

fn check_report(report: &Value) {
    assert_eq!((&report["app"], &report["process_type"]), (&"acme".into(), &"web".into()), "{report}");
    assert_eq!(report["verdict"], "leaks", "{report}");
    assert_eq!((&report["dynos"], &report["unknown_because"]), (&1.into(), &Value::Null), "{report}");
    let growth = report["growth_percent_per_day"].as_f64().expect("growth");
    assert!((growth - 31.2).abs() < 2.0, "{report}");
    let quiet = &report["quiet_hours"];
    assert_eq!(
        (&quiet["from"], &quiet["to"], &quiet["zone"]),
        (&"03:00".into(), &"06:00".into(), &"UTC".into())
    );
    let restarts = &report["restarts"];
    assert!(restarts["count"].as_u64().is_some_and(|count| (3..=4).contains(&count)), "{report}");
    assert!(report["data_hours"].as_f64().is_some_and(|hours| hours > 94.0), "{report}");
    assert_eq!(report["suspects"], Value::Array(Vec::new()));
}

#[test]
fn files_give_the_report_that_the_store_gives() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("archive.log");
    let (_, batches) = batches(4);
    std::fs::write(&path, batches.concat()).expect("room on the disk");
    let line = report(
        &["--app", "acme", "--format", "json", path.to_str().expect("UTF-8")],
        &[("DATABASE_URL", "memory")],
    );
    check_report(&serde_json::from_str(&line).expect("one object"));
    let short = report(
        &["--app", "acme", "--since", "6h", "--format", "json", path.to_str().expect("UTF-8")],
        &[("DATABASE_URL", "memory")],
    );
    let short: Value = serde_json::from_str(&short).expect("one object");
    assert_eq!((&short["verdict"], &short["quiet_hours"]), (&"unknown".into(), &Value::Null), "{short}");
    assert!(short["unknown_because"].as_str().is_some_and(|why| why.contains("12 h")), "{short}");
}

mod memory {
    #[tokio::test]
    async fn parts_of_an_hour_add_up() {
        support::series::parts_of_an_hour_add_up(support::store::TestStore::memory()).await;
    }

    #[tokio::test]
    async fn requests_by_endpoint_are_kept() {
        support::series::requests_by_endpoint_are_kept(support::store::TestStore::memory()).await;
    }
}

mod sqlite {
    use dynowarden::config::settings::Database;
    use dynowarden::store::series::HourRow;
    use dynowarden_core::days::pack::pack;
    use support::fixtures::{acme, dyno};
    use support::store::{TestStore, start};

    fn store() -> TestStore {
        let dir = tempfile::tempdir().expect("a directory");
        let database = Database::Sqlite(dir.path().join("days.db"));
        TestStore { database, outlives: true, shared: false, _dir: Some(dir) }
    }

    #[tokio::test]
    async fn parts_of_an_hour_add_up() {
        support::series::parts_of_an_hour_add_up(store()).await;
    }

    #[tokio::test]
    async fn old_hours_are_forgotten() {
        support::series::old_hours_are_forgotten(store()).await;
    }

    #[tokio::test]
    async fn requests_by_endpoint_are_kept() {
        support::series::requests_by_endpoint_are_kept(store()).await;
    }

    #[tokio::test]
    async fn two_weeks_of_a_dyno_fit_into_64_kib() {
        const DYNOS: i64 = 20;
        let test = store();
        let Database::Sqlite(path) = &test.database else { panic!("a file") };
        let path = path.clone();
        test.open().await.close().await;
        let empty = std::fs::metadata(&path).expect("a file").len();
        let opened = test.open().await;
        for hour in 0..14 * 24 {
            let row = |index: i64| HourRow {
                is_known: false,
                app: acme(),
                dyno: Some(dyno(&format!("web.{}", index + 1))),
                hour: start().as_second() / 3600 - hour,
                part: (1 << 30) + hour * DYNOS + index,
                packed: pack(&support::series::busy_hour((hour * DYNOS + index) as u64)),
            };
            let rows: Vec<HourRow> = (0..DYNOS).map(row).collect();
            opened.save_hours(&rows).await.expect("a store");
        }
        opened.close().await;
        let size = (std::fs::metadata(path).expect("a file").len() - empty) / DYNOS as u64;
        eprintln!("{size} bytes a dyno for two weeks");
        assert!(size <= 64 * 1024, "{size}");
    }
}
