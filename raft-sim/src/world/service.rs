//! Services: they apply entries, take over snapshots and make snapshots, each in its own time.

use super::World;
use super::event::{Phase, ProcessEvent, SimulationEvent};
use crate::coverage::CoverageMark;
use crate::failure::Failure;
use crate::machine::ServiceTask;
use crate::service::Outcome;
use core::time::Duration;
use raft_proto::{Entries, Index, Input, Time};

impl World {
    /// A core hands entries or a snapshot to its service. The service does one thing after the
    /// other: at once, if it takes no time.
    pub(super) fn give_to_service(&mut self, at: usize, task: ServiceTask) {
        let restores = matches!(task, ServiceTask::Restore(_));
        self.machines[at].add_task(task);
        if restores && self.settings.service.restore_time.max.is_zero() {
            // It stops what it is at, and takes the snapshot over at once.
            self.machines[at].finish_tasks();
            let index = self.do_service_tasks(at);
            return self.inputs.push_back(Input::Applied { index });
        }
        if let Some(index) = self.begin_service_tasks(at) {
            self.inputs.push_back(Input::Applied { index });
        }
    }

    /// The service begins with what waits, unless it is busy. If that takes no time, it is done,
    /// and its index is returned.
    fn begin_service_tasks(&mut self, at: usize) -> Option<Index> {
        let settings = &self.settings.service;
        let machine = &mut self.machines[at];
        let slow = machine.faults.slow_service.at(self.now);
        let (usual, slow) = match machine.begin_tasks()? {
            ServiceTask::Apply(_) => (settings.apply_time, slow),
            ServiceTask::Restore(_) => (settings.restore_time, None),
        };
        let mut after = Duration::ZERO;
        if usual.max > usual.min {
            after += usual.draw(&mut self.random);
        }
        if let Some(by) = slow {
            after += self.input_random.duration(Duration::ZERO, by);
        }
        if after.is_zero() {
            return Some(self.do_service_tasks(at));
        }
        self.schedule_process_event(at, after, ProcessEvent::ServiceDone);
        None
    }

    /// The service has done what it began: it says so, and goes on.
    pub(super) fn service_done(&mut self, at: usize) {
        if !self.machines[at].is_service_busy() {
            return; // A snapshot has made an end of what it was at.
        }
        let mut done = Some(self.do_service_tasks(at));
        while let Some(index) = done {
            self.give(at, Input::Applied { index });
            done = self.begin_service_tasks(at);
        }
    }

    /// Does what the service has begun. Returns the last index that it has applied.
    fn do_service_tasks(&mut self, at: usize) -> Index {
        for task in self.machines[at].take_done_tasks() {
            match task {
                ServiceTask::Apply(entries) => self.apply(at, &entries),
                ServiceTask::Restore(id) => {
                    if let Err(failure) = self.machines[at].restore(id) {
                        self.fail(failure);
                    }
                    self.observe_service(at);
                }
            }
        }
        self.make_snapshot(at, self.settings.service.snapshot_every);
        let index = self.machines[at].service.last.index;
        self.answer_reads(at, index);
        index
    }

    fn apply(&mut self, at: usize, entries: &Entries) {
        let mut applied = core::mem::take(&mut self.applied);
        let machine = &mut self.machines[at];
        let (id, sessions) = (machine.id(), machine.service.sessions());
        let result = machine.service.apply(entries, &mut applied);
        let opened = applied.iter().filter(|one| one.outcome == Outcome::Opened);
        let is_full = sessions + opened.count() > machine.service.sessions();
        if let Err(damaged) = result {
            let (node, bytes) = (id, damaged.0);
            self.fail(Failure::UnknownCommand { node, bytes });
        }
        self.observe_service(at);
        if is_full {
            self.recorder.coverage.hit(CoverageMark::SessionEvicted);
        }
        for one in &applied {
            self.observe_command(id, one);
        }
        let mut outcomes = core::mem::take(&mut self.outcomes);
        let pending = &mut self.machines[at].pending_commands;
        pending.applied(entries, &applied, &mut outcomes);
        applied.clear();
        self.applied = applied;
        self.outcomes = outcomes;
        self.tell_clients(id);
        self.machines[at].save_if_due();
    }

    /// A fault of the user's own strikes the service.
    pub(super) fn strike(&mut self, place: usize, fault: usize) {
        self.machines[place].strike(fault);
        self.observe_service(place);
    }

    /// The service makes a snapshot, if it has applied `every` entries since the last one, and no
    /// disk lacks entries that its log may hold.
    pub(super) fn make_snapshot(&mut self, at: usize, every: u64) {
        if self.is_any_incomplete() {
            return;
        }
        let service = &self.settings.service;
        let Some(snapshot) = self.machines[at].begin_snapshot(every, service.snapshot_bytes) else {
            return;
        };
        let after = service.snapshot_time.draw(&mut self.random);
        let event = ProcessEvent::SnapshotWritten(Box::new(snapshot));
        self.schedule_process_event(at, after, event);
    }

    /// The service makes a snapshot now, and another one after each `every` until then.
    pub(super) fn compact(&mut self, place: usize, every: Duration, until: Time) {
        if self.phase == Phase::Safety && self.now <= until {
            self.make_snapshot(place, 1);
            let every = every.max(Duration::from_millis(1));
            let event = SimulationEvent::Compact {
                place,
                every,
                until,
            };
            self.schedule(every, event);
        }
    }

    /// The service makes a snapshot in place of one that has decayed, as soon as no disk lacks entries.
    pub(super) fn renew_snapshot(&mut self, place: usize) {
        /// The pause before the operator tries again.
        const PAUSE: Duration = Duration::from_millis(50);
        if self.is_any_incomplete() {
            return self.schedule(PAUSE, SimulationEvent::NewSnapshot { place });
        }
        self.make_snapshot(place, 1);
    }

    /// The snapshot that the core in this place uses decays. The service makes a newer one after
    /// `time`: nothing else ends the fault.
    pub(super) fn decay(&mut self, place: usize, time: Duration) {
        if self.machines[place].decay() {
            self.recorder.coverage.hit(CoverageMark::SnapshotDecayed);
            self.observe_decay(self.machines[place].id());
            self.schedule(time, SimulationEvent::NewSnapshot { place });
        }
    }
}
