//! Rules for candidates (Figure 2; section 5.2).

use crate::action::Action;
use crate::message::{Campaign, Message, RequestVote, Vote};
use crate::outbox::Withheld;
use crate::quorum;
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
    /// Whether this node may stand for election: as a voter, or as one that is to leave by a
    /// change that may not be committed. "A server that is not part of its own latest
    /// configuration should still start new elections, as it might still be needed until the
    /// C_new entry is committed" (thesis 4.2.2): it may be the only one that holds that entry.
    pub(crate) fn may_campaign(&self) -> bool {
        let own = self.config.node_id;
        let mut since = self.configurations.since(self.commit_index);
        self.configurations.membership().is_voter(own) || since.any(|one| one.is_voter(own))
    }

    /// "Start election: increment currentTerm, vote for self, reset election timer, send
    /// RequestVote RPCs to all other servers." The requests and our own vote wait until term
    /// and vote are on disk; so is then every entry that `last_log` promises, since it was
    /// written before.
    pub(crate) fn campaign(&mut self, campaign: Campaign, actions: &mut Vec<Action>) {
        self.become_candidate(actions);
        let term = self.hard_state.term;
        let request = Message::RequestVote(RequestVote {
            term,
            last_log: self.log.last(),
            campaign,
        });
        let seq = self.writes.latest();
        self.outbox.withhold(seq, Withheld::OwnVote { term });
        let own = self.config.node_id;
        let voters = self.configurations.membership().voters();
        self.asked = voters.filter(|id| *id != own).collect();
        for to in self.asked.iter().copied() {
            let message = request.clone();
            self.outbox.withhold(seq, Withheld::Send { to, message });
        }
    }

    /// The election timed out while our own vote is not even on disk: another term would only
    /// add a write to those that wait. Gives this one more time.
    pub(crate) fn wait_for_own_vote(&mut self) {
        let deadline = self.now.after(self.draw_candidates_timeout());
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
        let granted = |id| candidate.granted.contains(&id);
        if quorum::reached(self.configurations.membership(), granted) == Some(true) {
            self.become_leader(actions);
            self.begin_term(actions);
        }
    }
}
