//! JSON for all other receivers, as described in `docs/webhook.md`.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use sha2::Sha256;

use crate::notify::delivery::{Delivery, Poster};
use dynowarden_core::codes;
use dynowarden_core::incident::message::{DynoReport, Message, RestartEffect, quota_megabytes};
use dynowarden_core::record::MemoryReading;
use dynowarden_core::time::Now;
use dynowarden_core::traffic::Figures;

#[derive(Clone, Debug)]
pub(super) struct Webhook {
    poster: Poster,
    secret: Option<SecretString>,
}

impl Webhook {
    /// # Errors
    /// HTTPS is not available here.
    pub(super) fn new(
        url: &SecretString,
        secret: Option<SecretString>,
        timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self { poster: Poster::new(url, timeout)?, secret })
    }

    pub(super) async fn deliver(&self, message: &Message, now: Now) -> Delivery {
        let body = body(message);
        let headers = headers(message, &body, self.secret.as_ref(), now.wall);
        match self.poster.post(headers, body, now.wall).await {
            Ok(answer) => answer.delivery(),
            Err(delivery) => delivery,
        }
    }
}

/// The version of the body's schema; it grows when a reader of the previous one would misread the next.
const VERSION: u32 = 1;

fn headers(message: &Message, body: &[u8], secret: Option<&SecretString>, now: Timestamp) -> HeaderMap {
    let sent = now.as_second();
    let mut headers = HeaderMap::new();
    let mut add = |name: &'static str, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    add("x-dynowarden-delivery", &message.id);
    // The same for every try, so that a receiver can ignore duplicates.
    add("idempotency-key", &message.id);
    add("x-dynowarden-kind", message.kind.word());
    add("x-dynowarden-timestamp", &sent.to_string());
    if let Some(secret) = secret {
        add("x-dynowarden-signature", &format!("t={sent},v1={}", signature(secret, sent, body)));
    }
    headers
}

/// The hexadecimal HMAC-SHA256 of `<t>.<body>`. The time in it prevents replay of an old message.
fn signature(secret: &SecretString, sent: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(format!("{sent}.").as_bytes());
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|octet| format!("{octet:02x}")).collect()
}

fn body(message: &Message) -> Vec<u8> {
    serde_json::to_vec(&Body::of(message)).expect("the body has string keys and finite numbers only")
}

// === The schema ===

#[derive(Serialize)]
struct Body<'a> {
    version: u32,
    id: &'a str,
    incident: &'a str,
    at: String,
    opened_at: String,
    kind: &'static str,
    phase: &'static str,
    loud: bool,
    /// The first of `apps` and of `dynos`, for receivers that expect one of each.
    app: Option<&'a str>,
    dyno: Option<String>,
    apps: Vec<&'a str>,
    title: &'a str,
    text: String,
    next_step: Option<String>,
    /// Our page about it, where `public_url` is set; Heroku's metrics of the app.
    url: Option<&'a str>,
    dashboard_url: Option<&'a str>,
    dynos: Vec<DynoBody<'a>>,
}

#[derive(Serialize)]
struct DynoBody<'a> {
    name: Option<String>,
    rule: &'a str,
    code: Option<String>,
    code_title: Option<&'static str>,
    reports: u32,
    memory: Option<MemoryBody>,
    state: &'static str,
    text: &'a str,
    out_seconds: Option<u64>,
    returned_after_seconds: Option<u64>,
    proof: Option<ProofBody>,
}

#[derive(Serialize)]
struct ProofBody {
    helped: &'static str,
    watched_seconds: u64,
    back_after_seconds: Option<u64>,
    before: Option<FiguresBody>,
    after: Option<FiguresBody>,
}

#[derive(Serialize)]
struct FiguresBody {
    requests: u64,
    errors_5xx: u64,
    timeouts_h12: u64,
    service_p95_ms: Option<u64>,
    memory: Option<MemoryBody>,
}

#[derive(Serialize)]
struct MemoryBody {
    at: String,
    used_mb: f64,
    quota_mb: Option<u64>,
    percent: f64,
}

impl<'a> Body<'a> {
    fn of(message: &'a Message) -> Self {
        let dynos: Vec<DynoBody<'_>> = message.dynos.iter().map(DynoBody::of).collect();
        Self {
            version: VERSION,
            id: &message.id,
            incident: &message.incident,
            at: message.at.to_string(),
            opened_at: message.opened_at.to_string(),
            kind: message.kind.word(),
            phase: message.phase.word(),
            loud: message.kind.is_loud(),
            app: message.apps.first().map(|app| app.as_str()),
            dyno: dynos.first().and_then(|dyno| dyno.name.clone()),
            apps: message.apps.iter().map(|app| app.as_str()).collect(),
            title: &message.title,
            text: message.body.join("\n"),
            next_step: message.next_step.as_ref().map(ToString::to_string),
            url: message.links.page.as_deref(),
            dashboard_url: message.links.dashboard.as_deref(),
            dynos,
        }
    }
}

impl<'a> DynoBody<'a> {
    fn of(dyno: &'a DynoReport) -> Self {
        let entry = dyno.code.and_then(codes::entry);
        Self {
            name: dyno.name.as_ref().map(ToString::to_string),
            rule: &dyno.rule,
            code: dyno.code.map(|code| code.to_string()),
            code_title: entry.map(|entry| entry.title),
            reports: dyno.reports,
            memory: dyno.memory.map(MemoryBody::of),
            state: dyno.state,
            text: &dyno.text,
            out_seconds: dyno.out_for.map(|span| span.as_secs()),
            returned_after_seconds: dyno.returned_after.map(|span| span.as_secs()),
            proof: dyno.proof.as_ref().map(ProofBody::of),
        }
    }
}

impl ProofBody {
    fn of(proof: &RestartEffect) -> Self {
        Self {
            helped: proof.helped.word(),
            watched_seconds: proof.watched_for.as_secs(),
            back_after_seconds: proof.back_after.map(|span| span.as_secs()),
            before: proof.before.as_ref().map(FiguresBody::of),
            after: proof.after.as_ref().map(FiguresBody::of),
        }
    }
}

impl FiguresBody {
    fn of(figures: &Figures) -> Self {
        Self {
            requests: figures.requests,
            errors_5xx: figures.errors,
            timeouts_h12: figures.timeouts,
            service_p95_ms: figures.p95.and_then(|span| u64::try_from(span.as_millis()).ok()),
            memory: figures.memory.map(MemoryBody::of),
        }
    }
}

impl MemoryBody {
    fn of(memory: MemoryReading) -> Self {
        Self {
            at: memory.at.to_string(),
            used_mb: memory.used.hundredths as f64 / 100.0,
            quota_mb: quota_megabytes(memory),
            percent: f64::from(memory.permille) / 10.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::{body, headers, signature};
    use crate::notify::samples;

    #[test]
    fn every_webhook_body_matches_its_documentation() {
        for (name, message) in samples::all() {
            let value: serde_json::Value = serde_json::from_slice(&body(&message)).expect("JSON");
            let text = serde_json::to_string_pretty(&value).expect("JSON");
            assert!(
                name != "restart-helped" || MANUAL.contains(&text),
                "the example in docs/webhook.md differs"
            );
            insta::assert_snapshot!(format!("webhook-{name}"), text);
        }
    }

    const MANUAL: &str = include_str!("../../docs/webhook.md");

    #[test]
    fn the_signature_matches_the_documented_one() {
        // printf '1700000000.{"version":1}' | openssl dgst -sha256 -hmac 'a secret'
        let secret = SecretString::from("a secret");
        assert_eq!(
            signature(&secret, 1_700_000_000, b"{\"version\":1}"),
            "cc3e6b62f9f172cec5b021a2421d42af369ed3431d05ace2a8603bdfa3604ed1"
        );
    }

    #[test]
    fn every_try_has_the_same_id_and_its_own_time() {
        let message = samples::all().remove(0).1;
        let secret = SecretString::from("a secret");
        let at = |second| jiff::Timestamp::from_second(second).expect("a time");
        let (one, other) =
            (headers(&message, b"x", Some(&secret), at(1)), headers(&message, b"x", Some(&secret), at(2)));
        assert_eq!(one["idempotency-key"], other["idempotency-key"]);
        assert_eq!(one["x-dynowarden-delivery"], message.id.as_str());
        assert_ne!(one["x-dynowarden-signature"], other["x-dynowarden-signature"]);
        assert!(!headers(&message, b"x", None, at(1)).contains_key("x-dynowarden-signature"));
    }
}
