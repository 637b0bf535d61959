//! One app of the watchdog: is it there, does its drain lead here, and does anything come from it.

use std::time::Duration;

use crate::api::ApiError;
use crate::health::alert::HealthAlert;
use crate::health::judgement;
use crate::health::watchdog::schedule::PeriodicCheck;
use crate::health::watchdog::silence::SilenceDetector;
use crate::health::watchdog::{AppIdentity, Ask, DrainActivity, Pace};
use crate::ident::{AppId, AppName};
use crate::limits;
use crate::time::Now;

#[derive(Debug)]
pub(super) struct Watched {
    app: AppId,
    /// Its name is not known any more; its id may be.
    asks_by_id: bool,
    drains: PeriodicCheck,
    /// Never due but when a silence is looked into.
    dynos: PeriodicCheck,
    detector: SilenceDetector,
    /// What it was when it was last seen.
    id: Option<String>,
    is_home: bool,
    /// Until its first round is over, so long; later rounds take their usual time.
    first_round: Option<Duration>,
    info: PeriodicCheck,
    losses: Losses,
    name: String,
    silence: Silence,
    told: Option<LastAlert>,
}

/// What people were told about the app itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastAlert {
    Fir,
    Hidden,
    Home,
    Renamed,
}

/// Where its drain stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Silence {
    /// It is heard, or has not been silent for long.
    None,
    /// The list of drains had none of ours; it is looked at once more before anybody is told.
    Unlisted,
    /// It has been silent for long: its drains are asked for, then its dynos.
    Suspected { is_listed: bool },
    /// It has been silent for long, and that was harmless: nothing runs. Looked into again later.
    Harmless { until: Duration },
    /// People were told.
    LastAlert,
}

#[derive(Debug, Default)]
struct Losses {
    total: u64,
    told: u64,
    tell_again_at: Duration,
}

type Tell<'t> = &'t mut dyn FnMut(HealthAlert);

impl Watched {
    pub(super) fn new(app: AppId, name: &AppName, is_home: bool, first_round: Duration, now: Now) -> Self {
        Self {
            app,
            asks_by_id: false,
            drains: PeriodicCheck::at(now.mono),
            dynos: PeriodicCheck::at(Duration::MAX),
            detector: SilenceDetector::new(now.mono),
            id: None,
            is_home,
            first_round: Some(first_round),
            info: PeriodicCheck::at(now.mono),
            losses: Losses::default(),
            name: name.to_string(),
            silence: Silence::None,
            told: None,
        }
    }

    pub(super) fn chores(&self) -> [&PeriodicCheck; 3] {
        [&self.drains, &self.dynos, &self.info]
    }

    pub(super) fn is_silent(&self) -> bool {
        self.silence == Silence::LastAlert
    }

    pub(super) fn is_hidden(&self) -> bool {
        matches!(self.told, Some(LastAlert::Hidden | LastAlert::Renamed))
    }

    pub(super) fn ask_drains(&mut self, now: Duration) -> Option<Ask> {
        self.drains.begin(now).then_some(Ask::Drains(self.app))
    }

    pub(super) fn ask_dynos(&mut self, now: Duration) -> Option<Ask> {
        self.dynos.begin(now).then_some(Ask::Dynos(self.app))
    }

    pub(super) fn ask_app(&mut self, now: Duration) -> Option<Ask> {
        let id = self.id.clone().filter(|_| self.asks_by_id);
        self.info.begin(now).then_some(Ask::App { app: self.app, id })
    }

    /// Takes what has been heard so far.
    pub(super) fn listen(&mut self, hearing: DrainActivity, pace: Pace, tell: Tell<'_>, now: Now) {
        if self.detector.listen(hearing) {
            if self.is_silent() {
                tell(HealthAlert::DrainSpeaks);
            }
            self.silence = Silence::None;
        } else if self.is_unusual(pace, now) && !matches!(self.told, Some(LastAlert::Fir | LastAlert::Hidden))
        {
            let looks = match self.silence {
                Silence::None => true,
                Silence::Harmless { until } => until <= now.mono,
                Silence::Suspected { .. } | Silence::LastAlert | Silence::Unlisted => false,
            };
            if looks {
                self.silence = Silence::Suspected { is_listed: true };
                self.drains.hasten(now.mono);
            }
        }
        self.losses.total = self.losses.total.max(hearing.lost_messages);
        if let Some(messages) = self.losses.news(now.mono) {
            tell(HealthAlert::LinesLost { messages });
        }
    }

    /// Takes whether one of its drains leads here.
    pub(super) fn drains_seen(
        &mut self,
        answer: Result<bool, ApiError>,
        pace: Pace,
        tell: Tell<'_>,
        now: Now,
    ) {
        let is_listed = match answer {
            Ok(is_listed) => is_listed,
            Err(error) => {
                if error == ApiError::NoSuchApp {
                    self.info.hasten(now.mono);
                }
                self.drains.failed(limits::ROUND_AGAIN, pace.round, now.mono);
                // A token may see dynos and no drains; that they run in silence is worth telling.
                if let Silence::Suspected { .. } = self.silence {
                    self.dynos.hasten(now.mono);
                }
                return;
            }
        };
        let round = self.first_round.take().unwrap_or(pace.round);
        self.drains.done(now.mono.saturating_add(round));
        // Drains of a space are not in its apps' lists, so batches count for more than the list.
        let recheck = pace.silent_after.unwrap_or(limits::UNLISTED_RECHECK).min(limits::UNLISTED_RECHECK);
        let is_quiet = self.detector.silent_for(now.mono) >= recheck;
        match self.silence {
            Silence::Suspected { .. } => {
                self.silence = Silence::Suspected { is_listed };
                self.dynos.hasten(now.mono);
            }
            Silence::None | Silence::Harmless { .. } if !is_listed => {
                self.silence = Silence::Unlisted;
                self.drains.hasten(now.mono.saturating_add(recheck));
            }
            Silence::Unlisted if is_listed || !is_quiet => self.silence = Silence::None,
            Silence::Unlisted => {
                self.silence = Silence::LastAlert;
                if self.told != Some(LastAlert::Fir) {
                    tell(HealthAlert::DrainMissing);
                }
            }
            Silence::None | Silence::Harmless { .. } | Silence::LastAlert => {}
        }
        if self.is_home && is_listed && self.told.is_none() {
            self.told = Some(LastAlert::Home);
            tell(HealthAlert::DrainLoops);
        }
    }

    /// Takes how many of its dynos are up.
    pub(super) fn dynos_seen(
        &mut self,
        answer: Result<usize, ApiError>,
        pace: Pace,
        tell: Tell<'_>,
        now: Now,
    ) {
        self.dynos = PeriodicCheck::at(Duration::MAX);
        let Silence::Suspected { is_listed } = self.silence else { return };
        let harmless = Silence::Harmless { until: now.mono.saturating_add(limits::SILENCE_LOOK_EVERY) };
        self.silence = match answer {
            // It may have spoken while we looked.
            Ok(_) if !self.is_unusual(pace, now) => Silence::None,
            Ok(_) if !is_listed => {
                tell(HealthAlert::DrainMissing);
                Silence::LastAlert
            }
            Ok(running) if running > 0 => {
                tell(HealthAlert::DrainSilent { quiet_for: self.detector.silent_for(now.mono), running });
                Silence::LastAlert
            }
            // Nothing runs, so nothing speaks; or nobody knows what runs, which is told elsewhere.
            Ok(_) | Err(_) => harmless,
        };
    }

    /// Takes what it was seen to be.
    pub(super) fn seen(
        &mut self,
        answer: Result<AppIdentity, ApiError>,
        pace: Pace,
        tell: Tell<'_>,
        now: Now,
    ) {
        let by_id = std::mem::take(&mut self.asks_by_id);
        match answer {
            Ok(sight) => {
                self.info.done(now.mono.saturating_add(pace.round));
                self.identified(sight, tell);
            }
            // It may only have another name now.
            Err(ApiError::NoSuchApp) if !by_id && self.id.is_some() => {
                self.asks_by_id = true;
                self.info.done(now.mono);
            }
            Err(error) => {
                self.info.failed(limits::ROUND_AGAIN, pace.round, now.mono);
                let is_hidden = matches!(error, ApiError::NoSuchApp | ApiError::Forbidden { .. });
                if is_hidden && self.told != Some(LastAlert::Hidden) {
                    self.told = Some(LastAlert::Hidden);
                    tell(HealthAlert::AppHidden { error });
                }
            }
        }
    }

    fn identified(&mut self, sight: AppIdentity, tell: Tell<'_>) {
        let renamed_to = judgement::renamed_to(&self.name, &sight.id, &sight.name).map(str::to_owned);
        self.id = Some(sight.id);
        let (told, alert) = if let Some(to) = renamed_to {
            (LastAlert::Renamed, HealthAlert::AppRenamed { to })
        } else if sight.is_fir {
            (LastAlert::Fir, HealthAlert::AppIsFir)
        } else {
            if self.is_hidden() {
                self.told = None;
                tell(HealthAlert::AppSeen);
            }
            return;
        };
        if self.told != Some(told) {
            self.told = Some(told);
            tell(alert);
        }
    }

    fn is_unusual(&self, pace: Pace, now: Now) -> bool {
        self.detector.silent_for(now.mono) >= pace.silent_after.unwrap_or_else(|| self.detector.bound())
    }
}

impl Losses {
    /// What was lost and not yet told, but at most once in a while.
    fn news(&mut self, now: Duration) -> Option<u64> {
        let messages = self.total - self.told;
        (messages > 0 && now >= self.tell_again_at).then(|| {
            self.told = self.total;
            self.tell_again_at = now.saturating_add(limits::LOSS_TOLD_EVERY);
            messages
        })
    }
}
