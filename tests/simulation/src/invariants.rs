//! The promises, checked against the true state of the world, never against the engine's own records.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use dynowarden_core::api::DynoInfo;
use dynowarden_core::calendar::{self, QuietHours};
use dynowarden_core::engine::restore::RestoredState;
use dynowarden_core::event::{DynoState, Event, Fact, Megabytes};
use dynowarden_core::ident::{AppName, DynoName, InstanceId};
use dynowarden_core::limits;
use dynowarden_core::policy::{AppPlan, MemoryBound, Policy, Trigger};
use dynowarden_core::record::hold::Hold;
use dynowarden_core::record::{Action, AttemptId, Decision, MANUAL};
use dynowarden_core::time::{earlier, later, since};
use heroku_sim::dyno::Dyno;
use heroku_sim::world::World;

use crate::lights::Lights;
use crate::promises::{Promises, Request};
use crate::scenario::secs;
use crate::senders::Senders;

/// A dyno's true state when the API answered.
#[derive(Clone, Debug)]
pub struct DynoTruth {
    pub at: Timestamp,
    pub name: DynoName,
    pub id: InstanceId,
    pub state: DynoState,
    /// Since when it was in that state.
    pub since: Timestamp,
}

/// The true state of an app's dynos when the API listed them.
#[derive(Clone, Debug)]
pub struct ListTruth {
    pub dynos: Vec<DynoTruth>,
}

impl DynoTruth {
    pub fn of(dyno: &Dyno, now: Timestamp) -> Self {
        let since = dyno.created_at.max(dyno.updated_at);
        Self { at: now, name: dyno.name.clone(), id: dyno.id, state: dyno.state, since }
    }

    pub fn is_settled(&self, settle: Duration, now: Timestamp) -> bool {
        self.state == DynoState::Up && since(self.since, now) >= settle
    }
}

/// An attempt, identified by the process of the daemon and the attempt id.
pub type Holder = (u32, AttemptId);

/// The longest that the answer to a look may take to come back.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// The facts of an attempt, step by step.
#[derive(Clone, Debug, Default)]
struct Attempt {
    inspected: Option<(DynoTruth, ListTruth)>,
    claimed: Option<DynoInfo>,
    claim_granted: bool,
    decided: bool,
    /// An order, without an error.
    is_manual: bool,
    /// A person's word, which passes the limits.
    is_forced: bool,
    rule: Option<String>,
    /// The newest line before the DELETE.
    line_at: Option<Timestamp>,
    is_sent: bool,
    /// How far the clock was off at the start of the process that sent the DELETE.
    born_skew: SignedDuration,
    decided_at: Option<Timestamp>,
}

/// A restart that took effect, or that must count as one.
#[derive(Clone, Debug)]
struct Restart {
    /// When it took effect, or the daemon learnt that it counts.
    at: Timestamp,
    took_effect: Timestamp,
    holder: Holder,
    skew: SignedDuration,
}

/// The state of one place of a formation.
#[derive(Clone, Debug, Default)]
struct Place {
    restarts: Vec<Restart>,
    /// Claims, to check whether giving up was justified.
    claims: BTreeSet<u64>,
    claimed_at: Vec<Timestamp>,
    /// When the daemon learnt that a restart was accepted.
    noted_at: Vec<Timestamp>,
    /// When the restarts of earlier processes seem to have been to the present one. A time that a clock wrote
    /// that was ahead counts as a later one, and one in the future as now.
    seem_at: Vec<Timestamp>,
}

/// A pause by a person.
#[derive(Clone, Copy, Debug)]
struct Paused {
    until: Timestamp,
    /// How far the clock that wrote its end was behind. Another process takes it for that much shorter.
    behind: Duration,
    /// Its end by the clock that wrote it.
    stored: Timestamp,
    /// When the present process takes it to end. That is later if it was written by a clock that was ahead.
    seems_until: Timestamp,
}

#[derive(Debug)]
pub struct Invariants {
    pub lights: Lights,
    pub promises: Promises,
    /// The quiet hours that the daemon was told last, and when.
    pub quiet: HashMap<usize, (Timestamp, Option<QuietHours>)>,
    pub senders: Senders,
    plans: Vec<AppPlan>,
    attempts: HashMap<Holder, Attempt>,
    places: BTreeMap<(usize, DynoName), Place>,
    /// Restarts judged to be in order, until their outcome is known.
    engaged: Vec<(Holder, usize, DynoName)>,
    /// Dynos that we restarted, until they have been up for `settle`.
    out: Vec<(usize, DynoName)>,
    /// The instance that wrote an error line, by app, dyno and the time in the line.
    writers: HashMap<(usize, DynoName, Timestamp), InstanceId>,
    /// Pauses by persons, by Heroku's clock, which does not jump.
    pauses: BTreeMap<Option<usize>, Paused>,
    /// When the last line about a change in a dyno's life arrived.
    reported_leaving: HashMap<(usize, DynoName), Timestamp>,
    /// The last remaining calls that the API reported, and when.
    tokens: Option<(u32, Timestamp)>,
    /// How far the daemon's clock was off when its process started.
    born_skew: SignedDuration,
    born_at: Timestamp,
}

/// The daemon's clock: its distance from the platform's.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub now: Timestamp,
    pub skew: SignedDuration,
}

impl Clock {
    pub fn wall(self) -> Timestamp {
        self.now.checked_add(self.skew).unwrap_or(self.now)
    }
}

/// Broken promises.
pub type Verdicts = Result<(), String>;

/// Returns the broken promise unless it holds.
macro_rules! hold {
    ($promise:expr, $($words:tt)+) => {
        if !$promise {
            return Err(format!($($words)+));
        }
    };
}

pub(crate) use hold;

impl Invariants {
    pub fn new(plans: Vec<AppPlan>, senders: Senders) -> Self {
        Self {
            lights: Lights::default(),
            promises: Promises::default(),
            quiet: HashMap::new(),
            senders,
            plans,
            attempts: HashMap::new(),
            places: BTreeMap::new(),
            engaged: Vec::new(),
            out: Vec::new(),
            writers: HashMap::new(),
            pauses: BTreeMap::new(),
            reported_leaving: HashMap::new(),
            tokens: None,
            born_skew: SignedDuration::ZERO,
            born_at: Timestamp::MIN,
        }
    }

    pub fn policy(&self, app: usize) -> &Policy {
        &self.plans[app].policy
    }

    pub fn renamed(&mut self, app: usize, to: AppName) {
        self.plans[app].name = to;
    }

    pub fn app_name(&self, app: usize) -> &AppName {
        &self.plans[app].name
    }

    /// Notes which instance wrote a line.
    pub fn error_line(&mut self, app: usize, dyno: DynoName, instance: InstanceId, at: Timestamp) {
        self.promises.error(app, &dyno, instance, at);
        self.writers.insert((app, dyno, at), instance);
    }

    /// Notes a sample of memory, with its total and quota. The instance is unknown if another app wrote it.
    pub fn sample_line(
        &mut self,
        (app, dyno): (usize, DynoName),
        instance: Option<InstanceId>,
        (total, quota): (Megabytes, Megabytes),
        at: Timestamp,
    ) {
        let is_over = self.plans[app].rules.iter().any(|rule| match rule.trigger {
            Trigger::Memory { above: MemoryBound::OfQuota { permille }, .. } => {
                total.hundredths.saturating_mul(1000) >= quota.hundredths.saturating_mul(permille.into())
            }
            Trigger::Memory { above: MemoryBound::Size(size), .. } => total >= size,
            // What is swapped is part of what is above the quota.
            Trigger::Swap { .. } => total > quota,
            _ => false,
        });
        self.promises.sample((app, dyno), instance, is_over, at);
    }

    /// Another app's lines count for this one, because nobody can tell whose they are.
    pub fn foreign_lines(&mut self, app: usize, events: &[Event], now: Timestamp) {
        for Event { at, fact } in events {
            match fact {
                Fact::Error { dyno: Some(dyno), .. } => self.promises.foreign_error(app, dyno, *at),
                Fact::Release { .. } => self.promises.released(app, now),
                Fact::Sample { dyno, total, quota, .. } => {
                    self.sample_line((app, dyno.clone()), None, (*total, *quota), *at);
                }
                _ => {}
            }
        }
    }

    /// Notes a line about an event that ends an instance.
    pub fn reported_leaving(&mut self, app: usize, dyno: DynoName, now: Timestamp) {
        self.reported_leaving.insert((app, dyno), now);
    }

    pub fn pause(&mut self, app: Option<usize>, span: Duration, clock: Clock) {
        let behind = Duration::try_from(SignedDuration::ZERO.saturating_sub(clock.skew)).unwrap_or_default();
        let (until, stored) = (later(clock.now, span), later(clock.wall(), span));
        self.pauses.insert(app, Paused { until, behind, stored, seems_until: until });
    }

    pub fn resume(&mut self, app: Option<usize>) {
        match app {
            Some(_) => {
                self.pauses.remove(&app);
            }
            None => self.pauses.clear(),
        }
    }

    /// What the daemon may not do in an app, if anything. Windows are by its own clock.
    pub fn forbidden(&self, app: usize, clock: Clock) -> Option<&'static str> {
        let is_paused =
            |of: Option<usize>| self.pauses.get(&of).is_some_and(|paused| paused.until > clock.now);
        if is_paused(None) || is_paused(Some(app)) {
            return Some("paused");
        }
        (!calendar::open(&self.policy(app).window, clock.wall())).then_some("outside the window")
    }

    /// Whether something forbids restarts or seems to, or did a minute ago.
    pub fn is_or_was_forbidden(&self, app: usize, clock: Clock) -> bool {
        let was = Clock { now: earlier(clock.now, secs(60)), ..clock };
        self.forbidden(app, clock).is_some()
            || self.forbidden(app, was).is_some()
            || self.seems_paused(app, was.now)
    }

    /// Whether the present process takes the app for paused.
    fn seems_paused(&self, app: usize, now: Timestamp) -> bool {
        let is_so = |of: Option<usize>| self.pauses.get(&of).is_some_and(|paused| paused.seems_until > now);
        is_so(None) || is_so(Some(app))
    }

    /// Whether `max_restarts` may be used up, claims included that came to nothing.
    pub fn is_rate_used_up(&self, app: usize, name: &DynoName, now: Timestamp) -> bool {
        let rate = self.policy(app).max_restarts;
        let Some(place) = self.places.get(&(app, name.clone())) else { return false };
        let is_used_up = |times: &[Timestamp]| {
            let recent = times.iter().filter(|at| since(**at, now) < rate.per + secs(90));
            recent.count() >= rate.count.get() as usize
        };
        let since_birth = place.noted_at.iter().filter(|at| **at >= self.born_at);
        let seen_now: Vec<Timestamp> = place.seem_at.iter().chain(since_birth).copied().collect();
        is_used_up(&place.claimed_at) || is_used_up(&place.noted_at) || is_used_up(&seen_now)
    }

    /// The daemon learnt that a restart was accepted, however late.
    pub fn noted(&mut self, app: usize, name: &DynoName, now: Timestamp) {
        self.places.entry((app, name.clone())).or_default().noted_at.push(now);
        self.promises.noted(app, name, self.last_claim(app, name), now);
    }

    /// Another process of the daemon starts, and reads the times of the last one.
    pub fn born(&mut self, past: &RestoredState, clock: Clock) {
        (self.born_skew, self.born_at) = (clock.skew, clock.now);
        self.places.values_mut().for_each(|place| place.seem_at.clear());
        for restart in &past.restarts {
            let seems_at = earlier(clock.now, since(restart.accepted_at, clock.wall()));
            let place = self.places.entry((restart.app.0 as usize, restart.dyno.clone())).or_default();
            place.seem_at.push(seems_at);
        }
        for paused in self.pauses.values_mut() {
            paused.until = earlier(paused.until, std::mem::take(&mut paused.behind));
            paused.seems_until = later(clock.now, since(clock.wall(), paused.stored));
        }
    }

    /// The daemon died: no task waits for answers any more.
    pub fn died(&mut self, now: Timestamp) {
        self.promises.died(now);
        self.lights.died();
        self.senders.died();
        self.tokens = None;
        self.engaged.clear();
    }

    pub fn reported_quota(&mut self, remaining: u32, now: Timestamp) {
        self.tokens = Some((remaining, now));
    }

    /// Checks that a call leaves what even a restart leaves to others, by the last report.
    pub fn asks(&mut self, calls: u32, now: Timestamp) -> Verdicts {
        let Some((reported, at)) = self.tokens else { return Ok(()) };
        let back = since(at, now).as_millis() as u64 * u64::from(limits::API_TOKENS_PER_MINUTE) / 60_000;
        let most = u64::from(reported) + back + 1;
        hold!(
            most >= u64::from(CALLS_LEFT_MIN + calls),
            "{calls} calls of at most {most} that are left, and the last {CALLS_LEFT_MIN} are not ours"
        );
        Ok(())
    }

    pub fn inspected(&mut self, holder: Holder, dyno: Option<DynoTruth>, list: ListTruth) {
        let attempt = self.attempts.entry(holder).or_default();
        attempt.inspected = dyno.map(|dyno| (dyno, list));
        attempt.claim_granted = false;
    }

    pub fn decided(&mut self, life: u32, decision: &Decision, clock: Clock) -> Verdicts {
        let dyno = decision.dyno.as_ref().map_or_else(String::new, ToString::to_string);
        hold!(!decision.reason().is_empty(), "a decision about {dyno} without a reason");
        hold!(!decision.reason_label().is_empty(), "a decision about {dyno} without a word for its reason");
        let app = decision.app.0 as usize;
        if let Action::Hold(Hold::PlatformRed) = decision.action {
            self.lights.allow_hold(&dyno, clock.now)?;
        }
        if let Action::Restart { dry_run, formation } = decision.action {
            hold!(formation >= 1, "a restart of {dyno} in a formation of none");
            hold!(dry_run == self.plans[app].dry_run, "{dyno}: dry run and not are mixed up");
            // Whether an order is a person's word shows when the claim is made.
            let is_forced = &*decision.rule == MANUAL;
            // A dry run claims nothing, and only a claim reads the pause once more. The real store also holds
            // a pause that seems over until the clock is confirmed.
            let is_over = |what: &&str| dry_run && *what == "paused" && !self.seems_paused(app, clock.now);
            let forbidden = self.forbidden(app, clock).filter(|what| !is_over(what));
            if let Some(what) = forbidden.filter(|what| !is_forced || *what == "paused") {
                return Err(format!("a restart of {dyno} was decided while {what}"));
            }
        }
        let Some(attempt_id) = decision.attempt_id else { return Ok(()) };
        let attempt = self.attempts.entry((life, attempt_id)).or_default();
        if !attempt.is_sent {
            attempt.line_at = attempt.line_at.max(decision.evidence.line_at);
        }
        if let Action::Restart { .. } = decision.action {
            hold!(!attempt.decided, "{dyno}: two decisions to restart for one attempt");
            attempt.decided = true;
            attempt.is_manual = &*decision.rule == MANUAL;
            attempt.rule = Some(decision.rule.to_string()).filter(|_| !attempt.is_manual);
            attempt.decided_at = Some(clock.now);
            if self.plans[app].dry_run
                && let Some(dyno) = &decision.dyno
            {
                // It counts as if it had been sent.
                self.places.entry((app, dyno.clone())).or_default().claimed_at.push(clock.now);
            }
        }
        Ok(())
    }

    /// The daemon saw that the DELETE was not carried out before `boot_timeout` was over. It may have been
    /// carried out since that look was answered.
    pub fn unanswered(&mut self, holder: Holder, app: usize, dyno: &DynoName, now: Timestamp) {
        let place = self.places.entry((app, dyno.clone())).or_default();
        place.restarts.retain(|restart| restart.holder != holder || since(restart.at, now) > LOOK_MAX);
    }

    /// Giving up needs restarts in a row that did not help.
    pub fn gave_up(&mut self, app: usize, dyno: &DynoName, is_again: bool, now: Timestamp) -> Verdicts {
        let policy = self.policy(app).clone();
        self.promises.gave_up((app, dyno), is_again, &policy, now)
    }

    /// The engine asks the store for a claim.
    pub fn claims(
        &mut self,
        holder: Holder,
        app: usize,
        (seen, is_forced): (&DynoInfo, bool),
        now: Timestamp,
    ) -> Verdicts {
        let dry_run = self.plans[app].dry_run;
        hold!(!dry_run, "a claim on {} in a dry run", seen.name);
        let attempt = self.attempts.entry(holder).or_default();
        let Some((_, list)) = &attempt.inspected else {
            return Err(format!("a claim on {} without a look that saw it", seen.name));
        };
        // It is judged at this moment: dynos that were judged before may be out by now.
        let engaged = self.engaged.iter().filter(|(_, of, _)| *of == app).map(|(_, _, name)| name);
        // A DELETE that was given up may be carried out after the list was read.
        let read_at = list.dynos.iter().map(|seen| seen.at).max();
        let is_shown = |place: &(usize, DynoName)| {
            let last = self.places.get(place).and_then(|place| place.restarts.last());
            last.is_none_or(|last| read_at.is_none_or(|read_at| last.took_effect <= read_at))
        };
        let ours = self.out.iter().filter(|place| place.0 == app && is_shown(place)).map(|(_, name)| name);
        let ours: BTreeSet<DynoName> = engaged.chain(ours).cloned().collect();
        self.promises.spares((app, &seen.name), (list, &ours), &self.plans[app].policy, now)?;
        self.promises.claimed(app, &seen.name, is_forced);
        self.engaged.push((holder, app, seen.name.clone()));
        attempt.claimed = Some(seen.clone());
        attempt.claim_granted = false;
        attempt.is_forced = is_forced;
        Ok(())
    }

    pub fn is_over(&mut self, holder: Holder) {
        self.engaged.retain(|(of, _, _)| *of != holder);
    }

    pub fn claim_granted(&mut self, holder: Holder) {
        self.attempts.entry(holder).or_default().claim_granted = true;
    }

    /// A claim is in the store, whether or not the daemon lives to receive the answer.
    pub fn claim_written(&mut self, row: u64, app: usize, dyno: &DynoName, now: Timestamp) {
        let place = self.places.entry((app, dyno.clone())).or_default();
        if place.claims.insert(row) {
            place.claimed_at.push(now);
        }
    }

    pub fn sends_delete(
        &mut self,
        holder: Holder,
        (app, dyno): (usize, &DynoName),
        world: &World,
        clock: Clock,
    ) -> Verdicts {
        self.lights.allow_delete(dyno, clock.now)?;
        let listed = self.policy(app).process_types.contains(dyno.process_type());
        hold!(listed, "DELETE of {dyno}, whose type is not listed");
        hold!(!self.plans[app].dry_run, "DELETE of {dyno} in a dry run");
        let attempt = self.attempts.entry(holder).or_default();
        let is_forced = attempt.is_forced;
        let last = self.places.get(&(app, dyno.clone())).and_then(|place| place.restarts.last());
        let drift = last.filter(|last| last.holder.0 != holder.0).map_or(SignedDuration::ZERO, |last| {
            self.born_skew.checked_sub(last.skew).unwrap_or_default().max(SignedDuration::ZERO)
        });
        let drift = Duration::try_from(drift).unwrap_or_default();
        let request = Request { app, dyno, is_forced, rule: attempt.rule.as_deref(), drift };
        if let Some(target) = world.dyno(&self.plans[app].name, &dyno.to_string()) {
            self.promises.sends(request, &self.plans[app].policy, target, clock.now)?;
        }
        if let Some(what) = self.forbidden(app, clock).filter(|what| !is_forced || *what == "paused") {
            return Err(format!("DELETE of {dyno} while {what}"));
        }
        let attempt = self.attempts.entry(holder).or_default();
        hold!(attempt.claim_granted, "DELETE of {dyno} without a claim since the last look");
        hold!(attempt.decided, "DELETE of {dyno} without a decision on record");
        hold!(
            attempt.claimed.as_ref().is_some_and(|seen| seen.name == *dyno),
            "DELETE of {dyno}, claimed was another"
        );
        attempt.claim_granted = false;
        attempt.is_sent = true;
        attempt.born_skew = self.born_skew;
        attempt.decided_at = Some(clock.now);
        let Some((inspected, _)) = &attempt.inspected else { return Err(format!("DELETE of {dyno} unseen")) };
        if let Some(reported) = self.reported_leaving.get(&(app, dyno.clone())) {
            hold!(*reported <= inspected.at, "DELETE of {dyno} after the platform said that it replaces it");
        }
        Ok(())
    }

    /// A rule on uptime restarts only what is old enough, and only in the quiet hours.
    fn is_old_enough(&self, app: usize, inspected: &DynoTruth, clock: Clock) -> Verdicts {
        let above = self.plans[app].rules.iter().find_map(|rule| match rule.trigger {
            Trigger::Uptime { above } => Some(above),
            _ => None,
        });
        let age = since(inspected.since, inspected.at);
        hold!(above.is_some_and(|above| age + secs(2) >= above), "restarted for its age of {age:?}");
        let Some((told_at, quiet)) = self.quiet.get(&app) else {
            return Err("restarted for its age before quiet hours were known".to_owned());
        };
        // What is sent at the end of an hour may take effect in the next one.
        let is_just_over = since(*told_at, clock.now) < secs(600);
        let is_quiet = quiet.as_ref().is_some_and(|quiet| {
            quiet.contains(clock.wall()) || quiet.contains(earlier(clock.wall(), secs(600)))
        });
        hold!(is_quiet || is_just_over, "restarted for its age outside the quiet hours");
        Ok(())
    }

    /// A DELETE takes effect on the instance `hit`.
    pub fn effect(&mut self, holder: Holder, app: usize, hit: &Dyno, clock: Clock) -> Result<bool, String> {
        let now = clock.now;
        let name = hit.name.clone();
        let policy = self.plans[app].policy.clone();
        let attempt = self.attempts.get(&holder).cloned().unwrap_or_default();
        let Some((inspected, _)) = &attempt.inspected else {
            return Err(format!("{name} was never looked at"));
        };

        hold!(inspected.state == DynoState::Up, "{name} was {:?} at the look", inspected.state);
        hold!(inspected.name == name && name.process_type() == hit.name.process_type(), "{name}: wrong dyno");
        let by_age = attempt.rule.as_deref() == Some("uptime");
        if by_age {
            self.is_old_enough(app, inspected, clock)?;
        }
        let judged_at = if attempt.is_manual || by_age {
            // A person's request stands for the error; the inspection came after it.
            inspected.at
        } else {
            let line_at = attempt.line_at.ok_or_else(|| format!("{name}: no error in the evidence"))?;
            hold!(inspected.since < line_at, "{name}: the error is older than the dyno");
            line_at
        };
        let age = since(inspected.since, judged_at);
        // For a manual restart, the age is by our clock at the response's arrival, and an inspection takes
        // time.
        let slack =
            if attempt.is_manual { since(inspected.at, attempt.decided_at.unwrap_or(now)) } else { secs(0) };
        hold!(
            attempt.is_forced || age + slack >= policy.min_uptime,
            "{name} was only {age:?} up, min_uptime is {:?}",
            policy.min_uptime
        );

        let raced = inspected.id != hit.id;
        if raced {
            // Replaced by something else while the request was on its way: nothing could have prevented that.
            hold!(hit.created_at >= inspected.at, "{name}: DELETE of another instance than was looked at");
        }

        self.within_the_rate(holder, app, &name, attempt.is_forced, clock)?;
        self.promises.carried_out(app, &name, attempt.is_forced, now);
        let place = self.places.entry((app, name.clone())).or_default();
        // The daemon may have learnt before the effect that it counts as carried out.
        let sent_at = attempt.decided_at.unwrap_or(now);
        let noted_at = place.noted_at.last().copied().filter(|at| *at >= sent_at && *at < now);
        place.restarts.push(Restart {
            at: noted_at.unwrap_or(now),
            took_effect: now,
            holder,
            skew: clock.skew,
        });
        if !self.out.contains(&(app, name.clone())) {
            self.out.push((app, name));
        }
        Ok(raced)
    }

    #[expect(clippy::too_many_arguments, reason = "the facts of one moment, and each is of another kind")]
    fn within_the_rate(
        &mut self,
        holder: Holder,
        app: usize,
        name: &DynoName,
        is_forced: bool,
        clock: Clock,
    ) -> Verdicts {
        if is_forced {
            return Ok(());
        }
        let born_skew = self.attempts.get(&holder).map_or(self.born_skew, |attempt| attempt.born_skew);
        let policy = self.plans[app].policy.clone();
        let place = self.places.entry((app, name.clone())).or_default();
        // Times that another process stored were by a clock that may have been set since.
        let seems = |restart: &Restart| {
            let set = born_skew.checked_sub(restart.skew).unwrap_or_default();
            let drift = if restart.holder.0 == holder.0 { SignedDuration::ZERO } else { set };
            since(restart.at, clock.now) + Duration::try_from(drift).unwrap_or_default()
        };
        if let Some(last) = place.restarts.last() {
            let span = seems(last);
            hold!(
                span >= policy.cooldown,
                "{name} restarted {span:?} after the last, cool-down is {:?}",
                policy.cooldown
            );
        }
        let rate = policy.max_restarts;
        let anew_at = self.promises.counts_since(app, name);
        let counts = |restart: &&Restart| restart.at > anew_at && seems(restart) < rate.per;
        let recent = place.restarts.iter().filter(counts).count();
        hold!(
            recent < rate.count.get() as usize,
            "{name} restarted again after {recent} in {:?}, {} allowed",
            rate.per,
            rate.count
        );
        Ok(())
    }

    /// Whether the line that led to a DELETE was written by the inspected instance. Another one may still
    /// write under its name for at most `overlap`.
    pub fn is_writer(&self, holder: Holder, app: usize, overlap: Duration) -> Result<bool, String> {
        // A manual restart rests on no line, whatever was written while it waited for its turn.
        let attempt = self.attempts.get(&holder).filter(|attempt| !attempt.is_manual);
        let Some(attempt) = attempt else { return Ok(true) };
        let (Some(line_at), Some((inspected, _))) = (attempt.line_at, &attempt.inspected) else {
            return Ok(true);
        };
        let writer = self.writers.get(&(app, inspected.name.clone(), line_at));
        let is_writer = writer.is_none_or(|writer| *writer == inspected.id);
        hold!(
            is_writer || self.policy(app).min_uptime <= overlap,
            "{} is restarted for what another instance wrote under its name",
            inspected.name
        );
        Ok(is_writer)
    }

    /// Removes dynos that are up and settled; must be called before the world goes on.
    pub fn settle(&mut self, world: &World, now: Timestamp) {
        self.promises.look(&self.plans, world, now);
        if self.out.is_empty() {
            return;
        }
        let plans = &self.plans;
        self.out.retain(|(app, name)| {
            let plan = &plans[*app];
            let dyno = world.dyno(&plan.name, &name.to_string());
            dyno.is_some_and(|dyno| !DynoTruth::of(dyno, now).is_settled(plan.policy.settle, now))
        });
    }

    /// Our last restart at a place.
    pub fn last_restart(&self, app: usize, name: &DynoName) -> Option<Timestamp> {
        self.places.get(&(app, name.clone()))?.restarts.last().map(|restart| restart.at)
    }

    /// Whether another dyno of the type was to be restarted within the last boot time-out.
    pub fn is_claimed_beside(&self, app: usize, name: &DynoName, now: Timestamp) -> bool {
        let span = self.policy(app).boot_timeout + secs(60);
        self.places.iter().any(|((of, other), place)| {
            *of == app
                && other != name
                && other.process_type() == name.process_type()
                && place.claimed_at.last().is_some_and(|at| since(*at, now) < span)
        })
    }

    /// When the last restart of an earlier process seems to have been to the present one.
    pub fn last_seems_at(&self, app: usize, name: &DynoName) -> Option<Timestamp> {
        self.places.get(&(app, name.clone()))?.seem_at.iter().max().copied()
    }

    pub fn last_claim(&self, app: usize, name: &DynoName) -> Option<Timestamp> {
        self.places.get(&(app, name.clone()))?.claimed_at.last().copied()
    }
}

/// Calls of the account that even a restart leaves to its other users.
const CALLS_LEFT_MIN: u32 = 10;

pub fn settled_at(dyno: &Dyno, settle: Duration) -> Timestamp {
    later(dyno.created_at.max(dyno.updated_at), settle)
}
