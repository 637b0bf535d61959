//! A message for people, before any channel formats it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::codes::Code;
use crate::ident::{AppName, DynoName};
use crate::incident::kind::Kind;
use crate::record::{Measure, MemoryReading};
use crate::traffic::Figures;

/// One message. Its texts are plain and may contain untrusted words: each channel escapes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The same for every delivery attempt.
    pub id: String,
    /// The same in all messages of one incident.
    pub incident: String,
    pub at: Timestamp,
    pub opened_at: Timestamp,
    pub kind: Kind,
    pub phase: Phase,
    /// None for the daemon as a whole.
    pub apps: Vec<AppName>,
    /// One line.
    pub title: String,
    /// Paragraphs.
    pub body: Vec<String>,
    /// None for tests, summaries and reports of what an admin did.
    pub next_step: Option<NextStep>,
    /// Empty if it is not about dynos. Those that were acted upon come first.
    pub dynos: Vec<DynoReport>,
    /// Set by the caller, which knows its own address.
    pub links: Links,
}

/// Where a person reads more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Our page about the dyno, or about all apps.
    pub page: Option<String>,
    /// Heroku's metrics of the app.
    pub dashboard: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first.
    Opened,
    Updated,
    /// Nothing changed for `notify.repeat`.
    Reminder,
    /// The last.
    Closed,
    /// The only one.
    Single,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DynoReport {
    /// None for a rule about the app.
    pub name: Option<DynoName>,
    pub rule: Arc<str>,
    pub code: Option<Code>,
    /// Who requested a manual restart.
    pub asked_by: Option<Arc<str>>,
    /// How often the error was reported in this incident, as far as it was counted.
    pub reports: u32,
    /// When the rule fired.
    pub memory: Option<MemoryReading>,
    /// What the rule measures, without a code.
    pub measure: Measure,
    /// The action taken, as a word.
    pub state: &'static str,
    /// The action or refusal, and its reason, as sentences.
    pub text: String,
    pub out_for: Option<Duration>,
    /// How long after its previous restart the error came back.
    pub returned_after: Option<Duration>,
    /// Set once it is known whether the restart helped.
    pub proof: Option<RestartEffect>,
    /// Whether it waits for another restart and is then restarted itself.
    pub is_next: bool,
    /// Whether it is not restarted because people have asked for that, by a pause or a window.
    pub is_intended: bool,
    /// Whether the error was back soon after a restart.
    pub came_back: bool,
    /// Whether it is down although dynowarden did not restart it.
    pub is_broken: bool,
    /// Whether it is not up, whatever took it down.
    pub is_down: bool,
}

impl DynoReport {
    /// Whether a restart of it was sent.
    pub fn is_restarted(&self) -> bool {
        matches!(self.state, "restarting" | "out" | "back" | "failed") && !self.is_broken
    }
}

/// Answers "must I do something?". Ends without a full stop, which would be copied along with a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Nothing, and why.
    Nothing(String),
    Todo(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct RestartEffect {
    pub helped: Improved,
    /// How long the dyno was watched after it was back.
    pub watched_for: Duration,
    /// How long after the dyno was back the error returned.
    pub back_after: Option<Duration>,
    pub before: Option<Figures>,
    pub after: Option<Figures>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Improved {
    /// The error was back.
    No,
    /// No data since the restart.
    Unknown,
    /// The error was not back.
    Yes,
}

impl Message {
    /// The only message of `incident`, about no dyno.
    pub fn single(incident: String, kind: Kind, (title, body): (String, Vec<String>), at: Timestamp) -> Self {
        Self {
            id: format!("{incident}.1"),
            incident,
            at,
            opened_at: at,
            kind,
            phase: Phase::Single,
            apps: Vec::new(),
            title,
            body,
            next_step: None,
            dynos: Vec::new(),
            links: Links::default(),
        }
    }
}

impl Message {
    /// The next step and then the details, without a fix that the next step has already.
    pub fn paragraphs(&self) -> Vec<String> {
        let known = match &self.next_step {
            Some(NextStep::Todo(fix)) => format!("Fix: {fix}"),
            _ => String::new(),
        };
        let details = self.body.iter().filter(|paragraph| **paragraph != known).cloned();
        self.next_step.iter().map(NextStep::to_string).chain(details).collect()
    }
}

impl fmt::Display for NextStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing(why) => write!(f, "Nothing to do: {why}"),
            Self::Todo(what) => write!(f, "What to do: {what}"),
        }
    }
}

impl Links {
    /// The links that there are, each with its name.
    pub fn named(&self) -> Vec<(&'static str, String)> {
        let named = [("Open in dynowarden", &self.page), ("Heroku metrics", &self.dashboard)];
        named.into_iter().filter_map(|(name, url)| Some((name, url.clone()?))).collect()
    }
}

impl Phase {
    /// Its value in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Opened => "opened",
            Self::Reminder => "reminder",
            Self::Single => "single",
            Self::Updated => "updated",
        }
    }
}

impl Improved {
    /// Its value in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Unknown => "unknown",
            Self::Yes => "yes",
        }
    }
}

/// The quota behind a reading, to the megabyte; none for a share of zero.
pub fn quota_megabytes(memory: MemoryReading) -> Option<u64> {
    let hundredths = (memory.used.hundredths * 1000).checked_div(u64::from(memory.permille))?;
    Some((hundredths + 50) / 100)
}

#[cfg(test)]
mod tests {
    use super::NextStep;

    #[test]
    fn a_step_begins_with_its_answer() {
        assert_eq!(NextStep::Nothing("it is over".to_owned()).to_string(), "Nothing to do: it is over");
        assert_eq!(NextStep::Todo("look".to_owned()).to_string(), "What to do: look");
    }
}
