//! One text line of an archive.
//!
//! ```text
//! shown      = TIME SP APP "[" PROCID "]:" [ SP MSG ]                          ; heroku logs
//! papertrail = Mon 1*SP day SP hh:mm:ss SP system SP program ":" [ SP MSG ]     ; Papertrail, as shown
//! archived   = id HT generated HT received HT source-id HT system HT source-ip HT facility HT severity
//!              HT program HT MSG                                               ; Papertrail's archives
//! program    = APP "/" PROCID
//! ```
//!
//! APP and PROCID end at the first octet that can end them, so MSG, which is untrusted, cannot move them.

use jiff::Timestamp;

use crate::replay::archive::years::Day;
use crate::wire::timestamp;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shown<'b> {
    pub system: Option<&'b [u8]>,
    pub written: Written,
    /// As written.
    pub time: &'b [u8],
    pub app: &'b [u8],
    pub procid: &'b [u8],
    pub msg: &'b [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// In full.
    At(Timestamp),
    /// Without a year.
    Day(Day),
}

/// Reads a line of any of the forms.
pub(super) fn read(text: &[u8]) -> Option<Shown<'_>> {
    shown(text).or_else(|| papertrail(text)).or_else(|| archived(text))
}

fn shown(text: &[u8]) -> Option<Shown<'_>> {
    let (time, rest) = split(text, b' ')?;
    let at = timestamp::parse(time).ok()?;
    let (app, rest) = split(rest, b'[')?;
    let (procid, rest) = split(rest, b']')?;
    let msg = rest.strip_prefix(b":")?;
    if !is_word(app) || !is_word(procid) {
        return None;
    }
    Some(Shown { system: None, written: Written::At(at), time, app, procid, msg: after_space(msg) })
}

fn papertrail(text: &[u8]) -> Option<Shown<'_>> {
    let (month, rest) = split(text, b' ')?;
    let month = MONTHS.iter().position(|name| *name == month)?;
    let (day, rest) = split(rest.trim_ascii_start(), b' ')?;
    let (clock, rest) = split(rest, b' ')?;
    let (system, rest) = split(rest, b' ')?;
    let (program, msg) = match split(rest, b' ') {
        Some((program, msg)) => (program, msg),
        None => (rest, &rest[rest.len()..]),
    };
    let program = program.strip_suffix(b":")?;
    let mut parts = clock.split(|octet| *octet == b':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !is_word(system) || !is_word(program) {
        return None;
    }
    let day = Day {
        month: i8::try_from(month).ok()? + 1,
        day: number(day)?,
        hour: number(hour)?,
        minute: number(minute)?,
        // A leap second, which our clocks do not have.
        second: number(second)?.min(59),
    };
    let time = &text[..text.len() - rest.len() - system.len() - 2];
    let (app, procid) = source(program);
    Some(Shown { system: Some(system), written: Written::Day(day), time, app, procid, msg })
}

fn archived(text: &[u8]) -> Option<Shown<'_>> {
    let mut columns = text.splitn(10, |octet| *octet == b'\t');
    let (id, time) = (columns.next()?, columns.next()?);
    let system = columns.nth(2)?;
    let program = columns.nth(3)?;
    let msg = columns.next()?;
    if id.is_empty() || !id.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let at = timestamp::parse(time).ok().or_else(|| without_zone(time))?;
    let (app, procid) = source(program);
    Some(Shown { system: Some(system), written: Written::At(at), time, app, procid, msg })
}

/// `2011-05-18 20:30:02`, as in older archives; in UTC.
fn without_zone(time: &[u8]) -> Option<Timestamp> {
    let (date, clock) = split(time, b' ')?;
    timestamp::parse(&[date, b"T", clock, b"Z"].concat()).ok()
}

/// `heroku/web.1`. Programs of other senders have no dyno after a slash, and are skipped.
fn source(program: &[u8]) -> (&[u8], &[u8]) {
    split(program, b'/').unwrap_or((program, b"-"))
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = memchr::memchr(at, text)?;
    Some((&text[..place], &text[place + 1..]))
}

fn is_word(text: &[u8]) -> bool {
    !text.is_empty() && !text.contains(&b' ')
}

fn after_space(text: &[u8]) -> &[u8] {
    text.strip_prefix(b" ").unwrap_or(text)
}

/// One or two digits; the calendar decides whether they are a valid day or minute.
fn number(digits: &[u8]) -> Option<i8> {
    let is_short = (1..=2).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    is_short.then(|| digits.iter().fold(0, |sum, digit| sum * 10 + (digit - b'0').cast_signed()))
}

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

#[cfg(test)]
mod tests {
    use super::{Written, read};

    /// `system | time | app | procid | msg`.
    #[track_caller]
    fn check(line: &str, expect: Option<&str>) {
        let read = read(line.as_bytes()).map(|shown| {
            let text = |octets| String::from_utf8_lossy(octets).into_owned();
            let written = match shown.written {
                Written::At(at) => at.to_string(),
                Written::Day(day) => {
                    format!("{}/{} {}:{}:{}", day.day, day.month, day.hour, day.minute, day.second)
                }
            };
            let system = shown.system.map_or_else(|| "-".to_owned(), text);
            assert!(line.contains(&text(shown.time)));
            format!("{system}|{written}|{}|{}|{}", text(shown.app), text(shown.procid), text(shown.msg))
        });
        assert_eq!(read.as_deref(), expect, "{line}");
    }

    #[test]
    fn lines_of_heroku_logs_are_read() {
        check(
            "2025-01-02T00:51:32.761835+00:00 heroku[web.1]: Error R14 (Memory quota exceeded)",
            Some("-|2025-01-02T00:51:32.761835Z|heroku|web.1|Error R14 (Memory quota exceeded)"),
        );
        check(
            "2025-01-02T00:51:32+00:00 app[api]: Release v12 created by user a@example.com",
            Some("-|2025-01-02T00:51:32Z|app|api|Release v12 created by user a@example.com"),
        );
        check("2025-01-02T00:51:32Z app[web.1]: ", Some("-|2025-01-02T00:51:32Z|app|web.1|"));
        check("2025-01-02T00:51:32Z app[web.1]:", Some("-|2025-01-02T00:51:32Z|app|web.1|"));
        check(
            "2025-01-02T00:51:32Z app[web.1]:  heroku[web.1]: Error R14 (Memory quota exceeded)",
            Some("-|2025-01-02T00:51:32Z|app|web.1| heroku[web.1]: Error R14 (Memory quota exceeded)"),
        );
    }

    #[test]
    fn lines_as_papertrail_shows_them_are_read() {
        check(
            "Jan 08 10:55:11 acme heroku/web.1:  Error R14 (Memory quota exceeded) ",
            Some("acme|8/1 10:55:11|heroku|web.1| Error R14 (Memory quota exceeded) "),
        );
        check("Dec  8 10:55:11 acme app/api: x", Some("acme|8/12 10:55:11|app|api|x"));
        check("Dec 8 10:55:60 acme app/web.1:", Some("acme|8/12 10:55:59|app|web.1|"));
        check(
            "Jan 08 10:55:11 acme app/web.1: heroku/web.1: Error R14 (Memory quota exceeded)",
            Some("acme|8/1 10:55:11|app|web.1|heroku/web.1: Error R14 (Memory quota exceeded)"),
        );
        check("Jan 08 10:55:11 www42 sshd[12]: x: y", Some("www42|8/1 10:55:11|sshd[12]|-|x: y"));
    }

    #[test]
    fn lines_of_papertrail_archives_are_read() {
        let tail = "acme\t10.0.0.1\tLocal7\tInfo\theroku/web.1\tError R14 (Memory quota exceeded)";
        check(
            &format!("50342052\t2025-01-08T10:55:11-08:00\t2025-01-08T18:55:12Z\t42\t{tail}"),
            Some("acme|2025-01-08T18:55:11Z|heroku|web.1|Error R14 (Memory quota exceeded)"),
        );
        check(
            &format!("50342052\t2011-05-18 20:30:02\t2011-05-18 20:30:02\t42\t{tail}\twith\ttabs"),
            Some("acme|2011-05-18T20:30:02Z|heroku|web.1|Error R14 (Memory quota exceeded)\twith\ttabs"),
        );
        check(&format!("x\t2025-01-08T10:55:11Z\tr\t42\t{tail}"), None);
        check("1\t2025-01-08T10:55:11Z\tr\t42\tacme\t10.0.0.1\tLocal7\tInfo\theroku/web.1", None);
    }

    #[test]
    fn other_lines_are_not_read() {
        for line in [
            "",
            "x",
            "Error R14 (Memory quota exceeded)",
            "heroku[web.1]: Error R14 (Memory quota exceeded)",
            "2025-01-02T00:51:32 heroku[web.1]: Error R14 (Memory quota exceeded)",
            "2025-13-02T00:51:32Z heroku[web.1]: Error R14 (Memory quota exceeded)",
            "2025-01-02T00:51:32Z heroku web.1: Error R14",
            "2025-01-02T00:51:32Z heroku[web.1] Error R14",
            "2025-01-02T00:51:32Z [web.1]: Error R14",
            "2025-01-02T00:51:32Z heroku[]: Error R14",
            "2025-01-02T00:51:32Z app said heroku[web.1]: Error R14",
            "2025-01-02T00:51:32Z app[web.1 heroku[web.1]: Error R14",
            "Jan 08 10:55 acme heroku/web.1: Error R14",
            "Jan 08 10:55:11 heroku/web.1: Error R14",
            "Jan 08 10:55:11 acme heroku/web.1 Error R14",
            "Jan 008 10:55:11 acme heroku/web.1: Error R14",
            "Jän 08 10:55:11 acme heroku/web.1: Error R14",
            "  acme heroku/web.1: Error R14",
        ] {
            check(line, None);
        }
    }
}
