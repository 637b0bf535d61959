//! The table of an app's dynos, and the page of an app with more of them than the overview shows.

use std::num::NonZeroUsize;

use jiff::Timestamp;
use maud::{Markup, html};

use crate::ui::chart;
use crate::ui::facts::{AppFacts, DynoFacts, Traffic};
use crate::ui::parts::{Part, Row};
use crate::ui::words::{Clock, badge, count, grouped, left, percent, rate, state, with_times};
use dynowarden_core::engine::status::Stage;
use dynowarden_core::event::Megabytes;
use dynowarden_core::ident::AppName;
use dynowarden_core::limits;

/// Some dynos of an app, as a table whose rows are kept up to date one by one.
pub(super) fn table(app: &AppFacts, id: &str, shown: &[&DynoFacts], now: Timestamp) -> Part {
    let with_traffic = app.dynos.iter().any(|dyno| dyno.traffic.is_some());
    let rows = shown.iter().map(|dyno| row(app, dyno, with_traffic, now)).collect();
    Part::of_rows(id, rows, |rows| {
        html! {
            div.table id=(id) {
                @if app.dynos.is_empty() {
                    p.none { "No dynos yet. A dyno appears with its first log line from Heroku." }
                } @else if !shown.is_empty() {
                    table {
                        caption.hidden { "Dynos of " (app.name) }
                        thead { tr {
                            th.c-dyno scope="col" { "Dyno" }
                            th.c-state scope="col" { "State" }
                            th scope="col" { "Memory, last 3 hours" }
                            th.c-memory.figure scope="col" { "Memory" }
                            @if with_traffic {
                                th.c-one.figure scope="col" { "Req/min" }
                                th.c-one.figure scope="col" { "5xx" }
                                th.c-one.figure scope="col" { "p95" }
                            }
                            th.c-act scope="col" { span.hidden { "Actions" } }
                        } }
                        tbody { (rows) }
                    }
                }
            }
        }
    })
}

fn row(of: &AppFacts, dyno: &DynoFacts, with_traffic: bool, now: Timestamp) -> Row {
    let (app, status) = (&of.name, &dyno.status);
    let (tone, word) = state(dyno, of.dry_run);
    let id = format!("d-{app}-{}", status.name);
    let here = format!("/apps/{app}/dynos/{}", status.name);
    let html = html! {
        tr id=(id) .(tone.class()) {
            th scope="row" { a href=(here) { (status.name) } }
            td.state {
                (badge(tone, word))
                @if let Some(detail) = detail(dyno, now) { small { (with_times(&detail)) } }
            }
            td.wide { (chart::small(dyno, now)) }
            td.figure data-label="Memory" { (memory(dyno)) }
            @if with_traffic { (traffic(dyno.traffic.unwrap_or_default())) }
            td.act { a.button href={ (here) "#restart" } { "Restart…" span.hidden { " " (status.name) } } }
        }
    };
    Row { id, html: html.into_string() }
}

fn memory(dyno: &DynoFacts) -> Markup {
    match dyno.status.memory {
        Some(memory) => html! {
            span.over[memory.permille > 1000] { (percent(memory.permille)) }
            small { (megabytes(memory.used)) }
        },
        None => html! { span.none { "no data" } },
    }
}

fn traffic(traffic: Traffic) -> Markup {
    let wrong = traffic.errors_permille();
    html! {
        td.figure data-label="Requests/min" { (grouped(traffic.requests)) }
        td.figure data-label="5xx" { span.over[wrong >= 50] { (rate(wrong)) } }
        td.figure data-label="p95" {
            @match traffic.p95 {
                Some(p95) if p95.as_secs() > 0 => { (format!("{:.1}", p95.as_secs_f64())) small { "s" } }
                Some(p95) => { (p95.as_millis()) small { "ms" } }
                None => span.none { "–" },
            }
        }
    }
}

/// Whole megabytes; the platform's hundredths do not help on a page.
pub(super) fn megabytes(size: Megabytes) -> String {
    format!("{} MB", grouped((size.hundredths + 50) / 100))
}

/// What happens to the dyno in the next minutes.
pub(super) fn detail(dyno: &DynoFacts, now: Timestamp) -> Option<String> {
    let status = &dyno.status;
    if let Some(hold) = &status.waiting_for {
        return Some(hold.to_string());
    }
    match status.stage {
        Stage::CoolingDown => status.cooling_until.map(|until| left(until, now)),
        Stage::GivenUp => status.given_up_until.map(|until| {
            format!("for another {}, or until the next release", left(until, now).trim_end_matches(" left"))
        }),
        Stage::Failed => Some("checking every 30 s".to_owned()),
        Stage::Settling => Some("up again; watching until it has settled".to_owned()),
        Stage::Watched => status.last_restart_at.map(|at| format!("restarted {}", Clock { at, now })),
        _ => None,
    }
}

/// The same where a person comes first: also why, and what to do.
pub(super) fn advice(app: &AppName, dyno: &DynoFacts, now: Timestamp) -> String {
    let text = detail(dyno, now).unwrap_or_default();
    match dyno.status.stage {
        Stage::GivenUp => {
            format!("restarts did not help. Find the cause, or use a larger dyno. Not restarted {text}")
        }
        Stage::Failed => format!("{text}. Look for the cause in heroku logs -t -a {app}"),
        _ => text,
    }
}

/// One page of all dynos of an app.
pub(super) struct AppPage<'p> {
    pub app: &'p AppFacts,
    /// Which page, from 1.
    pub page: NonZeroUsize,
}

impl AppPage<'_> {
    pub(super) fn pages(&self) -> usize {
        self.app.dynos.len().div_ceil(limits::DYNOS_PER_PAGE).max(1)
    }

    /// The page's table, with links to the previous and the next page.
    pub(super) fn render(&self, now: Timestamp) -> Markup {
        let page = self.page.get().min(self.pages());
        let first = (page - 1) * limits::DYNOS_PER_PAGE;
        let shown: Vec<_> = self.app.dynos.iter().skip(first).take(limits::DYNOS_PER_PAGE).collect();
        html! {
            (table(self.app, "dynos", &shown, now))
            @if self.pages() > 1 {
                nav.pages aria-label="Pages of dynos" {
                    @if page > 1 { a href={ "?page=" (page - 1) } rel="prev" { "← Previous" } }
                    span {
                        "Dynos " (first + 1) "–" (first + shown.len()) " of "
                        (count(self.app.dynos.len(), "dyno", "dynos"))
                    }
                    @if page < self.pages() { a href={ "?page=" (page + 1) } rel="next" { "Next →" } }
                }
            }
        }
    }
}
