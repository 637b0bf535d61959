//! Dynos: what they are made of, how their memory grows, and one instance of one.

use std::time::Duration;

use jiff::Timestamp;

use dynowarden_core::event::DynoState;
use dynowarden_core::ident::{AppName, DynoName, InstanceId};
use dynowarden_core::time::{later, since};

/// A dyno size (heroku.md §3; the dyno types and memory behaviour pages of the Dev Center).
#[derive(Debug, PartialEq, Eq)]
pub struct Size {
    /// As the Platform API writes it.
    pub name: &'static str,
    /// As `Scaled to web@4:Standard-1X` writes it.
    pub label: &'static str,
    /// Above it R14 is logged, in MB.
    pub quota_mb: u32,
    /// At it R15 is logged and the process killed, in MB.
    pub kill_mb: u32,
    /// Of a Private Space: does not swap and so never logs R14.
    pub private: bool,
}

impl Size {
    const fn common(name: &'static str, label: &'static str, quota_mb: u32, kill_mb: u32) -> Self {
        Self { name, label, quota_mb, kill_mb, private: false }
    }

    const fn private(name: &'static str, label: &'static str, quota_mb: u32) -> Self {
        Self { name, label, quota_mb, kill_mb: quota_mb, private: true }
    }
}

/// 512 MB, killed at 1 GB: the commonest size.
pub static STANDARD_1X: Size = Size::common("standard-1X", "Standard-1X", 512, 1024);

/// Every size, as `GET /dyno-sizes` lists them.
pub static SIZES: [&Size; 9] = [
    &Size::common("eco", "Eco", 512, 1024),
    &Size::common("basic", "Basic", 512, 1024),
    &STANDARD_1X,
    &Size::common("standard-2X", "Standard-2X", 1024, 2048),
    &Size::common("performance-m", "Performance-M", 2560, 5120),
    &Size::common("performance-l", "Performance-L", 14_336, 28_672),
    &Size::private("private-s", "Private-S", 1024),
    &Size::private("private-m", "Private-M", 2560),
    &Size::private("private-l", "Private-L", 14_336),
];

/// How a process uses memory over its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Grows by so much a minute, for ever: a restart helps.
    Leak {
        /// At the start, in MB.
        from_mb: u32,
        /// Growth a minute, in MB.
        mb_per_min: u32,
    },
    /// Reaches a share of the quota and stays there: above 1000 ‰ it errs for ever, and no restart helps.
    Plateau {
        /// The share, in thousandths of the quota.
        permille: u32,
    },
    /// Far above its usual share for a while, again and again.
    Spike {
        /// The share at the top, in thousandths of the quota; half the quota otherwise.
        permille: u32,
        /// From one top to the next.
        every: Duration,
        /// How long each lasts.
        lasting: Duration,
    },
    /// Always the same.
    Steady {
        /// In MB.
        mb: u32,
    },
}

impl Behaviour {
    /// What a process of this age uses, in tenths of a MB.
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
                // The top comes at the end of each round, so that a fresh process starts in peace.
                let top = phase >= every.saturating_sub(lasting).as_millis();
                quota * u64::from(if top { permille } else { 500 }) / 1000
            }
            Self::Steady { mb } => u64::from(mb) * 10,
        }
    }

    /// For how much longer a process of this age is surely within its quota; none means for ever.
    pub fn quiet_for(self, age: Duration, size: &Size) -> Option<Duration> {
        match self {
            Self::Leak { mb_per_min: 0, from_mb } | Self::Steady { mb: from_mb } => {
                (from_mb > size.quota_mb).then_some(Duration::ZERO)
            }
            Self::Leak { from_mb, mb_per_min } => {
                let room_mb = u64::from(size.quota_mb.saturating_sub(from_mb));
                Some(Duration::from_millis(room_mb * 60_000 / u64::from(mb_per_min)).saturating_sub(age))
            }
            Self::Plateau { permille } => (permille > 1000).then_some(Duration::ZERO),
            Self::Spike { permille, .. } => (permille > 1000).then_some(Duration::ZERO),
        }
    }
}

/// How the processes at one place of a formation behave, whichever instance fills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DynoPlan {
    pub behaviour: Behaviour,
    /// From the start of a process until it is `up`.
    pub boot: Duration,
    /// How many of the coming boots fail (R10); `u32::MAX` for all of them.
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

/// One instance of a dyno: what the Platform API tells of it, and the process behind it.
#[derive(Clone, Debug)]
pub struct Dyno {
    /// The app it belongs to.
    pub app: AppName,
    /// The command it runs.
    pub command: String,
    /// When the instance was created.
    pub created_at: Timestamp,
    /// The instance's id.
    pub id: InstanceId,
    /// The place in the formation that it fills.
    pub name: DynoName,
    /// The release that it runs.
    pub release: u64,
    pub size: &'static Size,
    /// Its state, as the API tells it.
    pub state: DynoState,
    /// When the state last changed.
    pub updated_at: Timestamp,
    /// Whether the API lists it; an instance that was replaced runs on unlisted.
    pub(super) listed: bool,
    /// Whether a process runs.
    pub(super) running: bool,
    /// From when its memory has been growing.
    pub(super) warm_since: Timestamp,
}

impl Dyno {
    /// What it uses, in tenths of a MB; nothing while no process runs.
    pub(super) fn decimegabytes(&self, behaviour: Behaviour, now: Timestamp) -> u64 {
        if self.running { behaviour.decimegabytes(since(self.warm_since, now), self.size) } else { 0 }
    }

    /// The first time from which its memory can be above the quota.
    pub(super) fn quiet_until(&self, behaviour: Behaviour, now: Timestamp) -> Option<Timestamp> {
        behaviour.quiet_for(since(self.warm_since, now), self.size).map(|span| later(now, span))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Behaviour, STANDARD_1X};

    #[test]
    fn memory_follows_its_behaviour_and_is_never_quiet_above_the_quota() {
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
