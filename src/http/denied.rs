//! Reasons to refuse an admin's request.

use std::time::Duration;

use crate::http::body::BodyError;
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
