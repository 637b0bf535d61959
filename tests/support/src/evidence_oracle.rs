//! The oracles of the fuzz targets `templates` and `evidence`: bounds, nothing of a raw path in a template,
//! no panic, and no number that is none.

use std::collections::HashMap;

use dynowarden_core::days::evidence::counts::AppCounts;
use dynowarden_core::days::evidence::shape::Shape;
use dynowarden_core::days::evidence::suspects::{self, NoSuspect};
use dynowarden_core::days::evidence::templates::{Templates, is_template};
use dynowarden_core::days::evidence::{fit, pack};
use dynowarden_core::days::history::AppHistory;
use dynowarden_core::days::report;
use dynowarden_core::days::seen::Seen;
use dynowarden_core::detect::request::Request;
use dynowarden_core::detect::sign::Sign;
use dynowarden_core::event::Megabytes;
use dynowarden_core::ident::{DynoName, DynoRef, ProcessType};
use dynowarden_core::limits;
use jiff::Timestamp;

/// Requests, each a line: the first octet says how often, and whether the app knows the path. A text that is
/// shown was a segment of enough requests, and looks like no id.
pub fn check_templates(octets: &[u8]) {
    let mut templates = Templates::default();
    let mut seen: HashMap<Vec<u8>, u32> = HashMap::new();
    for line in octets.split(|octet| *octet == b'\n') {
        let Some((&first, path)) = line.split_first() else { continue };
        if first == 0xff {
            templates.age();
            continue;
        }
        let (times, is_known) = (u32::from(first & 0x3f) + 1, first & 0x40 == 0);
        for _ in 0..times {
            let before = path.split(|octet| matches!(octet, b'?' | b'#' | b';')).next().unwrap_or_default();
            // A segment counts once for a request.
            let mut own: Vec<&[u8]> = before.split(|octet| *octet == b'/').collect();
            own.sort_unstable();
            own.dedup();
            own.into_iter().for_each(|segment| *seen.entry(segment.to_vec()).or_default() += 1);
            let place = templates.place(path, is_known);
            check_template(&templates.template(place), &seen);
        }
        assert!(templates.live() <= limits::TEMPLATE_NODES_MAX);
    }
    assert!(templates.bytes() <= 100 * 1024, "{}", templates.bytes());
}

fn check_template(template: &str, seen: &HashMap<Vec<u8>, u32>) {
    assert!(is_template(template), "{template:?}");
    let segments = template.split('/').filter(|segment| !segment.is_empty());
    for segment in segments.filter(|segment| Shape::of_word(segment).is_none()) {
        let times = seen.get(segment.as_bytes()).copied().unwrap_or_default();
        assert!(times >= limits::TEMPLATE_WORD_REQUESTS_MIN, "{segment:?} was seen {times} times");
        let digits = segment.bytes().filter(u8::is_ascii_digit).count();
        assert!(digits * 2 <= segment.len().max(4) && !segment.starts_with(|c: char| c.is_ascii_digit()));
        assert!(segment.len() <= limits::TEMPLATE_WORD_BYTES_MAX && segment.is_ascii(), "{segment:?}");
    }
}

/// Octets as a stored window, as numbers to be fitted, and as an app's log.
pub fn check_evidence(octets: &[u8]) {
    if let Ok(window) = pack::unpack(0, octets) {
        assert_eq!(pack::unpack(0, &pack::pack(&window)), Ok(window));
    }
    check_fit(octets);
    check_log(octets);
}

fn check_fit(octets: &[u8]) {
    let Some((&columns, rest)) = octets.split_first() else { return };
    let columns = usize::from(columns % 12) + 1;
    let mut sums = fit::Sums::new(columns);
    for row in rest.chunks_exact(8 * (columns + 1)) {
        let value = |octets: &[u8]| f64::from_le_bytes(octets.try_into().unwrap_or_default());
        sums.add(&row.chunks_exact(8).map(value).collect::<Vec<_>>());
    }
    let free = columns / 3;
    if let Some(fit) = sums.solve(|column| column < free) {
        assert!(fit.coefficients.iter().chain(fit.errors.iter().flatten()).all(|value| value.is_finite()));
        assert!(fit.coefficients[free..].iter().all(|value| *value >= 0.0), "{fit:?}");
        assert!(fit.rest.is_finite() && fit.rest >= 0.0 && fit.variance >= 0.0, "{fit:?}");
    }
}

/// Four octets an event, on a clock that may also go back.
fn check_log(octets: &[u8]) {
    let mut history = AppHistory::with_evidence();
    let mut counts = AppCounts::default();
    let mut second: i64 = 1_767_225_600;
    for event in octets.chunks_exact(4) {
        let &[kind, index, step, value] = event else { continue };
        second += i64::from(step as i8) * if kind & 0x80 == 0 { 40 } else { 9000 };
        let Ok(at) = Timestamp::from_second(second) else { continue };
        let dyno = DynoRef { process_type: "web", index: u32::from(index % 4) + 1 };
        let path = ["/", "/orders/1", "/cart", "/a/b/c"][usize::from(value % 4)];
        let request = Request {
            dyno,
            method: Some(b"GET"),
            path: Some(path.as_bytes()),
            status: Some(200),
            service_ms: None,
            code: None,
        };
        let seen = match kind & 3 {
            0 => Seen::Sample {
                instance: "a".parse().expect("an id"),
                total: Megabytes { hundredths: u64::from(value) * 300 },
                quota: Megabytes { hundredths: 51_200 },
            },
            1 if kind & 0x40 != 0 => Seen::Sign(Sign::Restarting),
            _ => Seen::Request(request),
        };
        for _ in 0..u32::from(kind >> 2 & 7) + 1 {
            history.add(Some(dyno), &seen, at);
        }
        let name: DynoName = format!("web.{}", dyno.index).parse().expect("a dyno");
        counts.add(&name, &request, at);
    }
    history.close_evidence();
    assert!(counts.bytes() <= 100 * 1024, "{}", counts.bytes());
    let web: ProcessType = "web".parse().expect("a process type");
    let lives = report::lives_of(&history, &web);
    let suspects = suspects::suspects(&history, &lives, 100.0).unwrap_or_default();
    let strong = suspects.iter().filter(|suspect| suspect.confidence == "strong").count();
    assert!(strong <= 2 && suspects.len() <= 3, "{suspects:?}");
    for suspect in &suspects {
        assert!((0.0..=1.0).contains(&suspect.share), "{suspect:?}");
        assert!(is_template(&suspect.template), "{suspect:?}");
    }
    let early = suspects::suspects(&history, &lives, 11.9);
    assert_eq!(early, Err(NoSuspect::Hours(1)), "before 12 h nothing is named");
}
