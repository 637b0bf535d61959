//! `POST /hooks/restart/{app}`: an external alarm, or a person, requests a restart.

use bytes::Bytes;
use http::{Response, StatusCode};
use hyper::body::Body;
use serde::{Deserialize, Serialize};

use crate::http::Service;
use crate::http::auth;
use crate::http::body;
use crate::http::client_addr::Head;
use crate::http::denied::refuse_unread;
use crate::http::reply::{self, ReplyBody};
use crate::metrics::Refusal;
use dynowarden_core::ident::DynoName;
use dynowarden_core::limits;
use dynowarden_core::record::view::DecisionView;

/// The optional body of a hook.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// One dyno; without it every running one of the listed process types.
    dyno: Option<String>,
}

#[derive(Debug, Serialize)]
struct Judged {
    decisions: Vec<DecisionView>,
    /// Not all are judged yet; the record will show the rest.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pending: bool,
}

impl Service {
    pub(super) async fn restart_by_hook<B>(&self, name: &str, head: &Head, body: B) -> Response<ReplyBody>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let Some(key) = &self.hook else { return refuse_unread(&body, reply::not_found()) };
        let shown = auth::bearer(&head.headers).or_else(|| auth::query_key(head.uri.query()));
        if !key.is(shown.as_ref()) {
            let refusal = match self.count_wrong_password(head, shown.as_ref()) {
                Ok(()) => reply::unauthorized(reply::BEARER_CHALLENGE),
                Err(wait) => reply::closing(reply::too_many(wait)),
            };
            return refuse_unread(&body, refusal);
        }
        let Some((app, watched)) = self.app(name).and_then(|app| Some((app, self.of(app)?))) else {
            self.metrics.refused(Refusal::UnknownApp);
            return refuse_unread(&body, reply::complaint(StatusCode::NOT_FOUND, "unknown app"));
        };
        let body = match body::read(body, limits::ADMIN_BODY_BYTES_MAX).await {
            Ok(body) => body,
            Err(error) => return self.refuse_body(error),
        };
        let dyno = match wanted_dyno(&body) {
            Ok(dyno) => dyno,
            Err(problem) => return reply::complaint(StatusCode::BAD_REQUEST, &problem),
        };
        match tokio::time::timeout(limits::ORDER_WAIT, self.handle.order(app, dyno)).await {
            Ok(Ok(decisions)) => {
                let shown = |decision| DecisionView::new(decision, &watched.name);
                accepted(decisions.iter().map(shown).collect(), false)
            }
            Ok(Err(_stopped)) => reply::overloaded(),
            Err(_too_long) => accepted(Vec::new(), true),
        }
    }
}

fn accepted(decisions: Vec<DecisionView>, pending: bool) -> Response<ReplyBody> {
    reply::private(reply::json(StatusCode::ACCEPTED, &Judged { decisions, pending }))
}

/// The dyno that the body names, if there is a body and it names one.
fn wanted_dyno(body: &[u8]) -> Result<Option<DynoName>, String> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    let order: Order = serde_json::from_slice(body)
        .map_err(|error| format!(r#"the body must be empty or like {{"dyno": "web.2"}}: {error}"#))?;
    order.dyno.map(|dyno| dyno.parse().map_err(|error| format!("dyno: {error}"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::wanted_dyno;

    #[test]
    fn the_body_names_one_dyno_or_none() {
        for (body, expect) in [
            ("", Ok(None)),
            (" \n", Ok(None)),
            ("{}", Ok(None)),
            (r#"{"dyno":null}"#, Ok(None)),
            (r#"{"dyno":"web.2"}"#, Ok(Some("web.2"))),
            (r#"{"dyno":"web"}"#, Err("dyno: \"web\" is not a dyno's name")),
            (r#"{"dyno":"../account"}"#, Err("dyno: \"../account\" is not a dyno's name")),
            (r#"{"dyno":2}"#, Err("the body must be")),
            (r#"{"dyn":"web.2"}"#, Err("the body must be")),
            ("web.2", Err("the body must be")),
        ] {
            match (wanted_dyno(body.as_bytes()), expect) {
                (Ok(dyno), Ok(expect)) => assert_eq!(dyno.map(|dyno| dyno.to_string()).as_deref(), expect),
                (Err(problem), Err(expect)) => assert!(problem.starts_with(expect), "{problem}"),
                (read, _) => panic!("{body}: {read:?}"),
            }
        }
    }
}
