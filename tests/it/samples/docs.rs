//! The documentation: its commands work, its links have targets, and the tests that it names exist.

use std::path::Path;

use clap::Parser as _;
use dynowarden::cli::Cli;

use crate::samples::read;

const TEXTS: &[&str] = &[
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "docs/api.md",
    "docs/architecture.md",
    "docs/fit.md",
    "docs/install.md",
    "docs/operations.md",
    "docs/page.md",
    "docs/performance.md",
    "docs/states.md",
    "docs/troubleshooting.md",
    "docs/webhook.md",
];

/// The lines inside fenced blocks, with those ending in `\` joined, and without comments.
fn commands(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside;
            continue;
        }
        let line = line.split(" #").next().unwrap_or(line).trim();
        if !inside || line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (line, more) = line.strip_suffix('\\').map_or((line, false), |line| (line.trim(), true));
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => last.push_str(&format!(" {line}")),
            None => lines.push(line.to_owned()),
        }
        goes_on = more;
    }
    lines
}

/// The arguments of each call of dynowarden in a command line, also after a pipe or variables.
fn calls(command: &str) -> Vec<Vec<String>> {
    command
        .split(['|', '>', '<', '&', ';'])
        .filter_map(|part| {
            let words: Vec<&str> = part.split_whitespace().collect();
            let others = ["docker", "heroku", "systemctl", "journalctl"];
            let is_container = words.first().is_some_and(|first| others.contains(first));
            let at = words.iter().position(|word| *word == "dynowarden")?;
            let is_call =
                !is_container && words[..at].iter().all(|word| word.contains('=') || *word == "sudo");
            is_call
                .then(|| words[at..].iter().map(|word| word.trim_matches(['"', '\'']).to_owned()).collect())
        })
        .collect()
}

#[test]
fn every_command_in_the_docs_is_valid() {
    let mut seen = 0;
    for path in TEXTS {
        for call in commands(&read(path)).iter().flat_map(|command| calls(command)) {
            seen += 1;
            if let Err(error) = Cli::try_parse_from(&call) {
                assert_eq!(error.exit_code(), 0, "{path}: {call:?}: {error}");
            }
        }
    }
    assert!(seen > 2, "calls of dynowarden were found");
}

#[test]
fn commands_are_found_in_the_docs() {
    let text =
        "```sh\nA=1 dynowarden \\\n  serve # now\ndocker logs dynowarden\nx | dynowarden replay - > y\n```\n";
    let found: Vec<_> = commands(text).iter().flat_map(|command| calls(command)).collect();
    assert_eq!(found, [vec!["dynowarden", "serve"], vec!["dynowarden", "replay", "-"]]);
}

#[test]
fn every_link_in_the_docs_has_a_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut dead = Vec::new();
    for path in TEXTS {
        let text = read(path);
        let dir = root.join(path).parent().expect("a directory").to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or(target);
            if !target.contains("://") && !file.is_empty() && !dir.join(file).exists() {
                dead.push(format!("{path}: {target}"));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn every_test_named_in_the_threat_model_exists() {
    let text = read("SECURITY.md");
    let (_, table) = text.split_once("| who | tries |").expect("the table");
    let is_name = |word: &&str| {
        word.matches('_').count() >= 2
            && word.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
    };
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    // The last cell names the tests.
    let names: Vec<&str> = rows
        .filter_map(|row| row.trim_end_matches([' ', '|']).rsplit(" | ").next())
        .flat_map(|cell| cell.split('`'))
        .filter(is_name)
        .collect();
    assert!(names.len() > 10, "{names:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources: String =
        ["src", "crates", "tests"].iter().map(|folder| sources(&root.join(folder))).collect();
    let missing: Vec<&&str> = names.iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "SECURITY.md names tests that are not there: {missing:#?}");
}

#[test]
fn every_label_is_explained_in_the_manual() {
    let manual = read("docs/operations.md");
    let mut words = 0;
    for file in ["record.rs", "record/hold.rs", "api.rs", "incident/kind.rs"] {
        for line in read(&format!("crates/core/src/{file}"))
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("Self::"))
        {
            let Some(label) = line.split_once(" => \"").and_then(|(_, rest)| rest.strip_suffix("\",")) else {
                continue;
            };
            if label.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                words += 1;
                assert!(
                    manual.contains(&format!("`{label}`")),
                    "docs/operations.md says nothing about {label}"
                );
            }
        }
    }
    assert!(words > 40, "{words} words were found");
}

fn sources(dir: &Path) -> String {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries
        .map(|path| match path.is_dir() {
            true => sources(&path),
            false if path.extension().is_some_and(|end| end == "rs") => {
                std::fs::read_to_string(&path).expect("a source")
            }
            false => String::new(),
        })
        .collect()
}

/// A reader decides on the first two screens, which have about fifty lines each.
#[test]
fn the_readme_fits_two_screens() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 100, "{lines} lines: move what only some readers need to docs/");
}

#[test]
fn ci_runs_the_commands_of_the_readme() {
    let readme = read("README.md");
    for (name, begins) in [("main", "cargo run -- "), ("tests", "cargo test --locked")] {
        let (_, behind) =
            readme.split_once(&format!("<!-- ci: {name} -->\n```sh\n")).expect("a marked block");
        let (block, _) = behind.split_once("\n```").expect("its end");
        assert!(block.starts_with(begins), "{block}");
        assert!(read(".ci/run").contains(&format!("from_readme {name}")));
    }
}
