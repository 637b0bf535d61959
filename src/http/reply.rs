//! Answers, and the body type that all of them share.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Frame, SizeHint};
use serde::Serialize;

use crate::http::connection_state::InFlight;
use dynowarden_core::limits;

/// The body of an answer. While it is alive its request counts as being answered.
#[derive(Debug)]
pub struct ReplyBody {
    inner: UnsyncBoxBody<Bytes, Infallible>,
    in_flight: Option<InFlight>,
}

impl ReplyBody {
    /// A body that comes piece by piece, such as server-sent events.
    pub fn stream(body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static) -> Self {
        Self { inner: body.boxed_unsync(), in_flight: None }
    }

    /// Ties the body to the connection that it goes out on.
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

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response<ReplyBody> {
    with_body(status, ReplyBody::stream(Empty::new()))
}

/// An answer in plain text.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<ReplyBody> {
    typed(status, "text/plain; charset=utf-8", text.into())
}

/// An answer of a given content type.
pub fn typed(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<ReplyBody> {
    let mut response = with_body(status, ReplyBody::stream(Full::new(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An answer in JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response<ReplyBody> {
    // Our own answers are structs of strings and numbers, which always can be written; should one ever
    // not be, the client is told so rather than sent half an object.
    match serde_json::to_vec(value) {
        Ok(mut body) => {
            body.push(b'\n');
            typed(status, "application/json", body.into())
        }
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written as JSON\n"),
    }
}

/// What a caller of the JSON API did wrong.
pub fn complaint(status: StatusCode, error: &str) -> Response<ReplyBody> {
    #[derive(Serialize)]
    struct Complaint<'e> {
        error: &'e str,
    }
    json(status, &Complaint { error })
}

/// 404: no such route, or one that is closed.
pub fn not_found() -> Response<ReplyBody> {
    text(StatusCode::NOT_FOUND, "not found\n")
}

/// 401, with the scheme that is asked for.
pub fn unauthorized(challenge: &'static str) -> Response<ReplyBody> {
    let mut response = text(StatusCode::UNAUTHORIZED, "unauthorized\n");
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

/// 405, with the methods that there are.
pub fn method_not_allowed(allow: &'static str) -> Response<ReplyBody> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// 503: come again.
pub fn overloaded() -> Response<ReplyBody> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "overloaded\n");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(limits::RETRY_AFTER.as_secs()));
    response
}

/// 429, held back: too many wrong passwords; the next one is answered as usual after `wait`.
pub fn too_many(wait: Duration) -> Response<ReplyBody> {
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, "too many wrong passwords\n");
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    held(response)
}

/// The same answer, which goes out after [`limits::WRONG_PASSWORD_HOLD`] only.
pub fn held(mut response: Response<ReplyBody>) -> Response<ReplyBody> {
    response.extensions_mut().insert(Delayed);
    response
}

/// Whether the answer is to be held back.
pub fn is_delayed(response: &Response<ReplyBody>) -> bool {
    response.extensions().get::<Delayed>().is_some()
}

/// Marks an answer that is held back.
#[derive(Clone, Copy, Debug)]
struct Delayed;

/// The same answer, after which the connection is closed: what the client still sends is not read.
pub fn closing(mut response: Response<ReplyBody>) -> Response<ReplyBody> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The same response, with caching forbidden.
pub fn private(mut response: Response<ReplyBody>) -> Response<ReplyBody> {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn with_body(status: StatusCode, body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
