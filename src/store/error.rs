//! What can be wrong with a store, in words that name the file or the server and never a secret.

use std::fmt;
use std::sync::Arc;

use sqlx::error::DatabaseError;

use crate::store::dialect::Dialect;
use crate::store::schema::SchemaError;

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `DATABASE_URL` cannot be read.
    #[error("DATABASE_URL is not a URL of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Address,
    /// There is no answer.
    #[error("the store cannot be reached: {place}: {what}; {}", .place.fix())]
    Away {
        /// The file or the server.
        place: StoreLocation,
        /// What happened.
        what: String,
    },
    /// The file is no database, or not a whole one.
    #[error(
        "the store is damaged: {place}: {what}; move the file away to begin a new one, or bring back a copy"
    )]
    Damaged {
        /// The file or the server.
        place: StoreLocation,
        /// What was found.
        what: String,
    },
    /// The server does not let us in.
    #[error(
        "the store does not let us in: {place}: the user or the password in DATABASE_URL is not accepted; \
         set the right ones"
    )]
    Denied {
        /// The server.
        place: StoreLocation,
    },
    /// A newer version of the program has used it.
    #[error(
        "the store belongs to a newer version of dynowarden: {place} has schema {found}, and this one \
         knows none above {known}; run the newer version, or bring back the copy from before it"
    )]
    Future {
        /// The file or the server.
        place: StoreLocation,
        /// The schema that is there.
        found: i64,
        /// The newest that we know.
        known: i64,
    },
    /// Another process has the file.
    #[error(
        "the store is in use: another dynowarden serves from {place}; several replicas need a PostgreSQL \
         (DATABASE_URL=postgres://…)"
    )]
    InUse {
        /// The file.
        place: StoreLocation,
    },
    /// There is nothing to read.
    #[error("there is no record yet: {place}: {what}")]
    Missing {
        /// The file or the server.
        place: StoreLocation,
        /// What is missing.
        what: String,
    },
    /// Only an older version of this program has served from it.
    #[error(
        "the record is of an older dynowarden: {place} has schema {found}, and this one reads {known}; \
         start this version's daemon on it first"
    )]
    Outdated {
        /// The file or the server.
        place: StoreLocation,
        /// Its version.
        found: i64,
        /// The version that this program works with.
        known: i64,
    },
    /// It is there and cannot be used.
    #[error("the store cannot be used: {place}: {what}; {}", .place.fix())]
    Unusable {
        /// The file or the server.
        place: StoreLocation,
        what: String,
    },
}

/// The store did not do what it was asked in time, or at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store is away: {place}: {what}")]
pub struct StoreAway {
    pub(super) place: StoreLocation,
    pub(super) what: Arc<str>,
}

/// A file or a server, as it may be shown: without the user and the password of its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreLocation {
    pub(super) shown: Arc<str>,
    /// The user's name, which a server's messages may quote.
    pub(super) user: Option<Arc<str>>,
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// What kind of thing is wrong, which decides what can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It may be there again in a moment.
    Away,
    /// The file is damaged.
    Damaged,
    /// A row that the database will never take, however often it is asked.
    Data,
    /// The server does not let us in.
    Denied,
    /// It stays so until the operator changes something.
    Unusable,
}

impl StoreLocation {
    /// What to do when there is nothing to be had at this place.
    fn fix(&self) -> &'static str {
        match &self.user {
            Some(_) => "see to it that the server runs, and that DATABASE_URL names the right one",
            None => {
                "let the user that dynowarden runs as write in its directory, or name a file in another one: \
                 DATABASE_URL=sqlite:///DIR/dynowarden.db"
            }
        }
    }

    /// What is wrong, as one line without a secret.
    pub(super) fn what(&self, error: &sqlx::Error) -> String {
        let text = match error {
            sqlx::Error::Database(error) => error.message().to_owned(),
            sqlx::Error::Io(error) => error.to_string(),
            sqlx::Error::PoolTimedOut => "no connection in time".to_owned(),
            sqlx::Error::PoolClosed => "closed".to_owned(),
            // A configuration error quotes what it was given.
            sqlx::Error::Configuration(_) => "an option in DATABASE_URL is not understood".to_owned(),
            other => other.to_string(),
        };
        let text = text.replace(['\n', '\r'], " ");
        match &self.user {
            Some(user) => text.replace(&format!("\"{user}\""), "\"…\""),
            None => text,
        }
    }

    /// The error of an opening.
    pub(super) fn cannot_open(&self, error: SchemaError, dialect: Dialect) -> StoreError {
        let place = self.clone();
        let error = match error {
            SchemaError::Future { found, known } => return StoreError::Future { place, found, known },
            SchemaError::Outdated { found, known } => {
                return StoreError::Outdated { place, found, known };
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

/// Classifies the error.
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
