//! The store: whether it can be used, and whether it outlives the daemon.

use crate::health::facts::{StoreFact, StoreState};
use crate::health::finding::{Finding, Subject};

pub(super) fn check(StoreFact { place, state }: &StoreFact, is_on_dyno: bool) -> Vec<Finding> {
    let is_file = place.starts_with("sqlite:");
    let mut findings = vec![match state {
        StoreState::Memory => {
            let fix = "set DATABASE_URL to sqlite://FILE, or to postgres://… where files do not persist";
            let text = "memory: a restart of the daemon loses all cool-downs and decisions";
            Finding::warning(Subject::Store, text, fix)
        }
        StoreState::Empty => {
            Finding::ok(Subject::Store, format!("{place}: will be created at the first start"))
        }
        StoreState::Opened => Finding::ok(Subject::Store, format!("{place}: opened")),
        StoreState::Failed(error) if is_file => {
            let fix = "create its directory, make it writable for this user, or correct DATABASE_URL";
            Finding::error(Subject::Store, error.clone(), fix)
        }
        StoreState::Failed(error) => {
            let fix = "check that the database server runs, or correct DATABASE_URL";
            Finding::error(Subject::Store, error.clone(), fix)
        }
    }];
    if is_on_dyno && is_file {
        let text = "the file is on a dyno, which loses its files at every restart, about once a day";
        let fix = "heroku addons:create heroku-postgresql, which sets DATABASE_URL";
        findings.push(Finding::warning(Subject::Store, text, fix));
    }
    findings
}
