//! What long-running tasks have in common: handles to the clock, the engine, the store and the metrics.

use std::sync::Arc;

use crate::clock::Clock;
use crate::drain_tokens::DrainTokens;
use crate::driver::Handle;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::store::Store;
use crate::traffic::TrafficBook;

/// The handles that the HTTP server and the watchdog share.
#[derive(Clone, Debug)]
pub struct Context {
    pub clock: Clock,
    /// The way to the engine.
    pub handle: Handle,
    pub metrics: Arc<Metrics>,
    /// The answer of `/readyz`.
    pub readiness: Arc<Readiness>,
    /// Decisions and claims.
    pub store: Store,
    /// Which drain belongs to which app.
    pub tokens: Arc<DrainTokens>,
    /// Request statistics of each dyno.
    pub traffic: Arc<TrafficBook>,
}
