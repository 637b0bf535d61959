//! Which settings exist, and what an unknown one probably meant.

use std::sync::LazyLock;

use serde::de::{Deserialize, Deserializer, Error as _, Visitor, value};
use serde::forward_to_deserialize_any;

use crate::config::problem::{Origin, Problem};
use crate::config::raw;
use dynowarden_core::limits;

/// A section's name, and its keys in their order.
pub type SectionKeys = (&'static str, &'static [&'static str]);

/// Every section of the file with its keys; the first is the file's top level. `app.policy` and `app.rule`
/// have the keys of `policy` and `rule`.
pub static SECTIONS: LazyLock<[SectionKeys; 11]> = LazyLock::new(|| {
    [
        ("", struct_keys::<raw::Root>()),
        ("heroku", struct_keys::<raw::Heroku>()),
        ("drain", struct_keys::<raw::Drain>()),
        ("tls", struct_keys::<raw::Tls>()),
        ("admin", struct_keys::<raw::Admin>()),
        ("hook", struct_keys::<raw::Hook>()),
        ("store", struct_keys::<raw::Store>()),
        ("policy", struct_keys::<raw::Policy>()),
        ("rule", struct_keys::<raw::Rule>()),
        ("app", struct_keys::<raw::App>()),
        ("notify", struct_keys::<raw::Notify>()),
    ]
});

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One table, `[policy]`.
    Section,
    /// A list of tables, `[[rule]]`.
    Tables,
    Value,
}

/// The variables that have names of their own.
pub const VARIABLES: &[&str] = &[
    "HEROKU_API_KEY",
    "HEROKU_API_URL",
    "HEROKU_APP",
    "DRAIN_PASSWORD",
    "DRAIN_PASSWORD_OLD",
    "ADMIN_PASSWORD",
    "HOOK_KEY",
    "DATABASE_URL",
    "PORT",
    "LOG_FORMAT",
    "RUST_LOG",
];

/// What all other variables begin with.
pub(super) const PREFIX: &str = "DYNOWARDEN_";

/// Settings of the file that a variable with a name of its own stands for.
const NAMED: [(&str, &str); 4] = [
    ("heroku.api_url", "HEROKU_API_URL"),
    ("log_format", "LOG_FORMAT"),
    ("port", "PORT"),
    ("store.url", "DATABASE_URL"),
];

/// Keys that people write for a secret, and what to use instead: a settings file is copied, committed and
/// shown to others.
const SECRETS: [(&str, &str); 8] = [
    ("admin.password", "ADMIN_PASSWORD or admin.password_file"),
    ("app.drain_password", "app.drain_password_file"),
    ("drain.password", "DRAIN_PASSWORD or drain.password_file"),
    ("heroku.api_key", "HEROKU_API_KEY or heroku.api_key_file"),
    ("heroku.token", "HEROKU_API_KEY or heroku.api_key_file"),
    ("hook.key", "HOOK_KEY or hook.key_file"),
    ("notify.password", "notify.password_env or notify.password_file"),
    ("store.password", "DATABASE_URL or store.url_file"),
];

/// The setting of `key` in `section`, as a user types it.
pub(super) fn path(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// The key at the end of a path.
pub(super) fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// The keys of `section`.
pub(super) fn keys_of(section: &str) -> &'static [&'static str] {
    let section = section.strip_prefix("app.").unwrap_or(section);
    SECTIONS.iter().find(|(name, _)| *name == section).map_or(&[], |(_, keys)| keys)
}

/// What the setting at `path` stands for.
pub(super) fn shape(path: &str) -> Shape {
    let section = path.strip_prefix("app.").unwrap_or(path);
    match section {
        "rule" | "app" | "notify" => Shape::Tables,
        _ if SECTIONS.iter().any(|(name, _)| *name == section) => Shape::Section,
        _ => Shape::Value,
    }
}

/// The variables that may hold the setting at `path`, in order of precedence.
pub(super) fn variables_of(path: &str) -> impl Iterator<Item = String> {
    let named = NAMED.iter().find(|(setting, _)| *setting == path).map(|(_, name)| (*name).to_owned());
    // One section deep: the tables of `rule`, `app` and `notify` have no names that a variable could use.
    let reachable = !["rule.", "app.", "notify."].iter().any(|list| path.starts_with(list));
    let general = reachable.then(|| format!("{PREFIX}{}", path.replace('.', "__").to_ascii_uppercase()));
    named.into_iter().chain(general)
}

/// Whether settings are read from the variable `name`.
pub(super) fn is_variable(name: &str) -> bool {
    VARIABLES.contains(&name) || general_variables().any(|known| known == name)
}

fn general_variables() -> impl Iterator<Item = String> {
    all_paths().flat_map(|path| variables_of(&path).last())
}

/// Every setting that has a value: all but the names of sections, which have keys instead.
pub(super) fn all_paths() -> impl Iterator<Item = String> {
    let paths = SECTIONS.iter().flat_map(|(section, keys)| keys.iter().map(|key| path(section, key)));
    paths.filter(|path| shape(path) != Shape::Section)
}

/// The keys that serde reads for the struct `T`.
fn struct_keys<T: Deserialize<'static>>() -> &'static [&'static str] {
    let mut keys: &[&str] = &[];
    // The answer is in the call; there is no value to deserialize.
    drop(T::deserialize(StructKeys(&mut keys)));
    keys
}

/// Notes the fields that a struct asks for.
struct StructKeys<'k>(&'k mut &'static [&'static str]);

impl<'de> Deserializer<'de> for StructKeys<'_> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, value::Error> {
        Err(value::Error::custom("only structs have keys"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Whether a variable was set by an orchestrator and not by a user: for a service called `dynowarden`,
/// Kubernetes gives every container `DYNOWARDEN_SERVICE_HOST`, `DYNOWARDEN_PORT=tcp://…` and
/// `DYNOWARDEN_PORT_8080_TCP_ADDR`, and so did Docker's links.
pub(super) fn is_service_link(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    let numbered =
        || rest.strip_prefix("PORT_").is_some_and(|port| port.starts_with(|c: char| c.is_ascii_digit()));
    rest.starts_with("SERVICE_HOST")
        || rest.starts_with("SERVICE_PORT")
        || (rest == "PORT" && value.contains("://"))
        || numbered()
}

/// The problem of an unknown key. Its value is not read: it could be a secret.
pub(super) fn unknown_key(section: &str, key: &str, origin: Origin) -> Problem {
    let setting = path(section, key);
    if let Some((_, instead)) = SECRETS.iter().find(|(secret, _)| *secret == setting) {
        let text = format!("secrets must not be stored in this file; use {instead}");
        return Problem::new(setting, origin, text);
    }
    let here = keys_of(section);
    let near = nearest(key, here.iter().map(|known| (*known).to_owned())).map(|known| path(section, &known));
    let elsewhere = || all_paths().find(|known| last(known) == key);
    let text = match near.or_else(elsewhere) {
        Some(meant) => format!("there is no such setting; did you mean {meant}?"),
        None if section.is_empty() => format!("there is no such setting; allowed: {}", here.join(", ")),
        None => format!("there is no such setting; allowed in {section}: {}", here.join(", ")),
    };
    Problem::new(typed(&setting), origin, text)
}

/// A name that a user typed, for a message: on one line, and shortened.
fn typed(name: &str) -> String {
    let mut shown = String::new();
    for c in name.chars() {
        if shown.len() >= limits::NAME_BYTES_MAX {
            shown.push('…');
            break;
        }
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// The problem of an unknown `DYNOWARDEN_…` variable.
pub(super) fn unknown_variable(name: &str) -> Problem {
    let shown = typed(name);
    let origin = Origin::Variable(shown.as_str().into());
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    let setting = rest.to_ascii_lowercase().replace("__", ".");
    let meant = SECRETS
        .iter()
        .find(|(secret, _)| *secret == setting)
        .map(|(_, instead)| (*instead).to_owned())
        .or_else(|| VARIABLES.iter().find(|known| **known == rest).map(|known| (*known).to_owned()))
        .or_else(|| nearest(name, general_variables()));
    let text = match meant {
        Some(meant) => format!("there is no such setting; did you mean {meant}?"),
        None => "there is no such setting; allowed: DYNOWARDEN_SECTION__KEY for a key of the settings file, \
                 such as DYNOWARDEN_POLICY__COOLDOWN or DYNOWARDEN_DRY_RUN"
            .to_owned(),
    };
    Problem::new(shown, origin, text)
}

/// The candidate that `typed` probably meant. One letter in four, and at least one, may differ; `_`, `-` and
/// case do not count.
fn nearest(typed: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    let letters = |text: &str| text.replace(['_', '-'], "").to_lowercase();
    let typed = letters(typed);
    if typed.len() > KEY_LETTERS_MAX {
        return None;
    }
    let distance_max = (typed.chars().count() / 4).clamp(1, 3);
    let distances = candidates.map(|known| (strsim::levenshtein(&typed, &letters(&known)), known));
    distances.filter(|(distance, _)| *distance <= distance_max).min().map(|(_, known)| known)
}

/// Bytes; no setting's name is nearly as long.
const KEY_LETTERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::{is_service_link, is_variable, unknown_key, unknown_variable};
    use crate::config::problem::Origin;

    #[test]
    fn an_unknown_name_stays_on_one_line() {
        let origin = Origin::Variable("X".into());
        let problem = unknown_key("policy", "a\nb\u{1b}[31m", origin);
        assert_eq!(problem.setting(), "policy.a\\nb\\u{1b}[31m");
        for letter in ["x", "\u{14}", "ü"] {
            let problem = unknown_variable(&format!("DYNOWARDEN_\n{}", letter.repeat(10_000))).to_string();
            assert!(problem.len() < 600 && !problem.contains(char::is_control), "{problem}");
        }
    }

    #[test]
    fn an_unknown_key_suggests_a_known_one() {
        for (section, key, expect) in [
            ("policy", "cool_down", "did you mean policy.cooldown?"),
            ("policy", "max-restarts", "did you mean policy.max_restarts?"),
            ("", "cooldown", "did you mean policy.cooldown?"),
            ("app.policy", "setle", "did you mean app.policy.settle?"),
            ("", "rules", "did you mean rule?"),
            ("heroku", "api_key", "use HEROKU_API_KEY or heroku.api_key_file"),
            ("store", "colour", "allowed in store: url, url_file, keep"),
        ] {
            let text = unknown_key(section, key, Origin::Unset).to_string();
            assert!(text.ends_with(expect), "{text}");
        }
        unknown_key("", &"x".repeat(100_000), Origin::Unset);
    }

    #[test]
    fn an_unknown_variable_suggests_a_known_one() {
        for (name, expect) in [
            ("DYNOWARDEN_POLICY_COOLDOWN", "did you mean DYNOWARDEN_POLICY__COOLDOWN?"),
            ("DYNOWARDEN_HEROKU_APP", "did you mean HEROKU_APP?"),
            ("DYNOWARDEN_HEROKU__API_KEY", "did you mean HEROKU_API_KEY or heroku.api_key_file?"),
            ("DYNOWARDEN_DRYRUN", "did you mean DYNOWARDEN_DRY_RUN?"),
        ] {
            let text = unknown_variable(name).to_string();
            assert!(text.ends_with(expect), "{text}");
        }
    }

    #[test]
    fn variables_stand_for_keys_with_values() {
        for name in ["PORT", "DYNOWARDEN_PORT", "DYNOWARDEN_RULE", "DYNOWARDEN_STORE__URL", "RUST_LOG"] {
            assert!(is_variable(name), "{name}");
        }
        for name in
            ["DYNOWARDEN_POLICY", "DYNOWARDEN_RULE__NAME", "DYNOWARDEN_APP__POLICY", "dynowarden_port"]
        {
            assert!(!is_variable(name), "{name}");
        }
    }

    #[test]
    fn variables_set_by_kubernetes_are_recognised() {
        for (name, value) in [
            ("DYNOWARDEN_SERVICE_HOST", "10.0.0.1"),
            ("DYNOWARDEN_SERVICE_PORT_HTTP", "80"),
            ("DYNOWARDEN_PORT", "tcp://10.0.0.1:80"),
            ("DYNOWARDEN_PORT_80_TCP_ADDR", "10.0.0.1"),
        ] {
            assert!(is_service_link(name, value), "{name}");
        }
        assert!(!is_service_link("DYNOWARDEN_PORT", "80"));
        assert!(!is_service_link("DYNOWARDEN_PORTS", "80"));
    }
}
