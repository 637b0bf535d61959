//! The states of affected dynos, and the subjects of outages.

use std::time::Duration;

use crate::ident::AppId;
use crate::record::AttemptId;

/// The action taken on a dyno, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    Back {
        since: Duration,
        late: bool,
    },
    DryRun,
    /// `may_return`: whether it may still come back. `is_ours`: whether our restart failed, and not the dyno.
    Failed {
        text: String,
        may_return: bool,
        is_ours: bool,
    },
    GivenUp {
        text: String,
        over: Duration,
    },
    /// Scaled away.
    Gone,
    /// No decision yet.
    Heard,
    Held {
        reason: String,
        /// Whether people have asked for it: by a pause or a window.
        is_intended: bool,
        /// Whether it only waits for another restart.
        is_next: bool,
    },
    /// The API accepted the restart.
    Out {
        attempt_id: AttemptId,
        since: Duration,
    },
    /// The API has been asked for the restart.
    Restarting {
        attempt_id: Option<AttemptId>,
    },
    /// The rule only notifies.
    Notified,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// The Platform API, by the kind of error.
    Api(&'static str),
    /// The account's API calls.
    Calls,
    /// This machine's clock or Heroku's, by the time in a line.
    Clock,
    Drain,
    /// Lines that arrive too late.
    Late,
    Losses,
    Notifier(String),
    /// This machine's clock, by the API's.
    OwnClock,
    /// Heroku itself, by its status page.
    Platform,
    Store,
    /// The settings of an app, by the problem with watching it.
    Watching(&'static str),
}

/// What happened to the subject of an outage, and how to fix it if that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// The app that it happened to, if it is not the same for all apps.
    pub(super) app: Option<AppId>,
    pub(super) text: String,
    pub(super) fix: Option<String>,
}

// === impl State ===

impl State {
    /// Its value in JSON.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Back { .. } => "back",
            Self::DryRun => "dry_run",
            Self::Failed { .. } => "failed",
            Self::GivenUp { .. } => "given_up",
            Self::Gone => "gone",
            Self::Heard => "heard",
            Self::Held { .. } => "held",
            Self::Out { .. } => "out",
            Self::Restarting { .. } => "restarting",
            Self::Notified => "told",
        }
    }
}
