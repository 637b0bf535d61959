//! Decision history, claims and shared facts, in SQLite, in PostgreSQL or in memory.
//!
//! It holds three kinds of data. History is written by one task, in batches, and no task waits for it. Claims
//! are requested before a restart and decided in one transaction: they keep several replicas, or a process
//! and its predecessor, from restarting the same dyno. Pauses, give-ups and the times of counted errors are
//! facts that all replicas act on.
//!
//! One clock judges leases and cool-downs: the server's for PostgreSQL, the caller's for SQLite, which has
//! one process at a time.

mod app_ids;
mod blocks;
mod checkpoint;
mod claim_row;
pub mod claims;
mod database;
mod dialect;
pub mod error;
pub mod evidence;
pub mod history;
mod past;
mod queue;
pub mod read_only;
mod replica_counts;
mod restarts;
mod rows;
mod schema;
pub mod series;
mod state;
mod writer;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use crate::config::settings::Database;
use crate::store::claims::{ClaimRequest, Claimant};
use crate::store::database::{Access, Link};
use crate::store::dialect::Dialect;
use crate::store::error::{StoreAway, StoreError, StoreLocation};
use crate::store::history::{Filter, Page};
use crate::store::rows::{GiveUpRow, PendingRow, Row, micros};
use crate::store::state::StoreInner;
use dynowarden_core::engine::RuleHit;
use dynowarden_core::engine::claim::ClaimRefusal;
use dynowarden_core::engine::restore::{PendingRestart, RestoredPause, RestoredState};
use dynowarden_core::engine::status::PauseStatus;
use dynowarden_core::ident::{AppId, AppName};
use dynowarden_core::limits;
use dynowarden_core::record::{Action, AttemptId, Decision, Record, RestartResult};

/// Clones share it; when the last one is dropped, waiting rows are written and the connections end.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<StoreInner>,
    writing: Arc<Writing>,
}

#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// [`AppId`] is the place in the list.
    pub apps: Vec<AppName>,
    /// SQLite knows only the caller's.
    pub clock: JudgingClock,
    pub keep: Duration,
    pub keep_series: Duration,
    pub rows_max: u64,
}

/// The clock that judges leases and cool-downs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JudgingClock {
    /// Each caller's own, as passed in: for simulated time, in which all callers agree.
    Caller,
    /// The database server's, which all replicas share.
    Server,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// Since when it is away, and why.
    pub away: Option<(Timestamp, StoreAway)>,
    /// Rows dropped for lack of room, or because the database rejected them.
    pub dropped: u64,
    pub unwritten: usize,
}

/// The writing task, which ends with the last handle.
#[derive(Debug)]
struct Writing {
    _end: DropGuard,
    task: Mutex<Option<JoinHandle<()>>>,
    token: CancellationToken,
}

// === impl StoreOptions ===

impl StoreOptions {
    /// The defaults: the server's clock, and at most [`limits::DECISIONS_KEPT_MAX`] rows.
    pub fn new(apps: Vec<AppName>, keep: Duration) -> Self {
        let (keep_series, rows_max) = (limits::KEEP_SERIES, limits::DECISIONS_KEPT_MAX);
        Self { apps, clock: JudgingClock::Server, keep, keep_series, rows_max }
    }
}

// === impl Store ===

impl Store {
    /// Opens the store to serve from it. A file is created, locked against other processes and brought up to
    /// date; so is a server's schema.
    ///
    /// # Errors
    /// It cannot be used; the message names the file or the server, and no secret.
    pub async fn open(
        database: &Database,
        options: StoreOptions,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let link = Link::open(database, Access::Serve).await?;
        let shared = Arc::new(StoreInner::new(link, options, now));
        let token = CancellationToken::new();
        let task = tokio::spawn(writer::run(shared.clone(), token.clone()));
        let end = token.clone().drop_guard();
        let writing = Writing { _end: end, task: Mutex::new(Some(task)), token };
        Ok(Self { shared, writing: Arc::new(writing) })
    }

    /// The store's file or server for messages, without user or password.
    pub fn place(&self) -> &StoreLocation {
        &self.shared.link.place
    }

    /// Whether other replicas may share it.
    pub fn is_shared(&self) -> bool {
        self.shared.link.dialect == Dialect::Postgres
    }

    pub fn health(&self) -> Health {
        let (unwritten, dropped) = self.shared.queue.figures();
        Health { away: self.shared.away.borrow().clone(), dropped, unwritten }
    }

    /// Reports when the store goes away, since when and why, and when it is back.
    pub fn watch(&self) -> watch::Receiver<Option<(Timestamp, StoreAway)>> {
        self.shared.away.subscribe()
    }

    /// Claims a restart, and writes its decision in the same transaction. The holder of the claim may send
    /// the DELETE; no other replica will until it is settled, or has not been renewed for
    /// [`limits::CLAIM_LEASE`].
    ///
    /// The decision stays a draft until it is passed to [`write`](Self::write); an outcome before that
    /// withdraws it.
    ///
    /// # Errors
    /// Why it was not granted; known within [`limits::CLAIM_WAIT`] in any case.
    pub async fn claim(&self, request: &ClaimRequest, now: Timestamp) -> Result<(), ClaimRefusal> {
        let shared = &self.shared;
        shared.note_time(now);
        let Some(app) = shared.app(request.app) else { return Err(ClaimRefusal::StoreAway) };
        if shared.away.borrow().is_some() {
            return Err(ClaimRefusal::StoreAway);
        }
        let decision = request.decision.as_ref().map(|decision| shared.decision_row(decision, app));
        let claimant =
            Claimant { app: app.as_str(), holder: &shared.holder, request, decision: decision.as_ref() };
        let asked = Instant::now();
        // The verdict must see what this process knows about its own restarts.
        if !shared.queue.restarts_written(limits::CLAIM_WAIT).await {
            return Err(ClaimRefusal::StoreAway);
        }
        let left = limits::CLAIM_WAIT.saturating_sub(asked.elapsed());
        let answer = shared.within(left, async {
            let mut transaction = shared.begin().await?;
            claims::lock(claimant, &mut transaction, shared.link.dialect).await?;
            let db_time = shared.db_time(&mut transaction, now).await?;
            let answer = claims::claim(claimant, &mut transaction, db_time).await?;
            transaction.commit().await?;
            Ok(answer)
        });
        match answer.await {
            Ok(Ok(())) => {
                shared.claimed(request.attempt_id, decision.as_ref());
                Ok(())
            }
            Ok(Err(refusal)) => Err(refusal),
            Err(_) => {
                shared.unclaim(request.attempt_id, decision.as_ref());
                Err(ClaimRefusal::StoreAway)
            }
        }
    }

    /// Renews this process's claims of attempts that are still `open`; the others lapse. Must be called every
    /// [`limits::CLAIM_RENEW_EVERY`].
    ///
    /// # Errors
    /// The store is away; claims stand until their leases end.
    pub async fn renew(&self, open: &[AttemptId], now: Timestamp) -> Result<(), StoreAway> {
        let shared = &self.shared;
        shared.note_time(now);
        let held: Vec<AttemptId> = {
            let open: HashSet<&AttemptId> = open.iter().collect();
            let mut held = shared.held();
            held.retain(|attempt_id| open.contains(attempt_id));
            held.iter().copied().collect()
        };
        if held.is_empty() {
            return Ok(());
        }
        let renewed = shared.within(limits::CLAIM_WAIT, async {
            let mut transaction = shared.begin().await?;
            let db_time = shared.db_time(&mut transaction, now).await?;
            claims::renew(&shared.holder, &held, &mut transaction, db_time).await?;
            transaction.commit().await
        });
        renewed.await
    }

    /// Queues a record to be written, without waiting. Outcomes advance their claims.
    pub fn write(&self, record: &Record, now: Timestamp) {
        let shared = &self.shared;
        shared.note_time(now);
        match record {
            Record::MemoryAfterRestart(reading) => {
                shared.queue.add(Row::MemoryAfterRestart(reading.attempt_id, reading.memory));
            }
            Record::Decision(decision) => self.write_decision(decision),
            Record::Notice(notice) => {
                let app = notice.scope.app().and_then(|app| shared.app(app)).cloned();
                let id = shared.queue.new_id(notice.at);
                if let Some(row) = app.as_ref().and_then(|app| GiveUpRow::new(notice, app)) {
                    shared.queue.add(Row::GiveUp(row));
                }
                shared.queue.add(Row::Notice { id, app, notice: notice.clone() });
            }
            Record::Outcome(outcome) => {
                let Some(app) = shared.app(outcome.app) else { return };
                let is_held_on =
                    matches!(outcome.result, RestartResult::Accepted { .. } | RestartResult::NotBack { .. });
                if !is_held_on {
                    shared.held().remove(&outcome.attempt_id);
                }
                if let Some(id) = shared.drafts().remove(&outcome.attempt_id) {
                    shared.queue.add(Row::Undecided(id));
                }
                shared.queue.add(Row::Outcome { app: app.clone(), outcome: outcome.clone() });
            }
        }
    }

    fn write_decision(&self, decision: &Decision) {
        let shared = &self.shared;
        let Some(app) = shared.app(decision.app) else { return };
        let is_draft = |attempt_id| shared.drafts().remove(&attempt_id).is_some();
        let is_restart = matches!(decision.action, Action::Restart { .. });
        if !(is_restart && decision.attempt_id.is_some_and(is_draft)) {
            shared.queue.add(Row::Decision(Box::new(shared.decision_row(decision, app))));
        }
    }

    /// Queues what the next process takes up.
    pub fn write_pending(&self, pending: PendingRestart) {
        if let Some(app) = self.shared.app(pending.app).cloned() {
            self.shared.queue.add(Row::Pending(PendingRow { app, pending }));
        }
    }

    /// Waits until all queued records are in the store; false if they are not after `wait`.
    pub async fn flush(&self, wait: Duration) -> bool {
        self.shared.queue.all_written(wait).await
    }

    /// State from earlier processes for the engine; restarts of the last `span`. Takes over the claims that
    /// dead processes left open. Called once, at startup.
    ///
    /// # Errors
    /// The store is away, and nothing was taken over.
    pub async fn past(&self, span: Duration, now: Timestamp) -> Result<RestoredState, StoreAway> {
        let shared = &self.shared;
        shared.note_time(now);
        let past = shared.in_transaction(async |from| {
            let db_time = shared.db_time(from, now).await?;
            past::read(shared, from, span, db_time).await
        });
        let past = past.await?;
        shared.held().extend(past.claims.iter().map(|claim| claim.attempt_id));
        Ok(past)
    }

    /// The pauses in force; read every two seconds if the store is shared.
    ///
    /// # Errors
    /// The store is away.
    pub async fn pauses(&self, now: Timestamp) -> Result<Vec<RestoredPause>, StoreAway> {
        let shared = &self.shared;
        shared.note_time(now);
        let pauses = shared.reading(limits::STORE_WAIT, async {
            let mut connection = shared.link.read.acquire().await?;
            let db_time = shared.db_time(&mut connection, now).await?;
            past::pauses(shared, &mut connection, db_time).await
        });
        pauses.await
    }

    /// Notes that the API's clock agrees with this time of day: retention may delete by it.
    pub fn confirm_clock(&self, now: Timestamp) {
        self.shared.confirm_clock(now);
    }

    /// Sets the pause of one app, or of all, and replaces the previous one.
    ///
    /// # Errors
    /// The store is away: other replicas and later processes do not know of the pause.
    pub async fn set_pause(&self, app: Option<AppId>, pause: &PauseStatus) -> Result<(), StoreAway> {
        let shared = &self.shared;
        let app = app.and_then(|app| shared.app(app)).map(AppName::as_str);
        let set = async {
            let mut connection = shared.link.write.acquire().await?;
            let db_time = shared.db_time(&mut connection, shared.wall()).await?;
            let until = micros(pause.until).saturating_add(db_time.ahead);
            replica_counts::set_pause(app, until, pause, &mut connection).await
        };
        shared.within(limits::STORE_WAIT, set).await
    }

    /// Ends the pause of one app; without an app, all pauses.
    ///
    /// # Errors
    /// The store is away: other replicas and later processes do not know of it.
    pub async fn clear_pause(&self, app: Option<AppId>) -> Result<(), StoreAway> {
        let shared = &self.shared;
        let app = app.and_then(|app| shared.app(app)).map(AppName::as_str);
        let clear = replica_counts::clear_pause(app, &shared.link.write);
        shared.within(limits::STORE_WAIT, clear).await
    }

    /// Adds the time of an error that a rule counts, and returns all of that dyno and rule within the span
    /// that ends at the newest, oldest first. Adding one twice changes nothing.
    ///
    /// # Errors
    /// The store is away: the errors that other replicas received are unknown.
    pub async fn share_hit(&self, hit: &RuleHit) -> Result<Vec<Timestamp>, StoreAway> {
        let shared = &self.shared;
        let Some(app) = shared.app(hit.app) else { return Ok(vec![hit.at]) };
        let times = shared.within(limits::CLAIM_WAIT, async {
            // No transaction: if replicas add at the same moment, the last reader must see all of them.
            let mut connection = shared.link.write.acquire().await?;
            replica_counts::share_hit(app.as_str(), hit, &mut connection).await
        });
        times.await
    }

    /// One page of decision history, newest first, with waiting rows if they can be written quickly.
    ///
    /// # Errors
    /// The store is away.
    pub async fn decisions(&self, filter: &Filter) -> Result<Page, StoreAway> {
        self.shared.queue.all_written(PAGE_FLUSH_WAIT).await;
        let page = history::read(filter, &self.shared.link.read);
        self.shared.reading(limits::STORE_WAIT, page).await
    }

    /// Writes waiting rows, if the store is there, and ends the connections.
    pub async fn close(self) {
        self.writing.token.cancel();
        let task = self.writing.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            warn!("the database writer failed: {error}");
        }
    }
}

/// How long a reader of decision history waits for the newest rows to be written.
const PAGE_FLUSH_WAIT: Duration = Duration::from_millis(500);
