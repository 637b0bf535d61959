//! Whether a dyno slower than its peers is found: log-normal service times, common slow phases, and a wobble
//! of each dyno's own, through the reader of traffic and the comparison of peers that ship.

use std::fmt::Write as _;
use std::time::Duration;

use dynowarden_core::days::peers::Peers;
use dynowarden_core::detect::request::Request;
use dynowarden_core::ident::{DynoName, DynoRef};
use dynowarden_core::policy::Factor;
use dynowarden_core::traffic::Traffic;
use heroku_sim::curve::{normal, poisson, uniform};
use heroku_sim::rng::Chance;

use crate::scenario::web;

/// A formation: its dynos, and the requests a minute of each.
#[derive(Clone, Copy, Debug)]
struct Formation {
    dynos: u32,
    requests: f64,
}

const FORMATIONS: [Formation; 4] = [
    Formation { dynos: 3, requests: 60.0 },
    Formation { dynos: 4, requests: 120.0 },
    Formation { dynos: 10, requests: 30.0 },
    Formation { dynos: 10, requests: 600.0 },
];

const ABOVE: Factor = Factor { permille: 1500 };

/// Runs in which one dyno is slow.
const RUNS: u64 = 200;

/// The minutes in which it must be found …
const FOUND_WITHIN: u64 = 10;

/// … and where few requests make each minute's median vague, or leave some minutes without one.
const FOUND_WITHIN_OF_FEW: u64 = 15;

/// Fewer requests a minute than this are few.
const FEW: f64 = 60.0;

/// Dyno-days in which none is slow.
const CALM_DYNO_DAYS: u64 = 120;

/// The minutes of a formation, one after the other.
struct Minutes {
    formation: Formation,
    chance: Chance,
    traffic: Vec<Traffic>,
    peers: Peers,
    /// Of all dynos, and of each, as logarithms.
    common: f64,
    own: Vec<f64>,
    minute: u64,
}

// === impl Minutes ===

impl Minutes {
    fn new(formation: Formation, seed: u64) -> Self {
        let dynos = formation.dynos as usize;
        Self {
            formation,
            chance: Chance::new(seed),
            traffic: vec![Traffic::default(); dynos],
            peers: Peers::default(),
            common: 0.0,
            own: vec![0.0; dynos],
            minute: 0,
        }
    }

    /// One minute in which `web.1` is slower by a factor; returns the dynos that are found.
    fn pass(&mut self, factor: f64) -> Vec<DynoName> {
        // A database that is slow for a while slows all of them.
        self.common = 0.95 * self.common + 0.1 * normal(&mut self.chance);
        let mut medians = Vec::new();
        for place in 0..self.traffic.len() {
            self.own[place] =
                0.9 * self.own[place] + OWN * (1.0 - 0.9_f64 * 0.9).sqrt() * normal(&mut self.chance);
            let slower = if place == 0 { factor } else { 1.0 };
            let middle = 80.0 * (self.common + self.own[place]).exp() * slower;
            let index = place as u32 + 1;
            for _ in 0..poisson(&mut self.chance, self.formation.requests) {
                let service_ms = Some((middle * (0.8 * normal(&mut self.chance)).exp()) as u32);
                let dyno = DynoRef { process_type: "web", index };
                let second = uniform(&mut self.chance, 0.0, 60.0) as u64;
                let at = Duration::from_secs(self.minute * 60 + second.min(59));
                self.traffic[place].request(
                    &Request {
                        dyno,
                        status: Some(200),
                        service_ms,
                        code: None,
                        method: Some(b"GET"),
                        path: Some(b"/"),
                    },
                    at,
                );
            }
            if let Some(median) = self.traffic[place].median_ms(self.minute) {
                medians.push((DynoName::new(web(), index), median));
            }
        }
        self.minute += 1;
        self.peers.minute(&medians, ABOVE)
    }
}

/// How much one dyno wobbles by itself.
const OWN: f64 = 0.06;

/// The share of runs in which a dyno slower by `factor` is found within so many minutes.
fn found(formation: Formation, (factor, within): (f64, u64), runs: u64) -> f64 {
    let in_time = (0..runs).filter(|seed| {
        let mut minutes = Minutes::new(formation, 77_000 + seed);
        (0..30).for_each(|_| drop(minutes.pass(1.0)));
        let slow = DynoName::new(web(), 1);
        (0..within).any(|_| minutes.pass(factor).contains(&slow))
    });
    in_time.count() as f64 / runs as f64
}

/// How many dynos are found in 30 dyno-days in which none is slow.
fn wrong(formation: Formation, dyno_days: u64) -> f64 {
    let mut minutes = Minutes::new(formation, 78_000);
    let all = dyno_days * 1440 / u64::from(formation.dynos);
    let wrong: usize = (0..all).map(|_| minutes.pass(1.0).len()).sum();
    wrong as f64 * 30.0 / dyno_days as f64
}

/// The share found of dynos twice as slow, and how many are wrong, in fewer runs.
pub fn measure_some() -> (f64, f64) {
    (found(FORMATIONS[1], (2.0, FOUND_WITHIN), 60), wrong(FORMATIONS[1], 8))
}

/// The figures as text, and the bounds.
pub fn report() -> (String, Vec<(String, bool)>) {
    let mut text = "a slower dyno: share found in 10 minutes, and wrong in 30 dyno-days\n".to_owned();
    let mut bounds = Vec::new();
    for formation in FORMATIONS {
        let Formation { dynos, requests } = formation;
        let shares = [1.5, 2.0, 3.0].map(|factor| found(formation, (factor, FOUND_WITHIN), RUNS));
        let wrong = wrong(formation, CALM_DYNO_DAYS);
        let of = format!("{dynos} dynos, {requests} requests a minute each");
        let [half_as_slow, twice, thrice] = shares;
        let _ =
            writeln!(text, "{of}: 1.5x {half_as_slow:.2}, 2x {twice:.2}, 3x {thrice:.2}; wrong {wrong:.2}");
        let within = if requests < FEW { FOUND_WITHIN_OF_FEW } else { FOUND_WITHIN };
        let share = found(formation, (2.0, within), RUNS);
        let bound = format!("{of}: 2x found in {within} minutes {share:.2}, of at least 0.95");
        bounds.push((bound, share >= 0.95));
        let bound = format!("{of}: wrong in 30 dyno-days {wrong:.2}, of at most 0.20");
        bounds.push((bound, wrong <= 0.2));
    }
    (text, bounds)
}
