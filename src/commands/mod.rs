//! The commands, one file each.

pub mod check;
pub mod demo;
pub mod history;
pub mod replay;
mod replay_output;
pub mod report;
pub mod serve;
mod way_in;
