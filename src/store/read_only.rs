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
        self.link.within(limits::STORE_WAIT, history::read(filter, &self.link.read)).await
    }

    pub async fn close(self) {
        self.link.close().await;
    }
}
