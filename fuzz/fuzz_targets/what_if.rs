//! Any events of some days as a log whose policies are compared.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| dynowarden_test_support::what_if_oracle::check_what_if(octets));
