//! `struct Raft` and `step`. (skeleton: signatures only, being written)
#![allow(missing_docs)]
use crate::*;
use alloc::vec::Vec;

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Raft {}

#[allow(clippy::todo, unused_variables)]
impl Raft {
    /// A node that starts with what its storage held. Emits nothing; the first event is a Tick.
    pub fn new(config: Config, recovered: Recovered) -> Result<Raft, StartError> {
        todo!()
    }
    /// Takes an event; returns what to do.
    pub fn step(&mut self, event: Event) -> Vec<Action> {
        todo!()
    }
    /// Like step, into the caller's buffer (appends to it).
    pub fn step_into(&mut self, event: Event, actions: &mut Vec<Action>) {
        todo!()
    }
    pub fn config(&self) -> &Config {
        todo!()
    }
    pub fn id(&self) -> NodeId {
        todo!()
    }
    pub fn term(&self) -> Term {
        todo!()
    }
    pub fn voted_for(&self) -> Option<NodeId> {
        todo!()
    }
    pub fn role(&self) -> RoleKind {
        todo!()
    }
    pub fn leader(&self) -> Option<NodeId> {
        todo!()
    }
    pub fn commit_index(&self) -> Index {
        todo!()
    }
    /// Last index handed out by Apply or Restore.
    pub fn handed_out_index(&self) -> Index {
        todo!()
    }
    pub fn applied_index(&self) -> Index {
        todo!()
    }
    pub fn durable_index(&self) -> Index {
        todo!()
    }
    pub fn last_log(&self) -> EntryId {
        todo!()
    }
    /// The last entry dropped from the log by compaction or install.
    pub fn log_base(&self) -> EntryId {
        todo!()
    }
    /// Term of the entry at index (None if compacted away or beyond the end; base's is known).
    pub fn term_at(&self, index: Index) -> Option<Term> {
        todo!()
    }
    /// The log's entries from..=to that are there.
    pub fn entries(&self, from: Index, to: Index) -> Entries {
        todo!()
    }
    pub fn snapshot(&self) -> Option<&SnapshotMeta> {
        todo!()
    }
    pub fn membership(&self) -> &Membership {
        todo!()
    }
    pub fn fault(&self) -> Option<Fault> {
        todo!()
    }
}
