//! Staging members: learners that become voters as soon as they have caught up (thesis 4.2.1: "a
//! new server catches up before it counts").
//!
//! The wish stands in the configuration, as the member's role
//! ([`MemberRole::Staging`](crate::MemberRole)). So it survives a change of the leader, a restart
//! and a snapshot, every node sees it, and any leader carries it out. A leader's own memory
//! would lose it in silence. It costs no byte: a role that no configuration had before. To take the
//! wish back, make the member a learner.
//!
//! The promotion is a change as an operator would make it, by the same rules: one voter more at a
//! time, none while another change is open, and only a member that was heard recently, lacks at
//! most [`max_promotion_lag`](crate::Config::max_promotion_lag) entries, and whose storage is known
//! where storages are named. It is therefore as safe as that change (thesis 4.1).

use crate::action::Action;
use crate::error::ChangeError;
use crate::event::{MembershipChange, NodeChange};
use crate::membership::{MemberRole, Membership};
use crate::raft::Raft;
use crate::types::NodeId;
use alloc::vec::Vec;

impl Membership {
    /// Whether a member waits to become a voter.
    fn has_staging(&self) -> bool {
        let waits = |role| role == MemberRole::Staging;
        self.members().iter().any(|member| waits(member.role))
    }
}

/// A joint configuration has one role for a voter that is a learner at the change's end, and none
/// for one that is to wait for its promotion then: the wish would be lost in silence.
pub(crate) fn keeps_wishes(current: &Membership, target: &Membership) -> Result<(), ChangeError> {
    let waits = |id: &NodeId| {
        target
            .get(*id)
            .is_some_and(|it| it.role == MemberRole::Staging)
    };
    match current.voters().find(waits) {
        Some(node) => Err(ChangeError::StagingVoter(node)),
        None => Ok(()),
    }
}

impl Raft {
    /// Makes the first staging member a voter that can be one now. A leader looks with each tick: a
    /// heartbeat interval later at most.
    pub(crate) fn promote_staging(&mut self, actions: &mut Vec<Action>) {
        let latest = self.configurations.latest();
        if !latest.membership.has_staging() {
            return;
        }
        let members = latest.membership.members().iter();
        let staging = members.filter(|member| member.role == MemberRole::Staging);
        let next = staging.map(|member| {
            let promotion = MembershipChange::from(NodeChange::Promote(member.id));
            self.admit_change(&promotion).ok()
        });
        // It may still lack entries, or another change is open: the next tick looks again.
        if let Some(membership) = next.flatten().next() {
            self.append_membership(membership, actions);
        }
    }
}
