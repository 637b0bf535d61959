//! The settings, validated: what the rest of the program is built from.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::engine::policy::AppPlan;
use crate::ident::DrainToken;

/// Everything a user can set, with defaults filled in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `ADMIN_PASSWORD`; without it the status page, the JSON API and `/metrics` do not exist.
    pub admin_password: Option<SecretString>,
    /// The watched apps, in the order of the settings.
    pub apps: Vec<AppSettings>,
    /// `DATABASE_URL`.
    pub database: Database,
    /// `[drain]`.
    pub drain: DrainSettings,
    /// `[heroku]`.
    pub heroku: HerokuSettings,
    /// `HOOK_KEY`; without it the hook does not exist.
    pub hook_key: Option<SecretString>,
    /// The address to listen on.
    pub listen: IpAddr,
    /// `LOG_FORMAT`; none means text on a terminal and JSON elsewhere.
    pub log_format: Option<LogFormat>,
    /// `PORT`; 0 lets the system choose.
    pub port: u16,
}

/// One watched app.
#[derive(Clone, Debug)]
pub struct AppSettings {
    /// The password in this app's drain URL: its own, else `DRAIN_PASSWORD`.
    pub drain_password: Option<SecretString>,
    /// Drain tokens known from the settings, beside those that the API tells.
    pub drain_tokens: Vec<DrainToken>,
    /// What the engine needs to know.
    pub plan: AppPlan,
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
