//! The times of exports: every form of [`time`], and those with the names of months, as in
//! `Tue, 09 Jun 2026 02:00:00 +0000` or `Jun 9, 2026 @ 02:00:00.000`.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

use crate::replay::archive::time::{self, MONTHS, Written};

/// Reads a whole field of an export.
pub(super) fn field(text: &[u8]) -> Option<Written> {
    time::field(text).or_else(|| spelled(text))
}

/// A day, a month's name, a year and a clock, in any order.
pub(super) fn spelled(text: &[u8]) -> Option<Written> {
    // The name of a zone, which repeats what is in front of it.
    let text = text.split(|octet| *octet == b'(').next()?;
    let words = text.split(|octet| b" ,@".contains(octet)).filter(|word| !word.is_empty());
    let mut parts = Parts::default();
    for word in words {
        parts.add(word)?;
    }
    let date = Date::new(parts.year?, parts.month?, parts.day?).ok()?;
    let local = DateTime::from_parts(date, parts.clock()?);
    match parts.zone {
        None => Some(Written::Local(local)),
        Some(zone) => zone.to_timestamp(local).ok().map(Written::At),
    }
}

#[derive(Default)]
struct Parts {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    clock: Option<Time>,
    is_afternoon: Option<bool>,
    zone: Option<Offset>,
}

// === impl Parts ===

impl Parts {
    /// Adds a word; none if it is not part of a time.
    fn add(&mut self, word: &[u8]) -> Option<()> {
        if let Some(month) = month(word).filter(|_| self.month.is_none()) {
            self.month = Some(month);
        } else if let Some((clock, zone)) = time::clock(word).filter(|_| self.clock.is_none()) {
            self.clock = Some(clock);
            self.add_zone(zone)?;
        } else if word.iter().all(u8::is_ascii_digit) {
            let number: i16 = str::from_utf8(word).ok()?.parse().ok()?;
            match word.len() {
                4 if self.year.is_none() => self.year = Some(number),
                1 | 2 if self.day.is_none() => self.day = Some(i8::try_from(number).ok()?),
                _ => return None,
            }
        } else if let Some(is_afternoon) = time::half(word) {
            self.is_afternoon = Some(is_afternoon);
        } else if !is_weekday(word) {
            self.add_zone(word)?;
        }
        Some(())
    }

    fn add_zone(&mut self, word: &[u8]) -> Option<()> {
        let distance = [&b"GMT"[..], b"UTC"].iter().find_map(|name| word.strip_prefix(*name)).unwrap_or(word);
        if distance.is_empty() {
            self.zone = self.zone.or((!word.is_empty()).then_some(Offset::UTC));
        } else {
            self.zone = Some(time::offset(distance)?);
        }
        Some(())
    }

    fn clock(&self) -> Option<Time> {
        let clock = self.clock?;
        self.is_afternoon.map_or(Some(clock), |is_afternoon| time::halved(clock, is_afternoon))
    }
}

/// `Jun`, `June` or `Jun.`
pub(super) fn month(word: &[u8]) -> Option<i8> {
    let name = word.get(..3)?;
    let is_word = word.iter().all(|octet| octet.is_ascii_alphabetic() || *octet == b'.');
    let place = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name)).filter(|_| is_word)?;
    i8::try_from(place + 1).ok()
}

pub(super) fn is_weekday(word: &[u8]) -> bool {
    let is_name = |day: &&[u8]| word.get(..3).is_some_and(|name| name.eq_ignore_ascii_case(day));
    let days: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
    word.iter().all(u8::is_ascii_alphabetic) && days.iter().any(is_name)
}

#[cfg(test)]
mod tests {
    use super::spelled;
    use crate::replay::archive::time::Written;

    #[test]
    fn a_month_may_have_its_name() {
        for (text, expect) in [
            ("Jun 9, 2026 @ 02:00:00.500", Some("2026-06-09T02:00:00.5")),
            ("Tue, 09 Jun 2026 02:00:00 +0000", Some("2026-06-09T02:00:00Z")),
            (
                "Tue Jun 09 2026 04:00:00 GMT+0200 (Central European Summer Time)",
                Some("2026-06-09T02:00:00Z"),
            ),
            ("Tue Jun  9 02:00:00 UTC 2026", Some("2026-06-09T02:00:00Z")),
            ("Tue Jun  9 02:00:00 2026", Some("2026-06-09T02:00:00")),
            ("June 9, 2026 12:00:00 AM", Some("2026-06-09T00:00:00")),
            ("Jun 9 2026 02:00:00 PM", Some("2026-06-09T14:00:00")),
            ("Jun 9, 2026", None),
            ("Jun 9 02:00:00", None),
            ("Jun 9 2026 02:00:00 maybe", None),
            ("Jun 31 2026 02:00:00", None),
            ("Jun 9 2026 14:00:00 PM", None),
        ] {
            let read = spelled(text.as_bytes()).map(|written| match written {
                Written::At(at) => at.to_string(),
                Written::Local(local) => local.to_string(),
                Written::Day(_) | Written::Numeric(_) => unreachable!("there is a year and a name"),
            });
            assert_eq!(read.as_deref(), expect, "{text}");
        }
    }
}
