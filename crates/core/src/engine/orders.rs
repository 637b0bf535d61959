//! Requests by a person: restarts, pauses and their end.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::{ApiError, DynoInfo, FormationInfo};
use crate::engine::attempt::Cause;
use crate::engine::judge;
use crate::engine::quota::Purpose;
use crate::engine::{Effect, Engine, OrderId, Pause};
use crate::event::DynoState;
use crate::ident::{AppId, DynoName};
use crate::limits;
use crate::record::hold::Hold;
use crate::record::{Action, AttemptId, Decision, Evidence, MANUAL, Record};
use crate::time::since;

/// A request that waits for its first inspection.
#[derive(Clone, Debug)]
pub(super) struct OpenOrder {
    pub(super) order: OrderId,
    pub(super) app: AppId,
    pub(super) dyno: Option<DynoName>,
    pub(super) forced: bool,
    pub(super) by: Option<Arc<str>>,
}

impl Engine {
    pub(super) fn order(&mut self, open: OpenOrder) {
        let app = open.app;
        if let Some(dyno) = &open.dyno
            && self.key(app, dyno).is_none()
        {
            return self.refuse(&open, Hold::NotListed);
        }
        if self.open_orders.len() >= limits::OPEN_ORDERS_MAX {
            return self.refuse(&open, Hold::QueueFull { max: limits::OPEN_ORDERS_MAX });
        }
        let now = self.now.mono;
        if self.tokens.take(2, Purpose::Restart, now).is_err() {
            let remaining = self.tokens.remaining(now);
            return self.refuse(&open, Hold::ApiReserve { remaining });
        }
        let attempt_id = self.new_attempt_id();
        self.effects.push(Effect::Inspect { attempt_id, app, dyno: open.dyno.clone() });
        self.open_orders.insert(attempt_id, open);
    }

    /// Judges each dyno by the API's answer, and queues those that may be restarted.
    pub(super) fn ordered(&mut self, open: OpenOrder, answer: Result<FormationInfo, ApiError>) {
        let view = match answer {
            Ok(view) => view,
            Err(error) => {
                if error.needs_person() {
                    self.report_api_error(open.app, &error);
                }
                return self.refuse(&open, Hold::ApiError(error));
            }
        };
        self.report_api_recovered(open.app);
        self.app_mut(open.app).preboot_shown(view.preboot);
        self.note_states(open.app, &view);
        let dynos: Vec<DynoInfo> = match &open.dyno {
            Some(_) => view.dyno.iter().cloned().collect(),
            None => running(&view),
        };
        if dynos.is_empty() && open.dyno.is_some() {
            return self.refuse(&open, Hold::Gone);
        }
        let decisions = dynos.into_iter().map(|seen| self.order_one(&open, seen, &view)).collect();
        self.effects.push(Effect::Answer { order: open.order, decisions });
    }

    fn order_one(&mut self, open: &OpenOrder, seen: DynoInfo, view: &FormationInfo) -> Decision {
        let cause = Cause::Manual { forced: open.forced, by: open.by.clone() };
        let name = open.dyno.clone().unwrap_or_else(|| seen.name.clone());
        let tracked = self.key(open.app, &name).filter(|key| self.track(*key));
        let Some(key) = tracked else {
            return self.hold_without_dyno(open, Some(name), Hold::TooManyDynos { max: limits::DYNOS_MAX });
        };
        if let Some(attempt) = self.attempt_mut(key) {
            let attempt_id = attempt.request().id;
            return self.decide(key, &cause, Action::Hold(Hold::UnderWay), Some(attempt_id));
        }
        let policy = (self.policy(key), view.preboot);
        let judged = judge::by_itself(&seen, &name, policy, &cause, self.cautious_now());
        let release = seen.release;
        let now = self.now.mono;
        self.dyno_mut(key).show(Some(seen), now);
        self.release_shown(key, release);
        let judged = judged.and_then(|()| self.judge(key, &cause));
        let queued = judged.and_then(|()| self.enqueue(key, cause.clone()));
        match queued {
            Err(hold) => self.decide(key, &cause, Action::Hold(hold), None),
            // Reports the wait now; the restart follows in its turn.
            Ok(waiting_for) => {
                let is_of_type =
                    |other: &&DynoInfo| other.process_type == *name.process_type() && !other.is_one_off;
                let formation = view.formation.iter().filter(is_of_type).count();
                let dry_run = self.app(open.app).plan.dry_run;
                let mut attempt_id = None;
                if let Some(attempt) = self.attempt_mut(key) {
                    let request = attempt.request_mut();
                    request.decided = true;
                    request.waiting_for = waiting_for;
                    attempt_id = Some(request.id);
                }
                self.decide(key, &cause, Action::Restart { dry_run, formation: formation.max(1) }, attempt_id)
            }
        }
    }

    fn refuse(&mut self, open: &OpenOrder, hold: Hold) {
        let decision = self.hold_without_dyno(open, open.dyno.clone(), hold);
        self.effects.push(Effect::Answer { order: open.order, decisions: vec![decision] });
    }

    fn hold_without_dyno(&mut self, open: &OpenOrder, dyno: Option<DynoName>, hold: Hold) -> Decision {
        let decision = Decision {
            at: self.now.wall,
            app: open.app,
            dyno,
            rule: MANUAL.into(),
            action: Action::Hold(hold),
            evidence: Evidence { asked_by: open.by.clone(), ..Evidence::default() },
            attempt_id: None::<AttemptId>,
        };
        self.record(Record::Decision(decision.clone()));
        decision
    }

    pub(super) fn pause(
        &mut self,
        app: Option<AppId>,
        (until, reason): (Timestamp, Arc<str>),
        by: Option<Arc<str>>,
    ) {
        let ends = self.now.mono.saturating_add(since(self.now.wall, until));
        self.set_pause(app, Pause { ends, is_restored: false, reason, until, by });
    }

    pub(super) fn set_pause(&mut self, app: Option<AppId>, pause: Pause) {
        match app {
            Some(app) => self.app_mut(app).paused = Some(pause),
            None => self.paused = Some(pause),
        }
    }

    pub(super) fn end_pause(&mut self, app: Option<AppId>) {
        match app {
            Some(app) => self.app_mut(app).paused = None,
            None => {
                self.paused = None;
                self.apps.iter_mut().for_each(|app| app.paused = None);
            }
        }
    }
}

/// The running dynos of the formation, of the listed process types, sorted by name, without duplicates.
fn running(view: &FormationInfo) -> Vec<DynoInfo> {
    let up = view.formation.iter().filter(|seen| seen.state == DynoState::Up && !seen.is_one_off);
    let by_name: BTreeMap<DynoName, DynoInfo> = up.map(|seen| (seen.name.clone(), seen.clone())).collect();
    by_name.into_values().collect()
}
