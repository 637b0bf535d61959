//! dynowarden: a Heroku log drain that restarts the one web dyno that is out of memory, and says why.

#![forbid(unsafe_code)]

pub mod archive;
pub mod catalogue;
pub mod certificate;
pub mod cli;
pub mod commands;
pub mod concern;
pub mod config;
pub mod daemon;
pub mod detect;
pub mod doctor;
pub mod drain_url;
pub mod engine;
pub mod event;
pub mod ident;
pub mod incident;
pub mod ingest;
pub mod limits;
pub mod page;
pub mod platform_json;
pub mod replay;
pub mod report;
pub mod shell;
pub mod sim;
pub mod time;
pub mod traffic;
pub mod units;
pub mod vigil;
pub mod wire;
