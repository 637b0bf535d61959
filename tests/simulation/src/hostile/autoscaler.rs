//! Autoscalers that never rest, and formations that shrink to two or one.

use std::time::Duration;

use dynowarden_core::time::later;
use heroku_sim::rng::Chance;

use crate::scenario::{Event, Scenario, secs, web};

pub fn draw(scenario: &mut Scenario, chance: &mut Chance, day: Duration) {
    let app = chance.below(scenario.apps.len() as u64) as usize;
    let formation = chance.pick(&scenario.apps[app].spec.formations).expect("an app has formations");
    let (process_type, usual) = (formation.process_type.clone(), formation.quantity);
    let mut at = scenario.time(chance, day * 3 / 4);
    let until = later(at, chance.span(secs(3600), day / 3)).min(scenario.heals_at);
    while at < until {
        // Some say the same number again; the platform logs that too.
        let quantity = (usual + chance.below(3) as u32).saturating_sub(1).max(1);
        let process_type = process_type.clone();
        scenario.events.push((at, Event::Scale { app, process_type, quantity }));
        at = later(at, chance.span(secs(60), secs(400)));
    }
    for quantity in [2, 1] {
        if chance.hits(600) {
            let process_type = web();
            scenario.at_random(chance, day, Event::Scale { app, process_type, quantity });
        }
    }
}
