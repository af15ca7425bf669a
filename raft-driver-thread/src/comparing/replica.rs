//! What the state machine's thread notes, and what was found when it was compared.

use super::Comparison;
use crate::options::CompareOptions;
use raft_proto::comparison::{Digests, StateDigest};
use raft_proto::{EntryId, Index};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by the threads that note, compare, and answer peers.
#[derive(Clone, Debug)]
pub(crate) struct Replica(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// `None` if nothing is noted: the service offers no digest, or nobody wants one.
    digests: Option<Mutex<Digests>>,
    found: Mutex<Comparison>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code of others runs under the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Replica {
    pub(crate) fn new(options: Option<&CompareOptions>) -> Replica {
        let digests = options.map(|options| Mutex::new(Digests::new(options.every_entries)));
        Replica(Arc::new(Shared {
            digests,
            found: Mutex::new(Comparison::default()),
        }))
    }

    /// The next index behind this one at which a digest is to be noted, if any is.
    pub(crate) fn next_after(&self, index: Index) -> Option<Index> {
        let digests = self.0.digests.as_ref()?;
        Some(lock(digests).next_after(index))
    }

    pub(crate) fn note(&self, digest: StateDigest) {
        if let Some(digests) = &self.0.digests {
            lock(digests).note(digest);
        }
    }

    /// Another state takes the place of the one that was digested.
    pub(crate) fn clear(&self) {
        if let Some(digests) = &self.0.digests {
            lock(digests).clear();
        }
    }

    /// What was noted; `None` if nothing ever is.
    pub(crate) fn noted(&self) -> Option<Vec<StateDigest>> {
        let digests = self.0.digests.as_ref()?;
        Some(lock(digests).all())
    }

    pub(crate) fn found(&self) -> Comparison {
        lock(&self.0.found).clone()
    }

    pub(crate) fn is_set_aside(&self) -> bool {
        lock(&self.0.found).diverged_after.is_some()
    }

    /// Changes what was found. Returns whether it is something else now.
    pub(super) fn find(&self, change: impl FnOnce(&mut Comparison)) -> bool {
        let mut found = lock(&self.0.found);
        let before = found.clone();
        change(&mut found);
        *found != before
    }

    /// The state that was set aside is replaced.
    pub(crate) fn replaced(&self) {
        self.find(|found| {
            found.diverged_after = None;
            found.differing.clear();
            found.replaced += 1;
        });
    }

    /// As of `after`, the state is another one than that of a majority.
    pub(super) fn diverged(&self, after: EntryId) {
        self.find(|found| found.diverged_after = Some(after));
    }
}
