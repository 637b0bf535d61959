//! One app: whether it is there, whether it can be watched, and what a restart does to it.

use crate::api::ApiError;
use crate::api::json::{AppInfo, Feature};
use crate::codes::Code;
use crate::health::check::drains;
use crate::health::check::facts::{AppFacts, Facts};
use crate::health::check::finding::{Finding, Subject};
use crate::health::judgement;
use crate::limits;
use crate::policy::{Act, Trigger};
use crate::time::spoken;

pub(super) fn examine(facts: &Facts, app: &AppFacts) -> Vec<Finding> {
    let name = &app.plan.name;
    let info = match &app.info {
        Ok(info) => info,
        Err(error) => {
            return vec![Finding::error(Subject::App, error.to_string()).fix(fix_for(error, app)).of(name)];
        }
    };
    let mut findings = vec![identity(app, info)];
    if judgement::is_fir(info) {
        let fix = format!("take {name} out of HEROKU_APP (or its [[app]] table out of the file)");
        findings.push(Finding::error(Subject::App, judgement::FIR).fix(fix));
    } else {
        findings.extend(drains::examine(facts, app, info));
        findings.extend(formation(app));
        findings.extend(space_and_metrics(app, info));
        findings.extend(preboot(app));
    }
    findings.into_iter().map(|finding| finding.of(name)).collect()
}

fn identity(app: &AppFacts, info: &AppInfo) -> Finding {
    let name = &app.plan.name;
    if let Some(to) = judgement::renamed_to(name.as_str(), &info.id, &info.name) {
        let text = format!("renamed to {to}");
        return Finding::warning(Subject::App, text).fix(judgement::use_new_name(to));
    }
    let generation = info.generation.as_deref().unwrap_or("cedar");
    let space = info.space.as_ref().map(|space| format!(", in the space {space}")).unwrap_or_default();
    let maintenance = if info.maintenance { ", in maintenance mode" } else { "" };
    Finding::ok(Subject::App, format!("found: {generation}{space}{maintenance}"))
}

fn fix_for(error: &ApiError, app: &AppFacts) -> String {
    let name = &app.plan.name;
    match error {
        ApiError::NoSuchApp => "`heroku apps` lists those that the token's account sees; put the right name \
                             into HEROKU_APP, or let the account in: heroku access:add EMAIL -a APP \
                             -p deploy,operate"
            .to_owned(),
        ApiError::Forbidden { .. } => {
            format!("let the token's account in: heroku access:add EMAIL -a {name} -p deploy,operate")
        }
        ApiError::Throttled { .. } => {
            format!("wait a little; {} calls a minute come back", limits::API_TOKENS_PER_MINUTE)
        }
        _ => "try again; https://status.heroku.com shows whether the API is up".to_owned(),
    }
}

/// A 404 for a part of an app that was just found is not about the app.
fn not_shown(subject: Subject) -> Finding {
    let fix = "try again; https://status.heroku.com shows whether the API is up";
    Finding::warning(subject, "not known: the app is there, and the API shows nothing of this (404)").fix(fix)
}

fn formation(app: &AppFacts) -> Vec<Finding> {
    let formation = match &app.formation {
        Ok(formation) => formation,
        Err(ApiError::NoSuchApp) => return vec![not_shown(Subject::Formation)],
        Err(error) => {
            return vec![Finding::error(Subject::Formation, error.to_string()).fix(fix_for(error, app))];
        }
    };
    let name = &app.plan.name;
    let mut findings = Vec::new();
    for listed in &app.plan.policy.process_types {
        let found = formation.iter().find(|entry| entry.process_type == listed.as_str());
        findings.push(match found.map(|entry| entry.quantity) {
            None => {
                let known: Vec<&str> = formation.iter().map(|entry| &*entry.process_type).collect();
                let text = format!("it has no process type {listed}");
                let fix = match known.as_slice() {
                    [] => "deploy it: it has no process types yet".to_owned(),
                    known => format!("set process_types to some of: {}", known.join(", ")),
                };
                Finding::error(Subject::Formation, text).fix(fix)
            }
            Some(0) => {
                let fix = format!("heroku ps:scale {listed}=2 -a {name}, if there should be any");
                Finding::warning(Subject::Formation, format!("{listed} is scaled to none")).fix(fix)
            }
            Some(1) => {
                let text = format!("{listed} has one dyno: each restart is an outage until it is up again");
                let fix = format!("heroku ps:scale {listed}=2 -a {name}, if that is not acceptable");
                Finding::warning(Subject::Formation, text).fix(fix)
            }
            Some(quantity) => Finding::ok(Subject::Formation, format!("{listed} has {quantity} dynos")),
        });
    }
    findings
}

/// Rules about memory need runtime metrics; in a space there are no others.
fn space_and_metrics(app: &AppFacts, info: &AppInfo) -> Vec<Finding> {
    let name = &app.plan.name;
    let mut findings = Vec::new();
    let has_memory_rule = app.plan.rules.iter().any(|rule| matches!(rule.trigger, Trigger::Memory { .. }));
    let restarts_on_r14 = app.plan.rules.iter().any(|rule| {
        rule.act == Act::Restart
            && matches!(&rule.trigger, Trigger::Errors { codes, .. } if codes.contains(&Code::R14))
    });
    if info.space.is_some() && !has_memory_rule {
        let rules = if restarts_on_r14 { "the rule on R14 never fires" } else { "there is none to go by" };
        let text = format!("dynos of a Private Space do not swap and so log no R14: {rules}");
        let fix = "add a [[rule]] with on = [\"memory\"], above = \"95%\", for = \"3m\", do = \"restart\", \
                    and switch runtime metrics on";
        findings.push(Finding::warning(Subject::App, text).fix(fix));
    }
    if has_memory_rule {
        findings.push(match feature(app, METRICS) {
            Ok(true) => Finding::ok(Subject::Metrics, "log-runtime-metrics is on"),
            Ok(false) => {
                let text = "log-runtime-metrics is off, and a rule about memory goes by nothing else";
                let fix = format!("heroku labs:enable {METRICS} -a {name} && heroku restart -a {name}");
                Finding::error(Subject::Metrics, text).fix(fix)
            }
            Err(error) => Finding::error(Subject::Metrics, error.to_string()).fix(fix_for(error, app)),
        });
    }
    findings
}

const METRICS: &str = "log-runtime-metrics";

fn preboot(app: &AppFacts) -> Option<Finding> {
    let min_uptime = app.plan.policy.min_uptime;
    match feature(app, "preboot") {
        Ok(false) => None,
        Ok(true) if min_uptime < limits::PREBOOT_OVERLAP => {
            let text = format!(
                "on: after a release the old dyno goes on logging under the new one's name for {}, and \
                 min_uptime is {}",
                spoken(limits::PREBOOT_OVERLAP),
                spoken(min_uptime)
            );
            let fix = format!("set policy.min_uptime to \"{}\" or more", spoken(limits::PREBOOT_OVERLAP));
            Some(Finding::warning(Subject::Preboot, text).fix(fix))
        }
        Ok(true) => Some(Finding::ok(
            Subject::Preboot,
            format!("on; min_uptime of {} keeps a new dyno safe from its twin's errors", spoken(min_uptime)),
        )),
        Err(ApiError::NoSuchApp) => Some(not_shown(Subject::Preboot)),
        Err(error) => {
            let text = format!("not known: {error}");
            Some(Finding::warning(Subject::Preboot, text).fix(fix_for(error, app)))
        }
    }
}

fn feature<'f>(app: &'f AppFacts, name: &str) -> Result<bool, &'f ApiError> {
    let is_on = |features: &Vec<Feature>| features.iter().any(|f| f.name == name && f.enabled);
    app.features.as_ref().map(is_on)
}
