//! Leadership transfer (thesis 3.10): the leader accepts no more commands, brings the target's log
//! up to its own, and asks the target to campaign at once. One transfer under way is a handover.
//!
//! With Pre-Vote, the target first asks the voters (`pre_vote.rs`). If no majority would vote for
//! it, nothing happens: the leader leads on, and takes commands again when the handover's time is
//! over.
//!
//! A leader numbers its transfers. The number comes back in the target's requests, by which voters
//! know that the leader wants this election. A leader that gives a transfer up tells its followers
//! with all its messages, and from then on they treat that candidate as any other (`read_index.rs`
//! says why leases need this).

use crate::action::Action;
use crate::config::PreVoting;
use crate::error::{Rejection, TransferError};
use crate::membership::{Member, MemberRole};
use crate::message::{Campaign, Message, TimeoutNow};
use crate::progress::Peer;
use crate::raft::Raft;
use crate::role::{Handover, Role, TargetChoice};
use crate::types::{NodeId, RequestId, Term, Time};
use alloc::vec::Vec;

impl Raft {
    #[cold]
    pub(crate) fn transfer_leadership(
        &mut self,
        id: RequestId,
        target: Option<NodeId>,
        actions: &mut Vec<Action>,
    ) {
        match self.admit_transfer(target) {
            Ok(to) => {
                let choice = if target.is_some() {
                    TargetChoice::Given
                } else {
                    TargetChoice::Best
                };
                self.begin_handover(Some(id), to, choice, actions);
            }
            Err(error) => {
                let outcome = Err(error);
                actions.push(Action::Transferred { id, outcome });
            }
        }
    }

    fn admit_transfer(&self, target: Option<NodeId>) -> Result<NodeId, TransferError> {
        let Role::Leader(leader) = &self.role else {
            let leader = self.leader();
            return Err(TransferError::NotLeader { leader });
        };
        if let Some(handover) = &leader.handover {
            let target = handover.target;
            return Err(TransferError::InProgress { target });
        }
        let Some(target) = target else {
            return self.best_successor().ok_or(TransferError::NoTarget);
        };
        if target == self.config.node_id {
            return Err(TransferError::IsLeader);
        }
        let member = self.configurations.membership().get(target);
        match member.ok_or(TransferError::UnknownNode(target))?.role {
            MemberRole::Voter | MemberRole::Incoming => Ok(target),
            MemberRole::Learner
            | MemberRole::Staging
            | MemberRole::Outgoing
            | MemberRole::Demoted => Err(TransferError::NotVoter(target)),
        }
    }

    /// The voters that can take over, by what they have shown: each was heard recently, and its
    /// disk made progress recently. A voter whose disk stalls still answers heartbeats, but it
    /// could not become the leader.
    pub(crate) fn successors(&self) -> impl Iterator<Item = (&Member, &Peer)> {
        let peers = match &self.role {
            Role::Leader(leader) => &leader.peers[..],
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => &[],
        };
        let membership = self.configurations.membership();
        let (least, most) = (
            self.config.election_timeout_min,
            self.config.election_timeout_max,
        );
        let recent = move |at: Time| at.after(most) > self.now;
        peers.iter().filter_map(move |peer| {
            let member = membership.get(peer.id)?;
            let stays = matches!(member.role, MemberRole::Voter | MemberRole::Incoming);
            let is_fit = stays
                && peer.heard_within(least, self.now)
                && peer.disk_progress_at.is_some_and(recent);
            is_fit.then_some((member, peer))
        })
    }

    /// The voter that is best prepared to lead: not tried recently, with the most of the log, and
    /// among those of the greatest priority.
    pub(crate) fn best_successor(&self) -> Option<NodeId> {
        let best = self.successors().max_by_key(|(member, peer)| {
            let backed_off = self.handover_attempts.is_backed_off(peer.id, self.now);
            (!backed_off, peer.match_index, member.priority)
        });
        best.map(|(_, peer)| peer.id)
    }

    pub(crate) fn begin_handover(
        &mut self,
        request: Option<RequestId>,
        target: NodeId,
        choice: TargetChoice,
        actions: &mut Vec<Action>,
    ) {
        let deadline = self.now.after(self.config.election_timeout_max);
        if let Role::Leader(leader) = &mut self.role
            && leader.handover.is_none()
        {
            leader.transfers_begun += 1; // one a nanosecond would take 584 years
            leader.handover = Some(Handover {
                choice,
                request,
                target,
                deadline,
                number: leader.transfers_begun,
                timeout_now_at: None,
            });
            (self.handover_attempts).begin(target, self.now, &self.config);
            self.continue_handover(actions);
        }
    }

    /// Whether this leader is about to hand over, or has asked the target to campaign.
    #[inline]
    pub(crate) fn is_handing_over(&self) -> bool {
        matches!(&self.role, Role::Leader(leader) if leader.handover.is_some())
    }

    /// Asks the target to campaign, if it has the whole log by now. Runs whenever a follower
    /// answers, and repeats the request after a heartbeat interval, since it may be lost.
    pub(crate) fn continue_handover(&mut self, actions: &mut Vec<Action>) {
        self.reconsider_target();
        let (term, last, now) = (self.hard_state.term(), self.log.last().index, self.now);
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let Some(handover) = leader.handover else {
            return;
        };
        let (to, transfer) = (handover.target, handover.number);
        let is_due = |at: Time| at.after(self.config.heartbeat_interval) <= now;
        let has_all = leader.peer(to).is_some_and(|peer| peer.match_index == last);
        if has_all && handover.timeout_now_at.is_none_or(is_due) {
            leader.handover = Some(Handover {
                timeout_now_at: Some(now),
                ..handover
            });
            // From now on another node may be elected at any time, however late this message comes.
            leader.reads.suspend_lease();
            let message = Message::TimeoutNow(TimeoutNow { term, transfer });
            actions.push(Action::Send { to, message });
        }
    }

    /// A leader that was to choose the target may have known little: one that was just elected does
    /// not know the logs of its followers. If its choice turns out to lack entries, and the best
    /// successor now lacks none, it is the target, unless TimeoutNow was sent.
    fn reconsider_target(&mut self) {
        let last = self.log.last().index;
        let Role::Leader(leader) = &self.role else {
            return;
        };
        let Some(handover) = leader.handover else {
            return;
        };
        let has_all = |id| (leader.peer(id)).is_some_and(|peer| peer.match_index == last);
        if handover.choice == TargetChoice::Given
            || handover.timeout_now_at.is_some()
            || has_all(handover.target)
        {
            return;
        }
        let Some(target) = self.best_successor().filter(|id| has_all(*id)) else {
            return;
        };
        (self.handover_attempts).begin(target, self.now, &self.config);
        if let Some(leader) = self.leader_mut() {
            leader.handover = Some(Handover { target, ..handover });
        }
    }

    /// Gives the handover up when its time is over. A node that still leads then leads on.
    pub(crate) fn expire_handover(&mut self, actions: &mut Vec<Action>) {
        let pending = match &mut self.role {
            Role::Leader(leader) => &mut leader.handover,
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => &mut self.handed_over,
        };
        let Some(handover) = pending.take_if(|handover| handover.deadline <= self.now) else {
            return;
        };
        if let Role::Leader(leader) = &mut self.role
            && handover.timeout_now_at.is_some()
        {
            leader.transfers_revoked = handover.number;
            leader.reads.restore_lease();
        }
        let target = handover.target;
        report(handover, Err(TransferError::TimedOut { target }), actions);
    }

    /// This node no longer leads. If the target was asked to campaign, the next leader that this
    /// node hears of decides the outcome.
    pub(crate) fn end_handover(&mut self, actions: &mut Vec<Action>) {
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        match leader.handover.take() {
            Some(handover) if handover.timeout_now_at.is_some() => {
                self.handed_over = Some(handover)
            }
            Some(handover) => report(handover, Err(TransferError::LeadershipLost), actions),
            None => {}
        }
    }

    /// A leader is known: the target, or another node.
    pub(crate) fn resolve_handover(&mut self, leader: NodeId, actions: &mut Vec<Action>) {
        if let Some(handover) = self.handed_over.take() {
            let outcome = if leader == handover.target {
                Ok(leader)
            } else {
                Err(TransferError::LeadershipLost)
            };
            report(handover, outcome, actions);
        }
    }

    /// An instance that has faulted answers the request for its handover.
    pub(crate) fn fail_handover(&mut self, error: TransferError, actions: &mut Vec<Action>) {
        if let Some(handover) = self.handed_over.take() {
            report(handover, Err(error), actions);
        }
    }

    /// A leader asks this node to campaign at once. Its requests tell voters to answer although
    /// they have contact with that leader.
    pub(crate) fn timeout_now(
        &mut self,
        from: NodeId,
        request: TimeoutNow,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        let (term, number) = (request.term, request.transfer);
        if term < self.hard_state.term() {
            return Ok(()); // It is late.
        }
        self.admit_leader(from, term)?;
        // Only a leader sends it, so that the sender leads in that term, whatever this node's role.
        self.follow(from, term, actions);
        // It has no effect on a node which is no longer a voter, or not yet; nor if it comes after
        // the leader has given the transfer up, which a node that restarted may have forgotten.
        if !self.may_campaign()
            || term >= Term::MAX
            || self.revoked.includes(term, number)
            || self.may_not_vote_yet()
        {
            return Ok(());
        }
        match self.config.pre_vote {
            PreVoting::On => self.request_transfer_pre_votes(number, actions),
            PreVoting::Off => self.campaign(Campaign::Transfer { number }, actions),
        }
        Ok(())
    }

    /// The leader of `term` has given up its transfers up to `number`; 0 if none.
    pub(crate) fn hear_revoked(&mut self, term: Term, number: u64) {
        self.revoked.hear(term, number);
        if let Role::Follower(follower) = &mut self.role {
            (follower.transfer).take_if(|transfer| transfer.number <= number);
        }
    }
}

fn report(handover: Handover, outcome: Result<NodeId, TransferError>, actions: &mut Vec<Action>) {
    if let Some(id) = handover.request {
        actions.push(Action::Transferred { id, outcome });
    }
}
