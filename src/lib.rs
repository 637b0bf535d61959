//! dynowarden: a Heroku log drain that restarts the one web dyno that exceeds its memory quota, and says why.
//!
//! This package is the daemon and the command line. Decisions are made in `dynowarden-core`, which has no
//! clock and no socket.

#![forbid(unsafe_code)]

mod app_ids;
pub mod certificate;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod context;
pub mod daemon;
pub mod days;
pub mod days_task;
pub mod drain_activity;
mod drain_lister;
pub mod drain_tokens;
pub mod driver;
pub mod dyno_env;
pub mod evidence;
pub mod exposition;
pub mod heroku;
pub mod heroku_status;
pub mod http;
mod http_client;
pub mod metrics;
pub mod notify;
mod origin_gate;
mod pauses;
mod queue_quota;
pub mod readiness;
mod roster;
pub mod series;
mod start_line;
pub mod status_model;
pub mod store;
mod store_watch;
pub mod telemetry;
pub mod terminal;
pub mod traffic;
pub mod ui;
pub mod watchdog_task;
