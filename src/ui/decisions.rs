//! Decisions, newest first: what was decided, why, and with what result.

use std::sync::Arc;

use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};

use crate::ui::dynos::megabytes;
use crate::ui::parts::Row;
use crate::ui::words::{Clock, Tone, badge, moment, percent, verdict};
use dynowarden_core::event::Megabytes;
use dynowarden_core::record::view::{DecisionView, Word};

/// The rows of a list of decisions, each with an id so that it can be replaced alone.
pub fn rows<'r>(decisions: impl IntoIterator<Item = &'r Arc<DecisionView>>, now: Timestamp) -> Vec<Row> {
    decisions.into_iter().map(|decision| row(decision, now)).collect()
}

/// The sentence that a screen reader announces for a new decision.
pub fn sentence(decision: &DecisionView) -> String {
    let (_, word) = verdict(decision.decision, decision.dry_run);
    let dyno = decision.dyno.as_deref().map(|dyno| format!(" {dyno}")).unwrap_or_default();
    format!("{word}: {}{dyno}. {}", decision.app, decision.reason)
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
    let (tone, word) = verdict(decision.decision, decision.dry_run);
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
                (decision.reason)
                @if decision.count > 1 {
                    span.times {
                        " · " (times(decision.count)) ", last "
                        (Clock { at: decision.last_at, now })
                    }
                }
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
        "back" => Tone::Good,
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
