//! What is known of an app, as `dynowarden report` and the API show it: one report for each process type.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::calendar::{QuietHours, Window};
use crate::days::evidence::suspects::{self, NoSuspect, Suspect};
use crate::days::growth;
use crate::days::history::{AppHistory, Steps};
use crate::days::life::{self, Ended, Life};
use crate::days::quiet::{self, Histogram};
use crate::days::size::{self, DynoSize, RightSize, Tenancy};
use crate::days::step::{self, STEPS_PER_DAY, STEPS_PER_HOUR};
use crate::days::verdict::{self, Judgement, Verdict};
use crate::ident::{AppName, DynoName, ProcessType};
use crate::policy::AppPlan;

/// One process type of one app.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TypeReport {
    pub app: String,
    pub process_type: String,
    /// Those with lines on the last day.
    pub dynos: usize,
    /// Hours with lines.
    pub data_hours: f64,
    pub verdict: Verdict,
    /// Such as `v214`.
    pub since_release: Option<String>,
    pub lives: usize,
    pub growth_percent_per_day: Option<f64>,
    pub hours_to_quota: Vec<HoursToQuota>,
    pub quiet_hours: Option<QuietHoursView>,
    pub restarts: Restarts,
    pub right_size: Option<RightSize>,
    pub suspects: Vec<Suspect>,
    pub unknown_because: Option<String>,
    /// Why there are no suspects, for people.
    #[serde(skip)]
    pub no_suspect: Option<NoSuspect>,
    /// The quota of the newest life that has one, for people.
    #[serde(skip)]
    pub quota_mb: Option<f64>,
    /// For charts.
    #[serde(skip)]
    pub charts: Charts,
}

/// When a dyno goes over its quota if it goes on as it does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HoursToQuota {
    pub dyno: String,
    pub low: f64,
    pub high: f64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuietHoursView {
    /// `HH:00`.
    pub from: String,
    /// `HH:00`.
    pub to: String,
    pub zone: String,
}

/// By dynowarden, a person or another program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Restarts {
    pub count: usize,
    pub helped: usize,
    pub not_helped: usize,
}

/// Figures for charts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Charts {
    /// Requests in five minutes by the hour of the day.
    pub hours: Vec<Option<f64>>,
    /// The highest memory of all dynos as a share of the quota, in equal parts of the time.
    pub memory: Vec<Option<f64>>,
}

/// What the report needs beside the lines.
#[derive(Clone, Debug)]
pub struct Surroundings<'s> {
    /// Whether requests are counted by endpoint.
    pub counts_requests: bool,
    /// Hours are those of this zone.
    pub zone: TimeZone,
    /// The sizes of `GET /dyno-sizes`; none without an answer.
    pub sizes: Option<&'s [DynoSize]>,
    /// Where the app runs; none if the API does not say.
    pub tenancy: Option<&'s Tenancy>,
}

/// Reports on every process type of an app.
pub fn reports(app: &AppName, history: &AppHistory, around: &Surroundings<'_>) -> Vec<TypeReport> {
    let types = history.process_types();
    types.into_iter().map(|process_type| report(app, process_type, history, around)).collect()
}

/// The zone of an app's quiet hours: that of the first of its windows which names one, else UTC.
pub fn zone_of(plan: &AppPlan) -> TimeZone {
    let windows = plan.policy.window.iter().chain(plan.rules.iter().flat_map(|rule| &rule.window));
    let named = windows.filter_map(Window::zone).find(|zone| **zone != TimeZone::UTC);
    named.cloned().unwrap_or(TimeZone::UTC)
}

/// The quiet hours of an app by all its router lines.
pub fn quiet_hours(history: &AppHistory, zone: &TimeZone) -> Option<QuietHours> {
    histogram(history, zone).quiet_hours(zone)
}

/// What the last lives of each process type say.
pub fn judgements(history: &AppHistory) -> Vec<(ProcessType, Judgement)> {
    let types = history.process_types();
    let judged = types.into_iter().map(|process_type| {
        let hours = hours_of(&heard_of(history, process_type));
        (process_type.clone(), verdict::judge(&lives_of(history, process_type), hours))
    });
    judged.collect()
}

/// The verdict on each process type.
pub fn verdicts(history: &AppHistory) -> Vec<(ProcessType, Verdict)> {
    judgements(history).into_iter().map(|(of, judgement)| (of, judgement.verdict)).collect()
}

/// The requests that make the memory of each process type grow, as a sentence, where that is known.
pub fn suspects_of(history: &AppHistory) -> Vec<(ProcessType, String)> {
    let types = history.process_types();
    let named = types.into_iter().filter_map(|process_type| {
        let hours = hours_of(&heard_of(history, process_type));
        let suspects = suspects::suspects(history, &lives_of(history, process_type), hours).ok()?;
        Some((process_type.clone(), suspects::sentence(&suspects)?))
    });
    named.collect()
}

/// The steps in which lines of a process type arrived.
fn heard_of(history: &AppHistory, process_type: &ProcessType) -> BTreeSet<i64> {
    history.dynos_of(process_type).flat_map(|(_, steps)| steps.keys().copied()).collect()
}

fn hours_of(heard: &BTreeSet<i64>) -> f64 {
    quiet::covered(heard).count() as f64 / STEPS_PER_HOUR as f64
}

/// All lives of a process type, in the order of their ends.
pub fn lives_of(history: &AppHistory, process_type: &ProcessType) -> Vec<Life> {
    let releases = history.releases();
    let dynos = history.dynos_of(process_type);
    let mut lives: Vec<Life> = dynos.flat_map(|(name, steps)| life::lives(name, steps, &releases)).collect();
    lives.sort_by_key(|life| life.end);
    lives
}

/// The app's requests by the hour of the day.
pub(super) fn histogram(history: &AppHistory, zone: &TimeZone) -> Histogram {
    let types = history.process_types();
    let dynos = types.into_iter().flat_map(|process_type| history.dynos_of(process_type));
    let requests = dynos.flat_map(|(_, steps)| steps.iter().map(|(index, step)| (*index, step.requests)));
    Histogram::new(requests, &history.heard(), zone)
}

fn report(
    app: &AppName,
    process_type: &ProcessType,
    history: &AppHistory,
    around: &Surroundings<'_>,
) -> TypeReport {
    let dynos: Vec<(&DynoName, &Steps)> = history.dynos_of(process_type).collect();
    let heard = heard_of(history, process_type);
    let data_hours = hours_of(&heard);
    let lives = lives_of(history, process_type);
    let judgement = verdict::judge(&lives, data_hours);
    let histogram = histogram(history, &around.zone);
    let last = heard.last().copied().unwrap_or_default();
    let is_recent = |steps: &Steps| steps.keys().next_back().is_some_and(|step| last - step < STEPS_PER_DAY);
    let found = match around.counts_requests {
        true => suspects::suspects(history, &lives, data_hours),
        false => Err(NoSuspect::SwitchedOff),
    };
    let is_counted = |life: &&Life| life.ended != Ended::Open || verdict::of_life(life).is_some();
    TypeReport {
        app: app.to_string(),
        process_type: process_type.to_string(),
        dynos: dynos.iter().filter(|(_, steps)| is_recent(steps)).count(),
        data_hours: tenth(data_hours),
        verdict: judgement.verdict,
        since_release: judgement.since_release.map(|version| format!("v{version}")),
        lives: lives.iter().filter(is_counted).count(),
        growth_percent_per_day: judgement.growth_per_day.map(|growth| tenth(growth * 100.0)),
        hours_to_quota: hours_to_quota(&lives, &judgement),
        quiet_hours: histogram.quiet_hours(&around.zone).map(|hours| QuietHoursView::new(&hours)),
        restarts: restarts(&lives),
        right_size: right_size(process_type, &lives, &judgement, around),
        no_suspect: found.as_ref().err().copied(),
        suspects: found.unwrap_or_default(),
        unknown_because: judgement.unknown_because,
        quota_mb: newest_quota(&lives),
        charts: Charts { hours: histogram.rates.to_vec(), memory: memory_chart(&dynos) },
    }
}

fn newest_quota(lives: &[Life]) -> Option<f64> {
    let known = lives.iter().filter(|life| life.quota > 0);
    known.max_by_key(|life| life.start).map(|life| f64::from(life.quota) / 10.0)
}

fn restarts(lives: &[Life]) -> Restarts {
    let restarted = || lives.iter().filter(|life| life.ended == Ended::Restart);
    Restarts {
        count: restarted().count(),
        helped: restarted().filter(|life| life.helped == Some(true)).count(),
        not_helped: restarted().filter(|life| life.helped == Some(false)).count(),
    }
}

/// The youngest process of which this is said.
const FORECAST_HOURS: f64 = 1.0;

/// Further away than this nothing is foreseen.
const FORECAST_HOURS_MAX: f64 = 30.0 * 24.0;

fn hours_to_quota(lives: &[Life], judgement: &Judgement) -> Vec<HoursToQuota> {
    let leaks = judgement.verdict == Verdict::Leaks;
    let open =
        lives.iter().filter(|life| leaks && life.ended == Ended::Open && life.hours() > FORECAST_HOURS);
    open.filter_map(|life| {
        let growth = life.growth.filter(|_| !life.is_muddled && life.quota > 0)?;
        let quota = f64::from(life.quota);
        let gap = (quota - growth.swing - growth.floor).max(0.0);
        let usual = judgement.growth_per_day.map(|growth| growth * quota);
        let paces = [Some(growth.per_day), Some(growth.last_per_day), usual];
        let hours = paces.into_iter().flatten().filter(|pace| *pace > 0.0).map(|pace| gap / pace * 24.0);
        let hours: Vec<f64> = hours.filter(|hours| *hours <= FORECAST_HOURS_MAX).collect();
        Some(HoursToQuota {
            dyno: life.dyno.to_string(),
            low: tenth(hours.iter().copied().reduce(f64::min)?),
            high: tenth(hours.iter().copied().reduce(f64::max)?),
        })
    })
    .collect()
}

/// The platform restarts every dyno after 24 h and up to 216 min.
const DAILY_RESTART_DAYS: f64 = (24.0 * 60.0 + 216.0) / (24.0 * 60.0);

fn right_size(
    process_type: &ProcessType,
    lives: &[Life],
    judgement: &Judgement,
    around: &Surroundings<'_>,
) -> Option<RightSize> {
    let (sizes, tenancy) = (around.sizes?, around.tenancy?);
    let recent: Vec<&Life> = lives
        .iter()
        .rev()
        .filter(|life| verdict::of_life(life) == Some(judgement.verdict) && life.quota > 0)
        .take(verdict::LIVES)
        .collect();
    let middle = |of: &dyn Fn(&Life) -> Option<f64>| {
        growth::median(&mut recent.iter().filter_map(|life| of(life)).collect::<Vec<_>>())
    };
    let quota = f64::from(recent.first()?.quota) / 10.0;
    let top = recent.iter().map(|life| f64::from(life.highest) / 10.0).fold(0.0, f64::max);
    let lasts: Box<dyn Fn(f64) -> bool> = match judgement.verdict {
        Verdict::Leaks => {
            let pace = middle(&|life| Some(life.growth?.per_day / 10.0)).filter(|pace| *pace > 0.0)?;
            let start = middle(&|life| life.level_at_start().map(|level| level / 10.0))?;
            Box::new(move |megabytes| (megabytes - start) / pace >= DAILY_RESTART_DAYS)
        }
        Verdict::LevelsOutAbove | Verdict::Spikes => Box::new(move |megabytes| megabytes > top),
        Verdict::LevelsOutBelow | Verdict::Unknown => return None,
    };
    if lasts(quota) {
        return None;
    }
    size::right_size(sizes, tenancy, (process_type.as_str(), quota), lasts)
}

/// Parts of the chart of memory.
const CHART_PARTS: i64 = 48;

fn memory_chart(dynos: &[(&DynoName, &Steps)]) -> Vec<Option<f64>> {
    let first = dynos.iter().filter_map(|(_, steps)| steps.keys().next()).min();
    let last = dynos.iter().filter_map(|(_, steps)| steps.keys().next_back()).max();
    let (Some(first), Some(last)) = (first, last) else { return Vec::new() };
    let width = (last - first) / CHART_PARTS + 1;
    let mut parts = vec![None; ((last - first) / width + 1) as usize];
    for (index, step) in dynos.iter().flat_map(|(_, steps)| steps.iter()) {
        if step.samples == 0 || step.quota == 0 {
            continue;
        }
        let share = f64::from(step.memory_high) / f64::from(step.quota);
        let part: &mut Option<f64> = &mut parts[((index - first) / width) as usize];
        *part = Some(part.map_or(share, |known: f64| known.max(share)));
    }
    parts
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// When a report's data ends.
pub fn end_of(history: &AppHistory) -> Option<Timestamp> {
    history.last_step().map(|index| step::start_of(index + 1))
}

// === impl QuietHoursView ===

impl QuietHoursView {
    pub fn new(hours: &QuietHours) -> Self {
        let hour = |hour: u8| format!("{hour:02}:00");
        Self {
            from: hour(hours.from),
            to: hour(hours.to()),
            zone: hours.zone.iana_name().unwrap_or("UTC").to_owned(),
        }
    }
}
