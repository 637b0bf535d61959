//! State from earlier processes and other replicas, so that the promises hold across a restart of the daemon.
//!
//! The driver reads it from the store at startup and passes it to the engine as its first input.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::DynoInfo;
use crate::codes::Code;
use crate::engine::attempt::{Attempt, Cause, Queued};
use crate::engine::dyno::{DynoKey, GivenUp, LastRestart};
use crate::engine::{Engine, Pause};
use crate::ident::{AppId, DynoName};
use crate::limits;
use crate::record::usefulness::Usefulness;
use crate::record::{AttemptId, MANUAL};
use crate::time::since;

/// State of earlier processes and of replicas.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RestoredState {
    /// Claims of a process that died between its DELETE and the end of the attempt; this process now holds
    /// them.
    pub claims: Vec<OpenClaim>,
    /// What an earlier process had not sent to the API before it stopped.
    pub pending: Vec<PendingRestart>,
    pub given_up: Vec<RestoredGiveUp>,
    pub pauses: Vec<RestoredPause>,
    /// Accepted restarts that a cool-down or `max_restarts` still counts, those of a dyno
    /// in the order in which they were asked for.
    pub restarts: Vec<RestoredRestart>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RestoredRestart {
    pub app: AppId,
    pub dyno: DynoName,
    pub accepted_at: Timestamp,
    /// Since when the new instance has been up, if it was seen up.
    pub back_at: Option<Timestamp>,
    /// The rule that led to it; none for a manual one.
    pub rule: Option<Arc<str>>,
    /// Whether a person's word passed the limits, so that it does not count for `max_restarts`.
    pub is_forced: bool,
    pub usefulness: Usefulness,
    /// The release of the replaced instance, or of the new one if that was seen up.
    pub release: Option<u64>,
}

/// An error or a request that led to no DELETE yet.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingRestart {
    pub app: AppId,
    pub dyno: DynoName,
    pub cause: PendingCause,
}

#[derive(Clone, Debug, PartialEq)]
pub enum PendingCause {
    Manual { forced: bool },
    Rule { rule: Arc<str>, code: Option<Code>, lines: u32, error_at: Timestamp },
}

#[derive(Clone, Debug, PartialEq)]
pub struct RestoredGiveUp {
    pub app: AppId,
    pub dyno: DynoName,
    /// When it began.
    pub at: Timestamp,
    pub until: Timestamp,
    /// The release at that time.
    pub release: Option<u64>,
    /// Give-ups in a row, this one included.
    pub times: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RestoredPause {
    /// None for all apps.
    pub app: Option<AppId>,
    pub until: Timestamp,
    pub reason: Arc<str>,
    /// Who asked for it, if the version that stored it kept that.
    pub by: Option<Arc<str>>,
}

/// A claim whose process ended. Its DELETE may have been sent.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenClaim {
    /// The attempt id under which this process now holds it.
    pub attempt_id: AttemptId,
    pub app: AppId,
    pub target: DynoInfo,
    pub rule: Arc<str>,
    /// Whether a person's word passed the limits.
    pub is_forced: bool,
    /// When the API accepted the DELETE, if it is known to have done so.
    pub accepted_at: Option<Timestamp>,
}

impl Engine {
    pub(super) fn restore(&mut self, past: RestoredState) {
        for restart in past.restarts {
            let is_it = |claim: &OpenClaim| {
                let OpenClaim { app, target, accepted_at, .. } = claim;
                (*app, &target.name) == (restart.app, &restart.dyno)
                    && *accepted_at == Some(restart.accepted_at)
            };
            let is_open = past.claims.iter().any(is_it);
            self.restore_restart(&restart, is_open);
        }
        for given_up in past.given_up {
            self.restore_give_up(&given_up);
        }
        self.replace_pauses(past.pauses);
        for claim in past.claims {
            self.resume(claim);
        }
        for pending in past.pending {
            self.take_up(pending);
        }
    }

    /// What an attempt was asked for, if its DELETE has not been sent.
    pub(super) fn pending_of(&self, key: DynoKey) -> Option<PendingRestart> {
        let attempt = self.dynos.get(&key)?.attempt.as_deref()?;
        let (Attempt::Queued(_) | Attempt::Inspecting(_) | Attempt::Waiting(_) | Attempt::Claiming(_)) =
            attempt
        else {
            return None;
        };
        let cause = match attempt.request().cause.clone() {
            // The next process sees for itself how old the dyno is.
            Cause::Age { .. } => return None,
            Cause::Manual { forced, .. } => PendingCause::Manual { forced },
            Cause::Rule { rule, code, lines, error_at, .. } => {
                PendingCause::Rule { rule, code, lines, error_at }
            }
        };
        Some(PendingRestart { app: key.app, dyno: self.name(key), cause })
    }

    /// Judges again what an earlier process left: it is taken up, or the reason goes on record.
    fn take_up(&mut self, pending: PendingRestart) {
        let Some(key) = self.key(pending.app, &pending.dyno) else { return };
        if !self.track(key) || self.attempt_mut(key).is_some() {
            return;
        }
        let cause = match pending.cause {
            PendingCause::Manual { forced } => Cause::Manual { forced, by: None },
            PendingCause::Rule { rule, code, lines, error_at } => {
                self.judge_by_use(key, &rule, (error_at, error_at));
                Cause::Rule { rule, code, lines, error_at, heard_at: self.now.mono }
            }
        };
        self.admit(key, cause);
    }

    pub(super) fn replace_pauses(&mut self, pauses: Vec<RestoredPause>) {
        self.end_pause(None);
        for RestoredPause { app, until, reason, by } in pauses {
            let ends = self.now.mono.saturating_add(since(self.now.wall, until));
            self.set_pause(app, Pause { ends, is_restored: true, reason, until, by });
        }
    }

    /// Takes the restarts of a dyno from the store, of which a replica made the last one, and judges that by
    /// the error that asked for the next one.
    pub(super) fn relearn(&mut self, key: DynoKey, restarts: &[RestoredRestart], cause: &Cause) {
        let known = &mut self.dyno_mut(key).restarts;
        let is_unseen = known.is_unseen;
        known.forget_restarts();
        for restart in restarts {
            self.restore_restart(restart, false);
        }
        // The claim came with a look at the dyno.
        self.dyno_mut(key).restarts.is_unseen = is_unseen;
        self.note_up(key);
        if let Cause::Rule { rule, error_at, .. } = cause {
            self.judge_by_use(key, rule, (*error_at, *error_at));
        }
        self.give_up_if_due(key);
    }

    /// Counts a restart of an earlier process; one that is open is watched on by this process.
    fn restore_restart(&mut self, restart: &RestoredRestart, is_open: bool) {
        let Some(key) = self.key(restart.app, &restart.dyno) else { return };
        if !self.track(key) {
            return;
        }
        let (now, wall, rate) = (self.mono(), self.now.wall, self.policy(key).max_restarts);
        // A younger one may not be judged yet.
        let judged_after = self.policy(key).boot_timeout + limits::HELP_WITHIN;
        // A time in the future, written by a wrong clock, counts as now: longer, never shorter.
        let age = since(restart.accepted_at, wall);
        let accepted =
            SignedDuration::try_from(age).map_or(SignedDuration::MIN, |age| now.saturating_sub(age));
        let restarts = &mut self.dyno_mut(key).restarts;
        // Releases count upwards. One that is older than that of a restart before clears nothing, and what
        // it used up is cleared already.
        let is_cleared = matches!((restart.release, restarts.release), (Some(of), Some(newer)) if of < newer);
        if !is_cleared {
            restarts.under_release(restart.release);
        }
        if restart.is_forced && !is_cleared {
            // They go on counting.
            let accepted = std::mem::take(&mut restarts.accepted);
            restarts.start_over();
            restarts.accepted = accepted;
        }
        if !restart.is_forced && !is_cleared {
            restarts.accepted.add(accepted, rate, now);
            if restarts.last.as_ref().is_some_and(|last| last.usefulness.ends_row()) {
                restarts.useless = 0;
            }
            match restart.usefulness {
                Usefulness::Useless => restarts.useless = restarts.useless.saturating_add(1),
                Usefulness::NeverHappened => {}
                // The next error judges it, or it is too young for its outcome to be known.
                Usefulness::Unknown
                    if restart.rule.is_some()
                        && (is_open || restart.back_at.is_some() || age < judged_after) => {}
                Usefulness::Unknown => restarts.useless = 0,
            }
        }
        // A clock that was set makes the last one seem older than those before. The cool-down runs from the
        // youngest; one that seems to come is older than those after it.
        let before = restarts.last.as_ref().filter(|last| last.accepted_at <= wall);
        let youngest = before.map_or(accepted, |last| last.accepted.max(accepted));
        restarts.last = Some(Box::new(LastRestart {
            attempt_id: None,
            accepted_at: restart.accepted_at,
            began_at: restart.accepted_at,
            accepted: youngest,
            back_at: restart.back_at,
            was_low: false,
            usefulness: restart.usefulness,
            useless_after: None,
            judged_by: restart.rule.clone().filter(|_| restart.usefulness == Usefulness::Unknown),
            unread: None,
            errors: None,
        }));
        // There may have been a release in the meantime.
        restarts.is_unseen = true;
    }

    fn restore_give_up(&mut self, given_up: &RestoredGiveUp) {
        let Some(key) = self.key(given_up.app, &given_up.dyno) else { return };
        if !self.track(key) {
            return;
        }
        let (now, mono) = (self.now, self.mono());
        let restarts = &mut self.dyno_mut(key).restarts;
        // If it seems to come, our clock is behind. Both times are by the clock of the store.
        let is_over = given_up.until <= now.wall || given_up.at > now.wall;
        let tried = restarts.last.as_ref().filter(|last| is_over && last.accepted_at > given_up.at);
        let gave_up_at = match tried {
            // The one try after it. If that did not help, the next give-up is longer.
            Some(last) => {
                let is_cleared =
                    matches!((given_up.release, restarts.release), (Some(of), Some(now)) if of != now);
                if is_cleared || restarts.useless == 0 {
                    return;
                }
                last.accepted.saturating_sub(SignedDuration::from_nanos(1))
            }
            None if given_up.until > now.wall => mono,
            None => {
                let age = since(given_up.at, now.wall);
                let at =
                    SignedDuration::try_from(age).map_or(SignedDuration::MIN, |age| mono.saturating_sub(age));
                restarts.last.as_ref().map_or(at, |last| at.max(last.accepted))
            }
        };
        let until = if tried.is_some() { now.wall } else { given_up.until };
        restarts.give_ups = given_up.times;
        restarts.gave_up_at = Some(gave_up_at);
        restarts.release = given_up.release.or(restarts.release);
        restarts.given_up = Some(Box::new(GivenUp {
            until: now.mono.saturating_add(since(now.wall, until)),
            until_at: until,
            // There may have been a release in the meantime.
            look_again: now.mono,
        }));
    }

    /// Polls the dyno of a DELETE that an earlier process sent or may have sent. No new DELETE is sent for
    /// it.
    fn resume(&mut self, claim: OpenClaim) {
        self.attempts_made = self.attempts_made.max(claim.attempt_id.0);
        let Some(key) = self.key(claim.app, &claim.target.name) else { return };
        if !self.track(key) || self.attempt_mut(key).is_some() {
            return;
        }
        let now = self.now;
        let age = claim.accepted_at.map(|at| since(at, now.wall));
        let cause = if claim.is_forced || *claim.rule == *MANUAL {
            Cause::Manual { forced: claim.is_forced, by: None }
        } else {
            Cause::Rule { rule: claim.rule, code: None, lines: 0, error_at: now.wall, heard_at: now.mono }
        };
        let queued = Queued::queue(claim.attempt_id, cause, now.mono);
        let attempt: Attempt = match age.map(SignedDuration::try_from) {
            Some(age) => {
                let accepted = age.map_or(SignedDuration::MIN, |age| self.mono().saturating_sub(age));
                queued.resume_booting(claim.target, accepted).into()
            }
            None => queued.resume_unconfirmed(claim.target, now.mono).into(),
        };
        self.put(key, attempt);
        self.attempts.insert(claim.attempt_id, key);
        self.formation_mut(key).active.push(key.index);
        self.set_due(key, Duration::ZERO);
    }
}
