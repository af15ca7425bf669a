//! What disks do in a world: they sync, late at times, and fail.

use super::World;
use super::event::{MachineEvent, SimulationEvent};
use core::time::Duration;
use raft_proto::{Input, Seq};

impl World {
    /// Starts a sync for the writes that no running one covers, if another may run.
    pub(super) fn begin_sync(&mut self, at: usize) {
        let node = &mut self.machines[at];
        let Some(seq) = node.begin_sync(self.settings.disk.parallel_syncs) else {
            return;
        };
        let mut after = self.settings.disk.sync.draw(&mut self.random);
        let (slow, until) = node.faults.slow_disk;
        if until > self.now {
            after += self.random.duration(Duration::ZERO, slow);
        }
        let incarnation = node.incarnation;
        let what = match node.faults.next_write_fails.take() {
            Some(outage) => MachineEvent::SyncFailed {
                incarnation,
                outage,
            },
            None => MachineEvent::Synced { incarnation, seq },
        };
        self.schedule(after, SimulationEvent::At { place: at, what });
    }

    /// What the core has asked of its disk beside writes takes time, too: much may happen before it
    /// is answered.
    pub(super) fn expect_answers(&mut self, at: usize) {
        let (now, read) = (self.now, self.settings.disk.read);
        let (queue, machines) = (&mut self.queue, &mut self.random);
        let node = &mut self.machines[at];
        let incarnation = node.incarnation;
        node.take_late(|input| {
            let input = Box::new(input);
            let what = MachineEvent::Answer { incarnation, input };
            let after = read.draw(machines);
            queue.push(now.after(after), SimulationEvent::At { place: at, what });
        });
    }

    /// What a driver does then: it tells the core, which says nothing more that rests on the write,
    /// and starts the node anew with what the disk turns out to hold.
    pub(super) fn sync_failed(&mut self, at: usize, outage: Duration) {
        let Some(seq) = self.machines[at].first_unsynced() else {
            return self.machines[at].sync_ended(); // Another one ended first and covered it.
        };
        self.give(at, Input::PersistFailed { seq });
        self.crash(at);
        self.schedule(outage, SimulationEvent::Restart { place: at });
    }

    pub(super) fn synced(&mut self, at: usize, seq: Seq) {
        self.recorder.counts.syncs += 1;
        let mut outputs = core::mem::take(&mut self.outputs);
        self.machines[at].synced(self.now, seq, &mut outputs, &mut self.recorder);
        self.perform(at, &mut outputs);
        self.outputs = outputs;
        match self.inputs.pop_front() {
            Some(input) => self.give(at, input),
            None => {
                self.begin_sync(at);
                self.expect_answers(at);
                self.set_timer(at);
            }
        }
    }
}
