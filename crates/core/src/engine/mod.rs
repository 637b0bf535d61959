//! The engine: decides which dyno is restarted, and why the others are not.
//!
//! It is a state machine without clock, network or runtime. Its contract:
//!
//! - [`Engine::handle`] takes one [`Input`] and the time, and returns the [`Effect`]s to carry out, in order.
//!   `now.mono` never decreases; a reading that does counts as the last one.
//! - Each [`Effect::Inspect`], [`Effect::Poll`], [`Effect::Claim`] and [`Effect::Delete`] is answered by
//!   exactly one input with its attempt id, whatever happens. Time-outs are the caller's.
//! - After each input the caller sleeps until [`Engine::next_deadline`] or the next input, and hands in
//!   [`Input::Wake`] when the deadline has come.
//! - The same seed and the same inputs give the same effects, in the same order.
//!
//! Nothing is restarted without an inspection that came after the error, a claim that came after the
//! inspection, and a decision on record that came after the claim.

mod attempt;
mod boot;
pub mod claim;
pub mod counts;
pub mod days;
mod decision;
mod dyno;
pub mod foreign;
mod formation;
mod judge;
pub mod known;
mod life;
mod orders;
pub mod quota;
mod restart;
pub mod restore;
pub mod status;
#[cfg(test)]
mod tests;
mod tracking;
mod triggers;
mod unlisted;
mod usefulness;
mod vigilance;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::{ApiError, DeleteResult, DynoInfo, FormationInfo};
use crate::backoff::Jitter;
use crate::codes::Code;
use crate::engine::attempt::{Attempt, Cause};
use crate::engine::claim::{ClaimRefusal, KnownRestart};
use crate::engine::counts::Hits;
use crate::engine::days::AppDays;
use crate::engine::dyno::{Dyno, DynoKey};
use crate::engine::foreign::Foreign;
use crate::engine::orders::OpenOrder;
use crate::engine::quota::ApiQuota;
use crate::engine::restore::{PendingRestart, RestoredPause, RestoredState};
use crate::event::Event;
use crate::ident::{AppId, DynoName, ProcessType};
use crate::limits;
use crate::policy::{AppPlan, MemoryBound, Policy, Trigger};
use crate::record::{AttemptId, Decision, Record, RestartResult};
use crate::time::{Now, later, on_axis, since};

/// The state machine. See the module's documentation for how it is used.
#[derive(Debug)]
pub struct Engine {
    apps: Vec<App>,
    /// When each attempt that waits for time is due.
    due: BTreeSet<(Duration, DynoKey)>,
    /// Boxed: the map has up to twice as many slots as dynos.
    dynos: HashMap<DynoKey, Box<Dyno>>,
    effects: Vec<Effect>,
    /// Formations in which a place may have become free.
    freed: BTreeSet<(AppId, u16)>,
    /// Attempts by id, so that a late answer finds its own attempt or none.
    attempts: HashMap<AttemptId, DynoKey>,
    jitter: Jitter,
    /// The time that came with the current input.
    now: Now,
    open_orders: HashMap<AttemptId, OpenOrder>,
    paused: Option<Pause>,
    platform_clock: PlatformClock,
    /// Until when the last red reading of Heroku's status page counts.
    red_until: Duration,
    /// Dynos by their last event, to about a minute. The first one is forgotten when room is short.
    quiet: BTreeSet<(Duration, DynoKey)>,
    /// Answers that no attempt was waiting for.
    stale_answers: u64,
    /// Attempts that wait only for API quota.
    starved: BTreeSet<DynoKey>,
    attempts_made: u64,
    tokens: ApiQuota,
}

#[derive(Debug)]
struct App {
    /// The label of the API error that was reported for this app, until the API answers again.
    reported_api_error: Option<ReportedApiError>,
    clock_reported: bool,
    /// Whether people know that lines arrive too late.
    late_reported: bool,
    /// Whether people know that no API calls are left.
    calls_reported: bool,
    /// What the last days showed.
    days: AppDays,
    formations: Vec<Formation>,
    /// Errors without a dyno, one counter per rule.
    hits: Vec<Hits>,
    paused: Option<Pause>,
    plan: AppPlan,
    /// Whether the API said that old dynos run on alongside new ones for a while.
    /// None before the first answer.
    has_preboot: Option<bool>,
    /// Announced releases so far; a dyno compares it to detect a new one.
    releases_seen: u64,
    /// Process types that err and are not listed.
    unlisted: BTreeSet<ProcessType>,
}

#[derive(Debug, Default)]
struct Formation {
    /// Dynos in one of the `max_concurrent` places.
    active: Vec<u32>,
    /// Dynos that wait for a place, in the order of their errors.
    queue: VecDeque<u32>,
    /// Dynos whose restart failed. They have no place.
    failed: Vec<u32>,
    /// Restarts wait until then, because a release or a scaling was announced.
    settled_at: Duration,
}

#[derive(Clone, Debug)]
struct Pause {
    /// Its end on the engine's clock, which no jump of the time of day brings nearer.
    ends: Duration,
    /// Whether another process wrote its end, perhaps by a better clock.
    is_restored: bool,
    reason: Arc<str>,
    until: Timestamp,
    by: Option<Arc<str>>,
}

/// Every cause of work for the engine.
#[derive(Clone, Debug)]
pub enum Input {
    /// Dynos whose lines were heard lately, each with the start of its process if that was seen; every
    /// minute, for apps with a rule on uptime.
    Ages {
        app: AppId,
        dynos: Vec<(DynoName, Option<Timestamp>)>,
    },
    /// What the last days showed of an app.
    Days {
        app: AppId,
        days: AppDays,
    },
    /// A dyno was slower than its peers for long enough to fire this rule.
    Slow {
        app: AppId,
        dyno: DynoName,
        rule: Arc<str>,
        at: Timestamp,
    },
    /// The events of one batch of one app, in the order of its lines.
    Events {
        app: AppId,
        /// Events about dynos of the listed process types, and about the app.
        events: Vec<Event>,
    },
    /// The events of a batch that another app sent under this app's name.
    ForeignEvents {
        app: AppId,
        events: Vec<Event>,
        origin: Foreign,
    },
    /// The answer to [`Effect::Inspect`].
    Inspected {
        attempt_id: AttemptId,
        answer: Result<FormationInfo, ApiError>,
    },
    /// The answer to [`Effect::Poll`].
    Polled {
        attempt_id: AttemptId,
        /// None if the API knows no dyno of that name.
        answer: Result<Option<DynoInfo>, ApiError>,
    },
    /// The answer to [`Effect::Claim`].
    Claimed {
        attempt_id: AttemptId,
        answer: Result<(), ClaimRefusal>,
    },
    /// The answer to [`Effect::Delete`].
    Deleted {
        attempt_id: AttemptId,
        answer: DeleteResult,
    },
    /// A reading of Heroku's status page.
    PlatformStatus {
        is_red: bool,
    },
    /// `RateLimit-Remaining` of any API response.
    ApiQuota {
        remaining: u32,
    },
    /// A person's request for a restart; answered by [`Effect::Answer`].
    Order {
        order: OrderId,
        app: AppId,
        /// One dyno, or every running dyno of the listed process types.
        dyno: Option<DynoName>,
        /// Whether it is a person's word, which passes cool-down, `max_restarts`, window, give-up and
        /// `min_uptime`.
        forced: bool,
        /// Who requests it, for the record.
        by: Option<Arc<str>>,
    },
    Pause {
        /// None for all apps.
        app: Option<AppId>,
        until: Timestamp,
        reason: Arc<str>,
        /// Who asked for it.
        by: Option<Arc<str>>,
    },
    /// State of earlier processes from the store; the first input after startup.
    Restore(RestoredState),
    /// All pauses in the shared store.
    Pauses(Vec<RestoredPause>),
    Resume {
        /// None for all apps.
        app: Option<AppId>,
    },
    /// The answer to [`Effect::CountAcrossReplicas`]: the hits that all replicas received.
    CountedAcrossReplicas {
        hit: RuleHit,
        /// The times in the lines, within the rule's span.
        times: Vec<Timestamp>,
    },
    Wake,
}

/// An error of the API that people know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ReportedApiError {
    label: &'static str,
    /// Whether the API refuses to restart dynos. That it shows them proves nothing then.
    of_delete: bool,
}

/// Every kind of work that the engine can ask for.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Answer a person's request.
    Answer {
        order: OrderId,
        /// One for each dyno concerned.
        decisions: Vec<Decision>,
    },
    /// Record in the store that this restart is about to be requested, unless a replica has done so.
    Claim {
        attempt_id: AttemptId,
        app: AppId,
        seen: DynoInfo,
        /// A forced restart passes the cool-down, `max_restarts` and a give-up.
        is_forced: bool,
        /// Dynos of the type that are out for so long that they no longer count as out.
        broken: Vec<DynoName>,
        /// The dyno's last restart. The claim is refused if a replica has restarted the dyno since: that
        /// restart has to be judged first. That it did not help is recorded before, and written with the
        /// claim once more: without it, the process after a kill would begin another row of restarts that
        /// do not help.
        last: Option<KnownRestart>,
        /// The decision to restart, written with the claim, so that no restart lacks its reason. It is on
        /// record once it comes as [`Effect::Record`]; returning the claim also withdraws it. None if it is
        /// on record already.
        decision: Option<Box<Decision>>,
    },
    /// `DELETE /apps/{app}/dynos/{name}`.
    Delete { attempt_id: AttemptId, app: AppId, dyno: DynoName },
    /// `GET /apps/{app}/dynos`, then `GET /apps/{app}/dynos/{name}` if a dyno is named.
    Inspect { attempt_id: AttemptId, app: AppId, dyno: Option<DynoName> },
    /// `GET /apps/{app}/dynos/{name}`.
    Poll { attempt_id: AttemptId, app: AppId, dyno: DynoName },
    /// Store, log, count and publish this.
    Record(Record),
    /// Count this hit together with those of other replicas. Answered by [`Input::CountedAcrossReplicas`],
    /// or not at all where there are no replicas.
    CountAcrossReplicas(RuleHit),
}

/// An error that a rule counts and that did not yet make it fire.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleHit {
    pub app: AppId,
    pub dyno: DynoName,
    pub code: Code,
    pub rule: Arc<str>,
    /// The time in the line.
    pub at: Timestamp,
    pub within: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderId(pub u64);

// === impl Engine ===

impl Engine {
    /// Creates an engine for these apps, [`AppId`] being the place in the list; `seed` makes the jitter.
    pub fn new(plans: Vec<AppPlan>, seed: u64) -> Self {
        Self {
            apps: plans.into_iter().map(App::new).collect(),
            due: BTreeSet::new(),
            dynos: HashMap::new(),
            effects: Vec::new(),
            freed: BTreeSet::new(),
            attempts: HashMap::new(),
            jitter: Jitter::new(seed),
            now: Now { mono: Duration::ZERO, wall: Timestamp::UNIX_EPOCH },
            open_orders: HashMap::new(),
            paused: None,
            platform_clock: PlatformClock::default(),
            red_until: Duration::ZERO,
            quiet: BTreeSet::new(),
            stale_answers: 0,
            starved: BTreeSet::new(),
            attempts_made: 0,
            tokens: ApiQuota::full(),
        }
    }

    /// Handles one input and returns the work that follows from it.
    pub fn handle(&mut self, input: Input, now: Now) -> Vec<Effect> {
        self.now = Now { mono: now.mono.max(self.now.mono), wall: now.wall };
        match input {
            Input::Ages { app, dynos } => self.on_ages(app, dynos),
            Input::Days { app, days } => self.on_days(app, days),
            Input::Slow { app, dyno, rule, at } => self.on_slow(app, &dyno, &rule, at),
            Input::ApiQuota { remaining } => self.quota_reported(remaining),
            Input::Claimed { attempt_id, answer } => self.claimed(attempt_id, answer),
            Input::Deleted { attempt_id, answer } => self.deleted(attempt_id, answer),
            Input::Events { app, events } => self.on_events(app, events),
            Input::ForeignEvents { app, events, origin } => self.hold_all(app, &events, &origin.hold()),
            Input::Inspected { attempt_id, answer } => self.inspected(attempt_id, answer),
            Input::Order { order, app, dyno, forced, by } => {
                self.order(OpenOrder { order, app, dyno, forced, by });
            }
            Input::Pause { app, until, reason, by } => self.pause(app, (until, reason), by),
            Input::Pauses(pauses) => self.replace_pauses(pauses),
            Input::PlatformStatus { is_red } => self.platform_read(is_red),
            Input::Polled { attempt_id, answer } => self.polled(attempt_id, answer),
            Input::Restore(past) => self.restore(past),
            Input::Resume { app } => self.end_pause(app),
            Input::CountedAcrossReplicas { hit, times } => self.on_shared(&hit, &times),
            Input::Wake => {}
        }
        self.wake();
        self.advance();
        std::mem::take(&mut self.effects)
    }

    /// Returns when [`Input::Wake`] is due, on the engine's clock.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    pub fn dynos_watched(&self) -> usize {
        self.dynos.len()
    }

    /// Returns all attempts under way; their claims must be renewed.
    pub fn open_attempts(&self) -> Vec<AttemptId> {
        let mut attempt_ids: Vec<AttemptId> = self.attempts.keys().copied().collect();
        attempt_ids.sort_unstable();
        attempt_ids
    }

    /// The number of restarts under way or waiting for their turn.
    pub fn attempts(&self) -> usize {
        self.attempts.len()
    }

    /// Ends the engine: returns claims, and hands over what has been asked for and not been sent to the API,
    /// so that the next process can take it up.
    pub fn stop(&mut self, now: Now) -> (Vec<Effect>, Vec<PendingRestart>) {
        self.now = Now { mono: now.mono.max(self.now.mono), wall: now.wall };
        let mut attempts: Vec<(AttemptId, DynoKey)> =
            self.attempts.iter().map(|(id, key)| (*id, *key)).collect();
        attempts.sort_unstable();
        let pending = attempts.iter().filter_map(|(_, key)| self.pending_of(*key)).collect();
        for (_, key) in attempts {
            if let Some(Attempt::Claiming(claiming)) = self.dyno_mut(key).take_attempt() {
                self.outcome(key, &claiming.request, RestartResult::Withdrawn);
            }
        }
        (std::mem::take(&mut self.effects), pending)
    }

    /// The number of answers that no attempt was waiting for.
    pub fn stale_answers(&self) -> u64 {
        self.stale_answers
    }

    /// Whether a step waits for API quota. `GET /account/rate-limits` costs no quota, and its answer may be
    /// better than the estimate here.
    pub fn waits_for_calls(&self) -> bool {
        !self.starved.is_empty()
    }

    /// Resumes attempts that were waiting for API quota.
    fn quota_reported(&mut self, remaining: u32) {
        self.tokens.reported(remaining, self.now.mono);
        if remaining < quota::CALLS_OF_A_RESTART + limits::API_TOKENS_RESERVE_OF_RESTARTS {
            for app in (0..self.apps.len() as u32).map(AppId) {
                self.report_no_calls(app, remaining);
            }
        }
        if remaining >= quota::CALLS_OF_A_RESTART + limits::API_TOKENS_RESERVE_OF_RESTARTS {
            self.report_calls_left(remaining);
            for key in std::mem::take(&mut self.starved) {
                self.set_due(key, Duration::ZERO);
            }
        }
    }

    fn platform_read(&mut self, is_red: bool) {
        let span = if is_red { limits::PLATFORM_RED_COUNTS } else { Duration::ZERO };
        self.red_until = self.now.mono.saturating_add(span);
    }

    fn wake(&mut self) {
        while let Some(&(at, key)) = self.due.first()
            && at <= self.now.mono
        {
            self.due.remove(&(at, key));
            self.attempt_due(key);
        }
    }

    /// The latest time that it may be by Heroku's clock, as far as lines and our clock show.
    fn platform_now(&self) -> Timestamp {
        self.platform_clock.at(self.now.mono).unwrap_or(self.now.wall)
    }

    /// The time by which a dyno's age is judged: the earlier of our clock and Heroku's. A wrong clock then
    /// makes dynos look younger than they are, never older.
    fn cautious_now(&self) -> Now {
        let wall = self.platform_clock.at(self.now.mono).map_or(self.now.wall, |at| at.min(self.now.wall));
        Now { wall, ..self.now }
    }

    fn app(&self, app: AppId) -> &App {
        &self.apps[app.0 as usize]
    }

    fn app_mut(&mut self, app: AppId) -> &mut App {
        &mut self.apps[app.0 as usize]
    }

    fn policy(&self, key: DynoKey) -> &Policy {
        &self.app(key.app).plan.policy
    }

    fn formation_mut(&mut self, key: DynoKey) -> &mut Formation {
        &mut self.app_mut(key.app).formations[usize::from(key.formation)]
    }

    fn key(&self, app: AppId, dyno: &DynoName) -> Option<DynoKey> {
        let types = &self.app(app).plan.policy.process_types;
        let formation = types.iter().position(|listed| listed == dyno.process_type())?;
        Some(DynoKey { app, formation: u16::try_from(formation).ok()?, index: dyno.index() })
    }

    fn name(&self, key: DynoKey) -> DynoName {
        let types = &self.app(key.app).plan.policy.process_types;
        DynoName::new(types[usize::from(key.formation)].clone(), key.index)
    }

    fn attempt_mut(&mut self, key: DynoKey) -> Option<&mut Attempt> {
        self.dynos.get_mut(&key)?.attempt.as_deref_mut()
    }

    /// A tracked dyno: one with an attempt is never forgotten, and `track` creates the others.
    fn dyno_mut(&mut self, key: DynoKey) -> &mut Dyno {
        self.dynos.get_mut(&key).expect("a dyno is tracked as long as it has an attempt")
    }

    /// The engine's clock, for verdicts.
    fn mono(&self) -> SignedDuration {
        on_axis(self.now.mono)
    }

    fn new_attempt_id(&mut self) -> AttemptId {
        self.attempts_made += 1;
        AttemptId(self.attempts_made)
    }

    fn record(&mut self, record: Record) {
        self.effects.push(Effect::Record(record));
    }

    pub fn paused_until(&self, app: AppId) -> Option<Timestamp> {
        self.pause_of(app).map(|pause| pause.until)
    }

    fn pause_of(&self, app: AppId) -> Option<&Pause> {
        [&self.app(app).paused, &self.paused]
            .into_iter()
            .flatten()
            .filter(|pause| pause.ends > self.now.mono || self.is_early(pause))
            .max_by_key(|pause| pause.ends)
    }

    /// Whether Heroku's clock shows that a pause of another process goes on, because this machine's clock was
    /// ahead when this process learnt of it.
    fn is_early(&self, pause: &Pause) -> bool {
        let heroku = self.platform_clock.at(self.now.mono).filter(|_| pause.is_restored);
        let left = heroku.map_or(Duration::ZERO, |heroku| since(heroku, pause.until));
        !left.is_zero() && left <= limits::PAUSE_CLOCK_LEAD_MAX
    }
}

/// A lower bound of Heroku's clock: the latest time in any line, plus the time since that line arrived.
#[derive(Clone, Copy, Debug, Default)]
struct PlatformClock {
    latest: Option<(Timestamp, Duration)>,
}

impl PlatformClock {
    fn record(&mut self, at: Timestamp, mono: Duration) {
        if self.at(mono).is_none_or(|known| known < at) {
            self.latest = Some((at, mono));
        }
    }

    fn at(&self, mono: Duration) -> Option<Timestamp> {
        self.latest.map(|(at, seen_at)| later(at, mono.saturating_sub(seen_at)))
    }
}

// === impl App ===

impl App {
    /// Notes what the API said of preboot. An answer without it does not end it.
    fn preboot_shown(&mut self, is_on: bool) {
        self.has_preboot = Some(is_on || self.has_preboot == Some(true));
    }

    /// The memory limit below which a cause is over; none for a cause that is not about memory.
    fn limit_of(&self, cause: &Cause) -> Option<MemoryBound> {
        let Cause::Rule { rule, code, .. } = cause else { return None };
        if matches!(code, Some(Code::R14 | Code::R15)) {
            return Some(MemoryBound::OfQuota { permille: 1000 });
        }
        self.plan.rules.iter().find(|known| known.name == *rule).and_then(|rule| match rule.trigger {
            Trigger::Memory { above, .. } => Some(above),
            Trigger::Errors { .. }
            | Trigger::SlowerThanPeers { .. }
            | Trigger::Swap { .. }
            | Trigger::Uptime { .. } => None,
        })
    }

    fn new(plan: AppPlan) -> Self {
        Self {
            reported_api_error: None,
            clock_reported: false,
            late_reported: false,
            calls_reported: false,
            formations: plan.policy.process_types.iter().map(|_| Formation::default()).collect(),
            hits: vec![Hits::default(); plan.rules.len()],
            paused: None,
            plan,
            days: AppDays::default(),
            has_preboot: None,
            releases_seen: 0,
            unlisted: BTreeSet::new(),
        }
    }
}
