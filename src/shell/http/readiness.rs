//! Whether the program can do its work: what `/readyz` says.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What keeps the program from its work, by subject; shared behind an `Arc`.
///
/// It begins with one trouble, that it is still starting, which [`Readiness::started`] ends.
#[derive(Debug)]
pub struct Readiness {
    troubles: Mutex<BTreeMap<&'static str, String>>,
}

impl Readiness {
    /// A program that is still starting.
    pub fn starting() -> Self {
        Self { troubles: Mutex::new(BTreeMap::from([(STARTING, "not up yet".to_owned())])) }
    }

    /// Everything is there that the work needs.
    pub fn started(&self) {
        self.mended(STARTING);
    }

    /// Something keeps the program from its work. Anyone may read the text, so it names no secret.
    pub fn troubled(&self, subject: &'static str, text: impl Into<String>) {
        self.lock().insert(subject, text.into());
    }

    /// It does no longer.
    pub fn mended(&self, subject: &'static str) {
        self.lock().remove(subject);
    }

    /// All troubles in one line; none when ready.
    pub fn trouble(&self) -> Option<String> {
        let troubles = self.lock();
        if troubles.is_empty() {
            return None;
        }
        Some(
            troubles
                .iter()
                .map(|(subject, text)| format!("{subject}: {text}"))
                .collect::<Vec<_>>()
                .join("; "),
        )
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        // The map is whole after every statement that changes it, so a panic elsewhere spoils nothing.
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const STARTING: &str = "starting";

#[cfg(test)]
mod tests {
    use super::Readiness;

    #[test]
    fn ready_is_the_absence_of_trouble() {
        let readiness = Readiness::starting();
        assert_eq!(readiness.trouble().as_deref(), Some("starting: not up yet"));
        readiness.troubled("store", "away");
        readiness.started();
        assert_eq!(readiness.trouble().as_deref(), Some("store: away"));
        readiness.mended("store");
        assert_eq!(readiness.trouble(), None);
    }
}
