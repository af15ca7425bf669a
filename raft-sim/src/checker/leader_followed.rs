//! "If AppendEntries RPC received from new leader: convert to follower" (Figure 2, Candidates;
//! section 5.2): a node that hears the leader of its own term, or of a later one, follows it.
//!
//! A candidate that does not is no danger, and nothing else shows it: it only goes on to depose a
//! leader that works. The checker looks at each step that takes an AppendEntries or InstallSnapshot
//! of at least the node's term: after it, the node is a follower in that term and knows the sender
//! as its leader.
//!
//! Sound: only the leader of a term sends these (Election Safety). A message that the node rejects
//! is another failure, and an instance that has faulted does nothing any more.
//!
//! Cost: a few comparisons a step.

use super::leader_contact::LeaderContact;
use super::violation::Violation;
use raft_proto::{Action, Event, NodeId, Raft, RoleKind};

/// What each node's present step hears. Nodes take their steps one after another, so there is one.
#[derive(Debug, Default)]
pub struct LeaderFollowed {
    heard: Option<(NodeId, LeaderContact)>,
}

impl LeaderFollowed {
    /// `raft` is about to take `event`.
    pub fn event(&mut self, raft: &Raft, event: &Event) {
        let contact = LeaderContact::in_input(&event.input);
        let contact = contact.filter(|contact| contact.term >= raft.term());
        self.heard = contact.map(|contact| (raft.id(), contact));
    }

    /// `raft` has taken the last event and answered with `actions`.
    ///
    /// # Errors
    ///
    /// [`Violation::LeaderNotFollowed`].
    pub fn actions(&mut self, raft: &Raft, actions: &[Action]) -> Result<(), Violation> {
        let Some((node, contact)) = self.heard.take() else {
            return Ok(());
        };
        let rejects = |action: &Action| matches!(action, Action::Rejected { .. });
        if node != raft.id() || raft.fault().is_some() || actions.iter().any(rejects) {
            return Ok(());
        }
        if raft.role() == RoleKind::Follower && contact.is_accepted(raft, actions) {
            return Ok(());
        }
        Err(Violation::LeaderNotFollowed {
            node,
            role: raft.role(),
            leader: contact.leader,
            term: contact.term,
        })
    }
}
