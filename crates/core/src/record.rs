//! The record: every decision with its reason, what became of every restart, and what people are told.
//!
//! One value makes the log line, the metric, the row in the store and the line on a page, so none of
//! them can say something else than the others.

pub mod view;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::{ApiError, DynoInfo};
use crate::codes::{self, Code};
use crate::event::{DynoState, Megabytes};
use crate::health::alert::HealthAlert;
use crate::ident::{AppId, DynoName, InstanceId};
use crate::policy::Rate;
use crate::time::spoken;

/// The rule's name in decisions that a person asked for.
pub const MANUAL: &str = "by-hand";

/// One thing that the engine wants remembered and told.
#[expect(clippy::large_enum_variant, reason = "nearly all are decisions, and each is moved once or twice")]
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// It heard how much memory a restarted dyno uses.
    MemoryAfterRestart(MemoryAfterRestart),
    /// It decided something.
    Decision(Decision),
    /// It told people something.
    Notice(Notice),
    /// It learnt what became of a restart.
    Outcome(Outcome),
}

/// Names one attempt at a restart in all records about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId(pub u64);

/// One decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// When it was made.
    pub at: Timestamp,
    /// The app.
    pub app: AppId,
    /// The dyno; none for a rule about an app or a drain.
    pub dyno: Option<DynoName>,
    /// The rule that asked, or [`MANUAL`].
    pub rule: Arc<str>,
    /// What was decided, and why.
    pub action: Action,
    /// What it was decided on.
    pub evidence: Evidence,
    /// The restart that it led to, if it did.
    pub attempt_id: Option<AttemptId>,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The dyno is left as it is.
    Hold(Hold),
    /// People are told, as the rule asks.
    Notify,
    /// The dyno is restarted.
    Restart {
        /// Nothing is sent: `dry_run`.
        dry_run: bool,
        /// How many dynos its formation has.
        formation: usize,
    },
}

/// The facts behind a decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The platform's code that fired the rule.
    pub code: Option<Code>,
    /// The time in the line that fired it.
    pub line_at: Option<Timestamp>,
    /// How many lines counted.
    pub lines: u32,
    /// The last `Process running mem=…` or memory sample of that dyno.
    pub memory: Option<MemoryReading>,
    /// The dyno as the API showed it.
    pub seen: Option<DynoInfo>,
}

/// What a dyno used when its memory was last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryReading {
    /// The time in the line.
    pub at: Timestamp,
    /// What it used.
    pub used: Megabytes,
    /// Share of the quota, in tenths of a per cent.
    pub permille: u32,
}

/// Why a dyno was left as it is. Every refusal is one of these; there is no silent one.
#[derive(Clone, Debug, PartialEq)]
pub enum Hold {
    /// The account's calls are down to the fifth that is left to others.
    ApiReserve {
        /// Calls left, as far as we know.
        remaining: u32,
    },
    /// The API showed nothing to judge by.
    ApiError(ApiError),
    /// Another replica holds the claim.
    ClaimedElsewhere {
        /// When its claim or the cool-down ends.
        until: Timestamp,
    },
    /// The line is from the future: one of two clocks is wrong.
    ClockAhead {
        /// By how much.
        lead: Duration,
    },
    /// Restarted not long ago.
    CoolingDown {
        /// Until when.
        until: Timestamp,
        /// The policy's cool-down.
        cooldown: Duration,
    },
    /// Two releases side by side.
    Deploying {
        /// The older.
        from: u64,
        /// The newer.
        to: u64,
    },
    /// A restart in this formation failed.
    FormationFailed {
        /// The dyno that did not come back.
        dyno: DynoName,
    },
    /// As many dynos of the type are out as may be.
    FormationOut {
        /// One of those that are out.
        dyno: DynoName,
        /// Its state.
        state: DynoState,
        /// `max_concurrent`.
        allowed: u32,
    },
    /// Given up after too many restarts.
    GivenUp {
        /// Until when, unless a release comes first.
        until: Timestamp,
    },
    /// The API knows no dyno of that name.
    Gone,
    /// This was one restart too many, and the dyno is given up now.
    MaxRestarts {
        /// `max_restarts`.
        allowed: Rate,
        /// Until when it is left alone.
        until: Timestamp,
    },
    /// A dyno of a type that is not in `process_types`.
    NotListed,
    /// Not `up`.
    NotUp {
        /// What it is instead.
        state: DynoState,
    },
    /// Outside `policy.window`.
    OutsideWindow {
        /// When the next window opens.
        opens: Option<Timestamp>,
    },
    /// A person said so.
    Paused {
        /// Until when.
        until: Timestamp,
        /// The person's reason.
        reason: Arc<str>,
    },
    /// The platform is already replacing the process.
    PlatformActs,
    /// In the queue.
    Queued {
        /// The dyno in front.
        behind: DynoName,
    },
    /// The queue is full.
    QueueFull {
        /// Its bound.
        max: usize,
    },
    /// A release or a change of scale was announced a moment ago.
    Releasing {
        /// Until when we wait for it to show.
        until: Timestamp,
    },
    /// The error is too old to act on.
    Stale {
        /// How old.
        age: Duration,
    },
    /// The store does not answer.
    StoreAway,
    /// The error is older than the dyno: it speaks of the one before.
    Superseded {
        /// When the present one was created.
        created_at: Timestamp,
    },
    /// More dynos are watched than there is room for.
    TooManyDynos {
        /// The bound.
        max: usize,
    },
    /// Younger than `min_uptime`.
    TooYoung {
        /// Its age.
        age: Duration,
        /// `min_uptime`.
        min: Duration,
    },
    /// A restart of this very dyno is under way.
    UnderWay,
    /// The API says that the dyno is of another type than its name.
    WrongType,
}

/// What became of a restart.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// When it was learnt.
    pub at: Timestamp,
    /// The app.
    pub app: AppId,
    /// The dyno.
    pub dyno: DynoName,
    /// The attempt.
    pub attempt_id: AttemptId,
    /// What happened.
    pub result: RestartResult,
}

/// The stages and ends of a restart.
#[derive(Clone, Debug, PartialEq)]
pub enum RestartResult {
    /// The API accepted it; the cool-down runs from here.
    Accepted {
        /// Whether the answer was lost: a look showed it, or none could be had and it counts as made.
        answer_lost: bool,
    },
    /// The new instance is up.
    Back {
        /// The new instance.
        id: InstanceId,
        /// How long the dyno was out, from the acceptance to the look that saw it up.
        out_for: Duration,
        /// Whether that was after `boot_timeout`.
        late: bool,
    },
    /// The new instance was not up within `boot_timeout`.
    NotBack {
        /// The state it was last seen in.
        state: Option<DynoState>,
        /// `boot_timeout`.
        waited: Duration,
    },
    /// The dyno was scaled away meanwhile.
    Gone,
    /// The API refused; nothing happened and the cool-down is not spent.
    Refused(ApiError),
    /// The request was sent so many times and the old instance is still there.
    Unanswered {
        /// How many times.
        tries: u32,
    },
    /// It was claimed and then held before anything was sent; nothing happened and nothing is spent.
    Withdrawn,
}

/// The memory of the instance that came up: the first that is told of it after a restart, if any is.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryAfterRestart {
    /// The app.
    pub app: AppId,
    /// The dyno.
    pub dyno: DynoName,
    /// The attempt.
    pub attempt_id: AttemptId,
    /// What it uses now.
    pub memory: MemoryReading,
}

/// Something to report to people, besides decisions and outcomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// When.
    pub at: Timestamp,
    /// What it is about.
    pub scope: Scope,
    /// The dyno, where it is about one.
    pub dyno: Option<DynoName>,
    /// What.
    pub what: NoticeKind,
}

/// How much a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole Heroku account, and so every watched app: a revoked token, an API that is down.
    Account,
    /// One app.
    App(AppId),
}

impl Scope {
    /// The app; none for the account.
    pub fn app(self) -> Option<AppId> {
        match self {
            Self::Account => None,
            Self::App(app) => Some(app),
        }
    }
}

/// The kinds of notices.
#[derive(Clone, Debug, PartialEq)]
pub enum NoticeKind {
    /// The API cannot be seen, so nothing is restarted for this app.
    ApiError(ApiError),
    /// Line times and our clock disagree.
    ClockDisagrees {
        /// How far the line is ahead of us.
        lead: Duration,
    },
    /// A dyno was given up.
    GaveUp {
        /// `max_restarts`.
        allowed: Rate,
        /// Until when.
        until: Timestamp,
    },
    /// The error was back within minutes of a restart: a restart does not help.
    NoHelp {
        /// How long after the new instance was created.
        after: Duration,
    },
    /// A restart failed.
    RestartFailed(RestartResult),
    /// The API is seen again.
    ApiRecovered,
    /// The program's own eyes and ears.
    Health(HealthAlert),
}

// === impl Record ===

impl Record {
    /// What it is about.
    pub fn scope(&self) -> Scope {
        match self {
            Self::MemoryAfterRestart(aftermath) => Scope::App(aftermath.app),
            Self::Decision(decision) => Scope::App(decision.app),
            Self::Notice(notice) => notice.scope,
            Self::Outcome(outcome) => Scope::App(outcome.app),
        }
    }
}

// === impl Verdict ===

impl Action {
    /// The word of the contract: `restart`, `hold` or `notify`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Hold(_) => "hold",
            Self::Notify => "notify",
            Self::Restart { .. } => "restart",
        }
    }
}

impl Decision {
    /// The word for the reason: the same for all refusals of one kind.
    pub fn reason_label(&self) -> &'static str {
        match &self.action {
            Action::Hold(hold) => hold.label(),
            Action::Notify => "rule",
            Action::Restart { dry_run: true, .. } => "dry_run",
            Action::Restart { .. } => "rule",
        }
    }

    /// The reason as a sentence.
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
            (None, _) if &*self.rule == MANUAL => "manual restart".to_owned(),
            (None, _) => "memory above the rule's bound".to_owned(),
        };
        if let Some(memory) = &self.evidence.memory {
            text.push_str(&format!(" at {memory}"));
        }
        text
    }
}

/// A code as the platform writes it: `R14 (Memory quota exceeded)`.
fn titled(code: Code) -> String {
    codes::entry(code).map_or_else(|| code.to_string(), |entry| format!("{code} ({})", entry.title))
}

impl fmt::Display for MemoryReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}.{}% of its quota)", self.used, self.permille / 10, self.permille % 10)
    }
}

// === impl Hold ===

impl Hold {
    /// The word for it in JSON and in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::ApiReserve { .. } => "api_reserve",
            Self::ApiError(error) => error.label(),
            Self::ClaimedElsewhere { .. } => "claimed_elsewhere",
            Self::ClockAhead { .. } => "clock_ahead",
            Self::CoolingDown { .. } => "cooling_down",
            Self::Deploying { .. } => "deploying",
            Self::FormationFailed { .. } => "formation_failed",
            Self::FormationOut { .. } => "formation_out",
            Self::GivenUp { .. } => "given_up",
            Self::Gone => "gone",
            Self::MaxRestarts { .. } => "max_restarts",
            Self::NotListed => "not_listed",
            Self::NotUp { .. } => "not_up",
            Self::OutsideWindow { .. } => "outside_window",
            Self::Paused { .. } => "paused",
            Self::PlatformActs => "platform_acts",
            Self::QueueFull { .. } => "queue_full",
            Self::Queued { .. } => "queued",
            Self::Releasing { .. } => "releasing",
            Self::Stale { .. } => "stale",
            Self::StoreAway => "store_away",
            Self::Superseded { .. } => "superseded",
            Self::TooManyDynos { .. } => "too_many_dynos",
            Self::TooYoung { .. } => "too_young",
            Self::UnderWay => "under_way",
            Self::WrongType => "wrong_type",
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiReserve { remaining } => {
                write!(f, "only {remaining} API calls are left to the account; a fifth is kept for others")
            }
            Self::ApiError(error) => write!(f, "no usable answer from the API: {error}"),
            Self::ClaimedElsewhere { until } => {
                write!(f, "another replica is handling this dyno until {}", clock(*until))
            }
            Self::ClockAhead { lead } => {
                write!(
                    f,
                    "the line's time is {} ahead of this machine's clock: one of the two is wrong",
                    spoken(*lead)
                )
            }
            Self::CoolingDown { until, cooldown } => {
                write!(
                    f,
                    "cool-down of {} after its last restart, until {}",
                    spoken(*cooldown),
                    clock(*until)
                )
            }
            Self::Deploying { from, to } => {
                write!(f, "a deploy is under way: releases v{from} and v{to} run side by side")
            }
            Self::FormationFailed { dyno } => {
                write!(
                    f,
                    "{dyno} did not come back from its restart, so the rest of its type is left running"
                )
            }
            Self::FormationOut { dyno, state, allowed } => match state {
                DynoState::Up => write!(
                    f,
                    "{dyno} is only just up, and max_concurrent = {allowed}: waiting for it to settle"
                ),
                // What another replica is at: its state was not asked for.
                DynoState::Other => write!(f, "{dyno} is out, and max_concurrent = {allowed}"),
                state => write!(f, "{dyno} is {}, and max_concurrent = {allowed}", state.word()),
            },
            Self::GivenUp { until } => {
                write!(f, "given up after too many restarts, until {} or the next release", clock(*until))
            }
            Self::Gone => f.write_str("no dyno of that name exists: scaled away"),
            Self::MaxRestarts { allowed, until } => {
                write!(
                    f,
                    "max_restarts: restarted {allowed}, so it is given up until {} or the next release",
                    clock(*until)
                )
            }
            Self::NotListed => f.write_str("its process type is not in process_types"),
            Self::NotUp { state } => write!(f, "the dyno is {}, not up", state.word()),
            Self::OutsideWindow { opens: Some(opens) } => {
                write!(f, "outside policy.window; it opens {}", clock(*opens))
            }
            Self::OutsideWindow { opens: None } => f.write_str("outside policy.window, which never opens"),
            Self::Paused { until, reason } => write!(f, "paused until {}: {reason}", clock(*until)),
            Self::PlatformActs => f.write_str("Heroku is already replacing this process"),
            Self::QueueFull { max } => write!(f, "{max} dynos of its type are waiting already"),
            Self::Queued { behind } => write!(f, "waiting for its turn behind {behind}"),
            Self::Releasing { until } => {
                write!(f, "a release or a scaling was announced; waiting until {}", clock(*until))
            }
            Self::Stale { age } => {
                write!(f, "stale: the error is {} old", spoken(*age))
            }
            Self::StoreAway => f.write_str("the store does not answer, so earlier restarts are unknown"),
            Self::Superseded { created_at } => {
                write!(f, "the error is older than the dyno, which started {}", clock(*created_at))
            }
            Self::TooManyDynos { max } => write!(f, "{max} dynos are watched already"),
            Self::TooYoung { age, min } => {
                write!(f, "too young: up for {} of min_uptime = {}", spoken(*age), spoken(*min))
            }
            Self::UnderWay => f.write_str("a restart of this dyno is under way"),
            Self::WrongType => f.write_str("the API reports another process type than the dyno's name"),
        }
    }
}

/// A time to the second, for sentences.
fn clock(at: Timestamp) -> impl fmt::Display {
    at.strftime("%Y-%m-%d %H:%M:%SZ")
}

// === impl RestartResult ===

impl RestartResult {
    /// The word for it in JSON and in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Back { late: false, .. } => "back",
            Self::Back { late: true, .. } => "back_late",
            Self::NotBack { .. } => "not_back",
            Self::Gone => "gone",
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
                f.write_str("the API's answer was lost; the restart counts as carried out")
            }
            Self::Back { out_for, late: false, .. } => write!(f, "up again after {}", spoken(*out_for)),
            Self::Back { out_for, late: true, .. } => {
                write!(f, "up again after {}, later than boot_timeout", spoken(*out_for))
            }
            Self::NotBack { state: Some(state), waited } => {
                write!(f, "not up within boot_timeout = {}: last seen {}", spoken(*waited), state.word())
            }
            Self::NotBack { state: None, waited } => {
                write!(f, "not seen up within boot_timeout = {}", spoken(*waited))
            }
            Self::Gone => f.write_str("the dyno no longer exists: scaled away"),
            Self::Refused(error) => write!(f, "not restarted: {error}"),
            Self::Unanswered { tries } => {
                write!(f, "sent {tries} times without an answer, and the old instance is still running")
            }
            Self::Withdrawn => f.write_str("held back before the request was sent"),
        }
    }
}

// === impl NoticeKind ===

impl NoticeKind {
    /// The word for it in JSON, in metrics and in `notify.on`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::ApiError(_) => "failure",
            Self::ClockDisagrees { .. } => "failure",
            Self::GaveUp { .. } => "give_up",
            Self::NoHelp { .. } => "no_help",
            Self::RestartFailed(_) => "failure",
            Self::ApiRecovered => "recovered",
            Self::Health(alert) => alert.label(),
        }
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiError(error) => write!(f, "nothing is restarted: {error}"),
            Self::ClockDisagrees { lead } => {
                write!(
                    f,
                    "log lines are {} ahead of this machine's clock: fix the clock, or nothing is restarted",
                    spoken(*lead)
                )
            }
            Self::GaveUp { allowed, until } => write!(
                f,
                "gave up on this dyno after {allowed}; it is left alone until {} or the next release, and a \
                 person needs to look at it",
                clock(*until)
            ),
            Self::NoHelp { after } => write!(
                f,
                "restarting does not help: the error was back {} after the new dyno started",
                spoken(*after)
            ),
            Self::RestartFailed(result) => write!(f, "the restart failed: {result}"),
            Self::ApiRecovered => f.write_str("the API answers again"),
            Self::Health(alert) => alert.fmt(f),
        }
    }
}
