//! Any octets as what a peer sends to the front door.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| dynowarden_test_support::door_oracle::check_peer(octets));
