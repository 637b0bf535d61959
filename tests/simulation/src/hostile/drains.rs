//! Drains of other apps with a watched app's URL, so that another app's errors arrive under this app's name.

use std::time::Duration;

use heroku_sim::app::AppSpec;
use heroku_sim::dyno::{Behaviour, DynoPlan};
use heroku_sim::rng::Chance;
use heroku_sim::sender::Post;
use heroku_sim::world::World;

use dynowarden_core::ident::AppName;

use crate::scenario::{Event, Scenario, Stranger};

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
}

/// Whether a batch comes from a drain of this very app, as the API lists it now. Batches without a token
/// count.
pub fn is_own(world: &World, app: &AppName, post: &Post) -> bool {
    let listed = world.app(app.as_str()).map(|app| &app.drains);
    let Some((token, drains)) = post.token.as_ref().zip(listed) else { return true };
    drains.iter().any(|drain| drain.token == *token)
}
