//! What `check` finds, and the fix for each finding.
//!
//! Pure: whoever asked the API, the store and the notifiers puts what came back into [`facts::Facts`],
//! and [`examine`] says what that means. No finding shows a secret, except a fresh password that nobody
//! has set yet.

mod api_key;
mod app;
pub mod drains;
pub mod facts;
pub mod finding;
#[cfg(test)]
mod tests;

use crate::health::check::facts::{CertificateState, Clocks, Facts, NotifierFact, StoreFact, TlsFact};
use crate::health::check::finding::{Finding, Subject};
use crate::health::judgement::{self, ClockError};
use crate::time::spoken;

/// Everything there is to say, in the order in which a person would fix it.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = settings(facts);
    findings.extend(api_key::examine(facts));
    findings.extend(clock(facts));
    for app in &facts.apps {
        findings.extend(app::examine(facts, app));
    }
    findings.extend(tls(facts));
    findings.extend(store(facts));
    findings.extend(notifiers(facts));
    findings
}

fn settings(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for missing in &facts.missing {
        // The token and the password have findings of their own, with a fix to type.
        let is_reported = missing.name.as_str() == "HEROKU_API_KEY"
            || (missing.name.as_str() == "DRAIN_PASSWORD" && !facts.apps.is_empty());
        if !is_reported {
            let fix = match missing.name.as_str() {
                "HEROKU_APP" => "set HEROKU_APP to the apps to watch, with commas between".to_owned(),
                "DRAIN_PASSWORD" => {
                    format!("set DRAIN_PASSWORD, for instance to {}", facts.fresh_password)
                }
                other => format!("set {other}"),
            };
            findings.push(Finding::error(Subject::Settings, missing.message.clone()).fix(fix));
        }
    }
    let warned = facts.warnings.iter();
    findings.extend(warned.map(|text| Finding::warning(Subject::Settings, text.clone()).fix(MEND_WARNING)));
    if findings.is_empty() {
        findings.push(Finding::ok(Subject::Settings, "read, and nothing is missing"));
    }
    findings
}

const MEND_WARNING: &str = "change this setting unless it is intentional";

/// Errors are judged by the time in their lines, so a wrong clock keeps everything from being restarted.
fn clock(facts: &Facts) -> Option<Finding> {
    let Clocks { here, there } = facts.clocks?;
    let (off, direction) = match judgement::clock_error(here, there) {
        None => return Some(Finding::ok(Subject::Clock, "as Heroku's")),
        Some(ClockError::Ahead(ahead)) => (ahead, "ahead of"),
        Some(ClockError::Behind(behind)) => (behind, "behind"),
    };
    let text = format!("{} {direction} Heroku's: errors will look stale or future-dated", spoken(off));
    let fix = "set it right: timedatectl set-ntp true, or whatever keeps the time on this machine";
    Some(Finding::error(Subject::Clock, text).fix(fix))
}

fn tls(facts: &Facts) -> Vec<Finding> {
    let Some(TlsFact { is_for_host, not_after, state }) = &facts.tls else { return Vec::new() };
    let renew = "renew it: the files of tls.cert and tls.key are read again by themselves";
    let mut findings = match state {
        CertificateState::Good => Vec::new(),
        CertificateState::ExpiresSoon => {
            let text = format!("the certificate expires soon, at {not_after}");
            vec![Finding::warning(Subject::Tls, text).fix(renew)]
        }
        CertificateState::Expired => {
            vec![Finding::error(Subject::Tls, format!("the certificate expired at {not_after}")).fix(renew)]
        }
        CertificateState::NotYet => {
            let text = "the certificate is not good yet";
            vec![Finding::error(Subject::Tls, text).fix("set this machine's clock, or wait")]
        }
    };
    if let Some(public_url) = facts.public_url.as_ref().filter(|_| *is_for_host == Some(false)) {
        let text = format!("the certificate is not one for {}", public_url.host());
        findings.push(Finding::warning(Subject::Tls, text).fix("name another file in tls.cert"));
    }
    if facts.public_url.as_ref().is_some_and(|public_url| !public_url.is_https()) {
        let text = "the front door speaks TLS, and public_url begins with http";
        findings.push(Finding::error(Subject::Tls, text).fix("begin public_url with https"));
    }
    if facts.home.is_on_dyno {
        let text = "Heroku's router speaks plain HTTP to a dyno, and gets no answer in TLS";
        findings.push(Finding::error(Subject::Tls, text).fix("take [tls] out of the settings"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(Subject::Tls, format!("the certificate is good until {not_after}")));
    }
    findings
}

fn store(facts: &Facts) -> Vec<Finding> {
    let mut findings = match &facts.store {
        StoreFact::Memory => {
            let text = "memory: cool-downs and the record are gone with every restart of the daemon";
            let fix = "set DATABASE_URL to sqlite://FILE, or to postgres://… where files do not last";
            vec![Finding::warning(Subject::Store, text).fix(fix)]
        }
        StoreFact::Empty { place } => {
            vec![Finding::ok(Subject::Store, format!("{place}: the first start makes it"))]
        }
        StoreFact::Opened { place } => vec![Finding::ok(Subject::Store, format!("{place}: opened"))],
        StoreFact::Failed { what, .. } => {
            let fix = match facts.store.is_file() {
                true => "make its directory, let this user write there, or set DATABASE_URL to another file",
                false => "see to it that the server runs, or set DATABASE_URL to the right one",
            };
            vec![Finding::error(Subject::Store, what.clone()).fix(fix)]
        }
    };
    if facts.home.is_on_dyno && facts.store.is_file() {
        let text = "a file of a dyno is lost with every restart of the dyno, about once a day";
        let fix = "heroku addons:create heroku-postgresql, which sets DATABASE_URL";
        findings.push(Finding::warning(Subject::Store, text).fix(fix));
    }
    findings
}

fn notifiers(facts: &Facts) -> Vec<Finding> {
    if facts.notifiers.is_empty() && facts.notify_asked {
        let text = "there is none, so nobody is told anything";
        let fix = "add a [[notify]] table to the settings file; dynowarden.example.toml shows one";
        return vec![Finding::warning(Subject::Notifier, text).fix(fix)];
    }
    let finding = |NotifierFact { name, test }: &NotifierFact| match test {
        None => Finding::ok(Subject::Notifier, format!("{name}: not tried; --notify sends a test")),
        Some(Ok(())) => Finding::ok(Subject::Notifier, format!("{name}: took the test")),
        Some(Err(what)) => Finding::error(Subject::Notifier, format!("{name}: {what}"))
            .fix("try again; if it says so again, mend its address or its secret in the [[notify]] table"),
    };
    facts.notifiers.iter().map(finding).collect()
}
