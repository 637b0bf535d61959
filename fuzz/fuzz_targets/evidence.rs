//! Any octets as stored counts, as numbers to be fitted, and as a log.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    dynowarden_test_support::evidence_oracle::check_evidence(octets);
});
