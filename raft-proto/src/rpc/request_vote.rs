//! RequestVote RPC (Figure 2; sections 5.2 and 5.4.1).

use crate::action::Action;
use crate::error::Rejection;
use crate::message::{Campaign, Message, RequestVote, RequestVoteReply, Vote};
use crate::outbox::Withheld;
use crate::raft::Raft;
use crate::role::Role;
use crate::types::NodeId;
use alloc::vec::Vec;

impl Raft {
    /// Receiver implementation.
    pub(super) fn request_vote(
        &mut self,
        from: NodeId,
        request: RequestVote,
        actions: &mut Vec<Action>,
    ) {
        // "If a server receives a RequestVote request within the minimum election timeout of
        // hearing from a current leader, it does not update its term or grant its vote" (thesis
        // 4.2.3); unless that leader asked for the election (3.10). Not in its own term either:
        // that may have begun since, by another message than a vote, and the leader that was
        // heard, of an earlier term, may hold a lease (6.4.1).
        if request.campaign == Campaign::Election
            && request.term >= self.hard_state.term
            && self.hears_leader()
        {
            return;
        }
        self.adopt_term(request.term, actions);
        let vote = self.vote_on(from, request);
        let message = Message::RequestVoteReply(RequestVoteReply {
            term: self.hard_state.term,
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

    fn vote_on(&mut self, candidate: NodeId, request: RequestVote) -> Vote {
        // 1. "Reply false if term < currentTerm."
        if request.term < self.hard_state.term {
            return Vote::Refused;
        }
        // 2. "If votedFor is null or candidateId, and candidate's log is at least as up-to-date
        //    as receiver's log, grant vote."
        let free = match self.hard_state.voted_for {
            None => true,
            Some(voted_for) => voted_for == candidate,
        };
        let now = self.now;
        let Role::Follower(follower) = &mut self.role else {
            return Vote::Refused; // It has voted for itself.
        };
        if !free
            || !request
                .last_log
                .is_at_least_as_up_to_date_as(self.log.last())
        {
            return Vote::Refused;
        }
        // Whoever grants a vote gives the candidate time to win.
        follower.put_off_election(now);
        if self.hard_state.voted_for.is_none() {
            self.hard_state.voted_for = Some(candidate);
            self.writes.stage_hard_state();
        }
        Vote::Granted
    }

    /// A voter answered this candidate.
    pub(super) fn request_vote_reply(
        &mut self,
        from: NodeId,
        reply: RequestVoteReply,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        let term = reply.term;
        let ours = self.hard_state;
        if reply.vote == Vote::Granted && term >= ours.term {
            // In this term it campaigned only if it voted for itself; and it knows whom it asked,
            // unless it has restarted since.
            let campaigned = term == ours.term && ours.voted_for == Some(self.config.node_id);
            let asked = self.asked.is_empty() || self.asked.contains(&from);
            if !campaigned || !asked {
                return Err(Rejection::UnsolicitedVote { term });
            }
        }
        // Whoever was asked may have been removed since, and a refusal may answer a request of
        // an earlier term: it carries the voter's term, not the request's.
        if !self.configurations.membership().is_voter(from) {
            return Ok(());
        }
        if term > ours.term {
            self.adopt_term(term, actions);
        } else if term == ours.term {
            self.count_vote(from, reply.vote, actions);
        }
        Ok(())
    }
}
