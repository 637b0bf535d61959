//! State from earlier processes and other replicas, so that the promises hold across a restart of the daemon.
//!
//! The driver reads it from the store at startup and passes it to the engine as its first input.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::DynoInfo;
use crate::engine::attempt::{Cause, Queued};
use crate::engine::dyno::{GivenUp, LastRestart};
use crate::engine::{Engine, Pause};
use crate::ident::{AppId, DynoName};
use crate::record::AttemptId;
use crate::time::since;

/// State of earlier processes and of replicas.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RestoredState {
    /// Claims of a process that died between its DELETE and the end of the attempt; this process now holds
    /// them.
    pub claims: Vec<OpenClaim>,
    pub given_up: Vec<RestoredGiveUp>,
    pub pauses: Vec<RestoredPause>,
    /// Accepted restarts that a cool-down or `max_restarts` still counts, oldest first.
    pub restarts: Vec<RestoredRestart>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RestoredRestart {
    pub app: AppId,
    pub dyno: DynoName,
    pub accepted_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RestoredGiveUp {
    pub app: AppId,
    pub dyno: DynoName,
    pub until: Timestamp,
    /// The release at that time.
    pub release: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RestoredPause {
    /// None for all apps.
    pub app: Option<AppId>,
    pub until: Timestamp,
    pub reason: Arc<str>,
}

/// A claim whose process died. Its DELETE may have been sent.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenClaim {
    /// The attempt id under which this process now holds it.
    pub attempt_id: AttemptId,
    pub app: AppId,
    pub target: DynoInfo,
    pub rule: Arc<str>,
}

impl Engine {
    pub(super) fn restore(&mut self, past: RestoredState) {
        for restart in past.restarts {
            self.restore_restart(&restart);
        }
        for given_up in past.given_up {
            self.restore_give_up(&given_up);
        }
        self.replace_pauses(past.pauses);
        for claim in past.claims {
            self.resume_unconfirmed(claim);
        }
    }

    pub(super) fn replace_pauses(&mut self, pauses: Vec<RestoredPause>) {
        self.resume(None);
        for RestoredPause { app, until, reason } in pauses {
            self.pause(app, Pause { reason, until });
        }
    }

    fn restore_restart(&mut self, restart: &RestoredRestart) {
        let Some(key) = self.key(restart.app, &restart.dyno) else { return };
        if !self.track(key) {
            return;
        }
        let (now, rate) = (self.mono(), self.policy(key).max_restarts);
        // A time in the future, written by a wrong clock, counts as now: longer, never shorter.
        let age = since(restart.accepted_at, self.now.wall);
        let accepted =
            SignedDuration::try_from(age).map_or(SignedDuration::MIN, |age| now.saturating_sub(age));
        let dyno = self.dyno_mut(key);
        dyno.restarts.add(accepted, rate, now);
        if dyno.last_restart.as_ref().is_none_or(|last| last.accepted <= accepted) {
            dyno.last_restart = Some(LastRestart {
                accepted_at: restart.accepted_at,
                accepted,
                back_at: None,
                reported_no_help: false,
                unread: None,
            });
        }
    }

    fn restore_give_up(&mut self, given_up: &RestoredGiveUp) {
        let Some(key) = self.key(given_up.app, &given_up.dyno) else { return };
        if !self.track(key) {
            return;
        }
        let (now, releases) = (self.now, self.app(key.app).releases_seen);
        self.dyno_mut(key).given_up = Some(GivenUp {
            until: now.mono.saturating_add(since(now.wall, given_up.until)),
            until_at: given_up.until,
            release: given_up.release,
            // There may have been a release in the meantime.
            look_again: now.mono,
            releases_seen: releases,
        });
    }

    /// Polls the dyno of a DELETE that a dead process may have sent. No new DELETE is sent for it.
    fn resume_unconfirmed(&mut self, claim: OpenClaim) {
        self.attempts_made = self.attempts_made.max(claim.attempt_id.0);
        let Some(key) = self.key(claim.app, &claim.target.name) else { return };
        if !self.track(key) {
            return;
        }
        let now = self.now;
        let cause = Cause::Rule { rule: claim.rule, code: None, lines: 0, error_at: now.wall };
        let dyno = self.dyno_mut(key);
        if dyno.attempt.is_some() {
            return;
        }
        let queued = Queued::queue(claim.attempt_id, cause, now.mono);
        dyno.attempt = Some(queued.resume_unconfirmed(claim.target, now.mono).into());
        self.attempts.insert(claim.attempt_id, key);
        self.formation_mut(key).active.push(key.index);
        self.set_due(key, Duration::ZERO);
    }
}
