//! Settings: environment first, then the TOML file, then defaults; every problem at once.
//!
//! Nothing here touches the machine: the environment comes in as pairs, and files are read through a
//! function of the caller's. A wrong value is replaced by its default while the rest is read, so that one
//! run names all that is to be fixed; with a problem there are no settings.

pub mod keys;
pub mod problem;
pub mod settings;

mod apps;
mod notify;
mod policy;
mod proxies;
mod reader;
mod receivers;
mod rules;
mod secret;
mod tls;
mod urls;
mod value;

use core::net::{IpAddr, Ipv4Addr};
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::apps::Common;
use crate::config::problem::{Origin, Problem, Problems};
use crate::config::reader::{Reader, Section};
use crate::config::secret::SecretSource;
use crate::config::settings::{AppSettings, Database, DrainSettings, HerokuSettings, LogFormat, Settings};
use crate::config::value::Table;
use dynowarden_core::drain_url::{PUBLIC_URL_ALLOWED, PublicUrl};
use dynowarden_core::limits;
use dynowarden_core::policy::AppPlan;
use dynowarden_core::units;

/// The file that is read where no other is named, if there is one.
pub const DEFAULT_FILE: &str = "dynowarden.toml";

/// Where settings come from.
pub struct Sources<'a> {
    /// `--config`.
    pub config: Option<&'a Path>,
    /// The process's environment.
    pub env: &'a [(OsString, OsString)],
    /// Reads a file, the settings themselves or one that they name.
    pub read_file: &'a dyn Fn(&Path) -> io::Result<String>,
}

/// Which settings must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// None: `replay`, `history`, and `check`, which tells by itself.
    Nothing,
    /// A token, a drain password and an app.
    Serving,
}

/// Reads all settings.
///
/// # Errors
/// Everything that is wrong with them, and with `needs` everything that is missing.
pub fn load(sources: &Sources<'_>, needs: Needs) -> Result<Settings, Problems> {
    let mut reader = Reader::new(sources.env, sources.read_file);
    let (path, table) = read_settings_file(&mut reader, sources.config);
    let root = reader.root(Origin::File { path, line: None, column: None }, table);
    let settings = read_settings(&mut reader, &root);
    if needs == Needs::Serving {
        let blamed = |missing: &Problem| explains(&reader, missing.setting());
        let missing: Vec<_> = settings.missing_for_serve().into_iter().filter(|m| !blamed(m)).collect();
        reader.problems.extend(missing);
    }
    Problems::none_of(reader.problems)?;
    Ok(Settings { warnings: reader.warnings, ..settings })
}

/// Whether a problem that is known already is why `setting` seems to be missing.
fn explains(reader: &Reader<'_>, setting: &str) -> bool {
    let sources: &[&str] = match setting {
        "HEROKU_API_KEY" => &["heroku", "heroku.api_key_file"],
        "HEROKU_APP" => &["app", "app.name"],
        _ => &["drain", "drain.password_file", "app.drain_password_file"],
    };
    let is_unread = ["--config", DEFAULT_FILE, SYNTAX].iter().any(|file| reader.has_problem(file));
    is_unread || reader.has_problem(setting) || sources.iter().any(|source| reader.has_problem(source))
}

/// What a slip in the file's syntax is called.
const SYNTAX: &str = "TOML syntax";

fn read_settings_file(reader: &mut Reader<'_>, config: Option<&Path>) -> (Arc<str>, Table) {
    let path = config.unwrap_or(Path::new(DEFAULT_FILE));
    let shown: Arc<str> = path.to_string_lossy().into();
    let (setting, origin) = match config {
        Some(_) => ("--config", Origin::Argument),
        None => (DEFAULT_FILE, Origin::File { path: Arc::clone(&shown), line: None, column: None }),
    };
    let text = match reader.file(path) {
        Ok(text) => text,
        Err(error) if config.is_none() && error.kind() == io::ErrorKind::NotFound => {
            return (shown, Table::new());
        }
        Err(error) => {
            let allowed = format!("a file of settings that can be read ({error})");
            let read = problem::quoted(&shown);
            reader.problems.push(Problem::value(setting, origin, read, allowed));
            return (shown, Table::new());
        }
    };
    // A byte order mark is what some editors begin a file with; TOML does not allow it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (table, mut problems) = value::parse_file(&shown, text);
    reader.problems.append(&mut problems);
    (shown, table)
}

fn read_settings(reader: &mut Reader<'_>, root: &Section) -> Settings {
    let heroku = reader.section(root, "heroku", "heroku");
    let status_url = reader.value(&heroku, "status_url", STATUS_URL_ALLOWED, |value| {
        urls::api_url(value.text()?).map(|url| url.text)
    });
    let heroku = read_heroku(reader, &heroku);
    let drain = reader.section(root, "drain", "drain");
    let drain = read_drain(reader, &drain);
    let admin = reader.section(root, "admin", "admin");
    let admin_password = read_password(reader, "ADMIN_PASSWORD", &admin, "password_file");
    let hook = reader.section(root, "hook", "hook");
    let hook_key = read_password(reader, "HOOK_KEY", &hook, "key_file");
    let tls = reader.section(root, "tls", "tls");
    let tls = tls::read(reader, &tls);
    let store = reader.section(root, "store", "store");
    let database = read_database(reader, &store);
    let store_keep = reader.duration(&store, "keep", limits::KEEP_MIN..=limits::KEEP_MAX);

    let policy = reader.section(root, "policy", "policy");
    let defaults = AppPlan {
        name: "app".parse().expect("`app` is letters only"),
        dry_run: reader.boolean(root, "dry_run").unwrap_or(false),
        policy: policy::read(reader, &policy, &policy::defaults()),
        rules: rules::read(reader, root, "rule").unwrap_or_else(rules::defaults),
    };
    let common = Common {
        drain_password: drain.password.as_ref(),
        old_drain_password: drain.old_password.as_ref(),
        plan: defaults.clone(),
    };
    let apps = apps::read(reader, root, &common);
    let notifiers = notify::read(reader, root, &apps);

    let settings = Settings {
        admin_password,
        apps,
        database,
        defaults,
        drain,
        heroku,
        hook_key,
        is_on_dyno: reader.any_variable("DYNO").is_some(),
        listen: reader
            .parsed(root, "listen", "an IP address to listen on, such as 0.0.0.0, 127.0.0.1 or ::")
            .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        log_filter: reader.variable("RUST_LOG").and_then(|found| found.value.text().map(str::to_owned)),
        log_format: reader.value(root, "log_format", "text or json", |value| match value.text()? {
            "json" => Some(LogFormat::Json),
            "text" => Some(LogFormat::Text),
            _ => None,
        }),
        notifiers,
        port: reader
            .integer(root, "port", 0..=u64::from(u16::MAX))
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or(PORT),
        public_url: read_public_url(reader, root),
        status_url,
        store_keep: store_keep.unwrap_or(KEEP),
        tls,
        trusted_proxies: proxies::read(reader, root),
        warnings: Vec::new(),
    };
    warn_of_one_secret_for_two(reader, &settings);
    if settings.apps.iter().any(|app| app.old_drain_password.is_some()) {
        reader.warnings.push(OLD_PASSWORD.to_owned());
    }
    settings
}

const OLD_PASSWORD: &str =
    "an old drain password is still accepted: remove it from the settings once no drain uses it";
const PORT: u16 = 8080;
const KEEP: Duration = Duration::from_secs(90 * 86_400);

const STATUS_URL_ALLOWED: &str =
    "a URL such as https://status.heroku.com/api/v4/current-status, without a user, a query or a fragment";

fn read_public_url(reader: &mut Reader<'_>, root: &Section) -> Option<PublicUrl> {
    let found = reader.find(root, "public_url")?;
    let url = found.value.text().and_then(PublicUrl::parse);
    // Whoever writes a whole drain's URL here writes its password, too.
    let url = url.filter(|url| !url.has_userinfo());
    if url.is_none() {
        let read = found.value.text().map_or_else(|| found.value.shown(), urls::shown_api_url);
        let allowed = format!("{PUBLIC_URL_ALLOWED}, and without a user");
        reader.problems.push(Problem::value(found.setting, found.origin, read, allowed));
    }
    url
}

fn read_heroku(reader: &mut Reader<'_>, section: &Section) -> HerokuSettings {
    let api_key = secret::read(
        reader,
        &SecretSource {
            variable: Some("HEROKU_API_KEY"),
            section,
            key: "api_key_file",
            allowed: "a token as `heroku authorizations:create -s write` prints it, without blanks",
            is_usable: |text| text.bytes().all(|byte| byte.is_ascii_graphic()),
        },
    );
    let mut api_url = API_URL.to_owned();
    if let Some(found) = reader.find(section, "api_url") {
        match found.value.text().and_then(urls::api_url) {
            Some(url) => {
                if url.is_clear {
                    let warning = format!(
                        "{} ({}): http to another machine sends the token in clear",
                        found.setting, found.origin
                    );
                    reader.warnings.push(warning);
                }
                api_url = url.text;
            }
            None => {
                let read = found.value.text().map_or_else(|| found.value.shown(), urls::shown_api_url);
                let problem = Problem::value(found.setting, found.origin, read, urls::API_URL_ALLOWED);
                reader.problems.push(problem);
            }
        }
    }
    let timeouts = limits::REQUEST_TIMEOUT_MIN..=limits::REQUEST_TIMEOUT_MAX;
    let request_timeout = reader.duration(section, "request_timeout", timeouts).unwrap_or(REQUEST_TIMEOUT);
    HerokuSettings { api_key, api_url, request_timeout }
}

const API_URL: &str = "https://api.heroku.com";
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

fn read_drain(reader: &mut Reader<'_>, section: &Section) -> DrainSettings {
    let password = apps::read_drain_password(reader, Some("DRAIN_PASSWORD"), section, "password_file");
    let old = apps::read_drain_password(reader, Some("DRAIN_PASSWORD_OLD"), section, "old_password_file");
    let body = limits::BODY_BYTES_LEAST..=limits::BODY_BYTES_MOST;
    let body_bytes_max = reader.bytes(section, "max_body", body).unwrap_or(BODY_BYTES);
    if body_bytes_max < limits::BODY_BYTES_SAFE {
        let warning = format!(
            "drain.max_body is {}: logplex permanently drops a larger batch; {} is safe",
            units::spell_bytes(body_bytes_max),
            units::spell_bytes(limits::BODY_BYTES_SAFE)
        );
        reader.warnings.push(warning);
    }
    let connections = reader.integer(section, "max_connections", 1..=limits::CONNECTIONS_MAX);
    let silences = limits::SILENT_AFTER_MIN..=limits::SILENT_AFTER_MAX;
    let silent_after = reader.duration(section, "silent_after", silences);
    DrainSettings {
        body_bytes_max: usize::try_from(body_bytes_max).unwrap_or(usize::MAX),
        connections_max: connections.and_then(|count| usize::try_from(count).ok()).unwrap_or(CONNECTIONS),
        password,
        old_password: old,
        statistics: reader.boolean(section, "statistics").unwrap_or(true),
        silent_after,
    }
}

const BODY_BYTES: u64 = 4 * 1024 * 1024;
const CONNECTIONS: usize = 4096;

/// A password or a key that people and monitors send in a header or a query.
fn read_password(
    reader: &mut Reader<'_>,
    variable: &str,
    section: &Section,
    key: &'static str,
) -> Option<SecretString> {
    secret::read(
        reader,
        &SecretSource {
            variable: Some(variable),
            section,
            key,
            allowed: "printable text that does not begin or end with a blank",
            is_usable: |text| text.trim() == text && !text.chars().any(char::is_control),
        },
    )
}

fn read_database(reader: &mut Reader<'_>, section: &Section) -> Database {
    let default = || Database::Sqlite("dynowarden.db".into());
    let found = reader.find(section, "url");
    // The variable counts before the file that `url_file` names, that before a `url` in the settings file.
    let is_variable = found.as_ref().is_some_and(|found| matches!(found.origin, Origin::Variable(_)));
    if !is_variable && reader.find(section, "url_file").is_some() {
        let text = secret::read(
            reader,
            &SecretSource {
                variable: None,
                section,
                key: "url_file",
                allowed: urls::DATABASE_ALLOWED,
                is_usable: |text| urls::database(text).is_some(),
            },
        );
        return text.and_then(|text| urls::database(text.expose_secret())).unwrap_or_else(default);
    }
    let Some(found) = found else { return default() };
    let text = found.value.text();
    if matches!(found.origin, Origin::File { .. }) && text.is_some_and(urls::has_user) {
        let text = "secrets must not be stored in this file; use DATABASE_URL or store.url_file";
        reader.problems.push(Problem::new(found.setting, found.origin, text));
        return default();
    }
    text.and_then(urls::database).unwrap_or_else(|| {
        let read = text.map_or_else(|| found.value.shown(), urls::shown_database);
        let problem = Problem::value(&found.setting, found.origin.clone(), read, urls::DATABASE_ALLOWED);
        reader.problems.push(problem);
        default()
    })
}

/// Every collaborator of an app sees its drain's password (`heroku drains`), so it must open nothing else.
fn warn_of_one_secret_for_two(reader: &mut Reader<'_>, settings: &Settings) {
    let drains: Vec<&str> = settings
        .apps
        .iter()
        .flat_map(AppSettings::drain_passwords)
        .map(|held| held.expose_secret())
        .collect();
    for (name, secret) in [("ADMIN_PASSWORD", &settings.admin_password), ("HOOK_KEY", &settings.hook_key)] {
        if secret.as_ref().is_some_and(|secret| drains.contains(&secret.expose_secret())) {
            let warning =
                format!("{name} is also a drain password: everyone who can list the app's drains knows it");
            reader.warnings.push(warning);
        }
    }
}
