//! What `check` judges: the settings, and what the API, the store and the notifiers answered.

use jiff::Timestamp;
use secrecy::SecretString;

use crate::api::ApiError;
use crate::api::json::{Account, AppInfo, Drain, Feature, Formation};
use crate::days::cycles::Cycles;
use crate::drain_url::{DrainUrl, PublicUrl};
use crate::health::reached::WayIn;
use crate::ident::AppName;
use crate::policy::AppPlan;

#[derive(Clone, Debug)]
pub struct Facts {
    /// The watched apps; empty if the API could not be asked.
    pub apps: Vec<AppFacts>,
    pub clocks: Option<Clocks>,
    /// A new random password, for the commands that need one.
    pub fresh_password: String,
    pub identity: Identity,
    /// Settings that `serve` needs.
    pub missing: Vec<MissingSetting>,
    pub notifiers: Vec<NotifierFact>,
    /// Whether a test message through each notifier was requested.
    pub notify_asked: bool,
    pub store: StoreFact,
    /// The certificate of `[tls]`.
    pub tls: Option<TlsFact>,
    pub token: TokenFacts,
    /// Settings that are probably unintended.
    pub warnings: Vec<String>,
    /// What answers at `public_url`, if that is set.
    pub way_in: Option<WayIn>,
}

/// Two clocks, read at the same moment.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// This machine's.
    pub here: Timestamp,
    /// The API's, in whole seconds.
    pub there: Timestamp,
}

/// What dynowarden knows about itself. The parts are independent: a daemon on a dyno can have a public URL,
/// and dyno metadata can be switched off.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The app that dynowarden runs in, from dyno metadata.
    pub app_name: Option<String>,
    pub app_id: Option<String>,
    pub is_on_dyno: bool,
    /// Where drains reach the daemon.
    pub public_url: Option<PublicUrl>,
}

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
    Good,
    /// Valid for less than [`TLS_EXPIRES_SOON`](crate::limits::TLS_EXPIRES_SOON).
    ExpiresSoon,
    Expired,
    NotYet,
}

#[derive(Clone, Debug)]
pub struct TlsFact {
    /// Whether it is valid for the host of the public URL; none if there is no public URL.
    pub is_for_host: Option<bool>,
    pub not_after: Timestamp,
    pub state: CertificateState,
}

#[derive(Clone, Debug)]
pub enum TokenFacts {
    /// The API was asked with it.
    Asked {
        account: Result<Account, ApiError>,
        /// `Oauth-Scope` of the answers.
        scope: Option<String>,
        calls_left: Option<u32>,
    },
    Missing,
    /// This machine has no certificates to verify HTTPS with, so the API could not be asked.
    NoHttps,
    /// It cannot be sent.
    Unusable {
        what: String,
    },
}

#[derive(Clone, Debug)]
pub struct AppFacts {
    pub plan: AppPlan,
    pub info: Result<AppInfo, ApiError>,
    pub drains: Result<Vec<Drain>, ApiError>,
    pub features: Result<Vec<Feature>, ApiError>,
    pub formation: Result<Vec<Formation>, ApiError>,
    /// The password that its drain must have.
    pub password: Option<SecretString>,
    /// The previous password, which is also accepted.
    pub old_password: Option<SecretString>,
    pub password_place: PasswordPlace,
    /// Heroku's daily restarts, if the store knows enough of them.
    pub cycles: Option<Cycles>,
    /// Process types whose errors were recorded without being acted on.
    pub erring_types: Vec<String>,
    /// The result of adding its drain, if that was tried.
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFact {
    /// Where it is, without its password.
    pub place: String,
    pub state: StoreState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreState {
    /// There is none yet; the first start creates it.
    Empty,
    Failed(String),
    Memory,
    Opened,
}

#[derive(Clone, Debug)]
pub struct NotifierFact {
    /// Its name in the findings; holds no secret.
    pub name: String,
    /// The result of the test message, if one was sent.
    pub test: Option<Result<(), String>>,
}

impl Identity {
    /// Whether dynowarden runs in the app that has these names and ids.
    pub(super) fn runs_in(&self, names: &[&str]) -> bool {
        let own = [&self.app_name, &self.app_id].into_iter().flatten();
        own.into_iter().any(|own| names.contains(&own.as_str()))
    }

    /// Whether a drain with this URL leads here: to the public URL if that is known, else to a path of the
    /// app.
    pub(super) fn is_reached_by(&self, url: &DrainUrl, app: &AppName) -> bool {
        match &self.public_url {
            Some(public_url) => url.is_at(public_url),
            None => url.resembles_path_of(app),
        }
    }
}
