//! The environment variables that settings are read from.

use crate::config::keys;

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
    "SLACK_URL",
    "TEAMS_URL",
    "DISCORD_URL",
    "PAGERDUTY_KEY",
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

/// The variables that may hold the setting at `path`, in order of precedence.
pub(super) fn variables_of(path: &str) -> impl Iterator<Item = String> {
    let named = NAMED.iter().find(|(setting, _)| *setting == path).map(|(_, name)| (*name).to_owned());
    // One section deep: the tables of `rule`, `app` and `notify` have no names that a variable could use.
    let reachable = !["rule.", "app.", "notify."].iter().any(|list| path.starts_with(list));
    let general = reachable.then(|| format!("{PREFIX}{}", path.replace('.', "__").to_ascii_uppercase()));
    named.into_iter().chain(general)
}

/// Whether the value of the variable `name` may be shown: it holds no secret, and no address, which may have
/// one in it.
pub(super) fn is_public(name: &str) -> bool {
    matches!(name, "HEROKU_APP" | "LOG_FORMAT" | "PORT" | "RUST_LOG")
        || name
            .strip_prefix(PREFIX)
            .is_some_and(|key| !key.ends_with("URL") && !["RULE", "APP", "NOTIFY"].contains(&key))
}

/// Whether settings are read from the variable `name`.
pub(super) fn is_variable(name: &str) -> bool {
    VARIABLES.contains(&name) || general_variables().any(|known| known == name)
}

pub(super) fn general_variables() -> impl Iterator<Item = String> {
    keys::all_paths().flat_map(|path| variables_of(&path).last())
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

#[cfg(test)]
mod tests {
    use super::{is_service_link, is_variable};

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
