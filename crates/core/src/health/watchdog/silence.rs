//! What an app's silence means: its usual gaps decide after how long it is remarkable.

use std::time::Duration;

use crate::health::watchdog::DrainActivity;
use crate::limits;

/// The gaps between an app's batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct SilenceDetector {
    began: Duration,
    hearing: DrainActivity,
    /// The longest gap of late; older ones fade within a week or so.
    longest_gap: Duration,
}

impl SilenceDetector {
    pub(super) fn new(now: Duration) -> Self {
        Self { began: now, hearing: DrainActivity::default(), longest_gap: Duration::ZERO }
    }

    /// Takes what has been heard so far; says whether there was a batch since the last time.
    pub(super) fn listen(&mut self, hearing: DrainActivity) -> bool {
        let (before, after) = (self.hearing.last_batch_at, hearing.last_batch_at);
        self.hearing = hearing;
        let Some(after) = after.filter(|_| before != after) else { return false };
        let gap = after.saturating_sub(before.unwrap_or(self.began));
        let faded = 1.0 - (gap.as_secs_f64() / FADE.as_secs_f64()).min(1.0);
        self.longest_gap = self.longest_gap.mul_f64(faded).max(gap);
        true
    }

    /// For how long nothing has come; before the first batch, since the start.
    pub(super) fn silent_for(&self, now: Duration) -> Duration {
        now.saturating_sub(self.hearing.last_batch_at.unwrap_or(self.began))
    }

    /// From which silence on somebody should look.
    ///
    /// With runtime metrics on a running dyno writes every 20 s, so minutes are long. Without them an app
    /// that nobody uses writes nothing; it is first taken for one that does so for half an hour at most,
    /// and a longer gap that turned out to be harmless teaches better.
    pub(super) fn bound(&self) -> Duration {
        let DrainActivity { last_batch_at, last_sample_at, .. } = self.hearing;
        let is_sampled = last_sample_at
            .zip(last_batch_at)
            .is_some_and(|(sample, batch)| batch.saturating_sub(sample) < limits::SAMPLES_STOPPED);
        let (least, most) = if is_sampled { limits::SILENCE_SAMPLED } else { limits::SILENCE_UNSAMPLED };
        self.longest_gap.saturating_mul(UNUSUAL).clamp(least, most)
    }
}

/// A gap that is so many times the longest of late is unusual.
const UNUSUAL: u32 = 4;

/// Longer than a weekend, in which many apps sleep.
const FADE: Duration = Duration::from_secs(7 * 86_400);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::SilenceDetector;
    use crate::health::watchdog::DrainActivity;

    const fn minutes(count: u64) -> Duration {
        Duration::from_secs(count * 60)
    }

    fn heard(at: Duration, sampled: bool) -> DrainActivity {
        DrainActivity { last_batch_at: Some(at), last_sample_at: sampled.then_some(at), lost_messages: 0 }
    }

    #[test]
    fn the_bound_follows_what_the_app_usually_sends() {
        let mut detector = SilenceDetector::new(Duration::ZERO);
        assert_eq!(detector.bound(), minutes(30), "nothing is known yet");
        for minute in 1..=60 {
            assert!(detector.listen(heard(minutes(minute), true)));
        }
        assert!(!detector.listen(heard(minutes(60), true)), "the same batch");
        assert_eq!(detector.bound(), minutes(4), "a batch a minute, with samples in it");
        detector.listen(DrainActivity { last_sample_at: Some(minutes(60)), ..heard(minutes(61), false) });
        assert_eq!(detector.bound(), minutes(4), "the samples stopped only a minute ago");
        let mut quiet = SilenceDetector::new(Duration::ZERO);
        quiet.listen(heard(minutes(1), false));
        quiet.listen(heard(minutes(121), false));
        assert_eq!(quiet.bound(), minutes(480), "it has been silent for two hours before");
        assert_eq!(quiet.silent_for(minutes(130)), minutes(9));
        for minute in 122..40_000 {
            quiet.listen(heard(minutes(minute), false));
        }
        assert_eq!(quiet.bound(), minutes(30), "that was weeks ago");
    }
}
