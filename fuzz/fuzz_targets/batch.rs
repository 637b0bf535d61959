//! Any octets as a body, down to the meaning of every line in it.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| dynowarden_test_support::oracle::check_batch(octets));
