//! The words, colours and spans that all pages share.

use std::fmt::{self, Write as _};
use std::time::Duration;

use jiff::Timestamp;
use maud::{Markup, html};

use crate::ui::facts::{DynoFacts, PauseFacts};
use dynowarden_core::engine::status::Stage;
use dynowarden_core::record::view::{DecisionView, Word};
use dynowarden_core::time::{since, to_the_second};

/// The urgency of something, which the style sheet turns into a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tone {
    Good,
    /// Nothing to do.
    Quiet,
    /// A restart is under way.
    Busy,
    Warn,
    /// Needs a person.
    Bad,
}

impl Tone {
    /// The CSS class.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Quiet => "quiet",
            Self::Busy => "busy",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// A word on a coloured badge. The colour only repeats what the word says.
pub(super) fn badge(tone: Tone, word: &str) -> Markup {
    html! { span.badge.(tone.class()) { (word) } }
}

/// The state of a dyno in one or two words.
pub(super) fn state(dyno: &DynoFacts, is_dry: bool) -> (Tone, &'static str) {
    match dyno.status.stage {
        Stage::CoolingDown if is_dry => (Tone::Quiet, "Would be cooling down"),
        Stage::Queued | Stage::Waiting if is_dry => (Tone::Busy, "Would be restarted"),
        Stage::Watched if dyno.status.is_broken => (Tone::Bad, "Down"),
        Stage::Watched if dyno.is_calm() => (Tone::Good, "Healthy"),
        Stage::Watched => (Tone::Warn, "Over quota"),
        Stage::Queued => (Tone::Busy, "Queued"),
        Stage::Waiting => (Tone::Busy, "Waiting"),
        Stage::Restarting => (Tone::Busy, "Restarting"),
        Stage::Booting => (Tone::Busy, "Booting"),
        Stage::Settling => (Tone::Busy, "Settling"),
        Stage::Failed => (Tone::Bad, "Did not come back"),
        Stage::CoolingDown => (Tone::Quiet, "Cooling down"),
        Stage::GivenUp => (Tone::Bad, "Gave up"),
    }
}

/// The label of a decision.
pub(super) fn verdict(decision: &DecisionView) -> (Tone, &'static str) {
    match decision.decision {
        Word::Restart if decision.dry_run => (Tone::Quiet, "Would restart"),
        Word::Restart => (Tone::Busy, "Restart"),
        Word::Hold if decision.code == DecisionView::GIVEN_UP => (Tone::Bad, "Gave up"),
        Word::Hold => (Tone::Quiet, "Not restarted"),
        Word::Notify => (Tone::Warn, "Notified"),
    }
}

/// A point in time, with its date unless that is today. `datetime` has all of it.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) { (Clock { at, now }) } }
}

/// A sentence whose times are elements, so that the script can show them in the reader's zone.
pub(super) fn with_times(text: &str) -> Markup {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, time, after)) = next_time(rest) {
        pieces.push(html! { (before) time data-form="clock" datetime=(time.replace(' ', "T")) { (time) } });
        rest = after;
    }
    html! { @for piece in &pieces { (piece) } (rest) }
}

/// The next `2026-01-02 03:04:05Z` in a text, with what is before and behind it.
fn next_time(text: &str) -> Option<(&str, &str, &str)> {
    const PATTERN: &[u8] = b"dddd-dd-dd dd:dd:ddZ";
    let fits = |window: &[u8]| {
        let same = |(byte, shape): (&u8, &u8)| match shape {
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        };
        window.iter().zip(PATTERN).all(same)
    };
    let at = text.as_bytes().windows(PATTERN.len()).position(fits)?;
    // The window is ASCII, so its ends are between characters.
    let (before, rest) = text.split_at(at);
    let (time, after) = rest.split_at(PATTERN.len());
    Some((before, time, after))
}

/// A time of day for sentences, in UTC.
pub(super) struct Clock {
    pub at: Timestamp,
    /// Decides which day is today.
    pub now: Timestamp,
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = |at: Timestamp| at.as_second().div_euclid(86_400);
        if day(self.at) == day(self.now) {
            self.at.strftime("%H:%M:%S").fmt(f)
        } else {
            self.at.strftime("%-d %b %H:%M").fmt(f)
        }
    }
}

/// The time left until `at`, coarse enough that it does not change every second for hours.
pub(super) fn left(at: Timestamp, now: Timestamp) -> String {
    let span = since(now, at);
    match span.as_secs() {
        0 => "any moment now".to_owned(),
        1..90 => format!("{} s left", span.as_secs().div_ceil(5) * 5),
        _ => format!("{} left", coarse(span)),
    }
}

/// A pause: until when, by whom and why. Its times are for [`with_times`].
pub(super) fn pause(pause: &PauseFacts, now: Timestamp) -> String {
    let mut text = format!("{}, until {}", left(pause.until, now), to_the_second(pause.until));
    if let Some(by) = &pause.asked_by {
        let _ = write!(text, ", requested {by}");
    }
    if !pause.reason.is_empty() {
        let _ = write!(text, ": {}", pause.reason);
    }
    text
}

/// A span in its one or two largest units.
pub(super) fn coarse(span: Duration) -> String {
    let minutes = span.as_secs().div_ceil(60);
    match (span.as_secs(), minutes) {
        (seconds @ 0..90, _) => format!("{seconds} s"),
        (_, 0..90) => format!("{minutes} min"),
        (_, 90..2880) if minutes.is_multiple_of(60) => format!("{} h", minutes / 60),
        (_, 90..2880) => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} days", minutes / 1440),
    }
}

/// A share in per cent.
pub(super) fn percent(permille: u32) -> String {
    format!("{}%", (permille + 5) / 10)
}

/// A share of errors, with one decimal so that a few errors do not look like none.
pub(super) fn rate(permille: u64) -> String {
    format!("{}.{}%", permille / 10, permille % 10)
}

pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number as u64), if number == 1 { one } else { many })
}

/// A number with thousands separators.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{Clock, coarse, count, grouped, left, percent, rate, with_times};
    use dynowarden_core::time::later;

    #[test]
    fn spans_use_their_largest_units() {
        for (seconds, expect) in [
            (0, "0 s"),
            (89, "89 s"),
            (90, "2 min"),
            (5400, "1 h 30 min"),
            (7200, "2 h"),
            (7260, "2 h 1 min"),
            (3 * 86_400, "3 days"),
        ] {
            assert_eq!(coarse(Duration::from_secs(seconds)), expect);
        }
    }

    #[test]
    fn what_is_left_moves_in_steps() {
        let now: Timestamp = "2026-01-02T23:59:00Z".parse().expect("a time");
        let at = |seconds| later(now, Duration::from_secs(seconds));
        assert_eq!(left(now, now), "any moment now");
        assert_eq!(left(at(1), now), "5 s left");
        assert_eq!(left(at(11), now), "15 s left");
        assert_eq!(left(at(600), now), "10 min left");
        assert_eq!(Clock { at: now, now }.to_string(), "23:59:00");
        assert_eq!(Clock { at: at(60), now }.to_string(), "3 Jan 00:00");
    }

    #[test]
    fn times_in_a_sentence_are_elements() {
        let html = with_times("gave up until 2026-01-02 03:04:05Z or <b> ü").into_string();
        assert_eq!(
            html,
            "gave up until <time data-form=\"clock\" datetime=\"2026-01-02T03:04:05Z\">2026-01-02 \
             03:04:05Z</time> or &lt;b&gt; ü"
        );
        assert_eq!(with_times("2026-01-02 03:04Z").into_string(), "2026-01-02 03:04Z");
    }

    #[test]
    fn numbers_are_grouped_and_rounded() {
        assert_eq!(
            (grouped(0), grouped(999), grouped(1_234_567)),
            ("0".into(), "999".into(), "1,234,567".into())
        );
        assert_eq!(
            (count(1, "dyno", "dynos"), count(2000, "dyno", "dynos")),
            ("1 dyno".into(), "2,000 dynos".into())
        );
        assert_eq!(
            (percent(1262), percent(4), rate(0), rate(25)),
            ("126%".into(), "0%".into(), "0.0%".into(), "2.5%".into())
        );
    }
}
