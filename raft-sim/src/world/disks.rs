//! What disks do in a world: they sync, late at times, and fail.

use super::World;
use super::happening::Happening;
use raft_proto::{Input, Seq};

impl World {
    /// Starts a sync for the writes that no running one covers, if another may run.
    pub(super) fn begin_sync(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Some(seq) = node.begin_sync(self.options.disk.parallel_syncs) else {
            return;
        };
        let disk = &self.options.disk;
        let mut after = disk.sync.draw(&mut self.machines);
        if self.machines.chance(disk.stall_per_mille) {
            after += disk.stall.draw(&mut self.machines);
        }
        let life = self.life(at);
        let happening = match self.machines.chance(self.options.disk.fail_per_mille) {
            true => Happening::SyncFailed { life },
            false => Happening::Synced { life, seq },
        };
        self.schedule(after, happening);
    }

    /// What a driver does then: it tells the core, which says nothing more that rests on the write,
    /// and starts the node anew with what the disk turns out to hold.
    pub(super) fn sync_failed(&mut self, at: usize) {
        let Some(seq) = self.nodes[at].first_unsynced() else {
            return; // Another sync ended first and covered it.
        };
        self.give(at, Input::PersistFailed { seq });
        self.crash(at);
        let outage = self.options.nemesis.outage.draw(&mut self.machines);
        self.schedule(outage, Happening::Restart { node: at });
    }

    pub(super) fn synced(&mut self, at: usize, seq: Seq) {
        self.recorder.counts.syncs += 1;
        let mut outputs = core::mem::take(&mut self.outputs);
        self.nodes[at].synced(self.now, seq, &mut outputs, &mut self.recorder);
        self.perform(at, &mut outputs);
        self.outputs = outputs;
        match self.inputs.pop_front() {
            Some(input) => self.give(at, input),
            None => {
                self.begin_sync(at);
                self.set_timer(at);
            }
        }
    }
}
