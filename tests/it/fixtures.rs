//! The events in the fixtures, line by line, as readable snapshots.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use dynowarden_core::detect;
use dynowarden_core::event::{Change, Fact};
use dynowarden_core::ident::DynoRef;
use dynowarden_core::wire::{self, BadFrame};

/// The logplex bodies among the fixtures, by their names.
fn bodies() -> BTreeMap<String, Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let files = support::corpus::files(&root);
    let bodies = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "logplex"));
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(&root).expect("below the fixtures").with_extension("");
        (name.to_str().expect("a plain name").replace('/', "-"), std::fs::read(path).expect("a fixture"))
    };
    bodies.map(read).collect()
}

/// All events in a body. Samples and unproblematic lines are only counted.
fn said(body: &[u8]) -> String {
    let mut said = String::new();
    let (mut samples, mut silent) = (0, 0);
    for line in wire::lines(body) {
        let line = match line {
            Ok(line) => line,
            Err(BadFrame::Frame(error)) => {
                writeln!(said, "the end, {error}").expect("a string");
                continue;
            }
            Err(BadFrame::Line { offset, error }) => {
                writeln!(said, "skipped, at octet {offset}: {error}").expect("a string");
                continue;
            }
        };
        match detect::event(&line) {
            Ok(None) => silent += 1,
            Ok(Some(event)) => {
                samples += usize::from(matches!(event.fact, Fact::Sample { .. }));
                if samples <= 3 || !matches!(event.fact, Fact::Sample { .. }) {
                    writeln!(said, "{} {}", event.at, shown(&event.fact)).expect("a string");
                }
            }
            Err(error) => writeln!(said, "not understood, {}: {error}", error.label()).expect("a string"),
        }
    }
    writeln!(said, "{samples} samples, {silent} lines that say nothing").expect("a string");
    said
}

fn shown(fact: &Fact<DynoRef<'_>>) -> String {
    let name = |dyno: &DynoRef<'_>| format!("{}.{}", dyno.process_type, dyno.index);
    match fact {
        Fact::Error { code, dyno } => {
            format!("{code} {}", dyno.as_ref().map_or_else(|| "of no dyno".to_owned(), name))
        }
        Fact::Memory { dyno, used, permille } => format!("memory {} {used} {permille}‰", name(dyno)),
        Fact::Sample { dyno, instance, total, quota, .. } => {
            format!("sample {} {total} of {quota} {instance}", name(dyno))
        }
        Fact::Life { dyno, change: Change::State { to: state, .. } } => {
            format!("{} is {}", name(dyno), state.word())
        }
        Fact::Life { dyno, change } => format!("{} {}", name(dyno), format!("{change:?}").to_lowercase()),
        Fact::Release { version: Some(version) } => format!("release v{version}"),
        Fact::Release { version: None } => "release".to_owned(),
        Fact::Scale { .. } => "scaled".to_owned(),
        Fact::Loss { drain: Some(drain), messages } => format!("{messages} lost by {drain}"),
        Fact::Loss { drain: None, messages } => format!("{messages} lost"),
    }
}

#[test]
fn every_fixture_matches_its_snapshot() {
    for (name, body) in bodies() {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, said(&body));
        });
    }
}

#[test]
fn every_frame_length_in_a_valid_fixture_is_correct() {
    let bodies = bodies();
    assert!(bodies.len() > 10, "the fixtures are not where they should be");
    for (name, body) in &bodies {
        if !name.starts_with("broken-") {
            for line in wire::lines(body) {
                assert!(line.is_ok(), "{name}: {line:?}");
            }
            // There is nothing between the frames, which the reader would tolerate.
            let counted: usize = wire::frame::frames(body)
                .map(|frame| frame.map_or(0, |frame| frame.octets.len()))
                .map(|octets| octets.to_string().len() + 1 + octets)
                .sum();
            assert_eq!(counted, body.len(), "{name}");
        }
    }
}

#[test]
fn forged_errors_are_ignored() {
    let body = &bodies()["forgeries"];
    let text = b"Error R14";
    assert!(memchr::memmem::find_iter(body, text).count() > 10, "that would be no forgery");
    for line in wire::lines(body) {
        assert_eq!(detect::event(&line.expect("a line")), Ok(None));
    }
}
