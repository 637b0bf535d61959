//! The oracle for settings: they are rejected with messages that name the setting, its place and the fix, or
//! they are within all limits and mean the same when written again; and no secret is ever shown.
//!
//! One text holds a whole machine: the settings file, after a line `%%` the variables (`NAME=VALUE`, one per
//! line), and after another `%%` the content of every file that a setting names.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use dynowarden::config::problem::Problems;
use dynowarden::config::settings::{AppSettings, ChannelSettings, Settings};
use dynowarden::config::{self, DEFAULT_FILE, Needs, Sources, keys};
use dynowarden_core::codes::{self, Scope};
use dynowarden_core::limits;
use dynowarden_core::policy::{Act, Policy, Rule, Trigger};
use dynowarden_core::units::{spell_bytes, spell_duration};
use toml::de::{DeTable, DeValue};

/// Checks any octets as a machine's settings.
pub fn check_settings(octets: &[u8]) {
    let machine = Machine::new(&String::from_utf8_lossy(octets));
    let secrets = machine.secrets();
    let relaxed = machine.load(Needs::Nothing);
    let strict = machine.load(Needs::Serving);
    for (loaded, needs) in [(&relaxed, Needs::Nothing), (&strict, Needs::Serving)] {
        if let Err(problems) = loaded {
            machine.check_problems(problems);
        }
        let said = shown(loaded);
        for secret in secrets.iter().filter(|secret| said.contains(*secret)) {
            // Our own examples may contain it; then they are also shown without it.
            let without =
                Machine { toml: machine.toml.replace(secret, &"x".repeat(secret.len())), ..machine.clone() };
            let is_ours = secret != CANARY && shown(&without.load(needs)).contains(secret);
            assert!(is_ours, "{secret:?} is a secret and is shown: {said}");
        }
    }
    let backwards = Machine { env: machine.env.iter().rev().cloned().collect(), ..machine.clone() };
    if machine.has_each_variable_once() {
        assert_eq!(format!("{:?}", backwards.load(Needs::Nothing)), format!("{relaxed:?}"));
    }
    match (&relaxed, &strict) {
        (Ok(settings), strict) => {
            check_limits(settings);
            check_written_again(settings);
            assert_eq!(strict.is_ok(), settings.missing_for_serve().is_empty());
        }
        (Err(_), strict) => assert!(strict.is_err(), "what serves is also valid without serving"),
    }
    if let Ok(settings) = &strict {
        assert!(settings.heroku.api_key.is_some() && !settings.apps.is_empty());
        assert!(settings.apps.iter().all(|app| app.drain_password.is_some()), "an open drain");
    }
}

/// Every visible text about settings.
fn shown(loaded: &Result<Settings, Problems>) -> String {
    match loaded {
        Ok(settings) => format!("{settings:?}\n{}", settings.warnings.join("\n")),
        Err(problems) => problems.to_string(),
    }
}

/// Appended to every variable and file that holds a secret, so that it can be recognised.
const CANARY: &str = "c4n4ry-0f-a-s3cr3t";

#[derive(Clone, Default)]
struct Machine {
    toml: String,
    env: Vec<(OsString, OsString)>,
    file: String,
}

impl Machine {
    fn new(text: &str) -> Self {
        let mut parts = text.splitn(3, "\n%%\n");
        let toml = parts.next().unwrap_or_default().to_owned();
        let env = parts.next().unwrap_or_default().lines().filter_map(|line| line.split_once('='));
        let env = env.filter(|(name, value)| !name.contains('\0') && !value.contains('\0'));
        let env = env.map(|(name, value)| (name.into(), marked(name, value).into())).collect();
        let file = parts.next().unwrap_or_default();
        // Certificates are not secret.
        let is_secret = !file.is_empty() && !file.contains("BEGIN CERTIFICATE");
        let file = if is_secret { format!("{CANARY}{file}") } else { file.to_owned() };
        Self { toml, env, file }
    }

    fn load(&self, needs: Needs) -> Result<Settings, Problems> {
        let read_file = |path: &Path| match path.to_str() {
            Some(DEFAULT_FILE) => Ok(self.toml.clone()),
            _ if self.file.is_empty() => Err(io::Error::from(io::ErrorKind::NotFound)),
            _ => Ok(self.file.clone()),
        };
        config::load(&Sources { config: None, env: &self.env, read_file: &read_file }, needs)
    }

    fn has_each_variable_once(&self) -> bool {
        let names: BTreeSet<_> = self.env.iter().map(|(name, _)| name).collect();
        names.len() == self.env.len()
    }

    /// Texts that must never be shown: the canary, and the receivers' addresses and keys in the file, if they
    /// are long enough to be recognised and appear only once.
    fn secrets(&self) -> Vec<String> {
        let mut secrets = vec![CANARY.to_owned()];
        let root = DeTable::parse_recoverable(&self.toml).0;
        let Some(DeValue::Array(notifiers)) = root.get_ref().get("notify").map(|value| value.get_ref())
        else {
            return secrets;
        };
        let tables = notifiers.iter().filter_map(|notifier| notifier.get_ref().as_table());
        for (key, value) in tables.flat_map(|table| table.iter()) {
            let is_secret = matches!(key.get_ref().as_ref(), "url" | "secret");
            let text = value.get_ref().as_str().filter(|text| text.len() >= 12 && is_secret);
            // The name of a setting, or a word of another one, is not a secret.
            let is_known = |text: &str| {
                let mut parts = self.env.iter().flat_map(|(name, value)| [name, value]);
                text.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '.'))
                    || self.toml.matches(text).count() > 1
                    || parts.any(|part| part.to_string_lossy().contains(text))
            };
            secrets.extend(text.filter(|text| !is_known(text)).map(str::to_owned));
        }
        secrets
    }

    fn check_problems(&self, problems: &Problems) {
        let lines = self.toml.lines().count().max(1);
        for problem in problems.iter() {
            let shown = problem.to_string();
            assert!(!shown.contains(char::is_control), "more than one line: {shown:?}");
            assert!(shown.chars().count() <= 1500, "{} characters: {shown}", shown.len());
            assert!(!problem.setting().is_empty(), "{shown}");
            let rest = shown.strip_prefix(problem.setting()).expect("the setting comes first");
            let rest = rest.strip_prefix(" (").expect("then its place");
            let in_file = rest.strip_prefix(DEFAULT_FILE).map(|place| {
                let number = place.strip_prefix(" line ").and_then(|rest| rest.split([' ', ')']).next());
                number.is_none_or(|number| (1..=lines + 1).contains(&number.parse().unwrap_or(0)))
            });
            // A name that is too long or has several lines is shown only in part.
            let in_env = |(name, _): &(OsString, OsString)| {
                let name = name.to_string_lossy();
                let shown = if name.len() > 128 || name.contains(char::is_control) { "" } else { &name };
                rest.starts_with(&format!("environment variable {shown}"))
            };
            assert!(
                in_file.unwrap_or_else(|| {
                    let has_no_name =
                        ["not set): ", "command line): "].iter().any(|place| rest.starts_with(place));
                    has_no_name || self.env.iter().any(in_env)
                }),
                "no place: {shown}"
            );
            let fixes = ["allowed", "did you mean", "; use ", "serve needs", "UTF-8"];
            let is_syntax = problem.setting() == "TOML syntax";
            assert!(is_syntax || fixes.iter().any(|fix| rest.contains(fix)), "no fix: {shown}");
        }
    }
}

/// The value of a variable, marked if it is a secret.
fn marked(name: &str, value: &str) -> String {
    let is_plain = matches!(name, "HEROKU_API_URL" | "HEROKU_APP" | "PORT" | "LOG_FORMAT" | "RUST_LOG")
        || (name == "DATABASE_URL" && !value.starts_with("postgres"));
    if is_plain || value.is_empty() || name.starts_with("DYNOWARDEN_") {
        return value.to_owned();
    }
    if !value.trim_start().to_ascii_lowercase().starts_with("smtp") {
        return format!("{value}{CANARY}");
    }
    // The name of a mail server is not secret; the password comes before it.
    match value.rsplit_once('@') {
        Some((login, host)) if login.matches(':').count() > 1 => format!("{login}{CANARY}@{host}"),
        _ => value.to_owned(),
    }
}

fn check_limits(settings: &Settings) {
    let Settings { apps, drain, heroku, notifiers, .. } = settings;
    let body = limits::BODY_BYTES_LEAST..=limits::BODY_BYTES_MOST;
    assert!(body.contains(&(drain.body_bytes_max as u64)));
    assert!((1..=limits::CONNECTIONS_MAX as usize).contains(&drain.connections_max));
    assert!((limits::REQUEST_TIMEOUT_MIN..=limits::REQUEST_TIMEOUT_MAX).contains(&heroku.request_timeout));
    assert!((limits::KEEP_MIN..=limits::KEEP_MAX).contains(&settings.store_keep));
    assert!((limits::KEEP_SERIES_MIN..=limits::KEEP_SERIES_MAX).contains(&settings.keep_series));
    assert!(
        drain
            .silent_after
            .is_none_or(|silent| { (limits::SILENT_AFTER_MIN..=limits::SILENT_AFTER_MAX).contains(&silent) })
    );
    assert!(!heroku.api_url.contains(['@', '?', '#', ' ']) && heroku.api_url.starts_with("http"));
    assert!(apps.len() <= limits::APPS_MAX && notifiers.len() <= limits::NOTIFIERS_MAX);
    assert!(all_differ(apps.iter().map(|app| app.plan.name.to_string())));
    assert!(all_differ(apps.iter().flat_map(|app| &app.drain_tokens).map(ToString::to_string)));
    assert!(all_differ(notifiers.iter().map(|notifier| notifier.name.to_string())));
    check_plan(&settings.defaults.policy, &settings.defaults.rules);
    for AppSettings { plan, .. } in apps {
        check_plan(&plan.policy, &plan.rules);
    }
    for notifier in notifiers {
        assert!(notifier.group <= limits::GROUP_MAX);
        assert!((limits::REPEAT_MIN..=limits::REPEAT_MAX).contains(&notifier.repeat));
        if let ChannelSettings::Email(mail) = &notifier.channel {
            assert!((1..=limits::RECIPIENTS_MAX).contains(&mail.to.len()));
            for address in mail.to.iter().chain([&mail.from]) {
                assert!(!address.contains(|c: char| c.is_control() || c == ' ' || c == ','), "{address:?}");
            }
        }
    }
}

fn check_plan(policy: &Policy, rules: &[Rule]) {
    let (zero, least) = (Duration::ZERO, limits::SPAN_MIN);
    for (span, least, most) in [
        (policy.cooldown, zero, limits::POLICY_SPAN_MAX),
        (policy.max_restarts.per, least, limits::POLICY_SPAN_MAX),
        (policy.give_up_for, least, limits::POLICY_SPAN_MAX),
        (policy.settle, zero, limits::BOOT_SPAN_MAX),
        (policy.min_uptime, zero, limits::INSTANCE_SPAN_MAX),
        (policy.boot_timeout, least, limits::BOOT_SPAN_MAX),
    ] {
        assert!((least..=most).contains(&span), "{policy:?}");
    }
    assert!(policy.max_restarts.count.get() <= limits::COUNT_MAX);
    assert!(policy.give_up_after.get() <= limits::COUNT_MAX);
    assert!(policy.max_concurrent.get() <= limits::CONCURRENT_MAX);
    assert!(!policy.process_types.is_empty() && all_differ(policy.process_types.iter()));
    for one_off in ["console", "release", "run", "scheduler"] {
        assert!(policy.process_types.iter().all(|listed| listed.as_str() != one_off));
    }
    assert!(rules.len() <= limits::RULES_MAX && all_differ(rules.iter().map(|rule| &rule.name)));
    for rule in rules {
        let span = match &rule.trigger {
            Trigger::Errors { codes, count, within } => {
                assert!(!codes.is_empty() && all_differ(codes.iter()) && count.get() <= limits::COUNT_MAX);
                for code in codes {
                    let entry = codes::entry(*code).expect("it is in the table");
                    assert!(rule.act == Act::Notify || entry.scope == Scope::Dyno, "{code} names no dyno");
                }
                within
            }
            Trigger::Memory { lasting, .. } | Trigger::Swap { lasting, .. } => lasting,
            Trigger::Uptime { above } => {
                assert!((limits::SPAN_MIN..=limits::POLICY_SPAN_MAX).contains(above));
                &limits::SPAN_MIN
            }
            Trigger::SlowerThanPeers { above } => {
                assert!((1100..=100_000).contains(&above.permille));
                &limits::SPAN_MIN
            }
        };
        assert!((limits::SPAN_MIN..=limits::INSTANCE_SPAN_MAX).contains(span));
        let is_measured = matches!(rule.trigger, Trigger::Memory { .. } | Trigger::Swap { .. });
        assert!(rule.proof.is_none_or(|proof| is_measured && (1..=proof.of).contains(&proof.breached)));
    }
}

fn all_differ<T: Ord>(mut items: impl Iterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    items.all(|item| seen.insert(item))
}

/// Accepted settings, written out as a file, are the same settings.
fn check_written_again(settings: &Settings) {
    let mut toml = String::new();
    let mut add = |key: &str, value: String| writeln!(toml, "{key} = {value}").expect("room");
    add("listen", quoted(&settings.listen.to_string()));
    add("port", settings.port.to_string());
    add("dry_run", settings.defaults.dry_run.to_string());
    add("heroku.api_url", quoted(&settings.heroku.api_url));
    add("heroku.allow_http", "true".to_owned());
    add("heroku.request_timeout", span(settings.heroku.request_timeout));
    add("drain.max_body", quoted(&spell_bytes(settings.drain.body_bytes_max as u64)));
    add("drain.max_connections", settings.drain.connections_max.to_string());
    add("drain.statistics", settings.drain.statistics.to_string());
    add("drain.evidence", settings.drain.evidence.to_string());
    if let Some(silent) = settings.drain.silent_after {
        add("drain.silent_after", span(silent));
    }
    add("store.keep", span(settings.store_keep));
    add("store.keep_series", span(settings.keep_series));
    write_plan(&mut toml, "", &settings.defaults.policy, &settings.defaults.rules);
    for app in &settings.apps {
        let tokens: Vec<_> = app.drain_tokens.iter().map(ToString::to_string).collect();
        writeln!(
            toml,
            "[[app]]\nname = {}\ndrain_tokens = {}",
            quoted(app.plan.name.as_str()),
            list(&tokens)
        )
        .expect("room");
        write_plan(&mut toml, "app.", &app.plan.policy, &app.plan.rules);
    }
    let machine = Machine { toml, ..Machine::default() };
    let again = machine.load(Needs::Nothing).unwrap_or_else(|problems| {
        panic!("accepted, written and refused: {problems}\n{}", machine.toml);
    });
    assert_eq!(again.defaults, settings.defaults, "{}", machine.toml);
    let values = |settings: &Settings| {
        let apps: Vec<_> = settings.apps.iter().map(|app| (&app.plan, &app.drain_tokens)).collect();
        let Settings { listen, port, drain, heroku, store_keep, keep_series, .. } = settings;
        let switches = (drain.statistics, drain.evidence);
        let drain = (drain.body_bytes_max, drain.connections_max, switches, drain.silent_after);
        format!(
            "{apps:?} {listen} {port} {drain:?} {} {:?} {store_keep:?} {keep_series:?}",
            heroku.api_url, heroku.request_timeout
        )
    };
    assert_eq!(values(&again), values(settings), "{}", machine.toml);
    check_as_variables(settings);
}

/// The policy as variables equals the policy as a file.
fn check_as_variables(settings: &Settings) {
    let mut toml = String::new();
    write_plan(&mut toml, "", &settings.defaults.policy, &[]);
    let mut machine = Machine::default();
    for line in toml.lines().skip(1) {
        let (key, value) = line.split_once(" = ").expect("a setting");
        assert!(keys::SECTIONS.iter().any(|(_, keys)| keys.contains(&key)));
        let plain = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        machine.env.push((format!("DYNOWARDEN_POLICY__{}", key.to_uppercase()).into(), plain.into()));
    }
    let again = machine.load(Needs::Nothing).unwrap_or_else(|problems| panic!("{problems}\n{toml}"));
    assert_eq!(again.defaults.policy, settings.defaults.policy, "{toml}");
}

fn write_plan(toml: &mut String, parent: &str, policy: &Policy, rules: &[Rule]) {
    let types: Vec<_> = policy.process_types.iter().map(ToString::to_string).collect();
    let windows: Vec<_> = policy.window.iter().map(ToString::to_string).collect();
    let rate = policy.max_restarts;
    let mut lines = vec![
        format!("[{parent}policy]"),
        format!("process_types = {}", list(&types)),
        format!("cooldown = {}", span(policy.cooldown)),
        format!("max_restarts = \"{}/{}\"", rate.count, spell_duration(rate.per)),
        format!("give_up_after = {}", policy.give_up_after),
        format!("give_up_for = {}", span(policy.give_up_for)),
        format!("max_concurrent = {}", policy.max_concurrent),
        format!("settle = {}", span(policy.settle)),
        format!("min_uptime = {}", span(policy.min_uptime)),
        format!("boot_timeout = {}", span(policy.boot_timeout)),
        format!("window = {}", list(&windows)),
    ];
    for rule in rules {
        let act = if rule.act == Act::Restart { "restart" } else { "notify" };
        lines.extend([
            format!("[[{parent}rule]]"),
            format!("name = {}", quoted(&rule.name)),
            format!("do = \"{act}\""),
        ]);
        lines.extend(match &rule.trigger {
            Trigger::Errors { codes, count, within } => {
                let codes: Vec<_> = codes.iter().map(ToString::to_string).collect();
                vec![
                    format!("on = {}", list(&codes)),
                    format!("count = {count}"),
                    format!("within = {}", span(*within)),
                ]
            }
            Trigger::Memory { above, lasting } => vec![
                "on = [\"memory\"]".to_owned(),
                format!("above = \"{above}\""),
                format!("for = {}", span(*lasting)),
            ],
            Trigger::Swap { above, lasting } => vec![
                "on = [\"swap\"]".to_owned(),
                format!("above = \"{above}\""),
                format!("for = {}", span(*lasting)),
            ],
            Trigger::Uptime { above } => {
                vec!["on = [\"uptime\"]".to_owned(), format!("above = {}", span(*above))]
            }
            Trigger::SlowerThanPeers { above } => {
                vec!["on = [\"slower_than_peers\"]".to_owned(), format!("above = \"{above}\"")]
            }
        });
        let windows: Vec<_> = rule.window.iter().map(ToString::to_string).collect();
        lines.push(format!("window = {}", list(&windows)));
        lines.extend(rule.proof.map(|proof| format!("proof = \"{proof}\"")));
    }
    lines.push(String::new());
    toml.push_str(&lines.join("\n"));
}

fn span(span: Duration) -> String {
    quoted(&spell_duration(span))
}

fn list(items: &[String]) -> String {
    let items: Vec<_> = items.iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(", "))
}

fn quoted(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}
