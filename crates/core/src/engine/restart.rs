//! An attempt up to the DELETE: queue, inspection, claim, request.
//!
//! A step takes the attempt, in the type of its state, out of its dyno, and puts the next state back.
//! [`boot`](super::boot) has the steps after a DELETE.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::{ApiError, DeleteResult, DynoInfo, FormationInfo};
use crate::engine::attempt::{Attempt, Claiming, Inspectable, Inspecting, Request, Restarting, Revocable};
use crate::engine::claim::{ClaimRefusal, KnownRestart};
use crate::engine::dyno::{DynoKey, Refused};
use crate::engine::formation::Inspection;
use crate::engine::judge::{self, Assessment};
use crate::engine::quota::{CALLS_OF_A_RESTART, CALLS_OF_AN_INSPECTION, Purpose};
use crate::engine::restore::RestoredRestart;
use crate::engine::{Effect, Engine, ReportedApiError};
use crate::event::DynoState;
use crate::ident::{AppId, DynoName};
use crate::limits;
use crate::record::hold::Hold;
use crate::record::{Action, AttemptId, NoticeKind, Outcome, Record, RestartResult};
use crate::time::{earlier, later};

impl Engine {
    /// Gives free places of `max_concurrent` to the dynos that wait for them.
    pub(super) fn advance(&mut self) {
        while let Some((app, formation)) = self.freed.pop_first() {
            let key = DynoKey { app, formation, index: 0 };
            let places = self.policy(key).max_concurrent.get() as usize;
            while self.formation_mut(key).active.len() < places
                && let Some(index) = self.formation_mut(key).queue.pop_front()
            {
                self.formation_mut(key).active.push(index);
                let key = DynoKey { index, ..key };
                let now = self.now.mono;
                match self.dyno_mut(key).take_attempt() {
                    Some(Attempt::Queued(mut queued)) => {
                        queued.request.placed = now;
                        self.inspect(key, queued);
                    }
                    other => panic!("advance: {key:?} waits for a place as {other:?}"),
                }
            }
        }
    }

    /// Continues an attempt whose time has come.
    pub(super) fn attempt_due(&mut self, key: DynoKey) {
        let dyno = self.dyno_mut(key);
        dyno.due = None;
        match dyno.take_attempt() {
            Some(Attempt::Waiting(waiting)) => self.inspect(key, waiting),
            Some(Attempt::Unconfirmed(unconfirmed)) => self.poll(key, unconfirmed),
            Some(Attempt::Booting(booting)) => self.poll(key, booting),
            Some(Attempt::Failed(failed)) => self.poll(key, failed),
            Some(Attempt::Settling(settling)) => self.poll(key, settling),
            // These wait for an answer, which continues them.
            answered @ (Some(
                Attempt::Queued(_) | Attempt::Inspecting(_) | Attempt::Claiming(_) | Attempt::Restarting(_),
            )
            | None) => self.dyno_mut(key).attempt = answered.map(Box::new),
        }
    }

    /// Takes the attempt that an answer belongs to out of its dyno; none if the answer is too late.
    pub(super) fn take(&mut self, id: AttemptId) -> Option<(DynoKey, Attempt)> {
        let key = self.attempts.get(&id).copied();
        let taken = key.and_then(|key| self.dyno_mut(key).take_attempt().map(|attempt| (key, attempt)));
        if taken.is_none() {
            self.stale_answers += 1;
        }
        taken
    }

    /// Puts back an attempt that an answer does not concern.
    pub(super) fn put_back(&mut self, key: DynoKey, attempt: Attempt) {
        self.stale_answers += 1;
        self.put(key, attempt);
    }

    pub(super) fn put(&mut self, key: DynoKey, attempt: impl Into<Attempt>) {
        self.dyno_mut(key).attempt = Some(Box::new(attempt.into()));
    }

    /// Judges again, and asks the API for the dyno and its formation.
    pub(super) fn inspect(&mut self, key: DynoKey, mut attempt: impl Inspectable) {
        self.starved.remove(&key);
        if let Err(hold) = self.judge(key, &attempt.request().cause) {
            return self.leave(key, attempt, hold);
        }
        let now = self.now;
        let settled_at = self.app(key.app).formations[usize::from(key.formation)].settled_at;
        if let Some(span) = self.postponed(key, attempt.request_mut(), settled_at) {
            return self.wait(key, attempt, Hold::Releasing { until: later(now.wall, span) }, Some(span));
        }
        let purpose = self.purpose_of(key, attempt.request());
        if let Err(span) = self.tokens.take(CALLS_OF_AN_INSPECTION, purpose, now.mono) {
            self.starved.insert(key);
            return self.starve(key, attempt, purpose, span);
        }
        let attempt = attempt.inspect(now.mono);
        let (attempt_id, dyno) = (attempt.request.id, self.name(key));
        self.effects.push(Effect::Inspect { attempt_id, app: key.app, dyno: Some(dyno) });
        self.put(key, attempt);
    }

    /// How long an attempt waits until an announced change is over, at `until`.
    fn postponed(&self, key: DynoKey, request: &mut Request, until: Duration) -> Option<Duration> {
        let announced = until.checked_sub(self.now.mono).filter(|left| !left.is_zero())?;
        let left = self.patience_left(key, request).min(announced);
        request.postponed.get_or_insert(self.now.mono);
        (!left.is_zero()).then_some(left)
    }

    /// How long an attempt may still wait for releases and scalings: `boot_timeout` and `settle` in all,
    /// because announcements may never end.
    fn patience_left(&self, key: DynoKey, request: &Request) -> Duration {
        let (policy, now) = (self.policy(key), self.now.mono);
        let end = request.postponed.unwrap_or(now).saturating_add(policy.boot_timeout);
        end.saturating_add(policy.settle).saturating_sub(now)
    }

    /// What an inspection is for. The first belongs to the restart; so does one after a wait that is over,
    /// and one after a long time.
    fn purpose_of(&self, key: DynoKey, request: &Request) -> Purpose {
        let is_overdue = self.now.mono.saturating_sub(request.inspected) >= self.policy(key).boot_timeout;
        if request.inspections == 0 {
            Purpose::Restart
        } else if request.is_decisive || is_overdue {
            Purpose::DecisiveLook
        } else {
            Purpose::Wait
        }
    }

    /// Waits for API calls. Only the lack of those that a restart needs is a reason of its own.
    fn starve(&mut self, key: DynoKey, attempt: impl Inspectable, purpose: Purpose, span: Duration) {
        let remaining = self.tokens.remaining(self.now.mono);
        if remaining < limits::API_TOKENS_RESERVE_OF_RESTARTS + CALLS_OF_A_RESTART {
            self.report_no_calls(key.app, remaining);
            return self.wait(key, attempt, Hold::ApiReserve { remaining }, Some(span));
        }
        let overdue = attempt.request().inspected.saturating_add(self.policy(key).boot_timeout);
        let until_overdue = overdue.saturating_sub(self.now.mono).max(limits::WAIT_MIN);
        self.put(key, attempt.wait());
        self.set_due(key, if purpose == Purpose::Wait { span.min(until_overdue) } else { span });
    }

    pub(super) fn inspected(&mut self, id: AttemptId, answer: Result<FormationInfo, ApiError>) {
        if let Some(open) = self.open_orders.remove(&id) {
            return self.ordered(open, answer);
        }
        match self.take(id) {
            Some((key, Attempt::Inspecting(inspecting))) => match answer {
                Err(error) => self.inspection_failed(key, inspecting, error),
                Ok(view) => self.judge_view(key, inspecting, &view),
            },
            Some((key, other)) => self.put_back(key, other),
            None => {}
        }
    }

    fn inspection_failed(&mut self, key: DynoKey, mut attempt: Inspecting, error: ApiError) {
        attempt.request.failed_inspections += 1;
        let tries = attempt.request.failed_inspections;
        match &error {
            ApiError::Throttled { wait } => {
                let span = self.throttled(*wait, tries);
                self.report_api_error(key.app, &error);
                self.wait(key, attempt, Hold::ApiError(error), Some(span));
            }
            ApiError::Unreachable { .. } if tries < limits::INSPECTIONS_MAX => {
                let span = self.jitter.delay(limits::POLL_MIN, tries - 1, limits::POLL_MAX);
                self.put(key, attempt.wait());
                self.set_due(key, span);
            }
            _ => {
                self.report_api_error(key.app, &error);
                self.leave(key, attempt, Hold::ApiError(error));
            }
        }
    }

    /// How long to wait after a 429.
    fn throttled(&mut self, wait: Option<Duration>, tries: u32) -> Duration {
        let asked = wait.unwrap_or_default().min(limits::THROTTLE_WAIT_MAX);
        let ours =
            self.jitter.delay(limits::THROTTLE_WAIT * 2, tries.saturating_sub(1), limits::THROTTLE_WAIT_MAX);
        if wait.is_some() { asked + self.jitter.delay(limits::POLL_MIN, 0, limits::POLL_MIN) } else { ours }
    }

    /// Judges by the API's answer, and continues with the claim.
    fn judge_view(&mut self, key: DynoKey, mut attempt: Inspecting, view: &FormationInfo) {
        self.report_api_recovered(key.app);
        self.app_mut(key.app).preboot_shown(view.preboot);
        self.note_states(key.app, view);
        self.show(key, view.dyno.as_ref());
        self.note_up(key);
        self.judge_by_use_again(key);
        attempt.request.failed_inspections = 0;
        // Lines that arrived since the API was asked may have changed the facts.
        if let Err(hold) = self.judge(key, &attempt.request.cause) {
            return self.leave(key, attempt, hold);
        }
        let (name, ours_out, failed) = (self.name(key), self.ours_out(key), self.failed_beside(key));
        let unlisted = self.unlisted_beside(key, view);
        let is_down = |seen: &&DynoInfo| seen.state != DynoState::Up;
        let down: Vec<(DynoName, Timestamp)> = view
            .formation
            .iter()
            .filter(is_down)
            .map(|seen| (seen.name.clone(), self.down_since(key.app, seen)))
            .collect();
        let left = self.patience_left(key, &attempt.request);
        let inspection = Inspection {
            cause: &attempt.request.cause,
            name: &name,
            policy: self.policy(key),
            ours_out: &ours_out,
            unlisted: &unlisted,
            failed: &failed,
            down: &down,
            ignores_deploys: left.is_zero(),
            view,
        };
        match judge::by_view(&inspection, self.cautious_now()) {
            Assessment::Leave(hold) => self.leave(key, attempt, hold),
            Assessment::Wait(Hold::Deploying { from, to }, _) => {
                attempt.request.postponed.get_or_insert(self.now.mono);
                let span = left.min(limits::WAIT_MAX);
                self.wait(key, attempt, Hold::Deploying { from, to }, Some(span));
            }
            Assessment::Wait(hold, known) => self.wait(key, attempt, hold, known),
            Assessment::Go { seen, formation, broken } => {
                self.go(key, attempt, *seen, (formation, broken));
            }
        }
    }

    /// Notes what the API shows of the dyno.
    fn show(&mut self, key: DynoKey, seen: Option<&DynoInfo>) {
        let now = self.now.mono;
        let dyno = self.dyno_mut(key);
        dyno.show(seen.cloned(), now);
        if let Some(seen) = seen {
            dyno.process_begins(seen.created_at);
            self.release_shown(key, seen.release);
        }
    }

    /// Nothing is in the way: asks for the claim.
    fn go(
        &mut self,
        key: DynoKey,
        attempt: Inspecting,
        seen: DynoInfo,
        (formation, broken): (usize, Vec<DynoName>),
    ) {
        let dry_run = self.app(key.app).plan.dry_run;
        if !dry_run && let Err(span) = self.tokens.take_delete(self.now.mono) {
            // Others have used the account since this inspection was asked for.
            let remaining = self.tokens.remaining(self.now.mono);
            self.starved.insert(key);
            self.report_no_calls(key.app, remaining);
            return self.wait(key, attempt, Hold::ApiReserve { remaining }, Some(span));
        }
        let request = &attempt.request;
        let draft = (!request.decided).then(|| {
            let action = Action::Restart { dry_run, formation };
            Box::new(self.decision(key, &request.cause, action, Some(request.id)))
        });
        let mut attempt = attempt.claim(seen.clone(), draft);
        if dry_run {
            self.announce(&mut attempt);
            self.remember_restart(key, &attempt.request.cause, None);
            return self.close(key, &attempt.request);
        }
        let (attempt_id, is_forced) = (attempt.request.id, attempt.request.cause.is_forced());
        let decision = attempt.draft.clone();
        let last = self.dyno_mut(key).restarts.last.as_deref().map(KnownRestart::of);
        let app = key.app;
        self.effects.push(Effect::Claim { attempt_id, app, seen, is_forced, broken, last, decision });
        self.put(key, attempt);
    }

    pub(super) fn claimed(&mut self, id: AttemptId, answer: Result<(), ClaimRefusal>) {
        let (key, attempt) = match self.take(id) {
            Some((key, Attempt::Claiming(attempt))) => (key, attempt),
            Some((key, other)) => return self.put_back(key, other),
            None => return,
        };
        match answer {
            // A line, a person or the clock may have changed the facts since the store was asked.
            Ok(()) => match self.judge(key, &attempt.request.cause) {
                Err(hold) => self.withdraw(key, attempt, hold),
                Ok(()) => self.send_delete(key, attempt),
            },
            Err(ClaimRefusal::MaxRestarts { until }) => {
                let allowed = self.policy(key).max_restarts;
                self.leave(key, attempt, Hold::MaxRestarts { allowed, until });
            }
            Err(ClaimRefusal::Elsewhere { until, restarts }) => {
                self.elsewhere(key, attempt, until, &restarts);
            }
            Err(ClaimRefusal::FormationOut { dyno }) => {
                let allowed = self.policy(key).max_concurrent.get();
                let hold = Hold::FormationOut { dyno, state: DynoState::Other, allowed };
                self.wait(key, attempt, hold, None);
            }
            Err(ClaimRefusal::Paused { until, reason }) => {
                self.leave(key, attempt, Hold::Paused { until, reason });
            }
            Err(ClaimRefusal::StoreAway) => self.leave(key, attempt, Hold::StoreAway),
        }
    }

    /// Another replica restarts the dyno, or has restarted it. With a restart of which this process did not
    /// know, the error is judged once more.
    fn elsewhere(&mut self, key: DynoKey, attempt: Claiming, until: Timestamp, restarts: &[RestoredRestart]) {
        let known = |of: &Self| of.dynos.get(&key)?.restarts.last.as_deref().map(KnownRestart::of);
        let before = known(self);
        if !restarts.is_empty() {
            self.relearn(key, restarts, &attempt.request.cause);
        }
        let hold = Hold::ClaimedElsewhere { until };
        // Without anything new, the store would refuse again.
        if known(self) == before || until > self.now.wall || attempt.request.decided {
            self.leave(key, attempt, hold);
        } else if attempt.request.cause.is_manual() {
            self.wait(key, attempt, hold, Some(Duration::ZERO));
        } else {
            self.close(key, &attempt.request);
            self.admit(key, attempt.into_request().cause);
        }
    }

    /// Returns a claim: drops the attempt before anything was sent.
    fn withdraw(&mut self, key: DynoKey, attempt: Claiming, hold: Hold) {
        self.outcome(key, &attempt.request, RestartResult::Withdrawn);
        self.leave(key, attempt, hold);
    }

    /// Puts the decision to restart on record, unless it is there already.
    fn announce(&mut self, attempt: &mut Claiming) {
        attempt.request.decided = true;
        if let Some(draft) = attempt.draft.take() {
            self.record(Record::Decision(*draft));
        }
    }

    fn send_delete(&mut self, key: DynoKey, mut attempt: Claiming) {
        self.announce(&mut attempt);
        let (attempt_id, dyno) = (attempt.request.id, self.name(key));
        self.effects.push(Effect::Delete { attempt_id, app: key.app, dyno });
        self.put(key, attempt.restart(self.now.mono));
    }

    pub(super) fn deleted(&mut self, id: AttemptId, answer: DeleteResult) {
        let (key, attempt) = match self.take(id) {
            Some((key, Attempt::Restarting(attempt))) => (key, attempt),
            Some((key, other)) => return self.put_back(key, other),
            None => return,
        };
        match answer {
            DeleteResult::Accepted => {
                self.accepted(key, attempt.boot(), false);
                self.set_due(key, limits::POLL_MIN);
            }
            DeleteResult::Gone => {
                // The look has just shown it. Should it show it again, the API contradicts itself.
                self.refuse_for_a_while(key, denied());
                self.end(key, &attempt.request, RestartResult::Gone);
            }
            DeleteResult::Lost { .. } => {
                self.put(key, attempt.lose_answer());
                self.set_due(key, limits::POLL_MIN);
            }
            DeleteResult::Refused(error) => self.refused(key, attempt, error),
        }
    }

    /// The API did not carry it out and said why, or the request surely was not sent.
    fn refused(&mut self, key: DynoKey, mut attempt: Restarting, error: ApiError) {
        attempt.request.failed_inspections += 1;
        let tries = attempt.request.failed_inspections;
        let span = match &error {
            ApiError::Throttled { wait } => Some(self.throttled(*wait, tries)),
            ApiError::Unreachable { .. } if attempt.request.deletes < limits::DELETES_MAX => {
                Some(self.jitter.delay(limits::POLL_MIN, tries, limits::POLL_MAX))
            }
            _ => None,
        };
        let result = RestartResult::Refused(error.clone());
        if let Some(span) = span {
            self.outcome(key, &attempt.request, result);
            return self.wait(key, attempt, Hold::ApiError(error), Some(span));
        }
        if error.needs_person() {
            self.report_api_error_of(key.app, &error, true);
        }
        self.refuse_for_a_while(key, error);
        self.notice(key.app, Some(key), NoticeKind::RestartFailed(result.clone()));
        self.end(key, &attempt.request, result);
    }

    /// The API is not asked again for this dyno for a while, which grows with each refusal.
    fn refuse_for_a_while(&mut self, key: DynoKey, error: ApiError) {
        let now = self.now.mono;
        let dyno = self.dyno_mut(key);
        let last = dyno.refused.take().filter(|last| now.saturating_sub(last.at) < limits::REFUSED_FORGOTTEN);
        let tries = last.map_or(0, |last| last.tries);
        let wait = limits::REFUSED_WAITS[tries.min(limits::REFUSED_WAITS.len() - 1)];
        let until = now.saturating_add(wait);
        dyno.refused = Some(Box::new(Refused { error, tries: tries + 1, at: now, until }));
    }

    /// Waits for something other than the dyno, which keeps its place: for `known` if that is known, else
    /// with a back-off. The reason goes on record once.
    pub(super) fn wait(
        &mut self,
        key: DynoKey,
        attempt: impl Revocable,
        hold: Hold,
        known: Option<Duration>,
    ) {
        let request = attempt.request();
        let has_waited = self.now.mono.saturating_sub(request.placed);
        if request.cause.is_manual() && has_waited >= limits::ORDER_PATIENCE {
            return self.leave(key, attempt, hold);
        }
        let span = known.unwrap_or_else(|| {
            self.jitter.delay(limits::WAIT_MIN, attempt.request().waits, limits::WAIT_MAX)
        });
        let mut waiting = attempt.wait();
        let request = &mut waiting.request;
        request.is_decisive = known.is_some();
        let before = request.waiting_for.replace(hold.clone());
        if before.is_none_or(|before| before.label() != hold.label()) {
            let (cause, id) = (request.cause.clone(), request.id);
            self.decide(key, &cause, Action::Hold(hold), Some(id));
        }
        self.put(key, waiting);
        self.set_due(key, span);
    }

    /// Drops an attempt, with its reason.
    pub(super) fn leave(&mut self, key: DynoKey, attempt: impl Revocable, hold: Hold) {
        let request = attempt.into_request();
        let id = request.decided.then_some(request.id);
        self.decide(key, &request.cause, Action::Hold(hold), id);
        self.close(key, &request);
    }

    pub(super) fn end(&mut self, key: DynoKey, request: &Request, result: RestartResult) {
        self.outcome(key, request, result);
        self.close(key, request);
    }

    /// Ends the attempt and frees its place.
    pub(super) fn close(&mut self, key: DynoKey, request: &Request) {
        self.attempts.remove(&request.id);
        self.starved.remove(&key);
        let dyno = self.dyno_mut(key);
        dyno.attempt = None;
        if let Some(due) = dyno.due.take() {
            self.due.remove(&(due, key));
        }
        let formation = self.formation_mut(key);
        formation.active.retain(|index| *index != key.index);
        formation.queue.retain(|index| *index != key.index);
        formation.failed.retain(|index| *index != key.index);
        self.freed.insert((key.app, key.formation));
    }

    pub(super) fn outcome(&mut self, key: DynoKey, request: &Request, result: RestartResult) {
        let (at, dyno, attempt_id) = (self.now.wall, self.name(key), request.id);
        self.record(Record::Outcome(Outcome { at, app: key.app, dyno, attempt_id, result }));
    }

    /// Other dynos of the formation that may be out because of us.
    fn ours_out(&self, key: DynoKey) -> Vec<DynoName> {
        self.active_beside(key, Attempt::may_be_out).map(|other| self.name(other)).collect()
    }

    /// Other dynos of the formation whose restart failed, each with the time of its acceptance.
    fn failed_beside(&self, key: DynoKey) -> Vec<(DynoName, Timestamp)> {
        let formation = &self.app(key.app).formations[usize::from(key.formation)];
        let others = formation.failed.iter().map(|index| DynoKey { index: *index, ..key });
        let failed = others.filter_map(|other| match self.dynos.get(&other)?.attempt.as_deref() {
            Some(Attempt::Failed(failed)) if other != key => Some((self.name(other), failed.accepted)),
            _ => None,
        });
        let now = self.now.wall.max(self.platform_now());
        failed.map(|(name, accepted)| (name, earlier(now, self.ago(accepted)))).collect()
    }

    /// The time since a reading of the engine's clock.
    pub(super) fn ago(&self, at: SignedDuration) -> Duration {
        Duration::try_from(self.mono().saturating_sub(at)).unwrap_or_default()
    }

    fn active_beside(&self, key: DynoKey, is_so: impl Fn(&Attempt) -> bool) -> impl Iterator<Item = DynoKey> {
        let formation = &self.app(key.app).formations[usize::from(key.formation)];
        let others = formation.active.iter().map(move |index| DynoKey { index: *index, ..key });
        others.filter(move |other| {
            let attempt = self.dynos.get(other).and_then(|dyno| dyno.attempt.as_deref());
            *other != key && attempt.is_some_and(&is_so)
        })
    }

    pub(super) fn set_due(&mut self, key: DynoKey, span: Duration) {
        let at = self.now.mono.saturating_add(span);
        if let Some(before) = self.dyno_mut(key).due.replace(at) {
            self.due.remove(&(before, key));
        }
        self.due.insert((at, key));
    }

    /// Reports once that no dyno of an app can be restarted until the API answers again.
    /// Reports an error of a look at dynos once.
    pub(super) fn report_api_error(&mut self, app: AppId, error: &ApiError) {
        self.report_api_error_of(app, error, false);
    }

    fn report_api_error_of(&mut self, app: AppId, error: &ApiError, of_delete: bool) {
        let label = error.label();
        let before = self.app_mut(app).reported_api_error.replace(ReportedApiError { label, of_delete });
        if before.is_none_or(|before| before.label != label) {
            self.notice(app, None, NoticeKind::ApiError(error.clone()));
        }
    }

    /// The API showed dynos again.
    pub(super) fn report_api_recovered(&mut self, app: AppId) {
        self.report_recovered(app, false);
    }

    /// The API shows dynos again, or restarts them again.
    pub(super) fn report_recovered(&mut self, app: AppId, of_delete: bool) {
        let reported = &mut self.app_mut(app).reported_api_error;
        if reported.take_if(|reported| reported.of_delete == of_delete).is_some() {
            self.notice(app, None, NoticeKind::ApiRecovered);
        }
    }
}

/// What the API said of a dyno that it shows nevertheless.
fn denied() -> ApiError {
    let (id, message) = ("not_found".to_owned(), "it shows the dyno, and has none to restart".to_owned());
    ApiError::Refused { status: 404, id, message }
}

/// Whether the API shows that the process to be replaced is gone or has been replaced.
pub(super) fn is_replaced(target: &DynoInfo, seen: Option<&DynoInfo>) -> bool {
    seen.is_none_or(|seen| !target.is_same_process(seen))
}
