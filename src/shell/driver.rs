//! The one task that owns the engine, and the handle by which all others reach it.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::engine::record::Decision;
use crate::event::Event;
use crate::ident::{AppId, DynoName};

/// What other tasks may ask of the driver.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
}

/// The queue to the engine is full; the sender should ask its peer to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue to the engine is full")]
pub struct QueueFull;

/// The driver has ended, as it does at shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("dynowarden is shutting down")]
pub struct Stopped;

#[derive(Debug)]
pub(crate) enum Command {
    Events { app: AppId, events: Vec<Event> },
    Order { app: AppId, dyno: Option<DynoName>, answer: oneshot::Sender<Vec<Decision>> },
    Pause { app: Option<AppId>, until: Timestamp, reason: Arc<str> },
    Resume { app: Option<AppId> },
}

impl Handle {
    pub(crate) fn new(commands: mpsc::Sender<Command>) -> Self {
        Self { commands }
    }

    /// Hands the events of a batch to the engine, without waiting.
    ///
    /// # Errors
    /// The queue is full, or the driver is gone: nothing was taken.
    pub fn report(&self, app: AppId, events: Vec<Event>) -> Result<(), QueueFull> {
        self.commands.try_send(Command::Events { app, events }).map_err(|_| QueueFull)
    }

    /// Asks for a restart by hand: of one dyno, or of every running one of the listed process types.
    /// Answers once each of them has been judged.
    ///
    /// # Errors
    /// The driver is gone.
    pub async fn order(&self, app: AppId, dyno: Option<DynoName>) -> Result<Vec<Decision>, Stopped> {
        let (answer, decisions) = oneshot::channel();
        self.commands.send(Command::Order { app, dyno, answer }).await.map_err(|_| Stopped)?;
        decisions.await.map_err(|_| Stopped)
    }

    /// Stops restarts of one app, or of all, until a time.
    ///
    /// # Errors
    /// The driver is gone.
    pub async fn pause(&self, app: Option<AppId>, until: Timestamp, reason: Arc<str>) -> Result<(), Stopped> {
        self.commands.send(Command::Pause { app, until, reason }).await.map_err(|_| Stopped)
    }

    /// Allows restarts again.
    ///
    /// # Errors
    /// The driver is gone.
    pub async fn resume(&self, app: Option<AppId>) -> Result<(), Stopped> {
        self.commands.send(Command::Resume { app }).await.map_err(|_| Stopped)
    }
}
