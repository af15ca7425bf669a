//! Links that lose many messages.

use super::phase::Phase;
use super::{COMMIT_BOUND, LOSS};
use crate::failure::Failure;
use raft_proto::{NodeId, Raft};

impl Phase<'_> {
    /// All links lose messages and delay others, so that these come in another order. The leader
    /// crashes several times, and comes back when it has a successor: elections show best what is
    /// repeated.
    pub(super) fn lossy(&mut self) -> Result<(), Failure> {
        let limit = self.timeouts(COMMIT_BOUND);
        // A snapshot of many chunks may take longer than any bound on elections.
        if !self.wait(limit, |phase| phase.voters_have_caught_up())? {
            return Ok(());
        }
        let loss = self.random.between(LOSS / 2, LOSS);
        let (late, by) = (self.random.between(0, 200), self.timeouts(1) / 2);
        self.world.lose_messages(loss as u32, late as u32, by); // Each is below 1,000.
        for _ in 0..4 {
            let Some(leader) = self.well_leader()? else {
                return Ok(());
            };
            if self.can_lose(leader) {
                self.crash_leader(leader, None)?;
                self.world.restart(leader);
            }
            self.run_for(self.timeouts(4))?;
        }
        Ok(())
    }

    /// Whether there is a leader, and all its voters have all that was committed a moment ago.
    fn voters_have_caught_up(&self) -> bool {
        let Some((_, leader)) = self.leader() else {
            return false;
        };
        let committed = leader.commit_index();
        let has_all = |id: NodeId| {
            let raft = self.world.machines()[self.place(id)].raft();
            let raft = raft.filter(|raft| raft.id() == id);
            raft.map(Raft::last_log)
                .is_some_and(|last| last.index >= committed)
        };
        leader.membership().voters().all(has_all)
    }
}
