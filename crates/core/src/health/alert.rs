//! What the watchdog reports: that dynowarden cannot see or act on what it watches, or can again.
//!
//! The engine says why it leaves one dyno alone. These alerts are about the drain, the token, the app and
//! Heroku itself, without which nothing is restarted.

use std::fmt;
use std::time::Duration;

use crate::api::ApiError;
use crate::health::clock::ClockError;
use crate::health::{api_key, app, drains, finding};
use crate::ident::{AppName, DrainToken};
use crate::time::spoken;

#[derive(Clone, Debug, PartialEq)]
pub enum HealthAlert {
    /// The Platform API has not answered for a while. About the whole account.
    ApiAway {
        error: ApiError,
    },
    ApiRecovered,
    /// The token cannot see the app.
    AppHidden {
        error: ApiError,
    },
    AppIsFir,
    AppRecovered,
    AppRenamed {
        to: String,
    },
    /// About the whole account. The engine reports a clock that is behind.
    ClockAhead {
        lead: Duration,
    },
    ClockRecovered,
    /// The app's drain leads to dynowarden, which runs in the app.
    DrainLoops {
        app: AppName,
        drain: DrainToken,
    },
    /// No drain of the app leads here.
    DrainMissing,
    DrainRecovered,
    /// Nothing arrives from an app although dynos of the listed process types are up.
    DrainSilent {
        quiet_for: Duration,
        running: usize,
    },
    /// Batches of a drain that another app has arrive under this app's name.
    ForeignDrain {
        drain: DrainToken,
        /// The other app, if it is watched as well.
        owner: Option<AppName>,
    },
    /// Logplex lost messages since the last such alert.
    LinesLost {
        messages: u64,
    },
    /// Batches with a right password went to a path that is no watched app's, and were lost.
    BatchesMisdirected {
        path: String,
        batches: u64,
    },
    /// Batches exceeded `drain.max_body` and were lost.
    BatchesTooLarge {
        batches: u64,
    },
    /// The watched app was renamed or deleted, and another app has its name.
    NameTaken {
        name: AppName,
        /// The id of the other app.
        by: AppName,
    },
    NameRecovered,
    /// Heroku's status page shows its system Apps red.
    PlatformRed,
    PlatformRecovered,
    /// The database does not answer. About the whole account.
    StoreAway,
    StoreRecovered,
    /// About the whole account.
    TokenRefused,
    TokenRecovered,
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
            | Self::BatchesMisdirected { .. }
            | Self::BatchesTooLarge { .. }
            | Self::ClockAhead { .. }
            | Self::DrainLoops { .. }
            | Self::ForeignDrain { .. }
            | Self::LinesLost { .. }
            | Self::NameTaken { .. }
            | Self::PlatformRed
            | Self::StoreAway
            | Self::TokenRefused => "failure",
            Self::ApiRecovered
            | Self::AppRecovered
            | Self::ClockRecovered
            | Self::DrainRecovered
            | Self::NameRecovered
            | Self::PlatformRecovered
            | Self::StoreRecovered
            | Self::TokenRecovered => "recovered",
        }
    }

    pub fn is_recovery(&self) -> bool {
        self.label() == "recovered"
    }

    /// Whether an app, or all, cannot be watched until a person fixes it.
    pub fn needs_person(&self) -> bool {
        matches!(
            self,
            Self::AppHidden { .. }
                | Self::AppIsFir
                | Self::AppRenamed { .. }
                | Self::DrainLoops { .. }
                | Self::DrainMissing
                | Self::ForeignDrain { .. }
                | Self::NameTaken { .. }
                | Self::TokenRefused
        )
    }

    /// Returns what happened and how to fix it, in the words of `check` if `check` finds the same.
    pub fn words(&self) -> (String, Option<String>) {
        let text = match self {
            Self::AppIsFir => return app::fir().words(),
            Self::AppRenamed { to } => return app::renamed(to).words(),
            Self::ClockAhead { lead } => return ClockError::Ahead(*lead).finding().words(),
            Self::DrainLoops { app, drain } => return drains::looping(drain, app).words(),
            // Only `check` knows how to name the password in the command.
            Self::DrainMissing => {
                return drains::missing("run `dynowarden check`, which prints the command").words();
            }
            Self::TokenRefused => return api_key::refused().words(),
            Self::ForeignDrain { drain, owner } => return drains::foreign(drain, owner.as_ref()).words(),
            Self::BatchesMisdirected { path, batches } => {
                let batches = counted(*batches, &format!(" for {path}"));
                let text = format!("{batches} rejected (404): no watched app has this path");
                let fix =
                    "correct the drain's URL, or add its app to HEROKU_APP; `dynowarden check` shows both";
                return (text, Some(fix.to_owned()));
            }
            Self::BatchesTooLarge { batches } => {
                let batches = counted(*batches, "");
                let text = format!("{batches} rejected as too large (413), and the lines are lost");
                return (text, Some("raise drain.max_body".to_owned()));
            }
            Self::NameTaken { name, by } => return app::name_taken(name, by).words(),
            Self::NameRecovered => "no other app has its name any more".to_owned(),
            Self::ApiAway { error } => format!("restarts are off: {error}"),
            Self::ApiRecovered => "the API answers again".to_owned(),
            Self::AppHidden { error } => format!("no access to the app, so restarts are off: {error}"),
            Self::AppRecovered => "the app is accessible again".to_owned(),
            Self::ClockRecovered => "this machine's clock is right again".to_owned(),
            Self::DrainRecovered => "logs arrive from its drain again".to_owned(),
            Self::DrainSilent { quiet_for, running } => {
                let quiet_for = spoken(*quiet_for);
                format!("no logs from its drain for {quiet_for} while {running} of its dynos are up")
            }
            Self::LinesLost { messages } => {
                format!("logplex lost {messages} lines (L10): errors may have been missed")
            }
            Self::PlatformRed => {
                "restarts are off: Heroku's status page shows its system Apps red".to_owned()
            }
            Self::PlatformRecovered => "Heroku's status page no longer shows Apps red".to_owned(),
            Self::StoreAway => {
                "the database is unavailable, so earlier restarts are unknown and restarts are off".to_owned()
            }
            Self::StoreRecovered => "the database is available again".to_owned(),
            Self::TokenRecovered => "the API accepts the token again".to_owned(),
        };
        (text, None)
    }
}

/// So many batches, up to the verb.
fn counted(batches: u64, what: &str) -> String {
    match batches {
        1 => format!("1 batch{what} was"),
        _ => format!("{batches} batches{what} were"),
    }
}

impl fmt::Display for HealthAlert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, fix) = self.words();
        f.write_str(&finding::with_fix(&text, fix.as_deref()))
    }
}
