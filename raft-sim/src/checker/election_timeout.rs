//! Election timeout: "If election timeout elapses without receiving AppendEntries RPC from current
//! leader or granting vote to candidate: convert to candidate" (Figure 2, Rules for Followers;
//! section 5.2), and not before that.
//!
//! Safety does not need this rule, so nothing else shows a mistake here: a cluster whose followers
//! start elections too early only elects more often, and for longer, than it should. A node may ask
//! for votes or pre-votes only when the least election timeout has passed, by its own clock, since
//!
//! - it granted its vote to another node: votedFor changed to that node;
//! - or it accepted an AppendEntries or an InstallSnapshot from the leader of its current term.
//!
//! Sound: every timeout that a core draws is at least the least one. A vote and a leader's message
//! reset the timer to a whole timeout; a change of role, term or configuration in the meantime only
//! draws a new one. Only TimeoutNow, by which the leader asks for an election (thesis 3.10), and an
//! operator who asks for one end the wait early: in the step that takes the request, or in one that
//! takes an answer to the pre-votes which the node then asks for. A node that has so begun an
//! election gives an earlier candidate no more time: what it waits for afterwards is its own
//! candidacy (Candidates). Repeated grants of one vote are ignored: they would delay the election
//! further. A vote that is late, for a leader that the node follows already, is a reason to wait as
//! that leader's messages are, and no more. Without CheckQuorum, a leader's messages are no reason
//! to wait for an election timeout after another node has asked for a pre-vote: that leader may
//! hear nobody, and lead on. Nor are they once entries have waited for two election timeouts,
//! at this node, its leader, or one that asked it, as they may where the transport cannot reach the
//! leader, and the leader has not answered what the node has asked since (another disk under the
//! leader's number is not the leader). A leader that the transport cannot reach may be gone: it is
//! no reason to wait either, until it is heard again. A node that restarts has forgotten both
//! reasons, and so does this checker.
//!
//! Cost: a few comparisons a step.

use super::leader_contact::{LeaderContact, loses_leader};
use super::observation::{speaks_for_member, vote_of};
use super::violation::Violation;
use super::wait_reason::WaitReason;
use raft_proto::{
    Action, CheckQuorum, Event, HardState, Incarnation, Index, Input, Message, NodeId, Raft,
    RoleKind, Term, Time,
};
use std::time::Duration;

/// What the last event means for a node's election timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastEvent {
    /// Nothing.
    Other,
    /// It is a leader's message, if the receiver accepts it.
    Leader(LeaderContact),
    /// The leader of this term asked the node to start an election.
    TimeoutNow(Term),
    /// The operator asks the node to start an election.
    Campaign,
    /// Another node asks for a pre-vote.
    PreVote,
    /// A voter answered a pre-vote.
    PreVoteReply,
}

/// A node between its steps.
#[derive(Clone, Copy, Debug)]
struct Node {
    id: NodeId,
    /// Its clock at the last event.
    now: Time,
    /// Why its election timer was last reset, and when.
    reset: Option<Reset>,
    /// The leader that it follows before the present step.
    leader: Option<NodeId>,
    /// Its term and vote before the present step.
    before: HardState,
    last_event: LastEvent,
    /// The last term whose leader asked the node to start an election.
    transfer_in: Option<Term>,
    /// The last term in which the operator asked the node to start an election.
    campaign_in: Option<Term>,
    /// When another node last asked it for a pre-vote.
    pre_vote_at: Option<Time>,
    /// The index that the sender shows to have, which asks for a pre-vote in the present step, or
    /// leads.
    shown: Index,
    /// Entries wait, and its leader commits none.
    waits: Option<Waits>,
    /// The latest term of a leader, and the greatest commitIndex that it has stated.
    stated: (Term, Index),
    /// The disk of the leader that sent the last append.
    leader_disk: Option<Incarnation>,
}

/// Entries that wait to be committed, as far as a node knows.
#[derive(Clone, Copy, Debug)]
struct Waits {
    /// They come after this commitIndex, the node's own or its leader's.
    after: Index,
    /// Since when, or when its leader last answered a pre-vote.
    since: Time,
    /// The greatest index that another node has shown since to have in its log.
    seen: Index,
}

impl Node {
    /// Whether the present step may start an election because the leader asked for it.
    fn is_asked(&self) -> bool {
        match self.last_event {
            LastEvent::PreVote | LastEvent::Other | LastEvent::Leader(_) => false,
            LastEvent::TimeoutNow(_) | LastEvent::Campaign => true,
            LastEvent::PreVoteReply => {
                let term = Some(self.before.term);
                self.transfer_in == term || self.campaign_in == term
            }
        }
    }
}

/// A reset of an election timer.
#[derive(Clone, Copy, Debug)]
struct Reset {
    reason: WaitReason,
    at: Time,
}

impl Reset {
    /// Whether the node waits because of `leader`, which it follows: it has heard that leader, or
    /// voted for it in this term, also late, after it followed it.
    fn is_for(&self, leader: Option<NodeId>) -> bool {
        match self.reason {
            WaitReason::Heard(_) => true,
            WaitReason::Granted(candidate) => leader == Some(candidate),
            WaitReason::Started => false,
        }
    }
}

/// When each node's election timer was last reset. Nodes are few, so a linear search is fastest.
#[derive(Debug, Default)]
pub struct ElectionTimeouts {
    nodes: Vec<Node>,
}

impl ElectionTimeouts {
    fn node(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.id == id)
    }

    /// A node starts, with a clock that need not go on from an earlier one.
    pub fn started(&mut self, node: NodeId) {
        self.stopped(node);
        self.nodes.push(Node {
            id: node,
            now: Time::ZERO,
            reset: None,
            leader: None,
            before: HardState::default(),
            last_event: LastEvent::Other,
            transfer_in: None,
            campaign_in: None,
            pre_vote_at: None,
            shown: Index::ZERO,
            waits: None,
            stated: (Term(0), Index::ZERO),
            leader_disk: None,
        });
    }

    /// A node has stopped.
    pub fn stopped(&mut self, node: NodeId) {
        self.nodes.retain(|other| other.id != node);
    }

    /// `raft` is about to take `event`.
    pub fn event(&mut self, raft: &Raft, event: &Event) {
        let Some(node) = self.node(raft.id()) else {
            return;
        };
        node.now = node.now.max(event.at);
        node.before = vote_of(raft);
        node.leader = raft.leader();
        if loses_leader(raft, &event.input) {
            node.reset.take_if(|reset| reset.is_for(raft.leader()));
        }
        node.last_event = classify(&event.input);
        if let LastEvent::TimeoutNow(term) = node.last_event {
            // A late one, of an earlier term, changes nothing.
            node.transfer_in = node.transfer_in.max(Some(term));
        }
        if node.last_event == LastEvent::Campaign {
            node.campaign_in = Some(raft.term());
        }
        if node.last_event == LastEvent::PreVote {
            node.pre_vote_at = Some(node.now);
        }
        if let Input::Receive {
            from,
            incarnation,
            message,
        } = &event.input
            && speaks_for_member(raft, *from, *incarnation)
            && node.leader_disk == *incarnation
            && let Message::PreVoteReply(reply) = message
            && reply.asked == Term(raft.term().0.saturating_add(1))
            && raft.leader() == Some(*from)
            && let Some(waits) = &mut node.waits
        {
            waits.since = node.now;
        }
        node.shown = last_shown(&event.input);
        // Entries may wait there of which no message tells.
        if loses_leader(raft, &event.input) {
            node.shown = Index::MAX;
        }
        if let Input::Receive {
            incarnation,
            message: Message::AppendEntries(append),
            ..
        } = &event.input
        {
            if append.term >= raft.term() {
                node.leader_disk = *incarnation;
            }
            node.stated = match node.stated {
                (term, _) if term < append.term => (append.term, append.leader_commit),
                (term, known) if term == append.term => (term, known.max(append.leader_commit)),
                later => later,
            };
        }
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
        let config = raft.config();
        let timeout = config.election_timeout_max;
        let is_excused = config.check_quorum == CheckQuorum::Off
            && node.reset.is_some_and(|reset| reset.is_for(node.leader))
            && ((node.pre_vote_at).is_some_and(|at| at.after(timeout) >= node.now)
                || (node.waits).is_some_and(|waits| waits.since.after(timeout * 2) <= node.now));
        for action in actions {
            if let Action::RoleChanged { role, term } = action {
                if node.is_asked() || is_excused {
                    self.began_election(id, *role);
                } else {
                    let least = raft.config().election_timeout_min;
                    self.role_changed(id, *role, *term, node.now, least)?;
                }
            }
        }
        self.look_at_commits(raft);
        let after = vote_of(raft);
        if let Some(candidate) = after.voted_for
            && candidate != id
            && after != node.before
        {
            self.reset(id, WaitReason::Granted(candidate), node.now);
        }
        if let LastEvent::Leader(contact) = node.last_event
            && contact.is_accepted(raft, actions)
        {
            self.reset(id, WaitReason::Heard(contact.leader), node.now);
        }
        Ok(())
    }

    /// A node that need not wait changes its role. If it begins an election, no candidate that it
    /// voted for before gets more time.
    fn began_election(&mut self, node: NodeId, role: RoleKind) {
        let begins = matches!(role, RoleKind::PreCandidate | RoleKind::Candidate);
        let is_vote = |reset: &mut Reset| matches!(reset.reason, WaitReason::Granted(_));
        if let Some(node) = self.node(node).filter(|_| begins) {
            node.reset.take_if(is_vote);
        }
    }

    /// Notes since when entries wait at this node.
    fn look_at_commits(&mut self, raft: &Raft) {
        let Some(node) = self.node(raft.id()) else {
            return;
        };
        if raft.leader().is_none() {
            // It follows nobody, and so has forgotten this, too.
            node.stated = (Term(0), Index::ZERO);
        }
        let stated = match node.stated {
            (term, index) if term == raft.term() => index,
            _ => Index::ZERO,
        };
        let commit_index = raft.commit_index().max(stated);
        let known = node.waits.filter(|waits| waits.after == commit_index);
        let waits = Waits {
            seen: known
                .map_or(Index::ZERO, |waits| waits.seen)
                .max(node.shown),
            after: commit_index,
            since: known.map_or(node.now, |waits| waits.since),
        };
        let last = raft.last_log().index.max(waits.seen);
        node.waits = (last > commit_index).then_some(waits);
    }

    /// At `at` a node resets its election timer.
    pub fn reset(&mut self, node: NodeId, reason: WaitReason, at: Time) {
        if let Some(node) = self.node(node) {
            node.reset = Some(Reset { reason, at });
        }
    }

    /// A node changes its role at `at`. Its least election timeout is `least`.
    ///
    /// # Errors
    ///
    /// [`Violation::EarlyElection`].
    pub fn role_changed(
        &mut self,
        node: NodeId,
        role: RoleKind,
        term: Term,
        at: Time,
        least: Duration,
    ) -> Result<(), Violation> {
        match role {
            RoleKind::Follower | RoleKind::Leader => return Ok(()),
            RoleKind::PreCandidate | RoleKind::Candidate => {}
        }
        let known = self.node(node).and_then(|node| node.reset);
        let Some(reset) = known.filter(|reset| reset.at.after(least) > at) else {
            return Ok(());
        };
        Err(Violation::EarlyElection {
            node,
            role,
            term,
            reason: reset.reason,
            waited: at.since(reset.at),
            least,
        })
    }
}

fn classify(input: &Input) -> LastEvent {
    if let Input::Receive { message, .. } = input {
        if let Message::TimeoutNow(request) = message {
            return LastEvent::TimeoutNow(request.term);
        }
        if let Message::PreVote(_) = message {
            return LastEvent::PreVote;
        }
        if let Message::PreVoteReply(_) = message {
            return LastEvent::PreVoteReply;
        }
    }
    if let Input::Campaign { .. } = input {
        return LastEvent::Campaign;
    }
    LeaderContact::in_input(input).map_or(LastEvent::Other, LastEvent::Leader)
}

/// The last index that the sender of a message shows to have: a node that asks for a pre-vote, or
/// the leader.
fn last_shown(input: &Input) -> Index {
    let Input::Receive { message, .. } = input else {
        return Index::ZERO;
    };
    if let Message::PreVote(request) = message {
        request.last_log.index
    } else if let Message::AppendEntries(request) = message {
        request.prev_log.index
    } else {
        Index::ZERO
    }
}
