//! Memory over time, as SVG that stretches to the available space.
//!
//! Coordinates are whole numbers and steps relative to the last point, and level stretches are one step,
//! so three hours take a few hundred bytes.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};

use crate::ui::facts::DynoFacts;
use crate::ui::marks::{self, What};
use crate::ui::series::{Mark, Point, Trace};
use crate::ui::words::{count, moment, percent};
use dynowarden_core::incident::message::quota_megabytes;
use dynowarden_core::limits;
use dynowarden_core::time::earlier;

/// Width of the drawing: one unit a minute.
const WIDTH: u16 = limits::TRACE_POINTS_MAX as u16;

/// Height of the drawing.
const HEIGHT: u32 = 100;

/// The longest gap, in minutes, that the line bridges. Without runtime metrics, memory is logged only while
/// the dyno is over its quota.
const BRIDGED: u16 = 3;

/// A dyno's chart in the table. The quota is at the same height in nearly all charts.
pub(super) fn small(dyno: &DynoFacts, now: Timestamp) -> Markup {
    let Some(trace) = &dyno.trace else { return html! { span.none { "no data" } } };
    html! { svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
    aria-label=(description(dyno, trace, now)) { (strokes(trace, now)) } }
}

/// A dyno's chart with its axes, on its own page.
pub(super) fn large(dyno: &DynoFacts, now: Timestamp) -> Markup {
    let Some(trace) = &dyno.trace else {
        return html! { p.none {
            "No memory reading yet. Heroku logs memory every 20 seconds after "
            code { "heroku labs:enable log-runtime-metrics" } ", and without it only while over quota."
        } };
    };
    let top = top(trace, now);
    let quota = dyno.status.memory.and_then(quota_megabytes);
    let ago = |hours: u64| earlier(now, Duration::from_secs(hours * 3600));
    html! {
        div.plot data-end=(now.as_second()) data-quota=[quota] data-points=(points(trace, now)) {
            div.y data-top=(top) aria-hidden="true" {
                span.at-quota {
                    @if let Some(quota) = quota { (quota) " MB " } "100%"
                }
                span.at-half { @if let Some(quota) = quota { (quota / 2) " MB " } "50%" }
                span.at-zero { "0" }
            }
            svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                aria-label=(description(dyno, trace, now)) {
                path.grid d={ "M0 " (height(500, top)) "h" (WIDTH) "M60 0v" (HEIGHT) "M120 0v" (HEIGHT) } {}
                (strokes(trace, now))
                (above(trace, top, now))
            }
            p.axis aria-hidden="true" {
                @for hours in [3, 2, 1] { (clock(ago(hours))) } span { "now" }
            }
            p.readout aria-hidden="true" { "Point at the chart to read it." }
        }
        (marks::legend(&trace.marks(now).map(|(_, mark)| mark.what).collect::<Vec<What>>()))
        (listed(trace, now))
    }
}

/// The minutes above the quota, along its line.
fn above(trace: &Trace, top: u32, now: Timestamp) -> Markup {
    let mut path = String::new();
    for point in trace.points(now).filter(|point| point.permille > 1000) {
        let _ = write!(path, "M{} {}h1", WIDTH - point.minutes_ago, height(1000, top));
    }
    html! { @if !path.is_empty() { path.breach d=(PreEscaped(path)) {} } }
}

/// A time of day on an axis.
fn clock(at: Timestamp) -> Markup {
    html! { time data-form="clock" datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) { (at.strftime("%H:%M")) } }
}

/// The readings for the script, which shows the one under the pointer: minutes ago and tenths of a per cent.
fn points(trace: &Trace, now: Timestamp) -> String {
    let points = trace.points(now).map(|point| format!("{}:{}", point.minutes_ago, point.permille));
    points.collect::<Vec<_>>().join(" ")
}

/// The marks in words, the newest first.
fn listed(trace: &Trace, now: Timestamp) -> Markup {
    let marks: Vec<Mark> = trace.marks(now).map(|(_, mark)| mark).collect();
    html! {
        @if !marks.is_empty() {
            ul.marks aria-label="Marks in the chart" {
                @for mark in marks.iter().rev() { li { (moment(mark.at, now)) " " (mark.what.words()) } }
            }
        }
    }
}

/// A histogram of the memory of many dynos, in steps of five per cent of the quota.
pub(super) fn spread(shares: &[u32]) -> Markup {
    const STEP: u32 = 50;
    const STEPS: usize = 24;
    let mut bins = [0_u32; STEPS];
    for share in shares {
        bins[usize::try_from(share / STEP).map_or(STEPS - 1, |bin| bin.min(STEPS - 1))] += 1;
    }
    let most = bins.iter().copied().max().unwrap_or(0).max(1);
    let mut path = String::new();
    for (place, &dynos) in bins.iter().enumerate().filter(|(_, dynos)| **dynos > 0) {
        // A minimum height, so that one dyno among thousands is visible.
        let tall = (dynos * HEIGHT / most).max(4);
        let _ = write!(path, "M{} {HEIGHT}v-{tall}h8v{tall}z", place * 10 + 1);
    }
    let highest = shares.iter().copied().max().unwrap_or(0);
    let label = format!(
        "Memory of {}, from 0 to 120% of the quota: the highest is at {}",
        count(shares.len(), "dyno", "dynos"),
        percent(highest)
    );
    html! {
        svg.spread viewBox={ "0 0 240 " (HEIGHT) } preserveAspectRatio="none" role="img"
            aria-label=(label) {
            path.bars d=(path) {}
            path.quota d={ "M200 0v" (HEIGHT) } {}
        }
    }
}

fn strokes(trace: &Trace, now: Timestamp) -> Markup {
    let top = top(trace, now);
    let places = trace.marks(now).map(|(minutes_ago, mark)| (i64::from(WIDTH - minutes_ago), mark.what));
    let (line, area) = line(trace, top, now);
    html! {
        path.area d=(PreEscaped(area)) {}
        path.line d=(PreEscaped(line)) {}
        path.quota d={ "M0 " (height(1000, top)) "h" (WIDTH) } {}
        (marks::strokes(places, i64::from(HEIGHT)))
    }
}

/// The line, in pieces between gaps, and the areas under them.
fn line(trace: &Trace, top: u32, now: Timestamp) -> (String, String) {
    let (mut line, mut area, mut piece) = (String::new(), String::new(), String::new());
    let mut last: Option<(u16, u32)> = None;
    let mut level = 0;
    for Point { minutes_ago, permille } in trace.points(now) {
        let (x, y) = (WIDTH - minutes_ago, height(u32::from(permille), top));
        match last {
            Some((before, at)) if x - before <= BRIDGED && y == at => level += x - before,
            Some((before, at)) if x - before <= BRIDGED => {
                rest(&mut piece, &mut level);
                let _ = write!(piece, "l{} {}", x - before, i64::from(y) - i64::from(at));
            }
            _ => {
                end(&mut piece, &mut level, (&mut line, &mut area));
                let _ = write!(piece, "M{x} {y}");
            }
        }
        last = Some((x, y));
    }
    end(&mut piece, &mut level, (&mut line, &mut area));
    (line, area)
}

/// Ends a piece, with half a minute more so that a single point is visible, and closes its area.
fn end(piece: &mut String, level: &mut u16, (line, area): (&mut String, &mut String)) {
    rest(piece, level);
    let Some(start) = piece.strip_prefix('M').and_then(|piece| piece.split(' ').next()) else { return };
    let _ = write!(line, "{piece}h.5");
    let _ = write!(area, "{piece}h.5V{HEIGHT}H{start}z");
    piece.clear();
}

fn rest(piece: &mut String, level: &mut u16) {
    if *level > 0 {
        let _ = write!(piece, "h{level}");
        *level = 0;
    }
}

/// The share at the upper edge. The quota is at four fifths unless memory went far past it.
fn top(trace: &Trace, now: Timestamp) -> u32 {
    let peak = trace.points(now).map(|point| u32::from(point.permille)).max().unwrap_or(0);
    [1250, 1500, 2000, 3000].into_iter().find(|top| peak + 40 <= *top).unwrap_or(peak + 40)
}

fn height(permille: u32, top: u32) -> u32 {
    HEIGHT - (permille.min(top) * HEIGHT / top.max(1))
}

/// The chart as a sentence, for screen readers.
fn description(dyno: &DynoFacts, trace: &Trace, now: Timestamp) -> String {
    let name = &dyno.status.name;
    let peak = trace.points(now).map(|point| u32::from(point.permille)).max();
    let mut text = match (peak, dyno.status.memory) {
        (Some(peak), Some(memory)) => {
            format!(
                "Memory of {name}, last 3 hours: {} of its quota, peak {}",
                percent(memory.permille),
                percent(peak)
            )
        }
        (Some(peak), None) => format!("Memory of {name}, last 3 hours: peak {}", percent(peak)),
        (None, _) => format!("Memory of {name}: no reading in the last 3 hours"),
    };
    let marks = trace.marks(now).count();
    if marks > 0 {
        let _ = write!(text, "; {}", count(marks, "mark", "marks"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{line, spread, top};
    use crate::ui::series::Trace;
    use dynowarden_core::time::later;

    #[track_caller]
    fn check(readings: &[(u64, u32)], path: &str, top_expected: u32) {
        let begin: Timestamp = "2026-01-02T00:00:00Z".parse().expect("a time");
        let mut trace = Trace::default();
        for (minute, permille) in readings {
            let at = later(begin, Duration::from_secs(minute * 60));
            trace.add(at, *permille, at);
        }
        let now = later(begin, Duration::from_secs(180 * 60));
        assert_eq!(top(&trace, now), top_expected);
        let (line, area) = line(&trace, top_expected, now);
        assert_eq!(line, path);
        assert_eq!(area.matches('z').count(), path.matches('M').count(), "{area}");
    }

    #[test]
    fn a_line_is_steps_and_level_stretches() {
        check(&[], "", 1250);
        check(&[(170, 625)], "M170 50h.5", 1250);
        check(&[(170, 625), (171, 625), (172, 626), (173, 750), (174, 750)], "M170 50h2l1 -10h1h.5", 1250);
        check(&[(100, 625), (170, 1260)], "M100 59h.5M170 16h.5", 1500);
        check(&[(170, 9_999_999)], "M170 1h.5", 65_575);
    }

    #[test]
    fn a_spread_also_shows_a_single_dyno() {
        let mut shares = vec![510; 1999];
        shares.push(99_999);
        let svg = spread(&shares).into_string();
        assert!(svg.contains("M101 100v-100h8v100z") && svg.contains("M231 100v-4h8v4z"), "{svg}");
        assert!(svg.contains("2,000 dynos"), "{svg}");
    }
}
