//! The reasons for leaving a dyno alone: each with its code and its sentence.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::ApiError;
use crate::event::DynoState;
use crate::ident::{DrainToken, DynoName};
use crate::limits;
use crate::policy::{Proof, Rate};
use crate::record::MemoryReading;
use crate::time::{spoken, to_the_second};

/// The reason not to restart a dyno. Every refusal is one of these; none is silent.
#[derive(Clone, Debug, PartialEq)]
pub enum Hold {
    /// The account's API calls are down to the few that even a restart leaves to its other users.
    ApiReserve {
        /// As far as we know.
        remaining: u32,
    },
    ApiError(ApiError),
    ClaimedElsewhere {
        /// The end of its claim or of the cool-down.
        until: Timestamp,
    },
    /// The line is from the future: one of two clocks is wrong.
    ClockAhead {
        lead: Duration,
    },
    CoolingDown {
        until: Timestamp,
        /// Doubled for each restart in a row that did not help.
        cooldown: Duration,
        /// The number of those restarts.
        useless: u32,
    },
    Deploying {
        from: u64,
        to: u64,
    },
    /// The line came through a drain of another app.
    ForeignDrain {
        token: DrainToken,
    },
    FormationFailed {
        /// The dyno that did not come back.
        dyno: DynoName,
    },
    /// `max_concurrent` dynos of the type are out.
    FormationOut {
        /// One of the dynos that are out.
        dyno: DynoName,
        state: DynoState,
        /// `max_concurrent`.
        allowed: u32,
    },
    GivenUp {
        /// Unless a release comes first.
        until: Timestamp,
        /// Restarts in a row that did not help.
        useless: u32,
    },
    /// The API knows no dyno of that name.
    Gone,
    /// `max_restarts` is used up.
    MaxRestarts {
        allowed: Rate,
        /// When a restart is allowed again.
        until: Timestamp,
    },
    /// A dyno of a type that is not in `process_types`.
    NotListed,
    NotUp {
        state: DynoState,
    },
    /// A dyno beside the formation, such as of `heroku run --type=web`.
    OneOff,
    /// Another app has taken over the name of the watched one, and the line may be from it.
    OtherApp,
    OutsideWindow {
        opens: Option<Timestamp>,
        of: WindowOf,
    },
    Paused {
        until: Timestamp,
        reason: Arc<str>,
    },
    /// Heroku is replacing or removing the process.
    PlatformActs,
    /// Heroku's status page shows the system `Apps` red.
    PlatformRed,
    Queued {
        /// The dyno in front.
        behind: DynoName,
    },
    QueueFull {
        max: usize,
    },
    /// A window is `quiet`, and the app's quiet hours are not known.
    QuietUnknown,
    /// Its memory has been below the limit since the error.
    Recovered {
        memory: MemoryReading,
    },
    /// The API refused the last request for this dyno.
    RefusedBefore {
        error: ApiError,
        /// When it is asked again.
        until: Timestamp,
    },
    /// A release or a scaling was announced a moment ago.
    Releasing {
        /// The end of the wait for it to show.
        until: Timestamp,
    },
    Stale {
        age: Duration,
    },
    StoreAway,
    /// The error is older than the dyno, so it concerns the previous process.
    Superseded {
        /// When the present process was created.
        created_at: Timestamp,
    },
    /// A dyno of the type is broken, and too few of the others are up.
    TooFewUp {
        /// The dyno that is out, or one of them.
        dyno: DynoName,
        /// Other dynos that are up and have settled.
        up: usize,
        /// Other dynos of the type.
        others: usize,
    },
    TooManyDynos {
        max: usize,
    },
    /// Up for less than `min` when the error was written, or now without an error.
    TooYoung {
        age: Duration,
        min: Duration,
        /// Where `min` comes from.
        limit: AgeLimit,
    },
    /// A restart of this very dyno is under way.
    UnderWay,
    /// Too few of the last lives of its process type went over the quota.
    Unproven {
        breached: u32,
        proof: Proof,
    },
    /// The API reports another process type than the dyno's name.
    WrongType,
}

impl Hold {
    /// Returns its code in JSON and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::ApiReserve { .. } => "api_reserve",
            Self::ApiError(error) => error.label(),
            Self::ClaimedElsewhere { .. } => "claimed_elsewhere",
            Self::ClockAhead { .. } => "clock_ahead",
            Self::CoolingDown { .. } => "cooling_down",
            Self::Deploying { .. } => "deploying",
            Self::ForeignDrain { .. } => "foreign_drain",
            Self::FormationFailed { .. } => "formation_failed",
            Self::FormationOut { .. } | Self::TooFewUp { .. } => "formation_out",
            Self::GivenUp { .. } => "given_up",
            Self::Gone => "gone",
            Self::MaxRestarts { .. } => "max_restarts",
            Self::NotListed => "not_listed",
            Self::NotUp { .. } => "not_up",
            Self::OneOff => "one_off",
            Self::OtherApp => "other_app",
            Self::OutsideWindow { .. } => "outside_window",
            Self::Paused { .. } => "paused",
            Self::PlatformActs => "platform_acts",
            Self::PlatformRed => "platform_red",
            Self::QueueFull { .. } => "queue_full",
            Self::QuietUnknown => "quiet_unknown",
            Self::Queued { .. } => "queued",
            Self::Recovered { .. } => "recovered",
            Self::RefusedBefore { error, .. } => error.label(),
            Self::Releasing { .. } => "releasing",
            Self::Stale { .. } => "stale",
            Self::StoreAway => "store_away",
            Self::Superseded { .. } => "superseded",
            Self::TooManyDynos { .. } => "too_many_dynos",
            Self::TooYoung { .. } => "too_young",
            Self::Unproven { .. } => "unproven",
            Self::UnderWay => "under_way",
            Self::WrongType => "wrong_type",
        }
    }
}

/// What a dyno must have been up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgeLimit {
    /// `above` of a rule on uptime.
    Above,
    MinUptime,
    /// With preboot, the old dynos run on alongside the new ones.
    Preboot,
}

/// The setting whose window is shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowOf {
    Policy,
    Rule,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiReserve { remaining } => {
                write!(
                    f,
                    "only {remaining} of the account's API calls are left, and the last {} are never used",
                    limits::API_TOKENS_RESERVE_OF_RESTARTS
                )
            }
            Self::ApiError(error) => write!(f, "cannot check with Heroku: {error}"),
            Self::ClaimedElsewhere { until } => {
                write!(f, "another replica is handling this dyno until {}", to_the_second(*until))
            }
            Self::ClockAhead { lead } => {
                write!(
                    f,
                    "the line's time is {} ahead of this machine's clock: one of the two is wrong",
                    spoken(*lead)
                )
            }
            Self::CoolingDown { until, cooldown, useless } => {
                let (cooldown, until) = (spoken(*cooldown), to_the_second(*until));
                write!(f, "cooling down for {cooldown} after its last restart, until {until}")?;
                match useless {
                    0 => Ok(()),
                    1 => f.write_str(" (doubled: that restart did not help)"),
                    useless => write!(f, " (doubled for each of {useless} restarts that did not help)"),
                }
            }
            Self::Deploying { from, to } => {
                write!(f, "a deploy is in progress: releases v{from} and v{to} are both running")
            }
            Self::ForeignDrain { token } => {
                write!(f, "the line came through the drain {token}, which is not one of this app's")
            }
            Self::FormationFailed { dyno } => {
                write!(
                    f,
                    "{dyno} did not come back after its restart, so no other dyno of its type is restarted"
                )
            }
            Self::FormationOut { dyno, state, allowed } => match state {
                DynoState::Up => write!(
                    f,
                    "{dyno} has just come up, and max_concurrent = {allowed}: waiting for it to settle"
                ),
                // Another replica is restarting it, and its state is unknown here.
                DynoState::Other => write!(f, "{dyno} is out, and max_concurrent = {allowed}"),
                state => write!(f, "{dyno} is {}, and max_concurrent = {allowed}", state.word()),
            },
            Self::GivenUp { until, useless } => {
                let until = to_the_second(*until);
                write!(f, "given up until {until} or the next release: {}", no_help(*useless))
            }
            Self::Gone => f.write_str("Heroku has no dyno of this name: it was scaled down or never existed"),
            Self::MaxRestarts { allowed, until } => {
                write!(f, "max_restarts = {allowed} is used up until {}", to_the_second(*until))
            }
            Self::NotListed => f.write_str("its process type is not in process_types"),
            Self::NotUp { state } => write!(f, "the dyno is {}, not up", state.word()),
            Self::OtherApp => f.write_str("another app has this name now, and the line may be from it"),
            Self::OutsideWindow { opens, of } => {
                f.write_str(match of {
                    WindowOf::Policy => "outside the restart window (policy.window), which ",
                    WindowOf::Rule => "outside the rule's own window, which ",
                })?;
                match opens {
                    Some(opens) => write!(f, "opens {}", to_the_second(*opens)),
                    None => f.write_str("never opens"),
                }
            }
            Self::Paused { until, reason } => write!(f, "paused until {}: {reason}", to_the_second(*until)),
            Self::OneOff => {
                f.write_str("a one-off dyno, started beside the formation; dynowarden never restarts those")
            }
            Self::PlatformActs => f.write_str("Heroku is already replacing or removing this process"),
            Self::PlatformRed => f.write_str("Heroku's status page shows its system Apps red"),
            Self::QuietUnknown => f.write_str(
                "its window is the app's quiet hours, which are known after a day of router lines",
            ),
            Self::QueueFull { max } => write!(f, "{max} dynos of its type are already waiting"),
            Self::Queued { behind } => write!(f, "waiting for its turn behind {behind}"),
            Self::Recovered { memory } => {
                write!(f, "its memory is back below the limit: {memory} at {}", to_the_second(memory.at))
            }
            Self::RefusedBefore { error, until } => {
                write!(
                    f,
                    "the last restart was refused, so the next try is {}: {error}",
                    to_the_second(*until)
                )
            }
            Self::Releasing { until } => {
                write!(
                    f,
                    "a release or scaling change was just announced; waiting until {}",
                    to_the_second(*until)
                )
            }
            Self::Stale { age } => {
                write!(f, "stale: the error is {} old", spoken(*age))
            }
            Self::StoreAway => f.write_str("the database is unavailable, so earlier restarts are unknown"),
            Self::Superseded { created_at } => {
                write!(f, "the error is older than the dyno, which started {}", to_the_second(*created_at))
            }
            Self::TooFewUp { dyno, up: 0, .. } => {
                write!(f, "{dyno} is out, and no other dyno of its type is up and settled")
            }
            Self::TooFewUp { dyno, up, others } => write!(
                f,
                "{dyno} is out, and only {up} of the {others} other dynos of its type are up and settled"
            ),
            Self::TooManyDynos { max } => write!(f, "the limit of {max} watched dynos is reached"),
            Self::TooYoung { age, min, limit } => {
                let (age, min) = (spoken(*age), spoken(*min));
                match limit {
                    AgeLimit::Above => write!(f, "up for only {age} (the rule's above = {min})"),
                    AgeLimit::MinUptime => write!(f, "up for only {age} (min_uptime = {min})"),
                    AgeLimit::Preboot => write!(f, "up for only {age} (at least {min} because of preboot)"),
                }
            }
            Self::Unproven { breached, proof } => {
                write!(
                    f,
                    "unproven: {breached} of the last lives of its process type went over the quota, and the \
                     rule asks for {proof}"
                )
            }
            Self::UnderWay => f.write_str("this dyno is already being restarted"),
            Self::WrongType => {
                f.write_str("the API reports a process type that does not match the dyno's name")
            }
        }
    }
}

/// `the last restart did not help`, `3 restarts in a row did not help`.
pub(super) fn no_help(useless: u32) -> String {
    match useless {
        1 => "the last restart did not help".to_owned(),
        many => format!("{many} restarts in a row did not help"),
    }
}
