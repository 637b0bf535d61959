//! State of earlier processes for the engine: read once, at startup.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, FromRow, Row as _};
use tracing::warn;

use crate::store::claims::DbTime;
use crate::store::dialect::Dialect;
use crate::store::rows::{attempt_number, span_micros, timestamp};
use dynowarden_core::api::DynoInfo;
use dynowarden_core::engine::restore::{
    OpenClaim, RestoredGiveUp, RestoredPause, RestoredRestart, RestoredState,
};
use dynowarden_core::event::DynoState;
use dynowarden_core::ident::{AppId, AppName, DynoName};
use dynowarden_core::limits;
use dynowarden_core::record::{AttemptId, MANUAL};

/// The process that reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'r> {
    pub apps: &'r [AppName],
    pub dialect: Dialect,
    pub holder: &'r str,
}

impl Reader<'_> {
    /// The app of that name, if it is still watched.
    pub(super) fn app(&self, name: &str) -> Option<AppId> {
        let place = self.apps.iter().position(|app| app.as_str() == name)?;
        u32::try_from(place).ok().map(AppId)
    }
}

/// Reads the state, and takes over the claims that dead processes left open.
pub(super) async fn read(
    reader: Reader<'_>,
    from: &mut AnyConnection,
    span: Duration,
    db_time: DbTime,
) -> Result<RestoredState, sqlx::Error> {
    let claims = resume_unconfirmed(reader, &mut *from, db_time).await?;
    let is_resumed: HashSet<(AppId, DynoName)> =
        claims.iter().map(|claim| (claim.app, claim.target.name.clone())).collect();
    Ok(RestoredState {
        restarts: restarts(reader, &mut *from, &is_resumed, (span, db_time)).await?,
        given_up: given_up(reader, &mut *from, db_time).await?,
        pauses: pauses(reader, from, db_time).await?,
        claims,
    })
}

/// The pauses in force, except those of apps that are not watched.
pub(super) async fn pauses(
    reader: Reader<'_>,
    from: &mut AnyConnection,
    db_time: DbTime,
) -> Result<Vec<RestoredPause>, sqlx::Error> {
    // A pause ends at a time of day that a person chose, so the reader's clock decides.
    let rows: Vec<(String, i64, String)> =
        sqlx::query_as(PAUSES).bind(db_time.now.saturating_sub(db_time.ahead)).fetch_all(from).await?;
    let pauses = rows.into_iter().filter_map(|(app, until, reason)| {
        let app = if app == ALL_APPS { None } else { Some(reader.app(&app)?) };
        Some(RestoredPause { app, until: timestamp(until), reason: reason.into() })
    });
    Ok(pauses.collect())
}

/// All apps, in the table of pauses; no app can have this name.
pub(super) const ALL_APPS: &str = "*";

const PAUSES: &str = "SELECT app, until, reason FROM dynowarden_pauses WHERE until > $1 ORDER BY app";

/// Accepted restarts, except those in the claim of an earlier process: they are counted with the claim.
async fn restarts(
    reader: Reader<'_>,
    from: &mut AnyConnection,
    is_resumed: &HashSet<(AppId, DynoName)>,
    (span, db_time): (Duration, DbTime),
) -> Result<Vec<RestoredRestart>, sqlx::Error> {
    let rows: Vec<(String, String, i64, String, Option<i64>)> =
        sqlx::query_as(RESTARTS).bind(db_time.now.saturating_sub(span_micros(span))).fetch_all(from).await?;
    let restarts = rows.into_iter().filter_map(|(app, dyno, accepted_at, holder, ended_at)| {
        let (app, dyno) = (reader.app(&app)?, dyno_of(&dyno)?);
        let key = (app, dyno);
        if holder == reader.holder && ended_at.is_none() && is_resumed.contains(&key) {
            return None;
        }
        let (app, dyno) = key;
        Some(RestoredRestart { app, dyno, accepted_at: db_time.as_seen_by_caller(accepted_at) })
    });
    Ok(restarts.collect())
}

const RESTARTS: &str = "\
    SELECT app, dyno, accepted_at, holder, ended_at FROM dynowarden_restarts \
    WHERE accepted_at > $1 ORDER BY accepted_at";

async fn given_up(
    reader: Reader<'_>,
    from: &mut AnyConnection,
    db_time: DbTime,
) -> Result<Vec<RestoredGiveUp>, sqlx::Error> {
    let rows: Vec<(String, String, i64, Option<i64>)> =
        sqlx::query_as(GIVEN_UP).bind(db_time.now).fetch_all(from).await?;
    let given_up = rows.into_iter().filter_map(|(app, dyno, until, release)| {
        Some(RestoredGiveUp {
            app: reader.app(&app)?,
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
    reader: Reader<'_>,
    from: &mut AnyConnection,
    db_time: DbTime,
) -> Result<Vec<OpenClaim>, sqlx::Error> {
    let lapsed_at = match reader.dialect {
        Dialect::Postgres => db_time.now,
        Dialect::Sqlite => i64::MAX,
    };
    let rows: Vec<OpenRow> =
        sqlx::query_as(OPEN).bind(lapsed_at).bind(reader.holder).fetch_all(&mut *from).await?;
    let lease_until = db_time.now.saturating_add(span_micros(limits::CLAIM_LEASE));
    let mut claims: Vec<OpenClaim> = Vec::new();
    for row in rows {
        let Some(claim) = row.claim(reader, AttemptId(claims.len() as u64 + 1)) else { continue };
        let is_known = |known: &OpenClaim| known.app == claim.app && known.target.name == claim.target.name;
        if claims.iter().any(is_known) {
            // An older one of the same dyno; the newest counts.
            continue;
        }
        let taken = sqlx::query(ADOPT)
            .bind(row.attempt.as_str())
            .bind(row.holder.as_str())
            .bind(row.lease_until)
            .bind(reader.holder)
            .bind(attempt_number(claim.attempt_id))
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
    UPDATE dynowarden_restarts SET holder = $4, ticket = $5, lease_until = $6 \
    WHERE attempt = $1 AND holder = $2 AND lease_until = $3 AND ended_at IS NULL";

struct OpenRow {
    attempt: String,
    holder: String,
    lease_until: i64,
    app: String,
    process_type: String,
    dyno: String,
    is_manual: i64,
    instance: String,
    created_at: i64,
    updated_at: i64,
    release: Option<i64>,
    rule: Option<String>,
}

impl FromRow<'_, AnyRow> for OpenRow {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            attempt: row.try_get("attempt")?,
            holder: row.try_get("holder")?,
            lease_until: row.try_get("lease_until")?,
            app: row.try_get("app")?,
            process_type: row.try_get("process_type")?,
            dyno: row.try_get("dyno")?,
            is_manual: row.try_get("by_hand")?,
            instance: row.try_get("instance")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            release: row.try_get("release")?,
            rule: row.try_get("rule")?,
        })
    }
}

impl OpenRow {
    fn claim(&self, reader: Reader<'_>, attempt_id: AttemptId) -> Option<OpenClaim> {
        let rule: Arc<str> = match (&self.rule, self.is_manual) {
            (Some(rule), _) => rule.as_str().into(),
            (None, 0) => UNKNOWN_RULE.into(),
            (None, _) => MANUAL.into(),
        };
        let target = DynoInfo {
            name: dyno_of(&self.dyno)?,
            process_type: self.process_type.parse().ok()?,
            id: self.instance.parse().ok()?,
            created_at: timestamp(self.created_at),
            updated_at: timestamp(self.updated_at),
            // No other state is ever claimed.
            state: DynoState::Up,
            release: self.release.and_then(|release| u64::try_from(release).ok()),
        };
        Some(OpenClaim { attempt_id, app: reader.app(&self.app)?, target, rule })
    }
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
