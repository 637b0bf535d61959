//! The differences between the two databases' SQL.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    /// Begins a transaction that will write, and that sees others' commits before each statement.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
            Self::Sqlite => "BEGIN IMMEDIATE",
        }
    }
}
