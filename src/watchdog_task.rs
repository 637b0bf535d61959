//! The I/O of the [`Watchdog`]: asks Heroku its questions and publishes its alerts.
//!
//! Each call runs in its own task with the client's time-out, so an app whose calls hang delays no other
//! app. The watchdog only reads.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::app_ids::AppIds;
use crate::config::settings::Settings;
use crate::context::Context;
use crate::dyno_env;
use crate::heroku::{Answered, Heroku};
use crate::heroku_status::StatusPage;
use dynowarden_core::api::DynoInfo;
use dynowarden_core::event::DynoState;
use dynowarden_core::health::facts::Identity;
use dynowarden_core::health::schedule::Ask;
use dynowarden_core::health::watchdog::{Effect, Input, Options, Summary, Watchdog};
use dynowarden_core::health::{clock, drains};
use dynowarden_core::ident::{AppId, AppName};
use dynowarden_core::limits;
use dynowarden_core::policy::AppPlan;
use dynowarden_core::record::Record;

#[derive(Clone, Debug)]
pub struct WatchdogTask {
    context: Context,
    heroku: Heroku,
    ids: Arc<AppIds>,
    identity: Identity,
    /// The apps, in the order of [`AppId`].
    plans: Vec<AppPlan>,
    silent_after: Option<Duration>,
    status_page: Option<StatusPage>,
}

/// An answer, and the calls left to the account if it says so.
type Answer = (Input, Option<u32>);

impl WatchdogTask {
    pub(crate) fn new(settings: &Settings, heroku: Heroku, ids: Arc<AppIds>, context: Context) -> Self {
        let timeout = settings.heroku.request_timeout;
        Self {
            context,
            heroku,
            ids,
            identity: dyno_env::identity(settings.public_url.clone()),
            plans: settings.apps.iter().map(|app| app.plan.clone()).collect(),
            silent_after: settings.drain.silent_after,
            status_page: settings.status_url.as_deref().and_then(|url| StatusPage::new(url, timeout)),
        }
    }

    /// Runs until `shutdown`, or until the driver is gone. Outstanding calls are then dropped, because they
    /// only read.
    pub async fn run(self, shutdown: CancellationToken) {
        let options = Options {
            apps: self.plans.iter().map(|plan| plan.name.clone()).collect(),
            identity: self.identity.clone(),
            reads_status: self.status_page.is_some(),
            silent_after: self.silent_after,
        };
        let mut watchdog = Watchdog::new(options, self.context.clock.now());
        let (answerer, mut answers) = mpsc::channel::<Answer>(limits::ROUND_CALLS_AT_ONCE);
        let mut calls = JoinSet::new();
        let mut summary = watchdog.summary();
        let mut inputs = vec![self.drain_activity()];
        loop {
            for input in inputs.drain(..) {
                for effect in watchdog.handle(input, self.context.clock.now()) {
                    match effect {
                        Effect::Ask(ask) => drop(calls.spawn(self.clone().answer(ask, answerer.clone()))),
                        Effect::Report(notice) => {
                            if self.context.handle.publish(Record::Notice(notice)).await.is_err() {
                                return;
                            }
                        }
                    }
                }
            }
            let before = std::mem::replace(&mut summary, watchdog.summary());
            if summary != before {
                self.show(&summary);
            }
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
                () = tokio::time::sleep_until(deadline) => inputs.push(self.drain_activity()),
            }
            // Frees the memory of tasks that have ended.
            while calls.try_join_next().is_some() {}
        }
    }

    fn drain_activity(&self) -> Input {
        let apps = (0..).map(AppId).zip(&self.plans);
        Input::Heard(apps.map(|(app, _)| self.context.drains.of(app)).collect())
    }

    async fn answer(self, ask: Ask, answerer: mpsc::Sender<Answer>) {
        let answer = match ask {
            // The ids are kept for all tasks, so the watchdog's own memory of one is not needed.
            Ask::App { app, id: _ } => {
                let Answered { value, tokens_remaining } = self.ids.ask(app, &self.heroku).await;
                (Input::App { app, answer: value }, tokens_remaining)
            }
            Ask::Drains(app) => self.ask_drains(app).await,
            Ask::Dynos(app) => self.ask_dynos(app).await,
            Ask::Probe => {
                let Answered { value, tokens_remaining } = self.heroku.rate_limits().await;
                // After an error this is the date of an earlier answer.
                let date = self.heroku.date().filter(|_| value.is_ok());
                let wall = self.context.clock.now().wall;
                if date.is_some_and(|date| clock::agree(wall, date)) {
                    self.context.store.confirm_clock(wall);
                    self.context.handle.clock_confirmed();
                }
                (Input::Probed { answer: value, date }, tokens_remaining)
            }
            Ask::Status => {
                let is_red = match &self.status_page {
                    Some(page) => page.are_apps_red().await,
                    None => None,
                };
                if let Some(is_red) = is_red {
                    self.context.handle.platform_status(is_red);
                }
                (Input::Status { is_red }, None)
            }
        };
        // The receiver is gone only at shutdown.
        let _ended = answerer.send(answer).await;
    }

    async fn ask_drains(&self, app: AppId) -> Answer {
        let name = self.name(app);
        let asked_at = self.context.clock.now().mono;
        let target = self.ids.target(app);
        let Answered { value, tokens_remaining } = self.heroku.drains(&target).await;
        match &value {
            Ok(drains) => self.context.tokens.listed(app, drains, asked_at),
            // A 404 that passes must not lose the batches of known drains.
            Err(_) => self.context.tokens.list_failed(app, asked_at),
        }
        let seen = self.context.tokens.seen_of(app);
        let answer = value.map(|drains| {
            let drain = drains::leading_here(&drains, &seen, &self.identity, name);
            drain.map(|drain| drain.token.clone())
        });
        (Input::Drains { app, answer }, tokens_remaining)
    }

    async fn ask_dynos(&self, app: AppId) -> Answer {
        let listed = &self.plans[app.0 as usize].policy.process_types;
        let Answered { value, tokens_remaining } =
            self.heroku.inspect(&self.ids.target(app), listed, None).await;
        let runs = |dyno: &&DynoInfo| dyno.state == DynoState::Up && !dyno.is_one_off;
        let answer = value.map(|view| view.formation.iter().filter(runs).count());
        (Input::Dynos { app, answer }, tokens_remaining)
    }

    fn name(&self, app: AppId) -> &AppName {
        &self.plans[app.0 as usize].name
    }

    /// Shows the health in metrics and on `/readyz`.
    ///
    /// Without a valid token nothing works, so the daemon is not ready. A silent drain or an unavailable API
    /// is only a warning: taking the daemon out of service would lose the other drains too.
    fn show(&self, now: &Summary) {
        let Context { metrics, readiness, .. } = &self.context;
        metrics.token_accepted(now.token_accepted);
        for (app, (silent, hidden)) in (0..).map(AppId).zip(now.silent.iter().zip(&now.hidden)) {
            metrics.drain_silent(app, *silent);
            metrics.app_hidden(app, *hidden);
        }
        metrics.api_away(now.api_away);
        metrics.platform_red(now.is_platform_red);
        if now.token_accepted == Some(false) {
            readiness.fail("token", "Heroku rejects HEROKU_API_KEY");
        } else {
            readiness.recover("token");
        }
        let warning = |apps: &[bool], what: &str| {
            let count = apps.iter().filter(|affected| **affected).count();
            (count > 0).then(|| format!("{count} {what}"))
        };
        readiness.warn("drains", warning(&now.silent, "silent or missing"));
        readiness.warn("apps", warning(&now.hidden, "inaccessible"));
        readiness.warn("api", now.api_away.then(|| "the Platform API does not respond".to_owned()));
        let is_red = now.is_platform_red;
        readiness.warn("heroku", is_red.then(|| "its status page shows Apps red".to_owned()));
    }
}
