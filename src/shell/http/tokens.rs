//! Which drain belongs to which app: what `POST /logs` goes by.

use std::collections::HashSet;

use dashmap::DashMap;

use crate::config::settings::Settings;
use crate::ident::{AppId, DrainToken};

/// The drain tokens that are known, from the settings and from the API; shared behind an `Arc`.
///
/// Bounded by what it is fed from: each app has a handful of drains.
#[derive(Debug, Default)]
pub struct DrainTokens {
    apps: DashMap<DrainToken, Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    app: AppId,
    /// A token of the settings stays, whatever the API says.
    fixed: bool,
}

impl DrainTokens {
    /// The tokens of the settings.
    pub fn new(settings: &Settings) -> Self {
        let tokens = Self::default();
        for (app, of_app) in (0_u32..).zip(&settings.apps) {
            for token in &of_app.drain_tokens {
                tokens.apps.insert(token.clone(), Known { app: AppId(app), fixed: true });
            }
        }
        tokens
    }

    /// The app that a drain belongs to.
    pub fn app(&self, token: &DrainToken) -> Option<AppId> {
        self.apps.get(token).map(|known| known.app)
    }

    /// Takes over what the API lists as the drains of an app: others of that app are forgotten, except
    /// those of the settings.
    pub fn replace(&self, app: AppId, listed: impl IntoIterator<Item = DrainToken>) {
        let listed: HashSet<DrainToken> = listed.into_iter().collect();
        self.apps.retain(|token, known| known.app != app || known.fixed || listed.contains(token));
        for token in listed {
            self.apps.entry(token).or_insert(Known { app, fixed: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DrainTokens, Known};
    use crate::ident::{AppId, DrainToken};

    fn token(text: &str) -> DrainToken {
        text.parse().expect("a token")
    }

    #[test]
    fn the_api_adds_and_removes_but_not_what_is_set() {
        let tokens = DrainTokens::default();
        tokens.apps.insert(token("d.set"), Known { app: AppId(0), fixed: true });
        tokens.replace(AppId(0), [token("d.one"), token("d.two")]);
        tokens.replace(AppId(1), [token("d.other"), token("d.set")]);
        tokens.replace(AppId(0), [token("d.two"), token("d.three")]);
        for (text, expect) in [
            ("d.set", Some(0)),
            ("d.one", None),
            ("d.two", Some(0)),
            ("d.three", Some(0)),
            ("d.other", Some(1)),
            ("d.unknown", None),
        ] {
            assert_eq!(tokens.app(&token(text)), expect.map(AppId), "{text}");
        }
    }
}
