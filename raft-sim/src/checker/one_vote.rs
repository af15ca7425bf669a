//! Election Safety, the votes: "each server will vote for at most one candidate in a given term"
//! (section 5.2), also across a restart, since the vote is on disk before it is sent (Figure 2).
//!
//! Two leaders of one term need a second vote, two candidates and a majority for each. The second
//! vote alone is enough here. A vote counts when it leaves the node: a grant that is sent, a
//! request for votes (a candidate votes for itself), or leadership (of the only voter).
//!
//! Sound: the core sends none of these before the vote is on disk, so no crash takes it back.
//!
//! Cost: a look at each message.

use super::violation::Violation;
use raft_proto::{Action, Message, NodeId, RoleKind, Term, Vote};

/// The last vote that a node let out.
#[derive(Clone, Copy, Debug)]
struct LastVote {
    voter: NodeId,
    term: Term,
    candidate: NodeId,
}

/// The last vote of each node. Nodes are few, so a linear search is fastest.
#[derive(Debug, Default)]
pub struct OneVote {
    votes: Vec<LastVote>,
}

impl OneVote {
    /// The node's disk is lost, and its votes with it.
    pub fn gone(&mut self, node: NodeId) {
        self.votes.retain(|vote| vote.voter != node);
    }

    /// `node` has taken a step, and answered with `actions`.
    ///
    /// # Errors
    ///
    /// [`Violation::VotedTwice`].
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only these actions let a vote out"
    )]
    pub fn actions(&mut self, node: NodeId, actions: &[Action]) -> Result<(), Violation> {
        for action in actions {
            match action {
                Action::Send { to, message } => match message {
                    Message::RequestVoteReply(reply) if reply.vote == Vote::Granted => {
                        self.voted(node, reply.term, *to)?;
                    }
                    Message::RequestVote(request) => self.voted(node, request.term, node)?,
                    _ => {}
                },
                Action::RoleChanged {
                    role: RoleKind::Leader,
                    term,
                } => self.voted(node, *term, node)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// `voter` lets out a vote for `candidate`. Votes of earlier terms are not remembered.
    ///
    /// # Errors
    ///
    /// [`Violation::VotedTwice`].
    pub fn voted(&mut self, voter: NodeId, term: Term, candidate: NodeId) -> Result<(), Violation> {
        let vote = LastVote {
            voter,
            term,
            candidate,
        };
        match self.votes.iter_mut().find(|vote| vote.voter == voter) {
            None => self.votes.push(vote),
            Some(last) if last.term < term => *last = vote,
            Some(last) if last.term == term && last.candidate != candidate => {
                return Err(Violation::VotedTwice {
                    voter,
                    term,
                    first: last.candidate,
                    second: candidate,
                });
            }
            Some(_) => {}
        }
        Ok(())
    }
}
