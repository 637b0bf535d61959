//! Settings from the outside: their sources, and the message for each mistake.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use dynowarden::config::keys::SECTIONS;
use dynowarden::config::problem::Problems;
use dynowarden::config::settings::{
    ChannelSettings, Database, LogFormat, NotifierSettings, Settings, SmtpSecurity,
};
use dynowarden::config::{self, Needs, Sources};
use dynowarden_core::policy::{Act, MemoryBound, Trigger};
use proptest::prelude::{Strategy as _, any, proptest};
use secrecy::ExposeSecret as _;

/// A machine: files by their path, and variables.
#[derive(Clone, Default)]
struct Machine {
    files: BTreeMap<String, String>,
    env: Vec<(OsString, OsString)>,
    config: Option<String>,
}

impl Machine {
    fn new() -> Self {
        Self::default()
    }

    /// With this text in the default settings file.
    fn toml(self, text: &str) -> Self {
        self.file("dynowarden.toml", text)
    }

    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    fn load(&self, needs: Needs) -> Result<Settings, Problems> {
        let read_file = |path: &Path| {
            let path = path.to_str().expect("tests name files in UTF-8");
            self.files
                .get(path)
                .cloned()
                .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
        };
        let config = self.config.as_deref().map(Path::new);
        config::load(&Sources { config, env: &self.env, read_file: &read_file }, needs)
    }

    #[track_caller]
    fn settings(&self) -> Settings {
        self.load(Needs::Nothing).unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// The problems, one line each.
    #[track_caller]
    fn problems(&self, needs: Needs) -> String {
        self.load(needs).expect_err("these settings are wrong").to_string()
    }
}

#[track_caller]
fn check_toml(text: &str, expect: &str) {
    assert_eq!(Machine::new().toml(text).problems(Needs::Nothing), expect);
}

#[track_caller]
fn check_env(name: &str, value: &str, expect: &str) {
    assert_eq!(Machine::new().env(name, value).problems(Needs::Nothing), expect);
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

// === What is read ===

#[test]
fn an_old_drain_password_is_accepted_until_it_is_removed() {
    let machine = Machine::new()
        .toml("[[app]]\nname = 'b'\ndrain_password_file = '/b'\n[[app]]\nname = 'c'\ndrain_password_file = '/b'\n\
               old_drain_password_file = '/c'")
        .file("/b", "own")
        .file("/c", "old-of-c")
        .env("HEROKU_APP", "a")
        .env("DRAIN_PASSWORD", "new")
        .env("DRAIN_PASSWORD_OLD", "old");
    let settings = machine.settings();
    let passwords = |place: usize| -> Vec<&str> {
        settings.apps[place].drain_passwords().map(|held| held.expose_secret()).collect()
    };
    assert_eq!(passwords(0), ["new", "old"]);
    assert_eq!(passwords(1), ["own"], "the common one never was its own");
    assert_eq!(passwords(2), ["own", "old-of-c"]);
    assert!(
        settings.warnings.iter().any(|warning| warning.contains("remove it from the settings")),
        "{:?}",
        settings.warnings
    );
    let machine = Machine::new().env("HEROKU_APP", "a").env("DRAIN_PASSWORD", "new-and-long-enough");
    assert!(machine.settings().warnings.is_empty());
}

#[test]
fn defaults_match_the_manual() {
    let settings = Machine::new().settings();
    assert_eq!(settings.listen.to_string(), "0.0.0.0");
    assert_eq!((settings.port, settings.log_format), (8080, None));
    assert!(settings.apps.is_empty() && settings.warnings.is_empty());
    assert!(settings.admin_password.is_none() && settings.hook_key.is_none());
    assert!(matches!(&settings.database, Database::Sqlite(path) if path == Path::new("dynowarden.db")));
    assert_eq!(settings.store_keep, minutes(90 * 24 * 60));
    assert_eq!(settings.keep_series, minutes(14 * 24 * 60));
    assert_eq!(settings.heroku.api_url, "https://api.heroku.com");
    assert_eq!(settings.heroku.request_timeout, Duration::from_secs(10));
    assert_eq!((settings.drain.body_bytes_max, settings.drain.connections_max), (8 << 20, 4096));
    assert!(settings.drain.statistics && settings.drain.evidence && settings.notifiers.is_empty());

    assert!(!settings.defaults.dry_run);
    let policy = &settings.defaults.policy;
    assert_eq!(policy.process_types, ["web".parse().expect("a type")]);
    assert_eq!(policy.cooldown, minutes(10));
    assert_eq!((policy.max_restarts.count.get(), policy.max_restarts.per), (8, minutes(120)));
    assert_eq!(policy.give_up_after.get(), 3);
    assert_eq!(policy.give_up_for, minutes(360));
    assert_eq!(policy.max_concurrent.get(), 1);
    assert_eq!(policy.settle, Duration::from_secs(30));
    assert_eq!((policy.min_uptime, policy.boot_timeout), (minutes(3), minutes(3)));
    assert!(policy.window.is_empty());

    let [rule] = settings.defaults.rules.as_slice() else { panic!("one rule") };
    assert_eq!((&*rule.name, rule.act), ("memory-quota-exceeded", Act::Restart));
    let Trigger::Errors { codes, count, within } = &rule.trigger else { panic!("a rule on codes") };
    assert_eq!((codes.len(), codes[0].to_string().as_str(), count.get(), *within), (1, "R14", 1, minutes(5)));
}

#[test]
fn the_environment_overrides_the_file() {
    let machine = Machine::new()
        .toml("port = 1\nlog_format = \"text\"\nheroku.api_url = \"https://a\"\npolicy.cooldown = \"1m\"\n")
        .env("PORT", "2")
        .env("DYNOWARDEN_PORT", "3")
        .env("DYNOWARDEN_HEROKU__API_URL", "https://b/")
        .env("DYNOWARDEN_POLICY__COOLDOWN", "15m")
        .env("DYNOWARDEN_DRY_RUN", "true")
        .env("DYNOWARDEN_POLICY__MAX_CONCURRENT", "2")
        .env("DYNOWARDEN_DRAIN__MAX_BODY", "2097152")
        .env("LOG_FORMAT", "json")
        .env("DATABASE_URL", "memory")
        .env("RUST_LOG", "debug")
        .env("HEROKU_API_KEY", "a-token")
        .env("UNRELATED", "x");
    let settings = machine.settings();
    assert_eq!((settings.port, settings.log_format), (2, Some(LogFormat::Json)));
    assert_eq!(settings.heroku.api_url, "https://b");
    assert_eq!(settings.heroku.api_key.expect("a token").expose_secret(), "a-token");
    assert_eq!(settings.defaults.policy.cooldown, minutes(15));
    assert_eq!(settings.defaults.policy.max_concurrent.get(), 2);
    assert_eq!(settings.drain.body_bytes_max, 2 << 20);
    assert!(settings.defaults.dry_run && matches!(settings.database, Database::Memory));
    assert_eq!(settings.log_filter.as_deref(), Some("debug"));
    // A value that the environment overrides is not read at all.
    let hidden = Machine::new().toml("port = \"x\"").env("PORT", "0").settings();
    assert_eq!(hidden.port, 0);
}

#[test]
fn lists_in_variables_are_plain_or_toml() {
    let types = |value: &str| -> Vec<String> {
        let settings = Machine::new().env("DYNOWARDEN_POLICY__PROCESS_TYPES", value).settings();
        settings.defaults.policy.process_types.iter().map(ToString::to_string).collect()
    };
    assert_eq!(types("web,worker"), ["web", "worker"]);
    assert_eq!(types(" web , worker,,web"), ["web", "worker"]);
    assert_eq!(types("['web', \"worker\"]"), ["web", "worker"]);

    let windows = |value: &str| {
        let settings = Machine::new()
            .toml("policy.window = ['00:00-01:00']")
            .env("DYNOWARDEN_POLICY__WINDOW", value)
            .settings();
        settings.defaults.policy.window.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        windows("Mon,Wed 00:00-06:00,Sat 10:00-12:00"),
        ["Mon,Wed 00:00-06:00 UTC", "Sat 10:00-12:00 UTC"]
    );
    assert_eq!(windows("[]"), Vec::<String>::new());
    assert_eq!(windows(""), ["daily 00:00-01:00 UTC"]);

    let rules = "[{ name = 'slow', on = ['R14'], count = 2, do = 'notify' }]";
    let settings = Machine::new().env("DYNOWARDEN_RULE", rules).settings();
    assert_eq!(&*settings.defaults.rules[0].name, "slow");
    let settings = Machine::new().env("DYNOWARDEN_APP", "[{ name = 'acme' }]").settings();
    assert_eq!(settings.apps[0].plan.name.as_str(), "acme");
}

#[test]
fn secrets_come_from_variables_or_files() {
    let text =
        "heroku.api_key_file = '/s/token'\ndrain.password_file = '/s/drain'\nadmin.password_file = '/s/admin'
        hook.key_file = '/s/hook'\nstore.url_file = '/s/url'\n";
    let machine = Machine::new()
        .toml(text)
        .file("/s/token", "token\n")
        .file("/s/drain", "drain\r\n")
        .file("/s/admin", "ad:min pass")
        .file("/s/hook", "hook\n")
        .file("/s/url", "postgres://u:p@h/d\n");
    let settings = machine.settings();
    assert_eq!(settings.heroku.api_key.expect("set").expose_secret(), "token");
    assert_eq!(settings.drain.password.expect("set").expose_secret(), "drain");
    assert_eq!(settings.admin_password.expect("set").expose_secret(), "ad:min pass");
    assert_eq!(settings.hook_key.expect("set").expose_secret(), "hook");
    assert!(
        matches!(settings.database, Database::Postgres(url) if url.expose_secret() == "postgres://u:p@h/d")
    );

    let machine = machine
        .env("HEROKU_API_KEY", "of-env")
        .env("DATABASE_URL", "memory")
        .env("DRAIN_PASSWORD", "")
        .env("DYNOWARDEN_HOOK__KEY_FILE", "/s/drain");
    let settings = machine.settings();
    assert_eq!(settings.heroku.api_key.expect("set").expose_secret(), "of-env");
    assert_eq!(settings.drain.password.expect("empty is unset").expose_secret(), "drain");
    assert_eq!(settings.hook_key.expect("set").expose_secret(), "drain");
    assert!(matches!(settings.database, Database::Memory));
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let mut machine = Machine::new();
    for name in ["HEROKU_API_KEY", "DRAIN_PASSWORD", "ADMIN_PASSWORD", "HOOK_KEY", "HEROKU_APP", "PORT"] {
        machine = machine.env(name, "");
    }
    let settings = machine.settings();
    assert!(settings.heroku.api_key.is_none() && settings.drain.password.is_none());
    assert!(settings.admin_password.is_none() && settings.hook_key.is_none());
    assert!(settings.apps.is_empty());
}

#[test]
fn apps_come_from_both_sources_and_override_common_settings() {
    let text = "
        [policy]
        cooldown = '20m'
        settle = '1s'
        [[rule]]
        name = 'common'
        on = ['R14']
        do = 'notify'
        [[app]]
        name = 'tabled'
        drain_password_file = '/s/own'
        drain_tokens = ['d.1']
        process_types = ['worker']
        [app.policy]
        cooldown = '30m'
        window = ['00:00-06:00']
        [[app.rule]]
        name = 'own'
        on = ['memory']
        above = '480MB'
        for = '1m'
        do = 'restart'
        [[app]]
        name = 'last'";
    let machine = Machine::new()
        .toml(text)
        .file("/s/own", "own\n")
        .env("HEROKU_APP", "first, tabled,first,")
        .env("DRAIN_PASSWORD", "common")
        .env("DYNOWARDEN_POLICY__SETTLE", "2s");
    let settings = machine.settings();
    let names: Vec<_> = settings.apps.iter().map(|app| app.plan.name.as_str()).collect();
    assert_eq!(names, ["first", "tabled", "last"]);

    let password = |place: usize| settings.apps[place].drain_password.as_ref().expect("set").expose_secret();
    assert_eq!([password(0), password(1), password(2)], ["common", "own", "common"]);
    let [first, tabled, last] = settings.apps.as_slice() else { panic!("three apps") };
    assert_eq!((first.plan.policy.cooldown, tabled.plan.policy.cooldown), (minutes(20), minutes(30)));
    assert_eq!(tabled.plan.policy.settle, Duration::from_secs(2));
    assert_eq!(tabled.plan.policy.process_types[0].as_str(), "worker");
    assert_eq!(tabled.plan.policy.window.len(), 1);
    assert_eq!(tabled.drain_tokens[0].as_str(), "d.1");
    assert_eq!((&*first.plan.rules[0].name, &*last.plan.rules[0].name), ("common", "common"));
    let [own] = tabled.plan.rules.as_slice() else { panic!("one rule") };
    let Trigger::Memory { above: MemoryBound::Size(size), lasting } = own.trigger else {
        panic!("on memory")
    };
    assert_eq!((size.hundredths, lasting), (48_000, minutes(1)));

    assert_eq!(settings.plan_for(&"tabled".parse().expect("a name")), tabled.plan);
    let other = settings.plan_for(&"other".parse().expect("a name"));
    assert_eq!((other.name.as_str(), other.policy.cooldown), ("other", minutes(20)));
}

#[test]
fn dry_run_applies_to_every_app() {
    let settings = Machine::new().toml("dry_run = true").env("HEROKU_APP", "a,b").settings();
    assert!(settings.apps.iter().all(|app| app.plan.dry_run));
}

#[test]
fn the_settings_file_can_be_chosen() {
    let machine = Machine::new().file("/etc/x.toml", "\u{feff}port = 1").toml("port = 2");
    assert_eq!(machine.settings().port, 2);
    let named = Machine { config: Some("/etc/x.toml".to_owned()), ..machine };
    assert_eq!(named.settings().port, 1);
    let absent = Machine { config: Some("/etc/y.toml".to_owned()), ..Machine::new() };
    assert_eq!(
        absent.problems(Needs::Serving),
        "--config (command line): read \"/etc/y.toml\"; allowed: a readable settings file (no \
         such file)"
    );
}

#[test]
fn variables_set_by_orchestrators_are_ignored() {
    let settings = Machine::new()
        .env("DYNOWARDEN_SERVICE_HOST", "10.0.0.1")
        .env("DYNOWARDEN_PORT", "tcp://10.0.0.1:80")
        .env("DYNOWARDEN_PORT_80_TCP", "tcp://10.0.0.1:80")
        .settings();
    assert_eq!(settings.port, 8080);
}

#[test]
fn unwise_settings_cause_a_warning() {
    let settings = Machine::new()
        .toml(
            "[drain]\nmax_body = 2048\nstatistics = false\n[[rule]]\nname='x'\non=['R15']\ndo='restart'\n\
             [[rule]]\nname='slow'\non=['slower_than_peers']\nabove='1.5x'\ndo='notify'\n",
        )
        .env("HEROKU_API_URL", "http://heroku.test:80")
        .env("DYNOWARDEN_HEROKU__ALLOW_HTTP", "true")
        .env("HEROKU_APP", "acme,blog")
        .env("DRAIN_PASSWORD", "canary")
        .env("DRAIN_PASSWORD_OLD", "canary-that-is-long")
        .env("ADMIN_PASSWORD", "canary")
        .env("HOOK_KEY", "canary")
        .settings();
    let warnings = settings.warnings.join("\n");
    for part in [
        "sends the token in clear text",
        "drain.max_body is 2KiB",
        "R15 (",
        "the rule slow can never fire: drain.statistics is false",
        "ADMIN_PASSWORD is also a drain password",
        "HOOK_KEY is also a drain password",
        "HOOK_KEY is also ADMIN_PASSWORD",
        "ADMIN_PASSWORD is short",
        "HOOK_KEY is short",
        "DRAIN_PASSWORD (of acme) is short",
        "DRAIN_PASSWORD (of blog) is short",
        "an old drain password",
    ] {
        assert!(warnings.contains(part), "{part} in {warnings}");
    }
    assert_eq!(settings.warnings.len(), 12, "{warnings}");
    assert!(!warnings.contains("canary"));
}

#[test]
fn a_key_that_is_also_the_admin_password_causes_a_warning() {
    let settings =
        Machine::new().env("ADMIN_PASSWORD", "long-and-secret").env("HOOK_KEY", "long-and-secret").settings();
    assert!(settings.warnings[0].starts_with("HOOK_KEY is also ADMIN_PASSWORD"), "{:?}", settings.warnings);
}

// === What is refused ===

#[test]
fn http_to_another_machine_is_refused_unless_it_is_allowed() {
    for (url, is_fine) in [
        ("http://127.0.0.1:5000", true),
        ("http://localhost:5000", true),
        ("https://heroku.test", true),
        ("http://heroku.test", false),
        ("http://10.0.0.1:5000", false),
    ] {
        let refused = Machine::new().env("HEROKU_API_URL", url).load(Needs::Nothing);
        assert_eq!(refused.is_ok(), is_fine, "{url}");
        if let Err(problems) = refused {
            let problems = problems.to_string();
            assert!(problems.contains("HEROKU_API_URL") && problems.contains("allow_http"), "{problems}");
        }
        let allowed = Machine::new().env("HEROKU_API_URL", url).toml("heroku.allow_http = true\n");
        assert!(allowed.load(Needs::Nothing).is_ok(), "{url}");
    }
}

#[test]
fn a_value_in_quotes_is_refused_with_its_fix() {
    for (name, value) in [
        ("HEROKU_API_KEY", "\"HRKU-canary\""),
        ("DRAIN_PASSWORD", "'canary'"),
        ("HEROKU_APP", "\"acme\""),
        ("DYNOWARDEN_POLICY__COOLDOWN", "\"10m\""),
    ] {
        let problems = Machine::new().env(name, value).problems(Needs::Nothing);
        assert!(
            problems.contains(name) && problems.contains("allowed: the value without them"),
            "{problems}"
        );
        assert!(!problems.contains("canary"), "{problems}");
    }
}

#[test]
fn what_a_quoted_value_was_is_shown_unless_it_is_secret() {
    check_env(
        "DYNOWARDEN_POLICY__COOLDOWN",
        "\"15m\"",
        "policy.cooldown (environment variable DYNOWARDEN_POLICY__COOLDOWN): read \"15m\", which is in quotes; \
         allowed: the value without them (`docker --env-file` keeps quotes)",
    );
    check_env(
        "PORT",
        "'8080'",
        "PORT (environment variable PORT): read \"8080\", which is in quotes; allowed: the value without them \
         (`docker --env-file` keeps quotes)",
    );
    for (name, value) in [
        ("DYNOWARDEN_STORE__URL", "\"postgres://u:canary@h/d\""),
        ("HEROKU_API_URL", "\"https://u:canary@h\""),
        ("DYNOWARDEN_PUBLIC_URL", "\"https://u:canary@h\""),
        ("SLACK_URL", "\"https://h/canary\""),
    ] {
        let problems = Machine::new().env(name, value).problems(Needs::Nothing);
        assert!(problems.contains("the value (not shown) is in quotes"), "{problems}");
    }
}

#[test]
fn an_app_that_is_nearly_named_is_suggested() {
    for (value, hint) in [
        ("acme.herokuapp.com", "did you mean acme?"),
        ("https://dashboard.heroku.com/apps/acme", "did you mean acme?"),
        ("Acme,shop", "did you mean acme?"),
        ("acme shop", "separate apps with commas: acme,shop"),
    ] {
        let problems = Machine::new().env("HEROKU_APP", value).problems(Needs::Nothing);
        assert!(problems.contains(hint), "{problems}");
    }
    for name in ["https://acme.herokuapp.com", "Acme", "acme.herokuapp.com"] {
        let problems = Machine::new().toml(&format!("[[app]]\nname = '{name}'")).problems(Needs::Nothing);
        let expect =
            format!("app.name (dynowarden.toml line 2): read \"{name}\"; allowed: the name of a Heroku app");
        assert!(problems.starts_with(&expect) && problems.contains("did you mean acme?"), "{problems}");
    }
}

#[test]
fn a_filter_that_the_log_cannot_parse_is_rejected() {
    let problems = Machine::new().env("RUST_LOG", "x===").problems(Needs::Nothing);
    let expect =
        "RUST_LOG (environment variable RUST_LOG): read \"x===\"; allowed: a filter such as `info` or";
    assert!(problems.starts_with(expect), "{problems}");
    for filter in ["", " ", "debug", "dynowarden=debug,warn"] {
        let read = Machine::new().env("RUST_LOG", filter).settings().log_filter;
        assert_eq!(read.as_deref(), Some(filter).filter(|filter| !filter.trim().is_empty()));
    }
}

#[test]
fn serve_needs_a_token_a_password_and_an_app() {
    assert_eq!(
        Machine::new().problems(Needs::Serving),
        "HEROKU_API_KEY (not set): serve needs a token; `heroku authorizations:create -s write` creates one \
         (or \
         heroku.api_key_file names the file that holds it)\n\
         HEROKU_APP (not set): serve needs an app to watch, or several separated by commas (or [[app]] \
         tables)\n\
         DRAIN_PASSWORD (not set): serve needs the password of the drain's URL (or drain.password_file names \
         the file that holds it)"
    );
    let machine = Machine::new().env("HEROKU_API_KEY", "t").env("HEROKU_APP", "a,b");
    assert_eq!(
        machine.problems(Needs::Serving),
        "DRAIN_PASSWORD (not set): serve needs the password of the drain's URL; a, b would accept logs \
         from anyone \
         (or drain.password_file, or app.drain_password_file, names the file that holds it)"
    );
    assert!(machine.load(Needs::Nothing).is_ok());
    assert!(machine.env("DRAIN_PASSWORD", "p").load(Needs::Serving).is_ok());
    let own = Machine::new()
        .env("HEROKU_API_KEY", "t")
        .toml("[[app]]\nname = 'a'\ndrain_password_file = '/own'")
        .file("/own", "p");
    assert!(own.load(Needs::Serving).is_ok());
}

#[test]
fn all_problems_are_reported_at_once_and_each_only_once() {
    let machine = Machine::new()
        .toml("[policy]\ncooldown = 10\ncool_down = \"5m\"\n[drain]\npassword_file = \"/nowhere\"\n")
        .env("HEROKU_APP", "Acme")
        .env("PORT", "http")
        .env("HEROKU_API_KEY", "two words");
    assert_eq!(
        machine.problems(Needs::Serving),
        "HEROKU_API_KEY (environment variable HEROKU_API_KEY): the value (not shown) is not valid; allowed: \
         a token \
         as `heroku authorizations:create -s write` prints it, without spaces, at most 1024 bytes\n\
         HEROKU_APP (environment variable HEROKU_APP): read \"Acme\"; allowed: names of Heroku apps, as \
         `heroku \
         apps` lists them, comma-separated (\"Acme\" is not an app's name: lower-case letters, digits and \
         -, at \
         most 128; did you mean acme?)\n\
         PORT (environment variable PORT): read \"http\"; allowed: a whole number from 0 to 65535\n\
         policy.cooldown (dynowarden.toml line 2): read 10; allowed: a duration such as 300ms, 30s, 5m, 2h, \
         1d or 1h30m in quotes, from 0s to 30d\n\
         policy.cool_down (dynowarden.toml line 3): there is no such setting; did you mean policy.cooldown?\n\
         drain.password_file (dynowarden.toml line 5): read \"/nowhere\", but that file cannot be read (no \
         such \
         file); allowed: the path of a file that holds the secret"
    );
}

#[test]
fn syntax_errors_name_line_and_column() {
    check_toml(
        "port = 1\n[policy\ncooldown = \"5m\"\nsettle = = 1\n",
        "TOML syntax (dynowarden.toml line 2 column 8): unclosed table, expected `]`\n\
         TOML syntax (dynowarden.toml line 4 column 10): extra `=`, expected nothing",
    );
    // The line itself is never shown: people forget the quotes around secrets here.
    let problems = Machine::new().toml("[admin]\npassword = canary\n").problems(Needs::Serving);
    assert!(problems.starts_with("TOML syntax (dynowarden.toml line 2 column 12): "), "{problems}");
    assert!(!problems.contains("canary"));
}

#[test]
fn unknown_settings_suggest_a_known_one() {
    check_toml(
        "cooldown = \"5m\"",
        "cooldown (dynowarden.toml line 1): there is no such setting; did you mean policy.cooldown?",
    );
    check_toml(
        "[[app]]\nname = \"acme\"\n[app.policy]\ncolour = 1",
        "app.policy.colour (dynowarden.toml line 4): there is no such setting; allowed in app.policy: \
         process_types, cooldown, max_restarts, give_up_after, give_up_for, max_concurrent, settle, min_uptime, \
         boot_timeout, window",
    );
    check_toml(
        "[heroku]\napi_key = \"canary\"",
        "heroku.api_key (dynowarden.toml line 2): secrets must not be stored in this file; use HEROKU_API_KEY \
         or \
         heroku.api_key_file",
    );
    check_env(
        "DYNOWARDEN_POLICY_COOLDOWN",
        "5m",
        "DYNOWARDEN_POLICY_COOLDOWN (environment variable DYNOWARDEN_POLICY_COOLDOWN): there is no such \
         setting; \
         did you mean DYNOWARDEN_POLICY__COOLDOWN?",
    );
    // A section, a key of a table, and a name that is like none.
    for (name, expect) in [
        (
            "DYNOWARDEN_STORE",
            "a section has no value of its own; allowed: DYNOWARDEN_STORE__ and one of URL, URL_FILE, KEEP, \
             KEEP_SERIES",
        ),
        (
            "DYNOWARDEN_RULE__0__COUNT",
            "there is no such setting; did you mean DYNOWARDEN_RULE, a list such as [{name=",
        ),
        ("DYNOWARDEN_FOO", "there is no such setting; allowed: DYNOWARDEN_SECTION__KEY"),
        ("DYNOWARDEN_DRYRUN", "there is no such setting; did you mean DYNOWARDEN_DRY_RUN?"),
    ] {
        let problems = Machine::new().env(name, "3").problems(Needs::Nothing);
        assert!(problems.contains(expect), "{problems}");
    }
}

#[test]
fn wrong_values_list_the_allowed_ones() {
    let duration = "a duration such as 300ms, 30s, 5m, 2h, 1d or 1h30m in quotes";
    for (setting, value, read, allowed) in [
        (
            "listen",
            "'localhost'",
            "\"localhost\"",
            "an IP address to listen on, such as 0.0.0.0, 127.0.0.1 or ::",
        ),
        ("port", "65536", "65536", "a whole number from 0 to 65535"),
        ("port", "'8080'", "\"8080\"", "a whole number from 0 to 65535"),
        ("port", "80.5", "\"80.5\"", "a whole number from 0 to 65535"),
        ("dry_run", "'true'", "\"true\"", "true or false"),
        ("log_format", "'xml'", "\"xml\"", "text or json"),
        ("heroku", "3", "3", "a section, [heroku]"),
        ("heroku.request_timeout", "'1ms'", "\"1ms\"", &format!("{duration}, from 100ms to 5m")),
        (
            "drain.max_body",
            "'4 MB'",
            "\"4 MB\"",
            "a size such as 4096, 512KiB, 4MiB or 2MB from 1KiB to 256MiB",
        ),
        ("drain.max_body", "-1", "-1", "a size such as 4096, 512KiB, 4MiB or 2MB from 1KiB to 256MiB"),
        ("drain.max_connections", "0", "0", "a whole number from 1 to 65536"),
        ("store.keep", "'1m'", "\"1m\"", &format!("{duration}, from 1h to 3650d")),
        ("store.keep_series", "'1h'", "\"1h\"", &format!("{duration}, from 1d to 90d")),
        ("policy.cooldown", "'31d'", "\"31d\"", &format!("{duration}, from 0s to 30d")),
        ("policy.give_up_for", "'0s'", "\"0s\"", &format!("{duration}, from 1ms to 30d")),
        (
            "policy.max_restarts",
            "'0/2h'",
            "\"0/2h\"",
            "a number and a duration, such as 3/2h for three in any two hours, from 1 to 1000 in 1ms to 30d",
        ),
        ("policy.max_concurrent", "0", "0", "a whole number from 1 to 1000"),
        (
            "policy.process_types",
            "'web'",
            "\"web\"",
            "a list, in brackets: process types of the Procfile, such as \"web\"",
        ),
        (
            "policy.process_types",
            "[]",
            "an empty list",
            "at least one of the process types of the Procfile, such as \"web\" (to watch without acting: \
             dry_run = \
             true)",
        ),
        (
            "policy.process_types",
            "['run']",
            "\"run\"",
            "process types of the Procfile, such as \"web\" (one-off dynos are \
             never restarted)",
        ),
        (
            "policy.window",
            "['Mon 09:00-10:00 Mars/Olympus']",
            "\"Mon 09:00-10:00 Mars/Olympus\"",
            "windows such as \"Mon-Fri 00:00-06:00 America/New_York\", or \"quiet\" (the time zone must be a name of the \
             IANA \
             database such as UTC, America/New_York or Europe/Berlin)",
        ),
        ("app", "{ name = 'acme' }", "a table", "sections [[app]], with two brackets, one for each app"),
        ("rule", "[1]", "1", "sections [[rule]], with two brackets, one for each rule"),
    ] {
        check_toml(
            &format!("{setting} = {value}"),
            &format!("{setting} (dynowarden.toml line 1): read {read}; allowed: {allowed}"),
        );
    }
    check_env(
        "DYNOWARDEN_POLICY__COOLDOWN",
        "ten minutes",
        &format!(
            "policy.cooldown (environment variable DYNOWARDEN_POLICY__COOLDOWN): read \"ten minutes\"; \
             allowed: \
             {}, from 0s to 30d",
            duration.trim_end_matches(" in quotes")
        ),
    );
}

#[test]
fn mistakes_in_a_list_of_tables_name_the_variable() {
    check_env(
        "DYNOWARDEN_RULE",
        "[{ name = 'x', on = ['R14'], do = 'stop', colour = 1 }, 3]",
        "rule.colour (environment variable DYNOWARDEN_RULE): there is no such setting; allowed in rule: name, on, \
         count, within, above, for, do, window, proof\n\
         rule (environment variable DYNOWARDEN_RULE): read 3; allowed: a list of tables in brackets, as in TOML: \
         [{…}, {…}], one table for each rule\n\
         rule.do (environment variable DYNOWARDEN_RULE): read \"stop\"; allowed: restart or notify",
    );
    check_env(
        "DYNOWARDEN_APP",
        "acme",
        "app (environment variable DYNOWARDEN_APP): read \"acme\"; allowed: a list of tables in \
         brackets, as in TOML: [{…}, {…}], one table for each app",
    );
    let cut = Machine::new().env("DYNOWARDEN_RULE", "[{name=\"slow\"").problems(Needs::Nothing);
    assert!(cut.contains("allowed: a list of tables in brackets"), "{cut}");
    check_toml(
        "[rule]\nname = 'x'",
        "rule (dynowarden.toml line 1): read a table; allowed: sections [[rule]], with two brackets, one for \
         each rule",
    );
    let problems = Machine::new()
        .toml("notify = 'https://hooks.slack.com/services/canary'")
        .env("DYNOWARDEN_NOTIFY", "https://hooks.slack.com/services/canary")
        .problems(Needs::Nothing);
    assert!(
        problems.contains("read a value that is not shown") && !problems.contains("canary"),
        "{problems}"
    );
}

#[test]
fn a_number_that_toml_cannot_hold_is_a_syntax_error() {
    let digits = "9".repeat(60);
    check_toml(
        &format!("[drain]\nmax_body = {digits}"),
        "TOML syntax (dynowarden.toml line 2 column 12): integer number overflowed",
    );
}

#[test]
fn wrong_rules_are_rejected_with_the_reason() {
    let rule = |keys: &str| format!("[[rule]]\n{keys}\n");
    check_toml(
        &rule(""),
        "rule.name (dynowarden.toml line 1): name is missing; allowed: a name of 1 to 64 characters on one \
         line\n\
         rule.do (dynowarden.toml line 1): do is missing; allowed: restart or notify\n\
         rule.on (dynowarden.toml line 1): on is missing; allowed: platform codes such as \"R14\" or \
         \"H12\" (R10 to \
         R17, H10 to H99, L10 to L15), or one of \"memory\", \"swap\", \"uptime\" and \
         \"slower_than_peers\" alone",
    );
    // Other problems of a rule do not hide that it has another rule's name.
    let twice = rule("name = 'x'\non = ['R14']") + &rule("name = 'x'\non = ['R15']\ndo = 'notify'");
    let problems = Machine::new().toml(&twice).problems(Needs::Nothing);
    let second =
        "rule.name (dynowarden.toml line 4): read \"x\" a second time; allowed: a name that no other";
    assert!(problems.contains("do is missing") && problems.contains(second), "{problems}");
    let problems =
        Machine::new().toml(&rule("name = 'x'\non = ['L10']\ndo = 'restart'")).problems(Needs::Nothing);
    assert!(
        problems.starts_with(
            "rule.on (dynowarden.toml line 3): read \"L10\" with do = \"restart\"; allowed: do = \
             \"notify\", since \
             L10 ("
        ) && problems.ends_with(") is about a log drain and names no dyno to restart"),
        "{problems}"
    );
    assert!(
        Machine::new().toml(&rule("name = 'x'\non = ['L10']\ndo = 'notify'")).load(Needs::Nothing).is_ok()
    );
    check_toml(
        &rule("name = 'x'\non = ['R14', 'R77', 'memory']\ndo = 'notify'"),
        "rule.on (dynowarden.toml line 3): read \"R77\"; allowed: platform codes such as \"R14\" or \"H12\" \
         (R10 to \
         R17, H10 to H99, L10 to L15), or one of \"memory\", \"swap\", \"uptime\" and \
         \"slower_than_peers\" alone\n\
         rule.on (dynowarden.toml line 3): read \"memory\"; allowed: platform codes such as \"R14\" or \
         \"H12\" (R10 to \
         R17, H10 to H99, L10 to L15), or one of \"memory\", \"swap\", \"uptime\" and \
         \"slower_than_peers\" alone",
    );
    check_toml(
        &rule("name = 'x'\non = ['memory']\ncount = 3\ndo = 'restart'"),
        "rule.above (dynowarden.toml line 1): above is missing; allowed: a percentage of the quota such as 95% \
         or 102.5%, \
         or a size such as 480MB or 1.5GB\n\
         rule.count (dynowarden.toml line 4): read 3; not allowed in a rule on memory, which uses above and for",
    );
    check_toml(
        &rule("name = 'x'\non = ['R14']\nabove = '95%'\ndo = 'restart'"),
        "rule.above (dynowarden.toml line 4): read \"95%\"; not allowed in a rule on codes, which uses count \
         and within",
    );
    check_toml(
        &rule("name = 'x'\non = ['memory']\nabove = 95\ndo = 'restart'"),
        "rule.above (dynowarden.toml line 4): read 95; allowed: a percentage of the quota such as 95% or 102.5%, \
         or a size \
         such as 480MB or 1.5GB, from 1% to 1000% or 1MB to 1024GB",
    );
    let twice = rule("name = 'x'\non = ['R14']\ndo = 'notify'").repeat(2);
    check_toml(
        &twice,
        "rule.name (dynowarden.toml line 5): read \"x\" a second time; allowed: a name that no other rule \
         has",
    );
    let many: String =
        (0..65).map(|n| rule(&format!("name = 'x{n}'\non = ['R14']\ndo = 'notify'"))).collect();
    check_toml(&many, "rule (dynowarden.toml line 257): read 65 rules; allowed: at most 64");
}

#[test]
fn wrong_apps_are_rejected_with_the_reason() {
    check_toml(
        "[[app]]\n",
        "app.name (dynowarden.toml line 1): name is missing; allowed: the name of a Heroku app, as `heroku \
         apps` \
         lists it",
    );
    check_toml(
        "[[app]]\nname = 'a'\ndrain_tokens = ['d.1']\n[[app]]\nname = 'b'\ndrain_tokens = \
         ['d.1']\n[[app]]\nname = 'a'",
        "app.drain_tokens (dynowarden.toml line 6): read \"d.1\"; allowed: a token that belongs to this app \
         alone; a \
         has it already\n\
         app.name (dynowarden.toml line 7): read \"a\" a second time; allowed: one [[app]] for each app",
    );
    check_toml(
        "[[app]]\nname = 'a'\nprocess_types = ['web']\n[app.policy]\nprocess_types = ['worker']",
        "app.policy.process_types (dynowarden.toml line 5): is also set as app.process_types; allowed: only \
         one of the two",
    );
    let many: Vec<_> = (0..1001).map(|n| format!("a{n}")).collect();
    check_env("HEROKU_APP", &many.join(","), "app (dynowarden.toml): read 1001 apps; allowed: at most 1000");
}

#[test]
fn unusable_secrets_are_rejected() {
    for value in ["a:b", "a b", "a\nb", " ", "canary\t"] {
        let problems = Machine::new().env("DRAIN_PASSWORD", value).problems(Needs::Serving);
        assert!(
            problems.lines().next().expect("a line").starts_with(
                "DRAIN_PASSWORD (environment variable DRAIN_PASSWORD): the value (not shown) is not valid; \
                 allowed: "
            ),
            "{problems}"
        );
        assert!(!problems.contains("serve needs the password"), "{problems}");
    }
    for value in ["p@ss/word", "pässword", "x"] {
        assert!(Machine::new().env("DRAIN_PASSWORD", value).load(Needs::Nothing).is_ok(), "{value}");
    }
    let empty = Machine::new().toml("drain.password_file = '/s/drain'").file("/s/drain", "\n");
    assert!(empty.problems(Needs::Nothing).contains("the text of \"/s/drain\" (not shown) is empty"));
    let long = Machine::new().env("ADMIN_PASSWORD", &"x".repeat(1025)).problems(Needs::Nothing);
    assert!(long.contains("is too long"), "{long}");
}

#[cfg(unix)]
#[test]
fn variables_that_are_not_utf8_are_rejected_or_ignored() {
    use std::os::unix::ffi::OsStringExt as _;

    let mut machine = Machine::new();
    machine.env.push((OsString::from_vec(vec![0xff]), "x".into()));
    machine.env.push(("UNRELATED".into(), OsString::from_vec(vec![0xff])));
    assert!(machine.load(Needs::Nothing).is_ok());
    machine.env.push(("ADMIN_PASSWORD".into(), OsString::from_vec(vec![0xff])));
    assert_eq!(
        machine.problems(Needs::Nothing),
        "ADMIN_PASSWORD (environment variable ADMIN_PASSWORD): the value is not UTF-8 text"
    );
}

#[test]
fn no_message_contains_a_secret() {
    // Wherever a secret can be typed, rightly or by mistake: valid ones, and ones that are rejected.
    for canary in ["canary", "can ary", "canary:x", "canary\u{1}"] {
        let url = format!("mysql://user:{canary}@host/db");
        let pasted = format!("https://user:{canary}@host");
        let machine = Machine::new()
            .toml(&format!(
                "[heroku]\napi_key_file = {canary:?}\napi_key = {canary:?}\n[drain]\npassword = {canary:?}\n
                 [store]\nurl = {:?}\n[[app]]\nname = 'a'\ndrain_password = {canary:?}\n",
                format!("postgres://u:{canary}@h/d")
            ))
            .env("ADMIN_PASSWORD", canary)
            .env("HOOK_KEY", canary)
            .env("DRAIN_PASSWORD", canary)
            .env("HEROKU_API_URL", &pasted)
            .env("DYNOWARDEN_HEROKU__TOKEN", canary);
        let problems = machine.load(Needs::Serving).expect_err("wrong in several places");
        assert!(!format!("{problems} {problems:?}").contains("canary"), "{problems}");
        let problems =
            Machine::new().env("DATABASE_URL", &url).load(Needs::Nothing).expect_err("no such store");
        assert!(!format!("{problems} {problems:?}").contains("canary"), "{problems}");
    }
    let settings = Machine::new()
        .toml("[[app]]\nname = 'a'\ndrain_password_file = '/s'")
        .file("/s", "canary-app")
        .env("HEROKU_API_KEY", "canary-key")
        .env("ADMIN_PASSWORD", "canary-admin")
        .env("HOOK_KEY", "canary-hook")
        .env("DRAIN_PASSWORD", "canary-drain")
        .env("DATABASE_URL", "postgres://u:canary-db@h/d")
        .settings();
    assert!(!format!("{settings:?}").contains("canary"));
}

#[test]
fn every_listed_key_is_read() {
    for (section, keys) in SECTIONS.iter() {
        for key in *keys {
            // No setting is a date.
            let line = format!("{key} = 2026-01-01\n");
            let (text, setting) = match *section {
                "" => (line, (*key).to_owned()),
                "rule" | "app" | "notify" => (format!("[[{section}]]\n{line}"), format!("{section}.{key}")),
                _ => (format!("[{section}]\n{line}"), format!("{section}.{key}")),
            };
            let problems = Machine::new().toml(&text).load(Needs::Nothing).expect_err(&text);
            assert!(problems.iter().any(|problem| problem.setting() == setting), "{setting}: {problems}");
        }
    }
}

// === The HTTP server ===

/// A certificate and its key, in PEM form.
fn certificate() -> (String, String) {
    let made =
        rcgen::generate_simple_self_signed(vec!["warden.example.com".to_owned()]).expect("a certificate");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn trusted_proxies_are_networks_or_addresses() {
    let listed = |machine: Machine| {
        let networks = machine.settings().trusted_proxies;
        networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let toml = |list: &str| Machine::new().toml(&format!("trusted_proxies = {list}"));
    assert_eq!(listed(Machine::new()), "");
    assert_eq!(listed(toml("[]")), "");
    assert_eq!(
        listed(toml(r#"["10.1.2.3/8", "192.0.2.1", "fd00::/8", "10.0.0.0/8"]"#)),
        "10.0.0.0/8 192.0.2.1/32 fd00::/8"
    );
    let plain = Machine::new().env("DYNOWARDEN_TRUSTED_PROXIES", "127.0.0.1, ::1");
    assert_eq!(listed(plain), "127.0.0.1/32 ::1/128");
    for wrong in [r#"["proxy.example.com"]"#, r#"["10.0.0.0/33"]"#, "[10]", "true", r#"["10.0.0.0/8/8"]"#] {
        let problems = toml(wrong).problems(Needs::Nothing);
        assert!(problems.starts_with("trusted_proxies (dynowarden.toml line 1): read"), "{problems}");
    }
    let many: Vec<String> =
        (0..300).map(|number| format!("\"10.0.{}.{}\"", number / 200, number % 200)).collect();
    let problems = toml(&format!("[{}]", many.join(","))).problems(Needs::Nothing);
    assert!(problems.contains("at most 256 networks"), "{problems}");
    let all = toml(r#"["0.0.0.0/0"]"#).settings();
    assert!(all.warnings.iter().any(|warning| warning.contains("every address")), "{:?}", all.warnings);
    assert!(
        !Machine::new().settings().is_on_dyno && Machine::new().env("DYNO", "web.1").settings().is_on_dyno
    );
}

#[test]
fn tls_needs_a_certificate_and_its_key() {
    let (certificate, key) = certificate();
    let (_, other_key) = self::certificate();
    let machine = |text: &str| {
        Machine::new()
            .toml(&format!("[tls]\n{text}"))
            .file("/c.pem", &certificate)
            .file("/k.pem", &key)
            .file("/other.pem", &other_key)
            .file("/empty.pem", "")
    };
    assert!(Machine::new().settings().tls.is_none());
    let settings = machine("cert = '/c.pem'\nkey = '/k.pem'").settings();
    let tls = settings.tls.as_ref().expect("a certificate");
    assert!(tls.identity.is_for("warden.example.com"));
    assert!(!format!("{settings:?}").contains(key.lines().nth(1).expect("a line of the key")));
    for (text, expect) in [
        ("cert = '/c.pem'", "tls.key (dynowarden.toml line 2): key is missing"),
        ("key = '/k.pem'", "tls.cert (dynowarden.toml line 2): cert is missing"),
        (
            "cert = '/none.pem'\nkey = '/k.pem'",
            "tls.cert (dynowarden.toml line 2): read \"/none.pem\", but that file cannot",
        ),
        (
            "cert = '/c.pem'\nkey = '/none.pem'",
            "tls.key (dynowarden.toml line 3): read \"/none.pem\", but that file cannot",
        ),
        (
            "cert = '/empty.pem'\nkey = '/k.pem'",
            "tls.cert (dynowarden.toml line 2): read \"/empty.pem\", but there is no certificate",
        ),
        (
            "cert = '/c.pem'\nkey = '/empty.pem'",
            "tls.key (dynowarden.toml line 3): read \"/empty.pem\", but there is no private key",
        ),
        ("cert = '/c.pem'\nkey = '/other.pem'", "the key does not belong to the first"),
        ("cert = 1\nkey = 2", "tls.cert (dynowarden.toml line 2): read 1; allowed: the path"),
    ] {
        let problems = machine(text).problems(Needs::Nothing);
        assert!(problems.contains(expect), "{text}: {problems}");
    }
    let by_variables =
        machine("").env("DYNOWARDEN_TLS__CERT", "/c.pem").env("DYNOWARDEN_TLS__KEY", "/k.pem").settings();
    assert!(by_variables.tls.is_some());
}

// === Notifiers ===

#[test]
fn notifiers_have_defaults_and_names() {
    let settings = Machine::new()
        .toml(
            "[[notify]]\ntype = 'slack'\nurl = 'https://hooks.slack.com/services/a'\n\
             [[notify]]\ntype = 'slack'\nurl_env = 'SLACK_URL'\non = ['give_up']\n\
             [[notify]]\ntype = 'webhook'\nname = 'pager'\nurl_file = '/s'\nsecret = 'x'\ngroup = '0s'\non = []\n\
             digest = '09:00 Europe/Berlin'\n\
             [[notify]]\ntype = 'email'\nurl = 'smtps://me:pw@mail.example.com'\nfrom = 'a@b.c'\nto = ['d@e.f']\n",
        )
        .env("SLACK_URL", "https://hooks.slack.com/services/b")
        .file("/s", "https://pager.example.com/\n")
        .settings();
    let [first, second, pager, email] = settings.notifiers.as_slice() else { panic!("four notifiers") };
    assert_eq!(
        (&*first.name, &*second.name, &*pager.name, &*email.name),
        ("slack", "slack-2", "pager", "email")
    );
    assert_eq!((first.group, first.repeat), (Duration::from_secs(30), minutes(240)));
    assert!(first.apps.is_none() && first.digest.is_none());
    let on = |notifier: &NotifierSettings| {
        notifier.on.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        on(first),
        "notify pause recovered restart suspect_release no_help drain_silent failure not_restarted give_up"
    );
    assert_eq!((on(second).as_str(), on(pager).as_str()), ("give_up", ""));
    assert_eq!(pager.group, Duration::ZERO);
    let ChannelSettings::Webhook { url, secret } = &pager.channel else { panic!("a webhook") };
    assert_eq!(url.expose_secret(), "https://pager.example.com/");
    assert!(secret.is_some());
    let ChannelSettings::Email(email) = &email.channel else { panic!("an e-mail") };
    assert_eq!(
        (email.host.as_str(), email.port, email.security),
        ("mail.example.com", 465, SmtpSecurity::Tls)
    );
    assert_eq!(email.to, ["d@e.f"]);
}

#[test]
fn wrong_notifiers_are_rejected_with_the_reason() {
    let slack = "[[notify]]\ntype = 'slack'\nurl = 'https://h/a'\n";
    for (text, expect) in [
        (
            "[[notify]]\nurl = 'https://h'",
            "notify.type (dynowarden.toml line 1): type is missing; allowed: slack, webhook, email, pagerduty, \
             teams or discord",
        ),
        (
            "[[notify]]\ntype = 'pager'\nurl = 'https://h'",
            "notify.type (dynowarden.toml line 2): read \"pager\"; allowed: slack, webhook, email, pagerduty, \
             teams or discord",
        ),
        (
            "[[notify]]\ntype = 'slack'\nurl = 'https://h/a'\nsecret = 'x'",
            "notify.secret (dynowarden.toml line 4): does not apply to type = \"slack\"; allowed: remove it",
        ),
        (
            &format!("{slack}url_env = 'X'"),
            "notify.url_env (dynowarden.toml line 4): is set together with notify.url; allowed: only one of the two",
        ),
        (
            "[[notify]]\ntype = 'webhook'\nurl_env = 'NO_SUCH'",
            "notify.url_env (dynowarden.toml line 3): the environment variable NO_SUCH is empty or not set; \
             allowed: a URL with http or https, a host and no fragment",
        ),
        (
            &format!("{slack}on = ['restarts']"),
            "notify.on (dynowarden.toml line 4): read \"restarts\"; allowed: kinds of messages: restart, give_up, \
             failure, drain_silent, not_restarted, no_help, suspect_release, notify, pause, recovered, hold (there is no such kind)",
        ),
        (
            &format!("{slack}on = []"),
            "notify.on (dynowarden.toml line 4): read an empty list; allowed: at least one of the kinds of \
             messages: restart, give_up, failure, drain_silent, not_restarted, no_help, suspect_release, notify, pause, recovered, hold \
             (none only with a digest)",
        ),
        (
            &format!("{slack}digest = '9 Uhr'"),
            "notify.digest (dynowarden.toml line 4): read \"9 Uhr\"; allowed: a time of day and a time zone of the \
             IANA database, such as \"09:00 Europe/Berlin\"",
        ),
        (
            &format!("{slack}group = '2h'"),
            "notify.group (dynowarden.toml line 4): read \"2h\"; allowed: a duration such as 300ms, 30s, 5m, 2h, 1d or \
             1h30m in quotes, from 0s to 1h",
        ),
        (
            "[[notify]]\ntype = 'email'\nurl = 'smtps://mail.example.com'\nfrom = 'a@b.c'",
            "notify.to (dynowarden.toml line 1): to is missing; allowed: an e-mail address such as ops@example.com",
        ),
        (
            "[[notify]]\ntype = 'email'\nurl = 'smtps://mail.example.com'\nfrom = 'a@b.c'\nto = []",
            "notify.to (dynowarden.toml line 5): read 0 addresses; allowed: 1 to 50 addresses",
        ),
        (
            "[[notify]]\ntype = 'email'\nurl = 'smtps://me@mail.example.com'\nfrom = 'a@b.c'\nto = ['d@e.f']",
            "notify.url (dynowarden.toml line 1): there is a user but no password; allowed: password_env or \
             password_file, which name a variable or a file that holds it, or smtps://USER:PASSWORD@HOST:465",
        ),
        (
            &format!("{slack}name = 'a'\n{slack}name = 'a'"),
            "notify.name (dynowarden.toml line 8): read \"a\"; allowed: a name that no other notifier has",
        ),
        (
            "[[notify]]\ntype = 'email'\npassword = 'x'\nurl = 'smtps://h'\nfrom = 'a@b.c'\nto = ['d@e.f']",
            "notify.password (dynowarden.toml line 3): secrets must not be stored in this file; use \
             notify.password_env or notify.password_file",
        ),
    ] {
        check_toml(text, expect);
    }
}

#[test]
fn no_message_contains_a_receivers_address() {
    for (kind, url) in [
        ("slack", "http://hooks.slack.com/services/canary"),
        ("slack", "https://hooks.slack.com/services/x?canary"),
        ("webhook", "ftp://h/canary"),
        ("webhook", "https://u:canary@h:x/"),
        ("email", "smtp://me:canary@mail.example.com"),
        ("email", "smtps://me:canary@mail.example.com/x"),
    ] {
        for key in ["url", "url_env", "url_file"] {
            let text =
                format!("[[notify]]\ntype = '{kind}'\n{key} = '{url}'\nfrom = 'a@b.c'\nto = ['d@e.f']");
            let problems = Machine::new().toml(&text).load(Needs::Nothing).expect_err(url);
            assert!(!format!("{problems} {problems:?}").contains("canary"), "{problems}");
        }
    }
    let settings = Machine::new()
        .toml(
            "[[notify]]\ntype = 'slack'\nurl = 'https://h/canary'\n\
             [[notify]]\ntype = 'webhook'\nurl = 'http://h/canary'\nsecret = 'canary'\n\
             [[notify]]\ntype = 'email'\nurl = 'smtps://u:canary@h'\nfrom = 'a@b.c'\nto = ['d@e.f']",
        )
        .settings();
    assert_eq!(
        settings.warnings,
        ["notify.url (dynowarden.toml line 4): http to another machine sends messages in clear text"]
    );
    assert!(!format!("{settings:?}").contains("canary"));
}

// === The example ===

const EXAMPLE: &str = include_str!("../../dynowarden.example.toml");

#[test]
fn the_example_file_states_the_defaults() {
    let example = Machine::new().toml(EXAMPLE).settings();
    assert_eq!(format!("{example:?}"), format!("{:?}", Machine::new().settings()));
}

/// The example with its commented-out settings enabled.
fn uncommented() -> String {
    let is_setting = |text: &str| {
        let key = text.split(" = ").next().unwrap_or_default();
        let is_key = text.contains(" = ") && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        is_key || (text.starts_with('[') && text.ends_with(']'))
    };
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if is_setting(rest) => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_file_shows_every_key_and_is_valid() {
    let whole = uncommented();
    let (certificate, key) = certificate();
    let machine = Machine::new()
        .toml(&whole)
        .file("/run/secrets/heroku_api_key", "a")
        .file("/run/secrets/drain_password", "b")
        .file("/run/secrets/drain_password_old", "b2")
        .file("/run/secrets/admin_password", "c")
        .file("/run/secrets/hook_key", "d")
        .file("/run/secrets/database_url", "memory")
        .file("/run/secrets/acme_drain_password", "e")
        .file("/run/secrets/acme_drain_password_old", "e2")
        .file("/run/secrets/pager_secret", "f")
        .file("/run/secrets/script_url", "https://example.com/")
        .file("/run/secrets/mail_password", "g")
        .file("/etc/ssl/own-ca.pem", "-----BEGIN CERTIFICATE-----")
        .file("/etc/dynowarden/tls/fullchain.pem", &certificate)
        .file("/etc/dynowarden/tls/privkey.pem", &key)
        .env("PAGER_URL", "https://pager.example.com/?token=h")
        .env("SCRIPT_SECRET", "i")
        .env("MAIL_PASSWORD", "j")
        .env("TEAMS_URL", "https://example.com/workflows/k");
    let settings = machine.load(Needs::Serving).unwrap_or_else(|problems| panic!("{problems}\n{whole}"));
    assert_eq!(settings.apps[0].plan.policy.process_types.len(), 2);
    assert_eq!((settings.defaults.rules.len(), settings.apps[0].plan.rules.len()), (4, 1));
    assert_eq!(settings.notifiers.len(), 9);

    let mut section = "";
    let mut shown = Vec::new();
    for line in whole.lines() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_matches(['[', ']']);
            shown.push(section.to_owned());
        } else if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.starts_with('#')) {
            shown.push(if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") });
        }
    }
    for (section, keys) in SECTIONS.iter() {
        for key in *keys {
            let path = if section.is_empty() { (*key).to_owned() } else { format!("{section}.{key}") };
            assert!(shown.contains(&path), "{path} is not in the example");
        }
    }
}

proptest! {
    #[test]
    fn any_value_of_any_key_is_read_without_panic(
        value in proptest::prelude::prop_oneof![
            any::<String>().prop_map(|text| format!("{text:?}")),
            "[-+0-9.eE_xobinf]{1,20}",
            "\\[[\"a-z0-9,{}= \\[\\]]{0,20}\\]",
            "[0-9:TZ-]{1,30}",
            any::<String>(),
        ],
        place in 0_usize..200,
    ) {
        let paths_of = |(section, keys): &'static (&'static str, &'static [&'static str])| {
            keys.iter().map(move |key| (*section, *key))
        };
        let paths: Vec<_> = SECTIONS.iter().flat_map(paths_of).collect();
        let (section, key) = paths[place % paths.len()];
        let header = match section {
            "" => String::new(),
            "rule" | "app" | "notify" => format!("[[{section}]]\n"),
            _ => format!("[{section}]\n"),
        };
        let machine = Machine::new()
            .toml(&format!("{header}{key} = {value}\n"))
            .env(&format!("DYNOWARDEN_{}", key.to_uppercase()), &value)
            .env(&format!("DYNOWARDEN_{}__{}", section.to_uppercase(), key.to_uppercase()), &value);
        let _ = machine.load(Needs::Serving);
    }
}
