//! The hands: the few calls of the Platform API that this program can make, and what each answer means.
//!
//! The list of calls is compiled in ([`Call`]); a path is made of typed names only, so there is no way
//! to restart a whole process type or a whole app from here. Nothing is tried twice here either: whether
//! to ask again is the engine's to decide, after a look.

mod call;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE, RETRY_AFTER};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use crate::config::settings::HerokuSettings;
use crate::engine::view::{Blind, Deletion, Seen, View};
use crate::ident::{AppName, DynoName, ProcessType};
use crate::limits;
use crate::platform_json::{self, Account, AppInfo, Drain, Feature, Formation, Garbled};
use crate::shell::heroku::call::Call;
use crate::shell::metrics::Metrics;
use crate::time::spoken;

/// A client of the Platform API; cheap to clone.
#[derive(Clone, Debug)]
pub struct Heroku {
    authorization: HeaderValue,
    base: String,
    client: reqwest::Client,
    metrics: Arc<Metrics>,
    request_timeout: Duration,
}

/// An answer, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered<T> {
    /// What was answered.
    pub value: T,
    /// `RateLimit-Remaining` of the last answer: the calls that are left to the account.
    pub tokens_remaining: Option<u32>,
}

impl<T> Answered<T> {
    /// The same answer, as something else.
    pub fn map<U>(self, into: impl FnOnce(T) -> U) -> Answered<U> {
        Answered { value: into(self.value), tokens_remaining: self.tokens_remaining }
    }
}

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no token.
    #[error("there is no HEROKU_API_KEY")]
    NoToken,
    /// The token could not be sent.
    #[error("HEROKU_API_KEY has characters that no token has, such as a line break")]
    Token,
    /// The system's certificates or the TLS library are not usable.
    #[error("HTTPS is not available here")]
    Tls(#[source] reqwest::Error),
    /// The API's address is no URL.
    #[error("HEROKU_API_URL is not a URL such as https://api.heroku.com")]
    Url,
}

/// A 2xx.
struct Page {
    body: Vec<u8>,
    /// Where the rest of a list is, for a 206.
    next: Option<HeaderValue>,
    is_partial: bool,
}

/// Why there is no page.
enum Miss {
    Blind(Blind),
    NotFound,
}

/// Why there is no answer.
enum Fault {
    /// The request never left.
    NotSent(String),
    /// It may have arrived.
    Lost(String),
}

// === impl Heroku ===

impl Heroku {
    /// A client with the token and the address of the settings.
    ///
    /// # Errors
    /// There is no usable token, address or TLS.
    pub fn new(settings: &HerokuSettings, metrics: Arc<Metrics>) -> Result<Self, ClientError> {
        let token = settings.api_key.as_ref().ok_or(ClientError::NoToken)?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
            .map_err(|_| ClientError::Token)?;
        authorization.set_sensitive(true);
        let base = Url::parse(&settings.api_url).map_err(|_| ClientError::Url)?;
        // The other side may have installed it already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(settings.request_timeout.min(limits::API_CONNECT))
            .timeout(settings.request_timeout)
            .pool_idle_timeout(POOL_IDLE)
            .https_only(base.scheme() == "https");
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        Ok(Self {
            authorization,
            base: settings.api_url.clone(),
            client: builder.build().map_err(ClientError::Tls)?,
            metrics,
            request_timeout: settings.request_timeout,
        })
    }

    /// All dynos of the listed process types, then the one in question by its own name.
    pub async fn look(
        &self,
        app: &AppName,
        listed: &[ProcessType],
        dyno: Option<&DynoName>,
    ) -> Answered<Result<View, Blind>> {
        let mut tokens = None;
        let list = |body: &[u8]| platform_json::dynos(body, listed);
        let value = match self.list(Call::Dynos(app), list, &mut tokens).await {
            Err(blind) => Err(blind),
            Ok(formation) => match dyno {
                None => Ok(View { dyno: None, formation }),
                Some(name) => {
                    let one = self.one_dyno(app, name, &mut tokens).await;
                    one.map(|dyno| View { dyno, formation })
                }
            },
        };
        Answered { value, tokens_remaining: tokens }
    }

    /// One dyno by its name; none when the API knows none of that name.
    pub async fn peek(&self, app: &AppName, dyno: &DynoName) -> Answered<Result<Option<Seen>, Blind>> {
        let mut tokens = None;
        let value = self.one_dyno(app, dyno, &mut tokens).await;
        Answered { value, tokens_remaining: tokens }
    }

    /// `DELETE` of exactly one dyno: the platform replaces it.
    pub async fn delete(&self, app: &AppName, dyno: &DynoName) -> Answered<Deletion> {
        let call = Call::DeleteDyno(app, dyno);
        let mut tokens = None;
        let value = match self.send(call, None).await {
            Err(Fault::NotSent(what)) => Deletion::Refused(Blind::Unreachable { what }),
            Err(Fault::Lost(what)) => Deletion::Lost { what },
            Ok(response) => {
                tokens = self.tokens(response.headers());
                let status = response.status();
                match status {
                    _ if status.is_success() => Deletion::Accepted,
                    StatusCode::NOT_FOUND => Deletion::Gone,
                    // Whoever answered so may have passed the request on before.
                    _ if is_passing(status) => Deletion::Lost { what: format!("answered {status}") },
                    _ => Deletion::Refused(self.refusal(response).await),
                }
            }
        };
        self.metrics.api_request(
            call.label(),
            match &value {
                Deletion::Accepted => "ok",
                Deletion::Gone => "not_found",
                Deletion::Lost { .. } => "lost",
                Deletion::Refused(blind) => blind.label(),
            },
        );
        Answered { value, tokens_remaining: tokens }
    }

    /// Whose token it is.
    pub async fn account(&self) -> Answered<Result<Account, Blind>> {
        self.fetch(Call::Account, platform_json::plain).await
    }

    /// What an app is.
    pub async fn app(&self, app: &AppName) -> Answered<Result<AppInfo, Blind>> {
        self.fetch(Call::App(app), platform_json::app).await
    }

    /// The calls left to the account, at the price of none.
    pub async fn rate_limits(&self) -> Answered<Result<u32, Blind>> {
        let answered = self.fetch(Call::RateLimits, platform_json::rate_limits).await;
        let tokens_remaining = answered.value.as_ref().ok().copied().or(answered.tokens_remaining);
        Answered { tokens_remaining, ..answered }
    }

    /// An app's drains.
    pub async fn drains(&self, app: &AppName) -> Answered<Result<Vec<Drain>, Blind>> {
        self.fetch_list(Call::Drains(app), platform_json::drains).await
    }

    /// Registers a drain.
    pub async fn create_drain(&self, app: &AppName, url: &SecretString) -> Answered<Result<Drain, Blind>> {
        self.fetch(Call::CreateDrain(app, url), platform_json::drain).await
    }

    /// How many dynos each process type of an app should have.
    pub async fn formation(&self, app: &AppName) -> Answered<Result<Vec<Formation>, Blind>> {
        self.fetch_list(Call::Formation(app), platform_json::plain).await
    }

    /// Which features an app has switched on.
    pub async fn features(&self, app: &AppName) -> Answered<Result<Vec<Feature>, Blind>> {
        self.fetch_list(Call::Features(app), platform_json::plain).await
    }

    async fn one_dyno(
        &self,
        app: &AppName,
        name: &DynoName,
        tokens: &mut Option<u32>,
    ) -> Result<Option<Seen>, Blind> {
        match self.page(Call::Dyno(app, name), None, tokens).await {
            Err(Miss::NotFound) => Ok(None),
            Err(Miss::Blind(blind)) => Err(blind),
            Ok(page) => match platform_json::dyno(&page.body) {
                Ok(seen) if seen.name == *name => Ok(Some(seen)),
                Ok(seen) => {
                    Err(Blind::Garbled { what: format!("asked for {name}, it told of {}", seen.name) })
                }
                Err(garbled) => Err(unreadable(&garbled)),
            },
        }
    }

    async fn fetch<T>(
        &self,
        call: Call<'_>,
        decode: impl Fn(&[u8]) -> Result<T, Garbled>,
    ) -> Answered<Result<T, Blind>> {
        let mut tokens = None;
        let value = match self.page(call, None, &mut tokens).await {
            Ok(page) => decode(&page.body).map_err(|garbled| unreadable(&garbled)),
            Err(miss) => Err(miss.blind(call)),
        };
        Answered { value, tokens_remaining: tokens }
    }

    async fn fetch_list<T>(
        &self,
        call: Call<'_>,
        decode: impl Fn(&[u8]) -> Result<Vec<T>, Garbled>,
    ) -> Answered<Result<Vec<T>, Blind>> {
        let mut tokens = None;
        let value = self.list(call, decode, &mut tokens).await;
        Answered { value, tokens_remaining: tokens }
    }

    /// All pages of a list.
    async fn list<T>(
        &self,
        call: Call<'_>,
        decode: impl Fn(&[u8]) -> Result<Vec<T>, Garbled>,
        tokens: &mut Option<u32>,
    ) -> Result<Vec<T>, Blind> {
        let mut all = Vec::new();
        let mut range = None;
        for _ in 0..limits::API_PAGES_MAX {
            let page = self.page(call, range, tokens).await.map_err(|miss| miss.blind(call))?;
            all.extend(decode(&page.body).map_err(|garbled| unreadable(&garbled))?);
            match (page.is_partial, page.next) {
                (false, _) => return Ok(all),
                (true, Some(next)) => range = Some(next),
                (true, None) => {
                    let what = "a list is cut off, and the answer does not say where it goes on".to_owned();
                    return Err(Blind::Garbled { what });
                }
            }
        }
        Err(Blind::Garbled { what: format!("a list has more than {} pages", limits::API_PAGES_MAX) })
    }

    async fn page(
        &self,
        call: Call<'_>,
        range: Option<HeaderValue>,
        tokens: &mut Option<u32>,
    ) -> Result<Page, Miss> {
        let page = self.page_uncounted(call, range, tokens).await;
        self.metrics.api_request(
            call.label(),
            match &page {
                Ok(_) => "ok",
                Err(Miss::NotFound) => "not_found",
                Err(Miss::Blind(blind)) => blind.label(),
            },
        );
        page
    }

    async fn page_uncounted(
        &self,
        call: Call<'_>,
        range: Option<HeaderValue>,
        tokens: &mut Option<u32>,
    ) -> Result<Page, Miss> {
        let response = match self.send(call, range).await {
            Ok(response) => response,
            Err(Fault::NotSent(what) | Fault::Lost(what)) => {
                return Err(Miss::Blind(Blind::Unreachable { what }));
            }
        };
        *tokens = self.tokens(response.headers()).or(*tokens);
        match response.status() {
            StatusCode::NOT_FOUND => Err(Miss::NotFound),
            status if status.is_success() => {
                let next = response.headers().get("next-range").cloned();
                let is_partial = status == StatusCode::PARTIAL_CONTENT;
                let body = self.body(response, limits::API_BODY_BYTES_MAX).await.map_err(Miss::Blind)?;
                Ok(Page { body, next, is_partial })
            }
            _ => Err(Miss::Blind(self.refusal(response).await)),
        }
    }

    async fn send(&self, call: Call<'_>, range: Option<HeaderValue>) -> Result<reqwest::Response, Fault> {
        let url = format!("{}{}", self.base, call.path());
        let mut request = self
            .client
            .request(call.method(), url)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, HeaderValue::from_static(ACCEPTED));
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        if let Some(body) = call.body() {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body);
        }
        request.send().await.map_err(|error| {
            let never_left = error.is_connect() || error.is_builder();
            let what = self.what_happened(error);
            if never_left { Fault::NotSent(what) } else { Fault::Lost(what) }
        })
    }

    /// What a status that is neither 2xx nor a plain 404 means.
    async fn refusal(&self, response: reqwest::Response) -> Blind {
        let status = response.status();
        let wait = retry_after(response.headers());
        if is_passing(status) {
            return Blind::Unreachable { what: format!("it answered {status}") };
        }
        // What the body says only names the refusal; without it, it is one all the same.
        let body = self.body(response, ERROR_BYTES_MAX).await.unwrap_or_default();
        let id = platform_json::error_id(&body);
        match status {
            StatusCode::UNAUTHORIZED => Blind::Unauthorized,
            StatusCode::PAYMENT_REQUIRED | StatusCode::FORBIDDEN => {
                Blind::Forbidden { status: status.as_u16(), id }
            }
            StatusCode::TOO_MANY_REQUESTS => Blind::Throttled { wait },
            _ => Blind::Refused { status: status.as_u16(), id },
        }
    }

    async fn body(&self, mut response: reqwest::Response, bytes_max: usize) -> Result<Vec<u8>, Blind> {
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => return Ok(body),
                Ok(Some(chunk)) if chunk.len() <= bytes_max - body.len() => body.extend_from_slice(&chunk),
                Ok(Some(_)) => {
                    return Err(Blind::Garbled { what: format!("its answer is over {bytes_max} bytes") });
                }
                Err(error) => return Err(Blind::Unreachable { what: self.what_happened(error) }),
            }
        }
    }

    fn tokens(&self, headers: &HeaderMap) -> Option<u32> {
        let remaining = headers.get("ratelimit-remaining")?.to_str().ok()?.trim().parse().ok()?;
        self.metrics.api_tokens(remaining);
        Some(remaining)
    }

    /// An error and its causes in one line. There is no secret in it: the token is in no URL, and reqwest
    /// shows no headers.
    fn what_happened(&self, error: reqwest::Error) -> String {
        if error.is_timeout() {
            return format!("no answer within {}", spoken(self.request_timeout));
        }
        let error = error.without_url();
        let mut line = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            line = format!("{line}: {next}");
            cause = next.source();
        }
        line.chars().take(WHAT_CHARS_MAX).collect()
    }
}

const USER_AGENT: &str =
    concat!("dynowarden/", env!("CARGO_PKG_VERSION"), " (restarts dynos that are out of memory)");

/// <https://devcenter.heroku.com/articles/platform-api-reference#clients>
const ACCEPTED: &str = "application/vnd.heroku+json; version=3";

/// Shorter than any idle time-out on the way, so that no call goes out on a connection that is just
/// being closed: a DELETE whose fate is unknown costs a look.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// An error's body is a sentence.
const ERROR_BYTES_MAX: usize = 16 * 1024;

const WHAT_CHARS_MAX: usize = 200;

/// Answers of something in trouble, or in between: asking again may help.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT
}

/// `Retry-After` in seconds; its other form, a date, does not occur here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(limits::API_WAIT_MAX))
}

fn unreadable(garbled: &Garbled) -> Blind {
    Blind::Garbled { what: garbled.to_string() }
}

/// A proxy of the environment is for the world outside.
fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

// === impl Miss ===

impl Miss {
    fn blind(self, call: Call<'_>) -> Blind {
        match self {
            Self::Blind(blind) => blind,
            Self::NotFound if call.is_about_app() => Blind::NoSuchApp,
            Self::NotFound => {
                Blind::Refused { status: StatusCode::NOT_FOUND.as_u16(), id: "not_found".to_owned() }
            }
        }
    }
}
