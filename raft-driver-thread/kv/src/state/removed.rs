//! Keys that were removed all at once, and that are still to be freed.

use super::expiries::Expiries;
use super::keyspace::Keyspace;
use super::totals::KEY_OVERHEAD;
use std::fmt;
use std::sync::Arc;

/// Keys that are not in the state any more. To drop them takes time by their number: about a second
/// for some millions.
#[derive(Debug)]
pub struct Removed {
    keys: Keyspace,
    bytes: u64,
    /// Freed with them.
    _expiries: Expiries,
}

impl Removed {
    /// Keys of which those that have not expired take about so many bytes of memory.
    pub(super) fn new(keys: Keyspace, expiries: Expiries, bytes: u64) -> Removed {
        Removed {
            bytes: bytes.max(KEY_OVERHEAD * keys.len() as u64),
            keys,
            _expiries: expiries,
        }
    }

    /// About how many bytes of memory they take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many keys there are.
    pub fn key_count(&self) -> u64 {
        self.keys.len() as u64
    }
}

/// What becomes of [`Removed`] keys. The default drops them at once.
#[derive(Clone)]
pub struct Disposal(Arc<dyn Fn(Removed) + Send + Sync>);

impl Disposal {
    /// Calls `take` with what is removed, in the thread that removes it. `take` should return at once.
    pub fn new(take: impl Fn(Removed) + Send + Sync + 'static) -> Disposal {
        Disposal(Arc::new(take))
    }

    pub(super) fn take(&self, removed: Removed) {
        (self.0)(removed);
    }
}

impl Default for Disposal {
    fn default() -> Disposal {
        Disposal::new(drop)
    }
}

impl fmt::Debug for Disposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disposal")
    }
}
