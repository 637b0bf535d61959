//! Tables that are split by app: each app has a share of its own, so that names invented for one app push out
//! nothing of another.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::hash::Keyed;
use crate::limits;

/// One app's entries, of which there are at most `max`.
#[derive(Clone, Debug)]
pub struct Share<K, V> {
    /// The names in it come from outside.
    entries: HashMap<K, V, Keyed>,
    max: usize,
    /// When the entries were last searched for some to drop, in `mono` time.
    pruned_at: Option<Duration>,
}

/// The entries that one of `apps` apps may have in a table of `total`: an equal part, but enough for any real
/// app, and never more than an app can use.
pub fn of_app(total: usize, apps: usize) -> usize {
    (total / apps.max(1)).clamp(limits::DYNOS_OF_APP_LEAST, limits::DYNOS_OF_APP_MAX)
}

impl<K: Eq + Hash, V> Share<K, V> {
    pub fn new(max: usize) -> Self {
        Self { entries: HashMap::default(), max, pruned_at: None }
    }

    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keeps the entries that are not over.
    pub fn prune(&mut self, is_over: impl Fn(&V) -> bool) {
        self.entries.retain(|_, value| !is_over(value));
    }
}

impl<K: Clone + Eq + Hash, V: Default> Share<K, V> {
    /// The entry of `key`; none if there is no room for a new one. A full share drops the entries that are
    /// over, but looks for them at most once in [`limits::SHARE_PRUNE_EVERY`]: a batch can name thousands.
    pub fn entry(&mut self, key: &K, is_over: impl Fn(&V) -> bool, now: Duration) -> Option<&mut V> {
        if self.entries.len() >= self.max && !self.entries.contains_key(key) {
            let is_due = |at: Duration| now.saturating_sub(at) >= limits::SHARE_PRUNE_EVERY;
            if self.pruned_at.is_none_or(is_due) {
                self.pruned_at = Some(now);
                self.prune(is_over);
            }
            if self.entries.len() >= self.max {
                return None;
            }
        }
        Some(self.entries.entry(key.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::{Share, of_app};
    use crate::limits;

    #[test]
    fn a_share_is_an_equal_part_within_bounds() {
        for (total, apps, expect) in [
            (10_000, 0, limits::DYNOS_OF_APP_MAX),
            (10_000, 1, limits::DYNOS_OF_APP_MAX),
            (10_000, 20, 500),
            (10_000, 1000, limits::DYNOS_OF_APP_LEAST),
        ] {
            assert_eq!(of_app(total, apps), expect, "{total} for {apps}");
        }
    }

    #[test]
    fn a_full_share_is_searched_once_a_minute() {
        let mut share: Share<u32, Duration> = Share::new(100);
        let second = Duration::from_secs(1);
        for key in 0..100 {
            *share.entry(&key, |_| true, second).expect("room") = second;
        }
        let looked_at = Cell::new(0);
        let mut add = |key: u32, over_before: Duration, now| {
            let is_over = |at: &Duration| {
                looked_at.set(looked_at.get() + 1);
                *at < over_before
            };
            share.entry(&key, is_over, now).map(|at| *at = now).is_some()
        };
        // Known names always have room.
        assert!(add(7, Duration::ZERO, second));
        for key in 1000..2000 {
            assert!(!add(key, Duration::ZERO, second));
        }
        assert_eq!(looked_at.get(), 100, "the first new name pays for all of this minute");
        let later = second + limits::SHARE_PRUNE_EVERY;
        assert!(add(3000, later, later));
        assert_eq!(share.len(), 1, "those that are over made room");
    }
}
