//! RequestVote RPC (Figure 2; sections 5.2 and 5.4.1).

use crate::action::Action;
use crate::error::Rejection;
use crate::message::{Message, RequestVote, RequestVoteReply, Vote};
use crate::outbox::Withheld;
use crate::raft::Raft;
use crate::role::{Ballot, Role};
use crate::types::{EntryId, Incarnation, NodeId};
use alloc::vec::Vec;

impl Raft {
    /// Receiver implementation.
    pub(super) fn request_vote(
        &mut self,
        from: NodeId,
        request: RequestVote,
        actions: &mut Vec<Action>,
    ) {
        // Leader stickiness (thesis 4.2.3), unless that leader asked for the election (3.10). It
        // holds in this node's own term too: another message than a vote may have begun that term
        // since, and the leader of the earlier term may hold a lease (6.4.1).
        if request.term >= self.hard_state.term()
            && self.sticks_to_leader(request.term, request.campaign)
        {
            return;
        }
        // From any node: the candidate may be a voter by a configuration that this node does not
        // know yet (thesis 4.2.2).
        self.adopt_term(request.term, actions);
        let vote = if self.may_elect(request.lineage) {
            self.vote_on(from, request, actions)
        } else {
            Vote::Refused
        };
        if vote == Vote::Refused && request.term == self.hard_state.term() {
            self.give_way(request.last_log);
        }
        let message = Message::RequestVoteReply(RequestVoteReply {
            term: self.hard_state.term(),
            vote,
        });
        match vote {
            Vote::Refused => actions.push(Action::Send { to: from, message }),
            Vote::Granted => {
                // "votedFor: updated on stable storage before responding."
                let seq = self.writes.latest();
                self.outbox
                    .withhold(seq, Withheld::Send { to: from, message });
            }
        }
    }

    /// Votes. votedFor and the log decide, not the role: a candidate and a leader have voted for
    /// themselves, and a pre-candidate has not.
    fn vote_on(
        &mut self,
        candidate: NodeId,
        request: RequestVote,
        actions: &mut Vec<Action>,
    ) -> Vote {
        // 1. "Reply false if term < currentTerm."
        if request.term < self.hard_state.term() {
            return Vote::Refused;
        }
        // It may have lost an entry that it acknowledged, and that the candidate lacks.
        if self.is_impaired() {
            return Vote::Refused;
        }
        // 2. "If votedFor is null or candidateId, and candidate's log is at least as up-to-date
        //    as receiver's log, grant vote."
        let free = match self.hard_state.voted_for() {
            None => true,
            Some(voted_for) => voted_for == candidate,
        };
        if !free
            || !request
                .last_log
                .is_at_least_as_up_to_date_as(self.log.last())
        {
            return Vote::Refused;
        }
        // A voter gives the candidate time to win (section 5.2), also if it wanted to campaign.
        if let Role::PreCandidate(_) = &self.role {
            self.become_follower(None, actions);
        }
        if let Role::Follower(follower) = &mut self.role {
            follower.grant_vote(self.now);
        }
        self.vote_for(candidate);
        Vote::Granted
    }

    /// Another candidate of this term has a log that ends with `theirs`. If that is the better one,
    /// this node gives it time to win (section 5.2), as it would if it had not voted for itself.
    /// Otherwise a node that is elected by nobody may always ask first: each new term of its own
    /// takes its vote from the better candidate, which is not told of it if this node's
    /// configuration does not name that candidate yet.
    fn give_way(&mut self, theirs: EntryId) {
        let own = self.log.last();
        if let Role::Candidate(candidate) = &mut self.role
            && !own.is_at_least_as_up_to_date_as(theirs)
        {
            candidate.give_way(self.now);
        }
    }

    /// A voter answered this candidate.
    pub(super) fn request_vote_reply(
        &mut self,
        from: NodeId,
        incarnation: Option<Incarnation>,
        reply: RequestVoteReply,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        let (term, ours) = (reply.term, self.hard_state.term());
        if reply.vote == Vote::Granted && term >= ours {
            // In this term it campaigned only if it voted for itself. It knows which voters it
            // asked, unless it has restarted since.
            let own = Some(self.config.node_id);
            let campaigned = term == ours && self.hard_state.voted_for() == own;
            let requested = &self.votes_requested;
            if !campaigned || !requested.is_empty() && !requested.contains(&from) {
                return Err(Rejection::UnsolicitedVote { term });
            }
        }
        // A refusal may answer a request of an earlier term: it carries the voter's term, not the
        // request's. A voter may have been removed since it was asked.
        if term > ours {
            if self.may_teach_term(from) {
                self.adopt_term(term, actions);
            }
        } else if term == ours
            && self.configurations.membership().is_voter(from)
            && self.counts_votes_of(incarnation)
        {
            let voter = from;
            self.count_vote(Ballot { voter, incarnation }, reply.vote, actions);
        }
        Ok(())
    }
}
