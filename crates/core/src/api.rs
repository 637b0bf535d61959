//! What the Platform API showed: the facts behind each judgement, or why there are none.

pub mod answer;
pub mod inspection;
pub mod json;

use std::time::Duration;

use jiff::Timestamp;

use crate::event::DynoState;
use crate::ident::{DynoName, InstanceId, ProcessType};
use crate::time::later;

/// One dyno instance as the Platform API showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynoInfo {
    pub name: DynoName,
    /// Whether it was started beside the formation, such as by `heroku run --type=web`. Its `attach_url` or
    /// the formation's quantity shows it, its name does not.
    pub is_one_off: bool,
    /// Its `type`, which must be the one in its name.
    pub process_type: ProcessType,
    /// Its `id`, new with every restart.
    pub id: InstanceId,
    /// Its `created_at`, new with every restart.
    pub created_at: Timestamp,
    /// Its `updated_at`: when the process last changed state.
    pub updated_at: Timestamp,
    pub state: DynoState,
    /// Its `release.version`, where the answer has one.
    pub release: Option<u64>,
}

impl DynoInfo {
    /// Whether both describe the same process.
    ///
    /// A restart is not confirmed to change all three fields, so one difference is enough.
    pub fn is_same_process(&self, other: &Self) -> bool {
        // An answer without `updated_at` says nothing about it.
        let knows_change = |seen: &Self| seen.updated_at > seen.created_at;
        let is_changed = knows_change(self) && knows_change(other) && self.updated_at != other.updated_at;
        self.id == other.id && self.created_at == other.created_at && !is_changed
    }

    /// The latest time at which it may have entered its state. The API cuts times to whole seconds, so a
    /// change at a full second may have happened at any time within it.
    pub fn surely_in_state_since(&self) -> Timestamp {
        let at = self.in_state_since();
        if at.subsec_nanosecond() == 0 { later(at, Duration::from_secs(1)) } else { at }
    }

    pub fn in_state_since(&self) -> Timestamp {
        self.created_at.max(self.updated_at)
    }
}

/// The result of the inspection before a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormationInfo {
    /// None if the API knows no dyno of that name.
    pub dyno: Option<DynoInfo>,
    /// All dynos of the listed process types, one-off dynos included.
    pub formation: Vec<DynoInfo>,
    /// How many dynos the named dyno's process type should have, where the API said so.
    pub quantity: Option<u32>,
    /// Whether the app is known to have preboot.
    pub preboot: bool,
    /// The app that the dynos belong to, where the API said so.
    pub app: Option<Owner>,
}

/// The app that a resource of the API belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Stays the same when the app is renamed.
    pub id: String,
    pub name: String,
}

/// Why the API showed nothing. Each variant calls for a different reaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// 403, 402: the token is known but may not do this, or the account is suspended or owes money.
    Forbidden {
        status: u16,
        /// The API's own word for it, such as `suspended`.
        id: String,
        /// The API's own sentence.
        message: String,
    },
    /// A 2xx whose body does not match the schema, or a refusal that is not the API's own JSON. Nothing is
    /// inferred from it.
    Garbled { what: String },
    /// 404 for the app itself.
    NoSuchApp,
    /// Another app has the name of the watched one, and the question may have been about that one.
    OtherApp,
    /// Any other answer that a retry will not change, such as 409 or 422.
    Refused {
        status: u16,
        /// The error id in the API's response.
        id: String,
        /// The API's own sentence.
        message: String,
    },
    /// 429: the account's calls are used up.
    Throttled {
        /// `Retry-After`, if present.
        wait: Option<Duration>,
    },
    /// 401: the token is missing, wrong, expired or revoked.
    Unauthorized,
    /// No answer, a broken one, or a 5xx: it may be there again in a moment.
    Unreachable {
        /// Free of secrets.
        what: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeleteResult {
    /// 2xx: queued, which is all that the API promises.
    Accepted,
    /// 404: no dyno of that name exists.
    Gone,
    /// The request may or may not have been carried out: time-out, broken connection, or an answer that is
    /// not the API's own.
    Lost {
        /// Free of secrets.
        what: String,
    },
    /// It was not carried out: the API itself said why, or the request was surely not sent.
    Refused(ApiError),
}

impl ApiError {
    /// The label value in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Forbidden { .. } => "forbidden",
            Self::Garbled { .. } => "garbled",
            Self::NoSuchApp => "no_such_app",
            Self::OtherApp => "other_app",
            Self::Refused { .. } => "refused",
            Self::Throttled { .. } => "throttled",
            Self::Unauthorized => "unauthorized",
            Self::Unreachable { .. } => "unreachable",
        }
    }

    /// Whether the account is suspended or owes money, which no token and no access can fix.
    pub fn is_account_unsettled(&self) -> bool {
        match self {
            Self::Forbidden { status, id, .. } => {
                *status == 402 || matches!(&**id, "suspended" | "delinquent")
            }
            _ => false,
        }
    }

    /// Whether only a person can fix it: a token, a right, an app's name.
    pub fn needs_person(&self) -> bool {
        matches!(self, Self::Forbidden { .. } | Self::NoSuchApp | Self::OtherApp | Self::Unauthorized)
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Forbidden { status, id, message } if self.is_account_unsettled() => {
                write!(f, "Heroku refuses this account ({status} {id}: {message}): {SETTLE}")
            }
            Self::Forbidden { status, id, message } => {
                write!(
                    f,
                    "the token is not allowed to do this ({status} {id}: {message}): check its scope and the \
                     account's access"
                )
            }
            Self::Garbled { what } => write!(f, "unexpected response from the API: {what}"),
            Self::NoSuchApp => f.write_str(
                "Heroku has no such app (404): it was renamed or deleted, or this token cannot access it",
            ),
            Self::OtherApp => {
                f.write_str("another app has this name now, and the error may have been its own")
            }
            Self::Refused { status, id, message } => write!(f, "the API refused ({status} {id}: {message})"),
            Self::Throttled { .. } => f.write_str("the account has reached Heroku's API rate limit (429)"),
            Self::Unauthorized => {
                f.write_str("Heroku rejects the API token (401): it is wrong, expired or revoked")
            }
            Self::Unreachable { what } => write!(f, "the API cannot be reached: {what}"),
        }
    }
}

/// What to do about [`ApiError::is_account_unsettled`].
pub const SETTLE: &str = "settle the account at https://dashboard.heroku.com/account/billing";
