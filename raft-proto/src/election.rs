//! Elections (section 5.2; Figure 2, Followers and Candidates).

use crate::action::Action;
use crate::config::PreVoting;
use crate::message::{Campaign, Message, RequestVote, Vote};
use crate::outbox::Withheld;
use crate::quorum;
use crate::raft::Raft;
use crate::role::Role;
use crate::types::{Index, NodeId, Term};
use alloc::vec::Vec;

impl Raft {
    /// "If election timeout elapses without receiving AppendEntries RPC from current leader or
    /// granting vote to candidate: convert to candidate" (Followers); "if election timeout
    /// elapses: start new election" (Candidates).
    pub(crate) fn election_timeout_elapsed(&mut self, actions: &mut Vec<Action>) {
        if matches!(self.role, Role::Candidate(_)) && self.outbox.has_own_vote() {
            self.wait_for_own_vote();
        } else if self.hard_state.term() >= Term::MAX {
            // There is no term left to campaign in.
            self.become_follower(None, actions);
            self.reset_election_timer();
        } else {
            self.start_election(actions);
        }
    }

    /// Starts the election timer anew, if this node is a follower.
    pub(crate) fn reset_election_timer(&mut self) {
        if let Role::Follower(follower) = &mut self.role {
            follower.reset_election_timer(self.now);
        }
    }

    fn start_election(&mut self, actions: &mut Vec<Action>) {
        match self.config.pre_vote {
            PreVoting::On => self.request_pre_votes(actions),
            PreVoting::Off => self.campaign(Campaign::Election, actions),
        }
    }

    /// Whether this node may campaign: as a voter, or as one that a change removes which may not
    /// be committed. "A server that is not part of its own latest configuration should still start
    /// new elections, as it might still be needed until the C_new entry is committed" (thesis
    /// 4.2.2): it may be the only one that holds that entry. A node that was told that it is no
    /// member by what *is* committed may not (`pre_vote.rs`).
    pub(crate) fn may_campaign(&self) -> bool {
        if self.removed_at >= self.configurations.latest().index && self.removed_at > Index::ZERO {
            return false;
        }
        let own = self.config.node_id;
        let mut since = self.configurations.since(self.commit_index.get());
        self.configurations.membership().is_voter(own) || since.any(|one| one.is_voter(own))
    }

    /// "Start election: increment currentTerm, vote for self, reset election timer, send
    /// RequestVote RPCs to all other servers." The requests and this node's own vote wait until
    /// term and vote are on disk. Then every entry that `last_log` promises is on disk too, since
    /// it was written before.
    pub(crate) fn campaign(&mut self, campaign: Campaign, actions: &mut Vec<Action>) {
        self.become_candidate(actions);
        let term = self.hard_state.term();
        let request = Message::RequestVote(RequestVote {
            term,
            last_log: self.log.last(),
            campaign,
        });
        let seq = self.writes.latest();
        self.outbox.withhold(seq, Withheld::OwnVote { term });
        let own = self.config.node_id;
        let voters = self.configurations.membership().voters();
        self.votes_requested = voters.filter(|id| *id != own).collect();
        for to in self.votes_requested.iter().copied() {
            let message = request.clone();
            self.outbox.withhold(seq, Withheld::Send { to, message });
        }
    }

    /// The election timed out while this candidate's own vote is not even on disk. Another term
    /// would only add a write to those that wait, so this one gets more time.
    fn wait_for_own_vote(&mut self) {
        let election_at = self.now.after(self.draw_candidate_timeout());
        if let Role::Candidate(candidate) = &mut self.role {
            candidate.election_at = election_at;
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
