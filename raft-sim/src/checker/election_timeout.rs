//! ElectionTimeouts: "If election timeout elapses without receiving AppendEntries RPC from current leader
//! or granting vote to candidate: convert to candidate" (Figure 2, Rules for Followers; section
//! 5.2), and not before that.
//!
//! Safety does not need this, so nothing else shows a mistake here: a cluster whose followers are
//! too hasty only elects more often, and for longer, than it should. A node may ask for votes or
//! pre-votes only when the least election timeout has passed, by its own clock, since
//!
//! - it granted its vote to another node: votedFor changed to that node;
//! - or it took an AppendEntries or an InstallSnapshot from the leader of its current term.
//!
//! Sound: every timeout that a core draws is at least the least one, a vote and a leader put the
//! deadline off by a whole one, and roles, terms and configurations that change meanwhile only
//! draw anew. Only TimeoutNow, by which the leader asks for the campaign (thesis 3.10), comes
//! before. Repeated grants of one vote are not looked at: they would put the election off further.
//! A node that restarts has forgotten both, and so has this.
//!
//! Cost: a few comparisons a step.

use super::leader_contact::LeaderContact;
use super::violation::{Violation, WaitReason};
use raft_proto::{Action, Event, Input, Message, NodeId, Raft, RoleKind, Term, Time};
use std::time::Duration;

/// What the last event may have done to a node, known once it has been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// Nothing of interest.
    Nothing,
    /// It came from a node that leads, if the receiver says so too.
    Leads(LeaderContact),
    /// The node was asked to campaign.
    TimeoutNow,
}

/// A node between its steps.
#[derive(Clone, Copy, Debug)]
struct Node {
    id: NodeId,
    /// Its clock at the last event.
    now: Time,
    /// What should keep it from an election, and since when.
    put_off: Option<(WaitReason, Time)>,
    /// Its term and vote before the step that is under way.
    vote: (Term, Option<NodeId>),
    said: Said,
}

/// When each node last had a reason to wait. A handful of nodes, so that looking through them is
/// the fastest way.
#[derive(Debug, Default)]
pub struct ElectionTimeouts {
    nodes: Vec<Node>,
}

impl ElectionTimeouts {
    fn node(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.id == id)
    }

    /// A node begins, with a clock that need not go on from an earlier one.
    pub fn started(&mut self, node: NodeId) {
        self.stopped(node);
        self.nodes.push(Node {
            id: node,
            now: Time::ZERO,
            put_off: None,
            vote: (Term(0), None),
            said: Said::Nothing,
        });
    }

    /// A node stopped.
    pub fn stopped(&mut self, node: NodeId) {
        self.nodes.retain(|other| other.id != node);
    }

    /// `raft` is about to take `event`.
    pub fn event(&mut self, raft: &Raft, event: &Event) {
        let Some(node) = self.node(raft.id()) else {
            return;
        };
        node.now = node.now.max(event.at);
        node.vote = (raft.term(), raft.voted_for());
        node.said = said(&event.input);
    }

    /// `raft` has taken the last event and answered with `actions`.
    ///
    /// # Errors
    ///
    /// [`Violation::EarlyElection`].
    pub fn actions(&mut self, raft: &Raft, actions: &[Action]) -> Result<(), Violation> {
        let id = raft.id();
        let Some(node) = self.node(id).copied() else {
            return Ok(());
        };
        if node.said != Said::TimeoutNow {
            for action in actions {
                if let Action::RoleChanged { role, term } = action {
                    let least = raft.config().election_timeout_min;
                    self.changed(id, (*role, *term), node.now, least)?;
                }
            }
        }
        let vote = (raft.term(), raft.voted_for());
        if let Some(candidate) = raft.voted_for()
            && candidate != id
            && vote != node.vote
        {
            self.put_off(id, WaitReason::Granted(candidate), node.now);
        }
        if let Said::Leads(claim) = node.said
            && claim.is_taken(raft, actions)
        {
            self.put_off(id, WaitReason::Heard(claim.leader), node.now);
        }
        Ok(())
    }

    /// From `at` on a node has a reason to wait.
    pub fn put_off(&mut self, node: NodeId, reason: WaitReason, at: Time) {
        if let Some(node) = self.node(node) {
            node.put_off = Some((reason, at));
        }
    }

    /// A node changes its role at `at`, in a term. It has to wait for `least`.
    ///
    /// # Errors
    ///
    /// [`Violation::EarlyElection`].
    pub fn changed(
        &mut self,
        node: NodeId,
        (role, term): (RoleKind, Term),
        at: Time,
        least: Duration,
    ) -> Result<(), Violation> {
        match role {
            RoleKind::Follower | RoleKind::Leader => return Ok(()),
            RoleKind::PreCandidate | RoleKind::Candidate => {}
        }
        let known = self.node(node).and_then(|node| node.put_off);
        let Some((reason, since)) = known.filter(|(_, since)| since.after(least) > at) else {
            return Ok(());
        };
        Err(Violation::EarlyElection {
            node,
            role,
            term,
            reason,
            waited: at.since(since),
            least,
        })
    }
}

fn said(input: &Input) -> Said {
    if let Input::Receive { message, .. } = input
        && matches!(message, Message::TimeoutNow(_))
    {
        return Said::TimeoutNow;
    }
    LeaderContact::in_input(input).map_or(Said::Nothing, Said::Leads)
}
