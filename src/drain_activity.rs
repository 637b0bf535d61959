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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{AppId, Counts, DrainActivities, DrainActivity, EventKind, Now};

    #[test]
    fn each_app_has_its_own_activity() {
        let at = |secs| Now { mono: Duration::from_secs(secs), wall: Timestamp::UNIX_EPOCH };
        let drains = DrainActivities::new(2);
        let mut counts = Counts { lost_messages: 3, ..Counts::default() };
        drains.record_batch(AppId(0), &counts, at(0));
        counts.events.insert(EventKind::Sample, 1);
        drains.record_batch(AppId(0), &counts, at(5));
        drains.record_repeated_batch(AppId(0), at(7));
        drains.record_batch(AppId(2), &counts, at(8));
        let expect = DrainActivity {
            last_batch_at: Some(Duration::from_secs(7)),
            last_sample_at: Some(Duration::from_secs(5)),
            lost_messages: 6,
        };
        assert_eq!(drains.of(AppId(0)), expect);
        assert_eq!(drains.of(AppId(1)), DrainActivity::default());
    }
}
