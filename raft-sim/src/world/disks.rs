//! Disks: they sync and answer after a while, and fail.

use super::World;
use super::event::{MachineEvent, ProcessEvent, SimulationEvent};
use core::time::Duration;
use raft_proto::{Input, Seq};

impl World {
    /// Starts a sync for the writes that no running sync covers, if another one may run.
    pub(super) fn begin_sync(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        let Some(seq) = machine.begin_sync(self.settings.disk.parallel_syncs) else {
            return;
        };
        let mut after = self.settings.disk.sync.draw(&mut self.random);
        if let Some(by) = machine.faults.slow_disk.at(self.now) {
            after += self.random.duration(Duration::ZERO, by);
        }
        if let Some(by) = self.standing.sync(at) {
            after += by.draw(&mut self.random);
        }
        let event = match machine.faults.next_write_fails.take() {
            Some(outage) => ProcessEvent::SyncFailed { outage },
            None => ProcessEvent::Synced { seq },
        };
        self.schedule_process_event(at, after, event);
    }

    /// Requests to the disk other than writes take time, too: much may happen before their answers.
    pub(super) fn schedule_disk_answers(&mut self, at: usize) {
        let (now, read_time) = (self.now, self.settings.disk.read);
        let (queue, random) = (&mut self.queue, &mut self.random);
        let input_random = &mut self.input_random;
        let machine = &mut self.machines[at];
        let slow_reads = machine.faults.slow_reads.at(now);
        let incarnation = machine.incarnation;
        machine.take_delayed_answers(|input| {
            let event = ProcessEvent::DiskAnswer(Box::new(input));
            let event = MachineEvent::Process { incarnation, event };
            let mut after = read_time.draw(random);
            if let Some(by) = slow_reads {
                after += input_random.duration(Duration::ZERO, by);
            }
            queue.push(
                now.after(after),
                SimulationEvent::Machine { place: at, event },
            );
        });
    }

    /// A driver whose sync fails tells the core, which then sends nothing more that depends on the
    /// write. The driver then starts the node anew with what the disk turns out to hold.
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
        self.step(at, |machine, now, outputs, observers| {
            machine.synced(now, seq, outputs, observers)
        });
        match self.inputs.pop_front() {
            Some(input) => self.give(at, input),
            None => {
                self.begin_sync(at);
                self.schedule_disk_answers(at);
                self.set_timer(at);
            }
        }
    }
}
