//! One finding: how bad, about what, and the fix.

use std::fmt;

use serde::Serialize;

use crate::ident::AppName;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// The app that it is about; null for one about all.
    #[serde(serialize_with = "as_text")]
    pub app: Option<AppName>,
    /// What was found.
    pub text: String,
    /// What to do: often a command to type. Null where all is well.
    pub fix: Option<String>,
}

/// How bad a finding is, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It works, and probably not as meant.
    Warning,
    /// It does not work.
    Error,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// The app itself.
    App,
    /// This machine's clock.
    Clock,
    Drain,
    Formation,
    /// Runtime metrics, for rules about memory.
    Metrics,
    Notifier,
    Preboot,
    Settings,
    Store,
    /// The certificate of the HTTP server.
    Tls,
    Token,
}

// === impl Finding ===

impl Finding {
    /// All is well.
    pub fn ok(subject: Subject, text: impl Into<String>) -> Self {
        Self::new(Severity::Ok, subject, text)
    }

    /// Probably not as meant.
    pub fn warning(subject: Subject, text: impl Into<String>) -> Self {
        Self::new(Severity::Warning, subject, text)
    }

    /// It does not work.
    pub fn error(subject: Subject, text: impl Into<String>) -> Self {
        Self::new(Severity::Error, subject, text)
    }

    /// The same finding about one app.
    #[must_use]
    pub fn of(mut self, app: &AppName) -> Self {
        self.app = Some(app.clone());
        self
    }

    /// The same finding with what to do about it.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    fn new(severity: Severity, subject: Subject, text: impl Into<String>) -> Self {
        Self { severity, subject, app: None, text: text.into(), fix: None }
    }
}

impl fmt::Display for Finding {
    /// One line: `error    acme drain: none of its drains leads here; fix: heroku drains:add …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} ", self.severity.word())?;
        if let Some(app) = &self.app {
            write!(f, "{app} ")?;
        }
        write!(f, "{}: {}", self.subject.word(), self.text)?;
        if let Some(fix) = &self.fix {
            write!(f, "; fix: {fix}")?;
        }
        Ok(())
    }
}

impl Severity {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Subject {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Clock => "clock",
            Self::Drain => "drain",
            Self::Formation => "formation",
            Self::Metrics => "metrics",
            Self::Notifier => "notifier",
            Self::Preboot => "preboot",
            Self::Settings => "settings",
            Self::Store => "store",
            Self::Tls => "tls",
            Self::Token => "token",
        }
    }
}

fn as_text<S: serde::Serializer>(app: &Option<AppName>, to: S) -> Result<S::Ok, S::Error> {
    match app {
        Some(app) => to.collect_str(app),
        None => to.serialize_none(),
    }
}
