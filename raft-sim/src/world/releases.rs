//! Two releases of the program: which one a process starts with, and what the newer one writes.

use super::World;
use super::event::SimulationEvent;
use crate::coverage::CoverageMark;
use crate::failure::Failure;
use crate::network::Fate;
use crate::release::{
    NEWER_FIELD_BYTES, Releases, frame_of_newer_kind, in_newer_layout, newer_frame,
};
use bytes::Bytes;
use core::time::Duration;
use raft_proto::wire::{self, Envelope, Received};
use raft_proto::{Action, Commands, Fault, Level, Message, NodeId};

impl World {
    /// The process in this place is about to start. The operator upgrades or downgrades it, or not;
    /// never below what its own disk may hold, or any other member's configuration needs already.
    pub(super) fn choose_release(&mut self, place: usize) {
        let releases = &self.settings.releases;
        let machine = &self.machines[place];
        if releases.are_equal() || machine.incarnation == 0 {
            return;
        }
        let changes = self.release_random.chance(releases.changes.into());
        let before = machine.config().level;
        let used = self.machines.iter().map(|it| it.own_membership().level());
        let is_raised = used.into_iter().any(|level| level != Level::ZERO);
        // What a process finds that was killed, or lost power in the middle of its writes, may be
        // neither what the node had in memory nor what was durable then.
        let is_raised = is_raised || machine.disk().level_was_raised;
        let after = match before.service {
            _ if is_raised => Releases::NEWER,
            before if changes => Releases::NEWER - before,
            before => before,
        };
        self.run_release(place, after);
    }

    fn run_release(&mut self, place: usize, level: u32) {
        let before = self.machines[place].config().level.service;
        if before == level {
            return;
        }
        self.recorder.coverage.hit(if before < level {
            CoverageMark::Upgraded
        } else {
            CoverageMark::Downgraded
        });
        let (id, level) = (self.machines[place].id(), Level::of_service(level));
        self.fact(format_args!("{id} runs a release of level {level}"));
        self.machines[place].reconfigure(|config| config.level = level);
    }

    /// A core has said something that concerns releases.
    pub(super) fn observe_release(&mut self, place: usize, action: &Action) {
        if let Action::MembershipChanged { membership, .. } = action
            && membership.level() != Level::ZERO
        {
            self.recorder.coverage.hit(CoverageMark::LevelRaised);
            self.machines[place].disk_mut().level_was_raised = true;
        }
        if let Action::Faulted {
            reason: Fault::LevelTooLow { .. },
        } = action
        {
            self.recorder.coverage.hit(CoverageMark::LevelTooLow);
            let event = SimulationEvent::Upgrade { place };
            self.schedule(Duration::ZERO, event);
        }
    }

    /// A server has said that its release is too old. The operator starts the newer one.
    pub(super) fn upgrade(&mut self, place: usize) {
        const OUTAGE: Duration = Duration::from_millis(300);
        let raft = self.machines[place].raft();
        if raft.is_some_and(|raft| raft.fault().is_some()) {
            self.kill(place);
            self.run_release(place, Releases::NEWER);
            self.schedule(OUTAGE, SimulationEvent::Restart { place });
        }
    }

    /// The commands as the service of this node has them replicated.
    pub(super) fn in_layout(&self, place: usize, commands: Commands) -> Commands {
        let raft = self.machines[place].raft();
        if raft.is_none_or(|raft| raft.level().service < Releases::NEWER) {
            return commands;
        }
        let payloads: Vec<Bytes> = commands.iter().map(in_newer_layout).collect();
        Commands::from(payloads)
    }

    fn is_newer(&self, place: usize) -> bool {
        self.machines[place].config().level.service >= Releases::NEWER
    }

    /// The frame of a message from this node, as its release writes it.
    pub(super) fn frame(&mut self, from: usize, envelope: &Envelope, message: &Message) -> Bytes {
        if self.settings.releases.are_equal() || !self.is_newer(from) {
            return wire::encode(envelope, message);
        }
        if self.release_random.chance(20) {
            self.send_newer_kind(from, envelope.to, frame_of_newer_kind(envelope, message));
        }
        newer_frame(envelope, message)
    }

    /// A message that older releases do not know is on its way too.
    fn send_newer_kind(&mut self, from: usize, to: NodeId, frame: Bytes) {
        let place = self.place(to);
        if let Fate::Arrives(after) = self.network.send(self.now, from, place) {
            self.observe_message(1);
            self.deliver_frame(after, from, place, frame);
        }
    }

    /// A frame was read. What its sender's release added to it is known to have been left unread.
    pub(super) fn check_unread(&mut self, to: usize, from: usize, received: &Received) {
        let unknown = received.unknown_bytes;
        if unknown != 0 && unknown != NEWER_FIELD_BYTES {
            let (node, from) = (self.machines[to].id(), self.machines[from].id());
            let unread = Failure::Unread {
                node,
                from,
                unknown,
            };
            self.fail(unread);
        }
    }
}
