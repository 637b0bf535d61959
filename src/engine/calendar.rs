//! `policy.window`: the hours of the week in which restarts are allowed.

use jiff::Timestamp;

/// One window, such as `Mon-Fri 00:00-06:00 America/New_York`.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {}

/// Whether restarts are allowed at `at`.
pub fn open(windows: &[Window], at: Timestamp) -> bool {
    let _ = at;
    windows.is_empty()
}

/// When they are allowed next.
pub fn next_open(windows: &[Window], at: Timestamp) -> Option<Timestamp> {
    windows.is_empty().then_some(at)
}
