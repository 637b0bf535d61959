//! Writes pauses and their ends to the store.
//!
//! Each is written after the previous one, so that a person's last word is also the last in the store, and
//! the client is answered once it is there. Pauses of other replicas are read from the same store, and are
//! ignored if a pause was set or ended here in the meantime.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::store::Store;
use dynowarden_core::engine::restore::RestoredPause;
use dynowarden_core::engine::status::PauseStatus;
use dynowarden_core::ident::AppId;

/// Writes pauses and their ends, in the order of the requests.
#[derive(Debug)]
pub(super) struct PauseKeeper {
    /// The last write, which waits for earlier ones.
    last: Option<JoinHandle<()>>,
    said: Arc<AtomicU64>,
    store: Store,
}

/// A read of the stored pauses, begun when no write was pending.
#[derive(Debug)]
pub(super) struct Reading {
    said: Arc<AtomicU64>,
    said_before: u64,
    store: Store,
}

// === impl PauseKeeper ===

impl PauseKeeper {
    pub(crate) fn new(store: Store) -> Self {
        Self { last: None, said: Arc::default(), store }
    }

    /// Writes a pause and then answers `kept`.
    pub(crate) fn keep(&mut self, app: Option<AppId>, pause: PauseStatus, kept: oneshot::Sender<()>) {
        let store = self.store.clone();
        let write = async move {
            if let Err(error) = store.set_pause(app, &pause).await {
                warn!(%error, "pause not saved: active on this replica only, and lost on restart");
            }
        };
        self.after_the_last(write, kept);
    }

    /// Writes the end of a pause and then answers `kept`.
    pub(crate) fn end(&mut self, app: Option<AppId>, kept: oneshot::Sender<()>) {
        let store = self.store.clone();
        let write = async move {
            if let Err(error) = store.clear_pause(app).await {
                warn!(%error, "resume not saved: the pause ended on this replica only, until its restart");
            }
        };
        self.after_the_last(write, kept);
    }

    /// Waits until all requests have been written or have failed.
    pub(crate) async fn kept(&mut self) {
        if let Some(last) = self.last.take() {
            // A failed write needs no more waiting.
            let _broken = last.await;
        }
    }

    /// A reading, unless a write is pending that it may or may not show.
    pub(crate) fn reading(&self) -> Option<Reading> {
        let is_quiet = self.last.as_ref().is_none_or(JoinHandle::is_finished);
        is_quiet.then(|| Reading {
            said: Arc::clone(&self.said),
            said_before: self.said.load(Ordering::Relaxed),
            store: self.store.clone(),
        })
    }

    fn after_the_last(
        &mut self,
        write: impl Future<Output = ()> + Send + 'static,
        kept: oneshot::Sender<()>,
    ) {
        self.said.fetch_add(1, Ordering::Relaxed);
        let last = self.last.take();
        self.last = Some(tokio::spawn(async move {
            if let Some(last) = last {
                let _broken = last.await;
            }
            write.await;
            // The client may have disconnected.
            let _gone = kept.send(());
        }));
    }
}

// === impl Reading ===

impl Reading {
    /// The stored pauses; none if there was a request here since this reading began.
    pub(crate) async fn read(self, now: Timestamp) -> Option<Vec<RestoredPause>> {
        let pauses = self.store.pauses(now).await.ok()?;
        (self.said.load(Ordering::Relaxed) == self.said_before).then_some(pauses)
    }
}
