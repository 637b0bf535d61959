//! The meaning of a receiver's response, and the client that posts.

use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use jiff::Timestamp;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::http_client;
use dynowarden_core::incident::kind::Kind;
use dynowarden_core::incident::message::{Improved, Message, Phase};
use dynowarden_core::limits;
use dynowarden_core::time::{Now, since};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Sent,
    /// Not now; a retry may help.
    Retry {
        /// `Retry-After`.
        after: Option<Duration>,
        /// Free of secrets.
        why: String,
    },
    /// The receiver rejected it, and will reject it later.
    Refused {
        /// Free of secrets.
        why: String,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Poster {
    client: reqwest::Client,
    timeout: Duration,
    url: SecretString,
}

/// Texts to be hidden if a receiver's response repeats them.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets(Vec<SecretString>);

pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The beginning of its body.
    pub(super) text: String,
    retry_after: Option<Duration>,
}

// === impl Secrets ===

impl Secrets {
    /// Keeps those texts that are long enough to be recognised.
    pub(super) fn new(texts: impl IntoIterator<Item = String>) -> Self {
        let long = texts.into_iter().filter(|text| text.len() >= SECRET_BYTES_LEAST);
        Self(long.map(SecretString::from).collect())
    }

    /// The parts of a URL's path and its query: in such URLs any of them may be the key.
    pub(super) fn of_url(url: &SecretString) -> Self {
        let Ok(url) = Url::parse(url.expose_secret()) else { return Self::default() };
        let path = url.path().split('/').map(str::to_owned);
        let query = url.query_pairs().map(|(_, value)| value.into_owned());
        let own = [url.username().to_owned(), url.password().unwrap_or_default().to_owned()];
        let mut texts: Vec<String> = path.chain(query).chain(own).collect();
        // Longest first: otherwise hiding a part of a text would leave the rest of it visible.
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self::new(texts)
    }

    /// `text` without the secrets.
    pub(super) fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose_secret(), "…"))
    }
}

const SECRET_BYTES_LEAST: usize = 4;

// === impl Poster ===

impl Poster {
    /// # Errors
    /// HTTPS is not available here.
    pub(super) fn new(url: &SecretString, timeout: Duration) -> Result<Self, reqwest::Error> {
        let client = http_client::builder(url.expose_secret(), timeout).build()?;
        Ok(Self { client, timeout, url: url.clone() })
    }

    /// The secrets to be hidden in its responses.
    pub(super) fn secrets(&self) -> Secrets {
        Secrets::of_url(&self.url)
    }

    /// Posts JSON to a receiver whose status says all.
    pub(super) async fn post_json(&self, body: &Value, now: Now) -> Delivery {
        match self.post(HeaderMap::new(), body.to_string().into_bytes(), now.wall).await {
            Ok(answer) => answer.delivery(),
            Err(delivery) => delivery,
        }
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// There was no response; returns the resulting delivery.
    pub(super) async fn post(
        &self,
        headers: HeaderMap,
        body: Vec<u8>,
        now: Timestamp,
    ) -> Result<Answer, Delivery> {
        let request = self
            .client
            .post(self.url.expose_secret())
            .headers(headers)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))
            .body(body);
        let mut response = request.send().await.map_err(|error| self.no_answer(error))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers(), now));
        let mut text = Vec::new();
        while text.len() < limits::RECEIVER_ANSWER_BYTES_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => text.extend_from_slice(&chunk),
                Ok(None) => break,
                // The status is known and says most; only a success needs its body.
                Err(error) if status.is_success() => return Err(self.no_answer(error)),
                Err(_) => break,
            }
        }
        text.truncate(limits::RECEIVER_ANSWER_BYTES_MAX);
        Ok(Answer { status, text: String::from_utf8_lossy(&text).into_owned(), retry_after })
    }

    fn no_answer(&self, error: reqwest::Error) -> Delivery {
        Delivery::Retry { after: None, why: http_client::no_answer(error, self.timeout) }
    }
}

/// How a message is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// It needs a person, or a restart did not help.
    Bad,
    Good,
    Neutral,
    Warning,
}

pub(super) fn mood(message: &Message) -> Mood {
    let did_not_help = message
        .dynos
        .iter()
        .any(|dyno| dyno.proof.as_ref().is_some_and(|proof| proof.helped == Improved::No));
    match (message.kind, message.phase) {
        (kind, _) if kind.is_loud() => Mood::Bad,
        _ if did_not_help => Mood::Bad,
        (Kind::Recovered, _) | (_, Phase::Closed) => Mood::Good,
        (Kind::Digest | Kind::Test, _) => Mood::Neutral,
        _ => Mood::Warning,
    }
}

/// At most so many characters of a text, without control characters except line breaks.
pub(super) fn clipped(text: &str, chars_max: usize) -> String {
    let is_plain = |c: char| c == '\n' || !c.is_control();
    let mut out: String = text.chars().map(|c| if is_plain(c) { c } else { ' ' }).take(chars_max).collect();
    if text.chars().nth(chars_max).is_some() {
        out.push('…');
    }
    out
}

/// The last line of a message for people.
pub(super) fn footer(message: &Message) -> String {
    let since = message.opened_at.strftime("%Y-%m-%d %H:%M:%SZ");
    let (kind, phase) = (message.kind, message.phase.word());
    format!("dynowarden · {kind} · {phase} · incident {} since {since}", message.incident)
}

/// `Retry-After`: seconds or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => since(now, jiff::fmt::rfc2822::parse(text).ok()?.timestamp()),
    };
    Some(wait.min(limits::DELIVERY_RETRY_AFTER_MAX))
}

// === impl Answer ===

impl Answer {
    /// The meaning of its status.
    pub(super) fn delivery(&self) -> Delivery {
        let why = format!("it answered {}", self.status);
        match self.status {
            status if status.is_success() => Delivery::Sent,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Delivery::Retry { after: self.retry_after, why }
            }
            status if status.is_server_error() => Delivery::Retry { after: self.retry_after, why },
            // A redirect may lead anywhere, and this body is for one receiver only.
            _ => Delivery::Refused { why },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;
    use http::header::{HeaderValue, RETRY_AFTER};
    use jiff::Timestamp;

    use super::{Secrets, retry_after};

    #[test]
    fn retry_after_is_a_number_or_a_date() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        for (text, expect) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("99999999", Some(3600)),
            ("Fri, 02 Jan 2026 03:05:05 GMT", Some(60)),
            ("Fri, 02 Jan 2026 03:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), expect.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn secrets_that_a_receiver_repeats_are_hidden() {
        let url = "https://user:word@hooks.example.com/services/T000/B000/s3cr3t?key=hidden".into();
        let answer = "Cannot POST \\/services\\/T000\\/B000\\/s3cr3t?key=hidden for user:word, no_team";
        let expect = "Cannot POST \\/…\\/…\\/…\\/…?key=… for …:…, no_team";
        assert_eq!(Secrets::of_url(&url).hide(answer), expect);
        assert_eq!(Secrets::of_url(&"https://example.com/".into()).hide("no_team"), "no_team");
    }
}
