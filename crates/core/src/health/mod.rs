//! Health: whether dynowarden can see the apps that it watches, and restart their dynos.
//!
//! `check`, run once by a person, and [`watchdog`], which runs while the daemon serves, ask the same
//! questions. Each question has a file, which holds the judgement and its words.
//!
//! | question | file |
//! | --- | --- |
//! | Does the API accept the token, and what may the token do? | `api_key` |
//! | Is the app there, under which name, can it be watched, what does a restart do to it? | `app` |
//! | Does a drain of the app lead here, is its password right, does it loop? | `drains` |
//! | When does a drain count as silent? | `silence` |
//! | Is this machine's clock right? | `clock` |
//! | Are certificate, store and notifiers usable? | `tls`, `store`, `notifiers` |
//!
//! `check` reports a [`finding::Finding`]. The watchdog reports an [`alert::HealthAlert`]; where both report
//! the same fact, the alert shows the finding's words.

mod account;
mod advice;
pub mod alert;
pub mod api_key;
pub mod app;
pub mod check;
pub mod clock;
pub mod drains;
pub mod facts;
pub mod finding;
mod notifiers;
pub mod reached;
pub mod schedule;
pub mod silence;
mod store;
#[cfg(test)]
mod tests;
mod tls;
pub mod watchdog;
mod watched_app;
mod way_in;
