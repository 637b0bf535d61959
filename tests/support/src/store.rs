//! The suite for every kind of store, and the store under test.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dynowarden::config::settings::Database;
use dynowarden::store::claims::ClaimRequest;
use dynowarden::store::error::StoreError;
use dynowarden::store::history::{Filter, Page};
use dynowarden::store::{JudgingClock, Store, StoreOptions};
use dynowarden_core::api::DynoInfo;
use dynowarden_core::codes::Code;
use dynowarden_core::days::verdict::Verdict;
use dynowarden_core::engine::RuleHit;
use dynowarden_core::engine::claim::{ClaimRefusal, KnownRestart};
use dynowarden_core::engine::restore::RestoredRestart;
use dynowarden_core::engine::restore::{PendingCause, PendingRestart, RestoredGiveUp, RestoredState};
use dynowarden_core::engine::status::PauseStatus;
use dynowarden_core::event::{DynoState, Megabytes};
use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::limits;
use dynowarden_core::policy::Rate;
use dynowarden_core::policy::verdict::Bounds;
use dynowarden_core::record::hold::Hold;
use dynowarden_core::record::usefulness::Usefulness;
use dynowarden_core::record::view::DecisionView;
use dynowarden_core::record::{
    Action, AttemptId, Decision, Evidence, Measure, MemoryAfterRestart, MemoryReading, Notice, NoticeKind,
    Outcome, Record, RestartResult, Scope,
};
use dynowarden_core::time::{earlier, later};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;

/// A place for one store, removed with it.
pub struct TestStore {
    pub database: Database,
    /// Whether its data is there again after the store was closed.
    pub outlives: bool,
    /// Whether several stores may serve from it.
    pub shared: bool,
    pub _dir: Option<tempfile::TempDir>,
}

impl TestStore {
    pub fn memory() -> Self {
        Self { database: Database::Memory, outlives: false, shared: false, _dir: None }
    }

    pub async fn open(&self) -> Store {
        self.open_with(self.options()).await
    }

    pub async fn open_with(&self, options: StoreOptions) -> Store {
        // A process that another test has just forked holds all locks until it runs its own program.
        for _ in 0..20 {
            match Store::open(&self.database, options.clone(), start()).await {
                Err(StoreError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
                opened => return opened.expect("a store"),
            }
        }
        panic!("the store stays in use")
    }

    /// The address of its database, for statements behind the store's back.
    pub fn url(&self) -> String {
        match &self.database {
            Database::Memory => panic!("nobody else reaches it"),
            Database::Postgres(url) => url.expose_secret().to_owned(),
            Database::Sqlite(path) => {
                let bytes = path.to_str().expect("UTF-8").bytes();
                let encoded: String = bytes.map(|byte| format!("%{byte:02X}")).collect();
                format!("sqlite:{}", encoded.replace("%2F", "/"))
            }
        }
    }

    pub fn options(&self) -> StoreOptions {
        let apps = ["acme", "other"].map(|app| app.parse().expect("an app"));
        StoreOptions {
            clock: JudgingClock::Caller,
            ..StoreOptions::new(apps.to_vec(), Duration::from_secs(90 * 86_400))
        }
    }
}

pub const ACME: AppId = AppId(0);
pub const OTHER: AppId = AppId(1);

pub fn start() -> Timestamp {
    "2026-03-01T00:00:00Z".parse().expect("a time")
}

pub fn at(secs: u64) -> Timestamp {
    later(start(), Duration::from_secs(secs))
}

pub fn dyno(name: &str) -> DynoName {
    name.parse().expect("a dyno")
}

pub fn bounds() -> Bounds {
    Bounds {
        boot_timeout: Duration::from_secs(180),
        cooldown: Duration::from_secs(600),
        max_concurrent: 1.try_into().expect("one"),
        max_restarts: Rate { count: NonZeroU32::new(3).expect("three"), per: Duration::from_secs(7200) },
        settle: Duration::from_secs(30),
    }
}

/// The `generation`th instance of a dyno.
pub fn seen(name: &str, generation: u64) -> DynoInfo {
    let name = dyno(name);
    let created_at = later(earlier(start(), Duration::from_secs(86_400)), Duration::from_secs(generation));
    DynoInfo {
        process_type: name.process_type().clone(),
        id: format!("{name}-{generation}").parse().expect("an id"),
        name,
        is_one_off: false,
        created_at,
        updated_at: created_at,
        state: DynoState::Up,
        release: Some(7),
    }
}

pub fn request(attempt_id: u64, name: &str, generation: u64) -> ClaimRequest {
    ClaimRequest {
        attempt_id: AttemptId(attempt_id),
        app: ACME,
        seen: seen(name, generation),
        is_forced: false,
        broken: Vec::new(),
        // This replica knows of every restart.
        last: known(at(1_000_000), None),
        decision: None,
        bounds: bounds(),
    }
}

/// A claim with the decision to be written with it.
pub fn decided_request(attempt_id: u64, name: &str, generation: u64, at: Timestamp) -> ClaimRequest {
    let decision = Box::new(restart_decision(at, name, attempt_id));
    ClaimRequest { decision: Some(decision), ..request(attempt_id, name, generation) }
}

pub fn hold(at: Timestamp, name: &str, hold: Hold) -> Record {
    Record::Decision(decision(at, name, Action::Hold(hold), None))
}

pub fn restart(at: Timestamp, name: &str, attempt_id: u64) -> Record {
    Record::Decision(restart_decision(at, name, attempt_id))
}

fn restart_decision(at: Timestamp, name: &str, attempt_id: u64) -> Decision {
    decision(at, name, Action::Restart { dry_run: false, formation: 2 }, Some(AttemptId(attempt_id)))
}

fn decision(at: Timestamp, name: &str, action: Action, attempt_id: Option<AttemptId>) -> Decision {
    Decision {
        at,
        app: ACME,
        dyno: Some(dyno(name)),
        rule: "memory-quota-exceeded".into(),
        action,
        evidence: Evidence {
            code: Some(Code::R14),
            line_at: Some(at),
            lines: 1,
            measure: Measure::Memory,
            memory: None,
            seen: Some(seen("web.1", 0)),
            asked_by: None,
        },
        attempt_id,
    }
}

pub fn outcome(at: Timestamp, name: &str, attempt_id: u64, result: RestartResult) -> Record {
    Record::Outcome(Outcome { at, app: ACME, dyno: dyno(name), attempt_id: AttemptId(attempt_id), result })
}

pub fn accepted(at: Timestamp, name: &str, attempt_id: u64) -> Record {
    outcome(at, name, attempt_id, RestartResult::Accepted { answer_lost: false })
}

pub fn back(at: Timestamp, name: &str, attempt_id: u64) -> Record {
    let id = format!("{name}-back").parse().expect("an id");
    let result = RestartResult::Back {
        id,
        release: None,
        up_since: earlier(at, Duration::from_secs(2)),
        out_for: Duration::from_millis(8250),
        late: false,
    };
    outcome(at, name, attempt_id, result)
}

async fn page(store: &Store, filter: Filter) -> Page {
    assert!(store.flush(Duration::from_secs(10)).await, "the record is written");
    store.decisions(&filter).await.expect("a page")
}

/// What a replica knows of the last restart, whose new dyno it saw up.
fn known(accepted_at: Timestamp, useless_after: Option<Duration>) -> Option<KnownRestart> {
    Some(KnownRestart { accepted_at, is_back: true, is_useless: useless_after.is_some(), useless_after })
}

async fn refused(store: &Store, request: &ClaimRequest, now: Timestamp) -> ClaimRefusal {
    store.claim(request, now).await.expect_err("a refusal")
}

fn out(name: &str) -> ClaimRefusal {
    ClaimRefusal::FormationOut { dyno: dyno(name) }
}

fn until(until: Timestamp) -> ClaimRefusal {
    ClaimRefusal::Elsewhere { until, restarts: Vec::new() }
}

// === the record ===

pub async fn history_is_read_newest_first_in_pages(test_store: TestStore) {
    let store = test_store.open().await;
    for n in 0..25 {
        let name = if n % 5 == 0 { "web.2" } else { "web.1" };
        // Alternating kinds, so that none is folded.
        let held = if n % 2 == 0 { Hold::UnderWay } else { Hold::PlatformActs };
        store.write(&hold(at(n), name, if name == "web.2" { Hold::Gone } else { held }), at(n));
    }
    let mut all = Vec::new();
    let mut filter = Filter { limit: 7, ..Filter::default() };
    loop {
        let page = page(&store, filter.clone()).await;
        assert!(page.decisions.len() <= 7);
        all.extend(page.decisions);
        let Some(next) = page.next else { break };
        // Clients see the cursor as text.
        filter.before = Some(next.to_string().parse().expect("a cursor"));
    }
    let times: Vec<Timestamp> = all.iter().map(|decision| decision.at).collect();
    assert!(times.is_sorted_by(|later, earlier| later > earlier), "{times:?}");
    let counted: u64 = all.iter().map(|decision| decision.count).sum();
    assert_eq!(counted, 25);

    let of_dyno = Filter { dyno: Some(dyno("web.2")), limit: 100, ..Filter::default() };
    let of_dyno = page(&store, of_dyno).await;
    assert_eq!((of_dyno.decisions.len(), of_dyno.decisions[0].count, of_dyno.next), (1, 5, None));
    let of_other = Filter { app: Some("other".parse().expect("an app")), limit: 100, ..Filter::default() };
    assert_eq!(page(&store, of_other).await.decisions, []);
    store.close().await;
}

pub async fn a_decision_is_read_with_the_outcome_of_its_restart(test_store: TestStore) {
    let store = test_store.open().await;
    store.claim(&request(1, "web.1", 0), at(0)).await.expect("a claim");
    store.write(&restart(at(0), "web.1", 1), at(0));
    let shown = page(&store, Filter { limit: 1, ..Filter::default() }).await;
    assert_eq!(shown.decisions[0].outcome, None);
    store.write(&accepted(at(1), "web.1", 1), at(1));
    store.write(&back(at(9), "web.1", 1), at(9));
    let shown = page(&store, Filter { limit: 1, ..Filter::default() }).await;
    let json = serde_json::to_value(&shown.decisions[0]).expect("JSON");
    assert!(json["reason"].as_str().is_some_and(|reason| reason.contains("R14")), "{json}");
    let expect = serde_json::json!({
        "at": "2026-03-01T00:00:00Z", "app": "acme", "dyno": "web.1", "rule": "memory-quota-exceeded",
        "decision": "restart", "reason": json["reason"], "code": "rule",
        "evidence": {
            "error": "R14", "line_at": "2026-03-01T00:00:00Z", "lines": 1,
            "seen": {
                "id": "web.1-0", "state": "up", "created_at": "2026-02-28T00:00:00Z",
                "updated_at": "2026-02-28T00:00:00Z", "release": 7,
            },
        },
        "count": 1, "last_at": "2026-03-01T00:00:00Z",
        "outcome": {
            "result": "back", "text": "up again after 8s", "instance": "web.1-0",
            "new_instance": "web.1-back", "out_for_seconds": 8.25,
        },
    });
    assert_eq!(json, expect);
    let memory = MemoryReading { at: at(50), used: Megabytes { hundredths: 21_240 }, permille: 414 };
    let after = MemoryAfterRestart { app: ACME, dyno: dyno("web.1"), attempt_id: AttemptId(1), memory };
    store.write(&Record::MemoryAfterRestart(after), at(50));
    let shown = page(&store, Filter { limit: 1, ..Filter::default() }).await;
    let json = serde_json::to_value(&shown.decisions[0]).expect("JSON");
    let after = serde_json::json!({"at": "2026-03-01T00:00:50Z", "used_mb": 212.4, "percent": 41.4});
    assert_eq!(json["outcome"]["memory"], after);
    let text = shown.decisions[0].to_string();
    assert!(text.ends_with("-> up again after 8s, now at 212 MB (41.4% of its quota)"), "{text}");
    store.close().await;
}

pub async fn a_decision_and_its_claim_are_one_transaction(test_store: TestStore) {
    let store = test_store.open().await;
    let rows = async || {
        let shown = page(&store, Filter { limit: 10, ..Filter::default() }).await;
        let row = |row: &DecisionView| {
            let outcome = row.outcome.as_ref().map(|outcome| outcome.result.clone().into_owned());
            (row.dyno.clone().unwrap_or_default(), row.code.clone(), row.count, outcome)
        };
        shown.decisions.iter().map(row).collect::<Vec<_>>()
    };
    let row = |dyno: &str, code: &str, outcome: Option<&str>| {
        (dyno.to_owned(), code.to_owned(), 1, outcome.map(str::to_owned))
    };
    store.write(&hold(at(0), "web.1", Hold::UnderWay), at(0));
    store.claim(&decided_request(1, "web.1", 0, at(1)), at(1)).await.expect("a claim");
    let mut expect = vec![row("web.1", "rule", None), row("web.1", "under_way", None)];
    assert_eq!(rows().await, expect);
    // On record it is the same row, and the refusal after it is a new row.
    store.write(&restart(at(1), "web.1", 1), at(1));
    store.write(&hold(at(2), "web.1", Hold::UnderWay), at(2));
    expect.insert(0, row("web.1", "under_way", None));
    assert_eq!(rows().await, expect);

    let refusal = refused(&store, &decided_request(2, "web.2", 0, at(3)), at(3)).await;
    assert_eq!(refusal, out("web.1"));
    assert_eq!(rows().await, expect, "what was not claimed was not decided");

    store.write(&accepted(at(4), "web.1", 1), at(4));
    store.write(&back(at(9), "web.1", 1), at(9));
    store.claim(&decided_request(3, "web.2", 0, at(60)), at(60)).await.expect("a claim");
    expect[1].3 = Some("back".to_owned());
    assert_eq!(rows().await[0], row("web.2", "rule", None));
    store.write(&outcome(at(61), "web.2", 3, RestartResult::Withdrawn), at(61));
    assert_eq!(rows().await, expect, "it was taken back before it was on record");

    // A retry's decision is on record, and stays there.
    store.claim(&decided_request(4, "web.3", 0, at(70)), at(70)).await.expect("a claim");
    store.write(&restart(at(70), "web.3", 4), at(70));
    store.write(&outcome(at(71), "web.3", 4, RestartResult::Withdrawn), at(71));
    expect.insert(0, row("web.3", "rule", Some("withdrawn")));
    assert_eq!(rows().await, expect);
    assert_eq!(store.health(), Default::default());
    store.close().await;
}

pub async fn repeated_holds_of_one_kind_are_one_row(test_store: TestStore) {
    let store = test_store.open().await;
    for n in 0..100 {
        store.write(&hold(at(n * 21), "web.1", Hold::UnderWay), at(n * 21));
        if n == 50 {
            // A stored row is counted on.
            assert!(store.flush(Duration::from_secs(10)).await);
        }
    }
    // A text that PostgreSQL rejects unless it is cleaned.
    let odd = Hold::Paused { until: at(9), reason: "nul \0 and \u{1f980}".into() };
    store.write(&hold(at(3000), "web.1", odd), at(3000));
    store.write(&hold(at(3001), "web.1", Hold::UnderWay), at(3001));
    let shown = page(&store, Filter { limit: 10, ..Filter::default() }).await;
    let rows: Vec<_> =
        shown.decisions.iter().map(|row| (row.code.as_str(), row.count, row.last_at)).collect();
    // Kinds that alternate have one row each.
    assert_eq!(rows, [("paused", 1, at(3000)), ("under_way", 101, at(3001))]);
    assert!(shown.decisions[0].reason.contains('\u{1f980}'));
    assert_eq!(store.health().dropped, 0);
    store.close().await;
}

pub async fn history_stays_within_its_limits(test_store: TestStore) {
    if !test_store.outlives {
        return;
    }
    let store = test_store.open().await;
    store.claim(&request(1, "web.1", 0), at(0)).await.expect("a claim");
    store.write(&restart(at(0), "web.1", 1), at(0));
    store.write(&accepted(at(0), "web.1", 1), at(0));
    store.write(&back(at(9), "web.1", 1), at(9));
    for n in 0..1500 {
        let name = format!("web.{}", n + 1);
        store.write(&hold(at(n * 100), &name, Hold::UnderWay), at(n * 100));
    }
    let notice = NoticeKind::ApiRecovered;
    store.write(
        &Record::Notice(Notice { at: at(0), scope: Scope::App(ACME), dyno: None, what: notice }),
        at(0),
    );
    store.close().await;

    // Too many rows: the oldest are deleted.
    let keep = Duration::from_secs(50_000);
    let options = StoreOptions { rows_max: 100, keep, ..test_store.options() };
    let store = Store::open(&test_store.database, options.clone(), at(150_000)).await.expect("a store");
    let all = Filter { limit: 1000, ..Filter::default() };
    until_true(async || page(&store, all.clone()).await.decisions.len() == 100).await;
    assert_eq!(page(&store, all.clone()).await.decisions[99].at, at(140_000));
    store.close().await;

    // Too old; but the restart is needed much longer. By an unconfirmed clock, nothing is too old.
    let now = at(145_000 + keep.as_secs() - 50);
    let store = Store::open(&test_store.database, options, now).await.expect("a store");
    store.past(Duration::from_secs(60), now).await.expect("a past");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(page(&store, all.clone()).await.decisions.len(), 100);
    store.confirm_clock(now);
    until_true(async || page(&store, all.clone()).await.decisions.len() == 50).await;
    let past = store.past(Duration::from_secs(30 * 86_400), now).await.expect("a past");
    assert_eq!(past.restarts.len(), 1);
    store.close().await;
}

async fn until_true(is_true: impl AsyncFn() -> bool) {
    let all = async {
        while !is_true().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("it becomes true in time");
}

// === claims ===

pub async fn a_claim_within_the_cool_down_is_rejected(test_store: TestStore) {
    let store = test_store.open().await;
    store.claim(&request(1, "web.1", 0), at(0)).await.expect("a claim");
    // A retry of the same attempt is the same claim.
    store.claim(&request(1, "web.1", 0), at(3)).await.expect("the same claim");
    store.write(&accepted(at(5), "web.1", 1), at(5));
    store.write(&back(at(12), "web.1", 1), at(12));
    assert_eq!(refused(&store, &request(2, "web.1", 1), at(604)).await, until(at(605)));
    // A forced restart passes the cool-down, but not for the very instance that was replaced.
    let forced = ClaimRequest { is_forced: true, ..request(3, "web.1", 0) };
    assert_eq!(refused(&store, &forced, at(604)).await, until(at(605)));
    // Another app's dyno of the same name is another dyno.
    let of_other = ClaimRequest { app: OTHER, ..request(4, "web.1", 0) };
    store.claim(&of_other, at(604)).await.expect("a claim");
    store.claim(&request(5, "web.1", 1), at(605)).await.expect("a claim");
    store.close().await;
}

pub async fn a_forced_restart_passes_max_restarts_and_does_not_count(test_store: TestStore) {
    let store = test_store.open().await;
    let restart = async |attempt_id: u64, is_forced: bool, now: Timestamp| {
        let asked = ClaimRequest { is_forced, ..request(attempt_id, "web.1", attempt_id) };
        store.claim(&asked, now).await.expect("a claim");
        store.write(&accepted(now, "web.1", attempt_id), now);
        store.write(&back(now, "web.1", attempt_id), now);
    };
    for attempt_id in 0..3 {
        restart(attempt_id, false, at(attempt_id * 600)).await;
    }
    let refusal = ClaimRefusal::MaxRestarts { until: at(7200) };
    assert_eq!(refused(&store, &request(3, "web.1", 3), at(1900)).await, refusal);
    restart(4, true, at(1900)).await;
    // It starts the counts again.
    assert_eq!(refused(&store, &request(5, "web.1", 5), at(2400)).await, until(at(2500)));
    restart(6, false, at(2500)).await;
    store.close().await;
}

pub async fn rejected_restarts_do_not_count_towards_limits(test_store: TestStore) {
    let store = test_store.open().await;
    for (attempt_id, result) in
        [RestartResult::Gone, RestartResult::Unanswered { tries: 3 }].into_iter().enumerate()
    {
        let attempt_id = attempt_id as u64;
        store.claim(&request(attempt_id, "web.1", 0), at(attempt_id)).await.expect("a claim");
        store.write(&outcome(at(attempt_id), "web.1", attempt_id, result), at(attempt_id));
    }
    // The place is free at once for others, and the same attempt may come again.
    let refusal = dynowarden_core::api::ApiError::Throttled { wait: None };
    store.claim(&request(5, "web.1", 0), at(10)).await.expect("a claim");
    store.write(&outcome(at(11), "web.1", 5, RestartResult::Refused(refusal)), at(11));
    store.claim(&request(6, "web.2", 0), at(12)).await.expect("a claim");
    assert_eq!(refused(&store, &request(5, "web.1", 0), at(12)).await, out("web.2"));
    store.write(&outcome(at(13), "web.2", 6, RestartResult::Gone), at(13));
    store.claim(&request(5, "web.1", 0), at(14)).await.expect("a claim");
    store.close().await;
}

pub async fn no_more_than_max_concurrent_dynos_are_out(test_store: TestStore) {
    let store = test_store.open().await;
    let two = Bounds { max_concurrent: 2.try_into().expect("two"), ..bounds() };
    let ask = |attempt_id: u64, name: &str| ClaimRequest { bounds: two, ..request(attempt_id, name, 0) };
    store.claim(&ask(1, "web.1"), at(0)).await.expect("a claim");
    store.claim(&ask(2, "web.2"), at(0)).await.expect("a claim");
    assert_eq!(refused(&store, &ask(3, "web.3"), at(1)).await, out("web.1"));
    let worker = ClaimRequest { bounds: two, ..request(4, "worker.1", 0) };
    store.claim(&worker, at(1)).await.expect("another process type");
    // Renewed, it stands. Otherwise it lapses, but its DELETE may be carried out until the boot time-out.
    for secs in [40, 80, 120, 160] {
        store.renew(&[AttemptId(1), AttemptId(9)], at(secs)).await.expect("renewed");
    }
    assert_eq!(refused(&store, &ask(3, "web.3"), at(179)).await, out("web.1"));
    store.claim(&ask(3, "web.3"), at(180)).await.expect("one has lapsed");
    assert_eq!(refused(&store, &ask(5, "web.5"), at(219)).await, out("web.1"));
    store.close().await;
}

// === what outlives a process ===

pub async fn restored_state_has_what_the_promises_need(test_store: TestStore) {
    let store = test_store.open().await;
    store.claim(&request(1, "web.1", 0), at(0)).await.expect("a claim");
    store.write(&accepted(at(1), "web.1", 1), at(1));
    store.write(&back(at(9), "web.1", 1), at(9));
    store.claim(&request(2, "web.6", 0), at(40)).await.expect("a claim");
    store.write(&accepted(at(41), "web.6", 2), at(41));
    let waited = Duration::from_secs(180);
    store.write(&outcome(at(90), "web.6", 2, RestartResult::Ignored { waited }), at(90));
    let given_up = |at: Timestamp, name: &str, until: Timestamp| {
        let what =
            NoticeKind::GaveUp { useless: 3, until, release: Some(7), times: 2, verdict: Verdict::Unknown };
        Record::Notice(Notice { at, scope: Scope::App(ACME), dyno: Some(dyno(name)), what })
    };
    store.write(&given_up(at(20), "web.2", at(21_600)), at(20));
    store.write(&given_up(at(20), "web.3", at(50)), at(20));
    let waiting = PendingRestart {
        app: ACME,
        dyno: dyno("web.4"),
        cause: PendingCause::Rule { rule: "r14".into(), code: Some(Code::R14), lines: 1, error_at: at(30) },
    };
    let asked = PendingRestart {
        dyno: dyno("web.5"),
        cause: PendingCause::Manual { forced: true },
        ..waiting.clone()
    };
    store.write_pending(asked.clone());
    store.write_pending(waiting.clone());
    store.set_pause(Some(OTHER), &pause(500, "a sale")).await.expect("a pause");
    store.set_pause(None, &pause(400, "a move")).await.expect("a pause");
    store.set_pause(Some(ACME), &pause(60, "over")).await.expect("a pause");
    assert!(store.flush(Duration::from_secs(10)).await);
    let store = if test_store.outlives {
        store.close().await;
        test_store.open().await
    } else {
        store
    };
    store.confirm_clock(at(100));
    let past = store.past(Duration::from_secs(7200), at(100)).await.expect("a past");
    let RestoredState { claims, given_up, pauses, restarts, pending } = &past;
    let mut sorted = pending.clone();
    sorted.sort_by(|one, other| one.dyno.cmp(&other.dyno));
    assert_eq!(sorted, [waiting, asked]);
    // One process takes it up.
    assert_eq!(store.past(Duration::from_secs(7200), at(100)).await.expect("a past").pending, []);
    assert_eq!(claims, &[]);
    let restarts: Vec<_> = restarts
        .iter()
        .map(|it| (it.app, it.dyno.to_string(), it.accepted_at, it.back_at, it.usefulness))
        .collect();
    let expect = [
        // By Heroku's clock, not when it was seen.
        (ACME, "web.1".to_owned(), at(1), Some(at(7)), Usefulness::Unknown),
        (ACME, "web.6".to_owned(), at(41), None, Usefulness::NeverHappened),
    ];
    assert_eq!(restarts, expect);
    let shown = |given_up: &[RestoredGiveUp]| -> Vec<_> {
        given_up.iter().map(|it| (it.dyno.to_string(), it.at, it.until, it.release)).collect()
    };
    let in_force = ("web.2".to_owned(), at(20), at(21_600), Some(7));
    let over = ("web.3".to_owned(), at(20), at(50), Some(7));
    assert_eq!(shown(given_up), [in_force.clone(), over]);
    let lately = store.past(Duration::from_secs(30), at(100)).await.expect("a past");
    assert_eq!((shown(&lately.given_up), lately.restarts), (vec![in_force], vec![]));
    let shown: Vec<_> = pauses.iter().map(|it| (it.app, it.until, &*it.reason, it.by.as_deref())).collect();
    let by = Some(PAUSED_BY);
    assert_eq!(shown, [(None, at(400), "a move", by), (Some(OTHER), at(500), "a sale", by)]);
    store.clear_pause(Some(OTHER)).await.expect("no pause");
    assert_eq!(store.pauses(at(100)).await.expect("pauses").len(), 1);
    store.clear_pause(None).await.expect("no pause");
    assert_eq!(store.pauses(at(100)).await.expect("pauses"), []);
    // A given-up dyno is refused to all replicas, until there is another release.
    assert_eq!(refused(&store, &request(9, "web.2", 1), at(100)).await, until(at(21_600)));
    let mut released = request(10, "web.2", 1);
    released.seen.release = Some(8);
    store.claim(&released, at(100)).await.expect("another release is another chance");
    store.close().await;
}

/// Who asks for the pauses.
const PAUSED_BY: &str = "by \"ann\" from 203.0.113.9 through the API";

fn pause(until: u64, reason: &str) -> PauseStatus {
    PauseStatus { until: at(until), reason: reason.into(), by: Some(PAUSED_BY.into()) }
}

/// Whatever a replica's engine knows, the claim's transaction sees the pause.
pub async fn a_pause_refuses_claims_from_the_moment_it_is_answered(test_store: TestStore) {
    let store = test_store.open().await;
    store.set_pause(Some(ACME), &pause(500, "a sale")).await.expect("a pause");
    let paused = |until, reason: &str| ClaimRefusal::Paused { until: at(until), reason: reason.into() };
    assert_eq!(refused(&store, &request(1, "web.1", 0), at(499)).await, paused(500, "a sale"));
    store.set_pause(None, &pause(600, "a move")).await.expect("a pause");
    assert_eq!(refused(&store, &request(1, "web.1", 0), at(499)).await, paused(600, "a move"));
    store.clear_pause(None).await.expect("no pause");
    store.claim(&request(1, "web.1", 0), at(499)).await.expect("nothing is in the way");
    // A repeated claim of the same attempt is not exempt.
    store.set_pause(Some(OTHER), &pause(700, "elsewhere")).await.expect("a pause");
    store.claim(&request(1, "web.1", 0), at(500)).await.expect("another app is paused");
    store.set_pause(Some(ACME), &pause(700, "again")).await.expect("a pause");
    assert_eq!(refused(&store, &request(1, "web.1", 0), at(501)).await, paused(700, "again"));
    store.close().await;
}

/// A clock in local time makes a pause of an hour seem over at startup.
pub async fn a_pause_outlives_a_clock_that_jumps_at_startup(test_store: TestStore) {
    // A server's own clock judges pauses.
    if !test_store.outlives || test_store.shared {
        return;
    }
    let store = test_store.open().await;
    store.set_pause(Some(ACME), &pause(3600, "a sale")).await.expect("a pause");
    store.close().await;
    let wrong = at(5 * 3600);
    let store = Store::open(&test_store.database, test_store.options(), wrong).await.expect("a store");
    let past = store.past(Duration::from_secs(7200), wrong).await.expect("a past");
    let shown = past.pauses.first().expect("it holds");
    assert_eq!((shown.app, shown.until > wrong, &*shown.reason), (Some(ACME), true, "a sale"));
    // The clock is right: it is really over.
    store.confirm_clock(wrong);
    assert_eq!(store.pauses(wrong).await.expect("pauses"), []);
    store.close().await;
}

/// Another app that takes over the name never replaces the first id.
pub async fn the_first_id_of_an_app_is_kept(test_store: TestStore) {
    let store = test_store.open().await;
    let name = |text: &str| text.parse().expect("a name");
    assert_eq!(store.keep_app_id(&name("acme"), &name("id-1")).await, Ok(name("id-1")));
    assert_eq!(store.keep_app_id(&name("acme"), &name("id-2")).await, Ok(name("id-1")));
    assert_eq!(store.app_ids().await, Ok(vec![(name("acme"), name("id-1"))]));
    store.close().await;
}

pub async fn the_next_process_takes_over_the_claims_of_a_dead_one(test_store: TestStore) {
    if !test_store.outlives {
        return;
    }
    let store = test_store.open().await;
    store.claim(&request(7, "web.1", 0), at(0)).await.expect("a claim");
    store.write(&restart(at(0), "web.1", 7), at(0));
    store.claim(&request(8, "worker.1", 0), at(0)).await.expect("a claim");
    store.write(&accepted(at(1), "worker.1", 8), at(1));
    store.close().await;

    let store = test_store.open().await;
    // On a server another replica may still hold it; on a file none can.
    let lapsed = limits::CLAIM_LEASE.as_secs();
    if test_store.shared {
        let past = store.past(Duration::from_secs(7200), at(lapsed - 1)).await.expect("a past");
        assert_eq!((past.claims.len(), past.restarts.len()), (0, 1));
    }
    let now = at(if test_store.shared { lapsed } else { 2 });
    let past = store.past(Duration::from_secs(7200), now).await.expect("a past");
    let mut claims: Vec<_> =
        past.claims.iter().map(|claim| (claim.target.clone(), claim.rule.to_string())).collect();
    claims.sort_by_key(|(target, _)| target.name.clone());
    let expect =
        [(seen("web.1", 0), "memory-quota-exceeded".to_owned()), (seen("worker.1", 0), "unknown".to_owned())];
    assert_eq!(claims, expect);
    // The accepted one comes with its claim as well, so that its cool-down runs from the acceptance.
    let accepted_at: Vec<_> = past.claims.iter().filter_map(|claim| claim.accepted_at).collect();
    assert_eq!(accepted_at, [at(1)]);
    assert_eq!(past.restarts.iter().map(|it| it.accepted_at).collect::<Vec<_>>(), [at(1)]);
    // This process holds it now and records its outcome; the old decision shows that.
    let attempt_id =
        |name: &str| past.claims.iter().find(|it| it.target.name == dyno(name)).expect(name).attempt_id.0;
    store.write(&accepted(now, "web.1", attempt_id("web.1")), now);
    store.write(&back(now, "web.1", attempt_id("web.1")), now);
    store.write(&outcome(now, "worker.1", attempt_id("worker.1"), RestartResult::Gone), now);
    let shown = page(&store, Filter { limit: 1, ..Filter::default() }).await;
    assert_eq!(shown.decisions[0].outcome.as_ref().expect("an outcome").result, "back");
    let again = store.past(Duration::from_secs(7200), now).await.expect("a past");
    assert_eq!((again.claims.len(), again.restarts.len()), (0, 2));
    store.close().await;
}

/// A kill right after a claim loses what was to be written before it.
pub async fn a_claim_keeps_that_the_last_restart_did_not_help(test_store: TestStore) {
    if !test_store.outlives {
        return;
    }
    let store = test_store.open().await;
    store.claim(&request(1, "web.1", 0), at(0)).await.expect("a claim");
    store.write(&accepted(at(1), "web.1", 1), at(1));
    store.write(&back(at(9), "web.1", 1), at(9));
    assert!(store.flush(Duration::from_secs(10)).await, "the record is written");
    let after = Duration::from_secs(20);
    let by = |accepted_at| known(accepted_at, Some(after));
    let again = ClaimRequest { last: by(at(1)), ..request(2, "web.1", 1) };
    refused(&store, &again, at(10)).await;
    let found = async |store: &Store| {
        let past = store.past(Duration::from_secs(7200), at(1300)).await.expect("a past");
        past.restarts.iter().map(|it| it.usefulness).collect::<Vec<_>>()
    };
    assert_eq!(found(&store).await, [Usefulness::Unknown]);
    // A replica has restarted it since.
    let older = ClaimRequest { last: by(earlier(at(1), Duration::from_secs(900))), ..again.clone() };
    store.claim(&older, at(1300)).await.expect("a claim");
    assert_eq!(found(&store).await, [Usefulness::Unknown]);
    // The same attempt again, as after a claim without an answer.
    store.claim(&again, at(1300)).await.expect("a claim");
    store.close().await;
    let store = test_store.open().await;
    assert_eq!(found(&store).await, [Usefulness::Useless]);
    store.close().await;
}

/// The clock was set back between two restarts.
pub async fn restarts_come_in_the_order_of_their_claims(test_store: TestStore) {
    let store = test_store.open().await;
    for (attempt_id, secs) in [(1, 5000), (2, 0)] {
        let claim = ClaimRequest { is_forced: true, ..request(attempt_id, "web.1", attempt_id) };
        store.claim(&claim, at(secs)).await.expect("a claim");
        store.write(&accepted(at(secs + 1), "web.1", attempt_id), at(secs + 1));
        store.write(&back(at(secs + 9), "web.1", attempt_id), at(secs + 9));
        assert!(store.flush(Duration::from_secs(10)).await, "the record is written");
    }
    let no_help = RestartResult::NoHelp { after: Duration::from_secs(20) };
    store.write(&outcome(at(30), "web.1", 2, no_help), at(30));
    assert!(store.flush(Duration::from_secs(10)).await, "the record is written");
    let past = store.past(Duration::from_secs(7200), at(60)).await.expect("a past");
    let found: Vec<_> = past.restarts.iter().map(|it| (it.accepted_at, it.usefulness)).collect();
    // The database's clock, if it has one, was not set.
    let first = if test_store.shared { found[0].0 } else { at(5001) };
    assert_eq!(found[0], (first, Usefulness::Unknown));
    assert_eq!(found[1].1, Usefulness::Useless);
    // A process that took up the claim saw the dyno up only now.
    store.write(&back(at(61), "web.1", 2), at(61));
    assert!(store.flush(Duration::from_secs(10)).await, "the record is written");
    let past = store.past(Duration::from_secs(7200), at(62)).await.expect("a past");
    assert_eq!(past.restarts[1].usefulness, Usefulness::Useless);
    store.close().await;
}

/// The restart of a replica has to be judged by the next one that wants to restart the dyno.
pub async fn a_restart_of_a_replica_is_news_once(test_store: TestStore) {
    if !test_store.shared {
        return;
    }
    let (first, second) = (test_store.open().await, test_store.open().await);
    let action = Action::Restart { dry_run: false, formation: 1 };
    let decision = decision(at(0), "web.1", action, Some(AttemptId(1)));
    let rule = Arc::clone(&decision.rule);
    let claim = ClaimRequest { decision: Some(Box::new(decision.clone())), ..request(1, "web.1", 0) };
    first.claim(&claim, at(0)).await.expect("a claim");
    first.write(&Record::Decision(decision), at(0));
    first.write(&accepted(at(1), "web.1", 1), at(1));
    first.write(&back(at(9), "web.1", 1), at(9));
    assert!(first.flush(Duration::from_secs(10)).await, "the record is written");
    let unaware = ClaimRequest { last: None, ..request(1, "web.1", 1) };
    // Within the cool-down, and after it.
    for (now, expect) in [(at(100), at(601)), (at(700), at(700))] {
        let ClaimRefusal::Elsewhere { until, restarts } = refused(&second, &unaware, now).await else {
            panic!("not refused for the restart at {now}");
        };
        let facts = |it: &RestoredRestart| (it.accepted_at, it.rule.as_ref() == Some(&rule), it.usefulness);
        let facts: Vec<_> = restarts.iter().map(facts).collect();
        assert_eq!((until, facts), (expect, vec![(at(1), true, Usefulness::Unknown)]));
    }
    // Its own restart is no news, and neither is a person's word.
    let own = ClaimRequest { last: None, ..request(2, "web.1", 1) };
    first.claim(&own, at(700)).await.expect("a claim");
    first.write(&outcome(at(701), "web.1", 2, RestartResult::Withdrawn), at(701));
    assert!(first.flush(Duration::from_secs(10)).await, "the record is written");
    let booting = known(at(1), None).map(|known| KnownRestart { is_back: false, ..known });
    for (last, is_news) in [(booting, true), (known(at(1), None), false)] {
        let claim = ClaimRequest { last, ..request(2, "web.1", 1) };
        assert_eq!(second.claim(&claim, at(702)).await.is_err(), is_news, "{last:?}");
    }
    first.close().await;
    second.close().await;
}

pub async fn hits_of_all_replicas_are_counted_together(test_store: TestStore) {
    let store = test_store.open().await;
    let name = dyno("web.1");
    let hit = |secs: u64| RuleHit {
        app: ACME,
        dyno: name.clone(),
        code: Code::R14,
        rule: "r".into(),
        at: at(secs),
        within: Duration::from_secs(100),
    };
    assert_eq!(store.share_hit(&hit(50)).await.expect("hits"), [at(50)]);
    assert_eq!(store.share_hit(&hit(50)).await.expect("hits"), [at(50)]);
    assert_eq!(store.share_hit(&hit(10)).await.expect("hits"), [at(10), at(50)]);
    assert_eq!(store.share_hit(&hit(111)).await.expect("hits"), [at(50), at(111)]);
    // One that is too old next to the others does not count, and does not remove them.
    assert_eq!(store.share_hit(&hit(5)).await.expect("hits"), [at(50), at(111)]);
    // A restart resets the count.
    store.claim(&request(1, "web.1", 0), at(112)).await.expect("a claim");
    store.write(&accepted(at(113), "web.1", 1), at(113));
    assert!(store.flush(Duration::from_secs(10)).await);
    assert_eq!(store.share_hit(&hit(120)).await.expect("hits"), [at(120)]);
    store.close().await;
}

// === against a model ===

/// One step in the life of several replicas.
#[derive(Clone, Debug)]
pub enum Step {
    /// A replica claims a dyno and, if granted, restarts it, with the outcome `end`.
    Attempt {
        replica: usize,
        dyno: usize,
        is_forced: bool,
        end: End,
    },
    Wait {
        secs: u64,
    },
    /// A replica renews its claims.
    Renew {
        replica: usize,
    },
    /// A replica's booting dynos come up.
    Boot {
        replica: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// Accepted, and awaited.
    Accepted,
    /// The process dies before it sends the DELETE.
    DiesBefore,
    /// The process dies after it has sent the DELETE, without recording it.
    DiesAfter,
    /// The API refuses.
    Refused,
}

/// Runs the steps on real stores, and checks the simulated dynos against the promises.
pub struct Life {
    test_store: TestStore,
    /// The number of instances of each dyno.
    generations: [u64; DYNOS],
    now: u64,
    /// Each replica's claims: attempt id, dyno, whether the dyno was restarted.
    open: Vec<HashMap<u64, usize>>,
    replicas: Vec<Store>,
    /// The real restarts of each dyno, and whether each was manual.
    restarted: [Vec<(u64, bool)>; DYNOS],
    attempt_ids: u64,
    pub grants: usize,
}

pub const DYNOS: usize = 2;

impl Life {
    pub async fn begin(test_store: TestStore, replicas: usize) -> Self {
        let mut stores = Vec::new();
        for _ in 0..replicas {
            stores.push(test_store.open().await);
        }
        Self {
            test_store,
            generations: [0; DYNOS],
            now: 0,
            open: vec![HashMap::new(); replicas],
            replicas: stores,
            restarted: Default::default(),
            attempt_ids: 0,
            grants: 0,
        }
    }

    pub async fn step(&mut self, step: &Step) {
        match step {
            Step::Attempt { replica, dyno, is_forced, end } => {
                let replica = replica % self.replicas.len();
                if !self.open[replica].values().any(|open| open == dyno) {
                    self.attempt(replica, *dyno, (*is_forced, *end)).await;
                }
            }
            Step::Wait { secs } => {
                // Living replicas renew every third of the lease, so none of their claims lapses.
                let mut left = *secs;
                while left > 0 {
                    let some = left.min(limits::CLAIM_RENEW_EVERY.as_secs());
                    left -= some;
                    self.now += some;
                    for replica in 0..self.replicas.len() {
                        self.renew(replica).await;
                    }
                }
            }
            Step::Renew { replica } => self.renew(replica % self.replicas.len()).await,
            Step::Boot { replica } => {
                let replica = replica % self.replicas.len();
                for (attempt_id, dyno) in std::mem::take(&mut self.open[replica]) {
                    let record = back(at(self.now), &Self::name(dyno), attempt_id);
                    self.replicas[replica].write(&record, at(self.now));
                }
                assert!(self.replicas[replica].flush(Duration::from_secs(10)).await);
            }
        }
    }

    fn name(dyno: usize) -> String {
        format!("web.{}", dyno + 1)
    }

    async fn renew(&self, replica: usize) {
        let attempt_ids: Vec<AttemptId> =
            self.open[replica].keys().map(|attempt_id| AttemptId(*attempt_id)).collect();
        self.replicas[replica].renew(&attempt_ids, at(self.now)).await.expect("renewed");
    }

    async fn attempt(&mut self, replica: usize, dyno: usize, (is_forced, end): (bool, End)) {
        self.attempt_ids += 1;
        let attempt_id = 1000 + self.attempt_ids;
        let name = Self::name(dyno);
        let asked = ClaimRequest { is_forced, ..request(attempt_id, &name, self.generations[dyno]) };
        if self.replicas[replica].claim(&asked, at(self.now)).await.is_err() {
            return;
        }
        self.grants += 1;
        let others: usize =
            self.open.iter().flat_map(HashMap::values).filter(|other| **other != dyno).count();
        assert!(others < bounds().max_concurrent.get() as usize, "too many are out: {:?}", self.open);
        assert!(
            !self.open.iter().any(|open| open.values().any(|other| *other == dyno)),
            "{name} is claimed twice: {:?}",
            self.open
        );
        match end {
            End::Accepted => {
                self.really_restart(dyno, is_forced);
                let record = accepted(at(self.now), &name, attempt_id);
                self.replicas[replica].write(&record, at(self.now));
                assert!(self.replicas[replica].flush(Duration::from_secs(10)).await);
                self.open[replica].insert(attempt_id, dyno);
            }
            End::DiesBefore => self.die(replica).await,
            End::DiesAfter => {
                self.really_restart(dyno, is_forced);
                self.die(replica).await;
            }
            End::Refused => {
                let result = RestartResult::Refused(dynowarden_core::api::ApiError::NoSuchApp);
                let record = outcome(at(self.now), &name, attempt_id, result);
                self.replicas[replica].write(&record, at(self.now));
                assert!(self.replicas[replica].flush(Duration::from_secs(10)).await);
            }
        }
    }

    fn really_restart(&mut self, dyno: usize, is_forced: bool) {
        let (now, bounds) = (self.now, bounds());
        let name = Self::name(dyno);
        let before = &self.restarted[dyno];
        if let Some((last, _)) = before.last() {
            assert!(
                is_forced || now - last >= bounds.cooldown.as_secs(),
                "{name}: restarted at {last} and at {now}"
            );
        }
        let rate = bounds.max_restarts;
        // A person's word does not count, and starts the counts again.
        let counted = before.iter().rev().take_while(|(_, is_forced)| !is_forced);
        let recent = counted.filter(|(at, _)| now - at < rate.per.as_secs()).count();
        assert!(
            is_forced || recent < rate.count.get() as usize,
            "{name}: past max_restarts at {now}: {before:?}"
        );
        self.restarted[dyno].push((now, is_forced));
        self.generations[dyno] += 1;
    }

    /// The process is gone; another one starts in its place and reads its state.
    async fn die(&mut self, replica: usize) {
        self.open[replica].clear();
        let heir = if self.test_store.shared {
            let heir = self.test_store.open().await;
            std::mem::replace(&mut self.replicas[replica], heir).close().await;
            self.replicas[replica].clone()
        } else {
            let dead = self.replicas.remove(replica);
            dead.close().await;
            let heir = self.test_store.open().await;
            self.replicas.insert(replica, heir.clone());
            heir
        };
        let past = heir.past(bounds().max_restarts.per, at(self.now)).await.expect("a past");
        for claim in past.claims {
            let dyno = claim.target.name.index() as usize - 1;
            let (name, attempt_id) = (Self::name(dyno), claim.attempt_id.0);
            let is_replaced = claim.target.id.as_str() != format!("{name}-{}", self.generations[dyno]);
            if is_replaced {
                heir.write(&accepted(at(self.now), &name, attempt_id), at(self.now));
                heir.write(&back(at(self.now), &name, attempt_id), at(self.now));
            } else {
                let unanswered = RestartResult::Unanswered { tries: 1 };
                heir.write(&outcome(at(self.now), &name, attempt_id, unanswered), at(self.now));
            }
        }
        assert!(heir.flush(Duration::from_secs(10)).await);
    }

    pub async fn end(self) {
        for store in self.replicas {
            store.close().await;
        }
    }
}

pub fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    use proptest::prelude::{Just, Strategy as _, any, prop, prop_oneof};
    let end = prop_oneof![
        6 => Just(End::Accepted),
        1 => Just(End::DiesBefore),
        2 => Just(End::DiesAfter),
        1 => Just(End::Refused),
    ];
    let attempt = (0_usize..3, 0..DYNOS, prop::bool::weighted(0.2), end)
        .prop_map(|(replica, dyno, is_forced, end)| Step::Attempt { replica, dyno, is_forced, end });
    let wait =
        prop_oneof![1_u64..40, 61_u64..400, 61_u64..700, 500_u64..4000].prop_map(|secs| Step::Wait { secs });
    let step = prop_oneof![
        8 => attempt,
        4 => wait,
        1 => any::<usize>().prop_map(|replica| Step::Renew { replica }),
        4 => any::<usize>().prop_map(|replica| Step::Boot { replica }),
    ];
    prop::collection::vec(step, 1..60)
}

/// Runs random lives until `cases` of them have kept the promises.
pub fn lives_keep_the_promises(test_store: impl Fn() -> TestStore, replicas: usize, cases: u32) {
    let runtime = Arc::new(
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime"),
    );
    let config = proptest::test_runner::Config { cases, failure_persistence: None, ..Default::default() };
    let granted = std::cell::Cell::new(0);
    proptest::test_runner::TestRunner::new(config)
        .run(&steps(), |steps| {
            let test_store = test_store();
            let grants = runtime.block_on(async {
                let mut life = Life::begin(test_store, replicas).await;
                for step in &steps {
                    life.step(step).await;
                }
                let grants = life.grants;
                life.end().await;
                grants
            });
            granted.set(granted.get() + grants);
            Ok(())
        })
        .expect("the promises are kept");
    assert!(granted.get() > cases as usize, "hardly anything was granted: {}", granted.get());
}

/// A separate PostgreSQL database; the server ends with the tests, and so do its databases.
pub async fn postgres_database() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let url = std::env::var("DYNOWARDEN_TEST_POSTGRES").expect("a server: .ci/postgres run cargo test …");
    let name = format!("test_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    execute(&url, &format!("CREATE DATABASE {name}")).await;
    format!("{}/{name}", url.rsplit_once('/').expect("a path").0)
}

/// Changes a database behind the store's back.
pub async fn execute(url: &str, statement: &str) {
    use sqlx::Connection as _;
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(url).await.expect("a connection");
    let statement = sqlx::AssertSqlSafe(statement.to_owned());
    sqlx::raw_sql(statement).execute(&mut connection).await.expect("done");
    connection.close().await.expect("closed");
}

/// Reads a number from a database behind the store's back.
pub async fn number(url: &str, query: &str) -> i64 {
    use sqlx::Connection as _;
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(url).await.expect("a connection");
    let query = sqlx::AssertSqlSafe(query.to_owned());
    let number = sqlx::query_scalar(query).fetch_one(&mut connection).await.expect("a number");
    connection.close().await.expect("closed");
    number
}

/// A database that a program with six schema changes wrote opens with everything that is in it.
pub async fn the_sixth_schema_is_migrated(test_store: TestStore) {
    let url = test_store.url();
    let changes = [
        include_str!("../../../migrations/0001_record.sql"),
        include_str!("../../../migrations/0002_memory_after_restart.sql"),
        include_str!("../../../migrations/0003_names.sql"),
        include_str!("../../../migrations/0004_usefulness.sql"),
        include_str!("../../../migrations/0005_app_ids.sql"),
        include_str!("../../../migrations/0006_series.sql"),
    ];
    let version = "CREATE TABLE dynowarden_schema (version BIGINT NOT NULL); \
        INSERT INTO dynowarden_schema (version) VALUES (6);";
    execute(&url, &format!("{}{version}", changes.concat())).await;
    let (now, until) = (start().as_microsecond(), at(7200).as_microsecond());
    let hour = start().as_second() / 3600;
    // Two steps of web.1 with 7 and 9 requests, as that program packed them, under the number that it worked
    // out from the names.
    let series = 83748269793010_i64;
    let packed = if url.starts_with("sqlite") { "X'01030004070409'" } else { "'\\x01030004070409'" };
    let rows = format!(
        "INSERT INTO dynowarden_decisions VALUES ({now}, '0123456789abcdef', {now}, 'acme', 'web.1', 'r', \
            'restart', 'rule', 'x', 0, '{{}}', 'a', 1, {now}); \
        INSERT INTO dynowarden_restarts VALUES ('a', '0123456789abcdef', 1, 'acme', 'web', 'web.1', 0, 'i', \
            {now}, {now}, NULL, 1, 1, {now}, 0, {now}, {now}, 'back', 'up again', 1, 'j', NULL, NULL, NULL); \
        INSERT INTO dynowarden_give_ups VALUES ('acme', 'web.2', {now}, {until}, NULL, 2); \
        INSERT INTO dynowarden_pauses VALUES ('other', {until}, 'a sale'); \
        INSERT INTO dynowarden_app_ids VALUES ('acme', '01234567-89ab-cdef-0123-456789abcdef'); \
        INSERT INTO dynowarden_series VALUES ({series}, 'acme', 'web.1'); \
        INSERT INTO dynowarden_hours VALUES ({series}, {hour}, 5, {packed});"
    );
    execute(&url, &rows).await;

    let store = test_store.open().await;
    let page = store.decisions(&Filter { limit: 5, ..Filter::default() }).await.expect("a page");
    let outcome = page.decisions[0].outcome.as_ref().expect("the outcome of the restart");
    assert_eq!((page.decisions.len(), outcome.text.as_str()), (1, "up again"));
    let past = store.past(Duration::from_secs(7200), start()).await.expect("a past");
    // It did not note since when the new instance was up, so what is known is when it was seen.
    assert_eq!((past.restarts.len(), past.restarts[0].back_at), (1, Some(start())));
    assert_eq!(past.given_up.len(), 1);
    let pauses = store.pauses(start()).await.expect("pauses");
    assert_eq!(pauses.len(), 1);
    assert_eq!((&*pauses[0].reason, &pauses[0].by), ("a sale", &None));
    let web_1 = dyno("web.1");
    let acme = "acme".parse().expect("a name");
    let series = store.series(&acme, Some(&web_1), start()).await.expect("a series");
    let requests: Vec<u32> =
        series.dyno(&web_1).expect("a dyno").values().map(|step| step.requests).collect();
    assert_eq!(requests, [7, 9]);
    store.close().await;
    assert_eq!(number(&url, "SELECT COUNT(*) FROM dynowarden_evidence").await, 0);
    // The next start finds nothing to do.
    test_store.open().await.close().await;
}
