//! Leaks that reach the quota within 5 to 60 minutes, plateaus above it, and releases that fix either.

use std::time::Duration;

use heroku_sim::dyno::{Behaviour, DynoPlan};
use heroku_sim::rng::Chance;

use crate::scenario::{Event, Scenario};

pub fn draw(scenario: &mut Scenario, chance: &mut Chance, day: Duration) {
    for app in 0..scenario.apps.len() {
        let behaviour = match chance.pick(&MINUTES).expect("there are some") {
            0 => Behaviour::Plateau { permille: 1020 + chance.below(900) as u32 },
            minutes => leak(*minutes),
        };
        let place = &mut scenario.apps[app];
        place.spec.formations[0].plan = DynoPlan { behaviour, ..DynoPlan::default() };
        if chance.hits(600) {
            place.dynos.retain(|(name, _)| name.process_type().as_str() != "web");
        }
        if chance.hits(300) {
            scenario.at_random(chance, day, Event::Fix { app });
        }
    }
}

/// A leak from well below the quota of 512 MB, which it exceeds after this many minutes.
pub fn leak(minutes: u32) -> Behaviour {
    let mb_per_min = 300 / minutes;
    Behaviour::Leak { from_mb: 512 - minutes * mb_per_min, mb_per_min }
}

/// Minutes until the quota; 0 is a plateau above it.
const MINUTES: [u32; 6] = [0, 5, 10, 20, 30, 60];
