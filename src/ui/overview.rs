//! `/`: the overall state, what needs a person, every app with its dynos, and the last decisions.

use std::collections::BTreeSet;

use jiff::Timestamp;
use maud::{Markup, html};

use crate::ui::chart;
use crate::ui::decisions;
use crate::ui::dynos::{advice, table};
use crate::ui::facts::{AppFacts, DrainFacts, DynoFacts, Facts};
use crate::ui::layout::{Layout, PageKind, drain_command, page, token_field};
use crate::ui::parts::{Part, Row};
use crate::ui::verdict::Verdict;
use crate::ui::words::{self, Tone, badge, coarse, count, grouped, left, percent, rate, state, with_times};
use dynowarden_core::ident::{AppName, DynoName};
use dynowarden_core::limits;
use dynowarden_core::record::view::Word;
use dynowarden_core::time::earlier;

/// The overview at one moment.
#[derive(Clone, Debug)]
pub struct Overview {
    apps: Vec<AppParts>,
    attention: Part,
    decided: Part,
    headline: Part,
    notifiers: Part,
    others: Part,
}

/// The parts of one app that is shown with its dynos.
#[derive(Clone, Debug)]
struct AppParts {
    state: Part,
    table: Part,
    folded: Part,
}

impl Overview {
    pub fn new(layout: &Layout<'_>, facts: &Facts) -> Self {
        let shown = shown(facts);
        let others = facts.apps.iter().enumerate().filter(|(place, _)| !shown.contains(place));
        Self {
            headline: headline(facts),
            attention: attention(facts),
            apps: shown.iter().map(|place| AppParts::new(layout, *place, facts)).collect(),
            others: other_apps(&others.map(|(_, app)| app).collect::<Vec<_>>(), facts.now),
            decided: decided(facts),
            notifiers: notifiers(facts),
        }
    }

    /// Returns its parts. Their order changes only when other apps are shown.
    pub fn parts(self) -> Vec<Part> {
        let apps = self.apps.into_iter().flat_map(|app| [app.state, app.table, app.folded]);
        [self.headline, self.attention]
            .into_iter()
            .chain(apps)
            .chain([self.others, self.decided, self.notifiers])
            .collect()
    }

    pub fn page(&self, layout: &Layout<'_>, facts: &Facts) -> Markup {
        let content = html! {
            h1.hidden { "Status" }
            (self.headline)
            div.columns {
                section aria-labelledby="apps-title" {
                    h2.hidden id="apps-title" { "Apps" }
                    @for (app, place) in self.apps.iter().zip(shown(facts)) {
                        @if let Some(of) = facts.apps.get(place) { (app.article(layout, of, place)) }
                    }
                    (self.others)
                    @if facts.apps.len() > 1 { (pause_all(layout)) }
                }
                div.side {
                    (self.attention)
                    (self.decided)
                    (self.notifiers)
                }
            }
        };
        // The sentence is also the title, so a background tab shows it.
        page(layout, PageKind::Overview, &Verdict::of(facts).text, content)
    }
}

impl AppParts {
    fn new(layout: &Layout<'_>, place: usize, facts: &Facts) -> Self {
        let app = &facts.apps[place];
        let folds = folds(app, facts);
        let listed: Vec<_> =
            app.dynos.iter().filter(|dyno| !folds || !dyno.is_calm()).take(limits::DYNOS_SHOWN_MAX).collect();
        Self {
            state: Part::whole(
                format!("s-{place}"),
                app_state(layout, app, &format!("s-{place}"), facts.now),
            ),
            table: table(app, &format!("t-{place}"), &listed, facts.now),
            folded: folded(app, &format!("f-{place}"), listed.len()),
        }
    }

    fn article(&self, layout: &Layout<'_>, app: &AppFacts, place: usize) -> Markup {
        let title = format!("a-{place}");
        html! {
            article.card aria-labelledby=(title) {
                header.app {
                    h3 id=(title) { a href={ "/apps/" (app.name) } { (app.name) } }
                    (self.state)
                    details.menu {
                        summary.button { "Pause…" span.hidden { " " (app.name) } }
                        (pause_form(layout, Some(app)))
                    }
                }
                (self.table)
                (self.folded)
            }
        }
    }
}

/// The apps that are shown with their dynos: all, or if there are many, those that need attention.
fn shown(facts: &Facts) -> Vec<usize> {
    let many = facts.apps.len() > limits::APPS_SHOWN_MAX;
    let needs_attention = |app: &AppFacts| {
        app.paused.is_some() || app.restarts_off.is_some() || app.dynos.iter().any(|dyno| !dyno.is_calm())
    };
    (0..facts.apps.len())
        .filter(|place| !many || needs_attention(&facts.apps[*place]))
        .take(limits::APPS_SHOWN_MAX)
        .collect()
}

/// Whether an app shows only a count of its healthy dynos.
fn folds(app: &AppFacts, facts: &Facts) -> bool {
    app.dynos.len() > limits::DYNOS_SHOWN_MAX || facts.dynos() > limits::ROWS_SHOWN_MAX
}

fn headline(facts: &Facts) -> Part {
    let Verdict { tone, text, next_step } = Verdict::of(facts);
    let day = earlier(facts.now, std::time::Duration::from_secs(86_400));
    let today = facts.decisions.iter().filter(|decision| decision.at >= day);
    let mut restarts = 0_u64;
    // Dynos, not log lines: a refusal repeats with every error, and a large number of them alarms people.
    let mut left_alone = BTreeSet::new();
    for decision in today {
        match decision.decision {
            Word::Restart if !decision.dry_run => restarts += 1,
            Word::Hold => _ = left_alone.insert((decision.app.as_str(), decision.dyno.as_deref())),
            _ => {}
        }
    }
    let under_way = facts.each_dyno().filter(|(_, dyno)| dyno.is_under_way()).count();
    let figures = [
        ("Apps", grouped(facts.apps.len() as u64)),
        ("Dynos", grouped(facts.dynos() as u64)),
        ("In progress", grouped(under_way as u64)),
        ("Restarts, 24 h", grouped(restarts)),
        ("Dynos not restarted, 24 h", grouped(left_alone.len() as u64)),
    ];
    Part::whole(
        "headline",
        html! {
            section.headline.(tone.class()) id="headline" aria-label="Summary" {
                div.told {
                    p.verdict { (text) }
                    @if let Some(step) = &next_step { p.todo { (step) } }
                }
                dl { @for (term, figure) in &figures { div { dt { (term) } dd { (figure) } } } }
            }
        },
    )
}

/// Everything that is paused, cooling down, given up or under way, with the time that is left.
fn attention(facts: &Facts) -> Part {
    let now = facts.now;
    let mut rows = Vec::new();
    for app in &facts.apps {
        if let Some(trouble) = &app.drain.trouble {
            rows.push(attention_row(&app.name, None, (Tone::Bad, "Drain"), trouble));
        }
        if let Some(off) = &app.restarts_off {
            rows.push(attention_row(&app.name, None, (Tone::Bad, "Restarts off"), &off.why));
        }
        if let Some(pause) = &app.paused {
            let text = words::pause(pause, now);
            rows.push(attention_row(&app.name, None, (Tone::Warn, "Paused"), &text));
        }
        for dyno in app.dynos.iter().filter(|dyno| !dyno.is_calm()) {
            let text = advice(&app.name, dyno, now);
            rows.push(attention_row(&app.name, Some(&dyno.status.name), state(dyno, app.dry_run), &text));
        }
    }
    // The most urgent first; within one tone in the order of the settings.
    rows.sort_by_key(|(tone, _)| std::cmp::Reverse(*tone));
    let more = rows.len().saturating_sub(limits::ATTENTION_SHOWN_MAX);
    rows.truncate(limits::ATTENTION_SHOWN_MAX);
    let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
    let none = rows.is_empty();
    Part::of_rows("attention", rows, |rows| {
        html! {
            section.attention id="attention" aria-labelledby="attention-title" {
                h2 id="attention-title" { "Now" }
                @if none && facts.trouble.is_some() {
                    p.none {
                        "dynowarden is not ready, so nothing is restarted. "
                        code { "dynowarden check" } " prints a fix for each problem."
                    }
                } @else if none { p.none { "Nothing is paused, cooling down, given up or in progress." } }
                @else { ul { (rows) } }
                @if more > 0 { p.none { "… and " (count(more, "more", "more")) } }
            }
        }
    })
}

fn attention_row(
    app: &AppName,
    dyno: Option<&DynoName>,
    (tone, word): (Tone, &str),
    text: &str,
) -> (Tone, Row) {
    let (about, href) = match dyno {
        Some(dyno) => (dyno.to_string(), format!("/apps/{app}/dynos/{dyno}")),
        None => ("app".to_owned(), format!("/apps/{app}")),
    };
    let id = format!("n-{app}-{about}-{word}").replace(' ', "-");
    let html = html! {
        li id=(id) .(tone.class()) {
            a href=(href) { (app) @if let Some(dyno) = dyno { " " b { (dyno) } } } " " (badge(tone, word))
            @if !text.is_empty() { small { (with_times(text)) } }
        }
    };
    (tone, Row { id, html: html.into_string() })
}

/// The state of an app as a whole: its drain, its traffic, its pause.
pub fn app_state(layout: &Layout<'_>, app: &AppFacts, id: &str, now: Timestamp) -> Markup {
    html! {
        div.about id=(id) {
            @if app.dry_run { (badge(Tone::Quiet, "Dry run")) }
            (drain(&app.drain))
            @if let Some(traffic) = app.traffic() {
                span.traffic {
                    (grouped(traffic.requests)) " req/min, " span.over[traffic.errors_permille() >= 50] {
                        (rate(traffic.errors_permille())) " 5xx"
                    }
                }
            }
            @if app.drain.last_batch_ago.is_none() && app.drain.trouble.is_none() {
                p.next {
                    "Add its drain: " code { (drain_command(layout, &app.name)) }
                    " Then wait for the app's next log line. " code { "dynowarden check" }
                    " says whether anything is missing."
                }
            }
            @if let Some(pause) = &app.paused {
                form.paused method="post" action="/resume" {
                    (token_field(layout))
                    input type="hidden" name="app" value=(app.name);
                    (badge(Tone::Warn, "Paused")) " " span { (with_times(&words::pause(pause, now))) }
                    button type="submit" { "Resume" span.hidden { " " (app.name) } }
                }
            }
        }
    }
}

fn drain(drain: &DrainFacts) -> Markup {
    let (tone, text) = match (&drain.trouble, drain.last_batch_ago) {
        (Some(trouble), _) => (Tone::Bad, format!("Drain: {trouble}")),
        (None, None) => (Tone::Warn, "Drain: nothing received yet".to_owned()),
        (None, Some(ago)) if ago >= limits::DRAIN_QUIET => {
            (Tone::Warn, format!("Drain quiet for {}", coarse(ago)))
        }
        (None, Some(_)) => (Tone::Good, "Drain receiving".to_owned()),
    };
    html! {
        span.drain.(tone.class()) { (text) }
        @if drain.lost_messages > 0 { span.drain.warn { (grouped(drain.lost_messages)) " lines lost (L10)" } }
        @if drain.bad_frames > 0 { span.drain.warn { (grouped(drain.bad_frames)) " bad frames" } }
    }
}

/// The dynos that are not in the table.
fn folded(app: &AppFacts, id: &str, listed: usize) -> Part {
    let rest = app.dynos.len() - listed;
    let calm: Vec<&DynoFacts> = app.dynos.iter().filter(|dyno| dyno.is_calm()).collect();
    let shares: Vec<u32> = calm.iter().filter_map(|dyno| Some(dyno.status.memory?.permille)).collect();
    let highest = shares.iter().copied().max();
    Part::whole(
        id,
        html! {
            div.folded id=(id) {
                @if rest > 0 {
                    p {
                        a href={ "/apps/" (app.name) } {
                            @if rest == calm.len() { (count(rest, "healthy dyno", "healthy dynos")) }
                            @else { (count(rest, "more dyno", "more dynos")) }
                        }
                        @if let Some(highest) = highest { ", memory up to " (percent(highest)) }
                    }
                    @if shares.len() > 1 { (chart::spread(&shares)) }
                }
            }
        },
    )
}

/// Calm apps, when there are too many to show each with its dynos.
fn other_apps(apps: &[&AppFacts], now: Timestamp) -> Part {
    let rows = apps
        .iter()
        .map(|app| {
            let id = format!("o-{}", app.name);
            let highest = app.dynos.iter().filter_map(|dyno| Some(dyno.status.memory?.permille)).max();
            let paused = app.paused.as_ref().map(|pause| left(pause.until, now));
            let html = html! {
                tr id=(id) {
                    th scope="row" { a href={ "/apps/" (app.name) } { (app.name) } }
                    td.figure { (app.dynos.len()) }
                    td.figure {
                        @if let Some(highest) = highest { (percent(highest)) }
                        @else { span.none { "no data" } }
                    }
                    td {
                        (drain(&app.drain))
                        @if let Some(left) = paused { " " (badge(Tone::Warn, "Paused")) " " (left) }
                    }
                }
            };
            Row { id, html: html.into_string() }
        })
        .collect();
    let none = apps.is_empty();
    Part::of_rows("others", rows, |rows| {
        html! {
            div id="others" {
                @if !none {
                    div.card {
                        table.others {
                            caption { (count(apps.len(), "more app", "more apps")) }
                            thead { tr {
                                th scope="col" { "App" } th.figure scope="col" { "Dynos" }
                                th.figure scope="col" { "Highest memory" } th scope="col" { "Drain" }
                            } }
                            tbody { (rows) }
                        }
                    }
                }
            }
        }
    })
}

fn decided(facts: &Facts) -> Part {
    let news = facts.decisions.iter().filter(|decision| decision.is_news());
    let rows = decisions::rows(news.take(limits::DECISIONS_SHOWN), facts.now);
    let none = rows.is_empty();
    Part::of_rows("decided", rows, |rows| {
        html! {
            section id="decided" aria-labelledby="decided-title" {
                h2 id="decided-title" { "Decisions" }
                @if none { p.none { "No restarts yet." } } @else { ol.decisions { (rows) } }
                p.more {
                    a href="/decisions" { "All decisions" } " · "
                    a href="/decisions?kind=hold" { "Not restarted, and why" }
                }
            }
        }
    })
}

/// The messages that each notifier delivered and lost since startup.
fn notifiers(facts: &Facts) -> Part {
    let rows = facts.notifiers.iter().map(|notifier| {
        let (id, lost) = (format!("m-{}", notifier.name), notifier.lost());
        let html = html! {
            tr id=(id) {
                th scope="row" {
                    (notifier.name) @if notifier.is_down { " " (badge(Tone::Warn, "Not delivering")) }
                }
                td.figure { (grouped(notifier.delivered)) }
                td.figure { (grouped(notifier.waiting as u64)) }
                td.figure { span.over[lost > 0] { (grouped(lost)) } }
            }
        };
        Row { id, html: html.into_string() }
    });
    let none = facts.notifiers.is_empty();
    Part::of_rows("notifiers", rows.collect(), |rows| {
        html! {
            section id="notifiers" hidden[none] aria-labelledby="notifiers-title" {
                h2 id="notifiers-title" { "Notifications since startup" }
                table.others {
                    thead { tr {
                        th scope="col" { "Notifier" } th.figure scope="col" { "Delivered" }
                        th.figure scope="col" { "Waiting" } th.figure scope="col" { "Lost" }
                    } }
                    tbody { (rows) }
                }
            }
        }
    })
}

/// The form that pauses one app, or all.
pub fn pause_form(layout: &Layout<'_>, app: Option<&AppFacts>) -> Markup {
    html! {
        form.pause method="post" action="/pause" {
            (token_field(layout))
            @if let Some(app) = app { input type="hidden" name="app" value=(app.name); }
            label { "Duration " select name="for" {
                option value="30m" { "30 minutes" }
                option value="2h" selected { "2 hours" }
                option value="1d" { "1 day" }
                option value="7d" { "7 days" }
            } }
            label { "Reason "
                input type="text" name="reason" maxlength=(limits::PAUSE_REASON_CHARS_MAX)
                    placeholder="e.g. load test";
            }
            button type="submit" { "Pause " (app.map_or("all apps", |app| app.name.as_str())) }
        }
    }
}

fn pause_all(layout: &Layout<'_>) -> Markup {
    html! {
        details.all {
            summary.button { "Pause or resume all apps…" }
            (pause_form(layout, None))
            form.pause method="post" action="/resume" {
                (token_field(layout))
                button type="submit" { "Resume all apps" }
            }
        }
    }
}
