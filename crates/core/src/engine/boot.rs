//! An attempt after the DELETE: was it carried out, is the new instance up, has it settled?

use std::time::Duration;

use crate::api::{ApiError, DynoInfo};
use crate::engine::attempt::{Attempt, Booting, Failed, Polling, Request, Restarted, Unconfirmed};
use crate::engine::dyno::{DynoKey, LastRestart};
use crate::engine::restart::is_replaced;
use crate::engine::{Effect, Engine};
use crate::event::DynoState;
use crate::limits;
use crate::record::{AttemptId, NoticeKind, RestartResult};

impl Engine {
    pub(super) fn accepted(&mut self, key: DynoKey, booting: Booting, answer_lost: bool) {
        self.remember_restart(key);
        self.outcome(key, &booting.request, RestartResult::Accepted { answer_lost });
        self.put(key, booting);
    }

    /// The cool-down and `max_restarts` count from the acceptance: the restart took effect at some time
    /// before.
    pub(super) fn remember_restart(&mut self, key: DynoKey) {
        let (wall, now, rate) = (self.now.wall, self.mono(), self.policy(key).max_restarts);
        let dyno = self.dyno_mut(key);
        dyno.restarts.add(now, rate, now);
        dyno.last_restart = Some(LastRestart {
            accepted_at: wall,
            back_at: None,
            accepted: now,
            reported_no_help: false,
            unread: None,
        });
        dyno.forget_errors();
    }

    /// Asks the API for the dyno only.
    pub(super) fn poll(&mut self, key: DynoKey, mut attempt: impl Polled) {
        self.starved.remove(&key);
        if let Err(span) = self.tokens.take(1, self.now.mono) {
            self.starved.insert(key);
            self.put(key, attempt);
            return self.set_due(key, span);
        }
        attempt.polling().ask();
        let (attempt_id, dyno) = (attempt.request().id, self.name(key));
        self.effects.push(Effect::Poll { attempt_id, app: key.app, dyno });
        self.put(key, attempt);
    }

    pub(super) fn polled(&mut self, id: AttemptId, answer: Result<Option<DynoInfo>, ApiError>) {
        let Some((key, attempt)) = self.take(id) else { return };
        match &answer {
            Ok(seen) => {
                self.report_api_recovered(key.app);
                if let Some(seen) = seen {
                    self.dyno_mut(key).seen = Some(seen.clone());
                }
            }
            Err(error) if error.needs_person() => self.report_api_error(key.app, error),
            Err(_) => {}
        }
        match attempt {
            Attempt::Unconfirmed(mut attempt) if attempt.polling.is_out => {
                attempt.polling.is_out = false;
                self.unconfirmed(key, attempt, answer);
            }
            Attempt::Booting(mut attempt) if attempt.polling.is_out => {
                attempt.polling.is_out = false;
                self.booting(key, attempt, answer);
            }
            Attempt::Failed(mut attempt) if attempt.polling.is_out => {
                attempt.polling.is_out = false;
                self.failed(key, attempt, answer);
            }
            other => self.put_back(key, other),
        }
    }

    /// A DELETE's answer was lost: was it carried out?
    fn unconfirmed(
        &mut self,
        key: DynoKey,
        attempt: Unconfirmed,
        answer: Result<Option<DynoInfo>, ApiError>,
    ) {
        let waited = self.now.mono.saturating_sub(attempt.lost.sent);
        let is_late = waited >= self.policy(key).boot_timeout;
        match answer {
            Ok(None) => self.gone_unconfirmed(key, attempt.request),
            Ok(Some(seen)) if is_replaced(&attempt.lost.target, Some(&seen)) => {
                self.found_carried_out(key, attempt.boot(), seen);
            }
            Ok(Some(_)) => self.still_there(key, attempt, is_late),
            Err(_) if is_late => {
                // Whether the DELETE was carried out is unknown, so it counts as carried out. That goes on
                // record, because the next process must count it as well.
                let booting = attempt.boot();
                self.accepted(key, booting.clone(), true);
                self.fail(key, booting, None);
            }
            Err(_) => self.poll_later(key, attempt),
        }
    }

    /// The API shows another instance after a DELETE without an answer.
    pub(super) fn found_carried_out(&mut self, key: DynoKey, booting: Booting, seen: DynoInfo) {
        self.accepted(key, booting.clone(), true);
        self.booting(key, booting, Ok(Some(seen)));
    }

    /// The dyno is gone after a DELETE without an answer. It may have been replaced before it was scaled
    /// away, so it counts as replaced.
    pub(super) fn gone_unconfirmed(&mut self, key: DynoKey, request: Request) {
        self.remember_restart(key);
        self.end(key, &request, RestartResult::Gone);
    }

    /// The old instance is there after a DELETE without an answer. The request may be late, so it is sent
    /// again only after a while, and only if no new instance has come up. Then everything is judged from the
    /// start, because the formation may have changed.
    fn still_there(&mut self, key: DynoKey, attempt: Unconfirmed, is_late: bool) {
        let left = limits::LOST_ANSWER_WAIT.saturating_sub(self.now.mono.saturating_sub(attempt.lost.lost));
        if !left.is_zero() {
            self.poll_later(key, attempt);
            return self.due_within(key, left);
        }
        let request = &attempt.request;
        if request.is_resumed || request.deletes >= limits::DELETES_MAX || is_late {
            let result = RestartResult::Unanswered { tries: request.deletes };
            self.notice(key.app, Some(key), NoticeKind::RestartFailed(result.clone()));
            self.end(key, &attempt.request, result);
        } else if self.judge(key, &attempt.request.cause).is_ok() {
            self.inspect(key, attempt);
        } else {
            self.poll_later(key, attempt);
        }
    }

    /// A restart was accepted: is the new instance up?
    fn booting(&mut self, key: DynoKey, attempt: Booting, answer: Result<Option<DynoInfo>, ApiError>) {
        let out_for = self.now.mono.saturating_sub(attempt.accepted);
        let is_late = out_for >= self.policy(key).boot_timeout;
        match answer {
            Ok(Some(seen)) if is_up_anew(&attempt.target, &seen) => {
                self.back(key, attempt, &seen, (out_for, false));
            }
            Ok(None) if is_late => self.end(key, &attempt.request, RestartResult::Gone),
            Ok(Some(seen)) if is_late => self.fail(key, attempt, Some(seen.state)),
            Err(_) if is_late => self.fail(key, attempt, None),
            Ok(_) | Err(_) => self.poll_later(key, attempt),
        }
    }

    fn back(
        &mut self,
        key: DynoKey,
        attempt: impl Restarted,
        seen: &DynoInfo,
        (out_for, late): (Duration, bool),
    ) {
        let settling = attempt.settle();
        if let Some(restart) = &mut self.dyno_mut(key).last_restart {
            restart.back_at = Some(seen.in_state_since());
            restart.unread = Some(settling.request.id);
        }
        self.outcome(key, &settling.request, RestartResult::Back { id: seen.id, out_for, late });
        self.put(key, settling);
        self.set_due(key, self.policy(key).settle);
    }

    fn fail(&mut self, key: DynoKey, attempt: Booting, state: Option<DynoState>) {
        let result = RestartResult::NotBack { state, waited: self.policy(key).boot_timeout };
        self.outcome(key, &attempt.request, result.clone());
        self.notice(key.app, Some(key), NoticeKind::RestartFailed(result));
        self.put(key, attempt.fail());
        self.set_due(key, limits::FAILED_POLL_EVERY);
    }

    /// A restart failed. The rest of the formation holds until the dyno is up, or gone, or was never replaced
    /// and has run on for a cool-down.
    fn failed(&mut self, key: DynoKey, attempt: Failed, answer: Result<Option<DynoInfo>, ApiError>) {
        let out_for = self.now.mono.saturating_sub(attempt.accepted);
        match answer {
            Ok(None) => self.end(key, &attempt.request, RestartResult::Gone),
            Ok(Some(seen)) if is_up_anew(&attempt.target, &seen) => {
                self.back(key, attempt, &seen, (out_for, true));
            }
            Ok(Some(seen)) if seen.state == DynoState::Up && out_for >= self.policy(key).cooldown => {
                let tries = attempt.request.deletes;
                self.end(key, &attempt.request, RestartResult::Unanswered { tries });
            }
            Ok(_) | Err(_) => {
                self.put(key, attempt);
                self.set_due(key, limits::FAILED_POLL_EVERY);
            }
        }
    }

    /// Polls again after a back-off, and at the end of the boot time at the latest.
    pub(super) fn poll_later(&mut self, key: DynoKey, mut attempt: impl Timed) {
        let now = self.now.mono;
        let end = attempt.since().saturating_add(self.policy(key).boot_timeout);
        let polls = attempt.polling().count;
        let span = self.jitter.delay(limits::POLL_MIN, polls, limits::POLL_MAX) * self.tokens.slowdown(now);
        let left = end.saturating_sub(now);
        self.put(key, attempt);
        self.set_due(key, if left.is_zero() { span } else { span.min(left) });
    }

    /// Brings forward a deadline that is later than that.
    fn due_within(&mut self, key: DynoKey, span: Duration) {
        let at = self.now.mono.saturating_add(span);
        if self.dyno_mut(key).due.is_some_and(|due| due > at) {
            self.set_due(key, span);
        }
    }
}

fn is_up_anew(target: &DynoInfo, seen: &DynoInfo) -> bool {
    seen.state == DynoState::Up && is_replaced(target, Some(seen))
}

/// A state in which the dyno is polled.
pub(super) trait Polled: Into<Attempt> {
    fn request(&self) -> &Request;
    fn polling(&mut self) -> &mut Polling;
}

/// A polled state with an end: the boot time after the DELETE.
pub(super) trait Timed: Polled {
    fn since(&self) -> Duration;
}

macro_rules! polled {
    ($($state:ident)+) => {$(
        impl Polled for $state {
            fn request(&self) -> &Request {
                &self.request
            }

            fn polling(&mut self) -> &mut Polling {
                &mut self.polling
            }
        }
    )+};
}

polled! { Unconfirmed Booting Failed }

impl Timed for Unconfirmed {
    fn since(&self) -> Duration {
        self.lost.sent
    }
}

impl Timed for Booting {
    fn since(&self) -> Duration {
        self.accepted
    }
}
