//! Orderly stops (SIGTERM) at any moment: calls that are on their way are answered, no new ones are made, and
//! everything that is written reaches the store.

use std::time::Duration;

use heroku_sim::rng::Chance;

use crate::scenario::{Event, Scenario};

pub fn draw(scenario: &mut Scenario, chance: &mut Chance, day: Duration) {
    for _ in 0..2 + chance.below(8) {
        scenario.at_random(chance, day, Event::Stop);
    }
    scenario.stops_at_work = 30;
}
