//! Steps of the cores: the inputs they take, and what is done with the actions that come out.

use super::World;
use super::event::{MachineEvent, ProcessEvent, SimulationEvent};
use crate::failure::Failure;
use crate::machine::ServiceTask;
use core::time::Duration;
use raft_proto::{Action, Input, RoleKind, Time};

impl World {
    pub(super) fn machine_event(&mut self, place: usize, event: MachineEvent) {
        match event {
            MachineEvent::Frame { frame, over } => self.arrive(place, frame, over),
            MachineEvent::DamagedFrame { frame, checksum } => {
                self.arrive_damaged(place, frame, checksum);
            }
            MachineEvent::Timer => self.timer(place),
            MachineEvent::Process { incarnation, event } => {
                if incarnation == self.machines[place].incarnation {
                    self.process_event(place, event);
                }
            }
            MachineEvent::ClientRequest(request) => self.client_request(*request),
            MachineEvent::OperatorRequest(request) => self.operator_request(place, &request),
        }
    }

    fn process_event(&mut self, place: usize, event: ProcessEvent) {
        match event {
            ProcessEvent::Synced { seq } => self.synced(place, seq),
            ProcessEvent::SyncFailed { outage } => self.sync_failed(place, outage),
            ProcessEvent::DiskAnswer(input) => self.give(place, *input),
            ProcessEvent::ServiceDone => self.service_done(place),
            ProcessEvent::Unreachable { peer } => self.unreachable(place, peer),
            ProcessEvent::SnapshotWritten(snapshot) => {
                let (id, data) = *snapshot;
                self.recorder.counts.snapshots += 1;
                self.machines[place].snapshot_written(id, data);
                self.give(place, Input::Compact { snapshot: id });
            }
        }
    }

    /// After `after`, something ends that the present incarnation of a process begins now.
    pub(super) fn schedule_process_event(
        &mut self,
        at: usize,
        after: Duration,
        event: ProcessEvent,
    ) {
        let incarnation = self.machines[at].incarnation;
        let event = MachineEvent::Process { incarnation, event };
        self.schedule(after, SimulationEvent::Machine { place: at, event });
    }

    /// Gives an input to a node, if it runs, and does what the node asks for.
    pub(super) fn give(&mut self, at: usize, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next {
            self.step(at, |machine, now, outputs, observers| {
                machine.handle(now, input, outputs, observers)
            });
            next = self.inputs.pop_front();
        }
        self.begin_sync(at);
        self.schedule_disk_answers(at);
        self.set_timer(at);
    }

    pub(super) fn perform(&mut self, at: usize, outputs: &mut Vec<Action>) {
        for action in outputs.drain(..) {
            if let Some(raft) = self.machines[at].raft()
                && !self.operator.observe(raft, &action)
            {
                let node = raft.id();
                self.fail(Failure::UnexpectedAnswer { node });
            }
            self.observe_release(at, &action);
            match action {
                Action::Send { .. } => {
                    self.observe_sent(at);
                    self.send(at, &action);
                }
                Action::Apply { entries } => {
                    if let Some(last) = entries.last_id() {
                        self.observe_hand_out(at, last);
                    }
                    self.give_to_service(at, ServiceTask::Apply(entries));
                }
                Action::Restore { snapshot } => {
                    self.observe_hand_out(at, snapshot.id.last);
                    self.give_to_service(at, ServiceTask::Restore(snapshot.id));
                }
                Action::Proposed { outcome, .. } => self.proposal_outcome = Some(outcome),
                Action::Read { id, outcome } => self.read_outcome(at, id, outcome),
                Action::RoleChanged { role, term } => {
                    self.observe_role(at, role, term);
                    if role == RoleKind::Leader {
                        self.schedule_change_for_next_leader();
                    }
                }
                Action::MembershipChanged { index, membership } => {
                    self.machines[at].members_changed(index, membership.clone());
                    self.observe_membership(index, membership);
                }
                // The service makes a sound one.
                Action::SnapshotDamaged { .. } => self.renew_snapshot(at),
                // The judge has seen these, and the process has performed the others.
                Action::Transferred { .. }
                | Action::ChangeProposed { .. }
                | Action::Campaigning { .. }
                | Action::SteppedDown { .. }
                | Action::Reconfigured { .. }
                | Action::Overdue(_)
                | Action::ReadEntries { .. }
                | Action::LeaderChanged { .. }
                | Action::Rejected { .. }
                | Action::Refused { .. }
                | Action::LostState { .. }
                | Action::EntryRefused { .. }
                | Action::Removed { .. }
                | Action::ForeignIncarnation(_)
                | Action::Replaced { .. }
                | Action::Faulted { .. }
                | Action::Persist(_)
                | Action::ReadSnapshot { .. }
                | Action::WriteSnapshot { .. }
                | Action::ReleaseSnapshot { .. }
                | Action::WakeAt(_) => {}
            }
        }
    }

    /// Timers are lazy: deadlines nearly always move to later, and the queue learns of that only
    /// when the earlier deadline has come.
    fn timer(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        if machine.timer > self.now {
            return; // An earlier timer has been answered meanwhile.
        }
        machine.timer = Time::NEVER;
        if machine.wake_at() <= self.now {
            self.give(at, Input::Tick);
        } else {
            self.set_timer(at);
        }
    }

    pub(super) fn set_timer(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        let deadline = machine.wake_at().max(self.now);
        if deadline < machine.timer {
            machine.timer = deadline;
            let event = MachineEvent::Timer;
            self.queue
                .push(deadline, SimulationEvent::Machine { place: at, event });
        }
    }
}
