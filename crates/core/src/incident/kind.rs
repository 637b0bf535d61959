//! What a message is about: the words of `notify.on`.

use std::fmt;
use std::str::FromStr;

/// The kinds of messages, from the least to the most pressing: a message that could be of two kinds is of
/// the more pressing one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `check --notify`; goes to everybody.
    Test,
    /// The day in one message; sent where `notify.digest` is set.
    Digest,
    /// A rule fired and the dyno was left as it is.
    Hold,
    /// A rule with `do = "notify"` fired.
    Notify,
    /// What was wrong is right again.
    Recovered,
    /// A dyno was restarted, and whether it helped.
    Restart,
    /// Several dynos started failing a release.
    SuspectRelease,
    /// A restart does not help.
    NoHelp,
    /// A drain that should have lines has none.
    DrainSilent,
    /// A restart failed, the API cannot be seen, a notifier is down.
    Failure,
    /// A dyno was given up.
    GiveUp,
}

/// An unknown notification kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("one of {}", Kind::WORDS)]
pub struct KindError;

impl Kind {
    /// The kinds that a user can choose from.
    pub const CHOICES: [Self; 9] = [
        Self::Restart,
        Self::GiveUp,
        Self::Failure,
        Self::DrainSilent,
        Self::NoHelp,
        Self::SuspectRelease,
        Self::Notify,
        Self::Recovered,
        Self::Hold,
    ];

    /// What is sent where nothing is chosen: all but the refusals, of which there are many and which need
    /// nobody.
    pub const DEFAULT: [Self; 8] = [
        Self::Restart,
        Self::GiveUp,
        Self::Failure,
        Self::DrainSilent,
        Self::NoHelp,
        Self::SuspectRelease,
        Self::Notify,
        Self::Recovered,
    ];

    /// [`Kind::CHOICES`], in words.
    pub const WORDS: &'static str = "restart, give_up, failure, drain_silent, no_help, suspect_release, \
                                     notify, recovered, hold";

    /// The word for it in settings, in JSON and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::DrainSilent => "drain_silent",
            Self::Failure => "failure",
            Self::GiveUp => "give_up",
            Self::Hold => "hold",
            Self::NoHelp => "no_help",
            Self::Notify => "notify",
            Self::Recovered => "recovered",
            Self::Restart => "restart",
            Self::SuspectRelease => "suspect_release",
            Self::Test => "test",
        }
    }

    /// Whether a person is needed: such a message is sent at once and repeated while it stands.
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
    fn every_choice_is_read_as_it_is_written() {
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
        assert_eq!(loud, ["give_up", "failure", "drain_silent", "no_help", "suspect_release"]);
    }
}
