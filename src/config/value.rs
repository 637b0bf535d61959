//! Values as they were found, each with the place it came from: what the file and the environment have in
//! common before anybody knows what they should be.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::config::problem::{Origin, Problem, quoted};

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// A table of the file.
pub(super) type Table = BTreeMap<String, Node>;

/// A value.
#[derive(Clone)]
pub(super) enum Value {
    Boolean(bool),
    Integer(i128),
    List(Vec<Node>),
    /// A number with a point, or a date: nothing that any setting is; kept as it is written.
    Other(String),
    /// A variable's value, or one item of its list: a number, a text or a list as the setting wants it.
    Plain(String),
    Table(Table),
    Text(String),
}

impl Value {
    /// The text, quoted in the file or plain in the environment.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Plain(text) => Some(text),
            _ => None,
        }
    }

    /// The number.
    pub(super) fn integer(&self) -> Option<i128> {
        match self {
            Self::Integer(integer) => Some(*integer),
            Self::Plain(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(boolean) => Some(*boolean),
            Self::Plain(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The value for a message.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Boolean(boolean) => boolean.to_string(),
            Self::Integer(integer) => integer.to_string(),
            Self::List(_) => "a list".to_owned(),
            Self::Other(text) => quoted(text),
            Self::Plain(text) | Self::Text(text) => quoted(text),
            Self::Table(_) => "a table".to_owned(),
        }
    }
}

/// Reads the text of the settings file. Where the syntax is wrong the table is empty, for what is behind a
/// slip is often not what it seems; the first slip of each line is a problem.
pub(super) fn parse_file(path: &Arc<str>, text: &str) -> (Table, Vec<Problem>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return (table(root.get_ref(), &Places::File { path, text }), Vec::new());
    }
    let mut problems: Vec<(usize, Problem)> = Vec::new();
    for error in errors {
        // The error's own display would show the line, and with it whatever secret was typed there.
        let (line, column) = line_and_column(text, error.span().map_or(0, |span| span.start));
        // What is behind a slip on the same line is mostly its echo.
        if problems.iter().all(|(other, _)| *other != line) {
            let origin = Origin::File { path: Arc::clone(path), line: Some(line), column: Some(column) };
            problems.push((line, Problem::new("TOML syntax", origin, error.message())));
        }
    }
    (Table::new(), problems.into_iter().map(|(_, problem)| problem).collect())
}

/// Reads a variable's value that is written as a TOML list.
pub(super) fn parse_list(origin: &Origin, text: &str) -> Option<Vec<Node>> {
    let value = DeValue::parse(text).ok()?;
    match convert(value.get_ref(), &Places::Variable(origin)) {
        Value::List(items) => Some(items),
        _ => None,
    }
}

/// How the place of a value is found.
enum Places<'a> {
    File { path: &'a Arc<str>, text: &'a str },
    Variable(&'a Origin),
}

impl Places<'_> {
    fn origin(&self, at: usize) -> Origin {
        match self {
            Self::File { path, text } => {
                let (line, _) = line_and_column(text, at);
                Origin::File { path: Arc::clone(path), line: Some(line), column: None }
            }
            Self::Variable(origin) => (*origin).clone(),
        }
    }
}

fn table(table: &DeTable<'_>, places: &Places<'_>) -> Table {
    let node = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &toml::Spanned<std::borrow::Cow<'_, str>> = key;
        let origin = places.origin(key.span().start);
        (key.get_ref().to_string(), Node { origin, value: convert(value.get_ref(), places) })
    };
    table.iter().map(node).collect()
}

/// Goes as deep as the parser does, which stops at 80 levels.
fn convert(value: &DeValue<'_>, places: &Places<'_>) -> Value {
    match value {
        DeValue::Array(items) => {
            let node = |item: &toml::Spanned<DeValue<'_>>| Node {
                origin: places.origin(item.span().start),
                value: convert(item.get_ref(), places),
            };
            Value::List(items.iter().map(node).collect())
        }
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Datetime(datetime) => Value::Other(datetime.to_string()),
        DeValue::Float(float) => Value::Other(float.to_string()),
        DeValue::Integer(integer) => i128::from_str_radix(integer.as_str(), integer.radix())
            .map_or_else(|_| Value::Other(integer.to_string()), Value::Integer),
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Table(inner) => Value::Table(table(inner, places)),
    }
}

/// The line and the column of a byte, both from 1; the column counts characters.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::{Value, line_and_column, parse_file};

    #[test]
    fn places_are_lines_and_columns_from_one() {
        assert_eq!(line_and_column("", 0), (1, 1));
        assert_eq!(line_and_column("a\nbé = x", 7), (2, 5));
        assert_eq!(line_and_column("a\n", 99), (2, 1));
    }

    #[test]
    fn every_value_knows_its_line() {
        let (table, problems) =
            parse_file(&"x.toml".into(), "a = 1\n[b]\nc = [\n \"d\",\n 1_000,\n]\n[[e]]\nf = 1.5\n");
        assert!(problems.is_empty());
        assert_eq!(table["a"].origin.to_string(), "x.toml line 1");
        assert_eq!(table["b"].origin.to_string(), "x.toml line 2");
        let Value::Table(b) = &table["b"].value else { panic!("a table") };
        let Value::List(c) = &b["c"].value else { panic!("a list") };
        assert_eq!(c[1].origin.to_string(), "x.toml line 5");
        assert_eq!(c[1].value.integer(), Some(1000));
        let Value::List(e) = &table["e"].value else { panic!("a list") };
        assert_eq!(e[0].origin.to_string(), "x.toml line 7");
    }
}
