//! The two databases, where their SQL differs.

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    /// Begins a transaction that will write, and that sees what others committed before each statement.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
            Self::Sqlite => "BEGIN IMMEDIATE",
        }
    }
}
