//! The store on a real PostgreSQL: the suite, several replicas at once, and a server that goes away.
//!
//! `.ci/postgres run cargo test --test store_postgres`

use std::collections::HashMap;
use std::env;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::store as suite;

use dynowarden::config::settings::Database;
use dynowarden::store::claims::ClaimRequest;
use dynowarden::store::history::Filter;
use dynowarden::store::read_only::ReadOnlyStore;
use dynowarden::store::{JudgingClock, Store, StoreOptions};
use dynowarden_core::codes::Code;
use dynowarden_core::engine::RuleHit;
use dynowarden_core::engine::claim::ClaimRefusal;
use dynowarden_core::policy::verdict::Bounds;
use dynowarden_core::record::AttemptId;
use dynowarden_core::record::hold::Hold;
use jiff::Timestamp;
use tokio::time::Instant;

use suite::{
    TestStore, accepted, at, back, bounds, decided_request, dyno, hold, postgres_database as database,
    request, start,
};
use support::proxy::{Mood, Proxy};

/// `postgres://USER:PASSWORD@HOST:PORT/` of the server, and the part between `//` and `/`.
fn server() -> (String, String) {
    let url = env::var("DYNOWARDEN_TEST_POSTGRES")
        .expect("these tests need a server: .ci/postgres run cargo test …");
    let authority = url.trim_start_matches("postgres://").split('/').next().expect("an authority").to_owned();
    (url, authority)
}

fn store_at(url: &str) -> TestStore {
    TestStore { database: Database::Postgres(url.into()), outlives: true, shared: true, _dir: None }
}

async fn test_store() -> TestStore {
    store_at(&database().await)
}

macro_rules! suite {
    ($($name:ident),+ $(,)?) => {
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                support::store::$name(super::test_store().await).await;
            })+
        }
    };
}

mod series {
    #[tokio::test]
    async fn parts_of_an_hour_add_up() {
        support::series::parts_of_an_hour_add_up(super::test_store().await).await;
    }

    #[tokio::test]
    async fn old_hours_are_forgotten() {
        support::series::old_hours_are_forgotten(super::test_store().await).await;
    }

    #[tokio::test]
    async fn hours_that_are_over_become_blocks() {
        support::series::hours_that_are_over_become_blocks(super::test_store().await).await;
    }

    /// The server looks every minute whether to vacuum; here it is told to every four simulated hours.
    async fn on_disk(is_bad: bool) -> (i64, f64) {
        const DYNOS: u32 = 20;
        let test_store = super::test_store().await;
        let url = test_store.url();
        let vacuum = async || {
            for table in ["dynowarden_hours", "dynowarden_blocks"] {
                support::store::execute(&url, &format!("VACUUM {table}")).await;
            }
        };
        let days = support::series::sixteen_days(&test_store, DYNOS, is_bad, vacuum).await;
        let size = |table: &str| format!("pg_total_relation_size('dynowarden_{table}')");
        let sizes = ["series", "hours", "blocks"].map(size).join(" + ");
        (support::store::number(&url, &format!("SELECT {sizes}")).await / i64::from(DYNOS), days)
    }

    #[tokio::test]
    async fn two_weeks_of_a_busy_dyno_take_at_most_64_kib() {
        let (octets, days) = on_disk(false).await;
        println!("{octets} octets, {days} days");
        assert!((20_000..=65_536).contains(&octets) && (14.0..14.7).contains(&days), "{octets}, {days} days");
    }

    #[tokio::test]
    async fn the_oldest_hours_of_a_dyno_on_bad_days_make_room() {
        let (octets, days) = on_disk(true).await;
        println!("{octets} octets, {days} days");
        assert!((20_000..=65_536).contains(&octets) && (6.0..14.0).contains(&days), "{octets}, {days} days");
    }

    #[tokio::test]
    async fn requests_by_endpoint_are_kept() {
        support::series::requests_by_endpoint_are_kept(super::test_store().await).await;
    }
}

suite! {
    a_claim_within_the_cool_down_is_rejected,
    a_claim_keeps_that_the_last_restart_did_not_help,
    a_restart_of_a_replica_is_news_once,
    restarts_come_in_the_order_of_their_claims,
    the_next_process_takes_over_the_claims_of_a_dead_one,
    a_decision_and_its_claim_are_one_transaction,
    a_pause_refuses_claims_from_the_moment_it_is_answered,
    the_first_id_of_an_app_is_kept,
    a_forced_restart_passes_max_restarts_and_does_not_count,
    hits_of_all_replicas_are_counted_together,
    no_more_than_max_concurrent_dynos_are_out,
    repeated_holds_of_one_kind_are_one_row,
    restored_state_has_what_the_promises_need,
    history_is_read_newest_first_in_pages,
    history_stays_within_its_limits,
    a_decision_is_read_with_the_outcome_of_its_restart,
    rejected_restarts_do_not_count_towards_limits,
}

#[test]
fn three_replicas_keep_the_promises_when_one_dies_at_any_moment() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    suite::lives_keep_the_promises(|| runtime.block_on(test_store()), 3, 24);
}

#[expect(clippy::disallowed_methods, reason = "the server's clock cannot be simulated")]
fn wall() -> Timestamp {
    Timestamp::now()
}

/// Options with the server's clock.
fn by_server(test_store: &TestStore) -> StoreOptions {
    StoreOptions { clock: JudgingClock::Server, ..test_store.options() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_replicas_never_exceed_max_concurrent() {
    const DYNOS: u64 = 5;
    const OUT_MAX: u32 = 2;
    let test_store = test_store().await;
    let cooldown = Duration::from_millis(40);
    let limits = Bounds {
        cooldown,
        max_concurrent: OUT_MAX.try_into().expect("not zero"),
        settle: Duration::ZERO,
        ..bounds()
    };
    let limits = Bounds {
        max_restarts: dynowarden_core::policy::Rate {
            count: 1000.try_into().expect("many"),
            ..limits.max_restarts
        },
        ..limits
    };
    // When each dyno was last accepted, as its holder saw it, and which dynos are out.
    let last: Arc<Mutex<HashMap<u64, Instant>>> = Arc::default();
    let out: Arc<Mutex<Vec<u64>>> = Arc::default();
    let granted = Arc::new(AtomicU32::new(0));
    let mut racers = Vec::new();
    for racer in 0..8_u64 {
        let store = test_store.open_with(by_server(&test_store)).await;
        let (last, out, granted) = (last.clone(), out.clone(), granted.clone());
        racers.push(tokio::spawn(async move {
            for round in 0..40_u64 {
                let dyno = (racer + round) % DYNOS;
                let (name, attempt_id) = (format!("web.{}", dyno + 1), round + 1);
                let generation = racer * 1000 + round;
                let asked = ClaimRequest { bounds: limits, ..request(attempt_id, &name, generation) };
                // On a busy machine the store is sometimes too slow, and refuses.
                if store.claim(&asked, wall()).await.is_err() {
                    continue;
                }
                granted.fetch_add(1, Ordering::Relaxed);
                {
                    let mut out = out.lock().expect("a lock");
                    assert!(!out.contains(&dyno), "{name} is in two hands");
                    out.push(dyno);
                    assert!(out.len() <= OUT_MAX as usize, "too many are out: {out:?}");
                    if let Some(before) = last.lock().expect("a lock").get(&dyno) {
                        // The server counts from when the outcome was made, up to a rounding.
                        assert!(before.elapsed() + Duration::from_millis(1) >= cooldown, "{name}: too soon");
                    }
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
                last.lock().expect("a lock").insert(dyno, Instant::now());
                out.lock().expect("a lock").retain(|other| *other != dyno);
                store.write(&accepted(wall(), &name, attempt_id), wall());
                store.write(&back(wall(), &name, attempt_id), wall());
            }
            store.close().await;
        }));
    }
    for racer in racers {
        racer.await.expect("a fair race");
    }
    assert!(granted.load(Ordering::Relaxed) >= 8, "{granted:?}");
}

/// Found by three daemons that received one line each: in separate transactions, none saw the others' lines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_counting_at_once_see_every_hit() {
    const REPLICAS: u64 = 6;
    let test_store = test_store().await;
    let mut stores = Vec::new();
    for _ in 0..REPLICAS {
        stores.push(Arc::new(test_store.open_with(by_server(&test_store)).await));
    }
    for round in 0..30 {
        let start = Arc::new(tokio::sync::Barrier::new(stores.len()));
        let count = |(replica, store): (u64, &Arc<Store>)| {
            let (store, start) = (store.clone(), start.clone());
            tokio::spawn(async move {
                let (dyno, at) = (dyno(&format!("web.{}", round + 1)), at(replica));
                let within = Duration::from_secs(100);
                let hit = RuleHit {
                    app: suite::ACME,
                    dyno: dyno.clone(),
                    code: Code::R14,
                    rule: "r".into(),
                    at,
                    within,
                };
                start.wait().await;
                store.share_hit(&hit).await.expect("hits").len() as u64
            })
        };
        let mut most = 0;
        for counted in (0..).zip(&stores).map(count).collect::<Vec<_>>() {
            most = most.max(counted.await.expect("a count"));
        }
        assert_eq!(most, REPLICAS, "in round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_can_start_at_the_same_time() {
    let test_store = Arc::new(test_store().await);
    let starts: Vec<_> = (0..6)
        .map(|_| {
            let test_store = test_store.clone();
            tokio::spawn(async move { test_store.open_with(by_server(&test_store)).await.close().await })
        })
        .collect();
    for start in starts {
        start.await.expect("a start");
    }
}

#[tokio::test]
async fn a_replica_reads_the_history_of_another() {
    let test_store = test_store().await;
    let (one, two) = (
        test_store.open_with(by_server(&test_store)).await,
        test_store.open_with(by_server(&test_store)).await,
    );
    one.claim(&request(1, "web.1", 0), wall()).await.expect("a claim");
    let until = match two.claim(&request(1, "web.1", 0), wall()).await {
        Err(ClaimRefusal::Elsewhere { until, .. }) => until,
        other => panic!("{other:?}"),
    };
    assert!(until > wall());
    // Their clocks differ by an hour, and only the server's counts.
    let wrong = dynowarden_core::time::earlier(wall(), Duration::from_secs(3600));
    assert!(matches!(two.claim(&request(1, "web.1", 0), wrong).await, Err(ClaimRefusal::Elsewhere { .. })));
    let out = ClaimRefusal::FormationOut { dyno: dyno("web.1") };
    assert_eq!(two.claim(&request(2, "web.2", 0), wrong).await, Err(out));
    one.renew(&[AttemptId(1)], wall()).await.expect("renewed");
    one.write(&hold(wall(), "web.1", Hold::UnderWay), wall());
    assert!(one.flush(Duration::from_secs(5)).await);
    let reading = ReadOnlyStore::open(&test_store.database).await.expect("a reader");
    assert_eq!(reading.decisions(&Filter::default()).await.expect("a page").decisions.len(), 1);
    reading.close().await;
    one.close().await;
    two.close().await;
}

async fn until_back(store: &Store) {
    let mut health = store.watch();
    let back = health.wait_for(Option::is_none);
    tokio::time::timeout(Duration::from_secs(20), back).await.expect("it is back").expect("a store");
}

/// The store behind a proxy that fails and recovers.
async fn goes_away(mood: Mood) {
    let url = database().await;
    let (_, authority) = server();
    let (user, address) = authority.rsplit_once('@').expect("a user");
    let proxy = Proxy::begin(vec![address.to_owned()]).await;
    let test_store = store_at(&url.replace(&authority, &format!("{user}@{}", proxy.address)));
    let store = test_store.open().await;
    store.claim(&request(1, "web.1", 0), at(0)).await.expect("a claim");

    proxy.set(mood);
    let asked = Instant::now();
    let asks = decided_request(2, "worker.1", 0, at(0));
    assert_eq!(store.claim(&asks, at(0)).await, Err(ClaimRefusal::StoreAway));
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    // From now on the failure is known, and no call waits.
    let asked = Instant::now();
    assert_eq!(store.claim(&request(3, "worker.1", 0), at(0)).await, Err(ClaimRefusal::StoreAway));
    assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
    store.write(&accepted(at(1), "web.1", 1), at(1));
    for n in 0..300 {
        let name = format!("web.{}", n % 10 + 1);
        store.write(&hold(at(n), &name, Hold::UnderWay), at(n));
    }
    let health = store.health();
    let (_, away) = health.away.expect("it is known to be away");
    assert!(away.to_string().contains(&proxy.address.to_string()), "{away}");
    let password = user.split(':').nth(1).expect("a password");
    assert!(!away.to_string().contains(password) && !away.to_string().contains("dynowarden:"), "{away}");
    // Ten rows of refusals, the outcome, and the possible remains of the claim.
    assert_eq!((health.unwritten, health.dropped), (13, 0));

    proxy.set(Mood::Passing);
    until_back(&store).await;
    assert!(store.flush(Duration::from_secs(20)).await);
    let page = store.decisions(&Filter { limit: 100, ..Filter::default() }).await.expect("a page");
    let counted: u64 = page.decisions.iter().map(|row| row.count).sum();
    assert_eq!((page.decisions.len(), counted), (10, 300));
    let cooling = store.claim(&request(4, "web.1", 1), at(100)).await;
    assert_eq!(cooling, Err(ClaimRefusal::Elsewhere { until: at(601), restarts: Vec::new() }));
    assert_eq!(store.health(), Default::default());
    store.close().await;
}

#[tokio::test]
async fn history_survives_a_cut_connection_to_the_server() {
    goes_away(Mood::Cut).await;
}

#[tokio::test]
async fn history_survives_a_server_that_stops_answering() {
    goes_away(Mood::Silent).await;
}

#[tokio::test]
async fn shutdown_is_quick_while_the_server_does_not_answer() {
    let url = database().await;
    let (_, authority) = server();
    let (user, address) = authority.rsplit_once('@').expect("a user");
    let proxy = Proxy::begin(vec![address.to_owned()]).await;
    let test_store = store_at(&url.replace(&authority, &format!("{user}@{}", proxy.address)));
    let store = test_store.open().await;
    proxy.set(Mood::Silent);
    store.write(&hold(at(0), "web.1", Hold::UnderWay), at(0));
    let asked = Instant::now();
    store.close().await;
    assert!(asked.elapsed() < Duration::from_secs(12), "{:?}", asked.elapsed());
}

async fn error(url: &str) -> String {
    let database = Database::Postgres(url.into());
    let opened = Store::open(&database, TestStore::memory().options(), start()).await;
    let error = opened.expect_err("no store").to_string();
    assert!(!error.contains("canary") && !error.contains('\n'), "{error}");
    error
}

#[tokio::test]
async fn connection_errors_contain_no_secret() {
    let (_, authority) = server();
    let (_, address) = authority.rsplit_once('@').expect("a user");
    let denied = error(&format!("postgres://dynowarden:canary@{address}/postgres")).await;
    assert!(denied.contains(address) && denied.contains("rejects the login"), "{denied}");
    let denied = error(&format!("postgres://canary:x@{address}/postgres")).await;
    assert!(denied.contains("rejects the login"), "{denied}");
    let nowhere = error(&format!("postgres://{authority}/nowhere")).await;
    assert!(nowhere.contains(address) && nowhere.contains("\"nowhere\" does not exist"), "{nowhere}");
    let closed =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let closed = error(&format!("postgres://canary:canary@{closed}/x")).await;
    assert!(closed.contains("cannot be reached") && closed.contains("refused"), "{closed}");
    for url in ["postgres://canary:canary@host:port/x", "postgres://canary:canary@host/x?sslmode=canary"] {
        assert!(error(url).await.contains("DATABASE_URL"), "{url}");
    }
    let unknown = error(&format!("postgres://dynowarden:canary@{address}/postgres?passwrod=canary")).await;
    assert!(unknown.contains("rejects the login"), "{unknown}");
}

#[tokio::test]
async fn the_sixth_schema_is_migrated() {
    suite::the_sixth_schema_is_migrated(test_store().await).await;
}

#[tokio::test]
async fn a_newer_schema_is_rejected() {
    let url = database().await;
    store_at(&url).open().await.close().await;
    suite::execute(&url, "UPDATE dynowarden_schema SET version = 1000").await;
    assert!(error(&url).await.contains("schema 1000"));
}

#[tokio::test]
async fn reading_an_empty_database_is_an_error() {
    let test_store = test_store().await;
    let missing = ReadOnlyStore::open(&test_store.database).await.expect_err("nothing there").to_string();
    assert!(missing.contains("there is no decision history yet"), "{missing}");
}
