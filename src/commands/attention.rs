//! What a person has to do now, as far as the decision history shows: the last lines of `history`, which end
//! next to the prompt.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::cli::HistoryArgs;
use crate::store::error::StoreAway;
use crate::store::history::Filter;
use crate::store::read_only::{GiveUp, ReadOnlyStore};
use dynowarden_core::limits;
use dynowarden_core::record::MANUAL;
use dynowarden_core::record::view::{DecisionView, Word};
use dynowarden_core::time::{earlier, since, spoken};

/// How far back a restart is still worth a look.
const RECENT: Duration = Duration::from_secs(24 * 3600);

/// A hold of the last minutes says that restarts are off now.
const PRESENT: Duration = Duration::from_secs(15 * 60);

/// The lines for the apps of `args`.
pub(super) async fn lines(
    args: &HistoryArgs,
    reading: &ReadOnlyStore,
    now: Timestamp,
) -> Result<Vec<String>, StoreAway> {
    let since = Some(earlier(now, RECENT));
    let filter = Filter { app: args.app.clone(), since, limit: limits::PAGE_ROWS_MAX, ..Filter::default() };
    let page = reading.decisions(&filter).await?;
    let mut given_up = reading.give_ups(now).await?;
    given_up.retain(|one| args.app.as_ref().is_none_or(|app| app.as_str() == one.app));
    Ok(of(&page.decisions, &given_up, now))
}

/// `decisions` are the newest first.
fn of(decisions: &[DecisionView], given_up: &[GiveUp], now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    let mut restarts: BTreeMap<(&str, &str), &DecisionView> = BTreeMap::new();
    for decision in decisions.iter().filter(|one| one.decision == Word::Restart && !one.dry_run) {
        let dyno = decision.dyno.as_deref().unwrap_or("-");
        restarts.entry((decision.app.as_str(), dyno)).or_insert(decision);
    }
    for GiveUp { app, dyno, until } in given_up {
        // Only a release lifts a give-up early, and then rules restart the dyno again.
        let at = decisions.iter().find(|one| is_of(one, app, dyno) && one.code == DecisionView::GIVEN_UP);
        let last = restarts.get(&(app.as_str(), dyno.as_str())).filter(|restart| restart.rule != MANUAL);
        if last.zip(at).is_some_and(|(restart, at)| restart.at > at.last_at) {
            continue;
        }
        let until = until.strftime("%Y-%m-%d %H:%M:%SZ");
        lines.push(format!(
            "{app} {dyno} was given up, because restarts did not help: not restarted until {until} or the \
             next release"
        ));
        lines.push(format!(
            "  find the cause, or use a larger dyno; to restart it once more: \
             heroku ps:restart {dyno} -a {app}"
        ));
        restarts.remove(&(app.as_str(), dyno.as_str()));
    }
    for ((app, dyno), restart) in &restarts {
        let Some(outcome) = restart.outcome.as_ref().filter(|outcome| is_bad(&outcome.result)) else {
            continue;
        };
        let ago = spoken(since(restart.at, now));
        lines.push(format!("{app} {dyno}: the restart {ago} ago: {}", outcome.text));
        lines.push(format!(
            "  see whether it is up, and why not: heroku ps -a {app}; heroku logs -d {dyno} -a {app}"
        ));
    }
    let mut off: BTreeMap<&str, &DecisionView> = BTreeMap::new();
    for decision in decisions.iter().filter(|one| is_off(one) && one.last_at >= earlier(now, PRESENT)) {
        off.entry(decision.app.as_str()).or_insert(decision);
    }
    for (app, decision) in off {
        lines.push(format!("{app}: restarts are off: {}", decision.reason));
        lines.push("  see what is wrong: dynowarden check".to_owned());
    }
    if lines.is_empty() {
        return vec![calm(restarts.values().copied().max_by_key(|restart| restart.at), now)];
    }
    lines.insert(0, "What to do:".to_owned());
    lines
}

fn is_of(decision: &DecisionView, app: &str, dyno: &str) -> bool {
    decision.app == app && decision.dyno.as_deref() == Some(dyno)
}

/// Whether a restart ended in a way that a person has to look at.
fn is_bad(result: &str) -> bool {
    matches!(result, "down_again" | "ignored" | "no_help" | "not_back" | "refused" | "unanswered")
}

/// Whether a refusal is about what dynowarden cannot see or use.
fn is_off(decision: &DecisionView) -> bool {
    let codes =
        ["forbidden", "no_such_app", "other_app", "refused", "store_away", "unauthorized", "unreachable"];
    decision.decision == Word::Hold
        && (codes.contains(&decision.code.as_str()) || decision.code == "foreign_drain")
}

fn calm(last: Option<&DecisionView>, now: Timestamp) -> String {
    let Some(restart) = last else {
        return format!(
            "Nothing to do: no dyno is given up, and no restart failed in the last {}.",
            spoken(RECENT)
        );
    };
    let dyno = restart.dyno.as_deref().unwrap_or("-");
    let ago = spoken(since(restart.at, now));
    let how = restart.outcome.as_ref().map_or_else(String::new, |outcome| format!(": {}", outcome.text));
    format!("Nothing to do. The last restart was of {} {dyno}, {ago} ago{how}.", restart.app)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::of;
    use crate::store::read_only::GiveUp;
    use dynowarden_core::record::view::DecisionView;

    fn decision(
        minute: u32,
        dyno: &str,
        word: &str,
        code: &str,
        outcome: Option<(&str, &str)>,
    ) -> DecisionView {
        let at = format!("2026-03-01T03:{minute:02}:00Z");
        let outcome = outcome.map(|(result, text)| json!({ "result": result, "text": text }));
        serde_json::from_value(json!({
            "at": at, "last_at": at, "app": "acme", "dyno": dyno, "rule": "r14", "decision": word,
            "reason": format!("reason {code}"), "code": code, "outcome": outcome,
        }))
        .expect("a decision")
    }

    fn shown(decisions: &[DecisionView], given_up: &[GiveUp]) -> String {
        of(decisions, given_up, now()).join("\n")
    }

    fn now() -> Timestamp {
        "2026-03-01T03:50:00Z".parse().expect("a time")
    }

    fn given_up(dyno: &str) -> GiveUp {
        let until = "2026-03-01T09:30:00Z".parse().expect("a time");
        GiveUp { app: "acme".to_owned(), dyno: dyno.to_owned(), until }
    }

    #[test]
    fn nothing_to_do_is_said() {
        let text = shown(&[], &[]);
        assert_eq!(text, "Nothing to do: no dyno is given up, and no restart failed in the last 1d.");
        let back = decision(10, "web.1", "restart", "rule", Some(("back", "up again after 12s")));
        let text = shown(&[decision(40, "web.2", "hold", "cooling_down", None), back], &[]);
        assert_eq!(text, "Nothing to do. The last restart was of acme web.1, 40m ago: up again after 12s.");
    }

    #[test]
    fn a_dyno_that_was_given_up_has_the_command_for_it() {
        let failed = decision(10, "web.2", "restart", "rule", Some(("no_help", "it did not help")));
        let hold = decision(12, "web.2", "hold", DecisionView::GIVEN_UP, None);
        let text = shown(&[hold.clone(), failed.clone()], &[given_up("web.2")]);
        assert!(text.starts_with("What to do:\nacme web.2 was given up"), "{text}");
        assert!(text.contains("until 2026-03-01 09:30:00Z or the next release"), "{text}");
        assert!(text.ends_with("heroku ps:restart web.2 -a acme"), "once, and with its command: {text}");
        assert_eq!(text.matches("web.2").count(), 2, "{text}");
        // A release has lifted it since, and rules restart it again.
        let again = decision(30, "web.2", "restart", "rule", Some(("back", "up again after 9s")));
        let text = shown(&[again, hold, failed], &[given_up("web.2")]);
        assert_eq!(text, "Nothing to do. The last restart was of acme web.2, 20m ago: up again after 9s.");
    }

    #[test]
    fn a_failed_restart_is_told_until_the_next_one() {
        let failed = decision(10, "web.1", "restart", "rule", Some(("not_back", "not up within 3m")));
        let text = shown(std::slice::from_ref(&failed), &[]);
        assert!(
            text.starts_with("What to do:\nacme web.1: the restart 40m ago: not up within 3m\n"),
            "{text}"
        );
        assert!(text.ends_with("heroku logs -d web.1 -a acme"), "{text}");
        let back = decision(20, "web.1", "restart", "rule", Some(("back", "up again after 9s")));
        assert!(shown(&[back, failed], &[]).starts_with("Nothing to do."));
    }

    #[test]
    fn restarts_that_are_off_are_told_while_they_are() {
        let off = |minute| decision(minute, "web.1", "hold", "unauthorized", None);
        let text = shown(&[off(45)], &[]);
        assert_eq!(
            text,
            "What to do:\nacme: restarts are off: reason unauthorized\n  see what is wrong: dynowarden check"
        );
        assert!(shown(&[off(20)], &[]).starts_with("Nothing to do"));
    }
}
