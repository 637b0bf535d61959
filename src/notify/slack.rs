//! Slack's incoming webhooks: Block Kit messages, and one-word responses.
//!
//! <https://api.slack.com/messaging/webhooks>, <https://api.slack.com/reference/block-kit/blocks>. An
//! incoming webhook does not return the id of its message, so the message that closes an incident cannot join
//! the thread of the one that opened it. Both name the incident instead.

use std::time::Duration;

use http::HeaderMap;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::http_client::one_line;
use crate::notify::delivery::{Delivery, Mood, Poster, Secrets, mood};
use dynowarden_core::incident::message::Message;
use dynowarden_core::time::Now;

#[derive(Clone, Debug)]
pub(super) struct Slack {
    poster: Poster,
}

impl Slack {
    /// # Errors
    /// HTTPS is not available here.
    pub(super) fn new(url: &SecretString, timeout: Duration) -> Result<Self, reqwest::Error> {
        Ok(Self { poster: Poster::new(url, timeout)? })
    }

    pub(super) async fn deliver(&self, message: &Message, now: Now) -> Delivery {
        let body = payload(message).to_string().into_bytes();
        let secrets = self.poster.secrets();
        match self.poster.post(HeaderMap::new(), body, now.wall).await {
            Ok(answer) => match answer.delivery() {
                Delivery::Sent => judge(&answer.text, &secrets),
                Delivery::Refused { why } if !answer.text.trim().is_empty() => {
                    Delivery::Refused { why: format!("{why}: {}", word(&answer.text, &secrets)) }
                }
                other => other,
            },
            Err(delivery) => delivery,
        }
    }
}

/// A 200 may hold an error: only `ok` means success. Compatible services answer with an object, or with
/// nothing.
fn judge(text: &str, secrets: &Secrets) -> Delivery {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("ok") {
        return Delivery::Sent;
    }
    let error = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(answer)) => {
            let is_no = |key: &str| answer.get(key) == Some(&Value::Bool(false));
            match answer.get("error") {
                Some(Value::String(error)) => error.clone(),
                None | Some(Value::Null) if !is_no("ok") && !is_no("success") => return Delivery::Sent,
                _ => "an error".to_owned(),
            }
        }
        _ => text.to_owned(),
    };
    let why = format!("it answered 200, but reported {}", word(&error, secrets));
    match error.as_str() {
        "rate_limited" | "ratelimited" | "rollup_error" | "service_unavailable" | "internal_error" => {
            Delivery::Retry { after: None, why }
        }
        _ => Delivery::Refused { why },
    }
}

/// The receiver's own word for the error, fit for a line of the log.
fn word(text: &str, secrets: &Secrets) -> String {
    let ascii: String = secrets
        .hide(text.trim())
        .chars()
        .map(|c| if c.is_ascii_graphic() || c == '…' { c } else { ' ' })
        .collect();
    one_line(&ascii, WORD_CHARS_MAX)
}

const WORD_CHARS_MAX: usize = 64;

/// The message in Block Kit. All text but the last line is `plain_text`, in which Slack reads no markup, and
/// is also escaped.
fn payload(message: &Message) -> Value {
    let title = format!("{} {}", mark(message), message.title);
    let mut blocks = vec![json!({ "type": "header", "text": plain(&title, HEADER_CHARS_MAX) })];
    blocks.extend(
        message
            .paragraphs()
            .iter()
            .take(SECTIONS_MAX)
            .map(|paragraph| json!({ "type": "section", "text": plain(paragraph, SECTION_CHARS_MAX) })),
    );
    let links = message.links.named();
    if !links.is_empty() {
        let button = |(text, url): (&str, String)| {
            let text = plain(text, BUTTON_CHARS_MAX);
            json!({ "type": "button", "text": text, "url": url })
        };
        let buttons: Vec<Value> = links.into_iter().map(button).collect();
        blocks.push(json!({ "type": "actions", "elements": buttons }));
    }
    blocks.push(json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": context(message) }] }));
    json!({
        "text": escaped(&title, SECTION_CHARS_MAX),
        "blocks": blocks,
        "mrkdwn": false,
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// Slack's own limits are 150, 3000 and 50; escaping makes a text longer.
const HEADER_CHARS_MAX: usize = 140;
const SECTION_CHARS_MAX: usize = 2900;
const SECTIONS_MAX: usize = 45;
const BUTTON_CHARS_MAX: usize = 70;

/// The only text in which Slack reads markup, for it alone can hold a time in the reader's zone. It has no
/// word from outside but the incident's id, which is escaped.
fn context(message: &Message) -> String {
    let (at, utc) = (message.opened_at.as_second(), message.opened_at.strftime("%Y-%m-%d %H:%M:%S UTC"));
    let since = format!("<!date^{at}^{{date_short_pretty}} {{time}}|{utc}>");
    format!("dynowarden · since {since} · incident {}", escaped(&message.incident, HEADER_CHARS_MAX))
}

fn mark(message: &Message) -> char {
    match mood(message) {
        Mood::Bad => '🔴',
        Mood::Good => '🟢',
        Mood::Neutral => '⚪',
        Mood::Warning => '🟡',
    }
}

fn plain(text: &str, chars_max: usize) -> Value {
    json!({ "type": "plain_text", "text": escaped(text, chars_max), "emoji": false })
}

/// `&`, `<` and `>` are Slack's only special characters: `<!channel>`, `<@U…>`, `<https://…>`. Long texts are
/// cut between two characters, never within an escape.
fn escaped(text: &str, chars_max: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = 0;
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        let piece = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            _ => "",
        };
        chars += piece.len().max(1);
        if chars > chars_max {
            out.push('…');
            break;
        }
        if piece.is_empty() { out.push(c) } else { out.push_str(piece) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{escaped, judge, payload, word};
    use crate::notify::delivery::{Delivery, Secrets};
    use crate::notify::samples;

    #[test]
    fn every_message_matches_its_snapshot() {
        for (name, message) in samples::all() {
            let text = serde_json::to_string_pretty(&payload(&message)).expect("JSON");
            insta::assert_snapshot!(format!("slack-{name}"), text);
        }
    }

    #[test]
    fn no_text_can_mention_the_channel() {
        assert_eq!(escaped("<!channel> & <@U1>\n", 100), "&lt;!channel&gt; &amp; &lt;@U1&gt; ");
        assert_eq!(escaped("a<b", 4), "a…");
        assert_eq!(escaped("a<b", 5), "a&lt;…");
        assert_eq!(escaped(&"ä".repeat(200), 140).chars().count(), 141);
        let mut blocks = payload(&samples::hostile())["blocks"].as_array().cloned().expect("blocks");
        let context = blocks.pop().expect("the last line")["elements"][0]["text"].to_string();
        assert_eq!(context.matches('<').count(), 1, "the time alone: {context}");
        let text = serde_json::to_string(&blocks).expect("JSON");
        assert!(!text.contains('<') && !text.contains('>') && !text.contains("mrkdwn"), "{text}");
    }

    #[test]
    fn a_200_may_hold_an_error() {
        let judge = |text| judge(text, &Secrets::default());
        for text in ["ok", "ok\n", "OK", "", "{\"ok\":true}", "{\"success\":true}", "{}"] {
            assert_eq!(judge(text), Delivery::Sent, "{text}");
        }
        for text in
            ["no_service", "{\"ok\":false,\"error\":\"channel_not_found\"}", "<html>", "{\"ok\":false}"]
        {
            assert!(matches!(judge(text), Delivery::Refused { .. }), "{text}");
        }
        assert!(matches!(judge("{\"ok\":false,\"error\":\"ratelimited\"}"), Delivery::Retry { .. }));
    }

    #[test]
    fn a_url_that_a_receiver_repeats_is_hidden() {
        let secrets = Secrets::of_url(&"https://hooks.example.com/services/T000/B000/s3cr3t".into());
        let shown = word("Cannot POST /services/T000/B000/s3cr3t\r\n", &secrets);
        assert_eq!(shown, "Cannot POST /…/…/…/…");
    }
}
