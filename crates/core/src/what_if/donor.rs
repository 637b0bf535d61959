//! Donors: lives of the archive whose memory a new process of another policy would have had.
//!
//! Memory is read by the requests since the start, because most leaks are in requests and every process warms
//! up with them; by age where the log has no router lines. Past its end a life goes on with its second half,
//! again and again, each time higher by what it grew.

use crate::days::growth;
use crate::days::life::{Ended, Life};
use crate::what_if::slots::{self, SLOTS_PER_HOUR, Track};

#[derive(Clone, Debug)]
pub(super) struct Donor {
    /// The second of the day, in UTC, at which it started.
    second_of_day: i64,
    /// Whether it may stand for a new process.
    pub(super) worth: Worth,
    /// By slots, as shares of the quota.
    memory: Vec<f32>,
    /// Requests until the end of each slot, or slots.
    clock: Vec<f32>,
    /// The slot with which its second half begins.
    half: usize,
    /// From one pass through the second half to the next.
    rise: f32,
    /// In tenths of a megabyte; 0 if unknown.
    quota: u32,
}

/// How much a life says of a whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    /// Its start was not seen, or it was too short.
    None,
    Short,
    /// It went over its quota, or lasted for hours.
    Whole,
}

/// How a donor is read: a place that only moves on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    slot: usize,
    /// Passes through the second half.
    passes: u32,
}

/// Equal spans of a second half, whose floors show how it grew.
const SPANS: usize = 16;

/// What a life of each kind lasts at least.
const SHORT_SLOTS: i64 = SLOTS_PER_HOUR;
const WHOLE_SLOTS: i64 = 6 * SLOTS_PER_HOUR;

/// For how many slots a reading holds where the log only shows the time above the quota. Errors come about
/// once a slot, and lines get lost.
const HOLDS_SLOTS: u32 = 3;

impl Donor {
    /// The life's memory. `by_requests`: read by requests, else by age. `has_samples`: memory below the quota
    /// is in the log.
    pub(super) fn new(life: &Life, track: &Track, by_requests: bool, has_samples: bool) -> Self {
        let (from, until) = (slots::slot_of(life.start), slots::slot_of(life.end));
        let mut donor = Self {
            second_of_day: life.start.as_second().rem_euclid(86_400),
            worth: worth(life, until - from),
            memory: Vec::new(),
            clock: Vec::new(),
            half: 0,
            rise: 0.0,
            quota: life.quota,
        };
        let (mut last, mut held, mut sum) = (0.0, 0, 0.0);
        // The slot of its end shows why it ended.
        for slot in from..=until {
            let (memory, requests) = track.slot(slot);
            // The slot of its start may have the last reading of the process before it.
            match memory.filter(|_| slot > from || !life.is_start_known) {
                Some(share) => (last, held) = (share, 0),
                None if held >= HOLDS_SLOTS && !has_samples => last = 0.0,
                None => held += 1,
            }
            sum += if by_requests { f32::from(requests) } else { 1.0 };
            donor.memory.push(last);
            donor.clock.push(sum);
        }
        donor.go_on();
        donor
    }

    /// Finds what its second half is and how much it grew in it. The growth of a verdict is the slower one of
    /// two; here it is that of the clock that the donor is read by, which is neither too slow nor too fast.
    fn go_on(&mut self) {
        let end = self.end();
        self.half = self.clock.partition_point(|clock| *clock < end / 2.0).min(self.clock.len() - 1);
        let width = ((self.clock.len() - self.half) / SPANS).max(1);
        let spans = self.memory[self.half..].chunks(width).zip(self.clock[self.half..].chunks(width));
        let floors: Vec<(f64, f64)> = spans
            .map(|(memory, clock)| {
                let floor = memory.iter().copied().fold(f32::INFINITY, f32::min);
                (f64::from(clock[clock.len() / 2]), f64::from(floor))
            })
            .collect();
        let slope = growth::median_slope(&floors).unwrap_or(0.0).max(0.0);
        self.rise = slope as f32 * (end - self.clock[self.half]);
    }

    fn end(&self) -> f32 {
        self.clock.last().copied().unwrap_or(0.0)
    }

    /// The memory after `clock` requests or slots, as a share of a quota.
    pub(super) fn read(&self, cursor: &mut Cursor, clock: f64, quota: u32) -> f32 {
        let start = self.clock[self.half];
        let length = f64::from(self.end() - start);
        let place = |passes: u32| clock - f64::from(passes) * length;
        let last = self.clock.len() - 1;
        // The last slot shows why the life ended. However many requests come at once, it is read.
        if length > 0.0 && place(cursor.passes) > f64::from(self.end()) && cursor.slot == last {
            let passes = ((clock - f64::from(start)) / length) as u32;
            *cursor = Cursor { slot: self.half, passes };
        }
        let place = place(cursor.passes);
        while cursor.slot < last && f64::from(self.clock[cursor.slot]) < place {
            cursor.slot += 1;
        }
        let share = self.memory[cursor.slot] + cursor.passes as f32 * self.rise;
        if self.quota > 0 && quota > 0 && self.quota != quota {
            return share * self.quota as f32 / quota as f32;
        }
        share
    }

    /// From its hour of start to another, in seconds, at most half a day.
    pub(super) fn distance(&self, second_of_day: i64) -> i64 {
        let apart = (self.second_of_day - second_of_day).rem_euclid(86_400);
        apart.min(86_400 - apart)
    }
}

fn worth(life: &Life, slots: i64) -> Worth {
    if life.is_muddled || !life.is_start_known || (slots < SHORT_SLOTS && life.breached_at.is_none()) {
        return Worth::None;
    }
    // A crash or a release ends a life before it has shown what it does.
    let is_cut = matches!(life.ended, Ended::Crash | Ended::Release) && slots < WHOLE_SLOTS;
    if (life.breached_at.is_some() && !is_cut) || slots >= WHOLE_SLOTS { Worth::Whole } else { Worth::Short }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{Cursor, Donor, Worth};
    use crate::days::life::{Ended, Excess, Life};
    use crate::time::later;
    use crate::what_if::slots::Track;

    /// Ten hours that grow from 20 % to 70 % of the quota, with two requests a slot, and a last reading.
    fn donor_until(last: Option<f32>, by_requests: bool) -> Donor {
        let start = Timestamp::from_second(1_767_225_600).expect("a time");
        let mut track = Track::default();
        for slot in 0..1800_u64 {
            let at = later(start, Duration::from_secs(slot * 20));
            if slot % 2 == 0 {
                track.memory(0.2 + 0.5 * slot as f32 / 1800.0, at);
            }
            (0..2).for_each(|_| track.request(at));
        }
        if let Some(last) = last {
            track.memory(last, later(start, Duration::from_secs(36_000)));
        }
        let life = Life {
            dyno: "web.1".parse().expect("a dyno"),
            start,
            is_start_known: true,
            end: later(start, Duration::from_secs(36_000)),
            ended: Ended::Restart,
            release: 0,
            quota: 5120,
            breached_at: None,
            excess: Excess::None,
            highest: 0,
            last_reading: None,
            growth: None,
            is_muddled: false,
            helped: None,
        };
        Donor::new(&life, &track, by_requests, true)
    }

    fn donor(by_requests: bool) -> Donor {
        donor_until(None, by_requests)
    }

    fn read(donor: &Donor, clocks: &[f64], quota: u32) -> Vec<f32> {
        let mut cursor = Cursor::default();
        clocks.iter().map(|clock| (donor.read(&mut cursor, *clock, quota) * 100.0).round() / 100.0).collect()
    }

    #[test]
    fn memory_is_read_by_requests_or_by_age() {
        assert_eq!(read(&donor(true), &[8.0, 1800.0, 3600.0], 5120), [0.2, 0.45, 0.7]);
        assert_eq!(read(&donor(false), &[4.0, 900.0, 1800.0], 5120), [0.2, 0.45, 0.7]);
        // On twice the memory it is half as much.
        assert_eq!(read(&donor(false), &[1800.0], 10_240), [0.35]);
    }

    #[test]
    fn past_its_end_a_life_goes_on_growing() {
        // Half of its requests are 25 % of the quota.
        let clocks = [3600.0, 3601.0, 4500.0, 5400.0, 5401.0, 7200.0, 72_000.0, 72_000.0];
        let beyond = read(&donor(true), &clocks, 5120);
        let expect = [0.7, 0.7, 0.83, 0.95, 0.95, 1.2, 1.45, 10.2];
        assert!(beyond.iter().zip(expect).all(|(read, expect)| (read - expect).abs() < 0.02), "{beyond:?}");
    }

    #[test]
    fn the_reading_that_ended_a_life_is_never_passed_over() {
        let donor = donor_until(Some(1.1), true);
        for each in [2.0, 5.0, 40.0, 900.0] {
            let clocks: Vec<f64> =
                (1..).map(|slot| f64::from(slot) * each).take_while(|at| *at < 5400.0).collect();
            let over = read(&donor, &clocks, 5120).iter().filter(|share| **share == 1.1).count();
            assert_eq!(over, 1, "{each} requests a slot");
        }
    }

    #[test]
    fn the_hour_of_start_is_compared_across_midnight() {
        let donor = donor(true);
        assert_eq!([0, 3600, 82_800].map(|second| donor.distance(second)), [0, 3600, 3600]);
        assert_eq!(donor.worth, Worth::Whole);
    }
}
