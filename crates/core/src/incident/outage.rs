//! Problems of an app or of the daemon that a person must fix.
//!
//! One cause often affects many apps at once; a revoked token affects all of them. So an outage has one
//! subject, and the affected apps are reported together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::api::ApiError;
use crate::health::alert::HealthAlert;
use crate::ident::{AppId, AppName};
use crate::incident::kind::Kind;
use crate::incident::message::{Links, Message, Phase};
use crate::incident::schedule::NotificationSchedule;
use crate::incident::state::{Subject, Words};
use crate::incident::{Incidents, Plan, next_step, text};
use crate::limits;
use crate::time::Now;

#[derive(Debug)]
pub(super) struct Outage {
    id: String,
    apps: BTreeSet<AppId>,
    /// All apps that it ever affected.
    struck: BTreeSet<AppId>,
    opened: Now,
    pub(super) schedule: NotificationSchedule,
    /// What the next message says.
    words: Vec<Words>,
    /// Instances of the cause at each app that people have been told of.
    instances: BTreeMap<Option<AppId>, usize>,
    /// When the outage ends automatically, if nothing reports that it is over.
    over: Option<Duration>,
    /// Since when nothing has failed, if the end waits until that has lasted.
    calm_since: Option<Duration>,
}

impl Subject {
    fn kind(&self) -> Kind {
        match self {
            Self::Drain => Kind::DrainSilent,
            Self::Api(_)
            | Self::Calls
            | Self::Clock
            | Self::Late
            | Self::Losses
            | Self::Notifier(_)
            | Self::OwnClock
            | Self::Platform
            | Self::Store
            | Self::Watching(_) => Kind::Failure,
        }
    }

    /// What the ids of its incidents begin with.
    fn id(&self, app: Option<AppId>, plan: &Plan) -> String {
        let app = || app.and_then(|app| plan.apps.get(app.0 as usize)).map_or("app", |app| app.name.as_str());
        match self {
            Self::Api(label) if self.is_common() => format!("api-{}", label.replace('_', "-")),
            Self::Api(_) => format!("{}-access", app()),
            Self::Calls => "api-calls".to_owned(),
            Self::Clock => "clock".to_owned(),
            Self::Drain => format!("{}-drain", app()),
            Self::Late => format!("{}-late", app()),
            Self::Losses => format!("{}-losses", app()),
            Self::Notifier(name) => format!("notifier-{name}"),
            Self::OwnClock => "own-clock".to_owned(),
            Self::Platform => "platform".to_owned(),
            Self::Store => "store".to_owned(),
            Self::Watching(_) => format!("{}-setup", app()),
        }
    }

    /// Whether it is the same for all apps, so that the recovery of one is the recovery of all.
    fn is_common(&self) -> bool {
        !matches!(
            self,
            Self::Drain
                | Self::Late
                | Self::Losses
                | Self::Watching(_)
                | Self::Api("forbidden" | "no_such_app" | "refused")
        )
    }

    /// Whether it may fail and recover many times in one incident, so that a recovery has to last.
    fn flaps(&self) -> bool {
        matches!(self, Self::Api(UNREACHABLE) | Self::Calls | Self::Late)
    }

    /// Whether two of a kind are two problems, such as the drains of two other apps.
    fn has_instances(&self) -> bool {
        matches!(self, Self::Watching(_))
    }

    /// Whether nothing will report that it is over, so that it ends automatically.
    fn fades(&self) -> bool {
        matches!(self, Self::Clock | Self::Losses | Self::Watching(_))
    }
}

/// The label of an API that does not answer, the same as that of an inspection without an answer.
const UNREACHABLE: &str = "unreachable";

const NAME_TAKEN: &str = "another app has its name";

impl Incidents {
    /// Opens or updates an outage.
    pub(super) fn trouble(&mut self, subject: Subject, app: Option<AppId>, words: (String, Option<String>)) {
        let (kind, now) = (subject.kind(), self.now);
        if !self.plan.on.contains(&kind) {
            return;
        }
        if let (Subject::Api(_), Some(app)) = (&subject, app) {
            self.moved_from_other_api_trouble(&subject, app);
        }
        // The token is the account's, so one app's answer is the answer for all.
        let apps: Vec<AppId> = match (&subject, app) {
            (Subject::Api(label), Some(_)) if *label == ApiError::Unauthorized.label() => {
                let all = (0..self.plan.apps.len() as u32).map(AppId);
                all.filter(|app| self.is_reported(*app)).collect()
            }
            (_, app) => app.into_iter().collect(),
        };
        let (fades, has_instances) = (subject.fades(), subject.has_instances());
        let is_known = self.outages.contains_key(&subject);
        let id = if is_known { String::new() } else { self.incident_id(&subject.id(app, &self.plan)) };
        let outage = self.outages.entry(subject).or_insert_with(|| Outage {
            id,
            apps: BTreeSet::new(),
            struck: BTreeSet::new(),
            opened: now,
            schedule: NotificationSchedule::default(),
            words: Vec::new(),
            instances: BTreeMap::new(),
            over: fades.then(|| now.mono.saturating_add(limits::INCIDENT_QUIET)),
            calm_since: None,
        });
        let (text, fix) = words;
        let is_news = outage.say(Words { app: app.filter(|_| has_instances), text, fix }, has_instances);
        outage.calm_since = None;
        outage.apps.extend(&apps);
        let is_new = apps.iter().filter(|app| outage.struck.insert(**app)).count() > 0 || is_news;
        if outage.schedule.sent.is_empty() {
            outage.schedule.request(kind, false, &self.plan, now.mono);
        } else if is_new {
            // The other apps with the same cause, and other instances of it, are reported together.
            outage.schedule.pending.insert(kind);
            outage.schedule.due.get_or_insert(now.mono.saturating_add(self.plan.group));
        }
    }

    /// The engine cannot use the API for an app.
    pub(super) fn api_trouble(&mut self, app: AppId, error: &ApiError, text: String) {
        let label = match error {
            // That no calls are left says as much.
            ApiError::Throttled { .. } if self.outages.contains_key(&Subject::Calls) => return,
            // A gateway's pages are one or the other from answer to answer.
            ApiError::Garbled { .. } | ApiError::Throttled { .. } => UNREACHABLE,
            error => error.label(),
        };
        let fix = next_step::access(&self.app_name(app), error);
        self.trouble(Subject::Api(label), Some(app), (text, fix));
    }

    /// Handles an alert of the watchdog, or its end.
    pub(super) fn record_alert(&mut self, app: AppId, alert: &HealthAlert) {
        let subject = match alert {
            HealthAlert::ApiAway { .. } => Subject::Api(UNREACHABLE),
            HealthAlert::ApiRecovered => return self.recover(&Subject::Api(UNREACHABLE), None),
            HealthAlert::AppHidden { error } => Subject::Api(error.label()),
            HealthAlert::AppRecovered => return self.api_recovered(app),
            HealthAlert::AppIsFir => Subject::Watching("a Fir app has no drains"),
            HealthAlert::AppRenamed { .. } => Subject::Watching("the app was renamed"),
            HealthAlert::BatchesMisdirected { .. } => Subject::Watching("batches for an unknown app"),
            HealthAlert::BatchesTooLarge { .. } => Subject::Watching("batches are too large"),
            HealthAlert::ClockAhead { .. } => Subject::OwnClock,
            HealthAlert::ClockRecovered => return self.recover(&Subject::OwnClock, None),
            HealthAlert::DrainLoops { .. } => Subject::Watching("the app drains into itself"),
            HealthAlert::DrainMissing | HealthAlert::DrainSilent { .. } => Subject::Drain,
            HealthAlert::DrainRecovered => return self.recover(&Subject::Drain, Some(app)),
            HealthAlert::ForeignDrain { .. } => Subject::Watching("another app's drain"),
            HealthAlert::LinesLost { .. } => Subject::Losses,
            HealthAlert::NameRecovered => return self.recover(&Subject::Watching(NAME_TAKEN), Some(app)),
            HealthAlert::NameTaken { .. } => Subject::Watching(NAME_TAKEN),
            HealthAlert::PlatformRecovered => return self.recover(&Subject::Platform, None),
            HealthAlert::PlatformRed => Subject::Platform,
            HealthAlert::StoreAway => Subject::Store,
            HealthAlert::StoreRecovered => return self.recover(&Subject::Store, None),
            HealthAlert::TokenRecovered => {
                return self.recover(&Subject::Api(ApiError::Unauthorized.label()), None);
            }
            HealthAlert::TokenRefused => Subject::Api(ApiError::Unauthorized.label()),
        };
        let (text, fix) = alert.words();
        // The fix of `check` is for its own environment; the next step says what the daemon needs.
        let fix = fix.filter(|_| *alert != HealthAlert::TokenRefused);
        let access = match alert {
            HealthAlert::AppHidden { error } => next_step::access(&self.app_name(app), error),
            _ => None,
        };
        self.trouble(subject, Some(app), (text, fix.or(access)));
    }

    /// An app has one API problem at a time.
    fn moved_from_other_api_trouble(&mut self, subject: &Subject, app: AppId) {
        for (other, outage) in &mut self.outages {
            if matches!(other, Subject::Api(_)) && other != subject {
                outage.apps.remove(&app);
            }
        }
        let is_other = |other: &Subject| matches!(other, Subject::Api(_)) && other != subject;
        self.outages.retain(|other, outage| !(is_other(other) && outage.apps.is_empty()));
    }

    /// The API answers again for an app.
    pub(super) fn api_recovered(&mut self, app: AppId) {
        let is_felt = |subject: &Subject, outage: &Outage| {
            matches!(subject, Subject::Api(_)) && outage.apps.contains(&app)
        };
        let felt = self.outages.iter().filter(|(subject, outage)| is_felt(subject, outage));
        let felt: Vec<Subject> = felt.map(|(subject, _)| subject.clone()).collect();
        for subject in felt {
            self.recover(&subject, (!subject.is_common()).then_some(app));
        }
    }

    /// Ends an outage, for one app or as a whole.
    pub(super) fn recover(&mut self, subject: &Subject, app: Option<AppId>) {
        let Some(outage) = self.outages.get_mut(subject) else { return };
        outage.apps.retain(|affected| app.is_some_and(|app| *affected != app));
        if !outage.apps.is_empty() {
            return;
        }
        if subject.flaps() {
            outage.calm_since.get_or_insert(self.now.mono);
        } else {
            self.end_outage(subject);
        }
    }

    fn end_outage(&mut self, subject: &Subject) {
        let Some(mut outage) = self.outages.remove(subject) else { return };
        if !outage.schedule.sent.is_empty() && self.plan.on.contains(&Kind::Recovered) {
            let message = outage.message(subject, (Kind::Recovered, Phase::Closed), &self.plan, self.now);
            self.messages.push(message);
        }
    }

    pub(super) fn send_outages(&mut self) {
        let now = self.now;
        let is_calm = |outage: &Outage| outage.calm_until(&self.plan).is_some_and(|until| until <= now.mono);
        let calm = self.outages.iter().filter(|(_, outage)| is_calm(outage));
        let calm: Vec<Subject> = calm.map(|(subject, _)| subject.clone()).collect();
        calm.iter().for_each(|subject| self.end_outage(subject));
        for (subject, outage) in &mut self.outages {
            if outage.is_held_back() {
                continue;
            }
            let stands = outage.stands();
            if let Some(due) = outage.schedule.take_due(&self.plan, stands, now.mono) {
                self.messages.push(outage.message(subject, due, &self.plan, now));
            }
        }
        self.outages.retain(|_, outage| outage.over.is_none_or(|over| over > now.mono));
    }
}

impl Outage {
    /// Notes what the next message says; true if people have not been told of such an instance.
    fn say(&mut self, words: Words, has_instances: bool) -> bool {
        if has_instances {
            let told = self.instances.entry(words.app).or_default();
            if self.words.contains(&words) || *told == limits::OUTAGE_INSTANCES_MAX {
                return false;
            }
            *told += 1;
        }
        let waits = !self.schedule.pending.is_empty();
        if !has_instances || !waits {
            self.words.clear();
        }
        if self.words.len() < limits::MESSAGE_NAMES_MAX {
            self.words.push(words);
        }
        has_instances
    }

    pub(super) fn deadlines(&self, plan: &Plan) -> impl Iterator<Item = Duration> {
        let repeat = self.schedule.repeat_at(plan).filter(|_| self.stands());
        let due = self.schedule.due.filter(|_| !self.is_held_back());
        [due, repeat, self.over, self.calm_until(plan)].into_iter().flatten()
    }

    /// Whether a person is still needed.
    fn stands(&self) -> bool {
        self.over.is_none() && self.calm_since.is_none()
    }

    /// Whether it may be over before anybody was told: one failure is no message, the next one is.
    fn is_held_back(&self) -> bool {
        self.calm_since.is_some() && self.schedule.sent.is_empty()
    }

    /// When it is over, unless something fails again.
    fn calm_until(&self, plan: &Plan) -> Option<Duration> {
        let lasts = plan.group.saturating_mul(limits::RECOVERY_LASTS_GROUPS);
        let lasts = lasts.clamp(limits::RECOVERY_LASTS_MIN, limits::RECOVERY_LASTS_MAX);
        self.calm_since.map(|since| since.saturating_add(lasts))
    }

    fn message(&mut self, subject: &Subject, about: (Kind, Phase), plan: &Plan, now: Now) -> Message {
        let (kind, phase) = about;
        let apps = if phase == Phase::Closed { &self.struck } else { &self.apps };
        let apps: Vec<AppName> = apps.iter().map(|app| plan.apps[app.0 as usize].name.clone()).collect();
        let lasted = self.calm_since.unwrap_or(now.mono).saturating_sub(self.opened.mono);
        let name = |app: AppId| &plan.apps[app.0 as usize].name;
        let words = self.words.iter().map(|words| (words.app.map(name), words));
        let (title, body) = text::outage(subject, phase, &apps, words, lasted);
        Message {
            id: self.schedule.next_id(&self.id),
            incident: self.id.clone(),
            at: now.wall,
            opened_at: self.opened.wall,
            kind,
            phase,
            apps,
            title,
            body,
            next_step: Some(next_step::of_outage(subject, phase, &self.words)),
            dynos: Vec::new(),
            links: Links::default(),
        }
    }
}
