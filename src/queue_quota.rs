//! Each app's share of the queue to the engine: one that floods it is asked to wait, and the others are not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dynowarden_core::ident::AppId;
use dynowarden_core::limits;

/// How many events of each app wait for the engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueueQuota {
    waiting: Arc<Mutex<HashMap<AppId, usize>>>,
}

/// What one batch takes up of the queue, given back when it is dropped.
#[derive(Debug)]
pub struct QueuePermit {
    app: AppId,
    events: usize,
    shares: QueueQuota,
}

impl QueueQuota {
    /// Takes room for a batch; none where too much of this app waits already. A batch alone always has room.
    pub(crate) fn take(&self, app: AppId, events: usize) -> Option<QueuePermit> {
        let mut waiting = self.lock();
        let sum = waiting.entry(app).or_default();
        if *sum > 0 && *sum + events > limits::QUEUED_EVENTS_PER_APP_MAX {
            return None;
        }
        *sum += events;
        Some(QueuePermit { app, events, shares: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AppId, usize>> {
        // A count is changed in one step, so a panic elsewhere leaves nothing half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for QueuePermit {
    fn drop(&mut self) {
        if let Some(sum) = self.shares.lock().get_mut(&self.app) {
            *sum = sum.saturating_sub(self.events);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::QueueQuota;
    use dynowarden_core::ident::AppId;
    use dynowarden_core::limits;

    #[test]
    fn who_floods_the_queue_waits_alone() {
        let shares = QueueQuota::default();
        let (flooding, other) = (AppId(0), AppId(1));
        let huge = shares.take(flooding, limits::QUEUED_EVENTS_PER_APP_MAX * 2).expect("a batch alone");
        assert!(shares.take(flooding, 1).is_none());
        let one = shares.take(other, limits::QUEUED_EVENTS_PER_APP_MAX - 1).expect("another app");
        let last = shares.take(other, 1).expect("the last that has room");
        assert!(shares.take(other, 1).is_none());
        drop(huge);
        assert!(shares.take(flooding, limits::QUEUED_EVENTS_PER_APP_MAX).is_some());
        drop((one, last));
        assert!(shares.take(other, 1).is_some());
    }
}
