//! The one module that reads a clock.
//!
//! All others receive a [`Now`]. The demo's clock runs ahead of the machine's by a factor, and a sleeping
//! task asks the clock for the span in real time.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use dynowarden_core::time::{Now, later};

/// A source of readings, cheap to copy: all copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    /// Where a scaled wall clock began. Otherwise the wall clock is the machine's, so that it follows
    /// corrections.
    scaled_from: Option<Timestamp>,
    speed: f64,
}

impl Clock {
    pub fn system() -> Self {
        Self { began: Instant::now(), scaled_from: None, speed: 1.0 }
    }

    /// A clock that starts at the present time of day and runs `speed` times as fast.
    ///
    /// A speed that is not a positive number counts as 1.
    pub fn scaled(speed: f64) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        Self { began: Instant::now(), scaled_from: Some(machine_wall()), speed }
    }

    pub fn now(&self) -> Now {
        let mono = scale(self.began.elapsed(), self.speed);
        let wall = self.scaled_from.map_or_else(machine_wall, |from| later(from, mono));
        Now { mono, wall }
    }

    /// The real time in which `span` of this clock's time passes.
    pub fn real(&self, span: Duration) -> Duration {
        scale(span, self.speed.recip())
    }
}

fn scale(span: Duration, factor: f64) -> Duration {
    // A factor of 1 must not lose the nanoseconds that a float cannot hold.
    if factor == 1.0 {
        return span;
    }
    Duration::try_from_secs_f64(span.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[expect(clippy::disallowed_methods, reason = "all other code gets the time from here")]
fn machine_wall() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Clock;
    use dynowarden_core::time::since;

    #[tokio::test(start_paused = true)]
    async fn a_scaled_clock_runs_ahead_by_its_factor() {
        let clock = Clock::scaled(60.0);
        let before = clock.now();
        tokio::time::advance(Duration::from_secs(2)).await;
        let after = clock.now();
        assert_eq!(after.mono - before.mono, Duration::from_secs(120));
        assert_eq!(since(before.wall, after.wall), Duration::from_secs(120));
        assert_eq!(clock.real(Duration::from_secs(60)), Duration::from_secs(1));
    }

    #[test]
    fn an_invalid_speed_counts_as_1() {
        for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Clock::scaled(speed).real(Duration::from_secs(3)), Duration::from_secs(3), "{speed}");
        }
    }
}
