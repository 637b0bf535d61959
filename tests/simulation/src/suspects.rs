//! How often the endpoint that leaks is named, and how often another one is, on synthetic apps whose truth is
//! known.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use dynowarden_core::days::evidence::suspects::{self, Suspect};
use dynowarden_core::days::history::AppHistory;
use dynowarden_core::days::report;
use dynowarden_core::days::seen::Seen;
use dynowarden_core::detect::request::Request;
use dynowarden_core::detect::sign::Sign;
use dynowarden_core::event::{DynoState, Megabytes};
use dynowarden_core::ident::{DynoRef, InstanceId, ProcessType};
use heroku_sim::endpoint_paths::{ENDPOINTS, template};
use heroku_sim::endpoints::{self, Cause, Happening, Scene, TICK_SECONDS};
use heroku_sim::rng::Chance;

/// What is named after some hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Named {
    pub runs: u32,
    /// The endpoint that leaks is `strong`.
    pub right: u32,
    /// Another endpoint is `strong`, and is not always called together with the one that leaks.
    pub wrong: u32,
    /// The endpoint that leaks is the first suspect, strong or weak.
    pub first: u32,
    /// Another endpoint is among the suspects.
    pub others: u32,
}

const QUOTA: Megabytes = Megabytes { hundredths: 102_400 };

/// The first second of 2026.
const START: i64 = 1_767_225_600;

/// Runs an app, and looks at its suspects after each of some hours, which are in order.
pub fn run(scene: Scene, hours: &[i64], seed: u64) -> Vec<Named> {
    let mut app = scene.start(Chance::new(seed));
    let mut history = AppHistory::with_evidence();
    let (mut second, mut named) = (0, Vec::new());
    for until in hours {
        while second < until * 3600 {
            app.tick(|at, happening| add(&mut history, &happening, START + at));
            second += TICK_SECONDS;
        }
        let mut seen = history.clone();
        seen.close_evidence();
        named.push(judge(&app, &suspects_of(&seen, *until as f64)));
    }
    named
}

/// Runs many apps.
pub fn runs(scene: Scene, hours: &[i64], seeds: std::ops::Range<u64>) -> Vec<Named> {
    let mut sums = vec![Named::default(); hours.len()];
    for seed in seeds {
        for (sum, one) in sums.iter_mut().zip(run(scene, hours, seed)) {
            sum.runs += one.runs;
            sum.right += one.right;
            sum.wrong += one.wrong;
            sum.first += one.first;
            sum.others += one.others;
        }
    }
    sums
}

fn suspects_of(history: &AppHistory, hours: f64) -> Vec<Suspect> {
    let web: ProcessType = "web".parse().expect("a process type");
    suspects::suspects(history, &report::lives_of(history, &web), hours).unwrap_or_default()
}

fn judge(app: &endpoints::App, suspects: &[Suspect]) -> Named {
    let is = |suspect: &Suspect, endpoint: usize| {
        (suspect.method.as_str(), suspect.template.as_str()) == (ENDPOINTS[endpoint].0, &template(endpoint))
    };
    let is_culprit = |suspect: &Suspect| app.culprits().iter().any(|endpoint| is(suspect, *endpoint));
    let is_twin = |suspect: &Suspect| app.twin().is_some_and(|endpoint| is(suspect, endpoint));
    let strong = || suspects.iter().filter(|suspect| suspect.confidence == "strong");
    let count = |is: bool| u32::from(is);
    Named {
        runs: 1,
        right: count(strong().any(is_culprit)),
        wrong: count(strong().any(|suspect| !is_culprit(suspect) && !is_twin(suspect))),
        first: count(suspects.first().is_some_and(is_culprit)),
        others: count(suspects.iter().any(|suspect| !is_culprit(suspect) && !is_twin(suspect))),
    }
}

fn add(history: &mut AppHistory, happening: &Happening, second: i64) {
    let at = Timestamp::from_second(second).expect("a time");
    let name = |index| DynoRef { process_type: "web", index };
    match happening {
        Happening::Started { dyno } => {
            for sign in [Sign::Restarting, Sign::Starting, Sign::State(DynoState::Up)] {
                history.add(Some(name(*dyno)), &Seen::Sign(sign), at);
            }
        }
        Happening::Request { dyno, method, path, .. } => {
            let request = Request {
                dyno: name(*dyno),
                method: Some(method.as_bytes()),
                path: Some(path.as_bytes()),
                status: Some(200),
                service_ms: Some(20),
                code: None,
            };
            history.add(Some(request.dyno), &Seen::Request(request), at);
        }
        Happening::Sample { dyno, instance, megabytes } => {
            let instance: InstanceId = format!("{instance:016x}").parse().expect("an id");
            let total = Megabytes { hundredths: (megabytes * 100.0) as u64 };
            history.add(Some(name(*dyno)), &Seen::Sample { instance, total, quota: QUOTA }, at);
        }
    }
}

/// The rows of the table.
pub fn scenes() -> Vec<(&'static str, Scene)> {
    let usual = Scene::USUAL;
    let of = |cause| Scene { cause, ..usual };
    vec![
        ("100 KB × 3 %, 1 dyno", Scene { dynos: 1, ..usual }),
        ("2 dynos", Scene { dynos: 2, ..usual }),
        ("4 dynos", usual),
        ("4 dynos, 20 % strangers", Scene { strangers: 0.2, ..usual }),
        ("10 dynos", Scene { dynos: 10, ..usual }),
        ("200 KB, 4 dynos", Scene { kilobytes: 200.0, ..usual }),
        ("50 KB, 4 dynos", Scene { kilobytes: 50.0, ..usual }),
        ("300 KB × 1 %", Scene { kilobytes: 300.0, share: 0.01, ..usual }),
        ("30 KB × 10 %", Scene { kilobytes: 30.0, share: 0.1, ..usual }),
        ("sawtooth twice as high", Scene { saw_megabytes: 24.0, ..usual }),
        ("heap wanders", Scene { wanders: true, ..usual }),
        ("lives of 4 h", Scene { life_hours: 4.0, ..usual }),
        ("session affinity", Scene { has_affinity: true, ..usual }),
        ("twin endpoint, called each time", of(Cause::Twins)),
        ("two culprits", of(Cause::TwoEndpoints)),
        ("no leak", of(Cause::Nothing)),
        ("steady job", of(Cause::SteadyJob)),
        ("job with the day", of(Cause::DailyJob)),
        ("every request leaks", of(Cause::EveryRequest)),
    ]
}

/// The hours after which the table looks.
pub const HOURS: [i64; 6] = [12, 18, 24, 36, 48, 72];

/// The whole table: for each scene and number of hours, named rightly / wrongly as `strong`, and in brackets
/// the first suspect rightly / any other suspect. The rows are made on all cores.
pub fn report(runs_each: u64) -> String {
    let scenes = scenes();
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((place, scene)) = take(&next, &scenes) {
                    let row = row(scene, runs_each);
                    rows.lock().unwrap_or_else(PoisonError::into_inner).insert(place, row);
                }
            });
        }
    });
    let hours: String = HOURS.iter().map(|hours| format!(" {hours} h |")).collect();
    let rule = " --- |".repeat(HOURS.len());
    let rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    let rows: String = rows.values().map(|row| format!("{row}\n")).collect();
    format!("{runs_each} runs a cell\n\n| case |{hours}\n| --- |{rule}\n{rows}")
}

fn take<'s>(
    next: &AtomicUsize,
    scenes: &'s [(&'static str, Scene)],
) -> Option<(usize, &'s (&'static str, Scene))> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    Some((place, scenes.get(place)?))
}

fn row((name, scene): &(&'static str, Scene), runs_each: u64) -> String {
    let share = |count: u32| f64::from(count) / runs_each as f64;
    let cell = |named: &Named| {
        let Named { right, wrong, first, others, .. } = *named;
        format!(" {:.2}/{:.2} ({:.2}/{:.2}) |", share(right), share(wrong), share(first), share(others))
    };
    let cells: String = runs(*scene, &HOURS, 1..runs_each + 1).iter().map(cell).collect();
    format!("| {name} |{cells}")
}
