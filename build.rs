//! Build script: the commit that `dynowarden --version` shows.
//!
//! `DYNOWARDEN_COMMIT` names it where the sources have no history, as in an image. Otherwise git does, for
//! optimised builds: a build for development would be rebuilt after each commit.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=DYNOWARDEN_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    let commit = std::env::var("DYNOWARDEN_COMMIT").ok().filter(|commit| is_commit(commit));
    let commit = commit.or_else(|| {
        let is_optimised = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
        is_optimised.then(from_git).flatten()
    });
    let commit = commit.map(|commit| commit.chars().take(SHOWN_DIGITS).collect::<String>());
    let version = env!("CARGO_PKG_VERSION");
    match commit {
        Some(commit) => println!("cargo::rustc-env=DYNOWARDEN_VERSION={version} (commit {commit})"),
        None => println!("cargo::rustc-env=DYNOWARDEN_VERSION={version} (commit unknown)"),
    }
}

const SHOWN_DIGITS: usize = 12;

fn is_commit(text: &str) -> bool {
    text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn from_git() -> Option<String> {
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "HEAD"]).filter(|commit| is_commit(commit))
}

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
