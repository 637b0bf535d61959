//! Rows that wait to be written: bounded, with repeated refusals folded into one row while they wait.
//!
//! Restarts and their outcomes go first and are kept longest: the promises are rebuilt from them. The rest is
//! history, and when there is no room the oldest is dropped and counted.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::store::rows::{DecisionRow, HistoryRow, RestartRow};
use dynowarden_core::limits;

#[derive(Debug)]
pub(super) struct Queue {
    done: watch::Sender<Done>,
    filled: Notify,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
pub(super) struct Batch {
    pub history: Vec<HistoryRow>,
    pub restarts: Vec<RestartRow>,
}

#[derive(Debug, Default)]
struct Inner {
    dropped: u64,
    folds: HashMap<FoldKey, DecisionRow>,
    history: VecDeque<i64>,
    history_taken_in: u64,
    /// A task waits for its rows.
    is_awaited: bool,
    /// The rows of `history`, by their ids.
    history_rows: HashMap<i64, HistoryRow>,
    last_id: i64,
    restarts: VecDeque<RestartRow>,
    restarts_taken_in: u64,
}

/// The number of rows handled, in the order of arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Done {
    history: u64,
    restarts: u64,
}

/// The result of adding a row of history.
#[derive(Clone, Copy, Debug)]
struct Pushed {
    /// Rows dropped to make room.
    dropped: u64,
    /// Whether the writer should be woken.
    is_news: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FoldKey {
    app: Arc<str>,
    dyno: Option<Arc<str>>,
    rule: Arc<str>,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { done: watch::Sender::default(), filled: Notify::new(), inner: Mutex::default() }
    }

    /// Adds a decision; one that repeats the last of its dyno and rule is folded into that row.
    pub(super) fn decision(&self, mut row: DecisionRow) {
        let mut inner = self.inner();
        row.id = inner.new_id(row.id);
        let key = FoldKey::of(&row);
        if row.decision == RESTART {
            inner.folds.remove(&key);
            drop(inner);
            return self.restart(RestartRow::Decision(row));
        }
        match inner.folds.get_mut(&key) {
            Some(fold) if fold.takes(&row) => {
                fold.count += 1;
                fold.last_at = fold.last_at.max(row.at);
                row = fold.clone();
            }
            _ => {
                if inner.folds.len() >= limits::FOLDS_MAX {
                    inner.folds.clear();
                }
                inner.folds.insert(key, row.clone());
            }
        }
        let pushed = inner.push_history(row.id, HistoryRow::Decision(row));
        drop(inner);
        self.pushed(pushed);
    }

    /// Gives an id to a decision that is written elsewhere.
    pub(super) fn identified(&self, mut row: DecisionRow) -> DecisionRow {
        row.id = self.inner().new_id(row.id);
        row
    }

    /// Ends the fold: the next refusal of the same dyno and rule is a new row.
    pub(super) fn end_fold(&self, row: &DecisionRow) {
        self.inner().folds.remove(&FoldKey::of(row));
    }

    /// Adds a notice or other history; `id` is its time.
    pub(super) fn history(&self, id: i64, row: impl FnOnce(i64) -> HistoryRow) {
        let mut inner = self.inner();
        let id = inner.new_id(id);
        let pushed = inner.push_history(id, row(id));
        drop(inner);
        self.pushed(pushed);
    }

    pub(super) fn restart(&self, row: RestartRow) {
        let mut inner = self.inner();
        inner.restarts_taken_in += 1;
        inner.restarts.push_back(row);
        let mut dropped = 0;
        if inner.restarts.len() > limits::UNWRITTEN_RESTARTS_MAX {
            inner.restarts.pop_front();
            inner.dropped += 1;
            dropped = 1;
        }
        drop(inner);
        self.done(Done { history: 0, restarts: dropped });
        self.filled.notify_one();
    }

    /// Waits until rows should be written: at once for a restart, many rows or a waiting task; from
    /// `not_before` on for other history, so that a repeated refusal is written only now and then.
    pub(super) async fn ready(&self, not_before: Instant) {
        loop {
            let pressing = self.inner().is_pressing();
            match pressing {
                Some(true) => return,
                Some(false) => tokio::select! {
                    () = tokio::time::sleep_until(not_before) => return,
                    () = self.filled.notified() => {}
                },
                None => self.filled.notified().await,
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        let inner = self.inner();
        inner.restarts.is_empty() && inner.history.is_empty()
    }

    /// The number of waiting and of dropped rows.
    pub(super) fn figures(&self) -> (usize, u64) {
        let inner = self.inner();
        (inner.restarts.len() + inner.history.len(), inner.dropped)
    }

    /// Takes rows out; they are returned with [`written`](Self::written) or [`put_back`](Self::put_back).
    pub(super) fn take(&self) -> Batch {
        let mut inner = self.inner();
        let restarts = inner.restarts.len().min(limits::ROWS_PER_WRITE_MAX);
        let history = inner.history.len().min(limits::ROWS_PER_WRITE_MAX - restarts);
        let restarts = inner.restarts.drain(..restarts).collect();
        let ids: Vec<i64> = inner.history.drain(..history).collect();
        let history = ids.iter().filter_map(|id| inner.history_rows.remove(id)).collect();
        inner.is_awaited &= !inner.history.is_empty();
        Batch { history, restarts }
    }

    pub(super) fn written(&self, history: usize, restarts: usize) {
        self.done(Done { history: history as u64, restarts: restarts as u64 });
    }

    /// Returns rows that were not stored; they go first the next time.
    pub(super) fn put_back(&self, batch: Batch) {
        let mut guard = self.inner();
        let inner = &mut *guard;
        for row in batch.restarts.into_iter().rev() {
            inner.restarts.push_front(row);
        }
        let mut superseded = 0;
        for row in batch.history.into_iter().rev() {
            let id = row.id();
            match inner.history_rows.entry(id) {
                // It was folded into again in the meantime, and waits with a higher count.
                Entry::Occupied(_) => superseded += 1,
                Entry::Vacant(place) => {
                    place.insert(row);
                    inner.history.push_front(id);
                }
            }
        }
        drop(guard);
        self.done(Done { history: superseded, restarts: 0 });
    }

    /// Drops a row that the database will never accept.
    pub(super) fn give_up(&self, done: (usize, usize)) {
        self.inner().dropped += (done.0 + done.1) as u64;
        self.written(done.0, done.1);
    }

    /// Waits until all rows about restarts are written; `false` if that took too long.
    pub(super) async fn restarts_written(&self, wait: Duration) -> bool {
        let target = self.inner().restarts_taken_in;
        self.reached(wait, |done| done.restarts >= target).await
    }

    /// Waits until all rows are written; `false` if that took too long.
    pub(super) async fn all_written(&self, wait: Duration) -> bool {
        let (history, restarts) = {
            let mut inner = self.inner();
            inner.is_awaited = true;
            (inner.history_taken_in, inner.restarts_taken_in)
        };
        self.filled.notify_one();
        self.reached(wait, |done| done.restarts >= restarts && done.history >= history).await
    }

    async fn reached(&self, wait: Duration, is_reached: impl Fn(Done) -> bool) -> bool {
        let mut done = self.done.subscribe();
        let reached = done.wait_for(|done| is_reached(*done));
        matches!(tokio::time::timeout(wait, reached).await, Ok(Ok(_)))
    }

    fn pushed(&self, pushed: Pushed) {
        self.done(Done { history: pushed.dropped, restarts: 0 });
        if pushed.is_news {
            self.filled.notify_one();
        }
    }

    fn done(&self, done: Done) {
        if done != Done::default() {
            self.done.send_modify(|sum| {
                sum.history += done.history;
                sum.restarts += done.restarts;
            });
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each change is complete before the lock is released, so a panic elsewhere is harmless.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FoldKey {
    fn of(row: &DecisionRow) -> Self {
        Self { app: row.app.clone(), dyno: row.dyno.clone(), rule: row.rule.clone() }
    }
}

impl Inner {
    /// An id equal to the time if possible, and larger than all before.
    fn new_id(&mut self, at: i64) -> i64 {
        self.last_id = at.max(self.last_id.saturating_add(1));
        self.last_id
    }

    fn push_history(&mut self, id: i64, row: HistoryRow) -> Pushed {
        if self.history_rows.insert(id, row).is_some() {
            return Pushed { dropped: 0, is_news: false };
        }
        self.history_taken_in += 1;
        self.history.push_back(id);
        let waiting = self.history.len();
        if waiting <= limits::UNWRITTEN_ROWS_MAX {
            return Pushed { dropped: 0, is_news: waiting == 1 || waiting >= limits::ROWS_PER_WRITE_MAX };
        }
        if let Some(oldest) = self.history.pop_front() {
            self.history_rows.remove(&oldest);
        }
        self.dropped += 1;
        Pushed { dropped: 1, is_news: true }
    }

    /// Whether rows must be written now; none if there are no rows.
    fn is_pressing(&self) -> Option<bool> {
        if !self.restarts.is_empty() || self.history.len() >= limits::ROWS_PER_WRITE_MAX {
            return Some(true);
        }
        (!self.history.is_empty()).then_some(self.is_awaited)
    }
}

impl DecisionRow {
    /// Whether `next` is the same refusal again.
    fn takes(&self, next: &Self) -> bool {
        let span = i64::try_from(limits::FOLD_SPAN_MAX.as_micros()).unwrap_or(i64::MAX);
        self.decision == next.decision && self.code == next.code && next.at.saturating_sub(self.at) < span
    }
}

const RESTART: &str = "restart";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Queue;
    use crate::store::rows::{DecisionRow, HistoryRow};
    use dynowarden_core::limits;

    fn row(at: i64, rule: &str, code: &'static str) -> DecisionRow {
        let decision = if code == "restart" { "restart" } else { "hold" };
        DecisionRow {
            id: at,
            at,
            app: "acme".into(),
            dyno: Some("web.1".into()),
            rule: rule.into(),
            decision,
            code: code.into(),
            reason: String::new(),
            dry_run: false,
            evidence: "{}".to_owned(),
            attempt: None,
            count: 1,
            last_at: at,
        }
    }

    fn taken(queue: &Queue) -> Vec<(String, i64, i64)> {
        let batch = queue.take();
        let rows = batch.history.iter().filter_map(|row| match row {
            HistoryRow::Decision(row) => Some((row.code.to_string(), row.count, row.last_at)),
            HistoryRow::Notice(_) => None,
        });
        rows.collect()
    }

    #[test]
    fn consecutive_refusals_of_one_kind_are_one_row() {
        let queue = Queue::new();
        for (at, code) in
            [(1, "too_young"), (2, "too_young"), (3, "stale"), (4, "too_young"), (5, "too_young")]
        {
            queue.decision(row(at, "r", code));
        }
        queue.decision(row(6, "other", "too_young"));
        let expect = [("too_young", 2, 2), ("stale", 1, 3), ("too_young", 2, 5), ("too_young", 1, 6)];
        let expect: Vec<_> = expect.map(|(code, count, at)| (code.to_owned(), count, at)).into();
        assert_eq!(taken(&queue), expect);
        // A stored row is written again, with the total count.
        queue.decision(row(7, "other", "too_young"));
        assert_eq!(taken(&queue), [("too_young".to_owned(), 2, 7)]);
        // A restart is never folded, and ends the fold.
        queue.decision(row(8, "other", "restart"));
        queue.decision(row(9, "other", "too_young"));
        let batch = queue.take();
        assert_eq!((batch.restarts.len(), batch.history.len()), (1, 1));
    }

    #[test]
    fn a_folded_row_covers_at_most_a_day() {
        let queue = Queue::new();
        let day = i64::try_from(limits::FOLD_SPAN_MAX.as_micros()).expect("a day");
        for at in [1, day, day + 1] {
            queue.decision(row(at, "r", "stale"));
        }
        assert_eq!(taken(&queue), [("stale".to_owned(), 2, day), ("stale".to_owned(), 1, day + 1)]);
    }

    #[tokio::test]
    async fn a_full_queue_drops_the_oldest_history_but_no_restarts() {
        let queue = Queue::new();
        queue.decision(row(1, "r", "restart"));
        for at in 0..=limits::UNWRITTEN_ROWS_MAX as i64 {
            queue.decision(row(at, &format!("r{at}"), "stale"));
        }
        assert_eq!(queue.figures(), (limits::UNWRITTEN_ROWS_MAX + 1, 1));
        let first = queue.take();
        assert_eq!(first.restarts.len(), 1);
        let HistoryRow::Decision(oldest) = &first.history[0] else { panic!("a decision") };
        assert_eq!(&*oldest.rule, "r1");
    }

    #[tokio::test(start_paused = true)]
    async fn only_history_waits_before_it_is_written() {
        let queue = Queue::new();
        let later = Instant::now() + Duration::from_secs(60);
        let is_ready = async |queue: &Queue| {
            tokio::time::timeout(Duration::from_secs(1), queue.ready(later)).await.is_ok()
        };
        assert!(!is_ready(&queue).await, "nothing is there");
        queue.decision(row(1, "r", "stale"));
        assert!(!is_ready(&queue).await);
        assert!(!queue.all_written(Duration::ZERO).await);
        assert!(is_ready(&queue).await, "a task waits for it");
        queue.put_back(queue.take());
        assert!(!is_ready(&queue).await, "no task waits any more");
        queue.decision(row(2, "r", "restart"));
        assert!(is_ready(&queue).await);
        queue.take();
        queue.decision(row(3, "r", "gone"));
        queue.ready(later).await;
        assert_eq!(Instant::now(), later);
    }

    #[tokio::test]
    async fn unwritten_rows_are_retried_first_and_once() {
        let queue = Queue::new();
        queue.decision(row(1, "r", "stale"));
        queue.decision(row(2, "s", "stale"));
        let batch = queue.take();
        queue.decision(row(3, "s", "stale"));
        queue.put_back(batch);
        assert!(!queue.all_written(Duration::ZERO).await);
        assert_eq!(taken(&queue), [("stale".to_owned(), 1, 1), ("stale".to_owned(), 2, 3)]);
        queue.written(2, 0);
        assert!(queue.all_written(Duration::ZERO).await);
    }
}
