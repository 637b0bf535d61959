//! The Platform API's rate limit: a bucket of tokens per account, refilled steadily (heroku.md §5).

use std::time::Duration;

use jiff::Timestamp;

use dynowarden_core::limits;
use dynowarden_core::time::{later, since};

/// A token bucket. It counts in sixty-thousandths of a token, which makes the refill of each millisecond a
/// whole number: many small steps refill exactly as much as one large one.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    left: u64,
    read_at: Timestamp,
}

impl Bucket {
    /// A full bucket of Heroku's size and refill.
    pub fn new(now: Timestamp) -> Self {
        Self { left: FULL, read_at: now }
    }

    /// Leaves `tokens` in the bucket, up to its capacity.
    pub fn set(&mut self, tokens: u32, now: Timestamp) {
        (self.left, self.read_at) = ((u64::from(tokens) * TOKEN).min(FULL), now);
    }

    /// Takes one token, if there is one.
    pub fn take(&mut self, now: Timestamp) -> bool {
        self.refill(now);
        let some = self.left >= TOKEN;
        if some {
            self.left -= TOKEN;
        }
        some
    }

    pub fn remaining(&mut self, now: Timestamp) -> u64 {
        self.refill(now);
        self.left / TOKEN
    }

    fn refill(&mut self, now: Timestamp) {
        let elapsed_ms = u64::try_from(since(self.read_at, now).as_millis()).unwrap_or(u64::MAX);
        self.left = self.left.saturating_add(elapsed_ms.saturating_mul(PER_MINUTE)).min(FULL);
        self.read_at = later(self.read_at, Duration::from_millis(elapsed_ms));
    }
}

const TOKEN: u64 = 60_000;
const FULL: u64 = limits::API_TOKENS_MAX as u64 * TOKEN;
const PER_MINUTE: u64 = limits::API_TOKENS_PER_MINUTE as u64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::Bucket;
    use dynowarden_core::time::later;

    #[test]
    fn an_empty_bucket_gives_75_a_minute() {
        let now = Timestamp::UNIX_EPOCH;
        let mut bucket = Bucket::new(now);
        assert_eq!((0..5000).filter(|_| bucket.take(now)).count(), 4500);
        for millisecond in 0..60_000 {
            bucket.remaining(later(now, Duration::from_millis(millisecond)));
        }
        assert_eq!(bucket.remaining(later(now, Duration::from_secs(60))), 75);
        assert_eq!(bucket.remaining(later(now, Duration::from_secs(86_400))), 4500);
        bucket.set(1, now);
        assert!(bucket.take(now) && !bucket.take(now));
    }
}
