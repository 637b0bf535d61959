//! The oracle of the fuzz targets: the same files that `cargo test` holds the corpus and made-up batches
//! against, so that a finding fails in both places.

#[path = "../../tests/support/engine_ops.rs"]
pub mod engine_ops;
#[path = "../../tests/support/oracle.rs"]
pub mod oracle;
#[path = "../../tests/support/reference.rs"]
pub mod reference;
