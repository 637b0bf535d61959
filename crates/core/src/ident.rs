//! Names, parsed once at the border and trusted afterwards.
//!
//! The core holds no bare `String` for an app, a dyno or a token. A value of one of these types is short,
//! printable and safe as one segment of a URL path.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::limits;

/// A watched app's place in the settings; the key of the engine's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppId(pub u32);

/// The name (or the id) of a Heroku app, as used in the Platform API's paths.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppName(Arc<str>);

/// A process type of a Procfile, such as `web`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessType(Arc<str>);

/// Whether dynos of a type run one command and end: those of `heroku run`, the scheduler add-on, the release
/// phase, and what people call a shell.
pub fn is_one_off(process_type: &str) -> bool {
    ["console", "release", "run", "scheduler"].contains(&process_type)
}

/// One place in a formation, such as `web.2`. A restart names the place, whichever instance fills it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DynoName {
    process_type: ProcessType,
    index: u32,
}

/// A dyno's name in a line, not yet copied out of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DynoRef<'b> {
    /// Letters, digits, `-` and `_`.
    pub process_type: &'b str,
    /// From 1.
    pub index: u32,
}

/// The `Logplex-Drain-Token` header and the `token` of a log-drain resource: `d.<uuid>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DrainToken(Arc<str>);

/// The opaque id of one dyno instance: the Platform API's `id`, which a restart changes.
///
/// Stored inline rather than on the heap: every runtime-metrics line carries one, and lines are read without
/// allocating.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId {
    // The text, padded with zeros, so that the derived order is that of the texts.
    octets: [u8; limits::INSTANCE_ID_BYTES_MAX],
    length: u8,
}

/// The error in a name, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{read:?} is not {what}: {allowed}{hint}")]
pub struct NameError {
    what: &'static str,
    allowed: &'static str,
    read: String,
    /// What was probably meant, as the end of the sentence.
    hint: String,
}

impl NameError {
    fn new(what: &'static str, allowed: &'static str, read: &str) -> Self {
        // The text is untrusted: enough of it to recognise it, never all of it.
        let read = read.chars().take(limits::QUOTED_CHARS_MAX).collect();
        Self { what, allowed, read, hint: String::new() }
    }
}

/// What a person probably meant who typed this for an app's name.
fn meant_app(text: &str) -> String {
    let text = text.trim().trim_matches(['"', '\'']);
    if text.split_whitespace().nth(1).is_some() {
        let names: Vec<&str> = text.split_whitespace().collect();
        let are_names = names.len() <= 8 && names.iter().all(|name| is_app(name));
        return match are_names {
            true => format!("; separate apps with commas: {}", names.join(",")),
            false => "; separate apps with commas".to_owned(),
        };
    }
    let lower = text.to_ascii_lowercase();
    let rest = lower.split_once("://").map_or(&*lower, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let parts: Vec<&str> = rest.split(['/', ':', '?', '#']).filter(|part| !part.is_empty()).collect();
    let name = match parts[..] {
        ["dashboard.heroku.com", "apps", name, ..] | ["git.heroku.com" | "heroku.com", name, ..] => {
            name.trim_end_matches(".git")
        }
        [host, ..] => host.strip_suffix(".herokuapp.com").map_or(host, |name| {
            // Newer default domains end with twelve digits that are not part of the name.
            let is_hash = |end: &str| end.len() == 12 && end.bytes().all(|b| b.is_ascii_hexdigit());
            name.rsplit_once('-').filter(|(_, end)| is_hash(end)).map_or(name, |(name, _)| name)
        }),
        [] => return String::new(),
    };
    if is_app(name) { format!("; did you mean {name}?") } else { String::new() }
}

macro_rules! shown_as_text {
    ($($name:ident),+) => {$(
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

shown_as_text!(AppName, ProcessType, DrainToken);

// === impl AppName ===

// Its hash is that of its text, as `Borrow` requires: it is derived from the only field.
impl Borrow<str> for AppName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = || NameError {
            hint: meant_app(text),
            ..NameError::new("an app's name", "lower-case letters, digits and -, at most 128", text)
        };
        is_app(text).then(|| Self(text.into())).ok_or_else(error)
    }
}

fn is_app(text: &str) -> bool {
    (1..=limits::NAME_BYTES_MAX).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

// === impl ProcessType ===

impl FromStr for ProcessType {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = || NameError::new("a process type", "letters, digits, - and _, at most 128", text);
        is_process_type(text.as_bytes()).then(|| Self(text.into())).ok_or_else(error)
    }
}

/// `^[-\w]{1,128}$` of the Platform API's schema (formation `type`).
fn is_process_type(text: &[u8]) -> bool {
    (1..=limits::NAME_BYTES_MAX).contains(&text.len())
        && text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

// === impl DynoName ===

impl DynoName {
    pub fn new(process_type: ProcessType, index: u32) -> Self {
        Self { process_type, index }
    }

    pub fn process_type(&self) -> &ProcessType {
        &self.process_type
    }

    pub fn index(&self) -> u32 {
        self.index
    }
}

impl FromStr for DynoName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        DynoRef::parse(text.as_bytes())
            .map(|dyno| Self::new(ProcessType(dyno.process_type.into()), dyno.index))
            .ok_or_else(|| {
                NameError::new("a dyno's name", "<process type>.<number from 1>, such as web.2", text)
            })
    }
}

impl fmt::Display for DynoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.process_type, self.index)
    }
}

// === impl DynoRef ===

impl<'b> DynoRef<'b> {
    /// Parses `<process type>.<number>`, the number without leading zeros; none for anything else.
    pub fn parse(text: &'b [u8]) -> Option<Self> {
        // Nearly all are of this type, and have one or two digits.
        if let Some(index) = text.strip_prefix(b"web.") {
            let digit = |octet: &u8| octet.is_ascii_digit().then(|| u32::from(octet - b'0'));
            match index {
                [ones @ b'1'..=b'9'] => return Some(Self { process_type: "web", index: digit(ones)? }),
                [tens @ b'1'..=b'9', ones] => {
                    return Some(Self { process_type: "web", index: digit(tens)? * 10 + digit(ones)? });
                }
                _ => {}
            }
        }
        let length = text.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
        let (process_type, digits) = text.split_at(text.len() - length);
        let process_type = process_type.strip_suffix(b".")?;
        // Ten digits hold every u32, and a u64 holds them.
        if !(1..=10).contains(&digits.len()) || digits[0] == b'0' {
            return None;
        }
        let index = digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        if !is_process_type(process_type) {
            return None;
        }
        let process_type = std::str::from_utf8(process_type).ok()?;
        Some(Self { process_type, index: u32::try_from(index).ok()? })
    }
}

// === impl DrainToken ===

impl FromStr for DrainToken {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let fits = text.len() > 2
            && text.len() <= limits::NAME_BYTES_MAX
            && text.starts_with("d.")
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
        let error = || NameError::new("a drain token", "d.<uuid>, as `heroku drains --json` shows it", text);
        fits.then(|| Self(text.into())).ok_or_else(error)
    }
}

// === impl InstanceId ===

impl InstanceId {
    pub fn parse(text: &[u8]) -> Option<Self> {
        let are_graphic =
            |text: &[u8]| text.iter().fold(true, |graphic, octet| graphic & octet.is_ascii_graphic());
        let mut octets = [0; limits::INSTANCE_ID_BYTES_MAX];
        // The length of a uuid, which all of them have: checked and copied without a loop.
        if let Ok(uuid) = <&[u8; 36]>::try_from(text) {
            octets[..36].copy_from_slice(uuid);
            return are_graphic(uuid).then_some(Self { octets, length: 36 });
        }
        if !(1..=limits::INSTANCE_ID_BYTES_MAX).contains(&text.len()) || !are_graphic(text) {
            return None;
        }
        octets[..text.len()].copy_from_slice(text);
        Some(Self { octets, length: u8::try_from(text.len()).ok()? })
    }

    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.octets[..usize::from(self.length)]).expect("`parse` accepts only ASCII")
    }
}

impl FromStr for InstanceId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text.as_bytes()).ok_or_else(|| {
            NameError::new("a dyno's id", "printable ASCII without spaces, at most 63 characters", text)
        })
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InstanceId").field(&self.as_str()).finish()
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{AppName, DrainToken, DynoName, DynoRef, InstanceId, ProcessType};

    #[test]
    fn a_dyno_is_a_type_a_dot_and_a_number() {
        for text in ["web.1", "web.20", "my_worker-2.4294967295", "run.9633"] {
            assert_eq!(text.parse::<DynoName>().expect(text).to_string(), text);
        }
        for text in [
            "",
            "web",
            "web.",
            ".1",
            "web.0",
            "web.01",
            "web.4294967296",
            "web.1 ",
            "we b.1",
            "web.1.",
            "web/1.1",
            "web.-1",
            "wéb.1",
        ] {
            assert!(text.parse::<DynoName>().is_err(), "{text}");
        }
        assert!(DynoRef::parse(b"web.12345678901").is_none());
    }

    #[test]
    fn no_name_can_leave_its_path_segment() {
        for text in ["../account", "a/b", "a?b", "a%2fb", "", "A", "-a", "a b"] {
            assert!(text.parse::<AppName>().is_err(), "{text}");
            assert!(
                text.contains(|c: char| c.is_ascii_alphabetic() && c != 'x')
                    || text.parse::<ProcessType>().is_err(),
                "{text}"
            );
        }
        assert!("acme-production".parse::<AppName>().is_ok());
        assert!("01234567-89ab-cdef-0123-456789abcdef".parse::<AppName>().is_ok());
    }

    #[test]
    fn a_drain_token_has_its_prefix() {
        assert!("d.68bc07b8-b306-4fa6-985f-48f8a45912c3".parse::<DrainToken>().is_ok());
        for text in ["", "d.", "68bc07b8", "d.a b", "d.a\n"] {
            assert!(text.parse::<DrainToken>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_instance_id_is_any_short_printable_word() {
        let longest = "x".repeat(63);
        for text in ["cd817c77-4f8e-4e68-b42a-3dea4e04d99c", "a", longest.as_str()] {
            let id: InstanceId = text.parse().expect(text);
            assert_eq!(id.as_str(), text);
            assert_eq!(InstanceId::parse(text.as_bytes()), Some(id));
        }
        for text in ["", "a b", "a\n", "é", &"x".repeat(64)] {
            assert!(text.parse::<InstanceId>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_app_that_is_nearly_named_is_suggested() {
        for (text, hint) in [
            ("acme.herokuapp.com", "did you mean acme?"),
            ("acme-0123456789ab.herokuapp.com", "did you mean acme?"),
            ("https://acme.herokuapp.com/", "did you mean acme?"),
            ("https://dashboard.heroku.com/apps/acme/settings", "did you mean acme?"),
            ("https://git.heroku.com/acme.git", "did you mean acme?"),
            ("git@heroku.com:acme.git", "did you mean acme?"),
            ("Acme", "did you mean acme?"),
            (" acme ", "did you mean acme?"),
            ("\"acme\"", "did you mean acme?"),
            ("acme shop", "separate apps with commas: acme,shop"),
            ("acme Shop!", "separate apps with commas"),
        ] {
            let error = text.parse::<AppName>().expect_err(text).to_string();
            assert!(error.ends_with(hint), "{error}");
        }
        for text in ["", "-", "a_b", "https://"] {
            let error = text.parse::<AppName>().expect_err(text).to_string();
            assert!(error.ends_with("at most 128"), "{error}");
        }
    }
}
