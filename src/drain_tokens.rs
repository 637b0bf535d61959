//! Which drain belongs to which app: for `POST /logs`, and to tell another app's batches from the app's own.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{Notify, watch};

use crate::config::settings::Settings;
use dynowarden_core::api::json::Drain;
use dynowarden_core::ident::{AppId, DrainToken};
use dynowarden_core::limits;
use dynowarden_core::origin::lists::{DrainLists, OwnDrains};

/// The known drain tokens, from the settings and from the API; shared behind an `Arc`. Times are `mono`.
#[derive(Debug, Default)]
pub struct DrainTokens {
    /// Counts the answers that change something.
    changes: watch::Sender<u64>,
    lists: RwLock<DrainLists>,
    seen: DashMap<AppId, Vec<DrainToken>>,
    /// Tokens that no list has, and when they were first seen.
    unknown: Mutex<VecDeque<(DrainToken, Duration)>>,
    wanted: Mutex<BTreeSet<AppId>>,
    wants: Notify,
}

/// A token that is unknown while some lists are older than its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlisted;

impl DrainTokens {
    /// The tokens of the settings; those of the API follow, app by app.
    pub fn new(settings: &Settings) -> Self {
        let own = settings.apps.iter().map(|app| OwnDrains {
            name: app.plan.name.clone(),
            passwords: [&app.drain_password, &app.old_drain_password]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            tokens: app.drain_tokens.clone(),
        });
        let lists = DrainLists::new(own.collect(), settings.public_url.clone());
        Self { lists: RwLock::new(lists), ..Self::default() }
    }

    pub fn app(&self, token: &DrainToken) -> Option<AppId> {
        self.read(|lists| lists.app(token))
    }

    /// The app that a drain belongs to; waits briefly for lists that are newer than the token, if that may
    /// help.
    ///
    /// # Errors
    /// The token is unknown and some list is older: a 404 would lose the batch permanently.
    pub async fn app_soon(&self, token: &DrainToken, now: Duration) -> Result<Option<AppId>, Unlisted> {
        let mut changes = self.changes.subscribe();
        let since = self.first_seen(token, now);
        let found = async {
            loop {
                changes.borrow_and_update();
                let found = self.app(token);
                if found.is_some() || self.want_lists_after(since) || changes.changed().await.is_err() {
                    return found;
                }
            }
        };
        tokio::time::timeout(limits::FIRST_LIST_WAIT, found).await.map_err(|_| Unlisted)
    }

    /// Asks for a list of an app's drains, as soon as it may be asked for again.
    pub fn want(&self, app: AppId) {
        lock(&self.wanted).insert(app);
        self.wants.notify_one();
    }

    /// The apps whose lists are wanted; waits for the first.
    pub async fn wanted(&self) -> BTreeSet<AppId> {
        loop {
            let wanted = std::mem::take(&mut *lock(&self.wanted));
            if !wanted.is_empty() {
                return wanted;
            }
            self.wants.notified().await;
        }
    }

    /// Counts the answers that may change the standing of a drain.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
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

    /// Forgets that a batch of the app came from this drain: it is another app's.
    pub(crate) fn forget(&self, app: AppId, token: &DrainToken) {
        if let Some(mut seen) = self.seen.get_mut(&app) {
            seen.retain(|known| known != token);
        }
    }

    /// Whether batches of this drain are known to be another app's.
    pub fn is_foreign(&self, app: AppId, token: &DrainToken) -> bool {
        self.read(|lists| lists.is_foreign(app, token))
    }

    /// Replaces an app's drains by those of a list that was asked for at `asked_at`, except for those of the
    /// settings.
    pub fn listed(&self, app: AppId, drains: &[Drain], asked_at: Duration) {
        self.write(|lists| lists.listed(app, drains, asked_at));
        // Last, so that a waiting caller finds the list.
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Notes that a list could not be fetched. The last one stays.
    pub fn list_failed(&self, app: AppId, asked_at: Duration) {
        self.write(|lists| lists.list_failed(app, asked_at));
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Whether every app's list was asked for at or after this time. If not, asks for the older ones, once
    /// each app has had its first.
    fn want_lists_after(&self, since: Duration) -> bool {
        let (older, had_answers) = self.read(|lists| {
            let apps = || (0..u32::try_from(lists.apps()).unwrap_or(u32::MAX)).map(AppId);
            let is_older = |app: &AppId| lists.asked_at(*app).is_none_or(|asked_at| asked_at < since);
            let older: Vec<AppId> = apps().filter(is_older).collect();
            (older, apps().all(|app| lists.had_answer(app)))
        });
        // The watchdog asks for the first lists.
        if had_answers {
            older.iter().for_each(|app| self.want(*app));
        }
        older.is_empty()
    }

    fn first_seen(&self, token: &DrainToken, now: Duration) -> Duration {
        let mut unknown = lock(&self.unknown);
        if let Some((_, at)) = unknown.iter().find(|(known, _)| known == token) {
            return *at;
        }
        if unknown.len() >= limits::UNKNOWN_TOKENS_MAX {
            unknown.pop_front();
        }
        unknown.push_back((token.clone(), now));
        now
    }

    fn read<T>(&self, look: impl FnOnce(&DrainLists) -> T) -> T {
        look(&self.lists.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut DrainLists) -> T) -> T {
        change(&mut self.lists.write().unwrap_or_else(PoisonError::into_inner))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::RwLock;
    use std::time::Duration;

    use super::{DrainTokens, Unlisted};
    use dynowarden_core::api::json::Drain;
    use dynowarden_core::ident::{AppId, DrainToken};
    use dynowarden_core::limits;
    use dynowarden_core::origin::lists::{DrainLists, OwnDrains};

    fn token(text: &str) -> DrainToken {
        text.parse().expect("a token")
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn of(apps: &[&str]) -> DrainTokens {
        let own = apps.iter().map(|name| OwnDrains {
            name: name.parse().expect("an app"),
            passwords: Vec::new(),
            tokens: Vec::new(),
        });
        let lists = RwLock::new(DrainLists::new(own.collect(), None));
        DrainTokens { lists, ..DrainTokens::default() }
    }

    fn list(tokens: &DrainTokens, app: u32, drains: &[&str], asked_at: u64) {
        let drain = |text: &&str| Drain {
            id: (*text).to_owned(),
            token: token(text),
            url: "https://elsewhere.example/".into(),
            of_addon: false,
        };
        let drains: Vec<Drain> = drains.iter().map(drain).collect();
        tokens.listed(AppId(app), &drains, secs(asked_at));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_unknown_only_once_all_lists_are_newer() {
        let tokens = of(&["acme", "other"]);
        list(&tokens, 0, &["d.one"], 1);
        assert_eq!(tokens.app_soon(&token("d.one"), secs(2)).await, Ok(Some(AppId(0))));
        assert_eq!(tokens.app_soon(&token("d.two"), secs(2)).await, Err(Unlisted));
        let wanted = token("d.two");
        let (found, ()) = tokio::join!(tokens.app_soon(&wanted, secs(2)), async {
            tokio::task::yield_now().await;
            list(&tokens, 1, &["d.two"], 3);
        });
        assert_eq!(found, Ok(Some(AppId(1))));
        // A failure proves nothing, and the lists of all apps are asked for again.
        tokens.list_failed(AppId(0), secs(4));
        assert_eq!(tokens.app_soon(&token("d.three"), secs(5)).await, Err(Unlisted));
        assert_eq!(tokens.wanted().await, [AppId(0), AppId(1)].into());
        list(&tokens, 0, &["d.one"], 6);
        list(&tokens, 1, &["d.two"], 6);
        assert_eq!(tokens.app_soon(&token("d.three"), secs(9)).await, Ok(None));
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
