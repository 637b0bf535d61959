//! Which settings there are, and what was probably meant by one that is not.

use crate::config::problem::{Origin, Problem};
use dynowarden_core::limits;

/// Every section of the file and its keys; the first is the file's top level. `app.policy` and `app.rule`
/// have the keys of `policy` and `rule`.
pub const SECTIONS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "listen",
            "port",
            "public_url",
            "trusted_proxies",
            "dry_run",
            "log_format",
            "heroku",
            "drain",
            "tls",
            "admin",
            "hook",
            "store",
            "policy",
            "rule",
            "app",
            "notify",
        ],
    ),
    ("heroku", &["api_url", "api_key_file", "request_timeout", "status_url"]),
    (
        "drain",
        &["password_file", "old_password_file", "max_body", "max_connections", "statistics", "silent_after"],
    ),
    ("tls", &["cert", "key"]),
    ("admin", &["password_file"]),
    ("hook", &["key_file"]),
    ("store", &["url", "url_file", "keep"]),
    (
        "policy",
        &[
            "process_types",
            "cooldown",
            "max_restarts",
            "give_up_for",
            "max_concurrent",
            "settle",
            "min_uptime",
            "boot_timeout",
            "window",
        ],
    ),
    ("rule", &["name", "on", "count", "within", "above", "for", "do"]),
    (
        "app",
        &[
            "name",
            "drain_password_file",
            "old_drain_password_file",
            "drain_tokens",
            "process_types",
            "policy",
            "rule",
        ],
    ),
    (
        "notify",
        &[
            "type",
            "name",
            "url",
            "url_env",
            "url_file",
            "secret",
            "secret_env",
            "secret_file",
            "from",
            "to",
            "password_env",
            "password_file",
            "ca_file",
            "on",
            "apps",
            "group",
            "repeat",
            "digest",
        ],
    ),
];

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

/// Keys that people write for a secret, and what to use instead: a file of settings is copied, committed
/// and shown around.
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

/// The keys of `section`.
pub(super) fn keys_of(section: &str) -> &'static [&'static str] {
    let section = section.strip_prefix("app.").unwrap_or(section);
    SECTIONS.iter().find(|(name, _)| *name == section).map_or(&[], |(_, keys)| keys)
}

/// The variables that may hold the setting at `path`, the one that counts first.
pub(super) fn variables_of(path: &str) -> impl Iterator<Item = String> {
    let named = NAMED.iter().find(|(setting, _)| *setting == path).map(|(_, name)| (*name).to_owned());
    // One section deep: the tables of `rule`, `app` and `notify` have no names that a variable could use.
    let reachable = !["rule.", "app.", "notify."].iter().any(|list| path.starts_with(list));
    let general = reachable.then(|| format!("{PREFIX}{}", path.replace('.', "__").to_ascii_uppercase()));
    named.into_iter().chain(general)
}

/// Whether the variable `name` is one that settings are read from.
pub(super) fn is_variable(name: &str) -> bool {
    VARIABLES.contains(&name) || general_variables().any(|known| known == name)
}

fn general_variables() -> impl Iterator<Item = String> {
    all_paths().flat_map(|path| variables_of(&path).last())
}

/// Every setting that has a value: not the names of sections, which have keys instead.
fn all_paths() -> impl Iterator<Item = String> {
    SECTIONS.iter().flat_map(|(section, keys)| {
        let valued = keys.iter().filter(|key| !section.is_empty() || !is_plain_section(key));
        valued.map(|key| path(section, key))
    })
}

/// Whether `key` names a section that is one table; `rule`, `app` and `notify` are lists, which a variable
/// can hold.
fn is_plain_section(key: &str) -> bool {
    !matches!(key, "rule" | "app" | "notify") && SECTIONS.iter().any(|(section, _)| *section == key)
}

/// Whether a variable was made by an orchestrator and not by a user: for a service that is called
/// `dynowarden`, Kubernetes gives every container `DYNOWARDEN_SERVICE_HOST`, `DYNOWARDEN_PORT=tcp://…` and
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

/// The problem of a key that is not in its section. The value is not looked at: it could be a secret.
pub(super) fn unknown_key(section: &str, key: &str, origin: Origin) -> Problem {
    let setting = path(section, key);
    if let Some((_, instead)) = SECRETS.iter().find(|(secret, _)| *secret == setting) {
        let text = format!("secrets must not be stored in this file; use {instead}");
        return Problem::new(setting, origin, text);
    }
    let here = keys_of(section);
    let near = nearest(key, here.iter().map(|known| (*known).to_owned())).map(|known| path(section, &known));
    let elsewhere = || all_paths().find(|known| known.rsplit('.').next() == Some(key));
    let text = match near.or_else(elsewhere) {
        Some(meant) => format!("there is no such setting; did you mean {meant}?"),
        None if section.is_empty() => format!("there is no such setting; allowed: {}", here.join(", ")),
        None => format!("there is no such setting; allowed in {section}: {}", here.join(", ")),
    };
    Problem::new(typed(&setting), origin, text)
}

/// A name that a user made up, for a message: on one line, and no more of it than is needed.
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

/// The problem of a `DYNOWARDEN_…` variable that stands for nothing.
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

/// The candidate that `typed` is a slip of: one letter in four, at least one, may differ; `_`, `-` and
/// capitals do not count.
fn nearest(typed: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    let letters = |text: &str| -> Vec<char> {
        text.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
    };
    let typed = letters(typed);
    if typed.len() > KEY_LETTERS_MAX {
        return None;
    }
    let slips_max = (typed.len() / 4).clamp(1, 3);
    candidates
        .map(|known| (slips(&typed, &letters(&known)), known))
        .filter(|(slips, _)| *slips <= slips_max)
        .min()
        .map(|(_, known)| known)
}

/// No setting's name is nearly as long.
const KEY_LETTERS_MAX: usize = 64;

/// Levenshtein's distance: letters to add, to leave out or to change.
fn slips(one: &[char], other: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, from) in one.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, to) in other.iter().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::{is_service_link, is_variable, slips, unknown_key, unknown_variable};
    use crate::config::problem::Origin;

    #[test]
    fn slips_are_counted() {
        let count = |one: &str, other: &str| {
            slips(&one.chars().collect::<Vec<_>>(), &other.chars().collect::<Vec<_>>())
        };
        assert_eq!(count("cooldown", "cooldown"), 0);
        assert_eq!(count("coldown", "cooldown"), 1);
        assert_eq!(count("kitten", "sitting"), 3);
        assert_eq!(count("", "abc"), 3);
    }

    #[test]
    fn a_name_that_is_none_stays_on_one_line() {
        let origin = Origin::Variable("X".into());
        let problem = unknown_key("policy", "a\nb\u{1b}[31m", origin);
        assert_eq!(problem.setting(), "policy.a\\nb\\u{1b}[31m");
        for letter in ["x", "\u{14}", "ü"] {
            let problem = unknown_variable(&format!("DYNOWARDEN_\n{}", letter.repeat(10_000))).to_string();
            assert!(problem.len() < 600 && !problem.contains(char::is_control), "{problem}");
        }
    }

    #[test]
    fn a_key_that_is_not_there_names_the_one_that_was_meant() {
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
    fn a_variable_that_is_not_there_names_the_one_that_was_meant() {
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
    fn what_kubernetes_sets_is_not_ours() {
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
