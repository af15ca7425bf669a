//! The commit rule alone (sections 5.3 and 5.4.2; Figure 2, last of the leader's rules).

use crate::membership::Membership;
use crate::progress::Peer;
use crate::role::Leader;
use crate::types::{Index, NodeId};

impl Leader {
    /// Whether an entry after `commit_index` may be committed at all: a majority that holds it
    /// includes a peer, unless this node is the only voter. It saves counting when only this node's
    /// own write has become durable.
    pub(crate) fn may_commit_after(
        &self,
        commit_index: Index,
        membership: &Membership,
        own: NodeId,
    ) -> bool {
        let is_beyond = |peer: &Peer| peer.match_index > commit_index;
        self.peers.iter().any(is_beyond) || membership.voters().all(|id| id == own)
    }

    /// "If there exists an N such that N > commitIndex, a majority of matchIndex\[i\] >= N, and
    /// log\[N\].term == currentTerm: set commitIndex = N."
    ///
    /// Only entries of the leader's own term are committed by counting replicas. What earlier
    /// terms left is committed with them, by Log Matching. If replicas of an old entry were
    /// counted, it could be overwritten after all (5.4.2, Figure 8). Every entry from `term_start`
    /// on is of the leader's own term, and none before it is.
    ///
    /// The leader counts itself, as any other voter, only with what is on its disk: entries
    /// may be committed that its own disk does not hold yet (thesis 10.2.1).
    pub(crate) fn committed(&self, membership: &Membership, own: (NodeId, Index)) -> Option<Index> {
        let index = self.reached(membership, own, |peer| peer.match_index)?;
        (index >= self.term_start).then_some(index)
    }
}
