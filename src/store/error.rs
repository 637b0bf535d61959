//! Errors of the store, in words that name the file or the server and never a secret.

use std::fmt;
use std::sync::Arc;

use sqlx::error::DatabaseError;

use crate::store::dialect::Dialect;
use crate::store::schema::{SchemaError, VERSION};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("DATABASE_URL is not a URL of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Address,
    #[error("the database cannot be reached: {place}: {what}; {}", .place.fix())]
    Away { place: StoreLocation, what: String },
    /// The file is not a database, or a damaged one.
    #[error(
        "the database is damaged: {place}: {what}; restore a backup, or move the file away to start empty"
    )]
    Damaged { place: StoreLocation, what: String },
    #[error(
        "the database rejects the login: {place}: the user or the password in DATABASE_URL is wrong; \
         correct it"
    )]
    Denied { place: StoreLocation },
    /// A newer version of the program has used it.
    #[error(
        "the database belongs to a newer version of dynowarden: {place} has schema {found}, and this one \
         supports at most {known}; run the newer version, or restore the backup from before the upgrade"
    )]
    Future {
        place: StoreLocation,
        found: i64,
        /// The newest known version.
        known: i64,
    },
    #[error(
        "the database is in use: another dynowarden is using {place}; several replicas need PostgreSQL \
         (DATABASE_URL=postgres://…)"
    )]
    InUse { place: StoreLocation },
    #[error(
        "there is no decision history yet: {place}: {what}; start the daemon, or set DATABASE_URL to its \
         database"
    )]
    Missing { place: StoreLocation, what: String },
    /// Only an older version of this program has served from it.
    #[error(
        "the database belongs to an older version of dynowarden: {place} has schema {found}, and this one \
         reads {known}; start this version's daemon once to upgrade it"
    )]
    Outdated { place: StoreLocation, found: i64, known: i64 },
    /// It exists and cannot be used.
    #[error("the database cannot be used: {place}: {what}; {}", .place.fix())]
    Unusable { place: StoreLocation, what: String },
}

/// The store did not answer in time, or at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the database is unavailable: {place}: {what}")]
pub struct StoreAway {
    pub(super) place: StoreLocation,
    pub(super) what: Arc<str>,
    pub(super) kind: Kind,
}

/// A file or a server in printable form, without the user and the password of its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreLocation {
    pub(crate) shown: Arc<str>,
    /// The user's name, which a server's messages may quote.
    pub(crate) user: Option<Arc<str>>,
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The kind of an error, which decides the reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It may be back in a moment.
    Away,
    Damaged,
    /// A row that the database will never accept.
    Data,
    Denied,
    /// Until the operator changes something.
    Unusable,
}

impl StoreLocation {
    /// What to do if this place cannot be used.
    fn fix(&self) -> &'static str {
        match &self.user {
            Some(_) => "check that the server runs and that DATABASE_URL is right",
            None => {
                "create its directory, writable for the user that dynowarden runs as, or choose another one: \
                 DATABASE_URL=sqlite:///DIR/dynowarden.db"
            }
        }
    }

    /// The error as one line without a secret.
    pub(super) fn what(&self, error: &sqlx::Error) -> String {
        let text = match error {
            sqlx::Error::Database(error) => error.message().to_owned(),
            sqlx::Error::Io(error) => error.to_string(),
            sqlx::Error::Tls(error) => {
                format!("{error}; if the network between is private, append ?sslmode=disable to DATABASE_URL")
            }
            sqlx::Error::PoolTimedOut => "no connection in time".to_owned(),
            sqlx::Error::PoolClosed => "closed".to_owned(),
            // A configuration error quotes its input.
            sqlx::Error::Configuration(_) => "an option in DATABASE_URL is not understood".to_owned(),
            other => other.to_string(),
        };
        let text = text.replace(['\n', '\r'], " ");
        match &self.user {
            Some(user) => text.replace(&format!("\"{user}\""), "\"…\""),
            None => text,
        }
    }

    pub(super) fn cannot_open(&self, error: SchemaError, dialect: Dialect) -> StoreError {
        let place = self.clone();
        let error = match error {
            SchemaError::Version { found } if found > VERSION => {
                return StoreError::Future { place, found, known: VERSION };
            }
            SchemaError::Version { found } => {
                return StoreError::Outdated { place, found, known: VERSION };
            }
            SchemaError::Database(error) => error,
        };
        let what = self.what(&error);
        match kind(&error, dialect) {
            Kind::Away => StoreError::Away { place, what },
            Kind::Damaged => StoreError::Damaged { place, what },
            Kind::Denied => StoreError::Denied { place },
            Kind::Data | Kind::Unusable => StoreError::Unusable { place, what },
        }
    }
}

pub(super) fn kind(error: &sqlx::Error, dialect: Dialect) -> Kind {
    match error {
        sqlx::Error::Database(error) => match dialect {
            Dialect::Postgres => kind_of_postgres(error.as_ref()),
            Dialect::Sqlite => kind_of_sqlite(error.as_ref()),
        },
        sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => Kind::Unusable,
        _ => Kind::Away,
    }
}

/// By the primary result code, which is the low byte (<https://www.sqlite.org/rescode.html>).
fn kind_of_sqlite(error: &dyn DatabaseError) -> Kind {
    let code = error.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or_default();
    match code & 0xff {
        // CORRUPT, NOTADB
        11 | 26 => Kind::Damaged,
        // TOOBIG, CONSTRAINT, MISMATCH
        18..=20 => Kind::Data,
        // PERM, READONLY, CANTOPEN, AUTH
        3 | 8 | 14 | 23 => Kind::Unusable,
        _ => Kind::Away,
    }
}

/// By the class of the SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn kind_of_postgres(error: &dyn DatabaseError) -> Kind {
    let code = error.code().unwrap_or_default();
    match code.get(..2) {
        Some("22" | "23") => Kind::Data,
        Some("28") => Kind::Denied,
        // No such database or schema; access rule violations and missing rights.
        Some("3D" | "3F" | "42") => Kind::Unusable,
        Some("XX") if code == "XX001" || code == "XX002" => Kind::Damaged,
        _ => Kind::Away,
    }
}
