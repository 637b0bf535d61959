//! The Platform API: authentication, rate limit, faults, and the record of every call.
//!
//! Pure: a request and a time go in, and a [`Reply`] comes out. The owner of the socket (or the simulated
//! network) carries it out, broken connections included.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, ETAG, IF_NONE_MATCH, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::authorization;
use crate::bucket::Bucket;
use crate::fault::{Fault, FaultRule, error_words};
use crate::paging::PAGE_DEFAULT;
use crate::rng::Chance;
use crate::routes::{self, Answer, Call, Refusal};
use crate::status_page::{self, Light};
use crate::target::decode;
use crate::world::World;
use dynowarden_core::ident::AppName;
use dynowarden_core::limits;

/// The Platform API of one account over a world.
#[derive(Clone, Debug)]
pub struct Platform {
    /// What the status page shows for the system `Apps`.
    pub apps_light: Light,
    pub bucket: Bucket,
    /// The first rule that applies counts.
    pub faults: Vec<FaultRule>,
    /// Items of a page, unless a call sets a number; small in a test of paging.
    pub page_default: usize,
    /// The accepted tokens; if empty, any is accepted.
    pub tokens: BTreeMap<String, Rights>,
    pub world: World,
    calls: VecDeque<RecordedCall>,
    chance: Chance,
    /// The tokens that were created through the API; accepted besides `tokens`.
    created: BTreeMap<String, Rights>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Read and write, the account included.
    Global,
    Read,
    Write,
    /// Read and write, but only these apps.
    WriteTo(Vec<AppName>),
}

impl Rights {
    /// `Oauth-Scope` of the responses.
    fn scope(&self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Read => "read",
            Self::Write | Self::WriteTo(_) => "write",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCall {
    pub at: Timestamp,
    /// The fault that applied, if any.
    pub fault: Option<Fault>,
    pub method: Method,
    /// As sent, with the app's present name where its id was sent.
    pub path: String,
    /// As sent.
    pub query: Option<String>,
    /// None if there was no response.
    pub status: Option<u16>,
}

impl RecordedCall {
    /// Whether it could change something.
    pub fn is_change(&self) -> bool {
        changes(&self.method)
    }
}

/// The simulator's reaction to a call.
#[derive(Debug)]
pub enum Reply {
    Answer {
        /// How long the body takes.
        over: Duration,
        response: Response<Bytes>,
    },
    Break,
    /// No response, ever.
    Silence,
}

impl Platform {
    /// The API over `world`, which accepts any token.
    pub fn new(world: World, seed: u64, now: Timestamp) -> Self {
        Self {
            apps_light: Light::default(),
            bucket: Bucket::new(now),
            calls: VecDeque::new(),
            chance: Chance::new(seed),
            created: BTreeMap::new(),
            faults: Vec::new(),
            page_default: PAGE_DEFAULT,
            tokens: BTreeMap::new(),
            world,
        }
    }

    /// The calls so far, oldest first.
    pub fn calls(&self) -> impl Iterator<Item = &RecordedCall> {
        self.calls.iter()
    }

    pub fn answer(&mut self, request: &Request<Bytes>, now: Timestamp) -> Reply {
        self.world.run_to(now);
        let (method, path) = (request.method(), self.named(request.uri().path()));
        let path = &*path;
        let struck = self
            .faults
            .iter_mut()
            .find_map(|rule| rule.strikes(method, path, &mut self.chance).then(|| rule.fault.clone()));
        let mut reply = self.reply(request, struck.as_ref(), now);
        let is_own = !matches!(struck, Some(Fault::Gateway { .. }));
        if is_own
            && let (Ok(rights), Reply::Answer { response, .. }) = (self.rights(request.headers()), &mut reply)
        {
            response.headers_mut().insert("oauth-scope", HeaderValue::from_static(rights.scope()));
        }
        let status = match &reply {
            Reply::Answer { response, .. } => Some(response.status().as_u16()),
            Reply::Break | Reply::Silence => None,
        };
        if self.calls.len() == limits::SIM_RECORDS_MAX {
            self.calls.pop_front();
        }
        self.calls.push_back(RecordedCall {
            at: now,
            fault: struck,
            method: method.clone(),
            path: path.to_owned(),
            query: request.uri().query().map(str::to_owned),
            status,
        });
        reply
    }

    /// The path with the app's name in the place of its id.
    fn named<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let rest = path.strip_prefix("/apps/").unwrap_or_default();
        let shown = rest.split('/').next().unwrap_or_default();
        match self.world.app(shown).filter(|app| app.id == shown) {
            Some(app) => format!("/apps/{}{}", app.name(), &rest[shown.len()..]).into(),
            None => path.into(),
        }
    }

    fn reply(&mut self, request: &Request<Bytes>, fault: Option<&Fault>, now: Timestamp) -> Reply {
        match fault {
            Some(Fault::BreakBefore) => return Reply::Break,
            Some(Fault::HangBefore) => return Reply::Silence,
            Some(Fault::Late(span)) => {
                self.pass_on(request, *span, now);
                return Reply::Break;
            }
            Some(Fault::Gateway { status, passes_on }) => {
                if let Some(span) = passes_on {
                    self.pass_on(request, *span, now);
                }
                return Reply::Answer { over: Duration::ZERO, response: gateway_page(*status) };
            }
            Some(Fault::Ignored) if changes(request.method()) => {
                let response = self.respond(StatusCode::ACCEPTED, "{}".to_owned(), None, now);
                return Reply::Answer { over: Duration::ZERO, response };
            }
            _ => {}
        }
        let outcome = match fault {
            Some(Fault::Status(status)) => Err(Refusal::new(*status)),
            _ => self.perform(request, now),
        };
        let mut over = Duration::ZERO;
        let response = match (fault, outcome) {
            (Some(Fault::BreakAfter), _) => return Reply::Break,
            (Some(Fault::HangAfter), _) => return Reply::Silence,
            (Some(Fault::Html), _) => {
                let mut response = self.respond(StatusCode::OK, HTML.into(), None, now);
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
                response
            }
            (_, Err(Refusal { message, status })) => {
                let body = json!({ "id": error_words(status).0, "message": message });
                let status = StatusCode::from_u16(status).expect("faults and refusals have real statuses");
                self.respond(status, body.to_string(), None, now)
            }
            (_, Ok(Answer { mut body, next, status })) => {
                if let Some(fault) = fault {
                    fault.spoil(&mut body);
                }
                let mut text = body.to_string();
                match fault {
                    Some(Fault::Slow(span)) => over = *span,
                    Some(Fault::WrongJson) => text.truncate(text.len() / 2),
                    _ => {}
                }
                let known = request.headers().get(IF_NONE_MATCH).filter(|_| request.method() == Method::GET);
                if known.is_some_and(|known| known.as_bytes() == entity_tag(&text).as_bytes()) {
                    self.respond(StatusCode::NOT_MODIFIED, String::new(), None, now)
                } else {
                    self.respond(status, text, next, now)
                }
            }
        };
        Reply::Answer { over, response }
    }

    /// Checks the token and the rate limit, then performs the call.
    fn perform(&mut self, request: &Request<Bytes>, now: Timestamp) -> Result<Answer, Refusal> {
        let call = self.take_apart(request)?;
        if request.uri().path() == status_page::PATH {
            let body = status_page::current(self.apps_light);
            return Ok(Answer { body, next: None, status: StatusCode::OK });
        }
        let rights = self.rights(request.headers())?;
        if !accepts_version_3(request.headers()) {
            return Err(Refusal::new(406));
        }
        if request.uri().path() == "/account/rate-limits" {
            let body = json!({ "remaining": self.bucket.remaining(now) });
            return Ok(Answer { body, next: None, status: StatusCode::OK });
        }
        if !self.bucket.take(now) {
            return Err(Refusal::new(429));
        }
        if call.path == ["account"] && rights != Rights::Global {
            return Err(Refusal::new(403));
        }
        match rights {
            Rights::Read if changes(request.method()) => return Err(Refusal::new(403)),
            Rights::WriteTo(apps) => {
                if let [first, app, ..] = call.path.as_slice()
                    && first == "apps"
                    && self.world.app(app).is_some_and(|app| !apps.contains(app.name()))
                {
                    return Err(Refusal::new(403));
                }
            }
            Rights::Global if call.path == ["oauth", "authorizations"] && call.method == Method::POST => {
                return self.authorize(&call.body, now);
            }
            Rights::Global | Rights::Read | Rights::Write => {}
        }
        routes::route(&mut self.world, &call, now)
    }

    fn authorize(&mut self, body: &Value, now: Timestamp) -> Result<Answer, Refusal> {
        if self.created.len() == limits::SIM_TOKENS_MAX {
            return Err(Refusal::new(422));
        }
        let rights = match authorization::scope(body) {
            Some("global") => Rights::Global,
            Some("read") => Rights::Read,
            Some("write") => Rights::Write,
            _ => return Err(Refusal::new(422)),
        };
        let (token, answer) = authorization::create(rights.scope(), body, &mut self.chance, now);
        self.created.insert(token, rights);
        Ok(answer)
    }

    /// Carries a restart out after `span`, without an answer.
    fn pass_on(&mut self, request: &Request<Bytes>, span: Duration, now: Timestamp) {
        let dyno = self.take_apart(request).ok().and_then(|call| routes::restarted_dyno(&self.world, &call));
        if let Some((app, name)) = dyno {
            self.world.restart_in(span, &app, &name, now);
        }
    }

    fn take_apart<'r>(&self, request: &'r Request<Bytes>) -> Result<Call<'r>, Refusal> {
        let segments = request.uri().path().split('/').filter(|segment| !segment.is_empty());
        let path = segments.map(decode).collect::<Option<Vec<String>>>().ok_or(Refusal::new(400))?;
        let body = match request.body().as_ref() {
            [] => Value::Null,
            bytes => serde_json::from_slice(bytes).map_err(|_| Refusal::new(400))?,
        };
        Ok(Call {
            body,
            headers: request.headers(),
            method: request.method(),
            page_default: self.page_default,
            path,
        })
    }

    fn rights(&self, headers: &HeaderMap) -> Result<Rights, Refusal> {
        let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(token_of);
        let token = token.filter(|token| !token.is_empty()).ok_or(Refusal::new(401))?;
        if let Some(rights) = self.created.get(&token) {
            return Ok(rights.clone());
        }
        if self.tokens.is_empty() {
            return Ok(Rights::Global);
        }
        self.tokens.get(&token).cloned().ok_or(Refusal::new(401))
    }

    fn respond(
        &mut self,
        status: StatusCode,
        body: String,
        next: Option<String>,
        now: Timestamp,
    ) -> Response<Bytes> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("ratelimit-remaining", HeaderValue::from(self.bucket.remaining(now)));
        let mut text_headers = vec![("request-id", self.chance.uuid()), (ETAG.as_str(), entity_tag(&body))];
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
        text_headers.extend(date.ok().map(|date| (DATE.as_str(), date)));
        text_headers.extend(next.map(|next| ("next-range", next)));
        for (name, text) in text_headers {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
        let mut response = Response::new(Bytes::from(body));
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        response
    }
}

/// What a proxy, a login page or an overloaded gateway answers instead of the API: none of its headers.
pub fn gateway_page(status: u16) -> Response<Bytes> {
    let text = format!("<!doctype html><title>{status}</title><h1>{status}</h1>");
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = StatusCode::from_u16(status).expect("gateways answer with real statuses");
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    if response.status().is_redirection() {
        let login = HeaderValue::from_static("https://login.example.com/");
        response.headers_mut().insert(LOCATION, login);
    }
    response
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// `application/vnd.heroku+json; version=3`, or with a variant after it such as `version=3.sdk`.
fn accepts_version_3(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|range| {
        let (kind, parameters) = range.split_once(';').unwrap_or((range, ""));
        let version = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("version="));
        kind.trim() == "application/vnd.heroku+json"
            && version.is_some_and(|version| version == "3" || version.starts_with("3."))
    })
}

/// The token of `Bearer <token>` or of `Basic <base64 of user:token>`.
fn token_of(value: &str) -> Option<String> {
    use base64::Engine as _;

    let (scheme, credentials) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(credentials.trim()).ok()?;
    let pair = String::from_utf8(decoded).ok()?;
    pair.split_once(':').map(|(_, token)| token.to_owned())
}

fn entity_tag(body: &str) -> String {
    let digest = Sha256::digest(body.as_bytes());
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

const HTML: &str = "<!doctype html><title>Heroku</title><h1>We are down for maintenance</h1>";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Method, Request, Response, StatusCode};
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::{Platform, Reply, Rights};
    use crate::app::AppSpec;
    use crate::fault::{Fault, FaultRule, PathRule, Times};
    use crate::status_page::Light;
    use crate::world::World;
    use dynowarden_core::time::later;

    fn at(seconds: u64) -> Timestamp {
        later(Timestamp::from_second(1_767_225_600).expect("2026 is a time"), Duration::from_secs(seconds))
    }

    fn platform() -> Platform {
        let mut world = World::new(1, at(0));
        for name in ["acme", "other"] {
            world.add_app(AppSpec::new(name.parse().expect("a name"), 3), at(0));
        }
        Platform::new(world, 2, at(0))
    }

    fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Bytes> {
        let mut builder = Request::builder()
            .method(method)
            .uri(path)
            .header("accept", "application/vnd.heroku+json; version=3")
            .header("authorization", "Bearer secret");
        let given = builder.headers_mut().expect("the path is well-formed");
        for (name, value) in headers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            given.insert(name, value.parse().expect("a header value"));
        }
        builder.body(Bytes::copy_from_slice(body.as_bytes())).expect("a request")
    }

    fn answered(reply: Reply) -> Response<Bytes> {
        match reply {
            Reply::Answer { response, .. } => response,
            other => panic!("{other:?}"),
        }
    }

    /// The status and the body of a plain call.
    fn call(platform: &mut Platform, method: &str, path: &str, body: &str, now: Timestamp) -> (u16, Value) {
        let response = answered(platform.answer(&request(method, path, &[], body), now));
        let json = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
        (response.status().as_u16(), json)
    }

    #[test]
    fn calls_are_answered_as_in_the_reference() {
        let mut platform = platform();
        for (method, path, body, status, pointer, expect) in [
            ("GET", "/account", "", 200, "/email", json!("owner@example.com")),
            ("GET", "/account/rate-limits", "", 200, "/remaining", json!(4499)),
            ("GET", "/apps", "", 200, "/1/maintenance", json!(false)),
            ("GET", "/apps/acme", "", 200, "/name", json!("acme")),
            ("GET", "/apps/acme", "", 200, "/generation/name", json!("cedar")),
            ("GET", "/apps/acme", "", 200, "/space", Value::Null),
            ("GET", "/apps/nobody", "", 404, "/id", json!("not_found")),
            ("GET", "/apps/acme/dynos/web.2", "", 200, "/state", json!("up")),
            ("GET", "/apps/acme/dynos/web.2", "", 200, "/type", json!("web")),
            ("GET", "/apps/acme/dynos/web.2", "", 200, "/release/version", json!(1)),
            ("GET", "/apps/acme/dynos/web.2", "", 200, "/size", json!("standard-1X")),
            ("GET", "/apps/acme/dynos/web.2", "", 200, "/created_at", json!("2025-12-31T23:00:00Z")),
            ("GET", "/apps/acme/dynos/web%2E2", "", 200, "/name", json!("web.2")),
            ("GET", "/apps/acme/dynos/web.4", "", 404, "/message", json!("Couldn't find that dyno.")),
            ("GET", "/apps/acme/formation", "", 200, "/0/quantity", json!(3)),
            ("GET", "/apps/acme/formation/web", "", 200, "/type", json!("web")),
            ("GET", "/apps/acme/formation/worker", "", 404, "/id", json!("not_found")),
            ("GET", "/apps/acme/releases", "", 200, "/0/version", json!(1)),
            ("GET", "/apps/acme/features/preboot", "", 200, "/enabled", json!(false)),
            ("GET", "/apps/acme/addons", "", 200, "", json!([])),
            ("GET", "/apps/acme/collaborators", "", 200, "/0/role", json!("owner")),
            ("GET", "/apps/acme/pipeline-couplings", "", 404, "/id", json!("not_found")),
            ("GET", "/dyno-sizes", "", 200, "/1/memory", json!(0.5)),
            (
                "POST",
                "/apps/acme/log-drains",
                "{\"url\":\"gopher://x\"}",
                422,
                "/id",
                json!("invalid_params"),
            ),
            ("POST", "/apps/acme/log-drains", "{", 400, "/id", json!("bad_request")),
            ("PATCH", "/apps/acme", "{\"maintenance\":true}", 200, "/maintenance", json!(true)),
            ("PATCH", "/apps/acme/formation/web", "{\"quantity\":2}", 200, "/quantity", json!(2)),
            ("DELETE", "/apps/acme/dynos/worker.1", "", 404, "/id", json!("not_found")),
            ("DELETE", "/apps/acme", "", 404, "/id", json!("not_found")),
            ("GET", "/apps/acme/dynos/%zz", "", 400, "/id", json!("bad_request")),
        ] {
            let (got, answer) = call(&mut platform, method, path, body, at(0));
            assert_eq!((got, answer.pointer(pointer)), (status, Some(&expect)), "{method} {path}: {answer}");
        }
    }

    #[test]
    fn the_status_page_needs_no_token_and_costs_no_call() {
        let mut platform = platform();
        platform.tokens = [("writer".to_owned(), Rights::Write)].into();
        platform.bucket.set(0, at(0));
        for (light, word) in [(Light::Green, "green"), (Light::Yellow, "yellow"), (Light::Red, "red")] {
            platform.apps_light = light;
            let (status, page) = call(&mut platform, "GET", "/api/v4/current-status", "", at(0));
            let apps = json!({ "system": "Apps", "status": word });
            assert_eq!((status, &page["status"][0]), (200, &apps));
        }
    }

    #[test]
    fn a_created_token_has_the_rights_of_its_scope() {
        let mut platform = platform();
        let path = "/oauth/authorizations";
        let (status, answer) = call(&mut platform, "POST", path, "{\"scope\":[\"write\"]}", at(0));
        assert_eq!((status, &answer["scope"]), (201, &json!(["write"])));
        let token = answer["access_token"]["token"].as_str().expect("a token").to_owned();
        assert_eq!(platform.created, [(token, Rights::Write)].into());
        for body in ["{\"scope\":[\"all\"]}", "{\"scope\":[]}"] {
            assert_eq!(call(&mut platform, "POST", path, body, at(0)).0, 422, "{body}");
        }
        for _ in 0..dynowarden_core::limits::SIM_TOKENS_MAX {
            call(&mut platform, "POST", path, "", at(0));
        }
        assert_eq!(call(&mut platform, "POST", path, "", at(0)).0, 422);
    }

    #[test]
    fn calls_without_permission_are_rejected() {
        let mut platform = platform();
        platform.tokens = [
            ("reader".to_owned(), Rights::Read),
            ("writer".to_owned(), Rights::Write),
            ("other".to_owned(), Rights::WriteTo(vec!["other".parse().expect("a name")])),
        ]
        .into();
        for (method, headers, status) in [
            ("GET", [("authorization", "Bearer nobody"), ("range", "id ..")], 401),
            ("GET", [("authorization", "Bearer "), ("range", "id ..")], 401),
            ("GET", [("authorization", "Bearer reader"), ("accept", "application/json")], 406),
            (
                "GET",
                [("authorization", "Bearer reader"), ("accept", "application/vnd.heroku+json; version=30")],
                406,
            ),
            (
                "GET",
                [
                    ("authorization", "Bearer reader"),
                    ("accept", "application/vnd.heroku+json; version=3.sdk"),
                ],
                200,
            ),
            ("GET", [("authorization", "Basic OnJlYWRlcg=="), ("range", "id ..")], 200),
            ("GET", [("authorization", "Bearer reader"), ("range", "nonsense")], 416),
            ("DELETE", [("authorization", "Bearer reader"), ("range", "id ..")], 403),
            ("GET", [("authorization", "Bearer other"), ("range", "id ..")], 403),
            ("DELETE", [("authorization", "Bearer writer"), ("range", "id ..")], 202),
        ] {
            let request = request(method, "/apps/acme/dynos", &headers, "");
            let response = answered(platform.answer(&request, at(0)));
            assert_eq!(response.status().as_u16(), status, "{method} {headers:?}");
        }
    }

    #[test]
    fn a_restart_is_seen_at_once_and_every_kind_of_it_is_recorded() {
        let mut platform = platform();
        let before = call(&mut platform, "GET", "/apps/acme/dynos", "", at(0)).1;
        assert_eq!(call(&mut platform, "DELETE", "/apps/acme/dynos/web.2", "", at(60)), (202, json!({})));
        let after = call(&mut platform, "GET", "/apps/acme/dynos/web.2", "", at(60)).1;
        assert_eq!(after["state"], "starting");
        assert_eq!(after["created_at"], "2026-01-01T00:01:00Z");
        assert!(before.as_array().is_some_and(|dynos| dynos.iter().all(|dyno| dyno["id"] != after["id"])));
        assert_eq!(call(&mut platform, "GET", "/apps/acme/dynos/web.2", "", at(80)).1["state"], "up");

        for path in
            ["/apps/acme/dynos/web", "/apps/acme/formations/web", "/apps/acme/dynos", "/apps/acme/dynos/"]
        {
            assert_eq!(call(&mut platform, "DELETE", path, "", at(100)).0, 202, "{path}");
        }
        let changes: Vec<_> =
            platform.calls().filter(|call| call.is_change()).map(|call| &*call.path).collect();
        assert_eq!(changes.len(), 5, "{changes:?}");
        let starting = call(&mut platform, "GET", "/apps/acme/dynos", "", at(100)).1;
        assert!(
            starting.as_array().is_some_and(|dynos| dynos.iter().all(|dyno| dyno["state"] == "starting"))
        );
    }

    #[test]
    fn drains_are_found_by_id_url_and_token() {
        let mut platform = platform();
        let url = "https://u:p@drain.example/logs/acme";
        let body = json!({ "url": url }).to_string();
        for by in ["id", "url", "token"] {
            let (status, drain) = call(&mut platform, "POST", "/apps/acme/log-drains", &body, at(0));
            assert_eq!((status, &drain["url"], &drain["app"]["name"]), (201, &json!(url), &json!("acme")));
            assert!(drain["token"].as_str().is_some_and(|token| token.starts_with("d.")));
            assert_eq!(call(&mut platform, "POST", "/apps/acme/log-drains", &body, at(0)).0, 422, "taken");
            let key = drain[by].as_str().expect("a text").replace(':', "%3A").replace('/', "%2F");
            let path = format!("/apps/acme/log-drains/{key}");
            assert_eq!(call(&mut platform, "GET", &path, "", at(0)).1, drain);
            assert_eq!(call(&mut platform, "DELETE", &path, "", at(0)), (200, drain));
            assert_eq!(call(&mut platform, "GET", "/apps/acme/log-drains", "", at(0)), (200, json!([])));
        }
    }

    #[test]
    fn a_long_list_comes_in_pages() {
        let mut platform = platform();
        platform.page_default = 2;
        let mut names = Vec::new();
        let mut range = None;
        loop {
            let headers: Vec<_> = range.iter().map(|range: &String| ("range", range.as_str())).collect();
            let response =
                answered(platform.answer(&request("GET", "/apps/acme/dynos", &headers, ""), at(0)));
            let page: Value = serde_json::from_slice(response.body()).expect("JSON");
            names.extend(page.as_array().into_iter().flatten().map(|dyno| dyno["name"].to_string()));
            range = response.headers().get("next-range").map(|next| next.to_str().expect("text").to_owned());
            assert_eq!(response.status(), if range.is_some() { 206 } else { 200 });
            if range.is_none() {
                break;
            }
        }
        names.sort_unstable();
        assert_eq!(names, ["\"web.1\"", "\"web.2\"", "\"web.3\""]);
    }

    #[test]
    fn a_partial_list_looks_complete_and_a_gateway_page_has_none_of_the_api_headers() {
        let mut platform = platform();
        for (items, listed) in [(0, 0), (2, 2), (9, 3)] {
            platform.faults.push(FaultRule::once(Method::GET, "/dynos", Fault::Partial(items)));
            let (status, list) = call(&mut platform, "GET", "/apps/acme/dynos", "", at(0));
            assert_eq!((status, list.as_array().map(Vec::len)), (200, Some(listed)));
        }
        let fault = Fault::Gateway { status: 404, passes_on: None };
        platform.faults.push(FaultRule::once(Method::GET, "/dynos", fault));
        let page = answered(platform.answer(&request("GET", "/apps/acme/dynos", &[], ""), at(0)));
        assert_eq!(
            (page.status(), page.headers()["content-type"].as_bytes()),
            (StatusCode::NOT_FOUND, &b"text/html"[..])
        );
        for own in ["ratelimit-remaining", "request-id", "oauth-scope"] {
            assert!(!page.headers().contains_key(own), "{own}");
        }
        let fault = Fault::Gateway { status: 302, passes_on: None };
        platform.faults.push(FaultRule::once(Method::GET, "/dynos", fault));
        let page = answered(platform.answer(&request("GET", "/apps/acme/dynos", &[], ""), at(0)));
        assert_eq!(page.headers()["location"], "https://login.example.com/");
    }

    #[test]
    fn an_empty_bucket_throttles_and_an_unchanged_response_is_304() {
        let mut platform = platform();
        platform.bucket.set(2, at(0));
        let first = answered(platform.answer(&request("GET", "/apps/acme", &[], ""), at(0)));
        assert_eq!(first.headers()["ratelimit-remaining"], "1");
        let tag = first.headers()["etag"].to_str().expect("text").to_owned();
        let again = platform.answer(&request("GET", "/apps/acme", &[("if-none-match", &tag)], ""), at(0));
        assert_eq!(answered(again).status(), 304);
        assert_eq!(call(&mut platform, "GET", "/apps/acme", "", at(0)).1["id"], "rate_limit");
        assert_eq!(
            call(&mut platform, "GET", "/account/rate-limits", "", at(0)),
            (200, json!({ "remaining": 0 }))
        );
        assert_eq!(call(&mut platform, "GET", "/apps/acme", "", at(1)).0, 200);
    }

    #[test]
    fn faults_affect_only_matching_calls() {
        let path = "/apps/acme/dynos/web.1";
        let id = |platform: &Platform| {
            let app = "acme".parse().expect("a name");
            platform.world.dyno(&app, "web.1").expect("it is there").id
        };
        for (fault, status, done) in [
            (Fault::BreakAfter, None, true),
            (Fault::BreakBefore, None, false),
            (Fault::HangAfter, None, true),
            (Fault::HangBefore, None, false),
            (Fault::Html, Some(200), true),
            (Fault::Late(Duration::from_secs(3)), None, false),
            (Fault::Gateway { status: 504, passes_on: None }, Some(504), false),
            (Fault::Gateway { status: 302, passes_on: Some(Duration::from_secs(2)) }, Some(302), false),
            (Fault::Ignored, Some(202), false),
            (Fault::Slow(Duration::from_secs(9)), Some(202), true),
            (Fault::Status(503), Some(503), false),
            (Fault::WrongJson, Some(202), true),
        ] {
            let mut platform = platform();
            let before = id(&platform);
            platform.faults.push(FaultRule::once(Method::DELETE, "/web.1", fault.clone()));
            platform.answer(&request("DELETE", path, &[], ""), at(0));
            let record = platform.calls().last().expect("it is recorded").clone();
            assert_eq!((record.status, record.fault.as_ref()), (status, Some(&fault)));
            assert_eq!(id(&platform) != before, done, "{fault:?}");
            platform.world.advance(at(3));
            let is_late = matches!(fault, Fault::Late(_) | Fault::Gateway { passes_on: Some(_), .. });
            assert_eq!(id(&platform) != before, done || is_late, "{fault:?}");
            assert_eq!(call(&mut platform, "DELETE", path, "", at(4)).0, 202, "it strikes once");
        }
    }

    #[test]
    fn spoiled_responses_are_spoiled_in_lists_too() {
        let mut platform = platform();
        for (fault, path, pointer, expect) in [
            (
                Fault::UnknownState("dreaming".into()),
                "/apps/acme/dynos/web.1",
                "/state",
                Some(json!("dreaming")),
            ),
            (Fault::UnknownState("dreaming".into()), "/apps/acme/dynos", "/2/state", Some(json!("dreaming"))),
            (Fault::MissingField("created_at".into()), "/apps/acme/dynos", "/1/created_at", None),
            (Fault::WrongType("id".into()), "/apps/acme/dynos/web.1", "/id", Some(json!([[0]]))),
        ] {
            platform.faults = vec![FaultRule::once(Method::GET, path, fault.clone())];
            let (status, body) = call(&mut platform, "GET", path, "", at(0));
            assert_eq!((status, body.pointer(pointer)), (200, expect.as_ref()), "{fault:?}");
        }
        platform.faults = vec![FaultRule {
            fault: Fault::Status(500),
            method: None,
            path: PathRule::Any,
            times: Times::Permille(300),
        }];
        let failed = (0..1000).filter(|_| call(&mut platform, "GET", "/apps", "", at(0)).0 == 500).count();
        assert!((200..400).contains(&failed), "{failed}");
    }
}
