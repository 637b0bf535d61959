//! Any octets as a body: the frames in it, and where it can no longer be followed.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| dynowarden_test_support::oracle::check_frames(octets));
