//! One text line of an archive.
//!
//! ```text
//! line     = *( blank / mark / prefix ) dated           ; see `prefix`
//! dated    = TIME [ level ] source ":" [ SP MSG ]          ; heroku logs
//!          / TIME SP HOST [ SP facility ] SP source ":" [ SP MSG ]   ; Papertrail, syslog daemons
//!          / TIME SP HOST SP APP "/" PROCID SP MSG         ; SolarWinds
//!          / TIME SP HOST SP APP SP PROCID SP "-" SP MSG   ; a frame without its count and its PRI
//!          / TIME SP HOST SP name [ "[" pid "]" ] ":" SP dated   ; a journal, of a program that printed it
//!          / TIME SP [ stream SP ] dated                   ; docker logs --timestamps, aws logs tail
//!          / PRI "1 " … / PRI dated                        ; a frame without its count; RFC 3164
//! archived = id HT generated HT received HT source-id HT system HT source-ip HT facility HT severity
//!            HT source HT MSG                                    ; Papertrail's archives
//! source   = APP "[" PROCID "]" / APP "/" PROCID / APP "." PROCID
//! ```
//!
//! APP and PROCID end at the first octet that can end them, so MSG, which is untrusted, cannot move them.
//! Prefixes are removed from lines that are no line with them, and never from what an app wrote: an app's
//! line is read as one before anything behind its source is looked at.

use jiff::tz::Offset;

use crate::ident::DynoRef;
use crate::replay::archive::leading::leading;
use crate::replay::archive::prefix::{self, is_app, is_process, without_blanks, without_mark};
use crate::replay::archive::time::{self, Written, split, word};
use crate::wire::line::Line;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shown<'b> {
    pub system: Option<&'b [u8]>,
    pub written: Written,
    /// As written.
    pub time: &'b [u8],
    pub app: &'b [u8],
    pub procid: &'b [u8],
    pub msg: &'b [u8],
}

/// A line's author.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source<'b> {
    pub app: &'b [u8],
    pub procid: &'b [u8],
}

impl Shown<'_> {
    pub(super) fn is_by(&self, source: Source<'_>) -> bool {
        (self.app, self.procid) == (source.app, source.procid)
    }
}

/// Reads a line of any of the forms.
#[inline]
pub(super) fn read(text: &[u8]) -> Option<Shown<'_>> {
    if let Some(shown) = unmarked(text) {
        return Some(shown);
    }
    let mut rest = text;
    for _ in 0..prefix::MARKS_MAX {
        let unmarked_text = without_mark(rest)?;
        if let Some(shown) = unmarked(unmarked_text) {
            return Some(shown);
        }
        rest = unmarked_text;
    }
    None
}

fn unmarked(text: &[u8]) -> Option<Shown<'_>> {
    match text.first()? {
        b'<' => prioritised(text),
        _ => dated(text, 0).or_else(|| archived(text)),
    }
}

/// `<134>1 TIME HOST APP PROCID MSGID MSG`, or `<134>` and a dated line.
fn prioritised(text: &[u8]) -> Option<Shown<'_>> {
    if let Ok(line) = Line::parse(text) {
        let Line { time, host, app, procid, msg, .. } = line;
        let (written, _, rest) = leading(time)?;
        return rest.is_empty().then_some(Shown { system: system(host), written, time, app, procid, msg });
    }
    let (priority, rest) = split(&text[1..], b'>')?;
    let is_priority = (1..=3).contains(&priority.len()) && priority.iter().all(u8::is_ascii_digit);
    if is_priority { dated(rest, 0) } else { None }
}

/// A line that begins with its time.
fn dated(text: &[u8], depth: u8) -> Option<Shown<'_>> {
    let (written, time, rest) = leading(text)?;
    let rest = without_level(without_blanks(rest));
    let shown = |system, Source { app, procid }, msg| Shown { system, written, time, app, procid, msg };
    if let Some((source, msg)) = Source::leading(rest) {
        let outer = shown(None, source, msg);
        return inner(outer, depth).or(Some(outer));
    }
    // A container's runtime writes its own time in front.
    let contained =
        rest.strip_prefix(b"stdout F ").or_else(|| rest.strip_prefix(b"stderr F ")).unwrap_or(rest);
    if depth == 0 && contained.starts_with(b"<") {
        return prioritised(contained);
    }
    if depth == 0 && matches!(leading(contained), Some((Written::At(_), ..))) {
        return dated(contained, depth + 1);
    }
    if let Some(msg) = rest.strip_prefix(b"heroku: ") {
        // The platform's line of no dyno, which is reported.
        let outer = shown(None, Source { app: b"heroku", procid: b"-" }, msg);
        return inner(outer, depth).or(Some(outer));
    }
    if let Some((source, msg)) = Source::dotted(rest).filter(|_| word(rest).0.ends_with(b":")) {
        return Some(shown(None, source, msg));
    }
    let (host, behind) = split(rest, b' ')?;
    if is_host(host) {
        let behind = without_facility(behind.trim_ascii_start());
        let program =
            Source::leading(behind).or_else(|| Source::dotted(behind)).or_else(|| Source::foreign(behind));
        if let Some((source, msg)) = program {
            if source.procid == b"-" && matches!(host, b"heroku" | b"app") {
                // `heroku web.1: …`, the author in two words.
                return Some(shown(None, Source { app: host, procid: source.app }, msg));
            }
            let outer = shown(system(host), source, msg);
            return inner(outer, depth).or(Some(outer));
        }
        if let Some((source, msg)) = Source::in_words(behind) {
            return Some(shown(system(host), source, msg));
        }
    }
    if depth == 0 { streamed(host, behind) } else { None }
}

/// The line behind the name of its stream, as `aws logs tail` shows it.
fn streamed<'b>(stream: &[u8], rest: &'b [u8]) -> Option<Shown<'b>> {
    let is_in_name = |octet: &u8| octet.is_ascii_alphanumeric() || b"._-/@".contains(octet);
    if is_process(stream) || !stream.iter().all(is_in_name) {
        return None;
    }
    let shown = if rest.starts_with(b"<") { prioritised(rest) } else { dated(rest, 1) };
    shown.filter(|shown| matches!(shown.written, Written::At(_)))
}

/// The text behind `[info] `.
fn without_level(text: &[u8]) -> &[u8] {
    let level = text.strip_prefix(b"[").and_then(|rest| split(rest, b']'));
    match level {
        Some((level, [b' ', rest @ ..])) if is_level(level) => without_blanks(rest),
        _ => text,
    }
}

/// The text behind `local0.info `, which some syslog daemons write behind the host.
fn without_facility(text: &[u8]) -> &[u8] {
    let (first, rest) = word(text);
    match split(first, b'.') {
        Some((facility, level)) if is_level(level) && !is_app(facility) => rest,
        _ => text,
    }
}

fn is_level(text: &[u8]) -> bool {
    const LEVELS: [&[u8]; 12] = [
        b"debug",
        b"info",
        b"notice",
        b"warning",
        b"warn",
        b"error",
        b"err",
        b"crit",
        b"critical",
        b"alert",
        b"emerg",
        b"fatal",
    ];
    LEVELS.iter().any(|level| text.eq_ignore_ascii_case(level))
}

/// The line that a journal's program printed, at the time of the journal if it has none of its own.
///
/// Such a program has a pid or nothing where logplex's sources have a dyno.
fn inner<'b>(outer: Shown<'b>, depth: u8) -> Option<Shown<'b>> {
    let is_program = outer.procid == b"-" || outer.procid.iter().all(u8::is_ascii_digit);
    if !is_program || is_app(outer.app) || depth > 1 {
        return None;
    }
    let msg = without_blanks(outer.msg);
    let shown = if msg.starts_with(b"<") { prioritised(msg) } else { dated(msg, depth + 1) };
    shown.filter(|shown| matches!(shown.written, Written::At(_))).or_else(|| {
        let (Source { app, procid }, msg) = Source::leading(msg).filter(|(source, _)| source.is_logplex())?;
        Some(Shown { system: None, app, procid, msg, ..outer })
    })
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
    let written = match time::field(time)? {
        // Older archives: in UTC.
        Written::Local(local) => Written::At(Offset::UTC.to_timestamp(local).ok()?),
        written => written,
    };
    let Source { app, procid } = Source::whole(program);
    Some(Shown { system: Some(system), written, time, app, procid, msg })
}

// === impl Source ===

impl<'b> Source<'b> {
    /// Reads a field that holds a source and nothing else.
    pub(super) fn whole(program: &'b [u8]) -> Self {
        let program = program.trim_ascii();
        let found = Self::bracketed(program).or_else(|| Self::slashed(program));
        match found {
            Some((source, b"" | b":")) => source,
            _ => match split(program, b'.') {
                Some((app, procid)) if is_logplex(app) => Self { app: folded(app), procid },
                _ => Self { app: folded(program), procid: b"-" },
            },
        }
    }

    /// Whether it is what logplex writes: the platform or the app.
    pub(super) fn is_logplex(self) -> bool {
        is_logplex(self.app)
    }

    /// A source at the start of `text` that can be nothing else, and MSG.
    fn leading(text: &'b [u8]) -> Option<(Self, &'b [u8])> {
        if let Some((source, rest)) = Self::bracketed(text) {
            return match rest {
                [b':', msg @ ..] => Some((source, after_space(msg))),
                [] | [b' ', ..] if source.is_logplex() => Some((source, after_sign(rest))),
                _ => None,
            };
        }
        let (source, rest) = Self::slashed(text)?;
        match rest {
            [b':', msg @ ..] => Some((source, after_space(msg))),
            [] | [b' ', ..] => Some((source, after_sign(rest))),
            _ => None,
        }
    }

    /// `APP[PROCID]`, and the text behind it.
    fn bracketed(text: &'b [u8]) -> Option<(Self, &'b [u8])> {
        let open = text.iter().position(|octet| matches!(octet, b'[' | b' '))?;
        let (app, rest) = text.split_at(open);
        let rest = rest.strip_prefix(b"[")?;
        let (procid, rest) = split(rest, b']')?;
        if app.is_empty() || procid.is_empty() || procid.contains(&b' ') {
            return None;
        }
        if let Some((app, dyno)) = split(app, b'/').filter(|(app, _)| is_logplex(app)) {
            // `heroku/web.1[812]`: a pid that a syslog daemon adds.
            return Some((Self { app: folded(app), procid: dyno }, rest));
        }
        let rest = if is_logplex(app) { without_pid(rest) } else { rest };
        Some((Self { app: folded(app), procid }, rest))
    }

    /// `APP/PROCID` of logplex, and the text behind it.
    fn slashed(text: &'b [u8]) -> Option<(Self, &'b [u8])> {
        let (app, rest) = split(text, b'/').filter(|(app, _)| is_logplex(app))?;
        let end = rest.iter().position(|octet| matches!(octet, b' ' | b':' | b'[')).unwrap_or(rest.len());
        let (procid, rest) = rest.split_at(end);
        (!procid.is_empty()).then(|| (Self { app: folded(app), procid }, without_pid(rest)))
    }

    /// `heroku.web.1`, behind a host, which may have dots as well.
    fn dotted(text: &'b [u8]) -> Option<(Self, &'b [u8])> {
        let (first, rest) = word(text);
        let (app, procid) = split(first, b'.').filter(|(app, _)| is_logplex(app))?;
        let is_named = procid.ends_with(b":");
        let procid = procid.strip_suffix(b":").unwrap_or(procid);
        let is_source = !procid.is_empty() && (is_named || DynoRef::parse(procid).is_some());
        is_source.then(|| (Self { app: folded(app), procid }, rest))
    }

    /// `heroku web.1: MSG`, or `APP PROCID - MSG` of a frame.
    fn in_words(text: &'b [u8]) -> Option<(Self, &'b [u8])> {
        let (app, rest) = split(text, b' ')?;
        let (procid, rest) = split(rest, b' ')?;
        if let Some(procid) = procid.strip_suffix(b":").filter(|procid| !procid.is_empty() && is_logplex(app))
        {
            return Some((Self { app: folded(app), procid }, rest));
        }
        let (msgid, msg) = word(rest);
        let is_frame = msgid == b"-" && is_host(app) && is_host(procid);
        let msg = msg.strip_prefix(b"- ").unwrap_or(msg);
        is_frame.then(|| (Self { app: folded(app), procid }, msg))
    }

    /// `sshd:`, another sender's program.
    fn foreign(text: &'b [u8]) -> Option<(Self, &'b [u8])> {
        let (first, rest) = word(text);
        let program = first.strip_suffix(b":").filter(|program| !program.is_empty())?;
        Some((Self { app: folded(program), procid: b"-" }, rest))
    }
}

/// A line that is all of a field, with its count or without.
pub(super) fn whole(text: &[u8]) -> Option<Shown<'_>> {
    let digits = text.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let framed = text[digits..].strip_prefix(b" ").filter(|line| digits > 0 && line.starts_with(b"<"));
    read(framed.unwrap_or(text))
}

/// The source at the start of a message that has its time elsewhere.
pub(super) fn leading_source(text: &[u8]) -> Option<(Source<'_>, &[u8])> {
    Source::leading(without_blanks(text)).filter(|(source, _)| source.is_logplex())
}

/// A syslog daemon's name for the sender; none where logplex writes a word of its own.
pub(super) fn system(host: &[u8]) -> Option<&[u8]> {
    (!matches!(host, b"host" | b"-")).then_some(host)
}

fn is_logplex(app: &[u8]) -> bool {
    matches!(folded(app), b"heroku" | b"app")
}

/// APP in logplex's own spelling.
pub(super) fn folded(app: &[u8]) -> &[u8] {
    [&b"heroku"[..], b"app"].into_iter().find(|word| app.eq_ignore_ascii_case(word)).unwrap_or(app)
}

/// Whether a word can be a host's name, and no part of a source or of a sentence.
fn is_host(text: &[u8]) -> bool {
    !text.is_empty() && !text.ends_with(b":") && !text.iter().any(|octet| b"/[]|<>\"'".contains(octet))
}

/// The text behind `[812]`.
fn without_pid(text: &[u8]) -> &[u8] {
    match text.strip_prefix(b"[").and_then(|rest| split(rest, b']')) {
        Some((pid, rest)) if !pid.is_empty() && pid.iter().all(u8::is_ascii_digit) => rest,
        _ => text,
    }
}

fn after_space(text: &[u8]) -> &[u8] {
    text.strip_prefix(b" ").unwrap_or(text)
}

/// The message behind a source without its colon: a sign may stand in its place, as in `heroku[web.1] - x`.
fn after_sign(text: &[u8]) -> &[u8] {
    let text = after_space(text);
    [&b"- "[..], b": ", b"| "].iter().find_map(|sign| text.strip_prefix(*sign)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::replay::archive::time::Written;

    /// `system|time|app|procid|msg`.
    #[track_caller]
    fn check(line: &str, expect: Option<&str>) {
        let read = read(line.as_bytes()).map(|shown| {
            let text = |octets| String::from_utf8_lossy(octets).into_owned();
            let written = match shown.written {
                Written::At(at) => at.to_string(),
                Written::Local(local) => local.to_string(),
                Written::Day(day) => format!("{}/{} {}", day.day, day.month, day.clock),
                Written::Numeric(numeric) => format!("{numeric:?}"),
            };
            let system = shown.system.map_or_else(|| "-".to_owned(), text);
            assert!(line.contains(&text(shown.time)));
            format!("{system}|{written}|{}|{}|{}", text(shown.app), text(shown.procid), text(shown.msg))
        });
        assert_eq!(read.as_deref(), expect, "{line}");
    }

    const R14: &str = "Error R14 (Memory quota exceeded)";

    /// Each of the lines is the platform's R14 line of web.1.
    #[track_caller]
    fn check_r14(system: &str, at: &str, lines: &[&str]) {
        for line in lines {
            check(&format!("{line}{R14}"), Some(&format!("{system}|{at}|heroku|web.1|{R14}")));
        }
    }

    #[test]
    fn lines_of_heroku_logs_are_read() {
        check_r14("-", "2025-01-02T00:51:32.761835Z", &["2025-01-02T00:51:32.761835+00:00 heroku[web.1]: "]);
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
        check_r14(
            "-",
            "2025-01-02T00:51:32Z",
            &[
                "2025-01-02T00:51:32Z heroku[web.1] ",
                "2025-01-02T00:51:32Z heroku/web.1: ",
                "2025-01-02T00:51:32Z heroku.web.1: ",
                "2025-01-02T00:51:32Z heroku web.1: ",
                "2025-01-02T00:51:32Z Heroku[web.1]: ",
                "2025-01-02T00:51:32Z HEROKU/web.1: ",
                "2025-01-02T00:51:32Z heroku[web.1][812]: ",
                "2025-01-02T00:51:32Z heroku[web.1] - ",
                "2025-01-02T00:51:32Z heroku[web.1] : ",
                "2025-01-02T00:51:32Z  heroku[web.1]: ",
                "2025-01-02T00:51:32Z [info] heroku[web.1]: ",
                "[2025-01-02T00:51:32Z] heroku[web.1]: ",
                "2025-01-02T00:51:32Z heroku/web.1[812]: ",
                "2025-01-02 00:51:32Z heroku[web.1]: ",
                "2025-01-02T02:51:32+0200 heroku[web.1]: ",
            ],
        );
        check(
            "2025-01-02T00:51:32 heroku[web.1]: Error R14 (x)",
            Some("-|2025-01-02T00:51:32|heroku|web.1|Error R14 (x)"),
        );
    }

    #[test]
    fn lines_as_papertrail_and_solarwinds_show_them_are_read() {
        check_r14(
            "acme",
            "8/1 10:55:11",
            &[
                "Jan 08 10:55:11 acme heroku/web.1: ",
                "Jan 08 10:55:11 acme heroku/web.1 ",
                "Jan 08 10:55:11 acme heroku.web.1: ",
                "Jan 08 10:55:11 acme heroku.web.1 ",
                "Jan 08 10:55:11 acme Heroku/web.1: ",
                "Jan 08 10:55:11 acme heroku/web.1[7]: ",
            ],
        );
        check("Jan 08 10:55:11 heroku/web.1: x", Some("-|8/1 10:55:11|heroku|web.1|x"));
        check("Dec  8 10:55:11 acme app/api: x", Some("acme|8/12 10:55:11|app|api|x"));
        check("Dec 8 10:55:60 acme app/web.1:", Some("acme|8/12 10:55:59.999999999|app|web.1|"));
        check(
            "Jan 08 10:55:11 acme app/web.1: heroku/web.1: Error R14 (Memory quota exceeded)",
            Some("acme|8/1 10:55:11|app|web.1|heroku/web.1: Error R14 (Memory quota exceeded)"),
        );
        check("Jan 08 10:55:11 www42 sshd[12]: x: y", Some("www42|8/1 10:55:11|sshd|12|x: y"));
        check("Jan 08 10:55:11 www42 cron: x", Some("www42|8/1 10:55:11|cron|-|x"));
        check("Jan 08 10:55:11 acme heroku: x", Some("acme|8/1 10:55:11|heroku|-|x"));
    }

    #[test]
    fn lines_of_syslog_daemons_are_read() {
        let token = "d.fc6b856b-3332-4546-93de-7d0ee272c3bd";
        check_r14(
            token,
            "8/1 10:55:11",
            &[
                &format!("Jan  8 10:55:11 {token} heroku[web.1]: "),
                &format!("<134>Jan  8 10:55:11 {token} heroku[web.1]: "),
                &format!("Jan  8 10:55:11 {token} heroku[web.1][17]: "),
                &format!("Jan  8 10:55:11 {token} local0.info heroku[web.1]: "),
                &format!("Jan  8 10:55:11 {token} heroku web.1: "),
                &format!("Jan  8 10:55:11 {token} heroku web.1 - "),
            ],
        );
        check_r14(
            token,
            "2026-01-08T10:55:11.202Z",
            &[
                &format!("2026-01-08T10:55:11.202000+00:00 {token} heroku[web.1]: "),
                &format!("2026-01-08T10:55:11.202000+00:00 {token} heroku web.1 - "),
                &format!("2026-01-08T10:55:11.202000+00:00 {token} heroku web.1 - - "),
                &format!("<134>1 2026-01-08T10:55:11.202000+00:00 {token} heroku web.1 - - "),
            ],
        );
        check_r14(
            "-",
            "2026-01-08T10:55:11Z",
            &[
                "<134>1 2026-01-08T10:55:11Z host heroku web.1 - ",
                "2026-01-08T10:55:11Z host heroku web.1 - ",
                "2026-01-09T00:00:00.123456789Z 2026-01-08T10:55:11Z heroku[web.1]: ",
                "Jan 08 10:55:12 box tail[812]: 2026-01-08T10:55:11+00:00 heroku[web.1]: ",
                "Jan 08 10:55:12 box heroku[812]: 2026-01-08T10:55:11+00:00 heroku[web.1]: ",
                "2026-01-08T10:55:12+0000 box drain[8]: <134>1 2026-01-08T10:55:11+00:00 host heroku web.1 - ",
            ],
        );
        check_r14(
            "-",
            "8/1 10:55:12",
            &[
                "Jan 08 10:55:12 box rsyslogd[812]: heroku[web.1]: ",
                "Jan 08 10:55:12 box tail: heroku/web.1: ",
            ],
        );
        check_r14(
            "-",
            "2026-01-08T10:55:11Z",
            &["Jan 08 10:55:12 box tail: 2026-01-08T10:55:11Z heroku[web.1]: "],
        );
        // A pid alone names no dyno.
        check("Jan 08 10:55:12 box heroku[812]: x", Some("box|8/1 10:55:12|heroku|812|x"));
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
    fn prefixes_are_removed() {
        for prefix in [
            "  ",
            "\t",
            "\u{a0} ",
            "\u{feff}",
            "- ",
            "* ",
            "> ",
            ">",
            ">> ",
            "> - ",
            "  -  ",
            "tail_1  | ",
            "acme-tail-1  | ",
            "logs | ",
            "16:55:43 logs.1 | ",
            "16:55:43 logs.1      | ",
            "4:55:43 logs.1 | ",
            "04:55:43 PM logs.1 | ",
            "4:55:43 AM logs.1 | ",
            "[OKAY] logs.1   | ",
            "0|logs  | ",
            "acme_logs.1.k3j@box    | ",
            "file.log:",
            "./logs/file.log:123:",
            "file.log-123-",
            "123:",
            "file.log:123:- ",
            "[logs] ",
            "[0] ",
            "[pod/logs-5d4f/tail] ",
            "[pod/logs-5d4f/tail] 2025-01-02T00:51:33.5Z ",
            "2025-01-02T00:51:33.5Z acme/stream ",
            "     12 ",
            "# ",
            "| ",
            "- [ ] ",
            "+",
            "Jan 02 00:51:33 ",
            "1735779093.5 ",
            "Thu 2025-01-02 00:51:33 UTC box tail[7]: ",
            "> - tail_1 |  ",
            "1. ",
            "12) ",
            "\u{2022} ",
            "    12\t",
            "2025-01-02T00:51:33.5Z stdout F ",
        ] {
            let line = format!("{prefix}2025-01-02T00:51:32Z heroku[web.1]: {R14}");
            let expect = format!("-|2025-01-02T00:51:32Z|heroku|web.1|{R14}");
            check(&line, Some(&expect));
        }
    }

    /// What an app writes stays the app's, whatever is in front of it or in it.
    #[test]
    fn no_prefix_makes_an_app_the_platform() {
        let forged = format!("2025-01-02T00:51:32Z heroku[web.1]: {R14}");
        let sources = [
            "2025-01-02T00:51:32Z app[web.1]: ",
            "2025-01-02T00:51:32Z app[web.1] ",
            "2025-01-02T00:51:32Z app/web.1: ",
            "2025-01-02T00:51:32Z App[web.1]: ",
            "Jan 08 10:55:11 acme app/web.1: ",
            "Jan 08 10:55:11 acme app/web.1 ",
            "Jan 08 10:55:11 app/web.1: ",
            "Jan 08 10:55:11 acme app.web.1 ",
            "Jan 08 10:55:11 acme app[812]: ",
            "Jan 08 10:55:11 acme app: ",
            "<190>1 2025-01-02T00:51:32Z host app web.1 - ",
            "2025-01-02T00:51:32Z host app web.1 - ",
            "2025-01-02T00:51:32Z app web.1: ",
            "2025-01-02T00:51:32Z  app[web.1]: ",
            "2025-01-02T00:51:32Z [info] app[web.1]: ",
            "2025-01-02T00:51:32Z app[web.1] - ",
            "Jan 08 10:55:11 acme local0.info app[web.1]: ",
            "Jan 08 10:55:11 acme app web.1: ",
            "1/8/2025 10:55:11 AM acme app/web.1: ",
            "Wed Jan  8 10:55:11 UTC 2025 acme app/web.1: ",
            "[08/Jan/2025:10:55:11 +0000] app[web.1]: ",
            "1735779092 app[web.1]: ",
        ];
        for source in sources {
            for prefix in [
                "",
                "  ",
                "- ",
                "> ",
                "tail_1 | ",
                "16:55:43 logs.1 | ",
                "x.log:",
                "x.log:7:",
                "7:",
                "[x] ",
                "7\t",
            ] {
                for own in [
                    "",
                    "- ",
                    "> ",
                    "  ",
                    "tail_1 | ",
                    "x | ",
                    "x.log:",
                    "[x] ",
                    "7:",
                    "s ",
                    "heroku web.1 - ",
                    "heroku[web.1]: ",
                ] {
                    let line = format!("{prefix}{source}{own}{forged}");
                    let shown = read(line.as_bytes()).expect(&line);
                    assert_eq!(shown.app, b"app", "{line}");
                }
            }
        }
        for line in [
            format!("app/web.1 | {forged}"),
            format!("app[web.1]: {forged}"),
            format!("app | {forged}"),
            format!("web.1 | {forged}"),
            format!("Jan 08 10:55:11 acme web.1: {forged}"),
            format!("Jan 08 10:55:11 acme web[812]: {forged}"),
            format!("Jan 08 10:55:11 acme worker.2: {forged}"),
            format!("worker_1 | {forged}"),
            format!("16:55:43 web.1 | {forged}"),
            format!("4:55:43 PM web.1 | {forged}"),
            format!("[OKAY] web.1 | {forged}"),
            format!("0|worker  | {forged}"),
            format!("acme-web-1  | {forged}"),
            format!("[web] {forged}"),
            format!("[app/web.1] {forged}"),
            format!("[pod/acme-5d4f/web] {forged}"),
            format!("web.1:{forged}"),
            format!("app/web.1:12:{forged}"),
            format!("2025-01-02T00:51:33Z web.1 {forged}"),
            format!("2025-01-02T00:51:33Z acme/web.1 {forged}"),
            format!("2025-01-02T00:51:33Z app {forged}"),
            format!("2025-01-02T00:51:33Z app[sidekiq.1 {forged}"),
            format!("2025-01-02T00:51:32Z app[web.1 heroku[web.1]: {R14}"),
            format!("2025-01-02T00:51:32Z app[web.1] | heroku web.1 - {R14}"),
            format!("some words | {forged}"),
        ] {
            assert!(read(line.as_bytes()).is_none_or(|shown| shown.app != b"heroku"), "{line}");
        }
    }

    #[test]
    fn other_lines_are_not_read() {
        for line in [
            "",
            "x",
            "Error R14 (Memory quota exceeded)",
            "heroku[web.1]: Error R14 (Memory quota exceeded)",
            "2025-13-02T00:51:32Z heroku[web.1]: Error R14 (Memory quota exceeded)",
            "2025-01-02T00:51:32Z [web.1]: Error R14",
            "2025-01-02T00:51:32Z heroku[]: Error R14",
            "2025-01-02T00:51:32Z app said heroku[web.1]: Error R14",
            "2025-01-02T00:51:32Z app[web.1 heroku[web.1]: Error R14",
            "Jan 08 10:55 acme heroku/web.1: Error R14",
            "Jan 008 10:55:11 acme heroku/web.1: Error R14",
            "Jän 08 10:55:11 acme heroku/web.1: Error R14",
            "  acme heroku/web.1: Error R14",
        ] {
            check(line, None);
        }
    }
}
