//! Reports for people: a headline and a few facts for each process type.

use std::io::{self, Write};

use dynowarden_core::days::evidence::suspects;
use dynowarden_core::days::report::{HoursToQuota, TypeReport};
use dynowarden_core::days::size::RightSize;
use dynowarden_core::days::verdict::Verdict;
use dynowarden_core::ident::AppName;

/// Prints all reports: of one app, if it was asked for.
pub(super) fn print(
    reports: &[TypeReport],
    app: Option<&AppName>,
    is_unicode: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    if reports.is_empty() {
        let app = app.map_or("any app", AppName::as_str);
        return writeln!(out, "No lines of {app} are known yet.");
    }
    for (place, report) in reports.iter().enumerate() {
        if place > 0 {
            writeln!(out)?;
        }
        one(report, is_unicode, out)?;
    }
    Ok(())
}

fn one(report: &TypeReport, is_unicode: bool, out: &mut dyn Write) -> io::Result<()> {
    let TypeReport { app, process_type, .. } = report;
    writeln!(out, "{app} {process_type}: {}", headline(report))?;
    let mut fact = |name: &str, text: String| writeln!(out, "  {name:<13}{text}");
    fact(
        "data",
        format!(
            "{} h of lines, {}, {}",
            report.data_hours,
            counted(report.dynos, "dyno", "dynos"),
            counted(report.lives, "life", "lives")
        ),
    )?;
    if let Some(because) = &report.unknown_because {
        fact("unknown", because.clone())?;
    }
    if let Some(growth) = report.growth_percent_per_day {
        fact("growth", format!("{growth} % of the quota a day"))?;
    }
    for HoursToQuota { dyno, low, high } in &report.hours_to_quota {
        fact("over quota", format!("{dyno} in {low} to {high} h, at this pace"))?;
    }
    let restarts = report.restarts;
    fact(
        "restarts",
        format!("{}, {} helped, {} did not", restarts.count, restarts.helped, restarts.not_helped),
    )?;
    match &report.quiet_hours {
        Some(hours) => fact("quiet hours", format!("{} to {} {}", hours.from, hours.to, hours.zone))?,
        None => fact("quiet hours", "unknown".to_owned())?,
    }
    if let Some(size) = &report.right_size {
        fact("right size", spelled_size(size))?;
    }
    if let Some(text) = suspects::sentence(&report.suspects) {
        fact("suspects", text)?;
    } else if let Some(why) = report.no_suspect.filter(|_| asks_for_suspects(report.verdict)) {
        fact("suspects", format!("none: {why}"))?;
    }
    if report.charts.memory.iter().any(Option::is_some) {
        let chart = chart(&report.charts.memory, 1.2, is_unicode);
        fact("memory", format!("{chart}  (full height: 120 % of the quota)"))?;
    }
    let top = report.charts.hours.iter().copied().flatten().fold(0.0, f64::max);
    if top > 0.0 {
        let chart = chart(&report.charts.hours, top, is_unicode);
        fact("requests", format!("{chart}  (by hour of the day, from 00)"))?;
    }
    Ok(())
}

/// Whether memory grows, or may.
fn asks_for_suspects(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Leaks | Verdict::Unknown)
}

fn headline(report: &TypeReport) -> String {
    let since = report.since_release.as_ref().map(|release| format!(" since {release}")).unwrap_or_default();
    match report.verdict {
        Verdict::Leaks => format!("leaks memory{since}; a restart helps until it has grown again"),
        Verdict::LevelsOutAbove => {
            format!("levels out above its quota{since}; restarts cannot help, more memory does")
        }
        Verdict::LevelsOutBelow => format!("levels out below its quota{since}"),
        Verdict::Spikes => format!("goes over its quota for minutes at a time{since}"),
        Verdict::Unknown => "not known yet".to_owned(),
    }
}

fn spelled_size(size: &RightSize) -> String {
    let RightSize { size: name, memory_mb, cost_difference } = size;
    match cost_difference {
        Some(cost) => {
            let (sign, cents) = if cost.cents < 0 { ("-", -cost.cents) } else { ("+", cost.cents) };
            let (whole, rest) = (cents / 100, cents % 100);
            format!("{name} ({memory_mb} MB), {sign}${whole}.{rest:02} a {} and dyno", cost.unit)
        }
        None => format!("{name} ({memory_mb} MB)"),
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const SIGNS: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];

/// One character a value, blank where there is none.
fn chart(values: &[Option<f64>], top: f64, is_unicode: bool) -> String {
    let levels = if is_unicode { BLOCKS } else { SIGNS };
    let level = |value: &Option<f64>| match value {
        Some(value) => levels[((value / top * 8.0) as usize).min(7)],
        None => ' ',
    };
    values.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::{chart, print, spelled_size};
    use dynowarden_core::days::size::{Cost, RightSize};

    #[test]
    fn a_chart_has_a_character_a_value() {
        let values = [Some(0.0), None, Some(0.5), Some(9.0)];
        assert_eq!(chart(&values, 1.0, true), "▁ ▅█");
        assert_eq!(chart(&values, 1.0, false), "_ =#");
    }

    #[test]
    fn a_size_has_a_price() {
        let size = |cents| RightSize {
            size: "Standard-2X".to_owned(),
            memory_mb: 1024,
            cost_difference: Some(Cost { cents, unit: "month".to_owned() }),
        };
        assert_eq!(spelled_size(&size(2500)), "Standard-2X (1024 MB), +$25.00 a month and dyno");
        assert_eq!(spelled_size(&size(-150)), "Standard-2X (1024 MB), -$1.50 a month and dyno");
    }

    #[test]
    fn nothing_known_is_said_of_the_app_that_was_asked_for() {
        let text = |app: Option<&str>| {
            let mut out = Vec::new();
            let app = app.map(|name| name.parse().expect("a name"));
            print(&[], app.as_ref(), false, &mut out).expect("memory");
            String::from_utf8(out).expect("text")
        };
        assert_eq!(text(Some("blog")), "No lines of blog are known yet.\n");
        assert_eq!(text(None), "No lines of any app are known yet.\n");
    }
}
