//! How incidents are worded: one title, and a paragraph for each dyno.

use std::time::Duration;

use crate::api::ApiError;
use crate::codes;
use crate::ident::{AppName, DynoName};
use crate::incident::effect::{ended, of_quota, proven};
use crate::incident::kind::Kind;
use crate::incident::message::{DynoReport, Phase};
use crate::incident::state::{State, Subject, Words};
use crate::limits;
use crate::record::{MANUAL, Measure, titled};
use crate::time::spoken;

/// The title and the paragraphs of an incident of dynos.
pub(super) fn dyno_incident(
    (app, process_type): (&AppName, &str),
    dynos: &[DynoReport],
    (kind, phase): (Kind, Phase),
    open_for: Duration,
) -> (String, Vec<String>) {
    let of_state = |state: &str| dynos.iter().filter(|dyno| dyno.state == state).collect();
    let about: Vec<&DynoReport> = match (kind, phase) {
        (Kind::GiveUp, _) => of_state("given_up"),
        (Kind::Failure, _) => of_state("failed"),
        (Kind::Recovered, Phase::Updated) => of_state("back"),
        (Kind::NoHelp, _) if phase != Phase::Closed => dynos.iter().filter(|dyno| dyno.came_back).collect(),
        _ => dynos.iter().collect(),
    };
    let about = if about.is_empty() { dynos.iter().collect() } else { about };
    let subject = match about.as_slice() {
        [DynoReport { name: Some(name), .. }] => format!("{app} {name}"),
        [_] => app.to_string(),
        _ if kind == Kind::Restart && phase != Phase::Closed => app.to_string(),
        several => format!("{app} {process_type} ({} dynos)", several.len()),
    };
    let what = match (phase, kind) {
        (Phase::Closed, _) => ended(dynos, open_for),
        (_, Kind::Restart) if dynos.len() > 1 => restarted(process_type, dynos),
        _ => happened(kind, dynos),
    };
    let still = if phase == Phase::Reminder { "still: " } else { "" };
    let is_one = dynos.len() == 1;
    let paragraph = |dyno: &DynoReport| match &dyno.name {
        Some(name) if !is_one => format!("{name}: {}", dyno.text),
        _ => dyno.text.clone(),
    };
    let mut body: Vec<String> = dynos.iter().take(limits::MESSAGE_NAMES_MAX).map(paragraph).collect();
    if dynos.len() > limits::MESSAGE_NAMES_MAX {
        body.push(format!("And {} more.", dynos.len() - limits::MESSAGE_NAMES_MAX));
    }
    (format!("{still}{subject}: {what}"), body)
}

fn happened(kind: Kind, dynos: &[DynoReport]) -> String {
    let cause = dynos.first().map_or_else(String::new, short_cause);
    let are_dry = dynos.iter().any(|dyno| dyno.state == "dry_run");
    match kind {
        Kind::GiveUp => "gave up: restarting does not help".to_owned(),
        Kind::Failure if dynos.iter().any(|dyno| dyno.is_broken) => "does not come up".to_owned(),
        Kind::Failure => "the restart failed".to_owned(),
        Kind::NotRestarted => format!("needs a restart for {cause} and gets none"),
        Kind::NoHelp => "restarting does not help".to_owned(),
        Kind::Recovered => "back after all".to_owned(),
        Kind::Restart if are_dry => format!("would be restarted {}", reason(dynos)),
        Kind::Restart => format!("restarted {}", reason(dynos)),
        Kind::Hold => format!("not restarted, {cause}"),
        _ => cause,
    }
}

/// What was done to several dynos, and what was not: a title counts only what happened.
fn restarted(process_type: &str, dynos: &[DynoReport]) -> String {
    let are = |is: fn(&DynoReport) -> bool| dynos.iter().filter(|dyno| is(dyno)).collect::<Vec<_>>();
    let done = are(DynoReport::is_restarted);
    let dry = are(|dyno| dyno.state == "dry_run");
    let next = are(|dyno| dyno.is_next);
    let mut parts = Vec::new();
    for (dynos, verb) in [(&done, "restarted"), (&dry, "would be restarted")] {
        if let Some(first) = dynos.first() {
            let reason = reason(std::slice::from_ref(*first));
            parts.push(format!("{} {verb} {reason}", names(process_type, dynos)));
        }
    }
    if !next.is_empty() {
        let verb = if next.len() == 1 { "is" } else { "are" };
        parts.push(format!("{} {verb} next", names(process_type, &next)));
    }
    let others = dynos.len().saturating_sub(done.len() + dry.len() + next.len());
    if others > 0 || parts.is_empty() {
        let others = are(|dyno| !dyno.is_restarted() && dyno.state != "dry_run" && !dyno.is_next);
        parts.push(format!("{} not restarted", names(process_type, &others)));
    }
    parts.join("; ")
}

/// `web.1, web.2 and web.3`, or `12 web dynos`.
fn names(process_type: &str, dynos: &[&DynoReport]) -> String {
    let known: Vec<String> =
        dynos.iter().filter_map(|dyno| dyno.name.as_ref()).map(DynoName::to_string).collect();
    match known.as_slice() {
        [one] => one.clone(),
        [first @ .., last] if known.len() <= TITLE_NAMES_MAX => format!("{} and {last}", first.join(", ")),
        _ => format!("{} {process_type} dynos", dynos.len()),
    }
}

/// Names in a title, which is one short line.
const TITLE_NAMES_MAX: usize = 3;

/// Why a dyno was restarted, behind the verb.
fn reason(dynos: &[DynoReport]) -> String {
    match dynos.first() {
        Some(dyno) if &*dyno.rule == MANUAL && dyno.code.is_none() => "by hand".to_owned(),
        Some(dyno) => format!("for {}", short_cause(dyno)),
        None => String::new(),
    }
}

fn short_cause(dyno: &DynoReport) -> String {
    match dyno.code {
        Some(code) => code.to_string(),
        None if &*dyno.rule == MANUAL => "manual restart".to_owned(),
        None if dyno.rule.is_empty() => "an earlier error".to_owned(),
        None => match dyno.measure {
            Measure::Memory => "high memory".to_owned(),
            Measure::ServiceTime => "slow responses".to_owned(),
            Measure::Swap => "swapping".to_owned(),
            Measure::Uptime { above } => format!("being up for more than {}", spoken(above)),
        },
    }
}

/// What happened to a dyno, what was done about it and whether it helped.
pub(super) fn dyno(dyno: &DynoReport, state: &State, no_help: Option<Duration>, now: Duration) -> String {
    let mut sentences = Vec::new();
    if !dyno.rule.is_empty() {
        sentences.push(cause(dyno));
    }
    if let Some(after) = dyno.returned_after {
        sentences.push(format!("The error came back {} after the last restart.", spoken(after)));
    }
    sentences.extend(done(state, dyno.out_for, now));
    match (&dyno.proof, no_help) {
        (Some(proof), _) => sentences.extend(proven(proof, dyno)),
        (None, Some(after)) => {
            let after = spoken(after);
            sentences.push(format!(
                "Restarting does not help: the error came back {after} after the last restart."
            ));
        }
        (None, None) => {}
    }
    sentences.join(" ")
}

fn cause(dyno: &DynoReport) -> String {
    let mut text = match dyno.code {
        Some(code) => titled(code),
        None if &*dyno.rule == MANUAL => {
            let by = dyno.asked_by.as_deref().map(|by| format!(" {by}")).unwrap_or_default();
            return format!("Manual restart{by}.");
        }
        None => match dyno.measure {
            Measure::Memory => format!("Memory above the limit of the rule {}", dyno.rule),
            Measure::ServiceTime => "Slower than the other dynos of its type".to_owned(),
            Measure::Swap => format!("Swap above the limit of the rule {}", dyno.rule),
            Measure::Uptime { above } => format!("Up for more than {}", spoken(above)),
        },
    };
    if dyno.reports > 1 {
        text.push_str(&format!(", reported {} times", dyno.reports));
    }
    if let Some(memory) = dyno.memory {
        text.push_str(&format!(", at {}", of_quota(memory)));
    }
    text.push('.');
    text
}

fn done(state: &State, out_for: Option<Duration>, now: Duration) -> Option<String> {
    Some(match state {
        State::Back { late, .. } => {
            let late = if *late { ", after boot_timeout was over" } else { "" };
            format!("Restarted, and up again after {}{late}.", spoken(out_for.unwrap_or_default()))
        }
        State::DryRun => "Would have been restarted (dry run).".to_owned(),
        State::Failed { text, is_ours: false, .. } => {
            format!("{}.", capitalised(text))
        }
        State::Failed { text, .. } => format!("The restart failed: {text}."),
        State::GivenUp { text, .. } => format!("{}.", capitalised(text)),
        State::Gone => "The dyno no longer exists: it was scaled down.".to_owned(),
        State::Heard => return None,
        State::Held { reason, .. } => format!("Not restarted: {reason}."),
        State::Out { since, .. } => {
            format!("Restarted {} ago; not up yet.", spoken(now.saturating_sub(*since)))
        }
        State::Restarting { .. } => "It is being restarted.".to_owned(),
        State::Notified => "No action: this rule only sends notifications.".to_owned(),
    })
}

/// The title and the paragraphs of an outage.
pub(super) fn outage<'o>(
    subject: &Subject,
    phase: Phase,
    apps: &[AppName],
    words: impl Iterator<Item = (Option<&'o AppName>, &'o Words)>,
    lasted: Duration,
) -> (String, Vec<String>) {
    let of_apps = match apps {
        [] => String::new(),
        [app] => format!("{app}: "),
        several => format!("{} apps: ", several.len()),
    };
    let lasted = spoken(lasted);
    let title = match (subject, phase) {
        (Subject::Api(label), Phase::Closed) if *label == ApiError::Unauthorized.label() => {
            format!("Heroku accepts the API token again after {lasted}")
        }
        (Subject::Api(label), _) if *label == ApiError::Unauthorized.label() => {
            "Heroku rejects the API token (401): restarts are off for all apps".to_owned()
        }
        (Subject::Api(_), Phase::Closed) => format!("{of_apps}the API answers again after {lasted}"),
        (Subject::Api(_), _) => format!("{of_apps}cannot use Heroku's API: restarts are off"),
        (Subject::Clock, _) => format!("{of_apps}log timestamps and this machine's clock disagree"),
        (Subject::Drain, Phase::Closed) => format!("{of_apps}logs are arriving again after {lasted}"),
        (Subject::Drain, _) => format!("{of_apps}no logs are arriving"),
        (Subject::Losses, _) => format!("{of_apps}logplex is dropping lines"),
        (Subject::OwnClock, Phase::Closed) => format!("this machine's clock is right again after {lasted}"),
        (Subject::OwnClock, _) => "this machine's clock is wrong: restarts are off".to_owned(),
        (Subject::Platform, Phase::Closed) => {
            format!("Heroku's status page no longer shows Apps red, after {lasted}")
        }
        (Subject::Platform, _) => "Heroku's status page shows Apps red: restarts are off".to_owned(),
        (Subject::Store, Phase::Closed) => format!("the database is available again after {lasted}"),
        (Subject::Store, _) => "the database is unavailable, so restarts are off".to_owned(),
        (Subject::Watching(what), _) => format!("{of_apps}{what}"),
        (Subject::Notifier(name), Phase::Closed) => {
            format!("the notifier {name} works again after {lasted}")
        }
        (Subject::Calls, Phase::Closed) => format!("API calls are left again after {lasted}"),
        (Subject::Late, Phase::Closed) => format!("{of_apps}log lines arrive on time again after {lasted}"),
        (Subject::Calls, _) => "no API calls left".to_owned(),
        (Subject::Late, _) => format!("{of_apps}log lines arrive too late"),
        (Subject::Notifier(name), _) => format!("the notifier {name} is not delivering"),
    };
    let still = if phase == Phase::Reminder { "still: " } else { "" };
    let mut body = Vec::new();
    for (app, Words { text, fix, .. }) in words.filter(|_| phase != Phase::Closed) {
        body.push(match app.filter(|_| apps.len() > 1) {
            Some(app) => format!("{app}: {text}."),
            None => format!("{}.", capitalised(text)),
        });
        // Without a full stop, which would be copied along with a command.
        body.extend(fix.as_ref().map(|fix| format!("Fix: {fix}")));
    }
    if apps.len() > 1 {
        let names = list(apps.iter().map(AppName::to_string));
        body.push(format!("Apps: {names}."));
    }
    (format!("{still}{title}"), body)
}

/// The title and the paragraph of a suspect release.
pub(super) fn suspect(
    app: &AppName,
    version: Option<u64>,
    dynos: &[DynoName],
    code: codes::Code,
    age: Duration,
) -> (String, Vec<String>) {
    let release = version.map_or("the last release".to_owned(), |version| format!("release v{version}"));
    let title = format!("{app}: {} dynos started failing after {release}", dynos.len());
    let names = list(dynos.iter().map(DynoName::to_string));
    let body = format!(
        "{names} reported errors within {} of {release} (most recently {code}), but not in the hour before. \
         If the release is the cause, restarts will not help for long.",
        spoken(age)
    );
    (title, vec![body])
}

/// The title and the paragraphs of a digest.
pub(super) fn digest(restarts: u64, paragraphs: Vec<String>) -> (String, Vec<String>) {
    if paragraphs.is_empty() {
        return (
            "daily summary: nothing to report".to_owned(),
            vec!["No dyno was restarted, and none needed it.".to_owned()],
        );
    }
    let title = format!("daily summary: {restarts} {}", plural(restarts, "restart"));
    let more = paragraphs.len().saturating_sub(DIGEST_APPS_MAX);
    let mut body: Vec<String> = paragraphs.into_iter().take(DIGEST_APPS_MAX).collect();
    if more > 0 {
        body.push(format!("And {more} more {}.", plural(more as u64, "app")));
    }
    (title, body)
}

/// Slack takes fifty blocks in a message.
const DIGEST_APPS_MAX: usize = 40;

/// The first few names, and the number of others.
fn list(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(limits::MESSAGE_NAMES_MAX);
    let first = names.take(limits::MESSAGE_NAMES_MAX).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

pub(super) fn plural(count: u64, noun: &str) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}
