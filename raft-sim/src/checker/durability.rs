//! Durability: nothing that was acknowledged is lost (section 5.3: a committed entry is durable;
//! section 8; Figure 2: what is answered is on stable storage first).
//!
//! Two checks. The first holds when an entry becomes committed: a majority of the voters by which
//! its leader counted, of each half if that configuration is joint, holds the entry on stable
//! storage. Figure 2 demands exactly that, because a server answers an AppendEntries only when the
//! entries are on its disk, and the leader counts itself by the same measure. Leader Completeness
//! would show a mistake only after the disks that lied have lost power and a leader was elected
//! without the entry; this shows it at once. It is sound for a disk that holds more than it has
//! said, since that only adds holders. An entry that a snapshot on the disk stands for is held.
//! The second holds at the end: whatever a client was told is committed is in a node's log, or
//! before the end of a snapshot of it.
//!
//! Cost: one question a voter for each commit; of what was acknowledged, the last
//! [`Durability::REMEMBERED`] entries, 24 bytes each.

use super::violation::{Nodes, Violation};
use raft_proto::{EntryId, Index, MemberRole, Membership, NodeId, Term};
use std::collections::VecDeque;

/// Whether a node has an entry on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It has the entry, or a snapshot that covers it.
    Yes,
    /// It has not.
    No,
    /// The node is gone for ever, but held the entry when it acknowledged it.
    Lost,
}

/// How many of a half there are, and how many of them hold the entry.
#[derive(Clone, Copy, Default)]
struct Tally {
    voters: u32,
    holders: u32,
}

impl Tally {
    fn add(&mut self, holds: Holds) {
        self.voters += 1;
        self.holders += match holds {
            Holds::Yes | Holds::Lost => 1,
            Holds::No => 0,
        };
    }

    fn is_majority(self) -> bool {
        self.holders > self.voters / 2
    }
}

/// Whether a member votes in the old half, and in the new one.
fn votes(role: MemberRole) -> (bool, bool) {
    match role {
        MemberRole::Voter => (true, true),
        MemberRole::Learner => (false, false),
        MemberRole::Incoming => (false, true),
        MemberRole::Outgoing | MemberRole::Demoted => (true, false),
    }
}

/// `leader` has committed `entry`, by counting the voters of `membership`: the configuration that
/// it has after the step in which its commitIndex passed the entry. `holds` says what each
/// voter's disk holds at this moment.
///
/// By Log Matching a disk that holds this entry holds those before it, so of several that were
/// committed together the last one is enough.
///
/// # Errors
///
/// [`Violation::CommittedNotStored`].
pub fn committed(
    entry: EntryId,
    leader: NodeId,
    membership: &Membership,
    mut holds: impl FnMut(NodeId) -> Holds,
) -> Result<(), Violation> {
    let (mut old, mut new) = (Tally::default(), Tally::default());
    for member in membership.members() {
        let (in_old, in_new) = votes(member.role);
        if in_old || in_new {
            let answer = holds(member.id);
            if in_old {
                old.add(answer);
            }
            if in_new {
                new.add(answer);
            }
        }
    }
    if old.is_majority() && new.is_majority() {
        return Ok(());
    }
    let lacks_old = !old.is_majority();
    let half = membership.members().iter().filter(|member| {
        let (in_old, in_new) = votes(member.role);
        if lacks_old { in_old } else { in_new }
    });
    let voters: Vec<NodeId> = half.map(|member| member.id).collect();
    let holders = voters.iter().copied();
    let holders = holders.filter(|id| holds(*id) != Holds::No).collect();
    Err(Violation::CommittedNotStored {
        entry,
        leader,
        holders: Nodes(holders),
        voters: Nodes(voters),
    })
}

/// What clients were told is committed.
#[derive(Debug, Default)]
pub struct Durability {
    acknowledged: VecDeque<(EntryId, NodeId)>,
}

impl Durability {
    /// How many acknowledged entries are remembered: the last ones, which are the first that a
    /// cluster would lose.
    pub const REMEMBERED: usize = 65_536;

    /// `at` told a client that `entry` is committed.
    pub fn acknowledged(&mut self, entry: EntryId, at: NodeId) {
        if self.acknowledged.len() >= Self::REMEMBERED {
            self.acknowledged.pop_front();
        }
        self.acknowledged.push_back((entry, at));
    }

    /// At the end, when `node` has caught up: it has all that was acknowledged. `snapshot` is
    /// the last index that its snapshot stands for; `term_at` tells the term of what its log holds
    /// at an index.
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
