//! Replicas of a service of the user's own: those that have applied the same commands are in the
//! same state (State Machine Safety, section 5.4.3, for what the commands do).

use core::fmt;
use raft_proto::{EntryId, Index, NodeId};
use std::collections::BTreeMap;

/// Two replicas that have applied the same commands, and whose states differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{node} and {other} have applied the same commands up to {index}, and their states differ after \
     {node} {event}"
)]
pub struct ReplicasDiffer {
    /// The node whose state was looked at.
    pub node: NodeId,
    /// A node that has had another state.
    pub other: NodeId,
    /// The last entry that both have applied.
    pub index: Index,
    /// What the node did just before.
    pub event: ReplicaEvent,
}

/// What a replica did before its state was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaEvent {
    /// It applied a command.
    Command,
    /// It restored a snapshot.
    Restore,
    /// A fault of the user's own struck.
    Strike,
}

impl fmt::Display for ReplicaEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReplicaEvent::Command => "applied a command",
            ReplicaEvent::Restore => "restored a snapshot",
            ReplicaEvent::Strike => "was struck by a fault of the test's own",
        })
    }
}

/// Compares the states of all replicas.
#[derive(Clone, Debug, Default)]
pub struct Replicas {
    /// The digest of the state after each entry that was applied, and the node that had it first.
    states: BTreeMap<Index, (NodeId, u64)>,
}

impl Replicas {
    /// `node` has applied the command `entry`, and its state has this digest.
    ///
    /// # Errors
    ///
    /// [`ReplicasDiffer`], if another one had another state there.
    pub fn applied(
        &mut self,
        node: NodeId,
        entry: EntryId,
        digest: u64,
    ) -> Result<(), ReplicasDiffer> {
        let known = *self.states.entry(entry.index).or_insert((node, digest));
        compare(node, entry.index, digest, known, ReplicaEvent::Command)
    }

    /// The state of `node` is that of all commands up to `last`, however it came there. A node that
    /// has applied them was in that state, too.
    ///
    /// # Errors
    ///
    /// [`ReplicasDiffer`], if it was in another one.
    pub fn holds(
        &self,
        node: NodeId,
        last: EntryId,
        digest: u64,
        event: ReplicaEvent,
    ) -> Result<(), ReplicasDiffer> {
        // Entries that are no commands change nothing.
        match self.states.range(..=last.index).next_back() {
            Some((_, known)) => compare(node, last.index, digest, *known, event),
            None => Ok(()),
        }
    }
}

fn compare(
    node: NodeId,
    index: Index,
    digest: u64,
    (other, known): (NodeId, u64),
    event: ReplicaEvent,
) -> Result<(), ReplicasDiffer> {
    let differ = ReplicasDiffer {
        node,
        other,
        index,
        event,
    };
    (digest == known).then_some(()).ok_or(differ)
}
