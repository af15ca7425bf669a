//! Frames on the links between machines.

use super::World;
use super::event::{Connection, MachineEvent, ProcessEvent, SimulationEvent};
use crate::coverage::CoverageMark;
use crate::failure::Failure;
use crate::network::Fate;
use crate::schedule::Place;
use crate::view::{MessageFate, NONE};
use bytes::Bytes;
use core::time::Duration;
use raft_proto::wire::{Envelope, ReceiveError};
use raft_proto::{Action, Checksum, Input, NodeId, Time, trace};

impl World {
    pub(super) fn send(&mut self, from: usize, action: &Action) {
        let Action::Send { to, message } = action else {
            return;
        };
        let Some(raft) = self.machines[from].raft() else {
            return;
        };
        let envelope = Envelope::new(raft.config(), *to);
        let frame = self.frame(from, &envelope, message);
        self.recorder.counts.sent(message.kind(), frame.len());
        let place = self.place(*to);
        let over = self.connection(from, place);
        let arrival = |frame, message| MachineEvent::Frame {
            frame,
            over: Connection { message, ..over },
        };
        let fate = self.network.send(self.now, from, place);
        let node_at_term = trace::NodeAtTerm {
            node: envelope.from,
            term: message.term(),
        };
        let line = trace::action(node_at_term, action);
        let (now, link) = (self.now, (from, place));
        self.observe_message(match fate {
            Fate::Dropped => 0,
            Fate::Arrives(_) | Fate::Damaged(_) => 1,
            Fate::Twice(_, _) => 2,
        });
        match fate {
            Fate::Dropped => {
                self.recorder.counts.dropped += 1;
                let line = format_args!("{line} (dropped)");
                let copies = [(MessageFate::Lost, Time::ZERO)];
                self.recorder.sent(now, link, message, line, &copies);
                self.report_loss(from, *to);
            }
            Fate::Arrives(after) => {
                let copies = [(MessageFate::Arrives, now.after(after))];
                let number = self.recorder.sent(now, link, message, line, &copies);
                self.deliver(after, place, arrival(frame, number));
            }
            Fate::Twice(first, second) => {
                self.recorder.counts.duplicated += 1;
                let line = format_args!("{line} (twice)");
                let copies = [
                    (MessageFate::FirstCopy, now.after(first)),
                    (MessageFate::SecondCopy, now.after(second)),
                ];
                let number = self.recorder.sent(now, link, message, line, &copies);
                self.deliver(first, place, arrival(frame.clone(), number));
                self.deliver(second, place, arrival(frame, number.saturating_add(1)));
            }
            Fate::Damaged(after) => {
                let damaged: Bytes = self.network.damage(&frame).into();
                // A few bytes were replaced by the same ones: the frame is what was sent.
                if damaged == frame {
                    let copies = [(MessageFate::Arrives, now.after(after))];
                    let number = self.recorder.sent(now, link, message, line, &copies);
                    return self.deliver(after, place, arrival(frame, number));
                }
                self.recorder.counts.corrupted += 1;
                let line = format_args!("{line} (damaged)");
                let copies = [(MessageFate::Damaged, now.after(after))];
                self.recorder.sent(now, link, message, line, &copies);
                let checksum = Checksum::of(&frame);
                let frame = damaged;
                self.deliver(after, place, MachineEvent::DamagedFrame { frame, checksum });
            }
        }
    }

    /// The connection between two machines as it is now.
    fn connection(&self, from: usize, to: usize) -> Connection {
        let disk = |at: usize| self.machines[at].disk_number;
        Connection {
            from,
            disks: [disk(from), disk(to)],
            message: NONE,
        }
    }

    /// A frame is lost. In some cases the sender's transport notices, after a while.
    fn report_loss(&mut self, from: usize, peer: NodeId) {
        let network = &self.settings.network;
        if network.reports_loss == 0 || !self.input_random.chance(network.reports_loss.into()) {
            return;
        }
        let after = network.delay.draw(&mut self.input_random);
        self.schedule_process_event(from, after, ProcessEvent::Unreachable { peer });
    }

    /// The transport of a node says that messages for this peer are lost.
    pub(super) fn unreachable(&mut self, place: usize, peer: NodeId) {
        self.recorder
            .coverage
            .hit(CoverageMark::UnreachableReported);
        self.give(place, Input::Unreachable { peer });
    }

    /// The transport of the first machine says so several times, whether it is true or not.
    pub(super) fn claim_unreachable(&mut self, links: (Place, Place), times: u32, time: Duration) {
        let (from, to) = links;
        let Some(peer) = self.machines.get(to.0).map(|machine| machine.id()) else {
            return;
        };
        if !self.network.is_cut(self.now, from.0, to.0) {
            self.recorder.coverage.hit(CoverageMark::UnreachableWrongly);
        }
        for at in 0..times {
            let event = ProcessEvent::Unreachable { peer };
            self.schedule_process_event(from.0, time * at / times, event);
        }
    }

    /// A frame arrives after a while, over the connection as it is now.
    pub(super) fn deliver_frame(&mut self, after: Duration, from: usize, to: usize, frame: Bytes) {
        let over = self.connection(from, to);
        self.deliver(after, to, MachineEvent::Frame { frame, over });
    }

    fn deliver(&mut self, after: Duration, place: usize, event: MachineEvent) {
        self.schedule(after, SimulationEvent::Machine { place, event });
    }

    pub(super) fn arrive(&mut self, to: usize, frame: Bytes, over: Connection) {
        let machine = &self.machines[to];
        let [from_disk, to_disk] = self.connection(over.from, to).disks;
        // What a disk was sent is nothing to its successor. What was sent from a disk before it was
        // lost arrives if the receiver can tell that.
        let is_told_apart = self.settings.core.incarnations;
        let is_broken = to_disk != over.disks[1] || from_disk != over.disks[0] && !is_told_apart;
        if machine.raft().is_none() || is_broken {
            self.recorder.counts.dropped += 1;
            return;
        }
        match machine.receiver().accept(frame) {
            Ok(received) => {
                self.check_unread(to, over.from, &received);
                if let Some(timeline) = &mut self.recorder.timeline {
                    timeline.arrives(over.message);
                }
                self.give(to, Input::from(received));
            }
            Err(error) if error.is_newer() && !self.settings.releases.are_equal() => {
                self.recorder.coverage.hit(CoverageMark::NewerMessage);
            }
            // It is for the node that stood here before its disk was lost.
            Err(ReceiveError::OtherAddressee { .. }) => self.recorder.counts.dropped += 1,
            Err(
                reason @ (ReceiveError::Decode(_)
                | ReceiveError::OtherCluster { .. }
                | ReceiveError::OtherGroup { .. }),
            ) => {
                let node = machine.id();
                self.fail(Failure::Frame { node, reason });
            }
        }
    }

    /// A frame arrives whose bytes were changed. Decoding must catch it, or at least the checksum
    /// that every transport has. Decoding it must do no harm either.
    pub(super) fn arrive_damaged(&mut self, to: usize, frame: Bytes, checksum: u32) {
        self.recorder.coverage.hit(CoverageMark::FrameCorrupted);
        let fits = Checksum::of(&frame) == checksum;
        match self.machines[to].receiver().accept(frame) {
            Err(_) => self.recorder.counts.caught_by_decoding += 1,
            Ok(_) if !fits => self.recorder.counts.caught_by_checksum += 1,
            // One of four thousand millions: no checksum of 32 bits promises more.
            Ok(_) => self.recorder.counts.dropped += 1,
        }
    }
}
