//! The engine under any sequence of inputs.

use heroku_sim::rng::Chance;
use proptest::prelude::{ProptestConfig, any, prop, proptest};

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_input_sequence_keeps_the_engines_promises(
        ops in prop::collection::vec(any::<support::engine_ops::Op>(), 0..400),
    ) {
        support::engine_ops::check(&ops);
    }
}

/// A run without any DELETE would prove nothing.
#[test]
fn random_input_sequences_restart_dynos() {
    let mut chance = Chance::new(1);
    let mut octets = || (0..1600).map(|_| chance.draw() as u8).collect::<Vec<u8>>();
    let deletes: usize = (0..100).map(|_| support::engine_ops::check_octets(&octets())).sum();
    assert!(deletes > 200, "only {deletes} restarts in 40,000 operations");
}

#[test]
fn engine_corpus_keeps_the_engines_promises() {
    let inputs = support::corpus::inputs("engine");
    let deletes: usize = inputs.iter().map(|input| support::engine_ops::check_octets(input)).sum();
    assert!(deletes > 0, "no input gets as far as a restart");
}
