//! How fast memory grew over a stretch of a life.
//!
//! The floors of up to 32 equal spans are used, not the means: a heap that is collected now and then is a
//! saw, and its floor shows what stays. The slope is the median of the slopes between all pairs of floors
//! (Theil and Sen), which a few wrong readings do not move. It is taken over the second half, because every
//! process grows while it warms up, and both by time and by requests: a leak in requests is slow at night,
//! and what settles with traffic does not grow with either. The slower one counts.

use crate::days::step::STEPS_PER_DAY;

/// Memory in one step of a life, in tenths of a megabyte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    pub step: i64,
    pub low: u32,
    pub mean: u32,
    pub high: u32,
    pub requests: u32,
}

/// The growth of the second half of a stretch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// The slower of the slopes by time and by requests, in tenths of a megabyte a day.
    pub per_day: f64,
    /// The floor of the last span.
    pub floor: f64,
    /// From the floor to the highest reading of a span, as a rule: the height of the saw.
    pub swing: f64,
    /// From the start of the stretch to its last span, in days.
    pub days: f64,
    /// The slope of the last quarter by time, in tenths of a megabyte a day.
    pub last_per_day: f64,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    /// The middle, in days after the first point.
    days: f64,
    /// Requests until the middle.
    requests: f64,
    floor: f64,
    top: f64,
}

/// Spans of a stretch, at most.
const SPANS: i64 = 32;

/// The first half hour of a process, which shows how it boots.
pub(super) const BOOT_STEPS: i64 = 6;

/// Requests without which growth by requests means nothing.
const REQUESTS_LEAST: f64 = 200.0;

/// Measures the growth over `points`, which are in order; none if there are too few.
pub fn measure(points: &[Point]) -> Option<Growth> {
    let first = points.first()?.step;
    let is_long = points.last()?.step - first >= 4 * BOOT_STEPS;
    let points = match points.iter().position(|point| point.step - first >= BOOT_STEPS) {
        Some(place) if is_long => &points[place..],
        _ => points,
    };
    let boot_days = (points.first()?.step - first) as f64 / STEPS_PER_DAY as f64;
    let spans = spans(points)?;
    let days = spans.last()?.days;
    let half = spans.iter().position(|span| span.days >= days / 2.0)?;
    let second = &spans[half..];
    let by_time = slope(second, |span| span.days)?;
    let requests = spans.last()?.requests;
    let by_requests = slope(second, |span| span.requests).filter(|_| requests >= REQUESTS_LEAST);
    let by_requests = by_requests.map(|by_request| by_request * requests / days);
    let quarter = spans.iter().position(|span| span.days >= days * 0.75)?;
    let last_per_day = slope(&spans[quarter.min(spans.len() - 2)..], |span| span.days).unwrap_or(by_time);
    let mut swings: Vec<f64> = second.iter().map(|span| span.top - span.floor).collect();
    Some(Growth {
        per_day: by_requests.map_or(by_time, |by_requests| by_requests.min(by_time)),
        floor: second.last()?.floor,
        swing: median(&mut swings)?,
        days: days + boot_days,
        last_per_day,
    })
}

fn spans(points: &[Point]) -> Option<Vec<Span>> {
    let (first, last) = (points.first()?.step, points.last()?.step);
    let width = ((last - first) / SPANS).max(0) + 1;
    let mut spans: Vec<Span> = Vec::new();
    let (mut current, mut requests) = (None, 0.0);
    for point in points {
        let number = (point.step - first) / width;
        requests += f64::from(point.requests);
        let (floor, top) = (f64::from(point.low), f64::from(point.high));
        match spans.last_mut() {
            Some(span) if current == Some(number) => {
                span.floor = span.floor.min(floor);
                span.top = span.top.max(top);
            }
            _ => {
                current = Some(number);
                let middle = (number as f64 + 0.5) * width as f64;
                let days = middle / STEPS_PER_DAY as f64;
                spans.push(Span { days, requests, floor, top });
            }
        }
    }
    (spans.len() >= 3).then_some(spans)
}

fn slope(spans: &[Span], by: impl Fn(&Span) -> f64) -> Option<f64> {
    median_slope(&spans.iter().map(|span| (by(span), span.floor)).collect::<Vec<_>>())
}

/// The median slope between all pairs of points.
pub(crate) fn median_slope(points: &[(f64, f64)]) -> Option<f64> {
    let mut slopes = Vec::new();
    for (place, left) in points.iter().enumerate() {
        for right in &points[place + 1..] {
            let run = right.0 - left.0;
            if run > 0.0 {
                slopes.push((right.1 - left.1) / run);
            }
        }
    }
    median(&mut slopes)
}

/// The middle value; of an even number, the mean of the middle two.
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length.is_multiple_of(2) => Some(f64::midpoint(values[middle - 1], values[middle])),
        _ => Some(values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::{Point, measure, median};

    fn points(hours: i64, memory: impl Fn(i64) -> f64, requests: impl Fn(i64) -> u32) -> Vec<Point> {
        let point = |step| {
            let low = memory(step) as u32;
            Point { step, low, mean: low + 20, high: low + 50, requests: requests(step) }
        };
        (0..hours * 12).map(point).collect()
    }

    #[test]
    fn steady_growth_is_measured() {
        // 240 tenths a day.
        let growth = measure(&points(24, |step| 3000.0 + step as f64 / 1.2, |_| 100)).expect("growth");
        assert!((growth.per_day - 240.0).abs() < 15.0, "{growth:?}");
        assert!((growth.swing - 55.0).abs() < 10.0, "{growth:?}");
    }

    #[test]
    fn warming_up_is_no_growth_of_the_second_half() {
        let warm = |step: i64| 3000.0 + 900.0 * (1.0 - (-(step as f64) / 20.0).exp());
        let growth = measure(&points(24, warm, |_| 100)).expect("growth");
        assert!(growth.per_day.abs() < 5.0, "{growth:?}");
    }

    #[test]
    fn wrong_readings_do_not_move_it() {
        let jumps = |step: i64| if step % 40 == 0 { 9.0 } else { 3000.0 };
        let growth = measure(&points(24, jumps, |_| 0)).expect("growth");
        assert!(growth.per_day.abs() < 5.0, "{growth:?}");
    }

    #[test]
    fn few_points_say_nothing() {
        assert_eq!(measure(&[]), None);
        assert_eq!(measure(&points(1, |_| 3000.0, |_| 0)[..2]), None);
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0, 1.0, 2.0, 10.0]), Some(2.5));
    }
}
