//! Requests to the Platform API: one request out, one response in, within its bounds.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RANGE, RETRY_AFTER};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::Url;
use secrecy::ExposeSecret;

use crate::config::settings::HerokuSettings;
use crate::heroku::ClientError;
use crate::heroku::call::Call;
use crate::http_client::{self, no_answer};
use crate::metrics::Metrics;
use dynowarden_core::api::ApiError;
use dynowarden_core::api::answer::Failure;
use dynowarden_core::limits;

/// Sends requests with the token.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    authorization: HeaderValue,
    base: String,
    client: reqwest::Client,
    /// `Date` of the last response in seconds since 1970; 0 before the first.
    date: Arc<AtomicI64>,
    metrics: Arc<Metrics>,
    request_timeout: Duration,
    scope: Arc<OnceLock<String>>,
}

/// A 2xx.
pub(super) struct Page {
    pub(super) body: Vec<u8>,
    /// `Next-Range` of a 206.
    pub(super) next: Option<HeaderValue>,
    pub(super) is_partial: bool,
}

/// A response whose body is a sentence.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) body: Result<Vec<u8>, ApiError>,
    /// `Retry-After`.
    pub(super) wait: Option<Duration>,
}

pub(super) enum Miss {
    ApiError(ApiError),
    NotFound,
}

pub(super) enum Fault {
    NotSent(String),
    /// It may have arrived.
    Lost(String),
}

impl Transport {
    pub(super) fn new(settings: &HerokuSettings, metrics: Arc<Metrics>) -> Result<Self, ClientError> {
        let token = settings.api_key.as_ref().ok_or(ClientError::NoToken)?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
            .map_err(|_| ClientError::Token)?;
        authorization.set_sensitive(true);
        let base = Url::parse(&settings.api_url).map_err(|_| ClientError::Url)?;
        let mut builder = http_client::builder(&settings.api_url, settings.request_timeout)
            .user_agent(USER_AGENT)
            .connect_timeout(settings.request_timeout.min(limits::API_CONNECT))
            .https_only(base.scheme() == "https");
        if base.scheme() == "http" {
            // A machine without certificates can still use a Platform API without TLS.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self {
            authorization,
            base: settings.api_url.clone(),
            client: builder.build().map_err(ClientError::Tls)?,
            date: Arc::default(),
            metrics,
            request_timeout: settings.request_timeout,
            scope: Arc::default(),
        })
    }

    /// Counts a call by its outcome.
    pub(super) fn count(&self, call: &'static str, outcome: &'static str) {
        self.metrics.api_request(call, outcome);
    }

    /// A 2xx, read in full and counted.
    pub(super) async fn page(
        &self,
        call: Call<'_>,
        range: Option<HeaderValue>,
        tokens: &mut Option<u32>,
    ) -> Result<Page, Miss> {
        let page = self.page_uncounted(call, range, tokens).await;
        self.count(
            call.label(),
            match &page {
                Ok(_) => "ok",
                Err(Miss::NotFound) => "not_found",
                Err(Miss::ApiError(error)) => error.label(),
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
        let response = match self.send(call, range, tokens).await {
            Ok(response) => response,
            Err(Fault::NotSent(what) | Fault::Lost(what)) => {
                return Err(Miss::ApiError(ApiError::Unreachable { what }));
            }
        };
        match response.status() {
            status if status.is_success() => {
                let next = response.headers().get("next-range").cloned();
                let is_partial = status == StatusCode::PARTIAL_CONTENT;
                let body = self.body(response, limits::API_BODY_BYTES_MAX).await.map_err(Miss::ApiError)?;
                Ok(Page { body, next, is_partial })
            }
            _ => {
                let Response { status, body, wait } = self.whole(response).await;
                // A body that breaks off is not the API's own error.
                Err(match Failure::of(status.as_u16(), &body.unwrap_or_default(), wait) {
                    Failure::NotFound => Miss::NotFound,
                    Failure::Error(error) => Miss::ApiError(error),
                })
            }
        }
    }

    /// Sends a request once, and notes the date, the scope and the remaining calls in its response.
    pub(super) async fn send(
        &self,
        call: Call<'_>,
        range: Option<HeaderValue>,
        tokens: &mut Option<u32>,
    ) -> Result<reqwest::Response, Fault> {
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
        let response = request.send().await.map_err(|error| {
            let never_left = error.is_connect() || error.is_builder();
            let what = no_answer(error, self.request_timeout);
            if never_left { Fault::NotSent(what) } else { Fault::Lost(what) }
        })?;
        if let Some(date) = date(response.headers()) {
            self.date.store(date.as_second(), Ordering::Relaxed);
        }
        *tokens = self.tokens(response.headers()).or(*tokens);
        Ok(response)
    }

    /// Reads a short response in full.
    pub(super) async fn whole(&self, response: reqwest::Response) -> Response {
        let (status, wait) = (response.status(), retry_after(response.headers()));
        Response { status, wait, body: self.body(response, SHORT_BYTES_MAX).await }
    }

    async fn body(&self, mut response: reqwest::Response, bytes_max: usize) -> Result<Vec<u8>, ApiError> {
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => return Ok(body),
                Ok(Some(chunk)) if chunk.len() <= bytes_max - body.len() => body.extend_from_slice(&chunk),
                Ok(Some(_)) => {
                    return Err(ApiError::Garbled {
                        what: format!("its response exceeds {bytes_max} bytes"),
                    });
                }
                Err(error) => {
                    return Err(ApiError::Unreachable { what: no_answer(error, self.request_timeout) });
                }
            }
        }
    }

    pub(super) fn date(&self) -> Option<Timestamp> {
        let seconds = self.date.load(Ordering::Relaxed);
        Timestamp::from_second(seconds).ok().filter(|_| seconds != 0)
    }

    pub(super) fn scope(&self) -> Option<&str> {
        self.scope.get().map(String::as_str)
    }

    /// The account's remaining calls by this response.
    fn tokens(&self, headers: &HeaderMap) -> Option<u32> {
        if self.scope.get().is_none()
            && let Some(scope) = headers.get("oauth-scope").and_then(|value| value.to_str().ok())
        {
            self.scope.get_or_init(|| scope.chars().take(limits::QUOTED_CHARS_MAX).collect());
        }
        let remaining = headers.get("ratelimit-remaining")?.to_str().ok()?.trim().parse().ok()?;
        self.metrics.api_tokens(remaining);
        Some(remaining)
    }
}

const USER_AGENT: &str =
    concat!("dynowarden/", env!("CARGO_PKG_VERSION"), " (restarts dynos that are out of memory)");

/// <https://devcenter.heroku.com/articles/platform-api-reference#clients>
const ACCEPTED: &str = "application/vnd.heroku+json; version=3";

/// The body of an error, or of the answer to a DELETE.
const SHORT_BYTES_MAX: usize = 16 * 1024;

/// When the response was made, by its server's clock.
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    rfc2822::parse(headers.get(DATE)?.to_str().ok()?).ok().map(|date| date.timestamp())
}

/// `Retry-After` in seconds; the API does not use dates here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(limits::API_WAIT_MAX))
}
