//! A life that is being read: its readings, its time above the quota, and what follows from both.

use jiff::Timestamp;

use crate::codes::Code;
use crate::days::growth::{self, Point};
use crate::days::life::{Ended, Excess, Life};
use crate::days::step::{self, STEP_SECONDS, STEPS_PER_DAY, Step};
use crate::ident::DynoName;
use crate::time::since;

/// A life that is being read.
pub(super) struct Draft {
    pub(super) start: Timestamp,
    pub(super) is_start_known: bool,
    pub(super) began_by_instance: bool,
    pub(super) up_at: Option<Timestamp>,
    pub(super) last: i64,
    pub(super) quota: u32,
    pub(super) points: Vec<Point>,
    pub(super) breached_at: Option<Timestamp>,
    pub(super) spells: Vec<Spell>,
    /// The sign that its end is near.
    pub(super) leaving: Option<(Ended, Timestamp)>,
    pub(super) errors: Vec<(Code, Timestamp)>,
    pub(super) is_muddled: bool,
}

/// Steps in a row with readings above the quota.
#[derive(Clone, Copy)]
pub(super) struct Spell {
    first: i64,
    last: i64,
    lines: u32,
}

/// Readings above the quota that are a breach without an error of the platform.
const OVER_LEAST: u32 = 3;

/// Steps with excess in a row that are still a spike: together less than five minutes, which lie in two.
const SPIKE_STEPS: i64 = 2;

/// Lines about the quota in five minutes: R14 and a sample, each about every 20 s.
const SPIKE_LINES: u32 = 30;

// === impl Draft ===

impl Draft {
    pub(super) fn new(start: Timestamp, is_start_known: bool) -> Self {
        Self {
            start,
            is_start_known,
            began_by_instance: false,
            up_at: None,
            last: step::step_of(start),
            quota: 0,
            points: Vec::new(),
            breached_at: None,
            spells: Vec::new(),
            leaving: None,
            errors: Vec::new(),
            is_muddled: false,
        }
    }

    /// Adds a step, after its marks.
    pub(super) fn read(&mut self, index: i64, step: &Step) {
        self.last = index;
        if self.quota == 0 {
            self.quota = step.quota;
        }
        if let Some(mean) = step.memory_mean().filter(|_| !step.is_mixed()) {
            self.points.push(Point {
                step: index,
                low: step.memory_low,
                mean,
                high: step.memory_high,
                requests: step.requests,
            });
        }
    }

    /// Notes lines that show it above its quota.
    pub(super) fn above(&mut self, index: i64, lines: u32) {
        self.last = index;
        match self.spells.last_mut() {
            Some(spell) if spell.last + 1 >= index => {
                spell.last = index;
                spell.lines = spell.lines.saturating_add(lines);
            }
            _ => self.spells.push(Spell { first: index, last: index, lines }),
        }
        if self.spells.last().is_some_and(|spell| spell.lines >= OVER_LEAST) {
            self.breached_at.get_or_insert_with(|| step::start_of(index).max(self.start));
        }
    }

    /// The end of the last step with a line.
    pub(super) fn last_line(&self) -> Timestamp {
        step::start_of(self.last + 1).max(self.start)
    }

    pub(super) fn into_life(self, dyno: DynoName, ended: Ended, end: Timestamp, release: u64) -> Life {
        let excess = self.excess();
        let breach = self.breached_at.filter(|_| matches!(excess, Excess::Rising | Excess::Flat));
        let until = breach.map_or(i64::MAX, step::step_of);
        let before: Vec<Point> = self.points.iter().copied().filter(|point| point.step <= until).collect();
        Life {
            dyno,
            start: self.start,
            is_start_known: self.is_start_known,
            end: end.max(self.start),
            ended,
            release,
            quota: self.quota,
            breached_at: self.breached_at,
            excess,
            highest: self.points.iter().map(|point| point.high).max().unwrap_or(0),
            last_reading: self.points.last().map(|point| point.high),
            growth: growth::measure(&before),
            is_muddled: self.is_muddled,
            helped: None,
        }
    }

    fn excess(&self) -> Excess {
        let (Some(last), Some(breached_at)) = (self.spells.last(), self.breached_at) else {
            return Excess::None;
        };
        let is_short = |spell: &Spell| spell.last - spell.first < SPIKE_STEPS && spell.lines < SPIKE_LINES;
        let is_to_the_end = last.last + 1 >= self.last;
        if !is_to_the_end {
            return if self.spells.iter().all(is_short) { Excess::Spikes } else { Excess::Passing };
        }
        let earlier = &self.spells[..self.spells.len() - 1];
        if is_short(last) && !earlier.is_empty() && earlier.iter().all(is_short) {
            return Excess::Spikes;
        }
        if self.is_flat(last, breached_at) { Excess::Flat } else { Excess::Rising }
    }

    /// Whether memory stays at one level above the quota. A leak shows no growth in minutes, so the time
    /// above must be a good part of the time below.
    fn is_flat(&self, spell: &Spell, breached_at: Timestamp) -> bool {
        let above: Vec<&Point> = self.points.iter().filter(|point| point.step >= spell.first).collect();
        let steps = spell.last - spell.first + 1;
        let below = since(self.start, breached_at).as_secs() as i64 / STEP_SECONDS;
        if above.len() < 2 || steps < FLAT_STEPS.max(below / 4) || self.quota == 0 {
            return false;
        }
        let third = (above.len() / 3).max(1);
        let mean = |points: &[&Point]| {
            points.iter().map(|point| f64::from(point.mean)).sum::<f64>() / points.len() as f64
        };
        let rise = mean(&above[above.len() - third..]) - mean(&above[..third]);
        let share = rise / f64::from(self.quota);
        let days = steps as f64 / STEPS_PER_DAY as f64;
        share <= FLAT_RISE || share / days < FLAT_RISE_A_DAY
    }
}

/// The shortest time above the quota that shows a level: ten minutes.
const FLAT_STEPS: i64 = 2;

/// A rise that a level may have, as a share of the quota: noise …
const FLAT_RISE: f64 = 0.01;

/// … or slower than any leak that matters.
const FLAT_RISE_A_DAY: f64 = 0.1;
