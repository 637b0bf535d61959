//! Any octets as a file to replay.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| dynowarden_test_support::replay_oracle::check_file(octets));
