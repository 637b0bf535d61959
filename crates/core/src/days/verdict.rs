//! What the last lives of a process type say about its memory.

use serde::{Deserialize, Serialize};

use crate::days::growth;
use crate::days::life::{Ended, Excess, Life};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Leaks,
    /// It reaches a level above the quota, where no restart helps.
    LevelsOutAbove,
    LevelsOutBelow,
    /// Above the quota for minutes at a time only.
    Spikes,
    Unknown,
}

/// A verdict, with what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub verdict: Verdict,
    /// What is missing, if it is unknown.
    pub unknown_because: Option<String>,
    /// The release with which growth changed.
    pub since_release: Option<u64>,
    /// As a share of the quota a day.
    pub growth_per_day: Option<f64>,
}

/// Lives that a verdict rests on.
pub const LIVES: usize = 8;

/// Hours of lines before which nothing is said: a process warms up for half a day.
pub const HOURS_LEAST: f64 = 12.0;

/// Growth of the second half that is a leak, as a share of the quota a day.
const LEAK: f64 = 0.2;

/// The length of a life that shows such growth.
const LEAK_HOURS: f64 = 12.0;

/// Growth below which memory has levelled out.
const LEVEL: f64 = 0.1;

/// The length of a life that shows a level.
const LEVEL_HOURS: f64 = 6.0;

/// One life is enough for a level below the quota if it is as long as a day between two restarts.
const ALONE_HOURS: f64 = 23.0;

/// Readings that jump by more than this share of the quota, as a rule, are no memory of one process.
const JUMP: f64 = 0.5;

/// Judges the lives of a process type, ordered by their ends, with `hours` of lines.
pub fn judge(lives: &[Life], hours: f64) -> Judgement {
    let recent = &lives[lives.len().saturating_sub(LIVES)..];
    let since_release = since_release(lives);
    let (verdict, unknown_because) = verdict(recent, hours);
    let growth_per_day = (hours >= HOURS_LEAST).then(|| typical_growth(recent, verdict)).flatten();
    Judgement { verdict, unknown_because, since_release, growth_per_day }
}

/// What one life says; none if it says nothing.
pub fn of_life(life: &Life) -> Option<Verdict> {
    if life.is_muddled || jumps(life) {
        return None;
    }
    let growth = life.growth_per_day();
    match life.excess {
        Excess::Flat => return Some(Verdict::LevelsOutAbove),
        // The teeth of a heap that is collected go over the quota before its floor does.
        Excess::Spikes if growth.is_none_or(|growth| growth < LEAK) => return Some(Verdict::Spikes),
        Excess::Spikes => return Some(Verdict::Leaks),
        Excess::Rising if is_growing_breach(life) => return Some(Verdict::Leaks),
        Excess::None | Excess::Passing | Excess::Rising => {}
    }
    let growth = growth.filter(|_| life.hours() >= LEVEL_HOURS)?;
    if growth >= LEAK {
        return (life.hours() >= LEAK_HOURS).then_some(Verdict::Leaks);
    }
    (growth < LEVEL || life.hours() >= LEAK_HOURS).then_some(Verdict::LevelsOutBelow)
}

/// Whether the readings of a life below its quota jump up and down.
fn jumps(life: &Life) -> bool {
    let swing = life.growth.map_or(0.0, |growth| growth.swing);
    life.excess == Excess::None && swing > JUMP * f64::from(life.quota)
}

/// Whether a life went over its quota while it was still growing.
fn is_growing_breach(life: &Life) -> bool {
    match life.growth_per_day() {
        Some(growth) => growth >= if life.hours() >= 2.0 * LEAK_HOURS { LEVEL } else { LEAK },
        // Without samples below the quota, an hour below it shows that it grew into it.
        None => {
            let below = life.breached_at.map(|at| crate::time::since(life.start, at));
            life.is_start_known && below.is_some_and(|below| below.as_secs() >= 3600)
        }
    }
}

fn verdict(lives: &[Life], hours: f64) -> (Verdict, Option<String>) {
    let unknown = |because: String| (Verdict::Unknown, Some(because));
    if hours < HOURS_LEAST {
        return unknown(format!("{hours:.1} h of lines, and {HOURS_LEAST:.0} h are needed"));
    }
    let judged: Vec<(Verdict, f64)> =
        lives.iter().filter_map(|life| Some((of_life(life)?, life.hours()))).collect();
    let last = &judged[judged.len().saturating_sub(3)..];
    for verdict in [Verdict::Leaks, Verdict::LevelsOutAbove, Verdict::Spikes, Verdict::LevelsOutBelow] {
        if last.iter().filter(|(of_life, _)| *of_life == verdict).count() >= 2 {
            return (verdict, None);
        }
    }
    match last {
        [] if lives.iter().all(|life| life.last_reading.is_none()) => {
            unknown("no memory readings; `heroku labs:enable log-runtime-metrics` adds them".to_owned())
        }
        [] if lives.iter().any(jumps) => {
            unknown("memory readings jump by more than half of the quota".to_owned())
        }
        [] => unknown("no life was long enough to judge".to_owned()),
        [(Verdict::LevelsOutBelow, hours)] if *hours >= ALONE_HOURS => (Verdict::LevelsOutBelow, None),
        [_] => unknown("1 life can be judged, and 2 are needed".to_owned()),
        _ => unknown("the last lives differ from each other".to_owned()),
    }
}

/// The growth of the lives that the verdict rests on, or of all that can be measured.
fn typical_growth(lives: &[Life], verdict: Verdict) -> Option<f64> {
    let of = |is_wanted: &dyn Fn(&Life) -> bool| {
        let growths = lives.iter().filter(|life| is_wanted(life)).filter_map(Life::growth_per_day);
        growth::median(&mut growths.collect::<Vec<_>>())
    };
    of(&|life| of_life(life) == Some(verdict)).or_else(|| of(&|life| life.hours() >= 1.0 && !jumps(life)))
}

/// Lives that are needed on either side of a release.
const SIDE: usize = 3;

/// The factor by which growth must change.
const FACTOR: f64 = 2.0;

/// A change of growth that is noise, as a share of the quota a day.
const CHANGE_LEAST: f64 = 0.1;

/// The last release with which growth changed.
fn since_release(lives: &[Life]) -> Option<u64> {
    let mut measured: Vec<(u64, f64)> = lives
        .iter()
        .filter(|life| life.release > 0 && (life.hours() >= 1.0 || life.ended != Ended::Open))
        .filter_map(|life| Some((life.release, life.growth_per_day()?)))
        .collect();
    measured.sort_by_key(|(release, _)| *release);
    let mut found = None;
    let mut from = 0;
    // The growth since the last change is compared with what follows, one change after the other.
    while let Some(place) = best_split(&measured[from..]) {
        from += place;
        found = Some(measured[from].0);
    }
    found
}

/// The place of the first life of the release with which growth changed most.
fn best_split(lives: &[(u64, f64)]) -> Option<usize> {
    let growth_of = |part: &[(u64, f64)]| {
        growth::median(&mut part.iter().map(|(_, growth)| *growth).collect::<Vec<_>>()).unwrap_or(0.0)
    };
    let splits = (SIDE..(lives.len() + 1).saturating_sub(SIDE))
        .filter(|place| lives[*place].0 != lives[place - 1].0)
        .filter_map(|place| {
            // Nearby lives only: the next change must not hide this one.
            let before = growth_of(&lives[place.saturating_sub(LIVES)..place]);
            let after = growth_of(&lives[place..lives.len().min(place + LIVES)]);
            let (low, high) = (before.min(after).max(0.0), before.max(after));
            let is_change = high >= FACTOR * low && high - low >= CHANGE_LEAST;
            let misfit = |part: &[(u64, f64)], level: f64| {
                part.iter().map(|(_, growth)| (growth - level).abs()).sum::<f64>()
            };
            is_change.then(|| {
                let near = place.saturating_sub(LIVES)..place;
                let far = place..lives.len().min(place + LIVES);
                let count = (near.len() + far.len()) as f64;
                (place, (misfit(&lives[near], before) + misfit(&lives[far], after)) / count)
            })
        });
    splits.min_by(|left, right| left.1.total_cmp(&right.1)).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{Verdict, judge};
    use crate::days::growth::Growth;
    use crate::days::life::{Ended, Excess, Life};
    use crate::time::later;

    /// A life of some hours that grows by a share of the quota a day.
    fn life(hours: u64, growth: f64, excess: Excess, release: u64) -> Life {
        let start = Timestamp::UNIX_EPOCH;
        let end = later(start, Duration::from_secs(hours * 3600));
        let per_day = growth * 5120.0;
        Life {
            dyno: "web.1".parse().expect("a dyno"),
            start,
            is_start_known: true,
            end,
            ended: Ended::Restart,
            release,
            quota: 5120,
            breached_at: (excess != Excess::None).then_some(end),
            excess,
            highest: 4100,
            last_reading: Some(4100),
            growth: Some(Growth {
                per_day,
                floor: 4000.0,
                swing: 50.0,
                days: hours as f64 / 24.0,
                last_per_day: per_day,
            }),
            is_muddled: false,
            helped: None,
        }
    }

    #[test]
    fn short_lives_are_not_a_lack_of_readings() {
        let short = Life { growth: None, ..life(0, 0.0, Excess::None, 1) };
        let blind = Life { last_reading: None, ..short.clone() };
        for (life, expect) in [(short, "no life was long enough"), (blind, "no memory readings")] {
            let because = judge(&[life], 30.0).unknown_because.expect("it is unknown");
            assert!(because.starts_with(expect), "{because}");
        }
    }

    #[track_caller]
    fn check(lives: &[Life], hours: f64, expect: Verdict) {
        let judged = judge(lives, hours);
        assert_eq!(judged.verdict, expect, "{judged:?}");
        assert_eq!(judged.unknown_because.is_some(), expect == Verdict::Unknown);
    }

    #[test]
    fn two_of_the_last_three_lives_decide() {
        let leak = life(20, 0.4, Excess::None, 0);
        let short_leak = life(3, 3.0, Excess::Rising, 0);
        let level = life(20, 0.02, Excess::None, 0);
        let above = life(1, 0.0, Excess::Flat, 0);
        let spikes = life(20, 0.02, Excess::Spikes, 0);
        let deploy = life(3, 3.0, Excess::None, 0);
        check(&[leak.clone(), level.clone(), leak.clone()], 48.0, Verdict::Leaks);
        check(&[short_leak.clone(), short_leak.clone()], 12.0, Verdict::Leaks);
        check(&[short_leak.clone(), short_leak.clone()], 11.9, Verdict::Unknown);
        check(&[leak.clone(), leak.clone(), level.clone(), level.clone()], 48.0, Verdict::LevelsOutBelow);
        check(&[leak.clone(), above.clone(), above.clone()], 48.0, Verdict::LevelsOutAbove);
        check(&[spikes.clone(), level.clone(), spikes.clone()], 48.0, Verdict::Spikes);
        check(&[leak.clone(), level.clone(), spikes], 48.0, Verdict::Unknown);
        check(&[deploy.clone(), deploy.clone(), deploy.clone()], 48.0, Verdict::Unknown);
        // A short life between two others says nothing.
        check(&[leak.clone(), deploy, leak.clone()], 48.0, Verdict::Leaks);
        check(&[leak], 48.0, Verdict::Unknown);
        check(&[level], 48.0, Verdict::Unknown);
        check(&[life(24, 0.02, Excess::None, 0)], 48.0, Verdict::LevelsOutBelow);
        check(&[], 48.0, Verdict::Unknown);
    }

    #[test]
    fn a_muddled_life_says_nothing() {
        let muddled = Life { is_muddled: true, ..life(20, 0.4, Excess::None, 0) };
        check(&[muddled.clone(), muddled.clone(), muddled], 48.0, Verdict::Unknown);
    }

    #[test]
    fn readings_that_jump_say_nothing() {
        let swing = |swing| {
            let level = life(20, 0.02, Excess::None, 0);
            Life { growth: level.growth.map(|growth| Growth { swing, ..growth }), ..level }
        };
        check(&[swing(2500.0), swing(2500.0)], 48.0, Verdict::LevelsOutBelow);
        check(&[swing(2600.0), swing(2600.0)], 48.0, Verdict::Unknown);
        assert_eq!(judge(&[swing(2600.0), swing(2600.0)], 48.0).growth_per_day, None);
    }

    fn since(lives: &[(u64, f64)]) -> Option<u64> {
        let lives: Vec<Life> =
            lives.iter().map(|(release, growth)| life(20, *growth, Excess::None, *release)).collect();
        judge(&lives, 100.0).since_release
    }

    #[test]
    fn a_release_is_named_with_three_lives_on_either_side() {
        let before = [(213, 0.2), (213, 0.22), (213, 0.18)];
        let after = [(214, 0.6), (214, 0.55), (214, 0.7)];
        assert_eq!(since(&[before, after].concat()), Some(214));
        assert_eq!(since(&[&before[..], &after[..2]].concat()), None);
        assert_eq!(since(&[&before[1..], &after[..]].concat()), None);
        assert_eq!(since(&[before, after.map(|(release, growth)| (release, growth / 2.0))].concat()), None);
        // A release without a change of its own does not take its place.
        let next = [(215, 0.58), (215, 0.61), (215, 0.6), (216, 0.62), (216, 0.6), (216, 0.6)];
        assert_eq!(since(&[&before[..], &after[..], &next[..]].concat()), Some(214));
        // The next change does.
        let fixed = [(217, 0.01), (217, 0.02), (217, 0.0)];
        assert_eq!(since(&[&before[..], &after[..], &next[..], &fixed[..]].concat()), Some(217));
        assert_eq!(since(&[(0, 0.2); 6]), None);
    }
}
