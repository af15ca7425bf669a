//! Keys that were removed all at once, and that are still to be freed.

use super::keyspace::Keyspace;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// When a key expires. The order is that of expiring.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyExpiry {
    /// Milliseconds since 1970.
    pub(super) expiry: u64,
    pub(super) name: Bytes,
}

/// Keys that are not in the state any more. To drop them takes time by their number: about a second
/// for some millions.
#[derive(Debug)]
pub struct Removed {
    keys: Keyspace,
    /// Freed with them.
    _expiries: BTreeSet<KeyExpiry>,
}

impl Removed {
    pub(super) fn new(keys: Keyspace, expiries: BTreeSet<KeyExpiry>) -> Removed {
        Removed {
            keys,
            _expiries: expiries,
        }
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
