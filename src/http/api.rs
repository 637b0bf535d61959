//! `/api/v1`: the status page for programs, and pausing restarts.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use hyper::body::Body;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::driver::Stopped;
use crate::http::Service;
use crate::http::client_addr::Head;
use crate::http::denied::{Answered, Denied};
use crate::http::events::{Format, NoStream};
use crate::http::forms::Fields;
use crate::http::origin;
use crate::http::reply::{self, ReplyBody};
use crate::store::history::Filter;
use crate::ui::facts::PauseFacts;
use crate::ui::json::DynosJson;
use dynowarden_core::engine::status::PauseStatus;
use dynowarden_core::ident::AppId;
use dynowarden_core::limits;
use dynowarden_core::record::admin::{Act, Client, Door};
use dynowarden_core::record::view::Word;
use dynowarden_core::time::{earlier, later};

/// The body of `POST /api/v1/pause`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseOrder {
    /// All apps if absent.
    app: Option<String>,
    r#for: String,
    #[serde(default)]
    reason: String,
}

/// The body of `POST /api/v1/resume`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResumeOrder {
    /// All apps if absent.
    app: Option<String>,
}

#[derive(Debug, Serialize)]
struct Paused<'p> {
    app: Option<&'p str>,
    paused: bool,
    #[serde(flatten)]
    pause: Option<PauseFacts>,
}

impl Service {
    /// `GET /api/v1/dynos?app=`.
    pub(super) async fn list_dynos(&self, head: &Head) -> Answered {
        let admin_ui = self.require_admin_ui(head)?;
        let fields = Fields::of_query(head);
        let app = fields.filled("app");
        if app.is_some_and(|app| self.app(app).is_none()) {
            return Err(Denied::UnknownApp);
        }
        Ok(json(&DynosJson::new(&self.facts(admin_ui).await?, app), head))
    }

    /// `GET /api/v1/decisions?app=&dyno=&limit=&cursor=`.
    pub(super) async fn list_decisions(&self, head: &Head) -> Answered {
        self.require_admin_ui(head)?;
        let filter =
            decision_filter(&Fields::of_query(head), self.clock.now().wall).map_err(Denied::Query)?;
        let page = self.store.decisions(&filter).await.map_err(Denied::StoreAway)?;
        Ok(json(&page, head))
    }

    /// `GET /api/v1/events`.
    pub(super) fn stream_events(&self, head: &Head, body: &impl Body) -> Answered {
        let admin_ui = self.require_admin_ui(head)?;
        if !body.is_end_stream() {
            return Err(Denied::HasBody);
        }
        let fields = Fields::of_query(head);
        let format = match fields.value("as") {
            None | Some("json") => Format::Json,
            Some("html") => Format::Html,
            Some(other) => {
                let shown: String = other.chars().take(limits::QUOTED_CHARS_MAX).collect();
                return Err(Denied::Query(format!("as: {shown:?} is neither json nor html")));
            }
        };
        // A browser that reconnects sends the newer id in this header.
        let header = head.headers.get("last-event-id").and_then(|id| id.to_str().ok());
        let last = header.or_else(|| fields.value("seen"));
        match admin_ui.streams.open(format, last) {
            Ok(stream) => {
                let mut response = Response::new(ReplyBody::stream(stream));
                let to = response.headers_mut();
                to.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
                // Some proxies buffer responses unless this header forbids it.
                to.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
                Ok(reply::no_store(response))
            }
            Err(NoStream::Closed) => Err(Denied::Stopping),
            Err(NoStream::Full) => Ok(reply::overloaded()),
        }
    }

    pub(super) async fn pause<B>(&self, head: &Head, body: B) -> Answered
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let order: PauseOrder = self.admin_order(head, body).await?;
        let by = self.client(head, Door::Api);
        let pause = self.pause_app(by, order.app.as_deref(), &order.r#for, &order.reason).await?;
        Ok(paused(order.app.as_deref(), Some(pause)))
    }

    pub(super) async fn resume<B>(&self, head: &Head, body: B) -> Answered
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let order: ResumeOrder = self.admin_order(head, body).await?;
        // A pause of all apps still holds after that of one has ended.
        let by = self.client(head, Door::Api);
        let remaining = match self.resume_app(by, order.app.as_deref()).await? {
            Some(app) => self.pause_of(app).await?,
            None => None,
        };
        Ok(paused(order.app.as_deref(), remaining))
    }

    /// Pauses one app or all.
    pub(super) async fn pause_app(
        &self,
        by: Client,
        name: Option<&str>,
        span: &str,
        reason: &str,
    ) -> Result<PauseStatus, Denied> {
        let app = self.app_or_all(name)?;
        let until = later(self.clock.now().wall, pause_span(span).map_err(Denied::Query)?);
        let reason: String = reason.chars().take(limits::PAUSE_REASON_CHARS_MAX).collect();
        let reason: Arc<str> = reason.into();
        let pause = PauseStatus { until, reason: reason.clone(), by: Some(by.to_string().into()) };
        self.handle.pause(app, pause.clone()).await?;
        self.audit(by, app, Act::Pause { until, reason }).await;
        Ok(pause)
    }

    /// Resumes one app or all.
    pub(super) async fn resume_app(&self, by: Client, name: Option<&str>) -> Result<Option<AppId>, Denied> {
        let app = self.app_or_all(name)?;
        self.handle.resume(app).await?;
        self.audit(by, app, Act::Resume).await;
        Ok(app)
    }

    async fn pause_of(&self, app: AppId) -> Result<Option<PauseStatus>, Stopped> {
        let status = self.handle.status().await?;
        Ok(status.into_iter().find(|status| status.app == app).and_then(|status| status.paused))
    }

    async fn admin_order<B, T>(&self, head: &Head, body: B) -> Result<T, Denied>
    where
        B: Body<Data = Bytes> + Unpin,
        T: DeserializeOwned,
    {
        self.require_admin(head)?;
        if !origin::is_json(&head.headers) {
            return Err(Denied::NotJson);
        }
        let body = self.read_admin_body(head, body).await?;
        let body: &[u8] = if body.trim_ascii().is_empty() { b"{}" } else { &body };
        serde_json::from_slice(body).map_err(Denied::Json)
    }

    fn app_or_all(&self, name: Option<&str>) -> Result<Option<AppId>, Denied> {
        name.map(|name| self.app(name).ok_or(Denied::UnknownApp)).transpose()
    }
}

fn paused(app: Option<&str>, pause: Option<PauseStatus>) -> Response<ReplyBody> {
    let pause = pause.map(PauseFacts::from);
    let answer = Paused { app, paused: pause.is_some(), pause };
    reply::no_store(reply::json(StatusCode::OK, &answer))
}

fn pause_span(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(span) if !span.is_zero() && span <= limits::PAUSE_MAX => Ok(span),
        Ok(_) => Err(format!("for: {text:?} must be more than 0s and at most 90d")),
        Err(_) => Err(format!("for: {text:?} is not a duration such as 30m, 2h or 1d")),
    }
}

fn json(value: &impl Serialize, head: &Head) -> Response<ReplyBody> {
    let body = serde_json::to_vec(value).expect("our own types can be written as JSON");
    reply::no_store(reply::compressed(StatusCode::OK, "application/json", body.into(), &head.headers))
}

/// Reads what a query selects: for the JSON API, and for the page of all decisions.
pub(super) fn decision_filter(fields: &Fields, now: Timestamp) -> Result<Filter, String> {
    let (usual, most) = (limits::DECISIONS_ANSWERED, limits::PAGE_ROWS_MAX);
    let limit = field::<u64>(fields, "limit", "a number")?
        .map_or(usual, |limit| u32::try_from(limit).unwrap_or(most).min(most));
    if limit == 0 {
        return Err(format!("limit: 0 is not from 1 to {most}"));
    }
    Ok(Filter {
        app: field(fields, "app", "the name of an app")?,
        dyno: field(fields, "dyno", "the name of a dyno, such as web.2")?,
        kind: kind(fields)?,
        only_news: false,
        code: code(fields)?,
        since: since(fields, now)?,
        before: field(fields, "cursor", "the `next` of the previous page")?,
        limit,
    })
}

fn kind(fields: &Fields) -> Result<Option<Word>, String> {
    match fields.filled("kind") {
        None => Ok(None),
        Some("restart") => Ok(Some(Word::Restart)),
        Some("hold") => Ok(Some(Word::Hold)),
        Some("notify") => Ok(Some(Word::Notify)),
        Some(other) => Err(format!("kind: {:?} is not restart, hold or notify", shortened(other))),
    }
}

/// A word such as `cooling_down`; one that no decision has selects nothing.
fn code(fields: &Fields) -> Result<Option<String>, String> {
    let Some(text) = fields.filled("code") else { return Ok(None) };
    let is_word = text.len() <= limits::NAME_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if is_word {
        Ok(Some(text.to_owned()))
    } else {
        Err(format!("code: {:?} is not the code of a reason, such as cooling_down", shortened(text)))
    }
}

/// A span of time before now, or a time.
fn since(fields: &Fields, now: Timestamp) -> Result<Option<Timestamp>, String> {
    let Some(text) = fields.filled("since") else { return Ok(None) };
    let span = humantime::parse_duration(text).ok().map(|span| earlier(now, span));
    let at = span.or_else(|| text.parse().ok());
    at.map(Some)
        .ok_or_else(|| format!("since: {:?} is not a duration such as 24h, or a time", shortened(text)))
}

fn shortened(text: &str) -> String {
    text.chars().take(limits::QUOTED_CHARS_MAX).collect()
}

fn field<T: FromStr>(fields: &Fields, name: &str, allowed: &str) -> Result<Option<T>, String> {
    let Some(text) = fields.filled(name) else { return Ok(None) };
    let shown: String = text.chars().take(limits::QUOTED_CHARS_MAX).collect();
    text.parse().map(Some).map_err(|_| format!("{name}: {shown:?} is not {allowed}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{decision_filter, pause_span};
    use crate::http::forms::Fields;

    #[test]
    fn queries_are_parsed_before_the_store_is_read() {
        let cursor = "11-0123456789abcdef";
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().expect("a time");
        for (query, expect) in [
            ("", Ok((100, None))),
            ("limit=5&cursor=11-0123456789abcdef&dyno=web.2&app=acme", Ok((5, Some(cursor)))),
            ("limit=999999999999", Ok((1000, None))),
            ("limit=0", Err("limit: 0 is not from 1 to 1000")),
            ("limit=-1", Err("limit: \"-1\" is not a number")),
            ("cursor=x", Err("cursor: \"x\" is not the `next` of the previous page")),
            ("dyno=2", Err("dyno: \"2\" is not the name of a dyno, such as web.2")),
            ("app=%22", Err("app: \"\\\"\" is not the name of an app")),
            ("kind=hold&code=cooling_down&since=24h", Ok((100, None))),
            ("kind=left", Err("kind: \"left\" is not restart, hold or notify")),
            ("code=a%20b", Err("code: \"a b\" is not the code of a reason, such as cooling_down")),
            ("since=soon", Err("since: \"soon\" is not a duration such as 24h, or a time")),
        ] {
            let read = decision_filter(&Fields::read(query.as_bytes()), now);
            assert_eq!(
                read.map(|filter| (filter.limit, filter.before.map(|before| before.to_string()))),
                expect.map(|(limit, before)| (limit, before.map(str::to_owned))).map_err(str::to_owned),
                "{query}"
            );
        }
    }

    #[test]
    fn a_span_of_time_ends_now() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().expect("a time");
        let since =
            |query: &str| decision_filter(&Fields::read(query.as_bytes()), now).map(|filter| filter.since);
        let at = |text: &str| Ok(Some(text.parse().expect("a time")));
        assert_eq!(since("since=24h"), at("2026-02-28T12:00:00Z"));
        assert_eq!(since("since=2026-03-01T00:00:00Z"), at("2026-03-01T00:00:00Z"));
        assert_eq!(since(""), Ok(None));
    }

    #[test]
    fn a_pause_has_a_valid_duration() {
        assert_eq!(pause_span("2h"), Ok(Duration::from_secs(7200)));
        for text in ["", "0s", "91d", "soon", "-1h", "99999999999999999999d"] {
            assert!(pause_span(text).is_err_and(|problem| problem.starts_with("for: ")), "{text}");
        }
    }
}
