//! docs/states.md against the code: its table has exactly the transitions of an attempt, and its diagram
//! shows no other.

use std::collections::BTreeSet;

use crate::source::{Source, read, sources};

/// One transition: the method, the state before it and the state after it.
type Edge = (String, String, String);

/// Methods of the engine that end an attempt, for states with an end.
const ENDS: [&str; 3] = ["close", "end", "leave"];

#[test]
fn the_table_of_transitions_matches_the_code() {
    let table = table(&read("docs/states.md"));
    let code = edges_of(&attempt_source());
    assert!(!code.is_empty(), "no transitions found in {ATTEMPT}");
    let drawn: BTreeSet<Edge> = table.iter().filter(|(_, _, to)| to != "over").cloned().collect();
    assert_eq!(drawn, code, "docs/states.md (left) says something else than {ATTEMPT} (right)");
    for (method, from, _) in table.difference(&drawn) {
        assert!(ENDS.contains(&method.as_str()), "docs/states.md: {method} ends an attempt from {from}");
    }
}

#[test]
fn the_state_diagram_matches_the_table() {
    let text = read("docs/states.md");
    let (table, drawing) = (table(&text), drawing(&text));
    let strange: Vec<&Edge> = drawing.difference(&table).collect();
    assert!(strange.is_empty(), "drawn in docs/states.md, and not in its table: {strange:?}");
    let methods = |edges: &BTreeSet<Edge>| -> BTreeSet<String> {
        edges.iter().map(|(method, _, _)| method.clone()).collect()
    };
    assert_eq!(methods(&drawing), methods(&table), "each method is drawn at least once");
}

const ATTEMPT: &str = "crates/core/src/engine/attempt.rs";

fn attempt_source() -> Source {
    sources(&["crates/core/src/engine"]).into_iter().find(|source| source.path == ATTEMPT).expect(ATTEMPT)
}

/// The transitions in the code: methods of a state that return a state, and those of traits for each
/// implementing state.
fn edges_of(source: &Source) -> BTreeSet<Edge> {
    let code: Vec<&str> =
        source.lines.iter().filter(|line| !line.is_test).map(|line| line.code.as_str()).collect();
    let states = states(&code);
    let (mut edges, mut block) = (BTreeSet::new(), Block::Other);
    let mut traits: Vec<(String, String, String)> = Vec::new();
    let mut having: BTreeSet<(String, String)> = BTreeSet::new();
    for line in &code {
        if let Some(rest) = line.strip_prefix("impl ") {
            let words: Vec<&str> = rest.split([' ', '{', '}']).filter(|word| !word.is_empty()).collect();
            block = Block::Other;
            match words.as_slice() {
                [state] => block = Block::State((*state).to_owned()),
                [of, "for", state] => {
                    having.insert(((*of).to_owned(), (*state).to_owned()));
                }
                _ => {}
            }
        } else if let Some(rest) = line.strip_prefix("pub(super) trait ") {
            block = Block::Trait(first_word(rest));
        }
        if let Some(rest) = line.strip_prefix("revocable! {") {
            let named = rest.trim_end_matches(['}', ' ']).split_whitespace();
            having.extend(named.map(|state| ("Revocable".to_owned(), state.to_owned())));
        }
        let Some((head, to)) = line.split_once(" -> ") else { continue };
        let Some((_, method)) = head.split_once("fn ") else { continue };
        let (method, to) = (first_word(method), first_word(to));
        match &block {
            Block::State(from) if head.contains("(self") && states.contains(&to) => {
                edges.insert((method, from.clone(), to));
            }
            Block::State(state) if to == "Self" && states.contains(state) && head.contains("fn queue") => {
                edges.insert((method, "new".to_owned(), state.clone()));
            }
            Block::Trait(name) if states.contains(&to) => {
                traits.push((name.clone(), method, to));
            }
            _ => {}
        }
    }
    for (of, method, to) in traits {
        for (_, state) in having.iter().filter(|(name, _)| *name == of) {
            edges.insert((method.clone(), state.clone(), to.clone()));
        }
    }
    edges
}

/// What a line of attempt.rs belongs to.
enum Block {
    Other,
    State(String),
    Trait(String),
}

fn states(code: &[&str]) -> BTreeSet<String> {
    let begins =
        code.iter().position(|line| line.starts_with("pub(super) enum Attempt")).expect("the states");
    let variants = code[begins + 1..].iter().take_while(|line| !line.starts_with('}'));
    variants.map(|line| first_word(line.trim())).filter(|word| !word.is_empty()).collect()
}

/// The rows of the transition table: a method, the states before it, the state after it, and when.
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

/// The arrows of the diagram, `Queued --> Inspecting: look`; `[*]` is `new` before and `over` after.
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
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}
