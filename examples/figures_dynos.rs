//! The cost of a watched dyno: memory, and time per event, from 10 dynos to 100,000.
//!
//! Drives the engine alone, with the usual rule and a memory rule, and with samples that cause only
//! bookkeeping: the load of an uneventful day. Run it with `--release`.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use dynowarden_core::codes::Code;
use dynowarden_core::engine::{Engine, Input};
use dynowarden_core::event::{Event, Fact, Megabytes};
use dynowarden_core::ident::{AppId, DynoName, InstanceId, ProcessType};
use dynowarden_core::policy::{Act, AppPlan, MemoryBound, Policy, Rate, Rule, Trigger};
use dynowarden_core::time::{Now, later};
use jiff::Timestamp;

/// Dynos of one app, if there are so many.
const DYNOS_PER_APP: u32 = 20;

/// Events timed at each size, in repetitions; the minimum, the median and the maximum are shown.
const EVENTS: u32 = 1_000_000;
const REPETITIONS: usize = 5;

fn main() {
    println!("| dynos | apps | bytes per dyno | ns per event |\n| --- | --- | --- | --- |");
    // The smaller ones first: freed memory is not always returned.
    for dynos in [10, 100, 1000, 10_000, 100_000] {
        measure(dynos);
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures how long the engine takes")]
fn measure(dynos: u32) {
    let apps = (dynos / DYNOS_PER_APP).max(1);
    let per_app = dynos / apps;
    let web: ProcessType = "web".parse().expect("a type");
    let plans = (0..apps).map(|place| plan(place, &web)).collect();
    let mut engine = Engine::new(plans, 1);
    let mut now = Now { mono: Duration::ZERO, wall: "2026-01-02T03:04:05Z".parse().expect("a time") };
    let before = resident_bytes();
    round(&mut engine, (apps, per_app), &web, now);
    // Below a few thousand dynos, the kernel's page counts are too coarse.
    let of_each = (resident_bytes() - before) / u64::from(dynos);
    let of_each = if dynos < 10_000 { "".to_owned() } else { of_each.to_string() };
    assert_eq!(engine.dynos_watched(), dynos as usize);
    let rounds = (EVENTS / dynos).max(5);
    let mut per_event: Vec<u128> = (0..REPETITIONS)
        .map(|_| {
            let began = Instant::now();
            for _ in 0..rounds {
                now = now.after(Duration::from_secs(20));
                round(&mut engine, (apps, per_app), &web, now);
            }
            began.elapsed().as_nanos() / u128::from(rounds * dynos)
        })
        .collect();
    per_event.sort_unstable();
    let [least, .., most] = per_event[..] else { unreachable!("several repetitions") };
    let middle = per_event[REPETITIONS / 2];
    println!("| {dynos} | {apps} | {of_each} | {least} – {middle} – {most} |");
}

/// One sample of every dyno, an app's in one batch.
fn round(engine: &mut Engine, (apps, per_app): (u32, u32), web: &ProcessType, now: Now) {
    for app in 0..apps {
        let events = (1..=per_app).map(|index| sample(app, index, web, now.wall)).collect();
        let effects = engine.handle(Input::Events { app: AppId(app), events }, now);
        assert!(effects.is_empty(), "{effects:?}");
    }
}

fn sample(app: u32, index: u32, web: &ProcessType, at: Timestamp) -> Event {
    let instance = InstanceId::parse(format!("{app:08x}-0000-4000-8000-{index:012x}").as_bytes());
    Event {
        at: later(at, Duration::from_millis(u64::from(index))),
        fact: Fact::Sample {
            dyno: DynoName::new(web.clone(), index),
            instance: instance.expect("a UUID"),
            total: Megabytes { hundredths: 30_000 },
            quota: Megabytes { hundredths: 51_200 },
            swap: None,
        },
    }
}

fn plan(place: u32, web: &ProcessType) -> AppPlan {
    let one = NonZeroU32::MIN;
    let minute = Duration::from_secs(60);
    let errors = Trigger::Errors { codes: vec![Code::R14], count: one, within: 5 * minute };
    let memory = Trigger::Memory { above: MemoryBound::OfQuota { permille: 950 }, lasting: 3 * minute };
    let rule = |name: &str, trigger| Rule {
        name: name.into(),
        trigger,
        act: Act::Restart,
        window: Vec::new(),
        proof: None,
    };
    AppPlan {
        name: format!("app-{place}").parse().expect("an app"),
        dry_run: false,
        policy: Policy {
            process_types: vec![web.clone()],
            cooldown: 10 * minute,
            max_restarts: Rate { count: NonZeroU32::new(3).expect("three"), per: 120 * minute },
            give_up_after: NonZeroU32::MIN,
            give_up_for: 360 * minute,
            max_concurrent: one,
            settle: minute / 2,
            min_uptime: 3 * minute,
            boot_timeout: 3 * minute,
            window: Vec::new(),
        },
        rules: vec![rule("memory-quota-exceeded", errors), rule("memory-high", memory)],
    }
}

/// This process's resident memory; 0 where the kernel does not report it.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
