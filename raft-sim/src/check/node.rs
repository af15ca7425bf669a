//! One node of a model: the real core, its disk, its clock and its service.

use super::canonical::{Canonical, Origin, Reads, Times};
use super::outcome::Violation;
use crate::checker::Fingerprint;
use bytes::Bytes;
use raft_proto::{
    Config, Entries, EntryId, Incarnation, Index, Input, Membership, NodeId, Raft, Recovered,
    RoleKind, Seq, SnapshotId, StartError, Term, Time, Write,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// How soon writes are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disks {
    /// Each is durable, and reported, in the step that asked for it.
    Immediate,
    /// It is a choice when a write is reported. A crash keeps any prefix of those that are not.
    Lagging,
}

/// One node: everything that its steps depend on.
#[derive(Clone, Debug)]
pub struct Node {
    pub(super) raft: Raft,
    /// What the disk holds for sure: the effects of all writes that were reported.
    pub(super) disk: Recovered,
    /// Writes that were asked for and are not reported, oldest first.
    pub(super) pending: Vec<Write>,
    /// Its clock, which is at or after its latest event.
    pub(super) clock: Time,
    pub(super) service: Service,
    /// Every snapshot whose bytes are complete on this node's disk.
    pub(super) snapshots: BTreeMap<SnapshotId, Bytes>,
    /// The snapshot that is being received.
    pub(super) partial: Vec<u8>,
}

/// The state machine: a digest of all entries that it has applied. It reveals any difference in
/// what two nodes applied, or in which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Service {
    pub(super) applied: EntryId,
    pub(super) digest: u64,
}

impl Service {
    /// The snapshot of this state.
    pub(super) fn snapshot(self) -> Bytes {
        Bytes::copy_from_slice(&self.digest.to_le_bytes())
    }

    /// The state in a snapshot.
    pub(super) fn restored(last: EntryId, bytes: &[u8]) -> Service {
        let digest = bytes.try_into().map_or(0, u64::from_le_bytes);
        let applied = last;
        Service { applied, digest }
    }
}

impl Node {
    /// Where the clocks of models start: longer after the epoch than [`Canonical::OLD`].
    const START: Time = Time(1_000_000_000_000);

    /// A node with this disk. Its first tick is still to come.
    ///
    /// # Errors
    ///
    /// What the core refuses.
    pub fn new(config: Config, disk: Recovered) -> Result<Node, StartError> {
        Ok(Node {
            raft: Raft::new(config, disk.clone())?,
            disk,
            pending: Vec::new(),
            clock: Node::START,
            service: Service::default(),
            snapshots: BTreeMap::new(),
            partial: Vec::new(),
        })
    }

    /// The core.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// What the disk holds for sure.
    pub fn disk(&self) -> &Recovered {
        &self.disk
    }

    /// The same node at a later time, without any event until then.
    #[must_use]
    pub fn shifted(&self, by: Duration) -> Node {
        let mut node = self.clone();
        node.clock = node.clock.after(by);
        node
    }

    /// The last write reported as durable.
    pub(super) fn persisted(&self) -> Seq {
        let first = self.pending.first().map(|write| write.seq.0 - 1);
        Seq(first.unwrap_or(u64::MAX))
    }

    /// What the node has in common with all that behave alike.
    pub fn canonical(&self, times: Times, reads: Reads) -> Canonical {
        let origin = Origin {
            clock: self.clock,
            persisted: self.persisted(),
            times,
            reads,
        };
        let snapshots: Vec<&SnapshotId> = self.snapshots.keys().collect();
        let disk = (
            &self.disk.hard_state,
            &self.disk.snapshot,
            &self.disk.entries,
        );
        let rest = (&self.disk.identity, self.disk.impaired, &self.pending);
        let service = (self.service, snapshots, &self.partial);
        let state = (self.raft.id(), &self.raft, disk, rest, service);
        Canonical::of(&state, origin)
    }

    /// What the choices and the properties need to know.
    pub fn facts(&self) -> Facts {
        let raft = &self.raft;
        let base = self.disk.snapshot.as_ref().map(|it| it.id.last);
        Facts {
            id: raft.id(),
            incarnation: raft.incarnation(),
            term: raft.term(),
            durable_term: self.disk.hard_state.term,
            role: raft.role(),
            commit_index: raft.commit_index(),
            pending: self.pending.len(),
            log: Logged::of_raft(raft),
            disk: Logged::of(base.unwrap_or(EntryId::ZERO), &self.disk.entries),
            membership: raft.membership().clone(),
            is_impaired: raft.status().impaired.is_some(),
            can_compact: self.service.applied.index
                > raft.snapshot().map_or(Index::ZERO, |it| it.id.last.index),
        }
    }

    /// The first event of an instance.
    pub(super) const FIRST: Input = Input::Tick;
}

/// What the choices and the properties need to know of a node.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The node.
    pub id: NodeId,
    /// Which storage it has.
    pub incarnation: Option<Incarnation>,
    /// currentTerm.
    pub term: Term,
    /// currentTerm as it is on the disk for sure.
    pub durable_term: Term,
    /// Its role.
    pub role: RoleKind,
    /// commitIndex.
    pub commit_index: Index,
    /// How many writes are not reported.
    pub pending: usize,
    /// The log.
    pub log: Logged,
    /// What is on its disk for sure.
    pub disk: Logged,
    /// The configuration in force.
    pub membership: Membership,
    /// Whether it waits for entries that its disk has lost.
    pub is_impaired: bool,
    /// Whether its service has applied anything that is in no snapshot.
    pub can_compact: bool,
}

/// A log without payloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The entry before the first one; everything up to there is in a snapshot.
    pub base: EntryId,
    /// The entries after it.
    pub entries: Vec<Fingerprint>,
}

impl Logged {
    /// The log of a core.
    pub(super) fn of_raft(raft: &Raft) -> Logged {
        let (base, last) = (raft.log_base(), raft.last_log());
        Logged::of(base, &raft.entries(base.index.next(), last.index))
    }

    fn of(base: EntryId, entries: &Entries) -> Logged {
        let after = entries.iter().filter(|entry| entry.index() > base.index);
        let entries = after.map(|entry| Fingerprint::of(&entry)).collect();
        Logged { base, entries }
    }

    /// The index of the last entry.
    pub fn last_index(&self) -> Index {
        self.base.index.plus(self.entries.len() as u64)
    }

    /// The entry at `index`, unless it is in the snapshot or beyond the end.
    pub fn get(&self, index: Index) -> Option<Fingerprint> {
        let at = index.0.checked_sub(self.base.index.0 + 1)?;
        self.entries.get(usize::try_from(at).ok()?).copied()
    }

    /// Whether it holds this entry: in itself, or in its snapshot.
    pub fn holds(&self, index: Index, entry: Fingerprint) -> bool {
        index <= self.base.index || self.get(index) == Some(entry)
    }
}

/// Log Matching (Figure 3): "if two logs contain an entry with the same index and term, then the
/// logs are identical in all entries up through the given index".
pub(super) fn check_log_matching(a: &Facts, b: &Facts) -> Result<(), Violation> {
    let first = a.log.base.index.max(b.log.base.index).next();
    let mut last = a.log.last_index().min(b.log.last_index());
    let mut is_shared = false;
    while last >= first {
        let (one, other) = (a.log.get(last), b.log.get(last));
        is_shared |= one.map(|it| it.term) == other.map(|it| it.term);
        if is_shared && one != other {
            let what = format!(
                "{} and {} differ at {last}, and agree after it or in its term",
                a.id, b.id
            );
            return Err(Violation::new("Log Matching (section 5.3)", what));
        }
        last = last.previous();
    }
    Ok(())
}
