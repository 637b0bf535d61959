//! Facts in, findings out: one table for each subject.

use std::num::NonZeroU32;
use std::time::Duration;

use secrecy::SecretString;

use super::examine;
use super::facts::{
    AppFacts, CertificateState, Clocks, Facts, Home, MissingSetting, NotifierFact, PasswordPlace, StoreFact,
    TlsFact, TokenFacts,
};
use super::finding::{Finding, Severity, Subject};
use crate::api::ApiError;
use crate::api::json::{Account, AppInfo, Drain, Feature, Formation};
use crate::codes::Code;
use crate::drain_url::PublicUrl;
use crate::policy::{Act, AppPlan, MemoryBound, Policy, Rate, Rule, Trigger};

const MINUTE: Duration = Duration::from_secs(60);

/// `acme` with two web dynos and a drain that works, watched with a token of scope `write`.
fn well() -> Facts {
    Facts {
        apps: vec![acme()],
        clocks: None,
        fresh_password: "FRESH-PASSWORD".to_owned(),
        home: Home::default(),
        missing: Vec::new(),
        notifiers: Vec::new(),
        notify_asked: false,
        public_url: PublicUrl::parse("https://warden.example.com"),
        store: StoreFact::Opened { place: "sqlite://dynowarden.db".to_owned() },
        tls: None,
        token: token(Err(forbidden()), Some("write"), 4000),
        warnings: Vec::new(),
    }
}

fn acme() -> AppFacts {
    let one = NonZeroU32::MIN;
    let policy = Policy {
        process_types: vec!["web".parse().expect("a type")],
        cooldown: MINUTE,
        max_restarts: Rate { count: one, per: MINUTE },
        give_up_for: MINUTE,
        max_concurrent: one,
        settle: MINUTE,
        min_uptime: 3 * MINUTE,
        boot_timeout: MINUTE,
        window: Vec::new(),
    };
    let trigger = Trigger::Errors { codes: vec![Code::R14], count: one, within: MINUTE };
    let rule = Rule { name: "r14".into(), trigger, act: Act::Restart };
    AppFacts {
        plan: AppPlan { name: "acme".parse().expect("an app"), dry_run: false, policy, rules: vec![rule] },
        info: Ok(AppInfo {
            id: "0123".to_owned(),
            name: "acme".to_owned(),
            maintenance: false,
            generation: Some("cedar".to_owned()),
            space: None,
            web_url: Some("https://acme-0a1b.herokuapp.com/".to_owned()),
        }),
        drains: Ok(vec![drain("d.1", "https://drain:s3cret@warden.example.com/logs/acme")]),
        features: Ok(Vec::new()),
        formation: Ok(vec![formation("web", 2), formation("worker", 1)]),
        password: Some(SecretString::from("s3cret")),
        old_password: None,
        password_place: PasswordPlace::Variable,
        registered: None,
    }
}

fn drain(token: &str, url: &str) -> Drain {
    let token = token.parse().expect("a token");
    Drain { id: "1".to_owned(), token, url: SecretString::from(url), of_addon: false }
}

fn formation(process_type: &str, quantity: u32) -> Formation {
    Formation { process_type: process_type.to_owned(), quantity, size: None }
}

fn forbidden() -> ApiError {
    ApiError::Forbidden { status: 403, id: "forbidden".to_owned() }
}

fn token(account: Result<Account, ApiError>, scope: Option<&str>, left: u32) -> TokenFacts {
    TokenFacts::Asked { account, scope: scope.map(str::to_owned), calls_left: Some(left) }
}

fn memory_rule() -> Rule {
    let above = MemoryBound::OfQuota { permille: 950 };
    Rule { name: "memory".into(), trigger: Trigger::Memory { above, lasting: MINUTE }, act: Act::Restart }
}

/// Changes the facts where all is well, and looks for one finding with these parts of text and fix.
#[track_caller]
fn check(change: impl FnOnce(&mut Facts), severity: Severity, subject: Subject, text: &str, fix: &str) {
    let findings = found(change);
    let fits = |finding: &&Finding| {
        finding.severity == severity
            && finding.subject == subject
            && finding.text.contains(text)
            && finding.fix.as_deref().unwrap_or_default().contains(fix)
    };
    assert!(findings.iter().any(|finding| fits(&finding)), "{text} / {fix}: {findings:#?}");
}

/// The findings, none of which shows a secret and all of which say what to do.
#[track_caller]
fn found(change: impl FnOnce(&mut Facts)) -> Vec<Finding> {
    let mut facts = well();
    change(&mut facts);
    let findings = examine(&facts);
    for finding in &findings {
        let line = finding.to_string();
        assert!(!line.contains("s3cret") && !line.contains("other-pass") && !line.contains('\n'), "{line}");
        assert_eq!(finding.fix.is_none(), finding.severity == Severity::Ok, "{line}");
    }
    findings
}

use Severity::{Error, Ok as Well, Warning};

#[test]
fn where_all_is_well_nothing_is_to_be_mended() {
    let findings = found(|_| {});
    assert!(findings.iter().all(|finding| finding.severity == Well), "{findings:#?}");
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "ok       settings: read, and nothing is missing",
            "ok       token: valid, scope write: what it needs and no more",
            "ok       acme app: found: cedar",
            "ok       acme drain: https://warden.example.com/logs/acme (d.1)",
            "ok       acme formation: web has 2 dynos",
            "ok       store: sqlite://dynowarden.db: opened",
        ]
    );
    let json = serde_json::to_value(&findings[3]).expect("JSON");
    assert_eq!(json["severity"], "ok");
    assert_eq!((&json["subject"], &json["app"]), (&"drain".into(), &"acme".into()));
    assert!(json["fix"].is_null() && json["text"].is_string());
}

#[test]
fn what_is_not_set_is_found() {
    let missing = |setting: &str| MissingSetting {
        name: setting.to_owned(),
        message: format!("{setting} (not set): serve needs it"),
    };
    check(|f| f.missing = vec![missing("HEROKU_APP")], Error, Subject::Settings, "HEROKU_APP", "HEROKU_APP");
    let no_token = |f: &mut Facts| {
        f.token = TokenFacts::Missing;
        f.apps.clear();
        f.missing = vec![missing("HEROKU_API_KEY"), missing("DRAIN_PASSWORD")];
    };
    check(no_token, Error, Subject::Token, "HEROKU_API_KEY is not set", "authorizations:create -s write");
    check(no_token, Error, Subject::Settings, "DRAIN_PASSWORD", "FRESH-PASSWORD");
    check(|f| f.token = TokenFacts::NoHttps, Error, Subject::Token, "HTTPS", "ca-certificates");
    check(|f| f.warnings.push("odd".to_owned()), Warning, Subject::Settings, "odd", "change this setting");
}

#[test]
fn a_clock_that_is_wrong_is_found() {
    let clocks = |here: &str| {
        let there = "2026-01-02T03:00:00Z".parse().expect("a time");
        let here = here.parse().expect("a time");
        move |f: &mut Facts| f.clocks = Some(Clocks { here, there })
    };
    check(clocks("2026-01-02T03:01:59Z"), Well, Subject::Clock, "as Heroku's", "");
    check(clocks("2026-01-02T02:58:01Z"), Well, Subject::Clock, "as Heroku's", "");
    check(clocks("2026-01-02T05:00:00Z"), Error, Subject::Clock, "2h ahead of Heroku's", "set it right");
    check(clocks("2026-01-02T02:00:00Z"), Error, Subject::Clock, "1h behind Heroku's", "set it right");
}

#[test]
fn a_token_can_be_wrong_or_do_too_much() {
    let account = || Ok(Account { email: "ops@example.com".to_owned() });
    let unreachable = || ApiError::Unreachable { what: "no answer".to_owned() };
    let suspended = || ApiError::Forbidden { status: 403, id: "suspended".to_owned() };
    for (facts, severity, text, fix) in [
        (token(Err(ApiError::Unauthorized), None, 0), Error, "401", "authorizations:create -s write"),
        (token(Err(unreachable()), None, 0), Error, "no answer", "HEROKU_API_URL"),
        (token(Err(suspended()), Some("write"), 4000), Error, "suspended", "dashboard"),
        (token(account(), Some("global"), 4000), Warning, "more than it needs", "-s write"),
        (token(Err(forbidden()), Some("write-protected"), 4000), Warning, "config vars", "-s write"),
        (token(account(), Some("identity, write"), 4000), Warning, "read the account", "-s write"),
        (token(Err(forbidden()), Some("read"), 4000), Error, "cannot restart", "-s write"),
        (token(Err(forbidden()), Some("read-protected"), 4000), Error, "cannot restart", "-s write"),
        (token(account(), None, 4000), Warning, "probably global", "-s write"),
        (token(Err(forbidden()), None, 4000), Well, "not global", ""),
        (token(Err(forbidden()), Some("write"), 899), Warning, "only 899 API calls", "75 a minute"),
    ] {
        check(|f| f.token = facts, severity, Subject::Token, text, fix);
    }
}

#[test]
fn an_app_can_be_gone_renamed_or_not_watchable() {
    let is_fir = |f: &mut Facts| {
        f.apps[0].info.as_mut().expect("well").generation = Some("fir".to_owned());
    };
    check(|f| f.apps[0].info = Err(ApiError::NoSuchApp), Error, Subject::App, "404", "heroku apps");
    check(|f| f.apps[0].info = Err(forbidden()), Error, Subject::App, "403", "access:add EMAIL -a acme");
    check(is_fir, Error, Subject::App, "no log drains", "take acme out of HEROKU_APP");
    assert!(found(is_fir).iter().all(|finding| finding.subject != Subject::Drain));
    let renamed = |f: &mut Facts| f.apps[0].info.as_mut().expect("well").name = "apex".to_owned();
    check(renamed, Warning, Subject::App, "renamed to apex", "apex");
}

#[test]
fn a_space_needs_a_rule_about_memory_and_that_needs_metrics() {
    let in_space = |f: &mut Facts| f.apps[0].info.as_mut().expect("well").space = Some("hq".to_owned());
    check(in_space, Warning, Subject::App, "no R14", "on = [\"memory\"]");
    let with_rule = |f: &mut Facts| {
        in_space(f);
        f.apps[0].plan.rules = vec![memory_rule()];
    };
    assert!(found(with_rule).iter().all(|finding| !finding.text.contains("R14")));
    check(with_rule, Error, Subject::Metrics, "is off", "labs:enable log-runtime-metrics -a acme");
    let with_metrics = |f: &mut Facts| {
        with_rule(f);
        f.apps[0].features = Ok(vec![Feature { name: "log-runtime-metrics".to_owned(), enabled: true }]);
    };
    check(with_metrics, Well, Subject::Metrics, "is on", "");
}

#[test]
fn formations_and_preboot_are_looked_at() {
    let scaled = |count| move |f: &mut Facts| f.apps[0].formation = Ok(vec![formation("web", count)]);
    check(scaled(1), Warning, Subject::Formation, "an outage", "ps:scale web=2 -a acme");
    check(scaled(0), Warning, Subject::Formation, "scaled to none", "ps:scale web=2");
    let no_web = |f: &mut Facts| f.apps[0].formation = Ok(vec![formation("api", 3), formation("clock", 1)]);
    check(no_web, Error, Subject::Formation, "no process type web", "api, clock");
    let empty = |f: &mut Facts| f.apps[0].formation = Ok(Vec::new());
    check(empty, Error, Subject::Formation, "no process type web", "deploy it");
    // The app was found, so a 404 for a part of it does not say that it is not there.
    let hidden = |f: &mut Facts| f.apps[0].formation = Err(ApiError::NoSuchApp);
    check(hidden, Warning, Subject::Formation, "the app is there", "try again");
    let hidden = |f: &mut Facts| f.apps[0].features = Err(ApiError::NoSuchApp);
    check(hidden, Warning, Subject::Preboot, "the app is there", "try again");
    let preboot = |f: &mut Facts| {
        f.apps[0].features = Ok(vec![Feature { name: "preboot".to_owned(), enabled: true }]);
    };
    check(preboot, Well, Subject::Preboot, "on; min_uptime of 3m", "");
    let young = |f: &mut Facts| {
        preboot(f);
        f.apps[0].plan.policy.min_uptime = MINUTE;
    };
    check(young, Warning, Subject::Preboot, "min_uptime is 1m", "policy.min_uptime");
}

#[test]
fn a_missing_drain_comes_with_the_command_that_adds_it() {
    let none = |f: &mut Facts| f.apps[0].drains = Ok(Vec::new());
    let exact = r#"heroku drains:add "https://drain:$DRAIN_PASSWORD@warden.example.com/logs/acme" -a acme"#;
    check(none, Error, Subject::Drain, "none of its drains leads here", exact);
    let unset = |f: &mut Facts| {
        none(f);
        f.apps[0].password = None;
    };
    let exact = "heroku drains:add 'https://drain:FRESH-PASSWORD@warden.example.com/logs/acme' -a acme";
    check(unset, Error, Subject::Drain, "none of its drains", exact);
    let unknown = |f: &mut Facts| {
        none(f);
        f.public_url = None;
    };
    check(unknown, Error, Subject::Drain, "none of its", "@YOUR-HOST/logs/acme\" -a acme");
    let elsewhere = |f: &mut Facts| {
        f.apps[0].drains = Ok(vec![drain("d.9", "https://u:s3cret@old.example.com/logs/acme")]);
    };
    check(elsewhere, Error, Subject::Drain, "old.example.com has one", "drains:add");
    let refused = |f: &mut Facts| {
        none(f);
        f.apps[0].registered = Some(Err(forbidden()));
    };
    check(refused, Error, Subject::Drain, "could not be added", "scope write");
    let hidden = |f: &mut Facts| f.apps[0].drains = Err(forbidden());
    check(hidden, Error, Subject::Drain, "403", "scope write");
}

#[test]
fn a_drain_can_be_wrong_in_many_ways() {
    for (url, severity, text, fix) in [
        ("https://u:other-pass@warden.example.com/logs/acme", Error, "another password", "drains:remove d.1"),
        ("https://warden.example.com/logs/acme", Error, "no password", "drains:remove d.1 -a acme"),
        ("https://u:s3cret@warden.example.com/log/acme", Error, "wrong path", "drains:remove d.1"),
        ("https://u:s3cret@warden.example.com/logs/other", Error, "wrong path", "drains:remove d.1"),
        ("syslog+tls://warden.example.com:443", Error, "syslog drain", "drains:remove d.1"),
    ] {
        let wrong = |f: &mut Facts| f.apps[0].drains = Ok(vec![drain("d.1", url)]);
        check(wrong, severity, Subject::Drain, text, fix);
        check(wrong, Error, Subject::Drain, "none that works leads here", "heroku drains:add");
    }
    let old = |f: &mut Facts| {
        f.apps[0].old_password = Some(SecretString::from("0ld"));
        f.apps[0].drains = Ok(vec![drain("d.1", "https://u:0ld@warden.example.com/logs/acme")]);
    };
    check(old, Warning, Subject::Drain, "the old password", "drains:remove d.1 -a acme");
    check(old, Error, Subject::Drain, "none that works leads here", "heroku drains:add");
    let by_token = |f: &mut Facts| {
        f.apps[0].drains = Ok(vec![drain("d.1", "https://:s3cret@warden.example.com/logs")]);
    };
    check(by_token, Well, Subject::Drain, "https://warden.example.com/logs (d.1)", "");
    let twice = |f: &mut Facts| {
        let second = drain("d.2", "https://u:s3cret@warden.example.com/logs");
        f.apps[0].drains.as_mut().expect("well").push(second);
    };
    check(twice, Warning, Subject::Drain, "2 drains lead here", "drains:remove d.2 -a acme");
    let clear = |f: &mut Facts| {
        f.public_url = None;
        f.apps[0].drains = Ok(vec![drain("d.1", "http://u:s3cret@warden.example.com/logs/acme")]);
    };
    check(clear, Warning, Subject::Drain, "in clear", "https");
    let of_addon = |f: &mut Facts| {
        f.apps[0].drains.as_mut().expect("well")[0].of_addon = true;
    };
    check(of_addon, Error, Subject::Drain, "none of its drains", "drains:add");
}

#[test]
fn an_app_that_drains_into_itself_is_a_loop() {
    let at_own_host = |f: &mut Facts| {
        f.public_url = None;
        let url = "https://u:s3cret@ACME-0a1b.herokuapp.com/logs/acme";
        f.apps[0].drains = Ok(vec![drain("d.1", url)]);
    };
    check(at_own_host, Error, Subject::Drain, "drains into itself", "drains:remove d.1 -a acme");
    // Also beside a drain that works, and whatever it does with its own batches.
    let elsewhere = |f: &mut Facts| {
        let drains = f.apps[0].drains.as_mut().expect("well");
        drains.push(drain("d.2", "https://acme-0a1b.herokuapp.com/my-own-logs"));
    };
    check(elsewhere, Error, Subject::Drain, "drains into itself", "drains:remove d.2 -a acme");
    let at_home = |f: &mut Facts| f.home.app_name = Some("acme".to_owned());
    check(at_home, Error, Subject::Drain, "drains into itself", "drains:remove d.1 -a acme");
    let not_yet = |f: &mut Facts| {
        f.home.app_id = Some("0123".to_owned());
        f.apps[0].drains = Ok(Vec::new());
    };
    check(not_yet, Error, Subject::Drain, "runs in", "take acme out");
    assert!(found(not_yet).iter().all(|finding| !finding.to_string().contains("drains:add")));
}

#[test]
fn the_store_and_the_notifiers_are_looked_at() {
    check(|f| f.store = StoreFact::Memory, Warning, Subject::Store, "memory", "DATABASE_URL");
    let broken =
        |f: &mut Facts| f.store = StoreFact::Failed { place: "x".to_owned(), what: "denied".to_owned() };
    check(broken, Error, Subject::Store, "denied", "DATABASE_URL");
    check(|f| f.home.is_on_dyno = true, Warning, Subject::Store, "file of a dyno", "heroku-postgresql");
    check(|f| f.notify_asked = true, Warning, Subject::Notifier, "there is none", "[[notify]]");
    let notifier =
        |test| move |f: &mut Facts| f.notifiers = vec![NotifierFact { name: "slack".into(), test }];
    check(notifier(Some(Ok(()))), Well, Subject::Notifier, "took the test", "");
    check(notifier(None), Well, Subject::Notifier, "not tried", "");
    check(notifier(Some(Err("404".into()))), Error, Subject::Notifier, "slack: 404", "[[notify]]");
}

#[test]
fn a_certificate_of_its_own_is_looked_at() {
    let with = |state, is_for_host| {
        move |f: &mut Facts| {
            let not_after = "2026-03-04T05:06:07Z".parse().expect("a time");
            f.tls = Some(TlsFact { is_for_host, not_after, state });
        }
    };
    let end = "2026-03-04T05:06:07Z";
    check(with(CertificateState::Good, Some(true)), Well, Subject::Tls, end, "");
    check(with(CertificateState::Good, None), Well, Subject::Tls, end, "");
    check(with(CertificateState::Good, Some(false)), Warning, Subject::Tls, "warden.example.com", "tls.cert");
    check(with(CertificateState::ExpiresSoon, Some(true)), Warning, Subject::Tls, end, "renew");
    check(with(CertificateState::Expired, Some(true)), Error, Subject::Tls, end, "renew");
    check(with(CertificateState::NotYet, Some(true)), Error, Subject::Tls, "not good yet", "clock");
    let with_public_url = |url: &'static str| {
        move |f: &mut Facts| {
            with(CertificateState::Good, Some(true))(f);
            f.public_url = PublicUrl::parse(url);
        }
    };
    check(with_public_url("http://127.0.0.1"), Error, Subject::Tls, "public_url", "https");
    let on_heroku = |f: &mut Facts| {
        with(CertificateState::Good, Some(true))(f);
        f.home.is_on_dyno = true;
    };
    check(on_heroku, Error, Subject::Tls, "router", "[tls]");
}
