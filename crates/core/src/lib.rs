//! The pure core of dynowarden: log lines in, decisions with their reasons out.
//!
//! Nothing here uses a clock, a network, a file, an environment or a runtime. Time and facts come in as
//! arguments, and decisions go out as values, so replay, simulation and fuzzing run the same code as
//! production.

#![forbid(unsafe_code)]

pub mod api;
pub mod backoff;
pub mod calendar;
pub mod codes;
pub mod columns;
pub mod days;
pub mod dedup;
pub mod detect;
pub mod drain_url;
pub mod engine;
pub mod event;
pub mod glance;
pub mod hash;
pub mod health;
pub mod ident;
pub mod incident;
pub mod ingest;
pub mod limits;
pub mod origin;
pub mod policy;
pub mod record;
pub mod replay;
pub mod shares;
pub mod time;
pub mod traffic;
pub mod units;
pub mod what_if;
pub mod wire;
