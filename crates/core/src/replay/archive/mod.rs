//! Archived logs: reads the lines of a file in any known form.
//!
//! | form | begins with | detected |
//! | --- | --- | --- |
//! | raw logplex bodies, one after the other | `94 <134>1 2025-…` | by the first octets of the file |
//! | lines of `heroku logs`, Papertrail, syslog daemons | a time: [`leading`] | line by line: [`text`] |
//! | JSON exports | `{` or `[` | object by object, within arrays at any depth |
//! | CSV exports | a row with the names of its columns, or a time | by that row, or line by line |
//! | `journalctl -o export` | `__CURSOR=` | entry by entry: [`journal`] |
//! | logfmt | a name and `=` | line by line: [`logfmt`] |
//!
//! Marks and prefixes in front of a line ([`prefix`]), Markdown, HTML, colours and UTF-16 are removed. JSON
//! may also stand behind a prefix ([`embedded`]).
//!
//! All of them become a [`Line`], so that `detect` reads an archive as it reads a drain. Nothing that an app
//! prints gains a meaning on the way: in bodies only a count ends a frame, and in texts the source of a line
//! is the text before its first colon, which logplex writes.
//!
//! An [`Archive`] takes chunks of any size and keeps at most one line besides them.

mod ansi;
mod csv;
mod document;
mod embedded;
mod encoding;
mod fields;
mod journal;
mod json;
mod leading;
mod list;
mod logfmt;
mod markup;
mod numeric;
mod parts;
mod prefix;
mod spelled;
mod text;
mod time;
mod walk;
mod years;
mod zone;

#[cfg(test)]
mod tests;

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::ident::DynoRef;
use crate::limits;
use crate::replay::archive::encoding::Decoder;
use crate::replay::archive::fields::Owned;
use crate::replay::archive::numeric::DayOrder;
use crate::replay::archive::parts::{Form, Part};
use crate::replay::archive::text::Shown;
use crate::replay::archive::time::Written;
use crate::replay::archive::years::Years;
use crate::replay::archive::zone::Zone;
use crate::wire::frame::FrameErrorKind;
use crate::wire::line::{Line, LineError};
use crate::wire::timestamp::TimeError;

/// One file, while it is read.
#[derive(Clone, Debug)]
pub struct Archive {
    buffer: Vec<u8>,
    decoder: Decoder,
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
    /// The number of the line that begins at `start`.
    line: u64,
    /// The present line without colours.
    plain: Vec<u8>,
    /// The present line without colours that lost their escape character.
    bare: Vec<u8>,
    /// The present line without Markdown and HTML.
    unmarked: Vec<u8>,
    /// The present row of an export.
    row: Option<Owned>,
    days: DayOrder,
    years: Years,
    zone: Zone,
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
    /// Papertrail's or a syslog daemon's name for the sender: usually the app's name or a drain's token.
    pub system: Option<&'b [u8]>,
    /// When the line was written. It may differ from [`Line::time`], which is as the file writes it.
    pub at: Result<Timestamp, TimeError>,
    /// Whether the file does not say in which zone `at` is, and neither does the caller: it is read as UTC.
    pub is_zone_unknown: bool,
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
    /// It reads like a line about a dyno, and its program is neither `heroku` nor `app`.
    #[error("it reads like a platform line, but its program is not heroku (expected heroku[web.1])")]
    Author,
    /// A date whose numbers are the other way round than in the lines before it.
    #[error("its day and its month are in another order than in the lines before it (expected 2025-01-02)")]
    DayOrder,
    /// A platform line of no dyno that can be told.
    #[error("a platform line whose dyno cannot be recognised (expected a name such as web.1)")]
    Dyno,
    /// A platform line of a Fir dyno.
    #[error("a platform line of a Fir dyno, which has no number and which Heroku itself restarts")]
    Fir,
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
    /// A platform line whose message has something in front of it.
    #[error("a platform line with text in front of its message (expected heroku[web.1]: Error R14 …)")]
    Message,
    /// A time of hours and minutes only.
    #[error("its time has no seconds, which a spreadsheet drops; export the log again (expected 00:51:32)")]
    Seconds,
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

/// The known forms, for messages.
pub const FORMS: &str = "raw logplex bodies (`94 <134>1 2025-…`), the text of `heroku logs` \
    (`2025-01-02T00:51:32.761835+00:00 heroku[web.1]: …`), Papertrail's and SolarWinds' text \
    (`Jan 08 10:55:11 app heroku/web.1: …`), files of syslog daemons, and JSON or CSV exports with a time, \
    a program and a message, each plain or gzipped";

// === impl Archive ===

impl Archive {
    /// Starts a file that was last written at `latest`, which determines the year of lines without one. Times
    /// without a zone are in `zone`; without one they are read as UTC and marked as such.
    pub fn new(latest: Timestamp, zone: Option<TimeZone>) -> Self {
        Self {
            buffer: Vec::new(),
            decoder: Decoder::default(),
            start: 0,
            passed: 0,
            form: None,
            is_ended: false,
            is_lost: false,
            is_overlong: false,
            line: 1,
            plain: Vec::new(),
            bare: Vec::new(),
            unmarked: Vec::new(),
            row: None,
            days: DayOrder::new(latest),
            years: Years::new(latest),
            zone: Zone::new(zone),
        }
    }

    /// Adds the next part of the file. [`Archive::read`] must have returned `None` before.
    pub fn push(&mut self, chunk: &[u8]) {
        self.passed += self.start as u64;
        self.buffer.drain(..self.start);
        self.start = 0;
        if !self.is_lost {
            self.decoder.push(chunk, &mut self.buffer);
        }
    }

    pub fn end(&mut self) {
        self.is_ended = true;
    }

    /// The next item and its place; none until more of the file is added.
    pub fn read(&mut self) -> Option<(Place, Item<'_>)> {
        let (place, part) = self.next_part()?;
        let (shown, text) = match part {
            Part::Unread(why, range) => {
                return Some((place, Item::Unread(Unread { why, text: &self.buffer[range] })));
            }
            Part::Frame(range) => {
                let octets = &self.buffer[range];
                return Some((place, framed(octets)));
            }
            Part::Row(range) => {
                let row = self.row.as_ref().map(Owned::shown);
                (row, &self.buffer[range])
            }
            Part::Line(range) => {
                let text = ansi::without_colours(&self.buffer[range], &mut self.plain);
                let shown = read_line(text, (&mut self.unmarked, &mut self.bare));
                if shown.is_none() {
                    self.row = embedded::read(text).or_else(|| logfmt::read(text));
                }
                (shown.or_else(|| self.row.as_ref().map(Owned::shown)), text)
            }
        };
        let unread = |why| Some((place, Item::Unread(Unread { why, text })));
        let Some(shown) = shown else {
            return unread(if leading::lacks_seconds(text) { Why::Seconds } else { Why::Form });
        };
        let (at, is_zone_unknown) =
            match dated(shown.written, &mut self.days, &mut self.years, &mut self.zone) {
                Ok(dated) => dated,
                Err(why) => return unread(why),
            };
        let Shown { system, time, app, procid, msg, .. } = shown;
        // A router line has paths, which are whatever a client asks for.
        if app == b"heroku" && DynoRef::parse(procid).is_some() && has_front(msg) {
            return unread(Why::Message);
        }
        let line = Line::shown(time, app, procid, msg);
        Some((place, item(Entry { system, at: Ok(at), is_zone_unknown, line }, text)))
    }
}

/// The line in a frame.
fn framed(octets: &[u8]) -> Item<'_> {
    match Line::parse(octets) {
        Ok(line) => {
            let entry = Entry { system: None, at: line.time(), is_zone_unknown: false, line };
            // Logplex itself writes the authors of frames.
            if line.app == b"heroku" { item(entry, octets) } else { Item::Entry(entry) }
        }
        Err(error) => Item::Unread(Unread { why: Why::Header(error), text: octets }),
    }
}

/// The entry, unless it is a platform line that names no dyno where it should, or looks like one.
fn item<'b>(entry: Entry<'b>, text: &'b [u8]) -> Item<'b> {
    let Line { app, procid, msg, .. } = entry.line;
    let why = match app {
        b"app" => return Item::Entry(entry),
        b"heroku" if is_part(procid) => return Item::Entry(entry),
        b"heroku" if is_fir(procid) => Why::Fir,
        b"heroku" => Why::Dyno,
        _ if mentions_heroku(app) => Why::Dyno,
        _ if PLATFORM_MESSAGES.iter().any(|start| msg.starts_with(start)) => Why::Author,
        _ => return Item::Entry(entry),
    };
    Item::Unread(Unread { why, text })
}

/// Whether a program's name has the word in it, as in `heroku_web.1`.
fn mentions_heroku(program: &[u8]) -> bool {
    program.split(|octet| !octet.is_ascii_alphanumeric()).any(|word| word.eq_ignore_ascii_case(b"heroku"))
}

/// What messages about a dyno begin with, which the platform alone writes.
const PLATFORM_MESSAGES: [&[u8]; 4] =
    [b"Error R1", b"Process running mem=", b"State changed from ", b"source=web."];

/// Whether a message of a text line about a dyno has something in front of it. A command is whatever a user
/// wants to run, and fields come in any order.
fn has_front(msg: &[u8]) -> bool {
    let msg = msg.trim_ascii_start();
    let [messages @ .., _] = &PLATFORM_MESSAGES;
    let is_whole =
        messages.iter().any(|start| msg.starts_with(start)) || msg.starts_with(b"Starting process");
    !is_whole && messages.iter().any(|start| memchr::memmem::find(msg, start).is_some())
}

/// Whether this is the name of a dyno or of a part of the platform.
fn is_part(procid: &[u8]) -> bool {
    WRITERS.contains(&procid) || DynoRef::parse(procid).is_some()
}

/// Parts of the platform that are no dynos.
const WRITERS: [&[u8]; 10] = [
    b"router",
    b"api",
    b"logplex",
    b"log-shuttle",
    b"heroku-postgres",
    b"heroku-redis",
    b"heroku-kafka",
    b"slug-compiler",
    b"slugc",
    b"codon",
];

/// `web-1234abcde-123ab`.
fn is_fir(procid: &[u8]) -> bool {
    let mut parts = procid.rsplitn(3, |octet| *octet == b'-');
    let is_hash = |part: &[u8]| part.iter().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit());
    match (parts.next(), parts.next(), parts.next()) {
        (Some(last), Some([_, .., _]), Some([_, ..])) if last.len() == 5 => {
            procid.rsplitn(3, |octet| *octet == b'-').take(2).all(is_hash)
        }
        _ => false,
    }
}

/// Reads a line, if need be without the marks in it. An app's line is taken as it is.
fn read_line<'b>(text: &'b [u8], (unmarked, bare): (&'b mut Vec<u8>, &'b mut Vec<u8>)) -> Option<Shown<'b>> {
    let shown = text::read(text);
    let is_marked = markup::has(text);
    match shown {
        Some(shown) if shown.app == b"app" => return Some(shown),
        Some(shown) if shown.app == b"heroku" && !markup::has_hard_space(shown.msg) => {
            let shown = if is_marked { Shown { msg: markup::cut(shown.msg), ..shown } } else { shown };
            let plain = ansi::has_lost(text).then(|| text::read(ansi::without_lost(text, bare))).flatten();
            // `heroku[m.1]` looks like a colour as well.
            return plain.filter(|plain| plain.procid == shown.procid).or(Some(shown));
        }
        // Marks in a program's name hide which one it is.
        _ => {}
    }
    let is_coloured = ansi::has_lost(text);
    if !(is_marked || is_coloured) {
        return shown;
    }
    let text = if is_marked { markup::without(text, unmarked) } else { text };
    let text = if is_coloured { ansi::without_lost(text, bare) } else { text };
    text::read(text).or(shown)
}

fn dated(
    written: Written,
    days: &mut DayOrder,
    years: &mut Years,
    zone: &mut Zone,
) -> Result<(Timestamp, bool), Why> {
    let local = match written {
        Written::At(at) => return Ok((at, false)),
        Written::Local(local) => local,
        Written::Day(day) => years.date(day).ok_or(Why::Form)?,
        Written::Numeric(numeric) => {
            let local = days.date(numeric).ok_or(Why::DayOrder)?;
            if let Some(offset) = numeric.zone {
                return Ok((offset.to_timestamp(local).map_err(|_| Why::Form)?, false));
            }
            local
        }
    };
    Ok((zone.instant(local).map_err(|_| Why::Form)?, !zone.is_known()))
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "{line}"),
            Self::Octet(octet) => write!(f, "octet {octet}"),
        }
    }
}
