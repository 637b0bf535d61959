//! End to end: `dynowarden check`, the real binary against the simulated Heroku.

use std::process::{Command, Output};

use heroku_sim::app::{AppSpec, Generation};
use heroku_sim::fault::{Fault, FaultRule};
use heroku_sim::platform::Rights;
use heroku_sim::server::SimHeroku;
use http::Method;
use serde_json::Value;

use dynowarden::config::settings::Database;
use dynowarden_core::record::hold::Hold;
use dynowarden_core::record::{Decision, MANUAL, Record};
use support::daemon::{ADMIN_PASSWORD, Daemon};
use support::fixtures::{self, app};
use support::store::{TestStore, at, hold};

const PASSWORD: &str = "drain-secret";
const TOKEN: &str = "token-of-the-tests";
const HERE: &str = "http://127.0.0.1:4567";

/// A simulated Heroku with `acme` and two web dynos, and a token of scope `write`.
async fn heroku() -> SimHeroku {
    let heroku = fixtures::heroku(2).await;
    heroku.with(|platform, _| platform.tokens.insert(TOKEN.to_owned(), Rights::Write));
    heroku
}

fn add_drain(heroku: &SimHeroku, app_name: &str, path: &str, password: &str) {
    let url = SimHeroku::drain_url(&format!("{HERE}{path}"), "logplex", password);
    heroku.add_drain(&app(app_name), &url).expect("an app");
}

struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `check` on `acme` with these arguments, and these variables in addition to the usual ones.
fn check(heroku: &SimHeroku, args: &[&str], env: &[(&str, &str)]) -> Said {
    let mut command = Command::new(support::daemon::binary());
    command
        .env_clear()
        .current_dir(std::env::temp_dir())
        .arg("check")
        .args(args)
        .env("HEROKU_API_URL", heroku.api_url())
        .env("HEROKU_API_KEY", TOKEN)
        .env("HEROKU_APP", "acme")
        .env("DRAIN_PASSWORD", PASSWORD)
        .env("DATABASE_URL", "sqlite://no-such-file-yet.db")
        .envs(env.iter().copied());
    let Output { status, stdout, stderr } =
        tokio::task::block_in_place(|| command.output().expect("the binary runs"));
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let said = Said { code: status.code(), stdout: text(stdout), stderr: text(stderr) };
    let all = format!("{}{}", said.stdout, said.stderr);
    assert!(!all.contains(PASSWORD) && !all.contains(TOKEN), "a secret was printed: {all}");
    said
}

impl Said {
    #[track_caller]
    fn expect(&self, code: i32, parts: &[&str]) -> &Self {
        let all = format!("{}{}", self.stdout, self.stderr);
        assert_eq!(self.code, Some(code), "{all}");
        for part in parts {
            assert!(all.contains(part), "{part:?} is not in: {all}");
        }
        self
    }
}

fn changes(heroku: &SimHeroku) -> Vec<String> {
    let changes = heroku.calls().into_iter().filter(|call| call.is_change());
    let mut changes: Vec<_> = changes.map(|call| format!("{} {}", call.method, call.path)).collect();
    // Apps are queried in parallel, in no order.
    changes.sort_unstable();
    changes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correct_setup_passes_the_check_without_changes() {
    let heroku = heroku().await;
    add_drain(&heroku, "acme", "/logs/acme", PASSWORD);
    let said = check(&heroku, &[], &[]);
    said.expect(0, &["scope write", "acme app: found: cedar", "/logs/acme (d.", "web has 2", "all is well"]);
    assert!(changes(&heroku).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_drain_is_reported_with_the_command_to_add_it() {
    let heroku = heroku().await;
    let exact = r#"heroku drains:add "https://drain:$DRAIN_PASSWORD@warden.example.com/logs/acme" -a acme"#;
    check(&heroku, &[], &[("DYNOWARDEN_PUBLIC_URL", "https://warden.example.com")]).expect(1, &[exact]);
    check(&heroku, &[], &[("HEROKU_APP_DEFAULT_DOMAIN_NAME", "w-1.herokuapp.com")])
        .expect(1, &["@w-1.herokuapp.com/logs/acme"]);
    // An empty variable counts as unset: the line has a fresh password.
    let fresh = |said: &Said| {
        let (_, rest) = said.stdout.split_once("'https://drain:").expect("a line to type");
        rest.split_once('@').expect("a URL").0.to_owned()
    };
    let unset = [("DRAIN_PASSWORD", "")];
    let (one, other) = (check(&heroku, &[], &unset), check(&heroku, &[], &unset));
    assert!(fresh(&one).len() >= 24 && fresh(&one) != fresh(&other), "{}", one.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_drain_is_reported_with_its_error() {
    for (path, password, expect) in [
        ("/logs/acme", "stale-secret", "a different password"),
        ("/logs/other", PASSWORD, "wrong path"),
        ("/log", PASSWORD, "wrong path"),
    ] {
        let heroku = heroku().await;
        add_drain(&heroku, "acme", path, password);
        let said = check(&heroku, &["--format", "json"], &[("DYNOWARDEN_PUBLIC_URL", HERE)]);
        said.expect(1, &[expect, "heroku drains:add ", " && heroku drains:remove d."]);
        assert!(!said.stdout.contains("stale-secret"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_json_line_is_a_finding() {
    let heroku = heroku().await;
    let said = check(&heroku, &["--format", "json"], &[("HEROKU_APP", "acme,ghost")]);
    let findings: Vec<Value> =
        said.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for finding in &findings {
        for key in ["severity", "subject", "text"] {
            assert!(finding[key].is_string(), "{key} of {finding}");
        }
        let is_well = finding["severity"] == "ok";
        assert_eq!(finding["fix"].is_null(), is_well, "{finding}");
    }
    let ghost = findings.iter().find(|finding| finding["app"] == "ghost").expect("a finding about it");
    assert_eq!((&ghost["severity"], &ghost["subject"]), (&"error".into(), &"app".into()));
    assert_eq!(said.code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn fir_apps_spaces_and_single_dynos_get_their_own_findings() {
    let heroku = heroku().await;
    let mut fir = AppSpec::new(app("firry"), 2);
    fir.generation = Generation::Fir;
    heroku.add_app(fir);
    let mut spaced = AppSpec::new(app("spaced"), 1);
    spaced.space = Some("hq".to_owned());
    spaced.preboot = true;
    heroku.add_app(spaced);
    let said = check(&heroku, &[], &[("HEROKU_APP", "firry,spaced")]);
    said.expect(1, &["firry app: a Fir app", "no log drains", "Heroku itself restarts its dynos"]);
    said.expect(
        1,
        &["spaced app: dynos of a Private Space", "on = [\"memory\"]", "takes it down", "preboot: on"],
    );
    assert!(!said.stdout.contains("firry drain"), "{}", said.stdout);
    let memory = r#"[{name="memory",on=["memory"],above="95%",for="3m",do="restart"}]"#;
    check(&heroku, &[], &[("HEROKU_APP", "spaced"), ("DYNOWARDEN_RULE", memory)])
        .expect(1, &["log-runtime-metrics is off", "labs:enable log-runtime-metrics -a spaced"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_checked_for_its_scope() {
    let heroku = heroku().await;
    add_drain(&heroku, "acme", "/logs/acme", PASSWORD);
    let with = |rights| {
        heroku.with(|platform, _| platform.tokens.insert(TOKEN.to_owned(), rights));
        check(&heroku, &[], &[])
    };
    with(Rights::Global).expect(0, &["warning  token", "more than it needs", "-s write"]);
    with(Rights::Read).expect(1, &["error    token", "scope is read", "cannot restart"]);
    with(Rights::WriteTo(Vec::new())).expect(1, &["acme app", "403", "access:add"]);
    heroku.with(|platform, _| platform.tokens = [("another".to_owned(), Rights::Write)].into());
    check(&heroku, &[], &[]).expect(1, &["401", "authorizations:create"]);
    check(&heroku, &[], &[("HEROKU_API_KEY", "")]).expect(1, &["HEROKU_API_KEY is not set"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_failure_is_a_finding() {
    for (fault, expect) in [
        (Fault::Status(503), "cannot be reached"),
        (Fault::BreakBefore, "cannot be reached"),
        (Fault::HangBefore, "no response within 300ms"),
        (Fault::WrongJson, "unexpected response"),
        (Fault::Html, "unexpected response"),
        (Fault::Status(429), "rate limit"),
    ] {
        let heroku = heroku().await;
        heroku.add_fault(FaultRule::always(Method::GET, "acme", fault));
        check(&heroku, &[], &[("DYNOWARDEN_HEROKU__REQUEST_TIMEOUT", "300ms")]).expect(1, &[expect]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn register_adds_missing_drains_only_once() {
    let heroku = heroku().await;
    heroku.add_app(AppSpec::new(app("other"), 2));
    let mut fir = AppSpec::new(app("firry"), 2);
    fir.generation = Generation::Fir;
    heroku.add_app(fir);
    let apps = [("HEROKU_APP", "acme,other")];
    check(&heroku, &["--register", HERE], &apps).expect(0, &["added: http://127.0.0.1:4567/logs/acme"]);
    check(&heroku, &["--register", &format!("{HERE}/")], &apps).expect(0, &["/logs/other (d."]);
    assert_eq!(changes(&heroku), ["POST /apps/acme/log-drains", "POST /apps/other/log-drains"]);
    let url = format!("http://drain:{PASSWORD}@127.0.0.1:4567/logs/acme");
    let drains = heroku.see(|platform, _| platform.world.app("acme").map(|app| app.drains.clone()));
    assert!(drains.is_some_and(|drains| drains.iter().any(|drain| drain.url == url)));
    // A drain with a stale password is not removed, but reported.
    heroku
        .with(|platform, now| {
            platform.world.add_drain(&app("acme"), "http://u:stale@127.0.0.1:4567/logs/acme", now).map(drop)
        })
        .expect("an app");
    check(&heroku, &["--register", HERE], &apps)
        .expect(0, &["warning  acme drain", "a different password", "drains:remove"]);
    check(&heroku, &["--register", HERE], &[("HEROKU_APP", "firry")]).expect(1, &["a Fir app"]);
    check(&heroku, &["--register", HERE], &[("DRAIN_PASSWORD", "")]).expect(1, &["DRAIN_PASSWORD="]);
    assert_eq!(changes(&heroku).len(), 2);
    heroku.with(|platform, _| platform.tokens.insert(TOKEN.to_owned(), Rights::Read));
    let elsewhere = "http://127.0.0.1:9";
    check(&heroku, &["--register", elsewhere], &apps).expect(1, &["could not be added", "scope write"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn register_adds_no_drain_to_its_own_app() {
    let heroku = heroku().await;
    let env = [("HEROKU_APP_NAME", "acme"), ("DYNO", "web.1")];
    check(&heroku, &["--register", HERE], &env)
        .expect(1, &["loop", "remove acme from", "the file is on a dyno"]);
    let own = "https://acme.herokuapp.com";
    check(&heroku, &["--register", own], &[]).expect(1, &["loop"]);
    assert!(changes(&heroku).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_register_address_is_wrong_usage() {
    let heroku = heroku().await;
    for url in [
        "http://warden.example.com",
        "warden.example.com",
        "https://warden.example.com/logs/other",
        "https://u:stale@warden.example.com",
        "https://warden.example.com/?x=1",
    ] {
        let said = check(&heroku, &["--register", url], &[]);
        said.expect(2, &["--register", "allowed"]);
        assert!(!said.stderr.contains("stale"), "{}", said.stderr);
    }
    check(&heroku, &[], &[("DYNOWARDEN_PUBLIC_URL", "http://warden.example.com")]).expect(2, &["public_url"]);
    assert!(heroku.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_store_is_a_finding() {
    let heroku = heroku().await;
    add_drain(&heroku, "acme", "/logs/acme", PASSWORD);
    let nowhere = [("DATABASE_URL", "sqlite:///no/such/directory/x.db")];
    check(&heroku, &[], &nowhere).expect(1, &["error    store", "/no/such/directory"]);
    // A directory in which not even root can create files.
    let unwritable = [("DATABASE_URL", "sqlite:///proc/x.db")];
    check(&heroku, &[], &unwritable).expect(1, &["error    store", "/proc/x.db cannot be created"]);
    check(&heroku, &[], &[("DATABASE_URL", "memory")]).expect(0, &["warning  store"]);
    check(&heroku, &["--notify"], &[]).expect(0, &["warning  notifier"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_type_that_errs_and_is_not_listed_is_read_back_from_the_store() {
    let heroku = heroku().await;
    add_drain(&heroku, "acme", "/logs/acme", PASSWORD);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("history.db");
    let url = format!("sqlite://{}", path.display());
    let store = TestStore { database: Database::Sqlite(path), outlives: true, shared: false, _dir: None };
    let store = store.open().await;
    store.write(&hold(at(0), "worker.1", Hold::NotListed), at(0));
    store.write(&hold(at(1), "web.1", Hold::UnderWay), at(1));
    let Record::Decision(decision) = hold(at(2), "clock.1", Hold::NotListed) else { panic!("a decision") };
    store.write(&Record::Decision(Decision { rule: MANUAL.into(), ..decision }), at(2));
    store.close().await;
    let said = check(&heroku, &["--quiet"], &[("DATABASE_URL", &url)]);
    said.expect(0, &["worker dynos err, and are not restarted", "add worker to policy.process_types"]);
    assert!(!said.stdout.contains("web dynos err") && !said.stdout.contains("clock"), "{}", said.stdout);
    let listed = check(
        &heroku,
        &["--quiet"],
        &[("DATABASE_URL", &url), ("DYNOWARDEN_POLICY__PROCESS_TYPES", "web,worker")],
    );
    assert!(!listed.stdout.contains("worker dynos err"), "{}", listed.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_in_is_tried_from_outside() {
    let heroku = heroku().await;
    let daemon = Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_PUBLIC_URL", "http://127.0.0.1:9/warden")]);
    let admin = ("ADMIN_PASSWORD", ADMIN_PASSWORD);
    let with = |url: &str, more: &[(&str, &str)]| {
        let env: Vec<_> =
            [("DYNOWARDEN_PUBLIC_URL", url), admin].into_iter().chain(more.iter().copied()).collect();
        check(&heroku, &[], &env)
    };
    // A path that the proxy leaves in front.
    let below = format!("{}/warden", daemon.url);
    for url in [&daemon.url, &below] {
        let said = with(url, &[]);
        let ready = format!("ok       way in: dynowarden answers at {url}/readyz");
        said.expect(1, &[&ready, "ok       acme way in: a batch is accepted"]);
    }
    with(&daemon.url, &[]).expect(1, &["a batch is accepted, last batch "]);
    with(&daemon.url, &[("DRAIN_PASSWORD", "another-secret")])
        .expect(1, &["acme way in: a batch was answered with 401"]);
    with(&heroku.api_url(), &[]).expect(1, &["error    way in: ", "but not by dynowarden"]);
    // Only a warning: it may be reached from elsewhere.
    add_drain(&heroku, "acme", "/logs/acme", PASSWORD);
    let closed = with("http://127.0.0.1:4567", &[]);
    closed.expect(0, &["warning  way in: http://127.0.0.1:4567/readyz cannot be reached from this machine"]);
    let json = check(&heroku, &["--format", "json"], &[("DYNOWARDEN_PUBLIC_URL", "http://127.0.0.1:4567")]);
    let mut findings = json.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    assert!(findings.any(|finding| finding["subject"] == "way in" && finding["severity"] == "warning"));
}

/// What `check` calls right, the server accepts, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn check_and_the_server_agree_about_paths() {
    for prefix in ["", "/warden"] {
        let first = heroku().await;
        let public = "http://127.0.0.1:9".to_owned() + prefix;
        let daemon = Daemon::start(&first.api_url(), &[("DYNOWARDEN_PUBLIC_URL", &public)]);
        let public = format!("{}{prefix}", daemon.url);
        for path in [
            "/logs/acme",
            "/logs",
            "/logs/acme?x=1",
            "/warden/logs/acme",
            "/warden/logs",
            "//logs/acme",
            "/logs//acme",
            "/x/logs/acme",
            "/./logs/acme",
            "/logs/./acme",
            "/logs/acme/",
            "/logs/acme.",
            "/logs/other",
            "/logs/ACME",
            "/Logs/acme",
            "/log",
            "/logs?app=acme",
            "/logs/acme?",
            "/logs/",
            "/logs/%61cme",
            "/%6Cogs/acme",
            "/logs%2Facme",
            "/logs/acme;x",
            "/logs/x/../acme",
            "/warden/logs/acme?x=/logs/other",
            "/warden/logs/acme/",
            "/warden//logs/acme",
            "/warden/./logs/acme",
            "/warden/warden/logs/acme",
            "/Warden/logs/acme",
            "/wardenlogs/acme",
            "/x?/logs/acme",
        ] {
            let sim = heroku().await;
            let url = SimHeroku::drain_url(&format!("{}{path}", daemon.url), "logplex", PASSWORD);
            sim.add_drain(&app("acme"), &url).expect("an app");
            let said = check(&sim, &[], &[("DYNOWARDEN_PUBLIC_URL", &public)]);
            let is_right = said.stdout.lines().any(|line| line.starts_with("ok       acme drain:"));
            let status =
                fixtures::post(&sim, format!("{}{path}", daemon.url), fixtures::basic(PASSWORD), "").await;
            assert_eq!(is_right, status == 204, "{prefix:?} {path}: {status}, and {}", said.stdout);
            assert_eq!(said.code, Some(i32::from(!is_right)), "{path}: {}", said.stdout);
            // The right one is added.
            let before = changes(&sim).len();
            check(&sim, &["--register", &public], &[]);
            assert_eq!(changes(&sim).len() - before, usize::from(!is_right), "{path}");
        }
        daemon.await_line(|line| line["reason"] == "unknown_path");
    }
}

/// The same for the part in front of the host, which becomes a header.
#[tokio::test(flavor = "multi_thread")]
async fn check_and_the_server_agree_about_passwords() {
    let first = heroku().await;
    let daemon = Daemon::start(&first.api_url(), &[("DYNOWARDEN_PUBLIC_URL", "http://127.0.0.1:9")]);
    let host = daemon.url.strip_prefix("http://").expect("a URL");
    for (scheme, userinfo, credentials) in [
        ("http", "logplex:drain-secret@", Some("logplex:drain-secret")),
        ("HTTP", ":drain-secret@", Some(":drain-secret")),
        ("http", "a%20b:drain-secret@", Some("a b:drain-secret")),
        ("http", "x:drain-secret:@", Some("x:drain-secret:")),
        ("http", "x:Drain-secret@", Some("x:Drain-secret")),
        ("http", "x:drain-secre@", Some("x:drain-secre")),
        ("http", "drain-secret@", Some("drain-secret")),
        ("http", "drain-secret:@", Some("drain-secret:")),
        ("http", "", None),
    ] {
        let sim = heroku().await;
        let url = format!("{scheme}://{userinfo}{host}/logs/acme");
        sim.add_drain(&app("acme"), &url).expect("an app");
        let said = check(&sim, &[], &[("DYNOWARDEN_PUBLIC_URL", &daemon.url)]);
        let is_right = said.stdout.lines().any(|line| line.starts_with("ok       acme drain:"));
        let headers = credentials.map(fixtures::basic_of).into_iter().collect();
        let status = fixtures::post(&sim, format!("{}/logs/acme", daemon.url), headers, "").await;
        assert_eq!(is_right, status == 204, "{userinfo:?}: {status}, and {}", said.stdout);
        assert_eq!(said.code, Some(i32::from(!is_right)), "{userinfo:?}: {}", said.stdout);
    }
}
