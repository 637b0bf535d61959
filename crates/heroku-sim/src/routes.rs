//! The routes of the Platform API: their effects on the world, and their responses.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::app::App;
use crate::dyno::SIZES;
use crate::fault;
use crate::paging;
use crate::resource;
use crate::world::Missing;
use crate::world::World;
use dynowarden_core::ident::{AppName, DynoName, ProcessType};

pub(crate) struct Call<'r> {
    /// `null` without a body.
    pub body: Value,
    pub headers: &'r HeaderMap,
    pub method: &'r Method,
    /// Items of a page, unless the call sets a number.
    pub page_default: usize,
    /// Percent-decoded segments.
    pub path: Vec<String>,
}

/// The response to a successful call.
#[derive(Debug)]
pub(crate) struct Answer {
    pub body: Value,
    /// `Next-Range`, if the list continues.
    pub next: Option<String>,
    pub status: StatusCode,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub message: Cow<'static, str>,
    pub status: u16,
}

impl Refusal {
    /// The refusal with this status and its usual message.
    pub(crate) fn new(status: u16) -> Self {
        Self { message: fault::error_words(status).1.into(), status }
    }
}

impl From<Missing> for Refusal {
    fn from(missing: Missing) -> Self {
        Self { message: missing.to_string().into(), status: 404 }
    }
}

type Outcome = Result<Answer, Refusal>;

/// Performs a call.
///
/// # Errors
/// The real API would refuse it, as far as is known.
pub(crate) fn route(world: &mut World, call: &Call<'_>, now: Timestamp) -> Outcome {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    match (call.method.as_str(), path.as_slice()) {
        ("GET", ["account"]) => ok(resource::account()),
        ("GET", ["dyno-sizes"]) => list(call, SIZES.iter().map(|size| resource::size(size)).collect()),
        ("GET", ["apps"] | ["users", "~", "apps"]) => list(call, world.apps().map(resource::app).collect()),
        (_, ["apps", app, rest @ ..]) => {
            let name = world.app(app).ok_or(Missing::App)?.name().clone();
            match (call.method.as_str(), rest) {
                ("GET", _) => read(world, call, &name, rest),
                ("DELETE" | "POST", ["dynos", ..] | ["formations", ..]) => act(world, call, &name, rest, now),
                (_, ["log-drains", ..]) => drains(world, call, &name, rest, now),
                ("PATCH", _) => change(world, call, &name, rest, now),
                _ => Err(Refusal::new(404)),
            }
        }
        _ => Err(Refusal::new(404)),
    }
}

/// The one dyno that a call restarts, if it does: the only call whose effect can be late.
pub(crate) fn restarted_dyno(world: &World, call: &Call<'_>) -> Option<(AppName, DynoName)> {
    match call.path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["apps", app, "dynos", dyno] if *call.method == Method::DELETE => {
            let app = world.app(app)?.name().clone();
            let name = world.dyno(&app, dyno)?.name.clone();
            Some((app, name))
        }
        _ => None,
    }
}

fn read(world: &World, call: &Call<'_>, name: &AppName, rest: &[&str]) -> Outcome {
    let app = world.app(name.as_str()).ok_or(Missing::App)?;
    match rest {
        [] => ok(resource::app(app)),
        ["dynos"] => list(call, world.dynos(name).map(|dyno| resource::dyno(app, dyno)).collect()),
        ["dynos", dyno] => ok(resource::dyno(app, world.dyno(name, dyno).ok_or(Missing::Dyno)?)),
        ["formation"] => {
            list(call, app.spec.formations.iter().map(|f| resource::formation(app, f)).collect())
        }
        ["formation", word] => ok(resource::formation(app, app.formation(word).ok_or(Missing::Formation)?)),
        ["log-drains"] => list(call, app.drains.iter().map(|drain| resource::drain(app, drain)).collect()),
        ["log-drains", key] => {
            let drain = app.drains.iter().find(|drain| drain.answers_to(key)).ok_or(Missing::Drain)?;
            ok(resource::drain(app, drain))
        }
        ["releases"] => {
            list(call, app.releases.iter().map(|release| resource::release(app, release)).collect())
        }
        ["releases", key] => {
            let release =
                app.releases.iter().find(|release| release.id == *key || release.version.to_string() == *key);
            ok(resource::release(app, release.ok_or_else(|| Refusal::new(404))?))
        }
        ["features"] => list(call, resource::features(app)),
        ["features", key] => {
            let feature = resource::features(app).into_iter().find(|feature| feature["name"] == *key);
            ok(feature.ok_or_else(|| Refusal::new(404))?)
        }
        ["collaborators"] => list(call, resource::collaborators(app)),
        // `heroku apps:info` also asks for these; a simulated app has none.
        ["addons"] => list(call, Vec::new()),
        _ => Err(Refusal::new(404)),
    }
}

/// Restarts and stops.
fn act(world: &mut World, call: &Call<'_>, app: &AppName, rest: &[&str], now: Timestamp) -> Outcome {
    match (call.method.as_str(), rest) {
        ("DELETE", ["dynos"]) => restart_all(world, app, None, now),
        ("DELETE", ["formations", word]) => {
            restart_all(world, app, Some(process_type(world, app, word)?), now)
        }
        ("DELETE", ["dynos", dyno]) => match world.dyno(app, dyno).map(|dyno| dyno.name.clone()) {
            Some(name) => {
                world.restart(app, &name, now)?;
                accepted()
            }
            // The real API also accepts a bare process type here, which dynowarden must never send.
            None => match process_type(world, app, dyno) {
                Ok(word) => restart_all(world, app, Some(word), now),
                Err(_) => Err(Missing::Dyno.into()),
            },
        },
        ("POST", ["dynos", dyno, "actions", "stop"]) => {
            let name = world.dyno(app, dyno).ok_or(Missing::Dyno)?.name.clone();
            world.crash(app, &name, now)?;
            accepted()
        }
        _ => Err(Refusal::new(404)),
    }
}

fn restart_all(world: &mut World, app: &AppName, only: Option<ProcessType>, now: Timestamp) -> Outcome {
    let names: Vec<DynoName> = world
        .dynos(app)
        .map(|dyno| dyno.name.clone())
        .filter(|name| only.as_ref().is_none_or(|only| name.process_type() == only))
        .collect();
    for name in names {
        world.restart(app, &name, now)?;
    }
    accepted()
}

fn drains(world: &mut World, call: &Call<'_>, name: &AppName, rest: &[&str], now: Timestamp) -> Outcome {
    match (call.method.as_str(), rest) {
        ("POST", ["log-drains"]) => {
            let url = call.body["url"].as_str().unwrap_or_default();
            if !DRAIN_SCHEMES.iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme)) {
                return Err(Refusal { message: "Url is invalid.".into(), status: 422 });
            }
            let app = world.app(name.as_str()).ok_or(Missing::App)?;
            if app.drains.iter().any(|drain| drain.url == url) {
                return Err(Refusal { message: "Url has already been taken.".into(), status: 422 });
            }
            if app.drains.len() >= DRAINS_MAX {
                return Err(Refusal {
                    message: "You have reached the limit of log drains.".into(),
                    status: 422,
                });
            }
            let drain = world.add_drain(name, url, now)?;
            let app = world.app(name.as_str()).ok_or(Missing::App)?;
            Ok(Answer { body: resource::drain(app, &drain), next: None, status: StatusCode::CREATED })
        }
        ("DELETE", ["log-drains", key]) => {
            let drain = world.remove_drain(name, key)?;
            ok(resource::drain(world.app(name.as_str()).ok_or(Missing::App)?, &drain))
        }
        _ => Err(Refusal::new(404)),
    }
}

/// Maintenance and scale, as used by `heroku maintenance:on` and `heroku ps:scale`.
fn change(world: &mut World, call: &Call<'_>, name: &AppName, rest: &[&str], now: Timestamp) -> Outcome {
    match rest {
        [] => {
            let on = call.body["maintenance"].as_bool().ok_or_else(|| Refusal::new(422))?;
            world.set_maintenance(name, on, now)?;
            ok(resource::app(world.app(name.as_str()).ok_or(Missing::App)?))
        }
        ["formation"] => {
            let updates = call.body["updates"].as_array().ok_or_else(|| Refusal::new(422))?;
            for update in updates {
                let word = process_type(world, name, update["type"].as_str().unwrap_or_default())?;
                let quantity = quantity_of(update)?;
                world.scale(name, &word, quantity, now)?;
            }
            let app = world.app(name.as_str()).ok_or(Missing::App)?;
            ok(app.spec.formations.iter().map(|formation| resource::formation(app, formation)).collect())
        }
        ["formation", word] => {
            let word = process_type(world, name, word)?;
            world.scale(name, &word, quantity_of(&call.body)?, now)?;
            let app = world.app(name.as_str()).ok_or(Missing::App)?;
            ok(resource::formation(app, app.formation(word.as_str()).ok_or(Missing::Formation)?))
        }
        ["features", "preboot" | "log-runtime-metrics"] => Err(Refusal::new(422)),
        _ => Err(Refusal::new(404)),
    }
}

fn quantity_of(body: &Value) -> Result<u32, Refusal> {
    // `heroku ps:scale` sends the number as a string.
    let quantity = &body["quantity"];
    let quantity = quantity.as_u64().or_else(|| quantity.as_str()?.parse().ok());
    let quantity = quantity.and_then(|quantity| u32::try_from(quantity).ok());
    quantity.filter(|&quantity| quantity <= QUANTITY_MAX).ok_or_else(|| Refusal::new(422))
}

fn process_type(world: &World, app: &AppName, word: &str) -> Result<ProcessType, Refusal> {
    let formation = world.app(app.as_str()).and_then(|app: &App| app.formation(word));
    Ok(formation.ok_or(Missing::Formation)?.process_type.clone())
}

fn ok(body: Value) -> Outcome {
    Ok(Answer { body, next: None, status: StatusCode::OK })
}

fn accepted() -> Outcome {
    Ok(Answer { body: json!({}), next: None, status: StatusCode::ACCEPTED })
}

fn list(call: &Call<'_>, items: Vec<Value>) -> Outcome {
    let range = call.headers.get("range").map(HeaderValue::to_str).transpose();
    let range = range.map_err(|_| Refusal::new(416))?;
    let page = paging::page(items, range, call.page_default).ok_or(Refusal::new(416))?;
    let status = if page.next.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    Ok(Answer { body: Value::Array(page.items), next: page.next, status })
}

/// Drains of one app (heroku.md §1.3).
const DRAINS_MAX: usize = 5;

/// Dynos of one process type: Heroku's own limit for the larger sizes is 100.
const QUANTITY_MAX: u32 = 1000;

static DRAIN_SCHEMES: [&str; 4] = ["https://", "http://", "syslog://", "syslog+tls://"];
