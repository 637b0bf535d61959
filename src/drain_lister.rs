//! Lists the drains of an app when an unknown drain sends batches.
//!
//! The watchdog lists them too, on its own schedule. With each list comes a look at who has the app's name,
//! because another app that has taken it over sends batches of an unknown drain.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app_ids::AppIds;
use crate::clock::Clock;
use crate::drain_tokens::DrainTokens;
use crate::driver::Handle;
use crate::heroku::{Answered, Heroku};
use dynowarden_core::ident::AppId;
use dynowarden_core::origin::schedule::ListSchedule;
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
        let mut schedule = ListSchedule::default();
        loop {
            let now = self.clock.now().mono;
            for app in schedule.due(now) {
                calls.spawn(self.clone().list(app));
            }
            let next = schedule.next(now);
            let span = next.map_or(Duration::ZERO, |at| self.clock.real(at.saturating_sub(now))).max(STEP);
            tokio::select! {
                () = shutdown.cancelled() => return,
                wanted = self.tokens.wanted() => schedule.want(wanted),
                () = tokio::time::sleep(span), if next.is_some() => {}
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
