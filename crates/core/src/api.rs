//! What the Platform API was seen to say: the facts that the engine judges by, and why it may have none.

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
    /// Its `type`, which must be the one in its name.
    pub process_type: ProcessType,
    /// Its `id`, new with every restart.
    pub id: InstanceId,
    /// Its `created_at`, new with every restart.
    pub created_at: Timestamp,
    /// Its `updated_at`: when the process last changed state.
    pub updated_at: Timestamp,
    /// Its `state`.
    pub state: DynoState,
    /// Its `release.version`, where the answer has one.
    pub release: Option<u64>,
}

impl DynoInfo {
    /// Whether this is the very process that `other` was.
    ///
    /// What a restart changes is not confirmed for each of the three, so one is enough to tell them apart.
    pub fn is_same_process(&self, other: &Self) -> bool {
        self.id == other.id && self.created_at == other.created_at && self.updated_at == other.updated_at
    }

    /// Since when it has surely been in its state. The API gives whole seconds, the rest cut off, so what is
    /// said to have begun at a full second may have begun at any time of that second.
    pub fn surely_in_state_since(&self) -> Timestamp {
        let at = self.in_state_since();
        if at.subsec_nanosecond() == 0 { later(at, Duration::from_secs(1)) } else { at }
    }

    /// Since when it has been in its state, as the API shows it.
    pub fn in_state_since(&self) -> Timestamp {
        self.created_at.max(self.updated_at)
    }
}

/// The result of the inspection before a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormationInfo {
    /// The dyno in question; none when the API says that there is none of that name.
    pub dyno: Option<DynoInfo>,
    /// All dynos of the listed process types.
    pub formation: Vec<DynoInfo>,
}

/// Why the API showed nothing. Each calls for something else, so each is its own variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// 403, 402: the token is known but may not do this, or the account is suspended or owes money.
    Forbidden {
        status: u16,
        /// The API's own word for it, such as `suspended`.
        id: String,
    },
    /// A 2xx whose body is not what the schema says; never guessed at.
    Garbled {
        /// What was wrong with it.
        what: String,
    },
    /// 404 for the app itself.
    NoSuchApp,
    /// Any other answer that asking again will not change, such as 409 or 422.
    Refused {
        status: u16,
        /// The error id in the API's response.
        id: String,
    },
    /// 429: the account's calls are used up.
    Throttled {
        /// What `Retry-After` says, where it is there.
        wait: Option<Duration>,
    },
    /// 401: the token is missing, wrong, expired or revoked.
    Unauthorized,
    /// No answer, a broken one, or a 5xx: it may be there again in a moment.
    Unreachable {
        /// What happened, without any secret.
        what: String,
    },
}

/// The result of a DELETE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeleteResult {
    /// 2xx: queued, which is all that the API promises.
    Accepted,
    /// 404: no dyno of that name any more.
    Gone,
    /// The request may or may not have been carried out: time-out, broken connection, 5xx.
    Lost {
        /// What happened, without any secret.
        what: String,
    },
    /// It was not carried out, and the API said why.
    Refused(ApiError),
}

/// Why a claim on a restart was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimRefusal {
    /// Another replica is at this dyno, or restarted it within the cool-down.
    Elsewhere {
        /// When it may be tried again.
        until: Timestamp,
    },
    /// The limit of dynos of this process type that are out, over all replicas, is reached.
    FormationOut {
        /// One of those that are out.
        dyno: DynoName,
    },
    /// All replicas together have used up `max_restarts`.
    MaxRestarts,
    /// The store does not answer, and without it the other replicas' restarts are unknown.
    StoreAway,
}

impl ApiError {
    /// The label value in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Forbidden { .. } => "forbidden",
            Self::Garbled { .. } => "garbled",
            Self::NoSuchApp => "no_such_app",
            Self::Refused { .. } => "refused",
            Self::Throttled { .. } => "throttled",
            Self::Unauthorized => "unauthorized",
            Self::Unreachable { .. } => "unreachable",
        }
    }

    /// Whether only a person can fix it: a token, a right, an app's name.
    pub fn needs_person(&self) -> bool {
        matches!(self, Self::Forbidden { .. } | Self::NoSuchApp | Self::Unauthorized)
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Forbidden { status, id } => {
                write!(
                    f,
                    "the token may not do this ({status} {id}): check its scope and the account's access"
                )
            }
            Self::Garbled { what } => write!(f, "unexpected answer from the API: {what}"),
            Self::NoSuchApp => f.write_str(
                "the API knows no such app (404): renamed, deleted, or not accessible with this token",
            ),
            Self::Refused { status, id } => write!(f, "the API refused ({status} {id})"),
            Self::Throttled { .. } => f.write_str("the account's API calls are used up (429)"),
            Self::Unauthorized => {
                f.write_str("the API does not accept the token (401): wrong, expired or revoked")
            }
            Self::Unreachable { what } => write!(f, "the API cannot be reached: {what}"),
        }
    }
}
