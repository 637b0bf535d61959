//! Connections to the database, and the specifics of each kind.
//!
//! All statements are written once, for both kinds; differences are only here.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AnyConnection, AnyPool, ConnectOptions as _, Connection as _};
use tracing::warn;

use crate::config::settings::Database;
use crate::store::dialect::Dialect;
use crate::store::error::{self, Kind, StoreAway, StoreError, StoreLocation};
use crate::store::schema::{self, SchemaError};
use dynowarden_core::drain_url::is_loopback;
use dynowarden_core::limits;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// To read what another process writes, or has written.
    Read,
    /// To serve: read and write.
    Serve,
}

#[derive(Debug)]
pub(super) struct Link {
    pub dialect: Dialect,
    /// Whether the data is lost with the connection.
    pub is_memory: bool,
    pub place: StoreLocation,
    /// For queries that change nothing.
    pub read: AnyPool,
    /// SQLite lets one write at a time, so there is one connection for that.
    pub write: AnyPool,
    /// Held while the file is served from; the system releases it when the process dies.
    _lock: Option<File>,
}

impl Link {
    /// Opens the database and, to serve, brings its schema up to date.
    pub(super) async fn open(database: &Database, access: Access) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        match database {
            Database::Memory => Self::memory(access).await,
            Database::Postgres(url) => Self::postgres(url, access).await,
            Database::Sqlite(path) => Self::sqlite(path, access).await,
        }
    }

    /// Uses the database within a time limit.
    pub(super) async fn within<T>(
        &self,
        wait: Duration,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreAway> {
        let (what, kind) = match tokio::time::timeout(wait, work).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => (self.place.what(&error).into(), error::kind(&error, self.dialect)),
            Err(_) => ("no response in time".into(), Kind::Away),
        };
        Err(StoreAway { place: self.place.clone(), what, kind })
    }

    /// Closes all connections as soon as they are idle.
    pub(super) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    async fn memory(access: Access) -> Result<Self, StoreError> {
        let place = StoreLocation { shown: "memory".into(), user: None };
        if access == Access::Read {
            let what = "with DATABASE_URL=memory it exists only inside the running daemon".to_owned();
            return Err(StoreError::Missing { place, what });
        }
        let options = options("sqlite::memory:").map_err(|_| StoreError::Address)?;
        // One connection that never ends: the in-memory database would be lost with it.
        let pool = pool(1, Dialect::Sqlite, access).min_connections(1).connect_lazy_with(options);
        let migrated = async {
            let mut connection = pool.acquire().await?;
            schema::migrate(&mut connection, Dialect::Sqlite).await
        };
        migrated.await.map_err(|error| place.cannot_open(error, Dialect::Sqlite))?;
        let (read, write) = (pool.clone(), pool);
        Ok(Self { dialect: Dialect::Sqlite, is_memory: true, place, read, write, _lock: None })
    }

    async fn sqlite(path: &Path, access: Access) -> Result<Self, StoreError> {
        let place = StoreLocation { shown: path.display().to_string().into(), user: None };
        if access == Access::Read && !path.exists() {
            return Err(StoreError::Missing { place, what: "no such file".to_owned() });
        }
        let lock = match access {
            Access::Read => None,
            Access::Serve => {
                let lock = lock(path, &place)?;
                keep_private(path);
                Some(lock)
            }
        };
        let mode = if access == Access::Serve { "rwc" } else { "ro" };
        let Some(options) = file_url(path, mode).and_then(|url| options(&url).ok()) else {
            return Err(StoreError::Unusable { place, what: "this file name cannot be used".to_owned() });
        };
        first_contact(&options, &place, (Dialect::Sqlite, access)).await?;
        let write = pool(1, Dialect::Sqlite, access).connect_lazy_with(options.clone());
        let read = pool(SQLITE_READERS, Dialect::Sqlite, access).connect_lazy_with(options);
        Ok(Self { dialect: Dialect::Sqlite, is_memory: false, place, read, write, _lock: lock })
    }

    async fn postgres(url: &SecretString, access: Access) -> Result<Self, StoreError> {
        let mut url = known_options(url.expose_secret());
        let server = PgConnectOptions::from_str(&url).map_err(|_| StoreError::Address)?;
        if crosses_a_network_in_clear(&url, &server) {
            url.push_str(if url.contains('?') { "&" } else { "?" });
            url.push_str("sslmode=require");
        }
        let host = match server.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", server.get_host(), server.get_port()),
        };
        let shown = match server.get_database() {
            Some(database) => format!("PostgreSQL at {host}, database {database}"),
            None => format!("PostgreSQL at {host}"),
        };
        let place = StoreLocation { shown: shown.into(), user: Some(server.get_username().into()) };
        let options = options(&url).map_err(|_| StoreError::Address)?;
        first_contact(&options, &place, (Dialect::Postgres, access)).await?;
        let connections = limits::STORE_CONNECTIONS_MAX;
        let pool = pool(connections, Dialect::Postgres, access).connect_lazy_with(options);
        let (read, write) = (pool.clone(), pool);
        Ok(Self { dialect: Dialect::Postgres, is_memory: false, place, read, write, _lock: None })
    }
}

/// Connections that read a SQLite file alongside the one that writes.
const SQLITE_READERS: u32 = 2;

fn options(url: &str) -> Result<AnyConnectOptions, sqlx::Error> {
    Ok(AnyConnectOptions::from_str(url)?.disable_statement_logging())
}

fn pool(connections: u32, dialect: Dialect, access: Access) -> AnyPoolOptions {
    let options = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(limits::CLAIM_WAIT)
        .after_connect(move |connection, _| Box::pin(prepare(connection, dialect, access)));
    match dialect {
        // One to write and one to claim, so that the first claim need not wait for a login.
        Dialect::Postgres => options.min_connections(2),
        Dialect::Sqlite => options.max_lifetime(None).idle_timeout(None).test_before_acquire(false),
    }
}

/// Connects once without a pool, which would hide the reason for a failure.
async fn first_contact(
    options: &AnyConnectOptions,
    place: &StoreLocation,
    (dialect, access): (Dialect, Access),
) -> Result<(), StoreError> {
    let contact = async {
        let mut connection = options.connect().await?;
        prepare(&mut connection, dialect, access).await?;
        let checked = match access {
            Access::Serve => schema::migrate(&mut connection, dialect).await,
            Access::Read => check(&mut connection).await,
        };
        // The result is known already.
        let _closed = connection.close().await;
        checked
    };
    let contacted = tokio::time::timeout(CONTACT_WAIT, contact).await;
    let Ok(contacted) = contacted else {
        return Err(StoreError::Away { place: place.clone(), what: "no response in time".to_owned() });
    };
    contacted.map_err(|error| match error {
        SchemaError::Database(error) if access == Access::Read && is_missing(&error) => {
            StoreError::Missing { place: place.clone(), what: "no daemon has used it yet".to_owned() }
        }
        error => place.cannot_open(error, dialect),
    })
}

/// How long startup waits for the database.
const CONTACT_WAIT: Duration = Duration::from_secs(10);

/// A reader changes nothing, so the schema must match.
async fn check(connection: &mut AnyConnection) -> Result<(), SchemaError> {
    let found = schema::version(connection).await?;
    if found == schema::VERSION { Ok(()) } else { Err(SchemaError::Version { found }) }
}

/// Whether the table of the schema's version is missing.
fn is_missing(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| {
        error.code().as_deref() == Some("42P01") || error.message().starts_with("no such table")
    })
}

/// Sets a new connection up.
async fn prepare(
    connection: &mut AnyConnection,
    dialect: Dialect,
    access: Access,
) -> Result<(), sqlx::Error> {
    let statements = match (dialect, access) {
        (Dialect::Postgres, _) => POSTGRES_SETTINGS,
        (Dialect::Sqlite, Access::Serve) => SQLITE_SETTINGS,
        (Dialect::Sqlite, Access::Read) => SQLITE_READER_SETTINGS,
    };
    sqlx::raw_sql(statements).execute(connection).await.map(|_| ())
}

/// A claim that was answered must survive a power failure, so commits wait for the disk. The time-outs are
/// slightly below ours (`CLAIM_WAIT`, `STORE_WAIT`), so that the server also gives up.
const POSTGRES_SETTINGS: &str = "\
    SET synchronous_commit = on;
    SET statement_timeout = 4500;
    SET lock_timeout = 1900;
    SET idle_in_transaction_session_timeout = 10000;
    SET client_min_messages = warning";

/// In WAL mode `FULL` waits for the disk at each commit (<https://www.sqlite.org/pragma.html>). Each
/// connection caches 512 KiB of pages instead of 2 MiB: mostly the last rows matter, and the system's cache
/// has the others. The log is moved into the file by `checkpoint`; a commit does it only if the log is full.
const SQLITE_SETTINGS: &str = "\
    PRAGMA busy_timeout = 1900;
    PRAGMA cache_size = -512;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 4096;
    PRAGMA journal_size_limit = 16777216";

const SQLITE_READER_SETTINGS: &str =
    "PRAGMA busy_timeout = 1900; PRAGMA cache_size = -512; PRAGMA query_only = on";

/// Locks the file for this process. The lock is on a separate file, so that others can still read.
fn lock(path: &Path, place: &StoreLocation) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let unusable = |error: std::io::Error| StoreError::Unusable {
        place: place.clone(),
        what: match path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists()) {
            Some(parent) => format!("the directory {} does not exist", parent.display()),
            None => format!("{} cannot be created: {error}", name.display()),
        },
    };
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(OWNER_ONLY).open(&name);
    let file = file.map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { place: place.clone() }),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

/// Creates the file and takes from other users the right to read it, before anything is in it. SQLite gives
/// its other files (WAL, journal) the mode of this one.
fn keep_private(path: &Path) {
    // A file that cannot be created is reported when SQLite tries.
    drop(OpenOptions::new().create(true).truncate(false).write(true).mode(OWNER_ONLY).open(path));
    for suffix in ["", ".lock", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let Ok(metadata) = fs::metadata(&name) else { continue };
        if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
            // Another user's file is that user's to protect.
            if let Err(error) = fs::set_permissions(&name, Permissions::from_mode(OWNER_ONLY)) {
                warn!(%error, file = %Path::new(&name).display(), "cannot keep other users from a file");
            }
        }
    }
}

/// Readable and writable by the user that dynowarden runs as, and by no other.
const OWNER_ONLY: u32 = 0o600;

fn file_url(path: &Path, mode: &str) -> Option<String> {
    let url = Url::from_file_path(std::path::absolute(path).ok()?).ok()?;
    Some(format!("sqlite:{}?mode={mode}", url.path()))
}

/// Whether the client would send the password in clear text, off this machine, to a server that says it
/// knows no TLS, although nobody chose that.
fn crosses_a_network_in_clear(url: &str, server: &PgConnectOptions) -> bool {
    let (_, query) = url.split_once('?').unwrap_or_default();
    let mut keys = query.split('&').filter_map(|pair| pair.split('=').next());
    let is_chosen = keys.any(|key| matches!(key, "sslmode" | "ssl-mode"));
    let may_be_clear = matches!(server.get_ssl_mode(), PgSslMode::Allow | PgSslMode::Prefer);
    may_be_clear && !is_chosen && server.get_socket().is_none() && !is_loopback(server.get_host())
}

/// The URL without parameters that the client does not know: it would log them, and one of them may be a
/// misspelled `password=`.
fn known_options(url: &str) -> String {
    let Some((base, query)) = url.split_once('?') else { return url.to_owned() };
    let (known, unknown): (Vec<&str>, Vec<&str>) = query.split('&').partition(|pair| {
        let key = pair.split('=').next().unwrap_or_default();
        POSTGRES_OPTIONS.contains(&key) || key.starts_with("options[")
    });
    if !unknown.is_empty() {
        warn!("DATABASE_URL has {} unknown options, which are ignored", unknown.len());
    }
    if known.is_empty() { base.to_owned() } else { format!("{base}?{}", known.join("&")) }
}

const POSTGRES_OPTIONS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// The name of this process in the store, different from all others.
pub(super) fn new_holder() -> Arc<str> {
    use std::hash::{BuildHasher as _, RandomState};
    // Each state has its own keys, which the standard library takes from the system's randomness.
    format!("{:016x}", RandomState::new().hash_one(std::process::id())).into()
}
