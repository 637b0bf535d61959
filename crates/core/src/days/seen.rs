//! A line, as far as the statistics over days use it.

use crate::codes::Code;
use crate::detect;
use crate::detect::request::{self, Request};
use crate::detect::sign::{self, Sign};
use crate::event::{Fact, Megabytes};
use crate::ident::{DynoRef, InstanceId};
use crate::wire::line::Line;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'b> {
    /// An error of this dyno, by the dyno manager.
    Error(Code),
    /// A platform line without a meaning here: it shows that lines arrive.
    Heard,
    /// Memory next to an R14: the share is of a quota that the line does not name.
    Memory {
        used: Megabytes,
        /// Tenths of a per cent.
        permille: u32,
    },
    /// A release of the app, with its number if the line has one.
    Release(Option<u64>),
    Request(Request<'b>),
    Sample {
        instance: InstanceId,
        total: Megabytes,
        quota: Megabytes,
    },
    Sign(Sign),
}

/// Reads a line. None for a line that is not the platform's, however it reads. The dyno is missing for what
/// concerns the app as a whole.
pub fn read<'b>(line: &Line<'b>) -> Option<(Option<DynoRef<'b>>, Seen<'b>)> {
    // The fact in a router line is in its request too.
    let is_router = line.procid == b"router";
    let fact = if is_router { None } else { detect::fact(line).ok().flatten() };
    read_with(line, fact.as_ref())
}

/// Does the same as [`read`] for a line whose fact is known.
#[inline]
pub fn read_with<'b>(
    line: &Line<'b>,
    fact: Option<&Fact<DynoRef<'b>>>,
) -> Option<(Option<DynoRef<'b>>, Seen<'b>)> {
    match (line.app, line.procid) {
        (b"heroku", b"router") => Some(of_router(line.msg)),
        (b"heroku" | b"app", b"api") => match fact {
            Some(Fact::Release { version }) => Some((None, Seen::Release(*version))),
            _ => Some((None, Seen::Heard)),
        },
        (b"heroku", procid) => Some(match DynoRef::parse(procid) {
            Some(dyno) if !is_one_off(dyno) => (Some(dyno), of_dyno(line, fact)),
            _ => (None, Seen::Heard),
        }),
        _ => None,
    }
}

/// Reads the text of a router line.
#[inline]
pub(crate) fn of_router(msg: &[u8]) -> (Option<DynoRef<'_>>, Seen<'_>) {
    match request::of_router(msg) {
        Some(request) => (Some(request.dyno), Seen::Request(request)),
        None => (None, Seen::Heard),
    }
}

fn of_dyno<'b>(line: &Line<'b>, fact: Option<&Fact<DynoRef<'b>>>) -> Seen<'b> {
    match fact {
        Some(Fact::Error { code, .. }) => Seen::Error(*code),
        Some(Fact::Memory { used, permille, .. }) => Seen::Memory { used: *used, permille: *permille },
        Some(Fact::Sample { instance, total, quota, .. }) => {
            Seen::Sample { instance: *instance, total: *total, quota: *quota }
        }
        // A line with any of these is no sign.
        _ => sign::sign(line.msg).map_or(Seen::Heard, Seen::Sign),
    }
}

/// Whether the dyno runs one command and ends: `heroku run`, Heroku Scheduler, the release phase.
fn is_one_off(dyno: DynoRef<'_>) -> bool {
    matches!(dyno.process_type, "release" | "run" | "scheduler")
}

#[cfg(test)]
mod tests {
    use super::{Seen, read};
    use crate::codes::Code;
    use crate::detect::sign::Sign;
    use crate::wire::line::Line;

    #[track_caller]
    fn check(source: (&str, &str), msg: &str, expect: Option<(Option<&str>, Seen<'_>)>) {
        let at = b"2025-08-08T06:59:08.592108+00:00";
        let line = Line::shown(at, source.0.as_bytes(), source.1.as_bytes(), msg.as_bytes());
        let shown = |dyno: crate::ident::DynoRef<'_>| format!("{}.{}", dyno.process_type, dyno.index);
        let seen = read(&line).map(|(dyno, seen)| (dyno.map(shown), seen));
        assert_eq!(seen, expect.map(|(dyno, seen)| (dyno.map(str::to_owned), seen)), "{msg}");
    }

    #[test]
    fn only_platform_lines_count() {
        let r14 = "Error R14 (Memory quota exceeded)";
        check(("heroku", "web.1"), r14, Some((Some("web.1"), Seen::Error(Code::R14))));
        check(("app", "web.1"), r14, None);
        check(("heroku", "run.7"), r14, Some((None, Seen::Heard)));
        check(("heroku", "web.2"), "Cycling", Some((Some("web.2"), Seen::Sign(Sign::Cycling))));
        check(("heroku", "web.2"), "source=web.2 sample#load_avg_1m=0", Some((Some("web.2"), Seen::Heard)));
        let release = "Release v12 created by user a@example.com";
        check(("app", "api"), release, Some((None, Seen::Release(Some(12)))));
        check(("app", "api.1"), release, None);
        check(("heroku", "router"), "at=error code=H10 dyno= status=503", Some((None, Seen::Heard)));
    }
}
