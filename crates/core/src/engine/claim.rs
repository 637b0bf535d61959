//! What the engine and the store tell each other about a restart that is to be claimed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::engine::dyno::LastRestart;
use crate::engine::restore::RestoredRestart;
use crate::ident::DynoName;
use crate::record::usefulness::Usefulness;

/// The last restart of a dyno that this process knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownRestart {
    /// By the wall clock. A replica may have restarted the dyno since.
    pub accepted_at: Timestamp,
    /// Whether the new instance was seen up.
    pub is_back: bool,
    /// Whether it is known that the restart did not help.
    pub is_useless: bool,
    /// How soon the error was back, if this process found that.
    pub useless_after: Option<Duration>,
}

impl KnownRestart {
    pub(super) fn of(last: &LastRestart) -> Self {
        Self {
            accepted_at: last.accepted_at,
            is_back: last.back_at.is_some(),
            is_useless: last.usefulness == Usefulness::Useless,
            useless_after: last.useless_after,
        }
    }
}

/// Why the store did not grant a claim.
#[derive(Clone, Debug, PartialEq)]
pub enum ClaimRefusal {
    /// Another replica is restarting this dyno, or restarted it within the cool-down, or without the
    /// claimant's knowledge.
    Elsewhere {
        /// When it may be tried again.
        until: Timestamp,
        /// All accepted restarts of the dyno that still count, in the order in which they were asked for,
        /// if the claimant does not know all about the last one.
        restarts: Vec<RestoredRestart>,
    },
    /// `max_concurrent` dynos of this process type are out, over all replicas.
    FormationOut {
        /// One of those that are out.
        dyno: DynoName,
    },
    /// All replicas together have used up `max_restarts`.
    MaxRestarts {
        /// When a restart is allowed again.
        until: Timestamp,
    },
    /// A person paused the app, perhaps at another replica.
    Paused { until: Timestamp, reason: Arc<str> },
    /// The store does not answer, and without it the other replicas' restarts are unknown.
    StoreAway,
}
