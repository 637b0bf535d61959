//! Liveness: a dyno that keeps erring, without an excuse, is restarted within a bound.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use jiff::Timestamp;

use dynowarden_core::event::DynoState;
use dynowarden_core::ident::DynoName;
use dynowarden_core::limits;
use dynowarden_core::time::{later, since};
use heroku_sim::dyno::Dyno;
use heroku_sim::world::World;

use crate::invariants::{Clock, Invariants, settled_at};
use crate::scenario::secs;

/// From the first counted line to the DELETE, if nothing is in the way. A rule may want three lines, of which
/// some are lost on their way; a call may fail, and the next line comes 21 s later.
pub const BOUND: Duration = Duration::from_secs(6 * 60);

/// Between two lines of a dyno that keeps erring.
const GAP_MAX: Duration = Duration::from_secs(70);

/// Temporary obstacles, whatever the dyno.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trouble {
    Api,
    Clock,
    Daemon,
    Store,
    Tokens,
}

#[derive(Debug, Default)]
pub struct Liveness {
    owed: HashMap<(usize, DynoName), Owed>,
    /// The end of each obstacle.
    troubles: HashMap<Trouble, Timestamp>,
    /// The end of an app's excuse.
    apps: HashMap<usize, Timestamp>,
    /// The end of each give-up, and its release.
    given_up: HashMap<(usize, DynoName), (Timestamp, u64, Option<Timestamp>)>,
    /// Dynos that count as restarted until then, although they may not have been.
    assumed: HashMap<(usize, DynoName), Timestamp>,
    /// The longest wait without an excuse.
    pub longest: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Owed {
    since: Timestamp,
    last: Timestamp,
}

impl Liveness {
    pub fn trouble(&mut self, trouble: Trouble, until: Timestamp) {
        extend(&mut self.troubles, trouble, until);
    }

    pub fn excuse_app(&mut self, app: usize, until: Timestamp) {
        extend(&mut self.apps, app, until);
    }

    pub fn gave_up(&mut self, app: usize, dyno: DynoName, until: Timestamp, version: u64) {
        self.given_up.insert((app, dyno), (until, version, None));
    }

    pub fn assume(&mut self, app: usize, dyno: DynoName, until: Timestamp) {
        extend(&mut self.assumed, (app, dyno), until);
    }

    /// A restart took effect: its dyno had its turn, and the others of its type begin to wait again.
    pub fn restarted(&mut self, app: usize, dyno: &DynoName) {
        self.owed.retain(|(of, other), _| *of != app || other.process_type() != dyno.process_type());
    }

    /// An error line of a watched type reached the daemon.
    #[expect(clippy::too_many_arguments, reason = "the facts of one moment, and each is of another kind")]
    pub fn erred(
        &mut self,
        app: usize,
        name: &DynoName,
        world: &World,
        invariants: &Invariants,
        clock: Clock,
    ) -> Result<(), String> {
        let key = (app, name.clone());
        if self.excuse(app, name, world, invariants, clock).is_some() {
            self.owed.remove(&key);
            return Ok(());
        }
        let now = clock.now;
        let owed = self.owed.entry(key).or_insert(Owed { since: now, last: now });
        if since(owed.last, now) > GAP_MAX {
            *owed = Owed { since: now, last: now };
        }
        owed.last = now;
        let waited = since(owed.since, now);
        self.longest = self.longest.max(waited);
        if waited > BOUND {
            return Err(format!(
                "{name} has erred for {waited:?}, nothing excuses it, and it is not restarted"
            ));
        }
        Ok(())
    }

    /// Why an erring dyno need not be restarted now.
    #[expect(clippy::too_many_arguments, reason = "the facts of one moment, and each is of another kind")]
    fn excuse(
        &mut self,
        app: usize,
        name: &DynoName,
        world: &World,
        invariants: &Invariants,
        clock: Clock,
    ) -> Option<&'static str> {
        let now = clock.now;
        if self.troubles.values().any(|until| *until > now) {
            return Some("trouble");
        }
        if self.apps.get(&app).is_some_and(|until| *until > now) {
            return Some("the app as a whole");
        }
        let wall = clock.wall();
        let was = wall.checked_sub(secs(60)).unwrap_or(wall);
        if invariants.forbidden(app, wall).is_some() || invariants.forbidden(app, was).is_some() {
            return Some("paused or outside its window");
        }
        let policy = invariants.policy(app);
        let own = [invariants.last_restart(app, name), invariants.last_claim(app, name)];
        if own.into_iter().flatten().any(|at| since(at, now) < policy.cooldown + secs(30)) {
            return Some("cool-down");
        }
        let key = (app, name.clone());
        if self.assumed.get(&key).is_some_and(|until| *until > now) {
            return Some("counts as restarted");
        }
        let state = world.app(invariants.app_name(app).as_str())?;
        if let Some((until, version, seen_at)) = self.given_up.get_mut(&key) {
            // A release ends it, once a line or the inspection every ten minutes has shown it.
            if state.version() > *version {
                seen_at.get_or_insert(now);
            }
            let learnt = seen_at.is_none_or(|at| since(at, now) < limits::GIVEN_UP_LOOK_EVERY + secs(90));
            if *until > now && learnt {
                return Some("given up");
            }
        }
        let dyno = world.dyno(state.name(), &name.to_string())?;
        if dyno.is_one_off {
            return Some("a one-off dyno");
        }
        let up_for = since(settled_at(dyno, Duration::ZERO), now);
        // Lines of the previous process, or about its end, may hold a young dyno back.
        let overlap = if state.spec.preboot { secs(300) } else { secs(80) };
        let youth = policy.min_uptime.max(policy.boot_timeout + overlap) + secs(60);
        if dyno.state != DynoState::Up || up_for < youth {
            return Some("not up, or young");
        }
        let released_at = state.releases.last().map(|release| release.created_at);
        let deploying = policy.min_uptime.max(policy.boot_timeout + secs(240)) + secs(180);
        if released_at.is_some_and(|at| since(at, now) < deploying) {
            return Some("a release");
        }
        let is_out = |other: &&Dyno| {
            other.name.process_type() == name.process_type()
                && other.name != *name
                && !other.is_one_off
                && (other.state != DynoState::Up
                    || later(settled_at(other, policy.settle), secs(60)) > now
                    || later(settled_at(other, Duration::ZERO), secs(90)) > now)
        };
        // A failed restart holds its whole formation, whatever `max_concurrent` is.
        let out = world.dynos(state.name()).filter(is_out).count();
        if out > 0 {
            return Some("others are out");
        }
        None
    }
}

fn extend<K: Eq + Hash>(ends: &mut HashMap<K, Timestamp>, key: K, until: Timestamp) {
    let end = ends.entry(key).or_insert(until);
    *end = until.max(*end);
}
