//! Leadership transfer (thesis 3.10): the leader accepts no more commands, brings the target's log
//! up to its own, and asks the target to campaign at once. One transfer under way is a handover.

use crate::action::Action;
use crate::error::{Rejection, TransferError};
use crate::membership::MemberRole;
use crate::message::{Campaign, Message, TimeoutNow};
use crate::raft::Raft;
use crate::role::{Handover, Role};
use crate::types::{NodeId, RequestId, Term};
use alloc::vec::Vec;

impl Raft {
    pub(crate) fn transfer_leadership(
        &mut self,
        id: RequestId,
        target: Option<NodeId>,
        actions: &mut Vec<Action>,
    ) {
        match self.admit_transfer(target) {
            Ok(target) => self.begin_handover(Some(id), target, actions),
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
            MemberRole::Learner | MemberRole::Outgoing | MemberRole::Demoted => {
                Err(TransferError::NotVoter(target))
            }
        }
    }

    /// The voter that is best prepared to lead: heard recently, of the greatest priority, and
    /// among those with the most of the log.
    pub(crate) fn best_successor(&self) -> Option<NodeId> {
        let Role::Leader(leader) = &self.role else {
            return None;
        };
        let membership = self.configurations.membership();
        let timeout = self.config.election_timeout_min;
        let candidates = leader.peers.iter().filter_map(|peer| {
            let member = membership.get(peer.id)?;
            let stays = matches!(member.role, MemberRole::Voter | MemberRole::Incoming);
            let fit = stays && peer.heard_within(timeout, self.now);
            fit.then_some((member.priority, peer.match_index, peer.id))
        });
        candidates
            .max_by_key(|(priority, match_index, _)| (*priority, *match_index))
            .map(|(_, _, id)| id)
    }

    pub(crate) fn begin_handover(
        &mut self,
        request: Option<RequestId>,
        target: NodeId,
        actions: &mut Vec<Action>,
    ) {
        let deadline = self.now.after(self.config.election_timeout_max);
        if let Role::Leader(leader) = &mut self.role
            && leader.handover.is_none()
        {
            leader.handover = Some(Handover {
                request,
                target,
                deadline,
                timeout_now_sent: false,
            });
            self.continue_handover(actions);
        }
    }

    /// Asks the target to campaign, if it has the whole log by now. Runs whenever a follower
    /// answers, so that a request that was lost is repeated.
    pub(crate) fn continue_handover(&mut self, actions: &mut Vec<Action>) {
        let (term, last) = (self.hard_state.term(), self.log.last().index);
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let Some(handover) = leader.handover else {
            return;
        };
        let to = handover.target;
        if leader.peer(to).is_some_and(|peer| peer.match_index == last) {
            leader.handover = Some(Handover {
                timeout_now_sent: true,
                ..handover
            });
            // From now on another node may be elected at any time, however late this message comes.
            leader.reads.end_lease();
            let message = Message::TimeoutNow(TimeoutNow { term });
            actions.push(Action::Send { to, message });
        }
    }

    /// Gives the handover up when its time is over. A node that still leads then leads on.
    pub(crate) fn expire_handover(&mut self, actions: &mut Vec<Action>) {
        let pending = match &mut self.role {
            Role::Leader(leader) => &mut leader.handover,
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => &mut self.handed_over,
        };
        if let Some(handover) = pending.take_if(|handover| handover.deadline <= self.now) {
            let target = handover.target;
            report(handover, Err(TransferError::TimedOut { target }), actions);
        }
    }

    /// This node no longer leads. If the target was asked to campaign, the next leader that this
    /// node hears of decides the outcome.
    pub(crate) fn end_handover(&mut self, actions: &mut Vec<Action>) {
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        match leader.handover.take() {
            Some(handover) if handover.timeout_now_sent => self.handed_over = Some(handover),
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

    /// The leader of this term asks this node to campaign at once. It skips the pre-vote, and its
    /// requests tell voters to answer although they have contact with a leader.
    pub(crate) fn timeout_now(
        &mut self,
        from: NodeId,
        request: TimeoutNow,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        let term = request.term;
        // A request of another term is late, or early after a restart.
        if term != self.hard_state.term() {
            return Ok(());
        }
        self.admit_leader(from, term)?;
        // A request that reaches a node which is no longer a voter, or not yet, has no effect.
        let may_campaign = self.may_campaign() && term < Term::MAX;
        if may_campaign && self.leader() == Some(from) {
            self.campaign(Campaign::Transfer, actions);
        }
        Ok(())
    }
}

fn report(handover: Handover, outcome: Result<NodeId, TransferError>, actions: &mut Vec<Action>) {
    if let Some(id) = handover.request {
        actions.push(Action::Transferred { id, outcome });
    }
}
