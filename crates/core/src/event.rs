//! The meaning of platform lines: the vocabulary between `detect` and the engine.

use jiff::Timestamp;

use crate::codes::Code;
use crate::ident::{DrainToken, DynoName, DynoRef, InstanceId, ProcessType};

/// One statement of a platform line, at the time in the line.
///
/// `D` is the dyno's name: borrowed from the batch ([`DynoRef`]) until it has to be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<D = DynoName> {
    /// The platform's time; lines come in no reliable order.
    pub at: Timestamp,
    pub fact: Fact<D>,
}

/// An event that still borrows from its batch.
pub type BorrowedEvent<'b> = Event<DynoRef<'b>>;

/// The statements of platform lines that matter here.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact<D = DynoName> {
    /// `Error R14 (…)` of the dyno manager, a router line's `code=H12 … dyno=web.1`, or an L code other
    /// than L10, which is a [`Fact::Loss`].
    Error {
        code: Code,
        /// None for a code without one, or a router line with an empty `dyno=`.
        dyno: Option<D>,
    },
    /// `Process running mem=646M(126.2%)`: evidence next to an R14, never a trigger.
    Memory {
        dyno: D,
        used: Megabytes,
        /// Share of its quota, in tenths of a per cent.
        permille: u32,
    },
    /// `sample#memory_total=… sample#memory_quota=…` of log-runtime-metrics.
    Sample {
        /// From `source=`.
        dyno: D,
        /// From the last part of `dyno=heroku.<app>.<uuid>`.
        instance: InstanceId,
        /// `sample#memory_total`.
        total: Megabytes,
        /// `sample#memory_quota`.
        quota: Megabytes,
        /// `sample#memory_swap`, if it can be read.
        swap: Option<Megabytes>,
    },
    /// A line about a dyno's life cycle.
    Life { dyno: D, change: Change },
    /// `Release v12 created by user …` or `Deploy 1a2b3c4 by user …` of `app[api]`.
    Release {
        /// The number after `v`, if the line has one.
        version: Option<u64>,
    },
    /// `Scaled to web@4:Standard-1X worker@2:Standard-1X by user …` of `app[api]`.
    Scale {
        /// The process types in the line; empty if it shows none.
        types: Vec<ProcessType>,
    },
    /// L10: the drain lost messages before they reached us.
    Loss {
        /// The drain that lost them; the old wording names none and means the reader's own.
        drain: Option<DrainToken>,
        messages: u64,
    },
}

/// What happens to a dyno, by the dyno manager's lines (heroku.md §2.3 and §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// `Restarting`, `Cycling`, `Stopping … with SIGTERM` or `… SIGKILL`: the platform is replacing or
    /// removing the process.
    Leaving,
    /// `Starting process with command …`: a new process begins.
    Starting,
    /// `State changed from … to …`; also `Idling` (idle) and `Unidling` (starting), which name no first
    /// state.
    State { from: Option<DynoState>, to: DynoState },
    /// `Process exited with status …`; often of the old process, after the new one is up.
    Exited,
}

impl Change {
    /// A change to a state from one that the line does not name.
    pub const fn to(state: DynoState) -> Self {
        Self::State { from: None, to: state }
    }
}

/// The states of a dyno: those of the Platform API and those that only lines name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DynoState {
    /// The process exited; the platform restarts it with growing pauses.
    Crashed,
    Down,
    /// Asleep for lack of traffic.
    Idle,
    Starting,
    Up,
    /// Any other word. Such a dyno is never restarted.
    Other,
}

impl DynoState {
    /// The state that a word in the API or in a line names.
    pub fn from_word(word: &str) -> Self {
        match word {
            "crashed" => Self::Crashed,
            "down" => Self::Down,
            "idle" => Self::Idle,
            "starting" => Self::Starting,
            "up" => Self::Up,
            _ => Self::Other,
        }
    }

    /// Its word in records and on pages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Crashed => "crashed",
            Self::Down => "down",
            Self::Idle => "idle",
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Other => "unknown",
        }
    }
}

/// Memory in the platform's megabytes, in hundredths: `sample#memory_total=221.47MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Megabytes {
    pub hundredths: u64,
}

impl<D> Fact<D> {
    pub fn dyno(&self) -> Option<&D> {
        match self {
            Self::Error { dyno, .. } => dyno.as_ref(),
            Self::Memory { dyno, .. } | Self::Sample { dyno, .. } | Self::Life { dyno, .. } => Some(dyno),
            Self::Release { .. } | Self::Scale { .. } | Self::Loss { .. } => None,
        }
    }

    /// The same fact with its dyno named differently; `None` if `name` rejects the dyno.
    pub fn name_dyno<E>(self, name: impl FnOnce(D) -> Option<E>) -> Option<Fact<E>> {
        Some(match self {
            Self::Error { code, dyno: Some(dyno) } => Fact::Error { code, dyno: Some(name(dyno)?) },
            Self::Error { code, dyno: None } => Fact::Error { code, dyno: None },
            Self::Memory { dyno, used, permille } => Fact::Memory { dyno: name(dyno)?, used, permille },
            Self::Sample { dyno, instance, total, quota, swap } => {
                Fact::Sample { dyno: name(dyno)?, instance, total, quota, swap }
            }
            Self::Life { dyno, change } => Fact::Life { dyno: name(dyno)?, change },
            Self::Release { version } => Fact::Release { version },
            Self::Scale { types } => Fact::Scale { types },
            Self::Loss { drain, messages } => Fact::Loss { drain, messages },
        })
    }
}

impl std::fmt::Display for Megabytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.hundredths % 100 {
            0 => write!(f, "{}MB", self.hundredths / 100),
            rest => write!(f, "{}.{rest:02}MB", self.hundredths / 100),
        }
    }
}
