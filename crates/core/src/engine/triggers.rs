//! From events to attempts: which rule a line fires, and whether an attempt follows.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::codes::Code;
use crate::engine::attempt::{Attempt, Cause, Queued};
use crate::engine::counts::{Generation, MemoryTrend, Sample};
use crate::engine::days::measured;
use crate::engine::dyno::DynoKey;
use crate::engine::judge::{self, Context};
use crate::engine::{Effect, Engine, Pause, RuleHit};
use crate::event::{Change, Event, Fact};
use crate::ident::{AppId, DynoName, ProcessType};
use crate::limits;
use crate::policy::{Act, Trigger};
use crate::record::hold::Hold;
use crate::record::{
    Action, Decision, Evidence, MemoryAfterRestart, MemoryReading, Notice, NoticeKind, Record, Scope,
};
use crate::time::since;

impl Engine {
    pub(super) fn on_events(&mut self, app: AppId, events: Vec<Event>) {
        for Event { at, fact } in events {
            // A line from the future says nothing about Heroku's clock.
            if since(self.now.wall, at) <= limits::CLOCK_LEAD_MAX {
                self.platform_clock.record(at, self.now.mono);
            }
            match fact {
                Fact::Error { code, dyno: Some(dyno) } => self.on_error(app, &dyno, code, at),
                Fact::Error { code, dyno: None } => self.on_error_of_app(app, code, at),
                Fact::Life { dyno, change } => self.on_life(app, &dyno, change, at),
                Fact::Memory { dyno, used, permille } => {
                    self.on_memory(app, &dyno, MemoryReading { at, used, permille });
                }
                Fact::Release { .. } => self.on_release(app),
                Fact::Sample { dyno, instance, total, quota, swap } => {
                    self.on_sample(app, &dyno, &Sample { at, instance, total, quota, swap });
                }
                Fact::Scale { types } => {
                    let settle = self.app(app).plan.policy.settle;
                    self.postpone(app, &types, settle);
                }
                // The watchdog judges the drain's health; here the loss is only a code for rules.
                Fact::Loss { .. } => self.on_error_of_app(app, Code::L10, at),
            }
        }
    }

    fn on_error(&mut self, app: AppId, dyno: &DynoName, code: Code, at: Timestamp) {
        let Some(key) = self.key(app, dyno) else { return self.on_unlisted_error(app, dyno, code, at) };
        if !self.track(key) {
            return;
        }
        if matches!(code, Code::R14 | Code::R15) {
            self.dyno_mut(key).is_at_work(at);
        }
        if code == Code::R15 {
            // Heroku kills and restarts the dyno itself.
            self.change(key, Change::Leaving, at);
        }
        for rule in 0..self.app(app).plan.rules.len() {
            let rule_of = &self.apps[app.0 as usize].plan.rules[rule];
            let Trigger::Errors { codes, count, within } = &rule_of.trigger else { continue };
            if !codes.contains(&code) {
                continue;
            }
            let (act, name) = (rule_of.act, Arc::clone(&rule_of.name));
            let (count, within) = (*count, *within);
            self.judge_by_use(key, &name, (at, at));
            let Some(state) = self.dynos.get_mut(&key) else { return };
            // An error of an earlier process is judged and recorded, and counts for nothing.
            let is_earlier =
                state.process_began.is_some_and(|began| at < began) || state.may_be_of_stopped(at);
            if count > NonZeroU32::MIN && is_earlier {
                continue;
            }
            match entry_of(&mut state.hits, rule).count(at, count, within) {
                Some(lines) => {
                    self.fire(
                        key,
                        act,
                        Cause::Rule {
                            rule: name,
                            code: Some(code),
                            lines,
                            error_at: at,
                            heard_at: self.now.mono,
                        },
                    );
                }
                None => {
                    let dyno = dyno.clone();
                    self.effects.push(Effect::CountAcrossReplicas(RuleHit {
                        app,
                        dyno,
                        code,
                        rule: name,
                        at,
                        within,
                    }));
                }
            }
        }
    }

    /// Counts the errors that other replicas received for the same dyno and rule.
    pub(super) fn on_shared(&mut self, hit: &RuleHit, times: &[Timestamp]) {
        let Some(key) = self.key(hit.app, &hit.dyno) else { return };
        let rules = &self.app(hit.app).plan.rules;
        let Some(rule) = rules.iter().position(|rule| rule.name == hit.rule) else { return };
        let Trigger::Errors { count, within, .. } = rules[rule].trigger else { return };
        let act = rules[rule].act;
        let Some(state) = self.dynos.get_mut(&key) else { return };
        let began = state.process_began.unwrap_or(Timestamp::MIN);
        let is_own = |at: &&Timestamp| **at >= began && !state.may_be_of_stopped(**at);
        let times: Vec<Timestamp> = times.iter().filter(is_own).copied().collect();
        let hits = entry_of(&mut state.hits, rule);
        let fired = times.into_iter().filter_map(|at| hits.count(at, count, within)).last();
        if let Some(lines) = fired {
            let rule = Arc::clone(&hit.rule);
            self.fire(
                key,
                act,
                Cause::Rule { rule, code: Some(hit.code), lines, error_at: hit.at, heard_at: self.now.mono },
            );
        }
    }

    fn on_error_of_app(&mut self, app: AppId, code: Code, at: Timestamp) {
        let now = self.now;
        let state = self.app_mut(app);
        let mut fired: Vec<Decision> = Vec::new();
        for (rule, hits) in state.plan.rules.iter().zip(&mut state.hits) {
            let Trigger::Errors { codes, count, within } = &rule.trigger else { continue };
            // Settings reject `restart` for a code without a dyno, but a line may still name none.
            if rule.act == Act::Notify
                && codes.contains(&code)
                && let Some(lines) = hits.count(at, *count, *within)
            {
                fired.push(Decision {
                    at: now.wall,
                    app,
                    dyno: None,
                    rule: Arc::clone(&rule.name),
                    action: Action::Notify,
                    evidence: Evidence { code: Some(code), line_at: Some(at), lines, ..Evidence::default() },
                    attempt_id: None,
                });
            }
        }
        fired.into_iter().for_each(|decision| self.record(Record::Decision(decision)));
    }

    fn on_memory(&mut self, app: AppId, name: &DynoName, memory: MemoryReading) {
        let Some(key) = self.key(app, name) else { return };
        if !self.track(key) {
            return;
        }
        let Some(dyno) = self.dynos.get_mut(&key) else { return };
        dyno.is_at_work(memory.at);
        if dyno.memory.is_none_or(|last| last.at <= memory.at) {
            dyno.memory = Some(memory);
        }
        if let Some(attempt_id) = dyno.restarts.last.as_mut().and_then(|restart| restart.read(memory.at)) {
            let dyno = name.clone();
            self.record(Record::MemoryAfterRestart(MemoryAfterRestart { app, dyno, attempt_id, memory }));
        }
    }

    fn on_sample(&mut self, app: AppId, dyno: &DynoName, sample: &Sample) {
        let Some(key) = self.key(app, dyno) else { return };
        if !self.track(key) {
            return;
        }
        let state = self.dyno_mut(key);
        // Under preboot the old instance's samples go on, and say nothing about the new one.
        match state.instances.get_or_insert_default().note(sample.instance) {
            Generation::Previous => return,
            Generation::New => state.trends.iter_mut().for_each(MemoryTrend::clear),
            Generation::Newest => {}
        }
        let permille = (u128::from(sample.total.hundredths) * 1000)
            .checked_div(u128::from(sample.quota.hundredths))
            .and_then(|permille| u32::try_from(permille).ok());
        if let Some(permille) = permille {
            let memory = MemoryReading { at: sample.at, used: sample.total, permille };
            if state.sample.is_none_or(|last| last.at <= memory.at) {
                state.sample = Some(memory);
            }
            if let Some(last) = &mut state.restarts.last {
                last.sampled(memory);
            }
            self.on_memory(app, dyno, memory);
        }
        for rule in 0..self.app(app).plan.rules.len() {
            let rule_of = &self.apps[app.0 as usize].plan.rules[rule];
            let Some((above, lasting, sample)) = measured(&rule_of.trigger, sample) else { continue };
            let (act, name) = (rule_of.act, Arc::clone(&rule_of.name));
            let Some(state) = self.dynos.get_mut(&key) else { return };
            let trend = entry_of::<MemoryTrend>(&mut state.trends, rule);
            if let Some((lines, began)) = trend.sample(&sample, above, lasting) {
                self.judge_by_use(key, &name, (began, sample.at));
                self.fire(
                    key,
                    act,
                    Cause::Rule {
                        rule: name,
                        code: None,
                        lines,
                        error_at: sample.at,
                        heard_at: self.now.mono,
                    },
                );
            }
        }
    }

    fn on_release(&mut self, app: AppId) {
        // Waits until the API shows the new release, or preboot's old dynos are gone: as long as a dyno is
        // too young.
        let min_uptime = self.app(app).plan.policy.min_uptime;
        self.app_mut(app).releases_seen += 1;
        self.postpone(app, &[], min_uptime);
    }

    /// Restarts of these process types wait; of all if there are none.
    fn postpone(&mut self, app: AppId, types: &[ProcessType], span: Duration) {
        let until = self.now.mono.saturating_add(span);
        let app = self.app_mut(app);
        for (listed, formation) in app.plan.policy.process_types.iter().zip(&mut app.formations) {
            if types.is_empty() || types.contains(listed) {
                formation.settled_at = formation.settled_at.max(until);
            }
        }
    }

    /// Acts on a rule that fired.
    pub(super) fn fire(&mut self, key: DynoKey, act: Act, cause: Cause) {
        if act == Act::Notify {
            self.decide(key, &cause, Action::Notify, None);
            return;
        }
        // What former lives do not prove is no error yet, and neither is age.
        if matches!(cause, Cause::Rule { .. }) && self.proven(key, &cause).is_ok() {
            self.erring(key);
        }
        let takes_over = self.takes_over(key, &cause);
        let Some(attempt) = self.attempt_mut(key) else { return self.admit(key, cause) };
        match (&mut attempt.request_mut().cause, &cause) {
            // A manual restart stays manual: a later error takes none of its rights away.
            (
                Cause::Rule { rule, error_at, heard_at, .. },
                Cause::Rule { rule: of, error_at: new, heard_at: now, .. },
            ) if rule == of && *error_at <= *new => (*error_at, *heard_at) = (*new, *now),
            (present, _) if takes_over => *present = cause.clone(),
            _ => {}
        }
        let attempt_id = attempt.request().id;
        let hold = match (&*attempt, &attempt.request().waiting_for) {
            (Attempt::Queued(_) | Attempt::Waiting(_), Some(hold)) => hold.clone(),
            _ => Hold::UnderWay,
        };
        self.decide(key, &cause, Action::Hold(hold), Some(attempt_id));
    }

    /// Whether an error of another rule takes the place of a waiting attempt's own, which is too old. Just
    /// before the DELETE, the error of the rule that asks for it must be recent.
    fn takes_over(&mut self, key: DynoKey, cause: &Cause) -> bool {
        let waiting = self.dynos.get(&key).and_then(|dyno| match dyno.attempt.as_deref() {
            Some(attempt @ (Attempt::Queued(_) | Attempt::Inspecting(_) | Attempt::Waiting(_))) => {
                Some(&attempt.request().cause)
            }
            _ => None,
        });
        let is_stale = |present: &Cause| {
            present.heard_for(self.now.mono).is_some_and(|age| age > limits::ERROR_AGE_MAX)
                || present.error_at().is_some_and(|at| since(at, self.now.wall) > limits::ERROR_AGE_MAX)
        };
        waiting.is_some_and(is_stale) && self.judge(key, cause).is_ok()
    }

    /// Queues a dyno, or records the refusal.
    pub(super) fn admit(&mut self, key: DynoKey, cause: Cause) {
        let judged = self.judge(key, &cause);
        self.watch_clock(key, judged.as_ref().err());
        self.watch_lateness(key.app, judged.as_ref().err());
        if let Err(hold) = judged {
            self.decide(key, &cause, Action::Hold(hold), None);
            return;
        }
        match self.enqueue(key, cause.clone()) {
            Ok(Some(hold)) => {
                if let Some(attempt) = self.attempt_mut(key) {
                    attempt.request_mut().waiting_for = Some(hold.clone());
                }
                self.decide(key, &cause, Action::Hold(hold), None);
            }
            Ok(None) => {}
            Err(hold) => {
                self.decide(key, &cause, Action::Hold(hold), None);
            }
        }
    }

    /// Queues a dyno in its formation, and returns the reason if it must wait.
    pub(super) fn enqueue(&mut self, key: DynoKey, cause: Cause) -> Result<Option<Hold>, Hold> {
        let places = self.policy(key).max_concurrent.get() as usize;
        let formation = self.formation_mut(key);
        if formation.queue.len() >= limits::QUEUED_PER_FORMATION_MAX {
            return Err(Hold::QueueFull { max: limits::QUEUED_PER_FORMATION_MAX });
        }
        let in_front = formation.active.first().or(formation.queue.front()).copied();
        let must_wait = formation.active.len() + formation.queue.len() >= places;
        formation.queue.push_back(key.index);
        self.freed.insert((key.app, key.formation));
        let attempt_id = self.new_attempt_id();
        let now = self.now.mono;
        self.attempts.insert(attempt_id, key);
        self.put(key, Queued::queue(attempt_id, cause, now));
        Ok(in_front.filter(|_| must_wait).map(|index| {
            let behind = self.name(DynoKey { index, ..key });
            Hold::Queued { behind }
        }))
    }

    /// Judges a dyno without asking the API.
    pub(super) fn judge(&mut self, key: DynoKey, cause: &Cause) -> Result<(), Hold> {
        if let Some(Pause { reason, until, .. }) = self.pause_of(key.app) {
            return Err(Hold::Paused { until: *until, reason: Arc::clone(reason) });
        }
        if self.now.mono < self.red_until {
            return Err(Hold::PlatformRed);
        }
        let (now, releases_seen) = (self.now, self.app(key.app).releases_seen);
        let Some(dyno) = self.dynos.get(&key) else { return Ok(()) };
        let app = self.app(key.app);
        let context = Context {
            policy: &app.plan.policy,
            limit: app.limit_of(cause),
            releases_seen,
            has_preboot: app.has_preboot == Some(true),
            cautious: self.cautious_now().wall,
            shut: self.shut(key.app, cause),
        };
        judge::before_looking(cause, dyno, &context, now)?;
        self.proven(key, cause)
    }

    fn watch_clock(&mut self, key: DynoKey, hold: Option<&Hold>) {
        let app = self.app_mut(key.app);
        let lead = match hold {
            Some(Hold::ClockAhead { lead }) => *lead,
            _ => return app.clock_reported = false,
        };
        if !std::mem::replace(&mut app.clock_reported, true) {
            self.notice(key.app, None, NoticeKind::ClockDisagrees { lead });
        }
    }

    pub(super) fn notice(&mut self, app: AppId, key: Option<DynoKey>, what: NoticeKind) {
        let dyno = key.map(|key| self.name(key));
        self.record(Record::Notice(Notice { at: self.now.wall, scope: Scope::App(app), dyno, what }));
    }
}

/// The entry of one rule, created on first use: most dynos never err.
fn entry_of<T: Clone + Default>(entries: &mut Vec<T>, rule: usize) -> &mut T {
    if entries.len() <= rule {
        entries.resize(rule + 1, T::default());
    }
    &mut entries[rule]
}
