//! The cost of days: the present hour of every dyno's series, two weeks of them in lives, verdicts and
//! suspects, and the requests of every app by endpoint. For 10,000 and for 100,000 dynos, 20 an app.
//!
//! Everything is driven alone, without the store. Run it with `--release`.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use dynowarden::series::SeriesBook;
use dynowarden_core::codes::Code;
use dynowarden_core::days::evidence::counts::{AppCounts, WINDOW_STEPS};
use dynowarden_core::days::history::AppHistory;
use dynowarden_core::days::pack;
use dynowarden_core::days::report;
use dynowarden_core::days::seen::Seen;
use dynowarden_core::days::step::{STEP_SECONDS, STEPS_PER_HOUR, Step, start_of};
use dynowarden_core::detect::request::Request;
use dynowarden_core::detect::sign::Sign;
use dynowarden_core::engine::known::known;
use dynowarden_core::event::{DynoState, Megabytes};
use dynowarden_core::ident::{AppId, AppName, DynoName, DynoRef, ProcessType};
use dynowarden_core::limits;
use dynowarden_core::policy::{Act, AppPlan, Policy, Rate, Rule, Trigger};
use dynowarden_core::time::later;
use jiff::Timestamp;

const DYNOS_PER_APP: u32 = 20;

/// Heroku measures each dyno every 20 s.
const LINES_PER_STEP: i64 = STEP_SECONDS / 20;

const DAYS: i64 = 14;

/// Steps from one restart of a dyno to the next: half a day.
const LIFE_STEPS: i64 = 12 * STEPS_PER_HOUR;

fn main() {
    // The smaller ones first: freed memory is not always returned.
    let sizes = [10_000, 100_000];
    println!("The present hour:\n| dynos | bytes per dyno | µs per dyno and step |\n| --- | --- | --- |");
    sizes.into_iter().for_each(series);
    println!("\nRequests by endpoint:\n| dynos | bytes per app | bytes per dyno | ns per request |");
    println!("| --- | --- | --- | --- |");
    sizes.into_iter().for_each(counts);
    println!("\n{DAYS} days of one app, while they are read:");
    println!("| dynos | bytes per dyno | verdicts, µs per dyno | µs per step | suspects, ms per app |");
    println!("| --- | --- | --- | --- | --- |");
    [DYNOS_PER_APP, 200, limits::REPORT_DYNOS_MAX as u32].into_iter().for_each(days);
}

/// A sample of every dyno every 20 s for an hour, which is what the book holds before it is written.
#[expect(clippy::disallowed_methods, reason = "it measures how long lines take")]
fn series(dynos: u32) {
    let apps = dynos / DYNOS_PER_APP;
    let names: Vec<AppName> = (0..apps).map(|app| name(&format!("app-{app}"))).collect();
    let web: ProcessType = name("web");
    let (start, seed) = (start_of(0).max("2026-01-02T00:00:00Z".parse().expect("a time")), 1);
    let before = resident_bytes();
    let book = SeriesBook::new(names, limits::KEEP_SERIES, seed);
    let began = Instant::now();
    for line in 0..STEPS_PER_HOUR * LINES_PER_STEP {
        let at = later(start, Duration::from_secs(line.unsigned_abs() * 20));
        for app in 0..apps {
            for index in 1..=DYNOS_PER_APP {
                let key = (AppId(app), Some(DynoName::new(web.clone(), index)));
                book.add(key, [(&sample(300 + line.unsigned_abs()), at)], at);
            }
        }
    }
    let took = began.elapsed().as_micros() as f64 / f64::from(dynos) / STEPS_PER_HOUR as f64;
    let bytes = resident_bytes().saturating_sub(before) / u64::from(dynos);
    assert_eq!(book.dropped(), 0);
    println!("| {dynos} | {bytes} | {took:.2} |");
}

/// Two thousand requests to each app, of forty endpoints.
#[expect(clippy::disallowed_methods, reason = "it measures how long requests take")]
fn counts(dynos: u32) {
    const REQUESTS: u32 = 2000;
    let apps = dynos / DYNOS_PER_APP;
    let names: Vec<DynoName> = (1..=DYNOS_PER_APP).map(|index| DynoName::new(name("web"), index)).collect();
    let paths: Vec<String> = (0..REQUESTS)
        .map(|number| {
            let word = ["orders", "users", "items", "carts", "reports"][number as usize % 5];
            let verb = ["", "/edit", "/import", "/export", "/done", "/lines", "/notes", "/tags"];
            format!("/api/{word}/{number}{}", verb[number as usize / 5 % 8])
        })
        .collect();
    let before = resident_bytes();
    let mut all = vec![AppCounts::default(); apps as usize];
    let began = Instant::now();
    for counts in &mut all {
        for (path, dyno) in paths.iter().zip(names.iter().cycle()) {
            let dyno_ref = DynoRef { process_type: "web", index: dyno.index() };
            counts.add(dyno, &request(dyno_ref, path), Timestamp::UNIX_EPOCH);
        }
    }
    let took = began.elapsed().as_nanos() / u128::from(apps * REQUESTS);
    let bytes = resident_bytes().saturating_sub(before);
    println!("| {dynos} | {} | {} | {took} |", bytes / u64::from(apps), bytes / u64::from(dynos));
}

/// Two weeks of an app whose dynos leak, as its hours come from the store.
#[expect(clippy::disallowed_methods, reason = "it measures how long reading takes")]
fn days(dynos: u32) {
    let first = 1_767_225_600 / STEP_SECONDS;
    let steps = DAYS * 24 * STEPS_PER_HOUR;
    let before = resident_bytes();
    let mut history = AppHistory::with_evidence();
    for index in 1..=dynos {
        let dyno = DynoRef { process_type: "web", index };
        for hour in 0..DAYS * 24 {
            let number = first / STEPS_PER_HOUR + hour;
            let packed = pack::pack(&std::array::from_fn(|place| {
                Some(step(number * STEPS_PER_HOUR + place as i64, i64::from(index)))
            }));
            history.add_hour(Some(dyno), number, &pack::unpack(&packed).expect("an hour"));
        }
    }
    let bytes = resident_bytes().saturating_sub(before) / u64::from(dynos);
    let plan = plan();
    let began = Instant::now();
    let (_, judged) = known(&history, &plan);
    let took = began.elapsed().as_micros() as f64 / f64::from(dynos);
    assert_eq!(judged.len(), 1);
    let suspects = suspects(history, dynos, first);
    println!("| {dynos} | {bytes} | {took:.0} | {:.3} | {suspects} |", took / steps as f64);
}

/// How long it takes to find the suspects of a week, in milliseconds.
#[expect(clippy::disallowed_methods, reason = "it measures how long the suspects take")]
fn suspects(mut history: AppHistory, dynos: u32, first: i64) -> u128 {
    let windows = (limits::EVIDENCE_WINDOWS_MAX as i64).min(DAYS * 48);
    let paths = ["/", "/cart", "/orders/1", "/orders/1/items", "/users/2", "/import", "/search", "/health"];
    let skipped = DAYS * 24 * STEPS_PER_HOUR - windows * WINDOW_STEPS;
    for window in 0..windows {
        let at = later(start_of(first + skipped + window * WINDOW_STEPS), Duration::from_secs(9));
        for index in 1..=dynos.min(limits::EVIDENCE_DYNOS_MAX as u32) {
            let dyno = DynoRef { process_type: "web", index };
            for number in 0..REQUESTS_PER_STEP * WINDOW_STEPS as u32 {
                let place = (number + index + window as u32 * 3) as usize;
                history.add(Some(dyno), &Seen::Request(request(dyno, paths[place % paths.len()])), at);
            }
        }
    }
    history.close_evidence();
    let began = Instant::now();
    let _sentences = report::suspects_of(&history);
    began.elapsed().as_millis()
}

const REQUESTS_PER_STEP: u32 = 10;

/// Five minutes of a dyno that leaks over its quota in half a day, and is restarted.
fn step(index: i64, dyno: i64) -> Step {
    let at = start_of(index);
    let mut step = Step::default();
    let age = (index + dyno * 7).rem_euclid(LIFE_STEPS);
    if age == 0 {
        for sign in [Sign::Restarting, Sign::Starting, Sign::State(DynoState::Up)] {
            step.add(&Seen::Sign(sign), &mut None, at);
        }
    }
    let megabytes = 300 + (age as u64) * 230 / LIFE_STEPS.unsigned_abs();
    for _ in 0..LINES_PER_STEP {
        step.add(&sample(megabytes), &mut None, at);
    }
    if megabytes > 512 {
        step.add(&Seen::Error(Code::R14), &mut None, at);
    }
    step
}

fn sample(megabytes: u64) -> Seen<'static> {
    Seen::Sample {
        instance: name("59da6323-1e2f-4c5d-8a9b-0c1d2e3f4a5b"),
        total: Megabytes { hundredths: megabytes * 100 },
        quota: Megabytes { hundredths: 51_200 },
    }
}

fn request<'p>(dyno: DynoRef<'p>, path: &'p str) -> Request<'p> {
    let (method, path) = (Some(&b"GET"[..]), Some(path.as_bytes()));
    Request { dyno, method, path, status: Some(200), service_ms: Some(8), code: None }
}

fn plan() -> AppPlan {
    let one = NonZeroU32::MIN;
    let minute = Duration::from_secs(60);
    AppPlan {
        name: name("acme"),
        dry_run: false,
        policy: Policy {
            process_types: vec![name("web")],
            cooldown: 10 * minute,
            max_restarts: Rate { count: NonZeroU32::new(8).expect("eight"), per: 120 * minute },
            give_up_after: NonZeroU32::new(3).expect("three"),
            give_up_for: 360 * minute,
            max_concurrent: one,
            settle: minute / 2,
            min_uptime: 3 * minute,
            boot_timeout: 3 * minute,
            window: Vec::new(),
        },
        rules: vec![Rule {
            name: "memory-quota-exceeded".into(),
            trigger: Trigger::Errors { codes: vec![Code::R14], count: one, within: 5 * minute },
            act: Act::Restart,
            window: Vec::new(),
            proof: None,
        }],
    }
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a name")
}

/// This process's resident memory; 0 where the kernel does not report it.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
