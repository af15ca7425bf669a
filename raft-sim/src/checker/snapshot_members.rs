//! Snapshots hold the configuration "as of the latest index included in the snapshot" (section 7).
//!
//! A snapshot with a later configuration puts a change into force that was not committed and may
//! come to nothing; one with an earlier configuration takes a change back. So the checker notes the
//! configurations that each node writes into its log, and compares them with the snapshots that the
//! node writes. Of a node that has restarted, only the configurations written since are known;
//! snapshots from before the first of them are not checked.
//!
//! Cost: a look at each entry that is written, and a note for each change.

use super::violation::Violation;
use raft_proto::{Action, EntryKind, Index, InstalledLog, Membership, NodeId, Raft, Write};
use std::collections::BTreeMap;

/// The configurations of each node, in the order of their entries.
#[derive(Debug, Default)]
pub struct SnapshotMembers {
    nodes: BTreeMap<NodeId, Vec<(Index, Membership)>>,
}

impl SnapshotMembers {
    /// How many configurations of a node are remembered.
    const REMEMBERED: usize = 64;

    /// A node has stopped. It may lose some of its configurations.
    pub fn stopped(&mut self, node: NodeId) {
        self.nodes.remove(&node);
    }

    /// `raft` has taken an event and answered with `actions`.
    ///
    /// # Errors
    ///
    /// [`Violation::SnapshotOfOtherMembers`].
    pub fn actions(&mut self, raft: &Raft, actions: &[Action]) -> Result<(), Violation> {
        for action in actions {
            if let Action::Persist(write) = action {
                self.written(raft.id(), write)?;
            }
        }
        Ok(())
    }

    /// A node writes to its disk.
    ///
    /// # Errors
    ///
    /// [`Violation::SnapshotOfOtherMembers`].
    pub fn written(&mut self, node: NodeId, write: &Write) -> Result<(), Violation> {
        if let Some(install) = &write.install {
            let last = install.snapshot.id.last.index;
            let known = self.nodes.entry(node).or_default();
            let is_all_known = match install.log {
                // The entries after the snapshot stay, and their configurations with them. Those
                // from before a restart are not known.
                InstalledLog::KeepsTail => {
                    let is_all_known = known.iter().any(|(index, _)| *index <= last);
                    known.retain(|(index, _)| *index > last);
                    is_all_known
                }
                InstalledLog::IsDropped => {
                    known.clear();
                    true
                }
            };
            if is_all_known {
                known.insert(0, (last, install.snapshot.membership.clone()));
            }
        }
        if let Some(first) = write.entries.first_index()
            && let Some(known) = self.nodes.get_mut(&node)
        {
            known.retain(|(earlier, _)| *earlier < first);
        }
        for entry in &write.entries {
            if entry.kind() == EntryKind::Membership
                && let Some(membership) = Membership::decode(entry.payload())
            {
                self.changed(node, entry.index(), &membership);
            }
        }
        match &write.compact {
            None => Ok(()),
            Some(compaction) => {
                let snapshot = &compaction.snapshot;
                self.compacted(node, snapshot.id.last.index, &snapshot.membership)
            }
        }
    }

    /// A node uses the configuration that stands at `index`, and no later one any more.
    pub fn changed(&mut self, node: NodeId, index: Index, membership: &Membership) {
        let known = self.nodes.entry(node).or_default();
        known.retain(|(earlier, _)| *earlier < index);
        known.push((index, membership.clone()));
        if known.len() > Self::REMEMBERED {
            known.remove(0);
        }
    }

    /// A node writes a snapshot up to `last`, with this configuration.
    ///
    /// # Errors
    ///
    /// [`Violation::SnapshotOfOtherMembers`].
    pub fn compacted(
        &self,
        node: NodeId,
        last: Index,
        membership: &Membership,
    ) -> Result<(), Violation> {
        let mut known = self.nodes.get(&node).into_iter().flatten();
        let as_of = known.rfind(|(index, _)| *index <= last);
        match as_of {
            Some((since, expected)) if expected != membership => {
                Err(Violation::SnapshotOfOtherMembers {
                    node,
                    last,
                    since: *since,
                })
            }
            Some(_) | None => Ok(()),
        }
    }
}
