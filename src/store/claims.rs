//! Claims: decides who may restart which dyno, in one transaction and one process type at a time.
//!
//! The verdict is [`verdict()`]'s, over the rows of all replicas. The database only ensures that no other
//! replica judges the same process type at the same time.

use std::cmp::Reverse;

use jiff::SignedDuration;
use sqlx::AnyConnection;

use crate::store::claim_row::{Row, latest_known};
use crate::store::dialect::Dialect;
use crate::store::replica_counts;
use crate::store::restarts;
use crate::store::rows::{
    DbTime, DecisionRow, WriteContext, attempt, attempt_number, did_not_help, micros, span_micros,
};
use dynowarden_core::api::DynoInfo;
use dynowarden_core::engine::claim::{ClaimRefusal, KnownRestart};
use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::limits;
use dynowarden_core::policy::verdict::{Bounds, History, Refusal, earliest, verdict};
use dynowarden_core::record::{AttemptId, Decision};

#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// A repeated request has the same attempt.
    pub attempt_id: AttemptId,
    pub app: AppId,
    /// The instance to be replaced, as the API just showed it.
    pub seen: DynoInfo,
    /// A forced restart passes the cool-down, `max_restarts` and a give-up.
    pub is_forced: bool,
    /// Dynos of the type that are out for so long that they no longer count as out.
    pub broken: Vec<DynoName>,
    /// The dyno's last restart, as its process knows it. That it did not help is written with the claim.
    pub last: Option<KnownRestart>,
    /// The decision to restart, written with the claim; none if it is on record already.
    pub decision: Option<Box<Decision>>,
    /// The part of the app's policy that claims depend on.
    pub bounds: Bounds,
}

/// The replica and the app of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claimant<'c> {
    pub app: &'c str,
    pub holder: &'c str,
    pub request: &'c ClaimRequest,
    pub decision: Option<&'c DecisionRow>,
}

/// Judges a request and, if nothing is in the way, claims. The transaction must hold the lock of the process
/// type ([`lock`]).
pub(super) async fn claim(
    claimant: Claimant<'_>,
    to: &mut AnyConnection,
    db_time: DbTime,
) -> Result<Result<(), ClaimRefusal>, sqlx::Error> {
    let Claimant { app, request, .. } = claimant;
    if let Some((until, reason)) = replica_counts::pause_of(app, db_time.now, &mut *to).await? {
        let until = db_time.as_seen_by_caller(until);
        return Ok(Err(ClaimRefusal::Paused { until, reason: reason.into() }));
    }
    let bounds = &request.bounds;
    let longest = bounds.cooldown_after(u32::MAX).max(bounds.max_restarts.per);
    let since = db_time.now.saturating_sub(span_micros(longest));
    let dyno = request.seen.name.to_string();
    let rows: Vec<Row> = sqlx::query_as(ROWS)
        .bind(app)
        .bind(request.seen.process_type.as_str())
        .bind(db_time.now)
        .bind(dyno.as_str())
        .bind(since)
        .fetch_all(&mut *to)
        .await?;
    let give_up: Option<(i64, Option<i64>)> =
        sqlx::query_as(GIVE_UP).bind(app).bind(dyno.as_str()).fetch_optional(&mut *to).await?;
    let give_up = give_up.map(|(until, release)| GiveUp { until, release });
    let mut judged = judge(&rows, give_up, claimant, db_time);
    for resolved in &judged.resolved {
        sqlx::query(RESOLVE)
            .bind(resolved.attempt.as_str())
            .bind(if resolved.accepted_at.is_some() { "presumed" } else { "lapsed" })
            .bind(db_time.now)
            .bind(resolved.accepted_at)
            .execute(&mut *to)
            .await?;
    }
    let seen = &request.seen;
    if judged.is_news {
        judged.refusal = news(claimant, judged.refusal, to, (since, db_time)).await?;
    }
    if let Some(refusal) = judged.refusal {
        return Ok(Err(refusal));
    }
    if let Some(KnownRestart { accepted_at, useless_after: Some(after), .. }) = request.last {
        did_not_help(app, &dyno, after, latest_known(accepted_at, db_time)).execute(&mut *to).await?;
    }
    sqlx::query(CLAIM)
        .bind(attempt(claimant.holder, request.attempt_id))
        .bind(claimant.holder)
        .bind(attempt_number(request.attempt_id))
        .bind(app)
        .bind(seen.process_type.as_str())
        .bind(dyno)
        .bind(i64::from(request.is_forced))
        .bind(seen.id.as_str())
        .bind(micros(seen.created_at))
        .bind(micros(seen.updated_at))
        .bind(release_of(seen))
        .bind(span_micros(bounds.settle) / 1000)
        .bind(db_time.now)
        .bind(db_time.now.saturating_add(span_micros(limits::CLAIM_LEASE)))
        .execute(&mut *to)
        .await?;
    if let Some(decision) = claimant.decision {
        let by = WriteContext { holder: claimant.holder, ahead: db_time.ahead };
        decision.insert(by).execute(to).await?;
    }
    Ok(Ok(()))
}

/// Adds the restarts of the dyno to a refusal, or refuses for them: the last one has to be judged first.
async fn news(
    claimant: Claimant<'_>,
    refusal: Option<ClaimRefusal>,
    from: &mut AnyConnection,
    (since, db_time): (i64, DbTime),
) -> Result<Option<ClaimRefusal>, sqlx::Error> {
    let until = match &refusal {
        None => db_time.as_seen_by_caller(db_time.now),
        Some(ClaimRefusal::Elsewhere { until, .. }) => *until,
        Some(_) => return Ok(refusal),
    };
    let dyno = (claimant.request.app, claimant.app, &claimant.request.seen.name);
    let restarts = restarts::of_dyno(dyno, from, (since, db_time)).await?;
    if restarts.is_empty() {
        // It is older than all that count.
        return Ok(refusal);
    }
    Ok(Some(ClaimRefusal::Elsewhere { until, restarts }))
}

/// Keeps others from judging the same process type until the transaction ends. SQLite has one writer, so
/// there the transaction is the lock.
pub(super) async fn lock(
    claimant: Claimant<'_>,
    to: &mut AnyConnection,
    dialect: Dialect,
) -> Result<(), sqlx::Error> {
    if dialect == Dialect::Sqlite {
        return Ok(());
    }
    let formation = format!("dynowarden {} {}", claimant.app, claimant.request.seen.process_type);
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(formation)
        .execute(to)
        .await
        .map(|_| ())
}

/// Renews the claims of a holder; one that lapsed and was claimed by another stays lost.
pub(super) async fn renew(
    holder: &str,
    attempt_ids: &[AttemptId],
    to: &mut AnyConnection,
    db_time: DbTime,
) -> Result<(), sqlx::Error> {
    for attempt_id in attempt_ids {
        sqlx::query(RENEW)
            .bind(holder)
            .bind(attempt_number(*attempt_id))
            .bind(db_time.now.saturating_add(span_micros(limits::CLAIM_LEASE)))
            .execute(&mut *to)
            .await?;
    }
    Ok(())
}

/// Everything that may be in the way: open or settling claims of this process type, and restarts of this dyno
/// within its longest bound.
const ROWS: &str = "\
    SELECT attempt, holder, attempt_number, dyno, instance, created_at, updated_at, claimed_at, lease_until, \
        accepted_at, ended_at, by_hand, release, result, place \
    FROM dynowarden_restarts \
    WHERE app = $1 AND process_type = $2 \
        AND (ended_at IS NULL OR lease_until > $3 OR (dyno = $4 AND accepted_at > $5))";

const GIVE_UP: &str = "SELECT until, release FROM dynowarden_give_ups WHERE app = $1 AND dyno = $2";

const RESOLVE: &str = "\
    UPDATE dynowarden_restarts SET result = COALESCE(result, $2), ended_at = $3, lease_until = 0, \
        accepted_at = COALESCE(accepted_at, $4) \
    WHERE attempt = $1";

const CLAIM: &str = "\
    INSERT INTO dynowarden_restarts \
        (attempt, holder, attempt_number, app, process_type, dyno, by_hand, instance, created_at, \
         updated_at, release, settle_ms, tries, claimed_at, lease_until, place) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13, $14, \
        (SELECT COALESCE(MAX(place), 0) + 1 FROM dynowarden_restarts WHERE app = $4 AND dyno = $6)) \
    ON CONFLICT (attempt) DO UPDATE SET \
        instance = excluded.instance, created_at = excluded.created_at, updated_at = excluded.updated_at, \
        release = excluded.release, tries = dynowarden_restarts.tries + 1, \
        claimed_at = excluded.claimed_at, lease_until = excluded.lease_until, \
        ended_at = NULL, result = NULL, text = NULL";

const RENEW: &str = "\
    UPDATE dynowarden_restarts SET lease_until = $3 \
    WHERE holder = $1 AND attempt_number = $2 AND ended_at IS NULL AND lease_until < $3";

#[derive(Clone, Copy, Debug)]
struct GiveUp {
    until: i64,
    release: Option<i64>,
}

#[derive(Debug, PartialEq)]
struct Judged {
    refusal: Option<ClaimRefusal>,
    /// A replica made the last restart, and the claimant does not know it.
    is_news: bool,
    resolved: Vec<Resolved>,
}

/// A claim that its holder left open, and its inferred outcome.
#[derive(Debug, PartialEq)]
struct Resolved {
    attempt: String,
    /// None if the instance is still the claimed one, so that nothing was carried out.
    accepted_at: Option<i64>,
}

/// The restarts of the claimed dyno.
#[derive(Debug, Default)]
struct Restarts<'r> {
    /// Accepted ones, the last first.
    accepted: Vec<(i64, &'r Row)>,
    /// The end of another claim, or of a DELETE that may still be carried out.
    blocked_until: Option<i64>,
    /// When the very instance that the API shows was asked to go.
    replaced_at: Option<i64>,
    resolved: Vec<Resolved>,
}

fn judge(rows: &[Row], give_up: Option<GiveUp>, claimant: Claimant<'_>, db_time: DbTime) -> Judged {
    let request = claimant.request;
    let bounds = &request.bounds;
    let holds_it = |row: &Row| is_mine(row, claimant) && row.ended_at.is_none();
    if rows.iter().any(|row| holds_it(row) && row.lease_until > db_time.now) {
        return Judged { refusal: None, is_news: false, resolved: Vec::new() };
    }
    let Restarts { accepted, blocked_until, replaced_at, resolved } = restarts(rows, claimant, db_time.now);
    let is_news = !request.is_forced
        && accepted
            .first()
            .is_some_and(|(at, row)| row.is_news_to(request.last, *at, (claimant.holder, db_time)));
    let last = if request.is_forced { replaced_at } else { accepted.iter().map(|(at, _)| *at).max() };
    let is_of_release = |row: &Row| {
        row.release.is_none() || release_of(&request.seen).is_none_or(|release| row.release == Some(release))
    };
    let counted = accepted.iter().filter(|(_, row)| !request.is_forced && is_of_release(row));
    // A person's word starts the counts again.
    let counted = counted.take_while(|(_, row)| !row.is_forced);
    let is_useless = |row: &Row| row.result.as_deref() == Some("no_help");
    let has_happened = |row: &Row| row.result.as_deref() != Some("ignored");
    // The newest may not be judged yet: with preboot, that takes until the old process is surely gone.
    let is_open = |at: i64, row: &Row| {
        let back_at = row.ended_at.unwrap_or(at.saturating_add(span_micros(bounds.boot_timeout)));
        let judged_after = limits::PREBOOT_UPTIME_MIN + limits::EVIDENCE_AGE_MAX;
        back_at.saturating_add(span_micros(judged_after)) > db_time.now
    };
    let happened = counted.clone().filter(|(_, row)| has_happened(row));
    let judged = happened.skip_while(|(at, row)| is_open(*at, row) && !is_useless(row));
    // A give-up that is over takes the place of the doubled cool-down.
    let had_give_up = give_up.is_some_and(|give_up| give_up.until <= db_time.now);
    let useless = if had_give_up { 0 } else { judged.take_while(|(_, row)| is_useless(row)).count() };
    let given_up = give_up.filter(|give_up| !request.is_forced && !is_over(give_up, &request.seen));
    let counted: Vec<SignedDuration> = counted.map(|(at, _)| SignedDuration::from_micros(*at)).collect();
    let out = out_in_formation(rows, claimant, db_time.now);
    let history = History {
        accepted: &counted,
        claimed_until: blocked_until.map(SignedDuration::from_micros),
        cooling_from: last.map(SignedDuration::from_micros),
        useless: u32::try_from(useless).unwrap_or(u32::MAX),
        given_up_until: given_up
            .filter(|give_up| give_up.until > db_time.now)
            .map(|give_up| SignedDuration::from_micros(give_up.until)),
        others_out: out.len(),
    };
    let now = SignedDuration::from_micros(db_time.now);
    let at = |until: SignedDuration| {
        db_time.as_seen_by_caller(i64::try_from(until.as_micros()).unwrap_or(i64::MAX))
    };
    let refusal = match (verdict(&history, bounds, now), out.first()) {
        (Ok(()), _) => None,
        (Err(Refusal::MaxRestarts { until }), _) => Some(ClaimRefusal::MaxRestarts { until: at(until) }),
        (Err(Refusal::FormationOut), Some(dyno)) => {
            let dyno = dyno.parse().unwrap_or_else(|_| request.seen.name.clone());
            Some(ClaimRefusal::FormationOut { dyno })
        }
        (Err(_), _) => {
            let until = earliest(&history, bounds, now).unwrap_or(now);
            Some(ClaimRefusal::Elsewhere { until: at(until), restarts: Vec::new() })
        }
    };
    Judged { refusal, is_news, resolved }
}

fn is_mine(row: &Row, claimant: Claimant<'_>) -> bool {
    row.holder == claimant.holder && row.attempt_id == attempt_number(claimant.request.attempt_id)
}

fn restarts<'r>(rows: &'r [Row], claimant: Claimant<'_>, now: i64) -> Restarts<'r> {
    let Claimant { holder, request, .. } = claimant;
    let dyno = request.seen.name.to_string();
    let (created_at, updated_at) = (micros(request.seen.created_at), micros(request.seen.updated_at));
    // As `DynoInfo::is_same_process`.
    let is_same_process = |row: &Row| {
        let knows_change = row.updated_at > row.created_at && updated_at > created_at;
        let is_changed = knows_change && row.updated_at != updated_at;
        row.instance == request.seen.id.as_str() && row.created_at == created_at && !is_changed
    };
    let mut found = Restarts::default();
    for row in rows.iter().filter(|row| row.dyno == dyno) {
        if row.holder != holder && row.lease_until > now {
            // Another replica's claim, open or settling.
            found.blocked_until = found.blocked_until.max(Some(row.lease_until));
        }
        let mut accepted_at = row.accepted_at;
        let is_lapsed = row.ended_at.is_none() && (row.lease_until <= now || row.holder == holder);
        if is_lapsed && !is_mine(row, claimant) {
            let until = may_act_until(row, &request.bounds);
            if accepted_at.is_none() && is_same_process(row) && until > now {
                found.blocked_until = found.blocked_until.max(Some(until));
                continue;
            }
            if accepted_at.is_none() && !is_same_process(row) {
                // The instance has changed: the restart was carried out, and no replica recorded it.
                accepted_at = Some(row.claimed_at);
            }
            found.resolved.push(Resolved { attempt: row.attempt.clone(), accepted_at });
        }
        if let Some(at) = accepted_at {
            found.accepted.push((at, row));
            if is_same_process(row) {
                found.replaced_at = found.replaced_at.max(Some(at));
            }
        }
    }
    found.accepted.sort_unstable_by_key(|(_, row)| Reverse(row.place));
    found
}

/// Until when the DELETE of a claim whose answer is unknown may be carried out.
fn may_act_until(row: &Row, bounds: &Bounds) -> i64 {
    row.claimed_at.saturating_add(span_micros(bounds.lost_answer_wait()))
}

/// A give-up holds for one release; another release ends it.
fn is_over(give_up: &GiveUp, seen: &DynoInfo) -> bool {
    let release = release_of(seen);
    give_up.release.is_some() && release.is_some() && give_up.release != release
}

/// The release of an instance, as a column value.
fn release_of(seen: &DynoInfo) -> Option<i64> {
    seen.release.and_then(|release| i64::try_from(release).ok())
}

/// The other dynos of the type that are out, sorted by name. Those of this holder that are only settling do
/// not count: its engine knows to the moment when they have settled.
fn out_in_formation<'r>(rows: &'r [Row], claimant: Claimant<'_>, now: i64) -> Vec<&'r str> {
    let ClaimRequest { seen, bounds, .. } = claimant.request;
    let dyno = seen.name.to_string();
    let may_act =
        |row: &Row| row.ended_at.is_none() && row.accepted_at.is_none() && may_act_until(row, bounds) > now;
    let mut out: Vec<&'r str> = rows
        .iter()
        .filter(|row| row.dyno != dyno && (row.lease_until > now || may_act(row)))
        .filter(|row| row.ended_at.is_none() || row.holder != claimant.holder)
        .filter(|row| !claimant.request.broken.iter().any(|broken| broken.to_string() == row.dyno))
        .map(|row| row.dyno.as_str())
        .collect();
    out.sort_unstable();
    out.dedup();
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Bounds, ClaimRequest, Claimant, DbTime, GiveUp, Judged, Resolved, Row, judge};
    use crate::store::rows::{micros, timestamp};
    use dynowarden_core::api::DynoInfo;
    use dynowarden_core::engine::claim::ClaimRefusal;
    use dynowarden_core::event::DynoState;
    use dynowarden_core::ident::AppId;
    use dynowarden_core::policy::Rate;
    use dynowarden_core::record::AttemptId;

    const NOW: i64 = 1_750_000_000_000_000;
    const DB_TIME: DbTime = DbTime { now: NOW, ahead: 0 };

    fn secs(secs: i64) -> i64 {
        secs * 1_000_000
    }

    /// An open claim on web.1 by another replica, made `ago` seconds ago, that has lapsed.
    fn lapsed(ago: i64) -> Row {
        Row {
            attempt: "dead-1".to_owned(),
            holder: "dead".to_owned(),
            attempt_id: 1,
            dyno: "web.1".to_owned(),
            instance: "i1".to_owned(),
            created_at: NOW - secs(86_400),
            updated_at: NOW - secs(86_400),
            claimed_at: NOW - secs(ago),
            lease_until: NOW - secs(ago) + secs(60),
            accepted_at: None,
            ended_at: None,
            is_forced: false,
            release: Some(7),
            result: None,
            place: 1,
        }
    }

    /// Our claim on web.1, which the API shows as `instance`.
    fn request(instance: &str, is_forced: bool) -> ClaimRequest {
        let created_at = timestamp(NOW - secs(86_400));
        ClaimRequest {
            attempt_id: AttemptId(1),
            app: AppId(0),
            seen: DynoInfo {
                name: "web.1".parse().expect("a dyno"),
                is_one_off: false,
                process_type: "web".parse().expect("a type"),
                id: instance.parse().expect("an id"),
                created_at,
                updated_at: created_at,
                state: DynoState::Up,
                release: Some(7),
            },
            is_forced,
            broken: Vec::new(),
            last: None,
            decision: None,
            bounds: Bounds {
                boot_timeout: Duration::from_secs(180),
                cooldown: Duration::from_secs(600),
                max_concurrent: 1.try_into().expect("one"),
                max_restarts: Rate { count: 3.try_into().expect("three"), per: Duration::from_secs(7200) },
                settle: Duration::from_secs(30),
            },
        }
    }

    #[track_caller]
    fn check(rows: &[Row], request: &ClaimRequest, refusal: Option<ClaimRefusal>, resolved: &[Option<i64>]) {
        let claimant = Claimant { app: "acme", holder: "us", request, decision: None };
        let Judged { refusal: found, resolved: by_rows, .. } = judge(rows, None, claimant, DB_TIME);
        assert_eq!(found, refusal);
        assert_eq!(by_rows.iter().map(|row: &Resolved| row.accepted_at).collect::<Vec<_>>(), resolved);
    }

    fn elsewhere(in_secs: i64) -> Option<ClaimRefusal> {
        Some(ClaimRefusal::Elsewhere { until: timestamp(NOW + secs(in_secs)), restarts: Vec::new() })
    }

    #[test]
    fn the_instance_shows_the_outcome_of_a_dead_replicas_claim() {
        // Another instance: the restart was carried out, and its cool-down runs from the claim.
        check(&[lapsed(100)], &request("i2", false), elsewhere(500), &[Some(NOW - secs(100))]);
        check(&[lapsed(601)], &request("i2", false), None, &[Some(NOW - secs(601))]);
        check(&[lapsed(100)], &request("i2", true), None, &[Some(NOW - secs(100))]);
        // The same: it may still be carried out, until the boot time-out is over.
        check(&[lapsed(100)], &request("i1", false), elsewhere(80), &[]);
        check(&[lapsed(100)], &request("i1", true), elsewhere(80), &[]);
        check(&[lapsed(180)], &request("i1", false), None, &[None]);
        let beside = ClaimRequest { seen: other_dyno(), ..request("i9", false) };
        let web_1 = ClaimRefusal::FormationOut { dyno: "web.1".parse().expect("a dyno") };
        check(&[lapsed(100)], &beside, Some(web_1), &[]);
        check(&[lapsed(180)], &beside, None, &[]);
        // It was recorded as accepted, whatever the API shows.
        let accepted = Row { accepted_at: Some(NOW - secs(99)), ..lapsed(100) };
        for is_forced in [false, true] {
            check(
                std::slice::from_ref(&accepted),
                &request("i1", is_forced),
                elsewhere(501),
                &[Some(NOW - secs(99))],
            );
        }
        // A presumed restart also counts for `max_restarts`.
        let rows = [7000, 6000, 5000].map(lapsed);
        let presumed = [7000, 6000, 5000].map(|ago| Some(NOW - secs(ago)));
        let used_up = Some(ClaimRefusal::MaxRestarts { until: timestamp(NOW + secs(200)) });
        check(&rows, &request("i2", false), used_up, &presumed);
        check(&rows, &request("i2", true), None, &presumed);
    }

    fn other_dyno() -> DynoInfo {
        DynoInfo { name: "web.2".parse().expect("a dyno"), ..request("i9", false).seen }
    }

    /// An accepted restart of web.1 that is over, `ago` seconds ago.
    fn ended(ago: i64, result: &str) -> Row {
        Row {
            accepted_at: Some(NOW - secs(ago)),
            ended_at: Some(NOW - secs(ago - 8)),
            lease_until: 0,
            result: Some(result.to_owned()),
            place: 10_000 - ago,
            ..lapsed(ago)
        }
    }

    #[test]
    fn restarts_that_did_not_help_double_the_cool_down() {
        let of = |rows: &[Row], refusal| check(rows, &request("i2", false), refusal, &[]);
        of(&[ended(700, "no_help")], elsewhere(500));
        of(&[ended(1900, "no_help"), ended(700, "no_help")], elsewhere(1700));
        // One that helped ends the row, and so do a release and a person's word.
        of(&[ended(1900, "no_help"), ended(700, "back")], None);
        of(&[Row { release: Some(6), ..ended(700, "no_help") }], None);
        of(&[Row { is_forced: true, ..ended(700, "no_help") }], None);
        // The newest one is not judged yet, and those before it count on.
        let bounds = Bounds { cooldown: Duration::from_secs(60), ..request("i2", false).bounds };
        let brief = ClaimRequest { bounds, ..request("i2", false) };
        let rows = [ended(1900, "no_help"), ended(100, "back")];
        check(&rows, &brief, elsewhere(20), &[]);
        check(&rows[1..], &brief, None, &[]);
        // With preboot, what came up 350 seconds ago may be judged within ten.
        let bounds = Bounds { cooldown: Duration::from_secs(300), ..request("i2", false).bounds };
        let brief = ClaimRequest { bounds, ..request("i2", false) };
        let back = |secs_ago| Row { ended_at: Some(NOW - secs(secs_ago)), ..ended(380, "back") };
        check(&[ended(1900, "no_help"), back(350)], &brief, elsewhere(220), &[]);
        check(&[ended(1900, "no_help"), back(361)], &brief, None, &[]);
        // One that was never carried out ends no row.
        of(&[ended(1900, "no_help"), ended(700, "ignored")], elsewhere(500));
    }

    #[test]
    fn a_release_clears_what_the_last_one_used_up() {
        let rows = [7000, 6000, 5000].map(|ago| Row { release: Some(6), ..ended(ago, "back") });
        check(&rows, &request("i2", false), None, &[]);
    }

    #[test]
    fn a_broken_dyno_does_not_count_as_out() {
        let broken =
            Row { dyno: "web.2".to_owned(), lease_until: NOW + 1, holder: "us".to_owned(), ..lapsed(300) };
        let asked = ClaimRequest { broken: vec!["web.2".parse().expect("a dyno")], ..request("i2", false) };
        check(std::slice::from_ref(&broken), &asked, None, &[]);
    }

    #[test]
    fn a_renewed_claim_of_another_replica_stands() {
        let living = Row { lease_until: NOW + 1, ..lapsed(3600) };
        let until = Some(ClaimRefusal::Elsewhere { until: timestamp(NOW + 1), restarts: Vec::new() });
        check(std::slice::from_ref(&living), &request("i2", true), until, &[]);
        let next_door = Row { dyno: "web.2".to_owned(), ..living.clone() };
        let out = || Some(ClaimRefusal::FormationOut { dyno: "web.2".parse().expect("a dyno") });
        check(std::slice::from_ref(&next_door), &request("i2", true), out(), &[]);
        // Settling at another replica counts; our own engine checks its own.
        let settling = Row { ended_at: Some(NOW - 1), accepted_at: Some(NOW - secs(9)), ..next_door };
        check(std::slice::from_ref(&settling), &request("i2", true), out(), &[]);
        let ours = Row { holder: "us".to_owned(), attempt_id: 2, ..settling };
        check(&[ours], &request("i2", true), None, &[]);
        // A repeated request of one attempt is the same claim.
        let same = Row { holder: "us".to_owned(), ..living };
        check(&[same], &request("i2", false), None, &[]);
    }

    #[test]
    fn a_give_up_lasts_until_another_release() {
        let request = request("i1", false);
        let claimant = Claimant { app: "acme", holder: "us", request: &request, decision: None };
        for (release, expect) in [(Some(7), elsewhere(60)), (None, elsewhere(60)), (Some(6), None)] {
            let give_up = GiveUp { until: NOW + secs(60), release };
            assert_eq!(judge(&[], Some(give_up), claimant, DB_TIME).refusal, expect, "{release:?}");
        }
        assert_eq!(micros(timestamp(NOW)), NOW);
    }
}
