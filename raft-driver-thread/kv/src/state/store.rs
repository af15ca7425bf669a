//! The keys with their expiries, and the time that these are compared with.

use super::command::Command;
use super::digest::KeyDigest;
use super::keyspace::{Key, Keyspace, Value};
use super::payload::StoredKey;
use super::query::Query;
use super::removed::{Disposal, KeyExpiry, Removed};
use super::reply::Reply;
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
    /// What [`used_bytes`](Store::used_bytes) returns.
    used: u64,
    /// The sum of the digests of all keys.
    digest: u128,
    disposal: Disposal,
}

/// What a key takes besides its name and its value: its places in the trees, and the parts of
/// these that are not filled. As measured; a rule of the replicated state.
const KEY_OVERHEAD: u64 = 300;

/// What a key counts in [`Store::used_bytes`].
fn cost(name: &[u8], value: &[u8]) -> u64 {
    KEY_OVERHEAD + name.len() as u64 + value.len() as u64
}

impl Store {
    /// No keys, in 1970.
    pub fn new() -> Store {
        Store::default()
    }

    /// The keys that another store had at `time`.
    pub(super) fn from_keys(time: u64, keys: Keyspace) -> Store {
        let expiries = keys.iter().filter_map(|(key, value)| {
            let expiry = value.expiry()?;
            let name = Bytes::copy_from_slice(key.name);
            Some(KeyExpiry { expiry, name })
        });
        let expiries = expiries.collect();
        let costs = (keys.iter()).map(|(key, value)| cost(key.name, &value.bytes));
        let digests = (keys.iter()).map(|(key, value)| KeyDigest::new(key.name).whole(value));
        Store {
            used: costs.sum(),
            digest: digests.fold(0, u128::wrapping_add),
            keys,
            expiries,
            time,
            disposal: Disposal::default(),
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

    /// About how many bytes of memory the keys and their values take.
    pub fn used_bytes(&self) -> u64 {
        self.used
    }

    /// The sum of the digests of all keys with their values and expiries. It does not depend on how
    /// they came about.
    pub fn digest(&self) -> u128 {
        self.digest
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
            let key = Key::new(expired.name);
            if let Some(value) = self.keys.remove(&key) {
                self.forget(&key, &value);
            }
        }
    }

    /// Sets a key as a backup has it. If it has expired meanwhile, the key is removed.
    pub fn load(&mut self, stored: StoredKey) {
        let key = Key::new(stored.name);
        let (bytes, expiry) = (stored.value, stored.expiry);
        if expiry.is_some_and(|expiry| expiry <= self.time) {
            self.remove(&key);
        } else {
            self.put(key, Value::new(bytes, expiry));
        }
    }

    /// Runs a command that only reads. A command that writes is answered with an error.
    pub fn query(&self, command: &Command) -> Reply {
        self.at().answer(command)
    }

    /// The keys as they are, to be asked.
    pub(super) fn at(&self) -> Query<'_> {
        Query {
            keys: &self.keys,
            time: self.time,
        }
    }

    pub(super) fn keyspace(&self) -> &Keyspace {
        &self.keys
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.keys.get(key)
    }

    /// Lets `append` add to a value's bytes in place, behind those that are there. Returns whether
    /// there is such a key.
    pub(super) fn append_bytes(&mut self, key: &Key, append: impl FnOnce(&mut Bytes)) -> bool {
        let Some(value) = self.keys.get_mut(key) else {
            return false;
        };
        let (digest, before) = (KeyDigest::new(key.name()), value.bytes.len());
        let of_end = |value: &Value| {
            digest
                .head(value.bytes.len(), value.expiry())
                .wrapping_add(digest.blocks_from(&value.bytes, before))
        };
        let taken_away = self.digest.wrapping_sub(of_end(value));
        append(&mut value.bytes);
        self.digest = taken_away.wrapping_add(of_end(value));
        self.used = self.used - before as u64 + value.bytes.len() as u64;
        true
    }

    /// A value is not there any more.
    fn forget(&mut self, key: &Key, value: &Value) {
        self.used -= cost(key.name(), &value.bytes);
        self.digest = self
            .digest
            .wrapping_sub(KeyDigest::new(key.name()).whole(value));
    }

    /// Sets a value, whose expiry must be after the store's time. Returns the old value.
    pub(super) fn put(&mut self, key: Key, value: Value) -> Option<Value> {
        if !self.expiries.is_empty() {
            let before = self.keys.get(&key).and_then(Value::expiry);
            self.remove_expiry(before, &key);
        }
        self.add_expiry(value.expiry(), &key);
        self.used += cost(key.name(), &value.bytes);
        let digest = KeyDigest::new(key.name());
        self.digest = self.digest.wrapping_add(digest.whole(&value));
        let name_bytes = key.name().len() as u64;
        let before = self.keys.insert(key, value)?;
        self.used -= KEY_OVERHEAD + name_bytes + before.bytes.len() as u64;
        self.digest = self.digest.wrapping_sub(digest.whole(&before));
        Some(before)
    }

    /// Returns the old value.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Value> {
        let before = self.keys.remove(key)?;
        self.remove_expiry(before.expiry(), key);
        self.forget(key, &before);
        Some(before)
    }

    /// Sets the expiry of a key, which must be after the store's time. Returns the old expiry;
    /// `None` if there is no such key.
    pub(super) fn set_expiry(&mut self, key: &Key, expiry: Option<u64>) -> Option<Option<u64>> {
        let value = self.keys.get_mut(key)?;
        let before = value.set_expiry(expiry);
        let (digest, length) = (KeyDigest::new(key.name()), value.bytes.len());
        let taken_away = self.digest.wrapping_sub(digest.head(length, before));
        self.digest = taken_away.wrapping_add(digest.head(length, expiry));
        self.remove_expiry(before, key);
        self.add_expiry(expiry, key);
        Some(before)
    }

    /// The keys are gone at once; to free them is left to the [`Disposal`].
    pub(super) fn clear(&mut self) {
        (self.used, self.digest) = (0, 0);
        self.dispose();
    }

    /// Takes over the keys and the time of another store, and removes its own.
    pub(super) fn replace(&mut self, other: Store) {
        let disposal = std::mem::take(&mut self.disposal);
        let mut before = std::mem::replace(self, Store { disposal, ..other });
        before.disposal = self.disposal.clone();
        before.dispose();
    }

    fn dispose(&mut self) {
        let keys = std::mem::take(&mut self.keys);
        let expiries = std::mem::take(&mut self.expiries);
        self.disposal.take(Removed::new(keys, expiries));
    }

    pub(super) fn set_disposal(&mut self, disposal: Disposal) {
        self.disposal = disposal;
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
