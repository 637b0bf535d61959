//! The house rules that a compiler does not know, read off the source tree.
//!
//! Each test collects everything that is amiss before it fails, so that one run tells all.

mod source;
mod states;

use std::collections::BTreeSet;

use crate::source::{Line, Source, files_below, read, sources};

/// Who may import whom, top-level module by top-level module. An edge that is not here is a decision about
/// the architecture: make it here first, and in docs/architecture.md.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("time", &[]),
    ("ident", &["limits"]),
    ("certificate", &["limits", "time"]),
    ("catalogue", &["limits"]),
    ("event", &["catalogue", "ident"]),
    ("units", &["engine", "event", "limits"]),
    ("wire", &["limits"]),
    ("detect", &["catalogue", "event", "ident", "limits", "wire"]),
    ("ingest", &["catalogue", "detect", "event", "ident", "limits", "wire"]),
    ("engine", &["catalogue", "concern", "event", "ident", "limits", "time"]),
    ("platform_json", &["engine", "event", "ident", "limits"]),
    ("report", &["catalogue", "engine", "event", "ident", "limits", "time"]),
    // An engine's notice may hold a concern, and a concern the engine's word for what the API did not show.
    ("concern", &["engine", "time"]),
    ("drain_url", &["ident"]),
    ("vigil", &["concern", "drain_url", "engine", "ident", "limits", "platform_json", "time"]),
    (
        "doctor",
        &[
            "catalogue",
            "certificate",
            "config",
            "drain_url",
            "engine",
            "ident",
            "limits",
            "platform_json",
            "time",
        ],
    ),
    ("page", &["engine", "event", "ident", "limits", "report", "time"]),
    ("traffic", &["catalogue", "detect", "engine", "ident", "limits"]),
    ("incident", &["catalogue", "concern", "engine", "event", "ident", "limits", "time", "traffic"]),
    ("config", &["catalogue", "certificate", "drain_url", "engine", "ident", "incident", "limits", "units"]),
    ("archive", &["catalogue", "detect", "event", "ident", "limits", "time", "wire"]),
    (
        "replay",
        &[
            "archive",
            "catalogue",
            "detect",
            "engine",
            "event",
            "ident",
            "ingest",
            "limits",
            "report",
            "time",
            "wire",
        ],
    ),
    // The simulated Heroku shares words with the daemon and nothing that thinks, so that the two can
    // disagree.
    ("sim", &["catalogue", "event", "ident", "limits", "time", "units"]),
    ("cli", &["config", "ident", "limits", "units"]),
    (
        "shell",
        &[
            "archive",
            "catalogue",
            "certificate",
            "concern",
            "config",
            "detect",
            "doctor",
            "drain_url",
            "engine",
            "event",
            "ident",
            "incident",
            "ingest",
            "limits",
            "page",
            "platform_json",
            "replay",
            "report",
            "time",
            "traffic",
            "units",
            "vigil",
            "wire",
        ],
    ),
    (
        "daemon",
        &[
            "concern",
            "config",
            "doctor",
            "engine",
            "event",
            "ident",
            "ingest",
            "limits",
            "page",
            "platform_json",
            "report",
            "shell",
            "time",
            "vigil",
        ],
    ),
    (
        "commands",
        &[
            "archive",
            "catalogue",
            "cli",
            "concern",
            "config",
            "daemon",
            "detect",
            "doctor",
            "drain_url",
            "engine",
            "event",
            "ident",
            "ingest",
            "limits",
            "platform_json",
            "replay",
            "report",
            "shell",
            "sim",
            "time",
            "units",
            "wire",
        ],
    ),
    ("main", &["cli", "commands", "config", "daemon", "shell"]),
    ("lib", &[]),
];

/// What touches a clock, a socket, a file or the runtime. Everything else is pure.
const IMPURE: &[&str] = &[
    "src/cli.rs",
    "src/commands.rs",
    "src/commands/",
    "src/daemon.rs",
    "src/main.rs",
    "src/shell/",
    "src/sim/clock.rs",
    "src/sim/delivery.rs",
    "src/sim/listener.rs",
    "src/sim/server.rs",
    "src/sim/target.rs",
];

/// What the pure modules do not name: there the time, the facts and the chance come in as arguments.
const NOT_IN_PURE_CODE: &[&str] = &[
    "tokio",
    "hyper",
    "reqwest",
    "tracing",
    "prometheus_client",
    "rand",
    "std::env",
    "std::fs",
    "std::net",
    "std::thread",
    "std::{",
    "::now(",
];

/// Files with more lines than [`MODULE_LINES_MAX`], each with its reason.
const LONG_MODULES: &[(&str, &str)] = &[
    (
        "src/engine/flow.rs",
        "one life of one attempt, in the order in which it is lived; a cut would hide the order",
    ),
    ("src/engine/mod.rs", "the contract and its two closed lists, which are read together or not at all"),
    ("src/engine/record.rs", "one list of all reasons with their words and sentences, which grow together"),
    ("src/limits.rs", "one list of all bounds: whoever looks for one looks here"),
    ("src/page/overview.rs", "one page, in the order in which it is read"),
    ("src/shell/driver.rs", "one match over all effects, and the handle whose commands it obeys"),
    ("src/shell/metrics.rs", "one list of all figures, each registered and told in the same place"),
];

/// Functions that may be longer than [`FUNCTION_LINES_MAX`], because each is one table. Tests may be, too.
const LONG_TABLES: &[(&str, &str)] = &[
    // A sentence for each reason to hold.
    ("src/engine/record.rs", "fmt"),
];

const MODULE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_COLUMNS_MAX: usize = 110;

/// Everything that is Rust and ours.
const ALL: &[&str] = &["src", "tests", "benches", "examples", "fuzz/fuzz_targets", "fuzz/src"];

#[test]
fn modules_import_only_what_they_may() {
    let mut amiss = Vec::new();
    for source in sources(&["src"]) {
        let module = source.module();
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            amiss.push(format!("{}: MAY_IMPORT in tests/tidy says nothing about `{module}`", source.path));
            continue;
        };
        for (number, line) in source.code_lines() {
            for imported in imports(&line.code) {
                if imported != module && !allowed.contains(&imported) {
                    amiss.push(format!("{}:{number}: `{module}` may not import `{imported}`", source.path));
                }
            }
        }
    }
    none(&amiss);
}

/// The top-level modules that a line names.
fn imports(code: &str) -> impl Iterator<Item = &str> {
    let behind = |root: &'static str| code.split(root).skip(1);
    behind("crate::").chain(behind("dynowarden::")).map(|rest| {
        rest.split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
            .filter(|name| !name.is_empty())
            .unwrap_or(rest)
    })
}

#[test]
fn pure_modules_touch_nothing() {
    let mut amiss = Vec::new();
    for source in sources(&["src"]) {
        if IMPURE.iter().any(|impure| source.path.starts_with(impure)) {
            continue;
        }
        for (number, line) in source.code_lines() {
            for banned in NOT_IN_PURE_CODE.iter().filter(|banned| names(&line.code, banned)) {
                amiss.push(format!("{}:{number}: `{banned}` in a pure module", source.path));
            }
        }
    }
    none(&amiss);
}

/// Whether `code` has `what` as a word of its own, not as a part of a longer name.
fn names(code: &str, what: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(what).any(|(at, _)| {
        let goes_back = what.starts_with(is_word) && code[..at].ends_with(is_word);
        let goes_on = what.ends_with(is_word) && code[at + what.len()..].starts_with(is_word);
        !goes_back && !goes_on
    })
}

#[test]
fn every_file_begins_with_what_it_is() {
    let without = |source: &Source| !source.lines.first().is_some_and(|line| line.raw.starts_with("//! "));
    none(&complaints(ALL, without, |source| format!("{}: begins with no `//!`", source.path)));
}

#[test]
fn every_file_belongs_to_a_module() {
    let all = sources(&["src"]);
    let is_declared = |source: &Source| {
        let path = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parents = [format!("{dir}/lib.rs"), format!("{dir}/mod.rs"), format!("{dir}.rs")];
        let is_root = ["src/lib.rs", "src/main.rs"].contains(&source.path.as_str());
        let declares = |line: &Line| {
            names(&line.code, &format!("mod {name};")) || line.code.starts_with(&format!("mod {name};"))
        };
        is_root
            || all.iter().any(|parent| parents.contains(&parent.path) && parent.lines.iter().any(declares))
    };
    none(&complaints(
        &["src"],
        |source| !is_declared(source),
        |source| format!("{}: no `mod` names it", source.path),
    ));
}

#[test]
fn lines_functions_and_modules_have_a_length() {
    let mut amiss = Vec::new();
    for source in sources(ALL) {
        let path = &source.path;
        for (number, line) in (1..).zip(&source.lines) {
            let columns = line.raw.chars().count();
            // A line of a log stands in one piece in the test that quotes it.
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
fn nothing_is_left_for_later() {
    // In two parts, so that this file is not one that says so.
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
fn nothing_unwraps_globs_or_reexports_outside_tests() {
    let banned = [
        (".unwrap()", "say why it cannot fail, with expect, or return an error"),
        (".unwrap_err()", "say why it cannot succeed, with expect_err, or return an error"),
        ("::*;", "name what is imported"),
        ("pub use ", "import it from where it is defined"),
        ("#[allow(", "use #[expect(…, reason = …)], which says when it is needed no more"),
    ];
    let mut amiss = Vec::new();
    for source in sources(&["src"]) {
        for (number, line) in source.code_lines() {
            for (word, instead) in banned.iter().filter(|(word, _)| line.code.contains(word)) {
                amiss.push(format!("{}:{number}: {word} {instead}", source.path));
            }
        }
    }
    none(&amiss);
    assert!(read("src/lib.rs").contains("#![forbid(unsafe_code)]"), "src/lib.rs forbids unsafe code");
}

#[test]
fn every_limit_is_in_force() {
    let all = sources(&["src"]);
    let (limits, others): (Vec<&Source>, Vec<&Source>) =
        all.iter().partition(|source| source.path == "src/limits.rs");
    let declared = |line: &Line| line.code.strip_prefix("pub const ")?.split(':').next().map(str::to_owned);
    let names_of: BTreeSet<String> =
        limits.iter().flat_map(|source| source.lines.iter().filter_map(declared)).collect();
    assert!(!names_of.is_empty(), "src/limits.rs has limits");
    let is_used =
        |name: &str| others.iter().any(|source| source.code_lines().any(|(_, line)| names(&line.code, name)));
    let idle: Vec<String> = names_of
        .into_iter()
        .filter(|name| !is_used(name))
        .map(|name| format!("src/limits.rs: nothing uses {name}"))
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
    tell: impl Fn(&Source) -> String,
) -> Vec<String> {
    sources(dirs).iter().filter(|source| is_amiss(source)).map(tell).collect()
}

#[track_caller]
fn none(amiss: &[String]) {
    assert!(amiss.is_empty(), "{} to mend:\n{}", amiss.len(), amiss.join("\n"));
}
