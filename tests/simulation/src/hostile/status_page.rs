//! Heroku's status page, red for its Apps system.

use std::time::Duration;

use dynowarden_core::time::later;
use heroku_sim::rng::Chance;
use heroku_sim::status_page::Light;

use crate::scenario::{Event, Scenario, secs};

pub fn draw(scenario: &mut Scenario, chance: &mut Chance, day: Duration) {
    for _ in 0..1 + chance.below(2) {
        let at = scenario.time(chance, day);
        let light = if chance.hits(700) { Light::Red } else { Light::Yellow };
        scenario.events.push((at, Event::StatusPage(light)));
        let back = later(at, chance.span(secs(300), secs(3 * 3600))).min(scenario.heals_at);
        scenario.events.push((back, Event::StatusPage(Light::Green)));
    }
}
