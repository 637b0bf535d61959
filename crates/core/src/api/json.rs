//! Reads the Platform API's JSON into our types. A body without all required fields is rejected as garbled;
//! nothing is guessed (heroku.md §5; the schema is `schema.json` of heroku/platform-api).

use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::api::{DynoInfo, Owner};
use crate::event::DynoState;
use crate::ident::{DrainToken, NameError, ProcessType};
use crate::limits;

/// Why a body was rejected. Messages quote at most a few characters of it.
#[derive(Debug, thiserror::Error)]
pub enum Garbled {
    #[error("{0}")]
    Name(#[from] NameError),
    /// Not JSON, or JSON of another shape.
    #[error("{}", shortened(.0))]
    Shape(#[from] serde_json::Error),
    #[error("{field} is not a time")]
    Time { field: &'static str },
}

/// `GET /apps/{app}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AppInfo {
    /// Stays the same when the app is renamed.
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub maintenance: bool,
    /// `cedar` or `fir`, if present.
    #[serde(default, deserialize_with = "name_of")]
    pub generation: Option<String>,
    #[serde(default, deserialize_with = "name_of")]
    pub space: Option<String>,
    #[serde(default)]
    pub web_url: Option<String>,
}

impl AppInfo {
    /// Whether it is of the Fir generation.
    pub fn is_fir(&self) -> bool {
        self.generation.as_deref() == Some("fir")
    }
}

/// One of `GET /apps/{app}/log-drains`.
#[derive(Clone, Debug)]
pub struct Drain {
    pub id: String,
    /// The `Logplex-Drain-Token` of its batches.
    pub token: DrainToken,
    /// Holds a password.
    pub url: SecretString,
    pub of_addon: bool,
}

/// One of `GET /apps/{app}/formation`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Formation {
    #[serde(rename = "type")]
    pub process_type: String,
    /// The desired number of dynos.
    pub quantity: u32,
    /// Such as `Standard-1X`.
    #[serde(default)]
    pub size: Option<String>,
}

/// One of `GET /apps/{app}/features`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Feature {
    /// Such as `log-runtime-metrics` or `preboot`.
    pub name: String,
    pub enabled: bool,
}

/// `GET /account`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// The owner of the token.
    pub email: String,
}

/// Reads one dyno.
///
/// # Errors
/// Not JSON, or a required field is missing.
pub fn dyno(body: &[u8]) -> Result<DynoInfo, Garbled> {
    serde_json::from_slice::<Object<DynoDto>>(body)?.0.seen()
}

/// Reads the dynos of the `listed` process types from one page of a list. Other dynos are skipped unread:
/// a one-off dyno of an unknown shape must not hide the formation.
///
/// # Errors
/// Not JSON, or a dyno of a listed type lacks a required field.
pub fn dynos(body: &[u8], listed: &[ProcessType]) -> Result<Vec<DynoInfo>, Garbled> {
    let all: Vec<Value> = serde_json::from_slice(body)?;
    let mut seen = Vec::new();
    for entry in all {
        let is_other = match entry.get("type") {
            Some(Value::String(word)) => !listed.iter().any(|listed| listed.as_str() == word),
            // Without a type it could be one of ours.
            _ => false,
        };
        if !is_other {
            seen.push(serde_json::from_value::<Object<DynoDto>>(entry)?.0.seen()?);
        }
    }
    Ok(seen)
}

/// Reads one app.
///
/// # Errors
/// Not JSON, or a required field is missing.
pub fn app(body: &[u8]) -> Result<AppInfo, Garbled> {
    Ok(serde_json::from_slice::<Object<AppInfo>>(body)?.0)
}

/// The app that one resource, or the first of a list, belongs to; none if it does not say so.
pub fn owner(body: &[u8]) -> Option<Owner> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let one = if body.is_array() { body.get(0)? } else { &body };
    let text = |key| Some(one.get("app")?.get(key)?.as_str()?.to_owned());
    Some(Owner { id: text("id")?, name: text("name")? })
}

/// Reads one drain.
///
/// # Errors
/// Not JSON, or a required field is missing.
pub fn drain(body: &[u8]) -> Result<Drain, Garbled> {
    serde_json::from_slice::<Object<DrainDto>>(body)?.0.drain()
}

/// Reads one page of drains.
///
/// # Errors
/// Not JSON, or a drain lacks a required field.
pub fn drains(body: &[u8]) -> Result<Vec<Drain>, Garbled> {
    list::<DrainDto>(body)?.into_iter().map(DrainDto::drain).collect()
}

/// Reads one page of formations.
///
/// # Errors
/// Not JSON, or a formation lacks a required field.
pub fn formation(body: &[u8]) -> Result<Vec<Formation>, Garbled> {
    list(body)
}

/// Reads one page of an app's features.
///
/// # Errors
/// Not JSON, or a feature lacks a required field.
pub fn features(body: &[u8]) -> Result<Vec<Feature>, Garbled> {
    list(body)
}

/// Reads the account.
///
/// # Errors
/// Not JSON, or no email address.
pub fn account(body: &[u8]) -> Result<Account, Garbled> {
    Ok(serde_json::from_slice::<Object<Account>>(body)?.0)
}

fn list<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<Vec<T>, Garbled> {
    let all: Vec<Object<T>> = serde_json::from_slice(body)?;
    Ok(all.into_iter().map(|object| object.0).collect())
}

/// Reads `GET /account/rate-limits`: the calls left.
///
/// # Errors
/// Not JSON, or the number is missing.
pub fn rate_limits(body: &[u8]) -> Result<u32, Garbled> {
    #[derive(Deserialize)]
    struct Dto {
        remaining: u32,
    }
    Ok(serde_json::from_slice::<Object<Dto>>(body)?.0.remaining)
}

/// Reads `GET https://status.heroku.com/api/v4/current-status`: whether the system that runs and restarts
/// dynos is red. The others, such as Data, say nothing about restarts.
///
/// # Errors
/// Not JSON, or JSON of another shape.
pub fn are_apps_red(body: &[u8]) -> Result<bool, Garbled> {
    #[derive(Deserialize)]
    struct Page {
        status: Vec<Object<System>>,
    }
    #[derive(Deserialize)]
    struct System {
        system: String,
        status: String,
    }
    let Object(page) = serde_json::from_slice::<Object<Page>>(body)?;
    Ok(page.status.iter().any(|Object(system)| system.system == "Apps" && system.status == "red"))
}

/// An error in the API's own form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiMessage {
    /// Such as `rate_limit`.
    pub id: String,
    /// A sentence, without control characters and shortened.
    pub message: String,
}

/// Reads an error response; none unless it is in the API's own form.
pub fn error(body: &[u8]) -> Option<ApiMessage> {
    #[derive(Deserialize)]
    struct Dto {
        id: String,
        message: String,
    }
    let Object(Dto { id, message }) = serde_json::from_slice(body).ok()?;
    let is_word = (1..=limits::QUOTED_CHARS_MAX).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let message = message.chars().filter(|c| !c.is_control()).take(ERROR_CHARS_MAX).collect();
    is_word.then_some(ApiMessage { id, message })
}

/// serde quotes unexpected values, which may be long.
fn shortened(error: &serde_json::Error) -> String {
    error.to_string().chars().take(ERROR_CHARS_MAX).collect()
}

const ERROR_CHARS_MAX: usize = 160;

/// A JSON object. serde would also read a struct from a list, by the order of its fields; the API never
/// answers with one.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfObject<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfObject<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(OfObject(PhantomData)).map(Self)
    }
}

#[derive(Deserialize)]
struct DynoDto {
    #[serde(default)]
    attach_url: Option<Value>,
    created_at: String,
    id: String,
    name: String,
    #[serde(default)]
    release: Option<Object<ReleaseDto>>,
    state: String,
    #[serde(rename = "type")]
    process_type: String,
    #[serde(default)]
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct ReleaseDto {
    #[serde(default)]
    version: Option<u64>,
}

#[derive(Deserialize)]
struct NamedDto {
    name: String,
}

fn name_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Object<NamedDto>>::deserialize(deserializer)?.map(|named| named.0.name))
}

#[derive(Deserialize)]
struct DrainDto {
    #[serde(default)]
    addon: Option<Value>,
    id: String,
    token: String,
    url: SecretUrl,
}

/// Keeps a URL's password out of every message from the moment it is read.
#[derive(Deserialize)]
#[serde(from = "String")]
struct SecretUrl(SecretString);

impl From<String> for SecretUrl {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl DynoDto {
    fn seen(self) -> Result<DynoInfo, Garbled> {
        let created_at = time("created_at", &self.created_at)?;
        let updated_at = match &self.updated_at {
            Some(text) => time("updated_at", text)?,
            None => created_at,
        };
        Ok(DynoInfo {
            name: self.name.parse()?,
            is_one_off: self.attach_url.is_some_and(|url| !url.is_null()),
            process_type: self.process_type.parse()?,
            id: self.id.parse()?,
            created_at,
            updated_at,
            state: DynoState::from_word(&self.state),
            release: self.release.and_then(|release| release.0.version),
        })
    }
}

impl DrainDto {
    fn drain(self) -> Result<Drain, Garbled> {
        Ok(Drain {
            id: self.id,
            token: self.token.parse()?,
            url: self.url.0,
            of_addon: self.addon.is_some_and(|addon| !addon.is_null()),
        })
    }
}

fn time(field: &'static str, text: &str) -> Result<Timestamp, Garbled> {
    text.parse().map_err(|_| Garbled::Time { field })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};
    use secrecy::ExposeSecret;
    use serde_json::{Value, json};

    use super::{
        account, app, are_apps_red, drains, dyno, dynos, error, features, formation, owner, rate_limits,
    };
    use crate::event::DynoState;
    use crate::ident::ProcessType;

    /// A dyno as in the API's schema, with our own name and time.
    fn web_1() -> Value {
        json!({
            "attach_url": null,
            "command": "bundle exec puma",
            "created_at": "2026-01-02T03:04:05Z",
            "id": "01234567-89ab-cdef-0123-456789abcdef",
            "name": "web.1",
            "release": {"id": "01234567-89ab-cdef-0123-456789abcdef", "version": 11},
            "app": {"name": "acme", "id": "01234567-89ab-cdef-0123-456789abcdef"},
            "size": "standard-1X",
            "state": "up",
            "type": "web",
            "updated_at": "2026-01-02T03:05:00Z"
        })
    }

    fn with(key: &str, value: Value) -> Vec<u8> {
        let mut dyno = web_1();
        dyno[key] = value;
        dyno.to_string().into_bytes()
    }

    fn without(key: &str) -> Vec<u8> {
        let mut dyno = web_1();
        dyno.as_object_mut().expect("an object").remove(key).expect("a key");
        dyno.to_string().into_bytes()
    }

    #[test]
    fn every_field_of_a_dyno_is_read() {
        let seen = dyno(web_1().to_string().as_bytes()).expect("a dyno");
        assert_eq!(seen.name.to_string(), "web.1");
        assert_eq!(seen.process_type.as_str(), "web");
        assert_eq!(seen.id.as_str(), "01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(seen.created_at.to_string(), "2026-01-02T03:04:05Z");
        assert_eq!(seen.updated_at.to_string(), "2026-01-02T03:05:00Z");
        assert_eq!((seen.state, seen.release), (DynoState::Up, Some(11)));
    }

    #[test]
    fn a_dyno_and_a_list_name_their_app() {
        let owner =
            |body: Value| owner(body.to_string().as_bytes()).map(|owner| (owner.name, owner.id.len()));
        let acme = Some(("acme".to_owned(), 36));
        assert_eq!((owner(web_1()), owner(json!([web_1(), {}]))), (acme.clone(), acme));
        for body in [json!([]), json!({}), json!({"app": "acme"}), json!({"app": {"name": "acme"}}), json!(7)]
        {
            assert_eq!(owner(body.clone()), None, "{body}");
        }
    }

    #[test]
    fn an_attach_url_marks_a_one_off_dyno() {
        let url = json!("rendezvous://rendezvous.runtime.heroku.com:5000/s3cret");
        for (body, expect) in [
            (with("attach_url", url), true),
            (with("attach_url", Value::Null), false),
            (without("attach_url"), false),
        ] {
            assert_eq!(dyno(&body).expect("a dyno").is_one_off, expect);
        }
    }

    #[test]
    fn missing_optional_fields_have_a_meaning() {
        let seen = dyno(&without("updated_at")).expect("a dyno");
        assert_eq!(seen.updated_at, seen.created_at);
        let whole = dyno(&with("state", json!("up"))).expect("a dyno");
        assert!(whole.is_same_process(&seen) && seen.is_same_process(&whole));
        let later = dyno(&with("updated_at", json!("2026-01-02T03:06:00Z"))).expect("a dyno");
        assert!(!whole.is_same_process(&later));
        for body in [without("release"), with("release", Value::Null), with("release", json!({}))] {
            assert_eq!(dyno(&body).expect("a dyno").release, None);
        }
        assert_eq!(dyno(&with("state", json!("hovering"))).expect("a dyno").state, DynoState::Other);
    }

    #[test]
    fn missing_required_fields_are_rejected() {
        for key in ["created_at", "id", "name", "state", "type"] {
            let error = dyno(&without(key)).expect_err(key).to_string();
            assert!(error.contains(key), "{error}");
            assert!(dyno(&with(key, Value::Null)).is_err(), "{key}");
        }
        for (key, value) in [
            ("name", json!("web-1234abcde-123ab")),
            ("name", json!("../account")),
            ("type", json!("")),
            ("id", json!("")),
            ("created_at", json!("yesterday")),
            ("updated_at", json!("2026-01-02")),
            ("release", json!({"version": -1})),
        ] {
            assert!(dyno(&with(key, value.clone())).is_err(), "{key} {value}");
        }
        for body in ["", "<html>Bad gateway</html>", "null", "[]", "{}", "\"web.1\"", "{\"name\":"] {
            let error = dyno(body.as_bytes()).expect_err(body).to_string();
            assert!(error.chars().count() <= 160, "{error}");
        }
    }

    #[test]
    fn a_list_of_fields_is_rejected() {
        let fields = r#"["2026-01-02T03:04:05Z","0123","web.1",null,"up","web",null]"#;
        assert!(dyno(fields.as_bytes()).is_err() && dynos(format!("[{fields}]").as_bytes(), &[]).is_err());
        assert!(dyno(&with("release", json!([11]))).is_err());
        assert!(rate_limits(b"[2399]").is_err() && account(br#"["ops@example.com"]"#).is_err());
        assert!(features(br#"[["preboot",true]]"#).is_err() && formation(br#"[["web",2]]"#).is_err());
        assert!(are_apps_red(br#"[[["Apps","red"]]]"#).is_err());
        assert_eq!(error(br#"["rate_limit","Wait."]"#), None);
    }

    #[test]
    fn only_dynos_of_listed_types_are_read_from_a_list() {
        let listed: Vec<ProcessType> = vec!["web".parse().expect("a type")];
        let strange = json!({"type": "run", "name": 7});
        let page = json!([web_1(), strange]).to_string();
        let seen = dynos(page.as_bytes(), &listed).expect("a list");
        assert_eq!(seen.len(), 1);
        for broken in [json!({"type": "web"}), json!({"name": "web.1"}), json!(null), json!({"type": 1})] {
            let page = json!([web_1(), broken]).to_string();
            assert!(dynos(page.as_bytes(), &listed).is_err(), "{broken}");
        }
        assert!(dynos(b"{}", &listed).is_err());
        assert!(dynos(b"[]", &listed).expect("a list").is_empty());
    }

    #[test]
    fn the_responses_for_check_are_read() {
        let generation = json!({"id": "2", "name": "cedar"});
        let body = json!({"id": "1", "name": "acme", "maintenance": false, "generation": generation,
            "space": null, "region": {"name": "us"}});
        let acme = app(body.to_string().as_bytes()).expect("an app");
        assert_eq!((acme.generation.as_deref(), acme.space), (Some("cedar"), None));

        let url = "https://drain:s3cret@dyno.example/logs/acme";
        let body = json!([{"addon": null, "created_at": "x", "id": "1", "token": "d.1", "url": url}]);
        let read = drains(body.to_string().as_bytes()).expect("drains");
        assert_eq!(read[0].url.expose_secret(), url);
        assert!(!read[0].of_addon && !format!("{read:?}").contains("s3cret"));

        let formation =
            formation(br#"[{"type":"web","quantity":2,"size":"Standard-1X"}]"#).expect("formation");
        assert_eq!(formation[0].quantity, 2);
        let features = features(br#"[{"name":"preboot","enabled":true}]"#).expect("features");
        assert!(features[0].enabled);
        let account = account(br#"{"email":"ops@example.com","id":"1"}"#).expect("an account");
        assert_eq!(account.email, "ops@example.com");
        assert_eq!(rate_limits(br#"{"remaining":2399}"#).expect("a number"), 2399);
        for (apps, data, expect) in
            [("red", "green", true), ("green", "red", false), ("yellow", "red", false)]
        {
            let body = json!({"status": [
                {"system": "Data", "status": data},
                {"system": "Apps", "status": apps},
            ]});
            assert_eq!(are_apps_red(body.to_string().as_bytes()).expect("a page"), expect, "{body}");
        }
        assert!(are_apps_red(b"{}").is_err() && are_apps_red(b"<html>").is_err());
    }

    #[test]
    fn an_error_has_an_id_and_a_message() {
        let whole = error(br#"{"id":"rate_limit","message":"Your account\n reached it","url":"x"}"#);
        let whole = whole.expect("an error");
        assert_eq!((&*whole.id, &*whole.message), ("rate_limit", "Your account reached it"));
        let long = json!({"id": "x", "message": "é".repeat(1000)}).to_string();
        assert_eq!(error(long.as_bytes()).expect("an error").message.chars().count(), 160);
        for body in [
            r#"{"message":"no id"}"#,
            r#"{"id":"no_message"}"#,
            r#"{"id":"two words","message":"x"}"#,
            r#"{"id":"","message":"x"}"#,
            r#"{"id":"x","message":7}"#,
            "<html>",
            "",
        ] {
            assert_eq!(error(body.as_bytes()), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_with_a_short_message(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            cut in 0_usize..500,
        ) {
            let listed = ["web".parse().expect("a type")];
            let _ = dynos(&bytes, &listed);
            let _ = error(&bytes);
            let whole = web_1().to_string().into_bytes();
            let cut = cut.min(whole.len() - 1);
            assert!(dyno(&whole[..cut]).is_err());
            let mut mixed = whole;
            let at = cut.min(mixed.len());
            mixed.splice(at..at, bytes);
            let _ = dyno(&mixed);
        }
    }
}
