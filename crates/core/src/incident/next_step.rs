//! What the reader of a message has to do, with the command for it, or that there is nothing to do. The page
//! and `history` answer with the same words.

use std::fmt::Display;

use crate::api::ApiError;
use crate::codes::Code;
use crate::health::api_key;
use crate::health::app;
use crate::ident::AppName;
use crate::incident::kind::Kind;
use crate::incident::message::{DynoReport, Improved, NextStep, Phase};
use crate::incident::state::{Subject, Words};
use crate::record::Measure;

fn nothing(why: &str) -> NextStep {
    NextStep::Nothing(why.to_owned())
}

fn todo(what: &str) -> NextStep {
    NextStep::Todo(what.to_owned())
}

/// The next step of an incident of dynos. The state of a dyno decides before the kind of the message: a
/// message about a restart asks for something if another dyno of the incident was given up.
pub(super) fn of_dynos(app: &AppName, dynos: &[DynoReport], (kind, phase): (Kind, Phase)) -> NextStep {
    let find = |is: &dyn Fn(&DynoReport) -> bool| dynos.iter().find(|dyno| is(dyno));
    let by_hand = |dyno: &DynoReport| dyno.name.as_ref().map(|name| restart_by_hand(app, name));
    if phase == Phase::Closed {
        return of_the_end(app, dynos);
    }
    if let Some(dyno) = find(&|dyno| dyno.state == "given_up") {
        return NextStep::Todo(after_give_up(app, dyno.name.as_ref(), is_about_memory(dyno)));
    }
    if let Some(dyno) = find(&|dyno| dyno.is_down) {
        return NextStep::Todo(while_down(app, dyno.name.as_ref()));
    }
    if let Some(command) = find(&|dyno| dyno.state == "failed").and_then(by_hand) {
        return NextStep::Todo(format!("restart it by hand if it still fails: {command}"));
    }
    if let Some(dyno) = find(&|dyno| dyno.came_back) {
        return NextStep::Todo(after_no_help(app, is_about_memory(dyno)));
    }
    match kind {
        Kind::NotRestarted => match dynos.iter().find_map(by_hand) {
            Some(command) => NextStep::Todo(while_not_restarted(&command)),
            None => todo("remove the reason"),
        },
        Kind::Notify => todo("look at the app; this rule restarts nothing"),
        Kind::Restart if dynos.iter().any(|dyno| dyno.state == "dry_run") => {
            match find(&|dyno| dyno.state == "dry_run").and_then(by_hand) {
                Some(command) => in_dry_run(&command),
                None => todo("this is a dry run, in which nothing is restarted"),
            }
        }
        Kind::Restart if dynos.iter().any(|dyno| dyno.is_next) => {
            nothing("the others follow in turn, and a later message says whether it helped")
        }
        Kind::Restart => nothing("a later message says whether it helped"),
        Kind::Recovered => nothing("it is up again"),
        Kind::Hold if find(&|dyno| dyno.is_intended).is_some() => {
            nothing("it is restarted again once that is over, if it still fails")
        }
        _ => nothing("a later message says if it lasts"),
    }
}

/// The next step when an incident is over.
fn of_the_end(app: &AppName, dynos: &[DynoReport]) -> NextStep {
    let did_not_help = |dyno: &&DynoReport| {
        dyno.came_back || dyno.proof.as_ref().is_some_and(|proof| proof.helped == Improved::No)
    };
    if dynos.iter().any(|dyno| dyno.state == "given_up") {
        return todo("find the cause, if nobody has; it is restarted again when the error comes back");
    }
    if dynos.iter().any(|dyno| dyno.state == "failed") {
        return NextStep::Todo(format!("see whether it is up, which no log line says: heroku ps -a {app}"));
    }
    if let Some(dyno) = dynos.iter().find(did_not_help) {
        return todo(cause_or_size(is_about_memory(dyno)));
    }
    if dynos.iter().any(|dyno| dyno.proof.as_ref().is_some_and(|proof| proof.back_after.is_some())) {
        return nothing("dynowarden restarts it again when its cool-down is over");
    }
    if dynos.iter().any(|dyno| dyno.state == "dry_run") {
        return nothing("the error stopped without a restart, because this is a dry run");
    }
    nothing("it is over")
}

fn is_about_memory(dyno: &DynoReport) -> bool {
    match dyno.code {
        Some(code) => matches!(code, Code::R14 | Code::R15),
        None => matches!(dyno.measure, Measure::Memory | Measure::Swap) && dyno.memory.is_some(),
    }
}

/// What ends an error that no restart ends.
fn cause_or_size(is_about_memory: bool) -> &'static str {
    match is_about_memory {
        true => "find what uses the memory, or use a larger dyno",
        false => "find the cause",
    }
}

/// The step after a give-up.
pub fn after_give_up(app: &dyn Display, dyno: Option<&impl Display>, is_about_memory: bool) -> String {
    let by_hand = dyno.map(|dyno| format!(". To restart it once more: {}", restart_by_hand(app, dyno)));
    let cause = cause_or_size(is_about_memory);
    format!("{cause}. If a release brought it: {}{}", roll_back(app), by_hand.unwrap_or_default())
}

/// The step after a restart that did not help, unless it was the last try.
pub fn after_no_help(app: &dyn Display, is_about_memory: bool) -> String {
    format!(
        "{}. If a release brought it: {}. dynowarden tries again after a longer pause, and gives up if that \
         does not help",
        cause_or_size(is_about_memory),
        roll_back(app)
    )
}

/// The step while a dyno does not come up.
pub fn while_down(app: &dyn Display, dyno: Option<&impl Display>) -> String {
    let name = dyno.map_or_else(String::new, |name| format!(" -d {name}"));
    format!("find out why it does not come up: heroku logs{name} -a {app}")
}

/// The step for a dyno that errs and is not restarted.
pub fn while_not_restarted(by_hand: &str) -> String {
    format!("remove the reason, or restart it by hand: {by_hand}")
}

/// The step for a dyno that would have been restarted.
pub fn in_dry_run(by_hand: &str) -> NextStep {
    NextStep::Todo(format!("restart it by hand if it needs that, because this is a dry run: {by_hand}"))
}

/// The step while Heroku rejects the token.
pub fn without_token() -> NextStep {
    todo(api_key::RENEW)
}

/// The step while the API cannot be used for another reason.
pub fn without_api() -> NextStep {
    nothing(
        "restarts resume when the API answers. If it lasts, see https://status.heroku.com and run \
         `dynowarden check`",
    )
}

/// The step while no API calls are left.
pub fn without_calls() -> NextStep {
    todo("find what else uses the API calls of this account, such as CI")
}

/// The step while lines arrive too late.
pub fn while_late() -> NextStep {
    nothing("restarts resume when lines are current. If it lasts, see https://status.heroku.com")
}

/// The step while Heroku's status page shows Apps red.
pub fn while_red() -> NextStep {
    nothing("restarts resume when https://status.heroku.com no longer shows Apps red")
}

/// The step while the database is away.
pub fn without_store() -> NextStep {
    todo("bring the database back; `dynowarden check` names the cause")
}

fn roll_back(app: &dyn Display) -> String {
    format!("heroku rollback -a {app}")
}

/// The command that restarts a dyno without dynowarden.
pub fn restart_by_hand(app: &dyn Display, dyno: &dyn Display) -> String {
    format!("heroku ps:restart {dyno} -a {app}")
}

/// The next step after a suspect release.
pub(super) fn of_release(app: &AppName) -> NextStep {
    NextStep::Todo(format!("look at what was deployed, and roll back if it is the cause: {}", roll_back(app)))
}

/// The next step about dynos whose restarts help, for as long as that goes on and when it ends.
pub(super) fn of_leak(app: &AppName, is_helpless: bool, phase: Phase) -> NextStep {
    if phase == Phase::Closed && !is_helpless {
        return nothing("a release ended it, and the next leak is reported again");
    }
    NextStep::Todo(format!("fix the leak, by day. What is known about it: dynowarden report --app {app}"))
}

/// The next step of an outage.
pub(super) fn of_outage(subject: &Subject, phase: Phase, words: &[Words]) -> NextStep {
    if phase == Phase::Closed {
        return nothing("it is over");
    }
    let mut fixes = words.iter().map(|words| words.fix.as_ref());
    if let Some(Some(fix)) = fixes.next() {
        return match fixes.all(|other| other == Some(fix)) {
            true => NextStep::Todo(fix.clone()),
            false => todo("each has its own fix below"),
        };
    }
    match subject {
        Subject::Api(label) if *label == ApiError::Unauthorized.label() => without_token(),
        Subject::Api(_) => without_api(),
        Subject::Calls => without_calls(),
        Subject::Clock => todo("correct this machine's clock, for example with NTP"),
        Subject::Drain => todo("see whether the drain is listed and accepted: dynowarden check"),
        Subject::Late => while_late(),
        Subject::Losses => todo("if it goes on, log less: Heroku drops lines that it cannot deliver in time"),
        Subject::Notifier(_) => todo("check the address and the secret of that notifier: dynowarden check"),
        Subject::OwnClock => todo("correct the clock of this machine"),
        Subject::Platform => while_red(),
        Subject::Store => without_store(),
        Subject::Watching(_) => todo("see what is wrong: dynowarden check"),
    }
}

/// The step while the token may not use an app.
pub fn without_access(app: &dyn Display) -> NextStep {
    todo(&format!("give the token's account access: heroku access:add EMAIL -a {app} -p deploy,operate"))
}

/// What gives the token access to `app`, if that is what is missing.
pub(super) fn access(app: &AppName, error: &ApiError) -> Option<String> {
    let is_access = matches!(error, ApiError::Forbidden { .. } | ApiError::NoSuchApp);
    is_access.then(|| app::fix_of(error, app))
}
