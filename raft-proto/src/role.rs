//! The roles of section 5.1, each with the data that only it has, and the only places where a
//! role changes.

use crate::action::Action;
use crate::candidate::Candidate;
use crate::follower::Follower;
use crate::leader::Leader;
use crate::progress::Peer;
use crate::raft::Raft;
use crate::types::{NodeId, Term, Time};
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The name of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RoleKind {
    /// Answers requests of leaders and candidates.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Handles client requests and replicates the log.
    Leader,
}

impl fmt::Display for RoleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RoleKind::Follower => "follower",
            RoleKind::Candidate => "candidate",
            RoleKind::Leader => "leader",
        })
    }
}

/// What a node is in its current term.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Role {
    Follower(Follower),
    Candidate(Candidate),
    Leader(Leader),
}

impl Role {
    pub(crate) fn kind(&self) -> RoleKind {
        match self {
            Role::Follower(_) => RoleKind::Follower,
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
        match &mut self.role {
            Role::Follower(follower) => follower.follow(leader),
            Role::Candidate(_) | Role::Leader(_) => {
                // A candidacy that is over asks for no votes: by the time that its write is
                // durable, the log may not be what the requests say.
                self.outbox.forget_messages();
                self.end_transfers(actions);
                let timeout = self.timeouts.draw(&self.config);
                let deadline = self.now.after(timeout);
                self.role = Role::Follower(Follower::new(leader, deadline, timeout));
                self.role_changed(actions);
            }
        }
        self.leader_changed(known, actions);
    }

    /// "On conversion to candidate, start election: increment currentTerm, vote for self, reset
    /// election timer" (Figure 2, Candidates). The requests follow in `campaign`.
    pub(crate) fn become_candidate(&mut self, actions: &mut Vec<Action>) {
        let known = self.leader();
        self.hard_state.term = self.hard_state.term.next();
        self.hard_state.voted_for = Some(self.config.node_id);
        self.writes.stage_hard_state();
        self.outbox.forget_messages();
        let deadline = self.now.after(self.timeouts.draw(&self.config));
        self.role = Role::Candidate(Candidate::new(deadline));
        self.role_changed(actions);
        self.leader_changed(known, actions);
    }

    /// "If votes received from majority of servers: become leader" (Figure 2, Candidates).
    pub(crate) fn become_leader(&mut self, actions: &mut Vec<Action>) {
        let known = self.leader();
        let last = self.log.last().index;
        let own = self.config.node_id;
        let others = self.membership.voters().iter().filter(|id| **id != own);
        let peers = others.map(|id| Peer::new(*id, last, self.now)).collect();
        let settled = self.commit_index.min(self.writes.durable_index);
        let uncommitted = self.log.bytes_between(settled, last);
        self.role = Role::Leader(Leader::new(last.next(), peers, settled, uncommitted));
        self.role_changed(actions);
        self.leader_changed(known, actions);
    }

    fn role_changed(&self, actions: &mut Vec<Action>) {
        actions.push(Action::RoleChanged {
            role: self.role.kind(),
            term: self.hard_state.term,
        });
    }

    fn leader_changed(&self, known: Option<NodeId>, actions: &mut Vec<Action>) {
        let leader = self.leader();
        if leader != known {
            let term = self.hard_state.term;
            actions.push(Action::LeaderChanged { leader, term });
        }
    }

    /// When this node has to act if nothing is heard until then.
    pub(crate) fn deadline(&self) -> Time {
        let may_campaign = || self.membership.is_voter(self.config.node_id);
        match &self.role {
            // Nobody has to wake up later than announced, so membership need not be looked up.
            Role::Follower(follower) if follower.deadline() >= self.wake_at => follower.deadline(),
            Role::Follower(follower) if may_campaign() => follower.deadline(),
            Role::Follower(_) => Time::NEVER,
            Role::Candidate(candidate) => candidate.deadline(),
            Role::Leader(leader) => leader.deadline(),
        }
    }
}
