//! A message for people, before any medium has dressed it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::codes::Code;
use crate::ident::{AppName, DynoName};
use crate::incident::kind::Kind;
use crate::record::MemoryReading;
use crate::traffic::Figures;

/// One message. Its texts are plain and may hold other people's words: each medium escapes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Names this message and every try of its delivery.
    pub id: String,
    /// Names the incident: the same in the message that opens it and in the one that closes it.
    pub incident: String,
    /// When it was made.
    pub at: Timestamp,
    /// When the incident began.
    pub opened_at: Timestamp,
    /// The subject.
    pub kind: Kind,
    /// Where in the incident it stands.
    pub phase: Phase,
    /// The apps that it is about; none for the daemon as a whole.
    pub apps: Vec<AppName>,
    /// One line.
    pub title: String,
    /// Paragraphs.
    pub body: Vec<String>,
    /// The dynos of the incident, where it is about dynos.
    pub dynos: Vec<DynoReport>,
}

/// Where in an incident a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first.
    Opened,
    /// The incident changed.
    Updated,
    /// Nothing changed for `notify.repeat`.
    Reminder,
    /// The last.
    Closed,
    /// The only one.
    Single,
}

/// One dyno in a message.
#[derive(Clone, Debug, PartialEq)]
pub struct DynoReport {
    /// Its name; none for a rule about the app.
    pub name: Option<DynoName>,
    pub rule: Arc<str>,
    /// The code that fired it.
    pub code: Option<Code>,
    /// How often the error was reported in this incident, as far as it was counted.
    pub reports: u32,
    /// Its memory, when the rule fired.
    pub memory: Option<MemoryReading>,
    /// The action taken, as a word.
    pub state: &'static str,
    /// What was done or refused, and why, as sentences.
    pub text: String,
    /// How long it was out.
    pub out_for: Option<Duration>,
    /// How long after its restart before this one the error was back.
    pub returned_after: Option<Duration>,
    /// Whether the restart helped, once that can be said.
    pub proof: Option<RestartEffect>,
}

/// What can be said about a restart afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct RestartEffect {
    pub helped: Improved,
    /// How long the dyno was watched after it was back.
    pub watched_for: Duration,
    /// How long after it was back the error was, too.
    pub back_after: Option<Duration>,
    /// The minutes before the restart.
    pub before: Option<Figures>,
    pub after: Option<Figures>,
}

/// Whether a restart helped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Improved {
    /// The error was back.
    No,
    /// Nothing was heard of the dyno since.
    Unknown,
    /// The error was not back.
    Yes,
}

impl Phase {
    /// The value in JSON.
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
    /// The value in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Unknown => "unknown",
            Self::Yes => "yes",
        }
    }
}

/// The quota that a reading is a share of, to the megabyte; none for a share of nothing.
pub fn quota_megabytes(memory: MemoryReading) -> Option<u64> {
    let hundredths = (memory.used.hundredths * 1000).checked_div(u64::from(memory.permille))?;
    Some((hundredths + 50) / 100)
}
