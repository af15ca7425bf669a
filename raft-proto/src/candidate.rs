//! Rules for candidates (Figure 2; section 5.2).

use crate::action::Action;
use crate::message::{Message, RequestVote, Vote};
use crate::outbox::Withheld;
use crate::quorum::majority;
use crate::raft::Raft;
use crate::role::Role;
use crate::types::{NodeId, Time};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What only a candidate has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Candidate {
    deadline: Time,
    /// Who has voted for us in this term, each once, however often it says so.
    granted: Vec<NodeId>,
}

impl Candidate {
    pub(crate) fn new(deadline: Time) -> Candidate {
        Candidate {
            deadline,
            granted: Vec::new(),
        }
    }

    /// "If election timeout elapses: start new election."
    pub(crate) fn deadline(&self) -> Time {
        self.deadline
    }
}

impl Raft {
    /// "Start election: increment currentTerm, vote for self, reset election timer, send
    /// RequestVote RPCs to all other servers." The requests and our own vote wait until term
    /// and vote are on disk; so is then every entry that `last_log` promises, since it was
    /// written before.
    pub(crate) fn campaign(&mut self, actions: &mut Vec<Action>) {
        self.become_candidate(actions);
        let term = self.hard_state.term;
        let request = Message::RequestVote(RequestVote {
            term,
            last_log: self.log.last(),
        });
        let seq = self.writes.latest();
        self.outbox.withhold(seq, Withheld::OwnVote { term });
        for voter in self.membership.voters() {
            if *voter != self.config.node_id {
                let message = request.clone();
                self.outbox.withhold(
                    seq,
                    Withheld::Send {
                        to: *voter,
                        message,
                    },
                );
            }
        }
    }

    /// The election timed out while our own vote is not even on disk: another term would only
    /// add a write to those that wait. Gives this one more time.
    pub(crate) fn wait_for_own_vote(&mut self) {
        let deadline = self.now.after(self.timeouts.draw(&self.config));
        if let Role::Candidate(candidate) = &mut self.role {
            candidate.deadline = deadline;
        }
    }

    /// Counts a vote in the current term. A voter counts once (section 5.2).
    pub(crate) fn count_vote(&mut self, voter: NodeId, vote: Vote, actions: &mut Vec<Action>) {
        let Role::Candidate(candidate) = &mut self.role else {
            return;
        };
        if vote == Vote::Refused || candidate.granted.contains(&voter) {
            return;
        }
        candidate.granted.push(voter);
        if candidate.granted.len() >= majority(self.membership.voters().len()) {
            self.become_leader(actions);
            self.begin_term(actions);
        }
    }
}
