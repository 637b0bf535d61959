//! Rules on uptime, swap and slow dynos; windows of a rule, quiet hours, and proof.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::rows::{errs_for, times};
use super::{APP, Bench, dyno, mins, plan, policy, secs};
use crate::calendar::QuietHours;
use crate::days::verdict::Verdict;
use crate::engine::days::{AppDays, Breaches};
use crate::engine::{Effect, Input};
use crate::event::{Fact, Megabytes};
use crate::policy::{Act, AppPlan, Factor, MemoryBound, Proof, Rule, Trigger};
use crate::record::Record;

pub(super) fn with(trigger: Trigger, act: Act, window: &[&str], proof: Option<Proof>) -> AppPlan {
    let window = window.iter().map(|window| window.parse().expect("a window")).collect();
    let rule = Rule { name: "r".into(), trigger, act, window, proof };
    AppPlan { policy: policy(), rules: vec![rule], ..plan() }
}

const HOUR: Duration = Duration::from_secs(3600);

fn uptime(window: &[&str]) -> AppPlan {
    with(Trigger::Uptime { above: HOUR * 16 }, Act::Restart, window, None)
}

/// Minutes in which dynos 1 to `webs` are heard.
fn heard(bench: &mut Bench, webs: u32, minutes: u64) {
    for _ in 0..minutes {
        let dynos = (1..=webs).map(|index| (dyno(&format!("web.{index}")), None)).collect();
        bench.input(Input::Ages { app: APP, dynos });
        bench.pass(mins(1));
    }
}

fn quiet(bench: &mut Bench, from: Option<u8>) {
    let quiet = from.map(|from| QuietHours { from, zone: TimeZone::UTC });
    bench.input(Input::Days { app: APP, days: AppDays { quiet, ..AppDays::default() } });
}

#[test]
fn old_dynos_are_restarted_one_at_a_time_and_not_again() {
    let mut bench = Bench::new(uptime(&[]), 3);
    heard(&mut bench, 3, 60);
    let names: Vec<&str> = bench.deletes.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(names, ["web.1", "web.2", "web.3"], "{:#?}", bench.timeline);
    heard(&mut bench, 3, 15 * 60);
    assert_eq!(bench.deletes.len(), 3, "{:#?}", bench.timeline);
    heard(&mut bench, 3, 120);
    assert_eq!(bench.deletes.len(), 6, "{:#?}", bench.timeline);
}

/// The reason of the one decision.
fn reason(effects: &[Effect]) -> String {
    let decisions: Vec<&Effect> =
        effects.iter().filter(|effect| matches!(effect, Effect::Record(Record::Decision(_)))).collect();
    match decisions[..] {
        [Effect::Record(Record::Decision(decision))] => decision.reason().to_string(),
        _ => panic!("{effects:#?}"),
    }
}

#[test]
fn a_refusal_names_the_setting_that_it_comes_from() {
    let heard = || Input::Ages { app: APP, dynos: vec![(dyno("web.1"), None)] };
    let mut bench = Bench::new(uptime(&["Mon 05:00-06:00"]), 1);
    let effects = bench.engine.handle(heard(), bench.now);
    assert_eq!(reason(&effects), "outside the rule's own window, which opens 2026-03-02 05:00:00Z");
    let mut plan = uptime(&[]);
    plan.policy.window = vec!["Mon 05:00-06:00".parse().expect("a window")];
    let mut bench = Bench::new(plan, 1);
    let effects = bench.engine.handle(heard(), bench.now);
    assert_eq!(
        reason(&effects),
        "outside the restart window (policy.window), which opens 2026-03-02 05:00:00Z"
    );
}

#[test]
fn the_api_shows_how_old_a_dyno_is() {
    let mut bench = Bench::new(uptime(&[]), 1);
    let young = crate::time::earlier(bench.now.wall, HOUR * 15);
    (bench.api[0].created_at, bench.api[0].updated_at) = (young, young);
    heard(&mut bench, 1, 30);
    assert_eq!(bench.timeline, ["00:00:00 web.1 hold too_young"]);
    // One look was enough to know when it is old.
    assert_eq!(bench.calls, 2);
    heard(&mut bench, 1, 40);
    assert_eq!(bench.deletes.len(), 1, "{:#?}", bench.timeline);
}

#[test]
fn a_shut_window_has_one_row() {
    // It is midnight.
    let mut bench = Bench::new(uptime(&["quiet"]), 2);
    heard(&mut bench, 2, 60);
    assert_eq!(bench.timeline, ["00:00:00 web.1 hold quiet_unknown", "00:00:00 web.2 hold quiet_unknown"]);
    quiet(&mut bench, Some(3));
    heard(&mut bench, 2, 119);
    let expect = ["01:00:00 web.1 hold outside_window", "01:00:00 web.2 hold outside_window"];
    assert_eq!(bench.timeline[2..], expect);
    assert_eq!(bench.calls, 0);
    heard(&mut bench, 2, 10);
    assert_eq!(bench.deletes.len(), 2, "{:#?}", bench.timeline);
    assert!(bench.deletes[0].starts_with("03:00"), "{:?}", bench.deletes);
}

#[test]
fn the_policy_and_the_rule_must_both_be_open() {
    let mut bench = Bench::new(
        AppPlan {
            policy: crate::policy::Policy {
                window: vec!["05:00-06:00".parse().expect("a window")],
                ..policy()
            },
            ..uptime(&["quiet"])
        },
        1,
    );
    quiet(&mut bench, Some(3));
    heard(&mut bench, 1, 300);
    assert_eq!(bench.timeline.len(), 1, "{:#?}", bench.timeline);
    heard(&mut bench, 1, 5);
    assert!(bench.deletes[0].starts_with("05:00"), "{:?}", bench.deletes);
}

#[test]
fn a_window_binds_only_its_rule_and_forced_restarts_pass() {
    let mut both = uptime(&["quiet"]);
    both.rules.extend(plan().rules);
    let mut bench = Bench::new(both, 1);
    bench.r14("web.1");
    assert_eq!(bench.deletes.len(), 1, "{:#?}", bench.timeline);
}

#[test]
fn age_can_also_only_notify() {
    let mut bench = Bench::new(with(Trigger::Uptime { above: HOUR }, Act::Notify, &[], None), 1);
    heard(&mut bench, 1, 30);
    assert_eq!(bench.timeline, ["00:00:00 web.1 notify rule"]);
}

fn sample(total: u64, swap: Option<u64>) -> Fact {
    let megabytes = |megabytes: u64| Megabytes { hundredths: megabytes * 100 };
    Fact::Sample {
        dyno: dyno("web.1"),
        instance: "a".parse().expect("an id"),
        total: megabytes(total),
        quota: megabytes(512),
        swap: swap.map(megabytes),
    }
}

fn samples(bench: &mut Bench, minutes: u64, total: u64, swap: Option<u64>) {
    for _ in 0..minutes * 3 {
        bench.events(vec![sample(total, swap)]);
        bench.pass(secs(20));
    }
}

fn breaches(bench: &mut Bench, breached: u32) {
    let process_type = "web".parse().expect("a type");
    let breaches = vec![Breaches { process_type, rule: "r".into(), breached }];
    bench.input(Input::Days { app: APP, days: AppDays { breaches, ..AppDays::default() } });
}

#[test]
fn memory_below_the_quota_needs_proof() {
    let trigger = Trigger::Memory { above: MemoryBound::OfQuota { permille: 950 }, lasting: mins(3) };
    let proof = Some(Proof { breached: 2, of: 3 });
    let mut bench = Bench::new(with(trigger, Act::Restart, &[], proof), 1);
    samples(&mut bench, 60, 500, None);
    assert!(bench.timeline.iter().all(|line| line.ends_with("web.1 hold unproven")), "{:#?}", bench.timeline);
    assert!(!bench.timeline.is_empty() && bench.calls == 0);
    breaches(&mut bench, 1);
    samples(&mut bench, 10, 500, None);
    assert_eq!(bench.calls, 0);
    breaches(&mut bench, 2);
    samples(&mut bench, 1, 500, None);
    assert_eq!(bench.deletes.len(), 1, "{:#?}", bench.timeline.last());
}

#[test]
fn swap_is_compared_with_its_limit() {
    let above = MemoryBound::Size(Megabytes { hundredths: 5000 });
    let trigger = Trigger::Swap { above, lasting: mins(3) };
    let mut bench = Bench::new(with(trigger, Act::Restart, &[], None), 1);
    samples(&mut bench, 10, 600, None);
    samples(&mut bench, 10, 600, Some(50));
    assert_eq!(bench.timeline, Vec::<String>::new());
    samples(&mut bench, 4, 400, Some(60));
    assert_eq!(bench.deletes.len(), 1, "{:#?}", bench.timeline);
}

#[test]
fn a_slow_dyno_takes_the_way_of_all_errors() {
    let trigger = Trigger::SlowerThanPeers { above: Factor { permille: 1500 } };
    let mut bench = Bench::new(with(trigger, Act::Restart, &[], None), 3);
    let slow = |bench: &mut Bench| {
        let at = bench.now.wall;
        bench.input(Input::Slow { app: APP, dyno: dyno("web.2"), rule: "r".into(), at });
    };
    slow(&mut bench);
    assert_eq!(bench.deletes, ["00:00:00 web.2"]);
    bench.pass(mins(5));
    slow(&mut bench);
    assert_eq!(bench.deletes.len(), 1);
    assert!(bench.timeline.last().is_some_and(|line| line.ends_with("hold cooling_down")));
}

/// Found by the simulation: the cool-down stayed doubled for a dyno that erred by another rule.
#[test]
fn a_restart_has_helped_if_its_own_error_stays_away() {
    let slow = |bench: &mut Bench| {
        let at = bench.now.wall;
        bench.input(Input::Slow { app: APP, dyno: dyno("web.1"), rule: "r".into(), at });
    };
    let mut plan = plan();
    let trigger = Trigger::SlowerThanPeers { above: Factor { permille: 1500 } };
    plan.rules.extend(with(trigger, Act::Restart, &[], None).rules);
    let mut bench = Bench::new(plan, 1);
    errs_for(&mut bench, "web.1", mins(20));
    assert_eq!((bench.deletes.len(), times(&bench, "web.1 no_help")), (1, 1), "{:#?}", bench.timeline);
    slow(&mut bench);
    assert_eq!(bench.deletes.len(), 2, "{:#?}", bench.timeline);
    // The dyno is not slow again, and errs by the other rule. Its cool-down is 10 minutes, and no longer 20.
    errs_for(&mut bench, "web.1", mins(9));
    assert_eq!(bench.deletes.len(), 2, "{:#?}", bench.timeline);
    errs_for(&mut bench, "web.1", mins(2));
    assert_eq!(bench.deletes.len(), 3, "{:#?}", bench.timeline);
}

/// Found by the simulation: errors of one rule kept the waiting restart of another alive.
#[test]
fn a_waiting_restart_needs_a_recent_error_of_its_own_rule() {
    let check = |proof: Option<Proof>, expect: [&str; 2]| {
        let slow =
            with(Trigger::SlowerThanPeers { above: Factor { permille: 1500 } }, Act::Restart, &[], None);
        let mut plan = plan();
        plan.rules[0].proof = proof;
        plan.rules.extend(slow.rules);
        let mut bench = Bench::new(plan, 3);
        bench.boot = mins(2);
        bench.input(Input::Slow { app: APP, dyno: dyno("web.1"), rule: "r".into(), at: bench.now.wall });
        bench.input(Input::Slow { app: APP, dyno: dyno("web.2"), rule: "r".into(), at: bench.now.wall });
        for _ in 0..9 {
            bench.r14("web.2");
            bench.pass(secs(20));
        }
        let of_second: Vec<&str> = bench
            .timeline
            .iter()
            .filter_map(|line| line.split_once(" web.2 "))
            .map(|(_, what)| what)
            .collect();
        let [held, last] = expect;
        assert!(of_second.contains(&held), "{expect:?}: {:#?}", bench.timeline);
        assert_eq!(bench.deletes.len() == 2, last == "restart", "{expect:?}: {:#?}", bench.timeline);
    };
    // Former lives do not prove the second rule, so it may not restart anything.
    check(Some(Proof { breached: 2, of: 3 }), ["hold stale", "hold"]);
    check(None, ["restart rule", "restart"]);
}

#[test]
fn a_level_above_the_quota_is_given_up_after_one_useless_restart() {
    let errs = |bench: &mut Bench| {
        for _ in 0..12 * 60 {
            bench.r14("web.1");
            bench.pass(secs(20));
        }
    };
    let mut known = Bench::new(plan(), 1);
    let verdicts = vec![("web".parse().expect("a type"), Verdict::LevelsOutAbove)];
    known.input(Input::Days { app: APP, days: AppDays { verdicts, ..AppDays::default() } });
    errs(&mut known);
    let mut unknown = Bench::new(plan(), 1);
    errs(&mut unknown);
    assert_eq!((known.deletes.len(), unknown.deletes.len()), (1, 3), "{:#?}", known.timeline.last());
    assert!(known.timeline.iter().any(|line| line.ends_with("notice give_up")));
}
