//! Any octets as a line: its fields, its time and its meaning.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| dynowarden_test_support::oracle::check_line(octets));
