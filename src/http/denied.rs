//! Refusals, as typed reasons and as responses.

use std::time::Duration;

use http::{Response, StatusCode};
use hyper::body::Body;

use crate::driver::Stopped;
use crate::http::Service;
use crate::http::body::BodyError;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, ReplyBody};
use crate::store::error::StoreAway;

/// Why an admin's request is not carried out.
#[derive(Debug)]
pub(super) enum Denied {
    Body(BodyError),
    /// There is no `ADMIN_PASSWORD`.
    Closed,
    /// A stream with an unread body cannot notice that its client has disconnected.
    HasBody,
    Json(serde_json::Error),
    NotJson,
    OtherSite,
    /// An invalid field of a form, of the query or of a pause.
    Query(String),
    Stopping,
    StoreAway(StoreAway),
    /// Too many wrong passwords; the next one is answered as usual after this time.
    Throttled(Duration),
    Unauthorized,
    UnknownApp,
}

/// The response to a request, or why it is denied.
pub(super) type Answered = Result<Response<ReplyBody>, Denied>;

impl From<Stopped> for Denied {
    fn from(Stopped: Stopped) -> Self {
        Self::Stopping
    }
}

impl Service {
    pub(super) fn deny(&self, denied: Denied) -> Response<ReplyBody> {
        match denied {
            Denied::Body(error) => self.refuse_body(error),
            // The body is unread after these, so the connection is closed.
            Denied::Closed => reply::closing(reply::not_found()),
            Denied::HasBody => {
                reply::closing(reply::json_error(StatusCode::BAD_REQUEST, "an event stream takes no body"))
            }
            Denied::NotJson => reply::closing(reply::json_error(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must have the Content-Type application/json",
            )),
            Denied::OtherSite => reply::closing(reply::json_error(
                StatusCode::FORBIDDEN,
                "the request comes from another site's page",
            )),
            Denied::Throttled(wait) => reply::closing(reply::too_many_wrong_passwords(wait)),
            Denied::Unauthorized => reply::closing(reply::unauthorized(reply::BASIC_CHALLENGE)),
            Denied::Json(error) => {
                let text = format!("invalid JSON body: {error}");
                reply::json_error(StatusCode::BAD_REQUEST, &text)
            }
            Denied::Query(problem) => reply::json_error(StatusCode::BAD_REQUEST, &problem),
            Denied::Stopping => reply::overloaded(),
            Denied::StoreAway(away) => reply::json_error(StatusCode::SERVICE_UNAVAILABLE, &away.to_string()),
            Denied::UnknownApp => reply::json_error(StatusCode::NOT_FOUND, "unknown app"),
        }
    }

    /// Closes the connection, because the client may still be sending the body.
    pub(super) fn refuse_body(&self, error: BodyError) -> Response<ReplyBody> {
        let (status, refusal) = match error {
            BodyError::Broken => (StatusCode::BAD_REQUEST, None),
            BodyError::NoRoom => {
                self.metrics.refused(Refusal::BodiesFull);
                return reply::closing(reply::overloaded());
            }
            BodyError::NoTurn => {
                self.metrics.refused(Refusal::NoTurn);
                return reply::closing(reply::overloaded());
            }
            BodyError::Slow => (StatusCode::REQUEST_TIMEOUT, Some(Refusal::BodySlow)),
            BodyError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Some(Refusal::TooLarge)),
        };
        refusal.into_iter().for_each(|refusal| self.metrics.refused(refusal));
        reply::closing(reply::text(status, format!("{error}\n")))
    }
}

/// A rejection before the body was read; it closes the connection unless there is no body.
pub(super) fn refuse_unread(body: &impl Body, refusal: Response<ReplyBody>) -> Response<ReplyBody> {
    if body.is_end_stream() { refusal } else { reply::closing(refusal) }
}
