//! Moves what was written from SQLite's log (WAL) into its file, beside the connection that writes.
//!
//! By itself, SQLite does so with the commit that makes the log long, which waits until it is done. That
//! commit may be a restart's claim.

use sqlx::{AnyPool, Row as _};
use tokio_util::sync::CancellationToken;

use crate::store::database::Link;
use crate::store::dialect::Dialect;
use dynowarden_core::limits;

/// Moves it every now and then, until `end`.
pub(super) async fn run(link: &Link, end: &CancellationToken) {
    if link.dialect != Dialect::Sqlite || link.is_memory {
        return;
    }
    while end.run_until_cancelled(tokio::time::sleep(limits::CHECKPOINT_EVERY)).await.is_some() {
        // What is wrong with the file also shows in the next commit, which reports it.
        let _failed = end.run_until_cancelled(move_all(&link.read)).await;
    }
}

/// Moves all of the log, so that the next commit begins at its start again. What is written meanwhile is left
/// for the next pass, which is short.
async fn move_all(on: &AnyPool) -> Result<(), sqlx::Error> {
    for _ in 0..PASSES_MAX {
        let row = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(on).await?;
        let (written, moved): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
        if moved >= written {
            break;
        }
    }
    Ok(())
}

const PASSES_MAX: usize = 2;
