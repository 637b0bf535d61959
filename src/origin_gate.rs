//! Between the batches and the engine: asks [`origin::OriginGate`] whose batch it is, and carries out what
//! that needs.

use std::sync::Arc;
use std::time::Duration;

use crate::app_ids::AppIds;
use crate::drain_tokens::DrainTokens;
use crate::metrics::Metrics;
use dynowarden_core::engine::Input;
use dynowarden_core::origin::{self, Batch, Judged, Passed};

#[derive(Debug)]
pub(super) struct OriginGate {
    gate: origin::OriginGate,
    pub(super) ids: Arc<AppIds>,
    metrics: Arc<Metrics>,
    pub(super) tokens: Arc<DrainTokens>,
}

impl OriginGate {
    pub(super) fn new(ids: Arc<AppIds>, tokens: Arc<DrainTokens>, metrics: Arc<Metrics>) -> Self {
        Self { gate: origin::OriginGate::default(), ids, metrics, tokens }
    }

    /// Passes a batch that arrived now, or keeps it for later.
    pub(super) fn arrive(&mut self, batch: Batch, now: Duration) -> Vec<Passed> {
        let Self { gate, ids, tokens, .. } = self;
        let judged = tokens.write(|lists| gate.arrive(batch, lists, |app| ids.is_taken(app), now));
        self.follow(judged, now)
    }

    /// Passes the batches whose senders have become known.
    pub(super) fn recheck(&mut self, now: Duration) -> Vec<Passed> {
        let Self { gate, ids, tokens, .. } = self;
        let judged = tokens.write(|lists| gate.recheck(lists, |app| ids.is_taken(app), now));
        self.follow(judged, now)
    }

    /// Passes all batches, because no list will come any more.
    pub(super) fn release(&mut self) -> Vec<Input> {
        let Self { gate, ids, tokens, .. } = self;
        let passed = tokens.write(|lists| gate.release(lists, |app| ids.is_taken(app)));
        passed.into_iter().map(|passed| passed.input).collect()
    }

    fn follow(&self, judged: Judged, now: Duration) -> Vec<Passed> {
        let Judged { passed, wanted, dropped } = judged;
        wanted.into_iter().for_each(|app| self.tokens.want(app));
        (0..dropped).for_each(|_| self.metrics.refused("unknown_drain"));
        for Passed { app, drain, input, is_certain, .. } in &passed {
            if let (Input::ForeignEvents { .. }, Some(drain)) = (input, drain) {
                self.tokens.forget(*app, drain);
            }
            if !is_certain {
                self.ids.note_uncertain(*app, now);
            }
        }
        passed
    }
}
