//! Whose batches count: judged by whose the drains truly are, and by what the API said of them.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use dynowarden_core::engine::foreign::Foreign;
use dynowarden_core::ident::DrainToken;
use dynowarden_core::time::since;

use crate::invariants::hold;

/// Who sent a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    Own,
    Other,
}

#[derive(Debug, Default)]
pub struct Senders {
    /// The watched app of each drain; none for a drain of another app.
    owners: HashMap<DrainToken, Option<usize>>,
    /// The first drain of each app.
    first: HashMap<usize, DrainToken>,
    /// The last list of each app that came, and whether a drain on it leads here.
    lists: HashMap<usize, (Vec<DrainToken>, bool)>,
    /// When the last list of an app that failed was asked for and when that was known, unless one came since.
    failed: HashMap<usize, (Timestamp, Timestamp)>,
    /// When people were told of a drain of another app.
    told: HashMap<(usize, DrainToken), Timestamp>,
}

impl Senders {
    /// A drain is created.
    pub fn created(&mut self, token: DrainToken, owner: Option<usize>) {
        if let Some(app) = owner {
            self.first.entry(app).or_insert_with(|| token.clone());
        }
        self.owners.insert(token, owner);
    }

    pub fn first(&self, app: usize) -> Option<DrainToken> {
        self.first.get(&app).cloned()
    }

    /// A list of an app's drains reached the daemon.
    pub fn listed(&mut self, app: usize, tokens: Vec<DrainToken>, has_own: bool) {
        for token in &tokens {
            self.told.remove(&(app, token.clone()));
        }
        self.failed.remove(&app);
        self.lists.insert(app, (tokens, has_own));
    }

    pub fn list_failed(&mut self, app: usize, asked_at: Timestamp, now: Timestamp) {
        let asked_at = self.failed.get(&app).map_or(asked_at, |(known, _)| asked_at.max(*known));
        self.failed.insert(app, (asked_at, now));
    }

    /// Another process knows no drains.
    pub fn died(&mut self) {
        (self.lists, self.failed, self.told) = (HashMap::new(), HashMap::new(), HashMap::new());
    }

    pub fn of(&self, app: usize, drain: Option<&DrainToken>) -> Sender {
        let owner = drain.and_then(|drain| self.owners.get(drain));
        // Batches without a token come through the proxy of the app itself.
        if owner.is_none_or(|owner| *owner == Some(app)) { Sender::Own } else { Sender::Other }
    }

    /// People are told of a drain of another app: once, and again after hours.
    pub fn told(&mut self, app: usize, drain: Option<&DrainToken>, now: Timestamp) -> Result<(), String> {
        let Some(drain) = drain else { return Err("a drain without a token is told".to_owned()) };
        hold!(
            self.of(app, Some(drain)) == Sender::Other || !self.is_listed(app, drain),
            "{drain} is told, and is the app's own"
        );
        let before = self.told.insert((app, drain.clone()), now);
        hold!(before.is_none_or(|at| since(at, now) >= TOLD_EVERY), "{drain} is told again");
        Ok(())
    }

    fn is_listed(&self, app: usize, drain: &DrainToken) -> bool {
        self.lists.get(&app).is_some_and(|(tokens, _)| tokens.contains(drain))
    }

    /// A batch is held as another app's. `exists` says whether its drain is one of the app's now, `is_taken`
    /// whether another app has the app's name.
    pub fn held(
        &mut self,
        (app, drain): (usize, Option<&DrainToken>),
        origin: &Foreign,
        (exists, is_taken): (bool, bool),
        now: Timestamp,
    ) -> Result<Sender, String> {
        let sender = self.of(app, drain);
        match (origin, drain) {
            (Foreign::Drain { .. }, Some(drain)) => {
                hold!(!exists, "a batch of the app's own drain {drain} is held");
                let told = self.told.get(&(app, drain.clone()));
                hold!(
                    told.is_some_and(|at| since(*at, now) < TOLD_EVERY),
                    "{drain} is held, and nobody was told"
                );
            }
            (Foreign::Drain { .. }, None) => return Err("a batch without a token is held".to_owned()),
            (Foreign::OtherApp, drain) => {
                hold!(is_taken, "a batch is held for an app that has not taken the name");
                // Of an unknown drain or none, nobody can tell whose it is.
                let is_listed = drain.is_some_and(|drain| self.is_listed(app, drain));
                hold!(!is_listed, "a batch of a listed drain is held for another app");
            }
        }
        Ok(sender)
    }

    /// A batch counts.
    pub fn counted(
        &self,
        (app, drain): (usize, Option<&DrainToken>),
        now: Timestamp,
    ) -> Result<Sender, String> {
        let (Some(drain), Sender::Other) = (drain, self.of(app, drain)) else { return Ok(Sender::Own) };
        let elsewhere = self.lists.iter().find(|(of, (tokens, _))| **of != app && tokens.contains(drain));
        if let Some((of, _)) = elsewhere {
            return Err(format!("a batch of {drain} counts, which is listed for app-{of}"));
        }
        // Nobody could tell: no list came, or the app's list shows no drain of ours.
        let is_away = self
            .failed
            .get(&app)
            .is_some_and(|(asked_at, told_at)| *told_at == now || since(*asked_at, now) < ASKED_EVERY);
        let has_own = self.lists.get(&app).is_some_and(|(_, has_own)| *has_own);
        let has_list = self.lists.contains_key(&app);
        hold!(is_away || (has_list && !has_own), "a batch of {drain} counts, a drain of another app");
        Ok(Sender::Other)
    }

    /// A batch counts because the daemon stops, and no list will come any more.
    pub fn released(&self, (app, drain): (usize, Option<&DrainToken>)) -> Result<Sender, String> {
        let sender = self.of(app, drain);
        let is_told = drain.is_some_and(|drain| self.told.contains_key(&(app, drain.clone())));
        hold!(
            sender == Sender::Own || !is_told,
            "at a stop, a batch counts that is known to be another app's"
        );
        Ok(sender)
    }
}

const TOLD_EVERY: Duration = Duration::from_secs(4 * 3600);

/// How often a list is asked for.
const ASKED_EVERY: Duration = Duration::from_secs(60);
