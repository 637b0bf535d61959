//! Records as rows, and the statements that write them.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection};

use dynowarden_core::engine::restore::{PendingCause, PendingRestart};
use dynowarden_core::ident::{AppName, DynoName};
use dynowarden_core::record::view::{DecisionView, Word};
use dynowarden_core::record::{
    AttemptId, Decision, MemoryReading, Notice, NoticeKind, Outcome, RestartResult,
};

/// A reading of the clock that judges leases, and how far it is ahead of the caller's, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct DbTime {
    pub now: i64,
    pub ahead: i64,
}

impl DbTime {
    /// Converts a time of the clock that judges leases to the caller's clock.
    pub(super) fn as_seen_by_caller(self, at: i64) -> Timestamp {
        timestamp(at.saturating_sub(self.ahead))
    }
}

/// A record that waits to be written.
#[derive(Clone, Debug)]
pub(super) enum Row {
    Decision(Box<DecisionRow>),
    GiveUp(GiveUpRow),
    Pending(PendingRow),
    MemoryAfterRestart(AttemptId, MemoryReading),
    /// A notice about the account has no app.
    Notice {
        id: i64,
        app: Option<AppName>,
        notice: Notice,
    },
    Outcome {
        app: AppName,
        outcome: Outcome,
    },
    /// A claim whose answer did not reach us in time, so that nothing was sent.
    Unclaim(AttemptId),
    /// A decision that was written with its claim and then withdrawn, by its id.
    Undecided(i64),
}

#[derive(Clone, Debug)]
pub(super) struct DecisionRow {
    pub id: i64,
    pub attempt: Option<String>,
    pub shown: DecisionView,
}

#[derive(Clone, Debug)]
pub(super) struct GiveUpRow {
    app: AppName,
    dyno: DynoName,
    at: i64,
    until: i64,
    release: Option<i64>,
    times: i64,
}

/// What the next process takes up.
#[derive(Clone, Debug)]
pub(super) struct PendingRow {
    pub app: AppName,
    pub pending: PendingRestart,
}

/// The writer, and how far the clock that judges leases is ahead of this machine's, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriteContext<'w> {
    pub holder: &'w str,
    pub ahead: i64,
}

type Statement = Query<'static, Any, AnyArguments>;

// === impl rows ===

impl Row {
    /// The id of a row of history; none for a row about a restart, which is never dropped for lack of room.
    pub(super) fn history_id(&self) -> Option<i64> {
        match self {
            Self::Decision(row) if row.shown.decision != Word::Restart => Some(row.id),
            Self::Notice { id, .. } => Some(*id),
            Self::Decision(_)
            | Self::GiveUp(_)
            | Self::Pending(_)
            | Self::MemoryAfterRestart(..)
            | Self::Outcome { .. }
            | Self::Unclaim(_)
            | Self::Undecided(_) => None,
        }
    }

    /// Writing a row twice changes nothing, so a write whose answer was lost is repeated.
    pub(super) async fn write(
        &self,
        to: &mut AnyConnection,
        by: WriteContext<'_>,
    ) -> Result<(), sqlx::Error> {
        let statement = match self {
            Self::Decision(row) => row.insert(by),
            Self::GiveUp(row) => row.insert(by),
            Self::Pending(row) => row.insert(by),
            Self::MemoryAfterRestart(attempt_id, memory) => of_attempt(MEMORY_AFTER, *attempt_id, by)
                .bind(micros(memory.at))
                .bind(i64::try_from(memory.used.hundredths).unwrap_or(i64::MAX))
                .bind(i64::from(memory.permille)),
            Self::Notice { id, app, notice } => insert_notice(*id, app.as_ref(), notice, by),
            Self::Outcome { app, outcome } => return write_outcome(app, outcome, to, by).await,
            Self::Unclaim(attempt_id) => of_attempt(UNCLAIM, *attempt_id, by)
                .bind("the database did not respond in time, so nothing was sent"),
            Self::Undecided(id) => sqlx::query(UNDECIDE).bind(*id).bind(by.holder),
        };
        statement.execute(to).await?;
        Ok(())
    }
}

impl DecisionRow {
    pub(super) fn new(id: i64, decision: &Decision, app: &AppName, holder: &str) -> Self {
        let shown = DecisionView::new(decision, app);
        Self {
            id,
            attempt: decision.attempt_id.map(|attempt_id| attempt(holder, attempt_id)),
            shown: DecisionView { rule: clean(shown.rule), reason: clean(shown.reason), ..shown },
        }
    }

    pub(super) fn insert(&self, by: WriteContext<'_>) -> Statement {
        let shown = &self.shown;
        sqlx::query(WRITE_DECISION)
            .bind(self.id)
            .bind(by.holder)
            .bind(micros(shown.at))
            .bind(shown.app.as_str())
            .bind(shown.dyno.as_deref())
            .bind(shown.rule.as_str())
            .bind(shown.decision.to_string())
            .bind(shown.code.as_str())
            .bind(shown.reason.as_str())
            .bind(i64::from(shown.dry_run))
            .bind(serde_json::to_string(&shown.evidence).unwrap_or_else(|_| "{}".to_owned()))
            .bind(self.attempt.as_deref())
            .bind(i64::try_from(shown.count).unwrap_or(i64::MAX))
            .bind(micros(shown.last_at))
    }
}

impl GiveUpRow {
    /// The give-up in a notice, if it is one.
    pub(super) fn new(notice: &Notice, app: &AppName) -> Option<Self> {
        let NoticeKind::GaveUp { until, release, times, .. } = &notice.what else { return None };
        Some(Self {
            app: app.clone(),
            dyno: notice.dyno.clone()?,
            at: micros(notice.at),
            until: micros(*until),
            release: release.and_then(|release| i64::try_from(release).ok()),
            times: i64::from(*times),
        })
    }

    fn insert(&self, by: WriteContext<'_>) -> Statement {
        sqlx::query(GIVE_UP)
            .bind(self.app.as_str())
            .bind(self.dyno.to_string())
            .bind(self.at.saturating_add(by.ahead))
            .bind(self.until.saturating_add(by.ahead))
            .bind(self.release)
            .bind(self.times)
    }
}

impl PendingRow {
    fn insert(&self, by: WriteContext<'_>) -> Statement {
        let PendingRestart { dyno, cause, .. } = &self.pending;
        let (rule, code, lines, error_at, forced) = match cause {
            PendingCause::Manual { forced } => (None, None, 0, 0, *forced),
            PendingCause::Rule { rule, code, lines, error_at } => {
                let error_at = micros(*error_at).saturating_add(by.ahead);
                (Some(rule.to_string()), code.map(|code| code.to_string()), *lines, error_at, false)
            }
        };
        sqlx::query(PENDING)
            .bind(self.app.as_str())
            .bind(dyno.to_string())
            .bind(rule)
            .bind(code)
            .bind(i64::from(lines))
            .bind(error_at)
            .bind(i64::from(forced))
    }
}

/// The permanent id of an attempt in the store.
pub(super) fn attempt(holder: &str, attempt_id: AttemptId) -> String {
    format!("{holder}-{}", attempt_id.0)
}

/// A time as a column value.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A span as a column value.
pub(super) fn span_micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// A time from a column; an invalid one becomes the earliest time.
pub(super) fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MIN)
}

pub(super) fn attempt_number(attempt_id: AttemptId) -> i64 {
    i64::try_from(attempt_id.0).unwrap_or(i64::MAX)
}

/// PostgreSQL accepts any text but NUL, and part of this text is untrusted.
pub(super) fn clean(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

// === statements ===

const WRITE_DECISION: &str = "\
    INSERT INTO dynowarden_decisions \
        (id, holder, at, app, dyno, rule, decision, code, reason, dry_run, evidence, attempt, count, \
         last_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
    ON CONFLICT (id, holder) DO UPDATE SET count = excluded.count, last_at = excluded.last_at";

const WRITE_NOTICE: &str = "\
    INSERT INTO dynowarden_notices (id, holder, at, app, dyno, kind, text) \
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id, holder) DO NOTHING";

fn insert_notice(id: i64, app: Option<&AppName>, notice: &Notice, by: WriteContext<'_>) -> Statement {
    sqlx::query(WRITE_NOTICE)
        .bind(id)
        .bind(by.holder)
        .bind(micros(notice.at))
        .bind(app.map_or("", AppName::as_str))
        .bind(notice.dyno.as_ref().map(ToString::to_string))
        .bind(notice.what.label())
        .bind(clean(notice.what.to_string()))
}

/// A statement about one attempt of this process.
fn of_attempt(statement: &'static str, attempt_id: AttemptId, by: WriteContext<'_>) -> Statement {
    sqlx::query(statement).bind(by.holder).bind(attempt_number(attempt_id))
}

const ACCEPT: &str = "\
    UPDATE dynowarden_restarts SET result = $3, text = $4, accepted_at = COALESCE(accepted_at, $5) \
    WHERE holder = $1 AND attempt_number = $2";

/// The claim ends after the time that the new dyno has to settle. Another process may have found already that
/// the restart did not help.
const BACK: &str = "\
    UPDATE dynowarden_restarts SET ended_at = $5, \
        result = CASE WHEN result = 'no_help' THEN result ELSE $3 END, \
        text = CASE WHEN result = 'no_help' THEN text ELSE $4 END, \
        lease_until = $5 + settle_ms * 1000, new_instance = $6, out_for_ms = $7, \
        release = COALESCE($8, release), up_since = $9 \
    WHERE holder = $1 AND attempt_number = $2";

/// Its holder keeps watching, and keeps the claim as long as it renews it.
const NOT_BACK: &str = "\
    UPDATE dynowarden_restarts SET result = $3, text = $4 WHERE holder = $1 AND attempt_number = $2";

/// The last accepted restart of a dyno did not help, if it was accepted by `latest`: the error was back after
/// that time.
pub(super) fn did_not_help(app: &str, dyno: &str, after: Duration, latest: i64) -> Statement {
    let result = RestartResult::NoHelp { after };
    sqlx::query(NO_HELP)
        .bind(app.to_owned())
        .bind(dyno.to_owned())
        .bind(result.label())
        .bind(clean(result.to_string()))
        .bind(latest)
}

const NO_HELP: &str = "\
    UPDATE dynowarden_restarts SET result = $3, text = $4 \
    WHERE app = $1 AND dyno = $2 AND accepted_at <= $5 AND place = \
        (SELECT MAX(place) FROM dynowarden_restarts \
         WHERE app = $1 AND dyno = $2 AND accepted_at IS NOT NULL)";

const OVER: &str = "\
    UPDATE dynowarden_restarts SET result = $3, text = $4, ended_at = $5, lease_until = 0 \
    WHERE holder = $1 AND attempt_number = $2";

async fn write_outcome(
    app: &AppName,
    outcome: &Outcome,
    to: &mut AnyConnection,
    by: WriteContext<'_>,
) -> Result<(), sqlx::Error> {
    let Outcome { at, dyno, attempt_id, result, .. } = outcome;
    let at = micros(*at).saturating_add(by.ahead);
    let set = |statement| {
        of_attempt(statement, *attempt_id, by).bind(result.label()).bind(clean(result.to_string()))
    };
    let statement = match result {
        RestartResult::Accepted { .. } => set(ACCEPT).bind(at),
        RestartResult::Back { id, release, up_since, out_for, .. } => {
            let millis = i64::try_from(out_for.as_millis()).unwrap_or(i64::MAX);
            let release = release.and_then(|release| i64::try_from(release).ok());
            set(BACK).bind(at).bind(id.to_string()).bind(millis).bind(release).bind(micros(*up_since))
        }
        RestartResult::NotBack { .. } | RestartResult::DownAgain { .. } => set(NOT_BACK),
        // The process that learns it need not be the one that restarted the dyno.
        RestartResult::NoHelp { after } => did_not_help(app.as_str(), &dyno.to_string(), *after, i64::MAX),
        RestartResult::Gone
        | RestartResult::Ignored { .. }
        | RestartResult::Refused(_)
        | RestartResult::Unanswered { .. }
        | RestartResult::Withdrawn => set(OVER).bind(at),
    };
    statement.execute(&mut *to).await?;
    if let RestartResult::Accepted { .. } = result {
        // The counts belong to an instance that is gone, and a restart ends a give-up.
        sqlx::query(FORGET_HITS).bind(app.as_str()).bind(dyno.to_string()).execute(&mut *to).await?;
        let give_up = sqlx::query(FORGET_GIVE_UP).bind(app.as_str()).bind(dyno.to_string()).bind(at);
        give_up.execute(&mut *to).await?;
    }
    Ok(())
}

const MEMORY_AFTER: &str = "\
    UPDATE dynowarden_restarts SET after_at = $3, after_used = $4, after_permille = $5 \
    WHERE holder = $1 AND attempt_number = $2";

const FORGET_HITS: &str = "DELETE FROM dynowarden_hits WHERE app = $1 AND dyno = $2";

/// One that is over stays: the next one lasts longer.
const FORGET_GIVE_UP: &str = "DELETE FROM dynowarden_give_ups WHERE app = $1 AND dyno = $2 AND until > $3";

const GIVE_UP: &str = "\
    INSERT INTO dynowarden_give_ups (app, dyno, at, until, release, times) \
    VALUES ($1, $2, $3, $4, $5, $6) \
    ON CONFLICT (app, dyno) DO UPDATE SET \
        at = excluded.at, until = excluded.until, release = excluded.release, times = excluded.times";

const PENDING: &str = "\
    INSERT INTO dynowarden_pending (app, dyno, rule, code, lines, error_at, forced) \
    VALUES ($1, $2, $3, $4, $5, $6, $7) \
    ON CONFLICT (app, dyno) DO UPDATE SET \
        rule = excluded.rule, code = excluded.code, lines = excluded.lines, \
        error_at = excluded.error_at, forced = excluded.forced";

const UNCLAIM: &str = "\
    UPDATE dynowarden_restarts SET result = 'not_sent', text = $3, ended_at = claimed_at, lease_until = 0 \
    WHERE holder = $1 AND attempt_number = $2 AND accepted_at IS NULL AND ended_at IS NULL";

const UNDECIDE: &str = "DELETE FROM dynowarden_decisions WHERE id = $1 AND holder = $2";
