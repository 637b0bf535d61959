//! The judgements that `check` and the watchdog share, and the sentences that both show.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::json::AppInfo;
use crate::drain_url::{DrainUrl, PublicUrl};
use crate::ident::AppName;
use crate::limits;
use crate::time::since;

/// What is wrong with watching a Fir app.
pub const FIR: &str =
    "a Fir app has no log drains, and Heroku itself restarts its dynos when their memory is used up";

/// What to do about an app that has another name now.
pub fn use_new_name(to: &str) -> String {
    format!("use {to} in HEROKU_APP and in the drain's URL")
}

/// The present name of an app that the settings call `name`, if it is another one. An app may also be set by
/// its id.
pub fn renamed_to<'a>(name: &str, id: &str, present: &'a str) -> Option<&'a str> {
    (present != name && id != name).then_some(present)
}

/// Whether an app is of the Fir generation.
pub fn is_fir(info: &AppInfo) -> bool {
    info.generation.as_deref() == Some("fir")
}

/// Whether a drain with this URL delivers here: to our public address where it is known, else to a path of
/// ours.
pub fn is_ours(url: &DrainUrl, public_url: Option<&PublicUrl>, app: &AppName) -> bool {
    match public_url {
        Some(public) => url.is_at(public),
        None => url.is_path_of(app),
    }
}

/// A clock that is wrong by more than [`limits::CLOCK_LEAD_MAX`], compared with Heroku's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockError {
    /// Ahead of Heroku's, so every error looks old.
    Ahead(Duration),
    /// Behind Heroku's, so every error looks as if it came from the future.
    Behind(Duration),
}

/// Compares this machine's clock with the API's, which shows whole seconds.
pub fn clock_error(here: Timestamp, there: Timestamp) -> Option<ClockError> {
    let (ahead, behind) = (since(there, here), since(here, there));
    if ahead > limits::CLOCK_LEAD_MAX {
        Some(ClockError::Ahead(ahead))
    } else {
        (behind > limits::CLOCK_LEAD_MAX).then_some(ClockError::Behind(behind))
    }
}
