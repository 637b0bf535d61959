//! The fuzzer's inputs: the regressions, as files, and the grown corpus, as one archive.

use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;

/// All inputs of a target; of every target for `""`.
///
/// # Panics
/// The archive or the regressions are missing, or the archive has no input for the target.
pub fn inputs(target: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let mut inputs = Vec::new();
    let archive = std::fs::File::open(root.join("corpus.tar.gz")).expect("fuzz/corpus.tar.gz");
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    for entry in archive.entries().expect("a tar archive") {
        let mut entry = entry.expect("an entry of the archive");
        let is_wanted = entry.path().expect("a path").starts_with(target);
        if entry.header().entry_type().is_file() && is_wanted {
            let mut octets = Vec::new();
            entry.read_to_end(&mut octets).expect("an entry can be read");
            inputs.push(octets);
        }
    }
    assert!(!inputs.is_empty(), "fuzz/corpus.tar.gz has no inputs for the fuzz target {target:?}");
    let mut open = vec![root.join("regressions").join(target)];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of fuzz/regressions") {
            let path = entry.expect("an entry of a folder").path();
            if path.is_dir() {
                open.push(path);
            } else {
                inputs.push(std::fs::read(&path).expect("a regression can be read"));
            }
        }
    }
    inputs
}
