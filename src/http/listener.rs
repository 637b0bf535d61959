//! Accepting connections: how many at once, and who goes when they are too many.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::http::Service;
use crate::http::connection;
use crate::http::connection_state::{ConnectionState, Phase};
use crate::http::tls::Tls;
use crate::metrics::Refusal;
use dynowarden_core::limits;

/// Serves every connection that comes until `shutdown`; then accepts no more, closes idle ones, answers
/// what is in flight and returns, within [`limits::HTTP_GRACE`] and a moment.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    service: Arc<Service>,
    shutdown: CancellationToken,
) {
    let connections = Arc::new(Connections::new(service.connections_max));
    let tasks = TaskTracker::new();
    let mut backoff = limits::ACCEPT_BACKOFF.0;
    let mut told_at: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if told_at.is_none_or(|at| at.elapsed() > TOLD_EVERY) {
                    told_at = Some(Instant::now());
                    warn!(%error, open = connections.open(), "a connection cannot be accepted");
                }
                // Most likely out of file descriptors, so some connections are closed.
                service.metrics.refused(Refusal::NoRoom);
                for _ in 0..=connections.open() / EVICTED_SHARE {
                    connections.evict_one();
                }
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = tokio::time::sleep(backoff) => {}
                }
                backoff = (backoff * 2).min(limits::ACCEPT_BACKOFF.1);
                continue;
            }
        };
        backoff = limits::ACCEPT_BACKOFF.0;
        let Some(seat) = connections.seat() else {
            service.metrics.refused(Refusal::NoRoom);
            continue;
        };
        // An answer is one small write; there is nothing to wait for. A socket that refuses is broken,
        // and the first read will say so.
        let _ = stream.set_nodelay(true);
        service.metrics.connections(connections.open());
        let (service, connections, shutdown) = (service.clone(), connections.clone(), shutdown.clone());
        let tls = tls.clone();
        tasks.spawn(async move {
            let (service_here, pulse, peer) = (service.clone(), seat.pulse.clone(), peer.ip());
            match tls {
                None => connection::serve((stream, peer), service_here, pulse, shutdown).await,
                Some(tls) => {
                    let shaken = tls.shake_hands(stream, &pulse, &service.metrics, &shutdown).await;
                    if let Some(stream) = shaken {
                        connection::serve((stream, peer), service_here, pulse, shutdown).await;
                    }
                }
            }
            drop(seat);
            service.metrics.connections(connections.open());
        });
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// Descriptors can be short for hours; the figure counts on.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// One connection in so many goes when descriptors are short, so that the next ones find room at once.
const EVICTED_SHARE: usize = 16;

/// The open connections.
#[derive(Debug)]
struct Connections {
    open: Mutex<HashMap<u64, Arc<ConnectionState>>>,
    next: AtomicU64,
    max: usize,
}

/// A connection's place among them.
#[derive(Debug)]
struct ConnectionSlot {
    connections: Arc<Connections>,
    number: u64,
    pulse: Arc<ConnectionState>,
}

impl Connections {
    fn new(max: usize) -> Self {
        Self { open: Mutex::default(), next: AtomicU64::new(0), max: max.max(1) }
    }

    /// A slot for a new connection, which closes another one if all slots are taken; `None` if every
    /// connection is busy.
    fn seat(self: &Arc<Self>) -> Option<ConnectionSlot> {
        if self.open() >= self.max && !self.evict_one() {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let pulse = Arc::new(ConnectionState::new());
        self.lock().insert(number, pulse.clone());
        Some(ConnectionSlot { connections: self.clone(), number, pulse })
    }

    /// Closes the least valuable connection (see `worth`), which frees its slot at once.
    fn evict_one(&self) -> bool {
        let now = Instant::now();
        let mut open = self.lock();
        let least = open
            .iter()
            .filter_map(|(number, pulse)| {
                let (phase, since) = pulse.phase();
                // Of two that are equal the older one goes.
                Some((worth(phase, since, now)?, *number))
            })
            .min();
        let Some(pulse) = least.and_then(|(_, number)| open.remove(&number)) else { return false };
        pulse.evict();
        true
    }

    fn open(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<ConnectionState>>> {
        // The map is whole after every statement that changes it, so a panic elsewhere spoils nothing.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What closing a connection would cost, least first; none for one with a request in flight.
///
/// A head that takes longer than a moment is an attack or a broken peer, and so is who has shown many wrong
/// passwords. An idle peer opens another connection when it needs one. A new connection gets its moment,
/// unless all are new.
fn worth(phase: Phase, since: Instant, now: Instant) -> Option<(u8, Instant)> {
    let class = match phase {
        Phase::Delayed => 0,
        Phase::Head if now.saturating_duration_since(since) > A_MOMENT => 0,
        Phase::Idle => 1,
        Phase::Head => 2,
        Phase::Busy => return None,
    };
    Some((class, since))
}

/// A head of a few hundred bytes comes in one packet; a second covers a lost one.
const A_MOMENT: Duration = Duration::from_secs(1);

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Connections, worth};
    use crate::http::connection_state::Phase;

    #[test]
    fn slow_heads_go_first_then_idle_ones_then_new_ones_and_busy_ones_stay() {
        let now = Instant::now() + Duration::from_secs(60);
        let (short, long) = (now - Duration::from_millis(10), now - Duration::from_secs(20));
        let in_order = [
            (Phase::Head, long),
            (Phase::Head, now - Duration::from_secs(2)),
            (Phase::Delayed, short),
            (Phase::Idle, long),
            (Phase::Idle, short),
            (Phase::Head, short),
        ];
        let worths: Vec<_> = in_order.iter().map(|(phase, since)| worth(*phase, *since, now)).collect();
        assert!(worths.is_sorted() && worths.iter().all(Option::is_some), "{worths:?}");
        assert_eq!(worth(Phase::Busy, long, now), None);
    }

    #[test]
    fn a_newcomer_takes_the_place_of_the_longest_waiting() {
        let connections = Arc::new(Connections::new(2));
        let first = connections.seat().expect("a seat");
        let second = connections.seat().expect("a seat");
        let third = connections.seat().expect("a seat");
        assert_eq!(connections.open(), 2);
        drop(first);
        assert_eq!(connections.open(), 2, "the evicted one has no place to give back");
        drop((second, third));
        assert_eq!(connections.open(), 0);
    }
}
