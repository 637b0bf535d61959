//! The words of the stages and ends of a restart.

use std::fmt;

use crate::record::RestartResult;
use crate::time::spoken;

impl RestartResult {
    /// Returns its code in JSON and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Back { late: false, .. } => "back",
            Self::Back { late: true, .. } => "back_late",
            Self::NotBack { .. } => "not_back",
            Self::DownAgain { .. } => "down_again",
            Self::Gone => "gone",
            Self::Ignored { .. } => "ignored",
            Self::NoHelp { .. } => "no_help",
            Self::Refused(_) => "refused",
            Self::Unanswered { .. } => "unanswered",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl fmt::Display for RestartResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { answer_lost: false } => f.write_str("the API accepted the restart"),
            Self::Accepted { answer_lost: true } => {
                f.write_str("the API's response was lost, so the restart counts as carried out")
            }
            Self::Back { out_for, late: false, .. } => write!(f, "up again after {}", spoken(*out_for)),
            Self::Back { out_for, late: true, .. } => {
                write!(f, "up again after {}, after boot_timeout was over", spoken(*out_for))
            }
            Self::NotBack { state: Some(state), waited } => {
                write!(f, "not up within boot_timeout = {}: last seen {}", spoken(*waited), state.word())
            }
            Self::NotBack { state: None, waited } => {
                write!(f, "not seen up within boot_timeout = {}", spoken(*waited))
            }
            Self::DownAgain { state } => {
                write!(f, "up again, and then {} before it had settled", state.word())
            }
            Self::Gone => f.write_str("the dyno no longer exists: it was scaled down"),
            Self::Ignored { waited } => write!(
                f,
                "the API accepted the restart, but the old process still runs after {}",
                spoken(*waited)
            ),
            Self::NoHelp { after } => {
                write!(
                    f,
                    "up again, but the restart did not help: the error was back after {}",
                    spoken(*after)
                )
            }
            Self::Refused(error) => write!(f, "not restarted: {error}"),
            Self::Unanswered { tries } => {
                let sent = if *tries == 1 { "once".to_owned() } else { format!("{tries} times") };
                write!(f, "sent {sent} without a response, and the old instance is still running")
            }
            Self::Withdrawn => f.write_str("cancelled before the request was sent"),
        }
    }
}
