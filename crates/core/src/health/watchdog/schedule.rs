//! Something that is asked again and again.

use std::time::Duration;

/// When it is asked next, and whether an answer is outstanding.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeriodicCheck {
    due: Duration,
    is_out: bool,
    failures: u32,
}

impl PeriodicCheck {
    /// One that is first due at this time.
    pub(super) fn at(due: Duration) -> Self {
        Self { due, is_out: false, failures: 0 }
    }

    /// When it is due, unless an answer is outstanding or it is never due.
    pub(super) fn due_at(&self) -> Option<Duration> {
        (!self.is_out && self.due < Duration::MAX).then_some(self.due)
    }

    /// Begins it, if it is due.
    pub(super) fn begin(&mut self, now: Duration) -> bool {
        let begins = self.due_at().is_some_and(|due| due <= now);
        self.is_out |= begins;
        begins
    }

    /// It was answered, and is due again at this time.
    pub(super) fn done(&mut self, due: Duration) {
        *self = Self::at(due);
    }

    /// It was not answered; it is due again after a wait that doubles up to `wait_max`.
    pub(super) fn failed(&mut self, wait: Duration, wait_max: Duration, now: Duration) {
        let doubled = wait.saturating_mul(1 << self.failures.min(DOUBLINGS_MAX)).min(wait_max);
        *self = Self {
            due: now.saturating_add(doubled),
            is_out: false,
            failures: self.failures.saturating_add(1),
        };
    }

    /// How often in a row it was not answered.
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
