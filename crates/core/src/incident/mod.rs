//! Incidents: from records to a few messages that people want to read.
//!
//! A record is one event; an incident is what a person would call it: a dyno exceeded its memory, was
//! restarted, was back after twelve seconds, and it helped. One [`Incidents`] serves one notifier, with its
//! kinds and apps, because the messages sent so far decide which ones are still to be sent.
//!
//! It is a state machine like the engine, without clock, network or runtime:
//!
//! - [`Incidents::handle`] takes one [`Input`], the dynos' traffic figures and the time, and returns the
//!   messages that are due. `now.mono` never decreases; a reading that does counts as the last one.
//! - After each input the caller sleeps until [`Incidents::next_deadline`] or the next input, and hands in
//!   [`Input::Wake`] when the deadline has come.
//! - The same inputs give the same messages.
//!
//! Quiet kinds wait for [`Plan::group`], in which dynos of one formation become one incident, and are sent
//! once. Loud kinds are sent at once, and repeated every [`Plan::repeat`] while the problem lasts unchanged.
//! A message closes each incident that was reported. Restarts that help again and again are only counted:
//! see [`leaks`].

mod admin;
pub mod digest;
mod dyno_incident;
mod effect;
mod ids;
pub mod kind;
mod leaks;
pub mod message;
pub mod next_step;
mod outage;
mod outcomes;
mod release;
mod room;
mod schedule;
mod state;
#[cfg(any(test, feature = "samples"))]
pub mod stories;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use crate::api::ApiError;
use crate::days::verdict::Judgement;
use crate::health::alert::HealthAlert;
use crate::ident::{AppId, AppName, DynoName, ProcessType};
use crate::incident::digest::{DailyTime, Tally};
use crate::incident::dyno_incident::{AffectedDyno, DynoIncident};
use crate::incident::kind::Kind;
use crate::incident::leaks::Leak;
use crate::incident::message::{Message, Phase};
use crate::incident::outage::Outage;
use crate::incident::release::Releases;
use crate::incident::state::{State, Subject};
use crate::limits;
use crate::policy::AppPlan;
use crate::record::{Action, Decision, Notice, NoticeKind, Record, Scope};
use crate::time::{Now, since};
use crate::traffic::{Readings, Span};

/// The kinds, apps and times of one notifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// All watched apps, [`AppId`] being the place in the list.
    pub apps: Vec<WatchedApp>,
    /// When the digest is sent, if one is.
    pub digest: Option<DailyTime>,
    /// How long quiet messages are held back, so that related ones become one.
    pub group: Duration,
    pub on: BTreeSet<Kind>,
    /// How often a loud message is repeated.
    pub repeat: Duration,
    /// Part of the ids of incidents; different for every process, and the same for its notifiers.
    pub tag: u32,
    /// How long an incident accepts other dynos: the longest `group` of all notifiers, so that an incident is
    /// the same for each of them.
    pub window: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct WatchedApp {
    pub name: AppName,
    /// Whether this notifier reports on it.
    pub is_reported: bool,
    /// How long a dyno that is back is watched before its restart is evaluated.
    pub watch_for: Duration,
}

#[derive(Clone, Debug)]
pub enum Input<'a> {
    Record(&'a Record),
    Release {
        app: AppId,
        /// Its number, if the line has one.
        version: Option<u64>,
    },
    /// What the last lives of the app's process types say.
    Verdicts {
        app: AppId,
        verdicts: &'a [(ProcessType, Judgement)],
    },
    NotifierDown {
        name: &'a str,
        /// Free of secrets.
        why: &'a str,
    },
    NotifierRecovered {
        name: &'a str,
    },
    /// Only time has passed.
    Wake,
    /// Shutdown: messages held back are sent now.
    End,
}

/// The state machine. See the module's documentation for how it is used.
#[derive(Debug)]
pub struct Incidents {
    plan: Plan,
    incidents: BTreeMap<u64, DynoIncident>,
    digest_due: Option<Timestamp>,
    forgotten: u64,
    leaks: BTreeMap<(AppId, ProcessType), Leak>,
    /// The last ids.
    ids: VecDeque<String>,
    made: u64,
    messages: Vec<Message>,
    now: Now,
    outages: BTreeMap<Subject, Outage>,
    releases: HashMap<AppId, Releases>,
    /// When restarted dynos were back.
    returns: HashMap<(AppId, DynoName), Duration>,
    tally: Tally,
    /// What is known of each app's process types, for the digest.
    verdicts: BTreeMap<AppId, Vec<(ProcessType, Judgement)>>,
}

// === impl WatchedApp ===

impl WatchedApp {
    pub fn new(plan: &AppPlan, is_reported: bool) -> Self {
        // Errors before `min_uptime` may be the old process's, so they do not count against a restart.
        let watch_for = plan.policy.min_uptime.saturating_add(Duration::from_secs(120));
        let watch_for = watch_for.clamp(limits::PROOF_SPAN_MIN, limits::PROOF_SPAN_MAX);
        Self { name: plan.name.clone(), is_reported, watch_for }
    }
}

// === impl Incidents ===

impl Incidents {
    pub fn new(plan: Plan, now: Now) -> Self {
        Self {
            digest_due: plan.digest.as_ref().map(|daily| daily.next_after(now.wall)),
            plan,
            incidents: BTreeMap::new(),
            forgotten: 0,
            leaks: BTreeMap::new(),
            ids: VecDeque::new(),
            made: 0,
            messages: Vec::new(),
            now,
            outages: BTreeMap::new(),
            releases: HashMap::new(),
            returns: HashMap::new(),
            tally: Tally::default(),
            verdicts: BTreeMap::new(),
        }
    }

    /// Handles one input and returns the messages that are due.
    pub fn handle(&mut self, input: Input<'_>, readings: &dyn Readings, now: Now) -> Vec<Message> {
        self.now = Now { mono: now.mono.max(self.now.mono), wall: now.wall };
        match input {
            Input::Record(record) if record.scope().app().is_none_or(|app| self.is_reported(app)) => {
                self.record(record, readings);
            }
            Input::Release { app, version } if self.is_reported(app) => {
                self.releases.entry(app).or_default().announced(version, self.now.mono);
                self.leaks_are_released(app);
            }
            Input::Verdicts { app, verdicts } if self.is_reported(app) && self.plan.digest.is_some() => {
                self.verdicts.insert(app, verdicts.to_vec());
            }
            Input::NotifierDown { name, why } => {
                self.trouble(Subject::Notifier(name.to_owned()), None, (why.to_owned(), None));
            }
            Input::NotifierRecovered { name } => {
                self.recover(&Subject::Notifier(name.to_owned()), None);
            }
            Input::End => self.make_all_due(),
            Input::Record(_) | Input::Release { .. } | Input::Verdicts { .. } | Input::Wake => {}
        }
        self.send_incidents(readings);
        self.send_leaks();
        self.send_outages();
        self.send_digest();
        std::mem::take(&mut self.messages)
    }

    /// When [`Input::Wake`] is next due.
    pub fn next_deadline(&self) -> Option<Duration> {
        let incidents = self.incidents.values().flat_map(|incident| incident.deadlines(&self.plan));
        let outages = self.outages.values().flat_map(|outage| outage.deadlines(&self.plan));
        // The wall clock may be set in the meantime, so it is checked now and then.
        let digest =
            self.digest_due.map(|due| self.now.mono + since(self.now.wall, due).min(WALL_LOOK_EVERY));
        let leaks = self.leaks.values().filter_map(Leak::deadline);
        incidents.chain(leaks).chain(outages).chain(digest).min()
    }

    /// The number of incidents dropped at the limit.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn is_reported(&self, app: AppId) -> bool {
        self.plan.apps.get(app.0 as usize).is_some_and(|app| app.is_reported)
    }

    fn app_name(&self, app: AppId) -> AppName {
        self.plan.apps[app.0 as usize].name.clone()
    }

    fn record(&mut self, record: &Record, readings: &dyn Readings) {
        if self.plan.digest.is_some() {
            self.tally.count(record);
        }
        match record {
            // The traffic figures have more of it.
            Record::MemoryAfterRestart(_) => {}
            Record::Decision(decision) => self.record_decision(decision, readings),
            Record::Notice(notice) => self.record_notice(notice),
            Record::Outcome(outcome) => self.record_outcome(outcome),
        }
    }

    fn record_decision(&mut self, decision: &Decision, readings: &dyn Readings) {
        self.suspect(decision);
        let is_told = self.count_leak(decision);
        let now = self.now;
        let returned_after = decision
            .dyno
            .as_ref()
            .and_then(|dyno| self.returns.get(&(decision.app, dyno.clone())))
            .map(|back_at| now.mono.saturating_sub(*back_at));
        let id = self.incident_of(decision.app, decision.dyno.as_ref());
        let Some(incident) = self.incidents.get_mut(&id) else { return };
        if let Action::Hold(hold) = &decision.action
            && incident.drops(decision.dyno.as_ref(), hold)
        {
            if incident.is_empty() {
                self.incidents.remove(&id);
            }
            return;
        }
        let is_new = !incident.has(decision.app, decision.dyno.as_ref());
        let affected = incident.dyno(decision.dyno.clone(), now.mono);
        affected.returned_after =
            affected.returned_after.or(returned_after.filter(|_| affected.reports == 0));
        affected.add_decision(decision, now);
        let kind = match &decision.action {
            Action::Hold(_) => Kind::Hold,
            Action::Notify => Kind::Notify,
            Action::Restart { .. } => {
                let from = now.mono.saturating_sub(limits::PROOF_BEFORE);
                let span = Span { from, to: now.mono };
                affected.before =
                    decision.dyno.as_ref().and_then(|dyno| readings.read(decision.app, dyno, span));
                Kind::Restart
            }
        };
        if !is_told {
            incident.request(kind, is_new, &self.plan, now.mono);
        }
    }

    fn record_notice(&mut self, notice: &Notice) {
        let Scope::App(app) = notice.scope else {
            return self.record_account_notice(&notice.what);
        };
        match &notice.what {
            NoticeKind::ApiError(ApiError::Unauthorized) => {
                self.record_alert(app, &HealthAlert::TokenRefused)
            }
            NoticeKind::ApiError(error) => {
                self.api_trouble(app, error, notice.what.to_string());
            }
            NoticeKind::ClockDisagrees { .. } => {
                self.trouble(Subject::Clock, Some(app), (notice.what.to_string(), None));
            }
            NoticeKind::ApiRecovered => self.api_recovered(app),
            NoticeKind::Health(alert) => self.record_alert(app, alert),
            NoticeKind::Admin(act) => self.report_act(Some(app), act),
            NoticeKind::GaveUp { until, .. } => {
                self.leak_is_helpless(app, notice.dyno.as_ref());
                let over = self.now.mono.saturating_add(since(self.now.wall, *until));
                let state = State::GivenUp { text: notice.what.to_string(), over };
                self.change_dyno(app, notice, Kind::GiveUp, |dyno| dyno.state = state);
            }
            NoticeKind::Broken { .. } => {
                let state =
                    State::Failed { text: notice.what.to_string(), may_return: false, is_ours: false };
                self.change_dyno(app, notice, Kind::Failure, |dyno| dyno.state = state);
            }
            NoticeKind::LinesLate { .. } => {
                self.trouble(Subject::Late, Some(app), (notice.what.to_string(), None));
            }
            NoticeKind::LinesCurrent => self.recover(&Subject::Late, Some(app)),
            NoticeKind::NoCallsLeft { .. } => {
                self.trouble(Subject::Calls, Some(app), (notice.what.to_string(), None));
            }
            NoticeKind::CallsLeft => self.recover(&Subject::Calls, Some(app)),
            NoticeKind::NotRestarted { .. } => {
                let text = notice.what.to_string();
                self.change_dyno(app, notice, Kind::NotRestarted, |dyno| dyno.note = Some(text));
            }
            NoticeKind::Often { .. } => self.restarted_often(app, notice),
            NoticeKind::NoHelp { after } => {
                self.leak_is_helpless(app, notice.dyno.as_ref());
                self.change_dyno(app, notice, Kind::NoHelp, |dyno| dyno.no_help = Some(*after));
            }
            NoticeKind::RestartFailed(result) => {
                self.change_dyno(app, notice, Kind::Failure, |dyno| dyno.fail(result));
            }
        }
    }

    fn change_dyno(
        &mut self,
        app: AppId,
        notice: &Notice,
        kind: Kind,
        change: impl FnOnce(&mut AffectedDyno),
    ) {
        let now = self.now.mono;
        let id = self.incident_of(app, notice.dyno.as_ref());
        let Some(incident) = self.incidents.get_mut(&id) else { return };
        let affected = incident.dyno(notice.dyno.clone(), now);
        change(affected);
        let is_new = affected.noticed.insert(kind);
        incident.request(kind, is_new, &self.plan, now);
    }

    /// The open incident of the dyno: its own, else an unreported one of its formation, else a new one.
    fn incident_of(&mut self, app: AppId, dyno: Option<&DynoName>) -> u64 {
        let own = self.incidents.iter().find(|(_, incident)| incident.has(app, dyno)).map(|(id, _)| *id);
        let (window, mono) = (self.plan.window, self.now.mono);
        let id = own.or_else(|| {
            let mut incidents = self.incidents.iter();
            incidents.find(|(_, incident)| incident.accepts(app, dyno, window, mono)).map(|(id, _)| *id)
        });
        if let Some(id) = id {
            return id;
        }
        let about = self.app_name(app).to_string();
        let about = dyno.map_or_else(|| about.clone(), |dyno| format!("{about}-{dyno}"));
        let name = self.incident_id(&about);
        if self.incidents.len() >= limits::INCIDENTS_MAX {
            self.forget_one();
        }
        self.made += 1;
        let process_type = dyno.map(|dyno| dyno.process_type().clone());
        self.incidents.insert(self.made, DynoIncident::new(name, app, process_type, self.now));
        self.made
    }

    fn send_incidents(&mut self, readings: &dyn Readings) {
        let now = self.now;
        let mut over = Vec::new();
        for (id, incident) in &mut self.incidents {
            let app = &self.plan.apps[incident.app.0 as usize];
            let stands = incident.stands();
            if let Some((kind, phase)) = incident.schedule.take_due(&self.plan, stands, now.mono) {
                self.messages.push(incident.message_with_suspects((kind, phase), app, readings, now));
            }
            if incident.is_over(app.watch_for, self.plan.window, now.mono) {
                over.push(*id);
            }
        }
        for mut incident in over.into_iter().filter_map(|id| self.incidents.remove(&id)) {
            let app = &self.plan.apps[incident.app.0 as usize];
            if let Some(kind) = incident.closing_kind(&self.plan.on) {
                incident.evaluate(readings, now.mono);
                self.messages.push(incident.message(kind, Phase::Closed, app, now));
            }
        }
    }
}

/// How often the wall clock is checked for a digest.
const WALL_LOOK_EVERY: Duration = Duration::from_secs(3600);
