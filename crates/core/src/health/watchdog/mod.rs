//! The vigil: whether the program hears and sees what it watches, and whom to tell when it does not.
//!
//! A state machine without clock or network, like the engine and beside it:
//!
//! - [`Watchdog::handle`] takes one [`Input`] and the time, and returns [`Effect`]s to be carried out in
//!   order.
//! - Every [`Effect::Ask`] is answered by exactly one input about the same thing; time-outs are the
//!   answerer's.
//! - After each input the caller sleeps until [`Watchdog::next_deadline`], or the next input, and hands in
//!   [`Input::Heard`] when the deadline has come.
//!
//! What it asks is paced: few calls at once, none below the reserve that is left to the account's other
//! users, and in the long run a fifth of what the account gets back.

mod account;
mod app;
mod schedule;
mod silence;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret as _;

use crate::api::ApiError;
use crate::api::json::Drain;
use crate::drain_url::{DrainUrl, PublicUrl};
use crate::health::alert::HealthAlert;
use crate::health::judgement;
use crate::health::watchdog::account::Account;
use crate::health::watchdog::app::Watched;
use crate::health::watchdog::schedule::PeriodicCheck;
use crate::ident::{AppId, AppName, DrainToken};
use crate::limits;
use crate::record::{Notice, NoticeKind, Scope};
use crate::time::Now;

/// The state machine. See the module's documentation for how it is used.
#[derive(Debug)]
pub struct Watchdog {
    account: Account,
    apps: Vec<Watched>,
    effects: Vec<Effect>,
    /// Calls that cost something wait until then: the account is short of them.
    held_until: Duration,
    now: Now,
    /// Calls that cost something and are not answered yet.
    out: usize,
    pace: Pace,
    red: Option<String>,
    status: Option<PeriodicCheck>,
}

/// What is set about it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The watched apps, in the order of [`AppId`].
    pub apps: Vec<AppName>,
    /// The app that the program itself runs in, by name or by id.
    pub home: Vec<String>,
    /// Whether Heroku's status page is to be read.
    pub reads_status: bool,
    /// After which silence a drain counts as silent, in place of what the app's usual gaps say.
    pub silent_after: Option<Duration>,
}

/// What has been heard of one app so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainActivity {
    /// When its last batch came, in `mono` time.
    pub last_batch_at: Option<Duration>,
    /// When its last runtime-metrics sample came, in `mono` time.
    pub last_sample_at: Option<Duration>,
    /// Messages that its own drain has lost, over all time.
    pub lost_messages: u64,
}

/// What an app was seen to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppIdentity {
    pub id: String,
    /// Its present name.
    pub name: String,
    /// Whether it is of the Fir generation.
    pub is_fir: bool,
}

/// Everything that can make it work.
#[derive(Clone, Debug)]
pub enum Input {
    /// The answer to [`Ask::App`].
    App {
        app: AppId,
        /// What it is.
        answer: Result<AppIdentity, ApiError>,
    },
    /// The answer to [`Ask::Drains`]: whether one of the app's drains leads here.
    Drains {
        app: AppId,
        /// See [`leads_here`].
        answer: Result<bool, ApiError>,
    },
    /// The answer to [`Ask::Dynos`]: how many of the listed types are up.
    Dynos { app: AppId, answer: Result<usize, ApiError> },
    /// Time has passed: what has been heard meanwhile, in the order of the apps.
    Heard(Vec<DrainActivity>),
    /// The answer to [`Ask::Probe`].
    Probed {
        /// The calls left to the account.
        answer: Result<u32, ApiError>,
        /// What the API's clock says.
        date: Option<Timestamp>,
    },
    /// The answer to [`Ask::Status`]: what is red.
    Status {
        /// Names of systems; none where the page could not be read.
        red: Option<Vec<String>>,
    },
    /// `RateLimit-Remaining` of any answer.
    Tokens {
        /// Calls left to the account.
        remaining: u32,
    },
}

/// What it wants from the world.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask something.
    Ask(Ask),
    /// Tell people.
    Tell(Notice),
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `GET /apps/{app}`, or the same by its id.
    App {
        app: AppId,
        /// Its id, where its name is no longer known.
        id: Option<String>,
    },
    /// `GET /apps/{app}/log-drains`.
    Drains(AppId),
    /// `GET /apps/{app}/dynos`.
    Dynos(AppId),
    /// `GET /account/rate-limits`, which costs nothing.
    Probe,
    /// Heroku's status page.
    Status,
}

/// How it stands, for figures and for `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether the API accepts the token; none before it was asked.
    pub token_accepted: Option<bool>,
    /// Whether the API was away for a while.
    pub api_away: bool,
    /// Whether each app's drain is silent or missing.
    pub silent: Vec<bool>,
    /// Whether each app cannot be seen: gone, renamed, or not for this token.
    pub hidden: Vec<bool>,
    /// What Heroku's status page shows red.
    pub red: Option<String>,
}

/// How often things are asked.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Between two looks at the same thing of one app.
    round: Duration,
    /// Between two looks at what has been heard.
    tick: Duration,
    silent_after: Option<Duration>,
}

// === impl Vigil ===

impl Watchdog {
    /// A vigil that begins at `now`.
    pub fn new(options: Options, now: Now) -> Self {
        let Options { apps, home, reads_status, silent_after } = options;
        let count = u32::try_from(apps.len()).unwrap_or(u32::MAX);
        let busy = Duration::from_secs(60) * count * CALLS_PER_ROUND / limits::ROUND_CALLS_PER_MINUTE;
        let tick = silent_after.map_or(limits::LISTEN_EVERY, |span| (span / 4).min(limits::LISTEN_EVERY));
        let pace = Pace { round: busy.max(limits::ROUND_EVERY), tick, silent_after };
        let watched = |(place, name): (u32, AppName)| {
            // The first round is for all at once; the later ones are spread evenly.
            let first_round = pace.round / 2 + pace.round / count * place;
            Watched::new(AppId(place), &name, home.contains(&name.to_string()), first_round, now)
        };
        Self {
            account: Account::new(now),
            apps: (0..).zip(apps).map(watched).collect(),
            effects: Vec::new(),
            held_until: Duration::ZERO,
            now,
            out: 0,
            pace,
            red: None,
            status: reads_status.then(|| PeriodicCheck::at(now.mono)),
        }
    }

    /// Takes one input and says what has to be done about it.
    pub fn handle(&mut self, input: Input, now: Now) -> Vec<Effect> {
        self.now = now;
        match input {
            Input::App { app, answer } => {
                self.answered(answer.as_ref().err());
                self.of(app, |watched, pace, tell| watched.seen(answer, pace, tell, now));
            }
            Input::Drains { app, answer } => {
                self.answered(answer.as_ref().err());
                self.of(app, |watched, pace, tell| watched.drains_seen(answer, pace, tell, now));
            }
            Input::Dynos { app, answer } => {
                self.answered(answer.as_ref().err());
                self.of(app, |watched, pace, tell| watched.dynos_seen(answer, pace, tell, now));
            }
            Input::Heard(hearings) => {
                for (app, hearing) in (0..).map(AppId).zip(hearings) {
                    self.of(app, |watched, pace, tell| watched.listen(hearing, pace, tell, now));
                }
            }
            Input::Probed { answer, date } => {
                if let Ok(remaining) = answer {
                    self.told_tokens(remaining);
                }
                let alert = self.account.probed(answer, now);
                self.tell_all(alert);
                let alert = date.and_then(|date| self.account.clock_read(date, now));
                self.tell_all(alert);
            }
            Input::Status { red } => self.status_read(red),
            Input::Tokens { remaining } => self.told_tokens(remaining),
        }
        self.ask();
        std::mem::take(&mut self.effects)
    }

    /// When [`Input::Heard`] is next wanted, in `mono` time.
    pub fn next_deadline(&self) -> Duration {
        let held = self.held_until;
        let chores = self.apps.iter().flat_map(Watched::chores).filter_map(PeriodicCheck::due_at);
        let paid = chores.map(|due| due.max(held)).filter(|_| self.out < limits::ROUND_CALLS_AT_ONCE);
        let free = [self.account.probe.due_at(), self.status.as_ref().and_then(PeriodicCheck::due_at)];
        let tick = self.now.mono.saturating_add(self.pace.tick);
        paid.chain(free.into_iter().flatten()).min().map_or(tick, |due| due.clamp(self.now.mono, tick))
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        Standing {
            token_accepted: self.account.token_accepted,
            api_away: self.account.is_away(),
            silent: self.apps.iter().map(Watched::is_silent).collect(),
            hidden: self.apps.iter().map(Watched::is_hidden).collect(),
            red: self.red.clone(),
        }
    }

    fn of(&mut self, app: AppId, act: impl FnOnce(&mut Watched, Pace, &mut dyn FnMut(HealthAlert))) {
        let (at, pace) = (self.now.wall, self.pace);
        let Some(watched) = self.apps.get_mut(app.0 as usize) else { return };
        let effects = &mut self.effects;
        act(watched, pace, &mut |alert| {
            let what = NoticeKind::Health(alert);
            effects.push(Effect::Tell(Notice { at, scope: Scope::App(app), dyno: None, what }));
        });
    }

    /// Reports something about the whole account.
    fn tell_all(&mut self, alert: Option<HealthAlert>) {
        if let Some(alert) = alert {
            let what = NoticeKind::Health(alert);
            self.effects.push(Effect::Tell(Notice {
                at: self.now.wall,
                scope: Scope::Account,
                dyno: None,
                what,
            }));
        }
    }

    /// Takes what a call that cost something says about the account.
    fn answered(&mut self, error: Option<&ApiError>) {
        self.out = self.out.saturating_sub(1);
        match error {
            Some(ApiError::Unauthorized) => self.account.lose_answer(self.now),
            Some(ApiError::Throttled { wait }) => {
                let wait = wait.unwrap_or(limits::THROTTLE_WAIT).max(limits::THROTTLE_WAIT);
                self.held_until = self.held_until.max(self.now.mono.saturating_add(wait));
            }
            _ => {}
        }
    }

    /// Below the reserve nothing is asked until as many calls have come back.
    fn told_tokens(&mut self, remaining: u32) {
        let lacking = limits::API_TOKENS_RESERVE.saturating_sub(remaining);
        let wait = Duration::from_secs(60) * lacking / limits::API_TOKENS_PER_MINUTE;
        self.held_until = if lacking == 0 { Duration::ZERO } else { self.now.mono.saturating_add(wait) };
    }

    fn status_read(&mut self, red: Option<Vec<String>>) {
        if let Some(chore) = &mut self.status {
            chore.done(self.now.mono.saturating_add(limits::PLATFORM_STATUS_EVERY));
        }
        // A status page that cannot be read says nothing, neither red nor green.
        let Some(red) = red else { return };
        let red = (!red.is_empty()).then(|| red.join(", "));
        if self.red != red {
            self.tell_all(Some(match &red {
                Some(systems) => HealthAlert::PlatformRed { systems: systems.clone() },
                None => HealthAlert::PlatformGreen,
            }));
            self.red = red;
        }
    }

    /// Asks what is due, drains first: without them nobody knows whose batches come to `POST /logs`.
    fn ask(&mut self) {
        let now = self.now.mono;
        if self.account.probe.begin(now) {
            self.effects.push(Effect::Ask(Ask::Probe));
        }
        if self.status.as_mut().is_some_and(|chore| chore.begin(now)) {
            self.effects.push(Effect::Ask(Ask::Status));
        }
        if now < self.held_until {
            return;
        }
        for kind in [Watched::ask_drains, Watched::ask_dynos, Watched::ask_app] {
            for watched in &mut self.apps {
                if self.out >= limits::ROUND_CALLS_AT_ONCE {
                    return;
                }
                if let Some(ask) = kind(watched, now) {
                    self.out += 1;
                    self.effects.push(Effect::Ask(ask));
                }
            }
        }
    }
}

/// Calls of one round of one app: what it is, and its drains.
const CALLS_PER_ROUND: u32 = 2;

/// Whether one of an app's drains leads here: one that batches came from, or one with an address of ours.
pub fn leads_here(
    drains: &[Drain],
    heard: &[DrainToken],
    public_url: Option<&PublicUrl>,
    app: &AppName,
) -> bool {
    drains.iter().any(|drain| {
        let is_ours = |url: DrainUrl| judgement::is_ours(&url, public_url, app);
        heard.contains(&drain.token) || DrainUrl::parse(drain.url.expose_secret()).is_some_and(is_ours)
    })
}
