//! Dyno lists that end early, or are empty, with nothing to say so.

use std::time::Duration;

use heroku_sim::fault::Fault;
use heroku_sim::rng::Chance;

use crate::api_faults::{Fate, Trouble};
use crate::scenario::Scenario;

pub fn draw(scenario: &mut Scenario, chance: &mut Chance, _day: Duration) {
    scenario.mishaps.partial = 50 + chance.below(300) as u32;
}

pub fn partial(chance: &mut Chance) -> Fate {
    let items = chance.below(4) as usize;
    Fate { trouble: Some(Trouble::Spoiled(Fault::Partial(items))), ..Fate::fair(chance) }
}
