//! One frame's line: six header fields and a message.
//!
//! ```text
//! line = "<" PRI ">" "1" SP TIME SP HOST SP APP SP PROCID SP MSGID [ SP [ "- " ] MSG ] [ LF ]
//! PRI  = 1*3DIGIT              ; 0-191, without leading zeros
//! TIME, HOST, APP, PROCID, MSGID = 1*( any octet but SP )
//! MSG  = *OCTET                ; anything: no encoding, no escapes, line breaks too
//! ```
//!
//! This is RFC 5424 as logplex writes it, which leaves STRUCTURED-DATA out and puts no `-` in its place
//! (heroku/logplex#204). Fields are not empty and contain no space. Nothing else is checked here, because the
//! reader compares each with the expected value.

use jiff::Timestamp;
use nom::bytes::complete::take_while_m_n;
use nom::character::complete::char;
use nom::sequence::delimited;
use nom::{IResult, Parser};

use crate::wire::scan;
use crate::wire::timestamp::{self, TimeError};

/// A line with a readable header; every field borrows from the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'b> {
    /// PRI, 0 to 191. It has changed over the years and nothing should depend on it.
    pub priority: u8,
    /// TIME as written; [`Line::time`] parses it.
    pub time: &'b [u8],
    /// HOST: `host` on HTTPS drains, the drain's token on syslog drains.
    pub host: &'b [u8],
    /// APP: `heroku` for the platform's own lines, `app` for everything else.
    pub app: &'b [u8],
    /// PROCID: the dyno, or `router`, `logplex`, `api` and so on.
    pub procid: &'b [u8],
    /// MSGID: `-`.
    pub msgid: &'b [u8],
    /// MSG without its line break.
    pub msg: &'b [u8],
}

/// Why a frame holds no syslog line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// A header field is missing or empty.
    #[error("its header has no {0}")]
    Missing(&'static str),
    #[error("it does not begin with <PRI>, a number from 0 to 191")]
    Priority,
    #[error("its version is not 1")]
    Version,
}

impl<'b> Line<'b> {
    /// Reads the line of a frame.
    ///
    /// # Errors
    /// The header is broken. Other frames are not affected.
    pub fn parse(octets: &'b [u8]) -> Result<Self, LineError> {
        let octets = octets.strip_suffix(b"\n").unwrap_or(octets);
        let (rest, priority) = priority(octets).map_err(|_| LineError::Priority)?;
        let rest = rest.strip_prefix(b"1 ").ok_or(LineError::Version)?;
        let (rest, time) = field(rest).map_err(|_| LineError::Missing("TIME"))?;
        let (rest, host) = field(rest).map_err(|_| LineError::Missing("HOST"))?;
        let (rest, app) = field(rest).map_err(|_| LineError::Missing("APP"))?;
        let (rest, procid) = field(rest).map_err(|_| LineError::Missing("PROCID"))?;
        let (msgid, rest) = match field(rest) {
            Ok((rest, msgid)) => (msgid, rest),
            // With an empty MSG the last space is sometimes omitted (pganalyze/collector#291).
            Err(_) if !rest.is_empty() && rest[0] != b' ' => (rest, &rest[rest.len()..]),
            Err(_) => return Err(LineError::Missing("MSGID")),
        };
        Ok(Self { priority, time, host, app, procid, msgid, msg: after_structured_data(rest) })
    }

    /// Reads an ordinary line whose header ends within [`scan::BLOCK`] octets, as nearly all do.
    /// [`Line::parse`] reads all others.
    #[inline(always)]
    pub(super) fn parse_usual(octets: &'b [u8]) -> Option<Self> {
        let octets = octets.strip_suffix(b"\n").unwrap_or(octets);
        let mut fields: [&[u8]; 6] = [&[]; 6];
        let mut start = 0;
        let mut spaces = scan::spaces(octets.first_chunk()?);
        for field in &mut fields {
            let end = spaces.next()?;
            *field = octets.get(start..end)?;
            start = end + 1;
        }
        let [first, time, host, app, procid, msgid] = fields;
        let priority = match first {
            [b'<', digits @ .., b'>', b'1'] => number_to_191(digits)?,
            _ => return None,
        };
        if time.is_empty() || host.is_empty() || app.is_empty() || procid.is_empty() || msgid.is_empty() {
            return None;
        }
        let msg = after_structured_data(octets.get(start..)?);
        Some(Self { priority, time, host, app, procid, msgid, msg })
    }

    /// The line that `heroku logs` shows as `TIME APP[PROCID]: MSG`, with the missing fields as logplex would
    /// fill them.
    pub fn shown(time: &'b [u8], app: &'b [u8], procid: &'b [u8], msg: &'b [u8]) -> Self {
        Self { priority: SHOWN_PRIORITY, time, host: b"host", app, procid, msgid: b"-", msg }
    }

    /// The time in the line.
    ///
    /// # Errors
    /// TIME is not RFC 3339, or there is no such time.
    pub fn time(&self) -> Result<Timestamp, TimeError> {
        timestamp::parse(self.time)
    }
}

/// `local7.info`, which logplex gives a dyno's own output.
const SHOWN_PRIORITY: u8 = 190;

/// `"<" PRI ">"`.
#[inline]
fn priority(input: &[u8]) -> IResult<&[u8], u8, ()> {
    delimited(char('<'), take_while_m_n(1, 3, |octet: u8| octet.is_ascii_digit()), char('>'))
        .map_opt(number_to_191)
        .parse(input)
}

/// 0 to 191, without leading zeros.
#[inline]
fn number_to_191(digits: &[u8]) -> Option<u8> {
    let digit = |octet: &u8| octet.is_ascii_digit().then(|| u16::from(octet - b'0'));
    let number = match digits {
        [ones] => digit(ones)?,
        [b'0', ..] => return None,
        [tens, ones] => digit(tens)? * 10 + digit(ones)?,
        [hundreds, tens, ones] => digit(hundreds)? * 100 + digit(tens)? * 10 + digit(ones)?,
        _ => return None,
    };
    u8::try_from(number).ok().filter(|number| *number <= 191)
}

/// A header field and the space that ends it.
fn field(input: &[u8]) -> IResult<&[u8], &[u8], ()> {
    match memchr::memchr(b' ', input) {
        Some(end) if end > 0 => Ok((&input[end + 1..], &input[..end])),
        _ => Err(nom::Err::Error(())),
    }
}

/// MSG without the `- ` for absent STRUCTURED-DATA.
///
/// Logplex never writes it; log-shuttle (Shield spaces) and syslog drains always do, and a line does not show
/// which of them sent it. Removing it loses nothing: no platform line begins with `- `, and a dyno that
/// prints `- Error R14 …` has APP `app`, which decides.
fn after_structured_data(rest: &[u8]) -> &[u8] {
    rest.strip_prefix(b"- ").unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::{Line, LineError};

    const HEAD: &str = "<134>1 2025-08-08T06:59:08.592108+00:00 host heroku web.1 -";

    #[track_caller]
    fn check(line: impl AsRef<[u8]>, msg: &[u8]) {
        let expect = Line {
            priority: 134,
            time: b"2025-08-08T06:59:08.592108+00:00",
            host: b"host",
            app: b"heroku",
            procid: b"web.1",
            msgid: b"-",
            msg,
        };
        assert_eq!(Line::parse(line.as_ref()), Ok(expect));
    }

    #[track_caller]
    fn check_broken(line: impl AsRef<[u8]>, expect: LineError) {
        assert_eq!(Line::parse(line.as_ref()), Err(expect));
    }

    #[test]
    fn msg_is_what_follows_the_sixth_space() {
        check(format!("{HEAD} Error R14 (Memory quota exceeded)\n"), b"Error R14 (Memory quota exceeded)");
        check(format!("{HEAD} Error R14 (Memory quota exceeded)"), b"Error R14 (Memory quota exceeded)");
        check(format!("{HEAD}  two  spaces "), b" two  spaces ");
        check(format!("{HEAD} one\ntwo\n\n"), b"one\ntwo\n");
        check([HEAD.as_bytes(), b" \0\xff\xc2\r\n"].concat(), b"\0\xff\xc2\r");
    }

    #[test]
    fn msg_may_be_empty_with_or_without_its_space() {
        for tail in ["", " ", "\n", " \n"] {
            check(format!("{HEAD}{tail}"), b"");
        }
    }

    #[test]
    fn the_dash_for_absent_structured_data_is_removed_once() {
        check(format!("{HEAD} - Error R14 (x)\n"), b"Error R14 (x)");
        check(format!("{HEAD} - - x"), b"- x");
        check(format!("{HEAD} -x"), b"-x");
        check(format!("{HEAD} - \n"), b"");
        check(format!("{HEAD} -"), b"-");
    }

    #[test]
    fn an_error_names_the_missing_header_field() {
        let no_priority =
            ["", "134>1 ", "<>1 ", "<192>1 ", "<1000>1 ", "<-1>1 ", "<01>1 ", "<134 >1 ", "<134", "< 1>1 "];
        for line in no_priority {
            check_broken(line, LineError::Priority);
        }
        for line in ["<134>", "<134>2 t h a p - ", "<134> 1 t", "<134>11 t h a p - ", "<134>1"] {
            check_broken(line, LineError::Version);
        }
        // A field without the space after it does not count: the frame was cut inside it.
        for (line, field) in [
            ("<134>1 ", "TIME"),
            ("<134>1 t", "TIME"),
            ("<134>1  host heroku web.1 - ", "TIME"),
            ("<134>1 t ", "HOST"),
            ("<134>1 t host", "HOST"),
            ("<134>1 t  heroku web.1 - ", "HOST"),
            ("<134>1 t host heroku", "APP"),
            ("<134>1 t host heroku ", "PROCID"),
            ("<134>1 t host heroku web.1", "PROCID"),
            ("<134>1 t host heroku web.1 ", "MSGID"),
            ("<134>1 t host heroku web.1 \n", "MSGID"),
            ("<134>1 t host heroku web.1  Error R14", "MSGID"),
        ] {
            check_broken(line, LineError::Missing(field));
        }
    }

    #[test]
    fn the_first_and_last_priorities_are_read() {
        for (text, priority) in [("<0>", 0), ("<9>", 9), ("<45>", 45), ("<191>", 191)] {
            let line = format!("{text}1 t h a p - m");
            assert_eq!(Line::parse(line.as_bytes()).map(|line| line.priority), Ok(priority));
        }
    }
}
