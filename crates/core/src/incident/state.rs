//! Words that messages are made from: what was done about a dyno, and what an outage is about.

use std::time::Duration;

use crate::record::AttemptId;

/// What was done about a dyno, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// Restarted, and up again.
    Back { since: Duration, late: bool },
    /// It would have been restarted.
    DryRun,
    /// The restart failed; whether it may still come back.
    Failed { text: String, may_return: bool },
    /// Left alone after too many restarts.
    GivenUp { text: String, over: Duration },
    /// Scaled away.
    Gone,
    /// Nothing was decided yet.
    Heard,
    /// Left as it is.
    Held { reason: String },
    /// The API accepted the restart.
    Out { attempt_id: AttemptId, since: Duration },
    /// The restart is being asked for.
    Restarting { attempt_id: Option<AttemptId> },
    /// Notifications are sent; nothing else is done.
    Told,
}

/// What an outage is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// The Platform API, by what is wrong.
    Api(&'static str),
    /// This machine's clock, or theirs, by the time in a line.
    Clock,
    /// Drains without lines.
    Drain,
    /// Lines that logplex lost.
    Losses,
    Notifier(String),
    /// This machine's clock, by the API's.
    OwnClock,
    /// Heroku itself, by its status page.
    Platform,
    /// The settings of an app, by what is wrong with watching it.
    Watching(&'static str),
}
