//! The instants of times that are written in local time.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Error, Timestamp};

use crate::time::{earlier, later};

/// Determines the instants of one file's lines.
///
/// In autumn the clock shows an hour twice. Which of the two a line is from follows from the lines before it:
/// it is the one that continues their direction.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    /// None if it is not known; then it is taken for UTC.
    zone: Option<TimeZone>,
    /// The first time and the last.
    passed: Option<[Timestamp; 2]>,
}

// === impl Zone ===

impl Zone {
    pub(super) fn new(zone: Option<TimeZone>) -> Self {
        Self { zone, passed: None }
    }

    pub(super) fn is_known(&self) -> bool {
        self.zone.is_some()
    }

    pub(super) fn instant(&mut self, local: DateTime) -> Result<Timestamp, Error> {
        let Some(zone) = &self.zone else { return Offset::UTC.to_timestamp(local) };
        let times = zone.to_ambiguous_timestamp(local);
        let at = match (times.offset(), self.passed) {
            (AmbiguousOffset::Fold { before, after }, Some([first, last])) => {
                let (one, two) = (before.to_timestamp(local)?, after.to_timestamp(local)?);
                let is_second = match last < first {
                    true => two <= later(last, JITTER),
                    false => one < earlier(last, JITTER),
                };
                if is_second { two } else { one }
            }
            _ => times.compatible()?,
        };
        self.passed = Some([self.passed.map_or(at, |[first, _]| first), at]);
        Ok(at)
    }
}

/// How far lines can be from their order without being out of it.
const JITTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    use super::Zone;

    /// Local times of the night in which Berlin's clock goes from 03:00 back to 02:00, and their instants.
    #[track_caller]
    fn check(clocks: &[(i8, i8)], expect: &[&str]) {
        let mut zone = Zone::new(Some(TimeZone::get("Europe/Berlin").expect("a zone")));
        let mut instant = |&(hour, minute)| {
            let local = date(2026, 10, 25).at(hour, minute, 0, 0);
            zone.instant(local).expect("a time").strftime("%H:%M").to_string()
        };
        assert_eq!(clocks.iter().map(&mut instant).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn an_hour_that_is_shown_twice_is_two_hours() {
        check(
            &[(1, 50), (2, 10), (2, 50), (2, 49), (2, 10), (2, 30), (3, 10)],
            &["23:50", "00:10", "00:50", "00:49", "01:10", "01:30", "02:10"],
        );
        check(
            &[(3, 10), (2, 30), (2, 10), (2, 50), (2, 10), (1, 50)],
            &["02:10", "01:30", "01:10", "00:50", "00:10", "23:50"],
        );
        check(&[(2, 10), (2, 30)], &["00:10", "00:30"]);
    }

    #[test]
    fn an_hour_that_is_skipped_is_the_next() {
        let mut zone = Zone::new(Some(TimeZone::get("Europe/Berlin").expect("a zone")));
        let at = zone.instant(date(2026, 3, 29).at(2, 30, 0, 0)).expect("a time");
        assert_eq!(at.to_string(), "2026-03-29T01:30:00Z");
    }
}
