//! Accepted restarts, as the store tells the engine of them: at startup, and when a replica made the last
//! one.

use std::sync::Arc;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::store::rows::{DbTime, timestamp};
use dynowarden_core::engine::restore::RestoredRestart;
use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::record::MANUAL;
use dynowarden_core::record::usefulness::Usefulness;

/// The rows of accepted restarts since a time of the store's clock, those of a dyno in the order
/// of their claims: of one dyno, or of all.
pub(super) async fn rows(
    since: i64,
    dyno: Option<(&str, &DynoName)>,
    from: &mut AnyConnection,
) -> Result<Vec<AnyRow>, sqlx::Error> {
    let (app, dyno) = dyno.map_or(("", String::new()), |(app, dyno)| (app, dyno.to_string()));
    sqlx::query(RESTARTS).bind(since).bind(app.to_owned()).bind(dyno).fetch_all(from).await
}

/// The accepted restarts of one dyno since a time of the store's clock, the oldest first.
pub(super) async fn of_dyno(
    (app, app_name, dyno): (AppId, &str, &DynoName),
    from: &mut AnyConnection,
    (since, db_time): (i64, DbTime),
) -> Result<Vec<RestoredRestart>, sqlx::Error> {
    let rows = rows(since, Some((app_name, dyno)), from).await?;
    rows.iter().map(|row| restart_of((app, dyno.clone()), row, db_time)).collect()
}

pub(super) fn restart_of(
    (app, dyno): (AppId, DynoName),
    row: &AnyRow,
    db_time: DbTime,
) -> Result<RestoredRestart, sqlx::Error> {
    let result: Option<String> = row.try_get("result")?;
    let is_back = matches!(result.as_deref(), Some("back" | "back_late" | "no_help"));
    let ended_at: Option<i64> = row.try_get("ended_at")?;
    let up_since: Option<i64> = row.try_get("up_since")?;
    let release: Option<i64> = row.try_get("release")?;
    let back_at = up_since.map(timestamp).or(ended_at.map(|at| db_time.as_seen_by_caller(at)));
    Ok(RestoredRestart {
        accepted_at: db_time.as_seen_by_caller(row.try_get("accepted_at")?),
        back_at: back_at.filter(|_| is_back),
        rule: row.try_get::<Option<String>, _>("rule")?.filter(|rule| rule != MANUAL).map(Arc::from),
        is_forced: row.try_get::<i64, _>("by_hand")? != 0,
        usefulness: match result.as_deref() {
            Some("no_help") => Usefulness::Useless,
            Some("ignored") => Usefulness::NeverHappened,
            _ => Usefulness::Unknown,
        },
        release: release.and_then(|release| u64::try_from(release).ok()),
        app,
        dyno,
    })
}

/// Of one dyno, or of all if `$2` is empty.
const RESTARTS: &str = "\
    SELECT app, dyno, accepted_at, ended_at, up_since, by_hand, release, result, \
        (SELECT MAX(rule) FROM dynowarden_decisions decided \
         WHERE decided.attempt = dynowarden_restarts.attempt AND decided.decision = 'restart') AS rule \
    FROM dynowarden_restarts \
    WHERE accepted_at > $1 AND ($2 = '' OR (app = $2 AND dyno = $3)) ORDER BY place";
