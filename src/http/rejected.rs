//! Batches that were rejected and are lost: logplex sends none of them again. They are logged and reported,
//! once an hour for each app and each path.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;

use crate::clock::Clock;
use crate::driver::Handle;
use dynowarden_core::health::alert::HealthAlert;
use dynowarden_core::ident::AppId;
use dynowarden_core::limits;
use dynowarden_core::record::{Notice, NoticeKind, Record, Scope};

#[derive(Debug)]
pub(super) struct RejectedBatches {
    clock: Clock,
    handle: Handle,
    reasons: Mutex<HashMap<Reason, Rejected>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Reason {
    /// The path, shortened.
    Misdirected(String),
    TooLarge(AppId),
}

#[derive(Clone, Copy, Debug, Default)]
struct Rejected {
    batches: u64,
    reported_at: Option<Duration>,
}

impl RejectedBatches {
    pub(super) fn new(clock: Clock, handle: Handle) -> Self {
        Self { clock, handle, reasons: Mutex::default() }
    }

    /// A batch with a right password for a path of no watched app.
    pub(super) fn misdirected(&self, path: &str) {
        let shown = path.chars().filter(|c| !c.is_control()).take(limits::QUOTED_CHARS_MAX).collect();
        self.note(Reason::Misdirected(shown));
    }

    pub(super) fn too_large(&self, app: AppId) {
        self.note(Reason::TooLarge(app));
    }

    fn note(&self, reason: Reason) {
        let now = self.clock.now();
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let is_path = |reason: &Reason| matches!(reason, Reason::Misdirected(_));
        let paths = reasons.keys().filter(|known| is_path(known)).count();
        if paths >= limits::REJECTED_PATHS_MAX && is_path(&reason) && !reasons.contains_key(&reason) {
            reasons.retain(|known, _| !is_path(known));
        }
        let rejected = reasons.entry(reason.clone()).or_default();
        rejected.batches += 1;
        let is_soon = |at: Duration| now.mono.saturating_sub(at) < limits::REJECTIONS_REPORT_EVERY;
        if rejected.reported_at.is_some_and(is_soon) {
            return;
        }
        let batches = rejected.batches;
        let (scope, alert) = match reason {
            Reason::Misdirected(path) => (Scope::Account, HealthAlert::BatchesMisdirected { path, batches }),
            Reason::TooLarge(app) => (Scope::App(app), HealthAlert::BatchesTooLarge { batches }),
        };
        let notice = Notice { at: now.wall, scope, dyno: None, what: NoticeKind::Health(alert.clone()) };
        // The driver logs what it publishes.
        if self.handle.try_publish(Record::Notice(notice)) {
            *rejected = Rejected { batches: 0, reported_at: Some(now.mono) };
        } else {
            warn!("{alert}");
        }
    }
}
