//! What the restarts of a replay would have been worth: the time over quota, as it was and as it would have
//! been.
//!
//! The log goes on as if nothing had been restarted, so the second is an estimate: after a restart a dyno is
//! taken to be within its quota for as long as it was before it went over, and over it again after that.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::limits;
use crate::time::since;

/// The time over quota of all dynos.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Worth {
    pub over: Duration,
    /// The part of it that restarts would have avoided.
    pub avoided: Duration,
    /// Whether the log does not show, for some dyno, how long a new one stays within its quota.
    pub is_guess: bool,
}

/// One dyno's time over quota.
#[derive(Debug)]
struct Dyno {
    /// When its process began, or its first line if the log does not show that.
    since: Timestamp,
    is_start_known: bool,
    /// The last sign of being over quota.
    last: Option<Timestamp>,
    /// From its start to being over quota.
    good_for: Option<Duration>,
    restarted_at: Option<Timestamp>,
}

/// The dynos of one app.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    dynos: BTreeMap<(Box<str>, u32), Dyno>,
    pub(super) worth: Worth,
}

/// The platform takes a sample about every 21 seconds (heroku.md §3), and lines get lost.
const SAMPLE: Duration = Duration::from_secs(21);
const SAMPLES_GAP: Duration = Duration::from_secs(90);

// === impl Ledger ===

impl Ledger {
    fn dyno(&mut self, process_type: &str, index: u32, at: Timestamp) -> Option<&mut Dyno> {
        let key = (process_type.into(), index);
        if !self.dynos.contains_key(&key) && self.dynos.len() >= limits::DYNOS_MAX {
            return None;
        }
        let new = Dyno { since: at, is_start_known: false, last: None, good_for: None, restarted_at: None };
        Some(self.dynos.entry(key).or_insert(new))
    }

    pub(super) fn heard(&mut self, process_type: &str, index: u32, at: Timestamp) {
        self.dyno(process_type, index, at);
    }

    /// A new process begins.
    pub(super) fn started(&mut self, process_type: &str, index: u32, at: Timestamp) {
        if let Some(dyno) = self.dyno(process_type, index, at) {
            (dyno.since, dyno.is_start_known, dyno.last, dyno.restarted_at) = (at, true, None, None);
            dyno.good_for = None;
        }
    }

    /// A restart was decided on.
    pub(super) fn restarted(&mut self, process_type: &str, index: u32, at: Timestamp) {
        if let Some(dyno) = self.dyno(process_type, index, at) {
            dyno.restarted_at = Some(at);
        }
    }

    /// The dyno is over its quota.
    pub(super) fn over(&mut self, process_type: &str, index: u32, at: Timestamp) {
        let Some(dyno) = self.dyno(process_type, index, at) else { return };
        let span = match dyno.last {
            Some(last) if since(last, at) <= SAMPLES_GAP => since(last, at),
            _ => SAMPLE,
        };
        dyno.last = dyno.last.max(Some(at));
        let good_for = *dyno.good_for.get_or_insert(since(dyno.since, at));
        // A log that begins with errors does not show for how long there were none.
        let is_known = dyno.is_start_known || good_for > SAMPLES_GAP;
        let is_avoided = dyno.restarted_at.is_some_and(|restart| !is_known || since(restart, at) <= good_for);
        self.worth.over += span;
        if is_avoided {
            self.worth.avoided += span;
            self.worth.is_guess |= !is_known;
        }
    }
}

// === impl Worth ===

impl Worth {
    pub(super) fn add(&mut self, other: Self) {
        self.over += other.over;
        self.avoided += other.avoided;
        self.is_guess |= other.is_guess;
    }
}

impl fmt::Display for Worth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.over.saturating_sub(self.avoided);
        write!(f, "Over quota: {} as it was, about {}", minutes(self.over), minutes(left))?;
        f.write_str(" with these restarts (estimate, all dynos together")?;
        if self.is_guess {
            f.write_str("; at best, as the log does not show how long a new dyno stays within its quota")?;
        }
        f.write_str(")")
    }
}

/// `58 min`, to the minute; a short span in seconds.
fn minutes(span: Duration) -> String {
    match span.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds => format!("{} min", (seconds + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::Ledger;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_750_000_000 + secs).expect("a time")
    }

    fn over(ledger: &mut Ledger, secs: std::ops::Range<i64>) {
        for secs in secs.step_by(21) {
            ledger.over("web", 1, at(secs));
        }
    }

    #[test]
    fn a_slow_leak_is_cured_and_a_plateau_is_not() {
        let mut leak = Ledger::default();
        leak.started("web", 1, at(0));
        over(&mut leak, 7200..7300);
        leak.restarted("web", 1, at(7300));
        over(&mut leak, 7300..10_840);
        let text = leak.worth.to_string();
        assert!(text.starts_with("Over quota: 61 min as it was, about 105 s with these restarts"), "{text}");
        assert!(!leak.worth.is_guess);

        let mut plateau = Ledger::default();
        plateau.started("web", 1, at(0));
        over(&mut plateau, 17..300);
        plateau.restarted("web", 1, at(300));
        over(&mut plateau, 301..3_900);
        let text = plateau.worth.to_string();
        assert!(text.starts_with("Over quota: 65 min as it was, about 65 min"), "{text}");
    }

    #[test]
    fn a_log_that_begins_with_errors_gives_the_best_case() {
        let mut ledger = Ledger::default();
        over(&mut ledger, 0..100);
        ledger.restarted("web", 1, at(100));
        over(&mut ledger, 105..1000);
        assert!(ledger.worth.is_guess);
        assert!(ledger.worth.to_string().contains("at best"), "{}", ledger.worth);
    }

    #[test]
    fn silence_is_not_time_over_quota() {
        let mut ledger = Ledger::default();
        ledger.heard("web", 1, at(0));
        for hour in 0..5 {
            ledger.over("web", 1, at(hour * 3600));
        }
        assert_eq!(ledger.worth.over.as_secs(), 5 * 21);
    }
}
