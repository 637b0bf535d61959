//! Memory over hours and days, from the series: axes with units, the quota, the time above it, and what
//! happened. It is all in the page, and the script only adds the reader's time zone and the value under the
//! pointer.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};

use crate::ui::marks::{self, Mark, OwnRestarts, What};
use crate::ui::words::{count, grouped, moment};
use dynowarden_core::days::history::{AppHistory, Release, Steps};
use dynowarden_core::days::step::{self, STEPS_PER_HOUR};
use dynowarden_core::ident::DynoName;

/// How far back a chart goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    Hours3,
    Hours24,
    Days7,
    Days14,
}

/// The dynos of a chart, with what is known of them.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'s> {
    pub history: &'s AppHistory,
    pub dynos: &'s [(&'s DynoName, &'s Steps)],
    pub ours: &'s OwnRestarts,
}

/// Shares of the quota from the left, with gaps.
pub(super) type Line = Vec<(i64, Option<f64>)>;

pub(super) const WIDTH: i64 = 960;
pub(super) const HEIGHT: i64 = 100;

/// The points of a line: as many as a screen shows apart, so that a page stays light.
const POINTS: i64 = 240;

/// The dynos that are drawn: more lines than that are no longer told apart, and a page stays light.
const LINES: usize = 30;

/// Marks that are listed in words; the newest ones.
const LISTED: usize = 12;

// === impl Range ===

impl Range {
    const ALL: [Self; 4] = [Self::Hours3, Self::Hours24, Self::Days7, Self::Days14];

    /// The range of `?range=`; `usual` for any other text.
    pub fn of(text: Option<&str>, usual: Self) -> Self {
        Self::ALL.into_iter().find(|range| Some(range.word()) == text).unwrap_or(usual)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Hours3 => "3h",
            Self::Hours24 => "24h",
            Self::Days7 => "7d",
            Self::Days14 => "14d",
        }
    }

    fn spoken(self) -> &'static str {
        match self {
            Self::Hours3 => "3 hours",
            Self::Hours24 => "24 hours",
            Self::Days7 => "7 days",
            Self::Days14 => "14 days",
        }
    }

    pub fn span(self) -> Duration {
        let hours = match self {
            Self::Hours3 => 3,
            Self::Hours24 => 24,
            Self::Days7 => 7 * 24,
            Self::Days14 => 14 * 24,
        };
        Duration::from_secs(hours * 3600)
    }

    fn steps(self) -> i64 {
        self.span().as_secs() as i64 / 3600 * STEPS_PER_HOUR
    }

    /// Links to all ranges of the page at `path`.
    pub(super) fn links(self, path: &str) -> Markup {
        html! {
            nav.ranges aria-label="How far back" {
                @for range in Self::ALL {
                    @let is_shown = (range == self).then_some("true");
                    a href={ (path) "?range=" (range.word()) } aria-current=[is_shown] {
                        (range.word())
                    }
                }
            }
        }
    }
}

/// The chart, its legend and its marks in words.
pub fn plot(shown: Shown<'_>, range: Range, now: Timestamp) -> Markup {
    let end = step::step_of(now) + 1;
    let first = end - range.steps();
    let (lines, left_out) = highest(shown.dynos.iter().map(|(_, steps)| line(steps, first, end)).collect());
    let releases: Vec<Release> = shown.history.releases();
    let mut marks: Vec<Mark> = Vec::new();
    for dyno in shown.dynos {
        marks.extend(marks::marks(*dyno, (&releases, shown.ours), first));
    }
    marks.sort();
    if lines.iter().all(Vec::is_empty) && marks.is_empty() {
        return html! { p.none { "No memory reading in the last " (range.spoken()) "." } };
    }
    let top = top(peak(&lines));
    let quota = common_quota(shown.dynos, first, end);
    let places = marks.iter().map(|mark| (x_of(step::step_of(mark.at) - first, range), mark.what));
    html! {
        div.plot data-end=(end * step::STEP_SECONDS) data-quota=[quota] data-unit=(unit_minutes(range))
            data-points=(points(&lines, range)) {
            (y_axis(quota, top))
            svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                aria-label=(description(shown, &lines, &marks, range)) {
                path.grid d={ "M0 " (height(0.5, top)) "h" (WIDTH) "M320 0v" (HEIGHT) "M640 0v" (HEIGHT) } {}
                @for line in &lines { path.line d=(PreEscaped(path(line, range.steps(), top))) {} }
                path.quota d={ "M0 " (height(1.0, top)) "h" (WIDTH) } {}
                (marks::strokes(places, HEIGHT))
                (above(shown.dynos, (first, end), range, top))
            }
            (x_axis(range, now))
            p.readout aria-hidden="true" { "Point at the chart to read it." }
        }
        @if left_out > 0 {
            p.sub { "The " (LINES) " dynos with the most memory are drawn, of "
                (grouped((LINES + left_out) as u64)) "." }
        }
        (marks::legend(&marks.iter().map(|mark| mark.what).collect::<Vec<What>>()))
        (listed(&marks, shown.dynos.len() > 1, now))
    }
}

/// The lines with the highest peaks, as many as are drawn, and the number of the others.
fn highest(mut lines: Vec<Line>) -> (Vec<Line>, usize) {
    let peak_of = |line: &Line| peak(std::slice::from_ref(line));
    if lines.len() > LINES {
        lines.sort_by(|one, other| peak_of(other).total_cmp(&peak_of(one)));
    }
    let left_out = lines.len().saturating_sub(LINES);
    lines.truncate(LINES);
    (lines, left_out)
}

/// Shares of the quota, with megabytes where all dynos have the same quota.
pub(super) fn y_axis(quota: Option<u64>, top: f64) -> Markup {
    html! {
        div.y data-top=((top * 1000.0) as i64) aria-hidden="true" {
            span.at-quota { @if let Some(quota) = quota { (grouped(quota)) " MB " } "100%" }
            span.at-half { @if let Some(quota) = quota { (grouped(quota / 2)) " MB " } "50%" }
            span.at-zero { "0" }
        }
    }
}

/// Clock times, in UTC until the script shows the reader's.
fn x_axis(range: Range, now: Timestamp) -> Markup {
    let ago = |thirds: u32| dynowarden_core::time::earlier(now, range.span() / 3 * thirds);
    let form = if range.span() > Duration::from_secs(86_400) { "%-d %b %H:%M" } else { "%H:%M" };
    html! {
        p.axis aria-hidden="true" {
            @for thirds in [3, 2, 1] {
                @let at = ago(thirds);
                time data-form="clock" datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) { (at.strftime(form)) }
            }
            span { "now" }
        }
    }
}

/// The time above the quota, along the line of the quota.
fn above(dynos: &[(&DynoName, &Steps)], (first, end): (i64, i64), range: Range, top: f64) -> Markup {
    let mut over = [false; WIDTH as usize];
    for (from, until) in dynos.iter().flat_map(|(_, steps)| marks::breaches(steps, first, end)) {
        let x = x_of(from - first, range);
        // Short ones would not be seen.
        let to = x_of(until - first, range).max(x + 2).min(WIDTH);
        over[x as usize..to as usize].fill(true);
    }
    let (mut path, y, mut x) = (String::new(), height(1.0, top), 0);
    for run in over.chunk_by(|one, next| one == next) {
        if run[0] {
            let _ = write!(path, "M{x} {y}h{}", run.len());
        }
        x += run.len();
    }
    html! { @if !path.is_empty() { path.breach d=(PreEscaped(path)) {} } }
}

/// The newest marks in words.
fn listed(marks: &[Mark], has_names: bool, now: Timestamp) -> Markup {
    html! {
        @if !marks.is_empty() {
            ul.marks aria-label="Marks in the chart" {
                @for mark in marks.iter().rev().take(LISTED) {
                    li {
                        (moment(mark.at, now)) " "
                        @if has_names { (mark.dyno) " " }
                        (mark.what.words())
                    }
                }
                @if marks.len() > LISTED { li { "and " (marks.len() - LISTED) " before that" } }
            }
        }
    }
}

/// The chart as a sentence, for screen readers.
fn description(shown: Shown<'_>, lines: &[Line], marks: &[Mark], range: Range) -> String {
    let mut text = match shown.dynos {
        [(name, _)] => format!("Memory of {name}"),
        all => format!("Memory of {}", count(all.len(), "dyno", "dynos")),
    };
    let _ = write!(text, ", last {}", range.spoken());
    match peak(lines) {
        0.0 => text.push_str(": no reading"),
        peak => drop(write!(text, ": peak {:.0}% of the quota", peak * 100.0)),
    }
    if !marks.is_empty() {
        let _ = write!(text, "; {}", count(marks.len(), "mark", "marks"));
    }
    text
}

/// The quota in megabytes, if all dynos have the same.
fn common_quota(dynos: &[(&DynoName, &Steps)], first: i64, end: i64) -> Option<u64> {
    common(dynos.iter().flat_map(|(_, steps)| steps.range(first..end)).map(|(_, step)| step.quota))
}

/// The most frequent of some quotas in tenths of a megabyte, as megabytes, if all are about the same: those
/// that come from an R14 are rounded.
pub(super) fn common(quotas: impl Iterator<Item = u32>) -> Option<u64> {
    let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
    quotas.filter(|quota| *quota > 0).for_each(|quota| *counts.entry(quota).or_default() += 1);
    let (quota, _) = counts.iter().max_by_key(|(_, count)| **count)?;
    counts.keys().all(|other| other.abs_diff(*quota) <= quota / 50).then_some(u64::from(*quota) / 10)
}

/// The minutes of one unit of the drawing.
fn unit_minutes(range: Range) -> f64 {
    range.span().as_secs_f64() / 60.0 / WIDTH as f64
}

/// The readings for the script, which shows the one under the pointer: units before the end, and tenths of a
/// per cent of the dyno that has the most.
fn points(lines: &[Line], range: Range) -> String {
    let mut highest = BTreeMap::new();
    for (place, share) in lines.iter().flatten() {
        if let Some(share) = share {
            let known: &mut f64 = highest.entry(x_of(*place, range)).or_default();
            *known = known.max(*share);
        }
    }
    let points = highest.iter().map(|(x, share)| format!("{}:{:.0}", WIDTH - x, share * 1000.0));
    points.collect::<Vec<_>>().join(" ")
}

fn x_of(place: i64, range: Range) -> i64 {
    place * WIDTH / range.steps()
}

/// The steps of a span as at most [`POINTS`] values from its start: the highest mean of each part.
pub(super) fn line(steps: &Steps, first: i64, end: i64) -> Line {
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
                if last.is_some_and(|last| index - last > STEPS_PER_HOUR) {
                    line.push((place, None));
                }
                line.push((place, Some(share)));
            }
        }
        last = Some(*index);
    }
    line
}

pub(super) fn peak(lines: &[Line]) -> f64 {
    lines.iter().flatten().filter_map(|(_, share)| *share).fold(0.0, f64::max)
}

/// The share at the upper edge. The quota is at four fifths unless memory went far past it.
pub(super) fn top(peak: f64) -> f64 {
    [1.25, 1.5, 2.0, 3.0].into_iter().find(|top| peak + 0.04 <= *top).unwrap_or(3.0)
}

pub(super) fn height(share: f64, top: f64) -> i64 {
    HEIGHT - (share.min(top) / top * HEIGHT as f64) as i64
}

pub(super) fn path(line: &Line, steps: i64, top: f64) -> String {
    let (mut text, mut is_open) = (String::new(), false);
    for (place, share) in line {
        let Some(share) = share else {
            if is_open {
                text.push_str("h.5");
            }
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{LINES, Line, Range, Shown, path, plot, top};
    use crate::ui::marks::OwnRestarts;
    use dynowarden_core::days::history::{AppHistory, Steps};
    use dynowarden_core::days::seen::Seen;
    use dynowarden_core::detect::sign::Sign;
    use dynowarden_core::event::{DynoState, Megabytes};
    use dynowarden_core::ident::{DynoName, DynoRef};

    #[test]
    fn a_range_is_a_word() {
        assert_eq!(Range::of(Some("7d"), Range::Hours24), Range::Days7);
        assert_eq!(Range::of(Some("x"), Range::Hours24), Range::Hours24);
        assert_eq!(Range::of(None, Range::Hours3), Range::Hours3);
    }

    #[test]
    fn a_gap_lifts_the_pen() {
        let line: Line = vec![(0, Some(0.5)), (1, Some(1.0)), (20, None), (20, Some(0.0))];
        assert_eq!(path(&line, 24, 2.0), "M0 75L40 50h.5M800 100h.5");
        assert_eq!(path(&vec![], 24, 1.0), "");
        assert_eq!((top(0.2), top(1.3), top(9.0)), (1.25, 1.5, 3.0));
    }

    #[test]
    fn a_chart_has_axes_breaches_and_marks() {
        let now: Timestamp = "2026-01-02T12:00:00Z".parse().expect("a time");
        let mut history = AppHistory::default();
        let named = DynoRef { process_type: "web", index: 1 };
        let at = |minute: i64| Timestamp::from_second(now.as_second() - 60 * minute).expect("a time");
        history.add(None, &Seen::Release(Some(42)), at(601));
        history.add(Some(named), &Seen::Sign(Sign::Restarting), at(600));
        history.add(Some(named), &Seen::Sign(Sign::State(DynoState::Starting)), at(600));
        for minute in 0..600 {
            let total = Megabytes { hundredths: (560 - minute as u64 / 2) * 100 };
            let quota = Megabytes { hundredths: 51_200 };
            let instance = "i1".parse().expect("an id");
            history.add(Some(named), &Seen::Sample { instance, total, quota }, at(minute));
        }
        history.add(Some(named), &Seen::Sign(Sign::State(DynoState::Crashed)), at(0));
        let dyno: DynoName = "web.1".parse().expect("a dyno");
        let dynos: [(&DynoName, &Steps); 1] = [(&dyno, history.dyno(&dyno).expect("steps"))];
        let shown = Shown { history: &history, dynos: &dynos, ours: &OwnRestarts::default() };
        let page = plot(shown, Range::Hours24, now).into_string();
        for part in [
            "512 MB 100%",
            "256 MB 50%",
            ">04:00</time>",
            "path class=\"breach\"",
            "path class=\"deploy\"",
            "path class=\"crash\"",
            "v42 deployed",
            "crashed",
            "Memory of web.1, last 24 hours: peak 109% of the quota; 2 marks",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        let week = plot(shown, Range::Days7, now).into_string();
        assert!(week.contains(">31 Dec 04:00</time>"), "{week}");
        let empty = AppHistory::default();
        let none =
            plot(Shown { history: &empty, dynos: &[], ours: &OwnRestarts::default() }, Range::Days14, now)
                .into_string();
        assert!(none.contains("No memory reading in the last 14 days."), "{none}");
    }

    #[test]
    fn a_chart_of_many_dynos_stays_light() {
        let now: Timestamp = "2026-01-02T12:00:00Z".parse().expect("a time");
        let mut history = AppHistory::default();
        let at = |minute: i64| Timestamp::from_second(now.as_second() - 60 * minute).expect("a time");
        let quota = Megabytes { hundredths: 51_200 };
        for index in 1..=300 {
            let named = DynoRef { process_type: "web", index };
            for hour in 0..24 {
                let begun = hour * 60 + i64::from(index) % 60;
                history.add(Some(named), &Seen::Sign(Sign::Restarting), at(begun + 1));
                history.add(Some(named), &Seen::Sign(Sign::State(DynoState::Starting)), at(begun));
                let total = Megabytes { hundredths: (400 + u64::from(index)) * 100 };
                let instance = "i1".parse().expect("an id");
                history.add(Some(named), &Seen::Sample { instance, total, quota }, at(hour * 60));
            }
        }
        let process_type = "web".parse().expect("a type");
        let dynos: Vec<_> = history.dynos_of(&process_type).collect();
        let shown = Shown { history: &history, dynos: &dynos, ours: &OwnRestarts::default() };
        let page = plot(shown, Range::Hours24, now).into_string();
        assert_eq!(page.matches("class=\"line\"").count(), LINES);
        assert!(page.contains("The 30 dynos with the most memory are drawn, of 300."), "{page}");
        assert!(page.contains("peak 137% of the quota"), "the highest are drawn: {page}");
        assert!(page.len() < 60_000, "{} characters", page.len());
    }
}
