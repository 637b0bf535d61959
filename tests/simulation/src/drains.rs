//! The daemon's knowledge of drains: the program's own gate and lists, with calls that fail like all others.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use secrecy::SecretString;

use dynowarden_core::api::json::{self, Drain};
use dynowarden_core::api::{ApiError, FormationInfo};
use dynowarden_core::drain_url::PublicUrl;
use dynowarden_core::engine::Input;
use dynowarden_core::event::Event as LineEvent;
use dynowarden_core::ident::{AppId, DrainToken};
use dynowarden_core::limits;
use dynowarden_core::origin::lists::{DrainLists, OwnDrains};
use dynowarden_core::origin::schedule::ListSchedule;
use dynowarden_core::origin::{Batch, Judged, OriginGate, Passed};
use dynowarden_core::record::AttemptId;
use dynowarden_core::time::{later, since};

use crate::api_faults::{Answer, Truth, Want};
use crate::daemon::Daemon;
use crate::liveness::Trouble;
use crate::scenario::{ApiCondition, ScenarioApp, secs};
use crate::senders::Sender;
use crate::{Simulation, Wrong, app_id, in_app};

/// How the drains of an app reach the daemon.
#[derive(Clone, Copy, Debug, Default)]
pub struct DrainKind {
    /// Through a proxy that strips the header with the token.
    pub is_bare: bool,
    /// The settings name its token.
    pub is_fixed: bool,
    /// Through a proxy, so that the API lists no drain of ours.
    pub is_hidden: bool,
}

/// What one process of the daemon knows about senders.
pub(crate) struct Drains {
    gate: OriginGate,
    lists: DrainLists,
    /// When the watchdog lists all drains again.
    round_at: Duration,
    schedule: ListSchedule,
    /// Apps whose name another one has.
    taken: BTreeSet<AppId>,
    /// When errors last passed of which it was unknown whose they are.
    uncertain_at: HashMap<AppId, Duration>,
}

impl Drains {
    pub(crate) fn new(apps: &[ScenarioApp], tokens: &[DrainToken]) -> Self {
        let own = apps.iter().zip(tokens).map(|(app, token)| OwnDrains {
            name: app.plan.name.clone(),
            passwords: vec![SecretString::from(PASSWORD)],
            tokens: app.drains.is_fixed.then(|| token.clone()).into_iter().collect(),
        });
        Self {
            gate: OriginGate::default(),
            lists: DrainLists::new(own.collect(), PublicUrl::parse(PUBLIC_URL)),
            round_at: Duration::ZERO,
            schedule: ListSchedule::default(),
            taken: BTreeSet::new(),
            uncertain_at: HashMap::new(),
        }
    }

    /// When drains have to be listed next, in `mono` time.
    pub(crate) fn lists_at(&self, now: Duration) -> Duration {
        self.schedule.next(now).map_or(self.round_at, |at| at.min(self.round_at))
    }

    /// The events that wait, because no list will come any more.
    pub(crate) fn release(&mut self) -> Vec<Passed> {
        let Self { gate, lists, taken, .. } = self;
        gate.release(lists, |app| taken.contains(&app))
    }
}

impl Simulation {
    /// Lists the drains that have to be listed.
    pub(super) fn list_drains(&mut self) {
        let Some(daemon) = &mut self.daemon else { return };
        let mono = since(daemon.born, self.now);
        let drains = &mut daemon.drains;
        let mut due = drains.schedule.due(mono);
        if drains.round_at <= mono {
            drains.round_at = mono + limits::ROUND_EVERY;
            due = (0..self.scenario.apps.len()).map(app_id).collect();
        }
        for app in due {
            self.figures.did("drain_lists", 1);
            self.send(AttemptId(0), app.0 as usize, Want::Drains { asked_at: mono });
        }
    }

    /// The answer to a list of drains; none if there is none.
    pub(super) fn drains_answered(
        &mut self,
        app: usize,
        asked_at: Duration,
        answer: Option<Answer>,
    ) -> Result<(), Wrong> {
        let Some(asked) = self.daemon.as_ref().map(|daemon| later(daemon.born, asked_at)) else {
            return Ok(());
        };
        match answer.as_ref().map(|answer| (listed(answer), answer)) {
            Some((Ok(drains), answer)) => {
                self.look_at_name(app);
                if let Truth::Drains(truth) = &answer.truth {
                    let is_own = |url: &str| url == drain_url(app);
                    let fixed = self
                        .invariants
                        .senders
                        .first(app)
                        .filter(|_| self.scenario.apps[app].drains.is_fixed);
                    let has_own =
                        truth.iter().any(|(token, url)| is_own(url) || Some(token) == fixed.as_ref());
                    let tokens = truth.iter().map(|(token, _)| token.clone()).collect();
                    self.invariants.senders.listed(app, tokens, has_own);
                }
                if let Some(daemon) = &mut self.daemon {
                    daemon.drains.lists.listed(app_id(app), &drains, asked_at);
                }
            }
            _ => {
                self.invariants.senders.list_failed(app, asked, self.now);
                if let Some(daemon) = &mut self.daemon {
                    daemon.drains.lists.list_failed(app_id(app), asked_at);
                }
            }
        }
        let Some(Daemon { born, drains, .. }) = &mut self.daemon else { return Ok(()) };
        let Drains { gate, lists, taken, .. } = drains;
        let judged = gate.recheck(lists, |app| taken.contains(&app), since(*born, self.now));
        self.pass(judged)
    }

    /// Looks whether another app has the app's name, as the program does with each list.
    fn look_at_name(&mut self, app: usize) {
        let is_taken = self.is_name_taken(app);
        if self.api_condition == ApiCondition::Fair
            && let Some(daemon) = &mut self.daemon
        {
            if is_taken {
                daemon.drains.taken.insert(app_id(app));
            } else {
                daemon.drains.taken.remove(&app_id(app));
            }
        }
    }

    fn is_name_taken(&self, app: usize) -> bool {
        let ScenarioApp { spec, plan, .. } = &self.scenario.apps[app];
        spec.name != plan.name && self.platform.world.app(plan.name.as_str()).is_some()
    }

    /// What an inspection says if another app may have written the lines that led to it.
    pub(super) fn of_this_app(
        &mut self,
        app: usize,
        answer: Result<FormationInfo, ApiError>,
    ) -> Result<FormationInfo, ApiError> {
        let ScenarioApp { spec, plan, .. } = &self.scenario.apps[app];
        if answer.is_ok() && spec.name != plan.name {
            self.look_at_name(app);
        }
        let Some(Daemon { born, drains, .. }) = &self.daemon else { return answer };
        let now = since(*born, self.now);
        let is_recent = |at: &Duration| now.saturating_sub(*at) <= limits::ERROR_AGE_MAX;
        let is_uncertain = drains.uncertain_at.get(&app_id(app)).is_some_and(is_recent);
        if drains.taken.contains(&app_id(app)) && is_uncertain { Err(ApiError::OtherApp) } else { answer }
    }

    /// A batch's events arrive at the gate.
    pub(super) fn sift(
        &mut self,
        app: usize,
        drain: Option<DrainToken>,
        events: Vec<LineEvent>,
    ) -> Result<(), Wrong> {
        let Some(Daemon { born, drains, .. }) = &mut self.daemon else { return Ok(()) };
        let Drains { gate, lists, taken, .. } = drains;
        let batch = Batch { app: app_id(app), drain, events };
        let judged = gate.arrive(batch, lists, |app| taken.contains(&app), since(*born, self.now));
        self.pass(judged)
    }

    fn pass(&mut self, Judged { passed, wanted, dropped }: Judged) -> Result<(), Wrong> {
        self.figures.did("gate_dropped", dropped as u64);
        if let Some(daemon) = &mut self.daemon {
            daemon.drains.schedule.want(wanted);
        }
        for Passed { app, drain, input, alert, is_certain } in passed {
            let place = app.0 as usize;
            if let Some(daemon) = &mut self.daemon
                && !is_certain
            {
                daemon.drains.uncertain_at.insert(app, since(daemon.born, self.now));
            }
            if let Some(alert) = alert {
                self.figures.did("told_foreign_drain", 1);
                self.timeline.note(Some(place), || format!("TELL   {}: {alert:?}", alert.label()), self.now);
                let told = self.invariants.senders.told(place, drain.as_ref(), self.now);
                told.map_err(in_app(place))?;
            }
            self.judge_sender(place, drain.as_ref(), &input, false)?;
            self.input(input)?;
        }
        Ok(())
    }

    /// Judges what the gate says of a batch.
    pub(super) fn judge_sender(
        &mut self,
        app: usize,
        drain: Option<&DrainToken>,
        input: &Input,
        is_stop: bool,
    ) -> Result<(), Wrong> {
        let name = self.app_name(app);
        let exists = |token: &DrainToken| {
            let drains = self.platform.world.app(name.as_str()).map(|app| &app.drains);
            drains.is_some_and(|drains| drains.iter().any(|drain| drain.token == *token))
        };
        let exists = drain.is_some_and(exists);
        let is_taken = self.is_name_taken(app);
        let judged = match input {
            Input::ForeignEvents { origin, .. } => {
                self.invariants.senders.held((app, drain), origin, (exists, is_taken), self.now)
            }
            _ if is_stop => self.invariants.senders.released((app, drain)),
            _ => self.invariants.senders.counted((app, drain), self.now),
        };
        let sender = judged.map_err(in_app(app))?;
        let is_held = matches!(input, Input::ForeignEvents { .. });
        if is_held == (sender == Sender::Own) {
            // Its own errors do not count, or another app's do.
            self.figures.fault(if is_held { "own_batch_held" } else { "foreign_batch_counts" });
            self.liveness.trouble(Trouble::Sender(app), later(self.now, secs(400)));
        }
        if let (Input::Events { events, .. }, Sender::Other) = (input, sender) {
            self.invariants.foreign_lines(app, events, self.now);
        }
        Ok(())
    }
}

fn listed(answer: &Answer) -> Result<Vec<Drain>, ApiError> {
    let body = answer.body()?.ok_or(ApiError::NoSuchApp)?;
    json::drains(body).map_err(|garbled| ApiError::Garbled { what: garbled.to_string() })
}

/// The URL of a watched app's drain, by its name in the settings.
pub(crate) fn drain_url(app: usize) -> String {
    format!("https://drain:{PASSWORD}@warden.example.com/logs/app-{app}")
}

/// The same through a proxy.
pub(crate) fn proxy_url(app: usize) -> String {
    format!("https://proxy.example.net/in/app-{app}")
}

/// The watched app that a URL leads to: the number at its end.
pub(crate) fn target_of(url: &str) -> usize {
    url.rsplit('-').next().and_then(|digits| digits.parse().ok()).expect("apps are numbered")
}

const PASSWORD: &str = "secret";

const PUBLIC_URL: &str = "https://warden.example.com";
