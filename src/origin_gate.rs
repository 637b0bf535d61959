//! Between the batches and the engine: tells another app's batches from the app's own.
//!
//! A batch of a known drain passes at once. One of an unknown drain waits here until a list of the app's
//! drains, asked for after the batch came, says whose it is. It counts if no list can be fetched.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::app_ids::AppIds;
use crate::drain_tokens::{DrainTokens, Standing};
use crate::metrics::Metrics;
use dynowarden_core::engine::Input;
use dynowarden_core::engine::foreign::Foreign;
use dynowarden_core::event::Event;
use dynowarden_core::health::alert::HealthAlert;
use dynowarden_core::ident::{AppId, DrainToken};
use dynowarden_core::limits;

/// The events of one batch and its sender.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) app: AppId,
    /// `Logplex-Drain-Token`, where there is one.
    pub(super) drain: Option<DrainToken>,
    pub(super) events: Vec<Event>,
}

#[derive(Debug)]
pub(super) struct OriginGate {
    pub(super) ids: Arc<AppIds>,
    metrics: Arc<Metrics>,
    pub(super) tokens: Arc<DrainTokens>,
    waiting: VecDeque<Waiting>,
    /// Events in `waiting`.
    waiting_events: usize,
}

#[derive(Debug)]
struct Waiting {
    arrived: Duration,
    batch: Batch,
}

/// A batch whose sender is known.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) input: Input,
    /// A drain of another app that was not known before.
    pub(super) alert: Option<HealthAlert>,
}

impl OriginGate {
    pub(super) fn new(ids: Arc<AppIds>, tokens: Arc<DrainTokens>, metrics: Arc<Metrics>) -> Self {
        Self { ids, metrics, tokens, waiting: VecDeque::new(), waiting_events: 0 }
    }

    /// Passes a batch that arrived now, or keeps it for later.
    pub(super) fn arrive(&mut self, batch: Batch, now: Duration) -> Vec<Passed> {
        match self.judge(batch, now, now) {
            Ok(passed) => vec![passed],
            Err(batch) => {
                self.tokens.want(batch.app);
                self.waiting_events += batch.events.len();
                self.waiting.push_back(Waiting { arrived: now, batch });
                while self.waiting_events > limits::UNKNOWN_EVENTS_MAX
                    && let Some(oldest) = self.waiting.pop_front()
                {
                    self.waiting_events -= oldest.batch.events.len();
                    self.metrics.refused("unknown_drain");
                }
                Vec::new()
            }
        }
    }

    /// Passes the batches whose senders have become known.
    pub(super) fn recheck(&mut self, now: Duration) -> Vec<Passed> {
        let mut passed = Vec::new();
        for Waiting { arrived, batch } in std::mem::take(&mut self.waiting) {
            let count = batch.events.len();
            match self.judge(batch, arrived, now) {
                Ok(one) => {
                    self.waiting_events -= count;
                    passed.push(one);
                }
                Err(batch) => {
                    self.tokens.want(batch.app);
                    self.waiting.push_back(Waiting { arrived, batch });
                }
            }
        }
        passed
    }

    /// Passes all batches, because no list will come any more.
    pub(super) fn release(&mut self) -> Vec<Input> {
        self.waiting_events = 0;
        let counted = |Waiting { batch: Batch { app, events, .. }, .. }| Input::Events { app, events };
        std::mem::take(&mut self.waiting).into_iter().map(counted).collect()
    }

    fn judge(&self, batch: Batch, arrived: Duration, now: Duration) -> Result<Passed, Batch> {
        let standing = self.tokens.standing(batch.app, batch.drain.as_ref(), arrived, now);
        let Batch { app, drain, events } = batch;
        let is_taken = self.ids.is_taken(app);
        Ok(match (standing, drain) {
            (Standing::Unknown, drain) => return Err(Batch { app, drain, events }),
            (Standing::Foreign, Some(token)) if !is_taken => {
                let owner = self.tokens.app(&token).map(|owner| self.ids.name(owner).clone());
                let is_news = self.tokens.note_foreign(app, &token, now);
                let alert = is_news.then(|| HealthAlert::ForeignDrain { drain: token.clone(), owner });
                Passed {
                    input: Input::ForeignEvents { app, events, origin: Foreign::Drain { token } },
                    alert,
                }
            }
            (Standing::Foreign, _) | (Standing::Counts { is_known: false }, _) if is_taken => {
                Passed { input: Input::ForeignEvents { app, events, origin: Foreign::OtherApp }, alert: None }
            }
            (standing, _) => {
                if standing == (Standing::Counts { is_known: false }) {
                    self.ids.note_uncertain(app, now);
                }
                Passed { input: Input::Events { app, events }, alert: None }
            }
        })
    }
}
