//! Settings of an app that are allowed and probably not meant: rules that never fire or fire at once, process
//! types that err and are not listed, drains that are left over.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret as _;

use crate::api::json::Drain;
use crate::calendar::{self, Window};
use crate::codes::{Code, Family};
use crate::days::cycles::{BUSY_HOURS, Cycles};
use crate::days::report::QuietHoursView;
use crate::drain_url::{DrainUrl, host_of};
use crate::health::facts::{AppFacts, Identity};
use crate::health::finding::{Finding, Subject};
use crate::policy::{Act, Rule, Trigger};
use crate::time::spoken;

pub(super) fn check(identity: &Identity, app: &AppFacts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = app.plan.rules.iter().filter_map(|rule| of_rule(rule, app)).collect();
    findings.extend(of_policy(app));
    findings.extend(not_listed(app));
    findings.extend(daily_restarts(app));
    findings.extend(left_over(identity, app));
    findings
}

/// A dyno over its quota writes one R14 line for each sample (heroku.md §3).
const SAMPLE: Duration = Duration::from_secs(20);

/// Every dyno is cycled once a day, up to 216 minutes later.
const LIFE_MAX: Duration = Duration::from_secs((24 * 60 + 216) * 60);

/// Heroku leaves no process older than [`LIFE_MAX`], and few that are older than this.
const LIFE_USUAL: Duration = Duration::from_secs(24 * 60 * 60);

fn of_rule(rule: &Rule, app: &AppFacts) -> Option<Finding> {
    if rule.act != Act::Restart {
        return None;
    }
    if !meet(&rule.window, &app.plan.policy.window) {
        return Some(never(
            rule,
            "its window and policy.window are never both open",
            "change one of the windows",
        ));
    }
    match &rule.trigger {
        Trigger::Errors { codes, count, within } => of_errors(rule, (codes, count.get(), *within), app),
        Trigger::Uptime { above } if *above >= LIFE_MAX => {
            let cycled = spoken(LIFE_MAX);
            let why = format!(
                "above is {}, and Heroku itself cycles a dyno after {cycled} at most",
                spoken(*above)
            );
            Some(never(rule, &why, "lower above, for example to \"16h\""))
        }
        Trigger::SlowerThanPeers { .. } => {
            let most = most_dynos(app)?;
            let why =
                format!("it compares three dynos of a type or more, and no listed type has over {most}");
            (most < PEERS_MIN).then(|| never(rule, &why, "remove the rule, or scale up"))
        }
        Trigger::Memory { .. } | Trigger::Swap { .. } | Trigger::Uptime { .. } => None,
    }
}

/// Fewer dynos have no median to compare one with.
const PEERS_MIN: u32 = 3;

fn never(rule: &Rule, why: &str, fix: &str) -> Finding {
    let text = format!("the rule {} can never restart: {why}", rule.name);
    Finding::warning(Subject::Settings, text, fix)
}

/// The largest number of dynos of a listed type; none if the API did not say.
fn most_dynos(app: &AppFacts) -> Option<u32> {
    let listed = &app.plan.policy.process_types;
    let is_listed = |name: &str| listed.iter().any(|listed| listed.as_str() == name);
    let formation = app.formation.as_ref().ok()?;
    formation.iter().filter(|of| is_listed(&of.process_type)).map(|of| of.quantity).max()
}

/// Whether windows of both kinds are ever open at the same time. The quiet hours may be any.
fn meet(rule: &[Window], policy: &[Window]) -> bool {
    if rule.is_empty()
        || policy.is_empty()
        || rule.contains(&Window::Quiet)
        || policy.contains(&Window::Quiet)
    {
        return true;
    }
    // Each minute of a week in winter and of one in summer, when zones are at other distances.
    WEEKS.into_iter().any(|start| {
        (0..7 * 24 * 60).any(|minute| {
            let at = Timestamp::from_second(start + minute * 60);
            at.is_ok_and(|at| calendar::open(rule, at) && calendar::open(policy, at))
        })
    })
}

/// Two Mondays: 2026-01-05 and 2026-07-06, in seconds since 1970.
const WEEKS: [i64; 2] = [1_767_571_200, 1_783_296_000];

fn of_errors(
    rule: &Rule,
    (codes, count, within): (&[Code], u32, Duration),
    app: &AppFacts,
) -> Option<Finding> {
    let lines = within.as_secs() / SAMPLE.as_secs() + 1;
    if codes.iter().all(|code| *code == Code::R14) && u64::from(count) > lines {
        let (sample, within) = (spoken(SAMPLE), spoken(within));
        let why = format!("a dyno logs about one R14 in {sample}, and {count} do not fit into {within}");
        return Some(never(rule, &why, &format!("lower count to {lines} or less, or raise within")));
    }
    let has_web = app.plan.policy.process_types.iter().any(|listed| listed.as_str() == "web");
    if !has_web && codes.iter().all(|code| code.family() == Family::H) {
        let why = "H codes are about web dynos, and web is not listed";
        return Some(never(rule, why, "add web to policy.process_types"));
    }
    let code = codes.iter().find(|code| code.family() == Family::H).filter(|_| count == 1)?;
    let text = format!(
        "the rule {} restarts a dyno for one {code}, which a single slow or broken request causes",
        rule.name
    );
    Some(Finding::warning(
        Subject::Settings,
        text,
        "set count and within, such as count = 5, within = \"5m\"",
    ))
}

fn of_policy(app: &AppFacts) -> Option<Finding> {
    let min_uptime = app.plan.policy.min_uptime;
    let can_restart = app.plan.rules.iter().any(|rule| rule.act == Act::Restart);
    (can_restart && min_uptime >= LIFE_USUAL).then(|| {
        let text = format!(
            "hardly any rule can ever restart: min_uptime is {}, and Heroku itself cycles a dyno after {} \
             to {}",
            spoken(min_uptime),
            spoken(LIFE_USUAL),
            spoken(LIFE_MAX)
        );
        Finding::warning(Subject::Settings, text, "lower policy.min_uptime, for example to \"3m\"")
    })
}

/// Process types whose errors the store has recorded, and that are not listed.
fn not_listed(app: &AppFacts) -> impl Iterator<Item = Finding> {
    let listed = |name: &str| app.plan.policy.process_types.iter().any(|listed| listed.as_str() == name);
    let types: BTreeSet<&str> =
        app.erring_types.iter().map(|name| &**name).filter(|name| !listed(name)).collect();
    types.into_iter().map(|name| {
        let text = format!("{name} dynos err, and are not restarted: {name} is not in policy.process_types");
        Finding::warning(
            Subject::Formation,
            text,
            format!("add {name} to policy.process_types, if its work can be interrupted"),
        )
    })
}

/// What a restart in the quiet hours would save, unless a rule makes it already.
fn daily_restarts(app: &AppFacts) -> Option<Finding> {
    let has_rule = app.plan.rules.iter().any(|rule| {
        rule.act == Act::Restart
            && matches!(rule.trigger, Trigger::Uptime { .. })
            && rule.window.contains(&Window::Quiet)
    });
    let cycles = app.cycles.as_ref().filter(|cycles| !has_rule && cycles.fewer_percent > 0)?;
    let Cycles { count, busy, days, quiet, fewer_percent } = cycles;
    let times = |count: usize| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let hours = QuietHoursView::new(quiet);
    let text = format!(
        "Heroku restarted dynos {} in {days} {}, {busy} of them in the busiest {BUSY_HOURS} hours of the \
         day; a rule with on = [\"uptime\"], above = \"16h\", window = [\"quiet\"] restarts them first, \
         from {} to {} {}, when there are {fewer_percent}% fewer requests",
        times(*count),
        if *days == 1 { "day" } else { "days" },
        hours.from,
        hours.to,
        hours.zone
    );
    Some(Finding::ok(Subject::Formation, text))
}

/// Drains that no add-on owns and that lead elsewhere. The API shows no more than a drain's URL and its
/// add-on, so one that a removed add-on left behind, which loses its lines, looks like any other.
fn left_over(identity: &Identity, app: &AppFacts) -> Vec<Finding> {
    let Ok(drains) = &app.drains else { return Vec::new() };
    let name = &app.plan.name;
    let is_elsewhere = |drain: &&Drain| {
        let url = DrainUrl::parse(drain.url.expose_secret());
        !drain.of_addon && !url.is_some_and(|url| identity.is_reached_by(&url, name))
    };
    drains
        .iter()
        .filter(is_elsewhere)
        .map(|drain| {
            let host = host_of(drain.url.expose_secret());
            let text = format!(
                "the drain {} to {} belongs to no add-on; if a removed add-on left it, its lines are lost",
                drain.token,
                host.as_deref().unwrap_or("an invalid URL")
            );
            let fix = format!("heroku drains:remove {} -a {name}, unless you use it", drain.token);
            Finding::warning(Subject::Drain, text, fix)
        })
        .collect()
}
