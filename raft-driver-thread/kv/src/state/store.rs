//! The keys, in an order in which a scan can go on by a number, and when they expire.

use super::keys::{Key, Keys, Value};
use bytes::Bytes;
use std::collections::BTreeSet;

/// Keys with values, some of which expire, and the time that they compare with.
///
/// Time is only what it is told: the same calls give the same state on every machine. No key that
/// has expired is ever found in it.
#[derive(Clone, Debug, Default)]
pub struct Store {
    keys: Keys,
    /// The keys of those that expire, by when. Never one that `keys` has otherwise.
    expiries: BTreeSet<(u64, Bytes)>,
    /// Milliseconds since 1970.
    time: u64,
}

impl Store {
    /// No keys, in 1970.
    pub fn new() -> Store {
        Store::default()
    }

    /// Keys that were valid at a time, as they were taken from another store.
    pub(super) fn from_keys(time: u64, keys: Keys) -> Store {
        let expiries = keys.iter().filter_map(|(key, value)| {
            let expiry = value.expiry?;
            Some((expiry, key.name().clone()))
        });
        let expiries = expiries.collect();
        Store {
            keys,
            expiries,
            time,
        }
    }

    /// The latest time seen: milliseconds since 1970.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// How many keys there are.
    pub fn len(&self) -> u64 {
        self.keys.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys will expire.
    pub fn expiring_key_count(&self) -> u64 {
        self.expiries.len() as u64
    }

    /// When the next key expires, in milliseconds since 1970; always after the store's time.
    pub fn next_expiry(&self) -> Option<u64> {
        self.expiries.first().map(|(expiry, _)| *expiry)
    }

    /// Lets time pass up to `millis` since 1970, and keys expire. An earlier time than the latest
    /// seen changes nothing.
    pub fn advance(&mut self, millis: u64) {
        self.time = self.time.max(millis);
        while self.next_expiry().is_some_and(|next| next <= self.time) {
            let Some((_, name)) = self.expiries.pop_first() else {
                return;
            };
            self.keys.remove(&Key::new(name));
        }
    }

    /// Gives a key a value as a backup has it: with an expiry in milliseconds since 1970. If it
    /// has expired already, the key is not there afterwards.
    pub fn load(&mut self, name: Bytes, bytes: Bytes, expiry: Option<u64>) {
        let key = Key::new(name);
        if expiry.is_some_and(|expiry| expiry <= self.time) {
            self.remove(&key);
        } else {
            self.put(key, Value { bytes, expiry });
        }
    }

    pub(super) fn all(&self) -> &Keys {
        &self.keys
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.keys.get(key)
    }

    /// Its bytes to be changed in place. Its expiry is changed by
    /// [`set_expiry`](Store::set_expiry).
    pub(super) fn bytes_mut(&mut self, key: &Key) -> Option<&mut Bytes> {
        self.keys.get_mut(key).map(|value| &mut value.bytes)
    }

    /// The value before. An expiry has to be after the store's time.
    pub(super) fn put(&mut self, key: Key, value: Value) -> Option<Value> {
        if !self.expiries.is_empty() {
            let before = self.keys.get(&key).and_then(|before| before.expiry);
            self.forget_expiry(before, &key);
        }
        if let Some(expiry) = value.expiry {
            self.expiries.insert((expiry, key.name().clone()));
        }
        self.keys.insert(key, value)
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Value> {
        let before = self.keys.remove(key)?;
        self.forget_expiry(before.expiry, key);
        Some(before)
    }

    /// The expiry before, if the key is there. The new one has to be after the store's time.
    pub(super) fn set_expiry(&mut self, key: &Key, expiry: Option<u64>) -> Option<Option<u64>> {
        let value = self.keys.get_mut(key)?;
        let before = std::mem::replace(&mut value.expiry, expiry);
        self.forget_expiry(before, key);
        if let Some(expiry) = expiry {
            self.expiries.insert((expiry, key.name().clone()));
        }
        Some(before)
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.expiries.clear();
    }

    fn forget_expiry(&mut self, expiry: Option<u64>, key: &Key) {
        if let Some(expiry) = expiry {
            self.expiries.remove(&(expiry, key.name().clone()));
        }
    }
}
