//! CheckQuorum (thesis 6.2): a leader that is not heard steps down, and a leader that is heard
//! is not disturbed.

use crate::action::Action;
use crate::config::{CheckQuorum, Lease};
use crate::leader::Leader;
use crate::quorum;
use crate::raft::Raft;
use crate::role::Role;
use crate::types::Time;
use alloc::vec::Vec;

impl Raft {
    /// Whether a leader was heard within the least election timeout, so that there is no need for
    /// another: "if a server receives a RequestVote request within the minimum election timeout
    /// of hearing from a current leader, it does not update its term or grant its vote"
    /// (thesis 4.2.3). A leader hears itself.
    pub(crate) fn hears_leader(&self) -> bool {
        match self.config.check_quorum {
            CheckQuorum::Off => false,
            CheckQuorum::On => self.heard_leader_recently() || self.now < self.no_votes_before,
        }
    }

    /// The same without regard to whether leaders make sure that they are heard.
    pub(crate) fn heard_leader_recently(&self) -> bool {
        let heard = |at: Time| at.after(self.config.election_timeout_min) > self.now;
        matches!(self.role, Role::Leader(_)) || self.heard_leader_at.is_some_and(heard)
    }

    /// A node that starts may have told a leader that it heard it, just before it stopped: where
    /// leases rest on that, it votes for nobody until they have run out.
    pub(crate) fn keep_earlier_lease(&mut self) {
        if let Lease::On { .. } = self.config.lease {
            self.no_votes_before = self.now.after(self.config.election_timeout_min);
        }
    }

    /// When a leader has to look again whether it is heard, and its disk makes progress.
    pub(crate) fn quorum_deadline(&self) -> Time {
        match (&self.role, self.config.check_quorum) {
            (Role::Leader(leader), CheckQuorum::On) if !self.is_only_voter() => {
                leader.quorum_check_at.min(self.disk_deadline(leader))
            }
            (Role::Leader(_) | Role::Follower(_), _)
            | (Role::PreCandidate(_) | Role::Candidate(_), _) => Time::NEVER,
        }
    }

    /// When a disk without progress ends the lead: first it is handed over, then given up.
    fn disk_deadline(&self, leader: &Leader) -> Time {
        let patience = self.config.election_timeout_max;
        match self.writes.waiting_since() {
            None => Time::NEVER,
            Some(since) if leader.stall_handled == Some(since) => since.after(2 * patience),
            Some(since) => since.after(patience),
        }
    }

    /// Steps down if no majority has been heard for an election timeout, or hands over if this
    /// node's own disk has made no progress for as long.
    pub(crate) fn check_quorum(&mut self, actions: &mut Vec<Action>) {
        if self.quorum_deadline() > self.now {
            return;
        }
        let patience = self.config.election_timeout_max;
        let (now, own) = (self.now, self.config.node_id);
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        if leader.quorum_check_at <= now {
            let heard_at = |id| match leader.peers.iter().find(|peer| peer.id == id) {
                Some(peer) => peer.heard_at.unwrap_or(leader.since),
                None if id == own => now,
                None => Time::ZERO,
            };
            let heard = quorum::reached(self.configurations.membership(), heard_at);
            let lost_at = heard.unwrap_or(now).after(patience);
            if lost_at <= now {
                return self.become_follower(None, actions);
            }
            leader.quorum_check_at = lost_at;
        }
        self.check_disk(actions);
    }

    /// A disk without progress: the lead goes to somebody whose disk has some, or is given up.
    fn check_disk(&mut self, actions: &mut Vec<Action>) {
        let stalled = self.writes.waiting_since();
        let successor = self.best_successor();
        let Role::Leader(leader) = &self.role else {
            return;
        };
        if self.disk_deadline(leader) > self.now {
            return;
        }
        let tried = leader.stall_handled == stalled;
        if let Some(leader) = self.leader_mut() {
            leader.stall_handled = stalled;
        }
        match successor {
            Some(target) if !tried => self.begin_handover(None, target, actions),
            Some(_) | None => self.become_follower(None, actions),
        }
    }

    /// Whether this node alone decides.
    pub(crate) fn is_only_voter(&self) -> bool {
        let own = self.config.node_id;
        self.configurations
            .membership()
            .voters()
            .all(|id| id == own)
    }
}
