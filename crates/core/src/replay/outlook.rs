//! What a log shows about an app's formation, from its first line to its last.
//!
//! A restart can be judged by lines that come later: they show that a dyno was still starting, or that it was
//! not the only one. What no line shows is not stated.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::detect;
use crate::ident::DynoRef;
use crate::limits;
use crate::time::earlier;
use crate::wire::line::Line;
use crate::wire::logfmt;

#[derive(Debug, Default)]
pub(super) struct Outlook {
    formations: BTreeMap<Box<str>, Formation>,
    /// The dynos with a line about their life, and when the first said that they had been starting.
    starting: BTreeMap<(Box<str>, u32), Option<Timestamp>>,
    /// Lines were handled before all were seen, so that nothing is known about the whole log.
    is_partial: bool,
}

#[derive(Debug, Default)]
struct Formation {
    dynos: BTreeSet<u32>,
    /// The largest number that it was scaled to, if it was.
    scaled_to: Option<u64>,
    /// When it was first scaled. What it was before, no line says.
    scaled_at: Option<Timestamp>,
    /// Requests that the router gave to one of its dynos. Errors are not among them: a file of errors alone
    /// lacks the dynos without any.
    requests: u64,
}

/// The router chooses among dynos at random: this many requests to one of two dynos have a chance of one in a
/// million.
const REQUESTS_MIN: u64 = 20;

/// The longest that a dyno starts: Heroku gives up after a minute, or three where it was asked to.
const STARTING_MAX: Duration = Duration::from_secs(3 * 60);

// === impl Outlook ===

impl Outlook {
    pub(super) fn note(&mut self, line: &Line<'_>, at: Option<Timestamp>) {
        if let Some(dyno) = writer_or_served(line).filter(|dyno| is_of_formation(dyno)) {
            let is_request = line.procid == b"router";
            if let Some(formation) = self.formation(dyno.process_type) {
                formation.dynos.insert(dyno.index);
                let is_error = line.msg.starts_with(b"at=error");
                formation.requests += u64::from(is_request && !is_error);
            }
            if line.app == b"heroku" && !is_request {
                self.note_life(dyno, line.msg.trim_ascii(), at);
            }
        }
        for (process_type, quantity) in detect::scale::scaled(line) {
            if let Some(formation) = self.formation(process_type) {
                formation.scaled_to = formation.scaled_to.max(Some(quantity));
                formation.scaled_at = [formation.scaled_at, at].into_iter().flatten().min();
            }
        }
    }

    fn formation(&mut self, process_type: &str) -> Option<&mut Formation> {
        if !self.formations.contains_key(process_type) {
            if self.formations.len() >= limits::REPLAY_TYPES_MAX {
                return None;
            }
            self.formations.insert(process_type.into(), Formation::default());
        }
        self.formations.get_mut(process_type)
    }

    fn note_life(&mut self, dyno: DynoRef<'_>, msg: &[u8], at: Option<Timestamp>) {
        if !detect::life::is_life(msg) || self.starting.len() >= limits::DYNOS_MAX {
            return;
        }
        let was_starting = msg.starts_with(b"State changed from starting to ");
        let key = (dyno.process_type.into(), dyno.index);
        self.starting.entry(key).or_insert(at.filter(|_| was_starting));
    }

    /// Notes that lines are handled before the rest is known.
    pub(super) fn set_partial(&mut self) {
        self.is_partial = true;
    }

    /// Whether the log proves that this type has one dyno at `at`, and until its last line.
    pub(super) fn has_one(&self, process_type: &str, at: Timestamp) -> bool {
        let Some(formation) = self.formations.get(process_type) else { return false };
        let is_proven = match formation.scaled_to {
            Some(quantity) => quantity == 1 && formation.scaled_at.is_some_and(|scaled_at| scaled_at <= at),
            None => !self.is_partial && formation.requests >= REQUESTS_MIN,
        };
        is_proven && formation.dynos.iter().all(|index| *index == 1)
    }

    /// Whether a later line shows that the dyno is starting at `at`.
    pub(super) fn is_starting(&self, dyno: DynoRef<'_>, at: Timestamp) -> bool {
        let first = self.starting.get(&(dyno.process_type.into(), dyno.index)).copied().flatten();
        first.is_some_and(|until| at < until && at >= earlier(until, STARTING_MAX))
    }
}

/// Whether a dyno has a place in a formation: one-off dynos have numbers of four digits, whatever their type.
pub(super) fn is_of_formation(dyno: &DynoRef<'_>) -> bool {
    dyno.index <= limits::FORMATION_INDEX_MAX
}

/// The dyno that a line proves to exist: its author, or the one that served the router's request.
pub(super) fn writer_or_served<'b>(line: &Line<'b>) -> Option<DynoRef<'b>> {
    match (line.app, line.procid) {
        (b"heroku", b"router") => {
            let dyno = logfmt::pairs(line.msg).find(|pair| pair.key == b"dyno")?;
            DynoRef::parse(dyno.value)
        }
        (_, procid) => DynoRef::parse(procid),
    }
}
