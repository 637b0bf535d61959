//! A logplex that sends everything again, late and out of order.

use std::time::Duration;

use tokio::time::Instant;

use heroku_sim::sender::Chaos;

use crate::bench::{Bench, Broken, Row, bounds, pause};
use support::client::{metric, read};
use support::process::usage;
use support::proxy::Mood;

/// Batches come twice, and messages up to ten seconds late.
pub(crate) async fn repeats(seed: u64, span: Duration) -> Result<Vec<Row>, Broken> {
    let chaos = Chaos {
        delay_permille: 300,
        delay_max: Duration::from_secs(10),
        duplicate_permille: 500,
        lose_permille: 20,
        reorder_permille: 300,
    };
    let mut bench = Bench::begin_with(seed, bounds(), chaos).await;
    bench.warm_up().await?;
    let warm = usage(bench.daemon().id()).ok_or("the daemon is gone")?;
    let nothing = async |_: &Bench| ();
    // Batches that were accepted before, by their frame id.
    let repeated = |bench: &Bench, _| {
        let page = read(&bench.daemon().url, "/metrics").unwrap_or_default();
        metric(&page, "dynowarden_repeated_batches_total").map_or(0, |batches| batches as u64)
    };
    bench.strike("logplex repeats, delays, reorders", span, nothing, repeated, nothing).await?;
    // Logplex does not know that a batch was accepted, so it sends it again with the same frame id.
    let began = Instant::now();
    let cuts = async |bench: &Bench| {
        while began.elapsed() < span {
            pause(Duration::from_millis(150)).await;
            bench.proxy.set(Mood::Cut);
            pause(Duration::from_millis(20)).await;
            bench.proxy.set(Mood::Passing);
        }
    };
    bench.strike("connections from logplex cut", Duration::ZERO, cuts, repeated, nothing).await?;
    bench.conclude(warm).await?;
    Ok(bench.rows)
}
