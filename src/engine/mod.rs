//! The engine: decides, and nothing else.

pub mod calendar;
pub mod policy;
