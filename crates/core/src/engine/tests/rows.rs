//! Rows of restarts that did not help, and what earlier processes and wrong clocks leave behind.

use super::{APP, Bench, Fault, dyno, mins, plan, secs};
use crate::engine::Input;
use crate::engine::restore::{RestoredGiveUp, RestoredPause, RestoredState};
use crate::event::{Change, DynoState, Fact};
use crate::policy::AppPlan;
use crate::time::{earlier, later};

/// Enough places for every restart of a test.
fn generous() -> AppPlan {
    let mut plan = plan();
    plan.policy.max_restarts.count = plan.policy.max_restarts.count.saturating_add(100);
    plan
}

/// Errors every 20 s.
fn errs_for(bench: &mut Bench, name: &str, span: std::time::Duration) {
    for _ in 0..span.as_secs() / 20 {
        bench.r14(name);
        bench.pass(secs(20));
    }
}

fn times(bench: &Bench, what: &str) -> usize {
    bench.timeline.iter().filter(|line| line.ends_with(what)).count()
}

#[test]
fn a_restart_that_never_happened_does_not_end_a_row() {
    let mut bench = Bench::new(generous(), 2);
    errs_for(&mut bench, "web.1", mins(20));
    assert_eq!((bench.deletes.len(), times(&bench, "web.1 no_help")), (1, 1), "{:#?}", bench.timeline);
    bench.faults.push_back(Fault::DeleteIgnored);
    errs_for(&mut bench, "web.1", mins(19));
    assert_eq!((bench.deletes.len(), times(&bench, "web.1 ignored")), (2, 1), "{:#?}", bench.timeline);
    errs_for(&mut bench, "web.1", mins(3));
    assert_eq!(bench.deletes, ["00:00:00 web.1", "00:20:00 web.1", "00:40:00 web.1"]);
    // The third is the second in a row, so the cool-down is doubled twice.
    errs_for(&mut bench, "web.1", mins(37));
    assert_eq!((bench.deletes.len(), times(&bench, "web.1 no_help")), (3, 2), "{:#?}", bench.timeline);
}

#[test]
fn with_preboot_only_errors_without_a_pause_are_the_new_dynos() {
    let check = |first: u64, expect: &str| {
        let mut bench = Bench::new(generous(), 2);
        bench.preboot = true;
        bench.r14("web.1");
        bench.pass(secs(first));
        errs_for(&mut bench, "web.1", mins(7));
        assert_eq!(times(&bench, "web.1 no_help") > 0, expect == "useless", "from {first} s: {expect}");
    };
    check(60, "useless");
    check(150, "useless");
    // A leak of five minutes: the old dyno is gone, and the new one has only begun to err.
    check(5 * 60 + 21, "helped");
}

#[test]
fn a_crash_after_the_judgement_does_not_end_a_row() {
    let mut plan = generous();
    plan.policy.settle = mins(2);
    let mut bench = Bench::new(plan, 3);
    bench.r14("web.1");
    bench.pass(secs(60));
    bench.r14("web.1");
    assert_eq!(times(&bench, "web.1 no_help"), 1);
    bench.dyno_mut("web.1").state = DynoState::Crashed;
    bench.life("web.1", Change::State(DynoState::Crashed));
    bench.pass(secs(5));
    assert_eq!(times(&bench, "web.1 down_again"), 1, "{:#?}", bench.timeline);
    let up_at = bench.now.wall;
    let seen = bench.dyno_mut("web.1");
    (seen.state, seen.created_at, seen.updated_at) = (DynoState::Up, up_at, up_at);
    bench.pass(mins(4));
    errs_for(&mut bench, "web.1", mins(12));
    assert_eq!(bench.deletes.len(), 1, "its cool-down is doubled");
}

#[test]
fn a_release_that_reaches_a_dyno_late_is_looked_for() {
    let mut bench = Bench::new(generous(), 1);
    errs_for(&mut bench, "web.1", mins(11));
    assert_eq!(times(&bench, "web.1 no_help"), 1);
    bench.events(vec![Fact::Release { version: Some(8) }]);
    // The first look still shows the old release.
    errs_for(&mut bench, "web.1", mins(4));
    assert_eq!(bench.deletes.len(), 1, "{:#?}", bench.timeline);
    bench.replace("web.1");
    bench.dyno_mut("web.1").release = Some(8);
    bench.life("web.1", Change::Starting);
    bench.pass(secs(10));
    bench.life("web.1", Change::State(DynoState::Up));
    bench.pass(mins(3));
    errs_for(&mut bench, "web.1", mins(1));
    assert_eq!(bench.deletes.len(), 2, "before the doubled cool-down is over: {:#?}", bench.timeline);
    assert!(bench.deletes[1].as_str() < "00:20:00");
}

#[test]
fn one_off_dynos_are_looked_at_once() {
    let mut bench = Bench::new(plan(), 1);
    let old = earlier(bench.now.wall, mins(60));
    let console = bench.instance("web.4321", old, DynoState::Up);
    bench.api.push(crate::api::DynoInfo { is_one_off: true, ..console });
    errs_for(&mut bench, "web.4321", mins(10));
    assert_eq!((bench.calls, bench.deletes.len()), (2, 0), "{:#?}", bench.timeline);
    bench.life("web.4321", Change::Starting);
    bench.pass(mins(4));
    bench.r14("web.4321");
    assert_eq!(bench.calls, 4, "another process has its name");
}

#[test]
fn a_dyno_that_was_scaled_away_is_not_broken() {
    let mut bench = Bench::new(plan(), 3);
    bench.life("web.2", Change::State(DynoState::Down));
    bench.pass(mins(30));
    bench.boot = mins(2);
    bench.replace("web.2");
    bench.life("web.2", Change::Starting);
    bench.pass(secs(20));
    bench.r14("web.1");
    assert!(bench.deletes.is_empty(), "it boots, and the others wait: {:#?}", bench.timeline);
}

#[test]
fn a_list_without_a_dyno_that_starts_makes_no_room() {
    let mut bench = Bench::new(plan(), 3);
    bench.life("web.2", Change::Starting);
    bench.api.retain(|seen| seen.name != dyno("web.2"));
    bench.pass(secs(20));
    bench.r14("web.1");
    assert!(bench.deletes.is_empty(), "{:#?}", bench.timeline);
}

#[test]
fn a_give_up_read_by_a_slow_clock_ends_by_herokus() {
    let mut bench = Bench::new(plan(), 1);
    let wall = bench.now.wall;
    let month = mins(31 * 24 * 60);
    let given_up = vec![RestoredGiveUp {
        app: APP,
        dyno: dyno("web.1"),
        until: later(wall, mins(60)),
        release: Some(7),
        times: 1,
    }];
    bench.now.wall = earlier(wall, month);
    bench.input(Input::Restore(RestoredState { given_up, ..RestoredState::default() }));
    bench.now.wall = wall;
    errs_for(&mut bench, "web.1", mins(59));
    assert!(bench.deletes.is_empty(), "{:#?}", bench.timeline);
    errs_for(&mut bench, "web.1", mins(2));
    assert_eq!(bench.deletes.len(), 1, "{:#?}", bench.timeline);
}

#[test]
fn a_pause_read_by_a_fast_clock_ends_by_herokus() {
    let mut bench = Bench::new(plan(), 1);
    let wall = bench.now.wall;
    bench.now.wall = later(wall, secs(99));
    let pauses =
        vec![RestoredPause { app: None, until: later(wall, mins(10)), reason: "launch".into(), by: None }];
    bench.input(Input::Restore(RestoredState { pauses, ..RestoredState::default() }));
    bench.now.wall = wall;
    errs_for(&mut bench, "web.1", secs(9 * 60 + 40));
    assert!(bench.deletes.is_empty(), "{:#?}", bench.timeline);
    bench.pass(secs(20));
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 1, "{:#?}", bench.timeline);
}
