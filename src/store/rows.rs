//! Records as rows, and the statements that write them.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::AnyConnection;

use dynowarden_core::ident::AppName;
use dynowarden_core::record::hold::Hold;
use dynowarden_core::record::view::DecisionView;
use dynowarden_core::record::{Action, AttemptId, Decision, MemoryReading, Notice, Outcome, RestartResult};

/// A row about a restart, which is never dropped for lack of room.
#[derive(Clone, Debug)]
pub(super) enum RestartRow {
    Decision(DecisionRow),
    Outcome(OutcomeRow),
    MemoryAfterRestart(AttemptId, MemoryReading),
    GiveUp(GiveUpRow),
    /// A claim whose answer did not reach us in time, so that nothing was sent.
    Unclaim(AttemptId),
    /// A decision that was written with its claim and then withdrawn, by its id.
    Undecided(i64),
}

#[derive(Clone, Debug)]
pub(super) enum HistoryRow {
    Decision(DecisionRow),
    Notice(NoticeRow),
}

#[derive(Clone, Debug)]
pub(super) struct DecisionRow {
    pub id: i64,
    pub at: i64,
    pub app: Arc<str>,
    pub dyno: Option<Arc<str>>,
    pub rule: Arc<str>,
    pub decision: &'static str,
    pub code: Arc<str>,
    pub reason: String,
    pub dry_run: bool,
    pub evidence: String,
    pub attempt: Option<String>,
    pub count: i64,
    pub last_at: i64,
}

#[derive(Clone, Debug)]
pub(super) struct NoticeRow {
    pub id: i64,
    pub at: i64,
    pub app: Arc<str>,
    pub dyno: Option<Arc<str>>,
    pub kind: &'static str,
    pub text: String,
}

#[derive(Clone, Debug)]
pub(super) struct OutcomeRow {
    pub at: i64,
    pub app: Arc<str>,
    pub dyno: Arc<str>,
    pub attempt_id: AttemptId,
    pub result: &'static str,
    pub text: String,
    pub stage: Stage,
}

/// How far an outcome advances a claim.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    Accepted,
    Back { instance: String, out_for: Duration },
    NotBack,
    Over,
}

#[derive(Clone, Debug)]
pub(super) struct GiveUpRow {
    pub app: Arc<str>,
    pub dyno: Arc<str>,
    pub at: i64,
    pub until: i64,
    pub release: Option<i64>,
}

/// The writer, and how far the clock that judges leases is ahead of this machine's, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriteContext<'w> {
    pub holder: &'w str,
    pub ahead: i64,
}

// === impl rows ===

impl DecisionRow {
    pub(super) fn new(decision: &Decision, app: &AppName, holder: &str) -> Self {
        let shown = DecisionView::new(decision, app);
        let at = micros(decision.at);
        Self {
            id: at,
            at,
            app: app.as_str().into(),
            dyno: shown.dyno.map(Into::into),
            rule: clean(shown.rule).into(),
            decision: decision.action.word(),
            code: shown.code.into(),
            reason: clean(shown.reason),
            dry_run: shown.dry_run,
            evidence: serde_json::to_string(&shown.evidence).unwrap_or_else(|_| "{}".to_owned()),
            attempt: decision.attempt_id.map(|attempt_id| attempt(holder, attempt_id)),
            count: 1,
            last_at: at,
        }
    }
}

impl NoticeRow {
    /// A notice about the account has no app.
    pub(super) fn new(notice: &Notice, app: Option<&AppName>, id: i64) -> Self {
        Self {
            id,
            at: micros(notice.at),
            app: app.map_or("", AppName::as_str).into(),
            dyno: notice.dyno.as_ref().map(|dyno| dyno.to_string().into()),
            kind: notice.what.label(),
            text: clean(notice.what.to_string()),
        }
    }
}

impl OutcomeRow {
    pub(super) fn new(outcome: &Outcome, app: &AppName) -> Self {
        let stage = match &outcome.result {
            RestartResult::Accepted { .. } => Stage::Accepted,
            RestartResult::Back { id, out_for, .. } => {
                Stage::Back { instance: id.to_string(), out_for: *out_for }
            }
            RestartResult::NotBack { .. } => Stage::NotBack,
            RestartResult::Gone
            | RestartResult::Refused(_)
            | RestartResult::Unanswered { .. }
            | RestartResult::Withdrawn => Stage::Over,
        };
        Self {
            at: micros(outcome.at),
            app: app.as_str().into(),
            dyno: outcome.dyno.to_string().into(),
            attempt_id: outcome.attempt_id,
            result: outcome.result.label(),
            text: clean(outcome.result.to_string()),
            stage,
        }
    }
}

impl GiveUpRow {
    /// The give-up in a decision, if it is one.
    pub(super) fn new(decision: &Decision, app: &AppName) -> Option<Self> {
        let Action::Hold(Hold::MaxRestarts { until, .. }) = &decision.action else { return None };
        let release = decision.evidence.seen.as_ref().and_then(|seen| seen.release);
        Some(Self {
            app: app.as_str().into(),
            dyno: decision.dyno.as_ref()?.to_string().into(),
            at: micros(decision.at),
            until: micros(*until),
            release: release.and_then(|release| i64::try_from(release).ok()),
        })
    }
}

impl HistoryRow {
    pub(super) fn id(&self) -> i64 {
        match self {
            Self::Decision(row) => row.id,
            Self::Notice(row) => row.id,
        }
    }

    pub(super) async fn write(
        &self,
        to: &mut AnyConnection,
        by: WriteContext<'_>,
    ) -> Result<(), sqlx::Error> {
        match self {
            Self::Decision(row) => write_decision(row, to, by).await,
            Self::Notice(row) => write_notice(row, to, by).await,
        }
    }
}

impl RestartRow {
    pub(super) async fn write(
        &self,
        to: &mut AnyConnection,
        by: WriteContext<'_>,
    ) -> Result<(), sqlx::Error> {
        match self {
            Self::Decision(row) => write_decision(row, to, by).await,
            Self::Outcome(row) => write_outcome(row, to, by).await,
            Self::MemoryAfterRestart(attempt_id, memory) => {
                write_aftermath(*attempt_id, memory, to, by).await
            }
            Self::GiveUp(row) => write_give_up(row, to, by).await,
            Self::Unclaim(attempt_id) => unclaim(*attempt_id, to, by).await,
            Self::Undecided(id) => undecide(*id, to, by).await,
        }
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

/// Writing a row twice changes nothing, so a write whose answer was lost is repeated.
const WRITE_DECISION: &str = "\
    INSERT INTO dynowarden_decisions \
        (id, holder, at, app, dyno, rule, decision, code, reason, dry_run, evidence, attempt, count, \
         last_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
    ON CONFLICT (id, holder) DO UPDATE SET count = excluded.count, last_at = excluded.last_at";

pub(super) async fn write_decision(
    row: &DecisionRow,
    to: &mut AnyConnection,
    by: WriteContext<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(WRITE_DECISION)
        .bind(row.id)
        .bind(by.holder)
        .bind(row.at)
        .bind(&*row.app)
        .bind(row.dyno.as_deref())
        .bind(&*row.rule)
        .bind(row.decision)
        .bind(&*row.code)
        .bind(row.reason.as_str())
        .bind(i64::from(row.dry_run))
        .bind(row.evidence.as_str())
        .bind(row.attempt.as_deref())
        .bind(row.count)
        .bind(row.last_at)
        .execute(to)
        .await
        .map(|_| ())
}

const WRITE_NOTICE: &str = "\
    INSERT INTO dynowarden_notices (id, holder, at, app, dyno, kind, text) \
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id, holder) DO NOTHING";

async fn write_notice(
    row: &NoticeRow,
    to: &mut AnyConnection,
    by: WriteContext<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(WRITE_NOTICE)
        .bind(row.id)
        .bind(by.holder)
        .bind(row.at)
        .bind(&*row.app)
        .bind(row.dyno.as_deref())
        .bind(row.kind)
        .bind(row.text.as_str())
        .execute(to)
        .await
        .map(|_| ())
}

const ACCEPT: &str = "\
    UPDATE dynowarden_restarts SET result = $3, text = $4, accepted_at = COALESCE(accepted_at, $5) \
    WHERE holder = $1 AND ticket = $2";

/// The claim ends after the time that the new dyno has to settle.
const BACK: &str = "\
    UPDATE dynowarden_restarts SET result = $3, text = $4, ended_at = $5, \
        lease_until = $5 + settle_ms * 1000, new_instance = $6, out_for_ms = $7 \
    WHERE holder = $1 AND ticket = $2";

/// Its holder keeps watching, and keeps the claim as long as it renews it.
const NOT_BACK: &str = "\
    UPDATE dynowarden_restarts SET result = $3, text = $4 WHERE holder = $1 AND ticket = $2";

const OVER: &str = "\
    UPDATE dynowarden_restarts SET result = $3, text = $4, ended_at = $5, lease_until = 0 \
    WHERE holder = $1 AND ticket = $2";

async fn write_outcome(
    row: &OutcomeRow,
    to: &mut AnyConnection,
    by: WriteContext<'_>,
) -> Result<(), sqlx::Error> {
    let statement = match &row.stage {
        Stage::Accepted => ACCEPT,
        Stage::Back { .. } => BACK,
        Stage::NotBack => NOT_BACK,
        Stage::Over => OVER,
    };
    let query = sqlx::query(statement)
        .bind(by.holder)
        .bind(attempt_number(row.attempt_id))
        .bind(row.result)
        .bind(row.text.as_str());
    let at = row.at.saturating_add(by.ahead);
    let query = match &row.stage {
        Stage::Accepted | Stage::Over => query.bind(at),
        Stage::Back { instance, out_for } => {
            let millis = i64::try_from(out_for.as_millis()).unwrap_or(i64::MAX);
            query.bind(at).bind(instance.as_str()).bind(millis)
        }
        Stage::NotBack => query,
    };
    query.execute(&mut *to).await?;
    if let Stage::Accepted = row.stage {
        // The counts belong to an instance that is gone, and a restart ends a give-up.
        for statement in [FORGET_HITS, FORGET_GIVE_UP] {
            sqlx::query(statement).bind(&*row.app).bind(&*row.dyno).execute(&mut *to).await?;
        }
    }
    Ok(())
}

const AFTERMATH: &str = "\
    UPDATE dynowarden_restarts SET after_at = $3, after_used = $4, after_permille = $5 \
    WHERE holder = $1 AND ticket = $2";

async fn write_aftermath(
    attempt_id: AttemptId,
    memory: &MemoryReading,
    to: &mut AnyConnection,
    by: WriteContext<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(AFTERMATH)
        .bind(by.holder)
        .bind(attempt_number(attempt_id))
        .bind(micros(memory.at))
        .bind(i64::try_from(memory.used.hundredths).unwrap_or(i64::MAX))
        .bind(i64::from(memory.permille))
        .execute(to)
        .await
        .map(|_| ())
}

const FORGET_HITS: &str = "DELETE FROM dynowarden_hits WHERE app = $1 AND dyno = $2";

const FORGET_GIVE_UP: &str = "DELETE FROM dynowarden_give_ups WHERE app = $1 AND dyno = $2";

const GIVE_UP: &str = "\
    INSERT INTO dynowarden_give_ups (app, dyno, at, until, release) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (app, dyno) DO UPDATE SET \
        at = excluded.at, until = excluded.until, release = excluded.release";

async fn write_give_up(
    row: &GiveUpRow,
    to: &mut AnyConnection,
    by: WriteContext<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(GIVE_UP)
        .bind(&*row.app)
        .bind(&*row.dyno)
        .bind(row.at.saturating_add(by.ahead))
        .bind(row.until.saturating_add(by.ahead))
        .bind(row.release)
        .execute(to)
        .await
        .map(|_| ())
}

const UNCLAIM: &str = "\
    UPDATE dynowarden_restarts SET result = 'not_sent', text = $3, ended_at = claimed_at, lease_until = 0 \
    WHERE holder = $1 AND ticket = $2 AND accepted_at IS NULL AND ended_at IS NULL";

async fn unclaim(
    attempt_id: AttemptId,
    to: &mut AnyConnection,
    by: WriteContext<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(UNCLAIM)
        .bind(by.holder)
        .bind(attempt_number(attempt_id))
        .bind("the database did not respond in time, so nothing was sent")
        .execute(to)
        .await
        .map(|_| ())
}

const UNDECIDE: &str = "DELETE FROM dynowarden_decisions WHERE id = $1 AND holder = $2";

async fn undecide(id: i64, to: &mut AnyConnection, by: WriteContext<'_>) -> Result<(), sqlx::Error> {
    sqlx::query(UNDECIDE).bind(id).bind(by.holder).execute(to).await.map(|_| ())
}
