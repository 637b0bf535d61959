//! The oracle for drain input: used by the property tests, by the replay of the corpus and by the fuzz
//! targets. A panic is a finding.

use dynowarden_core::codes::{self, Code, Scope};
use dynowarden_core::days::seen;
use dynowarden_core::detect;
use dynowarden_core::detect::request;
use dynowarden_core::event::Fact;
use dynowarden_core::glance::{Glance, glances};
use dynowarden_core::ingest::Shown;
use dynowarden_core::wire::line::Line;
use dynowarden_core::wire::timestamp::Times;
use dynowarden_core::wire::{self, BadFrame, frame, logfmt, timestamp};
use jiff::Timestamp;

use crate::reference;

/// The frames of a body are those of the slow reader, and together they are the body.
pub fn check_frames(body: &[u8]) {
    let mut read = reference::Batch::default();
    let mut again = Vec::new();
    for frame in frame::frames(body) {
        assert_eq!(read.end, None, "nothing comes after the error that ends a batch");
        match frame {
            Ok(frame) => {
                if again.len() < frame.offset {
                    again.push(b'\n');
                }
                again.extend_from_slice(format!("{} ", frame.octets.len()).as_bytes());
                again.extend_from_slice(frame.octets);
                read.frames.push((frame.offset, frame.octets.to_vec()));
            }
            Err(error) => read.end = Some((error.offset, BadFrame::Frame(error).label())),
        }
    }
    assert_eq!(read, reference::batch(body));
    if read.end.is_none() && again.len() < body.len() {
        again.push(b'\n');
    }
    assert!(body.starts_with(&again), "the frames are not the body");
    assert!(read.end.is_some() || again.len() == body.len(), "something of the body is missing");
}

/// A line is what the slow reader reads, is written back unchanged, and means only what its author can say.
pub fn check_line(octets: &[u8]) {
    let expect = reference::line(octets);
    let parsed = Line::parse(octets);
    // In a batch most lines are read by the fast path, with the same result.
    let framed = [octets.len().to_string().as_bytes(), b" ", octets].concat();
    match wire::lines(&framed).next() {
        Some(Ok(line)) => assert_eq!(Ok(line), parsed),
        Some(Err(BadFrame::Line { error, .. })) => assert_eq!(Err(error), parsed),
        // A count of 0 is invalid.
        Some(Err(BadFrame::Frame(_))) | None => assert!(octets.is_empty()),
    }
    // Nothing is skipped at the end of a body, where there are too few octets for a first look.
    check_glances(&[&framed[..], &framed].concat());
    let Ok(line) = parsed else {
        assert_eq!(expect, None, "a good line was refused");
        return;
    };
    let read = reference::Line {
        priority: line.priority.into(),
        fields: [line.time, line.host, line.app, line.procid, line.msgid].map(<[u8]>::to_vec),
        msg: line.msg.to_vec(),
    };
    assert_eq!(Some(&read), expect.as_ref());

    let text = octets.strip_suffix(b"\n").unwrap_or(octets);
    let with = |between: &[u8]| [&header(&line), between, line.msg].concat();
    assert!(with(b" ") == text || with(b" - ") == text || with(b"") == text, "it is not what was read");
    assert_eq!(Line::parse(&[&with(b" - ")[..], b"\n"].concat()), Ok(line), "written and read again");

    check_time(line.time);
    check_meaning(&line, &read);
}

/// A body gives the lines of its frames, each as if it came alone.
pub fn check_batch(body: &[u8]) {
    check_frames(body);
    let mut frames = frame::frames(body);
    for line in wire::lines(body) {
        match (line, frames.next()) {
            (Ok(line), Some(Ok(frame))) => assert_eq!(Line::parse(frame.octets), Ok(line)),
            (Err(BadFrame::Line { offset, error }), Some(Ok(frame))) => {
                assert_eq!((Line::parse(frame.octets), offset), (Err(error), frame.offset));
            }
            (Err(BadFrame::Frame(error)), Some(frame)) => assert_eq!(frame, Err(error)),
            (line, frame) => panic!("{line:?} came of {frame:?}"),
        }
    }
    assert_eq!(frames.next(), None, "a frame without a line");
    check_glances(body);
    for (_, octets) in reference::batch(body).frames {
        check_line(&octets);
    }
}

/// A first look skips only what the full readers find to mean nothing, and changes nothing of the rest.
pub fn check_glances(body: &[u8]) {
    let (mut lines, mut times) = (wire::lines(body), Times::default());
    for glance in glances(body) {
        let line = lines.next().expect("a frame for each glance");
        match glance {
            Glance::App => {
                let line = line.expect("a bad frame was skipped");
                assert_eq!(detect::event(&line), Ok(None), "an event was skipped");
                assert_eq!(detect::fact(&line), Ok(None), "a fact was skipped");
                assert_eq!(seen::read(&line), None, "a platform line was skipped");
            }
            Glance::Request(usual) => {
                assert_eq!(Ok(usual.line()), line);
                assert_eq!(detect::fact(&usual.line()), Ok(None), "a router error was skipped");
                let shown = Shown::Request(&usual);
                assert_eq!(shown.seen(), seen::read(&usual.line()), "a request was misread");
                assert_eq!(shown.time(&mut times), usual.line().time().ok(), "its time was misread");
            }
            Glance::Line(read) => assert_eq!(read, line),
        }
    }
    assert_eq!(lines.next(), None, "a frame was not looked at");
}

/// Text after `heroku router - ` and after `heroku web.1 - `: the same as for any line.
pub fn check_msg(msg: &[u8]) {
    for (app, procid) in
        [("heroku", "router"), ("heroku", "web.1"), ("heroku", "logplex"), ("app", "api"), ("app", "web.1")]
    {
        let head = format!("<134>1 2025-08-08T06:59:08.592108+00:00 host {app} {procid} - - ");
        check_line(&[head.as_bytes(), msg].concat());
    }
    // Every octet of the text that is not a space, a quote, a glued rest or an `=` is in one of the pairs.
    let kept: usize = logfmt::pairs(msg).map(|pair| pair.key.len() + pair.value.len()).sum();
    assert!(kept <= msg.len());
}

/// A time equals the hand-computed one, and means the same after another of its minute.
pub fn check_time(text: &[u8]) {
    let mut times = Times::default();
    let first = times.parse(text);
    assert_eq!([first, times.parse(text)], [timestamp::parse(text); 2]);
    match (timestamp::parse(text), reference::nanos(text)) {
        (Ok(time), Some(nanos)) => assert_eq!(time.as_nanosecond(), nanos),
        (Err(_), None) => {}
        // The last hours of the year 9999 are excluded, to leave room for every zone.
        (Err(timestamp::TimeError::Calendar), Some(nanos)) => assert!(nanos > Timestamp::MAX.as_nanosecond()),
        (real, slow) => panic!("{real:?} is not {slow:?}"),
    }
}

fn check_meaning(line: &Line<'_>, read: &reference::Line) {
    let said = detect::fact(line);
    let event = detect::event(line);
    match &said {
        Ok(Some(fact)) => match event {
            Ok(Some(event)) => assert_eq!((&event.fact, Ok(event.at)), (fact, line.time())),
            Ok(None) => panic!("an event was lost"),
            Err(error) => assert_eq!(Err(error), line.time().map_err(detect::DetectError::Time)),
        },
        other => assert_eq!(event.map(|event| event.map(|event| event.fact)), other.clone()),
    }

    let memory = match &said {
        Ok(Some(Fact::Memory { dyno, used, permille })) => {
            Some((dyno, used.hundredths, u64::from(*permille)))
        }
        Ok(Some(Fact::Sample { dyno, total, quota, .. })) => Some((dyno, total.hundredths, quota.hundredths)),
        _ => None,
    };
    let memory =
        memory.map(|(dyno, one, other)| (format!("{}.{}", dyno.process_type, dyno.index), one, other));
    assert_eq!(memory, reference::memory(read), "what is said of memory");

    let told = request::request(line).map(|request| reference::Request {
        dyno: format!("{}.{}", request.dyno.process_type, request.dyno.index),
        status: request.status,
        service_ms: request.service_ms,
        code: request.code.map(|code| code.to_string()),
        method: request.method.map(<[u8]>::to_vec),
        path: request.path.map(<[u8]>::to_vec),
    });
    assert_eq!(told, reference::request(read), "what is said of a request");

    let slow = reference::manager_error(read).or_else(|| reference::router_error(read));
    match said {
        Ok(Some(Fact::Error { code, dyno })) => {
            let entry = codes::entry(code).expect("every code is in the table");
            if entry.scope == Scope::Drain || code.family() == codes::Family::L {
                assert!(dyno.is_none() && slow.is_none());
            } else {
                let dyno = dyno.map(|dyno| format!("{}.{}", dyno.process_type, dyno.index));
                assert_eq!(slow, Some((code.to_string(), dyno)));
                assert_eq!(line.app, b"heroku", "only the platform can blame a dyno");
            }
            assert_ne!(code, Code::L10, "a loss has its own fact");
        }
        Ok(Some(fact)) => {
            assert_eq!(slow, None, "{fact:?} hides an error");
            assert!(fact.dyno().is_none() || line.app == b"heroku", "only the platform speaks of dynos");
        }
        Ok(None) | Err(_) => assert_eq!(slow, None, "an error was missed"),
    }
}

fn header(line: &Line<'_>) -> Vec<u8> {
    let head = format!("<{}>1", line.priority);
    [head.as_bytes(), line.time, line.host, line.app, line.procid, line.msgid].join(&b' ')
}
