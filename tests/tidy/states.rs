//! docs/states.md against the code: its table has every transition of an attempt and no other, and its
//! drawing shows nothing that the code would not allow.

use std::collections::BTreeSet;

use crate::source::{Source, read, sources};

/// One transition: the method, the state before it and the state after it.
type Edge = (String, String, String);

/// What ends an attempt: methods of the engine, for a state that has an end is no state.
const ENDS: [&str; 3] = ["close", "end", "leave"];

#[test]
fn the_table_of_transitions_is_the_code() {
    let table = table(&read("docs/states.md"));
    let code = edges_of(&dyno_source());
    assert!(!code.is_empty(), "no transitions found in {DYNO}");
    let drawn: BTreeSet<Edge> = table.iter().filter(|(_, _, to)| to != "over").cloned().collect();
    assert_eq!(drawn, code, "docs/states.md (left) says something else than {DYNO} (right)");
    for (method, from, _) in table.difference(&drawn) {
        assert!(ENDS.contains(&method.as_str()), "docs/states.md: {method} ends an attempt from {from}");
    }
}

#[test]
fn the_drawing_shows_what_the_table_says() {
    let text = read("docs/states.md");
    let (table, drawing) = (table(&text), drawing(&text));
    let strange: Vec<&Edge> = drawing.difference(&table).collect();
    assert!(strange.is_empty(), "drawn in docs/states.md, and not in its table: {strange:?}");
    let methods = |edges: &BTreeSet<Edge>| -> BTreeSet<String> {
        edges.iter().map(|(method, _, _)| method.clone()).collect()
    };
    assert_eq!(methods(&drawing), methods(&table), "each method is drawn at least once");
}

const DYNO: &str = "crates/core/src/engine/dyno.rs";

fn dyno_source() -> Source {
    sources(&["crates/core/src/engine"]).into_iter().find(|source| source.path == DYNO).expect(DYNO)
}

/// The transitions of `impl Attempt`: each method that sets the phase, with the phases it allows before.
fn edges_of(source: &Source) -> BTreeSet<Edge> {
    let mut edges = BTreeSet::new();
    for function in source.functions() {
        let code: String = function.lines.iter().flat_map(|line| [line.code.as_str(), "\n"]).collect();
        let (before, after, from_nothing) =
            match (code.split_once("self.phase = Phase::"), code.split_once("phase: Phase::")) {
                (Some((before, after)), _) => (before, after, false),
                (None, Some((before, after))) => (before, after, true),
                (None, None) => continue,
            };
        if source.lines[function.first_line - 1].is_test {
            continue;
        }
        let mut origins: Vec<String> = before.split("Phase::").skip(1).map(first_word).collect();
        if from_nothing {
            origins.push("new".to_owned());
        }
        for from in origins {
            edges.insert((function.name.to_owned(), from, first_word(after)));
        }
    }
    edges
}

/// The rows of the table of transitions: a method, the states before it, the state after it, and when.
fn table(text: &str) -> BTreeSet<Edge> {
    let (_, text) = text.split_once("| method | from | to | when |").expect("a table of transitions");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    rows.flat_map(|(method, rest)| {
        let mut cells = rest.split(" | ");
        let (from, to) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        let edge = |from: &str| (method.to_owned(), from.to_owned(), to.to_owned());
        from.split(", ").map(edge).collect::<Vec<_>>()
    })
    .collect()
}

/// The arrows of the drawing, `Queued --> Inspecting: look`; `[*]` is `new` before and `over` after.
fn drawing(text: &str) -> BTreeSet<Edge> {
    let arrows = text.lines().filter_map(|line| {
        let (from, rest) = line.trim().split_once(" --> ")?;
        let (to, method) = rest.split_once(": ")?;
        let named = |state: &str, edge: &str| if state == "[*]" { edge.to_owned() } else { state.to_owned() };
        Some((method.to_owned(), named(from, "new"), named(to, "over")))
    });
    arrows.collect()
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric()).collect()
}
