//! The HTTP server: HTTP/1.1 for logplex, the hook and admins.
//!
//! ```text
//! listener              accepts connections, and evicts some when there are too many
//! tls                   built-in TLS: handshakes and the certificate
//! connection            one client: HTTP on its socket, and a deadline for every phase
//! framing               rejects requests whose length is ambiguous
//! route                 every route, by its audience
//! ingest                logplex delivers a batch
//! hooks                 a monitor or a script requests a restart
//! api                   the JSON API
//! ui, admin_ui, forms   the status page, its shared state, and its forms
//! ops                   metrics and readiness
//! events                server-sent events
//! event_publisher       the task that produces them
//! auth, throttle        passwords, and the delay after wrong ones
//! client_addr           the address of a client, behind trusted proxies
//! body, reply, denied   request bodies, responses and refusals
//! ```
//!
//! Nothing here decides anything about dynos: batches become events and go to the driver by its
//! [`Handle`], which never makes logplex wait.

pub mod admin_ui;
mod api;
mod auth;
mod body;
mod client_addr;
pub mod connection;
pub mod connection_state;
mod denied;
pub mod event_publisher;
mod events;
mod forms;
mod framing;
mod hooks;
mod ingest;
pub mod listener;
mod ops;
mod refusal;
pub mod reply;
mod route;
#[cfg(test)]
mod tests;
mod throttle;
pub mod tls;
mod ui;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use hyper::body::Body;
use tracing::debug;

use crate::clock::Clock;
use crate::config::settings::Settings;
use crate::context::Context;
use crate::drain_activity::DrainActivities;
use crate::drain_tokens::DrainTokens;
use crate::driver::Handle;
use crate::http::admin_ui::AdminUi;
use crate::http::auth::{DrainAuth, Secret};
use crate::http::client_addr::{Head, Proxies};
use crate::http::denied::refuse_unread;
use crate::http::reply::ReplyBody;
use crate::http::route::Route;
use crate::http::throttle::Throttle;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::status_model::StatusModel;
use crate::store::Store;
use crate::traffic::TrafficBook;
use dynowarden_core::dedup::FrameDedup;
use dynowarden_core::ident::{AppId, AppName};
use dynowarden_core::ingest::ProcessTypeFilter;

/// Answers the requests of all connections; shared behind an `Arc`.
#[derive(Debug)]
pub struct Service {
    admin: Option<Secret>,
    /// In the order of the settings, as [`AppId`] counts.
    apps: Vec<App>,
    body_bytes_max: usize,
    by_name: HashMap<AppName, AppId>,
    clock: Clock,
    connections_max: usize,
    admin_ui: Option<AdminUi>,
    drain_auth: DrainAuth,
    drains: Arc<DrainActivities>,
    frame_ids: FrameDedup,
    handle: Handle,
    hook: Option<Secret>,
    metrics: Arc<Metrics>,
    proxies: Proxies,
    readiness: Arc<Readiness>,
    store: Store,
    throttle: Throttle,
    tokens: Arc<DrainTokens>,
    traffic: Arc<TrafficBook>,
}

#[derive(Debug)]
struct App {
    name: AppName,
    process_types: ProcessTypeFilter,
}

// === impl Service ===

impl Service {
    pub fn new(settings: &Settings, context: Context) -> Self {
        let apps: Vec<App> = settings
            .apps
            .iter()
            .map(|app| App {
                name: app.plan.name.clone(),
                process_types: ProcessTypeFilter { process_types: app.plan.policy.process_types.clone() },
            })
            .collect();
        let by_name = apps.iter().map(|app| app.name.clone()).zip((0..).map(AppId)).collect();
        let Context { clock, drains, handle, metrics, readiness, store, tokens, traffic } = context;
        let admin_ui = settings.admin_password.as_ref().map(|password| {
            let status_model =
                Arc::new(StatusModel::new(settings.apps.iter().map(|app| &app.plan), traffic.clone()));
            let public_url = settings.public_url.clone();
            AdminUi::new(password, public_url, status_model, clock.now().wall.as_millisecond().unsigned_abs())
        });
        Self {
            admin: settings.admin_password.as_ref().map(Secret::configured),
            apps,
            body_bytes_max: settings.drain.body_bytes_max,
            by_name,
            clock,
            connections_max: settings.drain.connections_max,
            admin_ui,
            drain_auth: DrainAuth::new(
                (0..)
                    .map(AppId)
                    .zip(&settings.apps)
                    .flat_map(|(id, app)| app.drain_passwords().map(move |password| (id, password))),
            ),
            drains,
            frame_ids: FrameDedup::default(),
            handle,
            hook: settings.hook_key.as_ref().map(Secret::configured),
            metrics,
            proxies: Proxies::new(&settings.trusted_proxies, settings.is_on_dyno),
            readiness,
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

    /// Answers one request. A route reads the body only after it has checked the password.
    async fn answer<B>(&self, head: &Head, body: B) -> Response<ReplyBody>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let Some(route) = Route::of(head.uri.path()) else {
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
            Route::Resume => Box::pin(self.resume(head, body)).await,
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
