//! What an entry must not exceed.

use serde::{Deserialize, Serialize};

/// The longest value that APPEND makes where the entry gives [no other limit](Limits): 512 MiB, as
/// in Redis. It is a rule of the replicated state: servers that disagreed about it would diverge.
pub const MAX_APPENDED_BYTES: usize = 512 << 20;

/// What an operation must not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How many [bytes](super::Machine::used_bytes) the keys may take before commands that could
    /// take more are refused; `None`: as many as they like.
    pub max_memory: Option<u64>,
    /// The longest value that APPEND makes.
    pub max_value_bytes: u64,
}

impl Limits {
    /// The limits of an operation that names none.
    pub const DEFAULT: Limits = Limits {
        max_memory: None,
        max_value_bytes: MAX_APPENDED_BYTES as u64,
    };
}
