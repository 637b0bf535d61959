//! Rows that wait to be written: bounded, with repeated refusals folded into one row while they wait.
//!
//! Restarts and their outcomes go first and are kept longest: the promises are rebuilt from them. The rest is
//! history, and when there is no room the oldest is dropped and counted.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::store::rows::{DecisionRow, Row, micros};
use dynowarden_core::limits;
use dynowarden_core::record::hold::Hold;
use dynowarden_core::record::view::Word;
use dynowarden_core::time::since;

#[derive(Debug)]
pub(super) struct Queue {
    done: watch::Sender<Count>,
    filled: Notify,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    dropped: u64,
    /// The open rows of each dyno and rule, one for each kind of refusal.
    folds: HashMap<FoldKey, Vec<DecisionRow>>,
    /// The ids of waiting history, oldest first.
    history: VecDeque<i64>,
    /// The rows of `history`, by their ids.
    history_rows: HashMap<i64, Row>,
    /// A task waits for its rows.
    is_awaited: bool,
    last_id: i64,
    restarts: VecDeque<Row>,
    taken_in: Count,
}

/// Numbers of rows; each kind is handled in the order of arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Count {
    history: u64,
    restarts: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FoldKey {
    app: String,
    dyno: Option<String>,
    rule: String,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { done: watch::Sender::default(), filled: Notify::new(), inner: Mutex::default() }
    }

    /// An id for a decision or a notice: equal to its time if possible, and larger than all before.
    pub(super) fn new_id(&self, at: Timestamp) -> i64 {
        let mut inner = self.inner();
        inner.last_id = micros(at).max(inner.last_id.saturating_add(1));
        inner.last_id
    }

    /// Adds a row. A refusal that repeats one of its kind for its dyno and rule is folded into that row.
    pub(super) fn add(&self, mut row: Row) {
        let mut inner = self.inner();
        if let Row::Decision(decision) = &mut row {
            inner.fold(decision);
        }
        let (dropped, is_news) = match row.history_id() {
            Some(id) => inner.push_history(id, row),
            None => inner.push_restart(row),
        };
        inner.dropped += dropped.history + dropped.restarts;
        drop(inner);
        self.done(dropped);
        if is_news {
            self.filled.notify_one();
        }
    }

    /// Ends the fold: the next refusal of the same dyno and rule is a new row.
    pub(super) fn end_fold(&self, row: &DecisionRow) {
        self.inner().folds.remove(&FoldKey::of(row));
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

    /// Takes rows out, those about restarts first; they are returned with [`written`](Self::written) or
    /// [`put_back`](Self::put_back).
    pub(super) fn take(&self) -> Vec<Row> {
        let mut guard = self.inner();
        let inner = &mut *guard;
        let restarts = inner.restarts.len().min(limits::ROWS_PER_WRITE_MAX);
        let history = inner.history.len().min(limits::ROWS_PER_WRITE_MAX - restarts);
        let mut rows: Vec<Row> = inner.restarts.drain(..restarts).collect();
        rows.extend(inner.history.drain(..history).filter_map(|id| inner.history_rows.remove(&id)));
        inner.is_awaited &= !inner.history.is_empty();
        rows
    }

    pub(super) fn written(&self, rows: &[Row]) {
        self.done(Count::of(rows));
    }

    /// Returns rows that were not stored; they go first the next time.
    pub(super) fn put_back(&self, rows: Vec<Row>) {
        let mut guard = self.inner();
        let inner = &mut *guard;
        let mut superseded = 0;
        for row in rows.into_iter().rev() {
            let Some(id) = row.history_id() else {
                inner.restarts.push_front(row);
                continue;
            };
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
        self.done(Count { history: superseded, restarts: 0 });
    }

    /// Drops rows that the database will never accept.
    pub(super) fn give_up(&self, rows: &[Row]) {
        self.inner().dropped += rows.len() as u64;
        self.written(rows);
    }

    /// Waits until all rows about restarts are written; `false` if that took too long.
    pub(super) async fn restarts_written(&self, wait: Duration) -> bool {
        let target = self.inner().taken_in;
        self.reached(wait, |done| done.restarts >= target.restarts).await
    }

    /// Waits until all rows are written; `false` if that took too long.
    pub(super) async fn all_written(&self, wait: Duration) -> bool {
        let target = {
            let mut inner = self.inner();
            inner.is_awaited = true;
            inner.taken_in
        };
        self.filled.notify_one();
        self.reached(wait, |done| done.restarts >= target.restarts && done.history >= target.history).await
    }

    async fn reached(&self, wait: Duration, is_reached: impl Fn(&Count) -> bool) -> bool {
        let mut done = self.done.subscribe();
        let reached = done.wait_for(is_reached);
        matches!(tokio::time::timeout(wait, reached).await, Ok(Ok(_)))
    }

    fn done(&self, count: Count) {
        if count != Count::default() {
            self.done.send_modify(|sum| {
                sum.history += count.history;
                sum.restarts += count.restarts;
            });
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each change is complete before the lock is released, so a panic elsewhere is harmless.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    fn of(rows: &[Row]) -> Self {
        let history = rows.iter().filter(|row| row.history_id().is_some()).count() as u64;
        Self { history, restarts: rows.len() as u64 - history }
    }
}

impl FoldKey {
    fn of(row: &DecisionRow) -> Self {
        let shown = &row.shown;
        let mut dyno = shown.dyno.clone();
        // One row for all dynos of a type that is not listed.
        if shown.code == Hold::NotListed.label()
            && let Some((process_type, _)) = dyno.as_deref().and_then(|dyno| dyno.split_once('.'))
        {
            dyno = Some(process_type.to_owned());
        }
        Self { app: shown.app.clone(), dyno, rule: shown.rule.clone() }
    }
}

impl Inner {
    /// Replaces a decision that repeats an earlier one by that one's row with a higher count. A restart is
    /// never folded, and ends the fold.
    fn fold(&mut self, row: &mut DecisionRow) {
        let key = FoldKey::of(row);
        if row.shown.decision == Word::Restart {
            self.folds.remove(&key);
            return;
        }
        if self.folds.len() >= limits::FOLDS_MAX && !self.folds.contains_key(&key) {
            self.drop_most_folds();
        }
        let folds = self.folds.entry(key).or_default();
        match folds.iter_mut().find(|fold| fold.is_like(row)) {
            Some(fold) if since(fold.shown.at, row.shown.at) < limits::FOLD_SPAN_MAX => {
                fold.shown.count += 1;
                fold.shown.last_at = fold.shown.last_at.max(row.shown.at);
                *row = fold.clone();
            }
            Some(fold) => *fold = row.clone(),
            None => folds.push(row.clone()),
        }
    }

    /// Starts over with the folds of the app that has most of them: names invented for one app cost the
    /// others nothing.
    fn drop_most_folds(&mut self) {
        let mut counts = HashMap::<&str, usize>::new();
        self.folds.keys().for_each(|key| *counts.entry(&key.app).or_default() += 1);
        let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(app, _)| app.to_owned());
        self.folds.retain(|key, _| Some(&key.app) != most.as_ref());
    }

    /// Adds a row or replaces an earlier state of it; returns the rows dropped to make room, and whether the
    /// writer should be woken.
    fn push_history(&mut self, id: i64, row: Row) -> (Count, bool) {
        let mut dropped = Count::default();
        if self.history_rows.insert(id, row).is_some() {
            return (dropped, false);
        }
        self.taken_in.history += 1;
        self.history.push_back(id);
        let waiting = self.history.len();
        if waiting <= limits::UNWRITTEN_ROWS_MAX {
            return (dropped, waiting == 1 || waiting >= limits::ROWS_PER_WRITE_MAX);
        }
        if let Some(oldest) = self.history.pop_front() {
            self.history_rows.remove(&oldest);
        }
        dropped.history = 1;
        (dropped, true)
    }

    fn push_restart(&mut self, row: Row) -> (Count, bool) {
        let mut dropped = Count::default();
        self.taken_in.restarts += 1;
        self.restarts.push_back(row);
        if self.restarts.len() > limits::UNWRITTEN_RESTARTS_MAX {
            self.restarts.pop_front();
            dropped.restarts = 1;
        }
        (dropped, true)
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
    /// Whether both are refusals of one kind.
    fn is_like(&self, other: &Self) -> bool {
        (self.shown.decision, &self.shown.code) == (other.shown.decision, &other.shown.code)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Queue;
    use crate::store::rows::{DecisionRow, Row, micros, timestamp};
    use dynowarden_core::limits;
    use dynowarden_core::record::view::{DecisionView, EvidenceView, Word};

    fn add(queue: &Queue, at: i64, rule: &str, code: &str) {
        add_of("acme", queue, at, rule, code);
    }

    fn add_of(app: &str, queue: &Queue, at: i64, rule: &str, code: &str) {
        let at = timestamp(at);
        let shown = DecisionView {
            at,
            app: app.to_owned(),
            dyno: Some("web.1".to_owned()),
            rule: rule.to_owned(),
            decision: if code == "restart" { Word::Restart } else { Word::Hold },
            reason: String::new(),
            code: code.to_owned(),
            dry_run: false,
            evidence: EvidenceView::default(),
            count: 1,
            last_at: at,
            outcome: None,
        };
        let row = DecisionRow { id: queue.new_id(at), attempt: None, shown };
        queue.add(Row::Decision(Box::new(row)));
    }

    fn taken(queue: &Queue) -> Vec<(String, u64, i64)> {
        let rows = queue.take().into_iter().map(|row| match row {
            Row::Decision(row) => (row.shown.code, row.shown.count, micros(row.shown.last_at)),
            row => panic!("{row:?}"),
        });
        rows.collect()
    }

    #[test]
    fn refusals_of_one_kind_are_one_row_however_they_alternate() {
        let queue = Queue::new();
        for (at, code) in
            [(1, "too_young"), (2, "too_young"), (3, "stale"), (4, "too_young"), (5, "too_young")]
        {
            add(&queue, at, "r", code);
        }
        add(&queue, 6, "other", "too_young");
        let expect = [("too_young", 4, 5), ("stale", 1, 3), ("too_young", 1, 6)];
        let expect: Vec<_> = expect.map(|(code, count, at)| (code.to_owned(), count, at)).into();
        assert_eq!(taken(&queue), expect);
        // A stored row is written again, with the total count.
        add(&queue, 7, "other", "too_young");
        assert_eq!(taken(&queue), [("too_young".to_owned(), 2, 7)]);
        // A restart is never folded, and ends the fold.
        add(&queue, 8, "other", "restart");
        add(&queue, 9, "other", "too_young");
        assert_eq!(taken(&queue), [("restart".to_owned(), 1, 8), ("too_young".to_owned(), 1, 9)]);
    }

    #[test]
    fn a_folded_row_covers_at_most_a_day() {
        let queue = Queue::new();
        let day = i64::try_from(limits::FOLD_SPAN_MAX.as_micros()).expect("a day");
        for at in [1, day, day + 1] {
            add(&queue, at, "r", "stale");
        }
        assert_eq!(taken(&queue), [("stale".to_owned(), 2, day), ("stale".to_owned(), 1, day + 1)]);
    }

    #[test]
    fn names_invented_for_one_app_end_no_fold_of_another() {
        let queue = Queue::new();
        add_of("acme", &queue, 1, "r", "stale");
        for at in 2..=limits::FOLDS_MAX as i64 + 2 {
            add_of("flood", &queue, at, &format!("r{at}"), "stale");
        }
        while !queue.take().is_empty() {}
        add_of("acme", &queue, 99_999, "r", "stale");
        assert_eq!(taken(&queue), [("stale".to_owned(), 2, 99_999)]);
        assert!(queue.inner().folds.len() < limits::FOLDS_MAX);
    }

    #[tokio::test]
    async fn a_full_queue_drops_the_oldest_history_but_no_restarts() {
        let queue = Queue::new();
        add(&queue, 1, "r", "restart");
        for at in 0..=limits::UNWRITTEN_ROWS_MAX as i64 {
            add(&queue, at, &format!("r{at}"), "stale");
        }
        assert_eq!(queue.figures(), (limits::UNWRITTEN_ROWS_MAX + 1, 1));
        let rows = queue.take();
        let [Row::Decision(restart), Row::Decision(oldest), ..] = &*rows else { panic!("{rows:?}") };
        assert_eq!((&*restart.shown.code, &*oldest.shown.rule), ("restart", "r1"));
    }

    #[tokio::test(start_paused = true)]
    async fn only_history_waits_before_it_is_written() {
        let queue = Queue::new();
        let later = Instant::now() + Duration::from_secs(60);
        let is_ready = async |queue: &Queue| {
            tokio::time::timeout(Duration::from_secs(1), queue.ready(later)).await.is_ok()
        };
        assert!(!is_ready(&queue).await, "nothing is there");
        add(&queue, 1, "r", "stale");
        assert!(!is_ready(&queue).await);
        assert!(!queue.all_written(Duration::ZERO).await);
        assert!(is_ready(&queue).await, "a task waits for it");
        queue.put_back(queue.take());
        assert!(!is_ready(&queue).await, "no task waits any more");
        add(&queue, 2, "r", "restart");
        assert!(is_ready(&queue).await);
        queue.take();
        add(&queue, 3, "r", "gone");
        queue.ready(later).await;
        assert_eq!(Instant::now(), later);
    }

    #[tokio::test]
    async fn unwritten_rows_are_retried_first_and_once() {
        let queue = Queue::new();
        add(&queue, 1, "r", "stale");
        add(&queue, 2, "s", "stale");
        let rows = queue.take();
        add(&queue, 3, "s", "stale");
        queue.put_back(rows);
        assert!(!queue.all_written(Duration::ZERO).await);
        let rows = queue.take();
        let counts = rows.iter().map(|row| match row {
            Row::Decision(row) => row.shown.count,
            row => panic!("{row:?}"),
        });
        assert_eq!(counts.collect::<Vec<_>>(), [1, 2]);
        queue.written(&rows);
        assert!(queue.all_written(Duration::ZERO).await);
    }
}
