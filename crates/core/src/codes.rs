//! The platform's error codes: their titles, their scope, and whether a restart can help.
//!
//! The table is all of <https://devcenter.heroku.com/articles/error-codes>. Settings cannot name a code that
//! is not in it, and such a code makes no event: dynowarden does not act on an undescribed code.

use std::fmt;
use std::str::FromStr;

use crate::limits;

/// One of the platform's codes, such as R14. Every value of this type is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code {
    family: Family,
    number: u16,
}

/// The letter in front of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Emitted by the router.
    H,
    /// Emitted by logplex.
    L,
    /// Emitted by the dyno manager.
    R,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The app as a whole; no dyno is named.
    App,
    /// One dyno, named by the line.
    Dyno,
    Drain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub code: Code,
    /// Heroku's own title.
    pub title: &'static str,
    pub scope: Scope,
    /// Whether restarting the dyno can help: the process may be stuck or swollen, and the platform is not
    /// already replacing it.
    pub restart_helps: bool,
}

/// A text that is not a code of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeError {
    read: String,
}

// === impl Code ===

impl Code {
    /// Request timeout: the dyno took more than 30 s to answer.
    pub const H12: Self = Self { family: Family::H, number: 12 };
    /// Drain buffer overflow: lines were lost before they reached a drain.
    pub const L10: Self = Self { family: Family::L, number: 10 };
    /// Local buffer overflow, reported by the dyno's own log-shuttle.
    pub const L12: Self = Self { family: Family::L, number: 12 };
    /// Local delivery error, reported by the dyno's own log-shuttle.
    pub const L13: Self = Self { family: Family::L, number: 13 };
    pub const R14: Self = Self { family: Family::R, number: 14 };
    /// Memory quota vastly exceeded: the platform kills and restarts automatically.
    pub const R15: Self = Self { family: Family::R, number: 15 };

    /// The code of this family and number, if there is one.
    pub fn find(family: Family, number: u16) -> Option<Self> {
        entry(Self { family, number }).map(|entry| entry.code)
    }

    /// The leading letter, which identifies the emitting component.
    pub fn family(self) -> Family {
        self.family
    }

    pub fn number(self) -> u16 {
        self.number
    }
}

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        // Compared in written form, so that `R014`, `r14` and `+R14` are rejected.
        ENTRIES.iter().map(|entry| entry.code).find(|code| code.to_string() == text).ok_or_else(|| {
            let read = text.chars().take(limits::QUOTED_CHARS_MAX).collect();
            CodeError { read }
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.family, self.number)
    }
}

// === impl Family ===

impl Family {
    pub fn from_letter(letter: u8) -> Option<Self> {
        match letter {
            b'H' => Some(Self::H),
            b'L' => Some(Self::L),
            b'R' => Some(Self::R),
            _ => None,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H => "H",
            Self::L => "L",
            Self::R => "R",
        })
    }
}

// === impl CodeError ===

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a platform code: one of ", self.read)?;
        for (place, entry) in ENTRIES.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{}", entry.code)?;
        }
        Ok(())
    }
}

impl std::error::Error for CodeError {}

// === The table ===

pub fn entry(code: Code) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.code == code)
}

/// All codes, ordered by family and number.
///
/// A router code's scope is what its line names: Heroku's samples of H10, H14 and others leave `dyno=` empty,
/// so there is no dyno to restart.
pub const ENTRIES: &[Entry] = &[
    // The platform restarts a crashed app with growing pauses, which our restart would undo.
    h(10, "App crashed", Scope::App, NO),
    h(11, "Backlog too deep", Scope::App, NO),
    // A dyno whose threads all hang answers no request until it is restarted.
    h(12, "Request timeout", Scope::Dyno, YES),
    // A dyno that takes connections and drops them is often a half-dead process behind a living socket.
    h(13, "Connection closed without response", Scope::Dyno, YES),
    h(14, "No web dynos running", Scope::App, NO),
    // A response that began and then stalled for 55 seconds, as hung streams do.
    h(15, "Idle connection", Scope::Dyno, YES),
    h(16, "Redirect to herokuapp.com", Scope::App, NO),
    // The app's response is malformed, and a fresh process would send the same.
    h(17, "Poorly formatted HTTP response", Scope::Dyno, NO),
    h(18, "Server Request Interrupted", Scope::Dyno, YES),
    // The dyno no longer accepts connections: its backlog is full or its host is out of reach.
    h(19, "Backend connection timeout", Scope::Dyno, YES),
    h(20, "App boot timeout", Scope::App, NO),
    // Nothing listens on the port although the dyno counts as up.
    h(21, "Backend connection refused", Scope::Dyno, YES),
    h(22, "Connection limit reached", Scope::App, NO),
    h(23, "Endpoint misconfigured", Scope::App, NO),
    h(24, "Forced close", Scope::App, NO),
    h(25, "HTTP Restriction", Scope::Dyno, NO),
    h(26, "Request Error", Scope::App, NO),
    // The client left. The dyno may be slow, but nothing in the line says so.
    h(27, "Client Request Interrupted", Scope::Dyno, NO),
    h(28, "Client Connection Idle", Scope::Dyno, NO),
    h(31, "Misdirected Request", Scope::App, NO),
    h(32, "TLS Certificate Mismatch", Scope::App, NO),
    h(80, "Maintenance mode", Scope::App, NO),
    h(81, "Blank app", Scope::App, NO),
    h(82, "You've used up your dyno hour pool", Scope::App, NO),
    h(83, "Planned Service Degradation", Scope::App, NO),
    h(99, "Platform error", Scope::App, NO),
    l(10, "Drain buffer overflow", Scope::Drain),
    // Tail sessions are `heroku logs --tail`, not drains.
    l(11, "Tail buffer overflow", Scope::App),
    l(12, "Local buffer overflow", Scope::App),
    l(13, "Local delivery error", Scope::App),
    l(14, "Certificate validation error", Scope::Drain),
    l(15, "Tail buffer temporarily unavailable", Scope::App),
    // The platform gives up on a dyno that does not boot and starts it again automatically.
    r(10, "Boot timeout", NO),
    // A process that listens on another port than PORT. No longer in the article; logs of 2013 have it.
    r(11, "Bad bind", NO),
    // The dyno is already on its way out.
    r(12, "Exit timeout", NO),
    // R13 and R16 concern one-off dynos with a person attached.
    r(13, "Attach error", NO),
    r(14, "Memory quota exceeded", YES),
    // The platform has killed the process and starts it again automatically.
    r(15, "Memory quota vastly exceeded", NO),
    r(16, "Detached", NO),
    // The slug is broken, and a restart fetches the same slug.
    r(17, "Checksum error", NO),
    r(99, "Platform error", NO),
];

const YES: bool = true;
const NO: bool = false;

const fn h(number: u16, title: &'static str, scope: Scope, restart_helps: bool) -> Entry {
    Entry { code: Code { family: Family::H, number }, title, scope, restart_helps }
}

const fn l(number: u16, title: &'static str, scope: Scope) -> Entry {
    Entry { code: Code { family: Family::L, number }, title, scope, restart_helps: NO }
}

const fn r(number: u16, title: &'static str, restart_helps: bool) -> Entry {
    Entry { code: Code { family: Family::R, number }, title, scope: Scope::Dyno, restart_helps }
}

#[cfg(test)]
mod tests {
    use super::{Code, ENTRIES, Family, Scope, entry};

    #[test]
    fn the_table_is_sorted_without_duplicates() {
        assert!(ENTRIES.is_sorted_by(|a, b| a.code < b.code));
    }

    #[test]
    fn every_code_is_read_back() {
        for entry in ENTRIES {
            assert_eq!(entry.code.to_string().parse(), Ok(entry.code));
            assert_eq!(super::entry(entry.code), Some(entry));
            assert!(!entry.title.is_empty());
        }
    }

    #[test]
    fn unknown_codes_are_rejected_with_the_valid_ones() {
        for text in ["", "R", "14", "r14", "R014", " R14", "R18", "R151", "H29", "H100", "X14", "R65550"] {
            let refusal = text.parse::<Code>().expect_err(text).to_string();
            assert!(
                refusal.starts_with(&format!("{text:?} is not a platform code: one of H10, ")),
                "{refusal}"
            );
            assert!(refusal.ends_with(", R17, R99"), "{refusal}");
        }
    }

    #[test]
    fn a_restart_helps_only_with_codes_that_name_a_dyno() {
        for entry in ENTRIES.iter().filter(|entry| entry.restart_helps) {
            assert_eq!(entry.scope, Scope::Dyno, "{}", entry.code);
        }
        assert!(entry(Code::R14).is_some_and(|entry| entry.restart_helps));
        assert!(entry(Code::R15).is_some_and(|entry| !entry.restart_helps));
        assert_eq!(Code::find(Family::R, 14), Some(Code::R14));
        assert_eq!(Code::find(Family::L, 99), None);
        for code in [Code::L10, Code::L12, Code::L13] {
            assert!(entry(code).is_some(), "{code}");
        }
    }
}
