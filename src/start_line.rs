//! The first line of the log: what is watched, whether anything is restarted, and who is told.

use crate::config::settings::{Database, Settings};
use dynowarden_core::limits;

/// What an operator wants to see confirmed, in one line.
pub(crate) fn start_line(settings: &Settings) -> String {
    let names: Vec<&str> = settings.apps.iter().map(|app| app.plan.name.as_str()).collect();
    let more = names.len().saturating_sub(limits::MESSAGE_NAMES_MAX);
    let mut watched = names.iter().take(limits::MESSAGE_NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
    if more > 0 {
        watched.push_str(&format!(" and {more} more"));
    }
    let is_dry = settings.apps.iter().any(|app| app.plan.dry_run);
    let mode = if is_dry { "dry run: nothing will be restarted" } else { "live: dynos will be restarted" };
    let page = if settings.admin_password.is_some() { "status page on" } else { "status page off" };
    let notifiers: Vec<&str> = settings.notifiers.iter().map(|notifier| &*notifier.name).collect();
    let told = match notifiers.as_slice() {
        [] => "no notifiers".to_owned(),
        names => format!("notifies {}", names.join(", ")),
    };
    let history = match &settings.database {
        Database::Memory => "history in memory, lost at exit".to_owned(),
        Database::Postgres(_) => "history in PostgreSQL".to_owned(),
        Database::Sqlite(path) => format!("history in {}", path.display()),
    };
    let public =
        settings.public_url.as_ref().map_or_else(String::new, |url| format!(" · at {}", url.page("")));
    format!("watching {watched} · {mode} · {page} · {told} · {history}{public}")
}

#[cfg(test)]
mod tests {
    use super::start_line;
    use crate::config::{self, Needs, Sources};

    #[track_caller]
    fn check(env: &[(&str, &str)], expect: &str) {
        let usual = [("HEROKU_API_KEY", "k"), ("DRAIN_PASSWORD", "canary")];
        let env: Vec<_> =
            usual.iter().chain(env).map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let read_file = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let sources = Sources { config: None, env: &env, read_file: &read_file };
        let settings = config::load(&sources, Needs::Serving).expect("settings");
        assert_eq!(start_line(&settings), expect);
    }

    #[test]
    fn the_start_line_says_what_is_watched_and_who_is_told() {
        check(
            &[
                ("HEROKU_APP", "acme,shop"),
                ("DYNOWARDEN_DRY_RUN", "true"),
                ("ADMIN_PASSWORD", "canary-admin"),
                ("SLACK_URL", "https://hooks.slack.com/services/canary"),
            ],
            "watching acme, shop · dry run: nothing will be restarted · status page on · notifies slack · \
             history in dynowarden.db",
        );
        check(
            &[("HEROKU_APP", "acme"), ("DATABASE_URL", "postgres://u:canary@h/d")],
            "watching acme · live: dynos will be restarted · status page off · no notifiers · history in \
             PostgreSQL",
        );
    }
}
