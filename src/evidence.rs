//! Requests by endpoint of all apps: counted by one task, away from the connections, and written to the store
//! half hour by half hour.
//!
//! A path is in memory for as long as it waits to be counted, and nowhere else.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::clock::Clock;
use crate::store::Store;
use crate::store::error::StoreAway;
use crate::store::evidence::WindowRow;
use dynowarden_core::days::evidence::counts::{AppCounts, WindowCounts};
use dynowarden_core::days::evidence::pack;
use dynowarden_core::days::evidence::paths::Paths;
use dynowarden_core::ident::{AppId, AppName};
use dynowarden_core::limits;
use dynowarden_core::time::earlier;

/// The way to the counting task; shared behind an `Arc`.
#[derive(Debug)]
pub struct EvidenceBook {
    /// None where requests are not counted.
    queue: Option<mpsc::Sender<Command>>,
    /// Taken by the task.
    commands: Mutex<Option<mpsc::Receiver<Command>>>,
    /// Bytes of paths that wait.
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

#[derive(Debug)]
enum Command {
    Count {
        app: AppId,
        paths: Paths,
        now: Timestamp,
    },
    /// Writes what is known of an app, and answers.
    Flush {
        app: AppId,
        done: oneshot::Sender<Result<(), StoreAway>>,
    },
}

/// The counting task.
#[derive(Debug)]
struct Counter<'b> {
    book: &'b EvidenceBook,
    /// In the order of [`AppId`].
    names: &'b [AppName],
    apps: HashMap<AppId, AppState>,
    rows: VecDeque<WindowRow>,
    parts: i64,
    store: Store,
    /// Requests that were not counted, as far as that is logged.
    reported: u64,
}

#[derive(Debug, Default)]
struct AppState {
    counts: AppCounts,
    /// The present window and its part, if it was written before it was over.
    open: Option<(i64, i64)>,
    is_dirty: bool,
}

// === impl EvidenceBook ===

impl EvidenceBook {
    /// A book that counts if `is_on`.
    pub fn new(is_on: bool) -> Self {
        let (queue, commands) = mpsc::channel(limits::QUEUED_BATCHES_MAX);
        Self {
            queue: is_on.then_some(queue),
            commands: Mutex::new(is_on.then_some(commands)),
            waiting: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Whether requests are counted; if not, their paths need not be read.
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Passes the paths of a batch on, without waiting.
    pub fn count(&self, app: AppId, paths: Paths, now: Timestamp) {
        let Some(queue) = self.queue.as_ref().filter(|_| !paths.is_empty()) else { return };
        let (bytes, requests) = (paths.bytes(), paths.len() as u64);
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let has_room = before + bytes <= limits::EVIDENCE_WAITING_BYTES_MAX;
        if !has_room || queue.try_send(Command::Count { app, paths, now }).is_err() {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.dropped.fetch_add(requests, Ordering::Relaxed);
        }
    }

    /// Requests that were not counted.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Writes what is known of an app, once it is counted.
    ///
    /// # Errors
    /// The store is away.
    pub async fn flush(&self, app: AppId) -> Result<(), StoreAway> {
        let Some(queue) = &self.queue else { return Ok(()) };
        let flushed = async {
            let (done, answer) = oneshot::channel();
            // A task that has ended has written everything.
            if queue.send(Command::Flush { app, done }).await.is_err() {
                return Ok(());
            }
            answer.await.unwrap_or(Ok(()))
        };
        // Under a flood, a report is without the newest requests.
        tokio::time::timeout(limits::EVIDENCE_WAIT, flushed).await.unwrap_or(Ok(()))
    }

    /// Counts until `end`, and then writes the rest. `first_part` is different for each process.
    pub async fn run(
        &self,
        names: &[AppName],
        (store, clock): (Store, Clock),
        first_part: i64,
        end: CancellationToken,
    ) {
        let taken = self.commands.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut commands) = taken else { return };
        let mut counter = Counter {
            book: self,
            names,
            apps: HashMap::new(),
            rows: VecDeque::new(),
            parts: first_part,
            store,
            reported: 0,
        };
        let mut timer = tokio::time::interval(limits::EVIDENCE_WRITE_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = end.cancelled() => break,
                _ = timer.tick() => counter.write_present(clock.now().wall).await,
                command = commands.recv() => match command {
                    Some(command) => counter.take(command).await,
                    None => break,
                },
            }
        }
        commands.close();
        while let Ok(command) = commands.try_recv() {
            counter.take(command).await;
        }
        counter.end().await;
    }
}

// === impl Counter ===

impl Counter<'_> {
    async fn take(&mut self, command: Command) {
        match command {
            Command::Count { app, paths, now } => {
                let bytes = paths.bytes();
                self.count(app, &paths, now).await;
                self.book.waiting.fetch_sub(bytes, Ordering::Relaxed);
            }
            Command::Flush { app, done } => {
                self.snapshot(app);
                // The caller may have left.
                let _gone = done.send(self.write().await);
            }
        }
    }

    async fn count(&mut self, app: AppId, paths: &Paths, now: Timestamp) {
        let Some(name) = self.names.get(app.0 as usize) else { return };
        let oldest = earlier(now, limits::KEEP_EVIDENCE);
        if !self.apps.contains_key(&app) {
            let mut counts = AppCounts::default();
            // The endpoints of an earlier process, so that their names stay.
            // Without the store they are learned again.
            let lately = earlier(now, limits::EVIDENCE_LEARNED);
            let windows = self.store.windows(name, lately).await.unwrap_or_default();
            windows.iter().for_each(|window| counts.learn(&window.endpoints));
            self.apps.insert(app, AppState { counts, ..AppState::default() });
        }
        let (mut requests, mut dropped) = (paths.iter().peekable(), 0);
        while requests.peek().is_some() {
            let Some(state) = self.apps.get_mut(&app) else { return };
            state.is_dirty = true;
            for (dyno, asked, at) in requests.by_ref().take(limits::EVIDENCE_AT_ONCE) {
                if at < oldest {
                    dropped += 1;
                    continue;
                }
                state.counts.count(dyno, &asked, at.min(now));
            }
            let done = state.counts.take_done();
            self.pass_on(app, done);
            // Other tasks have their turn.
            tokio::task::yield_now().await;
        }
        self.book.dropped.fetch_add(dropped, Ordering::Relaxed);
        if self.rows.len() >= limits::ROWS_PER_WRITE_MAX {
            // The store reports that it is away, and what is not written stays.
            let _away = self.write().await;
        }
    }

    /// Queues windows to be written.
    fn pass_on(&mut self, app: AppId, done: Vec<WindowCounts>) {
        let (Some(name), Some(state)) = (self.names.get(app.0 as usize), self.apps.get_mut(&app)) else {
            return;
        };
        for counts in done {
            let part = match state.open.take_if(|(window, _)| *window == counts.window) {
                Some((_, part)) => part,
                None => next(&mut self.parts),
            };
            let (window, packed) = (counts.window, pack::pack(&counts));
            self.rows.push_back(WindowRow { app: name.clone(), window, part, packed });
        }
        while self.rows.len() > limits::EVIDENCE_ROWS_WAITING_MAX {
            self.rows.pop_front();
            self.book.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Queues the present window of an app, so far, and what came late for others.
    fn snapshot(&mut self, app: AppId) {
        let Some(state) = self.apps.get_mut(&app).filter(|state| state.is_dirty) else { return };
        state.is_dirty = false;
        state.counts.close_late();
        let late = state.counts.take_done();
        let present = state.counts.present();
        self.pass_on(app, late);
        let (Some(name), Some(state), Some(present)) =
            (self.names.get(app.0 as usize), self.apps.get_mut(&app), present)
        else {
            return;
        };
        let part = match state.open {
            Some((window, part)) if window == present.window => part,
            _ => next(&mut self.parts),
        };
        state.open = Some((present.window, part));
        let packed = pack::pack(&present);
        self.rows.push_back(WindowRow { app: name.clone(), window: present.window, part, packed });
    }

    async fn write_present(&mut self, now: Timestamp) {
        let apps: Vec<AppId> = self.apps.keys().copied().collect();
        for app in apps {
            self.snapshot(app);
        }
        let oldest = earlier(now, limits::KEEP_EVIDENCE);
        self.rows.retain(|row| row.window >= dynowarden_core::days::evidence::counts::window_of(oldest));
        let of_apps: u64 = self.apps.values().map(|state| state.counts.dropped()).sum();
        let dropped = self.book.dropped().saturating_add(of_apps);
        if dropped > self.reported {
            warn!(requests = dropped - self.reported, "requests not counted by endpoint");
            self.reported = dropped;
        }
        // The store reports that it is away, and what is not written stays.
        let _away = self.write().await;
    }

    /// Writes what waits.
    async fn write(&mut self) -> Result<(), StoreAway> {
        while !self.rows.is_empty() {
            let count = self.rows.len().min(limits::ROWS_PER_WRITE_MAX);
            let rows: Vec<WindowRow> = self.rows.drain(..count).collect();
            if let Err(away) = self.store.save_windows(&rows).await {
                for row in rows.into_iter().rev() {
                    self.rows.push_front(row);
                }
                return Err(away);
            }
        }
        Ok(())
    }

    /// Writes everything.
    async fn end(&mut self) {
        let apps: Vec<AppId> = self.apps.keys().copied().collect();
        for app in apps {
            self.snapshot(app);
        }
        // The store reports that it is away.
        let _away = self.write().await;
    }
}

fn next(parts: &mut i64) -> i64 {
    *parts += 1;
    *parts
}
