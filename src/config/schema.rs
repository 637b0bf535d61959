//! A JSON schema of the settings file, for editors: generated from the keys and from the example file.

use serde_json::{Map, Value, json};

use crate::config::in_force::{EXAMPLE, Form, Key, keys_of};
use crate::config::keys::{self, SECTIONS, Shape};
use dynowarden_core::incident::kind::Kind;

/// The schema, as `contrib/dynowarden.schema.json` has it.
pub fn schema() -> Value {
    let mut root = section("");
    root["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    root["title"] = "dynowarden.toml".into();
    root["description"] =
        "Settings of dynowarden. Durations are \"30s\", \"5m\", \"2h\"; sizes are \"4MiB\".".into();
    root
}

fn section(name: &str) -> Value {
    let keys = SECTIONS.iter().find(|(section, _)| *section == name).map_or(&[][..], |(_, keys)| keys);
    let shown = keys_of(name);
    let mut properties = Map::new();
    for key in keys {
        let path = keys::path(name, key);
        let own = path.strip_prefix("app.").filter(|own| matches!(*own, "policy" | "rule"));
        let section_name = own.unwrap_or(&path);
        let value = match keys::shape(&path) {
            Shape::Section => section(section_name),
            Shape::Tables => json!({ "type": "array", "items": section(section_name) }),
            Shape::Value => value(name, shown.iter().find(|shown| shown.name == *key), key),
        };
        properties.insert((*key).to_owned(), value);
    }
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn value(section: &str, shown: Option<&Key<'_>>, key: &str) -> Value {
    let mut value = match (section, key) {
        (_, "do") => json!({ "enum": ["restart", "notify"] }),
        ("notify", "type") => {
            json!({ "enum": ["slack", "webhook", "email", "pagerduty", "teams", "discord"] })
        }
        ("notify", "on") => {
            json!({ "type": "array", "items": { "enum": Kind::CHOICES.map(Kind::word) } })
        }
        ("", "log_format") => json!({ "enum": ["text", "json"] }),
        ("drain", "max_body") => json!({ "type": ["string", "integer"] }),
        _ => match shown.map(|shown| (shown.form(), shown.shown)) {
            Some((Form::List, _)) => json!({ "type": "array", "items": { "type": "string" } }),
            Some((Form::Bare, "true" | "false")) => json!({ "type": "boolean" }),
            Some((Form::Bare, _)) => json!({ "type": "integer" }),
            Some((Form::Text, _)) | None => json!({ "type": "string" }),
        },
    };
    if let Some(text) = description(section, key) {
        value["description"] = text.into();
    }
    // Such values are written in JSON as in TOML.
    if let Some(shown) = shown.filter(|shown| shown.is_default) {
        value["default"] = serde_json::from_str(shown.shown).unwrap_or(Value::Null);
    }
    value
}

/// The comment above a key in the example file.
fn description(section: &str, key: &str) -> Option<String> {
    let mut current = "";
    let mut comment: Vec<&str> = Vec::new();
    for line in EXAMPLE.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let name = bare.split_once(" = ").map(|(name, _)| name);
        let name = name.filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        if bare.starts_with('[') && bare.ends_with(']') {
            current = bare.trim_matches(['[', ']']);
            comment.clear();
        } else if let Some(name) = name {
            if (current, name) == (section, key) {
                return (!comment.is_empty()).then(|| comment.join(" "));
            }
            comment.clear();
        } else if line.starts_with("# ") {
            comment.push(bare.trim());
        } else {
            comment.clear();
        }
    }
    None
}
