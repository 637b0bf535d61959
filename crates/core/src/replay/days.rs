//! What the log shows over days, for rules that rest on more than the last lines: the ages of dynos, quiet
//! hours, former lives, and dynos slower than their peers.
//!
//! The daemon learns these beside the engine and passes them in every few seconds. A replay passes in the
//! same, by the log's time: ages and slow dynos each minute, the rest each hour and whenever a process
//! begins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::calendar::Window;
use crate::days::history::AppHistory;
use crate::days::peers::Peers;
use crate::days::seen::{self, Seen};
use crate::detect::sign::Sign;
use crate::engine::Input;
use crate::engine::days::AppDays;
use crate::engine::known::known;
use crate::event::DynoState;
use crate::ident::{AppId, DynoName, DynoRef};
use crate::limits;
use crate::policy::{AppPlan, Factor, Trigger};
use crate::time::{earlier, since};
use crate::traffic::Traffic;
use crate::wire::line::Line;

/// One app's days.
#[derive(Debug)]
pub(super) struct Days {
    /// Whether a rule is on uptime.
    has_ages: bool,
    heard: BTreeMap<DynoName, Heard>,
    history: AppHistory,
    /// Whether a process began since the history was read.
    is_news: bool,
    /// The last minute that was looked at, counted from the epoch.
    minute: Option<i64>,
    /// Whether requests matter to a rule. They are most lines of a log.
    reads_requests: bool,
    read_at: Option<Timestamp>,
    slow: Vec<(Arc<str>, Factor, Peers)>,
    told: AppDays,
    traffic: BTreeMap<DynoName, Traffic>,
}

/// The lines of one dyno.
#[derive(Clone, Copy, Debug)]
struct Heard {
    first: Timestamp,
    last: Timestamp,
    /// When its process began, if the log shows it.
    started: Option<Timestamp>,
}

/// How often the history is read if no process begins.
const READ_EVERY: Duration = Duration::from_secs(3600);

/// Minutes without lines that are made up for: as many as the comparison of peers remembers.
const MINUTES_MADE_UP: i64 = 10;

// === impl Days ===

impl Days {
    pub(super) fn new(plan: &AppPlan) -> Self {
        let slow: Vec<_> = plan
            .rules
            .iter()
            .filter_map(|rule| match rule.trigger {
                Trigger::SlowerThanPeers { above } => Some((Arc::clone(&rule.name), above, Peers::default())),
                _ => None,
            })
            .collect();
        let windows = plan.policy.window.iter().chain(plan.rules.iter().flat_map(|rule| &rule.window));
        Self {
            has_ages: plan.rules.iter().any(|rule| matches!(rule.trigger, Trigger::Uptime { .. })),
            heard: BTreeMap::new(),
            history: AppHistory::default(),
            is_news: false,
            minute: None,
            reads_requests: !slow.is_empty() || windows.into_iter().any(|window| *window == Window::Quiet),
            read_at: None,
            slow,
            told: AppDays::default(),
            traffic: BTreeMap::new(),
        }
    }

    /// Notes a line. `listed` names the dynos of the listed process types.
    pub(super) fn note(
        &mut self,
        line: &Line<'_>,
        listed: impl Fn(&DynoRef<'_>) -> Option<DynoName>,
        at: Timestamp,
    ) {
        if !self.reads_requests && line.procid == b"router" {
            return;
        }
        let Some((dyno, seen)) = seen::read(line) else { return };
        self.history.add(dyno, &seen, at);
        let Some(name) = dyno.as_ref().and_then(listed) else { return };
        if let Seen::Request(request) = &seen
            && !self.slow.is_empty()
            && (self.traffic.contains_key(&name) || self.traffic.len() < limits::TRAFFIC_DYNOS_MAX)
        {
            self.traffic.entry(name.clone()).or_default().request(request, from_epoch(at));
        }
        if !self.has_ages && !matches!(seen, Seen::Sign(_)) {
            return;
        }
        let is_start =
            matches!(seen, Seen::Sign(Sign::Starting | Sign::State(DynoState::Starting | DynoState::Up)));
        self.is_news |= is_start;
        if self.heard.contains_key(&name) || self.heard.len() < limits::DYNOS_MAX {
            let heard = self.heard.entry(name).or_insert(Heard { first: at, last: at, started: None });
            heard.last = heard.last.max(at);
            if is_start {
                heard.started = heard.started.max(Some(at));
            }
        }
    }

    /// What the engine is told at `now`: nothing within a minute that it was told something of.
    pub(super) fn inputs(&mut self, plan: &AppPlan, now: Timestamp) -> Vec<Input> {
        let minute = now.as_second().div_euclid(60);
        let last = *self.minute.get_or_insert(minute);
        if last >= minute {
            return Vec::new();
        }
        self.minute = Some(minute);
        let mut inputs = Vec::new();
        if self.is_due(now) {
            self.is_news = false;
            self.read_at = Some(now);
            let (days, _) = known(&self.history, plan);
            if days != self.told {
                self.told = days.clone();
                inputs.push(Input::Days { app: ONLY, days });
            }
        }
        if self.has_ages {
            let oldest = earlier(now, limits::AGES_HEARD);
            let heard = self.heard.iter().filter(|(_, heard)| heard.last >= oldest);
            // A process is at least as old as its first line.
            let age =
                |(name, heard): (&DynoName, &Heard)| (name.clone(), heard.started.max(Some(heard.first)));
            inputs.push(Input::Ages { app: ONLY, dynos: heard.map(age).collect() });
        }
        for past in last.max(minute - MINUTES_MADE_UP)..minute {
            inputs.extend(self.slow_in(past, now));
        }
        inputs
    }

    /// Whether the history is to be read: after news at once, or the later the longer it takes.
    fn is_due(&self, now: Timestamp) -> bool {
        let Some(read_at) = self.read_at else { return true };
        let minutes = self.history.steps() / limits::REPLAY_STEPS_PER_MINUTE;
        let soon = Duration::from_secs(60 * minutes as u64).min(READ_EVERY);
        since(read_at, now) >= if self.is_news { soon } else { READ_EVERY }
    }

    /// The dynos that were slower than their peers until the end of a minute.
    fn slow_in(&mut self, minute: i64, now: Timestamp) -> Vec<Input> {
        let Ok(index) = u64::try_from(minute) else { return Vec::new() };
        let mut inputs = Vec::new();
        for (rule, above, peers) in &mut self.slow {
            let medians: Vec<(DynoName, u64)> = self
                .traffic
                .iter()
                .filter_map(|(name, traffic)| Some((name.clone(), traffic.median_ms(index)?)))
                .collect();
            for dyno in peers.minute(&medians, *above) {
                inputs.push(Input::Slow { app: ONLY, dyno, rule: Arc::clone(rule), at: now });
            }
        }
        inputs
    }
}

fn from_epoch(at: Timestamp) -> Duration {
    since(Timestamp::UNIX_EPOCH, at)
}

/// Each engine has one app.
const ONLY: AppId = AppId(0);

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::Days;
    use crate::ident::{DynoName, DynoRef};
    use crate::limits;
    use crate::policy::{AppPlan, Policy, Rate};
    use crate::wire::line::Line;

    fn plan() -> AppPlan {
        let count = |count| std::num::NonZeroU32::new(count).expect("a count");
        let minutes = |minutes: u64| std::time::Duration::from_secs(minutes * 60);
        AppPlan {
            name: "acme".parse().expect("a name"),
            dry_run: false,
            policy: Policy {
                process_types: vec!["web".parse().expect("a type")],
                cooldown: minutes(10),
                max_restarts: Rate { count: count(8), per: minutes(120) },
                give_up_after: count(3),
                give_up_for: minutes(360),
                max_concurrent: count(1),
                settle: minutes(1),
                min_uptime: minutes(3),
                boot_timeout: minutes(3),
                window: Vec::new(),
            },
            rules: Vec::new(),
        }
    }

    /// How often the history of so many dynos is read in an hour in which a process begins each minute.
    fn reads(dynos: u32) -> usize {
        let plan = plan();
        let mut days = Days::new(&plan);
        let at = |second: i64| Timestamp::from_second(1_767_225_600 + second).expect("a time");
        let listed = |dyno: &DynoRef<'_>| Some(DynoName::new("web".parse().ok()?, dyno.index));
        let note = |days: &mut Days, index: u32, second: i64| {
            let procid = format!("web.{index}");
            let msg = b"State changed from starting to up";
            days.note(&Line::shown(b"", b"heroku", procid.as_bytes(), msg), listed, at(second));
        };
        let steps = 250;
        for index in 1..=dynos {
            (0..steps).for_each(|step| note(&mut days, index, step * 300));
        }
        let (mut reads, mut read_at) = (0, None);
        for minute in 0..60 {
            note(&mut days, 1, steps * 300 + minute * 60);
            days.inputs(&plan, at(steps * 300 + minute * 60));
            reads += usize::from(days.read_at != read_at);
            read_at = days.read_at;
        }
        reads
    }

    #[test]
    fn a_large_formation_is_read_less_often() {
        const { assert!(5 * 250 < limits::REPLAY_STEPS_PER_MINUTE) };
        assert!(reads(5) >= 58, "{}", reads(5));
        // Three minutes' worth of steps.
        let dynos = u32::try_from(3 * limits::REPLAY_STEPS_PER_MINUTE / 250).expect("a small number");
        let reads = reads(dynos);
        assert!((19..=21).contains(&reads), "{reads}");
    }
}
