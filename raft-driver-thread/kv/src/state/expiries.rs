//! When keys expire.
//!
//! A key is gone from the state at the entry whose time reaches its expiry: the same one on all
//! servers, however many keys expire with it. That costs one subtraction for each millisecond in
//! which keys expire. To remove the keys from the trees takes longer: a second for some hundred
//! thousands, while all others would wait. So they are removed in steps, and until then a look at a
//! key includes its expiry. When a server removes them shows in nothing: no reply, no digest and no
//! snapshot depends on it.

use super::totals::Totals;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// When a key expires. The order is that of expiring.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct KeyExpiry {
    /// Milliseconds since 1970.
    expiry: u64,
    name: Bytes,
}

/// The keys that have an expiry.
#[derive(Clone, Debug, Default)]
pub(super) struct Expiries {
    /// Also those that have expired, and that are still to be removed.
    keys: BTreeSet<KeyExpiry>,
    /// What those that expire at the same time count for. They have not expired.
    totals: BTreeMap<u64, Totals>,
    /// How many of `keys` have expired.
    expired: usize,
}

impl Expiries {
    /// Whether no key has an expiry; not even one that has expired.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys will expire.
    pub(super) fn len(&self) -> usize {
        self.keys.len() - self.expired
    }

    /// How many keys have expired, and are still to be removed.
    pub(super) fn expired(&self) -> usize {
        self.expired
    }

    /// When the next key will expire.
    pub(super) fn next(&self) -> Option<u64> {
        self.totals.first_key_value().map(|(next, _)| *next)
    }

    /// Returns what the keys count for that expire up to `time`.
    pub(super) fn expire(&mut self, time: u64) -> Totals {
        let mut expired = Totals::default();
        while let Some(first) = self.totals.first_entry()
            && *first.key() <= time
        {
            expired.add(first.remove());
        }
        self.expired += expired.keys as usize;
        expired
    }

    /// The name of a key that has expired, for it to be removed; `None` if there is none.
    pub(super) fn take_expired(&mut self) -> Option<Bytes> {
        self.expired = self.expired.checked_sub(1)?;
        self.keys.pop_first().map(|key| key.name)
    }

    /// A key has an expiry.
    pub(super) fn insert(&mut self, name: &Bytes, expiry: u64) {
        let name = name.clone();
        self.keys.insert(KeyExpiry { expiry, name });
    }

    /// A key that was stored has its expiry no more, or is gone. It may have expired before `time`.
    pub(super) fn remove(&mut self, name: &Bytes, expiry: u64, time: u64) {
        let name = name.clone();
        let was_there = self.keys.remove(&KeyExpiry { expiry, name });
        self.expired -= usize::from(was_there && expiry <= time);
    }

    /// A key that expires then counts for so much more.
    pub(super) fn count(&mut self, expiry: u64, more: Totals) {
        self.totals.entry(expiry).or_default().add(more);
    }

    /// A key that expires then counts for so much less.
    pub(super) fn uncount(&mut self, expiry: u64, less: Totals) {
        if let Some(totals) = self.totals.get_mut(&expiry) {
            totals.take(less);
            if totals.keys == 0 {
                self.totals.remove(&expiry);
            }
        }
    }
}
