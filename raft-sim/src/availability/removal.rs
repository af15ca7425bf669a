//! A voter that is removed while it is away.

use super::phase::Phase;
use super::{REMOVAL_BOUND, Unavailable};
use crate::failure::Failure;
use core::time::Duration;
use raft_proto::{NodeId, Raft, RoleKind};

impl Phase<'_> {
    /// A voter is cut off or crashes, and is removed meanwhile. It comes back while the leader still
    /// tries to tell it, or when the leader has given that up: the voters that it asks, for
    /// pre-votes or for votes, tell it then. Without Pre-Vote it is cut off, so that its term rises.
    pub(super) fn removed(&mut self) -> Result<(), Failure> {
        let Some(leader) = self.well_leader()? else {
            return Ok(());
        };
        let Some(place) = self.dispensable_voter(leader) else {
            return Ok(());
        };
        let node = self.world.machines()[place].id();
        let has_pre_vote = self.world.settings().core.pre_vote;
        let is_cut_off = self.random.chance(500) || !has_pre_vote;
        if is_cut_off {
            for other in 0..self.world.machines().len() {
                self.world.cut_link(place, other);
                self.world.cut_link(other, place);
            }
        } else {
            self.world.crash_for(place, None);
        }
        self.world.remove_member(leader, node);
        if !self.wait_for_removal(node)? {
            return Ok(());
        }
        let away = self.random.duration(
            Duration::ZERO,
            self.timeouts(if has_pre_vote { 14 } else { 8 }),
        );
        self.run_for(away)?;
        if is_cut_off {
            self.world.join_links();
        } else {
            self.world.restart(place);
        }
        let within = self.timeouts(REMOVAL_BOUND);
        self.run_for(within)?;
        let campaigns = move |phase: &Phase<'_>| {
            let raft = phase.world.machines()[place].raft();
            let role = raft.filter(|raft| raft.id() == node).map(Raft::role);
            matches!(role, Some(RoleKind::PreCandidate | RoleKind::Candidate))
        };
        if self.wait(self.timeouts(4), campaigns)? {
            return Err(self.failure(Unavailable::RemovedCampaigns { node, within }));
        }
        Ok(())
    }

    /// Waits until a configuration without `node` is committed, for a while. Returns whether it is.
    fn wait_for_removal(&mut self, node: NodeId) -> Result<bool, Failure> {
        let limit = self.timeouts(5);
        let is_removed = |phase: &Phase<'_>| {
            let members = phase.leader().map(|(_, leader)| leader.membership());
            members.is_some_and(|members| members.get(node).is_none() && !members.is_joint())
        };
        if !self.wait(limit, is_removed)? {
            return Ok(false);
        }
        let last = self.leader().map(|(_, leader)| leader.last_log().index);
        let is_committed = |phase: &Phase<'_>| Some(phase.world.judge().commit_index()) >= last;
        self.wait(limit, is_committed)
    }
}
