//! Whether memory grows with requests or with time: the pace that is more alike from life to life is the one
//! that a life has in other hours as well.

use crate::days::growth;
use crate::days::life::Life;
use crate::what_if::slots::{self, SLOTS_PER_HOUR, Track};

/// How much memory grew in a slot, and with a request.
#[derive(Clone, Copy, Debug)]
struct Pace {
    by_time: f64,
    by_requests: f64,
}

/// Equal spans of a life, whose lowest readings are compared.
const SPANS: i64 = 8;

/// Lives without which chance decides. Then memory is read by requests, because every process warms up with
/// them.
const LIVES_LEAST: usize = 4;

/// Whether memory is to be read by requests; otherwise by age.
pub(super) fn follows_requests<'l>(lives: impl Iterator<Item = (&'l Life, &'l Track)>) -> bool {
    let whole = lives.filter(|(life, _)| life.is_start_known && !life.is_muddled);
    let paces: Vec<Pace> = whole.filter_map(|(life, track)| pace(life, track)).collect();
    if paces.len() < LIVES_LEAST {
        return true;
    }
    match (spread(&paces, |pace| pace.by_requests), spread(&paces, |pace| pace.by_time)) {
        (Some(by_requests), Some(by_time)) => by_requests <= by_time,
        _ => true,
    }
}

/// The median distance from the median, as a part of it.
fn spread(paces: &[Pace], of: impl Fn(&Pace) -> f64) -> Option<f64> {
    let mut values: Vec<f64> = paces.iter().map(of).collect();
    let middle = growth::median(&mut values)?;
    let mut distances: Vec<f64> = values.iter().map(|value| (value - middle).abs() / middle).collect();
    growth::median(&mut distances)
}

/// The pace of a life; none if it is short, or did not grow.
fn pace(life: &Life, track: &Track) -> Option<Pace> {
    let (from, until) = (slots::slot_of(life.start), slots::slot_of(life.end));
    let width = (until - from) / SPANS;
    if width < SLOTS_PER_HOUR / SPANS {
        return None;
    }
    let floor = |span: i64| {
        let slots = from + span * width..from + (span + 1) * width;
        slots.filter_map(|slot| track.slot(slot).0).reduce(f32::min).map(f64::from)
    };
    // The first span shows how the process warms up.
    let rise = floor(SPANS - 1)? - floor(1)?;
    let between = from + width * 3 / 2..from + SPANS * width - width / 2;
    let slots = (between.end - between.start) as f64;
    let requests: f64 = between.map(|slot| f64::from(track.slot(slot).1)).sum();
    let grew = rise > 0.0 && requests > 0.0;
    grew.then(|| Pace { by_time: rise / slots, by_requests: rise / requests })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::follows_requests;
    use crate::days::life::{Ended, Excess, Life};
    use crate::time::later;
    use crate::what_if::slots::Track;

    /// Lives of six hours, of which every other one has three times the requests; `grow` is the memory after
    /// so many slots and requests.
    fn lives(count: u64, grow: impl Fn(f32, f32) -> f32) -> (Track, Vec<Life>) {
        let start = Timestamp::from_second(1_767_225_600).expect("a time");
        let mut track = Track::default();
        let mut lives = Vec::new();
        for life in 0..count {
            let at = |slot: u64| later(start, Duration::from_secs((life * 1080 + slot) * 20));
            let each = 1 + 2 * (life % 2);
            for slot in 0..1080 {
                track.memory(grow(slot as f32, (slot * each) as f32), at(slot));
                (0..each).for_each(|_| track.request(at(slot)));
            }
            lives.push(Life {
                dyno: "web.1".parse().expect("a dyno"),
                start: at(0),
                is_start_known: true,
                end: at(1079),
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
            });
        }
        (track, lives)
    }

    #[test]
    fn memory_is_read_by_what_it_grows_with() {
        let check = |count, grow: fn(f32, f32) -> f32, expect| {
            let (track, lives) = lives(count, grow);
            assert_eq!(follows_requests(lives.iter().map(|life| (life, &track))), expect, "{count}");
        };
        check(8, |slots, _| 0.2 + slots / 2000.0, false);
        check(8, |_, requests| 0.2 + requests / 6000.0, true);
        // Too few, or no growth at all.
        check(3, |slots, _| 0.2 + slots / 2000.0, true);
        check(8, |_, _| 0.2, true);
    }
}
