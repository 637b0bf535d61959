//! What `check` goes by: the settings, and what the API, the store and the notifiers answered.

use jiff::Timestamp;
use secrecy::SecretString;

use crate::api::ApiError;
use crate::api::json::{Account, AppInfo, Drain, Feature, Formation};
use crate::drain_url::PublicUrl;
use crate::ident::AppName;
use crate::policy::AppPlan;

/// All of it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The watched apps; empty where there is no token to ask with.
    pub apps: Vec<AppFacts>,
    /// What the clocks here and at the API said at one moment.
    pub clocks: Option<Clocks>,
    /// A password that nobody uses yet, for the commands that need one.
    pub fresh_password: String,
    /// Where `check` runs.
    pub home: Home,
    /// What `serve` needs and is not set.
    pub missing: Vec<MissingSetting>,
    pub notifiers: Vec<NotifierFact>,
    /// Whether a test through each notifier was asked for.
    pub notify_asked: bool,
    /// Where the daemon is reached, as far as that is known.
    pub public_url: Option<PublicUrl>,
    pub store: StoreFact,
    /// The certificate of `[tls]`; none where something in front ends TLS.
    pub tls: Option<TlsFact>,
    pub token: TokenFacts,
    /// What is set and probably not meant.
    pub warnings: Vec<String>,
}

/// Two clocks, read together.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// This machine's.
    pub here: Timestamp,
    /// The API's, to the second.
    pub there: Timestamp,
}

/// Where `check` runs.
#[derive(Clone, Debug, Default)]
pub struct Home {
    /// The app that it runs in, by name, as dyno metadata tells it.
    pub app_name: Option<String>,
    /// The same by id.
    pub app_id: Option<String>,
    /// Whether it runs on a dyno.
    pub is_on_dyno: bool,
}

/// A setting that `serve` needs and that is not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSetting {
    /// The setting as a user types it, such as `HEROKU_API_KEY`.
    pub name: String,
    /// The whole message, which names the setting.
    pub message: String,
}

/// The validity of a certificate at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateState {
    /// Valid for at least [`TLS_EXPIRES_SOON`](crate::limits::TLS_EXPIRES_SOON) more.
    Good,
    /// Valid for less than [`TLS_EXPIRES_SOON`](crate::limits::TLS_EXPIRES_SOON).
    ExpiresSoon,
    /// No longer valid.
    Expired,
    /// Not valid yet.
    NotYet,
}

/// The certificate of `[tls]`.
#[derive(Clone, Debug)]
pub struct TlsFact {
    /// Whether it is one for the host of the public URL; none where that is not known.
    pub is_for_host: Option<bool>,
    /// Until when it is good.
    pub not_after: Timestamp,
    /// How it stands now.
    pub state: CertificateState,
}

/// The token.
#[derive(Clone, Debug)]
pub enum TokenFacts {
    /// The API was asked with it.
    Asked {
        /// Whose it is.
        account: Result<Account, ApiError>,
        /// `Oauth-Scope` of the answers.
        scope: Option<String>,
        /// The calls left to the account.
        calls_left: Option<u32>,
    },
    /// There is none.
    Missing,
    /// This machine cannot speak HTTPS, so nobody could be asked.
    NoHttps,
    /// It cannot be sent.
    Unusable { what: String },
}

/// One app.
#[derive(Clone, Debug)]
pub struct AppFacts {
    /// Its place in the answers, and its rules.
    pub plan: AppPlan,
    /// What the API says it is.
    pub info: Result<AppInfo, ApiError>,
    pub drains: Result<Vec<Drain>, ApiError>,
    pub features: Result<Vec<Feature>, ApiError>,
    pub formation: Result<Vec<Formation>, ApiError>,
    /// The password that its drain must have.
    pub password: Option<SecretString>,
    /// The one that it replaces, which is let in as well.
    pub old_password: Option<SecretString>,
    /// Where that password comes from.
    pub password_place: PasswordPlace,
    /// What became of adding its drain, where that was tried.
    pub registered: Option<Result<(), ApiError>>,
}

/// How a command to type names the drain's password without showing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordPlace {
    /// A file that the settings name.
    File,
    /// `DRAIN_PASSWORD`.
    Variable,
}

/// The store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreFact {
    /// There is nothing in it yet, and the first start makes it.
    Empty {
        /// Where it is, without a password.
        place: String,
    },
    /// It cannot be used.
    Failed {
        /// Where it is, without a password.
        place: String,
        /// Why not.
        what: String,
    },
    /// Nothing is kept.
    Memory,
    /// It was opened.
    Opened {
        /// Where it is, without a password.
        place: String,
    },
}

/// One notifier.
#[derive(Clone, Debug)]
pub struct NotifierFact {
    /// What the findings call it; holds no secret.
    pub name: String,
    /// What became of the test, where one was sent.
    pub test: Option<Result<(), String>>,
}

impl StoreFact {
    /// Whether it is a file on this machine.
    pub fn is_file(&self) -> bool {
        match self {
            Self::Empty { place } | Self::Failed { place, .. } | Self::Opened { place } => {
                place.starts_with("sqlite:")
            }
            Self::Memory => false,
        }
    }
}

impl Home {
    /// Whether the app is the one that `check` runs in.
    pub fn is(&self, app: &AppName, info: &AppInfo) -> bool {
        let names = [app.as_str(), &info.name];
        self.app_name.as_deref().is_some_and(|home| names.contains(&home))
            || self.app_id.as_deref().is_some_and(|home| home == info.id || home == app.as_str())
    }
}
