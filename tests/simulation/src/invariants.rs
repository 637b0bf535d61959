//! The promises, held against the truth of the world and never against the engine's own books.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use dynowarden_core::api::DynoInfo;
use dynowarden_core::calendar;
use dynowarden_core::event::DynoState;
use dynowarden_core::ident::{DynoName, InstanceId};
use dynowarden_core::limits;
use dynowarden_core::policy::{AppPlan, Policy};
use dynowarden_core::record::{Action, AttemptId, Decision, MANUAL};
use dynowarden_core::time::{later, since};
use heroku_sim::dyno::Dyno;
use heroku_sim::world::World;

use crate::scenario::{DOWN_MAX, secs};

/// A dyno as it really was when the API answered.
#[derive(Clone, Debug)]
pub struct DynoTruth {
    pub at: Timestamp,
    pub name: DynoName,
    pub id: InstanceId,
    pub state: DynoState,
    /// Since when it was in that state.
    pub since: Timestamp,
}

/// An app's dynos as they really were when the API listed them.
#[derive(Clone, Debug)]
pub struct ListTruth {
    pub dynos: Vec<DynoTruth>,
}

impl DynoTruth {
    pub fn of(dyno: &Dyno, now: Timestamp) -> Self {
        let since = dyno.created_at.max(dyno.updated_at);
        Self { at: now, name: dyno.name.clone(), id: dyno.id, state: dyno.state, since }
    }

    fn is_settled(&self, settle: Duration, now: Timestamp) -> bool {
        self.state == DynoState::Up && since(self.since, now) >= settle
    }
}

/// An attempt, named by the life of the daemon and the attempt id.
pub type Holder = (u32, AttemptId);

/// What was promised for an attempt, step by step.
#[derive(Clone, Debug, Default)]
struct Attempt {
    inspected: Option<(DynoTruth, ListTruth)>,
    claimed: Option<DynoInfo>,
    claim_granted: bool,
    decided: bool,
    is_manual: bool,
    line_at: Option<Timestamp>,
    decided_at: Option<Timestamp>,
}

/// A restart that took effect, or that must count as one.
#[derive(Clone, Debug)]
struct Restart {
    at: Timestamp,
    life: u32,
    skew: SignedDuration,
}

/// What is known of one place of a formation.
#[derive(Clone, Debug, Default)]
struct Place {
    restarts: Vec<Restart>,
    /// Claims, for the question whether giving up was justified.
    claims: BTreeSet<u64>,
    claimed_at: Vec<Timestamp>,
}

/// The judge of all that is done.
#[derive(Debug)]
pub struct Invariants {
    plans: Vec<AppPlan>,
    attempts: HashMap<Holder, Attempt>,
    places: BTreeMap<(usize, DynoName), Place>,
    /// Those whose restart was judged to be in order, until it is known what became of it.
    engaged: Vec<(Holder, usize, DynoName)>,
    /// What we took out, until it has been up for `settle`.
    out: Vec<(usize, DynoName)>,
    /// Which instance wrote an error line: by app, dyno and the time in the line.
    writers: HashMap<(usize, DynoName, Timestamp), InstanceId>,
    /// Pauses that persons asked for, as the daemon's clock has their ends.
    pauses: BTreeMap<Option<usize>, Timestamp>,
    /// When the daemon was told of a change in a dyno's life, last.
    reported_leaving: HashMap<(usize, DynoName), Timestamp>,
    /// What the API told the daemon last of its tokens, and when.
    tokens: Option<(u32, Timestamp)>,
    /// How far the daemon's clock was off when it last began to live.
    born_skew: SignedDuration,
}

/// The clock of the daemon: how far it is from the platform's.
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

/// What was promised and not held.
pub type Verdicts = Result<(), String>;

macro_rules! hold {
    ($promise:expr, $($words:tt)+) => {
        if !$promise {
            return Err(format!($($words)+));
        }
    };
}

impl Invariants {
    pub fn new(plans: Vec<AppPlan>) -> Self {
        Self {
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
        }
    }

    pub fn policy(&self, app: usize) -> &Policy {
        &self.plans[app].policy
    }

    /// A line was written by an instance.
    pub fn error_line(&mut self, app: usize, dyno: DynoName, instance: InstanceId, at: Timestamp) {
        self.writers.insert((app, dyno, at), instance);
    }

    /// The daemon was told of something in a dyno's life that ends an instance.
    pub fn reported_leaving(&mut self, app: usize, dyno: DynoName, now: Timestamp) {
        self.reported_leaving.insert((app, dyno), now);
    }

    pub fn pause(&mut self, app: Option<usize>, until: Timestamp) {
        self.pauses.insert(app, until);
    }

    pub fn resume(&mut self, app: Option<usize>) {
        match app {
            Some(_) => {
                self.pauses.remove(&app);
            }
            None => self.pauses.clear(),
        }
    }

    /// What the daemon may not do in an app at this time of its clock, if anything.
    pub fn forbidden(&self, app: usize, wall: Timestamp) -> Option<&'static str> {
        let is_paused = |of: Option<usize>| self.pauses.get(&of).is_some_and(|until| *until > wall);
        if is_paused(None) || is_paused(Some(app)) {
            return Some("paused");
        }
        (!calendar::open(&self.policy(app).window, wall)).then_some("outside the window")
    }

    /// The daemon begins another life, and reads the times of the last one.
    pub fn born(&mut self, clock: Clock) {
        self.born_skew = clock.skew;
    }

    /// The daemon died: nobody waits for answers any more.
    pub fn died(&mut self) {
        self.tokens = None;
        self.engaged.clear();
    }

    pub fn told_tokens(&mut self, remaining: u32, now: Timestamp) {
        self.tokens = Some((remaining, now));
    }

    /// A call is about to be made: does it leave the reserve alone, by the last that was told?
    pub fn asks(&mut self, calls: u32, now: Timestamp) -> Verdicts {
        let Some((reported, at)) = self.tokens else { return Ok(()) };
        let back = since(at, now).as_millis() as u64 * u64::from(limits::API_TOKENS_PER_MINUTE) / 60_000;
        let most = u64::from(reported) + back + 1;
        hold!(
            most >= u64::from(limits::API_TOKENS_RESERVE + calls),
            "{calls} calls of at most {most} that are left, and a fifth is not ours"
        );
        Ok(())
    }

    /// A look was answered to the engine.
    pub fn inspected(&mut self, holder: Holder, dyno: Option<DynoTruth>, list: ListTruth) {
        let attempt = self.attempts.entry(holder).or_default();
        attempt.inspected = dyno.map(|dyno| (dyno, list));
        attempt.claim_granted = false;
    }

    /// The engine put a decision on record.
    pub fn decided(&mut self, life: u32, decision: &Decision, clock: Clock) -> Verdicts {
        let dyno = decision.dyno.as_ref().map_or_else(String::new, ToString::to_string);
        hold!(!decision.reason().is_empty(), "a decision about {dyno} without a reason");
        hold!(!decision.reason_label().is_empty(), "a decision about {dyno} without a word for its reason");
        let app = decision.app.0 as usize;
        if let Action::Restart { dry_run, formation } = decision.action {
            hold!(formation >= 1, "a restart of {dyno} in a formation of none");
            hold!(dry_run == self.plans[app].dry_run, "{dyno}: dry run and not are mixed up");
            if let Some(what) = self.forbidden(app, clock.wall()) {
                return Err(format!("a restart of {dyno} was decided while {what}"));
            }
        }
        let Some(attempt_id) = decision.attempt_id else { return Ok(()) };
        let attempt = self.attempts.entry((life, attempt_id)).or_default();
        attempt.line_at = attempt.line_at.max(decision.evidence.line_at);
        if let Action::Restart { .. } = decision.action {
            hold!(!attempt.decided, "{dyno}: two decisions to restart for one attempt");
            attempt.decided = true;
            attempt.is_manual = &*decision.rule == MANUAL;
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

    /// Giving up needs as many restarts in the span as were allowed, done or at least claimed.
    pub fn gave_up(&mut self, app: usize, dyno: Option<&DynoName>, now: Timestamp) -> Verdicts {
        let Some(dyno) = dyno else { return Ok(()) };
        let rate = self.policy(app).max_restarts;
        let place = self.places.entry((app, dyno.clone())).or_default();
        // A clock that was wrong in an earlier life may make restarts look younger, and one whose claim was
        // adopted counts from then.
        let span = rate.per + secs(600) + DOWN_MAX;
        let claims = place.claimed_at.iter().filter(|at| since(**at, now) <= span).count();
        hold!(
            claims >= rate.count.get() as usize,
            "gave up on {dyno} after {claims} restarts of {} in {:?}",
            rate.count,
            rate.per
        );
        Ok(())
    }

    /// The engine asks the store for a claim.
    pub fn claims(
        &mut self,
        holder: Holder,
        app: usize,
        (seen, is_manual): (&DynoInfo, bool),
        now: Timestamp,
    ) -> Verdicts {
        let dry_run = self.plans[app].dry_run;
        hold!(!dry_run, "a claim on {} in a dry run", seen.name);
        let attempt = self.attempts.entry(holder).or_default();
        let Some((_, list)) = &attempt.inspected else {
            return Err(format!("a claim on {} without a look that saw it", seen.name));
        };
        // At this moment it is judged: whoever was judged before it may be out by the time it is.
        let policy = &self.plans[app].policy;
        let is_beside =
            |other: &DynoName| *other != seen.name && other.process_type() == seen.name.process_type();
        let engaged = self.engaged.iter().filter(|(_, of, _)| *of == app).map(|(_, _, name)| name);
        let ours = self.out.iter().filter(|(of, _)| *of == app).map(|(_, name)| name);
        let seen_out = list.dynos.iter().filter(|other| !other.is_settled(policy.settle, now));
        let out: BTreeSet<String> = engaged
            .chain(ours)
            .chain(seen_out.map(|other| &other.name))
            .filter(|other| is_beside(other))
            .map(ToString::to_string)
            .collect();
        let allowed = policy.max_concurrent.get() as usize;
        hold!(
            out.len() < allowed,
            "{} is to go while {out:?} are or may be out, {allowed} allowed",
            seen.name
        );
        self.engaged.push((holder, app, seen.name.clone()));
        attempt.claimed = Some(seen.clone());
        attempt.claim_granted = false;
        attempt.is_manual |= is_manual;
        Ok(())
    }

    /// The attempt came to an end, or begins again.
    pub fn is_over(&mut self, holder: Holder) {
        self.engaged.retain(|(of, _, _)| *of != holder);
    }

    pub fn claim_granted(&mut self, holder: Holder) {
        self.attempts.entry(holder).or_default().claim_granted = true;
    }

    /// A claim is in the store, whether or not the daemon lives to hear of it.
    pub fn claim_written(&mut self, row: u64, app: usize, dyno: &DynoName, now: Timestamp) {
        let place = self.places.entry((app, dyno.clone())).or_default();
        if place.claims.insert(row) {
            place.claimed_at.push(now);
        }
    }

    /// The engine sends a DELETE.
    pub fn sends_delete(&mut self, holder: Holder, app: usize, dyno: &DynoName, clock: Clock) -> Verdicts {
        let listed = self.policy(app).process_types.contains(dyno.process_type());
        hold!(listed, "DELETE of {dyno}, whose type is not listed");
        hold!(!self.plans[app].dry_run, "DELETE of {dyno} in a dry run");
        if let Some(what) = self.forbidden(app, clock.wall()) {
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
        attempt.decided_at = Some(clock.now);
        let Some((inspected, _)) = &attempt.inspected else { return Err(format!("DELETE of {dyno} unseen")) };
        if let Some(reported) = self.reported_leaving.get(&(app, dyno.clone())) {
            hold!(*reported <= inspected.at, "DELETE of {dyno} after the platform said that it replaces it");
        }
        Ok(())
    }

    /// A DELETE takes effect on the instance `hit`.
    pub fn effect(&mut self, holder: Holder, app: usize, hit: &Dyno, clock: Clock) -> Result<bool, String> {
        let now = clock.now;
        let name = hit.name.clone();
        let policy = self.plans[app].policy.clone();
        let attempt = self.attempts.get(&holder).cloned().unwrap_or_default();
        let Some((inspected, list)) = &attempt.inspected else {
            return Err(format!("{name} was never looked at"));
        };

        hold!(inspected.state == DynoState::Up, "{name} was {:?} at the look", inspected.state);
        hold!(inspected.name == name && name.process_type() == hit.name.process_type(), "{name}: wrong dyno");
        let judged_at = if attempt.is_manual {
            // A person's word stands for the error; the look came after it.
            inspected.at
        } else {
            let line_at = attempt.line_at.ok_or_else(|| format!("{name}: no error in the evidence"))?;
            hold!(inspected.since < line_at, "{name}: the error is older than the dyno");
            line_at
        };
        let age = since(inspected.since, judged_at);
        // By hand the age is read on our clock at the answer's arrival, and a look takes its time.
        let slack =
            if attempt.is_manual { since(inspected.at, attempt.decided_at.unwrap_or(now)) } else { secs(0) };
        hold!(
            age + slack >= policy.min_uptime,
            "{name} was only {age:?} up, min_uptime is {:?}",
            policy.min_uptime
        );

        let raced = inspected.id != hit.id;
        if raced {
            // Replaced by somebody else while the request was on its way: nobody could have known.
            hold!(hit.created_at >= inspected.at, "{name}: DELETE of another instance than was looked at");
        }

        let others_out = self
            .out
            .iter()
            .filter(|(of, out)| *of == app && *out != name && out.process_type() == name.process_type());
        let ours: Vec<String> = others_out.map(|(_, out)| out.to_string()).collect();
        let allowed = policy.max_concurrent.get() as usize;
        hold!(
            ours.len() < allowed,
            "{name} taken out while {ours:?} are out because of us, {allowed} allowed"
        );

        let decided_at = attempt.decided_at.unwrap_or(now);
        let out: BTreeSet<&DynoName> = list
            .dynos
            .iter()
            .filter(|other| other.name != name && other.name.process_type() == name.process_type())
            .filter(|other| !other.is_settled(policy.settle, decided_at))
            .map(|other| &other.name)
            .collect();
        hold!(
            out.len() < allowed,
            "{name} taken out while {out:?} were out when the API was asked, {allowed} allowed"
        );

        self.within_the_rate(holder.0, app, &name, attempt.is_manual, clock)?;
        let place = self.places.entry((app, name.clone())).or_default();
        place.restarts.push(Restart { at: now, life: holder.0, skew: clock.skew });
        if !self.out.contains(&(app, name.clone())) {
            self.out.push((app, name));
        }
        Ok(raced)
    }

    #[expect(clippy::too_many_arguments, reason = "the facts of one moment, and each is of another kind")]
    fn within_the_rate(
        &mut self,
        life: u32,
        app: usize,
        name: &DynoName,
        is_manual: bool,
        clock: Clock,
    ) -> Verdicts {
        let policy = self.plans[app].policy.clone();
        let place = self.places.entry((app, name.clone())).or_default();
        // What another life wrote down was by a clock that may have been set since.
        let seems = |restart: &Restart| {
            let set = self.born_skew.checked_sub(restart.skew).unwrap_or_default();
            let drift = if restart.life == life { SignedDuration::ZERO } else { set };
            since(restart.at, clock.now) + Duration::try_from(drift).unwrap_or_default()
        };
        if let Some(last) = place.restarts.last()
            && !is_manual
        {
            let span = seems(last);
            hold!(
                span >= policy.cooldown,
                "{name} restarted {span:?} after the last, cool-down is {:?}",
                policy.cooldown
            );
        }
        let rate = policy.max_restarts;
        let recent = place.restarts.iter().filter(|restart| seems(restart) < rate.per).count();
        hold!(
            recent < rate.count.get() as usize,
            "{name} restarted once more after {recent} in {:?}, {} allowed",
            rate.per,
            rate.count
        );
        Ok(())
    }

    /// Whether the line that led to a DELETE was written by the instance that was looked at; another one
    /// may still write under its name for no longer than `overlap`.
    pub fn is_writer(&self, holder: Holder, app: usize, overlap: Duration) -> Result<bool, String> {
        let Some(attempt) = self.attempts.get(&holder) else { return Ok(true) };
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

    /// Takes those off the list that are up and settled; to be asked before the world goes on.
    pub fn settle(&mut self, world: &World, now: Timestamp) {
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

    /// The last restart of ours at a place.
    pub fn last_restart(&self, app: usize, name: &DynoName) -> Option<Timestamp> {
        self.places.get(&(app, name.clone()))?.restarts.last().map(|restart| restart.at)
    }

    /// The last claim on a place.
    pub fn last_claim(&self, app: usize, name: &DynoName) -> Option<Timestamp> {
        self.places.get(&(app, name.clone()))?.claimed_at.last().copied()
    }
}

/// When a dyno would be settled.
pub fn settled_at(dyno: &Dyno, settle: Duration) -> Timestamp {
    later(dyno.created_at.max(dyno.updated_at), settle)
}
