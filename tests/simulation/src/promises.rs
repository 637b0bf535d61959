//! The promises about restarts, judged by what the simulated Heroku knows and by when calls were sent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use dynowarden_core::event::DynoState;
use dynowarden_core::ident::{DynoName, InstanceId, ProcessType};
use dynowarden_core::policy::{AppPlan, Policy};
use dynowarden_core::time::{later, since};
use heroku_sim::dyno::Dyno;
use heroku_sim::world::World;

use crate::invariants::{ListTruth, Verdicts, hold};
use crate::scenario::secs;

/// What is true about each dyno that matters to a promise.
#[derive(Debug, Default)]
pub struct Promises {
    places: BTreeMap<(usize, DynoName), Place>,
    /// When a dyno of each type was last seen to come up.
    booted_at: HashMap<(usize, ProcessType), Timestamp>,
    /// When the daemon last died.
    died_at: Option<Timestamp>,
    /// Apps with preboot, whose old instances write under the same name for minutes.
    preboot: BTreeSet<usize>,
    released_at: HashMap<usize, Timestamp>,
    /// The list of dynos at the last look, if a second look at the same list would show nothing new.
    seen: Option<u64>,
}

#[derive(Debug, Default)]
struct Place {
    /// When a person's word was last accepted.
    forced_at: Option<Timestamp>,
    /// Whether the last claim was for a person's word.
    claims_forced: bool,
    /// When the daemon last gave it up.
    gave_up_at: Option<Timestamp>,
    /// When the API last accepted a DELETE.
    accepted_at: Option<Timestamp>,
    /// The instance that was last up.
    booted: Option<InstanceId>,
    /// Since when no instance has been up; none while one is.
    down_since: Option<Timestamp>,
    /// The last such time that is over: its start and end.
    was_down: Option<(Timestamp, Timestamp)>,
    newest_error: Option<Timestamp>,
    /// The release of its newest instance, and since when.
    release: Option<(u64, Timestamp)>,
    /// When the daemon learnt of an acceptance.
    noted_at: Option<Timestamp>,
    newest_sample: Option<Timestamp>,
    /// When it was last found slower than its peers.
    newest_slow: Option<Timestamp>,
    /// The last DELETE, until its answer is known.
    open: Option<Sent>,
    /// The last DELETE.
    sent: Option<Sent>,
    /// DELETEs that were carried out, oldest first.
    taken: Vec<Taken>,
}

#[derive(Clone, Debug)]
struct Sent {
    at: Timestamp,
    is_forced: bool,
    /// A memory rule fired, so that samples above its limit tell whether the restart helped.
    by_memory: bool,
    instance: Option<InstanceId>,
}

#[derive(Clone, Debug)]
struct Taken {
    sent_at: Timestamp,
    at: Timestamp,
    by_memory: bool,
    /// The instance that it was sent to.
    old: Option<InstanceId>,
    /// It was not carried out, but the daemon must count it as carried out.
    is_assumed: bool,
    /// The new instance, once it is up, and since when.
    up: Option<(InstanceId, Timestamp)>,
    /// When the new instance first wrote the error, if that was soon after it was up.
    useless_at: Option<Timestamp>,
    /// When the daemon received such a line.
    heard_at: Option<Timestamp>,
    /// The daemon has surely written that it did not help.
    is_written: bool,
}

impl Taken {
    fn new(sent: &Sent, at: Timestamp) -> Self {
        Self {
            sent_at: sent.at,
            at,
            by_memory: sent.by_memory,
            old: sent.instance,
            is_assumed: true,
            up: None,
            useless_at: None,
            heard_at: None,
            is_written: false,
        }
    }
}

impl Place {
    /// Counts a DELETE as carried out that was not.
    fn assume(&mut self, open: Option<Sent>) {
        let is_done = |open: &Sent| self.taken.last().is_some_and(|taken| taken.at >= open.at);
        if let Some(open) = open.filter(|open| !is_done(open)) {
            self.taken.push(Taken::new(&open, open.at));
            self.forced_at = self.forced_at.max(Some(open.at).filter(|_| open.is_forced));
        }
    }
}

/// A DELETE that is being sent.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub app: usize,
    pub dyno: &'a DynoName,
    pub is_forced: bool,
    /// The rule that fired; none for an order.
    pub rule: Option<&'a str>,
    /// How much older the last restart seems, because the clock was set between two processes.
    pub drift: Duration,
}

impl Promises {
    /// Looks at every dyno. Must be called before the world goes on.
    pub fn look(&mut self, plans: &[AppPlan], world: &World, now: Timestamp) {
        let list = world.fingerprint();
        if self.seen.replace(list) == Some(list) {
            return;
        }
        for (app, plan) in plans.iter().enumerate() {
            if world.app(plan.name.as_str()).is_some_and(|app| app.spec.preboot) {
                self.preboot.insert(app);
            }
            let is_up = |name: &DynoName| {
                world.dynos(&plan.name).any(|twin| twin.name == *name && twin.state == DynoState::Up)
            };
            for dyno in world.dynos(&plan.name).filter(|dyno| !dyno.is_one_off) {
                // With preboot, the old instance is still up.
                if dyno.state == DynoState::Up || !is_up(&dyno.name) {
                    self.look_at(app, dyno, now);
                }
            }
        }
    }

    fn look_at(&mut self, app: usize, dyno: &Dyno, now: Timestamp) {
        let place = self.places.entry((app, dyno.name.clone())).or_default();
        if place.release.is_none_or(|(release, _)| release < dyno.release) {
            place.release = Some((dyno.release, now));
        }
        if dyno.state != DynoState::Up {
            // The daemon need not have seen that it was up for a moment.
            let blip = place.was_down.filter(|(_, end)| since(*end, now) < BLIP);
            place.down_since.get_or_insert(blip.map_or(now, |(start, _)| start));
            return;
        }
        let was_down = place.down_since.take();
        place.was_down = was_down.map(|start| (start, now)).or(place.was_down);
        // With preboot, the old instance is up until the new one is.
        if place.booted.replace(dyno.id) != Some(dyno.id) || was_down.is_some() {
            let booted = self.booted_at.entry((app, dyno.name.process_type().clone())).or_insert(now);
            *booted = (*booted).max(dyno.updated_at);
        }
        if let Some(last) = place.taken.last_mut()
            && last.up.is_none()
            && dyno.created_at >= last.at
        {
            last.up = Some((dyno.id, dyno.updated_at.max(dyno.created_at)));
        }
    }

    /// An instance wrote an error.
    pub fn error(&mut self, app: usize, dyno: &DynoName, instance: InstanceId, at: Timestamp) {
        let soon = self.soon(app);
        let place = self.places.entry((app, dyno.clone())).or_default();
        place.newest_error = place.newest_error.max(Some(at));
        if let Some(last) = place.taken.last_mut()
            && let Some((_, up_at)) = last.up
            && last.old != Some(instance)
            && since(up_at, at) <= soon
        {
            last.useless_at.get_or_insert(at);
        }
    }

    /// An error of another app counts, because nobody can tell whose it is.
    pub fn foreign_error(&mut self, app: usize, dyno: &DynoName, at: Timestamp) {
        let soon = self.soon(app);
        let place = self.places.entry((app, dyno.clone())).or_default();
        place.newest_error = place.newest_error.max(Some(at));
        if let Some(last) = place.taken.last_mut()
            && last.up.is_some_and(|(_, up_at)| since(up_at, at) <= soon)
        {
            last.useless_at.get_or_insert(at);
        }
    }

    /// An instance, or an unknown one, wrote a sample. `is_over` says whether it is above the limit of a
    /// memory rule.
    pub fn sample(
        &mut self,
        (app, dyno): (usize, DynoName),
        instance: Option<InstanceId>,
        is_over: bool,
        at: Timestamp,
    ) {
        let soon = self.soon(app);
        let place = self.places.entry((app, dyno)).or_default();
        place.newest_sample = place.newest_sample.max(Some(at));
        if let Some(last) = place.taken.last_mut()
            && last.by_memory
            && is_over
            && let Some((_, up_at)) = last.up
            && (instance.is_none() || last.old != instance)
            && since(up_at, at) <= soon
        {
            last.useless_at.get_or_insert(at);
        }
    }

    /// A dyno was found slower than its peers.
    pub fn slow(&mut self, app: usize, dyno: &DynoName, at: Timestamp) {
        let soon = self.soon(app);
        let place = self.places.entry((app, dyno.clone())).or_default();
        place.newest_slow = Some(at);
        if let Some(last) = place.taken.last_mut()
            && last.up.is_some_and(|(_, up_at)| since(up_at, at) <= soon)
        {
            last.useless_at.get_or_insert(at);
        }
    }

    /// How soon after a restart the error must be back for the restart not to have helped.
    fn soon(&self, app: usize) -> Duration {
        // With preboot, the old instance errs under the same name until nobody can tell sooner.
        if self.preboot.contains(&app) { PREBOOT_OVERLAP } else { HELP_WITHIN }
    }

    /// The daemon found that the last restart did not help. Whether it had to find that is not judged: lines
    /// are lost, and a process that began later does not know enough.
    pub fn found_useless(&mut self, app: usize, dyno: &DynoName, now: Timestamp) {
        if let Some(last) = self.places.get_mut(&(app, dyno.clone())).and_then(|place| place.taken.last_mut())
        {
            last.heard_at.get_or_insert(now);
        }
    }

    /// The daemon wrote that the last restart did not help.
    pub fn wrote_useless(&mut self, app: usize, dyno: &DynoName) {
        if let Some(last) = self.places.get_mut(&(app, dyno.clone())).and_then(|place| place.taken.last_mut())
        {
            last.is_written = true;
        }
    }

    pub fn died(&mut self, now: Timestamp) {
        self.seen = None;
        self.died_at = Some(now);
        // It may not have lived to write down what it had just learnt.
        for place in self.places.values_mut() {
            place.accepted_at = place.accepted_at.filter(|at| since(*at, now) > secs(2));
            let Some(last) = place.taken.last_mut() else { continue };
            last.heard_at = last.heard_at.filter(|at| last.is_written || since(*at, now) > secs(2));
        }
    }

    pub fn released(&mut self, app: usize, now: Timestamp) {
        self.seen = None;
        self.released_at.insert(app, now);
    }

    /// A DELETE is sent.
    pub fn sends(&mut self, request: Request<'_>, policy: &Policy, world: &Dyno, now: Timestamp) -> Verdicts {
        self.seen = None;
        let Request { app, dyno, is_forced, rule, drift } = request;
        hold!(!world.is_one_off, "DELETE of {dyno}, a one-off dyno");
        let needed = if is_forced { Duration::ZERO } else { self.wait_after_last(app, dyno, policy) };
        let place = self.places.entry((app, dyno.clone())).or_default();
        if let Some(open) = &place.open
            && open.instance == Some(world.id)
        {
            let gone_for = since(open.at, now);
            let wait = policy.boot_timeout.max(secs(60));
            hold!(gone_for >= wait, "DELETE of {dyno} again, {gone_for:?} after one without an answer");
        }
        let newest = match rule {
            Some("memory" | "swap") => place.newest_sample,
            Some("slow") => place.newest_slow,
            // It is the look itself.
            Some("uptime") => Some(now),
            Some(_) => place.newest_error,
            None => Some(now),
        };
        let age = newest.map_or(Duration::MAX, |at| since(at, now));
        hold!(age <= ERROR_AGE_MAX, "DELETE of {dyno}, whose last error is {age:?} old");
        if !is_forced {
            let cooled =
                place.accepted_at.is_none_or(|at| since(at, now) + drift + secs(1) >= policy.cooldown);
            hold!(cooled, "DELETE of {dyno} within the cool-down of an accepted one");
            if let Some(last) = place.taken.last() {
                let waited = since(last.sent_at, now) + drift;
                let useless = place.taken.iter().rev().take_while(|taken| taken.useless_at.is_some()).count();
                hold!(
                    waited + secs(2) >= needed,
                    "DELETE of {dyno} {waited:?} after the last, of which {useless} in a row did not help: \
                     {needed:?} needed"
                );
            }
        }
        let by_memory = matches!(rule, Some("memory" | "swap"));
        let sent = Sent { at: now, is_forced, by_memory, instance: Some(world.id) };
        place.open = Some(sent.clone());
        place.sent = Some(sent);
        Ok(())
    }

    /// The API itself answered a DELETE, or it was surely not sent.
    pub fn answered(&mut self, app: usize, dyno: &DynoName, is_accepted: bool, now: Timestamp) {
        self.seen = None;
        let place = self.places.entry((app, dyno.clone())).or_default();
        let open = place.open.take();
        if is_accepted {
            place.assume(open);
            place.accepted_at = Some(now);
        }
    }

    /// The daemon found that the dyno is up after a restart. Another instance may have been up for moments
    /// between two polls, or while the daemon was down: the one that it sees is the new dyno for it.
    pub fn found_up(&mut self, app: usize, dyno: &DynoName, instance: InstanceId, up_since: Timestamp) {
        self.seen = None;
        let place = self.places.entry((app, dyno.clone())).or_default();
        if let Some(last) = place.taken.last_mut()
            && last.useless_at.is_none()
            && last.old != Some(instance)
        {
            last.up = Some((instance, up_since));
        }
    }

    /// The daemon asked for a claim.
    pub fn claimed(&mut self, app: usize, dyno: &DynoName, is_forced: bool) {
        self.seen = None;
        self.places.entry((app, dyno.clone())).or_default().claims_forced = is_forced;
    }

    /// The daemon found that a DELETE was not carried out.
    pub fn ignored(&mut self, app: usize, dyno: &DynoName) {
        self.seen = None;
        let place = self.places.entry((app, dyno.clone())).or_default();
        place.taken.pop_if(|last| last.is_assumed);
    }

    /// The daemon learnt that a restart was accepted, or counts it as accepted. `claimed_at` is its last
    /// claim.
    pub fn noted(&mut self, app: usize, dyno: &DynoName, claimed_at: Option<Timestamp>, now: Timestamp) {
        self.seen = None;
        let place = self.places.entry((app, dyno.clone())).or_default();
        place.noted_at = Some(now);
        // The answer was lost, and something else replaced the instance. Or the process died before it sent
        // the DELETE, and the next one cannot know.
        match (&place.sent, claimed_at) {
            (Some(sent), _) if claimed_at.is_none_or(|at| at <= sent.at) => {
                place.assume(Some(sent.clone()));
            }
            (_, at) => {
                let at = at.unwrap_or(now);
                let is_forced = place.claims_forced;
                place.assume(Some(Sent { at, is_forced, by_memory: false, instance: None }));
            }
        }
    }

    /// A DELETE is carried out.
    pub fn carried_out(&mut self, app: usize, dyno: &DynoName, is_forced: bool, now: Timestamp) {
        self.seen = None;
        let place = self.places.entry((app, dyno.clone())).or_default();
        place.forced_at = place.forced_at.max(Some(now).filter(|_| is_forced));
        let open_at = place.open.as_ref().map(|open| open.at);
        // Heroku may have replaced the instance before a late DELETE does, so that it seemed carried out.
        let is_same = |last: &Taken| match open_at {
            Some(at) => at == last.sent_at,
            None => last.up.is_none(),
        };
        let assumed = place.taken.pop_if(|last| last.is_assumed && is_same(last));
        // What the daemon found in the meantime is found.
        let (useless_at, heard_at, is_written) = assumed.as_ref().map_or((None, None, false), |assumed| {
            (assumed.useless_at, assumed.heard_at, assumed.is_written)
        });
        let (sent_at, by_memory, old) = match (&place.open, assumed) {
            (Some(open), _) => (open.at, open.by_memory, open.instance),
            (None, Some(assumed)) => (assumed.sent_at, assumed.by_memory, assumed.old),
            (None, None) => (now, false, None),
        };
        let is_assumed = false;
        place.taken.push(Taken {
            sent_at,
            at: now,
            by_memory,
            old,
            is_assumed,
            up: None,
            useless_at,
            heard_at,
            is_written,
        });
    }

    /// The least time from the last restart to the next: the cool-down, doubled for each restart in a row
    /// that surely did not help, or the time of a give-up.
    fn wait_after_last(&self, app: usize, dyno: &DynoName, policy: &Policy) -> Duration {
        let useless = self.useless(app, dyno, |taken| taken.heard_at);
        let give_up_after = policy.give_up_after.get();
        let wait = match useless.checked_sub(give_up_after) {
            None => policy.cooldown * 2u32.pow(useless.min(6)),
            Some(more) => (policy.give_up_for * 2u32.pow(more.min(6))).min(DAY.max(policy.give_up_for)),
        };
        // A give-up takes the place of the doubled cool-down.
        let place = self.places.get(&(app, dyno.clone()));
        let has_given_up = place.is_some_and(|place| {
            place.taken.last().is_some_and(|last| place.gave_up_at.is_some_and(|at| at > last.at))
        });
        if has_given_up { wait.min(policy.give_up_for) } else { wait }
    }

    /// The longest wait that a promise allows after the last restart.
    pub fn longest_wait_after_last(
        &self,
        app: usize,
        dyno: &DynoName,
        policy: &Policy,
    ) -> Option<(Timestamp, Duration)> {
        let place = self.places.get(&(app, dyno.clone()))?;
        let last = place.taken.last()?;
        let useless = self.useless(app, dyno, |taken| taken.useless_at);
        // The daemon may have missed one of them, and be before a give-up.
        let doubled = policy.cooldown * 2u32.pow(useless.min(6));
        let wait = match useless.checked_sub(policy.give_up_after.get()) {
            None => doubled,
            Some(more) => {
                let span = (policy.give_up_for * 2u32.pow(more.min(6))).min(DAY.max(policy.give_up_for));
                doubled.max(span + HELP_WITHIN)
            }
        };
        Some((place.noted_at.map_or(last.at, |at| at.max(last.at)), wait))
    }

    /// Restarts in a row that did not help, since the last release and the last word of a person.
    fn useless(&self, app: usize, dyno: &DynoName, when: impl Fn(&Taken) -> Option<Timestamp>) -> u32 {
        let Some(place) = self.places.get(&(app, dyno.clone())) else { return 0 };
        let anew_at = self.counts_since(app, dyno);
        let counts = |taken: &&Taken| taken.at > anew_at && when(taken).is_some();
        place.taken.iter().rev().take_while(counts).count() as u32
    }

    /// A release and a person's word start the counts anew.
    pub fn counts_since(&self, app: usize, dyno: &DynoName) -> Timestamp {
        let place = self.places.get(&(app, dyno.clone()));
        let released_at = self.released_at.get(&app).copied();
        let released_at = released_at.max(place.and_then(|place| place.release).map(|(_, at)| at));
        released_at.max(place.and_then(|place| place.forced_at)).unwrap_or(Timestamp::MIN)
    }

    /// Giving up needs that many restarts in a row that truly did not help.
    pub fn gave_up(
        &mut self,
        (app, dyno): (usize, &DynoName),
        is_again: bool,
        policy: &Policy,
        now: Timestamp,
    ) -> Verdicts {
        self.seen = None;
        self.places.entry((app, dyno.clone())).or_default().gave_up_at = Some(now);
        let useless = self.useless(app, dyno, |taken| taken.useless_at);
        // After a give-up there is one more try.
        let needed = if is_again { 1 } else { policy.give_up_after.get() };
        hold!(useless >= needed, "gave up on {dyno} after {useless} restarts in a row that did not help");
        Ok(())
    }

    /// Whether a formation can spare one more dyno, by its true state when the API was asked. `ours` are
    /// those that we have taken or may have taken, and that have not settled since.
    pub fn spares(
        &self,
        (app, target): (usize, &DynoName),
        (list, ours): (&ListTruth, &BTreeSet<DynoName>),
        policy: &Policy,
        now: Timestamp,
    ) -> Verdicts {
        let is_beside = |name: &DynoName| name != target && name.process_type() == target.process_type();
        let beside = || list.dynos.iter().filter(|other| is_beside(&other.name));
        let others: BTreeSet<&DynoName> = beside().map(|other| &other.name).collect();
        let unsettled =
            beside().filter(|other| !other.is_settled(policy.settle, now)).map(|other| &other.name);
        let unanswered = others.iter().copied().filter(|name| self.is_unanswered(app, name, policy, now));
        let ours = ours.iter().filter(|name| is_beside(name));
        let out: BTreeSet<&DynoName> = unsettled.chain(unanswered).chain(ours.clone()).collect();
        // One that has just come up has not settled.
        let was_up =
            |name: &DynoName| list.dynos.iter().any(|seen| seen.name == *name && seen.state == DynoState::Up);
        let (broken, missing): (BTreeSet<&DynoName>, BTreeSet<&DynoName>) =
            out.iter().partition(|name| !was_up(name) && self.is_broken(app, name, policy, now));
        hold!(
            missing.len() < policy.max_concurrent.get() as usize,
            "{target} is to go while {} are or may be out, {} allowed",
            names(&missing),
            policy.max_concurrent
        );
        let ready = others.iter().filter(|name| !out.contains(**name)).count();
        hold!(
            broken.is_empty() || 2 * ready >= others.len(),
            "{target} is to go while {} are broken and {ready} of {} others are up",
            names(&broken),
            others.len()
        );
        let is_up =
            |name: &DynoName| beside().any(|other| other.name == *name && other.state == DynoState::Up);
        let left =
            others.iter().filter(|name| is_up(name) && !ours.clone().any(|taken| taken == **name)).count();
        hold!(
            others.is_empty() || left > 0,
            "{target} is to go, the last of {} that is up",
            others.len() + 1
        );
        Ok(())
    }

    /// Whether a DELETE has no answer yet, and may still be carried out.
    fn is_unanswered(&self, app: usize, dyno: &DynoName, policy: &Policy, now: Timestamp) -> bool {
        let Some(place) = self.places.get(&(app, dyno.clone())) else { return false };
        // Whatever replaced the instance, the daemon has seen another one since.
        let is_seen = |open: &Sent| {
            place.taken.last().is_some_and(|taken| taken.at >= open.at)
                || place.booted.is_some_and(|instance| Some(instance) != open.instance)
        };
        let wait = policy.boot_timeout.max(secs(60));
        place.open.as_ref().is_some_and(|open| !is_seen(open) && since(open.at, now) < wait)
    }

    /// Whether a dyno has been down for longer than a boot may take. If we took it, another dyno of its type
    /// must have booted since.
    pub fn is_broken(&self, app: usize, dyno: &DynoName, policy: &Policy, now: Timestamp) -> bool {
        let Some(place) = self.places.get(&(app, dyno.clone())) else { return false };
        let just_over = place.was_down.filter(|(_, end)| since(*end, now) < BLIP).map(|(start, _)| start);
        let Some(down_since) = place.down_since.or(just_over) else { return false };
        let because_of_us = place.taken.last().filter(|taken| taken.up.is_none());
        // Of a DELETE without an answer, nobody knows when it is carried out.
        let down_since = because_of_us.map_or(down_since, |taken| down_since.min(taken.sent_at));
        // The API's times are whole seconds.
        if since(down_since, now) + secs(2) < policy.boot_timeout {
            return false;
        }
        let booted_at = self.booted_at.get(&(app, dyno.process_type().clone()));
        because_of_us.is_none_or(|taken| booted_at.is_some_and(|at| *at >= taken.sent_at))
    }

    /// When the last restart was sent, if its new instance has not been up, or was not for long enough to
    /// settle. It may be up again.
    pub fn failed_at(&self, app: usize, dyno: &DynoName, policy: &Policy) -> Option<Timestamp> {
        let place = self.places.get(&(app, dyno.clone()))?;
        let last = place.taken.last()?;
        let down_since = place.down_since.or(place.was_down.map(|(start, _)| start));
        let has_settled = last
            .up
            .is_some_and(|(_, up_at)| down_since.is_none_or(|start| start >= later(up_at, policy.settle)));
        (!has_settled).then_some(last.sent_at)
    }

    /// Whether the last restart did not help, even if a release has come since.
    pub fn was_useless(&self, app: usize, dyno: &DynoName) -> bool {
        let last = self.places.get(&(app, dyno.clone())).and_then(|place| place.taken.last());
        last.is_some_and(|last| last.useless_at.is_some())
    }

    /// When the daemon last learnt of an acceptance.
    pub fn noted_at(&self, app: usize, dyno: &DynoName) -> Option<Timestamp> {
        self.places.get(&(app, dyno.clone()))?.noted_at
    }

    /// When the last restart of ours was carried out.
    pub fn last_taken(&self, app: usize, dyno: &DynoName) -> Option<Timestamp> {
        self.places.get(&(app, dyno.clone()))?.taken.last().map(|taken| taken.at)
    }

    /// Until when an unanswered DELETE counts as out.
    pub fn unanswered_until(&self, app: usize, dyno: &DynoName, policy: &Policy) -> Option<Timestamp> {
        let open = self.places.get(&(app, dyno.clone()))?.open.as_ref()?;
        Some(later(open.at, policy.boot_timeout.max(secs(60))))
    }
}

fn names(dynos: &BTreeSet<&DynoName>) -> String {
    dynos.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// An error this soon after the new dyno is up means that the restart did not help.
const HELP_WITHIN: Duration = Duration::from_secs(180);

/// How long the old instance of a dyno may run alongside the new one with preboot.
const PREBOOT_OVERLAP: Duration = Duration::from_secs(300);

/// How late the daemon may see that a dyno is up.
const BLIP: Duration = Duration::from_secs(15);

/// The newest error just before a DELETE, and what a claim may take.
const ERROR_AGE_MAX: Duration = Duration::from_secs(90 + 6);

const DAY: Duration = Duration::from_secs(86_400);
