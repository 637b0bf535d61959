//! The meaning of a response's status and body.
//!
//! Only the API's own error proves anything: JSON with an `id` that fits the status, and a `message`. What a
//! proxy, a captive portal or another server answers with a 3xx or 4xx is garbled.

use std::time::Duration;

use crate::api::json::{self, ApiMessage};
use crate::api::{ApiError, DeleteResult};

/// A response that is not a 2xx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    Error(ApiError),
    /// The API's own 404.
    NotFound,
}

impl Failure {
    /// Reads a response that is not a 2xx; `wait` is its `Retry-After`.
    pub fn of(status: u16, body: &[u8], wait: Option<Duration>) -> Self {
        let word = own_word(status, body);
        Self::Error(match (status, word) {
            (404, Some(_)) => return Self::NotFound,
            (500..=599 | 408, Some(ApiMessage { message, .. })) => {
                ApiError::Unreachable { what: format!("it answered {status}: {message}") }
            }
            (500..=599 | 408, None) => ApiError::Unreachable { what: format!("it answered {status}") },
            (401, Some(_)) => ApiError::Unauthorized,
            (402 | 403, Some(ApiMessage { id, message })) => ApiError::Forbidden { status, id, message },
            (429, Some(_)) => ApiError::Throttled { wait },
            (_, Some(ApiMessage { id, message })) => ApiError::Refused { status, id, message },
            (_, None) => {
                ApiError::Garbled { what: format!("{status} without the API's own error; {SUSPECTS}") }
            }
        })
    }
}

/// Reads the response to a DELETE. Unless the API itself says that it did not carry it out, it may have.
pub fn deletion(status: u16, body: &[u8], wait: Option<Duration>) -> DeleteResult {
    let is_json = || serde_json::from_slice::<serde_json::Value>(body).is_ok();
    match status {
        200..=299 if body.is_empty() || is_json() => DeleteResult::Accepted,
        _ if own_word(status, body).is_none() => {
            DeleteResult::Lost { what: format!("answered {status} without the API's own JSON; {SUSPECTS}") }
        }
        _ => match Failure::of(status, body, wait) {
            Failure::NotFound => DeleteResult::Gone,
            Failure::Error(error) => DeleteResult::Refused(error),
        },
    }
}

/// What to check when something else than the API answers.
pub(crate) const SUSPECTS: &str = "is HEROKU_API_URL right? is there a proxy?";

/// The API's own error, if the response is one.
fn own_word(status: u16, body: &[u8]) -> Option<ApiMessage> {
    let word = json::error(body).filter(|_| (400..=599).contains(&status))?;
    let is_known = |(known, _): &&(&str, &[u16])| *known == word.id;
    let fits = match STATUSES.iter().find(is_known) {
        Some((_, statuses)) => statuses.contains(&status),
        // Only these ids come with these statuses.
        None => !matches!(status, 401 | 404 | 429),
    };
    fits.then_some(word)
}

/// The statuses that known ids come with (heroku.md §5).
const STATUSES: [(&str, &[u16]); 14] = [
    ("bad_request", &[400]),
    ("conflict", &[409]),
    ("delinquent", &[402, 403]),
    ("forbidden", &[403]),
    ("gone", &[410]),
    ("invalid_params", &[422]),
    ("not_acceptable", &[406]),
    ("not_found", &[404]),
    ("rate_limit", &[429]),
    ("requested_range_not_satisfiable", &[416]),
    ("service_unavailable", &[503]),
    ("suspended", &[402, 403]),
    ("unauthorized", &[401]),
    ("verification_needed", &[402, 403, 422]),
];

#[cfg(test)]
mod tests {
    use super::{Failure, deletion};
    use crate::api::DeleteResult;

    fn own(id: &str) -> String {
        format!(r#"{{"id":"{id}","message":"So it is."}}"#)
    }

    fn label(failure: &Failure) -> &'static str {
        match failure {
            Failure::Error(error) => error.label(),
            Failure::NotFound => "not_found",
        }
    }

    #[test]
    fn only_the_apis_own_error_has_a_meaning() {
        for (status, id, expect) in [
            (400, "bad_request", "refused"),
            (401, "unauthorized", "unauthorized"),
            (402, "delinquent", "forbidden"),
            (403, "forbidden", "forbidden"),
            (403, "suspended", "forbidden"),
            (404, "not_found", "not_found"),
            (406, "not_acceptable", "refused"),
            (409, "conflict", "refused"),
            (422, "invalid_params", "refused"),
            (422, "something_new", "refused"),
            (429, "rate_limit", "throttled"),
            (500, "internal_server_error", "unreachable"),
            (503, "service_unavailable", "unreachable"),
            // The id of another status, or of no API.
            (401, "forbidden", "garbled"),
            (403, "not_found", "garbled"),
            (404, "no_route", "garbled"),
            (404, "unauthorized", "garbled"),
            (302, "not_found", "garbled"),
        ] {
            assert_eq!(label(&Failure::of(status, own(id).as_bytes(), None)), expect, "{status} {id}");
        }
        for status in [301, 302, 307, 400, 401, 402, 403, 404, 406, 407, 409, 410, 422, 429] {
            for body in ["", "<html>Sign in</html>", "{}", "[]", r#"{"id":"not_found"}"#, "not_found"] {
                let failure = Failure::of(status, body.as_bytes(), None);
                assert_eq!(label(&failure), "garbled", "{status} {body}");
                let Failure::Error(error) = failure else { panic!("an error") };
                assert!(error.to_string().contains("is HEROKU_API_URL right? is there a proxy?"), "{error}");
            }
        }
        for status in [408, 500, 502, 503, 504] {
            assert_eq!(label(&Failure::of(status, b"<html>", None)), "unreachable", "{status}");
        }
    }

    #[test]
    fn a_refusal_shows_the_apis_message() {
        for (status, id) in [(402, "delinquent"), (403, "forbidden"), (409, "conflict"), (503, "x")] {
            let Failure::Error(error) = Failure::of(status, own(id).as_bytes(), None) else { panic!("404") };
            assert!(error.to_string().contains("So it is."), "{error}");
        }
    }

    #[test]
    fn a_delete_is_lost_unless_the_api_itself_says_otherwise() {
        for (status, body, expect) in [
            (202, "{}".to_owned(), "accepted"),
            (202, String::new(), "accepted"),
            (200, own("x"), "accepted"),
            (200, "<html>Sign in</html>".to_owned(), "lost"),
            (302, String::new(), "lost"),
            (404, own("not_found"), "gone"),
            (404, String::new(), "lost"),
            (404, "{}".to_owned(), "lost"),
            (403, own("forbidden"), "forbidden"),
            (403, "<html>".to_owned(), "lost"),
            (401, own("unauthorized"), "unauthorized"),
            (407, String::new(), "lost"),
            (409, own("conflict"), "refused"),
            (429, own("rate_limit"), "throttled"),
            (429, "<html>".to_owned(), "lost"),
            (503, own("service_unavailable"), "unreachable"),
            (500, own("anything"), "unreachable"),
            (502, "<html>".to_owned(), "lost"),
            (504, String::new(), "lost"),
        ] {
            let result = deletion(status, body.as_bytes(), None);
            let word = match &result {
                DeleteResult::Accepted => "accepted",
                DeleteResult::Gone => "gone",
                DeleteResult::Lost { .. } => "lost",
                DeleteResult::Refused(error) => error.label(),
            };
            assert_eq!(word, expect, "{status} {body}: {result:?}");
        }
    }
}
