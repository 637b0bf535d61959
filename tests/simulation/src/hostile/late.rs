//! Answers that are lost, and effects that come late: up to the end of `boot_timeout`.

use std::time::Duration;

use heroku_sim::rng::Chance;

use crate::api_faults::{Fate, TIMEOUT, Trouble};
use crate::scenario::{Scenario, secs};

pub fn draw(scenario: &mut Scenario, chance: &mut Chance, _day: Duration) {
    scenario.mishaps.late = 50 + chance.below(400) as u32;
    scenario.mishaps.unsent = chance.below(150) as u32;
    scenario.mishaps.own_5xx = chance.below(200) as u32;
}

/// The connection breaks or no answer comes, and the platform carries the call out in its own time.
pub fn carried_out_later(chance: &mut Chance, late_max: Duration) -> Fate {
    let breaks = chance.hits(500).then(|| chance.span(Duration::ZERO, secs(3)));
    Fate { arrives: Some(after(chance, late_max)), breaks, ..Fate::lost() }
}

/// No connection: the API never hears of it, and the client knows.
pub fn not_sent(chance: &mut Chance) -> Fate {
    Fate { breaks: Some(chance.span(Duration::ZERO, secs(3))), is_unsent: true, ..Fate::lost() }
}

/// The API's own 5xx: surely not carried out.
pub fn refused_by_the_api(chance: &mut Chance) -> Fate {
    let status = *chance.pick(&[500, 502, 503, 504]).expect("four");
    Fate { trouble: Some(Trouble::Status(status, None)), ..Fate::fair(chance) }
}

/// Most late effects come within seconds, some at the end of the time allowed.
pub fn after(chance: &mut Chance, late_max: Duration) -> Duration {
    match chance.below(3) {
        0 => chance.span(secs(1), TIMEOUT),
        1 => chance.span(TIMEOUT, 3 * TIMEOUT),
        _ => chance.span(TIMEOUT, late_max),
    }
    .min(late_max)
}
