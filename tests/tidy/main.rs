//! The rules of the codebase that a compiler does not enforce, checked on the source tree.
//!
//! Each test collects all findings before it fails, so that one run reports everything.

mod source;
mod states;

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Line, PRODUCT, Source, files_below, read, sources, text_of};

/// Parts that must not import certain others, although the compiler allows it: the importer, the forbidden
/// imports, and why.
const MUST_NOT_IMPORT: &[(&str, &[&str], &str)] = &[
    (
        "crates/core/src/wire",
        &["crate::detect", "crate::event", "crate::ingest", "crate::engine"],
        "frames and lines have no meaning yet",
    ),
    (
        "crates/core/src/engine",
        &["crate::wire", "crate::detect", "crate::ingest", "crate::replay", "crate::health"],
        "the engine never sees a line or a setting's text",
    ),
    (
        "crates/heroku-sim/src",
        &[
            "dynowarden_core::api",
            "dynowarden_core::detect",
            "dynowarden_core::engine",
            "dynowarden_core::health",
            "dynowarden_core::ingest",
            "dynowarden_core::policy",
            "dynowarden_core::wire",
        ],
        "the simulated Heroku shares words with the daemon and nothing that thinks, so that the two can disagree",
    ),
    ("src/store", &["crate::http", "crate::ui"], "the store keeps facts, not pages"),
];

/// The files that may import the HTTP server: it and the daemon, which starts it.
const HTTP_IMPORTERS: &[&str] = &["src/http/", "src/daemon.rs"];

/// The files of the pure crates that touch sockets and real time: the simulated Heroku's `server` feature.
const IMPURE: &[&str] = &[
    "crates/heroku-sim/src/clock.rs",
    "crates/heroku-sim/src/delivery.rs",
    "crates/heroku-sim/src/listener.rs",
    "crates/heroku-sim/src/server.rs",
];

/// The standard library's ways to the outside, which a manifest cannot keep out of the pure crates.
const NOT_IN_PURE_CODE: &[&str] =
    &["std::env", "std::fs", "std::io", "std::net", "std::process", "std::thread", "std::{", "::now("];

/// Crates that the manifest of the core must not name.
const NOT_IN_THE_CORE: &[&str] =
    &["tokio", "hyper", "reqwest", "sqlx", "rustls", "lettre", "tracing", "rand", "getrandom", "clap"];

/// Files with more lines than [`MODULE_LINES_MAX`], each with its reason.
const LONG_MODULES: &[(&str, &str)] = &[
    ("crates/core/src/engine/attempt.rs", "the states of one life, in the order in which it is lived"),
    (
        "crates/core/src/engine/restart.rs",
        "one life of one attempt, in the order in which it is lived; a cut would hide the order",
    ),
    (
        "crates/core/src/engine/mod.rs",
        "the contract and its two closed lists, which are read together or not at all",
    ),
    (LIMITS, "one list of all bounds: the place to look one up"),
    ("src/metrics.rs", "one table of all figures, and the method that sets each"),
    ("src/ui/overview.rs", "one page, in the order in which it is read"),
    ("src/driver.rs", "one match over all effects, and the handle whose commands it obeys"),
];

/// Functions that may be longer than [`FUNCTION_LINES_MAX`], because each is one table. So may tests.
const LONG_TABLES: &[(&str, &str)] = &[
    // A sentence for each reason to hold.
    ("crates/core/src/record/hold.rs", "fmt"),
];

const LIMITS: &str = "crates/core/src/limits.rs";

const MODULE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_COLUMNS_MAX: usize = 110;

/// All Rust sources of the project.
const ALL: &[&str] = &["src", "crates", "tests", "benches", "examples", "fuzz/fuzz_targets", "fuzz/src"];

#[test]
fn no_part_has_a_forbidden_import() {
    let mut amiss = Vec::new();
    for source in sources(PRODUCT) {
        for (number, line) in source.code_lines() {
            for (part, banned, why) in MUST_NOT_IMPORT {
                if source.path.starts_with(part)
                    && let Some(named) = banned.iter().find(|banned| names(&line.code, banned))
                {
                    amiss.push(format!("{}:{number}: `{named}` in {part}: {why}", source.path));
                }
            }
            let may_import_http = HTTP_IMPORTERS.iter().any(|importer| source.path.starts_with(importer));
            if source.path.starts_with("src/") && names(&line.code, "crate::http") && !may_import_http {
                amiss.push(format!("{}:{number}: only the daemon may import the HTTP server", source.path));
            }
        }
    }
    none(&amiss);
}

#[test]
fn no_file_is_in_a_circle_of_imports() {
    let all = sources(PRODUCT);
    let paths: BTreeSet<&str> = all.iter().map(|source| source.path.as_str()).collect();
    let imported_by = |source: &Source| -> BTreeSet<String> {
        let root = source.crate_root();
        let lines = source.code_lines().flat_map(|(_, line)| imports(&line.code));
        lines
            .filter_map(|import| file_of(root, &import, &paths))
            // A folder's `mod.rs` and its files are parts of one module.
            .filter(|file| !is_family(file, &source.path) && !is_family(&source.path, file))
            .collect()
    };
    let edges: BTreeMap<&str, BTreeSet<String>> =
        all.iter().map(|source| (source.path.as_str(), imported_by(source))).collect();
    let circles: Vec<String> = paths
        .iter()
        .filter_map(|start| circle_through(start, &edges))
        .map(|circle| circle.join(" -> "))
        .collect();
    none(&circles);
}

/// The paths after `crate::` in a line, groups split at their first level.
fn imports(code: &str) -> Vec<String> {
    let mut all = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let is_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
        let path: String = rest.chars().take_while(|c| is_path(*c)).collect();
        let group = rest[path.len()..].strip_prefix('{').and_then(|group| group.split('}').next());
        match group {
            Some(group) => all.extend(group.split(',').map(|name| format!("{path}{}", name.trim()))),
            None => all.push(path),
        }
    }
    all
}

/// The file that defines the longest module path in `import`.
fn file_of(root: &str, import: &str, paths: &BTreeSet<&str>) -> Option<String> {
    let mut segments: Vec<&str> = import.split("::").filter(|segment| !segment.is_empty()).collect();
    while !segments.is_empty() {
        let base = format!("{root}/{}", segments.join("/"));
        for file in [format!("{base}.rs"), format!("{base}/mod.rs")] {
            if paths.contains(file.as_str()) {
                return Some(file);
            }
        }
        segments.pop();
    }
    None
}

/// Whether `parent` is the module file of a folder that contains `child`.
fn is_family(parent: &str, child: &str) -> bool {
    let folder = parent.strip_suffix("/mod.rs").or_else(|| parent.strip_suffix(".rs"));
    folder.is_some_and(|folder| child.starts_with(&format!("{folder}/")))
}

/// The path from a file back to itself, if there is one.
fn circle_through(start: &str, edges: &BTreeMap<&str, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut open = vec![vec![start.to_owned()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = open.pop() {
        for next in edges.get(way.last()?.as_str()).into_iter().flatten() {
            let longer = [way.as_slice(), std::slice::from_ref(next)].concat();
            if next == start {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                open.push(longer);
            }
        }
    }
    None
}

#[test]
fn the_core_does_no_io() {
    let manifest = read("crates/core/Cargo.toml");
    let (_, rest) = manifest.split_once("\n[dependencies]\n").expect("the core has dependencies");
    let dependencies = rest.split("\n[").next().unwrap_or(rest);
    let named = |line: &str| line.split(['.', ' ', '=']).next().unwrap_or(line).to_owned();
    let mut amiss: Vec<String> = dependencies
        .lines()
        .map(named)
        .filter(|name| NOT_IN_THE_CORE.contains(&name.as_str()))
        .map(|name| format!("crates/core/Cargo.toml: {name}"))
        .collect();
    for source in sources(&["crates"]) {
        let is_pure = PRODUCT.iter().any(|root| source.path.starts_with(root))
            && !IMPURE.iter().any(|impure| source.path.starts_with(impure));
        for (number, line) in source.code_lines().filter(|_| is_pure) {
            for banned in NOT_IN_PURE_CODE.iter().filter(|banned| names(&line.code, banned)) {
                amiss.push(format!("{}:{number}: `{banned}` in a pure module", source.path));
            }
        }
    }
    none(&amiss);
}

/// Whether `code` contains `what` as a word of its own, not as a part of a longer name.
fn names(code: &str, what: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(what).any(|(at, _)| {
        let goes_back = what.starts_with(is_word) && code[..at].ends_with(is_word);
        let goes_on = what.ends_with(is_word) && code[at + what.len()..].starts_with(is_word);
        !goes_back && !goes_on
    })
}

#[test]
fn every_file_begins_with_a_doc_comment() {
    let without = |source: &Source| !source.lines.first().is_some_and(|line| line.raw.starts_with("//! "));
    none(&complaints(ALL, without, |source| format!("{}: begins with no `//!`", source.path)));
}

#[test]
fn every_file_belongs_to_a_module() {
    let all = sources(PRODUCT);
    let is_declared = |source: &Source| {
        let path = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parents = [format!("{dir}/lib.rs"), format!("{dir}/mod.rs"), format!("{dir}.rs")];
        let is_root = source.path.ends_with("src/lib.rs") || source.path.ends_with("src/main.rs");
        let declares = |line: &Line| {
            names(&line.code, &format!("mod {name};")) || line.code.starts_with(&format!("mod {name};"))
        };
        is_root
            || all.iter().any(|parent| parents.contains(&parent.path) && parent.lines.iter().any(declares))
    };
    none(&complaints(
        PRODUCT,
        |source| !is_declared(source),
        |source| format!("{}: no `mod` names it", source.path),
    ));
}

#[test]
fn lines_functions_and_modules_are_short_enough() {
    let mut amiss = Vec::new();
    for source in sources(ALL) {
        let path = &source.path;
        for (number, line) in (1..).zip(&source.lines) {
            let columns = line.raw.chars().count();
            // A quoted log line in a test stays on one line.
            let is_comment = line.raw.trim_start().starts_with("//");
            let is_quoted =
                line.is_test && (line.raw.contains('"') || line.code.trim().is_empty()) && !is_comment;
            if columns > LINE_COLUMNS_MAX && !is_quoted {
                amiss.push(format!("{path}:{number}: {columns} columns, allowed: {LINE_COLUMNS_MAX}"));
            }
        }
        for function in source.functions() {
            let (name, length) = (function.name, function.lines.len());
            let is_table = LONG_TABLES.contains(&(path, name)) || function.lines[0].is_test;
            if length > FUNCTION_LINES_MAX && !is_table {
                amiss.push(format!(
                    "{path}:{}: {name} has {length} lines, allowed: {FUNCTION_LINES_MAX}",
                    function.first_line
                ));
            }
        }
        let length = source.code_lines().count();
        let may_be_long = LONG_MODULES.iter().any(|(long, _)| long == path);
        if length > MODULE_LINES_MAX && !may_be_long {
            amiss.push(format!("{path}: {length} lines without tests, allowed: {MODULE_LINES_MAX}"));
        }
        if length <= MODULE_LINES_MAX && may_be_long {
            amiss.push(format!("{path}: short enough, and still among LONG_MODULES of tests/tidy"));
        }
    }
    none(&amiss);
}

#[test]
fn no_unfinished_markers_are_left() {
    // In two parts, so that this file does not match.
    let unfinished = [
        concat!("todo", "!("),
        concat!("dbg", "!("),
        concat!("unimplemented", "!("),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
    ];
    let mut amiss = Vec::new();
    for source in sources(ALL) {
        for (number, line) in (1..).zip(&source.lines) {
            for word in unfinished.iter().filter(|word| names(&line.raw, word)) {
                amiss.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    none(&amiss);
}

#[test]
fn no_conflict_of_a_merge_is_left() {
    let is_marker = |line: &str| {
        ["<<<<<<< ", ">>>>>>> ", "||||||| "].iter().any(|marker| line.starts_with(marker))
            || line == "======="
    };
    let mut amiss = Vec::new();
    for path in files_below("") {
        let text = text_of(&path).unwrap_or_default();
        let lines = (1..).zip(text.lines()).filter(|(_, line)| is_marker(line));
        amiss.extend(lines.map(|(number, line)| format!("{path}:{number}: {line}")));
    }
    none(&amiss);
}

#[test]
fn nothing_unwraps_globs_or_reexports_outside_tests() {
    let banned = [
        (".unwrap()", "say why it cannot fail, with expect, or return an error"),
        (".unwrap_err()", "say why it cannot succeed, with expect_err, or return an error"),
        ("::*;", "name what is imported"),
        ("pub use ", "import it from where it is defined"),
        ("#[allow(", "use #[expect(…, reason = …)], which says when it is needed no more"),
    ];
    let mut amiss = Vec::new();
    for source in sources(PRODUCT) {
        for (number, line) in source.code_lines() {
            for (word, instead) in banned.iter().filter(|(word, _)| line.code.contains(word)) {
                amiss.push(format!("{}:{number}: {word} {instead}", source.path));
            }
        }
    }
    none(&amiss);
    let roots = PRODUCT.iter().map(|root| format!("{root}/lib.rs"));
    none(&roots.filter(|root| !read(root).contains("#![forbid(unsafe_code)]")).collect::<Vec<_>>());
}

#[test]
fn every_limit_is_used() {
    let all = sources(PRODUCT);
    let (limits, others): (Vec<&Source>, Vec<&Source>) = all.iter().partition(|source| source.path == LIMITS);
    let declared = |line: &Line| line.code.strip_prefix("pub const ")?.split(':').next().map(str::to_owned);
    let names_of: BTreeSet<String> =
        limits.iter().flat_map(|source| source.lines.iter().filter_map(declared)).collect();
    assert!(!names_of.is_empty(), "the limits are there");
    let is_used =
        |name: &str| others.iter().any(|source| source.code_lines().any(|(_, line)| names(&line.code, name)));
    let idle: Vec<String> = names_of
        .into_iter()
        .filter(|name| !is_used(name))
        .map(|name| format!("{LIMITS}: nothing uses {name}"))
        .collect();
    none(&idle);
}

#[test]
fn every_fixture_is_described() {
    let fixtures = files_below("fixtures");
    let Some(index) = fixtures.iter().find(|path| *path == "fixtures/README.md") else {
        assert!(fixtures.is_empty(), "fixtures/README.md says what each of these is: {fixtures:?}");
        return;
    };
    let text = read(index);
    let is_named = |path: &str| {
        let path = path.strip_prefix("fixtures/").expect("a path of a fixture");
        let stem = path.split_once('.').map_or(path, |(stem, _)| stem);
        text.contains(&format!("`{path}`")) || text.contains(&format!("`{stem}."))
    };
    let strange: Vec<String> = fixtures
        .iter()
        .filter(|path| *path != index && !is_named(path))
        .map(|path| format!("{index} says nothing about {path}"))
        .collect();
    none(&strange);
}

fn complaints(
    dirs: &[&str],
    is_amiss: impl Fn(&Source) -> bool,
    describe: impl Fn(&Source) -> String,
) -> Vec<String> {
    sources(dirs).iter().filter(|source| is_amiss(source)).map(describe).collect()
}

#[track_caller]
fn none(amiss: &[String]) {
    assert!(amiss.is_empty(), "{} to fix:\n{}", amiss.len(), amiss.join("\n"));
}
