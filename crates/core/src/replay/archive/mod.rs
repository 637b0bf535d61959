//! Archived logs: reads the lines of a file in any known form.
//!
//! | form | begins with | detected |
//! | --- | --- | --- |
//! | raw logplex bodies, one after the other | `94 <134>1 2025-…` | once, by the first octets of the file |
//! | what `heroku logs` prints | `2025-…+00:00 heroku[web.1]: …` | line by line |
//! | what Papertrail shows | `Jan 08 10:55:11 acme heroku/web.1: …` | line by line |
//! | Papertrail's archives | ten columns with tabs between | line by line |
//!
//! All of them become a [`Line`], so that `detect` reads an archive as it reads a drain. Nothing that an app
//! prints gains a meaning on the way: in bodies only a count ends a frame, and in texts the source of a line
//! is the text before its first colon, which logplex writes.
//!
//! An [`Archive`] takes chunks of any size and keeps at most one line besides them.

mod ansi;
mod text;
mod years;

use std::fmt;
use std::ops::Range;

use jiff::Timestamp;

use crate::limits;
use crate::replay::archive::text::{Shown, Written};
use crate::replay::archive::years::Years;
use crate::wire::frame::{self, FrameError, FrameErrorKind};
use crate::wire::line::{Line, LineError};
use crate::wire::timestamp::TimeError;

/// One file, while it is read.
#[derive(Clone, Debug)]
pub struct Archive {
    buffer: Vec<u8>,
    /// The start of the unread part of the buffer.
    start: usize,
    /// Octets of the file before the buffer.
    passed: u64,
    form: Option<Form>,
    is_ended: bool,
    /// A frame could not be followed, so nothing after it can be.
    is_lost: bool,
    /// The present line is too long, and its rest is skipped.
    is_overlong: bool,
    lines: u64,
    /// The present line without colours.
    plain: Vec<u8>,
    years: Years,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Item<'b> {
    Entry(Entry<'b>),
    /// Input that is not a log line.
    Unread(Unread<'b>),
}

/// A line and what its file adds to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'b> {
    /// Papertrail's name for the sender: usually the app's name.
    pub system: Option<&'b [u8]>,
    /// When the line was written. It may differ from [`Line::time`], which is as the file writes it.
    pub at: Result<Timestamp, TimeError>,
    pub line: Line<'b>,
}

/// A part of a file that is not a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Unread<'b> {
    pub why: Why,
    /// Its beginning.
    pub text: &'b [u8],
}

/// Why a part of a file is not a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// A text line of no known form.
    #[error("unrecognised log format (expected `heroku logs` or Papertrail output)")]
    Form,
    /// A frame without a line.
    #[error("a frame without a line: {0}")]
    Header(LineError),
    /// A count that cannot be followed.
    #[error("the rest of the file cannot be read: {0}")]
    Lost(FrameErrorKind),
    /// A frame above the limit, which ends the file: it would have to be held whole.
    #[error(
        "the rest of the file cannot be read: the count says {counted} octets, but a frame has at most {}",
        limits::ARCHIVE_FRAME_BYTES_MAX
    )]
    TooLarge { counted: usize },
    /// A text line above the limit.
    #[error("a line of more than {} bytes", limits::ARCHIVE_LINE_BYTES_MAX)]
    TooLong,
}

/// An item's place in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// From 1.
    Line(u64),
    /// The octets before it.
    Octet(u64),
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Bodies,
    Text,
}

/// The known forms, for messages.
pub const FORMS: &str = "raw logplex bodies (`94 <134>1 2025-…`), the text of `heroku logs` \
    (`2025-01-02T00:51:32.761835+00:00 heroku[web.1]: …`) and Papertrail's text \
    (`Jan 08 10:55:11 app heroku/web.1: …`), each plain or gzipped";

// === impl Archive ===

impl Archive {
    /// Starts a file that was last written at `latest`, which determines the year of lines without one.
    pub fn new(latest: Timestamp) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            passed: 0,
            form: None,
            is_ended: false,
            is_lost: false,
            is_overlong: false,
            lines: 0,
            plain: Vec::new(),
            years: Years::new(latest),
        }
    }

    /// Adds the next part of the file. [`Archive::read`] must have returned `None` before.
    pub fn push(&mut self, chunk: &[u8]) {
        self.passed += self.start as u64;
        self.buffer.drain(..self.start);
        self.start = 0;
        if !self.is_lost {
            self.buffer.extend_from_slice(chunk);
        }
    }

    pub fn end(&mut self) {
        self.is_ended = true;
    }

    /// The next item and its place; none until more of the file is added.
    pub fn read(&mut self) -> Option<(Place, Item<'_>)> {
        match self.form()? {
            Form::Bodies => self.read_frame(),
            Form::Text => self.read_line(),
        }
    }

    /// The form of the file, once there is enough of it.
    fn form(&mut self) -> Option<Form> {
        if self.form.is_none() {
            if self.buffer.len() < SNIFFED_BYTES && !self.is_ended {
                return None;
            }
            self.start += if self.buffer.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
            let text = self.buffer[self.start..].trim_ascii_start();
            let digits = text.iter().take_while(|octet| octet.is_ascii_digit()).count();
            // No text line begins like this: times have a dash after the year and Papertrail's ids a tab.
            let is_count = digits > 0 && text.get(digits) == Some(&b' ');
            self.form = Some(if is_count { Form::Bodies } else { Form::Text });
        }
        self.form
    }

    fn read_frame(&mut self) -> Option<(Place, Item<'_>)> {
        let range = match self.next_frame()? {
            Ok(range) => range,
            Err(why) => {
                let place = Place::Octet(self.passed + self.start as u64);
                let from = std::mem::replace(&mut self.start, self.buffer.len());
                self.is_lost = true;
                let unread = Unread { why, text: &self.buffer[from..] };
                return Some((place, Item::Unread(unread)));
            }
        };
        let place = Place::Octet(self.passed + self.start as u64);
        self.start = range.end;
        let octets = &self.buffer[range];
        Some((
            place,
            match Line::parse(octets) {
                Ok(line) => Item::Entry(Entry { system: None, at: line.time(), line }),
                Err(error) => Item::Unread(Unread { why: Why::Header(error), text: octets }),
            },
        ))
    }

    /// The next frame's line in the buffer.
    fn next_frame(&mut self) -> Option<Result<Range<usize>, Why>> {
        // Some tools write line breaks between bodies; a count never begins with one.
        while let Some(b'\n' | b'\r') = self.buffer.get(self.start) {
            self.start += 1;
        }
        let rest = &self.buffer[self.start..];
        match frame::frames(rest).next()? {
            Ok(frame) => {
                let from = self.start + memchr::memchr(b' ', rest)? + 1;
                Some(Ok(from..from + frame.octets.len()))
            }
            Err(FrameError { kind: FrameErrorKind::Cut { counted, .. }, .. })
                if counted > limits::ARCHIVE_FRAME_BYTES_MAX =>
            {
                Some(Err(Why::TooLarge { counted }))
            }
            Err(FrameError { kind, .. }) => {
                let may_go_on = match kind {
                    FrameErrorKind::Count => rest.len() <= limits::COUNT_DIGITS_MAX,
                    FrameErrorKind::Cut { .. } => true,
                };
                (self.is_ended || !may_go_on).then_some(Err(Why::Lost(kind)))
            }
        }
    }

    fn read_line(&mut self) -> Option<(Place, Item<'_>)> {
        let range = self.next_line()?;
        let place = Place::Line(self.lines);
        let text = &self.buffer[range];
        if text.len() > limits::ARCHIVE_LINE_BYTES_MAX {
            return Some((place, Item::Unread(Unread { why: Why::TooLong, text })));
        }
        let text = ansi::without_colours(text, &mut self.plain);
        let shown = text::read(text).and_then(|shown| {
            let at = match shown.written {
                Written::At(at) => at,
                Written::Day(day) => self.years.date(day)?,
            };
            Some((shown, at))
        });
        Some((
            place,
            match shown {
                Some((Shown { system, time, app, procid, msg, .. }, at)) => {
                    Item::Entry(Entry { system, at: Ok(at), line: Line::shown(time, app, procid, msg) })
                }
                None => Item::Unread(Unread { why: Why::Form, text }),
            },
        ))
    }

    /// The next line that is not blank, in the buffer; of a line that is too long, its beginning.
    fn next_line(&mut self) -> Option<Range<usize>> {
        loop {
            let from = self.start;
            let rest = &self.buffer[from..];
            let end = match memchr::memchr(b'\n', rest) {
                Some(end) => end,
                None if self.is_ended && !rest.is_empty() => rest.len(),
                None if rest.len() > limits::ARCHIVE_LINE_BYTES_MAX => rest.len(),
                None => return None,
            };
            let is_whole = end < rest.len() || self.is_ended;
            self.start = (from + end + 1).min(self.buffer.len());
            if std::mem::replace(&mut self.is_overlong, !is_whole) {
                continue;
            }
            self.lines += 1;
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            if !line.trim_ascii().is_empty() {
                return Some(from..from + line.len());
            }
        }
    }
}

/// Octets needed to detect the form: a count has at most nine digits, an invalid one may have any number.
const SNIFFED_BYTES: usize = 64;

/// Some editors write it at the start of a text file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "{line}"),
            Self::Octet(octet) => write!(f, "octet {octet}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::{any, prop, proptest};

    use super::{Archive, Item};
    use crate::limits;

    fn latest() -> Timestamp {
        "2026-06-01T00:00:00Z".parse().expect("a time")
    }

    /// All of `file`, read in chunks of `chunk` octets: `place | source | msg` or `place ! why`.
    fn read(file: &[u8], chunk: usize) -> Vec<String> {
        let mut archive = Archive::new(latest());
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
        check(
            framed(&[FRAME, "no header", FRAME]),
            &[&frame_at(0), &format!("octet 65 ! {why}"), &frame_at(76)],
        );
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
                [
                    format!("1 | {READ}"),
                    "2 ! a line of more than 65536 bytes".to_owned(),
                    format!("3 | {READ}"),
                ],
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
            format!(
                "2025-08-08T06:59:08Z app[web.1]: {SHOWN}\nJan 08 10:55:11 acme app/web.1: {PAPERTRAIL}\n"
            ),
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
            lines in prop::collection::vec(("heroku|app", "[a-z]{1,9}\\.[1-9]|router|api", "[!-~][ -~]{0,80}"), 1..20),
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
}
