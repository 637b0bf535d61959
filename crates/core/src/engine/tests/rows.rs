//! Rows of restarts that did not help, and what earlier processes and wrong clocks leave behind.

use std::num::NonZeroU32;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{APP, Bench, Fault, dyno, mins, plan, secs};
use crate::codes::Code;
use crate::engine::Input;
use crate::engine::claim::ClaimRefusal;
use crate::engine::restore::{
    OpenClaim, PendingCause, PendingRestart, RestoredGiveUp, RestoredPause, RestoredRestart, RestoredState,
};
use crate::event::{Change, DynoState, Event, Fact, Megabytes};
use crate::policy::AppPlan;
use crate::record::usefulness::Usefulness;
use crate::record::{AttemptId, MANUAL};
use crate::time::{earlier, later};

/// Enough places for every restart of a test.
fn generous() -> AppPlan {
    let mut plan = plan();
    plan.policy.max_restarts.count = plan.policy.max_restarts.count.saturating_add(100);
    plan
}

/// A cool-down and a least uptime of a minute.
fn hasty() -> AppPlan {
    let mut plan = generous();
    (plan.policy.cooldown, plan.policy.min_uptime) = (mins(1), mins(1));
    plan
}

/// The restarts of web.1 that an earlier process left.
fn one_useless_and_one_unjudged(wall: Timestamp) -> Vec<RestoredRestart> {
    let unjudged = RestoredRestart {
        accepted_at: earlier(wall, secs(150)),
        back_at: Some(earlier(wall, secs(140))),
        ..restored(wall, 0, Usefulness::Unknown)
    };
    vec![restored(wall, 30, Usefulness::Useless), unjudged]
}

/// Errors every 20 s.
pub(super) fn errs_for(bench: &mut Bench, name: &str, span: std::time::Duration) {
    for _ in 0..span.as_secs() / 20 {
        bench.r14(name);
        bench.pass(secs(20));
    }
}

pub(super) fn times(bench: &Bench, what: &str) -> usize {
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
fn with_preboot_a_low_sample_shows_that_the_errors_were_the_old_dynos() {
    for (hundredths, no_help) in [(40_000, 0), (60_000, 1)] {
        let mut bench = Bench::new(generous(), 2);
        bench.preboot = true;
        bench.r14("web.1");
        bench.pass(secs(60));
        errs_for(&mut bench, "web.1", secs(90));
        bench.events(vec![Fact::Sample {
            dyno: dyno("web.1"),
            instance: "fresh".parse().expect("an id"),
            total: Megabytes { hundredths },
            quota: Megabytes { hundredths: 51_200 },
            swap: None,
        }]);
        errs_for(&mut bench, "web.1", mins(4));
        assert_eq!(times(&bench, "web.1 no_help"), no_help, "{hundredths} {:#?}", bench.timeline);
    }
}

/// A late line of the old dyno does not make the new one's errors begin earlier.
#[test]
fn a_late_line_says_nothing_about_the_new_dyno() {
    let mut bench = Bench::new(generous(), 2);
    bench.preboot = true;
    bench.r14("web.1");
    bench.pass(secs(4 * 60));
    errs_for(&mut bench, "web.1", secs(30));
    let at = earlier(bench.now.wall, mins(4));
    let r14 = Fact::Error { code: Code::R14, dyno: Some(dyno("web.1")) };
    bench.input(Input::Events { app: APP, events: vec![Event { at, fact: r14 }] });
    errs_for(&mut bench, "web.1", mins(3));
    assert_eq!(times(&bench, "web.1 no_help"), 0, "{:#?}", bench.timeline);
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
    bench.life("web.1", Change::to(DynoState::Crashed));
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
fn what_our_own_restart_brings_needs_no_other_look() {
    let mut bench = Bench::new(generous(), 1);
    bench.r14("web.1");
    bench.life("web.1", Change::Starting);
    errs_for(&mut bench, "web.1", mins(2));
    let calls = bench.calls;
    errs_for(&mut bench, "web.1", mins(17));
    assert_eq!((bench.calls, times(&bench, "web.1 no_help")), (calls, 1), "{:#?}", bench.timeline);
}

/// Restarts `web.1` twice; the first does not help.
fn with_a_row() -> Bench {
    let mut plan = generous();
    plan.policy.settle = mins(2);
    let mut bench = Bench::new(plan, 3);
    errs_for(&mut bench, "web.1", mins(20));
    bench.r14("web.1");
    bench.pass(secs(20));
    assert_eq!((bench.deletes.len(), times(&bench, "web.1 no_help")), (2, 1), "{:#?}", bench.timeline);
    bench
}

#[test]
fn a_process_that_ends_before_it_is_judged_ends_a_row() {
    for crashes in [true, false] {
        let mut bench = with_a_row();
        if crashes {
            bench.dyno_mut("web.1").state = DynoState::Crashed;
            bench.life("web.1", Change::to(DynoState::Crashed));
            bench.pass(secs(5));
        } else {
            bench.life("web.1", Change::Starting);
        }
        bench.replace("web.1");
        bench.pass(mins(8));
        errs_for(&mut bench, "web.1", mins(3));
        assert_eq!(bench.deletes.len(), 3, "{crashes} {:#?}", bench.timeline);
        assert!(bench.deletes[2].as_str() < "00:31:00", "{:?}", bench.deletes);
    }
}

#[test]
fn a_restart_that_comes_up_under_a_release_is_the_first_of_that_release() {
    let mut plan = plan();
    plan.policy.max_restarts.count = NonZeroU32::MIN.saturating_add(1);
    let mut bench = Bench::new(plan, 1);
    errs_for(&mut bench, "web.1", mins(20));
    assert_eq!((bench.deletes.len(), times(&bench, "web.1 no_help")), (1, 1), "{:#?}", bench.timeline);
    bench.r14("web.1");
    bench.dyno_mut("web.1").release = Some(8);
    // The counts start again, and with them the cool-down and the places.
    bench.pass(mins(10));
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 3, "{:#?}", bench.timeline);
    // It is one of the two.
    bench.dyno_mut("web.1").release = Some(8);
    bench.pass(mins(45));
    bench.r14("web.1");
    assert!(bench.timeline.last().expect("a line").ends_with("max_restarts"), "{:#?}", bench.timeline);
}

#[test]
fn a_release_while_the_new_dyno_settles_is_looked_for() {
    let mut plan = plan();
    plan.policy.max_restarts.count = NonZeroU32::MIN;
    let mut bench = Bench::new(plan, 1);
    bench.r14("web.1");
    bench.pass(secs(20));
    bench.replace("web.1");
    bench.dyno_mut("web.1").release = Some(8);
    bench.life("web.1", Change::Starting);
    bench.pass(mins(11));
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 2, "{:#?}", bench.timeline);
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
    bench.life("web.1", Change::to(DynoState::Up));
    bench.pass(mins(3));
    errs_for(&mut bench, "web.1", mins(1));
    assert_eq!(bench.deletes.len(), 2, "before the doubled cool-down is over: {:#?}", bench.timeline);
    assert!(bench.deletes[1].as_str() < "00:20:00");
}

#[test]
fn a_give_up_read_by_a_slow_clock_ends_by_herokus() {
    let mut bench = Bench::new(plan(), 1);
    let wall = bench.now.wall;
    let month = mins(31 * 24 * 60);
    let given_up = vec![RestoredGiveUp {
        app: APP,
        dyno: dyno("web.1"),
        at: wall,
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

#[test]
fn a_pause_is_not_prolonged_by_a_clock_that_is_far_off_or_by_our_own() {
    let restored = |until| {
        let pauses = vec![RestoredPause { app: None, until, reason: "launch".into(), by: None }];
        Input::Restore(RestoredState { pauses, ..RestoredState::default() })
    };
    let own = |until| Input::Pause { app: None, until, reason: "launch".into(), by: None };
    let pauses: [(&dyn Fn(Timestamp) -> Input, _); 2] = [(&restored, mins(15)), (&own, secs(99))];
    for (pause, lead) in pauses {
        let mut bench = Bench::new(plan(), 1);
        let wall = bench.now.wall;
        bench.now.wall = later(wall, lead);
        bench.input(pause(later(bench.now.wall, mins(5))));
        bench.now.wall = wall;
        errs_for(&mut bench, "web.1", mins(5));
        assert!(bench.deletes.is_empty(), "{lead:?} {:#?}", bench.timeline);
        bench.r14("web.1");
        assert_eq!(bench.deletes.len(), 1, "{lead:?} {:#?}", bench.timeline);
    }
}

/// A restart of an earlier process, so many minutes before `wall`.
fn restored(wall: Timestamp, mins_ago: u64, usefulness: Usefulness) -> RestoredRestart {
    let accepted_at = earlier(wall, mins(mins_ago));
    RestoredRestart {
        app: APP,
        dyno: dyno("web.1"),
        accepted_at,
        back_at: (usefulness != Usefulness::NeverHappened).then(|| later(accepted_at, secs(10))),
        rule: Some("r14".into()),
        is_forced: false,
        usefulness,
        release: Some(7),
    }
}

#[test]
fn rows_go_on_in_the_next_process() {
    use Usefulness::{NeverHappened, Unknown, Useless};
    for (restarts, cool_at) in [
        (&[(15, Useless)][..], "00:05"),
        (&[(30, Useless), (15, Useless)], "00:25"),
        // The one that helped ends the row.
        (&[(45, Useless), (30, Unknown), (15, Useless)], "00:05"),
        (&[(45, Useless), (30, Useless), (15, NeverHappened)], "00:25"),
        (&[(45, Useless), (15, Unknown)], "00:00"),
    ] {
        let mut bench = Bench::new(generous(), 1);
        let wall = bench.now.wall;
        let restarts = restarts.iter().map(|(ago, usefulness)| restored(wall, *ago, *usefulness)).collect();
        bench.input(Input::Restore(RestoredState { restarts, ..RestoredState::default() }));
        errs_for(&mut bench, "web.1", mins(30));
        assert!(bench.deletes[0].starts_with(cool_at), "{cool_at} {:#?}", bench.timeline);
        assert_eq!(
            bench.timeline.iter().filter(|line| line.ends_with("no_help") && line.as_str() < cool_at).count(),
            0,
            "it was judged before: {:#?}",
            bench.timeline
        );
    }
}

/// It came up before the stop, and the error is soon back.
#[test]
fn a_restart_that_is_judged_in_the_next_process_goes_on_with_its_row() {
    // The second one has taken long to boot.
    for (accepted_ago, cool_at) in [(60, "00:39"), (7 * 60, "00:33")] {
        let mut bench = Bench::new(generous(), 1);
        let wall = bench.now.wall;
        let last = RestoredRestart {
            accepted_at: earlier(wall, secs(accepted_ago)),
            back_at: Some(earlier(wall, secs(50))),
            ..restored(wall, 0, Usefulness::Unknown)
        };
        let restarts = vec![restored(wall, 30, Usefulness::Useless), last];
        bench.input(Input::Restore(RestoredState { restarts, ..RestoredState::default() }));
        errs_for(&mut bench, "web.1", secs(39 * 60 + 20));
        let judged: Vec<_> = bench.timeline.iter().filter(|line| line.ends_with("web.1 no_help")).collect();
        assert!(judged[0].as_str() < "00:05", "{judged:?}");
        // Two in a row, so that the cool-down is doubled twice.
        assert!(bench.deletes[0].starts_with(cool_at), "{accepted_ago} {:?}", bench.deletes);
    }
}

/// Found by killing the daemon: the look that shows that there is no preboot came with the next restart, and
/// the last one was never judged.
#[test]
fn a_restart_is_judged_before_the_next_one_of_a_new_process() {
    let plan = hasty();
    let mut bench = Bench::new(plan, 1);
    let wall = bench.now.wall;
    let restarts = one_useless_and_one_unjudged(wall);
    bench.input(Input::Restore(RestoredState { restarts, ..RestoredState::default() }));
    // Two in a row: four times the cool-down, from the acceptance.
    errs_for(&mut bench, "web.1", mins(1));
    assert_eq!((bench.deletes.len(), times(&bench, "web.1 no_help")), (0, 1), "{:#?}", bench.timeline);
    errs_for(&mut bench, "web.1", mins(1));
    assert_eq!(bench.deletes.len(), 1, "{:#?}", bench.timeline);
}

/// Found by killing replicas: the one that made the last restart did not live to see the dyno up, and the
/// others never judged that restart.
#[test]
fn a_restart_is_judged_although_nobody_saw_the_dyno_come_up() {
    let mut bench = Bench::new(hasty(), 1);
    let wall = bench.now.wall;
    bench.dyno_mut("web.1").updated_at = earlier(wall, secs(140));
    let mut restarts = one_useless_and_one_unjudged(wall);
    restarts[1].back_at = None;
    bench.input(Input::Restore(RestoredState { restarts, ..RestoredState::default() }));
    bench.r14("web.1");
    assert_eq!((bench.deletes.len(), times(&bench, "web.1 no_help")), (0, 1), "{:#?}", bench.timeline);
}

/// A process takes up a restart whose dyno has been up for a while.
#[test]
fn a_restart_that_is_taken_up_late_is_judged() {
    let mut plan = hasty();
    plan.policy.boot_timeout = mins(1);
    let mut bench = Bench::new(plan, 2);
    let wall = bench.now.wall;
    let accepted_at = earlier(wall, secs(100));
    let old = bench.instance("web.1", earlier(wall, mins(60)), DynoState::Up);
    let new = bench.instance("web.1", earlier(wall, secs(90)), DynoState::Up);
    *bench.dyno_mut("web.1") = new;
    let claim = OpenClaim {
        attempt_id: AttemptId(1),
        app: APP,
        target: old,
        rule: "r14".into(),
        is_forced: false,
        accepted_at: Some(accepted_at),
    };
    let last = RestoredRestart { accepted_at, back_at: None, ..restored(wall, 0, Usefulness::Unknown) };
    bench.input(Input::Restore(RestoredState {
        claims: vec![claim],
        restarts: vec![restored(wall, 30, Usefulness::Useless), last],
        ..RestoredState::default()
    }));
    for _ in 0..6 {
        bench.r14("web.1");
        bench.pass(secs(10));
    }
    assert_eq!((bench.deletes.len(), times(&bench, "web.1 no_help")), (0, 1), "{:#?}", bench.timeline);
}

/// The same for a dyno that waits for another.
#[test]
fn a_restart_is_judged_although_the_dyno_waits_its_turn() {
    let mut plan = generous();
    (plan.policy.cooldown, plan.policy.min_uptime) = (secs(4), secs(1));
    (plan.policy.boot_timeout, plan.policy.settle) = (secs(30), secs(1));
    let mut bench = Bench::new(plan, 3);
    bench.boot = secs(2);
    let wall = bench.now.wall;
    bench.dyno_mut("web.2").created_at = earlier(wall, secs(59));
    bench.dyno_mut("web.2").updated_at = earlier(wall, secs(58));
    let last = RestoredRestart {
        dyno: dyno("web.2"),
        accepted_at: earlier(wall, secs(60)),
        back_at: None,
        ..restored(wall, 0, Usefulness::Unknown)
    };
    bench.input(Input::Restore(RestoredState { restarts: vec![last], ..RestoredState::default() }));
    for _ in 0..8 {
        bench.r14("web.1");
        bench.r14("web.2");
        bench.pass(secs(1));
    }
    let of_second = bench.timeline.iter().position(|line| line.ends_with("web.2 no_help"));
    let next = bench.timeline.iter().position(|line| line.ends_with("web.2 restart rule"));
    assert!(of_second.is_some() && of_second < next, "{:#?}", bench.timeline);
}

/// Three replicas take turns, and none of them would otherwise see more than one of the restarts.
#[test]
fn the_restarts_of_replicas_are_judged_before_the_next_one() {
    let news = |until: Timestamp, restarts: Vec<RestoredRestart>| {
        Fault::Claim(ClaimRefusal::Elsewhere { until, restarts })
    };
    let replica = |bench: &Bench, back_ago: u64, before: &[Usefulness]| {
        let wall = bench.now.wall;
        let mut restarts: Vec<RestoredRestart> = before
            .iter()
            .zip([90, 60, 30])
            .map(|(usefulness, minutes)| restored(wall, minutes, *usefulness))
            .collect();
        restarts.push(RestoredRestart {
            accepted_at: earlier(wall, secs(back_ago + 10)),
            back_at: Some(earlier(wall, secs(back_ago))),
            ..restored(wall, 0, Usefulness::Unknown)
        });
        restarts
    };
    let run = |back_ago: u64, before: &[Usefulness]| {
        let mut bench = Bench::new(hasty(), 1);
        let restarts = replica(&bench, back_ago, before);
        bench.faults.push_back(news(bench.now.wall, restarts));
        bench.r14("web.1");
        let last = bench.timeline.last().cloned().unwrap_or_default();
        (bench.deletes.len(), times(&bench, "web.1 no_help"), last)
    };
    let useless = Usefulness::Useless;
    // The second that did not help: the cool-down is four times as long.
    assert_eq!(run(140, &[useless]), (0, 1, "00:00:00 web.1 hold cooling_down".to_owned()));
    // The third: no more.
    assert_eq!(run(140, &[useless, useless]), (0, 1, "00:00:00 web.1 hold given_up".to_owned()));
    // It helped, so the next one follows at once.
    assert_eq!(run(1000, &[useless, useless]), (1, 0, "00:00:00 web.1 accepted".to_owned()));
}

/// A process that ended in good order leaves the error that its successor takes up.
#[test]
fn an_error_that_is_taken_up_judges_the_last_restart() {
    let plan = hasty();
    let rule = Arc::clone(&plan.rules[0].name);
    let mut bench = Bench::new(plan, 1);
    let wall = bench.now.wall;
    let cause = PendingCause::Rule { rule, code: Some(Code::R14), lines: 1, error_at: wall };
    bench.input(Input::Restore(RestoredState {
        restarts: one_useless_and_one_unjudged(wall),
        pending: vec![PendingRestart { app: APP, dyno: dyno("web.1"), cause }],
        ..RestoredState::default()
    }));
    assert_eq!((bench.deletes.len(), times(&bench, "web.1 no_help")), (0, 1), "{:#?}", bench.timeline);
}

/// Found by killing the daemon: the look at one dyno showed that there is no preboot, and the next restart of
/// another, which had erred before that look, came before the judgement of its last one.
#[test]
fn a_look_at_another_dyno_leaves_no_restart_unjudged() {
    let plan = hasty();
    let mut bench = Bench::new(plan, 2);
    let wall = bench.now.wall;
    let restarts = one_useless_and_one_unjudged(wall);
    bench.input(Input::Restore(RestoredState { restarts, ..RestoredState::default() }));
    // Both in one batch, before any answer of the API.
    let error = |name| Fact::Error { code: Code::R14, dyno: Some(dyno(name)) };
    bench.events(vec![error("web.2"), error("web.1")]);
    bench.pass(secs(80));
    assert_eq!(times(&bench, "web.1 no_help"), 1, "{:#?}", bench.timeline);
    assert_eq!(bench.deletes, ["00:00:00 web.2"], "{:#?}", bench.timeline);
}

/// Found by the simulation: a release came between the restart and the stop, and the next process gave the
/// dyno up for what the release before it had done.
#[test]
fn a_dyno_is_given_up_in_the_next_process_once_its_release_is_known() {
    for (release, given_up, deletes) in [(7, 1, 0), (8, 0, 1)] {
        let mut bench = Bench::new(generous(), 1);
        let wall = bench.now.wall;
        let last = RestoredRestart {
            accepted_at: earlier(wall, secs(60)),
            back_at: Some(earlier(wall, secs(50))),
            ..restored(wall, 0, Usefulness::Unknown)
        };
        let useless = |mins_ago| restored(wall, mins_ago, Usefulness::Useless);
        let restarts = vec![useless(150), useless(120), useless(90), useless(60), last];
        bench.input(Input::Restore(RestoredState { restarts, ..RestoredState::default() }));
        bench.dyno_mut("web.1").release = Some(release);
        errs_for(&mut bench, "web.1", mins(5));
        assert_eq!((times(&bench, "web.1 no_help"), times(&bench, "notice give_up")), (1, 0));
        errs_for(&mut bench, "web.1", mins(7));
        let told = times(&bench, "notice give_up");
        assert_eq!((told, bench.deletes.len()), (given_up, deletes), "{:#?}", bench.timeline);
    }
}

/// Found by the simulation: a process stopped after the API had accepted a restart that was not carried out.
#[test]
fn a_restart_that_turns_out_after_a_stop_not_to_have_happened_ends_no_row() {
    let mut bench = Bench::new(generous(), 1);
    let wall = bench.now.wall;
    let target = bench.api[0].clone();
    let open = RestoredRestart { back_at: None, ..restored(wall, 7, Usefulness::Unknown) };
    let claim = OpenClaim {
        attempt_id: AttemptId(5),
        app: APP,
        target,
        rule: "r14".into(),
        is_forced: false,
        accepted_at: Some(open.accepted_at),
    };
    let restarts = vec![restored(wall, 60, Usefulness::Useless), open];
    bench.input(Input::Restore(RestoredState { claims: vec![claim], restarts, ..RestoredState::default() }));
    assert_eq!(times(&bench, "web.1 ignored"), 1, "{:#?}", bench.timeline);
    errs_for(&mut bench, "web.1", mins(14));
    assert_eq!(bench.deletes, ["00:13:00 web.1"], "{:#?}", bench.timeline);
}

/// Found by the simulation: a process died between a person's word and its answer, and the next one doubled
/// the cool-down for the restarts before that word.
#[test]
fn a_persons_word_starts_the_counts_anew_for_the_process_that_finds_it_carried_out() {
    for (rule, is_forced, may_restart) in [(MANUAL, true, true), (MANUAL, false, true), ("r14", false, false)]
    {
        let mut bench = Bench::new(generous(), 1);
        let wall = bench.now.wall;
        let claim = OpenClaim {
            attempt_id: AttemptId(5),
            app: APP,
            target: bench.api[0].clone(),
            rule: rule.into(),
            is_forced,
            accepted_at: None,
        };
        bench.replace("web.1");
        let restarts = [90, 60].map(|ago| restored(wall, ago, Usefulness::Useless)).to_vec();
        let past = RestoredState { claims: vec![claim], restarts, ..RestoredState::default() };
        bench.input(Input::Restore(past));
        assert_eq!(times(&bench, "web.1 accepted"), 1, "{:#?}", bench.timeline);
        errs_for(&mut bench, "web.1", mins(12));
        assert_eq!(!bench.deletes.is_empty(), may_restart, "{rule} {is_forced}: {:#?}", bench.timeline);
    }
}

#[test]
fn a_release_while_no_process_ran_is_looked_for() {
    let mut bench = Bench::new(plan(), 1);
    let wall = bench.now.wall;
    let restarts = [80, 50, 20].map(|ago| restored(wall, ago, Usefulness::Unknown)).to_vec();
    bench.dyno_mut("web.1").release = Some(8);
    bench.input(Input::Restore(RestoredState { restarts, ..RestoredState::default() }));
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 1, "{:#?}", bench.timeline);
}

/// Found by the simulation: to a clock a month behind, a give-up that was over seemed to be in force and
/// newer than the try after it, so that the cool-down was not doubled once the clock was right.
#[test]
fn a_clock_that_is_behind_makes_no_old_give_up_new() {
    let mut bench = Bench::new(generous(), 1);
    let wall = bench.now.wall;
    let restarts = [600, 570, 500, 11].map(|ago| restored(wall, ago, Usefulness::Useless)).to_vec();
    let given_up = vec![RestoredGiveUp {
        app: APP,
        dyno: dyno("web.1"),
        at: earlier(wall, mins(490)),
        until: earlier(wall, mins(130)),
        release: Some(7),
        times: 1,
    }];
    bench.now.wall = earlier(wall, mins(31 * 24 * 60));
    bench.input(Input::Restore(RestoredState { restarts, given_up, ..RestoredState::default() }));
    bench.now.wall = wall;
    bench.pass(mins(11));
    errs_for(&mut bench, "web.1", mins(4));
    assert!(bench.deletes.is_empty(), "{:#?}", bench.timeline);
}

/// Found by the simulation: the restarts came in the order of a clock that was set in between, so that one of
/// which nothing is known seemed to be the last, or to lie between two others.
#[test]
fn restarts_count_in_the_order_in_which_they_were_asked_for() {
    let check = |unknown_minutes: i64, is_last: bool, doubled: &str| {
        let mut bench = Bench::new(generous(), 1);
        let wall = bench.now.wall;
        let at = |minutes: i64, usefulness| {
            let accepted_at = wall - SignedDuration::from_mins(minutes);
            let back_at = Some(accepted_at);
            RestoredRestart { accepted_at, back_at, ..restored(wall, 0, usefulness) }
        };
        let unknown = RestoredRestart { rule: None, ..at(unknown_minutes, Usefulness::Unknown) };
        let mut restarts = vec![at(30, Usefulness::Useless), at(12, Usefulness::Useless)];
        restarts.insert(if is_last { 2 } else { 0 }, unknown);
        bench.input(Input::Restore(RestoredState { restarts, ..RestoredState::default() }));
        bench.r14("web.1");
        let last = bench.timeline.last().cloned().unwrap_or_default();
        assert!(last.ends_with(doubled), "{unknown_minutes}, {is_last}: {:#?}", bench.timeline);
    };
    // Two in a row: the cool-down of 10 minutes is 40.
    check(60, false, "hold cooling_down");
    check(20, false, "hold cooling_down");
    check(-60, false, "hold cooling_down");
    // It ended the row: 10 minutes since the youngest are over.
    check(11, true, "accepted");
    check(60, true, "accepted");
    // It seems to come, so it counts as young.
    check(-60, true, "hold cooling_down");
}

/// The clock was set back after the person's word, so that later restarts come before it.
#[test]
fn restarts_count_although_a_persons_word_seems_to_be_newer() {
    let mut bench = Bench::new(plan(), 1);
    let wall = bench.now.wall;
    let mut restarts = [100, 80, 50, 20].map(|ago| restored(wall, ago, Usefulness::Unknown)).to_vec();
    restarts[3].is_forced = true;
    bench.input(Input::Restore(RestoredState { restarts, ..RestoredState::default() }));
    bench.r14("web.1");
    assert!(bench.timeline.last().expect("a line").ends_with("max_restarts"), "{:#?}", bench.timeline);
}

/// Found by the simulation: the clock was set back after the restart under the older release, which then came
/// last and cleared what the newer one had used up.
#[test]
fn restarts_count_although_an_older_release_seems_to_be_newer() {
    let mut bench = Bench::new(plan(), 1);
    let wall = bench.now.wall;
    let mut restarts = [100, 80, 50, 20].map(|ago| restored(wall, ago, Usefulness::Unknown)).to_vec();
    restarts[3].release = Some(6);
    bench.input(Input::Restore(RestoredState { restarts, ..RestoredState::default() }));
    bench.r14("web.1");
    assert!(bench.timeline.last().expect("a line").ends_with("max_restarts"), "{:#?}", bench.timeline);
}

/// The try after it came before the stop or comes after it, or has helped.
#[test]
fn a_give_up_that_is_over_makes_the_next_one_longer_after_a_stop() {
    let useless = |wall, mins_ago| restored(wall, mins_ago, Usefulness::Useless);
    let (useless_try, helped) = (Some(Usefulness::Useless), Some(Usefulness::Unknown));
    for (tried, release, give_ups, deletes) in
        [(None, 7, 1, 1), (useless_try, 7, 1, 0), (helped, 7, 0, 1), (useless_try, 6, 0, 0)]
    {
        let mut bench = Bench::new(generous(), 1);
        let wall = bench.now.wall;
        let before =
            [600, 570, 500].map(|ago| RestoredRestart { release: Some(release), ..useless(wall, ago) });
        let mut restarts = before.to_vec();
        restarts.extend(tried.map(|usefulness| restored(wall, 15, usefulness)));
        let given_up = vec![RestoredGiveUp {
            app: APP,
            dyno: dyno("web.1"),
            at: earlier(wall, mins(490)),
            until: earlier(wall, mins(130)),
            release: Some(release),
            times: 1,
        }];
        bench.input(Input::Restore(RestoredState { restarts, given_up, ..RestoredState::default() }));
        super::plateau(&mut bench, mins(4));
        let told = times(&bench, "notice give_up");
        assert_eq!(
            (told, bench.deletes.len()),
            (give_ups, deletes),
            "{tried:?} {release} {:#?}",
            bench.timeline
        );
    }
}

/// A restart with a time in the future counts as now, which is when the give-up is read.
#[test]
fn a_give_up_that_is_over_takes_the_place_of_the_doubled_cool_down() {
    let mut bench = Bench::new(generous(), 1);
    let wall = bench.now.wall;
    let ahead =
        RestoredRestart { accepted_at: later(wall, secs(60)), ..restored(wall, 0, Usefulness::Useless) };
    let given_up = vec![RestoredGiveUp {
        app: APP,
        dyno: dyno("web.1"),
        at: wall,
        until: later(wall, mins(5)),
        release: Some(7),
        times: 1,
    }];
    let past = RestoredState { restarts: vec![ahead], given_up, ..RestoredState::default() };
    bench.input(Input::Restore(past));
    bench.pass(mins(10));
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 1, "{:#?}", bench.timeline);
}
