//! Warnings of secrets that are easy to guess, or that people know whom they should not open anything to.

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::settings::{AppSettings, Settings};

/// Warns of short, well-known and shared secrets. No warning shows one.
pub(super) fn warnings(settings: &Settings) -> Vec<String> {
    let admin = [("ADMIN_PASSWORD", &settings.admin_password), ("HOOK_KEY", &settings.hook_key)];
    let admin = admin.into_iter().filter_map(|(name, secret)| Some((name.to_owned(), secret.as_ref()?)));
    let admin: Vec<(String, &SecretString)> = admin.collect();
    let drains = settings.apps.iter().flat_map(of_drain);
    let mut warnings = Vec::new();
    for (name, secret) in admin.iter().cloned().chain(drains) {
        let what = match secret.expose_secret() {
            text if is_well_known(text) => "is one of the first that an attacker tries",
            text if text.chars().count() < CHARS_LEAST => "is short, so it can be guessed",
            _ => continue,
        };
        let warning = format!("{name} {what}: `openssl rand -hex 16` prints a better one");
        // Apps that share a password have one warning.
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    let drains: Vec<&str> = settings
        .apps
        .iter()
        .flat_map(AppSettings::drain_passwords)
        .map(|held| held.expose_secret())
        .collect();
    for (name, _) in admin.iter().filter(|(_, secret)| drains.contains(&secret.expose_secret())) {
        warnings.push(format!(
            "{name} is also a drain password: everyone who can list the app's drains knows it"
        ));
    }
    if let [(_, password), (_, key)] = &*admin
        && password.expose_secret() == key.expose_secret()
    {
        let text = "HOOK_KEY is also ADMIN_PASSWORD: a monitor that only restarts dynos can read and pause \
                    everything";
        warnings.push(text.to_owned());
    }
    warnings
}

fn of_drain(app: &AppSettings) -> impl Iterator<Item = (String, &SecretString)> {
    let old = app.old_drain_password.as_ref().map(|secret| ("DRAIN_PASSWORD_OLD", secret));
    let all = app.drain_password.as_ref().map(|secret| ("DRAIN_PASSWORD", secret)).into_iter().chain(old);
    all.map(|(name, secret)| (format!("{name} (of {})", app.plan.name), secret))
}

/// Fewer can be tried one by one, and are words.
const CHARS_LEAST: usize = 12;

fn is_well_known(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let bare = text.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '!' | '-' | '_' | '.'));
    bare.is_empty() || WELL_KNOWN.contains(&bare)
}

/// Words of examples, of this program and of the lists that attackers start with, without the digits at their
/// ends.
const WELL_KNOWN: [&str; 22] = [
    "admin",
    "adminadmin",
    "administrator",
    "change-me",
    "changeit",
    "changeme",
    "correcthorsebatterystaple",
    "drain",
    "dynowarden",
    "heroku",
    "hook",
    "hunter",
    "letmein",
    "logplex",
    "p@ssw0rd",
    "pass",
    "passw0rd",
    "password",
    "qwerty",
    "qwertyuiop",
    "secret",
    "supersecret",
];

#[cfg(test)]
mod tests {
    use super::is_well_known;

    #[test]
    fn well_known_secrets_are_recognised() {
        for text in ["password", "Password123!", "12345678901234567890", "changeme"] {
            assert!(is_well_known(text), "{text}");
        }
        for text in ["adm1n-p4ssw0rd-3Vx-long", "0f4e62ab0c2d4c52", "my password"] {
            assert!(!is_well_known(text), "{text}");
        }
    }
}
