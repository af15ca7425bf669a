//! The nemesis: its operations, injected.

use super::World;
use super::event::{Phase, SimulationEvent};
use crate::coverage::CoverageMark;
use crate::disk::FaultRates;
use crate::duration::Slowdown;
use crate::machine::FlakyDisk;
use crate::network::Noise;
use crate::operator::{MembershipRequest, OperatorRequest};
use crate::schedule::{
    LinkOperation, Links, MachineOperation, NemesisOperation, ReplacementDisk, Target,
};
use core::time::Duration;
use raft_proto::{Readiness, Time};

impl World {
    pub(super) fn schedule_nemesis_operation(&mut self) {
        if let Some((at, operation)) = self.script.nemesis.next() {
            self.next_nemesis_operation = Some(operation);
            self.queue
                .push(at.max(self.now), SimulationEvent::NemesisOperation);
        }
    }

    pub(super) fn nemesis_operation(&mut self) {
        if self.phase != Phase::Safety {
            return;
        }
        if let Some(operation) = self.next_nemesis_operation.take() {
            self.observe_nemesis(&operation);
            self.inject(operation);
        }
        self.schedule_nemesis_operation();
    }

    /// A link carries nothing until then.
    pub(super) fn cut_until(&mut self, from: usize, to: usize, until: Time) {
        if let Some(timeline) = &mut self.recorder.timeline {
            timeline.cut(self.now, from, to, until);
        }
        self.network.cut(from, to, until);
    }

    pub(super) fn resolve(&self, target: Target) -> Option<usize> {
        match target {
            Target::Node(place) => (place.0 < self.machines.len()).then_some(place.0),
            Target::Leader => self.leader(),
        }
    }

    fn inject(&mut self, operation: NemesisOperation) {
        match operation {
            NemesisOperation::AtLinks(operation) => self.inject_at_links(operation),
            NemesisOperation::AtMachine { of, operation } => {
                if let Some(place) = self.resolve(of) {
                    self.inject_at_machine(place, &operation);
                }
            }
            NemesisOperation::DamageAll { lost, time } => self.damage_all(lost, time),
            NemesisOperation::Transfer { to } => self.ask_leader(OperatorRequest::Transfer(to)),
            NemesisOperation::Update { of, priority } => {
                self.ask_leader(OperatorRequest::Update { of, priority });
            }
            NemesisOperation::Change {
                roles,
                is_forced,
                is_for_next,
                seen_by,
            } => {
                let request = MembershipRequest {
                    roles,
                    readiness: if is_forced {
                        Readiness::Forced
                    } else {
                        Readiness::Checked
                    },
                    seen_by,
                };
                self.ask_for_change(request, is_for_next);
            }
        }
    }

    fn inject_at_links(&mut self, operation: LinkOperation) {
        let now = self.now;
        match operation {
            LinkOperation::Noise {
                loss,
                duplicate,
                late,
                corrupt,
                by,
                time,
            } => self.network.set_noise(
                Noise {
                    loss,
                    duplicate,
                    late,
                    corrupt,
                    by,
                },
                now.after(time),
            ),
            LinkOperation::Cut { links, time } => self.cut(&links, time),
            LinkOperation::Flaky {
                from,
                to,
                loss,
                time,
            } => self.network.make_flaky(from.0, to.0, loss, now.after(time)),
            LinkOperation::SlowLink { from, to, by, time } => {
                self.network.slow_down(from.0, to.0, by, now.after(time));
            }
            LinkOperation::Unreachable {
                from,
                to,
                times,
                time,
            } => self.claim_unreachable((from, to), times, time),
        }
    }

    /// The operator asks for a change of the members, of the leader or of the next one.
    fn ask_for_change(&mut self, request: MembershipRequest, is_for_next: bool) {
        let request = OperatorRequest::Change(request);
        if is_for_next {
            self.change_for_next_leader = Some(request);
        } else {
            self.ask_leader_or_next(request);
        }
    }

    fn cut(&mut self, links: &Links, time: Duration) {
        let until = self.now.after(time);
        self.recorder.counts.cuts += 1;
        match links {
            Links::One(from, to) => {
                self.cut_until(from.0, to.0, until);
                self.recorder.coverage.links_cut(until);
            }
            Links::AllBut(from, to) => {
                for other in (0..self.machines.len()).filter(|at| *at != from.0 && *at != to.0) {
                    self.cut_until(from.0, other, until);
                    self.cut_until(other, from.0, until);
                }
                self.recorder.coverage.links_cut(until);
                self.recorder.coverage.hit(CoverageMark::PartialPartition);
            }
            Links::Around(target) => {
                let side: Vec<usize> = self.resolve(*target).into_iter().collect();
                self.cut_off(&side, until);
            }
            Links::Between(places) => {
                let side: Vec<usize> = places.iter().map(|place| place.0).collect();
                self.cut_off(&side, until);
            }
        }
    }

    /// Cuts all links between these places and the others.
    pub(super) fn cut_off(&mut self, side: &[usize], until: Time) {
        for from in 0..self.machines.len() {
            for to in 0..self.machines.len() {
                if side.contains(&from) != side.contains(&to) {
                    self.cut_until(from, to, until);
                }
            }
        }
        self.recorder.coverage.links_cut(until);
    }

    fn inject_at_machine(&mut self, place: usize, operation: &MachineOperation) {
        let now = self.now;
        let slow = |by, time| Slowdown {
            by,
            until: now.after(time),
        };
        let faults = &mut self.machines[place].faults;
        let stall = &mut self.stalls[place];
        match *operation {
            MachineOperation::Crash { time } => {
                self.crash(place);
                self.schedule(time, SimulationEvent::Restart { place });
            }
            MachineOperation::Kill { time } => {
                self.kill(place);
                self.schedule(time, SimulationEvent::Restart { place });
            }
            MachineOperation::Pause { time } => {
                self.recorder.coverage.hit(CoverageMark::NodePaused);
                stall.paused_until = stall.paused_until.max(now.after(time));
            }
            MachineOperation::SlowNode { by, time } => stall.slow_steps = slow(by, time),
            MachineOperation::SlowDisk { by, time } => faults.slow_disk = slow(by, time),
            MachineOperation::FailWrite { time } => faults.next_write_fails = Some(time),
            MachineOperation::FailRead { time } => faults.reads_fail_until = now.after(time),
            MachineOperation::Rot => self.rot(place),
            MachineOperation::Damage { kept, time } => self.damage(place, kept, time),
            MachineOperation::Replace { with, time } => match with {
                ReplacementDisk::NewNode => self.replace(place, time),
                ReplacementDisk::Empty
                | ReplacementDisk::EmptyAnyway
                | ReplacementDisk::OldCopy => {
                    self.come_back(place, with, time);
                }
            },
            MachineOperation::Backup => self.back_up(place),
            MachineOperation::Jump { by } => self.jump(place, by),
            MachineOperation::Freeze { time } => self.freeze(place, time),
            MachineOperation::Snapshot => self.make_snapshot(place, 1),
            MachineOperation::Compact { every, time } => {
                self.compact(place, every, now.after(time));
            }
            MachineOperation::SlowRead { by, time } => faults.slow_reads = slow(by, time),
            MachineOperation::FlakyDisk { failed, gone, time } => {
                let (rates, until) = (FaultRates { failed, gone }, now.after(time));
                faults.flaky_disk = FlakyDisk { rates, until };
            }
            MachineOperation::SlowService { by, time } => faults.slow_service = slow(by, time),
            MachineOperation::Decay { time } => self.decay(place, time),
            MachineOperation::Strike { fault } => self.strike(place, fault as usize),
            MachineOperation::Campaign => self.ask_node(place, OperatorRequest::Campaign),
            MachineOperation::StepDown => self.ask_node(place, OperatorRequest::StepDown),
            MachineOperation::Reconfigure { setting, value } => {
                self.ask_node(place, OperatorRequest::Reconfigure { setting, value });
            }
        }
    }

    /// The clock of a machine jumps forward.
    fn jump(&mut self, place: usize, by: Duration) {
        self.recorder.coverage.hit(CoverageMark::ClockJumped);
        self.machines[place].clock.jump(self.now, by);
        self.set_timer(place);
    }

    /// The clock of a machine stands still.
    fn freeze(&mut self, place: usize, time: Duration) {
        self.recorder.coverage.hit(CoverageMark::ClockJumped);
        self.machines[place].clock.freeze(self.now);
        self.schedule(time, SimulationEvent::Thaw { place });
    }

    pub(super) fn thaw(&mut self, place: usize) {
        self.machines[place].clock.thaw(self.now);
        self.set_timer(place);
    }
}
