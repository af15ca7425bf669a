//! The deeds of the script, done.

use super::World;
use super::happening::{Happening, Phase};
use crate::network::Noise;
use crate::schedule::{Deed, Links, Target};
use crate::situations::Situation;
use core::time::Duration;
use raft_proto::{NodeId, Time};

impl World {
    pub(super) fn schedule_deed(&mut self) {
        if let Some((at, deed)) = self.script.deeds.next() {
            self.next_deed = Some(deed);
            self.queue.push(at.max(self.now), Happening::Deed);
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
            Target::Node(place) => (place.0 < self.nodes.len()).then_some(place.0),
            Target::Leader => self.leader(),
        }
    }

    fn until(&self, time: Duration) -> Time {
        self.now.after(time)
    }

    fn befall(&mut self, deed: Deed) {
        match deed {
            Deed::Noise {
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
            Deed::Cut { links, time } => self.cut(&links, time),
            Deed::Flaky {
                from,
                to,
                loss,
                time,
            } => {
                let until = self.until(time);
                self.network.make_flaky(from.0, to.0, loss, until);
            }
            Deed::SlowLink { from, to, by, time } => {
                let until = self.until(time);
                self.network.slow_down(from.0, to.0, by, until);
            }
            Deed::Transfer { to } => self.ask_for_transfer(to),
            Deed::Change {
                wishes,
                is_forced,
                is_for_next,
            } => self.want_change(wishes, is_forced, is_for_next),
            Deed::Crash { of, .. }
            | Deed::Kill { of, .. }
            | Deed::Pause { of, .. }
            | Deed::SlowNode { of, .. }
            | Deed::SlowDisk { of, .. }
            | Deed::FailWrite { of, .. }
            | Deed::FailRead { of, .. }
            | Deed::Rot { of }
            | Deed::Replace { of, .. }
            | Deed::Jump { of, .. }
            | Deed::Freeze { of, .. }
            | Deed::Snapshot { of } => {
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
        for from in 0..self.nodes.len() {
            for to in 0..self.nodes.len() {
                if side.contains(&from) != side.contains(&to) {
                    self.network.cut(from, to, until);
                }
            }
        }
        self.recorder.situations.links_cut(until);
    }

    fn cut_link(&mut self, from: usize, to: usize, until: Time) {
        self.network.cut(from, to, until);
        self.recorder.situations.links_cut(until);
    }

    fn befall_node(&mut self, place: usize, deed: Deed) {
        let now = self.now;
        let situations = &mut self.recorder.situations;
        match deed {
            Deed::Crash { time, .. } => {
                self.crash(place);
                self.schedule(time, Happening::Restart { place });
            }
            Deed::Kill { time, .. } => {
                self.kill(place);
                self.schedule(time, Happening::Restart { place });
            }
            Deed::Pause { time, .. } => {
                situations.saw(Situation::NodePaused);
                let hold = &mut self.holds[place];
                hold.paused_until = hold.paused_until.max(now.after(time));
            }
            Deed::SlowNode { by, time, .. } => self.holds[place].slow = (by, now.after(time)),
            Deed::SlowDisk { by, time, .. } => {
                self.nodes[place].ailments.slow_disk = (by, now.after(time));
            }
            Deed::FailWrite { time, .. } => {
                self.nodes[place].ailments.next_write_fails = Some(time);
            }
            Deed::FailRead { time, .. } => {
                self.nodes[place].ailments.reads_fail = now.after(time);
            }
            Deed::Rot { .. } => self.rot(place),
            Deed::Replace { time, .. } => self.replace(place, time),
            Deed::Jump { by, .. } => {
                situations.saw(Situation::ClockJumped);
                self.nodes[place].clock.jump(now, by);
                self.set_timer(place);
            }
            Deed::Freeze { time, .. } => {
                situations.saw(Situation::ClockJumped);
                self.nodes[place].clock.freeze(now);
                self.schedule(time, Happening::Thaw { place });
            }
            Deed::Snapshot { .. } => self.make_snapshot(place, 1),
            Deed::Noise { .. }
            | Deed::Cut { .. }
            | Deed::Flaky { .. }
            | Deed::SlowLink { .. }
            | Deed::Transfer { .. }
            | Deed::Change { .. } => {}
        }
    }

    pub(super) fn thaw(&mut self, place: usize) {
        self.nodes[place].clock.thaw(self.now);
        self.set_timer(place);
    }

    pub(super) fn start(&mut self, place: usize) {
        let seed = self.machines.next_u64();
        if self.nodes[place].raft().is_some() || self.gone[place] {
            return;
        }
        if self.nodes[place].ailments.is_rotten {
            // Its storage does not open: what was there is lost.
            self.new_identity(place);
        }
        match self.nodes[place].start(seed) {
            Ok(applied) => {
                // It has just been started.
                if let Some(raft) = self.nodes[place].raft() {
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
        if self.nodes[place].raft().is_some() {
            self.recorder.situations.saw(Situation::ProcessKilled);
        }
        self.nodes[place].kill();
    }

    /// Power is lost, and with it what was not synced. A process that was there is not any more.
    pub(super) fn crash(&mut self, place: usize) {
        if self.nodes[place].raft().is_none() {
            self.recorder.situations.saw(Situation::PowerLostWhileDown);
        }
        self.stop(place, "crashes");
        self.nodes[place].kill();
        if self.nodes[place].lose_power(&mut self.machines) {
            self.recorder.situations.saw(Situation::TornWrite);
        }
        self.has_new_members = true;
    }

    fn stop(&mut self, place: usize, how: &str) {
        let Some(raft) = self.nodes[place].raft() else {
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
        if self.nodes[place].ailments.is_rotten || !self.can_lose(place) {
            return;
        }
        self.recorder.situations.saw(Situation::BitRot);
        self.nodes[place].ailments.is_rotten = true;
        self.lost.insert(self.nodes[place].id());
        self.crash(place);
        self.schedule(OUTAGE, Happening::Restart { place });
    }

    /// The disk is lost, if the cluster can do without it.
    fn replace(&mut self, place: usize, time: Duration) {
        let is_rotten = self.nodes[place].ailments.is_rotten;
        if !is_rotten && !self.can_lose(place) {
            return;
        }
        self.stop(place, "loses its disk");
        self.new_identity(place);
        self.schedule(time, Happening::Restart { place });
    }

    fn new_identity(&mut self, place: usize) {
        let old = self.nodes[place].id();
        let new = NodeId(old.0 + self.nodes.len() as u64);
        self.recorder.situations.saw(Situation::NewIdentity);
        self.fact(format_args!("{old} is gone, {new} stands in its place"));
        self.lost.insert(old);
        self.recorder.gone(old);
        self.nodes[place].replace(new);
        let after = Self::REPAIR_EVERY;
        self.schedule(after, Happening::Repair { place, tries: 0 });
    }
}
