//! Leader Completeness, predicted: when an entry is committed, no node that lacks it may be able to
//! win an election (section 5.4; section 5.4.2 and Figure 8 show how that could happen).
//!
//! Whether such a node really is elected depends on which election timeout elapses first, and a
//! search would wait long for it. So this check predicts: a node could be elected if a majority of
//! the voters that it knows (of both halves if they are joint) have logs that are not more up to
//! date than its own (section 5.4.1).
//!
//! Sound: messages may be lost for as long as it takes, timeouts are drawn at random, and any voter
//! may lose power and what it has not synced. Any higher term makes all votes free again. So from a
//! state in which a node could be elected, some run goes on in which it is, with the log that it
//! has; and Leader Completeness must hold in all runs.
//!
//! Cost: at each commit, one comparison for each pair of a node that lacks the entry and a voter.

use super::membership_safety::MemberView;
use super::quorum::has_quorum;
use super::violation::{Nodes, Violation};
use raft_proto::{EntryId, NodeId};

/// `leader` has just committed `entry`. `views` holds each node that can still take part, and
/// `has_entry` tells whether a node's log or snapshot has the entry.
///
/// # Errors
///
/// [`Violation::ElectableWithoutEntry`].
pub fn check(
    entry: EntryId,
    leader: NodeId,
    views: &[MemberView<'_>],
    has_entry: impl Fn(NodeId) -> bool,
) -> Result<(), Violation> {
    for view in views {
        let Some(membership) = view.membership else {
            continue; // It is down: it votes, but does not start an election.
        };
        if !membership.is_voter(view.node) || has_entry(view.node) {
            continue;
        }
        let grants = |id: NodeId| {
            let voter = views.iter().find(|voter| voter.node == id);
            let grants = |voter: &MemberView<'_>| {
                voter.would_vote_for(view.last_log) && voter.counts_in(membership)
            };
            id == view.node || voter.is_some_and(grants)
        };
        if has_quorum(membership, grants) {
            let voters = membership.voters().filter(|id| grants(*id)).collect();
            return Err(Violation::ElectableWithoutEntry {
                entry,
                leader,
                node: view.node,
                last_log: view.last_log,
                voters: Nodes(voters),
            });
        }
    }
    Ok(())
}
