//! The hours of the day with the fewest requests.
//!
//! Requests are counted by the hour of the day, each day counting four fifths of the one after it. Only time
//! in which lines arrived counts: a drain that was silent says nothing about the traffic. So the quiet hours
//! are known when every hour of the day was heard, which takes a day.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use crate::calendar::{QUIET_HOURS, QuietHours};
use crate::days::step::{self, STEPS_PER_DAY, STEPS_PER_HOUR};

/// Requests by the hour of the day.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Requests a step that was heard, by hour; none for an hour that was not heard.
    pub rates: [Option<f64>; 24],
}

/// The weight of a day by that of the next.
const FORGETTING: f64 = 0.8;

/// A silence of more steps than this is not heard: nothing is known of the time in it.
const GAP_STEPS: i64 = STEPS_PER_HOUR;

/// Steps of an hour that must have been heard.
const HEARD_STEPS_LEAST: i64 = STEPS_PER_HOUR / 2;

// === impl Histogram ===

impl Histogram {
    /// Counts `requests`, given by steps, in the time that was heard, given by the steps with lines.
    pub fn new(
        requests: impl IntoIterator<Item = (i64, u32)>,
        heard: &BTreeSet<i64>,
        zone: &TimeZone,
    ) -> Self {
        let last = heard.last().copied().unwrap_or_default();
        let weight = |step: i64| FORGETTING.powf((last - step).max(0) as f64 / STEPS_PER_DAY as f64);
        let mut hours = HourOf::new(zone);
        let (mut counted, mut weights, mut steps) = ([0.0; 24], [0.0; 24], [0_i64; 24]);
        for step in covered(heard) {
            let hour = hours.of(step);
            weights[hour] += weight(step);
            steps[hour] += 1;
        }
        for (step, requests) in requests {
            counted[hours.of(step)] += f64::from(requests) * weight(step);
        }
        let rate = |hour: usize| (steps[hour] >= HEARD_STEPS_LEAST).then(|| counted[hour] / weights[hour]);
        Self { rates: std::array::from_fn(rate) }
    }

    /// The quiet hours; none if an hour of the day was never heard, or if there were no requests at all.
    pub fn quiet_hours(&self, zone: &TimeZone) -> Option<QuietHours> {
        let rates: Vec<f64> = self.rates.iter().copied().collect::<Option<_>>()?;
        if rates.iter().all(|rate| *rate == 0.0) {
            return None;
        }
        let sum =
            |from: u8| -> f64 { (0..QUIET_HOURS).map(|hour| rates[usize::from((from + hour) % 24)]).sum() };
        let from = (0..24).min_by(|left, right| sum(*left).total_cmp(&sum(*right)))?;
        Some(QuietHours { from, zone: zone.clone() })
    }
}

/// The steps from the first to the last line, without the silences between them.
pub fn covered(heard: &BTreeSet<i64>) -> impl Iterator<Item = i64> + '_ {
    let next = heard.iter().copied().skip(1).map(Some).chain([None]);
    heard.iter().copied().zip(next).flat_map(|(step, next)| {
        let end = next.filter(|next| next - step <= GAP_STEPS).unwrap_or(step + 1);
        step..end
    })
}

/// The hour of the day of a step. Zones move by whole quarters of an hour, and rarely, so the hour of the
/// last one is mostly the next one's too.
struct HourOf<'z> {
    zone: &'z TimeZone,
    known: Option<(i64, usize)>,
}

impl<'z> HourOf<'z> {
    fn new(zone: &'z TimeZone) -> Self {
        Self { zone, known: None }
    }

    fn of(&mut self, step: i64) -> usize {
        let quarter = step.div_euclid(3);
        match self.known {
            Some((known, hour)) if known == quarter => hour,
            _ => {
                let hour = self.zone.to_datetime(step::start_of(quarter * 3)).hour();
                let hour = usize::try_from(hour).unwrap_or_default() % 24;
                self.known = Some((quarter, hour));
                hour
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::tz::TimeZone;

    use super::{Histogram, covered};
    use crate::calendar;
    use crate::days::step::STEPS_PER_DAY;

    /// A step of 2026-01-01T00:00:00Z, a multiple of a day.
    const DAY: i64 = 1_767_225_600 / 300;

    fn busy(step: i64) -> u32 {
        let hour = step.rem_euclid(STEPS_PER_DAY) / 12;
        if (3..6).contains(&hour) { 5 } else { 100 }
    }

    fn quiet_from(steps: impl Iterator<Item = i64> + Clone, requests: impl Fn(i64) -> u32) -> Option<u8> {
        let heard: BTreeSet<i64> = steps.clone().collect();
        let counted = steps.map(|step| (step, requests(step)));
        Histogram::new(counted, &heard, &TimeZone::UTC).quiet_hours(&TimeZone::UTC).map(|hours| hours.from)
    }

    #[test]
    fn the_quietest_hours_are_found_after_a_day() {
        let day = DAY + 77..DAY + 77 + STEPS_PER_DAY;
        assert_eq!(quiet_from(day.clone(), busy), Some(3));
        assert_eq!(quiet_from(day.start..day.end - 24, busy), None);
        assert_eq!(quiet_from(day, |_| 0), None);
    }

    #[test]
    fn silence_is_not_quiet() {
        let night = |step: i64| (0..36).contains(&(step.rem_euclid(STEPS_PER_DAY) - 12));
        let three_days = DAY..DAY + 3 * STEPS_PER_DAY;
        assert_eq!(quiet_from(three_days.clone().filter(move |step| !night(*step)), busy), None);
        // One silent night among others leaves them known.
        let one_night = three_days.filter(move |step| !(night(*step) && *step > DAY + 2 * STEPS_PER_DAY));
        assert_eq!(quiet_from(one_night, busy), Some(3));
    }

    #[test]
    fn a_few_lines_an_hour_are_enough() {
        let sparse = (DAY..DAY + 2 * STEPS_PER_DAY).step_by(6);
        assert_eq!(quiet_from(sparse, busy), Some(3));
        let heard: BTreeSet<i64> = [1, 3, 40, 41].into();
        assert_eq!(covered(&heard).collect::<Vec<_>>(), [1, 2, 3, 40, 41]);
    }

    #[test]
    fn a_new_pattern_takes_the_place_of_the_old_one() {
        let moved = |step: i64| if step < DAY + 5 * STEPS_PER_DAY { busy(step) } else { busy(step + 60) };
        assert_eq!(quiet_from(DAY..DAY + 12 * STEPS_PER_DAY, moved), Some(22));
    }

    #[test]
    fn hours_are_those_of_the_zone() {
        let zone = calendar::zone("America/New_York").expect("a zone");
        let heard: BTreeSet<i64> = (DAY..DAY + STEPS_PER_DAY).collect();
        let counted = heard.iter().map(|step| (*step, busy(*step)));
        let hours = Histogram::new(counted, &heard, &zone).quiet_hours(&zone).expect("quiet hours");
        assert_eq!((hours.from, hours.to()), (22, 1));
    }
}
