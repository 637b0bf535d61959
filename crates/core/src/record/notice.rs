//! The words of notices.

use std::fmt;

use crate::days::verdict::Verdict;
use crate::record::NoticeKind;
use crate::record::hold::no_help;
use crate::time::{spoken, to_the_second};

impl NoticeKind {
    /// Returns its kind in JSON, in metrics and in `notify.on`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::ApiError(_)
            | Self::Broken { .. }
            | Self::ClockDisagrees { .. }
            | Self::LinesLate { .. }
            | Self::NoCallsLeft { .. } => "failure",
            Self::GaveUp { .. } => "give_up",
            Self::NoHelp { .. } => "no_help",
            Self::NotRestarted { .. } => "not_restarted",
            Self::Often { .. } => "restart",
            Self::RestartFailed(_) => "failure",
            Self::ApiRecovered | Self::CallsLeft | Self::LinesCurrent => "recovered",
            Self::Health(alert) => alert.label(),
            Self::Admin(act) => act.label(),
        }
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiError(error) => write!(f, "restarts are off: {error}"),
            Self::ClockDisagrees { lead } => {
                write!(
                    f,
                    "log lines are {} ahead of this machine's clock, so restarts are off: correct the clock",
                    spoken(*lead)
                )
            }
            Self::Broken { state, out_for } => {
                let (state, out_for) = (state.word(), spoken(*out_for));
                write!(f, "not up for {out_for} (last seen {state}); the other dynos of its type go on")
            }
            Self::GaveUp { useless, until, verdict, .. } => write!(
                f,
                "gave up on this dyno: {}{}. It is not restarted until {} or the next \
                 release",
                no_help(*useless),
                told(*verdict),
                to_the_second(*until)
            ),
            Self::CallsLeft => f.write_str("the account has API calls left again"),
            Self::LinesCurrent => f.write_str("log lines arrive on time again"),
            Self::LinesLate { age } => write!(
                f,
                "log lines arrive {} late, so restarts are off until they are current again",
                spoken(*age)
            ),
            Self::NoCallsLeft { remaining } => write!(
                f,
                "restarts are off: only {remaining} of the account's API calls are left. Something else \
                 uses this Heroku account heavily"
            ),
            Self::NoHelp { after } => write!(
                f,
                "restarting does not help: the error came back {} after the new dyno started",
                spoken(*after)
            ),
            Self::NotRestarted { erring_for, reason } => {
                write!(f, "has erred for {} and was not restarted: {reason}", spoken(*erring_for))
            }
            Self::Often { restarts, within, all_helped } => write!(
                f,
                "restarted {restarts} times in {}; {}",
                spoken(*within),
                if *all_helped {
                    "each restart helps, so this goes on until the leak is fixed"
                } else {
                    "Heroku replaced some of the new processes before they could show whether that helped"
                }
            ),
            Self::RestartFailed(result) => write!(f, "the restart failed: {result}"),
            Self::ApiRecovered => f.write_str("the API answers again"),
            Self::Health(alert) => alert.fmt(f),
            Self::Admin(act) => act.fmt(f),
        }
    }
}

/// What a verdict adds to a give-up.
fn told(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Leaks => ", although former lives leaked",
        Verdict::LevelsOutAbove => ". Its memory levels out above its quota, which no restart changes",
        Verdict::LevelsOutBelow => ", although its memory levels out below its quota",
        Verdict::Spikes => ". Its memory goes over its quota for minutes at a time, and comes back by itself",
        Verdict::Unknown => "",
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use crate::days::verdict::Verdict;
    use crate::record::NoticeKind;

    #[test]
    fn a_give_up_says_what_is_known_of_former_lives() {
        let words = |useless, verdict| {
            let until = Timestamp::UNIX_EPOCH;
            NoticeKind::GaveUp { useless, until, release: None, times: 1, verdict }.to_string()
        };
        for (useless, verdict, expect) in [
            (1, Verdict::Unknown, "gave up on this dyno: the last restart did not help. It is"),
            (3, Verdict::Leaks, "3 restarts in a row did not help, although former lives leaked. It is"),
            (1, Verdict::LevelsOutAbove, "did not help. Its memory levels out above its quota, which no"),
            (
                3,
                Verdict::LevelsOutBelow,
                "did not help, although its memory levels out below its quota. It is",
            ),
            (3, Verdict::Spikes, "did not help. Its memory goes over its quota for minutes at a time"),
        ] {
            let words = words(useless, verdict);
            assert!(words.contains(expect), "{words}");
        }
    }
}
