//! One finding of `check`: how bad, about what, and the fix.

use std::fmt;

use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    pub subject: Subject,
    /// The app that it is about; null if it is about all.
    pub app: Option<String>,
    pub text: String,
    /// What to do, often a command to type; null if nothing is wrong.
    pub fix: Option<String>,
}

/// How bad a finding is, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Ok,
    /// It works, but probably not as intended.
    Warning,
    /// It does not work.
    Error,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    App,
    Clock,
    Drain,
    Formation,
    /// Runtime metrics, which rules about memory need.
    Metrics,
    Notifier,
    Preboot,
    Settings,
    Store,
    Tls,
    Token,
    /// From outside to the daemon.
    #[serde(rename = "way in")]
    WayIn,
}

impl Finding {
    pub(super) fn ok(subject: Subject, text: impl Into<String>) -> Self {
        Self { severity: Severity::Ok, subject, app: None, text: text.into(), fix: None }
    }

    pub(super) fn warning(subject: Subject, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, fix: Some(fix.into()), ..Self::ok(subject, text) }
    }

    pub(super) fn error(subject: Subject, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { severity: Severity::Error, ..Self::warning(subject, text, fix) }
    }

    /// Returns the text and the fix.
    pub(super) fn words(self) -> (String, Option<String>) {
        (self.text, self.fix)
    }
}

/// Joins a text and its fix, as `check` and the log show them.
pub(super) fn with_fix(text: &str, fix: Option<&str>) -> String {
    fix.map_or_else(|| text.to_owned(), |fix| format!("{text}; fix: {fix}"))
}

impl fmt::Display for Finding {
    /// One line: `error    acme drain: no drain of this app points here; fix: heroku drains:add …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} ", self.severity)?;
        if let Some(app) = &self.app {
            write!(f, "{app} ")?;
        }
        write!(f, "{}: {}", self.subject, with_fix(&self.text, self.fix.as_deref()))
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
