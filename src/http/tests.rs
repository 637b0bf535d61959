//! The HTTP server as its clients see it: routes without a socket, then the socket itself.

mod routes;
mod sockets;
mod ui;

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use secrecy::SecretString;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::config::settings::{AppSettings, Settings};
use crate::config::{self, Needs, Sources};
use crate::context::Context;
use crate::days::Days;
use crate::drain_activity::DrainActivities;
use crate::drain_tokens::DrainTokens;
use crate::driver::{Command, Handle};
use crate::evidence::EvidenceBook;
use crate::http::Service;
use crate::http::client_addr::Head;
use crate::http::connection_state::ConnectionState;
use crate::http::reply::ReplyBody;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::series::SeriesBook;
use crate::store::{Store, StoreOptions};
use crate::traffic::TrafficBook;
use dynowarden_core::ident::AppId;

/// The address of the client.
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

/// The HTTP server, and the receiver of the commands to the engine.
struct Harness {
    service: Arc<Service>,
    commands: mpsc::Receiver<Command>,
    readiness: Arc<Readiness>,
}

/// The next command to the engine, without the audit.
async fn next(commands: &mut mpsc::Receiver<Command>) -> Option<Command> {
    loop {
        match commands.recv().await? {
            Command::Publish(_) => {}
            command => return Some(command),
        }
    }
}

impl Service {
    async fn ask(&self, peer: IpAddr, request: Request<Full<Bytes>>) -> Response<ReplyBody> {
        let (parts, body) = request.into_parts();
        let connection = Arc::new(ConnectionState::new());
        self.answer(&Head { connection, parts, peer }, body).await
    }
}

/// The HTTP server with admin password `admin` and hook key `hook`.
async fn harness(settings: &Settings) -> Harness {
    harness_with_queue(settings, 16).await
}

async fn harness_with_queue(settings: &Settings, queue: usize) -> Harness {
    let (sender, commands) = mpsc::channel(queue);
    let readiness = Arc::new(Readiness::starting());
    let context = Context {
        clock: Clock::system(),
        days: Arc::new(days(settings)),
        drains: Arc::new(DrainActivities::new(settings.apps.len())),
        handle: Handle::new(sender),
        metrics: Arc::new(Metrics::new(settings.apps.iter().map(|app| &app.plan))),
        readiness: readiness.clone(),
        store: store(settings).await,
        tokens: drain_tokens(settings),
        traffic: Arc::new(TrafficBook::new(true, settings.apps.len())),
    };
    Harness { service: Arc::new(Service::new(settings, context)), commands, readiness }
}

fn days(settings: &Settings) -> Days {
    let names = settings.apps.iter().map(|app| app.plan.name.clone()).collect();
    let books = (SeriesBook::new(names, settings.keep_series, 1), EvidenceBook::new(false));
    Days::new(books, None, settings.keep_series)
}

/// An empty store. Paused time does not advance during a blocking task, so the store does not time out.
async fn store(settings: &Settings) -> Store {
    let database = settings.database.clone();
    let runtime = tokio::runtime::Handle::current();
    let opening = move || {
        let options = StoreOptions::new(Vec::new(), Duration::from_secs(3600));
        runtime.block_on(Store::open(&database, options, Clock::system().now().wall))
    };
    tokio::task::spawn_blocking(opening).await.expect("no panic").expect("a store")
}

/// The tokens of the settings; the API lists no others.
fn drain_tokens(settings: &Settings) -> Arc<DrainTokens> {
    let tokens = DrainTokens::new(settings);
    (0..).map(AppId).zip(&settings.apps).for_each(|(app, _)| tokens.listed(app, &[], Duration::MAX));
    Arc::new(tokens)
}

fn settings(apps: &[(&str, &str)]) -> Settings {
    let pairs = [("ADMIN_PASSWORD", "admin"), ("HOOK_KEY", "hook"), ("DATABASE_URL", "memory")];
    let env: Vec<(OsString, OsString)> =
        pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    let no_file = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
    let sources = Sources { config: None, env: &env, read_file: &no_file };
    let mut settings = config::load(&sources, Needs::Nothing).expect("settings");
    settings.drain.body_bytes_max = 4096;
    settings.drain.connections_max = 64;
    settings.apps = apps
        .iter()
        .map(|(name, password)| AppSettings {
            drain_password: Some(SecretString::from(*password)),
            old_drain_password: Some(SecretString::from(format!("{password}-old"))),
            drain_tokens: vec![format!("d.{name}").parse().expect("a token")],
            plan: settings.plan_for(&name.parse().expect("an app")),
        })
        .collect();
    settings
}

fn basic(password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("drain:{password}")))
}

fn frame(app: &str, procid: &str, message: &str) -> String {
    let line = format!("<134>1 2026-01-02T03:04:05.123+00:00 host {app} {procid} - {message}\n");
    format!("{} {line}", line.len())
}

fn r14(dyno: &str) -> String {
    frame("heroku", dyno, "Error R14 (Memory quota exceeded)")
}

/// A request from a line such as `POST /logs/acme`, and headers.
fn request(line: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let (method, uri) = line.split_once(' ').expect("a method and a path");
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.into())).expect("a request")
}

async fn text(response: Response<ReplyBody>) -> String {
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

/// One metric of `/metrics`, such as `frames_total{app="acme"}`.
async fn figure(harness: &Harness, name: &str) -> Option<f64> {
    let scrape = request("GET /metrics", &[("authorization", "Bearer admin")], "");
    let response = harness.service.ask(PEER, scrape).await;
    assert_eq!(response.status(), StatusCode::OK);
    let page = text(response).await;
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("dynowarden_{name} ")))?;
    Some(line.parse().expect("a number"))
}
