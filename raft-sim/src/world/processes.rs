//! Processes start and end, and disks are lost.

use super::World;
use super::event::{ProcessEvent, SimulationEvent};
use crate::coverage::CoverageMark;
use crate::schedule::ReplacementDisk;
use core::time::Duration;
use raft_proto::{Incarnation, Input, NodeId, Start};

impl World {
    /// Starts the process in this place, unless it runs or never comes back.
    pub(super) fn start(&mut self, place: usize) {
        let fresh = self.random.next_u64();
        if self.machines[place].raft().is_some() || self.gone[place] {
            return;
        }
        let seed = self.seed(place, fresh);
        self.choose_release(place);
        // A founder on its first disk is the one that the founders' lists name.
        let machine = &self.machines[place];
        let is_founder = matches!(machine.config().start, Start::Bootstrap { .. });
        let is_named = self.settings.core.named_founders && machine.disk_number == 0 && is_founder;
        if self.settings.core.incarnations && !is_named {
            // The disk keeps the first one.
            let fresh = Incarnation(self.incarnation_random.next_u64());
            self.machines[place].reconfigure(|config| config.incarnation = Some(fresh));
        }
        if self.machines[place].faults.is_rotten {
            // Its storage does not open: what was there is lost.
            self.new_identity(place);
        }
        if self.machines[place].disk().is_incomplete() {
            return self.begin_mending(place);
        }
        match self.machines[place].start(seed) {
            Ok(applied) => {
                if self.machines[place].is_ahead_of_snapshot() {
                    self.recorder.coverage.hit(CoverageMark::ServiceAhead);
                }
                self.observe_start(place, applied);
                self.give(place, Input::Tick);
            }
            Err(failure) => self.fail(failure),
        }
    }

    /// The seed of a process that starts: a fresh one, or once more the one of the start before.
    fn seed(&mut self, place: usize, fresh: u64) -> u64 {
        let machine = &self.machines[place];
        let same = self.settings.core.same_seeds;
        if same == 0 || machine.incarnation == 0 || !self.seed_random.chance(same.into()) {
            return fresh;
        }
        self.recorder.coverage.hit(CoverageMark::SeedRepeated);
        machine.config().seed
    }

    /// The process ends.
    pub(super) fn kill(&mut self, place: usize) {
        self.stop(place, "is killed");
        if self.machines[place].raft().is_some() {
            self.recorder.coverage.hit(CoverageMark::ProcessKilled);
        }
        self.machines[place].kill();
        self.report_end(place);
    }

    /// A process has ended, and its connections are closed. Some peers notice.
    fn report_end(&mut self, place: usize) {
        let chance = self.settings.network.reports_ends;
        if chance == 0 {
            return;
        }
        let peer = self.machines[place].id();
        for other in (0..self.machines.len()).filter(|other| *other != place) {
            let after = self.settings.network.delay.draw(&mut self.input_random);
            if self.input_random.chance(chance.into())
                && !self.network.is_cut(self.now, place, other)
            {
                self.schedule_process_event(other, after, ProcessEvent::Unreachable { peer });
            }
        }
    }

    /// The machine loses power, and its disk what was not synced. The process ends, if it ran.
    pub(super) fn crash(&mut self, place: usize) {
        if self.machines[place].raft().is_none() {
            self.recorder.coverage.hit(CoverageMark::PowerLostWhileDown);
        }
        self.stop(place, "crashes");
        self.machines[place].kill();
        if self.machines[place].lose_power(&mut self.random) {
            self.recorder.coverage.hit(CoverageMark::TornWrite);
        }
        self.observe_power_loss();
    }

    /// Notes that the process in this place ends, if it runs.
    fn stop(&mut self, place: usize, how: &str) {
        let Some(raft) = self.machines[place].raft() else {
            return;
        };
        let id = raft.id();
        let line = format!("{id}@{} {how}", raft.term());
        self.recorder.counts.crashes += 1;
        self.observe_stop(id, &line);
        self.operator.stopped(id);
        self.reads.stopped(place);
        self.stalls[place].clear();
    }

    /// Stored bytes decay, and the storage's checksum tells: the driver ends the process, and the
    /// storage does not open again. This happens only to a disk that the cluster can do without.
    pub(super) fn rot(&mut self, place: usize) {
        const OUTAGE: Duration = Duration::from_millis(500);
        if self.machines[place].faults.is_rotten || !self.can_lose(place) {
            return;
        }
        self.recorder.coverage.hit(CoverageMark::BitRot);
        self.machines[place].faults.is_rotten = true;
        self.lost.insert(self.machines[place].id());
        self.crash(place);
        self.schedule(OUTAGE, SimulationEvent::Restart { place });
    }

    /// Records of the log decay, and the process ends. The storage starts without what follows them,
    /// if a majority stays that has lost nothing.
    pub(super) fn damage(&mut self, place: usize, kept: u32, time: Duration) {
        if self.machines[place].faults.is_rotten || !self.can_lose(place) {
            return;
        }
        self.crash(place);
        match self.machines[place].damage(kept) {
            Ok(true) => self.recorder.coverage.hit(CoverageMark::LogDamaged),
            Ok(false) => {}
            Err(failure) => self.fail(failure),
        }
        self.observe_power_loss();
        self.schedule(time, SimulationEvent::Restart { place });
    }

    /// The disk is lost, if the cluster can do without it.
    pub(super) fn replace(&mut self, place: usize, time: Duration) {
        let is_rotten = self.machines[place].faults.is_rotten;
        if !is_rotten && !self.can_lose(place) {
            return;
        }
        self.stop(place, "loses its disk");
        self.new_identity(place);
        self.schedule(time, SimulationEvent::Restart { place });
    }

    /// A copy of the disk is put aside, if the disk is whole. The operator could not make a voter of
    /// a copy that lacks entries: it may fetch them only where the others still hold them.
    pub(super) fn back_up(&mut self, place: usize) {
        if self.machines[place].disk().is_incomplete() {
            return;
        }
        if let Err(failure) = self.machines[place].back_up() {
            self.fail(failure);
        }
    }

    /// The disk is lost, and the node comes back under its own number, with an empty disk or an old
    /// copy. It has forgotten votes and entries. If the others can tell an empty disk from the one
    /// that was lost, the cluster must only be able to do without that. They take an old copy for
    /// the disk that it was made of, so this happens only where no cluster relies on that.
    pub(super) fn come_back(&mut self, place: usize, with: ReplacementDisk, time: Duration) {
        let with_copy = with == ReplacementDisk::OldCopy;
        let machine = &self.machines[place];
        let is_possible = !machine.faults.is_rotten && (!with_copy || machine.has_backup());
        let is_told_apart = !with_copy && self.settings.core.incarnations;
        let may_be_lost = if is_told_apart {
            self.can_lose(place)
        } else {
            self.may_forget(place)
        };
        let is_anyway = with == ReplacementDisk::EmptyAnyway && is_told_apart;
        let is_right = may_be_lost || is_anyway && self.can_lose_knowingly(place);
        if !is_possible || !is_right || self.is_any_incomplete() {
            return;
        }
        self.has_lost_majority |= !may_be_lost;
        let id = machine.id();
        self.observe_return(id);
        self.recorder.coverage.hit(if with_copy {
            CoverageMark::OldCopyUnderOwnNumber
        } else {
            CoverageMark::EmptyDiskUnderOwnNumber
        });
        self.stop(place, "loses its disk and keeps its number");
        // In some cases as an operator would start it who does not know that the disk was replaced.
        let joins = self.incarnation_random.chance(500) || !self.is_remembered_without(place);
        self.machines[place].come_back(with_copy, joins);
        if is_told_apart {
            self.observe_disk_loss(id);
            let after = Self::REPAIR_EVERY;
            self.schedule(after, SimulationEvent::Repair { place, tries: 0 });
        }
        self.observe_power_loss();
        self.schedule(time, SimulationEvent::Restart { place });
    }

    fn new_identity(&mut self, place: usize) {
        let old = self.machines[place].id();
        let new = NodeId(old.0 + self.machines.len() as u64);
        self.recorder.coverage.hit(CoverageMark::NewIdentity);
        self.fact(format_args!("{old} is gone, {new} stands in its place"));
        self.lost.insert(old);
        self.observe_disk_loss(old);
        self.machines[place].replace(new);
        let after = Self::REPAIR_EVERY;
        self.schedule(after, SimulationEvent::Repair { place, tries: 0 });
    }
}
