//! Accepting connections, and evicting some at the limit.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::http::Service;
use crate::http::connection;
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
    let places = service.places.clone();
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
                    warn!(%error, open = places.count(), "accept failed");
                }
                // File descriptors have most likely run out, so some connections are evicted.
                service.metrics.refused(Refusal::NoRoom);
                for _ in 0..=places.count() / EVICTED_FRACTION {
                    places.evict_one();
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
        let Some(place) = places.open(service.proxies.direct_client(peer.ip())) else {
            service.metrics.refused(Refusal::NoRoom);
            continue;
        };
        // A response is one small write, with nothing to wait for. If this fails, the socket is broken, and
        // the first read will fail.
        let _ = stream.set_nodelay(true);
        service.metrics.connections(places.count());
        let (service, places, shutdown) = (service.clone(), places.clone(), shutdown.clone());
        let tls = tls.clone();
        tasks.spawn(async move {
            let (for_connection, state, peer) = (service.clone(), place.state.clone(), peer.ip());
            match tls {
                None => connection::serve((stream, peer), for_connection, state, shutdown).await,
                Some(tls) => {
                    let accepted = tls.handshake(stream, &state, &service.metrics, &shutdown).await;
                    if let Some(stream) = accepted {
                        connection::serve((stream, peer), for_connection, state, shutdown).await;
                    }
                }
            }
            drop(place);
            service.metrics.connections(places.count());
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
