//! Lists the drains of an app when an unknown drain sends batches: at most once a minute for each app.
//!
//! The watchdog lists them too, on its own schedule. With each list comes a look at who has the app's name,
//! because another app that has taken it over sends batches of an unknown drain.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::app_ids::AppIds;
use crate::clock::Clock;
use crate::drain_tokens::DrainTokens;
use crate::driver::Handle;
use crate::heroku::{Answered, Heroku};
use dynowarden_core::ident::AppId;
use dynowarden_core::limits;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(super) struct DrainLister {
    pub(super) clock: Clock,
    pub(super) handle: Handle,
    pub(super) heroku: Heroku,
    pub(super) ids: Arc<AppIds>,
    pub(super) tokens: Arc<DrainTokens>,
}

impl DrainLister {
    pub(super) async fn run(self, shutdown: CancellationToken) {
        let mut calls = JoinSet::new();
        let mut asked: HashMap<AppId, Instant> = HashMap::new();
        // The last lists of all apps, for the bound on their number.
        let mut recent: VecDeque<Instant> = VecDeque::new();
        let mut waiting: BTreeSet<AppId> = BTreeSet::new();
        let every = self.clock.real(limits::DRAINS_ASKED_EVERY);
        loop {
            let now = Instant::now();
            recent.retain(|at| *at + every > now);
            let is_due = |app: &AppId| asked.get(app).is_none_or(|at| *at + every <= now);
            let room = limits::DRAIN_LISTS_PER_MINUTE.saturating_sub(recent.len());
            let due: Vec<AppId> = waiting.iter().filter(|app| is_due(app)).take(room).copied().collect();
            for app in due {
                waiting.remove(&app);
                asked.insert(app, now);
                recent.push_back(now);
                calls.spawn(self.clone().list(app));
            }
            let next = waiting.iter().filter_map(|app| asked.get(app)).chain(recent.front()).min();
            let wake = next.map_or(now + every, |at| *at + every).max(now + STEP);
            tokio::select! {
                () = shutdown.cancelled() => return,
                wanted = self.tokens.wanted() => waiting.extend(wanted),
                () = tokio::time::sleep_until(wake), if !waiting.is_empty() => {}
            }
            // Frees the memory of tasks that have ended.
            while calls.try_join_next().is_some() {}
        }
    }

    async fn list(self, app: AppId) {
        let asked_at = self.clock.now().mono;
        let target = self.ids.target(app);
        let Answered { value, tokens_remaining } = self.heroku.drains(&target).await;
        if let Some(remaining) = tokens_remaining {
            self.handle.api_tokens(remaining);
        }
        match value {
            Ok(drains) => {
                // Before the list, so that the batches that waited for it are told from the other app's.
                self.ids.look_at_name(app, &self.heroku).await;
                self.tokens.listed(app, &drains, asked_at);
            }
            Err(_) => self.tokens.list_failed(app, asked_at),
        }
    }
}

/// The shortest pause between two looks at what is due.
const STEP: Duration = Duration::from_millis(10);
