//! Any text after the headers of the router, a dyno, logplex, the API and an app.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| dynowarden_test_support::oracle::check_msg(octets));
