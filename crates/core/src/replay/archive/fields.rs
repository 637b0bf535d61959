//! The line in one row of an export: named fields, from JSON or CSV.
//!
//! A row has a time, an author and a message, under whichever names the log service gives them. The author
//! is a program (`heroku/web.1`) or two fields (`heroku` and `web.1`). Where the fields name no dyno, the
//! message may be a whole line, or begin with its source, or be JSON with the fields of the line.
//!
//! A row in which any field says that an app wrote it is an app's line: log services also show the fields of
//! JSON that an app printed, so the platform's name alone proves nothing. Where the fields name a dyno, a
//! header in the message counts only if it is the same, or an app's.

use crate::ident::DynoRef;
use crate::replay::archive::json::{self, Fields};
use crate::replay::archive::prefix::is_process;
use crate::replay::archive::text::{self, Shown, Source};
use crate::replay::archive::time::Written;
use crate::replay::archive::{self, ansi, leading};

/// A line with its own text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Owned {
    system: Option<Vec<u8>>,
    written: Written,
    time: Vec<u8>,
    app: Vec<u8>,
    procid: Vec<u8>,
    msg: Vec<u8>,
}

/// Reads a row; none if it has no time, no message, or no author.
pub(super) fn read(fields: &Fields) -> Option<Owned> {
    if fields.iter().any(|(_, value)| value.contains('\u{1b}')) {
        let plain = |value: &String| {
            let mut plain = Vec::new();
            String::from_utf8_lossy(ansi::without_colours(value.as_bytes(), &mut plain)).into_owned()
        };
        // What is left of an invalid sequence must not be looked at again.
        let plain = |value: &String| plain(value).replace('\u{1b}', " ");
        return read(&fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect());
    }
    let (name, msg) = message(fields)?;
    if let Some(inner) = json_in(name, msg)
        && let Some(line) = read_message(&merged(inner, fields))
    {
        return Some(line);
    }
    read_message(fields)
}

/// Reads a row whose message is no JSON.
fn read_message(fields: &Fields) -> Option<Owned> {
    let (_, msg) = message(fields)?;
    let msg = msg.trim_end_matches(['\r', '\n']);
    let dated = dated(fields);
    let system = SYSTEMS.iter().find_map(|known| value(fields, known));
    let owned = |source: Source<'_>, msg: &[u8]| {
        let (written, time) = dated.clone()?;
        Some(Owned {
            system: system.and_then(|name| text::system(name.as_bytes())).map(<[u8]>::to_vec),
            written,
            time: time.into_bytes(),
            app: source.app.to_vec(),
            procid: source.procid.to_vec(),
            msg: msg.to_vec(),
        })
    };
    let whole = text::whole(msg.as_bytes());
    let program = match author(fields) {
        // The service may leave the header in the message. An app's line stays one, whatever JSON is in it.
        Author::Named(source) if whole.is_none_or(|shown| !shown.is_by(source) && shown.app != b"app") => {
            return owned(source, msg.as_bytes());
        }
        Author::Named(_) => None,
        Author::Program(program) => program,
    };
    if let Some(mut shown) = whole.filter(|shown| program.is_none() || is_logplex(shown.app)) {
        // The service knows the year and the zone that a line lacks.
        if let (Written::Local(_) | Written::Day(_), Some((known @ Written::At(_), _))) =
            (shown.written, &dated)
        {
            shown.written = *known;
        }
        return Some(Owned::from(&shown));
    }
    match text::leading_source(msg.as_bytes()) {
        Some((source, rest)) => owned(source, rest),
        None => owned(program?, msg.as_bytes()),
    }
}

/// The row's message and the name of its field: the shallowest, as what an app printed is deeper. If another
/// is an app's whole line, it is that one.
fn message(fields: &Fields) -> Option<(&'static str, &str)> {
    let is_app = |msg: &str| text::whole(msg.as_bytes()).is_some_and(|shown| shown.app == b"app");
    let named = |name: &str| MESSAGES.iter().find(|known| **known == normal(name)).copied();
    let mut all = fields.iter().filter_map(|(name, value)| Some((named(name)?, &**value)));
    all.find(|(_, msg)| is_app(msg)).or_else(|| {
        let found = MESSAGES.iter().filter_map(|known| Some((*known, find(fields, known)?)));
        found.min_by_key(|(_, (depth, _))| *depth).map(|(known, (_, msg))| (known, msg))
    })
}

/// The fields of a message that is the JSON that a service has received.
fn json_in(name: &str, msg: &str) -> Option<Fields> {
    (RAW.contains(&name) && msg.starts_with('{')).then(|| json::fields(msg.as_bytes()))?
}

/// The fields of a row with those in its message instead of that.
fn merged(mut inner: Fields, fields: &Fields) -> Fields {
    let others = fields.iter().filter(|(name, _)| !RAW.contains(&&*normal(name)));
    inner.extend(others.cloned());
    inner
}

/// Which of the parts of a row a field of this name is: its message, its author, or its time.
pub(super) fn part(name: &str) -> Option<usize> {
    let name = normal(name);
    [MESSAGES, PROGRAMS, PROCIDS, TIMES].iter().position(|known| known.contains(&&*name))
}

/// Whether these are the names of an export's columns. No line of a log is: the clock in it has colons.
pub(super) fn are_names(names: &[String]) -> bool {
    let is_in_name = |c: char| c.is_alphanumeric() || " ._@-/()[]#\u{feff}".contains(c);
    if !names.iter().all(|name| name.chars().all(is_in_name)) {
        return false;
    }
    let has = |known: &[&str]| names.iter().any(|name| known.contains(&&*normal(name)));
    has(TIMES) && has(MESSAGES)
}

/// What of a row these fields have: a time and a message, readable or not.
pub(super) fn parts(fields: &Fields) -> [bool; 2] {
    [TIMES, MESSAGES].map(|names| names.iter().any(|known| find(fields, known).is_some()))
}

enum Author<'f> {
    /// Of a dyno or a part of the platform.
    Named(Source<'f>),
    /// Another sender's program, or the platform's name alone.
    Program(Option<Source<'f>>),
}

fn author(fields: &Fields) -> Author<'_> {
    let values = |known: &'static [&str]| {
        let known = move |(name, _): &&(String, String)| known.contains(&&*normal(name));
        fields.iter().filter(known).map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    };
    // Some services make a dyno's name a program.
    let is_part = |name: &&str| archive::is_part(name.as_bytes());
    // A journal has the number of a process as well.
    let procid = values(PROCIDS)
        .find(is_part)
        .or_else(|| values(PROCIDS).next())
        .or_else(|| values(PROGRAMS).find(is_part));
    let mut found = None;
    let mut foreign = None;
    for program in values(PROGRAMS) {
        let mut source = Source::whole(program.as_bytes());
        if !source.is_logplex() {
            foreign = foreign.or(Some(Source { app: program.as_bytes(), procid: b"-" }));
            continue;
        }
        if source.procid == b"-" {
            source.procid = procid.map_or(source.procid, str::as_bytes);
        }
        if source.app == b"app" {
            return Author::Named(source);
        }
        found = found.or(Some(source));
    }
    match (found, foreign) {
        (Some(source), _) if source.procid != b"-" => Author::Named(source),
        (None, Some(source)) if values(PROCIDS).any(|name| is_part(&name)) => Author::Named(source),
        (found, foreign) => Author::Program(found.or(foreign)),
    }
}

fn is_logplex(app: &[u8]) -> bool {
    Source { app, procid: b"-" }.is_logplex()
}

/// The row's time, and its text.
fn dated(fields: &Fields) -> Option<(Written, String)> {
    let times = TIMES.iter().filter_map(|known| value(fields, known));
    let read = |text: &str| Some((leading::field(text.as_bytes())?, text.to_owned()));
    times.clone().find_map(read).or_else(|| {
        // A day and a clock.
        read(&format!("{} {}", value(fields, "date")?, value(fields, "time")?))
    })
}

/// The shallowest field of this name, and its depth.
fn find<'f>(fields: &'f Fields, known: &str) -> Option<(usize, &'f str)> {
    let depth = |name: &str| name.matches('.').count();
    let found = fields.iter().filter(|(name, value)| normal(name) == known && !value.is_empty());
    found.map(|(name, value)| (depth(name), &**value)).min_by_key(|(depth, _)| *depth)
}

/// Its value.
fn value<'f>(fields: &'f Fields, known: &str) -> Option<&'f str> {
    find(fields, known).map(|(_, value)| value)
}

/// A field's name without the section that it is in, in one spelling.
fn normal(name: &str) -> String {
    let last = name.rsplit(['.', '/']).next().unwrap_or(name);
    last.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect()
}

const TIMES: &[&str] = &[
    "generatedat",
    "dt",
    "timestamp",
    "time",
    "ts",
    "datetime",
    "date",
    "eventtime",
    "logtime",
    "syslogtimestamp",
    "receivedat",
    "createdat",
    "realtimetimestamp",
    "messagetime",
    "timegenerated",
    "timegeneratedutc",
    "timeunixnano",
    "observedtimeunixnano",
    "loggedat",
    "timestampns",
    "tsns",
];

const MESSAGES: &[&str] = &[
    "message",
    "msg",
    "line",
    "log",
    "text",
    "raw",
    "body",
    "content",
    "messagetext",
    "shortmessage",
    "logmessage",
    "logmsg",
    "logline",
    "syslogmessage",
    "textpayload",
    "rawmessage",
    "fullmessage",
    "event",
    "userdata",
];

/// Messages that may be the JSON that a service has received.
const RAW: &[&str] = &["raw", "text", "rawmessage", "userdata"];

const PROGRAMS: &[&str] = &[
    "program",
    "programname",
    "syslogprogram",
    "appname",
    "syslogappname",
    "app",
    "application",
    "applicationname",
    "source",
    "tag",
    "ident",
    "service",
    "syslogidentifier",
    "syslogtag",
    "syslog5424app",
    "processname",
    "herokuapp",
    "herokudrainapp",
];

const PROCIDS: &[&str] = &[
    "procid",
    "syslogprocid",
    "process",
    "processid",
    "ps",
    "dyno",
    "pid",
    "proc",
    "syslogpid",
    "syslog5424proc",
    "herokudrainproc",
];

const SYSTEMS: &[&str] = &["sourcename", "system", "hostname", "host", "sysloghostname", "computer"];

// === impl Owned ===

impl Owned {
    pub(super) fn shown(&self) -> Shown<'_> {
        Shown {
            system: self.system.as_deref(),
            written: self.written,
            time: &self.time,
            app: text::folded(&self.app),
            procid: &self.procid,
            msg: &self.msg,
        }
    }
}

impl From<&Shown<'_>> for Owned {
    fn from(shown: &Shown<'_>) -> Self {
        Self {
            system: shown.system.map(<[u8]>::to_vec),
            written: shown.written,
            time: shown.time.to_vec(),
            app: shown.app.to_vec(),
            procid: shown.procid.to_vec(),
            msg: shown.msg.to_vec(),
        }
    }
}

/// A CSV row without names above it: a time, a source behind it, and the message last; or a time, and a line.
pub(super) fn unnamed(values: &[String]) -> Option<Owned> {
    let (msg, front) = values.split_last()?;
    let at = front.iter().position(|value| leading::field(value.as_bytes()).is_some())?;
    // A value with more in it is a line's beginning, and what follows is its text.
    let is_id = |value: &String| value.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !front[..at].iter().all(is_id) {
        return None;
    }
    let time = &front[at];
    let written = leading::field(time.as_bytes())?;
    let behind: Vec<&[u8]> = front[at + 1..].iter().map(|value| value.as_bytes()).collect();
    let sources = (0..behind.len()).filter_map(|at| source_at(&behind[at..]));
    let mut sources = sources.filter(|source| source.is_logplex() && source.procid != b"-");
    let Some(source) = sources.next() else {
        return unsourced(&behind, time, msg);
    };
    if sources.next().is_some() {
        return None;
    }
    let is_system = |value: &&&[u8]| {
        let is_dyno = DynoRef::parse(value).is_some() || **value == source.procid;
        !is_dyno && !Source::whole(value).is_logplex() && !value.is_empty()
    };
    Some(Owned {
        system: behind.iter().find(is_system).and_then(|name| text::system(name)).map(<[u8]>::to_vec),
        written,
        time: time.as_bytes().to_vec(),
        app: source.app.to_vec(),
        procid: source.procid.to_vec(),
        msg: msg.as_bytes().to_vec(),
    })
}

/// A row whose message says who wrote it: a line, a source and its text, or JSON. The first such value
/// counts, and in front of it there are only names and times.
fn unsourced(behind: &[&[u8]], time: &str, msg: &str) -> Option<Owned> {
    let all = || behind.iter().copied().chain([msg.as_bytes()]);
    let (at, line) = all().enumerate().find_map(|(at, value)| Some((at, text::whole(value)?))).unzip();
    let end = at.unwrap_or(behind.len());
    // What an app's own process wrote is an app's line, whatever is in it.
    let is_in_name = |octet: &u8| octet.is_ascii_alphanumeric() || b"._-/@".contains(octet);
    let is_name = |value: &[u8]| value.iter().all(is_in_name) && !is_process(value);
    let front = &behind[..end.min(behind.len())];
    if !front.iter().all(|value| is_name(value) || leading::field(value).is_some()) {
        return None;
    }
    match line {
        Some(shown) => is_logplex(shown.app).then(|| Owned::from(&shown)),
        None if msg.starts_with('{') => {
            let mut fields = json::fields(msg.as_bytes())?;
            fields.push(("time".to_owned(), time.to_owned()));
            read(&fields)
        }
        None => {
            text::leading_source(msg.as_bytes())?;
            read(&vec![("time".to_owned(), time.to_owned()), ("line".to_owned(), msg.to_owned())])
        }
    }
}

/// The source in the first column, or in the first two.
fn source_at<'v>(columns: &[&'v [u8]]) -> Option<Source<'v>> {
    let source = Source::whole(columns.first()?);
    match columns.get(1) {
        Some(procid) if source.procid == b"-" && source.is_logplex() && !procid.is_empty() => {
            Some(Source { app: source.app, procid })
        }
        _ => Some(source),
    }
}
