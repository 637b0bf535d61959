//! Router lines as requests: the dyno that answered, the status and the service time.
//!
//! Kept apart from the facts: a fact is rare and may move a dyno; a request only counts and is on nearly
//! every line. So it is read only where statistics are wanted, costs no allocation, and a line with anything
//! odd is not counted.

use std::fmt;

use crate::codes::{Code, Family};
use crate::detect::router_line::{self, RouterLine};
use crate::ident::DynoRef;
use crate::wire::line::Line;
use crate::wire::logfmt;

/// One request, as the router reports it (heroku.md §2.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Request<'b> {
    pub dyno: DynoRef<'b>,
    /// `status=`, if present.
    pub status: Option<u16>,
    /// `service=` in milliseconds, if present.
    pub service_ms: Option<u32>,
    /// `code=`, if the router reports an error.
    pub code: Option<Code>,
    /// `method=`, if the line has it once.
    pub method: Option<&'b [u8]>,
    /// `path=` with its query, inside the quotes and with its escapes, if the line has it once. It is the
    /// user's own data, which nothing may keep or show.
    pub path: Option<&'b [u8]>,
}

// A path never reaches a log.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dyno, method: _, path: _, status, service_ms, code } = self;
        f.debug_struct("Request")
            .field("dyno", dyno)
            .field("status", status)
            .field("service_ms", service_ms)
            .field("code", code)
            .finish_non_exhaustive()
    }
}

/// Parses the request in `line` if it is a router line about a dyno.
///
/// A key that matters must appear once, as in the facts: the rest is untrusted text.
pub fn request<'b>(line: &Line<'b>) -> Option<Request<'b>> {
    match (line.app, line.procid) {
        (b"heroku", b"router") => of_router(line.msg),
        _ => None,
    }
}

/// Parses the request in the text of a router line.
pub(crate) fn of_router(msg: &[u8]) -> Option<Request<'_>> {
    let Some(line) = router_line::in_order(msg) else { return in_any_order(msg.trim_ascii()) };
    let RouterLine { code, dyno, service, status, method, path, .. } = line;
    Some(Request {
        dyno: DynoRef::parse(dyno)?,
        method: Some(method),
        path: Some(path),
        status: self::status(status),
        service_ms: service_ms(service),
        code: code.and_then(router_code),
    })
}

#[cold]
fn in_any_order(msg: &[u8]) -> Option<Request<'_>> {
    let keys = ["code", "dyno", "service", "status"];
    let [code, dyno, service, status] = logfmt::values(msg, keys).ok()?;
    // A client may repeat these two: then they say nothing, and the rest counts all the same.
    let once = |key| logfmt::values(msg, [key]).ok().and_then(|[value]| value);
    Some(Request {
        dyno: DynoRef::parse(dyno?)?,
        method: once("method"),
        path: once("path"),
        status: status.and_then(self::status),
        service_ms: service.and_then(service_ms),
        code: code.and_then(router_code),
    })
}

#[inline(always)]
fn status(text: &[u8]) -> Option<u16> {
    if let [hundreds, tens, ones] = text {
        let [hundreds, tens, ones] = [hundreds, tens, ones].map(|octet| u16::from(octet.wrapping_sub(b'0')));
        let are_digits = hundreds <= 9 && tens <= 9 && ones <= 9;
        return are_digits.then_some(hundreds * 100 + tens * 10 + ones);
    }
    u16::try_from(number(text)?).ok()
}

#[inline(always)]
fn service_ms(text: &[u8]) -> Option<u32> {
    number(text.strip_suffix(b"ms")?)
}

/// `H12`. The parser of `Code` compares texts, which is too slow here.
fn router_code(text: &[u8]) -> Option<Code> {
    let number = u16::try_from(number(text.strip_prefix(b"H")?)?).ok()?;
    Code::find(Family::H, number)
}

/// Digits, at most nine: nine nines are below 2^30.
#[inline(always)]
fn number(text: &[u8]) -> Option<u32> {
    if !(1..=9).contains(&text.len()) {
        return None;
    }
    let mut sum = 0;
    for octet in text {
        let digit = octet.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum = sum * 10 + u32::from(digit);
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::{Request, request};
    use crate::ident::DynoRef;
    use crate::wire::line::Line;

    type Read = (&'static str, Option<u16>, Option<u32>, Option<&'static str>);

    #[track_caller]
    fn check(source: (&str, &str), msg: &str, expect: Option<Read>) {
        let at = b"2025-08-08T06:59:08.592108+00:00";
        let line = Line::shown(at, source.0.as_bytes(), source.1.as_bytes(), msg.as_bytes());
        let expect = expect.map(|(dyno, status, service_ms, code)| Request {
            dyno: DynoRef::parse(dyno.as_bytes()).expect(dyno),
            status,
            service_ms,
            code: code.map(|code| code.parse().expect(code)),
            method: None,
            path: None,
        });
        let read = request(&line).map(|request| Request { method: None, path: None, ..request });
        assert_eq!(read, expect, "{msg}");
    }

    const ROUTER: (&str, &str) = ("heroku", "router");

    #[test]
    fn a_request_has_a_dyno_a_status_and_a_time() {
        check(
            ROUTER,
            "at=info method=GET path=\"/\" host=a.herokuapp.com request_id=59da6323 fwd=\"181.167.87.140\" \
             dyno=web.1 connect=0ms service=3ms status=200 bytes=6979 protocol=https\n",
            Some(("web.1", Some(200), Some(3), None)),
        );
        check(
            ROUTER,
            "sock=backend at=error code=H12 desc=\"Request timeout\" method=GET path=\"/\" dyno=web.20 \
             connect=1ms service=30000ms status=503 bytes=0 protocol=http1.1 tls=true tls_version=tls1.3",
            Some(("web.20", Some(503), Some(30_000), Some("H12"))),
        );
        for (dyno, connect, bytes) in [
            ("web.1000", "0ms", "6979"),
            ("web.1", "123456789ms", "6979"),
            ("web.1", "0ms", "123456789"),
            ("web.1", "ä", "6979"),
            ("web.1", "\"0ms\"", "6979"),
        ] {
            let msg = format!(
                "at=info method=PROPFIND path=\"/\" host=a.herokuapp.com request_id=59da6323 fwd=\"181.167.87.140\" \
                 dyno={dyno} connect={connect} service=1234567ms status=200 bytes={bytes} protocol=http1.1 tls=true"
            );
            for msg in [msg.replace("PROPFIND", "GET"), msg] {
                check(ROUTER, &msg, Some((dyno, Some(200), Some(1_234_567), None)));
            }
        }
        check(
            ROUTER,
            "at=error code=H18 dyno=web.1 service= status=",
            Some(("web.1", None, None, Some("H18"))),
        );
    }

    #[test]
    fn a_method_and_a_path_are_read_if_they_are_there_once() {
        let read = |msg: &str| {
            let line = Line::shown(b"", b"heroku", b"router", msg.as_bytes());
            let text = |text: Option<&[u8]>| text.map(|text| String::from_utf8_lossy(text).into_owned());
            let read = request(&line).expect("a request");
            assert!(!format!("{read:?}").contains("/a"), "{read:?}");
            (text(read.method), text(read.path))
        };
        let some = |text: &str| Some(text.to_owned());
        let rest = "host=a.herokuapp.com request_id=59da6323-2bc4-4143-8677-cc66ccfb115f fwd=\"181.167.87.140\" \
                    dyno=web.1 connect=0ms service=3ms status=200 bytes=6979";
        let usual = format!("at=info method=GET path=\"/a?b=c d\" {rest} protocol=https");
        assert_eq!(read(&usual), (some("GET"), some("/a?b=c d")));
        for path in ["/a\\\"", "/a\\\\", "/a\\n", "/a\\\" dyno=web.2 ", "/aä"] {
            let msg = format!("at=info method=GET path=\"{path}\" {rest} protocol=http1.1 tls=true");
            assert_eq!(read(&msg), (some("GET"), some(path)));
        }
        assert_eq!(read("at=info path=/a dyno=web.1 method=PUT"), (some("PUT"), some("/a")));
        assert_eq!(read("\tat=info path=/a dyno=web.1 method=PUT "), (some("PUT"), some("/a")));
        assert_eq!(read("at=info path=/a dyno=web.1 path=/b method="), (some(""), None));
    }

    #[test]
    fn odd_lines_and_those_of_other_sources_do_not_count() {
        let line = "at=info dyno=web.1 service=3ms status=200";
        check(("app", "router"), line, None);
        check(("heroku", "web.1"), line, None);
        check(ROUTER, "at=error code=H14 dyno= connect= service= status=503", None);
        // A path that a client repeats says nothing, and the rest counts all the same.
        let repeated = "at=info path=\"/\" path=\"/x\" dyno=web.1 service=3ms status=200";
        check(ROUTER, repeated, Some(("web.1", Some(200), Some(3), None)));
        check(ROUTER, "at=info path=\"/\" dyno=web.9 dyno=web.1 service=3ms status=200", None);
        check(ROUTER, "at=info path=\"/\" dyno=web.1 service=3ms status=200 status=500", None);
        check(
            ROUTER,
            "at=info path=\"/?a=\\\" dyno=web.9\" dyno=web.1 status=200",
            Some(("web.1", Some(200), None, None)),
        );
        check(ROUTER, "dyno=web.1 service=99999999999ms status=70000", Some(("web.1", None, None, None)));
        check(ROUTER, "", None);
    }
}
