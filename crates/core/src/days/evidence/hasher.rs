//! A quick hash for the small tables of this module, whose keys are few octets.
//!
//! Keys that collide on purpose gain nothing: no table has more than a few hundred entries.

use std::hash::{BuildHasherDefault, Hasher};

/// The state of a table's hash.
pub type Quick = BuildHasherDefault<Fnv>;

/// FNV-1a in 64 bits.
#[derive(Clone, Copy, Debug)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
