//! What readers and the operator ask of a world, and when.

use super::World;
use super::happening::{Happening, Phase};

impl World {
    pub(super) fn schedule_read(&mut self) {
        if let Some(pause) = self.operations.read_pause() {
            self.schedule(pause, Happening::Read);
        }
    }

    pub(super) fn read(&mut self) {
        if self.phase == Phase::Liveness {
            return;
        }
        let (nodes, floor) = (self.nodes.len(), self.recorder.commit_index());
        let (leader, now) = (self.leader(), self.now);
        let (slot, input) = self.operations.read(now, nodes, leader, floor);
        match self.nodes[slot].raft() {
            Some(_) => self.give(slot, input),
            None => self.operations.crashed(slot),
        }
        self.schedule_read();
    }

    pub(super) fn schedule_operator(&mut self) {
        if let Some(pause) = self.operations.operator_pause() {
            self.schedule(pause, Happening::Operator);
        }
    }

    pub(super) fn operate(&mut self) {
        if self.phase == Phase::Liveness {
            return;
        }
        let nodes = self.nodes.len() as u64;
        if let Some(slot) = self.leader()
            && let Some(leader) = self.nodes[slot].raft()
        {
            let input = self.operations.deed(leader, slot, nodes);
            self.give(slot, input);
        }
        self.schedule_operator();
    }
}
