//! The safety net of refactorings: hashes of twelve simulated days and of every replay snapshot.
//!
//! Each day has two hashes. `decisions` covers what dynowarden did (decisions, requests, outcomes, notices,
//! each by its code); a change of behaviour changes it. `words` covers the whole timeline with its sentences;
//! a change of wording changes only that one. `UPDATE_NET=1 cargo test --test it net::` writes
//! tests/it/net.txt again.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use dynowarden_simulation::Days;
use sha2::{Digest as _, Sha256};

const SEEDS: u64 = 12;
const DAYS: Days<'_> = Days { length: Duration::from_secs(24 * 3600), kind: None, all_rules: false };

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().take(12).fold(String::new(), |mut hex, octet| {
        write!(hex, "{octet:02x}").expect("a string has room");
        hex
    })
}

/// The part of a line without sentences; none for a line about the simulated world.
fn deed(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(' ')?;
    let is_ours = ["AFTER", "DECIDE", "DELETE", "RESULT", "TELL"].iter().any(|word| rest.starts_with(word));
    is_ours.then(|| line.split_once(": ").map_or(line, |(head, _)| head))
}

fn day(seed: u64) -> String {
    let (_, timeline) = dynowarden_simulation::run(seed, DAYS, true).expect("a day without a broken promise");
    let deeds: Vec<&str> = timeline.iter().filter_map(|line| deed(line)).collect();
    assert!(deeds.len() > 10, "seed {seed}: hardly anything happened");
    format!("seed {seed:02} decisions {} words {}\n", hash(&deeds.join("\n")), hash(&timeline.join("\n")))
}

#[test]
fn simulated_days_and_replay_snapshots_match_their_hashes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut lines: Vec<String> = (1..=SEEDS).map(day).collect();
    let folder = std::fs::read_dir(root.join("tests/it/snapshots")).expect("the folder of snapshots");
    let mut snapshots: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
    snapshots.sort();
    for path in snapshots {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if name.starts_with("replay-") {
            let text = std::fs::read_to_string(&path).expect("a snapshot");
            let (_, body) = text.trim_start_matches("---\n").split_once("---\n").expect("a snapshot's head");
            lines.push(format!("{name} {}\n", hash(body)));
        }
    }
    let net = root.join("tests/it/net.txt");
    if std::env::var_os("UPDATE_NET").is_some() {
        std::fs::write(&net, lines.concat()).expect("room for tests/it/net.txt");
    }
    let expected = std::fs::read_to_string(&net).expect("tests/it/net.txt");
    let changed: Vec<&String> = lines.iter().filter(|line| !expected.contains(line.as_str())).collect();
    assert!(changed.is_empty(), "changed: {changed:#?}");
    assert_eq!(expected.lines().count(), lines.len(), "tests/it/net.txt lists something that is gone");
}
