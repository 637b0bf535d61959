//! What the drain of each app has delivered since startup, for the watchdog and for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dynowarden_core::health::silence::DrainActivity;
use dynowarden_core::ident::AppId;
use dynowarden_core::ingest::{Counts, EventKind};
use dynowarden_core::time::Now;

/// The activity of all drains. Times are `mono` milliseconds that count from 1, so that 0 means never.
#[derive(Debug)]
pub struct DrainActivities(Vec<Activity>);

#[derive(Debug, Default)]
struct Activity {
    last_batch_at: AtomicU64,
    last_sample_at: AtomicU64,
    lost_messages: AtomicU64,
}

impl DrainActivities {
    pub fn new(apps: usize) -> Self {
        Self((0..apps).map(|_| Activity::default()).collect())
    }

    pub fn record_batch(&self, app: AppId, counts: &Counts, now: Now) {
        self.record_repeated_batch(app, now);
        let Some(activity) = self.0.get(app.0 as usize) else { return };
        activity.lost_messages.fetch_add(counts.lost_messages, Ordering::Relaxed);
        if counts.events.contains_key(&EventKind::Sample) {
            activity.last_sample_at.fetch_max(millis(now), Ordering::Relaxed);
        }
    }

    pub fn record_repeated_batch(&self, app: AppId, now: Now) {
        if let Some(activity) = self.0.get(app.0 as usize) {
            activity.last_batch_at.fetch_max(millis(now), Ordering::Relaxed);
        }
    }

    pub fn of(&self, app: AppId) -> DrainActivity {
        let at = |time: &AtomicU64| time.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_millis);
        self.0.get(app.0 as usize).map_or_else(DrainActivity::default, |activity| DrainActivity {
            last_batch_at: at(&activity.last_batch_at),
            last_sample_at: at(&activity.last_sample_at),
            lost_messages: activity.lost_messages.load(Ordering::Relaxed),
        })
    }
}

fn millis(now: Now) -> u64 {
    u64::try_from(now.mono.as_millis()).unwrap_or(u64::MAX - 1) + 1
}
