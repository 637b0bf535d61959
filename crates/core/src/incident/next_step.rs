//! What the reader of a message has to do, with the command for it, or that there is nothing to do.

use crate::api::ApiError;
use crate::codes::Code;
use crate::health::app;
use crate::ident::{AppName, DynoName};
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
        let cause = cause_or_size(dyno);
        let by_hand = by_hand(dyno).map(|command| format!(". To restart it once more: {command}"));
        let what = format!("{cause}. If a release brought it: {}", roll_back(app));
        return NextStep::Todo(what + &by_hand.unwrap_or_default());
    }
    if let Some(dyno) = find(&|dyno| dyno.is_down) {
        let name = dyno.name.as_ref().map_or_else(String::new, |name| format!(" -d {name}"));
        return NextStep::Todo(format!("find out why it does not come up: heroku logs{name} -a {app}"));
    }
    if let Some(command) = find(&|dyno| dyno.state == "failed").and_then(by_hand) {
        return NextStep::Todo(format!("restart it by hand if it still fails: {command}"));
    }
    if let Some(dyno) = find(&|dyno| dyno.came_back) {
        return NextStep::Todo(format!(
            "{}. If a release brought it: {}. dynowarden tries again after a longer pause, and gives up if \
             that does not help",
            cause_or_size(dyno),
            roll_back(app)
        ));
    }
    match kind {
        Kind::NotRestarted => match dynos.iter().find_map(by_hand) {
            Some(command) => NextStep::Todo(format!("remove the reason, or restart it by hand: {command}")),
            None => todo("remove the reason"),
        },
        Kind::Notify => todo("look at the app; this rule restarts nothing"),
        Kind::Restart if dynos.iter().any(|dyno| dyno.state == "dry_run") => {
            match find(&|dyno| dyno.state == "dry_run").and_then(by_hand) {
                Some(command) => NextStep::Todo(format!(
                    "restart it by hand if it needs that, because this is a dry run: {command}"
                )),
                None => todo("this is a dry run, in which nothing is restarted"),
            }
        }
        Kind::Restart if dynos.iter().any(|dyno| dyno.is_next) => {
            nothing("the others follow in turn, and a later message says whether it helped")
        }
        Kind::Restart => nothing("a later message says whether it helped"),
        Kind::Recovered => nothing("it is up again"),
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
        return NextStep::Todo(cause_or_size(dyno));
    }
    if dynos.iter().any(|dyno| dyno.state == "dry_run") {
        return nothing("the error stopped without a restart, because this is a dry run");
    }
    nothing("it is over")
}

/// What ends an error that no restart ends.
fn cause_or_size(dyno: &DynoReport) -> String {
    let is_memory = match dyno.code {
        Some(code) => matches!(code, Code::R14 | Code::R15),
        None => matches!(dyno.measure, Measure::Memory | Measure::Swap) && dyno.memory.is_some(),
    };
    match is_memory {
        true => "find what uses the memory, or use a larger dyno".to_owned(),
        false => "find the cause".to_owned(),
    }
}

fn roll_back(app: &AppName) -> String {
    format!("heroku rollback -a {app}")
}

fn restart_by_hand(app: &AppName, dyno: &DynoName) -> String {
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
        Subject::Api(_) => nothing(
            "restarts resume when the API answers. If it lasts, see https://status.heroku.com and run \
             `dynowarden check`",
        ),
        Subject::Calls => todo("find what else uses the API calls of this account, such as CI"),
        Subject::Clock => todo("correct this machine's clock, for example with NTP"),
        Subject::Drain => todo("see whether the drain is listed and accepted: dynowarden check"),
        Subject::Late => {
            nothing("restarts resume when lines are current. If it lasts, see https://status.heroku.com")
        }
        Subject::Losses => todo("if it goes on, log less: Heroku drops lines that it cannot deliver in time"),
        Subject::Notifier(_) => todo("check the address and the secret of that notifier: dynowarden check"),
        Subject::OwnClock => todo("correct the clock of this machine"),
        Subject::Platform => {
            nothing("restarts resume when Heroku's status page is green: https://status.heroku.com")
        }
        Subject::Store => todo("bring the database back; `dynowarden check` names the cause"),
        Subject::Watching(_) => todo("see what is wrong: dynowarden check"),
    }
}

/// What gives the token access to `app`, if that is what is missing.
pub(super) fn access(app: &AppName, error: &ApiError) -> Option<String> {
    let is_access = matches!(error, ApiError::Forbidden { .. } | ApiError::NoSuchApp);
    is_access.then(|| app::fix_of(error, app))
}
