//! The keys with their expiries, and the time that these are compared with.

use super::command::Command;
use super::expiries::Expiries;
use super::keyspace::{Key, Keyspace, Value};
use super::payload::StoredKey;
use super::query::Query;
use super::removed::{Disposal, Removed};
use super::reply::Reply;
use super::totals::{KeyTotals, Totals};
use bytes::Bytes;

/// Keys with values, some of which expire.
///
/// The store reads no clock: the same calls give the same state on every machine. A key is gone as
/// soon as the store's time reaches its expiry, so no expired key is ever found.
#[derive(Clone, Debug, Default)]
pub struct Store {
    /// Also those that have expired, and that are still to be removed.
    keys: Keyspace,
    /// The expiries of `keys`, and no others.
    expiries: Expiries,
    /// Milliseconds since 1970.
    time: u64,
    /// What all keys count for that have not expired.
    totals: Totals,
    disposal: Disposal,
    own: OwnFigures,
}

/// What is not part of the state: it begins anew with each process.
#[derive(Clone, Copy, Debug, Default)]
struct OwnFigures {
    /// How many keys have expired.
    expired: u64,
    /// The most bytes that there were.
    peak: u64,
    /// How many keys were given an expiry since the last step of removing.
    new_expiries: usize,
}

/// How many expired keys are removed in a step, which takes some milliseconds.
const REMOVED_IN_A_STEP: usize = 1024;

impl Store {
    /// No keys, in 1970.
    pub fn new() -> Store {
        Store::default()
    }

    /// The keys that another store had at `time`.
    pub(super) fn from_keys(time: u64, keys: Keyspace) -> Store {
        let (mut totals, mut expiries) = (Totals::default(), Expiries::default());
        for (key, value) in keys.iter() {
            let own = KeyTotals::new(key.name).whole(value);
            totals.add(own);
            if let Some(expiry) = value.expiry() {
                expiries.insert(&Bytes::copy_from_slice(key.name), expiry);
                expiries.count(expiry, own);
            }
        }
        Store {
            keys,
            expiries,
            time,
            totals,
            ..Store::default()
        }
    }

    /// The latest time that the store was told: milliseconds since 1970.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// How many keys there are.
    pub fn len(&self) -> u64 {
        self.totals.keys
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how many bytes of memory the keys and their values take.
    pub fn used_bytes(&self) -> u64 {
        self.totals.bytes
    }

    /// The most that [`used_bytes`](Store::used_bytes) has been. Not part of the state.
    pub fn peak_used_bytes(&self) -> u64 {
        self.own.peak
    }

    /// How many keys have expired since this store was made. Not part of the state.
    pub fn expired_key_count(&self) -> u64 {
        self.own.expired
    }

    /// How many of those are still in memory, until [`remove_expired`](Store::remove_expired)
    /// removes them.
    pub fn unremoved_key_count(&self) -> u64 {
        self.expiries.expired() as u64
    }

    /// The sum of the digests of all keys with their values and expiries. It does not depend on how
    /// they came about.
    pub fn digest(&self) -> u128 {
        self.totals.digest
    }

    /// How many keys have an expiry.
    pub fn expiring_key_count(&self) -> u64 {
        self.expiries.len() as u64
    }

    /// When the next key expires, in milliseconds since 1970; always after the store's time.
    pub fn next_expiry(&self) -> Option<u64> {
        self.expiries.next()
    }

    /// Lets time pass up to `unix_millis`, in milliseconds since 1970, and keys expire. A time
    /// before the store's changes nothing.
    pub fn advance_to(&mut self, unix_millis: u64) {
        self.time = self.time.max(unix_millis);
        let expired = self.expiries.expire(self.time);
        self.totals.take(expired);
        self.own.expired += expired.keys;
    }

    /// Removes some of the keys that have expired from memory: a bounded number, and two for each
    /// key that was given an expiry since the last step, so that it never falls behind. The state
    /// stays what it is.
    pub fn remove_expired(&mut self) {
        let more = 2 * std::mem::take(&mut self.own.new_expiries);
        for _ in 0..REMOVED_IN_A_STEP + more {
            let Some(name) = self.expiries.take_expired() else {
                return;
            };
            self.keys.remove(&Key::new(name));
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
            count: self.len(),
        }
    }

    pub(super) fn keyspace(&self) -> &Keyspace {
        &self.keys
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        let value = self.keys.get(key);
        value.filter(|value| value.is_alive_at(self.time))
    }

    /// Lets `append` add to a value's bytes in place, behind those that are there. Returns whether
    /// there is such a key.
    pub(super) fn append_bytes(&mut self, key: &Key, append: impl FnOnce(&mut Bytes)) -> bool {
        let time = self.time;
        let value = self.keys.get_mut(key);
        let Some(value) = value.filter(|value| value.is_alive_at(time)) else {
            return false;
        };
        let (key, length) = (KeyTotals::new(key.name()), value.bytes.len());
        let before = key.end(value, length);
        append(&mut value.bytes);
        let (after, expiry) = (key.end(value, length), value.expiry());
        self.uncount(before, expiry);
        self.count(after, expiry);
        self.note_peak();
        true
    }

    /// Sets a value, whose expiry must be after the store's time. Returns the old value.
    pub(super) fn put(&mut self, key: Key, value: Value) -> Option<Value> {
        if !self.expiries.is_empty() {
            let before = self.keys.get(&key).and_then(Value::expiry);
            self.remove_expiry(before, &key);
        }
        self.add_expiry(value.expiry(), &key);
        let totals = KeyTotals::new(key.name());
        self.count(totals.whole(&value), value.expiry());
        let before = self.keys.insert(key, value);
        let before = before.filter(|before| before.is_alive_at(self.time));
        if let Some(before) = &before {
            self.uncount(totals.whole(before), before.expiry());
        }
        self.note_peak();
        before
    }

    /// Returns the old value.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Value> {
        let before = self.keys.remove(key)?;
        self.remove_expiry(before.expiry(), key);
        if !before.is_alive_at(self.time) {
            return None;
        }
        let totals = KeyTotals::new(key.name()).whole(&before);
        self.uncount(totals, before.expiry());
        Some(before)
    }

    /// Sets the expiry of a key, which must be after the store's time. Returns the old expiry;
    /// `None` if there is no such key.
    pub(super) fn set_expiry(&mut self, key: &Key, expiry: Option<u64>) -> Option<Option<u64>> {
        let time = self.time;
        let value = self.keys.get_mut(key)?;
        if !value.is_alive_at(time) {
            return None;
        }
        if value.expiry() == expiry {
            return Some(expiry);
        }
        let totals = KeyTotals::new(key.name());
        let old = totals.whole(value);
        let rest = old.digest.wrapping_sub(totals.head(value));
        let before = value.set_expiry(expiry);
        let new = Totals {
            digest: rest.wrapping_add(totals.head(value)),
            ..old
        };
        self.uncount(old, before);
        self.count(new, expiry);
        self.remove_expiry(before, key);
        self.add_expiry(expiry, key);
        Some(before)
    }

    /// What a key with this expiry counts for, or a part of it.
    fn count(&mut self, more: Totals, expiry: Option<u64>) {
        self.totals.add(more);
        if let Some(expiry) = expiry {
            self.expiries.count(expiry, more);
        }
    }

    fn uncount(&mut self, less: Totals, expiry: Option<u64>) {
        self.totals.take(less);
        if let Some(expiry) = expiry {
            self.expiries.uncount(expiry, less);
        }
    }

    fn note_peak(&mut self) {
        self.own.peak = self.own.peak.max(self.used_bytes());
    }

    /// The keys are gone at once; to free them is left to the [`Disposal`].
    pub(super) fn clear(&mut self) {
        self.dispose();
    }

    /// Takes over the keys and the time of another store, and removes its own.
    pub(super) fn replace(&mut self, other: Store) {
        let (disposal, own) = (std::mem::take(&mut self.disposal), self.own);
        let other = Store {
            disposal,
            own,
            ..other
        };
        let mut before = std::mem::replace(self, other);
        before.disposal = self.disposal.clone();
        before.dispose();
        self.note_peak();
    }

    fn dispose(&mut self) {
        let keys = std::mem::take(&mut self.keys);
        let expiries = std::mem::take(&mut self.expiries);
        let totals = std::mem::take(&mut self.totals);
        self.disposal
            .take(Removed::new(keys, expiries, totals.bytes));
    }

    pub(super) fn set_disposal(&mut self, disposal: Disposal) {
        self.disposal = disposal;
    }

    fn add_expiry(&mut self, expiry: Option<u64>, key: &Key) {
        if let Some(expiry) = expiry {
            self.expiries.insert(key.name(), expiry);
            self.own.new_expiries += 1;
        }
    }

    fn remove_expiry(&mut self, expiry: Option<u64>, key: &Key) {
        if let Some(expiry) = expiry {
            self.expiries.remove(key.name(), expiry, self.time);
        }
    }
}
