//! PagerDuty's Events API v2: loud messages trigger an alert, and the end of their incident resolves it.
//!
//! <https://developer.pagerduty.com/docs/events-api-v2/trigger-events/>. The incident's id is the
//! `dedup_key`, so that all messages of an incident are one alert.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::notify::delivery::{Delivery, Poster, clipped, footer};
use dynowarden_core::incident::kind::Kind;
use dynowarden_core::incident::message::{Message, Phase};
use dynowarden_core::time::Now;

#[derive(Clone, Debug)]
pub(super) struct PagerDuty {
    poster: Poster,
    routing_key: SecretString,
}

/// What a message does to the alert of its incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventAction {
    Resolve,
    Trigger,
}

impl PagerDuty {
    /// # Errors
    /// HTTPS is not available here.
    pub(super) fn new(
        url: &SecretString,
        routing_key: SecretString,
        timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self { poster: Poster::new(url, timeout)?, routing_key })
    }

    pub(super) async fn deliver(&self, message: &Message, now: Now) -> Delivery {
        let Some(action) = action(message) else { return Delivery::Sent };
        let delivery = self.post(message, action, now).await;
        // A test shows that an alert opens, and leaves none open.
        if message.kind == Kind::Test && delivery == Delivery::Sent {
            return self.post(message, EventAction::Resolve, now).await;
        }
        delivery
    }

    async fn post(&self, message: &Message, action: EventAction, now: Now) -> Delivery {
        let body = payload(message, action, self.routing_key.expose_secret());
        self.poster.post_json(&body, now).await
    }
}

/// Whether a message changes an alert. Quiet messages wake no person.
pub(super) fn is_event(message: &Message) -> bool {
    action(message).is_some()
}

fn action(message: &Message) -> Option<EventAction> {
    let is_broken = message.dynos.iter().any(|dyno| matches!(dyno.state, "failed" | "given_up"));
    match (message.kind, message.phase) {
        // Nothing was heard of the dyno again, so a person has to look.
        (Kind::Failure, Phase::Closed) => None,
        (_, Phase::Closed) => Some(EventAction::Resolve),
        (Kind::Recovered, _) => (!is_broken).then_some(EventAction::Resolve),
        (Kind::Test, _) => Some(EventAction::Trigger),
        (kind, _) => kind.is_loud().then_some(EventAction::Trigger),
    }
}

fn payload(message: &Message, action: EventAction, routing_key: &str) -> Value {
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": match action {
            EventAction::Resolve => "resolve",
            EventAction::Trigger => "trigger",
        },
        "dedup_key": message.incident,
    });
    if action == EventAction::Resolve {
        return event;
    }
    let source = message.apps.first().map_or("dynowarden", |app| app.as_str());
    let dyno = message.dynos.first().and_then(|dyno| dyno.name.as_ref()).map(ToString::to_string);
    let severity = match message.kind {
        Kind::Test => "info",
        Kind::NoHelp | Kind::SuspectRelease => "error",
        _ => "critical",
    };
    event["payload"] = json!({
        "summary": clipped(&message.title, SUMMARY_CHARS_MAX),
        "source": source,
        "severity": severity,
        "timestamp": message.at.to_string(),
        "group": source,
        "class": message.kind.word(),
        "custom_details": {
            "text": clipped(&message.paragraphs().join("\n"), DETAILS_CHARS_MAX),
            "apps": message.apps.iter().map(|app| app.as_str()).collect::<Vec<_>>(),
            "incident": footer(message),
        },
    });
    if let Some(dyno) = dyno {
        event["payload"]["component"] = dyno.into();
    }
    event["client"] = "dynowarden".into();
    // The schema has no null: what is not known is left out.
    if let Some(page) = &message.links.page {
        event["client_url"] = page.as_str().into();
    }
    let links = message.links.named();
    event["links"] = links
        .into_iter()
        .map(|(text, href)| json!({ "href": href, "text": text }))
        .collect::<Vec<_>>()
        .into();
    event
}

/// PagerDuty's own limit is 1024, with the mark of what was cut.
const SUMMARY_CHARS_MAX: usize = 1023;
/// An event may have 512 KB.
const DETAILS_CHARS_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::{EventAction, action, payload};
    use crate::notify::samples;
    use dynowarden_core::incident::kind::Kind;
    use dynowarden_core::incident::message::Phase;

    #[test]
    fn loud_messages_trigger_and_the_end_of_their_incident_resolves() {
        let all = samples::all();
        let of = |name: &str| {
            let message = &all.iter().find(|(known, _)| *known == name).expect(name).1;
            (action(message), message.incident.clone())
        };
        for (name, expect) in [
            ("restart", None),
            ("hold", None),
            ("digest", None),
            ("give-up", Some(EventAction::Trigger)),
            ("failure", Some(EventAction::Trigger)),
            ("failure-reminder", Some(EventAction::Trigger)),
            ("no-help", Some(EventAction::Trigger)),
            ("recovered", Some(EventAction::Resolve)),
            ("api-unseen", Some(EventAction::Trigger)),
            ("api-seen-again", Some(EventAction::Resolve)),
        ] {
            assert_eq!(of(name).0, expect, "{name}");
        }
        assert_eq!(of("failure").1, of("recovered").1, "one key opens and closes an alert");
        let mut lost = all.into_iter().find(|(name, _)| *name == "failure").expect("a failure").1;
        (lost.kind, lost.phase) = (Kind::Failure, Phase::Closed);
        assert_eq!(action(&lost), None, "a dyno that never came back still needs a person");
    }

    #[test]
    fn every_event_has_what_the_api_requires() {
        for (name, message) in samples::all() {
            let event = payload(&message, EventAction::Trigger, "0123456789abcdef0123456789abcdef");
            assert_eq!(event["dedup_key"], message.incident, "{name}");
            let summary = event["payload"]["summary"].as_str().expect("a summary");
            assert!((1..=1024).contains(&summary.chars().count()), "{name}");
            assert!(!event["payload"]["source"].as_str().expect("a source").is_empty(), "{name}");
            let severity = event["payload"]["severity"].as_str().expect("a severity");
            assert!(["critical", "error", "info"].contains(&severity), "{name}");
            let resolve = payload(&message, EventAction::Resolve, "k");
            assert_eq!(resolve.as_object().map(|event| event.len()), Some(3), "{name}");
        }
    }
}
