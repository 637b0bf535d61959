//! Reports that the store is away: without it, earlier restarts are unknown and nothing is restarted.

use std::sync::Arc;

use crate::clock::Clock;
use crate::driver::Handle;
use crate::readiness::Readiness;
use crate::store::Store;
use dynowarden_core::health::alert::HealthAlert;
use dynowarden_core::record::{Notice, NoticeKind, Record, Scope};

/// Reports in `/readyz` and to people that the store is away; the store itself logs it.
pub(crate) async fn run(store: Store, readiness: Arc<Readiness>, handle: Handle, clock: Clock) {
    let mut health = store.watch();
    let mut is_reported = false;
    loop {
        // It may have gone away before this task started.
        let is_away = health.borrow_and_update().is_some();
        if is_away {
            readiness.fail("store", "unavailable; batches are accepted, but restarts are off");
        } else {
            readiness.recover("store");
        }
        if is_away != is_reported {
            is_reported = is_away;
            let alert = if is_away { HealthAlert::StoreAway } else { HealthAlert::StoreRecovered };
            let what = NoticeKind::Health(alert);
            let notice = Notice { at: clock.now().wall, scope: Scope::Account, dyno: None, what };
            // The driver ends only at shutdown.
            let _stopped = handle.publish(Record::Notice(notice)).await;
        }
        if health.changed().await.is_err() {
            return;
        }
    }
}
