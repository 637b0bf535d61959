//! The database schema, brought up to date at startup.
//!
//! Several replicas may start at once, so checking and changing is one transaction under a lock. Both
//! databases roll it back if it does not end.

use sqlx::{AnyConnection, Connection as _};

use crate::store::dialect::Dialect;

/// Why the schema does not match this version.
#[derive(Debug, thiserror::Error)]
pub(super) enum SchemaError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// Another version of the program has used the database.
    #[error("the schema is {found} and not {VERSION}")]
    Version { found: i64 },
}

/// All schema changes, in order; a schema's version is the number of changes applied. A released one is never
/// changed.
const MIGRATIONS: [&str; 11] = [
    include_str!("../../migrations/0001_record.sql"),
    include_str!("../../migrations/0002_memory_after_restart.sql"),
    include_str!("../../migrations/0003_names.sql"),
    include_str!("../../migrations/0004_usefulness.sql"),
    include_str!("../../migrations/0005_app_ids.sql"),
    include_str!("../../migrations/0006_series.sql"),
    include_str!("../../migrations/0007_up_since.sql"),
    include_str!("../../migrations/0008_evidence.sql"),
    include_str!("../../migrations/0009_pause_asked_by.sql"),
    include_str!("../../migrations/0010_series_blocks.sql"),
    include_str!("../../migrations/0011_order_of_restarts.sql"),
];

pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

pub(super) async fn migrate(connection: &mut AnyConnection, dialect: Dialect) -> Result<(), SchemaError> {
    let mut transaction = connection.begin_with(dialect.begin()).await?;
    if dialect == Dialect::Postgres {
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(MIGRATION_LOCK)
            .execute(&mut *transaction)
            .await?;
    }
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS dynowarden_schema (version BIGINT NOT NULL)")
        .execute(&mut *transaction)
        .await?;
    let found = version(&mut transaction).await?;
    let Some(missing) = usize::try_from(found).ok().and_then(|seen| MIGRATIONS.get(seen..)) else {
        return Err(SchemaError::Version { found });
    };
    if !missing.is_empty() {
        for migration in missing {
            sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
        }
        sqlx::raw_sql("DELETE FROM dynowarden_schema").execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO dynowarden_schema (version) VALUES ($1)")
            .bind(VERSION)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// The version of the schema; 0 where there is none yet.
pub(super) async fn version(connection: &mut AnyConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM dynowarden_schema").fetch_one(connection).await
}

/// Any number, as long as all replicas use the same.
const MIGRATION_LOCK: i64 = 0x6479_6e6f_7761_7264;
