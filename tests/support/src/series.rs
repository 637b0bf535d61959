//! The suite of series, for every kind of store.

use std::time::Duration;

use dynowarden::store::Store;
use dynowarden::store::evidence::WindowRow;
use dynowarden::store::series::HourRow;
use dynowarden_core::codes::Code;
use dynowarden_core::days::evidence;
use dynowarden_core::days::evidence::counts::{Endpoint, WindowCounts};
use dynowarden_core::days::evidence::ledger::Ledger;
use dynowarden_core::days::evidence::method::Method;
use dynowarden_core::days::history::AppHistory;
use dynowarden_core::days::pack::{HOURS_PER_BLOCK, Hour, pack};
use dynowarden_core::days::step::{Mark, MarkKind, Step};
use dynowarden_core::ident::DynoName;
use dynowarden_core::time::{earlier, later};

use crate::fixtures::{acme, dyno};
use crate::store::{TestStore, number, start};

/// Hour 0 of 2026-03-01.
fn first_hour() -> i64 {
    start().as_second() / 3600
}

/// An hour of a busy dyno, whose memory wanders with `seed`.
pub fn busy_hour(seed: u64) -> Hour {
    let mut draw = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move |below: u64| {
        draw ^= draw << 13;
        draw ^= draw >> 7;
        draw ^= draw << 17;
        (draw % below) as u32
    };
    std::array::from_fn(|_| {
        let mean = 3900 + next(200);
        Some(Step {
            memory_sum: u64::from(mean) * 15,
            service_ms_sum: 4000 * u64::from(80 + next(60)),
            memory_low: mean - 20 - next(100),
            memory_high: mean + 20 + next(100),
            samples: 15,
            quota: 5120,
            requests: 4000,
            errors: next(30),
            served: 4000,
            over: 0,
            marks: None,
        })
    })
}

fn row(name: Option<&str>, hour: i64, part: i64, steps: &Hour) -> HourRow {
    HourRow { app: acme(), dyno: name.map(dyno), hour, part, is_known: false, packed: pack(steps) }
}

fn requests(history: &AppHistory, name: &DynoName) -> Vec<u32> {
    history.dyno(name).into_iter().flat_map(|steps| steps.values().map(|step| step.requests)).collect()
}

/// Parts of one hour add up, whoever writes them, and a part that is written again replaces itself.
pub async fn parts_of_an_hour_add_up(test: TestStore) {
    let store = test.open().await;
    let mut steps = Hour::default();
    steps[2] = Some(Step { requests: 10, ..Step::default() });
    let hour = first_hour();
    for (part, count) in [(1, 10), (2, 30), (1, 20)] {
        steps[2] = Some(Step { requests: count, ..Step::default() });
        store.save_hours(&[row(Some("web.1"), hour, part, &steps)]).await.expect("a store");
    }
    store
        .save_hours(&[row(None, hour, 3, &steps), row(Some("web.2"), hour - 1, 4, &steps)])
        .await
        .expect("a store");
    let web_1 = dyno("web.1");
    let history =
        store.series(&acme(), None, earlier(start(), Duration::from_secs(3600))).await.expect("a store");
    assert_eq!((requests(&history, &web_1), history.heard().len()), (vec![50], 2));
    assert_eq!(requests(&history, &dyno("web.2")), [20]);
    let one = store.series(&acme(), Some(&web_1), start()).await.expect("a store");
    assert_eq!((requests(&one, &web_1), one.heard().len()), (vec![50], 1));
    let other = "other".parse().expect("an app");
    assert_eq!(store.series(&other, None, start()).await.expect("a store").heard().len(), 0);
    store.close().await;
}

/// Half an hour of requests of `web.1`.
fn window(window: i64, part: i64, count: u32) -> WindowRow {
    let endpoints = vec![Endpoint { method: Method::Post, template: "/orders/:id/import".into() }];
    let counts = WindowCounts { window, endpoints, dynos: vec![(dyno("web.1"), vec![(0, 1), (1, count)])] };
    WindowRow { app: acme(), window, part, packed: evidence::pack::pack(&counts) }
}

/// Parts of half an hour add up, whoever writes them, and a part that is written again replaces itself. Old
/// ones are deleted.
pub async fn requests_by_endpoint_are_kept(test: TestStore) {
    let store = test.open().await;
    let first = first_hour() * 2;
    for (part, count) in [(1, 10), (2, 30), (1, 20)] {
        store.save_windows(&[window(first, part, count)]).await.expect("a store");
    }
    store.save_windows(&[window(first - 400, 3, 1), window(first - 1, 4, 7)]).await.expect("a store");
    let read = || async { store.windows(&acme(), earlier(start(), Duration::from_secs(90 * 86_400))).await };
    let mut ledger = Ledger::default();
    read().await.expect("a store").iter().for_each(|window| ledger.add(window));
    assert_eq!(ledger.counts(&dyno("web.1"), first), Some(&vec![(0, 2), (1, 50)]));
    assert_eq!(ledger.endpoint(1).map(|endpoint| &*endpoint.template), Some("/orders/:id/import"));
    assert_eq!(store.windows(&acme(), start()).await.expect("a store").len(), 2);
    let other = "other".parse().expect("an app");
    assert_eq!(store.windows(&other, start()).await.expect("a store").len(), 0);
    if test.outlives {
        store.close().await;
        let store = test.open().await;
        store.confirm_clock(start());
        let pruned = async {
            while store
                .windows(&acme(), earlier(start(), Duration::from_secs(90 * 86_400)))
                .await
                .expect("a store")
                .len()
                > 3
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(crate::daemon::PATIENCE, pruned).await.expect("pruned");
        store.close().await;
    }
}

/// Old hours are deleted.
pub async fn old_hours_are_forgotten(test: TestStore) {
    let keep = Duration::from_secs(2 * 86_400);
    let options = || dynowarden::store::StoreOptions { keep_series: keep, ..test.options() };
    let store = test.open_with(options()).await;
    let steps = busy_hour(1);
    let rows: Vec<HourRow> =
        (0..96).map(|back| row(Some("web.1"), first_hour() - back, back, &steps)).collect();
    store.save_hours(&rows).await.expect("a store");
    store.close().await;
    // The next process looks for them when it starts, or when its clock is confirmed.
    let store = test.open_with(options()).await;
    store.confirm_clock(start());
    let long_ago = earlier(start(), Duration::from_secs(10 * 86_400));
    // Pruning is a task of its own.
    let pruned = async {
        loop {
            let history = store.series(&acme(), None, long_ago).await.expect("a store");
            match history.heard().len() / 12 {
                hours if hours > 49 => tokio::task::yield_now().await,
                hours => return hours,
            }
        }
    };
    let hours = tokio::time::timeout(crate::daemon::PATIENCE, pruned).await.expect("pruned");
    assert_eq!(hours, 49);
    store.close().await;
}

/// Hours that are over are put together, with what comes late for them, and nothing of them is lost.
pub async fn hours_that_are_over_become_blocks(test: TestStore) {
    let web_1 = dyno("web.1");
    let steps = async |store: &Store| {
        let long_ago = earlier(start(), Duration::from_secs(10 * 86_400));
        let history = store.series(&acme(), None, long_ago).await.expect("a store");
        // Packed, as sums are rounded to means.
        let steps = history.dyno(&web_1).into_iter().flatten().map(|(index, step)| {
            let mut hour = Hour::default();
            hour[0] = Some(step.clone());
            (*index, pack(&hour))
        });
        (steps.collect::<Vec<_>>(), history.steps())
    };
    let hours = |from: i64, to: i64, part: i64| -> Vec<HourRow> {
        (from..to).map(|hour| row(Some("web.1"), hour, part, &busy_hour(hour as u64 + part as u64))).collect()
    };
    let store = test.open().await;
    // Two replicas, and what concerns the app as a whole.
    store.save_hours(&hours(first_hour() - 20, first_hour() + 1, 1)).await.expect("a store");
    store.save_hours(&hours(first_hour() - 9, first_hour() + 1, 2)).await.expect("a store");
    store.save_hours(&[row(None, first_hour() - 10, 3, &busy_hour(1))]).await.expect("a store");
    let before = steps(&store).await;
    put_together(&test, &store, later(start(), Duration::from_secs(3600)), 2).await;
    assert_eq!(steps(&store).await, before);
    // From the middle of a block on.
    let since = earlier(start(), Duration::from_secs(10 * 3600));
    let one = store.series(&acme(), Some(&web_1), since).await.expect("a store");
    let of_dyno = one.dyno(&web_1).expect("a dyno");
    assert_eq!(of_dyno.first_key_value().map(|(step, _)| *step), Some((first_hour() - 10) * 12));
    assert_eq!((of_dyno.len(), one.heard().len()), (11 * 12, 11 * 12));

    store.save_hours(&hours(first_hour() - 8, first_hour() - 7, 9)).await.expect("a store");
    let before = steps(&store).await;
    store.close().await;
    let store = test.open().await;
    put_together(&test, &store, later(start(), Duration::from_secs(3600)), 2).await;
    assert_eq!(steps(&store).await, before);
    store.close().await;
}

/// Lets the store put hours together until so many of their rows are left.
async fn put_together(test: &TestStore, store: &Store, now: jiff::Timestamp, left: i64) {
    store.confirm_clock(now);
    let url = test.url();
    let done = async {
        while number(&url, "SELECT COUNT(*) FROM dynowarden_hours").await != left {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let done = tokio::time::timeout(crate::daemon::PATIENCE, done).await;
    assert!(done.is_ok(), "not put together: {:?}", store.health());
}

/// Five minutes of a dyno on a bad day: over its quota, with errors, and sometimes restarted.
fn bad_hour(seed: u64) -> Hour {
    let mut hour = busy_hour(seed);
    for (place, step) in (0..).zip(hour.iter_mut().flatten()) {
        let mark = |second: u16, kind| Mark { second: second + place, kind };
        let mut marks = vec![
            mark(3, MarkKind::Over),
            mark(5, MarkKind::Error(Code::R14)),
            mark(40, MarkKind::Error(Code::H12)),
        ];
        if place == 5 {
            marks.extend([
                mark(200, MarkKind::Restarting),
                mark(201, MarkKind::Starting),
                mark(220, MarkKind::Up),
                mark(240, MarkKind::Instance),
            ]);
        }
        (step.over, step.errors, step.marks) = (14, 40 + step.errors, Some(Box::new(marks)));
    }
    hour
}

/// Writes sixteen days of so many dynos as they pass, and returns the days of one dyno that are left.
/// `vacuum` is called once a block.
pub async fn sixteen_days(test: &TestStore, dynos: u32, is_bad: bool, vacuum: impl AsyncFn()) -> f64 {
    let (first, last) = (first_hour(), first_hour() + 16 * 24);
    let time = |hour: i64| later(start(), Duration::from_secs((hour - first).unsigned_abs() * 3600));
    let store = test.open().await;
    for hour in first..last {
        // An hour is written as its steps pass; each time replaces the last.
        for _ in 0..3 {
            let rows = (1..=dynos).map(|index| {
                let seed = hour.unsigned_abs() * 1000 + u64::from(index);
                let steps = if is_bad { bad_hour(seed) } else { busy_hour(seed) };
                row(Some(&format!("web.{index}")), hour, i64::from(0x7000_0000 + index), &steps)
            });
            store.save_hours(&rows.collect::<Vec<_>>()).await.expect("a store");
        }
        // The last block is left as it is just before it is put together.
        if hour % HOURS_PER_BLOCK == 1 && hour + HOURS_PER_BLOCK < last {
            put_together(test, &store, time(hour), 2 * i64::from(dynos)).await;
            vacuum().await;
        }
    }
    let history = store.series(&acme(), Some(&dyno("web.1")), start()).await.expect("a store");
    store.close().await;
    history.dyno(&dyno("web.1")).map_or(0, |steps| steps.len()) as f64 / 288.0
}
