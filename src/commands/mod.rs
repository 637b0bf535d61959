//! The commands, one file each: thin shells that turn arguments into a run and a run into an exit code.

pub mod demo;
pub mod history;
pub mod replay;
pub mod serve;
