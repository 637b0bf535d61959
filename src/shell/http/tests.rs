//! The front door as its peers see it: routes without a socket, then the socket itself.

mod routes;
mod sockets;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use secrecy::SecretString;
use tokio::sync::mpsc;

use crate::config::settings::{AppSettings, Database, DrainSettings, HerokuSettings, Settings};
use crate::engine::policy::{AppPlan, Policy, Rate};
use crate::shell::clock::Clock;
use crate::shell::driver::{Command, Handle};
use crate::shell::http::readiness::Readiness;
use crate::shell::http::reply::ReplyBody;
use crate::shell::http::tokens::DrainTokens;
use crate::shell::http::{Service, Wiring};
use crate::shell::metrics::Metrics;

/// A front door, and the end of the queue that the engine would read.
struct House {
    service: Arc<Service>,
    commands: mpsc::Receiver<Command>,
    readiness: Arc<Readiness>,
}

/// A front door with drain password `drain`, admin password `admin` and hook key `hook`.
fn house(settings: &Settings) -> House {
    house_with_queue(settings, 16)
}

fn house_with_queue(settings: &Settings, queue: usize) -> House {
    let (sender, commands) = mpsc::channel(queue);
    let readiness = Arc::new(Readiness::starting());
    let wiring = Wiring {
        clock: Clock::system(),
        handle: Handle::new(sender),
        metrics: Arc::new(Metrics::new(settings.apps.iter().map(|app| &app.plan))),
        readiness: readiness.clone(),
        tokens: Arc::new(DrainTokens::new(settings)),
    };
    House { service: Arc::new(Service::new(settings, wiring)), commands, readiness }
}

fn settings(apps: &[(&str, &str)]) -> Settings {
    Settings {
        admin_password: Some("admin".into()),
        apps: apps.iter().map(|(name, password)| app(name, password)).collect(),
        database: Database::Memory,
        drain: DrainSettings { body_bytes_max: 4096, connections_max: 64 },
        heroku: HerokuSettings {
            api_key: None,
            api_url: "http://127.0.0.1:1".to_owned(),
            request_timeout: Duration::from_secs(1),
        },
        hook_key: Some("hook".into()),
        listen: "127.0.0.1".parse().expect("an address"),
        log_format: None,
        port: 0,
    }
}

fn app(name: &str, password: &str) -> AppSettings {
    let one = NonZeroU32::MIN;
    AppSettings {
        drain_password: Some(SecretString::from(password)),
        drain_tokens: vec![format!("d.{name}").parse().expect("a token")],
        plan: AppPlan {
            name: name.parse().expect("an app"),
            dry_run: false,
            policy: Policy {
                process_types: vec!["web".parse().expect("a type")],
                cooldown: Duration::from_secs(600),
                max_restarts: Rate { count: one, per: Duration::from_secs(7200) },
                give_up_for: Duration::from_secs(21_600),
                max_concurrent: one,
                settle: Duration::from_secs(30),
                min_uptime: Duration::from_secs(180),
                boot_timeout: Duration::from_secs(180),
                window: Vec::new(),
            },
            rules: Vec::new(),
        },
    }
}

fn basic(password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("drain:{password}")))
}

/// One frame as logplex writes it.
fn frame(app: &str, procid: &str, message: &str) -> String {
    let line = format!("<134>1 2026-01-02T03:04:05.123+00:00 host {app} {procid} - {message}\n");
    format!("{} {line}", line.len())
}

fn r14(dyno: &str) -> String {
    frame("heroku", dyno, "Error R14 (Memory quota exceeded)")
}

/// A request line by line: `POST /logs/acme`, then headers.
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

/// One figure of `/metrics`, such as `frames_total{app="acme"}`.
async fn figure(house: &House, name: &str) -> Option<f64> {
    let scrape = request("GET /metrics", &[("authorization", "Bearer admin")], "");
    let response = house.service.answer(scrape).await;
    assert_eq!(response.status(), StatusCode::OK);
    let page = text(response).await;
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("dynowarden_{name} ")))?;
    Some(line.parse().expect("a number"))
}
