//! The roles of section 5.1, each with the data that only it has, and the only places where a
//! role changes.

use crate::action::Action;
use crate::candidate::Candidate;
use crate::error::ReadError;
use crate::follower::Follower;
use crate::leader::Leader;
use crate::pre_vote::PreCandidate;
use crate::progress::Peer;
use crate::raft::Raft;
use crate::reads::LeaderReads;
use crate::types::{NodeId, Term, Time};
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The name of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RoleKind {
    /// Answers requests of leaders and candidates.
    Follower,
    /// Asks whether it would get votes (thesis 9.6).
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Handles client requests and replicates the log.
    Leader,
}

impl fmt::Display for RoleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RoleKind::Follower => "follower",
            RoleKind::PreCandidate => "pre-candidate",
            RoleKind::Candidate => "candidate",
            RoleKind::Leader => "leader",
        })
    }
}

/// What a node is in its current term.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Role {
    Follower(Follower),
    PreCandidate(PreCandidate),
    Candidate(Candidate),
    Leader(Leader),
}

impl Role {
    pub(crate) fn kind(&self) -> RoleKind {
        match self {
            Role::Follower(_) => RoleKind::Follower,
            Role::PreCandidate(_) => RoleKind::PreCandidate,
            Role::Candidate(_) => RoleKind::Candidate,
            Role::Leader(_) => RoleKind::Leader,
        }
    }
}

impl Raft {
    /// "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert
    /// to follower" (Figure 2, Rules for All Servers).
    pub(crate) fn adopt_term(&mut self, term: Term, actions: &mut Vec<Action>) {
        if term <= self.hard_state.term {
            return;
        }
        self.hard_state.term = term;
        self.hard_state.voted_for = None;
        self.writes.stage_hard_state();
        self.outbox.forget_messages();
        self.become_follower(None, actions);
    }

    /// Follows `leader`, or nobody yet, in the current term. votedFor stays: a vote holds for
    /// the whole term (section 5.2: "at most one candidate in a given term").
    pub(crate) fn become_follower(&mut self, leader: Option<NodeId>, actions: &mut Vec<Action>) {
        let known = self.leader();
        if known != leader {
            self.end_reads(ReadError::LeaderChanged, actions);
        }
        match &mut self.role {
            Role::Follower(follower) => follower.follow(leader),
            Role::PreCandidate(_) | Role::Candidate(_) | Role::Leader(_) => {
                // A candidacy that is over asks for no votes: by the time that its write is
                // durable, the log may not be what the requests say.
                self.outbox.forget_messages();
                self.end_transfers();
                self.end_handover(actions);
                let timeout = match self.role {
                    Role::PreCandidate(_) | Role::Candidate(_) => self.draw_candidates_timeout(),
                    Role::Leader(_) | Role::Follower(_) => self.draw_timeout(),
                };
                let deadline = self.now.after(timeout);
                self.role = Role::Follower(Follower::new(leader, deadline, timeout));
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
        let deadline = self.now.after(self.draw_candidates_timeout());
        let changes = !matches!(self.role, Role::PreCandidate(_));
        self.role = Role::PreCandidate(PreCandidate::new(deadline));
        if changes {
            self.role_changed(actions);
        }
        self.leader_changed(known, actions);
    }

    /// "On conversion to candidate, start election: increment currentTerm, vote for self, reset
    /// election timer" (Figure 2, Candidates). The requests follow in `campaign`.
    pub(crate) fn become_candidate(&mut self, actions: &mut Vec<Action>) {
        let known = self.leader();
        self.end_reads(ReadError::LeaderChanged, actions);
        self.hard_state.term = self.hard_state.term.next();
        self.hard_state.voted_for = Some(self.config.node_id);
        self.writes.stage_hard_state();
        self.outbox.forget_messages();
        let deadline = self.now.after(self.draw_candidates_timeout());
        self.role = Role::Candidate(Candidate::new(deadline));
        self.role_changed(actions);
        self.leader_changed(known, actions);
    }

    /// "If votes received from majority of servers: become leader" (Figure 2, Candidates).
    pub(crate) fn become_leader(&mut self, actions: &mut Vec<Action>) {
        let known = self.leader();
        let last = self.log.last().index;
        let own = self.config.node_id;
        let (index, membership) = self.configurations.latest();
        let others = membership
            .members()
            .iter()
            .filter(|member| member.id != own);
        let peers = others.map(|member| Peer::new(member.id, last, self.now));
        let settled = self.commit_index.min(self.writes.durable_index);
        self.role = Role::Leader(Leader {
            term_start: last.next(),
            since: self.now,
            peers: peers.collect(),
            uncommitted: self.log.bytes_between(settled, last),
            settled,
            open_change: Some(*index),
            quorum_check_at: self.now.after(self.config.election_timeout_max),
            stall_handled: None,
            handover: None,
            favour_at: self.now,
            reads: LeaderReads::default(),
        });
        self.role_changed(actions);
        self.leader_changed(known, actions);
    }

    fn role_changed(&self, actions: &mut Vec<Action>) {
        actions.push(Action::RoleChanged {
            role: self.role.kind(),
            term: self.hard_state.term,
        });
    }

    fn leader_changed(&mut self, known: Option<NodeId>, actions: &mut Vec<Action>) {
        let leader = self.leader();
        if leader != known {
            let term = self.hard_state.term;
            actions.push(Action::LeaderChanged { leader, term });
            if let Some(leader) = leader {
                self.settle_handover(leader, actions);
            }
        }
    }

    /// When this node has to act if nothing is heard until then.
    pub(crate) fn deadline(&self) -> Time {
        match &self.role {
            // It wakes for every heartbeat, and looks after all else that it watches then: most
            // steps need not know when that is due.
            Role::Leader(leader) if !leader.peers.is_empty() => leader.deadline(),
            Role::Leader(_) | Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                self.role_deadline().min(self.waiting_deadline())
            }
        }
    }

    /// When its role has it act.
    pub(crate) fn role_deadline(&self) -> Time {
        match &self.role {
            // Nobody has to wake up later than announced, so membership need not be looked up.
            Role::Follower(follower) if follower.deadline() >= self.wake_at => follower.deadline(),
            Role::Follower(follower) if self.may_campaign() => follower.deadline(),
            Role::Follower(_) => Time::NEVER,
            Role::PreCandidate(asker) => asker.deadline(),
            Role::Candidate(candidate) => candidate.deadline(),
            Role::Leader(leader) => leader.deadline(),
        }
    }

    /// When something that waits in it has waited for long enough.
    pub(crate) fn waiting_deadline(&self) -> Time {
        let handover = match &self.role {
            Role::Leader(leader) => &leader.handover,
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => &self.handed_over,
        };
        let handover = handover.map_or(Time::NEVER, |handover| handover.deadline);
        handover.min(self.reads_deadline())
    }
}
