//! What lines about a dyno's life cycle change: its state, its process, and an attempt under way.

use jiff::Timestamp;

use crate::engine::Engine;
use crate::engine::attempt::Attempt;
use crate::engine::dyno::DynoKey;
use crate::event::{Change, DynoState};
use crate::ident::{AppId, DynoName};
use crate::limits;
use crate::time::since;

impl Engine {
    pub(super) fn on_life(&mut self, app: AppId, dyno: &DynoName, change: Change, at: Timestamp) {
        let Some(key) = self.key(app, dyno) else { return };
        if self.track(key) {
            self.change(key, change, at);
        }
    }

    pub(super) fn change(&mut self, key: DynoKey, change: Change, at: Timestamp) {
        // A line from the future would hold the dyno until then. But our clock may be behind.
        let lead = since(self.now.wall, at);
        if lead > limits::LIFE_LEAD_MAX {
            return;
        }
        // How long a dyno is down is judged by Heroku's clock only: ours may be set in the meantime.
        let by_heroku = at;
        let at = if lead > limits::CLOCK_LEAD_MAX { self.now.wall } else { at };
        let recently = self.policy(key).boot_timeout;
        let now = self.now.wall;
        let dyno = self.dyno_mut(key);
        if !dyno.live(change, at) {
            return;
        }
        // The line about that state may have been lost.
        if let Change::State { from: Some(before), .. } = change {
            dyno.is_in_state(before, by_heroku);
        }
        match change {
            Change::Starting | Change::State { to: DynoState::Starting, .. } => {
                dyno.process_begins(at);
                dyno.restarts.is_unseen = true;
                dyno.is_in_state(DynoState::Starting, by_heroku);
            }
            Change::State { to, .. } => dyno.is_in_state(to, by_heroku),
            Change::Leaving | Change::Exited => {}
        }
        let error_at = dyno.attempt.as_ref().map(|attempt| attempt.request().cause.error_at().unwrap_or(now));
        let hold = error_at.and_then(|error_at| dyno.platform_acts(error_at, recently));
        // An attempt that waits for an answer is judged again when the answer comes.
        match (dyno.take_attempt(), hold) {
            (Some(Attempt::Queued(queued)), Some(hold)) => self.leave(key, queued, hold),
            (Some(Attempt::Waiting(waiting)), Some(hold)) => self.leave(key, waiting, hold),
            (attempt, _) => dyno.attempt = attempt.map(Box::new),
        }
        match change {
            Change::State { to: DynoState::Crashed, .. } => self.check_settling(key),
            Change::State { to: DynoState::Up, .. } => self.look_again(key),
            _ => {}
        }
    }

    /// A dyno is up: what its formation waits for may be over.
    fn look_again(&mut self, key: DynoKey) {
        for index in self.formation_mut(key).active.clone() {
            if let Some(Attempt::Waiting(waiting)) = self.attempt_mut(DynoKey { index, ..key }) {
                waiting.request.is_decisive = true;
            }
        }
    }
}
