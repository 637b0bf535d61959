//! The store on a file and in memory: the suite, and file errors.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use support::store as suite;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use dynowarden::config::settings::Database;
use dynowarden::store::Store;
use dynowarden::store::history::Filter;
use dynowarden::store::read_only::ReadOnlyStore;

use suite::{TestStore, at, hold, start};

fn sqlite() -> TestStore {
    let dir = tempfile::tempdir().expect("a directory");
    // A name that must be escaped in a URL.
    let database = Database::Sqlite(dir.path().join("the record?#%20é.db"));
    TestStore { database, outlives: true, shared: false, _dir: Some(dir) }
}

/// Runs the suite in memory and on a file.
macro_rules! suite {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                support::store::$name(super::TestStore::memory()).await;
            })+
        }
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                support::store::$name(super::sqlite()).await;
            })+
        }
    };
}

suite! {
    a_claim_within_the_cool_down_is_rejected,
    a_claim_keeps_that_the_last_restart_did_not_help,
    a_restart_of_a_replica_is_news_once,
    restarts_come_in_the_order_of_their_claims,
    the_next_process_takes_over_the_claims_of_a_dead_one,
    a_decision_and_its_claim_are_one_transaction,
    a_pause_outlives_a_clock_that_jumps_at_startup,
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
fn one_replica_keeps_the_promises_when_it_dies_at_any_moment() {
    suite::lives_keep_the_promises(sqlite, 1, 24);
}

async fn error(path: &Path) -> String {
    let test_store = TestStore::memory();
    let opened = Store::open(&Database::Sqlite(path.to_owned()), test_store.options(), start()).await;
    opened.expect_err("no store").to_string()
}

#[track_caller]
fn names(error: &str, path: &Path, what: &str) {
    assert!(error.contains(&path.display().to_string()) && error.contains(what), "{error}");
    assert!(!error.contains('\n'), "{error}");
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = dir.path().join("no/such/dir.db");
    names(&error(&missing).await, &missing, "/no/such does not exist");
    let file = dir.path().join("file");
    fs::write(&file, "x").expect("a file");
    let beneath = file.join("x.db");
    names(&error(&beneath).await, &beneath, "Not a directory");
    names(&error(dir.path()).await, dir.path(), "unable to open database file");
}

#[tokio::test]
async fn other_users_cannot_read_the_files() {
    let dir = tempfile::tempdir().expect("a directory");
    for is_there in [false, true] {
        let path = dir.path().join(format!("{is_there}.db"));
        if is_there {
            fs::write(&path, "").expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("a mode");
        }
        let test_store = TestStore { database: Database::Sqlite(path.clone()), ..TestStore::memory() };
        let store = test_store.open().await;
        store.write(&hold(at(1), "web.1", dynowarden_core::record::hold::Hold::UnderWay), at(1));
        assert_eq!(store.decisions(&Filter::default()).await.expect("a page").decisions.len(), 1);
        let modes: Vec<(String, u32)> = ["", ".lock", "-wal", "-shm"]
            .into_iter()
            .map(|suffix| {
                let file = format!("{}{suffix}", path.display());
                let mode = fs::metadata(&file).expect(&file).permissions().mode() & 0o777;
                (file, mode)
            })
            .collect();
        assert!(modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
        store.close().await;
    }
}

/// What a client sends to a server that says it knows no TLS.
async fn sent_to_a_server_without_tls(url_end: &str) -> (String, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut sent = vec![0; 8];
        stream.read_exact(&mut sent).await.expect("a request");
        if sent == [0, 0, 0, 8, 4, 210, 22, 47] {
            sent.clear();
            stream.write_all(b"N").await.expect("written");
        }
        let more = tokio::time::timeout(std::time::Duration::from_millis(300), stream.read_to_end(&mut sent));
        let _still_open = more.await;
        sent
    });
    // An address of this machine that is not a loopback address.
    let url = format!("postgres://warden:canary@0.0.0.0:{port}/db{url_end}");
    let test_store = TestStore::memory();
    let opened = Store::open(&Database::Postgres(url.into()), test_store.options(), start()).await;
    (opened.expect_err("no store").to_string(), server.await.expect("no panic"))
}

#[tokio::test]
async fn a_password_crosses_no_network_in_clear_text() {
    for url_end in ["", "?application_name=x", "?sslmode=require"] {
        let (error, sent) = sent_to_a_server_without_tls(url_end).await;
        assert!(sent.is_empty(), "{url_end}: {}", String::from_utf8_lossy(&sent));
        assert!(error.contains("sslmode=disable") && !error.contains("canary"), "{error}");
    }
    let (_, sent) = sent_to_a_server_without_tls("?sslmode=disable").await;
    assert!(!sent.is_empty(), "it was chosen");
}

#[tokio::test]
async fn a_damaged_file_is_not_changed() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x.db");
    let text = "this is no database, whatever its name says. ".repeat(100);
    fs::write(&path, &text).expect("a file");
    names(&error(&path).await, &path, "the database is damaged");
    assert_eq!(fs::read_to_string(&path).expect("the file"), text);

    // A database without its middle.
    fs::remove_file(&path).expect("no file");
    let test_store = TestStore { database: Database::Sqlite(path.clone()), ..TestStore::memory() };
    let store = test_store.open().await;
    for n in 0..2000 {
        let name = format!("web.{}", n + 1);
        store.write(&hold(at(n), &name, dynowarden_core::record::hold::Hold::UnderWay), at(n));
    }
    store.close().await;
    let mut bytes = fs::read(&path).expect("the file");
    bytes[4096..].fill(0x5a);
    fs::write(&path, bytes).expect("the file");
    names(&error(&path).await, &path, "the database is damaged");
}

/// Much of it can still be read and written, but it cannot be trusted.
#[tokio::test]
async fn a_partly_damaged_file_stops_restarts() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x.db");
    let test_store = TestStore { database: Database::Sqlite(path.clone()), ..TestStore::memory() };
    let store = test_store.open().await;
    for n in 0..500 {
        let name = format!("web.{}", n + 1);
        store.write(&hold(at(n), &name, dynowarden_core::record::hold::Hold::UnderWay), at(n));
    }
    store.close().await;
    let mut bytes = fs::read(&path).expect("the file");
    // The first pages are the schema and tables without rows.
    bytes[60 * 4096..].fill(0x5a);
    fs::write(&path, bytes).expect("the file");

    let store = test_store.open().await;
    let mut health = store.watch();
    let away = health.wait_for(Option::is_some).await.expect("a store").clone();
    let (_, away) = away.expect("it was waited for");
    names(&away.to_string(), &path, "move the file away");
    store.pauses(at(600)).await.expect("this table is whole");
    assert!(store.health().away.is_some(), "one table is not all");
    let refusal = store.claim(&suite::request(1, "web.1", 1), at(600)).await;
    assert_eq!(refusal, Err(dynowarden_core::engine::claim::ClaimRefusal::StoreAway));
    store.close().await;
}

#[tokio::test]
async fn one_daemon_writes_a_file_and_many_readers_read_it() {
    let test_store = sqlite();
    let Database::Sqlite(path) = &test_store.database else { panic!("a file") };
    let missing = ReadOnlyStore::open(&test_store.database).await.expect_err("nothing there").to_string();
    names(&missing, path, "there is no decision history yet");
    assert!(!path.exists());
    let store = test_store.open().await;
    names(&error(path).await, path, "another dynowarden is using");
    store.write(&hold(at(1), "web.1", dynowarden_core::record::hold::Hold::UnderWay), at(1));
    assert!(store.flush(std::time::Duration::from_secs(10)).await);
    let reading = ReadOnlyStore::open(&test_store.database).await.expect("a reader");
    let page = reading.decisions(&Filter { limit: 5, ..Filter::default() }).await.expect("a page");
    assert_eq!(page.decisions.len(), 1);
    reading.close().await;
    store.close().await;
    // The lock ends with the process.
    test_store.open().await.close().await;
    let reading = ReadOnlyStore::open(&test_store.database).await.expect("a reader of a file at rest");
    reading.close().await;
}

/// Octets on disk for each of 20 dynos after sixteen days, and the days that are left of one.
async fn on_disk(is_bad: bool) -> (u64, f64) {
    const DYNOS: u32 = 20;
    let test_store = sqlite();
    let days = support::series::sixteen_days(&test_store, DYNOS, is_bad, async || ()).await;
    let Database::Sqlite(path) = &test_store.database else { panic!("a file") };
    (fs::metadata(path).expect("a file").len() / u64::from(DYNOS), days)
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
async fn hours_that_are_over_become_blocks() {
    support::series::hours_that_are_over_become_blocks(sqlite()).await;
}

#[tokio::test]
async fn the_sixth_schema_is_migrated() {
    let test_store = sqlite();
    let Database::Sqlite(path) = &test_store.database else { panic!("a file") };
    fs::File::create(path).expect("a file");
    suite::the_sixth_schema_is_migrated(test_store).await;
}

#[tokio::test]
async fn an_older_schema_is_migrated() {
    let test_store = sqlite();
    let Database::Sqlite(path) = &test_store.database else { panic!("a file") };
    let first = include_str!("../../migrations/0001_record.sql");
    let version = "CREATE TABLE dynowarden_schema (version BIGINT NOT NULL); \
        INSERT INTO dynowarden_schema (version) VALUES (1);";
    fs::File::create(path).expect("a file");
    suite::execute(&test_store.url(), &format!("{first}{version}")).await;
    // Within `keep`, or the store would delete the rows soon after it opens.
    let at = start().as_microsecond();
    let rows = format!(
        "INSERT INTO dynowarden_decisions VALUES \
        ({at}, '0123456789abcdef', {at}, 'acme', 'web.1', 'r', 'restart', 'rule', 'x', 0, '{{}}', 'a', 1, {at}); \
        INSERT INTO dynowarden_restarts VALUES ('a', '0123456789abcdef', 1, 'acme', 'web', 'web.1', 0, 'i', \
        {at}, {at}, NULL, 1, 1, {at}, 0, {at}, {at}, 'back', 'up again', 1, 'j')"
    );
    suite::execute(&test_store.url(), &rows).await;
    let read = ReadOnlyStore::open(&test_store.database).await.expect_err("an older one").to_string();
    names(&read, path, "start this version's daemon once to upgrade it");
    let store = test_store.open().await;
    let page = store.decisions(&Filter { limit: 5, ..Filter::default() }).await.expect("a page");
    let outcome = page.decisions[0].outcome.as_ref().expect("the outcome of the restart");
    assert_eq!((page.decisions.len(), outcome.text.as_str()), (1, "up again"));
    // It did not note since when the new instance was up, so what is known is when it was seen.
    let past = store.past(std::time::Duration::from_secs(7200), start()).await.expect("a past");
    assert_eq!((past.restarts.len(), past.restarts[0].back_at), (1, Some(start())));
    store.close().await;
}

#[tokio::test]
async fn a_newer_schema_is_rejected() {
    let test_store = sqlite();
    test_store.open().await.close().await;
    let Database::Sqlite(path) = &test_store.database else { panic!("a file") };
    suite::execute(&test_store.url(), "UPDATE dynowarden_schema SET version = 1000").await;
    names(&error(path).await, path, "schema 1000");
    let read = ReadOnlyStore::open(&test_store.database).await.expect_err("a newer one").to_string();
    names(&read, path, "newer version of dynowarden");
}
