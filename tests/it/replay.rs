//! `dynowarden replay` over the fixtures, as timelines, and over every other kind of file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use dynowarden::cli::{Cli, Command, Format, ReplayArgs};
use dynowarden::commands::replay::{self, ReplayError, Streams};
use dynowarden::config::settings::Settings;
use dynowarden::config::{self, Needs, Sources};

use clap::Parser as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::{any, prop, proptest};

pub(super) struct Ran {
    pub(super) out: String,
    pub(super) err: String,
    pub(super) result: Result<(), ReplayError>,
}

fn settings(toml: &str) -> Settings {
    let read_file = |path: &Path| match path.to_str() {
        Some("t.toml") => Ok(toml.to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let sources = Sources { config: Some(Path::new("t.toml")), env: &[], read_file: &read_file };
    config::load(&sources, Needs::Nothing).expect("settings")
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// Replays as if on 1 March 2026.
pub(super) fn replay(line: &str, toml: &str, stdin: &[u8]) -> Ran {
    let words = ["dynowarden", "replay"].into_iter().chain(line.split_whitespace());
    let Command::Replay(args) = Cli::parse_from(words).into_command() else { panic!("a replay") };
    replay_args(&args, toml, stdin)
}

fn replay_args(args: &ReplayArgs, toml: &str, mut stdin: &[u8]) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let streams = Streams { stdin: &mut stdin, out: &mut out, err: &mut err, is_terminal: false };
    let now = "2026-03-01T00:00:00Z".parse().expect("a time");
    let result = replay::run(args, &settings(toml), streams, now);
    let text = |octets| String::from_utf8(octets).expect("UTF-8");
    Ran { out: text(out), err: text(err), result }
}

/// The timeline of a fixture read from standard input.
fn timeline(name: &str, toml: &str) -> String {
    let ran = replay("--app acme -", toml, &std::fs::read(fixture(name)).expect("a fixture"));
    ran.result.expect("a log");
    if ran.err.is_empty() { ran.out } else { format!("{}--\n{}", ran.out, ran.err) }
}

pub(super) fn json(line: &str, stdin: &[u8]) -> Vec<serde_json::Value> {
    let ran = replay(&format!("--format json {line}"), "", stdin);
    ran.result.expect("a log");
    ran.out.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

fn decisions(file: &[u8]) -> Vec<String> {
    let word = |decision: &serde_json::Value, key| decision[key].as_str().expect(key).to_owned();
    json("-", file).iter().map(|d| format!("{} {}", word(d, "dyno"), word(d, "code"))).collect()
}

macro_rules! timelines {
    ($($test:ident: $file:literal, $toml:literal;)+) => {$(
        #[test]
        fn $test() {
            insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(concat!("replay-", stringify!($test)), timeline($file, $toml));
            });
        }
    )+};
}

timelines! {
    r14_of_one_of_three: "r14-web-2/batch.logplex", "";
    plateau: "plateau-2025-08.log", "";
    slow_leak: "leak-2026-02.log.gz", "";
    slow_leak_by_memory: "leak-2026-02.log.gz",
        "[[rule]]\nname = \"memory-high\"\non = [\"memory\"]\nabove = \"95%\"\nfor = \"3m\"\ndo = \"restart\"";
    slow_leak_in_a_window: "leak-2026-02.log.gz", "[policy]\nwindow = [\"02:50-06:00 UTC\"]";
    out_of_order: "out-of-order-2015.log", "";
    papertrail: "papertrail-2015.log", "";
    restart_overlap: "restart-overlap.logplex", "";
    platform_errors: "platform-errors.logplex",
        "[[rule]]\nname = \"boot\"\non = [\"R10\", \"L14\"]\ndo = \"notify\"";
    router_lines: "router-lines.logplex", "[[rule]]\nname = \"hung\"\non = [\"H12\"]\ndo = \"restart\"";
    metrics: "metrics.logplex", "";
    forgeries: "forgeries.logplex", "";
    two_at_once: "replay/two-at-once.log", "";
    deploy: "replay/deploy.log", "";
    not_back: "replay/not-back.log", "";
    two_systems: "replay/two-systems.log", "";
}

#[test]
fn json_output_has_one_object_for_every_decision() {
    let decisions = json("--app acme -", &std::fs::read(fixture("plateau-2025-08.log")).expect("a fixture"));
    assert_eq!(decisions.len(), 17);
    for decision in &decisions {
        for key in ["at", "app", "dyno", "rule", "decision", "reason", "code"] {
            assert!(decision[key].is_string(), "{key} in {decision}");
        }
        assert!(decision["evidence"]["seen"].is_null(), "{decision}");
    }
}

#[test]
fn systems_become_apps_unless_an_app_is_given() {
    let file = std::fs::read(fixture("replay/two-systems.log")).expect("a fixture");
    let apps = |line: &str| -> Vec<String> {
        json(line, &file)
            .iter()
            .map(|d| format!("{} {}", &d["at"].as_str().expect("at")[..4], d["app"].as_str().expect("app")))
            .collect()
    };
    assert_eq!(
        apps("-"),
        ["2025 acme", "2025 acme-staging", "2025 acme", "2026 acme", "2026 acme-staging", "2026 acme"]
    );
    assert_eq!(apps("--app acme-staging -"), ["2025 acme-staging", "2026 acme-staging"]);
}

#[test]
fn every_log_format_leads_to_the_same_decisions() {
    let shown = std::fs::read_to_string(fixture("plateau-2025-08.log")).expect("a fixture");
    let (mut framed, mut archived) = (String::new(), String::new());
    for line in shown.lines() {
        let (time, rest) = line.split_once(' ').expect("a time");
        let (source, msg) = rest.split_once("]: ").expect("a source");
        let (app, procid) = source.split_once('[').expect("a procid");
        let frame = format!("<134>1 {time} host {app} {procid} - {msg}\n");
        framed += &format!("{} {frame}", frame.len());
        archived += &format!("7\t{time}\t{time}\t1\tapp\t10.0.0.1\tLocal7\tInfo\t{app}/{procid}\t{msg}\n");
    }
    let expect = decisions(shown.as_bytes());
    assert_eq!(expect.len(), 17);
    assert_eq!(decisions(framed.as_bytes()), expect);
    assert_eq!(decisions(archived.as_bytes()), expect);
}

pub(super) fn gzipped(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(octets).expect("room");
    encoder.finish().expect("room")
}

#[test]
fn plain_and_compressed_files_are_joined_into_one_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let whole = std::fs::read(fixture("plateau-2025-08.log")).expect("a fixture");
    let middle = whole.len() / 2 + memchr::memchr(b'\n', &whole[whole.len() / 2..]).expect("a line") + 1;
    let (first, second) = whole.split_at(middle);
    let plain = dir.path().join("first.log");
    // Detected by its content, not by its name.
    let packed = dir.path().join("second.log");
    std::fs::write(&plain, first).expect("room on the disk");
    std::fs::write(&packed, gzipped(second)).expect("room on the disk");
    let args = ReplayArgs {
        config: dynowarden::cli::ConfigArgs { config: None },
        app: None,
        zone: None,
        what_if: false,
        set: Vec::new(),
        format: Format::Text,
        files: vec![plain, packed],
    };
    let expect = replay("-", "", &whole).out;
    let ran = replay_args(&args, "", b"");
    ran.result.expect("a log");
    assert_eq!(ran.out, expect);
    let members = [gzipped(first), gzipped(second)].concat();
    assert_eq!(replay("-", "", &members).out, expect);
}

/// Found by the fuzzer: the first system was taken for the app if the file was joined behind it.
#[test]
fn gzip_member_boundaries_do_not_affect_systems() {
    let line = |system| format!("Dec 31 23:59:40 {system} heroku/web.1: Error R14 (Memory quota exceeded)\n");
    let (other, own) = (line("acme-staging"), line("acme"));
    let joined = [gzipped(other.as_bytes()), gzipped(own.as_bytes())].concat();
    let expect = replay("--app acme -", "", (other + &own).as_bytes()).out;
    assert_eq!(replay("--app acme -", "", &joined).out, expect);
}

#[test]
fn an_unreadable_file_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let folder = dir.path().display();
    let ran = replay(&format!("{folder}/none.log"), "", b"");
    let error = ran.result.expect_err("there is none");
    assert!(error.to_string().ends_with("none.log: cannot be read"), "{error}");
    assert!(std::error::Error::source(&error).is_some());

    let error = replay(&format!("- {folder}"), "", b"").result.expect_err("a folder");
    assert!(error.to_string().ends_with("is a directory; name the files in it"), "{error}");

    let log = "2025-08-08T06:59:08Z heroku[web.1]: Error R14 (Memory quota exceeded)\n";
    let cut = gzipped(log.repeat(1000).as_bytes());
    let ran = replay("-", "", &cut[..cut.len() - 9]);
    assert!(ran.result.is_err());
    assert!(ran.out.contains("restart"), "what was read before counts: {}", ran.out);
}

#[test]
fn an_unrecognised_file_is_an_error_and_an_empty_one_is_not() {
    for file in ["GET / HTTP/1.1\n", "\0\u{1}\u{2}", "12 x", "Error R14 (Memory quota exceeded)\n"] {
        let error = replay("-", "", file.as_bytes()).result.expect_err(file).to_string();
        assert!(error.starts_with("-: not a log that replay can read"), "{error}");
        for form in ["logplex", "heroku logs", "Papertrail"] {
            assert!(error.contains(form), "{error}");
        }
    }
    for file in [&b""[..], b"\n\n", &gzipped(b"")] {
        let ran = replay("-", "", file);
        ran.result.expect("nothing is no failure");
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("no lines\n", ""));
    }
}

#[test]
fn skipped_lines_are_reported() {
    let log = "2025-08-08T06:59:08Z heroku[web.1]: Error R14 (Memory quota exceeded)\n\
               Traceback\n  at x\n\
               2025-08-08T06:59:09Z heroku[web.1]: Error R18 (Something new)\n";
    let ran = replay("--format json -", "", log.as_bytes());
    ran.result.expect("a log");
    assert_eq!(ran.out.lines().count(), 1);
    let reported: Vec<_> = ran.err.lines().collect();
    assert_eq!(
        reported[0],
        "2 lines were not read, first -:2: unrecognised log format (expected `heroku logs` or Papertrail output): \"Traceback\""
    );
    assert_eq!(
        reported[1],
        "1 line was not understood: -:4: unexpected code R18 from this source: \"Error R18 (Something new)\""
    );
    assert!(reported[2].starts_with("2 lines, 2025-08-08 06:59:08Z"), "{}", reported[2]);
}

/// Reads a number of octets and then closes, as `head` does.
struct Head(usize);

impl Write for Head {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let taken = octets.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_output_pipe_is_not_an_error() {
    let log = std::fs::read(fixture("plateau-2025-08.log")).expect("a fixture");
    let Command::Replay(args) = Cli::parse_from(["dynowarden", "replay", "-"]).into_command() else {
        panic!("a replay")
    };
    for octets in [0, 1, 100] {
        let (mut stdin, mut out, mut err) = (&log[..], Head(octets), Vec::new());
        let streams = Streams { stdin: &mut stdin, out: &mut out, err: &mut err, is_terminal: false };
        let now = "2026-03-01T00:00:00Z".parse().expect("a time");
        replay::run(&args, &settings(""), streams, now).expect("no failure");
    }
}

/// A line far in the future must not keep the replay busy until then.
#[test]
fn a_jump_in_time_does_not_keep_replay_busy() {
    let log = std::fs::read_to_string(fixture("replay/not-back.log")).expect("a fixture");
    let dead: String = log.lines().take_while(|line| !line.contains("crashed to starting")).fold(
        String::new(),
        |mut text, line| {
            text += line;
            text.push('\n');
            text
        },
    );
    let log = format!("{dead}9998-12-31T23:59:59Z heroku[web.3]: Error R14 (Memory quota exceeded)\n");
    let decisions = decisions(log.as_bytes());
    // By then another dyno has booted, as Heroku cycles each once a day.
    assert_eq!(decisions.last().map(String::as_str), Some("web.3 rule"), "{decisions:?}");
}

proptest! {
    #[test]
    fn any_log_is_replayed_without_panic(
        lines in prop::collection::vec(
            (
                0_i64..4_000_000,
                "heroku|app",
                "web\\.[1-3]|worker\\.1|api|router|logplex",
                prop::sample::select(vec![
                    "Error R14 (Memory quota exceeded)",
                    "Error R15 (Memory quota vastly exceeded)",
                    "State changed from up to starting",
                    "State changed from starting to up",
                    "State changed from up to down",
                    "State changed from up to crashed",
                    "Starting process with command `x`",
                    "Process exited with status 143",
                    "Release v12 created by user a@example.com",
                    "Release v13 created by user a@example.com",
                    "Scaled to web@2:Standard-1X by user a@example.com",
                    "at=error code=H12 desc=\"Request timeout\" dyno=web.2",
                ]),
            ),
            1..120,
        ),
        speed in prop::sample::select(vec![1, 60, 4000]),
        noise in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut log = Vec::new();
        for (millis, app, procid, msg) in &lines {
            let at = jiff::Timestamp::from_millisecond(1_750_000_000_000 + millis * speed).expect("a time");
            log.extend_from_slice(format!("{at} {app}[{procid}]: {msg}\n").as_bytes());
        }
        log.extend_from_slice(&noise);
        let decisions = json("-", &log);
        let at = |d: &serde_json::Value| -> jiff::Timestamp {
            d["at"].as_str().expect("at").parse().expect("a time")
        };
        assert!(decisions.is_sorted_by_key(at), "decisions are in the order of time");
        for dyno in ["web.1", "web.2", "web.3"] {
            let restarts: Vec<_> = decisions
                .iter()
                .filter(|d| d["dyno"] == dyno && d["decision"] == "restart")
                .map(at)
                .collect();
            for pair in restarts.windows(2) {
                assert!(pair[1].duration_since(pair[0]).as_secs() >= 600, "within the cool-down: {pair:?}");
            }
        }
        assert!(decisions.iter().all(|d| d["dyno"].as_str().is_none_or(|dyno| dyno.starts_with("web."))));
        assert_eq!(json("-", &log), decisions, "a replay is repeatable");
    }
}
