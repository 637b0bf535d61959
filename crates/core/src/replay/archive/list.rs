//! Lists in JSON that are one value, or named values.
//!
//! ```text
//! list = "[" scalar "]"                                        ; Elasticsearch's fields
//!      / "[" *( { ( "key" / "name" / "field" ): name, "value": value } ) "]"   ; OpenTelemetry
//!      / "[" octet *( "," octet ) "]"                          ; a journal's message with control characters
//! ```
//!
//! The items of any other list have no names, and are left out.

use serde_json::Value;

/// Adds the values of the list at `path`.
pub(super) fn values(path: String, items: &[Value], fields: &mut Vec<(String, String)>) {
    if let [item] = items
        && let Some(text) = scalar(item)
    {
        fields.push((path, text));
    } else if let Some(octets) = octets(items) {
        fields.push((path, String::from_utf8_lossy(&octets).into_owned()));
    } else {
        let named = items.iter().filter_map(|item| {
            let name = NAMES.iter().find_map(|name| item.get(name)?.as_str())?;
            let value = item.get("value")?;
            Some((format!("{path}.{name}"), scalar(value.get("stringValue").unwrap_or(value))?))
        });
        fields.extend(named);
    }
}

const NAMES: [&str; 3] = ["key", "name", "field"];

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A text of its octets; two numbers may be anything.
fn octets(items: &[Value]) -> Option<Vec<u8>> {
    let octet = |item: &Value| item.as_u64().and_then(|number| u8::try_from(number).ok());
    if items.len() < OCTETS_MIN { None } else { items.iter().map(octet).collect() }
}

/// The shortest line of the platform about a dyno is longer.
const OCTETS_MIN: usize = 24;

#[cfg(test)]
mod tests {
    use super::values;

    #[track_caller]
    fn check(list: &str, expect: &[(&str, &str)]) {
        let items: Vec<serde_json::Value> = serde_json::from_str(list).expect("a list");
        let mut fields = Vec::new();
        values("x".to_owned(), &items, &mut fields);
        let expect: Vec<_> = expect.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        assert_eq!(fields, expect, "{list}");
    }

    #[test]
    fn lists_of_one_value_and_of_named_values_are_read() {
        check("[\"a\"]", &[("x", "a")]);
        check("[7]", &[("x", "7")]);
        check("[\"a\",\"b\"]", &[]);
        check("[[\"a\"]]", &[]);
        check(
            "[{\"key\":\"a\",\"value\":\"b\"},{\"name\":\"c\",\"value\":1},{\"field\":\"d\"}]",
            &[("x.a", "b"), ("x.c", "1")],
        );
        check("[{\"key\":\"a\",\"value\":{\"stringValue\":\"b\"}}]", &[("x.a", "b")]);
        check("[1,2,3]", &[]);
        let text = "2025-01-02T00:51:32Z heroku[web.1]: x";
        check(&format!("{:?}", text.as_bytes()), &[("x", text)]);
    }
}
