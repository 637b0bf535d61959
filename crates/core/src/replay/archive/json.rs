//! One object of a JSON export: lines of objects, an array of them, or an array within an object.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::replay::archive::list;

/// Named values in their order.
pub(super) type Fields = Vec<(String, String)>;

/// What begins at the start of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// An object or an array of this many octets.
    Whole(usize),
    /// It may become one with more octets.
    Unfinished,
    /// No JSON.
    Other,
}

/// Finds the object or the array at the start of `text`.
pub(super) fn start(text: &[u8]) -> Start {
    let mut open = Vec::new();
    let (mut is_text, mut is_escaped) = (false, false);
    for (at, octet) in text.iter().enumerate() {
        match octet {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            // A text has no line break in it: this is something else.
            b'\n' if is_text => return Start::Other,
            _ if is_text => {}
            b'{' | b'[' if open.len() < DEPTH_MAX => open.push(*octet),
            b'{' | b'[' => return Start::Other,
            b'}' | b']' => {
                if !is_pair(open.pop(), *octet) {
                    return Start::Other;
                }
                if open.is_empty() {
                    return Start::Whole(at + 1);
                }
            }
            // An object's first octet behind its brace is a quote.
            _ if open == [b'{']
                && !octet.is_ascii_whitespace()
                && text[1..at].iter().all(u8::is_ascii_whitespace) =>
            {
                return Start::Other;
            }
            _ => {}
        }
    }
    Start::Unfinished
}

pub(super) fn is_pair(open: Option<u8>, close: u8) -> bool {
    matches!((open, close), (Some(b'{'), b'}') | (Some(b'['), b']'))
}

/// Whether `text` begins an array of objects, of arrays or of texts; none if there is too little to say.
pub(super) fn is_list(text: &[u8]) -> Option<bool> {
    let mut inner = text.strip_prefix(b"[")?.trim_ascii_start();
    if let Some(rest) = inner.strip_prefix(b"[") {
        inner = rest.trim_ascii_start();
    }
    inner.first().map(|first| matches!(first, b'{' | b'"'))
}

/// Whether there is such an array within the object at the start of `text`.
pub(super) fn has_list(text: &[u8]) -> bool {
    let (mut is_text, mut is_escaped) = (false, false);
    text.iter().enumerate().any(|(at, octet)| {
        match octet {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' if !is_text => return is_list(&text[at..]) == Some(true),
            _ => {}
        }
        false
    })
}

/// The length of the text at the start of `text`, with its quotes; none while it may go on.
pub(super) fn text_len(text: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    let inner = text.strip_prefix(b"\"")?;
    let end = inner.iter().position(|octet| {
        let is_end = *octet == b'"' && !is_escaped;
        is_escaped = *octet == b'\\' && !is_escaped;
        is_end
    })?;
    Some(end + 2)
}

/// All values in an object that are text or numbers, by the names in front of them; none if it is no JSON.
pub(super) fn fields(object: &[u8]) -> Option<Fields> {
    let mut fields = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(object);
    Values { path: String::new(), fields: &mut fields }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(fields)
}

/// Nested deeper than this, it is no log line.
const DEPTH_MAX: usize = 16;

/// Collects the values below `path`, keys that appear twice included.
struct Values<'f> {
    path: String,
    fields: &'f mut Fields,
}

impl Values<'_> {
    fn add<E>(self, value: impl fmt::Display) -> Result<(), E> {
        self.fields.push((self.path, value.to_string()));
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.add(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.add(value)
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.add(value)
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.add(value)
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Value>()? {
            list.push(item);
        }
        list::values(self.path, &list, self.fields);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(key) = entries.next_key::<String>()? {
            let path = match &*self.path {
                "" => key,
                // OpenTelemetry's way to write a text.
                _ if key == "stringValue" => self.path.clone(),
                path => format!("{path}.{key}"),
            };
            entries.next_value_seed(Values { path, fields: self.fields })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Start, fields, has_list, is_list, start, text_len};

    #[test]
    fn an_object_ends_with_its_brace() {
        for (text, expect) in [
            ("{\"a\":1}\n", Start::Whole(7)),
            ("{\"a\":{\"b\":\"}\\\"\"}},", Start::Whole(17)),
            ("{\n  \"a\": [1, 2]\n}", Start::Whole(17)),
            ("{}", Start::Whole(2)),
            ("[\"1\", 2],", Start::Whole(8)),
            ("[{\"a\":1}", Start::Unfinished),
            ("{\"a\":", Start::Unfinished),
            ("{\"a\":\"x\n", Start::Other),
            ("{ x", Start::Other),
            ("{\"a\":]", Start::Other),
        ] {
            assert_eq!(start(text.as_bytes()), expect, "{text}");
        }
        assert_eq!(start("{\"a\":".repeat(40).as_bytes()), Start::Other);
    }

    #[test]
    fn a_list_is_of_rows_or_of_lines() {
        for (text, expect) in [
            ("[{", Some(true)),
            ("[\n  \"", Some(true)),
            ("[ [ \"", Some(true)),
            ("[[{", Some(true)),
            ("[1", Some(false)),
            ("[36m", Some(false)),
            ("[[1", Some(false)),
            ("[ ", None),
            ("{", None),
        ] {
            assert_eq!(is_list(text.as_bytes()), expect, "{text}");
        }
        assert!(has_list(b"{\"a\":1,\"b\":{\"c\":[{"));
        assert!(!has_list(b"{\"a\":\"[{\",\"b\":[1,2]}"));
        assert_eq!(text_len(b"\"a\\\"\\\\\",x"), Some(7));
        assert_eq!(text_len(b"\"a\\\""), None);
    }

    #[test]
    fn values_have_the_names_in_front_of_them() {
        let expect = [("a", "x"), ("b.c", "1"), ("b.d", "2.5"), ("a", "y")];
        let expect = expect.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let text = r#"{"a":"x","b":{"c":1,"d":2.5,"e":null,"f":[{"a":"z"}]},"a":"y","g":true}"#;
        assert_eq!(fields(text.as_bytes()), Some(expect.to_vec()));
        assert_eq!(fields(b"{\"a\":}"), None);
        let text =
            r#"{"a":{"stringValue":"x"},"b":["y"],"c":[1,2],"d":[{"key":"e","value":{"stringValue":"z"}}]}"#;
        let expect = [("a", "x"), ("b", "y"), ("d.e", "z")];
        let expect = expect.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(fields(text.as_bytes()), Some(expect.to_vec()));
    }
}
