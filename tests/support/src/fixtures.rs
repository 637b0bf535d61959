//! A simulated Heroku with one app, and the common steps of end-to-end tests.

use bytes::Bytes;
use dynowarden_core::ident::{AppName, DynoName};
use heroku_sim::app::AppSpec;
use heroku_sim::line::{Dialect, LogLine};
use heroku_sim::platform::RecordedCall;
use heroku_sim::server::{RawPost, SimHeroku, SimOptions};
use http::Method;
use jiff::Timestamp;

use crate::daemon::{DRAIN_PASSWORD, PATIENCE};

pub type Headers = Vec<(String, String)>;

pub fn acme() -> AppName {
    app("acme")
}

pub fn app(name: &str) -> AppName {
    name.parse().expect("an app")
}

pub fn dyno(name: &str) -> DynoName {
    name.parse().expect("a dyno")
}

/// A simulated Heroku with `acme` and `webs` web dynos, all up for an hour.
pub async fn heroku(webs: u32) -> SimHeroku {
    heroku_with(&["acme"], webs).await
}

/// A simulated Heroku with these apps, `webs` web dynos each.
pub async fn heroku_with(apps: &[&str], webs: u32) -> SimHeroku {
    let heroku = SimHeroku::start(SimOptions::default()).await.expect("loopback");
    apps.iter().for_each(|name| heroku.add_app(AppSpec::new(app(name), webs)));
    heroku
}

/// Registers a drain of `app` that leads to the server at `url`.
pub fn drain_to(heroku: &SimHeroku, url: &str, app: &AppName) {
    let url = SimHeroku::drain_url(&format!("{url}/logs/{app}"), "logplex", DRAIN_PASSWORD);
    heroku.add_drain(app, &url).expect("an app");
}

/// Waits for a DELETE of exactly this dyno of `acme`.
pub async fn await_restart(heroku: &SimHeroku, name: &str) {
    await_restart_of(heroku, "acme", name).await;
}

/// Waits for a DELETE of exactly this dyno of `app`.
pub async fn await_restart_of(heroku: &SimHeroku, app: &str, name: &str) {
    let path = format!("/apps/{app}/dynos/{name}");
    let wanted = |call: &RecordedCall| call.method == Method::DELETE && call.path == path;
    heroku.await_call(wanted, PATIENCE).await.unwrap_or_else(|| panic!("no restart of {name} of {app}"));
}

/// Every call that changed something, except for drains.
pub fn deleted(heroku: &SimHeroku) -> Vec<String> {
    heroku.changes().into_iter().map(|call| format!("{} {}", call.method, call.path)).collect()
}

/// Basic auth with any user name.
pub fn basic(password: &str) -> Headers {
    vec![basic_of(&format!("logplex:{password}"))]
}

/// The header with these credentials, a user and a password.
pub fn basic_of(credentials: &str) -> (String, String) {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(credentials);
    ("Authorization".to_owned(), format!("Basic {text}"))
}

/// A line of the platform, as the octets of a body.
pub fn frame(procid: &str, text: &str, at: Timestamp) -> Vec<u8> {
    LogLine::heroku(acme(), procid, text, at).frames(Dialect::Logplex).concat()
}

pub fn r14(heroku: &SimHeroku, name: &str) -> Vec<u8> {
    frame(name, "Error R14 (Memory quota exceeded)", heroku.now())
}

/// Posts, and returns the status.
pub async fn post(heroku: &SimHeroku, url: String, headers: Headers, body: impl Into<Bytes>) -> u16 {
    let post = RawPost { body: body.into(), headers, url };
    heroku.post(post).await.expect("an answer").status.as_u16()
}
