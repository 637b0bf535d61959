//! Maps drains to apps, for `POST /logs`.

use std::collections::{BTreeSet, HashSet};

use dashmap::DashMap;
use tokio::sync::watch;

use crate::config::settings::Settings;
use dynowarden_core::ident::{AppId, DrainToken};
use dynowarden_core::limits;

/// The known drain tokens, from the settings and from the API; shared behind an `Arc`.
///
/// Bounded by its sources: each app has a handful of drains.
#[derive(Debug, Default)]
pub struct DrainTokens {
    apps: DashMap<DrainToken, Known>,
    seen: DashMap<AppId, Vec<DrainToken>>,
    /// Apps whose drains have not been listed since startup.
    unlisted: watch::Sender<BTreeSet<AppId>>,
}

/// A token that is unknown while some apps' drains are not listed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlisted;

#[derive(Clone, Copy, Debug)]
struct Known {
    app: AppId,
    /// From the settings: it stays, whatever the API lists.
    fixed: bool,
}

impl DrainTokens {
    /// The tokens of the settings; those of the API follow, app by app.
    pub fn new(settings: &Settings) -> Self {
        let tokens = Self::default();
        for (app, of_app) in (0_u32..).zip(&settings.apps) {
            tokens.unlisted.send_if_modified(|unlisted| unlisted.insert(AppId(app)));
            for token in &of_app.drain_tokens {
                tokens.apps.insert(token.clone(), Known { app: AppId(app), fixed: true });
            }
        }
        tokens
    }

    pub fn app(&self, token: &DrainToken) -> Option<AppId> {
        self.apps.get(token).map(|known| known.app)
    }

    /// The app that a drain belongs to; waits briefly for the first lists after startup if that may help.
    ///
    /// # Errors
    /// The token is unknown and not all drains are listed yet: a 404 would lose the batch permanently.
    pub async fn app_soon(&self, token: &DrainToken) -> Result<Option<AppId>, Unlisted> {
        let mut unlisted = self.unlisted.subscribe();
        let found = async {
            loop {
                let all_listed = unlisted.borrow_and_update().is_empty();
                let found = self.app(token);
                if found.is_some() || all_listed || unlisted.changed().await.is_err() {
                    return found;
                }
            }
        };
        tokio::time::timeout(limits::FIRST_LIST_WAIT, found).await.map_err(|_| Unlisted)
    }

    /// Notes that a batch of the app came from this drain.
    pub fn note(&self, app: AppId, token: &DrainToken) {
        let is_known = self.seen.get(&app).is_some_and(|seen| seen.contains(token));
        if is_known {
            return;
        }
        let mut seen = self.seen.entry(app).or_default();
        if seen.len() >= limits::DRAINS_SEEN_MAX {
            seen.remove(0);
        }
        seen.push(token.clone());
    }

    /// The drains that sent batches of the app.
    pub fn seen_of(&self, app: AppId) -> Vec<DrainToken> {
        self.seen.get(&app).map(|seen| seen.clone()).unwrap_or_default()
    }

    /// Replaces an app's drains by those that the API lists, except for those of the settings.
    pub fn replace(&self, app: AppId, listed: impl IntoIterator<Item = DrainToken>) {
        let listed: HashSet<DrainToken> = listed.into_iter().collect();
        self.apps.retain(|token, known| known.app != app || known.fixed || listed.contains(token));
        for token in listed {
            self.apps.entry(token).or_insert(Known { app, fixed: false });
        }
        // Last, so that a waiting caller finds the list.
        self.unlisted.send_if_modified(|unlisted| unlisted.remove(&app));
    }
}

#[cfg(test)]
mod tests {
    use super::{DrainTokens, Known, Unlisted};
    use dynowarden_core::ident::{AppId, DrainToken};
    use dynowarden_core::limits;

    fn token(text: &str) -> DrainToken {
        text.parse().expect("a token")
    }

    #[test]
    fn the_api_adds_and_removes_tokens_but_not_those_of_the_settings() {
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

    #[tokio::test(start_paused = true)]
    async fn a_token_is_unknown_only_once_all_drains_are_listed() {
        let tokens = DrainTokens::default();
        tokens.unlisted.send_modify(|unlisted| unlisted.extend([AppId(0), AppId(1)]));
        tokens.replace(AppId(0), [token("d.one")]);
        assert_eq!(tokens.app_soon(&token("d.one")).await, Ok(Some(AppId(0))));
        assert_eq!(tokens.app_soon(&token("d.two")).await, Err(Unlisted));
        let wanted = token("d.two");
        let (found, ()) = tokio::join!(tokens.app_soon(&wanted), async {
            tokio::task::yield_now().await;
            tokens.replace(AppId(1), [token("d.two")]);
        });
        assert_eq!(found, Ok(Some(AppId(1))));
        assert_eq!(tokens.app_soon(&token("d.three")).await, Ok(None));
    }

    #[test]
    fn the_drains_of_an_app_are_limited() {
        let tokens = DrainTokens::default();
        for place in 0..2 * limits::DRAINS_SEEN_MAX {
            tokens.note(AppId(0), &token(&format!("d.{place}")));
            tokens.note(AppId(0), &token(&format!("d.{place}")));
        }
        let seen = tokens.seen_of(AppId(0));
        assert_eq!((seen.len(), &seen[0]), (limits::DRAINS_SEEN_MAX, &token("d.8")));
        assert!(tokens.seen_of(AppId(1)).is_empty());
    }
}
