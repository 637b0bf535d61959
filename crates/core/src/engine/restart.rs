//! An attempt up to the DELETE: queue, inspection, claim, request.
//!
//! A step takes the attempt, in the type of its state, out of its dyno, and puts the next state back.
//! [`boot`](super::boot) has the steps after a DELETE.

use std::time::Duration;

use crate::api::{ApiError, ClaimRefusal, DeleteResult, DynoInfo, FormationInfo};
use crate::engine::attempt::{
    Attempt, Claiming, Inspectable, Inspecting, Left, Request, Restarting, Revocable,
};
use crate::engine::dyno::{DynoKey, GivenUp};
use crate::engine::judge::{self, Assessment, Inspection};
use crate::engine::{Effect, Engine};
use crate::event::DynoState;
use crate::ident::{AppId, DynoName};
use crate::limits;
use crate::policy::verdict::{Bounds, History, Refusal, verdict};
use crate::record::hold::Hold;
use crate::record::{Action, AttemptId, NoticeKind, Outcome, Record, RestartResult};
use crate::time::later;

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
                match self.dyno_mut(key).attempt.take() {
                    Some(Attempt::Queued(queued)) => self.inspect(key, queued),
                    other => panic!("advance: {key:?} waits for a place as {other:?}"),
                }
            }
        }
    }

    /// Continues an attempt whose time has come.
    pub(super) fn attempt_due(&mut self, key: DynoKey) {
        let dyno = self.dyno_mut(key);
        dyno.due = None;
        match dyno.attempt.take() {
            Some(Attempt::Waiting(waiting)) => self.inspect(key, waiting),
            Some(Attempt::Unconfirmed(unconfirmed)) => self.poll(key, unconfirmed),
            Some(Attempt::Booting(booting)) => self.poll(key, booting),
            Some(Attempt::Failed(failed)) => self.poll(key, failed),
            Some(Attempt::Settling(settling)) => self.close(key, &settling.request),
            // These wait for an answer, which continues them.
            answered @ (Some(
                Attempt::Queued(_) | Attempt::Inspecting(_) | Attempt::Claiming(_) | Attempt::Restarting(_),
            )
            | None) => self.dyno_mut(key).attempt = answered,
        }
    }

    /// Takes the attempt that an answer belongs to out of its dyno; none if the answer is too late.
    pub(super) fn take(&mut self, id: AttemptId) -> Option<(DynoKey, Attempt)> {
        let key = self.attempts.get(&id).copied();
        let taken = key.and_then(|key| self.dyno_mut(key).attempt.take().map(|attempt| (key, attempt)));
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
        self.dyno_mut(key).attempt = Some(attempt.into());
    }

    /// Judges again, and asks the API for the dyno and its formation.
    pub(super) fn inspect(&mut self, key: DynoKey, attempt: impl Inspectable) {
        self.starved.remove(&key);
        if let Err(hold) = self.judge(key, &attempt.request().cause) {
            return self.leave(key, attempt, hold);
        }
        if let Some(dyno) = self.failed_beside(key) {
            let span = self.wait_span(attempt.request());
            return self.wait(key, attempt, Hold::FormationFailed { dyno }, span);
        }
        let (now, settled_at) = (self.now, self.app(key.app).settled_at);
        if now.mono < settled_at {
            let span = settled_at - now.mono;
            return self.wait(key, attempt, Hold::Releasing { until: later(now.wall, span) }, span);
        }
        if let Err(span) = self.tokens.take(CALLS_OF_A_RESTART, now.mono) {
            let remaining = self.tokens.remaining(now.mono);
            self.starved.insert(key);
            return self.wait(key, attempt, Hold::ApiReserve { remaining }, span);
        }
        let attempt = attempt.inspect();
        let (attempt_id, dyno) = (attempt.request.id, self.name(key));
        self.effects.push(Effect::Inspect { attempt_id, app: key.app, dyno: Some(dyno) });
        self.put(key, attempt);
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
                self.wait(key, attempt, Hold::ApiError(error), span);
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
        self.dyno_mut(key).seen.clone_from(&view.dyno);
        attempt.request.failed_inspections = 0;
        if let Some(lost) = attempt.lost.take_if(|lost| is_replaced(&lost.target, view.dyno.as_ref())) {
            return match &view.dyno {
                None => self.gone_unconfirmed(key, attempt.request),
                Some(seen) => self.found_carried_out(key, attempt.boot(lost), seen.clone()),
            };
        }
        // Lines that arrived since the API was asked may have changed the facts.
        if let Err(hold) = self.judge(key, &attempt.request.cause) {
            return self.leave(key, attempt, hold);
        }
        if let Some(dyno) = self.failed_beside(key) {
            let span = self.wait_span(&attempt.request);
            return self.wait(key, attempt, Hold::FormationFailed { dyno }, span);
        }
        let (name, ours_out) = (self.name(key), self.ours_out(key));
        let inspection = Inspection {
            cause: &attempt.request.cause,
            name: &name,
            policy: self.policy(key),
            ours_out: &ours_out,
            view,
        };
        match judge::by_view(&inspection, self.cautious_now()) {
            Assessment::Leave(hold) => self.leave(key, attempt, hold),
            Assessment::Wait(hold, known) => {
                let usual = self.wait_span(&attempt.request);
                self.wait(key, attempt, hold, known.map_or(usual, |span| span.min(limits::WAIT_MAX)));
            }
            Assessment::Go(seen, formation) => self.go(key, attempt, *seen, formation),
        }
    }

    /// Nothing is in the way: asks for the claim.
    fn go(&mut self, key: DynoKey, attempt: Inspecting, seen: DynoInfo, formation: usize) {
        if let Err(hold) = self.end_giving_up(key, &seen) {
            return self.leave(key, attempt, hold);
        }
        if self.is_used_up(key) {
            return self.give_up(key, attempt);
        }
        let dry_run = self.app(key.app).plan.dry_run;
        let request = &attempt.request;
        let draft = (!request.decided).then(|| {
            let action = Action::Restart { dry_run, formation };
            Box::new(self.decision(key, &request.cause, action, Some(request.id)))
        });
        let mut attempt = attempt.claim(seen.clone(), draft);
        if dry_run {
            self.announce(&mut attempt);
            self.remember_restart(key);
            return self.close(key, &attempt.request);
        }
        let (attempt_id, is_manual) = (attempt.request.id, attempt.request.cause.is_manual());
        let decision = attempt.draft.clone();
        self.effects.push(Effect::Claim { attempt_id, app: key.app, seen, is_manual, decision });
        self.put(key, attempt);
    }

    /// Whether `max_restarts` allows this dyno no restart now.
    pub(super) fn is_used_up(&mut self, key: DynoKey) -> bool {
        let (bounds, now) = (Bounds::from(self.policy(key)), self.mono());
        let history = History { accepted: self.dyno_mut(key).restarts.as_slice(), ..History::default() };
        verdict(&history, &bounds, now) == Err(Refusal::MaxRestarts)
    }

    /// A given-up dyno may continue only under another release.
    pub(super) fn end_giving_up(&mut self, key: DynoKey, seen: &DynoInfo) -> Result<(), Hold> {
        let (now, releases) = (self.now.mono, self.app(key.app).releases_seen);
        let dyno = self.dyno_mut(key);
        let Some(given_up) = &mut dyno.given_up else { return Ok(()) };
        let is_new_release =
            given_up.release.is_some() && seen.release.is_some() && given_up.release != seen.release;
        if now < given_up.until && !is_new_release {
            given_up.look_again = now.saturating_add(limits::GIVEN_UP_LOOK_EVERY);
            given_up.releases_seen = releases;
            return Err(Hold::GivenUp { until: given_up.until_at });
        }
        dyno.given_up = None;
        Ok(())
    }

    fn give_up(&mut self, key: DynoKey, attempt: impl Revocable) {
        let (hold, notice) = self.give_up_on(key);
        self.leave(key, attempt, hold);
        self.notice(key.app, Some(key), notice);
    }

    /// Gives up on the dyno. Returns the reason and the notice.
    pub(super) fn give_up_on(&mut self, key: DynoKey) -> (Hold, NoticeKind) {
        let (now, releases) = (self.now, self.app(key.app).releases_seen);
        let (allowed, give_up_for) = (self.policy(key).max_restarts, self.policy(key).give_up_for);
        let until_at = later(now.wall, give_up_for);
        let dyno = self.dyno_mut(key);
        dyno.given_up = Some(GivenUp {
            until: now.mono.saturating_add(give_up_for),
            until_at,
            release: dyno.seen.as_ref().and_then(|seen| seen.release),
            look_again: now.mono.saturating_add(limits::GIVEN_UP_LOOK_EVERY),
            releases_seen: releases,
        });
        (Hold::MaxRestarts { allowed, until: until_at }, NoticeKind::GaveUp { allowed, until: until_at })
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
            Err(ClaimRefusal::MaxRestarts) => self.give_up(key, attempt),
            Err(ClaimRefusal::Elsewhere { until }) => {
                self.leave(key, attempt, Hold::ClaimedElsewhere { until });
            }
            Err(ClaimRefusal::FormationOut { dyno }) => {
                let allowed = self.policy(key).max_concurrent.get();
                let hold = Hold::FormationOut { dyno, state: DynoState::Other, allowed };
                self.wait(key, attempt, hold, limits::WAIT_MIN);
            }
            Err(ClaimRefusal::StoreAway) => self.leave(key, attempt, Hold::StoreAway),
        }
    }

    /// Returns a claim: drops the attempt before anything was sent.
    fn withdraw(&mut self, key: DynoKey, attempt: Claiming, hold: Hold) {
        if attempt.lost.is_none() {
            self.outcome(key, &attempt.request, RestartResult::Withdrawn);
        }
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
            // An earlier DELETE whose answer was lost may have removed it.
            DeleteResult::Gone if attempt.lost.is_some() => self.gone_unconfirmed(key, attempt.request),
            DeleteResult::Gone => self.end(key, &attempt.request, RestartResult::Gone),
            DeleteResult::Lost { .. } => {
                self.put(key, attempt.lose_answer(self.now.mono));
                self.set_due(key, limits::POLL_MIN);
            }
            DeleteResult::Refused(error) => self.refused(key, attempt, error),
        }
    }

    /// The API did not carry it out and said why.
    fn refused(&mut self, key: DynoKey, mut attempt: Restarting, error: ApiError) {
        attempt.request.failed_inspections += 1;
        let tries = attempt.request.failed_inspections;
        let may_pass = matches!(error, ApiError::Throttled { .. } | ApiError::Unreachable { .. });
        if may_pass && attempt.request.deletes < limits::DELETES_MAX {
            let span = match &error {
                ApiError::Throttled { wait } => self.throttled(*wait, tries),
                _ => self.jitter.delay(limits::POLL_MIN, tries, limits::POLL_MAX),
            };
            self.outcome(key, &attempt.request, RestartResult::Refused(error.clone()));
            return self.wait(key, attempt, Hold::ApiError(error), span);
        }
        if error.needs_person() {
            self.report_api_error(key.app, &error);
        }
        let result = RestartResult::Refused(error);
        self.notice(key.app, Some(key), NoticeKind::RestartFailed(result.clone()));
        self.end(key, &attempt.request, result);
    }

    /// Waits for something other than the dyno, which keeps its place. The reason goes on record once.
    pub(super) fn wait(&mut self, key: DynoKey, attempt: impl Revocable, hold: Hold, span: Duration) {
        let request = attempt.request();
        let has_waited = self.now.mono.saturating_sub(request.since);
        if request.cause.is_manual() && has_waited >= limits::ORDER_PATIENCE {
            return self.leave(key, attempt, hold);
        }
        let mut waiting = attempt.wait();
        let request = &mut waiting.request;
        let before = request.waiting_for.replace(hold.clone());
        if before.is_none_or(|before| before.label() != hold.label()) {
            let (cause, id) = (request.cause.clone(), request.id);
            self.decide(key, &cause, Action::Hold(hold), Some(id));
        }
        self.put(key, waiting);
        self.set_due(key, span);
    }

    /// Drops an attempt, with its reason. If a DELETE of it may still be carried out, it is polled instead.
    pub(super) fn leave(&mut self, key: DynoKey, attempt: impl Revocable, hold: Hold) {
        match attempt.leave() {
            Left::Unconfirmed(unconfirmed) => self.poll_later(key, unconfirmed),
            Left::Over(request) => {
                let id = request.decided.then_some(request.id);
                self.decide(key, &request.cause, Action::Hold(hold), id);
                self.close(key, &request);
            }
        }
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

    /// Another dyno of the formation whose restart failed. No other dyno is restarted until it is up, however
    /// many places are free: the same cause may keep all of them from booting.
    fn failed_beside(&self, key: DynoKey) -> Option<DynoName> {
        let failed = |attempt: &Attempt| matches!(attempt, Attempt::Failed(_));
        self.active_beside(key, failed).next().map(|other| self.name(other))
    }

    fn active_beside(&self, key: DynoKey, is_so: impl Fn(&Attempt) -> bool) -> impl Iterator<Item = DynoKey> {
        let formation = &self.app(key.app).formations[usize::from(key.formation)];
        let others = formation.active.iter().map(move |index| DynoKey { index: *index, ..key });
        others.filter(move |other| {
            let attempt = self.dynos.get(other).and_then(|dyno| dyno.attempt.as_ref());
            *other != key && attempt.is_some_and(&is_so)
        })
    }

    fn wait_span(&mut self, request: &Request) -> Duration {
        self.jitter.delay(limits::WAIT_MIN, request.waits, limits::WAIT_MAX)
    }

    pub(super) fn set_due(&mut self, key: DynoKey, span: Duration) {
        let at = self.now.mono.saturating_add(span);
        if let Some(before) = self.dyno_mut(key).due.replace(at) {
            self.due.remove(&(before, key));
        }
        self.due.insert((at, key));
    }

    /// Reports once that no dyno of an app can be restarted until the API answers again.
    pub(super) fn report_api_error(&mut self, app: AppId, error: &ApiError) {
        let label = error.label();
        if self.app_mut(app).reported_api_error.replace(label) != Some(label) {
            self.notice(app, None, NoticeKind::ApiError(error.clone()));
        }
    }

    pub(super) fn report_api_recovered(&mut self, app: AppId) {
        if self.app_mut(app).reported_api_error.take().is_some() {
            self.notice(app, None, NoticeKind::ApiRecovered);
        }
    }
}

/// Whether the API shows that the process to be replaced is gone or has been replaced.
pub(super) fn is_replaced(target: &DynoInfo, seen: Option<&DynoInfo>) -> bool {
    seen.is_none_or(|seen| !target.is_same_process(seen))
}

/// Two inspections and a DELETE.
pub(super) const CALLS_OF_A_RESTART: u32 = 3;
