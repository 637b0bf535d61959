//! `POST /oauth/authorizations`: new tokens, each with the rights of its scopes (heroku.md §5).

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::resource::time_text;
use crate::rng::Chance;
use crate::routes::Answer;

/// The one scope that `body` asks for; none if it asks for another number of them.
pub(crate) fn scope(body: &Value) -> Option<&str> {
    match body.get("scope").map(Value::as_array) {
        None => Some("global"),
        Some(Some(names)) if names.len() == 1 => names[0].as_str(),
        Some(_) => None,
    }
}

/// Creates a token of a scope: the token and the answer.
pub(crate) fn create(scope: &str, body: &Value, chance: &mut Chance, now: Timestamp) -> (String, Answer) {
    let (id, token, at) = (chance.uuid(), format!("HRKU-{}", chance.uuid()), time_text(now));
    let body = json!({
        "access_token": { "expires_in": null, "id": chance.uuid(), "token": token },
        "client": null,
        "created_at": at,
        "description": body.get("description"),
        "id": id,
        "scope": [scope],
        "updated_at": at,
    });
    (token, Answer { body, next: None, status: StatusCode::CREATED })
}
