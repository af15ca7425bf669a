//! How a node changes its role, its term or its vote (Figure 2; section 5.1). No other file
//! changes any of them.

use crate::action::Action;
use crate::command_limit::CommandLimit;
use crate::error::ReadError;
use crate::progress::Peer;
use crate::raft::Raft;
use crate::reads::LeaderReads;
use crate::role::{Candidate, Follower, Leader, PreCandidate, Role};
use crate::types::{NodeId, Term, Time};
use alloc::vec::Vec;

impl Raft {
    /// The one door to currentTerm and votedFor.
    fn set_term_and_vote(&mut self, term: Term, voted_for: Option<NodeId>) {
        self.hard_state.set(term, voted_for, &mut self.writes);
    }

    /// "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert
    /// to follower" (Figure 2, Rules for All Servers). Of replies, only a member's term comes here
    /// (`Raft::may_teach_term`).
    pub(crate) fn adopt_term(&mut self, term: Term, actions: &mut Vec<Action>) {
        if term <= self.hard_state.term() {
            return;
        }
        self.set_term_and_vote(term, None);
        self.outbox.forget_messages();
        self.become_follower(None, actions);
    }

    /// Votes for `candidate` in the current term (section 5.2: a server votes "for at most one
    /// candidate in a given term"). The caller has checked that this node has no other vote.
    pub(crate) fn vote_for(&mut self, candidate: NodeId) {
        if self.hard_state.voted_for().is_none() {
            self.set_term_and_vote(self.hard_state.term(), Some(candidate));
        }
    }

    /// Follows `leader`, or none yet, in the current term. votedFor stays: a vote holds for the
    /// whole term (section 5.2).
    pub(crate) fn become_follower(&mut self, leader: Option<NodeId>, actions: &mut Vec<Action>) {
        let known = self.leader();
        if known != leader {
            self.end_reads(ReadError::LeaderChanged, actions);
        }
        match &mut self.role {
            Role::Follower(follower) => follower.follow(leader),
            Role::PreCandidate(_) | Role::Candidate(_) | Role::Leader(_) => {
                // A candidacy that is over asks for no votes: by the time that its write is
                // durable, the log may not be what the requests say. What this node promised to
                // others in this term still holds.
                self.outbox.forget_candidacy();
                self.end_snapshot_transfers();
                self.end_handover(actions);
                let timeout = match self.role {
                    Role::PreCandidate(_) | Role::Candidate(_) => self.draw_candidate_timeout(),
                    Role::Leader(_) | Role::Follower(_) => self.draw_timeout(),
                };
                let election_at = self.now.after(timeout);
                self.role = Role::Follower(Follower::new(leader, election_at, timeout));
                self.role_changed(actions);
            }
        }
        self.leader_changed(known, actions);
    }

    /// Asks for pre-votes (thesis 9.6), in the current term.
    pub(crate) fn become_pre_candidate(&mut self, actions: &mut Vec<Action>) {
        let known = self.leader();
        self.end_reads(ReadError::LeaderChanged, actions);
        self.outbox.forget_candidacy();
        let election_at = self.now.after(self.draw_candidate_timeout());
        let was_pre_candidate = matches!(self.role, Role::PreCandidate(_));
        let candidacy = match &mut self.role {
            Role::Candidate(candidate) => Some(core::mem::take(&mut candidate.granted)),
            Role::PreCandidate(pre_candidate) => pre_candidate.candidacy.take(),
            Role::Follower(_) | Role::Leader(_) => None,
        };
        self.role = Role::PreCandidate(PreCandidate {
            election_at,
            granted: Vec::new(),
            candidacy,
        });
        if !was_pre_candidate {
            self.role_changed(actions);
        }
        self.leader_changed(known, actions);
    }

    /// "On conversion to candidate, start election: increment currentTerm, vote for self, reset
    /// election timer" (Figure 2, Candidates). `campaign` sends the requests.
    pub(crate) fn become_candidate(&mut self, actions: &mut Vec<Action>) {
        let known = self.leader();
        self.end_reads(ReadError::LeaderChanged, actions);
        self.set_term_and_vote(self.hard_state.term().next(), Some(self.config.node_id));
        self.outbox.forget_messages();
        let election_timeout = self.draw_candidate_timeout();
        self.role = Role::Candidate(Candidate {
            election_at: self.now.after(election_timeout),
            began_at: self.now,
            election_timeout,
            granted: Vec::new(),
        });
        self.role_changed(actions);
        self.leader_changed(known, actions);
    }

    /// "If votes received from majority of servers: become leader" (Figure 2, Candidates).
    pub(crate) fn become_leader(&mut self, actions: &mut Vec<Action>) {
        let known = self.leader();
        let (last, now) = (self.log.last().index, self.now);
        let own = self.config.node_id;
        let ballots = self.ballots();
        let latest = self.configurations.latest();
        // Those that a change removes which may not be committed yet are still to hear of it.
        let since = self.configurations.since(self.commit_index.get());
        let members = since.chain([&latest.membership]);
        let members = members.flat_map(|membership| membership.members());
        let mut others: Vec<NodeId> = members.map(|member| member.id).collect();
        others.retain(|id| *id != own);
        others.sort_unstable();
        others.dedup();
        let peers = others.into_iter().map(|id| {
            let mut peer = Peer::new(id, last, now);
            peer.incarnation = latest.membership.get(id).and_then(|it| it.incarnation);
            peer.set_voter(latest.membership.is_voter(id), now);
            if let Some(ballot) = ballots.iter().find(|ballot| ballot.voter == id) {
                peer.granted_vote(now);
                peer.incarnation = peer.incarnation.or(ballot.incarnation);
            }
            peer
        });
        let peers = peers.collect();
        let committed_and_durable = self.commit_index.get().min(self.writes.durable_index());
        self.role = Role::Leader(Leader {
            term_start: last.next(),
            peers,
            uncommitted: self.log.bytes_between(committed_and_durable, last),
            unapplied: self.unapplied_bytes(),
            committed_and_durable,
            appended_bytes: 0,
            damaged_snapshot: None,
            command_limit: CommandLimit::own(&self.config),
            open_change: Some(latest.index),
            quorum_check_at: self.now.after(self.config.election_timeout_max),
            stall_handled: None,
            handover: None,
            transfers_begun: 0,
            transfers_revoked: 0,
            reads: LeaderReads::default(),
            attend_at: Time::NEVER,
        });
        self.role_changed(actions);
        self.leader_changed(known, actions);
    }

    fn role_changed(&self, actions: &mut Vec<Action>) {
        actions.push(Action::RoleChanged {
            role: self.role.kind(),
            term: self.hard_state.term(),
        });
    }

    fn leader_changed(&mut self, known: Option<NodeId>, actions: &mut Vec<Action>) {
        let leader = self.leader();
        if leader != known {
            let term = self.hard_state.term();
            actions.push(Action::LeaderChanged { leader, term });
            if let Some(leader) = leader {
                self.resolve_handover(leader, actions);
            }
        }
    }
}
