//! Requests by endpoint: half an hour of an app in a row.

use jiff::Timestamp;
use sqlx::{AnyConnection, AnyPool, Row as _};

use crate::store::Store;
use crate::store::error::StoreAway;
use dynowarden_core::days::evidence::counts::{WindowCounts, window_of};
use dynowarden_core::days::evidence::pack;
use dynowarden_core::ident::AppName;
use dynowarden_core::limits;

/// One part of half an hour of an app.
#[derive(Clone, Debug)]
pub struct WindowRow {
    pub app: AppName,
    /// Counted from the epoch.
    pub window: i64,
    /// Different for each process and each time that it begins a window.
    pub part: i64,
    pub packed: Vec<u8>,
}

// === impl Store ===

impl Store {
    /// Writes parts of windows. Writing one again replaces it.
    ///
    /// # Errors
    /// The store is away. Some of the rows may be written.
    pub async fn save_windows(&self, rows: &[WindowRow]) -> Result<(), StoreAway> {
        for rows in rows.chunks(limits::BULK_ROWS_PER_WRITE_MAX) {
            self.shared.in_transaction(async |to| save(rows, to).await).await?;
        }
        Ok(())
    }

    /// The requests of an app by endpoint, from `since` on.
    ///
    /// # Errors
    /// The store is away.
    pub async fn windows(&self, app: &AppName, since: Timestamp) -> Result<Vec<WindowCounts>, StoreAway> {
        self.shared.reading(limits::SERIES_WAIT, read(app, since, &self.shared.link.read)).await
    }
}

const SAVE: &str = "\
    INSERT INTO dynowarden_evidence (app, half_hour, part, packed) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (app, half_hour, part) DO UPDATE SET packed = excluded.packed";

const READ: &str = "\
    SELECT half_hour, packed FROM dynowarden_evidence WHERE app = $1 AND half_hour >= $2 ORDER BY half_hour";

pub(super) const OLD_WINDOWS: &str = "\
    DELETE FROM dynowarden_evidence WHERE (app, half_hour, part) IN \
        (SELECT app, half_hour, part FROM dynowarden_evidence WHERE half_hour < $1 LIMIT $2)";

/// Writes the rows, in one transaction.
async fn save(rows: &[WindowRow], to: &mut AnyConnection) -> Result<(), sqlx::Error> {
    for row in rows {
        sqlx::query(SAVE)
            .bind(row.app.as_str())
            .bind(row.window)
            .bind(row.part)
            .bind(row.packed.as_slice())
            .execute(&mut *to)
            .await?;
    }
    Ok(())
}

/// The windows of an app from `since` on.
pub(super) async fn read(
    app: &AppName,
    since: Timestamp,
    pool: &AnyPool,
) -> Result<Vec<WindowCounts>, sqlx::Error> {
    let mut windows = Vec::new();
    for row in sqlx::query(READ).bind(app.as_str()).bind(window_of(since)).fetch_all(pool).await? {
        let (window, packed): (i64, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
        // A damaged window is a gap, and the rest is still true.
        windows.extend(pack::unpack(window, &packed).ok());
    }
    Ok(windows)
}
