//! Which drain belongs to which app, by the settings and by the API's lists.

use std::collections::HashMap;
use std::time::Duration;

use secrecy::SecretString;

use crate::api::json::Drain;
use crate::drain_url::PublicUrl;
use crate::health::alert::HealthAlert;
use crate::health::drains;
use crate::ident::{AppId, AppName, DrainToken};
use crate::limits;
use crate::shares;

/// The known drains. Times are `mono`.
///
/// Bounded by its sources: each app has a handful of drains.
#[derive(Debug, Default)]
pub struct DrainLists {
    apps: HashMap<DrainToken, Known>,
    /// Drains of other apps that sent batches under an app's name, and when that was last reported.
    foreign: HashMap<AppId, HashMap<DrainToken, Duration>>,
    lists: HashMap<AppId, List>,
    own: Vec<OwnDrains>,
    public_url: Option<PublicUrl>,
}

/// What makes a drain the app's own.
#[derive(Debug)]
pub struct OwnDrains {
    /// The name in the settings.
    pub name: AppName,
    pub passwords: Vec<SecretString>,
    /// Drains that are the app's own, whatever the API lists.
    pub tokens: Vec<DrainToken>,
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

impl DrainLists {
    /// The tokens of the settings; those of the API follow, app by app.
    pub fn new(own: Vec<OwnDrains>, public_url: Option<PublicUrl>) -> Self {
        let mut apps = HashMap::new();
        for (app, of_app) in (0_u32..).map(AppId).zip(&own) {
            for token in &of_app.tokens {
                apps.insert(token.clone(), Known { app, fixed: true });
            }
        }
        Self { apps, own, public_url, ..Self::default() }
    }

    /// The number of watched apps.
    pub fn apps(&self) -> usize {
        self.own.len()
    }

    /// The app that a drain belongs to.
    pub fn app(&self, token: &DrainToken) -> Option<AppId> {
        self.apps.get(token).map(|known| known.app)
    }

    /// When the last list of an app that came was asked for.
    pub fn asked_at(&self, app: AppId) -> Option<Duration> {
        self.lists.get(&app)?.asked_at
    }

    /// Whether the API has answered a question about an app's drains, or failed to.
    pub fn had_answer(&self, app: AppId) -> bool {
        self.lists.contains_key(&app)
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
        let list = self.lists.get(&app).copied().unwrap_or_default();
        if list.asked_at.is_some_and(|asked_at| asked_at >= arrived) {
            return if list.has_own { Standing::Foreign } else { unclear };
        }
        let is_fresh = |failed_at: Duration| {
            failed_at >= arrived || now.saturating_sub(failed_at) < limits::DRAINS_ASKED_EVERY
        };
        if list.failed_at.is_some_and(is_fresh) { unclear } else { Standing::Unknown }
    }

    /// Notes that batches of this drain are another app's; returns what has to be reported.
    pub fn note_foreign(&mut self, app: AppId, token: &DrainToken, now: Duration) -> Option<HealthAlert> {
        let foreign = self.foreign.entry(app).or_default();
        let told = foreign.get(token).copied();
        if told.is_some_and(|at| now.saturating_sub(at) < limits::FOREIGN_DRAIN_REPORT_EVERY) {
            return None;
        }
        let share = shares::of_app(limits::UNKNOWN_TOKENS_MAX, self.own.len());
        if foreign.len() >= share && told.is_none() {
            foreign.clear();
        }
        foreign.insert(token.clone(), now);
        let owner = self.app(token).and_then(|owner| self.own.get(owner.0 as usize));
        let owner = owner.map(|owner| owner.name.clone());
        Some(HealthAlert::ForeignDrain { drain: token.clone(), owner })
    }

    /// Whether batches of this drain are known to be another app's.
    pub fn is_foreign(&self, app: AppId, token: &DrainToken) -> bool {
        self.foreign.get(&app).is_some_and(|foreign| foreign.contains_key(token))
    }

    /// Replaces an app's drains by those of a list that was asked for at `asked_at`, except for those of the
    /// settings.
    pub fn listed(&mut self, app: AppId, drains: &[Drain], asked_at: Duration) {
        self.apps.retain(|token, known| {
            known.app != app || known.fixed || drains.iter().any(|drain| drain.token == *token)
        });
        for drain in drains {
            self.apps.entry(drain.token.clone()).or_insert(Known { app, fixed: false });
            if let Some(foreign) = self.foreign.get_mut(&app) {
                foreign.remove(&drain.token);
            }
        }
        let has_own = drains.iter().any(|drain| self.is_own(app, drain));
        let asked_at = self.asked_at(app).max(Some(asked_at));
        self.lists.insert(app, List { asked_at, has_own, failed_at: None });
    }

    /// Notes that a list could not be fetched. The last one stays.
    pub fn list_failed(&mut self, app: AppId, asked_at: Duration) {
        let list = self.lists.entry(app).or_default();
        list.failed_at = list.failed_at.max(Some(asked_at));
    }

    fn is_own(&self, app: AppId, drain: &Drain) -> bool {
        let is_fixed = self.apps.get(&drain.token).is_some_and(|known| known.fixed && known.app == app);
        is_fixed
            || self.own.get(app.0 as usize).is_some_and(|own| {
                drains::leads_here(drain, &own.name, &own.passwords, self.public_url.as_ref())
            })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::SecretString;

    use super::{DrainLists, OwnDrains, Standing};
    use crate::api::json::Drain;
    use crate::drain_url::PublicUrl;
    use crate::ident::{AppId, DrainToken};

    fn token(text: &str) -> DrainToken {
        text.parse().expect("a token")
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn of(apps: &[&str], fixed: &[&str], public_url: Option<PublicUrl>) -> DrainLists {
        let own = apps.iter().enumerate().map(|(place, name)| OwnDrains {
            name: name.parse().expect("an app"),
            passwords: vec![SecretString::from("p")],
            tokens: fixed.iter().filter(|_| place == 0).map(|text| token(text)).collect(),
        });
        DrainLists::new(own.collect(), public_url)
    }

    fn drain(text: &str, url: &str) -> Drain {
        Drain { id: text.to_owned(), token: token(text), url: url.into(), of_addon: false }
    }

    fn list(lists: &mut DrainLists, app: u32, drains: &[&str], asked_at: u64) {
        let drains: Vec<Drain> =
            drains.iter().map(|text| drain(text, "https://elsewhere.example/")).collect();
        lists.listed(AppId(app), &drains, secs(asked_at));
    }

    #[test]
    fn the_api_adds_and_removes_tokens_but_not_those_of_the_settings() {
        let mut lists = of(&["acme", "other"], &["d.set"], None);
        list(&mut lists, 0, &["d.one", "d.two"], 1);
        list(&mut lists, 1, &["d.other", "d.set"], 1);
        list(&mut lists, 0, &["d.two", "d.three"], 2);
        lists.list_failed(AppId(0), secs(3));
        for (text, expect) in [
            ("d.set", Some(0)),
            ("d.one", None),
            ("d.two", Some(0)),
            ("d.three", Some(0)),
            ("d.other", Some(1)),
            ("d.unknown", None),
        ] {
            assert_eq!(lists.app(&token(text)), expect.map(AppId), "{text}");
        }
    }

    #[test]
    fn only_a_list_that_is_newer_than_the_batch_calls_a_token_foreign() {
        let ours = "https://x:p@warden.example.com/logs/acme";
        let (counts, known) = (Standing::Counts { is_known: false }, Standing::Counts { is_known: true });
        let mut lists = of(&["acme", "beta"], &[], None);
        let standing = |lists: &DrainLists, text: &str, arrived| {
            lists.standing(AppId(0), Some(&token(text)), secs(arrived), secs(arrived + 1))
        };
        assert_eq!(standing(&lists, "d.new", 5), Standing::Unknown);
        // No drain of the list leads here: other users' drains, a wrong password, a wrong path.
        let others =
            ["https://logs.example/", "https://x:q@w.example/logs/acme", "https://x:p@w.example/logs/b"];
        let others: Vec<Drain> = others.iter().map(|url| drain("d.a", url)).collect();
        lists.listed(AppId(0), &others, secs(6));
        assert_eq!((standing(&lists, "d.new", 5), standing(&lists, "d.new", 7)), (counts, Standing::Unknown));
        lists.listed(AppId(0), &[drain("d.own", ours), drain("d.a", "https://logs.example/")], secs(10));
        for (text, arrived, expect) in [
            ("d.own", 5, known),
            // Every drain of the app is its own.
            ("d.a", 20, known),
            ("d.new", 9, Standing::Foreign),
            ("d.new", 10, Standing::Foreign),
            ("d.new", 11, Standing::Unknown),
        ] {
            assert_eq!(standing(&lists, text, arrived), expect, "{text} {arrived}");
        }
        assert_eq!(lists.standing(AppId(0), None, secs(11), secs(11)), counts);
        // Another watched app's, however old its list is.
        list(&mut lists, 1, &["d.beta"], 1);
        assert_eq!(standing(&lists, "d.beta", 100), Standing::Foreign);
        // While no list can be fetched, it counts; a minute later that has to be tried again.
        lists.list_failed(AppId(0), secs(30));
        assert_eq!((standing(&lists, "d.new", 29), standing(&lists, "d.new", 80)), (counts, counts));
        assert_eq!(standing(&lists, "d.new", 90), Standing::Unknown);
    }

    #[test]
    fn a_drain_of_the_settings_or_at_the_public_url_is_the_apps_own() {
        for (text, url, is_own) in [
            ("d.1", "https://x:p@warden.example.com/logs/acme", true),
            ("d.1", "https://x:p@other.example.com/logs/acme", false),
            ("d.set", "https://logs.example/", true),
        ] {
            let mut lists = of(&["acme"], &["d.set"], PublicUrl::parse("https://warden.example.com"));
            lists.listed(AppId(0), &[drain(text, url)], secs(5));
            let standing = lists.standing(AppId(0), Some(&token("d.new")), secs(4), secs(6));
            assert_eq!(standing == Standing::Foreign, is_own, "{text} {url}");
        }
    }
}
