//! The commit rule alone (sections 5.3 and 5.4.2; Figure 2, last of the leader's rules).

use crate::leader::Leader;
use crate::membership::Membership;
use crate::quorum::majority_index;
use crate::types::{Index, NodeId};
use alloc::vec::Vec;

/// Voters that fit without an allocation.
const USUAL: usize = 9;

impl Leader {
    /// "If there exists an N such that N > commitIndex, a majority of matchIndex\[i\] >= N, and
    /// log\[N\].term == currentTerm: set commitIndex = N."
    ///
    /// Only entries of the leader's own term are committed by counting replicas; what earlier
    /// terms left is committed with them, by Log Matching (5.4.2: counting replicas of an old
    /// entry would let it be overwritten after all, Figure 8). Every entry from `term_start` on
    /// is of the leader's own term, and none before it is.
    ///
    /// The leader counts itself, as any other voter, only with what is on its disk: entries
    /// may be committed that its own disk does not hold yet (thesis 10.2.1).
    pub(crate) fn committed(&self, voters: &Membership, own: (NodeId, Index)) -> Option<Index> {
        // `peers` are the other voters, in the same order: one pass over both.
        let mut peers = self.peers.iter().peekable();
        let reached =
            voters
                .voters()
                .iter()
                .map(|voter| match peers.next_if(|peer| peer.id == *voter) {
                    Some(peer) => peer.match_index,
                    None if *voter == own.0 => own.1,
                    None => Index::ZERO,
                });
        let count = voters.voters().len();
        let index = if count <= USUAL {
            let mut few = [Index::ZERO; USUAL];
            for (slot, index) in few.iter_mut().zip(reached) {
                *slot = index;
            }
            majority_index(&mut few[..count])
        } else {
            majority_index(&mut reached.collect::<Vec<_>>())
        };
        (index >= self.term_start).then_some(index)
    }
}
