//! Decision history: every decision with its reason, the outcome of every restart, and notices to people.
//!
//! One value produces the log line, the metric, the row in the store and the line on a page, so they cannot
//! disagree.

pub mod admin;
pub mod hold;
mod notice;
mod restart_result;
pub mod usefulness;
pub mod view;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::{ApiError, DynoInfo};
use crate::codes::{self, Code};
use crate::days::verdict::Verdict;
use crate::event::{DynoState, Megabytes};
use crate::health::alert::HealthAlert;
use crate::ident::{AppId, DynoName, InstanceId};
use crate::record::admin::{AdminAct, manual_restart};
use crate::record::hold::Hold;
use crate::time::spoken;

/// The rule's name in decisions about a manual restart.
pub const MANUAL: &str = "by-hand";

/// One entry of the decision history.
#[expect(clippy::large_enum_variant, reason = "nearly all are decisions, and each is moved once or twice")]
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    MemoryAfterRestart(MemoryAfterRestart),
    Decision(Decision),
    Notice(Notice),
    Outcome(Outcome),
}

/// The id of one attempt at a restart, in all records about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId(pub u64);

#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub at: Timestamp,
    pub app: AppId,
    /// None for a rule about an app or a drain.
    pub dyno: Option<DynoName>,
    /// The rule, or [`MANUAL`].
    pub rule: Arc<str>,
    pub action: Action,
    pub evidence: Evidence,
    /// The restart that it led to.
    pub attempt_id: Option<AttemptId>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Hold(Hold),
    /// The rule only sends notifications.
    Notify,
    Restart {
        /// Whether no DELETE is sent (`dry_run`).
        dry_run: bool,
        /// The number of dynos in the formation.
        formation: usize,
    },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    pub code: Option<Code>,
    /// What a rule without a code measured.
    pub measure: Measure,
    /// The time in the line that fired the rule.
    pub line_at: Option<Timestamp>,
    pub lines: u32,
    /// The dyno's last `Process running mem=…` line or memory sample.
    pub memory: Option<MemoryReading>,
    /// The dyno as the API showed it.
    pub seen: Option<DynoInfo>,
    /// Who requested a manual restart, such as `by "alice" from 203.0.113.9`.
    pub asked_by: Option<Arc<str>>,
}

/// What a rule on something other than a code compares with its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    #[default]
    Memory,
    ServiceTime,
    Swap,
    Uptime {
        above: Duration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryReading {
    /// The time in the line.
    pub at: Timestamp,
    pub used: Megabytes,
    /// Share of the quota, in tenths of a per cent.
    pub permille: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// When it became known.
    pub at: Timestamp,
    pub app: AppId,
    pub dyno: DynoName,
    pub attempt_id: AttemptId,
    pub result: RestartResult,
}

/// The stages and ends of a restart.
#[derive(Clone, Debug, PartialEq)]
pub enum RestartResult {
    /// The API accepted it; the cool-down runs from here.
    Accepted {
        /// Whether the answer was lost, and an inspection showed the restart or it counts as carried out.
        answer_lost: bool,
    },
    Back {
        id: InstanceId,
        /// The release that the new instance runs, if the API shows it.
        release: Option<u64>,
        /// Since when it has been up, by Heroku's clock.
        up_since: Timestamp,
        /// How long the dyno was out, from the acceptance to the inspection that showed it up.
        out_for: Duration,
        /// Whether it was after `boot_timeout`.
        late: bool,
    },
    /// The new instance was not up within `boot_timeout`.
    NotBack {
        /// The state it was last seen in.
        state: Option<DynoState>,
        waited: Duration,
    },
    /// The new instance crashed before it had settled.
    DownAgain { state: DynoState },
    /// The dyno was scaled away.
    Gone,
    /// The API accepted it, and the old process still runs.
    Ignored { waited: Duration },
    /// The same error was back soon after the new instance was up.
    NoHelp {
        /// The time since it was up.
        after: Duration,
    },
    /// Nothing happened, and no cool-down starts.
    Refused(ApiError),
    /// The request was sent several times, and the old instance is still running.
    Unanswered { tries: u32 },
    /// It was claimed and then cancelled before the request was sent.
    Withdrawn,
}

/// The first memory reading of the new instance after a restart.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryAfterRestart {
    pub app: AppId,
    pub dyno: DynoName,
    pub attempt_id: AttemptId,
    pub memory: MemoryReading,
}

/// Something to report to people, besides decisions and outcomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub at: Timestamp,
    pub scope: Scope,
    /// None if it is not about a dyno.
    pub dyno: Option<DynoName>,
    pub what: NoticeKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole Heroku account, and so every watched app: a revoked token, an API that is down.
    Account,
    App(AppId),
}

impl Scope {
    /// None for the account.
    pub fn app(self) -> Option<AppId> {
        match self {
            Self::Account => None,
            Self::App(app) => Some(app),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum NoticeKind {
    /// The API gives no usable answer, so nothing is restarted for this app.
    ApiError(ApiError),
    /// The times in log lines and this machine's clock disagree.
    ClockDisagrees {
        /// How far the line is ahead of this machine.
        lead: Duration,
    },
    /// A dyno of a watched type has been out for longer than `boot_timeout`.
    Broken {
        state: DynoState,
        out_for: Duration,
    },
    GaveUp {
        /// Restarts in a row that did not help.
        useless: u32,
        until: Timestamp,
        /// The release that it was given up under.
        release: Option<u64>,
        /// Give-ups in a row, this one included.
        times: u32,
        /// What the last lives of its process type say about its memory.
        verdict: Verdict,
    },
    /// API calls are left again.
    CallsLeft,
    /// Errors are current again.
    LinesCurrent,
    /// Errors arrive too late to act on.
    LinesLate {
        /// The age of the line.
        age: Duration,
    },
    /// The account's API calls are used up, so nothing is restarted.
    NoCallsLeft {
        remaining: u32,
    },
    /// The error was back within minutes of a restart, so restarting does not help.
    NoHelp {
        /// The time since the new instance was up.
        after: Duration,
    },
    /// A dyno has erred for a while, and was not restarted.
    NotRestarted {
        erring_for: Duration,
        reason: Box<Hold>,
    },
    /// A dyno's restarts help, but it needs many.
    Often {
        restarts: u32,
        within: Duration,
        /// Whether each of them is known to have helped.
        all_helped: bool,
    },
    RestartFailed(RestartResult),
    ApiRecovered,
    Health(HealthAlert),
    /// A person or a script paused, resumed or restarted something.
    Admin(AdminAct),
}

// === impl Record ===

impl Record {
    pub fn scope(&self) -> Scope {
        match self {
            Self::MemoryAfterRestart(reading) => Scope::App(reading.app),
            Self::Decision(decision) => Scope::App(decision.app),
            Self::Notice(notice) => notice.scope,
            Self::Outcome(outcome) => Scope::App(outcome.app),
        }
    }
}

// === impl Action ===

impl Action {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Hold(_) => "hold",
            Self::Notify => "notify",
            Self::Restart { .. } => "restart",
        }
    }
}

impl Decision {
    /// Returns the reason's code, the same for all refusals of one kind.
    pub fn reason_label(&self) -> &'static str {
        match &self.action {
            Action::Hold(hold) => hold.label(),
            Action::Notify => "rule",
            Action::Restart { dry_run: true, .. } => "dry_run",
            Action::Restart { .. } => "rule",
        }
    }

    /// Returns the reason as a sentence.
    pub fn reason(&self) -> String {
        let cause = self.cause();
        match &self.action {
            Action::Hold(hold) => hold.to_string(),
            Action::Notify => cause,
            Action::Restart { dry_run, formation } => {
                let only = if *formation == 1 {
                    "; the only dyno of its type: the app will be down during the restart"
                } else {
                    ""
                };
                let dry = if *dry_run { " (dry run: nothing is sent)" } else { "" };
                format!("{cause}{only}{dry}")
            }
        }
    }

    fn cause(&self) -> String {
        let mut text = match (&self.evidence.code, self.evidence.lines) {
            (Some(code), 1) => titled(*code),
            (Some(code), lines) => format!("{} × {lines}", titled(*code)),
            (None, _) if &*self.rule == MANUAL => manual_restart(self.evidence.asked_by.as_deref()),
            (None, _) => match self.evidence.measure {
                Measure::Memory => "memory above the rule's limit".to_owned(),
                Measure::ServiceTime => "slower than the other dynos of its type".to_owned(),
                Measure::Swap => "swap above the rule's limit".to_owned(),
                Measure::Uptime { above } => format!("up for more than {}", spoken(above)),
            },
        };
        if let Some(memory) = &self.evidence.memory {
            text.push_str(&format!(" at {memory}"));
        }
        text
    }
}

/// A code with its title: `R14 (Memory quota exceeded)`.
pub(crate) fn titled(code: Code) -> String {
    codes::entry(code).map_or_else(|| code.to_string(), |entry| format!("{code} ({})", entry.title))
}

impl fmt::Display for MemoryReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Hundredths are the log's own precision and tell a reader nothing.
        let used = (self.used.hundredths + 50) / 100;
        write!(f, "{used} MB ({}.{}% of its quota)", self.permille / 10, self.permille % 10)
    }
}
