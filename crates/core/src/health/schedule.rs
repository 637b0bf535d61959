//! The watchdog's questions: what it asks, when that is due, and how it backs off after failures.

use std::time::Duration;

use crate::ident::AppId;

/// A question to the outside world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `GET /apps/{app}`, by its id if the API no longer knows its name.
    App { app: AppId, id: Option<String> },
    /// `GET /apps/{app}/log-drains`.
    Drains(AppId),
    /// `GET /apps/{app}/dynos`.
    Dynos(AppId),
    /// `GET /account/rate-limits`, which costs nothing.
    Probe,
    /// Heroku's status page.
    Status,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct PeriodicCheck {
    due: Duration,
    /// Whether an answer is outstanding.
    is_out: bool,
    /// Failures in a row.
    failures: u32,
}

impl PeriodicCheck {
    pub(super) fn at(due: Duration) -> Self {
        Self { due, is_out: false, failures: 0 }
    }

    pub(super) fn never() -> Self {
        Self::at(Duration::MAX)
    }

    pub(super) fn due_at(&self) -> Option<Duration> {
        (!self.is_out && self.due < Duration::MAX).then_some(self.due)
    }

    /// Begins it, if it is due.
    pub(super) fn begin(&mut self, now: Duration) -> bool {
        let begins = self.due_at().is_some_and(|due| due <= now);
        self.is_out |= begins;
        begins
    }

    pub(super) fn done(&mut self, next: Duration) {
        *self = Self::at(next);
    }

    /// Repeats it after a wait that doubles with each failure, up to `wait_max`.
    pub(super) fn failed(&mut self, wait: Duration, wait_max: Duration, now: Duration) {
        let doubled = wait.saturating_mul(1 << self.failures.min(DOUBLINGS_MAX)).min(wait_max);
        let failures = self.failures.saturating_add(1);
        *self = Self { failures, ..Self::at(now.saturating_add(doubled)) };
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Makes it due no later than this.
    pub(super) fn hasten(&mut self, due: Duration) {
        self.due = self.due.min(due);
    }
}

/// A minute becomes more than an hour.
const DOUBLINGS_MAX: u32 = 7;
