//! The page of one process type over days: verdict, memory, lives laid over each other, requests by the hour.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, PreEscaped, html};

use crate::ui::layout::{Layout, PageKind, page};
use crate::ui::marks::OwnRestarts;
use crate::ui::plot::{
    HEIGHT, Line, Range, Shown, WIDTH, common, height, line, path, peak, plot, top, y_axis,
};
use crate::ui::words::{count, moment};
use dynowarden_core::days::evidence::suspects::{self, NoSuspect};
use dynowarden_core::days::history::{AppHistory, Steps};
use dynowarden_core::days::report::{HoursToQuota, QuietHoursView, TypeReport};
use dynowarden_core::days::step;
use dynowarden_core::days::verdict::Verdict;
use dynowarden_core::ident::{DynoName, ProcessType};

/// The lives that are drawn, and the hours of each.
const LIVES: usize = 8;
const LIFE_STEPS: i64 = 28 * step::STEPS_PER_HOUR;

/// The page of a process type.
pub fn type_page(
    layout: &Layout<'_>,
    report: &TypeReport,
    (history, process_type): (&AppHistory, &ProcessType),
    (range, ours): (Range, &OwnRestarts),
    now: Timestamp,
) -> Markup {
    let app = &report.app;
    let to = format!("/apps/{app}/types/{process_type}");
    let dynos: Vec<(&DynoName, &Steps)> = history.dynos_of(process_type).collect();
    let content = html! {
        div.title {
            p.crumb { a href={ "/apps/" (app) } { (app) } }
            h1 { (process_type) }
            p.sub { (sentence(report, now)) }
        }
        section.card.pad aria-labelledby="memory-title" {
            h2 id="memory-title" { "Memory" }
            (range.links(&to))
            (plot(Shown { history, dynos: &dynos, ours }, range, now))
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
pub(super) fn sentence(report: &TypeReport, now: Timestamp) -> String {
    let since = report.since_release.as_ref().map(|release| format!(" since {release}")).unwrap_or_default();
    let mut text = match report.verdict {
        Verdict::Leaks => match report.growth_percent_per_day {
            Some(growth) => match report.quota_mb {
                Some(quota) => format!("Leaks about {:.0} MB a day{since}", growth / 100.0 * quota),
                None => format!("Leaks about {growth} % of its quota a day{since}"),
            },
            None => format!("Leaks memory{since}"),
        },
        Verdict::LevelsOutAbove => format!("Levels out above its quota{since}: restarts cannot help"),
        Verdict::LevelsOutBelow => format!("Levels out below its quota{since}"),
        Verdict::Spikes => format!("Goes over its quota for minutes at a time{since}"),
        Verdict::Unknown => {
            let because = report.unknown_because.as_deref().unwrap_or("no lines yet");
            format!("Not known yet: {because}")
        }
    };
    if let Some(first) = report.hours_to_quota.iter().min_by(|left, right| left.low.total_cmp(&right.low)) {
        let _ = write!(text, ": {} over quota in {} to {} h", first.dyno, first.low, first.high);
        if let Some(hours) = &report.quiet_hours
            && let Some(when) = before_or_after(first, hours, now)
        {
            let _ = write!(text, ", {when} the quiet hours {} to {} {}", hours.from, hours.to, hours.zone);
            text.push('.');
            return text;
        }
    }
    text.push('.');
    if let Some(hours) = &report.quiet_hours {
        let _ = write!(text, " Quiet hours: {} to {} {}.", hours.from, hours.to, hours.zone);
    }
    text
}

/// Whether a dyno surely is over its quota before or after the next quiet hours begin. None while they last.
fn before_or_after(expected: &HoursToQuota, quiet: &QuietHoursView, now: Timestamp) -> Option<&'static str> {
    let local = now.to_zoned(TimeZone::get(&quiet.zone).ok()?);
    let minute_of = |text: &str| Some(text.split(':').next()?.parse::<i32>().ok()? * 60);
    let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
    let until = |text: &str| Some((minute_of(text)? - minute).rem_euclid(24 * 60));
    let (begin, end) = (until(&quiet.from)?, until(&quiet.to)?);
    let begin = f64::from(begin) / 60.0;
    match f64::from(end) / 60.0 {
        // The present ones.
        end if end < begin => None,
        _ if expected.high < begin => Some("before"),
        _ if expected.low > begin => Some("after"),
        _ => None,
    }
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
        let why = report.no_suspect.unwrap_or(NoSuspect::NoneStandsOut).to_string();
        return html! { p.none { "None: " (why) "." } };
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

fn lives(history: &AppHistory, process_type: &ProcessType) -> Markup {
    let all = dynowarden_core::days::report::lives_of(history, process_type);
    let recent = || all.iter().rev().take(LIVES);
    let lines: Vec<Line> = recent()
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
    let quota = common(recent().map(|life| life.quota));
    html! {
        div.plot {
            (y_axis(quota, top))
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
        p.sub {
            "Up to " (format!("{top:.0}")) " requests in five minutes, by the hour of the day in "
            @if let Some(hours) = &report.quiet_hours { (hours.zone) } @else { "UTC" }
            "."
        }
    }
}

/// The longest range, for which the series are read.
pub const LONGEST: Duration = Duration::from_secs(14 * 86_400);

#[cfg(test)]
mod tests {
    use dynowarden_core::days::history::AppHistory;
    use dynowarden_core::days::report::{self, HoursToQuota, QuietHoursView, Surroundings, TypeReport};
    use dynowarden_core::days::step::Step;
    use dynowarden_core::days::verdict::Verdict;
    use dynowarden_core::ident::DynoRef;
    use jiff::tz::TimeZone;

    use super::sentence;

    /// A report of a dyno that leaks and goes over its quota in some hours.
    fn leaking(low: f64, high: f64, zone: &str) -> TypeReport {
        let mut history = AppHistory::default();
        let mut hour = dynowarden_core::days::pack::Hour::default();
        hour[0] = Some(Step { requests: 1, ..Step::default() });
        history.add_hour(Some(DynoRef { process_type: "web", index: 1 }), 0, &hour);
        let around = Surroundings { counts_requests: false, zone: TimeZone::UTC, sizes: None, tenancy: None };
        let mut reports = report::reports(&"acme".parse().expect("a name"), &history, &around);
        TypeReport {
            verdict: Verdict::Leaks,
            growth_percent_per_day: Some(17.6),
            since_release: Some("v214".into()),
            hours_to_quota: vec![HoursToQuota { dyno: "web.1".into(), low, high }],
            quiet_hours: Some(QuietHoursView { from: "03:00".into(), to: "06:00".into(), zone: zone.into() }),
            quota_mb: Some(512.0),
            unknown_because: None,
            ..reports.remove(0)
        }
    }

    #[test]
    fn the_headline_says_what_comes_first() {
        for (low, high, zone, now, expect) in [
            (5.0, 7.0, "UTC", "2026-03-02T19:00:00Z", ", before the quiet hours 03:00 to 06:00 UTC."),
            (9.0, 11.5, "UTC", "2026-03-02T19:00:00Z", ", after the quiet hours 03:00 to 06:00 UTC."),
            // Not sure, and in the middle of them.
            (7.0, 9.0, "UTC", "2026-03-02T19:00:00Z", ". Quiet hours: 03:00 to 06:00 UTC."),
            (5.0, 7.0, "UTC", "2026-03-02T04:00:00Z", ". Quiet hours: 03:00 to 06:00 UTC."),
            (
                5.0,
                7.0,
                "America/New_York",
                "2026-03-03T00:00:00Z",
                ", before the quiet hours 03:00 to 06:00 America/New_York.",
            ),
        ] {
            let text = sentence(&leaking(low, high, zone), now.parse().expect("a time"));
            assert_eq!(
                text,
                format!("Leaks about 90 MB a day since v214: web.1 over quota in {low} to {high} h{expect}")
            );
        }
    }

    #[test]
    fn the_headline_of_an_unknown_type_has_its_quiet_hours() {
        let report = TypeReport {
            verdict: Verdict::Unknown,
            unknown_because: Some("no life was long enough to judge".into()),
            hours_to_quota: Vec::new(),
            ..leaking(1.0, 2.0, "UTC")
        };
        assert_eq!(
            sentence(&report, jiff::Timestamp::UNIX_EPOCH),
            "Not known yet: no life was long enough to judge. Quiet hours: 03:00 to 06:00 UTC."
        );
    }
}
