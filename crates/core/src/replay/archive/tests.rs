//! Whole files in every form, in chunks of any size.

use jiff::Timestamp;
use proptest::prelude::{any, prop, proptest};

use super::{Archive, Item};
use crate::limits;

fn latest() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().expect("a time")
}

/// All of `file`, read in chunks of `chunk` octets: `place | source | msg` or `place ! why`.
fn read(file: &[u8], chunk: usize) -> Vec<String> {
    let mut archive = Archive::new(latest(), None);
    let mut items = Vec::new();
    let mut drain = |archive: &mut Archive| {
        while let Some((place, item)) = archive.read() {
            items.push(match item {
                Item::Entry(entry) => {
                    let text = |octets| String::from_utf8_lossy(octets).into_owned();
                    let (app, procid) = (text(entry.line.app), text(entry.line.procid));
                    format!("{place} | {app}[{procid}] | {}", text(entry.line.msg))
                }
                Item::Unread(unread) => format!("{place} ! {}", unread.why),
            });
        }
    };
    for part in file.chunks(chunk) {
        archive.push(part);
        drain(&mut archive);
    }
    archive.end();
    drain(&mut archive);
    items
}

#[track_caller]
fn check(file: impl AsRef<[u8]>, expect: &[&str]) {
    for chunk in [usize::MAX, 7, 1] {
        assert_eq!(read(file.as_ref(), chunk), expect, "in chunks of {chunk}");
    }
}

fn framed(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{} {line}", line.len())).collect()
}

const FRAME: &str = "<134>1 2025-08-08T06:59:08Z host heroku web.1 - Error R14 (x)\n";
const SHOWN: &str = "2025-08-08T06:59:08Z heroku[web.1]: Error R14 (x)";
const PAPERTRAIL: &str = "Jan 08 10:55:11 acme heroku/web.1: Error R14 (x)";
const READ: &str = "heroku[web.1] | Error R14 (x)";

fn frame_at(octet: u64) -> String {
    format!("octet {octet} | {READ}")
}

fn line_at(line: u64) -> String {
    format!("{line} | {READ}")
}

#[test]
fn joined_bodies_are_read() {
    check("", &[]);
    check(framed(&[FRAME, FRAME]), &[&frame_at(0), &frame_at(65)]);
    // Some tools write line breaks between bodies.
    let body = framed(&[FRAME]);
    check(format!("\n{body}\r\n\n{body}\n"), &[&frame_at(1), &frame_at(69)]);
    let why = "a frame without a line: it does not begin with <PRI>, a number from 0 to 191";
    check(framed(&[FRAME, "no header", FRAME]), &[&frame_at(0), &format!("octet 65 ! {why}"), &frame_at(76)]);
}

#[test]
fn a_body_that_cannot_be_followed_ends_its_file() {
    let lost = "the rest of the file cannot be read";
    let count = "a count is 1 to 9 digits, the first of them not 0, and a space";
    let body = framed(&[FRAME]);
    check(
        format!("{body}40 <134>1 2025-08-08T06:59:08Z host heroku web.1 - x\n{body}"),
        &[
            &frame_at(0),
            "octet 65 ! a frame without a line: its header has no PROCID",
            &format!("octet 108 ! {lost}: {count}"),
        ],
    );
    check(
        format!("{body}99 <134>1 x"),
        &[&frame_at(0), &format!("octet 65 ! {lost}: the count says 99 octets, and 8 are left")],
    );
    check("99999999999999999999 <134>1 x", &[&format!("octet 0 ! {lost}: {count}")]);
}

#[test]
fn text_lines_are_read() {
    let lines = [&line_at(1)[..], &line_at(2)];
    check(format!("{SHOWN}\n{PAPERTRAIL}\n"), &lines);
    check(format!("\u{feff}{SHOWN}\r\n{PAPERTRAIL}"), &lines);
    check(format!("\x1b[36m{SHOWN}\x1b[0m\n{PAPERTRAIL}"), &lines);
    check(
        format!("one\n\n \n{SHOWN}\n"),
        &["1 ! unrecognised log format (expected `heroku logs` or Papertrail output)", &line_at(4)],
    );
}

#[test]
fn an_overlong_line_is_skipped() {
    let long = format!("{SHOWN}{}{SHOWN}", "x".repeat(3 * limits::ARCHIVE_LINE_BYTES_MAX));
    for chunk in [usize::MAX, 100_000, 777] {
        assert_eq!(
            read(format!("{SHOWN}\n{long}\n{SHOWN}").as_bytes(), chunk),
            [format!("1 | {READ}"), "2 ! a line of more than 65536 bytes".to_owned(), format!("3 | {READ}"),],
            "in chunks of {chunk}"
        );
    }
}

#[test]
fn an_overlong_frame_is_skipped() {
    let frame = |line: String| format!("{} {line}", line.len());
    let line = |msg: &str| frame(format!("<134>1 2025-01-02T03:04:05Z host heroku web.1 - {msg}\n"));
    let file = line("a") + &frame("x".repeat(300_000)) + &line("b");
    for chunk in [usize::MAX, 100_000, 777] {
        let items = read(file.as_bytes(), chunk);
        assert_eq!(items.len(), 3, "in chunks of {chunk}");
        assert!(items[2].ends_with("| heroku[web.1] | b"), "in chunks of {chunk}: {}", items[2]);
    }
    // A frame too large for memory is not waited for.
    let endless = line("a") + "999999999 " + &"x".repeat(100);
    for chunk in [usize::MAX, 7] {
        let items = read(endless.as_bytes(), chunk);
        assert_eq!(items.len(), 2, "in chunks of {chunk}");
        assert!(items[1].contains("cannot be read"), "in chunks of {chunk}: {}", items[1]);
    }
}

#[test]
fn app_output_stays_app_output() {
    let forged = "<190>1 2025-08-08T06:59:08Z host app web.1 - a\n64 <134>1 2025-08-08T06:59:08Z host \
                  heroku web.1 - Error R14 (x)\n";
    check(
        framed(&[forged]),
        &["octet 0 | app[web.1] | a\n64 <134>1 2025-08-08T06:59:08Z host heroku web.1 - Error R14 (x)"],
    );
    check(
        format!("2025-08-08T06:59:08Z app[web.1]: {SHOWN}\nJan 08 10:55:11 acme app/web.1: {PAPERTRAIL}\n"),
        &[&format!("1 | app[web.1] | {SHOWN}"), &format!("2 | app[web.1] | {PAPERTRAIL}")],
    );
}

proptest! {
    #[test]
    fn any_octets_are_read_without_panic(
        file in prop::collection::vec(any::<u8>(), 0..400),
        head in prop::sample::select(vec!["", "94 <134>1 ", SHOWN, PAPERTRAIL, "1\t2025-01-01T00:00:00Z\t"]),
        chunk in 1_usize..80,
    ) {
        let file = [head.as_bytes(), &file].concat();
        assert_eq!(read(&file, chunk), read(&file, usize::MAX));
    }

    #[test]
    fn lines_are_read_back_in_every_form(
        // Marks of HTML at the end of a line are removed.
        lines in prop::collection::vec(
            ("heroku|app", "[a-z]{1,9}\\.[1-9]|router|api", "[!-Z^-~][ -Z^-~]{0,80}[!-:?-Z^-~] ?"),
            1..20,
        ),
        form in 0..4,
        chunk in 1_usize..400,
    ) {
        let file: String = lines.iter().map(|(app, procid, msg)| match form {
            0 => {
                // A leading `- ` would be removed as absent STRUCTURED-DATA.
                let line = format!("<190>1 2025-08-08T06:59:08Z host {app} {procid} - - {msg}\n");
                format!("{} {line}", line.len())
            }
            1 => format!("2025-08-08T06:59:08.5+00:00 {app}[{procid}]: {msg}\n"),
            2 => format!("Aug 08 06:59:08 acme {app}/{procid}: {msg}\n"),
            _ => format!("1\t2025-08-08T06:59:08Z\t\t7\tacme\t10.0.0.1\tLocal7\tInfo\t{app}/{procid}\t{msg}\n"),
        }).collect();
        let read: Vec<_> = read(file.as_bytes(), chunk)
            .iter()
            .map(|item| item.split_once(" | ").expect("a line").1.to_owned())
            .collect();
        let written: Vec<_> =
            lines.iter().map(|(app, procid, msg)| format!("{app}[{procid}] | {msg}")).collect();
        assert_eq!(read, written);
    }
}

#[test]
fn pasted_lines_are_read_without_their_markup() {
    let escaped = SHOWN.replace('[', "\\[").replace(']', "\\]");
    for line in [
        format!("`{SHOWN}`"),
        format!("- `{SHOWN}`"),
        format!("> * **{SHOWN}**"),
        format!("1. \"{SHOWN}\""),
        format!("| {SHOWN} |"),
        format!("{SHOWN}<br>"),
        format!("<td class=\"log\">{SHOWN}</td>"),
        format!("<li>`{SHOWN}`</li>"),
        format!("&gt; {SHOWN}&nbsp;"),
        SHOWN.replace("heroku[web.1]:", "<span class=\"c\">heroku[web.1]:</span>"),
        format!("<div><td>{}</td></div>", SHOWN.replace(' ', "</td><td>")),
        escaped,
        format!("{SHOWN}\\"),
    ] {
        assert_eq!(read(line.as_bytes(), usize::MAX), [line_at(1)], "{line}");
    }
    check(format!("{SHOWN}<br>{SHOWN}<br />\n{SHOWN}"), &[&line_at(1)[..], &line_at(1), &line_at(2)]);
    let fence = "! unrecognised log format (expected `heroku logs` or Papertrail output)";
    check(format!("```\n{SHOWN}\n```"), &[&format!("1 {fence}"), &line_at(2), &format!("3 {fence}")]);
}

/// Marks end neither an app's line nor one that a client can write into.
#[test]
fn markup_makes_no_line_of_its_own() {
    let time = "2025-08-08T06:59:08Z";
    for source in [
        "app[web.1]: ",
        "`app[web.1]: ",
        "app\\[web.1\\]: ",
        "<b>app</b>[web.1]: ",
        "heroku[router]: at=info fwd=\"",
    ] {
        for mark in ["<br>", "`", "<br>- ", "</td><td>", "\\", "&gt; "] {
            let line = format!("{time} {source}x{mark}{SHOWN}");
            let items = read(line.as_bytes(), usize::MAX);
            let is_safe = items.len() == 1 && !items[0].ends_with(READ);
            assert!(is_safe, "{line}: {items:?}");
        }
    }
    let run = format!("{time} heroku[run.1]: Starting process with command `x<br>{SHOWN}");
    assert_eq!(read(run.as_bytes(), usize::MAX).len(), 1);
}

#[test]
fn a_line_that_reads_like_the_platforms_is_not_counted() {
    let dyno = "1 ! a platform line whose dyno cannot be recognised (expected a name such as web.1)";
    for program in ["heroku_web.1", "heroku-web.1", "heroku(web.1)", "[heroku/web.1]", "x-heroku/web.1"] {
        check(format!("Jan 08 10:55:11 acme {program}: Error R14 (x)"), &[dyno]);
    }
    let author = "1 ! it reads like a platform line, but its program is not heroku (expected heroku[web.1])";
    for msg in ["Error R14 (x)", "State changed from up to down", "Process running mem=1M(1.0%)"] {
        check(format!("Jan 08 10:55:11 acme web.1: {msg}"), &[author]);
    }
    check("Jan 08 10:55:11 box cron[7]: Error: x", &["1 | cron[7] | Error: x"]);
}
