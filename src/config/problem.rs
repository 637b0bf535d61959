//! Problems with the settings. Each names the setting, where it stands, what was read and what is allowed.

use std::fmt;
use std::sync::Arc;

use dynowarden_core::limits;

/// Where a setting came from, in order of precedence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// An argument of the command.
    Argument,
    Variable(Arc<str>),
    File {
        /// Its path, as it was given.
        path: Arc<str>,
        /// The line, from 1; none for the file as a whole.
        line: Option<usize>,
        /// The column, from 1; only where the syntax is wrong.
        column: Option<usize>,
    },
    /// The setting is missing.
    Unset,
}

/// One thing wrong with one setting.
///
/// Contains no secret: values are shown only for settings that cannot be secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    setting: String,
    origin: Origin,
    text: String,
}

/// Everything that is wrong with the settings; `Display` writes one line for each problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

// === impl Origin ===

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument => f.write_str("command line"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::File { path, line, column } => {
                f.write_str(path)?;
                if let Some(line) = line {
                    write!(f, " line {line}")?;
                }
                if let Some(column) = column {
                    write!(f, " column {column}")?;
                }
                Ok(())
            }
            Self::Unset => f.write_str("not set"),
        }
    }
}

// === impl Problem ===

impl Problem {
    /// `text` about `setting`, which is named as a user types it: `policy.cooldown`, `HEROKU_API_KEY`.
    pub fn new(setting: impl Into<String>, origin: Origin, text: impl Into<String>) -> Self {
        Self { setting: setting.into(), origin, text: text.into() }
    }

    /// A value that is not allowed.
    pub fn value(
        setting: impl Into<String>,
        origin: Origin,
        read: impl fmt::Display,
        allowed: impl fmt::Display,
    ) -> Self {
        Self::new(setting, origin, format!("read {read}; allowed: {allowed}"))
    }

    /// The setting, as a user types it.
    pub fn setting(&self) -> &str {
        &self.setting
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.setting, self.origin, self.text)
    }
}

// === impl Problems ===

impl Problems {
    /// # Errors
    /// All problems, ordered by their origin, if there are any.
    pub fn none_of(mut problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort_by(|one, other| one.origin.cmp(&other.origin));
        Err(Self(problems))
    }

    /// A single problem.
    pub fn one(problem: Problem) -> Self {
        Self(vec![problem])
    }

    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// How a message names a secret.
pub(super) const SHOWN_AS: &str = "the value (not shown)";

/// The fault of a value that still has the quotes that a shell would have removed; none if it has none.
pub(super) fn in_quotes(what: &str, value: &str) -> Option<String> {
    let value = value.trim();
    let is_quoted = ['"', '\'']
        .iter()
        .any(|quote| value.len() > 1 && value.starts_with(*quote) && value.ends_with(*quote));
    is_quoted.then(|| {
        format!("{what} is in quotes; allowed: the value without them (`docker --env-file` keeps quotes)")
    })
}

/// A user's text in quotes, shortened, with control characters escaped.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(limits::QUOTED_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}
