//! The settings, validated: what the rest of the program is built from.

use core::net::IpAddr;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;

use crate::certificate::Identity;
use crate::config::problem::{Origin, Problem};
use dynowarden_core::drain_url::PublicUrl;
use dynowarden_core::ident::{AppName, DrainToken};
use dynowarden_core::incident::digest::DailyTime;
use dynowarden_core::incident::kind::Kind;
use dynowarden_core::policy::AppPlan;

/// Everything a user can set, with defaults filled in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `ADMIN_PASSWORD`; without it the status page, the JSON API and `/metrics` do not exist.
    pub admin_password: Option<SecretString>,
    /// The watched apps, in the order of the settings.
    pub apps: Vec<AppSettings>,
    /// `DATABASE_URL`.
    pub database: Database,
    /// What applies to an app that has no settings of its own; its name stands for any.
    pub defaults: AppPlan,
    /// `[drain]`.
    pub drain: DrainSettings,
    /// `[heroku]`.
    pub heroku: HerokuSettings,
    /// `HOOK_KEY`; without it the hook does not exist.
    pub hook_key: Option<SecretString>,
    /// Whether the program runs behind Heroku's router, which appends to `X-Forwarded-For`.
    pub is_on_dyno: bool,
    /// The address to listen on.
    pub listen: IpAddr,
    /// `RUST_LOG`, unparsed.
    pub log_filter: Option<String>,
    /// `LOG_FORMAT`; none means text on a terminal and JSON elsewhere.
    pub log_format: Option<LogFormat>,
    /// `[[notify]]`: who is told of what.
    pub notifiers: Vec<NotifierSettings>,
    /// `PORT`; 0 picks a free port.
    pub port: u16,
    /// `public_url`: where the world reaches this program.
    pub public_url: Option<PublicUrl>,
    /// `heroku.status_url`: Heroku's status page, where that is to be read.
    pub status_url: Option<String>,
    /// `store.keep`: how long decisions are kept.
    pub store_keep: Duration,
    /// `[tls]`; without it the HTTP server speaks plain HTTP.
    pub tls: Option<TlsSettings>,
    /// `trusted_proxies`: whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What is allowed and yet probably not meant, to be logged at the start.
    pub warnings: Vec<String>,
}

impl Settings {
    /// The plan of `name`: its own where it is watched, else the defaults under its name.
    pub fn plan_for(&self, name: &AppName) -> AppPlan {
        let own = self.apps.iter().find(|app| app.plan.name == *name);
        own.map_or_else(|| AppPlan { name: name.clone(), ..self.defaults.clone() }, |app| app.plan.clone())
    }

    /// What `serve` cannot do without and is not set.
    pub fn missing_for_serve(&self) -> Vec<Problem> {
        let mut missing = Vec::new();
        let mut lacks = |setting, text: &str| missing.push(Problem::new(setting, Origin::Unset, text));
        if self.heroku.api_key.is_none() {
            lacks(
                "HEROKU_API_KEY",
                "serve needs a token; `heroku authorizations:create -s write` makes one (or \
                 heroku.api_key_file names the file that holds it)",
            );
        }
        if self.apps.is_empty() {
            lacks(
                "HEROKU_APP",
                "serve needs an app to watch, or several with commas between (or [[app]] tables)",
            );
        }
        let open: Vec<&str> = self
            .apps
            .iter()
            .filter(|app| app.drain_password.is_none())
            .map(|app| app.plan.name.as_str())
            .take(NAMED_APPS_MAX)
            .collect();
        if !open.is_empty() {
            let text = format!(
                "serve needs the password of the drain's URL; {} would be open to everybody (or \
                 drain.password_file, or app.drain_password_file, names the file that holds it)",
                open.join(", ")
            );
            lacks("DRAIN_PASSWORD", &text);
        } else if self.apps.is_empty() && self.drain.password.is_none() {
            lacks(
                "DRAIN_PASSWORD",
                "serve needs the password of the drain's URL (or drain.password_file names the file that \
                 holds it)",
            );
        }
        missing
    }
}

/// Apps that one message names.
const NAMED_APPS_MAX: usize = 5;

/// One watched app.
#[derive(Clone, Debug)]
pub struct AppSettings {
    /// The password in this app's drain URL: its own, else `DRAIN_PASSWORD`.
    pub drain_password: Option<SecretString>,
    /// The password that it replaces, which opens the drain as well.
    pub old_drain_password: Option<SecretString>,
    /// Drain tokens known from the settings, beside those that the API tells.
    pub drain_tokens: Vec<DrainToken>,
    /// What the engine needs to know.
    pub plan: AppPlan,
}

impl AppSettings {
    /// All that opens this app's drain.
    pub fn drain_passwords(&self) -> impl Iterator<Item = &SecretString> {
        [&self.drain_password, &self.old_drain_password].into_iter().flatten()
    }
}

/// `[heroku]`.
#[derive(Clone, Debug)]
pub struct HerokuSettings {
    /// `HEROKU_API_KEY` or `heroku.api_key_file`.
    pub api_key: Option<SecretString>,
    /// `HEROKU_API_URL`, without a trailing slash; `http` or `https`, no user info, no query.
    pub api_url: String,
    /// `heroku.request_timeout`: one call, from connect to the last byte of the answer.
    pub request_timeout: Duration,
}

/// `[drain]`.
#[derive(Clone, Debug)]
pub struct DrainSettings {
    /// Bytes of one batch, before and after decompression.
    pub body_bytes_max: usize,
    /// Connections at once.
    pub connections_max: usize,
    /// `DRAIN_PASSWORD` or `drain.password_file`, for the apps that have none of their own.
    pub password: Option<SecretString>,
    /// `DRAIN_PASSWORD_OLD` or `drain.old_password_file`: what [`DrainSettings::password`] replaces.
    pub old_password: Option<SecretString>,
    /// `drain.statistics`: whether requests are counted, so that messages can say what a restart changed.
    pub statistics: bool,
    /// `drain.silent_after`; none means by what each app usually sends.
    pub silent_after: Option<Duration>,
}

/// `[tls]`.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The file of the certificate and its chain.
    pub cert: PathBuf,
    /// What was in the files.
    pub identity: Identity,
    /// The file of its key.
    pub key: PathBuf,
}

/// One `[[notify]]`.
#[derive(Clone, Debug)]
pub struct NotifierSettings {
    /// The apps that are told of; none means all.
    pub apps: Option<Vec<AppName>>,
    /// The medium and the receiver.
    pub channel: ChannelSettings,
    /// When the digest is sent, if one is.
    pub digest: Option<DailyTime>,
    /// How long quiet messages are held back.
    pub group: Duration,
    /// What metrics and messages call it; no other notifier has the name.
    pub name: Arc<str>,
    /// The kinds that are sent.
    pub on: BTreeSet<Kind>,
    /// How long until a loud message is told again.
    pub repeat: Duration,
}

/// The medium of a notifier.
#[derive(Clone, Debug)]
pub enum ChannelSettings {
    /// Mail through a server.
    Email(EmailSettings),
    /// An incoming webhook of Slack's.
    Slack {
        /// Its URL, a secret in itself.
        url: SecretString,
    },
    /// Anything that takes JSON.
    Webhook {
        /// Where it is sent; may hold a token.
        url: SecretString,
        /// What the body is signed with.
        secret: Option<SecretString>,
    },
}

/// `[[notify]]` with `type = "email"`.
#[derive(Clone, Debug)]
pub struct EmailSettings {
    /// The user and the password, where the server wants them.
    pub credentials: Option<(String, SecretString)>,
    /// The sender's address.
    pub from: String,
    /// The mail server, a name or an IP address.
    pub host: String,
    pub port: u16,
    /// Certificates in PEM form that are trusted beside those of the system.
    pub roots: Option<Arc<str>>,
    /// How the connection is made safe.
    pub security: SmtpSecurity,
    /// The recipients' addresses; at least one.
    pub to: Vec<String>,
}

/// How a connection to a mail server is made safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// Not at all; only to this machine itself.
    None,
    /// STARTTLS, or no mail.
    StartTls,
    /// TLS from the first byte.
    Tls,
}

/// Where the record is kept.
#[derive(Clone, Debug)]
pub enum Database {
    /// Nowhere: gone with the process.
    Memory,
    /// `postgres://…`; holds a password.
    Postgres(SecretString),
    /// `sqlite://FILE`.
    Sqlite(PathBuf),
}

/// `LOG_FORMAT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}
