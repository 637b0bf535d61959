//! Faults of the Platform API.

use std::time::Duration;

use heroku_sim::fault::{Fault, FaultRule, PathRule, Times};
use heroku_sim::platform::RecordedCall;
use http::Method;

use crate::bench::{Bench, Broken, Row, bounds};
use support::process::usage;

type Case = (String, FaultRule);

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let rule = |fault, method, path: &str| {
        let path = if path.is_empty() { PathRule::Any } else { PathRule::Contains(path.to_owned()) };
        FaultRule { fault, method, path, times: Times::Always }
    };
    for status in [401, 403, 404, 409, 422, 429, 500, 503] {
        cases.push((format!("{status} to everything"), rule(Fault::Status(status), None, "")));
        cases.push((
            format!("{status} to every DELETE"),
            rule(Fault::Status(status), Some(Method::DELETE), "/dynos/"),
        ));
    }
    for (name, fault) in [
        ("never an answer, nothing done", Fault::HangBefore),
        ("connection reset, nothing done", Fault::BreakBefore),
        ("body slower than the time-out", Fault::Slow(Duration::from_secs(4))),
        ("body slow, within the time-out", Fault::Slow(Duration::from_millis(500))),
        ("JSON cut in the middle", Fault::WrongJson),
        ("HTML with status 200", Fault::Html),
    ] {
        cases.push((name.to_owned(), rule(fault, None, "")));
    }
    for (name, fault) in [
        ("no `state` in the answer", Fault::MissingField("state".to_owned())),
        ("no `created_at` in the answer", Fault::MissingField("created_at".to_owned())),
        ("an unknown state", Fault::UnknownState("floating".to_owned())),
        ("a field of another type", Fault::WrongType("name".to_owned())),
    ] {
        cases.push((name.to_owned(), rule(fault, Some(Method::GET), "/dynos")));
    }
    for (name, fault) in [
        ("DELETE done, never an answer", Fault::HangAfter),
        ("DELETE done, connection reset", Fault::BreakAfter),
        ("DELETE done 2 s after a reset", Fault::Late(Duration::from_secs(2))),
    ] {
        cases.push((name.to_owned(), rule(fault, Some(Method::DELETE), "/dynos/")));
    }
    cases
}

/// The number of lanes that share the cases.
pub(crate) const LANES: usize = 6;

/// Runs one lane's share of the cases `rounds` times, in random order, on one daemon.
pub(crate) async fn run(lane: usize, seed: u64, rounds: u32, span: Duration) -> Result<Vec<Row>, Broken> {
    let mut bench = Bench::begin(seed, bounds()).await;
    bench.warm_up().await?;
    let warm = usage(bench.daemon().id()).ok_or("the daemon is gone")?;
    let mut cases: Vec<Case> = cases().into_iter().skip(lane).step_by(LANES).collect();
    for _ in 0..rounds {
        for last in (1..cases.len()).rev() {
            let other = usize::try_from(bench.chance.below(last as u64 + 1)).expect("as many as cases");
            cases.swap(last, other);
        }
        for (name, rule) in &cases {
            let begin = async |bench: &Bench| bench.heroku.add_fault(rule.clone());
            let began = bench.heroku.now();
            let felt = |bench: &Bench, _| {
                let is_struck = |call: &&RecordedCall| call.at >= began && call.fault.is_some();
                bench.heroku.see(|platform, _| platform.calls().filter(is_struck).count() as u64)
            };
            let end = async |bench: &Bench| bench.heroku.with(|platform, _| platform.faults.clear());
            bench.strike(name, span, begin, felt, end).await?;
        }
    }
    bench.conclude(warm).await?;
    Ok(bench.rows)
}
