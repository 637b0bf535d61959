//! Positions of settings, and the name and origin that a message gives for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::problem::Origin;

/// Positions from here on are in variables; no settings file is nearly as long.
const VARIABLES: usize = usize::MAX / 2;

/// What stands before a setting of the command line, among the variables.
pub(super) const ARGUMENT: &str = "--set ";

/// Whether the value at this position came from the environment.
pub(super) fn is_variable(at: usize) -> bool {
    at >= VARIABLES
}

/// The texts that settings come from. Positions in the file are its byte offsets; each variable has a range
/// of its own above [`VARIABLES`].
pub(super) struct Places {
    path: Arc<str>,
    text: String,
    /// Each variable's first position, ascending.
    variables: Vec<(usize, Arc<str>)>,
    next_variable: usize,
    names: BTreeMap<usize, String>,
}

impl Places {
    pub(super) fn new() -> Self {
        let text = String::new();
        Self {
            path: "".into(),
            text,
            variables: Vec::new(),
            next_variable: VARIABLES,
            names: BTreeMap::new(),
        }
    }

    pub(super) fn set_file(&mut self, path: Arc<str>, text: &str) {
        (self.path, self.text) = (path, text.to_owned());
    }

    /// The position of a variable's first byte.
    pub(super) fn add_variable(&mut self, name: &str, value: &str) -> usize {
        let at = self.next_variable;
        self.next_variable += value.len() + 1;
        self.variables.push((at, name.into()));
        self.set_name(at, name.to_owned());
        at
    }

    pub(super) fn set_name(&mut self, at: usize, setting: String) {
        self.names.insert(at, setting);
    }

    /// Names a position that has no name yet: a variable with a name of its own keeps that one.
    pub(super) fn name_first(&mut self, at: usize, setting: &str) {
        self.names.entry(at).or_insert_with(|| setting.to_owned());
    }

    /// The setting at a position, as a user types it.
    pub(super) fn name(&self, at: usize) -> &str {
        self.names.get(&at).map_or("", String::as_str)
    }

    pub(super) fn origin(&self, at: usize) -> Origin {
        if is_variable(at) {
            let after = self.variables.partition_point(|(start, _)| *start <= at);
            let variable = after.checked_sub(1).and_then(|index| self.variables.get(index));
            return variable.map_or(Origin::Unset, |(_, name)| match name.starts_with(ARGUMENT) {
                true => Origin::Argument,
                false => Origin::Variable(Arc::clone(name)),
            });
        }
        let (line, _) = line_and_column(&self.text, at);
        Origin::File { path: Arc::clone(&self.path), line: Some(line), column: None }
    }

    /// The origin of a syntax error, and a number that is equal for all errors of a line.
    pub(super) fn syntax_origin(&self, at: usize) -> (usize, Origin) {
        if is_variable(at) {
            return (at, self.origin(at));
        }
        let (line, column) = line_and_column(&self.text, at);
        (line, Origin::File { path: Arc::clone(&self.path), line: Some(line), column: Some(column) })
    }

    pub(super) fn whole_file(&self) -> Origin {
        Origin::File { path: Arc::clone(&self.path), line: None, column: None }
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
    use super::{Places, line_and_column};

    #[test]
    fn lines_and_columns_count_from_one() {
        assert_eq!(line_and_column("", 0), (1, 1));
        assert_eq!(line_and_column("a\nbé = x", 7), (2, 5));
        assert_eq!(line_and_column("a\n", 99), (2, 1));
    }

    #[test]
    fn every_position_of_a_variable_is_its_own() {
        let mut places = Places::new();
        places.set_file("x.toml".into(), "a = 1\nb = 2");
        let (one, two) = (places.add_variable("ONE", "abc"), places.add_variable("TWO", ""));
        assert_eq!(places.origin(6).to_string(), "x.toml line 2");
        assert_eq!(places.origin(one + 3).to_string(), "environment variable ONE");
        assert_eq!(places.origin(two).to_string(), "environment variable TWO");
        assert_eq!((places.name(one), places.name(two)), ("ONE", "TWO"));
    }
}
