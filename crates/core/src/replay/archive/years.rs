//! The year of lines without one.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::time::{earlier, later};

/// A date and time without a year, as in `Jan 08 10:55:11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day {
    pub month: i8,
    pub day: i8,
    pub hour: i8,
    pub minute: i8,
    pub second: i8,
}

/// Determines the years of one file's lines.
///
/// No line is younger than its file, so the first line is in the last year in which it is not. After that, a
/// line that seems half a year older than the previous one is in the next year.
#[derive(Clone, Debug)]
pub(super) struct Years {
    latest: Timestamp,
    last: Option<Timestamp>,
}

impl Years {
    pub(super) fn new(latest: Timestamp) -> Self {
        Self { latest, last: None }
    }

    /// The time, in UTC; none if no nearby year has such a day.
    pub(super) fn date(&mut self, day: Day) -> Option<Timestamp> {
        let at = match self.last {
            Some(last) => day.after(last)?,
            None => day.not_after(later(self.latest, SLACK))?,
        };
        self.last = Some(at);
        Some(at)
    }
}

impl Day {
    fn in_year(self, year: i16) -> Option<Timestamp> {
        let civil = DateTime::new(year, self.month, self.day, self.hour, self.minute, self.second, 0).ok()?;
        Offset::UTC.to_timestamp(civil).ok()
    }

    fn not_after(self, latest: Timestamp) -> Option<Timestamp> {
        let year = year_of(latest);
        // Two 29ths of February can be eight years apart.
        (year - 8..=year).rev().find_map(|year| self.in_year(year).filter(|at| *at <= latest))
    }

    fn after(self, last: Timestamp) -> Option<Timestamp> {
        let year = year_of(last);
        match self.in_year(year) {
            Some(at) if at < earlier(last, HALF_A_YEAR) => self.in_year(year + 1),
            // The last lines of December, among the first of January.
            Some(at) if at > later(last, NEARLY_A_YEAR) => self.in_year(year - 1),
            at => at,
        }
    }
}

fn year_of(at: Timestamp) -> i16 {
    Offset::UTC.to_datetime(at).year()
}

/// Papertrail shows the reader's local time, which may be ahead of UTC by most of a day.
const SLACK: Duration = Duration::from_secs(24 * 60 * 60);
const HALF_A_YEAR: Duration = Duration::from_secs(182 * 24 * 60 * 60);
const NEARLY_A_YEAR: Duration = Duration::from_secs(350 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::{Day, Years};

    #[track_caller]
    fn check(latest: &str, days: &[(i8, i8)], expect: &[Option<&str>]) {
        let mut years = Years::new(format!("{latest}T12:00:00Z").parse().expect("a time"));
        let dated: Vec<_> = days
            .iter()
            .map(|&(month, day)| years.date(Day { month, day, hour: 10, minute: 0, second: 0 }))
            .map(|at| at.map(|at| at.strftime("%F").to_string()))
            .collect();
        assert_eq!(dated.iter().map(Option::as_deref).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn the_first_line_is_not_younger_than_its_file() {
        check("2026-11-23", &[(1, 8)], &[Some("2026-01-08")]);
        check("2026-01-08", &[(1, 8)], &[Some("2026-01-08")]);
        // A zone that is ahead.
        check("2026-01-08", &[(1, 9)], &[Some("2026-01-09")]);
        check("2026-01-08", &[(1, 10)], &[Some("2025-01-10")]);
        check("2026-01-02", &[(12, 31)], &[Some("2025-12-31")]);
        check("2026-01-02", &[(2, 29)], &[Some("2024-02-29")]);
        check("2026-01-02", &[(2, 30)], &[None]);
        check("2026-01-02", &[(13, 1)], &[None]);
    }

    #[test]
    fn december_is_followed_by_january_of_the_next_year() {
        check(
            "2026-01-02",
            &[(12, 31), (1, 1), (12, 31), (1, 1)],
            &[Some("2025-12-31"), Some("2026-01-01"), Some("2025-12-31"), Some("2026-01-01")],
        );
        check(
            "2026-01-02",
            &[(3, 1), (9, 1), (12, 1), (1, 1)],
            &[Some("2025-03-01"), Some("2025-09-01"), Some("2025-12-01"), Some("2026-01-01")],
        );
        // A long gap is not a step back.
        check("2026-12-02", &[(1, 1), (11, 1)], &[Some("2026-01-01"), Some("2026-11-01")]);
    }
}
