//! Which other dynos are out, and which dynos are none of a formation's.

use std::num::NonZeroU32;

use super::days::with;
use super::rows::{errs_for, times};
use super::{APP, Bench, dyno, mins, plan, secs};
use crate::api::DynoInfo;
use crate::engine::Input;
use crate::event::{Change, DynoState, Event, Fact};
use crate::policy::{Act, Trigger};
use crate::time::{earlier, later};

#[test]
fn one_off_dynos_are_looked_at_once() {
    let mut bench = Bench::new(plan(), 1);
    let old = earlier(bench.now.wall, mins(60));
    let console = bench.instance("web.4321", old, DynoState::Up);
    bench.api.push(DynoInfo { is_one_off: true, ..console });
    errs_for(&mut bench, "web.4321", mins(5));
    assert_eq!((bench.calls, bench.deletes.len()), (2, 0), "{:#?}", bench.timeline);
    bench.life("web.4321", Change::Starting);
    bench.pass(mins(4));
    bench.r14("web.4321");
    assert_eq!(bench.calls, 4, "another process has its name");
}

#[test]
fn a_dyno_that_was_scaled_away_is_not_broken() {
    let mut bench = Bench::new(plan(), 3);
    bench.life("web.2", Change::to(DynoState::Down));
    bench.pass(mins(30));
    bench.boot = mins(2);
    bench.replace("web.2");
    bench.life("web.2", Change::Starting);
    bench.pass(secs(20));
    bench.r14("web.1");
    assert!(bench.deletes.is_empty(), "it boots, and the others wait: {:#?}", bench.timeline);
}

/// Found by the simulation: a clock that was set right made a dyno look as if it had been down for longer
/// than it may take to boot, and another went beside it.
#[test]
fn a_dyno_is_not_down_for_longer_because_our_clock_was_set() {
    let mut bench = Bench::new(plan(), 3);
    let by_heroku = later(bench.now.wall, mins(4));
    let fact = Fact::Life { dyno: dyno("web.2"), change: Change::Starting };
    bench.input(Input::Events { app: APP, events: vec![Event { at: by_heroku, fact }] });
    bench.now.wall = by_heroku;
    bench.boot = mins(2);
    bench.replace("web.2");
    bench.pass(secs(10));
    bench.r14("web.1");
    assert!(bench.deletes.is_empty(), "{:#?}", bench.timeline);
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
fn a_list_without_a_dyno_that_left_or_came_up_long_ago_is_whole() {
    for (change, wait) in [
        (Change::Starting, mins(3) + secs(30)),
        (Change::to(DynoState::Up), mins(3) + secs(30)),
        (Change::Leaving, secs(20)),
        (Change::to(DynoState::Down), secs(20)),
    ] {
        let mut bench = Bench::new(plan(), 3);
        bench.life("web.2", change);
        bench.api.retain(|seen| seen.name != dyno("web.2"));
        bench.pass(wait);
        bench.r14("web.1");
        assert_eq!(bench.deletes.len(), 1, "{change:?} {:#?}", bench.timeline);
    }
}

/// Its formation has grown, and the quantity that an inspection went by was that of before.
#[test]
fn a_dyno_that_was_taken_for_a_one_off_is_looked_at_again() {
    let mut bench = Bench::new(plan(), 2);
    bench.dyno_mut("web.2").is_one_off = true;
    bench.r14("web.2");
    bench.dyno_mut("web.2").is_one_off = false;
    errs_for(&mut bench, "web.2", mins(9));
    assert_eq!((bench.calls, bench.deletes.len()), (2, 0), "{:#?}", bench.timeline);
    errs_for(&mut bench, "web.2", mins(2));
    assert_eq!(bench.deletes.len(), 1, "{:#?}", bench.timeline);
}

#[test]
fn the_age_of_a_one_off_dyno_is_no_reason_to_look_again() {
    let mut bench = Bench::new(with(Trigger::Uptime { above: mins(60) }, Act::Restart, &[], None), 1);
    let console = bench.instance("web.4321", earlier(bench.now.wall, mins(120)), DynoState::Up);
    bench.api.push(DynoInfo { is_one_off: true, ..console });
    for _ in 0..5 {
        bench.input(Input::Ages { app: APP, dynos: vec![(dyno("web.4321"), None)] });
        bench.pass(mins(1));
    }
    assert_eq!((bench.calls, bench.deletes.len()), (2, 0), "{:#?}", bench.timeline);
}

/// Found by the simulation: the line about coming up was lost, the dyno went on counting as broken, and
/// another went beside it.
#[test]
fn a_dyno_that_was_up_until_it_crashed_is_out_anew() {
    let (up, crashed) = (DynoState::Up, DynoState::Crashed);
    for (from, deletes) in [(Some(up), 0), (Some(DynoState::Starting), 1), (None, 1)] {
        let mut bench = Bench::new(plan(), 4);
        bench.life("web.2", Change::State { from: Some(up), to: crashed });
        bench.pass(mins(30));
        let wall = bench.now.wall;
        let second = bench.dyno_mut("web.2");
        (second.state, second.updated_at) = (crashed, wall);
        bench.life("web.2", Change::State { from, to: crashed });
        bench.r14("web.1");
        assert_eq!(bench.deletes.len(), deletes, "{from:?} {:#?}", bench.timeline);
    }
}

/// Found by the simulation: the old process had just been stopped, and another dyno went although the new one
/// had not come up.
#[test]
fn with_preboot_a_dyno_is_out_only_once_the_old_process_has_gone() {
    for (preboot, starting_for, deletes) in
        [(false, mins(4), 1), (true, mins(4), 0), (true, mins(5) + secs(50), 0), (true, mins(7), 1)]
    {
        let mut bench = Bench::new(plan(), 4);
        (bench.preboot, bench.boot) = (preboot, mins(10));
        let since = earlier(bench.now.wall, starting_for);
        let second = bench.dyno_mut("web.2");
        (second.state, second.created_at, second.updated_at) = (DynoState::Starting, since, since);
        bench.r14("web.1");
        assert_eq!(bench.deletes.len(), deletes, "{preboot} {starting_for:?} {:#?}", bench.timeline);
    }
}

#[test]
fn a_dyno_that_is_down_for_long_is_broken() {
    let mut bench = Bench::new(plan(), 4);
    let wall = bench.now.wall;
    let second = bench.dyno_mut("web.2");
    (second.state, second.updated_at) = (DynoState::Down, wall);
    bench.life("web.2", Change::to(DynoState::Down));
    for _ in 0..2 {
        bench.pass(mins(4));
        bench.r14("web.1");
        assert_eq!((bench.deletes.len(), times(&bench, "notice failure")), (1, 1), "{:#?}", bench.timeline);
    }
}

#[test]
fn a_dyno_that_the_list_lacks_is_out_once() {
    let mut plan = plan();
    plan.policy.max_concurrent = NonZeroU32::MIN.saturating_add(1);
    for quantity in [None, Some(4)] {
        let mut bench = Bench::new(plan.clone(), 4);
        bench.quantity = quantity;
        bench.r14("web.2");
        bench.life("web.2", Change::Starting);
        bench.api.retain(|seen| seen.name != dyno("web.2"));
        bench.r14("web.1");
        assert_eq!(bench.deletes.len(), 2, "{quantity:?} {:#?}", bench.timeline);
        bench.r14("web.3");
        assert_eq!(bench.deletes.len(), 2, "{quantity:?} {:#?}", bench.timeline);
    }
}
