//! State that replicas share besides claims: pauses, and the times of errors that a rule counts.

use jiff::Timestamp;
use sqlx::{AnyConnection, AnyPool};

use crate::store::rows::{clean, micros, span_micros, timestamp};
use dynowarden_core::engine::RuleHit;
use dynowarden_core::engine::status::PauseStatus;
use dynowarden_core::limits;

/// Adds an error's time, deletes those before the span, and returns the others, oldest first.
pub(super) async fn share_hit(
    app: &str,
    hit: &RuleHit,
    to: &mut AnyConnection,
) -> Result<Vec<Timestamp>, sqlx::Error> {
    let (dyno, rule) = (hit.dyno.to_string(), clean(hit.rule.to_string()));
    sqlx::query(ADD).bind(app).bind(&*dyno).bind(&*rule).bind(micros(hit.at)).execute(&mut *to).await?;
    let times: Vec<i64> = sqlx::query_scalar(TIMES)
        .bind(app)
        .bind(&*dyno)
        .bind(&*rule)
        .bind(i64::from(limits::COUNT_MAX))
        .fetch_all(&mut *to)
        .await?;
    // By the time in the lines, which is the platform's clock only.
    let newest = times.first().copied().unwrap_or_default();
    let since = newest.saturating_sub(span_micros(hit.within));
    let (kept, old): (Vec<i64>, Vec<i64>) = times.into_iter().partition(|time| *time >= since);
    if !old.is_empty() {
        sqlx::query(FORGET).bind(app).bind(&*dyno).bind(&*rule).bind(since).execute(to).await?;
    }
    Ok(kept.into_iter().rev().map(timestamp).collect())
}

const ADD: &str = "\
    INSERT INTO dynowarden_hits (app, dyno, rule, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";

const TIMES: &str = "\
    SELECT at FROM dynowarden_hits WHERE app = $1 AND dyno = $2 AND rule = $3 ORDER BY at DESC LIMIT $4";

const FORGET: &str = "DELETE FROM dynowarden_hits WHERE app = $1 AND dyno = $2 AND rule = $3 AND at < $4";

/// Sets a pause and replaces the previous one.
pub(super) async fn set_pause(
    app: Option<&str>,
    until: i64,
    pause: &PauseStatus,
    to: &mut AnyConnection,
) -> Result<(), sqlx::Error> {
    sqlx::query(SET_PAUSE)
        .bind(app.unwrap_or(ALL_APPS))
        .bind(until)
        .bind(clean(pause.reason.to_string()))
        .bind(pause.by.as_deref().map(|by| clean(by.to_owned())))
        .execute(to)
        .await
        .map(|_| ())
}

const SET_PAUSE: &str = "\
    INSERT INTO dynowarden_pauses (app, until, reason, asked_by) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (app) DO UPDATE \
    SET until = excluded.until, reason = excluded.reason, asked_by = excluded.asked_by";

/// The longest pause of an app, by whichever replica, and its reason; `now` is by the clock that judges them.
pub(super) async fn pause_of(
    app: &str,
    now: i64,
    from: &mut AnyConnection,
) -> Result<Option<(i64, String)>, sqlx::Error> {
    sqlx::query_as(PAUSE).bind(app).bind(ALL_APPS).bind(now).fetch_optional(from).await
}

const PAUSE: &str = "\
    SELECT until, reason FROM dynowarden_pauses WHERE app IN ($1, $2) AND until > $3 \
    ORDER BY until DESC LIMIT 1";

/// All apps, in the table of pauses; no app can have this name.
pub(super) const ALL_APPS: &str = "*";

/// Ends the pause of one app; without one, all pauses.
pub(super) async fn clear_pause(app: Option<&str>, to: &AnyPool) -> Result<(), sqlx::Error> {
    let query = match app {
        Some(app) => sqlx::query("DELETE FROM dynowarden_pauses WHERE app = $1").bind(app),
        None => sqlx::query("DELETE FROM dynowarden_pauses"),
    };
    query.execute(to).await.map(|_| ())
}
