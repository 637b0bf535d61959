//! The parts of a file: frames, lines, and the objects and rows of exports.
//!
//! What a part is never depends on the chunks that a file comes in: it is decided once enough of the file is
//! there, or all of it.

use std::ops::Range;

use crate::ident::DynoRef;
use crate::limits;
use crate::replay::archive::document::{self, Document};
use crate::replay::archive::fields;
use crate::replay::archive::json::{self, Fields, Start};
use crate::replay::archive::{Archive, Place, Why, csv, journal, leading, markup, text};
use crate::wire::frame::{self, FrameError, FrameErrorKind};

#[derive(Clone, Debug)]
pub(super) enum Form {
    Bodies,
    /// Rows within arrays of a JSON document.
    Document(Document),
    /// Rows below the names of their columns.
    Csv {
        separator: u8,
        names: Vec<String>,
    },
    Text {
        /// There was JSON, whose closing brackets mean nothing.
        has_json: bool,
    },
}

/// A part of a file, by its place in the buffer.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Frame(Range<usize>),
    Line(Range<usize>),
    /// [`Archive::row`] holds what it says, if anything.
    Row(Range<usize>),
    Unread(Why, Range<usize>),
}

impl Archive {
    /// The next part and its place; none until more of the file is added.
    pub(super) fn next_part(&mut self) -> Option<(Place, Part)> {
        if self.form.is_none() {
            self.form = Some(self.first_form()?);
        }
        match self.form {
            Some(Form::Bodies) => self.next_in_bodies(),
            Some(Form::Csv { .. }) => self.next_row(),
            Some(Form::Document(_)) => self.next_in_document(),
            _ => self.next_in_text(),
        }
    }

    /// The form of the file, once there is enough of it.
    fn first_form(&mut self) -> Option<Form> {
        if self.buffer.len() < SNIFFED_BYTES && !self.is_ended {
            return None;
        }
        self.start += if self.buffer.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let text = self.buffer[self.start..].trim_ascii_start();
        let digits = text.iter().take_while(|octet| octet.is_ascii_digit()).count();
        let is_count = digits > 0
            && text[digits..].strip_prefix(b" ").is_some_and(|rest| is_frame_head(rest) == Some(true));
        Some(if is_count { Form::Bodies } else { Form::Text { has_json: false } })
    }

    // === Bodies ===

    fn next_in_bodies(&mut self) -> Option<(Place, Part)> {
        let next = self.next_frame()?;
        let place = Place::Octet(self.passed + self.start as u64);
        Some(match next {
            Ok(range) => {
                self.start = range.end;
                (place, Part::Frame(range))
            }
            Err(why) => {
                let from = std::mem::replace(&mut self.start, self.buffer.len());
                self.is_lost = true;
                (place, Part::Unread(why, from..self.buffer.len()))
            }
        })
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

    // === Text ===

    fn next_in_text(&mut self) -> Option<(Place, Part)> {
        loop {
            self.skip_blank_lines()?;
            let place = Place::Line(self.line);
            let rest = &self.buffer[self.start..];
            let blanks = rest.iter().take_while(|octet| matches!(octet, b' ' | b'\t' | b',')).count();
            match rest.get(blanks) {
                Some(b'0'..=b'9') if blanks == 0 => {
                    if let Some(range) = self.counted()? {
                        self.pass(range.end);
                        return Some((place, Part::Frame(range)));
                    }
                }
                Some(b'_') if blanks == 0 => {
                    if let Some(part) = self.entry()? {
                        return Some((place, part));
                    }
                }
                Some(b'{' | b'[') => match self.object(blanks)? {
                    Object::Row(part) => return Some((place, part)),
                    Object::Document => return self.next_in_document(),
                    Object::Other => {}
                },
                _ => {}
            }
            if let Some(part) = self.text_line()? {
                return Some((place, part));
            }
            if matches!(self.form, Some(Form::Csv { .. })) {
                return self.next_row();
            }
        }
    }

    /// The frame at the start of a text line: its count must end where a line does.
    #[expect(clippy::option_option, reason = "the outer one is whether there is enough of the file")]
    fn counted(&self) -> Option<Option<Range<usize>>> {
        let rest = &self.buffer[self.start..];
        let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
        if digits > limits::COUNT_DIGITS_MAX {
            return Some(None);
        }
        let is_frame = match rest.get(digits) {
            None => None,
            Some(b' ') => is_frame_head(&rest[digits + 1..]),
            Some(_) => Some(false),
        };
        match is_frame {
            Some(true) => {}
            None if !self.is_ended => return None,
            _ => return Some(None),
        }
        let count = str::from_utf8(&rest[..digits]).ok().and_then(|digits| digits.parse::<usize>().ok());
        let Some(count) = count.filter(|count| *count <= limits::ARCHIVE_FRAME_BYTES_MAX) else {
            return Some(None);
        };
        let (from, end) = (digits + 1, digits + 1 + count);
        if rest.len() <= end && !self.is_ended {
            return None;
        }
        let is_whole = rest.len() >= end
            && (rest[end - 1] == b'\n'
                || rest.get(end).is_none_or(|next| matches!(next, b'\n' | b'\r' | b'0'..=b'9')));
        Some(is_whole.then(|| self.start + from..self.start + end))
    }

    /// The entry of a journal at the start of a text line.
    #[expect(clippy::option_option, reason = "the outer one is whether there is enough of the file")]
    fn entry(&mut self) -> Option<Option<Part>> {
        let from = self.start;
        let rest = &self.buffer[from..];
        let rest = &rest[..rest.len().min(limits::ARCHIVE_LINE_BYTES_MAX + 1)];
        // What is behind the limit could be anything, so an entry does not end there.
        let is_cut = rest.len() > limits::ARCHIVE_LINE_BYTES_MAX;
        match journal::start(rest, self.is_ended && !is_cut) {
            journal::Start::Whole(length, fields) => {
                self.row = fields::read(&fields);
                self.pass(from + length);
                Some(Some(Part::Row(from..from + length)))
            }
            journal::Start::Unfinished if !is_cut => None,
            journal::Start::Other | journal::Start::Unfinished => Some(None),
        }
    }

    /// The object or the array `blanks` octets further on.
    fn object(&mut self, blanks: usize) -> Option<Object> {
        let from = self.start + blanks;
        let rest = &self.buffer[from..];
        let rest = &rest[..rest.len().min(limits::ARCHIVE_LINE_BYTES_MAX + 1)];
        let is_all = rest.len() > limits::ARCHIVE_LINE_BYTES_MAX || self.is_ended;
        let is_document = match (rest[0], json::start(rest)) {
            (b'[', _) => match json::is_list(rest) {
                None if !is_all => return None,
                is_list => is_list == Some(true),
            },
            (_, Start::Whole(length)) => {
                let Some(fields) = json::fields(&rest[..length]) else { return Some(Object::Other) };
                self.row = fields::read(&fields);
                if self.row.is_some() || !document::wraps(&fields, &rest[..length]) {
                    self.form = Some(Form::Text { has_json: true });
                    self.pass(from + length);
                    return Some(Object::Row(Part::Row(from..from + length)));
                }
                true
            }
            (_, Start::Unfinished) if !is_all => return None,
            (_, Start::Unfinished) => json::has_list(rest),
            (_, Start::Other) => false,
        };
        if !is_document {
            return Some(Object::Other);
        }
        self.form = Some(Form::Document(Document::new(rest[0])));
        self.pass(from + 1);
        Some(Object::Document)
    }

    /// The next line as a part, or none if it means nothing.
    #[expect(clippy::option_option, reason = "the outer one is whether there is enough of the file")]
    fn text_line(&mut self) -> Option<Option<Part>> {
        let (range, is_too_long) = self.next_line()?;
        let text = &self.buffer[range.clone()];
        if is_too_long {
            return Some(Some(Part::Unread(Why::TooLong, range)));
        }
        let bare = text.trim_ascii();
        let is_closing = matches!(self.form, Some(Form::Text { has_json: true }))
            && (bare.starts_with(b"]") || bare.iter().all(|octet| b",]} \t".contains(octet)));
        if bare.is_empty() || is_closing {
            return Some(None);
        }
        if leading::leading(text).is_none() {
            for separator in csv::SEPARATORS {
                let Some(values) = csv::values(text, separator).filter(|values| values.len() > 1) else {
                    continue;
                };
                if fields::are_names(&values) {
                    self.form = Some(Form::Csv { separator, names: values });
                    return Some(None);
                }
                // Papertrail's archives have tabs, a number and two times.
                let is_archive = separator == b'\t' && text::read(text).is_some();
                let values = if separator == b'|' { csv::cells(values) } else { Some(values) };
                if let Some(values) = values.filter(|_| !is_archive)
                    && let Some(row) = fields::unnamed(&values)
                {
                    self.row = Some(row);
                    return Some(Some(Part::Row(range)));
                }
            }
        }
        Some(Some(Part::Line(range)))
    }

    /// The next line in the buffer, and whether it is too long; of such a line, its beginning.
    fn next_line(&mut self) -> Option<(Range<usize>, bool)> {
        let from = self.start;
        let rest = &self.buffer[from..];
        let end = match memchr::memchr(b'\n', rest) {
            Some(end) => end,
            None if self.is_ended && !rest.is_empty() => rest.len(),
            None if rest.len() > limits::ARCHIVE_LINE_BYTES_MAX => {
                self.start = self.buffer.len();
                self.is_overlong = true;
                return Some((from..self.buffer.len(), true));
            }
            None => return None,
        };
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        if let Some((length, behind)) = broken(line) {
            self.start = from + behind;
            return Some((from..from + length, false));
        }
        let range = from..from + line.len();
        self.pass((from + end + 1).min(self.buffer.len()));
        let is_too_long = range.len() > limits::ARCHIVE_LINE_BYTES_MAX;
        Some((range, is_too_long))
    }

    /// Skips what is left of a line that is too long, and blank lines; none at the end of the buffer.
    fn skip_blank_lines(&mut self) -> Option<()> {
        if self.is_overlong {
            let Some(end) = memchr::memchr(b'\n', &self.buffer[self.start..]) else {
                self.start = self.buffer.len();
                return None;
            };
            self.pass(self.start + end + 1);
            self.is_overlong = false;
        }
        let rest = &self.buffer[self.start..];
        let blank = rest.iter().take_while(|octet| matches!(octet, b'\n' | b'\r')).count();
        self.pass(self.start + blank);
        (self.start < self.buffer.len()).then_some(())
    }

    /// Moves on, counting lines.
    pub(super) fn pass(&mut self, to: usize) {
        self.line += memchr::memchr_iter(b'\n', &self.buffer[self.start..to]).count() as u64;
        self.start = to;
    }

    // === CSV ===

    fn next_row(&mut self) -> Option<(Place, Part)> {
        loop {
            self.skip_blank_lines()?;
            let place = Place::Line(self.line);
            let from = self.start;
            let rest = &self.buffer[from..];
            let rest = &rest[..rest.len().min(limits::ARCHIVE_LINE_BYTES_MAX + 1)];
            let length = match csv::row_len(rest) {
                Some(length) => length,
                None if rest.len() > limits::ARCHIVE_LINE_BYTES_MAX => 0,
                None if self.is_ended => rest.len(),
                None => return None,
            };
            let Some(Form::Csv { separator, names }) = &self.form else { return None };
            let values =
                csv::values(&rest[..length], *separator).filter(|values| values.len() == names.len());
            let Some(values) = values else {
                let (range, is_too_long) = self.next_line()?;
                let why = if is_too_long { Why::TooLong } else { Why::Form };
                return Some((place, Part::Unread(why, range)));
            };
            let is_repeated = values == *names;
            let fields: Fields = names.iter().cloned().zip(values).collect();
            self.pass(from + length);
            if !is_repeated {
                self.row = fields::read(&fields);
                return Some((place, Part::Row(from..from + length)));
            }
        }
    }
}

/// The length of a platform line of a dyno that `<br>` ends, and where the next line begins.
fn broken(line: &[u8]) -> Option<(usize, usize)> {
    let (at, length) = markup::line_break(line)?;
    let mut plain = Vec::new();
    let shown = text::read(markup::without(&line[..at], &mut plain))?;
    // The command is whatever a user of the app wants to run.
    let is_fixed = shown.app == b"heroku"
        && DynoRef::parse(shown.procid).is_some()
        && !shown.msg.starts_with(b"Starting process");
    (is_fixed && at <= limits::ARCHIVE_LINE_BYTES_MAX).then_some((at, at + length))
}

/// What begins with a brace.
enum Object {
    Row(Part),
    /// It holds rows.
    Document,
    Other,
}

/// Whether `<134>1 ` follows; none if there is too little to say.
fn is_frame_head(text: &[u8]) -> Option<bool> {
    let Some(rest) = text.strip_prefix(b"<") else { return (!text.is_empty()).then_some(false) };
    let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let expect = b">1 ";
    let tail = &rest[digits..];
    if digits > 3 || (digits == 0 && !rest.is_empty()) {
        return Some(false);
    }
    match tail.get(..expect.len()) {
        Some(tail) => Some(tail == expect),
        None => (!expect.starts_with(tail)).then_some(false),
    }
}

/// Octets needed to detect the form: a count has at most nine digits, an invalid one may have any number.
const SNIFFED_BYTES: usize = 64;

/// Some editors write it at the start of a text file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
