//! The summary of a replay, in a few lines.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use crate::record::{Action, Record};
use crate::replay::world::ASSUMED_BOOT;
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
    /// Errors of dynos of other process types.
    pub(super) errors_not_listed: u64,
    /// Lines of apps that were not requested.
    pub(super) lines_left_out: u64,
    span: Option<(Timestamp, Timestamp)>,
}

impl Summary {
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
        if self.errors_not_listed > 0 {
            let errors = count(self.errors_not_listed, "error");
            write!(f, "\n{errors} ignored: the process type is not in policy.process_types")?;
        }
        if self.lines_left_out > 0 {
            write!(f, "\n{} of other apps, ignored", count(self.lines_left_out, "line"))?;
        }
        if self.holds.contains_key("stale") {
            f.write_str("\nStale errors come after later lines: were the files named oldest first?")?;
        }
        if self.restarts > 0 {
            let boot = spoken(ASSUMED_BOOT);
            write!(
                f,
                "\nNothing was restarted. The log continues as if no restart had happened. Where it does not \
                 show how\nlong a restart takes, replay assumes {boot}."
            )?;
        }
        Ok(())
    }
}

/// `1 line`, `2 lines`.
fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn a_summary_lists_all_counts() {
        let mut summary = Summary { apps: 1, dynos: 2, restarts: 1, ..Summary::default() };
        assert_eq!(Summary::default().to_string(), "no lines");
        summary.note_time("2025-08-08T07:00:00Z".parse().ok());
        summary.note_time("2025-08-08T06:59:00Z".parse().ok());
        summary.note_time(None);
        summary.holds.extend([("too_young", 1), ("stale", 1), ("cooling_down", 1)]);
        summary.notifies = 1;
        (summary.errors_not_listed, summary.lines_left_out) = (1, 1);
        let text = summary.to_string();
        let lines: Vec<_> = text.lines().take(5).collect();
        assert_eq!(
            lines,
            [
                "3 lines, 2025-08-08 06:59:00Z to 2025-08-08 07:00:00Z (1m); 2 dynos of 1 app",
                "1 restart, 3 holds (1 cooling_down, 1 stale, 1 too_young), notified 1 time",
                "1 error ignored: the process type is not in policy.process_types",
                "1 line of other apps, ignored",
                "Stale errors come after later lines: were the files named oldest first?",
            ]
        );
    }
}
