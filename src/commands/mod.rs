//! The commands, one file each.

pub mod check;
pub mod demo;
pub mod history;
pub mod replay;
pub mod report;
pub mod serve;
