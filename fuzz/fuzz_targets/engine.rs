//! Any octets as events for the engine.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    dynowarden_test_support::engine_ops::check_octets(octets);
});
