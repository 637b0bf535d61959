//! Blocks of series: four hours of a dyno in a row, made of the rows of its hours once they are over.
//!
//! A row of one hour takes half as much again on disk for its key and its place in the index. So hours are
//! written one by one as they pass, by each replica its own, and put together later by one of them.

use std::time::Duration;

use sqlx::{AnyConnection, Row as _};

use crate::store::dialect::Dialect;
use dynowarden_core::days::pack::{self, Block, HOURS_PER_BLOCK};
use dynowarden_core::limits;

/// Looks into each series, as the key begins with it.
pub(super) const OLD_BLOCKS: &str = "\
    DELETE FROM dynowarden_blocks WHERE (series, block) IN \
        (SELECT b.series, b.block FROM dynowarden_series s \
         JOIN dynowarden_blocks b ON b.series = s.series WHERE b.block < $1 LIMIT $2)";

const FOLDABLE: &str = "\
    SELECT series, MIN(hour) FROM dynowarden_hours WHERE hour < $1 GROUP BY series LIMIT $2";

/// Two replicas never get the same rows, as those that are gone are not returned.
const TAKE: &str = "\
    DELETE FROM dynowarden_hours WHERE series = $1 AND hour >= $2 AND hour < $3 RETURNING hour, packed";

const READ: &str = "SELECT packed FROM dynowarden_blocks WHERE series = $1 AND block = $2";

const SAVE: &str = "\
    INSERT INTO dynowarden_blocks (series, block, packed) VALUES ($1, $2, $3) \
    ON CONFLICT (series, block) DO UPDATE SET packed = excluded.packed";

const LENGTHS: &str = "\
    SELECT block, CAST(LENGTH(packed) AS BIGINT) FROM dynowarden_blocks \
    WHERE series = $1 ORDER BY block DESC";

const FORGET: &str = "DELETE FROM dynowarden_blocks WHERE series = $1 AND block <= $2";

/// A block that two replicas change at once would lose what one of them adds.
const LOCK: &str = "SELECT pg_try_advisory_xact_lock($1)";

/// Any number but that of another lock.
const FOLD_LOCK: i64 = 0x6479_6e6f_666f_6c64;

/// Puts hours of blocks that are over together, at most one block of a series, and keeps each series within
/// its bound. `hour` is the present one. Returns the number of rows that are gone.
pub(super) async fn fold(
    dialect: Dialect,
    keep: Duration,
    hour: i64,
    to: &mut AnyConnection,
) -> Result<u64, sqlx::Error> {
    if dialect == Dialect::Postgres {
        let is_ours: bool = sqlx::query_scalar(LOCK).bind(FOLD_LOCK).fetch_one(&mut *to).await?;
        if !is_ours {
            return Ok(0);
        }
    }
    let end = block_of(hour - limits::FOLD_AFTER_HOURS) * HOURS_PER_BLOCK;
    let most = i64::try_from(limits::BLOCKS_PER_FOLD_MAX).unwrap_or(i64::MAX);
    let mut gone = 0;
    for row in sqlx::query(FOLDABLE).bind(end).bind(most).fetch_all(&mut *to).await? {
        let (series, first): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        gone += fold_block(series, block_of(first), to).await?;
        gone += forget_oldest(series, keep, to).await?;
    }
    Ok(gone)
}

/// The block of an hour, both counted from the epoch.
pub(super) fn block_of(hour: i64) -> i64 {
    hour.div_euclid(HOURS_PER_BLOCK)
}

async fn fold_block(series: i64, block: i64, to: &mut AnyConnection) -> Result<u64, sqlx::Error> {
    let first = block * HOURS_PER_BLOCK;
    let rows = sqlx::query(TAKE).bind(series).bind(first).bind(first + HOURS_PER_BLOCK);
    let rows = rows.fetch_all(&mut *to).await?;
    // Of lines that came late; a damaged one is a gap.
    let known = sqlx::query(READ).bind(series).bind(block).fetch_optional(&mut *to).await?;
    let known = known.map(|row| row.try_get::<Vec<u8>, _>(0)).transpose()?;
    let mut steps = known.and_then(|packed| pack::unpack_block(&packed).ok()).unwrap_or_default();
    for row in &rows {
        let (hour, packed): (i64, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
        add(hour - first, &packed, &mut steps);
    }
    let packed = pack::pack_block(&steps);
    sqlx::query(SAVE).bind(series).bind(block).bind(packed).execute(to).await?;
    Ok(rows.len() as u64)
}

/// Adds a part of the hour in that place. A damaged one is a gap, and the rest is still true.
fn add(place: i64, packed: &[u8], to: &mut Block) {
    let place = usize::try_from(place).ok();
    let (Some(hour), Ok(steps)) = (place.and_then(|place| to.get_mut(place)), pack::unpack(packed)) else {
        return;
    };
    for (known, step) in hour.iter_mut().zip(steps) {
        if let Some(step) = step {
            known.get_or_insert_default().merge(&step);
        }
    }
}

/// What a row with so much packed in it takes of SQLite's pages, which do not share a row that fits into one,
/// and of the index. A row of PostgreSQL takes about as much.
fn on_disk(octets: i64) -> i64 {
    const PAGE: i64 = 4096;
    const ROOM: i64 = 4080;
    const HEAD: i64 = 24;
    const KEY: i64 = 40;
    let row = octets + HEAD;
    let share = if row > ROOM { row.div_euclid(ROOM) * PAGE + PAGE } else { PAGE / (ROOM / row) };
    share + KEY
}

/// Deletes the oldest blocks of a series that is past its bound.
async fn forget_oldest(series: i64, keep: Duration, to: &mut AnyConnection) -> Result<u64, sqlx::Error> {
    let days = keep.max(limits::KEEP_SERIES).as_secs().div_ceil(86_400);
    let mut left = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(limits::SERIES_DAY_OCTETS_MAX);
    for row in sqlx::query(LENGTHS).bind(series).fetch_all(&mut *to).await? {
        let (block, octets): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        left -= on_disk(octets);
        if left < 0 {
            return Ok(sqlx::query(FORGET).bind(series).bind(block).execute(to).await?.rows_affected());
        }
    }
    Ok(0)
}
