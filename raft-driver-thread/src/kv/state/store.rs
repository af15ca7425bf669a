//! The keys, in an order in which a scan can go on by a number, and when they expire.

use bytes::Bytes;
use imbl::OrdMap;
use std::collections::BTreeSet;

/// The keys and their values. Copies share what they have in common, so one costs nothing but
/// what is changed later.
pub(super) type Keys = OrdMap<Key, Value>;

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

/// A key, in the order of a scan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    hash: u64,
    name: Bytes,
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) bytes: Bytes,
    /// From when on the key is not there: milliseconds since 1970.
    pub(super) expiry: Option<u64>,
}

impl Key {
    pub(super) fn new(name: Bytes) -> Key {
        Key {
            hash: hash(&name),
            name,
        }
    }

    /// No key with such a hash comes before it.
    pub(super) fn first_of(hash: u64) -> Key {
        Key {
            hash,
            name: Bytes::new(),
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn name(&self) -> &Bytes {
        &self.name
    }
}

/// Where a key stands in a scan: FNV-1a of 64 bits, folded to 53 as its authors advise.
///
/// It must be the same on all machines and in all releases: cursors, snapshots and backups depend
/// on it. It has no more bits because clients in JavaScript take cursors for floating-point
/// numbers. It need not withstand an adversary, who gains nothing but long answers to scans: keys
/// are found in logarithmic time whatever their hashes.
fn hash(name: &[u8]) -> u64 {
    const BITS: u32 = 53;
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> BITS) ^ (hash & ((1 << BITS) - 1))
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
            Some((expiry, key.name.clone()))
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
    pub fn expiries(&self) -> u64 {
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
        if let Some(expiry) = value.expiry {
            self.expiries.insert((expiry, key.name.clone()));
        }
        // A key that is there stays: it is what the map and `expiries` hold already.
        let Some(there) = self.keys.get_mut(&key) else {
            self.keys.insert(key, value);
            return None;
        };
        let expiry = value.expiry;
        let before = std::mem::replace(there, value);
        if before.expiry != expiry {
            self.forget_expiry(before.expiry, &key);
        }
        Some(before)
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
            self.expiries.insert((expiry, key.name.clone()));
        }
        Some(before)
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.expiries.clear();
    }

    fn forget_expiry(&mut self, expiry: Option<u64>, key: &Key) {
        if let Some(expiry) = expiry {
            self.expiries.remove(&(expiry, key.name.clone()));
        }
    }
}
