//! Rules against lines: how many errors count, and since when memory has been too high.
//!
//! All times are those in the lines. Lines come late, twice and out of order, so an error counts once per
//! time, and a memory rule looks only at the newest instance.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;

use crate::event::Megabytes;
use crate::ident::InstanceId;
use crate::policy::MemoryBound;
use crate::time::since;

/// The times of the last errors that one rule counted for one dyno.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    /// Sorted, without duplicates, at most the rule's count.
    times: VecDeque<Timestamp>,
}

impl Hits {
    /// Counts an error, and returns the number within the span if that is enough.
    pub fn count(&mut self, at: Timestamp, count: NonZeroU32, within: Duration) -> Option<u32> {
        if count == NonZeroU32::MIN {
            return Some(1);
        }
        let place = self.times.partition_point(|time| *time < at);
        if self.times.get(place) != Some(&at) {
            self.times.insert(place, at);
        }
        if self.times.len() > count.get() as usize {
            self.times.pop_front();
        }
        let (first, last) = (self.times.front()?, self.times.back()?);
        let enough = self.times.len() == count.get() as usize && since(*first, *last) <= within;
        enough.then_some(count.get())
    }

    /// Forgets errors of an earlier process.
    pub fn forget_before(&mut self, began: Timestamp) {
        self.times.retain(|time| *time >= began);
    }
}

/// How long one dyno's memory has been above one rule's bound.
#[derive(Clone, Debug, Default)]
pub struct MemoryTrend {
    above: Option<Above>,
}

/// The instances of one dyno that sent samples.
#[derive(Clone, Debug, Default)]
pub struct Instances {
    newest: Option<InstanceId>,
    /// The one before: under preboot its last samples still arrive. Few dynos have one.
    previous: Option<Box<InstanceId>>,
}

/// The place of an instance among those of its dyno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// The first sample of a new instance.
    New,
    Newest,
    Previous,
}

impl Instances {
    pub fn note(&mut self, instance: InstanceId) -> Generation {
        if self.newest == Some(instance) {
            Generation::Newest
        } else if self.previous.as_deref() == Some(&instance) {
            Generation::Previous
        } else {
            self.previous = self.newest.replace(instance).map(Box::new);
            Generation::New
        }
    }

    /// Whether two instances are known, which may run side by side.
    pub fn has_previous(&self) -> bool {
        self.previous.is_some()
    }
}

#[derive(Clone, Copy, Debug)]
struct Above {
    since: Timestamp,
    last: Timestamp,
    samples: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The time in the line.
    pub at: Timestamp,
    pub instance: InstanceId,
    /// `sample#memory_total`.
    pub total: Megabytes,
    /// `sample#memory_quota`.
    pub quota: Megabytes,
    /// `sample#memory_swap`.
    pub swap: Option<Megabytes>,
}

impl MemoryTrend {
    /// Takes a sample of the newest instance. If memory has been above the bound for long enough, returns the
    /// number of samples and the time of the first.
    pub fn sample(
        &mut self,
        sample: &Sample,
        bound: MemoryBound,
        lasting: Duration,
    ) -> Option<(u32, Timestamp)> {
        if !exceeds(sample, bound) {
            // A sample overtaken by later ones does not undo what they said.
            if self.above.is_some_and(|above| sample.at >= above.last) {
                self.above = None;
            }
            return None;
        }
        let above = match self.above {
            Some(above) if since(above.last, sample.at) <= SAMPLE_GAP_MAX => Above {
                since: above.since.min(sample.at),
                last: above.last.max(sample.at),
                samples: above.samples.saturating_add(1),
            },
            _ => Above { since: sample.at, last: sample.at, samples: 1 },
        };
        self.above = Some(above);
        (since(above.since, above.last) >= lasting).then_some((above.samples, above.since))
    }

    /// Starts over: another instance began.
    pub fn clear(&mut self) {
        self.above = None;
    }

    /// Starts over if what it has seen is of an earlier process.
    pub fn forget_before(&mut self, began: Timestamp) {
        if self.above.is_some_and(|above| above.since < began) {
            self.above = None;
        }
    }
}

/// Samples come about every 20 s (heroku.md §3). After four missing ones, the time between is unknown.
const SAMPLE_GAP_MAX: Duration = Duration::from_secs(90);

fn exceeds(sample: &Sample, bound: MemoryBound) -> bool {
    match bound {
        MemoryBound::Size(size) => sample.total > size,
        MemoryBound::OfQuota { permille } => {
            u128::from(sample.total.hundredths) * 1000
                > u128::from(sample.quota.hundredths) * u128::from(permille)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{Generation, Hits, Instances, MemoryTrend, Sample};
    use crate::event::Megabytes;
    use crate::policy::MemoryBound;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_750_000_000 + secs).expect("a time")
    }

    #[track_caller]
    fn fires(count: u32, within_secs: u64, secs: &[i64], expect: &[bool]) {
        let (mut hits, count) = (Hits::default(), NonZeroU32::new(count).expect("a count"));
        let fired: Vec<bool> = secs
            .iter()
            .map(|s| hits.count(at(*s), count, Duration::from_secs(within_secs)).is_some())
            .collect();
        assert_eq!(fired, expect, "{secs:?}");
    }

    #[test]
    fn errors_count_by_the_time_in_their_lines() {
        fires(1, 300, &[0, 0, 5], &[true, true, true]);
        fires(3, 90, &[0, 21, 42], &[false, false, true]);
        fires(3, 90, &[42, 0, 21], &[false, false, true]);
        fires(3, 90, &[0, 0, 0, 21, 21], &[false; 5]);
        fires(2, 20, &[0, 21, 42, 50], &[false, false, false, true]);
        // A late, old line neither fires nor pushes a newer one out.
        fires(2, 20, &[100, 0, 110], &[false, false, true]);
    }

    fn trend(samples: &[(i64, &str, u64)]) -> Vec<bool> {
        let (mut trend, mut instances) = (MemoryTrend::default(), Instances::default());
        let bound = MemoryBound::OfQuota { permille: 950 };
        samples
            .iter()
            .map(|(secs, instance, total)| {
                let sample = Sample {
                    at: at(*secs),
                    instance: instance.parse().expect("an id"),
                    total: Megabytes { hundredths: total * 100 },
                    quota: Megabytes { hundredths: 51_200 },
                    swap: None,
                };
                match instances.note(sample.instance) {
                    Generation::Previous => return false,
                    Generation::New => trend.clear(),
                    Generation::Newest => {}
                }
                trend.sample(&sample, bound, Duration::from_secs(60)).is_some()
            })
            .collect()
    }

    #[test]
    fn memory_must_stay_above_the_bound_for_the_whole_span() {
        assert_eq!(
            trend(&[(0, "a", 500), (20, "a", 500), (40, "a", 500), (60, "a", 500)]),
            [false, false, false, true]
        );
        assert_eq!(trend(&[(0, "a", 500), (20, "a", 400), (40, "a", 500), (80, "a", 500)]), [false; 4]);
        // 95 % of 512 MB is 486.4 MB.
        assert_eq!(trend(&[(0, "a", 486), (60, "a", 486)]), [false; 2]);
        assert_eq!(trend(&[(0, "a", 487), (60, "a", 487)]), [false, true]);
    }

    #[test]
    fn a_gap_in_the_samples_resets_the_span() {
        assert_eq!(trend(&[(0, "a", 500), (91, "a", 500), (151, "a", 500)]), [false, false, true]);
    }

    #[test]
    fn samples_of_the_old_preboot_dyno_never_count() {
        let samples =
            [(0, "old", 500), (20, "new", 300), (40, "old", 500), (60, "old", 500), (80, "old", 500)];
        assert_eq!(trend(&samples), [false; 5]);
    }
}
