//! The keys with their expiries, and the time that these are compared with.

use super::keyspace::{Key, Keyspace, Value};
use super::payload::StoredKey;
use bytes::Bytes;
use std::collections::BTreeSet;

/// Keys with values, some of which expire.
///
/// The store reads no clock: the same calls give the same state on every machine. A key is removed
/// as soon as the store's time reaches its expiry, so no expired key is ever found.
#[derive(Clone, Debug, Default)]
pub struct Store {
    keys: Keyspace,
    /// The expiries of `keys`, and no others.
    expiries: BTreeSet<KeyExpiry>,
    /// Milliseconds since 1970.
    time: u64,
}

/// When a key expires. The order is that of expiring.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct KeyExpiry {
    /// Milliseconds since 1970.
    expiry: u64,
    name: Bytes,
}

impl Store {
    /// No keys, in 1970.
    pub fn new() -> Store {
        Store::default()
    }

    /// The keys that another store had at `time`.
    pub(super) fn from_keys(time: u64, keys: Keyspace) -> Store {
        let expiries = keys.iter().filter_map(|(key, value)| {
            let name = key.name().clone();
            value.expiry.map(|expiry| KeyExpiry { expiry, name })
        });
        let expiries = expiries.collect();
        Store {
            keys,
            expiries,
            time,
        }
    }

    /// The latest time that the store was told: milliseconds since 1970.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// How many keys there are.
    pub fn len(&self) -> u64 {
        self.keys.len() as u64
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys have an expiry.
    pub fn expiring_key_count(&self) -> u64 {
        self.expiries.len() as u64
    }

    /// When the next key expires, in milliseconds since 1970; always after the store's time.
    pub fn next_expiry(&self) -> Option<u64> {
        self.expiries.first().map(|next| next.expiry)
    }

    /// Lets time pass up to `unix_millis`, in milliseconds since 1970, and keys expire. A time
    /// before the store's changes nothing.
    pub fn advance_to(&mut self, unix_millis: u64) {
        self.time = self.time.max(unix_millis);
        while self.next_expiry().is_some_and(|next| next <= self.time) {
            let Some(expired) = self.expiries.pop_first() else {
                return;
            };
            self.keys.remove(&Key::new(expired.name));
        }
    }

    /// Sets a key as a backup has it. If it has expired meanwhile, the key is removed.
    pub fn load(&mut self, stored: StoredKey) {
        let key = Key::new(stored.name);
        let (bytes, expiry) = (stored.value, stored.expiry);
        if expiry.is_some_and(|expiry| expiry <= self.time) {
            self.remove(&key);
        } else {
            self.put(key, Value { bytes, expiry });
        }
    }

    pub(super) fn keyspace(&self) -> &Keyspace {
        &self.keys
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.keys.get(key)
    }

    /// A value's bytes, to be changed in place. The expiry is changed by
    /// [`set_expiry`](Store::set_expiry).
    pub(super) fn bytes_mut(&mut self, key: &Key) -> Option<&mut Bytes> {
        self.keys.get_mut(key).map(|value| &mut value.bytes)
    }

    /// Sets a value, whose expiry must be after the store's time. Returns the old value.
    pub(super) fn put(&mut self, key: Key, value: Value) -> Option<Value> {
        if !self.expiries.is_empty() {
            let before = self.keys.get(&key).and_then(|before| before.expiry);
            self.remove_expiry(before, &key);
        }
        self.add_expiry(value.expiry, &key);
        self.keys.insert(key, value)
    }

    /// Returns the old value.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Value> {
        let before = self.keys.remove(key)?;
        self.remove_expiry(before.expiry, key);
        Some(before)
    }

    /// Sets the expiry of a key, which must be after the store's time. Returns the old expiry;
    /// `None` if there is no such key.
    pub(super) fn set_expiry(&mut self, key: &Key, expiry: Option<u64>) -> Option<Option<u64>> {
        let value = self.keys.get_mut(key)?;
        let before = std::mem::replace(&mut value.expiry, expiry);
        self.remove_expiry(before, key);
        self.add_expiry(expiry, key);
        Some(before)
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.expiries.clear();
    }

    fn add_expiry(&mut self, expiry: Option<u64>, key: &Key) {
        if let Some(expiry) = expiry {
            let name = key.name().clone();
            self.expiries.insert(KeyExpiry { expiry, name });
        }
    }

    fn remove_expiry(&mut self, expiry: Option<u64>, key: &Key) {
        if let Some(expiry) = expiry {
            let name = key.name().clone();
            self.expiries.remove(&KeyExpiry { expiry, name });
        }
    }
}
