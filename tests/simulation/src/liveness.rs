//! Liveness: a dyno that keeps erring, without an excuse, is restarted within a bound.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use jiff::Timestamp;

use dynowarden_core::event::DynoState;
use dynowarden_core::ident::{DynoName, ProcessType};
use dynowarden_core::limits;
use dynowarden_core::time::{earlier, later, since};
use heroku_sim::dyno::Dyno;
use heroku_sim::world::World;

use crate::invariants::{Clock, Invariants, settled_at};
use crate::scenario::secs;

/// From the first counted line to the DELETE, if nothing is in the way. A rule may want three lines, of which
/// some are lost on their way; a call may fail, and the next line comes 21 s later.
pub const BOUND: Duration = Duration::from_secs(6 * 60);

/// Between two lines of a dyno that keeps erring.
const GAP_MAX: Duration = Duration::from_secs(70);

/// From the first error, or the last restart, until people are told: 15 minutes, and the time of the lines
/// that a rule may need.
const TOLD_WITHIN: Duration = Duration::from_secs(18 * 60);

/// Temporary obstacles, whatever the dyno.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trouble {
    Api,
    Clock,
    Daemon,
    /// Another app's lines count as this app's, or its own as another's.
    Sender(usize),
    Store,
    Tokens,
}

#[derive(Debug, Default)]
pub struct Liveness {
    owed: HashMap<(usize, DynoName), Owed>,
    /// The end of each obstacle.
    troubles: HashMap<Trouble, Timestamp>,
    /// The excuse of a type that is being scaled: its end, and the latest that it may become.
    scaling: HashMap<(usize, ProcessType), (Timestamp, Timestamp)>,
    /// Refusals of the API in a row.
    refused: HashMap<(usize, DynoName), u32>,
    /// Since when a dyno errs that people must be told about if it is not restarted.
    erring: HashMap<(usize, DynoName), Owed>,
    told: HashMap<(usize, DynoName), Timestamp>,
    is_born_astray: bool,
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

    /// A scaling postpones restarts, and further ones do not postpone them for longer in all.
    pub fn scaled(&mut self, app: usize, process_type: ProcessType, span: Duration, now: Timestamp) {
        let new = (later(now, span), later(now, span + secs(60)));
        let excuse = self.scaling.entry((app, process_type)).or_insert(new);
        if later(excuse.0, secs(600)) < now {
            *excuse = new;
        }
        excuse.0 = later(now, span).min(excuse.1);
    }

    /// The API refused a restart: the next try comes after 1, 5, 15 and 60 minutes.
    pub fn refused(&mut self, app: usize, dyno: DynoName, now: Timestamp) {
        let times = self.refused.entry((app, dyno.clone())).or_default();
        *times += 1;
        let minutes = [1, 5, 15, 60][(*times as usize - 1).min(3)];
        self.assume(app, dyno, later(now, secs(60 * minutes + 90)));
    }

    /// People were told that this dyno is not restarted.
    pub fn told(&mut self, app: usize, dyno: DynoName, now: Timestamp) {
        self.told.insert((app, dyno), now);
    }

    /// The daemon starts, and knows of errors only what it receives. With a wrong clock, it takes the times
    /// in the store for later than they are, until it starts again.
    pub fn born(&mut self, clock: Clock) {
        self.erring.clear();
        self.is_born_astray = clock.skew.abs() > jiff::SignedDuration::from_secs(60);
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
        self.refused.remove(&(app, dyno.clone()));
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
        self.must_be_told(app, name, invariants, clock)?;
        let key = (app, name.clone());
        // A restart of another dyno that never happens holds the others until the boot time-out.
        let is_turn_of_other = invariants.is_claimed_beside(app, name, clock.now);
        if is_turn_of_other || self.excuse(app, name, world, invariants, clock).is_some() {
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

    /// Fifteen minutes of errors without a restart are reported, whatever is in the way.
    fn must_be_told(
        &mut self,
        app: usize,
        name: &DynoName,
        invariants: &Invariants,
        clock: Clock,
    ) -> Result<(), String> {
        let (key, now) = ((app, name.clone()), clock.now);
        let policy = invariants.policy(app);
        let waits = invariants.promises.longest_wait_after_last(app, name, policy);
        let was_useless = invariants.promises.was_useless(app, name);
        let is_doubled = |span: Duration| span > policy.cooldown || was_useless;
        let is_useless = waits.is_some_and(|(at, span)| is_doubled(span) && since(at, now) < span);
        let is_given_up = self.given_up.get(&key).is_some_and(|(until, ..)| later(*until, secs(60)) > now);
        let is_blind = [Trouble::Clock, Trouble::Daemon, Trouble::Sender(app)]
            .iter()
            .any(|trouble| self.troubles.get(trouble).is_some_and(|until| *until > now));
        if is_useless || is_given_up || is_blind || invariants.is_or_was_forbidden(app, clock) {
            self.erring.remove(&key);
            return Ok(());
        }
        let erring = self.erring.entry(key.clone()).or_insert(Owed { since: now, last: now });
        if since(erring.last, now) > GAP_MAX {
            *erring = Owed { since: now, last: now };
        }
        erring.last = now;
        let noted_at = invariants.promises.noted_at(app, name);
        let own = [invariants.last_restart(app, name), invariants.last_claim(app, name), noted_at];
        let from = own.into_iter().flatten().fold(erring.since, Timestamp::max);
        let erred_for = since(from, now);
        let is_told = self.told.get(&key).is_some_and(|at| *at >= from);
        if erred_for > TOLD_WITHIN && !is_told {
            return Err(format!("{name} has erred for {erred_for:?} without a restart, and nobody was told"));
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
        let concerns = |trouble: &Trouble| !matches!(trouble, Trouble::Sender(of) if *of != app);
        let mut troubles = self.troubles.iter();
        if self.is_born_astray || troubles.any(|(trouble, until)| *until > now && concerns(trouble)) {
            return Some("trouble");
        }
        if self.scaling.get(&(app, name.process_type().clone())).is_some_and(|(until, _)| *until > now) {
            return Some("scaling");
        }
        if invariants.is_or_was_forbidden(app, clock) {
            return Some("paused or outside its window");
        }
        if invariants.lights.is_red(now) {
            return Some("the status page is red");
        }
        let policy = invariants.policy(app);
        let seems_at = invariants.last_seems_at(app, name);
        let own = [invariants.last_restart(app, name), invariants.last_claim(app, name), seems_at];
        if own.into_iter().flatten().any(|at| since(at, now) < policy.cooldown + secs(30)) {
            return Some("cool-down");
        }
        let promises = &invariants.promises;
        let waits = promises.longest_wait_after_last(app, name, policy);
        let waits_from = |at: Timestamp| seems_at.map_or(at, |seems_at| seems_at.max(at));
        if waits.is_some_and(|(at, span)| since(waits_from(at), now) < span + secs(60)) {
            return Some("cool-down");
        }
        let unanswered_until = promises.unanswered_until(app, name, policy);
        if unanswered_until.is_some_and(|until| later(until, secs(60)) > now) {
            return Some("unanswered");
        }
        if invariants.is_rate_used_up(app, name, now) {
            return Some("max_restarts");
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
        let others = || {
            let is_beside = |other: &&Dyno| other.name.process_type() == name.process_type();
            world.dynos(state.name()).filter(move |other| is_beside(other) && other.name != *name)
        };
        let is_out = |other: &&Dyno| {
            other.state != DynoState::Up
                || later(settled_at(other, policy.settle), secs(60)) > now
                || later(settled_at(other, Duration::ZERO), secs(90)) > now
        };
        let was = earlier(now, secs(90));
        let is_broken = |other: &Dyno| promises.is_broken(app, &other.name, policy, was);
        let formation: Vec<&Dyno> = others().filter(|other| !other.is_one_off).collect();
        let out: Vec<&&Dyno> = formation.iter().filter(|other| is_out(other)).collect();
        if !out.iter().all(|other| is_broken(other)) {
            return Some("others are out");
        }
        // Nothing that can still be seen shows that a new dyno of the type stays up.
        let has_booted_since = |at: Timestamp| {
            let formation = world.dynos(state.name()).filter(|seen| !seen.is_one_off);
            let mut up = formation.filter(|seen| {
                seen.name.process_type() == name.process_type() && seen.state == DynoState::Up
            });
            up.any(|seen| {
                let up_at = settled_at(seen, Duration::ZERO);
                up_at > at && up_at <= was
            })
        };
        // A DELETE without an answer may be carried out until it counts as carried out.
        let failed_at = |other: &Dyno| {
            let failed_at = promises.failed_at(app, &other.name, policy)?;
            Some(promises.noted_at(app, &other.name).map_or(failed_at, |noted_at| noted_at.max(failed_at)))
        };
        if out.iter().filter_map(|other| failed_at(other)).any(|at| !has_booted_since(at)) {
            return Some("our restart failed");
        }
        if !out.is_empty() && 2 * (formation.len() - out.len()) < formation.len() {
            return Some("too few others are up");
        }
        None
    }
}

fn extend<K: Eq + Hash>(ends: &mut HashMap<K, Timestamp>, key: K, until: Timestamp) {
    let end = ends.entry(key).or_insert(until);
    *end = until.max(*end);
}
