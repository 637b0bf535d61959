//! Five minutes of one dyno.

use jiff::Timestamp;

use crate::codes::Code;
use crate::days::seen::Seen;
use crate::detect::sign::Sign;
use crate::event::{DynoState, Megabytes};
use crate::ident::InstanceId;
use crate::limits;

/// The length of a step.
pub const STEP_SECONDS: i64 = 300;

/// Steps in an hour.
pub const STEPS_PER_HOUR: i64 = 3600 / STEP_SECONDS;

/// Steps in a day.
pub const STEPS_PER_DAY: i64 = 24 * STEPS_PER_HOUR;

/// What happened to one dyno in five minutes, or to the app as a whole. Memory is in tenths of a megabyte.
///
/// A day of these per dyno is read and kept, so the rare parts are behind one pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The sum of the samples; the mean is this by their number.
    pub memory_sum: u64,
    pub service_ms_sum: u64,
    pub memory_low: u32,
    pub memory_high: u32,
    /// Samples of memory.
    pub samples: u32,
    /// Zero if unknown.
    pub quota: u32,
    pub requests: u32,
    /// Requests answered with 5xx, by the dyno or for it.
    pub errors: u32,
    /// Requests whose service time is in the sum.
    pub served: u32,
    /// Lines that show the dyno above its quota.
    pub over: u32,
    /// In the order of the lines.
    pub marks: Option<Box<Vec<Mark>>>,
}

/// A moment within a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Seconds after the start of the step.
    pub second: u16,
    pub kind: MarkKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    Crashed,
    Cycling,
    Down,
    /// The first error of its code since the step began or since another kind of mark.
    Error(Code),
    /// A sample of another process than the last one.
    Instance,
    Killed,
    /// The first sample above the quota, like [`MarkKind::Error`].
    Over,
    /// 0 for a release whose line has no number.
    Release(u64),
    Restarting,
    Starting,
    Up,
}

/// The step of a time, counted from the epoch.
pub fn step_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(STEP_SECONDS)
}

/// When a step begins.
pub fn start_of(step: i64) -> Timestamp {
    Timestamp::from_second(step.saturating_mul(STEP_SECONDS)).unwrap_or(Timestamp::MAX)
}

// === impl MarkKind ===

impl MarkKind {
    /// Whether it shows the dyno above its quota.
    pub fn is_excess(self) -> bool {
        matches!(self, Self::Over | Self::Error(Code::R14 | Code::R15))
    }
}

// === impl Step ===

impl Step {
    /// Adds what a line showed at `at`. `last` is the instance of the dyno's last sample.
    pub fn add(&mut self, seen: &Seen<'_>, last: &mut Option<InstanceId>, at: Timestamp) {
        // Most lines need it not.
        let second = || at.as_second().rem_euclid(STEP_SECONDS) as u16;
        match seen {
            Seen::Error(code) => self.error(*code, second()),
            Seen::Heard => {}
            Seen::Memory { used, permille } => {
                let quota = tenths(*used) * 1000 / u64::from((*permille).max(1));
                self.memory(tenths(*used), quota);
            }
            Seen::Release(version) => self.mark(MarkKind::Release(version.unwrap_or(0)), second()),
            Seen::Request(request) => {
                self.requests = self.requests.saturating_add(1);
                if request.status.is_some_and(|status| (500..600).contains(&status)) {
                    self.errors = self.errors.saturating_add(1);
                }
                if let Some(service_ms) = request.service_ms {
                    self.served = self.served.saturating_add(1);
                    self.service_ms_sum = self.service_ms_sum.saturating_add(service_ms.into());
                }
                if let Some(code) = request.code {
                    self.error(code, second());
                }
            }
            Seen::Sample { instance, total, quota } => {
                if last.replace(*instance).is_some_and(|last| last != *instance) {
                    self.mark(MarkKind::Instance, second());
                }
                if self.memory(tenths(*total), tenths(*quota)) && total > quota {
                    self.over = self.over.saturating_add(1);
                    self.mark_once(MarkKind::Over, second());
                }
            }
            Seen::Sign(sign) => self.sign(*sign, second()),
        }
    }

    /// Adds another record of the same five minutes, from another part of the same log.
    pub fn merge(&mut self, other: &Self) {
        if other.samples > 0 {
            self.memory_low =
                if self.samples > 0 { self.memory_low.min(other.memory_low) } else { other.memory_low };
            self.memory_high = self.memory_high.max(other.memory_high);
        }
        self.samples = self.samples.saturating_add(other.samples);
        self.memory_sum = self.memory_sum.saturating_add(other.memory_sum);
        self.quota = self.quota.max(other.quota);
        self.requests = self.requests.saturating_add(other.requests);
        self.errors = self.errors.saturating_add(other.errors);
        self.served = self.served.saturating_add(other.served);
        self.service_ms_sum = self.service_ms_sum.saturating_add(other.service_ms_sum);
        self.over = self.over.saturating_add(other.over);
        if let Some(others) = &other.marks {
            let marks = self.marks.get_or_insert_default();
            marks.extend(others.iter().copied());
            marks.sort_by_key(|mark| mark.second);
            // The same line, received by two replicas.
            marks.dedup();
            marks.truncate(limits::STEP_MARKS_MAX);
        }
    }

    /// The mean of the samples, in tenths of a megabyte.
    pub fn memory_mean(&self) -> Option<u32> {
        let mean = self.memory_sum.checked_div(self.samples.into())?;
        Some(u32::try_from(mean).unwrap_or(u32::MAX))
    }

    pub fn service_ms(&self) -> Option<u32> {
        let mean = self.service_ms_sum.checked_div(self.served.into())?;
        Some(u32::try_from(mean).unwrap_or(u32::MAX))
    }

    pub fn marks(&self) -> &[Mark] {
        self.marks.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Whether its samples may be of more than one process.
    pub fn is_mixed(&self) -> bool {
        self.marks().iter().any(|mark| !matches!(mark.kind, MarkKind::Error(_) | MarkKind::Over))
    }

    /// Adds a reading; false for one that no dyno can have.
    fn memory(&mut self, used: u64, quota: u64) -> bool {
        let bounds = limits::MEMORY_TENTHS_MIN..=quota.saturating_mul(limits::MEMORY_QUOTAS_MAX);
        let (true, Ok(used), Ok(quota)) = (bounds.contains(&used), u32::try_from(used), u32::try_from(quota))
        else {
            return false;
        };
        self.memory_low = if self.samples == 0 { used } else { self.memory_low.min(used) };
        self.memory_high = self.memory_high.max(used);
        self.memory_sum = self.memory_sum.saturating_add(used.into());
        self.samples = self.samples.saturating_add(1);
        // A quota that was worked out from a percentage is off by a few tenths, and does not replace another.
        let is_near = self.quota.abs_diff(quota) <= quota / 20;
        if self.quota == 0 || !is_near {
            self.quota = quota;
        }
        true
    }

    fn error(&mut self, code: Code, second: u16) {
        if matches!(code, Code::R14 | Code::R15) {
            self.over = self.over.saturating_add(1);
        }
        self.mark_once(MarkKind::Error(code), second);
    }

    fn sign(&mut self, sign: Sign, second: u16) {
        let kind = match sign {
            Sign::Cycling => MarkKind::Cycling,
            Sign::Restarting => MarkKind::Restarting,
            Sign::Starting | Sign::State(DynoState::Starting) => MarkKind::Starting,
            Sign::Killed => MarkKind::Killed,
            Sign::State(DynoState::Up) => MarkKind::Up,
            Sign::State(DynoState::Crashed) => MarkKind::Crashed,
            Sign::State(DynoState::Down | DynoState::Idle) => MarkKind::Down,
            Sign::State(DynoState::Other) => return,
        };
        self.mark(kind, second);
    }

    /// Notes the first of a run of equal marks.
    fn mark_once(&mut self, kind: MarkKind, second: u16) {
        let is_repeated = |mark: &Mark| matches!(mark.kind, MarkKind::Error(_) | MarkKind::Over);
        let run = self.marks().iter().rev().take_while(|mark| is_repeated(mark));
        if run.into_iter().all(|mark| mark.kind != kind) {
            self.mark(kind, second);
        }
    }

    fn mark(&mut self, kind: MarkKind, second: u16) {
        let marks = self.marks.get_or_insert_default();
        if marks.len() < limits::STEP_MARKS_MAX {
            marks.push(Mark { second, kind });
        }
    }
}

fn tenths(memory: Megabytes) -> u64 {
    memory.hundredths / 10
}
