//! The life of an attempt: look, claim, restart, watch, settle.
//!
//! Each method is one thing that can happen; which of them can follow which is asserted by
//! [`Attempt`].

use std::time::Duration;

use crate::api::{ApiError, ClaimRefusal, DeleteResult, DynoInfo, FormationInfo};
use crate::engine::dyno::{Attempt, DynoKey, GivenUp, LastRestart, Phase, Unresolved};
use crate::engine::judge::{self, Inspection};
use crate::engine::{Effect, Engine};
use crate::event::DynoState;
use crate::ident::{AppId, DynoName};
use crate::limits;
use crate::record::{Action, AttemptId, Hold, NoticeKind, Outcome, Record, RestartResult};
use crate::time::later;

impl Engine {
    /// Gives free places of the `max_concurrent` to those who wait for them.
    pub(super) fn advance(&mut self) {
        while let Some((app, formation)) = self.freed.pop_first() {
            let key = DynoKey { app, formation, index: 0 };
            let places = self.policy(key).max_concurrent.get() as usize;
            while self.formation_mut(key).active.len() < places
                && let Some(index) = self.formation_mut(key).queue.pop_front()
            {
                self.formation_mut(key).active.push(index);
                self.inspect(DynoKey { index, ..key });
            }
        }
    }

    /// An attempt that waited for time goes on.
    pub(super) fn attempt_due(&mut self, key: DynoKey) {
        let Some(attempt) = self.attempt_mut(key) else { return };
        attempt.due = None;
        match attempt.phase {
            Phase::Waiting => self.inspect(key),
            Phase::Unconfirmed { .. } | Phase::Booting { .. } | Phase::Failed { .. } => self.poll(key),
            Phase::Settling => self.close(key),
            Phase::Queued | Phase::Inspecting | Phase::Claiming | Phase::Restarting { .. } => {}
        }
    }

    /// Judges once more, and asks the API for the dyno and its formation.
    fn inspect(&mut self, key: DynoKey) {
        self.starved.remove(&key);
        let Some(attempt) = self.attempt_mut(key) else { return };
        let cause = attempt.cause.clone();
        if let Err(hold) = self.judge(key, &cause) {
            return self.leave(key, hold);
        }
        if let Some(dyno) = self.failed_beside(key) {
            let span = self.wait_span(key);
            return self.wait(key, Hold::FormationFailed { dyno }, span);
        }
        let (now, settled_at) = (self.now, self.app(key.app).settled_at);
        if now.mono < settled_at {
            let span = settled_at - now.mono;
            return self.wait(key, Hold::Releasing { until: later(now.wall, span) }, span);
        }
        if let Err(span) = self.tokens.take(CALLS_OF_A_RESTART, now.mono) {
            let remaining = self.tokens.remaining(now.mono);
            self.starved.insert(key);
            return self.wait(key, Hold::ApiReserve { remaining }, span);
        }
        let (app, dyno) = (key.app, self.name(key));
        if let Some(attempt) = self.attempt_mut(key) {
            attempt.inspect();
            let attempt_id = attempt.attempt_id;
            self.effects.push(Effect::Inspect { attempt_id, app, dyno: Some(dyno) });
        }
    }

    /// The answer to a look.
    pub(super) fn inspected(&mut self, attempt_id: AttemptId, answer: Result<FormationInfo, ApiError>) {
        if let Some(open) = self.open_orders.remove(&attempt_id) {
            return self.ordered(open, answer);
        }
        let Some(&key) = self.attempts.get(&attempt_id) else { return };
        if self.attempt_mut(key).is_none_or(|attempt| attempt.phase != Phase::Inspecting) {
            return;
        }
        match answer {
            Err(error) => self.inspection_failed(key, error),
            Ok(view) => self.judge_view(key, &view),
        }
    }

    fn inspection_failed(&mut self, key: DynoKey, error: ApiError) {
        let Some(attempt) = self.attempt_mut(key) else { return };
        attempt.failed_inspections += 1;
        let tries = attempt.failed_inspections;
        match &error {
            ApiError::Throttled { wait } => {
                let span = self.throttled(*wait, tries);
                self.wait(key, Hold::ApiError(error), span);
            }
            ApiError::Unreachable { .. } if tries < limits::INSPECTIONS_MAX => {
                let span = self.jitter.delay(limits::POLL_MIN, tries - 1, limits::POLL_MAX);
                self.retry_inspection(key, span);
            }
            _ => {
                self.report_api_error(key.app, &error);
                self.leave(key, Hold::ApiError(error));
            }
        }
    }

    /// How long a 429 asks to wait.
    fn throttled(&mut self, wait: Option<Duration>, tries: u32) -> Duration {
        let asked = wait.unwrap_or_default().min(limits::THROTTLE_WAIT_MAX);
        let ours =
            self.jitter.delay(limits::THROTTLE_WAIT * 2, tries.saturating_sub(1), limits::THROTTLE_WAIT_MAX);
        if wait.is_some() { asked + self.jitter.delay(limits::POLL_MIN, 0, limits::POLL_MIN) } else { ours }
    }

    /// Judges by the API's answer, and goes on to the claim.
    fn judge_view(&mut self, key: DynoKey, view: &FormationInfo) {
        self.report_api_recovered(key.app);
        let name = self.name(key);
        let ours_out = self.ours_out(key);
        let Some(dyno) = self.dynos.get_mut(&key) else { return };
        dyno.seen.clone_from(&view.dyno);
        let Some(attempt) = &mut dyno.attempt else { return };
        attempt.failed_inspections = 0;
        let cause = attempt.cause.clone();
        if let Some(unresolved) = attempt.unresolved
            && self.is_resolved(key, view.dyno.as_ref())
        {
            return self.resolved(key, unresolved.sent, view.dyno.clone());
        }
        // Lines that came in while the API was asked may have changed what is known.
        if let Err(hold) = self.judge(key, &cause) {
            return self.leave(key, hold);
        }
        if let Some(dyno) = self.failed_beside(key) {
            let span = self.wait_span(key);
            return self.wait(key, Hold::FormationFailed { dyno }, span);
        }
        let (policy, cautious) = (self.policy(key), self.cautious_now());
        let sight = Inspection { cause: &cause, name: &name, policy, ours_out: &ours_out, view };
        match judge::by_view(&sight, cautious) {
            judge::Assessment::Leave(hold) => self.leave(key, hold),
            judge::Assessment::Wait(hold, known) => {
                let usual = self.wait_span(key);
                self.wait(key, hold, known.map_or(usual, |span| span.min(limits::WAIT_MAX)));
            }
            judge::Assessment::Go(seen, formation) => self.go(key, *seen, formation),
        }
    }

    /// Nothing is in the way: uses up a restart, and claims it.
    fn go(&mut self, key: DynoKey, seen: DynoInfo, formation: usize) {
        if let Err(hold) = self.end_giving_up(key, &seen) {
            return self.leave(key, hold);
        }
        let rate = self.policy(key).max_restarts;
        let now = self.now.mono;
        let Some(dyno) = self.dynos.get_mut(&key) else { return };
        let Some(attempt) = &mut dyno.attempt else { return };
        if !attempt.spent && !self.budget.take(&mut dyno.slots, rate, now) {
            return self.give_up(key);
        }
        attempt.spent = true;
        attempt.claim(seen.clone(), formation);
        let (attempt_id, is_manual) = (attempt.attempt_id, attempt.cause.is_manual());
        self.draft_decision(key);
        if self.app(key.app).plan.dry_run {
            self.decide_restart(key);
            self.remember_restart(key);
            return self.close(key);
        }
        let decision = self.attempt_mut(key).and_then(|attempt| attempt.draft.clone());
        self.effects.push(Effect::Claim { attempt_id, app: key.app, seen, is_manual, decision });
    }

    /// A given-up dyno may go on only under another release.
    pub(super) fn end_giving_up(&mut self, key: DynoKey, seen: &DynoInfo) -> Result<(), Hold> {
        let (now, heard) = (self.now.mono, self.app(key.app).releases_heard);
        let Some(dyno) = self.dynos.get_mut(&key) else { return Ok(()) };
        let Some(given_up) = &mut dyno.given_up else { return Ok(()) };
        let is_new_release =
            given_up.release.is_some() && seen.release.is_some() && given_up.release != seen.release;
        if now < given_up.until && !is_new_release {
            given_up.look_again = now.saturating_add(limits::GIVEN_UP_LOOK_EVERY);
            given_up.releases_heard = heard;
            return Err(Hold::GivenUp { until: given_up.until_at });
        }
        dyno.given_up = None;
        Ok(())
    }

    fn give_up(&mut self, key: DynoKey) {
        let (hold, told) = self.give_up_on(key);
        self.leave(key, hold);
        self.notice(key.app, Some(key), told);
    }

    /// From now on the dyno is left alone; says so to the record and to people.
    pub(super) fn give_up_on(&mut self, key: DynoKey) -> (Hold, NoticeKind) {
        let (now, heard) = (self.now, self.app(key.app).releases_heard);
        let (allowed, give_up_for) = (self.policy(key).max_restarts, self.policy(key).give_up_for);
        let until_at = later(now.wall, give_up_for);
        if let Some(dyno) = self.dynos.get_mut(&key) {
            dyno.given_up = Some(GivenUp {
                until: now.mono.saturating_add(give_up_for),
                until_at,
                release: dyno.seen.as_ref().and_then(|seen| seen.release),
                look_again: now.mono.saturating_add(limits::GIVEN_UP_LOOK_EVERY),
                releases_heard: heard,
            });
        }
        (Hold::MaxRestarts { allowed, until: until_at }, NoticeKind::GaveUp { allowed, until: until_at })
    }

    /// The answer to a claim.
    pub(super) fn claimed(&mut self, attempt_id: AttemptId, answer: Result<(), ClaimRefusal>) {
        let Some(&key) = self.attempts.get(&attempt_id) else { return };
        if self.attempt_mut(key).is_none_or(|attempt| attempt.phase != Phase::Claiming) {
            return;
        }
        match answer {
            Ok(()) => {
                let Some(cause) = self.attempt_mut(key).map(|attempt| attempt.cause.clone()) else { return };
                // A line, a person or the clock may have spoken while the store was asked.
                if let Err(hold) = self.judge(key, &cause) {
                    return self.withdraw(key, hold);
                }
                self.decide_restart(key);
                self.send_delete(key);
            }
            Err(ClaimRefusal::MaxRestarts) => self.give_up(key),
            Err(ClaimRefusal::Elsewhere { until }) => {
                self.refund(key);
                self.leave(key, Hold::ClaimedElsewhere { until });
            }
            Err(ClaimRefusal::FormationOut { dyno }) => {
                self.refund(key);
                let hold = Hold::FormationOut {
                    dyno,
                    state: DynoState::Other,
                    allowed: self.policy(key).max_concurrent.get(),
                };
                self.wait(key, hold, limits::WAIT_MIN);
            }
            Err(ClaimRefusal::StoreAway) => {
                self.refund(key);
                self.leave(key, Hold::StoreAway);
            }
        }
    }

    /// Gives a claim back that was given for nothing: the attempt is dropped before anything was sent.
    fn withdraw(&mut self, key: DynoKey, hold: Hold) {
        let is_resolved = self.attempt_mut(key).is_none_or(|attempt| attempt.unresolved.is_none());
        if is_resolved {
            self.refund(key);
            self.outcome(key, RestartResult::Withdrawn);
        }
        self.leave(key, hold);
    }

    /// Drafts the decision to restart, unless it is on record already.
    fn draft_decision(&mut self, key: DynoKey) {
        let dry_run = self.app(key.app).plan.dry_run;
        let Some(attempt) = self.attempt_mut(key).filter(|attempt| !attempt.decided) else { return };
        let (cause, attempt_id, formation) = (attempt.cause.clone(), attempt.attempt_id, attempt.formation);
        let draft = self.decision(key, &cause, Action::Restart { dry_run, formation }, Some(attempt_id));
        if let Some(attempt) = self.attempt_mut(key) {
            attempt.draft = Some(Box::new(draft));
        }
    }

    fn decide_restart(&mut self, key: DynoKey) {
        let Some(attempt) = self.attempt_mut(key) else { return };
        attempt.decided = true;
        if let Some(draft) = attempt.draft.take() {
            self.record(Record::Decision(*draft));
        }
    }

    fn send_delete(&mut self, key: DynoKey) {
        let (now, app, dyno) = (self.now.mono, key.app, self.name(key));
        let Some(attempt) = self.attempt_mut(key) else { return };
        attempt.restart(now);
        let attempt_id = attempt.attempt_id;
        self.effects.push(Effect::Delete { attempt_id, app, dyno });
    }

    /// What became of a DELETE.
    pub(super) fn deleted(&mut self, attempt_id: AttemptId, answer: DeleteResult) {
        let now = self.now.mono;
        let Some(&key) = self.attempts.get(&attempt_id) else { return };
        let Some(attempt) = self.attempt_mut(key) else { return };
        let Phase::Restarting { sent } = attempt.phase else { return };
        match answer {
            DeleteResult::Accepted => self.accepted(key, sent, false),
            // One sent before, whose answer was lost, may be what took it away.
            DeleteResult::Gone if attempt.unresolved.is_some() => self.resolved(key, sent, None),
            DeleteResult::Gone => {
                self.refund(key);
                self.end(key, RestartResult::Gone);
            }
            DeleteResult::Lost { .. } => {
                attempt.lose_answer(Unresolved { sent, lost: now });
                self.set_due(key, limits::POLL_MIN);
            }
            DeleteResult::Refused(error) => self.refused(key, error),
        }
    }

    /// The API did not do it, and said why: nothing is spent.
    fn refused(&mut self, key: DynoKey, error: ApiError) {
        self.refund(key);
        let Some(attempt) = self.attempt_mut(key) else { return };
        attempt.failed_inspections += 1;
        let tries = attempt.failed_inspections;
        let may_pass = matches!(error, ApiError::Throttled { .. } | ApiError::Unreachable { .. });
        if may_pass && attempt.deletes < limits::DELETES_MAX {
            let span = match &error {
                ApiError::Throttled { wait } => self.throttled(*wait, tries),
                _ => self.jitter.delay(limits::POLL_MIN, tries, limits::POLL_MAX),
            };
            self.outcome(key, RestartResult::Refused(error.clone()));
            return self.wait(key, Hold::ApiError(error), span);
        }
        if error.needs_person() {
            self.report_api_error(key.app, &error);
        }
        let result = RestartResult::Refused(error);
        self.notice(key.app, Some(key), NoticeKind::RestartFailed(result.clone()));
        self.end(key, result);
    }

    fn accepted(&mut self, key: DynoKey, sent: Duration, answer_lost: bool) {
        self.remember_restart(key);
        if let Some(attempt) = self.attempt_mut(key) {
            attempt.boot(sent);
        }
        self.outcome(key, RestartResult::Accepted { answer_lost });
        self.set_due(key, limits::POLL_MIN);
    }

    /// The cool-down runs from here, and so does what `max_restarts` counts: a restart took effect at some
    /// time before this, and what was used up at the decision would be free again too soon.
    fn remember_restart(&mut self, key: DynoKey) {
        let now = self.now;
        let (rate, cooldown) = (self.policy(key).max_restarts, self.policy(key).cooldown);
        let Some(dyno) = self.dynos.get_mut(&key) else { return };
        if let Some(attempt) = &mut dyno.attempt {
            if std::mem::replace(&mut attempt.spent, true) {
                self.budget.refund(&mut dyno.slots);
            }
            self.budget.count(&mut dyno.slots, rate, Duration::ZERO, now.mono);
        }
        dyno.last_restart = Some(LastRestart {
            accepted_at: now.wall,
            back_at: None,
            cool_at: now.mono.saturating_add(cooldown),
            counts_until: now.mono.saturating_add(rate.per),
            told_no_help: false,
            unread: None,
        });
        dyno.forget_errors();
    }

    /// Asks the API for the dyno alone.
    fn poll(&mut self, key: DynoKey) {
        self.starved.remove(&key);
        let now = self.now.mono;
        if let Err(span) = self.tokens.take(1, now) {
            self.starved.insert(key);
            return self.set_due(key, span);
        }
        let (app, dyno) = (key.app, self.name(key));
        if let Some(attempt) = self.attempt_mut(key) {
            attempt.ask();
            let attempt_id = attempt.attempt_id;
            self.effects.push(Effect::Poll { attempt_id, app, dyno });
        }
    }

    /// The answer to a peek.
    pub(super) fn polled(&mut self, attempt_id: AttemptId, answer: Result<Option<DynoInfo>, ApiError>) {
        let Some(&key) = self.attempts.get(&attempt_id) else { return };
        match &answer {
            Ok(seen) => {
                self.report_api_recovered(key.app);
                if let (Some(seen), Some(dyno)) = (seen, self.dynos.get_mut(&key)) {
                    dyno.seen = Some(seen.clone());
                }
            }
            Err(error) if error.needs_person() => self.report_api_error(key.app, error),
            Err(_) => {}
        }
        let Some(attempt) = self.attempt_mut(key) else { return };
        if !attempt.answered() {
            return;
        }
        match attempt.phase {
            Phase::Unconfirmed { sent, .. } => self.unconfirmed(key, sent, answer),
            Phase::Booting { accepted, .. } => self.booting(key, accepted, answer),
            Phase::Failed { accepted, .. } => self.failed(key, accepted, answer),
            _ => {}
        }
    }

    /// A DELETE's answer was lost: was it carried out?
    fn unconfirmed(&mut self, key: DynoKey, sent: Duration, answer: Result<Option<DynoInfo>, ApiError>) {
        let waited = self.now.mono.saturating_sub(sent);
        let is_late = waited >= self.policy(key).boot_timeout;
        match answer {
            Ok(seen) if self.is_resolved(key, seen.as_ref()) => self.resolved(key, sent, seen),
            Ok(_) => self.still_there(key, is_late),
            Err(_) if is_late => {
                // Nobody can say whether it was carried out, so everything is as if it had been; on record
                // too, for the next life of this process must count it as well.
                self.accepted(key, sent, true);
                self.fail(key, None);
            }
            Err(_) => self.poll_later(key),
        }
    }

    /// Whether a look shows that a DELETE without an answer was carried out.
    fn is_resolved(&mut self, key: DynoKey, seen: Option<&DynoInfo>) -> bool {
        seen.is_none_or(|seen| self.is_replaced(key, seen))
    }

    fn resolved(&mut self, key: DynoKey, sent: Duration, seen: Option<DynoInfo>) {
        match seen {
            None => {
                // Whether it was replaced before it was scaled away, nobody can say: as if it had been.
                self.remember_restart(key);
                self.end(key, RestartResult::Gone);
            }
            Some(seen) => {
                self.accepted(key, sent, true);
                self.booting(key, sent, Ok(Some(seen)));
            }
        }
    }

    /// The old instance is there after a DELETE without an answer. The request may be late, so it is asked
    /// again only after a while, and only if nothing else has come up; then all is judged from the start,
    /// for the formation may be another one by now.
    fn still_there(&mut self, key: DynoKey, is_late: bool) {
        let now = self.now.mono;
        let Some(attempt) = self.attempt_mut(key) else { return };
        let lost = attempt.unresolved.map_or(now, |unresolved| unresolved.lost);
        let left = limits::LOST_ANSWER_WAIT.saturating_sub(now.saturating_sub(lost));
        if !left.is_zero() {
            self.poll_later(key);
            return self.due_within(key, left);
        }
        let (tries, cause) = (attempt.deletes, attempt.cause.clone());
        if attempt.is_resumed || tries >= limits::DELETES_MAX || is_late {
            self.unanswered(key, tries);
        } else if self.judge(key, &cause).is_ok() {
            self.inspect(key);
        } else {
            self.poll_later(key);
        }
    }

    fn unanswered(&mut self, key: DynoKey, tries: u32) {
        self.refund(key);
        let result = RestartResult::Unanswered { tries };
        self.notice(key.app, Some(key), NoticeKind::RestartFailed(result.clone()));
        self.end(key, result);
    }

    /// A restart was accepted: is the new instance up?
    fn booting(&mut self, key: DynoKey, accepted: Duration, answer: Result<Option<DynoInfo>, ApiError>) {
        let out_for = self.now.mono.saturating_sub(accepted);
        let is_late = out_for >= self.policy(key).boot_timeout;
        match answer {
            Ok(Some(seen)) if seen.state == DynoState::Up && self.is_replaced(key, &seen) => {
                self.back(key, &seen, out_for, false);
            }
            Ok(None) if is_late => self.end(key, RestartResult::Gone),
            Ok(Some(seen)) if is_late => self.fail(key, Some(seen.state)),
            Err(_) if is_late => self.fail(key, None),
            Ok(_) | Err(_) => self.poll_later(key),
        }
    }

    fn back(&mut self, key: DynoKey, seen: &DynoInfo, out_for: Duration, late: bool) {
        let settle = self.policy(key).settle;
        if let Some(dyno) = self.dynos.get_mut(&key)
            && let Some(attempt) = &mut dyno.attempt
        {
            attempt.settle();
            if let Some(restart) = &mut dyno.last_restart {
                restart.back_at = Some(seen.in_state_since());
                restart.unread = Some(attempt.attempt_id);
            }
        }
        self.outcome(key, RestartResult::Back { id: seen.id, out_for, late });
        self.set_due(key, settle);
    }

    fn fail(&mut self, key: DynoKey, state: Option<DynoState>) {
        let waited = self.policy(key).boot_timeout;
        if let Some(attempt) = self.attempt_mut(key) {
            attempt.fail();
        }
        let result = RestartResult::NotBack { state, waited };
        self.outcome(key, result.clone());
        self.notice(key.app, Some(key), NoticeKind::RestartFailed(result));
        self.set_due(key, limits::FAILED_POLL_EVERY);
    }

    /// A restart failed, and the rest of the formation holds until its dyno is up, or gone, or was never
    /// replaced and has run on for a cool-down.
    fn failed(&mut self, key: DynoKey, accepted: Duration, answer: Result<Option<DynoInfo>, ApiError>) {
        let out_for = self.now.mono.saturating_sub(accepted);
        match answer {
            Ok(None) => self.end(key, RestartResult::Gone),
            Ok(Some(seen)) if seen.state == DynoState::Up && self.is_replaced(key, &seen) => {
                self.back(key, &seen, out_for, true);
            }
            Ok(Some(seen)) if seen.state == DynoState::Up && out_for >= self.policy(key).cooldown => {
                let tries = self.attempt_mut(key).map_or(0, |attempt| attempt.deletes);
                self.end(key, RestartResult::Unanswered { tries });
            }
            Ok(_) | Err(_) => self.set_due(key, limits::FAILED_POLL_EVERY),
        }
    }

    fn is_replaced(&mut self, key: DynoKey, seen: &DynoInfo) -> bool {
        self.attempt_mut(key)
            .and_then(|attempt| attempt.target.as_ref())
            .is_some_and(|target| !target.is_same_process(seen))
    }

    fn poll_later(&mut self, key: DynoKey) {
        let now = self.now.mono;
        let Some(attempt) = self.attempt_mut(key) else { return };
        let (polls, end) = match attempt.phase {
            Phase::Unconfirmed { sent, polls, .. } => (polls, sent),
            Phase::Booting { accepted, polls, .. } => (polls, accepted),
            _ => return,
        };
        let end = end.saturating_add(self.policy(key).boot_timeout);
        let span = self.jitter.delay(limits::POLL_MIN, polls, limits::POLL_MAX) * self.tokens.slowdown(now);
        // The last look comes at the end of the boot time, not up to a back-off later.
        let left = end.saturating_sub(now);
        self.set_due(key, if left.is_zero() { span } else { span.min(left) });
    }

    /// Waits for something beside the dyno, which keeps its place; what for goes on record once.
    fn wait(&mut self, key: DynoKey, hold: Hold, span: Duration) {
        let now = self.now.mono;
        let Some(attempt) = self.attempt_mut(key) else { return };
        if attempt.cause.is_manual() && now.saturating_sub(attempt.since) >= limits::ORDER_PATIENCE {
            return self.leave(key, hold);
        }
        attempt.wait();
        let is_told = attempt.waiting_for.as_ref().is_some_and(|told| told.label() == hold.label());
        attempt.waiting_for = Some(hold.clone());
        let (cause, attempt_id) = (attempt.cause.clone(), attempt.attempt_id);
        if !is_told {
            self.decide(key, &cause, Action::Hold(hold), Some(attempt_id));
        }
        self.set_due(key, span);
    }

    fn retry_inspection(&mut self, key: DynoKey, span: Duration) {
        if let Some(attempt) = self.attempt_mut(key) {
            attempt.wait();
            self.set_due(key, span);
        }
    }

    /// Drops an attempt, with its reason; but one of which a DELETE may yet be carried out is watched on.
    pub(super) fn leave(&mut self, key: DynoKey, hold: Hold) {
        let Some(attempt) = self.attempt_mut(key) else { return };
        if let Some(unresolved) = attempt.unresolved {
            attempt.lose_answer(unresolved);
            return self.poll_later(key);
        }
        let (cause, attempt_id, decided) = (attempt.cause.clone(), attempt.attempt_id, attempt.decided);
        self.decide(key, &cause, Action::Hold(hold), decided.then_some(attempt_id));
        self.close(key);
    }

    fn end(&mut self, key: DynoKey, result: RestartResult) {
        self.outcome(key, result);
        self.close(key);
    }

    /// The attempt is over, and its place is free.
    fn close(&mut self, key: DynoKey) {
        let Some(attempt) = self.dynos.get_mut(&key).and_then(|dyno| dyno.attempt.take()) else { return };
        self.attempts.remove(&attempt.attempt_id);
        self.starved.remove(&key);
        if let Some(due) = attempt.due {
            self.due.remove(&(due, key));
        }
        let formation = self.formation_mut(key);
        formation.active.retain(|index| *index != key.index);
        formation.queue.retain(|index| *index != key.index);
        self.freed.insert((key.app, key.formation));
    }

    fn refund(&mut self, key: DynoKey) {
        if let Some(dyno) = self.dynos.get_mut(&key)
            && let Some(attempt) = &mut dyno.attempt
            && std::mem::take(&mut attempt.spent)
        {
            self.budget.refund(&mut dyno.slots);
        }
    }

    fn outcome(&mut self, key: DynoKey, result: RestartResult) {
        let dyno = self.name(key);
        let at = self.now.wall;
        let Some(attempt) = self.attempt_mut(key) else { return };
        let attempt_id = attempt.attempt_id;
        self.record(Record::Outcome(Outcome { at, app: key.app, dyno, attempt_id, result }));
    }

    /// Other dynos of the formation that may be out because of us.
    fn ours_out(&self, key: DynoKey) -> Vec<DynoName> {
        let formation = &self.app(key.app).formations[usize::from(key.formation)];
        formation
            .active
            .iter()
            .map(|index| DynoKey { index: *index, ..key })
            .filter(|other| *other != key)
            .filter(|other| {
                let attempt = self.dynos.get(other).and_then(|dyno| dyno.attempt.as_ref());
                attempt.is_some_and(Attempt::may_be_out)
            })
            .map(|other| self.name(other))
            .collect()
    }

    /// Another dyno of the formation whose restart failed: until it is up no other goes, however many
    /// places there are, for what kept it from booting may keep them all from it.
    fn failed_beside(&self, key: DynoKey) -> Option<DynoName> {
        let formation = &self.app(key.app).formations[usize::from(key.formation)];
        let others = formation.active.iter().map(|index| DynoKey { index: *index, ..key });
        let failed = others.filter(|other| *other != key).find(|other| {
            let attempt = self.dynos.get(other).and_then(|dyno| dyno.attempt.as_ref());
            attempt.is_some_and(|attempt| matches!(attempt.phase, Phase::Failed { .. }))
        });
        failed.map(|other| self.name(other))
    }

    fn wait_span(&mut self, key: DynoKey) -> Duration {
        let waits = self.attempt_mut(key).map_or(0, |attempt| attempt.waits);
        self.jitter.delay(limits::WAIT_MIN, waits, limits::WAIT_MAX)
    }

    pub(super) fn set_due(&mut self, key: DynoKey, span: Duration) {
        let at = self.now.mono.saturating_add(span);
        let Some(attempt) = self.attempt_mut(key) else { return };
        if let Some(before) = attempt.due.replace(at) {
            self.due.remove(&(before, key));
        }
        self.due.insert((at, key));
    }

    /// Brings forward what is due later than that.
    fn due_within(&mut self, key: DynoKey, span: Duration) {
        let at = self.now.mono.saturating_add(span);
        if self.attempt_mut(key).and_then(|attempt| attempt.due).is_some_and(|due| due > at) {
            self.set_due(key, span);
        }
    }

    /// Tells people, once, that nothing can be done for an app until the API is seen again.
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

/// Two looks and a DELETE.
pub(super) const CALLS_OF_A_RESTART: u32 = 3;
