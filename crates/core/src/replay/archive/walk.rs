//! The steps through a JSON document.

use crate::limits;
use crate::replay::archive::document::Next;
use crate::replay::archive::json;
use crate::replay::archive::parts::{Form, Part};
use crate::replay::archive::{Archive, Place, Why};

impl Archive {
    /// The next row; the form changes where the document ends, or where it is none after all.
    pub(super) fn next_in_document(&mut self) -> Option<(Place, Part)> {
        loop {
            let rest = &self.buffer[self.start..];
            let is_blank = |octet: &u8| octet.is_ascii_whitespace() || matches!(octet, b',' | b':');
            let blanks = rest.iter().position(|octet| !is_blank(octet)).unwrap_or(rest.len());
            self.pass(self.start + blanks);
            let (from, place) = (self.start, Place::Line(self.line));
            let rest = &self.buffer[from..];
            let rest = &rest[..rest.len().min(limits::ARCHIVE_LINE_BYTES_MAX + 1)];
            let first = *rest.first()?;
            let is_all = rest.len() > limits::ARCHIVE_LINE_BYTES_MAX || self.is_ended;
            let Some(Form::Document(document)) = &mut self.form else { return self.next_part() };
            match document.next(rest, is_all, &mut self.row)? {
                Next::Row(length) => {
                    document.has_row = true;
                    self.pass(from + length);
                    return Some((place, Part::Row(from..from + length)));
                }
                Next::Passed(length) => self.pass(from + length),
                Next::Open if document.open.len() < DEPTH_MAX => {
                    document.open.push(first);
                    self.pass(from + 1);
                }
                Next::Close if json::is_pair(document.open.pop(), first) => {
                    let (is_end, is_unread) = (document.open.is_empty(), !document.has_row);
                    self.pass(from + 1);
                    if is_end {
                        self.form = Some(Form::Text { has_json: true });
                        return if is_unread {
                            Some((place, Part::Unread(Why::Form, from..from + 1)))
                        } else {
                            self.next_part()
                        };
                    }
                }
                Next::Open | Next::Close | Next::Other => {
                    self.form = Some(Form::Text { has_json: true });
                }
            }
        }
    }
}

/// Nested deeper than this, it is no export.
const DEPTH_MAX: usize = 16;
