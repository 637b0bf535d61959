//! A restart as the store keeps it for the judgement of claims. Times are in microseconds.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{FromRow, Row as _};

use crate::store::rows::{DbTime, micros, span_micros};
use dynowarden_core::engine::claim::KnownRestart;

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) attempt: String,
    pub(super) holder: String,
    pub(super) attempt_id: i64,
    pub(super) dyno: String,
    pub(super) instance: String,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    pub(super) claimed_at: i64,
    pub(super) lease_until: i64,
    pub(super) accepted_at: Option<i64>,
    pub(super) ended_at: Option<i64>,
    pub(super) is_forced: bool,
    /// The release of the replaced instance, and once the new one is up, its release.
    pub(super) release: Option<i64>,
    pub(super) result: Option<String>,
    /// Among the restarts of the dyno, in the order of their claims.
    pub(super) place: i64,
}

impl Row {
    /// Whether the claimant lacks what the store knows of this restart, accepted at `at`: the last one of its
    /// dyno.
    pub(super) fn is_news_to(
        &self,
        known: Option<KnownRestart>,
        at: i64,
        (holder, db_time): (&str, DbTime),
    ) -> bool {
        let result = self.result.as_deref();
        let is_useless = result == Some("no_help");
        let is_back = is_useless || matches!(result, Some("back" | "back_late"));
        match known {
            Some(known) if at <= latest_known(known.accepted_at, db_time) => {
                (is_back && !known.is_back) || (is_useless && !known.is_useless)
            }
            _ => self.holder != holder,
        }
    }
}

/// The time of the store's clock that a restart of that time may have at most. One that a replica made
/// since is at least a cool-down later.
pub(super) fn latest_known(accepted_at: Timestamp, db_time: DbTime) -> i64 {
    micros(accepted_at).saturating_add(db_time.ahead).saturating_add(span_micros(SLACK))
}

/// How far two readings of a clock may be apart that is set a little now and then.
const SLACK: Duration = Duration::from_secs(2);

impl FromRow<'_, AnyRow> for Row {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            attempt: row.try_get("attempt")?,
            holder: row.try_get("holder")?,
            attempt_id: row.try_get("attempt_number")?,
            dyno: row.try_get("dyno")?,
            instance: row.try_get("instance")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            claimed_at: row.try_get("claimed_at")?,
            lease_until: row.try_get("lease_until")?,
            accepted_at: row.try_get("accepted_at")?,
            ended_at: row.try_get("ended_at")?,
            is_forced: row.try_get::<i64, _>("by_hand")? != 0,
            release: row.try_get("release")?,
            result: row.try_get("result")?,
            place: row.try_get("place")?,
        })
    }
}
