//! `dynowarden check`: facts to findings, each with its fix.
//!
//! The caller asks the API, the store and the notifiers, and puts the answers into [`Facts`]. No finding
//! shows a secret, except a new password that is not in use yet.

use crate::health::facts::Facts;
use crate::health::finding::{Finding, Subject};
use crate::health::{advice, api_key, app, clock, notifiers, store, tls, way_in};

/// Returns all findings, in the order in which a person would fix them.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = settings(facts);
    findings.extend(api_key::check(&facts.token));
    findings.extend(clock::check(facts.clocks));
    for app in &facts.apps {
        let mut of_app = app::check(facts, app);
        if app.info.is_ok() {
            of_app.extend(advice::check(&facts.identity, app));
        }
        let name = app.plan.name.to_string();
        findings.extend(of_app.into_iter().map(|finding| Finding { app: Some(name.clone()), ..finding }));
    }
    findings.extend(tls::check(facts.tls.as_ref(), &facts.identity));
    findings.extend(way_in::check(facts.way_in.as_ref(), &facts.identity));
    findings.extend(store::check(&facts.store, facts.identity.is_on_dyno));
    findings.extend(notifiers::check(&facts.notifiers, facts.notify_asked));
    findings
}

fn settings(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for missing in &facts.missing {
        let fix = match missing.name.as_str() {
            // Other findings report these, with a command to type.
            "HEROKU_API_KEY" => continue,
            "DRAIN_PASSWORD" if !facts.apps.is_empty() => continue,
            "DRAIN_PASSWORD" => format!("set DRAIN_PASSWORD, for example to {}", facts.fresh_password),
            "HEROKU_APP" => "set HEROKU_APP to the apps to watch, separated by commas".to_owned(),
            other => format!("set {other}"),
        };
        findings.push(Finding::error(Subject::Settings, missing.message.clone(), fix));
    }
    for text in &facts.warnings {
        let fix = "change this setting unless it is intentional";
        findings.push(Finding::warning(Subject::Settings, text.clone(), fix));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(Subject::Settings, "all required settings are present"));
    }
    findings
}
