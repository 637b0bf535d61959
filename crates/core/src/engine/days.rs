//! Rules that rest on more than the last lines: a process's age, quiet hours, former lives, and peers.
//!
//! The shell learns these over days and passes them in; here they only bound what the other rules may do, or
//! fire a rule that then takes the way of all others.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::calendar::{self, QuietHours, Shut, Window};
use crate::days::verdict::Verdict;
use crate::engine::Engine;
use crate::engine::attempt::Cause;
use crate::engine::counts::Sample;
use crate::engine::dyno::{AgeTold, DynoKey};
use crate::ident::{AppId, DynoName, ProcessType};
use crate::policy::{Act, AppPlan, MemoryBound, Rule, Trigger};
use crate::record::Action;
use crate::record::hold::{Hold, WindowOf};
use crate::time::since;

/// What is known of an app from the last days.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppDays {
    pub quiet: Option<QuietHours>,
    /// For each rule with a `proof` and each process type: how many of the last lives went over the quota.
    pub breaches: Vec<Breaches>,
    /// What each process type's memory does; those without are unknown.
    pub verdicts: Vec<(ProcessType, Verdict)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaches {
    pub process_type: ProcessType,
    pub rule: Arc<str>,
    pub breached: u32,
}

impl Engine {
    pub(super) fn on_days(&mut self, app: AppId, days: AppDays) {
        self.app_mut(app).days = days;
    }

    /// Fires the rules on uptime for dynos whose lines were heard lately, each with the start of its
    /// process if that was seen.
    pub(super) fn on_ages(&mut self, app: AppId, dynos: Vec<(DynoName, Option<Timestamp>)>) {
        let now = self.now.wall;
        for (dyno, started) in dynos {
            let Some(key) = self.key(app, &dyno) else { continue };
            if !self.track(key) {
                continue;
            }
            for place in 0..self.app(app).plan.rules.len() {
                let rule = &self.app(app).plan.rules[place];
                let Trigger::Uptime { above } = rule.trigger else { continue };
                let (act, name) = (rule.act, Arc::clone(&rule.name));
                let state = self.dyno_mut(key);
                let seen = state.seen.as_ref().map(|seen| seen.surely_in_state_since());
                let restarted = state.restarts.last.as_ref().map(|last| last.accepted_at);
                let start = [started, state.process_began, seen, restarted].into_iter().flatten().max();
                let is_young = start.is_some_and(|start| since(start, now) < above);
                if !is_young {
                    self.is_old(key, act, Cause::Age { rule: name, above }, start);
                }
            }
        }
    }

    /// Acts on a process that is old enough: once while no window is open, and once if it only notifies.
    fn is_old(&mut self, key: DynoKey, act: Act, cause: Cause, start: Option<Timestamp>) {
        if act == Act::Restart && self.attempt_mut(key).is_some() {
            return;
        }
        let shut = self.shut(key.app, &cause);
        let told = match (act, &shut) {
            (Act::Notify, _) => AgeTold::Notified { start },
            (Act::Restart, Some(hold)) => AgeTold::Held(hold.clone()),
            (Act::Restart, None) => {
                self.dyno_mut(key).age_told = None;
                return self.fire(key, act, cause);
            }
        };
        let known = self.dyno_mut(key).age_told.replace(Box::new(told.clone()));
        if known.is_some_and(|known| *known == told) {
            return;
        }
        let action = shut.filter(|_| act == Act::Restart).map_or(Action::Notify, Action::Hold);
        self.decide(key, &cause, action, None);
    }

    /// Fires the rules on slow dynos for one that was found slower than its peers, by the rule's name.
    pub(super) fn on_slow(&mut self, app: AppId, dyno: &DynoName, rule: &str, at: Timestamp) {
        let Some(key) = self.key(app, dyno).filter(|key| self.track(*key)) else { return };
        let Some(rule) = self.app(app).plan.rules.iter().find(|known| &*known.name == rule) else { return };
        if !matches!(rule.trigger, Trigger::SlowerThanPeers { .. }) {
            return;
        }
        let (act, name) = (rule.act, Arc::clone(&rule.name));
        self.judge_by_use(key, &name, (at, at));
        self.fire(
            key,
            act,
            Cause::Rule { rule: name, code: None, lines: 1, error_at: at, heard_at: self.now.mono },
        );
    }

    /// The reason if no window of the policy, or none of the rule, is open now.
    pub(super) fn shut(&self, app: AppId, cause: &Cause) -> Option<Hold> {
        if cause.is_forced() {
            return None;
        }
        let app = self.app(app);
        let rule = rule_of(&app.plan, cause);
        let (policy, rule): (&[Window], &[Window]) =
            (&app.plan.policy.window, rule.map_or(&[], |rule| &rule.window));
        [(policy, WindowOf::Policy), (rule, WindowOf::Rule)].into_iter().find_map(|(windows, of)| {
            match calendar::check(windows, app.days.quiet.as_ref(), self.now.wall) {
                Ok(()) => None,
                Err(Shut::QuietUnknown) => Some(Hold::QuietUnknown),
                Err(Shut::Until(opens)) => Some(Hold::OutsideWindow { opens, of }),
            }
        })
    }

    /// What the last lives of the dyno's process type say.
    pub(super) fn verdict(&self, key: DynoKey) -> Verdict {
        let app = self.app(key.app);
        let process_type = &app.plan.policy.process_types[usize::from(key.formation)];
        let known = app.days.verdicts.iter().find(|(of, _)| of == process_type);
        known.map_or(Verdict::Unknown, |(_, verdict)| *verdict)
    }

    /// Judges whether former lives prove what a rule asks for.
    pub(super) fn proven(&self, key: DynoKey, cause: &Cause) -> Result<(), Hold> {
        let app = self.app(key.app);
        let Some((rule, proof)) = rule_of(&app.plan, cause).and_then(|rule| Some((rule, rule.proof?))) else {
            return Ok(());
        };
        let process_type = &app.plan.policy.process_types[usize::from(key.formation)];
        let is_it = |known: &&Breaches| known.rule == rule.name && known.process_type == *process_type;
        let breached = app.days.breaches.iter().find(is_it).map_or(0, |known| known.breached);
        if breached >= proof.breached { Ok(()) } else { Err(Hold::Unproven { breached, proof }) }
    }
}

/// What a rule on samples compares with its limit, and for how long.
pub(super) fn measured(trigger: &Trigger, sample: &Sample) -> Option<(MemoryBound, Duration, Sample)> {
    match (trigger, sample.swap) {
        (Trigger::Memory { above, lasting }, _) => Some((*above, *lasting, sample.clone())),
        (Trigger::Swap { above, lasting }, Some(total)) => {
            Some((*above, *lasting, Sample { total, ..sample.clone() }))
        }
        _ => None,
    }
}

fn rule_of<'p>(plan: &'p AppPlan, cause: &Cause) -> Option<&'p Rule> {
    match cause {
        Cause::Manual { .. } => None,
        Cause::Age { rule, .. } | Cause::Rule { rule, .. } => {
            plan.rules.iter().find(|known| known.name == *rule)
        }
    }
}
