//! One object of a JSON export: lines of objects, an array of them, or an array within an object.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::replay::archive::fields::Fields;

/// What begins at the start of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// An object of this many octets.
    Object(usize),
    /// The opening of an array, or of an object around one, of this many octets.
    Wrapper(usize),
    /// It may become an object with more octets.
    Unfinished,
    /// No JSON.
    Other,
}

/// Finds the object at the start of `text`.
pub(super) fn start(text: &[u8]) -> Start {
    if let Some(length) = wrapper_len(text) {
        return Start::Wrapper(length);
    }
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
                let is_pair = matches!((open.pop(), octet), (Some(b'{'), b'}') | (Some(b'['), b']'));
                if !is_pair {
                    return Start::Other;
                }
                if open.is_empty() {
                    return Start::Object(at + 1);
                }
            }
            // An object's first octet behind its brace is a quote.
            _ if open.len() == 1
                && at > 0
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

/// `[` or `{"events": [`, in front of an object.
fn wrapper_len(text: &[u8]) -> Option<usize> {
    let blanks = |from: usize| text[from..].iter().take_while(|octet| octet.is_ascii_whitespace()).count();
    let mut at = 0;
    if text.first() == Some(&b'{') {
        at = 1 + blanks(1);
        if text.get(at) != Some(&b'"') {
            return None;
        }
        let name = memchr::memchr(b'"', &text[at + 1..])?;
        if text[at + 1..at + 1 + name].contains(&b'\\') {
            return None;
        }
        at += name + 2;
        at += blanks(at);
        if text.get(at) != Some(&b':') {
            return None;
        }
        at += 1 + blanks(at + 1);
    }
    if text.get(at) != Some(&b'[') {
        return None;
    }
    at += 1;
    (text.get(at + blanks(at)) == Some(&b'{')).then_some(at)
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
        // The items of a list have no names: they are read to their end and left out.
        while items.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(key) = entries.next_key::<String>()? {
            let path = if self.path.is_empty() { key } else { format!("{}.{key}", self.path) };
            entries.next_value_seed(Values { path, fields: self.fields })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Start, fields, start};

    #[test]
    fn an_object_ends_with_its_brace() {
        for (text, expect) in [
            ("{\"a\":1}\n", Start::Object(7)),
            ("{\"a\":{\"b\":\"}\\\"\"}},", Start::Object(17)),
            ("{\n  \"a\": [1, 2]\n}", Start::Object(17)),
            ("{}", Start::Object(2)),
            ("[{\"a\":1}", Start::Wrapper(1)),
            ("{ \"events\" : [ {\"a\":1}", Start::Wrapper(14)),
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
    fn values_have_the_names_in_front_of_them() {
        let expect = [("a", "x"), ("b.c", "1"), ("b.d", "2.5"), ("a", "y")];
        let expect = expect.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let text = r#"{"a":"x","b":{"c":1,"d":2.5,"e":null,"f":[{"a":"z"}]},"a":"y","g":true}"#;
        assert_eq!(fields(text.as_bytes()), Some(expect.to_vec()));
        assert_eq!(fields(b"{\"a\":}"), None);
    }
}
