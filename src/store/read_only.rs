//! Read-only access to the decision history, alongside a running daemon.

use jiff::Timestamp;

use crate::config::settings::Database;
use crate::store::database::{Access, Link};
use crate::store::error::{StoreAway, StoreError, StoreLocation};
use crate::store::history::{self, Filter, Page};
use crate::store::past::GIVEN_UP;
use crate::store::rows::timestamp;
use crate::store::{evidence, series};
use dynowarden_core::days::evidence::counts::WindowCounts;
use dynowarden_core::days::history::AppHistory;
use dynowarden_core::ident::{AppName, DynoName};
use dynowarden_core::limits;

#[derive(Debug)]
pub struct ReadOnlyStore {
    link: Link,
}

/// A dyno that is not restarted, because restarts did not help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GiveUp {
    pub app: String,
    pub dyno: String,
    /// Unless a release comes first.
    pub until: Timestamp,
}

impl ReadOnlyStore {
    /// Opens the store read-only, alongside a daemon that may be writing; creates and changes nothing.
    ///
    /// # Errors
    /// It cannot be read, or no daemon has ever used it.
    pub async fn open(database: &Database) -> Result<Self, StoreError> {
        Ok(Self { link: Link::open(database, Access::Read).await? })
    }

    /// Where it is, without a secret.
    pub fn place(&self) -> &StoreLocation {
        &self.link.place
    }

    /// One page of decision history, newest first.
    ///
    /// # Errors
    /// The store is away.
    pub async fn decisions(&self, filter: &Filter) -> Result<Page, StoreAway> {
        self.link.within(limits::STORE_WAIT, history::read(filter, &self.link.read)).await
    }

    /// The give-ups in force, except for releases since.
    ///
    /// # Errors
    /// The store is away.
    pub async fn give_ups(&self, now: Timestamp) -> Result<Vec<GiveUp>, StoreAway> {
        let rows = async {
            let rows: Vec<(String, String, i64, i64, Option<i64>, i64)> =
                sqlx::query_as(GIVEN_UP).bind(now.as_microsecond()).fetch_all(&self.link.read).await?;
            let given_up = rows.into_iter().map(|(app, dyno, _, until, _, _)| GiveUp {
                app,
                dyno,
                until: timestamp(until),
            });
            Ok(given_up.collect())
        };
        self.link.within(limits::STORE_WAIT, rows).await
    }

    /// The apps that have series.
    ///
    /// # Errors
    /// The store is away.
    pub async fn series_apps(&self) -> Result<Vec<AppName>, StoreAway> {
        self.link.within(limits::STORE_WAIT, series::apps(&self.link.read)).await
    }

    /// The series of an app, or of one of its dynos, from `since` on.
    ///
    /// # Errors
    /// The store is away.
    pub async fn series(
        &self,
        app: &AppName,
        dyno: Option<&DynoName>,
        since: Timestamp,
    ) -> Result<AppHistory, StoreAway> {
        self.link.within(limits::SERIES_WAIT, series::read(app, dyno, since, &self.link.read)).await
    }

    /// The requests of an app by endpoint, from `since` on.
    ///
    /// # Errors
    /// The store is away.
    pub async fn windows(&self, app: &AppName, since: Timestamp) -> Result<Vec<WindowCounts>, StoreAway> {
        self.link.within(limits::SERIES_WAIT, evidence::read(app, since, &self.link.read)).await
    }

    pub async fn close(self) {
        self.link.close().await;
    }
}
