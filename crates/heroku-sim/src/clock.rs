//! The clock of a simulated Heroku in real time: the wall clock, or a faster one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use dynowarden_core::time::{later, since};

/// The time in the world, and its speed.
#[derive(Clone)]
pub struct WorldClock {
    read: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    speed: f64,
}

impl WorldClock {
    /// A clock on top of `read`, with `speed` seconds of its own in each real second.
    ///
    /// A speed that is not a positive number counts as 1: otherwise nothing in the world would ever happen.
    pub fn new(speed: f64, read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        Self { read: Arc::new(read), speed }
    }

    pub fn real() -> Self {
        Self::new(1.0, wall)
    }

    /// A clock that starts at the wall clock's present time and runs `speed` times as fast.
    pub fn scaled(speed: f64) -> Self {
        let start = wall();
        let factor = Self::new(speed, wall).speed;
        Self::new(factor, move || later(start, scale(since(start, wall()), factor)))
    }

    pub fn now(&self) -> Timestamp {
        (self.read)()
    }

    /// The real time until it is `at`.
    pub fn real_time_until(&self, at: Timestamp) -> Duration {
        scale(since(self.now(), at), 1.0 / self.speed)
    }
}

impl fmt::Debug for WorldClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorldClock").field("speed", &self.speed).finish_non_exhaustive()
    }
}

fn scale(span: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(span.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a simulated Heroku on real sockets has a clock of its own")]
fn wall() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::WorldClock;
    use dynowarden_core::time::later;

    #[test]
    fn a_fast_clock_waits_less() {
        let start = Timestamp::UNIX_EPOCH;
        let clock = WorldClock::new(60.0, move || start);
        assert_eq!(clock.real_time_until(later(start, Duration::from_secs(120))), Duration::from_secs(2));
        assert_eq!(clock.real_time_until(start), Duration::ZERO);
        for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let clock = WorldClock::new(speed, move || start);
            assert_eq!(clock.real_time_until(later(start, Duration::from_secs(1))), Duration::from_secs(1));
        }
        assert!(WorldClock::scaled(1000.0).now() >= WorldClock::real().now().min(start));
    }
}
