//! Handles that long-running tasks share: the clock, the engine, the store and the metrics.

use std::sync::Arc;

use crate::clock::Clock;
use crate::days::Days;
use crate::drain_activity::DrainActivities;
use crate::drain_tokens::DrainTokens;
use crate::driver::Handle;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::store::Store;
use crate::traffic::TrafficBook;

#[derive(Clone, Debug)]
pub struct Context {
    pub clock: Clock,
    pub days: Arc<Days>,
    pub drains: Arc<DrainActivities>,
    pub handle: Handle,
    pub metrics: Arc<Metrics>,
    /// Answers `/readyz`.
    pub readiness: Arc<Readiness>,
    pub store: Store,
    pub tokens: Arc<DrainTokens>,
    pub traffic: Arc<TrafficBook>,
}
