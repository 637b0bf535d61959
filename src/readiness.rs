//! Whether the program can do its work, for `/readyz`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The present problems, by subject; shared behind an `Arc`.
///
/// It begins with one problem, that the program is still starting, which [`Readiness::started`] ends.
#[derive(Debug)]
pub struct Readiness {
    remarks: Mutex<Subjects>,
    troubles: Mutex<Subjects>,
}

type Subjects = BTreeMap<&'static str, String>;

impl Readiness {
    pub fn starting() -> Self {
        Self {
            remarks: Mutex::default(),
            troubles: Mutex::new(BTreeMap::from([(STARTING, "not up yet".to_owned())])),
        }
    }

    pub fn started(&self) {
        self.recover(STARTING);
    }

    /// Reports a problem that prevents work. Anyone may read the text, so it contains no secret.
    pub fn fail(&self, subject: &'static str, text: impl Into<String>) {
        lock(&self.troubles).insert(subject, text.into());
    }

    pub fn recover(&self, subject: &'static str) {
        lock(&self.troubles).remove(subject);
    }

    /// All problems in one line; none when ready.
    pub fn trouble(&self) -> Option<String> {
        let troubles = lock(&self.troubles);
        if troubles.is_empty() {
            return None;
        }
        Some(joined(&troubles))
    }

    /// Sets or clears a warning, which does not prevent work. Anyone may read the text.
    pub fn warn(&self, subject: &'static str, text: Option<String>) {
        let mut remarks = lock(&self.remarks);
        match text {
            Some(text) => drop(remarks.insert(subject, text)),
            None => drop(remarks.remove(subject)),
        }
    }

    /// All warnings in one line, if there are any.
    pub fn remarks(&self) -> Option<String> {
        let remarks = lock(&self.remarks);
        (!remarks.is_empty()).then(|| joined(&remarks))
    }
}

fn joined(subjects: &Subjects) -> String {
    subjects.iter().map(|(subject, text)| format!("{subject}: {text}")).collect::<Vec<_>>().join("; ")
}

fn lock(subjects: &Mutex<Subjects>) -> MutexGuard<'_, Subjects> {
    // The map is consistent after every statement that changes it, so a panic elsewhere is harmless.
    subjects.lock().unwrap_or_else(PoisonError::into_inner)
}

const STARTING: &str = "starting";

#[cfg(test)]
mod tests {
    use super::Readiness;

    #[test]
    fn it_is_ready_without_problems() {
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
