//! Words that may get a place in the tree (Metwally's Space-Saving): each has `count - error` requests at
//! least, and `count` at most.

/// The words of one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidates {
    /// In the order of `counts`; apart from them, so that eight are compared at a time.
    hashes: Vec<u32>,
    counts: Vec<Count>,
    /// No count is lower.
    least: u32,
    /// Those before it have a higher count.
    higher: u32,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    count: u32,
    error: u32,
}

// === impl Candidates ===

impl Candidates {
    /// Counts a word. Returns its place and the requests that it has at least, if it was known.
    pub(super) fn count(&mut self, hash: u32, room: usize) -> Option<(usize, u32)> {
        if let Some(place) = self.place(hash) {
            let Count { count, error } = &mut self.counts[place];
            *count = count.saturating_add(1);
            return Some((place, *count - *error));
        }
        if self.hashes.len() < room {
            if self.hashes.capacity() == 0 {
                self.hashes.reserve_exact(room);
                self.counts.reserve_exact(room);
            }
            self.hashes.push(hash);
            self.counts.push(Count { count: 1, error: 0 });
            (self.least, self.higher) = (1, 0);
        } else if let Some(least) = self.first_of_the_least() {
            let count = self.counts[least].count;
            self.hashes[least] = hash;
            self.counts[least] = Count { count: count.saturating_add(1), error: count };
        }
        None
    }

    pub(super) fn remove(&mut self, place: usize) {
        self.hashes.swap_remove(place);
        self.counts.swap_remove(place);
        // The last one is in its place.
        self.higher = 0;
    }

    /// Forgets half of what was counted.
    pub(super) fn age(&mut self) {
        for Count { count, error } in &mut self.counts {
            *count /= 2;
            *error /= 2;
        }
        // The order decides among equals, so it stays.
        let mut counts = self.counts.iter();
        self.hashes.retain(|_| counts.next().is_some_and(|known| known.count > 0));
        self.counts.retain(|known| known.count > 0);
        (self.least, self.higher) = (0, 0);
    }

    pub(super) fn bytes(&self) -> usize {
        self.hashes.capacity() * size_of::<u32>() + self.counts.capacity() * size_of::<Count>()
    }

    fn place(&self, hash: u32) -> Option<usize> {
        // Without a branch for each of them, so that the compiler compares several at a time.
        let is_in = |hashes: &&[u32]| hashes.iter().fold(false, |found, known| found | (*known == hash));
        let found = self.hashes.chunks(8).position(|hashes| is_in(&hashes))? * 8;
        let within = self.hashes[found..].iter().position(|known| *known == hash)?;
        Some(found + within)
    }

    /// The first of those with the lowest count. Counts only grow between two calls, and a new one is not the
    /// lowest, so the search goes on where the last one ended.
    fn first_of_the_least(&mut self) -> Option<usize> {
        let from = self.higher as usize;
        let next = self.counts.get(from..).unwrap_or_default().iter();
        let place = match next.clone().position(|known| known.count <= self.least) {
            Some(place) => from + place,
            None => {
                self.least = self.counts.iter().map(|known| known.count).min()?;
                self.counts.iter().position(|known| known.count == self.least)?
            }
        };
        self.higher = place as u32;
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::Candidates;

    /// The same, looked up plainly: hash, count and error.
    #[derive(Default)]
    struct Plain(Vec<(u32, u32, u32)>);

    impl Plain {
        fn count(&mut self, hash: u32, room: usize) -> Option<(usize, u32)> {
            if let Some(place) = self.0.iter().position(|known| known.0 == hash) {
                self.0[place].1 += 1;
                return Some((place, self.0[place].1 - self.0[place].2));
            }
            if self.0.len() < room {
                self.0.push((hash, 1, 0));
            } else if let Some(least) = self.0.iter_mut().min_by_key(|known| known.1) {
                *least = (hash, least.1 + 1, least.1);
            }
            None
        }

        fn age(&mut self) {
            self.0.iter_mut().for_each(|known| *known = (known.0, known.1 / 2, known.2 / 2));
            self.0.retain(|known| known.1 > 0);
        }
    }

    proptest! {
        #[test]
        fn the_same_words_are_kept_as_in_a_plain_search(
            steps in prop::collection::vec((any::<u8>(), 0..200_u32), 0..600),
            room in 1..20_usize,
        ) {
            let (mut quick, mut plain) = (Candidates::default(), Plain::default());
            for (kind, hash) in steps {
                // Some words come often.
                let hash = if hash < 100 { hash % 7 } else { hash };
                let found = quick.count(hash, room);
                assert_eq!(found, plain.count(hash, room));
                if let (true, Some((place, _))) = (kind < 8, found) {
                    quick.remove(place);
                    plain.0.swap_remove(place);
                }
                if kind == 255 {
                    quick.age();
                    plain.age();
                }
                let counts = quick.hashes.iter().zip(&quick.counts);
                let all: Vec<_> = counts.map(|(hash, known)| (*hash, known.count, known.error)).collect();
                assert_eq!(all, plain.0);
            }
        }
    }
}
