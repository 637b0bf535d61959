//! The commands, one file each.

pub mod check;
pub mod completions;
pub mod demo;
pub mod healthcheck;
pub mod history;
pub mod replay;
pub mod serve;
