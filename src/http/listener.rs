//! Accepting connections, and evicting some at the limit.

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
use crate::http::refusal::Refusal;
use crate::http::tls::Tls;
use dynowarden_core::limits;

/// Serves connections until `shutdown`. Then it accepts no more, closes idle ones, answers requests in flight
/// and returns, within little more than [`limits::HTTP_GRACE`].
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    service: Arc<Service>,
    shutdown: CancellationToken,
) {
    let connections = Arc::new(Connections::new(service.connections_max));
    let tasks = TaskTracker::new();
    let mut backoff = limits::ACCEPT_BACKOFF.0;
    let mut logged_at: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if logged_at.is_none_or(|at| at.elapsed() > LOG_INTERVAL) {
                    logged_at = Some(Instant::now());
                    warn!(%error, open = connections.open(), "accept failed");
                }
                // File descriptors have most likely run out, so some connections are evicted.
                service.metrics.refused(Refusal::NoRoom);
                for _ in 0..=connections.open() / EVICTED_FRACTION {
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
        let Some(slot) = connections.open_slot() else {
            service.metrics.refused(Refusal::NoRoom);
            continue;
        };
        // A response is one small write, with nothing to wait for. If this fails, the socket is broken, and
        // the first read will fail.
        let _ = stream.set_nodelay(true);
        service.metrics.connections(connections.open());
        let (service, connections, shutdown) = (service.clone(), connections.clone(), shutdown.clone());
        let tls = tls.clone();
        tasks.spawn(async move {
            let (for_connection, state, peer) = (service.clone(), slot.state.clone(), peer.ip());
            match tls {
                None => connection::serve((stream, peer), for_connection, state, shutdown).await,
                Some(tls) => {
                    let accepted = tls.handshake(stream, &state, &service.metrics, &shutdown).await;
                    if let Some(stream) = accepted {
                        connection::serve((stream, peer), for_connection, state, shutdown).await;
                    }
                }
            }
            drop(slot);
            service.metrics.connections(connections.open());
        });
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// Descriptors can be short for hours; the metric counts every failure.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// One connection in 16 is evicted when descriptors are short, so that the next ones have room.
const EVICTED_FRACTION: usize = 16;

#[derive(Debug)]
struct Connections {
    open: Mutex<HashMap<u64, Arc<ConnectionState>>>,
    next: AtomicU64,
    max: usize,
}

/// The place of an open connection; dropping it frees the place.
#[derive(Debug)]
struct ConnectionSlot {
    connections: Arc<Connections>,
    number: u64,
    state: Arc<ConnectionState>,
}

impl Connections {
    fn new(max: usize) -> Self {
        Self { open: Mutex::default(), next: AtomicU64::new(0), max: max.max(1) }
    }

    /// A slot for a new connection, which closes another one if all slots are taken; `None` if every
    /// connection is busy.
    fn open_slot(self: &Arc<Self>) -> Option<ConnectionSlot> {
        if self.open() >= self.max && !self.evict_one() {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(ConnectionState::new());
        self.lock().insert(number, state.clone());
        Some(ConnectionSlot { connections: self.clone(), number, state })
    }

    /// Closes the least valuable connection (see `eviction_rank`), which frees its slot at once.
    fn evict_one(&self) -> bool {
        let now = Instant::now();
        let mut open = self.lock();
        let least = open
            .iter()
            .filter_map(|(number, state)| {
                let (phase, since) = state.phase();
                // Of two equal ones the older is evicted.
                Some((eviction_rank(phase, since, now)?, *number))
            })
            .min();
        let Some(state) = least.and_then(|(_, number)| open.remove(&number)) else { return false };
        state.evicted.cancel();
        true
    }

    fn open(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<ConnectionState>>> {
        // Every statement leaves the map consistent, so a poisoned lock is safe to use.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The order of eviction, lowest first; `None` with a request in flight.
///
/// A slow head and many wrong passwords indicate an attack or a broken client. An idle client opens another
/// connection when it needs one. New connections are evicted last.
fn eviction_rank(phase: Phase, since: Instant, now: Instant) -> Option<(u8, Instant)> {
    let class = match phase {
        Phase::Delayed => 0,
        Phase::Head if now.saturating_duration_since(since) > HEAD_EXPECTED => 0,
        Phase::Idle => 1,
        Phase::Head => 2,
        Phase::Busy => return None,
    };
    Some((class, since))
}

/// A head fits one packet; a second is enough for its retransmission.
const HEAD_EXPECTED: Duration = Duration::from_secs(1);

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

    use super::{Connections, eviction_rank};
    use crate::http::connection_state::Phase;

    #[test]
    fn slow_heads_are_evicted_first_and_busy_connections_never() {
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
        let ranks: Vec<_> =
            in_order.iter().map(|(phase, since)| eviction_rank(*phase, *since, now)).collect();
        assert!(ranks.is_sorted() && ranks.iter().all(Option::is_some), "{ranks:?}");
        assert_eq!(eviction_rank(Phase::Busy, long, now), None);
    }

    #[test]
    fn a_new_connection_evicts_the_longest_waiting() {
        let connections = Arc::new(Connections::new(2));
        let first = connections.open_slot().expect("a slot");
        let second = connections.open_slot().expect("a slot");
        let third = connections.open_slot().expect("a slot");
        assert_eq!(connections.open(), 2);
        drop(first);
        assert_eq!(connections.open(), 2, "an evicted connection has already freed its slot");
        drop((second, third));
        assert_eq!(connections.open(), 0);
    }
}
