//! An account whose API calls a CI system uses too: for a while it leaves 600, 10 or none.

use std::time::Duration;

use dynowarden_core::time::later;
use heroku_sim::rng::Chance;

use crate::scenario::{Event, Scenario, secs};

pub fn draw(scenario: &mut Scenario, chance: &mut Chance, day: Duration) {
    for _ in 0..1 + chance.below(3) {
        let calls_left = *chance.pick(&[600, 100, 10, 0]).expect("four");
        let mut at = scenario.time(chance, day);
        let until = later(at, chance.span(secs(60), secs(2 * 3600))).min(scenario.heals_at);
        while at < until {
            scenario.events.push((at, Event::Hungry { calls_left }));
            at = later(at, chance.span(secs(5), secs(40)));
        }
    }
}
