//! Heroku's status page: red for its Apps system or for another one, or not to be read.

use std::time::Duration;

use dynowarden_core::time::later;
use heroku_sim::rng::Chance;
use heroku_sim::status_page::Light;

use crate::scenario::{Event, Scenario, secs};

pub fn draw(scenario: &mut Scenario, chance: &mut Chance, day: Duration) {
    // Without `heroku.status_url`, a red page means nothing.
    scenario.reads_page = chance.hits(850);
    for _ in 0..2 + chance.below(4) {
        let at = scenario.time(chance, day);
        let light = if chance.hits(750) { Light::Red } else { Light::Yellow };
        scenario.events.push((at, Event::StatusPage(light)));
        let back = later(at, chance.span(secs(60), secs(3 * 3600))).min(scenario.heals_at);
        scenario.events.push((back, Event::StatusPage(Light::Green)));
        if chance.hits(300) {
            // It goes away while it shows something, and may come back with another light.
            let away = later(at, chance.span(Duration::ZERO, secs(1200))).min(scenario.heals_at);
            let back = later(away, chance.span(secs(60), secs(2 * 3600))).min(scenario.heals_at);
            scenario.events.push((away, Event::PageAway(true)));
            scenario.events.push((back, Event::PageAway(false)));
        }
    }
}
