//! The one task that writes to the store, keeps it within its bounds and checks whether it is there.

use std::slice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sqlx::AnyConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::store::error::{Kind, StoreAway};
use crate::store::rows::{Row, WriteContext, span_micros};
use crate::store::state::StoreInner;
use crate::store::{blocks, checkpoint, evidence, series};
use dynowarden_core::limits;

/// Writes until `end`, and then the remaining rows, once.
pub(super) async fn run(shared: Arc<StoreInner>, end: CancellationToken) {
    tokio::join!(write_all(&shared, &end), checkpoint::run(&shared.link, &end));
    shared.link.close().await;
}

async fn write_all(shared: &StoreInner, end: &CancellationToken) {
    let mut pruned: Option<Instant> = None;
    let mut written = Instant::now();
    loop {
        let has_ended = end.is_cancelled();
        let mut is_there = if shared.queue.is_empty() { ask(shared).await } else { write(shared).await };
        if has_ended && (!is_there || shared.queue.is_empty()) {
            break;
        }
        if shared.prune_now.swap(false, Ordering::Relaxed) {
            pruned = None;
        }
        if is_there && pruned.is_none_or(|at| at.elapsed() >= limits::PRUNE_RECORD_EVERY) {
            match prune_some(shared).await {
                Ok(0) => pruned = Some(Instant::now()),
                // There may be more.
                Ok(_) => pruned = None,
                Err(_) => is_there = false,
            }
        }
        if !is_there {
            let _ended = end.run_until_cancelled(tokio::time::sleep(limits::STORE_TRY_EVERY)).await;
        } else if pruned.is_some() {
            tokio::select! {
                () = end.cancelled() => {}
                () = shared.went_away.notified() => {}
                () = shared.queue.ready(written + limits::HISTORY_WRITE_EVERY) => written = Instant::now(),
                () = tokio::time::sleep(limits::STORE_ASK_EVERY) => {}
            }
        }
    }
}

/// Whether the store is there: can be read, and if it was away, can be written.
async fn ask(shared: &StoreInner) -> bool {
    let question = if shared.away.borrow().is_some() {
        sqlx::query("UPDATE dynowarden_schema SET version = version")
    } else {
        sqlx::query("SELECT COUNT(*) FROM dynowarden_schema")
    };
    shared.within(limits::STORE_WAIT, question.execute(&shared.link.write)).await.is_ok()
}

/// Writes one batch; false if the store is away.
async fn write(shared: &StoreInner) -> bool {
    let rows = shared.queue.take();
    match shared.within(limits::STORE_WAIT, write_rows(shared, &rows)).await {
        Ok(()) => {
            shared.queue.written(&rows);
            true
        }
        Err(away) if away.kind == Kind::Data => write_singly(shared, rows).await,
        Err(_) => {
            shared.queue.put_back(rows);
            false
        }
    }
}

async fn write_rows(shared: &StoreInner, rows: &[Row]) -> Result<(), sqlx::Error> {
    let mut transaction = shared.begin().await?;
    let db_time = shared.db_time(&mut transaction, shared.wall()).await?;
    let by = WriteContext { holder: &shared.holder, ahead: db_time.ahead };
    for row in rows {
        row.write(&mut transaction, by).await?;
    }
    transaction.commit().await
}

/// The database will never accept one of these rows: drops that one and writes the others.
async fn write_singly(shared: &StoreInner, rows: Vec<Row>) -> bool {
    let mut unwritten = Vec::new();
    for row in rows {
        if !unwritten.is_empty() {
            unwritten.push(row);
            continue;
        }
        let single = slice::from_ref(&row);
        match shared.within(limits::STORE_WAIT, write_rows(shared, single)).await {
            Ok(()) => shared.queue.written(single),
            Err(away) if away.kind == Kind::Data => {
                warn!("database rejected a row; dropped it: {away}");
                shared.queue.give_up(single);
            }
            Err(_) => unwritten.push(row),
        }
    }
    let is_there = unwritten.is_empty();
    shared.queue.put_back(unwritten);
    is_there
}

/// Deletes a few rows that are too old or too many, and returns their number.
async fn prune_some(shared: &StoreInner) -> Result<u64, StoreAway> {
    let work = async {
        let mut transaction = shared.begin().await?;
        let db_time = shared.db_time(&mut transaction, shared.wall()).await?;
        let wall = db_time.now.saturating_sub(db_time.ahead);
        let deleted = prune(shared, &mut transaction, (wall, db_time.now)).await?;
        transaction.commit().await?;
        Ok(deleted)
    };
    shared.within(limits::STORE_WAIT, work).await
}

async fn prune(
    shared: &StoreInner,
    to: &mut AnyConnection,
    (wall, now): (i64, i64),
) -> Result<u64, sqlx::Error> {
    let keep = span_micros(shared.options.keep);
    let step = i64::try_from(limits::ROWS_PER_PRUNE_MAX).unwrap_or(i64::MAX);
    let too_old = wall.saturating_sub(keep);
    // Rows that a cool-down, `max_restarts` or a give-up may still need stay, however short `keep` is.
    let needed = now.saturating_sub(keep.max(span_micros(limits::POLICY_SPAN_MAX)));
    let keep_series = shared.options.keep_series;
    let oldest_hour = (wall - span_micros(keep_series)).div_euclid(HOUR_MICROS);
    let mut deleted = 0;
    // By a clock in local time, or one that jumped, all of it may seem old.
    let by_age = if shared.is_clock_confirmed() { usize::MAX } else { 0 };
    for (statement, bound) in [
        (OLD_DECISIONS, too_old),
        (OLD_NOTICES, too_old),
        (OLD_RESTARTS, needed),
        // The next give-up lasts longer than the one before.
        (OLD_GIVE_UPS, now.saturating_sub(2 * span_micros(limits::GIVE_UP_MAX))),
        (OLD_PAUSES, now),
        (series::OLD_HOURS, oldest_hour),
        (blocks::OLD_BLOCKS, blocks::block_of(oldest_hour)),
        (evidence::OLD_WINDOWS, half_hour(wall - span_micros(limits::KEEP_EVIDENCE))),
        (OLD_HITS, wall.saturating_sub(span_micros(limits::INSTANCE_SPAN_MAX))),
    ]
    .into_iter()
    .take(by_age)
    {
        deleted += sqlx::query(statement).bind(bound).bind(step).execute(&mut *to).await?.rows_affected();
    }
    if by_age > 0 {
        let hour = wall.div_euclid(HOUR_MICROS);
        deleted += blocks::fold(shared.link.dialect, keep_series, hour, to).await?;
    }
    let count: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM dynowarden_decisions").fetch_one(&mut *to).await?;
    let surplus = count.saturating_sub(i64::try_from(shared.options.rows_max).unwrap_or(i64::MAX));
    if surplus > 0 {
        deleted += sqlx::query(OLDEST_DECISIONS).bind(surplus.min(step)).execute(to).await?.rows_affected();
    }
    Ok(deleted)
}

const HOUR_MICROS: i64 = 3_600_000_000;

/// The half hour of a time in microseconds.
fn half_hour(micros: i64) -> i64 {
    micros.div_euclid(HOUR_MICROS / 2)
}

/// A row's id is at most its start time, and not far below it.
const OLD_DECISIONS: &str = "\
    DELETE FROM dynowarden_decisions WHERE (id, holder) IN \
        (SELECT id, holder FROM dynowarden_decisions WHERE id < $1 AND last_at < $1 ORDER BY id LIMIT $2)";

const OLD_NOTICES: &str = "\
    DELETE FROM dynowarden_notices WHERE (id, holder) IN \
        (SELECT id, holder FROM dynowarden_notices WHERE id < $1 ORDER BY id LIMIT $2)";

const OLD_RESTARTS: &str = "\
    DELETE FROM dynowarden_restarts WHERE attempt IN \
        (SELECT attempt FROM dynowarden_restarts \
         WHERE claimed_at < $1 AND lease_until < $1 AND COALESCE(accepted_at, 0) < $1 LIMIT $2)";

const OLD_GIVE_UPS: &str = "\
    DELETE FROM dynowarden_give_ups WHERE (app, dyno) IN \
        (SELECT app, dyno FROM dynowarden_give_ups WHERE until < $1 LIMIT $2)";

const OLD_PAUSES: &str = "\
    DELETE FROM dynowarden_pauses WHERE app IN \
        (SELECT app FROM dynowarden_pauses WHERE until < $1 LIMIT $2)";

const OLD_HITS: &str = "\
    DELETE FROM dynowarden_hits WHERE (app, dyno, rule, at) IN \
        (SELECT app, dyno, rule, at FROM dynowarden_hits WHERE at < $1 LIMIT $2)";

const OLDEST_DECISIONS: &str = "\
    DELETE FROM dynowarden_decisions WHERE (id, holder) IN \
        (SELECT id, holder FROM dynowarden_decisions ORDER BY id LIMIT $1)";
