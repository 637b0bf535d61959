//! `POST /oauth/authorizations`: new tokens, each with the rights of its scopes (heroku.md §5).

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::platform::Rights;
use crate::resource::time_text;
use crate::rng::Chance;
use crate::routes::{Answer, Refusal};

/// Creates a token of the scopes that `body` names: the token, its rights and the answer.
///
/// # Errors
/// A scope that does not exist.
pub(crate) fn create(
    body: &Value,
    chance: &mut Chance,
    now: Timestamp,
) -> Result<(String, Rights, Answer), Refusal> {
    let names = body.get("scope").and_then(Value::as_array);
    let names: Vec<&str> =
        names.map_or(vec!["global"], |names| names.iter().filter_map(Value::as_str).collect());
    let rights = match names.as_slice() {
        ["read"] => Rights::Read,
        ["write"] => Rights::Write,
        ["global"] => Rights::Global,
        _ => return Err(Refusal::new(422)),
    };
    let (id, token, at) = (chance.uuid(), format!("HRKU-{}", chance.uuid()), time_text(now));
    let body = json!({
        "access_token": { "expires_in": null, "id": chance.uuid(), "token": token },
        "client": null,
        "created_at": at,
        "description": body.get("description"),
        "id": id,
        "scope": names,
        "updated_at": at,
    });
    Ok((token, rights, Answer { body, next: None, status: StatusCode::CREATED }))
}
