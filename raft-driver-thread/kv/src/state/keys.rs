//! The map of the keys, in the order of a scan.

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
    /// From when on the key is not there: milliseconds since 1970.
    pub(super) expiry: Option<u64>,
}

/// The keys and their values. Copies share what they have in common, so one costs nothing but
/// what is changed later.
///
/// The map itself is one of hashes: what a search passes is then small, and lies together.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    buckets: OrdMap<u64, Arc<Bucket>>,
    len: usize,
}

/// The keys of one hash; hardly ever more than one.
#[derive(Clone, Debug)]
struct Bucket {
    /// The first of them.
    key: Key,
    value: Value,
    /// Those behind it.
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

impl Keys {
    pub(super) fn new() -> Keys {
        Keys::default()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn clear(&mut self) {
        *self = Keys::default();
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        let bucket = self.buckets.get(&key.hash)?;
        match bucket.key == *key {
            true => Some(&bucket.value),
            false => bucket.others.get(key),
        }
    }

    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Value> {
        let bucket = Arc::make_mut(self.buckets.get_mut(&key.hash)?);
        match bucket.key == *key {
            true => Some(&mut bucket.value),
            false => bucket.others.get_mut(key),
        }
    }

    /// The value before.
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

    /// The value before.
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

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.in_buckets(..)
    }

    /// Those whose hashes are not below.
    pub(super) fn since_hash(&self, hash: u64) -> impl Iterator<Item = (&Key, &Value)> {
        self.in_buckets(hash..)
    }

    /// Those behind a key, be it there or not; all of them without one.
    pub(super) fn behind(&self, key: Option<Key>) -> impl Iterator<Item = (&Key, &Value)> {
        let others = match &key {
            Some(key) => Bound::Excluded(key.hash),
            None => Bound::Unbounded,
        };
        let bucket = key.as_ref().and_then(|key| self.buckets.get(&key.hash));
        let of_its_hash = bucket.into_iter().flat_map(move |bucket| {
            let first = Some((&bucket.key, &bucket.value)).filter(|it| Some(it.0) > key.as_ref());
            let from = key.clone().map_or(Bound::Unbounded, Bound::Excluded);
            first
                .into_iter()
                .chain(bucket.others.range((from, Bound::Unbounded)))
        });
        of_its_hash.chain(self.in_buckets((others, Bound::Unbounded)))
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
