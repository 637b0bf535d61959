//! State shared by the callers and the writer: the connections, the queue, and the store's health.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::{Any, AnyConnection, Transaction};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::store::database::{self, Link};
use crate::store::dialect::Dialect;
use crate::store::error::{Kind, StoreAway};
use crate::store::queue::Queue;
use crate::store::rows::DbTime;
use crate::store::rows::{DecisionRow, Row, micros};
use crate::store::{JudgingClock, StoreOptions};
use dynowarden_core::health::clock;
use dynowarden_core::ident::{AppId, AppName};
use dynowarden_core::limits;
use dynowarden_core::record::{AttemptId, Decision};
use dynowarden_core::time::{later, since, spoken};

#[derive(Debug)]
pub(super) struct StoreInner {
    /// When the API last confirmed the time of day, and that time.
    pub confirmed: Mutex<Option<(Timestamp, Instant)>>,
    pub away: watch::Sender<Option<(Timestamp, StoreAway)>>,
    /// Whether the file was found damaged: its later answers are not trusted.
    pub damaged: AtomicBool,
    /// Decisions that were written with their claims and are not on record yet, by their ids.
    pub drafts: Mutex<HashMap<AttemptId, i64>>,
    /// Attempts whose claims this process holds.
    pub held: Mutex<HashSet<AttemptId>>,
    pub holder: Arc<str>,
    /// The last time of day that a caller passed in, and when.
    pub last_now: Mutex<(Timestamp, Instant)>,
    pub link: Link,
    pub options: StoreOptions,
    pub queue: Queue,
    /// Whether retention is due because the clock has just been confirmed.
    pub prune_now: AtomicBool,
    /// Wakes the writer, which then checks whether the store is back.
    pub went_away: Notify,
}

// === impl StoreInner ===

impl StoreInner {
    pub(super) fn new(link: Link, options: StoreOptions, now: Timestamp) -> Self {
        Self {
            confirmed: Mutex::default(),
            away: watch::Sender::default(),
            damaged: AtomicBool::new(false),
            drafts: Mutex::default(),
            held: Mutex::default(),
            holder: database::new_holder(),
            last_now: Mutex::new((now, Instant::now())),
            link,
            options,
            queue: Queue::new(),
            prune_now: AtomicBool::new(false),
            went_away: Notify::new(),
        }
    }

    /// The connection that writes, in a transaction.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        let Link { dialect, write, .. } = &self.link;
        match write.begin_with(dialect.begin()).await {
            // SQLite ended a transaction on its own, as it does when the disk is full, and the client waits
            // forever for its end. An in-memory database would be lost with its connection.
            Err(sqlx::Error::InvalidSavePointStatement) if !self.link.is_memory => {
                write.acquire().await?.close().await?;
                write.begin_with(dialect.begin()).await
            }
            begun => begun,
        }
    }

    /// Does the work in one transaction, within [`limits::STORE_WAIT`].
    pub(super) async fn in_transaction<T>(
        &self,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreAway> {
        let done = async {
            let mut transaction = self.begin().await?;
            let done = work(&mut transaction).await?;
            transaction.commit().await?;
            Ok(done)
        };
        self.within(limits::STORE_WAIT, done).await
    }

    pub(super) fn confirm_clock(&self, now: Timestamp) {
        self.note_time(now);
        let confirmed = Some((now, Instant::now()));
        let mut last = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        let known = std::mem::replace(&mut *last, confirmed);
        // After a jump, other rows are old.
        if known.is_none_or(|(at, read)| !clock::agree(now, later(at, read.elapsed()))) {
            self.prune_now.store(true, Ordering::Relaxed);
            self.went_away.notify_one();
        }
    }

    pub(super) fn app(&self, app: AppId) -> Option<&AppName> {
        self.options.apps.get(app.0 as usize)
    }

    /// The app of that name, if it is still watched.
    pub(super) fn app_named(&self, name: &str) -> Option<AppId> {
        let place = self.options.apps.iter().position(|app| app.as_str() == name)?;
        u32::try_from(place).ok().map(AppId)
    }

    pub(super) fn drafts(&self) -> MutexGuard<'_, HashMap<AttemptId, i64>> {
        self.drafts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn held(&self) -> MutexGuard<'_, HashSet<AttemptId>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn decision_row(&self, decision: &Decision, app: &AppName) -> DecisionRow {
        DecisionRow::new(self.queue.new_id(decision.at), decision, app, &self.holder)
    }

    /// A claim was granted, and its decision is written with it.
    pub(super) fn claimed(&self, attempt_id: AttemptId, decision: Option<&DecisionRow>) {
        self.held().insert(attempt_id);
        if let Some(row) = decision {
            self.drafts().insert(attempt_id, row.id);
            self.queue.end_fold(row);
        }
    }

    /// A claim may have been written although no answer came, and nothing will be sent for it.
    pub(super) fn unclaim(&self, attempt_id: AttemptId, decision: Option<&DecisionRow>) {
        if self.held().contains(&attempt_id) {
            return;
        }
        self.queue.add(Row::Unclaim(attempt_id));
        if let Some(row) = decision {
            self.queue.add(Row::Undecided(row.id));
        }
    }

    pub(super) fn note_time(&self, now: Timestamp) {
        *self.last_now.lock().unwrap_or_else(PoisonError::into_inner) = (now, Instant::now());
    }

    /// The time of day, as last passed in by a caller.
    pub(super) fn wall(&self) -> Timestamp {
        let (at, read) = *self.last_now.lock().unwrap_or_else(PoisonError::into_inner);
        later(at, read.elapsed())
    }

    /// Whether the API confirmed the clock a while ago, and it has not jumped since.
    pub(super) fn is_clock_confirmed(&self) -> bool {
        let confirmed = *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        confirmed.is_some_and(|(at, read)| {
            let elapsed = read.elapsed();
            elapsed <= limits::CLOCK_CONFIRMED_FOR && clock::agree(self.wall(), later(at, elapsed))
        })
    }

    /// Reads the clock that judges leases.
    pub(super) async fn db_time(
        &self,
        on: &mut AnyConnection,
        now: Timestamp,
    ) -> Result<DbTime, sqlx::Error> {
        if self.link.dialect == Dialect::Sqlite || self.options.clock == JudgingClock::Caller {
            return Ok(DbTime { now: micros(now), ahead: 0 });
        }
        let server: i64 = sqlx::query_scalar(SERVER_CLOCK).fetch_one(on).await?;
        Ok(DbTime { now: server, ahead: server.saturating_sub(micros(now)) })
    }

    /// Uses the store within a time limit, and notes whether it is there.
    pub(super) async fn within<T>(
        &self,
        wait: Duration,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreAway> {
        let done = self.reading(wait, work).await;
        if done.is_ok() {
            self.is_there();
        }
        done
    }

    /// The same for work that only reads. A full disk or a locked file can still be read, so it does not end
    /// the time for which the store is away.
    pub(super) async fn reading<T>(
        &self,
        wait: Duration,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreAway> {
        let mut done = self.link.within(wait, work).await;
        if let Err(away) = &mut done {
            // A server may be fixed while we wait; a damaged file cannot be fixed while it is open.
            if away.kind == Kind::Damaged && self.link.dialect == Dialect::Sqlite {
                self.damaged.store(true, Ordering::Relaxed);
                away.what = format!("{}{DAMAGED}", away.what).into();
            }
            if away.kind != Kind::Data {
                self.is_away(away);
            }
        }
        done
    }

    fn is_there(&self) {
        // Some pages of a damaged file can still be read and written, and it is unknown which rows are gone.
        if self.damaged.load(Ordering::Relaxed) {
            return;
        }
        let mut was_away = None;
        self.away.send_if_modified(|state| {
            was_away = state.take();
            was_away.is_some()
        });
        if let Some((at, away)) = was_away {
            let (unwritten, _) = self.queue.figures();
            let span = since(at, self.wall());
            info!(place = %away.place, unwritten, "the database is available again after {}", spoken(span));
        }
    }

    fn is_away(&self, away: &StoreAway) {
        let now = self.wall();
        let is_news = self.away.send_if_modified(|state| match state {
            Some((_, known)) => std::mem::replace(known, away.clone()) != *away,
            None => {
                *state = Some((now, away.clone()));
                true
            }
        });
        if is_news {
            warn!("{away}: restarts are off until it is available again");
            self.went_away.notify_one();
        }
    }
}

/// What to do about a damaged file.
const DAMAGED: &str = "; restore a backup or move the file away, and restart dynowarden";

/// The server's time of day in microseconds; not that of the transaction's start, which may have waited.
const SERVER_CLOCK: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::ConnectOptions as _;
    use sqlx::sqlite::SqliteConnectOptions;

    use crate::config::settings::Database;
    use crate::store::history::Filter;
    use crate::store::{Store, StoreOptions};
    use dynowarden_core::ident::AppId;
    use dynowarden_core::record::hold::Hold;
    use dynowarden_core::record::{Action, Decision, Evidence, Record};

    fn refusal(n: u32) -> Record {
        Record::Decision(Decision {
            at: "2026-03-01T00:00:00Z".parse().expect("a time"),
            app: AppId(0),
            dyno: Some(format!("web.{n}").parse().expect("a dyno")),
            rule: "r14".into(),
            action: Action::Hold(Hold::UnderWay),
            evidence: Evidence::default(),
            attempt_id: None,
        })
    }

    /// SQLite rolls back the transaction that meets a full disk, without notice to its client.
    #[tokio::test]
    async fn a_full_disk_is_reported_and_survived() {
        let dir = tempfile::tempdir().expect("a directory");
        let database = Database::Sqlite(dir.path().join("x.db"));
        let options = StoreOptions::new(vec!["acme".parse().expect("an app")], Duration::from_secs(3600));
        let now = "2026-03-01T00:00:00Z".parse().expect("a time");
        let store = Store::open(&database, options, now).await.expect("a store");
        let mut health = store.watch();
        {
            let mut connection = store.shared.link.write.acquire().await.expect("the connection");
            let bound = sqlx::raw_sql("PRAGMA max_page_count = 30").execute(&mut *connection);
            bound.await.expect("a bound on this connection alone");
        }
        (1..=2000).for_each(|n| store.write(&refusal(n), now));
        let away = health.wait_for(Option::is_some).await.expect("a store").clone();
        let (_, away) = away.expect("it was waited for");
        assert!(away.to_string().contains("disk is full"), "{away}");
        // The next connection has no such limit: as if the operator had made room.
        assert!(store.flush(Duration::from_secs(30)).await);
        assert_eq!(store.health(), Default::default());
        store.close().await;
    }

    /// It can be read all the time, which must not look like a recovery.
    #[tokio::test]
    async fn a_locked_file_is_away_until_it_can_be_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.db");
        let options = StoreOptions::new(vec!["acme".parse().expect("an app")], Duration::from_secs(3600));
        let now = "2026-03-01T00:00:00Z".parse().expect("a time");
        let store = Store::open(&Database::Sqlite(path.clone()), options, now).await.expect("a store");
        let mut health = store.watch();
        let mut other = SqliteConnectOptions::new().filename(&path).connect().await.expect("a connection");
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.expect("the lock");
        store.write(&refusal(1), now);
        health.wait_for(Option::is_some).await.expect("a store");
        // More than one try, with the page of decisions read in between.
        for _ in 0..8 {
            store.decisions(&Filter::default()).await.expect("a page");
            assert!(health.borrow().is_some());
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await.expect("unlocked");
        health.wait_for(Option::is_none).await.expect("a store");
        assert!(store.flush(Duration::from_secs(30)).await);
        store.close().await;
    }
}
