//! The daemon in the simulation: the real engine, with a simulated API client, drain and store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use dynowarden_core::api::{ApiError, DeleteResult, DynoInfo, json};
use dynowarden_core::codes::Code;
use dynowarden_core::dedup::{Delivery, FrameDedup, Source};
use dynowarden_core::engine::claim::ClaimRefusal;
use dynowarden_core::engine::restore::{RestoredGiveUp, RestoredPause};
use dynowarden_core::engine::{Effect, Engine, Input};
use dynowarden_core::event::{Change, DynoState, Event as LineEvent, Fact};
use dynowarden_core::health::watchdog::Watchdog;
use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::ingest::{self, Counts, ProcessTypeFilter};
use dynowarden_core::origin::Passed;
use dynowarden_core::record::hold::Hold;
use dynowarden_core::record::usefulness::Usefulness;
use dynowarden_core::record::{
    Action, AttemptId, MemoryAfterRestart, NoticeKind, Record, RestartResult, Scope,
};
use dynowarden_core::time::{Now, later, since};
use heroku_sim::fault::{Fault, FaultRule, PathRule, Times};
use heroku_sim::platform::Reply;
use heroku_sim::sender::Post;

use crate::api_faults::{self, Answer, Fate, Flight, LATE_MAX, TIMEOUT, Truth, Want};
use crate::drains::Drains;
use crate::invariants::{DynoTruth, ListTruth};
use crate::liveness::Trouble;
use crate::scenario::{ApiCondition, DOWN_MAX, Event, secs};
use crate::senders::Sender;
use crate::store::{Row, Write};
use crate::{Due, Simulation, Wrong, in_app};

/// One process of the daemon.
pub(crate) struct Daemon {
    pub(crate) born: Timestamp,
    pub(crate) drains: Drains,
    engine: Engine,
    frame_ids: FrameDedup,
    watches: Vec<ProcessTypeFilter>,
    /// The quantities of each app's formations, when they were asked for, and the dynos beyond them then.
    pub(crate) quantities: HashMap<usize, (Timestamp, Vec<json::Formation>, Vec<DynoName>)>,
    /// It was asked to stop, and takes no more work.
    is_stopping: bool,
    /// Reads Heroku's status page, if that is set.
    pub(crate) watchdog: Option<Watchdog>,
}

impl Daemon {
    pub(crate) fn wakes_at(&self) -> Option<Timestamp> {
        let deadline = self.engine.next_deadline().filter(|_| !self.is_stopping);
        deadline.map(|at| later(self.born, at))
    }

    /// When its watchdog looks around next.
    pub(crate) fn looks_at(&self) -> Option<Timestamp> {
        let watchdog = self.watchdog.as_ref().filter(|_| !self.is_stopping)?;
        Some(later(self.born, watchdog.next_deadline()))
    }

    /// When it lists drains next.
    pub(crate) fn lists_at(&self, now: Timestamp) -> Option<Timestamp> {
        let at = self.drains.lists_at(since(self.born, now));
        (!self.is_stopping).then(|| later(self.born, at))
    }

    /// Whether the process began within the last minute.
    pub(crate) fn is_new(&self, now: Timestamp) -> bool {
        since(self.born, now) <= secs(60)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    pub(crate) fn attempts(&self) -> usize {
        self.engine.attempts()
    }
}

impl Simulation {
    pub(super) fn start(&mut self) -> Result<(), Wrong> {
        if self.daemon.is_some() {
            return Ok(());
        }
        self.life += 1;
        self.figures.did("lives", 1);
        self.liveness.born(self.clock());
        let plans: Vec<_> = self.scenario.apps.iter().map(|app| app.plan.clone()).collect();
        let watch = |plan: &dynowarden_core::policy::AppPlan| ProcessTypeFilter {
            process_types: plan.policy.process_types.clone(),
        };
        let apps = &self.scenario.apps;
        let token = |app| self.invariants.senders.first(app).expect("each app has a drain");
        let tokens: Vec<_> = (0..apps.len()).map(token).collect();
        self.daemon = Some(Daemon {
            born: self.now,
            drains: Drains::new(apps, &tokens),
            watches: plans.iter().map(watch).collect(),
            engine: Engine::new(plans, self.chance.draw()),
            frame_ids: FrameDedup::default(),
            quantities: HashMap::new(),
            is_stopping: false,
            watchdog: None,
        });
        self.liveness.trouble(Trouble::Daemon, later(self.now, secs(90)));
        let clock = self.clock();
        let past = self.store.past(self.life);
        self.invariants.born(&past, clock);
        self.figures.did("claims_resumed", past.claims.len() as u64);
        for claim in &past.claims {
            let (app, cooldown) =
                (claim.app.0 as usize, self.invariants.policy(claim.app.0 as usize).cooldown);
            let until = later(self.now, cooldown + secs(60));
            // If anything replaced it, that counts as our restart: better one too few.
            self.liveness.assume(app, claim.target.name.clone(), until);
        }
        self.input(Input::Restore(past))?;
        self.list_drains();
        if self.scenario.reads_page {
            self.start_watchdog();
        }
        Ok(())
    }

    pub(super) fn kill(&mut self) {
        if self.daemon.is_none() {
            return;
        }
        self.figures.fault("kill");
        if self
            .agenda
            .values()
            .any(|due| matches!(due, Due::ClaimAnswered { life, .. } if *life == self.life))
        {
            self.figures.fault("kill_between_claim_and_delete");
        }
        self.lose_calls();
        self.end_process();
    }

    /// Requests on their way may still arrive.
    fn lose_calls(&mut self) {
        let (now, life) = (self.now, self.life);
        let is_ours = |id: &u64| self.flights.get(id).is_some_and(|flight| flight.life == life);
        let arriving = self.agenda.iter().filter(|(_, due)| matches!(due, Due::Arrives(id) if is_ours(id)));
        let moved: Vec<(Timestamp, u64)> = arriving.map(|(key, _)| *key).collect();
        for key in moved {
            let Some(Due::Arrives(id)) = self.agenda.remove(&key) else { continue };
            if self.chance.hits(500) {
                self.figures.fault("killed_call_arrives");
                let latest = later(now, LATE_MAX);
                self.plan_at(key.0.min(latest), Due::Arrives(id));
            } else {
                self.figures.fault("killed_call_lost");
                self.flights.remove(&id);
            }
        }
    }

    fn end_process(&mut self) {
        self.daemon = None;
        self.invariants.died(self.now);
        let away = if self.chance.hits(700) {
            self.chance.span(Duration::from_millis(100), secs(20))
        } else {
            self.chance.span(secs(20), DOWN_MAX)
        };
        self.plan_in(away, Due::Event(Event::Start));
        self.liveness.trouble(Trouble::Daemon, later(self.now, away + secs(90)));
    }

    /// SIGTERM: no more work. Calls on their way are awaited.
    pub(super) fn stop(&mut self) {
        let Some(daemon) = &mut self.daemon else { return };
        if !std::mem::replace(&mut daemon.is_stopping, true) {
            self.figures.fault("sigterm");
            self.liveness.trouble(Trouble::Daemon, later(self.now, TIMEOUT + secs(90)));
            self.plan_in(Duration::from_millis(20), Due::Event(Event::Stopped { life: self.life }));
        }
    }

    /// The process ends once its calls are answered, and what it has written is in the store.
    pub(super) fn stopped(&mut self, life: u32) -> Result<(), Wrong> {
        if !self.is_alive(life) {
            return Ok(());
        }
        if self.flights.values().any(|flight| flight.life == life && !flight.is_over) {
            self.plan_in(Duration::from_millis(200), Due::Event(Event::Stopped { life }));
            return Ok(());
        }
        self.hand_over()?;
        let is_ours = |due: &Due| match due {
            Due::Written { life: of, .. } | Due::ClaimWritten { life: of, .. } => *of == life,
            _ => false,
        };
        let keys: Vec<_> = self.agenda.iter().filter(|(_, due)| is_ours(due)).map(|(key, _)| *key).collect();
        for key in keys {
            match self.agenda.remove(&key) {
                Some(Due::Written { write, .. }) => self.store.write(write),
                Some(Due::ClaimWritten { row, did_not_help, .. }) => self.claim_written(*row, did_not_help),
                _ => {}
            }
        }
        self.end_process();
        Ok(())
    }

    /// What has been asked for and not been sent goes to the store, for the next process.
    fn hand_over(&mut self) -> Result<(), Wrong> {
        let wall = self.clock().wall();
        let Some(daemon) = &mut self.daemon else { return Ok(()) };
        let now = Now { mono: since(daemon.born, self.now), wall };
        let mut effects = Vec::new();
        for Passed { app, drain, input, .. } in daemon.drains.release() {
            self.judge_sender(app.0 as usize, drain.as_ref(), &input, true)?;
            let Some(daemon) = &mut self.daemon else { return Ok(()) };
            effects.extend(daemon.engine.handle(input, now));
        }
        let Some(daemon) = &mut self.daemon else { return Ok(()) };
        let (at_stop, pending) = daemon.engine.stop(now);
        effects.extend(at_stop);
        self.figures.did("handed_over", pending.len() as u64);
        self.store.pending.extend(pending);
        effects.into_iter().try_for_each(|effect| self.carry_out(effect))
    }

    /// `did_not_help` is about the last restart before.
    pub(super) fn claim_written(&mut self, row: Row, did_not_help: bool) {
        let (app, dyno) = (row.app.0 as usize, row.target.name.clone());
        if did_not_help {
            self.store.write(Write::NoHelp { app: row.app, dyno: dyno.clone() });
            self.invariants.promises.wrote_useless(app, &dyno);
        }
        let row = self.store.claim(row);
        self.invariants.claim_written(row, app, &dyno, self.now);
    }

    pub(super) fn take_batch(&mut self, app: usize, post: &Post) -> Result<(), Wrong> {
        let is_own = self.invariants.senders.of(app, post.token.as_ref()) == Sender::Own;
        let Some(daemon) = &self.daemon else { return Ok(()) };
        let now = Now { mono: since(daemon.born, self.now), wall: self.clock().wall() };
        let source = Source { app: AppId(app as u32), drain: post.token.clone() };
        let mut counts = Counts::default();
        let frame = post.frame_id.as_ref().map(|id| id.as_bytes());
        let Delivery::New(claim) = daemon.frame_ids.begin(&source, frame, now) else {
            self.figures.did("duplicate_frames", 1);
            return Ok(());
        };
        let events = ingest::read_batch(&post.body, &daemon.watches[app], post.token.as_ref(), &mut counts);
        claim.commit();
        if !counts.bad_frames.is_empty() {
            return Err((Some(app), format!("frames could not be read: {:?}", counts.bad_frames)));
        }
        if !is_own {
            self.figures.fault("foreign_batch");
        }
        self.figures.did("lines", counts.frames);
        if counts.lost_messages > 0 {
            self.figures.fault("lines_lost");
        }
        if events.is_empty() {
            return Ok(());
        }
        let heard = events.clone();
        self.sift(app, post.token.clone(), events)?;
        if !is_own {
            return Ok(());
        }
        heard.iter().try_for_each(|event| self.observe(app, event))
    }

    /// Reports to the judges what the daemon has just received.
    fn observe(&mut self, app: usize, event: &LineEvent) -> Result<(), Wrong> {
        match &event.fact {
            Fact::Error { code: Code::R14, dyno: Some(dyno) } => {
                self.figures.did("errors", 1);
                let fresh = since(event.at, self.now) < secs(90);
                let listed = self.invariants.policy(app).process_types.contains(dyno.process_type());
                let plan = &self.scenario.apps[app].plan;
                if fresh && listed && !self.scenario.is_calm && !plan.dry_run {
                    self.excuse_clock();
                    self.excuse_api();
                    if self.platform.bucket.remaining(self.now) < 60 {
                        self.liveness.trouble(Trouble::Tokens, later(self.now, secs(120)));
                    }
                    let (clock, world) = (self.clock(), &self.platform.world);
                    let owed = self.liveness.erred(app, dyno, world, &self.invariants, clock);
                    owed.map_err(in_app(app))?;
                }
            }
            Fact::Life { dyno, change: Change::Leaving } => {
                self.invariants.reported_leaving(app, dyno.clone(), event.at);
            }
            Fact::Life { dyno, change: Change::State { to: state, .. } } if *state != DynoState::Up => {
                self.invariants.reported_leaving(app, dyno.clone(), event.at);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn input(&mut self, input: Input) -> Result<(), Wrong> {
        let wall = self.clock().wall();
        let Some(daemon) = &mut self.daemon else { return Ok(()) };
        if daemon.is_stopping && !matches!(input, Input::Deleted { .. } | Input::Polled { .. }) {
            return Ok(());
        }
        let now = Now { mono: since(daemon.born, self.now), wall };
        let effects = daemon.engine.handle(input, now);
        self.figures.did("steps", 1);
        effects.into_iter().try_for_each(|effect| self.carry_out(effect))
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), Wrong> {
        let clock = self.clock();
        let life = self.life;
        if self.daemon.as_ref().is_some_and(Daemon::is_stopping) && !matches!(effect, Effect::Record(_)) {
            return Ok(());
        }
        match effect {
            Effect::Answer { decisions, .. } => {
                self.figures.did("orders_answered", 1);
                self.figures.did("orders_decisions", decisions.len() as u64);
                Ok(())
            }
            Effect::Claim { attempt_id, app, seen, is_forced, last, decision, .. } => {
                let rule = decision.map(|decision| decision.rule);
                self.claim(
                    (attempt_id, app),
                    (seen, is_forced),
                    rule,
                    last.is_some_and(|last| last.useless_after.is_some()),
                )
            }
            Effect::Delete { attempt_id, app, dyno } => {
                let app = app.0 as usize;
                let text = || format!("DELETE {dyno} ({life}:{})", attempt_id.0);
                self.timeline.note(Some(app), text, self.now);
                self.figures.did("deletes", 1);
                let sent = {
                    let world = &self.platform.world;
                    self.invariants.sends_delete((life, attempt_id), (app, &dyno), world, clock)
                };
                sent.map_err(in_app(app))?;
                self.send(attempt_id, app, Want::Delete(dyno));
                self.kill_soon();
                Ok(())
            }
            Effect::Inspect { attempt_id, app, dyno } => {
                self.figures.did("inspections", 1);
                self.ask(attempt_id, app.0 as usize, 2, Want::List { dyno })
            }
            Effect::Poll { attempt_id, app, dyno } => {
                self.figures.did("polls", 1);
                self.ask(attempt_id, app.0 as usize, 1, Want::Poll(dyno))
            }
            Effect::Record(record) => self.record(&record),
            // Only one daemon runs here; replicas on one store are tested with real processes.
            Effect::CountAcrossReplicas(_) => Ok(()),
        }
    }

    fn ask(&mut self, attempt_id: AttemptId, app: usize, calls: u32, want: Want) -> Result<(), Wrong> {
        self.invariants.asks(calls, self.now).map_err(in_app(app))?;
        self.send(attempt_id, app, want);
        Ok(())
    }

    /// Now and then kills or stops the daemon at the worst moment.
    fn kill_soon(&mut self) {
        if self.scenario.is_calm {
            return;
        }
        if self.now < self.scenario.heals_at && self.chance.hits(25) {
            let span = self.chance.span(Duration::ZERO, Duration::from_millis(600));
            self.plan_in(span, Due::Event(Event::Kill));
        }
        if self.now < self.scenario.heals_at && self.chance.hits(self.scenario.stops_at_work) {
            let span = self.chance.span(Duration::ZERO, Duration::from_millis(600));
            self.plan_in(span, Due::Event(Event::Stop));
        }
    }

    fn claim(
        &mut self,
        (attempt_id, app): (AttemptId, AppId),
        (seen, is_forced): (DynoInfo, bool),
        rule: Option<Arc<str>>,
        did_not_help: bool,
    ) -> Result<(), Wrong> {
        let (life, place) = (self.life, app.0 as usize);
        let claims = self.invariants.claims((life, attempt_id), place, (&seen, is_forced), self.now);
        claims.map_err(in_app(place))?;
        let commit = if self.chance.hits(80) {
            self.chance.span(secs(1), secs(5))
        } else {
            self.chance.span(Duration::from_millis(1), Duration::from_millis(40))
        };
        let verdict = self.verdict_of_claim(app);
        if verdict.is_ok() {
            let row = Row {
                holder: (life, attempt_id),
                app,
                target: seen,
                rule,
                is_forced,
                accepted_at: None,
                back_at: None,
                usefulness: Usefulness::Unknown,
                has_ended: false,
            };
            self.plan_in(commit, Due::ClaimWritten { life, row: Box::new(row), did_not_help });
        } else if self.store.is_away {
            self.figures.fault("claim_unanswered");
        }
        let answer = self.chance.span(Duration::ZERO, Duration::from_millis(20));
        self.plan_in(commit + answer, Due::ClaimAnswered { life, attempt_id, answer: verdict });
        self.kill_soon();
        if !self.scenario.is_calm && self.chance.hits(10) {
            // A person pauses it at the last moment.
            let (span, until) =
                (self.chance.span(Duration::ZERO, commit), self.chance.span(secs(60), secs(1800)));
            self.plan_in(span, Due::Event(Event::Pause { app: Some(place), span: until }));
        }
        Ok(())
    }

    /// What the store says to a claim. It reads the pauses once more: the process may have read them by a
    /// clock that has been set since.
    fn verdict_of_claim(&self, app: AppId) -> Result<(), ClaimRefusal> {
        if self.store.is_away {
            return Err(ClaimRefusal::StoreAway);
        }
        match self.store.pause_of(app, self.clock().wall()) {
            Some(RestoredPause { until, reason, .. }) => {
                Err(ClaimRefusal::Paused { until: *until, reason: Arc::clone(reason) })
            }
            None => Ok(()),
        }
    }

    pub(super) fn claim_answered(
        &mut self,
        life: u32,
        attempt_id: AttemptId,
        answer: Result<(), ClaimRefusal>,
    ) -> Result<(), Wrong> {
        if !self.is_alive(life) {
            return Ok(());
        }
        match answer {
            Ok(()) => self.invariants.claim_granted((life, attempt_id)),
            Err(_) => self.invariants.is_over((life, attempt_id)),
        }
        let is_elsewhere = self.chance.hits(300);
        let answer = match answer {
            Err(ClaimRefusal::StoreAway) if is_elsewhere => Err(ClaimRefusal::Elsewhere {
                until: later(self.clock().wall(), secs(30)),
                restarts: Vec::new(),
            }),
            answer => answer,
        };
        self.input(Input::Claimed { attempt_id, answer })
    }

    fn record(&mut self, record: &Record) -> Result<(), Wrong> {
        if let Some(notifier) = &mut self.notifier {
            notifier.record(record, self.now);
        }
        let (life, clock) = (self.life, self.clock());
        match record {
            Record::Decision(decision) => {
                let app = decision.app.0 as usize;
                let text = || {
                    let dyno = decision.dyno.as_ref().map_or("-".to_owned(), ToString::to_string);
                    let (word, label) = (decision.action.word(), decision.reason_label());
                    let attempt_id = decision
                        .attempt_id
                        .map_or(String::new(), |attempt_id| format!(" ({life}:{})", attempt_id.0));
                    format!("DECIDE {dyno} {word} {label}{attempt_id}: {}", decision.reason())
                };
                self.timeline.note(Some(app), text, self.now);
                match &decision.action {
                    Action::Hold(hold) => {
                        self.figures.hold(hold.label());
                        // A pause outlives a clock that jumps, and says so itself.
                        if let (Hold::Paused { .. }, Some(dyno)) = (hold, &decision.dyno) {
                            self.liveness.told(app, dyno.clone(), self.now);
                        }
                    }
                    Action::Notify => self.figures.did("notify_decisions", 1),
                    Action::Restart { dry_run: true, .. } => self.figures.did("dry_runs", 1),
                    Action::Restart { .. } => self.figures.did("restart_decisions", 1),
                }
                if let (Action::Hold(Hold::ClaimedElsewhere { .. } | Hold::StoreAway), Some(dyno)) =
                    (&decision.action, &decision.dyno)
                {
                    self.liveness.assume(app, dyno.clone(), later(self.now, secs(120)));
                }
                self.invariants.decided(life, decision, clock).map_err(in_app(app))
            }
            Record::MemoryAfterRestart(MemoryAfterRestart { app, dyno, memory, .. }) => {
                let app = app.0 as usize;
                self.timeline.note(Some(app), || format!("AFTER  {dyno}: {memory}"), self.now);
                self.figures.did("readings_after_restart", 1);
                Ok(())
            }
            Record::Notice(notice) => {
                let Scope::App(of) = notice.scope else {
                    return Err((None, "the engine knows one app at a time".to_owned()));
                };
                let app = of.0 as usize;
                let text = || format!("TELL   {}: {}", notice.what.label(), notice.what);
                self.timeline.note(Some(app), text, self.now);
                if let ("not_restarted", Some(dyno)) = (notice.what.label(), &notice.dyno) {
                    self.figures.did("told_not_restarted", 1);
                    self.liveness.told(app, dyno.clone(), self.now);
                }
                if let (NoticeKind::GaveUp { until, times, release, .. }, Some(dyno)) =
                    (&notice.what, &notice.dyno)
                {
                    self.figures.did("give_ups", 1);
                    let name = self.app_name(app);
                    let version = self.platform.world.app(name.as_str()).map_or(0, |app| app.version());
                    let ends = later(self.now, since(clock.wall(), *until));
                    self.liveness.gave_up(app, dyno.clone(), ends, version);
                    let (until, release, times) = (*until, *release, *times);
                    let at = notice.at;
                    let given_up = RestoredGiveUp { app: of, dyno: dyno.clone(), at, until, release, times };
                    self.write(Write::GivenUp(given_up));
                    let justified = self.invariants.gave_up(app, dyno, times > 1, self.now);
                    return justified.map_err(in_app(app));
                }
                Ok(())
            }
            Record::Outcome(outcome) => {
                let app = outcome.app.0 as usize;
                let text = || {
                    let (attempt_id, label) = (outcome.attempt_id.0, outcome.result.label());
                    format!("RESULT {} {label} ({life}:{attempt_id}): {}", outcome.dyno, outcome.result)
                };
                self.timeline.note(Some(app), text, self.now);
                let holder = (life, outcome.attempt_id);
                self.figures.did(outcome.result.label(), 1);
                match &outcome.result {
                    RestartResult::Accepted { .. } => {
                        // A lost answer is noticed late, and the cool-down runs from then.
                        let until = later(self.now, self.invariants.policy(app).cooldown + secs(30));
                        self.liveness.assume(app, outcome.dyno.clone(), until);
                        self.invariants.noted(app, &outcome.dyno, self.now);
                        self.write(Write::Accepted { holder, at: outcome.at });
                    }
                    RestartResult::NoHelp { .. } => {
                        self.invariants.promises.found_useless(app, &outcome.dyno, self.now);
                        self.write(Write::NoHelp { app: outcome.app, dyno: outcome.dyno.clone() });
                    }
                    RestartResult::NotBack { .. }
                    | RestartResult::DownAgain { .. }
                    | RestartResult::Ignored { .. } => {
                        let cooldown = self.invariants.policy(app).cooldown;
                        self.liveness.assume(app, outcome.dyno.clone(), later(self.now, cooldown + secs(90)));
                        self.invariants.is_over(holder);
                        if matches!(outcome.result, RestartResult::Ignored { .. }) {
                            self.invariants.promises.ignored(app, &outcome.dyno);
                            self.write(Write::Ignored { holder });
                        }
                    }
                    RestartResult::Back { id, release, up_since, .. } => {
                        self.invariants.promises.found_up(app, &outcome.dyno, *id, *up_since);
                        self.invariants.is_over(holder);
                        self.write(Write::Back { holder, release: *release, at: *up_since });
                    }
                    RestartResult::Refused(_) => {
                        self.liveness.refused(app, outcome.dyno.clone(), self.now);
                        self.invariants.is_over(holder);
                        self.write(Write::Ended { holder });
                    }
                    RestartResult::Gone | RestartResult::Unanswered { .. } | RestartResult::Withdrawn => {
                        if matches!(outcome.result, RestartResult::Unanswered { .. }) {
                            // An earlier process did not live to note the acceptance.
                            self.invariants.promises.ignored(app, &outcome.dyno);
                            self.invariants.unanswered(holder, app, &outcome.dyno, self.now);
                        }
                        self.invariants.is_over(holder);
                        self.write(Write::Ended { holder });
                    }
                }
                Ok(())
            }
        }
    }

    fn write(&mut self, write: Write) {
        let span = self.chance.span(Duration::from_millis(1), Duration::from_millis(400));
        self.plan_in(span, Due::Written { life: self.life, write });
    }

    pub(super) fn send(&mut self, attempt_id: AttemptId, app: usize, want: Want) {
        let fate = self.fate(app, &want);
        if let Want::Delete(dyno) = &want
            && self.api_condition != ApiCondition::Fair
            && fate.is_unlucky()
        {
            let policy = self.invariants.policy(app);
            let until = later(self.now, policy.boot_timeout + policy.cooldown + secs(60));
            self.liveness.assume(app, dyno.clone(), until);
        }
        self.timeline.note(
            Some(app),
            || format!("CALL   {want} ({}:{}) {fate}", self.life, attempt_id.0),
            self.now,
        );
        let flight = Flight {
            life: self.life,
            attempt_id,
            app,
            want,
            is_over: false,
            has_arrived: false,
            never_arrives: fate.arrives.is_none(),
            is_unsent: fate.is_unsent,
            trouble: fate.trouble,
            way_back: fate.way_back,
            answer: None,
        };
        self.drawn += 1;
        let id = self.drawn;
        if let Some(span) = fate.arrives {
            self.plan_in(span, Due::Arrives(id));
        }
        let Some(page) = fate.page else {
            let gives_up = fate.breaks.map_or(TIMEOUT, |span| span.min(TIMEOUT));
            self.plan_in(gives_up, Due::Broken(id));
            self.flights.insert(id, flight);
            return;
        };
        // Two that go their own ways: the page to the client, and what was passed on to the API.
        if fate.arrives.is_some() {
            self.flights.insert(id, Flight { is_over: true, ..flight.clone() });
        }
        self.drawn += 1;
        let id = self.drawn;
        self.plan_in(page.after, Due::Answered(id));
        let answer = Some(Answer::of_page(page));
        self.flights.insert(id, Flight { has_arrived: true, answer, ..flight });
    }

    fn fate(&mut self, app: usize, want: &Want) -> Fate {
        let policy = self.invariants.policy(app);
        let late_max = policy.boot_timeout.max(secs(60));
        if self.now < self.scenario.heals_at {
            let mishaps = self.scenario.mishaps;
            if let Some(fate) = mishaps.fate(&mut self.chance, (want, late_max), &mut self.figures) {
                return fate;
            }
        }
        if self.scenario.is_calm && self.api_condition == ApiCondition::Fair {
            return Fate::fair(&mut self.chance);
        }
        Fate::draw(&mut self.chance, self.api_condition, want, &mut self.figures)
    }

    pub(super) fn arrives(&mut self, id: u64) -> Result<(), Wrong> {
        let Some(flight) = self.flights.get(&id).cloned() else { return Ok(()) };
        let name = self.app_name(flight.app);
        let world = &self.platform.world;
        let truth = match &flight.want {
            Want::Delete(_) => Truth::None,
            Want::Drains { .. } => {
                let drains = world.app(name.as_str()).into_iter().flat_map(|app| &app.drains);
                Truth::Drains(drains.map(|drain| (drain.token.clone(), drain.url.clone())).collect())
            }
            Want::List { .. } => {
                let formation = world.dynos(&name).filter(|dyno| !dyno.is_one_off);
                let dynos = formation.map(|dyno| DynoTruth::of(dyno, self.now)).collect();
                Truth::List(ListTruth { dynos })
            }
            Want::OneOfLook { dyno, .. } | Want::Poll(dyno) => {
                let dyno = world.dyno(&name, &dyno.to_string());
                Truth::Dyno(dyno.map(|dyno| DynoTruth::of(dyno, self.now)))
            }
        };
        let before = match &flight.want {
            Want::Delete(dyno) => world.dyno(&name, &dyno.to_string()).cloned(),
            _ => None,
        };
        let (fault, after) = match &flight.trouble {
            Some(api_faults::Trouble::Status(status, _)) => (Some(Fault::Status(*status)), None),
            Some(api_faults::Trouble::StatusAfter(status)) => (None, Some(*status)),
            Some(api_faults::Trouble::Spoiled(fault)) => (Some(fault.clone()), None),
            None => (None, None),
        };
        self.platform.faults.clear();
        self.platform.faults.extend(fault.map(|fault| FaultRule {
            fault,
            method: None,
            path: PathRule::Any,
            times: Times::Always,
        }));
        if !matches!(flight.want, Want::Drains { .. }) {
            self.figures.did("calls", 1);
        }
        let reply = self.platform.answer(&flight.want.request(&name), self.now);
        self.platform.faults.clear();
        let Reply::Answer { response, .. } = reply else { return Ok(()) };
        let mut answer = Answer::read(response, truth);
        if let Some(hit) = before
            && self.platform.world.dyno(&name, &hit.name.to_string()).is_none_or(|now| now.id != hit.id)
        {
            self.took_effect(&flight, &hit)?;
        }
        if let Some(api_faults::Trouble::Status(_, wait)) = &flight.trouble {
            answer.retry_after = *wait;
        }
        answer.status = after.unwrap_or(answer.status);
        if flight.is_over {
            self.flights.remove(&id);
            return Ok(());
        }
        if let Some(flight) = self.flights.get_mut(&id) {
            flight.has_arrived = true;
            flight.answer = Some(answer);
        }
        if let Some(way_back) = flight.way_back {
            self.plan_in(way_back, Due::Answered(id));
        }
        Ok(())
    }

    fn took_effect(&mut self, flight: &Flight, hit: &heroku_sim::dyno::Dyno) -> Result<(), Wrong> {
        let (app, holder) = (flight.app, (flight.life, flight.attempt_id));
        self.timeline.note(Some(app), || format!("EFFECT {} {} is replaced", hit.name, hit.id), self.now);
        self.figures.did("restarts", 1);
        let clock = self.clock();
        // Its own policy leaves a dyno alone while another may still write under its name.
        let overlap = if self.scenario.apps[app].spec.preboot { secs(215) } else { secs(35) };
        if !self.invariants.is_writer(holder, app, overlap).map_err(in_app(app))? {
            self.figures.did("line_of_another_instance", 1);
        }
        let raced = self.invariants.effect(holder, app, hit, clock).map_err(in_app(app))?;
        if raced {
            self.figures.did("races_lost", 1);
        }
        self.liveness.restarted(app, &hit.name);
        if self.chance.hits(self.scenario.dies_settling) {
            self.figures.fault("dies_settling");
            let boot = self.platform.world.app(hit.app.as_str()).map(|app| app.plan(&hit.name).boot);
            let settling = self.chance.span(secs(3), secs(3) + self.invariants.policy(app).settle);
            let crash = Event::Crash { app, dyno: hit.name.clone() };
            self.plan_in(boot.unwrap_or_default() + settling, Due::Event(crash));
        }
        Ok(())
    }

    /// A client gives up on a call, or notices that its connection broke.
    pub(super) fn broken(&mut self, id: u64) -> Result<(), Wrong> {
        let Some(flight) = self.flights.get_mut(&id) else { return Ok(()) };
        if std::mem::replace(&mut flight.is_over, true) {
            return Ok(());
        }
        let flight = flight.clone();
        if flight.has_arrived || flight.never_arrives {
            self.flights.remove(&id);
        }
        if !self.is_alive(flight.life) {
            return Ok(());
        }
        let what = "lost".to_owned();
        let (attempt_id, error) = (flight.attempt_id, ApiError::Unreachable { what: what.clone() });
        self.timeline.note(Some(flight.app), || format!("LOST   {}", flight.want), self.now);
        match flight.want {
            Want::Delete(dyno) if flight.is_unsent => {
                self.invariants.promises.answered(flight.app, &dyno, false, self.now);
                self.input(Input::Deleted { attempt_id, answer: DeleteResult::Refused(error) })
            }
            Want::Delete(_) => self.input(Input::Deleted { attempt_id, answer: DeleteResult::Lost { what } }),
            Want::Drains { asked_at } => self.drains_answered(flight.app, asked_at, None),
            Want::List { .. } | Want::OneOfLook { .. } => {
                self.input(Input::Inspected { attempt_id, answer: Err(error) })
            }
            Want::Poll(_) => self.input(Input::Polled { attempt_id, answer: Err(error) }),
        }
    }

    pub(super) fn answered(&mut self, id: u64) -> Result<(), Wrong> {
        let Some(flight) = self.flights.remove(&id) else { return Ok(()) };
        let Some(answer) = flight.answer else { return Ok(()) };
        if flight.is_over || !self.is_alive(flight.life) {
            return Ok(());
        }
        let (app, attempt_id) = (flight.app, flight.attempt_id);
        if let Some(remaining) = answer.tokens {
            self.invariants.reported_quota(remaining, self.now);
            self.input(Input::ApiQuota { remaining })?;
        }
        match flight.want {
            Want::Delete(dyno) => {
                let deletion = answer.deletion();
                if !matches!(deletion, DeleteResult::Lost { .. }) {
                    let is_accepted = deletion == DeleteResult::Accepted;
                    self.invariants.promises.answered(app, &dyno, is_accepted, self.now);
                }
                self.input(Input::Deleted { attempt_id, answer: deletion })
            }
            Want::Drains { asked_at } => self.drains_answered(app, asked_at, Some(answer)),
            Want::Poll(dyno) => {
                let polled = answer.body().and_then(|body| api_faults::one(body, &dyno));
                self.input(Input::Polled { attempt_id, answer: polled })
            }
            Want::List { dyno } => {
                let list = match answer.truth.clone() {
                    Truth::List(list) => list,
                    Truth::Drains(_) | Truth::Dyno(_) | Truth::None => ListTruth { dynos: Vec::new() },
                };
                let listed = &self.invariants.policy(app).process_types;
                let formation = match answer.body() {
                    Err(error) => Err(error),
                    Ok(None) => Err(ApiError::NoSuchApp),
                    Ok(Some(body)) => json::dynos(body, listed)
                        .map_err(|garbled| ApiError::Garbled { what: garbled.to_string() }),
                };
                let formation = match formation {
                    Ok(formation) => formation,
                    Err(error) => return self.input(Input::Inspected { attempt_id, answer: Err(error) }),
                };
                let quantities = self.quantities(app, &formation);
                if let Some(dyno) = dyno {
                    self.send(attempt_id, app, Want::OneOfLook { dyno, formation, list, quantities });
                    return Ok(());
                }
                let answer = self.assemble(app, None, (formation, &quantities));
                let answer = self.of_this_app(app, answer);
                self.input(Input::Inspected { attempt_id, answer })
            }
            Want::OneOfLook { dyno, formation, list, quantities } => {
                let one = answer.body().and_then(|body| api_faults::one(body, &dyno));
                if let Truth::Dyno(truth) = answer.truth.clone() {
                    self.invariants.inspected((self.life, attempt_id), truth, list);
                }
                let answer =
                    one.and_then(|one| self.assemble(app, Some((&dyno, one)), (formation, &quantities)));
                let answer = self.of_this_app(app, answer);
                self.input(Input::Inspected { attempt_id, answer })
            }
        }
    }
}
