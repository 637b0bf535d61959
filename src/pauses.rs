//! Pauses and their ends on their way into the store.
//!
//! Each is written after the one before it, so that the last word of a person is also the last in the
//! record, and whoever asked is answered once it is there. What other replicas were told is read from the
//! same record, and is believed only where nothing was said here meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::store::Store;
use dynowarden_core::engine::restore::RestoredPause;
use dynowarden_core::ident::AppId;

/// Writes pauses and their ends down, in the order in which they were asked for.
#[derive(Debug)]
pub(super) struct PauseKeeper {
    /// The last write, which waits for those before it.
    last: Option<JoinHandle<()>>,
    /// How many have been asked for.
    said: Arc<AtomicU64>,
    store: Store,
}

/// A reading of the pauses in the store, begun when nothing was on its way there.
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

    /// Writes a pause down and then answers `kept`.
    pub(crate) fn keep(
        &mut self,
        app: Option<AppId>,
        until: Timestamp,
        reason: Arc<str>,
        kept: oneshot::Sender<()>,
    ) {
        let store = self.store.clone();
        let write = async move {
            if let Err(error) = store.set_pause(app, until, &reason).await {
                warn!(%error, "pause not saved: active on this replica only, and lost on restart");
            }
        };
        self.after_the_last(write, kept);
    }

    /// Writes down that a pause has ended and then answers `kept`.
    pub(crate) fn end(&mut self, app: Option<AppId>, kept: oneshot::Sender<()>) {
        let store = self.store.clone();
        let write = async move {
            if let Err(error) = store.clear_pause(app).await {
                warn!(%error, "this pause has ended here, and not for other replicas or after a restart");
            }
        };
        self.after_the_last(write, kept);
    }

    /// Waits until all that was asked for has been written, or has failed to be.
    pub(crate) async fn kept(&mut self) {
        if let Some(last) = self.last.take() {
            // A write that broke has nothing more to wait for.
            let _broken = last.await;
        }
    }

    /// A reading, unless something is on its way into the store that it may or may not show.
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
    /// The pauses in the store; none where something was said here since this reading began.
    pub(crate) async fn read(self, now: Timestamp) -> Option<Vec<RestoredPause>> {
        let pauses = self.store.pauses(now).await.ok()?;
        (self.said.load(Ordering::Relaxed) == self.said_before).then_some(pauses)
    }
}
