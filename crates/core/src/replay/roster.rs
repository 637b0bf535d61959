//! The apps of a replay, from the archive and the command line.

use std::collections::HashMap;

use crate::ident::{AppName, DrainToken};
use crate::limits;

/// The apps of a replay, in the order of their appearance.
#[derive(Debug)]
pub struct Roster {
    apps: Vec<AppName>,
    /// Apps with their own settings.
    configured: Vec<AppName>,
    /// The app of lines that name none.
    default: AppName,
    /// `--app`: all lines are this app's, unless they clearly belong to another.
    only: bool,
    /// The one system whose lines belong to the requested app.
    stand_in: Option<Box<[u8]>>,
    /// The first drain token, which names no app.
    token: Option<Box<[u8]>>,
    systems: HashMap<Box<[u8]>, Option<usize>>,
}

// === impl Roster ===

impl Roster {
    /// `named` is `--app`. Without it, lines without an app belong to the only configured app, else to `app`.
    pub fn new(named: Option<AppName>, configured: Vec<AppName>) -> Self {
        let only = named.is_some();
        let default = named.unwrap_or_else(|| match configured.as_slice() {
            [app] => app.clone(),
            _ => "app".parse().expect("`app` is letters only"),
        });
        Self {
            apps: Vec::new(),
            configured,
            default,
            only,
            stand_in: None,
            token: None,
            systems: HashMap::new(),
        }
    }

    /// Notes a system that a later line names, so that no other system is taken for the requested app.
    pub fn announce(&mut self, system: &[u8]) {
        if self.only && self.default.as_str().as_bytes() == system {
            self.settle_on(system);
        }
    }

    pub fn app(&self, place: usize) -> &AppName {
        &self.apps[place]
    }

    /// The place of the app of a line from this system; none for a line to be left out.
    pub fn place(&mut self, system: Option<&[u8]>) -> Option<usize> {
        let Some(system) = system else {
            let default = self.default.clone();
            return self.enlist(default);
        };
        if let Some(place) = self.systems.get(system) {
            return *place;
        }
        let place = self.app_of(system).and_then(|app| self.enlist(app));
        // Past the limit a system is looked up again each time, which is slow and gives the same result.
        if self.systems.len() < limits::REPLAY_APPS_MAX {
            self.systems.insert(system.into(), place);
        }
        place
    }

    /// With `--app`, a system of that name is the app. So is the first system that is no app of the settings,
    /// because people choose their own system names.
    fn app_of(&mut self, system: &[u8]) -> Option<AppName> {
        if let Some(app) = self.app_of_token(system) {
            return app;
        }
        let name = str::from_utf8(system).ok().and_then(|name| name.parse::<AppName>().ok());
        if !self.only {
            return Some(name.unwrap_or_else(|| self.default.clone()));
        }
        let is_it = name.as_ref() == Some(&self.default);
        let is_other = name.is_some_and(|name| self.configured.contains(&name));
        if !is_it && (is_other || self.stand_in.is_some()) {
            return None;
        }
        self.settle_on(system);
        Some(self.default.clone())
    }

    /// The app of the drain with this token: the requested or only app for the first of a file, and apps of
    /// their own for others. None for what is no token.
    #[expect(clippy::option_option, reason = "the inner one is a line to be left out")]
    fn app_of_token(&mut self, system: &[u8]) -> Option<Option<AppName>> {
        let token: DrainToken = str::from_utf8(system).ok()?.parse().ok()?;
        let first = self.token.get_or_insert_with(|| system.into());
        if **first == *system {
            return Some(Some(self.default.clone()));
        }
        if self.only {
            return Some(None);
        }
        let uuid = token.as_str().strip_prefix("d.").and_then(|uuid| uuid.parse().ok());
        Some(Some(uuid.unwrap_or_else(|| self.default.clone())))
    }

    fn settle_on(&mut self, system: &[u8]) {
        if let Some(other) = self.stand_in.replace(system.into())
            && *other != *system
        {
            self.systems.insert(other, None);
        }
    }

    fn enlist(&mut self, app: AppName) -> Option<usize> {
        if let Some(place) = self.apps.iter().position(|known| *known == app) {
            return Some(place);
        }
        if self.apps.len() >= limits::REPLAY_APPS_MAX {
            return None;
        }
        self.apps.push(app);
        Some(self.apps.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::Roster;
    use crate::limits;

    fn names(names: &[&str]) -> Vec<crate::ident::AppName> {
        names.iter().map(|name| name.parse().expect("a name")).collect()
    }

    #[track_caller]
    fn check(named: Option<&str>, configured: &[&str], lines: &[Option<&str>], expect: &[Option<&str>]) {
        let named = named.map(|name| name.parse().expect("a name"));
        let mut roster = Roster::new(named, names(configured));
        let apps: Vec<Option<String>> = lines
            .iter()
            .map(|system| {
                let place = roster.place(system.map(str::as_bytes))?;
                Some(roster.app(place).to_string())
            })
            .collect();
        assert_eq!(apps.iter().map(Option::as_deref).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn lines_without_an_app_belong_to_the_only_app() {
        check(None, &[], &[None], &[Some("app")]);
        check(None, &["acme"], &[None], &[Some("acme")]);
        check(None, &["acme", "beta"], &[None], &[Some("app")]);
        check(Some("gamma"), &["acme"], &[None], &[Some("gamma")]);
    }

    #[test]
    fn a_system_is_an_app_unless_an_app_is_requested() {
        check(
            None,
            &["acme"],
            &[Some("beta"), Some("acme"), Some("My App"), None, Some("beta")],
            &[Some("beta"), Some("acme"), Some("acme"), Some("acme"), Some("beta")],
        );
    }

    #[test]
    fn a_requested_app_has_one_system() {
        check(
            Some("acme"),
            &[],
            &[Some("acme"), Some("beta"), Some("acme")],
            &[Some("acme"), None, Some("acme")],
        );
        check(
            Some("acme"),
            &[],
            &[Some("cliffs-1"), Some("beta"), None],
            &[Some("acme"), None, Some("acme")],
        );
        // The exact name takes precedence over the first other system.
        check(
            Some("acme"),
            &[],
            &[Some("beta"), Some("acme"), Some("beta")],
            &[Some("acme"), Some("acme"), None],
        );
        let mut roster = Roster::new(names(&["acme"]).pop(), Vec::new());
        for system in [&b"beta"[..], b"acme"] {
            roster.announce(system);
        }
        assert_eq!([roster.place(Some(b"beta")), roster.place(Some(b"acme"))], [None, Some(0)]);
        check(Some("acme"), &["beta"], &[Some("beta"), Some("cliffs-1")], &[None, Some("acme")]);
    }

    #[test]
    fn drain_tokens_name_no_app_and_tell_apps_apart() {
        let (one, two) = (Some("d.fc6b856b-3332-4546"), Some("d.0c6b856b-3332-4546"));
        check(
            None,
            &["acme"],
            &[one, Some("acme"), two, one],
            &[Some("acme"), Some("acme"), Some("0c6b856b-3332-4546"), Some("acme")],
        );
        check(None, &[], &[one, None], &[Some("app"), Some("app")]);
        check(
            Some("acme"),
            &[],
            &[one, Some("acme"), two, Some("beta")],
            &[Some("acme"), Some("acme"), None, None],
        );
    }

    #[test]
    fn the_number_of_apps_is_limited() {
        let mut roster = Roster::new(None, Vec::new());
        for place in 0..limits::REPLAY_APPS_MAX {
            assert_eq!(roster.place(Some(format!("a{place}").as_bytes())), Some(place));
        }
        assert_eq!(roster.place(Some(b"one-more")), None);
        assert_eq!(roster.place(Some(b"a7")), Some(7));
    }
}
