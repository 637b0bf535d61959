//! Incidents as timelines.

use std::collections::BTreeSet;

use jiff::Timestamp;
use proptest::prelude::{Just, Strategy, prop, prop_oneof, proptest};

use crate::api::ApiError;
use crate::days::verdict::{Judgement, Verdict};
use crate::health::alert::HealthAlert;
use crate::ident::{AppId, ProcessType};
use crate::incident::kind::Kind;
use crate::incident::message::{Improved, Message, Phase};
use crate::incident::stories::{self, Story, minutes, plan, seconds, web};
use crate::incident::{Input, Plan, WatchedApp};
use crate::limits;
use crate::record::hold::{AgeLimit, Hold, WindowOf};
use crate::record::{Action, Evidence, MANUAL, Measure, Notice, NoticeKind, Record, RestartResult, Scope};

#[track_caller]
fn check(story: &Story, expect: &[&str]) {
    assert_eq!(story.timeline(), expect, "\n{:#?}", story.timeline());
}

#[test]
fn a_restart_that_helps_makes_two_messages() {
    let mut story = Story::new();
    story.restart(1).wait(seconds(1)).accepted(1).wait(seconds(12)).back(1, 12, false).wait(minutes(60));
    check(
        &story,
        &[
            "    30s   opened restart         acme web.1: restarted for R14",
            "   313s   closed restart         acme web.1: back after 12s, and it helped",
        ],
    );
    let [opened, closed] = story.messages.as_slice() else { panic!("two messages") };
    assert_eq!(opened.incident, closed.incident);
    assert_ne!(opened.id, closed.id);
    let proof = closed.dynos[0].proof.as_ref().expect("a proof");
    assert_eq!(proof.helped, Improved::Yes);
    assert_eq!(proof.before.map(|figures| figures.requests), Some(1200));
    assert_eq!(proof.after.map(|figures| figures.requests), Some(640));
    assert_eq!(story.next_deadline(), None);
}

#[test]
fn a_plateau_is_reported_as_no_help() {
    let mut story = Story::new();
    story.restart(1).accepted(1).wait(seconds(12)).back(1, 12, false).wait(minutes(4));
    story.notice(Some(1), NoticeKind::NoHelp { after: minutes(4) });
    let until = story.now.wall;
    story
        .r14(1, Action::Hold(Hold::CoolingDown { until, cooldown: minutes(10), useless: 0 }))
        .wait(minutes(30));
    check(
        &story,
        &[
            "    30s   opened restart         acme web.1: restarted for R14",
            "   254s  updated no_help         acme web.1: restarting does not help",
            "   312s   closed restart         acme web.1: back after 12s, but it did not help",
        ],
    );
}

#[test]
fn dynos_of_one_formation_are_one_incident() {
    let mut story = Story::new();
    story.restart(1).wait(seconds(3)).queued(2, 1).wait(seconds(3)).queued(3, 1);
    story.accepted(1).wait(seconds(60)).back(1, 60, false);
    story.restart(2).accepted(2).wait(seconds(60)).back(2, 60, false).wait(minutes(60));
    check(
        &story,
        &[
            "    30s   opened restart         acme: web.1 restarted for R14; web.2 and web.3 are next",
            "   906s   closed restart         acme web (3 dynos): resolved after 15m 6s: both restarts helped",
        ],
    );
    assert_eq!(
        story.messages[0].dynos.iter().map(|dyno| dyno.state).collect::<Vec<_>>(),
        ["out", "held", "held"]
    );
}

#[test]
fn a_dyno_that_errs_later_gets_its_own_incident() {
    let mut story = Story::new();
    story.restart(1).wait(minutes(1)).restart(2).wait(minutes(1));
    check(
        &story,
        &[
            "    30s   opened restart         acme web.1: restarted for R14",
            "    90s   opened restart         acme web.2: restarted for R14",
        ],
    );
}

#[test]
fn a_failed_restart_is_loud_and_repeated_until_it_is_back() {
    let mut story = Story::new();
    story.restart(1).accepted(1).wait(minutes(3)).not_back(1).wait(minutes(500));
    story.back(1, 30_180, true).wait(minutes(60));
    check(
        &story,
        &[
            "    30s   opened restart         acme web.1: restarted for R14",
            "   182s  updated failure         acme web.1: the restart failed",
            " 14582s reminder failure         still: acme web.1: the restart failed",
            " 28982s reminder failure         still: acme web.1: the restart failed",
            " 30210s  updated recovered       acme web.1: back after all",
            " 30480s   closed recovered       acme web.1: back after 8h 23m, and it helped",
        ],
    );
}

#[test]
fn a_person_who_has_to_find_the_leak_learns_of_suspects() {
    const SENTENCE: &str =
        "Requests to POST /orders/:id/import explain most of the growth of memory, about 100 KB each.";
    let mut story = Story::new();
    story.suspects(SENTENCE).give_up(1).wait(minutes(30));
    let [message] = story.messages.as_slice() else { panic!("{:?}", story.messages) };
    assert_eq!(message.body.last().map(String::as_str), Some(SENTENCE), "{message:?}");
    let mut story = Story::new();
    story.suspects(SENTENCE).error(0).restart(1).wait(minutes(30));
    let is_in = |message: &Message| message.body.iter().any(|text| text.contains("growth"));
    assert!(!story.messages.is_empty() && !story.messages.iter().any(is_in), "{:?}", story.messages);
}

#[test]
fn a_given_up_dyno_is_reported_at_once() {
    let mut story = Story::new();
    story.give_up(1).wait(minutes(30));
    let until = story.now.wall;
    story.r14(1, Action::Hold(Hold::GivenUp { until, useless: 3 })).wait(minutes(600));
    check(
        &story,
        &[
            "     2s   opened give_up         acme web.1: gave up: restarting does not help",
            " 14402s reminder give_up         still: acme web.1: gave up: restarting does not help",
            " 21600s   closed recovered       acme web.1: no longer given up after 6h: restarted again if it errs",
        ],
    );
}

#[test]
fn every_message_says_what_to_do_first() {
    let logs = "What to do: find out why it does not come up: heroku logs -d web.1 -a acme";
    let cause = "What to do: find what uses the memory, or use a larger dyno";
    for (name, message) in stories::messages() {
        let expect = match name {
            "restart" | "restart-again" => "Nothing to do: a later message says whether it helped",
            "restart-helped" | "api-seen-again" => "Nothing to do: it is over",
            "restart-of-several" => "Nothing to do: the others follow in turn, and a later message says",
            "restart-did-not-help" | "no-help" => cause,
            "failure" | "failure-reminder" => logs,
            "recovered" => "Nothing to do: it is up again",
            "give-up" => cause,
            // One of its dynos was given up.
            "dry-run" => cause,
            "api-unseen" => "What to do: set HEROKU_API_KEY to a new token, and restart dynowarden:",
            "api-unseen-of-several" => "What to do: use a name that `heroku apps` lists, or give",
            "drain-silent" => "What to do: see whether the drain is listed and accepted: dynowarden check",
            "notifier-down" => {
                "What to do: check the address and the secret of that notifier: dynowarden check"
            }
            "suspect-release" => {
                "What to do: look at what was deployed, and roll back if it is the cause: heroku r"
            }
            "hold" => "Nothing to do: a later message says if it lasts",
            "notify" => "What to do: look at the app; this rule restarts nothing",
            "digest" => {
                assert_eq!(message.next_step, None);
                continue;
            }
            other => panic!("{other} has no expectation"),
        };
        let first = message.paragraphs().remove(0);
        assert!(first.starts_with(expect), "{name}: {first}");
        assert_eq!(message.next_step.as_ref().map(ToString::to_string), Some(first), "{name}");
    }
}

#[test]
fn a_dyno_that_needs_a_person_decides_the_next_step() {
    let mut story = Story::new();
    story.give_up(1).wait(seconds(3));
    let give_up = story.messages[0].paragraphs().remove(0);
    assert!(give_up.ends_with("To restart it once more: heroku ps:restart web.1 -a acme"), "{give_up}");
    assert!(give_up.contains("If a release brought it: heroku rollback -a acme."), "{give_up}");
    // Another dyno of the formation is restarted, and the first one is still given up.
    story.restart(2).wait(minutes(2));
    let update = story.messages.last().expect("a message").paragraphs().remove(0);
    assert!(update.starts_with("What to do: "), "{update}");
}

#[test]
fn a_dry_run_leaves_the_restart_to_a_person() {
    let mut story = Story::new();
    story.r14(1, Action::Restart { dry_run: true, formation: 2 }).wait(minutes(1));
    let expect = "What to do: restart it by hand if it needs that, because this is a dry run: \
                  heroku ps:restart web.1 -a acme";
    assert_eq!(story.messages[0].paragraphs()[0], expect);
}

/// Nothing was wrong before a person's restart, or one before Heroku's own, so it cannot have helped.
#[test]
fn a_restart_without_an_error_did_not_help() {
    let above = minutes(16 * 60);
    for (rule, measure) in [("quiet", Measure::Uptime { above }), (MANUAL, Measure::default())] {
        for dynos in [1, 2] {
            let mut story = Story::new();
            for index in 1..=dynos {
                let restart = Action::Restart { dry_run: false, formation: 2 };
                story.decide(Some(web(index)), rule, restart, Evidence { measure, ..Evidence::default() });
            }
            (1..=dynos).for_each(|index| _ = story.accepted(index));
            story.wait(seconds(12));
            (1..=dynos).for_each(|index| _ = story.back(index, 12, false));
            story.wait(minutes(60));
            let closed = story.messages.last().expect("a message");
            let title = match dynos {
                1 => "acme web.1: back after 12s",
                _ => "acme web (2 dynos): restarted, each up again within 12s",
            };
            assert_eq!((closed.phase, closed.title.as_str()), (Phase::Closed, title));
            assert!(!closed.body.join(" ").contains("helped"), "{:?}", closed.body);
        }
    }
}

/// By the engine's own bound, such restarts help: the dyno leaks.
#[test]
fn nothing_is_resolved_while_an_error_is_back() {
    for (dynos, after, title, step) in [
        (1, 290, "acme web.1: back after 12s, and it helped for 4m 50s", "Nothing to do"),
        (
            2,
            290,
            "acme web (2 dynos): the restarts helped for 4m 50s, then the error came back",
            "Nothing to do",
        ),
        (2, 100, "acme web (2 dynos): restarted, but that did not help", "What to do"),
    ] {
        let mut story = Story::new();
        (1..=dynos).for_each(|index| _ = story.restart(index).accepted(index));
        story.wait(seconds(12));
        (1..=dynos).for_each(|index| _ = story.back(index, 12, false));
        story.wait(seconds(after));
        let hold = || Hold::CoolingDown { until: Timestamp::MAX, cooldown: minutes(10), useless: 0 };
        (1..=dynos).for_each(|index| _ = story.r14(index, Action::Hold(hold())));
        story.wait(minutes(4));
        let closed = story.messages.last().expect("a message");
        assert_eq!((closed.phase, closed.title.as_str()), (Phase::Closed, title));
        let first = closed.next_step.as_ref().map(ToString::to_string).expect("a next step");
        assert!(first.starts_with(step), "{first}");
    }
}

/// A rule on uptime asks about each dyno at startup, and nothing is wrong with them.
#[test]
fn a_dyno_that_is_too_young_for_a_rule_is_in_no_incident() {
    let mut story = Story::of(plan(&["acme"], &[Kind::Hold, Kind::Restart, Kind::Recovered]));
    let evidence = || Evidence { measure: Measure::Uptime { above: minutes(960) }, ..Evidence::default() };
    let hold =
        |story: &mut Story, hold| _ = story.decide(Some(web(1)), "quiet", Action::Hold(hold), evidence());
    hold(&mut story, Hold::Queued { behind: web(2) });
    hold(&mut story, Hold::TooYoung { age: minutes(44), min: minutes(960), limit: AgeLimit::Above });
    story.wait(minutes(5)).restart(1).accepted(1).wait(seconds(12)).back(1, 12, false).wait(minutes(20));
    check(
        &story,
        &[
            "   330s   opened restart         acme web.1: restarted for R14",
            "   612s   closed restart         acme web.1: back after 12s, and it helped",
        ],
    );
}

#[test]
fn one_error_is_counted_once() {
    let mut story = Story::new();
    let line_at = Some("2026-01-02T00:00:00Z".parse().expect("a time"));
    let r14 = |line_at| Evidence {
        code: Some("R14".parse().expect("a code")),
        line_at,
        lines: 1,
        ..Evidence::default()
    };
    let restart = Action::Restart { dry_run: false, formation: 2 };
    story.decide(Some(web(1)), "r", Action::Hold(Hold::Queued { behind: web(2) }), r14(line_at));
    story.decide(Some(web(1)), "r", restart, r14(line_at)).wait(minutes(1));
    assert_eq!(story.messages[0].dynos[0].reports, 1);
}

#[test]
fn loud_messages_of_one_incident_are_one() {
    let mut story = Story::new();
    story.restart(1).accepted(1).wait(seconds(12)).back(1, 12, false).wait(minutes(2));
    story.notice(Some(1), NoticeKind::NoHelp { after: minutes(2) }).give_up(1);
    story.wait(seconds(10)).not_back(1).wait(minutes(1));
    check(
        &story,
        &[
            "    30s   opened restart         acme web.1: restarted for R14",
            "   134s  updated give_up         acme web.1: gave up: restarting does not help",
            "   159s  updated failure         acme web.1: the restart failed",
        ],
    );
}

/// What a notifier has sent, for how long it groups and which kinds it takes do not change an incident.
#[test]
fn an_incident_has_one_id_for_every_notifier() {
    let window = minutes(5);
    let slow = Plan { window, group: window, ..plan(&["acme", "other"], &Kind::DEFAULT) };
    let quick =
        Plan { window, group: seconds(0), ..plan(&["acme", "other"], &[Kind::GiveUp, Kind::Restart]) };
    let pager = Plan { window, ..plan(&["acme", "other"], &[Kind::GiveUp, Kind::Failure, Kind::Recovered]) };
    let ids = |plan: Plan| {
        let mut story = Story::of(plan);
        story.restart(1).wait(seconds(70)).restart(2).wait(minutes(20)).give_up(2).error(0);
        story.wait(minutes(1)).restart(3).give_up(3).wait(minutes(30));
        story.messages.iter().map(|message| message.incident.clone()).collect::<BTreeSet<_>>()
    };
    let (slow, quick, pager) = (ids(slow), ids(quick), ids(pager));
    assert!(quick.is_subset(&slow), "{quick:?} in {slow:?}");
    assert!(pager.is_subset(&slow), "{pager:?} in {slow:?}");
    assert_eq!((quick.len(), pager.len()), (2, 3), "two dynos are one incident");
}

#[test]
fn a_title_counts_what_was_done() {
    let title = |make: fn(&mut Story)| {
        let mut story = Story::new();
        make(&mut story);
        story.wait(seconds(30));
        let message = story.messages.pop().expect("a message");
        (message.title, message.dynos[0].name.as_ref().map(ToString::to_string).unwrap_or_default())
    };
    let check =
        |make, expect: &str, first: &str| assert_eq!(title(make), (expect.to_owned(), first.to_owned()));
    check(
        |story| {
            story.queued(1, 3).queued(2, 3).restart(3);
        },
        "acme: web.3 restarted for R14; web.1 and web.2 are next",
        "web.3",
    );
    check(
        |story| {
            story.restart(1).r14(9, Action::Hold(Hold::Gone));
        },
        "acme web.1: restarted for R14",
        "web.1",
    );
    check(
        |story| {
            (1..=5).for_each(|index| {
                story.restart(index);
            })
        },
        "acme: 5 web dynos restarted for R14",
        "web.1",
    );
    check(
        |story| {
            let by_hand = Action::Restart { dry_run: false, formation: 2 };
            story.decide(Some(web(2)), MANUAL, by_hand, Evidence::default());
        },
        "acme web.2: restarted by hand",
        "web.2",
    );
    check(
        |story| {
            story.r14(1, Action::Restart { dry_run: true, formation: 2 });
        },
        "acme web.1: would be restarted for R14",
        "web.1",
    );
}

#[test]
fn unselected_kinds_are_not_sent() {
    let mut story = Story::of(plan(&["acme"], &[Kind::GiveUp]));
    story.restart(1).accepted(1).back(1, 5, false).wait(minutes(20)).queued(2, 1).error(0).wait(minutes(60));
    check(&story, &[]);
    story.give_up(1).wait(seconds(2));
    assert_eq!(story.messages.len(), 1);

    let mut story = Story::of(plan(&["acme"], &Kind::DEFAULT));
    story.queued(2, 1).wait(minutes(60));
    check(&story, &[]);
    let mut quiet = plan(&["acme"], &Kind::CHOICES);
    quiet.apps[0].is_reported = false;
    let mut story = Story::of(quiet);
    story.restart(1).give_up(1).error(0).wait(minutes(60));
    check(&story, &[]);
}

#[test]
fn a_repeated_refusal_is_reported_once() {
    let mut story = Story::of(plan(&["acme"], &Kind::CHOICES));
    for _ in 0..100 {
        story
            .r14(1, Action::Hold(Hold::OutsideWindow { opens: None, of: WindowOf::Policy }))
            .wait(seconds(21));
    }
    story.wait(minutes(60));
    check(
        &story,
        &[
            "    30s   opened hold            acme web.1: not restarted, R14",
            "  2979s   closed hold            acme web.1: resolved after 49m 39s",
        ],
    );
}

#[test]
fn a_revoked_token_makes_one_message_for_all_apps() {
    let names: Vec<String> = (0..200).map(|number| format!("app-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut story = Story::of(plan(&names, &Kind::DEFAULT));
    for app in 0..200 {
        story.error(app);
    }
    story.wait(minutes(1)).notice_of(AppId(7), None, NoticeKind::ApiRecovered).wait(minutes(60));
    check(
        &story,
        &[
            "     2s   opened failure         Heroku rejects the API token (401): restarts are off for all apps",
            "    60s   closed recovered       Heroku accepts the API token again after 1m",
        ],
    );
}

#[test]
fn an_outage_of_one_app_ends_with_that_apps_recovery() {
    let mut story = Story::new();
    let error = || NoticeKind::ApiError(ApiError::NoSuchApp);
    story.notice_of(AppId(0), None, error()).notice_of(AppId(1), None, error()).wait(minutes(1));
    story.notice_of(AppId(1), None, NoticeKind::ApiRecovered).wait(minutes(1));
    assert_eq!(story.messages.len(), 1, "one message about both apps");
    story.notice_of(AppId(0), None, NoticeKind::ApiRecovered);
    assert_eq!(story.messages.last().map(|message| message.phase), Some(Phase::Closed));
    assert_eq!(story.next_deadline(), None);
}

#[test]
fn a_message_says_who_asked() {
    for (by, expect) in [
        (Some("by \"alice\" from 203.0.113.9"), "Manual restart by \"alice\" from 203.0.113.9."),
        (None, "Manual restart."),
    ] {
        let mut story = Story::new();
        let evidence = Evidence { asked_by: by.map(Into::into), ..Evidence::default() };
        let by_hand = Action::Restart { dry_run: false, formation: 2 };
        story.decide(Some(web(2)), MANUAL, by_hand, evidence).wait(minutes(1));
        let text = &story.messages[0].dynos[0].text;
        assert!(text.starts_with(expect), "{text}");
    }
}

#[test]
fn a_restart_without_an_error_says_what_was_measured() {
    let above = minutes(16 * 60);
    for (measure, title, expect) in [
        (Measure::Memory, "high memory", "Memory above the limit of the rule r."),
        (Measure::ServiceTime, "slow responses", "Slower than the other dynos of its type."),
        (Measure::Swap, "swapping", "Swap above the limit of the rule r."),
        (Measure::Uptime { above }, "being up for more than 16h", "Up for more than 16h."),
    ] {
        let mut story = Story::new();
        let restart = Action::Restart { dry_run: false, formation: 2 };
        story.decide(Some(web(2)), "r", restart, Evidence { measure, ..Evidence::default() });
        story.wait(minutes(1));
        let message = &story.messages[0];
        assert_eq!(message.title, format!("acme web.2: restarted for {title}"));
        assert!(message.dynos[0].text.starts_with(expect), "{}", message.dynos[0].text);
    }
}

/// A notifier for some apps only missed what was reported for the first app.
#[test]
fn each_drain_of_another_app_is_news() {
    let drain = |name: &str| {
        let token = format!("d.{name}").parse().expect("a token");
        NoticeKind::Health(HealthAlert::ForeignDrain { drain: token, owner: None })
    };
    let mut story = Story::new();
    story.notice(None, drain("one")).wait(seconds(10));
    story.notice(None, drain("two")).wait(seconds(5)).notice(None, drain("three"));
    story.notice_of(AppId(1), None, drain("four")).wait(minutes(1));
    // At another app it is another problem. What people know already is not said again.
    story.notice(None, drain("four")).wait(minutes(1)).notice(None, drain("four")).wait(minutes(5));
    check(
        &story,
        &[
            "     2s   opened failure         acme: another app's drain",
            "    40s  updated failure         2 apps: another app's drain",
            "   105s  updated failure         2 apps: another app's drain",
        ],
    );
    let named = |message: &Message, words: [&str; 4]| {
        words.map(|word| message.body.iter().any(|line| line.contains(&format!("drain d.{word} "))))
    };
    let all = ["one", "two", "three", "four"];
    assert_eq!(named(&story.messages[0], all), [true, false, false, false]);
    assert_eq!(named(&story.messages[1], all), [false, true, true, true]);
    assert!(story.messages[1].body[0].starts_with("acme: the drain d.two"), "{:?}", story.messages[1].body);
    assert_eq!(named(&story.messages[2], all), [false, false, false, true]);
}

#[test]
fn invented_drains_of_one_app_cause_few_messages_and_hide_no_other_app() {
    let mut story = Story::new();
    let drain = |story: &mut Story, app: u32, number: usize| {
        let drain = format!("d.{app}-{number}").parse().expect("a token");
        let alert = HealthAlert::ForeignDrain { drain, owner: None };
        story.notice_of(AppId(app), None, NoticeKind::Health(alert)).wait(seconds(40));
    };
    (0..15).for_each(|number| drain(&mut story, 0, number));
    assert_eq!(story.messages.len(), limits::OUTAGE_INSTANCES_MAX, "{:#?}", story.messages);
    drain(&mut story, 1, 0);
    let last = story.messages.last().expect("a message");
    assert!(last.body.iter().any(|line| line.contains("drain d.1-0 ")), "{last:?}");
}

#[test]
fn a_notifier_for_the_second_app_reports_a_revoked_token() {
    let mut story = Story::of(Plan {
        apps: vec![
            WatchedApp { is_reported: false, ..plan(&["acme"], &Kind::CHOICES).apps.remove(0) },
            plan(&["other"], &Kind::CHOICES).apps.remove(0),
        ],
        ..plan(&["acme", "other"], &Kind::CHOICES)
    });
    let notice = |alert| {
        let (at, what) = (Timestamp::UNIX_EPOCH, NoticeKind::Health(alert));
        Record::Notice(Notice { at, scope: Scope::Account, dyno: None, what })
    };
    story.input(Input::Record(&notice(HealthAlert::TokenRefused))).wait(minutes(1));
    assert_eq!(story.messages.len(), 1);
    assert_eq!(story.messages[0].apps, ["other".parse().expect("an app")]);
    story.input(Input::Record(&notice(HealthAlert::TokenRecovered))).wait(minutes(1));
    assert_eq!(story.messages.last().map(|message| message.kind), Some(Kind::Recovered));
}

#[test]
fn a_silent_drain_is_reported_until_lines_arrive() {
    let silent = || NoticeKind::Health(HealthAlert::DrainSilent { quiet_for: minutes(30), running: 2 });
    let mut story = Story::new();
    story.notice_of(AppId(1), None, silent()).wait(minutes(10));
    story.notice_of(AppId(1), None, silent()).wait(minutes(300));
    story.notice_of(AppId(1), None, NoticeKind::Health(HealthAlert::DrainRecovered)).wait(minutes(600));
    check(
        &story,
        &[
            "     2s   opened drain_silent    other: no logs are arriving",
            " 14402s reminder drain_silent    still: other: no logs are arriving",
            " 18600s   closed recovered       other: logs are arriving again after 5h 10m",
        ],
    );
}

#[test]
fn several_failing_dynos_make_a_release_suspect() {
    let suspects =
        |story: &Story| story.messages.iter().filter(|message| message.kind == Kind::SuspectRelease).count();
    let release = |version| Input::Release { app: AppId(0), version };
    let mut story = Story::new();
    story.input(release(None)).input(release(Some(42))).wait(minutes(9)).queued(1, 2).queued(1, 2);
    assert_eq!(suspects(&story), 0, "one dyno is bad luck");
    story.queued(2, 1).queued(3, 1);
    check(&story, &["   540s   single suspect_release acme: 2 dynos started failing after release v42"]);

    let mut story = Story::new();
    story.queued(1, 2).queued(2, 1).wait(minutes(20)).input(release(Some(42))).queued(1, 2).queued(2, 1);
    assert_eq!(suspects(&story), 0, "they also erred before it");
    story.wait(minutes(31)).queued(3, 1).queued(4, 1);
    assert_eq!(suspects(&story), 0, "too late to blame it");

    let mut story = Story::new();
    story.release = Some(41);
    story.queued(1, 2).wait(minutes(120));
    story.release = Some(42);
    story.queued(2, 1).queued(3, 1);
    assert_eq!(suspects(&story), 1, "the API showed the release");
}

#[test]
fn a_digest_is_sent_at_its_time_and_starts_over() {
    let daily = "09:00 Europe/Berlin".parse().expect("a time");
    let mut story = Story::of(Plan { digest: Some(daily), ..plan(&["acme"], &[]) });
    story.restart(1).accepted(1).back(1, 12, false).wait(minutes(48 * 60));
    check(
        &story,
        &[
            " 10433s   single digest          daily summary: 1 restart",
            " 96833s   single digest          daily summary: nothing to report",
        ],
    );
}

#[test]
fn a_digest_has_the_verdicts() {
    let judgement = |verdict, since_release, growth_per_day| Judgement {
        verdict,
        unknown_because: None,
        since_release,
        growth_per_day,
    };
    let of = |name: &str, judgement| (name.parse().expect("a type"), judgement);
    let sound = judgement(Verdict::LevelsOutBelow, None, None);
    let leak = judgement(Verdict::Leaks, Some(214), Some(0.35));
    let (acme, blog) =
        ([of("web", leak), of("worker", judgement(Verdict::Unknown, None, None))], [of("web", sound)]);
    let body_of = |with_restart: bool, verdicts: [&[(ProcessType, Judgement)]; 2]| {
        let daily = "09:00 Europe/Berlin".parse().expect("a time");
        let mut story = Story::of(Plan { digest: Some(daily), ..plan(&["acme", "blog"], &[]) });
        for (app, verdicts) in (0..).map(AppId).zip(verdicts) {
            story.input(Input::Verdicts { app, verdicts });
        }
        if with_restart {
            story.restart(1).accepted(1).back(1, 12, false);
        }
        story.wait(minutes(12 * 60));
        story.messages[0].body.clone()
    };
    let leaks = "web leaks about 35% of its quota a day since v214.";
    assert_eq!(body_of(false, [&acme, &blog]), [format!("acme: 0 restarts. {leaks}")]);
    let restarted = "acme: 1 restart, out for 12s on average.";
    assert_eq!(body_of(true, [&acme, &[]]), [format!("{restarted} {leaks}")]);
    assert_eq!(body_of(true, [&blog, &[]]), [format!("{restarted} web levels out below its quota.")]);
    assert_eq!(body_of(false, [&blog, &blog]), ["No dyno was restarted, and none needed it."]);
}

#[test]
fn held_back_messages_are_sent_at_shutdown() {
    let mut story = Story::new();
    story.restart(1).input(Input::End);
    check(&story, &["     0s   opened restart         acme web.1: restarted for R14"]);
}

#[test]
fn incidents_are_bounded() {
    let mut story = Story::new();
    story.notice_of(AppId(1), Some(1), NoticeKind::RestartFailed(RestartResult::Gone));
    for index in 1..=1100 {
        story.restart(index).wait(seconds(31));
        story.notice_of(AppId(1), Some(1), NoticeKind::RestartFailed(RestartResult::Gone));
    }
    assert_eq!(story.forgotten(), 1101 - limits::INCIDENTS_MAX as u64);
    assert_eq!(story.open_of(AppId(1)), 1, "one app's incidents do not push out another's");
    let mut story = Story::new();
    for index in 1..=250 {
        story.queued(index, 1);
    }
    story.restart(1).wait(seconds(30));
    assert!(story.messages[0].dynos.len() <= limits::INCIDENT_DYNOS_MAX);
    assert!(story.messages[0].body.len() <= limits::MESSAGE_NAMES_MAX + 1);
}

#[test]
fn a_refused_restart_that_is_retried_is_not_over() {
    let mut story = Story::new();
    let throttled = RestartResult::Refused(ApiError::Throttled { wait: None });
    story.restart(1).outcome(1, throttled).wait(seconds(40)).accepted(1).wait(seconds(10)).back(1, 10, false);
    story.wait(minutes(30));
    check(
        &story,
        &[
            "    30s   opened restart         acme web.1: restarted for R14",
            "   350s   closed restart         acme web.1: back after 10s, and it helped",
        ],
    );
    assert_eq!(story.messages[1].dynos[0].name, Some(web(1)));
}

fn garbled(story: &mut Story) {
    let error = ApiError::Garbled { what: "a page".into() };
    story.notice(None, NoticeKind::ApiError(error));
}

fn often(story: &mut Story, index: u32) {
    story.notice(Some(index), NoticeKind::Often { restarts: 3, within: minutes(60), all_helped: true });
}

/// A restart that helps.
fn helpful(story: &mut Story, index: u32) {
    story.restart(index).accepted(index).wait(seconds(10)).back(index, 10, false).wait(minutes(20));
}

#[test]
fn an_api_that_answers_now_and_then_has_not_recovered() {
    let mut story = Story::new();
    for round in 0..600 {
        if round % 3 == 0 {
            let lost = ApiError::Unreachable { what: "a lost answer".into() };
            story.notice(None, NoticeKind::ApiError(lost));
        } else {
            garbled(&mut story);
        }
        story.wait(seconds(1)).notice(None, NoticeKind::ApiRecovered).wait(seconds(29));
    }
    story.wait(minutes(60));
    check(
        &story,
        &[
            "    30s   opened failure         acme: cannot use Heroku's API: restarts are off",
            " 14430s reminder failure         still: acme: cannot use Heroku's API: restarts are off",
            " 18091s   closed recovered       acme: the API answers again after 4h 59m 31s",
        ],
    );
    assert_eq!(story.next_deadline(), None);
    garbled(&mut story);
    story.wait(seconds(2));
    assert_eq!(story.messages.last().map(|message| message.phase), Some(Phase::Opened), "a new outage");
}

#[test]
fn a_rate_limit_is_part_of_having_no_calls_left() {
    let mut story = Story::new();
    story.notice(None, NoticeKind::NoCallsLeft { remaining: 0 });
    for _ in 0..20 {
        story.notice(None, NoticeKind::ApiError(ApiError::Throttled { wait: None })).wait(minutes(3));
        story.notice(None, NoticeKind::ApiRecovered).wait(minutes(3));
    }
    story.notice(None, NoticeKind::CallsLeft).wait(minutes(3));
    check(
        &story,
        &[
            "     2s   opened failure         no API calls left",
            "  7320s   closed recovered       API calls are left again after 2h",
        ],
    );
}

#[test]
fn the_restarts_of_leaking_dynos_are_counted() {
    let mut story = Story::new();
    helpful(&mut story, 1);
    assert_eq!(story.messages.len(), 2);
    story.messages.clear();
    often(&mut story, 1);
    for _ in 0..24 {
        helpful(&mut story, 1);
        helpful(&mut story, 2);
        often(&mut story, 2);
    }
    story.input(Input::Release { app: AppId(0), version: Some(7) });
    helpful(&mut story, 1);
    let of_others =
        |line: &String| !line.contains("acme web.2: restarted for R14") && !line.contains("acme web.2: back");
    let told: Vec<String> = story.timeline().into_iter().filter(of_others).collect();
    assert_eq!(
        told,
        [
            "  1240s   opened restart         acme web.1: restarted 4 times in 1h 30s, which helps",
            "  3930s  updated restart         acme web (2 dynos): restarted 4 times in 1h 5m, which helps",
            " 18330s reminder restart         still: acme web (2 dynos): restarted 12 times in 4h, which helps",
            " 32730s reminder restart         still: acme web (2 dynos): restarted 12 times in 4h, which helps",
            " 47130s reminder restart         still: acme web (2 dynos): restarted 11 times in 4h, which helps",
            " 59290s   closed restart         acme web (2 dynos): restarted 10 times in 3h 22m 40s, until a release",
            " 59320s   opened restart         acme web.1: restarted for R14",
            " 59600s   closed restart         acme web.1: back after 10s, and it helped",
        ]
    );
    let updated = story.messages.iter().find(|message| message.phase == Phase::Updated);
    let updated = updated.expect("the second dyno was added");
    assert_eq!(updated.dynos.len(), 2);
    assert_eq!(
        updated.body[1..],
        ["web.1: restarted 1 time in 44m 50s.", "web.2: restarted 3 times in 1h 5m."]
    );
}

#[test]
fn a_leak_keeps_its_failures_and_its_end() {
    let mut story = Story::new();
    often(&mut story, 1);
    story.restart(1).accepted(1).wait(minutes(3)).not_back(1).wait(minutes(1)).back(1, 240, true);
    story.wait(minutes(30));
    story.restart(1).accepted(1).back(1, 10, false).wait(minutes(2));
    story.notice(Some(1), NoticeKind::NoHelp { after: minutes(2) }).wait(minutes(30));
    helpful(&mut story, 1);
    check(
        &story,
        &[
            "    30s   opened restart         acme web.1: restarted 4 times in 1h 30s, which helps",
            "   182s   opened failure         acme web.1: the restart failed",
            "   270s  updated recovered       acme web.1: back after all",
            "   540s   closed recovered       acme web.1: back after 4m, and it helped",
            "  2160s   closed restart         acme web.1: restarted 1 time in 35m 30s, until that stopped helping",
            "  2162s   opened no_help         acme web.1: restarting does not help",
            "  2340s   closed no_help         acme web.1: back after 10s, but it did not help",
            "  3990s   opened restart         acme web.1: restarted for R14",
            "  4270s   closed restart         acme web.1: back after 10s, and it helped",
        ],
    );
}

#[test]
fn a_killed_process_is_no_recovery() {
    let mut story = Story::new();
    let reason = || Box::new(Hold::Queued { behind: web(2) });
    for _ in 0..5 {
        for _ in 0..10 {
            story.queued(1, 2).wait(minutes(2));
        }
        story.notice(Some(1), NoticeKind::NotRestarted { erring_for: minutes(15), reason: reason() });
        story.wait(minutes(30));
    }
    story.wait(minutes(120));
    check(
        &story,
        &[
            "  1202s   opened not_restarted   acme web.1: needs a restart for R14 and gets none",
            " 16680s   closed recovered       acme web.1: resolved after 4h 38m",
        ],
    );
    let said = &story.messages[0].dynos[0].text;
    let note = "It has erred for 15m and was not restarted: waiting for its turn behind web.2.";
    assert!(said.ends_with(&format!("behind web.2. {note}")), "{said}");
}

#[derive(Clone, Debug)]
enum Step {
    Accepted(u32),
    Back(u32),
    ApiError,
    GiveUp(u32),
    Hold(u32),
    NoHelp(u32),
    NotBack(u32),
    Release,
    Restart(u32),
    ApiRecovered,
    Often(u32),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let dyno = 1_u32..5;
    prop_oneof![
        dyno.clone().prop_map(Step::Accepted),
        dyno.clone().prop_map(Step::Back),
        Just(Step::ApiError),
        dyno.clone().prop_map(Step::GiveUp),
        dyno.clone().prop_map(Step::Hold),
        dyno.clone().prop_map(Step::NoHelp),
        dyno.clone().prop_map(Step::NotBack),
        dyno.clone().prop_map(Step::Often),
        Just(Step::Release),
        dyno.prop_map(Step::Restart),
        Just(Step::ApiRecovered),
        (0_u64..5000).prop_map(Step::Wait),
    ]
}

fn run(story: &mut Story, steps: &[Step]) {
    for step in steps {
        match *step {
            Step::Accepted(index) => story.accepted(index),
            Step::Back(index) => story.back(index, 10, false),
            Step::ApiError => story.error(0),
            Step::GiveUp(index) => story.give_up(index),
            Step::Hold(index) => story.queued(index, 9),
            Step::NoHelp(index) => story.notice(Some(index), NoticeKind::NoHelp { after: minutes(4) }),
            Step::NotBack(index) => story.not_back(index),
            Step::Often(index) => story.notice(
                Some(index),
                NoticeKind::Often { restarts: 3, within: minutes(60), all_helped: true },
            ),
            Step::Release => story.input(Input::Release { app: AppId(0), version: None }),
            Step::Restart(index) => story.restart(index),
            Step::ApiRecovered => story.notice(None, NoticeKind::ApiRecovered),
            Step::Wait(span) => story.wait(seconds(span)),
        };
    }
}

proptest! {
    #[test]
    fn any_story_has_unique_ids_selected_kinds_and_an_end(
        steps in prop::collection::vec(step(), 0..60),
        chosen in prop::collection::btree_set((0_usize..9).prop_map(|place| Kind::CHOICES[place]), 1..9),
    ) {
        let chosen: Vec<Kind> = chosen.into_iter().collect();
        let mut story = Story::of(plan(&["acme"], &chosen));
        run(&mut story, &steps);
        // A release ends leaks.
        story.input(Input::Release { app: AppId(0), version: Some(8) });
        story.notice(None, NoticeKind::ApiRecovered).wait(minutes(3 * 24 * 60));
        let ids: BTreeSet<&str> = story.messages.iter().map(|message| message.id.as_str()).collect();
        assert_eq!(ids.len(), story.messages.len());
        assert!(story.messages.iter().all(|message| chosen.contains(&message.kind)), "{:#?}", story.timeline());
        assert_eq!(story.next_deadline(), None, "{:#?}", story.timeline());
        // Every opened incident was closed, if its end is to be reported.
        for opened in story.messages.iter().filter(|message| message.phase == Phase::Opened) {
            let is_closed = |message: &&Message| {
                message.incident == opened.incident && message.phase == Phase::Closed
            };
            let may_end_untold = opened.kind.is_loud()
                && !(chosen.contains(&Kind::Recovered) && chosen.contains(&Kind::Failure));
            assert!(may_end_untold || story.messages.iter().any(|message| is_closed(&message)), "{:#?}", story.timeline());
        }
    }

    #[test]
    fn the_same_inputs_give_the_same_messages(steps in prop::collection::vec(step(), 0..40)) {
        let messages = || {
            let mut story = Story::new();
            run(&mut story, &steps);
            story.messages
        };
        assert_eq!(messages(), messages());
    }
}
