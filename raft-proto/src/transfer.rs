//! Leadership transfer (thesis 3.10): the leader takes in no more commands, brings the target's
//! log up to its own, and asks it to campaign at once.

use crate::action::Action;
use crate::error::{Rejection, TransferError};
use crate::membership::MemberRole;
use crate::message::{Campaign, Message, TimeoutNow};
use crate::raft::Raft;
use crate::role::Role;
use crate::types::{NodeId, RequestId, Term, Time};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A lead that is being handed over, by a leader or by one that was it until now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Handover {
    /// Who asked for it; nobody if this node decided so.
    request: Option<RequestId>,
    pub(crate) target: NodeId,
    /// When it is given up.
    pub(crate) deadline: Time,
    /// Whether the target has been asked to campaign.
    asked: bool,
}

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
        let recently = |heard: Time| heard.after(self.config.election_timeout_min) > self.now;
        let fit = leader.peers.iter().filter_map(|peer| {
            let member = membership.get(peer.id)?;
            let stays = matches!(member.role, MemberRole::Voter | MemberRole::Incoming);
            let heard = peer.heard_at.is_some_and(recently);
            (stays && heard).then_some((member.priority, peer.match_index, peer.id))
        });
        fit.max_by_key(|(priority, match_index, _)| (*priority, *match_index))
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
                asked: false,
            });
            self.press_handover(actions);
        }
    }

    /// Asks the target to campaign, if it has the whole log by now. Called whenever it answers,
    /// so that a request that was lost is repeated.
    pub(crate) fn press_handover(&mut self, actions: &mut Vec<Action>) {
        let (term, last) = (self.hard_state.term, self.log.last().index);
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let Some(handover) = &mut leader.handover else {
            return;
        };
        let to = handover.target;
        let match_index = leader.peers.iter().find(|peer| peer.id == to);
        if match_index.is_some_and(|peer| peer.match_index == last) {
            handover.asked = true;
            // From now on another may be elected at any time, however late this message comes.
            leader.reads.end_lease();
            let message = Message::TimeoutNow(TimeoutNow { term });
            actions.push(Action::Send { to, message });
        }
    }

    /// Gives the handover up when its time is over: this node leads on, if it still does.
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

    /// This node leads no more. Whether the target is elected will be seen, if it was asked.
    pub(crate) fn end_handover(&mut self, actions: &mut Vec<Action>) {
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        match leader.handover.take() {
            Some(handover) if handover.asked => self.handed_over = Some(handover),
            Some(handover) => report(handover, Err(TransferError::LeadershipLost), actions),
            None => {}
        }
    }

    /// A leader is known: the target, or another.
    pub(crate) fn settle_handover(&mut self, leader: NodeId, actions: &mut Vec<Action>) {
        if let Some(handover) = self.handed_over.take() {
            let outcome = match leader == handover.target {
                true => Ok(leader),
                false => Err(TransferError::LeadershipLost),
            };
            report(handover, outcome, actions);
        }
    }

    /// Nobody waits in vain for an instance that has faulted.
    pub(crate) fn fail_handover(&mut self, error: TransferError, actions: &mut Vec<Action>) {
        if let Some(handover) = self.handed_over.take() {
            report(handover, Err(error), actions);
        }
    }

    /// The leader of this term asks this node to campaign at once: it skips the pre-vote, and its
    /// requests tell voters not to mind that they hear a leader.
    pub(crate) fn timeout_now(
        &mut self,
        from: NodeId,
        request: TimeoutNow,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        let term = request.term;
        // Of another term it is late, or early after a restart; and so it is at a node whose vote
        // is no longer, or not yet, wanted.
        if term != self.hard_state.term {
            return Ok(());
        }
        self.admit_leader(from, term)?;
        let may = self.may_campaign() && term < Term::MAX;
        if may && self.leader() == Some(from) {
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
