//! Any octets as a compressed body.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| dynowarden_test_support::unpack_oracle::check_body(octets));
