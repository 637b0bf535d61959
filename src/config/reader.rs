//! Collects every problem while settings are read, instead of stopping at the first.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize as _;
use toml::de::{DeValue, ValueDeserializer};

use crate::config::env;
use crate::config::field::{Field, FieldType, Found, Value};
use crate::config::keys;
use crate::config::places::{self, Places};
use crate::config::problem::{self, Origin, Problem, SHOWN_AS, quoted};
use crate::config::suggest;

/// The sources of settings, and the problems found in them.
pub(super) struct Reader<'s> {
    /// Our variables that are not empty: an empty one is the usual way to unset one, and an empty password
    /// would let everyone in.
    pub(super) variables: BTreeMap<String, Found>,
    env: &'s [(OsString, OsString)],
    read_file: &'s dyn Fn(&Path) -> io::Result<String>,
    pub(super) places: Places,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    /// Everything that is set, in the order in which it was read. A table of a list comes before its keys.
    pub(super) set: Vec<SetValue>,
}

/// A key that is set, or one table of a list.
pub(super) struct SetValue {
    /// As a user types it, without the place in a list.
    pub(super) path: String,
    pub(super) found: Found,
}

/// The problem of a variable that still has its quotes.
fn in_quotes(name: &str, value: &str) -> Option<Problem> {
    let bare = value.trim().trim_matches(['"', '\'']);
    let what = match env::is_public(name) {
        true => format!("read {}, which", quoted(bare)),
        false => SHOWN_AS.to_owned(),
    };
    let text = problem::in_quotes(&what, value)?;
    let path = keys::all_paths().find(|path| env::variables_of(path).last().as_deref() == Some(name));
    Some(Problem::new(path.as_deref().unwrap_or(name), Origin::Variable(name.into()), text))
}

impl<'s> Reader<'s> {
    pub(super) fn new(
        env: &'s [(OsString, OsString)],
        read_file: &'s dyn Fn(&Path) -> io::Result<String>,
    ) -> Self {
        let mut reader = Self {
            variables: BTreeMap::new(),
            env,
            read_file,
            places: Places::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            set: Vec::new(),
        };
        for (name, value) in env {
            let Some(name) = name.to_str() else { continue };
            if let Some(key) = name.strip_prefix(places::ARGUMENT) {
                reader.argument(key, &value.to_string_lossy());
                continue;
            }
            let is_known = env::is_variable(name);
            if value.is_empty() || !(is_known || name.starts_with(env::PREFIX)) {
                continue;
            }
            if env::is_service_link(name, &value.to_string_lossy()) {
                continue;
            }
            match value.to_str() {
                _ if !is_known => reader.problems.push(suggest::unknown_variable(name)),
                Some(value) => {
                    if let Some(problem) = in_quotes(name, value) {
                        reader.problems.push(problem);
                        continue;
                    }
                    let at = reader.places.add_variable(name, value);
                    reader
                        .variables
                        .insert(name.to_owned(), Found { at, value: Value::Plain(value.to_owned()) });
                }
                None => {
                    let origin = Origin::Variable(name.into());
                    reader.problems.push(Problem::new(name, origin, "the value is not UTF-8 text"));
                }
            }
        }
        reader
    }

    /// Takes a setting of the command line, in place of the variables that stand for it.
    fn argument(&mut self, key: &str, value: &str) {
        let names: Vec<_> = keys::all_paths()
            .find(|path| path == key)
            .map(|path| env::variables_of(&path).collect())
            .unwrap_or_default();
        if names.is_empty() {
            let (section, last) = key.rsplit_once('.').unwrap_or(("", key));
            self.problems.push(suggest::unknown_key(section, last, Origin::Argument));
            return;
        }
        // A person may write a string of TOML, whose quotes the shell left in place.
        let quoted = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
        let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
        let at = self.places.add_variable(&format!("{}{key}", places::ARGUMENT), value);
        for name in names {
            self.variables.insert(name, Found { at, value: Value::Plain(value.to_owned()) });
        }
    }

    /// The text of a file that the user named.
    pub(super) fn file(&self, path: &Path) -> io::Result<String> {
        (self.read_file)(path)
    }

    /// The value of one of our variables.
    pub(super) fn variable(&self, name: &str) -> Option<Found> {
        self.variables.get(name).cloned()
    }

    /// The text of any variable that is not empty, for a setting that names one.
    pub(super) fn any_variable(&self, name: &str) -> Option<String> {
        let (_, value) = self.env.iter().find(|(known, _)| known.to_str() == Some(name))?;
        value.to_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    // --- problems ---

    /// Reports `text` about the setting at a position.
    pub(super) fn problem(&mut self, at: usize, text: impl Into<String>) {
        self.problem_with(self.places.name(at).to_owned(), at, text);
    }

    /// Reports `text` about `setting`, which has no position of its own.
    pub(super) fn problem_with(&mut self, setting: impl Into<String>, at: usize, text: impl Into<String>) {
        self.problems.push(Problem::new(setting, self.places.origin(at), text));
    }

    /// Reports that a value is not allowed.
    pub(super) fn refuse(&mut self, found: &Found, allowed: impl fmt::Display) {
        self.refuse_as(found, found.value.shown(), allowed);
    }

    /// Reports that a value is not allowed, and describes it as `read`.
    pub(super) fn refuse_as(&mut self, found: &Found, read: impl fmt::Display, allowed: impl fmt::Display) {
        self.problem(found.at, format!("read {read}; allowed: {allowed}"));
    }

    /// Reports that `setting` is missing from the section at a position.
    pub(super) fn missing(&mut self, setting: &str, at: usize, allowed: impl fmt::Display) {
        let key = setting.rsplit('.').next().unwrap_or(setting);
        self.problem_with(setting, at, format!("{key} is missing; allowed: {allowed}"));
    }

    pub(super) fn has_problem(&self, setting: &str) -> bool {
        self.problems.iter().any(|problem| problem.setting() == setting)
    }

    // --- values ---

    /// The value of a field, or a problem where it is wrong.
    pub(super) fn get<T: FieldType<Value: Clone>>(&mut self, field: &Field<T>) -> Option<T::Value> {
        let (found, value) = field.read()?;
        value.as_ref().map_err(|allowed| self.refuse(found, allowed)).ok().cloned()
    }

    /// A list of items, each of which parses as `T`; equal items count once. In a variable it is a TOML
    /// list, or plain text that `split` divides.
    pub(super) fn list<T: FromStr<Err: fmt::Display> + PartialEq>(
        &mut self,
        field: &Field,
        allowed: &str,
        split: fn(&str) -> Vec<&str>,
    ) -> Option<Vec<T>> {
        let items = self.items(field.found()?, allowed, split)?;
        Some(self.parsed(items, |reason| format!("{allowed} ({reason})"), allowed))
    }

    /// The items that parse as `T`; equal items count once.
    pub(super) fn parsed<T: FromStr<Err: fmt::Display> + PartialEq>(
        &mut self,
        items: Vec<Found>,
        because: impl Fn(T::Err) -> String,
        allowed: &str,
    ) -> Vec<T> {
        let mut parsed = Vec::new();
        for item in items {
            match item.value.text().map(T::from_str) {
                Some(Ok(value)) if !parsed.contains(&value) => parsed.push(value),
                Some(Ok(_)) => {}
                Some(Err(reason)) => self.refuse(&item, because(reason)),
                None => self.refuse(&item, allowed),
            }
        }
        parsed
    }

    /// The items of a list, or a problem where the value is not a list.
    pub(super) fn items(
        &mut self,
        found: &Found,
        allowed: &str,
        split: fn(&str) -> Vec<&str>,
    ) -> Option<Vec<Found>> {
        let items = match &found.value {
            Value::List(items) => Some(items.clone()),
            Value::Plain(text) if text.trim_start().starts_with('[') => toml_items(text.trim()),
            Value::Plain(text) => {
                let parts = split(text).into_iter().map(str::trim).filter(|part| !part.is_empty());
                Some(parts.map(|part| Found { at: 0, value: Value::Plain(part.to_owned()) }).collect())
            }
            _ => None,
        };
        let Some(mut items) = items else {
            self.refuse(found, format!("a list, in brackets: {allowed}"));
            return None;
        };
        for item in &mut items {
            if places::is_variable(found.at) {
                item.at = found.at;
            } else {
                self.places.set_name(item.at, self.places.name(found.at).to_owned());
            }
        }
        Some(items)
    }
}

/// The items of a TOML list.
fn toml_items(text: &str) -> Option<Vec<Found>> {
    let value = DeValue::parse(text).ok()?;
    match Value::deserialize(ValueDeserializer::from(value)).ok()? {
        Value::List(items) => Some(items),
        _ => None,
    }
}

/// Divides at every comma.
pub(super) fn at_commas(text: &str) -> Vec<&str> {
    text.split(',').collect()
}
