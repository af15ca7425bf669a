//! CheckQuorum and leader stickiness (thesis 6.2, 4.2.3): a leader that has lost contact with the
//! majority steps down, and a leader that has contact is not disturbed.

use crate::action::Action;
use crate::config::{CheckQuorum, Lease};
use crate::message::Campaign;
use crate::raft::Raft;
use crate::role::{Leader, Role, TargetChoice};
use crate::types::{Term, Time};
use alloc::vec::Vec;

impl Raft {
    /// Leader stickiness: "if a server receives a RequestVote request within the minimum election
    /// timeout of hearing from a current leader, it does not update its term or grant its vote"
    /// (thesis 4.2.3), unless that leader asked for the election. A leader that the transport cannot
    /// reach any more is no current one, but what this node promised for its lease holds
    /// (`lost_leader.rs`). `term` is the candidate's.
    pub(crate) fn sticks_to_leader(&self, term: Term, campaign: Campaign) -> bool {
        match self.config.check_quorum {
            CheckQuorum::Off => false,
            CheckQuorum::On => {
                let is_bound = self.has_leader_contact() || self.has_promised();
                self.may_not_vote_yet() || is_bound && !self.leader_wants(term, campaign)
            }
        }
    }

    /// Whether the leader of the term before `term` asked for the campaign and, as far as this node
    /// has heard, has not given that transfer up. The leader itself knows best.
    pub(crate) fn leader_wants(&self, term: Term, campaign: Campaign) -> bool {
        let Campaign::Transfer { number } = campaign else {
            return false;
        };
        let earlier = Term(term.0.saturating_sub(1));
        match &self.role {
            Role::Leader(leader) if self.hard_state.term() == earlier => {
                number > leader.transfers_revoked
            }
            Role::Leader(_) | Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                !self.revoked.includes(earlier, number)
            }
        }
    }

    /// Whether this node started so recently that a lease from before may rest on its answer.
    pub(crate) fn may_not_vote_yet(&self) -> bool {
        self.now < self.no_votes_before
    }

    /// Whether this node leads, or a message of a leader came within the least election timeout, and
    /// the transport has not lost that leader since.
    pub(crate) fn has_leader_contact(&self) -> bool {
        let timeout = self.config.election_timeout_min;
        matches!(self.role, Role::Leader(_)) || self.leader_contact.is_within(timeout, self.now)
    }

    /// A node that starts may have answered a leader just before it stopped, and has forgotten which
    /// transfers that leader had given up. A lease of that leader may rest on the answer. So the
    /// node votes for nobody, also not for itself, until such a lease has run out. Its own leases
    /// may be off: during a rolling restart that turns them on, it is the leader's that count. A
    /// node with an empty storage has answered nobody. Where leases are on it waits all the same:
    /// the storage may have been replaced.
    pub(crate) fn block_votes_after_start(&mut self) {
        let may_have_answered = !self.writes.storage_is_new() || self.config.lease != Lease::Off;
        if self.config.check_quorum == CheckQuorum::On && may_have_answered {
            self.no_votes_before = self.now.after(self.config.election_timeout_min);
        }
    }

    /// When a leader next checks its contact with the majority, and the progress of its disk.
    pub(crate) fn quorum_deadline(&self) -> Time {
        match (&self.role, self.config.check_quorum) {
            (Role::Leader(leader), CheckQuorum::On) if !self.is_only_voter() => {
                leader.quorum_check_at.min(self.disk_deadline(leader))
            }
            (Role::Leader(_) | Role::Follower(_), _)
            | (Role::PreCandidate(_) | Role::Candidate(_), _) => Time::NEVER,
        }
    }

    /// When a disk without progress ends the leadership: first it is handed over, then given up.
    fn disk_deadline(&self, leader: &Leader) -> Time {
        let timeout = self.config.election_timeout_max;
        match self.writes.stalled_since() {
            None => Time::NEVER,
            Some(since) if leader.stall_handled == Some(since) => since.after(2 * timeout),
            Some(since) => since.after(timeout),
        }
    }

    /// Steps down if no majority has answered for an election timeout. Hands over if this node's
    /// own disk has made no progress for as long.
    pub(crate) fn check_quorum(&mut self, actions: &mut Vec<Action>) {
        if self.quorum_deadline() > self.now {
            return;
        }
        let (now, own) = (self.now, self.config.node_id);
        let timeout = self.config.election_timeout_max;
        let membership = self.configurations.membership();
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        if leader.quorum_check_at <= now {
            let heard = leader.reached(membership, (own, now), |peer| {
                peer.heard_at.max(peer.voter_since).unwrap_or(Time::ZERO)
            });
            let lost_at = heard.unwrap_or(now).after(timeout);
            if lost_at <= now {
                return self.become_follower(None, actions);
            }
            leader.quorum_check_at = lost_at;
        }
        self.check_disk(actions);
    }

    /// If the disk makes no progress, hands leadership to a node whose disk may, or gives it up.
    fn check_disk(&mut self, actions: &mut Vec<Action>) {
        let stalled = self.writes.stalled_since();
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
            Some(target) if !tried => {
                self.begin_handover(None, target, TargetChoice::Best, actions)
            }
            Some(_) | None => self.become_follower(None, actions),
        }
    }

    /// Whether this node is the only voter.
    pub(crate) fn is_only_voter(&self) -> bool {
        let own = self.config.node_id;
        self.configurations
            .membership()
            .voters()
            .all(|id| id == own)
    }
}
