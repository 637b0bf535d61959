//! Which drain belongs to which app: for `POST /logs`, and to tell another app's batches from the app's own.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use secrecy::SecretString;
use tokio::sync::{Notify, watch};

use crate::config::settings::Settings;
use dynowarden_core::api::json::Drain;
use dynowarden_core::drain_url::PublicUrl;
use dynowarden_core::health::drains;
use dynowarden_core::ident::{AppId, AppName, DrainToken};
use dynowarden_core::limits;

/// The known drain tokens, from the settings and from the API; shared behind an `Arc`. Times are `mono`.
///
/// Bounded by its sources: each app has a handful of drains.
#[derive(Debug, Default)]
pub struct DrainTokens {
    apps: DashMap<DrainToken, Known>,
    /// Counts the answers that change something.
    changes: watch::Sender<u64>,
    /// Drains of other apps that sent batches under an app's name, and when that was last reported.
    foreign: DashMap<(AppId, DrainToken), Duration>,
    lists: DashMap<AppId, List>,
    own: Vec<OwnDrains>,
    public_url: Option<PublicUrl>,
    seen: DashMap<AppId, Vec<DrainToken>>,
    /// Tokens that no list has, and when they were first seen.
    unknown: Mutex<VecDeque<(DrainToken, Duration)>>,
    wanted: Mutex<BTreeSet<AppId>>,
    wants: Notify,
}

/// What makes a drain the app's own.
#[derive(Debug)]
struct OwnDrains {
    name: AppName,
    passwords: Vec<SecretString>,
}

/// The last answers about an app's drains.
#[derive(Clone, Copy, Debug, Default)]
struct List {
    /// When the last list that came was asked for.
    asked_at: Option<Duration>,
    /// Whether one of its drains leads here.
    has_own: bool,
    /// When the last question that failed was asked, unless a list came since.
    failed_at: Option<Duration>,
}

/// A token that is unknown while some lists are older than its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlisted;

/// What is known about the sender of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its batches count.
    Counts {
        /// Whether the API or the settings say that it is the app's own.
        is_known: bool,
    },
    Foreign,
    /// A list that is asked for from now on will show it.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    app: AppId,
    /// From the settings: it stays, whatever the API lists.
    fixed: bool,
}

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
        });
        let public_url = settings.public_url.clone();
        let tokens = Self { own: own.collect(), public_url, ..Self::default() };
        for (app, of_app) in (0_u32..).zip(&settings.apps) {
            for token in &of_app.drain_tokens {
                tokens.apps.insert(token.clone(), Known { app: AppId(app), fixed: true });
            }
        }
        tokens
    }

    pub fn app(&self, token: &DrainToken) -> Option<AppId> {
        self.apps.get(token).map(|known| known.app)
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

    /// Judges the sender of a batch of `app` that arrived at `arrived`.
    pub fn standing(
        &self,
        app: AppId,
        token: Option<&DrainToken>,
        arrived: Duration,
        now: Duration,
    ) -> Standing {
        let unclear = Standing::Counts { is_known: false };
        let Some(token) = token else { return unclear };
        match self.app(token) {
            Some(owner) if owner == app => return Standing::Counts { is_known: true },
            Some(_) => return Standing::Foreign,
            None => {}
        }
        let list = self.lists.get(&app).map(|list| *list).unwrap_or_default();
        if list.asked_at.is_some_and(|asked_at| asked_at >= arrived) {
            return if list.has_own { Standing::Foreign } else { unclear };
        }
        let is_fresh = |failed_at: Duration| {
            failed_at >= arrived || now.saturating_sub(failed_at) < limits::DRAINS_ASKED_EVERY
        };
        if list.failed_at.is_some_and(is_fresh) { unclear } else { Standing::Unknown }
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

    /// Counts the answers that may change a [`standing`](Self::standing).
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

    /// Notes that batches of this drain are another app's; true if that has to be reported.
    pub fn note_foreign(&self, app: AppId, token: &DrainToken, now: Duration) -> bool {
        if let Some(mut seen) = self.seen.get_mut(&app) {
            seen.retain(|known| known != token);
        }
        if self.foreign.len() >= limits::UNKNOWN_TOKENS_MAX {
            self.foreign.clear();
        }
        let mut is_news = false;
        let mut reported = self.foreign.entry((app, token.clone())).or_insert_with(|| {
            is_news = true;
            now
        });
        if now.saturating_sub(*reported) >= limits::FOREIGN_DRAIN_REPORT_EVERY {
            is_news = true;
            *reported = now;
        }
        is_news
    }

    /// Whether batches of this drain are known to be another app's.
    pub fn is_foreign(&self, app: AppId, token: &DrainToken) -> bool {
        !self.foreign.is_empty() && self.foreign.contains_key(&(app, token.clone()))
    }

    /// Replaces an app's drains by those of a list that was asked for at `asked_at`, except for those of the
    /// settings.
    pub fn listed(&self, app: AppId, drains: &[Drain], asked_at: Duration) {
        self.apps.retain(|token, known| {
            known.app != app || known.fixed || drains.iter().any(|drain| drain.token == *token)
        });
        for drain in drains {
            self.apps.entry(drain.token.clone()).or_insert(Known { app, fixed: false });
            self.foreign.remove(&(app, drain.token.clone()));
        }
        let has_own = drains.iter().any(|drain| self.is_own(app, drain));
        let mut list = self.lists.entry(app).or_default();
        let asked_at = list.asked_at.max(Some(asked_at));
        *list = List { asked_at, has_own, failed_at: None };
        drop(list);
        // Last, so that a waiting caller finds the list.
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Notes that a list could not be fetched. The last one stays.
    pub fn list_failed(&self, app: AppId, asked_at: Duration) {
        let mut list = self.lists.entry(app).or_default();
        list.failed_at = list.failed_at.max(Some(asked_at));
        drop(list);
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn is_own(&self, app: AppId, drain: &Drain) -> bool {
        let is_fixed = self.apps.get(&drain.token).is_some_and(|known| known.fixed && known.app == app);
        is_fixed
            || self.own.get(app.0 as usize).is_some_and(|own| {
                drains::leads_here(drain, &own.name, &own.passwords, self.public_url.as_ref())
            })
    }

    /// Whether every app's list was asked for at or after this time. If not, asks for the older ones, once
    /// each app has had its first.
    fn want_lists_after(&self, since: Duration) -> bool {
        let asked_at = |app: AppId| self.lists.get(&app).and_then(|list| list.asked_at);
        let apps = || (0..u32::try_from(self.own.len()).unwrap_or(u32::MAX)).map(AppId);
        let is_older = |app: &AppId| asked_at(*app).is_none_or(|asked_at| asked_at < since);
        if !apps().any(|app| is_older(&app)) {
            return true;
        }
        // The watchdog asks for the first lists.
        let had_answer = |app: AppId| self.lists.contains_key(&app);
        if apps().all(had_answer) {
            apps().filter(is_older).for_each(|app| self.want(app));
        }
        false
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
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::SecretString;

    use super::{DrainTokens, Known, OwnDrains, Standing, Unlisted};
    use dynowarden_core::api::json::Drain;
    use dynowarden_core::ident::{AppId, DrainToken};
    use dynowarden_core::limits;

    fn token(text: &str) -> DrainToken {
        text.parse().expect("a token")
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn of(apps: &[&str]) -> DrainTokens {
        let own = apps.iter().map(|name| OwnDrains {
            name: name.parse().expect("an app"),
            passwords: vec![SecretString::from("p")],
        });
        DrainTokens { own: own.collect(), ..DrainTokens::default() }
    }

    fn drain(text: &str, url: &str) -> Drain {
        Drain { id: text.to_owned(), token: token(text), url: url.into(), of_addon: false }
    }

    fn list(tokens: &DrainTokens, app: u32, drains: &[&str], asked_at: u64) {
        let drains: Vec<Drain> =
            drains.iter().map(|text| drain(text, "https://elsewhere.example/")).collect();
        tokens.listed(AppId(app), &drains, secs(asked_at));
    }

    #[test]
    fn the_api_adds_and_removes_tokens_but_not_those_of_the_settings() {
        let tokens = of(&["acme", "other"]);
        tokens.apps.insert(token("d.set"), Known { app: AppId(0), fixed: true });
        list(&tokens, 0, &["d.one", "d.two"], 1);
        list(&tokens, 1, &["d.other", "d.set"], 1);
        list(&tokens, 0, &["d.two", "d.three"], 2);
        tokens.list_failed(AppId(0), secs(3));
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

    #[test]
    fn only_a_list_that_is_newer_than_the_batch_calls_a_token_foreign() {
        let ours = "https://x:p@warden.example.com/logs/acme";
        let (counts, known) = (Standing::Counts { is_known: false }, Standing::Counts { is_known: true });
        let tokens = of(&["acme", "beta"]);
        let standing = |text: &str, arrived| {
            tokens.standing(AppId(0), Some(&token(text)), secs(arrived), secs(arrived + 1))
        };
        assert_eq!(standing("d.new", 5), Standing::Unknown);
        // No drain of the list leads here: other users' drains, a wrong password, a wrong path.
        let others =
            ["https://logs.example/", "https://x:q@w.example/logs/acme", "https://x:p@w.example/logs/b"];
        let others: Vec<Drain> = others.iter().map(|url| drain("d.a", url)).collect();
        tokens.listed(AppId(0), &others, secs(6));
        assert_eq!((standing("d.new", 5), standing("d.new", 7)), (counts, Standing::Unknown));
        tokens.listed(AppId(0), &[drain("d.own", ours), drain("d.a", "https://logs.example/")], secs(10));
        for (text, arrived, expect) in [
            ("d.own", 5, known),
            // Every drain of the app is its own.
            ("d.a", 20, known),
            ("d.new", 9, Standing::Foreign),
            ("d.new", 10, Standing::Foreign),
            ("d.new", 11, Standing::Unknown),
        ] {
            assert_eq!(standing(text, arrived), expect, "{text} {arrived}");
        }
        assert_eq!(tokens.standing(AppId(0), None, secs(11), secs(11)), counts);
        // Another watched app's, however old its list is.
        list(&tokens, 1, &["d.beta"], 1);
        assert_eq!(standing("d.beta", 100), Standing::Foreign);
        // While no list can be fetched, it counts; a minute later that has to be tried again.
        tokens.list_failed(AppId(0), secs(30));
        assert_eq!((standing("d.new", 29), standing("d.new", 80)), (counts, counts));
        assert_eq!(standing("d.new", 90), Standing::Unknown);
    }

    #[test]
    fn a_drain_of_the_settings_or_at_the_public_url_is_the_apps_own() {
        let mut tokens = of(&["acme"]);
        tokens.public_url = dynowarden_core::drain_url::PublicUrl::parse("https://warden.example.com");
        for (text, url, is_own) in [
            ("d.1", "https://x:p@warden.example.com/logs/acme", true),
            ("d.1", "https://x:p@other.example.com/logs/acme", false),
            ("d.set", "https://logs.example/", true),
        ] {
            tokens.apps.insert(token("d.set"), Known { app: AppId(0), fixed: true });
            tokens.listed(AppId(0), &[drain(text, url)], secs(5));
            let standing = tokens.standing(AppId(0), Some(&token("d.new")), secs(4), secs(6));
            assert_eq!(standing == Standing::Foreign, is_own, "{text} {url}");
        }
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
