//! `policy.window`: the hours of the week in which restarts are allowed.
//!
//! A window is a set of days and two times of day on the wall clock of a zone. Membership depends only on
//! what that clock shows at an instant, so daylight saving needs no rule of its own. Times that the clock
//! skips never come: a window that lies wholly in the skipped hour does not open on that day. Times that it
//! shows twice count twice: the night on which the clock goes back has an hour more. The zone is UTC unless
//! one is given.
//!
//! Zones come from the compiled-in database, never from the machine. The same settings mean the same hours in
//! an image without zone files, and reading them does no I/O.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::time;

/// One window, such as `Mon-Fri 00:00-06:00 America/New_York`.
///
/// ```text
/// window = "quiet" | [days SP] hours [SP zone]
/// days   = "daily" / range *("," range)     ; without days: every day
/// range  = day ["-" day]                    ; Mon Tue Wed Thu Fri Sat Sun; Sat-Mon goes over the week's end
/// hours  = HH:MM "-" HH:MM                  ; the end is not part of it; 24:00 is the end of the day
/// zone   = an IANA name                     ; without a zone: UTC
/// ```
///
/// Hours whose end is not after their start go past midnight and belong to the day on which they start:
/// `Fri 22:00-04:00` ends on Saturday. `quiet` is the app's three quietest hours, which are learned.
#[derive(Clone, Debug, PartialEq)]
pub enum Window {
    Fixed(FixedWindow),
    Quiet,
}

/// A window of the settings' own hours.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedWindow {
    days: Days,
    /// Minutes after midnight.
    start: u16,
    /// Minutes after midnight; less than `start` for a window that goes past midnight.
    end: u16,
    zone: TimeZone,
}

/// What is wrong with the text of a window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    #[error("the days must be `daily` or days such as Mon-Fri or Mon,Wed,Sat-Sun")]
    Days,
    /// Both times are equal.
    #[error("it must not end when it starts; a whole day is 00:00-24:00")]
    Empty,
    /// Missing or invalid times.
    #[error("the hours must be two times such as 00:00-06:00, the end at most 24:00")]
    Hours,
    /// Text after the zone, or parts out of order.
    #[error("the order is days, hours, time zone, such as Mon-Fri 00:00-06:00 America/New_York")]
    Order,
    #[error(
        "the time zone must be a name of the IANA database such as UTC, America/New_York or Europe/Berlin"
    )]
    Zone,
}

/// Why no window is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shut {
    /// When one opens next; none if none does within three weeks.
    Until(Option<Timestamp>),
    /// The quiet hours are not known, and no other window is open.
    QuietUnknown,
}

/// Whether restarts are allowed at `at` by windows that name their hours; without windows they always are.
pub fn open(windows: &[Window], at: Timestamp) -> bool {
    check(windows, None, at).is_ok()
}

/// The next time at which restarts are allowed by windows that name their hours: `at` itself if they are now.
/// `None` if there is none within three weeks; any week with one ordinary day has one.
pub fn next_open(windows: &[Window], at: Timestamp) -> Option<Timestamp> {
    match check(windows, None, at) {
        Ok(()) => Some(at),
        Err(Shut::Until(opens)) => opens,
        Err(Shut::QuietUnknown) => None,
    }
}

/// Checks whether restarts are allowed at `at`. `quiet` are the app's quiet hours, if known.
///
/// # Errors
/// No window is open.
pub fn check(windows: &[Window], quiet: Option<&QuietHours>, at: Timestamp) -> Result<(), Shut> {
    let fixed = || windows.iter().filter_map(Window::fixed);
    let has_quiet = windows.contains(&Window::Quiet);
    let is_open = fixed().any(|window| window.contains(at))
        || (has_quiet && quiet.is_some_and(|quiet| quiet.contains(at)));
    if windows.is_empty() || is_open {
        return Ok(());
    }
    if has_quiet && quiet.is_none() {
        return Err(Shut::QuietUnknown);
    }
    let learned = quiet.filter(|_| has_quiet).map(QuietHours::window);
    Err(Shut::Until(fixed().chain(learned.as_ref()).filter_map(|window| window.next_start(at)).min()))
}

/// The hours of a day in which an app has the fewest requests.
#[derive(Clone, Debug, PartialEq)]
pub struct QuietHours {
    /// The hour at which they begin, from 0 to 23.
    pub from: u8,
    pub zone: TimeZone,
}

/// How many hours are quiet.
pub const QUIET_HOURS: u8 = 3;

impl QuietHours {
    /// The hour at which they end, from 0 to 23.
    pub fn to(&self) -> u8 {
        (self.from + QUIET_HOURS) % 24
    }

    pub fn contains(&self, at: Timestamp) -> bool {
        self.window().contains(at)
    }

    fn window(&self) -> FixedWindow {
        let minute = |hour: u8| u16::from(hour) * 60;
        FixedWindow {
            days: Days::ALL,
            start: minute(self.from % 24),
            end: minute(self.to()),
            zone: self.zone.clone(),
        }
    }
}

/// Splits a comma-separated list of windows. A comma inside a list of days (`Mon,Wed 00:00-06:00`) does not
/// separate: every window has a `:` in its hours, and no day has one. `quiet` stands alone.
pub fn split_list(text: &str) -> Vec<&str> {
    let mut windows = Vec::new();
    let mut start = 0;
    for (comma, _) in text.match_indices(',') {
        if text[start..comma].contains(':') || text[start..comma].trim() == "quiet" {
            windows.push(text[start..comma].trim());
            start = comma + 1;
        }
    }
    windows.push(text[start..].trim());
    windows
}

// === impl Window ===

impl Window {
    /// Its zone; none for the quiet hours.
    pub fn zone(&self) -> Option<&TimeZone> {
        self.fixed().map(|window| &window.zone)
    }

    fn fixed(&self) -> Option<&FixedWindow> {
        match self {
            Self::Fixed(window) => Some(window),
            Self::Quiet => None,
        }
    }
}

// === impl FixedWindow ===

impl FixedWindow {
    /// Whether the zone's wall clock shows a time of this window at `at`.
    pub fn contains(&self, at: Timestamp) -> bool {
        let clock = self.zone.to_datetime(at);
        let minute = clock.hour() as u16 * 60 + clock.minute() as u16;
        let today = self.days.has(clock.weekday());
        if self.start < self.end {
            return today && (self.start..self.end).contains(&minute);
        }
        let yesterday = self.days.has(clock.weekday().previous());
        (today && minute >= self.start) || (yesterday && minute < self.end)
    }

    /// The first instant after `at` that lies inside; `at` lies outside.
    ///
    /// The clock enters a window only by reaching its start or by being changed, so only those instants of
    /// the coming days need checking.
    fn next_start(&self, at: Timestamp) -> Option<Timestamp> {
        let horizon = time::later(at, HORIZON);
        let start = Time::midnight().wrapping_add(Duration::from_secs(u64::from(self.start) * 60));
        let today = self.zone.to_datetime(at).date();
        let starts = today.series(jiff::Span::new().days(1)).take(HORIZON_DAYS).flat_map(|day| {
            let clock = day.to_datetime(start);
            // A time shown twice is reached twice. A skipped time gives the two instants next to the gap; the
            // check below decides whether they lie in the window.
            let both = [
                self.zone.to_ambiguous_timestamp(clock).earlier(),
                self.zone.to_ambiguous_timestamp(clock).later(),
            ];
            both.into_iter().flatten()
        });
        let moves = self
            .zone
            .following(at)
            .map(|transition| transition.timestamp())
            .take_while(|moved| *moved <= horizon);
        starts.chain(moves).filter(|candidate| *candidate > at && self.contains(*candidate)).min()
    }
}

/// Far enough for a window of one day a week that loses an hour to daylight saving: two weeks and a day.
const HORIZON_DAYS: usize = 22;
const HORIZON: Duration = Duration::from_secs(HORIZON_DAYS as u64 * 86_400);

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        if text.trim() == "quiet" { Ok(Self::Quiet) } else { text.parse().map(Self::Fixed) }
    }
}

impl FromStr for FixedWindow {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let hours = parts.iter().position(|part| part.contains(':')).ok_or(WindowError::Hours)?;
        // `Mon, Wed` is one list of days, whatever its spaces.
        let days = parts[..hours].concat();
        let days = if days.is_empty() { Days::ALL } else { days.parse()? };
        let (start, end) = parts[hours].split_once('-').ok_or(WindowError::Hours)?;
        let (start, end) = (minute(start)?, minute(end)?);
        if start == DAY_MINUTES {
            return Err(WindowError::Hours);
        }
        if start == end {
            return Err(WindowError::Empty);
        }
        let zone = match &parts[hours + 1..] {
            [] => TimeZone::UTC,
            [name] => zone(name)?,
            _ => return Err(WindowError::Order),
        };
        Ok(Self { days, start, end, zone })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(window) => window.fmt(f),
            Self::Quiet => f.write_str("quiet"),
        }
    }
}

impl fmt::Display for FixedWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { days, start, end, zone } = self;
        let zone = zone.iana_name().unwrap_or("UTC");
        write!(f, "{days} {:02}:{:02}-{:02}:{:02} {zone}", start / 60, start % 60, end / 60, end % 60)
    }
}

const DAY_MINUTES: u16 = 24 * 60;

/// Reads `HH:MM`, 24:00 included, as minutes after midnight.
pub(crate) fn minute(text: &str) -> Result<u16, WindowError> {
    let bytes = text.as_bytes();
    if bytes.len() != 5 || bytes[2] != b':' {
        return Err(WindowError::Hours);
    }
    let pair = |tens: u8, ones: u8| {
        let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
        digits.then(|| u16::from(tens - b'0') * 10 + u16::from(ones - b'0')).ok_or(WindowError::Hours)
    };
    let (hour, minute) = (pair(bytes[0], bytes[1])?, pair(bytes[3], bytes[4])?);
    let of_day = hour * 60 + minute;
    if minute < 60 && of_day <= DAY_MINUTES { Ok(of_day) } else { Err(WindowError::Hours) }
}

/// The zone of this name, such as `America/New_York`.
///
/// # Errors
/// There is no such zone.
pub fn zone(name: &str) -> Result<TimeZone, WindowError> {
    let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| WindowError::Zone)?;
    if zone.is_unknown() { Err(WindowError::Zone) } else { Ok(zone) }
}

/// Days of the week, one bit each, Monday the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Days(u8);

impl Days {
    const ALL: Self = Self(0b111_1111);

    fn has(self, day: Weekday) -> bool {
        self.0 & Self::bit(day) != 0
    }

    fn bit(day: Weekday) -> u8 {
        1 << day.to_monday_zero_offset()
    }
}

impl FromStr for Days {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        if text.eq_ignore_ascii_case("daily") {
            return Ok(Self::ALL);
        }
        let mut days = 0;
        for range in text.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (mut at, last) = (day(first)?, day(last)?);
            days |= Self::bit(at);
            while at != last {
                at = at.next();
                days |= Self::bit(at);
            }
        }
        Ok(Self(days))
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("daily");
        }
        let named = DAYS.iter().filter(|(_, day)| self.has(*day)).map(|(name, _)| *name);
        f.write_str(&named.collect::<Vec<_>>().join(","))
    }
}

fn day(name: &str) -> Result<Weekday, WindowError> {
    let found = DAYS.iter().find(|(day, _)| day.eq_ignore_ascii_case(name));
    found.map(|(_, day)| *day).ok_or(WindowError::Days)
}

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::civil::{DateTime, Time, Weekday};
    use jiff::tz::TimeZone;
    use jiff::{Timestamp, ToSpan as _};
    use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::{DAYS, Window, WindowError, next_open, open, split_list};

    fn window(text: &str) -> Window {
        text.parse().expect(text)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    #[track_caller]
    fn check(text: &str, instant: &str, expect: bool) {
        assert_eq!(open(&[window(text)], at(instant)), expect, "{text} at {instant}");
    }

    #[test]
    fn a_window_is_days_hours_and_a_zone() {
        // 2026-01-05 is a Monday.
        check("Mon-Fri 00:00-06:00", "2026-01-05T00:00:00Z", true);
        check("Mon-Fri 00:00-06:00", "2026-01-05T05:59:59.999Z", true);
        check("Mon-Fri 00:00-06:00", "2026-01-05T06:00:00Z", false);
        check("Mon-Fri 00:00-06:00", "2026-01-04T23:59:59Z", false);
        check("Mon-Fri 00:00-06:00 America/New_York", "2026-01-05T00:00:00Z", false);
        check("Mon-Fri 00:00-06:00 America/New_York", "2026-01-05T05:00:00Z", true);
        check("Mon,Wed,Sat-Sun 10:00-11:00", "2026-01-07T10:30:00Z", true);
        check("Mon,Wed,Sat-Sun 10:00-11:00", "2026-01-08T10:30:00Z", false);
        check("Mon, Wed 10:00-11:00", "2026-01-07T10:30:00Z", true);
        check("Sat-Mon 10:00-11:00", "2026-01-05T10:30:00Z", true);
        check("Sat-Mon 10:00-11:00", "2026-01-06T10:30:00Z", false);
        check("daily 10:00-24:00 utc", "2026-01-06T23:59:59Z", true);
        check("10:00-24:00", "2026-01-06T23:59:59Z", true);
        check("10:00-24:00", "2026-01-07T00:00:00Z", false);
        check("00:00-24:00", "2026-01-07T00:00:00Z", true);
    }

    #[test]
    fn hours_past_midnight_belong_to_the_day_they_start_on() {
        check("Fri 22:00-04:00", "2026-01-09T22:00:00Z", true);
        check("Fri 22:00-04:00", "2026-01-10T03:59:00Z", true);
        check("Fri 22:00-04:00", "2026-01-10T04:00:00Z", false);
        check("Fri 22:00-04:00", "2026-01-09T03:59:00Z", false);
        check("Fri 22:00-04:00", "2026-01-10T22:00:00Z", false);
        check("Sun 22:00-00:00", "2026-01-11T23:59:00Z", true);
        check("Sun 22:00-00:00", "2026-01-12T00:00:00Z", false);
    }

    #[test]
    fn a_skipped_hour_never_opens_a_window() {
        // New York, 2026-03-08: 02:00 EST is 03:00 EDT, at 07:00 UTC.
        check("Sun 01:00-04:00 America/New_York", "2026-03-08T06:59:00Z", true);
        check("Sun 01:00-04:00 America/New_York", "2026-03-08T07:00:00Z", true);
        check("Sun 01:00-04:00 America/New_York", "2026-03-08T08:00:00Z", false);
        check("Sun 02:00-03:00 America/New_York", "2026-03-08T07:00:00Z", false);
        let lost = [window("Sun 02:00-03:00 America/New_York")];
        assert_eq!(next_open(&lost, at("2026-03-02T00:00:00Z")), Some(at("2026-03-15T06:00:00Z")));
        let cut = [window("Sun 02:30-04:00 America/New_York")];
        assert_eq!(next_open(&cut, at("2026-03-08T06:00:00Z")), Some(at("2026-03-08T07:00:00Z")));
        // Lord Howe, 2026-10-04: half an hour, 02:00 is 02:30, at 15:30 UTC of the day before.
        check("Sun 02:00-02:30 Australia/Lord_Howe", "2026-10-03T15:30:00Z", false);
        check("Sun 02:00-03:00 Australia/Lord_Howe", "2026-10-03T15:30:00Z", true);
    }

    #[test]
    fn a_repeated_hour_counts_twice() {
        // Berlin, 2026-10-25: 03:00 CEST is 02:00 CET, at 01:00 UTC.
        for (instant, expect) in [
            ("2026-10-24T23:59:00Z", false),
            ("2026-10-25T00:00:00Z", true),
            ("2026-10-25T00:29:00Z", true),
            ("2026-10-25T00:30:00Z", false),
            ("2026-10-25T01:00:00Z", true),
            ("2026-10-25T01:30:00Z", false),
        ] {
            check("Sun 02:00-02:30 Europe/Berlin", instant, expect);
        }
        let twice = [window("Sun 02:00-02:30 Europe/Berlin")];
        assert_eq!(next_open(&twice, at("2026-10-25T00:45:00Z")), Some(at("2026-10-25T01:00:00Z")));
    }

    #[test]
    fn without_windows_restarts_are_always_allowed() {
        let now = at("2026-01-05T12:00:00Z");
        assert!(open(&[], now));
        assert_eq!(next_open(&[], now), Some(now));
        let windows = [window("Tue 00:00-06:00"), window("Mon 22:00-23:00")];
        assert!(!open(&windows, now));
        assert_eq!(next_open(&windows, now), Some(at("2026-01-05T22:00:00Z")));
        assert_eq!(next_open(&windows, Timestamp::MAX), None);
        assert!(next_open(&windows, Timestamp::MIN).is_some());
    }

    #[test]
    fn invalid_windows_are_rejected_with_the_allowed_form() {
        for (text, expect) in [
            ("", WindowError::Hours),
            ("Mon-Fri", WindowError::Hours),
            ("Mon 9:00-10:00", WindowError::Hours),
            ("Mon 09:00", WindowError::Hours),
            ("Mon 09:00-10:60", WindowError::Hours),
            ("Mon 09:00-24:01", WindowError::Hours),
            ("Mon 24:00-06:00", WindowError::Hours),
            ("Mon 09:00-10:00-11:00", WindowError::Hours),
            ("Mon 0é:0-10:00", WindowError::Hours),
            ("Mon 09:00 - 10:00", WindowError::Hours),
            ("Mon 09:00-09:00", WindowError::Empty),
            ("Mo 09:00-10:00", WindowError::Days),
            ("Mon- 09:00-10:00", WindowError::Days),
            ("Mon-Fri-Sun 09:00-10:00", WindowError::Days),
            ("UTC 09:00-10:00", WindowError::Days),
            ("Mon, 09:00-10:00", WindowError::Days),
            ("Mon 09:00-10:00 Mars/Olympus", WindowError::Zone),
            ("Mon 09:00-10:00 Etc/Unknown", WindowError::Zone),
            ("Mon 09:00-10:00 UTC Tue", WindowError::Order),
        ] {
            assert_eq!(text.parse::<Window>(), Err(expect), "{text}");
        }
    }

    #[test]
    fn a_list_is_split_between_windows_only() {
        assert_eq!(
            split_list("Mon,Wed 00:00-06:00 UTC, Sat-Sun,Fri 10:00-12:00"),
            ["Mon,Wed 00:00-06:00 UTC", "Sat-Sun,Fri 10:00-12:00"]
        );
        assert_eq!(split_list("00:00-06:00,12:00-13:00"), ["00:00-06:00", "12:00-13:00"]);
    }

    /// The same question asked differently: is the clock's reading between the two dated times of a window
    /// that starts today or started yesterday?
    fn reference(
        days: &[Weekday],
        start: Time,
        end: Option<Time>,
        zone: &TimeZone,
        instant: Timestamp,
    ) -> bool {
        let clock: DateTime = zone.to_datetime(instant);
        [clock.date(), clock.date().yesterday().expect("not the first day")].into_iter().any(|day| {
            let from = day.to_datetime(start);
            let until = match end {
                Some(end) if end > start => day.to_datetime(end),
                Some(end) => day.tomorrow().expect("not the last day").to_datetime(end),
                None => day.tomorrow().expect("not the last day").to_datetime(Time::midnight()),
            };
            days.contains(&day.weekday()) && from <= clock && clock < until
        })
    }

    fn zones() -> impl Strategy<Value = &'static str> {
        prop_oneof![
            Just("UTC"),
            Just("America/New_York"),
            Just("Australia/Lord_Howe"),
            Just("Europe/Berlin"),
            Just("America/Havana"),
            Just("Asia/Kathmandu"),
            Just("Pacific/Apia"),
        ]
    }

    proptest! {
        // Each case asks for 4,320 minutes.
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

        #[test]
        fn every_minute_agrees_with_the_reference(
            picked in 1_u8..128, start in 0_u16..1440, end in 0_u16..=1440, zone in zones(),
            // Days around clock changes, and any other: in 2011 Apia skipped a day.
            day in prop_oneof![
                Just(15_337_i64), Just(20_520), Just(20_755), Just(20_751), 15_000_i64..25_000
            ],
        ) {
            proptest::prop_assume!(start != end);
            let is_picked = |(bit, _): &(usize, _)| picked & (1 << bit) != 0;
            let days: Vec<_> = DAYS.iter().enumerate().filter(is_picked).map(|(_, day)| *day).collect();
            let names = days.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",");
            let days: Vec<_> = days.into_iter().map(|(_, day)| day).collect();
            let time = |minute: u16| Time::midnight().saturating_add(i64::from(minute).minutes());
            let text =
                format!("{names} {:02}:{:02}-{:02}:{:02} {zone}", start / 60, start % 60, end / 60, end % 60);
            let window = window(&text);
            prop_assert_eq!(&window.to_string().parse::<Window>().expect("its own text"), &window);

            let tz = super::zone(zone).expect("a zone");
            let first = Timestamp::from_second((day - 1) * 86_400).expect("a time");
            let mut opened = None;
            for minute in (0..3 * 1440_u64).rev() {
                let instant = first + Duration::from_secs(minute * 60);
                let expect = reference(&days, time(start), (end < 1440).then(|| time(end)), &tz, instant);
                prop_assert_eq!(open(std::slice::from_ref(&window), instant), expect, "{} at {}", &text, instant);
                if expect {
                    opened = Some(instant);
                }
            }
            if let Some(opened) = opened {
                prop_assert_eq!(next_open(std::slice::from_ref(&window), first), Some(opened), "{}", &text);
            } else if let Some(next) = next_open(std::slice::from_ref(&window), first) {
                prop_assert!(open(std::slice::from_ref(&window), next));
                prop_assert!(next > first + Duration::from_secs(3 * 86_400 - 60));
            }
        }

        #[test]
        fn any_text_is_read_without_panic(text in any::<String>()) {
            let _ = (text.parse::<Window>(), split_list(&text));
        }
    }
}
