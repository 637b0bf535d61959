//! Which lives are borrowed.
//!
//! A new process has the life of one of the donors that started at about its hour of the day. To see how much
//! the figures depend on the lives that happen to be in the log, a policy is played again with samples of
//! them, as many as there are and drawn with repetition (a bootstrap).

use crate::what_if::donor::{Cursor, Worth};
use crate::what_if::dyno::{Dyno, Process};
use crate::what_if::log::{App, Formation, Stay};

/// The donors of each formation that may be borrowed.
#[derive(Clone, Debug)]
pub(super) struct Sampled {
    usable: Vec<Vec<usize>>,
    /// Makes the chances of one replicate differ from those of another.
    replicate: u64,
}

/// The platform cycles a dyno this long after its start …
const CYCLE_MS: i64 = 24 * 3_600_000;

/// … and up to 216 minutes later.
const CYCLE_SPREAD_MS: u64 = 216 * 60_000;

/// Donors to choose from: the nearest by the hour.
const NEAREST: usize = 3;

/// Donors that showed a whole life, from which on no others are used.
const WHOLE_LEAST: usize = 4;

// === impl Sampled ===

impl Sampled {
    /// All donors for the first play, and a sample of them for each replicate after it.
    pub(super) fn new(app: &App, replicate: u64) -> Self {
        let usable = app.formations.iter().enumerate().map(|(place, formation)| {
            let donors = usable(formation);
            if replicate == 0 || donors.is_empty() {
                return donors;
            }
            let draw = |number: usize| {
                let chance = mixed(&[replicate, place as u64, number as u64]);
                donors[(chance % donors.len() as u64) as usize]
            };
            let mut drawn: Vec<usize> = (0..donors.len()).map(draw).collect();
            drawn.sort_unstable();
            drawn.dedup();
            drawn
        });
        Self { usable: usable.collect(), replicate }
    }

    /// The process that ran when the dyno was first seen. `key` names the dyno.
    pub(super) fn first(&self, stay: &Stay, key: (usize, usize), at: i64) -> Process {
        let chance = |kind| self.chance(key, (stay.from as u64, kind));
        let is_cycled = stay.cycled_at.map(|slot| at + (slot - stay.from) * 20_000);
        // A process whose start was not seen may have any age.
        let age = if stay.is_start_known { 0 } else { (chance(0) % CYCLE_MS as u64) as i64 };
        let start = match is_cycled {
            Some(end) if !stay.is_start_known => end - CYCLE_MS - (chance(1) % CYCLE_SPREAD_MS) as i64,
            _ => at - age,
        };
        let cycles_at = start + CYCLE_MS + (chance(1) % CYCLE_SPREAD_MS) as i64;
        Process {
            number: mixed(&[stay.from as u64, key.1 as u64]),
            start: start.min(at),
            up_at: at,
            cycles_at: is_cycled.unwrap_or(cycles_at),
            donor: stay.first,
            cursor: Cursor::default(),
            clock: 0.0,
            share: 0.0,
            over_slots: 0,
            was_high: false,
            breached_at: None,
        }
    }

    /// The next process of a dyno, which starts at this second of the epoch.
    pub(super) fn next(
        &self,
        formation: &Formation,
        (dyno, key): (&Dyno<'_>, (usize, usize)),
        second: i64,
        (at, boot_ms): (i64, i64),
    ) -> Process {
        let chance = |kind| self.chance(key, (dyno.processes, kind));
        let nearest = nearest(formation, &self.usable[dyno.formation], second.rem_euclid(86_400));
        let own = dyno.stays.front().map_or(0, |stay| stay.first);
        Process {
            number: dyno.processes,
            start: at,
            up_at: at + boot_ms,
            cycles_at: at + CYCLE_MS + (chance(1) % CYCLE_SPREAD_MS) as i64,
            donor: nearest.get((chance(2) % nearest.len().max(1) as u64) as usize).copied().unwrap_or(own),
            cursor: Cursor::default(),
            clock: 0.0,
            share: 0.0,
            over_slots: 0,
            was_high: false,
            breached_at: None,
        }
    }

    fn chance(&self, (segment, dyno): (usize, usize), (process, kind): (u64, u64)) -> u64 {
        mixed(&[self.replicate, segment as u64, dyno as u64, process, kind])
    }
}

/// The donors that showed a whole life, or all that showed enough if there are few.
fn usable(formation: &Formation) -> Vec<usize> {
    let of = |least: Worth| -> Vec<usize> {
        let donors = formation.donors.iter().enumerate();
        donors.filter(|(_, donor)| donor.worth >= least).map(|(place, _)| place).collect()
    };
    let whole = of(Worth::Whole);
    if whole.len() >= WHOLE_LEAST { whole } else { of(Worth::Short) }
}

/// The nearest donors by the hour of their start.
fn nearest(formation: &Formation, usable: &[usize], second_of_day: i64) -> Vec<usize> {
    let mut nearest: Vec<(i64, usize)> = Vec::with_capacity(NEAREST + 1);
    for donor in usable {
        let near = (formation.donors[*donor].distance(second_of_day), *donor);
        let place = nearest.partition_point(|other| *other <= near);
        if place < NEAREST {
            nearest.insert(place, near);
            nearest.truncate(NEAREST);
        }
    }
    nearest.into_iter().map(|(_, donor)| donor).collect()
}

/// A number that looks like chance, the same for the same parts (SplitMix64).
fn mixed(parts: &[u64]) -> u64 {
    parts.iter().fold(0x9e37_79b9_7f4a_7c15, |sum, part| {
        let mixed = (sum ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::mixed;

    #[test]
    fn chances_differ_and_repeat() {
        let all: std::collections::BTreeSet<u64> =
            (0..1000).map(|part| mixed(&[1, part]) % 1_000_000).collect();
        assert!(all.len() > 990, "{}", all.len());
        assert_eq!(mixed(&[7, 8]), mixed(&[7, 8]));
        assert_ne!(mixed(&[7, 8]), mixed(&[8, 7]));
    }
}
