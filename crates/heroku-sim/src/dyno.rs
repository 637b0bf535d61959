//! Dynos: their sizes, their memory growth, and their instances.

use std::time::Duration;

use jiff::Timestamp;

use dynowarden_core::event::DynoState;
use dynowarden_core::ident::{AppName, DynoName, InstanceId};
use dynowarden_core::time::{later, since};

/// A dyno size (heroku.md §3; the dyno types and memory behaviour pages of the Dev Center).
#[derive(Debug, PartialEq, Eq)]
pub struct Size {
    /// As in the Platform API.
    pub name: &'static str,
    /// As in `Scaled to web@4:Standard-1X`.
    pub label: &'static str,
    /// The bound for R14, in MB.
    pub quota_mb: u32,
    /// The bound for R15, at which the process is killed, in MB.
    pub kill_mb: u32,
    /// The price of a month, in cents.
    pub cents: u32,
    /// In a Private Space: does not swap and so never logs R14.
    pub private: bool,
}

impl Size {
    const fn common(
        name: &'static str,
        label: &'static str,
        quota_mb: u32,
        kill_mb: u32,
        cents: u32,
    ) -> Self {
        Self { name, label, quota_mb, kill_mb, cents, private: false }
    }

    const fn private(name: &'static str, label: &'static str, quota_mb: u32, cents: u32) -> Self {
        Self { name, label, quota_mb, kill_mb: quota_mb, cents, private: true }
    }
}

/// 512 MB, killed at 1 GB: the most common size.
pub static STANDARD_1X: Size = Size::common("standard-1X", "Standard-1X", 512, 1024, 2500);

/// Every size, as `GET /dyno-sizes` lists them.
pub static SIZES: [&Size; 9] = [
    &Size::common("eco", "Eco", 512, 1024, 500),
    &Size::common("basic", "Basic", 512, 1024, 700),
    &STANDARD_1X,
    &Size::common("standard-2X", "Standard-2X", 1024, 2048, 5000),
    &Size::common("performance-m", "Performance-M", 2560, 5120, 25_000),
    &Size::common("performance-l", "Performance-L", 14_336, 28_672, 50_000),
    &Size::private("private-s", "Private-S", 1024, 12_500),
    &Size::private("private-m", "Private-M", 2560, 25_000),
    &Size::private("private-l", "Private-L", 14_336, 50_000),
];

/// A process's memory use over its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Grows steadily without end: a restart helps.
    Leak {
        /// At the start, in MB.
        from_mb: u32,
        /// Growth a minute, in MB.
        mb_per_min: u32,
    },
    /// Reaches a share of the quota and stays there: above 1000 ‰ it always errs, and no restart helps.
    Plateau {
        /// In thousandths of the quota.
        permille: u32,
    },
    /// Repeatedly far above its usual share for a while.
    Spike {
        /// The share at the top, in thousandths of the quota; half the quota otherwise.
        permille: u32,
        /// From one top to the next.
        every: Duration,
        /// The length of each top.
        lasting: Duration,
    },
    Steady {
        /// In MB.
        mb: u32,
    },
}

impl Behaviour {
    /// The memory use of a process of this age, in tenths of a MB.
    pub fn decimegabytes(self, age: Duration, size: &Size) -> u64 {
        let quota = u64::from(size.quota_mb) * 10;
        match self {
            Self::Leak { from_mb, mb_per_min } => {
                let grown = age.as_millis() * u128::from(mb_per_min) / 6000;
                (u64::from(from_mb) * 10).saturating_add(u64::try_from(grown).unwrap_or(u64::MAX))
            }
            Self::Plateau { permille } => quota * u64::from(permille) / 1000,
            Self::Spike { permille, every, lasting } => {
                let phase = age.as_millis() % every.as_millis().max(1);
                // The top comes at the end of each round, so that a fresh process starts below it.
                let top = phase >= every.saturating_sub(lasting).as_millis();
                quota * u64::from(if top { permille } else { 500 }) / 1000
            }
            Self::Steady { mb } => u64::from(mb) * 10,
        }
    }

    /// How much longer a process of this age is certain to stay within its quota; none means always.
    pub fn quiet_for(self, age: Duration, size: &Size) -> Option<Duration> {
        match self {
            Self::Leak { mb_per_min: 0, from_mb } | Self::Steady { mb: from_mb } => {
                (from_mb > size.quota_mb).then_some(Duration::ZERO)
            }
            Self::Leak { from_mb, mb_per_min } => {
                let room_mb = u64::from(size.quota_mb.saturating_sub(from_mb));
                Some(Duration::from_millis(room_mb * 60_000 / u64::from(mb_per_min)).saturating_sub(age))
            }
            Self::Plateau { permille } | Self::Spike { permille, .. } => {
                (permille > 1000).then_some(Duration::ZERO)
            }
        }
    }
}

/// The behaviour of the processes at one place of a formation, whichever instance fills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DynoPlan {
    pub behaviour: Behaviour,
    /// From the start of a process until it is `up`.
    pub boot: Duration,
    /// The number of coming boots that fail (R10); `u32::MAX` for all of them.
    pub boot_failures: u32,
    /// A process exits with status 1 this long after it came up.
    pub crash_after: Option<Duration>,
    /// From SIGTERM until the process is gone; 30 s or more end in R12 and SIGKILL.
    pub linger: Duration,
}

impl Default for DynoPlan {
    /// A well-behaved process whose end overlaps with the start of the next, as in heroku.md §2.4.
    fn default() -> Self {
        Self {
            behaviour: Behaviour::Steady { mb: 200 },
            boot: Duration::from_secs(5),
            boot_failures: 0,
            crash_after: None,
            linger: Duration::from_secs(6),
        }
    }
}

/// One instance of a dyno: its state in the Platform API, and the process behind it.
#[derive(Clone, Debug)]
pub struct Dyno {
    pub app: AppName,
    /// Where `heroku run` is attached to it; only one-off dynos have it, and not those that run detached.
    pub attach_url: Option<String>,
    pub command: String,
    pub created_at: Timestamp,
    pub id: InstanceId,
    /// Outside its formation's quantity, and never replaced once it ends.
    pub is_one_off: bool,
    pub name: DynoName,
    pub release: u64,
    pub size: &'static Size,
    /// As the API shows it.
    pub state: DynoState,
    pub updated_at: Timestamp,
    /// Whether the API lists it; a replaced instance runs on unlisted.
    pub(super) listed: bool,
    pub(super) running: bool,
    /// When its memory began to grow.
    pub(super) warm_since: Timestamp,
}

impl Dyno {
    /// Its memory use, in tenths of a MB; none while no process runs.
    pub(super) fn decimegabytes(&self, behaviour: Behaviour, now: Timestamp) -> u64 {
        if self.running { behaviour.decimegabytes(since(self.warm_since, now), self.size) } else { 0 }
    }

    /// The earliest time at which its memory can exceed the quota.
    pub(super) fn quiet_until(&self, behaviour: Behaviour, now: Timestamp) -> Option<Timestamp> {
        behaviour.quiet_for(since(self.warm_since, now), self.size).map(|span| later(now, span))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Behaviour, STANDARD_1X};

    #[test]
    fn memory_follows_its_behaviour() {
        let minute = Duration::from_secs(60);
        let leak = Behaviour::Leak { from_mb: 400, mb_per_min: 16 };
        let plateau = Behaviour::Plateau { permille: 1782 };
        let spike = Behaviour::Spike { permille: 1300, every: 10 * minute, lasting: minute };
        for (behaviour, minutes, expect) in [
            (leak, 0, 4000),
            (leak, 7, 5120),
            (leak, 10, 5600),
            (plateau, 0, 9123),
            (plateau, 600, 9123),
            (spike, 0, 2560),
            (spike, 9, 6656),
            (spike, 10, 2560),
            (Behaviour::Steady { mb: 512 }, 5, 5120),
        ] {
            let used = behaviour.decimegabytes(minutes * minute, &STANDARD_1X);
            assert_eq!(used, expect, "{behaviour:?} after {minutes} min");
        }
        for behaviour in [leak, plateau, spike, Behaviour::Steady { mb: 512 }, Behaviour::Steady { mb: 513 }]
        {
            for seconds in 0..2000 {
                let age = Duration::from_secs(seconds);
                let over = behaviour.decimegabytes(age, &STANDARD_1X) > 5120;
                let quiet = behaviour.quiet_for(age, &STANDARD_1X);
                assert!(!over || quiet == Some(Duration::ZERO), "{behaviour:?} at {age:?}: {quiet:?}");
            }
        }
        assert_eq!(leak.quiet_for(minute, &STANDARD_1X), Some(6 * minute));
    }
}
