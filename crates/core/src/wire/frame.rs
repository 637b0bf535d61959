//! Octet counting: where one frame ends and the next begins.
//!
//! ```text
//! body  = *( frame [ LF ] )
//! frame = LEN SP line          ; line is LEN octets of anything
//! LEN   = 1*9DIGIT             ; the first of them 1-9
//! ```
//!
//! Only the count ends a frame, so nothing inside one can pass for another: a dyno may print a whole forged
//! frame, and it stays text in the middle of its own. Logplex puts nothing between frames. The `LF` tolerates
//! senders that write a line break and do not count it. It is unambiguous, because a count begins with a
//! digit.
//!
//! A frame may be as long as its body: an absurdly long one holds nothing useful, and its count still leads
//! to the next one.
//!
//! When a count cannot be read or followed, the start of the next frame is unknown. Guessing would let text
//! inside a frame become a frame, so the batch ends there.

use nom::bytes::complete::take_while_m_n;
use nom::character::complete::char;
use nom::sequence::terminated;
use nom::{IResult, Parser};

use crate::limits;

/// The frames of a batch's body, in order; none after an error.
#[derive(Clone, Debug)]
pub struct Frames<'b> {
    rest: &'b [u8],
    offset: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'b> {
    /// The start of its count, in octets from the start of the body.
    pub offset: usize,
    /// The octets counted.
    pub octets: &'b [u8],
}

/// Why the body could not be followed further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at octet {offset} of the body: {kind}")]
pub struct FrameError {
    /// The start of the frame's count, or where it should be, in octets from the start of the body.
    pub offset: usize,
    pub kind: FrameErrorKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameErrorKind {
    /// No count where one is required.
    #[error("a count is 1 to {} digits, the first of them not 0, and a space", limits::COUNT_DIGITS_MAX)]
    Count,
    /// The body ends before the count is fulfilled.
    #[error("the count says {counted} octets, and {left} are left")]
    Cut { counted: usize, left: usize },
}

pub fn frames(body: &[u8]) -> Frames<'_> {
    Frames { rest: body, offset: 0 }
}

impl<'b> Frames<'b> {
    /// What is left of the body.
    #[inline(always)]
    pub(super) fn rest(&self) -> &'b [u8] {
        self.rest
    }

    /// Skips a frame of so many octets, its count included.
    #[inline(always)]
    pub(super) fn pass(&mut self, octets: usize) {
        self.rest = &self.rest[octets..];
        self.offset += octets;
    }
}

impl<'b> Iterator for Frames<'b> {
    type Item = Result<Frame<'b>, FrameError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let [b'\n', rest @ ..] = self.rest {
            // Before the first frame too: a stray line break there is as harmless as between two.
            (self.rest, self.offset) = (rest, self.offset + 1);
        }
        if self.rest.is_empty() {
            return None;
        }
        match frame(self.rest) {
            Ok((octets, rest)) => {
                let offset = self.offset;
                self.offset += self.rest.len() - rest.len();
                self.rest = rest;
                Some(Ok(Frame { offset, octets }))
            }
            Err(kind) => {
                self.rest = &[];
                Some(Err(FrameError { offset: self.offset, kind }))
            }
        }
    }
}

impl std::iter::FusedIterator for Frames<'_> {}

/// Splits the frame at the start of `input` from what follows it.
#[inline]
fn frame(input: &[u8]) -> Result<(&[u8], &[u8]), FrameErrorKind> {
    let (rest, counted) = count(input).map_err(|_| FrameErrorKind::Count)?;
    rest.split_at_checked(counted).ok_or(FrameErrorKind::Cut { counted, left: rest.len() })
}

/// `LEN SP`. Nine digits are below 2^30, so the sum cannot overflow.
#[inline]
fn count(input: &[u8]) -> IResult<&[u8], usize, ()> {
    terminated(take_while_m_n(1, limits::COUNT_DIGITS_MAX, |octet: u8| octet.is_ascii_digit()), char(' '))
        .map_opt(|digits: &[u8]| {
            (digits[0] != b'0')
                .then(|| digits.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')))
        })
        .parse(input)
}

#[cfg(test)]
mod tests {
    use super::{FrameError, FrameErrorKind, frames};

    #[track_caller]
    fn check(body: &[u8], expect: &[(usize, &[u8])], end: Option<(usize, FrameErrorKind)>) {
        let mut read = Vec::new();
        let mut error = None;
        for frame in frames(body) {
            assert!(error.is_none(), "a frame after the error that ends the batch");
            match frame {
                Ok(frame) => read.push((frame.offset, frame.octets)),
                Err(FrameError { offset, kind }) => error = Some((offset, kind)),
            }
        }
        assert_eq!(read, expect);
        assert_eq!(error, end);
    }

    #[test]
    fn only_the_count_ends_a_frame() {
        check(b"", &[], None);
        check(b"1 a", &[(0, b"a")], None);
        check(b"3 abc10 0123456789", &[(0, b"abc"), (5, b"0123456789")], None);
        check(b"7 1 a\n1 b2 cd", &[(0, b"1 a\n1 b"), (9, b"cd")], None);
        check("3 aµ2 µ".as_bytes(), &[(0, "aµ".as_bytes()), (5, "µ".as_bytes())], None);
        check(b"4 \0\xff\r\n1 x", &[(0, b"\0\xff\r\n"), (6, b"x")], None);
    }

    #[test]
    fn one_uncounted_line_break_between_frames_is_tolerated() {
        check(b"1 a\n1 b\n", &[(0, b"a"), (4, b"b")], None);
        check(b"\n1 a", &[(1, b"a")], None);
        check(b"1 a\n\n1 b", &[(0, b"a")], Some((4, FrameErrorKind::Count)));
        check(b"1 a\r\n1 b", &[(0, b"a")], Some((3, FrameErrorKind::Count)));
        check(b"1 a 1 b", &[(0, b"a")], Some((3, FrameErrorKind::Count)));
    }

    #[test]
    fn a_broken_frame_ends_the_batch() {
        let no_count: [&[u8]; 9] =
            [b"x", b"0 ", b"01 a", b" 1 a", b"-1 a", b"1", b"1a", b"1234567890 a", b"99999999999999999999 a"];
        for body in no_count {
            check(body, &[], Some((0, FrameErrorKind::Count)));
        }
        check(b"1 a2 b", &[(0, b"a")], Some((3, FrameErrorKind::Cut { counted: 2, left: 1 })));
        check(b"5 ", &[], Some((0, FrameErrorKind::Cut { counted: 5, left: 0 })));
        check(b"999999999 a", &[], Some((0, FrameErrorKind::Cut { counted: 999_999_999, left: 1 })));
    }

    #[test]
    fn a_frame_of_any_length_leads_to_the_next() {
        let long = vec![b'x'; 300_000];
        let mut body = format!("{} ", long.len()).into_bytes();
        body.extend_from_slice(&long);
        body.extend_from_slice(b"1 a");
        check(&body, &[(0, &long), (300_007, b"a")], None);
    }

    #[test]
    fn an_error_names_its_place_and_the_allowed_form() {
        let error = frames(b"1 a70000 b").nth(1).expect("a second item").expect_err("cut");
        assert_eq!(error.to_string(), "at octet 3 of the body: the count says 70000 octets, and 1 are left");
        let error = frames(b"x").next().expect("an item").expect_err("no count");
        let expect = "at octet 0 of the body: a count is 1 to 9 digits, the first of them not 0, and a space";
        assert_eq!(error.to_string(), expect);
    }
}
