//! Lives: a dyno's steps, cut where its process was replaced.
//!
//! A process ends when the platform says so, or when a sample is of another process. Where the lines of a
//! dyno stop for more than an hour, or its quota changes, what happened is not known: such a life is `Lost`,
//! and the next one begins in the dark.

mod draft;

use std::time::Duration;

use jiff::Timestamp;

use crate::codes::Code;
use crate::days::growth::Growth;
use crate::days::history::{self, Release, Steps};
use crate::days::life::draft::Draft;
use crate::days::step::{self, Mark, MarkKind, STEPS_PER_HOUR, Step};
use crate::ident::DynoName;
use crate::limits;
use crate::time::since;

#[derive(Clone, Debug, PartialEq)]
pub struct Life {
    pub dyno: DynoName,
    pub start: Timestamp,
    /// Whether the start was seen; otherwise the process may be older.
    pub is_start_known: bool,
    /// The last line, for a life that goes on.
    pub end: Timestamp,
    pub ended: Ended,
    /// The release at its start; 0 if unknown.
    pub release: u64,
    /// In tenths of a megabyte; 0 if unknown.
    pub quota: u32,
    /// When it first was over its quota for more than a moment.
    pub breached_at: Option<Timestamp>,
    /// How it spent its time above the quota.
    pub excess: Excess,
    /// The highest reading, in tenths of a megabyte.
    pub highest: u32,
    /// The highest reading of its last step, in tenths of a megabyte.
    pub last_reading: Option<u32>,
    /// Until the breach, if there was one.
    pub growth: Option<Growth>,
    /// Whether the memory is of several processes under one name, or lies in another way.
    pub is_muddled: bool,
    /// Whether the restart that ended it helped; none if it cannot be told, or was no restart.
    pub helped: Option<bool>,
}

/// Why a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    Crash,
    /// The platform's daily restart.
    Cycle,
    /// Scaled away or put to sleep.
    Down,
    /// R15: the platform killed it.
    Kill,
    Lost,
    /// It goes on.
    Open,
    Release,
    /// By dynowarden, a person or another program.
    Restart,
}

/// The time above the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    None,
    /// It stayed above until its end, and grew on or was ended too soon to tell.
    Rising,
    /// It stayed above until its end at one level.
    Flat,
    /// Only for minutes at a time, and below again in between.
    Spikes,
    /// Above for longer, and below again at the end.
    Passing,
}

/// The lives of a dyno in order; the last one may be open.
pub fn lives(dyno: &DynoName, steps: &Steps, releases: &[Release]) -> Vec<Life> {
    let mut cutter = Cutter { dyno, releases, current: None, lives: Vec::new(), judging: None };
    for (&index, step) in steps {
        cutter.step(index, step);
    }
    if let Some(draft) = cutter.current.take() {
        let end = draft.last_line();
        cutter.finish(draft, Ended::Open, end);
    }
    cutter.lives
}

// === impl Life ===

impl Life {
    pub fn span(&self) -> Duration {
        since(self.start, self.end)
    }

    pub fn hours(&self) -> f64 {
        self.span().as_secs_f64() / 3600.0
    }

    /// The highest reading that it would have had at its start, had it grown all the time as in its second
    /// half, in tenths of a megabyte.
    pub fn level_at_start(&self) -> Option<f64> {
        let growth = self.growth.filter(|_| !self.is_muddled)?;
        Some(growth.floor + growth.swing - growth.per_day * growth.days)
    }

    /// The growth of its second half as a share of the quota a day.
    pub fn growth_per_day(&self) -> Option<f64> {
        let growth = self.growth.filter(|_| !self.is_muddled && self.quota > 0)?;
        Some(growth.per_day / f64::from(self.quota))
    }
}

/// A silence after which the process may be another one.
const GAP_STEPS: i64 = STEPS_PER_HOUR;

/// From a process's start to its first sample, at most; signs of one boot are not two.
const BOOT: Duration = Duration::from_secs(600);

/// From a release to the restart of the last dyno, which happens in turn.
const RELEASE_SPAN: Duration = Duration::from_secs(900);

/// A restart is judged by the errors of this long before it …
const ERRORS_BEFORE: Duration = Duration::from_secs(600);

/// … and whether they are back this soon after the new process is up.
const ERRORS_AFTER: Duration = Duration::from_secs(180);

struct Cutter<'h> {
    dyno: &'h DynoName,
    releases: &'h [Release],
    current: Option<Draft>,
    lives: Vec<Life>,
    /// The last restart, until it is known whether it helped.
    judging: Option<Judging>,
}

struct Judging {
    life: usize,
    errors: Vec<Code>,
    up_at: Option<Timestamp>,
}

// === impl Cutter ===

impl Cutter<'_> {
    fn step(&mut self, index: i64, step: &Step) {
        let start = step::start_of(index);
        if let Some(draft) = &self.current {
            let is_silent = index - draft.last > GAP_STEPS && !draft.points.is_empty();
            let has_moved = is_other_quota(draft.quota, step.quota);
            if is_silent || has_moved {
                self.end(Ended::Lost, if is_silent { draft.last_line() } else { start });
            }
        }
        let switches = step.marks().iter().filter(|mark| mark.kind == MarkKind::Instance).count();
        let excesses = step.marks().iter().filter(|mark| mark.kind.is_excess()).count() as u32;
        for mark in step.marks() {
            self.mark(index, mark, switches);
            if mark.kind.is_excess() {
                // Each process has the share of the lines that its marks have.
                self.draft(start).above(index, step.over.div_ceil(excesses));
            }
        }
        if step.marks().iter().all(|mark| matches!(mark.kind, MarkKind::Down | MarkKind::Crashed))
            && !step.marks().is_empty()
            && self.current.is_none()
        {
            return;
        }
        self.settle_judging(step::start_of(index + 1));
        let dyno_is_down = self.current.is_none() && self.lives.last().is_some_and(Life::is_gone);
        if dyno_is_down && step.samples == 0 && step.requests == 0 {
            return;
        }
        self.draft(start).read(index, step);
    }

    fn mark(&mut self, index: i64, mark: &Mark, switches: usize) {
        let at = history::mark_time(index, mark.second);
        match mark.kind {
            MarkKind::Crashed => self.end(Ended::Crash, at),
            MarkKind::Cycling => self.leaving(Ended::Cycle, at),
            MarkKind::Down => {
                let why = self.current.as_ref().and_then(|draft| draft.leaving);
                self.end(why.map_or(Ended::Down, |(ended, _)| ended), at);
            }
            MarkKind::Error(code) => self.error(code, at),
            MarkKind::Instance => self.instance(at, index, switches),
            MarkKind::Killed => self.leaving(Ended::Kill, at),
            MarkKind::Over | MarkKind::Release(_) => {}
            MarkKind::Restarting => self.leaving(Ended::Restart, at),
            MarkKind::Starting => self.starting(at),
            MarkKind::Up => {
                let draft = self.draft(at);
                draft.up_at.get_or_insert(at);
                if let Some(judging) = &mut self.judging {
                    judging.up_at.get_or_insert(at);
                }
            }
        }
    }

    fn leaving(&mut self, ended: Ended, at: Timestamp) {
        let draft = self.draft(at);
        // A dyno that the platform kills is killed once, and the lines around it say the rest.
        if draft.leaving.is_none_or(|(_, since)| crate::time::since(since, at) > BOOT) {
            draft.leaving = Some((ended, at));
        }
    }

    fn starting(&mut self, at: Timestamp) {
        if let Some(draft) = &self.current {
            let is_same_boot = draft.is_start_known
                && draft.up_at.is_none()
                && draft.leaving.is_none()
                && since(draft.start, at) <= BOOT;
            if is_same_boot {
                return;
            }
            let ended = draft.leaving.map_or(Ended::Lost, |(ended, _)| ended);
            self.end(ended, at);
        }
        self.current = Some(Draft::new(at, true));
    }

    fn instance(&mut self, at: Timestamp, index: i64, switches: usize) {
        let Some(draft) = &mut self.current else { return };
        let is_boot = draft.is_start_known && since(draft.start, at) <= BOOT;
        if is_boot || draft.leaving.is_some_and(|(_, since)| crate::time::since(since, at) <= BOOT) {
            return;
        }
        // A process that comes and goes between two samples is one of two under the same name.
        if switches > 1 || (draft.began_by_instance && since(draft.start, at) <= BOOT) {
            draft.is_muddled = true;
            return;
        }
        let is_close = index - draft.last <= 1;
        self.end(Ended::Lost, at);
        self.current = Some(Draft { began_by_instance: true, ..Draft::new(at, is_close) });
    }

    fn error(&mut self, code: Code, at: Timestamp) {
        self.settle_judging(at);
        if let Some(judging) = &self.judging
            && judging.errors.contains(&code)
            && judging.up_at.is_some()
        {
            let life = judging.life;
            self.lives[life].helped = Some(false);
            self.judging = None;
        }
        let draft = self.draft(at);
        if matches!(code, Code::R14 | Code::R15) {
            draft.breached_at.get_or_insert(at);
        }
        draft.errors.retain(|(known, _)| *known != code);
        if draft.errors.len() < limits::STEP_MARKS_MAX {
            draft.errors.push((code, at));
        }
    }

    /// A restart whose errors were not back in time has helped.
    fn settle_judging(&mut self, at: Timestamp) {
        if let Some(Judging { life, up_at: Some(up_at), .. }) = self.judging
            && since(up_at, at) > ERRORS_AFTER
        {
            self.lives[life].helped = Some(true);
            self.judging = None;
        }
    }

    fn draft(&mut self, at: Timestamp) -> &mut Draft {
        self.current.get_or_insert_with(|| Draft::new(at, false))
    }

    fn end(&mut self, ended: Ended, at: Timestamp) {
        if let Some(draft) = self.current.take() {
            self.finish(draft, ended, at);
        }
    }

    fn finish(&mut self, draft: Draft, ended: Ended, at: Timestamp) {
        let after_release = self.releases.iter().any(|release| {
            release.at > draft.start && release.at <= at && since(release.at, at) <= RELEASE_SPAN
        });
        let ended = match ended {
            Ended::Restart | Ended::Lost if after_release => Ended::Release,
            other => other,
        };
        if ended == Ended::Restart {
            let recent = draft.errors.iter().filter(|(_, error_at)| since(*error_at, at) <= ERRORS_BEFORE);
            let errors: Vec<Code> = recent.map(|(code, _)| *code).collect();
            self.judging =
                (!errors.is_empty()).then_some(Judging { life: self.lives.len(), errors, up_at: None });
        }
        let release = release_at(self.releases, draft.start);
        self.lives.push(draft.into_life(self.dyno.clone(), ended, at, release));
    }
}

impl Life {
    fn is_gone(&self) -> bool {
        matches!(self.ended, Ended::Crash | Ended::Down | Ended::Cycle | Ended::Release | Ended::Restart)
    }
}

/// The release that ran at a time. Before the first known one, the one before it ran.
fn release_at(releases: &[Release], at: Timestamp) -> u64 {
    let numbered = || releases.iter().filter(|release| release.version > 0);
    match numbered().rfind(|release| release.at <= at) {
        Some(release) => release.version,
        None => numbered().next().map_or(0, |first| first.version.saturating_sub(1)),
    }
}

/// Whether a dyno of this quota is of another size, and not only rounded otherwise. 0 is unknown.
pub(crate) fn is_other_quota(left: u32, right: u32) -> bool {
    left > 0 && right > 0 && left.abs_diff(right) > left.min(right) / 10
}

#[cfg(test)]
mod tests;
