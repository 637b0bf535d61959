//! Dates of numbers alone, as spreadsheets and browsers write them: `1/2/2025 12:51:32 AM`.
//!
//! ```text
//! numeric = ( year "/" month "/" day / day "." month "." year / 1*2DIGIT sep 1*2DIGIT sep year ) [ "," ]
//!           SP clock [ SP ( "AM" / "PM" ) ] [ SP zone ]
//! sep     = "/" / "-"
//! ```
//!
//! Which of the two first numbers is the month follows from the file: a number above 12 is a day, a clock of
//! twelve hours has the month in front, and no line is younger than its file. Without any of that the month
//! is in front. A later line that contradicts this is not read.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use crate::replay::archive::time::{self, Numeric, Written, word};

/// The order of the days and months of one file.
#[derive(Clone, Debug)]
pub(super) struct DayOrder {
    order: Option<Order>,
    /// The end of the file's last day, in any zone.
    latest: DateTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    DayFirst,
    MonthFirst,
}

/// Reads such a time at the start of a line: the time, its text, and the text after the space behind it.
pub(super) fn leading(text: &[u8]) -> Option<(Written, &[u8], &[u8])> {
    let (date, rest) = word(text);
    let date = date.strip_suffix(b",").unwrap_or(date);
    let separator = *date.iter().find(|octet| !octet.is_ascii_digit())?;
    let mut parts = date.split(|octet| *octet == separator);
    let parts = [parts.next()?, parts.next()?, parts.next().filter(|_| parts.next().is_none())?];
    let (clock, mut rest) = word(rest);
    let (mut clock, zone) = short_clock(clock)?;
    let mut zone = if zone.is_empty() { None } else { Some(time::offset(zone)?) };
    let (half, behind) = word(rest);
    let is_halved = time::half(half).is_some();
    if let Some(is_afternoon) = time::half(half) {
        clock = time::halved(clock, is_afternoon)?;
        rest = behind;
    }
    let (name, behind) = word(rest);
    if let Some(offset) = time::zone_word(name).filter(|_| zone.is_none()) {
        zone = Some(offset);
        rest = behind;
    }
    let two = |at: usize| time::number(parts[at]);
    let year = |at: usize| -> Option<i16> {
        let part: &[u8] = parts[at];
        (part.len() == 4).then(|| str::from_utf8(part).ok()?.parse().ok())?
    };
    let dated = |year, month, day| Some(DateTime::from_parts(Date::new(year, month, day).ok()?, clock));
    let written = match (separator, year(0)) {
        (b'/', Some(year)) => full(dated(year, two(1)?, two(2)?)?, zone)?,
        (b'.', _) => full(dated(year(2)?, two(1)?, two(0)?)?, zone)?,
        (b'/' | b'-', None) => {
            let (first, second, year) = (two(0)?, two(1)?, year(2)?);
            Written::Numeric(Numeric { first, second, year, clock, zone, is_halved })
        }
        _ => return None,
    };
    let read = text.len() - rest.len();
    Some((written, text[..read].trim_ascii_end(), rest))
}

fn full(local: DateTime, zone: Option<Offset>) -> Option<Written> {
    match zone {
        None => Some(Written::Local(local)),
        Some(zone) => zone.to_timestamp(local).ok().map(Written::At),
    }
}

/// `0:51:32`, with a fraction or without, and the text after it.
fn short_clock(text: &[u8]) -> Option<(Time, &[u8])> {
    if text.get(1) != Some(&b':') {
        return time::clock(text);
    }
    let padded = [b"0", text].concat();
    let (clock, rest) = time::clock(&padded)?;
    Some((clock, &text[text.len() - rest.len()..]))
}

fn in_order(numeric: Numeric, order: Order) -> Option<DateTime> {
    let (month, day) = match order {
        Order::DayFirst => (numeric.second, numeric.first),
        Order::MonthFirst => (numeric.first, numeric.second),
    };
    Some(DateTime::from_parts(Date::new(numeric.year, month, day).ok()?, numeric.clock))
}

// === impl DayOrder ===

impl DayOrder {
    /// For a file that was last written at `latest`.
    pub(super) fn new(latest: Timestamp) -> Self {
        let latest = Offset::UTC.to_datetime(latest).saturating_add(SLACK);
        Self { order: None, latest }
    }

    /// The date and time; none if its numbers contradict those of the lines before.
    pub(super) fn date(&mut self, numeric: Numeric) -> Option<DateTime> {
        let orders = [Order::MonthFirst, Order::DayFirst];
        let order = match self.order {
            Some(order) => order,
            None if numeric.is_halved => Order::MonthFirst,
            None => {
                let is_past = |order: &Order| in_order(numeric, *order).is_some_and(|at| at <= self.latest);
                orders.into_iter().find(is_past)?
            }
        };
        let at = in_order(numeric, order)?;
        self.order = Some(order);
        Some(at)
    }
}

/// A reader's local time may be ahead of UTC by most of a day.
const SLACK: SignedDuration = SignedDuration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::{DayOrder, leading};
    use crate::replay::archive::time::Written;

    /// The dates of lines at these times, in a file that was written in June 2025.
    #[track_caller]
    fn check(times: &[&str], expect: &[Option<&str>]) {
        let mut order = DayOrder::new("2025-06-01T00:00:00Z".parse().expect("a time"));
        let read = times.iter().map(|text| {
            let line = format!("{text} acme heroku/web.1: x");
            let (written, time, rest) = leading(line.as_bytes())?;
            assert_eq!((time, rest), (text.as_bytes(), &b"acme heroku/web.1: x"[..]), "{text}");
            match written {
                Written::At(at) => Some(at.to_string()),
                Written::Local(local) => Some(local.to_string()),
                Written::Numeric(numeric) => order.date(numeric).map(|at| at.to_string()),
                Written::Day(_) => None,
            }
        });
        let read: Vec<_> = read.collect();
        assert_eq!(read.iter().map(Option::as_deref).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn dates_of_numbers_are_read() {
        check(&["01/02/2025 00:51:32"], &[Some("2025-01-02T00:51:32")]);
        check(&["1/2/2025, 12:51:32 AM"], &[Some("2025-01-02T00:51:32")]);
        check(&["1/2/2025 12:51:32.5 PM UTC"], &[Some("2025-01-02T12:51:32.5")]);
        check(&["1-2-2025 0:51:32"], &[Some("2025-01-02T00:51:32")]);
        check(&["2025/01/02 00:51:32"], &[Some("2025-01-02T00:51:32")]);
        check(&["2025/01/02 00:51:32 +0100"], &[Some("2025-01-01T23:51:32Z")]);
        check(&["02.01.2025 00:51:32"], &[Some("2025-01-02T00:51:32")]);
        for text in
            ["1/2/25 00:51:32", "1/2/2025 00:51", "1/2 00:51:32", "1/2/2025 13:51:32 PM", "1.2.3.4 00:51:32"]
        {
            check(&[text], &[None]);
        }
    }

    #[test]
    fn the_month_is_in_front_unless_the_file_shows_otherwise() {
        check(
            &["13/01/2025 00:00:00", "01/02/2025 00:00:00", "01/13/2025 00:00:00"],
            &[Some("2025-01-13T00:00:00"), Some("2025-02-01T00:00:00"), None],
        );
        check(
            &["01/02/2025 00:00:00", "01/13/2025 00:00:00", "13/01/2025 00:00:00"],
            &[Some("2025-01-02T00:00:00"), Some("2025-01-13T00:00:00"), None],
        );
        // No line is younger than its file.
        check(&["07/02/2025 00:00:00"], &[Some("2025-02-07T00:00:00")]);
        check(&["07/08/2025 00:00:00"], &[None]);
    }
}
