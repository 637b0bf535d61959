//! The memory of frame ids, which makes a redelivered frame count once.
//!
//! Logplex sends the same `Logplex-Frame-Id` on every attempt of a frame (heroku.md §1.4), though the body
//! may differ. The memory is split by app, so that connections of different apps do not wait for each other
//! and invented drains push out only those of their own app. A frame is looked up before its batch is read
//! and remembered once the engine's queue has accepted it.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::mem;
use std::time::Duration;

use dashmap::DashMap;

use crate::ident::{AppId, DrainToken};
use crate::limits;
use crate::time::Now;

/// The owner of a set of frame ids: a drain, or all senders to an app without a drain token.
///
/// The app is part of it, so that a sender to one app cannot block the drain of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    pub app: AppId,
    /// Its `Logplex-Drain-Token`; space logging sends none.
    pub drain: Option<DrainToken>,
}

#[derive(Debug)]
pub enum Delivery<'d> {
    Duplicate,
    /// Another request is delivering the same frame, and may still fail.
    InProgress,
    /// Remembered once the claim is committed.
    New(FrameClaim<'d>),
}

/// The right to accept a frame. If it is not committed, the frame is forgotten, so that a retry counts.
#[derive(Debug)]
#[must_use = "a frame that is not committed counts again"]
pub struct FrameClaim<'d> {
    dedup: &'d FrameDedup,
    frame: Option<(Source, Fingerprint)>,
}

/// The frame ids of the last minutes, bounded in number per drain and in drains per app.
#[derive(Debug, Default)]
pub struct FrameDedup {
    apps: DashMap<AppId, Vec<OfDrain>>,
    /// Secret keys of the fingerprints.
    keys: [RandomState; 2],
}

impl FrameDedup {
    /// Looks a frame up before its batch is read. A batch without an id is always new.
    pub fn begin(&self, source: &Source, frame: Option<&[u8]>, now: Now) -> Delivery<'_> {
        let Some(frame) = frame.map(|frame| self.fingerprint(frame)) else {
            return Delivery::New(FrameClaim { dedup: self, frame: None });
        };
        let mut drains = self.apps.entry(source.app).or_default();
        let recent = recent_of(&mut drains, source.drain.as_ref());
        recent.age(now);
        if recent.knows(&frame) {
            return Delivery::Duplicate;
        }
        if recent.pending.contains(&frame) {
            return Delivery::InProgress;
        }
        recent.pending.push(frame);
        Delivery::New(FrameClaim { dedup: self, frame: Some((source.clone(), frame)) })
    }

    fn fingerprint(&self, frame: &[u8]) -> Fingerprint {
        let [hash, other_hash] = self.keys.each_ref().map(|key| key.hash_one(frame));
        Fingerprint { hash, other_hash }
    }
}

impl FrameClaim<'_> {
    /// Remembers the frame: its batch was accepted.
    pub fn commit(mut self) {
        if let Some((source, frame)) = self.frame.take() {
            let mut drains = self.dedup.apps.entry(source.app).or_default();
            let recent = recent_of(&mut drains, source.drain.as_ref());
            recent.pending.retain(|pending| *pending != frame);
            recent.newer.insert(frame);
        }
    }
}

impl Drop for FrameClaim<'_> {
    fn drop(&mut self) {
        if let Some((source, frame)) = self.frame.take()
            && let Some(mut drains) = self.dedup.apps.get_mut(&source.app)
        {
            let recent = recent_of(&mut drains, source.drain.as_ref());
            recent.pending.retain(|pending| *pending != frame);
        }
    }
}

/// A drain and its frames.
type OfDrain = (Option<DrainToken>, Recent);

/// The frames of a drain. Past the limit, they take the place of those of the longest quiet drain.
fn recent_of<'d>(drains: &'d mut Vec<OfDrain>, drain: Option<&DrainToken>) -> &'d mut Recent {
    let known = drains.iter().position(|(of, _)| of.as_ref() == drain);
    let place = known.unwrap_or_else(|| {
        if drains.len() >= limits::FRAME_ID_DRAINS_PER_APP_MAX
            && let Some((quietest, _)) =
                drains.iter().enumerate().min_by_key(|(_, (_, recent))| recent.last_at)
        {
            drains.swap_remove(quietest);
        }
        drains.push((drain.cloned(), Recent::default()));
        drains.len() - 1
    });
    &mut drains[place].1
}

/// Two keyed hashes. Ids are opaque and of any length, so hashes bound the memory for each; two ids never
/// share both, by chance or on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    hash: u64,
    other_hash: u64,
}

impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// A hasher for values that are keyed hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        octets.iter().for_each(|octet| self.0 = self.0.rotate_left(8) ^ u64::from(*octet));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type Fingerprints = HashSet<Fingerprint, BuildHasherDefault<AsItIs>>;

/// The frames of one drain, in two generations; the older one is dropped as a whole.
///
/// A frame is forgotten after one to two times [`limits::FRAME_ID_MEMORY`], or after at least
/// [`limits::FRAME_IDS_PER_DRAIN_MAX`] others. Storing a time per frame would be exact, but cost every batch
/// two more cache misses.
#[derive(Debug, Default)]
struct Recent {
    newer: Fingerprints,
    older: Fingerprints,
    /// Frames being delivered now: one for each request of the drain.
    pending: Vec<Fingerprint>,
    /// When the newer generation began, in `mono` time.
    began: Duration,
    last_at: Duration,
}

impl Recent {
    fn age(&mut self, now: Now) {
        self.last_at = now.mono;
        let age = now.mono.saturating_sub(self.began);
        if age < limits::FRAME_ID_MEMORY && self.newer.len() < limits::FRAME_IDS_PER_DRAIN_MAX {
            return;
        }
        mem::swap(&mut self.newer, &mut self.older);
        self.newer.clear();
        if age >= 2 * limits::FRAME_ID_MEMORY {
            // The drain was silent: these frames came within the first period of their generation.
            self.older.clear();
        }
        self.began = now.mono;
    }

    fn knows(&self, frame: &Fingerprint) -> bool {
        self.newer.contains(frame) || self.older.contains(frame)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{Delivery, FrameDedup, Source};
    use crate::ident::AppId;
    use crate::limits;
    use crate::time::Now;

    const START: Now = Now { mono: Duration::ZERO, wall: Timestamp::UNIX_EPOCH };

    fn source(app: u32, drain: Option<&str>) -> Source {
        Source { app: AppId(app), drain: drain.map(|token| token.parse().expect("a token")) }
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Seen {
        Duplicate,
        New,
    }

    #[track_caller]
    fn check(ids: &FrameDedup, source: Source, frame: Option<&str>, now: Now, expect: Seen) {
        let seen = match ids.begin(&source, frame.map(str::as_bytes), now) {
            Delivery::New(claim) => {
                claim.commit();
                Seen::New
            }
            Delivery::Duplicate => Seen::Duplicate,
            Delivery::InProgress => panic!("nothing else is under way"),
        };
        assert_eq!(seen, expect);
    }

    #[test]
    fn a_frame_counts_once_per_drain_within_its_time() {
        let ids = FrameDedup::default();
        check(&ids, source(0, Some("d.a")), Some("f1"), START, Seen::New);
        check(&ids, source(0, Some("d.a")), Some("f1"), START, Seen::Duplicate);
        check(&ids, source(0, Some("d.b")), Some("f1"), START, Seen::New);
        check(&ids, source(0, None), Some("f1"), START, Seen::New);
        check(&ids, source(1, Some("d.a")), Some("f1"), START, Seen::New);
        check(&ids, source(0, Some("d.a")), Some("f2"), START, Seen::New);
    }

    #[test]
    fn a_frame_is_remembered_for_one_to_two_periods() {
        let moment = Duration::from_millis(1);
        let (once, twice) = (limits::FRAME_ID_MEMORY, 2 * limits::FRAME_ID_MEMORY);
        for between in [vec![], vec![moment], vec![once - moment], vec![moment, once, once + moment]] {
            let ids = FrameDedup::default();
            check(&ids, source(0, None), Some("first"), START, Seen::New);
            for (place, at) in between.iter().enumerate() {
                check(&ids, source(0, None), Some(&place.to_string()), START.after(*at), Seen::New);
                check(&ids, source(0, None), Some("first"), START.after(*at), Seen::Duplicate);
            }
            check(&ids, source(0, None), Some("first"), START.after(twice), Seen::New);
        }
        // The last frame of a generation is also remembered long enough.
        for (later, expect) in [(once - moment, Seen::Duplicate), (twice, Seen::New)] {
            let ids = FrameDedup::default();
            check(&ids, source(0, None), Some("opening"), START, Seen::New);
            let last = START.after(once - moment);
            check(&ids, source(0, None), Some("last"), last, Seen::New);
            check(&ids, source(0, None), Some("last"), last.after(later), expect);
        }
    }

    #[test]
    fn a_frame_without_an_id_always_counts() {
        let ids = FrameDedup::default();
        check(&ids, source(0, None), None, START, Seen::New);
        check(&ids, source(0, None), None, START, Seen::New);
        assert!(ids.apps.is_empty());
    }

    #[test]
    fn an_uncommitted_frame_is_not_remembered() {
        let ids = FrameDedup::default();
        let Delivery::New(claim) = ids.begin(&source(0, None), Some(b"f1"), START) else {
            panic!("it is new")
        };
        let again = ids.begin(&source(0, None), Some(b"f1"), START);
        assert!(matches!(again, Delivery::InProgress), "its retry must not be acknowledged yet: {again:?}");
        drop(claim);
        check(&ids, source(0, None), Some("f1"), START, Seen::New);
        check(&ids, source(0, None), Some("f1"), START, Seen::Duplicate);
    }

    #[test]
    fn both_memories_are_bounded_and_forget_the_oldest() {
        let ids = FrameDedup::default();
        for n in 0..=2 * limits::FRAME_IDS_PER_DRAIN_MAX {
            check(&ids, source(0, None), Some(&n.to_string()), START, Seen::New);
            let drains = ids.apps.get(&AppId(0)).expect("remembered");
            let (_, recent) = &drains[0];
            assert!(recent.newer.len().max(recent.older.len()) <= limits::FRAME_IDS_PER_DRAIN_MAX);
        }
        let kept = limits::FRAME_IDS_PER_DRAIN_MAX;
        check(&ids, source(0, None), Some(&kept.to_string()), START, Seen::Duplicate);
        check(&ids, source(0, None), Some(&(kept - 1).to_string()), START, Seen::New);

        let ids = FrameDedup::default();
        let of = |n: usize| source(0, Some(&format!("d.{n}")));
        for n in 0..=limits::FRAME_ID_DRAINS_PER_APP_MAX {
            check(&ids, of(n), Some("f"), START.after(Duration::from_millis(n as u64)), Seen::New);
        }
        let later = START.after(Duration::from_secs(60));
        check(&ids, of(1), Some("f"), later, Seen::Duplicate);
        check(&ids, of(0), Some("f"), later, Seen::New);
    }

    #[test]
    fn invented_drains_push_out_no_frame_of_another_app() {
        let ids = FrameDedup::default();
        check(&ids, source(1, Some("d.acme")), Some("f"), START, Seen::New);
        let later = START.after(Duration::from_secs(1));
        for n in 0..2000 {
            check(&ids, source(0, Some(&format!("d.{n}"))), Some("f"), later, Seen::New);
        }
        check(&ids, source(1, Some("d.acme")), Some("f"), later, Seen::Duplicate);
        let kept = ids.apps.get(&AppId(0)).expect("remembered").len();
        assert_eq!(kept, limits::FRAME_ID_DRAINS_PER_APP_MAX);
    }

    #[test]
    fn retries_at_the_same_time_count_once() {
        let ids = FrameDedup::default();
        let counted = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for n in 0..200 {
                        let frame = format!("{n}");
                        if let Delivery::New(claim) =
                            ids.begin(&source(0, None), Some(frame.as_bytes()), START)
                        {
                            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                            claim.commit();
                        }
                    }
                });
            }
        });
        assert_eq!(counted.into_inner(), 200);
    }
}
