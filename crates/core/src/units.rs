//! The units of settings: spans of time, sizes, rates and memory bounds.
//!
//! The grammars are those of the manual: a whole number and a unit. A library that also understands months,
//! or guesses at `5 M`, would accept unintended values.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use crate::event::Megabytes;
use crate::policy::{Factor, MemoryBound, Proof, Rate};

/// The expected form of a text; its `Display` lists all that is allowed, with examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// See [`duration`].
    #[error("a duration such as 300ms, 30s, 5m, 2h, 1d or 1h30m")]
    Duration,
    /// See [`Factor`].
    #[error("a multiple such as 1.5x or 2x")]
    Factor,
    /// See [`MemoryBound`].
    #[error("a percentage of the quota such as 95% or 102.5%, or a size such as 480MB or 1.5GB")]
    Memory,
    /// See [`Proof`].
    #[error("two numbers such as \"2 of 3\", the first not above the second")]
    Proof,
    /// See [`Rate`].
    #[error("a number and a duration, such as 3/2h for three in any two hours")]
    Rate,
    /// See [`bytes()`].
    #[error("a size such as 4096, 512KiB, 4MiB or 2MB")]
    Size,
}

/// Reads `1h30m`: whole numbers with the units `d`, `h`, `m`, `s` and `ms`, the larger ones first, each at
/// most once.
///
/// # Errors
/// [`UnitError::Duration`] for anything else, and for a span that no `u64` of milliseconds holds.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    let mut rest = text;
    let mut units = SPANS.iter();
    let mut millis = 0_u64;
    while !rest.is_empty() || text.is_empty() {
        let (number, after) = whole_number(rest).ok_or(UnitError::Duration)?;
        let name_bytes = after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len());
        let (name, after) = after.split_at(name_bytes);
        // Continuing with the same iterator rejects a unit that is out of order or repeated.
        let (_, each) = units.find(|(unit, _)| *unit == name).ok_or(UnitError::Duration)?;
        let part = number.checked_mul(*each).ok_or(UnitError::Duration)?;
        millis = millis.checked_add(part).ok_or(UnitError::Duration)?;
        rest = after;
    }
    Ok(Duration::from_millis(millis))
}

/// Formats a span as [`duration`] reads it, to the millisecond: `1h30m`.
pub fn spell_duration(span: Duration) -> String {
    let mut rest = span.as_millis();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, each) in SPANS {
        let each = u128::from(each);
        if rest >= each {
            text.push_str(&format!("{}{unit}", rest / each));
            rest %= each;
        }
    }
    text
}

/// Units of time and their milliseconds, the largest first.
const SPANS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads `4MiB`: a whole number of bytes, or of a unit. `KiB`, `MiB` and `GiB` are powers of 1024, `KB`, `MB`
/// and `GB` powers of 1000.
///
/// # Errors
/// [`UnitError::Size`] for anything else, and for a size that no `u64` of bytes holds.
pub fn bytes(text: &str) -> Result<u64, UnitError> {
    let (number, name) = whole_number(text).ok_or(UnitError::Size)?;
    let (_, each) = SIZES.iter().find(|(unit, _)| *unit == name).ok_or(UnitError::Size)?;
    number.checked_mul(*each).ok_or(UnitError::Size)
}

/// Formats a size as [`bytes()`] reads it, in the largest unit that divides it.
pub fn spell_bytes(bytes: u64) -> String {
    let whole = SIZES.iter().find(|(_, each)| bytes >= *each && bytes.is_multiple_of(*each));
    whole.map_or_else(|| bytes.to_string(), |(unit, each)| format!("{}{unit}", bytes / each))
}

/// Units of size and their bytes, the larger first if the smaller one divides it.
const SIZES: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
    ("", 1),
];

/// The number at the start of `text`, and the rest.
fn whole_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

/// A number with up to `places` decimals, as a whole number of its last place, and the rest: `102.5%` with
/// one place is 1025 and `%`.
fn fixed_point(text: &str, places: usize) -> Option<(u64, &str)> {
    let (whole, mut rest) = whole_number(text)?;
    let mut value = whole;
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        (fraction, rest) = after.split_at(digits);
        if !(1..=places).contains(&digits) {
            return None;
        }
    }
    for place in 0..places {
        let digit = fraction.as_bytes().get(place).map_or(0, |byte| u64::from(byte - b'0'));
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    Some((value, rest))
}

// === impl Rate ===

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (count, per) = text.split_once('/').ok_or(UnitError::Rate)?;
        let (count, rest) = whole_number(count).ok_or(UnitError::Rate)?;
        let count = u32::try_from(count).ok().and_then(NonZeroU32::new).ok_or(UnitError::Rate)?;
        let per = duration(per).map_err(|_| UnitError::Rate)?;
        if rest.is_empty() && !per.is_zero() { Ok(Self { count, per }) } else { Err(UnitError::Rate) }
    }
}

// === impl Factor ===

impl FromStr for Factor {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let Some((permille, "x")) = fixed_point(text, 3) else { return Err(UnitError::Factor) };
        Ok(Self { permille: u32::try_from(permille).map_err(|_| UnitError::Factor)? })
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x", f64::from(self.permille) / 1000.0)
    }
}

// === impl Proof ===

impl FromStr for Proof {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (breached, of) = text.split_once(" of ").ok_or(UnitError::Proof)?;
        let number = |text: &str| match whole_number(text.trim()) {
            Some((number, "")) => u32::try_from(number).map_err(|_| UnitError::Proof),
            _ => Err(UnitError::Proof),
        };
        Ok(Self { breached: number(breached)?, of: number(of)? })
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.breached, self.of)
    }
}

// === impl MemoryBound ===

impl FromStr for MemoryBound {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if let Some((permille, "%")) = fixed_point(text, 1) {
            let permille = u32::try_from(permille).map_err(|_| UnitError::Memory)?;
            return Ok(Self::OfQuota { permille });
        }
        // The platform's units: `sample#memory_quota` of a dyno with 1 GB is `1024.00MB`.
        let hundredths = match fixed_point(text, 2) {
            Some((hundredths, "MB")) => hundredths,
            Some((hundredths, "GB")) => hundredths.checked_mul(1024).ok_or(UnitError::Memory)?,
            _ => return Err(UnitError::Memory),
        };
        Ok(Self::Size(Megabytes { hundredths }))
    }
}

impl fmt::Display for MemoryBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfQuota { permille } if permille % 10 == 0 => write!(f, "{}%", permille / 10),
            Self::OfQuota { permille } => write!(f, "{}.{}%", permille / 10, permille % 10),
            Self::Size(size) => write!(f, "{size}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{bytes, duration, spell_bytes, spell_duration};
    use crate::policy::{MemoryBound, Rate};

    #[track_caller]
    fn check_duration(text: &str, millis: Option<u64>) {
        assert_eq!(duration(text).ok(), millis.map(Duration::from_millis), "{text}");
    }

    #[test]
    fn durations_are_whole_numbers_with_units() {
        check_duration("300ms", Some(300));
        check_duration("30s", Some(30_000));
        check_duration("5m", Some(300_000));
        check_duration("2h", Some(7_200_000));
        check_duration("1d", Some(86_400_000));
        check_duration("1h30m", Some(5_400_000));
        check_duration("1d2h3m4s5ms", Some(93_784_005));
        check_duration("0s", Some(0));
        check_duration("007s", Some(7000));
        for text in [
            "", " ", "10", "s", "m5", "1.5h", "-5s", "+5s", "5 m", "5m ", " 5m", "5M", "5min", "1mo", "1w",
            "30m1h", "5m5m", "1h30", "٣s", "5µs", "1e3s",
        ] {
            check_duration(text, None);
        }
    }

    #[test]
    fn no_number_overflows() {
        check_duration("18446744073709551615ms", Some(u64::MAX));
        check_duration("18446744073709551616ms", None);
        check_duration("18446744073709551615d", None);
        check_duration("213503982334d18446744073709551615ms", None);
        assert!(bytes("18446744073709551615").is_ok());
        assert!(bytes("18446744073709551615KiB").is_err());
        assert!("4294967296/1h".parse::<Rate>().is_err());
        assert!("18446744073709551615GB".parse::<MemoryBound>().is_err());
        assert!("18446744073709551615%".parse::<MemoryBound>().is_err());
    }

    #[test]
    fn sizes_distinguish_powers_of_1024_and_1000() {
        for (text, expect) in [
            ("4096", 4096),
            ("1B", 1),
            ("512KiB", 524_288),
            ("4MiB", 4_194_304),
            ("1GiB", 1 << 30),
            ("2MB", 2_000_000),
            ("3KB", 3000),
        ] {
            assert_eq!(bytes(text), Ok(expect), "{text}");
        }
        for text in ["", "MiB", "4 MiB", "4mib", "4M", "4.5MiB", "-1", "4MiB ", "0x10"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert_eq!(spell_bytes(0), "0");
    }

    #[test]
    fn a_rate_is_a_number_and_a_span() {
        let rate: Rate = "3/2h".parse().expect("a rate");
        assert_eq!((rate.count.get(), rate.per), (3, Duration::from_secs(7200)));
        for text in ["", "3", "3/", "/2h", "0/2h", "3/0s", "3 / 2h", "3/2", "-3/2h", "3x/2h", "3/2h/1h"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_memory_bound_is_a_share_or_a_size() {
        for (text, expect) in [
            ("95%", "95%"),
            ("102.5%", "102.5%"),
            ("0.1%", "0.1%"),
            ("480MB", "480MB"),
            ("480.25MB", "480.25MB"),
            ("1.5GB", "1536MB"),
        ] {
            assert_eq!(text.parse::<MemoryBound>().map(|bound| bound.to_string()), Ok(expect.to_owned()));
        }
        for text in
            ["", "95", "%", "95 %", "95.25%", "95.%", ".5%", "480", "480KB", "480mb", "1.234MB", "-1%"]
        {
            assert!(text.parse::<MemoryBound>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn formatted_values_are_read_back(millis in any::<u64>(), size in any::<u64>()) {
            let span = Duration::from_millis(millis);
            prop_assert_eq!(duration(&spell_duration(span)), Ok(span));
            prop_assert_eq!(bytes(&spell_bytes(size)), Ok(size));
        }

        #[test]
        fn any_text_is_read_without_panic(text in any::<String>()) {
            let _ = (duration(&text), bytes(&text), text.parse::<Rate>(), text.parse::<MemoryBound>());
        }
    }
}
