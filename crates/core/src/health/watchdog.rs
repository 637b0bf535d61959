//! The watchdog: reports while the daemon runs that dynowarden cannot see or act, and that it can again.
//!
//! A state machine without clock or network, independent of the engine:
//!
//! - [`Watchdog::handle`] takes one [`Input`] and the time, and returns [`Effect`]s to carry out in order.
//! - Each [`Effect::Ask`] is answered by exactly one input about the same thing. The caller sets time-outs.
//! - After each input the caller sleeps until [`Watchdog::next_deadline`] or the next input. At the deadline
//!   it sends [`Input::Heard`].
//!
//! Its API calls are paced: few at once, none below the reserve for the account's other users, and in the
//! long run a fifth of the account's calls.

use std::mem;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::ApiError;
use crate::api::json::AppInfo;
use crate::health::account::Account;
use crate::health::alert::HealthAlert;
use crate::health::facts::Identity;
use crate::health::schedule::{Ask, PeriodicCheck};
use crate::health::silence::DrainActivity;
use crate::health::watched_app::{Timing, WatchedApp};
use crate::ident::{AppId, AppName, DrainToken};
use crate::limits;
use crate::record::{Notice, NoticeKind, Scope};
use crate::time::Now;

/// The state machine. See the module's documentation.
#[derive(Debug)]
pub struct Watchdog {
    account: Account,
    apps: Vec<WatchedApp>,
    effects: Vec<Effect>,
    /// No call that costs quota is made before this time.
    held_until: Duration,
    now: Now,
    /// Outstanding calls that cost quota.
    out: usize,
    is_platform_red: bool,
    status: Option<PeriodicCheck>,
    /// The longest interval between two readings of the drains' activity.
    tick: Duration,
}

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The watched apps, in the order of [`AppId`].
    pub apps: Vec<AppName>,
    pub identity: Identity,
    pub reads_status: bool,
    /// The silence after which a drain counts as silent, instead of one that follows from its usual gaps.
    pub silent_after: Option<Duration>,
}

/// Everything that can happen to the watchdog.
#[derive(Clone, Debug)]
pub enum Input {
    /// The answer to [`Ask::App`].
    App { app: AppId, answer: Result<AppInfo, ApiError> },
    /// The answer to [`Ask::Drains`]: the app's drain that leads here.
    /// See [`leading_here`](crate::health::drains::leading_here).
    Drains { app: AppId, answer: Result<Option<DrainToken>, ApiError> },
    /// The answer to [`Ask::Dynos`]: how many of the listed process types are up.
    Dynos { app: AppId, answer: Result<usize, ApiError> },
    /// The activity of all drains so far, in the order of the apps.
    Heard(Vec<DrainActivity>),
    /// The answer to [`Ask::Probe`]: the calls left to the account, and the API's clock.
    Probed { answer: Result<u32, ApiError>, date: Option<Timestamp> },
    /// The answer to [`Ask::Status`]: whether Heroku's status page shows Apps red, or none if the page could
    /// not be read.
    Status { is_red: Option<bool> },
    /// `RateLimit-Remaining` of any answer.
    Tokens { remaining: u32 },
}

/// What the caller must carry out.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Ask(Ask),
    Report(Notice),
}

/// The present health, for metrics and `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Whether the API accepts the token; none before it was asked.
    pub token_accepted: Option<bool>,
    pub api_away: bool,
    /// Whether each app's drain is silent or missing.
    pub silent: Vec<bool>,
    /// Whether each app is inaccessible or renamed.
    pub hidden: Vec<bool>,
    /// Whether Heroku's status page shows Apps red.
    pub is_platform_red: bool,
}

impl Watchdog {
    pub fn new(options: Options, now: Now) -> Self {
        let Options { apps, identity, reads_status, silent_after } = options;
        let count = u32::try_from(apps.len()).unwrap_or(u32::MAX);
        let busy = Duration::from_secs(60) * count * CALLS_PER_ROUND / limits::ROUND_CALLS_PER_MINUTE;
        let round = busy.max(limits::ROUND_EVERY);
        let watched = |(place, name): (u32, AppName)| {
            // The first round asks about all apps at once; later rounds are spread evenly.
            let timing = Timing { first_wait: round / 2 + round / count * place, round, silent_after };
            let is_own = identity.runs_in(&[name.as_str()]);
            WatchedApp::new(AppId(place), name, is_own, timing, now)
        };
        Self {
            account: Account::new(now),
            apps: (0..).zip(apps).map(watched).collect(),
            effects: Vec::new(),
            held_until: Duration::ZERO,
            now,
            out: 0,
            is_platform_red: false,
            status: reads_status.then(|| PeriodicCheck::at(now.mono)),
            tick: silent_after.map_or(limits::LISTEN_EVERY, |span| (span / 4).min(limits::LISTEN_EVERY)),
        }
    }

    /// Takes one input and returns what to do about it.
    pub fn handle(&mut self, input: Input, now: Now) -> Vec<Effect> {
        self.now = now;
        match input {
            Input::App { app, answer } => {
                self.answered(answer.as_ref().err());
                self.update(app, |watched| watched.identified(answer, now));
            }
            Input::Drains { app, answer } => {
                self.answered(answer.as_ref().err());
                self.update(app, |watched| watched.drains_listed(answer, now));
            }
            Input::Dynos { app, answer } => {
                self.answered(answer.as_ref().err());
                self.update(app, |watched| watched.dynos_listed(answer, now));
            }
            Input::Heard(activities) => {
                for (app, activity) in (0..).map(AppId).zip(activities) {
                    self.update(app, |watched| watched.update(activity, now));
                }
            }
            Input::Probed { answer, date } => {
                if let Ok(remaining) = answer {
                    self.tokens_left(remaining);
                }
                let probed = self.account.probed(answer, now);
                let clock = date.and_then(|date| self.account.clock_read(date, now));
                self.report(Scope::Account, probed.into_iter().chain(clock));
            }
            Input::Status { is_red } => self.status_read(is_red),
            Input::Tokens { remaining } => self.tokens_left(remaining),
        }
        self.ask();
        mem::take(&mut self.effects)
    }

    /// When [`Input::Heard`] is next wanted, in `mono` time.
    pub fn next_deadline(&self) -> Duration {
        let may_call = self.out < limits::ROUND_CALLS_AT_ONCE;
        let calls = self.apps.iter().filter(|_| may_call).filter_map(WatchedApp::due_at);
        let calls = calls.map(|due| due.max(self.held_until));
        let free = [self.account.probe.due_at(), self.status.as_ref().and_then(PeriodicCheck::due_at)];
        let tick = self.now.mono.saturating_add(self.tick);
        calls.chain(free.into_iter().flatten()).min().map_or(tick, |due| due.clamp(self.now.mono, tick))
    }

    pub fn summary(&self) -> Summary {
        Summary {
            token_accepted: self.account.token_accepted,
            api_away: self.account.api_away,
            silent: self.apps.iter().map(WatchedApp::is_silent).collect(),
            hidden: self.apps.iter().map(WatchedApp::is_hidden).collect(),
            is_platform_red: self.is_platform_red,
        }
    }

    fn update(&mut self, app: AppId, act: impl FnOnce(&mut WatchedApp)) {
        let Some(watched) = self.apps.get_mut(app.0 as usize) else { return };
        act(watched);
        let alerts = mem::take(&mut watched.alerts);
        self.report(Scope::App(app), alerts);
    }

    fn report(&mut self, scope: Scope, alerts: impl IntoIterator<Item = HealthAlert>) {
        let at = self.now.wall;
        let notice = |alert| Notice { at, scope, dyno: None, what: NoticeKind::Health(alert) };
        self.effects.extend(alerts.into_iter().map(notice).map(Effect::Report));
    }

    /// Takes the error, if any, of a call that cost quota.
    fn answered(&mut self, error: Option<&ApiError>) {
        self.out = self.out.saturating_sub(1);
        match error {
            Some(ApiError::Unauthorized) => self.account.unauthorized(self.now),
            Some(ApiError::Throttled { wait }) => {
                let wait = wait.unwrap_or(limits::THROTTLE_WAIT).max(limits::THROTTLE_WAIT);
                self.held_until = self.held_until.max(self.now.mono.saturating_add(wait));
            }
            _ => {}
        }
    }

    /// Below the reserve, waits until the missing calls have been added to the account.
    fn tokens_left(&mut self, remaining: u32) {
        let lacking = limits::API_TOKENS_RESERVE.saturating_sub(remaining);
        let wait = Duration::from_secs(60) * lacking / limits::API_TOKENS_PER_MINUTE;
        self.held_until = if lacking == 0 { Duration::ZERO } else { self.now.mono.saturating_add(wait) };
    }

    fn status_read(&mut self, is_red: Option<bool>) {
        if let Some(status) = &mut self.status {
            status.done(self.now.mono.saturating_add(limits::PLATFORM_STATUS_EVERY));
        }
        // An unreadable page is neither red nor green.
        let Some(is_red) = is_red else { return };
        if self.is_platform_red != is_red {
            let alert = if is_red { HealthAlert::PlatformRed } else { HealthAlert::PlatformRecovered };
            self.report(Scope::Account, [alert]);
            self.is_platform_red = is_red;
        }
    }

    /// Asks what is due. Drains come first, because batches on `POST /logs` are matched by their tokens.
    fn ask(&mut self) {
        let now = self.now.mono;
        if self.account.probe.begin(now) {
            self.effects.push(Effect::Ask(Ask::Probe));
        }
        if self.status.as_mut().is_some_and(|status| status.begin(now)) {
            self.effects.push(Effect::Ask(Ask::Status));
        }
        if now < self.held_until {
            return;
        }
        for ask in [WatchedApp::ask_drains, WatchedApp::ask_dynos, WatchedApp::ask_app] {
            for watched in &mut self.apps {
                if self.out >= limits::ROUND_CALLS_AT_ONCE {
                    return;
                }
                if let Some(ask) = ask(watched, now) {
                    self.out += 1;
                    self.effects.push(Effect::Ask(ask));
                }
            }
        }
    }
}

/// What an app is, and its drains.
const CALLS_PER_ROUND: u32 = 2;
