//! Shared test code: the oracles of the fuzz targets, the real daemon as a child process, one HTTP client,
//! fixtures.
//!
//! The oracles need only the core, so fuzzing them builds no database. Everything else is behind the feature
//! `daemon`.

#![forbid(unsafe_code)]

pub mod api_oracle;
#[cfg(feature = "daemon")]
pub mod client;
#[cfg(feature = "daemon")]
pub mod corpus;
#[cfg(feature = "daemon")]
pub mod crashes;
#[cfg(feature = "daemon")]
pub mod daemon;
pub mod engine_ops;
pub mod evidence_oracle;
#[cfg(feature = "daemon")]
pub mod fixtures;
#[cfg(feature = "daemon")]
pub mod http_oracle;
pub mod json;
#[cfg(feature = "daemon")]
pub mod judge;
pub mod oracle;
#[cfg(feature = "daemon")]
pub mod process;
#[cfg(feature = "daemon")]
pub mod proxy;
pub mod reference;
#[cfg(feature = "daemon")]
pub mod replay_oracle;
#[cfg(feature = "daemon")]
pub mod schema;
#[cfg(feature = "daemon")]
pub mod series;
#[cfg(feature = "daemon")]
pub mod settings_oracle;
#[cfg(feature = "daemon")]
pub mod store;
#[cfg(feature = "daemon")]
pub mod story;
#[cfg(feature = "daemon")]
pub mod tls;
#[cfg(feature = "daemon")]
pub mod unpack_oracle;
#[cfg(feature = "daemon")]
pub mod what_if_oracle;
