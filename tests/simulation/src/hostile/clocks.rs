//! This machine's clock jumps by hours and by months, forth and back.

use std::time::Duration;

use dynowarden_core::time::later;
use heroku_sim::rng::Chance;
use jiff::SignedDuration;

use crate::scenario::{Event, Scenario, secs};

pub fn draw(scenario: &mut Scenario, chance: &mut Chance, day: Duration) {
    for _ in 0..1 + chance.below(2) {
        let hours = *chance.pick(&[1, 5, 24, 31 * 24, 92 * 24]).expect("five");
        let skew = SignedDuration::from_hours(if chance.hits(500) { hours } else { -hours });
        let at = scenario.time(chance, day);
        scenario.events.push((at, Event::Clock(skew)));
        let back = later(at, chance.span(secs(30), secs(3600))).min(scenario.heals_at);
        scenario.events.push((back, Event::Clock(SignedDuration::ZERO)));
        // A daemon that starts with a wrong clock reads the store with it.
        if chance.hits(500) {
            scenario.events.push((later(at, chance.span(secs(1), secs(60))), Event::Kill));
        }
    }
}
