//! What the daemon was last told about Heroku's status page, and what follows from it.

use jiff::Timestamp;

use dynowarden_core::ident::DynoName;
use dynowarden_core::time::since;

use crate::invariants::{Verdicts, hold};
use crate::scenario::secs;

#[derive(Debug, Default)]
pub struct Lights {
    /// When the page was last read, if it was red then. A page that cannot be read says nothing.
    red_at: Option<Timestamp>,
}

impl Lights {
    /// The daemon read the page.
    pub fn read(&mut self, is_red: bool, now: Timestamp) {
        self.red_at = is_red.then_some(now);
    }

    /// Another process knows nothing yet.
    pub fn died(&mut self) {
        self.red_at = None;
    }

    /// Whether the page must be taken for red.
    pub fn is_red(&self, now: Timestamp) -> bool {
        // An old reading is none.
        self.red_at.is_some_and(|at| since(at, now) < secs(30 * 60))
    }

    /// A person's word does not pass a red page either.
    pub fn allow_delete(&self, dyno: &DynoName, now: Timestamp) -> Verdicts {
        hold!(!self.is_red(now), "DELETE of {dyno} while Heroku's status page is red");
        Ok(())
    }

    pub fn allow_hold(&self, dyno: &str, now: Timestamp) -> Verdicts {
        hold!(self.is_red(now), "{dyno} is held for a status page that is not known to be red");
        Ok(())
    }
}
