//! Microsoft Teams: an Adaptive Card, posted to a workflow that starts when a webhook request is received.
//!
//! <https://learn.microsoft.com/adaptive-cards/>. Texts are text runs, in which Teams reads no markup.

use serde_json::{Value, json};

use crate::notify::delivery::{Mood, clipped, mood};
use dynowarden_core::incident::message::Message;

pub(super) fn payload(message: &Message) -> Value {
    let color = match mood(message) {
        Mood::Bad => "attention",
        Mood::Good => "good",
        Mood::Neutral => "default",
        Mood::Warning => "warning",
    };
    let title = json!({
        "type": "TextRun", "text": clipped(&message.title, TITLE_CHARS_MAX),
        "size": "large", "weight": "bolder", "color": color,
    });
    let mut blocks = vec![json!({ "type": "RichTextBlock", "inlines": [title] })];
    for paragraph in message.paragraphs().iter().take(PARAGRAPHS_MAX) {
        let run = json!({ "type": "TextRun", "text": clipped(paragraph, PARAGRAPH_CHARS_MAX) });
        blocks.push(json!({ "type": "RichTextBlock", "inlines": [run] }));
    }
    // Teams writes such times in the reader's zone. The rest of this line is our own words.
    let at = message.opened_at.strftime("%Y-%m-%dT%H:%M:%SZ");
    let since = format!("{{{{DATE({at},SHORT)}}}} {{{{TIME({at})}}}}");
    blocks.push(json!({
        "type": "TextBlock", "wrap": true, "isSubtle": true, "size": "small",
        "text": format!("dynowarden · since {since} · incident {}", message.incident),
    }));
    let open = |(title, url): (&str, String)| json!({ "type": "Action.OpenUrl", "title": title, "url": url });
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "fallbackText": clipped(&message.title, TITLE_CHARS_MAX),
                "msteams": { "width": "Full" },
                "body": blocks,
                "actions": message.links.named().into_iter().map(open).collect::<Vec<_>>(),
            },
        }],
    })
}

/// Teams takes 28 KB, and a character may have four bytes.
const TITLE_CHARS_MAX: usize = 250;
const PARAGRAPH_CHARS_MAX: usize = 800;
const PARAGRAPHS_MAX: usize = 6;

#[cfg(test)]
mod tests {
    use super::payload;
    use crate::notify::samples;

    #[test]
    fn every_card_is_small_and_has_no_markup() {
        for (name, message) in samples::all() {
            let card = payload(&message);
            assert!(card.to_string().len() < 28 * 1024, "{name}");
            let content = &card["attachments"][0]["content"];
            assert_eq!(content["type"], "AdaptiveCard");
            for block in content["body"].as_array().expect("blocks") {
                let is_own = block["text"].as_str().is_some_and(|text| text.starts_with("dynowarden · "));
                assert!(is_own || block["type"] == "RichTextBlock", "{name}: {block}");
            }
        }
    }

    #[test]
    fn a_message_with_links_has_a_button_for_each() {
        let card = payload(&samples::linked());
        let actions = card["attachments"][0]["content"]["actions"].as_array().cloned().expect("actions");
        let urls: Vec<&str> = actions.iter().filter_map(|action| action["url"].as_str()).collect();
        assert_eq!(urls, [samples::PAGE, samples::DASHBOARD]);
    }
}
