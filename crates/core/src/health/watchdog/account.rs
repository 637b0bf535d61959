//! The account: whether the API answers, and accepts the token.

use jiff::Timestamp;

use crate::api::ApiError;
use crate::health::alert::HealthAlert;
use crate::health::judgement::{self, ClockError};
use crate::health::watchdog::schedule::PeriodicCheck;
use crate::limits;
use crate::time::Now;

#[derive(Debug)]
pub(super) struct Account {
    is_away_told: bool,
    is_clock_told: bool,
    pub(super) probe: PeriodicCheck,
    pub(super) token_accepted: Option<bool>,
}

impl Account {
    pub(super) fn new(now: Now) -> Self {
        Self {
            is_away_told: false,
            is_clock_told: false,
            probe: PeriodicCheck::at(now.mono),
            token_accepted: None,
        }
    }

    /// Whether people were told that the API is away.
    pub(super) fn is_away(&self) -> bool {
        self.is_away_told
    }

    /// Somebody was told that the token is not accepted: that is worth a probe.
    pub(super) fn lose_answer(&mut self, now: Now) {
        if self.token_accepted != Some(false) {
            self.probe.hasten(now.mono);
        }
    }

    /// Takes what the API's clock says. Where ours is ahead of it, every error looks old; where ours is
    /// behind, the engine tells that with the next line.
    pub(super) fn clock_read(&mut self, date: Timestamp, now: Now) -> Option<HealthAlert> {
        let lead = match judgement::clock_error(now.wall, date) {
            Some(ClockError::Ahead(lead)) => Some(lead),
            Some(ClockError::Behind(_)) | None => None,
        };
        let is_news = std::mem::replace(&mut self.is_clock_told, lead.is_some()) != lead.is_some();
        is_news.then_some(lead.map_or(HealthAlert::ClockRight, |lead| HealthAlert::ClockAhead { lead }))
    }

    pub(super) fn probed(&mut self, answer: Result<u32, ApiError>, now: Now) -> Option<HealthAlert> {
        match answer {
            Ok(_) => {
                self.probe.done(now.mono.saturating_add(limits::PROBE_EVERY));
                let was_refused = self.token_accepted.replace(true) == Some(false);
                let was_away = std::mem::take(&mut self.is_away_told);
                match (was_refused, was_away) {
                    (true, _) => Some(HealthAlert::TokenAccepted),
                    (false, true) => Some(HealthAlert::ApiBack),
                    (false, false) => None,
                }
            }
            Err(ApiError::Unauthorized) => {
                self.probe.failed(limits::PROBE_AGAIN, limits::PROBE_EVERY, now.mono);
                let is_news = self.token_accepted.replace(false) != Some(false);
                is_news.then_some(HealthAlert::TokenRefused)
            }
            // The API is there, and short of calls.
            Err(ApiError::Throttled { .. }) => {
                self.probe.done(now.mono.saturating_add(limits::PROBE_AGAIN));
                None
            }
            Err(error) => {
                self.probe.failed(limits::PROBE_AGAIN, limits::PROBE_EVERY, now.mono);
                let is_news = self.probe.failures() >= limits::PROBES_FAILED && !self.is_away_told;
                self.is_away_told |= is_news;
                is_news.then_some(HealthAlert::ApiAway { error })
            }
        }
    }
}
