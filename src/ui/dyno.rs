//! The pages of one app and of one dyno, with what a person can do about them.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use jiff::Timestamp;
use maud::{Markup, html};

use crate::ui::chart;
use crate::ui::decisions;
use crate::ui::dynos::{AppPage, detail, megabytes};
use crate::ui::facts::{AppFacts, DynoFacts, Facts};
use crate::ui::layout::{Layout, PageKind, page, token_field};
use crate::ui::overview::{app_state, pause_form};
use crate::ui::plot::Range;
use crate::ui::words::{self, badge, count, moment, percent, state, with_times};
use dynowarden_core::engine::status::Stage;
use dynowarden_core::ident::{AppName, DynoName, ProcessType};
use dynowarden_core::record::view::DecisionView;

/// The page of one app: all its dynos, a hundred at a time, and its pause.
pub fn app_page(layout: &Layout<'_>, facts: &Facts, app: &AppFacts, number: NonZeroUsize) -> Markup {
    let of_app = facts.decisions.iter().filter(|decision| decision.app == app.name.as_str());
    let content = html! {
        div.title {
            h1 { (app.name) }
            p.sub {
                (count(app.dynos.len(), "dyno", "dynos"))
                @for process_type in process_types(app) {
                    " · "
                    a href={ "/apps/" (app.name) "/types/" (process_type) } {
                        (process_type) " over days"
                    }
                }
            }
        }
        div.columns {
            div {
                section.card aria-labelledby="dynos-title" {
                    h2.hidden id="dynos-title" { "Dynos" }
                    (app_state(layout, app, "state", facts.now))
                    (AppPage { app, page: number }.render(facts.now))
                }
                section.card.pad id="pause" aria-labelledby="pause-title" {
                    h2 id="pause-title" { "Pause restarts" }
                    p { "Errors of this app are still read and recorded, but nothing is restarted." }
                    (pause_form(layout, Some(app)))
                }
            }
            (decided(&of_app.collect::<Vec<_>>(), facts.now))
        }
    };
    page(layout, PageKind::Detail, app.name.as_str(), content)
}

/// The process types of an app's dynos, in order.
fn process_types(app: &AppFacts) -> BTreeSet<&ProcessType> {
    app.dynos.iter().map(|dyno| dyno.status.name.process_type()).collect()
}

/// The page of one dyno: its chart, its decisions, and its manual restart. A chart of more than three hours
/// comes from the series.
pub fn dyno_page(
    layout: &Layout<'_>,
    facts: &Facts,
    (app, dyno): (&AppFacts, &DynoFacts),
    (range, of_series): (Range, Option<&Markup>),
) -> Markup {
    let (name, now) = (dyno.status.name.to_string(), facts.now);
    let (tone, word) = state(dyno, app.dry_run);
    let of_dyno = facts
        .decisions
        .iter()
        .filter(|decision| decision.app == app.name.as_str() && decision.dyno.as_deref() == Some(&name));
    let content = html! {
        div.title {
            p.crumb { a href={ "/apps/" (app.name) } { (app.name) } }
            h1 { (name) " " (badge(tone, word)) }
            @if let Some(detail) = detail(dyno, now) { p.sub { (with_times(&detail)) } }
        }
        div.columns {
            div {
                section.card.pad aria-labelledby="memory-title" {
                    h2 id="memory-title" { "Memory" }
                    (range.links(&format!("/apps/{}/dynos/{name}", app.name)))
                    @if let Some(plot) = of_series { (plot) } @else { (chart::large(dyno, now)) }
                    (known(dyno, facts))
                }
                section.card.pad id="restart" aria-labelledby="restart-title" {
                    h2 id="restart-title" { "Restart " (name) }
                    (restart_form(layout, app, dyno, now))
                }
            }
            (decided(&of_dyno.collect::<Vec<_>>(), now))
        }
    };
    page(layout, PageKind::Detail, &format!("{name} of {}", app.name), content)
}

/// An error page.
pub fn problem_page(layout: &Layout<'_>, title: &str, text: &str) -> Markup {
    let content = html! {
        section.card.pad.narrow aria-labelledby="problem" {
            h1 id="problem" { (title) }
            p { (text) }
            p { a.button href="/" { "Back to the overview" } }
        }
    };
    page(layout, PageKind::Error, title, content)
}

fn decided(of: &[&Arc<DecisionView>], now: Timestamp) -> Markup {
    html! {
        section.side aria-labelledby="decided-title" {
            h2 id="decided-title" { "Decisions" }
            (decisions::folded_list(of, now))
        }
    }
}

/// Facts about the instance, as a definition list.
fn known(dyno: &DynoFacts, facts: &Facts) -> Markup {
    let status = &dyno.status;
    let now = facts.now;
    html! {
        dl.known {
            @if let Some(memory) = status.memory {
                dt { "Memory" }
                dd {
                    (megabytes(memory.used)) ", " (percent(memory.permille)) " of its quota, at "
                    (moment(memory.at, now))
                }
            }
            @if let Some(at) = status.last_restart_at { dt { "Last restart" } dd { (moment(at, now)) } }
            @if let Some(seen) = &status.seen {
                dt { "Reported by Heroku" }
                dd {
                    (seen.state.word()) ", created " (moment(seen.created_at, now))
                    @if let Some(release) = seen.release { ", release v" (release) }
                }
                dt { "Dyno ID" } dd.id { (seen.id) }
            }
            dt { "Last seen in the log" }
            dd { (words::coarse(status.quiet_for)) " ago" }
        }
    }
}

/// The confirmation before a restart, or the reason that one must fail and the way out. The button is behind
/// a disclosure, so that no single click restarts.
fn restart_form(layout: &Layout<'_>, app: &AppFacts, dyno: &DynoFacts, now: Timestamp) -> Markup {
    let name = &dyno.status.name;
    if let Some(pause) = &app.paused {
        return html! {
            p.note {
                "Restarts of " (app.name) " are paused: " (with_times(&words::pause(pause, now)))
            }
            form method="post" action="/resume" {
                (token_field(layout))
                input type="hidden" name="app" value=(app.name);
                button type="submit" { "Resume " (app.name) }
            }
            p { "To restart it during the pause: " code { (ps_restart(&app.name, name)) } }
        };
    }
    if matches!(dyno.status.stage, Stage::Restarting | Stage::Booting) {
        return html! { p.note { "This dyno is already being restarted." } };
    }
    let alone =
        app.dynos.iter().filter(|other| other.status.name.process_type() == name.process_type()).count();
    html! {
        p {
            "Sends one " code { "DELETE /apps/" (app.name) "/dynos/" (name) }
            ": Heroku stops this one process and starts a new one. It waits for other restarts of this "
            "process type, and ignores cool-down, limits and windows."
        }
        @if dyno.status.stage == Stage::GivenUp {
            p.note { "dynowarden has given up on this dyno. A restart by hand goes ahead all the same." }
        }
        @if alone == 1 {
            p.note {
                "This is the only " (name.process_type())
                " dyno: the app may be down until the new one is up."
            }
        }
        @if app.dry_run { p.note { "Dry run: the decision is recorded, but nothing is restarted." } }
        details.confirm {
            summary.button { "Restart…" }
            form method="post" action="/restart" {
                (token_field(layout))
                input type="hidden" name="app" value=(app.name);
                input type="hidden" name="dyno" value=(name);
                p { "Restart " b { (name) } " of " b { (app.name) } " now?" }
                button.danger type="submit" { "Yes, restart " (name) }
            }
        }
    }
}

/// The command that restarts a dyno without dynowarden.
pub fn ps_restart(app: &AppName, dyno: &DynoName) -> String {
    format!("heroku ps:restart {dyno} -a {app}")
}
