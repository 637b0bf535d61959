//! Unknown settings, and what each probably meant.

use crate::config::env::{self, PREFIX, VARIABLES};
use crate::config::keys::{all_paths, keys_of, last, path};
use crate::config::problem::{Origin, Problem};
use dynowarden_core::limits;

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

/// The problem of an unknown key. Its value is not read: it could be a secret.
pub(super) fn unknown_key(section: &str, key: &str, origin: Origin) -> Problem {
    let setting = path(section, key);
    if let Some((_, instead)) = SECRETS.iter().find(|(secret, _)| *secret == setting) {
        let text = format!("secrets must not be stored in this file; use {instead}");
        return Problem::new(setting, origin, text);
    }
    let list = setting.split('.').next().filter(|list| ["rule", "app", "notify"].contains(list));
    if let (Origin::Argument, Some(list)) = (&origin, list) {
        // Of its tables, none has a name that an argument could use.
        let text =
            format!("a single key of a table cannot be set; allowed: {list}=[{{…}}], all tables as TOML");
        return Problem::new(typed(&setting), origin, text);
    }
    // An argument may name a section that does not exist.
    let section = if keys_of(section).is_empty() { "" } else { section };
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
        .or_else(|| of_table(&setting))
        .or_else(|| {
            // What all of them begin with says nothing about the rest.
            let rests =
                env::general_variables().filter_map(|known| Some(known.strip_prefix(PREFIX)?.to_owned()));
            nearest(rest, rests).map(|known| format!("{PREFIX}{known}"))
        });
    let text = match meant {
        Some(meant) => format!("there is no such setting; did you mean {meant}?"),
        None if !setting.is_empty() && !keys_of(&setting).is_empty() => {
            let keys: Vec<String> = keys_of(&setting).iter().map(|key| key.to_ascii_uppercase()).collect();
            format!("a section has no value of its own; allowed: {shown}__ and one of {}", keys.join(", "))
        }
        None => "there is no such setting; allowed: DYNOWARDEN_SECTION__KEY for a key of the settings file, \
                 such as DYNOWARDEN_POLICY__COOLDOWN or DYNOWARDEN_DRY_RUN"
            .to_owned(),
    };
    Problem::new(shown, origin, text)
}

/// The list that a variable of one of its keys stands for: the keys of its tables have no variables.
fn of_table(setting: &str) -> Option<String> {
    let (list, _) = setting.split_once('.')?;
    let example = match list {
        "app" => "DYNOWARDEN_APP, a list such as [{name=\"acme\"}], or HEROKU_APP",
        "notify" => "DYNOWARDEN_NOTIFY, a list such as [{type=\"slack\", url=\"https://…\"}], or SLACK_URL",
        "rule" => "DYNOWARDEN_RULE, a list such as [{name=\"slow\", on=[\"H12\"], count=20, do=\"notify\"}]",
        _ => return None,
    };
    Some(example.to_owned())
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
    use super::{unknown_key, unknown_variable};
    use crate::config::problem::Origin;

    #[test]
    fn an_argument_is_told_what_it_may_be() {
        let text = |section, key| unknown_key(section, key, Origin::Argument).to_string();
        assert_eq!(
            text("rule", "count"),
            "rule.count (command line): a single key of a table cannot be set; allowed: rule=[{…}], all tables as \
             TOML"
        );
        assert!(text("app.policy", "cooldown").contains("app=[{…}]"));
        assert!(
            text("POLICY", "COOLDOWN").contains("allowed: listen, port"),
            "{}",
            text("POLICY", "COOLDOWN")
        );
        assert!(text("", "cooldown").ends_with("did you mean policy.cooldown?"));
    }

    #[test]
    fn a_table_of_notifiers_in_variables_is_told_the_form_of_the_list() {
        let problem = unknown_variable("DYNOWARDEN_NOTIFY__URL").to_string();
        assert!(problem.contains("DYNOWARDEN_NOTIFY, a list such as [{type=\"slack\""), "{problem}");
    }

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
            ("store", "colour", "allowed in store: url, url_file, keep, keep_series"),
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
}
