//! The only source of chance.
//!
//! What chance decides in a command comes from here and not from a generator of its own, so that a
//! server that starts from a known seed does the same again.

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::rand::GetRandomFlags;

/// A sequence of random numbers that all threads draw from (`SplitMix64` of Steele, Lea and Flood,
/// 2014). Not for secrets.
pub(crate) struct Chance {
    state: AtomicU64,
}

/// How far the state moves with each number.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            state: AtomicU64::new(seed),
        }
    }

    /// The next number; every value of 64 bits is equally likely.
    pub(crate) fn next(&self) -> u64 {
        let mut z = self.state.fetch_add(STEP, Ordering::Relaxed);
        z = z.wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Bytes from the kernel's generator: for what must differ between any two servers.
pub(crate) fn from_kernel<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let filled = rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty());
    assert_eq!(
        filled.ok(),
        Some(N),
        "the kernel fills small requests at once"
    );
    bytes
}

/// Forty hexadecimal digits from the kernel's generator: a name that nobody else has.
pub(crate) fn random_id() -> String {
    let bytes = from_kernel::<20>();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_the_sequence() {
        // The published sequence for this seed.
        let chance = Chance::new(1_234_567);
        let drawn = [chance.next(), chance.next(), chance.next()];
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }
}
