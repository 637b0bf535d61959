//! Kinds of hostility, one file for each. A seed chooses which of them occur on its day.

pub mod autoscaler;
pub mod clocks;
pub mod crashes;
pub mod drains;
pub mod gateways;
pub mod late;
pub mod leaks;
pub mod lists;
pub mod names;
pub mod one_offs;
pub mod preboot;
pub mod quota;
pub mod status_page;
pub mod stops;

use std::time::Duration;

use heroku_sim::rng::Chance;

use crate::api_faults::{Fate, Want};
use crate::figures::Figures;
use crate::scenario::Scenario;

struct Kind {
    /// As in the figures.
    name: &'static str,
    /// The share of the days on which it occurs.
    permille: u32,
    draw: fn(&mut Scenario, &mut Chance, Duration),
}

/// Adds to a day what its seed chooses, and the kind of this name.
pub fn draw(scenario: &mut Scenario, chance: &mut Chance, (day, kind_name): (Duration, Option<&str>)) {
    for kind in &KINDS {
        // Each draws from its own sequence, so that a change of one leaves the others alone.
        let mut own = chance.split();
        if own.hits(kind.permille) || kind_name == Some(kind.name) {
            (kind.draw)(scenario, &mut own, day);
            scenario.kinds.push(kind.name);
        }
    }
}

/// How many of a thousand calls meet which mishap, on days of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mishaps {
    pub gateway: u32,
    pub ignored: u32,
    pub late: u32,
    pub own_5xx: u32,
    pub partial: u32,
    pub unsent: u32,
}

impl Mishaps {
    /// The fate of a call that meets one of them. A DELETE whose answer is lost takes effect within
    /// `late_max`, or never.
    pub fn fate(
        &self,
        chance: &mut Chance,
        (want, late_max): (&Want, Duration),
        figures: &mut Figures,
    ) -> Option<Fate> {
        let is_delete = want.is_delete();
        let (kind, fate) = if is_delete && chance.hits(self.late) {
            ("late_effect", late::carried_out_later(chance, late_max))
        } else if is_delete && chance.hits(self.unsent) {
            ("unsent", late::not_sent(chance))
        } else if is_delete && chance.hits(self.own_5xx) {
            ("own_5xx", late::refused_by_the_api(chance))
        } else if is_delete && chance.hits(self.ignored) {
            ("accepted_but_ignored", crashes::ignored(chance))
        } else if chance.hits(self.gateway) {
            ("gateway_page", gateways::page(chance, late_max))
        } else if matches!(want, Want::List { .. }) && chance.hits(self.partial) {
            ("partial_list", lists::partial(chance))
        } else {
            return None;
        };
        figures.fault(kind);
        Some(fate)
    }
}

const KINDS: [Kind; 14] = [
    Kind { name: "autoscaler", permille: 120, draw: autoscaler::draw },
    Kind { name: "clocks", permille: 80, draw: clocks::draw },
    Kind { name: "crashes", permille: 200, draw: crashes::draw },
    Kind { name: "foreign_drains", permille: 200, draw: drains::draw },
    Kind { name: "gateways", permille: 120, draw: gateways::draw },
    Kind { name: "late_effects", permille: 200, draw: late::draw },
    Kind { name: "leaks", permille: 250, draw: leaks::draw },
    Kind { name: "partial_lists", permille: 120, draw: lists::draw },
    Kind { name: "renames", permille: 80, draw: names::draw },
    Kind { name: "one_offs", permille: 150, draw: one_offs::draw },
    Kind { name: "preboot_twins", permille: 120, draw: preboot::draw },
    Kind { name: "shared_quota", permille: 120, draw: quota::draw },
    Kind { name: "status_page", permille: 150, draw: status_page::draw },
    Kind { name: "stops", permille: 200, draw: stops::draw },
];
