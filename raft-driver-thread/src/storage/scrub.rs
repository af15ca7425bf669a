//! How decay is found while a node runs: what was synced long ago is read again, and compared with
//! its checksums. A disk that loses a sector says so only to those that read it; a start may be
//! months away, and by then the other copies may have decayed too.

#[cfg(doc)]
use super::Storage;
use super::{Damage, StorageError};
use raft_proto::SnapshotId;
use std::sync::Arc;
use std::time::Duration;

/// Reads what a [`Storage`] has written, in a thread of its own, while the storage is in use. It
/// writes nothing, and holds nothing that the storage needs.
pub trait Scrub: Send + Sync + 'static {
    /// Reads all that is synced and will not be written again, once, and tells of each part that is
    /// not what was written. What the storage deletes meanwhile is no decay.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if it cannot be looked at, as when too many files are open. The node runs
    /// on.
    fn pass(&self, pace: Arc<dyn Pace>, found: &mut dyn FnMut(Decay)) -> Result<(), StorageError>;
}

/// Says when something may be read.
pub trait Pace: Send + Sync + 'static {
    /// Returns when so many bytes may be read: now. Or `false`, which ends the pass.
    fn allows(&self, bytes: u64) -> bool;
}

/// Something that is not what was written any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decay {
    /// What, and where.
    pub damage: Damage,
    /// The snapshot, if it is one. Else it is a part of the log.
    pub snapshot: Option<SnapshotId>,
    /// The disk returned bytes, though wrong ones. If not, it returned an error.
    pub is_readable: bool,
}

/// Keeps what is read below a rate. It has no clock of its own.
///
/// ```
/// # use raft_driver_thread::storage::Rate;
/// # use std::time::Duration;
/// let mut rate = Rate::new(1000);
/// let now = Duration::from_secs(5);
/// assert_eq!(rate.wait(now, 500), Duration::from_millis(500));
/// assert_eq!(rate.wait(now, 500), Duration::from_secs(1), "after those before");
/// ```
#[derive(Clone, Debug)]
pub struct Rate {
    bytes_per_second: u64,
    /// When all that was allowed has had its time.
    free_at: Duration,
}

impl Rate {
    /// So many bytes in a second; at least one.
    pub fn new(bytes_per_second: u64) -> Rate {
        Rate {
            bytes_per_second: bytes_per_second.max(1),
            free_at: Duration::ZERO,
        }
    }

    /// How long to wait at `now`, on any monotonic clock, before so many more bytes are read. A
    /// time in which nothing was read is not made up for.
    pub fn wait(&mut self, now: Duration, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        // 584 years are long enough.
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.free_at = self.free_at.max(now).saturating_add(takes);
        self.free_at.saturating_sub(now)
    }
}
