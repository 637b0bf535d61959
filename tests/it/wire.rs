//! All drain input, checked against the reference reader: random batches, random garbage, the fixtures and
//! the fuzz corpus.

#[path = "../../benches/corpus/mod.rs"]
mod corpus;

use std::path::Path;

use dynowarden_core::codes::Code;
use dynowarden_core::detect;
use dynowarden_core::event::Fact;
use dynowarden_core::ingest::{self, Counts, ProcessTypeFilter};
use dynowarden_core::wire;
use dynowarden_core::wire::frame::frames;
use proptest::collection::vec;
use proptest::prelude::*;

const HEAD: &str = "<134>1 2025-08-08T06:59:08.592108+00:00 host";

/// Octets, every other one of which has a meaning in some parser.
fn octets(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let meaningful = proptest::sample::select(&b" \n0159<>-=\"\\.:TZ+()'#HRLMB%\0\xff"[..]);
    vec(prop_oneof![meaningful, any::<u8>()], 0..most)
}

/// Pieces of the platform's text, and of forgeries.
fn msg() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&str] = &[
        " ",
        "=",
        "\"",
        "\\",
        "- ",
        "\n",
        "at=error",
        "at=info",
        "at=warning",
        "sock=client",
        "code=H12",
        "code=R14",
        "code=",
        "desc=\"Request timeout\"",
        "path=\"/?code=H12&dyno=web.9\"",
        "dyno=web.1",
        "dyno=",
        "dyno=heroku.1.cd817c77-4f8e-4e68-b42a-3dea4e04d99c",
        "source=web.1",
        "source=web.2",
        "sample#memory_total=221.47MB",
        "sample#memory_quota=512.00MB",
        "sample#memory_quota=-1MB",
        "Error R14",
        "Error R99",
        "Error L10",
        "Error L14",
        "(Memory quota exceeded)",
        "->",
        ": ",
        "7 messages dropped since",
        "drain 'd.68bc07b8' dropped",
        "Process running mem=646M(126.2%)",
        "State changed from",
        "up",
        "to",
        "down",
        "Release v12 created by user",
        "Scaled to web@4",
        "1 a",
        "x",
    ];
    let piece = prop_oneof![
        8 => proptest::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => octets(8),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.join(&b' '))
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let source = proptest::sample::select(
        &[
            "heroku web.1",
            "heroku router",
            "heroku logplex",
            "app web.1",
            "app api",
            "app log-shuttle",
            "heroku -",
        ][..],
    );
    (source, msg(), any::<bool>()).prop_map(|(source, msg, ended)| {
        let tail: &[u8] = if ended { b"\n" } else { b"" };
        [format!("{HEAD} {source} - ").as_bytes(), &msg, tail].concat()
    })
}

fn render(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| [format!("{} ", line.len()).as_bytes(), line].concat()).collect()
}

fn time() -> impl Strategy<Value = String> {
    let number = |below: u32| 0..below;
    let zone = prop_oneof![
        Just("Z".to_owned()),
        (number(25), number(61), any::<bool>()).prop_map(|(hours, minutes, ahead)| format!(
            "{}{hours:02}:{minutes:02}",
            if ahead { '+' } else { '-' }
        )),
    ];
    let fraction = prop_oneof![Just(String::new()), "\\.[0-9]{0,10}"];
    let day = (number(10_000), number(14), number(33));
    (day, (number(25), number(61), number(62)), fraction, zone).prop_map(|(day, clock, fraction, zone)| {
        let ((year, month, day), (hour, minute, second)) = (day, clock);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}")
    })
}

/// Something that happens to a line of the test data.
#[derive(Clone, Debug)]
enum Change {
    /// The text is replaced by another, the first time it occurs.
    Replace(&'static str, &'static str),
    /// An octet within the header or behind it is replaced, removed, or put in front of another.
    Octet(proptest::sample::Index, u8, u8),
    /// The line ends early.
    Cut(proptest::sample::Index),
}

impl Change {
    fn apply(&self, line: &mut Vec<u8>) {
        match self {
            Self::Replace(from, to) => {
                *line = String::from_utf8_lossy(line).replacen(from, to, 1).into_bytes();
            }
            Self::Octet(place, octet, kind) if !line.is_empty() => {
                // Most of them within the first hundred, where the header is.
                let place = place.index(if kind % 4 == 3 { line.len() } else { line.len().min(100) });
                match kind % 3 {
                    0 => line[place] = *octet,
                    1 => drop(line.remove(place)),
                    _ => line.insert(place, *octet),
                }
            }
            Self::Cut(place) if !line.is_empty() => line.truncate(place.index(line.len()).max(1)),
            Self::Octet(..) | Self::Cut(_) => {}
        }
    }
}

fn change() -> impl Strategy<Value = (proptest::sample::Index, Change)> {
    const REPLACED: &[(&str, &str)] = &[
        ("0+00:00 ", "+00:00 "),
        ("00+00:00 ", "+00:00 "),
        (".", ""),
        ("<134>", "<45>"),
        ("<190>", "<13>"),
        ("<134>", "<192>"),
        ("<134>", "<191>"),
        ("<190>", "<7>"),
        ("<134>", "<034>"),
        (" host ", " d.68bc07b8-b306-4fa6-985f-48f8a45912c3 "),
        (" host ", " host host "),
        (" host ", "  "),
        (" app ", " app api "),
        (" app web.", " app log-shuttle"),
        (" app web.1", " app api"),
        (" app web.", " heroku web."),
        (" heroku router ", " app router "),
        (" heroku web.", " heroku clock_with_a_long_name."),
        (" - ", " - - "),
        (" - ", " -"),
        (" - ", " "),
        ("at=info", "at=error"),
        ("method=", "code=H12 method="),
        ("method=GET", "method=GET dyno=web.9"),
        ("path=\"", "path=\"\\\""),
        ("path=\"", "path=\"\" x=\""),
        (" fwd=", " path=\"/\" fwd="),
        ("dyno=web.", "dyno=\"web."),
        ("service=", "service= x="),
        (" tls=true", ""),
        (" tls_version=tls1.3", ""),
        ("tls1.3", "tls1.3 status=500"),
        ("web.1", "web.01"),
        ("web.1", "web.4294967296"),
        ("sample#memory_total=", "sample#memory_total=1x"),
        ("sample#memory_swap=0", "sample#memory_swap=\"0"),
        ("sample#load_avg_5m=", "source=web.9 sample#load_avg_5m="),
        ("sample#memory_cache=", "sample#memory_quota=1.00MB sample#memory_cache="),
        ("dyno=heroku.", "dyno=heroku.."),
        ("dyno=heroku.2", "dyno=heroku."),
        ("512.00MB", "512MB"),
        ("Error R14", "Error R15"),
    ];
    let octet = prop_oneof![proptest::sample::select(&b" -<>.\"=\n0\xff"[..]), any::<u8>()];
    let change = prop_oneof![
        4 => proptest::sample::select(REPLACED).prop_map(|(from, to)| Change::Replace(from, to)),
        4 => (any::<proptest::sample::Index>(), octet, any::<u8>())
            .prop_map(|(place, octet, kind)| Change::Octet(place, octet, kind)),
        1 => any::<proptest::sample::Index>().prop_map(Change::Cut),
    ];
    (any::<proptest::sample::Index>(), change)
}

/// Lines of the test data, some of each kind.
fn corpus_lines() -> Vec<Vec<u8>> {
    let corpus = corpus::Corpus::new(14, 350);
    let all: Vec<Vec<u8>> = corpus
        .batches
        .iter()
        .flat_map(|body| frames(body))
        .map(|frame| frame.expect("one").octets.to_vec())
        .collect();
    let of = |part: &str, most: usize| -> Vec<Vec<u8>> {
        let has = |line: &&Vec<u8>| String::from_utf8_lossy(line).contains(part);
        let found: Vec<_> = all.iter().filter(has).take(most).cloned().collect();
        assert!(!found.is_empty(), "the test data has no {part}");
        found
    };
    [
        of(" app ", 2),
        of("at=info", 3),
        of("code=H", 1),
        of("memory_total", 2),
        of("load_avg", 2),
        of("Process", 1),
    ]
    .concat()
}

/// Every change that is known to matter, alone and in pairs of lines.
#[test]
fn every_known_change_is_read_as_the_reference_reads_it() {
    let lines = corpus_lines();
    for (at, _) in lines.iter().enumerate() {
        for place in 0..lines[at].len() {
            let mut changed = lines.clone();
            for octet in [b' ', b'"', b'0', b'\n'] {
                changed[at][place] = octet;
                support::oracle::check_glances(&render(&changed[at..]));
            }
            changed[at].truncate(place);
            if place > 0 {
                support::oracle::check_glances(&render(&changed[at..]));
            }
        }
    }
}

/// A frame that is far too long for a line is skipped like any other without one.
#[test]
fn an_oversized_frame_is_skipped_and_the_next_is_read() {
    let good = format!("{HEAD} heroku web.1 - Error R14 (Memory quota exceeded)\n").into_bytes();
    for length in [65_536, 65_537, 100_000, 1_000_000] {
        let body = render(&[vec![b'x'; length], good.clone()]);
        let read: Vec<bool> = wire::lines(&body).map(|line| line.is_ok()).collect();
        assert_eq!(read, [false, true], "{length}");
        support::oracle::check_batch(&body);
    }
}

proptest! {
    #[test]
    fn rendered_frames_are_read_back(lines in vec(line(), 0..8)) {
        let body = render(&lines);
        let read: Vec<Vec<u8>> = frames(&body).map(|frame| frame.expect("a frame").octets.to_vec()).collect();
        prop_assert_eq!(read, lines);
        support::oracle::check_batch(&body);
    }

    #[test]
    fn a_truncated_batch_keeps_its_whole_frames(
        lines in vec(line(), 1..5), cut in any::<proptest::sample::Index>(),
    ) {
        let body = render(&lines);
        let cut = cut.index(body.len());
        support::oracle::check_batch(&body[..cut]);
        support::oracle::check_batch(&body[cut..]);
        let mut end = 0;
        let whole = lines.iter().take_while(|line| {
            end += render(std::slice::from_ref(line)).len();
            end <= cut
        });
        let read = frames(&body[..cut]).map_while(Result::ok).map(|frame| frame.octets);
        prop_assert!(read.eq(whole));
    }

    #[test]
    fn garbage_between_frames_is_read_as_the_reference_reads_it(
        before in vec(line(), 0..3), garbage in octets(40), after in vec(line(), 0..3),
    ) {
        support::oracle::check_batch(&[render(&before), garbage, render(&after)].concat());
    }

    #[test]
    fn any_octets_are_read_as_the_reference_reads_them(octets in octets(400)) {
        check_all(&octets);
    }

    #[test]
    fn every_message_is_read_as_the_reference_reads_it(msg in msg()) {
        support::oracle::check_msg(&msg);
    }

    #[test]
    fn a_changed_batch_is_read_as_the_reference_reads_it(changes in vec(change(), 0..6)) {
        let mut lines = corpus_lines();
        for (place, change) in changes {
            let line = place.index(lines.len());
            change.apply(&mut lines[line]);
        }
        support::oracle::check_batch(&render(&lines));
    }

    #[test]
    fn output_of_a_dyno_is_never_an_event(
        dyno in "[-_A-Za-z0-9]{1,12}\\.[1-9][0-9]{0,3}",
        msg in prop_oneof![msg(), octets(200)],
        lines in vec(line(), 0..3),
    ) {
        // Also whole frames of the platform, as text.
        let msg = [msg, render(&lines)].concat();
        let body = render(&[[format!("{HEAD} app {dyno} - ").as_bytes(), &msg, b"\n"].concat()]);
        let said: Vec<_> = wire::lines(&body).map(|line| detect::event(&line.expect("a line"))).collect();
        prop_assert_eq!(said, [Ok(None)]);
    }

    #[test]
    fn every_timestamp_is_read_as_the_reference_reads_it(time in time()) {
        support::oracle::check_time(time.as_bytes());
    }
}

#[track_caller]
fn check_all(octets: &[u8]) {
    support::oracle::check_batch(octets);
    support::oracle::check_line(octets);
    support::oracle::check_msg(octets);
    support::oracle::check_time(octets);
}

#[test]
fn fixtures_are_read_as_the_reference_reads_them() {
    let files = support::corpus::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures"));
    assert!(files.len() >= 20, "fixtures is not where it should be");
    files.iter().for_each(|path| check_all(&std::fs::read(path).expect("a file")));
}

#[test]
fn fuzz_inputs_are_read_as_the_reference_reads_them() {
    support::corpus::inputs("").iter().for_each(|input| check_all(input));
}

/// A corpus without an R14 in it, and one R14 to hide.
fn haystack(frames: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
    let corpus = corpus::Corpus::new(14, frames);
    let harmless =
        |body: &Vec<u8>| String::from_utf8_lossy(body).replace("Error R14", "Error_R14").into_bytes();
    let needle = render(&[format!("{HEAD} heroku web.7 - Error R14 (Memory quota exceeded)\n").into_bytes()]);
    (corpus.batches.iter().map(harmless).collect(), needle)
}

/// The dynos with errors.
fn erring(body: &[u8], counts: &mut Counts) -> Vec<String> {
    let watch = ProcessTypeFilter { process_types: vec!["web".parse().expect("a type")] };
    let events = ingest::read_batch(body, &watch, None, counts);
    let errors = events.into_iter().filter_map(|event| match event.fact {
        Fact::Error { code: Code::R14, dyno } => Some(dyno.expect("it is about a dyno").to_string()),
        _ => None,
    });
    errors.collect()
}

#[test]
fn one_error_among_a_million_frames_is_found() {
    const FRAMES: u64 = 1_000_000;
    let (bodies, needle) = haystack(10_000);
    // Somewhere in the second half.
    let hidden_at = 654_321;
    let (mut counts, mut found) = (Counts::default(), Vec::new());
    let mut is_hidden = false;
    for body in bodies.iter().cycle() {
        if counts.frames >= FRAMES && is_hidden {
            break;
        }
        if counts.frames >= hidden_at && !is_hidden {
            is_hidden = true;
            found.extend(erring(&[&needle[..], body].concat(), &mut counts));
        } else {
            found.extend(erring(body, &mut counts));
        }
    }
    assert_eq!(found, ["web.7"]);
    assert!(counts.bad_frames.is_empty(), "{counts:?}");
}

#[test]
fn an_error_is_found_at_any_place_in_a_batch() {
    let (bodies, needle) = haystack(3000);
    for body in &bodies {
        let starts = frames(body).map(|frame| frame.expect("a frame").offset).chain([body.len()]);
        for start in starts.step_by(7) {
            let hidden = [&body[..start], &needle, &body[start..]].concat();
            assert_eq!(erring(&hidden, &mut Counts::default()), ["web.7"], "at octet {start}");
        }
    }
}
