//! Decisions, newest first: what was decided, why, and with what result.

use std::sync::Arc;

use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};

use crate::ui::dynos::megabytes;
use crate::ui::parts::Row;
use crate::ui::words::{Tone, badge, moment, percent, verdict, with_times};
use dynowarden_core::event::Megabytes;
use dynowarden_core::record::view::{DecisionView, Word};

/// The rows of a list of decisions, each with an id so that it can be replaced alone.
pub fn rows<'r>(decisions: impl IntoIterator<Item = &'r Arc<DecisionView>>, now: Timestamp) -> Vec<Row> {
    decisions.into_iter().map(|decision| row(decision, now)).collect()
}

/// The sentence that a screen reader announces for a new decision.
pub fn sentence(decision: &DecisionView) -> String {
    let (_, word) = verdict(decision);
    let dyno = decision.dyno.as_deref().map(|dyno| format!(" {dyno}")).unwrap_or_default();
    format!("{word}: {}{dyno}. {}", decision.app, decision.reason)
}

/// The news, and the refusals behind a disclosure.
pub(super) fn folded_list(decisions: &[&Arc<DecisionView>], now: Timestamp) -> Markup {
    let (news, refusals): (Vec<_>, Vec<_>) = decisions.iter().partition(|decision| decision.is_news());
    let (news, refusals) = (rows(news.into_iter().copied(), now), rows(refusals.into_iter().copied(), now));
    let many = refusals.len();
    html! {
        @if news.is_empty() && many == 0 { p.none { "No decisions yet." } }
        @else if news.is_empty() { p.none { "No restarts yet." } }
        @else { (list(&news)) }
        @if many > 0 {
            details.refusals {
                summary { (crate::ui::words::count(many, "time", "times")) " not restarted" }
                (list(&refusals))
            }
        }
    }
}

/// Decisions by day, the newest first.
pub(super) fn by_day(decisions: &[Arc<DecisionView>], now: Timestamp) -> Markup {
    let day = |decision: &Arc<DecisionView>| decision.at.strftime("%Y-%m-%d").to_string();
    html! {
        @for of_day in decisions.chunk_by(|one, other| day(one) == day(other)) {
            @if let Some(first) = of_day.first() {
                h2.day { time data-form="day" datetime=(first.at.strftime("%Y-%m-%dT%H:%M:%SZ")) {
                    (first.at.strftime("%A, %-d %B %Y"))
                } }
                (list(&rows(of_day, now)))
            }
        }
    }
}

pub fn list(rows: &[Row]) -> Markup {
    html! { ol.decisions { @for row in rows { (PreEscaped(&row.html)) } } }
}

fn row(decision: &DecisionView, now: Timestamp) -> Row {
    let id = format!(
        "r-{}-{}-{}-{}",
        decision.at.as_microsecond(),
        decision.app,
        decision.dyno.as_deref().unwrap_or("app"),
        decision.code
    );
    let (tone, word) = verdict(decision);
    let html = html! {
        li id=(id) .(tone.class()) {
            p.what {
                (badge(tone, word)) " "
                @match &decision.dyno {
                    Some(dyno) => {
                        a href={ "/apps/" (decision.app) "/dynos/" (dyno) } {
                            (decision.app) " " b { (dyno) }
                        }
                    }
                    None => a href={ "/apps/" (decision.app) } { (decision.app) },
                }
                (moment(decision.at, now))
            }
            p.why {
                (with_times(&decision.reason))
                @if decision.count > 1 {
                    span.times {
                        " · " (times(decision.count)) ", last " (moment(decision.last_at, now))
                    }
                }
            }
            // A restart's reason says so already.
            @if let (Word::Hold, Some(by)) = (decision.decision, &decision.evidence.asked_by) {
                p.then { "requested " (by) }
            }
            @if decision.decision == Word::Restart { (outcome(decision)) }
        }
    };
    Row { id, html: html.into_string() }
}

fn outcome(decision: &DecisionView) -> Markup {
    let before = decision.evidence.memory.as_ref();
    let Some(result) = &decision.outcome else {
        return html! { @if !decision.dry_run { p.then { "in progress" } } };
    };
    let tone = match &*result.result {
        // Up again is not yet better: only memory below the quota is.
        "back" => match &result.memory {
            Some(after) if after.percent > 100.0 => Tone::Bad,
            Some(_) => Tone::Good,
            None => Tone::Quiet,
        },
        "accepted" | "gone" => Tone::Quiet,
        _ => Tone::Bad,
    };
    html! {
        p.then.(tone.class()) {
            (result.text)
            @if let (Some(before), Some(after)) = (before, &result.memory) {
                span.change {
                    span.hidden { "memory before and after: " }
                    (megabytes(from_float(before.used_mb))) " → " b { (megabytes(from_float(after.used_mb))) }
                    " (" (percent((after.percent * 10.0).max(0.0) as u32)) ")"
                }
                @if after.percent > 100.0 { b { " · still over its quota: it did not help" } }
            }
        }
    }
}

fn times(count: u64) -> String {
    crate::ui::words::count(usize::try_from(count).unwrap_or(usize::MAX), "time", "times")
}

/// The public form of a decision has its megabytes as a float.
fn from_float(megabytes: f64) -> Megabytes {
    Megabytes { hundredths: (megabytes * 100.0).max(0.0) as u64 }
}
