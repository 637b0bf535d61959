//! The task that goes the rounds: it asks what the [`Vigil`] wants to know, and tells what it finds.
//!
//! Each call runs in a task of its own with the client's time-out, so that one app that hangs holds up
//! nobody else. The rounds only ever read.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::settings::Settings;
use crate::dyno_env;
use crate::heroku::{Answered, Heroku};
use crate::heroku_status::StatusPage;
use crate::http::Wiring;
use dynowarden_core::api::Blind;
use dynowarden_core::drain_url::PublicUrl;
use dynowarden_core::event::DynoState;
use dynowarden_core::health::watchdog::{self, Ask, Effect, Input, Options, Sight, Standing, Vigil};
use dynowarden_core::ident::{AppId, AppName};
use dynowarden_core::limits;
use dynowarden_core::policy::AppPlan;
use dynowarden_core::record::Record;

/// Goes the rounds. [`Rounds::run`] ends with the shutdown.
#[derive(Clone, Debug)]
pub struct Rounds {
    heroku: Heroku,
    /// By which names or ids the app is known that the program itself runs in.
    home: Vec<String>,
    /// The apps, [`AppId`] being the place in the list.
    plans: Vec<AppPlan>,
    public_url: Option<PublicUrl>,
    silent_after: Option<Duration>,
    status_page: Option<StatusPage>,
    wiring: Wiring,
}

/// An answer, and what it says about the account.
type Told = (Input, Option<u32>);

impl Rounds {
    /// The rounds of the watched apps.
    pub fn new(settings: &Settings, heroku: Heroku, wiring: Wiring) -> Self {
        let home = dyno_env::here();
        let timeout = settings.heroku.request_timeout;
        Self {
            heroku,
            home: home.app_name.into_iter().chain(home.app_id).collect(),
            plans: settings.apps.iter().map(|app| app.plan.clone()).collect(),
            public_url: settings.public_url.clone(),
            silent_after: settings.drain.silent_after,
            status_page: settings.status_url.as_deref().and_then(|url| StatusPage::new(url, timeout)),
            wiring,
        }
    }

    /// Goes the rounds until `shutdown`, or until the driver is gone. Nothing that is under way then
    /// matters: it only reads.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut vigil = Vigil::new(self.options(), self.wiring.clock.now());
        let (answerer, mut answers) = mpsc::channel::<Told>(limits::ROUND_CALLS_AT_ONCE);
        let mut calls = JoinSet::new();
        let mut standing = vigil.standing();
        let mut inputs = vec![self.heard()];
        loop {
            for input in inputs.drain(..) {
                for effect in vigil.handle(input, self.wiring.clock.now()) {
                    match effect {
                        Effect::Ask(ask) => drop(calls.spawn(self.clone().answer(ask, answerer.clone()))),
                        Effect::Tell(notice) => {
                            if self.wiring.handle.publish(Record::Notice(notice)).await.is_err() {
                                return;
                            }
                        }
                    }
                }
            }
            let was = std::mem::replace(&mut standing, vigil.standing());
            self.show(&standing, &was);
            let span = vigil.next_deadline().saturating_sub(self.wiring.clock.now().mono);
            let deadline = Instant::now() + self.wiring.clock.real(span);
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some((input, remaining)) = answers.recv() => {
                    if let Some(remaining) = remaining {
                        self.wiring.handle.api_tokens(remaining);
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
        Input::Heard(apps.map(|(app, _)| self.wiring.metrics.hearing(app)).collect())
    }

    async fn answer(self, ask: Ask, answerer: mpsc::Sender<Told>) {
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

    async fn ask_app(&self, app: AppId, id: Option<String>) -> Told {
        let name = id.and_then(|id| id.parse().ok()).unwrap_or_else(|| self.name(app).clone());
        let Answered { value, tokens_remaining } = self.heroku.app(&name).await;
        let answer = value.map(|info| Sight {
            is_fir: info.generation.as_deref() == Some("fir"),
            id: info.id,
            name: info.name,
        });
        (Input::App { app, answer }, tokens_remaining)
    }

    async fn ask_drains(&self, app: AppId) -> Told {
        let name = self.name(app);
        let Answered { value, tokens_remaining } = self.heroku.drains(name).await;
        match &value {
            Ok(drains) => self.wiring.tokens.replace(app, drains.iter().map(|drain| drain.token.clone())),
            // No app, no drains.
            Err(Blind::NoSuchApp) => self.wiring.tokens.replace(app, []),
            Err(_) => {}
        }
        let heard = self.wiring.tokens.heard_of(app);
        let answer =
            value.map(|drains| watchdog::leads_here(&drains, &heard, self.public_url.as_ref(), name));
        (Input::Drains { app, answer }, tokens_remaining)
    }

    async fn ask_dynos(&self, app: AppId) -> Told {
        let listed = &self.plans[app.0 as usize].policy.process_types;
        let Answered { value, tokens_remaining } = self.heroku.look(self.name(app), listed, None).await;
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
        self.wiring.metrics.token_accepted(now.token_accepted);
        for (app, (silent, hidden)) in (0..).map(AppId).zip(now.silent.iter().zip(&now.hidden)) {
            self.wiring.metrics.drain_silent(app, *silent);
            self.wiring.metrics.app_hidden(app, *hidden);
        }
        self.wiring.metrics.api_away(now.api_away);
        self.wiring.metrics.platform_red(now.red.is_some());
        if now.token_accepted == Some(false) {
            self.wiring.readiness.troubled("token", "the Platform API does not accept HEROKU_API_KEY");
        } else {
            self.wiring.readiness.mended("token");
        }
        let so_many = |apps: &[bool]| apps.iter().filter(|is_so| **is_so).count();
        let (silent, hidden) = (so_many(&now.silent), so_many(&now.hidden));
        let count = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
        self.wiring.readiness.remark("drains", count(silent, "of the drains silent or missing"));
        self.wiring.readiness.remark("apps", count(hidden, "of the apps not seen"));
        self.wiring.readiness.remark("api", now.api_away.then(|| "the Platform API is away".to_owned()));
        self.wiring.readiness.remark("heroku", now.red.clone().map(|red| format!("status red: {red}")));
    }
}
