//! Faults of the Platform API, on demand.

use std::time::Duration;

use http::Method;
use serde_json::Value;

use crate::rng::Chance;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call is carried out, and the connection breaks before the response.
    BreakAfter,
    /// The connection breaks, and nothing is carried out.
    BreakBefore,
    /// The call is carried out, and the response never comes.
    HangAfter,
    /// Something in front of the API answers with this status and an HTML page. A restart that it passed on
    /// takes effect after `passes_on`.
    Gateway { status: u16, passes_on: Option<Duration> },
    /// Nothing is carried out, and no response ever comes.
    HangBefore,
    /// 200 with an HTML page.
    Html,
    /// A change is accepted with 202, and never carried out.
    Ignored,
    /// The connection breaks, and a restart takes effect after this delay.
    Late(Duration),
    /// The named field is missing from the response, or from every item of a list.
    MissingField(String),
    /// A list ends after this many items, and no header says that it continues.
    Partial(usize),
    /// The body takes this long, byte by byte.
    Slow(Duration),
    /// Nothing is carried out; this status with its usual error body.
    Status(u16),
    /// Every `state` in the response is this word.
    UnknownState(String),
    /// 200 with a body that ends in the middle of its JSON.
    WrongJson,
    /// The named field holds a list of a list instead.
    WrongType(String),
}

/// When a fault applies.
#[derive(Clone, Debug)]
pub struct FaultRule {
    pub fault: Fault,
    /// Only calls with this method; none means any.
    pub method: Option<Method>,
    /// Only calls to such a path.
    pub path: PathRule,
    pub times: Times,
}

/// The paths that a fault applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRule {
    Any,
    EndsWith(String),
    Contains(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    Always,
    /// In this many of a thousand calls.
    Permille(u32),
    /// The next calls, up to this many.
    Next(u32),
}

impl FaultRule {
    /// The next call with this method to a path with this ending.
    pub fn once(method: Method, path_end: &str, fault: Fault) -> Self {
        Self { fault, method: Some(method), path: PathRule::EndsWith(path_end.into()), times: Times::Next(1) }
    }

    /// Every call with this method to a path with this ending, until the rule is removed.
    pub fn always(method: Method, path_end: &str, fault: Fault) -> Self {
        Self { times: Times::Always, ..Self::once(method, path_end, fault) }
    }

    /// Whether the fault applies to this call, which counts.
    pub fn strikes(&mut self, method: &Method, path: &str, chance: &mut Chance) -> bool {
        let fits = self.method.as_ref().is_none_or(|wanted| wanted == method)
            && match &self.path {
                PathRule::Any => true,
                PathRule::EndsWith(text) => path.ends_with(text.as_str()),
                PathRule::Contains(text) => path.contains(text.as_str()),
            };
        fits && match &mut self.times {
            Times::Always => true,
            Times::Permille(permille) => chance.hits(*permille),
            Times::Next(left) => {
                let strikes = *left > 0;
                *left = left.saturating_sub(1);
                strikes
            }
        }
    }
}

impl Fault {
    /// Spoils a JSON body, for the faults that do so.
    pub fn spoil(&self, body: &mut Value) {
        if let (Self::Partial(items), Value::Array(list)) = (self, &mut *body) {
            list.truncate(*items);
        }
        let Some((field, value)) = (match self {
            Self::MissingField(field) => Some((field.as_str(), None)),
            Self::UnknownState(word) => Some(("state", Some(Value::from(word.as_str())))),
            Self::WrongType(field) => Some((field.as_str(), Some(Value::from(vec![Value::from(vec![0])])))),
            _ => None,
        }) else {
            return;
        };
        let objects = match body {
            Value::Array(items) => items.iter_mut().collect(),
            single => vec![single],
        };
        for object in objects.into_iter().filter_map(Value::as_object_mut) {
            if object.contains_key(field) {
                match &value {
                    Some(value) => object.insert(field.into(), value.clone()),
                    None => object.remove(field),
                };
            }
        }
    }
}

/// The `id` and `message` of an error response (heroku.md §5).
pub fn error_words(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => ("bad_request", "The request could not be read."),
        401 => ("unauthorized", "Invalid credentials provided."),
        402 => ("delinquent", "Your account is delinquent."),
        403 => ("forbidden", "You do not have access to this resource."),
        404 => ("not_found", "The requested API endpoint was not found."),
        406 => ("not_acceptable", "The Accept header has to name version 3."),
        409 => ("conflict", "Another change to this resource is under way."),
        410 => ("gone", "The resource is no longer available."),
        416 => ("requested_range_not_satisfiable", "The Range header could not be read."),
        422 => ("invalid_params", "The parameters are not valid."),
        429 => {
            ("rate_limit", "Your account reached the API rate limit. Please wait before making new requests.")
        }
        500 => ("internal_server_error", "An error occurred."),
        503 => ("service_unavailable", "The service is temporarily unavailable."),
        _ => ("error", "The call failed."),
    }
}
