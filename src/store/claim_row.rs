//! A restart as the store keeps it for the judgement of claims. Times are in microseconds.

use sqlx::any::AnyRow;
use sqlx::{FromRow, Row as _};

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
}

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
        })
    }
}
