//! Series: an hour of a dyno in a row, and older ones in blocks.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, AnyPool, Row as _};

use crate::store::Store;
use crate::store::blocks::block_of;
use crate::store::error::StoreAway;
use dynowarden_core::days::history::AppHistory;
use dynowarden_core::days::pack::{self, HOURS_PER_BLOCK, Hour};
use dynowarden_core::ident::{AppName, DynoName, DynoRef};
use dynowarden_core::limits;

/// One part of an hour of a dyno, or of the app as a whole.
#[derive(Clone, Debug)]
pub struct HourRow {
    pub app: AppName,
    pub dyno: Option<DynoName>,
    /// Counted from the epoch.
    pub hour: i64,
    /// Different for each process and each time that it begins an hour.
    pub part: i64,
    /// Whether an earlier version of the part is in the store, and so the name of its series.
    pub is_known: bool,
    pub packed: Vec<u8>,
}

// === impl Store ===

impl Store {
    /// Writes parts of hours. Writing one again replaces it.
    ///
    /// # Errors
    /// The store is away. Some of the rows may be written.
    pub async fn save_hours(&self, rows: &[HourRow]) -> Result<(), StoreAway> {
        for rows in rows.chunks(limits::BULK_ROWS_PER_WRITE_MAX) {
            self.shared.in_transaction(async |to| save(rows, to).await).await?;
        }
        Ok(())
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
        let read = read(app, dyno, since, &self.shared.link.read);
        self.shared.reading(limits::SERIES_WAIT, read).await
    }
}

const NAME: &str = "\
    INSERT INTO dynowarden_series (series, app, dyno) VALUES ($1, $2, $3) ON CONFLICT (series) DO NOTHING";

/// A later version of a part replaces the earlier one, so a write whose answer was lost is repeated.
const SAVE: &str = "\
    INSERT INTO dynowarden_hours (series, hour, part, packed) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (series, hour, part) DO UPDATE SET packed = excluded.packed";

const APPS: &str = "SELECT DISTINCT app FROM dynowarden_series ORDER BY app";

/// One statement, or hours that are put into a block meanwhile would be read twice or not at all.
const READ: &str = "\
    SELECT s.dyno, 0 AS is_block, h.hour AS number, h.packed FROM dynowarden_series s \
    JOIN dynowarden_hours h ON h.series = s.series WHERE s.app = $1 AND h.hour >= $2 \
    UNION ALL \
    SELECT s.dyno, 1, b.block, b.packed FROM dynowarden_series s \
    JOIN dynowarden_blocks b ON b.series = s.series WHERE s.app = $1 AND b.block >= $3 \
    ORDER BY is_block DESC, number";

const READ_ONE: &str = "\
    SELECT s.dyno, 0 AS is_block, h.hour AS number, h.packed FROM dynowarden_series s \
    JOIN dynowarden_hours h ON h.series = s.series WHERE s.series IN ($1, $4) AND h.hour >= $2 \
    UNION ALL \
    SELECT s.dyno, 1, b.block, b.packed FROM dynowarden_series s \
    JOIN dynowarden_blocks b ON b.series = s.series WHERE s.series IN ($1, $4) AND b.block >= $3 \
    ORDER BY is_block DESC, number";

/// Looks into each series, as the key begins with it: an index by age would take as much room as the key.
pub(super) const OLD_HOURS: &str = "\
    DELETE FROM dynowarden_hours WHERE (series, hour, part) IN \
        (SELECT h.series, h.hour, h.part FROM dynowarden_series s \
         JOIN dynowarden_hours h ON h.series = s.series WHERE h.hour < $1 LIMIT $2)";

/// Writes the rows, in one transaction.
pub(super) async fn save(rows: &[HourRow], to: &mut AnyConnection) -> Result<(), sqlx::Error> {
    for row in rows {
        let dyno = row.dyno.as_ref().map(ToString::to_string).unwrap_or_default();
        let series = number(&row.app, &dyno);
        if !row.is_known {
            sqlx::query(NAME).bind(series).bind(row.app.as_str()).bind(dyno).execute(&mut *to).await?;
        }
        sqlx::query(SAVE)
            .bind(series)
            .bind(row.hour)
            .bind(row.part)
            .bind(row.packed.as_slice())
            .execute(&mut *to)
            .await?;
    }
    Ok(())
}

/// The apps that have series.
pub(super) async fn apps(pool: &AnyPool) -> Result<Vec<AppName>, sqlx::Error> {
    let rows = sqlx::query(APPS).fetch_all(pool).await?;
    let names = rows.iter().map(|row| row.try_get::<String, _>(0));
    // A name that is none was not written by this program.
    Ok(names.collect::<Result<Vec<_>, _>>()?.iter().filter_map(|name| name.parse().ok()).collect())
}

/// The series of an app, or of one of its dynos, from `since` on.
pub(super) async fn read(
    app: &AppName,
    dyno: Option<&DynoName>,
    since: Timestamp,
    pool: &AnyPool,
) -> Result<AppHistory, sqlx::Error> {
    let first = hour_of(since);
    let query = match dyno {
        None => sqlx::query(READ).bind(app.as_str()),
        Some(dyno) => sqlx::query(READ_ONE).bind(number(app, &dyno.to_string())),
    };
    let mut query = query.bind(first).bind(block_of(first));
    if dyno.is_some() {
        // What concerns the app as a whole: its releases.
        query = query.bind(number(app, ""));
    }
    let mut history = AppHistory::default();
    for row in query.fetch_all(pool).await? {
        let (name, is_block, number): (String, i64, i64) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let dyno = DynoRef::parse(name.as_bytes());
        if dyno.is_none() && !name.is_empty() {
            continue;
        }
        for (hour, steps) in hours(is_block != 0, number, &row.try_get::<Vec<u8>, _>(3)?) {
            if hour >= first {
                history.add_hour(dyno, hour, &steps);
            }
        }
    }
    Ok(history)
}

/// The hours of a row. What is damaged is a gap, and the rest is still true.
fn hours(is_block: bool, number: i64, packed: &[u8]) -> Vec<(i64, Hour)> {
    if !is_block {
        return pack::unpack(packed).map(|steps| (number, steps)).into_iter().collect();
    }
    let first = number * HOURS_PER_BLOCK;
    let block = pack::unpack_block(packed).unwrap_or_default();
    (first..).zip(block).filter(|(_, steps)| steps.iter().any(Option::is_some)).collect()
}

/// The hour of a time, counted from the epoch.
pub(super) fn hour_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3600)
}

/// The number of a series, which all replicas work out alike. It is short because every row has it.
fn number(app: &AppName, dyno: &str) -> i64 {
    let digest = Sha256::digest(format!("{app}\0{dyno}"));
    let first = digest.first_chunk().expect("a SHA-256 has 32 bytes");
    // 48 bits are six bytes in SQLite, and enough for two of ten million series to differ.
    i64::from_be_bytes(*first) & 0xffff_ffff_ffff
}
