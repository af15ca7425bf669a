//! "A candidate wins an election if it receives votes from a majority of the servers in the full
//! cluster for the same term" (section 5.2); of each half of a joint configuration (section 6).
//!
//! A vote is remembered on disk before it is given, so that it can be looked up: whoever is still
//! in the term has votedFor, and whoever has gone on to a later one may have voted.
//!
//! Cost: a look at each voter for each leader.

use super::quorum::has_quorum;
use super::violation::{Nodes, Violation};
use raft_proto::{Membership, NodeId, Term};

/// `leader` leads in `term`, which it did not before; `voted` tells who can have voted for it.
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
