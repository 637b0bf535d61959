//! The phase of a connection, and its deadline.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use crate::http::remembered::Remembered;
use dynowarden_core::limits;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The phase of a connection and its start; shared with the listener, which may evict the connection.
#[derive(Debug)]
pub struct ConnectionState {
    began: Instant,
    /// Milliseconds from `began` to the last wake-up of the connection's task. A request passes through its
    /// phases within one wake-up, and reading the clock for each would cost more than they do.
    woken: AtomicU64,
    /// The phase in the two low bits, milliseconds since `began` above them.
    phase: AtomicU64,
    /// Milliseconds from `began`, plus one, to when the client stopped reading; 0 while it reads.
    stalled: AtomicU64,
    /// The same, to the last part of the body that is being read; 0 while there is none.
    body_moved: AtomicU64,
    /// Whether the client has shown a password.
    is_known: AtomicBool,
    /// Its number among all connections; 0 if it has no place among them.
    number: u64,
    /// The owner that its place is counted for; see [`Places::own`](crate::http::places::Places::own).
    owner: AtomicU64,
    remembered: Mutex<Option<Remembered>>,
    /// Closes the connection at once.
    pub(super) evicted: CancellationToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// New, or in the middle of a head.
    Head,
    /// Waiting for the next request.
    Idle,
    /// Between a head and the last byte of its response.
    Busy,
    /// The same, with a delayed response.
    Delayed,
}

/// A request in flight; its end makes the connection idle.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) state: Arc<ConnectionState>,
}

impl ConnectionState {
    #[expect(clippy::new_without_default, reason = "it depends on the current time")]
    pub fn new() -> Self {
        Self::numbered(0)
    }

    pub(super) fn numbered(number: u64) -> Self {
        Self {
            began: Instant::now(),
            woken: AtomicU64::new(0),
            phase: AtomicU64::new(Phase::Head as u64),
            stalled: AtomicU64::new(0),
            body_moved: AtomicU64::new(0),
            is_known: AtomicBool::new(false),
            number,
            owner: AtomicU64::new(0),
            remembered: Mutex::default(),
            evicted: CancellationToken::new(),
        }
    }

    pub(super) fn read_clock(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX >> 2);
        self.woken.store(millis, Ordering::Relaxed);
    }

    pub(super) fn enter(&self, phase: Phase) {
        let millis = self.woken.load(Ordering::Relaxed);
        self.phase.store(millis << 2 | phase as u64, Ordering::Relaxed);
    }

    /// Returns the phase and its start.
    pub fn phase(&self) -> (Phase, Instant) {
        let packed = self.phase.load(Ordering::Relaxed);
        let phase = match packed & 3 {
            0 => Phase::Head,
            1 => Phase::Idle,
            2 => Phase::Busy,
            _ => Phase::Delayed,
        };
        (phase, self.began + Duration::from_millis(packed >> 2))
    }

    pub(super) fn deadline(&self) -> Instant {
        let (phase, since) = self.phase();
        let due = match phase {
            Phase::Head => since + limits::HEAD_READ,
            Phase::Idle => since + limits::KEEP_ALIVE_IDLE,
            // The handlers limit their own work; `stalled` covers a client that does not read.
            Phase::Busy | Phase::Delayed => since + FAR_AWAY,
        };
        match self.stalled.load(Ordering::Relaxed).checked_sub(1) {
            Some(millis) => due.min(self.began + Duration::from_millis(millis) + limits::WRITE_STALL),
            None => due,
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn owner(&self) -> &AtomicU64 {
        &self.owner
    }

    /// What its last batch has shown. Only its own task asks.
    pub(super) fn remembered(&self) -> MutexGuard<'_, Option<Remembered>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    pub(super) fn know(&self) {
        self.is_known.store(true, Ordering::Relaxed);
    }

    /// Whether the client does not read what was written to it.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed) > 0
    }

    /// Notes that a part of a body has arrived.
    pub(super) fn body_moves(&self) {
        self.body_moved.store(self.woken.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(super) fn body_ended(&self) {
        self.body_moved.store(0, Ordering::Relaxed);
    }

    /// When the last part of the body that is being read arrived; none if none is being read.
    pub(super) fn body_moved_at(&self) -> Option<Instant> {
        let millis = self.body_moved.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.began + Duration::from_millis(millis))
    }

    pub(super) fn wrote<T>(&self, progress: &Poll<T>) {
        if progress.is_ready() {
            self.stalled.store(0, Ordering::Relaxed);
        } else if self.stalled.load(Ordering::Relaxed) == 0 {
            self.stalled.store(self.woken.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }
}

/// Ten years: an event stream may stay open indefinitely.
const FAR_AWAY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.state.enter(Phase::Idle);
    }
}
