//! Figures of the store: decisions per second, bytes per decision, startup time with a full store.
//!
//! `cargo run --release --example store_figures [postgres://…]`; without a URL, on a file and in memory.

use std::time::Duration;

use dynowarden::clock::Clock;
use dynowarden::config::settings::Database;
use dynowarden::store::claims::ClaimRequest;
use dynowarden::store::history::Filter;
use dynowarden::store::{Store, StoreOptions};
use dynowarden_core::api::DynoInfo;
use dynowarden_core::event::DynoState;
use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::policy::verdict::Bounds;
use dynowarden_core::record::hold::Hold;
use dynowarden_core::record::{Action, AttemptId, Decision, Evidence, Record};
use dynowarden_core::time::later;
use jiff::Timestamp;
use tokio::time::Instant;

const DECISIONS: u32 = 100_000;
const CLAIMS: u32 = 500;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1) {
        Some(url) => figures("PostgreSQL", &Database::Postgres(url.into())).await?,
        None => {
            figures("memory", &Database::Memory).await?;
            let dir = tempfile::tempdir()?;
            let path = dir.path().join("figures.db");
            figures("SQLite", &Database::Sqlite(path.clone())).await?;
            println!("SQLite: {} bytes of file per 100,000 decisions", std::fs::metadata(&path)?.len());
        }
    }
    Ok(())
}

async fn figures(name: &str, database: &Database) -> anyhow::Result<()> {
    let clock = Clock::system();
    let now = clock.now().wall;
    let store = open(database, now).await?;
    let began = Instant::now();
    for n in 0..DECISIONS {
        store.write(&hold(n, now)?, now);
        // Within the queue, like a daemon that decides no faster than it can write.
        if n % 5000 == 4999 {
            anyhow::ensure!(store.flush(Duration::from_secs(60)).await, "the store is too slow");
        }
    }
    anyhow::ensure!(store.flush(Duration::from_secs(60)).await, "the store is too slow");
    let rate = f64::from(DECISIONS) / began.elapsed().as_secs_f64();
    println!("{name}: {rate:.0} decisions per second");

    let mut spans = Vec::new();
    for n in 0..CLAIMS {
        let request = claim(n, now)?;
        let asked = Instant::now();
        store.claim(&request, clock.now().wall).await.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
        spans.push(asked.elapsed());
    }
    spans.sort_unstable();
    println!(
        "{name}: a claim with its decision takes {:?}, at the 99th percentile {:?}",
        spans[250], spans[494]
    );
    let asked = Instant::now();
    let page = store.decisions(&Filter { limit: 50, ..Filter::default() }).await?;
    println!("{name}: a page of {} takes {:?}", page.decisions.len(), asked.elapsed());
    store.close().await;
    if matches!(database, Database::Memory) {
        return Ok(());
    }
    let began = Instant::now();
    let store = open(database, now).await?;
    let past = store.past(Duration::from_secs(30 * 86_400), now).await?;
    println!(
        "{name}: a start with 100,000 decisions takes {:?}, with {} claims of before",
        began.elapsed(),
        past.claims.len()
    );
    store.close().await;
    Ok(())
}

async fn open(database: &Database, now: Timestamp) -> anyhow::Result<Store> {
    let options = StoreOptions::new(vec!["acme".parse()?], Duration::from_secs(90 * 86_400));
    Ok(Store::open(database, options, now).await?)
}

fn hold(n: u32, now: Timestamp) -> anyhow::Result<Record> {
    Ok(Record::Decision(decision(n, now, Action::Hold(Hold::UnderWay))?))
}

fn decision(n: u32, now: Timestamp, action: Action) -> anyhow::Result<Decision> {
    Ok(Decision {
        at: later(now, Duration::from_millis(u64::from(n))),
        app: AppId(0),
        dyno: Some(format!("web.{}", n % 100 + 1).parse()?),
        // Each has another rule, so that none is folded.
        rule: format!("memory-quota-{n}").into(),
        action,
        evidence: Evidence { line_at: Some(now), lines: 1, seen: Some(seen(n, now)?), ..Evidence::default() },
        attempt_id: None,
    })
}

fn claim(n: u32, now: Timestamp) -> anyhow::Result<ClaimRequest> {
    let bounds = Bounds {
        boot_timeout: Duration::from_secs(180),
        cooldown: Duration::from_secs(600),
        max_concurrent: 1000.try_into().expect("a thousand"),
        max_restarts: dynowarden_core::policy::Rate { count: 3.try_into()?, per: Duration::from_secs(7200) },
        settle: Duration::from_secs(30),
    };
    let attempt_id = AttemptId(u64::from(n) + 1);
    let action = Action::Restart { dry_run: false, formation: CLAIMS as usize };
    let decision = Decision { attempt_id: Some(attempt_id), ..decision(n, now, action)? };
    Ok(ClaimRequest {
        attempt_id,
        app: AppId(0),
        seen: seen(n, now)?,
        is_forced: false,
        broken: Vec::new(),
        last: None,
        decision: Some(Box::new(decision)),
        bounds,
    })
}

fn seen(n: u32, now: Timestamp) -> anyhow::Result<DynoInfo> {
    let name: DynoName = format!("web.{}", n + 1).parse()?;
    Ok(DynoInfo {
        process_type: name.process_type().clone(),
        name,
        is_one_off: false,
        id: "01234567-89ab-cdef-0123-456789abcdef".parse()?,
        created_at: now,
        updated_at: now,
        state: DynoState::Up,
        release: Some(12),
    })
}
