//! The status page and its assets, over HTTP.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, HeaderMap, HeaderName,
    HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use maud::Markup;
use secrecy::SecretString;

use crate::driver::Stopped;
use crate::http::Service;
use crate::http::caller::Head;
use crate::http::denied::Denied;
use crate::http::forms::{Fields, FormToken};
use crate::http::live::Streams;
use crate::http::reply::{self, ReplyBody};
use crate::http::route::Page;
use crate::status_model::StatusModel;
use crate::store::history::Filter;
use crate::ui::assets::{Asset, Assets};
use crate::ui::dyno::{app_page, dyno_page, problem_page};
use crate::ui::facts::Facts;
use crate::ui::layout::{self, Layout};
use crate::ui::overview::{Overview, decisions_page};
use dynowarden_core::limits;

/// What the routes of the status page need beside the rest of the HTTP server; there is none without an
/// `ADMIN_PASSWORD`.
#[derive(Debug)]
pub struct AdminUi {
    pub(super) status_model: Arc<StatusModel>,
    pub(super) streams: Streams,
    pub(super) token: FormToken,
    assets: Assets,
    /// The style sheet, the script and the icon, packed once.
    packed: Vec<(String, Bytes)>,
}

// === impl AdminUi ===

impl AdminUi {
    /// A desk for the admins who know this password; `life` is a number that no other life of the program
    /// has.
    pub fn new(password: &SecretString, status_model: Arc<StatusModel>, life: u64) -> Self {
        let assets = Assets::embedded();
        let packed = [&assets.icon, &assets.script, &assets.style]
            .into_iter()
            .map(|asset| (asset.path.clone(), pack(asset.content.as_bytes(), Compression::best())))
            .collect();
        Self { assets, status_model, packed, streams: Streams::new(life), token: FormToken::of(password) }
    }

    /// What stands around a page whose maker has seen everything up to `seen`.
    pub(super) fn frame<'f>(&'f self, seen: &'f str) -> Layout<'f> {
        Layout { assets: &self.assets, seen, token: self.token.as_str(), version: env!("CARGO_PKG_VERSION") }
    }

    fn asset(&self, path: &str) -> Option<(&Asset, Bytes)> {
        let asset = self.assets.find(path)?;
        let (_, packed) = self.packed.iter().find(|(name, _)| name == path)?;
        Some((asset, packed.clone()))
    }
}

// === impl Service ===

impl Service {
    /// Everything as it is at this moment.
    pub(super) async fn facts(&self, admin_ui: &AdminUi) -> Result<Facts, Denied> {
        let status = self.handle.status().await.map_err(|Stopped| Denied::Stopping)?;
        let (trouble, warn) = (self.readiness.trouble(), self.readiness.remarks());
        Ok(Facts { trouble, warn, ..admin_ui.status_model.facts(status, self.clock.now()) })
    }

    pub(super) async fn show_page(&self, page: Page<'_>, head: &Head) -> Result<Response<ReplyBody>, Denied> {
        let admin_ui = self.require_admin_ui(head)?;
        // Read before the facts, so that what happens between the two is told again, not missed.
        let seen = admin_ui.streams.seen();
        let frame = admin_ui.frame(&seen);
        let fields = Fields::read(head.uri.query().unwrap_or_default().as_bytes());
        if let Page::Asset(path) = page {
            return Ok(admin_ui
                .asset(path)
                .map_or_else(reply::not_found, |found| asset(found, &head.headers)));
        }
        let mut facts = self.facts(admin_ui).await?;
        let page = match page {
            Page::App(name) => facts.apps.iter().find(|app| app.name.as_str() == name).map(|app| {
                let number = fields.value("page").and_then(|page| page.parse().ok());
                app_page(&frame, &facts, app, number.unwrap_or(NonZeroUsize::MIN))
            }),
            Page::Dyno(app, dyno) => facts
                .each_dyno()
                .find(|(of, known)| of.name.as_str() == app && known.status.name.to_string() == dyno)
                .map(|(app, dyno)| dyno_page(&frame, &facts, app, dyno)),
            Page::Decisions => {
                let before = fields.value("cursor").and_then(|cursor| cursor.parse().ok());
                let filter = Filter { before, limit: limits::DECISIONS_ANSWERED, ..Filter::default() };
                let page = self.store.decisions(&filter).await.map_err(Denied::StoreAway)?;
                facts.decisions = page.decisions.into_iter().map(Arc::new).collect();
                Some(decisions_page(&frame, &facts, page.next.map(|next| next.to_string()).as_deref()))
            }
            Page::Asset(_) => None,
            Page::Overview => Some(Overview::new(&frame, &facts).page(&frame, &facts)),
        };
        let (status, page) = match page {
            Some(page) => (StatusCode::OK, page),
            None => (StatusCode::NOT_FOUND, nothing_there(&frame)),
        };
        Ok(html(status, page, &head.headers))
    }

    /// The page that tells a person what went wrong.
    pub(super) fn show_problem(
        &self,
        admin_ui: &AdminUi,
        status: StatusCode,
        (title, text): (&str, &str),
    ) -> Response<ReplyBody> {
        let seen = admin_ui.streams.seen();
        html(status, problem_page(&admin_ui.frame(&seen), title, text), &HeaderMap::new())
    }
}

fn nothing_there(frame: &Layout<'_>) -> Markup {
    let text = "No app or dyno of that name is watched. It may have been scaled away, or not been heard of \
                since the start.";
    problem_page(frame, "Nothing there", text)
}

/// An answer with a page in it, packed where the browser takes it.
fn html(status: StatusCode, page: Markup, headers: &HeaderMap) -> Response<ReplyBody> {
    let page = page.into_string();
    let mut response = packable(status, "text/html; charset=utf-8", page.into_bytes().into(), headers);
    let to = response.headers_mut();
    to.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(layout::CONTENT_SECURITY_POLICY));
    to.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    to.insert(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY"));
    to.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    reply::private(response)
}

/// An answer that is packed where the client takes it and it is worth it.
pub(super) fn packable(
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
    headers: &HeaderMap,
) -> Response<ReplyBody> {
    let packs = takes_gzip(headers) && body.len() >= PACKED_FROM;
    let body = if packs { pack(&body, Compression::new(4)) } else { body };
    let mut response = reply::typed(status, content_type, body);
    let to = response.headers_mut();
    to.insert(VARY, HeaderValue::from_static("accept-encoding"));
    to.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if packs {
        to.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Bytes from which on packing saves a network packet.
const PACKED_FROM: usize = 1400;

/// An asset, which a browser may keep for ever: its name changes with its content.
fn asset((asset, packed): (&Asset, Bytes), headers: &HeaderMap) -> Response<ReplyBody> {
    let tag = format!("\"{}\"", asset.path.trim_start_matches("/assets/"));
    let known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if known {
        reply::empty(StatusCode::NOT_MODIFIED)
    } else if takes_gzip(headers) {
        let mut response = reply::typed(StatusCode::OK, asset.content_type, packed);
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    } else {
        reply::typed(StatusCode::OK, asset.content_type, Bytes::from_static(asset.content.as_bytes()))
    };
    let to = response.headers_mut();
    to.insert(VARY, HeaderValue::from_static("accept-encoding"));
    to.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    to.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    // The name is made of letters, digits, dots and dashes.
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        to.insert(ETAG, tag);
    }
    response
}

/// Whether gzip is named and not refused with a weight of nought.
fn takes_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
            name.trim().eq_ignore_ascii_case("gzip") && !refused
        })
    })
}

fn pack(body: &[u8], level: Compression) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), level);
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("a vector takes every byte").into()
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};

    use super::takes_gzip;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (sent, expect) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.8", true),
            ("gzip;q=0", false),
            ("gzip;q=0.0, br", false),
            ("identity", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(sent))]);
            assert_eq!(takes_gzip(&headers), expect, "{sent}");
        }
    }
}
