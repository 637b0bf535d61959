//! Untrusted input: the oracles of the fuzz targets `api`, `http`, `replay`, `settings` and `unpack`, run on
//! random input and on the fuzzer's corpora.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::sample::select;

/// Checks every input of a target with its oracle.
fn replay_corpus(target: &str, at_least: usize, check: fn(&[u8])) {
    let inputs = support::corpus::inputs(target);
    inputs.iter().for_each(|input| check(input));
    assert!(inputs.len() >= at_least, "only {} inputs for {target}", inputs.len());
}

#[test]
fn api_corpus_agrees_with_the_oracle() {
    replay_corpus("api", 10, support::api_oracle::check_answer);
}

#[test]
fn http_corpus_agrees_with_the_oracle() {
    replay_corpus("http", 10, support::http_oracle::check_peer);
}

#[test]
fn replay_corpus_agrees_with_the_oracle() {
    replay_corpus("replay", 10, support::replay_oracle::check_file);
}

#[test]
fn settings_corpus_agrees_with_the_oracle() {
    replay_corpus("settings", 10, support::settings_oracle::check_settings);
}

#[test]
fn unpack_regressions_agree_with_the_oracle() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions/unpack");
    let files = support::corpus::files(&folder);
    files.iter().for_each(|path| {
        support::unpack_oracle::check_body(&std::fs::read(path).expect("a regression can be read"));
    });
    assert!(files.len() >= 10, "only {} inputs", files.len());
}

/// The words of the fuzzer's dictionary for a target, in any order and with some noise in between.
fn words(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/dict").join(target);
    let text = std::fs::read_to_string(path).expect("the dictionary is here");
    let words: Vec<Vec<u8>> = text.lines().filter_map(word).collect();
    assert!(words.len() > 10, "the dictionary of {target} says nothing");
    let piece = prop_oneof![9 => select(words), 1 => vec(any::<u8>(), 0..4)];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A word of a dictionary: quoted, with the escapes `\\`, `\"` and `\x0A`.
fn word(line: &str) -> Option<Vec<u8>> {
    let mut rest = line.strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    let mut word = Vec::new();
    while let [first, behind @ ..] = rest {
        let (octet, after) = match (first, behind) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digit = |octet: &u8| char::from(*octet).to_digit(16);
                (u8::try_from(digit(high)? * 16 + digit(low)?).ok()?, after)
            }
            (b'\\', [escaped, after @ ..]) => (*escaped, after),
            _ => (*first, behind),
        };
        word.push(octet);
        rest = after;
    }
    Some(word)
}

proptest! {
    #[test]
    fn any_api_body_is_an_answer_or_garbled(body in words("api"), octets in vec(any::<u8>(), 0..200)) {
        support::api_oracle::check_answer(&body);
        support::api_oracle::check_answer(&octets);
    }

    #[test]
    fn any_settings_text_gives_settings_or_problems(text in words("settings"), octets in vec(any::<u8>(), 0..200)) {
        support::settings_oracle::check_settings(&text);
        support::settings_oracle::check_settings(&octets);
    }

    #[test]
    fn any_file_is_read_as_a_log_or_rejected(file in words("replay"), octets in vec(any::<u8>(), 0..200)) {
        support::replay_oracle::check_file(&file);
        support::replay_oracle::check_file(&octets);
    }

    #[test]
    fn any_body_is_decompressed_in_time(octets in vec(any::<u8>(), 0..200)) {
        support::unpack_oracle::check_body(&octets);
    }

    #[test]
    fn any_http_input_gets_the_response_of_the_oracle(
        sent in words("http"), octets in vec(any::<u8>(), 0..200),
    ) {
        support::http_oracle::check_peer(&sent);
        support::http_oracle::check_peer(&octets);
    }
}
