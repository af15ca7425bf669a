//! The deeds of the script, done.

use super::World;
use super::event::{Phase, SimulationEvent};
use crate::coverage::CoverageMark;
use crate::network::Noise;
use crate::schedule::{Links, NemesisOperation, Target};
use core::time::Duration;
use raft_proto::{NodeId, Time};

impl World {
    pub(super) fn schedule_deed(&mut self) {
        if let Some((at, deed)) = self.script.nemesis.next() {
            self.next_deed = Some(deed);
            self.queue
                .push(at.max(self.now), SimulationEvent::NemesisOperation);
        }
    }

    pub(super) fn deed(&mut self) {
        if self.phase == Phase::Liveness {
            return;
        }
        if let Some(deed) = self.next_deed.take() {
            self.fact(format_args!("deed: {deed}"));
            self.befall(deed);
        }
        self.schedule_deed();
    }

    fn resolve(&self, target: Target) -> Option<usize> {
        match target {
            Target::Node(place) => (place.0 < self.machines.len()).then_some(place.0),
            Target::Leader => self.leader(),
        }
    }

    fn until(&self, time: Duration) -> Time {
        self.now.after(time)
    }

    fn befall(&mut self, deed: NemesisOperation) {
        match deed {
            NemesisOperation::Noise {
                loss,
                duplicate,
                late,
                corrupt,
                by,
                time,
            } => {
                let noise = Noise {
                    loss,
                    duplicate,
                    late,
                    corrupt,
                    by,
                };
                self.network.set_noise(noise, self.now.after(time));
            }
            NemesisOperation::Cut { links, time } => self.cut(&links, time),
            NemesisOperation::Flaky {
                from,
                to,
                loss,
                time,
            } => {
                let until = self.until(time);
                self.network.make_flaky(from.0, to.0, loss, until);
            }
            NemesisOperation::SlowLink { from, to, by, time } => {
                let until = self.until(time);
                self.network.slow_down(from.0, to.0, by, until);
            }
            NemesisOperation::Transfer { to } => self.ask_for_transfer(to),
            NemesisOperation::Change {
                roles,
                is_forced,
                is_for_next,
            } => self.want_change(roles, is_forced, is_for_next),
            NemesisOperation::Crash { of, .. }
            | NemesisOperation::Kill { of, .. }
            | NemesisOperation::Pause { of, .. }
            | NemesisOperation::SlowNode { of, .. }
            | NemesisOperation::SlowDisk { of, .. }
            | NemesisOperation::FailWrite { of, .. }
            | NemesisOperation::FailRead { of, .. }
            | NemesisOperation::Rot { of }
            | NemesisOperation::Replace { of, .. }
            | NemesisOperation::Jump { of, .. }
            | NemesisOperation::Freeze { of, .. }
            | NemesisOperation::Snapshot { of } => {
                if let Some(place) = self.resolve(of) {
                    self.befall_node(place, deed);
                }
            }
        }
    }

    fn cut(&mut self, links: &Links, time: Duration) {
        let until = self.until(time);
        self.recorder.counts.cuts += 1;
        let side: Vec<usize> = match links {
            Links::One(from, to) => return self.cut_link(from.0, to.0, until),
            Links::Around(target) => self.resolve(*target).into_iter().collect(),
            Links::Between(places) => places.iter().map(|place| place.0).collect(),
        };
        self.cut_off(&side, until);
    }

    /// Cuts all links between these places and the others.
    pub(super) fn cut_off(&mut self, side: &[usize], until: Time) {
        for from in 0..self.machines.len() {
            for to in 0..self.machines.len() {
                if side.contains(&from) != side.contains(&to) {
                    self.network.cut(from, to, until);
                }
            }
        }
        self.recorder.coverage.links_cut(until);
    }

    fn cut_link(&mut self, from: usize, to: usize, until: Time) {
        self.network.cut(from, to, until);
        self.recorder.coverage.links_cut(until);
    }

    fn befall_node(&mut self, place: usize, deed: NemesisOperation) {
        let now = self.now;
        let situations = &mut self.recorder.coverage;
        match deed {
            NemesisOperation::Crash { time, .. } => {
                self.crash(place);
                self.schedule(time, SimulationEvent::Restart { place });
            }
            NemesisOperation::Kill { time, .. } => {
                self.kill(place);
                self.schedule(time, SimulationEvent::Restart { place });
            }
            NemesisOperation::Pause { time, .. } => {
                situations.hit(CoverageMark::NodePaused);
                let hold = &mut self.holds[place];
                hold.paused_until = hold.paused_until.max(now.after(time));
            }
            NemesisOperation::SlowNode { by, time, .. } => {
                self.holds[place].slow = (by, now.after(time))
            }
            NemesisOperation::SlowDisk { by, time, .. } => {
                self.machines[place].faults.slow_disk = (by, now.after(time));
            }
            NemesisOperation::FailWrite { time, .. } => {
                self.machines[place].faults.next_write_fails = Some(time);
            }
            NemesisOperation::FailRead { time, .. } => {
                self.machines[place].faults.reads_fail = now.after(time);
            }
            NemesisOperation::Rot { .. } => self.rot(place),
            NemesisOperation::Replace { time, .. } => self.replace(place, time),
            NemesisOperation::Jump { by, .. } => {
                situations.hit(CoverageMark::ClockJumped);
                self.machines[place].clock.jump(now, by);
                self.set_timer(place);
            }
            NemesisOperation::Freeze { time, .. } => {
                situations.hit(CoverageMark::ClockJumped);
                self.machines[place].clock.freeze(now);
                self.schedule(time, SimulationEvent::Thaw { place });
            }
            NemesisOperation::Snapshot { .. } => self.make_snapshot(place, 1),
            NemesisOperation::Noise { .. }
            | NemesisOperation::Cut { .. }
            | NemesisOperation::Flaky { .. }
            | NemesisOperation::SlowLink { .. }
            | NemesisOperation::Transfer { .. }
            | NemesisOperation::Change { .. } => {}
        }
    }

    pub(super) fn thaw(&mut self, place: usize) {
        self.machines[place].clock.thaw(self.now);
        self.set_timer(place);
    }

    pub(super) fn start(&mut self, place: usize) {
        let seed = self.random.next_u64();
        if self.machines[place].raft().is_some() || self.gone[place] {
            return;
        }
        if self.machines[place].faults.is_rotten {
            // Its storage does not open: what was there is lost.
            self.new_identity(place);
        }
        match self.machines[place].start(seed) {
            Ok(applied) => {
                // It has just been started.
                if let Some(raft) = self.machines[place].raft() {
                    self.recorder.started(self.now, raft, applied);
                }
                self.has_new_members = true;
                self.give(place, raft_proto::Input::Tick);
            }
            Err(failure) => self.fail(failure),
        }
    }

    /// The process ends.
    pub(super) fn kill(&mut self, place: usize) {
        self.stop(place, "is killed");
        if self.machines[place].raft().is_some() {
            self.recorder.coverage.hit(CoverageMark::ProcessKilled);
        }
        self.machines[place].kill();
    }

    /// Power is lost, and with it what was not synced. A process that was there is not any more.
    pub(super) fn crash(&mut self, place: usize) {
        if self.machines[place].raft().is_none() {
            self.recorder.coverage.hit(CoverageMark::PowerLostWhileDown);
        }
        self.stop(place, "crashes");
        self.machines[place].kill();
        if self.machines[place].lose_power(&mut self.random) {
            self.recorder.coverage.hit(CoverageMark::TornWrite);
        }
        self.has_new_members = true;
    }

    fn stop(&mut self, place: usize, how: &str) {
        let Some(raft) = self.machines[place].raft() else {
            return;
        };
        let id = raft.id();
        let line = format!("{id}@{} {how}", raft.term());
        self.fact(line);
        self.recorder.counts.crashes += 1;
        self.recorder.stopped(id);
        self.operator.stopped(id);
        self.reads.stopped(place);
        self.holds[place].forget();
    }

    /// Stored bytes decay, and the storage's checksum tells: the driver ends the process, and the
    /// storage does not open again. Only if the cluster can do without this disk: no algorithm
    /// survives the loss of a majority.
    fn rot(&mut self, place: usize) {
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

    /// The disk is lost, if the cluster can do without it.
    fn replace(&mut self, place: usize, time: Duration) {
        let is_rotten = self.machines[place].faults.is_rotten;
        if !is_rotten && !self.can_lose(place) {
            return;
        }
        self.stop(place, "loses its disk");
        self.new_identity(place);
        self.schedule(time, SimulationEvent::Restart { place });
    }

    fn new_identity(&mut self, place: usize) {
        let old = self.machines[place].id();
        let new = NodeId(old.0 + self.machines.len() as u64);
        self.recorder.coverage.hit(CoverageMark::NewIdentity);
        self.fact(format_args!("{old} is gone, {new} stands in its place"));
        self.lost.insert(old);
        self.recorder.gone(old);
        self.machines[place].replace(new);
        let after = Self::REPAIR_EVERY;
        self.schedule(after, SimulationEvent::Repair { place, tries: 0 });
    }
}
