//! What `replay --what-if` prints: a table, a sentence and settings, or one object for each policy.

use std::fmt::Write as _;

use dynowarden_core::limits;
use dynowarden_core::what_if::compare::{Basis, Comparison, Figure, Row};

/// One object for each policy, a line each.
pub(super) fn json(compared: &Comparison, text: &mut String) {
    for row in &compared.rows {
        text.push_str(&serde_json::to_string(row).expect("texts and finite numbers have a form in JSON"));
        text.push('\n');
    }
}

/// A table for people, what it means, and the recommended settings, which end it.
pub(super) fn text(compared: &Comparison, text: &mut String) {
    add(text, &headline(&compared.basis));
    text.push('\n');
    table(compared, text);
    text.push('\n');
    if let Some(row) = compared.recommended() {
        add(text, &recommendation(compared, row));
    }
    text.push_str(&notes(&compared.basis));
    if let Some(toml) = compared.recommended().and_then(|row| row.toml.as_deref()) {
        add(text, "Its settings, instead of the rules in the file; nothing was changed:");
        text.push('\n');
        text.push_str(toml);
    }
}

/// What a reader has to know about the log.
pub(super) fn notes(basis: &Basis) -> String {
    let mut text = String::new();
    for (app, missing) in &basis.apps_left_out {
        add(&mut text, &format!("{app} is left out: its log has too little ({missing})."));
    }
    if !basis.has_samples {
        add(
            &mut text,
            "The log has no memory below the quota, so no early restart was tried: \
             `heroku labs:enable log-runtime-metrics` adds it.",
        );
    }
    if !basis.has_requests {
        add(
            &mut text,
            "The log has no router lines: memory was read by age, and requests hit are the share of \
             the time.",
        );
    }
    if !basis.has_quiet {
        add(&mut text, "The quiet hours are unknown, so no restart in them was tried.");
    }
    if basis.lines_dropped > 0 {
        let (lines, dynos) = (basis.lines_dropped, limits::REPORT_DYNOS_MAX);
        add(&mut text, &format!("{lines} lines were left out: at most {dynos} dynos of an app are read."));
    }
    if basis.zone_unknown {
        add(&mut text, "Some times are in a zone that the log does not name: --zone names it.");
    }
    text
}

fn add(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn headline(basis: &Basis) -> String {
    let apps: Vec<String> = basis.apps.iter().take(APPS_NAMED).map(ToString::to_string).collect();
    let more = basis.apps.len().saturating_sub(APPS_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let requests = if basis.has_requests { format!(", {} requests", basis.requests) } else { String::new() };
    let dynos = counted(basis.dynos, "dyno");
    let lives = counted(basis.lives, "life");
    format!(
        "What if: {}{more}, {dynos}, {:.1} days, {lives}{requests}.\n\
         An estimate: a restarted dyno is taken to live like those of the log that started at about that \
         hour,\nand to be out for {:.0} s. In brackets: how far it moves with other lives of the log.",
        apps.join(", "),
        basis.days,
        basis.boot_seconds
    )
}

/// Apps that the first line names.
const APPS_NAMED: usize = 3;

fn counted(number: usize, noun: &str) -> String {
    let plural = if noun == "life" { "lives".to_owned() } else { format!("{noun}s") };
    format!("{number} {}", if number == 1 { noun } else { &plural })
}

fn table(compared: &Comparison, text: &mut String) {
    let mut line = |cells: [&str; 5]| {
        let [mark, policy, restarts, minutes, hit] = cells;
        let row = format!("{mark:<3}{policy:<50} {restarts:>23} {minutes:>25} {hit:>25}");
        add(text, row.trim_end());
    };
    let heads = ["restarts a week", "min over quota a day", "hit of 100,000 requests"];
    line(["", "policy", heads[0], heads[1], heads[2]]);
    for row in &compared.rows {
        let mark = match (row.recommended, row.is_best_at_its_price) {
            (true, _) => "=>",
            (_, true) => " *",
            _ => "",
        };
        let figures = [row.restarts_per_week, row.minutes_over_quota_per_day, row.requests_hit_per_100k];
        let [restarts, minutes, hit] = figures.map(spread);
        line([mark, &row.policy, &restarts, &minutes, &hit]);
    }
    add(text, " * no other policy has both fewer restarts and fewer requests hit (slow or refused)");
}

/// `17.2 (16 to 18.9)`.
fn spread(figure: Figure) -> String {
    format!("{} ({} to {})", number(figure.value), number(figure.low), number(figure.high))
}

/// With about three digits.
fn number(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn recommendation(compared: &Comparison, row: &Row) -> String {
    let policy = &row.policy;
    let restarts = number(row.restarts_per_week.value);
    let minutes = number(row.minutes_over_quota_per_day.value);
    let hit = number(row.requests_hit_per_100k.value);
    let mut text = format!(
        "Recommended: {policy}. All dynos together: {minutes} min over quota a day, {restarts} restarts a \
         week, {hit} of 100,000 requests hit."
    );
    if let Some(none) = compared.row("none").filter(|none| none.policy != *policy) {
        let restarts = number(none.restarts_per_week.value);
        let minutes = number(none.minutes_over_quota_per_day.value);
        let hit = number(none.requests_hit_per_100k.value);
        write!(
            text,
            "\nHeroku alone: {minutes} min over quota a day, {restarts} restarts a week, {hit} hit."
        )
        .expect("a string takes everything");
    } else {
        text.push_str("\nNo restart would have helped: more memory does, or a fix.");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{number, spread};
    use dynowarden_core::what_if::compare::Figure;

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!([638.24, 17.25, 0.104, 69_253.4].map(number), ["638", "17.2", "0.10", "69253"]);
        let figure = Figure { value: 17.25, low: 16.0, high: 100.0 };
        assert_eq!(spread(figure), "17.2 (16.0 to 100)");
    }
}
