//! Elections (section 5.2; Figure 2, Followers and Candidates).

use crate::action::Action;
use crate::config::PreVoting;
use crate::message::{Campaign, Message, RequestVote, Vote};
use crate::outbox::Withheld;
use crate::raft::Raft;
use crate::role::{Ballot, Role};
use crate::types::{NodeId, Term};
use alloc::vec::Vec;

impl Raft {
    /// "If election timeout elapses without receiving AppendEntries RPC from current leader or
    /// granting vote to candidate: convert to candidate" (Followers); "if election timeout
    /// elapses: start new election" (Candidates).
    pub(crate) fn election_timeout_elapsed(&mut self, actions: &mut Vec<Action>) {
        if self.election_is_under_way() {
            self.wait_for_disk();
            // A copy of its request may be due by now, too.
            self.retry_vote_request(actions);
        } else if self.hard_state.term() >= Term::MAX {
            // There is no term left to campaign in.
            self.become_follower(None, actions);
            self.reset_election_timer();
        } else if self.has_promised() {
            self.wait_for_promise(actions);
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

    /// Whether this node's term or vote is not on its disk yet, and it knows no leader of that
    /// term. Such a node neither begins another term nor would vote in one. Its disk writes in
    /// order: another term would only add a write to those that wait, and make the vote worthless
    /// that is on its way, its own or that of the candidate from which it has the term. So an
    /// election ends, however long the syncs take.
    pub(crate) fn election_is_under_way(&self) -> bool {
        !self.writes.term_is_durable() && self.leader().is_none()
    }

    pub(crate) fn start_election(&mut self, actions: &mut Vec<Action>) {
        match self.config.pre_vote {
            PreVoting::On => self.request_pre_votes(actions),
            PreVoting::Off => self.campaign(Campaign::Election, actions),
        }
    }

    /// Whether this node may campaign: as a voter, or as one that a change removes which may not
    /// be committed. "A server that is not part of its own latest configuration should still start
    /// new elections, as it might still be needed until the C_new entry is committed" (thesis
    /// 4.2.2): it may be the only one that holds that entry. A node that was told that it is no
    /// member by what *is* committed may not (`dismissal.rs`), nor may one whose storage has lost
    /// entries (`impairment.rs`).
    pub(crate) fn may_campaign(&self) -> bool {
        if self.is_impaired() {
            return false;
        }
        if self.was_told_at_least(self.configurations.latest().index) {
            return false;
        }
        let mut since = self.configurations.since(self.commit_index.get());
        self.votes_in(self.configurations.membership()) || since.any(|one| self.votes_in(one))
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
            lineage: self.lineage(),
        });
        self.vote_retry.prepare(request.clone());
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

    /// The election timed out while this node's term or vote is not even on disk. The election gets
    /// more time.
    fn wait_for_disk(&mut self) {
        let now = self.now;
        match &mut self.role {
            Role::Follower(follower) => follower.reset_election_timer(now),
            Role::Candidate(candidate) => {
                candidate.election_at = now.after(candidate.election_timeout);
            }
            Role::PreCandidate(pre_candidate) => {
                pre_candidate.election_at = now.after(self.config.election_timeout_max);
            }
            Role::Leader(_) => {} // It has no election timeout.
        }
    }

    /// This candidate's own vote is on disk, and its requests leave. It waits for an election
    /// timeout from now on, and for as long as its own disk took: the voters' disks may be as slow.
    pub(crate) fn own_vote_persisted(&mut self, actions: &mut Vec<Action>) {
        let now = self.now;
        if let Role::Candidate(candidate) = &mut self.role {
            let sync = now.since(candidate.began_at);
            candidate.election_at = now.after(candidate.election_timeout + sync);
        }
        let ballot = Ballot {
            voter: self.config.node_id,
            incarnation: self.config.incarnation,
        };
        self.count_vote(ballot, Vote::Granted, actions);
    }

    /// The votes that this node has in the current term.
    pub(crate) fn ballots(&self) -> &[Ballot] {
        match &self.role {
            Role::Candidate(candidate) => &candidate.granted,
            Role::PreCandidate(pre_candidate) => pre_candidate.candidacy.as_deref().unwrap_or(&[]),
            Role::Follower(_) | Role::Leader(_) => &[],
        }
    }

    fn has_vote_of(&self, voter: NodeId) -> bool {
        self.ballots().iter().any(|ballot| ballot.voter == voter)
    }

    /// Counts a vote in the current term. A voter counts once (section 5.2).
    pub(crate) fn count_vote(&mut self, ballot: Ballot, vote: Vote, actions: &mut Vec<Action>) {
        let voter = ballot.voter;
        let votes = match &mut self.role {
            Role::Candidate(candidate) => &mut candidate.granted,
            // Its election timed out, but the term is the same, and so is the log.
            Role::PreCandidate(pre_candidate) => match &mut pre_candidate.candidacy {
                Some(votes) => votes,
                None => return,
            },
            Role::Follower(_) | Role::Leader(_) => return,
        };
        if vote == Vote::Refused || votes.iter().any(|it| it.voter == voter) {
            return;
        }
        votes.push(ballot);
        if self.elects(|id| self.has_vote_of(id)) {
            self.become_leader(actions);
            self.begin_term(actions);
        }
    }
}
