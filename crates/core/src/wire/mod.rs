//! The wire: a batch's body, as octets, into lines. Everything borrows from the body, nothing is copied and
//! nothing is trusted beyond the grammar. The *meaning* of a line is `detect`'s business.
//!
//! A body is octet-counted frames ([`frame`]), a frame holds one line of six header fields and MSG
//! ([`mod@line`]), TIME is RFC 3339 ([`timestamp`]), and some MSGs are key-value text ([`logfmt`]). The
//! parsers are nom's, for complete input; none of its types leave this module.

pub mod frame;
pub mod line;
pub mod logfmt;
pub(crate) mod ordered;
pub(crate) mod scan;
pub mod timestamp;

use crate::wire::frame::{Frame, FrameError, FrameErrorKind, Frames};
use crate::wire::line::{Line, LineError};

/// The lines of a batch, in order, and the errors between them.
#[derive(Clone, Debug)]
pub struct Lines<'b> {
    frames: Frames<'b>,
}

/// A frame that holds no line, or no frame at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// The body cannot be followed from here on: there are no more lines.
    #[error("the rest of the batch cannot be read")]
    Frame(#[source] FrameError),
    /// The line is broken; the frames after it are not affected.
    #[error("the frame at octet {offset} of the body holds no line")]
    Line {
        /// The start of the frame's count, in octets from the start of the body.
        offset: usize,
        #[source]
        error: LineError,
    },
}

/// The lines of `body`, in order; each frame is read once.
pub fn lines(body: &[u8]) -> Lines<'_> {
    Lines { frames: frame::frames(body) }
}

impl<'b> Iterator for Lines<'b> {
    type Item = Result<Line<'b>, BadFrame>;

    // Must be inlined: otherwise lines that `is_silent` skips are still materialised; see `detect::event`.
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

/// Reads a line with the full parser. Kept apart, so that the usual path does not move the larger result
/// about in memory.
#[cold]
fn odd_line<'b>(frame: &Frame<'b>) -> Result<Line<'b>, BadFrame> {
    Line::parse(frame.octets).map_err(|error| BadFrame::Line { offset: frame.offset, error })
}

impl std::iter::FusedIterator for Lines<'_> {}

impl<'b> Lines<'b> {
    /// What is left of the body.
    #[inline(always)]
    pub(crate) fn rest(&self) -> &'b [u8] {
        self.frames.rest()
    }

    /// Skips a frame of so many octets, its count included.
    #[inline(always)]
    pub(crate) fn pass(&mut self, octets: usize) {
        self.frames.pass(octets);
    }
}

impl BadFrame {
    /// A short, stable word for it, fit for a metric's label.
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
    fn a_broken_line_costs_only_itself_and_a_broken_count_the_rest() {
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
