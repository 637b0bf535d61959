//! Any octets as a response of the Platform API.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| dynowarden_test_support::api_oracle::check_answer(octets));
