//! The oracles of the fuzz targets: the same files that `cargo test` holds the corpora and made-up input
//! against, so that a finding fails in both places.

#[path = "../../tests/support/api_oracle.rs"]
pub mod api_oracle;
#[cfg(feature = "daemon")]
#[path = "../../tests/support/door_oracle.rs"]
pub mod door_oracle;
#[path = "../../tests/support/engine_ops.rs"]
pub mod engine_ops;
#[path = "../../tests/support/json.rs"]
pub mod json;
#[path = "../../tests/support/oracle.rs"]
pub mod oracle;
#[path = "../../tests/support/reference.rs"]
pub mod reference;
#[cfg(feature = "daemon")]
#[path = "../../tests/support/replay_oracle.rs"]
pub mod replay_oracle;
#[cfg(feature = "daemon")]
#[path = "../../tests/support/settings_oracle.rs"]
pub mod settings_oracle;
