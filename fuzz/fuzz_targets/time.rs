//! Any text as a time.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| dynowarden_test_support::oracle::check_time(octets));
