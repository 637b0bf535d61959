//! Whether restarts help: judged by the errors that follow them.
//!
//! A restart did not help if the same error is back within [`limits::HELP_WITHIN`] of the new dyno being up.
//! Each such restart doubles the cool-down, and after `give_up_after` of them in a row the dyno is given up.
//! A dyno whose restarts help is restarted for as long as it leaks.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::DynoInfo;
use crate::days::verdict::Verdict;
use crate::engine::Engine;
use crate::engine::attempt::Cause;
use crate::engine::dyno::{DynoKey, GivenUp, LastRestart, Often, Restarts};
use crate::event::DynoState;
use crate::limits;
use crate::policy::Rate;
use crate::policy::verdict::RestartTimes;
use crate::record::usefulness::Usefulness;
use crate::record::{AttemptId, NoticeKind, Outcome, Record, RestartResult};
use crate::time::{earlier, later, on_axis, since};

impl Engine {
    /// The cool-down and `max_restarts` count from the acceptance: the restart took effect at some time
    /// before.
    pub(super) fn remember_restart(&mut self, key: DynoKey, cause: &Cause, attempt_id: Option<AttemptId>) {
        let (wall, now, rate) = (self.now.wall, self.mono(), self.policy(key).max_restarts);
        let (began_at, dry_run) = (self.platform_now(), self.app(key.app).plan.dry_run);
        let judged_by = match cause {
            Cause::Rule { rule, .. } if !dry_run => Some(Arc::clone(rule)),
            Cause::Age { .. } | Cause::Rule { .. } | Cause::Manual { .. } => None,
        };
        let dyno = self.dyno_mut(key);
        if cause.is_forced() {
            dyno.restarts.start_over();
        } else {
            dyno.restarts.accepted.add(now, rate, now);
        }
        // One that helped, or of which nothing is known, ends the row of those that did not help. Nothing
        // will be known of one that no error led to.
        let ends_row = dyno.restarts.last.as_ref().is_some_and(|last| last.usefulness.ends_row());
        if ends_row || judged_by.is_none() {
            dyno.restarts.useless = 0;
        }
        dyno.restarts.last = Some(Box::new(LastRestart {
            attempt_id,
            accepted_at: wall,
            began_at,
            back_at: None,
            was_low: false,
            usefulness: Usefulness::Unknown,
            useless_after: None,
            accepted: now,
            judged_by,
            unread: None,
            errors: None,
        }));
        dyno.refused = None;
        dyno.spell = None;
    }

    /// Judges the last restart by an error of `rule` that began at `began` and was last seen at `seen`.
    pub(super) fn judge_by_use(
        &mut self,
        key: DynoKey,
        rule: &Arc<str>,
        (began, seen): (Timestamp, Timestamp),
    ) {
        let (overlap, has_preboot) = (self.overlap(key), self.app(key.app).has_preboot);
        let Some(dyno) = self.dynos.get_mut(&key) else { return };
        let process_began = dyno.process_began;
        let Some(last) = dyno.restarts.last.as_mut() else { return };
        if last.judged_by.as_ref() != Some(rule) {
            return self.judge_by_silence(key, seen);
        }
        let run_began = last.erred(began, seen);
        let Some(back_at) = last.back_at else { return };
        // Before that, the lines may be the old process's, which is stopped from the acceptance on.
        let alone = later(back_at, overlap).max(later(last.began_at, overlap));
        if seen < alone {
            return;
        }
        last.judged_by = None;
        if replaced_since(back_at, process_began) {
            // The error is not the new process's own.
            let accepted_at = last.accepted_at;
            return self.ends_row(key, accepted_at, false);
        }
        let (accepted_at, attempt_id) = (last.accepted_at, last.attempt_id);
        let after = since(back_at, began.max(alone));
        let is_soon = if has_preboot == Some(false) {
            // The first of them were not judged if the API had not said yet that there is no preboot.
            since(back_at, run_began.max(alone)) <= limits::HELP_WITHIN
        } else {
            // With preboot, the first errors of the run may be the old dyno's. Those that follow without a
            // pause until it is surely gone are taken for the new one's, unless a sample of that one was low.
            since(back_at, run_began) <= limits::HELP_WITHIN && !last.was_low
        };
        if is_soon {
            self.did_not_help(key, attempt_id, after);
        } else {
            self.ends_row(key, accepted_at, true);
        }
    }

    /// Judges the last restart when the dyno errs by another rule than the one that led to it: it helped, if
    /// the error of its own rule has not come back in time.
    fn judge_by_silence(&mut self, key: DynoKey, seen: Timestamp) {
        let overlap = self.overlap(key);
        let Some(last) = self.dynos.get(&key).and_then(|dyno| dyno.restarts.last.as_ref()) else { return };
        let (Some(back_at), Some(rule)) = (last.back_at, &last.judged_by) else { return };
        let lasting = self.app(key.app).plan.rules.iter().find(|known| known.name == *rule);
        let lasting = lasting.map_or(Duration::ZERO, |rule| rule.trigger.lasting());
        let pause = limits::EVIDENCE_AGE_MAX + lasting;
        let errs_on = last.errors.is_some_and(|run| since(run.last, seen) <= pause);
        if errs_on || seen <= later(back_at, overlap.max(limits::HELP_WITHIN) + pause) {
            return;
        }
        let dyno = self.dyno_mut(key);
        let process_began = dyno.process_began;
        let Some(last) = &mut dyno.restarts.last else { return };
        last.judged_by = None;
        let accepted_at = last.accepted_at;
        self.ends_row(key, accepted_at, !replaced_since(back_at, process_began));
    }

    /// Takes from a look when the dyno came up after its last restart, if no process recorded that: the one
    /// that sent the DELETE may have been killed.
    pub(super) fn note_up(&mut self, key: DynoKey) {
        let boot_timeout = self.policy(key).boot_timeout;
        let dyno = self.dyno_mut(key);
        let up =
            dyno.seen.as_deref().filter(|seen| seen.state == DynoState::Up).map(DynoInfo::in_state_since);
        let (Some(last), Some(up)) = (&mut dyno.restarts.last, up) else { return };
        // The API cuts times to whole seconds. What came up later may be another process.
        let is_new = up > earlier(last.accepted_at, Duration::from_secs(2));
        if last.back_at.is_none() && is_new && since(last.accepted_at, up) <= boot_timeout {
            last.back_at = Some(up);
        }
    }

    /// Judges by the errors that were heard before the API said whether there is preboot, as after each
    /// start of the daemon. A look at any dyno of the app may have said it. Without this, the next restart
    /// would come before the judgement of the last one.
    pub(super) fn judge_by_use_again(&mut self, key: DynoKey) {
        let Some(last) = self.dynos.get(&key).and_then(|dyno| dyno.restarts.last.as_ref()) else { return };
        if let (Some(rule), Some(run)) = (last.judged_by.clone(), last.errors) {
            self.judge_by_use(key, &rule, (run.last, run.last));
        }
    }

    /// How long lines of the old process may arrive after the new one is up.
    fn overlap(&self, key: DynoKey) -> Duration {
        if self.app(key.app).has_preboot != Some(false) {
            limits::PREBOOT_UPTIME_MIN
        } else {
            limits::OLD_PROCESS_MAX.min(self.policy(key).min_uptime)
        }
    }

    fn did_not_help(&mut self, key: DynoKey, attempt_id: Option<AttemptId>, after: Duration) {
        let releases_seen = self.app(key.app).releases_seen;
        let restarts = &mut self.dyno_mut(key).restarts;
        restarts.useless = restarts.useless.saturating_add(1);
        restarts.often = None;
        if let Some(last) = &mut restarts.last {
            last.usefulness = Usefulness::Useless;
            last.useless_after = Some(after);
        }
        // Otherwise this process may run another release, with which the counts start anew. The next look
        // shows it.
        let is_certain = restarts.releases_seen == releases_seen && !restarts.is_unseen;
        let (at, dyno) = (self.now.wall, self.name(key));
        self.record(Record::Outcome(Outcome {
            at,
            app: key.app,
            dyno,
            attempt_id: attempt_id.unwrap_or(AttemptId(0)),
            result: RestartResult::NoHelp { after },
        }));
        self.notice(key.app, Some(key), NoticeKind::NoHelp { after });
        if is_certain && self.is_give_up_due(key) {
            self.give_up(key);
        }
    }

    /// The last restart helped, or nobody will know, so that the row of those that did not help is over.
    pub(super) fn ends_row(&mut self, key: DynoKey, accepted_at: Timestamp, has_helped: bool) {
        let restarts = &mut self.dyno_mut(key).restarts;
        restarts.useless = 0;
        if has_helped {
            restarts.give_ups = 0;
        }
        self.restarted_on(key, accepted_at, has_helped);
    }

    /// Counts a restart after which the dyno did not err at once, and notifies people once how often that is.
    fn restarted_on(&mut self, key: DynoKey, accepted_at: Timestamp, has_helped: bool) {
        let now = self.now.wall;
        let restarts = &mut self.dyno_mut(key).restarts;
        let before = restarts.often.filter(|often| since(often.first, now) <= limits::OFTEN_WITHIN);
        let Often { first, restarts: count, all_helped } =
            before.unwrap_or(Often { first: accepted_at, restarts: 0, all_helped: true });
        let often = Often { first, restarts: count + 1, all_helped: all_helped && has_helped };
        restarts.often = Some(often);
        if often.restarts >= limits::OFTEN_AFTER && !std::mem::replace(&mut restarts.is_often_reported, true)
        {
            let Often { restarts, all_helped, .. } = often;
            let within = since(first, now);
            self.notice(key.app, Some(key), NoticeKind::Often { restarts, within, all_helped });
        }
    }

    /// Whether enough restarts did not help since the last give-up.
    fn is_give_up_due(&self, key: DynoKey) -> bool {
        let Some(restarts) = self.dynos.get(&key).map(|dyno| &dyno.restarts) else { return false };
        let is_useless = restarts.last.as_ref().is_some_and(|last| last.usefulness == Usefulness::Useless);
        if !is_useless || restarts.has_given_up_since() {
            return false;
        }
        // A level above the quota is reached again after every restart.
        let is_hopeless = self.verdict(key) == Verdict::LevelsOutAbove;
        let give_up_after = if is_hopeless { 1 } else { self.policy(key).give_up_after.get() };
        // After a give-up there is one more try.
        restarts.useless >= give_up_after || restarts.give_ups > 0
    }

    fn give_up(&mut self, key: DynoKey) {
        let (now, give_up_for) = (self.now, self.policy(key).give_up_for);
        let verdict = self.verdict(key);
        let dyno = self.dyno_mut(key);
        let release = dyno.seen.as_ref().and_then(|seen| seen.release);
        let restarts = &mut dyno.restarts;
        let doubled = give_up_for.saturating_mul(2_u32.saturating_pow(restarts.give_ups));
        let span = doubled.min(limits::GIVE_UP_MAX.max(give_up_for));
        restarts.give_ups = restarts.give_ups.saturating_add(1);
        let (until, useless, times) = (later(now.wall, span), restarts.useless, restarts.give_ups);
        restarts.gave_up_at = Some(on_axis(now.mono));
        restarts.given_up = Some(Box::new(GivenUp {
            until: now.mono.saturating_add(span),
            until_at: until,
            look_again: now.mono.saturating_add(limits::GIVEN_UP_LOOK_EVERY),
        }));
        self.notice(key.app, Some(key), NoticeKind::GaveUp { useless, until, release, times, verdict });
    }

    /// The API showed the dyno under a release: another one than before clears what that one used up.
    pub(super) fn release_shown(&mut self, key: DynoKey, release: Option<u64>) {
        let releases_seen = self.app(key.app).releases_seen;
        let now = self.cautious_now();
        let restarts = &mut self.dyno_mut(key).restarts;
        // A release that rolls out may have yet to reach the dyno.
        let is_released = std::mem::replace(&mut restarts.releases_seen, releases_seen) != releases_seen;
        restarts.is_unseen = false;
        restarts.under_release(release);
        match &mut restarts.given_up {
            Some(given_up) if given_up.is_in_force(now) => {
                given_up.look_again = now.mono.saturating_add(limits::GIVEN_UP_LOOK_EVERY);
            }
            // One more try.
            given_up => *given_up = None,
        }
        if !is_released {
            self.give_up_if_due(key);
        }
    }

    /// Gives up on a dyno whose last restart, as another process found, was one too many.
    pub(super) fn give_up_if_due(&mut self, key: DynoKey) {
        if self.is_give_up_due(key) {
            self.give_up(key);
        }
    }
}

/// Whether Heroku has replaced the process that came up at `back_at`. The API cuts times to whole seconds.
fn replaced_since(back_at: Timestamp, process_began: Option<Timestamp>) -> bool {
    process_began.is_some_and(|began| began > later(back_at, Duration::from_secs(2)))
}

impl Restarts {
    /// Another release than before clears what that one used up.
    pub(super) fn under_release(&mut self, release: Option<u64>) {
        if release.is_some() && self.release.is_some() && self.release != release {
            self.start_over();
        }
        self.release = release.or(self.release);
    }

    /// The new process of a restart runs `release`. If it came with the restart, the DELETE may have met the
    /// release's first process, so that the restart counts for the release.
    pub(super) fn came_up_under(&mut self, release: Option<u64>, rate: Rate) {
        let last = self.last.as_ref().map(|last| last.accepted);
        let counted = last.filter(|at| self.accepted.as_slice().contains(at));
        self.under_release(release);
        self.is_unseen = false;
        if let Some(at) = counted.filter(|at| !self.accepted.as_slice().contains(at)) {
            self.accepted.add(at, rate, at);
        }
    }

    /// How often the cool-down is doubled. A give-up takes the place of the doubled cool-down before it.
    pub(super) fn doublings(&self) -> u32 {
        if self.has_given_up_since() { 0 } else { self.useless }
    }

    /// Whether a give-up followed the last restart.
    fn has_given_up_since(&self) -> bool {
        let is_before = |at: SignedDuration| self.last.as_ref().is_none_or(|last| last.accepted <= at);
        self.gave_up_at.is_some_and(is_before)
    }

    /// Forgets all restarts, but not a give-up after them.
    pub(super) fn forget_restarts(&mut self) {
        (self.last, self.useless) = (None, 0);
        self.accepted = RestartTimes::default();
    }

    /// Starts all counts again, after a release or a person's word. The cool-down runs on.
    pub(super) fn start_over(&mut self) {
        let Self { last, release, releases_seen, .. } = std::mem::take(self);
        let last = last.map(|last| Box::new(LastRestart { judged_by: None, ..*last }));
        *self = Self { last, release, releases_seen, ..Self::default() };
    }
}
