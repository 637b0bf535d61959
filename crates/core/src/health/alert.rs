//! What keeps the program from seeing what it watches, and that it sees again.
//!
//! The engine says why a dyno is left alone; these are about the eyes and ears themselves: the drain, the
//! token, the app's name, the platform's own health. A blind program restarts nothing, so it has to say so.

use std::fmt;
use std::time::Duration;

use crate::api::ApiError;
use crate::health::judgement;
use crate::time::spoken;

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub enum HealthAlert {
    /// The Platform API has not answered for a while. About the whole account.
    ApiAway {
        /// What it does instead.
        error: ApiError,
    },
    /// The Platform API answers again.
    ApiBack,
    /// An app that the token cannot see: gone, or not for this token.
    AppHidden {
        /// What the API says.
        error: ApiError,
    },
    /// A Fir app: it has no drains, and the platform itself restarts what is out of memory.
    AppIsFir,
    /// The app is known by another name now.
    AppRenamed {
        /// Its present name.
        to: String,
    },
    /// The app is seen again.
    AppSeen,
    /// This machine's clock is ahead of the API's, so errors look old. About the whole account.
    ClockAhead { lead: Duration },
    /// It is not any more.
    ClockRight,
    /// The program watches the app that it runs in: each batch makes a router line, hence a new batch.
    DrainLoops,
    /// No drain of the app leads here.
    DrainMissing,
    /// Nothing comes from an app whose dynos run.
    DrainSilent {
        /// For how long nothing has come.
        quiet_for: Duration,
        /// Dynos of the listed process types that are up.
        running: usize,
    },
    /// The drain is there, and heard, again.
    DrainSpeaks,
    /// Logplex lost lines on their way to us.
    LinesLost {
        /// How many since it was last told.
        messages: u64,
    },
    /// Heroku's status page no longer shows red.
    PlatformGreen,
    /// Heroku's status page shows red.
    PlatformRed {
        /// What is red, such as `Apps`.
        systems: String,
    },
    /// The token is accepted again.
    TokenAccepted,
    /// The token is wrong, expired or revoked. About the whole account.
    TokenRefused,
}

impl HealthAlert {
    /// The word for it in JSON, in metrics and in `notify.on`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::DrainMissing | Self::DrainSilent { .. } => "drain_silent",
            Self::ApiAway { .. }
            | Self::AppHidden { .. }
            | Self::AppIsFir
            | Self::AppRenamed { .. }
            | Self::ClockAhead { .. }
            | Self::DrainLoops
            | Self::LinesLost { .. }
            | Self::PlatformRed { .. }
            | Self::TokenRefused => "failure",
            Self::ApiBack
            | Self::AppSeen
            | Self::ClockRight
            | Self::DrainSpeaks
            | Self::PlatformGreen
            | Self::TokenAccepted => "recovered",
        }
    }

    /// Whether it is that something is well again.
    pub fn is_relief(&self) -> bool {
        self.label() == "recovered"
    }

    /// Whether nothing is seen of an app, or of all, until a person has fixed it.
    pub fn needs_person(&self) -> bool {
        matches!(
            self,
            Self::AppHidden { .. }
                | Self::AppIsFir
                | Self::AppRenamed { .. }
                | Self::DrainLoops
                | Self::DrainMissing
                | Self::TokenRefused
        )
    }
}

impl fmt::Display for HealthAlert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiAway { error } => write!(f, "nothing is restarted: {error}"),
            Self::ApiBack => f.write_str("the API answers again"),
            Self::AppHidden { error } => write!(f, "no access to the app, so nothing is restarted: {error}"),
            Self::AppIsFir => f.write_str(judgement::FIR),
            Self::AppRenamed { to } => write!(f, "renamed to {to}: {}", judgement::use_new_name(to)),
            Self::AppSeen => f.write_str("the app is accessible again"),
            Self::ClockAhead { lead } => write!(
                f,
                "this machine's clock is {} ahead of Heroku's: set it right, or every error looks too old",
                spoken(*lead)
            ),
            Self::ClockRight => f.write_str("this machine's clock is right again"),
            Self::DrainLoops => f.write_str(
                "this is the app that dynowarden runs in: each batch causes a router line, and so \
                 another batch; remove its drain",
            ),
            Self::DrainMissing => f.write_str(
                "no drain of the app delivers here, so no logs arrive: `dynowarden check` prints the fix",
            ),
            Self::DrainSilent { quiet_for, running } => write!(
                f,
                "no logs from its drain for {} while {running} of its dynos are up",
                spoken(*quiet_for)
            ),
            Self::DrainSpeaks => f.write_str("logs arrive from its drain again"),
            Self::LinesLost { messages } => {
                write!(f, "logplex lost {messages} lines (L10): errors may have been missed")
            }
            Self::PlatformGreen => f.write_str("Heroku's status page no longer shows red"),
            Self::PlatformRed { systems } => write!(f, "Heroku's status page shows red: {systems}"),
            Self::TokenAccepted => f.write_str("the API accepts the token again"),
            Self::TokenRefused => f.write_str(
                "the API does not accept the token (401): wrong, expired or revoked; no app is \
                 restarted",
            ),
        }
    }
}
