//! Time as a value: the shell reads two clocks together and passes them to the code that decides.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// One reading of both clocks.
///
/// Waiting is measured on `mono`, which never jumps. `wall` is only compared with times that other machines
/// wrote: in a line, in an API response, in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time since the process (or the simulation, or the replay) began; never decreases.
    pub mono: Duration,
    /// As far as this machine knows it.
    pub wall: Timestamp,
}

impl Now {
    /// The reading `span` later, with both clocks in step.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self { mono: self.mono.saturating_add(span), wall: later(self.wall, span) }
    }
}

/// The time from `then` to `now`; zero if `then` is later.
pub fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or(Duration::ZERO)
}

/// `at` moved on by `span`, or the last possible time.
pub fn later(at: Timestamp, span: Duration) -> Timestamp {
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// `at` moved back by `span`, or the first possible time.
pub fn earlier(at: Timestamp, span: Duration) -> Timestamp {
    at.checked_sub(span).unwrap_or(Timestamp::MIN)
}

/// A span in words, to the second: `45s`, `10m`, `1h 30m`, `34d 11h`. Months and years are not of one length.
pub fn spoken(span: Duration) -> String {
    let (days, seconds) = (span.as_secs() / DAY_SECS, span.as_secs() % DAY_SECS);
    let rest = match (days, seconds) {
        (0, 0) if !span.is_zero() => Duration::from_millis(span.as_millis().max(1) as u64),
        _ => Duration::from_secs(seconds),
    };
    match days {
        0 => humantime::format_duration(rest).to_string(),
        days if rest.is_zero() => format!("{days}d"),
        days => format!("{days}d {}", humantime::format_duration(rest)),
    }
}

const DAY_SECS: u64 = 24 * 60 * 60;

/// A time to the second, for sentences.
pub fn to_the_second(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%Y-%m-%d %H:%M:%SZ")
}

/// Converts a reading of a clock that starts at zero, for arithmetic that may go before it.
pub fn on_axis(mono: Duration) -> SignedDuration {
    SignedDuration::try_from(mono).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{earlier, later, since, spoken};

    #[test]
    fn spans_are_clamped() {
        let at: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        assert_eq!(since(at, later(at, Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(since(later(at, Duration::from_secs(7)), at), Duration::ZERO);
        assert_eq!(later(at, Duration::MAX), Timestamp::MAX);
        assert_eq!(earlier(at, Duration::MAX), Timestamp::MIN);
    }

    #[test]
    fn spans_are_formatted_to_the_second() {
        assert_eq!(spoken(Duration::from_millis(600_999)), "10m");
        assert_eq!(spoken(Duration::from_millis(250)), "250ms");
        assert_eq!(spoken(Duration::ZERO), "0s");
        assert_eq!(spoken(Duration::from_secs(24 * 3600)), "1d");
        assert_eq!(spoken(Duration::from_secs((34 * 24 + 11) * 3600)), "34d 11h");
    }
}
