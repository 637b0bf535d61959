//! Reasons to refuse an admin's request.

use std::time::Duration;

use http::{Response, StatusCode};
use hyper::body::Body;

use crate::http::Service;
use crate::http::body::BodyError;
use crate::http::reply::{self, ReplyBody};
use crate::metrics::Refusal;
use crate::store::error::StoreAway;

/// Why an admin's request is not carried out.
#[derive(Debug)]
pub(super) enum Denied {
    Body(BodyError),
    /// There is no `ADMIN_PASSWORD`, so there are no admins.
    Closed,
    /// While a body is unread, nobody sees its sender hang up; a stream would outlive its reader.
    HasBody,
    Json(serde_json::Error),
    OtherSite,
    /// A field of a form or of the query, or the span of a pause.
    Query(String),
    Stopping,
    StoreAway(StoreAway),
    /// One wrong password too many; after so long the next is not.
    Throttled(Duration),
    Unauthorized,
    UnknownApp,
}

impl Service {
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
            Denied::Unauthorized => reply::closing(reply::unauthorized(reply::BASIC_CHALLENGE)),
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

    /// Closes the connection, because the client may still be sending the body.
    pub(super) fn refuse_body(&self, error: BodyError) -> Response<ReplyBody> {
        reply::closing(match error {
            BodyError::Broken => reply::text(StatusCode::BAD_REQUEST, "the body broke off\n"),
            BodyError::Slow => {
                self.metrics.refused(Refusal::BodySlow);
                reply::text(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time\n")
            }
            BodyError::TooLarge => {
                self.metrics.refused(Refusal::TooLarge);
                reply::text(StatusCode::PAYLOAD_TOO_LARGE, "the body is over the limit\n")
            }
        })
    }
}

/// A rejection before the body was read; it closes the connection unless there is no body.
pub(super) fn refuse_unread(body: &impl Body, refusal: Response<ReplyBody>) -> Response<ReplyBody> {
    if body.is_end_stream() { refusal } else { reply::closing(refusal) }
}
