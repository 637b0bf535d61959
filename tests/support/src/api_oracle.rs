//! The oracle for responses of the Platform API: a body means exactly what a slow JSON reader finds in it, or
//! it is garbled; and no dyno is up unless the body says so.

use dynowarden_core::api::DynoInfo;
use dynowarden_core::api::json::{self as api, Garbled};
use dynowarden_core::event::DynoState;
use dynowarden_core::ident::ProcessType;
use secrecy::ExposeSecret as _;

use crate::json::{self, Json};
use crate::reference;

/// Checks any octets as each kind of response.
pub fn check_answer(body: &[u8]) {
    let read = json::read(body);
    // Where RFC 8259 leaves a choice, the reader may accept or reject; otherwise both must agree.
    let exact = |is_right: bool| match &read {
        Some((_, is_odd)) => is_right || *is_odd,
        None => is_right,
    };
    let value = read.as_ref().map(|(value, _)| value);

    let dyno = readable(api::dyno(body));
    assert!(exact(agree(dyno.as_ref(), value, |value| slow_dyno(value, One))), "{dyno:?}");
    let listed: Vec<ProcessType> = LISTED.map(|word| word.parse().expect("a process type")).to_vec();
    let dynos = readable(api::dynos(body, &listed));
    let expect = |value: &Json| slow_dynos(value);
    match (&dynos, value.map(expect)) {
        (Some(read), Some(Some(slow))) => {
            let is_same =
                read.len() == slow.len() && read.iter().zip(&slow).all(|(read, slow)| slow.is(read));
            assert!(exact(is_same), "{read:?} is not {slow:?}");
        }
        (read, slow) => assert!(exact(read.is_none() == slow.flatten().is_none()), "{read:?}"),
    }

    let app = readable(api::app(body));
    let expect = value.and_then(slow_app);
    let app = app.map(|app| {
        let maintenance = app.maintenance.to_string();
        [Some(app.id), Some(app.name), Some(maintenance), app.generation, app.space, app.web_url]
    });
    assert!(exact(app == expect), "{app:?} is not {expect:?}");

    check_drains(body, value, exact);
    check_the_rest(body, value, exact);
}

fn check_drains(body: &[u8], value: Option<&Json>, exact: impl Fn(bool) -> bool) {
    let read = readable(api::drains(body));
    let expect = match value {
        Some(Json::List(items)) => items.iter().map(slow_drain).collect::<Option<Vec<_>>>(),
        _ => None,
    };
    let shown = format!("{read:?}");
    let read = read.map(|drains| {
        let names: Vec<String> =
            drains.iter().flat_map(|drain| [drain.id.clone(), drain.token.to_string()]).collect();
        let fields = |drain: api::Drain| {
            let url = drain.url.expose_secret().to_owned();
            // The parts of a visible id or token are not secret.
            let is_named = names.iter().any(|name| name.contains(&url));
            let is_hidden = url.len() < 8 || is_named || !shown.contains(&url);
            assert!(is_hidden, "the URL of a drain holds a password, and is shown");
            (drain.id, drain.token.to_string(), url, drain.of_addon)
        };
        drains.into_iter().map(fields).collect::<Vec<_>>()
    });
    assert!(exact(read == expect), "{shown} is not {expect:?}");
    let one = readable(api::drain(body));
    assert!(exact(one.is_some() == value.and_then(slow_drain).is_some()));
}

fn check_the_rest(body: &[u8], value: Option<&Json>, exact: impl Fn(bool) -> bool) {
    let only = |value: &Json, name: &str| match value.members(name)[..] {
        [one] => Some(one.clone()),
        _ => None,
    };
    let left = readable(api::rate_limits(body));
    let expect = value.and_then(|value| u32::try_from(only(value, "remaining")?.whole()?).ok());
    assert!(exact(left == expect), "{left:?} is not {expect:?}");

    let account = readable(api::account(body)).map(|account| account.email);
    let expect = value.and_then(|value| only(value, "email")?.text().map(str::to_owned));
    assert!(exact(account == expect));

    let features = readable(api::features(body))
        .map(|all| all.into_iter().map(|feature| (feature.name, feature.enabled)).collect::<Vec<_>>());
    let expect = list(value, |item| {
        let Json::Bool(enabled) = only(item, "enabled")? else { return None };
        Some((only(item, "name")?.text()?.to_owned(), enabled))
    });
    assert!(exact(features == expect), "{features:?} is not {expect:?}");

    let formation = readable(api::formation(body)).map(|all| {
        all.into_iter().map(|one| (one.process_type, u64::from(one.quantity), one.size)).collect::<Vec<_>>()
    });
    let expect = list(value, |item| {
        let size = optional_text(item, "size")?;
        let quantity = only(item, "quantity")?.whole().filter(|quantity| *quantity <= u64::from(u32::MAX))?;
        Some((only(item, "type")?.text()?.to_owned(), quantity, size))
    });
    assert!(exact(formation == expect), "{formation:?} is not {expect:?}");

    let red = readable(api::are_apps_red(body));
    let systems = value.and_then(|value| only(value, "status"));
    let named = list(systems.as_ref(), |item| {
        let (system, state) = (only(item, "system")?, only(item, "status")?);
        let (system, state) = (system.text()?, state.text()?);
        Some(system == "Apps" && state == "red")
    });
    let expect = named.map(|all| all.contains(&true));
    assert!(exact(red == expect), "{red:?} is not {expect:?}");

    let error = api::error(body);
    let is_plain = |id: &str| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if let Some(error) = &error {
        assert!(!error.id.is_empty() && error.id.len() <= 64 && is_plain(&error.id));
        assert!(error.message.chars().count() <= 160 && !error.message.chars().any(char::is_control));
    }
    let text = |name| value.and_then(|value| only(value, name)?.text().map(str::to_owned));
    let expect = text("id").filter(|id| (1..=64).contains(&id.len()) && is_plain(id));
    let expect = expect.filter(|_| text("message").is_some());
    assert!(exact(error.map(|error| error.id) == expect));
}

const LISTED: [&str; 2] = ["web", "api-2"];

/// The value; for an error, checks that its message is short and on one line.
fn readable<T>(read: Result<T, Garbled>) -> Option<T> {
    read.map_err(|garbled| {
        let message = garbled.to_string();
        assert!(!message.is_empty() && message.chars().count() <= 600, "{} octets", message.len());
        assert!(!message.chars().any(char::is_control), "{message:?}");
    })
    .ok()
}

fn agree(read: Option<&DynoInfo>, value: Option<&Json>, slow: impl Fn(&Json) -> Option<Slow>) -> bool {
    match (read, value.and_then(slow)) {
        (Some(read), Some(slow)) => slow.is(read),
        (read, slow) => read.is_none() == slow.is_none(),
    }
}

/// A dyno as the slow reader finds it.
#[derive(Debug)]
struct Slow {
    name: String,
    process_type: String,
    id: String,
    created_at: String,
    updated_at: String,
    state: String,
    release: Option<u64>,
    is_one_off: bool,
}

impl Slow {
    fn is(&self, read: &DynoInfo) -> bool {
        assert_eq!(read.state == DynoState::Up, self.state == "up", "nothing is up that does not say so");
        (&self.name, self.process_type.as_str()) == (&read.name.to_string(), read.process_type.as_str())
            && self.id == read.id.as_str()
            && self.release == read.release
            && self.is_one_off == read.is_one_off
            && nanos(&self.created_at) == Some(read.created_at.as_nanosecond())
            && nanos(&self.updated_at) == Some(read.updated_at.as_nanosecond())
    }
}

/// Which of several members with one name counts: a single object may have only one; in a list the last
/// counts, as for most JSON readers.
#[derive(Clone, Copy)]
enum Repeated {
    One,
    Last,
}
use Repeated::{Last, One};

fn member<'j>(value: &'j Json, name: &str, repeated: Repeated) -> Result<Option<&'j Json>, ()> {
    match (value.members(name)[..].split_last(), repeated) {
        (None, _) => Ok(None),
        (Some((only, [])), _) | (Some((only, _)), Last) => Ok(Some(only)),
        (Some(_), One) => Err(()),
    }
}

fn slow_dyno(value: &Json, repeated: Repeated) -> Option<Slow> {
    let Json::Object(_) = value else { return None };
    let text = |name| member(value, name, repeated).ok()??.text().map(str::to_owned);
    let release = match member(value, "release", repeated).ok()? {
        None | Some(Json::Null) => None,
        Some(object @ Json::Object(_)) => match member(object, "version", repeated).ok()? {
            None | Some(Json::Null) => None,
            Some(version) => Some(version.whole()?),
        },
        Some(_) => return None,
    };
    let is_one_off = !matches!(member(value, "attach_url", repeated).ok()?, None | Some(Json::Null));
    let created_at = text("created_at")?;
    let updated_at = match member(value, "updated_at", repeated).ok()? {
        None | Some(Json::Null) => created_at.clone(),
        Some(value) => value.text()?.to_owned(),
    };
    let (name, process_type, id) = (text("name")?, text("type")?, text("id")?);
    let is_right = is_type(&process_type)
        && is_dyno(&name)
        && (1..=63).contains(&id.len())
        && id.chars().all(|c| c.is_ascii_graphic())
        && nanos(&created_at).is_some()
        && nanos(&updated_at).is_some();
    let state = text("state")?;
    is_right.then_some(Slow { name, process_type, id, created_at, updated_at, state, release, is_one_off })
}

fn slow_dynos(value: &Json) -> Option<Vec<Slow>> {
    let Json::List(items) = value else { return None };
    let is_ours = |item: &&Json| match item.members("type").last() {
        Some(Json::Text(word)) => LISTED.contains(&word.as_str()),
        _ => true,
    };
    items.iter().filter(is_ours).map(|item| slow_dyno(item, Last)).collect()
}

fn slow_app(value: &Json) -> Option<[Option<String>; 6]> {
    let Json::Object(_) = value else { return None };
    let text = |name| member(value, name, One).ok()??.text().map(str::to_owned);
    let maintenance = match member(value, "maintenance", One).ok()? {
        None => false,
        Some(Json::Bool(on)) => *on,
        Some(_) => return None,
    };
    let named = |name| match member(value, name, One) {
        Ok(None | Some(Json::Null)) => Some(None),
        Ok(Some(inner)) => Some(Some(member(inner, "name", One).ok()??.text()?.to_owned())),
        Err(()) => None,
    };
    let (generation, space) = (named("generation")?, named("space")?);
    let web_url = optional_text(value, "web_url")?;
    Some([Some(text("id")?), Some(text("name")?), Some(maintenance.to_string()), generation, space, web_url])
}

fn slow_drain(value: &Json) -> Option<(String, String, String, bool)> {
    let Json::Object(_) = value else { return None };
    let text = |name| member(value, name, One).ok()??.text().map(str::to_owned);
    let of_addon = !matches!(member(value, "addon", One).ok()?, None | Some(Json::Null));
    let token = text("token")?;
    let is_token = token.len() > 2
        && token.len() <= 128
        && token.starts_with("d.")
        && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    let (id, url) = (text("id")?, text("url")?);
    is_token.then_some((id, token, url, of_addon))
}

fn list<T>(value: Option<&Json>, read: impl Fn(&Json) -> Option<T>) -> Option<Vec<T>> {
    let Some(Json::List(items)) = value else { return None };
    items.iter().map(read).collect()
}

fn optional_text(value: &Json, name: &str) -> Option<Option<String>> {
    match member(value, name, One).ok()? {
        None | Some(Json::Null) => Some(None),
        Some(value) => Some(Some(value.text()?.to_owned())),
    }
}

fn is_type(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn is_dyno(name: &str) -> bool {
    let Some((process_type, number)) = name.rsplit_once('.') else { return false };
    is_type(process_type) && number.parse::<u32>().is_ok_and(|index| index > 0 && index.to_string() == number)
}

/// The time, converted by hand; for formats that the API does not use, the library's result.
fn nanos(text: &str) -> Option<i128> {
    let read = text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_nanosecond);
    let is_usual = !text.contains(":60") && !text.starts_with("9999-12-3");
    match reference::nanos(text.as_bytes()) {
        Some(counted) if is_usual => {
            assert_eq!(read, Some(counted), "{text}");
            Some(counted)
        }
        _ => read,
    }
}
