//! The line in one row of an export: named fields, from JSON or CSV.
//!
//! A row has a time, an author and a message, under whichever names the log service gives them. The author is
//! a program (`heroku/web.1`) or two fields (`heroku` and `web.1`). Where no field names one, the message may
//! be a whole line, or begin with its source.
//!
//! A row in which any field says that an app wrote it is an app's line: log services also show the fields of
//! JSON that an app printed, so the platform's name alone proves nothing.

use crate::ident::DynoRef;
use crate::replay::archive::text::{self, Shown, Source};
use crate::replay::archive::time::{self, Written};

/// A row's fields in their order.
pub(super) type Fields = Vec<(String, String)>;

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
    let msg = find(fields, MESSAGES)?.trim_end_matches(['\r', '\n']);
    let time = find(fields, TIMES);
    let written = time.and_then(|time| time::field(time.as_bytes()));
    let system = find(fields, SYSTEMS).filter(|name| !name.is_empty());
    let owned = |written, source: Source<'_>, msg: &[u8]| Owned {
        system: system.and_then(|name| text::system(name.as_bytes())).map(<[u8]>::to_vec),
        written,
        time: time.unwrap_or_default().as_bytes().to_vec(),
        app: source.app.to_vec(),
        procid: source.procid.to_vec(),
        msg: msg.to_vec(),
    };
    match author(fields) {
        Author::Named(source) => Some(owned(written?, source, msg.as_bytes())),
        Author::Foreign(program) => {
            let source = Source { app: program.as_bytes(), procid: b"-" };
            Some(owned(written?, source, msg.as_bytes()))
        }
        Author::None => {
            if let Some(shown) = text::read(msg.as_bytes()) {
                return Some(Owned::from(&shown));
            }
            let (source, rest) = text::leading_source(msg.as_bytes())?;
            Some(owned(written?, source, rest))
        }
    }
}

/// Whether these are the names of an export's columns.
pub(super) fn are_names(names: &[String]) -> bool {
    let has = |known: &[&str]| names.iter().any(|name| known.contains(&&*normal(name)));
    has(TIMES) && has(MESSAGES)
}

enum Author<'f> {
    Named(Source<'f>),
    /// Another sender's program.
    Foreign(&'f str),
    None,
}

fn author(fields: &Fields) -> Author<'_> {
    let values = |known: &'static [&str]| {
        fields.iter().filter(|(name, _)| known.contains(&&*normal(name))).map(|(_, value)| value.trim())
    };
    let procid = values(PROCIDS).find(|procid| !procid.is_empty());
    let mut found = None;
    let mut foreign = None;
    for program in values(PROGRAMS).filter(|program| !program.is_empty()) {
        let mut source = Source::whole(program.as_bytes());
        if !source.is_logplex() {
            foreign = foreign.or(Some(program));
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
        (Some(source), _) => Author::Named(source),
        (None, Some(program)) => Author::Foreign(program),
        (None, None) => Author::None,
    }
}

/// The first field of these names, in the order of the names.
fn find<'f>(fields: &'f Fields, names: &[&str]) -> Option<&'f str> {
    // The fields of JSON that an app printed are deeper than the row's own.
    let depth = |name: &str| name.matches('.').count();
    names.iter().find_map(|known| {
        let found = fields.iter().filter(|(name, value)| normal(name) == *known && !value.is_empty());
        found.min_by_key(|(name, _)| depth(name)).map(|(_, value)| &**value)
    })
}

/// A field's name without the section that it is in, in one spelling.
fn normal(name: &str) -> String {
    let last = name.rsplit(['.', '/']).next().unwrap_or(name);
    let bare = last.trim().trim_start_matches(['_', '@', '\u{feff}']);
    bare.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

const TIMES: &[&str] = &[
    "generated_at",
    "dt",
    "timestamp",
    "time",
    "ts",
    "datetime",
    "date",
    "event_time",
    "log_time",
    "syslog_timestamp",
    "received_at",
    "created_at",
    "realtime_timestamp",
];

const MESSAGES: &[&str] =
    &["message", "msg", "line", "log", "text", "raw", "body", "content", "message_text"];

const PROGRAMS: &[&str] = &[
    "program",
    "programname",
    "program_name",
    "syslog_program",
    "appname",
    "app_name",
    "syslog_appname",
    "app",
    "application",
    "source",
    "tag",
    "ident",
    "service",
];

const PROCIDS: &[&str] =
    &["procid", "proc_id", "syslog_procid", "process", "process_id", "ps", "dyno", "pid"];

const SYSTEMS: &[&str] = &["source_name", "system", "hostname", "host", "syslog_hostname"];

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

/// A CSV row without names above it: a time, a source behind it, and the message last.
pub(super) fn unnamed(values: &[String]) -> Option<Owned> {
    let (msg, front) = values.split_last()?;
    let at = front.iter().position(|value| time::field(value.as_bytes()).is_some())?;
    let written = time::field(front[at].as_bytes())?;
    let sources = front[at + 1..].iter().map(|value| Source::whole(value.as_bytes()));
    let mut sources = sources.filter(|source| source.is_logplex() && source.procid != b"-");
    let source = sources.next().filter(|_| sources.next().is_none())?;
    let system = front[at + 1..].iter().find(|value| DynoRef::parse(value.as_bytes()).is_none());
    let system = system.filter(|value| !Source::whole(value.as_bytes()).is_logplex() && !value.is_empty());
    Some(Owned {
        system: system.and_then(|name| text::system(name.as_bytes())).map(<[u8]>::to_vec),
        written,
        time: front[at].as_bytes().to_vec(),
        app: source.app.to_vec(),
        procid: source.procid.to_vec(),
        msg: msg.as_bytes().to_vec(),
    })
}
