//! Drains of other apps with a watched app's URL, so that another app's errors arrive under this app's name;
//! drains that come and go, that the API does not list as ours, and that send no token.

use std::time::Duration;

use heroku_sim::app::AppSpec;
use heroku_sim::dyno::{Behaviour, DynoPlan};
use heroku_sim::rng::Chance;

use dynowarden_core::time::later;

use crate::drains::DrainKind;
use crate::scenario::{Event, Scenario, Stranger, secs};

pub fn draw(scenario: &mut Scenario, chance: &mut Chance, day: Duration) {
    for number in 0..1 + chance.below(2) {
        let name = format!("stranger-{number}").parse().expect("a name");
        let mut spec = AppSpec::new(name, 2 + chance.below(4) as u32);
        let behaviour = Behaviour::Plateau { permille: 1100 + chance.below(600) as u32 };
        spec.formations[0].plan = DynoPlan { behaviour, ..DynoPlan::default() };
        let app = chance.below(scenario.apps.len() as u64) as usize;
        let stranger = scenario.strangers.len();
        scenario.strangers.push(Stranger { spec });
        scenario.at_random(chance, day, Event::ForeignDrain { stranger, app });
        if chance.hits(500) {
            scenario.at_random(chance, day, Event::ForeignDrainEnds { stranger });
        }
    }
    let apps = scenario.apps.len();
    for app in 0..apps {
        scenario.apps[app].drains =
            DrainKind { is_bare: chance.hits(120), is_fixed: chance.hits(250), is_hidden: chance.hits(250) };
        if chance.hits(500) {
            let at = scenario.time(chance, day);
            scenario.events.push((at, Event::SecondDrain { app }));
            if chance.hits(600) {
                let ends = later(at, chance.span(Duration::ZERO, secs(3600)));
                scenario.events.push((ends, Event::FirstDrainEnds { app }));
            }
        }
    }
    if apps > 1 {
        for _ in 0..1 + chance.below(2) {
            let from = chance.below(apps as u64) as usize;
            let to = (from + 1) % apps;
            let at = scenario.time(chance, day);
            scenario.events.push((at, Event::CrossDrain { from, to }));
            let ends = later(at, chance.span(secs(60), secs(6 * 3600)));
            scenario.events.push((ends, Event::CrossDrainEnds { from, to }));
        }
    }
}
