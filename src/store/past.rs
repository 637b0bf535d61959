//! State of earlier processes for the engine: read once, at startup.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use tracing::warn;

use crate::store::claims::DbTime;
use crate::store::dialect::Dialect;
use crate::store::rows::{attempt_number, micros, span_micros, timestamp};
use crate::store::state::StoreInner;
use dynowarden_core::api::DynoInfo;
use dynowarden_core::engine::restore::{
    OpenClaim, RestoredGiveUp, RestoredPause, RestoredRestart, RestoredState,
};
use dynowarden_core::event::DynoState;
use dynowarden_core::ident::DynoName;
use dynowarden_core::limits;
use dynowarden_core::record::{AttemptId, MANUAL};

/// Reads the state, and takes over the claims that dead processes left open.
pub(super) async fn read(
    store: &StoreInner,
    from: &mut AnyConnection,
    span: Duration,
    db_time: DbTime,
) -> Result<RestoredState, sqlx::Error> {
    let claims = resume_unconfirmed(store, &mut *from, db_time).await?;
    Ok(RestoredState {
        restarts: restarts(store, &mut *from, &claims, (span, db_time)).await?,
        given_up: given_up(store, &mut *from, db_time).await?,
        pauses: pauses(store, from, db_time.as_seen_by_caller(db_time.now)).await?,
        claims,
    })
}

/// The pauses in force, except those of apps that are not watched. A pause ends at a time of day that a
/// person chose, so the caller's clock decides.
pub(super) async fn pauses(
    store: &StoreInner,
    from: &mut AnyConnection,
    now: Timestamp,
) -> Result<Vec<RestoredPause>, sqlx::Error> {
    let rows: Vec<(String, i64, String)> = sqlx::query_as(PAUSES).bind(micros(now)).fetch_all(from).await?;
    let pauses = rows.into_iter().filter_map(|(app, until, reason)| {
        let app = if app == ALL_APPS { None } else { Some(store.app_named(&app)?) };
        Some(RestoredPause { app, until: timestamp(until), reason: reason.into() })
    });
    Ok(pauses.collect())
}

/// All apps, in the table of pauses; no app can have this name.
pub(super) const ALL_APPS: &str = "*";

const PAUSES: &str = "SELECT app, until, reason FROM dynowarden_pauses WHERE until > $1 ORDER BY app";

/// Accepted restarts, except those in the claim of an earlier process: they are counted with the claim.
async fn restarts(
    store: &StoreInner,
    from: &mut AnyConnection,
    claims: &[OpenClaim],
    (span, db_time): (Duration, DbTime),
) -> Result<Vec<RestoredRestart>, sqlx::Error> {
    let rows: Vec<(String, String, i64, String, Option<i64>)> =
        sqlx::query_as(RESTARTS).bind(db_time.now.saturating_sub(span_micros(span))).fetch_all(from).await?;
    let restarts = rows.into_iter().filter_map(|(app, dyno, accepted_at, holder, ended_at)| {
        let (app, dyno) = (store.app_named(&app)?, dyno_of(&dyno)?);
        let is_resumed = || claims.iter().any(|claim| claim.app == app && claim.target.name == dyno);
        if holder == *store.holder && ended_at.is_none() && is_resumed() {
            return None;
        }
        Some(RestoredRestart { app, dyno, accepted_at: db_time.as_seen_by_caller(accepted_at) })
    });
    Ok(restarts.collect())
}

const RESTARTS: &str = "\
    SELECT app, dyno, accepted_at, holder, ended_at FROM dynowarden_restarts \
    WHERE accepted_at > $1 ORDER BY accepted_at";

async fn given_up(
    store: &StoreInner,
    from: &mut AnyConnection,
    db_time: DbTime,
) -> Result<Vec<RestoredGiveUp>, sqlx::Error> {
    let rows: Vec<(String, String, i64, Option<i64>)> =
        sqlx::query_as(GIVEN_UP).bind(db_time.now).fetch_all(from).await?;
    let given_up = rows.into_iter().filter_map(|(app, dyno, until, release)| {
        Some(RestoredGiveUp {
            app: store.app_named(&app)?,
            dyno: dyno_of(&dyno)?,
            until: db_time.as_seen_by_caller(until),
            release: release.and_then(|release| u64::try_from(release).ok()),
        })
    });
    Ok(given_up.collect())
}

const GIVEN_UP: &str =
    "SELECT app, dyno, until, release FROM dynowarden_give_ups WHERE until > $1 ORDER BY app, dyno";

/// Takes over the claims that dead processes left open. A file has only one process, so every open claim is a
/// dead one's; on a server it is one that was not renewed in time.
async fn resume_unconfirmed(
    store: &StoreInner,
    from: &mut AnyConnection,
    db_time: DbTime,
) -> Result<Vec<OpenClaim>, sqlx::Error> {
    let lapsed_at = match store.link.dialect {
        Dialect::Postgres => db_time.now,
        Dialect::Sqlite => i64::MAX,
    };
    let rows = sqlx::query(OPEN).bind(lapsed_at).bind(&*store.holder).fetch_all(&mut *from).await?;
    let lease_until = db_time.now.saturating_add(span_micros(limits::CLAIM_LEASE));
    let mut claims: Vec<OpenClaim> = Vec::new();
    for row in rows {
        let attempt_id = AttemptId(claims.len() as u64 + 1);
        let Some(claim) = open_claim(&row, store, attempt_id)? else { continue };
        let is_known = |known: &OpenClaim| known.app == claim.app && known.target.name == claim.target.name;
        if claims.iter().any(is_known) {
            // An older one of the same dyno; the newest counts.
            continue;
        }
        let taken = sqlx::query(ADOPT)
            .bind(row.try_get::<String, _>("attempt")?)
            .bind(row.try_get::<String, _>("holder")?)
            .bind(row.try_get::<i64, _>("lease_until")?)
            .bind(&*store.holder)
            .bind(attempt_number(attempt_id))
            .bind(lease_until)
            .execute(&mut *from)
            .await?;
        // Another replica that started at the same moment may have been first.
        if taken.rows_affected() == 1 {
            claims.push(claim);
        }
    }
    Ok(claims)
}

const OPEN: &str = "\
    SELECT attempt, holder, lease_until, app, process_type, dyno, by_hand, instance, created_at, \
        updated_at, release, \
        (SELECT MAX(rule) FROM dynowarden_decisions decided \
         WHERE decided.attempt = dynowarden_restarts.attempt AND decided.decision = 'restart') AS rule \
    FROM dynowarden_restarts \
    WHERE ended_at IS NULL AND lease_until <= $1 AND holder <> $2 \
    ORDER BY claimed_at DESC";

const ADOPT: &str = "\
    UPDATE dynowarden_restarts SET holder = $4, attempt_number = $5, lease_until = $6 \
    WHERE attempt = $1 AND holder = $2 AND lease_until = $3 AND ended_at IS NULL";

/// None if the app is no longer watched or the row is damaged.
fn open_claim(
    row: &AnyRow,
    store: &StoreInner,
    attempt_id: AttemptId,
) -> Result<Option<OpenClaim>, sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let (Some(app), Some(name), Ok(process_type), Ok(id)) = (
        store.app_named(&text("app")?),
        dyno_of(&text("dyno")?),
        text("process_type")?.parse(),
        text("instance")?.parse(),
    ) else {
        return Ok(None);
    };
    let release: Option<i64> = row.try_get("release")?;
    let target = DynoInfo {
        name,
        // No other dyno is ever claimed.
        is_one_off: false,
        process_type,
        id,
        created_at: timestamp(row.try_get("created_at")?),
        updated_at: timestamp(row.try_get("updated_at")?),
        state: DynoState::Up,
        release: release.and_then(|release| u64::try_from(release).ok()),
    };
    let is_manual = row.try_get::<i64, _>("by_hand")? != 0;
    let rule: Option<String> = row.try_get("rule")?;
    let rule = rule.as_deref().unwrap_or(if is_manual { MANUAL } else { UNKNOWN_RULE }).into();
    Ok(Some(OpenClaim { attempt_id, app, target, rule }))
}

/// The rule of a restart whose decision was not yet written when its process died.
const UNKNOWN_RULE: &str = "unknown";

fn dyno_of(name: &str) -> Option<DynoName> {
    let dyno = name.parse().ok();
    if dyno.is_none() {
        warn!("row with an invalid dyno name ignored");
    }
    dyno
}
