//! Any text as a settings file, variables and files of secrets.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| dynowarden_test_support::settings_oracle::check_settings(octets));
