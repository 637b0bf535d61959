//! Dynos that stay down for hours in the platform's cool-off, dynos that die while they settle, and restarts
//! that are accepted and never happen.

use std::time::Duration;

use dynowarden_core::ident::DynoName;
use dynowarden_core::time::later;
use heroku_sim::dyno::DynoPlan;
use heroku_sim::fault::Fault;
use heroku_sim::rng::Chance;

use crate::api_faults::{Fate, Trouble};
use crate::scenario::{Event, Scenario, secs, web};

pub fn draw(scenario: &mut Scenario, chance: &mut Chance, day: Duration) {
    scenario.mishaps.ignored = chance.below(150) as u32;
    scenario.dies_settling = chance.below(200) as u32;
    let app = chance.below(scenario.apps.len() as u64) as usize;
    let formation = &mut scenario.apps[app].spec.formations[0];
    formation.quantity = formation.quantity.max(3 + chance.below(7) as u32);
    let leaking = formation.plan;
    let dyno = DynoName::new(web(), 1 + chance.below(u64::from(formation.quantity)) as u32);

    // Every try fails from here on, with up to 320 minutes from one to the next.
    let from = scenario.time(chance, day / 2);
    let broken = DynoPlan { boot_failures: u32::MAX, ..DynoPlan::default() };
    let until = later(from, chance.span(secs(3600), day / 2));
    scenario.events.push((from, Event::Plan { app, dyno: dyno.clone(), plan: broken }));
    scenario.events.push((later(from, secs(1)), Event::Crash { app, dyno: dyno.clone() }));
    scenario.events.push((until, Event::Plan { app, dyno, plan: leaking }));
}

/// 202, and the old process runs on.
pub fn ignored(chance: &mut Chance) -> Fate {
    Fate { trouble: Some(Trouble::Spoiled(Fault::Ignored)), ..Fate::fair(chance) }
}
