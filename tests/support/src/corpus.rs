//! The fuzzer's inputs: the regressions, as files, and the grown corpus, as one archive.

use std::io::Read as _;
use std::path::{Path, PathBuf};

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
    let regressions = files(&root.join("regressions").join(target));
    inputs.extend(regressions.iter().map(|path| std::fs::read(path).expect("a regression can be read")));
    inputs
}

/// All files below a folder, sorted.
///
/// # Panics
/// It is missing.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}
