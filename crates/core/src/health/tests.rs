//! Tables for `check`, facts in and findings out, and the watchdog in simulated time.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use secrecy::SecretString;

use super::alert::HealthAlert;
use super::check::examine;
use super::drains::leading_here;
use super::facts::{
    AppFacts, CertificateState, Clocks, Facts, Identity, MissingSetting, NotifierFact, PasswordPlace,
    StoreFact, StoreState, TlsFact, TokenFacts,
};
use super::finding::{Finding, Severity, Subject};
use super::schedule::Ask;
use super::silence::DrainActivity;
use super::watchdog::{Effect, Input, Options, Watchdog};
use crate::api::ApiError;
use crate::api::json::{Account, AppInfo, Drain, Feature, Formation};
use crate::calendar::{QuietHours, Window};
use crate::codes::Code;
use crate::days::cycles::Cycles;
use crate::drain_url::PublicUrl;
use crate::ident::{AppId, AppName, DrainToken};
use crate::limits;
use crate::policy::{Act, AppPlan, Factor, MemoryBound, Policy, Rate, Rule, Trigger};
use crate::record::NoticeKind;
use crate::time::{Now, earlier};

const MINUTE: Duration = Duration::from_secs(60);

/// A correct setup: `acme` with two web dynos, a drain that works and a token of scope `write`.
fn well() -> Facts {
    Facts {
        apps: vec![acme()],
        clocks: None,
        fresh_password: "FRESH-PASSWORD".to_owned(),
        identity: Identity {
            public_url: PublicUrl::parse("https://warden.example.com"),
            ..Identity::default()
        },
        missing: Vec::new(),
        notifiers: Vec::new(),
        notify_asked: false,
        store: StoreFact { place: "sqlite://dynowarden.db".to_owned(), state: StoreState::Opened },
        tls: None,
        token: token(Err(forbidden()), Some("write"), 4000),
        way_in: None,
        warnings: Vec::new(),
    }
}

fn acme() -> AppFacts {
    let one = NonZeroU32::MIN;
    let policy = Policy {
        process_types: vec!["web".parse().expect("a type")],
        cooldown: MINUTE,
        max_restarts: Rate { count: one, per: MINUTE },
        give_up_after: NonZeroU32::MIN.saturating_add(2),
        give_up_for: MINUTE,
        max_concurrent: one,
        settle: MINUTE,
        min_uptime: 3 * MINUTE,
        boot_timeout: MINUTE,
        window: Vec::new(),
    };
    let trigger = Trigger::Errors { codes: vec![Code::R14], count: one, within: MINUTE };
    let rule = Rule { name: "r14".into(), trigger, act: Act::Restart, window: Vec::new(), proof: None };
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
        cycles: None,
        erring_types: Vec::new(),
        registered: None,
    }
}

fn drain(token: &str, url: &str) -> Drain {
    Drain { id: "1".to_owned(), token: drain_token(token), url: SecretString::from(url), of_addon: false }
}

fn drain_token(text: &str) -> DrainToken {
    text.parse().expect("a token")
}

fn formation(process_type: &str, quantity: u32) -> Formation {
    Formation { process_type: process_type.to_owned(), quantity, size: None }
}

fn forbidden() -> ApiError {
    ApiError::Forbidden { status: 403, id: "forbidden".to_owned(), message: "No access.".to_owned() }
}

fn token(account: Result<Account, ApiError>, scope: Option<&str>, left: u32) -> TokenFacts {
    TokenFacts::Asked { account, scope: scope.map(str::to_owned), calls_left: Some(left) }
}

fn memory_rule() -> Rule {
    let above = MemoryBound::OfQuota { permille: 950 };
    Rule {
        name: "memory".into(),
        trigger: Trigger::Memory { above, lasting: MINUTE },
        act: Act::Restart,
        window: Vec::new(),
        proof: None,
    }
}

/// Changes the facts of a correct setup, and expects a finding with these parts of text and fix.
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

/// Returns the findings, after checking that none shows a secret and each problem has a fix.
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
fn few_calls_left_are_told_with_both_bounds() {
    let few = |facts: &mut Facts| facts.token = token(Err(forbidden()), Some("write"), 800);
    check(
        few,
        Warning,
        Subject::Token,
        "only 800 API calls are left for this account: below 900 it is no longer watched in rounds, and below 10 \
         nothing is restarted",
        "wait",
    );
}

#[test]
fn a_correct_setup_has_only_ok_findings() {
    let findings = found(|_| {});
    assert!(findings.iter().all(|finding| finding.severity == Well), "{findings:#?}");
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "ok       settings: all required settings are present",
            "ok       token: valid, scope write: exactly what it needs",
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
fn a_missing_setting_is_an_error() {
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
fn a_wrong_clock_is_an_error() {
    for (here, severity, text, fix) in [
        ("2026-01-02T03:01:59Z", Well, "agrees with Heroku's", ""),
        ("2026-01-02T02:58:01Z", Well, "agrees with Heroku's", ""),
        ("2026-01-02T05:00:00Z", Error, "2h ahead of Heroku's", "timedatectl set-ntp true"),
        ("2026-01-02T02:00:00Z", Error, "1h behind Heroku's", "timedatectl set-ntp true"),
    ] {
        let [here, there] = [here, "2026-01-02T03:00:00Z"].map(|time| time.parse().expect("a time"));
        check(|f| f.clocks = Some(Clocks { here, there }), severity, Subject::Clock, text, fix);
    }
}

#[test]
fn a_token_can_be_wrong_or_do_too_much() {
    let account = || Ok(Account { email: "ops@example.com".to_owned() });
    let unreachable = || ApiError::Unreachable { what: "no answer".to_owned() };
    let suspended =
        || ApiError::Forbidden { status: 403, id: "suspended".to_owned(), message: "It is.".to_owned() };
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
        (token(Err(forbidden()), Some("write"), 899), Warning, "only 899 API calls", "75 calls a minute"),
    ] {
        check(|f| f.token = facts, severity, Subject::Token, text, fix);
    }
}

#[test]
fn an_app_can_be_gone_renamed_or_not_watchable() {
    let is_fir = |f: &mut Facts| f.apps[0].info.as_mut().expect("well").generation = Some("fir".into());
    check(|f| f.apps[0].info = Err(ApiError::NoSuchApp), Error, Subject::App, "404", "heroku apps");
    check(|f| f.apps[0].info = Err(forbidden()), Error, Subject::App, "403", "access:add EMAIL -a acme");
    check(is_fir, Error, Subject::App, "no log drains", "remove it from HEROKU_APP");
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
fn formations_and_preboot_are_checked() {
    let scaled = |count| move |f: &mut Facts| f.apps[0].formation = Ok(vec![formation("web", count)]);
    check(scaled(1), Warning, Subject::Formation, "takes it down", "ps:scale web=2 -a acme");
    check(scaled(0), Warning, Subject::Formation, "web has no dynos", "ps:scale web=2");
    let no_web = |f: &mut Facts| f.apps[0].formation = Ok(vec![formation("api", 3), formation("clock", 1)]);
    check(no_web, Error, Subject::Formation, "no process type web", "api, clock");
    let empty = |f: &mut Facts| f.apps[0].formation = Ok(Vec::new());
    check(empty, Error, Subject::Formation, "no process type web", "deploy it");
    // A 404 for a part of an app that was found is not about the app.
    let hidden = |f: &mut Facts| f.apps[0].formation = Err(ApiError::NoSuchApp);
    check(hidden, Warning, Subject::Formation, "the app exists", "try again");
    let hidden = |f: &mut Facts| f.apps[0].features = Err(ApiError::NoSuchApp);
    check(hidden, Warning, Subject::Preboot, "the app exists", "try again");
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

/// Gives the app drains with these URLs, named `d.1`, `d.2` and so on.
fn set_drains(f: &mut Facts, urls: &[&str]) {
    let numbered = (1..).zip(urls).map(|(number, url)| drain(&format!("d.{number}"), url));
    f.apps[0].drains = Ok(numbered.collect());
}

const MISSING: &str = "no drain of this app points here";

#[test]
fn a_missing_drain_comes_with_the_command_that_adds_it() {
    let none = |f: &mut Facts| set_drains(f, &[]);
    let exact = r#"heroku drains:add "https://drain:$DRAIN_PASSWORD@warden.example.com/logs/acme" -a acme"#;
    check(none, Error, Subject::Drain, MISSING, exact);
    let unset = |f: &mut Facts| {
        none(f);
        f.apps[0].password = None;
    };
    let exact = "heroku drains:add 'https://drain:FRESH-PASSWORD@warden.example.com/logs/acme' -a acme";
    check(unset, Error, Subject::Drain, MISSING, exact);
    let unknown = |f: &mut Facts| {
        none(f);
        f.identity.public_url = None;
    };
    check(unknown, Error, Subject::Drain, MISSING, "@YOUR-HOST/logs/acme\" -a acme");
    let elsewhere = |f: &mut Facts| set_drains(f, &["https://u:s3cret@old.example.com/logs/acme"]);
    check(elsewhere, Error, Subject::Drain, "one with the same path points to old.example.com", "drains:add");
    let refused = |f: &mut Facts| {
        none(f);
        f.apps[0].registered = Some(Err(forbidden()));
    };
    check(refused, Error, Subject::Drain, "could not be added", "scope write");
    check(|f| f.apps[0].drains = Err(forbidden()), Error, Subject::Drain, "403", "scope write");
}

#[test]
fn a_drain_can_be_wrong_in_many_ways() {
    for (url, severity, text, fix) in [
        (
            "https://u:other-pass@warden.example.com/logs/acme",
            Error,
            "a different password",
            "drains:remove d.1",
        ),
        (
            "https://u:0ld@warden.example.com/logs/acme",
            Warning,
            "the old password",
            "drains:remove d.1 -a acme",
        ),
        ("https://warden.example.com/logs/acme", Error, "no password", "drains:remove d.1 -a acme"),
        ("https://u:s3cret@warden.example.com/log/acme", Error, "wrong path", "drains:remove d.1"),
        ("https://u:s3cret@warden.example.com/logs/other", Error, "wrong path", "drains:remove d.1"),
        ("syslog+tls://warden.example.com:443", Error, "syslog drain", "drains:remove d.1"),
    ] {
        let wrong = |f: &mut Facts| {
            f.apps[0].old_password = Some(SecretString::from("0ld"));
            set_drains(f, &[url]);
        };
        check(wrong, severity, Subject::Drain, text, fix);
        // One finding with both commands: added before the wrong one is removed.
        check(wrong, severity, Subject::Drain, text, "-a acme && heroku drains:remove d.1");
        assert!(found(wrong).iter().all(|finding| !finding.text.contains("no drain of this app")), "{url}");
    }
    let refused = |f: &mut Facts| {
        f.apps[0].registered = Some(Err(forbidden()));
        set_drains(f, &["https://u:other@warden.example.com/logs/acme"]);
    };
    check(refused, Error, Subject::Drain, "could not be added", "scope write");
    check(refused, Error, Subject::Drain, "a different password", "drains:remove d.1");
    let (own, by_token) =
        ("https://u:s3cret@warden.example.com/logs/acme", "https://:s3cret@warden.example.com/logs");
    let shown = "https://warden.example.com/logs (d.1)";
    check(|f| set_drains(f, &[by_token]), Well, Subject::Drain, shown, "");
    let twice = |f: &mut Facts| set_drains(f, &[own, by_token]);
    check(twice, Warning, Subject::Drain, "2 drains point here", "drains:remove d.2 -a acme");
    let clear = |f: &mut Facts| {
        f.identity.public_url = None;
        set_drains(f, &["http://u:s3cret@warden.example.com/logs/acme"]);
    };
    check(clear, Warning, Subject::Drain, "in clear text", "https");
    let of_addon = |f: &mut Facts| f.apps[0].drains.as_mut().expect("well")[0].of_addon = true;
    check(of_addon, Error, Subject::Drain, MISSING, "drains:add");
}

#[test]
fn an_app_that_drains_into_itself_is_a_loop() {
    let at_own_host = |f: &mut Facts| {
        f.identity.public_url = None;
        set_drains(f, &["https://u:s3cret@ACME-0a1b.herokuapp.com/logs/acme"]);
    };
    check(at_own_host, Error, Subject::Drain, "drains into itself", "drains:remove d.1 -a acme");
    // A loop is reported even if another drain works, and regardless of the path.
    let (good, loops) =
        ("https://u:s3cret@warden.example.com/logs/acme", "https://acme-0a1b.herokuapp.com/my-own-logs");
    let both = |f: &mut Facts| set_drains(f, &[good, loops]);
    check(both, Error, Subject::Drain, "drains into itself", "drains:remove d.2 -a acme");
    let not_yet = |f: &mut Facts| {
        f.identity.app_id = Some("0123".to_owned());
        set_drains(f, &[]);
    };
    check(not_yet, Error, Subject::Drain, "runs in", "remove acme from");
    assert!(found(not_yet).iter().all(|finding| !finding.to_string().contains("drains:add")));
}

#[test]
fn the_store_and_the_notifiers_are_checked() {
    check(|f| f.store.state = StoreState::Memory, Warning, Subject::Store, "memory", "DATABASE_URL");
    let broken = |f: &mut Facts| f.store.state = StoreState::Failed("denied".to_owned());
    check(broken, Error, Subject::Store, "denied", "DATABASE_URL");
    check(
        |f| f.identity.is_on_dyno = true,
        Warning,
        Subject::Store,
        "the file is on a dyno",
        "heroku-postgresql",
    );
    check(|f| f.notify_asked = true, Warning, Subject::Notifier, "none is configured", "[[notify]]");
    let notifier =
        |test| move |f: &mut Facts| f.notifiers = vec![NotifierFact { name: "slack".into(), test }];
    check(notifier(Some(Ok(()))), Well, Subject::Notifier, "accepted the test", "");
    check(notifier(None), Well, Subject::Notifier, "not tested", "");
    check(notifier(Some(Err("404".into()))), Error, Subject::Notifier, "slack: 404", "[[notify]]");
}

#[test]
fn the_certificate_is_checked() {
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
    check(with(CertificateState::NotYet, Some(true)), Error, Subject::Tls, "not valid yet", "clock");
    let with_http = |f: &mut Facts| {
        with(CertificateState::Good, Some(true))(f);
        f.identity.public_url = PublicUrl::parse("http://127.0.0.1");
    };
    check(with_http, Error, Subject::Tls, "public_url", "https");
    let on_heroku = |f: &mut Facts| {
        with(CertificateState::Good, Some(true))(f);
        f.identity.is_on_dyno = true;
    };
    check(on_heroku, Error, Subject::Tls, "router", "[tls]");
}

/// The watchdog in simulated time, and the answers that it gets until a test changes them.
struct World {
    watchdog: Watchdog,
    now: Now,
    activities: Vec<DrainActivity>,
    /// Batches come this often from every app, with a sample in each or without.
    batches: Option<(Duration, bool)>,
    drains: Result<Option<DrainToken>, ApiError>,
    dynos: Result<usize, ApiError>,
    probe: Result<u32, ApiError>,
    /// What the API's clock says.
    date: Option<Timestamp>,
    app: Result<AppInfo, ApiError>,
    by_id: Result<AppInfo, ApiError>,
    is_red: Option<bool>,
    /// Apps whose calls are never answered.
    hanging: BTreeSet<AppId>,
    /// Pending answers. Each takes a tenth of a second.
    pending: Vec<(Duration, Input)>,
    asked: Vec<(Duration, Ask)>,
    alerts: Vec<String>,
    most_at_once: usize,
}

fn info(name: &str) -> AppInfo {
    AppInfo { name: name.to_owned(), ..acme().info.expect("well") }
}

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

impl World {
    fn new(options: Options) -> Self {
        let now = Now { mono: secs(5), wall: Timestamp::UNIX_EPOCH };
        let activities = options.apps.iter().map(|_| DrainActivity::default()).collect();
        Self {
            watchdog: Watchdog::new(options, now),
            now,
            activities,
            batches: Some((secs(20), true)),
            drains: Ok(Some(drain_token("d.1"))),
            dynos: Ok(2),
            probe: Ok(limits::API_TOKENS_MAX),
            date: None,
            app: Ok(info("acme")),
            by_id: Err(ApiError::NoSuchApp),
            is_red: Some(false),
            hanging: BTreeSet::new(),
            pending: Vec::new(),
            asked: Vec::new(),
            alerts: Vec::new(),
            most_at_once: 0,
        }
    }

    fn acme() -> Self {
        Self::new(Options { apps: vec![name("acme")], ..Options::default() })
    }

    /// Lets `span` pass, from deadline to deadline.
    fn run(&mut self, span: Duration) -> &mut Self {
        let end = self.now.mono + span;
        let mut steps = 0;
        while self.now.mono < end {
            steps += 1;
            assert!(steps < 200_000, "it never sleeps");
            let answer = self.pending.iter().map(|(at, _)| *at).min().unwrap_or(Duration::MAX);
            let at = self.watchdog.next_deadline().min(answer).min(end).max(self.now.mono);
            self.now = self.now.after(at - self.now.mono);
            let place = self.pending.iter().position(|(due, _)| *due <= at);
            let input = match place {
                Some(place) => self.pending.remove(place).1,
                None => {
                    self.send_batches();
                    Input::Heard(self.activities.clone())
                }
            };
            for effect in self.watchdog.handle(input, self.now) {
                match effect {
                    Effect::Ask(ask) => self.take(ask),
                    Effect::Report(notice) => {
                        let NoticeKind::Health(alert) = &notice.what else { panic!("{notice:?}") };
                        self.alerts.push(format!("{} {alert}", alert.label()));
                    }
                }
            }
        }
        self
    }

    fn send_batches(&mut self) {
        let Some((every, sampled)) = self.batches else { return };
        let times = self.now.mono.as_secs() / every.as_secs();
        let at = Some(secs(times * every.as_secs())).filter(|_| times > 0);
        for activity in &mut self.activities {
            activity.last_batch_at = at.max(activity.last_batch_at);
            if sampled {
                activity.last_sample_at = activity.last_batch_at;
            }
        }
    }

    fn take(&mut self, ask: Ask) {
        let (app, input) = match &ask {
            Ask::App { app, id: None } => (*app, Input::App { app: *app, answer: self.app.clone() }),
            Ask::App { app, id: Some(_) } => (*app, Input::App { app: *app, answer: self.by_id.clone() }),
            Ask::Drains(app) => (*app, Input::Drains { app: *app, answer: self.drains.clone() }),
            Ask::Dynos(app) => (*app, Input::Dynos { app: *app, answer: self.dynos.clone() }),
            Ask::Probe => (AppId(u32::MAX), Input::Probed { answer: self.probe.clone(), date: self.date }),
            Ask::Status => (AppId(u32::MAX), Input::Status { is_red: self.is_red }),
        };
        self.asked.push((self.now.mono, ask));
        if !self.hanging.contains(&app) {
            self.pending.push((self.now.mono + Duration::from_millis(100), input));
        }
        let paid = |input: &Input| !matches!(input, Input::Probed { .. } | Input::Status { .. });
        self.most_at_once = self.most_at_once.max(self.pending.iter().filter(|(_, i)| paid(i)).count());
    }

    #[track_caller]
    fn expect(&mut self, expected: &[&str]) -> &mut Self {
        let alerts = std::mem::take(&mut self.alerts);
        assert_eq!(alerts.len(), expected.len(), "{alerts:#?}");
        for (alert, expected) in alerts.iter().zip(expected) {
            assert!(alert.contains(expected), "{alert} / {expected}");
        }
        self
    }

    fn calls(&self) -> usize {
        self.asked.iter().filter(|(_, ask)| !matches!(ask, Ask::Probe | Ask::Status)).count()
    }
}

fn name(text: &str) -> AppName {
    text.parse().expect("an app")
}

#[test]
fn a_healthy_day_has_no_alerts() {
    let mut world = World::acme();
    world.run(secs(86_400)).expect(&[]);
    let probes = world.asked.iter().filter(|(_, ask)| *ask == Ask::Probe).count();
    assert!((9_000..11_000).contains(&probes), "every eight seconds: {probes}");
    assert!(world.asked.iter().all(|(_, ask)| *ask != Ask::Status), "reading the status page is off");
}

#[test]
fn two_hundred_apps_cost_two_calls_each_and_later_a_fifth_of_the_quota() {
    let apps: Vec<_> = (0..200).map(|place| name(&format!("app-{place}"))).collect();
    let mut world = World::new(Options { apps, ..Options::default() });
    world.app = Err(ApiError::Unreachable { what: String::new() });
    world.run(minutes(1));
    let drains_listed = world.asked.iter().filter(|(_, ask)| matches!(ask, Ask::Drains(_)));
    assert_eq!(drains_listed.clone().count(), 200);
    let last = drains_listed.map(|(at, _)| *at).max().expect("some");
    assert!(last <= secs(9), "the drains were listed only {last:?} after the start");
    assert_eq!((world.calls(), world.most_at_once), (400, limits::ROUND_CALLS_AT_ONCE));
    world.app = Ok(info("app"));
    world.alerts.clear();
    world.run(minutes(60));
    let before = world.calls();
    world.run(minutes(600));
    let per_minute = (world.calls() - before) as f64 / 600.0;
    assert!((10.0..=15.5).contains(&per_minute), "{per_minute} calls a minute");
}

#[test]
fn silence_is_reported_once_and_ends_with_the_next_batch() {
    let mut world = World::acme();
    world.run(minutes(30)).expect(&[]);
    world.batches = None;
    world.run(secs(170)).expect(&[]);
    world.run(secs(40)).expect(&["drain_silent no logs from its drain for 3m"]);
    assert_eq!(world.watchdog.summary().silent, [true]);
    world.run(minutes(300)).expect(&[]);
    world.batches = Some((secs(20), true));
    world.run(minutes(1)).expect(&["recovered logs arrive from its drain again"]);
    assert_eq!(world.watchdog.summary().silent, [false]);
}

#[test]
fn without_samples_silence_takes_longer_and_follows_the_usual_gaps() {
    let mut world = World::acme();
    world.batches = Some((secs(60), false));
    world.run(minutes(60)).expect(&[]);
    world.batches = None;
    world.run(minutes(29)).expect(&[]);
    world.run(minutes(2)).expect(&["drain_silent no logs from"]);
    world.run(minutes(89));
    world.batches = Some((secs(7200), false));
    world.run(minutes(24 * 60)).expect(&["recovered"]);
}

#[test]
fn silence_is_reported_even_if_the_token_cannot_list_drains() {
    let mut world = World::acme();
    world.drains = Err(ApiError::Forbidden {
        status: 403,
        id: "forbidden".to_owned(),
        message: "No access.".to_owned(),
    });
    world.run(minutes(30)).expect(&[]);
    world.batches = None;
    world.run(minutes(5)).expect(&["drain_silent no logs from its drain for 3m"]);
}

#[test]
fn silence_without_running_dynos_is_harmless() {
    let mut world = World::acme();
    world.run(minutes(30));
    world.batches = None;
    world.dynos = Ok(0);
    world.run(minutes(120)).expect(&[]);
    let looks = world.asked.iter().filter(|(_, ask)| matches!(ask, Ask::Dynos(_))).count();
    assert!((5..=13).contains(&looks), "{looks} looks in two hours");
    world.dynos = Ok(1);
    world.run(minutes(15)).expect(&["drain_silent"]);
}

#[test]
fn a_missing_drain_is_reported_unless_batches_arrive() {
    let mut world = World::acme();
    world.drains = Ok(None);
    world.run(minutes(30)).expect(&[]);
    world.batches = None;
    world.run(minutes(5)).expect(&["drain_silent no drain of this app points here"]);
    let mut never = World::acme();
    never.batches = None;
    never.drains = Ok(None);
    never.run(secs(50)).expect(&[]).run(secs(30)).expect(&["no drain of this app"]);
    never.run(minutes(100)).expect(&[]);
}

#[test]
fn a_list_without_the_drain_costs_two_calls_a_round_while_batches_arrive() {
    let mut world = World::acme();
    world.drains = Ok(None);
    world.run(minutes(120)).expect(&[]);
    let lists = world.asked.iter().filter(|(_, ask)| matches!(ask, Ask::Drains(_))).count();
    assert!((12..=26).contains(&lists), "{lists} lists in two hours");
}

#[test]
fn silent_after_replaces_the_usual_gaps() {
    let options = Options { apps: vec![name("acme")], silent_after: Some(secs(2)), ..Options::default() };
    let mut world = World::new(options);
    world.batches = Some((secs(1), false));
    world.run(secs(30)).expect(&[]);
    world.batches = None;
    world.run(secs(5)).expect(&["drain_silent"]);
}

#[test]
fn a_revoked_token_and_its_recovery_are_reported_once() {
    let mut world = World::acme();
    world.run(minutes(15)).expect(&[]);
    assert_eq!(world.watchdog.summary().token_accepted, Some(true));
    world.probe = Err(ApiError::Unauthorized);
    world.drains = Err(ApiError::Unauthorized);
    world.app = Err(ApiError::Unauthorized);
    world.run(minutes(120)).expect(&["failure Heroku rejects the API token (401)"]);
    assert_eq!(world.watchdog.summary().token_accepted, Some(false));
    world.probe = Ok(4000);
    world.drains = Ok(Some(drain_token("d.1")));
    world.app = Ok(info("acme"));
    world.run(minutes(15)).expect(&["recovered the API accepts the token again"]);
}

#[test]
fn a_clock_ahead_and_its_correction_are_reported_once() {
    let mut world = World::acme();
    world.date = Some(world.now.wall);
    world.run(minutes(1)).expect(&[]);
    // The API's clock stands still here, so ours gets ahead.
    world.run(minutes(60)).expect(&["failure this machine's clock is"]);
    world.date = Some(world.now.after(minutes(15)).wall);
    world.run(minutes(15)).expect(&["recovered this machine's clock is right again"]);
}

#[test]
fn a_401_causes_a_probe_at_once() {
    let mut world = World::acme();
    world.run(minutes(5));
    world.probe = Err(ApiError::Unauthorized);
    world.app = Err(ApiError::Unauthorized);
    let before = world.asked.len();
    world.run(minutes(5) + secs(2)).expect(&["failure Heroku rejects the API token"]);
    let asked: Vec<_> = world.asked[before..].iter().map(|(_, ask)| ask).collect();
    assert!(asked.contains(&&Ask::Probe), "{asked:?}");
}

#[test]
fn an_api_that_is_away_is_reported_after_some_probes() {
    let mut world = World::acme();
    world.probe = Err(ApiError::Unreachable { what: "no answer".to_owned() });
    world.run(secs(5)).expect(&[]);
    world.run(secs(25)).expect(&["failure restarts are off"]);
    world.run(minutes(20)).expect(&[]);
    assert!(world.watchdog.summary().api_away);
    world.probe = Ok(4000);
    world.run(minutes(15)).expect(&["recovered the API answers again"]);
}

#[test]
fn an_app_can_vanish_come_back_and_change_its_name() {
    let mut world = World::acme();
    world.run(minutes(1));
    world.app = Err(ApiError::NoSuchApp);
    world.run(minutes(30)).expect(&["failure no access to the app"]);
    assert_eq!(world.watchdog.summary().hidden, [true]);
    world.app = Ok(info("acme"));
    world.by_id = Ok(info("acme"));
    world.run(minutes(30)).expect(&["recovered the app is accessible again"]);
    world.app = Err(ApiError::NoSuchApp);
    world.by_id = Ok(info("apex"));
    world.run(minutes(60)).expect(&["failure renamed to apex"]);
    let mut fir = World::acme();
    fir.app = Ok(AppInfo { generation: Some("fir".to_owned()), ..info("acme") });
    fir.batches = None;
    fir.drains = Ok(None);
    fir.run(minutes(120)).expect(&["failure a Fir app"]);
}

#[test]
fn lost_lines_are_reported_once_an_hour() {
    let mut world = World::acme();
    world.run(minutes(1));
    world.activities[0].lost_messages = 7;
    world.run(minutes(1)).expect(&["failure logplex lost 7 lines"]);
    world.activities[0].lost_messages = 10;
    world.run(minutes(30)).expect(&[]);
    world.activities[0].lost_messages = 20;
    world.run(minutes(31)).expect(&["failure logplex lost 13 lines"]);
}

#[test]
fn calls_wait_while_the_quota_is_short() {
    let mut world = World::acme();
    world.probe = Ok(600);
    world.run(secs(3)).expect(&[]);
    let early = world.calls();
    world.probe = Ok(4000);
    world.run(minutes(3));
    assert_eq!(world.calls(), early, "300 calls are missing from the reserve: four minutes");
    let mut throttled = World::acme();
    throttled.drains = Err(ApiError::Throttled { wait: Some(minutes(5)) });
    throttled.app = Err(ApiError::Throttled { wait: Some(minutes(5)) });
    throttled.run(secs(1));
    let early = throttled.calls();
    throttled.probe = Err(ApiError::Throttled { wait: None });
    throttled.run(minutes(4)).expect(&[]);
    assert_eq!(throttled.calls(), early);
}

#[test]
fn an_app_whose_calls_hang_delays_no_other_app() {
    let apps = vec![name("hung"), name("acme")];
    let mut world = World::new(Options { apps, ..Options::default() });
    world.hanging.insert(AppId(0));
    world.run(minutes(30));
    world.batches = None;
    world.alerts.clear();
    world.run(minutes(5)).expect(&["drain_silent"]);
    let hung = world.asked.iter().filter(|(_, ask)| matches!(ask, Ask::Drains(AppId(0)))).count();
    assert_eq!(hung, 1, "an unanswered call is not repeated");
}

#[test]
fn a_red_status_page_is_reported() {
    let mut world =
        World::new(Options { apps: vec![name("acme")], reads_status: true, ..Options::default() });
    world.run(minutes(10)).expect(&[]);
    world.is_red = Some(true);
    world
        .run(minutes(10))
        .expect(&["failure restarts are off: Heroku's status page shows its system Apps red"]);
    world.is_red = None;
    world.run(minutes(10)).expect(&[]);
    world.is_red = Some(false);
    world.run(minutes(10)).expect(&["recovered"]);
}

#[test]
fn a_drain_of_dynowardens_own_app_is_reported_as_a_loop() {
    let identity = Identity { app_name: Some("acme".to_owned()), ..Identity::default() };
    let options = Options { apps: vec![name("acme")], identity, ..Options::default() };
    let mut world = World::new(options);
    world.run(minutes(60)).expect(&["failure the app drains into itself"]);
}

#[test]
fn a_drain_leads_here_by_its_token_or_its_url() {
    let public = "https://w.example";
    for (url, heard, public, expect) in [
        ("https://u:p@w.example/logs/acme", "d.2", public, true),
        ("https://u:p@w.example/x", "d.2", public, true),
        ("https://u:p@other.example/logs/acme", "d.2", public, false),
        ("https://u:p@other.example/logs/acme", "d.1", public, true),
        ("https://u:p@other.example/logs/acme", "d.2", "", true),
        ("https://u:p@other.example/elsewhere", "d.2", "", false),
        ("no URL at all", "d.2", "", false),
    ] {
        let identity = Identity { public_url: PublicUrl::parse(public), ..Identity::default() };
        for of_addon in [false, true] {
            let drains = [Drain { of_addon, ..drain("d.1", url) }];
            let found = leading_here(&drains, &[drain_token(heard)], &identity, &name("acme"));
            assert_eq!(found.is_some(), expect, "{url} {heard}");
        }
    }
}

#[test]
fn check_and_the_watchdog_use_the_same_words() {
    let (here, lead) = (Timestamp::UNIX_EPOCH, 60 * MINUTE);
    let loops = HealthAlert::DrainLoops { app: name("acme"), drain: drain_token("d.1") };
    for alert in [
        HealthAlert::AppIsFir,
        HealthAlert::AppRenamed { to: "apex".to_owned() },
        HealthAlert::ClockAhead { lead },
        loops,
        HealthAlert::TokenRefused,
    ] {
        let findings = found(|f| match &alert {
            HealthAlert::AppIsFir => f.apps[0].info.as_mut().expect("well").generation = Some("fir".into()),
            HealthAlert::AppRenamed { to } => f.apps[0].info = Ok(info(to)),
            HealthAlert::ClockAhead { .. } => f.clocks = Some(Clocks { here, there: earlier(here, lead) }),
            HealthAlert::DrainLoops { .. } => f.identity.app_name = Some("acme".to_owned()),
            _ => f.token = token(Err(ApiError::Unauthorized), None, 0),
        });
        assert!(findings.iter().any(|finding| finding.clone().words() == alert.words()), "{alert}");
    }
    // Only `check` knows the command that adds a drain.
    assert_eq!(HealthAlert::DrainMissing.words().0, MISSING);
}

#[test]
fn settings_that_are_probably_not_meant_are_warned_of() {
    let texts = |app: &AppFacts| -> Vec<String> {
        let facts = Facts { apps: vec![app.clone()], ..well() };
        let warnings = examine(&facts).into_iter().filter(|finding| finding.severity == Warning);
        warnings.map(|finding| finding.text).collect()
    };
    assert_eq!(texts(&acme()), [""; 0]);
    let with_rule = |code: Code, count: u32, within: Duration| {
        let mut app = acme();
        let count = NonZeroU32::new(count).expect("a count");
        app.plan.rules[0].trigger = Trigger::Errors { codes: vec![code], count, within };
        app
    };
    let h12: Code = "H12".parse().expect("a code");
    let mut worker = with_rule(h12, 5, MINUTE);
    worker.plan.policy.process_types = vec!["worker".parse().expect("a type")];
    let mut old = acme();
    old.plan.policy.min_uptime = 24 * 60 * MINUTE;
    let with_trigger = |trigger: Trigger| {
        let mut app = acme();
        app.plan.rules[0].trigger = trigger;
        app
    };
    let with_windows = |of_rule: &str, of_policy: &str| {
        let mut app = acme();
        app.plan.rules[0].window = vec![of_rule.parse().expect("a window")];
        app.plan.policy.window = vec![of_policy.parse().expect("a window")];
        app
    };
    let hours = |count: u32| with_trigger(Trigger::Uptime { above: count * 60 * MINUTE });
    let slow = |dynos: u32| {
        let mut app = with_trigger(Trigger::SlowerThanPeers { above: Factor { permille: 1500 } });
        app.formation.as_mut().expect("a formation")[0].quantity = dynos;
        app
    };
    let mut erring = acme();
    erring.erring_types = vec!["worker".to_owned(), "web".to_owned(), "worker".to_owned()];
    let with_drain = |url: &str| {
        let mut app = acme();
        app.drains.as_mut().expect("drains").push(drain("d.2", url));
        app
    };
    let left = with_drain("syslog+tls://logs7.papertrailapp.com:12345");
    let mut owned = left.clone();
    owned.drains.as_mut().expect("drains")[1].of_addon = true;
    for (app, part) in [
        (with_rule(Code::R14, 30, 5 * MINUTE), Some("can never restart: a dyno logs about one R14 in 20s")),
        (with_rule(Code::R14, 5, 5 * MINUTE), None),
        (with_rule(h12, 1, MINUTE), Some("restarts a dyno for one H12")),
        (with_rule(h12, 5, MINUTE), None),
        (worker, Some("H codes are about web dynos")),
        (old, Some("hardly any rule can ever restart: min_uptime is 1d")),
        (
            hours(28),
            Some("can never restart: above is 1d 4h, and Heroku itself cycles a dyno after 1d 3h 36m"),
        ),
        (hours(27), None),
        (slow(2), Some("can never restart: it compares three dynos of a type or more")),
        (slow(3), None),
        (
            with_windows("Mon 00:00-06:00", "Tue 00:00-06:00"),
            Some("can never restart: its window and policy.window are never both open"),
        ),
        (with_windows("Mon 00:00-06:00", "Mon 10:00-11:00 Asia/Tokyo"), None),
        // In Berlin it is 03:00 only in summer.
        (with_windows("01:30-02:00", "03:00-04:00 Europe/Berlin"), None),
        (with_windows("Mon 00:00-06:00", "quiet"), None),
        (erring, Some("worker dynos err, and are not restarted")),
        (left, Some("the drain d.2 to logs7.papertrailapp.com belongs to no add-on")),
        (owned, None),
        (with_drain("https://logs.example.com/heroku?key=s3cret"), Some("to logs.example.com belongs to no")),
        (with_drain("nonsense"), Some("the drain d.2 to an invalid URL belongs to no add-on")),
    ] {
        let texts: Vec<_> = texts(&app).into_iter().filter(|text| !text.contains("only one dyno")).collect();
        assert_eq!(texts.len(), usize::from(part.is_some()), "{texts:?}");
        assert!(part.is_none_or(|part| texts[0].contains(part)), "{texts:?}");
    }
}

#[test]
fn daily_restarts_show_what_the_quiet_hours_would_save() {
    let texts = |app: &AppFacts| -> Vec<String> {
        let found = examine(&Facts { apps: vec![app.clone()], ..well() });
        assert!(found.iter().all(|finding| finding.severity == Severity::Ok), "{found:?}");
        let about =
            found.into_iter().map(|finding| finding.text).filter(|text| text.starts_with("Heroku restarted"));
        about.collect()
    };
    let mut cycled = acme();
    let quiet = QuietHours { from: 3, zone: TimeZone::UTC };
    cycled.cycles = Some(Cycles { count: 9, busy: 7, days: 14, quiet, fewer_percent: 72 });
    let mut cycled_by_rule = cycled.clone();
    cycled_by_rule.plan.rules.push(Rule {
        name: "quiet-cycle".into(),
        trigger: Trigger::Uptime { above: 60 * 16 * MINUTE },
        act: Act::Restart,
        window: vec![Window::Quiet],
        proof: None,
    });
    let expect = "Heroku restarted dynos 9 times in 14 days, 7 of them in the busiest 8 hours of the day; a rule with \
        on = [\"uptime\"], above = \"16h\", window = [\"quiet\"] restarts them first, from 03:00 to 06:00 UTC, when \
        there are 72% fewer requests";
    assert_eq!(texts(&cycled), [expect]);
    // Neither a rule that only notifies nor one at any hour makes those restarts.
    for change in [|rule: &mut Rule| rule.act = Act::Notify, |rule: &mut Rule| rule.window.clear()] {
        let mut other = cycled_by_rule.clone();
        change(other.plan.rules.last_mut().expect("one was pushed"));
        assert_eq!(texts(&other), [expect]);
    }
    let mut saves_nothing = cycled.clone();
    saves_nothing.cycles.as_mut().expect("they are known").fewer_percent = 0;
    assert_eq!(texts(&saves_nothing), [""; 0]);
    assert_eq!(texts(&cycled_by_rule), [""; 0]);
    assert_eq!(texts(&acme()), [""; 0]);
}
