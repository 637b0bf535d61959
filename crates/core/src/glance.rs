//! A first look at each frame of a batch, which skips what cannot matter.
//!
//! Nine frames in ten are an app's own lines or the router's lines about answered requests. They mean nothing
//! to the engine, but the full parsers split six fields to find that out. The glance compares a few words of
//! eight octets at the places where logplex puts the header, and skips the frame if all of them fit.
//!
//! It relies on nothing that a sender could choose. It skips a frame only if these octets alone prove that
//! the full parsers would read a good line and find no event in it:
//!
//! - The count is two to four digits and a space, and the body holds that many octets.
//! - `<PRI>1 ` has one to three digits in its range, and no octet before the next space is one, so the fields
//!   are where the full parser would find them, whatever TIME says.
//! - HOST is `host` or as long as a drain token. APP is `app` with a PROCID that is neither `api` nor
//!   `log-shuttle`, or the source is the router's and MSG begins with `at=info method=`.
//! - MSGID is `-` with a space behind it, so the header is whole. What follows decides nothing.
//!
//! Everything else goes to the full grammar, in [`wire`], and to [`detect`](crate::detect). The test oracle
//! reads every frame in both ways, and compares both with a slow reader.

use crate::wire::line::Line;
use crate::wire::{self, BadFrame, scan};

/// What a first look finds in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glance<'b> {
    /// An app's own line, which nothing reads.
    App,
    /// The router's line about an answered request: no event, but statistics count it.
    Request(Usual<'b>),
    /// Any other frame, read in full.
    Line(Result<Line<'b>, BadFrame>),
}

/// The frames of a batch, in order.
#[derive(Clone, Debug)]
pub struct Glances<'b> {
    lines: wire::Lines<'b>,
}

/// Looks at each frame of `body` once.
pub fn glances(body: &[u8]) -> Glances<'_> {
    Glances { lines: wire::lines(body) }
}

impl<'b> Iterator for Glances<'b> {
    type Item = Glance<'b>;

    // Must be inlined, so that a skipped line is never put together.
    #[inline(always)]
    fn next(&mut self) -> Option<Glance<'b>> {
        let Some(head) = Usual::read(self.lines.rest()) else {
            return self.lines.next().map(Glance::Line);
        };
        self.lines.pass(head.end);
        Some(match head.source {
            Source::App => Glance::App,
            Source::Router => Glance::Request(head),
            Source::Other => Glance::Line(Ok(head.line())),
        })
    }
}

impl std::iter::FusedIterator for Glances<'_> {}

/// A header in the form in which logplex writes nearly all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usual<'b> {
    line: &'b [u8],
    places: Places,
    procid: usize,
    procid_length: usize,
    source: Source,
    /// Where the frame ends, from the start of its count.
    end: usize,
}

/// Where fields begin and end in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Places {
    time: usize,
    time_end: usize,
    app: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// An app's own output.
    App,
    /// The router, about an answered request.
    Router,
    /// Anything else of `heroku`.
    Other,
}

impl<'b> Usual<'b> {
    /// Reads a header in its usual form; none if anything about it is unusual.
    #[inline(always)]
    fn read(body: &'b [u8]) -> Option<Self> {
        let (digits, length) = count(word(body.first_chunk()?))?;
        let text = body.get(digits + 1..)?;
        let line = text.get(..length)?;
        let places = match usual_places(text) {
            Some(places) => places,
            None => other_places(text)?,
        };
        // It may reach into the next frame: what lies behind the line's end decides nothing.
        let block: &[u8; BLOCK] = text.get(places.app..)?.first_chunk()?;
        let source = source(block)?;
        if places.app + source.end > length {
            return None;
        }
        let end = digits + 1 + length;
        let Found { source, procid, procid_length, .. } = source;
        Some(Self { line, places, procid: places.app + procid, procid_length, source, end })
    }

    /// TIME.
    #[inline(always)]
    pub fn time(&self) -> &'b [u8] {
        &self.line[self.places.time..self.places.time_end]
    }

    /// MSG.
    #[inline(always)]
    pub fn msg(&self) -> &'b [u8] {
        self.msg_in(self.line.strip_suffix(b"\n").unwrap_or(self.line))
    }

    #[inline(always)]
    fn msg_in(&self, octets: &'b [u8]) -> &'b [u8] {
        let msg = &octets[self.procid + self.procid_length + SEPARATOR.len()..];
        msg.strip_prefix(b"- ").unwrap_or(msg)
    }

    /// Puts the line together.
    #[inline(always)]
    pub fn line(&self) -> Line<'b> {
        let Places { time, time_end, app } = self.places;
        let procid_end = self.procid + self.procid_length;
        let octets = self.line.strip_suffix(b"\n").unwrap_or(self.line);
        let priority = &octets[1..time - 3];
        Line {
            priority: priority.iter().fold(0, |sum, digit| sum * 10 + (digit & 0x0f)),
            time: &octets[time..time_end],
            host: &octets[time_end + 1..app - 1],
            app: &octets[app..self.procid - 1],
            procid: &octets[self.procid..procid_end],
            msgid: b"-",
            msg: self.msg_in(octets),
        }
    }
}

const SEPARATOR: &[u8; 3] = b" - ";

// === The count ===

/// The digits of a count of two to four digits, and its value.
#[inline(always)]
fn count(word: u64) -> Option<(usize, usize)> {
    let [a, b, c, d, e, ..] = word.to_le_bytes().map(|octet| octet ^ b'0');
    const SPACE: u8 = b' ' ^ b'0';
    if a == 0 {
        return None;
    }
    let value = |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + usize::from(*digit));
    // An octet that is not a digit is above 9 now.
    if d == SPACE {
        (a <= 9 && b <= 9 && c <= 9).then(|| (3, value(&[a, b, c])))
    } else if c == SPACE {
        (a <= 9 && b <= 9).then(|| (2, value(&[a, b])))
    } else {
        (e == SPACE && a <= 9 && b <= 9 && c <= 9 && d <= 9).then(|| (4, value(&[a, b, c, d])))
    }
}

// === PRI, TIME and HOST ===

/// The places behind `<1dd>1 `, a time with microseconds, and ` host `.
#[inline(always)]
fn usual_places(text: &[u8]) -> Option<Places> {
    let block: &[u8; 45] = text.first_chunk()?;
    let [b'<', b'1', tens, ones, b'>', b'1', b' ', rest @ ..] = block else { return None };
    // At most 191.
    let is_priority = matches!((tens, ones), (b'0'..=b'8', b'0'..=b'9') | (b'9', b'0' | b'1'));
    let (time, host) = rest.split_first_chunk()?;
    (is_priority && !has_space(time) && host == b" host ").then_some(Places {
        time: 7,
        time_end: 39,
        app: 45,
    })
}

#[inline(always)]
fn has_space(octets: &[u8; 32]) -> bool {
    // Without a branch, so that the compiler compares sixteen octets at a time.
    octets.iter().fold(false, |found, octet| found | (*octet == b' '))
}

/// The places behind a PRI of one to three digits, a time of 25 to 32 octets, and `host` or a drain's token.
#[inline(never)]
fn other_places(text: &[u8]) -> Option<Places> {
    let close = text.first_chunk::<5>()?.iter().position(|octet| *octet == b'>')?;
    let priority = str::from_utf8(text[..close].strip_prefix(b"<")?).ok()?;
    let is_number = priority.bytes().all(|octet| octet.is_ascii_digit());
    if !is_number || priority.starts_with('0') && priority.len() > 1 || priority.parse::<u8>().ok()? > 191 {
        return None;
    }
    let time = close + b">1 ".len();
    if !text[close..].starts_with(b">1 ") {
        return None;
    }
    let time_end = time + time_length(text.get(time..)?.first_chunk()?)?;
    let app = time_end + host_length(text.get(time_end..)?)?;
    Some(Places { time, time_end, app })
}

/// The octets of TIME before its space: 25 with seconds only, 32 with microseconds.
fn time_length(octets: &[u8; 33]) -> Option<usize> {
    let at = |place: usize| spaces(word(octets[place..].first_chunk().expect("at most 25")));
    let end = at(25);
    if at(0) | at(8) | at(16) | at(17) != 0 || end == 0 {
        return None;
    }
    Some(25 + end.trailing_zeros() as usize / 8)
}

/// The octets of HOST with a space on either side: `host`, or a drain's token.
fn host_length(octets: &[u8]) -> Option<usize> {
    const HOST: &[u8] = b" host ";
    if octets.starts_with(HOST) { Some(HOST.len()) } else { token_length(octets.first_chunk()?) }
}

/// `d.` and a uuid.
fn token_length(octets: &[u8; 40]) -> Option<usize> {
    let at = |place: usize| spaces(word(octets[place..].first_chunk().expect("at most 31")));
    let is_token = octets[0] == b' ' && octets[39] == b' ' && at(1) | at(9) | at(17) | at(25) | at(31) == 0;
    is_token.then_some(octets.len())
}

// === APP, PROCID and MSGID ===

/// What the octets from APP on say.
struct Found {
    source: Source,
    procid: usize,
    procid_length: usize,
    /// The end of what was looked at.
    end: usize,
}

/// Octets from APP on that are looked at.
const BLOCK: usize = 40;

#[inline(always)]
fn source(block: &[u8; BLOCK]) -> Option<Found> {
    const APP: &[u8] = b"app ";
    const HEROKU: &[u8] = b"heroku ";
    const REQUEST: &[u8] = b"heroku router - at=info method=";
    if block.starts_with(APP) {
        let found = procid(block, APP.len(), Source::App)?;
        // `api` and `log-shuttle` have a meaning, and other names of their lengths are rare.
        return (!matches!(found.procid_length, 3 | 11)).then_some(found);
    }
    if block.starts_with(REQUEST) {
        return Some(Found { source: Source::Router, procid: 7, procid_length: 6, end: REQUEST.len() });
    }
    if block.starts_with(HEROKU) { procid(block, HEROKU.len(), Source::Other) } else { None }
}

/// PROCID from `start` on, and ` - ` behind it.
#[inline(always)]
fn procid(block: &[u8; BLOCK], start: usize, source: Source) -> Option<Found> {
    let procid_length = procid_length(block[start..].first_chunk()?)?;
    let separator = start + procid_length;
    let end = separator + SEPARATOR.len();
    let fits = procid_length > 0 && block.get(separator..end)? == SEPARATOR;
    fits.then_some(Found { source, procid: start, procid_length, end })
}

/// The octets of PROCID, at most 15.
#[inline(always)]
fn procid_length(octets: &[u8; 16]) -> Option<usize> {
    let end = spaces(word(octets.first_chunk()?));
    if end != 0 {
        return Some(end.trailing_zeros() as usize / 8);
    }
    let end = spaces(word(octets.last_chunk()?));
    (end != 0).then(|| 8 + end.trailing_zeros() as usize / 8)
}

#[inline(always)]
fn word(octets: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*octets)
}

/// The lowest set bit belongs to the first space; 0 without a space.
#[inline(always)]
fn spaces(word: u64) -> u64 {
    scan::lowest_match(word, b' ')
}
