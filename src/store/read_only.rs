//! Read-only access to the decision history, alongside a running daemon.

use crate::config::settings::Database;
use crate::store::database::{Access, Link};
use crate::store::error::{StoreAway, StoreError};
use crate::store::history::{self, Filter, Page};
use dynowarden_core::limits;

#[derive(Debug)]
pub struct ReadOnlyStore {
    link: Link,
}

impl ReadOnlyStore {
    /// Opens the store read-only, alongside a daemon that may be writing; creates and changes nothing.
    ///
    /// # Errors
    /// It cannot be read, or no daemon has ever used it.
    pub async fn open(database: &Database) -> Result<Self, StoreError> {
        Ok(Self { link: Link::open(database, Access::Read).await? })
    }

    /// One page of decision history, newest first.
    ///
    /// # Errors
    /// The store is away.
    pub async fn decisions(&self, filter: &Filter) -> Result<Page, StoreAway> {
        let place = self.link.place.clone();
        let page = tokio::time::timeout(limits::STORE_WAIT, async {
            let mut connection = self.link.read.acquire().await?;
            history::read(filter, &mut connection).await
        });
        match page.await {
            Ok(Ok(page)) => Ok(page),
            Ok(Err(error)) => Err(StoreAway { what: place.what(&error).into(), place }),
            Err(_) => Err(StoreAway { place, what: "no response in time".into() }),
        }
    }

    pub async fn close(self) {
        self.link.close().await;
    }
}
