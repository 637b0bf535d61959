//! Discord webhooks: one embed for each message.
//!
//! <https://discord.com/developers/docs/resources/webhook#execute-webhook>. Mentions are switched off and
//! markup is escaped. Discord writes an embed's time in the reader's zone.

use serde_json::{Value, json};

use crate::notify::delivery::{Mood, clipped, mood};
use dynowarden_core::incident::message::Message;

pub(super) fn payload(message: &Message) -> Value {
    let color = match mood(message) {
        Mood::Bad => 0x00d1_242f,
        Mood::Good => 0x001a_7f37,
        Mood::Neutral => 0x0059_636e,
        Mood::Warning => 0x00bf_8700,
    };
    let mut text = escaped(&clipped(&message.paragraphs().join("\n\n"), BODY_CHARS_MAX));
    for (name, url) in message.links.named() {
        text.push_str(&format!("\n[{name}]({url})"));
    }
    json!({
        "username": "dynowarden",
        "allowed_mentions": { "parse": [] },
        "embeds": [{
            "title": escaped(&clipped(&message.title, TITLE_CHARS_MAX)),
            "url": message.links.page,
            "description": text,
            "color": color,
            "timestamp": message.at.to_string(),
            "footer": { "text": format!("incident {}", message.incident) },
        }],
    })
}

/// Discord's limits are 256 and 4096, and 6000 together; an escape doubles a character.
const TITLE_CHARS_MAX: usize = 125;
const BODY_CHARS_MAX: usize = 1800;

/// Escapes what Discord reads as markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\*_~`|>#[]()<@-".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{escaped, payload};
    use crate::notify::samples;

    #[test]
    fn every_embed_is_within_the_limits() {
        for (name, message) in samples::all() {
            let embed = payload(&message)["embeds"][0].clone();
            let chars = |key: &str| embed[key].as_str().expect(key).chars().count();
            assert!(chars("title") <= 256 && chars("description") <= 4096, "{name}");
            assert!(chars("title") + chars("description") <= 6000, "{name}");
        }
    }

    #[test]
    fn no_text_is_markup_or_a_mention() {
        assert_eq!(escaped("@everyone *a* [b](c)"), "\\@everyone \\*a\\* \\[b\\]\\(c\\)");
        let body = payload(&samples::hostile());
        assert_eq!(body["allowed_mentions"]["parse"].as_array().map(Vec::len), Some(0));
        let text =
            body["embeds"][0]["title"].as_str().expect("a title").replace("\\<", "").replace("\\@", "");
        assert!(!text.contains('<') && !text.contains('@'), "{text}");
    }

    #[test]
    fn a_message_with_links_names_both() {
        let body = payload(&samples::linked());
        let text = body["embeds"][0]["description"].as_str().expect("a text");
        assert!(text.contains(samples::PAGE) && text.contains(samples::DASHBOARD), "{text}");
        assert_eq!(body["embeds"][0]["url"], samples::PAGE);
    }
}
