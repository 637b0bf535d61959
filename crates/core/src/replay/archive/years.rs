//! The year of lines without one.

use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use crate::replay::archive::time::Day;

/// Determines the years of one file's lines.
///
/// No line is younger than its file, so the first line is in the last year in which it is not. After that, a
/// line that seems half a year older than the previous one is in the next year, and one that seems younger
/// than its file, or nearly a year younger than the previous one, in the year before.
#[derive(Clone, Debug)]
pub(super) struct Years {
    /// The end of the file's last day, in any zone.
    latest: DateTime,
    last: Option<DateTime>,
}

impl Years {
    pub(super) fn new(latest: Timestamp) -> Self {
        let latest = Offset::UTC.to_datetime(latest).saturating_add(SLACK);
        Self { latest, last: None }
    }

    /// The date and time; none if no nearby year has such a day.
    pub(super) fn date(&mut self, day: Day) -> Option<DateTime> {
        let at = match self.last {
            Some(last) => day.near(last, self.latest)?,
            None => day.not_after(self.latest)?,
        };
        self.last = Some(at);
        Some(at)
    }
}

impl Day {
    fn in_year(self, year: i16) -> Option<DateTime> {
        Some(DateTime::from_parts(Date::new(year, self.month, self.day).ok()?, self.clock))
    }

    fn not_after(self, latest: DateTime) -> Option<DateTime> {
        let year = latest.year();
        // Two 29ths of February can be eight years apart.
        (year - 8..=year).rev().find_map(|year| self.in_year(year).filter(|at| *at <= latest))
    }

    fn near(self, last: DateTime, latest: DateTime) -> Option<DateTime> {
        let year = last.year();
        match self.in_year(year) {
            Some(at) if at < last.saturating_sub(HALF_A_YEAR) => self.in_year(year + 1),
            // The last lines of December, among the first of January, or before them in a file that runs
            // backwards.
            Some(at) if at > last.saturating_add(NEARLY_A_YEAR) || (at > latest && last <= latest) => {
                self.in_year(year - 1)
            }
            at => at,
        }
    }
}

/// Papertrail shows the reader's local time, which may be ahead of UTC by most of a day.
const SLACK: SignedDuration = SignedDuration::from_hours(24);
const HALF_A_YEAR: SignedDuration = SignedDuration::from_hours(182 * 24);
const NEARLY_A_YEAR: SignedDuration = SignedDuration::from_hours(350 * 24);

#[cfg(test)]
mod tests {
    use super::{Day, Years};

    #[track_caller]
    fn check(latest: &str, days: &[(i8, i8)], expect: &[Option<&str>]) {
        let mut years = Years::new(format!("{latest}T12:00:00Z").parse().expect("a time"));
        let clock = jiff::civil::time(10, 0, 0, 0);
        let dated: Vec<_> = days
            .iter()
            .map(|&(month, day)| years.date(Day { month, day, clock }))
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

    #[test]
    fn a_file_may_run_backwards_through_the_new_year() {
        check("2026-01-20", &[(1, 19), (12, 20)], &[Some("2026-01-19"), Some("2025-12-20")]);
        check("2026-01-02", &[(1, 1), (12, 31)], &[Some("2026-01-01"), Some("2025-12-31")]);
    }
}
