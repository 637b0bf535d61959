//! A JSON document with rows in arrays: an export as one array, or the answer of a log service's API.
//!
//! It is read token by token, because it may be larger than memory. An object that reads as a row is one, and
//! nothing within it is looked at, so that no JSON that an app printed becomes a row of its own. The rows are
//!
//! ```text
//! row  = object           ; with a time, an author and a message, of which Loki's labels may be the author
//!      / "[" time "," line "]"                         ; Loki, whose stream's labels apply to all its lines
//!      / "[" *( { "field": name, "value": value } ) "]" ; CloudWatch Insights
//!      / line                                          ; a text in an array
//! ```

use serde_json::Value;

use crate::replay::archive::fields::{self, Owned};
use crate::replay::archive::json::{self, Fields, Start};
use crate::replay::archive::{embedded, leading, text};

/// A document, while it is read.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// The brackets that are open.
    pub open: Vec<u8>,
    /// The last name in an object.
    name: Vec<u8>,
    /// The labels of the present stream.
    labels: Fields,
    pub has_row: bool,
}

/// What comes next in a document.
pub(super) enum Next {
    /// The row is in `row`; the part has so many octets.
    Row(usize),
    /// So many octets mean nothing by themselves.
    Passed(usize),
    /// A bracket.
    Open,
    Close,
    /// No JSON.
    Other,
}

// === impl Document ===

impl Document {
    pub(super) fn new(bracket: u8) -> Self {
        Self { open: vec![bracket], name: Vec::new(), labels: Fields::new(), has_row: false }
    }

    /// What `rest` begins with; none if that needs more of it, and it is not all that will come.
    pub(super) fn next(&mut self, rest: &[u8], is_all: bool, row: &mut Option<Owned>) -> Option<Next> {
        match rest[0] {
            b'}' | b']' => Some(Next::Close),
            b'{' | b'[' => match json::start(rest) {
                Start::Whole(length) if rest[0] == b'{' => Some(self.object(&rest[..length], row)),
                Start::Whole(length) => Some(self.array(&rest[..length], row)),
                Start::Unfinished => is_all.then_some(Next::Open),
                Start::Other => Some(Next::Other),
            },
            b'"' => match json::text_len(rest) {
                Some(length) => Some(self.text(&rest[..length], row)),
                None => is_all.then_some(Next::Other),
            },
            _ => {
                let is_end = |octet: &u8| octet.is_ascii_whitespace() || b",:]}".contains(octet);
                match rest.iter().position(is_end) {
                    None if !is_all => None,
                    length => {
                        let scalar = &rest[..length.unwrap_or(rest.len())];
                        let is_valid = serde_json::from_slice::<Value>(scalar).is_ok();
                        Some(if is_valid { Next::Passed(scalar.len()) } else { Next::Other })
                    }
                }
            }
        }
    }

    fn object(&mut self, object: &[u8], row: &mut Option<Owned>) -> Next {
        let Some(fields) = json::fields(object) else { return Next::Other };
        // The labels say who wrote it, whatever its line says.
        let labels = self.labels.iter().filter(|_| self.is_in_array());
        *row = fields::read(&fields.iter().chain(labels).cloned().collect());
        if row.is_none() && wraps(&fields, object) {
            // They may stand behind the lines.
            let labels = labels_in(&fields);
            if !labels.is_empty() {
                self.labels = labels;
            }
            return Next::Open;
        }
        if row.is_none() && (!self.is_in_array() || fields::parts(&fields) == [false; 2]) {
            // It is about the document, or about the lines of a stream.
            if !self.is_in_array() && matches!(&self.name[..], b"stream" | b"labels" | b"metric") {
                self.labels = fields;
            }
            return Next::Passed(object.len());
        }
        Next::Row(object.len())
    }

    fn array(&mut self, array: &[u8], row: &mut Option<Owned>) -> Next {
        let Ok(Value::Array(items)) = serde_json::from_slice(array) else { return Next::Other };
        let Some(mut fields) = pair(&items).or_else(|| named(&items)) else {
            let is_plain =
                items.iter().all(|item| !(item.is_object() || item.is_array() || item.is_string()));
            return if is_plain { Next::Passed(array.len()) } else { Next::Open };
        };
        fields.extend(self.labels.iter().cloned());
        *row = fields::read(&fields);
        Next::Row(array.len())
    }

    fn text(&mut self, quoted: &[u8], row: &mut Option<Owned>) -> Next {
        let Ok(line) = serde_json::from_slice::<String>(quoted) else { return Next::Other };
        if !self.is_in_array() {
            if self.name == b"labels"
                && let Some(labels) = labels_of(&line)
            {
                self.labels = labels;
            }
            self.name = line.into_bytes();
            return Next::Passed(quoted.len());
        }
        *row = text::whole(line.as_bytes()).as_ref().map(Owned::from);
        if row.is_some() { Next::Row(quoted.len()) } else { Next::Passed(quoted.len()) }
    }

    fn is_in_array(&self) -> bool {
        self.open.last() == Some(&b'[')
    }
}

/// The labels of a stream, as Loki's first API writes them: as a text.
fn labels_of(text: &str) -> Option<Fields> {
    embedded::labels(text.as_bytes()).filter(|(_, behind)| behind.is_empty()).map(|(labels, _)| labels)
}

/// The labels that an object gives to the lines in it.
fn labels_in(fields: &Fields) -> Fields {
    let of = |(name, value): &(String, String)| match name.split_once('.') {
        Some(("stream" | "labels" | "metric", name)) => vec![(name.to_owned(), value.clone())],
        None if name == "labels" => labels_of(value).unwrap_or_default(),
        _ => Vec::new(),
    };
    fields.iter().flat_map(of).collect()
}

/// Whether an object that is no row may hold rows.
pub(super) fn wraps(fields: &Fields, object: &[u8]) -> bool {
    fields::parts(fields) != [true; 2] && json::has_list(object)
}

/// A time and a line.
fn pair(items: &[Value]) -> Option<Fields> {
    let [time, Value::String(line), ..] = items else { return None };
    let time = time.as_str().map_or_else(|| time.to_string(), ToOwned::to_owned);
    let _time = leading::field(time.as_bytes())?;
    Some(vec![("time".to_owned(), time), ("line".to_owned(), line.clone())])
}

/// Names and values.
fn named(items: &[Value]) -> Option<Fields> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let field = |item: &Value| Some((item.get("field")?.as_str()?.to_owned(), text(item.get("value")?)));
    let fields = items.iter().map(field).collect::<Option<Fields>>()?;
    (!fields.is_empty()).then_some(fields)
}
