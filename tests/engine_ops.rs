//! The engine under any sequence of inputs.

#[path = "support/engine_ops.rs"]
mod engine_ops;

use proptest::prelude::{ProptestConfig, any, prop, proptest};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_makes_it_panic_or_break_its_own_promises(
        ops in prop::collection::vec(any::<engine_ops::Op>(), 0..400),
    ) {
        engine_ops::check(&ops);
    }
}

#[test]
fn octets_are_operations() {
    engine_ops::check_octets(&[4, 0, 12, 0, 7, 0, 0, 255, 7, 0, 0, 0, 9]);
}
