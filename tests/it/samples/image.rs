//! The Dockerfile, as far as other files and the program depend on it.

use std::collections::BTreeMap;

use clap::Parser as _;
use dynowarden::cli::{Cli, Command};
use dynowarden::config::settings::Database;
use serde_json::Value;

use crate::samples::{filled_in, read, serves, yaml};

/// The initial state of a container of the image.
pub(super) struct Image {
    pub env: BTreeMap<String, String>,
    pub volume: String,
    instructions: Vec<(String, String)>,
}

impl Image {
    pub(super) fn read() -> Self {
        let text = read("Dockerfile").replace("\\\n", " ");
        let instructions: Vec<(String, String)> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(' '))
            .map(|(word, rest)| (word.to_owned(), rest.trim().to_owned()))
            .collect();
        let env = instructions.iter().filter(|(word, _)| word == "ENV");
        let env = env.map(|(_, pair)| pair.split_once('=').expect("a variable"));
        Self {
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            volume: instructions.iter().find(|(word, _)| word == "VOLUME").expect("a volume").1.clone(),
            instructions,
        }
    }

    /// The text after the last instruction of that name.
    fn last(&self, word: &str) -> &str {
        let found = self.instructions.iter().rev().find(|(found, _)| found == word);
        &found.unwrap_or_else(|| panic!("an instruction {word}")).1
    }

    fn runs(&self) -> String {
        let runs = self.instructions.iter().filter(|(word, _)| word == "RUN");
        runs.map(|(_, command)| format!("{command}\n")).collect()
    }
}

#[test]
fn the_image_serves_as_an_unprivileged_user() {
    let image = Image::read();
    let list = |word: &str| -> Vec<String> { serde_json::from_str(image.last(word)).expect("the exec form") };
    let (entry, command) = (list("ENTRYPOINT"), list("CMD"));
    assert!(matches!(Cli::parse_from(entry.iter().chain(&command)).into_command(), Command::Serve(_)));
    // Heroku passes the words of CMD to the entry point as one.
    assert_eq!(command.len(), 1);
    let user: Vec<u32> = image.last("USER").split(':').map(|id| id.parse().expect("a number")).collect();
    assert!(user.len() == 2 && user.iter().all(|id| *id > 0), "{user:?}");
    assert!(image.runs().contains(&format!("/image{}", entry[0])), "the binary is put where it is started");
    assert!(
        image.runs().contains(&format!("-m 1777 /image{}", image.volume)),
        "any user can write the database"
    );
}

#[test]
fn the_image_and_compose_ask_the_daemon_for_its_health() {
    let image = Image::read();
    let command = image.last("HEALTHCHECK").strip_prefix("CMD ").expect("a command");
    let words: Vec<String> = serde_json::from_str(command).expect("the exec form");
    assert!(matches!(Cli::parse_from(&words).into_command(), Command::Healthcheck(_)));
    for (file, service) in
        [("deploy/compose.yaml", "dynowarden"), ("deploy/compose.replicas.yaml", "warden-1")]
    {
        let test = yaml(file)["services"][service]["healthcheck"]["test"].clone();
        let test: Vec<String> = serde_json::from_value(test).expect("a list of words");
        assert_eq!((&*test[0], &test[1..]), ("CMD", &*words), "{file}");
    }
}

#[test]
fn the_image_keeps_history_in_the_volume_and_exposes_the_port() {
    let image = Image::read();
    let mut env = image.env.clone();
    for name in ["HEROKU_API_KEY", "HEROKU_APP", "DRAIN_PASSWORD"] {
        env.insert(name.to_owned(), filled_in(name).to_owned());
    }
    let settings = serves(&env, &BTreeMap::new());
    let Database::Sqlite(record) = &settings.database else { panic!("a file for the record") };
    assert!(record.starts_with(&image.volume), "{} in {}", record.display(), image.volume);
    assert_eq!(image.last("EXPOSE"), settings.port.to_string());
}

#[test]
fn the_image_builder_has_the_required_rust() {
    let image = Image::read();
    let manifest: toml::Table = read("Cargo.toml").parse().expect("TOML");
    let manifest: Value = serde_json::to_value(manifest).expect("a table");
    let builder = &image.instructions.iter().find(|(word, _)| word == "FROM").expect("a builder").1;
    let version = builder.split_once("rust:").and_then(|(_, tag)| tag.split_once('-')).expect("a version").0;
    let number = |version: &str| -> Vec<u32> {
        version.split('.').map(|part| part.parse().expect("a number")).collect()
    };
    let needed = manifest["workspace"]["package"]["rust-version"].as_str().expect("a version");
    assert!(number(version) >= number(needed), "Rust {version} builds what needs {needed}");
    for build in image.runs().split("cargo build").skip(1) {
        assert!(build.contains("--release --locked"), "cargo build{build}");
    }
    // cargo rejects a manifest whose members or targets are missing.
    let ignored = read(".dockerignore");
    for part in [
        "build.rs",
        "dynowarden.example.toml",
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "crates",
        "benches",
        "tests",
        "migrations",
    ] {
        assert!(ignored.lines().any(|line| line == format!("!{part}")), ".dockerignore keeps {part} out");
    }
    for member in manifest["workspace"]["members"].as_array().expect("members") {
        let member = member.as_str().expect("a path");
        let folder = member.split('/').next().unwrap_or(member);
        assert!(ignored.contains(&format!("!{folder}\n")), ".dockerignore keeps {member} out");
    }
}
