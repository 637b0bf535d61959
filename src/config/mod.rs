//! Settings: environment first, then the TOML file, then defaults.

pub mod settings;
