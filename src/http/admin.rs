//! What only admins may see and do: `/metrics`, and pausing restarts.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, HeaderMap, ORIGIN};
use http::{Response, StatusCode};
use hyper::body::Body;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::driver::Stopped;
use crate::exposition::Exposition;
use crate::http::Service;
use crate::http::auth;
use crate::http::body::{self};
use crate::http::caller::Head;
use crate::http::denied::Denied;
use crate::http::pages::AdminUi;
use crate::http::reply::{self, ReplyBody};
use dynowarden_core::ident::AppId;
use dynowarden_core::limits;
use dynowarden_core::time::later;

/// The body of `POST /api/v1/pause`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseOrder {
    /// One app; all without it.
    app: Option<String>,
    /// For how long, such as `2h`.
    r#for: String,
    /// Why, for the record.
    #[serde(default)]
    reason: String,
}

/// The body of `POST /api/v1/resume`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResumeOrder {
    /// One app; all without it.
    app: Option<String>,
}

#[derive(Debug, Serialize)]
struct Paused<'p> {
    app: Option<&'p str>,
    paused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'p str>,
}

impl Service {
    pub(super) fn show_metrics(&self, head: &Head) -> Response<ReplyBody> {
        if let Err(denied) = self.let_admin_in(head) {
            return self.deny(denied);
        }
        let accept = head.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let exposition = Exposition::accepted_by(accept);
        self.metrics.store(&self.store.health());
        self.metrics.ready(self.readiness.trouble().is_none());
        self.metrics.tasks(Handle::current().metrics().num_alive_tasks());
        let page = self.metrics.render(exposition, self.clock.now());
        reply::private(reply::typed(StatusCode::OK, exposition.content_type(), page.into()))
    }

    pub(super) async fn pause<B>(&self, head: &Head, body: B) -> Response<ReplyBody>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        self.try_pause(head, body).await.unwrap_or_else(|denied| self.deny(denied))
    }

    pub(super) async fn resume<B>(&self, head: &Head, body: B) -> Response<ReplyBody>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        self.try_resume(head, body).await.unwrap_or_else(|denied| self.deny(denied))
    }

    async fn try_pause<B>(&self, head: &Head, body: B) -> Result<Response<ReplyBody>, Denied>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let order: PauseOrder = self.admin_order(head, body).await?;
        let app = self.admin_app(order.app.as_deref())?;
        let until = later(self.clock.now().wall, pause_span(&order.r#for).map_err(Denied::Query)?);
        let reason: String = order.reason.chars().take(limits::PAUSE_REASON_CHARS_MAX).collect();
        let sent = self.handle.pause(app, until, reason.as_str().into()).await;
        sent.map_err(|Stopped| Denied::Stopping)?;
        let answer = Paused {
            app: order.app.as_deref(),
            paused: true,
            until: Some(until.to_string()),
            reason: Some(&reason),
        };
        Ok(reply::private(reply::json(StatusCode::OK, &answer)))
    }

    async fn try_resume<B>(&self, head: &Head, body: B) -> Result<Response<ReplyBody>, Denied>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let order: ResumeOrder = self.admin_order(head, body).await?;
        let app = self.admin_app(order.app.as_deref())?;
        self.handle.resume(app).await.map_err(|Stopped| Denied::Stopping)?;
        // A pause of all apps stands on when that of one has ended.
        let standing = match app {
            Some(app) => self.pause_of(app).await.map_err(|Stopped| Denied::Stopping)?,
            None => None,
        };
        let answer = Paused {
            app: order.app.as_deref(),
            paused: standing.is_some(),
            until: standing.as_ref().map(|(until, _)| until.to_string()),
            reason: standing.as_ref().map(|(_, reason)| &**reason),
        };
        Ok(reply::private(reply::json(StatusCode::OK, &answer)))
    }

    /// The pause in force for an app, if there is one.
    async fn pause_of(&self, app: AppId) -> Result<Option<(Timestamp, Arc<str>)>, Stopped> {
        let status = self.handle.status().await?;
        Ok(status.into_iter().find(|status| status.app == app).and_then(|status| status.paused))
    }

    /// Accepts `ADMIN_PASSWORD`, by Basic or Bearer.
    pub(super) fn let_admin_in(&self, head: &Head) -> Result<(), Denied> {
        let password = self.admin.as_ref().ok_or(Denied::Closed)?;
        let shown = auth::basic(&head.headers).or_else(|| auth::bearer(&head.headers));
        if password.is(shown.as_ref()) {
            return Ok(());
        }
        let counted = self.count_wrong_password(head, shown.as_ref());
        Err(counted.map_or_else(Denied::Throttled, |()| Denied::Unauthorized))
    }

    /// The same, for what is only there where there are admins.
    pub(super) fn require_admin_ui(&self, head: &Head) -> Result<&AdminUi, Denied> {
        self.let_admin_in(head)?;
        self.admin_ui.as_ref().ok_or(Denied::Closed)
    }

    /// The order of an admin, who is not a page that has the admin's browser in its hands.
    async fn admin_order<B, T>(&self, head: &Head, body: B) -> Result<T, Denied>
    where
        B: Body<Data = Bytes> + Unpin,
        T: DeserializeOwned,
    {
        self.let_admin_in(head)?;
        if !is_same_origin(&head.headers) {
            return Err(Denied::OtherSite);
        }
        let body = body::read(body, limits::ADMIN_BODY_BYTES_MAX).await.map_err(Denied::Body)?;
        let body: &[u8] = if body.trim_ascii().is_empty() { b"{}" } else { &body };
        serde_json::from_slice(body).map_err(Denied::Json)
    }

    pub(super) fn admin_app(&self, name: Option<&str>) -> Result<Option<AppId>, Denied> {
        name.map(|name| self.app(name).ok_or(Denied::UnknownApp)).transpose()
    }

    pub(super) fn deny(&self, denied: Denied) -> Response<ReplyBody> {
        match denied {
            Denied::Body(error) => self.refuse_body(error),
            // These come before the body is read, so the connection ends with them.
            Denied::Closed => reply::closing(reply::not_found()),
            Denied::HasBody => {
                let text = "a stream is asked for without a body";
                reply::closing(reply::complaint(StatusCode::BAD_REQUEST, text))
            }
            Denied::OtherSite => {
                let text = "asked for by another site's page";
                reply::closing(reply::complaint(StatusCode::FORBIDDEN, text))
            }
            Denied::Throttled(wait) => reply::closing(reply::too_many(wait)),
            Denied::Unauthorized => reply::closing(reply::unauthorized(auth::BASIC_CHALLENGE)),
            Denied::Json(error) => {
                let text = format!("the body is not the JSON expected: {error}");
                reply::complaint(StatusCode::BAD_REQUEST, &text)
            }
            Denied::Query(problem) => reply::complaint(StatusCode::BAD_REQUEST, &problem),
            Denied::Stopping => reply::overloaded(),
            Denied::StoreAway(away) => reply::complaint(StatusCode::SERVICE_UNAVAILABLE, &away.to_string()),
            Denied::UnknownApp => reply::complaint(StatusCode::NOT_FOUND, "unknown app"),
        }
    }
}

/// Browsers keep a Basic password and send it along with every request, so what changes something must come
/// from our own page or from no browser at all (<https://www.w3.org/TR/fetch-metadata/>).
pub(super) fn is_same_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let host = headers.get(HOST).map(http::HeaderValue::as_bytes).unwrap_or_default();
    let origin = origin.as_bytes();
    let after_scheme = memchr::memmem::find(origin, b"://").map(|at| &origin[at + 3..]);
    after_scheme.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

pub(super) fn pause_span(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(span) if !span.is_zero() && span <= limits::PAUSE_MAX => Ok(span),
        Ok(_) => Err(format!("for: {text:?} must be more than 0s and at most 90d")),
        Err(_) => Err(format!("for: {text:?} is not a duration such as 30m, 2h or 1d")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};

    use super::{is_same_origin, pause_span};

    #[test]
    fn another_sites_page_is_not_an_admin() {
        let site = HeaderName::from_static("sec-fetch-site");
        for (sent, expect) in [
            (vec![], true),
            (vec![(&site, "same-origin")], true),
            (vec![(&site, "none")], true),
            (vec![(&site, "cross-site")], false),
            (vec![(&site, "same-site")], false),
            (vec![(&ORIGIN, "https://dyno.example"), (&HOST, "dyno.example")], true),
            (vec![(&ORIGIN, "http://localhost:8080"), (&HOST, "localhost:8080")], true),
            (vec![(&ORIGIN, "https://evil.example"), (&HOST, "dyno.example")], false),
            (vec![(&ORIGIN, "null"), (&HOST, "dyno.example")], false),
            (vec![(&ORIGIN, "https://evil.example")], false),
        ] {
            let headers: HeaderMap =
                sent.iter().map(|(name, value)| ((*name).clone(), HeaderValue::from_static(value))).collect();
            assert_eq!(is_same_origin(&headers), expect, "{sent:?}");
        }
    }

    #[test]
    fn a_pause_has_an_end() {
        assert_eq!(pause_span("2h"), Ok(Duration::from_secs(7200)));
        for text in ["", "0s", "91d", "soon", "-1h", "99999999999999999999d"] {
            assert!(pause_span(text).is_err_and(|problem| problem.starts_with("for: ")), "{text}");
        }
    }
}
