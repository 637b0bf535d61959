//! This machine's clock, compared with Heroku's.
//!
//! Errors are judged by the time in their lines, so nothing is restarted while the clock is wrong.

use std::time::Duration;

use jiff::Timestamp;

use crate::health::facts::Clocks;
use crate::health::finding::{Finding, Subject};
use crate::limits;
use crate::time::{since, spoken};

/// A difference from Heroku's clock of more than [`limits::CLOCK_LEAD_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockError {
    Ahead(Duration),
    Behind(Duration),
}

/// Whether two readings of the same moment agree.
pub fn agree(here: Timestamp, there: Timestamp) -> bool {
    ClockError::between(here, there).is_none()
}

impl ClockError {
    /// Compares two readings of the same moment. The API's has whole seconds.
    pub(super) fn between(here: Timestamp, there: Timestamp) -> Option<Self> {
        let (ahead, behind) = (since(there, here), since(here, there));
        if ahead > limits::CLOCK_LEAD_MAX {
            Some(Self::Ahead(ahead))
        } else {
            (behind > limits::CLOCK_LEAD_MAX).then_some(Self::Behind(behind))
        }
    }

    pub(super) fn finding(self) -> Finding {
        let (off, effect) = match self {
            Self::Ahead(lead) => (format!("{} ahead of", spoken(lead)), "too old"),
            Self::Behind(lag) => (format!("{} behind", spoken(lag)), "future-dated"),
        };
        let text = format!("this machine's clock is {off} Heroku's, so every error looks {effect}");
        let fix = "correct it with `timedatectl set-ntp true`, or with this machine's own time service";
        Finding::error(Subject::Clock, text, fix)
    }
}

pub(super) fn check(clocks: Option<Clocks>) -> Option<Finding> {
    let Clocks { here, there } = clocks?;
    let well = || Finding::ok(Subject::Clock, "agrees with Heroku's");
    Some(ClockError::between(here, there).map_or_else(well, ClockError::finding))
}
