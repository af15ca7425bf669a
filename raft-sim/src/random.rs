//! Randomness: every random number of a simulation comes from a stream of one seed.

use core::time::Duration;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random numbers, the same on every machine for the same seed and label.
///
/// Each part of a simulation has a stream of its own, named by a label. A change in what one part
/// draws leaves the others as they were, so that a small change of the code does not change every
/// run.
///
/// ```
/// use raft_sim::random::Random;
///
/// let mut network = Random::new(42, "network");
/// let mut again = Random::new(42, "network");
/// assert_eq!(network.next_u64(), again.next_u64());
/// assert_ne!(network.next_u64(), Random::new(42, "disks").next_u64());
/// ```
#[derive(Clone, Debug)]
pub struct Random {
    generator: ChaCha8Rng,
}

impl Random {
    /// The stream `label` of `seed`.
    pub fn new(seed: u64, label: &str) -> Random {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        // Two independent FNV-1a hashes of the label: among the few labels of a program, no two
        // will have all 128 bits in common.
        key[8..16].copy_from_slice(&fnv1a(0xcbf2_9ce4_8422_2325, label).to_le_bytes());
        key[16..24].copy_from_slice(&fnv1a(0x9e37_79b9_7f4a_7c15, label).to_le_bytes());
        Random {
            generator: ChaCha8Rng::from_seed(key),
        }
    }

    /// The stream `label`, whose seed is the next number of this stream.
    pub fn fork(&mut self, label: &str) -> Random {
        Random::new(self.next_u64(), label)
    }

    /// Any number.
    pub fn next_u64(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// A uniform number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of a 128-bit product: uniform enough (the error is bound / 2^64), and one
        // draw for any bound.
        let product = u128::from(self.next_u64()) * u128::from(bound);
        (product >> 64) as u64
    }

    /// A uniform number from `low` to `high`, both included; `low` if `high` is less.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// A uniform time from `low` to just below `high`, in nanoseconds; `low` if that is empty.
    pub fn duration(&mut self, low: Duration, high: Duration) -> Duration {
        let width = high.saturating_sub(low).as_nanos();
        low + Duration::from_nanos(self.below(u64::try_from(width).unwrap_or(u64::MAX)))
    }

    /// True with a probability of `per_mille` in 1000.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of `all`, each with the same probability; `None` if it is empty.
    pub fn choose<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let at = self.below(all.len() as u64);
        all.get(at as usize)
    }
}

fn fnv1a(basis: u64, label: &str) -> u64 {
    label.bytes().fold(basis, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
