//! Preboot with twins: the old instance logs under the new one's name for minutes, with its own instance id
//! in the runtime metrics.

use std::time::Duration;

use heroku_sim::operations::Rollout;
use heroku_sim::rng::Chance;

use crate::hostile::leaks;
use crate::scenario::{Event, Scenario, secs};

pub fn draw(scenario: &mut Scenario, chance: &mut Chance, day: Duration) {
    let app = chance.below(scenario.apps.len() as u64) as usize;
    let spec = &mut scenario.apps[app].spec;
    (spec.preboot, spec.metrics) = (true, chance.hits(500));
    let plan = &mut spec.formations[0].plan;
    plan.behaviour = leaks::leak(*chance.pick(&[10, 20, 60]).expect("three"));
    plan.linger = chance.span(secs(6), secs(30));
    for _ in 0..1 + chance.below(3) {
        scenario.at_random(chance, day, Event::Deploy { app, rollout: Rollout::AtOnce });
    }
}
