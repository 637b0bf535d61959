//! The pages of one app and of one dyno, with what a person can do about them.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use maud::{Markup, html};

use crate::ui::chart;
use crate::ui::decisions;
use crate::ui::dynos::{AppPage, detail, megabytes};
use crate::ui::facts::{AppFacts, DynoFacts, Facts};
use crate::ui::layout::{Layout, PageKind, page, token_field};
use crate::ui::overview::{app_state, pause_form};
use crate::ui::words::{badge, count, moment, percent, state};
use dynowarden_core::engine::status::Stage;
use dynowarden_core::ident::ProcessType;

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
            (decided(&decisions::rows(of_app, facts.now)))
        }
    };
    page(layout, PageKind::Detail, app.name.as_str(), content)
}

/// The process types of an app's dynos, in order.
fn process_types(app: &AppFacts) -> BTreeSet<&ProcessType> {
    app.dynos.iter().map(|dyno| dyno.status.name.process_type()).collect()
}

/// The page of one dyno: its chart, its decisions, and its manual restart.
pub fn dyno_page(layout: &Layout<'_>, facts: &Facts, app: &AppFacts, dyno: &DynoFacts) -> Markup {
    let (name, now) = (dyno.status.name.to_string(), facts.now);
    let (tone, word) = state(dyno);
    let of_dyno = facts
        .decisions
        .iter()
        .filter(|decision| decision.app == app.name.as_str() && decision.dyno.as_deref() == Some(&name));
    let content = html! {
        div.title {
            p.crumb { a href={ "/apps/" (app.name) } { (app.name) } }
            h1 { (name) " " (badge(tone, word)) }
            @if let Some(detail) = detail(dyno, now) { p.sub { (detail) } }
        }
        div.columns {
            div {
                section.card.pad aria-labelledby="memory-title" {
                    h2 id="memory-title" { "Memory" }
                    (chart::large(dyno, now))
                    (known(dyno, facts))
                }
                section.card.pad id="restart" aria-labelledby="restart-title" {
                    h2 id="restart-title" { "Restart " (name) }
                    (restart_form(layout, app, dyno))
                }
            }
            (decided(&decisions::rows(of_dyno, now)))
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

fn decided(rows: &[crate::ui::parts::Row]) -> Markup {
    html! {
        section.side aria-labelledby="decided-title" {
            h2 id="decided-title" { "Decisions" }
            @if rows.is_empty() { p.none { "No decisions yet." } } @else {
                (decisions::list(rows))
            }
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
            dd { (crate::ui::words::coarse(status.quiet_for)) " ago" }
        }
    }
}

/// The confirmation before a restart. The button is behind a disclosure, so that no single click restarts.
fn restart_form(layout: &Layout<'_>, app: &AppFacts, dyno: &DynoFacts) -> Markup {
    let name = &dyno.status.name;
    let alone =
        app.dynos.iter().filter(|other| other.status.name.process_type() == name.process_type()).count();
    let under_way = matches!(dyno.status.stage, Stage::Restarting | Stage::Booting);
    html! {
        p {
            "Sends one " code { "DELETE /apps/" (app.name) "/dynos/" (name) }
            ": Heroku stops this one process and starts a new one. The restart waits for "
            "others of the same process type. The cool-down does not apply to manual restarts."
        }
        @if alone == 1 {
            p.note { "This is the only known dyno of its type: the app may be down while it boots." }
        }
        @if under_way { p.note { "This dyno is already being restarted." } }
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
