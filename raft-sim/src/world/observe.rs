//! The one place where the world tells the judge what happens.

use super::World;
use super::availability::NO_SESSION;
use super::event::{MachineEvent, SimulationEvent};
use crate::clients::AnsweredCommand;
use crate::coverage::CoverageMark;
use crate::failure::Failure;
use crate::judge::Judge;
use crate::machine::Machine;
use crate::process::Observer;
use crate::recorder::Recorder;
use crate::schedule::NemesisOperation;
use crate::service::{Applied, Outcome};
use raft_proto::{Action, EntryId, Event, Index, Membership, NodeId, Raft, RoleKind, Term, Time};

/// Watches every step of a core: the recorder writes it down, and the judge checks it.
pub(super) struct Observers<'a> {
    recorder: &'a mut Recorder,
    judge: &'a mut Judge,
}

impl Observer for Observers<'_> {
    fn event(&mut self, raft: &Raft, event: &Event) {
        self.recorder.event(raft, event);
        self.judge.event(raft, event);
    }

    fn actions(&mut self, raft: &Raft, actions: &[Action]) {
        self.recorder.actions(raft, actions);
        self.judge.actions(raft, actions);
    }
}

impl World {
    /// Lets a machine take a step under observation, and performs what its core asks for.
    pub(super) fn step<Step>(&mut self, at: usize, step: Step)
    where
        Step:
            FnOnce(&mut Machine, Time, &mut Vec<Action>, &mut Observers<'_>) -> Result<(), Failure>,
    {
        let mut outputs = core::mem::take(&mut self.outputs);
        let mut observers = Observers {
            recorder: &mut self.recorder,
            judge: &mut self.judge,
        };
        let machine = &mut self.machines[at];
        if let Err(failure) = step(machine, self.now, &mut outputs, &mut observers) {
            self.fail(failure);
        }
        self.judge.check_durable(&self.machines[at]);
        let members_since = self.machines[at].members_since;
        self.perform(at, &mut outputs);
        self.outputs = outputs;
        self.judge_cluster(at, members_since);
    }

    /// A step is over: what has been committed in it, and the nodes that could be elected now.
    /// `members_since` tells which configuration the node used before the step.
    fn judge_cluster(&mut self, at: usize, members_since: Index) {
        if self.judge.has_new_commit() {
            let index = self.judge.check_commit(&self.machines, at, members_since);
            let machine = &self.machines[at];
            // A configuration that is not committed yet may come to nothing.
            if index.is_some_and(|index| machine.members_since <= index) {
                self.configurations
                    .committed(machine.members_since, machine.membership());
            }
        }
        self.judge.check_quorums(&self.machines);
    }

    /// A process has started, with a service that holds all up to `applied`.
    pub(super) fn observe_start(&mut self, place: usize, applied: Index) {
        if let Some(raft) = self.machines[place].raft() {
            self.recorder.started(self.now, raft, applied);
            let stored = self.machines[place].disk().configurations();
            self.judge.started(raft, applied, stored.as_ref());
        }
        self.observe_service(place);
        self.judge.cluster_changed();
    }

    /// A process has ended. `line` says how.
    pub(super) fn observe_stop(&mut self, node: NodeId, line: &str) {
        self.recorder.stopped(self.now, node, line);
        self.judge.stopped(node);
    }

    /// The nemesis is about to do something.
    pub(super) fn observe_nemesis(&mut self, operation: &NemesisOperation) {
        let (now, text) = (self.now, self.recorder.trace.text_len());
        let leader = self.leader();
        if let Some(timeline) = &mut self.recorder.timeline {
            let places: Vec<usize> = operation.places().iter().map(|place| place.0).collect();
            timeline.nemesis(now, text, operation.to_string(), places, leader);
        }
        let line = format_args!("nemesis: {operation}");
        self.recorder.trace.line(now, line);
    }

    /// All faults end.
    pub(super) fn observe_healing(&mut self) {
        if let Some(timeline) = &mut self.recorder.timeline {
            timeline.healed(self.now);
        }
    }

    /// A machine has lost power, and its disk what was not synced.
    pub(super) fn observe_power_loss(&mut self) {
        self.judge.cluster_changed();
    }

    /// A node's disk is lost, and the node never comes back.
    pub(super) fn observe_disk_loss(&mut self, node: NodeId) {
        self.judge.gone(node);
    }

    /// Something happens. If it is the arrival of a message, that one is under way no more.
    pub(super) fn observe_event(&mut self, event: &SimulationEvent) {
        self.judge.event_happens(self.now);
        if let SimulationEvent::Machine { event, .. } = event
            && let MachineEvent::Frame { .. } | MachineEvent::DamagedFrame { .. } = event
        {
            self.judge.message_arrived();
        }
    }

    /// A message is sent, of which so many copies will arrive.
    pub(super) fn observe_message(&mut self, copies: u64) {
        self.judge.message_sent(copies);
    }

    /// A client's request is on its way.
    pub(super) fn observe_request(&mut self) {
        self.judge.requested();
    }

    /// A core sends a message.
    pub(super) fn observe_sent(&mut self, at: usize) {
        self.judge.check_said(&self.machines[at]);
    }

    /// A core hands out entries, or a snapshot, up to `last`.
    pub(super) fn observe_hand_out(&mut self, at: usize, last: EntryId) {
        self.judge.check_handed_out(&self.machines[at], last);
    }

    /// A node comes back under its own number without what its disk held.
    pub(super) fn observe_return(&mut self, node: NodeId) {
        self.judge.returned(node);
    }

    /// Reads of a node's snapshot return other bytes than were written.
    pub(super) fn observe_decay(&mut self, node: NodeId) {
        self.judge.snapshot_decays(node);
    }

    /// A node changes its role: from now on two of them may be electable.
    pub(super) fn observe_role(&mut self, at: usize, role: RoleKind, term: Term) {
        self.judge.cluster_changed();
        if role == RoleKind::Leader {
            self.judge.check_election(&self.machines, at, term);
        }
    }

    /// A node uses another configuration, which stands at `index`.
    pub(super) fn observe_membership(&mut self, index: Index, membership: Membership) {
        self.judge.cluster_changed();
        self.configurations.used(index, membership);
    }

    /// The service of `node` has applied a command.
    pub(super) fn observe_command(&mut self, node: NodeId, applied: &Applied) {
        let coverage = &mut self.recorder.coverage;
        match (applied.outcome, applied.of) {
            (Outcome::Ran, Some((session, sequence))) => {
                self.judge.command_ran(node, session, sequence, applied.id);
            }
            (Outcome::Ran | Outcome::Opened, _) => {}
            (Outcome::Repeated, _) => coverage.hit(CoverageMark::CommandRepeated),
            // The load runs nothing.
            (Outcome::Refused, Some((NO_SESSION, _))) => {}
            (Outcome::Refused, _) => coverage.hit(CoverageMark::CommandRefused),
        }
    }

    /// A service has applied entries, taken over a snapshot, or a fault has struck it.
    pub(super) fn observe_service(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        let Some(observed) = machine.service.take_observed() else {
            return;
        };
        let node = machine.id();
        if let Some((entry, defect)) = observed.defect {
            self.fail(Failure::Service {
                node,
                entry,
                defect,
            });
        }
        for state in observed.states {
            self.judge.service_state(node, state);
        }
    }

    /// A client has got the answer to its command, from `node`.
    pub(super) fn observe_answer(&mut self, node: NodeId, command: &AnsweredCommand) {
        let AnsweredCommand {
            session,
            sequence,
            entry,
        } = *command;
        self.judge.command_answered(node, session, sequence, entry);
    }
}
