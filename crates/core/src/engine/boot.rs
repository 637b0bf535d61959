//! An attempt after the DELETE: was it carried out, is the new instance up, has it settled?

use std::time::Duration;

use jiff::SignedDuration;

use crate::api::{ApiError, DynoInfo};
use crate::engine::attempt::{
    Attempt, Booting, Failed, Fallible, Polling, Request, Restarted, Settling, Unconfirmed,
};
use crate::engine::dyno::{DynoKey, ErrorSpell};
use crate::engine::quota::Purpose;
use crate::engine::restart::is_replaced;
use crate::engine::{Effect, Engine};
use crate::event::{Change, DynoState};
use crate::limits;
use crate::policy::verdict::Bounds;
use crate::record::usefulness::Usefulness;
use crate::record::{AttemptId, NoticeKind, RestartResult};
use crate::time::{on_axis, since};

impl Engine {
    pub(super) fn accepted(&mut self, key: DynoKey, booting: Booting, answer_lost: bool) {
        let dyno = self.dyno_mut(key);
        let spell = dyno.spell.take();
        // A resumed restart may be the first that shows the present release.
        dyno.restarts.under_release(booting.target.release);
        self.remember_restart(key, &booting.request.cause, Some(booting.request.id));
        if answer_lost {
            // The errors since the request are those after the restart.
            let sent = Duration::try_from(booting.accepted).unwrap_or_default();
            let spell = spell.filter(|spell| spell.last > sent);
            self.dyno_mut(key).spell =
                spell.map(|spell| Box::new(ErrorSpell { since: sent, reported: None, ..*spell }));
        } else {
            let now = self.platform_now();
            self.dyno_mut(key).process_begins(now);
            self.report_recovered(key.app, true);
        }
        self.outcome(key, &booting.request, RestartResult::Accepted { answer_lost });
        self.put(key, booting);
    }

    /// Asks the API for the dyno only.
    pub(super) fn poll(&mut self, key: DynoKey, mut attempt: impl Polled) {
        self.starved.remove(&key);
        let is_own = attempt.polling().count < limits::OWN_POLLS;
        let purpose = if is_own { Purpose::Restart } else { Purpose::DecisiveLook };
        if let Err(span) = self.tokens.take(1, purpose, self.now.mono) {
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
                    let now = self.now.mono;
                    self.dyno_mut(key).show(Some(seen.clone()), now);
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
            Attempt::Settling(mut attempt) if attempt.polling.is_out => {
                attempt.polling.is_out = false;
                self.settled(key, attempt, answer);
            }
            Attempt::Failed(mut attempt) if attempt.polling.is_out => {
                attempt.polling.is_out = false;
                self.failed(key, attempt, answer);
            }
            other => self.put_back(key, other),
        }
    }

    /// A DELETE's answer was lost: was it carried out? The dyno is not asked for again until that is known,
    /// or so long after the request that it will not be.
    fn unconfirmed(
        &mut self,
        key: DynoKey,
        attempt: Unconfirmed,
        answer: Result<Option<DynoInfo>, ApiError>,
    ) {
        let waited = self.now.mono.saturating_sub(attempt.lost.sent);
        let is_late = waited >= Bounds::from(self.policy(key)).lost_answer_wait();
        match answer {
            Ok(None) => self.gone_unconfirmed(key, attempt.boot()),
            Ok(Some(seen)) if is_replaced(&attempt.lost.target, Some(&seen)) => {
                self.found_carried_out(key, attempt.boot(), seen);
            }
            Ok(Some(_)) if is_late => {
                let result = RestartResult::Unanswered { tries: attempt.request.deletes };
                self.notice(key.app, Some(key), NoticeKind::RestartFailed(result.clone()));
                self.end(key, &attempt.request, result);
            }
            Err(_) if is_late => {
                // Whether the DELETE was carried out is unknown, so it counts as carried out. That goes on
                // record, because the next process must count it as well.
                let booting = attempt.boot();
                self.accepted(key, booting.clone(), true);
                self.fail(key, booting, RestartResult::NotBack { state: None, waited });
            }
            Ok(Some(_)) | Err(_) => self.poll_later(key, attempt),
        }
    }

    /// The API shows another instance after a DELETE without an answer.
    pub(super) fn found_carried_out(&mut self, key: DynoKey, booting: Booting, seen: DynoInfo) {
        self.accepted(key, booting.clone(), true);
        self.booting(key, booting, Ok(Some(seen)));
    }

    /// The dyno is gone after a DELETE without an answer. It may have been replaced before it was scaled
    /// away, so it counts as replaced, by the next process too.
    fn gone_unconfirmed(&mut self, key: DynoKey, booting: Booting) {
        self.accepted(key, booting.clone(), true);
        self.end(key, &booting.request, RestartResult::Gone);
    }

    /// A restart was accepted: is the new instance up?
    pub(super) fn booting(
        &mut self,
        key: DynoKey,
        attempt: Booting,
        answer: Result<Option<DynoInfo>, ApiError>,
    ) {
        let (waited, boot_timeout) = (self.ago(attempt.accepted), self.policy(key).boot_timeout);
        let mut is_late = waited >= boot_timeout;
        // An instance that began late has its own time to boot.
        if let Ok(Some(seen)) = &answer
            && is_replaced(&attempt.target, Some(seen))
            && waited < boot_timeout * 2
        {
            is_late &= since(seen.created_at, self.cautious_now().wall) >= boot_timeout;
        }
        match answer {
            Ok(Some(seen)) if is_up_anew(&attempt.target, &seen) => self.back(key, attempt, &seen),
            Ok(None) if is_late => self.end(key, &attempt.request, RestartResult::Gone),
            Ok(Some(seen)) if is_late && seen.state == DynoState::Up => {
                self.ignored(key, &attempt.request, waited)
            }
            Ok(Some(seen)) if is_late => {
                self.fail(key, attempt, RestartResult::NotBack { state: Some(seen.state), waited });
            }
            Err(_) if is_late => {
                self.fail(key, attempt, RestartResult::NotBack { state: None, waited });
            }
            Ok(_) | Err(_) => self.poll_later(key, attempt),
        }
    }

    fn back(&mut self, key: DynoKey, attempt: impl Restarted, seen: &DynoInfo) {
        let settling = attempt.settle();
        let out_for = self.ago(settling.accepted);
        let late = out_for >= self.policy(key).boot_timeout;
        let rate = self.policy(key).max_restarts;
        let dyno = self.dyno_mut(key);
        dyno.process_begins(seen.created_at);
        dyno.is_in_state(DynoState::Up, seen.in_state_since());
        dyno.restarts.came_up_under(seen.release, rate);
        if let Some(restart) = &mut dyno.restarts.last {
            restart.back_at = Some(seen.in_state_since());
            restart.unread = Some(settling.request.id);
        }
        self.outcome(
            key,
            &settling.request,
            RestartResult::Back {
                id: seen.id,
                release: seen.release,
                up_since: seen.in_state_since(),
                out_for,
                late,
            },
        );
        self.put(key, settling);
        self.set_due(key, self.policy(key).settle);
    }

    /// The settling time is over, or a line said that the dyno has crashed: is it still up?
    fn settled(&mut self, key: DynoKey, attempt: Settling, answer: Result<Option<DynoInfo>, ApiError>) {
        let back_at = self.dyno_mut(key).restarts.last.as_ref().and_then(|last| last.back_at);
        let crashed = self.dyno_mut(key).life.is_some_and(|(change, at)| {
            matches!(change, Change::State { to: DynoState::Crashed, .. })
                && back_at.is_some_and(|back_at| at > back_at)
        });
        match answer {
            Ok(Some(seen))
                if seen.state == DynoState::Crashed || (crashed && seen.state != DynoState::Up) =>
            {
                // Errors of the process after the crash do not show whether the restart helped.
                let restarts = &mut self.dyno_mut(key).restarts;
                if let Some(last) = &mut restarts.last
                    && last.judged_by.take().is_some()
                {
                    let accepted_at = last.accepted_at;
                    self.ends_row(key, accepted_at, false);
                }
                self.fail(key, attempt, RestartResult::DownAgain { state: DynoState::Crashed });
            }
            _ => self.close(key, &attempt.request),
        }
    }

    /// Looks at once after a dyno that has crashed while it settled.
    pub(super) fn check_settling(&mut self, key: DynoKey) {
        if let Some(Attempt::Settling(settling)) = self.attempt_mut(key)
            && !settling.polling.is_out
        {
            self.set_due(key, Duration::ZERO);
        }
    }

    /// A restart failed: people are notified, and its place is free for others.
    fn fail(&mut self, key: DynoKey, attempt: impl Fallible, result: RestartResult) {
        let failed = attempt.fail();
        self.outcome(key, &failed.request, result.clone());
        self.notice(key.app, Some(key), NoticeKind::RestartFailed(result));
        self.put(key, failed);
        let formation = self.formation_mut(key);
        formation.active.retain(|index| *index != key.index);
        formation.failed.push(key.index);
        self.freed.insert((key.app, key.formation));
        self.set_due(key, limits::FAILED_POLL_EVERY);
    }

    /// The API accepted the restart, and the old process runs on. Nothing is out.
    fn ignored(&mut self, key: DynoKey, request: &Request, waited: Duration) {
        if let Some(last) = &mut self.dyno_mut(key).restarts.last {
            last.usefulness = Usefulness::NeverHappened;
        }
        let result = RestartResult::Ignored { waited };
        self.notice(key.app, Some(key), NoticeKind::RestartFailed(result.clone()));
        self.end(key, request, result);
    }

    /// A restart failed. The attempt ends when the dyno is up, or gone, or turns out never to have been
    /// replaced.
    fn failed(&mut self, key: DynoKey, attempt: Failed, answer: Result<Option<DynoInfo>, ApiError>) {
        let out_for = self.ago(attempt.accepted);
        match answer {
            Ok(None) => self.end(key, &attempt.request, RestartResult::Gone),
            Ok(Some(seen)) if is_up_anew(&attempt.target, &seen) => self.back(key, attempt, &seen),
            Ok(Some(seen)) if seen.state == DynoState::Up => self.ignored(key, &attempt.request, out_for),
            Ok(_) | Err(_) => {
                self.put(key, attempt);
                self.set_due(key, limits::FAILED_POLL_EVERY);
            }
        }
    }

    /// Polls again after a back-off, and at the end of the boot time at the latest.
    pub(super) fn poll_later(&mut self, key: DynoKey, mut attempt: impl Timed) {
        let now = self.now.mono;
        let polls = attempt.polling().count;
        let span = self.jitter.delay(limits::POLL_MIN, polls, limits::POLL_MAX) * self.tokens.slowdown(now);
        let left = self.policy(key).boot_timeout.saturating_sub(self.ago(attempt.since()));
        self.put(key, attempt);
        self.set_due(key, if left.is_zero() { span } else { span.min(left) });
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
    /// On the engine's clock.
    fn since(&self) -> SignedDuration;
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

polled! { Unconfirmed Booting Settling Failed }

impl Timed for Unconfirmed {
    fn since(&self) -> SignedDuration {
        on_axis(self.lost.sent)
    }
}

impl Timed for Booting {
    fn since(&self) -> SignedDuration {
        self.accepted
    }
}
