//! The meaning of a line: the only module that knows the platform's wording.
//!
//! The author of a line decides what it can mean. Logplex writes APP itself, by the token that the line came
//! with:
//!
//! | APP | PROCID | can say |
//! | --- | --- | --- |
//! | `heroku` | a dyno | R codes, memory, life cycle |
//! | `heroku` | `router` | H codes |
//! | `heroku` | `logplex` | L codes, losses |
//! | `heroku`, `app` | `api` | releases, scaling |
//! | `app` | `log-shuttle` | L12 and L13 |
//!
//! Everything else means nothing, whatever its text. A dyno's output has APP `app` and PROCID
//! `<type>.<number>`, so it matches no row of this table. The two rows with APP `app` name no dyno, so
//! nothing in them can lead to a restart. PRI and HOST are ignored: both have changed over the years.
//!
//! A line that looks like one of these and cannot be read is a counted error: either its text is not the
//! platform's, or the platform has changed its wording, which is worth a warning.

mod api;
pub mod life;
mod metrics;
pub mod request;
mod router_line;
pub mod scale;
pub mod sign;

use jiff::Timestamp;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_till1, take_while_m_n};
use nom::character::complete::char;
use nom::combinator::{all_consuming, eof, map_opt, opt, rest, value};
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

use crate::codes::{Code, Family};
use crate::detect::router_line::RouterLine;
use crate::event::{BorrowedEvent, Event, Fact, Megabytes};
use crate::ident::{DrainToken, DynoRef};
use crate::wire::line::Line;
use crate::wire::logfmt;
use crate::wire::timestamp::{self, TimeError, Times};

/// A platform line that could not be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetectError {
    /// A code outside its author's family.
    #[error("unexpected code {family}{number} from this source")]
    Code { family: Family, number: u16 },
    /// A metrics line whose `source=` is not the dyno that wrote it.
    #[error("its source= names a different dyno")]
    Disagree,
    #[error("it has no {0}=")]
    Missing(&'static str),
    /// A key that appears twice, so that one of the two has another author.
    #[error("it has {0}= twice")]
    Repeated(&'static str),
    #[error("its time cannot be read")]
    Time(#[from] TimeError),
    /// A part that is not in the platform's format.
    #[error("its {0} has an unknown format")]
    Unreadable(&'static str),
}

/// Reads the event in `line`, if there is one.
///
/// # Errors
/// The line should have a meaning and cannot be understood.
#[inline]
pub fn event<'b>(line: &Line<'b>) -> Result<Option<BorrowedEvent<'b>>, DetectError> {
    if is_silent(line) { Ok(None) } else { parse_event(line, timestamp::parse) }
}

/// Does the same for a line of a batch with these times.
///
/// # Errors
/// The line should have a meaning and cannot be understood.
#[inline]
pub fn event_of_batch<'b>(
    line: &Line<'b>,
    times: &mut Times,
) -> Result<Option<BorrowedEvent<'b>>, DetectError> {
    if is_silent(line) { Ok(None) } else { parse_event(line, |text| times.parse(text)) }
}

/// Reads the fact in `line`, if there is one; for archives, which have their own time formats.
///
/// # Errors
/// The line should have a meaning and cannot be understood.
pub fn fact<'b>(line: &Line<'b>) -> Result<Option<Fact<DynoRef<'b>>>, DetectError> {
    match (line.app, line.procid) {
        (b"heroku", procid) => platform(line, procid),
        (b"app", b"api") => Ok(api::event(line.msg.trim_ascii())),
        (b"app", b"log-shuttle") => log_shuttle(line.msg.trim_ascii()),
        _ => Ok(None),
    }
}

/// Whether the line obviously means nothing: an app's own line, whose text is not even looked at, the
/// router's line about an answered request, or a dyno's line about its load. The first two are nine lines in
/// ten, and [`glances`](crate::glance::glances) has skipped nearly all of them before this.
#[inline]
fn is_silent(line: &Line<'_>) -> bool {
    match (line.app, line.procid) {
        (b"app", procid) => procid != b"api" && procid != b"log-shuttle",
        (b"heroku", b"router") => line.msg.starts_with(b"at=info method="),
        (b"heroku", _) => metrics::is_load(line.msg),
        _ => false,
    }
}

fn parse_event<'b>(
    line: &Line<'b>,
    parse: impl FnOnce(&[u8]) -> Result<Timestamp, TimeError>,
) -> Result<Option<BorrowedEvent<'b>>, DetectError> {
    // The time comes last: few lines mean anything, and only those need one.
    let Some(fact) = fact(line)? else { return Ok(None) };
    Ok(Some(Event { at: parse(line.time)?, fact }))
}

impl DetectError {
    /// A short, stable word for it, fit for a metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Code { .. } => "code",
            Self::Disagree => "disagree",
            Self::Missing(_) => "missing",
            Self::Repeated(_) => "repeated",
            Self::Time(_) => "time",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

fn platform<'b>(line: &Line<'b>, procid: &'b [u8]) -> Result<Option<Fact<DynoRef<'b>>>, DetectError> {
    // Archives pad the text with spaces on either side.
    let msg = line.msg.trim_ascii();
    match procid {
        b"router" => router(msg),
        b"logplex" => logplex(line.host, msg),
        b"api" => Ok(api::event(msg)),
        procid => match DynoRef::parse(procid) {
            Some(dyno) => dyno_manager(dyno, procid, msg),
            None => Ok(None),
        },
    }
}

// === The dyno manager ===

fn dyno_manager<'b>(
    dyno: DynoRef<'b>,
    procid: &[u8],
    msg: &[u8],
) -> Result<Option<Fact<DynoRef<'b>>>, DetectError> {
    // Its sentences begin with a capital letter and its metrics with a key.
    if !msg.first().is_some_and(u8::is_ascii_uppercase) {
        return metrics::sample(dyno, procid, msg);
    }
    if let Some(text) = msg.strip_prefix(b"Error ") {
        let Ok((tail, code)) = code(text) else { return Ok(None) };
        named(tail).map_err(|_| DetectError::Unreadable("error"))?;
        return Ok(Some(Fact::Error { code: known(code, Family::R)?, dyno: Some(dyno) }));
    }
    if let Some(text) = msg.strip_prefix(b"Process running mem=") {
        let (_, (used, permille)) =
            all_consuming(memory).parse(text).map_err(|_| DetectError::Unreadable("memory"))?;
        return Ok(Some(Fact::Memory { dyno, used, permille }));
    }
    let change = life::change(msg).map_err(|_| DetectError::Unreadable("state"))?;
    Ok(change.map(|change| Fact::Life { dyno, change }))
}

/// `646M(126.2%)`, in 2011 `1028MB(103.3%)`.
fn memory(input: &[u8]) -> IResult<&[u8], (Megabytes, u32), ()> {
    let used = decimal::<2>.map(|hundredths| Megabytes { hundredths });
    let permille = map_opt(decimal::<1>, |permille| u32::try_from(permille).ok());
    (terminated(used, (char('M'), opt(char('B')))), delimited(char('('), permille, tag("%)"))).parse(input)
}

// === The router ===

/// A router line, of either generation: `at=error code=H12 desc="…" … dyno=web.1 …`.
///
/// Everything that the router writes comes before what a client can write (path, host, addresses), except
/// `dyno=`, which comes after. So a key that matters must appear once. If the router ever left a client's
/// quote unescaped, the line would be skipped, not misread.
fn router(msg: &[u8]) -> Result<Option<Fact<DynoRef<'_>>>, DetectError> {
    if let Some(line) = router_line::in_order(msg) {
        let RouterLine { at, code, dyno, .. } = line;
        return match code {
            Some(code) if matches!(at, b"error" | b"warning" | b"info") => router_error(code, Some(dyno)),
            _ => Ok(None),
        };
    }
    let mut pairs = logfmt::pairs(msg).peekable();
    let first = match pairs.next() {
        Some(pair) if pair.key == b"sock" => pairs.next(),
        pair => pair,
    };
    match first {
        Some(pair) if pair.key == b"at" && matches!(pair.value, b"error" | b"warning") => {}
        // Maintenance mode and the blank app (H80, H81) have a code but are not router errors.
        Some(pair)
            if pair.key == b"at"
                && pair.value == b"info"
                && pairs.peek().is_some_and(|next| next.key == b"code") => {}
        _ => return Ok(None),
    }
    let (mut code, mut dyno) = (None, None);
    for pair in pairs {
        match pair.key {
            b"at" => return Err(DetectError::Repeated("at")),
            b"code" => once(&mut code, pair.value, "code")?,
            b"dyno" => once(&mut dyno, pair.value, "dyno")?,
            _ => {}
        }
    }
    match code {
        Some(code) => router_error(code, dyno),
        None => Ok(None),
    }
}

fn router_error<'b>(code: &[u8], dyno: Option<&'b [u8]>) -> Result<Option<Fact<DynoRef<'b>>>, DetectError> {
    let (_, code) = all_consuming(self::code).parse(code).map_err(|_| DetectError::Unreadable("code="))?;
    // `dyno=` is empty if the router had chosen no dyno.
    Ok(Some(Fact::Error { code: known(code, Family::H)?, dyno: dyno.and_then(DynoRef::parse) }))
}

// === Logplex and log-shuttle ===

/// `Error L10 (output buffer overflow): …`, `Error L14 (certificate validation): …`, and
/// `L11 (Tail buffer overflow) -> …`, which has no `Error` in front.
fn logplex<'b>(host: &[u8], msg: &[u8]) -> Result<Option<Fact<DynoRef<'b>>>, DetectError> {
    let Ok((tail, code)) = preceded(opt(tag("Error ")), code).parse(msg) else { return Ok(None) };
    let code = known(code, Family::L)?;
    if code != Code::L10 {
        return Ok(Some(Fact::Error { code, dyno: None }));
    }
    let (_, lost) = lost(tail).map_err(|_| DetectError::Unreadable("loss"))?;
    let drain = match lost.drain {
        Some(text) => Some(drain_token(text).ok_or(DetectError::Unreadable("drain"))?),
        // On syslog drains HOST is the token of the receiving drain.
        None => drain_token(host),
    };
    Ok(Some(Fact::Loss { drain, messages: lost.messages }))
}

/// The content of an L10 line.
struct Lost<'b> {
    drain: Option<&'b [u8]>,
    messages: u64,
}

/// The text after `Error L10`, in the wording of the Erlang logplex and of the present one:
/// ` (output buffer overflow): 7 messages dropped since …` and
/// ` (output buffer overflow): drain 'd.…' dropped 7 messages since …`.
fn lost(input: &[u8]) -> IResult<&[u8], Lost<'_>, ()> {
    let named = delimited(tag("drain '"), take_till1(|octet| octet == b'\''), tag("' dropped "));
    let (input, _) = (opt(preceded(tag(" "), name)), tag(": ")).parse(input)?;
    let (input, drain) = opt(named).parse(input)?;
    let (input, messages) = terminated(number, tag(" message")).parse(input)?;
    Ok((input, Lost { drain, messages }))
}

fn drain_token(text: &[u8]) -> Option<DrainToken> {
    str::from_utf8(text).ok()?.parse().ok()
}

/// `Error L12: 222 messages dropped since …` and `Error L13: 111 messages lost since …`.
fn log_shuttle<'b>(msg: &[u8]) -> Result<Option<Fact<DynoRef<'b>>>, DetectError> {
    match delimited(tag("Error "), code, char(':')).parse(msg) {
        Ok((_, (family, number))) => match Code::find(family, number) {
            Some(code @ (Code::L12 | Code::L13)) => Ok(Some(Fact::Error { code, dyno: None })),
            _ => Err(DetectError::Code { family, number }),
        },
        Err(_) => Ok(None),
    }
}

// === Parts ===

/// Keeps the value of a key that may appear once in a line.
fn once<'b>(slot: &mut Option<&'b [u8]>, value: &'b [u8], key: &'static str) -> Result<(), DetectError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(DetectError::Repeated(key)),
    }
}

/// The code in the table, if it belongs to its author's family.
fn known((family, number): (Family, u16), writer: Family) -> Result<Code, DetectError> {
    Code::find(family, number)
        .filter(|code| code.family() == writer)
        .ok_or(DetectError::Code { family, number })
}

/// A letter and two or three digits, the first not 0: `R14`, `R151`.
fn code(input: &[u8]) -> IResult<&[u8], (Family, u16), ()> {
    let family = map_opt(nom::number::complete::u8, Family::from_letter);
    let number = take_while_m_n(2, 3, |octet: u8| octet.is_ascii_digit()).map_opt(|digits: &[u8]| {
        (digits[0] != b'0').then(|| digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
    });
    (family, number).parse(input)
}

/// The rest of `Error R10 (Boot timeout) -> Web process failed …`, from the space after the code.
fn named(input: &[u8]) -> IResult<&[u8], (), ()> {
    value((), (char(' '), name, alt((eof, preceded(tag(" -> "), rest))))).parse(input)
}

/// `(Boot timeout)`.
fn name(input: &[u8]) -> IResult<&[u8], &[u8], ()> {
    delimited(char('('), take_till1(|octet| octet == b')'), char(')')).parse(input)
}

/// Digits, at most 18: eighteen nines are below 2^63.
fn number(input: &[u8]) -> IResult<&[u8], u64, ()> {
    take_while_m_n(1, 18, |octet: u8| octet.is_ascii_digit())
        .map(|digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
        .parse(input)
}

/// A decimal number in units of 10^-`PLACES`; further digits are cut off.
///
/// Nine digits before the point are 10^9 MB, far above any dyno, and times 100 far below 2^64.
fn decimal<const PLACES: usize>(input: &[u8]) -> IResult<&[u8], u64, ()> {
    let digits = |max| take_while_m_n(1, max, |octet: u8| octet.is_ascii_digit());
    let (input, whole) = digits(9).parse(input)?;
    let (input, fraction) = opt(preceded(char('.'), digits(9))).parse(input)?;
    let fraction = fraction.unwrap_or_default().iter().copied().chain(std::iter::repeat(b'0')).take(PLACES);
    let scaled =
        whole.iter().copied().chain(fraction).fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Ok((input, scaled))
}

#[cfg(test)]
mod tests {
    use super::{DetectError, event, fact};
    use crate::codes::{Code, Family};
    use crate::event::{Change, DynoState, Fact, Megabytes};
    use crate::ident::{DynoRef, InstanceId};
    use crate::wire::line::Line;
    use crate::wire::timestamp::TimeError;

    const AT: &[u8] = b"2025-08-08T06:59:08.592108+00:00";
    const UUID: &str = "cd817c77-4f8e-4e68-b42a-3dea4e04d99c";

    type Said<'b> = Result<Option<Fact<DynoRef<'b>>>, DetectError>;

    #[track_caller]
    fn check(source: &str, msg: &str, expect: Said<'_>) {
        let (app, procid) =
            source.strip_suffix(']').and_then(|text| text.split_once('[')).expect("app[procid]");
        let line = Line::shown(AT, app.as_bytes(), procid.as_bytes(), msg.as_bytes());
        assert_eq!(fact(&line), expect, "{source}: {msg}");
    }

    fn web(index: u32) -> DynoRef<'static> {
        DynoRef { process_type: "web", index }
    }

    fn error<'b>(code: &str, dyno: impl Into<Option<DynoRef<'b>>>) -> Said<'b> {
        Ok(Some(Fact::Error { code: code.parse().expect(code), dyno: dyno.into() }))
    }

    fn life(change: Change) -> Said<'static> {
        Ok(Some(Fact::Life { dyno: web(1), change }))
    }

    fn lost(drain: Option<&str>, messages: u64) -> Said<'static> {
        Ok(Some(Fact::Loss { drain: drain.map(|token| token.parse().expect(token)), messages }))
    }

    #[test]
    fn the_dyno_manager_names_r_codes() {
        check("heroku[web.1]", "Error R14 (Memory quota exceeded)", error("R14", web(1)));
        check("heroku[web.20]", "Error R14 (Memory quota exceeded) ", error("R14", web(20)));
        check("heroku[web.1]", "Error R15 (Memory quota vastly exceeded)", error("R15", web(1)));
        let boot =
            "Error R10 (Boot timeout) -> Web process failed to bind to $PORT within 60 seconds of launch";
        check("heroku[web.1]", boot, error("R10", web(1)));
        let run = DynoRef { process_type: "run", index: 9633 };
        check(
            "heroku[run.9633]",
            "Error R13 (Attach error) -> Failed to attach to process",
            error("R13", run),
        );
    }

    #[test]
    fn an_error_with_unknown_wording_is_counted_without_an_event() {
        for msg in [
            "Error R14",
            "Error R14 (Memory quota exceeded",
            "Error R14 ()",
            "Error R14 (Memory quota exceeded) or so",
            "Error R14: Memory quota exceeded",
            "Error R1444 (x)",
        ] {
            check("heroku[web.1]", msg, Err(DetectError::Unreadable("error")));
        }
        let unknown = |family, number| Err(DetectError::Code { family, number });
        check("heroku[web.1]", "Error R18 (Bad mood)", unknown(Family::R, 18));
        check("heroku[web.1]", "Error R151 (x)", unknown(Family::R, 151));
        check("heroku[web.1]", "Error H12 (Request timeout)", unknown(Family::H, 12));
        for msg in
            ["", "error R14 (x)", "An Error R14 (x)", "Error r14 (x)", "Error R (x)", "Error 14", "Error"]
        {
            check("heroku[web.1]", msg, Ok(None));
        }
    }

    #[test]
    fn only_platform_lines_make_events() {
        let msg = "Error R14 (Memory quota exceeded)";
        for source in [
            "app[web.1]",
            "app[router]",
            "app[logplex]",
            "app[heroku]",
            "app[api]",
            "Heroku[web.1]",
            "heroku2[web.1]",
            "heroku-postgres[web.1]",
            "heroku[api]",
            "heroku[web]",
            "heroku[web.01]",
            "heroku[scheduler]",
            "heroku[-]",
            "app[heroku-redis]",
        ] {
            check(source, msg, Ok(None));
        }
        check(
            "app[web.1]",
            "94 <134>1 2025-08-08T06:59:08+00:00 host heroku web.1 - Error R14 (x)",
            Ok(None),
        );
        check("app[web.1]", "heroku[web.1]: Error R14 (Memory quota exceeded)", Ok(None));
        check("app[web.1]", "at=error code=H12 dyno=web.1", Ok(None));
        check("app[web.1]", "Release v12 created by user a@example.com", Ok(None));
    }

    #[test]
    fn the_memory_beside_an_r14_is_read() {
        let memory = |hundredths, permille| {
            Ok(Some(Fact::Memory { dyno: web(1), used: Megabytes { hundredths }, permille }))
        };
        check("heroku[web.1]", "Process running mem=646M(126.2%)", memory(64_600, 1262));
        check("heroku[web.1]", "Process running mem=1028MB(103.3%)", memory(102_800, 1033));
        check("heroku[web.1]", "Process running mem=512.5M(100%)", memory(51_250, 1000));
        for msg in
            ["646M(x%)", "-646M(126.2%)", "646M", "646G(126.2%)", "1M(999999999.9%)", "9999999999M(1%)"]
        {
            let msg = format!("Process running mem={msg}");
            check("heroku[web.1]", &msg, Err(DetectError::Unreadable("memory")));
        }
    }

    #[test]
    fn life_cycle_lines_become_changes() {
        check("heroku[web.1]", "Restarting", life(Change::Leaving));
        check("heroku[web.1]", "Cycling", life(Change::Leaving));
        check("heroku[web.1]", "Idling", life(Change::to(DynoState::Idle)));
        check("heroku[web.1]", "Unidling", life(Change::to(DynoState::Starting)));
        check("heroku[web.1]", "Stopping all processes with SIGTERM", life(Change::Leaving));
        check("heroku[web.1]", "Stopping process with SIGTERM", life(Change::Leaving));
        check("heroku[web.1]", "Stopping remaining processes with SIGKILL", life(Change::Leaving));
        check(
            "heroku[web.1]",
            "Starting process with command `bin/rails server -p 4711`",
            life(Change::Starting),
        );
        check("heroku[web.1]", "Process exited with status 143", life(Change::Exited));
        for (msg, from, to) in [
            ("State changed from starting to up", DynoState::Starting, DynoState::Up),
            ("State changed from up to crashed", DynoState::Up, DynoState::Crashed),
            ("State changed from crashed to complete", DynoState::Crashed, DynoState::Other),
        ] {
            check("heroku[web.1]", msg, life(Change::State { from: Some(from), to }));
        }
        for msg in ["State changed from up", "State changed from up to ", "State changed from a to b c"] {
            check("heroku[web.1]", msg, Err(DetectError::Unreadable("state")));
        }
        check("heroku[web.1]", "Stopping by woods on a snowy evening", Ok(None));
        check("heroku[web.1]", "Process exited", Ok(None));
    }

    #[test]
    fn samples_are_read_by_field_name() {
        let sample = Ok(Some(Fact::Sample {
            dyno: web(1),
            instance: InstanceId::parse(UUID.as_bytes()).expect("an id"),
            total: Megabytes { hundredths: 22_147 },
            quota: Megabytes { hundredths: 51_200 },
            swap: None,
        }));
        let written = format!(
            "source=web.1 dyno=heroku.261104379.{UUID} sample#memory_total=221.47MB \
             sample#memory_rss=217.77MB \
             sample#memory_pgpgin=149293pages sample#memory_quota=512.00MB"
        );
        check("heroku[web.1]", &written, sample.clone());
        let mixed = format!(
            "sample#memory_quota=512MB new=\"a b\" sample#memory_total=221.479MB \
             dyno=heroku.1.{UUID} source=web.1 x"
        );
        check("heroku[web.1]", &mixed, sample);
        let load = format!("source=web.1 dyno=heroku.261104379.{UUID} sample#load_avg_1m=2.46");
        check("heroku[web.1]", &load, Ok(None));
        let of_2015 = format!("source=web.1 dyno=heroku.1.{UUID} sample#memory_total=1210.76MB");
        check("heroku[web.1]", &of_2015, Ok(None));
        check("app[web.1]", &written, Ok(None));
    }

    #[test]
    fn invalid_samples_are_counted() {
        let line = |source: &str, dyno: &str, total: &str, quota: &str| {
            format!("{source} {dyno} sample#memory_total={total} sample#memory_quota={quota}")
        };
        let dyno = format!("dyno=heroku.1.{UUID}");
        let check = |msg: &str, expect| check("heroku[web.1]", msg, Err(expect));
        check(&line("source=web.2", &dyno, "1MB", "2MB"), DetectError::Disagree);
        check(&line("", &dyno, "1MB", "2MB"), DetectError::Missing("source"));
        check(&line("source=web.1", "", "1MB", "2MB"), DetectError::Missing("dyno"));
        check(&line("source=web.1 source=web.1", &dyno, "1MB", "2MB"), DetectError::Repeated("source"));
        for dyno in ["dyno=", "dyno=web.1", "dyno=heroku.1.", "dyno=heroku..x", "dyno=heroku.1.a.b"] {
            check(&line("source=web.1", dyno, "1MB", "2MB"), DetectError::Unreadable("dyno="));
        }
        for number in ["", "-1MB", "1", "1kB", "NaNMB", "1e3MB", "9999999999MB", ".5MB", "1.MB", "+1MB"] {
            let total = DetectError::Unreadable("sample#memory_total=");
            check(&line("source=web.1", &dyno, number, "2MB"), total);
            let quota = DetectError::Unreadable("sample#memory_quota=");
            check(&line("source=web.1", &dyno, "1MB", number), quota);
        }
        let nothing = line("source=web.1", &dyno, "1MB", "0.00MB");
        check(&nothing, DetectError::Unreadable("sample#memory_quota="));
    }

    #[test]
    fn the_router_names_h_codes_in_both_generations() {
        let erlang = "at=error code=H12 desc=\"Request timeout\" method=GET path=\"/\" host=a.example.com \
                      request_id=6dd4a9e2 fwd=\"192.0.2.7\" dyno=web.2 connect=1ms service=30000ms \
                      status=503 bytes=0 protocol=https";
        check("heroku[router]", erlang, error("H12", web(2)));
        let go = "sock=client at=warning code=H27 desc=\"Client Request Interrupted\" method=POST path=\"/\" \
                  host=acme.example request_id=6dd4a9e2 fwd=\"192.0.2.7\" dyno=web.1 connect=1ms service=9ms \
                  status=499 bytes=0 protocol=http2.0 tls=true tls_version=tls1.3";
        check("heroku[router]", go, error("H27", web(1)));
        let undirected = "at=error code=H14 desc=\"No web processes running\" method=GET path=\"/\" dyno= \
                      connect= service= status=503 bytes= protocol=http";
        check("heroku[router]", undirected, error("H14", None));
        let info = r#"at=info method=GET path="/?code=H12&dyno=web.9" code=H12 dyno=web.1"#;
        check("heroku[router]", info, Ok(None));
        check("heroku[router]", &info.replace("at=", "sock=client at="), Ok(None));
        let maintenance = "at=info code=H80 desc=\"Maintenance mode\" method=GET path=\"/\" dyno= connect= \
                           service= status=503 bytes= protocol=https";
        check("heroku[router]", maintenance, error("H80", None));
        let blank = "sock=client at=info code=H81 desc=\"Blank app\" method=GET path=\"/\" dyno= connect= \
                     service= status=502 bytes= protocol=http1.1 tls=true";
        check("heroku[router]", blank, error("H81", None));
        check("heroku[router]", "at=error method=GET dyno=web.1", Ok(None));
        // Found by the fuzzer: it was read as H22.
        check("heroku[router]", "at=error code=H022 dyno=web.1", Err(DetectError::Unreadable("code=")));
        check("heroku[web.1]", "Error R014 (Memory quota exceeded)", Ok(None));
        check("heroku[router]", "http_error=\"oversized\" at=error code=H12 dyno=web.1", Ok(None));
    }

    #[test]
    fn text_from_clients_is_not_read_as_router_fields() {
        let quoted = "at=error code=H13 desc=\"x\" path=\"/?code=H12 dyno=web.9\\\" dyno=web.8\" \
                      fwd=\"code=H12, dyno=web.7\" dyno=web.1";
        check("heroku[router]", quoted, error("H13", web(1)));
        let unquoted = "at=error code=H13 path=/?dyno=web.9&code=H12 dyno=web.1";
        check("heroku[router]", unquoted, error("H13", web(1)));
        let escaped = r#"at=error code=H13 path="/" fwd="1" dyno=web.9 x="" dyno=web.1"#;
        check("heroku[router]", escaped, Err(DetectError::Repeated("dyno")));
        let escaped = r#"at=error code=H13 path="/" fwd="1" code=H12 x="" dyno=web.1"#;
        check("heroku[router]", escaped, Err(DetectError::Repeated("code")));
        let unknown = Err(DetectError::Code { family: Family::R, number: 14 });
        check("heroku[router]", "at=error code=R14 dyno=web.1", unknown);
        check("heroku[router]", "at=error code= dyno=web.1", Err(DetectError::Unreadable("code=")));
        check("heroku[router]", "at=error code=H12 dyno=web", error("H12", None));
        check("heroku[router]", "at=error code=H12 path=\"/ dyno=web.1", error("H12", None));
    }

    #[test]
    fn losses_are_read_in_every_wording() {
        let erlang =
            "Error L10 (output buffer overflow): 1 messages dropped since 2015-05-09T20:19:03+00:00.";
        check("heroku[logplex]", erlang, lost(None, 1));
        let now = "Error L10 (output buffer overflow): drain 'd.68bc07b8-b306-4fa6-985f-48f8a45912c3' \
                   dropped 12 messages since 2022-04-13T19:41:45.256379+00:00.";
        check("heroku[logplex]", now, lost(Some("d.68bc07b8-b306-4fa6-985f-48f8a45912c3"), 12));
        check("heroku[logplex]", "Error L10: 7 messages dropped since", lost(None, 7));
        let syslog = Line {
            host: b"d.1234-drain-identifier-567",
            ..Line::shown(AT, b"heroku", b"logplex", erlang.as_bytes())
        };
        assert_eq!(fact(&syslog), lost(Some("d.1234-drain-identifier-567"), 1));
        for msg in [
            "Error L10",
            "Error L10 (x): some messages dropped",
            "Error L10 (x): 9999999999999999999 messages",
        ] {
            check("heroku[logplex]", msg, Err(DetectError::Unreadable("loss")));
        }
        let odd = "Error L10 (x): drain 'a b' dropped 1 messages since";
        check("heroku[logplex]", odd, Err(DetectError::Unreadable("drain")));
    }

    #[test]
    fn logplex_and_log_shuttle_name_l_codes() {
        let tls = "Error L14 (certificate validation): error=\"bad certificate\" \
                   uri=\"syslog+tls://logs.example.com:6514/\"";
        check("heroku[logplex]", tls, error("L14", None));
        let tail = "L11 (Tail buffer overflow) -> This tail session dropped 1101 messages since";
        check("heroku[logplex]", tail, error("L11", None));
        let unknown = |family, number| Err(DetectError::Code { family, number });
        check("heroku[logplex]", "Error R14 (Memory quota exceeded)", unknown(Family::R, 14));
        check("heroku[logplex]", "Hello", Ok(None));
        check(
            "app[log-shuttle]",
            "Error L12: 222 messages dropped since 2013-11-04T21:31:32+00:00.",
            error("L12", None),
        );
        check(
            "app[log-shuttle]",
            "Error L13: 111 messages lost since 2013-11-04T21:31:32+00:00.",
            error("L13", None),
        );
        check("app[log-shuttle]", "Error L10: 1 messages dropped", unknown(Family::L, 10));
        check("app[log-shuttle]", "Error R14 (Memory quota exceeded)", Ok(None));
    }

    #[test]
    fn api_lines_announce_releases_and_scaling() {
        let release = |version| Ok(Some(Fact::Release { version }));
        for app in ["app[api]", "heroku[api]"] {
            check(app, "Release v12 created by user a@example.com", release(Some(12)));
            check(app, "Deploy 1a2b3c4 by user a@example.com", release(None));
            check(app, "Rollback to v10 by user a@example.com", release(None));
            let scaled = |types: &[&str]| {
                let types = types.iter().map(|name| name.parse().expect("a type")).collect();
                Ok(Some(Fact::Scale { types }))
            };
            check(app, "Scaled to web@4:Standard-1X by user a@example.com", scaled(&["web"]));
            check(app, "Scaled to web@4:Basic worker@0:Basic by user a", scaled(&["web", "worker"]));
            check(app, "Scale to web=2, worker=1 by a@example.com", scaled(&["web", "worker"]));
            check(app, "Scaled to something else by user a", scaled(&[]));
            for msg in
                ["Error R14 (Memory quota exceeded)", "Build started by user", "Release v", "Released", ""]
            {
                check(app, msg, Ok(None));
            }
        }
    }

    #[test]
    fn an_event_has_the_time_in_its_line() {
        let msg = b"Error R14 (Memory quota exceeded)";
        let read = event(&Line::shown(AT, b"heroku", b"web.2", msg)).expect("understood").expect("an event");
        assert_eq!(read.at.to_string(), "2025-08-08T06:59:08.592108Z");
        assert_eq!(read.fact, Fact::Error { code: Code::R14, dyno: Some(web(2)) });
        let read = event(&Line::shown(b"yesterday", b"heroku", b"web.2", msg));
        assert_eq!(read, Err(DetectError::Time(TimeError::Shape)));
        // A line without an event needs no time.
        assert_eq!(event(&Line::shown(b"yesterday", b"app", b"web.2", msg)), Ok(None));
    }
}
