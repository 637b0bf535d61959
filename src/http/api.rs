//! `GET /api/v1/dynos`, `/decisions` and `/events`: the status page for programs.

use std::str::FromStr;

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use hyper::body::Body;
use serde::Serialize;

use crate::http::Service;
use crate::http::caller::Head;
use crate::http::denied::Denied;
use crate::http::forms::Fields;
use crate::http::live::{Form, NoStream};
use crate::http::pages::packable;
use crate::http::reply::{self, ReplyBody};
use crate::store::history::Filter;
use crate::ui::json::DynosJson;
use dynowarden_core::limits;

impl Service {
    /// `GET /api/v1/dynos?app=`.
    pub(super) async fn list_dynos(&self, head: &Head) -> Result<Response<ReplyBody>, Denied> {
        let admin_ui = self.require_admin_ui(head)?;
        let fields = query(head);
        let app = fields.filled("app");
        if app.is_some_and(|app| self.app(app).is_none()) {
            return Err(Denied::UnknownApp);
        }
        Ok(json(&DynosJson::new(&self.facts(admin_ui).await?, app), head))
    }

    /// `GET /api/v1/decisions?app=&dyno=&limit=&cursor=`.
    pub(super) async fn list_decisions(&self, head: &Head) -> Result<Response<ReplyBody>, Denied> {
        self.require_admin_ui(head)?;
        let filter = wanted(&query(head)).map_err(Denied::Query)?;
        let page = self.store.decisions(&filter).await.map_err(Denied::StoreAway)?;
        Ok(json(&page, head))
    }

    /// `GET /api/v1/events`.
    pub(super) fn stream_events(&self, head: &Head, body: &impl Body) -> Result<Response<ReplyBody>, Denied> {
        let admin_ui = self.require_admin_ui(head)?;
        if !body.is_end_stream() {
            return Err(Denied::HasBody);
        }
        let fields = query(head);
        let form = match fields.value("as") {
            None | Some("json") => Form::Json,
            Some("html") => Form::Html,
            Some(other) => {
                let shown: String = other.chars().take(limits::QUOTED_CHARS_MAX).collect();
                return Err(Denied::Query(format!("as: {shown:?} is neither json nor html")));
            }
        };
        // A browser that comes again by itself says so in a header, which is newer than the address.
        let header = head.headers.get("last-event-id").and_then(|id| id.to_str().ok());
        let last = header.or_else(|| fields.value("seen"));
        match admin_ui.streams.open(form, last) {
            Ok(stream) => {
                let mut response = Response::new(ReplyBody::stream(stream));
                let to = response.headers_mut();
                to.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
                // Some proxies hold answers back to pack them together.
                to.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
                Ok(reply::private(response))
            }
            Err(NoStream::Closed) => Err(Denied::Stopping),
            Err(NoStream::Full) => Ok(reply::overloaded()),
        }
    }
}

fn query(head: &Head) -> Fields {
    Fields::read(head.uri.query().unwrap_or_default().as_bytes())
}

fn json(value: &impl Serialize, head: &Head) -> Response<ReplyBody> {
    match serde_json::to_vec(value) {
        Ok(body) => reply::private(packable(StatusCode::OK, "application/json", body.into(), &head.headers)),
        Err(_) => reply::text(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written as JSON\n"),
    }
}

fn wanted(fields: &Fields) -> Result<Filter, String> {
    let (usual, most) = (limits::DECISIONS_ANSWERED, limits::PAGE_ROWS_MAX);
    let limit = field::<u64>(fields, "limit", "a number")?
        .map_or(usual, |limit| u32::try_from(limit).unwrap_or(most).min(most));
    if limit == 0 {
        return Err(format!("limit: 0 is not from 1 to {most}"));
    }
    Ok(Filter {
        app: field(fields, "app", "the name of an app")?,
        dyno: field(fields, "dyno", "the name of a dyno, such as web.2")?,
        before: field(fields, "cursor", "the `next` of the page before")?,
        limit,
    })
}

fn field<T: FromStr>(fields: &Fields, name: &str, allowed: &str) -> Result<Option<T>, String> {
    let Some(text) = fields.filled(name) else { return Ok(None) };
    let shown: String = text.chars().take(limits::QUOTED_CHARS_MAX).collect();
    text.parse().map(Some).map_err(|_| format!("{name}: {shown:?} is not {allowed}"))
}

#[cfg(test)]
mod tests {
    use super::wanted;
    use crate::http::forms::Fields;

    #[test]
    fn what_is_wanted_is_parsed_before_the_store_is_asked() {
        let cursor = "11-0123456789abcdef";
        for (query, expect) in [
            ("", Ok((100, None))),
            ("limit=5&cursor=11-0123456789abcdef&dyno=web.2&app=acme", Ok((5, Some(cursor)))),
            ("limit=999999999999", Ok((1000, None))),
            ("limit=0", Err("limit: 0 is not from 1 to 1000")),
            ("limit=-1", Err("limit: \"-1\" is not a number")),
            ("cursor=x", Err("cursor: \"x\" is not the `next` of the page before")),
            ("dyno=2", Err("dyno: \"2\" is not the name of a dyno, such as web.2")),
            ("app=%22", Err("app: \"\\\"\" is not the name of an app")),
        ] {
            let read = wanted(&Fields::read(query.as_bytes()));
            assert_eq!(
                read.map(|filter| (filter.limit, filter.before.map(|before| before.to_string()))),
                expect.map(|(limit, before)| (limit, before.map(str::to_owned))).map_err(str::to_owned),
                "{query}"
            );
        }
    }
}
