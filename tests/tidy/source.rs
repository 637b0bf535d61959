//! The source tree for the rules: each line as written, the same line without comments and quoted text, and
//! whether it belongs to a test.

use std::fs;
use std::path::{Path, PathBuf};

/// The sources of the three crates.
pub(crate) const PRODUCT: &[&str] = &["src", "crates/core/src", "crates/heroku-sim/src"];

pub(crate) struct Source {
    /// From the project's root, with `/` between the parts.
    pub path: String,
    pub lines: Vec<Line>,
}

pub(crate) struct Line {
    /// As written.
    pub raw: String,
    /// Comments and the insides of literals are blank here, so that a rule about words sees only code.
    pub code: String,
    pub is_test: bool,
}

/// One function, from its `fn` to its closing brace.
pub(crate) struct Function<'s> {
    pub name: &'s str,
    /// Counted from 1.
    pub first_line: usize,
    pub lines: &'s [Line],
}

impl Source {
    /// The folder of its crate's sources: `crates/core/src` for `crates/core/src/engine/mod.rs`.
    pub(crate) fn crate_root(&self) -> &str {
        let end = self.path.find("src/").map_or(0, |at| at + "src".len());
        &self.path[..end]
    }

    /// The lines that are not tests, counted from 1.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &Line)> {
        (1..).zip(&self.lines).filter(|(_, line)| !line.is_test)
    }

    /// Its functions. rustfmt indents a function's closing brace like its first line.
    pub(crate) fn functions(&self) -> impl Iterator<Item = Function<'_>> {
        (0..self.lines.len()).filter_map(|at| {
            let code = &self.lines[at].code;
            let indent = code.len() - code.trim_start().len();
            let name = name_of_function(code.trim_start())?;
            let closing = format!("{}}}", " ".repeat(indent));
            let ends = |line: &Line| line.code.trim_end() == closing;
            let is_short = code.trim_end().ends_with(['}', ';']);
            let length = if is_short { 0 } else { self.lines[at..].iter().position(ends)? };
            Some(Function { name, first_line: at + 1, lines: &self.lines[at..=at + length] })
        })
    }
}

/// The name after `fn`, if the line begins a function.
fn name_of_function(code: &str) -> Option<&str> {
    let qualifiers = ["pub", "pub(crate)", "pub(super)", "const", "async", "extern"];
    let mut words = code.split_whitespace().skip_while(|word| qualifiers.contains(word));
    if words.next()? != "fn" {
        return None;
    }
    words.next()?.split(['(', '<']).next()
}

/// All sources below the directories `dirs` of the project, sorted by path.
pub(crate) fn sources(dirs: &[&str]) -> Vec<Source> {
    let mut paths: Vec<String> = dirs.iter().flat_map(|dir| files_below(dir)).collect();
    paths.retain(|path| path.ends_with(".rs"));
    paths.into_iter().map(|path| Source { lines: lines_of(&path, &read(&path)), path }).collect()
}

/// The files below a directory of the project, except for what git, cargo and npm put there; none if there is
/// no such directory.
pub(crate) fn files_below(dir: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut open = vec![root().join(dir)];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.expect("an entry of a directory").path();
            if path.is_dir() {
                if !NOT_OURS.iter().any(|name| path.ends_with(name)) {
                    open.push(path);
                }
            } else {
                let path = path.strip_prefix(root()).expect("a path below the root");
                paths.push(path.to_str().expect("a name in UTF-8").replace('\\', "/"));
            }
        }
    }
    paths.sort();
    paths
}

const NOT_OURS: [&str; 3] = [".git", "target", "node_modules"];

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The text of a file; none if it is not text.
pub(crate) fn text_of(path: &str) -> Option<String> {
    let octets = fs::read(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    String::from_utf8(octets).ok()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn lines_of(path: &str, text: &str) -> Vec<Line> {
    let is_product = PRODUCT.iter().any(|root| path.starts_with(root));
    let is_test_file = !is_product || path.ends_with("/tests.rs") || path.contains("/tests/");
    let code = without_comments_and_quotes(text);
    // `mod tests {` is the last item in a file, so everything below it is tests.
    let inline_tests = |code: &str| code.starts_with("mod ") && code.trim_end().ends_with('{');
    let codes: Vec<&str> = code.lines().collect();
    let first_test = (1..codes.len())
        .find(|&at| codes[at - 1].trim() == "#[cfg(test)]" && inline_tests(codes[at]))
        .map_or(codes.len(), |at| at - 1);
    (0..)
        .zip(text.lines().zip(codes))
        .map(|(at, (raw, code))| Line {
            raw: raw.to_owned(),
            code: code.to_owned(),
            is_test: is_test_file || at >= first_test,
        })
        .collect()
}

/// What the next character belongs to.
#[derive(Clone, Copy)]
enum Place {
    Code,
    LineComment,
    BlockComment { depth: u32 },
    Text,
    RawText { hashes: usize },
}

/// `text` with blanks in place of comments and quoted text; no line gets shorter.
fn without_comments_and_quotes(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let starts =
        |at: usize, what: &str| what.chars().enumerate().all(|(n, c)| letters.get(at + n) == Some(&c));
    let hashes_at = |at: usize| letters[at.min(letters.len())..].iter().take_while(|c| **c == '#').count();
    let mut kept = String::with_capacity(text.len());
    let (mut place, mut at) = (Place::Code, 0);
    while at < letters.len() {
        let letter = letters[at];
        let (next, taken) = match place {
            Place::Code if starts(at, "//") => (Place::LineComment, 2),
            Place::Code if starts(at, "/*") => (Place::BlockComment { depth: 1 }, 2),
            Place::Code if letter == '"' => (Place::Text, 1),
            Place::Code if letter == 'r' && is_raw_text(&letters, at) => {
                let hashes = hashes_at(at + 1);
                (Place::RawText { hashes }, hashes + 2)
            }
            Place::Code if letter == '\'' => (Place::Code, letters_of_char(&letters, at)),
            Place::LineComment if letter == '\n' => (Place::Code, 1),
            Place::BlockComment { depth } if starts(at, "/*") => {
                (Place::BlockComment { depth: depth + 1 }, 2)
            }
            Place::BlockComment { depth: 1 } if starts(at, "*/") => (Place::Code, 2),
            Place::BlockComment { depth } if starts(at, "*/") => {
                (Place::BlockComment { depth: depth - 1 }, 2)
            }
            Place::Text if letter == '\\' => (Place::Text, 2),
            Place::Text if letter == '"' => (Place::Code, 1),
            Place::RawText { hashes } if letter == '"' && hashes_at(at + 1) >= hashes => {
                (Place::Code, hashes + 1)
            }
            same => (same, 1),
        };
        let is_code = matches!((place, next), (Place::Code, Place::Code)) && taken == 1;
        for letter in &letters[at..(at + taken).min(letters.len())] {
            kept.push(if is_code || *letter == '\n' { *letter } else { ' ' });
        }
        (place, at) = (next, at + taken);
    }
    kept
}

/// Whether the `r` at `at` begins `r"…"` or `r#"…"#`, and is not the end of a name.
fn is_raw_text(letters: &[char], at: usize) -> bool {
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let before = at.checked_sub(1).map(|before| letters[before]);
    let in_word = before.is_some_and(|c| is_word(&c) && c != 'b');
    let quote = letters[at + 1..].iter().find(|c| **c != '#');
    !in_word && quote == Some(&'"')
}

/// The length of the literal at the `'`; 1 for a lifetime.
fn letters_of_char(letters: &[char], at: usize) -> usize {
    match letters.get(at + 1) {
        Some('\\') => letters[at + 2..].iter().skip(1).position(|c| *c == '\'').map_or(1, |n| n + 4),
        Some(_) if letters.get(at + 2) == Some(&'\'') => 3,
        _ => 1,
    }
}

#[test]
fn comments_and_quotes_are_blanked() {
    let check = |text: &str, expect: &str| {
        assert_eq!(
            without_comments_and_quotes(text).split_whitespace().collect::<Vec<_>>().join(" "),
            expect
        );
    };
    check("a // b\nc", "a c");
    check("a /* b /* c */ d */ e", "a e");
    check("f(\"x // y\", 'z')", "f( , )");
    check(r##"let x = r#"a " b"#; y"##, "let x = ; y");
    check(r#"("\"", '\'', '"', '\u{2d}', 'a')"#, "( , , , , )");
    check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}");
    check("b\"x\" + br\"y\" + for\"z\"", "b + b + for");
}

#[test]
fn functions_are_found_to_their_end() {
    let text =
        "impl X {\n    pub async fn a(\n        x: u8,\n    ) {\n        b();\n    }\n\n    fn c() {}\n}\n";
    let source = Source { lines: lines_of("src/x.rs", text), path: "src/x.rs".into() };
    let found: Vec<_> =
        source.functions().map(|f| (f.name.to_owned(), f.first_line, f.lines.len())).collect();
    assert_eq!(found, [("a".to_owned(), 2, 5), ("c".to_owned(), 8, 1)]);
}
