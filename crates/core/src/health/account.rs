//! The account, for the watchdog: whether the API answers, accepts the token and agrees with our clock.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::ApiError;
use crate::health::alert::HealthAlert;
use crate::health::clock::ClockError;
use crate::health::schedule::PeriodicCheck;
use crate::limits;
use crate::time::Now;

#[derive(Debug)]
pub(super) struct Account {
    /// When the API last answered a probe, on the watchdog's clock.
    answered: Duration,
    /// Whether it was reported that the API is away.
    pub(super) api_away: bool,
    /// Whether it was reported that the clock is ahead.
    clock_ahead: bool,
    pub(super) probe: PeriodicCheck,
    /// None before the first probe.
    pub(super) token_accepted: Option<bool>,
}

impl Account {
    pub(super) fn new(now: Now) -> Self {
        Self {
            answered: now.mono,
            api_away: false,
            clock_ahead: false,
            probe: PeriodicCheck::at(now.mono),
            token_accepted: None,
        }
    }

    /// Another call got a 401, so a probe is due at once.
    pub(super) fn unauthorized(&mut self, now: Now) {
        if self.token_accepted != Some(false) {
            self.probe.hasten(now.mono);
        }
    }

    /// Ignores a clock that is behind: the engine reports that at the next line.
    pub(super) fn clock_read(&mut self, date: Timestamp, now: Now) -> Option<HealthAlert> {
        let alert = match ClockError::between(now.wall, date) {
            Some(ClockError::Ahead(lead)) => HealthAlert::ClockAhead { lead },
            Some(ClockError::Behind(_)) | None => HealthAlert::ClockRecovered,
        };
        let is_ahead = !alert.is_recovery();
        (std::mem::replace(&mut self.clock_ahead, is_ahead) != is_ahead).then_some(alert)
    }

    pub(super) fn probed(&mut self, answer: Result<u32, ApiError>, now: Now) -> Option<HealthAlert> {
        let error = match answer {
            Ok(_) => {
                self.answered = now.mono;
                self.probe.done(now.mono.saturating_add(limits::PROBE_EVERY));
                let was_refused = self.token_accepted.replace(true) == Some(false);
                let was_away = std::mem::take(&mut self.api_away);
                let recovered =
                    if was_refused { HealthAlert::TokenRecovered } else { HealthAlert::ApiRecovered };
                return (was_refused || was_away).then_some(recovered);
            }
            // The API answers, but the account has no calls left.
            Err(ApiError::Throttled { .. }) => {
                self.answered = now.mono;
                self.probe.done(now.mono.saturating_add(limits::PROBE_AGAIN));
                return None;
            }
            Err(error) => error,
        };
        self.probe.failed(limits::PROBE_AGAIN, limits::PROBE_EVERY, now.mono);
        if error == ApiError::Unauthorized {
            let is_news = self.token_accepted.replace(false) != Some(false);
            return is_news.then_some(HealthAlert::TokenRefused);
        }
        let needed = match now.mono.saturating_sub(self.answered) >= limits::API_AWAY_AFTER {
            true => limits::PROBES_FAILED - 1,
            false => limits::PROBES_FAILED,
        };
        let is_news = self.probe.failures() >= needed && !self.api_away;
        self.api_away |= is_news;
        is_news.then_some(HealthAlert::ApiAway { error })
    }
}
