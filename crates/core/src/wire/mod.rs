//! The wire: a batch's body, as octets, into lines. Everything borrows from the body, nothing is copied
//! and nothing is believed beyond what the grammar says; what a line *means* is `detect`'s business.
//!
//! A body is octet-counted frames ([`frame`]), a frame holds one line of six header fields and MSG
//! ([`mod@line`]), TIME is RFC 3339 ([`timestamp`]), and some MSGs are key-value text ([`logfmt`]). The
//! parsers are nom's, for complete input; none of its types leave this module.

pub mod frame;
pub mod line;
pub mod logfmt;
mod scan;
pub mod timestamp;

use crate::wire::frame::{Frame, FrameError, FrameErrorKind, Frames};
use crate::wire::line::{Line, LineError};

/// The lines of a batch, in order, with what is broken in between.
#[derive(Clone, Debug)]
pub struct Lines<'b> {
    frames: Frames<'b>,
}

/// A frame that holds no line, or no frame at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// The body cannot be followed from here on: there are no more lines.
    #[error("the batch cannot be read on")]
    Frame(#[source] FrameError),
    /// The line in it is broken; the frames behind it are as good as ever.
    #[error("the frame at octet {offset} of the body holds no line")]
    Line {
        /// Where the frame's count begins, in octets from the start of the body.
        offset: usize,
        /// The error in the line.
        #[source]
        error: LineError,
    },
}

/// The lines of `body`, each frame read once, in order.
pub fn lines(body: &[u8]) -> Lines<'_> {
    Lines { frames: frame::frames(body) }
}

impl<'b> Iterator for Lines<'b> {
    type Item = Result<Line<'b>, BadFrame>;

    // Always, or a line that says nothing is put together in memory after all; see `detect::event`.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let frame = match self.frames.next()? {
            Ok(frame) => frame,
            Err(error) => return Some(Err(BadFrame::Frame(error))),
        };
        match Line::parse_usual(frame.octets) {
            Some(line) => Some(Ok(line)),
            None => Some(odd_line(&frame)),
        }
    }
}

/// A line that is read by the book. Apart, so that the usual one is not moved about in memory on account of
/// a result that only this can have.
#[cold]
fn odd_line<'b>(frame: &Frame<'b>) -> Result<Line<'b>, BadFrame> {
    Line::parse(frame.octets).map_err(|error| BadFrame::Line { offset: frame.offset, error })
}

impl std::iter::FusedIterator for Lines<'_> {}

impl BadFrame {
    /// A short word for it: the same few for ever, fit for a metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Frame(FrameError { kind, .. }) => match kind {
                FrameErrorKind::Count => "count",
                FrameErrorKind::Cut { .. } => "cut",
            },
            Self::Line { .. } => "header",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn a_broken_line_costs_itself_and_a_broken_count_the_rest() {
        let good = "<134>1 2025-08-08T06:59:08Z host heroku web.1 - ";
        let mut body = String::new();
        for line in [&format!("{good}one\n"), "no header", &format!("{good}two\n")] {
            body += &format!("{} {line}", line.len());
        }
        body += "x";
        let read: Vec<_> = lines(body.as_bytes())
            .map(|line| line.map(|line| line.msg.to_vec()).map_err(|bad| bad.label()))
            .collect();
        assert_eq!(read, [Ok(b"one".to_vec()), Err("header"), Ok(b"two".to_vec()), Err("count")]);
    }
}
