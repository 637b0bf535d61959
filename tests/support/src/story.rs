//! Made-up facts for the status page: a shop with one of everything, and a large formation.

use std::sync::Arc;
use std::time::Duration;

use dynowarden::notify::NotifierFigures;
use dynowarden::ui::facts::{AppFacts, DrainFacts, DynoFacts, Facts, PauseFacts, Traffic};
use dynowarden::ui::marks::What;
use dynowarden::ui::series::{Mark, Trace};
use dynowarden_core::api::DynoInfo;
use dynowarden_core::engine::status::{DynoStatus, Stage};
use dynowarden_core::event::{DynoState, Megabytes};
use dynowarden_core::ident::DynoName;
use dynowarden_core::record::MemoryReading;
use dynowarden_core::record::hold::Hold;
use dynowarden_core::record::view::{DecisionView, EvidenceView, MemoryView, OutcomeView, Word};
use dynowarden_core::time::{earlier, later};
use jiff::Timestamp;

/// The time of all these facts.
pub fn now() -> Timestamp {
    "2026-11-23T14:05:00Z".parse().expect("a time")
}

/// Two apps, with a dyno in every stage, a pause, a lossy drain and decisions of every kind.
pub fn shop() -> Facts {
    let quiet = DrainFacts { last_batch_ago: Some(Duration::from_secs(1500)), batches: 9, ..drain() };
    let lossy = DrainFacts { lost_messages: 1234, bad_frames: 2, ..drain() };
    let stages = [
        Stage::Watched,
        Stage::Queued,
        Stage::Waiting,
        Stage::Restarting,
        Stage::Booting,
        Stage::Settling,
        Stage::Failed,
        Stage::CoolingDown,
        Stage::GivenUp,
    ];
    let dynos = (1..).zip(stages).map(|(index, stage)| dyno(index, stage, 1262)).collect();
    let calm = (1..=4).map(|index| dyno(index, Stage::Watched, 400 + index * 90)).collect();
    let notifier = |name: &str, delivered, failed, is_down| NotifierFigures {
        name: name.into(),
        delivered,
        failed,
        dropped: 0,
        forgotten: 0,
        missed: 0,
        waiting: usize::from(is_down),
        is_down,
    };
    Facts {
        notifiers: vec![notifier("slack", 41, 0, false), notifier("pager", 3, 2, true)],
        now: now(),
        trouble: None,
        warn: None,
        apps: vec![
            AppFacts { dynos, ..app("acme-shop", lossy) },
            AppFacts {
                dynos: calm,
                dry_run: true,
                paused: Some(PauseFacts {
                    until: later(now(), Duration::from_secs(7200)),
                    reason: "load test".into(),
                    asked_by: Some("by \"ann\" from 203.0.113.9 through the API".into()),
                }),
                ..app("acme-pay", quiet)
            },
        ],
        decisions: decisions().into_iter().map(Arc::new).collect(),
    }
}

/// One app with `dynos` dynos, one in four hundred of them given up.
pub fn crowd(dynos: u32) -> Facts {
    let stage = |index| if index % 400 == 0 { Stage::GivenUp } else { Stage::Watched };
    let dynos = (1..=dynos).map(|index| dyno(index, stage(index), 300 + (index * 37) % 600)).collect();
    Facts { apps: vec![AppFacts { dynos, ..app("acme-crowd", drain()) }], ..shop() }
}

/// `apps` apps with twenty healthy dynos each.
pub fn many_apps(apps: u32) -> Facts {
    let app = |number| {
        let dynos = (1..=20).map(|index| dyno(index, Stage::Watched, 300 + index * 20)).collect();
        AppFacts { dynos, ..app(&format!("app-{number}"), drain()) }
    };
    Facts { apps: (1..=apps).map(app).collect(), ..shop() }
}

fn app(name: &str, drain: DrainFacts) -> AppFacts {
    AppFacts {
        name: name.parse().expect("an app"),
        dry_run: false,
        paused: None,
        drain,
        restarts_off: None,
        dynos: Vec::new(),
    }
}

fn drain() -> DrainFacts {
    DrainFacts { last_batch_ago: Some(Duration::from_secs(2)), batches: 4321, ..DrainFacts::default() }
}

fn dyno(index: u32, stage: Stage, permille: u32) -> DynoFacts {
    let name: DynoName = format!("web.{index}").parse().expect("a dyno");
    let soon = |seconds| Some(later(now(), Duration::from_secs(seconds)));
    let reading = MemoryReading {
        at: earlier(now(), Duration::from_secs(7)),
        used: Megabytes { hundredths: u64::from(permille) * 5120 / 100 },
        permille,
    };
    let restarted = stage != Stage::Watched && stage != Stage::Queued;
    DynoFacts {
        is_not_restarted: false,
        status: DynoStatus {
            is_broken: false,
            cooling_until: if stage == Stage::CoolingDown { soon(400) } else { None },
            given_up_until: if stage == Stage::GivenUp { soon(18_000) } else { None },
            last_restart_at: restarted.then(|| earlier(now(), Duration::from_secs(3000))),
            memory: Some(reading),
            quiet_for: Duration::from_secs(7),
            seen: restarted.then(|| seen(&name)),
            stage,
            waiting_for: (stage == Stage::Queued)
                .then(|| Hold::Queued { behind: "web.4".parse().expect("a dyno") }),
            name,
        },
        trace: Some(trace(index, permille)),
        traffic: Some(Traffic {
            requests: 900 + u64::from(index) * 7,
            errors: u64::from(index % 5),
            p95: Some(Duration::from_millis(120 + u64::from(index % 40))),
        }),
    }
}

fn seen(name: &DynoName) -> DynoInfo {
    DynoInfo {
        name: name.clone(),
        is_one_off: false,
        process_type: name.process_type().clone(),
        id: "f1a2b3c4-0000-4000-8000-000000000001".parse().expect("an id"),
        created_at: earlier(now(), Duration::from_secs(3000)),
        updated_at: earlier(now(), Duration::from_secs(2985)),
        state: DynoState::Up,
        release: Some(42),
    }
}

/// Three hours: a leak, a restart fifty minutes ago, and a leak again, up to `permille`.
fn trace(index: u32, permille: u32) -> Trace {
    let mut trace = Trace::default();
    for minute in 0..180_u32 {
        let at = earlier(now(), Duration::from_secs(u64::from(179 - minute) * 60));
        let since = if minute < 130 { minute } else { minute - 130 };
        let rise = if minute < 130 { permille * 6 / 10 / 130 } else { permille * 5 / 10 / 50 };
        let wobble = (minute * 7919 + index * 104_729) % 23;
        trace.add(at, permille * 45 / 100 + since * rise + wobble, now());
    }
    trace.mark(Mark { at: earlier(now(), Duration::from_secs(3000)), what: What::Ours });
    trace.mark(Mark { at: earlier(now(), Duration::from_secs(9000)), what: What::Deployed(Some(42)) });
    trace
}

fn decisions() -> Vec<DecisionView> {
    let hold = |minutes, dyno: &str, reason: &str, code: &str, count| DecisionView {
        count,
        ..decision(minutes, dyno, (Word::Hold, reason, code))
    };
    let back = OutcomeView {
        result: "back".into(),
        text: "up again after 16s".to_owned(),
        memory: Some(MemoryView {
            at: earlier(now(), Duration::from_secs(2960)),
            used_mb: 212.0,
            percent: 41.4,
        }),
        ..OutcomeView::default()
    };
    let lost = OutcomeView {
        result: "not_back".into(),
        text: "not up within boot_timeout = 3m: last seen crashed".to_owned(),
        ..OutcomeView::default()
    };
    let restart = (Word::Restart, "R14 at 646 MB (126.2% of its quota)", "rule");
    vec![
        decision(1, "web.4", restart),
        hold(2, "web.2", "waiting for its turn behind web.4", "queued", 3),
        hold(9, "web.8", "cooling down for 10m after its last restart, until 14:11:40", "cooling_down", 12),
        DecisionView { outcome: Some(lost), ..decision(40, "web.7", restart) },
        DecisionView { outcome: Some(back), ..decision(50, "web.8", restart) },
        decision(55, "web.3", (Word::Notify, "H12 × 20", "rule")),
    ]
}

fn decision(minutes: u64, dyno: &str, (decision, reason, code): (Word, &str, &str)) -> DecisionView {
    let at = earlier(now(), Duration::from_secs(minutes * 60));
    let memory = MemoryView { at, used_mb: 646.0, percent: 126.2 };
    DecisionView {
        at,
        app: "acme-shop".to_owned(),
        dyno: Some(dyno.to_owned()),
        rule: "memory-quota-exceeded".to_owned(),
        decision,
        reason: reason.to_owned(),
        code: code.to_owned(),
        dry_run: false,
        evidence: EvidenceView {
            error: Some("R14".to_owned()),
            lines: 1,
            memory: Some(memory),
            ..EvidenceView::default()
        },
        count: 1,
        last_at: at,
        outcome: None,
    }
}

/// A reason that would be harmful in an unescaped page.
pub fn harm() -> Arc<str> {
    "</q><script>alert(1)</script>\n\nevent: evil\r\ndata: '\" onload=x <!rows> ]]> &amp;".into()
}
