//! One-off dynos with a formation's type: `heroku run --type=web`, attached or detached.

use std::time::Duration;

use dynowarden_core::ident::DynoName;
use heroku_sim::dyno::{Behaviour, DynoPlan};
use heroku_sim::one_off::OneOff;
use heroku_sim::rng::Chance;

use crate::scenario::{Event, Scenario, secs, web};

pub fn draw(scenario: &mut Scenario, chance: &mut Chance, day: Duration) {
    for app in 0..scenario.apps.len() {
        for _ in 0..1 + chance.below(4) {
            let behaviour = match chance.hits(700) {
                true => Behaviour::Plateau { permille: 1100 + chance.below(500) as u32 },
                false => Behaviour::Steady { mb: 300 },
            };
            let one_off = OneOff {
                name: DynoName::new(web(), 1000 + chance.below(9000) as u32),
                plan: DynoPlan { behaviour, ..DynoPlan::default() },
                is_attached: chance.hits(700),
                lasting: chance.span(secs(60), secs(4 * 3600)),
            };
            if chance.hits(400) {
                let dyno = Some(one_off.name.clone());
                scenario.at_random(chance, day, Event::Order { app, dyno });
            }
            scenario.at_random(chance, day, Event::Run { app, one_off });
        }
    }
}
