//! The settings, validated.

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
    /// What applies to an app without settings of its own; its name is a placeholder.
    pub defaults: AppPlan,
    pub drain: DrainSettings,
    pub heroku: HerokuSettings,
    /// `HOOK_KEY`; without it the hook does not exist.
    pub hook_key: Option<SecretString>,
    /// Whether dynowarden runs behind Heroku's router, which appends to `X-Forwarded-For`.
    pub is_on_dyno: bool,
    pub listen: IpAddr,
    /// `RUST_LOG`, unparsed.
    pub log_filter: Option<String>,
    /// `LOG_FORMAT`; none means text on a terminal and JSON elsewhere.
    pub log_format: Option<LogFormat>,
    pub notifiers: Vec<NotifierSettings>,
    /// `PORT`; 0 picks a free port.
    pub port: u16,
    /// `public_url`: where Heroku reaches dynowarden.
    pub public_url: Option<PublicUrl>,
    /// `heroku.status_url`: Heroku's status page; none means that it is not read.
    pub status_url: Option<String>,
    /// `store.keep`: how long decisions are kept.
    pub store_keep: Duration,
    /// `store.keep_series`.
    pub keep_series: Duration,
    /// `[tls]`; without it the HTTP server speaks plain HTTP.
    pub tls: Option<TlsSettings>,
    /// `trusted_proxies`: the proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// What is allowed but probably a mistake; logged at startup.
    pub warnings: Vec<String>,
}

impl Settings {
    /// The plan of `name`: its own if it is watched, else the defaults under its name.
    pub fn plan_for(&self, name: &AppName) -> AppPlan {
        let own = self.apps.iter().find(|app| app.plan.name == *name);
        own.map_or_else(|| AppPlan { name: name.clone(), ..self.defaults.clone() }, |app| app.plan.clone())
    }

    /// What `serve` requires and is not set.
    pub fn missing_for_serve(&self) -> Vec<Problem> {
        let mut missing = Vec::new();
        let mut lacks = |setting, text: &str| missing.push(Problem::new(setting, Origin::Unset, text));
        if self.heroku.api_key.is_none() {
            lacks(
                "HEROKU_API_KEY",
                "serve needs a token; `heroku authorizations:create -s write` creates one (or \
                 heroku.api_key_file names the file that holds it)",
            );
        }
        if self.apps.is_empty() {
            lacks(
                "HEROKU_APP",
                "serve needs an app to watch, or several separated by commas (or [[app]] tables)",
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
                "serve needs the password of the drain's URL; {} would accept logs from anyone (or \
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

/// Apps named in one message.
const NAMED_APPS_MAX: usize = 5;

#[derive(Clone, Debug)]
pub struct AppSettings {
    /// The password in this app's drain URL: its own, else `DRAIN_PASSWORD`.
    pub drain_password: Option<SecretString>,
    /// The password that it replaces, which is also accepted.
    pub old_drain_password: Option<SecretString>,
    /// Drain tokens from the settings, in addition to those that the API lists.
    pub drain_tokens: Vec<DrainToken>,
    pub plan: AppPlan,
}

impl AppSettings {
    /// Every password that this app's drain accepts.
    pub fn drain_passwords(&self) -> impl Iterator<Item = &SecretString> {
        [&self.drain_password, &self.old_drain_password].into_iter().flatten()
    }
}

#[derive(Clone, Debug)]
pub struct HerokuSettings {
    /// `HEROKU_API_KEY` or `heroku.api_key_file`.
    pub api_key: Option<SecretString>,
    /// `HEROKU_API_URL`, without a trailing slash; `http` or `https`, no user info, no query.
    pub api_url: String,
    /// `heroku.request_timeout`: one call, from connect to the last byte of the answer.
    pub request_timeout: Duration,
}

#[derive(Clone, Debug)]
pub struct DrainSettings {
    /// Bytes of one batch, before and after decompression.
    pub body_bytes_max: usize,
    /// Concurrent connections.
    pub connections_max: usize,
    /// `DRAIN_PASSWORD` or `drain.password_file`, for the apps that have none of their own.
    pub password: Option<SecretString>,
    /// `DRAIN_PASSWORD_OLD` or `drain.old_password_file`: what [`DrainSettings::password`] replaces.
    pub old_password: Option<SecretString>,
    /// `drain.statistics`: whether requests are counted, so that messages can say what a restart changed.
    pub statistics: bool,
    /// `drain.evidence`: whether requests are also counted by endpoint, to find those that make memory grow.
    pub evidence: bool,
    /// `drain.silent_after`; none means that it follows from what each app usually sends.
    pub silent_after: Option<Duration>,
}

/// `[tls]`.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The file of the certificate and its chain.
    pub cert: PathBuf,
    pub identity: Identity,
    /// The file of its key.
    pub key: PathBuf,
}

/// One `[[notify]]`.
#[derive(Clone, Debug)]
pub struct NotifierSettings {
    /// The apps to report on; none means all.
    pub apps: Option<Vec<AppName>>,
    pub channel: ChannelSettings,
    /// When the daily digest is sent; none means never.
    pub digest: Option<DailyTime>,
    /// How long quiet messages are held back.
    pub group: Duration,
    /// What metrics and messages call it; no other notifier has the name.
    pub name: Arc<str>,
    pub on: BTreeSet<Kind>,
    /// How long until a loud message is repeated.
    pub repeat: Duration,
    /// The variable with a name of its own that made it, such as `SLACK_URL`; none for a `[[notify]]`.
    pub variable: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub enum ChannelSettings {
    /// A Discord webhook; its URL is a secret.
    Discord {
        url: SecretString,
    },
    Email(EmailSettings),
    /// PagerDuty's Events API v2.
    PagerDuty {
        url: SecretString,
        /// The integration key of one service.
        routing_key: SecretString,
    },
    /// A Slack incoming webhook; its URL is a secret.
    Slack {
        url: SecretString,
    },
    /// A workflow of Microsoft Teams that starts at a webhook; its URL is a secret.
    Teams {
        url: SecretString,
    },
    /// Any receiver of JSON.
    Webhook {
        /// May contain a token.
        url: SecretString,
        /// Signs the body.
        secret: Option<SecretString>,
    },
}

impl ChannelSettings {
    /// Its word in settings.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Discord { .. } => "discord",
            Self::Email(_) => "email",
            Self::PagerDuty { .. } => "pagerduty",
            Self::Slack { .. } => "slack",
            Self::Teams { .. } => "teams",
            Self::Webhook { .. } => "webhook",
        }
    }
}

/// `[[notify]]` with `type = "email"`.
#[derive(Clone, Debug)]
pub struct EmailSettings {
    /// The user and the password, if the server requires them.
    pub credentials: Option<(String, SecretString)>,
    pub from: String,
    /// The mail server, a name or an IP address.
    pub host: String,
    pub port: u16,
    /// Certificates in PEM form that are trusted in addition to those of the system.
    pub roots: Option<Arc<str>>,
    pub security: SmtpSecurity,
    /// The recipients' addresses; at least one.
    pub to: Vec<String>,
}

/// How the connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// Not at all; only for a server on this machine.
    None,
    /// STARTTLS, or no mail.
    StartTls,
    /// TLS from the first byte.
    Tls,
}

/// Where decisions are stored.
#[derive(Clone, Debug)]
pub enum Database {
    /// Lost when the process ends.
    Memory,
    /// `postgres://…`; holds a password.
    Postgres(SecretString),
    Sqlite(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    Text,
}
