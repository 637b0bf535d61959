//! Gateways, proxies and login pages that answer instead of the API. Some still pass the call on.

use std::time::Duration;

use heroku_sim::rng::Chance;

use crate::api_faults::{Fate, Page};
use crate::hostile::late;
use crate::scenario::{Scenario, secs};

pub fn draw(scenario: &mut Scenario, chance: &mut Chance, _day: Duration) {
    scenario.mishaps.gateway = 20 + chance.below(150) as u32;
}

/// An HTML page with a status that the API might have given too.
pub fn page(chance: &mut Chance, late_max: Duration) -> Fate {
    let status = *chance.pick(&STATUSES).expect("there are some");
    let page = Page { status, after: chance.span(Duration::from_millis(50), secs(6)) };
    let arrives = chance.hits(500).then(|| match chance.hits(500) {
        true => chance.span(Duration::from_millis(10), secs(1)),
        false => late::after(chance, late_max),
    });
    Fate { arrives, page: Some(page), ..Fate::lost() }
}

const STATUSES: [u16; 9] = [200, 302, 403, 404, 406, 407, 429, 502, 504];
