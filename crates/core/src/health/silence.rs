//! When an app's drain counts as silent. The app's usual gaps between batches decide, unless
//! `drain.silent_after` is set.

use std::time::Duration;

use crate::limits;

/// What has arrived from one app so far. Times are `mono` time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainActivity {
    pub last_batch_at: Option<Duration>,
    /// The last sample of runtime metrics.
    pub last_sample_at: Option<Duration>,
    /// Messages that logplex lost on this drain, over all time.
    pub lost_messages: u64,
}

/// The state of an app's drain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Silence {
    /// Logs arrive, or have not been missing for long.
    None,
    /// No listed drain leads here. The list is read once more before that is reported.
    Unlisted,
    /// No logs for long. The app's drains are listed, then its dynos.
    Suspected {
        is_listed: bool,
    },
    /// No logs for long, but no dyno runs either. The dynos are listed again later.
    Harmless {
        until: Duration,
    },
    Reported,
}

/// The gaps between an app's batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct SilenceDetector {
    began: Duration,
    activity: DrainActivity,
    /// The longest recent gap; older ones fade within a week or so.
    longest_gap: Duration,
    /// Replaces the bound that follows from the gaps.
    silent_after: Option<Duration>,
}

impl SilenceDetector {
    pub(super) fn new(silent_after: Option<Duration>, now: Duration) -> Self {
        Self { began: now, activity: DrainActivity::default(), longest_gap: Duration::ZERO, silent_after }
    }

    /// Returns whether a batch arrived since the last update.
    pub(super) fn update(&mut self, activity: DrainActivity) -> bool {
        let (before, after) = (self.activity.last_batch_at, activity.last_batch_at);
        self.activity = activity;
        let Some(after) = after.filter(|_| before != after) else { return false };
        let gap = after.saturating_sub(before.unwrap_or(self.began));
        let faded = 1.0 - (gap.as_secs_f64() / FADE.as_secs_f64()).min(1.0);
        self.longest_gap = self.longest_gap.mul_f64(faded).max(gap);
        true
    }

    pub(super) fn is_silent(&self, now: Duration) -> bool {
        self.silent_for(now) >= self.bound()
    }

    /// Whether the drain is silent for long enough to report that the API does not list it. Batches count
    /// for more than the list, which lacks the drains of a space.
    pub(super) fn is_unlisted(&self, now: Duration) -> bool {
        self.silent_for(now) >= self.recheck_after()
    }

    /// The wait before the list of drains is read again.
    pub(super) fn recheck_after(&self) -> Duration {
        self.silent_after.unwrap_or(limits::UNLISTED_RECHECK).min(limits::UNLISTED_RECHECK)
    }

    /// The time since the last batch, or since the start if there was none.
    pub(super) fn silent_for(&self, now: Duration) -> Duration {
        now.saturating_sub(self.activity.last_batch_at.unwrap_or(self.began))
    }

    /// The silence that is unusual for this app.
    ///
    /// With runtime metrics each running dyno writes a line every 20 s, so minutes are long. Without them
    /// an unused app writes nothing. Half an hour is the limit at first; a longer gap that was harmless
    /// raises it.
    fn bound(&self) -> Duration {
        if let Some(silent_after) = self.silent_after {
            return silent_after;
        }
        let DrainActivity { last_batch_at, last_sample_at, .. } = self.activity;
        let is_sampled = last_sample_at
            .zip(last_batch_at)
            .is_some_and(|(sample, batch)| batch.saturating_sub(sample) < limits::SAMPLES_STOPPED);
        let (least, most) = if is_sampled { limits::SILENCE_SAMPLED } else { limits::SILENCE_UNSAMPLED };
        self.longest_gap.saturating_mul(UNUSUAL).clamp(least, most)
    }
}

/// A gap is unusual if it is this many times the longest recent one.
const UNUSUAL: u32 = 4;

/// Longer than a weekend, in which many apps sleep.
const FADE: Duration = Duration::from_secs(7 * 86_400);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DrainActivity, SilenceDetector};

    const fn minutes(count: u64) -> Duration {
        Duration::from_secs(count * 60)
    }

    fn batch(at: Duration, sampled: bool) -> DrainActivity {
        DrainActivity { last_batch_at: Some(at), last_sample_at: sampled.then_some(at), lost_messages: 0 }
    }

    #[test]
    fn the_bound_follows_the_usual_gaps() {
        let mut detector = SilenceDetector::new(None, Duration::ZERO);
        assert_eq!(detector.bound(), minutes(30), "nothing is known yet");
        for minute in 1..=60 {
            assert!(detector.update(batch(minutes(minute), true)));
        }
        assert!(!detector.update(batch(minutes(60), true)), "the same batch");
        assert_eq!(detector.bound(), minutes(4), "a batch a minute, with samples");
        detector.update(DrainActivity { last_sample_at: Some(minutes(60)), ..batch(minutes(61), false) });
        assert_eq!(detector.bound(), minutes(4), "the samples stopped only a minute ago");
        let mut quiet = SilenceDetector::new(None, Duration::ZERO);
        quiet.update(batch(minutes(1), false));
        quiet.update(batch(minutes(121), false));
        assert_eq!(quiet.bound(), minutes(480), "an earlier gap of two hours");
        assert_eq!(quiet.silent_for(minutes(130)), minutes(9));
        for minute in 122..40_000 {
            quiet.update(batch(minutes(minute), false));
        }
        assert_eq!(quiet.bound(), minutes(30), "that was weeks ago");
    }
}
