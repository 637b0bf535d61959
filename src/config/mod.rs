//! Settings from the environment, else the TOML file, else defaults, with every problem reported at once.
//!
//! The environment and the file are merged into one table ([`document`]), which serde reads into the
//! structs of [`keys`]. Each of their fields keeps its own error. The rest of this module turns them into
//! [`Settings`]: a wrong value counts as not set, so that one run names everything to fix, and a problem
//! anywhere means that there are no settings.
//!
//! Nothing here does I/O: the environment comes in as pairs, and files are read through the caller's
//! function.

pub mod env;
pub mod in_force;
pub mod keys;
pub mod problem;
pub mod settings;

mod apps;
mod document;
mod field;
mod notify;
mod notify_variables;
mod places;
mod policy;
mod reader;
mod receivers;
mod rules;
pub mod schema;
mod secret;
mod suggest;
mod tls;
mod types;
mod urls;
mod weak;

use core::net::{IpAddr, Ipv4Addr};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::ExposeSecret as _;
use tracing_subscriber::EnvFilter;

use crate::config::apps::Common;
use crate::config::field::{Field, Found};
use crate::config::problem::{Origin, Problem, Problems};
use crate::config::reader::{Reader, at_commas};
use crate::config::settings::{Database, DrainSettings, HerokuSettings, Settings};
use dynowarden_core::drain_url::{PUBLIC_URL_ALLOWED, PublicUrl};
use dynowarden_core::limits;
use dynowarden_core::policy::{AppPlan, Trigger};
use dynowarden_core::units;

/// The settings file that is read by default, if it exists.
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
    /// None: `replay`, `history`, and `check`, which reports missing ones itself.
    Nothing,
    /// A token, a drain password and an app.
    Serving,
}

/// Reads all settings.
///
/// # Errors
/// Everything that is wrong with them and, with [`Needs::Serving`], everything that is missing.
pub fn load(sources: &Sources<'_>, needs: Needs) -> Result<Settings, Problems> {
    let (mut reader, settings) = read_all(sources);
    if needs == Needs::Serving {
        let is_explained = |missing: &Problem| explains(&reader, missing.setting());
        let missing: Vec<_> = settings.missing_for_serve().into_iter().filter(|m| !is_explained(m)).collect();
        reader.problems.extend(missing);
    }
    Problems::none_of(reader.problems)?;
    Ok(Settings { warnings: reader.warnings, ..settings })
}

fn read_all<'s>(sources: &Sources<'s>) -> (Reader<'s>, Settings) {
    let mut reader = Reader::new(sources.env, sources.read_file);
    let text = read_settings_file(&mut reader, sources.config);
    let root = document::read(&mut reader, &text);
    let settings = read_settings(&mut reader, &root);
    (reader, settings)
}

/// Settings of the command line, to be added to the environment, which they precede.
pub fn arguments(set: &[(String, String)]) -> impl Iterator<Item = (OsString, OsString)> {
    set.iter().map(|(key, value)| (format!("{}{key}", places::ARGUMENT).into(), value.into()))
}

/// Whether a problem that is already known is the reason that `setting` seems to be missing.
fn explains(reader: &Reader<'_>, setting: &str) -> bool {
    let sources: &[&str] = match setting {
        "HEROKU_API_KEY" => &["heroku", "heroku.api_key_file"],
        "HEROKU_APP" => &["app", "app.name"],
        _ => &["drain", "drain.password_file", "app.drain_password_file"],
    };
    let is_unread = ["--config", DEFAULT_FILE, document::SYNTAX].iter().any(|file| reader.has_problem(file));
    is_unread || reader.has_problem(setting) || sources.iter().any(|source| reader.has_problem(source))
}

fn read_settings_file(reader: &mut Reader<'_>, config: Option<&Path>) -> String {
    let path = config.unwrap_or(Path::new(DEFAULT_FILE));
    let shown: Arc<str> = path.to_string_lossy().into();
    let text = match reader.file(path) {
        // Some editors begin a file with a byte order mark, which TOML does not allow.
        Ok(text) => text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text),
        Err(error) => {
            if config.is_some() || error.kind() != io::ErrorKind::NotFound {
                let (setting, origin) = match config {
                    Some(_) => ("--config", Origin::Argument),
                    None => {
                        (DEFAULT_FILE, Origin::File { path: Arc::clone(&shown), line: None, column: None })
                    }
                };
                let read = problem::quoted(&shown);
                let text = format!("read {read}; allowed: a readable settings file ({error})");
                reader.problems.push(Problem::new(setting, origin, text));
            }
            String::new()
        }
    };
    reader.places.set_file(shown, &text);
    text
}

fn read_settings(reader: &mut Reader<'_>, root: &keys::Root) -> Settings {
    let drain = read_drain(reader, &root.drain);
    let defaults = AppPlan {
        name: "app".parse().expect("`app` is letters only"),
        dry_run: reader.get(&root.dry_run).unwrap_or(false),
        policy: policy::read(reader, &root.policy, &policy::defaults()),
        rules: rules::read(reader, &root.rule, "rule").unwrap_or_else(rules::defaults),
    };
    let common = Common {
        drain_password: drain.password.as_ref(),
        old_drain_password: drain.old_password.as_ref(),
        plan: defaults.clone(),
    };
    let apps = apps::read(reader, &root.app, &common);
    let notifiers = notify::read(reader, &root.notify, &apps);
    let settings = Settings {
        admin_password: secret::read(reader, "ADMIN_PASSWORD", &root.admin.password_file, secret::PASSWORD),
        notifiers: notify_variables::read(reader, &root.notify, notifiers),
        apps,
        database: read_database(reader, &root.store),
        defaults,
        drain,
        heroku: read_heroku(reader, &root.heroku),
        hook_key: secret::read(reader, "HOOK_KEY", &root.hook.key_file, secret::PASSWORD),
        is_on_dyno: reader.any_variable("DYNO").is_some(),
        listen: reader.get(&root.listen).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        log_filter: read_filter(reader),
        log_format: reader.get(&root.log_format),
        port: reader.get(&root.port).unwrap_or(PORT),
        public_url: read_public_url(reader, &root.public_url),
        status_url: read_url(reader, &root.heroku.status_url, STATUS_URL_ALLOWED, urls::api_url)
            .map(|url| url.text),
        store_keep: reader.get(&root.store.keep).unwrap_or(KEEP),
        keep_series: reader.get(&root.store.keep_series).unwrap_or(limits::KEEP_SERIES),
        tls: tls::read(reader, &root.tls),
        trusted_proxies: read_proxies(reader, &root.trusted_proxies),
        warnings: Vec::new(),
    };
    reader.warnings.extend(weak::warnings(&settings));
    if !settings.drain.statistics {
        reader.warnings.extend(blind_rules(&settings));
    }
    if settings.apps.iter().any(|app| app.old_drain_password.is_some()) {
        reader.warnings.push(OLD_PASSWORD.to_owned());
    }
    settings
}

/// Rules on service times, which are not read without statistics.
fn blind_rules(settings: &Settings) -> Option<String> {
    let plans = settings.apps.iter().map(|app| &app.plan).chain([&settings.defaults]);
    let mut rules = plans.flat_map(|plan| &plan.rules);
    let rule = rules.find(|rule| matches!(rule.trigger, Trigger::SlowerThanPeers { .. }))?;
    Some(format!(
        "the rule {} can never fire: drain.statistics is false, so service times are not read",
        rule.name
    ))
}

const OLD_PASSWORD: &str =
    "an old drain password is still accepted: remove it from the settings once no drain uses it";
const PORT: u16 = 8080;
const KEEP: Duration = Duration::from_secs(90 * 86_400);

const CLEAR_API_URL_ALLOWED: &str = "https to another machine, because http sends the token in clear text \
                                     (heroku.allow_http = true allows it in a private network)";

const STATUS_URL_ALLOWED: &str =
    "a URL such as https://status.heroku.com/api/v4/current-status, without a user, a query or a fragment";

/// A URL. One that is refused is shown without the parts that may be a password.
fn read_url<T>(
    reader: &mut Reader<'_>,
    field: &Field,
    allowed: impl fmt::Display,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let found = field.found()?;
    let url = found.value.text().and_then(parse);
    if url.is_none() {
        let read = found.value.text().map_or_else(|| found.value.shown(), urls::shown_api_url);
        reader.refuse_as(found, read, allowed);
    }
    url
}

/// `RUST_LOG`, which only the log itself can parse.
fn read_filter(reader: &mut Reader<'_>) -> Option<String> {
    let found = reader.variable("RUST_LOG")?;
    let text = found.value.text().filter(|text| !text.trim().is_empty())?.to_owned();
    if let Err(reason) = EnvFilter::builder().parse(&text) {
        reader.refuse(&found, format!("a filter such as `info` or `dynowarden=debug,warn` ({reason})"));
    }
    Some(text)
}

fn read_public_url(reader: &mut Reader<'_>, field: &Field) -> Option<PublicUrl> {
    let allowed = format!("{PUBLIC_URL_ALLOWED}, and without a user");
    // A whole drain URL has the drain's password in it.
    let parse = |text: &str| PublicUrl::parse(text).filter(|url| !url.has_userinfo());
    read_url(reader, field, allowed, parse)
}

fn read_heroku(reader: &mut Reader<'_>, section: &keys::Heroku) -> HerokuSettings {
    let api_key = secret::read(reader, "HEROKU_API_KEY", &section.api_key_file, secret::API_KEY);
    let api_url = read_url(reader, &section.api_url, urls::API_URL_ALLOWED, urls::api_url);
    let allow_http = reader.get(&section.allow_http).unwrap_or(false);
    if let Some(found) = section.api_url.found().filter(|_| api_url.as_ref().is_some_and(|url| url.is_clear))
    {
        let (setting, origin) = (reader.places.name(found.at), reader.places.origin(found.at));
        if allow_http {
            let warning =
                format!("{setting} ({origin}): http to another machine sends the token in clear text");
            reader.warnings.push(warning);
        } else {
            let read = found.value.text().map_or_else(|| found.value.shown(), urls::shown_api_url);
            reader.refuse_as(found, read, CLEAR_API_URL_ALLOWED);
        }
    }
    HerokuSettings {
        api_key,
        api_url: api_url.map_or_else(|| API_URL.to_owned(), |url| url.text),
        request_timeout: reader.get(&section.request_timeout).unwrap_or(REQUEST_TIMEOUT),
    }
}

const API_URL: &str = "https://api.heroku.com";
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

fn read_drain(reader: &mut Reader<'_>, section: &keys::Drain) -> DrainSettings {
    let (file, old_file) = (&section.password_file, &section.old_password_file);
    let password = secret::read(reader, "DRAIN_PASSWORD", file, secret::DRAIN_PASSWORD);
    let old_password = secret::read(reader, "DRAIN_PASSWORD_OLD", old_file, secret::DRAIN_PASSWORD);
    let body_bytes_max = reader.get(&section.max_body).unwrap_or(BODY_BYTES);
    if body_bytes_max < limits::BODY_BYTES_SAFE {
        let warning = format!(
            "drain.max_body is {}: logplex permanently drops a larger batch; {} is safe",
            units::spell_bytes(body_bytes_max),
            units::spell_bytes(limits::BODY_BYTES_SAFE)
        );
        reader.warnings.push(warning);
    }
    let connections_max = reader.get(&section.max_connections).map(NonZeroU32::get).unwrap_or(CONNECTIONS);
    DrainSettings {
        body_bytes_max: usize::try_from(body_bytes_max).unwrap_or(usize::MAX),
        connections_max: usize::try_from(connections_max).unwrap_or(usize::MAX),
        password,
        old_password,
        statistics: reader.get(&section.statistics).unwrap_or(true),
        evidence: reader.get(&section.evidence).unwrap_or(true),
        silent_after: reader.get(&section.silent_after),
    }
}

/// log-shuttle sends up to 5 MB.
const BODY_BYTES: u64 = 8 * 1024 * 1024;
const CONNECTIONS: u32 = 4096;

fn read_database(reader: &mut Reader<'_>, section: &keys::Store) -> Database {
    let read = match section.url.found() {
        Some(found) if places::is_variable(found.at) || !section.url_file.is_set() => {
            read_database_url(reader, found)
        }
        // A `url_file` overrides a `url` in the settings file.
        _ => secret::read_file(reader, &section.url_file, urls::DATABASE)
            .and_then(|text| urls::database(text.expose_secret())),
    };
    read.unwrap_or_else(|| Database::Sqlite("dynowarden.db".into()))
}

fn read_database_url(reader: &mut Reader<'_>, found: &Found) -> Option<Database> {
    let text = found.value.text();
    if !places::is_variable(found.at) && text.is_some_and(urls::has_user) {
        let text = "secrets must not be stored in this file; use DATABASE_URL or store.url_file";
        reader.problem(found.at, text);
        return None;
    }
    let database = text.and_then(urls::database);
    if database.is_none() {
        let read = text.map_or_else(|| found.value.shown(), urls::shown_database);
        reader.refuse_as(found, read, urls::DATABASE.allowed);
    }
    database
}

/// The networks of the proxies whose `X-Forwarded-For` is trusted.
fn read_proxies(reader: &mut Reader<'_>, field: &Field) -> Vec<IpNet> {
    let allowed = "networks or addresses of proxies, such as 10.0.0.0/8, 192.0.2.1 or fd00::/8";
    let networks: Option<Vec<Network>> = reader.list(field, allowed, at_commas);
    let networks: Vec<IpNet> = networks.unwrap_or_default().into_iter().map(|network| network.0).collect();
    if let Some(found) = field.found().filter(|_| networks.len() > limits::PROXIES_MAX) {
        reader.refuse(found, format!("at most {} networks", limits::PROXIES_MAX));
    }
    if networks.iter().any(|network| network.prefix_len() == 0) {
        let warning = "trusted_proxies contains every address: any sender may choose the address that is \
                       counted and logged";
        reader.warnings.push(warning.to_owned());
    }
    networks
}

/// A network, or one address.
#[derive(PartialEq)]
struct Network(IpNet);

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let network = text.parse().or_else(|_| text.parse().map(IpAddr::into));
        let network = network.map_err(|_| "an address, or an address with / and a number of bits")?;
        Ok(Self(IpNet::trunc(&network)))
    }
}
