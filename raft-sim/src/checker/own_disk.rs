//! What a node takes for durable is on its own disk (Figure 2; thesis 10.2.1), and so is what it
//! hands to its state machine: an applied index is a durable index.
//!
//! A core knows its disk only by what it wrote and what was reported as persisted, and a mistake in
//! that account is harmless until the disk loses power. The simulator has the disk, and looks.
//!
//! - Up to `durable_index`, the log is on disk. By Log Matching, a disk with the entry at that
//!   index has those before it. The checker looks whenever that entry changes.
//! - The last entry of each [`Apply`](raft_proto::Action::Apply) is on disk, as is each snapshot
//!   that is restored.
//!
//! Sound: writes take effect on the disk in the order of seq, and before they are reported. An
//! entry that a snapshot on disk covers counts as held.
//!
//! Cost: a comparison a step, and a look at the disk for each change of the durable index.

use super::violation::Violation;
use raft_proto::{EntryId, Index, NodeId};

/// The last entry of each node that was found on its disk.
#[derive(Debug, Default)]
pub struct OwnDisk {
    found: Vec<(NodeId, EntryId)>,
}

impl OwnDisk {
    /// A node has stopped. Its next instance counts anew.
    pub fn stopped(&mut self, node: NodeId) {
        self.found.retain(|(other, _)| *other != node);
    }

    /// `node` takes its log for durable up to `entry`. `holds` tells whether its disk has an entry.
    ///
    /// # Errors
    ///
    /// [`Violation::DurableBeyondDisk`].
    pub fn durable(
        &mut self,
        node: NodeId,
        entry: EntryId,
        holds: impl Fn(EntryId) -> bool,
    ) -> Result<(), Violation> {
        let known = self.found.iter_mut().find(|(other, _)| *other == node);
        if known.as_ref().is_some_and(|(_, found)| *found == entry) {
            return Ok(());
        }
        // Before the first entry there is nothing.
        if entry.index > Index::ZERO && !holds(entry) {
            return Err(Violation::DurableBeyondDisk { node, entry });
        }
        match known {
            Some((_, found)) => *found = entry,
            None => self.found.push((node, entry)),
        }
        Ok(())
    }
}

/// `node` hands out entries up to `entry`, or a snapshot up to it. `holds` tells whether its disk
/// has an entry.
///
/// # Errors
///
/// [`Violation::HandedOutNotStored`].
pub fn handed_out(
    node: NodeId,
    entry: EntryId,
    holds: impl Fn(EntryId) -> bool,
) -> Result<(), Violation> {
    if holds(entry) {
        Ok(())
    } else {
        Err(Violation::HandedOutNotStored { node, entry })
    }
}
