//! The snapshots that are kept because peers fetch them: the rules of
//! [`raft_proto::mending::Offers`], with a clock. The core's turn offers, the transport's threads
//! read for peers, and the thread that deletes snapshots asks.

use crate::clock::Clock;
use raft_proto::mending;
use raft_proto::{Index, SnapshotId, SnapshotMeta};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Offers {
    clock: Clock,
    rules: Arc<Mutex<mending::Offers>>,
}

impl Offers {
    pub(crate) fn new() -> Offers {
        Offers {
            clock: Clock::new(),
            rules: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, mending::Offers> {
        // No code of others runs under the lock.
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The snapshot that a peer is to fetch.
    pub(crate) fn offer(
        &self,
        newest: Option<&SnapshotMeta>,
        at_least: Index,
    ) -> Option<SnapshotMeta> {
        self.lock().offer(newest, at_least, self.clock.now())
    }

    /// Bytes up to `end` are read for a peer.
    pub(crate) fn asked(&self, snapshot: SnapshotId, end: u64) {
        self.lock().asked(snapshot, end, self.clock.now());
    }

    /// Whether a snapshot that the core needs no more is to be deleted at once.
    pub(crate) fn release(&self, snapshot: SnapshotId) -> bool {
        self.lock().release(snapshot, self.clock.now())
    }

    /// What was offered may be wrong.
    pub(crate) fn withdraw(&self) {
        self.lock().withdraw();
    }

    /// The snapshots that are to be deleted now.
    pub(crate) fn expired(&self) -> Vec<SnapshotId> {
        self.lock().expired(self.clock.now())
    }

    /// When to look again whether there is one. That may be before the time of the next one has
    /// come: a peer that asks for its last piece, and a withdrawal, bring it forward and wake nobody.
    pub(crate) fn until_expired(&self) -> Option<Duration> {
        let due = self.lock().next_deletion()?;
        let wait = due.since(self.clock.now());
        Some(wait.min(mending::Offers::AFTER_LAST))
    }
}
