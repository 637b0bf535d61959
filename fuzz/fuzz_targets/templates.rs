//! Any paths as requests of an app.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    dynowarden_test_support::evidence_oracle::check_templates(octets);
});
