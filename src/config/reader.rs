//! Reads typed settings, environment before file, and keeps every problem instead of stopping at one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::config::keys;
use crate::config::problem::{Origin, Problem};
use crate::config::value::{self, Table, Value};
use dynowarden_core::units::{self, UnitError};

/// Where values come from and where problems go.
pub(super) struct Reader<'s> {
    /// Variables that are ours and not empty: an empty one is the usual way to unset one, and an empty
    /// password would be an open door.
    variables: BTreeMap<String, String>,
    /// All variables, for a setting that names one.
    env: &'s [(OsString, OsString)],
    read_file: &'s dyn Fn(&Path) -> io::Result<String>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

/// A table of the file, under the name that its keys are listed by.
pub(super) struct Section {
    name: &'static str,
    pub(super) origin: Origin,
    table: Table,
}

/// A setting that was found.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) setting: String,
    pub(super) origin: Origin,
    pub(super) value: Value,
}

// === impl Reader ===

impl<'s> Reader<'s> {
    pub(super) fn new(
        env: &'s [(OsString, OsString)],
        read_file: &'s dyn Fn(&Path) -> io::Result<String>,
    ) -> Self {
        let mut reader =
            Self { variables: BTreeMap::new(), env, read_file, problems: Vec::new(), warnings: Vec::new() };
        for (name, value) in env {
            let Some(name) = name.to_str() else { continue };
            let is_known = keys::is_variable(name);
            if value.is_empty() || !(is_known || name.starts_with(keys::PREFIX)) {
                continue;
            }
            if keys::is_service_link(name, &value.to_string_lossy()) {
                continue;
            }
            match value.to_str() {
                _ if !is_known => reader.problems.push(keys::unknown_variable(name)),
                Some(value) => drop(reader.variables.insert(name.to_owned(), value.to_owned())),
                None => {
                    let origin = Origin::Variable(name.into());
                    reader.problems.push(Problem::new(name, origin, "the value is not UTF-8 text"));
                }
            }
        }
        reader
    }

    /// The text of a file that the user named.
    pub(super) fn file(&self, path: &Path) -> io::Result<String> {
        (self.read_file)(path)
    }

    /// The file's top level.
    pub(super) fn root(&mut self, origin: Origin, table: Table) -> Section {
        self.checked(Section { name: "", origin, table })
    }

    /// The section `name` of `parent`, empty where it is not in the file.
    pub(super) fn section(&mut self, parent: &Section, key: &str, name: &'static str) -> Section {
        let Some(node) = parent.table.get(key) else {
            return Section { name, origin: parent.origin.clone(), table: Table::new() };
        };
        let found = Found::of(keys::path(parent.name, key), node.origin.clone(), node.value.clone());
        let table = match found.value {
            Value::Table(table) => table,
            _ => {
                self.refuse(&found, format!("a section, [{name}]"));
                Table::new()
            }
        };
        self.checked(Section { name, origin: found.origin, table })
    }

    /// The sections `[[name]]` of `parent`, in their order.
    pub(super) fn sections(&mut self, parent: &Section, key: &str, name: &'static str) -> Vec<Section> {
        let Some(found) = self.find(parent, key) else { return Vec::new() };
        let items = match &found.value {
            Value::List(items) => Some(items.clone()),
            Value::Plain(text) => value::parse_list(&found.origin, text),
            _ => None,
        };
        let Some(items) = items else {
            self.refuse(&found, format!("sections [[{name}]], with two brackets, one for each {key}"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in items {
            match item.value {
                Value::Table(table) => {
                    sections.push(self.checked(Section { name, origin: item.origin, table }));
                }
                other => self.refuse(
                    &Found::of(found.setting.clone(), item.origin, other),
                    format!("sections [[{name}]], with two brackets, one for each {key}"),
                ),
            }
        }
        sections
    }

    fn checked(&mut self, section: Section) -> Section {
        for (key, node) in &section.table {
            if !keys::keys_of(section.name).contains(&key.as_str()) {
                self.problems.push(keys::unknown_key(section.name, key, node.origin.clone()));
            }
        }
        section
    }

    /// The value of a variable.
    pub(super) fn variable(&self, name: &str) -> Option<Found> {
        let value = self.variables.get(name)?;
        Some(Found::of(name, Origin::Variable(name.into()), Value::Plain(value.clone())))
    }

    /// The text of any variable that is not empty, ours or not: a setting names it.
    pub(super) fn any_variable(&self, name: &str) -> Option<String> {
        let (_, value) = self.env.iter().find(|(known, _)| known.to_str() == Some(name))?;
        value.to_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// The setting `key` of `section`: from the environment, else from the file.
    pub(super) fn find(&self, section: &Section, key: &str) -> Option<Found> {
        debug_assert!(keys::keys_of(section.name).contains(&key), "{key} is not listed for {}", section.name);
        let path = keys::path(section.name, key);
        let named = keys::variables_of(&path).find_map(|name| self.variable(&name));
        if let Some(found) = named {
            let is_general = found.setting.starts_with(keys::PREFIX);
            return Some(if is_general { Found { setting: path, ..found } } else { found });
        }
        let node = section.table.get(key)?;
        Some(Found::of(path, node.origin.clone(), node.value.clone()))
    }

    /// Keeps the problem that `found` is not what is allowed.
    pub(super) fn refuse(&mut self, found: &Found, allowed: impl fmt::Display) {
        let Found { setting, origin, value } = found;
        self.problems.push(Problem::value(setting, origin.clone(), value.shown(), allowed));
    }

    /// Keeps the problem that `key` is missing from `section`.
    pub(super) fn missing(&mut self, section: &Section, key: &str, allowed: impl fmt::Display) {
        let setting = keys::path(section.name, key);
        let text = format!("{key} is missing; allowed: {allowed}");
        self.problems.push(Problem::new(setting, section.origin.clone(), text));
    }

    /// Whether something is wrong with `setting`.
    pub(super) fn has_problem(&self, setting: &str) -> bool {
        self.problems.iter().any(|problem| problem.setting() == setting)
    }

    // --- typed settings ---

    /// Whatever `read` makes of the value; a problem where it makes nothing.
    pub(super) fn value<T>(
        &mut self,
        section: &Section,
        key: &str,
        allowed: impl fmt::Display,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let found = self.find(section, key)?;
        let value = read(&found.value);
        if value.is_none() {
            self.refuse(&found, allowed);
        }
        value
    }

    /// A text that parses as `T`.
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        section: &Section,
        key: &str,
        allowed: impl fmt::Display,
    ) -> Option<T> {
        self.value(section, key, allowed, |value| value.text()?.parse().ok())
    }

    pub(super) fn boolean(&mut self, section: &Section, key: &str) -> Option<bool> {
        self.value(section, key, "true or false", Value::boolean)
    }

    pub(super) fn integer(
        &mut self,
        section: &Section,
        key: &str,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        let in_range = |value: &Value| u64::try_from(value.integer()?).ok().filter(|n| range.contains(n));
        self.value(section, key, allowed, in_range)
    }

    pub(super) fn duration(
        &mut self,
        section: &Section,
        key: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let (least, most) = (units::spell_duration(*range.start()), units::spell_duration(*range.end()));
        let allowed = format!("{} in quotes, from {least} to {most}", UnitError::Duration);
        let in_range =
            |value: &Value| units::duration(value.text()?).ok().filter(|span| range.contains(span));
        self.value(section, key, allowed, in_range)
    }

    pub(super) fn bytes(&mut self, section: &Section, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let (least, most) = (units::spell_bytes(*range.start()), units::spell_bytes(*range.end()));
        let allowed = format!("{} from {least} to {most}", UnitError::Size);
        let in_range = |value: &Value| {
            let bytes = match value {
                Value::Integer(bytes) => u64::try_from(*bytes).ok()?,
                other => units::bytes(other.text()?).ok()?,
            };
            range.contains(&bytes).then_some(bytes)
        };
        self.value(section, key, allowed, in_range)
    }

    /// A list of items, each of which parses as `T`; equal items count once. A variable's is a TOML list,
    /// or plain text that `cut` takes apart.
    pub(super) fn list<T: FromStr<Err: fmt::Display> + PartialEq>(
        &mut self,
        section: &Section,
        key: &str,
        allowed: &str,
        cut: fn(&str) -> Vec<&str>,
    ) -> Option<Vec<T>> {
        let found = self.find(section, key)?;
        let mut parsed = Vec::new();
        for item in self.items(&found, allowed, cut)? {
            match item.value.text().map(T::from_str) {
                Some(Ok(value)) if !parsed.contains(&value) => parsed.push(value),
                Some(Ok(_)) => {}
                Some(Err(reason)) => self.refuse(&item, format!("{allowed} ({reason})")),
                None => self.refuse(&item, allowed),
            }
        }
        Some(parsed)
    }

    /// The items of a list; a problem where it is none.
    pub(super) fn items(
        &mut self,
        found: &Found,
        allowed: &str,
        cut: fn(&str) -> Vec<&str>,
    ) -> Option<Vec<Found>> {
        let item = |origin: &Origin, value| Found::of(found.setting.clone(), origin.clone(), value);
        let items = match &found.value {
            Value::List(nodes) => Some(nodes.iter().map(|n| item(&n.origin, n.value.clone())).collect()),
            Value::Plain(text) if text.trim_start().starts_with('[') => {
                let nodes = value::parse_list(&found.origin, text.trim());
                nodes.map(|nodes| nodes.into_iter().map(|n| item(&found.origin, n.value)).collect())
            }
            Value::Plain(text) => {
                let parts = cut(text).into_iter().map(str::trim).filter(|part| !part.is_empty());
                Some(parts.map(|part| item(&found.origin, Value::Plain(part.to_owned()))).collect())
            }
            _ => None,
        };
        if items.is_none() {
            self.refuse(found, format!("a list, in brackets: {allowed}"));
        }
        items
    }
}

/// Cuts at every comma.
pub(super) fn at_commas(text: &str) -> Vec<&str> {
    text.split(',').collect()
}

// === impl Found ===

impl Found {
    pub(super) fn of(setting: impl Into<String>, origin: Origin, value: Value) -> Self {
        Self { setting: setting.into(), origin, value }
    }
}
