//! The first two lines of the overview: the worst problem, and what a person has to do about it, in the words
//! of the messages.

use crate::ui::facts::{AppFacts, DynoFacts, Facts};
use crate::ui::words::{Tone, count, state};
use dynowarden_core::engine::status::Stage;
use dynowarden_core::incident::message::NextStep;
use dynowarden_core::incident::next_step;
use dynowarden_core::record::view::{DecisionView, Word};

pub(super) struct Verdict {
    pub(super) tone: Tone,
    pub(super) text: String,
    /// None where the text answers that itself.
    pub(super) next_step: Option<NextStep>,
}

// === impl Verdict ===

impl Verdict {
    /// One sentence about the worst problem, which also says that nothing is restarted in a dry run.
    pub(super) fn of(facts: &Facts) -> Self {
        let mut verdict = worst(facts);
        if facts.apps.iter().any(|app| app.dry_run) {
            verdict.tone = verdict.tone.max(Tone::Warn);
            verdict.text.push_str(" · dry run: nothing will be restarted");
            verdict.next_step = would_be_restarted(facts).or(verdict.next_step);
        }
        verdict
    }
}

fn verdict(tone: Tone, text: impl Into<String>, next_step: Option<NextStep>) -> Verdict {
    Verdict { tone, text: text.into(), next_step }
}

fn todo(what: impl Into<String>) -> Option<NextStep> {
    Some(NextStep::Todo(what.into()))
}

fn nothing(why: &str) -> Option<NextStep> {
    Some(NextStep::Nothing(why.to_owned()))
}

fn worst(facts: &Facts) -> Verdict {
    let off = || facts.apps.iter().filter_map(|app| Some((app, app.restarts_off.as_ref()?)));
    if let Some((_, off)) = off().find(|(_, off)| off.is_everywhere) {
        return verdict(Tone::Bad, capitalised(&off.why), Some(off.next_step.clone()));
    }
    if let Some(trouble) = &facts.trouble {
        return verdict(
            Tone::Bad,
            format!("Not ready: {trouble}"),
            todo("see what is wrong: dynowarden check"),
        );
    }
    if let Some(verdict) = of_dynos(facts) {
        return verdict;
    }
    if let Some(app) = facts.apps.iter().find(|app| app.drain.trouble.is_some()) {
        let step = app.drain.fix.as_deref();
        let step = step.unwrap_or("see whether the drain is listed and accepted: dynowarden check");
        return verdict(Tone::Bad, format!("The drain of {} has a problem", app.name), todo(step));
    }
    if let Some((app, off)) = off().next() {
        return verdict(Tone::Bad, format!("{}: {}", app.name, off.why), Some(off.next_step.clone()));
    }
    if let Some(warn) = &facts.warn {
        return verdict(
            Tone::Warn,
            format!("Working, but {warn}"),
            todo("see what is wrong: dynowarden check"),
        );
    }
    if facts.apps.iter().all(|app| app.drain.last_batch_ago.is_none()) {
        let step = "add the drain of each app, with the command below";
        return verdict(Tone::Warn, "No logs received yet", todo(step));
    }
    if let Some(verdict) = under_way(facts) {
        return verdict;
    }
    let resumes = "restarts are allowed again when the pause ends, or with Resume";
    let paused = facts.apps.iter().filter(|app| app.paused.is_some()).count();
    match (paused, facts.apps.len()) {
        (0, _) => verdict(Tone::Good, "All is well", None),
        (paused, all) if paused == all => verdict(Tone::Warn, "Restarts are paused", nothing(resumes)),
        (paused, _) => {
            let apps = count(paused, "app", "apps");
            verdict(Tone::Warn, format!("Restarts are paused for {apps}"), nothing(resumes))
        }
    }
}

/// Dynos that a person has to look at.
fn of_dynos(facts: &Facts) -> Option<Verdict> {
    let all: Vec<(Trouble, &AppFacts, &DynoFacts)> =
        facts.each_dyno().filter_map(|(app, dyno)| Some((trouble(facts, app, dyno)?, app, dyno))).collect();
    let (what, app, dyno) = all.first()?;
    let (app, name) = (&app.name, &dyno.status.name);
    let is_memory = last_restart(facts, app.as_str(), &name.to_string())
        .map_or(dyno.status.memory.is_some(), DecisionView::is_about_memory);
    let (text, step) = match what {
        Trouble::GaveUp => {
            ("gave up: restarting does not help", next_step::after_give_up(app, Some(name), is_memory))
        }
        Trouble::Down => ("does not come up", next_step::while_down(app, Some(name))),
        Trouble::RestartFailed => ("the restart failed", next_step::while_down(app, Some(name))),
        Trouble::NoHelp => ("restarting does not help", next_step::after_no_help(app, is_memory)),
        Trouble::NotRestarted => {
            let by_hand = next_step::restart_by_hand(app, name);
            ("needs a restart and gets none", next_step::while_not_restarted(&by_hand))
        }
    };
    Some(match all.len() {
        1 => verdict(Tone::Bad, format!("{app} {name}: {text}"), todo(step)),
        many => {
            let step = format!("begin with {app} {name}: {step}");
            verdict(Tone::Bad, format!("{many} dynos need attention"), todo(step))
        }
    })
}

enum Trouble {
    GaveUp,
    Down,
    RestartFailed,
    NoHelp,
    NotRestarted,
}

fn trouble(facts: &Facts, app: &AppFacts, dyno: &DynoFacts) -> Option<Trouble> {
    match dyno.status.stage {
        Stage::GivenUp => return Some(Trouble::GaveUp),
        Stage::Failed => return Some(Trouble::RestartFailed),
        _ if dyno.status.is_broken => return Some(Trouble::Down),
        _ if dyno.is_not_restarted => return Some(Trouble::NotRestarted),
        _ if dyno.is_calm() || dyno.is_under_way() => return None,
        _ => {}
    }
    let name = dyno.status.name.to_string();
    let result = last_restart(facts, app.name.as_str(), &name)?.outcome.as_ref()?.result.as_ref();
    (result == "no_help").then_some(Trouble::NoHelp)
}

fn last_restart<'f>(facts: &'f Facts, app: &str, dyno: &str) -> Option<&'f DecisionView> {
    let is_of = |one: &&DecisionView| one.app == app && one.dyno.as_deref() == Some(dyno);
    let restarts = facts.decisions.iter().map(AsRef::as_ref).filter(is_of);
    restarts.into_iter().find(|one| one.decision == Word::Restart && !one.dry_run)
}

/// Restarts that have begun, and dynos that wait for theirs.
fn under_way(facts: &Facts) -> Option<Verdict> {
    let is_waiting = |dyno: &DynoFacts| matches!(dyno.status.stage, Stage::Queued | Stage::Waiting);
    let all: Vec<_> = facts.each_dyno().filter(|(_, dyno)| dyno.is_under_way()).collect();
    let waiting = all.iter().filter(|(_, dyno)| is_waiting(dyno)).count();
    let text = match (all.as_slice(), all.len() - waiting) {
        ([], _) => return None,
        ([(app, dyno)], _) => {
            let (_, word) = state(dyno, app.dry_run);
            format!("{word}: {} {}", app.name, dyno.status.name)
        }
        (_, 0) => format!("{} to be restarted", count(waiting, "dyno", "dynos")),
        (_, begun) if waiting == 0 => format!("{} in progress", count(begun, "restart", "restarts")),
        (_, begun) => format!("{} in progress, {waiting} more to come", count(begun, "restart", "restarts")),
    };
    let step = "dynowarden watches each dyno until it is up, and reports a failure";
    Some(verdict(Tone::Busy, text, nothing(step)))
}

/// In a dry run a dyno that needs a restart gets it from a person.
fn would_be_restarted(facts: &Facts) -> Option<NextStep> {
    let would =
        |(app, dyno): &(&AppFacts, &DynoFacts)| app.dry_run && dyno.status.stage == Stage::CoolingDown;
    let (app, dyno) = facts.each_dyno().find(would)?;
    Some(next_step::in_dry_run(&next_step::restart_by_hand(&app.name, &dyno.status.name)))
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
