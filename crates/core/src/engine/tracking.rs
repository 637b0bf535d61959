//! Which dynos have state: each is kept until room is short and nothing binds it any more.

use std::time::Duration;

use crate::engine::Engine;
use crate::engine::dyno::{Dyno, DynoKey};
use crate::engine::judge;
use crate::limits;

impl Engine {
    /// Makes room for a dyno and notes its activity; false if there is no room.
    pub(super) fn track(&mut self, key: DynoKey) -> bool {
        let now = self.now.mono;
        if let Some(dyno) = self.dynos.get_mut(&key) {
            dyno.touched = now;
            // Moving it costs more than the rest of the work for most events.
            if now.saturating_sub(dyno.placed) < limits::QUIET_STEP {
                return true;
            }
            self.quiet.remove(&(dyno.placed, key));
            dyno.placed = now;
        } else {
            if self.dynos.len() >= limits::DYNOS_MAX && !self.forget_one() {
                return false;
            }
            self.dynos.insert(key, Box::new(Dyno { placed: now, touched: now, ..Dyno::default() }));
        }
        self.quiet.insert((now, key));
        true
    }

    /// Forgets the dyno with the longest silence, among those without a bound in force.
    fn forget_one(&mut self) -> bool {
        let now = self.now.mono;
        let forgettable = self.quiet.iter().take(FORGET_LOOK_MAX).copied().find(|(_, key)| {
            self.dynos.get(key).is_none_or(|dyno| {
                let is_over = |until: Duration| until <= now;
                dyno.attempt.is_none()
                    && dyno.restarts.given_up.as_ref().is_none_or(|given_up| is_over(given_up.until))
                    && dyno.restarts.last.as_ref().is_none_or(|_| !self.is_bounded(*key, dyno))
            })
        });
        let Some(entry) = forgettable else { return false };
        self.quiet.remove(&entry);
        self.dynos.remove(&entry.1);
        true
    }

    /// Whether its cool-down or `max_restarts` still counts a restart of the dyno.
    fn is_bounded(&self, key: DynoKey, dyno: &Dyno) -> bool {
        let policy = self.policy(key);
        judge::cool_down_left(dyno, policy, self.now.mono).is_some()
            || dyno.restarts.accepted.count_at(policy.max_restarts, self.mono())
    }
}

/// Candidates considered for forgetting; the others are hardly older.
const FORGET_LOOK_MAX: usize = 16;
