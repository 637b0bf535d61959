//! One incident of a dyno, or of several dynos of a formation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::codes::Code;
use crate::ident::{AppId, DynoName, ProcessType};
use crate::incident::kind::Kind;
use crate::incident::message::{DynoReport, Improved, Links, Message, Phase, RestartEffect};
use crate::incident::schedule::NotificationSchedule;
use crate::incident::state::State;
use crate::incident::{Plan, WatchedApp, next_step, text};
use crate::limits;
use crate::record::hold::{AgeLimit, Hold};
use crate::record::{Action, Decision, Measure, MemoryReading, Outcome, RestartResult};
use crate::time::Now;
use crate::traffic::{Figures, Readings, Span};

#[derive(Debug)]
pub(super) struct DynoIncident {
    pub(super) id: String,
    pub(super) app: AppId,
    /// None for a rule about the app.
    process_type: Option<ProcessType>,
    opened: Now,
    dynos: BTreeMap<Option<DynoName>, AffectedDyno>,
    pub(super) schedule: NotificationSchedule,
}

#[derive(Debug)]
pub(super) struct AffectedDyno {
    pub(super) rule: Arc<str>,
    pub(super) code: Option<Code>,
    asked_by: Option<Arc<str>>,
    pub(super) reports: u32,
    /// The time in the last line that was counted: a refusal and then a restart may answer one error.
    line_at: Option<Timestamp>,
    pub(super) memory: Option<MemoryReading>,
    /// What the rule measures, without a code.
    pub(super) measure: Measure,
    pub(super) state: State,
    /// The time of its last record.
    last_event: Duration,
    /// How long after a restart the error came back, as the engine reported it.
    pub(super) no_help: Option<Duration>,
    /// What else the engine reported about it.
    pub(super) note: Option<String>,
    /// The kinds of notices about it.
    pub(super) noticed: BTreeSet<Kind>,
    /// How long it was out in this incident's restart.
    out_for: Option<Duration>,
    /// How long after its previous restart, before this incident, the error came back.
    pub(super) returned_after: Option<Duration>,
    /// How long after this incident's restart the error came back.
    back_after: Option<Duration>,
    pub(super) before: Option<Figures>,
    proof: Option<RestartEffect>,
}

// === impl DynoIncident ===

impl DynoIncident {
    pub(super) fn new(id: String, app: AppId, process_type: Option<ProcessType>, now: Now) -> Self {
        Self {
            id,
            app,
            process_type,
            opened: now,
            dynos: BTreeMap::new(),
            schedule: NotificationSchedule::default(),
        }
    }

    pub(super) fn has(&self, app: AppId, dyno: Option<&DynoName>) -> bool {
        self.app == app && self.dynos.keys().any(|name| name.as_ref() == dyno)
    }

    /// Whether it accepts another dyno of the same formation. This does not depend on what was sent, so that
    /// an incident is the same for every notifier.
    pub(super) fn accepts(
        &self,
        app: AppId,
        dyno: Option<&DynoName>,
        window: Duration,
        now: Duration,
    ) -> bool {
        self.app == app
            && self.process_type.as_ref() == dyno.map(DynoName::process_type)
            && now < self.opened.mono.saturating_add(window)
            && self.dynos.len() < limits::INCIDENT_DYNOS_MAX
    }

    pub(super) fn dyno(&mut self, dyno: Option<DynoName>, now: Duration) -> &mut AffectedDyno {
        self.dynos.entry(dyno).or_insert_with(|| AffectedDyno::new(now))
    }

    pub(super) fn request(&mut self, kind: Kind, is_new: bool, plan: &Plan, now: Duration) {
        self.schedule.request(kind, is_new, plan, now);
    }

    /// Takes a dyno out for which a refusal says that nothing is wrong, or that it does not exist, unless
    /// people have heard of it; returns whether it did.
    pub(super) fn drops(&mut self, dyno: Option<&DynoName>, hold: &Hold) -> bool {
        let is_nothing = match hold {
            Hold::TooYoung { limit: AgeLimit::Above, .. } => true,
            Hold::Gone => self.dynos.keys().any(|name| name.as_ref() != dyno),
            _ => false,
        };
        let dyno = dyno.cloned();
        let is_known = self.dynos.get(&dyno).is_some_and(|one| {
            !matches!(one.state, State::Heard | State::Held { .. }) || !self.schedule.sent.is_empty()
        });
        if is_nothing && !is_known {
            self.dynos.remove(&dyno);
        }
        is_nothing && !is_known
    }

    pub(super) fn is_empty(&self) -> bool {
        self.dynos.is_empty()
    }

    pub(super) fn forget(&mut self, dyno: &DynoName) {
        self.dynos.remove(&Some(dyno.clone()));
    }

    /// When it next needs attention.
    pub(super) fn deadlines(&self, plan: &Plan) -> impl Iterator<Item = Duration> {
        let watch_for = plan.apps[self.app.0 as usize].watch_for;
        let repeat = self.schedule.repeat_at(plan).filter(|_| self.stands());
        [self.schedule.due, repeat, Some(self.over_at(watch_for, plan.window))].into_iter().flatten()
    }

    /// Whether a person is still needed.
    pub(super) fn stands(&self) -> bool {
        let stands = |dyno: &AffectedDyno| {
            matches!(dyno.state, State::GivenUp { .. } | State::Failed { may_return: true, .. })
        };
        self.dynos.values().any(stands)
    }

    pub(super) fn is_over(&self, watch_for: Duration, window: Duration, now: Duration) -> bool {
        self.schedule.due.is_none() && self.over_at(watch_for, window) <= now
    }

    fn over_at(&self, watch_for: Duration, window: Duration) -> Duration {
        let needed_person = self.schedule.sent.iter().any(|kind| kind.is_loud());
        let quiet = if needed_person { limits::TROUBLE_QUIET } else { limits::INCIDENT_QUIET };
        let over = self.dynos.values().map(|dyno| dyno.over_at(watch_for, quiet));
        let last = over.max().unwrap_or_default().max(self.opened.mono.saturating_add(window));
        last.min(self.opened.mono.saturating_add(limits::INCIDENT_SPAN_MAX).max(self.given_up_until()))
    }

    fn given_up_until(&self) -> Duration {
        let over = |dyno: &AffectedDyno| match dyno.state {
            State::GivenUp { over, .. } => Some(over),
            _ => None,
        };
        self.dynos.values().filter_map(over).max().unwrap_or_default()
    }

    /// The kind of the closing message; `None` if no message was sent, so none is needed.
    pub(super) fn closing_kind(&self, on: &BTreeSet<Kind>) -> Option<Kind> {
        let sent = &self.schedule.sent;
        let quiet = sent.iter().rev().find(|kind| !kind.is_loud() && **kind != Kind::Recovered).copied();
        if !sent.iter().any(|kind| kind.is_loud()) {
            return quiet;
        }
        // People know that restarting does not help, so the end of the incident is no recovery.
        let did_not_help = self.dynos.values().any(|dyno| dyno.no_help.is_some());
        if let Some(kind) = quiet.or(sent.get(&Kind::NoHelp).copied()).filter(|_| did_not_help) {
            return Some(kind);
        }
        let has_failed = self.dynos.values().any(|dyno| matches!(dyno.state, State::Failed { .. }));
        let kind = if has_failed { Kind::Failure } else { Kind::Recovered };
        if on.contains(&kind) { Some(kind) } else { quiet }
    }

    pub(super) fn evaluate(&mut self, readings: &dyn Readings, now: Duration) {
        for (name, dyno) in &mut self.dynos {
            if let (Some(name), State::Back { since, .. }) = (name, &dyno.state) {
                let after = readings.read(self.app, name, Span { from: *since, to: now });
                dyno.proof = Some(dyno.judge(after, now.saturating_sub(*since)));
            }
        }
    }

    /// The message, with the requests that make memory grow where a person has to find the leak now.
    pub(super) fn message_with_suspects(
        &mut self,
        (kind, phase): (Kind, Phase),
        app: &WatchedApp,
        readings: &dyn Readings,
        now: Now,
    ) -> Message {
        let mut message = self.message(kind, phase, app, now);
        if let (Kind::GiveUp, Some(process_type)) = (kind, &self.process_type) {
            message.body.extend(readings.suspects(self.app, process_type));
        }
        message
    }

    pub(super) fn message(&mut self, kind: Kind, phase: Phase, app: &WatchedApp, now: Now) -> Message {
        let mut dynos: Vec<DynoReport> =
            self.dynos.iter().map(|(name, dyno)| dyno.report(name.as_ref(), now.mono)).collect();
        // Stable, so that dynos are in the order of their names otherwise.
        dynos.sort_by_key(|dyno| !dyno.is_restarted());
        let process_type = self.process_type.as_ref().map_or("", |process_type| process_type.as_str());
        let open_for = now.mono.saturating_sub(self.opened.mono);
        let (title, body) = text::dyno_incident((&app.name, process_type), &dynos, (kind, phase), open_for);
        Message {
            id: self.schedule.next_id(&self.id),
            incident: self.id.clone(),
            at: now.wall,
            opened_at: self.opened.wall,
            kind,
            phase,
            apps: vec![app.name.clone()],
            title,
            body,
            next_step: Some(next_step::of_dynos(&app.name, &dynos, (kind, phase))),
            dynos,
            links: Links::default(),
        }
    }
}

// === impl AffectedDyno ===

impl AffectedDyno {
    fn new(now: Duration) -> Self {
        Self {
            rule: "".into(),
            code: None,
            asked_by: None,
            reports: 0,
            line_at: None,
            memory: None,
            measure: Measure::default(),
            state: State::Heard,
            last_event: now,
            no_help: None,
            note: None,
            noticed: BTreeSet::new(),
            out_for: None,
            returned_after: None,
            back_after: None,
            before: None,
            proof: None,
        }
    }

    pub(super) fn add_decision(&mut self, decision: &Decision, now: Now) {
        self.last_event = now.mono;
        let evidence = &decision.evidence;
        let is_new = evidence.line_at.is_none() || evidence.line_at != self.line_at;
        self.line_at = evidence.line_at;
        self.reports = self.reports.saturating_add(is_new.into()).max(evidence.lines);
        // A running restart keeps the rule and code that led to it; later errors do not replace them.
        if matches!(self.state, State::Heard | State::Held { .. } | State::Notified | State::DryRun) {
            self.rule = Arc::clone(&decision.rule);
            self.code = evidence.code;
            self.measure = evidence.measure;
            self.asked_by.clone_from(&evidence.asked_by);
            self.memory = evidence.memory.or(self.memory);
        }
        match &decision.action {
            Action::Restart { dry_run: true, .. } => self.state = State::DryRun,
            Action::Restart { dry_run: false, .. } => {
                self.state = State::Restarting { attempt_id: decision.attempt_id };
                self.memory = evidence.memory.or(self.memory);
                self.back_after = None;
            }
            Action::Notify => {
                if self.state == State::Heard {
                    self.state = State::Notified;
                }
            }
            Action::Hold(hold) => self.hold(hold, now.mono),
        }
    }

    fn hold(&mut self, hold: &Hold, now: Duration) {
        match &self.state {
            State::Heard | State::Held { .. } | State::Notified | State::DryRun | State::Gone => {
                let is_next = matches!(hold, Hold::Queued { .. } | Hold::FormationOut { .. });
                let is_intended = matches!(hold, Hold::Paused { .. } | Hold::OutsideWindow { .. });
                self.state = State::Held { reason: hold.to_string(), is_intended, is_next };
            }
            // These may still be lines of the replaced process.
            State::Back { since, .. }
                if !matches!(hold, Hold::Superseded { .. } | Hold::Stale { .. } | Hold::TooYoung { .. }) =>
            {
                self.back_after = self.back_after.or(Some(now.saturating_sub(*since)));
            }
            State::Back { .. }
            | State::Failed { .. }
            | State::GivenUp { .. }
            | State::Out { .. }
            | State::Restarting { .. } => {}
        }
    }

    pub(super) fn fail(&mut self, result: &RestartResult) {
        let may_return = matches!(result, RestartResult::NotBack { .. } | RestartResult::DownAgain { .. });
        self.state = State::Failed { text: result.to_string(), may_return, is_ours: true };
    }

    /// Notes the outcome of its restart; returns whether it had failed and is back after all.
    pub(super) fn add_outcome(&mut self, outcome: &Outcome, now: Duration) -> bool {
        self.last_event = now;
        let had_failed = matches!(self.state, State::Failed { .. });
        match &outcome.result {
            RestartResult::Accepted { .. } => {
                self.state = State::Out { attempt_id: outcome.attempt_id, since: now };
            }
            RestartResult::Back { out_for, late, .. } => {
                self.out_for = Some(*out_for);
                self.state = State::Back { since: now, late: *late };
                return had_failed;
            }
            RestartResult::Gone => self.state = State::Gone,
            // Refused for now: the engine retries, or a notice reports the failure.
            RestartResult::Refused(_) if !had_failed => {
                self.state =
                    State::Held { reason: outcome.result.to_string(), is_intended: false, is_next: false };
            }
            RestartResult::NotBack { .. }
            | RestartResult::DownAgain { .. }
            | RestartResult::Ignored { .. }
            | RestartResult::NoHelp { .. }
            | RestartResult::Refused(_)
            | RestartResult::Unanswered { .. }
            | RestartResult::Withdrawn => {}
        }
        false
    }

    fn over_at(&self, watch_for: Duration, quiet: Duration) -> Duration {
        match &self.state {
            State::Back { since, .. } => since.saturating_add(watch_for),
            State::Gone => self.last_event,
            State::GivenUp { over, .. } => *over,
            State::Failed { may_return: true, .. } | State::Out { .. } | State::Restarting { .. } => {
                self.last_event.saturating_add(limits::INCIDENT_SPAN_MAX)
            }
            State::DryRun
            | State::Failed { may_return: false, .. }
            | State::Heard
            | State::Held { .. }
            | State::Notified => self.last_event.saturating_add(quiet),
        }
    }

    fn judge(&self, after: Option<Figures>, watched_for: Duration) -> RestartEffect {
        let back_after = self.no_help.or(self.back_after);
        let is_silent = |figures: &Figures| figures.requests == 0 && figures.memory.is_none();
        let had_traffic = self.before.is_some_and(|before| before.requests > 0);
        let helped = match back_after {
            // An error later than that is the next one, and a restart helps against it again.
            Some(after) if self.no_help.is_some() || after <= limits::HELP_WITHIN => Improved::No,
            None if had_traffic && after.as_ref().is_none_or(is_silent) => Improved::Unknown,
            _ => Improved::Yes,
        };
        RestartEffect { helped, watched_for, back_after, before: self.before, after }
    }

    fn report(&self, name: Option<&DynoName>, now: Duration) -> DynoReport {
        let mut report = DynoReport {
            name: name.cloned(),
            rule: Arc::clone(&self.rule),
            code: self.code,
            asked_by: self.asked_by.clone(),
            reports: self.reports,
            memory: self.memory,
            measure: self.measure,
            state: self.state.word(),
            text: String::new(),
            out_for: self.out_for,
            returned_after: self.returned_after,
            proof: self.proof.clone(),
            is_next: matches!(self.state, State::Held { is_next: true, .. }),
            is_intended: matches!(self.state, State::Held { is_intended: true, .. }),
            came_back: self.no_help.is_some(),
            is_broken: matches!(self.state, State::Failed { is_ours: false, .. }),
            is_down: matches!(
                self.state,
                State::Failed { is_ours: false, .. } | State::Failed { may_return: true, .. }
            ),
        };
        report.text = text::dyno(&report, &self.state, self.no_help, now);
        if let Some(note) = &self.note {
            report.text = format!("{} It {note}.", report.text);
        }
        report
    }
}
