//! Numbers drawn by chance, the same ones for the same seed.

use std::time::{SystemTime, UNIX_EPOCH};

/// A generator in the manner of SplitMix64: enough to choose moments.
pub(crate) struct Chance(u64);

impl Chance {
    /// Starts from `HEADWATER_SEED`, or from the clock, and prints the seed.
    pub(crate) fn from_environment() -> Self {
        let seed = match std::env::var("HEADWATER_SEED") {
            Ok(seed) => seed.parse().unwrap(),
            Err(_) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                u64::from(now.subsec_nanos())
            }
        };
        println!("HEADWATER_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` on, below `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low)
    }

    pub(crate) fn one_in(&mut self, sides: u64) -> bool {
        self.next().is_multiple_of(sides)
    }
}
