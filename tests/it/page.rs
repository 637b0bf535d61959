//! The status page from the outside: its contents, its limits and its size.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;

use dynowarden::ui::assets::Assets;
use dynowarden::ui::decisions_page::{Asked, decisions_page};
use dynowarden::ui::dyno::{app_page, dyno_page};
use dynowarden::ui::facts::{Facts, Off, PauseFacts};
use dynowarden::ui::json::DynosJson;
use dynowarden::ui::layout::Layout;
use dynowarden::ui::overview::Overview;
use dynowarden::ui::parts::{Change, changes};
use dynowarden::ui::plot::Range;
use dynowarden_core::ident::AppName;
use dynowarden_core::incident::message::NextStep;
use flate2::Compression;
use flate2::write::GzEncoder;

fn with_frame<T>(act: impl FnOnce(&Layout<'_>) -> T) -> T {
    let assets = Assets::embedded();
    act(&Layout {
        assets: &assets,
        seen: "7-1",
        token: "t0k3n",
        version: "0.0.0",
        told: None,
        public_url: None,
    })
}

fn overview(facts: &Facts) -> String {
    with_frame(|frame| Overview::new(frame, facts).page(frame, facts).into_string())
}

fn packed(text: &str) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(4));
    encoder.write_all(text.as_bytes()).expect("packed");
    encoder.finish().expect("packed").len()
}

/// The text of a page, one element per line, without paths and asset names.
fn outline(html: &str) -> String {
    let mut text = String::new();
    for piece in html.split('<').skip(1) {
        let (tag, rest) = piece.split_once('>').unwrap_or((piece, ""));
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        if tag.starts_with('/') || matches!(name, "path" | "svg" | "meta" | "link" | "script" | "br") {
            if name == "svg"
                && let Some(label) = tag.split("aria-label=\"").nth(1).and_then(|rest| rest.split('"').next())
            {
                text.push_str(&format!("[{label}]\n"));
            }
            if !rest.trim().is_empty() {
                text.push_str(&format!("  {}\n", rest.trim()));
            }
            continue;
        }
        if !rest.trim().is_empty() {
            text.push_str(&format!("{name}: {}\n", rest.trim()));
        }
    }
    text
}

#[test]
fn the_overview_shows_apps_dynos_and_decisions() {
    insta::assert_snapshot!("overview", outline(&overview(&support::story::shop())));
}

#[test]
fn the_dyno_page_shows_its_history() {
    let facts = support::story::shop();
    let app = &facts.apps[0];
    let page = with_frame(|frame| {
        dyno_page(frame, &facts, (app, &app.dynos[7]), (Range::Hours3, None)).into_string()
    });
    insta::assert_snapshot!("dyno", outline(&page));
}

#[test]
fn text_from_outside_is_escaped_on_every_page() {
    let harm = support::story::harm();
    let mut facts = support::story::shop();
    facts.trouble = Some(harm.to_string());
    for app in &mut facts.apps {
        let asked_by = Some(harm.clone());
        app.paused = Some(PauseFacts { until: support::story::now(), reason: harm.clone(), asked_by });
        app.drain.trouble = Some(harm.to_string());
    }
    for decision in &mut facts.decisions {
        let decision = Arc::make_mut(decision);
        decision.reason = harm.to_string();
        if decision.dyno.as_deref() != Some("web.4") {
            decision.dyno = Some(harm.to_string());
        }
        decision.rule = harm.to_string();
        decision.code = harm.to_string();
        if let Some(outcome) = &mut decision.outcome {
            outcome.text = harm.to_string();
        }
    }
    let app = &facts.apps[0];
    let pages = with_frame(|frame| {
        [
            Overview::new(frame, &facts).page(frame, &facts),
            app_page(frame, &facts, app, NonZeroUsize::MIN),
            dyno_page(frame, &facts, (app, &app.dynos[3]), (Range::Hours3, None)),
            decisions_page(
                frame,
                &facts,
                &Asked {
                    app: harm.to_string(),
                    dyno: harm.to_string(),
                    code: harm.to_string(),
                    ..Asked::default()
                },
                Some(&harm),
            ),
        ]
        .map(maud::Markup::into_string)
    });
    for page in pages {
        assert!(page.contains("&lt;script&gt;alert(1)"), "the text is there");
        assert!(!page.contains("<script>alert"), "and nothing but text");
        assert!(!page.contains("\" onload=x"), "nor did it leave its attribute");
        assert_eq!(page.matches("<script").count(), 1, "the page's own");
        assert!(!page.contains("style=") && !page.contains(" onclick"), "which the policy would refuse");
    }
    let json = serde_json::to_string(&DynosJson::new(&facts, None)).expect("JSON");
    let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(read["apps"][0]["paused"]["reason"], *harm);
    assert!(!json.contains('\n'), "one line, as an event stream wants it");
}

#[test]
fn a_new_memory_reading_updates_one_row() {
    let before = support::story::shop();
    let mut after = support::story::shop();
    if let Some(memory) = &mut after.apps[1].dynos[2].status.memory {
        memory.permille += 10;
    }
    let change = with_frame(|frame| {
        changes(&Overview::new(frame, &before).parts(), &Overview::new(frame, &after).parts())
    });
    let Change::Elements(rows) = change else { panic!("rebuilt") };
    let ids: Vec<_> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["d-acme-pay-web.3"]);
}

#[test]
fn every_part_of_the_page_has_a_unique_id() {
    let facts = support::story::shop();
    let page = overview(&facts);
    let parts = with_frame(|frame| Overview::new(frame, &facts).parts());
    for part in &parts {
        assert_eq!(page.matches(&format!("id=\"{}\"", part.id)).count(), 1, "{}", part.id);
    }
    let mut ids: Vec<_> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all, "no id twice");
}

#[test]
fn thousands_of_healthy_dynos_are_folded_and_paged() {
    let crowd = support::story::crowd(2000);
    let page = overview(&crowd);
    assert!(page.contains("1,995 healthy dynos"), "{page}");
    assert!(page.matches("<tr").count() < 20);
    let (raw, gz) = (page.len(), packed(&page));
    assert!(raw < 60_000 && gz < 10_000, "{raw} bytes, {gz} packed");
    let app = &crowd.apps[0];
    let of = |number| {
        let number = NonZeroUsize::new(number).expect("not nought");
        with_frame(|frame| app_page(frame, &crowd, app, number).into_string())
    };
    assert!(of(20).contains("web.2000\"") && !of(20).contains("Next →"));
    assert_eq!(of(999).matches("<tr").count(), 101, "past the end is the last page");
    let seen: usize = (1..=20).map(|number| of(number).matches("<th scope=\"row\"").count()).sum();
    assert_eq!(seen, 2000);
    assert!(of(1).len() < 300_000, "{}", of(1).len());
}

#[test]
fn hundreds_of_apps_are_shown_one_line_each() {
    let page = overview(&support::story::many_apps(200));
    assert!(page.contains("200 more apps"));
    assert!(page.len() < 150_000, "{}", page.len());
    let mut one = support::story::many_apps(200);
    one.apps[150].paused = support::story::shop().apps[1].paused.clone();
    let page = overview(&one);
    assert!(page.contains("199 more apps") && page.contains("id=\"s-150\""));
}

#[test]
fn the_verdict_is_on_the_page_and_in_the_tab_title() {
    let mut facts = support::story::many_apps(2);
    let titled = |facts: &Facts, expect: &str| {
        let page = overview(facts);
        assert!(
            page.contains(&format!("<title>{expect} · dynowarden</title>")),
            "{expect}: {}",
            &page[..300]
        );
        assert!(page.contains(&format!("<p class=\"verdict\">{expect}</p>")), "{expect}");
    };
    titled(&facts, "All is well");
    facts.apps[1].drain.last_batch_ago = None;
    titled(&facts, "All is well");
    // Without any batch, the page cannot claim that all is well.
    facts.apps[0].drain.last_batch_ago = None;
    titled(&facts, "No logs received yet");
    facts.warn = Some("notify: pager is not delivering".to_owned());
    titled(&facts, "Working, but notify: pager is not delivering");
    let off = |why: &str, is_everywhere| Off {
        why: why.to_owned(),
        next_step: NextStep::Todo("look".to_owned()),
        is_everywhere,
    };
    facts.apps[1].restarts_off = Some(off("restarts are off: only 7 API calls", false));
    titled(&facts, "app-2: restarts are off: only 7 API calls");
    assert!(overview(&facts).contains("Restarts off"));
    facts.apps[1].drain.trouble = Some("silent".to_owned());
    titled(&facts, "The drain of app-2 has a problem");
    facts.trouble = Some("store: away".to_owned());
    titled(&facts, "Not ready: store: away");
    facts.apps[1].restarts_off = Some(off("restarts are off: Heroku rejects the token", true));
    titled(&facts, "Restarts are off: Heroku rejects the token");
    assert!(overview(&facts).contains("<p class=\"todo\">What to do: look</p>"));
}

#[test]
fn a_page_without_dynos_or_decisions_says_so() {
    let name: AppName = "acme".parse().expect("an app");
    let mut facts = support::story::shop();
    facts.decisions.clear();
    facts.apps.truncate(1);
    facts.apps[0].dynos.clear();
    facts.apps[0].drain = Default::default();
    facts.apps[0].name = name;
    let page = overview(&facts);
    for text in ["No logs received yet", "No dynos yet", "nothing received yet", "No restarts yet"] {
        assert!(page.contains(text), "{text}");
    }
}
