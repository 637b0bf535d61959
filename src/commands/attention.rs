//! What a person has to do now, as far as the decision history shows: the last lines of `history`, which end
//! next to the prompt. The words are those of the messages and of the page.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::cli::HistoryArgs;
use crate::store::error::StoreAway;
use crate::store::history::Filter;
use crate::store::read_only::{GiveUp, ReadOnlyStore};
use dynowarden_core::incident::message::NextStep;
use dynowarden_core::incident::next_step;
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
        let is_memory = last.or(at.as_ref()).is_some_and(|one| one.is_about_memory());
        lines.push(format!("  {}", next_step::after_give_up(app, Some(dyno), is_memory)));
        restarts.remove(&(app.as_str(), dyno.as_str()));
    }
    for ((app, dyno), restart) in &restarts {
        let Some(outcome) = restart.outcome.as_ref().filter(|outcome| is_bad(&outcome.result)) else {
            continue;
        };
        let ago = spoken(since(restart.at, now));
        lines.push(format!("{app} {dyno}: the restart {ago} ago: {}", outcome.text));
        lines.push(format!("  {}", after(&outcome.result, restart, dyno)));
    }
    for decision in decisions.iter().filter(|one| is_not_restarted(one, &restarts, now)) {
        let (app, dyno) = (&decision.app, decision.dyno.as_deref().unwrap_or("-"));
        let erring_for = spoken(since(decision.at, now));
        lines.push(format!("{app} {dyno} has erred for {erring_for} without a restart: {}", decision.reason));
        let by_hand = next_step::restart_by_hand(app, &dyno);
        lines.push(format!("  {}", next_step::while_not_restarted(&by_hand)));
    }
    let mut off: BTreeMap<&str, &DecisionView> = BTreeMap::new();
    for decision in decisions.iter().filter(|one| is_off(one) && one.last_at >= earlier(now, PRESENT)) {
        off.entry(decision.app.as_str()).or_insert(decision);
    }
    for decision in decisions.iter().filter(|one| one.dry_run && one.last_at >= earlier(now, PRESENT)) {
        let (app, dyno) = (&decision.app, decision.dyno.as_deref().unwrap_or("-"));
        let ago = spoken(since(decision.last_at, now));
        lines.push(format!("{app} {dyno} would have been restarted {ago} ago"));
        if let NextStep::Todo(step) = next_step::in_dry_run(&next_step::restart_by_hand(app, &dyno)) {
            lines.push(format!("  {step}"));
        }
    }
    let mut calm_reasons = Vec::new();
    for (app, decision) in off {
        let what = match decision.code.as_str() {
            "foreign_drain" => format!("{app}: lines are not counted: {}", decision.reason),
            _ => format!("{app}: restarts are off: {}", decision.reason),
        };
        match off_step(&decision.code, app) {
            NextStep::Todo(step) => lines.extend([what, format!("  {step}")]),
            NextStep::Nothing(why) => calm_reasons.push(format!("Nothing to do. {what}; {why}")),
        }
    }
    if lines.is_empty() && !calm_reasons.is_empty() {
        return calm_reasons;
    }
    if lines.is_empty() {
        return vec![calm(decisions, restarts.values().copied().max_by_key(|restart| restart.at), now)];
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

/// The step after a restart that ended badly.
fn after(result: &str, restart: &DecisionView, dyno: &str) -> String {
    let app = &restart.app;
    match result {
        "no_help" => next_step::after_no_help(app, restart.is_about_memory()),
        "down_again" | "not_back" => next_step::while_down(app, Some(&dyno)),
        _ => format!("restart it by hand if it still fails: {}", next_step::restart_by_hand(app, &dyno)),
    }
}

/// Whether a refusal is about what dynowarden cannot see or use. A database that is away is none: this was
/// read from it.
fn is_off(decision: &DecisionView) -> bool {
    let codes = [
        "api_reserve",
        "foreign_drain",
        "forbidden",
        "garbled",
        "no_such_app",
        "other_app",
        "platform_red",
        "throttled",
        "unauthorized",
        "unreachable",
    ];
    decision.decision == Word::Hold && codes.contains(&decision.code.as_str())
}

fn off_step(code: &str, app: &str) -> NextStep {
    match code {
        "api_reserve" => next_step::without_calls(),
        "garbled" | "throttled" | "unreachable" => next_step::without_api(),
        "platform_red" => next_step::while_red(),
        "unauthorized" => next_step::without_token(),
        "forbidden" => next_step::without_access(&app),
        _ => NextStep::Todo("see what is wrong: dynowarden check".to_owned()),
    }
}

/// Whether it says that a dyno errs for as long as people are told of it, and nothing else is said about it.
fn is_not_restarted(
    decision: &DecisionView,
    restarts: &BTreeMap<(&str, &str), &DecisionView>,
    now: Timestamp,
) -> bool {
    // Only these wait for something that may never come; other codes say what ends them.
    let lasts = ["formation_failed", "formation_out", "queued", "refused"].contains(&decision.code.as_str());
    let Some(dyno) = decision.dyno.as_deref().filter(|_| lasts && decision.decision == Word::Hold) else {
        return false;
    };
    let restart = restarts.get(&(decision.app.as_str(), dyno));
    let is_told = |restart: &&&DecisionView| {
        restart.at > decision.at || restart.outcome.as_ref().is_some_and(|outcome| is_bad(&outcome.result))
    };
    restart.filter(is_told).is_none()
        && decision.last_at >= earlier(now, limits::HELP_WITHIN)
        && decision.at <= earlier(now, limits::NOT_RESTARTED_AFTER)
}

fn calm(decisions: &[DecisionView], last: Option<&DecisionView>, now: Timestamp) -> String {
    let Some(restart) = last else {
        let of_late = |one: &&DecisionView| one.last_at >= earlier(now, PRESENT);
        if let Some(hold) = decisions.iter().filter(of_late).find(|one| is_intended(one)) {
            let dyno = hold.dyno.as_deref().unwrap_or("-");
            return format!(
                "Nothing to do: {} {dyno} is not restarted, as you asked: {}.",
                hold.app, hold.reason
            );
        }
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

/// Whether nothing was sent because people have asked for that.
fn is_intended(decision: &DecisionView) -> bool {
    matches!(decision.code.as_str(), "outside_window" | "paused")
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
    fn a_pause_is_as_people_asked_and_a_dry_run_leaves_the_restart_to_them() {
        let text = shown(&[decision(45, "web.1", "hold", "paused", None)], &[]);
        assert_eq!(text, "Nothing to do: acme web.1 is not restarted, as you asked: reason paused.");
        let dry = DecisionView { dry_run: true, ..decision(45, "web.1", "restart", "dry_run", None) };
        let text = shown(&[dry], &[]);
        assert!(text.starts_with("What to do:\nacme web.1 would have been restarted 5m ago\n"), "{text}");
        assert!(text.ends_with("because this is a dry run: heroku ps:restart web.1 -a acme"), "{text}");
    }

    #[test]
    fn a_dyno_that_errs_for_long_without_a_restart_is_told() {
        let hold = |from: u32, to| DecisionView {
            last_at: decision(to, "web.1", "hold", "queued", None).at,
            ..decision(from, "web.1", "hold", "queued", None)
        };
        let text = shown(&[hold(30, 49)], &[]);
        assert_eq!(
            text,
            "What to do:\nacme web.1 has erred for 20m without a restart: reason queued\n  remove the reason, or \
             restart it by hand: heroku ps:restart web.1 -a acme"
        );
        for rows in [vec![hold(40, 49)], vec![hold(30, 40)]] {
            assert!(shown(&rows, &[]).starts_with("Nothing to do"), "{rows:?}");
        }
        let back = decision(35, "web.1", "restart", "rule", Some(("back", "up again after 9s")));
        assert!(shown(&[hold(30, 49), back], &[]).starts_with("Nothing to do"));
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
        let useless = decision(10, "web.1", "restart", "rule", Some(("no_help", "it did not help")));
        assert!(
            shown(&[useless], &[])
                .contains("\n  find the cause. If a release brought it: heroku rollback -a acme.")
        );
        let back = decision(20, "web.1", "restart", "rule", Some(("back", "up again after 9s")));
        assert!(shown(&[back, failed], &[]).starts_with("Nothing to do."));
    }

    #[test]
    fn restarts_that_are_off_are_told_while_they_are() {
        let of = |minute, code| decision(minute, "web.1", "hold", code, None);
        let off = |minute| of(minute, "unauthorized");
        let text = shown(&[off(45)], &[]);
        assert_eq!(
            text,
            "What to do:\nacme: restarts are off: reason unauthorized\n  set HEROKU_API_KEY to a new token, and \
             restart dynowarden: heroku authorizations:create -s write -d dynowarden --short"
        );
        for code in ["platform_red", "unreachable"] {
            let text = shown(&[of(45, code)], &[]);
            assert!(text.starts_with("Nothing to do. acme: restarts are off: reason"), "{text}");
            assert!(text.contains("restarts resume when"), "{text}");
        }
        // It was read from the database.
        assert!(shown(&[of(45, "store_away")], &[]).starts_with("Nothing to do: no dyno"));
        assert!(shown(&[off(20)], &[]).starts_with("Nothing to do"));
    }
}
