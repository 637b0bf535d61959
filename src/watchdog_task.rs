//! The task that goes the rounds: it asks what the [`Watchdog`] wants to know, and tells what it finds.
//!
//! Each call runs in a task of its own with the client's time-out, so that one app that hangs holds up
//! nobody else. The rounds only ever read.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::settings::Settings;
use crate::context::Context;
use crate::dyno_env;
use crate::heroku::{Answered, Heroku};
use crate::heroku_status::StatusPage;
use dynowarden_core::api::ApiError;
use dynowarden_core::drain_url::PublicUrl;
use dynowarden_core::event::DynoState;
use dynowarden_core::health::judgement;
use dynowarden_core::health::watchdog::{self, AppIdentity, Ask, Effect, Input, Options, Standing, Watchdog};
use dynowarden_core::ident::{AppId, AppName};
use dynowarden_core::limits;
use dynowarden_core::policy::AppPlan;
use dynowarden_core::record::Record;

/// Goes the rounds. [`WatchdogTask::run`] ends with the shutdown.
#[derive(Clone, Debug)]
pub struct WatchdogTask {
    heroku: Heroku,
    /// By which names or ids the app is known that the program itself runs in.
    home: Vec<String>,
    /// The apps, [`AppId`] being the place in the list.
    plans: Vec<AppPlan>,
    public_url: Option<PublicUrl>,
    silent_after: Option<Duration>,
    status_page: Option<StatusPage>,
    context: Context,
}

/// An answer, and what it says about the account.
type Answer = (Input, Option<u32>);

impl WatchdogTask {
    /// The rounds of the watched apps.
    pub fn new(settings: &Settings, heroku: Heroku, context: Context) -> Self {
        let home = dyno_env::here();
        let timeout = settings.heroku.request_timeout;
        Self {
            heroku,
            home: home.app_name.into_iter().chain(home.app_id).collect(),
            plans: settings.apps.iter().map(|app| app.plan.clone()).collect(),
            public_url: settings.public_url.clone(),
            silent_after: settings.drain.silent_after,
            status_page: settings.status_url.as_deref().and_then(|url| StatusPage::new(url, timeout)),
            context,
        }
    }

    /// Goes the rounds until `shutdown`, or until the driver is gone. Nothing that is under way then
    /// matters: it only reads.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut watchdog = Watchdog::new(self.options(), self.context.clock.now());
        let (answerer, mut answers) = mpsc::channel::<Answer>(limits::ROUND_CALLS_AT_ONCE);
        let mut calls = JoinSet::new();
        let mut standing = watchdog.standing();
        let mut inputs = vec![self.heard()];
        loop {
            for input in inputs.drain(..) {
                for effect in watchdog.handle(input, self.context.clock.now()) {
                    match effect {
                        Effect::Ask(ask) => drop(calls.spawn(self.clone().answer(ask, answerer.clone()))),
                        Effect::Tell(notice) => {
                            if self.context.handle.publish(Record::Notice(notice)).await.is_err() {
                                return;
                            }
                        }
                    }
                }
            }
            let was = std::mem::replace(&mut standing, watchdog.standing());
            self.show(&standing, &was);
            let span = watchdog.next_deadline().saturating_sub(self.context.clock.now().mono);
            let deadline = Instant::now() + self.context.clock.real(span);
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some((input, remaining)) = answers.recv() => {
                    if let Some(remaining) = remaining {
                        self.context.handle.api_tokens(remaining);
                        inputs.push(Input::Tokens { remaining });
                    }
                    inputs.push(input);
                }
                () = tokio::time::sleep_until(deadline) => inputs.push(self.heard()),
            }
            // What has ended is forgotten.
            while calls.try_join_next().is_some() {}
        }
    }

    fn options(&self) -> Options {
        Options {
            apps: self.plans.iter().map(|plan| plan.name.clone()).collect(),
            home: self.home.clone(),
            reads_status: self.status_page.is_some(),
            silent_after: self.silent_after,
        }
    }

    fn heard(&self) -> Input {
        let apps = (0..).map(AppId).zip(&self.plans);
        Input::Heard(apps.map(|(app, _)| self.context.metrics.hearing(app)).collect())
    }

    async fn answer(self, ask: Ask, answerer: mpsc::Sender<Answer>) {
        let told = match ask {
            Ask::App { app, id } => self.ask_app(app, id).await,
            Ask::Drains(app) => self.ask_drains(app).await,
            Ask::Dynos(app) => self.ask_dynos(app).await,
            Ask::Probe => {
                let Answered { value, tokens_remaining } = self.heroku.rate_limits().await;
                // Without an answer it would be the time of an earlier one.
                let date = self.heroku.date().filter(|_| value.is_ok());
                (Input::Probed { answer: value, date }, tokens_remaining)
            }
            Ask::Status => {
                let red = match &self.status_page {
                    Some(page) => page.red().await,
                    None => None,
                };
                (Input::Status { red }, None)
            }
        };
        // Only at a shutdown is nobody there.
        let _ended = answerer.send(told).await;
    }

    async fn ask_app(&self, app: AppId, id: Option<String>) -> Answer {
        let name = id.and_then(|id| id.parse().ok()).unwrap_or_else(|| self.name(app).clone());
        let Answered { value, tokens_remaining } = self.heroku.app(&name).await;
        let answer =
            value.map(|info| AppIdentity { is_fir: judgement::is_fir(&info), id: info.id, name: info.name });
        (Input::App { app, answer }, tokens_remaining)
    }

    async fn ask_drains(&self, app: AppId) -> Answer {
        let name = self.name(app);
        let Answered { value, tokens_remaining } = self.heroku.drains(name).await;
        match &value {
            Ok(drains) => self.context.tokens.replace(app, drains.iter().map(|drain| drain.token.clone())),
            // No app, no drains.
            Err(ApiError::NoSuchApp) => self.context.tokens.replace(app, []),
            Err(_) => {}
        }
        let heard = self.context.tokens.heard_of(app);
        let answer =
            value.map(|drains| watchdog::leads_here(&drains, &heard, self.public_url.as_ref(), name));
        (Input::Drains { app, answer }, tokens_remaining)
    }

    async fn ask_dynos(&self, app: AppId) -> Answer {
        let listed = &self.plans[app.0 as usize].policy.process_types;
        let Answered { value, tokens_remaining } = self.heroku.inspect(self.name(app), listed, None).await;
        let answer =
            value.map(|view| view.formation.iter().filter(|dyno| dyno.state == DynoState::Up).count());
        (Input::Dynos { app, answer }, tokens_remaining)
    }

    fn name(&self, app: AppId) -> &AppName {
        &self.plans[app.0 as usize].name
    }

    /// Shows how it stands in the figures and on `/readyz`.
    ///
    /// Without a token nothing works, so the program is not ready. A silent drain or an API that is away is
    /// no reason to take it out of service, for then the other drains would be lost too; it is remarked.
    fn show(&self, now: &Standing, was: &Standing) {
        if now == was {
            return;
        }
        self.context.metrics.token_accepted(now.token_accepted);
        for (app, (silent, hidden)) in (0..).map(AppId).zip(now.silent.iter().zip(&now.hidden)) {
            self.context.metrics.drain_silent(app, *silent);
            self.context.metrics.app_hidden(app, *hidden);
        }
        self.context.metrics.api_away(now.api_away);
        self.context.metrics.platform_red(now.red.is_some());
        if now.token_accepted == Some(false) {
            self.context.readiness.fail("token", "the Platform API does not accept HEROKU_API_KEY");
        } else {
            self.context.readiness.recover("token");
        }
        let so_many = |apps: &[bool]| apps.iter().filter(|is_so| **is_so).count();
        let (silent, hidden) = (so_many(&now.silent), so_many(&now.hidden));
        let count = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
        self.context.readiness.warn("drains", count(silent, "of the drains silent or missing"));
        self.context.readiness.warn("apps", count(hidden, "of the apps not seen"));
        self.context.readiness.warn("api", now.api_away.then(|| "the Platform API is away".to_owned()));
        self.context.readiness.warn("heroku", now.red.clone().map(|red| format!("status red: {red}")));
    }
}
