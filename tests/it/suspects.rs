//! The endpoints that make memory grow: on synthetic apps whose truth is known, and through the real binary.

#![expect(clippy::disallowed_methods, reason = "the binary that is tested has the real clock")]

use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

use dynowarden_core::days::evidence::counts::AppCounts;
use dynowarden_core::days::evidence::pack;
use dynowarden_core::days::evidence::templates::Templates;
use dynowarden_core::detect::request::Request;
use dynowarden_core::ident::{DynoName, DynoRef};
use dynowarden_simulation::suspects::{Named, runs};
use heroku_sim::endpoint_paths::{ENDPOINTS, template};
use heroku_sim::endpoints::{Cause, Happening, Scene, TICK_SECONDS};
use heroku_sim::rng::Chance;
use support::client::{get, json};
use support::daemon::{Daemon, report};
use support::fixtures::{basic, frame, heroku, post};

/// `simulate --suspects` makes the whole table.
#[test]
fn the_endpoint_that_leaks_is_named_within_a_day() {
    const RUNS: u64 = 8;
    let named = runs(Scene::USUAL, &[6, 11, 24], 100..100 + RUNS);
    assert_eq!((named[0].first + named[0].others, named[1].first + named[1].others), (0, 0), "{named:?}");
    let Named { runs, right, wrong, .. } = named[2];
    eprintln!("{named:?}");
    assert!(f64::from(right) >= 0.65 * f64::from(runs) && wrong == 0, "{named:?}");
}

#[test]
fn what_is_no_endpoint_is_blamed_on_none() {
    for cause in [Cause::Nothing, Cause::SteadyJob, Cause::DailyJob, Cause::EveryRequest] {
        let named = runs(Scene { cause, ..Scene::USUAL }, &[12, 24], 200..204);
        for Named { wrong, others, .. } in named {
            assert_eq!((wrong, others), (0, 0), "{cause:?}");
        }
    }
}

#[test]
fn endpoints_are_kept_apart_among_strangers() {
    let scene = Scene { strangers: 0.2, ..Scene::USUAL };
    let (mut right, mut all) = (0_u32, 0_u32);
    for seed in 1..=3 {
        let mut app = scene.start(Chance::new(seed));
        let mut templates = Templates::default();
        for _ in 0..6 * 3600 / TICK_SECONDS {
            app.tick(|_, happening| {
                let Happening::Request { path, endpoint, .. } = happening else { return };
                let place = templates.place(path.as_bytes(), true);
                let Some(endpoint) = endpoint else { return };
                all += 1;
                right += u32::from(templates.template(place) == template(endpoint));
            });
        }
    }
    let share = f64::from(right) / f64::from(all);
    eprintln!("{share:.3} of {all} requests");
    assert!(share >= 0.9 && all > 300_000, "{share} of {all}");
}

#[test]
fn a_day_of_counts_takes_little_room() {
    let mut app = Scene { strangers: 0.2, ..Scene::USUAL }.start(Chance::new(1));
    let (mut counts, mut packed, mut second) = (AppCounts::default(), 0, 0);
    while second < 86_400 {
        app.tick(|at, happening| {
            let Happening::Request { dyno, method, path, .. } = happening else { return };
            let dyno = DynoRef { process_type: "web", index: dyno };
            let name = DynoName::new("web".parse().expect("a type"), dyno.index);
            let (method, path) = (method.as_bytes(), path.as_bytes());
            let request = Request {
                dyno,
                method: Some(method),
                path: Some(path),
                status: Some(200),
                service_ms: None,
                code: None,
            };
            counts.add(&name, &request, Timestamp::from_second(1_767_225_600 + at).expect("a time"));
        });
        second += TICK_SECONDS;
        packed += counts.take_done().iter().map(|window| pack::pack(window).len()).sum::<usize>();
    }
    eprintln!("{packed} bytes a day of four dynos, {} bytes in memory", counts.bytes());
    assert!(packed < 80 * 1024, "{packed}");
    assert!(counts.bytes() < 100 * 1024, "{}", counts.bytes());
}

/// Two dynos with little traffic and a large leak, so that the log is short.
const SMALL: Scene =
    Scene { dynos: 2, requests_a_minute: 15.0, share: 0.08, kilobytes: 300.0, ..Scene::USUAL };

const HOURS: i64 = 36;

/// What must not be anywhere: parts of paths and queries.
const SECRETS: [&str; 7] = [
    "hunter2hunter2",
    "alice.secret",
    "topsecret",
    "t0psecret",
    "swordfish",
    "zq8fk2lw9x",
    "caf%C3%A9%20noir",
];

/// The last hours of an app until the last half hour, a batch for each hour, and the endpoint that leaks.
fn batches(seed: u64) -> (Vec<Vec<u8>>, (&'static str, String)) {
    let mut app = SMALL.start(Chance::new(seed));
    // Growth is counted by half hours of the clock: the same requests must be in the same ones at any time.
    let start = Timestamp::now().as_second() / 1800 * 1800 - HOURS * 3600;
    let mut batches: Vec<Vec<u8>> = Vec::new();
    for tick in 0..HOURS * 3600 / TICK_SECONDS {
        if tick % (3600 / TICK_SECONDS) == 0 {
            batches.push(Vec::new());
        }
        let batch = batches.last_mut().expect("one was pushed");
        app.tick(|second, happening| {
            let at = Timestamp::from_second(start + second).expect("a time");
            lines(&happening, at).into_iter().for_each(|line| batch.extend(line));
        });
        if tick % 60 == 7 {
            let at = Timestamp::from_second(start + tick * TICK_SECONDS).expect("a time");
            secret_paths(tick).iter().for_each(|path| batch.extend(router("GET", path, 1, at)));
        }
    }
    let culprit = app.culprits()[0];
    (batches, (ENDPOINTS[culprit].0, template(culprit)))
}

fn lines(happening: &Happening, at: Timestamp) -> Vec<Vec<u8>> {
    match happening {
        Happening::Started { dyno } => {
            let states =
                ["Restarting", "State changed from up to starting", "State changed from starting to up"];
            states.iter().map(|text| frame(&format!("web.{dyno}"), text, at)).collect()
        }
        Happening::Request { dyno, method, path, .. } => vec![router(method, path, *dyno, at)],
        Happening::Sample { dyno, instance, megabytes } => {
            let text = format!(
                "source=web.{dyno} dyno=heroku.1.00000000-0000-4000-8000-{:012x} \
                 sample#memory_total={megabytes:.2}MB sample#memory_quota=1024.00MB",
                instance & 0xffff_ffff_ffff
            );
            vec![frame(&format!("web.{dyno}"), &text, at)]
        }
    }
}

fn router(method: &str, path: &str, dyno: u32, at: Timestamp) -> Vec<u8> {
    let text = format!(
        "at=info method={method} path=\"{path}\" host=a.example request_id=1 fwd=\"192.0.2.1\" dyno=web.{dyno} \
         connect=0ms service=20ms status=200 bytes=9 protocol=https"
    );
    frame("router", &text, at)
}

fn secret_paths(tick: i64) -> Vec<String> {
    let mut paths = vec![
        "/reset/hunter2hunter2/confirm".to_owned(),
        "/users/alice.secret@example.com?token=topsecret".to_owned(),
        "/orders/zq8fk2lw9x/items?q=swordfish".to_owned(),
        "/menu/caf%C3%A9%20noir".to_owned(),
        // A path of 8 KiB.
        format!("/{}", "t0psecret/".repeat(820)),
    ];
    // A word is shown once there are enough requests to it: this one has nine.
    if tick % 720 == 7 {
        paths.push("/swordfish/topsecret".to_owned());
    }
    paths
}

#[track_caller]
fn check(report: &Value, (method, template): &(&str, String)) {
    let suspects = report["suspects"].as_array().expect("suspects");
    let [suspect] = suspects.as_slice() else { panic!("{report}") };
    assert_eq!(
        (&suspect["method"], &suspect["template"]),
        (&Value::from(*method), &Value::from(&**template))
    );
    assert_eq!(suspect["confidence"], "strong", "{report}");
    let keys: Vec<&String> = suspect.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["confidence", "method", "share", "template"]);
    let share = suspect["share"].as_f64().expect("a share");
    assert!((0.5..=1.0).contains(&share), "{report}");
}

/// No file of the folder, and no text, has a part of a path or a query.
#[track_caller]
fn check_secrets(folder: &Path, texts: &[String]) {
    let files: Vec<Vec<u8>> = std::fs::read_dir(folder)
        .expect("a directory")
        .map(|file| std::fs::read(file.expect("an entry").path()).expect("a file"))
        .collect();
    assert!(files.iter().map(Vec::len).sum::<usize>() > 10_000, "nothing was stored");
    for octets in files.iter().map(Vec::as_slice).chain(texts.iter().map(String::as_bytes)) {
        for secret in SECRETS {
            assert!(memchr::memmem::find(octets, secret.as_bytes()).is_none(), "{secret} is kept or shown");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn suspects_outlive_a_restart_and_paths_are_kept_nowhere() {
    let heroku = heroku(2).await;
    let dir = tempfile::tempdir().expect("a directory");
    let database = format!("sqlite://{}", dir.path().join("days.db").display());
    let env = [("DATABASE_URL", &*database), ("RUST_LOG", "trace")];
    let daemon = Daemon::start(&heroku.api_url(), &env);
    let (batches, culprit) = batches(5);
    let (first, second) = batches.split_at(20);
    for batch in first {
        let url = format!("{}/logs/acme", daemon.url);
        assert_eq!(post(&heroku, url, basic("drain-secret"), batch.clone()).await, 204);
    }
    let mut texts: Vec<String> = daemon.lines().iter().map(Value::to_string).collect();
    assert!(daemon.terminate().0.success());
    let daemon = Daemon::start(&heroku.api_url(), &env);
    for batch in second {
        let url = format!("{}/logs/acme", daemon.url);
        assert_eq!(post(&heroku, url, basic("drain-secret"), batch.clone()).await, 204);
    }
    let reports = tokio::task::block_in_place(|| json(&daemon, "/api/v1/report?app=acme"));
    let [of_web] = reports.as_array().expect("reports").as_slice() else { panic!("{reports}") };
    check(of_web, &culprit);
    let page = tokio::task::block_in_place(|| get(&daemon, "/apps/acme/types/web"));
    let (method, template) = &culprit;
    assert!(page.contains(&format!("Requests to {method} {template} explain")), "{page}");
    texts.extend(daemon.lines().iter().map(Value::to_string));
    // What is asked for is written first, so a kill loses nothing of it.
    daemon.kill();
    let env = [("DATABASE_URL", &*database)];
    let line = report(&["--format", "json"], &env);
    check(&serde_json::from_str(&line).expect("one object"), &culprit);
    let text = report(&[], &env);
    assert!(text.contains(&format!("  suspects     requests to {method} {template} explain")), "{text}");
    let off = report(&["--format", "json"], &[env[0], ("DYNOWARDEN_DRAIN__EVIDENCE", "false")]);
    assert!(off.contains("\"suspects\":[]"), "{off}");
    let off = report(&[], &[env[0], ("DYNOWARDEN_DRAIN__EVIDENCE", "false")]);
    assert!(off.contains("  suspects     none: requests are not counted by endpoint"), "{off}");
    texts.extend([reports.to_string(), page, line, text]);
    check_secrets(dir.path(), &texts);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_counted_by_endpoint_if_it_is_off() {
    let heroku = heroku(2).await;
    let dir = tempfile::tempdir().expect("a directory");
    let database = format!("sqlite://{}", dir.path().join("days.db").display());
    let env = [("DATABASE_URL", &*database), ("DYNOWARDEN_DRAIN__EVIDENCE", "false")];
    let daemon = Daemon::start(&heroku.api_url(), &env);
    let (batches, (_, template)) = batches(5);
    for batch in batches {
        let url = format!("{}/logs/acme", daemon.url);
        assert_eq!(post(&heroku, url, basic("drain-secret"), batch).await, 204);
    }
    let reports = tokio::task::block_in_place(|| json(&daemon, "/api/v1/report?app=acme"));
    assert_eq!(reports[0]["suspects"], Value::Array(Vec::new()), "{reports}");
    let page = tokio::task::block_in_place(|| get(&daemon, "/apps/acme/types/web"));
    assert!(page.contains("None: requests are not counted by endpoint"), "{page}");
    assert!(daemon.terminate().0.success());
    let octets = std::fs::read(dir.path().join("days.db")).expect("a file");
    let word = template.rsplit('/').find(|segment| !segment.is_empty() && !segment.starts_with(':'));
    let word = word.expect("a word").as_bytes();
    assert!(memchr::memmem::find(&octets, word).is_none(), "{template}");
}

#[test]
fn files_have_the_suspects_that_the_store_has() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("archive.log");
    let (batches, culprit) = batches(5);
    std::fs::write(&path, batches.concat()).expect("room on the disk");
    let file = path.to_str().expect("UTF-8");
    let line = report(&["--app", "acme", "--format", "json", file], &[]);
    check(&serde_json::from_str(&line).expect("one object"), &culprit);
    // Before there are twelve hours, nothing is named.
    let short = report(&["--app", "acme", "--since", "11h", "--format", "json", file], &[]);
    assert!(short.contains("\"suspects\":[]"), "{short}");
    let short = report(&["--app", "acme", "--since", "11h", file], &[]);
    assert!(short.contains("  suspects     none: 1 h more of memory readings and router lines"), "{short}");
    // A file whose hours are in another order says the same.
    std::fs::write(&path, batches.iter().rev().flatten().copied().collect::<Vec<u8>>())
        .expect("room on the disk");
    let line = report(&["--app", "acme", "--format", "json", file], &[]);
    check(&serde_json::from_str(&line).expect("one object"), &culprit);
}

/// Any paths and any numbers, as the fuzzer makes them.
mod fuzzed {
    use proptest::prelude::{any, prop, proptest};
    use std::path::Path;
    use support::evidence_oracle::{check_evidence, check_templates};

    fn regressions(target: &str, check: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions").join(target);
        let files = support::corpus::files(&folder);
        files.iter().for_each(|path| check(&std::fs::read(path).expect("a regression can be read")));
        assert!(!files.is_empty());
    }

    #[test]
    fn regressions_agree_with_the_oracles() {
        regressions("templates", check_templates);
        regressions("evidence", check_evidence);
    }

    proptest! {
        #[test]
        fn templates_show_nothing_raw(
            lines in prop::collection::vec((any::<u8>(), "(/[a-zA-Z0-9@%._?é-]{0,12}){0,8}"), 0..12),
        ) {
            let mut octets = Vec::new();
            for (first, path) in lines {
                octets.push(first);
                octets.extend(path.bytes());
                octets.push(b'\n');
            }
            check_templates(&octets);
        }

        #[test]
        fn any_octets_are_evidence(octets in prop::collection::vec(any::<u8>(), 0..2000)) {
            check_evidence(&octets);
        }
    }
}
