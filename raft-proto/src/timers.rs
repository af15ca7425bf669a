//! When this node has to act next, and what it does at that time.
//!
//! Timers are lazy: contact with a leader moves a deadline inside the core only. A tick that comes
//! too early finds that out here. The core gives the driver a new deadline only if it is earlier
//! than the one before.

use crate::action::Action;
use crate::raft::Raft;
use crate::role::Role;
use crate::types::Time;
use alloc::vec::Vec;

impl Raft {
    /// Time has passed.
    pub(crate) fn tick(&mut self, actions: &mut Vec<Action>) {
        // The driver may have no timer set now: it gets the deadline again.
        self.wake_at = Time::NEVER;
        if self.waiting_deadline() <= self.now {
            self.expire_handover(actions);
            self.expire_reads(actions);
        }
        self.check_quorum(actions);
        self.doubt_leader(actions);
        self.retry_vote_request(actions);
        match &self.role {
            Role::Leader(_) => self.leader_tick(actions),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                let deadline = self.election_deadline();
                if deadline <= self.now && deadline != Time::NEVER {
                    self.election_timeout_elapsed(actions);
                }
            }
        }
    }

    /// Looks at everything that a leader has to look at, whether a peer is due or not: a busy
    /// leader puts its heartbeats off for ever.
    fn leader_tick(&mut self, actions: &mut Vec<Action>) {
        self.hand_over_by_priority(actions);
        self.expire_departures();
        self.name_incarnations(actions);
        self.promote_staging(actions);
        self.raise_level(actions);
        if matches!(&self.role, Role::Leader(leader) if leader.deadline() <= self.now) {
            self.send_due(actions);
        }
        let attend_at = self.waiting_deadline().min(self.quorum_deadline());
        if let Some(leader) = self.leader_mut() {
            leader.attend_at = attend_at;
        }
    }

    /// When this node has to act if it receives nothing until then.
    pub(crate) fn deadline(&self) -> Time {
        match &self.role {
            // The other deadlines are later than a heartbeat interval when they are set. A leader
            // ticks as often as that, so that the latest tick has seen them, and most steps need
            // not compute them.
            Role::Leader(leader) if !leader.peers.is_empty() => {
                leader.deadline().min(leader.attend_at)
            }
            Role::Leader(_) | Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                self.role_deadline().min(self.waiting_deadline())
            }
        }
    }

    /// When its role has it act.
    #[inline]
    fn role_deadline(&self) -> Time {
        match self.election_deadline() {
            Time::NEVER => Time::NEVER,
            at => at.min(self.doubt_deadline()),
        }
    }

    /// When an election timeout elapses, a request for votes is due again, or a leader's message.
    fn election_deadline(&self) -> Time {
        match &self.role {
            // A deadline at or after the one announced changes nothing, so the membership need
            // not be looked up.
            Role::Follower(follower)
                if follower.election_at() >= self.wake_at || self.may_campaign() =>
            {
                follower.election_at()
            }
            Role::Follower(_) => Time::NEVER,
            Role::PreCandidate(pre_candidate) => {
                pre_candidate.election_at.min(self.vote_retry_deadline())
            }
            Role::Candidate(candidate) => candidate.election_at.min(self.vote_retry_deadline()),
            Role::Leader(leader) => leader.deadline(),
        }
    }

    /// When a handover or a read has waited for long enough.
    #[inline]
    fn waiting_deadline(&self) -> Time {
        let handover = match &self.role {
            Role::Leader(leader) => &leader.handover,
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => &self.handed_over,
        };
        let handover = handover.map_or(Time::NEVER, |handover| handover.deadline);
        handover.min(self.reads_deadline())
    }
}
