//! The time at the start of a line, in every form: those of [`time`], and those that only some tools write.
//!
//! ```text
//! leading = time / numeric / epoch                      ; epoch as in exports, of ten digits or more
//!         / [ weekday SP ] time                         ; journalctl -o short-full
//!         / day [ "," ] year clock … / weekday day clock … year   ; `date`, RFC 2822
//!         / "[" leading "]"
//! time    = … [ SP ( "AM" / "PM" ) ]
//! ```

use jiff::civil::DateTime;

use crate::replay::archive::time::{self, Day, Written, word};
use crate::replay::archive::{numeric, spelled};

/// Reads the time at the start of a line: the time, its text, and the text after the space behind it.
#[inline]
pub(super) fn leading(text: &[u8]) -> Option<(Written, &[u8], &[u8])> {
    match text.first()? {
        b'0'..=b'9' => time::leading(text)
            .and_then(|read| halved(text, read))
            .or_else(|| numeric::leading(text))
            .or_else(|| epoch(text)),
        b'A'..=b'Z' => with_names(text),
        b'[' => bracketed(text),
        _ => None,
    }
}

/// Whether `text` begins with what would be a time if it had seconds: spreadsheets drop them.
pub(super) fn lacks_seconds(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"\"").unwrap_or(text);
    let front = &text[..text.len().min(CLOCK_WITHIN)];
    let is_clock =
        |at: &usize| matches!(&front[at - 2..at + 3], [_, b'0'..=b'9', b':', b'0'..=b'5', b'0'..=b'9']);
    let Some(at) = (2..front.len().saturating_sub(2)).find(is_clock) else { return false };
    let (clock, rest) = text.split_at(at + 3);
    if rest.first().is_some_and(|next| next.is_ascii_digit() || *next == b':') {
        return false;
    }
    // A column may end here.
    let rest = if rest.first().is_some_and(|next| b",;\"".contains(next)) { &b" "[..] } else { rest };
    leading(&[clock, b":00", &rest[..rest.len().min(CLOCK_WITHIN)]].concat()).is_some()
}

/// Octets from the start of a line within which a date is over.
const CLOCK_WITHIN: usize = 32;

/// Reads a whole field of an export.
pub(super) fn field(text: &[u8]) -> Option<Written> {
    spelled::field(text).or_else(|| match leading(text.trim_ascii()) {
        Some((written, _, [])) => Some(written),
        _ => None,
    })
}

/// A clock of twelve hours has its half behind it; none if it shows more than twelve.
fn halved<'t>(
    text: &'t [u8],
    (written, time, rest): (Written, &'t [u8], &'t [u8]),
) -> Option<(Written, &'t [u8], &'t [u8])> {
    let (name, behind) = word(rest);
    let Some(is_afternoon) = time::half(name) else { return Some((written, time, rest)) };
    let clock = |clock| time::halved(clock, is_afternoon);
    let written = match written {
        Written::At(_) | Written::Numeric(_) => return Some((written, time, rest)),
        Written::Local(local) => Written::Local(DateTime::from_parts(local.date(), clock(local.time())?)),
        Written::Day(day) => Written::Day(Day { clock: clock(day.clock)?, ..day }),
    };
    let (zone, after) = word(behind);
    let (written, rest) = match (written, time::zone_word(zone)) {
        (Written::Local(local), Some(zone)) => (Written::At(zone.to_timestamp(local).ok()?), after),
        (written, _) => (written, behind),
    };
    Some((written, text[..text.len() - rest.len()].trim_ascii_end(), rest))
}

/// Ten digits, with a fraction or without, 13, 16 or 19 digits: a shorter number may be anything.
fn epoch(text: &[u8]) -> Option<(Written, &[u8], &[u8])> {
    let (number, rest) = word(text);
    let digits = number.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let is_epoch = matches!(digits, 10 | 13 | 16 | 19)
        && (digits == number.len() || (digits == 10 && number[10] == b'.'));
    is_epoch.then_some((time::field(number)?, number, rest))
}

/// A time that begins with the name of a month or of a weekday.
fn with_names(text: &[u8]) -> Option<(Written, &[u8], &[u8])> {
    let (first, rest) = word(text);
    let is_weekday = spelled::is_weekday(first.strip_suffix(b",").unwrap_or(first));
    if !is_weekday {
        let _month = spelled::month(first)?;
        let plain = time::leading(text).and_then(|read| halved(text, read));
        return plain.or_else(|| with_year(text));
    }
    with_year(text).or_else(|| {
        let rest = rest.trim_ascii_start();
        let (written, time, behind) = time::leading(rest).and_then(|read| halved(rest, read))?;
        let front = text.len() - rest.len();
        Some((written, &text[..front + time.len()], behind))
    })
}

/// A time that has a year behind its day, or at its end.
fn with_year(text: &[u8]) -> Option<(Written, &[u8], &[u8])> {
    let spaces = text.iter().enumerate().filter(|(_, octet)| **octet == b' ').map(|(at, _)| at);
    let ends: Vec<_> = spaces.take(WORDS_MAX).chain([text.len()]).collect();
    ends.iter().rev().find_map(|end| {
        // The space behind a time ends it, so that nothing else is part of it.
        let time = &text[..*end];
        let is_ended = !time.ends_with(b" ") && !time.ends_with(b"@");
        let written = is_ended.then(|| spelled::spelled(time))??;
        Some((written, time, text.get(end + 1..).unwrap_or_default()))
    })
}

/// Words and double spaces in `Tue Jun  9 02:00:00 UTC 2026`, and a half.
const WORDS_MAX: usize = 8;

/// `[2025-01-02 00:51:32] ` or `[02/Jan/2025:00:51:32 +0000] `.
fn bracketed(text: &[u8]) -> Option<(Written, &[u8], &[u8])> {
    let end = text.iter().take(BRACKETED_BYTES_MAX).position(|octet| *octet == b']')?;
    let inner = &text[1..end];
    let written = match leading(inner) {
        Some((written, _, [])) => written,
        _ => common(inner)?,
    };
    let rest = &text[end + 1..];
    let rest = rest.strip_prefix(b" ").or(rest.is_empty().then_some(rest))?;
    Some((written, &text[..=end], rest))
}

/// The longest time in brackets, with names, a fraction and a zone.
const BRACKETED_BYTES_MAX: usize = 48;

/// `02/Jan/2025:00:51:32 +0000`, as web servers write it.
fn common(text: &[u8]) -> Option<Written> {
    let [b'0'..=b'9', b'0'..=b'9', b'/', _, _, _, b'/', _, _, _, _, b':', ..] = text else { return None };
    let spaced: Vec<u8> = [&text[..2], b" ", &text[3..6], b" ", &text[7..11], b" ", &text[12..]].concat();
    spelled::spelled(&spaced)
}

#[cfg(test)]
mod tests {
    use super::{field, lacks_seconds, leading};
    use crate::replay::archive::time::Written;

    fn shown(written: Written) -> String {
        match written {
            Written::At(at) => at.to_string(),
            Written::Local(local) => local.to_string(),
            Written::Day(day) => format!("{}/{} {}", day.day, day.month, day.clock),
            Written::Numeric(_) => "numeric".to_owned(),
        }
    }

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let line = format!("{text} acme heroku[web.1]: x");
        let read = leading(line.as_bytes()).map(|(written, time, rest)| {
            assert_eq!(String::from_utf8_lossy(time), text);
            assert_eq!(rest, b"acme heroku[web.1]: x", "{text}");
            shown(written)
        });
        assert_eq!(read.as_deref(), expect, "{text}");
    }

    #[test]
    fn a_time_without_seconds_is_told_from_other_text() {
        for text in [
            "2025-01-02 00:51 heroku[web.1]: x",
            "2025-01-02T00:51Z heroku[web.1]: x",
            "Jan 02 00:51 acme heroku/web.1: x",
            "1/2/2025 0:51,heroku/web.1,x",
            "\"1/2/2025 00:51\";heroku/web.1;x",
            "2025-01-02 12:51 PM heroku[web.1]: x",
        ] {
            assert!(lacks_seconds(text.as_bytes()), "{text}");
        }
        for text in [
            "2025-01-02 00:51:32 heroku[web.1]: x",
            "00:51 heroku[web.1]: x",
            "at 00:51 x",
            "12:51 PM 2025-01-02T00:51:32Z heroku[web.1]: x",
            "x.log:12:34",
            "0:51",
            "",
        ] {
            assert!(!lacks_seconds(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_line_may_begin_with_any_of_these_times() {
        check("2025-01-02T00:51:32Z", Some("2025-01-02T00:51:32Z"));
        check("2025-01-02 12:51:32 AM", Some("2025-01-02T00:51:32"));
        check("2025-01-02 12:51:32.5 PM", Some("2025-01-02T12:51:32.5"));
        check("2025-01-02 01:51:32 PM +0100", Some("2025-01-02T12:51:32Z"));
        check("Jan 08 10:55:11", Some("8/1 10:55:11"));
        check("Jan 08 10:55:11 PM", Some("8/1 22:55:11"));
        check("Thu Jan  2 00:51:32", Some("2/1 00:51:32"));
        check("Jan 02 2025 00:51:32", Some("2025-01-02T00:51:32"));
        check("Jan 2, 2025 @ 00:51:32.761", Some("2025-01-02T00:51:32.761"));
        check("January 2, 2025 12:51:32 AM", Some("2025-01-02T00:51:32"));
        check("Thu Jan  2 00:51:32 2025", Some("2025-01-02T00:51:32"));
        check("Thu Jan  2 00:51:32 UTC 2025", Some("2025-01-02T00:51:32Z"));
        check("Thu, 02 Jan 2025 00:51:32 +0000", Some("2025-01-02T00:51:32Z"));
        check("Thu 2025-01-02 00:51:32 UTC", Some("2025-01-02T00:51:32Z"));
        check("1735779092", Some("2025-01-02T00:51:32Z"));
        check("1735779092.761", Some("2025-01-02T00:51:32.761Z"));
        check("1735779092761", Some("2025-01-02T00:51:32.761Z"));
        check("1735779092761835", Some("2025-01-02T00:51:32.761835Z"));
        check("1735779092761835000", Some("2025-01-02T00:51:32.761835Z"));
        check("[2025-01-02T00:51:32Z]", Some("2025-01-02T00:51:32Z"));
        check("[2025-01-02 00:51:32]", Some("2025-01-02T00:51:32"));
        check("[Jan 02 00:51:32]", Some("2/1 00:51:32"));
        check("[02/Jan/2025:00:51:32 +0000]", Some("2025-01-02T00:51:32Z"));
        check("1/2/2025 12:51:32 AM", Some("numeric"));
        for text in [
            "2025-01-02 13:51:32 PM",
            "12",
            "173577909",
            "17357790921",
            "[web]",
            "[36m",
            "Thu",
            "Jan 08",
            "May be 2025 00:51:32",
            "Thursday x 2025 00:51:32",
            "",
        ] {
            check(text, None);
        }
        assert_eq!(field(b"1/2/2025 0:51:32").map(shown).as_deref(), Some("numeric"));
        assert_eq!(field(b"2025-01-02 12:51:32 AM").map(shown).as_deref(), Some("2025-01-02T00:51:32"));
        assert_eq!(field(b"1/2/2025 0:51:32 x"), None);
    }
}
