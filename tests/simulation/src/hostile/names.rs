//! Apps that are renamed, and apps whose name another one takes over.

use std::time::Duration;

use heroku_sim::rng::Chance;

use crate::scenario::{Event, Scenario};

pub fn draw(scenario: &mut Scenario, chance: &mut Chance, day: Duration) {
    let app = chance.below(scenario.apps.len() as u64) as usize;
    let to = format!("renamed-{app}").parse().expect("a name");
    let is_taken_over = chance.hits(500);
    scenario.at_random(chance, day, Event::Rename { app, to, is_taken_over });
}
