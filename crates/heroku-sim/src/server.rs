//! A simulated Heroku on real sockets, for end-to-end tests and the demo.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{AppSpec, DrainResource};
use crate::clock::WorldClock;
use crate::fault::FaultRule;
use crate::line::LogLine;
use crate::logplex::Logplex;
use crate::platform::{Platform, RecordedCall};
use crate::sender::DrainPolicy;
use crate::state::{RecordedPost, Shared, State};
use crate::target::Target;
use crate::world::Missing;
use crate::world::World;
use crate::{delivery, listener};
use dynowarden_core::ident::{AppName, DynoName};
use dynowarden_core::limits;

#[derive(Clone, Debug)]
pub struct SimOptions {
    pub clock: WorldClock,
    pub drains: DrainPolicy,
    /// On loopback; 0 picks a free port.
    pub port: u16,
    pub seed: u64,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self { clock: WorldClock::real(), drains: DrainPolicy::default(), port: 0, seed: 1 }
    }
}

/// A running simulated Heroku. Dropping it stops it; [`SimHeroku::shutdown`] also waits.
#[derive(Debug)]
pub struct SimHeroku {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// A hand-made POST to a drain, valid or not.
#[derive(Clone, Debug)]
pub struct RawPost {
    pub body: Bytes,
    /// Except `Host`; `Content-Length` is added, and Basic auth if the URL has user info.
    pub headers: Vec<(String, String)>,
    /// An `http` URL, with or without user info.
    pub url: String,
}

impl SimHeroku {
    /// Starts with an empty world.
    ///
    /// # Errors
    /// The port is not available.
    pub async fn start(options: SimOptions) -> io::Result<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let address = socket.local_addr()?;
        let now = options.clock.now();
        let seed = options.seed;
        let state = State {
            logplex: Logplex::new(options.drains, seed.wrapping_add(2)),
            platform: Platform::new(World::new(seed, now), seed.wrapping_add(1), now),
            posted_bytes: 0,
            posts: VecDeque::new(),
        };
        let shared = Arc::new(Shared {
            changed: watch::Sender::new(()),
            clock: options.clock,
            lines: broadcast::Sender::new(limits::SIM_LINES_BEHIND_MAX),
            state: Mutex::new(state),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            wake: Notify::new(),
        });
        shared.tasks.spawn(listener::accept(socket, Arc::clone(&shared)));
        shared.tasks.spawn(delivery::drive(Arc::clone(&shared)));
        Ok(Self { address, shared })
    }

    /// The base of the Platform API's URLs: `HEROKU_API_URL`, or `HEROKU_HOST` for the official command.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Reads or changes anything: the world, the faults, the tokens, the rate limit.
    pub fn with<T>(&self, act: impl FnOnce(&mut Platform, Timestamp) -> T) -> T {
        let result = act(&mut self.shared.lock().platform, self.shared.clock.now());
        self.shared.stir();
        result
    }

    /// Reads anything. Unlike [`SimHeroku::with`], it wakes no task that waits for a change.
    pub fn see<T>(&self, look: impl FnOnce(&Platform, Timestamp) -> T) -> T {
        look(&self.shared.lock().platform, self.shared.clock.now())
    }

    /// Adds an app whose dynos are up.
    pub fn add_app(&self, spec: AppSpec) {
        self.with(|platform, now| platform.world.add_app(spec, now));
    }

    /// Registers a drain, as `heroku drains:add` does.
    ///
    /// # Errors
    /// No such app.
    pub fn add_drain(&self, app: &AppName, url: &str) -> Result<DrainResource, Missing> {
        self.with(|platform, now| platform.world.add_drain(app, url, now))
    }

    pub fn add_fault(&self, rule: FaultRule) {
        self.with(|platform, _| platform.faults.push(rule));
    }

    /// Writes a line into its app's log, now.
    pub fn emit(&self, line: LogLine) {
        self.with(|platform, _| platform.world.emit(line));
    }

    /// Logs R14 for a dyno now: the pair of lines of one memory sample.
    pub fn emit_r14(&self, app: &AppName, dyno: &DynoName) {
        let now = self.now();
        for text in ["Process running mem=646M(126.2%)", "Error R14 (Memory quota exceeded)"] {
            self.emit(LogLine::heroku(app.clone(), dyno.to_string(), text, now));
        }
    }

    /// Every line written from now on; a receiver that falls behind misses some and is notified.
    pub fn lines(&self) -> broadcast::Receiver<LogLine> {
        self.shared.lines.subscribe()
    }

    /// The calls of the Platform API so far.
    pub fn calls(&self) -> Vec<RecordedCall> {
        self.shared.lock().platform.calls().cloned().collect()
    }

    /// The calls so far that could change something, except those about drains.
    pub fn changes(&self) -> Vec<RecordedCall> {
        let mut calls = self.calls();
        calls.retain(|call| call.is_change() && !call.path.contains("/log-drains"));
        calls
    }

    /// The DELETEs among [`SimHeroku::changes`].
    pub fn deletes(&self) -> Vec<RecordedCall> {
        let mut calls = self.changes();
        calls.retain(|call| call.method == Method::DELETE);
        calls
    }

    /// The requests to drains so far.
    pub fn posts(&self) -> Vec<RecordedPost> {
        self.shared.lock().posts.iter().cloned().collect()
    }

    /// Messages that wait for drains.
    pub fn waiting(&self) -> usize {
        self.shared.lock().logplex.waiting()
    }

    /// The first matching call, past or future; none after `within`.
    pub async fn await_call(
        &self,
        fits: impl Fn(&RecordedCall) -> bool,
        within: Duration,
    ) -> Option<RecordedCall> {
        self.await_state(|state| state.platform.calls().find(|call| fits(call)).cloned(), within).await
    }

    /// The result of `look`, retried after every event; none after `within`.
    ///
    /// `look` must not call this simulation's methods: it runs under the lock.
    pub async fn await_that<T>(&self, look: impl Fn(&Platform) -> Option<T>, within: Duration) -> Option<T> {
        self.await_state(|state| look(&state.platform), within).await
    }

    /// Sends one request on a connection of its own, bypassing logplex, and returns the status and headers.
    ///
    /// # Errors
    /// No connection, no response, or an invalid URL.
    pub async fn post(&self, raw: RawPost) -> io::Result<http::response::Parts> {
        let failed = |what: &str| io::Error::other(what.to_owned());
        let target = Target::parse(&raw.url).ok_or_else(|| failed("no http URL"))?;
        let mut builder = Request::post(&target.path).header("host", &target.host);
        if let Some(authorization) = &target.authorization {
            builder = builder.header("authorization", authorization);
        }
        for (name, value) in &raw.headers {
            builder = builder.header(name, value);
        }
        let request = builder.body(Full::new(raw.body)).map_err(io::Error::other)?;
        let sender = delivery::connect(&target.address, &self.shared.tasks).await;
        let mut sender = sender.ok_or_else(|| failed("no connection"))?;
        let (parts, body) = sender.send_request(request).await.map_err(io::Error::other)?.into_parts();
        body.collect().await.map_err(io::Error::other)?;
        Ok(parts)
    }

    /// The URL of a drain at `base`, such as `http://127.0.0.1:8080/logs/acme`, with user info.
    pub fn drain_url(base: &str, user: &str, password: &str) -> String {
        match base.split_once("://") {
            Some((scheme, rest)) => format!("{scheme}://{user}:{password}@{rest}"),
            None => base.to_owned(),
        }
    }

    async fn await_state<T>(&self, look: impl Fn(&State) -> Option<T>, within: Duration) -> Option<T> {
        let mut changed = self.shared.changed.subscribe();
        let found = async {
            loop {
                changed.borrow_and_update();
                let found = look(&self.shared.lock());
                if let Some(found) = found {
                    return found;
                }
                if changed.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        tokio::time::timeout(within, found).await.ok()
    }

    /// Stops everything and waits until it has stopped.
    pub async fn shutdown(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Drop for SimHeroku {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Method, Request, Response, StatusCode};
    use http_body_util::{BodyExt, Empty, Full};
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;
    use tokio_util::task::TaskTracker;

    use super::{RawPost, RecordedPost, SimHeroku, SimOptions, State};
    use crate::app::AppSpec;
    use crate::clock::WorldClock;
    use crate::delivery;
    use crate::fault::{Fault, FaultRule};
    use crate::line::LogLine;
    use crate::sender::Outcome;

    use dynowarden_core::event::DynoState;
    use dynowarden_core::ident::{AppName, DynoName};

    const SOON: Duration = Duration::from_secs(20);

    fn acme() -> AppName {
        "acme".parse().expect("a name")
    }

    fn web_1() -> DynoName {
        "web.1".parse().expect("a dyno")
    }

    async fn heroku() -> SimHeroku {
        let heroku = SimHeroku::start(SimOptions::default()).await.expect("a port");
        heroku.add_app(AppSpec::new(acme(), 1));
        heroku
    }

    /// The first matching request to a drain.
    async fn posted(heroku: &SimHeroku, fits: impl Fn(&RecordedPost) -> bool) -> RecordedPost {
        let find = |state: &State| state.posts.iter().find(|post| fits(post)).cloned();
        heroku.await_state(find, SOON).await.expect("it arrives")
    }

    type Received = Arc<Mutex<Vec<(http::request::Parts, Bytes)>>>;

    /// A drain that answers with `statuses` in turn, repeating the last.
    async fn drain(statuses: Vec<u16>) -> (String, Received) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://logplex:secret@{}/logs/acme?x=1#y", listener.local_addr().expect("bound"));
        let received = Received::default();
        let kept = Arc::clone(&received);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (received, statuses) = (Arc::clone(&kept), statuses.clone());
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let (received, statuses) = (Arc::clone(&received), statuses.clone());
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        let mut received = received.lock().expect("no test panics with it");
                        received.push((head, body));
                        let status = statuses[received.len().min(statuses.len()) - 1];
                        let mut response = Response::new(Empty::<Bytes>::new());
                        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
                        Ok::<_, hyper::Error>(response)
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        (url, received)
    }

    /// A call of the Platform API over a real socket; none if the connection broke.
    async fn call(heroku: &SimHeroku, method: Method, path: &str) -> Option<(StatusCode, Bytes)> {
        let address = heroku.api_url().split_off("http://".len());
        let mut sender = delivery::connect(&address, &TaskTracker::new()).await.expect("it listens");
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &address)
            .header("accept", "application/vnd.heroku+json; version=3")
            .header("authorization", "Bearer any")
            .body(Full::default())
            .expect("a request");
        let response = sender.send_request(request).await.ok()?;
        let status = response.status();
        Some((status, response.into_body().collect().await.ok()?.to_bytes()))
    }

    #[tokio::test]
    async fn a_line_reaches_the_drain_as_logplex_sends_it() {
        let heroku = heroku().await;
        let (url, received) = drain(vec![204]).await;
        let token = heroku.add_drain(&acme(), &url).expect("acme is there").token;
        heroku.emit_r14(&acme(), &web_1());
        let post = posted(&heroku, |post| post.post.body.ends_with(b"(Memory quota exceeded)\n")).await;
        assert_eq!(post.outcome, Outcome::Status(204));

        let received = received.lock().expect("no test panics with it");
        let frames: usize = received
            .iter()
            .map(|(head, _)| {
                head.headers["logplex-msg-count"].to_str().expect("text").parse::<usize>().expect("a number")
            })
            .sum();
        assert_eq!(frames, 2);
        let (head, body) = received.last().expect("a request");
        assert_eq!((head.method.as_str(), head.uri.to_string().as_str()), ("POST", "/logs/acme?x=1"));
        for (name, value) in [
            ("content-type", "application/logplex-1"),
            ("authorization", "Basic bG9ncGxleDpzZWNyZXQ="),
            ("logplex-drain-token", token.as_str()),
            ("content-length", &body.len().to_string()),
        ] {
            assert_eq!(head.headers[name], value, "{name}");
        }
        assert!(
            head.headers.contains_key("logplex-frame-id") && !head.headers.contains_key("transfer-encoding")
        );
    }

    #[tokio::test]
    async fn a_refused_batch_is_retried_with_its_id_and_a_removed_drain_is_not() {
        let heroku = heroku().await;
        let (url, received) = drain(vec![503, 500, 204]).await;
        let drain = heroku.add_drain(&acme(), &url).expect("acme is there");
        heroku.emit(LogLine::app(acme(), "web.1", "hello", heroku.now()));
        let third = posted(&heroku, |post| post.outcome == Outcome::Status(204)).await;
        assert_eq!(third.post.attempt, 3);
        let ids: std::collections::BTreeSet<_> =
            heroku.posts().into_iter().map(|post| post.post.frame_id).collect();
        assert_eq!((ids.len(), received.lock().expect("no test panics with it").len()), (1, 3));

        heroku
            .with(|platform, _| platform.world.remove_drain(&acme(), &drain.id).map(drop))
            .expect("it is there");
        heroku.emit(LogLine::app(acme(), "web.1", "nobody hears", heroku.now()));
        let mut lines = heroku.lines();
        heroku.emit(LogLine::app(acme(), "web.1", "the end", heroku.now()));
        while lines.recv().await.expect("a line").text != b"the end" {}
        assert_eq!((heroku.waiting(), heroku.posts().len()), (0, 3));
    }

    #[tokio::test]
    async fn the_api_restarts_and_breaks_over_real_sockets() {
        let heroku = heroku().await;
        let path = "/apps/acme/dynos/web.1";
        let id = |heroku: &SimHeroku| heroku.see(|p, _| p.world.dyno(&acme(), "web.1").map(|dyno| dyno.id));
        let first = id(&heroku);
        heroku.add_fault(FaultRule::once(Method::DELETE, "/web.1", Fault::BreakBefore));
        assert_eq!(call(&heroku, Method::DELETE, path).await, None);
        assert_eq!(id(&heroku), first);
        heroku.add_fault(FaultRule::once(Method::DELETE, "/web.1", Fault::BreakAfter));
        assert_eq!(call(&heroku, Method::DELETE, path).await, None);
        let second = id(&heroku);
        assert_ne!(second, first);
        assert_eq!(
            call(&heroku, Method::DELETE, path).await,
            Some((StatusCode::ACCEPTED, Bytes::from("{}")))
        );
        assert_ne!(id(&heroku), second);
        heroku.add_fault(FaultRule::once(Method::GET, "/web.1", Fault::Slow(Duration::from_millis(60))));
        let (status, body) = call(&heroku, Method::GET, path).await.expect("an answer");
        assert!(status == StatusCode::OK && body.ends_with(b"}"));
        heroku.add_fault(FaultRule::once(Method::GET, "/web.1", Fault::HangBefore));
        let hanging = call(&heroku, Method::GET, path);
        let seen = heroku.await_call(|call| call.fault == Some(Fault::HangBefore), SOON);
        tokio::select! {
            answer = hanging => panic!("{answer:?}"),
            seen = seen => assert_eq!(seen.expect("it came").status, None),
        }
        assert_eq!((heroku.deletes().len(), heroku.changes().len()), (3, 3));
        heroku.shutdown().await;
    }

    #[tokio::test]
    async fn a_fast_clock_boots_a_dyno_in_no_time() {
        let options = SimOptions { clock: WorldClock::scaled(600.0), ..SimOptions::default() };
        let heroku = SimHeroku::start(options).await.expect("a port");
        heroku.add_app(AppSpec::new(acme(), 1));
        let restarted = heroku.with(|platform, now| platform.world.restart(&acme(), &web_1(), now));
        assert_eq!(restarted, Ok(()));
        let up = heroku.await_that(
            |platform| {
                platform.world.dyno(&acme(), "web.1").filter(|dyno| dyno.state == DynoState::Up).map(|_| ())
            },
            SOON,
        );
        assert_eq!(up.await, Some(()));
    }

    #[tokio::test]
    async fn a_raw_post_returns_the_response() {
        let heroku = heroku().await;
        let (url, received) = drain(vec![401]).await;
        let raw = RawPost {
            body: Bytes::from("nonsense"),
            headers: vec![("logplex-msg-count".into(), "7".into())],
            url,
        };
        assert_eq!(heroku.post(raw).await.expect("an answer").status, 401);
        assert_eq!(received.lock().expect("no test panics with it")[0].1, "nonsense");
        assert_eq!(SimHeroku::drain_url("http://127.0.0.1:1/logs", "u", "p"), "http://u:p@127.0.0.1:1/logs");
    }
}
