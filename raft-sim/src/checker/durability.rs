//! Durability: nothing that was acknowledged is lost (Figure 2: a server answers only when its
//! state is on stable storage; section 5.3: a committed entry is durable; section 8).
//!
//! The first check is made when an entry becomes committed: a majority of the voters by which its
//! leader counted, of each half if that configuration is joint, must hold the entry on stable
//! storage. Figure 2 demands exactly that. A server answers an AppendEntries only when the entries
//! are on its disk, and the leader counts itself by the same measure. Leader Completeness would
//! show a mistake only after the disks that lied have lost power and a leader was elected without
//! the entry. This check shows it at once. It is sound for a disk that holds more than it has said,
//! since that only adds holders. A snapshot on disk that covers the entry counts as holding it. The
//! leader's term must be on the disk, too: a server acknowledges an entry in that term, and the
//! term is part of what it must not forget.
//!
//! The second check is made at the end: every entry that a client was told is committed must be in
//! a node's log, or covered by its snapshot.
//!
//! Cost: one question to each voter's disk for each commit. Of acknowledged entries, the last
//! [`Durability::REMEMBERED`] are remembered, 24 bytes each.

use super::quorum::{Votes, has_quorum};
use super::violation::{Nodes, Violation};
use raft_proto::{EntryId, Index, Membership, NodeId, Term};
use std::collections::VecDeque;

/// Whether a node has an entry on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It has the entry, or a snapshot that covers it.
    Yes,
    /// It has the entry, but not the term in which the entry was committed: if it loses power, it
    /// may follow an earlier leader, which overwrites the entry.
    WithoutTerm,
    /// It has neither.
    No,
    /// The node is gone for ever. It held the entry when it acknowledged it.
    Lost,
}

/// `leader` has committed `entry`, by counting the voters of `membership`: the configuration that
/// it uses after the step in which its commitIndex passed the entry. `holds` tells whether each
/// voter's disk holds the entry at this moment.
///
/// By Log Matching, a disk that holds this entry holds those before it. So of several entries that
/// were committed together, the last one is enough.
///
/// # Errors
///
/// [`Violation::CommittedNotStored`].
pub fn committed(
    entry: EntryId,
    leader: NodeId,
    membership: &Membership,
    holds: impl Fn(NodeId) -> Holds,
) -> Result<(), Violation> {
    let has_entry = |id: &NodeId| match holds(*id) {
        Holds::Yes | Holds::Lost => true,
        Holds::WithoutTerm | Holds::No => false,
    };
    if has_quorum(membership, |id| has_entry(&id)) {
        return Ok(());
    }
    let half = |votes: fn(Votes) -> bool| -> (Vec<NodeId>, Vec<NodeId>) {
        let members = membership.members().iter();
        let voters = members.filter(|member| votes(Votes::of(member.role)));
        let voters: Vec<NodeId> = voters.map(|member| member.id).collect();
        let holders = voters.iter().copied().filter(has_entry).collect();
        (voters, holders)
    };
    let (mut voters, mut holders) = half(|votes| votes.in_old);
    if holders.len() * 2 > voters.len() {
        (voters, holders) = half(|votes| votes.in_new); // This is the half that lacks a majority.
    }
    Err(Violation::CommittedNotStored {
        entry,
        leader,
        holders: Nodes(holders),
        voters: Nodes(voters),
    })
}

/// The entries that clients were told are committed.
#[derive(Debug, Default)]
pub struct Durability {
    acknowledged: VecDeque<(EntryId, NodeId)>,
}

impl Durability {
    /// How many acknowledged entries are remembered: the last ones, as a cluster would lose those
    /// first.
    pub const REMEMBERED: usize = 65_536;

    /// The node `at` has told a client that `entry` is committed.
    pub fn acknowledged(&mut self, entry: EntryId, at: NodeId) {
        if self.acknowledged.len() >= Self::REMEMBERED {
            self.acknowledged.pop_front();
        }
        self.acknowledged.push_back((entry, at));
    }

    /// The run is over, and `node` has caught up: it must have all that was acknowledged.
    /// `snapshot` is the last index that its snapshot covers; `term_at` tells the term of the entry
    /// that its log holds at an index.
    ///
    /// # Errors
    ///
    /// [`Violation::AcknowledgedLost`].
    pub fn check_present(
        &self,
        node: NodeId,
        snapshot: Index,
        term_at: impl Fn(Index) -> Option<Term>,
    ) -> Result<(), Violation> {
        let has = |entry: EntryId| match term_at(entry.index) {
            Some(term) => term == entry.term,
            None => entry.index <= snapshot,
        };
        match self.acknowledged.iter().find(|(entry, _)| !has(*entry)) {
            None => Ok(()),
            Some(&(entry, at)) => Err(Violation::AcknowledgedLost { entry, at, node }),
        }
    }
}
