//! "A candidate wins an election if it receives votes from a majority of the servers in the full
//! cluster for the same term" (section 5.2); of each half of a joint configuration (section 6).
//!
//! A server writes its vote to disk before it sends it, so the vote can be looked up. A server that
//! is still in the term has votedFor; a server that has gone on to a later term may have voted.
//!
//! Cost: a look at each voter's disk for each leader.

use super::quorum::has_quorum;
use super::violation::{Nodes, Violation};
use raft_proto::{Membership, NodeId, Term};

/// `leader` has just been elected in `term`; `voted` tells whether a node may have voted for it.
///
/// # Errors
///
/// [`Violation::ElectedWithoutMajority`].
pub fn check(
    leader: NodeId,
    term: Term,
    membership: &Membership,
    voted: impl Fn(NodeId) -> bool,
) -> Result<(), Violation> {
    if has_quorum(membership, &voted) {
        return Ok(());
    }
    let voters = membership.voters().filter(|id| voted(*id)).collect();
    Err(Violation::ElectedWithoutMajority {
        leader,
        term,
        voters: Nodes(voters),
    })
}
