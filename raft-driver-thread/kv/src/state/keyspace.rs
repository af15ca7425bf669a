//! The keys and their values, in the order of a scan.

use bytes::Bytes;
use imbl::OrdMap;
use std::cmp::Ordering;
use std::num::NonZeroU64;
use std::ops::RangeBounds;
use triomphe::Arc;

/// Values from this length on are shared with replies.
const SHARED_FROM: usize = 1024;

/// A key, in the order of a scan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    hash: u64,
    name: Bytes,
}

/// A key that is stored, in the order of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StoredName<'a> {
    pub(super) hash: u64,
    pub(super) name: &'a [u8],
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) bytes: Bytes,
    /// See [`Value::expiry`]. No key expires at 0.
    expiry: Option<NonZeroU64>,
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

/// The keys with one hash; hardly ever more than one. There is one for each key, so each byte in it
/// counts.
#[derive(Clone, Debug)]
struct Bucket {
    /// The name of the first key.
    name: Box<[u8]>,
    value: Value,
    /// The keys after it, if there are any.
    others: Option<Box<OrdMap<Key, Value>>>,
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

    /// As the keys are that are stored.
    pub(super) fn stored(&self) -> StoredName<'_> {
        StoredName {
            hash: self.hash,
            name: &self.name,
        }
    }
}

impl StoredName<'_> {
    /// A copy.
    pub(super) fn to_key(self) -> Key {
        Key {
            hash: self.hash,
            name: Bytes::copy_from_slice(self.name),
        }
    }
}

impl Value {
    /// A value that expires at this time, which is not 0.
    pub(super) fn new(bytes: Bytes, expiry: Option<u64>) -> Value {
        Value {
            bytes,
            expiry: expiry.and_then(NonZeroU64::new),
        }
    }

    /// When the key expires: milliseconds since 1970; `None`: never.
    pub(super) fn expiry(&self) -> Option<u64> {
        self.expiry.map(NonZeroU64::get)
    }

    /// Whether the key has not expired at this time: milliseconds since 1970.
    pub(super) fn is_alive_at(&self, time: u64) -> bool {
        self.expiry().is_none_or(|expiry| expiry > time)
    }

    /// Returns the expiry before.
    pub(super) fn set_expiry(&mut self, expiry: Option<u64>) -> Option<u64> {
        let new = expiry.and_then(NonZeroU64::new);
        std::mem::replace(&mut self.expiry, new).map(NonZeroU64::get)
    }

    /// The bytes for a reply. Of a short value it is a copy: shared bytes have a count of who shares
    /// them, which would take memory from then on.
    pub(super) fn for_reply(&self) -> Bytes {
        if self.bytes.len() < SHARED_FROM {
            return Bytes::copy_from_slice(&self.bytes);
        }
        self.bytes.clone()
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

    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        let bucket = self.buckets.get(&key.hash)?;
        if *bucket.name == *key.name {
            Some(&bucket.value)
        } else {
            bucket.others.as_ref()?.get(key)
        }
    }

    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Value> {
        let bucket = Arc::make_mut(self.buckets.get_mut(&key.hash)?);
        if *bucket.name == *key.name {
            Some(&mut bucket.value)
        } else {
            bucket.others.as_mut()?.get_mut(key)
        }
    }

    /// Returns the old value.
    pub(super) fn insert(&mut self, key: Key, value: Value) -> Option<Value> {
        let Some(shared) = self.buckets.get_mut(&key.hash) else {
            let hash = key.hash;
            self.buckets.insert(hash, Arc::new(Bucket::new(key, value)));
            self.len += 1;
            return None;
        };
        let before = Arc::make_mut(shared).insert(key, value);
        self.len += usize::from(before.is_none());
        before
    }

    /// Returns the old value.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Value> {
        let shared = self.buckets.get(&key.hash)?;
        let is_first = *shared.name == *key.name;
        let before = match &shared.others {
            None if is_first => {
                let removed = self.buckets.remove(&key.hash)?;
                Arc::unwrap_or_clone(removed).value
            }
            None => return None,
            Some(others) if !is_first && !others.contains_key(key) => return None,
            Some(_) => {
                let bucket = Arc::make_mut(self.buckets.get_mut(&key.hash)?);
                bucket.remove(key, is_first)?
            }
        };
        self.len -= 1;
        Some(before)
    }

    pub(super) fn last(&self) -> Option<StoredName<'_>> {
        let (hash, bucket) = self.buckets.get_max()?;
        let others = bucket.others.as_ref();
        let last = others.and_then(|others| others.get_max());
        let first = StoredName {
            hash: *hash,
            name: &bucket.name,
        };
        Some(last.map_or(first, |(key, _)| key.stored()))
    }

    /// All keys, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (StoredName<'_>, &Value)> {
        self.in_buckets(..)
    }

    /// The keys from this hash on, in order.
    pub(super) fn starting_at(&self, hash: u64) -> impl Iterator<Item = (StoredName<'_>, &Value)> {
        self.in_buckets(hash..)
    }

    /// The keys after `key`, which need not exist itself; all keys if it is `None`. In order.
    pub(super) fn after(&self, key: Option<Key>) -> impl Iterator<Item = (StoredName<'_>, &Value)> {
        let hash = key.as_ref().map_or(0, Key::hash);
        // Those of the same hash that come before it, and hardly ever are any.
        self.in_buckets(hash..)
            .skip_while(move |(name, _)| key.as_ref().is_some_and(|key| *name <= key.stored()))
    }

    fn in_buckets(
        &self,
        hashes: impl RangeBounds<u64>,
    ) -> impl Iterator<Item = (StoredName<'_>, &Value)> {
        self.buckets.range(hashes).flat_map(|(hash, bucket)| {
            let first = StoredName {
                hash: *hash,
                name: &bucket.name,
            };
            let others = bucket.others.iter().flat_map(|others| others.iter());
            let others = others.map(|(key, value)| (key.stored(), value));
            std::iter::once((first, &bucket.value)).chain(others)
        })
    }
}

impl Bucket {
    fn new(key: Key, value: Value) -> Bucket {
        Bucket {
            name: Box::from(&*key.name),
            value,
            others: None,
        }
    }

    fn insert(&mut self, key: Key, value: Value) -> Option<Value> {
        match key.name[..].cmp(&self.name) {
            Ordering::Equal => Some(std::mem::replace(&mut self.value, value)),
            Ordering::Greater => self.others.get_or_insert_default().insert(key, value),
            Ordering::Less => {
                let name = std::mem::replace(&mut self.name, Box::from(&*key.name));
                let value = std::mem::replace(&mut self.value, value);
                let (hash, name) = (key.hash, Bytes::from(name));
                let others = self.others.get_or_insert_default();
                others.insert(Key { hash, name }, value)
            }
        }
    }

    /// Removes a key, beside which there are others; `is_first`: it is the first one.
    fn remove(&mut self, key: &Key, is_first: bool) -> Option<Value> {
        let others = self.others.as_mut()?;
        let removed = if is_first {
            let first = others.get_min()?.0.clone();
            let (next, value) = others.remove_with_key(&first)?;
            self.name = Box::from(&*next.name);
            Some(std::mem::replace(&mut self.value, value))
        } else {
            others.remove(key)
        };
        if others.is_empty() {
            self.others = None;
        }
        removed
    }
}
