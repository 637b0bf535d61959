//! The settings in force, each with its origin: `dynowarden config`.
//!
//! The defaults are those of `dynowarden.example.toml`, which lists every key in its order. A test holds it
//! to the defaults of the code. Secrets are named and never shown.

use std::fmt::Write as _;
use std::time::Duration;

use dynowarden_core::calendar;
use dynowarden_core::policy::{Rule, Trigger};
use dynowarden_core::units::spell_duration;

use crate::config::field::{Found, Value};
use crate::config::places;
use crate::config::problem::{Origin, Problems};
use crate::config::reader::{Reader, SetValue, at_commas};
use crate::config::settings::{AppSettings, Database, NotifierSettings, Settings};
use crate::config::{self, Sources};

/// Every key with its default, in the order in which it is shown.
pub(super) const EXAMPLE: &str = include_str!("../../dynowarden.example.toml");

/// The settings in force, as TOML with the origin of each as a comment.
///
/// # Errors
/// Everything that is wrong with the settings.
pub fn text(sources: &Sources<'_>) -> Result<String, Problems> {
    let (reader, settings) = config::read_all(sources);
    Problems::none_of(reader.problems.clone())?;
    let mut page = Page { reader: &reader, settings: &settings, text: String::new() };
    page.text.push_str("# The settings in force, each with its origin. Secrets are not shown.\n\n");
    page.secrets();
    page.sections();
    page.rules("rule", &reader.set, &settings.defaults.rules);
    page.apps();
    page.notifiers();
    page.remarks();
    Ok(page.text)
}

struct Page<'a> {
    reader: &'a Reader<'a>,
    settings: &'a Settings,
    text: String,
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Bare,
    List,
    Text,
}

/// A key of the example file.
pub(super) struct Key<'e> {
    pub(super) name: &'e str,
    /// The value that the file shows: the default, or an example of one.
    pub(super) shown: &'e str,
    pub(super) is_default: bool,
}

// === The example file ===

/// The keys of `section` in the example file, in their order.
pub(super) fn keys_of(section: &str) -> Vec<Key<'static>> {
    let mut current = "";
    let mut keys: Vec<Key<'static>> = Vec::new();
    for line in EXAMPLE.lines() {
        let (line, is_default) = match line.strip_prefix("# ") {
            Some(rest) => (rest, false),
            None => (line, true),
        };
        if let Some(header) = header(line) {
            current = header;
        } else if let Some((name, shown)) = line.split_once(" = ")
            && current == section
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            && keys.iter().all(|key| key.name != name)
        {
            keys.push(Key { name, shown, is_default });
        }
    }
    keys
}

fn header(line: &str) -> Option<&str> {
    let name = line.strip_prefix('[')?.strip_suffix(']')?;
    Some(name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name))
}

impl Key<'_> {
    pub(super) fn form(&self) -> Form {
        match self.shown.as_bytes().first() {
            Some(b'[') => Form::List,
            Some(b'"') => Form::Text,
            _ => Form::Bare,
        }
    }
}

// === impl Page ===

impl Page<'_> {
    fn line(&mut self, setting: &str, origin: &str) {
        let _written = writeln!(self.text, "{setting:<40} # {origin}");
    }

    fn header(&mut self, text: &str) {
        let _written = writeln!(self.text, "\n{text}");
    }

    /// The secrets that have variables of their own: only whether they are set.
    fn secrets(&mut self) {
        let held = |files: &[&str], path: &str| {
            let set =
                self.reader.set.iter().find(|set| files.contains(&set.path.as_str()) && set.path == path);
            set.map(|set| self.reader.places.origin(set.found.at))
        };
        let lines: Vec<String> = SECRETS
            .iter()
            .filter_map(|(name, file)| {
                let variable = self.reader.variables.get(*name).map(|_| Origin::Variable((*name).into()));
                let origin = variable.or_else(|| held(&[file], file))?;
                Some(format!("# {name}: set, not shown ({origin})"))
            })
            .collect();
        let missing = self.settings.missing_for_serve();
        for line in lines.into_iter().chain(missing.iter().map(|problem| format!("# {problem}"))) {
            self.text.push_str(&line);
            self.text.push('\n');
        }
        self.text.push('\n');
    }

    /// The sections that exist once.
    fn sections(&mut self) {
        for section in SECTIONS {
            let keys = keys_of(section);
            if !section.is_empty() {
                self.header(&format!("[{section}]"));
            }
            for key in keys {
                let path = config::keys::path(section, key.name);
                let found = self.reader.set.iter().find(|set| set.path == path).map(|set| &set.found);
                self.key(&key, &path, found);
            }
        }
    }

    fn key(&mut self, key: &Key<'_>, path: &str, found: Option<&Found>) {
        let name = key.name;
        match found {
            Some(found) => {
                let origin = self.reader.places.origin(found.at).to_string();
                match self.is_secret(path) {
                    true => self.line(&format!("# {name}: set, not shown"), &origin),
                    false => self.line(&format!("{name} = {}", shown(found, key, name)), &origin),
                }
            }
            None if key.is_default => self.line(&format!("{name} = {}", key.shown), "default"),
            None => self.line(&format!("# {name}"), "not set"),
        }
    }

    fn is_secret(&self, path: &str) -> bool {
        let is_server = matches!(self.settings.database, Database::Postgres(_));
        matches!(path, "notify.url" | "notify.secret") || (path == "store.url" && is_server)
    }

    /// The keys of one table of a list, after its header.
    fn table(&mut self, section: &str, values: &[SetValue]) {
        for set in values {
            let Some((parent, name)) = set.path.rsplit_once('.') else { continue };
            if parent == section {
                let key = Key { name, shown: "", is_default: false };
                self.key(&key, &set.path, Some(&set.found));
            }
        }
    }

    fn rules(&mut self, section: &str, values: &[SetValue], in_force: &[Rule]) {
        let tables = tables(section, values);
        if tables.is_empty() && section == "rule" {
            self.header("[[rule]]");
            for key in keys_of("rule").iter().filter(|key| key.is_default) {
                self.key(key, "rule", None);
            }
        }
        for (table, rule) in tables.into_iter().zip(in_force) {
            self.header(&format!("[[{section}]]"));
            self.table(section, table);
            self.defaults(table, span_of(rule));
        }
    }

    fn apps(&mut self) {
        let tables = tables("app", &self.reader.set);
        for AppSettings { plan, .. } in &self.settings.apps {
            self.header("[[app]]");
            let table = tables.iter().find(|table| {
                let mut names = table.iter().filter(|set| set.path == "app.name");
                names.any(|set| set.found.value.text() == Some(plan.name.as_str()))
            });
            match table {
                Some(table) => {
                    self.table("app", table);
                    if table.iter().any(|set| set.path.starts_with("app.policy.")) {
                        self.header("[app.policy]");
                        self.table("app.policy", table);
                    }
                    self.rules("app.rule", table, &plan.rules);
                }
                None => {
                    self.line(
                        &format!("name = {}", quoted(plan.name.as_str())),
                        "environment variable HEROKU_APP",
                    );
                }
            }
        }
    }

    fn notifiers(&mut self) {
        let tables = tables("notify", &self.reader.set);
        for (place, notifier) in self.settings.notifiers.iter().enumerate() {
            self.header("[[notify]]");
            let table = tables.get(place).copied().unwrap_or_default();
            self.table("notify", table);
            self.defaults(table, in_force(notifier));
            if let Some(variable) = notifier.variable {
                self.line(
                    &format!("# {variable}: set, not shown"),
                    &format!("environment variable {variable}"),
                );
            }
        }
    }

    /// The keys that a table leaves out, with the values that are in force.
    fn defaults(&mut self, table: &[SetValue], values: impl IntoIterator<Item = (&'static str, String)>) {
        for (key, value) in values {
            if !table.iter().any(|set| config::keys::last(&set.path) == key) {
                self.line(&format!("{key} = {value}"), "default");
            }
        }
    }

    fn remarks(&mut self) {
        for warning in &self.reader.warnings {
            let _written = writeln!(self.text, "\n# warning: {warning}");
        }
    }
}

/// The sections that exist once; those of lists follow them.
const SECTIONS: [&str; 8] = ["", "heroku", "drain", "tls", "admin", "hook", "store", "policy"];

/// Each secret's variable, and the key that names a file instead.
const SECRETS: [(&str, &str); 5] = [
    ("HEROKU_API_KEY", "heroku.api_key_file"),
    ("DRAIN_PASSWORD", "drain.password_file"),
    ("DRAIN_PASSWORD_OLD", "drain.old_password_file"),
    ("ADMIN_PASSWORD", "admin.password_file"),
    ("HOOK_KEY", "hook.key_file"),
];

/// How often or how long, which the table of a rule need not say.
fn span_of(rule: &Rule) -> Vec<(&'static str, String)> {
    let spelled = |span: Duration| quoted(&spell_duration(span).to_string());
    match &rule.trigger {
        Trigger::Errors { count, within, .. } => {
            vec![("count", count.to_string()), ("within", spelled(*within))]
        }
        Trigger::Memory { lasting, .. } | Trigger::Swap { lasting, .. } => vec![("for", spelled(*lasting))],
        Trigger::SlowerThanPeers { .. } | Trigger::Uptime { .. } => Vec::new(),
    }
}

/// What a notifier does that its table need not say.
fn in_force(notifier: &NotifierSettings) -> [(&'static str, String); 5] {
    let on: Vec<String> = notifier.on.iter().map(|kind| quoted(kind.word())).collect();
    [
        ("type", quoted(notifier.channel.word())),
        ("name", quoted(&notifier.name)),
        ("on", format!("[{}]", on.join(", "))),
        ("group", quoted(&spell_duration(notifier.group).to_string())),
        ("repeat", quoted(&spell_duration(notifier.repeat).to_string())),
    ]
}

/// The tables of the list `section`, each from its first key to the next table.
fn tables<'v>(section: &str, values: &'v [SetValue]) -> Vec<&'v [SetValue]> {
    let starts: Vec<usize> =
        values.iter().enumerate().filter(|(_, set)| set.path == section).map(|(place, _)| place).collect();
    let is_inside = |set: &SetValue| set.path.starts_with(section) && set.path != section;
    let table = |start: &usize| {
        let after = &values[start + 1..];
        let end = after.iter().position(|set| !is_inside(set)).unwrap_or(after.len());
        &after[..end]
    };
    starts.iter().map(table).collect()
}

/// A value as TOML. A variable holds plain text, so the key says what it stands for.
fn shown(found: &Found, key: &Key<'_>, name: &str) -> String {
    let text = match &found.value {
        Value::Text(text) | Value::Plain(text) if places::is_variable(found.at) => text.trim(),
        value => return toml(value),
    };
    match key.form() {
        Form::List if !text.starts_with('[') => {
            let items = if name == "window" { calendar::split_list(text) } else { at_commas(text) };
            let items = items.into_iter().map(str::trim).filter(|item| !item.is_empty());
            let items: Vec<String> = items.map(quoted).collect();
            format!("[{}]", items.join(", "))
        }
        Form::List => text.to_owned(),
        Form::Bare if text.parse::<i128>().is_ok() || text.parse::<bool>().is_ok() => text.to_owned(),
        Form::Bare | Form::Text => quoted(text),
    }
}

fn toml(value: &Value) -> String {
    match value {
        Value::Boolean(boolean) => boolean.to_string(),
        Value::Integer(integer) => integer.to_string(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| toml(&item.value)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Other(text) => text.clone(),
        Value::Plain(text) | Value::Text(text) => quoted(text),
        // A table has no value of its own.
        Value::Table => String::new(),
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _written = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
