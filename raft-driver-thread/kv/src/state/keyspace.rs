//! The keys and their values, in the order of a scan.

use bytes::Bytes;
use imbl::OrdMap;
use std::cmp::Ordering;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

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
    /// When the key expires: milliseconds since 1970.
    pub(super) expiry: Option<u64>,
}

/// The keys and their values. A copy shares everything with the original until one of them
/// changes, so taking one costs almost nothing.
///
/// The tree is ordered by hashes, which are small and lie next to each other in memory. So a search
/// touches little memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Keyspace {
    buckets: OrdMap<u64, Arc<Bucket>>,
    len: usize,
}

/// The keys with one hash; hardly ever more than one.
#[derive(Clone, Debug)]
struct Bucket {
    /// The first key.
    key: Key,
    value: Value,
    /// The keys after it.
    others: OrdMap<Key, Value>,
}

impl Key {
    pub(super) fn new(name: Bytes) -> Key {
        Key {
            hash: hash(&name),
            name,
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn name(&self) -> &Bytes {
        &self.name
    }
}

/// A key's place in a scan: FNV-1a of 64 bits, folded to 53 as its authors advise.
///
/// The hash must be the same on all machines and in all releases: cursors, snapshots and backups
/// depend on it. It has no more bits because clients in JavaScript read cursors as floating-point
/// numbers. It need not withstand an adversary, who would gain only long answers to scans: keys
/// are found in logarithmic time whatever their hashes are.
fn hash(name: &[u8]) -> u64 {
    const BITS: u32 = 53;
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> BITS) ^ (hash & ((1 << BITS) - 1))
}

impl Keyspace {
    pub(super) fn new() -> Keyspace {
        Keyspace::default()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        let bucket = self.buckets.get(&key.hash)?;
        if bucket.key == *key {
            Some(&bucket.value)
        } else {
            bucket.others.get(key)
        }
    }

    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Value> {
        let bucket = Arc::make_mut(self.buckets.get_mut(&key.hash)?);
        if bucket.key == *key {
            Some(&mut bucket.value)
        } else {
            bucket.others.get_mut(key)
        }
    }

    /// Returns the old value.
    pub(super) fn insert(&mut self, key: Key, value: Value) -> Option<Value> {
        let Some(shared) = self.buckets.get_mut(&key.hash) else {
            let bucket = Bucket::new(key, value);
            self.buckets.insert(bucket.key.hash, Arc::new(bucket));
            self.len += 1;
            return None;
        };
        let before = match Arc::get_mut(shared) {
            Some(bucket) => bucket.insert(key, value),
            None => {
                let mut bucket = (**shared).clone();
                let before = bucket.insert(key, value);
                *shared = Arc::new(bucket);
                before
            }
        };
        self.len += usize::from(before.is_none());
        before
    }

    /// Returns the old value.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Value> {
        let shared = self.buckets.get(&key.hash)?;
        let before = if shared.key != *key {
            shared.others.get(key)?;
            let shared = self.buckets.get_mut(&key.hash)?;
            Arc::make_mut(shared).others.remove(key)?
        } else if shared.others.is_empty() {
            let removed = self.buckets.remove(&key.hash)?;
            Arc::unwrap_or_clone(removed).value
        } else {
            let bucket = Arc::make_mut(self.buckets.get_mut(&key.hash)?);
            let (first, value) = bucket.others.get_min()?.clone();
            bucket.others.remove(&first);
            bucket.key = first;
            std::mem::replace(&mut bucket.value, value)
        };
        self.len -= 1;
        Some(before)
    }

    pub(super) fn last(&self) -> Option<&Key> {
        let (_, bucket) = self.buckets.get_max()?;
        let last = bucket.others.get_max();
        Some(last.map_or(&bucket.key, |(key, _)| key))
    }

    /// All keys, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.in_buckets(..)
    }

    /// The keys from this hash on, in order.
    pub(super) fn starting_at(&self, hash: u64) -> impl Iterator<Item = (&Key, &Value)> {
        self.in_buckets(hash..)
    }

    /// The keys after `key`, which need not exist itself; all keys if it is `None`. In order.
    pub(super) fn after(&self, key: Option<Key>) -> impl Iterator<Item = (&Key, &Value)> {
        let later_hashes = key
            .as_ref()
            .map_or(Bound::Unbounded, |key| Bound::Excluded(key.hash));
        let bucket = key.as_ref().and_then(|key| self.buckets.get(&key.hash));
        let of_same_hash = bucket.into_iter().flat_map(move |bucket| {
            let first = Some((&bucket.key, &bucket.value)).filter(|it| Some(it.0) > key.as_ref());
            let from = key.clone().map_or(Bound::Unbounded, Bound::Excluded);
            first
                .into_iter()
                .chain(bucket.others.range((from, Bound::Unbounded)))
        });
        of_same_hash.chain(self.in_buckets((later_hashes, Bound::Unbounded)))
    }

    fn in_buckets(&self, hashes: impl RangeBounds<u64>) -> impl Iterator<Item = (&Key, &Value)> {
        self.buckets.range(hashes).flat_map(|(_, bucket)| {
            let first = std::iter::once((&bucket.key, &bucket.value));
            first.chain(&bucket.others)
        })
    }
}

impl Bucket {
    fn new(key: Key, value: Value) -> Bucket {
        Bucket {
            key,
            value,
            others: OrdMap::new(),
        }
    }

    fn insert(&mut self, key: Key, value: Value) -> Option<Value> {
        match key.cmp(&self.key) {
            Ordering::Equal => Some(std::mem::replace(&mut self.value, value)),
            Ordering::Greater => self.others.insert(key, value),
            Ordering::Less => {
                let key = std::mem::replace(&mut self.key, key);
                let value = std::mem::replace(&mut self.value, value);
                self.others.insert(key, value)
            }
        }
    }
}
