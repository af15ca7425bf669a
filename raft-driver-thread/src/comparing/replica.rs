//! What the state machine's thread notes, and what was found when it was compared.

use super::Comparison;
use crate::options::CompareOptions;
use raft_proto::comparison::{Digests, Noted, SnapshotOrigin, StateDigest};
use raft_proto::{EntryId, Index, NodeId, SnapshotId};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Of so many snapshots it is remembered whose work they are: one that was sent may be followed by
/// others before its receiver asks.
const SNAPSHOTS: usize = 8;

/// Shared by the threads that note, compare, and answer peers.
#[derive(Clone, Debug)]
pub(crate) struct Replica(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    node: NodeId,
    /// If not, nothing is noted: the service offers no digest, or nobody wants one.
    is_noting: bool,
    state: Mutex<State>,
    found: Mutex<Comparison>,
}

#[derive(Debug)]
struct State {
    digests: Digests,
    /// The state was restored from this snapshot, and nobody has said whose work it is.
    unknown: Option<SnapshotId>,
    /// The newest last.
    snapshots: VecDeque<SnapshotOrigin>,
}

impl State {
    fn remember(&mut self, snapshot: SnapshotId, origin: NodeId) {
        self.snapshots.retain(|it| it.snapshot != snapshot);
        if self.snapshots.len() >= SNAPSHOTS {
            self.snapshots.pop_front();
        }
        let known = SnapshotOrigin { snapshot, origin };
        self.snapshots.push_back(known);
    }

    /// The state is that of this snapshot.
    fn restored(&mut self, snapshot: SnapshotId, origin: Option<NodeId>) {
        self.digests.replace(origin);
        self.unknown = origin.is_none().then_some(snapshot);
        if let Some(origin) = origin {
            self.remember(snapshot, origin);
        }
    }
}

/// What this node has noted of its own state.
pub(super) struct OwnNoted {
    pub(super) digests: Vec<StateDigest>,
    /// How often the state was replaced until then.
    pub(super) replacements: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code of others runs under the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Replica {
    /// Of a node whose state is empty.
    pub(crate) fn new(node: NodeId, options: Option<&CompareOptions>) -> Replica {
        let distance = options.map_or(1, |options| options.every_entries);
        Replica(Arc::new(Shared {
            node,
            is_noting: options.is_some(),
            state: Mutex::new(State {
                digests: Digests::new(distance, Some(node)),
                unknown: None,
                snapshots: VecDeque::new(),
            }),
            found: Mutex::new(Comparison::default()),
        }))
    }

    /// The next index behind this one at which a digest is to be noted, if any is.
    pub(crate) fn next_after(&self, index: Index) -> Option<Index> {
        let next = lock(&self.0.state).digests.next_after(index);
        self.0.is_noting.then_some(next)
    }

    pub(crate) fn note(&self, after: EntryId, kind: u64, value: u128) {
        if self.0.is_noting {
            lock(&self.0.state).digests.note(after, kind, value);
        }
    }

    /// The state of this snapshot takes the place of the one that was digested. `origin` is what
    /// this node's storage has noted beside it.
    pub(crate) fn restored(&self, snapshot: SnapshotId, origin: Option<NodeId>) {
        lock(&self.0.state).restored(snapshot, origin);
    }

    /// Whose work the state is.
    pub(crate) fn origin(&self) -> Option<NodeId> {
        lock(&self.0.state).digests.origin()
    }

    /// A snapshot is stored, and this is what is noted beside it.
    pub(crate) fn stored(&self, snapshot: SnapshotId, origin: NodeId) {
        lock(&self.0.state).remember(snapshot, origin);
    }

    /// What peers are told; `None` if nothing ever is noted.
    pub(crate) fn noted(&self) -> Option<Noted> {
        let state = lock(&self.0.state);
        self.0.is_noting.then(|| Noted {
            digests: state.digests.all(),
            snapshots: state.snapshots.iter().copied().collect(),
        })
    }

    /// What peers are told that know nothing of origins: only what this node has come to by itself.
    /// They would count a copy as a witness.
    pub(crate) fn own_work(&self) -> Option<Vec<StateDigest>> {
        let mut digests = self.noted()?.digests;
        digests.retain(|digest| digest.origin == Some(self.0.node));
        Some(digests)
    }

    pub(super) fn own(&self) -> OwnNoted {
        let state = lock(&self.0.state);
        OwnNoted {
            digests: state.digests.all(),
            replacements: state.digests.replacements(),
        }
    }

    /// The snapshot that the state was restored from, if nobody has said whose work it is.
    pub(super) fn unknown(&self) -> Option<SnapshotId> {
        let state = lock(&self.0.state);
        state.unknown.filter(|_| state.digests.origin().is_none())
    }

    /// A peer has said whose work this snapshot is.
    pub(super) fn learn(&self, snapshot: SnapshotId, origin: NodeId) {
        let mut state = lock(&self.0.state);
        if state.unknown == Some(snapshot) {
            state.unknown = None;
            state.digests.set_unknown_origin(origin);
            state.remember(snapshot, origin);
        }
    }

    /// After this entry, what this node had noted was the same as what others had
    /// ([`agreed`](raft_proto::comparison::agreed)).
    pub(super) fn agreed(&self, after: EntryId, noted: &OwnNoted) {
        let (node, replacements) = (self.0.node, noted.replacements);
        let digests = &mut lock(&self.0.state).digests;
        digests.begin_own_origin(node, after.index, replacements);
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
            found.copies.clear();
            found.replaced += 1;
        });
    }

    /// As of `after`, the state is another one than that of a majority.
    pub(super) fn diverged(&self, after: EntryId) {
        self.find(|found| found.diverged_after = Some(after));
    }
}
