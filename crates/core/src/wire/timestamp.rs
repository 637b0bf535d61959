//! TIME: RFC 3339, as strictly as logplex writes it.
//!
//! ```text
//! TIME  = year "-" month "-" day "T" hour ":" minute ":" second [ "." 1*9DIGIT ] zone
//! zone  = "Z" / ( ( "+" / "-" ) hour ":" minute )
//! ```
//!
//! Logplex trims the zeros at the end of a fraction, so it has zero to six digits; up to nine are accepted. A
//! leap second, which our clocks do not have, is the last moment of the previous second, so that time never
//! runs backwards.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use nom::branch::alt;
use nom::bytes::complete::take_while_m_n;
use nom::character::complete::char;
use nom::combinator::{all_consuming, opt, value};
use nom::sequence::preceded;
use nom::{IResult, Parser};

/// Why TIME is not a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Such a day, hour or zone does not exist.
    #[error("there is no such time")]
    Calendar,
    /// Not in the form of RFC 3339.
    #[error("a time is written as in 2025-08-08T06:59:08.592108+00:00")]
    Shape,
}

/// Parses a time.
///
/// # Errors
/// It has another form, or there is no such time.
pub fn parse(text: &[u8]) -> Result<Timestamp, TimeError> {
    if let Some(time) = usual(text) {
        return Ok(time);
    }
    let (_, written) = all_consuming(written).parse(text).map_err(|_| TimeError::Shape)?;
    written.timestamp().ok_or(TimeError::Calendar)
}

/// The times of a batch: most of them are in the same minute as the one before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// The minute of the last time, as written, and its beginning in seconds since the epoch.
    last: Option<([u8; MINUTE], i64)>,
}

impl Times {
    /// Does the same as [`parse`].
    ///
    /// # Errors
    /// It has another form, or there is no such time.
    pub fn parse(&mut self, text: &[u8]) -> Result<Timestamp, TimeError> {
        if let Some(time) = self.in_minute(text) {
            return Ok(time);
        }
        let time = parse(text)?;
        // Another form may be in another zone.
        if let (Some(minute), Some(_)) = (text.first_chunk(), usual(text)) {
            self.last = Some((*minute, time.as_second().div_euclid(60) * 60));
        }
        Ok(time)
    }

    #[inline]
    fn in_minute(&self, text: &[u8]) -> Option<Timestamp> {
        let text: &[u8; LONGEST] = text.try_into().ok()?;
        let (_, begin) = self.last.filter(|(minute, _)| text.starts_with(minute))?;
        let [_, s, c, _, p, q, v, w] = digits(text, MINUTE)?;
        let [x, z, ..] = digits(text, 24)?;
        let second = s * 10 + c;
        let micros = ((((p * 10 + q) * 10 + v) * 10 + w) * 10 + x) * 10 + z;
        let nanos = i32::try_from(micros * 1000).ok()?;
        if second < 60 { Timestamp::new(begin + second, nanos).ok() } else { None }
    }
}

/// The octets of `2026-03-10T12:34`.
const MINUTE: usize = 16;

/// Eight octets of a time from `place` on, as digits; none if they have another form. What is between digits
/// is 0.
#[inline(always)]
fn digits(text: &[u8; LONGEST], place: usize) -> Option<[i64; 8]> {
    let word = |text: &[u8; LONGEST]| u64::from_le_bytes(*text[place..].first_chunk().expect("inside"));
    // Digits are 0 to 9 now, and what is between them is 0: added to the margin, neither has a high bit.
    let digits = word(text) ^ word(FORM);
    let are_digits = (((digits & LOWS) + word(&MARGIN)) | digits) & !LOWS == 0;
    are_digits.then(|| digits.to_le_bytes().map(i64::from))
}

/// A time as logplex writes it: in UTC, with at most microseconds. None for any other form, and for what is
/// no time.
fn usual(text: &[u8]) -> Option<Timestamp> {
    let text = match text.first_chunk::<LONGEST>() {
        Some(full) if text.len() == LONGEST => *full,
        _ => with_zeros(text)?,
    };
    let ([y, e, a, r, _, m, o, _], [d, t, _, h, u, _, i, n]) = (digits(&text, 0)?, digits(&text, 8)?);
    let ([_, s, c, _, p, q, v, w], [x, z, ..]) = (digits(&text, MINUTE)?, digits(&text, 24)?);
    let (year, month, day) = (y * 1000 + e * 100 + a * 10 + r, m * 10 + o, d * 10 + t);
    let (hour, minute, second) = (h * 10 + u, i * 10 + n, s * 10 + c);
    let micros = ((((p * 10 + q) * 10 + v) * 10 + w) * 10 + x) * 10 + z;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let exists = (1..=12).contains(&month) && (1..=days).contains(&day) && hour < 24 && minute < 60;
    if !exists || second > 59 || year < 1 {
        return None;
    }
    // Years begin in March here, so that the leap day is their last.
    let (year, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * months + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    let nanos = i32::try_from(micros * 1000).ok()?;
    Timestamp::new(days * 86_400 + hour * 3600 + minute * 60 + second, nanos).ok()
}

const LONGEST: usize = 32;
const FORM: &[u8; LONGEST] = b"0000-00-00T00:00:00.000000+00:00";

/// A shorter time with the zeros that logplex has trimmed.
fn with_zeros(text: &[u8]) -> Option<[u8; LONGEST]> {
    let written = text.strip_suffix(b"+00:00")?;
    let mut full = *FORM;
    // Without a fraction, there is no point.
    if !matches!(written.len(), 19 | 21..=26) {
        return None;
    }
    full[..written.len()].copy_from_slice(written);
    Some(full)
}

/// What may be added to an octet that has been compared with [`FORM`] before it has a high bit.
const MARGIN: [u8; LONGEST] = {
    let (mut margin, mut place) = ([0x7f; LONGEST], 0);
    while place < LONGEST - b"+00:00".len() {
        if FORM[place] == b'0' {
            margin[place] = 0x7f - 9;
        }
        place += 1;
    }
    margin
};

const LOWS: u64 = u64::from_ne_bytes([0x7f; 8]);

/// The fields as written, before they are checked against the calendar.
struct Written {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanos: i32,
    zone: Zone,
}

#[derive(Clone, Copy)]
struct Zone {
    sign: i32,
    hours: i8,
    minutes: i8,
}

impl Written {
    fn timestamp(&self) -> Option<Timestamp> {
        let (second, nanos) = if self.second == 60 { (59, 999_999_999) } else { (self.second, self.nanos) };
        let civil =
            DateTime::new(self.year, self.month, self.day, self.hour, self.minute, second, nanos).ok()?;
        self.zone.offset()?.to_timestamp(civil).ok()
    }
}

impl Zone {
    const UTC: Self = Self { sign: 1, hours: 0, minutes: 0 };

    fn offset(self) -> Option<Offset> {
        if self.hours > 23 || self.minutes > 59 {
            return None;
        }
        Offset::from_seconds(self.sign * (i32::from(self.hours) * 3600 + i32::from(self.minutes) * 60)).ok()
    }
}

fn written(input: &[u8]) -> IResult<&[u8], Written, ()> {
    let (rest, (year, _, month, _, day)) = (four, char('-'), two, char('-'), two).parse(input)?;
    let (rest, (_, hour, _, minute, _, second)) =
        (char('T'), two, char(':'), two, char(':'), two).parse(rest)?;
    let (rest, nanos) = opt(preceded(char('.'), fraction)).parse(rest)?;
    let (rest, zone) = alt((value(Zone::UTC, char('Z')), numeric_zone)).parse(rest)?;
    Ok((rest, Written { year, month, day, hour, minute, second, nanos: nanos.unwrap_or(0), zone }))
}

fn numeric_zone(input: &[u8]) -> IResult<&[u8], Zone, ()> {
    let sign = alt((value(1, char('+')), value(-1, char('-'))));
    let (rest, (sign, hours, _, minutes)) = (sign, two, char(':'), two).parse(input)?;
    Ok((rest, Zone { sign, hours, minutes }))
}

/// One to nine digits after the point, as nanoseconds.
fn fraction(input: &[u8]) -> IResult<&[u8], i32, ()> {
    take_while_m_n(1, 9, |octet: u8| octet.is_ascii_digit())
        .map(|digits: &[u8]| {
            let missing = (digits.len()..9).map(|_| b'0');
            digits.iter().copied().chain(missing).fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0'))
        })
        .parse(input)
}

/// Two digits; 99 is below the 127 that an `i8` holds.
fn two(input: &[u8]) -> IResult<&[u8], i8, ()> {
    take_while_m_n(2, 2, |octet: u8| octet.is_ascii_digit())
        .map(|digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + (digit - b'0').cast_signed()))
        .parse(input)
}

fn four(input: &[u8]) -> IResult<&[u8], i16, ()> {
    let (rest, (high, low)) = (two, two).parse(input)?;
    Ok((rest, i16::from(high) * 100 + i16::from(low)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, any, prop, prop_oneof, proptest};

    use super::{TimeError, Times, parse};

    #[track_caller]
    fn check(text: &str, expect: Result<&str, TimeError>) {
        assert_eq!(parse(text.as_bytes()).map(|time| time.to_string()), expect.map(str::to_owned), "{text}");
    }

    #[test]
    fn fractions_are_optional_and_zones_have_two_forms() {
        check("2025-08-08T06:59:08.592108+00:00", Ok("2025-08-08T06:59:08.592108Z"));
        check("2022-12-05T08:59:21.66229+00:00", Ok("2022-12-05T08:59:21.66229Z"));
        check("2015-05-09T20:21:24+00:00", Ok("2015-05-09T20:21:24Z"));
        check("2015-05-09T20:21:24Z", Ok("2015-05-09T20:21:24Z"));
        check("2015-05-09T20:21:24.5Z", Ok("2015-05-09T20:21:24.5Z"));
        check("2015-05-09T20:21:24.123456789Z", Ok("2015-05-09T20:21:24.123456789Z"));
        check("2015-05-09T01:21:24+05:30", Ok("2015-05-08T19:51:24Z"));
        check("2015-05-09T20:21:24-08:00", Ok("2015-05-10T04:21:24Z"));
        check("2015-05-09T20:21:24-00:00", Ok("2015-05-09T20:21:24Z"));
        check("0001-01-01T00:00:00Z", Ok("0001-01-01T00:00:00Z"));
        check("2024-02-29T23:59:59+00:00", Ok("2024-02-29T23:59:59Z"));
    }

    #[test]
    fn a_leap_second_counts_as_the_end_of_the_previous_second() {
        check("2016-12-31T23:59:60Z", Ok("2016-12-31T23:59:59.999999999Z"));
        check("2016-12-31T23:59:60.5Z", Ok("2016-12-31T23:59:59.999999999Z"));
        check("2016-12-31T23:59:61Z", Err(TimeError::Calendar));
    }

    #[test]
    fn impossible_dates_are_rejected() {
        for text in [
            "2025-00-08T06:59:08Z",
            "2025-13-08T06:59:08Z",
            "2025-02-29T06:59:08Z",
            "2025-08-32T06:59:08Z",
            "2025-08-08T24:00:00Z",
            "2025-08-08T06:60:08Z",
            "2025-08-08T06:59:08+24:00",
            "2025-08-08T06:59:08+00:60",
            "9999-12-31T23:59:59-23:59",
        ] {
            check(text, Err(TimeError::Calendar));
        }
    }

    #[test]
    fn other_formats_are_rejected() {
        for text in [
            "",
            "-",
            "2025-08-08",
            "2025-08-08 06:59:08Z",
            "2025-08-08t06:59:08Z",
            "2025-08-08T06:59:08z",
            "2025-08-08T06:59:08",
            "2025-08-08T06:59:08.Z",
            "2025-08-08T06:59:08.1234567890Z",
            "2025-08-08T06:59:08,5Z",
            "2025-08-08T06:59Z",
            "2025-8-8T06:59:08Z",
            "+2025-08-08T06:59:08Z",
            "2025-08-08T06:59:08+0000",
            "2025-08-08T06:59:08+00",
            "2025-08-08T06:59:08Z ",
            "2025-08-08T06:59:08Z[UTC]",
        ] {
            check(text, Err(TimeError::Shape));
        }
        assert_eq!(parse(b"2025-08-08T06:59:0\xff8Z"), Err(TimeError::Shape));
    }

    #[test]
    fn before_the_first_time_no_minute_is_known() {
        let mut text = *b"2025-08-08T06:59:08.592108+00:00";
        text[..16].fill(0);
        assert_eq!(Times::default().parse(&text), Err(TimeError::Shape));
    }

    proptest! {
        #[test]
        fn a_time_means_the_same_after_any_other(
            times in prop::collection::vec(
                (
                    prop_oneof![Just("2025-08-08T06:59"), Just("2025-08-08T07:00"), Just("2025-02-29T07:00")],
                    prop_oneof![Just(":08"), Just(":59"), Just(":60"), Just(":61"), Just(".08")],
                    prop_oneof![Just(".592108"), Just(".59210"), Just(".5921O8"), Just("")],
                    prop_oneof![Just("+00:00"), Just("+01:00"), Just("Z"), Just("+00:00 ")],
                    any::<Option<(usize, u8)>>(),
                ),
                0..9,
            ),
        ) {
            let mut of_batch = Times::default();
            for (minute, second, fraction, zone, change) in times {
                let mut text = format!("{minute}{second}{fraction}{zone}").into_bytes();
                if let Some((place, octet)) = change {
                    let length = text.len();
                    text[place % length] = octet;
                }
                assert_eq!(of_batch.parse(&text), parse(&text), "{}", text.escape_ascii());
            }
        }
    }
}
