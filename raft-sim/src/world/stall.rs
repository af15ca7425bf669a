//! Machines that stand still, or take long for every step.

use super::World;
use super::event::{MachineEvent, SimulationEvent};
use crate::duration::Slowdown;
use raft_proto::Time;
use std::collections::VecDeque;

/// What keeps a machine from seeing to events at once, and the events that wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Stall {
    pub(super) paused_until: Time,
    /// How long each step takes.
    pub(super) slow_steps: Slowdown,
    pub(super) busy_until: Time,
    waiting: VecDeque<MachineEvent>,
    /// When the machine sees to what waits.
    pub(super) resumes: Option<Time>,
}

impl Stall {
    /// How many events wait at most before frames are lost.
    const MAX_WAITING: usize = 512;

    fn free_at(&self) -> Time {
        self.paused_until.max(self.busy_until)
    }

    fn begin_step(&mut self, now: Time) {
        if let Some(by) = self.slow_steps.at(now) {
            self.busy_until = now.after(by);
        }
    }

    /// The machine's process is gone, and all that waited for it.
    pub(super) fn clear(&mut self) {
        self.paused_until = Time::ZERO;
        self.busy_until = Time::ZERO;
        self.waiting.clear();
    }

    /// The machine is neither paused nor slow any more.
    pub(super) fn heal(&mut self) {
        self.paused_until = Time::ZERO;
        self.busy_until = Time::ZERO;
        self.slow_steps = Slowdown::default();
    }
}

impl World {
    /// Returns the event if the machine can see to it now. Otherwise the event waits.
    pub(super) fn admit(&mut self, place: usize, event: MachineEvent) -> Option<MachineEvent> {
        let stall = &mut self.stalls[place];
        let free_at = stall.free_at();
        if free_at <= self.now && stall.waiting.is_empty() {
            stall.begin_step(self.now);
            return Some(event);
        }
        let is_frame = matches!(
            event,
            MachineEvent::Frame { .. } | MachineEvent::DamagedFrame { .. }
        );
        if is_frame && stall.waiting.len() >= Stall::MAX_WAITING {
            self.recorder.counts.dropped += 1;
        } else {
            stall.waiting.push_back(event);
        }
        let at = free_at.max(self.now);
        // A stall from before a crash may last longer than the present one.
        if stall.resumes.is_none_or(|scheduled| at < scheduled) {
            stall.resumes = Some(at);
            self.queue.push(at, SimulationEvent::Resume { place });
        }
        None
    }

    /// Sees to the events that wait, as far as the machine is free.
    pub(super) fn resume(&mut self, place: usize) {
        self.stalls[place].resumes = None;
        loop {
            let stall = &mut self.stalls[place];
            let free_at = stall.free_at();
            if free_at > self.now && !stall.waiting.is_empty() {
                stall.resumes = Some(free_at);
                return self.queue.push(free_at, SimulationEvent::Resume { place });
            }
            let Some(event) = stall.waiting.pop_front() else {
                return;
            };
            stall.begin_step(self.now);
            self.machine_event(place, event);
        }
    }
}
