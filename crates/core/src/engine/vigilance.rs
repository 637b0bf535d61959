//! What people must know at once: a dyno that errs and is not restarted, a dyno that stays down, and what
//! keeps the engine from seeing or acting.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{DynoInfo, FormationInfo};
use crate::engine::Engine;
use crate::engine::attempt::Attempt;
use crate::engine::dyno::{DynoKey, ErrorSpell};
use crate::event::{Change, DynoState};
use crate::ident::{AppId, DynoName};
use crate::limits;
use crate::record::NoticeKind;
use crate::record::hold::Hold;
use crate::record::usefulness::Usefulness;
use crate::time::since;

impl Engine {
    /// A restart rule fired for the dyno: an error, or another sample above a limit.
    pub(super) fn erring(&mut self, key: DynoKey) {
        let now = self.now.mono;
        let Some(dyno) = self.dynos.get_mut(&key) else { return };
        let spell =
            dyno.spell.take().filter(|spell| now.saturating_sub(spell.last) <= limits::ERROR_SPELL_GAP);
        let begun = ErrorSpell { since: now, last: now, reported: None };
        dyno.spell = Some(Box::new(ErrorSpell { last: now, ..spell.map_or(begun, |spell| *spell) }));
    }

    /// Notifies people of a dyno that has erred for a while, with the reason why it was not restarted.
    pub(super) fn report_if_not_restarted(&mut self, key: DynoKey, hold: &Hold) {
        let now = self.now.mono;
        let last = self.dyno_mut(key).restarts.last.as_ref();
        let is_useless = last.is_some_and(|last| last.usefulness == Usefulness::Useless);
        let is_intended = match hold {
            Hold::Paused { .. }
            | Hold::OutsideWindow { .. }
            | Hold::QuietUnknown
            | Hold::GivenUp { .. }
            | Hold::Unproven { .. } => true,
            Hold::CoolingDown { .. } => is_useless || self.app(key.app).plan.dry_run,
            // A restart that is under way shows by itself whether it helps.
            Hold::UnderWay => self.is_restarting(key),
            _ => self.app(key.app).plan.dry_run,
        };
        let Some(spell) = &mut self.dyno_mut(key).spell else { return };
        let erring_for = now.saturating_sub(spell.since);
        let is_told = |at: Duration| now.saturating_sub(at) < limits::NOT_RESTARTED_AFTER;
        if is_intended || erring_for < limits::NOT_RESTARTED_AFTER || spell.reported.is_some_and(is_told) {
            return;
        }
        spell.reported = Some(now);
        let reason = Box::new(hold.clone());
        self.notice(key.app, Some(key), NoticeKind::NotRestarted { erring_for, reason });
    }

    fn is_restarting(&self, key: DynoKey) -> bool {
        let attempt = self.dynos.get(&key).and_then(|dyno| dyno.attempt.as_deref());
        attempt.is_some_and(Attempt::may_be_out)
    }

    /// Notes which dynos of the listed types are down, and reports each broken one once.
    pub(super) fn note_states(&mut self, app: AppId, view: &FormationInfo) {
        let (boot_timeout, now) = (self.app(app).plan.policy.boot_timeout, self.cautious_now().wall);
        let by_heroku = self.platform_now();
        for seen in view.formation.iter().chain(&view.dyno).filter(|seen| !seen.is_one_off) {
            let Some(key) = self.key(app, &seen.name) else { continue };
            let is_up = seen.state == DynoState::Up;
            if (is_up && !self.dynos.contains_key(&key)) || !self.track(key) {
                continue;
            }
            let attempt = self.dynos.get(&key).and_then(|dyno| dyno.attempt.as_deref());
            let is_ours =
                attempt.is_some_and(|attempt| matches!(attempt, Attempt::Failed(_)) || attempt.may_be_out());
            let dyno = self.dyno_mut(key);
            // An unknown word does not say since when the dyno is out.
            let at = if seen.state == DynoState::Other { by_heroku } else { seen.in_state_since() };
            dyno.is_in_state(seen.state, at);
            let Some(down) = &mut dyno.down else { continue };
            // Its own outcome reports a restart that failed.
            down.is_reported |= is_ours;
            let out_for = since(down.since, now);
            if out_for > boot_timeout && !std::mem::replace(&mut down.is_reported, true) {
                self.notice(app, Some(key), NoticeKind::Broken { state: seen.state, out_for });
            }
        }
    }

    /// Since when a dyno that is not up has not been up, as far as lines and the API showed.
    pub(super) fn down_since(&self, app: AppId, seen: &DynoInfo) -> Timestamp {
        let known = self.key(app, &seen.name).and_then(|key| self.dynos.get(&key)?.down);
        match known {
            Some(down) if seen.state == DynoState::Other => down.since,
            Some(down) => down.since.min(seen.in_state_since()),
            None => seen.in_state_since(),
        }
    }

    /// Other dynos of the formation that the list does not show although lines say that they are starting or
    /// have just come up: the list is partial.
    pub(super) fn unlisted_beside(&self, key: DynoKey, view: &FormationInfo) -> Vec<DynoName> {
        let (policy, now) = (self.policy(key), self.cautious_now().wall);
        let is_young = |change: Change, at: Timestamp| {
            let is_rising = change == Change::Starting
                || matches!(change, Change::State { to: DynoState::Starting | DynoState::Up, .. });
            is_rising && since(at, now) < policy.boot_timeout + policy.settle
        };
        // Heroku numbers the dynos of a type from 1.
        let last = u32::try_from(view.formation.len()).unwrap_or(u32::MAX).saturating_add(UNLISTED_BEYOND);
        let beside = (1..=last).filter(|index| *index != key.index).map(|index| DynoKey { index, ..key });
        beside
            .filter(|other| {
                let life = self.dynos.get(other).and_then(|dyno| dyno.life);
                life.is_some_and(|(change, at)| is_young(change, at))
            })
            .map(|other| self.name(other))
            .filter(|name| !view.formation.iter().any(|seen| seen.name == *name))
            .collect()
    }

    /// Reports errors that arrive too late to act on, once until one is current again.
    pub(super) fn watch_lateness(&mut self, app: AppId, hold: Option<&Hold>) {
        let state = self.app_mut(app);
        match hold {
            Some(Hold::Stale { .. }) if state.late_reported => {}
            Some(Hold::Stale { age }) => {
                state.late_reported = true;
                self.notice(app, None, NoticeKind::LinesLate { age: *age });
            }
            _ if std::mem::take(&mut state.late_reported) => self.notice(app, None, NoticeKind::LinesCurrent),
            _ => {}
        }
    }

    /// Reports once that the account's calls are used up.
    pub(super) fn report_no_calls(&mut self, app: AppId, remaining: u32) {
        if !std::mem::replace(&mut self.app_mut(app).calls_reported, true) {
            self.notice(app, None, NoticeKind::NoCallsLeft { remaining });
        }
    }

    /// Reports that calls are left again, and not only a few, to the apps that were told otherwise.
    pub(super) fn report_calls_left(&mut self, remaining: u32) {
        if remaining < limits::API_TOKENS_LEFT_AGAIN {
            return;
        }
        for app in (0..self.apps.len() as u32).map(AppId) {
            if std::mem::take(&mut self.app_mut(app).calls_reported) {
                self.notice(app, None, NoticeKind::CallsLeft);
            }
        }
    }
}

/// How many more dynos than a list shows are looked for in the lines.
const UNLISTED_BEYOND: u32 = 8;
