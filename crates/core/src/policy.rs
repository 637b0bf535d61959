//! What the settings allow: rules that trigger, and the policy that bounds restarts.

pub mod verdict;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::calendar::Window;
use crate::codes::Code;
use crate::event::Megabytes;
use crate::ident::{AppName, ProcessType};

#[derive(Clone, Debug, PartialEq)]
pub struct AppPlan {
    pub name: AppName,
    /// Decide and record only.
    pub dry_run: bool,
    pub policy: Policy,
    /// In the order of the settings.
    pub rules: Vec<Rule>,
}

/// The bounds within which dynos of one app are restarted.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Process types whose dynos may be restarted.
    pub process_types: Vec<ProcessType>,
    /// Per dyno, from a restart that the API accepted to the next; doubles after each that did not help.
    pub cooldown: Duration,
    /// Per dyno; at the limit a restart waits until a place is free again.
    pub max_restarts: Rate,
    /// Restarts in a row that did not help before the dyno is given up.
    pub give_up_after: NonZeroU32,
    /// How long a given-up dyno is left alone, unless a release comes first. Each further give-up in a row
    /// lasts twice as long, a day at most.
    pub give_up_for: Duration,
    /// Dynos of one process type that may be out at once, whatever the cause.
    pub max_concurrent: NonZeroU32,
    /// How long a new dyno must be up before the next one is restarted.
    pub settle: Duration,
    /// Younger dynos are left alone.
    pub min_uptime: Duration,
    /// A restarted dyno that is not up by then has failed, and any dyno that is out for longer is broken.
    pub boot_timeout: Duration,
    /// When restarts are allowed; empty means always.
    pub window: Vec<Window>,
}

/// At most `count` in any span of length `per`: `3/2h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    pub count: NonZeroU32,
    pub per: Duration,
}

/// One `[[rule]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub name: Arc<str>,
    pub trigger: Trigger,
    pub act: Act,
    /// When this rule may act, in addition to the policy's windows; empty means always.
    pub window: Vec<Window>,
    /// Only for memory and swap: what must have happened before it restarts.
    pub proof: Option<Proof>,
}

/// Of the last `of` lives of a process type, `breached` must have gone over the quota: `2 of 3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Proof {
    pub breached: u32,
    pub of: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// Any of `codes`, `count` times within `within`, by the time in the lines.
    Errors { codes: Vec<Code>, count: NonZeroU32, within: Duration },
    /// Runtime memory above `above` in every sample of a span of `lasting`.
    Memory {
        above: MemoryBound,
        /// By the time in the lines.
        lasting: Duration,
    },
    /// Swap above `above` in every sample of a span of `lasting`.
    Swap { above: MemoryBound, lasting: Duration },
    /// A process older than this.
    Uptime { above: Duration },
    /// A median service time of more than this multiple of the median of the other dynos of its type.
    SlowerThanPeers { above: Factor },
}

impl Trigger {
    /// For how long it must be true before the rule acts; zero for those that act at once.
    pub fn lasting(&self) -> Duration {
        match self {
            Self::Memory { lasting, .. } | Self::Swap { lasting, .. } => *lasting,
            Self::Errors { .. } | Self::Uptime { .. } | Self::SlowerThanPeers { .. } => Duration::ZERO,
        }
    }
}

/// A multiple, in thousandths: `1.5x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Factor {
    pub permille: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryBound {
    /// A share of `sample#memory_quota`, in tenths of a per cent.
    OfQuota {
        /// Tenths of a per cent.
        permille: u32,
    },
    Size(Megabytes),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Notify,
    Restart,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.count, crate::time::spoken(self.per))
    }
}
