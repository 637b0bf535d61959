//! Whether the program can do its work: what `/readyz` says.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What keeps the program from its work, by subject; shared behind an `Arc`.
///
/// It begins with one trouble, that it is still starting, which [`Readiness::started`] ends.
#[derive(Debug)]
pub struct Readiness {
    remarks: Mutex<Subjects>,
    troubles: Mutex<Subjects>,
}

type Subjects = BTreeMap<&'static str, String>;

impl Readiness {
    /// A program that is still starting.
    pub fn starting() -> Self {
        Self {
            remarks: Mutex::default(),
            troubles: Mutex::new(BTreeMap::from([(STARTING, "not up yet".to_owned())])),
        }
    }

    /// Everything is there that the work needs.
    pub fn started(&self) {
        self.recover(STARTING);
    }

    /// Something keeps the program from its work. Anyone may read the text, so it names no secret.
    pub fn fail(&self, subject: &'static str, text: impl Into<String>) {
        lock(&self.troubles).insert(subject, text.into());
    }

    /// It does no longer.
    pub fn recover(&self, subject: &'static str) {
        lock(&self.troubles).remove(subject);
    }

    /// All troubles in one line; none when ready.
    pub fn trouble(&self) -> Option<String> {
        let troubles = lock(&self.troubles);
        if troubles.is_empty() {
            return None;
        }
        Some(joined(&troubles))
    }

    /// Something is amiss that the program can work with, or is no longer. Anyone may read the text.
    pub fn warn(&self, subject: &'static str, text: Option<String>) {
        let mut remarks = lock(&self.remarks);
        match text {
            Some(text) => drop(remarks.insert(subject, text)),
            None => drop(remarks.remove(subject)),
        }
    }

    /// All remarks in one line, if there are any.
    pub fn remarks(&self) -> Option<String> {
        let remarks = lock(&self.remarks);
        (!remarks.is_empty()).then(|| joined(&remarks))
    }
}

fn joined(subjects: &Subjects) -> String {
    subjects.iter().map(|(subject, text)| format!("{subject}: {text}")).collect::<Vec<_>>().join("; ")
}

fn lock(subjects: &Mutex<Subjects>) -> MutexGuard<'_, Subjects> {
    // The map is whole after every statement that changes it, so a panic elsewhere spoils nothing.
    subjects.lock().unwrap_or_else(PoisonError::into_inner)
}

const STARTING: &str = "starting";

#[cfg(test)]
mod tests {
    use super::Readiness;

    #[test]
    fn ready_is_the_absence_of_trouble() {
        let readiness = Readiness::starting();
        assert_eq!(readiness.trouble().as_deref(), Some("starting: not up yet"));
        readiness.fail("store", "away");
        readiness.started();
        assert_eq!(readiness.trouble().as_deref(), Some("store: away"));
        readiness.recover("store");
        assert_eq!(readiness.trouble(), None);
        readiness.warn("drains", Some("1 silent".to_owned()));
        assert_eq!((readiness.trouble(), readiness.remarks()), (None, Some("drains: 1 silent".to_owned())));
        readiness.warn("drains", None);
        assert_eq!(readiness.remarks(), None);
    }
}
