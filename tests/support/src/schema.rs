//! Checks JSON values against the schemas of docs/openapi.json. It knows the few keywords used there and
//! rejects any other, so that none is overlooked.

use serde_json::Value;

/// Checks `value` against `schema`, a part of the document `openapi`; returns the difference.
pub fn check(openapi: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let Some(words) = schema.as_object() else { return Err(format!("{place}: no schema")) };
    for (word, says) in words {
        let fits = match word.as_str() {
            "description" | "minimum" | "format" | "required" | "additionalProperties" => true,
            "$ref" => {
                let name = says.as_str().unwrap_or_default().trim_start_matches('#');
                let target = openapi.pointer(name).ok_or_else(|| format!("{place}: {name} is not there"))?;
                check(openapi, target, value, place)?;
                true
            }
            "anyOf" => {
                let any = says.as_array().into_iter().flatten();
                any.clone().any(|one| check(openapi, one, value, place).is_ok())
            }
            "enum" => value.is_null() || says.as_array().is_some_and(|all| all.contains(value)),
            "type" => {
                says.as_array().map_or_else(|| is(says, value), |all| all.iter().any(|one| is(one, value)))
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(openapi, says, item, &format!("{place}[{index}]"))?;
                }
                true
            }
            "properties" => properties(openapi, schema, value, place).map(|()| true)?,
            other => return Err(format!("{place}: the schema's {other} is not understood")),
        };
        if !fits {
            return Err(format!("{place}: {value} is not {word} {says}"));
        }
    }
    if words.get("format").is_some_and(|format| format == "date-time")
        && let Some(text) = value.as_str()
        && text.parse::<jiff::Timestamp>().is_err()
    {
        return Err(format!("{place}: {text:?} is no time"));
    }
    Ok(())
}

/// All required members exist, and no undescribed ones.
fn properties(openapi: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let object = value.as_object().ok_or_else(|| format!("{place}: {value} is no object"))?;
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(name) {
            return Err(format!("{place}: {name} is missing"));
        }
    }
    for (name, inner) in object {
        let described = schema["properties"].get(name);
        let described = described.ok_or_else(|| format!("{place}: {name} is not described"))?;
        check(openapi, described, inner, &format!("{place}.{name}"))?;
    }
    Ok(())
}

fn is(word: &Value, value: &Value) -> bool {
    match word.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => false,
    }
}
