//! Incidents: from records to a few messages that people want to read.
//!
//! A record is one thing that happened; an incident is what a person would call it: a dyno went over its
//! memory, was restarted, was back after twelve seconds, and it helped. One [`Incidents`] serves one
//! notifier, with its choice of kinds and apps, so what it has told decides what it still has to tell.
//!
//! It is a state machine like the engine, without clock, network or runtime:
//!
//! - [`Incidents::handle`] takes one [`Input`], what is known of the dynos' traffic, and the time, and
//!   returns the messages that are due. `now.mono` never decreases; a reading that does is taken as the last.
//! - After each input the caller sleeps until [`Incidents::next_deadline`], or the next input, and hands in
//!   [`Input::Wake`] when the deadline has come.
//! - The same inputs give the same messages.
//!
//! Quiet kinds wait for [`Plan::group`], in which dynos of one formation become one incident, and are sent
//! once; loud kinds are reported at once. While a loud one stands and nothing changes it is repeated every
//! [`Plan::repeat`]. An incident that was told is reported again when it is over.

pub mod digest;
mod dyno_incident;
pub mod kind;
pub mod message;
mod outage;
mod release;
mod schedule;
mod state;
#[cfg(any(test, feature = "samples"))]
pub mod stories;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use crate::ident::{AppId, AppName, DynoName};
use crate::incident::digest::{DailyTime, Tally};
use crate::incident::dyno_incident::DynoIncident;
use crate::incident::kind::Kind;
use crate::incident::message::{Message, Phase};
use crate::incident::outage::Outage;
use crate::incident::release::Releases;
use crate::incident::state::{State, Subject};
use crate::limits;
use crate::policy::AppPlan;
use crate::record::{Action, Decision, Notice, NoticeKind, Outcome, Record, RestartResult, Scope};
use crate::time::{Now, since};
use crate::traffic::{Readings, Span};

/// What one notifier wants to hear, and of what.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// All watched apps, [`AppId`] being the place in the list.
    pub apps: Vec<WatchedApp>,
    /// When the digest is sent, if one is.
    pub digest: Option<DailyTime>,
    /// How long quiet messages are held back, so that what belongs together becomes one.
    pub group: Duration,
    /// The kinds that are sent.
    pub on: BTreeSet<Kind>,
    /// How long until a loud message is repeated.
    pub repeat: Duration,
    /// Stands in the ids of messages; another one for every notifier and every life of the program.
    pub tag: u32,
}

/// One watched app, as incidents know it.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchedApp {
    pub name: AppName,
    /// Whether this notifier hears of it.
    pub is_told: bool,
    /// How long a dyno that is back is watched before it is said whether the restart helped.
    pub watch_for: Duration,
}

/// Input of the incident tracker.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The engine recorded something.
    Record(&'a Record),
    /// A line announced a release.
    Release {
        app: AppId,
        /// Its number, where the line has one.
        version: Option<u64>,
    },
    /// Something that a person must fix.
    Trouble(Trouble<'a>),
    /// It is fixed.
    Mended(Trouble<'a>),
    /// Only time has passed.
    Wake,
    /// The program ends: messages held back are sent now.
    End,
}

/// Troubles that are not the engine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble<'a> {
    /// Another notifier cannot deliver.
    NotifierDown {
        name: &'a str,
        /// Why, without any secret.
        why: &'a str,
    },
}

/// The state machine. See the module's documentation for how it is used.
#[derive(Debug)]
pub struct Incidents {
    plan: Plan,
    cases: BTreeMap<u64, DynoIncident>,
    digest_due: Option<Timestamp>,
    forgotten: u64,
    made: u64,
    messages: Vec<Message>,
    now: Now,
    outages: BTreeMap<Subject, Outage>,
    releases: HashMap<AppId, Releases>,
    /// When restarted dynos were back.
    returns: HashMap<(AppId, DynoName), Duration>,
    tally: Tally,
}

// === impl WatchedApp ===

impl WatchedApp {
    /// The app of `plan`, told of if `is_told`.
    pub fn new(plan: &AppPlan, is_told: bool) -> Self {
        // Errors are not counted against a restart before `min_uptime`: they may be the old process's.
        let watch_for = plan.policy.min_uptime.saturating_add(Duration::from_secs(120));
        let watch_for = watch_for.clamp(limits::PROOF_SPAN_MIN, limits::PROOF_SPAN_MAX);
        Self { name: plan.name.clone(), is_told, watch_for }
    }
}

// === impl Incidents ===

impl Incidents {
    /// No incident yet.
    pub fn new(plan: Plan, now: Now) -> Self {
        Self {
            digest_due: plan.digest.as_ref().map(|daily| daily.next_after(now.wall)),
            plan,
            cases: BTreeMap::new(),
            forgotten: 0,
            made: 0,
            messages: Vec::new(),
            now,
            outages: BTreeMap::new(),
            releases: HashMap::new(),
            returns: HashMap::new(),
            tally: Tally::default(),
        }
    }

    /// Takes one input and returns the messages that are due.
    pub fn handle(&mut self, input: Input<'_>, readings: &dyn Readings, now: Now) -> Vec<Message> {
        self.now = Now { mono: now.mono.max(self.now.mono), wall: now.wall };
        match input {
            Input::Record(record) if record.scope().app().is_none_or(|app| self.is_told(app)) => {
                self.record(record, readings);
            }
            Input::Release { app, version } if self.is_told(app) => {
                self.releases.entry(app).or_default().announced(version, self.now.mono);
            }
            Input::Trouble(Trouble::NotifierDown { name, why }) => {
                self.trouble(Subject::Notifier(name.to_owned()), None, (why.to_owned(), None));
            }
            Input::Mended(Trouble::NotifierDown { name, .. }) => {
                self.recover(&Subject::Notifier(name.to_owned()), None);
            }
            Input::End => self.hurry(),
            Input::Record(_) | Input::Release { .. } | Input::Wake => {}
        }
        self.tell_cases(readings);
        self.tell_outages();
        self.tell_digest();
        std::mem::take(&mut self.messages)
    }

    /// When [`Input::Wake`] is next wanted.
    pub fn next_deadline(&self) -> Option<Duration> {
        let cases = self.cases.values().flat_map(|case| case.deadlines(&self.plan));
        let outages = self.outages.values().flat_map(|outage| outage.deadlines(&self.plan));
        // The wall clock may be set meanwhile, so it is looked at now and then.
        let digest =
            self.digest_due.map(|due| self.now.mono + since(self.now.wall, due).min(WALL_LOOK_EVERY));
        cases.chain(outages).chain(digest).min()
    }

    /// How many incidents were forgotten because there were too many.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn is_told(&self, app: AppId) -> bool {
        self.plan.apps.get(app.0 as usize).is_some_and(|app| app.is_told)
    }

    fn app_name(&self, app: AppId) -> AppName {
        self.plan.apps[app.0 as usize].name.clone()
    }

    fn record(&mut self, record: &Record, readings: &dyn Readings) {
        if self.plan.digest.is_some() {
            self.tally.count(record);
        }
        match record {
            // What people are notified of it is read from the traffic, which knows more.
            Record::MemoryAfterRestart(_) => {}
            Record::Decision(decision) => self.decided(decision, readings),
            Record::Notice(notice) => self.noticed(notice),
            Record::Outcome(outcome) => self.came_out(outcome),
        }
    }

    fn decided(&mut self, decision: &Decision, readings: &dyn Readings) {
        self.suspect(decision);
        let now = self.now;
        let returned_after = decision
            .dyno
            .as_ref()
            .and_then(|dyno| self.returns.get(&(decision.app, dyno.clone())))
            .map(|back_at| now.mono.saturating_sub(*back_at));
        let id = self.case_of(decision.app, decision.dyno.as_ref());
        let Some(case) = self.cases.get_mut(&id) else { return };
        let part = case.part(decision.dyno.clone(), now.mono);
        part.returned_after = part.returned_after.or(returned_after.filter(|_| part.reports == 0));
        part.hear(decision, now);
        let kind = match &decision.action {
            Action::Hold(_) => Kind::Hold,
            Action::Notify => Kind::Notify,
            Action::Restart { .. } => {
                let from = now.mono.saturating_sub(limits::PROOF_BEFORE);
                let span = Span { from, to: now.mono };
                part.before = decision.dyno.as_ref().and_then(|dyno| readings.read(decision.app, dyno, span));
                Kind::Restart
            }
        };
        case.want(kind, &self.plan, now.mono);
    }

    /// A notice about the account concerns every app that this notifier reports on.
    fn noticed_for_all(&mut self, what: &NoticeKind) {
        let told = (0..).map(AppId).zip(&self.plan.apps).filter(|(_, app)| app.is_told);
        let told: Vec<AppId> = told.map(|(app, _)| app).collect();
        for app in told {
            if let NoticeKind::Health(alert) = what {
                self.concerned(app, alert);
            }
        }
    }

    fn noticed(&mut self, notice: &Notice) {
        let now = self.now;
        let Scope::App(app) = notice.scope else {
            return self.noticed_for_all(&notice.what);
        };
        let kind = match &notice.what {
            NoticeKind::ApiError(error) => {
                return self.trouble(Subject::Api(error.label()), Some(app), (notice.what.to_string(), None));
            }
            NoticeKind::ClockDisagrees { .. } => {
                return self.trouble(Subject::Clock, Some(app), (notice.what.to_string(), None));
            }
            NoticeKind::ApiRecovered => return self.seen_again(app),
            NoticeKind::Health(alert) => return self.concerned(app, alert),
            NoticeKind::GaveUp { .. } => Kind::GiveUp,
            NoticeKind::NoHelp { .. } => Kind::NoHelp,
            NoticeKind::RestartFailed(_) => Kind::Failure,
        };
        let id = self.case_of(app, notice.dyno.as_ref());
        let Some(case) = self.cases.get_mut(&id) else { return };
        let part = case.part(notice.dyno.clone(), now.mono);
        match &notice.what {
            NoticeKind::GaveUp { until, .. } => {
                let over = now.mono.saturating_add(since(now.wall, *until));
                part.state = State::GivenUp { text: notice.what.to_string(), over };
            }
            NoticeKind::NoHelp { after } => part.no_help = Some(*after),
            NoticeKind::RestartFailed(result) => part.fail(result),
            NoticeKind::ApiError(_)
            | NoticeKind::ClockDisagrees { .. }
            | NoticeKind::ApiRecovered
            | NoticeKind::Health(_) => {}
        }
        case.want(kind, &self.plan, now.mono);
    }

    fn came_out(&mut self, outcome: &Outcome) {
        let now = self.now;
        if let RestartResult::Back { .. } = outcome.result {
            self.remember_return(outcome.app, &outcome.dyno);
        }
        let Some(case) = self.cases.values_mut().find(|case| case.has(outcome.app, Some(&outcome.dyno)))
        else {
            return;
        };
        let part = case.part(Some(outcome.dyno.clone()), now.mono);
        let had_failed = part.come_out(outcome, now.mono);
        // Whoever was not told that something is wrong need not be told that it is right again.
        if had_failed && case.schedule.sent.iter().any(|kind| kind.is_loud()) {
            case.want(Kind::Recovered, &self.plan, now.mono);
        }
    }

    fn remember_return(&mut self, app: AppId, dyno: &DynoName) {
        let key = (app, dyno.clone());
        if self.returns.len() >= limits::RETURNS_MAX && !self.returns.contains_key(&key) {
            let oldest = self.returns.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.returns.remove(&oldest));
        }
        self.returns.insert(key, self.now.mono);
    }

    /// The open incident that the dyno belongs to: its own, else one of its formation of which nothing was
    /// told yet, else a new one.
    fn case_of(&mut self, app: AppId, dyno: Option<&DynoName>) -> u64 {
        let own = self.cases.iter().find(|(_, case)| case.has(app, dyno)).map(|(id, _)| *id);
        let id =
            own.or_else(|| self.cases.iter().find(|(_, case)| case.takes_in(app, dyno)).map(|(id, _)| *id));
        let id = id.unwrap_or_else(|| {
            if self.cases.len() >= limits::INCIDENTS_MAX {
                self.cases.pop_first();
                self.forgotten += 1;
            }
            self.made += 1;
            self.made
        });
        let (now, name) = (self.now, &self.plan.apps[app.0 as usize].name);
        let tag = self.plan.tag;
        self.cases.entry(id).or_insert_with(|| {
            DynoIncident::new(
                format!("{name}-{tag:08x}-{id}"),
                app,
                dyno.map(|dyno| dyno.process_type().clone()),
                now,
            )
        });
        id
    }

    /// Nothing is held back any longer.
    fn hurry(&mut self) {
        let now = self.now.mono;
        let dues = self.cases.values_mut().map(|case| &mut case.schedule.due);
        for due in dues.chain(self.outages.values_mut().map(|outage| &mut outage.schedule.due)) {
            *due = due.map(|due| due.min(now));
        }
    }

    fn tell_cases(&mut self, readings: &dyn Readings) {
        let now = self.now;
        let mut over = Vec::new();
        for (id, case) in &mut self.cases {
            let app = &self.plan.apps[case.app.0 as usize];
            if let Some((kind, phase)) = case.schedule.due_at(now.mono) {
                self.messages.push(case.message(kind, phase, app, now));
            } else if let Some(kind) = case.reminder(&self.plan, now.mono) {
                self.messages.push(case.message(kind, Phase::Reminder, app, now));
            }
            if case.is_over(app.watch_for, now.mono) {
                over.push(*id);
            }
        }
        for mut case in over.into_iter().filter_map(|id| self.cases.remove(&id)) {
            let app = &self.plan.apps[case.app.0 as usize];
            if let Some(kind) = case.closing_kind(&self.plan.on) {
                case.prove(readings, now.mono);
                self.messages.push(case.message(kind, Phase::Closed, app, now));
            }
        }
    }
}

/// How often the wall clock is looked at for a digest.
const WALL_LOOK_EVERY: Duration = Duration::from_secs(3600);
