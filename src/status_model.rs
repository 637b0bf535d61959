//! The data behind the status page, kept up to date by the tasks that learn something.
//!
//! The engine's own state is requested from the driver for each view. This keeps the rest: the charts, the
//! last decisions and the drains' activity.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::notify::NotifierFigures;
use crate::traffic::TrafficBook;
use crate::ui::facts::{AppFacts, DrainFacts, DynoFacts, Facts, PauseFacts, Traffic};
use crate::ui::not_restarted::NotRestarted;
use crate::ui::recent_decisions::RecentDecisions;
use crate::ui::restarts_off::RestartsOff;
use crate::ui::series::History;
use dynowarden_core::detect::sign::Sign;
use dynowarden_core::engine::status::{AppStatus, DynoStatus, Stage};
use dynowarden_core::event::Event;
use dynowarden_core::health::alert::HealthAlert;
use dynowarden_core::ident::{AppId, AppName, DynoName};
use dynowarden_core::ingest::Counts;
use dynowarden_core::limits;
use dynowarden_core::policy::AppPlan;
use dynowarden_core::record::hold::Hold;
use dynowarden_core::record::view::DecisionView;
use dynowarden_core::record::{Action, Notice, NoticeKind, Record, RestartResult, Scope};
use dynowarden_core::time::{Now, since};
use dynowarden_core::traffic::{Readings as _, Span};

#[derive(Debug)]
pub struct StatusModel {
    /// In the order of the settings, as [`AppId`] counts.
    apps: Vec<(AppName, bool)>,
    kept: Mutex<Kept>,
    traffic: Arc<TrafficBook>,
}

#[derive(Debug)]
struct Kept {
    /// The state of each drain, and when its last batch came.
    drains: Vec<(DrainFacts, Option<Now>)>,
    history: History,
    notifiers: Vec<NotifierFigures>,
    recent_decisions: RecentDecisions,
    restarts_off: RestartsOff,
    not_restarted: NotRestarted,
    /// Another app's drain, its fix, and when it last sent an error; by app.
    foreign: HashMap<AppId, (String, Option<String>, Timestamp)>,
}

impl StatusModel {
    /// An empty model of these apps, in the order of the settings.
    pub fn new<'p>(plans: impl IntoIterator<Item = &'p AppPlan>, traffic: Arc<TrafficBook>) -> Self {
        let apps: Vec<_> = plans.into_iter().map(|plan| (plan.name.clone(), plan.dry_run)).collect();
        let drains = vec![Default::default(); apps.len()];
        let (history, recent_decisions) = (History::new(apps.len()), RecentDecisions::default());
        let (notifiers, restarts_off, not_restarted) =
            (Vec::new(), RestartsOff::default(), NotRestarted::default());
        let kept = Kept {
            drains,
            history,
            notifiers,
            recent_decisions,
            restarts_off,
            not_restarted,
            foreign: HashMap::new(),
        };
        Self { apps, kept: Mutex::new(kept), traffic }
    }

    /// Notes why processes end, which the marks of their successors say; before the events of the same batch.
    pub fn record_ends<'d>(
        &self,
        app: AppId,
        ends: impl Iterator<Item = (&'d DynoName, Sign, Timestamp)>,
        now: Now,
    ) {
        let mut ends = ends.peekable();
        if ends.peek().is_none() {
            return;
        }
        let mut kept = self.lock();
        ends.for_each(|(dyno, sign, at)| kept.history.leaving(app, dyno, (sign, at), now.wall));
    }

    /// Notes an accepted batch and its events.
    pub fn record_batch(&self, app: AppId, events: &[Event], counts: &Counts, now: Now) {
        let mut kept = self.lock();
        kept.history.add_events(app, events, now.wall);
        if let Some((drain, last_batch)) = kept.drains.get_mut(app.0 as usize) {
            drain.batches += 1;
            drain.bad_frames += counts.bad_frames.values().sum::<u64>();
            drain.lost_messages = drain.lost_messages.saturating_add(counts.lost_messages);
            *last_batch = Some(now);
        }
    }

    pub fn record(&self, record: &Record) {
        let mut kept = self.lock();
        let kept = &mut *kept;
        match record {
            Record::MemoryAfterRestart(reading) => kept.recent_decisions.memory_after_restart(reading),
            Record::Decision(decision) => {
                kept.restarts_off.decision(decision);
                kept.not_restarted.decision(decision);
                if let (Action::Hold(Hold::ForeignDrain { .. }), Some((_, _, at))) =
                    (&decision.action, kept.foreign.get_mut(&decision.app))
                {
                    *at = decision.at.max(*at);
                }
                if let Some(name) = self.name(decision.app) {
                    kept.recent_decisions.add(decision, name);
                }
            }
            Record::Outcome(outcome) => {
                if let RestartResult::Accepted { .. } = outcome.result {
                    kept.history.restarted(outcome.app, &outcome.dyno, outcome.at);
                }
                kept.recent_decisions.add_outcome(outcome);
            }
            Record::Notice(notice) => {
                let name = notice.scope.app().and_then(|app| self.name(app));
                kept.restarts_off.notice(notice, name);
                kept.not_restarted.notice(notice);
                if let Notice { scope: Scope::App(app), what: NoticeKind::Health(alert), .. } = notice
                    && let Some((drain, _)) = kept.drains.get_mut(app.0 as usize)
                {
                    match alert {
                        HealthAlert::DrainLoops { .. }
                        | HealthAlert::DrainMissing
                        | HealthAlert::DrainSilent { .. } => {
                            (drain.trouble, drain.fix) = (Some(alert.to_string()), None);
                        }
                        HealthAlert::DrainRecovered => drain.trouble = None,
                        HealthAlert::ForeignDrain { .. } => {
                            let (text, fix) = alert.words();
                            kept.foreign.insert(*app, (text, fix, notice.at));
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    pub fn set_notifiers(&self, figures: Vec<NotifierFigures>) {
        self.lock().notifiers = figures;
    }

    /// Adds decisions of an earlier process, newest first.
    pub fn restore(&self, past: Vec<DecisionView>) {
        self.lock().recent_decisions.restore(past);
    }

    /// Everything but the program's own health, with the engine's present state.
    pub fn facts(&self, status: Vec<AppStatus>, now: Now) -> Facts {
        let kept = self.lock();
        let status = without_denied(status, &kept.recent_decisions, &self.apps);
        let apps = status.into_iter().filter_map(|app| self.app_facts(app, &kept, now)).collect();
        Facts {
            now: now.wall,
            trouble: None,
            warn: None,
            apps,
            decisions: kept.recent_decisions.views().cloned().collect(),
            notifiers: kept.notifiers.clone(),
        }
    }

    fn app_facts(&self, status: AppStatus, kept: &Kept, now: Now) -> Option<AppFacts> {
        let app = status.app;
        let (name, dry_run) = self.apps.get(app.0 as usize)?;
        let (drain, last_batch) = kept.drains.get(app.0 as usize)?;
        let dynos = status.dynos.into_iter().map(|dyno| DynoFacts {
            trace: kept.history.trace(app, &dyno.name).cloned(),
            traffic: self.traffic_of(app, &dyno.name, now),
            is_not_restarted: kept.not_restarted.is_in_force(app, &dyno.name, now.wall),
            status: without_old_reason(dyno),
        });
        Some(AppFacts {
            name: name.clone(),
            dry_run: *dry_run,
            paused: status.paused.map(PauseFacts::from),
            drain: DrainFacts {
                last_batch_ago: last_batch.map(|at| now.mono.saturating_sub(at.mono)),
                ..with_foreign(drain.clone(), kept.foreign.get(&app), now.wall)
            },
            restarts_off: kept.restarts_off.of(app, now.wall),
            dynos: dynos.collect(),
        })
    }

    pub fn name(&self, app: AppId) -> Option<&AppName> {
        self.apps.get(app.0 as usize).map(|(name, _)| name)
    }

    /// A dyno's last whole minute; none without recent requests.
    fn traffic_of(&self, app: AppId, dyno: &DynoName, now: Now) -> Option<Traffic> {
        let minute = now.mono.as_secs() / 60;
        let read = |from: u64, to: u64| {
            let at = |minute| Duration::from_secs(minute * 60);
            self.traffic.read(app, dyno, Span { from: at(from), to: at(to) })
        };
        read(0, minute).filter(|lately| lately.requests > 0)?;
        let last = minute.checked_sub(1)?;
        let figures = read(last, last)?;
        Some(Traffic { requests: figures.requests, errors: figures.errors, p95: figures.p95 })
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // The state is consistent after every statement that changes it, so a panic elsewhere is harmless.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows another app's drain for as long as it sends errors under this app's name.
fn with_foreign(
    drain: DrainFacts,
    foreign: Option<&(String, Option<String>, Timestamp)>,
    now: Timestamp,
) -> DrainFacts {
    let lasts = |at: &Timestamp| since(*at, now) < limits::INCIDENT_QUIET;
    match foreign {
        Some((text, fix, at)) if drain.trouble.is_none() && lasts(at) => {
            DrainFacts { trouble: Some(text.clone()), fix: fix.clone(), ..drain }
        }
        _ => drain,
    }
}

/// A reason to wait is true while the dyno waits, not after it was restarted.
fn without_old_reason(mut dyno: DynoStatus) -> DynoStatus {
    if !matches!(dyno.stage, Stage::Queued | Stage::Waiting) {
        dyno.waiting_for = None;
    }
    dyno
}

/// Leaves out dynos that Heroku denies: those whose newest decision is that there is none of that name.
fn without_denied(
    mut status: Vec<AppStatus>,
    decisions: &RecentDecisions,
    names: &[(AppName, bool)],
) -> Vec<AppStatus> {
    let mut newest: HashMap<(&str, &str), &str> = HashMap::new();
    for view in decisions.views() {
        if let Some(dyno) = &view.dyno {
            newest.entry((&view.app, dyno)).or_insert(&view.code);
        }
    }
    for app in &mut status {
        let Some((name, _)) = names.get(app.app.0 as usize) else { continue };
        app.dynos.retain(|dyno| {
            let is_silent = dyno.stage == Stage::Watched && dyno.memory.is_none() && dyno.seen.is_none();
            let code = newest.get(&(name.as_str(), dyno.name.to_string().as_str())).copied();
            !(is_silent && code == Some("gone"))
        });
    }
    status
}
