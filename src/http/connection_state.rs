//! The phase of a connection, and its deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use dynowarden_core::limits;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Where a connection is between two requests, and since when; shared with whoever may have to close it.
#[derive(Debug)]
pub struct ConnectionState {
    began: Instant,
    /// Milliseconds since `began` at which the connection's task was last woken: a request passes through
    /// its phases within one such moment, and a look at the clock for each would be dearer than they are.
    woken: AtomicU64,
    /// The phase in the two low bits, milliseconds since `began` above them.
    phase: AtomicU64,
    /// Milliseconds since `began`, plus one, from when the client has taken nothing; 0 when it does.
    stalled: AtomicU64,
    pub(super) evicted: CancellationToken,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// New, or in the middle of a head.
    Head,
    /// Answered, and waiting for the next request.
    Idle,
    /// Between a head and the last byte of its answer.
    Busy,
    /// The same, with an answer that is held back.
    Delayed,
}

/// While it lives, a request is being answered.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) pulse: Arc<ConnectionState>,
}

impl ConnectionState {
    /// Of a new connection.
    #[expect(clippy::new_without_default, reason = "it begins now, which is no default")]
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            woken: AtomicU64::new(0),
            phase: AtomicU64::new(Phase::Head as u64),
            stalled: AtomicU64::new(0),
            evicted: CancellationToken::new(),
        }
    }

    /// Asks the connection's task to close it at once.
    pub(super) fn evict(&self) {
        self.evicted.cancel();
    }

    /// Ready once it was asked to.
    pub(super) fn evicted(&self) -> impl Future<Output = ()> {
        self.evicted.cancelled()
    }

    /// A handshake is over, and the time of the first head begins.
    pub(super) fn begin_head(&self) {
        self.look_at_clock();
        self.enter(Phase::Head);
    }

    pub(super) fn look_at_clock(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX >> 2);
        self.woken.store(millis, Ordering::Relaxed);
    }

    pub(super) fn enter(&self, phase: Phase) {
        let millis = self.woken.load(Ordering::Relaxed);
        self.phase.store(millis << 2 | phase as u64, Ordering::Relaxed);
    }

    /// The phase, and since when it has lasted.
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
            // The handlers bound their own work; what is left is a peer that does not read.
            Phase::Busy | Phase::Delayed => since + FAR_AWAY,
        };
        match self.stalled.load(Ordering::Relaxed).checked_sub(1) {
            Some(millis) => due.min(self.began + Duration::from_millis(millis) + limits::WRITE_STALL),
            None => due,
        }
    }

    pub(super) fn wrote<T>(&self, progress: &Poll<T>) {
        if progress.is_ready() {
            self.stalled.store(0, Ordering::Relaxed);
        } else if self.stalled.load(Ordering::Relaxed) == 0 {
            self.stalled.store(self.woken.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }
}

/// Ten years: a stream of events may stay open for as long as both sides live.
const FAR_AWAY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.pulse.enter(Phase::Idle);
    }
}
