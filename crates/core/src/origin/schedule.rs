//! When the drains of an app are listed because an unknown drain sends batches: at most once a minute for
//! each app, and a bounded number for all apps together.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use crate::ident::AppId;
use crate::limits;

/// Times are `mono`.
#[derive(Debug, Default)]
pub struct ListSchedule {
    asked: HashMap<AppId, Duration>,
    /// The last lists of all apps, for the bound on their number.
    recent: VecDeque<Duration>,
    waiting: BTreeSet<AppId>,
}

impl ListSchedule {
    pub fn want(&mut self, apps: impl IntoIterator<Item = AppId>) {
        self.waiting.extend(apps);
    }

    /// The apps whose drains must be listed now; they count as asked.
    pub fn due(&mut self, now: Duration) -> Vec<AppId> {
        self.recent.retain(|at| *at + limits::DRAINS_ASKED_EVERY > now);
        let is_due =
            |app: &AppId| self.asked.get(app).is_none_or(|at| *at + limits::DRAINS_ASKED_EVERY <= now);
        let room = limits::DRAIN_LISTS_PER_MINUTE.saturating_sub(self.recent.len());
        let due: Vec<AppId> = self.waiting.iter().filter(|app| is_due(app)).take(room).copied().collect();
        for app in &due {
            self.waiting.remove(app);
            self.asked.insert(*app, now);
            self.recent.push_back(now);
        }
        due
    }

    /// When [`due`](Self::due) has to be called again; none if no list is wanted.
    pub fn next(&self, now: Duration) -> Option<Duration> {
        let first = |app: &AppId| self.asked.get(app).map_or(now, |at| *at + limits::DRAINS_ASKED_EVERY);
        let wanted = self.waiting.iter().map(first).min()?;
        let is_full = self.recent.len() >= limits::DRAIN_LISTS_PER_MINUTE;
        let room = self.recent.front().filter(|_| is_full).map(|at| *at + limits::DRAINS_ASKED_EVERY);
        Some(room.map_or(wanted, |room| room.max(wanted)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::ListSchedule;
    use crate::ident::AppId;
    use crate::limits;

    #[test]
    fn each_app_is_asked_once_a_minute_and_all_of_them_within_a_bound() {
        let secs = Duration::from_secs;
        let mut schedule = ListSchedule::default();
        schedule.want([AppId(0)]);
        assert_eq!((schedule.due(secs(5)), schedule.next(secs(5))), (vec![AppId(0)], None));
        schedule.want([AppId(0)]);
        assert_eq!((schedule.due(secs(6)), schedule.next(secs(6))), (vec![], Some(secs(65))));
        schedule.want((1..20).map(AppId));
        assert_eq!(schedule.due(secs(6)).len(), limits::DRAIN_LISTS_PER_MINUTE - 1);
        assert_eq!((schedule.due(secs(64)), schedule.next(secs(64))), (vec![], Some(secs(65))));
        assert_eq!((schedule.due(secs(65)), schedule.next(secs(65))), (vec![AppId(0)], Some(secs(66))));
        assert_eq!(schedule.due(secs(66)), (15..20).map(AppId).collect::<Vec<_>>());
        assert_eq!(schedule.next(secs(66)), None);
    }
}
