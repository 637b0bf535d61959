//! One app, for the watchdog: whether it is there, whether its drain leads here, and whether logs arrive.

use std::mem;
use std::time::Duration;

use crate::api::ApiError;
use crate::api::json::AppInfo;
use crate::health::alert::HealthAlert;
use crate::health::app;
use crate::health::schedule::{Ask, PeriodicCheck};
use crate::health::silence::{DrainActivity, Silence, SilenceDetector};
use crate::ident::{AppId, AppName, DrainToken};
use crate::limits;
use crate::time::Now;

#[derive(Debug)]
pub(super) struct WatchedApp {
    /// Alerts about this app that are not yet reported.
    pub(super) alerts: Vec<HealthAlert>,
    app: AppId,
    /// The API no longer knows its name, but perhaps its id.
    ask_by_id: bool,
    detector: SilenceDetector,
    drains: PeriodicCheck,
    /// Due only while a silence is examined.
    dynos: PeriodicCheck,
    /// The wait after the first answer, which spreads the apps over a round.
    first_wait: Option<Duration>,
    id: Option<String>,
    info: PeriodicCheck,
    /// Whether dynowarden runs in it.
    is_own: bool,
    lost: LostMessages,
    name: AppName,
    problem: Option<Problem>,
    /// Whether the list of drains that lacks ours was read once more in this round.
    is_rechecked: bool,
    /// The interval at which drains and app are read.
    round: Duration,
    silence: Silence,
}

/// A reported problem of the app itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Fir,
    Hidden,
    Loops,
    Renamed,
}

#[derive(Debug, Default)]
struct LostMessages {
    total: u64,
    reported: u64,
    report_again_at: Duration,
}

/// How often the watchdog asks about an app.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) first_wait: Duration,
    pub(super) round: Duration,
    pub(super) silent_after: Option<Duration>,
}

impl WatchedApp {
    pub(super) fn new(app: AppId, name: AppName, is_own: bool, timing: Timing, now: Now) -> Self {
        Self {
            alerts: Vec::new(),
            app,
            ask_by_id: false,
            detector: SilenceDetector::new(timing.silent_after, now.mono),
            drains: PeriodicCheck::at(now.mono),
            dynos: PeriodicCheck::never(),
            first_wait: Some(timing.first_wait),
            id: None,
            info: PeriodicCheck::at(now.mono),
            is_own,
            is_rechecked: false,
            lost: LostMessages::default(),
            name,
            problem: None,
            round: timing.round,
            silence: Silence::None,
        }
    }

    pub(super) fn due_at(&self) -> Option<Duration> {
        [&self.drains, &self.dynos, &self.info].into_iter().filter_map(PeriodicCheck::due_at).min()
    }

    pub(super) fn is_silent(&self) -> bool {
        self.silence == Silence::Reported
    }

    pub(super) fn is_hidden(&self) -> bool {
        self.problem == Some(Problem::Hidden)
    }

    pub(super) fn ask_drains(&mut self, now: Duration) -> Option<Ask> {
        self.drains.begin(now).then_some(Ask::Drains(self.app))
    }

    pub(super) fn ask_dynos(&mut self, now: Duration) -> Option<Ask> {
        self.dynos.begin(now).then_some(Ask::Dynos(self.app))
    }

    pub(super) fn ask_app(&mut self, now: Duration) -> Option<Ask> {
        let id = self.id.clone().filter(|_| self.ask_by_id);
        self.info.begin(now).then_some(Ask::App { app: self.app, id })
    }

    pub(super) fn update(&mut self, activity: DrainActivity, now: Now) {
        if self.detector.update(activity) {
            if self.is_silent() {
                self.alerts.push(HealthAlert::DrainRecovered);
            }
            self.silence = Silence::None;
        } else if self.detector.is_silent(now.mono)
            && !matches!(self.problem, Some(Problem::Fir | Problem::Hidden))
            && match self.silence {
                Silence::None => true,
                Silence::Harmless { until } => until <= now.mono,
                Silence::Suspected { .. } | Silence::Reported | Silence::Unlisted => false,
            }
        {
            self.silence = Silence::Suspected { is_listed: true };
            self.drains.hasten(now.mono);
        }
        self.alerts.extend(self.lost.update(activity.lost_messages, now.mono));
    }

    /// Takes the drain that leads here, if there is one.
    pub(super) fn drains_listed(&mut self, answer: Result<Option<DrainToken>, ApiError>, now: Now) {
        let drain = match answer {
            Ok(drain) => drain,
            Err(error) => {
                if error == ApiError::NoSuchApp {
                    self.info.hasten(now.mono);
                }
                self.drains.failed(limits::ROUND_AGAIN, self.round, now.mono);
                // A token that cannot list drains may still list dynos, which prove the silence.
                if let Silence::Suspected { .. } = self.silence {
                    self.dynos.hasten(now.mono);
                }
                return;
            }
        };
        let is_listed = drain.is_some();
        self.drains.done(now.mono.saturating_add(self.first_wait.take().unwrap_or(self.round)));
        match self.silence {
            Silence::Suspected { .. } => {
                self.silence = Silence::Suspected { is_listed };
                self.dynos.hasten(now.mono);
            }
            // Batches arrive although no list has the drain, as in a space: once a round is enough.
            Silence::None | Silence::Harmless { .. } if self.is_rechecked => self.is_rechecked = false,
            Silence::None | Silence::Harmless { .. } if !is_listed => {
                self.is_rechecked = true;
                self.silence = Silence::Unlisted;
                self.drains.hasten(now.mono.saturating_add(self.detector.recheck_after()));
            }
            Silence::Unlisted if is_listed || !self.detector.is_unlisted(now.mono) => {
                self.silence = Silence::None;
            }
            Silence::Unlisted => {
                self.silence = Silence::Reported;
                if self.problem != Some(Problem::Fir) {
                    self.alerts.push(HealthAlert::DrainMissing);
                }
            }
            Silence::None | Silence::Harmless { .. } | Silence::Reported => {}
        }
        if let Some(drain) = drain.filter(|_| self.is_own && self.problem.is_none()) {
            self.problem = Some(Problem::Loops);
            self.alerts.push(HealthAlert::DrainLoops { app: self.name.clone(), drain });
        }
    }

    /// Takes how many of its dynos are up.
    pub(super) fn dynos_listed(&mut self, answer: Result<usize, ApiError>, now: Now) {
        self.dynos = PeriodicCheck::never();
        let Silence::Suspected { is_listed } = self.silence else { return };
        let harmless = Silence::Harmless { until: now.mono.saturating_add(limits::SILENCE_LOOK_EVERY) };
        let alert = match answer {
            // A batch may have arrived meanwhile.
            Ok(_) if !self.detector.is_silent(now.mono) => {
                self.silence = Silence::None;
                return;
            }
            Ok(_) if !is_listed => HealthAlert::DrainMissing,
            Ok(running) if running > 0 => {
                HealthAlert::DrainSilent { quiet_for: self.detector.silent_for(now.mono), running }
            }
            // Without a dyno there is nothing to log. Other alerts report the API's errors.
            Ok(_) | Err(_) => {
                self.silence = harmless;
                return;
            }
        };
        self.silence = Silence::Reported;
        self.alerts.push(alert);
    }

    pub(super) fn identified(&mut self, answer: Result<AppInfo, ApiError>, now: Now) {
        let by_id = mem::take(&mut self.ask_by_id);
        match answer {
            Ok(info) => {
                self.info.done(now.mono.saturating_add(self.round));
                if let Some(to) = app::renamed_to(&self.name, &info) {
                    self.report(Problem::Renamed, HealthAlert::AppRenamed { to: to.to_owned() });
                } else if info.is_fir() {
                    self.report(Problem::Fir, HealthAlert::AppIsFir);
                } else if matches!(self.problem, Some(Problem::Hidden | Problem::Renamed)) {
                    self.problem = None;
                    self.alerts.push(HealthAlert::AppRecovered);
                }
                self.id = Some(info.id);
            }
            // It may have been renamed.
            Err(ApiError::NoSuchApp) if !by_id && self.id.is_some() => {
                self.ask_by_id = true;
                self.info.done(now.mono);
            }
            Err(error) => {
                self.info.failed(limits::ROUND_AGAIN, self.round, now.mono);
                if matches!(error, ApiError::NoSuchApp | ApiError::Forbidden { .. }) {
                    self.report(Problem::Hidden, HealthAlert::AppHidden { error });
                }
            }
        }
    }

    /// Reports a problem of the app once.
    fn report(&mut self, problem: Problem, alert: HealthAlert) {
        if self.problem.replace(problem) != Some(problem) {
            self.alerts.push(alert);
        }
    }
}

impl LostMessages {
    /// Reports new losses, but not too often.
    fn update(&mut self, total: u64, now: Duration) -> Option<HealthAlert> {
        self.total = self.total.max(total);
        let messages = self.total - self.reported;
        (messages > 0 && now >= self.report_again_at).then(|| {
            self.reported = self.total;
            self.report_again_at = now.saturating_add(limits::LOSS_REPORT_EVERY);
            HealthAlert::LinesLost { messages }
        })
    }
}
