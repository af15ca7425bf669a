//! Randomised election timeouts (section 5.2), so that split votes are rare and quickly resolved.

use crate::config::Config;
use core::time::Duration;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// A stream of timeouts: ChaCha keyed by seed and node id, read at a stored counter, so that
/// the state is two numbers that can be compared, hashed and stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Timeouts {
    drawn: u64,
}

impl Timeouts {
    pub(crate) fn new() -> Timeouts {
        Timeouts { drawn: 0 }
    }

    /// The next timeout: uniform from the least to just below the greatest.
    pub(crate) fn draw(&mut self, config: &Config) -> Duration {
        let range = config.election_timeout_max - config.election_timeout_min;
        config.election_timeout_min + self.draw_below(range, config)
    }

    /// A time below `range`, uniform.
    pub(crate) fn draw_below(&mut self, range: Duration, config: &Config) -> Duration {
        // Config::validate limits intervals to a day, so that they fit 64 bits.
        let part = (u128::from(self.draw_number(config)) * range.as_nanos()) >> 64;
        Duration::from_nanos(part as u64)
    }

    /// The next number of the stream.
    pub(crate) fn draw_number(&mut self, config: &Config) -> u64 {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&config.seed.to_le_bytes());
        key[8..16].copy_from_slice(&config.node_id.0.to_le_bytes());
        let mut stream = ChaCha8Rng::from_seed(key);
        stream.set_word_pos(u128::from(self.drawn) * 2);
        self.drawn = self.drawn.wrapping_add(1);
        stream.next_u64()
    }
}
