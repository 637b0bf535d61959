//! Responses, and the body type that all of them share.

use std::convert::Infallible;
use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, RETRY_AFTER, STRICT_TRANSPORT_SECURITY, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Frame, SizeHint};
use serde::Serialize;

use crate::http::connection_state::InFlight;
use dynowarden_core::limits;

/// The challenge of the drain and admin routes.
pub const BASIC_CHALLENGE: &str = r#"Basic realm="dynowarden", charset="UTF-8""#;

/// The challenge of the hook.
pub const BEARER_CHALLENGE: &str = r#"Bearer realm="dynowarden""#;

/// The body of a response. While it is alive, its request is in flight.
#[derive(Debug)]
pub struct ReplyBody {
    inner: UnsyncBoxBody<Bytes, Infallible>,
    in_flight: Option<InFlight>,
}

impl ReplyBody {
    pub fn stream(body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static) -> Self {
        Self { inner: body.boxed_unsync(), in_flight: None }
    }

    pub(super) fn hold(&mut self, in_flight: InFlight) {
        self.in_flight = Some(in_flight);
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

pub fn empty(status: StatusCode) -> Response<ReplyBody> {
    with_body(status, ReplyBody::stream(Empty::new()))
}

pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<ReplyBody> {
    typed(status, "text/plain; charset=utf-8", text.into())
}

pub fn typed(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<ReplyBody> {
    let mut response = with_body(status, ReplyBody::stream(Full::new(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub fn json(status: StatusCode, value: &impl Serialize) -> Response<ReplyBody> {
    let mut body = serde_json::to_vec(value).expect("our own types can be written as JSON");
    body.push(b'\n');
    typed(status, "application/json", body.into())
}

/// An error of the JSON API.
pub fn json_error(status: StatusCode, error: &str) -> Response<ReplyBody> {
    #[derive(Serialize)]
    struct JsonError<'e> {
        error: &'e str,
    }
    json(status, &JsonError { error })
}

pub fn not_found() -> Response<ReplyBody> {
    text(StatusCode::NOT_FOUND, "not found\n")
}

pub fn unauthorized(challenge: &'static str) -> Response<ReplyBody> {
    let mut response = text(StatusCode::UNAUTHORIZED, "unauthorized\n");
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

pub fn method_not_allowed(allow: &'static str) -> Response<ReplyBody> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// 503, with `Retry-After`.
pub fn overloaded() -> Response<ReplyBody> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "overloaded\n");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(limits::RETRY_AFTER.as_secs()));
    response
}

/// 429, delayed. After `wait` the next wrong password is answered as usual.
pub fn too_many_wrong_passwords(wait: Duration) -> Response<ReplyBody> {
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, "too many wrong passwords\n");
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    delayed(response)
}

/// Delays a response by [`limits::WRONG_PASSWORD_HOLD`].
pub fn delayed(mut response: Response<ReplyBody>) -> Response<ReplyBody> {
    response.extensions_mut().insert(Delayed);
    response
}

pub fn is_delayed(response: &Response<ReplyBody>) -> bool {
    response.extensions().get::<Delayed>().is_some()
}

#[derive(Clone, Copy, Debug)]
struct Delayed;

/// Closes the connection after the response, without reading the rest of the request.
pub fn closing(mut response: Response<ReplyBody>) -> Response<ReplyBody> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Forbids caching.
pub fn no_store(mut response: Response<ReplyBody>) -> Response<ReplyBody> {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Adds what every response needs in a browser: it neither guesses its type nor shows it to another site, and
/// comes back over TLS if this is TLS.
pub fn protect(response: &mut Response<ReplyBody>, is_tls: bool) {
    let to = response.headers_mut();
    to.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    to.insert(CORP.clone(), HeaderValue::from_static("same-origin"));
    if is_tls {
        to.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

static CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// 400: HTTP/1.1 requires a `Host` (RFC 9112, 3.2).
pub fn no_host() -> Response<ReplyBody> {
    closing(text(StatusCode::BAD_REQUEST, "the request has no Host\n"))
}

fn with_body(status: StatusCode, body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// Compresses a response if the client supports it and it saves a packet.
pub fn compressed(
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
    headers: &HeaderMap,
) -> Response<ReplyBody> {
    let is_gzip = accepts_gzip(headers) && body.len() >= GZIP_BYTES_MIN;
    let body = if is_gzip { gzip(&body, Compression::new(4)) } else { body };
    let mut response = typed(status, content_type, body);
    let to = response.headers_mut();
    to.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if is_gzip {
        to.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// A smaller body fits one packet anyway.
const GZIP_BYTES_MIN: usize = 1400;

/// Whether gzip is listed with a weight other than zero.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
            name.trim().eq_ignore_ascii_case("gzip") && !refused
        })
    })
}

pub fn gzip(body: &[u8], level: Compression) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), level);
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("writing to a vector cannot fail").into()
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};

    use super::accepts_gzip;

    #[test]
    fn gzip_needs_a_weight_above_zero() {
        for (sent, expect) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.8", true),
            ("gzip;q=0", false),
            ("gzip;q=0.0, br", false),
            ("identity", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(sent))]);
            assert_eq!(accepts_gzip(&headers), expect, "{sent}");
        }
    }
}
