//! An app: whether it is there, under which name, whether it can be watched, and what a restart does to it.

use crate::api::json::{AppInfo, Feature};
use crate::api::{ApiError, SETTLE};
use crate::codes::Code;
use crate::health::drains;
use crate::health::facts::{AppFacts, Facts};
use crate::health::finding::{Finding, Severity, Subject};
use crate::ident::{AppName, ProcessType};
use crate::limits;
use crate::policy::{Act, Trigger};
use crate::time::spoken;

/// Returns the app's present name if it is not `name`. The settings may also name an app by its id.
pub(super) fn renamed_to<'i>(name: &AppName, info: &'i AppInfo) -> Option<&'i str> {
    (info.name != name.as_str() && info.id != name.as_str()).then_some(&info.name)
}

pub(super) fn renamed(to: &str) -> Finding {
    let fix = format!("use {to} in HEROKU_APP and in the drain's URL");
    Finding::warning(Subject::App, format!("renamed to {to}"), fix)
}

/// Another app has the name; `by` is its id.
pub(super) fn name_taken(name: &AppName, by: &AppName) -> Finding {
    let text = format!(
        "another app ({by}) has the name {name} now; its logs are not counted, and the app that had the name \
         before is watched by its id"
    );
    let fix = format!(
        "set HEROKU_APP to the present name of the app that you mean, or to {by} for the new one, and its \
         drain's URL to match"
    );
    Finding::error(Subject::App, text, fix)
}

pub(super) fn fir() -> Finding {
    let text = "a Fir app has no log drains, and Heroku itself restarts its dynos that run out of memory";
    let fix = "remove it from HEROKU_APP, or its [[app]] table from the settings file";
    Finding::error(Subject::App, text, fix)
}

pub(super) fn check(facts: &Facts, app: &AppFacts) -> Vec<Finding> {
    let info = match &app.info {
        Ok(info) => info,
        Err(error) => return vec![not_answered(Subject::App, error, app)],
    };
    let mut findings = vec![identity(&app.plan.name, info)];
    if info.is_fir() {
        findings.push(fir());
    } else {
        findings.extend(drains::check(facts, app, info));
        findings.extend(formation(app));
        findings.extend(space_and_metrics(app, info));
        findings.extend(preboot(app));
    }
    findings
}

fn identity(name: &AppName, info: &AppInfo) -> Finding {
    if let Some(to) = renamed_to(name, info) {
        return renamed(to);
    }
    let generation = info.generation.as_deref().unwrap_or("cedar");
    let space = info.space.as_ref().map(|space| format!(", in the space {space}")).unwrap_or_default();
    let maintenance = if info.maintenance { ", in maintenance mode" } else { "" };
    Finding::ok(Subject::App, format!("found: {generation}{space}{maintenance}"))
}

/// The API showed nothing, so the rest is unknown.
fn not_answered(subject: Subject, error: &ApiError, app: &AppFacts) -> Finding {
    Finding::error(subject, error.to_string(), fix_of(error, &app.plan.name))
}

/// What to do about an API that shows nothing of the app.
pub(crate) fn fix_of(error: &ApiError, name: &AppName) -> String {
    match error {
        ApiError::NoSuchApp => {
            let access = "heroku access:add EMAIL -a APP -p deploy,operate";
            format!("use a name that `heroku apps` lists, or give the token's account access: {access}")
        }
        error if error.is_account_unsettled() => SETTLE.to_owned(),
        ApiError::Garbled { .. } => "check HEROKU_API_URL and proxies".to_owned(),
        ApiError::Forbidden { .. } => {
            format!("give the token's account access: heroku access:add EMAIL -a {name} -p deploy,operate")
        }
        ApiError::Throttled { .. } => {
            format!("wait a minute: Heroku restores {} calls a minute", limits::API_TOKENS_PER_MINUTE)
        }
        _ => RETRY.to_owned(),
    }
}

/// A 404 for a part of an app that was just found is not about the app.
fn not_shown(subject: Subject) -> Finding {
    let text = "unknown: the app exists, but the API does not show this part of it (404)";
    Finding::warning(subject, text, RETRY)
}

const RETRY: &str = "try again; https://status.heroku.com shows whether the API is up";

fn formation(app: &AppFacts) -> Vec<Finding> {
    let formation = match &app.formation {
        Ok(formation) => formation,
        Err(ApiError::NoSuchApp) => return vec![not_shown(Subject::Formation)],
        Err(error) => return vec![not_answered(Subject::Formation, error, app)],
    };
    let name = &app.plan.name;
    let finding = |listed: &ProcessType| {
        let found = formation.iter().find(|entry| entry.process_type == listed.as_str());
        match found.map(|entry| entry.quantity) {
            None => {
                let known: Vec<&str> = formation.iter().map(|entry| &*entry.process_type).collect();
                let fix = match known.as_slice() {
                    [] => "deploy it: it has no process types yet".to_owned(),
                    known => format!("set process_types to one or more of: {}", known.join(", ")),
                };
                Finding::error(Subject::Formation, format!("the app has no process type {listed}"), fix)
            }
            Some(0) => {
                let fix = format!("heroku ps:scale {listed}=2 -a {name}, unless that is intentional");
                Finding::warning(Subject::Formation, format!("{listed} has no dynos"), fix)
            }
            Some(1) => {
                let text =
                    format!("{listed} has only one dyno: each restart takes it down until the new one is up");
                let fix = format!("if that is not acceptable: heroku ps:scale {listed}=2 -a {name}");
                Finding::warning(Subject::Formation, text, fix)
            }
            Some(quantity) => Finding::ok(Subject::Formation, format!("{listed} has {quantity} dynos")),
        }
    };
    app.plan.policy.process_types.iter().map(finding).collect()
}

/// Rules about memory need runtime metrics. In a Private Space no other rule sees memory.
fn space_and_metrics(app: &AppFacts, info: &AppInfo) -> Vec<Finding> {
    let name = &app.plan.name;
    let mut findings = Vec::new();
    let has_memory_rule = app.plan.rules.iter().any(|rule| matches!(rule.trigger, Trigger::Memory { .. }));
    let restarts_on_r14 = app.plan.rules.iter().any(|rule| {
        rule.act == Act::Restart
            && matches!(&rule.trigger, Trigger::Errors { codes, .. } if codes.contains(&Code::R14))
    });
    if info.space.is_some() && !has_memory_rule {
        let rules =
            if restarts_on_r14 { "the rule on R14 never fires" } else { "no rule is about their memory" };
        let text = format!("dynos of a Private Space do not swap and so log no R14: {rules}");
        let fix = "add a [[rule]] with on = [\"memory\"], above = \"95%\", for = \"3m\", do = \"restart\", \
                   and enable log-runtime-metrics";
        findings.push(Finding::warning(Subject::App, text, fix));
    }
    if has_memory_rule {
        findings.push(match feature(app, METRICS) {
            Ok(true) => Finding::ok(Subject::Metrics, "log-runtime-metrics is on"),
            Ok(false) => {
                let text = "log-runtime-metrics is off, so rules about memory never fire";
                let fix = format!("heroku labs:enable {METRICS} -a {name} && heroku restart -a {name}");
                Finding::error(Subject::Metrics, text, fix)
            }
            Err(error) => not_answered(Subject::Metrics, error, app),
        });
    }
    findings
}

const METRICS: &str = "log-runtime-metrics";

fn preboot(app: &AppFacts) -> Option<Finding> {
    let min_uptime = app.plan.policy.min_uptime;
    let (min, overlap) = (spoken(min_uptime), spoken(limits::PREBOOT_OVERLAP));
    match feature(app, "preboot") {
        Ok(false) => None,
        Ok(true) if min_uptime < limits::PREBOOT_OVERLAP => {
            let text = format!(
                "on: after a release the old dyno keeps logging under the new one's name for {overlap}, but \
                 min_uptime is {min}"
            );
            let fix = format!("set policy.min_uptime to \"{overlap}\" or more");
            Some(Finding::warning(Subject::Preboot, text, fix))
        }
        Ok(true) => {
            let text = format!("on; min_uptime of {min} protects a new dyno from the old one's errors");
            Some(Finding::ok(Subject::Preboot, text))
        }
        Err(ApiError::NoSuchApp) => Some(not_shown(Subject::Preboot)),
        Err(error) => {
            let text = format!("unknown: {error}");
            Some(Finding { severity: Severity::Warning, text, ..not_answered(Subject::Preboot, error, app) })
        }
    }
}

fn feature<'f>(app: &'f AppFacts, name: &str) -> Result<bool, &'f ApiError> {
    let is_on = |features: &Vec<Feature>| features.iter().any(|f| f.name == name && f.enabled);
    app.features.as_ref().map(is_on)
}
