//! Each app's share of the queue to the engine: an app that floods it is asked to retry, and others are not
//! affected.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dynowarden_core::ident::AppId;
use dynowarden_core::limits;

/// The number of waiting events of each app.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueueQuota {
    waiting: Arc<Mutex<HashMap<AppId, usize>>>,
}

/// One batch's room in the queue, freed when this is dropped.
#[derive(Debug)]
pub struct QueuePermit {
    app: AppId,
    events: usize,
    shares: QueueQuota,
}

impl QueueQuota {
    /// Takes room for a batch; none if too many events of this app wait. A single batch always has room.
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
        // A count changes in one step, so a panic elsewhere is harmless.
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
    fn an_app_that_floods_the_queue_delays_only_itself() {
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
