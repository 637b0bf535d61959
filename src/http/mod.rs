//! The HTTP server: HTTP/1.1 for logplex, the hook and admins.
//!
//! ```text
//! listener              accepts connections, and evicts some when there are too many
//! tls                   built-in TLS: handshakes and the certificate
//! connection            one client: HTTP on its socket, and a deadline for every phase
//! places                who has how many connections, and which is closed at a limit
//! body_budget           the same for the bytes of bodies
//! framing               rejects requests whose length is ambiguous
//! route                 every route, by its audience
//! ingest                logplex delivers a batch
//! hooks                 a monitor or a script requests a restart
//! api, days             the JSON API
//! ui, admin_ui, forms   the status page, its shared state, and its forms
//! ops                   metrics and readiness
//! events                server-sent events
//! event_publisher       the task that produces them
//! auth                  passwords
//! remembered            what the last batch of a connection has shown
//! origin                requests that another site's page makes a browser send
//! audit                 who paused, resumed and restarted what
//! throttle, guesses     the delay after wrong drain passwords, and the lock after other wrong secrets
//! client_addr           the address of a client, behind trusted proxies
//! body, unpack, batch   request bodies, and reading large ones away from the connections
//! observed              what a batch shows, by dyno
//! reply, denied         responses and refusals
//! ```
//!
//! Nothing here decides anything about dynos: batches become events and go to the driver by its
//! [`Handle`], which never makes logplex wait.

pub mod admin_ui;
mod api;
mod audit;
mod auth;
mod batch;
mod body;
mod body_budget;
mod client_addr;
pub mod connection;
pub mod connection_state;
mod days;
mod denied;
pub mod event_publisher;
mod events;
mod forms;
mod framing;
mod guesses;
mod hooks;
mod ingest;
pub mod listener;
mod observed;
mod ops;
mod origin;
pub mod places;
mod refusal;
mod rejected;
mod remembered;
pub mod reply;
mod route;
#[cfg(test)]
mod tests;
mod throttle;
pub mod tls;
mod ui;
mod ui_days;
pub mod unpack;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use hyper::body::Body;
use tracing::{debug, warn};

use crate::clock::Clock;
use crate::config::settings::Settings;
use crate::context::Context;
use crate::days::Days;
use crate::drain_activity::DrainActivities;
use crate::drain_tokens::DrainTokens;
use crate::driver::Handle;
use crate::http::admin_ui::AdminUi;
use crate::http::auth::{DrainAuth, Secret};
use crate::http::batch::BatchReader;
use crate::http::body_budget::BodyBudget;
use crate::http::client_addr::{Head, Proxies};
use crate::http::denied::refuse_unread;
use crate::http::guesses::Guesses;
use crate::http::places::Places;
use crate::http::refusal::Refusal;
use crate::http::rejected::RejectedBatches;
use crate::http::reply::ReplyBody;
use crate::http::route::Route;
use crate::http::throttle::Throttle;
use crate::http_client::one_line;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::roster::Rosters;
use crate::status_model::StatusModel;
use crate::store::Store;
use crate::traffic::TrafficBook;
use dynowarden_core::dedup::FrameDedup;
use dynowarden_core::drain_url::{self, PublicUrl};
use dynowarden_core::ident::{AppId, AppName};
use dynowarden_core::ingest::ProcessTypeFilter;
use dynowarden_core::limits;
use dynowarden_core::policy::AppPlan;

/// Answers the requests of all connections; shared behind an `Arc`.
#[derive(Debug)]
pub struct Service {
    admin: Option<Secret>,
    /// In the order of the settings, as [`AppId`] counts.
    apps: Vec<App>,
    batches: BatchReader,
    body_bytes_max: usize,
    by_name: HashMap<AppName, AppId>,
    clock: Clock,
    days: Arc<Days>,
    admin_ui: Option<AdminUi>,
    drain_auth: DrainAuth,
    drains: Arc<DrainActivities>,
    frame_ids: FrameDedup,
    guesses: Guesses,
    handle: Handle,
    hook: Option<Secret>,
    bodies: BodyBudget,
    /// Whether browsers reach the pages over HTTPS, as far as the settings say.
    is_https: bool,
    is_tls: bool,
    metrics: Arc<Metrics>,
    places: Arc<Places>,
    /// In the order of the settings.
    plans: Vec<AppPlan>,
    /// The path of `public_url`, which some proxies leave in front of a request's path.
    prefix: String,
    proxies: Proxies,
    readiness: Arc<Readiness>,
    rosters: Rosters,
    rejected: RejectedBatches,
    /// When a refused request below `/logs` was last logged.
    refused_logged_at: Mutex<Option<Duration>>,
    store: Store,
    throttle: Throttle,
    tokens: Arc<DrainTokens>,
    traffic: Arc<TrafficBook>,
}

#[derive(Debug)]
struct App {
    name: AppName,
    process_types: Arc<ProcessTypeFilter>,
}

// === impl Service ===

impl Service {
    pub fn new(settings: &Settings, context: Context) -> Self {
        let apps: Vec<App> = settings
            .apps
            .iter()
            .map(|app| App {
                name: app.plan.name.clone(),
                process_types: Arc::new(ProcessTypeFilter {
                    process_types: app.plan.policy.process_types.clone(),
                }),
            })
            .collect();
        let by_name = apps.iter().map(|app| app.name.clone()).zip((0..).map(AppId)).collect();
        let Context { clock, days, drains, handle, metrics, readiness, store, tokens, traffic } = context;
        let rejected = RejectedBatches::new(clock, handle.clone());
        let admin_ui = settings.admin_password.as_ref().map(|password| {
            let status_model =
                Arc::new(StatusModel::new(settings.apps.iter().map(|app| &app.plan), traffic.clone()));
            let public_url = settings.public_url.clone();
            AdminUi::new(password, public_url, status_model, clock.now().wall.as_millisecond().unsigned_abs())
        });
        Self {
            admin: settings.admin_password.as_ref().map(Secret::configured),
            batches: BatchReader::new(apps.len(), settings.drain.body_bytes_max),
            apps,
            body_bytes_max: settings.drain.body_bytes_max,
            by_name,
            clock,
            days,
            admin_ui,
            drain_auth: DrainAuth::new(
                (0..)
                    .map(AppId)
                    .zip(&settings.apps)
                    .flat_map(|(id, app)| app.drain_passwords().map(move |password| (id, password))),
            ),
            drains,
            frame_ids: FrameDedup::default(),
            guesses: Guesses::new(clock),
            handle,
            hook: settings.hook_key.as_ref().map(Secret::configured),
            bodies: BodyBudget::new(settings.drain.body_bytes_max),
            is_https: settings.tls.is_some() || settings.public_url.as_ref().is_some_and(PublicUrl::is_https),
            is_tls: settings.tls.is_some(),
            metrics,
            places: Arc::new(Places::new(settings.drain.connections_max)),
            plans: settings.apps.iter().map(|app| app.plan.clone()).collect(),
            prefix: settings.public_url.as_ref().map_or("", PublicUrl::prefix).to_owned(),
            proxies: Proxies::new(&settings.trusted_proxies, settings.is_on_dyno),
            readiness,
            rosters: Rosters::new(settings.apps.len()),
            rejected,
            refused_logged_at: Mutex::new(None),
            store,
            throttle: Throttle::new(clock),
            tokens,
            traffic,
        }
    }

    /// The model of the status page; `None` without an `ADMIN_PASSWORD`.
    pub fn status_model(&self) -> Option<&Arc<StatusModel>> {
        self.admin_ui.as_ref().map(|admin_ui| &admin_ui.status_model)
    }

    /// Counts a request that was meant for a drain and will be dropped by its sender, and logs it.
    fn refuse_drain(&self, refusal: Refusal, path: &str) {
        self.metrics.refused(refusal);
        let now = self.clock.now().mono;
        let mut logged_at = self.refused_logged_at.lock().unwrap_or_else(PoisonError::into_inner);
        if logged_at.is_none_or(|at| now.saturating_sub(at) >= limits::REFUSED_LOG_EVERY) {
            *logged_at = Some(now);
            let reason: &'static str = refusal.into();
            let path = one_line(path, limits::QUOTED_CHARS_MAX);
            warn!(
                path,
                reason, "batch refused: no drain has this path; `dynowarden check` shows the right one"
            );
        }
    }

    /// Answers one request. A route reads the body only after it has checked the password.
    async fn answer<B>(&self, head: &Head, body: B) -> Response<ReplyBody>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let mut response = self.answer_route(head, body).await;
        reply::protect(&mut response, self.is_tls);
        response
    }

    async fn answer_route<B>(&self, head: &Head, body: B) -> Response<ReplyBody>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let path = drain_url::below(head.uri.path(), &self.prefix);
        let Some(route) = Route::of(path) else {
            if is_meant_for_drain(path) {
                self.refuse_drain(Refusal::UnknownPath, path);
                self.report_path_below_logs(head);
            }
            return refuse_unread(&body, reply::not_found());
        };
        if !route.allows(&head.method) {
            return refuse_unread(&body, reply::method_not_allowed(route.methods()));
        }
        // All but the drain are boxed, so that the future of a batch stays small.
        let answered = match route {
            Route::Drain(app) => Ok(self.ingest(app, head, body).await),
            Route::Health => Ok(reply::text(StatusCode::OK, "alive\n")),
            Route::Hook(app) => Box::pin(self.restart_by_hook(app, head, body)).await,
            Route::Metrics => self.show_metrics(head).await,
            Route::Events => self.stream_events(head, &body),
            Route::Form(form) => Box::pin(self.submit_form(form, head, body)).await,
            Route::ListDecisions => Box::pin(self.list_decisions(head)).await,
            Route::ListDynos => Box::pin(self.list_dynos(head)).await,
            Route::Page(page) => Box::pin(self.show_page(page, head)).await,
            Route::Pause => Box::pin(self.pause(head, body)).await,
            Route::Ready => Ok(self.show_readiness()),
            Route::Report => Box::pin(self.show_report(head)).await,
            Route::Resume => Box::pin(self.resume(head, body)).await,
            Route::Series => Box::pin(self.show_series(head)).await,
        };
        let response = answered.unwrap_or_else(|denied| self.deny(denied));
        let status = response.status().as_u16();
        debug!(method = %head.method, path = head.uri.path(), status, "answered");
        response
    }

    fn app(&self, name: &str) -> Option<AppId> {
        self.by_name.get(name).copied()
    }

    fn watched(&self, app: AppId) -> Option<&App> {
        self.apps.get(app.0 as usize)
    }
}

/// Whether a path that is no route is a mistyped drain's.
fn is_meant_for_drain(path: &str) -> bool {
    path.split('/').any(|part| part.eq_ignore_ascii_case("logs"))
}
