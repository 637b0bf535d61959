//! The platform's error codes: what each is called, what it is about, and whether a restart can help.

use std::fmt;
use std::str::FromStr;

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

/// What the catalogue says about `code`.
pub fn entry(code: Code) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.code == code)
}

const ENTRIES: [Entry; 6] = [
    code(Family::R, 12, "Exit timeout", Scope::Dyno, false),
    code(Family::R, 14, "Memory quota exceeded", Scope::Dyno, true),
    code(Family::R, 15, "Memory quota vastly exceeded", Scope::Dyno, false),
    code(Family::H, 12, "Request timeout", Scope::Dyno, true),
    code(Family::H, 14, "No web dynos running", Scope::App, false),
    code(Family::L, 10, "Drain buffer overflow", Scope::Drain, false),
];

const fn code(family: Family, number: u16, title: &'static str, scope: Scope, restart_helps: bool) -> Entry {
    Entry { code: Code { family, number }, title, scope, restart_helps }
}

impl FromStr for Code {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (family, digits) = text.split_at_checked(1).ok_or(())?;
        let family = match family {
            "H" => Family::H,
            "L" => Family::L,
            "R" => Family::R,
            _ => return Err(()),
        };
        let number = digits.parse().map_err(|_| ())?;
        entry(Self { family, number }).map(|entry| entry.code).ok_or(())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{}", self.family, self.number)
    }
}
