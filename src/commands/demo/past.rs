//! Three days before the demo begins, as a daemon that had watched the shop would have kept them.
//!
//! Quiet hours are learned in a day and verdicts in half of one, and a demo lasts a minute.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::store::series::HourRow;
use dynowarden_core::codes::Code;
use dynowarden_core::days::pack::{self, Hour};
use dynowarden_core::days::seen::Seen;
use dynowarden_core::days::step::{STEP_SECONDS, STEPS_PER_HOUR, Step, start_of, step_of};
use dynowarden_core::detect::sign::Sign;
use dynowarden_core::event::{DynoState, Megabytes};
use dynowarden_core::ident::{AppName, DynoName, InstanceId, ProcessType};

/// What an app's dynos did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Past {
    pub webs: u32,
    /// Megabytes at the start of a process, and how many more each minute.
    pub from_mb: f64,
    pub mb_per_min: f64,
    /// Minutes from one restart of a dyno to the next.
    pub life_min: i64,
    /// Minutes since the present processes began.
    pub age_min: i64,
    /// What ended a process.
    pub ended_by: Sign,
}

const DAYS: i64 = 3;

const QUOTA_MB: f64 = 512.0;

/// Hours of the day, from the quiet ones on, that are quiet.
const QUIET_HOURS: i64 = 3;

/// The rows of one app's dynos until `now`. The quiet hours begin with the present hour.
pub(super) fn rows(app: &AppName, web: &ProcessType, past: &Past, now: Timestamp) -> Vec<HourRow> {
    let quiet_from = now.as_second().div_euclid(3600);
    let last = step_of(now);
    let mut rows = Vec::new();
    for index in 1..=past.webs {
        let mut hours: BTreeMap<i64, Hour> = BTreeMap::new();
        let mut instance: Option<InstanceId> = None;
        for step in last - DAYS * 24 * STEPS_PER_HOUR..last {
            let is_quiet = (step.div_euclid(STEPS_PER_HOUR) - quiet_from).rem_euclid(24) < QUIET_HOURS;
            let filled = fill(past, (index, step), &mut instance, now);
            let filled = Step { requests: if is_quiet { 15 } else { 240 }, ..filled };
            let hour = hours.entry(step.div_euclid(STEPS_PER_HOUR)).or_default();
            hour[step.rem_euclid(STEPS_PER_HOUR) as usize] = Some(filled);
        }
        let dyno = DynoName::new(web.clone(), index);
        rows.extend(hours.iter().map(|(hour, steps)| HourRow {
            is_known: false,
            app: app.clone(),
            dyno: Some(dyno.clone()),
            hour: *hour,
            part: 0,
            packed: pack::pack(steps),
        }));
    }
    rows
}

/// Five minutes of a dyno, with a reading each minute. The dynos are restarted one after the other.
fn fill(past: &Past, (index, step): (u32, i64), instance: &mut Option<InstanceId>, now: Timestamp) -> Step {
    let mut filled = Step::default();
    let born = now.as_second() - (past.age_min + i64::from(index) - 1) * 60;
    for minute in 0..STEP_SECONDS / 60 {
        let second = start_of(step).as_second() + minute * 60;
        let Ok(at) = Timestamp::from_second(second) else { continue };
        let age = (second - born).rem_euclid(past.life_min * 60) / 60;
        if age == 0 {
            for sign in [past.ended_by, Sign::State(DynoState::Starting), Sign::State(DynoState::Up)] {
                filled.add(&Seen::Sign(sign), instance, at);
            }
        }
        let process = (second - born).div_euclid(past.life_min * 60);
        let Ok(this) = format!("past-{index}-{process}").parse::<InstanceId>() else { continue };
        let megabytes = past.from_mb + past.mb_per_min * age as f64;
        let of = |megabytes: f64| Megabytes { hundredths: (megabytes * 100.0) as u64 };
        let (total, quota) = (of(megabytes), of(QUOTA_MB));
        filled.add(&Seen::Sample { instance: this, total, quota }, instance, at);
        if megabytes > QUOTA_MB {
            filled.add(&Seen::Error(Code::R14), instance, at);
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::{Past, rows};
    use dynowarden_core::days::history::AppHistory;
    use dynowarden_core::days::pack;
    use dynowarden_core::days::report;
    use dynowarden_core::days::verdict::Verdict;
    use dynowarden_core::detect::sign::Sign;
    use dynowarden_core::ident::DynoRef;

    #[test]
    fn the_past_is_read_as_it_is_meant() {
        let now: Timestamp = "2026-01-05T14:52:00Z".parse().expect("a time");
        let leak = Past {
            webs: 3,
            from_mb: 330.0,
            mb_per_min: 4.0,
            life_min: 48,
            age_min: 44,
            ended_by: Sign::Restarting,
        };
        let plateau = Past { from_mb: 604.0, mb_per_min: 0.0, life_min: 1440, ..leak };
        let sound = Past { from_mb: 240.0, ended_by: Sign::Cycling, ..plateau };
        for (past, expect) in
            [(leak, Verdict::Leaks), (plateau, Verdict::LevelsOutAbove), (sound, Verdict::LevelsOutBelow)]
        {
            let mut history = AppHistory::default();
            for row in rows(&"acme".parse().expect("a name"), &"web".parse().expect("a type"), &past, now) {
                let dyno = row.dyno.expect("a dyno");
                let named = DynoRef { process_type: "web", index: dyno.index() };
                history.add_hour(Some(named), row.hour, &pack::unpack(&row.packed).expect("an hour"));
            }
            let judged = report::judgements(&history);
            assert_eq!(judged[0].1.verdict, expect, "{past:?}: {judged:?}");
            let quiet = report::quiet_hours(&history, &TimeZone::UTC).expect("three days were heard");
            assert_eq!(quiet.from, 14);
        }
    }
}
