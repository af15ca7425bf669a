//! Keys that were removed all at once, and that are still to be freed.

use super::expiries::Expiries;
use super::keyspace::Keyspace;
use super::totals::KEY_OVERHEAD;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Keys that are not in the state any more. To drop them takes time by their number: about a second
/// for some millions.
#[derive(Debug)]
pub struct Removed {
    keys: Keyspace,
    bytes: u64,
    /// Freed with them.
    _expiries: Expiries,
    /// Dropped after them.
    waiting: Option<Waiting>,
}

/// Its part of what waits to be freed.
#[derive(Debug)]
struct Waiting {
    bytes: u64,
    all: Arc<AtomicU64>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Removed {
    /// Keys of which those that have not expired take about so many bytes of memory.
    pub(super) fn new(keys: Keyspace, expiries: Expiries, bytes: u64) -> Removed {
        Removed {
            bytes: bytes.max(KEY_OVERHEAD * keys.len() as u64),
            keys,
            _expiries: expiries,
            waiting: None,
        }
    }

    /// About how many bytes of memory they take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many keys there are.
    pub fn key_count(&self) -> u64 {
        self.keys.len() as u64
    }
}

/// What becomes of [`Removed`] keys. The default drops them at once.
#[derive(Clone)]
pub struct Disposal(Arc<dyn Fn(Removed) + Send + Sync>);

impl Disposal {
    /// Calls `take` with what is removed, in the thread that removes it. `take` should return at once.
    pub fn new(take: impl Fn(Removed) + Send + Sync + 'static) -> Disposal {
        Disposal(Arc::new(take))
    }

    /// Likewise, as long as what waits to be freed has at most `max_bytes`, or is a single one. What
    /// does not fit is freed at once, by the thread that removes it.
    pub fn within(max_bytes: u64, take: impl Fn(Removed) + Send + Sync + 'static) -> Disposal {
        let all = Arc::new(AtomicU64::new(0));
        Disposal::new(move |mut removed| {
            let (bytes, before) = (removed.bytes, all.load(Ordering::Relaxed));
            let fits = before == 0 || before.saturating_add(bytes) <= max_bytes;
            if fits && bytes > 0 {
                all.fetch_add(bytes, Ordering::Relaxed);
                let all = all.clone();
                removed.waiting = Some(Waiting { bytes, all });
                take(removed);
            }
        })
    }

    pub(super) fn take(&self, removed: Removed) {
        (self.0)(removed);
    }
}

impl Default for Disposal {
    fn default() -> Disposal {
        Disposal::new(drop)
    }
}

impl fmt::Debug for Disposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disposal")
    }
}
