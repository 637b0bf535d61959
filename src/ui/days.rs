//! The page of one process type over days: verdict, memory, lives laid over each other, requests by the hour.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};

use crate::ui::layout::{Layout, PageKind, page};
use crate::ui::words::{count, moment};
use dynowarden_core::days::evidence::suspects;
use dynowarden_core::days::history::{AppHistory, Steps, mark_time};
use dynowarden_core::days::report::TypeReport;
use dynowarden_core::days::step::{self, MarkKind};
use dynowarden_core::days::verdict::Verdict;
use dynowarden_core::ident::ProcessType;

/// How far back the chart goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    Hours3,
    Hours24,
    Days7,
    Days14,
}

impl Range {
    const ALL: [Self; 4] = [Self::Hours3, Self::Hours24, Self::Days7, Self::Days14];

    /// The range of `?range=`; a day for any other text.
    pub fn of(text: Option<&str>) -> Self {
        Self::ALL.into_iter().find(|range| Some(range.word()) == text).unwrap_or(Self::Hours24)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Hours3 => "3h",
            Self::Hours24 => "24h",
            Self::Days7 => "7d",
            Self::Days14 => "14d",
        }
    }

    fn steps(self) -> i64 {
        let hours = match self {
            Self::Hours3 => 3,
            Self::Hours24 => 24,
            Self::Days7 => 7 * 24,
            Self::Days14 => 14 * 24,
        };
        hours * step::STEPS_PER_HOUR
    }

    /// The labels below the chart, from the left.
    fn labels(self) -> [&'static str; 4] {
        match self {
            Self::Hours3 => ["3 h ago", "2 h", "1 h", "now"],
            Self::Hours24 => ["24 h ago", "16 h", "8 h", "now"],
            Self::Days7 => ["7 days ago", "112 h", "56 h", "now"],
            Self::Days14 => ["14 days ago", "224 h", "112 h", "now"],
        }
    }
}

const WIDTH: i64 = 960;
const HEIGHT: i64 = 100;

/// The points of a line: as many as a screen shows apart, so that a page stays light.
const POINTS: i64 = 240;

/// The lives that are drawn, and the hours of each.
const LIVES: usize = 8;
const LIFE_STEPS: i64 = 28 * step::STEPS_PER_HOUR;

/// The page of a process type.
pub fn type_page(
    layout: &Layout<'_>,
    report: &TypeReport,
    (history, process_type): (&AppHistory, &ProcessType),
    range: Range,
    now: Timestamp,
) -> Markup {
    let app = &report.app;
    let to = format!("/apps/{app}/types/{process_type}");
    let content = html! {
        div.title {
            p.crumb { a href={ "/apps/" (app) } { (app) } }
            h1 { (process_type) }
            p.sub { (sentence(report)) }
        }
        section.card.pad aria-labelledby="memory-title" {
            h2 id="memory-title" { "Memory" }
            p {
                @for other in Range::ALL {
                    @if other == range { b { (other.word()) } } @else {
                        a href={ (to) "?range=" (other.word()) } { (other.word()) }
                    }
                    " "
                }
            }
            (memory(history, process_type, range, now))
        }
        section.card.pad aria-labelledby="lives-title" {
            h2 id="lives-title" { "Lives, each from its start" }
            (lives(history, process_type))
        }
        section.card.pad aria-labelledby="hours-title" {
            h2 id="hours-title" { "Requests by hour of the day" }
            (hours(report))
        }
        section.card.pad aria-labelledby="suspects-title" {
            h2 id="suspects-title" { "Requests that make memory grow" }
            (suspect_list(report))
        }
        section.card.pad aria-labelledby="facts-title" {
            h2 id="facts-title" { "What it rests on" }
            (facts(report))
        }
        p.sub { "As of " (moment(now, now)) }
    };
    page(layout, PageKind::Days, &format!("{process_type} of {app}"), content)
}

/// The headline: what it does, since when, and what comes next.
pub(super) fn sentence(report: &TypeReport) -> String {
    let since = report.since_release.as_ref().map(|release| format!(" since {release}")).unwrap_or_default();
    let mut text = match report.verdict {
        Verdict::Leaks => match report.growth_percent_per_day {
            Some(growth) => format!("Leaks about {growth} % of its quota a day{since}"),
            None => format!("Leaks memory{since}"),
        },
        Verdict::LevelsOutAbove => format!("Levels out above its quota{since}: restarts cannot help"),
        Verdict::LevelsOutBelow => format!("Levels out below its quota{since}"),
        Verdict::Spikes => format!("Goes over its quota for minutes at a time{since}"),
        Verdict::Unknown => {
            let because = report.unknown_because.as_deref().unwrap_or("no lines yet");
            return format!("Not known yet: {because}.");
        }
    };
    if let Some(first) = report.hours_to_quota.iter().min_by(|left, right| left.low.total_cmp(&right.low)) {
        let _ = write!(
            text,
            "; {} is over its quota in {} to {} h at this pace",
            first.dyno, first.low, first.high
        );
    }
    if let Some(hours) = &report.quiet_hours {
        let _ = write!(text, ". Quiet hours: {} to {} {}", hours.from, hours.to, hours.zone);
    }
    text.push('.');
    text
}

fn facts(report: &TypeReport) -> Markup {
    let restarts = report.restarts;
    html! {
        dl.known {
            dt { "Data" }
            dd { (report.data_hours) " h of lines, " (count(report.dynos, "dyno", "dynos")) ", "
                (count(report.lives, "life", "lives")) }
            dt { "Restarts" }
            dd { (restarts.count) ", " (restarts.helped) " helped, " (restarts.not_helped) " did not" }
            @if let Some(size) = &report.right_size {
                dt { "Right size" }
                dd {
                    (size.size) " (" (size.memory_mb) " MB)"
                    @if let Some(cost) = &size.cost_difference {
                        ", $" (format!("{:.2}", cost.cents as f64 / 100.0)) " more a " (cost.unit) " and dyno"
                    }
                }
            }
        }
    }
}

/// The endpoints that explain the growth of memory.
fn suspect_list(report: &TypeReport) -> Markup {
    let Some(sentence) = suspects::sentence(&report.suspects) else {
        return html! { p.none { "No endpoint stands out: its requests explain no growth of memory." } };
    };
    html! {
        p { (suspects::capitalised(&sentence)) "." }
        dl.known {
            @for suspect in &report.suspects {
                dt { (suspect.method) " " (suspect.template) }
                dd {
                    (format!("{:.0} % of the growth, ", suspect.share * 100.0))
                    "about " (suspect.kilobytes) " KB a request (" (suspect.confidence) ")"
                }
            }
        }
    }
}

/// Shares of the quota from the left, with gaps.
type Line = Vec<(i64, Option<f64>)>;

fn memory(history: &AppHistory, process_type: &ProcessType, range: Range, now: Timestamp) -> Markup {
    let end = step::step_of(now) + 1;
    let first = end - range.steps();
    let x = |index: i64| (index - first) * WIDTH / range.steps();
    let dynos: Vec<&Steps> = history.dynos_of(process_type).map(|(_, steps)| steps).collect();
    let lines: Vec<Line> = dynos.iter().map(|steps| line(steps, first, end)).collect();
    let peak = peak(&lines);
    if peak == 0.0 {
        return html! { p.none { "No memory reading in this time." } };
    }
    let mut restarts = String::new();
    for (index, step) in dynos.iter().flat_map(|steps| steps.range(first..end)) {
        for mark in step.marks().iter().filter(|mark| mark.kind == MarkKind::Starting) {
            let at = step::step_of(mark_time(*index, mark.second));
            let _ = write!(restarts, "M{} 0v{HEIGHT}", x(at));
        }
    }
    let mut releases = String::new();
    for release in history.releases() {
        let at = step::step_of(release.at);
        if (first..end).contains(&at) {
            let _ = write!(releases, "M{} 0v{HEIGHT}", x(at));
        }
    }
    let top = top(peak);
    html! {
        div.plot {
            svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                aria-label={ "Memory of " (count(dynos.len(), "dyno", "dynos")) ", peak "
                    (format!("{:.0}", peak * 100.0)) " % of the quota" } {
                path.quota d={ "M0 " (height(1.0, top)) "h" (WIDTH) } {}
                @if !restarts.is_empty() { path.other d=(restarts) {} }
                @if !releases.is_empty() { path.ours d=(releases) {} }
                @for line in &lines { path.line d=(PreEscaped(path(line, range.steps(), top))) {} }
            }
            p.axis aria-hidden="true" { @for label in range.labels() { span { (label) } } }
        }
        p.legend {
            span.key-quota { "Quota" } span.key-other { "A process began" } span { "Release" }
        }
    }
}

fn lives(history: &AppHistory, process_type: &ProcessType) -> Markup {
    let all = dynowarden_core::days::report::lives_of(history, process_type);
    let recent = all.iter().rev().take(LIVES);
    let lines: Vec<Line> = recent
        .filter_map(|life| {
            let steps = history.dyno(&life.dyno)?;
            let (start, end) = (step::step_of(life.start) + 1, step::step_of(life.end));
            (end > start).then(|| line(steps, start, end.min(start + LIFE_STEPS)))
        })
        .collect();
    let peak = peak(&lines);
    if peak == 0.0 {
        return html! { p.none { "No life with memory readings yet." } };
    }
    let top = top(peak);
    html! {
        div.plot {
            svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                aria-label={ (count(lines.len(), "life", "lives")) " laid over each other" } {
                path.quota d={ "M0 " (height(1.0, top)) "h" (WIDTH) } {}
                @for line in &lines { path.line d=(PreEscaped(path(line, LIFE_STEPS, top))) {} }
            }
            p.axis aria-hidden="true" { span { "start" } span { "9 h" } span { "19 h" } span { "28 h" } }
        }
    }
}

fn hours(report: &TypeReport) -> Markup {
    let top = report.charts.hours.iter().copied().flatten().fold(0.0, f64::max);
    if top == 0.0 {
        return html! { p.none { "No requests in the router lines yet." } };
    }
    let width = WIDTH / 24;
    let mut bars = String::new();
    for (hour, rate) in (0_i64..).zip(&report.charts.hours) {
        if let Some(rate) = rate {
            let bar = (rate / top * HEIGHT as f64) as i64;
            let _ = write!(bars, "M{} {HEIGHT}v-{bar}h{}v{bar}z", hour * width, width - 4);
        }
    }
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
            aria-label="Requests by hour of the day" { path.area d=(PreEscaped(bars)) {} }
        p.axis aria-hidden="true" { span { "00" } span { "08" } span { "16" } span { "24" } }
    }
}

/// The steps of a span as at most [`POINTS`] values from its start: the highest mean of each part.
fn line(steps: &Steps, first: i64, end: i64) -> Line {
    let width = (end - first) / POINTS + 1;
    let mut line: Line = Vec::new();
    let mut last = None;
    for (index, step) in steps.range(first..end) {
        let place = (index - first) / width * width;
        let share = step.memory_mean().filter(|_| step.quota > 0);
        let Some(share) = share.map(|mean| f64::from(mean) / f64::from(step.quota)) else { continue };
        match line.last_mut() {
            Some((known, value)) if *known == place => {
                *value = Some(value.map_or(share, |value: f64| value.max(share)));
            }
            _ => {
                if last.is_some_and(|last| index - last > step::STEPS_PER_HOUR) {
                    line.push((place, None));
                }
                line.push((place, Some(share)));
            }
        }
        last = Some(*index);
    }
    line
}

fn peak(lines: &[Line]) -> f64 {
    lines.iter().flatten().filter_map(|(_, share)| *share).fold(0.0, f64::max)
}

/// The share at the upper edge.
fn top(peak: f64) -> f64 {
    peak.max(1.0) * 1.1
}

fn height(share: f64, top: f64) -> i64 {
    HEIGHT - (share / top * HEIGHT as f64) as i64
}

fn path(line: &Line, steps: i64, top: f64) -> String {
    let (mut text, mut is_open) = (String::new(), false);
    for (place, share) in line {
        let Some(share) = share else {
            is_open = false;
            continue;
        };
        let command = if is_open { 'L' } else { 'M' };
        let _ = write!(text, "{command}{} {}", place * WIDTH / steps, height(*share, top));
        is_open = true;
    }
    if is_open {
        text.push_str("h.5");
    }
    text
}

/// The longest range, for which the series are read.
pub const LONGEST: Duration = Duration::from_secs(14 * 86_400);

#[cfg(test)]
mod tests {
    use super::{Line, Range, path, top};

    #[test]
    fn a_range_is_a_word() {
        assert_eq!(Range::of(Some("7d")), Range::Days7);
        assert_eq!(Range::of(Some("x")), Range::Hours24);
        assert_eq!(Range::of(None), Range::Hours24);
    }

    #[test]
    fn a_gap_lifts_the_pen() {
        let line: Line = vec![(0, Some(0.5)), (1, Some(1.0)), (20, None), (20, Some(0.0))];
        assert_eq!(path(&line, 24, 2.0), "M0 75L40 50M800 100h.5");
        assert_eq!(path(&vec![], 24, 1.0), "");
        assert!((top(0.2) - 1.1).abs() < 1e-9);
    }
}
