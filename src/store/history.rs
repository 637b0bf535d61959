//! Decision history: pages of decisions, newest first.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AnyPool, AssertSqlSafe, Row as _};

use crate::store::rows::timestamp;
use dynowarden_core::event::Megabytes;
use dynowarden_core::ident::{AppName, DynoName};
use dynowarden_core::limits;
use dynowarden_core::record::view::{DecisionView, EvidenceView, MemoryView, OutcomeView, Word};
use dynowarden_core::record::{MANUAL, MemoryReading};

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub app: Option<AppName>,
    pub dyno: Option<DynoName>,
    pub kind: Option<Word>,
    /// As [`DecisionView::is_news`] says.
    pub only_news: bool,
    /// The reason as a word.
    pub code: Option<String>,
    /// Only decisions that were made, or repeated, since then.
    pub since: Option<Timestamp>,
    /// The `next` of the previous page: only older decisions.
    pub before: Option<Cursor>,
    /// A page has at most [`limits::PAGE_ROWS_MAX`], and at least one.
    pub limit: u32,
}

/// Some decisions, newest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Page {
    pub decisions: Vec<DecisionView>,
    /// Where the next page begins; none at the end.
    pub next: Option<Cursor>,
}

/// A place in the decision history, as opaque text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    id: i64,
    holder: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: use the `next` of the previous page")]
pub struct CursorError;

// === impl Cursor ===

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (id, holder) = text.split_once('-').ok_or(CursorError)?;
        let id = i64::from_str_radix(id, 16).ok().filter(|id| *id >= 0).ok_or(CursorError)?;
        let fits = holder.len() == 16 && holder.bytes().all(|byte| byte.is_ascii_hexdigit());
        if fits { Ok(Self { id, holder: holder.to_owned() }) } else { Err(CursorError) }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.id, self.holder)
    }
}

impl Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

// === reading ===

pub(super) async fn read(filter: &Filter, from: &AnyPool) -> Result<Page, sqlx::Error> {
    let limit = filter.limit.clamp(1, limits::PAGE_ROWS_MAX);
    let mut bound = 0;
    let mut place = || {
        bound += 1;
        format!("${bound}")
    };
    let mut conditions = Vec::new();
    if filter.app.is_some() {
        conditions.push(format!("decided.app = {}", place()));
    }
    if filter.dyno.is_some() {
        conditions.push(format!("decided.dyno = {}", place()));
    }
    if filter.kind.is_some() {
        conditions.push(format!("decided.decision = {}", place()));
    }
    if filter.only_news {
        conditions.push(format!(
            "(decided.decision <> 'hold' OR decided.code = '{}' OR decided.rule = '{MANUAL}')",
            DecisionView::GIVEN_UP
        ));
    }
    if filter.code.is_some() {
        conditions.push(format!("decided.code = {}", place()));
    }
    if filter.since.is_some() {
        conditions.push(format!("decided.last_at >= {}", place()));
    }
    if filter.before.is_some() {
        conditions.push(format!("(decided.id, decided.holder) < ({}, {})", place(), place()));
    }
    let condition =
        if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let order = "ORDER BY decided.id DESC, decided.holder DESC";
    let statement = format!("{SELECT}{condition} {order} LIMIT {}", place());
    // None of it comes from outside: the values are bound.
    let mut query = sqlx::query(AssertSqlSafe(statement));
    if let Some(app) = &filter.app {
        query = query.bind(app.as_str());
    }
    if let Some(dyno) = &filter.dyno {
        query = query.bind(dyno.to_string());
    }
    if let Some(kind) = filter.kind {
        query = query.bind(kind.to_string());
    }
    if let Some(code) = &filter.code {
        query = query.bind(code.as_str());
    }
    if let Some(since) = filter.since {
        query = query.bind(since.as_microsecond());
    }
    if let Some(before) = &filter.before {
        query = query.bind(before.id).bind(before.holder.as_str());
    }
    let rows = query.bind(i64::from(limit) + 1).fetch_all(from).await?;
    let shown = &rows[..rows.len().min(limit as usize)];
    let has_more = rows.len() > shown.len();
    let next = shown.last().filter(|_| has_more).map(cursor).transpose()?;
    Ok(Page { decisions: shown.iter().map(decision).collect::<Result<_, _>>()?, next })
}

const SELECT: &str = "\
    SELECT decided.id, decided.holder, decided.at, decided.app, decided.dyno, decided.rule, \
        decided.decision, decided.code, decided.reason, decided.dry_run, decided.evidence, decided.count, \
        decided.last_at, restart.result, restart.text, restart.instance, restart.new_instance, \
        restart.out_for_ms, restart.after_at, restart.after_used, restart.after_permille \
    FROM dynowarden_decisions decided \
    LEFT JOIN dynowarden_restarts restart \
        ON restart.attempt = decided.attempt AND decided.decision = 'restart'";

fn cursor(row: &AnyRow) -> Result<Cursor, sqlx::Error> {
    Ok(Cursor { id: row.try_get("id")?, holder: row.try_get("holder")? })
}

fn decision(row: &AnyRow) -> Result<DecisionView, sqlx::Error> {
    let word = match row.try_get::<String, _>("decision")?.as_str() {
        "restart" => Word::Restart,
        "notify" => Word::Notify,
        _ => Word::Hold,
    };
    let evidence: String = row.try_get("evidence")?;
    let evidence: EvidenceView = serde_json::from_str(&evidence).unwrap_or_default();
    let result: Option<String> = row.try_get("result")?;
    let outcome = match result {
        None => None,
        Some(result) => Some(OutcomeView {
            text: row.try_get::<Option<String>, _>("text")?.unwrap_or_else(|| result.clone()),
            result: result.into(),
            instance: row.try_get("instance")?,
            new_instance: row.try_get("new_instance")?,
            out_for_seconds: row
                .try_get::<Option<i64>, _>("out_for_ms")?
                .map(|millis| Duration::from_millis(millis.unsigned_abs()).as_secs_f64()),
            memory: memory_after(row)?.as_ref().map(MemoryView::new),
        }),
    };
    Ok(DecisionView {
        at: timestamp(row.try_get("at")?),
        app: row.try_get("app")?,
        dyno: row.try_get("dyno")?,
        rule: row.try_get("rule")?,
        decision: word,
        reason: row.try_get("reason")?,
        code: row.try_get("code")?,
        dry_run: row.try_get::<i64, _>("dry_run")? != 0,
        evidence,
        count: row.try_get::<i64, _>("count")?.unsigned_abs(),
        last_at: timestamp(row.try_get("last_at")?),
        outcome,
    })
}

fn memory_after(row: &AnyRow) -> Result<Option<MemoryReading>, sqlx::Error> {
    let Some(at) = row.try_get("after_at")? else { return Ok(None) };
    let (used, permille): (i64, i64) = (row.try_get("after_used")?, row.try_get("after_permille")?);
    Ok(Some(MemoryReading {
        at: timestamp(at),
        used: Megabytes { hundredths: used.unsigned_abs() },
        permille: u32::try_from(permille).unwrap_or(u32::MAX),
    }))
}

#[cfg(test)]
mod tests {
    use super::Cursor;

    #[test]
    fn a_cursor_is_read_back() {
        let cursor = Cursor { id: 1_750_000_000_000_000, holder: "0123456789abcdef".to_owned() };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "1", "1-", "-1-0123456789abcdef", "1-0123456789abcdeg", "1-x", "x-0123456789abcdef"]
        {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }
}
