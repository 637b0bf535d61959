//! What each command does, between the command line and the pure half.

pub mod replay;
