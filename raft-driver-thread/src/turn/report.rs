//! What operators and subscribers are told: logs, metrics, events.

use super::Core;
use crate::error::StopReason;
use crate::observed::event_of;
use crate::state_machine::StateMachine;
use crate::transport::Transport;
use raft_proto::{Action, ForeignIncarnation, Waiting};

impl<M: StateMachine, T: Transport> Core<M, T> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all kinds are listed in `perform`"
    )]
    pub(super) fn report(&mut self, action: &Action) {
        let node = self.raft.id();
        match action {
            Action::MembershipChanged { index, membership } => {
                tracing::info!(%node, %index, %membership, "the members changed");
                self.transport.set_members(membership);
            }
            Action::RoleChanged { role, term } => {
                tracing::info!(%node, ?role, %term, "the role changed");
                self.metrics.role_changed(*role);
            }
            Action::LeaderChanged { leader, term } => {
                tracing::info!(%node, ?leader, %term, "the leader changed");
            }
            Action::Rejected { from, reason } => {
                if let Some(count) = self.state.rejections.note(*from, reason) {
                    tracing::warn!(%node, %from, %reason, count, "a message was rejected");
                }
                self.metrics.message_rejected();
            }
            Action::Refused { reason } => {
                tracing::error!(%node, %reason, "an input was refused: a defect of the driver");
            }
            Action::LostState {
                peer,
                match_index,
                last,
            } => {
                tracing::error!(%node, %peer, %match_index, %last,
                    "a follower lost what it had acknowledged: remove it, let it join anew");
            }
            Action::SnapshotDamaged { snapshot } => {
                tracing::error!(%node, last = %snapshot.last,
                    "the stored snapshot is damaged: a new one is made");
            }
            Action::EntryRefused {
                peer,
                index,
                size,
                limit,
            } => {
                tracing::error!(%node, %peer, %index, %size, %limit,
                    "a member takes no message of this length: raise its max_append_bytes");
            }
            Action::Removed { index } => {
                tracing::warn!(%node, %index, "the cluster has removed this node: it can be stopped");
            }
            Action::ForeignIncarnation(found) => self.report_foreign_incarnation(found),
            Action::Replaced { index, named } => {
                tracing::error!(%node, %index, %named,
                    "another storage has this node's number: it does not count until it is added \
                     as a learner; stop it, or replace the member's disk by it");
            }
            Action::Faulted { reason } => {
                tracing::error!(%node, %reason, "the core stopped");
                self.stop(StopReason::Faulted(reason.to_string()));
            }
            _ => {} // Only events come here.
        }
        if let Some(event) = event_of(action) {
            self.observed.publish(&event);
        }
    }

    fn report_foreign_incarnation(&mut self, found: &ForeignIncarnation) {
        let ForeignIncarnation {
            node: peer,
            named,
            spoken,
        } = found;
        let node = self.raft.id();
        self.state.rejections.forget(*peer);
        let spoken = spoken.map_or_else(|| "none".to_owned(), |it| it.to_string());
        tracing::error!(%node, %peer, %named, %spoken,
            "another storage speaks under a member's number and does not count: if the member's \
             disk is lost, add the new one as a learner");
    }

    /// A thread has not reported what the core waits for.
    pub(super) fn report_overdue(&self, waiting: Waiting) {
        let (node, Waiting { what, since }) = (self.raft.id(), waiting);
        tracing::error!(%node, %what, %since,
            "nothing was reported for ten election timeouts: the disk or the state machine is stuck");
    }
}
