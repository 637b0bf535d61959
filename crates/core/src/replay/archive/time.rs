//! The time of a line, in every form that exports write.
//!
//! ```text
//! iso   = date ( "T" / SP ) clock [ ( "." / "," ) 1*9DIGIT ] [ zone / SP ( zone / "UTC" / "GMT" ) ]
//! zone  = "Z" / ( ( "+" / "-" ) 2DIGIT [ [ ":" ] 2DIGIT ] )
//! shown = Mon 1*SP day SP clock [ "." 1*9DIGIT ]                   ; without a year and a zone
//! epoch = seconds, milliseconds, microseconds or nanoseconds since 1970
//! ```
//!
//! A drain's TIME is read by [`timestamp`] alone, which is stricter.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

use crate::wire::timestamp;

/// A time as far as the file states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// In full.
    At(Timestamp),
    /// Without a zone.
    Local(DateTime),
    /// Without a year and a zone.
    Day(Day),
    /// With its day and its month in either order.
    Numeric(Numeric),
}

/// A date and time without a year, as in `Jan 08 10:55:11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day {
    pub month: i8,
    pub day: i8,
    pub clock: Time,
}

/// A date with its day and its month in either order, as in `1/2/2025 00:51:32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numeric {
    pub first: i8,
    pub second: i8,
    pub year: i16,
    pub clock: Time,
    pub zone: Option<Offset>,
    /// It has a clock of twelve hours.
    pub is_halved: bool,
}

/// Reads the time at the start of a line: the time, its text, and the text after the space behind it.
#[inline]
pub(super) fn leading(text: &[u8]) -> Option<(Written, &[u8], &[u8])> {
    match text.first()? {
        b'0'..=b'9' => leading_iso(text),
        b'A'..=b'Z' => leading_day(text),
        _ => None,
    }
}

/// Reads a whole field of an export.
pub(super) fn field(text: &[u8]) -> Option<Written> {
    let text = text.trim_ascii();
    // Some services put quotes into their values.
    let text = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
    match leading(text) {
        Some((written, _, [])) => Some(written),
        _ => iso(text).or_else(|| epoch(str::from_utf8(text).ok()?)).or_else(|| {
            let [date, clock] = split(text, b' ').map(|(date, clock)| [date, clock])?;
            iso_parts(date, clock)
        }),
    }
}

/// A number of seconds, milliseconds, microseconds or nanoseconds, told apart by its size.
fn epoch(text: &str) -> Option<Written> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
    if !(9..=19).contains(&whole.len()) || !are_digits(whole) || fraction.len() > 18 || !are_digits(fraction)
    {
        return None;
    }
    let nanos_each: i128 = match whole.len() {
        ..=11 => 1_000_000_000,
        12..=14 => 1_000_000,
        15..=17 => 1_000,
        _ => 1,
    };
    let part = |text: &str| text.parse::<i128>().ok();
    let below = if fraction.is_empty() {
        0
    } else {
        part(fraction)? * nanos_each / 10_i128.pow(u32::try_from(fraction.len()).ok()?)
    };
    Timestamp::from_nanosecond(part(whole)? * nanos_each + below).ok().map(Written::At)
}

fn leading_iso(text: &[u8]) -> Option<(Written, &[u8], &[u8])> {
    let (first, rest) = word(text);
    let (written, length, rest) = match iso(first) {
        Some(written) => (written, first.len(), rest),
        None => {
            // `2011-05-18 20:30:02`: two words.
            let (clock, rest) = word(rest);
            (iso_parts(first, clock)?, first.len() + 1 + clock.len(), rest)
        }
    };
    if let Written::Local(local) = written {
        // `… +0000` and `… UTC`: the zone is a word of its own.
        let (zone, behind) = word(rest);
        if let Some(at) = zone_word(zone).and_then(|zone| zone.to_timestamp(local).ok()) {
            return Some((Written::At(at), &text[..length + 1 + zone.len()], behind));
        }
    }
    Some((written, &text[..length], rest))
}

pub(super) fn zone_word(text: &[u8]) -> Option<Offset> {
    match text {
        b"UTC" | b"GMT" => Some(Offset::UTC),
        text => offset(text),
    }
}

fn iso(text: &[u8]) -> Option<Written> {
    if let Ok(at) = timestamp::parse(text) {
        return Some(Written::At(at));
    }
    let (date, clock) = text.split_at_checked(10)?;
    iso_parts(date, clock.strip_prefix(b"T")?)
}

fn iso_parts(date: &[u8], clock: &[u8]) -> Option<Written> {
    let [year @ .., b'-', _, _, b'-', _, _] = date else { return None };
    if year.len() != 4 {
        return None;
    }
    let year: i16 = str::from_utf8(year).ok()?.parse().ok()?;
    let date = Date::new(year, number(&date[5..7])?, number(&date[8..])?).ok()?;
    let (time, zone) = self::clock(clock)?;
    let local = DateTime::from_parts(date, time);
    match zone {
        [] => Some(Written::Local(local)),
        zone => offset(zone)?.to_timestamp(local).ok().map(Written::At),
    }
}

/// `20:30:02`, with a fraction or without, and the text after it.
pub(super) fn clock(text: &[u8]) -> Option<(Time, &[u8])> {
    let (clock, mut rest) = text.split_at_checked(8)?;
    let [_, _, b':', _, _, b':', _, _] = clock else { return None };
    let mut nanos = 0;
    if let [b'.' | b',', after @ ..] = rest {
        let digits = after.iter().take_while(|octet| octet.is_ascii_digit()).count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        let padded = after[..digits].iter().copied().chain(std::iter::repeat_n(b'0', 9 - digits));
        nanos = padded.fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0'));
        rest = &after[digits..];
    }
    let (hour, minute, second) = (number(&clock[..2])?, number(&clock[3..5])?, number(&clock[6..])?);
    // A leap second, which our clocks do not have.
    let (second, nanos) = if second == 60 { (59, 999_999_999) } else { (second, nanos) };
    Some((Time::new(hour, minute, second, nanos).ok()?, rest))
}

/// Whether this is the second half of a day; none if it is no half.
pub(super) fn half(word: &[u8]) -> Option<bool> {
    match word {
        b"AM" | b"am" | b"a.m." => Some(false),
        b"PM" | b"pm" | b"p.m." => Some(true),
        _ => None,
    }
}

/// A clock of twelve hours in this half; none if it shows more.
pub(super) fn halved(clock: Time, is_afternoon: bool) -> Option<Time> {
    let hour = Some(clock.hour()).filter(|hour| (1..=12).contains(hour))?;
    clock.with().hour(hour % 12 + if is_afternoon { 12 } else { 0 }).build().ok()
}

/// `Z`, `+02:00`, `+0200` or `+02`.
pub(super) fn offset(text: &[u8]) -> Option<Offset> {
    let (sign, digits) = match text {
        b"Z" | b"z" => return Some(Offset::UTC),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [_, _] => (digits, &b"00"[..]),
        [_, _, b':', minutes @ ..] if minutes.len() == 2 => (&digits[..2], minutes),
        [_, _, minutes @ ..] if minutes.len() == 2 => (&digits[..2], minutes),
        _ => return None,
    };
    let (hours, minutes) = (i32::from(number(hours)?), i32::from(number(minutes)?));
    if hours > 23 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

fn leading_day(text: &[u8]) -> Option<(Written, &[u8], &[u8])> {
    let (month, rest) = word(text);
    let month = MONTHS.iter().position(|name| *name == month)?;
    let (day, rest) = word(rest.trim_ascii_start());
    let (clock, rest) = word(rest);
    let (clock, nothing) = self::clock(clock)?;
    if !nothing.is_empty() {
        return None;
    }
    let day = Day { month: i8::try_from(month).ok()? + 1, day: number(day)?, clock };
    let behind = if rest.is_empty() && !text.ends_with(b" ") { 0 } else { 1 };
    Some((Written::Day(day), &text[..text.len() - rest.len() - behind], rest))
}

/// The first word, and the text after the space behind it.
pub(super) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    split(text, b' ').unwrap_or((text, &text[text.len()..]))
}

pub(super) fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = memchr::memchr(at, text)?;
    Some((&text[..place], &text[place + 1..]))
}

/// One or two digits; the calendar decides whether they are a valid day or minute.
pub(super) fn number(digits: &[u8]) -> Option<i8> {
    let is_short = (1..=2).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    is_short.then(|| digits.iter().fold(0, |sum, digit| sum * 10 + (digit - b'0').cast_signed()))
}

pub(super) const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

#[cfg(test)]
mod tests {
    use super::{Written, field, leading};

    fn shown(written: Written) -> String {
        match written {
            Written::At(at) => at.to_string(),
            Written::Local(local) => local.to_string(),
            Written::Day(day) => format!("{}/{} {}", day.day, day.month, day.clock),
            Written::Numeric(_) => unreachable!("it is read elsewhere"),
        }
    }

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let line = format!("{text} acme heroku[web.1]: x");
        let read = leading(line.as_bytes()).map(|(written, time, rest)| {
            assert_eq!(time, text.as_bytes());
            assert_eq!(rest, b"acme heroku[web.1]: x");
            shown(written)
        });
        assert_eq!(read.as_deref(), expect, "{text}");
    }

    #[test]
    fn a_line_may_begin_with_any_of_these_times() {
        check("2025-01-02T00:51:32.761835+00:00", Some("2025-01-02T00:51:32.761835Z"));
        check("2025-01-02T00:51:32+0100", Some("2025-01-01T23:51:32Z"));
        check("2025-01-02T00:51:32,5-08", Some("2025-01-02T08:51:32.5Z"));
        check("2025-01-02T00:51:32", Some("2025-01-02T00:51:32"));
        check("2025-01-02 00:51:32.5Z", Some("2025-01-02T00:51:32.5Z"));
        check("2025-01-02 00:51:32", Some("2025-01-02T00:51:32"));
        check("2025-01-02 02:51:32 +0200", Some("2025-01-02T00:51:32Z"));
        check("2025-01-02T00:51:32.5 UTC", Some("2025-01-02T00:51:32.5Z"));
        check("Jan 08 10:55:11", Some("8/1 10:55:11"));
        check("Jan  8 10:55:11.202", Some("8/1 10:55:11.202"));
        check("Dec 8 10:55:60", Some("8/12 10:55:59.999999999"));
        for text in
            ["2025-13-02T00:51:32Z", "2025-01-02", "Jän 08 10:55:11", "Jan 008 10:55:11", "12", "x", ""]
        {
            check(text, None);
        }
    }

    #[test]
    fn a_field_may_be_a_number() {
        for (text, expect) in [
            ("1749520194", Some("2025-06-10T01:49:54Z")),
            ("1749520194.209", Some("2025-06-10T01:49:54.209Z")),
            ("1749520194209", Some("2025-06-10T01:49:54.209Z")),
            ("1749520194209021", Some("2025-06-10T01:49:54.209021Z")),
            ("1749520194209021000", Some("2025-06-10T01:49:54.209021Z")),
            ("2025-06-10 01:49:54 UTC", Some("2025-06-10T01:49:54Z")),
            ("2025-06-10T01:49:54.209021Z", Some("2025-06-10T01:49:54.209021Z")),
            ("12", None),
            ("1749520194x", None),
            ("yesterday", None),
        ] {
            assert_eq!(field(text.as_bytes()).map(shown).as_deref(), expect, "{text}");
        }
    }
}
