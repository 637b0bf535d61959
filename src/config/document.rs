//! The settings file and the environment, merged into one table and read by serde.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, ValueDeserializer};

use crate::config::env;
use crate::config::field::{Found, Value};
use crate::config::keys::{self, Root, Shape};
use crate::config::places;
use crate::config::problem::Problem;
use crate::config::suggest;

use crate::config::reader::{Reader, SetValue};

/// What a mistake in the file's syntax is reported under.
pub(super) const SYNTAX: &str = "TOML syntax";

/// Reads the text of the settings file and the variables that override it.
///
/// Where the syntax is wrong, the file counts as empty, for what follows a mistake is often misread. The
/// first mistake of each line is reported.
pub(super) fn read(reader: &mut Reader<'_>, text: &str) -> Root {
    let (table, errors) = DeTable::parse_recoverable(text);
    report_syntax(reader, &errors);
    let mut table = if errors.is_empty() { table.into_inner() } else { DeTable::new() };
    let variables = reader.variables.clone();
    merge_variables(reader, &variables, &mut table);
    let table = check_section(reader, "", table);
    Root::deserialize(Deserializer::from(placed(0, table))).unwrap_or_else(|error| {
        report_syntax(reader, &[error]);
        Root::default()
    })
}

fn report_syntax(reader: &mut Reader<'_>, errors: &[toml::de::Error]) {
    let mut lines = BTreeSet::new();
    for error in errors {
        // The error's own display would show the line, with any secret that was typed there.
        let (line, origin) = reader.places.syntax_origin(error.span().map_or(0, |span| span.start));
        // What follows on the same line is mostly a consequence of the first mistake.
        if lines.insert(line) {
            reader.problems.push(Problem::new(SYNTAX, origin, error.message()));
        }
    }
}

/// Puts every variable that stands for a key in the place of that key.
fn merge_variables<'v>(
    reader: &mut Reader<'_>,
    variables: &'v BTreeMap<String, Found>,
    table: &mut DeTable<'v>,
) {
    for path in keys::all_paths() {
        let variable = env::variables_of(&path).find_map(|name| variables.get_key_value(&name));
        let Some((name, found)) = variable else { continue };
        if name.starts_with(env::PREFIX) {
            reader.places.set_name(found.at, path.clone());
        }
        let text = found.value.text().unwrap_or_default();
        let value = match keys::shape(&path) {
            Shape::Tables => match tables(text, found.at) {
                Some(value) => value,
                None => {
                    refuse_tables(reader, &path, found);
                    continue;
                }
            },
            Shape::Section | Shape::Value => DeValue::String(text.into()),
        };
        let (section, key) = path.rsplit_once('.').unwrap_or(("", &path));
        let Some(home) = section_of(table, section) else { continue };
        home.remove(key);
        home.insert(placed(found.at, key.to_owned().into()), placed(found.at, value));
    }
}

/// The section to put a variable's value in; none where the file has another value in the section's place.
fn section_of<'t, 'i>(table: &'t mut DeTable<'i>, section: &str) -> Option<&'t mut DeTable<'i>> {
    if section.is_empty() {
        return Some(table);
    }
    if !table.contains_key(section) {
        table.insert(placed(0, section.to_owned().into()), placed(0, DeValue::Table(DeTable::new())));
    }
    match table.get_mut(section)?.get_mut() {
        DeValue::Table(inner) => Some(inner),
        _ => None,
    }
}

fn placed<T>(at: usize, value: T) -> Spanned<T> {
    Spanned::new(at..at, value)
}

/// A variable's text as a list of tables, with positions in the variable.
fn tables(text: &str, at: usize) -> Option<DeValue<'_>> {
    let value = DeValue::parse(text.trim()).ok()?.into_inner();
    matches!(value, DeValue::Array(_)).then(|| moved(value, at))
}

/// The value with all its positions moved by `by`. Its depth is bounded: the parser stops at 80 levels.
fn moved(value: DeValue<'_>, by: usize) -> DeValue<'_> {
    match value {
        DeValue::Array(items) => {
            DeValue::Array(items.into_iter().map(|item| moved_place(item, by)).collect())
        }
        DeValue::Table(table) => {
            let entry = |(key, value): (Spanned<_>, _)| {
                (placed(key.span().start + by, key.into_inner()), moved_place(value, by))
            };
            DeValue::Table(table.into_iter().map(entry).collect())
        }
        other => other,
    }
}

fn moved_place(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    placed(value.span().start + by, moved(value.into_inner(), by))
}

/// Drops what serde would stop at, and reports each part: unknown keys, and other values in the place of
/// sections.
fn check_section<'i>(reader: &mut Reader<'_>, section: &str, table: DeTable<'i>) -> DeTable<'i> {
    let mut kept = DeTable::new();
    for (key, value) in table {
        if !keys::keys_of(section).contains(&key.get_ref().as_ref()) {
            let origin = reader.places.origin(key.span().start);
            reader.problems.push(suggest::unknown_key(section, key.get_ref(), origin));
        } else if let Some(value) = check_value(reader, &keys::path(section, key.get_ref()), value) {
            kept.insert(key, value);
        }
    }
    kept
}

fn check_value<'i>(
    reader: &mut Reader<'_>,
    path: &str,
    value: Spanned<DeValue<'i>>,
) -> Option<Spanned<DeValue<'i>>> {
    let at = value.span().start;
    reader.places.name_first(at, path);
    let value = match (keys::shape(path), value.into_inner()) {
        (Shape::Value, value) => {
            reader.set.push(SetValue { path: path.to_owned(), found: found(at, value.clone()) });
            value
        }
        (Shape::Section, DeValue::Table(table)) => DeValue::Table(check_section(reader, path, table)),
        (Shape::Section, other) => {
            reader.refuse(&found(at, other), format!("a section, [{path}]"));
            return None;
        }
        (Shape::Tables, DeValue::Array(items)) => {
            DeValue::Array(items.into_iter().filter_map(|item| check_item(reader, path, item)).collect())
        }
        (Shape::Tables, other) => {
            refuse_tables(reader, path, &found(at, other));
            return None;
        }
    };
    Some(placed(at, value))
}

fn check_item<'i>(
    reader: &mut Reader<'_>,
    path: &str,
    item: Spanned<DeValue<'i>>,
) -> Option<Spanned<DeValue<'i>>> {
    let at = item.span().start;
    match item.into_inner() {
        DeValue::Table(table) => {
            reader.set.push(SetValue { path: path.to_owned(), found: Found { at, value: Value::Table } });
            Some(placed(at, DeValue::Table(check_section(reader, path, table))))
        }
        other => {
            reader.places.name_first(at, path);
            refuse_tables(reader, path, &found(at, other));
            None
        }
    }
}

fn found(at: usize, value: DeValue<'_>) -> Found {
    let value = Value::deserialize(ValueDeserializer::from(placed(at, value)));
    Found { at, value: value.unwrap_or(Value::Table) }
}

fn refuse_tables(reader: &mut Reader<'_>, path: &str, found: &Found) {
    let of = keys::last(path);
    let allowed = match places::is_variable(found.at) {
        true => format!("a list of tables in brackets, as in TOML: [{{…}}, {{…}}], one table for each {of}"),
        false => format!("sections [[{path}]], with two brackets, one for each {of}"),
    };
    // The URL of a receiver is a secret, and this may be one.
    let is_hidden = path == "notify" && found.value.text().is_some();
    let read = if is_hidden { "a value that is not shown".to_owned() } else { found.value.shown() };
    reader.refuse_as(found, read, allowed);
}
