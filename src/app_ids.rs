//! The apps by their ids: a rename changes nothing, and another app that takes over a name is not the app.
//!
//! An app's id is learned at its first look and kept in the store, so that a take-over while the daemon is
//! down is noticed too. Calls to the API name the app by its id.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::warn;

use crate::clock::Clock;
use crate::heroku::{Answered, Heroku};
use crate::store::Store;
use dynowarden_core::api::json::AppInfo;
use dynowarden_core::api::{ApiError, FormationInfo};
use dynowarden_core::health::alert::HealthAlert;
use dynowarden_core::ident::{AppId, AppName, DynoName, ProcessType};
use dynowarden_core::limits;
use dynowarden_core::record::{Notice, NoticeKind, Record, Scope};

/// The ids of the watched apps; shared behind an `Arc`.
#[derive(Debug)]
pub(crate) struct AppIds {
    apps: Vec<OneApp>,
    clock: Clock,
    report: Report,
    store: Store,
}

/// Publishes a record; false if there is no room for it now.
pub(super) struct Report(pub(super) Box<dyn Fn(Record) -> bool + Send + Sync>);

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Report")
    }
}

#[derive(Debug)]
struct OneApp {
    /// The name or the id in the settings.
    name: AppName,
    known: Mutex<Known>,
    looking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    id: Option<AppName>,
    /// The API answers by the name only.
    is_by_name: bool,
    /// When the id was last asked for, in `mono` time.
    asked_at: Option<Duration>,
    /// The id of another app that has the name now.
    taken_by: Option<AppName>,
    /// The last change of `taken_by` that was reported.
    reported: Option<AppName>,
    /// When errors last passed of which it was unknown whose they are.
    uncertain_at: Option<Duration>,
}

impl AppIds {
    /// With the ids that the store knows.
    pub(super) async fn load(names: Vec<AppName>, clock: Clock, report: Report, store: Store) -> Self {
        let stored = store.app_ids().await.unwrap_or_default();
        let one = |name: AppName| {
            let id = stored.iter().find(|(of, _)| *of == name).map(|(_, id)| id.clone());
            OneApp { name, known: Mutex::new(Known { id, ..Known::default() }), looking: Default::default() }
        };
        Self { apps: names.into_iter().map(one).collect(), clock, report, store }
    }

    /// The app's name in the settings.
    pub(crate) fn name(&self, app: AppId) -> &AppName {
        &self.apps[app.0 as usize].name
    }

    /// What calls name the app by: its id, once that is known.
    pub(crate) fn target(&self, app: AppId) -> AppName {
        let known = self.known(app);
        let id = known.id.as_ref().filter(|_| !known.is_by_name);
        id.unwrap_or(self.name(app)).clone()
    }

    /// Whether another app has the app's name.
    pub(crate) fn is_taken(&self, app: AppId) -> bool {
        self.known(app).taken_by.is_some()
    }

    /// Notes that errors of an unknown sender count, because no other app is known to have the name.
    pub(super) fn note_uncertain(&self, app: AppId, now: Duration) {
        self.known(app).uncertain_at = Some(now);
    }

    /// Whether another app has the name, and its errors may be those that led here.
    fn may_be_of_other(&self, app: AppId) -> bool {
        let now = self.clock.now().mono;
        let known = self.known(app);
        let is_recent = |at: Duration| now.saturating_sub(at) <= limits::ERROR_AGE_MAX;
        known.taken_by.is_some() && known.uncertain_at.is_some_and(is_recent)
    }

    /// `GET /apps/{app}` by the id if that is known, and a look at who has the name.
    pub(crate) async fn ask(&self, app: AppId, heroku: &Heroku) -> Answered<Result<AppInfo, ApiError>> {
        let target = self.target(app);
        let by_target = heroku.app(&target).await;
        if target == *self.name(app) {
            if let Ok(info) = &by_target.value {
                self.learn(app, info).await;
            }
            return by_target;
        }
        if by_target.value.as_ref().is_ok_and(|info| info.name == self.name(app).as_str()) {
            self.name_is_held_by(app, None);
        } else if by_target.value.is_ok() {
            self.look_at_name(app, heroku).await;
        } else if is_unknown(&by_target.value) {
            self.look_without_id(app, heroku).await;
        }
        by_target
    }

    /// The inspection before a restart, of the app with the known id. It fails if another app has the name
    /// and may have written the lines that led to it.
    pub(crate) async fn inspect(
        &self,
        app: AppId,
        listed: &[ProcessType],
        dyno: Option<&DynoName>,
        heroku: &Heroku,
    ) -> Answered<Result<FormationInfo, ApiError>> {
        self.find(app, heroku).await;
        let mut answered = heroku.inspect(&self.target(app), listed, dyno).await;
        if is_unknown(&answered.value) && self.target(app) != *self.name(app) {
            self.look_without_id(app, heroku).await;
            if self.target(app) == *self.name(app) {
                answered = heroku.inspect(self.name(app), listed, dyno).await;
            }
        }
        let mut is_other = false;
        if let Some(owner) = answered.value.as_ref().ok().and_then(|view| view.app.as_ref()) {
            is_other = self.known(app).id.as_ref().is_some_and(|id| id.as_str() != owner.id);
            if is_other {
                self.name_is_held_by(app, owner.id.parse().ok());
            } else if owner.name != self.name(app).as_str() && owner.id != self.name(app).as_str() {
                self.look_at_name(app, heroku).await;
            }
        }
        if is_other || self.may_be_of_other(app) {
            answered.value = Err(ApiError::OtherApp);
        }
        answered
    }

    /// Looks who has the name. One look at a time, so that all who ask have its answer.
    pub(super) async fn look_at_name(&self, app: AppId, heroku: &Heroku) {
        let _looking = self.apps[app.0 as usize].looking.lock().await;
        let Some(id) = self.known(app).id.clone() else { return };
        match heroku.app(self.name(app)).await.value {
            Ok(info) => {
                let other = info.id.parse().ok().filter(|other| *other != id);
                self.name_is_held_by(app, other);
            }
            Err(ApiError::NoSuchApp) => self.name_is_held_by(app, None),
            Err(_) => {}
        }
    }

    /// A call by the id went wrong. If the API itself knows the app by its name only, calls use that.
    async fn look_without_id(&self, app: AppId, heroku: &Heroku) {
        let Some(id) = self.known(app).id.clone() else { return };
        if !is_unknown(&heroku.app(&id).await.value) {
            return;
        }
        self.look_at_name(app, heroku).await;
        let by_name = heroku.app(self.name(app)).await.value;
        if by_name.is_ok_and(|info| info.id == id.as_str()) {
            self.known(app).is_by_name = true;
        }
    }

    /// Learns the id of an app that has not answered yet.
    async fn find(&self, app: AppId, heroku: &Heroku) {
        let now = self.clock.now().mono;
        {
            let mut known = self.known(app);
            let is_soon =
                known.asked_at.is_some_and(|at| now.saturating_sub(at) < limits::DRAINS_ASKED_EVERY);
            if known.id.is_some() || is_soon {
                return;
            }
            known.asked_at = Some(now);
        }
        if let Ok(info) = heroku.app(self.name(app)).await.value {
            self.learn(app, &info).await;
        }
    }

    /// Takes the first answer by name. The id that the store has wins.
    async fn learn(&self, app: AppId, info: &AppInfo) {
        let Ok(id) = info.id.parse::<AppName>() else { return };
        if self.known(app).id.is_some() {
            return;
        }
        let kept = match self.store.keep_app_id(self.name(app), &id).await {
            Ok(kept) => kept,
            Err(error) => {
                warn!(app = %self.name(app), %error, "the app's id is not saved");
                id.clone()
            }
        };
        let is_other = kept != id;
        self.known(app).id = Some(kept);
        self.name_is_held_by(app, Some(id).filter(|_| is_other));
    }

    /// Notes which other app has the name, if any, and reports a change.
    fn name_is_held_by(&self, app: AppId, other: Option<AppName>) {
        let mut known = self.known(app);
        known.taken_by.clone_from(&other);
        if known.reported == other {
            return;
        }
        let alert = match &other {
            Some(by) => HealthAlert::NameTaken { name: self.name(app).clone(), by: by.clone() },
            None => HealthAlert::NameRecovered,
        };
        let (at, what) = (self.clock.now().wall, NoticeKind::Health(alert));
        let notice = Notice { at, scope: Scope::App(app), dyno: None, what };
        // Without room, the next look reports it.
        if (self.report.0)(Record::Notice(notice)) {
            known.reported = other;
        }
    }

    fn known(&self, app: AppId) -> MutexGuard<'_, Known> {
        self.apps[app.0 as usize].known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the API knows no such app, or something answers that does not know the API.
fn is_unknown<T>(answer: &Result<T, ApiError>) -> bool {
    matches!(answer, Err(ApiError::NoSuchApp | ApiError::Garbled { .. }))
}
