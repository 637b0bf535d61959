//! The growth of memory from half hour to half hour, with what may have caused it.
//!
//! The lowest reading of half an hour shows what stays when garbage has been collected. Its growth is set
//! against the requests between two such readings.

use crate::days::evidence::counts::{Counts, WINDOW_STEPS};
use crate::days::evidence::ledger::Ledger;
use crate::days::growth::BOOT_STEPS;
use crate::days::history::Steps;
use crate::days::life::Life;
use crate::days::step::{self, STEP_SECONDS};

/// From one floor to the next one of the same process.
#[derive(Clone, Debug, PartialEq)]
pub struct GrowthRow {
    /// The window of the first floor.
    pub window: i64,
    /// In megabytes.
    pub growth: f64,
    /// Requests by the number of their endpoint.
    pub requests: Vec<(u16, f64)>,
    pub hours: f64,
    /// Requests of the process until the first floor, and until the second.
    pub served: (f64, f64),
}

/// The lowest reading of a window.
#[derive(Clone, Copy, Debug)]
struct Floor {
    megabytes: f64,
    step: i64,
    /// Requests of the process until then.
    served: f64,
    /// The part of the window's requests that comes after it.
    share_after: f64,
    requests: f64,
}

/// Steps of a window that must have readings.
const READ_STEPS_LEAST: usize = 4;

/// The part of a window's requests that must be counted by endpoint.
const COUNTED_LEAST: f64 = 0.8;

/// The growth of a life.
pub fn rows(life: &Life, steps: &Steps, ledger: &Ledger) -> Vec<GrowthRow> {
    if life.is_muddled {
        return Vec::new();
    }
    let (start, end) = (step::step_of(life.start), step::step_of(life.end));
    let first = (start + BOOT_STEPS).div_euclid(WINDOW_STEPS) + 1;
    let last = end.div_euclid(WINDOW_STEPS);
    if last <= first {
        return Vec::new();
    }
    let mut served: f64 =
        steps.range(start..first * WINDOW_STEPS).map(|(_, step)| f64::from(step.requests)).sum();
    let mut rows = Vec::new();
    let mut before: Option<(i64, Floor)> = None;
    let mut next = first;
    // Only windows with lines: those of a wrong clock may be thousands of years apart.
    while let Some((step, _)) = steps.range(next * WINDOW_STEPS..last * WINDOW_STEPS).next() {
        let window = step.div_euclid(WINDOW_STEPS);
        next = window + 1;
        let floor = floor(steps, window, &mut served);
        if let (Some((known, before)), Some(floor)) = (before, floor)
            && known + 1 == window
        {
            rows.extend(row(window - 1, (before, floor), |window| ledger.counts(&life.dyno, window)));
        }
        before = floor.map(|floor| (window, floor));
    }
    rows
}

/// The floor of a window; none without enough readings.
fn floor(steps: &Steps, window: i64, served: &mut f64) -> Option<Floor> {
    let range = window * WINDOW_STEPS..(window + 1) * WINDOW_STEPS;
    let mut lowest: Option<(u32, i64, f64)> = None;
    let (mut read, mut requests) = (0, 0.0);
    for (index, step) in steps.range(range) {
        // The reading is somewhere within its five minutes.
        let half = f64::from(step.requests) / 2.0;
        requests += half;
        if step.samples > 0 {
            read += 1;
            if lowest.is_none_or(|(low, ..)| step.memory_low < low) {
                lowest = Some((step.memory_low, *index, requests));
            }
        }
        requests += half;
    }
    let until = *served;
    *served += requests;
    let (low, step, before) = lowest.filter(|_| read >= READ_STEPS_LEAST)?;
    let place = (step.rem_euclid(WINDOW_STEPS) as f64 + 0.5) / WINDOW_STEPS as f64;
    let share_after = if requests > 0.0 { 1.0 - before / requests } else { 1.0 - place };
    Some(Floor { megabytes: f64::from(low) / 10.0, step, served: until + before, share_after, requests })
}

fn row<'l>(
    window: i64,
    (first, second): (Floor, Floor),
    counts: impl Fn(i64) -> Option<&'l Counts>,
) -> Option<GrowthRow> {
    let mut requests: Vec<(u16, f64)> = Vec::new();
    for (window, share, of_floor) in
        [(window, first.share_after, first), (window + 1, 1.0 - second.share_after, second)]
    {
        let counts = counts(window).map_or(&[][..], Vec::as_slice);
        let counted: f64 = counts.iter().map(|(_, count)| f64::from(*count)).sum();
        if counted < COUNTED_LEAST * of_floor.requests {
            return None;
        }
        for (number, count) in counts {
            let count = f64::from(*count) * share;
            match requests.iter_mut().find(|(known, _)| known == number) {
                Some((_, sum)) => *sum += count,
                None => requests.push((*number, count)),
            }
        }
    }
    Some(GrowthRow {
        window,
        growth: second.megabytes - first.megabytes,
        requests,
        hours: (second.step - first.step) as f64 * STEP_SECONDS as f64 / 3600.0,
        served: (first.served, second.served),
    })
}

#[cfg(test)]
mod tests {
    use super::rows;
    use crate::days::evidence::counts::{Endpoint, WINDOW_STEPS, WindowCounts};
    use crate::days::evidence::ledger::Ledger;
    use crate::days::evidence::method::Method;
    use crate::days::history::Steps;
    use crate::days::life;
    use crate::days::step::{STEP_SECONDS, Step};
    use crate::ident::DynoName;

    const FIRST: i64 = 1_767_225_600 / (STEP_SECONDS * WINDOW_STEPS);

    fn web() -> DynoName {
        "web.1".parse().expect("a dyno")
    }

    /// Steps of some windows with 10 requests each, whose lowest readings are these, and the counts.
    fn scene(windows: i64, low: impl Fn(i64) -> Option<u32>) -> (Steps, Ledger) {
        let (mut steps, mut ledger) = (Steps::new(), Ledger::default());
        for index in FIRST * WINDOW_STEPS..(FIRST + windows) * WINDOW_STEPS {
            let low = low(index - FIRST * WINDOW_STEPS);
            let memory_low = low.unwrap_or_default();
            let samples = u32::from(low.is_some());
            let memory_sum = memory_low.into();
            let step = Step { memory_low, memory_sum, samples, quota: 5120, requests: 10, ..Step::default() };
            steps.insert(index, step);
        }
        for window in FIRST..FIRST + windows {
            let endpoints = vec![Endpoint { method: Method::Get, template: "/".into() }];
            ledger.add(&WindowCounts { window, endpoints, dynos: vec![(web(), vec![(1, 60)])] });
        }
        (steps, ledger)
    }

    fn of((steps, ledger): &(Steps, Ledger)) -> Vec<(i64, f64, f64)> {
        let lives = life::lives(&web(), steps, &[]);
        let rows = lives.iter().flat_map(|life| rows(life, steps, ledger));
        rows.map(|row| (row.window - FIRST, row.growth, row.requests[0].1.round())).collect()
    }

    #[test]
    fn growth_and_requests_are_those_between_two_floors() {
        // The floor is in the first step of even windows, and in the last one of odd ones.
        let low = |step: i64| {
            let window = step / WINDOW_STEPS;
            let place = if window % 2 == 0 { 0 } else { WINDOW_STEPS - 1 };
            Some(if step % WINDOW_STEPS == place { 1000 + window as u32 * 10 } else { 3000 })
        };
        let rows = of(&scene(7, low));
        // The first two have the boot.
        assert_eq!(rows, [(2, 1.0, 110.0), (3, 1.0, 10.0), (4, 1.0, 110.0), (5, 1.0, 10.0)]);
    }

    #[test]
    fn half_hours_without_readings_or_counts_have_no_growth() {
        let rows = |scene: &(Steps, Ledger)| of(scene).iter().map(|row| row.0).collect::<Vec<_>>();
        let missing = |step: i64| (step / WINDOW_STEPS != 4 || step % WINDOW_STEPS < 3).then_some(1000);
        assert_eq!(rows(&scene(9, missing)), [2, 5, 6, 7]);
        let (steps, _) = scene(9, |_| Some(1000));
        assert!(rows(&(steps.clone(), Ledger::default())).is_empty());
        // Half of the requests were counted.
        let (_, mut ledger) = scene(0, |_| None);
        for window in FIRST..FIRST + 9 {
            let count = if window == FIRST + 4 { 30 } else { 60 };
            ledger.add(&WindowCounts {
                window,
                endpoints: Vec::new(),
                dynos: vec![(web(), vec![(0, count)])],
            });
        }
        assert_eq!(rows(&(steps, ledger)), [2, 5, 6, 7]);
    }

    #[test]
    fn a_clock_that_is_years_off_takes_no_time() {
        let (mut steps, ledger) = scene(1, |_| None);
        steps.insert(FIRST * WINDOW_STEPS * 140, Step { requests: 1, ..Step::default() });
        let life = &life::lives(&web(), &steps, &[])[0];
        assert!(life.hours() > 24.0 * 365.0 * 7000.0, "{life:?}");
        // Window by window, this would take an hour.
        assert!((0..1000).all(|_| rows(life, &steps, &ledger).is_empty()));
    }

    #[test]
    fn a_process_that_just_began_has_none() {
        for windows in 0..3 {
            assert!(of(&scene(windows, |_| Some(1000))).is_empty());
        }
    }
}
