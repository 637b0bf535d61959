//! The platform's error codes: what each is called, what it is about, and whether a restart can help.

use std::fmt;

/// One of the platform's codes, such as R14 (heroku.md §2.5; <https://devcenter.heroku.com/articles/error-codes>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code {
    family: Family,
    number: u16,
}

/// The letter in front of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// The router's.
    H,
    /// Logplex's.
    L,
    /// The dyno manager's.
    R,
}

/// What a code is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The app as a whole; no dyno is named.
    App,
    /// One dyno, named by the line.
    Dyno,
    /// A log drain.
    Drain,
}

/// What the catalogue says about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The code.
    pub code: Code,
    /// Heroku's own title for it.
    pub title: &'static str,
    /// What it is about.
    pub scope: Scope,
    /// Whether restarting the dyno can help.
    pub restart_helps: bool,
}

impl Code {
    /// Memory quota exceeded.
    pub const R14: Self = Self { family: Family::R, number: 14 };
    /// Memory quota vastly exceeded: the platform kills and restarts by itself.
    pub const R15: Self = Self { family: Family::R, number: 15 };
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{}", self.family, self.number)
    }
}
