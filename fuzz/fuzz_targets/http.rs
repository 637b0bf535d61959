//! Any octets as a client's input to the HTTP server.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| dynowarden_test_support::http_oracle::check_peer(octets));
