//! Health: whether dynowarden can still see and act on the apps that it watches.

pub mod alert;
pub mod check;
pub mod judgement;
pub mod watchdog;
