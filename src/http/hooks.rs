//! `POST /hooks/restart/{app}`: a monitor, a script or a person requests a restart.

use bytes::Bytes;
use http::{Response, StatusCode};
use hyper::body::Body;
use serde::{Deserialize, Serialize};

use crate::http::Service;
use crate::http::auth;
use crate::http::body;
use crate::http::client_addr::Head;
use crate::http::denied::{Answered, Denied, refuse_unread};
use crate::http::refusal::Refusal;
use crate::http::reply::{self, ReplyBody};
use dynowarden_core::ident::DynoName;
use dynowarden_core::limits;
use dynowarden_core::record::admin::Door;
use dynowarden_core::record::view::DecisionView;

/// The optional body of a hook.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// Every running dyno of the listed process types if absent.
    dyno: Option<String>,
    /// Whether it is a person's word, which passes cool-down, `max_restarts`, window, give-up and
    /// `min_uptime`.
    #[serde(default)]
    force: bool,
}

#[derive(Debug, Serialize)]
struct Accepted {
    decisions: Vec<DecisionView>,
    /// Some decisions were not made in time; `GET /api/v1/decisions` will show them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pending: bool,
}

impl Service {
    pub(super) async fn restart_by_hook<B>(&self, name: &str, head: &Head, body: B) -> Answered
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let Some(key) = &self.hook else { return Ok(refuse_unread(&body, reply::not_found())) };
        let shown = auth::bearer(&head.headers).or_else(|| auth::query_key(head.uri.query()));
        match self.compare(key, shown.as_ref(), head) {
            Ok(()) => {}
            Err(Denied::Unauthorized) => {
                return Ok(refuse_unread(&body, reply::unauthorized(reply::BEARER_CHALLENGE)));
            }
            Err(denied) => return Err(denied),
        }
        let Some((app, watched)) = self.app(name).and_then(|app| Some((app, self.watched(app)?))) else {
            self.metrics.refused(Refusal::UnknownApp);
            return Ok(refuse_unread(&body, reply::json_error(StatusCode::NOT_FOUND, "unknown app")));
        };
        let mut room = self.bodies.room(None, head.connection.clone());
        let body = body::read(body, limits::ADMIN_BODY_BYTES_MAX, &mut room).await.map_err(Denied::Body)?;
        let (dyno, forced) = requested(&body).map_err(Denied::Query)?;
        let by = self.client(head, Door::Hook);
        let order = self.handle.order(app, dyno.clone(), forced, by.to_string().into());
        let ordered = tokio::time::timeout(limits::ORDER_WAIT, order).await;
        let decisions = ordered.as_ref().ok().and_then(|decisions| decisions.as_deref().ok());
        self.audit_restart(by, app, dyno, decisions).await;
        Ok(match ordered {
            Ok(Ok(decisions)) => {
                let view = |decision| DecisionView::new(decision, &watched.name);
                accepted(decisions.iter().map(view).collect(), false)
            }
            Ok(Err(stopped)) => return Err(stopped.into()),
            Err(_too_long) => accepted(Vec::new(), true),
        })
    }
}

fn accepted(decisions: Vec<DecisionView>, pending: bool) -> Response<ReplyBody> {
    reply::no_store(reply::json(StatusCode::ACCEPTED, &Accepted { decisions, pending }))
}

/// Reads the optional body: the dyno, and whether the request is a person's word.
fn requested(body: &[u8]) -> Result<(Option<DynoName>, bool), String> {
    if body.trim_ascii().is_empty() {
        return Ok((None, false));
    }
    let order: Order = serde_json::from_slice(body).map_err(|error| {
        format!(r#"the body must be empty or like {{"dyno": "web.2", "force": true}}: {error}"#)
    })?;
    let dyno = order.dyno.map(|dyno| dyno.parse().map_err(|error| format!("dyno: {error}")));
    Ok((dyno.transpose()?, order.force))
}

#[cfg(test)]
mod tests {
    use super::requested;

    #[test]
    fn the_body_names_at_most_one_dyno() {
        for (body, expect) in [
            ("", Ok((None, false))),
            (" \n", Ok((None, false))),
            ("{}", Ok((None, false))),
            (r#"{"dyno":null}"#, Ok((None, false))),
            (r#"{"dyno":"web.2"}"#, Ok((Some("web.2"), false))),
            (r#"{"dyno":"web.2","force":true}"#, Ok((Some("web.2"), true))),
            (r#"{"force":true}"#, Ok((None, true))),
            (r#"{"force":1}"#, Err("the body must be")),
            (r#"{"dyno":"web"}"#, Err("dyno: \"web\" is not a dyno's name")),
            (r#"{"dyno":"../account"}"#, Err("dyno: \"../account\" is not a dyno's name")),
            (r#"{"dyno":2}"#, Err("the body must be")),
            (r#"{"dyn":"web.2"}"#, Err("the body must be")),
            ("web.2", Err("the body must be")),
        ] {
            match (requested(body.as_bytes()), expect) {
                (Ok((dyno, forced)), Ok(expect)) => {
                    assert_eq!((dyno.map(|dyno| dyno.to_string()).as_deref(), forced), expect);
                }
                (Err(problem), Err(expect)) => assert!(problem.starts_with(expect), "{problem}"),
                (read, _) => panic!("{body}: {read:?}"),
            }
        }
    }
}
