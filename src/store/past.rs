//! State of earlier processes for the engine: read once, at startup.

use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use tracing::warn;

use crate::store::dialect::Dialect;
use crate::store::replica_counts::ALL_APPS;
use crate::store::restarts::{self, restart_of};
use crate::store::rows::{DbTime, attempt_number, span_micros, timestamp};
use crate::store::state::StoreInner;
use dynowarden_core::api::DynoInfo;
use dynowarden_core::engine::restore::{
    OpenClaim, PendingCause, PendingRestart, RestoredGiveUp, RestoredPause, RestoredRestart, RestoredState,
};
use dynowarden_core::event::DynoState;
use dynowarden_core::ident::DynoName;
use dynowarden_core::limits;
use dynowarden_core::record::{AttemptId, MANUAL};
use dynowarden_core::time::later;

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
        given_up: given_up(store, &mut *from, (span, db_time)).await?,
        pauses: first_pauses(store, &mut *from, db_time).await?,
        pending: pending(store, from, db_time).await?,
        claims,
    })
}

/// The pauses in force, except those of apps that are not watched.
pub(super) async fn pauses(
    store: &StoreInner,
    from: &mut AnyConnection,
    db_time: DbTime,
) -> Result<Vec<RestoredPause>, sqlx::Error> {
    pauses_after(store, from, db_time.now, db_time).await
}

/// The same at startup. The clock of this machine is not confirmed yet, and may be in local time: a pause
/// that seems to be over holds until it is.
async fn first_pauses(
    store: &StoreInner,
    from: &mut AnyConnection,
    db_time: DbTime,
) -> Result<Vec<RestoredPause>, sqlx::Error> {
    let is_own_clock = store.link.dialect == Dialect::Sqlite && !store.is_clock_confirmed();
    let after = if is_own_clock { i64::MIN } else { db_time.now };
    let now = db_time.as_seen_by_caller(db_time.now);
    let mut pauses = pauses_after(store, from, after, db_time).await?;
    for pause in pauses.iter_mut().filter(|pause| pause.until <= now) {
        pause.until = later(now, limits::PAUSE_UNCONFIRMED);
    }
    Ok(pauses)
}

async fn pauses_after(
    store: &StoreInner,
    from: &mut AnyConnection,
    after: i64,
    db_time: DbTime,
) -> Result<Vec<RestoredPause>, sqlx::Error> {
    let rows: Vec<(String, i64, String, Option<String>)> =
        sqlx::query_as(PAUSES).bind(after).fetch_all(from).await?;
    let pauses = rows.into_iter().filter_map(|(app, until, reason, by)| {
        let app = if app == ALL_APPS { None } else { Some(store.app_named(&app)?) };
        let until = db_time.as_seen_by_caller(until);
        Some(RestoredPause { app, until, reason: reason.into(), by: by.map(Into::into) })
    });
    Ok(pauses.collect())
}

const PAUSES: &str =
    "SELECT app, until, reason, asked_by FROM dynowarden_pauses WHERE until > $1 ORDER BY app";

/// Accepted restarts. Whether the new instance of one in the claim of an earlier process is up is seen again.
async fn restarts(
    store: &StoreInner,
    from: &mut AnyConnection,
    claims: &[OpenClaim],
    (span, db_time): (Duration, DbTime),
) -> Result<Vec<RestoredRestart>, sqlx::Error> {
    let since = db_time.now.saturating_sub(span_micros(span));
    let rows = restarts::rows(since, None, from).await?;
    let mut restarts = Vec::new();
    for row in rows {
        let (app, dyno): (String, String) = (row.try_get("app")?, row.try_get("dyno")?);
        let (Some(app), Some(dyno)) = (store.app_named(&app), dyno_of(&dyno)) else { continue };
        let is_resumed = |claim: &OpenClaim| claim.app == app && claim.target.name == dyno;
        let mut restart = restart_of((app, dyno.clone()), &row, db_time)?;
        restart.back_at = restart.back_at.filter(|_| !claims.iter().any(is_resumed));
        restarts.push(restart);
    }
    Ok(restarts)
}

/// What an earlier process had not sent to the API before it stopped. It is taken out: one process takes it
/// up.
async fn pending(
    store: &StoreInner,
    from: &mut AnyConnection,
    db_time: DbTime,
) -> Result<Vec<PendingRestart>, sqlx::Error> {
    let mut pending = Vec::new();
    for row in sqlx::query(PENDING).fetch_all(from).await? {
        let (app, dyno): (String, String) = (row.try_get("app")?, row.try_get("dyno")?);
        let (Some(app), Some(dyno)) = (store.app_named(&app), dyno_of(&dyno)) else { continue };
        let code: Option<String> = row.try_get("code")?;
        let cause = match row.try_get::<Option<String>, _>("rule")? {
            None => PendingCause::Manual { forced: row.try_get::<i64, _>("forced")? != 0 },
            Some(rule) => PendingCause::Rule {
                rule: rule.into(),
                code: code.and_then(|code| code.parse().ok()),
                lines: u32::try_from(row.try_get::<i64, _>("lines")?).unwrap_or(u32::MAX),
                error_at: db_time.as_seen_by_caller(row.try_get("error_at")?),
            },
        };
        pending.push(PendingRestart { app, dyno, cause });
    }
    Ok(pending)
}

const PENDING: &str =
    "DELETE FROM dynowarden_pending RETURNING app, dyno, rule, code, lines, error_at, forced";

/// Those that ended within `span` as well: the next one lasts longer. All restarts since are restored too.
async fn given_up(
    store: &StoreInner,
    from: &mut AnyConnection,
    (span, db_time): (Duration, DbTime),
) -> Result<Vec<RestoredGiveUp>, sqlx::Error> {
    let rows: Vec<(String, String, i64, i64, Option<i64>, i64)> =
        sqlx::query_as(GIVEN_UP).bind(db_time.now.saturating_sub(span_micros(span))).fetch_all(from).await?;
    let given_up = rows.into_iter().filter_map(|(app, dyno, at, until, release, times)| {
        Some(RestoredGiveUp {
            app: store.app_named(&app)?,
            dyno: dyno_of(&dyno)?,
            at: db_time.as_seen_by_caller(at),
            until: db_time.as_seen_by_caller(until),
            release: release.and_then(|release| u64::try_from(release).ok()),
            times: u32::try_from(times).unwrap_or(u32::MAX),
        })
    });
    Ok(given_up.collect())
}

pub(super) const GIVEN_UP: &str = "\
    SELECT app, dyno, at, until, release, times FROM dynowarden_give_ups \
    WHERE until > $1 ORDER BY app, dyno";

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
        let Some(claim) = open_claim(&row, store, (attempt_id, db_time))? else { continue };
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
        updated_at, release, accepted_at, \
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
    (attempt_id, db_time): (AttemptId, DbTime),
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
    let is_forced = row.try_get::<i64, _>("by_hand")? != 0;
    let rule: Option<String> = row.try_get("rule")?;
    let rule = rule.as_deref().unwrap_or(if is_forced { MANUAL } else { UNKNOWN_RULE }).into();
    let accepted_at: Option<i64> = row.try_get("accepted_at")?;
    let accepted_at = accepted_at.map(|at| db_time.as_seen_by_caller(at));
    Ok(Some(OpenClaim { attempt_id, app, target, rule, is_forced, accepted_at }))
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
