//! One dyno's memory and requests in slots of 20 seconds, as often as Heroku measures.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::limits;

/// The length of a slot.
pub(super) const SLOT_SECONDS: i64 = 20;

/// Slots in an hour.
pub(super) const SLOTS_PER_HOUR: i64 = 3600 / SLOT_SECONDS;

/// Slots in a minute.
pub(super) const SLOTS_PER_MINUTE: i64 = 60 / SLOT_SECONDS;

const HOUR: usize = SLOTS_PER_HOUR as usize;

/// Only hours with lines take memory, however far apart they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    hours: BTreeMap<i64, Box<Hour>>,
}

#[derive(Clone, Debug)]
struct Hour {
    /// As a share of the quota; NaN in a slot without a sample.
    memory: [f32; HOUR],
    requests: [u16; HOUR],
}

/// A silence after which nothing is known of a dyno.
const SILENCE_HOURS: i64 = 30;

/// The share of a dyno whose line says that it is over its quota, but not by how much.
const OVER: f32 = 1.01;

pub(super) fn slot_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(SLOT_SECONDS)
}

/// When a slot begins.
pub(super) fn start_of(slot: i64) -> Timestamp {
    Timestamp::from_second(slot.saturating_mul(SLOT_SECONDS)).unwrap_or(Timestamp::MAX)
}

// === impl Track ===

impl Track {
    /// Whether a line at `at` is in an hour that has none yet.
    pub(super) fn is_new(&self, at: Timestamp) -> bool {
        !self.hours.contains_key(&slot_of(at).div_euclid(SLOTS_PER_HOUR))
    }

    /// Notes a line.
    pub(super) fn heard(&mut self, at: Timestamp) {
        self.at(at);
    }

    /// The slot until which lines go on from `from`, `until` at most. Every dyno has a line a day: it is
    /// cycled.
    pub(super) fn heard_until(&self, from: i64, until: i64) -> i64 {
        let (first, last) = (from.div_euclid(SLOTS_PER_HOUR), until.div_euclid(SLOTS_PER_HOUR));
        let mut heard = first;
        for hour in self.hours.range(first..=last).map(|(hour, _)| *hour).chain([last]) {
            if hour - heard > SILENCE_HOURS {
                return (heard + 1) * SLOTS_PER_HOUR;
            }
            heard = hour;
        }
        until
    }

    /// Notes a reading as a share of the quota. A reading that no dyno can have is ignored.
    pub(super) fn memory(&mut self, share: f32, at: Timestamp) {
        if share > 0.0 && share <= limits::MEMORY_QUOTAS_MAX as f32 {
            let (hour, place) = self.at(at);
            // The highest counts, and NaN is none: where a process ends, the next one may be in its slot.
            hour.memory[place] = hour.memory[place].max(share);
        }
    }

    /// Notes that it is over its quota.
    pub(super) fn over(&mut self, at: Timestamp) {
        self.memory(OVER, at);
    }

    pub(super) fn request(&mut self, at: Timestamp) {
        let (hour, place) = self.at(at);
        hour.requests[place] = hour.requests[place].saturating_add(1);
    }

    /// The memory of a slot, and its requests.
    pub(super) fn slot(&self, slot: i64) -> (Option<f32>, u16) {
        let Some(hour) = self.hours.get(&slot.div_euclid(SLOTS_PER_HOUR)) else { return (None, 0) };
        let place = slot.rem_euclid(SLOTS_PER_HOUR) as usize;
        (Some(hour.memory[place]).filter(|share| !share.is_nan()), hour.requests[place])
    }

    fn at(&mut self, at: Timestamp) -> (&mut Hour, usize) {
        let slot = slot_of(at);
        let new = || Box::new(Hour { memory: [f32::NAN; HOUR], requests: [0; HOUR] });
        let hour = self.hours.entry(slot.div_euclid(SLOTS_PER_HOUR)).or_insert_with(new);
        (hour, slot.rem_euclid(SLOTS_PER_HOUR) as usize)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Track, slot_of};

    #[test]
    fn a_slot_has_its_highest_reading_and_its_requests() {
        let at = |second: i64| Timestamp::from_second(1_767_225_600 + second).expect("a time");
        let mut track = Track::default();
        track.memory(0.6, at(0));
        track.memory(0.5, at(19));
        track.memory(f32::NAN, at(20));
        track.memory(99.0, at(20));
        track.over(at(40));
        track.memory(1.2, at(60));
        track.over(at(61));
        (0..3).for_each(|_| track.request(at(3600)));
        let slots = [0, 20, 40, 60, 3600].map(|second| track.slot(slot_of(at(second))));
        assert_eq!(slots, [(Some(0.6), 0), (None, 0), (Some(1.01), 0), (Some(1.2), 0), (None, 3)]);
        let hours = |hours: i64| slot_of(at(hours * 3600));
        assert_eq!(track.heard_until(hours(0), hours(20)), hours(20));
        assert_eq!(track.heard_until(hours(0), hours(90)), hours(2));
        track.heard(at(80 * 3600));
        assert_eq!(track.heard_until(hours(79), hours(90)), hours(90));
        track.hours.remove(&hours(80).div_euclid(super::SLOTS_PER_HOUR));
        assert_eq!((track.hours.len(), track.is_new(at(3601)), track.is_new(at(-1))), (2, false, true));
    }
}
