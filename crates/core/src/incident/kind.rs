//! The kinds of messages: the words of `notify.on`.

use std::fmt;
use std::str::FromStr;

/// The kinds of messages, from the least to the most urgent. A message of two kinds takes the more urgent
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `check --notify`; goes to every notifier.
    Test,
    /// The daily summary; sent if `notify.digest` is set.
    Digest,
    /// A rule fired and the dyno was not restarted.
    Hold,
    /// A rule with `do = "notify"` fired.
    Notify,
    /// An admin paused or resumed restarts.
    Pause,
    /// A reported failure is over.
    Recovered,
    /// A dyno was restarted, and whether it helped.
    Restart,
    /// Several dynos started failing after a release.
    SuspectRelease,
    NoHelp,
    /// A drain without the expected lines.
    DrainSilent,
    /// A restart failed, the API is unreachable, or a notifier is down.
    Failure,
    /// A dyno errs and was not restarted for a while.
    NotRestarted,
    GiveUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such kind")]
pub struct KindError;

impl Kind {
    /// The kinds allowed in settings.
    pub const CHOICES: [Self; 11] = [
        Self::Restart,
        Self::GiveUp,
        Self::Failure,
        Self::DrainSilent,
        Self::NotRestarted,
        Self::NoHelp,
        Self::SuspectRelease,
        Self::Notify,
        Self::Pause,
        Self::Recovered,
        Self::Hold,
    ];

    /// The default: all but refusals, which are many and need no action.
    pub const DEFAULT: [Self; 10] = [
        Self::Restart,
        Self::GiveUp,
        Self::Failure,
        Self::DrainSilent,
        Self::NotRestarted,
        Self::NoHelp,
        Self::SuspectRelease,
        Self::Notify,
        Self::Pause,
        Self::Recovered,
    ];

    /// [`Kind::CHOICES`], as text.
    pub const WORDS: &'static str = "restart, give_up, failure, drain_silent, not_restarted, no_help, \
                                     suspect_release, notify, pause, recovered, hold";

    /// Its word in settings, JSON and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::DrainSilent => "drain_silent",
            Self::Failure => "failure",
            Self::GiveUp => "give_up",
            Self::Hold => "hold",
            Self::NoHelp => "no_help",
            Self::NotRestarted => "not_restarted",
            Self::Notify => "notify",
            Self::Pause => "pause",
            Self::Recovered => "recovered",
            Self::Restart => "restart",
            Self::SuspectRelease => "suspect_release",
            Self::Test => "test",
        }
    }

    /// Whether it needs a person: such a message is sent at once and repeated while the problem lasts.
    pub fn is_loud(self) -> bool {
        self >= Self::SuspectRelease
    }
}

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(text: &str) -> Result<Self, KindError> {
        Self::CHOICES.into_iter().find(|kind| kind.word() == text).ok_or(KindError)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn every_kind_is_read_back() {
        for kind in Kind::CHOICES {
            assert_eq!(kind.word().parse(), Ok(kind));
        }
        assert_eq!(Kind::CHOICES.map(Kind::word).join(", "), Kind::WORDS);
        for text in ["", "Restart", "test", "digest", "all"] {
            assert!(text.parse::<Kind>().is_err(), "{text}");
        }
    }

    #[test]
    fn loud_kinds_need_a_person() {
        let loud: Vec<&str> =
            Kind::CHOICES.into_iter().filter(|kind| kind.is_loud()).map(Kind::word).collect();
        assert_eq!(
            loud,
            ["give_up", "failure", "drain_silent", "not_restarted", "no_help", "suspect_release"]
        );
    }
}
