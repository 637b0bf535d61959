//! `policy.window`: the hours of the week in which restarts are allowed.

/// One window, such as `Mon-Fri 00:00-06:00 America/New_York`.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {}
