//! The summary of a replay, in a few lines.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use crate::codes::Code;
use crate::limits;
use crate::record::{Action, Record};
use crate::replay::world::ASSUMED_BOOT;
use crate::replay::worth::Worth;
use crate::time::{since, spoken};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Apps with lines.
    pub apps: usize,
    /// Dynos of listed process types with lines.
    pub dynos: usize,
    /// Refusals, by the word for their reason.
    pub holds: BTreeMap<&'static str, u64>,
    pub lines: u64,
    /// Rules that only sent notifications.
    pub notifies: u64,
    pub restarts: u64,
    /// Whether restarts are allowed at some hours only.
    pub(super) has_window: bool,
    /// Lines of apps that name R14 in their text.
    pub(super) mentions: u64,
    /// Errors on which no restart rule acts, by process type and reason.
    not_acted_on: BTreeMap<(Box<str>, NotActedOn), BTreeMap<Code, u64>>,
    pub(super) worth: Worth,
    /// Whether some times are in a zone that the log does not name.
    pub zone_unknown: bool,
    /// Lines of apps that were not requested.
    pub(super) lines_left_out: u64,
    span: Option<(Timestamp, Timestamp)>,
}

/// Why no rule restarts a dyno for an error.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NotActedOn {
    NoRule,
    NotListed { listed: Vec<Box<str>> },
    NotifyOnly,
    OneOff,
}

impl Summary {
    pub(super) fn note_error(&mut self, process_type: &str, why: NotActedOn, code: Code) {
        let key = (process_type.into(), why);
        // Names come from lines, which may hold any.
        if self.not_acted_on.len() < limits::REPLAY_TYPES_MAX || self.not_acted_on.contains_key(&key) {
            *self.not_acted_on.entry(key).or_default().entry(code).or_default() += 1;
        }
    }

    pub(super) fn note_time(&mut self, at: Option<Timestamp>) {
        self.lines += 1;
        if let Some(at) = at {
            let (first, last) = self.span.unwrap_or((at, at));
            self.span = Some((first.min(at), last.max(at)));
        }
    }

    pub(super) fn count(&mut self, record: &Record) {
        let Record::Decision(decision) = record else { return };
        match &decision.action {
            Action::Hold(hold) => *self.holds.entry(hold.label()).or_default() += 1,
            Action::Notify => self.notifies += 1,
            Action::Restart { .. } => self.restarts += 1,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, last)) = self.span else { return f.write_str("no lines") };
        write!(f, "{}, {}", count(self.lines, "line"), first.strftime("%Y-%m-%d %H:%M:%SZ"))?;
        write!(f, " to {} ({})", last.strftime("%Y-%m-%d %H:%M:%SZ"), spoken(since(first, last)))?;
        write!(f, "; {} of {}", count(self.dynos as u64, "dyno"), count(self.apps as u64, "app"))?;
        write!(f, "\n{}", count(self.restarts, "restart"))?;
        write!(f, ", {}", count(self.holds.values().sum(), "hold"))?;
        for (place, (label, holds)) in self.holds.iter().enumerate() {
            write!(f, "{}{holds} {label}", if place == 0 { " (" } else { ", " })?;
        }
        if !self.holds.is_empty() {
            f.write_str(")")?;
        }
        if self.notifies > 0 {
            write!(f, ", notified {}", count(self.notifies, "time"))?;
        }
        for ((process_type, why), codes) in &self.not_acted_on {
            write!(f, "\n{process_type}: {}", count(codes.values().sum(), "error"))?;
            for (place, (code, errors)) in codes.iter().enumerate() {
                write!(f, "{}{errors} {code}", if place == 0 { " (" } else { ", " })?;
            }
            write!(f, "), not restarted: {why}")?;
        }
        if self.mentions > 0 {
            let lines = count(self.mentions, "line");
            let mention = if self.mentions == 1 { "mentions" } else { "mention" };
            write!(f, "\n{lines} printed by the app only {mention} R14: ignored, Heroku's own lines count")?;
        }
        if self.lines_left_out > 0 {
            write!(f, "\n{} of other apps, ignored", count(self.lines_left_out, "line"))?;
        }
        if self.zone_unknown {
            f.write_str(
                "\nTimes are as the log shows them, in a zone that it does not name: --zone names it.",
            )?;
            if self.has_window {
                f.write_str(" Windows were judged as if it were UTC.")?;
            }
        }
        if !self.worth.over.is_zero() {
            write!(f, "\n{}", self.worth)?;
        }
        if self.restarts > 0 {
            let boot = spoken(ASSUMED_BOOT);
            write!(
                f,
                "\nNothing was restarted. The log continues as if no restart had happened, and each restart \
                 is judged by the\nerrors that follow it. Where the log does not show how long a restart \
                 takes, replay assumes {boot}."
            )?;
        }
        Ok(())
    }
}

// === impl NotActedOn ===

impl fmt::Display for NotActedOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule => f.write_str("no rule covers that"),
            Self::NotListed { listed } => write!(f, "policy.process_types is {listed:?}"),
            Self::NotifyOnly => f.write_str("the rules about that only notify"),
            Self::OneOff => f.write_str("one-off dynos never are"),
        }
    }
}

/// `1 line`, `2 lines`.
fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::{NotActedOn, Summary};

    #[test]
    fn a_summary_lists_all_counts() {
        let mut summary = Summary { apps: 1, dynos: 2, restarts: 1, ..Summary::default() };
        assert_eq!(Summary::default().to_string(), "no lines");
        summary.note_time("2025-08-08T07:00:00Z".parse().ok());
        summary.note_time("2025-08-08T06:59:00Z".parse().ok());
        summary.note_time(None);
        summary.holds.extend([("too_young", 1), ("stale", 1), ("cooling_down", 1)]);
        summary.notifies = 1;
        summary.lines_left_out = 1;
        summary.mentions = 2;
        summary.zone_unknown = true;
        let listed = vec!["web".into()];
        let r14 = "R14".parse().expect("a code");
        summary.note_error("worker", NotActedOn::NotListed { listed }, r14);
        summary.note_error("web", NotActedOn::NoRule, "H12".parse().expect("a code"));
        let text = summary.to_string();
        let lines: Vec<_> = text.lines().take(7).collect();
        assert_eq!(
            lines,
            [
                "3 lines, 2025-08-08 06:59:00Z to 2025-08-08 07:00:00Z (1m); 2 dynos of 1 app",
                "1 restart, 3 holds (1 cooling_down, 1 stale, 1 too_young), notified 1 time",
                "web: 1 error (1 H12), not restarted: no rule covers that",
                "worker: 1 error (1 R14), not restarted: policy.process_types is [\"web\"]",
                "2 lines printed by the app only mention R14: ignored, Heroku's own lines count",
                "1 line of other apps, ignored",
                "Times are as the log shows them, in a zone that it does not name: --zone names it.",
            ]
        );
    }
}
