//! The oracle for replayed files: chunk boundaries change nothing, each text line is what a slow reader finds
//! in it, a rewritten line is the same line, no app's line leads to a decision, lines in another order lead
//! to the same decisions, no restart breaks the policy or lacks a platform line, and a comparison of policies
//! keeps what [`crate::what_if_oracle`] asks for.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::path::PathBuf;

use dynowarden::cli::{ConfigArgs, Format, ReplayArgs};
use dynowarden::commands::replay::{self, ReplayError, Streams};
use dynowarden::config::settings::Settings;
use dynowarden::config::{self, Needs, Sources};
use dynowarden_core::replay::archive::{Archive, Item, Why};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::{SignedDuration, Timestamp};

use crate::json::{self, Json};
use crate::reference;
use crate::what_if_oracle;

/// Checks any octets as a file.
pub fn check_file(file: &[u8]) {
    let items = read(file, file.len().max(1));
    for part in [1, 7, file.len() % 61 + 2] {
        // Octet by octet takes the square of a long line's length.
        if part > 1 || file.len() <= 512 {
            assert_eq!(read(file, part), items, "in parts of {part} octets");
        }
    }
    check_lines(file, &items);
    for item in &items {
        check_written_again(item);
    }

    let output = replayed(file);
    let (front, back) = file.split_at(file.len() / 2);
    if file.len() >= 2 {
        // Anything that begins like gzip is gzip.
        let is_packed = file.starts_with(&[0x1f, 0x8b]);
        let packed = [gzip(front), gzip(back)].concat();
        assert!(is_packed || replayed(&packed) == output, "packed and joined it is another file");
    }
    check_decisions(&output, file, &items);
    check_order(&items);
    check_forgeries(file);
    what_if_oracle::check_compared(file);
}

/// A line, or why there is none, with its place.
#[derive(Clone, Debug, PartialEq)]
struct Read {
    place: String,
    line: Result<Entry, (Why, Vec<u8>)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    system: Option<Vec<u8>>,
    at: Option<Timestamp>,
    app: Vec<u8>,
    procid: Vec<u8>,
    msg: Vec<u8>,
}

fn latest() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().expect("a time")
}

fn read(file: &[u8], part: usize) -> Vec<Read> {
    let mut archive = Archive::new(latest(), None);
    let mut items = Vec::new();
    let mut drain = |archive: &mut Archive| {
        while let Some((place, item)) = archive.read() {
            let line = match item {
                Item::Entry(entry) => Ok(Entry {
                    system: entry.system.map(<[u8]>::to_vec),
                    at: entry.at.ok(),
                    app: entry.line.app.to_vec(),
                    procid: entry.line.procid.to_vec(),
                    msg: entry.line.msg.to_vec(),
                }),
                // Of an overlong line or a broken frame only the available beginning is shown.
                Item::Unread(unread) => {
                    let is_whole = matches!(unread.why, Why::Form | Why::Header(_));
                    Err((unread.why, if is_whole { unread.text.to_vec() } else { Vec::new() }))
                }
            };
            items.push(Read { place: place.to_string(), line });
        }
    };
    for part in file.chunks(part) {
        archive.push(part);
        drain(&mut archive);
    }
    archive.end();
    drain(&mut archive);
    items
}

/// In a text file, each line that the slow reader reads is what it finds in it, and no line of the platform
/// has an app's source in front of its own.
fn check_lines(file: &[u8], items: &[Read]) {
    let text = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let lines: Vec<_> = text.split(|octet| *octet == b'\n').collect();
    // UTF-16, frames and exports have no lines that a slow reader could find.
    let is_export = |line: &[u8]| line.iter().any(|octet| matches!(octet, b'{' | b'"' | b'\t' | b';' | b','));
    let is_frame = |line: &[u8]| memchr::memmem::find(line, b">1 ").is_some();
    if text.starts_with(b"\xff\xfe")
        || text.starts_with(b"\xfe\xff")
        || text.iter().take(4).any(|octet| *octet == 0)
        || lines.iter().any(|line| is_export(line) || is_frame(line))
    {
        return;
    }
    for item in items {
        let number: usize = item.place.parse().expect("text has lines");
        let line = lines[number - 1].strip_suffix(b"\r").unwrap_or(lines[number - 1]);
        // Only the real reader handles the rest of an overlong line, and colours.
        if line.len() > 60_000 || line.contains(&0x1b) || line.starts_with(b"9999-12-3") {
            continue;
        }
        if let Ok(entry) = &item.line
            && entry.app == b"heroku"
            && !has_break(line)
        {
            let front = &line[..line.len().saturating_sub(entry.msg.len())];
            let front = front.to_ascii_lowercase();
            for source in [&b"app["[..], b"app/"] {
                // `webapp/x.log:` is what `grep` writes.
                let is_word = |at: usize| at == 0 || !front[at - 1].is_ascii_alphanumeric();
                let mut found = memchr::memmem::find_iter(&front, source);
                assert!(!found.any(is_word), "an app's line became the platform's");
            }
        }
        match (&item.line, shown(line)) {
            (Ok(entry), Some((nanos, [app, procid, msg]))) if app == b"app" => {
                assert_eq!(entry.at.map(Timestamp::as_nanosecond), Some(nanos));
                assert_eq!((&entry.app, &entry.procid, &entry.msg), (&app, &procid, &msg));
            }
            (Ok(entry), Some((nanos, [app, procid, _])))
                if app == b"heroku"
                    && entry.app == b"heroku"
                    && entry.procid == procid
                    && !has_break(line) =>
            {
                assert_eq!(entry.at.map(Timestamp::as_nanosecond), Some(nanos));
            }
            (Err((why, _)), Some((_, [app, ..]))) if !has_break(line) => {
                let name = app.to_ascii_lowercase();
                let is_reported = match why {
                    Why::Author => name != b"heroku" && name != b"app",
                    Why::Dyno => memchr::memmem::find(&name, b"heroku").is_some(),
                    Why::Fir | Why::Message => name == b"heroku",
                    _ => false,
                };
                assert!(is_reported, "{item:?} is a line");
            }
            _ => {}
        }
    }
}

/// Whether a line has a break of HTML, which may end one.
fn has_break(line: &[u8]) -> bool {
    memchr::memmem::find(&line.to_ascii_lowercase(), b"<br").is_some()
}

/// Whether the end of a message could be a mark of Markdown or HTML, which is no part of a text line.
fn may_end_in_a_mark(msg: &[u8]) -> bool {
    msg.trim_ascii_end().last().is_some_and(|last| b">;\\".contains(last)) || has_break(msg)
}

/// Whether a dyno's message stands behind something else, which text lines are not read with.
fn has_message_within(msg: &[u8]) -> bool {
    let messages = [&b"Error R1"[..], b"Process running mem=", b"State changed from "];
    messages.iter().any(|message| memchr::memmem::rfind(msg, message).is_some_and(|at| at > 0))
}

/// The lines of a file, at times of their own, lead to the same decisions in whatever order they are written.
fn check_order(items: &[Read]) {
    let is_text = |text: &[u8]| !text.iter().any(|octet| matches!(octet, b'\n' | b'\r' | 0x1b | b'[' | b']'));
    let entries = items.iter().filter_map(|item| item.line.as_ref().ok());
    let entries =
        entries.filter(|entry| is_text(&entry.app) && is_text(&entry.procid) && is_text(&entry.msg));
    let entries = entries.filter(|entry| entry.app == b"heroku" || entry.app == b"app");
    let entries =
        entries.filter(|entry| !may_end_in_a_mark(&entry.msg) && !has_message_within(&entry.msg)).take(60);
    let lines: Vec<Vec<u8>> = (0..)
        .zip(entries)
        .map(|(place, entry): (i64, _)| {
            let at = Timestamp::from_second(1_750_000_000 + place * 61).expect("a time");
            [at.to_string().as_bytes(), b" ", &entry.app, b"[", &entry.procid, b"]: ", &entry.msg, b"\n"]
                .concat()
        })
        .collect();
    if lines.len() < 2 {
        return;
    }
    let expect = replayed(&lines.concat());
    let backward: Vec<_> = lines.iter().rev().cloned().collect();
    assert_eq!(replayed(&backward.concat()), expect, "from new to old it is another log");
    let (older, newer) = lines.split_at(lines.len() / 2);
    assert_eq!(replayed(&[newer.concat(), older.concat()].concat()), expect, "in pages it is another log");
}

/// A line in the form of `heroku logs`, read slowly: its time, and APP, PROCID and MSG.
fn shown(line: &[u8]) -> Option<(i128, [Vec<u8>; 3])> {
    let until = |text: &[u8], end: u8| {
        let mut word = Vec::new();
        for (at, octet) in text.iter().enumerate() {
            if *octet == end {
                return Some((word, text[at + 1..].to_vec()));
            }
            word.push(*octet);
        }
        None
    };
    let (time, rest) = until(line, b' ')?;
    let (app, rest) = until(&rest, b'[')?;
    let (procid, rest) = until(&rest, b']')?;
    let (nothing, mut msg) = until(&rest, b':')?;
    if !nothing.is_empty()
        || app.is_empty()
        || procid.is_empty()
        || [&app[..], &procid].concat().contains(&b' ')
    {
        return None;
    }
    if msg.first() == Some(&b' ') {
        msg.remove(0);
    }
    Some((reference::nanos(&time)?, [app, procid, msg]))
}

fn check_written_again(item: &Read) {
    let Ok(Entry { system: None, at: Some(at), app, procid, msg }) = &item.line else { return };
    // Content that a frame may hold and a text line may not.
    let is_text = !msg.iter().any(|octet| matches!(octet, b'\n' | b'\r' | 0x1b))
        // A text line's hard spaces come from the page that it was copied from.
        && !msg.windows(2).any(|octets| octets == "\u{a0}".as_bytes())
        && !app.iter().any(|octet| b"[\n\x1b".contains(octet))
        && !procid.iter().any(|octet| b"]\n\x1b".contains(octet))
        && (1970..9999).contains(&jiff::tz::Offset::UTC.to_datetime(*at).year());
    // Other spellings of a source are read as logplex's.
    let is_plain = !app.iter().chain(procid).any(|octet| b"[]/. :<|".contains(octet) && *octet != b'.')
        && !app.is_empty()
        && !procid.is_empty()
        && !msg.contains(&b'[')
        && (app == b"app" || !may_end_in_a_mark(msg) && !has_message_within(msg))
        && (app == b"heroku" || app == b"app");
    if is_text && is_plain && msg.len() < 60_000 {
        let written = [at.to_string().as_bytes(), b" ", app, b"[", procid, b"]: ", msg].concat();
        let again = read(&written, written.len());
        assert_eq!(again.len(), 1, "{again:?}");
        assert_eq!(again[0].line, item.line);
    }
}

/// The output of `dynowarden replay --format json -`, and whether it found a log.
fn replayed(file: &[u8]) -> (String, bool) {
    let (out, result) = run(file, false);
    (out, result.is_ok())
}

/// Runs `dynowarden replay --format json -`.
pub(crate) fn run(file: &[u8], what_if: bool) -> (String, Result<(), ReplayError>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = ReplayArgs {
        config: ConfigArgs { config: None },
        app: Some("acme".parse().expect("an app")),
        zone: Some(jiff::tz::TimeZone::UTC),
        what_if,
        set: Vec::new(),
        format: Format::Json,
        files: vec![PathBuf::from("-")],
    };
    let mut stdin = Cursor::new(file);
    let streams = Streams { stdin: &mut stdin, out: &mut out, err: &mut err, is_terminal: false };
    let result = SETTINGS.with(|settings| replay::run(&args, settings, streams, latest()));
    (String::from_utf8(out).expect("JSON is UTF-8"), result)
}

thread_local! {
    static SETTINGS: Settings = {
        let no_file = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        config::load(&Sources { config: None, env: &[], read_file: &no_file }, Needs::Nothing)
            .expect("the defaults are right")
    };
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::none());
    packer.write_all(octets).and_then(|()| packer.finish()).expect("a Vec takes everything")
}

fn check_decisions((output, _): &(String, bool), file: &[u8], items: &[Read]) {
    let mut accepted: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
    for line in output.lines() {
        let (decision, _) = json::read(line.as_bytes()).expect("JSON");
        let text = |name| match decision.members(name)[..] {
            [Json::Text(text)] => text.clone(),
            _ => panic!("no {name} in {line}"),
        };
        assert!(matches!(decision.members("dyno")[..], [Json::Text(_) | Json::Null]), "{line}");
        assert!(!text("reason").is_empty() && !text("rule").is_empty() && text("app") == "acme", "{line}");
        let at: Timestamp = text("at").parse().expect("a time");
        match text("decision").as_str() {
            "hold" | "notify" => continue,
            other => assert_eq!(other, "restart"),
        }
        let dyno = text("dyno");
        assert!(dyno.starts_with("web."), "a restart of {dyno}");
        let is_said = |item: &Read| {
            let Ok(entry) = &item.line else { return false };
            let is_platforms = entry.app == b"heroku" && entry.procid == dyno.as_bytes();
            is_platforms && memchr::memmem::find(&entry.msg, b"R14").is_some()
        };
        let is_packed = file.starts_with(&[0x1f, 0x8b]);
        assert!(is_packed || items.iter().any(is_said), "nothing said that {dyno} is out of memory");
        let before = accepted.entry(dyno.clone()).or_default();
        let ago = |span: i64| at.checked_sub(SignedDuration::from_mins(span)).unwrap_or(Timestamp::MIN);
        assert!(before.iter().all(|before| *before <= ago(10)), "{dyno} inside its cool-down");
        assert!(before.iter().filter(|before| **before > ago(120)).count() < 8, "{dyno} past max_restarts");
        before.push(at);
    }
}

/// The file as an app prints it, line by line and in one frame.
fn check_forgeries(file: &[u8]) {
    let shown = file
        .split(|octet| *octet == b'\n')
        .flat_map(|line| [b"2025-08-08T06:59:08Z app[web.1]: ", line, b"\n"].concat());
    let framed = [b"<190>1 2025-08-08T06:59:08Z host app web.1 - - ", file, b"\n"].concat();
    let framed = [format!("{} ", framed.len()).as_bytes(), &framed].concat();
    for file in [shown.collect(), framed] {
        let (output, is_read) = replayed(&file);
        assert_eq!(output, "", "an app's words were believed");
        assert!(is_read || file.len() > 60_000, "an app's words are lines all the same");
    }
}
