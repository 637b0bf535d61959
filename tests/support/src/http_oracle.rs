//! The oracle of the HTTP server, for any input: every response is valid HTTP, no client gets anything
//! without its password, no secret leaks, and only platform lines reach the engine.
//!
//! The octets go over an in-memory connection into the real service; only the engine behind its queue is
//! missing.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use dynowarden::clock::Clock;
use dynowarden::config::settings::Settings;
use dynowarden::config::{self, Needs, Sources};
use dynowarden::context::Context;
use dynowarden::days::Days;
use dynowarden::drain_activity::DrainActivities;
use dynowarden::drain_tokens::DrainTokens;
use dynowarden::driver::{Command, Handle};
use dynowarden::evidence::EvidenceBook;
use dynowarden::http::Service;
use dynowarden::http::connection;
use dynowarden::http::connection_state::{ConnectionState, Phase};
use dynowarden::metrics::Metrics;
use dynowarden::readiness::Readiness;
use dynowarden::series::SeriesBook;
use dynowarden::store::{Store, StoreOptions};
use dynowarden::traffic::TrafficBook;
use dynowarden_core::event::Fact;
use dynowarden_core::ident::{self, AppId};
use dynowarden_core::limits;
use dynowarden_core::record::{Notice, NoticeKind, Record};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::reference;

/// Checks any octets as a client's input.
pub fn check_peer(octets: &[u8]) {
    SERVER.with_borrow_mut(|server| {
        if server.callers >= CALLERS_MAX {
            *server = TestServer::new();
        }
        let whole = server.talk(octets, octets.len().max(1));
        check_talk(octets, &whole);
        if octets.len() <= 4096 {
            let parts = server.talk(octets, octets.len() / 4 + 1);
            check_talk(octets, &parts);
            // Where a connection ends may depend on the parts; the responses may not.
            let (one, other) = (statuses(octets, &whole), statuses(octets, &parts));
            assert!(one.iter().zip(&other).all(|(one, other)| one == other), "{one:?} is not {other:?}");
        }
    });
}

const ACME: &str = "acme-dr41n-p4ssw0rd-7Yq";
const BLOG: &str = "bl0g-dr41n-p4ssw0rd-9Zk";
const ADMIN: &str = "adm1n-p4ssw0rd-3Vx-long";
const HOOK: &str = "h00k-k3y-of-s0me-length";
/// Opens nothing at the HTTP server.
const TOKEN: &str = "HRKU-t0ken-of-the-ap1-5";

const SETTINGS: &str = r#"
drain.max_body = "4KiB"
[[app]]
name = "acme"
drain_tokens = ["d.acme"]
[[app]]
name = "blog"
drain_password_file = "/blog"
drain_tokens = ["d.blog"]
"#;

/// The service, and its runtime.
struct TestServer {
    /// Each connection has its own address, because wrong passwords are counted by address.
    callers: u32,
    commands: mpsc::Receiver<Command>,
    runtime: Runtime,
    service: Arc<Service>,
}

/// Addresses per service: fewer than it counts wrong passwords for, and too few to name more dynos than an
/// app can have.
const CALLERS_MAX: u32 = 1000;

/// The result of a connection.
struct Talk {
    answers: Vec<u8>,
    commands: Vec<Heard>,
}

/// What reached the engine's queue.
#[derive(Debug)]
enum Heard {
    Events(AppId, Vec<(bool, Fact)>),
    Audit,
    Order,
    Pause,
}

thread_local! {
    static SERVER: RefCell<TestServer> = RefCell::new(TestServer::new());
}

fn settings() -> Settings {
    let secrets = [
        ("HEROKU_API_KEY", TOKEN),
        ("DRAIN_PASSWORD", ACME),
        ("ADMIN_PASSWORD", ADMIN),
        ("HOOK_KEY", HOOK),
        ("DATABASE_URL", "memory"),
    ];
    let env: Vec<_> = secrets.map(|(name, value)| (name.into(), value.into())).into();
    let read_file = |path: &std::path::Path| match path.to_str() {
        Some("dynowarden.toml") => Ok(SETTINGS.to_owned()),
        Some("/blog") => Ok(BLOG.to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    config::load(&Sources { config: None, env: &env, read_file: &read_file }, Needs::Serving)
        .expect("the settings are right")
}

impl TestServer {
    fn new() -> Self {
        let settings = settings();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (sender, commands) = mpsc::channel(1024);
        let tokens = DrainTokens::new(&settings);
        (0..).map(AppId).zip(&settings.apps).for_each(|(app, _)| tokens.listed(app, &[], Duration::MAX));
        let readiness = Arc::new(Readiness::starting());
        readiness.started();
        let clock = Clock::system();
        let options = StoreOptions::new(Vec::new(), Duration::from_secs(3600));
        let store = runtime.block_on(Store::open(&settings.database, options, clock.now().wall));
        let names = settings.apps.iter().map(|app| app.plan.name.clone()).collect();
        let keep = settings.keep_series;
        let context = Context {
            clock,
            days: Arc::new(Days::new(
                (SeriesBook::new(names, keep, 1), EvidenceBook::new(false)),
                None,
                keep,
            )),
            drains: Arc::new(DrainActivities::new(settings.apps.len())),
            handle: Handle::new(sender),
            metrics: Arc::new(Metrics::new(settings.apps.iter().map(|app| &app.plan))),
            readiness,
            store: store.expect("memory"),
            tokens: Arc::new(tokens),
            traffic: Arc::new(TrafficBook::new(true, settings.apps.len())),
        };
        Self { callers: 0, commands, runtime, service: Arc::new(Service::new(&settings, context)) }
    }

    /// Sends the octets in parts, reads all responses, and closes.
    #[expect(clippy::disallowed_methods, reason = "the store is read on a thread with a real clock")]
    fn talk(&mut self, octets: &[u8], part: usize) -> Talk {
        let Self { callers, commands, runtime, service } = self;
        *callers += 1;
        let peer = IpAddr::from(Ipv4Addr::from_bits(*callers));
        runtime.block_on(async {
            let (mut ours, theirs) = tokio::io::duplex(256 * 1024);
            let pulse = Arc::new(ConnectionState::new());
            let served =
                connection::serve((theirs, peer), service.clone(), pulse.clone(), CancellationToken::new());
            let served = tokio::spawn(served);
            let mut talk = Talk { answers: Vec::new(), commands: Vec::new() };
            for part in octets.chunks(part) {
                // A closed connection accepts nothing more.
                let _gone = ours.write_all(part).await;
                tokio::task::yield_now().await;
            }
            let began = Instant::now();
            let (mut quiet, mut has_hung_up) = (0, false);
            loop {
                let more = take(&mut ours, &mut talk.answers).await;
                if more == Some(false) {
                    break;
                }
                let heard = talk.commands.len();
                while let Ok(command) = commands.try_recv() {
                    talk.commands.extend(obey(command));
                }
                quiet = if more.is_some() || talk.commands.len() > heard { 0 } else { quiet + 1 };
                if quiet > QUIET_ROUNDS && !has_hung_up && !talk.may_wait(octets, &pulse, began) {
                    has_hung_up = true;
                    let _gone = ours.shutdown().await;
                }
                if has_hung_up && quiet > 2 * QUIET_ROUNDS && talk.ends_with_a_heartbeat(octets) {
                    served.abort();
                    break;
                }
                assert!(began.elapsed() < Duration::from_secs(8), "it outlives its peer");
                tokio::task::yield_now().await;
            }
            while let Ok(command) = commands.try_recv() {
                talk.commands.extend(obey(command));
            }
            // It waits briefly for remaining data.
            drop(ours);
            let end = served.await;
            assert!(end.is_ok() || end.is_err_and(|end| end.is_cancelled()), "it does not panic");
            talk
        })
    }
}

/// Rounds of all tasks without news, after which only the client can continue.
const QUIET_ROUNDS: u32 = 12;

/// Whether data came; `Some(false)` at the end.
async fn take(ours: &mut DuplexStream, answers: &mut Vec<u8>) -> Option<bool> {
    let mut room = [0; 8192];
    let mut buffer = ReadBuf::new(&mut room);
    let read = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *ours).poll_read(cx, &mut buffer)));
    match read.await {
        Poll::Pending => None,
        Poll::Ready(read) => {
            read.expect("memory does not fail");
            answers.extend_from_slice(buffer.filled());
            Some(!buffer.filled().is_empty())
        }
    }
}

/// The engine task's part, as far as the HTTP server waits for it.
fn obey(command: Command) -> Option<Heard> {
    match command {
        Command::Events { app, events, .. } => {
            let named = |fact: &Fact| fact.dyno().is_some();
            Some(Heard::Events(
                app,
                events.into_iter().map(|event| (named(&event.fact), event.fact)).collect(),
            ))
        }
        Command::Order { answer, .. } => {
            let _gone = answer.send(Vec::new());
            Some(Heard::Order)
        }
        Command::Pause { kept, .. } | Command::Resume { kept, .. } => {
            let _gone = kept.send(());
            Some(Heard::Pause)
        }
        Command::Status { answer } => {
            let _gone = answer.send(Vec::new());
            None
        }
        Command::Publish(record) => match *record {
            Record::Notice(Notice { what: NoticeKind::Admin(_), .. }) => Some(Heard::Audit),
            // A batch that was rejected for good is reported.
            _ => None,
        },
        Command::ApiQuota { .. }
        | Command::Days(_)
        | Command::ClockConfirmed
        | Command::PlatformStatus { .. } => {
            panic!("the HTTP server sends no such command")
        }
    }
}

impl Talk {
    /// Whether it is a stream whose reader has sent more than the request: as long as that is unread, only a
    /// write, such as the heartbeat every 15 s, would detect its disconnect, and there is none here.
    fn ends_with_a_heartbeat(&self, octets: &[u8]) -> bool {
        let head = memchr::memmem::find(octets, b"\r\n\r\n").map_or(0, |end| end + 4);
        // A request with a body cannot open a stream.
        let announces = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or_default();
            name.eq_ignore_ascii_case("content-length")
                && value.trim().parse().is_ok_and(|length: u64| length > 0)
        };
        let has_body = octets.starts_with(b"GET /api/v1/events")
            && String::from_utf8_lossy(&octets[..head]).split("\r\n").any(announces);
        contains(&self.answers, b"text/event-stream") && head < octets.len() && !has_body
    }

    /// Whether a response may still be on its way from the store, which is read on a separate thread.
    fn may_wait(&self, octets: &[u8], pulse: &ConnectionState, began: Instant) -> bool {
        contains(octets, b"decisions")
            && shows(octets, ADMIN)
            && pulse.phase().0 == Phase::Busy
            && began.elapsed() < Duration::from_millis(100)
    }
}

// === The answers ===

struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

fn statuses(octets: &[u8], talk: &Talk) -> Vec<u16> {
    answers(octets, &talk.answers).iter().map(|answer| answer.status).collect()
}

/// Parses the responses, strictly by RFC 9112.
fn answers(octets: &[u8], mut rest: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !rest.is_empty() {
        let end = memchr::memmem::find(rest, b"\r\n\r\n").expect("a head ends");
        let head = std::str::from_utf8(&rest[..end]).expect("a head is text");
        rest = &rest[end + 4..];
        let (first, lines) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = first.strip_prefix("HTTP/1.1 ").or_else(|| first.strip_prefix("HTTP/1.0 "));
        let (status, reason) = status.and_then(|status| status.split_once(' ')).expect("a status line");
        assert!(status.len() == 3 && !reason.is_empty() && !reason.contains(char::is_control), "{first:?}");
        let status: u16 = status.parse().expect("a status");
        let mut headers = BTreeMap::new();
        for line in lines.split("\r\n").filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").expect("a header");
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{line:?}");
            assert!(!value.contains(char::is_control), "{line:?}");
            let before = headers.insert(name.to_ascii_lowercase(), value.to_owned());
            assert!(before.is_none(), "{name} twice");
        }
        let body = body(octets, status, &headers, &mut rest);
        answers.push(Answer { status, headers, body });
    }
    answers
}

fn body(octets: &[u8], status: u16, headers: &BTreeMap<String, String>, rest: &mut &[u8]) -> Vec<u8> {
    let is_stream = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
    let length = headers.get("content-length").map(|length| length.parse::<usize>().expect("a length"));
    if is_stream || headers.contains_key("transfer-encoding") {
        assert!(is_stream && status == 200, "only a stream has no length");
        return std::mem::take(rest).to_vec();
    }
    if status < 200 || status == 204 || status == 304 {
        assert!(length.is_none_or(|length| status == 304 && length > 0), "{status} with a length");
        return Vec::new();
    }
    let length = length.expect("a body has a length");
    // A response to HEAD has the length of the omitted body.
    let is_head = contains(octets, b"HEAD ") && (rest.is_empty() || rest.starts_with(b"HTTP/1."));
    let length = if is_head { 0 } else { length };
    assert!(rest.len() >= length, "an answer is cut off");
    let (body, after) = rest.split_at(length);
    *rest = after;
    body.to_vec()
}

fn check_talk(octets: &[u8], talk: &Talk) {
    let answers = answers(octets, &talk.answers);
    let shown = |secret| shows(octets, secret);
    for answer in &answers {
        let Answer { status, headers, body } = answer;
        let is_public = *status == 200 && (body == b"alive\n" || body.starts_with(b"ready"));
        // A response to HEAD has no body that would identify a public route.
        let asks_head = |path: &[u8]| contains(octets, &[b"HEAD ", path].concat());
        let is_head = body.is_empty() && (asks_head(b"/healthz") || asks_head(b"/readyz"));
        let may = match status {
            100 | 400 | 401 | 403 | 404 | 405 | 408 | 413 | 414 | 415 | 429 | 431 => true,
            200 => is_public || is_head || shown(ADMIN),
            202 => shown(HOOK),
            204 => shown(ACME) || shown(BLOG),
            303 | 304 => shown(ADMIN),
            _ => false,
        };
        assert!(may, "{status} for {:?}", String::from_utf8_lossy(octets));
        assert_eq!(*status == 401, headers.contains_key("www-authenticate"), "{status} and a challenge");
        assert_eq!(*status == 405, headers.contains_key("allow"), "{status} and the methods allowed");
    }
    for secret in [ACME, BLOG, ADMIN, HOOK, TOKEN] {
        // A client's own input may be repeated in the response.
        let is_out = contains(&talk.answers, secret.as_bytes());
        assert!(!is_out || shown(secret), "{secret} comes out");
    }
    for heard in &talk.commands {
        match heard {
            Heard::Events(app, facts) => {
                assert!(
                    shown(if *app == AppId(0) { ACME } else { BLOG }),
                    "the app's password opens its drain"
                );
                // Compressed or chunked, the word may be split.
                let is_plain = !contains(octets, &[0x1f, 0x8b]) && !has_word(octets, b"chunked");
                let names_dynos = facts.iter().any(|(names_dyno, _)| *names_dyno);
                assert!(!is_plain || !names_dynos || contains(octets, b" heroku "), "{facts:?}");
            }
            Heard::Order => assert!(shown(HOOK) || shown(ADMIN)),
            Heard::Audit => assert!(shown(HOOK) || shown(ADMIN)),
            Heard::Pause => assert!(shown(ADMIN)),
        }
    }
    check_foreseen(octets, talk, &answers);
}

/// Whether a secret is in the input: plain, percent-encoded, or in a word of base64.
fn shows(octets: &[u8], secret: &str) -> bool {
    if contains(octets, secret.as_bytes()) {
        return true;
    }
    let mut decoded = Vec::with_capacity(octets.len());
    let mut rest = octets;
    while let [first, behind @ ..] = rest {
        let pair = behind.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).filter(|_| *first == b'%') {
            Some(octet) => {
                decoded.push(octet);
                rest = &behind[2..];
            }
            None => {
                decoded.push(*first);
                rest = behind;
            }
        }
    }
    let is_base64 = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'=');
    let words = octets.split(|octet| !is_base64(octet)).filter(|word| word.len() >= secret.len());
    contains(&decoded, secret.as_bytes())
        || words.filter_map(|word| BASE64.decode(word).ok()).any(|word| contains(&word, secret.as_bytes()))
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn contains(octets: &[u8], what: &[u8]) -> bool {
    memchr::memmem::find(octets, what).is_some()
}

fn has_word(octets: &[u8], word: &[u8]) -> bool {
    octets.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

// === Requests that leave no room for doubt ===

/// One plain request and nothing else.
struct Plain<'o> {
    line: &'o str,
    headers: Vec<(String, &'o str)>,
    body: &'o [u8],
}

impl<'o> Plain<'o> {
    fn read(octets: &'o [u8]) -> Option<Self> {
        let end = memchr::memmem::find(octets, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&octets[..end]).ok()?;
        let (line, lines) = head.split_once("\r\n")?;
        let known =
            ["host", "authorization", "content-length", "content-type", "logplex-drain-token", "user-agent"];
        let mut headers = Vec::new();
        for line in lines.split("\r\n") {
            let (name, value) = line.split_once(": ")?;
            let name = name.to_ascii_lowercase();
            let is_plain = !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
            if !known.contains(&name.as_str()) || !is_plain || headers.iter().any(|(known, _)| *known == name)
            {
                return None;
            }
            headers.push((name, value));
        }
        let plain = Self { line, headers, body: &octets[end + 4..] };
        let length = plain.header("content-length").unwrap_or("0");
        (plain.header("host")? == "x" && length == plain.body.len().to_string()).then_some(plain)
    }

    fn header(&self, name: &str) -> Option<&'o str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    fn password(&self) -> Option<Vec<u8>> {
        let (scheme, word) = self.header("authorization")?.split_once(' ')?;
        let is_basic = scheme.eq_ignore_ascii_case("basic");
        let user_and_password = STRICT.decode(word.trim()).ok().filter(|_| is_basic)?;
        let colon = user_and_password.iter().position(|octet| *octet == b':')?;
        Some(user_and_password[colon + 1..].to_vec())
    }
}

const STRICT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Such a request to a drain gets the documented response, and the engine receives what the slow reader
/// finds in the body.
fn check_foreseen(octets: &[u8], talk: &Talk, answers: &[Answer]) {
    let Some(plain) = Plain::read(octets) else { return };
    let app = match plain.line {
        "POST /logs/acme HTTP/1.1" => "acme",
        "POST /logs/blog HTTP/1.1" => "blog",
        "POST /logs/none HTTP/1.1" => "none",
        "GET /healthz HTTP/1.1" if plain.body.is_empty() => "",
        _ => return,
    };
    let password = plain.password();
    let right = |secret: &str| password.as_deref() == Some(secret.as_bytes());
    let status = match app {
        "" => 200,
        "none" if right(ACME) || right(BLOG) => 404,
        "acme" | "blog" if !right(if app == "acme" { ACME } else { BLOG }) => 401,
        "none" => 401,
        _ if plain.body.len() > 4096 => 413,
        _ => 204,
    };
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [status], "{}", plain.line);
    // The last days of the year 9999 are excluded, to leave room for every zone.
    if contains(plain.body, b"9999-12-3") {
        return;
    }
    let mut said: Vec<reference::Error> = Vec::new();
    for heard in &talk.commands {
        let Heard::Events(of, facts) = heard else { panic!("{heard:?} from a drain") };
        assert_eq!(of.0, u32::from(app == "blog"));
        said.extend(facts.iter().filter_map(|(_, fact)| match fact {
            Fact::Error { code, dyno: Some(dyno) } => Some((code.to_string(), Some(dyno.to_string()))),
            _ => None,
        }));
    }
    let lines = reference::batch(plain.body).frames.into_iter();
    let lines = lines.filter_map(|(_, octets)| reference::line(&octets));
    let errors = lines.filter(|line| reference::nanos(&line.fields[0]).is_some());
    let errors =
        errors.filter_map(|line| reference::manager_error(&line).or_else(|| reference::router_error(&line)));
    // The engine records that it leaves other process types alone, except one-off dynos.
    let mut unlisted = 0;
    let errors = errors.filter(|(_, dyno)| match dyno.as_ref().and_then(|dyno| dyno.rsplit_once('.')) {
        Some(("web", _)) => true,
        Some((process_type, _)) if !ident::is_one_off(process_type) => {
            unlisted += 1;
            unlisted <= limits::UNLISTED_ERRORS_PER_BATCH_MAX
        }
        _ => false,
    });
    let expect: Vec<reference::Error> = if status == 204 { errors.collect() } else { Vec::new() };
    assert_eq!(said, expect, "what the platform said");
}
