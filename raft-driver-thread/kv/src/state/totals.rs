//! What keys count for together: their number, their memory, their digest.

use super::digest::KeyDigest;
use super::keyspace::Value;

/// What a key takes besides its name and its value: its places in the trees, and the parts of
/// these that are not filled. As measured; a rule of the replicated state.
pub(super) const KEY_OVERHEAD: u64 = 300;

/// The sums over some keys, with their values and expiries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) keys: u64,
    /// About how many bytes of memory they take.
    pub(super) bytes: u64,
    pub(super) digest: u128,
}

/// What one key counts for, with this or that value.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyTotals {
    name_bytes: u64,
    digest: KeyDigest,
}

impl KeyTotals {
    pub(super) fn new(name: &[u8]) -> KeyTotals {
        KeyTotals {
            name_bytes: name.len() as u64,
            digest: KeyDigest::new(name),
        }
    }

    pub(super) fn whole(self, value: &Value) -> Totals {
        Totals {
            keys: 1,
            bytes: KEY_OVERHEAD + self.name_bytes + value.bytes.len() as u64,
            digest: self.digest.whole(value),
        }
    }

    /// What changes with the expiry of the value.
    pub(super) fn head(self, value: &Value) -> u128 {
        self.digest.head(value.bytes.len(), value.expiry())
    }

    /// What changes when bytes are added behind the first `length`.
    pub(super) fn end(self, value: &Value, length: usize) -> Totals {
        let blocks = self.digest.blocks_from(&value.bytes, length);
        Totals {
            keys: 0,
            bytes: value.bytes.len().saturating_sub(length) as u64,
            digest: self.head(value).wrapping_add(blocks),
        }
    }
}

impl Totals {
    pub(super) fn add(&mut self, more: Totals) {
        self.keys += more.keys;
        self.bytes += more.bytes;
        self.digest = self.digest.wrapping_add(more.digest);
    }

    /// Takes away what was added.
    pub(super) fn take(&mut self, less: Totals) {
        self.keys -= less.keys;
        self.bytes -= less.bytes;
        self.digest = self.digest.wrapping_sub(less.digest);
    }
}
